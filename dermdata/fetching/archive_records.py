"""The records of an archive as the table of a dataset: asked page by page, kept until the fetch has ended.

A listing of 400,000 records takes thousands of pages. Those that came lie in the dataset's folder, a line a page, so
that a run that was killed, or that failed at an image, goes on after the last one.

    <dataset>/<version>/.records.json    {"search": …, "begun": …, "count": …}, then {"records": […], "next": …} a page
"""

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from dermdata import disk
from dermdata.cache import DatasetFolder, Receipt
from dermdata.cache.cleanup import PendingFiles
from dermdata.closed_words import CLOSED_WORDS
from dermdata.errors import IntegrityError, UsageError
from dermdata.fetching.assemble import LabelResources, harmonize_tables, read_tables
from dermdata.fetching.ingest import LISTING_SOURCE
from dermdata.fetching.listing import merge_files
from dermdata.hosts import ResolveContext, isic
from dermdata.hosts.isic_query import FIELDS, LARGEST_NUMBER, RENAMED
from dermdata.markup import count_nouns
from dermdata.model import Dataset, File, TableSpec
from dermdata.progress import Progress

RECORDS_NAME = "metadata.csv"  # the table that an archive's records make
JOURNAL_NAME = ".records.json"
CHUNK = 1 << 20  # bytes
MOST_AGE = 7 * 86400  # seconds; what is older is asked anew
NO_WORD = "a word that no archive has"
BEFORE_IDS = "A"  # no id, and before all of them
PASSED_ON = ("patient_id", "lesion_id")  # columns that say whatever word their field has
Row = Mapping[str, str]  # of the official table
LookAtRecords = Callable[[Sequence["ArchiveRecord"]], bool]


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One record: its row in the official table as JSON, and its image's name, address and rough size."""

    row: str  # of half a million each is small so
    name: str | None  # None: its image is here already
    url: str = ""
    rough_size: int | None = None

    @property
    def cells(self) -> Row:
        cells: Row = json.loads(self.row)
        return cells


def read_records(records: Sequence[isic.IsicRecord]) -> Iterator[ArchiveRecord]:
    for record, file in zip(records, isic.to_files(records), strict=True):
        yield make_record(isic.flatten_record(record), file.name, file.urls[0], file.rough_size)


def make_record(
    cells: Row, name: str | None = None, url: str = "", rough_size: int | None = None
) -> ArchiveRecord:
    return ArchiveRecord(json.dumps(cells, ensure_ascii=False), name, url, rough_size)


# ------------------------------------------------------------------ asking


@dataclass
class RecordListing:
    """The records of one search: those that an earlier run was given, and the rest of its pages."""

    query: str
    collections: tuple[int, ...]
    context: ResolveContext
    progress: Progress
    folder: DatasetFolder | None = None  # where pages are kept; None: nowhere
    count: int | None = None  # of all that the search finds, once it was asked
    records: list[ArchiveRecord] = field(default_factory=list)
    following: str | None = None
    is_complete: bool = False

    @property
    def search(self) -> str:
        return isic.search_url(self.query, self.collections, isic.PAGE)

    @property
    def path(self) -> Path | None:
        return self.folder.path / JOURNAL_NAME if self.folder else None

    def collect(self, is_enough: LookAtRecords | None = None) -> None:
        """Ask for what is missing, until that is all or `is_enough`, which is asked ever more rarely.

        IntegrityError when fewer come than the archive counted.
        """
        self.resume()
        try:
            self.ask_pages(is_enough)
        except UsageError:
            if not self.records:
                raise
            self.progress.say("the archive does not know where its list was left: it is asked anew")
            self.start_anew()
            self.ask_pages(is_enough)
        try:
            if self.is_complete:
                isic.require_all(self.count, len(self.records))
        except IntegrityError:
            self.forget()
            raise

    def ask_pages(self, is_enough: LookAtRecords | None) -> None:
        if self.is_complete or (self.records and is_enough and is_enough(self.records)):
            return
        task, look = "records", 1
        self.progress.begin(task, self.count, "records")
        self.progress.advance(task, len(self.records))
        begin = self.following
        for number, page in enumerate(
            isic.search_pages(self.query, self.collections, self.context, begin=begin), 1
        ):
            self.add_page(page)
            self.progress.begin(task, self.count, "records")
            self.progress.advance(task, len(page.records))
            if is_enough and number == look:
                if is_enough(self.records):
                    break
                look *= 2
        self.progress.end(task, count_nouns(len(self.records), "record"))

    def add_page(self, page: isic.SearchPage) -> None:
        """Take one page, and note it, unless it is all."""
        found = list(read_records(page.records))
        is_first = self.following is None
        if is_first:
            self.count = page.count
        self.records += found
        self.following, self.is_complete = page.following, page.following is None
        if is_first and self.is_complete:
            return
        if is_first:
            self.write({"search": self.search, "begun": time.time(), "count": page.count}, anew=True)
        self.write({"records": [astuple(one) for one in found], "next": page.following})

    # -------------------------------------------------------------- what is kept

    def start_anew(self) -> None:
        self.count, self.records, self.following, self.is_complete = None, [], None, False

    def resume(self) -> None:
        """Take what an earlier run noted of the same search; a line that a kill tore spoils only itself."""
        if self.path is None:
            return
        try:
            with os.fdopen(disk.open_regular(self.path), "rb") as file:
                self.read(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk.to_storage_error(error, self.path) from error
        if self.records:
            here = count_nouns(len(self.records), "record", "are")
            self.progress.say(f"{here} here from an earlier run")

    def read(self, lines: Iterable[bytes]) -> None:
        known = False
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):  # torn, or of another version: asked again
                entry = json.loads(line)
                if "search" in entry:
                    known = entry["search"] == self.search and 0 <= time.time() - entry["begun"] <= MOST_AGE
                    self.start_anew()
                    self.count = entry["count"] if known else None
                elif known:
                    self.records += [ArchiveRecord(*one) for one in entry["records"]]
                    self.following, self.is_complete = entry["next"], entry["next"] is None
        if not self.records:
            self.start_anew()

    def forget(self) -> None:
        """What came is of no use to a next run."""
        if self.path is None or self.folder is None or not self.path.exists():
            return
        with disk.storage_errors(self.path):
            self.path.unlink()
        pending = PendingFiles(self.folder.path)
        if not pending.find_strays(()):
            pending.clear()
        self.folder.remove_if_empty()

    def write(self, line: Mapping[str, Any], *, anew: bool = False) -> None:
        if self.path is None or self.folder is None:
            return
        data = b"\n" + json.dumps(line, ensure_ascii=False).encode()
        with disk.storage_errors(self.path, len(data)):
            if anew:
                PendingFiles(self.folder.path).announce([JOURNAL_NAME])
                self.path.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(disk.open_handle(self.path, flags), "ab") as file:
                file.write(data)


# ------------------------------------------------------------------ the table that they make


def add_records(dataset: Dataset, records: Sequence[ArchiveRecord], table: Path) -> Dataset:
    """The entry with an archive's own records as its table, which is written there, and their images."""
    written = disk.write_chunks(table, records_to_csv(records, list_own_columns(dataset)))
    whole = File(
        name=RECORDS_NAME,
        role="metadata",
        source=f"{LISTING_SOURCE}:{RECORDS_NAME}",
        size=table.stat().st_size,
        checksum=f"sha256:{written.sha256}",
    )
    images = [
        File(name=one.name, role="images", urls=(one.url,), rough_size=one.rough_size)
        for one in records
        if one.name
    ]
    return merge_files(dataset, [whole, *images])


def list_own_columns(dataset: Dataset) -> list[str]:
    """The columns that an entry reads of its records, set or not; where a file is joined, others are of that."""
    named = {
        (name, bool(spec.join)) for spec in dataset.table for names in spec.columns.values() for name in names
    }
    return sorted({name for name, is_joined in named if name in FIELDS or not is_joined})


def records_to_csv(records: Sequence[ArchiveRecord], named: Sequence[str]) -> Iterator[bytes]:
    """Records as CSV: the columns of all of them as they first appear, then those that none has set."""
    columns: dict[str, Any] = {}
    for one in records:
        columns.update(one.cells)  # in the order in which they first appear
    columns.update(dict.fromkeys(named))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for one in records:
        cells = one.cells
        writer.writerow([cells.get(name, "") for name in columns])
        if text.tell() > CHUNK:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def list_earlier_records(
    folder: DatasetFolder, receipt: Receipt | None, but: Iterable[ArchiveRecord]
) -> list[ArchiveRecord]:
    """The rows that the table in the cache has of images that are here, or of an earlier part, `but` those."""
    table = receipt.file(RECORDS_NAME) if receipt else None
    if receipt is None or table is None or table.path is None:
        return []
    wanted = list_earlier_ids(receipt) - {one.cells["isic_id"] for one in but}
    return [make_record(row) for row in read_rows(folder.path / table.path) if row.get("isic_id") in wanted]


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a table of records, without their empty cells."""
    with disk.storage_errors(path), path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: word for name, word in row.items() if word}


def list_earlier_ids(receipt: Receipt) -> set[str]:
    """The ids of images that are here, and of the rows of an earlier part."""
    here = {PurePosixPath(one.name).stem for one in receipt.files if one.role == "images"}
    return here | set(receipt.part.rows if receipt.part else ())


def build_rows(dataset: Dataset, records: Sequence[ArchiveRecord], library: LabelResources) -> pa.Table:
    """The manifest's rows of some records, without their images."""
    data = b"".join(records_to_csv(records, list_own_columns(dataset)))
    sources = read_tables(dataset, lambda _, __: data, ())
    table, _ = harmonize_tables(dataset, sources, (), library, {})
    return table


# ------------------------------------------------------------------ which words a field can have


def list_field_words(
    dataset: Dataset, library: LabelResources, constants: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """The words of each field that the archive's search knows, as far as the entry reads it.

    `constants` are words of a condition: of fields that hold any word, those may be meant.
    """
    if len(dataset.table) != 1:
        return {}
    (spec,) = dataset.table
    own = [name for one in constants for name in (one, one.removeprefix(f"{dataset.name}/"))]
    found = {}
    for name in FIELDS:
        if column := find_column(spec, name):
            words = list_words(column, name, spec, library, dataset, own)
            found[name] = tuple(dict.fromkeys(one for one in words if one))
    return found


def find_column(spec: TableSpec, name: str) -> str | None:
    """The one manifest column that an entry reads from a field; ids are probed by themselves."""
    ours = [column for column, names in spec.columns.items() if names == (name,)]
    return ours[0] if len(ours) == 1 and name != "isic_id" else None


def list_words(
    column: str, name: str, spec: TableSpec, library: LabelResources, dataset: Dataset, own: Sequence[str]
) -> Iterable[str]:
    """The words of one field that become a manifest column."""
    if FIELDS[name] == "number":
        return map(str, range(LARGEST_NUMBER + 1))
    if column == "label_raw":
        known = [one.raw_label for one in library.crosswalk(dataset) if one.field == spec.label_field]
        return [*known, *own]
    if column == "body_site":
        return [path for path, site in library.body_sites.items() if path != site]
    own = own if column in PASSED_ON else ()
    closed = set(CLOSED_WORDS.get(column, ())) - set(RENAMED.get(name, ()))
    return [*spec.values.get(column, ()), *sorted(closed), *own]


def build_probes(dataset: Dataset, words: Mapping[str, Sequence[str]], library: LabelResources) -> pa.Table:
    """The manifest's rows of records with nothing, then for each field of one strange word and of each of its own."""
    cells: list[Row] = [{}]
    cells += [{name: word} for name, its in words.items() for word in (NO_WORD, *its)]
    records = [make_record({"isic_id": f"ISIC_{number:07d}", **one}) for number, one in enumerate(cells)]
    return build_rows(dataset, records, library)


def build_id_probes(
    dataset: Dataset, constants: Iterable[str], library: LabelResources
) -> tuple[pa.Table, tuple[str, ...]]:
    """The manifest's rows of a record of no known id, then of those that a condition names; and these ids."""
    names = {one.removeprefix(f"{dataset.name}/") for one in constants}
    ids = tuple(sorted(one for one in names if isic.is_id(one)))
    records = [make_record({"isic_id": one}) for one in (BEFORE_IDS, *ids)]
    return build_rows(dataset, records, library), ids
