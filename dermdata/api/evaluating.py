"""An evaluation: its request, the predictions joined to the truth, the measures, and its gaps in sentences."""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.label_spaces import name_share, named_spaces, project, space_of, words_of
from dermdata.api.records import Records
from dermdata.api.reports import EvaluationOutputs, write_evaluation_outputs
from dermdata.api.resources import Resources
from dermdata.errors import BadTable, UsageError
from dermdata.markup import agree_verb, count_nouns

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.manifest import Manifest
    from dermdata.evaluation import EvaluationOptions, PreparedSample
    from dermdata.vocabulary import LabelSpace


Facts = Mapping[str, Any]
NOT_STATED = "(not stated)"
BINARY = {"benign", "malignant"}  # words that mean the same everywhere
USUAL_POINTS = ("sensitivity=0.9", "specificity=0.9")  # what a doctor asks for first
NO_OUTPUTS = EvaluationOutputs()
MOST_GAPS = 6  # gaps of one column that are named


def describe_counts(facts: Facts) -> str:
    """How many images were judged, and what was left out."""
    counts = {name: facts[f"{name}_predictions"] for name in ("missing", "unknown", "duplicate")}
    words = [f"{count_nouns(facts['n'], 'image')} judged"]
    words += [count_nouns(count, f"{name} prediction") for name, count in counts.items() if count]
    if facts["without_class"]:
        words.append(f"{facts['without_class']:,} without a class")
    return ", ".join(words)


POINT_COLUMNS = ("operating point", "class", "threshold", "sensitivity", "specificity")


def describe_points(found: "Records") -> Iterator[tuple[str, ...]]:
    """Each operating point on each class, in the words of POINT_COLUMNS; nothing where none was asked for."""
    overall = {item["metric"]: item for item in found if item["by"] is None}
    for point in found.facts["operating_points"]:
        name = f"{point['metric']}_{point['value']:g}"
        for one, cut in point["thresholds"].items():
            sides = [find_side(overall, side, one, name) for side in POINT_COLUMNS[-2:]]
            yield (name.replace("_", " "), one, "none reaches it" if cut is None else f"{cut:.3f}", *sides)


def find_side(overall: Mapping[str, Facts], side: str, one: str, point: str) -> str:
    """A class's sensitivity or specificity at a point, with its interval."""
    names = (f"{side}_{one}_at_{point}", f"{side}_at_{point}")
    item = next((overall[name] for name in names if name in overall), None)
    return "" if item is None else f"{show_number(item['estimate'])} {show_interval(item)}".strip()


def describe_small_groups(by: str, facts: Facts) -> Iterator[str]:
    """Why nothing is claimed of some groups, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for one in facts["too_small"]:
        if one["by"] == by:
            value = NOT_STATED if one["value"] is None else str(one["value"])
            reasons.setdefault(one["reason"], []).append(value)
    for reason, values in reasons.items():
        yield f"* no claim: {', '.join(values)}: {reason}"


def describe_differences(facts: Facts) -> Iterator[str]:
    """For whom the model is worst, then the gaps between groups."""
    yield from describe_worst(facts)
    yield from describe_gaps(facts)


def describe_worst(facts: Facts) -> Iterator[str]:
    """The group that is furthest behind the rest of its column; nothing where none could be compared."""
    for worst in (one for one in facts["against_rest"][:1] if one["difference"] > 0):
        value = f"{show_number(worst['difference'])} {show_interval(worst)}".strip()
        chance = {True: "more than chance", False: "may be chance"}[worst["claimed"]]
        chance = "without intervals nobody can say whether by chance" if worst["low"] is None else chance
        yield (
            f"furthest behind the rest: {worst['by']} {worst['value']}: {worst['metric'].replace('_', ' ')} "
            f"{show_number(worst['estimate'])} on {count_nouns(worst['n'], 'image')}, {show_number(worst['rest'])} on the "
            f"other {worst['rest_n']:,}: {value}, {chance}"
        )


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
    for gap in claimed[:MOST_GAPS]:
        yield f"  {describe_gap(gap)}"
    if len(claimed) > MOST_GAPS:
        yield f"  … and {count_nouns(len(claimed) - MOST_GAPS, 'more metric')} (`--format json`)"


def describe_chance(by: str, gaps: Sequence[Facts]) -> str:
    """That no gap of a column is more than chance, with the one that most people ask for."""
    headline = next((gap for gap in gaps if gap["metric"] == "balanced_accuracy"), gaps[0])
    words = describe_gap(headline)
    if all(gap["low"] is None for gap in gaps):
        return f"gap by {by}: {words}: whether that is more than chance cannot be said without intervals"
    return f"gap by {by}: {words}: not more than chance, as all {len(gaps)} metrics compared"


def describe_gap(gap: Facts) -> str:
    """One metric's gap between the worst and the best group."""
    metric, width = gap["metric"].replace("_", " "), f"{show_number(gap['gap'])} {show_interval(gap)}".strip()
    return f"{metric} is {width} worse for {gap['worst']} than for {gap['best']}"


def show_number(value: float | None) -> str:
    """Three digits after the point; a dash for none."""
    return "-" if value is None else f"{value:.3f}"


def show_interval(item: Facts) -> str:
    """Both ends of an interval; nothing where there is none."""
    return "" if item["low"] is None else f"({show_number(item['low'])} to {show_number(item['high'])})"


def prepare_table(
    resources: Resources, table: "pa.Table", name: str, rows: "pa.Table", request: "EvaluationRequest"
) -> "PreparedSample":
    """Predictions and truth brought together; what was detected and left out is told."""
    from dermdata.api.label_spaces import sources_of
    from dermdata.evaluation import ClassNaming, class_of_diagnoses, prepare_sample

    rows, space = add_classes(resources, rows, table, request)
    words = words_of(resources, sources_of(rows))
    naming = ClassNaming(space, resources.library.vocabulary, words, class_of_diagnoses(rows))
    prepared = prepare_sample(table, rows, space, naming, name)
    for note in prepared.notes:
        resources.say(note)
    tell_left_out(resources, prepared)
    return prepared


def add_classes(
    resources: Resources, rows: Any, predictions: "pa.Table", request: "EvaluationRequest"
) -> "tuple[Any, LabelSpace]":
    """The target with a class in each row that has one: of the space asked for, of its own words, or of columns."""
    from dermdata.evaluation import find_own_classes, list_predicted_words
    from dermdata.evaluation.own_classes import KINDS
    from dermdata.projection import LABEL

    if labels := request.labels:
        rows = project(resources, rows, labels, strict=request.strict, share=request.share)
        return rows, space_of(resources, labels)
    labeled = LABEL in rows.column_names and rows[LABEL].null_count < len(rows[LABEL])
    if not labeled and (text := guess_space(resources, predictions)):
        return project(resources, rows, text, strict=request.strict), space_of(resources, text)
    predicted = list_predicted_words(predictions)
    own = find_own_classes(predicted, rows, resources.library.vocabulary)
    if own and own.column != LABEL:
        more = "a class each; --labels SPACE names others"
        resources.say(f"classes: the target's own {KINDS[own.column]}, after the predictions' words: {more}")
        return own.label_rows(rows), name_own_space(set(own.classes.values()))
    if not labeled:
        raise UsageError(
            "neither the columns of the predictions nor their words tell which classes they are",
            hint=f"give --labels SPACE, such as {', '.join(named_spaces(resources))}",
        )
    words = rows[LABEL].drop_null().unique().to_pylist()
    resources.say(f"classes: the target's own labels ({', '.join(map(str, words))})")
    return rows, name_own_space(words)


def name_own_space(words: Iterable[str]) -> "LabelSpace":
    """Classes of which only the names are known."""
    from dermdata.vocabulary import LabelSpace

    return LabelSpace("the target's labels", dict.fromkeys(sorted(words), ()))


def guess_space(resources: Resources, predictions: "pa.Table") -> str | None:
    """The label space that the columns are named by, or the decisions between benign and malignant are of."""
    from dermdata.evaluation import guess_space, list_predicted_words

    text = guess_space(named_spaces(resources), resources.library.vocabulary, predictions.column_names)
    if text:
        resources.say(f"classes: {text}, after the columns' names; --labels SPACE names others")
    elif BINARY & list_predicted_words(predictions).decisions:
        text = "malignancy"
        resources.say(f"classes: {text}, after the predictions' words; --labels SPACE names others")
    return text


def read_predictions(predictions: str) -> bytes:
    if predictions == "-":
        if sys.stdin.isatty():
            raise UsageError("- reads predictions from stdin, which is a terminal", hint="give a file")
        return sys.stdin.buffer.read()
    try:
        return Path(predictions).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BadTable(
            f"no predictions at {predictions}", hint="CSV, Parquet or JSON Lines; - for stdin"
        ) from error


def tell_left_out(resources: Resources, prepared: "PreparedSample") -> None:
    """What is not judged."""
    counts = prepared.counts
    if counts["repeated_rows"]:
        resources.say(
            f"{count_nouns(counts['repeated_rows'], 'row')} of the target "
            f"{agree_verb(counts['repeated_rows'], 'are')} there twice: taken once"
        )
    if counts["without_class"]:
        resources.say(
            f"{count_nouns(counts['without_class'], 'image')} of the target "
            f"{agree_verb(counts['without_class'], 'have')} none of these classes: not judged"
        )
    if counts["missing_predictions"]:
        examples = ", ".join(prepared.missing[:3]) + (", …" if len(prepared.missing) > 3 else "")
        resources.say(
            f"warning: {count_nouns(counts['missing_predictions'], 'image', 'have')} "
            "no prediction, so no number here is of them "
            f"({examples}; `--format names` lists them)"
        )


def tell_part(resources: Resources, prepared: "PreparedSample", rows: "pa.Table", split: str | None) -> None:
    """That all predictions are of one part, where the rest of the rows has none: they were not meant."""
    from dermdata.manifest.columns import text_column

    if split is not None or not prepared.missing:
        return
    for column in ("split", "split_official"):
        parts = text_column(prepared.table, column).unique().to_pylist()
        if len(parts) == 1 and parts[0] and len(text_column(rows, column).unique()) > 1:
            resources.say(
                f"hint: all predictions are of the part {parts[0]}: --split {parts[0]} judges it alone"
            )
            return


@contextmanager
def show_resampling(resources: Resources, count: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, where hundreds of classes take a minute; nothing elsewhere."""
    from dermdata.progress import SilentProgress

    with resources.show_progress() as shown:
        progress = shown if sys.stderr.isatty() else SilentProgress()
        progress.begin("resamples", count, "resamples")
        yield partial(progress.advance, "resamples")
        progress.end("resamples")


def judge_prepared(
    resources: Resources, prepared: "PreparedSample", wanted: "EvaluationOptions"
) -> dict[str, Any]:
    from dermdata.evaluation import evaluate_sample

    with show_resampling(resources, wanted.resamples) as progress:
        result = evaluate_sample(prepared.sample, prepared.table, wanted, progress)
    kind = result["unit"]
    resources.say(
        f"{count_nouns(result['n'], 'image')} judged; intervals are the middle 95 % of {wanted.resamples:,} resamples "
        f"by {kind} "
        f"({result['units']:,} drawn each time), seed {wanted.seed}"
        if wanted.resamples
        else f"{count_nouns(result['n'], 'image')} judged; no resamples, so no intervals and no claims"
    )
    return {**result, **prepared.counts, "notes": prepared.notes}


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What is asked of an evaluation, as `Session.evaluate` says."""

    labels: str | None = None
    strict: bool = False
    share: float = 1.0  # of a differential's weight that a class needs
    by: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int = 0
    min_group: int = 30
    outputs: EvaluationOutputs = NO_OUTPUTS
    where: str | None = None
    split: str | None = None
    exclude: tuple[str, ...] = ()

    def describe_rows(self) -> str:
        """Which rows of the target were asked for, behind its name."""
        asked = (self.split and f"part {self.split}", self.where and f"where {self.where}")
        return "".join(f", {one}" for one in asked if one)

    def command(self, predictions: str, targets: Sequence[str]) -> str:
        """The command line without its output."""
        asked = {
            "labels": self.labels,
            **name_share(self.share),
            "by": ",".join(self.by) or None,
            "bootstrap": self.resamples,
            "seed": self.seed,
            "where": self.where,
            "split": self.split,
        }
        sources = [f"--target={target}" for target in targets]
        options = [f"--{name}={value}" for name, value in asked.items() if value is not None]
        options += [f"--exclude={one}" for one in self.exclude]
        points = [f"--operating-point={point}" for point in self.points]
        return shlex.join(["dermdata", "evaluate", predictions, *sources, *options, *points])


def usual_points(prepared: "PreparedSample") -> tuple[str, ...]:
    """The operating points where none are asked for: of one class told from the rest, where there are probabilities."""
    sample = prepared.sample
    return USUAL_POINTS if sample.scores is not None and sample.positive is not None else ()


def evaluate_predictions(
    resources: Resources, predictions: Any, target: "Manifest", request: EvaluationRequest
) -> Records:
    """The metrics of predictions for a target's rows, and the report that is asked for.

    Parameters
    ----------
    resources : Resources
        The vocabulary, and who is told.
    predictions : path, pandas.DataFrame or pyarrow.Table
        A row an image; "-" is stdin.
    target : Manifest
        The truth; it is read after the predictions.
    request : EvaluationRequest
        What is asked.

    Returns
    -------
    Records
        `by, value, n, metric, estimate, low, high`; `facts` has the gaps and what was not judged.

    """
    from dermdata.evaluation import KEYS, EvaluationOptions, draw_curves

    typed = [str(predictions)] if isinstance(predictions, (str, Path)) else []
    request.outputs.require([*typed, *target.source, *request.exclude])
    wanted = EvaluationOptions(
        by=request.by, resamples=request.resamples, seed=request.seed,
        min_group=request.min_group,
    )  # fmt: skip
    table, name = read_table(resources, predictions)
    rows = target.narrow(request.where, request.split, request.exclude).table
    prepared = prepare_table(resources, table, name, rows, request)
    tell_part(resources, prepared, rows, request.split)
    wanted = replace(wanted, points=request.points or usual_points(prepared))
    result = judge_prepared(resources, prepared, wanted)
    if request.outputs:
        line = request.command(typed[0] if typed else name, target.source)
        drawn = {**result, "curves": draw_curves(prepared.sample, prepared.table, wanted)}
        write_evaluation_outputs(
            resources, request.outputs, drawn, prepared.table, line, request.describe_rows()
        )
    facts = {key: value for key, value in result.items() if key != "items"}
    return Records(result["items"], KEYS, {**facts, "without_prediction": prepared.missing})


def read_table(resources: Resources, predictions: Any) -> "tuple[pa.Table, str]":
    """The predictions as a table of text, and what they are called in an error."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from dermdata.evaluation import parse_predictions

    if isinstance(predictions, (str, Path)):
        name = "stdin" if str(predictions) == "-" else str(predictions)
        return parse_predictions(read_predictions(str(predictions)), name, resources.say), name
    if not isinstance(predictions, pa.Table):
        predictions = pa.Table.from_pandas(predictions, preserve_index=False)
    sink = io.BytesIO()  # the one reader of predictions takes files: their cells become the same text
    pq.write_table(predictions, sink)
    return parse_predictions(sink.getvalue(), "the predictions"), "the predictions"
