"""What a person who helps would ask first: versions, cache, catalog, credentials, and whether sources answer."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata import __version__
from dermdata.api.records import Records
from dermdata.errors import CredentialsMissing, DermdataError, UsageError
from dermdata.markup import count_nouns
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.api.resources import Resources

KEYS = ("check", "state", "detail")
LIBRARIES = (
    "typer",
    "httpx",
    "httpcore",
    "rich",
    "pandas",
    "pyarrow",
    "pillow",
    "platformdirs",
    "duckdb",
    "datasets",
    *("keyring", "fsspec", "s3fs", "distributed"),  # the extras
)
SERVICES = {  # and the host for ~/.netrc
    "kaggle": None,
    "huggingface": None,
    "derm7pt": "derm.cs.sfu.ca",
    **dict.fromkeys(("zenodo", "osf", "github")),  # which need none, and may be asked more often with one
}
HOSTS = (
    "https://dataverse.harvard.edu/",
    "https://isic-archive.s3.amazonaws.com/",
    "https://data.mendeley.com/",
)
Check = dict[str, str]


def check_environment(resources: "Resources", *, network: bool) -> Records:
    """A row for each thing looked at, marked ok, absent, unreachable or error; `facts` count the errors.

    Offline, and without `network`, no source is asked.
    """
    rows = [
        *check_versions(),
        *check_storage(resources),
        *check_catalog(resources),
        *check_credentials(),
        *check_network(),
    ]
    if network and not resources.settings.offline:
        rows += check_hosts(resources)
    return Records(rows, KEYS, {"errors": sum(row["state"] == "error" for row in rows)})


def make_check(subject: str, verdict: str, detail: str) -> Check:
    return {"check": subject, "state": verdict, "detail": detail}


def check_versions() -> Iterator[Check]:
    """This program, its Python and the libraries that it stands on."""
    yield make_check("dermdata", "ok", __version__)
    yield make_check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    for name in LIBRARIES:
        try:
            yield make_check(name, "ok", version(name))
        except PackageNotFoundError:
            yield make_check(name, "absent", "optional")


def check_storage(resources: "Resources") -> Iterator[Check]:
    """The cache folder, and the room that is left for it."""
    from dermdata.disk import nearest_existing

    root = resources.settings.cache
    place = nearest_existing(root)
    yield check_access(root, place)
    for further in resources.settings.caches_read_only:
        there = (further / "datasets").is_dir()
        detail = f"{further}, only read{'' if there else ': no datasets are there'}"
        yield make_check("further cache", "ok" if there else "error", detail)
    yield make_check("free space", "ok", f"{format_size(shutil.disk_usage(place).free)} at {place}")
    folders = [folder for cache in resources.cache.all_caches for folder in cache.folders()]
    yield make_check("cached", "ok", count_nouns(len(folders), "dataset"))


def check_access(root: Path, place: Path) -> Check:
    """Whether the cache can be written; with one that is only read nothing is wrong, where there is one."""
    if os.access(place, os.W_OK):
        return make_check("cache", "ok", str(root))
    if root.is_dir():
        return make_check(
            "cache", "ok", f"{root} (read-only: what is there can be used, `fetch` will not work)"
        )
    return make_check("cache", "error", f"{root} is not there, and {place} is not writable")


def check_catalog(resources: "Resources") -> Iterator[Check]:
    """How many entries there are, and each that is broken."""
    catalog = resources.catalog
    yield make_check(
        "catalog", "ok", f"{count_nouns(len(list(catalog)), 'entry')} in {', '.join(map(str, catalog.roots))}"
    )
    for message in catalog.broken.values():
        yield make_check("catalog", "error", message)


def check_credentials() -> Iterator[Check]:
    """Where credentials lie, and what is unwise about that place; never their values."""
    from dermdata.credentials import Credentials, read_system_keyring

    known = Credentials(os.environ, Path.home(), read_system_keyring)
    for service, host in SERVICES.items():
        try:
            place, note = known.find_place(service, host), known.find_note(service, host)
        except CredentialsMissing as error:
            yield make_check(f"credentials: {service}", "error", error.message)
            continue
        detail = f"{place}{f' ({note})' if note else ''}" if place else "none found"
        yield make_check(f"credentials: {service}", "ok" if place else "absent", detail)


def check_network() -> Iterator[Check]:
    """The proxy that sources are asked through, and whose certificates are trusted; no user, no password."""
    from dermdata.http.authorities import find_authorities, open_context
    from dermdata.http.proxies import find_proxy, get_variable

    try:
        proxy, plain = (find_proxy(f"{scheme}://source.invalid/", os.environ) for scheme in ("https", "http"))
    except UsageError as error:
        yield make_check("proxy", "error", error.message)
    else:
        if proxy:
            login = ", with user and password" if proxy.login else ""
            yield make_check("proxy", "ok", f"{proxy.address} ({proxy.variable}{login})")
        elif plain:
            yield make_check(
                "proxy", "absent", f"{plain.variable} is for http alone: sources need HTTPS_PROXY"
            )
        else:
            yield make_check("proxy", "absent", "sources are asked directly")
    variable, past = get_variable("no_proxy", os.environ)
    if past:
        yield make_check("no proxy for", "ok", f"{past} ({variable})")
    try:
        trusted = find_authorities(os.environ)
        open_context(trusted)
    except UsageError as error:
        yield make_check("certificates", "error", error.message)
    else:
        yield make_check("certificates", "ok", f"trusted: {trusted}")


def check_hosts(resources: "Resources") -> Iterator[Check]:
    """Whether the large hosts answer."""
    from dermdata.model import Request

    with resources.transfer() as transfer:
        for url in HOSTS:
            try:
                transfer.resolve_head(Request(urls=(url,)))
                yield make_check("source", "ok", f"{url} answers")
            except DermdataError as error:
                # any HTTP answer shows that the way there is open
                answered = getattr(error, "status", None) is not None
                verdict = "ok" if answered else "unreachable"
                yield make_check("source", verdict, url if answered else error.message)
