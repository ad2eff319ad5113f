"""The tree of concepts as rows, with how many cached images are of each concept or of what is below it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dermdata.api.catalog_list import list_cached
from dermdata.api.label_spaces import vocabulary_of
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import UnknownName

if TYPE_CHECKING:
    from dermdata.vocabulary import Vocabulary

KEYS = ("concept", "name", "parent", "level", "malignancy", "synonyms", "images")


def list_concepts(resources: Resources, concept: str | None = None, depth: int | None = None) -> Records:
    """A concept (the root, unless one is named) and what is below it, each before its children.

    `depth` is how many levels below it are listed. `images` is None in all rows when nothing is cached.
    """
    vocabulary = vocabulary_of(resources)
    start = concept or vocabulary.root
    if start not in vocabulary:
        known = [one.id for one in vocabulary]
        raise UnknownName("concept", start, known, hint="`dermdata labels find TEXT` searches the vocabulary")
    images = count_cached_images(resources, vocabulary)
    rows = [
        {"concept": one, "name": vocabulary.name(one), "parent": vocabulary[one].parent, "level": vocabulary[one].level,
         "malignancy": vocabulary.malignancy(one), "synonyms": list(vocabulary[one].synonyms),
         "images": None if images is None else images.get(one, 0)}
        for one in walk_tree(vocabulary, start, depth)
    ]  # fmt: skip
    return Records(rows, KEYS)


def walk_tree(vocabulary: "Vocabulary", concept: str, depth: int | None) -> Iterator[str]:
    """The concept, then what is below it, as deep as asked for."""
    yield concept
    if depth != 0:
        for child in vocabulary.children(concept):
            yield from walk_tree(vocabulary, child, None if depth is None else depth - 1)


def count_cached_images(resources: Resources, vocabulary: "Vocabulary") -> Mapping[str, int] | None:
    """Concept -> cached images at or below it; None when nothing is cached."""
    names = list_cached(resources)
    if not names:
        return None
    from dermdata.api.targets import load
    from dermdata.projection import words_of

    resources.say(f"images of {', '.join(names)}")
    column = words_of(load(resources, names, ["diagnosis"]).table, "diagnosis").drop_null()
    counts = {one["values"]: one["counts"] for one in column.value_counts().to_pylist()}
    # a concept of an older vocabulary has no place in this tree
    known = {concept: count for concept, count in counts.items() if concept in vocabulary}
    return {concept: round(count) for concept, count in vocabulary.add_up(known).items()}
