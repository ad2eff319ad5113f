"""What is in the set: counts of the rows' columns, in the order and number that a page can show."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.projection import words_of
from dermdata.report.page import NOT_STATED

ROMAN = ("I", "II", "III", "IV", "V", "VI")
SHADES = 9  # of the heat map, beside none
MOST_CLASSES = 60  # rows of the heat map and of the samples
MOST_BARS = 12
LONGEST = 160  # characters of a word
DECADES = 10  # the last one is open: 90 and older
CLASS_COLUMNS = ("label", "diagnosis_name", "diagnosis")
SEVERAL = "others"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One word and how many images have it."""

    word: str
    count: int
    share: float  # of all images
    stated: bool = True


@dataclass(frozen=True, kw_only=True)
class HeatRow:
    """One class and its images per skin type."""

    word: str
    cells: tuple[tuple[int, int], ...]  # count, shade from 0 (no image) to SHADES
    total: int


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Classes by skin types."""

    scale: str  # what the columns are
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    totals: tuple[int, ...]  # per column


def column_of_classes(table: pa.Table) -> str:
    """The label space's classes where the rows have them, else the diagnosis."""
    there = [name for name in CLASS_COLUMNS if name in table.column_names]
    return next((name for name in there if table[name].null_count < table.num_rows), CLASS_COLUMNS[-1])


def words(table: pa.Table, name: str, names: Mapping[str, str]) -> list[str | None]:
    """A column's words by their labels; None where not stated."""
    if name not in table.column_names:
        return [None] * table.num_rows
    return [word and names.get(word, word)[:LONGEST] for word in words_of(table, name).to_pylist()]


def bars(values: Iterable[str | None], most: int = MOST_BARS) -> tuple[Bar, ...]:
    """The commonest words, the rest in one, and last what is not stated."""
    counts = Counter(values)
    images, silent = counts.total() or 1, counts.pop(None, 0)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    most += len(ranked) == most + 1  # one word of its own takes no more room than "1 others"
    rest = ranked[most:]
    found = [Bar(word=str(word), count=n, share=n / images) for word, n in ranked[:most]]
    if rest:
        n = sum(count for _, count in rest)
        found.append(Bar(word=f"{len(rest):,} {SEVERAL}", count=n, share=n / images))
    if silent:
        found.append(Bar(word=NOT_STATED, count=silent, share=silent / images, stated=False))
    return tuple(found)


def ages(table: pa.Table) -> tuple[Bar, ...]:
    """Images per decade of age, then those without."""
    if "age" not in table.column_names:
        return ()
    years = [age for age in table["age"].to_pylist() if age is not None and math.isfinite(age)]
    counts = Counter(min(max(int(age // 10), 0), DECADES - 1) for age in years)
    images, silent = table.num_rows or 1, table.num_rows - len(years)
    found = [decade(n, counts[n], images) for n in range(max(counts) + 1)] if counts else []
    if silent:
        found.append(Bar(word=NOT_STATED, count=silent, share=silent / images, stated=False))
    return tuple(found)


def decade(number: int, count: int, images: int) -> Bar:
    word = f"{number * 10}+" if number == DECADES - 1 else f"{number * 10}–{number * 10 + 9}"
    return Bar(word=word, count=count, share=count / images)


# ------------------------------------------------------------------ class x skin type


def heat_map(table: pa.Table, names: Mapping[str, str]) -> HeatMap | None:
    """None where no row states a skin type."""
    scale, tones = skin(table)
    if not any(tones):
        return None
    cells = Counter(zip(words(table, column_of_classes(table), names), tones, strict=True))
    classes: Counter[str | None] = Counter()
    for (word, _), n in cells.items():
        classes[word] += n
    ranked = sorted(classes, key=lambda word: (word is None, -classes[word], str(word)))
    columns = columns_of(scale, {tone for tone in tones if tone})
    columns = (*columns, None) if None in tones else columns
    most = MOST_CLASSES + (len(ranked) == MOST_CLASSES + 1)
    groups = [(word or NOT_STATED, [word]) for word in ranked[:most]]
    if rest := ranked[most:]:
        groups.append((f"{len(rest):,} {SEVERAL}", rest))
    counts = [(name, [sum(cells[one, tone] for one in group) for tone in columns]) for name, group in groups]
    return HeatMap(
        scale=scale,
        columns=tuple(tone or NOT_STATED for tone in columns),
        rows=shaded(counts),
        totals=tuple(map(sum, zip(*(row for _, row in counts), strict=True))),
    )


def shaded(counts: Sequence[tuple[str, Sequence[int]]]) -> tuple[HeatRow, ...]:
    """Shades grow with the logarithm: a class of ten images differs from one of none."""
    most = max(max(row) for _, row in counts)
    return tuple(
        HeatRow(word=word, cells=tuple((n, shade(n, most)) for n in row), total=sum(row))
        for word, row in counts
    )


def shade(count: int, most: int) -> int:
    return math.ceil(SHADES * math.log1p(count) / math.log1p(most)) if count else 0


def columns_of(scale: str, tones: set[str]) -> tuple[str | None, ...]:
    """All types of the scale, so that an absent one is seen, and the groups of types that sources give."""
    whole = ROMAN if scale == "Fitzpatrick" else tuple(map(str, range(1, 11)))
    groups = sorted(tones - set(whole), key=lambda tone: ROMAN.index(tone.split("–")[0]))
    return (*whole, *groups)


def skin(table: pa.Table) -> tuple[str, list[str | None]]:
    """The scale that rows use, and each row's word of it: Fitzpatrick where any row has one, else Monk."""
    types = numbers(table, "fitzpatrick")
    found = [ROMAN[kind - 1] if kind else None for kind in types]
    if "fitzpatrick_range" in table.column_names and table["fitzpatrick_range"].null_count < table.num_rows:
        ranges = table["fitzpatrick_range"].to_pylist()
        found = [kind or spanned(span) for kind, span in zip(found, ranges, strict=True)]
    if any(found):
        return "Fitzpatrick", found
    return "Monk", [str(tone) if tone else None for tone in numbers(table, "monk")]


def spanned(span: Sequence[int] | None) -> str | None:
    known = sorted(kind for kind in span or () if kind)
    if not known:
        return None
    low, high = ROMAN[known[0] - 1], ROMAN[known[-1] - 1]
    return low if low == high else f"{low}–{high}"


def numbers(table: pa.Table, name: str) -> Iterable[int | None]:
    there = name in table.column_names
    return table[name].to_pylist() if there else repeat(None, table.num_rows)


def distinct(table: pa.Table, name: str) -> int | None:
    """How many ids; None where no row has one."""
    if name not in table.column_names:
        return None
    return pc.count_distinct(words_of(table, name)).as_py() or None
