"""The concept tree of diagnoses, the label spaces cut out of it, and the search in it; pure, no I/O.

Lineage comes first, malignancy is a facet: nevus and melanoma meet in `melanocytic-neoplasm`.
"""

from dermdata.vocabulary.concepts import Concept, Vocabulary, manifest_malignancy
from dermdata.vocabulary.parsing import parse, parse_sites
from dermdata.vocabulary.search import Hit, find
from dermdata.vocabulary.spaces import (
    Projected,
    Space,
    Weighted,
    parse_space,
    parse_spaces,
    project,
    project_weights,
)

__all__ = [
    "Concept",
    "Hit",
    "Projected",
    "Space",
    "Vocabulary",
    "Weighted",
    "find",
    "manifest_malignancy",
    "parse",
    "parse_sites",
    "parse_space",
    "parse_spaces",
    "project",
    "project_weights",
]
