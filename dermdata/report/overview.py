"""The overview counts the rows by column and places the marks of its charts.

These are bars, an age histogram, and a heat map of classes by skin type.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.manifest.columns import text_column
from dermdata.manifest.schema import FITZPATRICK_TYPES
from dermdata.report.page import NOT_STATED

HEAT_SHADES = 9  # of the heat map, beside none
MAX_CLASSES = 60  # rows of the heat map and of the samples
MAX_BARS = 12
MAX_WORD_LENGTH = 160  # characters of a word
DECADES = 10  # the last one is open: 90 and older
CLASS_COLUMNS = ("label", "diagnosis_name", "diagnosis")
OTHERS = "others"
PLOT_WIDTH, PLOT_HEIGHT = 360, 150  # units of a histogram's plot; on a phone about a pixel each
COLUMN_GAP = 0.18  # of a column's room


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
    cells: tuple[tuple[int, int], ...]  # count, shade from 0 (no image) to HEAT_SHADES
    total: int


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Classes by skin types."""

    scale: str  # what the columns are
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    totals: tuple[int, ...]  # per column


def class_column(table: pa.Table) -> str:
    """The label space's classes where the rows have them, else the diagnosis."""
    there = [name for name in CLASS_COLUMNS if name in table.column_names]
    return next((name for name in there if table[name].null_count < table.num_rows), CLASS_COLUMNS[-1])


def column_words(table: pa.Table, name: str, names: Mapping[str, str]) -> list[str | None]:
    """A column's words by their labels; None where not stated."""
    if name not in table.column_names:
        return [None] * table.num_rows
    return [word and names.get(word, word)[:MAX_WORD_LENGTH] for word in text_column(table, name).to_pylist()]


def count_bars(values: Iterable[str | None], most: int = MAX_BARS) -> tuple[Bar, ...]:
    """The commonest words, the rest in one, and last what is not stated."""
    counts = Counter(values)
    images, silent = counts.total() or 1, counts.pop(None, 0)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    most += len(ranked) == most + 1  # one word of its own takes no more room than "1 others"
    rest = ranked[most:]
    found = [Bar(word=str(word), count=n, share=n / images) for word, n in ranked[:most]]
    if rest:
        n = sum(count for _, count in rest)
        found.append(Bar(word=f"{len(rest):,} {OTHERS}", count=n, share=n / images))
    if silent:
        found.append(Bar(word=NOT_STATED, count=silent, share=silent / images, stated=False))
    return tuple(found)


def age_bars(table: pa.Table) -> tuple[Bar, ...]:
    """Images per decade of age, then those without; nothing where no row states one."""
    if "age" not in table.column_names:
        return ()
    years = [age for age in table["age"].to_pylist() if age is not None and math.isfinite(age)]
    if not years:
        return ()
    counts = Counter(min(max(int(age // 10), 0), DECADES - 1) for age in years)
    images, silent = table.num_rows or 1, table.num_rows - len(years)
    found = [decade_bar(n, counts[n], images) for n in range(max(counts) + 1)]
    if silent:
        found.append(Bar(word=NOT_STATED, count=silent, share=silent / images, stated=False))
    return tuple(found)


def decade_bar(number: int, count: int, images: int) -> Bar:
    word = f"{number * 10}+" if number == DECADES - 1 else f"{number * 10}–{number * 10 + 9}"
    return Bar(word=word, count=count, share=count / images)


# ------------------------------------------------------------------ class x skin type


def build_heat_map(table: pa.Table, names: Mapping[str, str]) -> HeatMap | None:
    """None where no row states a skin type."""
    scale, tones = skin_tones(table)
    if not any(tones):
        return None
    words = column_words(table, class_column(table), names)
    cells = Counter(zip(words, tones, strict=True))
    columns = heat_map_columns(scale, set(tones))
    counts = [
        (word, [sum(cells[one, tone] for one in group) for tone in columns])
        for word, group in heat_map_groups(rank_words(Counter(words)))
    ]
    return HeatMap(
        scale=scale,
        columns=tuple(tone or NOT_STATED for tone in columns),
        rows=shade_rows(counts),
        totals=tuple(map(sum, zip(*(row for _, row in counts), strict=True))),
    )


def rank_words(counts: Mapping[str | None, int]) -> list[str | None]:
    """The commonest words first, and last what is not stated."""
    return sorted(counts, key=lambda word: (word is None, -counts[word], str(word)))


def heat_map_groups(ranked: Sequence[str | None]) -> list[tuple[str, Sequence[str | None]]]:
    """The classes of each row of the heat map: one, and in the last row the rest."""
    most = MAX_CLASSES + (len(ranked) == MAX_CLASSES + 1)
    groups: list[tuple[str, Sequence[str | None]]] = [(word or NOT_STATED, [word]) for word in ranked[:most]]
    if rest := ranked[most:]:
        groups.append((f"{len(rest):,} {OTHERS}", rest))
    return groups


def shade_rows(counts: Sequence[tuple[str, Sequence[int]]]) -> tuple[HeatRow, ...]:
    """Shades grow with the logarithm: a class of ten images differs from one of none."""
    most = max(max(row) for _, row in counts)
    return tuple(
        HeatRow(word=word, cells=tuple((n, shade(n, most)) for n in row), total=sum(row))
        for word, row in counts
    )


def shade(count: int, most: int) -> int:
    return math.ceil(HEAT_SHADES * math.log1p(count) / math.log1p(most)) if count else 0


def heat_map_columns(scale: str, tones: set[str | None]) -> tuple[str | None, ...]:
    """All types of the scale, so that an absent one is seen, ranges of types that sources give, and None if it is there."""
    whole = FITZPATRICK_TYPES if scale == "Fitzpatrick" else tuple(map(str, range(1, 11)))
    ranges = sorted(
        filter(None, tones - set(whole)), key=lambda tone: FITZPATRICK_TYPES.index(tone.split("–")[0])
    )
    return (*whole, *ranges, None) if None in tones else (*whole, *ranges)


def skin_tones(table: pa.Table) -> tuple[str, list[str | None]]:
    """The scale that rows use, and each row's word of it: Fitzpatrick where any row has one, else Monk."""
    types = integer_column(table, "fitzpatrick")
    found = [FITZPATRICK_TYPES[kind - 1] if kind else None for kind in types]
    if "fitzpatrick_range" in table.column_names and table["fitzpatrick_range"].null_count < table.num_rows:
        ranges = table["fitzpatrick_range"].to_pylist()
        found = [kind or type_range(span) for kind, span in zip(found, ranges, strict=True)]
    if any(found):
        return "Fitzpatrick", found
    return "Monk", [str(tone) if tone else None for tone in integer_column(table, "monk")]


def type_range(span: Sequence[int] | None) -> str | None:
    known = sorted(kind for kind in span or () if kind)
    if not known:
        return None
    low, high = FITZPATRICK_TYPES[known[0] - 1], FITZPATRICK_TYPES[known[-1] - 1]
    return low if low == high else f"{low}–{high}"


def integer_column(table: pa.Table, name: str) -> Iterable[int | None]:
    there = name in table.column_names
    return table[name].to_pylist() if there else repeat(None, table.num_rows)


def count_ids(table: pa.Table, name: str) -> int | None:
    """How many ids; None where no row has one."""
    if name not in table.column_names:
        return None
    return pc.count_distinct(text_column(table, name)).as_py() or None


def count_without_id(table: pa.Table, name: str) -> int:
    """How many rows are without an id, where others have one: the number of ids says nothing of these."""
    known = text_column(table, name)
    return known.null_count if known.null_count < table.num_rows else 0


@dataclass(frozen=True, kw_only=True)
class HistogramColumn:
    """One column of a histogram."""

    bar: Bar
    x: float
    y: float
    width: float
    height: float
    middle: float

    @property
    def tick(self) -> str:
        """The first year of a decade: eleven words such as "10 to 19" have no room side by side."""
        return self.bar.word.partition("–")[0] if self.bar.stated else "n. s."


@dataclass(frozen=True, kw_only=True)
class AxisScale:
    """A stretch of numbers, along the width of a plot."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def to_percent(self, value: float) -> float:
        """Percent from the left; what lies outside is at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


def histogram_columns(bars: Sequence[Bar]) -> tuple[HistogramColumn, ...]:
    top = max((bar.count for bar in bars), default=0) or 1
    room = PLOT_WIDTH / max(len(bars), 1)
    return tuple(
        HistogramColumn(
            bar=bar,
            x=round(room * (n + COLUMN_GAP / 2), 1),
            y=round(PLOT_HEIGHT * (1 - bar.count / top), 1),
            width=round(room * (1 - COLUMN_GAP), 1),
            height=round(PLOT_HEIGHT * bar.count / top, 1),
            middle=round(room * (n + 0.5), 1),
        )
        for n, bar in enumerate(bars)
    )


def axis_scale(values: Iterable[float], ticks: int = 5) -> AxisScale:
    """Round numbers around all values; within 0 to 1 where the values are."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    step = round_up_step((high - low or 0.1) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    if low >= 0 and high <= 1:
        first, last = max(first, 0), min(last, round(1 / step))
    marks = tuple(round(number * step, 6) for number in range(first, last + 1))
    return AxisScale(low=marks[0], high=marks[-1], ticks=marks)


def round_up_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
