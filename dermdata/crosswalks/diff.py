"""Lists what differs between the vocabularies, spaces and crosswalks of two versions of a catalog."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeVar

from dermdata.catalogs.overlays import read_table_text, read_text
from dermdata.crosswalks.crosswalk import parse_labels
from dermdata.errors import BadCatalog
from dermdata.model import Label
from dermdata.vocabulary import Concept, LabelSpace, Vocabulary, parse_spaces, parse_vocabulary

K = TypeVar("K")
ChangeKind = Literal["added", "removed", "changed"]
DatasetLabels = Mapping[str, Iterable[Label]]  # dataset -> its rows


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogLabels:
    """The labels of one catalog folder; an overlay may have no vocabulary of its own."""

    vocabulary: Vocabulary | None
    spaces: Mapping[str, LabelSpace]
    words: DatasetLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """One concept, one word or one class that is not as it was; `part` is what of it, None for all of it."""

    kind: Literal["concept", "label", "space"]
    what: ChangeKind
    name: str  # the concept, or `dataset field`, or the space
    raw_label: str | None = None  # the word or class
    part: str | None = None
    old: str | None = None
    new: str | None = None


def read_catalog_labels(folder: Path, bundled: Vocabulary) -> CatalogLabels:
    """The labels of a catalog folder; spaces of one without concepts are read with the `bundled` vocabulary.

    BadCatalog for a folder that holds no labels, and for files with issues.
    """
    concepts, spaces = folder / "vocabulary" / "concepts.tsv", folder / "vocabulary" / "spaces.toml"
    paths = sorted(folder.glob("datasets/*/labels.tsv"))
    if not concepts.exists() and not paths:
        raise BadCatalog(
            f"no catalog with labels at {folder}", hint="give a folder that holds datasets/ or vocabulary/"
        )
    vocabulary = parse_vocabulary(read_text(concepts), str(concepts)) if concepts.exists() else None
    named = parse_spaces(read_text(spaces), vocabulary or bundled, str(spaces)) if spaces.exists() else {}
    words = {path.parent.name: parse_labels(read_table_text(path), str(path)) for path in paths}
    return CatalogLabels(vocabulary=vocabulary, spaces=named, words=words)


def list_changes(old: CatalogLabels, new: CatalogLabels) -> list[LabelChange]:
    """Everything that differs, the vocabulary first; order within files does not count."""
    return [*concept_changes(old, new), *label_changes(old, new), *space_changes(old, new)]


def concept_changes(old: CatalogLabels, new: CatalogLabels) -> Iterator[LabelChange]:
    if old.vocabulary is None or new.vocabulary is None:
        return
    before = {one.id: one for one in old.vocabulary}
    after = {one.id: one for one in new.vocabulary}
    for name, what in compare_keys(before, after):
        if what == "changed":
            for part, was, now in changed_fields(before[name], after[name]):
                yield LabelChange(kind="concept", what=what, name=name, part=part, old=was, new=now)
        else:
            there: Concept = before[name] if what == "removed" else after[name]
            was, now = (there.label, None) if what == "removed" else (None, there.label)
            yield LabelChange(kind="concept", what=what, name=name, old=was, new=now)


def label_changes(old: CatalogLabels, new: CatalogLabels) -> Iterator[LabelChange]:
    before, after = label_rows(old.words), label_rows(new.words)
    for key, what in compare_keys(before, after):
        name, raw = f"{key[0]} {key[1]}", key[2]
        if what == "changed":
            for part, was, now in changed_fields(before[key], after[key]):
                yield LabelChange(
                    kind="label", what=what, name=name, raw_label=raw, part=part, old=was, new=now
                )
        else:
            was = before[key].concept if what == "removed" else None
            now = after[key].concept if what == "added" else None
            yield LabelChange(kind="label", what=what, name=name, raw_label=raw, old=was, new=now)


def space_changes(old: CatalogLabels, new: CatalogLabels) -> Iterator[LabelChange]:
    before, after = space_classes(old.spaces), space_classes(new.spaces)
    for key, what in compare_keys(before, after):
        yield LabelChange(
            kind="space", what=what, name=key[0], raw_label=key[1], old=before.get(key), new=after.get(key)
        )


# ------------------------------------------------------------------ comparing


def compare_keys(before: Mapping[K, object], after: Mapping[K, object]) -> Iterator[tuple[K, ChangeKind]]:
    """The keys that are not as they were, in the order of the newer side, those that are gone last."""
    for key in after:
        if key not in before:
            yield key, "added"
        elif before[key] != after[key]:
            yield key, "changed"
    yield from ((key, "removed") for key in before if key not in after)


def changed_fields(
    before: Concept | Label, after: Concept | Label
) -> Iterator[tuple[str, str | None, str | None]]:
    """The fields that differ, with their old and new values as text."""
    for field in fields(before):
        was, now = getattr(before, field.name), getattr(after, field.name)
        if was != now:
            yield field.name, field_text(was), field_text(now)


def field_text(value: str | tuple[str, ...] | None) -> str | None:
    return "|".join(value) if isinstance(value, tuple) else value


def label_rows(words: DatasetLabels) -> dict[tuple[str, str, str], Label]:
    return {(name, row.field, row.raw_label): row for name, labels in words.items() for row in labels}


def space_classes(spaces: Mapping[str, LabelSpace]) -> dict[tuple[str, str], str]:
    """(space, class) -> its items as they are written."""
    return {
        (name, one): "+".join("/".join(filter(None, item)) for item in items)
        for name, space in spaces.items()
        for one, items in space.classes.items()
    }
