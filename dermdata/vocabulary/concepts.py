"""The concept tree (one parent a concept, one root) and the body sites, parsed from their tab-separated files."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dermdata.closed_words import CLOSED_WORDS
from dermdata.errors import UnknownName, UsageError, nearest
from dermdata.vocabulary import tsv

LEVELS = ("root", "superclass", "category", "group", "diagnosis", "subtype")
MALIGNANCIES = ("benign", "indeterminate", "malignant", "not-applicable", "mixed")
# What the manifest can say; `mixed`, and `non-malignant` (benign or no neoplasm at all), say less than these.
MANIFEST_MALIGNANCIES = CLOSED_WORDS["malignancy"]
MALIGNANCY_STATEMENTS = CLOSED_WORDS["malignancy_source"]  # what a dataset may state
# Indeterminate in the vocabulary, as in ISIC; the manifest calls these two, and all below them, premalignant.
PREMALIGNANT = ("actinic-keratosis", "actinic-cheilitis")
UNKNOWN = "unknown"  # the concept "diagnosis not stated"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
CONCEPT_COLUMNS = (
    "id",
    "label",
    "parent",
    "level",
    "malignancy",
    "synonyms",
    "doid",
    "icd10cm",
    "isic_path",
    "note",
)
SITE_COLUMNS = ("id", "label", "parent", "level", "synonyms")
PUNCTUATION = str.maketrans(dict.fromkeys("-_/,;:()[]|'\u2019\"=", " "))


@dataclass(frozen=True, slots=True)
class Concept:
    """One node of the vocabulary; `id` is a stable slug and never reused."""

    id: str
    label: str
    parent: str | None
    level: str
    malignancy: str
    synonyms: tuple[str, ...] = ()
    doid: str | None = None  # Disease Ontology
    icd10cm: str | None = None  # a classification aid, coarser than the concept
    isic_paths: tuple[str, ...] = ()  # diagnosis_1:diagnosis_2:… of the ISIC Archive
    note: str | None = None


NumberedConcept = tuple[int, Concept]  # its line, and the concept


@dataclass(frozen=True, slots=True)
class BodySite:
    """One body site; its level is its depth, 1 for a whole region."""

    id: str
    label: str
    parent: str | None
    level: int
    synonyms: tuple[str, ...] = ()


class Vocabulary:
    """Concepts by id, in file order; asking for an unknown one raises UnknownName with the nearest ids."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        """Take a well-formed tree; `parse_vocabulary` checks one."""
        self._concepts = {concept.id: concept for concept in concepts}
        self._children: dict[str | None, list[str]] = {}
        for concept in self._concepts.values():
            self._children.setdefault(concept.parent, []).append(concept.id)
        self._paths: dict[str, tuple[str, ...]] = {}

    def __iter__(self) -> Iterator[Concept]:
        return iter(self._concepts.values())

    def __len__(self) -> int:
        return len(self._concepts)

    def __contains__(self, concept: object) -> bool:
        return concept in self._concepts

    def __getitem__(self, concept: str) -> Concept:
        try:
            return self._concepts[concept]
        except KeyError:
            raise unknown_concept(concept, self) from None

    @property
    def root(self) -> str:
        return self._children[None][0]

    def name(self, concept: str) -> str:
        """The preferred label."""
        return self[concept].label

    def malignancy(self, concept: str) -> str:
        """The vocabulary's own facet; `manifest_malignancy` says it in the manifest's words."""
        return self[concept].malignancy

    def path(self, concept: str) -> tuple[str, ...]:
        """Ids from the root down to the concept itself."""
        if concept not in self._paths:
            parent = self[concept].parent
            self._paths[concept] = (*(self.path(parent) if parent else ()), concept)
        return self._paths[concept]

    def ancestors(self, concept: str) -> tuple[str, ...]:
        """Ids from the root down to the parent."""
        return self.path(concept)[:-1]

    def children(self, concept: str) -> tuple[str, ...]:
        return tuple(self._children.get(self[concept].id, ()))

    def is_under(self, concept: str, ancestor: str) -> bool:
        """Whether the concept is the ancestor or lies below it."""
        return self[ancestor].id in self.path(concept)

    def descendants(self, concept: str) -> tuple[str, ...]:
        """Ids below the concept, without it, depth first in file order."""
        return tuple(below for child in self.children(concept) for below in (child, *self.descendants(child)))

    def leaves(self, concept: str) -> tuple[str, ...]:
        """The finest concepts at or below this one."""
        return tuple(one for one in (concept, *self.descendants(concept)) if one not in self._children)

    def lowest_common_ancestor(self, concepts: Iterable[str]) -> str:
        """The finest concept that covers them all; UsageError when there are none."""
        paths = [self.path(concept) for concept in concepts]
        if not paths:
            raise UsageError("no concepts to find a common one of")
        shared = [one for one in paths[0] if all(one in path for path in paths)]
        return shared[-1]

    def sum_weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        """A weighted differential summed along ancestors: p(concept) = sum over itself and all below it."""
        sums: dict[str, float] = {}
        for concept, weight in weights.items():
            for one in self.path(concept):
                sums[one] = sums.get(one, 0.0) + weight
        return sums


@lru_cache(maxsize=1 << 14)  # the names of a vocabulary are compared with each word of a table
def normalize_text(text: str) -> str:
    """Lower case, no accents, punctuation as single blanks."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return " ".join(text.casefold().translate(PUNCTUATION).split())


def nearest_ids(text: str, entries: Iterable[Concept | BodySite], limit: int = 3) -> list[str]:
    """What a text may mean: all that is called just so, by label or synonym too, else what has the nearest names."""
    ids: dict[str, list[str]] = {}
    for one in entries:
        for name in dict.fromkeys(map(normalize_text, (one.id, one.label, *one.synonyms))):
            ids.setdefault(name, []).append(one.id)
    wanted = normalize_text(text)
    names = [wanted] if wanted in ids else nearest(wanted, ids, limit)
    return list(dict.fromkeys(one for name in names for one in ids[name]))[:limit]


def unknown_concept(name: str, vocabulary: Iterable[Concept]) -> UnknownName:
    """The error of a concept that there is not; what is called so by label or synonym is what was meant."""
    hint = "`dermdata labels find TEXT` searches the vocabulary"
    return UnknownName("concept", name, near=nearest_ids(name, vocabulary), hint=hint)


def site_path(site: str, sites: Mapping[str, BodySite]) -> tuple[str, ...]:
    """A site's ids from its region down."""
    parent = sites[site].parent
    return (*(site_path(parent, sites) if parent else ()), site)


def site_names(sites: Mapping[str, BodySite]) -> dict[str, str]:
    """Every way of naming a site that is no guess: its id, and its path ("Head and neck:Head:Scalp")."""
    paths = {one: ":".join(sites[above].label for above in site_path(one, sites)) for one in sites}
    return {name: one for one, path in paths.items() for name in (one, path)}


def suggest_ids(name: str, entries: Iterable[Concept | BodySite]) -> str:
    """The nearest ids, in brackets after an issue; empty where none is near."""
    near = nearest_ids(name, entries)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def manifest_malignancy(statement: str | None, concepts: Iterable[str], vocabulary: Vocabulary) -> str | None:
    """Translate a statement of malignancy into the manifest's words.

    Parameters
    ----------
    statement : str or None
        What a dataset or the vocabulary states.
    concepts : iterable of str
        Ids of the concepts that it is stated of.
    vocabulary : Vocabulary
        The concepts' tree.

    Returns
    -------
    str or None
        One of MANIFEST_MALIGNANCIES. `mixed` and `non-malignant` become None: a word for both, or for "benign or no
        neoplasm", is neither.

    """
    if statement == "indeterminate" and all(is_premalignant(one, vocabulary) for one in concepts):
        return "premalignant"
    return statement if statement in MANIFEST_MALIGNANCIES else None


def concept_malignancy(concept: str, vocabulary: Vocabulary) -> str | None:
    """A concept's malignancy in the manifest's words; None where what is below it differs."""
    return manifest_malignancy(vocabulary.malignancy(concept), (concept,), vocabulary)


def decide_malignancy(concepts: Sequence[str], statement: str | None, vocabulary: Vocabulary) -> str | None:
    """The one rule: the concepts' malignancy, the same in every dataset; where they do not decide it, the statement.

    Parameters
    ----------
    concepts : sequence of str
        What a word surely means, or all that it may mean; none where there is no diagnosis.
    statement : str or None
        What the dataset itself states.
    vocabulary : Vocabulary
        The concepts' tree.

    Returns
    -------
    str or None
        One of MANIFEST_MALIGNANCIES.

    """
    found = {concept_malignancy(one, vocabulary) for one in concepts}
    if len(found) == 1 and None not in found:
        return found.pop()
    return manifest_malignancy(statement, concepts or (vocabulary.root,), vocabulary)


def is_premalignant(concept: str, vocabulary: Vocabulary) -> bool:
    return any(one in PREMALIGNANT for one in vocabulary.path(concept))


@lru_cache(maxsize=2)  # a text that was parsed is what nearly every call of a process asks for
def parse_vocabulary(text: str, where: str = "vocabulary/concepts.tsv") -> Vocabulary:
    """Parse a `concepts.tsv`.

    Parameters
    ----------
    text : str
        The file's text.
    where : str
        The file's name in errors.

    Returns
    -------
    Vocabulary
        A tree with one root.

    Raises
    ------
    BadCatalog
        Every issue of the text, each with its line.

    """
    issues: list[str] = []
    placed = [(line, concept_from_row(row)) for line, row in tsv.read_rows(text, CONCEPT_COLUMNS, issues)]
    for line, concept in placed:
        issues.extend(f"line {line}: {issue}" for issue in concept_issues(concept))
    parents = {concept.id: concept.parent for _, concept in placed}
    issues += tree_issues([(line, one.id, one.parent) for line, one in placed], parents)
    issues += root_issues(placed)
    tsv.raise_issues(where, issues)
    return Vocabulary(concept for _, concept in placed)


@lru_cache(maxsize=2)
def parse_body_sites(text: str, where: str = "vocabulary/body-sites.tsv") -> Mapping[str, BodySite]:
    """Parse a `body-sites.tsv`.

    Parameters
    ----------
    text : str
        The file's text.
    where : str
        The file's name in errors.

    Returns
    -------
    Mapping
        Id -> BodySite: a forest, one tree a region.

    Raises
    ------
    BadCatalog
        Every issue of the text, each with its line.

    """
    issues: list[str] = []
    rows = tsv.read_rows(text, SITE_COLUMNS, issues)
    parents = {row[0]: row[2] or None for _, row in rows}
    issues += tree_issues([(line, row[0], row[2] or None) for line, row in rows], parents)
    if not issues:
        issues += level_issues(rows, parents)
    tsv.raise_issues(where, issues)
    return {row[0]: site_from_row(row) for _, row in rows}


def level_issues(rows: Iterable[tuple[int, list[str]]], parents: Mapping[str, str | None]) -> Iterator[str]:
    """Body sites whose level is not their depth."""
    for line, (ident, _, _, level, _) in rows:
        if level != str(len(path_to_root(ident, parents))):
            yield f"line {line}: level '{level}' is not the depth of '{ident}'"


def site_from_row(row: list[str]) -> BodySite:
    ident, label, parent, level, synonyms = row
    return BodySite(ident, label, parent or None, int(level), tsv.split_field(synonyms))


def concept_from_row(row: list[str]) -> Concept:
    ident, label, parent, level, malignancy, synonyms, doid, icd10cm, isic_path, note = row
    return Concept(
        ident,
        label,
        parent or None,
        level,
        malignancy,
        synonyms=tsv.split_field(synonyms),
        doid=doid or None,
        icd10cm=icd10cm or None,
        isic_paths=tsv.split_field(isic_path),
        note=note or None,
    )


def concept_issues(concept: Concept) -> Iterable[str]:
    """What is wrong with one concept by itself."""
    if not concept.label:
        yield f"'{concept.id}' has no label"
    if concept.level not in LEVELS:
        yield f"unknown level '{concept.level}': {'|'.join(LEVELS)}"
    if concept.malignancy not in MALIGNANCIES:
        yield f"unknown malignancy '{concept.malignancy}': {'|'.join(MALIGNANCIES)}"


def tree_issues(nodes: list[tuple[int, str, str | None]], parents: Mapping[str, str | None]) -> list[str]:
    """What is wrong between (line, id, parent) nodes: slugs, doubles, missing parents, cycles."""
    issues: list[str] = []
    seen: dict[str, int] = {}
    for line, ident, parent in nodes:
        if not SLUG.match(ident):
            issues.append(f"line {line}: '{ident}' is no slug: small letters, digits and single hyphens")
        if ident in seen:
            issues.append(f"line {line}: '{ident}' stands on line {seen[ident]} already")
        if parent is not None and parent not in parents:
            issues.append(f"line {line}: unknown parent '{parent}' of '{ident}'")
        elif ident not in seen and path_to_root(ident, parents)[-1] == ident and parent is not None:
            issues.append(f"line {line}: '{ident}' is its own ancestor")
        seen.setdefault(ident, line)
    return issues


def path_to_root(ident: str, parents: Mapping[str, str | None]) -> list[str]:
    """The way from a node to its root; in a cycle it ends with the first node met again."""
    way = [ident]
    while (above := parents.get(way[-1])) is not None:
        met = above in way
        way.append(above)
        if met:
            break
    return way


def root_issues(placed: list[NumberedConcept]) -> Iterable[str]:
    """There is one concept without a parent, and it is the one of level root."""
    roots = [(line, one) for line, one in placed if one.parent is None]
    if len(roots) != 1:
        found = ", ".join(one.id for _, one in roots)
        yield f"there must be one concept without a parent, not {len(roots)}: {found}"
    for line, one in placed:
        if (one.level == "root") != (one.parent is None):
            yield f"line {line}: level '{one.level}' of '{one.id}': the concept without parent is the root"
