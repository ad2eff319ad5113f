"""The words that `info` and `labels find` show, compiled beside the catalog's index: both must answer at once.

Reading every crosswalk and the vocabulary costs as much as the whole start. Rows that break a file's rules are
never kept: whoever asks for them goes through the file itself, and is told of every issue.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import BadCatalog

if TYPE_CHECKING:
    from dermdata.catalogs import Catalog
    from dermdata.model import Label
    from dermdata.vocabulary import Vocabulary
    from dermdata.vocabulary.search import NamedConcept
    from dermdata.vocabulary.terms import ForeignTerm

CardRow = tuple[str, str, str]  # raw word, predicate, concept
SEARCH = ""  # the key of all names; the others are datasets
KEYS = ("concept", "name", "path", "malignancy", "matched", "score")
SITE_KEYS = ("site", "name", "path", "matched", "score")


def find_concepts(resources: Resources, text: str, limit: int = 20) -> Records:
    """The concepts that fit a text best: by label, synonym, code or a dataset's own word."""
    from dermdata.vocabulary.search import search_names

    vocabulary, names = read_names(resources.catalog)
    rows = [
        {"concept": hit.concept, "name": vocabulary.name(hit.concept), "path": list(vocabulary.path(hit.concept)),
         "malignancy": vocabulary.malignancy(hit.concept), "matched": hit.matched, "score": hit.score}
        for hit in search_names(text, vocabulary, names, limit)
    ]  # fmt: skip
    return Records(rows, KEYS)


def find_sites(resources: Resources, text: str = "", limit: int = 20) -> Records:
    """The body sites that fit a text best, by any name; all of them, in file order, for no text."""
    from dermdata.vocabulary import Hit
    from dermdata.vocabulary.concepts import site_path
    from dermdata.vocabulary.search import find_body_sites
    from dermdata.vocabulary.terms import name_terms

    sites = resources.catalog.load_body_sites()
    every = (Hit(one.id, one.label, 1.0) for one in sites.values())
    words = name_terms(read_site_terms(resources))
    hits = find_body_sites(text, sites, limit, words) if text.strip() else every
    rows = [
        {"site": hit.concept, "name": sites[hit.concept].label, "path": list(site_path(hit.concept, sites)),
         "matched": hit.matched, "score": hit.score}
        for hit in hits
    ]  # fmt: skip
    return Records(rows, SITE_KEYS)


def read_site_terms(resources: Resources) -> "tuple[ForeignTerm, ...]":
    """What body sites are called in each language; BadCatalog for a broken file."""
    from dermdata.catalogs.overlays import read_text
    from dermdata.vocabulary.terms import SITE_TERM_COLUMNS, parse_terms

    path = resources.catalog.vocabulary_file("site-terms.tsv")
    return parse_terms(read_text(path), resources.catalog.load_body_sites(), str(path), SITE_TERM_COLUMNS)


def read_card_rows(catalog: "Catalog", name: str) -> list[CardRow]:
    """The crosswalk rows of an entry, in file order; BadCatalog for a broken file."""
    text = open_index(catalog).get(name)
    if text is None:
        return [card_row(label) for label in read_labels(catalog, name)]
    return [(raw, predicate, concept) for raw, predicate, concept in json.loads(text)]


def read_names(catalog: "Catalog") -> "tuple[Vocabulary, list[NamedConcept]]":
    """The vocabulary without notes and ISIC paths, and what datasets call its concepts; BadCatalog for a broken file."""
    from dermdata.vocabulary import Concept, Vocabulary

    # what could not be compiled raises here what is wrong
    text = open_index(catalog).get(SEARCH) or compile_names(catalog, read_all_labels(catalog))
    concepts, words = json.loads(text)
    vocabulary = Vocabulary(
        Concept(ident, label, parent, level, malignancy, tuple(synonyms), doid, icd10cm)
        for ident, label, parent, level, malignancy, synonyms, doid, icd10cm in concepts
    )
    return vocabulary, [(concept, raw, factor) for concept, raw, factor in words]


def read_labels(catalog: "Catalog", name: str) -> "Iterator[Label]":
    """The crosswalk rows of an entry from its files, the bundled one first."""
    from dermdata.crosswalks import read_labels

    for _, labels in read_labels(catalog, name):
        yield from labels


# ------------------------------------------------------------------ compiling


def open_index(catalog: "Catalog") -> "dict[str, str | bytes]":
    """The compiled texts, made anew where a file has changed."""
    return dict(catalog.cached_texts("words", lambda: compile_index(catalog)))


def compile_index(catalog: "Catalog") -> dict[str, str]:
    """JSON texts: the card's rows of each entry, and all names; nothing of a broken file."""
    labels: dict[str, list[Label]] = {}
    for name in catalog:
        with suppress(BadCatalog):
            labels[name] = list(read_labels(catalog, name))
    texts = {name: to_json([card_row(label) for label in rows]) for name, rows in labels.items()}
    if all(name in labels for name in catalog):
        with suppress(BadCatalog):
            texts[SEARCH] = compile_names(catalog, chain.from_iterable(labels.values()))
    return texts


def read_all_labels(catalog: "Catalog") -> "Iterator[Label]":
    """The crosswalk rows of all entries."""
    return (label for name in catalog for label in read_labels(catalog, name))


def compile_names(catalog: "Catalog", labels: "Iterable[Label]") -> str:
    """The vocabulary's concepts, the datasets' words for them and their names in other languages, as JSON."""
    from dermdata.catalogs.overlays import read_text
    from dermdata.vocabulary import parse_vocabulary
    from dermdata.vocabulary.search import label_names
    from dermdata.vocabulary.terms import name_terms, parse_terms

    path = catalog.vocabulary_file("concepts.tsv")
    vocabulary = parse_vocabulary(read_text(path), str(path))
    place = catalog.vocabulary_file("terms.tsv")
    foreign = name_terms(parse_terms(read_text(place), vocabulary, str(place)))
    concepts = [
        (one.id, one.label, one.parent, one.level, one.malignancy, one.synonyms, one.doid, one.icd10cm)
        for one in vocabulary
    ]
    return to_json([concepts, list(dict.fromkeys((*label_names(labels), *foreign)))])


def card_row(label: "Label") -> CardRow:
    return label.raw_label, label.predicate, label.concept


def to_json(value: Iterable[object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
