"""Converts source columns, one at a time, to the manifest's values; each distinct word is converted once.

Graded labels, as SCIN gives them, are a Python literal {word: weight}, which is parsed and never run.
"""

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.closed_words import CLOSED_WORDS
from dermdata.crosswalks import (
    Crosswalk,
    Differential,
    HarmonizedLabel,
    build_differential,
    harmonize_words,
)
from dermdata.manifest.parquet import ROW_GROUP
from dermdata.manifest.schema import (
    EXTENSION_PATTERN,
    FACT_COLUMNS,
    FITZPATRICK_TYPES,
    SCHEMA,
    TEXT,
    TEXT_MAP,
    WORDS,
)
from dermdata.manifest.several_values import (
    UNIT,
    LabelColumns,
    find_listed_concepts,
    join_sites,
    read_probabilities,
)
from dermdata.model import NOTHING, Content
from dermdata.readers.typed_cells import NOTHING_WORDS, TRUTHS, clean_ids, is_nothing
from dermdata.vocabulary import Vocabulary

RecordUnmapped = Callable[[str, int], None]
SKIN_TYPES = {roman: number for number, roman in enumerate(FITZPATRICK_TYPES, 1)}
# what people write before a skin type
SKIN_WORDS = {"fitzpatrick", "fst", "skin", "type", "phototype", "typ", "hauttyp", "tipo", "fototipo"}
ABSENT, PRESENT = "absent", "present"
WHOLE_NUMBER = re.compile(r"([0-9]{1,3})([.,]0*)?\Z")
CONTENT_COLUMNS = {"path": "path", "sha256": "sha256", "bytes": "size"}  # column -> attribute of a Content
DIAGNOSIS_COLUMNS = {  # column -> attribute of a HarmonizedLabel
    "diagnosis": "diagnosis",
    "diagnosis_name": "diagnosis_name",
    "diagnosis_match": "match",
    "malignancy": "malignancy",
    "malignancy_source": "malignancy_source",
}
NUMBER = re.compile(r"[0-9]+([.,][0-9]+)?\Z")
LONGEST_CELL = 20_000  # characters of one cell


def constant_column(word: str, count: int) -> pa.DictionaryArray:
    """The same word for every row."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), pa.array([word]))


def null_if(column: pa.Array, missing: Sequence[str]) -> pa.Array:
    """Words that mean "not known" become null."""
    return pc.if_else(pc.is_in(column, pa.array(missing, pa.string())), None, column)


def translate_words(column: pa.Array, words: Mapping[str, str]) -> pa.Array:
    """The column with the catalog's own words in place of the source's; the others stay."""
    if not words:
        return column
    return SourceColumn(column, words, ()).convert_words(str, pa.string()).fill_null("")


def strip_extension(column: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(column, EXTENSION_PATTERN, "")


def fill_template(template: str, rows: pa.Table, image_ids: pa.Array) -> list[str]:
    """Each row's file name: {image_id} and the source's columns filled in, image names without ending."""
    names = re.findall(r"\{([^{}]+)\}", template)
    cells = {name: image_ids if name == "image_id" else strip_extension(rows[name]) for name in names}
    words = {name: column.to_pylist() for name, column in cells.items()}
    return [
        re.sub(r"\{([^{}]+)\}", lambda found, row=row: words[found[1]][row], template)  # type: ignore[misc]  # bound for this row
        for row in range(rows.num_rows)
    ]


def canonical_isic_ids(column: pa.Array) -> pa.Array:
    """Canonical `ISIC_…`, null for anything else."""
    bare = pc.replace_substring_regex(strip_extension(column), "_downsampled$", "")
    return pc.if_else(pc.match_substring_regex(bare, r"^ISIC_\d+$"), bare, None)


def namespace_ids(parts: Sequence[pa.Array], dataset: str, missing: Sequence[str]) -> pa.Array:
    """`dataset/id`, so that ids of two sources never meet; ISIC's own IP_ and IL_ ids stay.

    A key of several parts is null where one of them is: half a key would make one of many.
    """
    known = pc.binary_join_element_wise(*(clean_ids(null_if(part, ("", *missing))) for part in parts), "/")
    own = pc.match_substring_regex(known, r"^I[LP]_\d{7}$")
    return pc.if_else(own, known, pc.binary_join_element_wise(dataset, known, "/"))


def diagnosis_columns(
    raw: pa.Array, field: str, crosswalk: Crosswalk, vocabulary: Vocabulary, unmapped: dict[str, int]
) -> dict[str, pa.Array]:
    """The harmonized diagnosis of raw label words; words without a crosswalk row are counted, never guessed."""
    encoded = raw.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    known = harmonize_words(field, filter(None, words), crosswalk, vocabulary)
    for word, count in count_encoded_words(encoded):
        if word and word not in known:
            add_count(unmapped, f"{field}: {word}", count)
    return expand_labels(encoded, [known.get(word) for word in words])


def several_diagnoses(labels: LabelColumns, known: pa.Array, rows: pa.Table) -> dict[str, pa.Array]:
    """The diagnosis of rows whose labels are several: what is surely true of all."""
    further = [rows[column].combine_chunks() for column in labels.fields[1:]]
    encoded = pc.binary_join_element_wise(pc.fill_null(known, ""), *further, UNIT).dictionary_encode()
    counts = dict(count_encoded_words(encoded))
    return expand_labels(
        encoded, [labels.harmonize(one, counts[one]) for one in encoded.dictionary.to_pylist()]
    )


def expand_labels(encoded: pa.DictionaryArray, rows: Sequence[HarmonizedLabel | None]) -> dict[str, pa.Array]:
    """The columns of the diagnosis of each row, from what each distinct word means."""
    columns = {
        name: expand_to_rows(
            encoded, [getattr(row, attribute, None) for row in rows], SCHEMA.field(name).type
        )
        for name, attribute in DIAGNOSIS_COLUMNS.items()
    }
    paths = [row.diagnosis_path if row and row.diagnosis else None for row in rows]
    columns["diagnosis_path"] = expand_to_rows(encoded, paths, SCHEMA.field("diagnosis_path").type)
    return columns


def add_count(counts: dict[str, int], word: str, rows: int) -> None:
    counts[word] = counts.get(word, 0) + rows


def expand_to_rows(encoded: pa.DictionaryArray, values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The value of each row from the value of each distinct word."""
    if not pa.types.is_dictionary(kind):
        return pa.array(values, kind).take(encoded.indices)
    meanings = pa.array(values, kind.value_type).dictionary_encode()  # numbers are moved, not words
    return pa.DictionaryArray.from_arrays(meanings.indices.take(encoded.indices), meanings.dictionary)


def count_encoded_words(encoded: pa.DictionaryArray) -> list[tuple[str, int]]:
    """Each distinct word with its number of rows."""
    counts = pc.value_counts(encoded.indices)
    words = encoded.dictionary.to_pylist()
    return [(words[one["values"]], one["counts"]) for one in counts.to_pylist() if one["values"] is not None]


class SourceColumn:
    """A source column, the catalog's map of its words, and the words that mean "not known"."""

    def __init__(self, column: pa.Array, values: Mapping[str, str], missing: Sequence[str]) -> None:
        self.column, self.values, self.missing = column, values, set(missing)
        self.encoded = column.dictionary_encode()

    def convert_words(
        self, convert: Callable[[str], Any], kind: pa.DataType, unmapped: RecordUnmapped | None = None
    ) -> pa.Array:
        """Convert each distinct word once; a word that `convert` refuses (ValueError) is noted and becomes null."""
        found: list[Any] = []
        counts = dict(count_encoded_words(self.encoded)) if unmapped else {}
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
        return expand_to_rows(self.encoded, found, kind)

    def to_type(self, kind: pa.DataType) -> pa.Array:
        return (
            self.convert_words(str, kind)
            if pa.types.is_dictionary(kind)
            else self.convert_words(str, pa.string()).cast(kind)
        )

    def to_choices(self, allowed: Sequence[str], unmapped: RecordUnmapped) -> pa.Array:
        """One of a closed set of words; the source's own spelling of them in any case is accepted."""

        def choose(word: str) -> str:
            if word.casefold() not in allowed:
                raise ValueError(word)
            return word.casefold()

        return self.convert_words(choose, WORDS, unmapped)

    def to_body_sites(
        self, known: Mapping[str, str], unmapped: RecordUnmapped, separator: str | None = None
    ) -> dict[str, pa.Array]:
        """Sites of the vocabulary; of several in a cell the finest one that holds them all."""

        def site(word: str) -> str | None:
            if word in known:
                return known[word]
            if separator is None or separator not in word:
                raise ValueError(word)
            return join_sites(word, separator, self.values, known) or None

        return {
            "body_site": self.convert_words(site, WORDS, unmapped),
            "body_site_raw": null_if(self.column, ("",)),
        }

    def to_ages(self) -> dict[str, pa.Array]:
        """Years where the word is a plain number; any other word is kept as it stands in `age_raw`."""
        years = self.convert_numbers(parse_age, pa.float32())
        raw = pc.if_else(is_nothing(self.column), None, null_if(self.column, tuple(self.missing)))
        return {"age": years, "age_raw": pc.if_else(pc.is_null(years), raw, None)}

    def convert_numbers(
        self, convert: Callable[[str], Any], kind: pa.DataType, unmapped: RecordUnmapped | None = None
    ) -> pa.Array:
        """The same of numbers, among which a program's word for "nothing" can mean nothing else."""
        nothing = {word for word in self.encoded.dictionary.to_pylist() if word.casefold() in NOTHING_WORDS}
        return SourceColumn(
            self.column, self.values, [*self.missing, *nothing - self.values.keys()]
        ).convert_words(convert, kind, unmapped)

    def to_whole_numbers(
        self, kind: pa.DataType, limits: tuple[int, int], unmapped: RecordUnmapped
    ) -> pa.Array:
        return self.convert_numbers(lambda word: parse_whole_number(word, *limits), kind, unmapped)

    def to_skin_types(self, kind: pa.DataType, unmapped: RecordUnmapped) -> pa.Array:
        """Fitzpatrick's types as numbers, of lists their groups."""
        parse = parse_range if pa.types.is_list(kind) else parse_skin_type
        return self.convert_numbers(parse, kind, unmapped)


def parse_age(word: str) -> float:
    """A plausible age in years; ValueError otherwise (0-130, as reported)."""
    years = float(word.replace(",", ".")) if NUMBER.match(word) else math.inf
    if years > 130:
        raise ValueError(word)
    return years


def parse_whole_number(word: str, least: int, most: int) -> int:
    """A small whole number, also where the source writes 2.0; ValueError otherwise."""
    found = WHOLE_NUMBER.match(word)
    if not found or not least <= int(found[1]) <= most:
        raise ValueError(word)
    return int(found[1])


def parse_skin_type(word: str) -> int:
    """`4`, `IV`, `Type IV` or `FST 4` -> 4; ValueError otherwise."""
    *before, last = word.split() or [""]
    if any(one.casefold() not in SKIN_WORDS for one in before):
        raise ValueError(word)
    return SKIN_TYPES.get(last.upper()) or parse_whole_number(last, 1, len(SKIN_TYPES))


def parse_range(word: str) -> list[int]:
    """`1-2` or `I-II` -> [1, 2]."""
    first, sign, last = word.replace("\N{EN DASH}", "-").partition("-")
    least, most = parse_skin_type(first), parse_skin_type(last)
    if not sign or least > most:
        raise ValueError(word)
    return list(range(least, most + 1))


def first_known(*columns: pa.Array) -> pa.Array:
    """Words of the first column that has one."""
    return pc.coalesce(*(column.cast(pa.string()) for column in columns)).cast(WORDS)


def image_columns(
    found: Sequence[Content | None], problems: Sequence[str | None], coverage: Mapping[str, bool | None]
) -> dict[str, pa.Array]:
    """What is known of each row's image file; `coverage` says of its catalog file whether a checksum covers it."""
    columns = {"image_problem": pa.array(problems, pa.string())}
    if not any(found):  # the cheap nulls that a column has which is not given
        return columns
    facts = [content.image if content else None for content in found]
    columns |= {name: attribute_column(name, found, attribute) for name, attribute in CONTENT_COLUMNS.items()}
    columns |= {name: attribute_column(name, facts, name) for name in FACT_COLUMNS}
    covered = [coverage.get(content.file) if content else None for content in found]
    return columns | {"verified": pa.array(covered, pa.bool_())}


def attribute_column(name: str, owners: Sequence[object], attribute: str) -> pa.Array:
    """A manifest column of one attribute of each row's object; null where there is none, or no bytes in it."""
    kind = SCHEMA.field(name).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    values = (getattr(one, attribute, None) for one in owners)
    return pa.array([None if value == b"" else value for value in values], plain).cast(kind)


def word_maps(columns: Mapping[str, pa.Array], count: int) -> pa.ChunkedArray:
    """A map of the non-empty words of each row, in the columns' order; null where a row has none.

    A row group's rows at a time: what is made on the way stays in the processor's cache, which takes a fifth of the time.
    """
    starts = range(0, count, ROW_GROUP) if columns else ()
    blocks = ({name: cells.slice(start, ROW_GROUP) for name, cells in columns.items()} for start in starts)
    maps = [block_word_maps(block) for block in blocks]
    return pa.chunked_array(maps or [pa.nulls(count, TEXT_MAP)], TEXT_MAP)


def block_word_maps(columns: Mapping[str, pa.Array]) -> pa.Array:
    filled = [pc.not_equal(cells, "").to_numpy(zero_copy_only=False) for cells in columns.values()]
    present = np.stack(filled, axis=1)
    count = len(present)
    row, column = np.nonzero(present)  # row by row
    words = pa.concat_arrays(list(columns.values())).take(pa.array(column * count + row))
    names = pa.array(list(columns)).take(pa.array(column))
    sizes = present.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype("int32")
    empty = np.append(sizes == 0, False)  # the last offset is no row's
    return pa.MapArray.from_arrays(pa.array(offsets, mask=empty), names, words).cast(TEXT_MAP)


def concept_maps(
    columns: Mapping[str, pa.Array],
    count: int,
    separators: Mapping[str, str] = NOTHING,
    least: Mapping[str, float] = MappingProxyType({}),
) -> pa.Array:
    """A map of clinical concept -> present, for each row; a cell that says neither is left out.

    A column with a separator has names of concepts in its cells, one with a least probability has probabilities.
    """
    present: dict[str, list[bool | None]] = {}
    for name, cells in columns.items():
        if name in separators:
            present |= find_listed_concepts(cells, separators[name])
        elif name in least:
            present[name] = read_probabilities(cells, least[name])
        else:
            meanings = concept_meanings(cells)
            present[name] = [meanings.get(word) for word in cells.to_pylist()]
    rows = [
        [(name, values[row]) for name, values in present.items() if values[row] is not None]
        for row in range(count)
    ]
    return pa.array([row or None for row in rows], SCHEMA.field("concepts").type)


def concept_meanings(cells: pa.Array) -> Mapping[str, bool]:
    """What the words of a concept's column say: 0 or 1; where concepts are `absent`, other words are how they are there."""
    words = set(cells.unique().to_pylist()) - {""}
    if ABSENT in words:
        return {word: word != ABSENT for word in words}
    return {word: TRUTHS[word.casefold()] for word in words if word.casefold() in TRUTHS}


def is_yes_or_no(cells: pa.Array) -> bool:
    """Whether a concept's column says nothing that the map does not."""
    words = set(cells.unique().to_pylist()) - {""}
    return words <= ({ABSENT, PRESENT} if ABSENT in words else concept_meanings(cells).keys())


def differential_columns(
    raw: pa.Array, field: str, crosswalk: Crosswalk, vocabulary: Vocabulary, unmapped: dict[str, int]
) -> dict[str, pa.Array]:
    """`differential`, and a diagnosis where all weight lies on one concept."""
    encoded = raw.dictionary_encode()
    rows = dict(count_encoded_words(encoded))
    found: list[Differential | None] = []
    for text in encoded.dictionary.to_pylist():
        weights = parse_weights(text)
        if weights is None:
            unmapped[f"{field}: {text}"] = rows[text]
        known = build_differential(field, weights, crosswalk, vocabulary) if weights else None
        for word in known.unmapped if known else ():
            add_count(unmapped, f"{field}: {word}", rows[text])
        found.append(known)
    graded = [weights_list(one) for one in found]
    columns = {"differential": expand_to_rows(encoded, graded, SCHEMA.field("differential").type)}
    columns |= concept_columns(encoded, [single_concept(one) for one in found], vocabulary)
    return columns | match_and_malignancy(encoded, found, field, crosswalk, vocabulary)


def concept_columns(
    encoded: pa.DictionaryArray, concepts: Sequence[str | None], vocabulary: Vocabulary
) -> dict[str, pa.Array]:
    """The diagnosis that each distinct word means, its name and its path."""
    names = [vocabulary.name(one) if one else None for one in concepts]
    paths = [vocabulary.path(one) if one else None for one in concepts]
    return {
        "diagnosis": expand_to_rows(encoded, concepts, WORDS),
        "diagnosis_name": expand_to_rows(encoded, names, TEXT),
        "diagnosis_path": expand_to_rows(encoded, paths, SCHEMA.field("diagnosis_path").type),
    }


def match_and_malignancy(
    encoded: pa.DictionaryArray,
    found: list[Differential | None],
    field: str,
    crosswalk: Crosswalk,
    vocabulary: Vocabulary,
) -> dict[str, pa.Array]:
    """What the single word's crosswalk row says, where there is a single one."""
    matches: list[str | None] = []
    malignancies: list[str | None] = []
    statements: list[str | None] = []
    for text, one in zip(encoded.dictionary.to_pylist(), found, strict=True):
        words = [
            word
            for word in parse_weights(text) or ()
            if one and single_concept(one) and word not in one.dropped
        ]
        rows = list(harmonize_words(field, words, crosswalk, vocabulary).values())
        matches.append(rows[0].match if len(rows) == 1 else None)
        malignancies.append(rows[0].malignancy if len(rows) == 1 else None)
        statements.append(rows[0].malignancy_source if len(rows) == 1 else None)
    return {
        "diagnosis_match": expand_to_rows(encoded, matches, WORDS),
        "malignancy": expand_to_rows(encoded, malignancies, WORDS),
        "malignancy_source": expand_to_rows(encoded, statements, WORDS),
    }


def malignancy_columns(
    words: SourceColumn, columns: Mapping[str, pa.Array], unmapped: RecordUnmapped
) -> dict[str, pa.Array]:
    """`malignancy_source`, what the source says itself, and `malignancy` where the label's concept decides none."""
    stated = words.to_choices(CLOSED_WORDS["malignancy_source"], unmapped)
    sure = null_if(stated.cast(pa.string()), ("mixed", "non-malignant")).cast(WORDS)
    ours, theirs = (columns.get(name) for name in ("malignancy", "malignancy_source"))
    return {
        "malignancy": sure if ours is None else first_known(ours, sure),
        "malignancy_source": stated if theirs is None else first_known(stated, theirs),
    }


def parse_weights(text: str) -> Mapping[str, float] | None:
    """{word: weight}; empty for an empty cell, None for anything that is no such literal."""
    if not text:
        return {}
    try:
        value = ast.literal_eval(text) if len(text) <= LONGEST_CELL else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, dict) or not all(
        isinstance(word, str) and isinstance(weight, int | float) for word, weight in value.items()
    ):
        return None
    return {word: float(weight) for word, weight in value.items()}


def single_concept(one: Differential | None) -> str | None:
    return next(iter(one.weights)) if one and len(one.weights) == 1 and not one.unmapped else None


def weights_list(one: Differential | None) -> list[dict[str, object]] | None:
    if one is None or not one.weights:
        return None
    ordered = sorted(one.weights.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"concept": concept, "weight": weight} for concept, weight in ordered]


def boxes_column(cells: pa.Array) -> pa.Array:
    """Boxes of lists [x, y, width, height, label] in JSON; null for an empty cell, no box for an empty list."""
    kind = SCHEMA.field("boxes").type
    names = [kind.value_type.field(place).name for place in range(kind.value_type.num_fields)]
    return struct_lists(cells, names, kind)


def questions_column(cells: pa.Array) -> pa.Array:
    """Questions and answers of lists of pairs in JSON."""
    kind = SCHEMA.field("questions").type
    return struct_lists(cells, ["question", "answer"], kind)


def struct_lists(cells: pa.Array, names: Sequence[str], kind: pa.DataType) -> pa.Array:
    rows = [json.loads(cell) if cell else None for cell in cells.to_pylist()]
    return pa.array(
        [None if row is None else [dict(zip(names, one, strict=True)) for one in row] for row in rows], kind
    )
