"""`dermdata labels`: the diagnosis vocabulary, and how one dataset's words map into it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import UnknownName, UsageError

app = typer.Typer(
    no_args_is_help=True, help="The diagnosis vocabulary and how each dataset's words map into it."
)
MAP_KEYS = (
    "dataset",
    "field",
    "raw_label",
    "concept",
    "name",
    "predicate",
    "members",
    "malignancy",
    "count",
    "note",
)
MAP_SHOWN = ("raw_label", "count", "predicate", "concept", "malignancy", "members")
FIND_KEYS = ("concept", "name", "path", "malignancy", "matched", "score")
ALIGN_KEYS = ("id", "name", "concepts", "labels", "images")
TREE_KEYS = ("concept", "name", "parent", "level", "malignancy", "synonyms")


@app.command("map")
def map_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=dataset_names)],
    form: FormatOption = None,
) -> None:
    """How one dataset's own words map to concepts."""
    state = state_of(ctx)
    dataset = state.catalog[name]
    vocabulary = vocabulary_of(state)
    rows = [
        {**vars_of(label), "dataset": dataset.name, "name": vocabulary.name(label.concept),
         "count": dataset.counts.labels.get(label.raw_label)}
        for label in rows_of(state, dataset.name)
    ]  # fmt: skip
    if not rows:
        raise UsageError(
            f"{dataset.name} has no label words", hint=f"`dermdata info {dataset.name}` says what it has"
        )
    emit(rows, MAP_KEYS, form, "labels map", shown=MAP_SHOWN, color=state.color)


@app.command()
def find(
    ctx: typer.Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="A label, synonym, raw word or code.")],
    limit: Annotated[int, typer.Option(min=1, help="How many hits.", metavar="N")] = 20,
    form: FormatOption = None,
) -> None:
    """Find concepts by label, synonym, a dataset's word or a code; forgives typing errors."""
    from dermdata.vocabulary import find

    state = state_of(ctx)
    vocabulary = vocabulary_of(state)
    labels = [label for name in state.catalog for label in rows_of(state, name)]
    hits = find(" ".join(text), vocabulary, labels, limit)
    rows = [
        {"concept": hit.concept, "name": vocabulary.name(hit.concept), "path": list(vocabulary.path(hit.concept)),
         "malignancy": vocabulary.malignancy(hit.concept), "matched": hit.matched, "score": hit.score}
        for hit in hits
    ]  # fmt: skip
    emit(
        rows,
        FIND_KEYS,
        form,
        "labels find",
        shown=("concept", "name", "malignancy", "matched"),
        color=state.color,
    )
    if not rows:
        state.say(f"no concept is called '{' '.join(text)}'; `dermdata labels tree` shows all")


@app.command()
def tree(
    ctx: typer.Context,
    concept: Annotated[str | None, typer.Argument(metavar="[CONCEPT]", help="Only what is under it.")] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="How many levels.", metavar="N")] = None,
    form: FormatOption = None,
) -> None:
    """The diagnosis tree."""
    import sys

    state = state_of(ctx)
    vocabulary = vocabulary_of(state)
    start = concept or vocabulary.root
    if start not in vocabulary:
        raise UnknownName("concept", start, [one.id for one in vocabulary])
    found = list(below(vocabulary, start, depth))
    if form is None and sys.stdout.isatty():
        form = "table"
    if form == "table":
        for one, level in found:
            sys.stdout.write(f"{'  ' * level}{vocabulary.name(one)} ({one})\n")
        return
    rows = [
        {"concept": one, "name": vocabulary.name(one), "parent": vocabulary[one].parent, "level": vocabulary[one].level,
         "malignancy": vocabulary.malignancy(one), "synonyms": list(vocabulary[one].synonyms)}
        for one, _ in found
    ]  # fmt: skip
    emit(rows, TREE_KEYS, form, "labels tree", color=state.color)


@app.command()
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
    datasets = [state.catalog[name] for name in dict.fromkeys(names)]
    rows = [
        (one.name, label, one.counts.labels.get(label.raw_label))
        for one in datasets
        for label in rows_of(state, one.name)
        if label.field in used_fields(one)
    ]
    if not rows:
        raise UsageError(
            f"{', '.join(names)} have no label words", hint="`dermdata info NAME` says what they have"
        )
    found = align(rows, vocabulary_of(state), max_loss=share(max_loss), keep_all=keep_all)
    beside = {
        "unassigned": [{**counted(one.label), "reason": one.reason} for one in found.unassigned],
        "tradeoff": [
            {
                "classes": one.classes,
                "images_left_out": one.images_left_out,
                "labels": list(map(counted, one.labels)),
            }
            for one in found.tradeoff
        ],
    }
    items: list[dict[str, Any]] = [
        {"id": one.id, "name": one.name, "concepts": list(one.concepts), "images": one.images,
         "labels": list(map(counted, one.labels))}
        for one in found.classes
    ]  # fmt: skip
    if form in ("json", "jsonl"):
        emit(items, ALIGN_KEYS, form, "labels align", beside=beside)
        return
    shown = [{**item, "labels": spoken(item["labels"]), "concepts": item["concepts"]} for item in items]
    emit(shown, ALIGN_KEYS, form, "labels align", shown=("id", "images", "labels"), color=state.color)
    for unassigned in found.unassigned:
        state.say(f"left out: {spoken([counted(unassigned.label)])}: {unassigned.reason}")
    for forced in found.forced:
        state.say(f"{spoken(list(map(counted, forced.labels)))} forces {forced.into} into one class")
    for choice in found.tradeoff:
        state.say(f"{choice.classes} classes: {choice.images_left_out:,} images left out")


def used_fields(dataset: Any) -> set[str]:
    """The crosswalk fields that the dataset's own tables use; all of them where it has none."""
    fields = {table.label_field or "/".join(table.columns.get("label_raw", ())) for table in dataset.table}
    return fields - {""} or Everything()


class Everything(set[str]):
    """A set that holds every word."""

    def __contains__(self, _: object) -> bool:
        return True


def counted(one: Any) -> dict[str, Any]:
    return {
        "dataset": one.dataset,
        "field": one.label.field,
        "raw_label": one.label.raw_label,
        "count": one.count,
    }


def spoken(labels: list[dict[str, Any]]) -> str:
    def count(one: dict[str, Any]) -> str:
        return f" ({one['count']:,})" if one["count"] is not None else ""

    return ", ".join(f"{one['dataset']} {one['raw_label']}{count(one)}" for one in labels)


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


def below(vocabulary: Any, concept: str, depth: int | None, level: int = 0) -> Iterator[tuple[str, int]]:
    yield concept, level
    if depth is None or level < depth:
        for child in vocabulary.children(concept):
            yield from below(vocabulary, child, depth, level + 1)


def vocabulary_of(state: State) -> Any:
    from dermdata.vocabulary import parse

    path = state.catalog.vocabulary_file("concepts.tsv")
    return parse(path.read_text(encoding="utf-8"), str(path))


def rows_of(state: State, name: str) -> list[Any]:
    from dermdata.labels import parse_labels

    return [
        label for path in state.catalog.labels_files(name) for label in parse_labels(read(path), str(path))
    ]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def vars_of(label: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(label)
