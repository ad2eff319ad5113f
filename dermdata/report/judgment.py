"""What an evaluation comes to, for the first screen: what the model does, for whom it is worst, and whether by chance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dermdata.markup import count_nouns
from dermdata.report.page import format_estimate
from dermdata.report.values import (
    ResultMapping,
    finite_or_none,
    group_word,
    interval_words,
    metric_title,
)
from dermdata.report.verdict import NumberTile

# of one class against the rest, of several classes, of decisions alone: the first that there is
HEADLINES = ("auroc", "balanced_accuracy", "accuracy")
MIN_BIN_IMAGES = 10  # fewer are no share of a hundred


@dataclass(frozen=True)
class ModelJudgment:
    """What a person reads first."""

    sentences: tuple[str, ...]
    numbers: tuple[NumberTile, ...]
    sound: bool  # better than chance, and for no group surely worse


def judge_result(result: ResultMapping, names: Mapping[str, str], where: str = "") -> ModelJudgment:
    """The first screen of an evaluation.

    Parameters
    ----------
    result : mapping
        The answer of `evaluate`.
    names : mapping of str to str
        Words for ids.
    where : str
        Which images these are, such as "of ham10000, part test".

    """
    headline = find_headline(result)
    if headline is None:
        return ModelJudgment(("There is no overall estimate.",), (), sound=False)
    better = is_more_than_chance(result, headline)
    gap = choose_gap(result, headline["metric"])
    sentences = (
        describe_model(result, headline, better, names, where),
        describe_worst(result, headline, gap, names),
    )
    return ModelJudgment(
        sentences,
        (*number_tiles(result, headline, gap, names),),
        sound=better is True and not (gap and gap.get("sure")),
    )


def find_headline(result: ResultMapping) -> ResultMapping | None:
    """The one metric that the page leads with: AUROC of one class, balanced accuracy of several."""
    overall = {
        item["metric"]: item
        for item in result["items"]
        if item.get("by") is None and finite_or_none(item.get("estimate")) is not None
    }
    wanted = HEADLINES if result.get("positive") else HEADLINES[1:]
    return next((overall[name] for name in (*wanted, *overall) if name in overall), None)


def chance_level(result: ResultMapping, metric: str) -> float | None:
    """What guessing reaches: half of the pairs, or one of so many classes; None where classes' shares decide."""
    if metric == "auroc":
        return 0.5
    matrix = (result.get("confusion") or {}).get("matrix") or ()
    present = sum(any(row) for row in matrix)
    return 1 / present if metric == "balanced_accuracy" and present else None


def is_more_than_chance(result: ResultMapping, headline: ResultMapping) -> bool | None:
    """Whether the whole interval is above what guessing reaches; None where nobody can say."""
    level, low = chance_level(result, headline["metric"]), finite_or_none(headline.get("low"))
    return None if level is None or low is None else low > level


def describe_model(
    result: ResultMapping, headline: ResultMapping, better: bool | None, names: Mapping[str, str], where: str
) -> str:
    """What the model does, in a sentence."""
    images = count_nouns(headline.get("n") or result.get("n") or 0, "image")
    positive = result.get("positive")
    classes = len((result.get("confusion") or {}).get("classes") or ())
    task = (
        f"tells {names.get(positive, positive)} from the rest"
        if positive
        else f"chooses among {count_nouns(classes, 'class')}"
    )
    level = chance_level(result, headline["metric"])
    chance = {
        True: f", more than chance ({format_estimate(level)})",
        False: f", which may be chance ({format_estimate(level)})",
        None: "",
    }[better]
    value = f"{metric_title(headline['metric'])} {format_estimate(headline['estimate'])}{interval_words(headline)}"
    return f"On {images}{where and f' {where}'} the model {task} with {value}{chance}."


def choose_gap(result: ResultMapping, metric: str) -> ResultMapping | None:
    """The gap of this metric that a reader must know: one that is sure, else that to the lowest group; None without any."""
    values = {
        (item["by"], item["value"]): finite_or_none(item["estimate"]) for item in items_of(result, metric)
    }
    small = {(one["by"], one["value"]) for one in result.get("too_small") or ()}
    found = [
        {**one, "sure": is_sure(one)}
        for one in result.get("gaps") or ()
        if one["metric"] == metric and not {(one["by"], one["worst"]), (one["by"], one["best"])} & small
    ]
    return max(
        found, key=lambda one: (one["sure"], -(values.get((one["by"], one["worst"])) or 0.0)), default=None
    )


def items_of(result: ResultMapping, metric: str) -> Iterator[ResultMapping]:
    """The numbers of one metric in the groups."""
    return (item for item in result["items"] if item["metric"] == metric and item["by"])


def is_sure(gap: ResultMapping) -> bool:
    """Whether the simultaneous interval lies above nothing."""
    low = finite_or_none(gap.get("low"))
    return low is not None and low > 0


def describe_worst(
    result: ResultMapping, headline: ResultMapping, gap: ResultMapping | None, names: Mapping[str, str]
) -> str:
    """For whom it is worst, and whether that is more than chance."""
    if not any(item.get("by") for item in result["items"]):
        return "For whom it is worse was not asked: --by fitzpatrick,sex,age tells."
    if gap is None:
        return "For whom it is worse nobody can say: no two groups are large enough to be compared."
    silent = len(result.get("too_small") or ())
    more = f" Of {count_nouns(silent, 'group')} nothing can be said." if silent else ""
    return f"{describe_gap(result, gap, headline['metric'], names)}{more}"


def describe_gap(result: ResultMapping, gap: ResultMapping, metric: str, names: Mapping[str, str]) -> str:
    """The two groups of a gap with their numbers, and whether they differ by more than chance."""
    of = {(item["by"], item["value"]): item["estimate"] for item in items_of(result, metric)}
    values = [format_estimate(finite_or_none(of.get((gap["by"], gap[end])))) for end in ("worst", "best")]
    worst, best = (group_word(gap["by"], gap[end], names) for end in ("worst", "best"))
    start, end = ("worse", "is more than chance") if gap["sure"] else ("lowest", "may be chance")
    size = f"the difference of {format_estimate(gap['gap'])}{interval_words(gap)} {end}"
    return f"It is {start} for {worst}: {values[0]} against {values[1]} for {best}; {size}."


def number_tiles(
    result: ResultMapping, headline: ResultMapping, gap: ResultMapping | None, names: Mapping[str, str]
) -> Iterator[NumberTile]:
    """Three numbers: how good, how much worse for whom, and of how many images nothing is known."""
    reach = interval_words(headline).strip()
    yield NumberTile(metric_title(headline["metric"]), format_estimate(headline["estimate"]), reach)
    if gap is None:
        yield NumberTile("largest gap", "not judged", "no two groups could be compared")
    else:
        worst = f"{group_word(gap['by'], gap['worst'], names)}, {'more than chance' if gap['sure'] else 'may be chance'}"
        yield NumberTile("largest gap", format_estimate(gap["gap"]), worst, "error" if gap["sure"] else "")
    missing = result.get("missing_predictions")
    if missing is not None:
        more = "no number here is of these" if missing else "each image with a class has one"
        yield NumberTile("without a prediction", f"{missing:,}", more, "warning" if missing else "")


# ------------------------------------------------------------------ reliability in words


def describe_bins(result: ResultMapping, names: Mapping[str, str]) -> tuple[str, ...]:
    """Each bin that holds enough images, as one tells a patient."""
    positive = result.get("positive")
    word = names.get(positive, positive) if positive else ""
    return tuple(describe_bin(one, word) for one in usable_bins(result))


def usable_bins(result: ResultMapping) -> Sequence[ResultMapping]:
    """The bins of which a share can be told."""
    bins = (result.get("calibration") or {}).get("bins") or ()
    return [one for one in bins if (one.get("n") or 0) >= MIN_BIN_IMAGES]


def describe_bin(one: ResultMapping, word: str) -> str:
    """`Of 100 images given 70 % for melanoma, 54 were melanoma`."""
    stated, true = round(100 * one["confidence"]), round(100 * one["accuracy"])
    if word:
        return f"Of 100 images given {stated} % for {word}, {true} were {word}."
    return f"Of 100 images called with {stated} %, {true} were called right."


def describe_trust(result: ResultMapping) -> str:
    """Whether probabilities are too high or too low, on the whole."""
    bins = [one for one in (result.get("calibration") or {}).get("bins") or () if one.get("n")]
    total = sum(one["n"] for one in bins)
    if not total:
        return ""
    excess = sum(one["n"] * (one["confidence"] - one["accuracy"]) for one in bins) / total
    if abs(excess) < 0.01:
        return "On average its probabilities are as high as what came true."
    way = "higher" if excess > 0 else "lower"
    return f"On average its probabilities are {abs(100 * excess):.0f} points {way} than what came true."
