"""Models: fetched, verified, listed, mirrored and locked like datasets, without a table of images."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import dermdata as dd
from conftest import Answer
from dermdata.checksum import sha256_of_chunks
from dermdata.errors import CohortDiffers, CredentialsMissing, UsageError
from support.servers import Site

CLI = Callable[..., Answer]
COMMIT = "c" * 40
FILES = {
    ".gitattributes": b"*.bin filter=lfs\n",
    "README.md": b"# A model\n",
    "config.json": b'{"width": 8}\n',
    "figure.png": b"no picture that opens",
    "model.safetensors": b"w" * 5000,
    "variables/variables.data-00000-of-00001": b"v" * 900,
}
LARGE = ("figure.png", "model.safetensors", "variables/variables.data-00000-of-00001")


def hub_tree(files: dict[str, bytes]) -> bytes:
    """What the hub says of a commit's files: the SHA-256 of those in its large file storage only."""
    rows: list[dict[str, Any]] = [{"type": "directory", "path": "variables", "oid": "d" * 40, "size": 0}]
    for name, data in files.items():
        row: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": git_digest(data)}
        if name in LARGE:
            row |= {"oid": "e" * 40, "lfs": {"oid": sha256_of_chunks([data]), "size": len(data)}}
        rows.append(row)
    return json.dumps(rows).encode()


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def put_repository(site: Site, name: str, files: dict[str, bytes], *, gated: bool = False) -> None:
    """Let the site answer for a repository at one commit."""
    api, about = (
        f"https://huggingface.co/api/models/{name}",
        {"sha": COMMIT, "gated": "auto" if gated else False},
    )
    for revision in ("main", COMMIT):
        site.put(f"{api}/revision/{revision}", json.dumps(about).encode())
    site.put(f"{api}/tree/{COMMIT}?recursive=true", hub_tree(files))
    for path, data in files.items():
        site.put(f"https://huggingface.co/{name}/resolve/{COMMIT}/{quote(path)}", data)


def put_entry(root: Path, name: str, body: str, access: str = 'kind = "open"') -> None:
    path = root / "models" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f'name = "{name}"\ntitle = "{name}"\nkind = "model"\nsummary = "x"\n'
    path.write_text(f"{head}{body}\n[access]\n{access}\n", encoding="utf-8")


@pytest.fixture
def options(site: Site, tmp_path: Path) -> list[str]:
    """A catalog with the model `wise` of a repository, and `lone` of one file at an address of its own."""
    put_repository(site, "owner/wise", FILES)
    put_entry(tmp_path / "catalog", "wise", 'listing = "huggingface:owner/wise@main"')
    lone = 'urls = ["https://files.example/lone.pt"]'
    put_entry(tmp_path / "catalog", "lone", f'files = [{{ name = "lone.pt", role = "weights", {lone} }}]')
    site.put("https://files.example/lone.pt", b"x" * 70)
    return ["--catalog", str(tmp_path / "catalog"), "--rewrite", site.rewrite]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("%2E")
    }


VISIBLE = {name: data for name, data in FILES.items() if not name.startswith(".")}


# ------------------------------------------------------------------ the bad day


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "figure.png"])
def test_a_damaged_file_is_found_and_comes_again(cli: CLI, options: list[str], name: str) -> None:
    """Those whose digest the hub states, and those of which only the first download told it."""
    folder = Path(cli(*options, "fetch", "wise").out.strip())
    (folder / name).write_bytes(b"?" * len(FILES[name]))
    found = cli(*options, "verify", "wise", "--format", "json")
    assert (found.code, [item["path"] for item in json.loads(found.out)["items"]]) == (1, [f"files/{name}"])
    assert cli(*options, "verify", "wise", "--repair").code == 0
    assert tree(folder) == VISIBLE


def test_other_weights_than_the_hub_states_get_no_name(
    cli: CLI, options: list[str], site: Site, tmp_path: Path
) -> None:
    site.put(f"https://huggingface.co/owner/wise/resolve/{COMMIT}/model.safetensors", b"W" * 5000)
    answer = cli(*options, "fetch", "wise")
    assert answer.code == 4
    assert "model.safetensors" in answer.err
    assert not list((tmp_path / "cache").rglob("model.safetensors"))


@pytest.mark.parametrize("words", [("stats",), ("export", "csv"), ("audit",), ("split",), ("cite",)])
def test_a_model_is_no_table_of_images(
    cli: CLI, options: list[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A command on rows says what it is; one on all that is cached passes it over."""
    cli(*options, "fetch", "wise", "demo")
    out = ("-o", str(tmp_path / "out.csv")) if words[0] in ("export", "split") else ()
    answer = cli(*options, *words, "wise", *out)
    assert answer.code == 2
    assert "wise is a model: it has no table of images" in answer.err
    if words[0] in ("stats", "export"):
        assert cli(*options, *words, *out).code == 0


@pytest.mark.parametrize(
    "words", [("--limit", "3"), ("--where", "age > 3"), ("--only", "images"), ("--only", "masks")]
)
def test_there_are_no_rows_to_choose(
    cli: CLI, options: list[str], site: Site, words: tuple[str, str]
) -> None:
    answer = cli(*options, "fetch", "wise", *words)
    assert answer.code == 2
    assert "no table of images" in answer.err
    assert site.requests == []


def test_loading_a_model_downloads_nothing(options: list[str], site: Site, tmp_path: Path) -> None:
    """It has no rows: said before gigabytes of weights have come."""
    session = open_on(tmp_path, site)
    for call in (session.load, session.select):
        with pytest.raises(UsageError, match="wise is a model"):
            call("wise")
    assert site.requests == []


def test_a_gate_is_told_with_the_page_to_accept_it_on(
    options: list[str], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only the hub knows of it: an entry that says nothing, of which every size and digest is listed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    put_repository(site, "owner/shut", {"model.safetensors": FILES["model.safetensors"]}, gated=True)
    listing = 'listing = "huggingface:owner/shut@main"'
    put_entry(tmp_path / "catalog", "silent", listing)
    put_entry(tmp_path / "catalog", "frank", listing, 'kind = "account"\nservice = "huggingface"')
    session = open_on(tmp_path, site)
    for name in ("silent", "frank"):
        with pytest.raises(CredentialsMissing, match=r"model\.safetensors") as told:
            session.fetch(name)
        assert "accept the conditions on https://huggingface.co/owner/shut" in str(told.value.hint)
    monkeypatch.setenv("HF_TOKEN", "hf_letmein")
    assert [len(session.fetch(name).files) for name in ("silent", "frank")] == [1, 1]


def test_a_lock_of_a_model_sees_other_files(options: list[str], site: Site, tmp_path: Path) -> None:
    """The branch has moved: the files are not those that were locked."""
    session = open_on(tmp_path, site)
    lock = session.lock("wise", out=tmp_path / "wise.lock")
    assert len(session.sync(lock)) == 0
    session.cache.remove("wise")
    assert [row["cached"] for row in session.plan_sync(lock)] == [False]
    assert len(session.sync(lock)) == 0
    put_repository(site, "owner/wise", FILES | {"config.json": b'{"width": 9}\n'})
    session.cache.remove("wise")
    with pytest.raises(CohortDiffers, match="wise: the model's files are not those"):
        session.sync(lock)


# ------------------------------------------------------------------ the good day


def open_on(tmp_path: Path, site: Site) -> dd.Session:
    rewrite = dict([site.rewrite.split("=", 1)])
    return dd.open_session(
        cache=tmp_path / "cache", catalogs=[tmp_path / "catalog"], rewrite=rewrite, progress=False
    )


def test_the_folder_is_laid_out_as_at_the_host(cli: CLI, options: list[str]) -> None:
    """What is printed is the folder that a loader takes; what was checked, and by what, is told."""
    answer = cli(*options, "fetch", "wise")
    assert (answer.code, tree(Path(answer.out.strip()))) == (0, VISIBLE)
    assert "wise: 6 files, no table of images: a model" in answer.err
    assert "each file has its published checksum" in answer.err
    again = cli(*options, "fetch", "wise")
    assert (again.code, again.out) == (0, answer.out)
    assert "already complete, nothing to do (6 files, no table of images: a model)" in again.err


def test_without_the_weights(cli: CLI, options: list[str]) -> None:
    """`--only metadata` takes what describes a model; the rest comes when it is asked for."""
    part = cli(*options, "fetch", "wise", "--only", "metadata")
    assert (part.code, set(tree(Path(part.out.strip())))) == (0, {"config.json"})
    whole = cli(*options, "fetch", "wise")
    assert (whole.code, tree(Path(whole.out.strip()))) == (0, VISIBLE)


def test_one_file_at_an_address_of_its_own(cli: CLI, options: list[str]) -> None:
    answer = cli(*options, "fetch", "lone")
    assert (answer.code, tree(Path(answer.out.strip()))) == (0, {"lone.pt": b"x" * 70})


def test_the_plan_the_list_and_the_cache_know_it(cli: CLI, options: list[str]) -> None:
    plan = json.loads(cli(*options, "fetch", "wise", "--dry-run", "--format", "json").out)["items"]
    assert {row["file"] for row in plan if row["step"] == "download"} == set(FILES)
    cli(*options, "fetch", "wise")
    listed = json.loads(cli(*options, "list", "--kind", "model", "--cached", "--format", "json").out)["items"]
    assert [(item["name"], item["complete"]) for item in listed] == [("wise", True)]
    (row,) = json.loads(cli(*options, "cache", "list", "--format", "json").out)["items"]
    assert (row["dataset"], row["complete"]) == ("wise", True)
    assert "  those that huggingface:owner/wise@main lists" in cli(*options, "info", "wise").out
    assert cli(*options, "cache", "remove", "wise").code == 0
    assert json.loads(cli(*options, "cache", "list", "--format", "json").out)["items"] == []


def test_over_a_disk_to_a_machine_without_a_network(cli: CLI, options: list[str], tmp_path: Path) -> None:
    """Unlike a dataset's listing a mirror stands in for a model's: its SHA256SUMS names the files."""
    mirror, away = tmp_path / "mirror", tmp_path / "away"
    assert cli(*options, "fetch", "wise", "--mirror-out", mirror).out == f"{mirror}/wise\n"
    done = cli(*options, "--offline", "fetch", "wise", "--mirror", mirror, cache=away)
    assert (done.code, tree(Path(done.out.strip()))) == (0, VISIBLE)
    assert cli(*options, "--offline", "fetch", "wise", cache=away).code == 0
    (mirror / "wise" / "config.json").write_bytes(b'{"width": 7}\n')
    other = cli(*options, "--offline", "fetch", "wise", "--mirror", mirror, cache=tmp_path / "third")
    assert other.code == 4


def test_a_folder_that_the_person_downloaded(cli: CLI, options: list[str], tmp_path: Path) -> None:
    """Behind a gate, by the browser: `--from` takes the folder as it is, without asking the host."""
    own = tmp_path / "own"
    for name, data in FILES.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(data)
    done = cli(*options, "--offline", "fetch", "wise", "--from", own)
    assert (done.code, tree(Path(done.out.strip()))) == (0, VISIBLE)
    assert cli(*options, "--offline", "verify", "wise").code == 0


def test_python_gives_the_place_of_the_files(options: list[str], site: Site, tmp_path: Path) -> None:
    """A path-like folder; beside datasets the rows of these; never rows of its own."""
    session = open_on(tmp_path, site)
    found = session.fetch("wise")
    assert isinstance(found, dd.ModelFiles)
    assert tree(Path(found)) == VISIBLE
    assert (len(found), found.path.name, len(found.files)) == (0, "files", 6)
    assert set(session.fetch("wise", "lone").folders) == {"wise", "lone"}
    with pytest.raises(UsageError, match="several models"):
        _ = session.fetch("wise", "lone").path
    assert len(session.fetch("wise", "demo")) == 120
    with pytest.raises(UsageError, match="is a model"):
        session.load("wise")
