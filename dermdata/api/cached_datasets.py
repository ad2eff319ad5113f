"""What the cache holds: listed with its size, deleted, swept of what killed runs left."""

import shutil
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import CacheBusy, CacheDamaged, StorageError, UsageError
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.cache import DatasetFolder, DiskUsage, Leftover

LIST_KEYS = (
    "dataset",
    "version",
    "bytes",
    "shared_bytes",
    "images",
    "unverified",
    "complete",
    "path",
    "fetched_at",
)
WEEK = 7 * 24 * 3600  # seconds; a partial that old belongs to nobody
AT_ONCE = -1.0  # seconds of patience


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """A file or folder of the cache that is deleted, or would be."""

    path: Path
    bytes: int  # that are freed
    shared_bytes: int = 0  # further ones, that other datasets keep
    why: str | None = None  # no fetch needs it; None: somebody asked for it by name


def to_records(deletions: Iterable[Deletion], extra: str) -> Records:
    """The deletions as rows, with one more of their facts."""
    keys = ("path", "bytes", extra)
    rows = [{key: getattr(one, key) for key in keys} for one in deletions]
    return Records(rows, keys, {"bytes": sum(row["bytes"] for row in rows)})


# ------------------------------------------------------------------ looking


def list_cached(resources: Resources) -> Records:
    """Each dataset version and how large it is; `facts` have the bytes of all, and those saved by sharing.

    Whole files that a failed fetch left for the next one are no dataset: they are told, and counted in `facts`.
    """
    from dermdata.cache import measure_usage, total_bytes
    from dermdata.cache.cleanup import holds_kept_files_only

    caches = resources.cache.all_caches
    folders = [folder for cache in caches for name in cache.names() for folder in cache.versions(name)]
    usages = [measure_usage(folder.path) for folder in folders]
    rows, kept = [], {}
    for folder, used in zip(folders, usages, strict=True):
        if holds_kept_files_only(folder):
            kept[folder.name] = used.bytes
            resources.say(
                f"{folder.name}: {format_size(used.bytes)} of a fetch that failed are kept: `dermdata fetch "
                f"{folder.name}` goes on from them, `dermdata cache remove {folder.name}` deletes them"
            )
        else:
            rows.append(describe_folder(folder, used))
    total = total_bytes(usages)
    saved = sum(used.bytes for used in usages) - total
    return Records(rows, LIST_KEYS, {"bytes": total, "saved_bytes": saved, "kept_bytes": kept})


def describe_folder(folder: "DatasetFolder", used: "DiskUsage") -> dict[str, Any]:
    """One dataset version; without a receipt that can be read it is shown as incomplete, not hidden."""
    row: dict[str, Any] = {
        "dataset": folder.name,
        "version": folder.version,
        "bytes": used.bytes,
        "shared_bytes": used.shared,
        "path": str(folder.path),
    }
    try:
        receipt = folder.receipt()
    except (CacheDamaged, StorageError):
        receipt = None
    if receipt is None:
        return {**row, "images": None, "unverified": None, "complete": False, "fetched_at": None}
    return {
        **row,
        "version": receipt.version,
        "images": receipt.report.get("rows", 0) - receipt.report.get("rows_without_image", 0)
        if receipt.report
        else None,
        "unverified": receipt.report.get("unverified"),  # images; None: not built, or by an older version
        "complete": receipt.complete and folder.manifest.exists(),
        "fetched_at": max((file.fetched_at for file in receipt.files), default=None),
    }


def find_cached(resources: Resources, names: Iterable[str], *, own: bool = False) -> "list[DatasetFolder]":
    """Every version of the named datasets, in the first cache that has any, or in our `own`; UsageError for others."""
    caches = resources.cache.all_caches[: 1 if own else None]
    first = {name: cache for cache in reversed(caches) for name in cache.names()}
    return [folder for name in find_names(resources, names, first) for folder in first[name].versions(name)]


def find_names(resources: Resources, names: Iterable[str], there: Container[str]) -> list[str]:
    """The named datasets as the cache calls them; UsageError when one of them is not `there`."""
    known = {name: name if name in there else find_official(resources, name) for name in names}
    absent = [name for name, found in known.items() if found not in there]
    if absent:
        further = {name for cache in resources.cache.all_caches[1:] for name in cache.names()}
        hint = "what is in a cache that is only read stays there" if further.intersection(absent) else None
        hint = hint or f"`dermdata cache list` shows what is, `dermdata fetch {' '.join(absent)}` brings it"
        raise UsageError(f"not in the cache: {', '.join(absent)}", hint=hint)
    return list(dict.fromkeys(known.values()))


def find_official(resources: Resources, name: str) -> str:
    """The catalog's name for an alias; what the catalog does not know stays as it is."""
    try:
        return resources.catalog[name].name
    except UsageError:
        return name


# ------------------------------------------------------------------ deleting


def remove_cached(resources: Resources, names: Iterable[str], *, dry_run: bool) -> Iterator[Deletion]:
    """Delete every version of these datasets, one by one; what others share with them stays whole.

    UsageError, before anything is deleted, when one of them is not there.
    """
    from dermdata.cache import measure_usage

    for folder in find_cached(resources, names, own=True):
        used = measure_usage(folder.path)
        if dry_run:
            yield Deletion(path=folder.path, bytes=used.own, shared_bytes=used.shared)
            continue
        with resources.cache.lock(folder.name, waiting=resources.say):
            freed = resources.cache.remove(folder)
        yield Deletion(path=folder.path, bytes=freed, shared_bytes=used.shared)


def prune_cache(resources: Resources, *, dry_run: bool) -> Iterator[Deletion]:
    """Sweep what killed runs left, one by one: partial downloads, temporary files, archives that are unpacked already.

    Partials wait a week, since the next fetch continues them; nothing of a dataset in use is touched.
    """
    from dermdata.cache import measure_usage

    for one in find_leftovers(resources) if dry_run else lock_leftovers(resources):
        used = measure_usage(one.path)
        if not dry_run:
            discard(one.path)
        yield Deletion(path=one.path, bytes=used.own, why=one.why)


def find_leftovers(resources: Resources) -> "Iterator[Leftover]":
    """All leftovers but those of datasets in use, without taking a lock: it works on a read-only cache."""
    for name in (None, *resources.cache.names()):
        if name and (holder := resources.cache.holder(name)):
            resources.say(f"{name}: in use by {holder}, left alone")
        else:
            yield from list_leftovers(resources, name)


def lock_leftovers(resources: Resources) -> "Iterator[Leftover]":
    """All leftovers, each dataset's while its lock is held."""
    for name in (None, *resources.cache.names()):
        found = list_leftovers(resources, name)
        if name is None or not found:
            yield from found
            continue
        try:
            with resources.cache.lock(name, waiting=lambda _: None, patience=AT_ONCE):
                yield from list_leftovers(resources, name)  # anew: its holder may have just finished them
        except CacheBusy as error:
            resources.say(f"{error.message}, left alone")


def list_leftovers(resources: Resources, name: str | None) -> "list[Leftover]":
    from dermdata.archive import safe_name

    return resources.cache.find_leftovers(name, time.time() - WEEK, safe_name)


def discard(leftover: Path) -> None:
    from dermdata import disk

    with disk.storage_errors(leftover):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
