"""`dermdata select`: the union of datasets, refined, filtered, folded and sampled, as one manifest."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dermdata.api.label_spaces import (
    ADDED,
    check_strict,
    images_of,
    refuse,
    sources_of,
    space_of,
    tell_unexpressed,
    words_of,
)
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.cli.complete import Targets, dataset_names
from dermdata.cli.labelling import LABELS_HELP, STRICT_HELP
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dermdata.api.targets import Loaded
    from dermdata.selection import Selection

app = typer.Typer()
Shown = Literal["summary", "images", "dropped", "conflicts", "unexpressed"]
KEYS: dict[Shown, tuple[str, ...]] = {
    "summary": ("dataset", "given", "images", "patients", "lesions"),
    "images": ("key", "dataset", "image_id", "diagnosis", "label", "path"),
    "dropped": ("key", "kept", "reason"),
    "conflicts": ("level", "code", "dataset", "keys", "message", "evidence"),
    "unexpressed": ("dataset", "label_raw", "diagnosis", "reason", "images"),
}
USED = ("dataset", "image_id", "key", "isic_id", "patient_id", "lesion_id")  # in each selection
TOLD = 8  # contradicting images that are told one by one


@app.command()
def select(
    ctx: typer.Context,
    targets: Targets,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only rows of which this is true: SQL over the manifest's columns, and `diagnosis under 'concept'`.",
            metavar="EXPR",
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(help=LABELS_HELP, metavar="SPACE")] = None,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT_HELP)] = False,
    refine: Annotated[
        list[str] | None,
        typer.Option(
            help="Take the finer label that the same image (isic_id) has in NAME; repeatable.",
            metavar="NAME",
            autocompletion=dataset_names,
        ),
    ] = None,
    dedupe: Annotated[
        Literal["none", "id", "exact", "near"],
        typer.Option(
            help="One row of each image: same isic_id, same bytes, or near duplicates too (by fetched images)."
        ),
    ] = "none",
    sample: Annotated[
        int | None, typer.Option(min=1, help="So many rows, by hash of key.", metavar="N")
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="--sample N of each class (label, else diagnosis).")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another seed, another sample.", metavar="N")] = 0,
    out: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the manifest: .parquet, .csv, .jsonl, .arrow, or - for a stream.",
            metavar="OUT",
        ),
    ] = None,
    show: Annotated[
        Literal["summary", "images", "dropped", "conflicts", "unexpressed"],
        typer.Option(help="Which rows to print: one per dataset, the images, or what is not as asked."),
    ] = "summary",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be selected; write nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Join datasets, filter them by any column or concept, fold doubles, and write one manifest."""
    from dermdata.api.targets import load, load_lean, near_of
    from dermdata.api.write_manifest import command_line, keep, require_out
    from dermdata.selection import NEEDED, Wanted, columns_of
    from dermdata.selection import select as selected

    state = state_of(ctx)
    check_strict(labels, strict=strict)
    require_out(out)

    def columns(names: "Sequence[str]") -> "Sequence[str]":
        if dedupe != "none":
            return names  # which row says more, and what its ids are, is a matter of all columns
        known = (*names, *ADDED, *NEEDED)
        asked = columns_of(where, known, state.library.vocabulary) if where else ()
        return (*USED, *PROJECTED, *ADDED, *KEYS[show], *(NEEDED if refine else ()), *asked)

    loaded = load_lean(state, targets, columns)
    wanted = Wanted(
        where=where,
        space=space_of(state, labels) if labels else None,
        dedupe=None if dedupe == "none" else dedupe,
        sample=sample,
        per_class=per_class,
        seed=seed,
        near=near_of(loaded),
    )
    sources = load(state, names_of(refine), NEEDED) if refine else None
    named = [sources_of(one.table) for one in (loaded, sources) if one]
    words = words_of(state, set().union(*named))
    done = selected(loaded.table, wanted, state.library.vocabulary, words, sources and sources.table)
    tell(state, done)
    if out != "-":
        emit(rows_of(show, done, loaded), KEYS[show], form, "select", beside=counts(done), color=state.color)
    if strict and labels:
        refuse(unexpressed_of(done), labels)
    if out and not dry_run:
        asked = {
            "where": where, "labels": labels, "refine": refine and ",".join(names_of(refine)),
            "dedupe": wanted.dedupe, "sample": sample, "per-class": per_class, "seed": sample and seed,
        }  # fmt: skip
        keep(state, loaded.rows(done.table), out, command_line("select", targets, asked))
    else:
        state.say("nothing written" if dry_run else "nothing written; add -o FILE to keep the selection")


def names_of(refine: list[str]) -> list[str]:
    """The targets of `--refine A --refine B,C`."""
    return [name.strip() for text in refine for name in text.split(",") if name.strip()]


# ------------------------------------------------------------------ telling


def tell(state: State, done: "Selection") -> None:
    """What was done, and what could not be, in lines on stderr."""
    for note in done.notes:
        state.say(note)
    if done.conflicts:
        state.say(f"{len(done.conflicts):,} images have labels that cannot both be true:")
        for one in done.conflicts[:TOLD]:
            state.say(f"  {one.message}")
        if len(done.conflicts) > TOLD:
            state.say(f"  … and {len(done.conflicts) - TOLD:,} more (`--show conflicts` lists them)")
    tell_unexpressed(state, unexpressed_of(done), " (`--show unexpressed` lists them)")


def unexpressed_of(done: "Selection") -> list[dict[str, Any]]:
    from dermdata.projection import REASON, unexpressed

    return unexpressed(done.table) if REASON in done.table.column_names else []


def counts(done: "Selection") -> dict[str, int]:
    """How many rows of each kind there are, beside JSON's items."""
    missing = images_of(unexpressed_of(done))
    return {
        "images": done.table.num_rows,
        "dropped": len(done.dropped),
        "conflicts": len(done.conflicts),
        "unexpressed": missing,
    }


def rows_of(show: Shown, done: "Selection", loaded: "Loaded") -> list[dict[str, Any]]:
    if show == "dropped":
        return [vars(one) for one in done.dropped]
    if show == "conflicts":
        return [vars(one) for one in done.conflicts]
    if show == "unexpressed":
        return unexpressed_of(done)
    if show == "images":
        there = [name for name in KEYS[show] if name in done.table.column_names]
        return done.table.select(there).to_pylist()  # type: ignore[no-any-return]
    return summary(done.table, loaded)


def summary(table: Any, loaded: "Loaded") -> list[dict[str, Any]]:
    """One row per dataset of the targets, also of those that no row is left of."""
    from dermdata.stats import tabulate

    left = {row["dataset"]: row for row in tabulate(table, ["dataset"])} if table.num_rows else {}
    given = {row["dataset"]: row["images"] for row in tabulate(loaded.table.select(["dataset"]), ["dataset"])}
    nothing = {"images": 0, "patients": None, "lesions": None}
    return [{**nothing, **left.get(name, {}), "dataset": name, "given": given[name]} for name in given]
