"""Datasets' words -> concepts: crosswalks, what a word means, proposals for a person's own words, and SSSOM.

| module | what it holds |
|---|---|
| `crosswalk` | one dataset's `labels.tsv`, and what a word means in the manifest |
| `own` | proposals for the words of a person's own table |
| `sssom` | a crosswalk in the mapping standard's format |
| `review` | the rows that a dermatologist should decide |
| `changes` | what differs between two versions of a catalog |
"""

from dermdata.crosswalks.crosswalk import (
    LABEL_COLUMNS,
    Crosswalk,
    Differential,
    HarmonizedLabel,
    build_differential,
    check_labels,
    harmonize_label,
    harmonize_words,
    labels_to_text,
    parse_labels,
)

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
    "parse_labels",
]
