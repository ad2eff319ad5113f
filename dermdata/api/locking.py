"""Locks of cohorts: written, read, compared, and fetched again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata import __version__, disk
from dermdata.api.fetch_sources import SourceChoice, fetch_from_sources, find_recorded_entry
from dermdata.api.models import find_model_folder, require_same_files, split_models
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.subset import SubsetFetch
from dermdata.errors import CacheDamaged, CohortDiffers, UsageError
from dermdata.markup import count_nouns, count_share
from dermdata.process import count_cores

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.cache import Receipt
    from dermdata.cohort import CohortLock, DatasetLock, RowDifference
    from dermdata.fetching import FetchContext, FetchPlan, FetchResult
    from dermdata.fetching.subset import SubsetRequest
    from dermdata.manifest.image_files import PathForm
    from dermdata.model import Dataset


@dataclass(frozen=True)
class LockFetch(SubsetFetch):
    """The rows of one dataset in a lock, by key; the condition is only words, for the receipt."""

    keys: frozenset[str] = field(default=frozenset())

    def choose(self, table: "pa.Table") -> "pa.Table":
        """The rows that the lock names; says how many of how many, once the table tells."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = table.filter(pc.is_in(table["key"], pa.array(sorted(self.keys), pa.string())))
        if rows.num_rows and not self.ask.covers_all(rows.num_rows, table.num_rows, self.wants):
            what = "row" if self.wants.only == "metadata" else "image"
            dataset = table["dataset"][0].as_py()
            self.resources.say(
                f"{dataset}: only {count_share(rows.num_rows, table.num_rows, what, 'are')} in the lock"
            )
        return rows

    @property
    def ask(self) -> "SubsetRequest":
        from dermdata.fetching.subset import SubsetRequest

        return SubsetRequest(where=self.where, limit=None, choose=self.choose, of_lock=True)

    def is_here(self, receipt: "Receipt", tables: "FetchPlan") -> bool:
        """Whether earlier partial fetches, of this lock or not, brought these rows with all that is wanted."""
        part = receipt.part
        if part is None or not tables.is_empty:
            return False
        mine = {key.partition("/")[2] for key in self.keys}
        full = all(self.wants.roles <= set(one.roles) for one in part.asked)
        return (full and mine <= set(part.rows)) or super().is_here(receipt, tables)

    def is_of_archive(self, dataset: "Dataset") -> bool:
        """Whether the rows are few of an archive's, so that it is asked for them by their ids."""
        from dermdata.api.archive_search import can_search_ids

        return can_search_ids(dataset, self.list_ids(dataset))

    def list_ids(self, dataset: "Dataset") -> list[str]:
        return sorted(key.removeprefix(f"{dataset.name}/") for key in self.keys)

    def search_archive(
        self, dataset: "Dataset", context: "FetchContext", receipt: "Receipt | None"
    ) -> "tuple[Dataset, FetchContext, SubsetRequest]":
        """The entry with the locked records, on top of those that are here."""
        from dermdata.api.archive_search import add_chosen, choose_ids, count_records
        from dermdata.api.fetch_dataset import list_files

        ids, of = self.list_ids(dataset), count_records(dataset, context)
        if self.ask.covers_all(len(ids), of, self.wants):
            entry, context = list_files(self.resources, dataset, self.wants, context)
            return entry, context, self.ask
        found = choose_ids(dataset, ids, context)
        count = count_share(len(found.records), of, "image", "are")
        self.resources.say(f"{dataset.name}: only {count} in the lock")
        entry, context = add_chosen(self.resources, dataset, found, context, receipt)
        return entry, context, replace(self.ask, choose=found.take, of=of)

    def say_whole(self, dataset: "Dataset") -> None:
        """What is here is told with the outcome."""

    def say_all(self, dataset: "Dataset") -> None:
        self.resources.say(
            f"{dataset.name}: half of its rows or more are in the lock, so all of it is fetched"
        )

    def is_whole(self, receipt: "Receipt | None") -> bool:
        """Whether there is no part to choose: all rows are here or come, with what is wanted of them."""
        tables_will_do = self.wants.only == "metadata" and not (receipt and receipt.part)
        return tables_will_do or (receipt is not None and receipt.complete)

    def is_cached(self, dataset: "Dataset") -> bool:
        """Whether the locked rows are in the cache, as far as its receipt tells."""
        receipt = self.resources.cache.find_folder(dataset).receipt()
        if receipt is None or receipt.manifest_sha256 is None:
            return False
        return self.is_whole(receipt) or self.is_here(receipt, self.plan_tables(dataset))

    def fetch_missing(self, dataset: "Dataset", context: "FetchContext", *, accepted: bool) -> "FetchResult":
        """What the cache lacks of these rows; where it holds the dataset with all rows, what that lacks."""
        from dermdata.api.fetch_dataset import fetch_dataset

        if self.is_whole(self.resources.cache.find_folder(dataset).receipt()):
            return fetch_dataset(
                self.resources, dataset, self.wants, context, mirrored=False, accepted=accepted
            )
        return self.fetch(dataset, context, mirrored=False, accepted=accepted)


def open_lock_fetch(resources: "Resources", lock: "CohortLock", one: "DatasetLock") -> LockFetch:
    """What `sync` fetches of one dataset; one without images in the lock needs only its tables."""
    from dermdata.fetching import FetchSettings

    prefix = f"{one.name}/"
    keys = frozenset(key for key in lock.rows["key"].to_pylist() if key.startswith(prefix))
    digest = sha256("\n".join(sorted(keys)).encode()).hexdigest()
    words = f"those of a lock of {count_nouns(len(keys), 'row')} (sha256 of their keys {digest[:12]})"
    return LockFetch(resources, FetchSettings(only=None if one.images else "metadata"), words, None, keys)


LOCK_KEYS = ("name", "version", "rows", "images", "catalog_digest", "sources_digest")
PLAN_KEYS = ("dataset", "version", "rows", "cached")
DIFFERENCE_KEYS = ("key", "problem", "column", "was", "now")


@dataclass(frozen=True, kw_only=True)
class RebuiltCohort:
    """The rows of a lock as the cache gives them, and in what they are not those that were locked."""

    lock: "CohortLock"
    table: "pa.Table"
    differences: "Sequence[RowDifference]"
    by_file: bool  # reading the files told the differences, not their values

    def to_records(self) -> Records:
        """A row for each difference."""
        return Records([dict(vars(one)) for one in self.differences], DIFFERENCE_KEYS)

    def require_as_locked(self) -> None:
        """CohortDiffers where a row is not what it was."""
        if not self.differences:
            return
        names = sorted(one.name for one in self.lock.datasets)
        mend = f"; `dermdata verify {' '.join(names)} --repair` fetches such files again"
        raise CohortDiffers(
            summarize_differences(self.lock, self.differences),
            hint=f"nothing is written; the rows are listed above{mend if self.by_file else ''}",
        )

    def write(self, resources: Resources, out: str, paths: "PathForm | None" = None) -> None:
        """Write the manifest to a file by its ending, or as an Arrow stream to stdout for `-`."""
        from dermdata.api.exporting import save_manifest
        from dermdata.api.targets import make_image_roots
        from dermdata.manifest.lazy import LazyTable

        roots = make_image_roots(resources, dict.fromkeys((one.name for one in self.lock.datasets), ()))
        save_manifest(resources, LazyTable(self.table), roots, out, paths=paths)


@dataclass(frozen=True, kw_only=True)
class WrittenLock:
    """A lock that is made, and not yet written."""

    lock: "CohortLock"
    data: bytes  # of its file
    rows: int

    def to_records(self) -> Records:
        """A row for each dataset."""
        return Records([dict(vars(one)) for one in self.lock.datasets], LOCK_KEYS)

    def write(self, out: Path) -> None:
        """Write the file, whole or not at all."""
        disk.write_chunks(out, [self.data])


# ------------------------------------------------------------------ locking


def lock_targets(resources: Resources, targets: Sequence[str], out: Path) -> WrittenLock:
    """The rows of these targets as a lock that will be written to `out`; UsageError where it cannot be."""
    from dermdata.api.targets import load

    disk.require_file(out)
    models, rest = split_models(resources, targets)
    for name in models:
        find_model_folder(resources, name)
    table = load(resources, rest).table if rest or not models else read_cached(resources, models[0])
    return lock_table(resources, table, models)


def lock_table(resources: Resources, table: "pa.Table", models: Sequence[str] = ()) -> WrittenLock:
    """The rows, and the files of these models, as a lock.

    UsageError where there are none; CacheDamaged where an image is not the one that its row says.
    """
    from dermdata.cohort import lock_rows, lock_to_bytes, rebuild_rows

    if not table.num_rows and not models:
        raise UsageError("there is nothing to lock: the table has no rows")
    names = [*(require_cached(resources, table) if table.num_rows else ()), *dict.fromkeys(models)]
    bases = {name: read_cached(resources, name) for name in names}
    facts = [describe_dataset(resources, name, table) for name in bases]
    found = lock_rows(table, bases, facts, f"dermdata {__version__}")
    require_right_files(resources, rebuild_rows(found, bases), list(bases))
    if count := count_unverified(table):
        resources.say(
            f"warning: {count_nouns(count, 'row', 'have')} an unverified image: no published checksum covers it"
        )
    return WrittenLock(lock=found, data=lock_to_bytes(found), rows=table.num_rows)


# ------------------------------------------------------------------ rebuilding


def plan_sync(resources: Resources, file: Path) -> Records:
    """What a lock names, and whether the cache has it: a row a dataset."""
    lock = read_lock(resources, file)
    return Records([plan_locked(resources, lock, one) for one in lock.datasets], PLAN_KEYS)


def sync_cohort(resources: Resources, file: Path, *, accepted: bool) -> RebuiltCohort:
    """Fetch what is missing of a locked cohort, and rebuild its rows."""
    lock = read_lock(resources, file)
    fetch_locked(resources, lock, accepted=accepted)
    return rebuild_rows(resources, lock)


def read_lock(resources: Resources, file: Path) -> "CohortLock":
    """The lock in a file; UsageError where there is none, BadTable for what is none.

    CohortDiffers where the catalog has other versions of its datasets.
    """
    from dermdata.cohort import lock_from_bytes

    if not file.exists() or file.is_dir():
        raise UsageError(f"no lock file at {file}", hint="`dermdata lock TARGET -o FILE` makes one")
    with disk.storage_errors(file):
        lock = lock_from_bytes(file.read_bytes(), file.name)
    require_versions(resources, lock)
    return lock


def rebuild_rows(resources: Resources, lock: "CohortLock") -> RebuiltCohort:
    """The locked rows out of the cache, and each that is not what it was; their files are read where values agree."""
    from dermdata.cohort import compare_rows, rebuild_rows

    bases = {one.name: read_cached(resources, one.name) for one in lock.datasets}
    table = rebuild_rows(lock, bases)
    differences = compare_rows(lock, table)
    by_file = not differences
    if by_file:
        differences = find_wrong_files(resources, table, list(bases))
    return RebuiltCohort(lock=lock, table=table, differences=differences, by_file=by_file)


def summarize_differences(lock: "CohortLock", differences: "Sequence[RowDifference]") -> str:
    """How many rows differ, and in what."""
    kinds: dict[str, set[str]] = {}
    for one in differences:
        kinds.setdefault(one.problem, set()).add(one.key)
    words = {"gone": "gone", "image": "with another image", "mask": "with another mask"}
    words["value"] = "with another value"
    parts = ", ".join(f"{len(keys):,} {words[kind]}" for kind, keys in kinds.items())
    rows = len({one.key for one in differences})
    return f"{count_share(rows, lock.rows.num_rows, 'row', 'are')} not as they were locked: {parts}"


def count_unverified(table: "pa.Table") -> int:
    """Rows whose image came in part, without a published checksum that covers it."""
    import pyarrow.compute as pc

    if "verified" not in table.column_names:
        return 0
    return int(pc.sum(pc.equal(table["verified"], False)).as_py() or 0)


def require_cached(resources: Resources, table: "pa.Table") -> list[str]:
    """The datasets of the rows, all of which must be in the catalog and in the cache."""
    from dermdata.api.targets import list_datasets

    names = sorted(name or "" for name in list_datasets(table))
    for name in names:
        if name not in resources.catalog:
            raise UsageError(
                f"rows of {name or 'no dataset'} cannot be locked: no catalog knows it",
                hint="docs/private-catalogs.md shows how to add a dataset",
            )
        if not resources.find_folder(name).manifest.exists():
            raise UsageError(f"{name} is not in the cache", hint=f"dermdata fetch {name}")
    return names


def read_cached(resources: Resources, name: str) -> "pa.Table":
    from dermdata.manifest.parquet import read_manifest

    return read_manifest(resources.find_folder(name).manifest)


def find_wrong_files(resources: Resources, table: "pa.Table", names: Sequence[str]) -> "list[RowDifference]":
    """The rows whose image or mask in the cache is not the one that it must be; the files are read."""
    from dermdata.api.targets import make_image_roots
    from dermdata.cohort import list_wrong_files

    folders = {name: resources.find_folder(name) for name in names}
    roots = make_image_roots(resources, dict.fromkeys(names, ()))
    with resources.show_progress() as progress:
        return list_wrong_files(
            table, roots, lambda name: folders[name].iter_digests(), count_cores(), progress
        )


def require_right_files(resources: Resources, table: "pa.Table", names: Sequence[str]) -> None:
    """CacheDamaged when an image of the rows is not the one that their manifest says: what is locked must be so."""
    from dermdata.cohort import differences_text

    if wrong := find_wrong_files(resources, table, names):
        rows = len({one.key for one in wrong})
        raise CacheDamaged(
            f"{count_share(rows, table.num_rows, 'row', 'have')} another file "
            f"than the manifest says: {differences_text(wrong)}",
            hint=f"nothing is locked; `dermdata verify {' '.join(names)} --repair` fetches such files again",
        )


def describe_dataset(resources: Resources, name: str, table: "pa.Table") -> "DatasetLock":
    import pyarrow.compute as pc

    from dermdata.cohort import DatasetLock
    from dermdata.manifest.columns import text_column

    dataset = resources.catalog[name]
    rows = table.filter(pc.equal(text_column(table, "dataset"), name))
    return DatasetLock(
        name=name,
        version=dataset.version,
        rows=rows.num_rows,
        images=text_column(rows, "path").null_count < rows.num_rows,
        catalog_digest=resources.library.entry_digest(name),
        sources_digest=digest_files(resources, name),
    )


def digest_files(resources: Resources, name: str) -> str:
    """SHA-256 over the names and checksums of the files that the dataset's manifest was built from."""
    receipt = resources.find_folder(name).receipt()
    files = sorted((one.name, one.sha256) for one in receipt.files) if receipt else []
    return hashlib.sha256("\n".join(f"{sha}  {leaf}" for leaf, sha in files).encode()).hexdigest()


def plan_locked(resources: Resources, lock: "CohortLock", one: "DatasetLock") -> dict[str, object]:
    """What a lock names of one dataset or model, and whether the cache has it."""
    dataset = resources.catalog[one.name]
    if dataset.kind == "model":
        here = resources.find_folder(one.name).manifest.exists()
    else:
        entry = find_recorded_entry(resources, dataset)
        here = open_lock_fetch(resources, lock, one).is_cached(entry)
    return {"dataset": one.name, "version": one.version, "rows": one.rows, "cached": here}


def require_versions(resources: Resources, lock: "CohortLock") -> None:
    """Another version of a dataset has other rows: said before anything is downloaded."""
    for one in lock.datasets:
        if one.name not in resources.catalog:
            raise UsageError(
                f"no catalog knows {one.name}", hint="add the catalog it was locked with: --catalog DIR"
            )
        now = resources.catalog[one.name].version
        if now != one.version:
            raise CohortDiffers(
                f"{one.name} was locked in version {one.version}, the catalog has {now}",
                hint="use the catalog or the dermdata version it was locked with",
            )


def fetch_locked(resources: Resources, lock: "CohortLock", *, accepted: bool) -> None:
    """Fetch what the cache lacks of the locked rows; the rest of a dataset only where half of it is locked."""
    from dermdata.api.fetch_dataset import fetch_dataset, open_fetch_context
    from dermdata.api.fetch_outcome import tell_outcome
    from dermdata.api.fetch_request import take_all_added
    from dermdata.fetching import FetchSettings

    take_all_added(resources, [one.name for one in lock.datasets])
    with resources.show_progress() as progress, resources.transfer(progress) as transfer:
        for one in lock.datasets:
            dataset = resources.catalog[one.name]
            context = open_fetch_context(resources, transfer, progress, [], 1)
            if dataset.kind == "model":
                wants = FetchSettings()
                outcome = fetch_dataset(resources, dataset, wants, context, mirrored=False, accepted=accepted)
            else:
                found = open_lock_fetch(resources, lock, one)
                fetch = partial(found.fetch_missing, context=context, accepted=accepted)
                outcome = fetch_from_sources(resources, dataset, found.wants, SourceChoice(), fetch)
            tell_outcome(resources, dataset, outcome)
    for one in lock.datasets:
        if resources.catalog[one.name].kind == "model":
            require_same_files(one.name, one.sources_digest, digest_files(resources, one.name))
            continue
        if resources.library.entry_digest(one.name) != one.catalog_digest:
            resources.say(f"{one.name}: the catalog has changed since it was locked; the rows decide")
        receipt = resources.find_folder(one.name).receipt()
        in_part = receipt is not None and receipt.part is not None  # it holds other files than those locked
        if not in_part and digest_files(resources, one.name) != one.sources_digest:
            resources.say(f"{one.name}: the fetched files are not those it was locked with; the rows decide")
