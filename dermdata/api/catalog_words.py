"""What the columns of a table are compared with: the pictures beside it, and the words of the whole catalog."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dermdata.api.own_tables import name_keys
from dermdata.api.resources import Resources
from dermdata.vocabulary.concepts import normalize_text
from dermdata.vocabulary.terms import plain_term, spell_term

if TYPE_CHECKING:
    from dermdata.inference.columns import Surroundings


TELLING = re.compile(r"^(?!(?:true|false|yes|no)$).*[^\W\d_]{2}")  # has two letters, and is no yes or no


@dataclass(frozen=True)
class CatalogWords:
    """The words for diagnoses and body sites, as `normalize_text` leaves them, and which dataset has each."""

    concepts: frozenset[str]  # ids, labels, synonyms, names in other languages
    labels: Mapping[str, Collection[str]]  # raw word -> the datasets that use it
    body_sites: Mapping[str, str]  # any of its names -> its id
    site_words: Mapping[str, Mapping[str, str]]  # dataset or language -> its word -> the id

    @cached_property
    def diagnoses(self) -> frozenset[str]:
        """Every word that is one, whoever uses it."""
        return self.concepts.union(self.labels)

    def know_diagnosis(self, word: str, hidden: Collection[str] = ()) -> bool:
        """Whether a concept is called so, or a dataset that is not hidden uses the word.

        Letters and numbers that some dataset uses as codes tell nothing of another's, nor do its yes and no.
        """
        plain = normalize_text(word)
        if not TELLING.search(plain):
            return False
        if not hidden:
            return plain in self.diagnoses
        return plain in self.concepts or not set(self.labels.get(plain, ())).issubset(hidden)

    def list_sites(self, hidden: Collection[str] = ()) -> dict[str, str]:
        """Body sites by all their names, and by the words of the datasets where these agree."""
        words: dict[str, set[str]] = {}
        for dataset, sites in self.site_words.items():
            for word, site in sites.items() if dataset not in hidden else ():
                words.setdefault(word, set()).add(site)
        agreed = {word: found.pop() for word, found in words.items() if len(found) == 1}
        return {**agreed, **self.body_sites}

    def surround(self, images: Iterable[str], hidden: Collection[str] = ()) -> "Surroundings":
        """What columns are compared with where these pictures lie.

        Parameters
        ----------
        images
            The names of the pictures' files.
        hidden
            Datasets whose words are not to be known: the inference is scored on tables that it has not seen.

        """
        from dermdata.inference.columns import Surroundings

        files = {key for name in images for key in name_keys(name)}
        sites = self.list_sites(hidden)
        return Surroundings(
            is_image=lambda word: bool(files & name_keys(word)),
            is_diagnosis=lambda word: self.know_diagnosis(word, hidden),
            find_site=lambda word: sites.get(plain_term(word)),
        )


def read_catalog_words(resources: Resources) -> CatalogWords:
    """The words of the vocabulary and of every dataset of the catalog."""
    from dermdata.api.label_spaces import vocabulary_of
    from dermdata.api.label_tables import read_known_words, read_terms

    vocabulary = vocabulary_of(resources)
    labels: dict[str, set[str]] = {}
    for dataset, row in read_known_words(resources, vocabulary):
        labels.setdefault(normalize_text(row.raw_label), set()).add(dataset)
    names = {name for one in vocabulary for name in (one.id, one.label, *one.synonyms)}
    names |= {term.text for term in read_terms(resources, vocabulary)}
    return CatalogWords(
        concepts=frozenset(map(normalize_text, names)),
        labels=labels,
        body_sites={
            normalize_text(name): one.id
            for one in resources.catalog.load_body_sites().values()
            for name in (one.id, one.label, *one.synonyms)
        },
        site_words={name: read_site_words(resources, name) for name in resources.catalog}
        | read_foreign_sites(resources),
    )


def read_site_words(resources: Resources, name: str) -> dict[str, str]:
    """A dataset's words for body sites."""
    words = resources.catalog.read_value_words(name, "body_site")
    return {normalize_text(word): site for word, site in words.items()}


def read_foreign_sites(resources: Resources) -> dict[str, dict[str, str]]:
    """The names of body sites in each language, plain: name -> id."""
    from dermdata.api.label_index import read_site_terms

    names: dict[str, dict[str, str]] = {}
    for term in read_site_terms(resources):
        names.setdefault(term.language, {}).update(dict.fromkeys(spell_term(term), term.concept))
    return names
