"""`dermdata split`: a leak-free split, or a judgement of the one that is there."""

import json
from typing import Annotated, Literal

import typer

from dermdata.api.label_spaces import ADDED, check_strict, project
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.cli.complete import dataset_names
from dermdata.cli.labelling import LABELS_HELP, STRICT_HELP
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of
from dermdata.errors import UsageError

app = typer.Typer(add_completion=False)
PICTURES = ("path", "sha256", "phash")  # by which near duplicates are told
KEYS = ("part", "images", "groups", "patients", "lesions", "share")


@app.command()
def split(
    ctx: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET…",
            autocompletion=dataset_names,
            help="Dataset names, manifest files, - for a stream; with --check also a CSV of image ids and parts.",
        ),
    ],
    by: Annotated[
        Literal["auto", "patient", "lesion", "case", "image"], typer.Option(help="What must stay together.")
    ] = "auto",
    ratios: Annotated[
        str | None,
        typer.Option(
            help="Parts and their shares. [default: train=0.7,val=0.15,test=0.15]",
            metavar="NAME=R,…",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[int | None, typer.Option(help="K folds instead of parts.", metavar="K")] = None,
    stratify: Annotated[
        str | None,
        typer.Option(
            help="Columns whose mix each part must mirror. [default: diagnosis, or label with --labels]",
            metavar="COLS",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(help=LABELS_HELP, metavar="SPACE", show_default=False)] = None,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT_HELP)] = False,
    official: Annotated[
        bool, typer.Option("--official", help="Keep the publisher's test set, split the rest.")
    ] = False,
    stable: Annotated[
        bool, typer.Option("--stable", help="Assign by hash: more rows later move no group.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another seed, another split.", metavar="N")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Only judge the split that is there; exit 1 on leaks.")
    ] = False,
    near: Annotated[
        bool,
        typer.Option("--near", help="Near duplicates stay together too; with --check, they are leaks."),
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="With --check: the dataset that a CSV's images are of; repeatable. [default: found by their ids]",
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the balance; write nothing.")] = False,
    form: FormatOption = None,
) -> None:
    """Split by patient or lesion, stratified, seeded; no group is ever in two parts."""
    from dermdata.api.targets import load_lean
    from dermdata.api.write_manifest import command_line, keep, require_out
    from dermdata.split import WRITTEN, parse_ratios, split

    state = state_of(ctx)
    exclude(ratios=ratios, folds=folds, check=check, labels=labels, target=target)
    check_strict(labels, strict=strict)
    if check:
        from dermdata.cli.split_check import judge

        judge(state, targets, target or (), form, near=near)
        return
    from dermdata.cli.split_check import near_duplicates

    require_out(out)
    stratify = stratify if stratify is not None else mirrored(labels)
    wanted = (*WRITTEN, *ADDED, *(PROJECTED if labels else ()), *(PICTURES if near else ()))
    loaded = load_lean(state, targets, lambda _: wanted)
    table, alike = loaded.table, near_duplicates(state, loaded) if near else None
    table = project(state, table, labels, strict=strict) if labels else table
    result = split(
        table,
        by=by,
        ratios=parse_ratios(ratios) if ratios else None,
        folds=folds,
        stratify=tuple(name.strip() for name in stratify.split(",") if name.strip()),
        official=official,
        stable=stable,
        seed=seed,
        near=alike,
        rest=loaded.rest,
    )
    for line in (result.grouping.why, *result.notes):
        state.say(line)
    state.say(f"largest deviation of a class share: {result.largest_deviation:.4f} percentage points")
    if out != "-":
        rows = [vars(part) for part in result.balance]
        emit(
            rows,
            KEYS,
            form,
            "split",
            beside={"largest_deviation": result.largest_deviation},
            color=state.color,
        )
    if out and not dry_run:
        asked = {
            "by": by, "ratios": ratios, "folds": folds, "stratify": stratify, "labels": labels, "official": official,
            "stable": stable, "near": near, "seed": seed,
        }  # fmt: skip
        balance = json.dumps([vars(part) for part in result.balance], ensure_ascii=False)
        keep(
            state, loaded.rows(result.table), out, command_line("split", targets, asked), {"balance": balance}
        )
    elif not dry_run:
        state.say("nothing written; add -o FILE to keep the split")


def exclude(
    *, ratios: str | None, folds: int | None, check: bool, labels: str | None, target: list[str] | None
) -> None:
    """UsageError for options that do not go together."""
    if ratios and folds:
        raise UsageError("--ratios and --folds exclude each other", hint="give one of them")
    if check and labels:
        raise UsageError("--check judges the split that is there, not its labels", hint="leave out --labels")
    if target and not check:
        raise UsageError("--target goes with --check", hint="what to split is named without an option")


def mirrored(labels: str | None) -> str:
    """What each part mirrors unless told."""
    return "label" if labels else "diagnosis"
