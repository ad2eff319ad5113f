"""`dermdata fetch`: download, verify, unpack, build the manifest."""

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dermdata.cli.complete import dataset_names
from dermdata.cli.fetch_listing import already, foreseen, listed, surroundings
from dermdata.cli.fetch_part import PartFetch
from dermdata.cli.fetch_report import require_usable, tell
from dermdata.cli.output import Format, FormatOption, emit, size, talk, write_error, write_line
from dermdata.cli.state import State, state_of
from dermdata.errors import DermdataError, SomeFailed, UsageError
from dermdata.markup import show_controls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dermdata.cache import Fetched
    from dermdata.fetch import Outcome, Plan, Wants, Workshop
    from dermdata.model import Dataset

app = typer.Typer(add_completion=False)
PLAN_KEYS = ("dataset", "step", "file", "size_bytes", "checksum", "from")


@app.command()
def fetch(
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", autocompletion=dataset_names, help="Datasets to fetch.")
    ],
    only: Annotated[
        Literal["metadata", "images", "masks"] | None,
        typer.Option(help="Only these files (metadata always comes along)."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only the images of rows of which this is true, as in `select --where`.", metavar="EXPR"
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N of these rows.", metavar="N")
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            help="Try <mirror>/<dataset>/<file> first: an address or a folder; repeatable.", metavar="URL|DIR"
        ),
    ] = None,
    own: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Take the files from these archives or folders, in any layout; repeatable. Downloads nothing.",
            metavar="PATH",
        ),
    ] = None,
    mirror_out: Annotated[
        Path | None,
        typer.Option(
            "--mirror-out",
            help="Only keep the original files as <DIR>/<dataset>/<file>, which --mirror reads elsewhere.",
            metavar="DIR",
        ),
    ] = None,
    accept_license: Annotated[
        bool,
        typer.Option("--accept-license", help="Accept the dataset's licence where one must be accepted."),
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="CPU threads. [default: all cores]", show_default=False)
    ] = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep archives after unpacking.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Download, verify, unpack and harmonize datasets; prints the manifests' paths."""
    from dermdata.fetch import Wants

    state = state_of(ctx)
    some = where is not None or limit is not None
    whole = only in (None, "images") and not some
    wants = Wants(only=only, force=force, keep_archives=keep_archives, whole=whole)
    datasets = [state.catalog[name] for name in dict.fromkeys(names)]  # a wrong name stops before any request
    cores = jobs or os.cpu_count() or 1
    require_together(own, mirror, some)
    part = PartFetch(state, wants, where, limit) if some else None
    if part:
        part.check()
    if mirror_out:
        if some:
            raise UsageError("--mirror-out keeps whole files", hint="leave --where and --limit out")
        from dermdata.cli.mirror_out import mirror_out as keep

        kept = keep(state, datasets, wants, mirror_out, mirror or [], own, accept_license, dry_run, form)
        conclude(kept, len(datasets))
        return
    if own:
        from dermdata.cli.bundle import among, take
        from dermdata.cli.fetch_from import fetch_from

        took = (take if among(own) else fetch_from)(
            state, datasets, wants, own, jobs=cores, accepted=accept_license, dry_run=dry_run, form=form
        )
        conclude(took, len(datasets))
    elif dry_run:
        show(state, datasets, wants, mirror or [], form, part)
    else:
        errors = each(state, datasets, wants, mirror or [], cores, accept_license, part)
        conclude(errors, len(datasets))


def require_together(own: list[Path] | None, mirror: list[str] | None, some: bool) -> None:
    """UsageError for options that contradict each other."""
    if own and mirror:
        raise UsageError("--from downloads nothing", hint="leave --mirror out, or --from")
    if own and some:
        raise UsageError("--from takes all that is there", hint="`select --where` filters it afterwards")


def show(
    state: State,
    datasets: list["Dataset"],
    wants: "Wants",
    mirrors: list[str],
    form: Format | None,
    part: PartFetch | None,
) -> None:
    """The plans of a dry run, as rows."""
    if part:
        emit(part.shown(datasets, mirrors), (*PLAN_KEYS, "count"), form, "fetch")
        return
    plans = [planned(state, foreseen(state, one, wants, mirrors), wants) for one in datasets]
    for plan in plans:
        if not plan.nothing:
            obtainable(plan.dataset, mirrored=bool(mirrors))
    emit([row for plan in plans for row in plan_rows(plan)], PLAN_KEYS, form, "fetch")


def each(
    state: State,
    datasets: list["Dataset"],
    wants: "Wants",
    mirrors: list[str],
    jobs: int,
    accepted: bool,
    some: PartFetch | None = None,
) -> list[DermdataError]:
    """Fetch one after the other; a failure is told and the next one goes on."""
    from dermdata.cli.progress import showing

    errors: list[DermdataError] = []
    with showing(state) as progress, state.transfer() as transfer:
        for dataset in datasets:
            try:
                workshop = workshop_of(state, transfer, progress, mirrors, jobs)
                if some:
                    outcome = some.fetched(dataset, workshop, mirrored=bool(mirrors), accepted=accepted)
                else:
                    outcome = fetched(
                        state, dataset, wants, workshop, mirrored=bool(mirrors), accepted=accepted
                    )
                tell(state, dataset, outcome)
                write_line(str(outcome.manifest))
                require_usable(dataset, outcome)
            except DermdataError as error:
                errors.append(failed(error, dataset, several=len(datasets) > 1))
    return errors


def failed(error: DermdataError, dataset: "Dataset", *, several: bool) -> DermdataError:
    """Tell of a failure at once where other datasets follow."""
    if several:
        named = error.message.startswith(f"{dataset.name}:")
        plain = type(error).__init__ is DermdataError.__init__ and not named
        told = type(error)(f"{dataset.name}: {error.message}", hint=error.hint) if plain else error
        write_error(told, as_json=False)
    return error


def obtainable(dataset: "Dataset", *, mirrored: bool) -> None:
    """Raise why it cannot be had, or what the person must do first, if that is so."""
    from dermdata.sources import require_obtainable

    require_obtainable(dataset, mirrored=mirrored)


def conclude(errors: list[DermdataError], asked: int) -> None:
    """Raise the one error; say that some of several failed, or that all did and with what code."""
    if not errors:
        return
    if asked == 1:
        raise errors[0]
    several = SomeFailed(
        f"{len(errors)} of {asked} datasets had problems, the others are done", hint="see the lines above"
    )
    if len(errors) == asked:
        several = SomeFailed(f"all {asked} datasets had problems", hint="see the lines above")
        codes = {error.exit_code for error in errors}
        several.exit_code = codes.pop() if len(codes) == 1 else several.exit_code
    raise several


def planned(state: State, dataset: "Dataset", wants: "Wants") -> "Plan":
    """The plan for one dataset, with the files that a look at sizes finds broken."""
    from dermdata.fetch import plan, receipt_for, unseen
    from dermdata.verify import verify

    folder = state.cache.folder(dataset)
    receipt = receipt_for(folder, wants)
    broken = []
    if receipt and not wants.force:
        findings = list(verify(folder, folder.contents(), quick=True, jobs=1, advance=lambda _: None))
        broken = [one.content for one in findings if one.content and one.status != "ok"]
        if any(one.path == folder.manifest.name and one.status != "ok" for one in findings):
            receipt = replace(receipt, manifest_sha256=None)
    digest = state.library.digest(state.catalog[dataset.name])
    return plan(
        dataset, receipt, wants, digest, broken, unseen(folder) if receipt and not wants.force else ()
    )


def fetched(
    state: State, dataset: "Dataset", wants: "Wants", workshop: "Workshop", *, mirrored: bool, accepted: bool
) -> "Outcome":
    """Do what is left to do; what is complete asks neither a host nor the person again."""
    from dermdata.fetch import run

    done = already(state, dataset, wants)
    plan = planned(state, done or dataset, wants)
    if plan.nothing and (done or not dataset.listing):
        sweep_after_kill(state, dataset, plan.have)
        return run(plan, workshop)
    obtainable(dataset, mirrored=mirrored)
    require_license(dataset, accepted)
    with state.cache.lock(dataset.name, waiting=state.say):
        entry, workshop = listed(state, dataset, wants, workshop, planned)
        plan = planned(state, entry, wants)  # another process may have done it while we waited
        if not plan.nothing:
            state.say(f"{dataset.name}: {len(plan.download):,} files, {size(plan.bytes)} to download")
        return run(plan, workshop)


def sweep_after_kill(state: State, dataset: "Dataset", files: "Iterable[Fetched]") -> None:
    """Where all is here: sweep what a killed run left, unless one is at work. Takes no lock where there is nothing."""
    from dermdata.fetch.tidy import is_untidy, tidy

    folder = state.cache.folder(dataset)
    if not is_untidy(folder, files) or not os.access(folder.path, os.W_OK):
        return
    if state.cache.holder(dataset.name) is None:
        with state.cache.lock(dataset.name, waiting=state.say):
            tidy(folder)


def workshop_of(state: State, transfer: Any, progress: Any, mirrors: list[str], jobs: int) -> "Workshop":
    from dermdata.fetch import Workshop
    from dermdata.sources import explained, official, resolve

    around = surroundings(state, transfer, mirrors)
    return Workshop(
        cache=state.cache,
        transfer=transfer,
        library=state.library,
        resolve=lambda dataset, file: resolve(dataset, file, around),
        official=lambda dataset, file: official(dataset, file, around),
        explain=lambda error, dataset, file: explained(error, dataset, file, around),
        around=around,
        now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        jobs=jobs,
        progress=progress,
    )


def require_license(dataset: "Dataset", accepted: bool) -> None:
    """Where a licence must be accepted: --accept-license, or a yes at the terminal."""
    if not dataset.license.must_accept or accepted:
        return
    from dermdata.errors import LicenseNotAccepted

    text = f"{dataset.license.id or 'its licence'} ({dataset.license.url or dataset.homepage})"
    if sys.stdin.isatty() and sys.stderr.isatty():
        talk(dataset.license.statement or "")
        if typer.confirm(show_controls(f"Accept {text} for {dataset.name}?"), err=True):
            return
    raise LicenseNotAccepted(
        f"{dataset.name} asks you to accept {text}", hint="read it, then add --accept-license"
    )


def plan_rows(plan: "Plan") -> list[dict[str, Any]]:
    """The plan as rows: what would be downloaded, mended and built, and what is there."""
    from dermdata.http.urls import redact

    rows = []
    for file in plan.download:
        origin = file.source or (redact(file.urls[0]) if file.urls else None)
        rows.append(row(plan, "download", file.name, file.size, file.checksum, origin))
    rows += [row(plan, "mend", one.path, one.size, f"sha256:{one.sha256}", one.file) for one in plan.mend]
    rows += [row(plan, "have", one.name, one.size, f"sha256:{one.sha256}", one.url) for one in plan.have]
    return rows + ([row(plan, "build", "manifest.parquet", None, None, None)] if plan.build else [])


def row(
    plan: "Plan", step: str, file: str, count: int | None, checksum: str | None, origin: str | None
) -> dict[str, Any]:
    return dict(zip(PLAN_KEYS, (plan.dataset.name, step, file, count, checksum, origin), strict=True))
