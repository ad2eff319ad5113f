"""Cohorts as lock files: what is locked, what is fetched for a lock, and whether its rows are what they were."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata import __version__, disk
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import CacheDamaged, CohortDiffers, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.cohort import DatasetLock, Difference, Lock

LOCK_KEYS = ("name", "version", "rows", "images", "catalog_digest", "sources_digest")
PLAN_KEYS = ("dataset", "version", "rows", "cached")
DIFFERENCE_KEYS = ("key", "problem", "column", "was", "now")


@dataclass(frozen=True, kw_only=True)
class RebuiltCohort:
    """The rows of a lock as the cache gives them, and in what they are not those that were locked."""

    lock: "Lock"
    table: "pa.Table"
    differences: "Sequence[Difference]"
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

    def write(self, out: str) -> None:
        """Write the manifest to a file by its ending, or as an Arrow stream to stdout for `-`."""
        from dermdata.api.write_manifest import write_manifest
        from dermdata.manifest.rest import Rows

        write_manifest(Rows(self.table), out, {})


@dataclass(frozen=True, kw_only=True)
class CohortLock:
    """A lock that is made, and not yet written."""

    lock: "Lock"
    data: bytes  # of its file
    rows: int

    def to_records(self) -> Records:
        """A row for each dataset."""
        return Records([dict(vars(one)) for one in self.lock.datasets], LOCK_KEYS)

    def write(self, out: Path) -> None:
        """Write the file, whole or not at all."""
        disk.write(out, [self.data])


# ------------------------------------------------------------------ locking


def lock_targets(resources: Resources, targets: Sequence[str], out: Path) -> CohortLock:
    """The rows of these targets as a lock that will be written to `out`; UsageError where it cannot be."""
    from dermdata.api.targets import load

    disk.require_file(out)
    return lock_table(resources, load(resources, targets).table)


def lock_table(resources: Resources, table: "pa.Table") -> CohortLock:
    """The rows as a lock.

    UsageError where there are none; CacheDamaged where an image is not the one that its row says.
    """
    from dermdata.cohort import dumps, locked, rebuilt

    if not table.num_rows:
        raise UsageError("there is nothing to lock: the table has no rows")
    bases = {name: read_cached(resources, name) for name in require_cached(resources, table)}
    facts = [describe_dataset(resources, name, table) for name in bases]
    found = locked(table, bases, facts, f"dermdata {__version__}")
    require_right_files(resources, rebuilt(found, bases), list(bases))
    if count := count_unverified(table):
        resources.say(f"warning: {count:,} rows have an unverified image: no published checksum covers it")
    return CohortLock(lock=found, data=dumps(found), rows=table.num_rows)


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


def read_lock(resources: Resources, file: Path) -> "Lock":
    """The lock in a file; UsageError where there is none, BadTable for what is none.

    CohortDiffers where the catalog has other versions of its datasets.
    """
    from dermdata.cohort import loads

    if not file.exists() or file.is_dir():
        raise UsageError(f"no lock file at {file}", hint="`dermdata lock TARGET -o FILE` makes one")
    with disk.storage_errors(file):
        lock = loads(file.read_bytes(), file.name)
    require_versions(resources, lock)
    return lock


def rebuild_rows(resources: Resources, lock: "Lock") -> RebuiltCohort:
    """The locked rows out of the cache, and each that is not what it was; their files are read where values agree."""
    from dermdata.cohort import compared, rebuilt

    bases = {one.name: read_cached(resources, one.name) for one in lock.datasets}
    table = rebuilt(lock, bases)
    differences = compared(lock, table)
    by_file = not differences
    if by_file:
        differences = find_wrong_files(resources, table, list(bases))
    return RebuiltCohort(lock=lock, table=table, differences=differences, by_file=by_file)


def summarize_differences(lock: "Lock", differences: "Sequence[Difference]") -> str:
    """How many rows differ, and in what."""
    kinds: dict[str, set[str]] = {}
    for one in differences:
        kinds.setdefault(one.problem, set()).add(one.key)
    words = {"gone": "gone", "image": "with another image", "mask": "with another mask"}
    words["value"] = "with another value"
    parts = ", ".join(f"{len(keys):,} {words[kind]}" for kind, keys in kinds.items())
    rows = len({one.key for one in differences})
    return f"{rows:,} of {lock.rows.num_rows:,} rows are not as they were locked: {parts}"


def count_unverified(table: "pa.Table") -> int:
    """Rows whose image came in part, without a published checksum that covers it."""
    import pyarrow.compute as pc

    if "verified" not in table.column_names:
        return 0
    return int(pc.sum(pc.equal(table["verified"], False)).as_py() or 0)


def require_cached(resources: Resources, table: "pa.Table") -> list[str]:
    """The datasets of the rows, all of which must be in the catalog and in the cache."""
    from dermdata.api.targets import datasets_of

    names = sorted(name or "" for name in datasets_of(table))
    for name in names:
        if name not in resources.catalog:
            raise UsageError(
                f"rows of {name or 'no dataset'} cannot be locked: no catalog knows it",
                hint="docs/private-catalogs.md shows how to add a dataset",
            )
        if not resources.cache.folder(resources.catalog[name]).manifest.exists():
            raise UsageError(f"{name} is not in the cache", hint=f"dermdata fetch {name}")
    return names


def read_cached(resources: Resources, name: str) -> "pa.Table":
    from dermdata.manifest import store

    return store.read(resources.cache.folder(resources.catalog[name]).manifest)


def find_wrong_files(resources: Resources, table: "pa.Table", names: Sequence[str]) -> "list[Difference]":
    """The rows whose image or mask in the cache is not the one that it must be; the files are read."""
    from dermdata.cohort import wrong_files
    from dermdata.manifest.image_files import ImageRoots

    folders = {name: resources.cache.folder(resources.catalog[name]) for name in names}
    roots = ImageRoots(
        {name: folder.path for name, folder in folders.items()}, datasets=resources.cache.root / "datasets"
    )
    with resources.show_progress() as progress:
        return wrong_files(table, roots, lambda name: folders[name].listed(), os.cpu_count() or 1, progress)


def require_right_files(resources: Resources, table: "pa.Table", names: Sequence[str]) -> None:
    """CacheDamaged when an image of the rows is not the one that their manifest says: what is locked must be so."""
    from dermdata.cohort import shown

    if wrong := find_wrong_files(resources, table, names):
        rows = len({one.key for one in wrong})
        raise CacheDamaged(
            f"{rows:,} of {table.num_rows:,} rows have another file than the manifest says: {shown(wrong)}",
            hint=f"nothing is locked; `dermdata verify {' '.join(names)} --repair` fetches such files again",
        )


def describe_dataset(resources: Resources, name: str, table: "pa.Table") -> "DatasetLock":
    import pyarrow.compute as pc

    from dermdata.cohort import DatasetLock
    from dermdata.projection import words_of

    dataset = resources.catalog[name]
    rows = table.filter(pc.equal(words_of(table, "dataset"), name))
    return DatasetLock(
        name=name,
        version=dataset.version,
        rows=rows.num_rows,
        images=words_of(rows, "path").null_count < rows.num_rows,
        catalog_digest=resources.library.digest_of(name),
        sources_digest=digest_files(resources, name),
    )


def digest_files(resources: Resources, name: str) -> str:
    """SHA-256 over the names and checksums of the files that the dataset's manifest was built from."""
    receipt = resources.cache.folder(resources.catalog[name]).receipt()
    files = sorted((one.name, one.sha256) for one in receipt.files) if receipt else []
    return hashlib.sha256("\n".join(f"{sha}  {leaf}" for leaf, sha in files).encode()).hexdigest()


def plan_locked(resources: Resources, lock: "Lock", one: "DatasetLock") -> dict[str, object]:
    from dermdata.api.lock_fetch import open_lock_fetch

    here = open_lock_fetch(resources, lock, one).is_cached(resources.catalog[one.name])
    return {"dataset": one.name, "version": one.version, "rows": one.rows, "cached": here}


def require_versions(resources: Resources, lock: "Lock") -> None:
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


def fetch_locked(resources: Resources, lock: "Lock", *, accepted: bool) -> None:
    """Fetch what the cache lacks of the locked rows; the rest of a dataset only where half of it is locked."""
    from dermdata.api.fetch_dataset import open_workshop
    from dermdata.api.fetch_report import tell_outcome
    from dermdata.api.lock_fetch import open_lock_fetch

    with resources.show_progress() as progress, resources.transfer() as transfer:
        for one in lock.datasets:
            dataset = resources.catalog[one.name]
            workshop = open_workshop(resources, transfer, progress, [], 1)
            outcome = open_lock_fetch(resources, lock, one).fetch_missing(
                dataset, workshop, accepted=accepted
            )
            tell_outcome(resources, dataset, outcome)
    for one in lock.datasets:
        if resources.library.digest_of(one.name) != one.catalog_digest:
            resources.say(f"{one.name}: the catalog has changed since it was locked; the rows decide")
        receipt = resources.cache.folder(resources.catalog[one.name]).receipt()
        partial = receipt is not None and receipt.part is not None  # it holds other files than those locked
        if not partial and digest_files(resources, one.name) != one.sources_digest:
            resources.say(f"{one.name}: the fetched files are not those it was locked with; the rows decide")
