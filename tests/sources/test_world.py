"""A private entry for a record on each host, fetched in the world of 2026 without any account."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer
from dermdata.hosts import request_limits
from support.catalog_folders import entry, put
from support.mirror import Mirror, record, serve

pytestmark = [pytest.mark.shared, pytest.mark.xdist_group("world")]

FEW, MANY = 12, 60  # images: more than a page of figshare, more than are asked for one by one
OSF, OSF_MANY, DRIVE = "ab1cd", "ab2cd", "1DriveFileOf2026"
HEIDATA = "doi:10.11588/data/ABCDEF"
TABLE = """
[[table]]
reader = "table"
file = "metadata.csv"
[table.columns]
image_id = "image"
patient_id = "patient"
"""


@dataclass(frozen=True)
class World:
    """The running stand-in, and the commit under which GitHub has its record."""

    served: Mirror
    commit: str


def draw(folder: Path, count: int, inside: str = "") -> Path:
    """A folder of pictures and their table."""
    (folder / inside).mkdir(parents=True)
    rows = ["image,patient"]
    for number in range(count):
        Image.frombytes("RGB", (8, 6), os.urandom(144)).save(folder / inside / f"p{number:02}.png")
        rows.append(f"p{number:02},{number // 2}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    flat, deep = draw(root / "flat", FEW), draw(root / "deep", FEW, "images/raw")
    many = draw(root / "many", MANY, "images")
    (deep / "readme.txt").write_text("not asked for\n")
    alone = root / "alone"
    alone.mkdir()
    (alone / "metadata.csv").write_bytes((flat / "metadata.csv").read_bytes())
    found = record(
        root / "mirror",
        ("figshare", "7700002", str(flat)),
        ("zenodo", "7700003", str(flat)),
        ("dataverse", HEIDATA, str(deep), "--tabular"),
        ("mendeley", "abc123xyz9/2", str(deep)),
        ("huggingface", "datasets/owner/skin", str(deep)),
        ("kaggle", "owner/few", str(deep)),
        ("kaggle", "owner/many", str(many)),
        ("osf", OSF, str(deep)),
        ("osf", OSF_MANY, str(many)),
        ("github", "owner/skin", str(deep)),
        ("drive", DRIVE, str(alone)),
    )
    (commit,) = (line.rpartition("/")[2].partition("?")[0] for line, *_ in found if "git/trees" in line)
    with serve(root / "mirror", "--world", "2026", "--drive-form") as served:
        yield World(served, commit)


@dataclass(frozen=True)
class Case:
    """An entry whose table and images a host has."""

    listing: str
    table: str  # the source of the table
    count: int = FEW
    more: str = ""
    asked: tuple[str, ...] = ()  # what of each address is in the log …
    never: tuple[str, ...] = ()  # … and what is not


CASES = {
    "figshare": Case(
        "figshare:7700002/versions/1", "figshare:7700002/metadata.csv",
        asked=("/v2/articles/7700002/versions/1/files", "/web/ndownloader.figshare.com/files/"),
        never=("/web/figshare.com/",),
    ),
    "zenodo": Case("zenodo:7700003", "zenodo:7700003/metadata.csv"),
    "any dataverse": Case(
        f"dataverse:heidata.uni-heidelberg.de/{HEIDATA}",
        f"dataverse:heidata.uni-heidelberg.de/{HEIDATA}/metadata.csv",
        asked=("format=original",), never=("dataverse.harvard.edu",),
    ),
    "mendeley": Case("mendeley:abc123xyz9/2", "mendeley:abc123xyz9/2/metadata.csv"),
    "huggingface": Case("huggingface:datasets/owner/skin@main", "huggingface:datasets/owner/skin@main/metadata.csv"),
    "kaggle": Case("kaggle:owner/few", "kaggle:owner/few/metadata.csv"),
    "kaggle, many files": Case(
        "kaggle:owner/many", "kaggle:owner/many/metadata.csv", MANY, never=("owner/many/images/",),
    ),
    "osf": Case(f"osf:{OSF}", f"osf:{OSF}/metadata.csv"),
    "osf, many files": Case(f"osf:{OSF_MANY}", f"osf:{OSF_MANY}/metadata.csv", MANY, asked=("?zip=",)),
    "osf, a folder": Case(f"osf:{OSF_MANY}/images", f"osf:{OSF_MANY}/metadata.csv", MANY, asked=("/?zip=",)),
    "github": Case("github:owner/skin@COMMIT", "github:owner/skin@COMMIT/metadata.csv"),
    "drive": Case(f"osf:{OSF}", f"gdrive:{DRIVE}", asked=("confirm=t&uuid=",)),
}  # fmt: skip


@pytest.fixture
def fetch(
    cli: Callable[..., Answer], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Answer]:
    """A command with a private entry, by someone who has no account anywhere."""
    for key in [key for key in os.environ if key.startswith(("KAGGLE", "HF_", "DERMDATA"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(request_limits, "LIMITS", ())  # their waits have tests of their own

    def call(case: Case, *words: str, of_entry: str = '\n[listed]\ninclude = ["*.png"]\n') -> Answer:
        listing, table = (text.replace("COMMIT", world.commit) for text in (case.listing, case.table))
        file = f'\n[[files]]\nname = "metadata.csv"\nrole = "metadata"\nsource = "{table}"\n'
        put(tmp_path / "own", "ours", entry("ours", f'listing = "{listing}"') + of_entry + file + TABLE)
        rewrite = f"https://=http://127.0.0.1:{world.served.port}/web/"
        return cli("--catalog", tmp_path / "own", "--rewrite", rewrite, *words)

    return call


@pytest.mark.parametrize("name", CASES)
def test_a_record_of_each_host_becomes_rows_with_pictures(
    fetch: Callable[..., Answer], world: World, tmp_path: Path, name: str
) -> None:
    """Every picture under its row; all is verified, and the second fetch asks for nothing."""
    case, before = CASES[name], len(world.served.requests())
    done = fetch(case, "fetch", "ours")
    assert done.code == 0, done.err
    (path,) = (tmp_path / "cache").glob("datasets/ours/*/manifest.parquet")
    rows = pq.ParquetFile(path).read().to_pylist()
    assert [row["image_problem"] for row in rows] == [None] * case.count
    assert len({row["path"] for row in rows} - {None}) == case.count
    asked = [one["path"] for one in world.served.requests()[before:]]
    assert [word for word in case.asked if not any(word in path for path in asked)] == []
    assert [word for word in case.never if any(word in path for path in asked)] == []
    assert not any("readme" in path for path in asked)  # it is listed, and not wanted
    assert fetch(case, "verify", "ours").code == 0
    before = len(world.served.requests())
    again = fetch(case, "fetch", "ours")
    assert (again.code, "nothing to do" in again.err) == (0, True)
    assert len(world.served.requests()) == before
