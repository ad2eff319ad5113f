"""What datasets' words mean: one dataset's as rows or as SSSOM, those in doubt, and what two catalogs say otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.label_spaces import counts_of, crosswalk_of, vocabulary_of
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.model import Dataset, Label

MAP_KEYS = (
    "dataset", "field", "raw_label", "concept", "name", "predicate", "members", "malignancy", "count", "note",
)  # fmt: skip
REVIEW_KEYS = ("dataset", "field", "raw_label", "concept", "name", "count", "reason")
DIFF_KEYS = ("kind", "what", "name", "raw_label", "part", "old", "new")


def map_labels(resources: Resources, name: str) -> Records:
    """How a dataset's own words map to concepts, a record a word; none for a dataset without label words."""
    dataset = resources.catalog[name]
    vocabulary = vocabulary_of(resources)
    labels = list(crosswalk_of(resources, dataset.name, vocabulary))
    counts = counts_of(resources, dataset, labels)
    rows = [
        {**vars(label), "dataset": dataset.name, "name": vocabulary.name(label.concept),
         "count": counts.of(label.raw_label)}
        for label in labels
    ]  # fmt: skip
    return Records([{key: row[key] for key in MAP_KEYS} for row in rows], MAP_KEYS)


def export_sssom(resources: Resources, name: str) -> str:
    """The same as a text in the mapping standard's TSV; UsageError for a dataset without label words."""
    from dermdata import __version__
    from dermdata.crosswalks.sssom import sssom

    dataset = resources.catalog[name]
    vocabulary = vocabulary_of(resources)
    labels = list(crosswalk_of(resources, dataset.name, vocabulary))
    require_labels(dataset, labels)
    return sssom(dataset.name, labels, vocabulary, __version__)


def require_labels(dataset: "Dataset", labels: "Sequence[Label] | Records") -> None:
    """UsageError for a dataset without label words."""
    if not labels:
        hint = f"`dermdata info {dataset.name}` says what it has"
        raise UsageError(f"{dataset.name} has no label words", hint=hint)


def list_doubts(resources: Resources, names: Sequence[str] = ()) -> Records:
    """The words whose concept a dermatologist should decide, of these datasets or of all."""
    from dermdata.catalogs.files import read_text
    from dermdata.crosswalks.review import parse_review

    vocabulary = vocabulary_of(resources)
    wanted = {resources.catalog[name].name for name in names}
    path = resources.catalog.vocabulary_file("review.tsv")
    rows = [
        {key: getattr(one, key, None) for key in REVIEW_KEYS}
        | {"name": vocabulary.name(one.concept) if one.concept else None}
        for one in parse_review(read_text(path), vocabulary, str(path))
        if not wanted or one.dataset in wanted
    ]
    return Records(rows, REVIEW_KEYS)


def compare_catalogs(resources: Resources, old: Path, new: Path) -> Records:
    """What differs between the concepts, words and label spaces of two catalog folders."""
    from dermdata.crosswalks.changes import changes, read_version

    bundled = vocabulary_of(resources)
    found = changes(read_version(old, bundled), read_version(new, bundled))
    return Records([{key: getattr(one, key) for key in DIFF_KEYS} for one in found], DIFF_KEYS)
