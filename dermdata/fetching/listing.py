"""Entries whose files are too many for the catalog: a host's listing, or the entry's own table, names them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

from dermdata import readers
from dermdata.cache import DatasetFolder, Receipt
from dermdata.errors import ManualDownload
from dermdata.fetching.assemble import table_opener
from dermdata.fetching.ingest import SUMS_NAME, read_sha256sums
from dermdata.hosts.base import guess_role
from dermdata.markup import agree_verb, count_nouns
from dermdata.model import Content, Dataset, File, Role

LISTED_BY_ROWS = "rows"  # each row of the table has its image's address
ListFiles = Callable[[str], tuple[File, ...]]  # hosts.list_files


def add_known_files(dataset: Dataset, receipt: Receipt) -> Dataset:
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
    return merge_files(dataset, files)


def add_listed_files(dataset: Dataset, ask: ListFiles) -> Dataset:
    """The entry with the files that its host lists; ManualDownload where it gives out none of them."""
    files = ask(dataset.listing or "")
    if dataset.kind == "model":
        files = tuple(replace(one, role=guess_model_role(one.name)) for one in files)
    if not any(file.fetch for file in files):
        raise ManualDownload(
            f"{dataset.name}: all {count_nouns(len(files), 'file')} of "
            f"{dataset.listing} {agree_verb(len(files), 'are')} restricted",
            hint=f"ask for access at {dataset.access.url or dataset.homepage or 'their page'}, then use --from",
        )
    return merge_files(dataset, files)


def add_mirrored_files(dataset: Dataset, mirrors: Iterable[str]) -> Dataset | None:
    """A model with the files that a mirror folder's SHA256SUMS names; None where no such folder has any.

    Only of models: what a dataset's host lists may be more than a mirror holds, and its rows would miss it.
    """
    if dataset.kind != "model":
        return None
    for mirror in mirrors:
        sums = {} if "://" in mirror else read_sha256sums(Path(mirror) / dataset.name)
        if sums:
            files = [
                File(name=name, role=guess_model_role(name), checksum=f"sha256:{digest}")
                for name, digest in sorted(sums.items())
            ]
            return merge_files(dataset, files)
    return None


def add_own_model_files(dataset: Dataset, folders: Iterable[Path]) -> Dataset:
    """A model whose host would list its files, with all files that lie in the person's own folders of it."""
    if dataset.kind != "model" or not dataset.listing:
        return dataset
    names = {
        path.relative_to(folder).as_posix(): None
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SUMS_NAME
    }
    return merge_files(dataset, [File(name=name, role=guess_model_role(name)) for name in names])


def guess_model_role(name: str) -> Role:
    """What a model's file is: a picture in its description is no image of a dataset."""
    role = guess_role(name)
    return "other" if role == "images" else role


def add_row_files(dataset: Dataset, folder: DatasetFolder) -> Dataset:
    """The entry with one file for each row of its (fetched) table that has an address."""
    contents = folder.contents()
    return merge_files(dataset, list_row_files(dataset, contents, folder))


def list_row_files(dataset: Dataset, contents: tuple[Content, ...], folder: DatasetFolder) -> list[File]:
    files = []
    for spec in dataset.table:
        if spec.image_url is None:
            continue
        rows = readers.read_table(spec, table_opener(folder, contents), contents).rows
        names = rows[(spec.columns.get("image") or spec.columns["image_id"])[0]].to_pylist()
        urls = rows[spec.image_url].to_pylist()
        files += [
            File(name=cached_image_name(name), role="images", urls=(url,))
            for name, url in zip(names, urls, strict=True)
            if url
        ]
    return files


def cached_image_name(name: str) -> str:
    """The cached name of an image that the source names without an ending."""
    return f"images/{name}" if "." in name else f"images/{name}.jpg"


def merge_files(dataset: Dataset, files: Iterable[File]) -> Dataset:
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
