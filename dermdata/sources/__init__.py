"""From a catalog file to where its bytes are: a request over HTTP, or a path on this machine.

`source = "<host>:<id>"` names the adapter module that knows how that host gives out files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

from dermdata.errors import ManualDownload, UnknownName, Unobtainable
from dermdata.model import Dataset, File, Request

HOSTS = ("dataverse", "package")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What resolving may look at besides the entry: catalog folders, mirrors, the environment."""

    catalogs: tuple[Path, ...]  # folders, the last one wins
    mirrors: tuple[str, ...] = ()  # addresses or folders: <mirror>/<dataset>/<file name>
    environment: Mapping[str, str] | None = None


def resolve(dataset: Dataset, file: File, around: Surroundings) -> Request | Path:
    """Where to take the file from: mirrors first, then the catalog's word; checksums rule either way."""
    for mirror in around.mirrors:
        if "://" not in mirror and (path := Path(mirror) / dataset.name / file.name).is_file():
            return path
    mirrored = tuple(
        f"{mirror.rstrip('/')}/{dataset.name}/{quote(file.name)}"
        for mirror in around.mirrors
        if "://" in mirror
    )
    request = official(dataset, file, around)
    if isinstance(request, Path) or not mirrored:
        return request
    # a token belongs to the official host: with a mirror in front, nobody gets it
    return replace(request, urls=(*mirrored, *request.urls), headers={}, secrets={})


def official(dataset: Dataset, file: File, around: Surroundings) -> Request | Path:
    if file.source:
        host, _, identity = file.source.partition(":")
        return adapter(host)(dataset, file, identity, around)
    if file.urls:
        return Request(urls=file.urls, size=file.size, checksum=file.checksum, archive=file.unpack)
    raise ManualDownload(
        f"{dataset.name}: {file.name} has no public address", hint=dataset.access.steps or dataset.homepage
    )


Adapter = Callable[[Dataset, File, str, Surroundings], Request | Path]


def adapter(host: str) -> Adapter:
    if host not in HOSTS:
        raise UnknownName("source", host, HOSTS)
    resolver: Adapter = import_module(f"dermdata.sources.{host}").resolve
    return resolver


def require_obtainable(dataset: Dataset) -> None:
    """Raise what the person must know or do before any request, if the entry says so."""
    access = dataset.access
    if access.kind == "unavailable":
        nearest = f"the nearest: {', '.join(access.alternatives)}" if access.alternatives else None
        raise Unobtainable(f"{dataset.name} cannot be had: {access.evidence}", hint=nearest)
    if not any(file.fetch for file in dataset.files):
        steps = access.steps or f"see {access.url or dataset.homepage}"
        raise ManualDownload(f"{dataset.name} has no files to download", hint=steps)
