"""`dermdata labels align`: the finest label set that several datasets share."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata.api.label_spaces import counts_of, crosswalk_of, fields_of, vocabulary_of
from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.alignment import Alignment, Counted
    from dermdata.model import Dataset, Label
    from dermdata.vocabulary import Vocabulary

KEYS = ("id", "name", "concepts", "labels", "images")
TOLD = 12  # lines of the trade-off on stderr
NAMED = 4  # labels that are named of several


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
    from dermdata.alignment import align

    state = state_of(ctx)
    loss = share(max_loss)
    vocabulary = vocabulary_of(state)
    datasets = [state.catalog[name] for name in dict.fromkeys(names)]
    rows = [row for dataset in datasets for row in rows_of(state, dataset, vocabulary)]
    start = time.perf_counter()
    found = align(rows, vocabulary, max_loss=loss, keep_all=keep_all)
    state.more(f"aligned {len(rows):,} words in {time.perf_counter() - start:.2f} s")
    items: list[dict[str, Any]] = [
        {**vars_of(one, KEYS), "concepts": list(one.concepts), "labels": counted(one.labels)}
        for one in found.classes
    ]
    if form in ("json", "jsonl"):
        emit(items, KEYS, form, "labels align", beside=beside(found))
        return
    shown = [{**item, "labels": spoken(one.labels)} for item, one in zip(items, found.classes, strict=True)]
    emit(shown, KEYS, form, "labels align", shown=("id", "images", "labels"), color=state.color)
    for line in (*reasons(found), *table(found)):
        state.say(line)


def rows_of(
    state: State, dataset: "Dataset", vocabulary: "Vocabulary"
) -> "list[tuple[str, Label, int | None]]":
    """The words of the fields that the dataset's tables take labels from, each with its images."""
    fields = fields_of(dataset)
    words = crosswalk_of(state, dataset.name, vocabulary)
    rows = [row for row in words if not fields or row.field in fields]
    if not rows:
        hint = f"`dermdata info {dataset.name}` says what it has"
        raise UsageError(f"{dataset.name} has no label words", hint=hint)
    counts = counts_of(state, dataset, rows)
    return [(dataset.name, row, counts.of(row.raw_label)) for row in rows]


def vars_of(one: Any, keys: Iterable[str]) -> dict[str, Any]:
    return {key: getattr(one, key) for key in keys}


def beside(found: "Alignment") -> dict[str, Any]:
    """What JSON has beside the classes."""
    return {
        "unassigned": [{**counted([one.label])[0], "reason": one.reason} for one in found.unassigned],
        "forced": [
            {"labels": counted(one.labels), "into": one.into, "without": [list(part) for part in one.without]}
            for one in found.forced
        ],
        "wider": [
            {"labels": counted(one.labels), "into": one.into, "holds": counted(one.holds)}
            for one in found.wider
        ],
        "tradeoff": [
            {
                "classes": one.classes,
                "images_left_out": one.images_left_out,
                "labels": counted(one.labels),
            }
            for one in found.tradeoff
        ],
    }


def counted(labels: "Iterable[Counted]") -> list[dict[str, Any]]:
    return [
        {
            "dataset": one.dataset,
            "field": one.label.field,
            "raw_label": one.label.raw_label,
            "count": one.count,
        }
        for one in labels
    ]


# ------------------------------------------------------------------ in words


def reasons(found: "Alignment") -> Iterator[str]:
    """Why labels have no class, and why others share one."""
    for left in found.unassigned:
        yield f"left out: {spoken([left.label])}: {left.reason}"
    for forced in found.forced:
        yield (
            f"{few(forced.labels)} {verb(forced.labels, 'force')} {short(forced.into)} into one class: "
            f"without, it would be {len(forced.without)}"
        )
    glue = {one.labels for one in found.forced}
    for wider in found.wider:
        if wider.labels not in glue:
            lump = f", a lump ({', '.join(wider.members)})" if wider.members else ""
            yield f"{few(wider.holds)} {verb(wider.holds, 'share')} the class of {few(wider.labels)}{lump}"


def table(found: "Alignment") -> Iterator[str]:
    """The trade-off, a line for each number of classes."""
    if not found.tradeoff:
        return
    yield "classes  images left out  labels left out"
    for one in found.tradeoff[:TOLD]:
        yield f"{one.classes:7,}  {one.images_left_out:15,}  {few(one.labels)}".rstrip()
    if len(found.tradeoff) > TOLD:
        last = found.tradeoff[-1]
        yield (
            f"… up to {last.classes:,} classes for {last.images_left_out:,} images; "
            "`--format json` has every line"
        )


def few(labels: "Sequence[Counted]") -> str:
    more = f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else ""
    return f"{spoken(labels[:NAMED])}{more}"


def short(concepts: str) -> str:
    """A class's id, unless it is longer than a line."""
    several = concepts.split("+")
    return concepts if len(several) <= NAMED else f"{'+'.join(several[:NAMED])}+… ({len(several)} concepts)"


def verb(labels: "Sequence[Counted]", word: str) -> str:
    return word if len(labels) > 1 else f"{word}s"


def spoken(labels: "Iterable[Counted]") -> str:
    def count(one: "Counted") -> str:
        return f" ({one.count:,})" if one.count is not None else ""

    return ", ".join(f"{one.dataset} {one.label.raw_label}{count(one)}" for one in labels)


def share(text: str | None) -> float | None:
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
