"""The concept tree of diagnoses, the label spaces cut out of it, and the search in it; pure, no I/O.

Lineage comes first, malignancy is a facet: nevus and melanoma meet in `melanocytic-neoplasm`. A module is
imported when the first of its names is asked for: `labels find` needs two of its modules, and has to start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dermdata.vocabulary.concepts import (
        Concept,
        Vocabulary,
        manifest_malignancy,
        parse_body_sites,
        parse_vocabulary,
    )
    from dermdata.vocabulary.search import Hit, find_concepts
    from dermdata.vocabulary.spaces import (
        LabelSpace,
        Projection,
        WeightedClasses,
        parse_space,
        parse_spaces,
        project_label,
        project_weights,
    )

__all__ = [
    "Concept",
    "Hit",
    "LabelSpace",
    "Projection",
    "Vocabulary",
    "WeightedClasses",
    "find_concepts",
    "manifest_malignancy",
    "parse_body_sites",
    "parse_space",
    "parse_spaces",
    "parse_vocabulary",
    "project_label",
    "project_weights",
]
_MODULES = {
    "concepts": ("Concept", "Vocabulary", "manifest_malignancy", "parse_body_sites", "parse_vocabulary"),
    "search": ("Hit", "find_concepts"),
    "spaces": (
        "LabelSpace",
        "Projection",
        "WeightedClasses",
        "parse_space",
        "parse_spaces",
        "project_label",
        "project_weights",
    ),
}
_OWNER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _OWNER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_OWNER[name]}"), name)
    return value
