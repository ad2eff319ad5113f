"""Which given file is which of the entry's tables: the one with every column that the catalog names."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dermdata.errors import DermdataError, UsageError
from dermdata.fetching.adopt.given import Found, Given, Problem
from dermdata.model import Dataset, Join, Table
from dermdata.readers.delimited import parse, quoted
from dermdata.readers.spreadsheet import sheet, under_header
from dermdata.readers.table import needed

ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat", ".xlsx")
LARGEST = 512 << 20  # bytes; no table of a dermatology dataset comes near
BY_COLUMNS = 2  # with fewer columns named, only the file's name can tell tables apart
Score = Callable[[Sequence[str]], int]  # how many of these image names were given


@dataclass(frozen=True)
class Part:
    """One file that a table of the entry is read from."""

    spec: Table
    file: str  # the catalog file
    member: str | None  # the path in it, if that is an archive
    must: frozenset[str]  # columns it cannot do without
    named: frozenset[str]  # columns that it, or a table joined with it, has

    @property
    def shown(self) -> str:
        return f"{self.member} in {self.file}" if self.member else self.file

    @property
    def leaf(self) -> str:
        return (self.member or self.file).rpartition("/")[2].casefold()


def parts_of(dataset: Dataset) -> list[Part]:
    """The files behind all tables of the entry, each once."""
    found = [part for spec in dataset.table if spec.file for part in parts(spec, spec.file)]
    return list({(part.file, part.member): part for part in found}.values())


def parts(spec: Table, file: str) -> Iterator[Part]:
    views = [view.column for view in spec.views]
    every = {*needed(spec), *spec.one_hot, *views, *spec.parts}
    every -= {name for join in spec.join for name in join.marks}
    named = frozenset(name for name in every if not name.startswith("@"))
    spread = any(not join.marks for join in spec.join)  # its columns may stand in another table
    keys = frozenset(join.on for join in spec.join if not join.on.startswith("@"))
    yield Part(spec, file, spec.member, keys if spread else named | keys, named)
    yield from (Part(spec, join.file, join.member, key_of(join), named) for join in spec.join)


def key_of(join: Join) -> frozenset[str]:
    return frozenset({join.to or join.on})


class Tables:
    """Reads the given files as tables, each once for one way of reading."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self._read: dict[tuple[object, ...], pa.Table | str] = {}

    def fits(self, part: Part, found: Found) -> bool:
        """Whether the file has the part's columns; a table without a header line is only known by its name."""
        named = found.leaf.casefold() == part.leaf
        if not named and (part.spec.header or not found.leaf.lower().endswith(ENDINGS)):
            return False
        rows = self.rows(part.spec, found)
        if isinstance(rows, str) or not part.must <= set(rows.column_names):
            return False
        return named or len((part.must | part.named) & set(rows.column_names)) >= BY_COLUMNS

    def find(self, part: Part, candidates: Sequence[Found], score: Score) -> Found | None:
        """The file that is this table; of several the one of its name, else the one whose images were given.

        UsageError that names them when that does not tell.
        """
        fitting = self.given.distinct([one for one in candidates if self.fits(part, one)])
        named = [one for one in fitting if one.leaf.casefold() == part.leaf]
        fitting = named or fitting
        if not fitting:
            self.explain(part, candidates)
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        scores = {one: score(self.image_names(part.spec, one)) for one in fitting}
        best = [one for one in fitting if scores[one] == max(scores.values())]
        if len(best) > 1:
            raise UsageError(
                f"{len(best)} files could be {part.shown}: {' and '.join(one.shown for one in best)}",
                hint="give only the one you mean",
            )
        return best[0]

    def explain(self, part: Part, candidates: Sequence[Found]) -> None:
        """Note why the files that have the table's name are not it."""
        for one in candidates:
            if one.leaf.casefold() == part.leaf:
                rows = self.rows(part.spec, one)
                lost = [] if isinstance(rows, str) else sorted(part.must - set(rows.column_names))
                reason = rows if isinstance(rows, str) else f"has no column {quoted(lost)}"
                self.given.problems.append(Problem(one.shown, f"is not the table {part.shown}: {reason}"))

    def image_names(self, spec: Table, found: Found) -> list[str]:
        """The image names in a table that may be the right one."""
        rows = self.rows(spec, found)
        wanted = [view.column for view in spec.views] or spec.columns.get("image") or spec.columns["image_id"]
        columns = (
            [] if isinstance(rows, str) else [rows[name] for name in wanted if name in rows.column_names]
        )
        return [cell for column in columns for cell in column.to_pylist() if cell]

    def rows(self, spec: Table, found: Found) -> pa.Table | str:
        """A file's rows, read as the catalog says, all text; or why it is no such table."""
        key = (found, spec.reader, spec.delimiter, spec.encoding, spec.header, spec.sheet)
        key = (*key, *(sorted(needed(spec)) if spec.reader == "spreadsheet" else ()))
        if key not in self._read:
            self._read[key] = self._attempt(spec, found)
        return self._read[key]

    def _attempt(self, spec: Table, found: Found) -> pa.Table | str:
        if not 0 < found.size <= LARGEST:
            return f"it has {found.size:,} bytes"
        try:
            return read(spec, self.given.read(found), found.shown)
        except DermdataError as error:
            return error.message
        except OSError as error:
            return error.strerror or str(error)


def read(spec: Table, data: bytes, shown: str) -> pa.Table:
    if spec.reader == "spreadsheet":
        names, lines = under_header(sheet(data, spec.sheet, shown), spec, shown)
        columns = [pa.array([line[place] for line in lines], pa.string()) for place in range(len(names))]
        return pa.Table.from_arrays(columns, names=names)
    return parse(data, shown, delimiter=spec.delimiter, encoding=spec.encoding, header=spec.header)[0]
