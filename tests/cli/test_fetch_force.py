"""`fetch --force`: what is asked for comes again; what fails, or was not named, leaves what is there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.made_up_dataset import HOST, Ours
from support.servers import Site

pytestmark = pytest.mark.usefixtures("small_catalog")


def gone(site: Site, *names: str) -> None:
    """The host has these no longer."""
    for name in names:
        del site.files[f"{HOST}{name}".partition("://")[2]]


@pytest.fixture
def fetched(cli: Callable, ours: Ours, folder: Path) -> bytes:
    """The receipt of the whole dataset."""
    assert cli(*ours.options, "fetch", "ours").code == 0
    return (folder / "receipt.json").read_bytes()


def test_a_host_that_gives_nothing_costs_nothing(
    cli: Callable, ours: Ours, site: Site, folder: Path, fetched: bytes
) -> None:
    """The verified copy is known as before, and complete."""
    options = ours.options  # serves the files
    gone(site, *ours.files)
    assert cli(*options, "fetch", "ours", "--force").code not in (0, 1)
    assert (folder / "receipt.json").read_bytes() == fetched
    assert cli(*options, "verify").code == 0
    assert "nothing to do" in cli(*options, "fetch", "ours").err


def test_what_came_before_it_failed_is_new_and_the_rest_is_what_was_there(
    cli: Callable, ours: Ours, site: Site, folder: Path, fetched: bytes
) -> None:
    """The next fetch asks for nothing: all files are here, and each one was verified."""
    options = ours.options
    gone(site, "b.zip")
    assert cli(*options, "fetch", "ours", "--force", "--jobs", "1").code not in (0, 1)
    names = [one["name"] for one in json.loads((folder / "receipt.json").read_bytes())["files"]]
    assert names == [one["name"] for one in json.loads(fetched)["files"]]
    before = len(site.requests)
    again = cli(*options, "fetch", "ours")
    assert (again.code, len(site.requests)) == (0, before), again.err
    verified = cli(*options, "verify")
    assert (verified.code, verified.out.count("extra")) == (0, 0), verified.out


def test_the_tables_alone_leave_the_images_of_a_part(
    cli: Callable, ours: Ours, site: Site, folder: Path
) -> None:
    """Members taken out of an archive by ranges stay on record, and so does which rows were chosen."""
    cli(*ours.options, "fetch", "ours", "--limit", "3")
    manifest = (folder / "manifest.parquet").read_bytes()
    asked = len(site.requests)
    answer = cli(*ours.options, "fetch", "ours", "--force", "--only", "metadata")
    assert answer.code == 0, answer.err
    assert {address.rpartition("/")[2] for address, _ in site.requests[asked:]} == {"table.csv"}
    assert (folder / "manifest.parquet").read_bytes() == manifest
    verified = cli(*ours.options, "verify")
    assert (verified.code, verified.out.count("extra")) == (0, 0), verified.out
