"""Which local file is which of an entry's tables: by its columns, then by its name, then by the images that it names."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dermdata.errors import DermdataError, UsageError
from dermdata.fetching.local.files import (
    LocalFile,
    LocalFiles,
    LocalProblem,
)
from dermdata.markup import count_nouns
from dermdata.model import Dataset, TableSpec
from dermdata.readers.delimited import parse_delimited, quote_names
from dermdata.readers.records import make_rows, parse_records, unfold_records
from dermdata.readers.spreadsheet import header_columns, parse_sheet
from dermdata.readers.table import required_columns

TABLE_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat", ".xlsx", ".json", ".jsonl", ".ndjson")
TABLE_SHAPES = ("table", "spreadsheet", "records")  # of which a file by itself is a table
LARGEST_TABLE = 512 << 20  # bytes; no table of a dermatology dataset comes near
FEWEST_COLUMNS = 2  # with fewer columns named, only the file's name can tell tables apart
CountImages = Callable[[Sequence[str]], int]  # how many of these image names were given


@dataclass(frozen=True)
class TableFile:
    """One file that a table of the entry is read from."""

    spec: TableSpec
    file: str  # the catalog file
    member: str | None  # the path in it, if that is an archive
    must: frozenset[str]  # columns it cannot do without
    named: frozenset[str]  # columns that it, or a table joined with it, has

    @property
    def label(self) -> str:
        return f"{self.member} in {self.file}" if self.member else self.file

    @property
    def leaf_key(self) -> str:
        """Its name as it is compared with a file's."""
        return fold_leaf(self.member or self.file)

    def is_named_like(self, found: LocalFile) -> bool:
        """Whether a file has this one's name, in whatever folder and case."""
        return fold_leaf(found.name) == self.leaf_key


def list_table_files(dataset: Dataset) -> list[TableFile]:
    """The files behind all tables of the entry, each once."""
    found = [part for spec in dataset.table if spec.file for part in iter_table_files(spec, spec.file)]
    return list({(part.file, part.member): part for part in found}.values())


def iter_table_files(spec: TableSpec, file: str) -> Iterator[TableFile]:
    named = named_columns(spec)
    keys = frozenset[str]().union(*(key_columns(join.on) for join in spec.join))
    are_elsewhere = any(not join.marks for join in spec.join)  # its columns may stand in another table
    if spec.sparse:
        keys, are_elsewhere = keys | frozenset(spec.columns["image_id"]), True
    if spec.reader in TABLE_SHAPES:
        yield TableFile(spec, file, spec.member, keys if are_elsewhere else named | keys, named)
    yield from (
        TableFile(spec, join.file, join.member, key_columns(join.to or join.on), named) for join in spec.join
    )


def named_columns(spec: TableSpec) -> frozenset[str]:
    """The source's own columns that the entry reads, of this table or one that is joined with it."""
    views = [view.column for view in spec.views]
    every = {*required_columns(spec), *spec.one_hot, *views, *spec.parts}
    every -= {name for join in spec.join for name in join.marks}
    return frozenset(name for name in every if not name.startswith("@"))


def key_columns(key: str) -> frozenset[str]:
    """The source's own columns of a key: of "split/index" both, of "@row/split" the latter."""
    return frozenset(name for name in key.split("/") if not name.startswith("@"))


class TableMatcher:
    """Reads the given files as tables, each once for one way of reading."""

    def __init__(self, local_files: LocalFiles) -> None:
        self.local_files = local_files
        self._rows: dict[tuple[object, ...], pa.Table | str] = {}

    def fits(self, part: TableFile, found: LocalFile) -> bool:
        """Whether the file has the part's columns; a table without a header line is only known by its name."""
        named = part.is_named_like(found)
        if not named and (part.spec.header or not found.leaf.lower().endswith(TABLE_ENDINGS)):
            return False
        rows = self.read_rows(part.spec, found)
        if isinstance(rows, str) or not part.must <= set(rows.column_names):
            return False
        return named or len((part.must | part.named) & set(rows.column_names)) >= FEWEST_COLUMNS

    def find_table(
        self, part: TableFile, candidates: Sequence[LocalFile], score: CountImages
    ) -> LocalFile | None:
        """The file that is this table; of several the one of its name, else the one whose images were given.

        UsageError that names them when that does not tell.
        """
        fitting = self.local_files.distinct_files([one for one in candidates if self.fits(part, one)])
        if not fitting:
            self.note_misfits(part, candidates)
            return None
        named = [one for one in fitting if part.is_named_like(one)]
        return self.choose_table(part, named or fitting, score)

    def choose_table(self, part: TableFile, fitting: Sequence[LocalFile], score: CountImages) -> LocalFile:
        """The one of which the most images were given; UsageError where that is not one."""
        if len(fitting) == 1:
            return fitting[0]
        scores = {one: score(self.read_image_names(part.spec, one)) for one in fitting}
        best = [one for one in fitting if scores[one] == max(scores.values())]
        if len(best) > 1:
            raise UsageError(
                f"{count_nouns(len(best), 'file')} could be {part.label}: {' and '.join(one.shown for one in best)}",
                hint="give only the one you mean",
            )
        return best[0]

    def note_misfits(self, part: TableFile, candidates: Sequence[LocalFile]) -> None:
        """Note why the files that have the table's name are not it."""
        for one in candidates:
            if part.is_named_like(one):
                rows = self.read_rows(part.spec, one)
                lost = [] if isinstance(rows, str) else sorted(part.must - set(rows.column_names))
                reason = rows if isinstance(rows, str) else f"has no column {quote_names(lost)}"
                self.local_files.problems.append(
                    LocalProblem(one.shown, f"is not the table {part.label}: {reason}")
                )

    def read_image_names(self, spec: TableSpec, found: LocalFile) -> list[str]:
        """The image names in a table that may be the right one."""
        rows = self.read_rows(spec, found)
        wanted = [view.column for view in spec.views] or spec.columns.get("image") or spec.columns["image_id"]
        columns = (
            [] if isinstance(rows, str) else [rows[name] for name in wanted if name in rows.column_names]
        )
        return [cell for column in columns for cell in column.to_pylist() if cell]

    def read_rows(self, spec: TableSpec, found: LocalFile) -> pa.Table | str:
        """A file's rows, read as the catalog says, all text; or why it is no such table."""
        way = (spec.delimiter, spec.encoding, spec.header, spec.sheet, spec.records, spec.unfold)
        key: tuple[object, ...] = (found, spec.reader, *way)
        key = (*key, *(sorted(required_columns(spec)) if spec.reader == "spreadsheet" else ()))
        if key not in self._rows:
            self._rows[key] = self._try_read(spec, found)
        return self._rows[key]

    def _try_read(self, spec: TableSpec, found: LocalFile) -> pa.Table | str:
        if not 0 < found.size <= LARGEST_TABLE:
            return f"it has {count_nouns(found.size, 'byte')}"
        try:
            return parse_table(spec, self.local_files.read(found), found.shown)
        except DermdataError as error:
            return "; ".join(filter(None, (error.message, error.hint)))
        except OSError as error:
            return error.strerror or str(error)


def parse_table(spec: TableSpec, data: bytes, shown: str) -> pa.Table:
    if spec.reader == "spreadsheet":
        return parse_sheet(data, spec.sheet, header_columns(spec), shown)
    if spec.reader == "records":
        records, _ = parse_records(data, shown, spec.records)
        return make_rows(unfold_records(records, spec.unfold, shown), shown)
    return parse_delimited(data, shown, delimiter=spec.delimiter, encoding=spec.encoding, header=spec.header)[
        0
    ]


def fold_leaf(name: str) -> str:
    """A file's name as it is compared: without folders, in any case and Unicode form."""
    return unicodedata.normalize("NFC", name.rpartition("/")[2]).casefold()
