"""What the folders of pictures say, where no table does: which level of them is the label, and which the split; pure.

Levels are counted from the picture up, `level_1` is the folder that it lies in: what is above may be called otherwise on
another machine.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dermdata.inference.columns import JUDGES, SURE, Column, ColumnGuess, Surroundings, find_kind
from dermdata.markup import count_nouns, count_share
from dermdata.vocabulary.concepts import normalize_text

ANY_FOLDERS = "**/"
KNOWN_SHARE = 0.3  # of the pictures, in folders that are called like diagnoses: then the level is the label
ENOUGH_KNOWN = (
    3  # so many folders that are called so, or hold a diagnosis among other words, are no chance either
)
UNKNOWN = 0.6  # the score of a level whose names nobody knows
KINDS_OF_FILES = frozenset(
    {"images", "image", "img", "imgs", "photos", "pictures", "masks", "mask", "labels", "annotations", "segmentations",
     "ground truth", "gt", "data", "original", "originals", "augmented", "clinical", "dermoscopic", "dermoscopy"}
)  # fmt: skip
MOST_ALIKE = (
    0.05  # of the pictures, that are called like one in another part: more were shared out several times
)


@dataclass(frozen=True, kw_only=True)
class FolderGuesses:
    """The levels of the folders, and what they may be."""

    levels: Sequence[Column]  # the lowest first: their folders, and how many pictures lie below each
    guesses: Sequence[ColumnGuess]  # one at most for each of label and split


def guess_folders(paths: Collection[str], around: Surroundings) -> FolderGuesses:
    """Which level of the folders is the label, and which the split.

    Parameters
    ----------
    paths
        Of the pictures, with "/".
    around
        The words that the folders' names are compared with.

    """
    levels = read_levels(paths)
    varying = [one for one in levels if len(one.words) > 1]
    splits = [one for one in varying if JUDGES["split_official"](one, around).fit == 1]
    label = choose_label([one for one in varying if one not in splits], around)
    split = guess_split(splits[0], paths, around) if splits else None
    return FolderGuesses(levels=levels, guesses=[one for one in (label, split) if one])


def read_levels(paths: Iterable[str]) -> list[Column]:
    """The levels that every picture has, the lowest first."""
    folders = [path.split("/")[:-1] for path in paths]
    depth = min(map(len, folders), default=0)
    return [read_level(folders, above) for above in range(1, depth + 1)]


def read_level(folders: Iterable[Sequence[str]], above: int) -> Column:
    """The folders so many levels above the pictures, as a column."""
    words = Counter(parts[-above] for parts in folders)
    return Column(name=f"level_{above}", rows=words.total(), words=words)


def name_picture(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]


def choose_label(levels: Sequence[Column], around: Surroundings) -> ColumnGuess | None:
    """The level whose folders are most often called like diagnoses; of several, and of unknown ones, the lowest."""
    judged = [judge_level(level, around) for level in levels]
    return max(filter(None, judged), key=lambda one: one.score, default=None)


def judge_level(level: Column, around: Surroundings) -> ColumnGuess | None:
    """Whether a level is the label: by its known names; None where they are numbers, kinds of files, or very many."""
    number = len(level.words)
    kinds = {word: find_kind(word, around) for word in level.words}
    holding = [word for word, kind in kinds.items() if kind in ("known", "naming")]
    known = level.share(lambda word: kinds[word] == "known")
    score = UNKNOWN
    if len(holding) >= ENOUGH_KNOWN or (len(holding) > 1 and known >= KNOWN_SHARE):
        score = SURE + (1 - SURE) * level.share(holding.__contains__)
    elif number > max(12, level.filled / 2) or not all(map(may_be_class, level.words)):
        return None
    shown = ", ".join(sorted(level.words)[:3])
    names = count_share(len(holding), number, "name", "hold")
    evidence = f"{count_nouns(number, 'folder')}: {shown}; {names} a known diagnosis"
    return ColumnGuess(field="label_raw", column=level.name, score=round(score, 3), evidence=evidence)


def may_be_class(name: str) -> bool:
    """Whether a folder of an unknown name may stand for a diagnosis."""
    return normalize_text(name) not in KINDS_OF_FILES and not any(map(str.isdigit, name))


def guess_split(level: Column, paths: Iterable[str], around: Surroundings) -> ColumnGuess:
    """The split; a question where many pictures lie in several parts, as the folds of a cross-validation have them."""
    above = int(level.name.rpartition("_")[2])
    parts: dict[str, set[str]] = {}
    for path in paths:
        parts.setdefault(name_picture(path), set()).add(path.split("/")[-1 - above])
    alike = sum(len(found) > 1 for found in parts.values())
    shown = ", ".join(sorted(level.words))
    evidence = f"the folders are called {shown}; {count_share(alike, len(parts), 'picture', 'lie')} in several of them"
    return ColumnGuess(
        field="split_official",
        column=level.name,
        score=1.0 if alike <= MOST_ALIKE * len(parts) else UNKNOWN,
        evidence=evidence,
        values=JUDGES["split_official"](level, around).values,
    )


# ------------------------------------------------------------------ the entry


def write_pattern(levels: Sequence[Column], taken: Mapping[str, str]) -> str:
    """The pattern of the pictures' paths, for the levels that are columns (level -> column), and those below them."""
    parts: list[str] = []
    highest = max((place for place, one in enumerate(levels, 1) if one.name in taken), default=0)
    for level in reversed(levels[:highest]):
        only = next(iter(level.words)) if len(level.words) == 1 else None
        parts.append(only if only and "{" not in only else f"{{{taken.get(level.name, level.name)}}}")
    return ANY_FOLDERS + "/".join([*parts, "{image}"])
