"""A private entry for a record on each host, fetched in the world of 2026 without any account."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer
from dermdata.api import catalog_words, label_tables, source_check
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
        ("huggingface", "models/owner/net", str(deep)),
        ("huggingface", "models/gated/net", str(deep)),
        ("huggingface", "datasets/gated/skin", str(deep)),
        ("kaggle", "owner/terms", str(deep)),
        ("kaggle", "owner/few", str(deep)),
        ("kaggle", "owner/many", str(many)),
        ("osf", OSF, str(deep)),
        ("osf", OSF_MANY, str(many)),
        ("github", "owner/skin", str(deep)),
        ("drive", DRIVE, str(alone)),
    )
    (commit,) = (line.rpartition("/")[2].partition("?")[0] for line, *_ in found if "git/trees" in line)
    options = ("--world", "2026", "--drive-form", "--kaggle-consent", "owner/terms")
    with serve(root / "mirror", *options) as served:
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
    """Every picture under its row; all is verified, the second fetch asks for nothing, and damage is mended."""
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
    broken = min((tmp_path / "cache").glob("datasets/ours/*/images/**/*.png"))
    broken.chmod(0o644)
    broken.write_bytes(b"x")
    mended = fetch(case, "verify", "ours", "--repair")
    assert (mended.code, len(broken.read_bytes()) > 1) == (0, True), mended.err


ADDED = {
    "figshare": "https://figshare.com/articles/dataset/Skin/7700002/1",
    "zenodo": "https://zenodo.org/records/7700003",
    "any dataverse": "https://heidata.uni-heidelberg.de/dataset.xhtml?persistentId=doi:10.11588/data/ABCDEF&version=1.0",
    "mendeley": "https://data.mendeley.com/datasets/abc123xyz9/2",
    "huggingface": "https://huggingface.co/datasets/owner/skin/tree/main",
    "kaggle": "https://www.kaggle.com/datasets/owner/few?resource=download",
    "kaggle, many files": "kaggle:owner/many",
    "osf": f"https://osf.io/{OSF}/",
    "osf, many files": f"osf:{OSF_MANY}",
    "github": "github:owner/skin@COMMIT",
}


KEYS = {
    "figshare": "figshare:7700002/versions/1/p00.png",
    "zenodo": "zenodo:7700003/p00.png",
    "any dataverse": "dataverse:heidata.uni-heidelberg.de/doi:10.11588/data/ABCDEF/images/raw/p00.png",
    "mendeley": "mendeley:abc123xyz9/2/images/raw/p00.png",
    "huggingface": "huggingface:datasets/owner/skin@",
    "kaggle": "kaggle:owner/few/images/raw/p00.png",
    "kaggle, many files": 'listing = "kaggle:owner/many"',
    "osf": "osf:ab1cd/images/raw/p00.png",
    "osf, many files": 'listing = "osf:ab2cd"',
    "github": "github:owner/skin@COMMIT/images/raw/p00.png",
}  # of the entry that is written


@pytest.mark.parametrize("name", ADDED)
def test_a_record_of_each_host_is_added_in_one_command(
    cli: Callable[..., Answer], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its page as it is pasted becomes an entry of the host's own keys, sizes and digests, and rows with pictures."""
    monkeypatch.setattr(request_limits, "LIMITS", ())
    monkeypatch.setattr(
        catalog_words, "read_site_words", lambda *_: {}
    )  # a hundred entries' words are for other tests
    monkeypatch.setattr(label_tables, "read_known_words", lambda *_: ())
    rewrite = f"https://=http://127.0.0.1:{world.served.port}/web/"
    source = ADDED[name].replace("COMMIT", world.commit)
    done = cli("--rewrite", rewrite, "add", "ours", source, "-o", tmp_path / "lab")
    assert done.code == 0, done.err
    rows = pq.ParquetFile(done.out.splitlines()[-1]).read().to_pylist()
    count = MANY if "many" in name else FEW
    assert [row["image_problem"] for row in rows] == [None] * count
    assert len({row["patient_id"] for row in rows}) == count // 2
    (toml,) = (tmp_path / "lab").glob("datasets/ours/dataset.toml")
    assert KEYS[name].replace("COMMIT", world.commit) in toml.read_text(encoding="utf-8")


GATED = {
    "kaggle": (Case("kaggle:owner/terms", "kaggle:owner/terms/metadata.csv"), [
        "1. sign in at https://www.kaggle.com/datasets/owner/terms and accept its terms there",
        "2. make a token at https://www.kaggle.com/settings",
    ]),
    "huggingface": (Case("huggingface:datasets/gated/skin@main", "huggingface:datasets/gated/skin@main/metadata.csv"), [
        "1. accept the conditions on https://huggingface.co/datasets/gated/skin",
        "2. make a read token at https://huggingface.co/settings/tokens",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", GATED)
def test_what_wants_terms_or_a_token_says_the_steps(
    fetch: Callable[..., Answer], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Exit 6, and nothing of the answer is kept; a token opens what is gated, never what wants terms first."""
    case, steps = GATED[name]
    done = fetch(case, "fetch", "ours")
    assert done.code == 6, done.err
    assert [step for step in steps if step not in done.err] == []
    assert not list((tmp_path / "cache").glob("datasets/ours/**/*.*"))
    monkeypatch.setenv("HF_TOKEN", "hf_letmein")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_letmein")
    before = len(world.served.requests())
    done = fetch(case, "fetch", "ours")
    assert done.code == (0 if name == "huggingface" else 6), done.err
    asked = world.served.requests()[before:]
    assert "Bearer" in {one["credentials"] for one in asked}
    assert {one["credentials"] for one in asked if one["port"] != world.served.port} <= {None}
    assert "letmein" not in done.err


@pytest.mark.parametrize(
    ("name", "source"), [("kaggle", "kaggle:owner/terms"), ("huggingface", "hf:gated/skin")]
)
def test_a_record_that_wants_terms_or_a_token_is_added_when_these_are_there(
    cli: Callable[..., Answer],
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    source: str,
) -> None:
    """The steps of a fetch, and nothing is written; with a token the entry says that it needs one."""
    for key in [key for key in os.environ if key.startswith(("KAGGLE", "HF_"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(request_limits, "LIMITS", ())
    monkeypatch.setattr(catalog_words, "read_site_words", lambda *_: {})
    monkeypatch.setattr(label_tables, "read_known_words", lambda *_: ())
    rewrite = f"https://=http://127.0.0.1:{world.served.port}/web/"
    words = ("--rewrite", rewrite, "add", "ours", source, "-o", tmp_path / "lab")
    refused = cli(*words)
    assert refused.code == 6, refused.err
    assert [step for step in GATED[name][1] if step not in refused.err] == []
    assert not (tmp_path / "lab").exists()
    monkeypatch.setenv("HF_TOKEN", "hf_letmein")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_letmein")
    done = cli(*words)
    assert done.code == (0 if name == "huggingface" else 6), done.err
    if done.code == 0:
        text = (tmp_path / "lab/datasets/ours/dataset.toml").read_text(encoding="utf-8")
        assert 'kind = "account"\nservice = "huggingface"' in text
        assert "letmein" not in text


@pytest.mark.parametrize("name", ["osf, many files", "kaggle, many files"])
def test_a_part_of_many_files_is_not_the_zip_of_all(
    fetch: Callable[..., Answer], world: World, tmp_path: Path, name: str
) -> None:
    """Two rows bring two pictures; the rest comes as the zip then, and no picture is there twice."""
    case, before = CASES[name], len(world.served.requests())
    done = fetch(case, "fetch", "ours", "--limit", "2")
    assert done.code == 0, done.err
    asked = [one["path"] for one in world.served.requests()[before:]]
    assert not any("?zip=" in path for path in asked)
    assert len(list((tmp_path / "cache").glob("datasets/ours/*/images/**/*.png"))) == 2
    done = fetch(case, "fetch", "ours")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "cache").glob("datasets/ours/*/images/**/*.png"))) == case.count
    assert "that no row names" not in done.err
    assert fetch(case, "verify", "ours").code == 0


# ------------------------------------------------------------------ models, and a live check


def put_model(root: Path, name: str, body: str) -> None:
    text = f'name = "{name}"\ntitle = "x"\nkind = "model"\nsummary = "x"\n{body}\n[access]\nkind = "open"\n'
    path = root / "models" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_models_are_fetched_with_the_digests_that_the_hub_states(
    cli: Callable[..., Answer], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each file one; from Drive through its form; a gated one names the page, and comes with a token."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(request_limits, "LIMITS", ())
    put_model(tmp_path / "own", "net", 'listing = "huggingface:owner/net@main"')
    put_model(tmp_path / "own", "shut", 'listing = "huggingface:gated/net@main"')
    lone = f'name = "metadata.csv", role = "weights", source = "gdrive:{DRIVE}"'
    put_model(tmp_path / "own", "lone", f"files = [{{ {lone} }}]")
    options = (
        "--catalog",
        tmp_path / "own",
        "--rewrite",
        f"https://=http://127.0.0.1:{world.served.port}/web/",
    )
    done = cli(*options, "fetch", "net", "lone")
    assert done.code == 0, done.err
    assert "each file has its published checksum" in done.err
    folder = Path(done.out.splitlines()[0])
    assert len(list((folder / "images" / "raw").glob("*.png"))) == FEW
    gated = cli(*options, "fetch", "shut")
    assert gated.code == 6
    assert "accept the conditions on https://huggingface.co/gated/net" in gated.err
    monkeypatch.setenv("HF_TOKEN", "hf_letmein")
    assert cli(*options, "fetch", "shut").code == 0


def test_a_live_check_finds_each_kind_of_change_once(
    cli: Callable[..., Answer], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every host: a changed size and checksum, a gone file, a challenge; all else is whole, and not downloaded."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(request_limits, "LIMITS", ())
    monkeypatch.setattr(source_check, "PAUSE", 0)
    none = "0" * 32
    odd = {
        "longer": f'source = "zenodo:7700003/metadata.csv"\nsize = {10**6}',
        "other": f'source = "figshare:7700002/metadata.csv"\nchecksum = "md5:{none}"',
        "gone": f'source = "dataverse:heidata.uni-heidelberg.de/{HEIDATA}/absent.csv"',
        "shut": 'urls = ["https://dataverse.harvard.edu/dataset.xhtml?persistentId=doi:10.7910/DVN/X"]',
    }
    well = {
        name.replace(" ", "-").replace(",", ""): f'source = "{case.table.replace("COMMIT", world.commit)}"'
        for name, case in CASES.items()
    }
    for name, line in {**odd, **well}.items():
        text = f'\n[[files]]\nname = "metadata.csv"\nrole = "metadata"\n{line}\n'
        put(tmp_path / "own", name, entry(name) + text)
    options = (
        "--catalog",
        tmp_path / "own",
        "--rewrite",
        f"https://=http://127.0.0.1:{world.served.port}/web/",
    )
    before = len(world.served.requests())
    done = cli(*options, "doctor", "--sources", *odd, *well, "--format", "json")
    found = {item["name"]: item["state"] for item in json.loads(done.out)["items"]}
    states = {"longer": "changed", "other": "changed", "gone": "gone", "shut": "refused"}
    assert (done.code, found) == (1, states | dict.fromkeys(well, "whole"))
    files = [one for one in world.served.requests()[before:] if one["range"]]
    assert {one["range"] for one in files} == {"bytes=0-0"}
