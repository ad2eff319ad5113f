"""Facets are the ways in which pictures are told apart: each row has one code of each, and codes are counted.

Counting is a `bincount` over small integers, so that 400,000 rows are counted anew at each click.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.manifest.columns import text_column
from dermdata.manifest.schema import FITZPATRICK_TYPES, USUAL_PARTS

Mask = NDArray[np.bool_]
Codes = NDArray[np.int32]
NOT_STATED, BLANK = "not stated", "(blank)"
DECADE = 10  # years
NO_FILE = "no image file"
MOST_VALUES = 400  # of a facet that are listed
MOST_LETTERS = 200  # of a value: longer words of a stranger's table are told apart by their beginning
MOST_YEARS = 120
NO_AGE, NO_AGE_TITLE = "no age", f"no age of a person (0 to {MOST_YEARS})"


@dataclass(frozen=True)
class Facet:
    """One way to tell rows apart."""

    name: str
    title: str
    values: tuple[Any, ...]  # by code; None: not stated
    titles: tuple[str, ...]  # by code
    codes: Codes  # [rows]
    parents: Codes | None = None  # by code; -1: the top; a parent's code is smaller than its children's

    @property
    def kind(self) -> Literal["list", "tree"]:
        """Whether values lie below others."""
        return "list" if self.parents is None else "tree"

    @property
    def is_stated(self) -> bool:
        """Whether any row has a value."""
        return any(value is not None for value in self.values)

    def find_rows(self, wanted: Collection[Any]) -> Mask:
        """The rows that have one of these values, or one below it."""
        chosen = np.array([value in wanted for value in self.values], bool)
        if self.parents is not None:
            for code, parent in enumerate(self.parents.tolist()):
                chosen[code] |= parent >= 0 and chosen[parent]
        return np.asarray(chosen[self.codes])

    def count_values(
        self, rows: Mask, wanted: Collection[Any] = (), find: str = ""
    ) -> tuple[list[dict[str, Any]], int]:
        """Count the values that these rows have, in the facet's order; of very many the most frequent ones.

        Parameters
        ----------
        rows : numpy.ndarray
            Which rows are counted.
        wanted : collection
            Values that are listed in any case: those that are chosen.
        find : str
            Only values whose title contains this, in any case; in a tree with what is above them.

        Returns
        -------
        list of dict
            `value`, `title`, `count`, and in a tree `depth`.
        int
            How many more there are beyond MOST_VALUES.

        """
        counts = self._count_codes(rows)
        there = counts > 0
        if find:
            there &= self._find_titles(find)
        codes = np.flatnonzero(there)
        if len(codes) > MOST_VALUES:  # of equals the first: in a tree, what lies above
            listed = np.zeros(len(counts), bool)
            listed[codes[np.argsort(-counts[codes], kind="stable")[:MOST_VALUES]]] = True
            listed |= self._add_parents(there & np.array([value in wanted for value in self.values], bool))
            codes = np.flatnonzero(listed)
        depths = self._depths
        values = [
            {"value": self.values[code], "title": self.titles[code], "count": int(counts[code])}
            | ({} if depths is None else {"depth": depths[code]})
            for code in codes.tolist()
        ]
        return values, int(there.sum()) - len(values)

    def _count_codes(self, rows: Mask) -> NDArray[np.int64]:
        """How many rows have each code, or one below it."""
        counts = np.bincount(self.codes[rows], minlength=len(self.values))
        if self.parents is not None:
            for code in range(len(counts) - 1, -1, -1):
                if self.parents[code] >= 0:
                    counts[self.parents[code]] += counts[code]
        return counts

    def _find_titles(self, text: str) -> Mask:
        """The codes whose title contains a text, in a tree with those above them."""
        wanted = text.casefold()
        return self._add_parents(np.array([wanted in title for title in self._folded], bool))

    def _add_parents(self, chosen: Mask) -> Mask:
        """These codes and all above them."""
        if self.parents is not None:
            for code in range(len(chosen) - 1, -1, -1):
                if chosen[code] and self.parents[code] >= 0:
                    chosen[self.parents[code]] = True
        return chosen

    @cached_property
    def _folded(self) -> list[str]:
        """The titles as they are searched."""
        return [title.casefold() for title in self.titles]

    @cached_property
    def _depths(self) -> list[int] | None:
        """How far below the top each value lies."""
        if self.parents is None:
            return None
        found: list[int] = []
        for parent in self.parents.tolist():
            found.append(found[parent] + 1 if parent >= 0 else 0)
        return found


def code_words(
    name: str,
    title: str,
    words: pa.Array | pa.ChunkedArray,
    names: Mapping[str, str] | Callable[[str], str] | None = None,
    order: Sequence[Any] = (),
) -> Facet:
    """A facet of a column's words: those of `order` first, then the most frequent first, and what is not stated last."""
    encoded = shorten_words(words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words)
    found = encoded.dictionary.to_pylist()
    codes = pc.fill_null(encoded.indices.cast(pa.int32()), len(found)).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(found) + 1).tolist()
    ranks = {value: rank for rank, value in enumerate(order)}
    used = sorted(
        (code for code in range(len(found)) if counts[code]),
        key=lambda code: (ranks.get(found[code], len(ranks)), -counts[code], str(found[code])),
    )
    places = np.full(len(found) + 1, len(used), np.int32)
    places[used] = np.arange(len(used), dtype=np.int32)
    values = [found[code] for code in used]
    titles = [find_title(value, names) for value in values]
    return Facet(name, title, (*values, None), (*titles, NOT_STATED), places[codes])


def shorten_words(words: pa.Array) -> pa.DictionaryArray:
    """The words as codes; of those that are too long for a page, the beginning."""
    encoded = pc.dictionary_encode(words)
    plain = encoded.dictionary
    if (
        not pa.types.is_string(plain.type)
        or not pc.any(pc.greater(pc.utf8_length(plain), MOST_LETTERS)).as_py()
    ):
        return encoded
    beginnings = pc.binary_join_element_wise(pc.utf8_slice_codeunits(plain, 0, MOST_LETTERS), "…", "")
    shorter = pc.if_else(pc.greater(pc.utf8_length(plain), MOST_LETTERS), beginnings, plain)
    return pc.dictionary_encode(shorter.take(encoded.indices))


def find_title(value: Any, names: Mapping[str, str] | Callable[[str], str] | None) -> str:
    """What a value is called."""
    title = names(value) if callable(names) else (names or {}).get(value, str(value))
    return title if title.strip() else BLANK


def code_tree(
    name: str, title: str, words: pa.Array, path: Callable[[str], Sequence[str]], names: Callable[[str], str]
) -> Facet:
    """A facet of concepts, each below its parents; `path` gives the concepts from the root down to one."""
    flat = code_words(name, title, words)
    paths = [tuple(path(value)) for value in flat.values[:-1]]  # the last one is none
    ordered = list_nodes(paths, names)
    place = {node: code for code, node in enumerate(ordered)}
    parents = [place.get(node[:-1], -1) for node in ordered]
    codes = np.array([*map(place.__getitem__, paths), len(ordered)], np.int32)
    return Facet(
        name,
        title,
        (*(node[-1] for node in ordered), None),
        (*(find_title(node[-1], names) for node in ordered), NOT_STATED),
        codes[flat.codes],
        np.array([*parents, -1], np.int32),
    )


def list_nodes(paths: Iterable[tuple[str, ...]], names: Callable[[str], str]) -> list[tuple[str, ...]]:
    """The paths with all above them, by names: each parent before its children."""
    nodes = {one[:end] for one in paths for end in range(1, len(one) + 1)}
    return sorted(nodes, key=lambda node: tuple(map(names, node)))


def code_decades(table: pa.Table) -> Facet:
    """Ages by decade; those that no person has, and numbers that are none, stand together at the end."""
    ages = table["age"].combine_chunks().cast(pa.float64())
    stated = pc.is_valid(ages).to_numpy(zero_copy_only=False)
    years = pc.fill_null(ages, 0.0).to_numpy(zero_copy_only=False)
    possible = (years >= 0) & (years <= MOST_YEARS)
    decades = np.where(possible, years, 0).astype(np.int32) // DECADE
    numbers = np.where(stated, np.where(possible, decades, MOST_YEARS), -1)
    used = [number for number in np.unique(numbers).tolist() if number >= 0]
    places = np.full(MOST_YEARS + 2, len(used), np.int32)  # the last one is that of -1
    places[used] = np.arange(len(used), dtype=np.int32)
    values = [NO_AGE if number == MOST_YEARS else number * DECADE for number in used]
    titles = [one if one != NO_AGE else NO_AGE_TITLE for one in map(name_decade, values)]
    return Facet("age", "age", (*values, None), (*titles, NOT_STATED), places[numbers])


def name_decade(first: Any) -> str:
    """The years from one on."""
    return first if isinstance(first, str) else f"{first}–{first + DECADE - 1}"


def code_problems(table: pa.Table) -> Facet:
    """What is wrong with image files; a row without a file has that problem."""
    problems = text_column(table, "image_problem")
    missing = pc.and_(pc.is_null(text_column(table, "path")), pc.is_null(problems))
    words = pc.if_else(missing, pa.scalar(NO_FILE), problems)
    found = code_words("problem", "problem", words)
    return Facet("problem", "problem", found.values, (*found.titles[:-1], "none"), found.codes)


def code_flags(name: str, title: str, flags: Mask, words: tuple[str, str]) -> Facet:
    """A facet of yes and no."""
    return Facet(name, title, (True, False), words, np.where(flags, 0, 1).astype(np.int32))


def has_masks(table: pa.Table) -> Mask:
    """Whether each row has a mask."""
    found = pc.is_valid(text_column(table, "mask_path")).to_numpy(zero_copy_only=False).copy()
    if "masks" in table.column_names:
        masks = table["masks"].combine_chunks()
        found |= pc.fill_null(pc.list_value_length(masks.cast(plain_list(masks.type))), 0).to_numpy() > 0
    return np.asarray(found, bool)


def plain_list(kind: pa.DataType) -> pa.DataType:
    """The list that a map is."""
    return pa.list_(pa.struct([pa.field("key", kind.key_type, nullable=False), ("value", kind.item_type)]))


@dataclass(frozen=True)
class Names:
    """How concepts and body sites are called, and where concepts lie."""

    concept: Callable[[str], str]
    path: Callable[[str], Sequence[str]]
    sites: Mapping[str, str]


def make_facets(table: pa.Table, names: Names) -> list[Facet]:
    """All facets of a manifest's rows; those that no row has a value of are left out."""
    split = "split" if column_is_stated(table, "split") else "split_official"
    found = [
        code_words("dataset", "dataset", text_column(table, "dataset")),
        code_tree("diagnosis", "diagnosis", text_column(table, "diagnosis"), names.path, names.concept),
        *list_words(table, ("label", "malignancy")),
        code_types(table),
        *list_words(table, ("sex",)),
        code_decades(table),
        code_words("body_site", "body site", text_column(table, "body_site"), names.sites),
        *list_words(table, ("modality",)),
        code_words("split", "part of the split", text_column(table, split), order=USUAL_PARTS),
        code_problems(table),
        *list_words(table, ("license",)),
        code_flags("masks", "mask", has_masks(table), ("with a mask", "without")),
    ]
    return [one for one in found if is_useful(one)]


def is_useful(facet: Facet) -> bool:
    """Whether some row has a value, and not all rows have `no`."""
    return facet.is_stated and not (facet.name == "masks" and facet.codes.all())


def list_words(table: pa.Table, columns: Iterable[str]) -> list[Facet]:
    """A facet for each of these columns that the table has."""
    return [
        code_words(name, name, text_column(table, name)) for name in columns if name in table.column_names
    ]


def code_types(table: pa.Table) -> Facet:
    """Fitzpatrick skin types."""
    words = table["fitzpatrick"].combine_chunks().cast(pa.int32())
    return code_words(
        "fitzpatrick",
        "Fitzpatrick skin type",
        words,
        name_type,
        range(1, len(FITZPATRICK_TYPES) + 1),
    )


def name_type(number: Any) -> str:
    """A skin type's Roman number; that a number is none."""
    there = 1 <= number <= len(FITZPATRICK_TYPES)
    return FITZPATRICK_TYPES[number - 1] if there else f"{number} (no such type)"


def column_is_stated(table: pa.Table, name: str) -> bool:
    """Whether any row has a value in this column."""
    return name in table.column_names and table[name].null_count < table.num_rows
