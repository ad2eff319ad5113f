"""Files that the person has, taken in place of a download: `fetch --from PATH`, and what it would do."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.fetch_dataset import PLAN_KEYS, open_workshop, plan_fetch, require_license
from dermdata.api.fetch_report import require_usable, tell_outcome
from dermdata.api.own_copies_report import describe_recognition, list_rest, list_steps, tell_rest
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import CacheDamaged, DermdataError, SomeFailed, UsageError

if TYPE_CHECKING:
    from dermdata.api.fetch_request import FetchReport, FetchRequest
    from dermdata.cache import Folder
    from dermdata.fetching import Outcome, Plan
    from dermdata.fetching.adopt import Found, Recognition
    from dermdata.model import Dataset


def take_own_copies(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> None:
    """Take each dataset's own files out of the paths; what is missing goes to the report."""

    def take(adoption: Adoption, dataset: "Dataset") -> None:
        require_license(resources, dataset, accepted=request.accepts(dataset))
        recognition, outcome, unread = adoption.take(dataset, progress)
        report.add_path(dataset, outcome.manifest)
        require_complete(dataset, recognition, unread)
        require_usable(dataset, outcome)

    home = resources.cache.root / "datasets"
    with make_workplace(home) as place, resources.show_progress() as progress:
        run_adoption(Adoption(resources, request, place), datasets, take, report)


def plan_own_copies(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> Records:
    """Everything that is recognized, missing or unknown, as rows; what is missing goes to the report too."""
    rows: list[dict[str, Any]] = []

    def plan(adoption: Adoption, dataset: "Dataset") -> None:
        recognition = adoption.recognize(dataset)
        rows.extend(list_steps(recognition, adoption.given.paths))
        require_complete(dataset, recognition, 0)

    with make_workplace(Path(tempfile.gettempdir())) as place:  # a plan leaves the cache alone
        adoption = Adoption(resources, request, place)
        run_adoption(adoption, datasets, plan, report)
        rows += list_rest(adoption.given.problems, adoption.list_unknown())
    return Records(rows, (*PLAN_KEYS, "how"))


def run_adoption(
    adoption: "Adoption",
    datasets: "Sequence[Dataset]",
    act: "Callable[[Adoption, Dataset], None]",
    report: "FetchReport",
) -> None:
    """One dataset after the other over the same files, and then what is left of these."""
    for dataset in datasets:
        try:
            act(adoption, dataset)
        except DermdataError as error:
            report.add_failure(dataset, error)
    tell_rest(adoption.resources, adoption.given.problems, adoption.list_unknown())


class Adoption:
    """One run over the given files: what they were recognized for, and which of them nothing asks for."""

    def __init__(self, resources: Resources, request: "FetchRequest", workplace: Path) -> None:
        """Look through the paths; UsageError for one that does not exist, or that lies in the cache."""
        from dermdata.fetching.adopt import Given

        self.resources, self.request = resources, request
        self.given: Given = Given(request.own_paths, resources.settings.cache, workplace)
        self.used: set[Found] = set()
        self.settled = False  # one of the datasets was complete before, and recognized nothing

    def take(self, dataset: "Dataset", progress: Any) -> "tuple[Recognition, Outcome, int]":
        """Recognize and ingest one dataset; also how many of its pieces could not be read when their turn came."""
        from dermdata.fetching import run
        from dermdata.fetching.adopt import Bringer

        with self.resources.cache.lock(dataset.name, waiting=self.resources.say):
            recognition = self.recognize(dataset)
            bringer = Bringer(recognition, self.given)
            workshop = open_workshop(self.resources, None, progress, [], self.request.cores)
            outcome = run(recognition.plan, workshop, bringer)
        self.given.problems += bringer.failed
        if recognition.adopted or recognition.complete:
            tell_outcome(self.resources, dataset, outcome)
        return recognition, outcome, len(bringer.failed)

    def recognize(self, dataset: "Dataset") -> "Recognition":
        """What of the files is the dataset's, said line by line."""
        from dermdata.fetching.adopt import recognize

        folder = self.resources.cache.folder(dataset)
        require_no_part(dataset, folder)
        crosswalk = self.resources.library.crosswalk(dataset)
        recognition = recognize(dataset, self.given, self.plan, folder, crosswalk)
        self.used |= recognition.used
        self.settled |= not recognition.adopted and recognition.complete
        for line in describe_recognition(recognition, self.given.paths):
            self.resources.say(f"{dataset.name}: {line}")
        return recognition

    def plan(self, dataset: "Dataset") -> "Plan":
        return plan_fetch(self.resources, dataset, self.request.wants)

    def list_unknown(self) -> "list[Found]":
        """What was given and nothing asks for; an archive that something was taken from is no such thing."""
        if self.settled:
            return []
        holders = {one.within for one in self.used if one.within}
        known = self.used | holders | {one.within for one in holders}
        unread = {one.shown for one in self.given.problems}

        def is_unknown(one: "Found") -> bool:
            if one in known or one.within in self.used or one.shown in unread:
                return False
            return not self.given.opened.get(one)  # an archive's members stand for it

        return list(filter(is_unknown, self.given.all()))


@contextmanager
def make_workplace(home: Path) -> Iterator[Path]:
    """A folder for copies of what lies deep in archives, made when first needed and gone with the block."""
    from dermdata.cache.folder import discard_dead
    from dermdata.process import here

    discard_dead(home.glob(".from.*.tmp"))
    place = home / f".from.{here()}.{os.urandom(4).hex()}.tmp"
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


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


def require_complete(dataset: "Dataset", recognition: "Recognition", unread: int) -> None:
    """SomeFailed when something that the dataset names is not among the paths, or could not be read."""
    if recognition.complete and not unread:
        return
    images = len(recognition.missing_images) + recognition.unnamed + unread
    what = [f"{images:,} images"] if images else []
    what += [f"{len(recognition.missing):,} files"] if recognition.missing else []
    raise SomeFailed(
        f"{dataset.name}: {' and '.join(what)} are not among the paths, see above",
        hint=dataset.access.steps or "give --from a further path; what is there is kept",
    )
