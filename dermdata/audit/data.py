"""`AuditData` holds what the checks judge: the rows, what their image files are, and the catalog's entries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.audit.duplicate_groups import DuplicateGroup
from dermdata.audit.inspection import Inspection
from dermdata.crosswalks.extents import LabelComparer
from dermdata.manifest.columns import shared_words, text_column
from dermdata.model import Dataset, Finding, Label, Level
from dermdata.projection import LabelStatements

CheckSplit = Callable[[pa.Table], Sequence[Finding]]


@dataclass(frozen=True)
class AuditData:
    """A manifest and all that the checks need to know of it; they change nothing."""

    table: pa.Table  # in the manifest's schema
    statements: LabelStatements
    judge: LabelComparer
    entries: Mapping[str, Dataset]  # of the rows' datasets, those that a catalog knows
    complete_datasets: frozenset[str] = frozenset()  # datasets of which every row is here
    fetched_roles: Mapping[str, Collection[str]] = field(
        default_factory=dict
    )  # the files of each that are here
    inspections: Sequence[Inspection | None] | None = None  # by row; None: no image was inspected
    duplicates: tuple[DuplicateGroup, ...] = ()
    check_split: CheckSplit | None = None  # what `split --check` finds
    _columns: dict[str, list[Any]] = field(default_factory=dict)

    @cached_property
    def keys(self) -> list[str]:
        return row_names(self.table)

    def text_column(self, name: str) -> list[str | None]:
        """A column as text, by row."""
        if name not in self._columns:
            self._columns[name] = shared_words(text_column(self.table, name))
        return self._columns[name]

    def value_column(self, name: str) -> list[Any]:
        """A column's own values, by row."""
        if f"={name}" not in self._columns:
            there = name in self.table.column_names
            values = self.table[name].to_pylist() if there else [None] * self.table.num_rows
            self._columns[f"={name}"] = values
        return self._columns[f"={name}"]

    @cached_property
    def orientations(self) -> list[int]:
        """EXIF's number of the turn of each row's image; 1 where there is none, or no image was inspected."""
        return [one.look.orientation if one else 1 for one in self.inspections or ()]

    @cached_property
    def classes(self) -> list[str | None]:
        """The class of each row: `label` where a label space was asked for, else `diagnosis`."""
        return self.text_column("label" if "label" in self.table.column_names else "diagnosis")

    @cached_property
    def row_labels(self) -> list[Label | None]:
        """What each row's label says."""
        found, place = self.statements.find_statements(self.table)
        return [found[number] for number in place.tolist()]

    def label_evidence(self, row: int) -> dict[str, str | None]:
        """A row's label as evidence."""
        return {name: self.text_column(name)[row] for name in ("label_raw", "diagnosis", "malignancy")}

    def distinct_values(self, name: str, rows: Sequence[int]) -> list[str]:
        """The words that these rows have in a column, sorted."""
        return sorted({value for row in rows if (value := self.text_column(name)[row]) is not None})

    def repeated_values(self, name: str) -> dict[str, list[int]]:
        """Each word of a column that several rows have, and its rows."""
        found: dict[str, list[int]] = {}
        for row, value in enumerate(self.text_column(name)):
            if value is not None:
                found.setdefault(value, []).append(row)
        return {value: rows for value, rows in found.items() if len(rows) > 1}

    def dataset_names(self) -> list[str]:
        return sorted({name for name in self.text_column("dataset") if name is not None})

    def dataset_rows(self, dataset: str) -> list[int]:
        return [row for row, name in enumerate(self.text_column("dataset")) if name == dataset]

    def make_finding(
        self, level: Level, code: str, rows: Sequence[int], message: str, evidence: Mapping[str, Any]
    ) -> Finding:
        """A finding about these rows."""
        named = {name for row in rows if (name := self.text_column("dataset")[row])}
        keys = tuple(sorted(self.keys[row] for row in rows))
        return Finding(
            level=level,
            code=code,
            dataset=", ".join(sorted(named)) or None,
            keys=keys,
            message=message,
            evidence=evidence,
        )


def row_names(table: pa.Table) -> list[str]:
    """A name for every row: its key, else dataset and image, else its number."""
    joined = pc.binary_join_element_wise(text_column(table, "dataset"), text_column(table, "image_id"), "/")
    keys = pc.coalesce(text_column(table, "key"), joined, text_column(table, "image_id"))
    return [key if key is not None else f"row {row}" for row, key in enumerate(keys.to_pylist(), 1)]
