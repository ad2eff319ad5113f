"""A fetch of several datasets: what is asked, what is planned, and what came of each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypedDict, Unpack

from dermdata.api.fetch_dataset import (
    PLAN_KEYS,
    fetch_dataset,
    foresee_files,
    open_fetch_context,
    plan_fetch,
    plan_rows,
)
from dermdata.api.fetch_outcome import require_usable, tell_outcome
from dermdata.api.fetch_sources import (
    SourceChoice,
    choose_entry,
    fetch_from_sources,
    list_alternatives,
)
from dermdata.api.models import find_result, require_no_model
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.subset import SubsetFetch
from dermdata.errors import DermdataError, SomeFailed, UsageError
from dermdata.markup import count_nouns
from dermdata.process import count_cores

if TYPE_CHECKING:
    from dermdata.fetching import FetchContext, FetchResult, FetchSettings
    from dermdata.model import Dataset


Only = Literal["metadata", "images", "masks"]


class FetchOptions(TypedDict, total=False):
    """The keywords of `Session.fetch`."""

    only: Only | None
    where: str | None
    limit: int | None
    mirrors: "Sequence[str | os.PathLike[str]]"
    from_: "Sequence[str | os.PathLike[str]]"
    accept_license: bool
    force: bool
    keep_archives: bool
    jobs: int | None
    copy: str | None
    copies: bool


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """What is to be fetched, and how; the command line's options of these names."""

    names: Sequence[str]
    only: Only | None = None
    where: str | None = None
    limit: int | None = None
    mirrors: Sequence[str] = ()
    own_paths: Sequence[Path] = ()  # --from
    mirror_out: Path | None = None
    accept_license: bool = False
    force: bool = False
    keep_archives: bool = False
    jobs: int | None = None
    copy: str | None = None
    copies: bool = True

    @classmethod
    def from_options(
        cls,
        names: Sequence[str],
        *,
        mirror_out: "str | os.PathLike[str] | None" = None,
        **options: Unpack[FetchOptions],
    ) -> Self:
        """The request that a session is asked for; UsageError where no dataset is named."""
        if not names:
            raise UsageError("no dataset is named", hint="dermdata.catalog() has their names")
        return cls(
            names=tuple(dict.fromkeys(names)),
            only=options.get("only"),
            where=options.get("where"),
            limit=options.get("limit"),
            mirrors=tuple(os.fspath(one) for one in options.get("mirrors", ())),
            own_paths=tuple(Path(one) for one in options.get("from_", ())),
            mirror_out=None if mirror_out is None else Path(mirror_out),
            accept_license=options.get("accept_license", False),
            force=options.get("force", False),
            keep_archives=options.get("keep_archives", False),
            jobs=options.get("jobs"),
            copy=options.get("copy"),
            copies=options.get("copies", True),
        )

    @property
    def is_partial(self) -> bool:
        """Whether only some rows' images are asked for."""
        return self.where is not None or self.limit is not None

    @property
    def wants(self) -> "FetchSettings":
        """What the plan of each dataset is made for."""
        from dermdata.fetching import FetchSettings

        whole = self.only in (None, "images") and not self.is_partial
        return FetchSettings(
            only=self.only,
            force=self.force,
            keep_archives=self.keep_archives,
            whole=whole,
            given=bool(self.own_paths or self.mirrors),
        )

    @property
    def source(self) -> SourceChoice:
        """Which sources may be asked."""
        return SourceChoice(copy=self.copy, copies=self.copies)

    @property
    def cores(self) -> int:
        return self.jobs or count_cores()

    def accepts(self, dataset: "Dataset") -> bool:
        """Whether its license is accepted for files that the person has: who signed an agreement has done so there."""
        return self.accept_license or dataset.access.kind == "agreement"

    def require_together(self) -> None:
        """UsageError for options that contradict each other."""
        if self.own_paths and self.mirrors:
            raise UsageError("--from downloads nothing", hint="leave --mirror out, or --from")
        if self.own_paths and self.is_partial:
            raise UsageError("--from takes all that is there", hint="`select --where` filters it afterwards")

    def require_whole_files(self) -> None:
        """UsageError for what a mirror's folder cannot be filled by."""
        if self.is_partial:
            raise UsageError("--mirror-out keeps whole files", hint="leave --where and --limit out")
        if self.own_paths:
            said = "--mirror-out keeps official files, --from takes the person's own"
            raise UsageError(said, hint="leave one of them out")
        if self.copy:
            raise UsageError(
                "--mirror-out keeps official files, --copy takes others", hint="leave --copy out"
            )


class FetchReport:
    """What comes of each dataset, collected as soon as it is known; a front adds how it is shown."""

    def __init__(self, asked: int) -> None:
        self.asked = asked  # datasets
        self.paths: dict[str, Path] = {}
        self.copies: dict[str, str] = {}  # dataset -> the copy that stood in
        self.errors: list[DermdataError] = []
        self.left_alone: list[str] = []  # of one's own files: pictures that nothing asks for

    def add_path(self, dataset: "Dataset", path: Path) -> None:
        """Take down where a dataset's manifest, or its folder in a mirror, is."""
        self.paths[dataset.name] = path

    def add_failure(self, dataset: "Dataset", error: DermdataError) -> None:
        """Take down what went wrong with a dataset; the next one goes on."""
        del dataset
        self.errors.append(error)

    def raise_failures(self) -> None:
        """Raise the one error; SomeFailed where some of several failed, or all did, with the code that all have."""
        if not self.errors:
            return
        if self.asked == 1:
            raise self.errors[0]
        several = SomeFailed(
            f"{len(self.errors)} of {count_nouns(self.asked, 'dataset')} had problems, the others are done",
            hint="see the lines above",
        )
        if len(self.errors) == self.asked:
            several = SomeFailed(
                f"all {count_nouns(self.asked, 'dataset')} had problems", hint="see the lines above"
            )
            codes = {error.exit_code for error in self.errors}
            several.exit_code = codes.pop() if len(codes) == 1 else several.exit_code
        raise several


class StrictReport(FetchReport):
    """A report for a caller who reads no lines: it ends a fetch at the first dataset that could not be brought.

    Rows or labels of a source that could not be used are told, and its manifest is there; with files of the person's
    own, what is missing ends it too, since nothing else will bring it.
    """

    def __init__(self, request: FetchRequest) -> None:
        super().__init__(len(request.names))
        self.own = bool(request.own_paths)

    def add_failure(self, dataset: "Dataset", error: DermdataError) -> None:
        """Raise the error, unless the manifest is there and only rows of its source could not be used."""
        super().add_failure(dataset, error)
        if self.own or dataset.name not in self.paths:
            raise error


def check_request(resources: Resources, request: FetchRequest) -> "tuple[list[Dataset], SubsetFetch | None]":
    """The datasets, and the choice of rows if one is made; UsageError and UnknownName before anybody is asked."""
    datasets = [resources.catalog[name] for name in request.names]
    request.require_together()
    request.source.require_known(datasets)
    subset = None
    if request.is_partial or request.only in ("images", "masks"):
        for name in request.names:
            require_no_model(resources, name)
    if request.is_partial:
        subset = SubsetFetch(resources, request.wants, request.where, request.limit)
        subset.check()
    if request.mirror_out:
        request.require_whole_files()
    return datasets, subset


# ------------------------------------------------------------------ carrying out


def fetch_datasets(resources: Resources, request: FetchRequest, report: FetchReport) -> None:
    """Fetch one dataset after the other; what comes of each goes to the report."""
    datasets, subset = check_request(resources, request)
    if request.mirror_out:
        from dermdata.api.offline_copies import mirror_datasets

        mirror_datasets(resources, datasets, request, report)
    elif not request.own_paths:
        rest = take_added_datasets(resources, datasets, request, report)
        if rest:
            download_datasets(resources, rest, request, subset, report)
    elif is_of_bundles(request):
        from dermdata.api.offline_copies import take_bundles

        take_bundles(resources, datasets, request, report)
    else:
        from dermdata.api.own_copies import take_own_copies

        take_own_copies(resources, datasets, request, report)


def take_added_datasets(
    resources: Resources, datasets: "Sequence[Dataset]", request: FetchRequest, report: FetchReport
) -> "list[Dataset]":
    """Take the person's own data from where they were added; the datasets that are left to be fetched from elsewhere."""
    if not any(one.access.paths for one in datasets):
        return list(datasets)
    from dermdata.api.own_copies import find_added, take_own_copies

    left = []
    for dataset in datasets:
        try:
            if asked := find_added(resources, dataset, request):
                take_own_copies(resources, [dataset], asked, report)
            else:
                left.append(dataset)
        except DermdataError as error:
            report.add_failure(dataset, error)
    return left


def take_all_added(resources: Resources, names: Sequence[str]) -> None:
    """Take what is wanting of those that are the person's own data; what keeps one from having a manifest is raised."""
    for name in names:
        report = FetchReport(1)
        take_added_datasets(resources, [resources.catalog[name]], FetchRequest(names=(name,)), report)
        if name not in report.paths:
            report.raise_failures()


def download_datasets(
    resources: Resources,
    datasets: "Sequence[Dataset]",
    request: FetchRequest,
    subset: SubsetFetch | None,
    report: FetchReport,
) -> None:
    """Fetch from the network, or from mirrors."""
    mirrored, accepted = bool(request.mirrors), request.accept_license
    with resources.show_progress() as progress, resources.transfer(progress) as transfer:
        for dataset in datasets:
            try:
                context = open_fetch_context(
                    resources, transfer, progress, list(request.mirrors), request.cores
                )

                def fetch(entry: "Dataset", context: "FetchContext" = context) -> "FetchResult":
                    if subset:
                        return subset.fetch(entry, context, mirrored=mirrored, accepted=accepted)
                    return fetch_dataset(
                        resources, entry, request.wants, context, mirrored=mirrored, accepted=accepted
                    )

                outcome = fetch_from_sources(resources, dataset, request.wants, request.source, fetch)
                tell_outcome(resources, dataset, outcome)
                if outcome.copied:
                    report.copies[dataset.name] = outcome.copied.copy.name
                report.add_path(dataset, find_result(dataset, outcome.manifest))
                require_usable(dataset, outcome)
            except DermdataError as error:
                report.add_failure(dataset, error)


def is_of_bundles(request: FetchRequest) -> bool:
    """Whether the person's files are bundles; UsageError when they are mixed with other files."""
    from dermdata.fetching.bundle import is_bundle

    found = [path for path in request.own_paths if is_bundle(path)]
    if found and len(found) < len(request.own_paths):
        raise UsageError("--from takes bundles or other files, not both at once", hint="run it once for each")
    return bool(found)


# ------------------------------------------------------------------ planning


class PlanReport(FetchReport):
    """A report for a plan whose rows name what is missing: only other failures end it."""

    def add_failure(self, dataset: "Dataset", error: DermdataError) -> None:
        """Raise the error, unless a row of the plan says the same."""
        super().add_failure(dataset, error)
        if not isinstance(error, SomeFailed):
            raise error


def plan_datasets(resources: Resources, request: FetchRequest, report: FetchReport) -> Records:
    """The steps that a fetch would take, as rows; changes nothing.

    Of files that the person has, the report gets what would be missing.
    """
    datasets, subset = check_request(resources, request)
    if request.mirror_out:
        from dermdata.api.offline_copies import plan_mirrors

        return plan_mirrors(resources, datasets, request, report)
    if not request.own_paths:
        return plan_added_datasets(resources, datasets, request, subset, report)
    if is_of_bundles(request):
        from dermdata.api.offline_copies import plan_bundles

        return plan_bundles(resources, datasets, request)
    from dermdata.api.own_copies import plan_own_copies

    return plan_own_copies(resources, datasets, request, report)


def plan_added_datasets(
    resources: Resources,
    datasets: "Sequence[Dataset]",
    request: FetchRequest,
    subset: SubsetFetch | None,
    report: FetchReport,
) -> Records:
    """What would be taken from where the person's own data were added, and downloaded of all others."""
    if not any(one.access.paths for one in datasets):
        return plan_downloads(resources, datasets, request, subset)
    from dermdata.api.own_copies import find_added, plan_own_copies

    asked = {one.name: find_added(resources, one, request) for one in datasets}
    rows = [
        row
        for one in datasets
        if (own := asked[one.name])
        for row in plan_own_copies(resources, [one], own, report)
    ]
    rest = [one for one in datasets if not asked[one.name]]
    rows += plan_downloads(resources, rest, request, subset) if rest else []
    return Records(rows, (*PLAN_KEYS, "how"))


def plan_downloads(
    resources: Resources, datasets: "Sequence[Dataset]", request: FetchRequest, subset: SubsetFetch | None
) -> Records:
    """What would be downloaded, mended and built, and what is there."""
    from dermdata.api.source_check import plan_seen_sizes
    from dermdata.hosts import require_obtainable

    mirrors, wants = list(request.mirrors), request.wants
    entries = [choose_entry(resources, one, wants, request.source) for one in datasets]
    others = list_alternatives(datasets, request.source)
    if subset:
        return Records([*subset.plan_rows(entries, mirrors), *others], (*PLAN_KEYS, "count"))
    plans = [plan_fetch(resources, foresee_files(resources, one, wants, mirrors), wants) for one in entries]
    for plan in plans:
        if plan.asks_hosts or not plan.have:
            require_obtainable(plan.dataset, mirrored=bool(mirrors))
    rows = plan_seen_sizes(resources, [row for plan in plans for row in plan_rows(plan)])
    return Records([*rows, *others], PLAN_KEYS)
