"""Label spaces: named, ad hoc or read from a file, and the class that a label, a lump or a differential has in one.

A class is a set of items: a concept (with all below it), or `concept/malignancy` (what lies below the concept and has
that malignancy). The nearest item on the way up to the root decides; a space may nest, then the outer class takes what
is not known to be finer. Nothing is guessed: what does not fit one class has none, and a reason.

A person's own file is TOML like `spaces.toml`, a table of two columns, or one class a line:

# a concept, several that share a class, or a name for them
melanoma
pigmented = melanocytic-nevus + lentigo
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dermdata.errors import BadCatalog, BadTable, UnknownName, UsageError, nearest
from dermdata.markup import count_nouns
from dermdata.model import Label
from dermdata.vocabulary import tsv
from dermdata.vocabulary.concepts import (
    MALIGNANCY_STATEMENTS,
    MANIFEST_MALIGNANCIES,
    UNKNOWN,
    Vocabulary,
    concept_malignancy,
    decide_malignancy,
    manifest_malignancy,
    nearest_ids,
    suggest_ids,
)

OVERLAP_ONLY = "overlap only"
# predicates that do not say that the concept is true of the image, and why
UNCERTAIN = {"relatedMatch": OVERLAP_ONLY, "narrowMatch": "wider than its concept"}
NOT_STATED = "diagnosis not stated"
SPACE_SUFFIXES = (".toml", ".tsv", ".txt")
SPACE_COLUMNS = ("class", "concept")
MOST_LOOKED_UP = 50  # issues: each search takes some milliseconds
OWN_STATEMENT = "malignancy-source"  # the facet whose classes are what the datasets themselves state
SpaceItem = tuple[str, str | None]  # concept, malignancy
ClassItems = dict[str, list[str]]


@dataclass(frozen=True)
class LabelSpace:
    """A label space; `facet` marks one whose classes are no concepts (malignancy)."""

    name: str
    classes: Mapping[str, tuple[SpaceItem, ...]]
    title: str | None = None
    facet: str | None = None

    @cached_property
    def item_classes(self) -> dict[SpaceItem, str]:
        """Item -> class."""
        return {item: name for name, items in self.classes.items() for item in items}


@dataclass(frozen=True, slots=True)
class Projection:
    """The class, or None and why there is none."""

    value: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WeightedClasses:
    """A differential over classes; the weight that has no class is kept, by reason."""

    classes: Mapping[str, float]
    unassigned: Mapping[str, float]


# ------------------------------------------------------------------ projection


def project_label(
    what: Label | Iterable[str], space: LabelSpace, vocabulary: Vocabulary, *, related: bool = False
) -> Projection:
    """Find the class of a label, or of a lump of concepts, which has one only if all its members agree.

    Parameters
    ----------
    what : Label or iterable of str
        A crosswalk row, or ids of concepts.
    space : LabelSpace
        The classes.
    vocabulary : Vocabulary
        The tree in which the nearest item of a class decides.
    related : bool
        Project labels that only overlap their concept as if they were it.

    Returns
    -------
    Projection
        The class, or why there is none.

    """
    if not isinstance(what, Label):
        ids = list(what)
        return common_class(ids, concept_malignancies(ids, space, vocabulary), space, vocabulary)
    if what.predicate in UNCERTAIN and not related:
        return Projection(None, UNCERTAIN[what.predicate])
    found = common_class(
        what.members or (what.concept,), label_malignancies(what, space, vocabulary), space, vocabulary
    )
    if what.predicate == "broadMatch" and not what.members and found.value:
        inner = classes_below(what.concept, space, vocabulary) - {found.value}
        if inner:
            return Projection(None, wider_reason({found.value, *inner}))
    return found


def project_weights(
    weights: Mapping[str, float], space: LabelSpace, vocabulary: Vocabulary
) -> WeightedClasses:
    """Project a weighted differential.

    Parameters
    ----------
    weights : mapping
        Concept -> weight.
    space : LabelSpace
        The classes.
    vocabulary : Vocabulary
        The tree in which the nearest item of a class decides.

    Returns
    -------
    WeightedClasses
        Weights of classes, and by reason the weight that has no class; together they have the whole sum.

    """
    classes: dict[str, float] = {}
    unassigned: dict[str, float] = {}
    for concept, weight in weights.items():
        found = project_label((concept,), space, vocabulary)
        part, key = (classes, found.value) if found.value else (unassigned, str(found.reason))
        part[key] = part.get(key, 0.0) + weight
    return WeightedClasses(classes, unassigned)


def common_class(
    ids: Iterable[str], facets: Iterable[str | None], space: LabelSpace, vocabulary: Vocabulary
) -> Projection:
    """The one class of all these concepts, each with its malignancy in the manifest's words."""
    at = space.item_classes
    ids = list(ids)
    found = [find_class(one, malignancy, at, vocabulary) for one, malignancy in zip(ids, facets, strict=True)]
    classes = {name for name in found if name}
    if len(classes) == 1 and None not in found:
        return Projection(found[0])
    if len(classes) > 1:
        return Projection(None, f"a lump: {' or '.join(sorted(classes))}")
    if classes:
        outside = ", ".join(one for one, name in zip(ids, found, strict=True) if not name)
        return Projection(None, f"a lump: {classes.pop()} or outside the space ({outside})")
    return Projection(None, no_class_reason(ids, space, vocabulary))


def find_class(
    concept: str, malignancy: str | None, at: Mapping[SpaceItem, str], vocabulary: Vocabulary
) -> str | None:
    for one in reversed(vocabulary.path(concept)):
        if found := at.get((one, None)) or (malignancy and at.get((one, malignancy))):
            return found
    return None


def no_class_reason(ids: Iterable[str], space: LabelSpace, vocabulary: Vocabulary) -> str:
    ids = tuple(ids)
    if all(UNKNOWN in vocabulary.path(one) for one in ids):
        return NOT_STATED
    if space.facet:
        return f"{space.facet} not stated"
    inner = {name for one in ids for name in classes_below(one, space, vocabulary)}
    return wider_reason(inner) if inner else "outside the space"


def wider_reason(classes: Iterable[str]) -> str:
    return f"wider than one class: {' or '.join(sorted(classes))}"


def classes_below(concept: str, space: LabelSpace, vocabulary: Vocabulary) -> set[str]:
    """The classes with an item strictly below the concept."""
    return {
        name
        for (one, _), name in space.item_classes.items()
        if one != concept and vocabulary.is_under(one, concept)
    }


def concept_malignancies(ids: Iterable[str], space: LabelSpace, vocabulary: Vocabulary) -> list[str | None]:
    """Of each concept its own; a concept alone is no dataset's statement."""
    return [None if space.facet == OWN_STATEMENT else concept_malignancy(one, vocabulary) for one in ids]


def label_malignancies(label: Label, space: LabelSpace, vocabulary: Vocabulary) -> list[str | None]:
    """Of each concept the label may mean: a row's own, else by the one rule; what the dataset states if it is asked for."""
    ids = label.members or (label.concept,)
    if space.facet == OWN_STATEMENT:
        return [label.malignancy_source] * len(ids)
    found = manifest_malignancy(label.malignancy, ids, vocabulary)
    found = found or decide_malignancy(ids, label.malignancy_source, vocabulary)
    return [found or concept_malignancy(one, vocabulary) for one in ids]


# ------------------------------------------------------------------ reading


def parse_space(text: str, vocabulary: Vocabulary, named: Mapping[str, LabelSpace]) -> LabelSpace:
    """Find a space by name, or parse one written on the command line.

    Parameters
    ----------
    text : str
        A name, or `a,b+c,NAME=d+e`: a class for a, one for b and c together, one of d and e called NAME. An item is
        a concept, or `concept/malignancy` as in a file.
    vocabulary : Vocabulary
        The concepts that there are.
    named : mapping
        The named spaces.

    Returns
    -------
    LabelSpace
        The named one, or one whose name is the text.

    Raises
    ------
    UnknownName
        No space, concept or malignancy is called so; the error has near names.
    UsageError
        A class is empty or stands there twice, or a concept does.

    """
    if text in named:
        return named[text]
    classes = parse_classes(text)
    space = LabelSpace(text, {name: tuple(map(parse_item, items)) for name, items in classes.items()})
    for concept, malignancy in space.item_classes:
        if malignancy is not None and malignancy not in MANIFEST_MALIGNANCIES:
            hint = f"one of {', '.join(MANIFEST_MALIGNANCIES)}"
            raise UnknownName("malignancy", malignancy, MANIFEST_MALIGNANCIES, hint=hint)
        if concept not in vocabulary:
            kind = "concept" if set("+,=") & set(text) else "label space"
            near = nearest(concept, named) or nearest_ids(concept, vocabulary)
            raise UnknownName(kind, concept, near=near, hint=f"the named spaces are {', '.join(named)}")
    if len(space.item_classes) < sum(map(len, space.classes.values())):
        raise UsageError(f"'{text}' names a concept twice")
    return space


def parse_classes(text: str) -> ClassItems:
    """The classes of `a,b+c/benign,NAME=d`; UsageError where a class or a concept is empty, or a class is named twice."""
    classes = dict(map(parse_class, text.split(",")))
    if not all(map(all, classes.values())) or not all(classes) or len(classes) <= text.count(","):
        raise UsageError(f"'{text}' is no label space", hint="name one, or write concept,concept,…")
    return classes


def parse_class(text: str) -> tuple[str, list[str]]:
    """`melanoma`, `a+b` or `NAME = a + b`; a class without a name is called by its concepts."""
    name, sign, concepts = text.partition("=")
    items = [one.strip() for one in (concepts if sign else name).split("+")]
    return name.strip() if sign else "+".join(items), items


def parse_spaces(
    text: str, vocabulary: Vocabulary, where: str = "vocabulary/spaces.toml"
) -> dict[str, LabelSpace]:
    """Parse a `spaces.toml`.

    Parameters
    ----------
    text : str
        The file's text.
    vocabulary : Vocabulary
        The concepts that there are.
    where : str
        The file's name in errors.

    Returns
    -------
    dict
        Name -> LabelSpace, in file order.

    Raises
    ------
    BadCatalog
        Every issue of the text.

    """
    import tomllib  # not before it is needed: start-up counts

    issues: list[str] = []
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        data = {}
        issues.append(str(error))
    spaces = {name: build_space(name, entry, vocabulary, issues) for name, entry in data.items()}
    tsv.raise_issues(where, issues)
    return spaces


def build_space(name: str, entry: Any, vocabulary: Vocabulary, issues: list[str]) -> LabelSpace:
    if not isinstance(entry, dict) or not isinstance(entry.get("classes"), dict | list):
        issues.append(f"{name}: a space is a table with `classes`")
        return LabelSpace(name, {})
    issues += [f"{name}: unknown key '{key}'" for key in sorted(entry.keys() - {"classes", "title", "facet"})]
    classes = {
        one: tuple(map(parse_item, items)) for one, items in list_classes(name, entry["classes"], issues)
    }
    space = LabelSpace(name, classes, entry.get("title"), entry.get("facet"))
    issues += space_issues(space, vocabulary)
    return space


def list_classes(
    name: str, given: dict[str, Any] | list[Any], issues: list[str]
) -> Iterator[tuple[str, list[Any]]]:
    """Each class with its concepts; in a list each concept is its own class, under its own id."""
    if isinstance(given, list):
        yield from ((one, [one]) for one in map(concept_text, given))
        return
    for one, items in given.items():
        if isinstance(items, list):
            yield one, items
        else:
            issues.append(f"{name}: class '{one}' is no list of concepts")


def concept_text(one: Any) -> Any:
    """A concept's id; of what is none, words that an issue can name."""
    return one if isinstance(one, str) else repr(one)


def parse_item(text: Any) -> SpaceItem:
    concept, _, malignancy = str(text).partition("/")
    return concept, malignancy or None


def space_issues(space: LabelSpace, vocabulary: Vocabulary) -> Iterable[str]:
    """Items that name nothing, classes without items, an item in two classes."""
    seen: dict[SpaceItem, str] = {}
    for name, items in space.classes.items():
        if not items:
            yield f"{space.name}.{name}: no concepts"
        for item in items:
            concept, malignancy = item
            if concept not in vocabulary:
                yield f"{space.name}.{name}: unknown concept '{concept}'"
            if malignancy and malignancy not in MALIGNANCY_STATEMENTS:
                yield f"{space.name}.{name}: unknown malignancy '{malignancy}'"
            if item in seen:
                yield f"{space.name}.{name}: '{concept}' belongs to {seen[item]} already"
            seen[item] = name
    if space.facet not in (None, "malignancy", OWN_STATEMENT):
        yield f"{space.name}: unknown facet '{space.facet}'"


def parse_space_file(text: str, name: str, vocabulary: Vocabulary) -> LabelSpace:
    """The one space of a file, read by the ending of its `name`; BadTable lists every issue, UsageError for none."""
    text = text.removeprefix("\ufeff")
    if name.endswith(".toml"):
        return parse_toml_space(text, name, vocabulary)
    issues: list[str] = []
    classes = parse_class_table(text, issues) if name.endswith(".tsv") else parse_class_lines(text, issues)
    space = LabelSpace(name, {one: tuple(map(parse_item, items)) for one, items in classes.items()})
    issues += add_suggestions(space_issues(space, vocabulary), vocabulary)
    return require_sound_space(space, issues)


def parse_toml_space(text: str, name: str, vocabulary: Vocabulary) -> LabelSpace:
    """`classes` at the top, or in the file's only table."""
    import tomllib  # not before it is needed: start-up counts

    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadTable(f"{name} is not valid TOML: {error}") from error
    if "classes" not in data and len(data) == 1:
        (data,) = data.values()
    elif "classes" not in data and data:
        raise UsageError(
            f"{name} holds {count_nouns(len(data), 'table')}, not one label space",
            hint="one file, one space with `classes`",
        )
    issues: list[str] = []
    space = build_space(name, data, vocabulary, issues)
    return require_sound_space(space, add_suggestions(issues, vocabulary))


def parse_class_table(text: str, issues: list[str]) -> ClassItems:
    classes: ClassItems = {}
    for line, (one, concept) in tsv.read_rows(text, SPACE_COLUMNS, issues):
        if not one or not concept:
            issues.append(f"line {line}: a row needs a class and a concept")
        classes.setdefault(one, []).append(concept)
    return classes


def parse_class_lines(text: str, issues: list[str]) -> ClassItems:
    classes: ClassItems = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].strip()
        if words:
            one, items = parse_class(words)
            if one in classes:
                issues.append(f"line {number}: the class '{one}' stands there already")
            classes[one] = items
    return classes


def add_suggestions(issues: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    """Each issue, and for the first unknown concepts what may have been meant."""
    complete: list[str] = []
    for number, issue in enumerate(issues):
        _, unknown, concept = issue.partition("unknown concept '")
        is_looked_up = unknown and number < MOST_LOOKED_UP
        complete.append(issue + (suggest_ids(concept.rstrip("'"), vocabulary) if is_looked_up else ""))
    return complete


def require_sound_space(space: LabelSpace, issues: list[str]) -> LabelSpace:
    if not issues and not space.classes:
        raise UsageError(f"{space.name} names no class", hint="write a concept a line")
    try:
        tsv.raise_issues(space.name, issues)
    except BadCatalog as error:  # a file of the person's own is no catalog
        raise BadTable(error.message, hint="`dermdata labels find TEXT` searches the vocabulary") from None
    return space
