"""A session: which catalogs, cache and network its calls use; the module functions use one of the environment's."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from dermdata.api.manifest import PIPED, Manifest
from dermdata.api.records import Records
from dermdata.api.resources import Resources, settings_of
from dermdata.markup import show_controls
from dermdata.progress import Progress
from dermdata.terminal import talk
from dermdata.urls import redact

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dermdata.api.cached_datasets import CachedDatasets
    from dermdata.api.fetch_request import FetchOptions, Only
    from dermdata.model import Dataset

log = logging.getLogger("dermdata")
Target = "str | os.PathLike[str] | Manifest"
SHOWN = 20  # differing rows that are told one by one


class NotebookResources(Resources):
    """Resources whose notes go to the log, and to stderr where progress is wanted."""

    progress = True

    def say(self, text: str) -> None:
        """Log a note; show it too unless the session is silent."""
        log.info("%s", show_controls(redact(text)))
        if self.progress:
            talk(text)

    @contextmanager
    def show_progress(self) -> Iterator[Progress]:
        """Show bars on a terminal and in a notebook, nothing in a silent session."""
        from dermdata.api.progress import show_progress

        with show_progress(quiet=not self.progress, color="auto") as shown:
            yield shown


class Session:
    """Catalogs, a cache and a network, and what can be done with them.

    Made by `dermdata.open_session`. The functions of the module `dermdata` are the methods of a session with the
    environment's settings.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def __repr__(self) -> str:
        return f"<session on the cache {self._resources.settings.cache}>"

    # ------------------------------------------------------------------ the catalog

    def catalog(self, *, kind: Literal["dataset", "model", "all"] = "dataset") -> "pd.DataFrame":
        """Return what `dermdata list` knows: a row for each dataset.

        Returns
        -------
        pandas.DataFrame
            Its columns are the command line's keys, and `fetchable`: whether `fetch` knows where the files are and
            who may have them. An account or an accepted license may still be asked for.

        """
        import pandas as pd

        from dermdata.layout import cached_names

        here = cached_names(self._resources.settings.cache)
        items = [
            {**item, "cached": item["name"] in here, "fetchable": self._is_fetchable(item["name"])}
            for item in self._resources.catalog.items
            if kind in ("all", item["kind"])
        ]
        hidden = {"summary", "aliases", "fields"}
        return pd.DataFrame([{key: item[key] for key in item if key not in hidden} for item in items])

    def _is_fetchable(self, name: str) -> bool:
        from dermdata.errors import PersonMustAct
        from dermdata.sources import require_obtainable

        try:
            require_obtainable(self._resources.catalog[name])
        except PersonMustAct:
            return False
        return True

    def info(self, name: str) -> "Dataset":
        """Return one catalog entry: counts, license, access, files, label words, official splits, known problems.

        Raises
        ------
        UnknownName
            With the nearest names that there are.

        """
        return self._resources.catalog[name]

    def labels(self, name: str) -> Records:
        """Return how a dataset's own words map to concepts, a record a word."""
        from dermdata.api.label_spaces import counts_of, crosswalk_of, vocabulary_of

        dataset = self._resources.catalog[name]
        vocabulary = vocabulary_of(self._resources)
        words = list(crosswalk_of(self._resources, dataset.name, vocabulary))
        counts = counts_of(self._resources, dataset, words)
        keys = (
            "dataset",
            "field",
            "raw_label",
            "concept",
            "name",
            "predicate",
            "members",
            "malignancy",
            "count",
            "note",
        )
        rows = [
            {**vars(word), "dataset": dataset.name, "name": vocabulary.name(word.concept),
             "count": counts.of(word.raw_label)}
            for word in words
        ]  # fmt: skip
        return Records([{key: row.get(key) for key in keys} for row in rows], keys)

    # ------------------------------------------------------------------ datasets

    def fetch(
        self,
        *names: str,
        only: "Only | None" = None,
        where: str | None = None,
        limit: int | None = None,
        mirrors: "Sequence[str | os.PathLike[str]]" = (),
        from_: "Sequence[str | os.PathLike[str]]" = (),
        accept_license: bool = False,
        force: bool = False,
        keep_archives: bool = False,
        jobs: int | None = None,
    ) -> Manifest:
        """Download, verify, unpack and harmonize datasets; what is here already is not fetched again.

        Parameters
        ----------
        *names : str
            Datasets of the catalog.
        only : {"metadata", "images", "masks"}, optional
            Only these files; the tables always come along.
        where : str, optional
            Only the images of rows of which this is true.
        limit : int, optional
            Only the first so many of these rows.
        mirrors : sequence of str
            Addresses or folders that are tried first.
        from_ : sequence of path
            Archives, folders or bundles of one's own to take the files from; nothing is downloaded.
        accept_license : bool, default False
            Accept the licenses that must be accepted.
        force : bool, default False
            Fetch everything again.
        keep_archives : bool, default False
            Keep archives after they are unpacked.
        jobs : int, optional
            Threads that unpack and look at images; all cores unless told.

        Returns
        -------
        Manifest
            All rows of these datasets that are here.

        Raises
        ------
        NetworkError, IntegrityError, StorageError, PersonMustAct
        SomeFailed
            With `from_`, for files that are not among one's own; those that are there have been taken.

        """
        from dermdata.api.fetch_request import FetchRequest, StrictReport, fetch_datasets

        request = FetchRequest.from_options(
            names, only=only, where=where, limit=limit, mirrors=mirrors, from_=from_,
            accept_license=accept_license, force=force, keep_archives=keep_archives, jobs=jobs,
        )  # fmt: skip
        report = StrictReport(request)
        fetch_datasets(self._resources, request, report)
        return Manifest.of_targets(self._resources, list(report.paths))

    def load(
        self, *targets: "str | os.PathLike[str]", download: bool = True, accept_license: bool = False
    ) -> Manifest:
        """Return the rows of datasets, or of manifests by their paths.

        Parameters
        ----------
        *targets : str or path
            Names of datasets, and manifests (.parquet, .csv, .jsonl, .arrow).
        download : bool, default True
            Fetch the datasets that are not in the cache. One of which only a part is there stays as it is.
        accept_license : bool, default False
            Accept the licenses that must be accepted.

        Raises
        ------
        UsageError
            For a dataset that is not in the cache, with `download=False`.
        UnknownName, BadTable, NetworkError, IntegrityError, StorageError, PersonMustAct

        """
        words = [os.fspath(target) for target in targets]
        resources = self._resources
        missing = [
            word
            for word in words
            if word in resources.catalog
            and not resources.cache.folder(resources.catalog[word]).manifest.exists()
        ]
        if missing and download:
            self.fetch(*missing, accept_license=accept_license)
        return Manifest.of_targets(resources, words)

    def select(self, *targets: "str | os.PathLike[str]", download: bool = True, **options: Any) -> Manifest:
        """Join targets, then refine, filter, drop duplicates and sample: `Manifest.select` names the options."""
        whole = self.load(*targets, download=download)
        return whole._selected(whole.select(**options))  # what a selection says is said in one place

    def verify(
        self, *names: str, quick: bool = False, repair: bool = False, jobs: int | None = None
    ) -> Records:
        """Compare every cached file with its recorded checksum.

        Parameters
        ----------
        *names : str
            Datasets; all that are cached without any.
        quick : bool, default False
            Only sizes.
        repair : bool, default False
            Fetch again just what is broken or missing, and compare once more.
        jobs : int, optional
            Threads; all cores unless told.

        Returns
        -------
        Records
            The files that are wrong, after the repair if one was asked for, each with the keys of the rows that use it;
            `facts["files"]` counts all that were compared.

        Raises
        ------
        UsageError
            For a dataset that is not in the cache.
        ProblemsFound, NetworkError, StorageError, PersonMustAct
            Where a file cannot be fetched again.

        """
        from dermdata.api.verifying import repair_cached, verify_cached

        check = verify_cached(self._resources, names, quick=quick, jobs=jobs)
        if repair and check.wrong:
            check = repair_cached(self._resources, check)
        return check.to_records()

    def lock(self, *targets: "str | os.PathLike[str]", out: "str | os.PathLike[str]") -> Path:
        """Write the lock of these targets' rows: `Manifest.lock`."""
        return self.load(*targets).lock(out)

    def sync(self, file: "str | os.PathLike[str]", *, accept_license: bool = False) -> Manifest:
        """Fetch what is missing of a locked cohort, and rebuild it exactly.

        Raises
        ------
        CohortDiffers
            For rows that are not as they were locked; their keys are in the message.
        UsageError, BadTable
            For what is no lock, or names a dataset that no catalog knows.

        """
        from dermdata.api.locking import sync_cohort
        from dermdata.api.targets import Loaded
        from dermdata.manifest.image_files import ImageRoots

        resources = self._resources
        rebuilt = sync_cohort(resources, Path(file), accepted=accept_license)
        for one in rebuilt.differences[:SHOWN]:
            resources.say(f"{one.key}: {one.problem} {one.column or ''}: {one.was} is {one.now}")
        rebuilt.require_as_locked()
        names = tuple(sorted(one.name for one in rebuilt.lock.datasets))
        folders = {name: resources.cache.folder(resources.catalog[name]).path for name in names}
        roots = ImageRoots(folders, datasets=resources.cache.root / "datasets")
        return Manifest(resources, Loaded(rebuilt.table, roots, names), PIPED)

    def evaluate(
        self,
        predictions: "str | os.PathLike[str] | pd.DataFrame | pa.Table",
        target: "Manifest | str | os.PathLike[str]",
        *,
        by: Sequence[str] = (),
        labels: str | None = None,
        strict: bool = False,
        operating_points: Sequence[str] = (),
        bootstrap: int = 1000,
        seed: int = 0,
        min_group: int = 30,
    ) -> Records:
        """Measure a model's predictions, overall and by group, with intervals.

        Parameters
        ----------
        predictions : path, pandas.DataFrame or pyarrow.Table
            A row an image: its id, and a class or a probability for each class.
        target : Manifest or str
            The truth.
        by : sequence of str
            Columns to group by, such as ("fitzpatrick", "sex").
        labels : str, optional
            The label space that the predictions speak; else the target's own labels, or what the columns tell.
        operating_points : sequence of str
            Such as "sensitivity=0.9" or "threshold=0.3".
        bootstrap : int, default 1000
            Resamples by patient, else lesion, else image; 0 gives no intervals.
        strict : bool, default False
            Raise where a row of the target has no class.
        seed : int, default 0
            Another seed, other resamples.
        min_group : int, default 30
            Nothing is claimed of groups with fewer images.

        Returns
        -------
        Records
            `by, value, n, metric, estimate, low, high`; `facts` has the gaps and what was not judged.

        Raises
        ------
        BadTable
            For predictions that cannot be read.
        PersonMustAct
            Where scikit-learn is not installed.

        """
        from dermdata.api.evaluating import evaluate_predictions

        rows = target if isinstance(target, Manifest) else self.load(target)
        return evaluate_predictions(
            self._resources, predictions, rows.table, labels=labels, strict=strict, by=tuple(by),
            points=tuple(operating_points), resamples=bootstrap, seed=seed, min_group=min_group,
        )  # fmt: skip

    # ------------------------------------------------------------------ plans, mirrors, the cache, this machine

    def plan_fetch(self, *names: str, **options: Unpack["FetchOptions"]) -> Records:
        """Return what `fetch` would do: `fetch --dry-run`.

        Parameters
        ----------
        *names : str
            Datasets of the catalog.
        **options
            Those of `fetch`.

        Returns
        -------
        Records
            A step and a file each: what would be downloaded, mended and built, and what is there. With `where` or
            `limit`, `count` says how many images or rows; with `from_`, `how` says how a file was recognized, and
            further steps what is missing and unknown.

        Raises
        ------
        NetworkError, PersonMustAct
            Where a host has to be asked which files there are, or would refuse them.

        """
        from dermdata.api.fetch_request import FetchRequest, PlanReport, plan_datasets

        request = FetchRequest.from_options(names, **options)
        return plan_datasets(self._resources, request, PlanReport(len(request.names)))

    def mirror(
        self, *names: str, out: "str | os.PathLike[str]", **options: Unpack["FetchOptions"]
    ) -> list[Path]:
        """Keep the original files as `<out>/<dataset>/<file>`: `fetch --mirror-out`.

        Parameters
        ----------
        *names : str
            Datasets of the catalog.
        out : path
            A folder outside the cache; `fetch(…, mirrors=[out])` reads it elsewhere.
        **options
            `only`, `mirrors` and `accept_license`, as for `fetch`.

        Returns
        -------
        list of Path
            The folder of each dataset.

        Raises
        ------
        UsageError
            For a folder in the cache, and for a dataset whose files only its host can list.
        NetworkError, IntegrityError, StorageError, PersonMustAct

        """
        from dermdata.api.fetch_request import FetchRequest, StrictReport, fetch_datasets

        request = FetchRequest.from_options(names, mirror_out=out, **options)
        report = StrictReport(request)
        fetch_datasets(self._resources, request, report)
        return list(report.paths.values())

    def plan_mirror(
        self, *names: str, out: "str | os.PathLike[str]", **options: Unpack["FetchOptions"]
    ) -> Records:
        """Return what `mirror` would do: what would be downloaded, copied from the cache, or is there."""
        from dermdata.api.fetch_request import FetchRequest, StrictReport, plan_datasets

        request = FetchRequest.from_options(names, mirror_out=out, **options)
        return plan_datasets(self._resources, request, StrictReport(request))

    def plan_sync(self, file: "str | os.PathLike[str]") -> Records:
        """Return what a lock names, and whether it is in the cache: `dataset, version, rows, cached`."""
        from dermdata.api.locking import plan_sync

        return plan_sync(self._resources, Path(file))

    @property
    def cache(self) -> "CachedDatasets":
        """What the cache holds: `path`, `list`, `remove`, `prune`, `bundle`, as `dermdata cache …`."""
        from dermdata.api.cached_datasets import CachedDatasets

        return CachedDatasets(self._resources)

    def doctor(self, *, network: bool = True) -> Records:
        """Look at versions, cache, free space, credentials (never their values), and whether sources answer.

        Parameters
        ----------
        network : bool, default True
            Ask the sources; an offline session never does.

        Returns
        -------
        Records
            `check, state, detail`; `facts["errors"]` counts the rows that need attention.

        """
        from dermdata.api.environment import check_environment

        return check_environment(self._resources, network=network)


def open_session(
    *,
    cache: "str | os.PathLike[str] | None" = None,
    catalogs: "Sequence[str | os.PathLike[str]]" = (),
    offline: bool | None = None,
    rewrite: Mapping[str, str] | None = None,
    progress: bool = True,
) -> Session:
    """Open a session of one's own; what is not given is as the environment says.

    Parameters
    ----------
    cache : path, optional
        The folder that datasets are fetched into (DERMDATA_CACHE).
    catalogs : sequence of path
        Catalogs laid over the bundled one (DERMDATA_CATALOG).
    offline : bool, optional
        Never use the network (DERMDATA_OFFLINE).
    rewrite : mapping of str to str, optional
        Addresses that begin with the first are asked at the second (DERMDATA_REWRITE).
    progress : bool, default True
        Show notes and progress on stderr.

    Returns
    -------
    Session

    """
    settings = settings_of(
        os.environ,
        cache=None if cache is None else Path(cache),
        catalogs=[Path(one) for one in catalogs] or None,
        offline=offline,
        rewrite=[f"{source}={goal}" for source, goal in rewrite.items()] if rewrite else None,
    )
    resources = NotebookResources(settings)
    resources.progress = progress
    return Session(resources)
