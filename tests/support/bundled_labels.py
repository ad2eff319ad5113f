"""The bundled vocabulary and crosswalks, read once for the tests that ask about them."""

import csv
from functools import cache
from pathlib import Path

import pytest

from dermdata.crosswalks import Crosswalk, HarmonizedLabel, harmonize_words, parse_labels
from dermdata.model import Label
from dermdata.vocabulary import LabelSpace, Vocabulary, parse_spaces, parse_vocabulary, project_label

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "catalog"
SHARED = ROOT.parent / "shared"


def needs_shared(test):
    """Mark a test that reads ../shared, and skip it where that is absent."""
    absent = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared with the real metadata is absent")
    return pytest.mark.shared(absent(test))


def text(leaf: str) -> str:
    return (CATALOG / leaf).read_bytes().decode("utf-8")


@cache
def vocabulary() -> Vocabulary:
    return parse_vocabulary(text("vocabulary/concepts.tsv"))


@cache
def spaces() -> dict[str, LabelSpace]:
    return parse_spaces(text("vocabulary/spaces.toml"), vocabulary())


@cache
def datasets() -> list[str]:
    return sorted(path.parent.name for path in CATALOG.glob("datasets/*/labels.tsv"))


@cache
def labels(dataset: str) -> tuple[Label, ...]:
    return parse_labels(text(f"datasets/{dataset}/labels.tsv"), dataset)


@cache
def crosswalk(dataset: str) -> Crosswalk:
    return Crosswalk(labels(dataset))


def label(dataset: str, field: str, raw: str) -> Label:
    found = crosswalk(dataset).lookup(field, raw)
    assert found, f"no row for {dataset} {field} {raw}"
    return found


def meant(dataset: str, field: str, word: str) -> HarmonizedLabel:
    """What the manifest says of one word."""
    return harmonize_words(field, [word], crosswalk(dataset), vocabulary())[word]


def in_space(dataset: str, field: str, word: str, space: str) -> str | None:
    """The class of one word in a named space."""
    return project_label(label(dataset, field, word), spaces()[space], vocabulary()).value


def shared_rows(leaf: str) -> list[dict[str, str]]:
    with (SHARED / leaf).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
