"""Label spaces: named or ad hoc sets of classes, and what a label, a lump or a differential becomes in one.

A class is a set of items: a concept (with all below it), or `concept/malignancy` (what lies below the
concept and has that malignancy). The nearest item on the way up to the root decides; a space may nest, then
the outer class takes what is not known to be finer. Nothing is guessed: what does not fit one class has
none, and a reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dermdata.errors import UnknownName, UsageError
from dermdata.model import Label
from dermdata.vocabulary import tsv
from dermdata.vocabulary.concepts import IN_MANIFEST, UNKNOWN, Vocabulary, manifest_malignancy

OVERLAP_ONLY = "overlap only"
NOT_STATED = "diagnosis not stated"
Item = tuple[str, str | None]  # concept, malignancy


@dataclass(frozen=True)
class Space:
    """A label space; `facet` marks one whose classes are no concepts (malignancy)."""

    name: str
    classes: Mapping[str, tuple[Item, ...]]
    title: str | None = None
    facet: str | None = None

    @cached_property
    def at(self) -> dict[Item, str]:
        """Item -> class."""
        return {item: name for name, items in self.classes.items() for item in items}


@dataclass(frozen=True, slots=True)
class Projected:
    """The class, or None and why there is none."""

    value: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Weighted:
    """A differential over classes; the weight that has no class is kept, by reason."""

    classes: Mapping[str, float]
    unassigned: Mapping[str, float]


# ------------------------------------------------------------------ projection


def project(
    what: Label | Iterable[str], space: Space, vocabulary: Vocabulary, *, related: bool = False
) -> Projected:
    """The class of a label or of a lump of concepts; a lump has one only if all its members agree.

    `related` projects labels that only overlap their concept as well, as if they were it.
    """
    if not isinstance(what, Label):
        ids = list(what)
        return joined(ids, [own_malignancy(one, vocabulary) for one in ids], space, vocabulary)
    if what.predicate == "relatedMatch" and not related:
        return Projected(None, OVERLAP_ONLY)
    found = joined(what.members or (what.concept,), malignancies(what, vocabulary), space, vocabulary)
    if what.predicate == "broadMatch" and not what.members and found.value:
        inner = beneath(what.concept, space, vocabulary) - {found.value}
        if inner:
            return Projected(None, wider({found.value, *inner}))
    return found


def project_weights(weights: Mapping[str, float], space: Space, vocabulary: Vocabulary) -> Weighted:
    """A weighted differential (concept -> weight) as weights of classes; the two parts keep the whole sum."""
    classes: dict[str, float] = {}
    unassigned: dict[str, float] = {}
    for concept, weight in weights.items():
        found = project((concept,), space, vocabulary)
        part, key = (classes, found.value) if found.value else (unassigned, str(found.reason))
        part[key] = part.get(key, 0.0) + weight
    return Weighted(classes, unassigned)


def joined(
    ids: Iterable[str], facets: Iterable[str | None], space: Space, vocabulary: Vocabulary
) -> Projected:
    """The one class of all these concepts, each with its malignancy in the manifest's words."""
    at = space.at
    ids = list(ids)
    found = [class_of(one, malignancy, at, vocabulary) for one, malignancy in zip(ids, facets, strict=True)]
    classes = {name for name in found if name}
    if len(classes) == 1 and None not in found:
        return Projected(found[0])
    if len(classes) > 1:
        return Projected(None, f"a lump: {' or '.join(sorted(classes))}")
    if classes:
        outside = ", ".join(one for one, name in zip(ids, found, strict=True) if not name)
        return Projected(None, f"a lump: {classes.pop()} or outside the space ({outside})")
    return Projected(None, why_none(ids, space, vocabulary))


def class_of(
    concept: str, malignancy: str | None, at: Mapping[Item, str], vocabulary: Vocabulary
) -> str | None:
    for one in reversed(vocabulary.path(concept)):
        if found := at.get((one, None)) or (malignancy and at.get((one, malignancy))):
            return found
    return None


def why_none(ids: Iterable[str], space: Space, vocabulary: Vocabulary) -> str:
    ids = tuple(ids)
    if all(UNKNOWN in vocabulary.path(one) for one in ids):
        return NOT_STATED
    if space.facet:
        return f"{space.facet} not stated"
    inner = {name for one in ids for name in beneath(one, space, vocabulary)}
    return wider(inner) if inner else "outside the space"


def wider(classes: Iterable[str]) -> str:
    return f"wider than one class: {' or '.join(sorted(classes))}"


def beneath(concept: str, space: Space, vocabulary: Vocabulary) -> set[str]:
    """The classes with an item strictly below the concept."""
    return {
        name for (one, _), name in space.at.items() if one != concept and vocabulary.is_under(one, concept)
    }


def malignancies(label: Label, vocabulary: Vocabulary) -> list[str | None]:
    """Of each concept the label may mean: the dataset's own statement, else the vocabulary's."""
    ids = label.members or (label.concept,)
    stated = manifest_malignancy(label.malignancy, ids, vocabulary)
    if stated or (label.malignancy and not label.members):
        return [stated] * len(ids)
    return [own_malignancy(one, vocabulary) for one in ids]


def own_malignancy(concept: str, vocabulary: Vocabulary) -> str | None:
    return manifest_malignancy(vocabulary.malignancy(concept), (concept,), vocabulary)


# ------------------------------------------------------------------ reading


def parse_space(text: str, vocabulary: Vocabulary, named: Mapping[str, Space]) -> Space:
    """A space by name, or `a,b+c,NAME=d+e`: a class for a, one for b and c together, one of d and e called NAME.

    UnknownName with near names.
    """
    if text in named:
        return named[text]
    classes = dict(class_of_text(part) for part in text.split(","))
    if not all(map(all, classes.values())) or not all(classes) or len(classes) <= text.count(","):
        raise UsageError(f"'{text}' is no label space", hint="name one, or write concept,concept,…")
    for concept in (one for items in classes.values() for one in items):
        if concept not in vocabulary:
            kind = "concept" if set("+,=") & set(text) else "label space"
            known = [*named, *(one.id for one in vocabulary)]
            raise UnknownName(kind, concept, known, hint=f"the named spaces are {', '.join(named)}")
    space = Space(text, {name: tuple((one, None) for one in items) for name, items in classes.items()})
    if len(space.at) < sum(len(items) for items in space.classes.values()):
        raise UsageError(f"'{text}' names a concept twice")
    return space


def class_of_text(text: str) -> tuple[str, list[str]]:
    """`melanoma`, `a+b` or `NAME = a + b`; a class without a name is called by its concepts."""
    name, sign, concepts = text.partition("=")
    items = [one.strip() for one in (concepts if sign else name).split("+")]
    return name.strip() if sign else "+".join(items), items


def parse_spaces(
    text: str, vocabulary: Vocabulary, where: str = "vocabulary/spaces.toml"
) -> dict[str, Space]:
    """The named spaces of a TOML text; BadCatalog lists every issue."""
    import tomllib  # not before it is needed: start-up counts

    issues: list[str] = []
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        data = {}
        issues.append(str(error))
    spaces = {name: space_of(name, entry, vocabulary, issues) for name, entry in data.items()}
    tsv.complain(where, issues)
    return spaces


def space_of(name: str, entry: Any, vocabulary: Vocabulary, issues: list[str]) -> Space:
    if not isinstance(entry, dict) or not isinstance(entry.get("classes"), dict | list):
        issues.append(f"{name}: a space is a table with `classes`")
        return Space(name, {})
    issues += [f"{name}: unknown key '{key}'" for key in sorted(entry.keys() - {"classes", "title", "facet"})]
    classes = entry["classes"]
    if isinstance(classes, list):  # each concept is its own class, under its own id
        classes = {one: [one] for one in map(word_of, classes)}
    wrong = [one for one, items in classes.items() if not isinstance(items, list)]
    issues += [f"{name}: class '{one}' is no list of concepts" for one in wrong]
    classes = {one: items for one, items in classes.items() if isinstance(items, list)}
    space = Space(
        name,
        {one: tuple(item_of(item) for item in items) for one, items in classes.items()},
        entry.get("title"),
        entry.get("facet"),
    )
    issues += space_issues(space, vocabulary)
    return space


def word_of(one: Any) -> Any:
    """A concept's id; of what is none, words that an issue can name."""
    return one if isinstance(one, str) else repr(one)


def item_of(text: Any) -> Item:
    concept, _, malignancy = str(text).partition("/")
    return concept, malignancy or None


def space_issues(space: Space, vocabulary: Vocabulary) -> Iterable[str]:
    """Items that name nothing, classes without items, an item in two classes."""
    seen: dict[Item, str] = {}
    for name, items in space.classes.items():
        if not items:
            yield f"{space.name}.{name}: no concepts"
        for item in items:
            concept, malignancy = item
            if concept not in vocabulary:
                yield f"{space.name}.{name}: unknown concept '{concept}'"
            if malignancy and malignancy not in IN_MANIFEST:
                yield f"{space.name}.{name}: unknown malignancy '{malignancy}'"
            if item in seen:
                yield f"{space.name}.{name}: '{concept}' belongs to {seen[item]} already"
            seen[item] = name
    if space.facet not in (None, "malignancy"):
        yield f"{space.name}: unknown facet '{space.facet}'"
