"""`dermdata export`: manifests and images in the formats of other tools."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata.api.display import size
from dermdata.api.label_spaces import ADDED, project
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.cli.complete import TargetsOrCached
from dermdata.cli.labelling import LABELS_HELP, STRICT_HELP
from dermdata.cli.output import FormatOption, emit, write_line
from dermdata.cli.state import State, state_of
from dermdata.cli.workers import EngineOption, workers
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.export import Part, Written

app = typer.Typer(add_completion=False)
FORMATS_HELP = "parquet, csv, jsonl, imagefolder, webdataset, huggingface, coco or croissant"
# what formats without images decide by: which rows, which file name, what may be passed on
HELD = ("dataset", "key", "image_id", "license", "diagnosis", "split", "split_official")
PLAN_KEYS = ("path", "rows", "size_bytes", "there")
EXCEL_HELP = "CSV, also left-out.csv: a ' before cells that a spreadsheet would take for a formula."
JOBS_HELP = "Threads that read and scale images. [default: all cores]"
SIZE_HELP = "Scale images down so that the longest side has PX pixels; smaller ones stay as they are."
STRIP_HELP = "Nothing but the picture: no EXIF, XMP, IPTC, comments; the pixels stay as they are."
RIGHTS_HELP = "Only images whose licence allows passing them on; left-out.csv lists the others."
COPY_HELP = "imagefolder, coco: files of its own instead of links to the cache."


@app.command()
def export(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="FORMAT", help=FORMATS_HELP, show_default=False)],
    out: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Folder or file to write, or s3://BUCKET/PREFIX.",
            metavar="OUT",
            show_default=False,
        ),
    ],
    targets: TargetsOrCached = None,
    embed: Annotated[
        bool, typer.Option("--embed/--no-embed", help="Put the image bytes into the output.")
    ] = False,
    split: Annotated[
        str | None, typer.Option(help="Only this part: train, val, test, …", metavar="NAME")
    ] = None,
    labels: Annotated[str | None, typer.Option(help=LABELS_HELP, metavar="SPACE")] = None,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT_HELP)] = False,
    pixels: Annotated[int | None, typer.Option("--size", min=1, help=SIZE_HELP, metavar="PX")] = None,
    strip_exif: Annotated[bool, typer.Option("--strip-exif", help=STRIP_HELP)] = False,
    redistributable: Annotated[bool, typer.Option("--redistributable", help=RIGHTS_HELP)] = False,
    copy: Annotated[bool, typer.Option("--copy", help=COPY_HELP)] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help=JOBS_HELP, show_default=False)] = None,
    engine: EngineOption = None,
    excel_safe: Annotated[bool, typer.Option("--excel-safe", help=EXCEL_HELP)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written; change nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Write manifests, and images if asked to, in the format of another tool; prints the paths."""
    from dermdata import export as room
    from dermdata import places
    from dermdata.api.targets import cached, load, load_lean

    state = state_of(ctx)
    room.format_named(name)  # a wrong name must not cost the reading of a large manifest
    if strict and not labels:
        raise UsageError("--strict judges the classes of --labels SPACE", hint="give a label space")
    if out == "-":
        raise UsageError("export writes files, not a stream", hint="give -o FILE or a folder")
    names = targets or all_of(state, cached(state))
    held = (*HELD, *ADDED, *(PROJECTED if labels else ()))
    lean = name in ("csv", "jsonl") or (name == "parquet" and not embed)
    loaded = load_lean(state, names, lambda _: held) if lean else load(state, names)
    table = project(state, loaded.table, labels, strict=strict) if labels else loaded.table
    entries = {one: state.catalog[one] for one in loaded.names if one in state.catalog}
    with ExitStack() as stack:
        bucket = stack.enter_context(places.bucket(base_of(out))) if places.is_remote(out) else None
        make = stack.enter_context(workers(state, None if dry_run else engine))
        progress = stack.enter_context(state.show_progress())
        job = room.Job(
            table=table, rest=loaded.rest, roots=loaded.roots, out=Path(out), bucket=bucket, make=make,
            embed=embed, split=split, size=pixels,
            strip=strip_exif, redistributable=redistributable, copy=copy, jobs=jobs or os.cpu_count() or 1,
            excel_safe=excel_safe, entries=entries, progress=progress,
        )  # fmt: skip
        if dry_run:
            emit(map(planned, room.plan(name, job)), PLAN_KEYS, form, "export", color=state.color)
            return
        written = room.write(name, job)
    conclude(state, written, loaded.names, out)


def base_of(out: str) -> str:
    """The prefix that a file or a folder's files come under."""
    return out.rpartition("/")[0] if out.endswith(".parquet") else out


def all_of(state: State, names: list[str]) -> list[str]:
    state.say(f"exporting all that is cached: {', '.join(names)}")
    return names


def planned(part: "Part") -> dict[str, object]:
    return {"path": str(part.path), "rows": part.rows, "size_bytes": part.bytes, "there": part.there}


def conclude(state: State, written: "Written", names: tuple[str, ...], out: str) -> None:
    """Paths on stdout, what they hold on stderr."""
    for path in written.files:
        write_line(str(path))
    for words, count in written.left_out.items():
        state.say(f"warning: {count:,} {words}")
    whose = f" of {', '.join(names)}" if names else ""
    count = len(written.files) if written.count is None else written.count
    facts = [f"{count:,} file{'s' * (count != 1)}", size(written.bytes)]
    facts += [f"{written.kept:,} already there"] if written.kept else []
    state.say(f"exported {written.rows:,} rows{whose} to {out} ({', '.join(facts)})")
