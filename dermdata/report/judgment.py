"""What an evaluation comes to, for the first screen: what the model does, for whom it is worst, and whether by chance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dermdata.markup import agree_verb, count_nouns
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
BETTER, UNSURE, WORSE = "better than guessing", "which may be chance", "worse than guessing"
NOT_BETTER = (UNSURE, WORSE)
MOST_NAMES = 4  # classes or groups that a sentence names
MIN_UNITS = 10  # patients, lesions or images: fewer say nothing of a model
MIN_BIN_IMAGES = 10  # fewer are no share of a hundred


@dataclass(frozen=True)
class Verdict:
    """A sentence, and whether it is bad news."""

    words: str
    bad: bool = False


@dataclass(frozen=True)
class ModelJudgment:
    """What a person reads first."""

    sentences: tuple[Verdict, ...]
    numbers: tuple[NumberTile, ...]
    silent: str = ""  # of whom nothing can be said, and why


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
        return ModelJudgment((Verdict("There is no overall estimate.", bad=True),), ())
    compared = result.get("against_rest") or ()
    sentences = [
        describe_model(result, headline, names, where),
        describe_worst(result, compared, names),
    ]
    return ModelJudgment(
        tuple(sentences),
        (*number_tiles(result, headline, compared, names),),
        describe_silent(result, compared, names),
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


# ------------------------------------------------------------------ what the model does


def describe_model(
    result: ResultMapping, headline: ResultMapping, names: Mapping[str, str], where: str
) -> Verdict:
    """Of how many images, which classes, how well, and whether guessing would do as well."""
    images = count_nouns(headline.get("n") or result.get("n") or 0, "image")
    value = f"{metric_title(headline['metric'])} {format_estimate(headline['estimate'])}{interval_words(headline)}"
    if (units := result.get("units") or MIN_UNITS) < MIN_UNITS:
        few = f"{count_nouns(units, result['unit'])} {agree_verb(units, 'are')} too few to say how good it is"
        return Verdict(
            f"On {images}{where and f' {where}'} the model {describe_task(result, names)}: {few}.", bad=True
        )
    chance = compare_with_guessing(result, headline)
    words = f"On {images}{where and f' {where}'} the model {describe_task(result, names)} with {value}"
    meaning = explain_headline(result, headline, names)
    return Verdict(
        f"{words}{chance and f', {chance}'}{meaning and f': {meaning}'}.", bad=chance in NOT_BETTER
    )


def describe_task(result: ResultMapping, names: Mapping[str, str]) -> str:
    """Which classes are told apart."""
    classes = [names.get(one, one) for one in (result.get("confusion") or {}).get("classes") or ()]
    if not (positive := result.get("positive")):
        return f"chooses among {count_nouns(len(classes), 'class')} ({list_names(classes, ', ', 'class')})"
    word = names.get(positive, positive)
    others = [one for one in classes if one != word]
    named = len(others) == 1 and others[0] != f"not {positive}"
    return f"tells {word} from {others[0] if named else 'the rest'}"


def list_names(words: Sequence[str], between: str, noun: str) -> str:
    """Some of them, and how many more there are."""
    more = len(words) - MOST_NAMES
    return between.join(
        (*words[:MOST_NAMES], *([f"and {count_nouns(more, f'more {noun}')}"] if more > 0 else []))
    )


def compare_with_guessing(result: ResultMapping, headline: ResultMapping) -> str:
    """Whether the interval lies above, around or below what guessing reaches; "" where nobody can say."""
    level = chance_level(result, headline["metric"])
    low, high = finite_or_none(headline.get("low")), finite_or_none(headline.get("high"))
    if level is None or low is None or high is None:
        return ""
    if low > level:
        return BETTER
    return WORSE if high < level else UNSURE


def chance_level(result: ResultMapping, metric: str) -> float | None:
    """What guessing reaches: half of the pairs, or one of so many classes; None where classes' shares decide."""
    if metric == "auroc":
        return 0.5
    matrix = (result.get("confusion") or {}).get("matrix") or ()
    present = sum(any(row) for row in matrix)
    return 1 / present if metric == "balanced_accuracy" and present > 1 else None


def explain_headline(result: ResultMapping, headline: ResultMapping, names: Mapping[str, str]) -> str:
    """What the headline means, for those who do not use it every day."""
    count = f"{100 * headline['estimate']:.0f}"
    if headline["metric"] == "auroc" and (positive := result.get("positive")):
        word = names.get(positive, positive)
        return (
            f"of an image that is {word} and one that is not, it gives the first more in {count} of 100 pairs"
        )
    if headline["metric"] == "balanced_accuracy":
        return f"averaged over the classes, it names {count} of 100 images rightly"
    return ""


# ------------------------------------------------------------------ for whom it is worst


def describe_worst(
    result: ResultMapping, compared: Sequence[ResultMapping], names: Mapping[str, str]
) -> Verdict:
    """The group that falls furthest behind the rest of its column, and whether that is more than chance."""
    if not any(item.get("by") for item in result["items"]):
        return Verdict("For whom it is worse was not asked: --by fitzpatrick,sex,age tells.")
    if not compared:
        return Verdict("For whom it is worse nobody can say: no group and the rest are large enough.")
    worst = compared[0]
    if worst["difference"] <= 0:
        return Verdict("No group that could be compared falls behind the rest.")
    words = (
        f"It is worst for {group_word(worst['by'], worst['value'], names)}: {metric_title(worst['metric'])} "
        f"{format_estimate(worst['estimate'])} on {count_nouns(worst['n'], 'image')}, against "
        f"{format_estimate(worst['rest'])} on the {worst['rest_n']:,} of the rest; "
    )
    mix = " Accuracy also follows how classes are mixed in a group." if worst["metric"] == "accuracy" else ""
    return Verdict(f"{words}{describe_difference(worst, result)}{mix}", bad=worst["claimed"])


def describe_difference(worst: ResultMapping, result: ResultMapping) -> str:
    """How wide the difference is, and whether it is more than chance."""
    size = f"the difference of {format_estimate(worst['difference'])}{interval_words(worst)}"
    if worst["claimed"]:
        return f"{size} is more than chance."
    if finite_or_none(worst["low"]) is not None:
        return f"{size} may be chance."
    why = "too few images" if result.get("resamples") else "no resamples were drawn"
    return f"whether {size} is more than chance cannot be said: {why}."


def describe_silent(
    result: ResultMapping, compared: Sequence[ResultMapping], names: Mapping[str, str]
) -> str:
    """The groups of whom nothing can be said, and why; "" where there are none."""
    metric = compared[0]["metric"] if compared else None
    scarce = [one for one in result.get("not_compared") or () if one["metric"] == metric]
    words = [
        f"{group_word(one['by'], one['value'], names)} ({one.get('reason') or 'too small'})"
        for one in (*(result.get("too_small") or ()), *scarce)
        if one.get("value") is not None
    ]
    return f"{list_names(words, '; ', 'group')}." if words else ""


def is_sure(gap: ResultMapping) -> bool:
    """Whether the simultaneous interval lies above nothing."""
    low = finite_or_none(gap.get("low"))
    return low is not None and low > 0


def number_tiles(
    result: ResultMapping,
    headline: ResultMapping,
    compared: Sequence[ResultMapping],
    names: Mapping[str, str],
) -> Iterator[NumberTile]:
    """Three numbers: how good, how far behind for whom, and of how many images nothing is known."""
    reach = interval_words(headline).strip()
    yield NumberTile(metric_title(headline["metric"]), format_estimate(headline["estimate"]), reach)
    if not compared:
        asked = any(item.get("by") for item in result["items"])
        why = "no group could be compared" if asked else "no groups were asked for"
        yield NumberTile("behind the rest", "not judged", why)
    else:
        worst = compared[0]
        whom = f"{group_word(worst['by'], worst['value'], names)}, {metric_title(worst['metric'])}"
        size = format_estimate(max(worst["difference"], 0.0))
        yield NumberTile("behind the rest", size, whom, "error" if worst["claimed"] else "")
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
    """`Of 100 images given 70 % for melanoma, 54 were melanoma`, and of how many images that is known."""
    stated, true = round(100 * one["confidence"]), round(100 * one["accuracy"])
    seen = f"(seen on {count_nouns(one['n'], 'image')})"
    if word:
        return f"Of 100 images given {stated} % for {word}, {true} were {word} {seen}."
    return f"Of 100 images called with {stated} %, {true} were called right {seen}."


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
