"""The words that `info` and `labels find` show, compiled beside the catalog's index: both must answer at once.

Reading every crosswalk and the vocabulary costs as much as the whole start. Rows that break a file's rules are
never kept: whoever asks for them goes through the file itself, and is told of every issue.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from dermdata.errors import BadCatalog

if TYPE_CHECKING:
    from dermdata.catalogs import Catalog
    from dermdata.model import Label
    from dermdata.vocabulary import Vocabulary
    from dermdata.vocabulary.search import Named

CardRow = tuple[str, str, str]  # raw word, predicate, concept
SEARCH = ""  # the key of all names; the others are datasets


def card_rows(catalog: "Catalog", name: str) -> list[CardRow]:
    """The crosswalk rows of an entry, in file order; BadCatalog for a broken file."""
    found = compiled(catalog).get(name)
    if found is None:
        return [row_of(label) for label in labels_of(catalog, name)]
    return [(raw, predicate, concept) for raw, predicate, concept in json.loads(found)]


def names_of(catalog: "Catalog") -> "tuple[Vocabulary, list[Named]]":
    """The vocabulary without notes and ISIC paths, and what datasets call its concepts; BadCatalog for a broken file."""
    from dermdata.vocabulary import Concept, Vocabulary

    # what could not be compiled raises here what is wrong
    text = compiled(catalog).get(SEARCH) or search_text(catalog)
    concepts, words = json.loads(text)
    vocabulary = Vocabulary(
        Concept(ident, label, parent, level, malignancy, tuple(synonyms), doid, icd10cm)
        for ident, label, parent, level, malignancy, synonyms, doid, icd10cm in concepts
    )
    return vocabulary, [(concept, raw, factor) for concept, raw, factor in words]


def compiled(catalog: "Catalog") -> "dict[str, str | bytes]":
    return dict(catalog.kept("words", lambda: build(catalog)))


# ------------------------------------------------------------------ compiling


def build(catalog: "Catalog") -> dict[str, str]:
    """JSON texts: the card's rows of each entry, and all names; nothing of a broken file."""
    texts: dict[str, str] = {}
    for name in catalog:
        with suppress(BadCatalog):
            texts[name] = text_of([row_of(label) for label in labels_of(catalog, name)])
    with suppress(BadCatalog):
        texts[SEARCH] = search_text(catalog)
    return texts


def search_text(catalog: "Catalog") -> str:
    from dermdata.catalogs.files import read_text
    from dermdata.vocabulary import parse
    from dermdata.vocabulary.search import label_names

    path = catalog.vocabulary_file("concepts.tsv")
    vocabulary = parse(read_text(path), str(path))
    labels = (label for name in catalog for label in labels_of(catalog, name))
    concepts = [
        (one.id, one.label, one.parent, one.level, one.malignancy, one.synonyms, one.doid, one.icd10cm)
        for one in vocabulary
    ]
    return text_of([concepts, list(dict.fromkeys(label_names(labels)))])


def labels_of(catalog: "Catalog", name: str) -> "Iterator[Label]":
    """The crosswalk rows of an entry from its files, the bundled one first."""
    from dermdata.catalogs.files import read_text
    from dermdata.crosswalks import parse_labels

    for path in catalog.labels_files(name):
        yield from parse_labels(read_text(path), str(path))


def row_of(label: "Label") -> CardRow:
    return label.raw_label, label.predicate, label.concept


def text_of(value: Iterable[object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
