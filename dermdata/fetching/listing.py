"""Entries whose files are too many for the catalog: their own listing, or their table, names them."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from dermdata import readers
from dermdata.cache import Folder, Receipt
from dermdata.checksum import of_chunks
from dermdata.fetching.assemble import opener
from dermdata.fetching.ingest import MADE
from dermdata.model import Content, Dataset, File, Role

BY_ROWS = "rows"  # each row of the table has its image's address
RECORDS = "metadata.csv"  # the table that an archive's records make
Listing = Callable[[str], tuple[File, ...]]  # sources.listing


def with_known(dataset: Dataset, receipt: Receipt) -> Dataset:
    """The entry with the files that an earlier fetch brought: no listing needs to be asked again."""
    known = {file.name for file in dataset.files if file.fetch}
    files = [
        File(
            name=one.name,
            role=cast("Role", one.role),
            size=one.size,
            checksum=f"sha256:{one.sha256}",
            urls=(one.url,),
        )
        for one in receipt.files
        if one.name not in known
    ]
    return with_files(dataset, files)


def with_listed(dataset: Dataset, ask: Listing) -> Dataset:
    """The entry with the files that its host lists."""
    return with_files(dataset, ask(dataset.listing or ""))


def with_records(
    dataset: Dataset, records: Iterable[Mapping[str, str]], files: Iterable[File]
) -> tuple[Dataset, bytes]:
    """The entry with an archive's own records as its table (and that table's bytes), and their files."""
    named = {name for spec in dataset.table for names in spec.columns.values() for name in names}
    data = table_of(list(records), sorted(named))
    table = File(
        name=RECORDS,
        role="metadata",
        source=f"{MADE}:{RECORDS}",
        size=len(data),
        checksum=f"sha256:{of_chunks([data])}",
    )
    return with_files(dataset, [table, *files]), data


def table_of(records: Sequence[Mapping[str, str]], named: Sequence[str]) -> bytes:
    """Flat records as CSV: the columns of all of them as they first appear, then those that none has set."""
    names = list(dict.fromkeys([name for record in records for name in record] + list(named)))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def with_rows(dataset: Dataset, folder: Folder) -> Dataset:
    """The entry with one file for each row of its (fetched) table that has an address."""
    contents = folder.contents()
    return with_files(dataset, files_of_rows(dataset, contents, folder))


def files_of_rows(dataset: Dataset, contents: tuple[Content, ...], folder: Folder) -> list[File]:
    files = []
    for spec in dataset.table:
        if spec.image_url is None:
            continue
        rows = readers.read(spec, opener(folder, contents), contents).rows
        names = rows[(spec.columns.get("image") or spec.columns["image_id"])[0]].to_pylist()
        urls = rows[spec.image_url].to_pylist()
        files += [
            File(name=image_name(name), role="images", urls=(url,))
            for name, url in zip(names, urls, strict=True)
            if url
        ]
    return files


def image_name(name: str) -> str:
    """The cached name of an image that the source names without an ending."""
    return f"images/{name}" if "." in name else f"images/{name}.jpg"


def with_files(dataset: Dataset, files: Iterable[File]) -> Dataset:
    """The entry's files and the listed ones; where both name a file, the catalog's size and checksum rule."""
    merged = {file.name: file for file in dataset.files}
    for file in files:
        known = merged.get(file.name)
        if known is None:
            merged[file.name] = file
        elif not known.fetch and not known.note:  # only facts about it: an overlay's files.tsv
            merged[file.name] = replace(
                file, size=known.size or file.size, checksum=known.checksum or file.checksum
            )
    return replace(dataset, files=tuple(merged.values()))
