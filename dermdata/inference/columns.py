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

from dermdata.inference.words import COLUMN_NAMES, UNKNOWN_WORDS, VALUE_WORDS
from dermdata.markup import count_nouns, count_share
from dermdata.vocabulary.concepts import normalize_text

SURE = 0.8  # the score from which a guess is taken without a question
POSSIBLE = 0.45  # the score from which it is worth a question
NAME_WEIGHT = 0.5  # of a score; what stands in the column makes up the rest
LONG_NAME = 0.75  # what a name of three words and more is worth, wherever it stands in the column's
MOST_SHARED = 0.05  # of the words of one of several image columns, those that another one has as well
NAMING_WEIGHT = 0.9  # of a word that names a diagnosis among others, against one that is one
ENOUGH_KNOWN = 3  # so many words that are diagnoses, or name one, are no chance
ENOUGH_FIT = 0.65  # what they are worth, however many others there are: enough for the very name of a field
LEAST_LETTERS = 4  # of a diagnosis that a longer word names: shorter ones are in many words
MOST_FOLDS = 20
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
        """The name without case, accents, punctuation and camel case, as `normalize_text` leaves it."""
        return normalize_text(split_camel_case(self.name))

    @property
    def filled(self) -> int:
        """Rows that say anything."""
        return sum(self.words.values())

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

    Parameters
    ----------
    names
        What stands in the first line.
    first
        What stands in the line below it.
    is_image
        Whether a file that is there has this name.

    """
    return any(is_image(name) and is_image(word) for name, word in zip(names, first, strict=True))


def says_nothing(word: str) -> bool:
    """Whether a cell only says that something is not known: `NA`, `AGE_UNKNOWN`."""
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
    known = {
        word for word in column.words if around.is_diagnosis(word) or around.is_diagnosis(last_level(word))
    }
    naming = {word for word in column.words if word not in known and names_diagnosis(word, around)}
    if not column.is_named and not known | naming:
        return judge_classes(column)
    others = {word for word in column.words if is_other(word)} - known - naming
    fit = column.share((known | others).__contains__) + NAMING_WEIGHT * column.share(naming.__contains__)
    if len(known | naming) >= ENOUGH_KNOWN:
        fit = max(fit, ENOUGH_FIT)
    evidence = f"{count_share(len(known), number, 'word', 'are')} known diagnoses"
    if naming:
        evidence += f", {len(naming):,} name one among other words"
    return Judgment(fit, evidence, alone=len(known) > 1 and fit > 0.97, most=POSSIBLE)


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
    if not all(word.startswith("{") for word in column.words):
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
    known = {theirs: ours for ours, words in VALUE_WORDS[field_name].items() for theirs in words}

    def judge(column: Column, around: Surroundings) -> Judgment:
        del around
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
    """Two skin types in one: `12`, `1-2`, `I-II`, `FST I/II`."""
    del around
    values = {word: found for word in column.words if (found := skin_type_range(word))}
    share = column.share(values.__contains__)
    evidence = f"{count_share(len(values), len(column.words), 'word', 'are')} pairs of skin types"
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


# ------------------------------------------------------------------ guessing


def guess_columns(columns: Sequence[Column], around: Surroundings) -> ColumnGuesses:
    """Every field that a column of the table may be, each column for one field at most.

    Parameters
    ----------
    columns
        The table's columns.
    around
        The files, words and sites that they are compared with.

    Returns
    -------
    ColumnGuesses
        What is sure, the best guess for each field, and what should be asked, the likeliest first.

    """
    every = (guess_field(column, name, around) for column in columns for name in JUDGES)
    scored = sorted(filter(None, every), key=lambda one: (-one.score, list(JUDGES).index(one.field)))
    sure = take_sure(scored)
    taken = {one.column for one in sure.values()}
    questions = [
        one for one in scored if not one.is_sure and one.column not in taken and one.field not in sure
    ]
    return ColumnGuesses(sure=sure, questions=questions, views=find_views(columns, scored))


def place_name(guess: ColumnGuess) -> int:
    """How sure the column's name is among those of its field: the place in the list, the end for one that is none."""
    names = COLUMN_NAMES[guess.field]
    plain = normalize_text(split_camel_case(guess.column))
    return names.index(plain) if plain in names else len(names)


def take_sure(scored: Iterable[ColumnGuess]) -> dict[str, ColumnGuess]:
    """Field -> its best guess, where that is sure: the one that is called so before what only looks so.

    Each column is for one field, but that weights of diagnoses are the label as well.
    """
    sure: dict[str, ColumnGuess] = {}
    for guess in sorted(filter(lambda one: one.is_sure, scored), key=place_name):
        if guess.field not in sure and guess.column not in {one.column for one in sure.values()}:
            sure[guess.field] = guess
    if "differential" in sure and "label_raw" not in sure:
        sure["label_raw"] = replace(sure["differential"], field="label_raw")
    return dict(sorted(sure.items(), key=lambda one: (-one[1].score, list(JUDGES).index(one[0]))))


def find_views(columns: Sequence[Column], scored: Iterable[ColumnGuess]) -> list[ColumnGuess]:
    """The columns that name images, where they are several and name different ones."""
    found = [one for one in scored if one.field == "image" and one.is_sure]
    words = {column.name: set(column.words) for column in columns}
    apart = [
        one for place, one in enumerate(found)
        if not any(share_words(words[one.column], words[other.column]) for other in found[:place])
    ]  # fmt: skip
    order = [column.name for column in columns]
    return sorted(apart, key=lambda one: order.index(one.column)) if len(apart) > 1 else []


def share_words(one: set[str], other: set[str]) -> bool:
    """Whether two columns name the same images, but for a few."""
    return len(one & other) > MOST_SHARED * min(len(one), len(other))


def guess_field(column: Column, name: str, around: Surroundings) -> ColumnGuess | None:
    """How likely a column is this field; None where nothing speaks for it."""
    judgment = JUDGES[name](column, around)
    named = name_likeness(column.plain_name, name) if column.is_named else 0.0
    if not judgment.evidence or not (named or judgment.alone):
        return None
    score = NAME_WEIGHT * named + (1 - NAME_WEIGHT) * judgment.fit
    if judgment.alone:
        doubt = 0.1 * (1 - named) if column.is_named else 0.0
        alone = 0.6 + 0.4 * judgment.fit - doubt
        score = max(score, min(alone, judgment.most) if column.is_named else alone)
    if score < POSSIBLE:
        return None
    called = f"it is called '{column.name}'" if named else f"whatever it is called ('{column.name}')"
    called = called if column.is_named else "it has no name"
    return ColumnGuess(
        field=name, column=column.name, score=round(score, 3), evidence=f"{called}; {judgment.evidence}",
        values=judgment.values,
    )  # fmt: skip


def name_likeness(plain: str, name: str) -> float:
    """1 for the very name, less where it is only a part of the column's; three words of a name are no chance."""
    if plain in COLUMN_NAMES[name]:
        return 1.0
    padded = f" {plain} "
    found = [one for one in COLUMN_NAMES[name] if f" {one} " in padded and len(one) > 2]
    if not found:
        return 0.0
    best = max(found, key=len)
    return max(0.4 + 0.4 * len(best) / len(plain), LONG_NAME if len(best.split()) > 2 else 0.0)
