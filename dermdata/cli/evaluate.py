"""`dermdata evaluate`: how good a model's predictions are, overall and for whom."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata.api.evaluating import EvaluationRequest, evaluate_predictions
from dermdata.api.label_spaces import check_strict, find_share
from dermdata.api.reports import EvaluationOutputs
from dermdata.cli.complete import cached_names, column_names, space_names
from dermdata.cli.label_options import (
    LABELS_HELP,
    CardOption,
    DifferentialOption,
    ExcludeOption,
    FiguresOption,
    ReportOption,
    SplitOption,
    StrictOption,
    WeightOption,
    WhereOption,
)
from dermdata.cli.output import Format, FormatOption, emit
from dermdata.cli.state import state_of
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.api.records import Records

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
            autocompletion=cached_names,
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            help=f"{LABELS_HELP} (default: the target's own labels or words, or the space that the columns are)",
            metavar="SPACE",
            autocompletion=space_names,
            show_default=False,
        ),
    ] = None,
    strict: StrictOption = False,
    differential: DifferentialOption = None,
    min_weight: WeightOption = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Columns to group by, such as fitzpatrick,sex; fitzpatrick_band for I-II, III-IV, V-VI.",
            metavar="COLS",
            autocompletion=column_names,
        ),
    ] = None,
    operating_point: Annotated[list[str] | None, typer.Option(help=POINT_HELP, metavar="POINT")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples; 0: no intervals.", metavar="N")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other resamples.", metavar="N")] = 0,
    min_group: Annotated[
        int, typer.Option(min=1, help="Nothing is claimed of groups with fewer images.", metavar="N")
    ] = 30,
    where: WhereOption = None,
    split: SplitOption = None,
    exclude: ExcludeOption = None,
    report: ReportOption = None,
    figures: FiguresOption = None,
    model_card: CardOption = None,
    form: FormatOption = None,
) -> None:
    """Metrics of a model's predictions, overall and by group, with intervals and the gap to the worst group."""
    from dermdata.api.manifest import Manifest

    state = state_of(ctx)
    (outputs := EvaluationOutputs(report=report, figures=figures, card=model_card)).require()
    if predictions == "-" and "-" in target:
        raise UsageError("predictions and target cannot both come from stdin")
    check_strict(labels, strict=strict)
    request = EvaluationRequest(
        labels=labels, strict=strict, share=find_share(labels, differential, min_weight), by=split_words(by),
        points=split_words(operating_point), resamples=bootstrap, seed=seed, min_group=min_group,
        outputs=outputs, where=where, split=split, exclude=tuple(exclude or ()),
    )  # fmt: skip
    found = evaluate_predictions(state, predictions, Manifest.from_targets(state, target), request)
    show(found, form, state.color)


def split_words(words: Sequence[str] | None) -> tuple[str, ...]:
    """The words of `--by a --by b,c`, each once."""
    found = [one.strip() for word in words or () for one in word.split(",")]
    return tuple(dict.fromkeys(filter(None, found)))


def show(found: "Records", form: Format | None, color: str) -> None:
    """Items in machine formats; `names`: the images without prediction; tables for a person."""
    form = form or ("table" if sys.stdout.isatty() else "tsv")
    beside = dict(found.facts)
    missing = beside.pop("without_prediction")
    if form == "table":
        from dermdata.cli.evaluate_tables import show as show_tables

        show_tables(found, color)
    elif form == "names":
        emit([{"key": key} for key in missing], ("key",), form, "evaluate")
    else:
        emit(found, found.columns, form, "evaluate", beside=beside)
