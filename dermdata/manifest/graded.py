"""Several graded labels per image, as SCIN gives them: a Python literal {word: weight}, parsed, never run."""

import ast
from collections.abc import Mapping

import pyarrow as pa

from dermdata.crosswalks import Crosswalk, Differential, differential, harmonize
from dermdata.manifest.harmonize import counted, spread
from dermdata.manifest.schema import SCHEMA, WORDS
from dermdata.vocabulary import Vocabulary

LONGEST = 20_000  # characters of one cell


def graded(
    raw: pa.Array, field: str, crosswalk: Crosswalk, vocabulary: Vocabulary, unmapped: dict[str, int]
) -> dict[str, pa.Array]:
    """`differential`, and a diagnosis where all weight lies on one concept."""
    encoded = raw.dictionary_encode()
    rows = dict(counted(encoded))
    found: list[Differential | None] = []
    for text in encoded.dictionary.to_pylist():
        weights = weights_of(text)
        if weights is None:
            unmapped[f"{field}: {text}"] = rows[text]
        known = differential(field, weights, crosswalk, vocabulary) if weights else None
        for word in known.unmapped if known else ():
            unmapped[f"{field}: {word}"] = unmapped.get(f"{field}: {word}", 0) + rows[text]
        found.append(known)
    columns = {
        "differential": spread(
            encoded, [weights_list(one) for one in found], SCHEMA.field("differential").type
        )
    }
    single = [only_concept(one) for one in found]
    names = [vocabulary.name(one) if one else None for one in single]
    columns["diagnosis"] = spread(encoded, single, WORDS)
    columns["diagnosis_name"] = spread(encoded, names, WORDS)
    paths = [list(vocabulary.path(one)) if one else None for one in single]
    columns["diagnosis_path"] = spread(encoded, paths, pa.list_(pa.string()))
    columns |= match_and_malignancy(encoded, found, field, crosswalk, vocabulary)
    return columns


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
    for text, one in zip(encoded.dictionary.to_pylist(), found, strict=True):
        words = [
            word for word in weights_of(text) or () if one and only_concept(one) and word not in one.dropped
        ]
        rows = list(harmonize(field, words, crosswalk, vocabulary).values())
        matches.append(rows[0].match if len(rows) == 1 else None)
        malignancies.append(rows[0].malignancy if len(rows) == 1 else None)
    return {
        "diagnosis_match": spread(encoded, matches, WORDS),
        "malignancy": spread(encoded, malignancies, WORDS),
    }


def weights_of(text: str) -> Mapping[str, float] | None:
    """{word: weight}; empty for an empty cell, None for anything that is no such literal."""
    if not text:
        return {}
    try:
        value = ast.literal_eval(text) if len(text) <= LONGEST else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, dict) or not all(
        isinstance(word, str) and isinstance(weight, int | float) for word, weight in value.items()
    ):
        return None
    return {word: float(weight) for word, weight in value.items()}


def only_concept(one: Differential | None) -> str | None:
    return next(iter(one.weights)) if one and len(one.weights) == 1 and not one.unmapped else None


def weights_list(one: Differential | None) -> list[dict[str, object]] | None:
    if one is None or not one.weights:
        return None
    ordered = sorted(one.weights.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"concept": concept, "weight": weight} for concept, weight in ordered]
