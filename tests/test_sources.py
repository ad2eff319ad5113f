"""From a catalog file to where its bytes are, without asking anybody: mirrors, bundled files, what cannot be had."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dermdata.errors import (
    BadCatalog,
    CacheDamaged,
    ManualDownload,
    UnknownName,
    Unobtainable,
)
from dermdata.hosts import HOSTS, LISTING_HOSTS, ResolveContext, list_files, require_obtainable, resolve
from dermdata.hosts.package import resolve as packaged
from dermdata.model import Access, Dataset, File, Request

URL = "https://public/a.zip"
FILE = File(name="a.zip", role="images", urls=(URL,), size=3, checksum="md5:" + "0" * 32, unpack="zip")


def dataset(access: Access | None = None, *files: File) -> Dataset:
    return Dataset(
        name="set-a", title="A", kind="dataset", summary="x", access=access or Access(kind="open"), files=files
    )  # fmt: skip


def around(*mirrors: str, catalogs: tuple[Path, ...] = ()) -> ResolveContext:
    return ResolveContext(catalogs=catalogs, mirrors=mirrors)


def asked(file: File, *mirrors: str) -> Request:
    found = resolve(dataset(), file, around(*mirrors))
    assert isinstance(found, Request)
    return found


# ------------------------------------------------------------------ addresses and mirrors


def test_the_catalogs_addresses_with_what_must_come() -> None:
    """Size, checksum and the archive's kind go along: they rule wherever the bytes come from."""
    request = asked(FILE)
    assert (request.urls, request.size, request.checksum, request.archive) == (
        (URL,),
        3,
        FILE.checksum,
        "zip",
    )


def test_mirrors_are_asked_first_in_order() -> None:
    """And names are quoted as addresses want them, the folders of the name kept."""
    file = File(name="train/ä b?#.jpg", role="images", urls=(URL,))
    assert asked(file, "https://one/m/", "http://two").urls == (
        "https://one/m/set-a/train/%C3%A4%20b%3F%23.jpg",
        "http://two/set-a/train/%C3%A4%20b%3F%23.jpg",
        URL,
    )


def test_a_folder_mirror_that_has_the_file_is_enough(tmp_path: Path) -> None:
    """One that has it not, or has a folder of its name, is passed over."""
    assert asked(FILE, str(tmp_path)).urls == (URL,)
    path = tmp_path / "set-a" / "a.zip"
    path.mkdir(parents=True)
    assert asked(FILE, str(tmp_path)).urls == (URL,)
    path.rmdir()
    path.write_bytes(b"abc")
    assert resolve(dataset(), FILE, around("https://one/m", str(tmp_path))) == path
    assert resolve(dataset(), File(name="a.zip", role="images"), around(str(tmp_path))) == path


# ------------------------------------------------------------------ what cannot be had


def test_a_file_without_address_is_the_persons_to_bring() -> None:
    """The hint is the steps, word for word, else the page."""
    file, access = File(name="a.zip", role="images"), Access(kind="agreement", steps="write to the authors")
    with pytest.raises(ManualDownload, match=r"set-a: a\.zip has no public address") as caught:
        resolve(dataset(access), file, around())
    assert caught.value.hint == "write to the authors"


def test_a_dataset_that_cannot_be_had_says_why_and_what_is_near() -> None:
    access = Access(kind="unavailable", evidence="withdrawn in 2022", alternatives=("set-b", "set-c"))
    with pytest.raises(Unobtainable, match="set-a cannot be had: withdrawn in 2022") as caught:
        require_obtainable(dataset(access, FILE))
    assert caught.value.hint == "the nearest: set-b, set-c"


def test_a_dataset_without_files_to_fetch_is_the_persons_to_bring() -> None:
    with pytest.raises(ManualDownload, match="no files to download"):
        require_obtainable(dataset(None, File(name="a.zip", role="images", fetch=False)))
    require_obtainable(dataset(None, FILE))


@pytest.mark.fault(100)
@pytest.mark.parametrize("source", ["datavers:1", "file:/etc/passwd", "sys:exit", "record:1", "__init__:1"])
def test_only_hosts_that_we_know(source: str) -> None:
    """Row 100: a catalog names an adapter, never a module or a path."""
    with pytest.raises(UnknownName) as caught:
        resolve(dataset(), File(name="a", role="images", source=source), around())
    assert caught.value.hint == ("did you mean dataverse?" if source == "datavers:1" else None)


def test_only_hosts_that_list() -> None:
    with pytest.raises(UnknownName, match="unknown listing 'package'"):
        list_files("package:x", around())
    assert set(LISTING_HOSTS) - set(HOSTS) == {"isic"}


# ------------------------------------------------------------------ files in the catalog itself


@pytest.fixture
def catalogs(tmp_path: Path) -> tuple[Path, ...]:
    """Two catalog folders; only the second has b.csv."""
    roots = (tmp_path / "one", tmp_path / "two")
    for root in roots:
        (root / "datasets" / "set-a" / "files").mkdir(parents=True)
        (root / "datasets" / "set-a" / "files" / "a.csv").write_text(root.name)
        (root / "datasets" / "set-a" / "dataset.toml").write_text("secret")
    (roots[1] / "datasets" / "set-a" / "files" / "b.csv").write_text("two")
    return roots


def test_the_last_catalog_that_has_the_file_wins(catalogs: tuple[Path, ...]) -> None:
    places = around(catalogs=catalogs)
    assert packaged(dataset(), FILE, "a.csv", places).read_text() == "two"
    assert packaged(dataset(), FILE, "b.csv", places).read_text() == "two"
    assert packaged(dataset(), FILE, "a.csv", around(catalogs=catalogs[:1])).read_text() == "one"


def test_a_bundled_file_that_is_not_there(catalogs: tuple[Path, ...]) -> None:
    with pytest.raises(CacheDamaged, match=r"set-a: c\.csv is not in the catalog"):
        packaged(dataset(), FILE, "c.csv", around(catalogs=catalogs))


@pytest.mark.fault(100)
@pytest.mark.parametrize(
    "identity", ["../dataset.toml", "/etc/passwd", "x/../../dataset.toml", "..", "../files/a.csv"]
)
def test_no_path_leads_out_of_the_catalog(identity: str, catalogs: tuple[Path, ...]) -> None:
    """Row 100: a user's catalog copies no file of the machine into the cache."""
    with pytest.raises(BadCatalog, match="is not inside the catalog"):
        packaged(dataset(), FILE, identity, around(catalogs=catalogs))


@pytest.mark.parametrize("kind", ["file", "folder", "fifo", "loop", "device"])
def test_red_team_12_no_link_leads_out_of_the_catalog(
    kind: str, catalogs: tuple[Path, ...], tmp_path: Path
) -> None:
    """A link to a file, of a folder above it, to a device; a pipe: refused by name, nothing is opened."""
    home = catalogs[1] / "datasets" / "set-a" / "files"
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "x").write_text("top secret")
    targets = {"file": tmp_path / "away" / "x", "loop": home / "x", "device": Path("/dev/zero")}
    if kind == "folder":
        (home / "d").symlink_to(tmp_path / "away")
    elif kind == "fifo":
        os.mkfifo(home / "x")
    else:
        (home / "x").symlink_to(targets[kind])
    with pytest.raises(BadCatalog, match="x") as caught:
        packaged(dataset(), FILE, "d/x" if kind == "folder" else "x", around(catalogs=catalogs))
    assert "top secret" not in caught.value.message


def test_a_link_within_the_catalog_is_followed(catalogs: tuple[Path, ...]) -> None:
    """One file of two entries."""
    (catalogs[1] / "datasets" / "set-a" / "files" / "x").symlink_to("b.csv")
    assert packaged(dataset(), FILE, "x", around(catalogs=catalogs)).read_text() == "two"


@pytest.mark.parametrize("homepage", [None, "https://page.example/"])
def test_red_team_18_no_hint_says_none(homepage: str | None) -> None:
    """An entry may know neither steps nor page."""
    bare = replace(dataset(Access(kind="agreement"), File(name="a.zip", role="images")), homepage=homepage)
    with pytest.raises(ManualDownload) as caught:
        require_obtainable(bare)
    assert caught.value.hint
    assert "None" not in caught.value.hint
    assert homepage is None or homepage in caught.value.hint
