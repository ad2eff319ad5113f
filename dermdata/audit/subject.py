"""What is judged: the rows, what their image files are, and what the catalog says of their datasets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.agreement import Judge
from dermdata.audit.copies import Copies
from dermdata.audit.looking import Seen
from dermdata.finding import Finding, Level
from dermdata.model import Dataset, Label
from dermdata.projection import Statements, words_of

CheckSplit = Callable[[pa.Table], Sequence[Finding]]


@dataclass(frozen=True)
class Subject:
    """A manifest and all that the checks need to know of it; they change nothing."""

    table: pa.Table  # in the manifest's schema
    statements: Statements
    judge: Judge
    entries: Mapping[str, Dataset]  # of the rows' datasets, those that a catalog knows
    whole: frozenset[str] = frozenset()  # datasets of which every row is here
    seen: Sequence[Seen | None] | None = None  # by row; None: no image was looked at
    copies: tuple[Copies, ...] = ()
    check_split: CheckSplit | None = None  # what `split --check` finds
    _words: dict[str, list[Any]] = field(default_factory=dict)

    @cached_property
    def keys(self) -> list[str]:
        return names_of(self.table)

    def words(self, name: str) -> list[str | None]:
        """A column as text, by row."""
        if name not in self._words:
            self._words[name] = words_of(self.table, name).to_pylist()
        return self._words[name]

    def values(self, name: str) -> list[Any]:
        """A column's own values, by row."""
        if f"={name}" not in self._words:
            there = name in self.table.column_names
            self._words[f"={name}"] = self.table[name].to_pylist() if there else [None] * self.table.num_rows
        return self._words[f"={name}"]

    @cached_property
    def classes(self) -> list[str | None]:
        """The class of each row: `label` where a label space was asked for, else `diagnosis`."""
        return self.words("label" if "label" in self.table.column_names else "diagnosis")

    @cached_property
    def says(self) -> list[Label | None]:
        """What each row's label says."""
        found, place = self.statements.of(self.table)
        return [found[number] for number in place.tolist()]

    def shown(self, row: int) -> dict[str, str | None]:
        """A row's label as evidence."""
        return {name: self.words(name)[row] for name in ("label_raw", "diagnosis", "malignancy")}

    def datasets(self) -> list[str]:
        return sorted({name for name in self.words("dataset") if name is not None})

    def rows_of(self, dataset: str) -> list[int]:
        return [row for row, name in enumerate(self.words("dataset")) if name == dataset]

    def finding(
        self, level: Level, code: str, rows: Sequence[int], message: str, evidence: Mapping[str, Any]
    ) -> Finding:
        """A finding about these rows."""
        named = {name for row in rows if (name := self.words("dataset")[row])}
        keys = tuple(sorted(self.keys[row] for row in rows))
        return Finding(
            level=level,
            code=code,
            dataset=", ".join(sorted(named)) or None,
            keys=keys,
            message=message,
            evidence=evidence,
        )


def names_of(table: pa.Table) -> list[str]:
    """A name for every row: its key, else dataset and image, else its number."""
    joined = pc.binary_join_element_wise(words_of(table, "dataset"), words_of(table, "image_id"), "/")
    keys = pc.coalesce(words_of(table, "key"), joined, words_of(table, "image_id"))
    return [key if key is not None else f"row {row}" for row, key in enumerate(keys.to_pylist(), 1)]
