"""The concept tree of diagnoses, the label spaces cut out of it, and the search in it; pure, no I/O.

Lineage comes first, malignancy is a facet: nevus and melanoma meet in `melanocytic-neoplasm`. A module is
imported when the first of its names is asked for: `labels find` needs two of the four, and has to start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_MODULES = {
    "concepts": ("Concept", "Vocabulary", "manifest_malignancy"),
    "parsing": ("parse", "parse_sites"),
    "search": ("Hit", "find"),
    "spaces": (
        "Projected", "Space", "Weighted", "parse_space", "parse_spaces", "project", "project_weights",
    ),
}  # fmt: skip
_OWNER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _OWNER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_OWNER[name]}"), name)
    return value
