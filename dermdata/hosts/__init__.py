"""From a catalog file to where its bytes are: a request over HTTP, or a path on this machine.

`source = "<host>:<id>"` names the module that knows how that host gives out files; a listing
`"<host>:<id>"` names the same module's list of all files under that id.

    base.py       what all hosts share: whom they may ask, checked JSON fields, the catalog's word first
    accounts.py   whose account a file needs, and what the person must do
    addresses.py  a record as people write it, as `<host>:<id>`
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from dermdata.catalogs.entries import has_address
from dermdata.errors import (
    HostRefused,
    ManualDownload,
    NetworkError,
    Offline,
    PersonMustAct,
    UnknownName,
    Unobtainable,
    UsageError,
)
from dermdata.hosts.accounts import (
    explain_download_error,
    explain_listing_errors,
    find_account,
    make_guarded_request,
)
from dermdata.hosts.addresses import FORMS, REGISTRY, find_page_place
from dermdata.hosts.base import (
    FileHead,
    JsonObject,
    RecordFacts,
    ResolveContext,
    find_file_inside,
    make_request,
    refuse_network,
    require_some,
    sort_listing,
)
from dermdata.model import Access, Dataset, File, ListedArchive, Request

__all__ = [
    "HOSTS",
    "LISTING_HOSTS",
    "ResolveContext",
    "bundle_files",
    "explain_download_error",
    "explain_listing_errors",
    "list_files",
    "require_obtainable",
    "resolve",
    "resolve_official",
    "state_record",
]

LISTING_HOSTS = (
    "dataverse", "figshare", "gcs", "github", "huggingface", "isic", "isicdoi", "kaggle", "mendeley", "osf", "s3",
    "zenodo",
)  # fmt: skip
HOSTS = (
    "dataverse", "dropbox", "figshare", "gcs", "gdrive", "github", "huggingface", "isicdoi", "kaggle", "mendeley", "osf",
    "package", "s3", "zenodo",
)  # fmt: skip
# hosts that stop whoever asks for many files one by one -> whether parts of their zip can be asked for
BUNDLING_HOSTS: Mapping[str, bool] = MappingProxyType({"kaggle": True, "osf": False})
MOST_SINGLE_FILES = 50
Resolver = Callable[[Dataset, File, str, ResolveContext], Request | Path]
Lister = Callable[[str, ResolveContext], tuple[File, ...]]
Describer = Callable[[str, ResolveContext], RecordFacts]
DOI_REGISTRY = "https://doi.org/api/handles"  # says where a DOI leads without going there


def resolve(dataset: Dataset, file: File, context: ResolveContext) -> Request | Path:
    """Where to take the file from: mirrors first, then what the catalog says; checksums rule either way.

    Parameters
    ----------
    dataset, file
        The catalog entry, and one of its files.
    context
        Mirrors, catalog folders, credentials, and how hosts are asked.

    Returns
    -------
    Request or Path
        Addresses in the order to try them, or a file on this machine.

    Raises
    ------
    PersonMustAct
        If an account is needed and there are no credentials, or there is no public address.
    UsageError
        If a link, pipe or device stands in the file's place in a mirror folder.
    UnknownName, BadCatalog
        If the entry names an unknown host, or an identity that the host does not have.
    NetworkError, IntegrityError
        If the host that must be asked does not answer, or answers something else.

    """
    for mirror in context.mirrors:
        if "://" in mirror:
            continue
        if path := find_file_inside(
            Path(mirror), Path(mirror) / dataset.name / file.name, UsageError, f"--mirror {mirror}"
        ):
            return path
    mirrored = tuple(
        f"{mirror.rstrip('/')}/{dataset.name}/{quote(file.name)}"
        for mirror in context.mirrors
        if "://" in mirror
    )
    return (
        resolve_behind_mirrors(mirrored, dataset, file, context)
        if mirrored
        else resolve_official(dataset, file, context)
    )


def resolve_behind_mirrors(
    mirrored: tuple[str, ...], dataset: Dataset, file: File, context: ResolveContext
) -> Request | Path:
    """The mirrors' addresses in front of the official ones.

    When the official host has to be asked first, or wants secrets, the mirrors are asked first: a file that
    one of them has needs no account and no answer of a host that may be out of reach.
    """
    try:
        request = resolve_official(
            dataset,
            file,
            replace(context, ask=refuse_network, ask_page=refuse_network, read=refuse_network, head=None),
        )
    except (Offline, PersonMustAct):
        request = None
    if isinstance(request, Path):
        return request
    if request and not request.secrets:
        return replace(request, urls=(*mirrored, *request.urls), mirrors=len(mirrored))
    if has_file(mirrored, context):
        return replace(make_request(replace(file, urls=()), mirrored), mirrors=len(mirrored))
    found = resolve_official(dataset, file, context)
    if context.head is not None or isinstance(found, Path):
        return found
    # a token belongs to the official host: with a mirror in front, nobody gets it
    return replace(found, urls=(*mirrored, *found.urls), mirrors=len(mirrored), headers={}, secrets={})


def has_file(urls: tuple[str, ...], context: ResolveContext) -> bool:
    """Whether one of the mirrors gives the file; no answer means no."""
    return context.head is not None and any(is_served(url, context.head) for url in urls)


def is_served(url: str, head: Callable[[Request], FileHead]) -> bool:
    try:
        head(Request(urls=(url,)))
    except (NetworkError, HostRefused):
        return False
    return True


def resolve_official(dataset: Dataset, file: File, context: ResolveContext) -> Request | Path:
    """Where the entry itself says that the file is, without mirrors.

    Parameters
    ----------
    dataset, file, context
        As for `resolve`.

    Returns
    -------
    Request or Path
        The publisher's addresses, or a file that ships with the catalog.

    Raises
    ------
    PersonMustAct, UnknownName, BadCatalog, NetworkError, IntegrityError
        As `resolve` raises them.

    """
    if file.source:
        host, _, identity = file.source.partition(":")
        return load_resolver(host)(dataset, file, identity, context)
    if account := find_account(dataset, file):
        return make_guarded_request(account, dataset, file, (), context)
    if file.urls:
        return make_request(file, ())
    raise ManualDownload(f"{dataset.name}: {file.name} has no public address", hint=suggest_by_hand(dataset))


def load_resolver(host: str) -> Resolver:
    if host not in HOSTS:
        raise UnknownName("source", host, HOSTS)
    resolver: Resolver = import_module(f"dermdata.hosts.{host}").resolve
    return resolver


def list_files(place: str, context: ResolveContext) -> tuple[File, ...]:
    """All files that a host lists.

    Parameters
    ----------
    place
        `<host>:<id>`.
    context
        How hosts are asked.

    Returns
    -------
    tuple of File
        By name, each name once, and none that leads out of its folder.

    Raises
    ------
    UnknownName
        If the host lists no files.
    BadCatalog
        If the id is not in the host's form.
    NotTheFile
        If the answer is not what it must be.
    ManualDownload
        If the host shows no files.
    NetworkError, PersonMustAct
        If the host does not answer, or wants an account.

    """
    host, _, identity = place.partition(":")
    if host not in LISTING_HOSTS:
        raise UnknownName("listing", host, LISTING_HOSTS)
    lister: Lister = import_module(f"dermdata.hosts.{host}").list_files
    found = lister(identity, context)
    require_some(found, place)
    return sort_listing(found, place)


def state_record(place: str, context: ResolveContext) -> RecordFacts:
    """What a record states of itself, and the one version of it that is meant.

    Parameters
    ----------
    place
        `<host>:<id>` as `addresses.read_address` gives it: also a branch, no version, or a DOI of the registry.
    context
        How hosts are asked.

    Raises
    ------
    UsageError
        If a DOI leads to no host that dermdata knows.
    NetworkError, IntegrityError, PersonMustAct
        As `list_files` raises them.

    """
    host, _, identity = place.partition(":")
    if host == REGISTRY:
        place = resolve_doi(identity, context)
        host, _, identity = place.partition(":")
    describe: Describer = import_module(f"dermdata.hosts.{host}").state_record
    return describe(identity, context)


def resolve_doi(doi: str, context: ResolveContext) -> str:
    """The place of the page that a DOI is registered for; UsageError where that is no record's."""
    what = f"DOI {doi}"
    answer = JsonObject(context.request_json(what, f"{DOI_REGISTRY}/{quote(doi)}"), what)
    pages = [one.child("data").text("value") for one in answer.rows("values") if one.text("type") == "URL"]
    if pages and (place := find_page_place(pages[0])) and not place.startswith(f"{REGISTRY}:"):
        return place
    leads = f" leads to {pages[0]}, which is" if pages else " is"
    known = ", ".join(name for name in FORMS if name != REGISTRY)
    raise UsageError(
        f"{what}{leads} no record of a host that dermdata knows",
        hint=f"these are {known}; or download its files and add their folder",
    )


def bundle_files(
    place: str, files: tuple[File, ...], context: ResolveContext, *, part: bool = False
) -> tuple[File, ...]:
    """One archive in place of many listed files, where their host gives all of them as one.

    Parameters
    ----------
    place
        `<host>:<id>`, as for `list_files`.
    files
        What is wanted of that list.
    context
        How hosts are asked.
    part
        Whether only some of the files will be fetched, which nobody can know yet.

    Returns
    -------
    tuple of File
        The files as they are where they are few, or their host has no such archive, or gives no part of it.

    """
    host, _, identity = place.partition(":")
    wanted = {file.name: file for file in files if file.fetch}
    has_archive = host in BUNDLING_HOSTS and (not part or BUNDLING_HOSTS[host])
    if not has_archive or len(wanted) <= MOST_SINGLE_FILES:
        return files
    whole: File = import_module(f"dermdata.hosts.{host}").whole_archive(identity, context)
    roles = {file.role for file in wanted.values()}
    role = next(role for role in ("images", "masks", *sorted(roles)) if role in roles)
    return (
        ListedArchive(
            name=whole.name, role=role, source=whole.source, urls=whole.urls, unpack="zip", contains=wanted
        ),
    )


def require_obtainable(dataset: Dataset, *, mirrored: bool = False) -> None:
    """Raise what the person must know or do before any request, if the entry says so.

    Parameters
    ----------
    dataset
        The catalog entry.
    mirrored
        Whether there is a mirror: a file without an address can only come from there, or from the person.

    Raises
    ------
    Unobtainable
        If the dataset cannot be had at all.
    ManualDownload
        If the catalog knows no address of any file.

    """
    access = dataset.access
    if access.kind == "unavailable":
        nearest = f"the nearest: {', '.join(access.alternatives)}" if access.alternatives else None
        raise Unobtainable(f"{dataset.name} cannot be had: {explain_absence(access)}", hint=nearest)
    if not has_address(dataset, mirrored=mirrored):
        raise manual_download_error(dataset)


def explain_absence(access: Access) -> str:
    """Why it cannot be had, in words for a person; where and when that was looked up is for the card."""
    if access.steps:
        return f"{access.steps[0].lower()}{access.steps[1:].rstrip('.')}"
    return re.sub(r"\s*\([^()]*\d{4}-\d\d-\d\d[^()]*\)$", "", access.evidence or "its entry does not say why")


def manual_download_error(dataset: Dataset) -> ManualDownload:
    """What the person must do where the catalog knows no address."""
    message = (
        f"{dataset.name} has no files to download whose addresses the catalog knows "
        f"(access: {dataset.access.kind})"
    )
    return ManualDownload(message, hint=suggest_by_hand(dataset))


def suggest_by_hand(dataset: Dataset) -> str:
    """How a person gets files that dermdata cannot: the entry's steps, its page, and what takes them then."""
    access = dataset.access
    page = access.url or dataset.homepage
    steps = access.steps or (
        f"see {page}" if page else f"`dermdata fetch {dataset.name} --from PATH` takes them"
    )
    return f"{steps} {page}" if page and page not in steps else steps
