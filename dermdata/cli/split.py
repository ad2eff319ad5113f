"""`dermdata split`: a leak-free split, or a judgment of the one that is there."""

from typing import Annotated, Literal

import typer

from dermdata.api.label_spaces import check_strict
from dermdata.cli import label_options as options
from dermdata.cli.complete import cached_names, column_names, dataset_names
from dermdata.cli.output import AllowMissing, FormatOption, PathsOption, emit
from dermdata.cli.split_check import judge, refuse_together
from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)
OFFICIAL_HELP = "Keep the publisher's test set, split the rest."
STABLE_HELP = "Assign by hash: more rows later move no group."
NEAR_HELP = "Near duplicates stay together too; with --check, they are leaks."


@app.command()
def split(
    ctx: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET…",
            autocompletion=cached_names,
            help="Dataset names, manifest files, - for a stream; with --check also lists of images and parts.",
        ),
    ],
    by: Annotated[
        Literal["auto", "patient", "lesion", "case", "image"],
        typer.Option(help="What must stay together; with --check, what is judged."),
    ] = "auto",
    ratios: Annotated[
        str | None,
        typer.Option(
            help="Parts and their shares. (default: train=0.7,val=0.15,test=0.15)",
            metavar="NAME=R,…",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[int | None, typer.Option(help="K folds instead of parts.", metavar="K")] = None,
    stratify: Annotated[
        str | None,
        typer.Option(
            help="Columns whose mix each part must mirror. (default: label where the rows have one, else diagnosis)",
            metavar="COLS",
            autocompletion=column_names,
            show_default=False,
        ),
    ] = None,
    exclude: options.ExcludeOption = None,
    labels: options.LabelsOption = None,
    strict: options.StrictOption = False,
    differential: options.DifferentialOption = None,
    min_weight: options.WeightOption = None,
    official: Annotated[bool, typer.Option("--official", help=OFFICIAL_HELP)] = False,
    stable: Annotated[bool, typer.Option("--stable", help=STABLE_HELP)] = False,
    seed: Annotated[int, typer.Option(help="Another seed, another split.", metavar="N")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Only judge the split that is there; exit 1 on leaks.")
    ] = False,
    near: Annotated[bool, typer.Option("--near", help=NEAR_HELP)] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="With --check: the dataset that a CSV's images are of; repeatable. (default: found by their ids)",
            metavar="NAME",
            autocompletion=dataset_names,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the manifest with its split: .parquet, .csv, .jsonl, or - for a stream.",
            metavar="OUT",
        ),
    ] = None,
    paths: PathsOption = None,
    allow_missing: AllowMissing = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the balance; write nothing.")] = False,
    form: FormatOption = None,
) -> None:
    """Split by patient or lesion, stratified, seeded; no group is ever in two parts."""
    from dermdata.api.exporting import require_out
    from dermdata.api.manifest import Manifest

    state = state_of(ctx)
    making = {
        "--ratios": ratios, "--folds": folds, "--stratify": stratify, "--official": official, "--stable": stable,
        "--output": out, "--labels": labels, "--differential": differential, "--min-weight": min_weight,
        "--exclude": exclude,
    }  # fmt: skip
    refuse_together(making, check=check, target=target)
    check_strict(labels, strict=strict)
    if check:
        judge(state, targets, target or (), form, by=by, near=near)
        return
    require_out(out)
    parts = Manifest.from_targets(state, targets).exclude(*(exclude or ())).split(
        by=by, ratios=ratios, folds=folds, stratify=stratify, labels=labels, strict=strict,
        differential=differential, min_weight=min_weight, official=official, stable=stable, near=near,
        seed=seed, allow_missing=allow_missing,
    )  # fmt: skip
    for line in parts.notes:
        state.say(line)
    state.say(f"largest deviation of a class share: {parts.largest_deviation:.4f} percentage points")
    if out != "-":
        emit(rows := parts.records, rows.columns, form, "split", beside=rows.facts, color=state.color)
    if out and not dry_run:
        parts.manifest.save(out, paths=paths, allow_missing=allow_missing)
        if out != "-":
            state.say(f"written to {out}")
    elif not dry_run:
        state.say("nothing written; add -o FILE to keep the split")
