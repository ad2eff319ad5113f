"""A session: which catalogs, cache and network its calls use; the module functions use one of the environment's."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dermdata.api.label_spaces import Differential, find_share
from dermdata.api.manifest import PIPED, Manifest
from dermdata.api.records import Records
from dermdata.api.resources import Resources, make_settings
from dermdata.api.session_cache import CacheMethods
from dermdata.api.session_catalog import CatalogMethods
from dermdata.markup import show_controls
from dermdata.progress import Progress
from dermdata.terminal import print_message
from dermdata.urls import redact_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dermdata.model import Dataset
    from dermdata.split import GroupBy


log = logging.getLogger("dermdata")
Target = "str | os.PathLike[str] | Manifest"
SHOWN = 20  # differing rows that are told one by one


class NotebookResources(Resources):
    """Resources whose notes go to the log, and to stderr where progress is wanted."""

    progress = True

    def say(self, text: str) -> None:
        """Log a note; show it too unless the session is silent."""
        log.info("%s", show_controls(redact_text(text)))
        if self.progress:
            print_message(text)

    @contextmanager
    def show_progress(self) -> Iterator[Progress]:
        """Show bars on a terminal and in a notebook, nothing in a silent session."""
        from dermdata.api.display import show_progress

        with show_progress(quiet=not self.progress, color="auto") as shown:
            yield shown


class Session(CatalogMethods, CacheMethods):
    """Catalogs, a cache and a network, and what can be done with them.

    Made by `dermdata.open_session`. The functions of the module `dermdata` are the methods of a session with the
    environment's settings.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def __repr__(self) -> str:
        return f"<session on the cache {self._resources.settings.cache}>"

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
        from dermdata.api.models import require_no_model

        words = [os.fspath(target) for target in targets]
        resources = self._resources
        for word in words:
            require_no_model(resources, word)
        missing = [
            word
            for word in words
            if word in resources.catalog and not resources.find_folder(word).manifest.exists()
        ]
        if missing and download:
            self.fetch(*missing, accept_license=accept_license)
        return Manifest.read_targets(resources, words)

    def select(self, *targets: "str | os.PathLike[str]", download: bool = True, **options: Any) -> Manifest:
        """Join targets, then refine, filter, drop duplicates and sample: `Manifest.select` names the options."""
        whole = self.load(*targets, download=download)
        return whole._tell_selection(whole.select(**options))  # what a selection says is said in one place

    def query(self, sql: str, *targets: "str | os.PathLike[str]") -> Records:
        """Ask manifests in SQL; reads only, and nothing but the manifests.

        Parameters
        ----------
        sql : str
            One SELECT. Tables: `images`, and each dataset by its name (with - in double quotes, or with _).
        *targets : str or path
            Names of datasets, and manifests by their paths; all that is cached without any.

        Returns
        -------
        Records
            The answer's rows, as plain values.

        Raises
        ------
        UsageError, UnknownName
            For a query that is wrong, or a table or column that there is not.

        """
        from dermdata.api.querying import open_query

        with open_query(self._resources, [os.fspath(target) for target in targets]) as asked:
            columns, rows = asked.rows(sql)
            return Records(list(rows), columns)

    def save_query(
        self,
        sql: str,
        *targets: "str | os.PathLike[str]",
        out: "str | os.PathLike[str]",
        paths: 'Literal["absolute", "relative"] | None' = None,
        allow_missing: bool = False,
    ) -> Path:
        """Write the answer of `query` as a file: .parquet, .csv, .jsonl or .arrow, by its ending.

        `paths` and `allow_missing` are those of `Manifest.save`.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        UsageError, UnknownName, ImagesMissing
            As of `query` and of `Manifest.save`, and for an ending that says no format.

        """
        from dermdata.api.exporting import require_out
        from dermdata.api.querying import open_query, write_answer

        require_out(os.fspath(out))
        words = [os.fspath(target) for target in targets]
        with open_query(self._resources, words) as asked:
            write_answer(
                self._resources,
                asked,
                sql,
                os.fspath(out),
                targets=words,
                paths=paths,
                allow_missing=allow_missing,
            )
        return Path(out)

    def check_split(
        self,
        *targets: "str | os.PathLike[str]",
        known_by: Sequence[str] = (),
        by: "GroupBy" = "auto",
        near: bool = False,
    ) -> Records:
        """Judge the split of targets, or one that somebody published as lists of images and parts.

        Parameters
        ----------
        *targets : str or path
            Names of datasets, and manifests; or tables of image ids and parts. Of several files each is a part.
        known_by : sequence of str
            The datasets that a list's images are of; all that are cached without any.
        by : {"auto", "patient", "lesion", "case", "image"}
            What must not be in two parts; "image" where no patient or lesion is known.
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
        return read_to_judge(self._resources, words, known_by).check_split(by=by, near=near)

    def evaluate(
        self,
        predictions: "str | os.PathLike[str] | pd.DataFrame | pa.Table",
        target: "Manifest | str | os.PathLike[str]",
        *,
        by: Sequence[str] = (),
        labels: str | None = None,
        strict: bool = False,
        differential: Differential | None = None,
        min_weight: float | None = None,
        operating_points: Sequence[str] = (),
        bootstrap: int = 1000,
        seed: int = 0,
        min_group: int = 30,
        where: str | None = None,
        split: str | None = None,
        exclude: Sequence[str] = (),
        report: "str | os.PathLike[str] | None" = None,
        figures: "str | os.PathLike[str] | None" = None,
        model_card: "str | os.PathLike[str] | None" = None,
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
            The label space that the predictions speak; else the target's own labels, what the columns tell, or its words.
        operating_points : sequence of str
            Such as "sensitivity=0.9" or "threshold=0.3".
        bootstrap : int, default 1000
            Resamples by patient, else lesion, else image; 0 gives no intervals.
        strict : bool, default False
            Raise where a row of the target has no class.
        differential : {"all", "top"}, optional
            A weighted differential has a class where all its weight lies in it, which is usual; "top": the heaviest.
        min_weight : float, optional
            The heaviest class of a differential, if it has at least this share of the weight.
        seed : int, default 0
            Another seed, other resamples.
        min_group : int, default 30
            Nothing is claimed of groups with fewer images.
        where : str, optional
            Only rows of the target of which this is true.
        split : str, optional
            Only this part of the target, such as "test".
        exclude : sequence of str
            Lists of images that are not judged, as `Manifest.exclude` takes them.
        report : path, optional
            Write all of it as one offline page, too.
        figures : path, optional
            A folder for each figure as SVG and CSV.
        model_card : path, optional
            Write a model card in Markdown, with what is known of the evaluation.

        Returns
        -------
        Records
            `by, value, n, metric, estimate, low, high`; `facts` has each group against the rest, the gaps, and what was
            not judged.

        Raises
        ------
        BadTable
            For predictions that cannot be read.

        """
        from dermdata.api.evaluating import EvaluationRequest, evaluate_predictions
        from dermdata.api.reports import EvaluationOutputs

        truth = target if isinstance(target, Manifest) else self.load(target)
        request = EvaluationRequest(
            labels=labels, strict=strict, share=find_share(labels, differential, min_weight), by=tuple(by),
            points=tuple(operating_points), resamples=bootstrap, seed=seed, min_group=min_group,
            where=where, split=split, exclude=tuple(exclude),
            outputs=EvaluationOutputs(report=to_path(report), figures=to_path(figures), card=to_path(model_card)),
        )  # fmt: skip
        return evaluate_predictions(self._resources, predictions, truth, request)

    def lock(self, *targets: "str | os.PathLike[str]", out: "str | os.PathLike[str]") -> Path:
        """Write the lock of these targets' rows, as `Manifest.lock` does, and of these models' files."""
        from dermdata.api.locking import lock_targets
        from dermdata.api.models import split_models

        words = [os.fspath(target) for target in targets]
        models, rest = split_models(self._resources, words)
        if not models:
            return self.load(*targets).lock(out)
        self.fetch(*models)
        if rest:
            self.load(*rest)
        lock_targets(self._resources, words, Path(out)).write(Path(out))
        return Path(out)

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
        from dermdata.api.targets import Loaded, make_image_roots

        resources = self._resources
        rebuilt = sync_cohort(resources, Path(file), accepted=accept_license)
        for one in rebuilt.differences[:SHOWN]:
            resources.say(f"{one.key}: {one.problem} {one.column or ''}: {one.was} is {one.now}")
        rebuilt.require_as_locked()
        names = tuple(sorted(one.name for one in rebuilt.lock.datasets))
        roots = make_image_roots(resources, dict.fromkeys(names, ()))
        return Manifest(resources, Loaded(rebuilt.table, roots, names), PIPED)

    def plan_sync(self, file: "str | os.PathLike[str]") -> Records:
        """Return what a lock names, and whether it is in the cache: `dataset, version, rows, cached`."""
        from dermdata.api.locking import plan_sync

        return plan_sync(self._resources, Path(file))


def open_session(
    *,
    cache: "str | os.PathLike[str] | None" = None,
    caches_read_only: "Sequence[str | os.PathLike[str]] | None" = None,
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
    caches_read_only : sequence of path, optional
        Further caches in which datasets are looked for, such as a group's shared one; nothing is written there.
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
    settings = make_settings(
        os.environ,
        cache=cache,
        caches_read_only=None if caches_read_only is None else tuple(map(Path, caches_read_only)),
        catalogs=[Path(one) for one in catalogs] or None,
        offline=offline,
        rewrite=[f"{source}={goal}" for source, goal in rewrite.items()] if rewrite else None,
    )
    resources = NotebookResources(settings)
    resources.progress = progress
    return Session(resources)


def default_session() -> Session:
    """A session as the environment says now: DERMDATA_CACHE and its like may change between two calls."""
    return open_session()


def catalog(**options: Any) -> "pd.DataFrame":
    """See `Session.catalog`."""
    return default_session().catalog(**options)


def info(name: str) -> "Dataset":
    """See `Session.info`."""
    return default_session().info(name)


def labels(name: str) -> "Records":
    """See `Session.labels`."""
    return default_session().labels(name)


def fetch(*names: str, **options: Any) -> "Manifest":
    """See `Session.fetch`."""
    return default_session().fetch(*names, **options)


def load(*targets: Any, **options: Any) -> "Manifest":
    """See `Session.load`."""
    return default_session().load(*targets, **options)


def select(*targets: Any, **options: Any) -> "Manifest":
    """See `Session.select`."""
    return default_session().select(*targets, **options)


def query(sql: str, *targets: "str | os.PathLike[str]") -> Records:
    """See `Session.query`."""
    return default_session().query(sql, *targets)


def verify(*names: str, **options: Any) -> "Records":
    """See `Session.verify`."""
    return default_session().verify(*names, **options)


def evaluate(predictions: Any, target: Any, **options: Any) -> "Records":
    """See `Session.evaluate`."""
    return default_session().evaluate(predictions, target, **options)


def lock(*targets: Any, out: Any) -> "Path":
    """See `Session.lock`."""
    return default_session().lock(*targets, out=out)


def sync(file: Any, **options: Any) -> "Manifest":
    """See `Session.sync`."""
    return default_session().sync(file, **options)


def to_path(path: "str | os.PathLike[str] | None") -> Path | None:
    """A path, where one is given."""
    return None if path is None else Path(path)
