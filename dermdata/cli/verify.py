"""`dermdata verify`: every cached file against its recorded checksum."""

import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import CacheDamaged, NetworkError, Offline, PersonMustAct, ProblemsFound, UsageError

if TYPE_CHECKING:
    from dermdata.cache import Folder, Receipt
    from dermdata.model import Content
    from dermdata.verification import Finding

app = typer.Typer(add_completion=False)
KEYS = ("dataset", "path", "status", "expected", "actual", "rows", "verified")
SHOWN = ("path", "status", "dataset", "rows", "expected", "actual")


@app.command()
def verify(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]",
            autocompletion=dataset_names,
            help="Datasets; all cached ones if none is named.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only sizes, no checksums.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch again just what is broken or missing.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="List the files that are ok too.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Threads. [default: all cores]", show_default=False)
    ] = None,
    form: FormatOption = None,
) -> None:
    """Check every cached file; silent when all is well, exit 1 when anything is wrong."""
    state = state_of(ctx)
    folders = chosen(state, names or [])
    wrong, seen = check(state, folders, quick, jobs or os.cpu_count() or 1)
    if wrong or every:
        show(state, folders, seen if every else wrong, form)
    elif form in ("json", "csv", "tsv"):
        emit([], KEYS, form, "verify")
    state.more(f"{len(seen):,} files checked, {len(wrong):,} wrong")
    tell_unverified(state, seen)
    if not wrong:
        return
    if not repair:
        raise ProblemsFound(
            f"{len(wrong)} of {len(seen):,} files are wrong",
            hint=way_out(folders, wrong),
        )
    mend(state, folders, wrong)
    left, _ = check(state, folders, quick, jobs or os.cpu_count() or 1)
    if left:
        show(state, folders, left, form)
        hint = extra_hint(folders, left)
        raise ProblemsFound(f"{len(left)} files are still wrong after the repair", hint=hint)
    state.say(f"{len(wrong)} files repaired")


def tell_unverified(state: State, seen: list["Finding"]) -> None:
    """Files that are as they were recorded, of which nobody who published them has said what they must be."""
    for name, count in Counter(one.dataset for one in seen if one.verified is False).items():
        state.say(
            f"{name}: {count:,} files are unverified: they came in part, "
            "and no published checksum covers them"
        )


def show(state: State, folders: list["Folder"], found: list["Finding"], form: Any) -> None:
    """The findings, each with the manifest's rows that use the file."""
    from dermdata.verification import concerned

    wrong = [one for one in found if one.status != "ok"]
    keys = {folder.name: concerned(folder, wrong) for folder in folders}
    rows = [{**vars(one), "rows": keys.get(one.dataset, {}).get(one.path, [])} for one in found]
    emit(rows, KEYS, form, "verify", shown=SHOWN, color=state.color)


def chosen(state: State, names: list[str]) -> list["Folder"]:
    """The cached folders of these names, or all."""
    if not names:
        return list(state.cache.folders())
    folders = []
    for name in names:
        dataset = state.catalog[name]
        folder = state.cache.folder(dataset)
        if not (folder.path / "receipt.json").exists():
            raise UsageError(
                f"{dataset.name} is not in the cache", hint=f"`dermdata fetch {dataset.name}` fetches it"
            )
        folders.append(folder)
    return folders


def check(
    state: State, folders: list["Folder"], quick: bool, jobs: int
) -> tuple[list["Finding"], list["Finding"]]:
    """The findings that are not ok, and all of them."""
    from dermdata import verification as room

    seen: list[Any] = []
    with state.show_progress() as progress:
        for folder in folders:
            task = f"verify {folder.name}"
            advance = lambda count, task=task: progress.advance(task, count)  # noqa: E731
            try:
                contents = folder.contents()
                progress.begin(task, sum(content.size for content in contents))
                seen += room.verify(folder, contents, quick=quick, jobs=jobs, advance=advance)
                progress.end(task)
            except CacheDamaged as error:  # the other datasets are looked at all the same
                seen.append(room.unreadable(folder, error))
    return [one for one in seen if one.status != "ok"], seen


def mend(state: State, folders: list["Folder"], wrong: list["Finding"]) -> None:
    """Fetch the broken files again, dataset by dataset."""
    from dataclasses import replace

    from dermdata.api.fetch_dataset import open_workshop
    from dermdata.fetching import Wants, plan, run
    from dermdata.fetching.listing import with_known

    for folder in folders:
        sweep_extra(state, folder, wrong)
        mine = [one for one in wrong if one.dataset == folder.name and one.status != "extra"]
        receipt = folder.receipt()  # a broken one ends the repair: there is nothing to mend by
        if not mine or receipt is None:
            continue
        entry = state.catalog[folder.name]
        dataset = with_known(entry, receipt) if entry.listing else entry  # listed files: where they came from
        broken = [one.content for one in mine if one.content]
        if entry.listing:
            require_addresses(receipt, broken)
        with (
            state.show_progress() as progress,
            state.transfer() as transfer,
            state.cache.lock(folder.name, waiting=state.say),
        ):
            if any(one.content is None for one in mine):  # the manifest itself
                receipt = replace(receipt, manifest_sha256=None)
            steps = plan(dataset, receipt, Wants(), state.library.digest(entry), broken)
            kept = tuple(file for file in steps.download if receipt.file(file.name))
            steps = replace(steps, download=kept)  # repair never fetches what was not there before
            try:
                run(steps, open_workshop(state, transfer, progress, [], os.cpu_count() or 1))
            except (NetworkError, PersonMustAct) as error:
                if entry.listing and not isinstance(error, Offline):
                    error.hint = asks_again(entry.name)  # a listing of today may have other addresses
                raise


def sweep_extra(state: State, folder: "Folder", wrong: list["Finding"]) -> None:
    """What is extra and ours, since a killed run left it, goes; nothing else that is."""
    from dermdata.fetching.tidy import leavings, tidy

    extra = {one.path for one in wrong if one.dataset == folder.name and one.status == "extra"}
    if extra:
        with state.cache.lock(folder.name, waiting=state.say):
            if extra & set(leavings(folder)):
                tidy(folder)


def require_addresses(receipt: "Receipt", broken: list["Content"]) -> None:
    """ProblemsFound for a file that was made of a host's answers: only another fetch makes it again."""
    for one in broken:
        fetched = receipt.file(one.file)
        if fetched and not fetched.url.startswith(("https:", "http:")):
            raise ProblemsFound(
                f"{one.path} of {receipt.dataset} has no address on record to repair it from",
                hint=asks_again(receipt.dataset),
            )


def asks_again(name: str) -> str:
    return f"the same `dermdata fetch {name} …` as before (--where, --limit) asks its host anew and mends it"


def way_out(folders: list["Folder"], wrong: list["Finding"]) -> str:
    """What mends it: a dataset whose own lists are broken must be built anew."""
    lost = [one.dataset for one in wrong if one.path == "receipt.json"]
    if lost:
        return f"`dermdata fetch {' '.join(lost)} --force` builds anew what has no sound receipt"
    return extra_hint(folders, wrong) or "`dermdata verify --repair` fetches just those again"


def extra_hint(folders: list["Folder"], left: list["Finding"]) -> str | None:
    """Where nothing but extra files is wrong: whose they are."""
    from dermdata.fetching.tidy import leavings

    if any(one.status != "extra" for one in left):
        return None
    found = {(one.dataset, one.path) for one in left}
    mine = [one for one in folders if one.name in {name for name, _ in found}]
    if found <= {(folder.name, path) for folder in mine for path in leavings(folder)}:
        names = " ".join(sorted({folder.name for folder in mine}))
        return f"a killed run left them: `dermdata fetch {names}` or `verify --repair` sweeps them"
    return "files that dermdata did not put there are never deleted: move them away"
