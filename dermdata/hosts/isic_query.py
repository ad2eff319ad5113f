"""The ISIC Archive's query language: what a field must be, as words that its search reads.

https://api.isic-archive.com/api/docs/swagger/ ; read from isic/core/dsl.py of ImageMarkup/isic@b3713ecd: field:value,
AND before OR, a leading - for the contrary (which a field that is not set meets), field:* for one that is set, [50 TO 70].
No brackets are written, so that any reader of the language gets by: alternatives of all that must be.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Literal, Protocol

Kind = Literal["id", "word", "levels", "number"]
FIELDS: Mapping[str, Kind] = {  # columns of the official table that the search knows
    "isic_id": "id",
    "patient_id": "id",
    "lesion_id": "id",
    "copyright_license": "word",
    "sex": "word",
    "fitzpatrick_skin_type": "word",
    "diagnosis_confirm_type": "word",
    "image_type": "word",
    "diagnosis": "levels",
    "anatom_site": "levels",
    "age_approx": "number",
}
RENAMED: Mapping[str, Collection[str]] = {"image_type": ("clinical", "overview")}  # read as words of today
LEVELS = 5
LARGEST_NUMBER = 130  # years that a manifest takes
TOP_NUMBER = 85  # everybody who is older has this age
LONGEST_QUERY = 2000  # characters: an address of 8,192 bytes is refused by many servers
MOST_WORDS = 80  # of one field
BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

Terms = tuple[str, ...]  # all must be true


class Admission(Protocol):
    """What a field may be: some of its words, and perhaps whatever is none of those that are known, or nothing."""

    @property
    def words(self) -> Collection[str]: ...
    @property
    def others(self) -> bool: ...


@dataclass(frozen=True)
class ArchiveQuery:
    """What to ask for, and whether it says all that was to be said."""

    alternatives: tuple[str, ...]  # none: everything
    is_whole: bool

    def add_to(self, query: str) -> str | None:
        """Both this and another query; None where that takes brackets."""
        if query and self.alternatives and re.search(r"\bOR\b", query):
            return None
        start = f"{query} AND " if query else ""
        return " OR ".join(f"{start}{one}" for one in self.alternatives) or query


def write_query(
    alternatives: Sequence[Mapping[str, Admission]], words: Mapping[str, Collection[str]]
) -> ArchiveQuery:
    """The query that finds every record that meets one of the alternatives, and perhaps more.

    Parameters
    ----------
    alternatives
        Of FIELDS what each must be; a field that is absent may be anything.
    words
        The words of each field that are known.

    Returns
    -------
    ArchiveQuery
        As much as fits in LONGEST_QUERY: deep levels go first, then the field that takes most words.

    """
    for depth in range(LEVELS, 0, -1):
        written = [write_alternative(one, words, depth) for one in alternatives]
        texts = join_options([options for options, _ in written])
        if texts is not None:
            return ArchiveQuery(texts, depth == LEVELS and all(whole for _, whole in written))
    return replace(write_query(drop_longest(alternatives), words), is_whole=False)


def drop_longest(alternatives: Sequence[Mapping[str, Admission]]) -> list[Mapping[str, Admission]]:
    """All of them without the field that takes most words: they demand less."""
    names = sorted({name for one in alternatives for name in one})
    longest = max(names, key=partial(count_words, alternatives))
    return [{name: value for name, value in one.items() if name != longest} for one in alternatives]


def write_ids_query(ids: Iterable[str]) -> str:
    """The query that finds records by their ids, at most MOST_WORDS of them."""
    return " OR ".join(write_term("isic_id", one) for one in ids)


def count_words(alternatives: Iterable[Mapping[str, Admission]], name: str) -> int:
    return sum(len(one[name].words) for one in alternatives if name in one)


def join_options(alternatives: Iterable[Sequence[Sequence[Terms]]]) -> tuple[str, ...] | None:
    """Everything that may be, each as one text; nothing where one of them demands nothing, None where it is too long."""
    found: dict[str, None] = {}
    length = 0
    for fields in alternatives:
        if not fields:
            return ()
        for chosen in product(*fields):
            text = " AND ".join(term for terms in chosen for term in terms)
            length += 0 if text in found else len(text) + len(" OR ")
            if length > LONGEST_QUERY:
                return None
            found[text] = None
    return tuple(found)


def write_alternative(
    alternative: Mapping[str, Admission], words: Mapping[str, Collection[str]], depth: int
) -> tuple[list[list[Terms]], bool]:
    """For each field the terms one of which must be true, and whether nothing is left unsaid."""
    fields, whole = [], True
    for name, admitted in alternative.items():
        sayable = all(map(is_sayable, (*admitted.words, *words[name])))
        options = WRITERS[FIELDS[name]](name, admitted, words[name], depth) if sayable else None
        if options is None:
            whole = False
        elif options != [()]:
            fields.append(options)
    return fields, whole


# ------------------------------------------------------------------ one field


def write_ids(name: str, admitted: Admission, known: Collection[str], depth: int) -> list[Terms] | None:
    """A field that is one of some words; there are others without end."""
    del depth, known
    if admitted.others or len(admitted.words) > MOST_WORDS:
        return None
    return [(write_term(name, word),) for word in sorted(admitted.words)]


def write_words(name: str, admitted: Admission, known: Collection[str], depth: int) -> list[Terms] | None:
    """A field that is one of some words; in the contrary where that is shorter, or where it need not be set."""
    del depth
    wrong = tuple(f"-{write_term(name, word)}" for word in known if word not in admitted.words)
    if admitted.others:
        return [wrong] if len(wrong) <= MOST_WORDS else None
    if 1 < len(admitted.words) > len(wrong):
        return [(f"{name}:*", *wrong)]
    chosen: list[Terms] = [(write_term(name, word),) for word in sorted(admitted.words)]
    return chosen if len(chosen) <= MOST_WORDS else None


def write_numbers(name: str, admitted: Admission, known: Collection[str], depth: int) -> list[Terms] | None:
    """A number that lies in one of some ranges, or in none of the others."""
    del depth
    chosen = [int(word) for word in known if (word in admitted.words) != admitted.others]
    ranges = [f"{name}:[{least or '*'} TO {most}]" for least, most in find_ranges(chosen)]
    return [tuple(f"-{one}" for one in ranges)] if admitted.others else [(one,) for one in ranges]


def find_ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int | str]]:
    """First and last of neighbors; there is no end above TOP_NUMBER."""
    ordered = sorted(numbers)
    starts = [place for place, one in enumerate(ordered) if place == 0 or one != ordered[place - 1] + 1]
    for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
        least, most = ordered[start], ordered[end - 1]
        yield min(least, TOP_NUMBER), "*" if most >= TOP_NUMBER else most


def write_levels(name: str, admitted: Admission, known: Collection[str], depth: int) -> list[Terms] | None:
    """A path of levels: the highest that lie wholly within it, and no level lower than `depth`."""
    if admitted.others:
        return None
    tree = LevelTree.from_paths(known)
    wanted = {split_path(word) for word in admitted.words}
    outside = sorted(wanted - tree.paths)
    if any(len(path) > LEVELS for path in outside):
        return None
    found = [*tree.cover(name, wanted & tree.paths, depth), *(write_path(name, path) for path in outside)]
    contrary = tree.exclude(name, tree.paths - wanted)
    shorter = contrary is not None and not outside and len(contrary) < len(found)
    return [(f"{name}_1:*", *contrary)] if contrary is not None and shorter else found


def write_path(name: str, path: Sequence[str]) -> Terms:
    """This path and none below it, level by level; one may be empty."""
    levels = [*path, *[""] * (LEVELS - len(path))]
    return tuple(
        write_term(f"{name}_{level}", word) if word else f"-{name}_{level}:*"
        for level, word in enumerate(levels, 1)
    )


def split_path(path: str) -> tuple[str, ...]:
    return tuple(path.split(":"))


@dataclass(frozen=True)
class LevelTree:
    """The known paths of a field of levels, and what lies right below each."""

    paths: frozenset[tuple[str, ...]]
    below: Mapping[tuple[str, ...], Sequence[tuple[str, ...]]]

    @classmethod
    def from_paths(cls, known: Iterable[str]) -> "LevelTree":
        """The tree of paths; a word that is the first level of no path is of another vocabulary."""
        words = {split_path(word) for word in known}
        firsts = {path[0] for path in words if len(path) > 1}
        paths = frozenset(path for path in words if path[0] in firsts)
        nodes = {path[:level] for path in paths for level in range(1, len(path) + 1)}
        below: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for node in sorted(nodes):
            below.setdefault(node[:-1], []).append(node)
        return cls(paths, below)

    def cover(
        self, name: str, wanted: Collection[tuple[str, ...]], depth: int, top: tuple[str, ...] = ()
    ) -> Iterator[Terms]:
        """Terms for all that is wanted below a node."""
        for node in self.below.get(top, ()):
            inside = {path for path in self.paths if path[: len(node)] == node}
            found = inside & set(wanted)
            if found and (found == inside or len(node) == depth):
                yield self.write_node(name, node)
            elif found:
                if node in found:
                    yield (*self.write_node(name, node), f"-{name}_{len(node) + 1}:*")
                yield from self.cover(name, found, depth, node)

    def exclude(self, name: str, wrong: Collection[tuple[str, ...]]) -> Terms | None:
        """Terms that leave out all of these; None where one cannot be left out without what lies below it."""
        terms = list(self.cover(name, wrong, LEVELS))
        if any(len(one) > 1 for one in terms):
            return None
        return tuple(f"-{term}" for (term,) in terms)

    def write_node(self, name: str, node: tuple[str, ...]) -> Terms:
        """A node by its own level, and by those above it where others are named so at that level."""
        namesakes = [
            one
            for ones in self.below.values()
            for one in ones
            if one[-1] == node[-1] and len(one) == len(node)
        ]
        levels = range(1, len(node) + 1) if len(namesakes) > 1 else (len(node),)
        return tuple(write_term(f"{name}_{level}", node[level - 1]) for level in levels)


def is_sayable(word: str) -> bool:
    """Whether a word can stand in quotes: there is no way to write a quote inside."""
    return bool(word) and word.isprintable() and '"' not in word


def write_term(name: str, word: str) -> str:
    return f"{name}:{word}" if BARE.fullmatch(word) else f'{name}:"{word}"'


WRITERS: Mapping[Kind, Callable[[str, Admission, Collection[str], int], list[Terms] | None]] = {
    "id": write_ids,
    "word": write_words,
    "levels": write_levels,
    "number": write_numbers,
}
