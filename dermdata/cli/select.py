"""`dermdata select`: the union of datasets, refined, filtered, folded and sampled, as one manifest."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dermdata.api.display import count_nouns
from dermdata.api.label_spaces import check_strict, refuse, tell_unexpressed
from dermdata.cli import label_options as options
from dermdata.cli.complete import Targets, dataset_names
from dermdata.cli.output import AllowMissing, FormatOption, PathsOption, emit
from dermdata.cli.state import State, state_of

if TYPE_CHECKING:
    from dermdata.api.results import Selected

app = typer.Typer(add_completion=False)
Shown = Literal["summary", "images", "dropped", "conflicts", "unexpressed"]
TOLD = 8  # contradicting images that are told one by one


@app.command()
def select(
    ctx: typer.Context,
    targets: Targets,
    where: options.WhereOption = None,
    split: options.SplitOption = None,
    exclude: options.ExcludeOption = None,
    labels: options.LabelsOption = None,
    strict: options.StrictOption = False,
    differential: options.DifferentialOption = None,
    min_weight: options.WeightOption = None,
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
    paths: PathsOption = None,
    allow_missing: AllowMissing = False,
    show: Annotated[
        Shown,
        typer.Option(help="Which rows to print: one per dataset, the images, or what is not as asked."),
    ] = "summary",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be selected; write nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Join datasets, filter them by any column or concept, fold doubles, and write one manifest."""
    from dermdata.api.exporting import require_out
    from dermdata.api.manifest import Manifest
    from dermdata.api.results import IMAGE_COLUMNS

    state = state_of(ctx)
    check_strict(labels, strict=strict)
    require_out(out)
    done = Manifest.from_targets(state, targets).exclude(*(exclude or ())).select(
        where=where, split=split, labels=labels, differential=differential, min_weight=min_weight,
        refine=split_names(refine), dedupe=dedupe, sample=sample, per_class=per_class, seed=seed,
        allow_missing=allow_missing, show=IMAGE_COLUMNS if show == "images" else (),
    )  # fmt: skip
    tell(state, done)
    if out != "-":
        rows = getattr(done, show)
        emit(rows, rows.columns, form, "select", beside=done.counts, color=state.color)
    if strict and labels:
        refuse(done.unexpressed.items, labels)
    if out and not dry_run:
        done.manifest.save(out, paths=paths, allow_missing=allow_missing)
        if out != "-":
            state.say(f"written to {out}")
    else:
        state.say("nothing written" if dry_run else "nothing written; add -o FILE to keep the selection")


def split_names(refine: list[str] | None) -> list[str]:
    """The targets of `--refine A --refine B,C`; one without a name where the option names none, which is an error."""
    names = [name.strip() for text in refine or () for name in text.split(",") if name.strip()]
    return names or [""] * bool(refine)


def tell(state: State, done: "Selected") -> None:
    """What was done, and what could not be, in lines on stderr."""
    for note in done.notes:
        state.say(note)
    if done.conflicts:
        state.say(f"{count_nouns(len(done.conflicts), 'image', 'have')} labels that cannot both be true:")
        for one in done.conflicts[:TOLD]:
            state.say(f"  {one['message']}")
        if len(done.conflicts) > TOLD:
            state.say(f"  … and {len(done.conflicts) - TOLD:,} more (`--show conflicts` lists them)")
    tell_unexpressed(state, done.unexpressed.items, " (`--show unexpressed` lists them)")
