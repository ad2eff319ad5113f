"""What a manifest holds: rows, read from disk as far as they are asked for, counted, sliced and walked through."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, overload

import pyarrow as pa

from dermdata.api.exporting import command_line, record_command
from dermdata.api.resources import Resources
from dermdata.api.results import Row, show_rows
from dermdata.api.targets import Loaded, load, load_lean
from dermdata.markup import count_nouns

PIPED = ("-",)  # what a command line names in place of a manifest that another command has made
USED = ("dataset", "image_id", "key", "isic_id", "patient_id", "lesion_id")  # in each selection
ROWS_SHOWN = 5  # in a notebook
BLOCK = 512  # rows that are made Python's own at once
FEW = 4  # columns that are read one by one
Columns = Callable[[Sequence[str]], Sequence[str]]


class ManifestRows:
    """Rows of images and where their files are; never changed in place."""

    def __init__(self, resources: Resources, loaded: Loaded | None, source: Sequence[str]) -> None:
        self._resources = resources
        self._loaded = loaded  # None: not read yet
        self._source = tuple(source)
        self._whole = False  # all rows of the source: more columns are read from it in one go
        self._names = None if loaded is None else loaded.names

    @classmethod
    def from_targets(cls, resources: Resources, targets: Sequence[str]) -> Self:
        """Take what the targets are; they are read, and found wrong, where a method needs their rows."""
        return cls(resources, None, targets)

    @classmethod
    def read_targets(cls, resources: Resources, targets: Sequence[str]) -> Self:
        """Read what the targets are; of Parquet files here only a few columns are held."""
        manifest = cls.from_targets(resources, targets)
        manifest._keep(load_lean(resources, targets, lambda _: USED))
        return manifest

    # ------------------------------------------------------------------ what is held

    @property
    def source(self) -> tuple[str, ...]:
        """What the rows were read from, as a command line names it."""
        return self._source

    @property
    def is_unchanged(self) -> bool:
        """Whether the rows are those of the source, each with what the source says."""
        return self._loaded is None or self._whole

    @property
    def loaded(self) -> Loaded:
        """The rows with the columns that are at hand."""
        if self._loaded is None:
            return self._keep(load_lean(self._resources, self._source, lambda _: USED))
        return self._loaded

    def _keep(self, loaded: Loaded) -> Loaded:
        """Hold what was read: a stream cannot be read twice."""
        self._loaded, self._whole, self._names = loaded, loaded.rest is not None, loaded.names
        return loaded

    def _read_columns(self, columns: Columns) -> Loaded:
        """The rows with these columns at hand; which, is decided by the names of all."""
        if self._loaded is None:
            read = load_lean(self._resources, self._source, columns)
            self._names = read.names
            if read.rest is None:  # all is in memory
                self._keep(read)
            return read
        rows, table = self._loaded.rows(), self._loaded.table
        there = rows.column_names
        wanted = columns(there)
        missing = [name for name in dict.fromkeys(wanted) if name in there and name not in table.column_names]
        if missing and self._whole:
            return load_lean(self._resources, self._source, lambda _: (*USED, *wanted))
        if len(missing) > FEW:
            return replace(self._loaded, table=rows.read_columns(missing))
        for name in missing:
            table = table.append_column(rows.schema.field(name), rows.column(name))
        return replace(self._loaded, table=table)

    def _read_all(self) -> Loaded:
        """The rows with all columns in memory."""
        table = self.table
        return replace(self.loaded, table=table, rest=None)

    def _derive(
        self, loaded: Loaded, table: pa.Table, name: str, asked: Mapping[str, Any], **facts: str
    ) -> Self:
        """What a command has made of these rows, with that command in its history."""
        table = record_command(table, command_line(name, self._source, asked), facts)
        return type(self)(self._resources, replace(loaded, table=table), PIPED)

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        return int(self.loaded.table.num_rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets that the rows are of."""
        return self.loaded.names if self._names is None else self._names

    @cached_property
    def table(self) -> pa.Table:
        """All rows and columns, as MANIFEST describes them; paths as they are stored."""
        if self._loaded is None:
            self._keep(load(self._resources, self._source))
        return self.loaded.rows().to_table().select(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """The columns' names, types and descriptions, and the manifest's own metadata."""
        return self.loaded.rows().schema

    @property
    def history(self) -> tuple[str, ...]:
        """The command lines that made these rows, oldest first."""
        return tuple(json.loads(self.loaded.provenance.get("history", "[]")))

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: "int | slice") -> "Row | Self":
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            return self.take_rows(pa.array(range(start, stop, step), pa.int64()))
        if not -len(self) <= place < len(self):
            raise IndexError(f"row {place} of {len(self):,}")
        return next(self._rows_from(place % len(self), 1))

    def __iter__(self) -> Iterator[Row]:
        return self._rows_from(0, len(self))

    def _rows_from(self, start: int, count: int) -> Iterator[Row]:
        """So many rows from one on, some hundreds at a time."""
        from dermdata.manifest.image_files import ImageFinder

        finder = ImageFinder(self.loaded.roots)
        for begin in range(start, start + count, BLOCK):
            block = self.table.slice(begin, min(BLOCK, start + count - begin))
            images, masks = finder.column_paths(block), finder.column_paths(block, "mask_path")
            for values, path, mask in zip(
                block.to_pylist(maps_as_pydicts="strict"), images, masks, strict=True
            ):
                yield Row({**values, **({"path": path} if path else {})}, path, mask)

    def take_rows(self, which: "pa.Array | pa.ChunkedArray") -> Self:
        """The rows of these numbers, or those at which a boolean array is true."""
        table = self.loaded.table
        chosen = table.filter(which) if pa.types.is_boolean(which.type) else table.take(which)
        return type(self)(self._resources, replace(self.loaded, table=chosen), self._source)

    # ------------------------------------------------------------------ to be looked at

    def _repr_html_(self) -> str:
        """A notebook's view: the first rows with their pictures, a hundred pixels wide."""
        return show_rows(repr(self)[1:-1], self[:ROWS_SHOWN])

    def __repr__(self) -> str:
        whose = f" of {', '.join(self.names)}" if self.names else ""
        return f"<manifest of {count_nouns(len(self), 'image')}{whose}>"
