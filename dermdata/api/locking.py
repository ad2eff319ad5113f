"""Cohorts as lock files: what is locked, what is fetched for a lock, and whether its rows are what they were."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata import __version__, disk
from dermdata.api.resources import Resources
from dermdata.errors import CacheDamaged, CohortDiffers, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.cohort import DatasetLock, Difference, Lock


def lock_table(resources: Resources, table: "pa.Table") -> "tuple[Lock, bytes]":
    """The rows as a lock, and its file's bytes; CacheDamaged where an image is not the one that its row says."""
    from dermdata.cohort import dumps, locked, rebuilt

    bases = {name: read_cached(resources, name) for name in require_cached(resources, table)}
    facts = [describe_dataset(resources, name, table) for name in bases]
    found = locked(table, bases, facts, f"dermdata {__version__}")
    require_right_files(resources, rebuilt(found, bases), list(bases))
    if count := count_unverified(table):
        resources.say(f"warning: {count:,} rows have an unverified image: no published checksum covers it")
    return found, dumps(found)


def read_lock(file: Path) -> "Lock":
    """The lock in a file; UsageError where there is none, BadTable for what is none."""
    from dermdata.cohort import loads

    if not file.exists() or file.is_dir():
        raise UsageError(f"no lock file at {file}", hint="`dermdata lock TARGET -o FILE` makes one")
    with disk.storage_errors(file):
        return loads(file.read_bytes(), file.name)


def rebuild_rows(resources: Resources, lock: "Lock") -> "tuple[pa.Table, list[Difference], bool]":
    """The locked rows out of the cache, each that is not what it was, and whether its file told that, not its values."""
    from dermdata.cohort import compared, rebuilt

    bases = {one.name: read_cached(resources, one.name) for one in lock.datasets}
    table = rebuilt(lock, bases)
    differences = compared(lock, table)
    if differences:
        return table, differences, False
    return table, find_wrong_files(resources, table, list(bases)), True


def require_as_locked(lock: "Lock", differences: "Sequence[Difference]", *, by_file: bool) -> None:
    """CohortDiffers where a row is not what it was; `by_file`: that is what reading the files told."""
    if not differences:
        return
    names = sorted(one.name for one in lock.datasets)
    mend = f"; `dermdata verify {' '.join(names)} --repair` fetches such files again" if by_file else ""
    raise CohortDiffers(
        summarize_differences(lock, differences),
        hint=f"nothing is written; the rows are listed above{mend}",
    )


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
    from dermdata.api.lock_fetch import fetch_of

    here = fetch_of(resources, lock, one).cached(resources.catalog[one.name])
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
    from dermdata.api.fetch_report import tell
    from dermdata.api.lock_fetch import fetch_of

    with resources.show_progress() as progress, resources.transfer() as transfer:
        for one in lock.datasets:
            dataset = resources.catalog[one.name]
            workshop = open_workshop(resources, transfer, progress, [], 1)
            outcome = fetch_of(resources, lock, one).brought(dataset, workshop, accepted=accepted)
            tell(resources, dataset, outcome)
    for one in lock.datasets:
        if resources.library.digest_of(one.name) != one.catalog_digest:
            resources.say(f"{one.name}: the catalog has changed since it was locked; the rows decide")
        receipt = resources.cache.folder(resources.catalog[one.name]).receipt()
        partial = receipt is not None and receipt.part is not None  # it holds other files than those locked
        if not partial and digest_files(resources, one.name) != one.sources_digest:
            resources.say(f"{one.name}: the fetched files are not those it was locked with; the rows decide")
