"""`dermdata evaluate`: how good a model's predictions are, overall and for whom."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata import disk
from dermdata.api.evaluating import import_evaluate, judge_prepared, prepare_files
from dermdata.api.label_spaces import check_strict
from dermdata.cli.complete import dataset_names
from dermdata.cli.labelling import LABELS_HELP, STRICT_HELP
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.evaluation import Prepared, Wanted

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
    room = import_evaluate()
    state = state_of(ctx)
    check(predictions, target, report)
    check_strict(labels, strict=strict)
    wanted = room.Wanted(
        by=split(by), points=split(operating_point), resamples=bootstrap, seed=seed, min_group=min_group
    )
    prepared = prepare_files(state, predictions, target, labels, strict=strict)
    result = judge_prepared(state, prepared, wanted)
    if report:
        from dermdata.cli.evaluate_page import write

        asked = {"labels": labels, "by": ",".join(wanted.by) or None, "bootstrap": bootstrap, "seed": seed}
        write(state, report, result, prepared.table, command(predictions, target, asked, wanted))
    show(result, prepared, form, state)


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
    from dermdata.evaluation import KEYS

    beside = {name: value for name, value in result.items() if name != "items"}
    emit(result["items"], KEYS, form, "evaluate", beside=beside)
