"""`dermdata labels align`: the finest label set that several datasets share."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from dermdata.api.display import count_nouns
from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of
from dermdata.errors import UsageError

MOST_LINES = 12  # of the trade-off on stderr


def align(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", autocompletion=dataset_names)],
    max_loss: Annotated[
        str | None,
        typer.Option(help="Leave out labels of at most this share of the images: 2% or 0.02.", metavar="P"),
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Leave no label out, whatever it glues.")
    ] = False,
    why: Annotated[
        bool,
        typer.Option(
            "--why", help="Also why labels are left out or share a class, and what finer ones cost."
        ),
    ] = False,
    form: FormatOption = None,
) -> None:
    """The finest label set that several datasets share without ambiguity."""
    from dermdata.api.label_alignment import align_labels, name_labels

    state = state_of(ctx)
    found = align_labels(state, names, max_loss=parse_share(max_loss), keep_all=keep_all)
    rows = found.classes
    if form in ("json", "jsonl"):
        emit(rows, rows.columns, form, "labels align", beside=rows.facts)
        return
    written = [{**row, "labels": name_labels(row["labels"])} for row in rows]
    shown = ("id", "images", "labels")
    emit(written, rows.columns, form, "labels align", shown=shown, color=state.color)
    reasons = (*found.notes, *tradeoff_lines(rows.facts["tradeoff"]))
    for line in reasons if why else summary_lines(rows.facts):
        state.say(line)


def summary_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """In one line how much is not as the datasets have it, and how to see why; nothing where all is."""
    forcing = {
        (one["dataset"], one["field"], one["raw_label"]) for each in facts["forced"] for one in each["labels"]
    }
    held = {
        (one["dataset"], one["field"], one["raw_label"]) for each in facts["wider"] for one in each["holds"]
    }
    counts = {"are left out": len(facts["unassigned"]), "force classes into one": len(forcing)}
    counts["share the class of a wider one"] = len(held)
    told = []
    for what, count in counts.items():
        verb, rest = what.split(" ", 1)
        told += [f"{count_nouns(count, 'label', verb)} {rest}"] if count else []
    if told:
        yield f"{', '.join(told)}; `--why` says why, and what finer classes would cost"


def tradeoff_lines(choices: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The trade-off, a line for each number of classes."""
    from dermdata.api.label_alignment import name_some

    if not choices:
        return
    yield "classes  images left out  labels left out"
    for one in choices[:MOST_LINES]:
        yield f"{one['classes']:7,}  {one['images_left_out']:15,}  {name_some(one['labels'])}".rstrip()
    if len(choices) > MOST_LINES:
        last = choices[-1]
        yield (
            f"… up to {count_nouns(last['classes'], 'class')} for {count_nouns(last['images_left_out'], 'image')}; "
            "`--format json` has every line"
        )


def parse_share(text: str | None) -> float | None:
    """`2%` or `0.02` as a number from 0 to 1."""
    if text is None:
        return None
    try:
        part = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise UsageError(f"'{text}' is no share", hint="write 2% or 0.02") from error
    if not 0 <= part <= 1:
        raise UsageError(f"{text} is not between 0 and 100 %", hint="write 2% or 0.02")
    return part
