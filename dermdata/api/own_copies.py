"""One's own copies of a dataset's files: recognized, taken into the cache, and what became of each."""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.fetch_dataset import (
    PLAN_KEYS,
    open_fetch_context,
    plan_fetch,
    require_license,
)
from dermdata.api.fetch_outcome import require_usable, tell_outcome
from dermdata.api.fetch_sources import choose_entry
from dermdata.api.models import find_result
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.cache.outside import list_changed_copies, require_unchanged
from dermdata.errors import CacheDamaged, DermdataError, ManualDownload, SomeFailed, UsageError
from dermdata.markup import agree_verb, count_nouns
from dermdata.model import CopiedDataset

if TYPE_CHECKING:
    from dermdata.api.fetch_request import FetchReport, FetchRequest
    from dermdata.cache import DatasetFolder
    from dermdata.fetching import FetchPlan, FetchResult
    from dermdata.fetching.local import LocalFile, LocalFiles, LocalProblem, MatchedFile, Recognition
    from dermdata.model import Dataset


NAMES_SHOWN = 5  # names in a line for the person; a dry run lists them all
RECOGNITION_WORDS = {
    "checksum": "its checksum is right",
    "name": "recognized by its name; no checksum is published",
    "content": "recognized by content, not verified",
    "part": "recognized by content, not verified and not complete",
    "own": "of your own",
    "own part": "of your own, not all that the table names",
}


# ------------------------------------------------------------------ lines


def describe_recognition(recognition: "Recognition", paths: Sequence[Path]) -> Iterator[str]:
    """What was recognized and how, and what is missing, a line each."""
    for one in recognition.adopted:
        what = "" if one.whole else f"{count_nouns(len(one.pieces), 'file')} "
        yield f"{one.file.name}: {what}{RECOGNITION_WORDS[one.how]} ({name_origins(one, paths)})"
    for name, found in recognition.mismatched.items():
        yield f"warning: {shorten([one.shown for one in found])}: has the name of {name}, but other bytes"
    for conflict in recognition.conflicts[:NAMES_SHOWN]:
        shown = "; ".join(one.shown for one in conflict.found)
        yield f"warning: {conflict.name}: {count_nouns(len(conflict.found), 'different file')}, none was taken: {shown}"
    if len(recognition.conflicts) > NAMES_SHOWN:
        yield (
            f"warning: {count_nouns(len(recognition.conflicts), 'name')} in all "
            f"{agree_verb(len(recognition.conflicts), 'have')} several different files"
        )
    yield from describe_missing(recognition)


def describe_missing(recognition: "Recognition") -> Iterator[str]:
    """What the dataset names and the paths do not hold."""
    if recognition.missing:
        yield f"warning: missing: {shorten([file.name for file in recognition.missing])}"
    if recognition.missing_images:
        count = len(recognition.missing_images)
        yield f"warning: missing: {count_nouns(count, 'image')} that the table names: {shorten(recognition.missing_images)}"
    if recognition.unnamed:
        yield f"warning: missing: {count_nouns(recognition.unnamed, 'image')} of those that the publisher counts"
    if recognition.missing_masks:
        yield f"{count_nouns(recognition.missing_masks, 'image')} without a mask among the paths"


def name_origins(one: "MatchedFile", paths: Sequence[Path]) -> str:
    """Where it comes from: the file, or the archives and given folders that hold its pieces."""
    if one.whole:
        return one.whole.shown
    places = dict.fromkeys(name_place(found, paths) for found in one.sources)
    return shorten(list(places)) or "its images lie elsewhere"


def name_place(found: "LocalFile", paths: Sequence[Path]) -> str:
    if found.within:
        return str(found.origin)
    return next((str(path) for path in paths if found.origin.is_relative_to(path)), "an earlier copy")


def shorten(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def describe_rest(
    resources: Resources, given: "LocalFiles", unknown: "Sequence[LocalFile]", used: "Collection[LocalFile]"
) -> None:
    """Say what could not be read, or perhaps not as it was meant, and what nothing asks for.

    What was `used` as a whole has said so itself.
    """
    problems = given.problems
    for problem in problems[: NAMES_SHOWN * 4]:
        resources.say(f"warning: not read: {problem.shown}: {problem.reason}")
    if len(problems) > NAMES_SHOWN * 4:
        resources.say(
            f"warning: {count_nouns(len(problems), 'file')} in all {agree_verb(len(problems), 'were')} not read"
        )
    for note in (note for found, notes in given.notes.items() if found not in used for note in notes):
        resources.say(f"warning: {note}")
    describe_unknown(resources, unknown)


def describe_unknown(resources: Resources, unknown: "Sequence[LocalFile]") -> None:
    """Say what nothing asks for, and which archives among it are of a kind that is not opened."""
    from dermdata.fetching.local import explain_closed_archive

    closed = {one: why for one in unknown if (why := explain_closed_archive(one))}
    for one, why in list(closed.items())[:NAMES_SHOWN]:
        resources.say(f"warning: {one.shown} {why}")
    if rest := [one for one in unknown if one not in closed]:
        shown = shorten([one.shown for one in rest])
        resources.say(f"{count_nouns(len(rest), 'file')} that nothing asks for, left alone: {shown}")


# ------------------------------------------------------------------ rows


def list_steps(recognition: "Recognition", paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Everything that was recognized or is missing, a row each."""
    row = partial(make_step, recognition.plan.dataset.name)
    for one in recognition.adopted:
        checked = one.file.checksum if one.how == "checksum" else None
        yield row("adopt", one.file.name, one.size, name_origins(one, paths), checksum=checked, how=one.how)
    for missing in recognition.missing:
        yield row("missing", missing.name, missing.size, checksum=missing.checksum)
    yield from map(partial(row, "missing-image"), recognition.missing_images)
    for conflict in recognition.conflicts:
        yield row("conflict", conflict.name, None, "; ".join(one.shown for one in conflict.found))
    for file, found in recognition.mismatched.items():
        yield from (row("mismatch", file, one.size, one.shown) for one in found)
    for had in recognition.plan.have:
        yield row("have", had.name, had.size, had.url, checksum=f"sha256:{had.sha256}", how=had.recognized)
    if recognition.plan.build:
        yield row("build", "manifest.parquet")


def make_step(
    dataset: str, step: str, file: str, count: int | None = None, origin: str | None = None, **more: Any
) -> dict[str, Any]:
    return {"dataset": dataset, "step": step, "file": file, "size_bytes": count, "from": origin, **more}


def list_rest(problems: "Iterable[LocalProblem]", unknown: "Iterable[LocalFile]") -> Iterator[dict[str, Any]]:
    """What could not be read, and what nothing asks for, a row each."""
    from dermdata.fetching.local import explain_closed_archive

    for problem in problems:
        yield {"step": "unreadable", "from": problem.shown, "how": problem.reason}
    for found in unknown:
        if why := explain_closed_archive(found):
            yield {"step": "unreadable", "size_bytes": found.size, "from": found.shown, "how": why}
        else:
            yield {"step": "unknown", "size_bytes": found.size, "from": found.shown}


def name_model_files(datasets: "Sequence[Dataset]", request: "FetchRequest") -> "list[Dataset]":
    """The entries; a model that only its host could list with the files of the folders that were given."""
    from dermdata.fetching.listing import add_own_model_files

    return [add_own_model_files(one, request.own_paths) for one in datasets]


def find_added(resources: Resources, dataset: "Dataset", request: "FetchRequest") -> "FetchRequest | None":
    """The request that takes the person's own data from where they were added; None where nothing of them is wanting.

    StorageError, IntegrityError where a picture that lies there is gone, or another one by now; ManualDownload where
    the whole folder is not there.
    """
    paths = dataset.access.paths
    if not paths or request.mirrors:
        return None
    if not request.force:
        outside = resources.cache.find_folder(dataset).outside.values()
        require_unchanged(dataset.name, outside)
        if changed := list_changed_copies(outside):
            resources.say(
                f"{dataset.name}: changed since it was added, while the cache has it as it was: {shorten(changed)}; "
                f"`dermdata fetch {dataset.name} --force` takes it as it is now"
            )
    if not plan_fetch(resources, dataset, request.wants).asks_hosts:
        return None
    for path in paths:
        if not os.path.lexists(path):
            raise ManualDownload(
                f"{dataset.name}: {path}, where it was added from, is not there",
                hint=f"put it back, or say where it is: dermdata fetch {dataset.name} --from PATH",
            )
    asked = replace(request, names=(dataset.name,), own_paths=tuple(map(Path, paths)))
    asked.require_together()
    return asked


def take_own_copies(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> None:
    """Take each dataset's own files out of the paths; what is missing goes to the report."""

    def take(adoption: Adoption, dataset: "Dataset") -> None:
        require_license(resources, dataset, accepted=request.accepts(dataset))
        recognition, outcome, unread = adoption.take(dataset, progress)
        report.add_path(dataset, find_result(dataset, outcome.manifest))
        require_complete(dataset, recognition, unread)
        require_usable(dataset, outcome)

    home = resources.cache.root / "datasets"
    datasets = name_model_files(datasets, request)
    with make_workplace(home) as place, resources.show_progress() as progress:
        run_adoption(Adoption(resources, request, place, datasets), datasets, take, report)


def plan_own_copies(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> Records:
    """Everything that is recognized, missing or unknown, as rows; what is missing goes to the report too."""
    rows: list[dict[str, Any]] = []

    def plan(adoption: Adoption, dataset: "Dataset") -> None:
        recognition = adoption.recognize(dataset)
        rows.extend(list_steps(recognition, adoption.given.paths))
        require_complete(dataset, recognition, 0)

    datasets = name_model_files(datasets, request)
    with make_workplace(Path(tempfile.gettempdir())) as place:  # a plan leaves the cache alone
        adoption = Adoption(resources, request, place, datasets)
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
    from dermdata.fetching.local.files import is_image_file

    unknown = adoption.list_unknown()
    report.left_alone += [one.shown for one in unknown if is_image_file(one)]
    describe_rest(adoption.resources, adoption.given, unknown, adoption.used)


class Adoption:
    """One run over the given files: what they were recognized for, and which of them nothing asks for."""

    def __init__(
        self, resources: Resources, request: "FetchRequest", workplace: Path, datasets: "Sequence[Dataset]"
    ) -> None:
        """Look through the paths; UsageError for one that does not exist, or that lies in the cache."""
        from dermdata.fetching.local import LocalFiles

        self.resources, self.request = resources, request
        cache, encoding = resources.settings.cache, stated_name_encoding(datasets)
        self.given: LocalFiles = LocalFiles(request.own_paths, cache, workplace, encoding)
        self.used: set[LocalFile] = set()
        self.settled = False  # one of the datasets was complete before, and recognized nothing

    def take(self, dataset: "Dataset", progress: Any) -> "tuple[Recognition, FetchResult, int]":
        """Recognize and ingest one dataset; also how many of its pieces could not be read when their turn came."""
        from dermdata.fetching import run_plan
        from dermdata.fetching.local import LocalImporter

        with self.resources.cache.lock(dataset.name, waiting=self.resources.say):
            recognition = self.recognize(dataset)
            bringer = LocalImporter(recognition, self.given)
            context = open_fetch_context(self.resources, None, progress, [], self.request.cores)
            outcome = run_plan(recognition.plan, context, bringer)
        self.given.problems += bringer.failed
        if recognition.adopted or recognition.complete:
            tell_outcome(self.resources, dataset, outcome)
        return recognition, outcome, len(bringer.failed)

    def find_entry(self, dataset: "Dataset") -> "Dataset":
        """The entry whose files are looked for: the publisher's, unless a copy is asked for, or is here."""
        copied = choose_entry(self.resources, dataset, self.request.wants, self.request.source)
        if not isinstance(copied, CopiedDataset) or self.request.copy:
            return copied
        again = {
            file.name: replace(file, fetch=file.fetch or file.name in copied.left_out)
            for file in copied.files
        }
        return replace(copied, files=tuple(again.values()), left_out=())

    def recognize(self, dataset: "Dataset") -> "Recognition":
        """What of the files is the dataset's, said line by line."""
        dataset = self.find_entry(dataset)
        from dermdata.fetching.local import recognize_dataset

        folder = self.resources.cache.folder(dataset)
        require_no_part(dataset, folder)
        crosswalk = self.resources.library.crosswalk(dataset)
        recognition = recognize_dataset(dataset, self.given, self.plan, folder, crosswalk)
        self.used |= recognition.used
        self.settled |= not recognition.adopted and recognition.complete
        for line in describe_recognition(recognition, self.given.paths):
            self.resources.say(f"{dataset.name}: {line}")
        return recognition

    def plan(self, dataset: "Dataset") -> "FetchPlan":
        return plan_fetch(self.resources, dataset, self.request.wants)

    def list_unknown(self) -> "list[LocalFile]":
        """What was given and nothing asks for; an archive that something was taken from is no such thing."""
        if self.settled:
            return []
        known = self.used | {holder for one in self.used for holder in one.holders}
        unread = {one.shown for one in self.given.problems}

        def is_unknown(one: "LocalFile") -> bool:
            if one in known or not self.used.isdisjoint(one.holders) or one.shown in unread:
                return False
            return not self.given.members_by_archive.get(one)  # an archive's members stand for it

        return list(filter(is_unknown, self.given.all_files()))


def stated_name_encoding(datasets: "Sequence[Dataset]") -> str | None:
    """The code page of names in zips that these entries state, if it is one."""
    stated = {file.name_encoding for dataset in datasets for file in dataset.files} - {None}
    return stated.pop() if len(stated) == 1 else None


@contextmanager
def make_workplace(home: Path) -> Iterator[Path]:
    """A folder for copies of what lies deep in archives, made when first needed and gone with the block."""
    from dermdata.cache.folder import delete_dead_temporaries, temporary_name

    delete_dead_temporaries(home.glob(".from.*.tmp"))
    place = home / temporary_name("from")
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def require_no_part(dataset: "Dataset", folder: "DatasetFolder") -> None:
    """A part of the rows (`--where`, `--limit`) and a copy of the whole are not mixed: nobody could tell what is there."""
    try:
        receipt = folder.receipt()
    except CacheDamaged:  # told, or mended by --force, where the plan is made
        return
    if receipt and receipt.part:
        raise UsageError(
            f"{dataset.name} is here in part ({len(receipt.part.rows):,} of {count_nouns(receipt.part.of, 'row')})",
            hint=f"`dermdata fetch {dataset.name}` completes it, or `dermdata cache remove {dataset.name}` first",
        )


def require_complete(dataset: "Dataset", recognition: "Recognition", unread: int) -> None:
    """SomeFailed when something that the dataset names is not among the paths, or could not be read."""
    if recognition.complete and not unread:
        return
    images = len(recognition.missing_images) + recognition.unnamed + unread
    what = [count_nouns(images, "image")] if images else []
    what += [count_nouns(len(recognition.missing), "file")] if recognition.missing else []
    are = agree_verb(images + len(recognition.missing), "are")
    raise SomeFailed(
        f"{dataset.name}: {' and '.join(what)} {are} not among the paths, see above",
        hint=dataset.access.steps or "give --from a further path; what is there is kept",
    )
