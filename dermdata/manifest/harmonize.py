"""One column at a time: from the source's words to the manifest's values; each distinct word once."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.crosswalks import Crosswalk, harmonize
from dermdata.manifest.schema import BY_NAME, EXTENSION_PATTERN, SCHEMA, WORDS
from dermdata.model import Content
from dermdata.vocabulary import Vocabulary

Note = Callable[[str, int], None]
RANGE = re.compile(r"([1-6])-([1-6])\Z")
YES_OR_NO = {"0": False, "1": True, "0.0": False, "1.0": True}
WHOLE = re.compile(r"([0-9]{1,3})(\.0*)?\Z")
IMAGE_FACTS = ("path", "sha256", "bytes", "width", "height", "format", "mode", "phash", "verified")
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?\Z")


def constant(word: str, count: int) -> pa.DictionaryArray:
    """The same word for every row."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), pa.array([word]))


def null_if(column: pa.Array, missing: Sequence[str]) -> pa.Array:
    """Words that mean "not known" become null."""
    return pc.if_else(pc.is_in(column, pa.array(missing, pa.string())), None, column)


def without_extension(column: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(column, EXTENSION_PATTERN, "")


def isic_id(column: pa.Array) -> pa.Array:
    """Canonical `ISIC_…`, null for anything else."""
    bare = pc.replace_substring_regex(without_extension(column), "_downsampled$", "")
    return pc.if_else(pc.match_substring_regex(bare, r"^ISIC_\d+$"), bare, None)


def namespaced(parts: Sequence[pa.Array], dataset: str, missing: Sequence[str]) -> pa.Array:
    """`dataset/id`, so that ids of two sources never meet; ISIC's own IP_ and IL_ ids stay.

    A key of several parts is null where one of them is: half a key would make one of many.
    """
    known = pc.binary_join_element_wise(*(null_if(part, ("", *missing)) for part in parts), "/")
    own = pc.match_substring_regex(known, r"^I[LP]_\d{7}$")
    return pc.if_else(own, known, pc.binary_join_element_wise(dataset, known, "/"))


def diagnosis(
    raw: pa.Array, field: str, crosswalk: Crosswalk, vocabulary: Vocabulary, unmapped: dict[str, int]
) -> dict[str, pa.Array]:
    """The harmonized diagnosis of raw label words; words without a crosswalk row are counted, never guessed."""
    encoded = raw.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    known = harmonize(field, [word for word in words if word], crosswalk, vocabulary)
    for word, count in counted(encoded):
        if word and word not in known:
            unmapped[f"{field}: {word}"] = unmapped.get(f"{field}: {word}", 0) + count
    rows = [known.get(word) for word in words]
    values: dict[str, list[Any]] = {
        "diagnosis": [row.diagnosis if row else None for row in rows],
        "diagnosis_name": [row.diagnosis_name if row else None for row in rows],
        "diagnosis_match": [row.match if row else None for row in rows],
        "malignancy": [row.malignancy if row else None for row in rows],
    }
    columns = {name: spread(encoded, found, WORDS) for name, found in values.items()}
    paths = [list(row.diagnosis_path) if row and row.diagnosis else None for row in rows]
    columns["diagnosis_path"] = spread(encoded, paths, pa.list_(pa.string()))
    return columns


def spread(encoded: pa.DictionaryArray, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The value of each row from the value of each distinct word."""
    if not pa.types.is_dictionary(kind):
        return pa.array(values, kind).take(encoded.indices)
    meanings = pa.array(values, kind.value_type).dictionary_encode()  # numbers are moved, not words
    return pa.DictionaryArray.from_arrays(meanings.indices.take(encoded.indices), meanings.dictionary)


def counted(encoded: pa.DictionaryArray) -> list[tuple[str, int]]:
    """Each distinct word with its number of rows."""
    counts = pc.value_counts(encoded.indices)
    words = encoded.dictionary.to_pylist()
    return [(words[one["values"]], one["counts"]) for one in counts.to_pylist() if one["values"] is not None]


class Words:
    """A source column, the catalog's map of its words, and the words that mean "not known"."""

    def __init__(self, column: pa.Array, values: Mapping[str, str], missing: Sequence[str]) -> None:
        self.column, self.values, self.missing = column, values, set(missing)
        self.encoded = column.dictionary_encode()

    def map(self, convert: Callable[[str], Any], kind: pa.DataType, unmapped: Note | None = None) -> pa.Array:
        """Convert each distinct word once; a word that `convert` refuses (ValueError) is noted and becomes null."""
        found: list[Any] = []
        counts = dict(counted(self.encoded)) if unmapped else {}
        for word in self.encoded.dictionary.to_pylist():
            meaning = self.values.get(word, word)
            if word in self.missing or not meaning:
                found.append(None)
                continue
            try:
                found.append(convert(meaning))
            except ValueError:
                found.append(None)
                if unmapped:
                    unmapped(word, counts.get(word, 0))
        return spread(self.encoded, found, kind)

    def plain(self, kind: pa.DataType) -> pa.Array:
        return self.map(str, kind) if pa.types.is_dictionary(kind) else self.map(str, pa.string()).cast(kind)

    def chosen(self, allowed: Sequence[str], unmapped: Note) -> pa.Array:
        """One of a closed set of words; the source's own spelling of them in any case is accepted."""

        def choose(word: str) -> str:
            if word.casefold() not in allowed:
                raise ValueError(word)
            return word.casefold()

        return self.map(choose, WORDS, unmapped)

    def body_sites(self, known: Mapping[str, str], unmapped: Note) -> dict[str, pa.Array]:
        def site(word: str) -> str:
            if word not in known:
                raise ValueError(word)
            return known[word]

        return {
            "body_site": self.map(site, WORDS, unmapped),
            "body_site_raw": null_if(self.column, ("",)),
        }

    def ages(self) -> dict[str, pa.Array]:
        """Years where the word is a plain number; any other word is kept as it stands in `age_raw`."""
        years = self.map(years_of, pa.float32())
        raw = null_if(self.column, ("", *self.missing))
        return {"age": years, "age_raw": pc.if_else(pc.is_null(years), raw, None)}

    def whole_numbers(self, kind: pa.DataType, limits: tuple[int, int], unmapped: Note) -> pa.Array:
        return self.map(lambda word: whole_number(word, *limits), kind, unmapped)

    def ranges(self, kind: pa.DataType, unmapped: Note) -> pa.Array:
        return self.map(range_of, kind, unmapped)


def years_of(word: str) -> float:
    """A plausible age in years; ValueError otherwise (0-130, as reported)."""
    if not NUMBER.match(word) or float(word) > 130:
        raise ValueError(word)
    return float(word)


def whole_number(word: str, least: int, most: int) -> int:
    """A small whole number, also where the source writes 2.0; ValueError otherwise."""
    found = WHOLE.match(word)
    if not found or not least <= int(found[1]) <= most:
        raise ValueError(word)
    return int(found[1])


def range_of(word: str) -> list[int]:
    """`1-2` -> [1, 2]."""
    found = RANGE.match(word)
    if not found or found[1] > found[2]:
        raise ValueError(word)
    return list(range(int(found[1]), int(found[2]) + 1))


def first_known(*columns: pa.Array) -> pa.Array:
    """Words of the first column that has one."""
    return pc.coalesce(*(column.cast(pa.string()) for column in columns)).cast(WORDS)


def image_columns(
    found: Sequence[Content | None], problems: Sequence[str | None], coverage: Mapping[str, bool | None]
) -> dict[str, pa.Array]:
    """What is known of each row's image file; `coverage` says of its catalog file whether a checksum covers it."""
    if not any(found):
        none = {name: pa.nulls(len(found), SCHEMA.field(name).type) for name in IMAGE_FACTS}
        return none | {"image_problem": pa.array(problems, pa.string())}
    facts = [content.image if content else None for content in found]
    return {
        "path": pa.array([one.path if one else None for one in found], pa.string()),
        "sha256": pa.array([one.sha256 if one else None for one in found], pa.string()),
        "bytes": pa.array([one.size if one else None for one in found], pa.int64()),
        "width": pa.array([one.width if one else None for one in facts], pa.int32()),
        "height": pa.array([one.height if one else None for one in facts], pa.int32()),
        "format": pa.array([one.format if one else None for one in facts], pa.string()).cast(WORDS),
        "mode": pa.array([one.mode if one else None for one in facts], pa.string()).cast(WORDS),
        "image_problem": pa.array(problems, pa.string()),
        "verified": pa.array([coverage.get(one.file) if one else None for one in found], pa.bool_()),
        "phash": pa.array([one.phash or None if one else None for one in facts], SCHEMA.field("phash").type),
    }


def other_words(columns: Mapping[str, pa.Array], count: int) -> pa.Array:
    """A map of the non-empty words of each row, in the columns' order; null where a row has none."""
    if not columns:
        return pa.nulls(count, BY_NAME)
    import numpy as np

    filled = [pc.not_equal(cells, "").to_numpy(zero_copy_only=False) for cells in columns.values()]
    present = np.stack(filled, axis=1)
    row, column = np.nonzero(present)  # row by row
    words = pa.concat_arrays(list(columns.values())).take(pa.array(column * count + row))
    names = pa.array(list(columns)).take(pa.array(column))
    sizes = present.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype("int32")
    empty = np.append(sizes == 0, False)  # the last offset is no row's
    return pa.MapArray.from_arrays(pa.array(offsets, mask=empty), names, words).cast(BY_NAME)


def concepts(columns: Mapping[str, pa.Array], count: int) -> pa.Array:
    """A map of clinical concept -> present, for each row; a cell that is neither 0 nor 1 is left out."""
    yes_or_no = {name: [YES_OR_NO.get(word) for word in cells.to_pylist()] for name, cells in columns.items()}
    rows = [
        [(name, values[row]) for name, values in yes_or_no.items() if values[row] is not None]
        for row in range(count)
    ]
    return pa.array([row or None for row in rows], SCHEMA.field("concepts").type)


def is_yes_or_no(cells: pa.Array) -> bool:
    """Whether a concept's column says nothing that the map does not."""
    return set(cells.unique().to_pylist()) <= {*YES_OR_NO, ""}
