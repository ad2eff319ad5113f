"""Figures of an evaluation: curves, reliability and intervals, each with the numbers that it is drawn of."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermdata.errors import UsageError
from dermdata.markup import count_share
from dermdata.report.overview import AxisScale, axis_scale
from dermdata.report.page import format_estimate, template_environment
from dermdata.report.values import (
    ResultMapping,
    column_word,
    finite_numbers,
    finite_or_none,
    group_word,
    interval_words,
    metric_title,
    value_word,
)

SIDE = 300  # units of a figure's square
DOT, DOT_GROWTH = 3.0, 8.0  # radius of a dot of no image, and what the most images add
LEGEND_LINE = 18
GROUP_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "sensitivity", "specificity")
MAX_WORD = 24  # letters of a name in a legend
MAX_BANDS = 5  # more of them hide each other
MAX_SERIES = 8  # colors and dashes that can be told apart
CURVES = {
    "roc": ("ROC", "false alarms (1 − specificity)", "sensitivity", "auroc", "AUROC"),
    "precision-recall": (
        "Precision and recall",
        "recall (sensitivity)",
        "precision",
        "average_precision",
        "AP",
    ),
}
CURVE_COLUMNS = ("by", "group", "class", "images", "with_class", "part", "x", "y", "threshold", "low", "high")
MADE_BY = "Made by dermdata evaluate."  # in each SVG, near its top
HEAD = 1000  # bytes, within which the mark is
FILE_NAME = re.compile(r"(roc|precision-recall|reliability|groups|confusion)(-[a-z0-9-]+)?\.(svg|csv)")
UNSAFE = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class PlotDot:
    """Some images at one place."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True, kw_only=True)
class PlotSeries:
    """One line of a figure with its band and dots, in units of the square, y downwards."""

    label: str
    style: int  # 0: of all images
    line: str
    band: str = ""
    dots: tuple[PlotDot, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A square figure, and the table of its numbers."""

    name: str  # of its files
    title: str
    x_label: str
    y_label: str
    series: tuple[PlotSeries, ...]
    diagonal: str = ""  # what the dashed line means; empty: there is none
    by: str | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    more: int = 0  # groups for which there is no color left
    undrawn: tuple[str, ...] = ()  # groups without a curve, and why

    @property
    def described(self) -> str:
        """For those who cannot see it."""
        return f"{self.title}: {'; '.join(one.label for one in self.series)}. The numbers are in the table of this figure."


@dataclass(frozen=True, kw_only=True)
class IntervalRow:
    """One estimate of a figure of intervals."""

    word: str
    middle: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class IntervalPlot:
    """Estimates of one metric below each other."""

    name: str
    title: str
    scale: AxisScale
    marks: tuple[IntervalRow, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


# ------------------------------------------------------------------ curves


def curve_plots(result: ResultMapping, names: Mapping[str, str]) -> tuple[Plot, ...]:
    """For each class a curve of all images, and for each column of groups one with theirs.

    Parameters
    ----------
    result : mapping
        The answer of `evaluate`; `curves` as `dermdata.evaluation.draw_curves` gives them.
    names : mapping of str to str
        Words for ids.

    """
    curves = result.get("curves") or ()
    places = dict.fromkeys((one["by"], one["class"], one["kind"]) for one in curves)
    return tuple(curve_plot(kind, name, by, curves, result, names) for by, name, kind in places)


def curve_plot(
    kind: str,
    name: str,
    by: str | None,
    curves: Sequence[ResultMapping],
    result: ResultMapping,
    names: Mapping[str, str],
) -> Plot:
    """The curves of one class in one figure: of all images, and of the groups of one column."""
    word, x_label, y_label, _, _ = CURVES[kind]
    own = [one for one in curves if (one["kind"], one["class"]) == (kind, name) and one["by"] in (None, by)]
    shown = own[:MAX_SERIES]
    bands = len(shown) <= MAX_BANDS
    return Plot(
        name=figure_name(kind, class_slug(name, curves), by),
        title=f"{word} of {names.get(name, name)}{(by and f', by {column_word(by)}') or ''}",
        x_label=x_label,
        y_label=y_label,
        series=tuple(curve_series(place, one, result, names, bands=bands) for place, one in enumerate(shown)),
        diagonal="chance" if kind == "roc" else "",
        by=by,
        columns=CURVE_COLUMNS,
        rows=tuple(row for one in own for row in curve_rows(one)),
        more=len(own) - len(shown),
        undrawn=tuple(explain_undrawn(by, own, result, names)),
    )


def explain_undrawn(
    by: str | None, drawn: Sequence[ResultMapping], result: ResultMapping, names: Mapping[str, str]
) -> Iterator[str]:
    """The groups of a column that have no curve, with the reason."""
    if by is None:
        return
    there = {one["value"] for one in drawn if one["by"] == by}
    reasons = find_reasons(by, drawn[0]["class"], result)
    for value in dict.fromkeys(item["value"] for item in result["items"] if item["by"] == by):
        if value not in there:
            why = reasons.get(value) or "too few images of the class"
            yield f"{value_word(by, value, names)}: no curve, {why}"


def find_reasons(by: str, name: str, result: ResultMapping) -> dict[Any, str]:
    """Why nothing is claimed of a column's groups, or nothing of one class."""
    sides = ("auroc", "sensitivity", "specificity")
    wanted = {*sides, *(f"{side}_{name}" for side in sides)}
    scarce = [one for one in result.get("not_compared") or () if one["metric"] in wanted]
    both = (
        *scarce,
        *(result.get("too_small") or ()),
    )  # what is said of the whole group comes last, and stays
    return {one["value"]: one["reason"] for one in both if one["by"] == by}


def figure_name(kind: str, word: str, by: str | None) -> str:
    """What the files of a figure are called."""
    return "-".join(filter(None, [kind, word, by and f"by-{slug(by)}"]))


def class_slug(name: str, curves: Sequence[ResultMapping]) -> str:
    """A class as part of a file's name, where there are several."""
    return slug(name) if len({one["class"] for one in curves}) > 1 else ""


def curve_series(
    place: int, one: ResultMapping, result: ResultMapping, names: Mapping[str, str], *, bands: bool
) -> PlotSeries:
    """One line with its band."""
    return PlotSeries(
        label=f"{shorten(series_word(one, names))}: {curve_score(one, result)}",
        style=place,
        line=join_points((x, y) for x, y, _ in one["points"]),
        band=join_band(one["band"]) if bands else "",
    )


def curve_rows(one: ResultMapping) -> Iterator[tuple[Any, ...]]:
    """The points of a curve and of its band as rows of a table."""
    about = (one["by"], one["value"], one["class"], one["n"], one["positives"])
    yield from ((*about, "curve", x, y, threshold, None, None) for x, y, threshold in one["points"])
    yield from ((*about, "band", x, None, None, low, high) for x, low, high in one["band"])


def series_word(one: ResultMapping, names: Mapping[str, str]) -> str:
    return "All images" if one["by"] is None else value_word(one["by"], one["value"], names)


def shorten(word: str) -> str:
    """So much of a group's name that the numbers behind it stay within the figure."""
    return word if len(word) <= MAX_WORD else f"{word[: MAX_WORD - 1]}…"


def curve_score(one: ResultMapping, result: ResultMapping) -> str:
    """The area under a curve with its interval, and of how many images it is."""
    _, _, _, metric, word = CURVES[one["kind"]]
    wanted = {metric} if result.get("positive") else {f"{metric}_{one['class']}"}
    place = (one["by"], one["value"])
    found = (item for item in result["items"] if item["metric"] in wanted)
    item: ResultMapping = next((item for item in found if (item["by"], item["value"]) == place), {})
    images = f"{count_share(one['positives'], one['n'], 'image', 'have')} it"
    return f"{word} {format_estimate(finite_or_none(item.get('estimate')))}{interval_words(item)}; {images}"


def join_points(points: Any) -> str:
    return " ".join(f"{SIDE * x:.1f},{SIDE * (1 - y):.1f}" for x, y in points)


def join_band(band: Sequence[Sequence[float]]) -> str:
    """There along the upper edge, back along the lower."""
    upper = [(x, high) for x, _, high in band]
    return join_points([*upper, *((x, low) for x, low, _ in reversed(band))])


def slug(word: str) -> str:
    """A word as part of a file's name."""
    return UNSAFE.sub("-", word.lower()).strip("-")[:60] or "x"


# ------------------------------------------------------------------ reliability


def reliability_plot(result: ResultMapping, names: Mapping[str, str]) -> Plot | None:
    """What was predicted and what came true, by bins; None without probabilities."""
    bins = [one for one in (result.get("calibration") or {}).get("bins") or () if one.get("n")]
    if not bins:
        return None
    positive = result.get("positive")
    line = join_points((one["confidence"], one["accuracy"]) for one in bins)
    return Plot(
        name="reliability",
        title="Reliability",
        x_label="predicted probability",
        y_label=f"share that was {names.get(positive, positive)}"
        if positive
        else "share that was called right",
        series=(PlotSeries(label="All images", style=0, line=line, dots=bin_dots(bins)),),
        diagonal="predictions that mean what they say",
        columns=("low", "high", "images", "predicted", "came_true"),
        rows=tuple((one["low"], one["high"], one["n"], one["confidence"], one["accuracy"]) for one in bins),
    )


def bin_dots(bins: Sequence[ResultMapping]) -> tuple[PlotDot, ...]:
    """A dot a bin, whose area grows with its images."""
    most = max(one["n"] for one in bins)
    return tuple(
        PlotDot(
            x=round(SIDE * one["confidence"], 1),
            y=round(SIDE * (1 - one["accuracy"]), 1),
            radius=round(DOT + DOT_GROWTH * (one["n"] / most) ** 0.5, 1),
        )
        for one in bins
    )


# ------------------------------------------------------------------ intervals


def interval_plots(result: ResultMapping, names: Mapping[str, str]) -> Iterator[IntervalPlot]:
    """Of each metric that is of no single class of several, all images and the groups."""
    items = [item for item in result["items"] if finite_or_none(item["estimate"]) is not None]
    grouped = {item["metric"] for item in items if item["by"] is not None}
    for metric in (name for name in GROUP_METRICS if name in grouped):
        yield interval_plot(metric, [item for item in items if item["metric"] == metric], names)


def interval_plot(metric: str, items: Sequence[ResultMapping], names: Mapping[str, str]) -> IntervalPlot:
    """The intervals of one metric."""
    return IntervalPlot(
        name=f"groups-{slug(metric)}",
        title=f"{metric_title(metric)} by group",
        scale=axis_scale(finite_numbers(items, ("estimate", "low", "high"))),
        marks=tuple(
            IntervalRow(
                word=group_word(item["by"], item["value"], names) if item["by"] else "All images",
                middle=item["estimate"],
                low=finite_or_none(item["low"]),
                high=finite_or_none(item["high"]),
            )
            for item in items
        ),
        columns=("by", "group", "images", "estimate", "low", "high"),
        rows=tuple(
            tuple(item[name] for name in ("by", "value", "n", "estimate", "low", "high")) for item in items
        ),
    )


# ------------------------------------------------------------------ files


def figure_files(result: ResultMapping, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Each figure as an SVG and the numbers behind it as a CSV: `roc.svg`, `roc.csv`, ….

    Yields
    ------
    tuple of str and bytes
        A file's name and its content; names are unique whatever the letter case.

    """
    template = template_environment().get_template("figure.svg")
    reliability = reliability_plot(result, names)
    squares = [*curve_plots(result, names), *([reliability] if reliability else [])]
    used: set[str] = set()
    for kind, plots in (("square", squares), ("intervals", [*interval_plots(result, names)])):
        for plot in plots:
            name = make_unique(plot.name, used)
            yield (
                f"{name}.svg",
                template.render(kind=kind, plot=plot, side=SIDE, mark=MADE_BY).encode(),
            )
            yield f"{name}.csv", write_csv(plot.columns, plot.rows)
    if (confusion := result.get("confusion") or {}).get("classes"):
        yield from confusion_files(confusion["classes"], confusion["matrix"], names)


def list_figures(folder: Path) -> list[str]:
    """The figures that lie in a folder, without their endings.

    Raises
    ------
    UsageError
        For a file that has the name of a figure and was made by somebody else: it would be replaced.

    """
    if not folder.is_dir():
        return []
    found: dict[str, list[str]] = {}
    for name in sorted(path.name for path in folder.iterdir() if FILE_NAME.fullmatch(path.name)):
        found.setdefault(name[:-4], []).append(name)
    for stem, names in found.items():
        drawn = folder / f"{stem}.svg"
        if not (drawn.is_file() and f"<desc>{MADE_BY}</desc>".encode() in drawn.read_bytes()[:HEAD]):
            raise UsageError(
                f"{folder / names[0]} is there and was not made by dermdata",
                hint="figures of the same name are replaced: give --figures a folder of its own",
            )
    return [*found]


def confusion_files(
    classes: Sequence[str], matrix: Sequence[Sequence[int]], names: Mapping[str, str]
) -> Iterator[tuple[str, bytes]]:
    """The confusion matrix as a figure and as a table."""
    words = [names.get(one, one) for one in classes]
    shown = list(zip(words, matrix, strict=True))
    template = template_environment().get_template("figure.svg")
    yield (
        "confusion.svg",
        template.render(kind="matrix", words=words, rows=shown, mark=MADE_BY).encode(),
    )
    yield (
        "confusion.csv",
        write_csv(("true", *classes), [(one, *row) for one, row in zip(classes, matrix, strict=True)]),
    )


def make_unique(name: str, used: set[str]) -> str:
    """The name, with a number where another figure has it."""
    found, number = name, 2
    while found in used:
        found, number = f"{name}-{number}", number + 1
    used.add(found)
    return found


def write_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """A table in UTF-8; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
