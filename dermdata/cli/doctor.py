"""`dermdata doctor`: what a person who helps would ask first."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from dermdata import __version__
from dermdata.api.display import size
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import CredentialsMissing, DermdataError, ProblemsFound

app = typer.Typer(add_completion=False)
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
)
SERVICES = {"kaggle": None, "huggingface": None, "derm7pt": "derm.cs.sfu.ca"}  # and the host for ~/.netrc
HOSTS = (
    "https://dataverse.harvard.edu/",
    "https://isic-archive.s3.amazonaws.com/",
    "https://data.mendeley.com/",
)


@app.command()
def doctor(
    ctx: typer.Context,
    network: Annotated[
        bool, typer.Option("--network/--no-network", help="Ask the sources whether they answer.")
    ] = True,
    form: FormatOption = None,
) -> None:
    """Versions, cache, free space, credentials found (never their values), sources reachable."""
    state = state_of(ctx)
    rows = [*versions(), *storage(state), *catalog(state), *credentials()]
    if network and not state.settings.offline:
        rows += reachable(state)
    emit(rows, KEYS, form, "doctor", color=state.color)
    if any(row["state"] == "error" for row in rows):
        raise ProblemsFound("something needs attention, see the rows marked error")


def row(check: str, verdict: str, detail: str) -> dict[str, Any]:
    return {"check": check, "state": verdict, "detail": detail}


def versions() -> Iterator[dict[str, Any]]:
    yield row("dermdata", "ok", __version__)
    yield row("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    for name in LIBRARIES:
        try:
            yield row(name, "ok", version(name))
        except PackageNotFoundError:
            yield row(name, "absent", "optional")


def storage(state: State) -> Iterator[dict[str, Any]]:
    from dermdata.disk import existing

    root = state.settings.cache
    place = existing(root)
    writable = os.access(place, os.W_OK)
    yield row("cache", "ok" if writable else "error", f"{root}{'' if writable else ' is not writable'}")
    yield row("free space", "ok", f"{size(shutil.disk_usage(place).free)} at {place}")
    yield row("cached", "ok", f"{len(list(state.cache.folders()))} datasets")


def catalog(state: State) -> Iterator[dict[str, Any]]:
    yield row(
        "catalog", "ok", f"{len(list(state.catalog))} entries in {', '.join(map(str, state.catalog.roots))}"
    )
    for message in state.catalog.broken.values():
        yield row("catalog", "error", message)


def credentials() -> Iterator[dict[str, Any]]:
    """Where credentials lie, and what is unwise about that place; never their values."""
    from dermdata.credentials import Credentials, system_keyring

    known = Credentials(os.environ, Path.home(), system_keyring)
    for service, host in SERVICES.items():
        try:
            place, note = known.where(service, host), known.note(service, host)
        except CredentialsMissing as error:
            yield row(f"credentials: {service}", "error", error.message)
            continue
        detail = f"{place}{f' ({note})' if note else ''}" if place else "none found"
        yield row(f"credentials: {service}", "ok" if place else "absent", detail)


def reachable(state: State) -> Iterator[dict[str, Any]]:
    from dermdata.model import Request

    with state.transfer() as transfer:
        for url in HOSTS:
            try:
                transfer.resolve_head(Request(urls=(url,)))
                yield row("source", "ok", f"{url} answers")
            except DermdataError as error:
                # any HTTP answer shows that the way there is open
                answered = getattr(error, "status", None) is not None
                yield row("source", "ok" if answered else "unreachable", url if answered else error.message)
