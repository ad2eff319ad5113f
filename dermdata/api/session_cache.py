"""What a session does with the cache: it fetches, mirrors, verifies and looks after the files of datasets."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from dermdata.api.cached_datasets import list_cached, prune_cache, remove_cached, to_records
from dermdata.api.manifest import Manifest
from dermdata.api.models import find_model_folder, is_model, list_model_files
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.api.added_data import AddedManifest
    from dermdata.api.fetch_request import FetchOptions, Only
    from dermdata.model import Placement


class ModelFiles(Manifest):
    """Where a fetched model's files are; as a manifest it has no rows.

    A model's loader takes it for the folder: `AutoModel.from_pretrained(dd.fetch("monet"))`.

    Attributes
    ----------
    folders : mapping of str to pathlib.Path
        The folder of each model's files, laid out as at their host.

    """

    folders: Mapping[str, Path]

    @classmethod
    def find_cached(cls, resources: Resources, names: Sequence[str]) -> "ModelFiles":
        """The files of these models; UsageError for one that is not in the cache."""
        from dermdata.api.targets import Loaded
        from dermdata.manifest import SCHEMA
        from dermdata.manifest.image_roots import ImageRoots

        empty = Loaded(
            SCHEMA.empty_table(), ImageRoots({}, {}, resources.cache.root / "datasets", {}, ()), ()
        )
        found = cls(resources, empty, tuple(names))
        found.folders = {name: find_model_folder(resources, name) for name in names}
        return found

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<files of {', '.join(f'{name} in {folder}' for name, folder in self.folders.items())}>"

    @property
    def path(self) -> Path:
        """The folder of the model's files; UsageError where there are several models."""
        if len(self.folders) != 1:
            raise UsageError("these are the files of several models", hint="`folders` has the folder of each")
        return next(iter(self.folders.values()))

    @property
    def files(self) -> list[Path]:
        """Every file, by its path."""
        return list_model_files(self.folders)


class CacheMethods:
    """The methods of a session that bring files into the cache, or look after them."""

    _resources: Resources

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
        copy: str | None = None,
        copies: bool = True,
    ) -> Manifest:
        """Download, verify, unpack and harmonize datasets; what is here already is not fetched again.

        Parameters
        ----------
        *names : str
            Datasets and models of the catalog.
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
        copy : str, optional
            Take this copy of the dataset, by its name in `info`, in place of its publisher's files.
        copies : bool, default True
            Where the publisher's host refuses, take the next copy that gives the images.

        Returns
        -------
        Manifest
            All rows of these datasets that are here. For models alone a `ModelFiles`, whose `path` is the folder of the
            files.

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
            copy=copy, copies=copies,
        )  # fmt: skip
        report = StrictReport(request)
        fetch_datasets(self._resources, request, report)
        models = [name for name in report.paths if is_model(self._resources, name)]
        datasets = [name for name in report.paths if name not in models]
        if models and not datasets:
            return ModelFiles.find_cached(self._resources, models)
        return Manifest.read_targets(self._resources, datasets)

    def add(
        self,
        name: str,
        *sources: "str | os.PathLike[str]",
        table: "str | os.PathLike[str] | None" = None,
        columns: "Mapping[str, str] | None" = None,
        catalog: "str | os.PathLike[str] | None" = None,
        accept: "Sequence[str]" = (),
        modality: str | None = None,
        placement: "Placement" = "in-place",
        force: bool = False,
    ) -> "AddedManifest":
        """Make a dataset of one's own pictures: `dermdata add`.

        Parameters
        ----------
        name : str
            What it is to be called: lower case, digits and hyphens.
        *sources : path or str
            Folders, zips and tables, in any layout. They stay as they are. Or one record of a host: `"zenodo:123"`,
            `"hf:owner/name"`, a DOI, the address of its page.
        table : path, optional
            The table, where several name the pictures; of a record its name there.
        columns : mapping, optional
            Manifest field -> their column, "" for none; all others are inferred, and left out where that is not sure.
            The field of the pictures' names is `image`, of the diagnoses `label_raw`.
        catalog : path, optional
            The catalog folder to write the entry to; the session's last one unless told, and without any the person's own.
        accept : sequence of str
            What words of the labels mean, as `WORD=CONCEPT`, `WORD>CONCEPT` where the concept is wider, or
            `WORD<CONCEPT` where it is narrower; "all" takes every concept that is likely as well.
        modality : str, optional
            `dermoscopic`, `clinical`, …
        placement : {"in-place", "link", "copy"}, default "in-place"
            Whether pictures of a folder stay where they are, or the cache has hard links or copies of them.
        force : bool, default False
            Write over an entry that is there.

        Returns
        -------
        AddedManifest
            The rows, also where some name pictures that are missing or words have no concept: its `problem` is what the
            command ends with then, and its `report` says all that a person should know.

        Raises
        ------
        UsageError
            For a name that is taken, sources without a picture, a table that must be chosen.
        BadTable
            For a table that cannot be read.
        DermdataError
            Where no manifest could be made.

        """
        from dermdata.api.added_data import AddedManifest
        from dermdata.api.adding import add_dataset
        from dermdata.api.own_data import AddRequest, split_sources

        paths, record = split_sources(sources)
        request = AddRequest(
            name=name, sources=paths, record=record, table=None if table is None else Path(table),
            columns=dict(columns or {}), catalog=None if catalog is None else Path(catalog), accept=accept,
            modality=modality, placement=placement, force=force,
        )  # fmt: skip
        return AddedManifest.fetch(self._resources, request, add_dataset(self._resources, request))

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
            `facts["files"]` counts all that were compared, `facts["unfinished"]` names the datasets whose last fetch
            was interrupted or failed.

        Raises
        ------
        UsageError
            For a dataset that is not in the cache.
        ProblemsFound, NetworkError, StorageError, PersonMustAct
            Where a file cannot be fetched again.

        """
        from dermdata.api.verifying import repair_cached, verify_cached

        check = verify_cached(self._resources, names, quick=quick, jobs=jobs)
        if repair:
            check = repair_cached(self._resources, check)
        return check.to_records()

    @property
    def cache(self) -> "CachedDatasets":
        """What the cache holds: `path`, `list`, `remove`, `prune`, `bundle`, as `dermdata cache …`."""
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

    def check_sources(
        self,
        *names: str,
        report: "str | os.PathLike[str] | None" = None,
        update: "str | os.PathLike[str] | None" = None,
    ) -> Records:
        """Ask the hosts of these entries for one byte or their listing, and compare with the catalog.

        Nothing is downloaded; a host gets one request a second, and hosts are asked at once.

        Parameters
        ----------
        *names : str
            Datasets and models; all of the catalog without any.
        report : path, optional
            A JSON file that keeps all of it, with its date.
        update : path, optional
            A catalog folder whose `health.json` gets what was seen: `info` shows it.

        Returns
        -------
        Records
            `name, state, asked, files, detail, places`; `state` is the worst of its places: "whole", "changed", "gone",
            "refused", "unreachable" or "not-asked". `facts` have the time and how many entries are in each state.

        Raises
        ------
        UnknownName, UsageError
            For an entry that there is not, and a place that cannot be written to.
        Offline
            In an offline session.

        """
        from dermdata.api.source_check import check_sources

        return check_sources(
            self._resources,
            names,
            report=None if report is None else Path(report),
            update=None if update is None else Path(update),
        )


class CachedDatasets:
    """The cache of a session: the commands `dermdata cache …`, by their names."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def __repr__(self) -> str:
        return f"<cache {self.path}>"

    @property
    def path(self) -> Path:
        """The folder that datasets are fetched into."""
        return self._resources.settings.cache

    def remove(self, *names: str, dry_run: bool = False) -> Records:
        """Delete datasets, every version of them; what others share with them stays whole.

        Parameters
        ----------
        *names : str
            Datasets in the cache.
        dry_run : bool, default False
            Only tell what would be deleted.

        Returns
        -------
        Records
            `path, bytes` (that are freed), `shared_bytes` (that other datasets keep); `facts` have the bytes of all.

        Raises
        ------
        UsageError
            When one of them is not in the cache; nothing is deleted then.

        """
        return to_records(remove_cached(self._resources, names, dry_run=dry_run), "shared_bytes")

    def prune(self, *, dry_run: bool = False) -> Records:
        """Delete what killed runs left; partial downloads wait a week, and datasets in use are left alone.

        Parameters
        ----------
        dry_run : bool, default False
            Only tell what would be deleted.

        Returns
        -------
        Records
            `path, bytes, why`; `facts` have the bytes of all.

        """
        return to_records(prune_cache(self._resources, dry_run=dry_run), "why")

    def plan_bundle(self, *names: str, out: "str | os.PathLike[str]") -> Records:
        """Return what `bundle` would write: `dataset, version, bytes`; `facts` have the bytes of all."""
        from dermdata.api.offline_copies import plan_bundle

        return plan_bundle(self._resources, names, Path(out)).to_records()

    def bundle(self, *names: str, out: "str | os.PathLike[str]") -> str:
        """Write datasets, as they are, into one file, which `fetch(…, from_=[FILE])` takes on another machine.

        Parameters
        ----------
        *names : str
            Datasets in the cache.
        out : path
            The tar to write.

        Returns
        -------
        str
            The SHA-256 of the tar, in hexadecimal.

        Raises
        ------
        UsageError
            For a dataset that is not in the cache, or not complete.
        CacheDamaged
            For a file that is not what it was when it was fetched.

        """
        from dermdata.api.offline_copies import plan_bundle, write_bundle

        return write_bundle(self._resources, plan_bundle(self._resources, names, Path(out)))

    def list(self) -> Records:
        """Return what is there and how large it is, a record a dataset version.

        Returns
        -------
        Records
            The keys of `dermdata cache list`; `facts` have the bytes of all, each stored one counted once, and the
            bytes that are saved by sharing.

        """
        return list_cached(self._resources)
