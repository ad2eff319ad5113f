"""The rows that are looked at, in memory: which of them a query leaves, in which order, and what a tile shows.

A query joins a condition, facets, a text and a cell of the confusion matrix. Each part is a mask over all rows, so that
a facet can be counted without its own choice.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.browse.facets import (
    MOST_LETTERS,
    NO_FILE,
    Codes,
    Facet,
    Mask,
    Names,
    column_is_stated,
    make_facets,
)
from dermdata.browse.similar import group_alike
from dermdata.errors import UsageError
from dermdata.images.thumbnails import is_sensitive
from dermdata.manifest.columns import text_column
from dermdata.manifest.exclusions import is_listable, row_keys

Rows = NDArray[np.integer[Any]]
Floats = NDArray[np.float32]
SEARCHED = ("key", "isic_id", "lesion_id", "patient_id")
GROUPS = {"lesion": "lesion_id", "patient": "patient_id"}
ALIKE = "alike"  # near duplicates, and no other rows
GROUP_TITLES = {"lesion": "by lesion", "patient": "by patient", ALIKE: "near duplicates only"}
TILE_COLUMNS = (
    "key", "image_id", "dataset", "diagnosis_name", "label_raw", "label", "split", "split_official", "image_problem",
    "path", "width", "height", "modality", "body_site", "mask_path", "masks", "lesion_id", "patient_id",
)  # fmt: skip
NEEDED_COLUMNS = (
    *TILE_COLUMNS, "isic_id", "diagnosis", "malignancy", "age", "sex", "fitzpatrick", "license", "sha256", "phash",
)  # fmt: skip
MOST_SECONDS = 20  # that a condition waits for another one
KEPT_ANSWERS = 24  # to parts of queries
PREDICTIONS_HINT = "start with --predictions FILE"
SORTS = {
    "manifest": "as in the manifest",
    "key": "name",
    "diagnosis": "diagnosis",
    "age": "age",
    "split": "part of the split",
    "size": "pixels",
}


@dataclass(frozen=True)
class PictureQuery:
    """Which rows are asked for; hashable, so that its answer can be kept."""

    where: str | None = None
    filters: tuple[tuple[str, tuple[Any, ...]], ...] = ()  # a facet, and the values of which rows have one
    search: str = ""
    marked: bool | None = None
    cell: tuple[str, str] | None = None  # the class that is true, and the one predicted


@dataclass(frozen=True)
class RowPredictions:
    """What a model says of each row; -1 and NaN where it says nothing, or the row has no class."""

    classes: tuple[str, ...]
    truth: Codes  # [rows]
    decision: Codes  # [rows]
    true_score: Floats  # [rows]: the probability of the class that is true
    places: Rows  # [rows]: the row of `scores`
    scores: Floats | None  # [judged, classes]

    def find_cell(self, truth: str, decision: str) -> Mask:
        """The rows of one cell of the confusion matrix."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.asarray(
            (self.truth == numbers.get(truth, -2)) & (self.decision == numbers.get(decision, -2))
        )

    def count_cells(self, rows: Mask) -> list[list[int]]:
        """The confusion matrix of these rows: a line for each class that is true."""
        size = len(self.classes)
        judged = rows & (self.truth >= 0)
        cells = np.bincount(self.truth[judged] * size + self.decision[judged], minlength=size * size)
        matrix: list[list[int]] = cells.reshape(size, size).tolist()
        return matrix

    def judge_rows(self, rows: Mask) -> dict[str, Any]:
        """The confusion matrix of these rows, how many were judged, how many of them right, and their share."""
        matrix = self.count_cells(rows)
        judged = sum(map(sum, matrix))
        right = sum(matrix[code][code] for code in range(len(matrix)))
        return {"matrix": matrix, "n": judged, "right": right, "accuracy": right / judged if judged else None}

    def judge_groups(self, facet: Facet, rows: Mask, most: int) -> tuple[list[dict[str, Any]], int]:
        """What `judge_rows` says of each value of a facet, at most of the `most` largest, and how many more there are."""
        values, more = facet.count_values(rows & (self.truth >= 0))
        largest = sorted(range(len(values)), key=lambda place: -values[place]["count"])[:most]
        groups = [
            {name: one for name, one in values[place].items() if name != "count"}
            | self.judge_rows(rows & facet.find_rows({values[place]["value"]}))
            for place in sorted(largest)
        ]
        return groups, len(values) + more - len(groups)


class KeptAnswer:
    """An answer that is found once, by whoever asks first; an error is no answer."""

    def __init__(self) -> None:
        self._finding = threading.Lock()
        self._found: list[Any] = []

    def get(self, make: Callable[[], Any]) -> Any:
        """The answer."""
        with self._finding:
            if not self._found:
                self._found.append(make())
            return self._found[0]


@dataclass
class Marks:
    """The rows that are marked; a number that grows with each change."""

    rows: Mask
    version: int = 0


@dataclass
class PictureIndex:
    """The rows with their facets; `judge` gives the rows for which a condition is true."""

    table: pa.Table
    names: Names
    judge: Callable[[str], Rows]
    predictions: RowPredictions | None = None
    facets: Mapping[str, Facet] = field(init=False)
    marks: Marks = field(init=False)

    def __post_init__(self) -> None:
        for name in self.table.column_names:  # what a caller has read beside them is not needed
            if name not in NEEDED_COLUMNS:
                self.table = self.table.drop_columns([name])
        found = make_facets(self.table, self.names)
        if self.predictions:
            found.append(make_predicted(self.predictions))
        self.facets = {one.name: one for one in found}
        self.marks = Marks(np.zeros(self.table.num_rows, bool))
        self._kept: OrderedDict[Any, KeptAnswer] = OrderedDict()
        self._lock = threading.Lock()
        self._codes: dict[str, Rows] = {}
        self._other_names = find_other_names(self.table)
        self._grouping, self._judging = threading.Lock(), threading.Lock()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def sorts(self) -> dict[str, str]:
        """The orders that there are, each with what it is called."""
        return SORTS | ({"worst": "worst predictions"} if self.predictions else {})

    @property
    def groups(self) -> list[str]:
        """What rows can be grouped by."""
        found = [name for name, column in GROUPS.items() if column_is_stated(self.table, column)]
        return [*found, *([ALIKE] if column_is_stated(self.table, "phash") else [])]

    # ------------------------------------------------------------------ which rows

    def find_rows(self, query: PictureQuery, without: str | None = None) -> Mask:
        """The rows that a query leaves, all filters but that of the facet `without`."""
        found = self._base_rows(query)
        for name, values in query.filters:
            if name != without and name in self.facets:
                found = found & self._remember(
                    ("facet", name, values),
                    lambda: self.facets[name].find_rows(set(values)),  # noqa: B023  # called at once
                )
        return found

    def _base_rows(self, query: PictureQuery) -> Mask:
        """The rows that all but the facets leave."""
        found = np.ones(len(self), bool)
        if query.where:
            found &= self._remember(("where", query.where), lambda: self._judge(query.where or ""))
        if query.search:
            found &= self._remember(("search", query.search), lambda: self._search(query.search))
        if query.marked is not None:
            found &= self.marks.rows == query.marked
        if query.cell:
            if self.predictions is None:
                raise UsageError("there are no predictions", hint=PREDICTIONS_HINT)
            found &= self.predictions.find_cell(*query.cell)
        return found

    def _judge(self, where: str) -> Mask:
        found = np.zeros(len(self), bool)
        if not self._judging.acquire(timeout=MOST_SECONDS):
            raise UsageError("another condition is still being judged", hint="wait, or make it simpler")
        try:  # one at a time: its limit on memory is the whole process's
            found[self.judge(where)] = True
        finally:
            self._judging.release()
        pa.default_memory_pool().release_unused()  # what the columns of a condition took
        return found

    def _search(self, text: str) -> Mask:
        """The rows whose ids contain a text, in any case."""
        found = np.zeros(len(self), bool)
        for name in SEARCHED:
            column = text_column(self.table, name)
            hits = pc.match_substring(column, text, ignore_case=True)
            found |= pc.fill_null(hits, fill_value=False).to_numpy(zero_copy_only=False)
        return found

    def _remember(self, key: Any, make: Callable[[], Any]) -> Any:
        """The answer to a question that was asked before, or the new one; other questions do not wait for it."""
        with self._lock:
            answer = self._kept.setdefault(key, KeptAnswer())
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT_ANSWERS:
                self._kept.popitem(last=False)
        return answer.get(make)

    def count_facets(self, query: PictureQuery) -> list[dict[str, Any]]:
        """Each facet with its values' counts: of the rows that all other filters leave."""
        whole = self.find_rows(query)
        chosen = {name for name, _ in query.filters}
        return [
            self._count_facet(query, facet, self.find_rows(query, name) if name in chosen else whole)
            for name, facet in self.facets.items()
        ]

    def search_facet(self, query: PictureQuery, name: str, find: str) -> dict[str, Any]:
        """One facet as `count_facets` has it, with the values whose title contains a text."""
        return self._count_facet(query, self.facets[name], self.find_rows(query, name), find)

    def _count_facet(self, query: PictureQuery, facet: Facet, rows: Mask, find: str = "") -> dict[str, Any]:
        """A facet's values under a query, and how many more there are."""
        values, more = facet.count_values(rows, set(dict(query.filters).get(facet.name, ())), find)
        return {"name": facet.name, "title": facet.title, "kind": facet.kind, "values": values, "more": more}

    # ------------------------------------------------------------------ in which order

    def order_rows(self, query: PictureQuery, sort: str = "manifest", group: str | None = None) -> Rows:
        """The rows that a query leaves, sorted (`-` before the name: from the other end), those of a group together."""
        key = ("order", query, sort, group, self.marks.version if query.marked is not None else 0)
        mask = self.find_rows(query)
        order: Rows = self._remember(key, lambda: self._order(mask, sort, group).astype(np.int32))
        return order

    def _order(self, mask: Mask, sort: str, group: str | None) -> Rows:
        name, back = sort.removeprefix("-"), sort.startswith("-")
        rows = np.flatnonzero(mask)
        if name != "manifest":
            ranks, stated = self._ranks(name)
            ranks, stated = ranks[rows], stated[rows]
            rows = rows[np.lexsort((-ranks if back else ranks, ~stated))]
        elif back:
            rows = rows[::-1]
        if group is None:
            return rows
        codes = self.find_codes(group)
        if group == ALIKE:
            rows = rows[np.bincount(codes, minlength=len(self))[codes[rows]] > 1]
        return gather_groups(rows, codes[rows])

    def _ranks(self, name: str) -> tuple[NDArray[Any], Mask]:
        """A number for each row by which it is sorted, and whether it has a value at all."""
        if name == "worst" and self.predictions:
            score = self.predictions.true_score
            return np.nan_to_num(score, nan=2.0), ~np.isnan(score)
        if name == "size":
            pixels = pc.multiply(self.table["width"].cast(pa.int64()), self.table["height"].cast(pa.int64()))
            return number_column(pixels)
        if name == "age":
            return number_column(self.table["age"])
        if name == "key":
            column = text_column(self.table, "key")
            ranks = np.empty(len(self), np.int64)
            ranks[pc.sort_indices(column).to_numpy()] = np.arange(len(self))
            return ranks, pc.is_valid(column).to_numpy(zero_copy_only=False)
        facet = self.facets.get(name)
        if facet is None:
            return np.zeros(len(self), np.int64), np.ones(len(self), bool)
        return facet.codes, facet.codes < len(facet.values) - 1

    def find_codes(self, group: str) -> Rows:
        """A number for each row's group; found once."""
        with self._grouping:
            if group not in self._codes:
                codes = group_alike(self.table) if group == ALIKE else self.group_codes(group)
                self._codes[group] = codes.astype(np.int32)
                pa.default_memory_pool().release_unused()
            return self._codes[group]

    def group_codes(self, group: str) -> Rows:
        """A number for each row's lesion or patient; one of its own where it has none."""
        column = text_column(self.table, GROUPS[group])
        codes = pc.dictionary_encode(column).indices
        found: Rows = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        alone = found < 0
        found[alone] = len(self) + np.flatnonzero(alone)
        return found

    # ------------------------------------------------------------------ what a tile shows

    def describe_rows(self, rows: Rows | Sequence[int], group: str | None = None) -> list[dict[str, Any]]:
        """What the grid shows of these rows."""
        numbers = np.asarray(rows, np.int64)
        columns = [name for name in TILE_COLUMNS if name in self.table.column_names]
        cells = self.table.select(columns).take(pa.array(numbers)).to_pylist()
        return [self._describe(row, cell, group) for row, cell in zip(numbers.tolist(), cells, strict=True)]

    def _describe(self, row: int, cell: Mapping[str, Any], group: str | None) -> dict[str, Any]:
        found = {
            "row": row,
            "key": shorten(cell["key"]),
            "image_id": shorten(cell["image_id"]),
            "dataset": shorten(cell["dataset"]),
            "title": shorten(cell.get("diagnosis_name") or cell.get("label_raw") or ""),
            "label": shorten(cell.get("label")),
            "split": shorten(cell.get("split") or cell.get("split_official")),
            "problem": shorten(cell["image_problem"]) or (None if cell["path"] else NO_FILE),
            "width": cell["width"],
            "height": cell["height"],
            "blur": is_sensitive(cell["modality"], cell["body_site"]),
            "masks": (cell["mask_path"] is not None) + len(cell.get("masks") or ()),
            "marked": bool(self.marks.rows[row]),
            "group": shorten(self._name_group(row, cell, group)),
        }
        return found | self._predicted(row)

    def _name_group(self, row: int, cell: Mapping[str, Any], group: str | None) -> str | None:
        """What rows that belong together have in common."""
        if group == ALIKE:
            return str(self.find_codes(ALIKE)[row])
        return cell.get(GROUPS[group]) if group in GROUPS else None

    def _predicted(self, row: int) -> dict[str, Any]:
        one = self.predictions
        if one is None or one.decision[row] < 0:
            return {}
        score = one.true_score[row]
        return {
            "predicted": one.classes[one.decision[row]],
            "truth": one.classes[one.truth[row]],
            "score": None if np.isnan(score) else round(float(score), 4),
            "wrong": bool(one.decision[row] != one.truth[row]),
        }

    def find_group(self, row: int, group: str) -> Rows:
        """The other rows of a row's lesion or patient."""
        codes = self.find_codes(group)
        rows = np.flatnonzero(codes == codes[row])
        return np.asarray(rows[rows != row])

    def compare_rows(self, row: int, other: int) -> dict[str, bool | None]:
        """Whether two rows are of one lesion and of one patient; None where one of them does not say."""
        found: dict[str, bool | None] = {}
        for name, column in GROUPS.items():
            one, two = self.table[column][row], self.table[column][other]
            found[name] = one.equals(two) if one.is_valid and two.is_valid else None
        return found

    # ------------------------------------------------------------------ marks

    def mark_keys(self, keys: Sequence[str]) -> None:
        """Mark the rows of these keys, and no others; a row has its dataset and image id as a name besides."""
        self.marks = Marks(self._find_named(keys), self.marks.version + 1)

    def name_rows(self, rows: Sequence[int]) -> tuple[list[str], int]:
        """What a list calls these rows, each name once, and how many of them it cannot name."""
        keys = self.table["key"].take(pa.array(sorted(set(rows)), pa.int64())).to_pylist()
        names = [key for key in keys if key and is_listable(key)]
        return list(dict.fromkeys(names)), len(keys) - len(names)

    def list_other_names(self, rows: Sequence[int]) -> list[str]:
        """What else a list may call these rows."""
        if self._other_names is None:
            return []
        return [name for name in self._other_names.take(pa.array(rows, pa.int64())).to_pylist() if name]

    def count_named(self, names: Sequence[str]) -> int:
        """How many rows are called so."""
        return int(self._find_named(names).sum())

    def _find_named(self, names: Sequence[str]) -> Mask:
        wanted = pa.array(names, pa.string())
        found = pc.is_in(text_column(self.table, "key"), wanted, skip_nulls=True)
        if self._other_names is not None:
            found = pc.or_(found, pc.is_in(self._other_names, wanted, skip_nulls=True))
        return np.array(found.to_numpy(zero_copy_only=False), bool)


def find_other_names(table: pa.Table) -> pa.Array | None:
    """Each row's dataset and image id as a list names it; None where those are the keys."""
    names = row_keys(table)
    return None if names.equals(text_column(table, "key")) else names


def shorten(text: str | None) -> str | None:
    """A text for a tile; of a very long one the beginning."""
    return text if text is None or len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


def number_column(column: pa.ChunkedArray) -> tuple[NDArray[Any], Mask]:
    """A column's numbers, and which rows have one; NaN is none."""
    values = pc.fill_null(column.combine_chunks().cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return np.nan_to_num(values), ~np.isnan(values)


def gather_groups(rows: Rows, codes: Rows) -> Rows:
    """The rows of a group one after another, groups by their first row."""
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    return np.asarray(rows[np.argsort(first[group], kind="stable")])


def make_predicted(predictions: RowPredictions) -> Facet:
    """Whether the model is right."""
    wrong = np.where(predictions.decision < 0, 2, (predictions.decision != predictions.truth).astype(int))
    titles = ("right", "wrong", "not judged")
    return Facet("prediction", "prediction", ("right", "wrong", None), titles, wrong.astype(np.int32))
