"""Predictions against a manifest: read, brought together, and judged."""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.label_spaces import project, space_of, words_of
from dermdata.api.records import Records
from dermdata.api.reports import require_report, write_evaluation_report
from dermdata.api.resources import Resources
from dermdata.errors import BadTable, PersonMustAct, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.manifest import Manifest
    from dermdata.evaluation import Prepared, Wanted
    from dermdata.vocabulary import Space


def import_evaluate() -> Any:
    """The room, which stands on the extra `eval`; PersonMustAct where that is not installed."""
    try:
        from dermdata import evaluation as room
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("sklearn", "scipy"):
            raise
        raise PersonMustAct(
            "evaluate needs scikit-learn, which is not installed", hint="pip install 'dermdata[eval]'"
        ) from error
    return room


def prepare_table(
    resources: Resources, table: "pa.Table", name: str, rows: "pa.Table", labels: str | None, *, strict: bool
) -> "Prepared":
    """Predictions and truth brought together; what was detected and left out is told."""
    from dermdata.api.label_spaces import sources_of
    from dermdata.evaluation import Naming, prepare

    rows, space = add_classes(resources, rows, table.column_names, labels, strict=strict)
    naming = Naming(space, resources.library.vocabulary, words_of(resources, sources_of(rows)))
    prepared = prepare(table, rows, space, naming, name)
    for note in prepared.notes:
        resources.say(note)
    tell_left_out(resources, prepared)
    return prepared


def add_classes(
    resources: Resources, rows: Any, columns: Sequence[str], labels: str | None, *, strict: bool
) -> "tuple[Any, Space]":
    """The target with a class in each row that has one: of the space asked for, its own, or the one that columns are."""
    from dermdata.projection import LABEL

    words = None if labels or LABEL not in rows.column_names else rows[LABEL].drop_null().unique().to_pylist()
    if words:
        resources.say(f"classes: the target's own labels ({', '.join(map(str, words))})")
        return rows, name_own_space(words)
    text = labels or guess_space(resources, columns)
    return project(resources, rows, text, strict=strict), space_of(resources, text)


def name_own_space(words: Iterable[str]) -> "Space":
    """Classes of which only the names are known."""
    from dermdata.vocabulary import Space

    return Space("the target's labels", dict.fromkeys(sorted(words), ()))


def guess_space(resources: Resources, columns: Sequence[str]) -> str:
    """The label space that the columns are named by; UsageError where they do not tell."""
    from dermdata.catalogs.files import read_text
    from dermdata.evaluation import guessed
    from dermdata.vocabulary import parse_spaces

    vocabulary = resources.library.vocabulary
    path = resources.catalog.vocabulary_file("spaces.toml")
    spaces = parse_spaces(read_text(path), vocabulary, str(path))
    text = guessed(spaces, vocabulary, columns)
    if text is None:
        raise UsageError(
            "the columns of the predictions do not tell which classes they are",
            hint=f"give --labels SPACE, such as {', '.join(spaces)}",
        )
    resources.say(f"classes: {text}, after the columns' names; --labels SPACE names others")
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


def tell_left_out(resources: Resources, prepared: "Prepared") -> None:
    """What is not judged."""
    counts = prepared.counts
    if counts["repeated_rows"]:
        resources.say(f"{counts['repeated_rows']:,} rows of the target are there twice: taken once")
    if counts["without_class"]:
        resources.say(
            f"{counts['without_class']:,} images of the target have none of these classes: not judged"
        )
    if counts["missing_predictions"]:
        examples = ", ".join(prepared.missing[:3]) + (", …" if len(prepared.missing) > 3 else "")
        resources.say(
            f"warning: {counts['missing_predictions']:,} images have no prediction, so no number here is of them "
            f"({examples}; `--format names` lists them)"
        )


@contextmanager
def show_resampling(resources: Resources, count: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, where hundreds of classes take a minute; nothing elsewhere."""
    from dermdata.progress import Silent

    with resources.show_progress() as shown:
        progress = shown if sys.stderr.isatty() else Silent()
        progress.begin("resamples", count, "resamples")
        yield partial(progress.advance, "resamples")
        progress.end("resamples")


def judge_prepared(resources: Resources, prepared: "Prepared", wanted: "Wanted") -> dict[str, Any]:
    from dermdata.evaluation import judge

    with show_resampling(resources, wanted.resamples) as progress:
        result = judge(prepared.sample, prepared.table, wanted, progress)
    kind = result["unit"]
    resources.say(
        f"{result['n']:,} images judged; intervals are the middle 95 % of {wanted.resamples:,} resamples by {kind} "
        f"({result['units']:,} drawn each time), seed {wanted.seed}"
        if wanted.resamples
        else f"{result['n']:,} images judged; no resamples, so no intervals and no claims"
    )
    return {**result, **prepared.counts, "notes": prepared.notes}


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What is asked of an evaluation, as `Session.evaluate` says."""

    labels: str | None = None
    strict: bool = False
    by: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int = 0
    min_group: int = 30
    report: Path | None = None

    def command(self, predictions: str, targets: Sequence[str]) -> str:
        """The command line without its output."""
        asked = {
            "labels": self.labels,
            "by": ",".join(self.by) or None,
            "bootstrap": self.resamples,
            "seed": self.seed,
        }
        sources = [f"--target={target}" for target in targets]
        options = [f"--{name}={value}" for name, value in asked.items() if value is not None]
        points = [f"--operating-point={point}" for point in self.points]
        return shlex.join(["dermdata", "evaluate", predictions, *sources, *options, *points])


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
    room = import_evaluate()
    if request.report:
        require_report(request.report)
    wanted = room.Wanted(
        by=request.by, points=request.points, resamples=request.resamples, seed=request.seed,
        min_group=request.min_group,
    )  # fmt: skip
    table, name = read_table(predictions)
    prepared = prepare_table(resources, table, name, target.table, request.labels, strict=request.strict)
    result = judge_prepared(resources, prepared, wanted)
    if request.report:
        typed = str(predictions) if isinstance(predictions, (str, Path)) else name
        line = request.command(typed, target.source)
        write_evaluation_report(resources, request.report, result, prepared.table, line)
    facts = {key: value for key, value in result.items() if key != "items"}
    return Records(result["items"], room.KEYS, {**facts, "without_prediction": prepared.missing})


def read_table(predictions: Any) -> "tuple[pa.Table, str]":
    """The predictions as a table of text, and what they are called in an error."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from dermdata.evaluation import parse

    if isinstance(predictions, (str, Path)):
        name = "stdin" if str(predictions) == "-" else str(predictions)
        return parse(read_predictions(str(predictions)), name), name
    if not isinstance(predictions, pa.Table):
        predictions = pa.Table.from_pandas(predictions, preserve_index=False)
    sink = io.BytesIO()  # the one reader of predictions takes files: their cells become the same text
    pq.write_table(predictions, sink)
    return parse(sink.getvalue(), "the predictions"), "the predictions"
