"""From a catalog file to where its bytes are: a request over HTTP, or a path on this machine.

`source = "<host>:<id>"` names the adapter module that knows how that host gives out files; a listing
`"<host>:<id>"` names the same module's list of all files under that id.

    around.py    Surroundings: whom an adapter may ask
    local.py     files on this machine that others laid out
    accounts.py  whose account a file needs, and what the person must do
    record.py    the catalog's word joined with the host's
    shape.py     reads the hosts' answers, field by field
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

from dermdata.errors import (
    ManualDownload,
    NetworkError,
    Offline,
    PersonMustAct,
    UnknownName,
    Unobtainable,
    UsageError,
)
from dermdata.model import Dataset, File, Request
from dermdata.sources.accounts import account_of, explained, guarded
from dermdata.sources.around import Head, Surroundings, nobody
from dermdata.sources.local import file_within
from dermdata.sources.record import direct, in_order

__all__ = [
    "HOSTS",
    "LISTS",
    "Surroundings",
    "explained",
    "listing",
    "official",
    "require_obtainable",
    "resolve",
]

LISTS = ("dataverse", "figshare", "gcs", "huggingface", "isic", "kaggle", "mendeley", "s3", "zenodo")
HOSTS = (
    "dataverse",
    "figshare",
    "gcs",
    "github",
    "huggingface",
    "kaggle",
    "mendeley",
    "package",
    "s3",
    "zenodo",
)


def resolve(dataset: Dataset, file: File, around: Surroundings) -> Request | Path:
    """Where to take the file from: mirrors first, then the catalog's word; checksums rule either way."""
    for mirror in around.mirrors:
        if "://" in mirror:
            continue
        if path := file_within(
            Path(mirror), Path(mirror) / dataset.name / file.name, UsageError, f"--mirror {mirror}"
        ):
            return path
    mirrored = tuple(
        f"{mirror.rstrip('/')}/{dataset.name}/{quote(file.name)}"
        for mirror in around.mirrors
        if "://" in mirror
    )
    return behind(mirrored, dataset, file, around) if mirrored else official(dataset, file, around)


def behind(mirrored: tuple[str, ...], dataset: Dataset, file: File, around: Surroundings) -> Request | Path:
    """The mirrors' addresses in front of the official ones.

    When the official host has to be asked first, or wants secrets, the mirrors are looked at: a file that
    one of them has needs no account and no answer of a host that may be out of reach.
    """
    try:
        request = official(dataset, file, replace(around, ask=nobody, read=nobody, head=None))
    except (Offline, PersonMustAct):
        request = None
    if isinstance(request, Path):
        return request
    if request and not request.secrets:
        return replace(request, urls=(*mirrored, *request.urls), mirrors=len(mirrored))
    if has(mirrored, around):
        return replace(direct(replace(file, urls=()), mirrored), mirrors=len(mirrored))
    found = official(dataset, file, around)
    if around.head is not None or isinstance(found, Path):
        return found
    # a token belongs to the official host: with a mirror in front, nobody gets it
    return replace(found, urls=(*mirrored, *found.urls), mirrors=len(mirrored), headers={}, secrets={})


def has(urls: tuple[str, ...], around: Surroundings) -> bool:
    """Whether one of the mirrors gives the file; no answer means no."""
    return around.head is not None and any(gives(url, around.head) for url in urls)


def gives(url: str, head: Callable[[Request], Head]) -> bool:
    try:
        head(Request(urls=(url,)))
    except NetworkError:
        return False
    return True


def official(dataset: Dataset, file: File, around: Surroundings) -> Request | Path:
    """What the entry itself says, without mirrors."""
    if file.source:
        host, _, identity = file.source.partition(":")
        return adapter(host)(dataset, file, identity, around)
    if account := account_of(dataset, file):
        return guarded(account, dataset, file, (), around)
    if file.urls:
        return direct(file, ())
    raise ManualDownload(
        f"{dataset.name}: {file.name} has no public address", hint=dataset.access.steps or dataset.homepage
    )


Adapter = Callable[[Dataset, File, str, Surroundings], Request | Path]
Lister = Callable[[str, Surroundings], tuple[File, ...]]


def adapter(host: str) -> Adapter:
    if host not in HOSTS:
        raise UnknownName("source", host, HOSTS)
    resolver: Adapter = import_module(f"dermdata.sources.{host}").resolve
    return resolver


def listing(place: str, around: Surroundings) -> tuple[File, ...]:
    """All files that a host lists under `<host>:<id>`, by name; UnknownName for a host that lists none."""
    host, _, identity = place.partition(":")
    if host not in LISTS:
        raise UnknownName("listing", host, LISTS)
    lister: Lister = import_module(f"dermdata.sources.{host}").listing
    return in_order(lister(identity, around), place)


def require_obtainable(dataset: Dataset, *, mirrored: bool = False) -> None:
    """Raise what the person must know or do before any request, if the entry says so.

    A file without an address can only come from a mirror, or from the person.
    """
    access = dataset.access
    if access.kind == "unavailable":
        nearest = f"the nearest: {', '.join(access.alternatives)}" if access.alternatives else None
        raise Unobtainable(f"{dataset.name} cannot be had: {access.evidence}", hint=nearest)
    addressed = [one for one in dataset.files if one.fetch and (one.source or one.urls or mirrored)]
    if not addressed and not dataset.listing:
        page = access.url or dataset.homepage
        said = f"{dataset.name} has no files to download whose addresses the catalog knows (access: {access.kind})"
        steps = access.steps or (
            f"see {page}" if page else f"`dermdata fetch {dataset.name} --from PATH` takes them"
        )
        raise ManualDownload(said, hint=f"{steps} {page}" if page and page not in steps else steps)
