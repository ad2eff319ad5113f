"""`dermdata fetch --from PATH`: takes the files that the person has, and says what is missing and unknown."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.fetch_report import require_usable, tell
from dermdata.cli.output import Format, emit, write_line
from dermdata.cli.state import State
from dermdata.errors import CacheDamaged, DermdataError, SomeFailed, UsageError

if TYPE_CHECKING:
    from dermdata.cache import Folder
    from dermdata.fetching import Plan, Wants
    from dermdata.fetching.adopt import Adopted, Found, Given, Recognition
    from dermdata.model import Dataset

SHOWN = 5  # names in a line for the person; a dry run lists them all
WORDS = {
    "checksum": "its checksum is right",
    "name": "recognized by its name; no checksum is published",
    "content": "recognized by content, not verified",
    "part": "recognized by content, not verified and not complete",
}


class Adoption:
    """One run of `fetch --from`: datasets one after the other, over the same given files."""

    def __init__(self, state: State, wants: "Wants", given: "Given", jobs: int) -> None:
        self.state, self.wants, self.given, self.jobs = state, wants, given, jobs
        self.used: set[Found] = set()
        self.rows: list[dict[str, Any]] = []  # of a dry run
        self.settled = False  # one of the datasets was complete before, and recognized nothing

    def take(self, dataset: "Dataset", progress: Any) -> None:
        """Recognize and ingest one dataset; SomeFailed when something that it names is missing."""
        from dermdata.api.fetch_dataset import open_workshop
        from dermdata.fetching import run
        from dermdata.fetching.adopt import Bringer

        with self.state.cache.lock(dataset.name, waiting=self.state.say):
            recognition = self.recognized(dataset)
            bringer = Bringer(recognition, self.given)
            workshop = open_workshop(self.state, None, progress, [], self.jobs)
            outcome = run(recognition.plan, workshop, bringer)
        self.given.problems += bringer.failed
        if recognition.adopted or recognition.complete:
            tell(self.state, dataset, outcome)
        write_line(str(outcome.manifest))
        require_complete(dataset, recognition, len(bringer.failed))
        require_usable(dataset, outcome)

    def show(self, dataset: "Dataset") -> None:
        """Recognize one dataset and note the rows of a dry run; SomeFailed as when it is taken."""
        recognition = self.recognized(dataset)
        self.rows += rows_of(recognition, self.given.paths)
        require_complete(dataset, recognition, 0)

    def recognized(self, dataset: "Dataset") -> "Recognition":
        from dermdata.fetching.adopt import recognize

        folder = self.state.cache.folder(dataset)
        require_no_part(dataset, folder)
        crosswalk = self.state.library.crosswalk(dataset)
        recognition = recognize(dataset, self.given, self.planner, folder, crosswalk)
        self.used |= recognition.used
        self.settled |= not recognition.adopted and recognition.complete
        for line in lines(recognition, self.given.paths):
            self.state.say(f"{dataset.name}: {line}")
        return recognition

    def planner(self, dataset: "Dataset") -> "Plan":
        from dermdata.api.fetch_dataset import plan_fetch

        return plan_fetch(self.state, dataset, self.wants)

    def unknown(self) -> list["Found"]:
        """What was given and nothing asks for; an archive that something was taken from is no such thing."""
        if self.settled:
            return []
        holding = {one.within for one in self.used} | {one.within.within for one in self.used if one.within}
        known = self.used | holding
        unread = {one.shown for one in self.given.problems}
        return [
            one
            for one in self.given.all()
            if one not in known and not self.given.opened.get(one) and one.within not in self.used
            if one.shown not in unread
        ]


def require_no_part(dataset: "Dataset", folder: "Folder") -> None:
    """A part of the rows (`--where`, `--limit`) and a copy of the whole are not mixed: nobody could tell what is there."""
    try:
        receipt = folder.receipt()
    except CacheDamaged:  # told, or mended by --force, where the plan is made
        return
    if receipt and receipt.part:
        raise UsageError(
            f"{dataset.name} is here in part ({len(receipt.part.rows):,} of {receipt.part.of:,} rows)",
            hint=f"`dermdata fetch {dataset.name}` completes it, or `dermdata cache remove {dataset.name}` first",
        )


def fetch_from(
    state: State,
    datasets: Sequence["Dataset"],
    wants: "Wants",
    paths: Sequence[Path],
    *,
    jobs: int,
    accepted: bool,
    dry_run: bool,
    form: Format | None,
) -> list[DermdataError]:
    """Take each dataset's own out of the paths; the failures, already told where there are several names."""
    from dermdata.api.fetch_dataset import require_license
    from dermdata.cli.failures import failed
    from dermdata.fetching.adopt import Given

    errors: list[DermdataError] = []
    with workplace(state, dry_run=dry_run) as place, state.show_progress() as progress:
        adoption = Adoption(state, wants, Given(paths, state.settings.cache, place), jobs)
        for dataset in datasets:
            try:
                if dry_run:
                    adoption.show(dataset)
                    continue
                # who has files that are only given out for a signed agreement has accepted it there
                agreed = accepted or dataset.access.kind == "agreement"
                require_license(state, dataset, accepted=agreed)
                adoption.take(dataset, progress)
            except DermdataError as error:
                errors.append(failed(error, dataset, several=len(datasets) > 1))
        tell_rest(state, adoption)
    if dry_run:
        emit([*adoption.rows, *rest_rows(adoption)], keys(), form, "fetch")
    return errors


@contextmanager
def workplace(state: State, *, dry_run: bool) -> Iterator[Path]:
    """A folder for copies of what lies deep in archives, made when first needed; a dry run leaves the cache alone."""
    from dermdata.cache.folder import discard_dead
    from dermdata.process import here

    home = Path(tempfile.gettempdir()) if dry_run else state.cache.root / "datasets"
    discard_dead(home.glob(".from.*.tmp"))
    place = home / f".from.{here()}.{os.urandom(4).hex()}.tmp"
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def require_complete(dataset: "Dataset", recognition: "Recognition", unread: int) -> None:
    if recognition.complete and not unread:
        return
    images = len(recognition.missing_images) + recognition.unnamed + unread
    what = [f"{images:,} images"] if images else []
    what += [f"{len(recognition.missing):,} files"] if recognition.missing else []
    raise SomeFailed(
        f"{dataset.name}: {' and '.join(what)} are not among the paths, see above",
        hint=dataset.access.steps or "give --from a further path; what is there is kept",
    )


# ------------------------------------------------------------------ words


def lines(recognition: "Recognition", paths: Sequence[Path]) -> Iterator[str]:
    """What was recognized and how, and what is missing, a line each."""
    yield from (adopted_line(one, paths) for one in recognition.adopted)
    for name, found in recognition.mismatched.items():
        yield f"warning: {first([one.shown for one in found])}: has the name of {name}, but other bytes"
    for conflict in recognition.conflicts[:SHOWN]:
        shown = "; ".join(one.shown for one in conflict.found)
        yield f"warning: {conflict.name}: {len(conflict.found)} different files, none was taken: {shown}"
    if len(recognition.conflicts) > SHOWN:
        yield f"warning: {len(recognition.conflicts):,} names in all have several different files"
    if recognition.missing:
        yield f"warning: missing: {first([file.name for file in recognition.missing])}"
    if recognition.missing_images:
        count = len(recognition.missing_images)
        yield f"warning: missing: {count:,} images that the table names: {first(recognition.missing_images)}"
    if recognition.unnamed:
        yield f"warning: missing: {recognition.unnamed:,} images of those that the publisher counts"
    if recognition.missing_masks:
        yield f"{recognition.missing_masks:,} images without a mask among the paths"


def adopted_line(one: "Adopted", paths: Sequence[Path]) -> str:
    what = "" if one.whole else f"{len(one.pieces):,} files "
    return f"{one.file.name}: {what}{WORDS[one.how]} ({origins(one, paths)})"


def origins(one: "Adopted", paths: Sequence[Path]) -> str:
    """Where it comes from: the file, or the archives and given folders that hold its pieces."""
    if one.whole:
        return one.whole.shown
    places = dict.fromkeys(place_of(found, paths) for found in one.sources)
    return first(list(places)) or "its images lie elsewhere"


def place_of(found: "Found", paths: Sequence[Path]) -> str:
    if found.within:
        return str(found.origin)
    return next((str(path) for path in paths if found.origin.is_relative_to(path)), "an earlier copy")


def first(names: Sequence[str], limit: int = SHOWN) -> str:
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def tell_rest(state: State, adoption: Adoption) -> None:
    """What could not be read, and what nothing asks for."""
    for problem in adoption.given.problems[: SHOWN * 4]:
        state.say(f"warning: not read: {problem.shown}: {problem.reason}")
    if len(adoption.given.problems) > SHOWN * 4:
        state.say(f"warning: {len(adoption.given.problems):,} files in all were not read")
    if unknown := adoption.unknown():
        shown = first([one.shown for one in unknown])
        state.say(f"{len(unknown):,} files that nothing asks for, left alone: {shown}")


# ------------------------------------------------------------------ rows


def keys() -> tuple[str, ...]:
    from dermdata.api.fetch_dataset import PLAN_KEYS

    return (*PLAN_KEYS, "how")


def rows_of(recognition: "Recognition", paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Everything that was recognized or is missing, a row each."""
    name = recognition.plan.dataset.name

    def row(step: str, file: str, count: int | None = None, origin: str | None = None, **more: Any) -> Any:
        return {"dataset": name, "step": step, "file": file, "size_bytes": count, "from": origin, **more}

    for one in recognition.adopted:
        checked = one.file.checksum if one.how == "checksum" else None
        yield row("adopt", one.file.name, one.size, origins(one, paths), checksum=checked, how=one.how)
    yield from (row("missing", file.name, file.size, checksum=file.checksum) for file in recognition.missing)
    yield from (row("missing-image", image) for image in recognition.missing_images)
    for conflict in recognition.conflicts:
        yield row("conflict", conflict.name, None, "; ".join(one.shown for one in conflict.found))
    for file, found in recognition.mismatched.items():
        yield from (row("mismatch", file, one.size, one.shown) for one in found)
    for had in recognition.plan.have:
        yield row("have", had.name, had.size, had.url, checksum=f"sha256:{had.sha256}", how=had.recognized)
    if recognition.plan.build:
        yield row("build", "manifest.parquet")


def rest_rows(adoption: Adoption) -> Iterator[dict[str, Any]]:
    for problem in adoption.given.problems:
        yield {"step": "unreadable", "from": problem.shown, "how": problem.reason}
    for found in adoption.unknown():
        yield {"step": "unknown", "size_bytes": found.size, "from": found.shown}
