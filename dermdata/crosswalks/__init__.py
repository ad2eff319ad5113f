"""Datasets' words -> concepts: crosswalks, what a word means, proposals for a person's own words, and SSSOM.

| module | what it holds |
|---|---|
| `crosswalk` | one dataset's `labels.tsv`, what a word means in the manifest, and rows that a dermatologist should review |
| `extents` | the concepts that a label may cover, and whether two labels agree |
| `alignment` | the finest common label space of several datasets |
| `word_index` | all that a person's own words are compared with |
| `suggest` | proposals for the words of a person's own table |
| `sssom` | a crosswalk in the mapping standard's format |
| `diff` | what differs between two versions of a catalog |
"""

from dermdata.crosswalks.crosswalk import (
    Crosswalk,
    Differential,
    HarmonizedLabel,
    build_differential,
    check_labels,
    harmonize_label,
    harmonize_words,
    labels_to_text,
    load_crosswalk,
    parse_labels,
    read_labels,
)
from dermdata.vocabulary.tsv import LABEL_COLUMNS

__all__ = [
    "LABEL_COLUMNS",
    "Crosswalk",
    "Differential",
    "HarmonizedLabel",
    "build_differential",
    "check_labels",
    "harmonize_label",
    "harmonize_words",
    "labels_to_text",
    "load_crosswalk",
    "parse_labels",
    "read_labels",
]
