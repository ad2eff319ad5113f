"""A person's own label space, as text of a file: TOML like `spaces.toml`, a table of two columns, or one class a line.

# one class a line: a concept, several that share a class, or a name for them
melanoma
pigmented = melanocytic-nevus + lentigo
"""

import tomllib
from collections.abc import Iterable

from dermdata.errors import BadCatalog, BadTable, UsageError, nearest
from dermdata.vocabulary import tsv
from dermdata.vocabulary.concepts import Vocabulary
from dermdata.vocabulary.spaces import Space, class_of_text, item_of, space_issues, space_of

SUFFIXES = (".toml", ".tsv", ".txt")
HEADER = ("class", "concept")
Classes = dict[str, list[str]]


def parse_space_file(text: str, name: str, vocabulary: Vocabulary) -> Space:
    """The one space of a file, read by the ending of its `name`; BadTable lists every issue, UsageError for none."""
    text = text.removeprefix("\ufeff")
    if name.endswith(".toml"):
        return of_toml(text, name, vocabulary)
    issues: list[str] = []
    classes = of_table(text, issues) if name.endswith(".tsv") else of_lines(text, issues)
    space = Space(name, {one: tuple(map(item_of, items)) for one, items in classes.items()})
    issues += with_near(space_issues(space, vocabulary), vocabulary)
    return checked(space, issues)


def of_toml(text: str, name: str, vocabulary: Vocabulary) -> Space:
    """`classes` at the top, or in the file's only table."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadTable(f"{name} is not valid TOML: {error}") from error
    if "classes" not in data and len(data) == 1:
        (data,) = data.values()
    elif "classes" not in data and data:
        raise UsageError(
            f"{name} holds {len(data)} tables, not one label space", hint="one file, one space with `classes`"
        )
    issues: list[str] = []
    space = space_of(name, data, vocabulary, issues)
    return checked(space, with_near(issues, vocabulary))


def of_table(text: str, issues: list[str]) -> Classes:
    classes: Classes = {}
    for line, (one, concept) in tsv.read(text, HEADER, issues):
        if not one or not concept:
            issues.append(f"line {line}: a row needs a class and a concept")
        classes.setdefault(one, []).append(concept)
    return classes


def of_lines(text: str, issues: list[str]) -> Classes:
    classes: Classes = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].strip()
        if words:
            one, items = class_of_text(words)
            if one in classes:
                issues.append(f"line {number}: the class '{one}' stands there already")
            classes[one] = items
    return classes


LOOKED_UP = 50  # issues: each search takes some milliseconds


def with_near(issues: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    """Each issue, and for the first unknown concepts what may have been meant."""
    marker = "unknown concept '"
    told: list[str] = []
    for issue in issues:
        _, found, rest = issue.partition(marker)
        look = bool(found) and len(told) < LOOKED_UP
        near = nearest(rest.rstrip("'"), (one.id for one in vocabulary)) if look else []
        told.append(f"{issue} (did you mean {' or '.join(near)}?)" if near else issue)
    return told


def checked(space: Space, issues: list[str]) -> Space:
    if not issues and not space.classes:
        raise UsageError(f"{space.name} names no class", hint="write a concept a line")
    try:
        tsv.complain(space.name, issues)
    except BadCatalog as error:  # a file of the person's own is no catalog
        raise BadTable(error.message, hint="`dermdata labels find TEXT` searches the vocabulary") from None
    return space
