"""`dermdata labels align`: the finest label set that several datasets share."""

from collections.abc import Iterator, Sequence
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
    for line in (*found.notes, *tradeoff_lines(rows.facts["tradeoff"])):
        state.say(line)


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
