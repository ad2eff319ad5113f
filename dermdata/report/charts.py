"""Where the marks of a chart go: numbers for inline SVG, which no script draws."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dermdata.report.holdings import Bar

WIDTH, HEIGHT = 360, 150  # units of a histogram's plot; on a phone about a pixel each
GAP = 0.18  # of a column's room


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a histogram."""

    bar: Bar
    x: float
    y: float
    width: float
    height: float
    middle: float


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A stretch of numbers on which percents of a plot's width are told."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Percent from the left; what lies outside is at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


def histogram(bars: Sequence[Bar]) -> tuple[Column, ...]:
    top = max((bar.count for bar in bars), default=0) or 1
    room = WIDTH / max(len(bars), 1)
    return tuple(
        Column(
            bar=bar,
            x=round(room * (n + GAP / 2), 1),
            y=round(HEIGHT * (1 - bar.count / top), 1),
            width=round(room * (1 - GAP), 1),
            height=round(HEIGHT * bar.count / top, 1),
            middle=round(room * (n + 0.5), 1),
        )
        for n, bar in enumerate(bars)
    )


def scale(values: Iterable[float], ticks: int = 5) -> Scale:
    """Round numbers around all values; within 0 to 1 where the values are."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    step = round_step((high - low or 0.1) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    if low >= 0 and high <= 1:
        first, last = max(first, 0), min(last, round(1 / step))
    marks = tuple(round(number * step, 6) for number in range(first, last + 1))
    return Scale(low=marks[0], high=marks[-1], ticks=marks)


def round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
