"""A session: which catalogs, cache and network its calls use; the module functions use one of the environment's."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dermdata.api.manifest import PIPED, Manifest
from dermdata.api.records import Records
from dermdata.api.resources import Resources, settings_of
from dermdata.errors import UsageError
from dermdata.markup import show_controls
from dermdata.progress import Progress
from dermdata.terminal import talk
from dermdata.urls import redact

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dermdata.model import Dataset

log = logging.getLogger("dermdata")
Target = "str | os.PathLike[str] | Manifest"
SHOWN = 20  # differing rows that are told one by one
Only = Literal["metadata", "images", "masks"]


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
        only: Only | None = None,
        where: str | None = None,
        limit: int | None = None,
        mirrors: Sequence[str] = (),
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

        """
        from dermdata.api.fetch_dataset import fetch_dataset, open_workshop
        from dermdata.api.fetch_report import tell
        from dermdata.api.subset import SubsetFetch
        from dermdata.fetching import Wants

        if not names:
            raise UsageError("no dataset is named", hint="dermdata.catalog() has their names")
        some = where is not None or limit is not None
        whole = only in (None, "images") and not some
        wants = Wants(only=only, force=force, keep_archives=keep_archives, whole=whole)
        resources = self._resources
        datasets = [resources.catalog[name] for name in dict.fromkeys(names)]
        subset = SubsetFetch(resources, wants, where, limit) if some else None
        if subset:
            subset.check()
        with resources.show_progress() as progress, resources.transfer() as transfer:
            for dataset in datasets:
                workshop = open_workshop(
                    resources, transfer, progress, list(mirrors), jobs or os.cpu_count() or 1
                )
                if subset:
                    outcome = subset.fetched(
                        dataset, workshop, mirrored=bool(mirrors), accepted=accept_license
                    )
                else:
                    outcome = fetch_dataset(
                        resources, dataset, wants, workshop, mirrored=bool(mirrors), accepted=accept_license
                    )
                tell(resources, dataset, outcome)
        return Manifest.read_targets(resources, [dataset.name for dataset in datasets])

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
        return Manifest.read_targets(resources, words)

    def select(self, *targets: "str | os.PathLike[str]", download: bool = True, **options: Any) -> Manifest:
        """Join targets, then refine, filter, drop duplicates and sample: `Manifest.select` names the options."""
        whole = self.load(*targets, download=download)
        return whole._tell_selection(whole.select(**options))  # what a selection says is said in one place

    def verify(self, *names: str, quick: bool = False, jobs: int | None = None) -> Records:
        """Compare every cached file with its recorded checksum.

        Parameters
        ----------
        *names : str
            Datasets; all that are cached without any.
        quick : bool, default False
            Only sizes.
        jobs : int, optional
            Threads; all cores unless told.

        Returns
        -------
        Records
            The files that are wrong; `facts["files"]` counts all that were compared.

        """
        from dermdata import verification as room
        from dermdata.errors import CacheDamaged

        resources = self._resources
        chosen = (
            [resources.cache.folder(resources.catalog[name]) for name in names]
            if names
            else list(resources.cache.folders())
        )
        seen: list[Any] = []
        for folder in chosen:
            if not (folder.path / "receipt.json").exists():
                raise UsageError(
                    f"{folder.name} is not in the cache", hint=f"dermdata.fetch('{folder.name}')"
                )
            try:
                contents = folder.contents()
                seen += room.verify(
                    folder, contents, quick=quick, jobs=jobs or os.cpu_count() or 1, advance=lambda _: None
                )
            except CacheDamaged as error:
                seen.append(room.unreadable(folder, error))
        keys = ("dataset", "path", "status", "expected", "actual")
        wrong = [{key: getattr(one, key) for key in keys} for one in seen if one.status != "ok"]
        return Records(wrong, keys, {"files": len(seen)})

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
        from dermdata.api.locking import (
            fetch_locked,
            read_lock,
            rebuild_rows,
            require_as_locked,
            require_versions,
        )
        from dermdata.api.targets import Loaded
        from dermdata.manifest.image_files import ImageRoots

        resources = self._resources
        lock = read_lock(Path(file))
        require_versions(resources, lock)
        fetch_locked(resources, lock, accepted=accept_license)
        table, differences, by_file = rebuild_rows(resources, lock)
        for one in differences[:SHOWN]:
            resources.say(f"{one.key}: {one.problem} {one.column or ''}: {one.was} is {one.now}")
        require_as_locked(lock, differences, by_file=by_file)
        names = tuple(sorted(one.name for one in lock.datasets))
        folders = {name: resources.cache.folder(resources.catalog[name]).path for name in names}
        roots = ImageRoots(folders, datasets=resources.cache.root / "datasets")
        return Manifest(resources, Loaded(table, roots, names), PIPED)

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
        report: "str | os.PathLike[str] | None" = None,
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
        report : path, optional
            Write all of it as one offline page, too.

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
        from dermdata.api.evaluating import EvaluationRequest, evaluate_predictions

        truth = target if isinstance(target, Manifest) else self.load(target)
        request = EvaluationRequest(
            labels=labels, strict=strict, by=tuple(by), points=tuple(operating_points), resamples=bootstrap, seed=seed,
            min_group=min_group, report=None if report is None else Path(report),
        )  # fmt: skip
        return evaluate_predictions(self._resources, predictions, truth, request)

    # ------------------------------------------------------------------ splits

    def check_split(
        self, *targets: "str | os.PathLike[str]", known_by: Sequence[str] = (), near: bool = False
    ) -> Records:
        """Judge the split of targets, or one that somebody published as lists of images and parts.

        Parameters
        ----------
        *targets : str or path
            Names of datasets, and manifests; or tables (.csv, .tsv, .txt) of image ids and parts, several of which
            are a part each.
        known_by : sequence of str
            The datasets that a list's images are of; all that are cached without any.
        near : bool, default False
            Near duplicates in two parts are leaks too.

        Returns
        -------
        Records
            The leaks, as `Manifest.check_split` gives them.

        Raises
        ------
        UsageError, BadTable
            For what has no split, a list of which no image is known, and lists mixed with manifests.

        """
        from dermdata.api.split_lists import read_to_judge

        words = [os.fspath(target) for target in targets]
        return read_to_judge(self._resources, words, known_by).check_split(near=near)


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
