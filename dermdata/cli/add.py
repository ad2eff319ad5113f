"""`dermdata add`: one's own pictures and table as a dataset, in one command."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata.api.display import count_nouns, count_share
from dermdata.cli.add_output import fetch_entry, write_guesses
from dermdata.cli.label_options import AcceptOption, find_prompt
from dermdata.cli.output import FormatOption
from dermdata.cli.state import State, state_of

if TYPE_CHECKING:
    from dermdata.api.adding import AddedEntry

app = typer.Typer(add_completion=False)
SHOWN_WORDS = 8


def column_of(what: str) -> "typer.models.OptionInfo":
    """The option that names the column of a field."""
    info: typer.models.OptionInfo = typer.Option(
        help=f"The column {what}; '' for none. (default: inferred)", metavar="COLUMN", show_default=False
    )
    return info


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the dataset is to be called.")],
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE…", help="Folders, zips, tables; or a record's page, DOI, id."),
    ],
    table: Annotated[
        Path | None, typer.Option(help="The table, where several lie there.", metavar="FILE")
    ] = None,
    image: Annotated[str | None, column_of("that names the pictures")] = None,
    label: Annotated[str | None, column_of("of diagnoses")] = None,
    patient: Annotated[str | None, column_of("of patients")] = None,
    lesion: Annotated[str | None, column_of("of lesions")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="The column of any other field: age=Alter; repeatable.", metavar="FIELD=COLUMN"),
    ] = None,
    accept: AcceptOption = None,
    modality: Annotated[str | None, typer.Option(help="dermoscopic, clinical, …", metavar="WORD")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The catalog folder to write to. (default: the last --catalog, else your own)",
            metavar="CATALOG",
            show_default=False,
        ),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the pictures into the cache.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Hard links in the cache, of one disk.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an entry that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is inferred; write nothing.")] = False,
    form: FormatOption = None,
) -> None:
    """Make a dataset of your own pictures: looks, infers, shows why, writes the entry, fetches it."""
    from dermdata.api.adding import add_dataset, choose_placement, parse_columns
    from dermdata.api.own_data import AddRequest, split_sources

    paths, record = split_sources(sources)
    named = {"image": image, "label_raw": label, "patient_id": patient, "lesion_id": lesion}
    request = AddRequest(
        name=name, sources=paths, record=record, table=table, modality=modality, catalog=out, accept=accept or (),
        columns=parse_columns(named, column or ()), placement=choose_placement(copy=copy, link=link),
        prompt=find_prompt(), force=force, dry_run=dry_run,
    )  # fmt: skip
    state = state_of(ctx)
    added = add_dataset(state, request, ask_person if sys.stdin.isatty() and sys.stderr.isatty() else None)
    if dry_run or form != "json":
        write_guesses(state, added, form)
    tell_words(state, added)
    if not dry_run:
        fetch_entry(state, request, added, form)


def ask_person(field: str, column: str, evidence: str) -> bool:
    """Whether a column is what it may be, answered on the terminal."""
    return typer.confirm(f"Is '{column}' the {field}? {evidence}", err=True)


def tell_words(state: State, added: "AddedEntry") -> None:
    """What became of the labels' words, and how the others are decided."""
    words = added.words
    if not words:
        return
    mapped = [one for one in words if one["applied"]]
    state.say(f"{count_share(len(mapped), len(words), 'label word', 'are')} mapped")
    for one in [one for one in words if not one["applied"]][:SHOWN_WORDS]:
        state.say(
            f"  {one['raw_label']} ({count_nouns(one['count'], 'row')}): not mapped{describe_guess(one)}"
        )
    if len(mapped) < len(words):
        likely = count_nouns(sum(one["certainty"] == "likely" for one in words), "word", "are")
        state.say(
            f"{likely} likely: --force --accept all takes them, ask asks, WORD=CONCEPT decides one; or labels.tsv"
        )


def describe_guess(word: Mapping[str, Any]) -> str:
    """What a word may mean, and why that is doubted."""
    if not word["candidates"]:
        return ""
    doubt = f" ({word['reason']})" if word["how"] == "doubt" else ""
    return f", perhaps {' or '.join(word['candidates'])}{doubt}"
