"""`dermdata export`: manifests and images in the formats of other tools."""

from typing import TYPE_CHECKING, Any, cast

import typer

from dermdata.api.display import count_nouns, format_size, phrase_count
from dermdata.api.label_spaces import check_strict
from dermdata.cli import export_options as own
from dermdata.cli import label_options as options
from dermdata.cli.complete import TargetsOrCached
from dermdata.cli.output import AllowMissing, Format, FormatOption, emit, write_line
from dermdata.cli.state import State, state_of
from dermdata.cli.workers import EngineOption
from dermdata.errors import ImagesMissing, SomeFailed, UsageError

if TYPE_CHECKING:
    from dermdata.api.exporting import ExportResult

app = typer.Typer(add_completion=False)


@app.command()
def export(
    ctx: typer.Context,
    name: own.FormatArgument,
    out: own.OutOption,
    targets: TargetsOrCached = None,
    embed: own.EmbedOption = False,
    where: options.WhereOption = None,
    split: options.SplitOption = None,
    exclude: options.ExcludeOption = None,
    fold: own.FoldOption = None,
    labels: options.LabelsOption = None,
    strict: options.StrictOption = False,
    differential: options.DifferentialOption = None,
    min_weight: options.WeightOption = None,
    pixels: own.SizeOption = None,
    resize: own.ResizeOption = None,
    fit: own.FitOption = None,
    strip_exif: own.StripOption = False,
    redistributable: own.RightsOption = False,
    copy: own.CopyOption = False,
    columns: own.ColumnsOption = None,
    flat: own.FlatOption = False,
    jobs: own.JobsOption = None,
    engine: EngineOption = None,
    excel_safe: own.ExcelOption = False,
    allow_missing: AllowMissing = False,
    dry_run: own.DryOption = False,
    form: FormatOption = None,
) -> None:
    """Write manifests, and images if asked to, in the format of another tool; prints the paths."""
    from dermdata.api.exporting import require_format
    from dermdata.api.manifest import Manifest

    state = state_of(ctx)
    require_format(name)
    check_strict(labels, strict=strict)
    if out == "-":
        raise UsageError("export writes files, not a stream", hint="give -o FILE or a folder")
    manifest = Manifest.from_targets(state, targets or all_cached(state)).narrow(where, exclude=exclude or ())
    asked: dict[str, Any] = {
        "labels": labels, "strict": strict, "differential": differential, "min_weight": min_weight, "embed": embed,
        "split": split, "fold": fold, "size": pixels, "resize": resize, "fit": fit,
        "strip_exif": strip_exif, "redistributable": redistributable,
        "copy": copy, "excel_safe": excel_safe, "jobs": jobs, "columns": own.split_names(columns), "flat": flat,
    }  # fmt: skip
    if dry_run:
        plan = manifest.plan_export(name, out, **asked)
        emit(plan, plan.columns, form, "export", color=state.color)
        return
    try:
        written = manifest.export(name, out, engine=engine, allow_missing=allow_missing, **asked)
    except ImagesMissing as error:  # all else is written
        if error.result:
            conclude(state, cast("ExportResult", error.result), manifest.names, out, form)
        raise
    conclude(state, written, manifest.names, out, form)
    if written.unusable:
        raise SomeFailed(
            f"{count_nouns(written.unusable, 'row')} could not be used, the others are exported",
            hint=own.LEAVE_OUT,
        )


def all_cached(state: State) -> list[str]:
    """The datasets in the cache, which are named to the person."""
    from dermdata.api.targets import list_cached_targets

    names = list_cached_targets(state)
    state.say(f"exporting all that is cached: {', '.join(names)}")
    return names


def conclude(
    state: State, written: "ExportResult", names: tuple[str, ...], out: str, form: Format | None
) -> None:
    """Paths on stdout, what they hold on stderr."""
    for path in written.files if form is None else ():
        write_line(str(path))
    if form is not None:
        beside = {"rows": written.rows, "bytes": written.bytes, "left_out": dict(written.left_out)}
        emit([{"path": str(path)} for path in written.files], ("path",), form, "export", beside=beside)
    for words, count in written.left_out.items():
        state.say(f"warning: {phrase_count(count, words)}")
    whose = f" of {', '.join(names)}" if names else ""
    files = count_nouns(len(written.files) if written.count is None else written.count, "file")
    facts = [files, format_size(written.bytes)]
    facts += [f"{written.kept:,} already there"] if written.kept else []
    state.say(f"exported {count_nouns(written.rows, 'row')}{whose} to {out} ({', '.join(facts)})")
