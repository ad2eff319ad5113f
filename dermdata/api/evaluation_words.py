"""An evaluation in sentences: what was judged, which groups are too small for a claim, and which gaps may be claimed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]
NOT_STATED = "(not stated)"
MOST = 6  # gaps of one column that are named


def describe_counts(facts: Facts) -> str:
    """How many images were judged, and what was left out."""
    counts = {name: facts[f"{name}_predictions"] for name in ("missing", "unknown", "duplicate")}
    words = [f"{facts['n']:,} images judged"]
    words += [
        f"{count:,} {name} prediction{'' if count == 1 else 's'}" for name, count in counts.items() if count
    ]
    if facts["without_class"]:
        words.append(f"{facts['without_class']:,} without a class")
    return ", ".join(words)


def describe_small_groups(by: str, facts: Facts) -> Iterator[str]:
    """Why nothing is claimed of some groups, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for one in facts["too_small"]:
        if one["by"] == by:
            value = NOT_STATED if one["value"] is None else str(one["value"])
            reasons.setdefault(one["reason"], []).append(value)
    for reason, values in reasons.items():
        yield f"* too small for a claim: {', '.join(values)}: {reason}"


def describe_gaps(facts: Facts) -> Iterator[str]:
    """The gaps that are more than chance, the widest first in each column; that there is none, where one could be."""
    columns: dict[str, list[Facts]] = {}
    for gap in facts["gaps"]:
        columns.setdefault(gap["by"], []).append(gap)
    for by, gaps in columns.items():
        claimed = sorted((gap for gap in gaps if gap["claimed"]), key=lambda gap: -gap["gap"])
        yield from describe_claims(by, claimed, len(gaps)) if claimed else [describe_chance(by, gaps)]


def describe_claims(by: str, claimed: Sequence[Facts], compared: int) -> Iterator[str]:
    """The widest gaps of a column."""
    yield f"gap by {by}: {len(claimed)} of {compared} metrics differ (1 in 20 would by chance alone)"
    for gap in claimed[:MOST]:
        yield f"  {describe_gap(gap)}"
    if len(claimed) > MOST:
        yield f"  … and {len(claimed) - MOST:,} more metrics (`--format json`)"


def describe_chance(by: str, gaps: Sequence[Facts]) -> str:
    """That no gap of a column is more than chance, with the one that most people ask for."""
    headline = next((gap for gap in gaps if gap["metric"] == "balanced_accuracy"), gaps[0])
    words = describe_gap(headline)
    return f"gap by {by}: {words}: not more than chance, as all {len(gaps)} metrics compared"


def describe_gap(gap: Facts) -> str:
    """One metric's gap between the worst and the best group."""
    metric, width = gap["metric"].replace("_", " "), f"{show_number(gap['gap'])} {show_interval(gap)}"
    return f"{metric} is {width} worse for {gap['worst']} than for {gap['best']}"


def show_number(value: float | None) -> str:
    """Three digits after the point; a dash for none."""
    return "-" if value is None else f"{value:.3f}"


def show_interval(item: Facts) -> str:
    """Both ends of an interval; nothing where there is none."""
    return "" if item["low"] is None else f"({show_number(item['low'])} to {show_number(item['high'])})"
