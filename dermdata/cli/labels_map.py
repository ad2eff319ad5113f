"""`dermdata labels map`: a dataset's words as concepts, and proposals for the words of a person's own table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dermdata.api.label_spaces import counts_of, crosswalk_of, text_of, vocabulary_of
from dermdata.cli.complete import dataset_names
from dermdata.cli.output import emit, write_line
from dermdata.cli.state import State, state_of
from dermdata.errors import ProblemsFound, UsageError

if TYPE_CHECKING:
    from dermdata.crosswalks.own import Proposal
    from dermdata.model import Label
    from dermdata.vocabulary import Vocabulary

KEYS = (
    "dataset", "field", "raw_label", "concept", "name", "predicate", "members", "malignancy", "count", "note",
)  # fmt: skip
SHOWN = ("raw_label", "count", "predicate", "concept", "malignancy", "members")
PROPOSED = ("raw_label", "count", "how", "score", "concept", "name", "matched", "candidates", "applied")
PROPOSED_SHOWN = ("raw_label", "count", "how", "score", "concept", "applied", "candidates")
Form = Literal["table", "names", "json", "jsonl", "csv", "tsv", "sssom"]


def map_(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", autocompletion=dataset_names, show_default=False)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Propose concepts for a table of your own.", metavar="FILE")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="The column of --csv that holds the words.", metavar="NAME")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="Decide a word of --csv; a+b for one of several; repeatable.", metavar="WORD=CONCEPT"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the labels.tsv of a private catalog; its rows there stay.",
            metavar="OUT",
        ),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            "-f",
            help="Default: table on a terminal, tsv in a pipe. sssom: the mapping standard's TSV.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """How one dataset's own words map to concepts, or what those of your own table may mean."""
    state = state_of(ctx)
    if (name is None) == (csv is None):
        raise UsageError("labels map needs a dataset's NAME or --csv FILE", hint="give one of them")
    if csv is None:
        if column or accept or out:
            raise UsageError("--column, --accept and -o belong to --csv FILE")
        map_dataset(state, str(name), form)
    elif column is None or form == "sssom":
        if column is None:
            raise UsageError("--csv needs --column NAME", hint="the column that holds the diagnosis words")
        raise UsageError("proposals are no SSSOM mappings", hint="-o labels.tsv keeps what is decided")
    else:
        map_own(state, csv, column, accept or [], out, form)


def map_dataset(state: State, name: str, form: Form | None) -> None:
    dataset = state.catalog[name]
    vocabulary = vocabulary_of(state)
    labels = list(crosswalk_of(state, dataset.name, vocabulary))
    if not labels:
        hint = f"`dermdata info {dataset.name}` says what it has"
        raise UsageError(f"{dataset.name} has no label words", hint=hint)
    if form == "sssom":
        from dermdata import __version__
        from dermdata.crosswalks.sssom import sssom

        write_line(sssom(dataset.name, labels, vocabulary, __version__).rstrip("\n"))
        return
    counts = counts_of(state, dataset, labels)
    rows = [
        {**vars_of(label), "dataset": dataset.name, "name": vocabulary.name(label.concept),
         "count": counts.of(label.raw_label)}
        for label in labels
    ]  # fmt: skip
    emit(rows, KEYS, form, "labels map", shown=SHOWN, color=state.color)


def map_own(state: State, path: Path, column: str, decisions: list[str], out: Path | None, form: Any) -> None:
    """Propose, show, and write what is sure or decided; ProblemsFound if words are left that OUT has no row for."""
    from dermdata.crosswalks import own

    vocabulary = vocabulary_of(state)
    words = own.words_of(text_of(path, "table"), column, str(path))
    if blank := words.pop("", 0):
        state.say(f"{blank:,} rows have no word in {column}")
    decided = [*there(out, vocabulary), *own.accepted(decisions, column, words, vocabulary)]
    proposals = own.propose(words, column, vocabulary, known_words(state, vocabulary), decided)
    rows = [
        {**{key: getattr(one, key, None) for key in PROPOSED}, "name": one.concept and vocabulary.name(one.concept)}
        for one in proposals
    ]  # fmt: skip
    emit(rows, PROPOSED, form, "labels map", shown=PROPOSED_SHOWN, color=state.color)
    tell(state, proposals)
    if out is not None:
        keep(state, out, own.merged(decided, proposals))
        refuse(proposals)


def there(out: Path | None, vocabulary: "Vocabulary") -> "list[Label]":
    """The rows that an earlier run or a person has written; BadCatalog if they are not sound."""
    from dermdata.crosswalks import check, parse_labels

    if out is None or not out.exists():
        return []
    rows = parse_labels(text_of(out, "labels.tsv"), str(out))
    check(rows, vocabulary, str(out))
    return list(rows)


def known_words(state: State, vocabulary: "Vocabulary") -> "dict[str, list[tuple[str, Label]]]":
    """Raw word -> the datasets of the catalog that use it."""
    known: dict[str, list[tuple[str, Label]]] = {}
    for name in state.catalog:
        for row in crosswalk_of(state, name, vocabulary):
            known.setdefault(row.raw_label, []).append((name, row))
    return known


def tell(state: State, proposals: "list[Proposal]") -> None:
    open_ones = [one for one in proposals if not one.applied]
    mapped = sum(one.count for one in proposals if one.applied)
    state.say(f"{len(proposals) - len(open_ones):,} of {len(proposals):,} words are mapped ({mapped:,} rows)")
    if open_ones:
        state.say(f"{len(open_ones):,} are for you to decide: --accept WORD=CONCEPT, or a row in labels.tsv")


def keep(state: State, out: Path, labels: "list[Label]") -> None:
    from dermdata import disk
    from dermdata.crosswalks import write_labels

    disk.write(out, [write_labels(labels).encode()])
    state.say(f"{len(labels):,} rows written to {out}")
    if not out.with_name("dataset.toml").exists():
        state.say("a catalog wants a dataset.toml beside it: see docs/private-catalogs.md")


def refuse(proposals: "list[Proposal]") -> None:
    """An unmapped word is an error listed with its count, never a default class."""
    missing = [one for one in proposals if not one.applied]
    if missing:
        rows = sum(one.count for one in missing)
        raise ProblemsFound(
            f"{len(missing):,} words ({rows:,} rows) have no concept yet",
            hint="--accept WORD=CONCEPT decides one",
        )


def vars_of(label: "Label") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(label)
