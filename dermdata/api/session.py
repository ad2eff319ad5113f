"""A session: which catalogs, cache and network its calls use; the module functions use one of the environment's."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from dermdata.api.manifest import PIPED, Manifest
from dermdata.api.records import Records
from dermdata.api.resources import Resources, make_settings
from dermdata.markup import show_controls
from dermdata.progress import Progress
from dermdata.terminal import print_message
from dermdata.urls import redact_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dermdata.api.cached_datasets import CachedDatasets
    from dermdata.api.fetch_request import FetchOptions, Only
    from dermdata.api.label_alignment import SharedClasses
    from dermdata.model import Dataset

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

    def catalog(
        self,
        *,
        search: str | None = None,
        modality: str | None = None,
        task: str | None = None,
        access: str | None = None,
        license: str | None = None,  # noqa: A002  # the command's own word
        has: Sequence[str] = (),
        kind: Literal["dataset", "model", "all"] = "dataset",
        cached: bool = False,
        sort: str = "name",
    ) -> "pd.DataFrame":
        """Return what `dermdata list` knows: a row for each dataset.

        Parameters
        ----------
        search : str, optional
            Words that all stand in name, title, summary or aliases.
        modality, task, access : str, optional
            Such as "dermoscopic", "segmentation", "open".
        license : str, optional
            A license's id, or the beginning of one.
        has : sequence of str
            Only with these fields of the manifest, such as ("skin_tone",).
        kind : {"dataset", "model", "all"}, default "dataset"
            What to list.
        cached : bool, default False
            Only what is in the cache; the column `complete` says of which all rows are there.
        sort : str, default "name"
            A key to sort by; "-images" for descending.

        Returns
        -------
        pandas.DataFrame
            Its columns are the command line's keys, and `fetchable`: whether `fetch` knows where the files are and
            who may have them. An account or an accepted license may still be asked for.

        Raises
        ------
        UnknownName
            For a word that no entry has.

        """
        import pandas as pd

        from dermdata.api.catalog_entries import ListFilter, list_entries

        wanted = ListFilter(
            search=search, modality=modality, task=task, access=access, license=license, has=has, kind=kind, cached=cached
        )  # fmt: skip
        entries = list_entries(self._resources, wanted, sort)
        hidden = {"summary", "aliases", "fields"}
        rows = [
            {key: item[key] for key in item if key not in hidden}
            | {"fetchable": self._is_fetchable(item["name"])}
            for item in entries
        ]
        return pd.DataFrame(rows, columns=None if rows else [*entries.columns, "fetchable"])

    def _is_fetchable(self, name: str) -> bool:
        from dermdata.errors import PersonMustAct
        from dermdata.hosts import require_obtainable

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
        """Return how a dataset's own words map to concepts, a record a word; see `dermdata labels map`."""
        from dermdata.api.label_tables import map_labels

        return map_labels(self._resources, name)

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
        return Manifest.read_targets(self._resources, list(report.paths))

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

    # ------------------------------------------------------------------ entries and labels

    def card(self, name: str, *, facts: bool = False) -> str:
        """Return an entry as a card of text, 80 columns wide: what `dermdata info` prints.

        Parameters
        ----------
        name : str
            A dataset or model of the catalog.
        facts : bool, default False
            Say also where each fact comes from.

        Raises
        ------
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.catalog_entries import write_card

        return "\n".join(write_card(self._resources, name, facts=facts))

    def entry(self, name: str) -> dict[str, Any]:
        """Return an entry as one object: the item of `dermdata info --format json`.

        Returns
        -------
        dict
            The command line's keys; `labels` are the dataset's words and what they map to.

        Raises
        ------
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.catalog_entries import describe_entry

        return describe_entry(self._resources, name)

    def bibtex(self, name: str) -> str:
        """Return an entry's BibTeX.

        Raises
        ------
        UsageError
            For an entry without BibTeX.
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.catalog_entries import entry_bibtex

        return entry_bibtex(self._resources, name)

    def croissant(self, name: str) -> dict[str, Any]:
        """Return an entry as a Croissant document: JSON-LD for search engines and loaders of data.

        Raises
        ------
        UsageError
            For a model.
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.catalog_entries import entry_croissant

        return entry_croissant(self._resources, self._resources.catalog[name])

    def find_labels(self, text: str, *, limit: int = 20) -> Records:
        """Find concepts by label, synonym, a dataset's word or a code; typing errors are forgiven.

        Parameters
        ----------
        text : str
            Such as "bcc", "C43.9" or "melanomma".
        limit : int, default 20
            How many at most.

        Returns
        -------
        Records
            `concept, name, path, malignancy, matched, score`, the best first.

        """
        from dermdata.api.label_index import find_concepts

        return find_concepts(self._resources, text, limit)

    def label_tree(self, concept: str | None = None, *, depth: int | None = None) -> Records:
        """Return the diagnosis tree, each concept before what is below it.

        Parameters
        ----------
        concept : str, optional
            Only what is below it; the whole tree unless told.
        depth : int, optional
            How many levels.

        Returns
        -------
        Records
            `concept, name, parent, level, malignancy, synonyms, images`: the cached images of it or of what is below.

        Raises
        ------
        UnknownName
            For a concept that is not in the tree.

        """
        from dermdata.api.label_tables import list_concepts

        return list_concepts(self._resources, concept, depth)

    def align_labels(
        self, *names: str, max_loss: float | None = None, keep_all: bool = False
    ) -> "SharedClasses":
        """Find the finest label set that datasets share without ambiguity.

        Parameters
        ----------
        *names : str
            Datasets of the catalog.
        max_loss : float, optional
            Leave out labels of at most this share of the images, from 0 to 1, for a finer set.
        keep_all : bool, default False
            Leave no label out, whatever it glues.

        Returns
        -------
        SharedClasses
            `classes`, whose `facts` tell what is outside them and what more classes would cost, and `notes`.

        Raises
        ------
        UsageError
            For a dataset without label words.

        """
        from dermdata.api.label_alignment import align_labels

        return align_labels(self._resources, names, max_loss=max_loss, keep_all=keep_all)

    def propose_labels(
        self,
        table: "str | os.PathLike[str]",
        column: str,
        *,
        accept: Sequence[str] = (),
        out: "str | os.PathLike[str] | None" = None,
    ) -> Records:
        """Propose a concept for each word in a column of one's own CSV table.

        Parameters
        ----------
        table : path
            The CSV file.
        column : str
            The column that holds the words.
        accept : sequence of str
            Decisions: "WORD=CONCEPT", or "WORD=a+b" for one of several.
        out : path, optional
            Write what is sure or decided to this labels.tsv of a private catalog; its rows stay.

        Returns
        -------
        Records
            A record a word, the commonest first; `applied` tells whether it has a row in the crosswalk.

        Raises
        ------
        BadTable, UnknownName, UsageError
            For a table, column or decision that cannot be meant.

        """
        from dermdata.api.label_tables import propose_labels, write_crosswalk

        place = None if out is None else Path(out)
        proposed = propose_labels(self._resources, Path(table), column, accept, place)
        if place is not None:
            write_crosswalk(self._resources, place, proposed.labels)
        return proposed.records

    def export_labels(self, name: str) -> str:
        """Return a dataset's words and concepts as SSSOM, the mapping standard's TSV.

        Raises
        ------
        UsageError
            For a dataset without label words.

        """
        from dermdata.api.label_tables import export_sssom

        return export_sssom(self._resources, name)

    def review_labels(self, *names: str) -> Records:
        """Return the words whose concept a dermatologist should decide, and why.

        Parameters
        ----------
        *names : str
            Only of these datasets; of all unless told.

        Returns
        -------
        Records
            `dataset, field, raw_label, concept, name, count, reason`.

        """
        from dermdata.api.label_tables import list_doubts

        return list_doubts(self._resources, names)

    def diff_labels(self, old: "str | os.PathLike[str]", new: "str | os.PathLike[str]") -> Records:
        """Return what differs between the concepts, words and label spaces of two catalog folders.

        Returns
        -------
        Records
            `kind, what, name, raw_label, part, old, new`.

        Raises
        ------
        BadCatalog
            For a folder without labels, or with broken files.

        """
        from dermdata.api.label_tables import compare_catalogs

        return compare_catalogs(self._resources, Path(old), Path(new))

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

    def save_query(self, sql: str, *targets: "str | os.PathLike[str]", out: "str | os.PathLike[str]") -> Path:
        """Write the answer of `query` as a file: .parquet, .csv, .jsonl or .arrow, by its ending.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        UsageError, UnknownName
            As of `query`, and for an ending that says no format.

        """
        from dermdata.api.querying import open_query, write_answer
        from dermdata.api.write_manifest import require_out

        require_out(os.fspath(out))
        with open_query(self._resources, [os.fspath(target) for target in targets]) as asked:
            write_answer(self._resources, asked, sql, os.fspath(out))
        return Path(out)

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
    settings = make_settings(
        os.environ,
        cache=None if cache is None else Path(cache),
        catalogs=[Path(one) for one in catalogs] or None,
        offline=offline,
        rewrite=[f"{source}={goal}" for source, goal in rewrite.items()] if rewrite else None,
    )
    resources = NotebookResources(settings)
    resources.progress = progress
    return Session(resources)
