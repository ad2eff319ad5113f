"""Which column of a table is which of a manifest's: by its name and by what stands in it; pure.

A name alone is never enough where values can be judged, and values alone only where they can be nothing else: names of
the very files that are there, words for female and male. What is not sure is a question with its evidence.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from itertools import islice

from dermdata.inference.words import COLUMN_NAMES, UNKNOWN_WORDS, find_meanings
from dermdata.markup import count_nouns, count_share
from dermdata.vocabulary.concepts import normalize_text

NAMES_OF_COLUMNS = frozenset(word for words in COLUMN_NAMES.values() for word in words)
SURE = 0.8  # the score from which a guess is taken without a question
POSSIBLE = 0.45  # the score from which it is worth a question
NAME_WEIGHT = 0.5  # of a score; what stands in the column makes up the rest
NAMING_WEIGHT = 0.9  # of a word that names a diagnosis among others, against one that is one
ENOUGH_KNOWN = 3  # so many words that are diagnoses, or name one, are no chance
ENOUGH_FIT = 0.65  # what they are worth, however many others there are: enough for the very name of a field
LEAST_LETTERS = 4  # of a diagnosis that a longer word names: shorter ones are in many words
MOST_FOLDS = 20
MOST_LOOKED_AT = 1_000  # words of a column that is not called like a field
MOST_PARTS = 24  # of a word that is looked through
OTHER_WORDS = frozenset(
    {"other", "others", "non", "not", "no", "none", "normal", "healthy", "negative", "control"}
)
LEVELS = re.compile(r"[:>|]")  # what parts the levels of a path
TONES = frozenset(map(str, range(1, 11)))
NUMBER = re.compile(r"[0-9]+([.,][0-9]*)?")
GLUED_TYPE = re.compile(r"[^\W\d_]+[1-6]$")  # `FST2`, which no reader of skin types takes apart
RANGES = {"12": "1-2", "34": "3-4", "56": "5-6"}
ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table: its words and how often each stands there, what means nothing left out."""

    name: str
    rows: int
    words: Mapping[str, int]
    is_named: bool = True  # false: the table has no header line, and `name` is the column's place

    @cached_property
    def plain_name(self) -> str:
        """The name without case, accents, punctuation and camel case; of a nested field (`clinical.age`) its own."""
        leaf = self.name.lstrip("@").rpartition(".")[2]
        return normalize_text(split_camel_case(leaf if leaf.isalpha() else self.name))

    @cached_property
    def filled(self) -> int:
        """Rows that say anything."""
        return sum(self.words.values())

    @cached_property
    def sample(self) -> "Column":
        """The same column with no more words than can be looked at for each field, evenly out of all."""
        step = -(-len(self.words) // MOST_LOOKED_AT)
        words = dict(islice(self.words.items(), 0, None, step)) if step > 1 else self.words
        return replace(self, words=words)

    def share(self, fits: Callable[[str], bool]) -> float:
        """Which share of the filled rows has a word that fits."""
        return (
            sum(count for word, count in self.words.items() if fits(word)) / self.filled if self.filled else 0
        )


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a column's words are compared with."""

    is_image: Callable[[str], bool]  # whether a file that is there has this name
    is_diagnosis: Callable[[str], bool]  # whether the vocabulary or any dataset knows the word
    find_site: Callable[
        [str], str | None
    ]  # the body site of this name, "" for one without a node, None for no site


@dataclass(frozen=True, kw_only=True)
class ColumnGuess:
    """A column of theirs, the column of ours that it may be, and why."""

    field: str
    column: str
    score: float  # 0 to 1
    evidence: str
    values: Mapping[str, str] = dataclass_field(default_factory=dict)  # their word -> ours

    @property
    def is_sure(self) -> bool:
        return self.score >= SURE


@dataclass(frozen=True, kw_only=True)
class ColumnGuesses:
    """What was found in one table: at most one column a field that is sure, and the questions that are left."""

    sure: Mapping[str, ColumnGuess]
    questions: Sequence[ColumnGuess]
    views: Sequence[ColumnGuess] = ()  # all columns that name images, where each row has several


def read_column(name: str, values: Iterable[str | None], *, is_named: bool = True) -> Column:
    """The column of these cells; empty ones and words for "not known" are counted as rows alone."""
    counts = Counter(value.strip() for value in values if value is not None)
    rows = counts.total()
    known = {word: count for word, count in counts.items() if not says_nothing(word)}
    return Column(name=name, rows=rows, words=known, is_named=is_named)


def lacks_header(names: Sequence[str], first: Sequence[str], is_image: Callable[[str], bool]) -> bool:
    """Whether a table's first line is a row like the others: it names an image, as the line below it does.

    A line in which a column is called as columns are is none, though a picture be called `image.jpg`.

    Parameters
    ----------
    names
        What stands in the first line.
    first
        What stands in the line below it.
    is_image
        Whether a file that is there has this name.

    """
    if not NAMES_OF_COLUMNS.isdisjoint(map(normalize_text, names)):
        return False
    return any(is_image(name) and is_image(word) for name, word in zip(names, first, strict=True))


def says_nothing(word: str) -> bool:
    """Whether a cell only says that something is not known: `NA`, `AGE_UNKNOWN`."""
    if word[:1].isdigit():  # of half a million measurements none has to be taken apart
        return word in UNKNOWN_WORDS
    plain = normalize_text(word)
    return plain in UNKNOWN_WORDS or "unknown" in plain.split()


def split_camel_case(name: str) -> str:
    """`PatientID` as `Patient ID`."""
    pieces = [
        f" {sign}" if sign.isupper() and place and not name[place - 1].isupper() else sign
        for place, sign in enumerate(name)
    ]
    return "".join(pieces)


# ------------------------------------------------------------------ judging


@dataclass(frozen=True)
class Judgment:
    """How well the words of a column fit a field: 0 to 1, and in words."""

    fit: float
    evidence: str
    alone: bool = False  # whether they can be nothing else, whatever the column is called
    most: float = 1.0  # the highest score of a column that is called otherwise
    values: Mapping[str, str] = dataclass_field(default_factory=dict)


Judge = Callable[[Column, Surroundings], Judgment]
NOTHING_FITS = Judgment(0.0, "")


def judge_images(column: Column, around: Surroundings) -> Judgment:
    """By the files that are there; an image column names nearly each of its files once."""
    share = column.share(around.is_image)
    if not share:
        return NOTHING_FITS
    found = sum(map(around.is_image, column.words))
    evidence = f"{count_share(found, len(column.words), 'word', 'name')} an image that is there"
    return Judgment(min(1.0, share * 1.02), evidence, alone=found > 1 and share > 0.5)


def judge_groups(column: Column, around: Surroundings) -> Judgment:
    """Words that come back, and are no files and no diagnoses."""
    del around
    if not column.words or column.filled < column.rows / 10:
        return NOTHING_FITS
    if any(len(word) > 64 for word in column.words):
        return NOTHING_FITS
    number = len(column.words)
    evidence = f"{count_nouns(number, 'word')} in {count_nouns(column.filled, 'row')}"
    return Judgment(0.9 if number > 1 else 0.2, evidence)


def judge_diagnoses(column: Column, around: Surroundings) -> Judgment:
    """By the words that the vocabulary or another dataset knows; each comes back.

    Words that name a diagnosis among others are nearly as good, and a few known ones among codes are no chance.
    """
    number = len(column.words)
    if number < 2 or number > max(12, column.filled / 2):
        return NOTHING_FITS
    kinds = {word: find_kind(word, around) for word in column.words}
    counts = Counter(kinds.values())
    if not column.is_named and not counts.keys() & {"known", "naming"}:
        return judge_classes(column)
    good = ("known", "other") if counts["known"] + counts["naming"] else ()
    fit = column.share(lambda word: kinds[word] in good)
    fit += NAMING_WEIGHT * column.share(lambda word: kinds[word] == "naming")
    if counts["known"] + counts["naming"] >= ENOUGH_KNOWN:
        fit = max(fit, ENOUGH_FIT)
    evidence = f"{count_share(counts['known'], number, 'word', 'are')} known diagnoses"
    if counts["naming"]:
        evidence += f", {counts['naming']:,} name one among other words"
    is_alone = counts["known"] > 1 and fit > 0.97
    return Judgment(fit, evidence, alone=is_alone, most=POSSIBLE)


def find_kind(word: str, around: Surroundings) -> str:
    """`known`: a diagnosis, or a path that ends with one; `naming`: one among other words; `other`: none of them."""
    if around.is_diagnosis(word) or around.is_diagnosis(last_level(word)):
        return "known"
    if names_diagnosis(word, around):
        return "naming"
    return "other" if is_other(word) else "unknown"


def judge_classes(column: Column) -> Judgment:
    """A few words that come back, in a column of which nobody knows what it is called: worth a question."""
    number = len(column.words)
    if number > 12:
        return NOTHING_FITS
    shown = ", ".join(sorted(column.words)[:4])
    return Judgment(
        0.0, f"{count_nouns(number, 'word')} in {count_nouns(column.filled, 'row')}: {shown}", alone=True
    )


def last_level(word: str) -> str:
    """The last level of a word that is a path: `Nevus` of `Benign:Benign melanocytic proliferations:Nevus`."""
    return LEVELS.split(word)[-1].strip()


def names_diagnosis(word: str, around: Surroundings) -> bool:
    """Whether a few neighboring words of it are a diagnosis: `Benign:Melanocytic:Nevus`, `nodular melanoma, ulcerated`."""
    parts = normalize_text(word).split()
    return len(parts) <= MOST_PARTS and any(
        around.is_diagnosis(name)
        for start in range(len(parts))
        for end in range(start + 1, min(start + 4, len(parts)) + 1)
        if len(name := " ".join(parts[start:end])) >= LEAST_LETTERS
    )


def is_other(word: str) -> bool:
    """Whether it says that the row has none of the diagnoses of its column: `Others`, `Non-Monkeypox`, `healthy skin`."""
    first, *_ = normalize_text(word).split() or [""]
    return first in OTHER_WORDS


def judge_weights(column: Column, around: Surroundings) -> Judgment:
    """Cells of several diagnoses with their weights: `{'Eczema': 0.6, 'Tinea': 0.4}`."""
    from dermdata.manifest.convert import parse_weights

    if not all(word.startswith("{") and parse_weights(word) is not None for word in column.words):
        return NOTHING_FITS
    names = count_weighed(column.words)
    if not names:
        return NOTHING_FITS
    known = sum(map(around.is_diagnosis, names))
    evidence = f"weights of {count_nouns(len(names), 'word')}, {known:,} of them known diagnoses"
    return Judgment(known / len(names), evidence, alone=known > len(names) / 2)


def count_weighed(words: Mapping[str, int]) -> dict[str, int]:
    """How many cells name each diagnosis, of cells of several with their weights."""
    from dermdata.manifest.convert import parse_weights

    counts: Counter[str] = Counter()
    for cell, count in words.items():
        counts.update(dict.fromkeys(parse_weights(cell) or (), count))
    return dict(counts)


def judge_words(field_name: str) -> Judge:
    """By a closed list of words."""

    def judge(column: Column, around: Surroundings) -> Judgment:
        del around
        known = find_meanings(field_name, [normalize_text(word) for word in column.words])
        share = column.share(lambda word: normalize_text(word) in known)
        if not share:
            return NOTHING_FITS
        values = {word: known[normalize_text(word)] for word in column.words if normalize_text(word) in known}
        evidence = f"{count_share(len(values), len(column.words), 'word', 'are')} known: {', '.join(sorted(values)[:4])}"
        alone = field_name == "sex" and {"female", "male"} <= set(values.values()) and share > 0.97
        return Judgment(share, evidence, alone=alone, values=values)

    return judge


def judge_sites(column: Column, around: Surroundings) -> Judgment:
    """By the body sites' names."""
    number = len(column.words)
    if number < 2 or number > max(12, column.filled / 2):
        return NOTHING_FITS
    found = {word: find_leveled_site(word, around) for word in column.words}
    values = {word: site for word, site in found.items() if site is not None}
    share = column.share(lambda word: word in values)
    evidence = f"{count_share(len(values), number, 'word', 'are')} body sites"
    return Judgment(share, evidence, values=values)


def find_leveled_site(word: str, around: Surroundings) -> str | None:
    """The body site of a word, or of the last level of one that is a path."""
    site = around.find_site(word)
    return around.find_site(last_level(word)) if site is None else site


def judge_ages(column: Column, around: Surroundings) -> Judgment:
    """Years of a life, as numbers or as ranges of them."""
    del around
    share = column.share(is_age)
    numbers = [to_number(word) for word in column.words if is_number(word)]
    if not share or (numbers and max(numbers) < 10):
        return NOTHING_FITS
    return Judgment(
        share, f"{count_share(sum(map(is_age, column.words)), len(column.words), 'word', 'are')} ages"
    )


def judge_skin_types(column: Column, around: Surroundings) -> Judgment:
    """1 to 6 or I to VI, with or without `type` before it."""
    del around
    types = {word: number for word in column.words if (number := skin_type(word))}
    share = column.share(types.__contains__)
    evidence = f"{count_share(len(types), len(column.words), 'word', 'are')} skin types"
    glued = {word: number for word, number in types.items() if GLUED_TYPE.match(word)}
    return Judgment(share, evidence, values=glued) if share else NOTHING_FITS


def judge_skin_type_ranges(column: Column, around: Surroundings) -> Judgment:
    """Pairs of skin types: `12`, `1-2`, `I-II`, `FST I/II`."""
    del around
    values = {word: found for word in column.words if (found := skin_type_range(word))}
    share = column.share(values.__contains__)
    evidence = f"{count_share(len(values), len(column.words), 'word', 'are')} two neighboring skin types"
    return Judgment(share, evidence, values=values) if share else NOTHING_FITS


def judge_folds(column: Column, around: Surroundings) -> Judgment:
    """A few numbers that come back: `0` to `4`, `fold 3`."""
    del around
    numbers = {word: normalize_text(word).removeprefix("fold").strip() for word in column.words}
    few = all(map(str.isdigit, numbers.values())) and 1 < len(numbers) <= min(MOST_FOLDS, column.filled / 2)
    values = {word: number for word, number in numbers.items() if word != number}
    return Judgment(1.0, count_nouns(len(numbers), "fold"), values=values) if few else NOTHING_FITS


def judge_tones(column: Column, around: Surroundings) -> Judgment:
    """1 to 10, as the Monk scale has them."""
    del around
    fitting = {word for word in column.words if normalize_text(word).removesuffix(".0") in TONES}
    share = column.share(lambda word: word in fitting)
    return Judgment(
        share, f"{count_share(len(fitting), len(column.words), 'word', 'are')} tones of the Monk scale"
    )


def judge_texts(column: Column, around: Surroundings) -> Judgment:
    """Sentences, nearly each of which is another."""
    del around
    if not column.words:
        return NOTHING_FITS
    long = sum(count for word, count in column.words.items() if len(word.split()) > 4)
    return Judgment(
        long / column.filled, f"{count_share(long, column.filled, 'row', 'hold')} more than four words"
    )


def judge_licenses(column: Column, around: Surroundings) -> Judgment:
    del around
    share = column.share(
        lambda word: normalize_text(word).startswith(("cc ", "cc0", "cc by", "public domain"))
    )
    return Judgment(share, f"{count_nouns(len(column.words), 'license')}")


def judge_named(column: Column, around: Surroundings) -> Judgment:
    """Anything that is filled: nothing can be said of the words."""
    del around
    return Judgment(0.7 if column.words else 0.0, count_nouns(len(column.words), "word"))


JUDGES: Mapping[str, Judge] = {
    "image": judge_images,
    "patient_id": judge_groups,
    "lesion_id": judge_groups,
    "case_id": judge_groups,
    "label_raw": judge_diagnoses,
    "differential": judge_weights,
    "age": judge_ages,
    "sex": judge_words("sex"),
    "body_site": judge_sites,
    "fitzpatrick": judge_skin_types,
    "fitzpatrick_range": judge_skin_type_ranges,
    "monk": judge_tones,
    "split_official": judge_words("split_official"),
    "fold_official": judge_folds,
    "license": judge_licenses,
    "attribution": judge_named,
    "caption": judge_texts,
    "confirmation": judge_words("confirmation"),
}


def is_number(word: str) -> bool:
    """`45`, `45.5`, `45,5`."""
    return NUMBER.fullmatch(word) is not None


def to_number(word: str) -> float:
    return float(word.replace(",", "."))


def is_age(word: str) -> bool:
    """`45`, `45.0`, `85+`, `40-44`, `AGE_40_TO_49`, `5 years`."""
    plain = normalize_text(word).replace("+", " ").replace("years", "").replace("age", "").replace("to", "")
    parts = plain.split()
    return 0 < len(parts) <= 2 and all(is_number(part) and to_number(part) <= 120 for part in parts)


def skin_type(word: str) -> str | None:
    """`1` … `6` of a skin type as people write it; None for what is none."""
    last = normalize_text(word).replace(".0", "").split()[-1:] or [""]
    number = ROMAN.get(last[0].removeprefix("fst"), last[0].removeprefix("fst"))
    return number if number in {"1", "2", "3", "4", "5", "6"} else None


def skin_type_range(word: str) -> str | None:
    """`1-2`, `3-4` or `5-6` of two neighboring skin types; None for what is none."""
    parts = [ROMAN.get(one, one) for one in normalize_text(word).removeprefix("fst").split()]
    return RANGES.get("".join(parts[-2:]))
