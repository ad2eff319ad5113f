"""`dermdata evaluate`: how good a model's predictions are, overall and for whom."""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata import disk
from dermdata.api.label_spaces import check_strict, project, space_of, words_of
from dermdata.cli.complete import dataset_names
from dermdata.cli.labelling import LABELS_HELP, STRICT_HELP
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import BadTable, PersonMustAct, UsageError

if TYPE_CHECKING:
    from dermdata.evaluate import Prepared, Wanted
    from dermdata.vocabulary import Space

app = typer.Typer(add_completion=False)
POINT_HELP = "sensitivity=0.9, specificity=0.9 or threshold=0.3, on all images; repeatable."


@app.command()
def evaluate(
    ctx: typer.Context,
    predictions: Annotated[
        str, typer.Argument(metavar="PREDICTIONS", help="CSV, Parquet or JSON Lines; - for stdin.")
    ],
    target: Annotated[
        list[str],
        typer.Option(
            help="Dataset or manifest with the truth; repeatable.",
            metavar="TARGET",
            autocompletion=dataset_names,
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            help=f"{LABELS_HELP} [default: the target's own labels, or the space that the columns are]",
            metavar="SPACE",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT_HELP)] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns to group by, such as fitzpatrick,sex; fitzpatrick_band for I-II, III-IV, V-VI.",
            metavar="COLS",
        ),
    ] = None,
    operating_point: Annotated[list[str] | None, typer.Option(help=POINT_HELP, metavar="POINT")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples; 0: no intervals.", metavar="N")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other resamples.", metavar="N")] = 0,
    min_group: Annotated[
        int, typer.Option(min=1, help="Nothing is claimed of groups with fewer images.", metavar="N")
    ] = 30,
    report: Annotated[
        Path | None, typer.Option(help="Write all of it as one offline page.", metavar="FILE.html")
    ] = None,
    form: FormatOption = None,
) -> None:
    """Metrics of a model's predictions, overall and by group, with intervals and the gap to the worst group."""
    room = needed_room()
    state = state_of(ctx)
    check(predictions, target, report)
    check_strict(labels, strict=strict)
    wanted = room.Wanted(
        by=split(by), points=split(operating_point), resamples=bootstrap, seed=seed, min_group=min_group
    )
    prepared = prepared_of(state, predictions, target, labels, strict=strict)
    result = judged(state, prepared, wanted)
    if report:
        from dermdata.cli.evaluate_page import write

        asked = {"labels": labels, "by": ",".join(wanted.by) or None, "bootstrap": bootstrap, "seed": seed}
        write(state, report, result, prepared.table, command(predictions, target, asked, wanted))
    show(result, prepared, form, state)


def needed_room() -> Any:
    """The room, which stands on the extra `eval`; PersonMustAct where that is not installed."""
    try:
        from dermdata import evaluate as room
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("sklearn", "scipy"):
            raise
        raise PersonMustAct(
            "evaluate needs scikit-learn, which is not installed", hint="pip install 'dermdata[eval]'"
        ) from error
    return room


def check(predictions: str, targets: Sequence[str], report: Path | None) -> None:
    """UsageError for what would only fail at the end."""
    if report:
        disk.require_file(report)
        if not report.parent.is_dir():
            raise UsageError(f"there is no folder {report.parent} for the report")
    if predictions == "-" and "-" in targets:
        raise UsageError("predictions and target cannot both come from stdin")


def split(words: Sequence[str] | None) -> tuple[str, ...]:
    """The words of `--by a --by b,c`, each once."""
    found = (one.strip() for word in words or () for one in word.split(","))
    return tuple(dict.fromkeys(one for one in found if one))


def command(predictions: str, targets: Sequence[str], asked: Mapping[str, Any], wanted: "Wanted") -> str:
    """The command line without its output."""
    options = [f"--{name}={value}" for name, value in asked.items() if value is not None]
    points = [f"--operating-point={point}" for point in wanted.points]
    sources = [f"--target={target}" for target in targets]
    return shlex.join(["dermdata", "evaluate", predictions, *sources, *options, *points])


# ------------------------------------------------------------------ reading


def prepared_of(
    state: State, predictions: str, targets: Sequence[str], labels: str | None, *, strict: bool
) -> "Prepared":
    """Predictions and truth brought together; what was detected and left out is told."""
    from dermdata.api.label_spaces import sources_of
    from dermdata.api.targets import load
    from dermdata.evaluate import Naming, parse, prepare

    name = "stdin" if predictions == "-" else predictions
    table = parse(read(predictions), name)
    rows = load(state, targets).table
    rows, space = labelled(state, rows, table.column_names, labels, strict=strict)
    naming = Naming(space, state.library.vocabulary, words_of(state, sources_of(rows)))
    prepared = prepare(table, rows, space, naming, name)
    for note in prepared.notes:
        state.say(note)
    tell(state, prepared)
    return prepared


def labelled(
    state: State, rows: Any, columns: Sequence[str], labels: str | None, *, strict: bool
) -> "tuple[Any, Space]":
    """The target with a class in each row that has one: of the space asked for, its own, or the one that columns are."""
    from dermdata.projection import LABEL

    words = None if labels or LABEL not in rows.column_names else rows[LABEL].drop_null().unique().to_pylist()
    if words:
        state.say(f"classes: the target's own labels ({', '.join(map(str, words))})")
        return rows, own_space(words)
    text = labels or guess(state, columns)
    return project(state, rows, text, strict=strict), space_of(state, text)


def own_space(words: Iterable[str]) -> "Space":
    """Classes of which only the names are known."""
    from dermdata.vocabulary import Space

    return Space("the target's labels", dict.fromkeys(sorted(words), ()))


def guess(state: State, columns: Sequence[str]) -> str:
    """The label space that the columns are named by; UsageError where they do not tell."""
    from dermdata.catalog.files import read_text
    from dermdata.evaluate import guessed
    from dermdata.vocabulary import parse_spaces

    vocabulary = state.library.vocabulary
    path = state.catalog.vocabulary_file("spaces.toml")
    spaces = parse_spaces(read_text(path), vocabulary, str(path))
    text = guessed(spaces, vocabulary, columns)
    if text is None:
        raise UsageError(
            "the columns of the predictions do not tell which classes they are",
            hint=f"give --labels SPACE, such as {', '.join(spaces)}",
        )
    state.say(f"classes: {text}, after the columns' names; --labels SPACE names others")
    return text


def read(predictions: str) -> bytes:
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


def tell(state: State, prepared: "Prepared") -> None:
    """What is not judged."""
    counts = prepared.counts
    if counts["repeated_rows"]:
        state.say(f"{counts['repeated_rows']:,} rows of the target are there twice: taken once")
    if counts["without_class"]:
        state.say(f"{counts['without_class']:,} images of the target have none of these classes: not judged")
    if counts["missing_predictions"]:
        examples = ", ".join(prepared.missing[:3]) + (", …" if len(prepared.missing) > 3 else "")
        state.say(
            f"warning: {counts['missing_predictions']:,} images have no prediction, so no number here is of them "
            f"({examples}; `--format names` lists them)"
        )


@contextmanager
def resampling(state: State, count: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, where hundreds of classes take a minute; nothing elsewhere."""
    from dermdata.progress import Silent

    with state.show_progress() as shown:
        progress = shown if sys.stderr.isatty() else Silent()
        progress.begin("resamples", count, "resamples")
        yield partial(progress.advance, "resamples")
        progress.end("resamples")


def judged(state: State, prepared: "Prepared", wanted: "Wanted") -> dict[str, Any]:
    from dermdata.evaluate import judge

    with resampling(state, wanted.resamples) as progress:
        result = judge(prepared.sample, prepared.table, wanted, progress)
    kind = result["unit"]
    state.say(
        f"{result['n']:,} images judged; intervals are the middle 95 % of {wanted.resamples:,} resamples by {kind} "
        f"({result['units']:,} drawn each time), seed {wanted.seed}"
        if wanted.resamples
        else f"{result['n']:,} images judged; no resamples, so no intervals and no claims"
    )
    return {**result, **prepared.counts, "notes": prepared.notes}


# ------------------------------------------------------------------ telling


def show(result: Mapping[str, Any], prepared: "Prepared", form: Any, state: State) -> None:
    """Items in machine formats; `names`: the images without prediction; tables for a person."""
    form = form or ("table" if sys.stdout.isatty() else "tsv")
    if form == "table":
        from dermdata.cli.evaluate_tables import show as tables

        tables(result, state.color)
        return
    if form == "names":
        emit([{"key": key} for key in prepared.missing], ("key",), form, "evaluate")
        return
    from dermdata.evaluate import KEYS

    beside = {name: value for name, value in result.items() if name != "items"}
    emit(result["items"], KEYS, form, "evaluate", beside=beside)
