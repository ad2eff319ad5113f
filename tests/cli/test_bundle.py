"""`dermdata cache bundle` and `fetch --from FILE.tar`: a dataset in one file, checked on the other side."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.cached_folders import files, rewritten

BUNDLE = "demo.tar"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the demo, and its bundle beside it."""
    from dermdata.cli.app import run

    root = tmp_path_factory.mktemp("packed")
    assert run(["-q", "--cache", str(root / "cache"), "fetch", "demo"]) == 0
    assert (
        run(["-q", "--cache", str(root / "cache"), "cache", "bundle", "demo", "-o", str(root / BUNDLE)]) == 0
    )
    return root


# ------------------------------------------------------------------ the bad day


def test_an_altered_bundle_is_refused_whole(packed: Path, cli: Callable, tmp_path: Path) -> None:
    """Exit 4 with what is wrong and the way out; nothing is left in the cache."""

    def changed(name: str, data: bytes) -> bytes:
        return data[:-1] + b"!" if name.endswith("demo_metadata.csv") else data

    bad = rewritten(packed / BUNDLE, tmp_path / "bad.tar", changed)
    answer = cli("--offline", "fetch", "demo", "--from", bad)
    assert answer.code == 4
    assert "bad.tar: demo is not as it was packed: files/demo_metadata.csv" in answer.err
    assert "hint: copy it again" in answer.err
    assert [path.name for path in (tmp_path / "cache" / "datasets").rglob("*")] == ["demo"]


def test_a_damaged_cache_is_not_packed(packed: Path, cli: Callable, tmp_path: Path) -> None:
    """An altered and a missing file: exit 4 with the command that mends it, and no half bundle."""
    shutil.copytree(packed / "cache", tmp_path / "cache")
    image = min((tmp_path / "cache").rglob("*.jpg"))
    data = image.read_bytes()
    for damage in (lambda: image.write_bytes(data[:-1] + b"!"), image.unlink):
        damage()
        answer = cli("cache", "bundle", "demo", "-o", tmp_path / "out" / BUNDLE)
        assert answer.code == 4
        assert "verify demo --repair" in answer.err
        assert not list((tmp_path / "out").iterdir())


def test_what_is_not_complete_is_not_packed(cli: Callable, tmp_path: Path) -> None:
    """Exit 2, before anything is written."""
    (tmp_path / "cache" / "datasets" / "demo" / "1.0" / "files").mkdir(parents=True)
    answer = cli("cache", "bundle", "demo", "-o", tmp_path / BUNDLE)
    assert (answer.code, "dermdata fetch demo" in answer.err) == (2, True)
    assert cli("cache", "bundle", "ham10000", "-o", tmp_path / BUNDLE).code == 2
    assert not (tmp_path / BUNDLE).exists()


def test_another_state_in_the_cache_is_not_overwritten_unasked(
    packed: Path, cli: Callable, tmp_path: Path
) -> None:
    """--force puts the bundle's in its place; the same state is nothing to do."""
    cli("fetch", "demo", "--only", "metadata")
    assert cli("fetch", "demo", "--from", packed / BUNDLE).code == 2
    assert cli("fetch", "demo", "--from", packed / BUNDLE, "--force").code == 0
    assert files(tmp_path / "cache") == files(packed / "cache")
    assert "nothing to do" in cli("fetch", "demo", "--from", packed / BUNDLE).err


def test_a_name_that_is_not_in_the_bundle_is_told_with_what_is(packed: Path, cli: Callable) -> None:
    answer = cli("fetch", "ham10000", "--from", packed / BUNDLE)
    assert (answer.code, "it holds demo 1.0" in answer.err) == (2, True)


def test_bundles_and_other_files_are_not_mixed(packed: Path, cli: Callable) -> None:
    assert cli("fetch", "demo", "--from", packed / BUNDLE, "--from", packed / "cache").code == 2


# ------------------------------------------------------------------ the good day


def test_the_whole_way_to_a_machine_without_a_network(packed: Path, tmp_path: Path) -> None:
    """In a process that has no network at all: the same cache, complete and sound."""
    import sys

    dermdata = [
        "unshare",
        "--net",
        sys.executable,
        "-m",
        "dermdata",
        "--offline",
        "--cache",
        str(tmp_path / "c"),
    ]
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        dermdata = dermdata[2:]  # not allowed here: --offline alone must do
    for words in (["fetch", "demo", "--from", str(packed / BUNDLE)], ["verify"], ["fetch", "demo"]):
        subprocess.run([*dermdata, *words], check=True, capture_output=True)
    assert files(tmp_path / "c") == files(packed / "cache")


def test_the_same_cache_gives_the_same_bundle(packed: Path, cli: Callable, tmp_path: Path) -> None:
    """Byte for byte, from a read-only copy as well; its SHA-256 is on stdout as `sha256sum` writes it."""
    answer = cli("cache", "bundle", "demo", "-o", tmp_path / BUNDLE, cache=packed / "cache")
    subprocess.run(["sha256sum", "--check", "-"], input=answer.out, text=True, check=True, cwd=tmp_path)
    assert (tmp_path / BUNDLE).read_bytes() == (packed / BUNDLE).read_bytes()


def test_another_catalog_builds_the_manifest_anew(packed: Path, cli: Callable, tmp_path: Path) -> None:
    """Offline, out of the bundle's files; nothing is downloaded."""
    folder = tmp_path / "catalog" / "datasets" / "demo"
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text('extends = "demo"\ntitle = "Ours"\n', encoding="utf-8")
    options = ["--catalog", str(tmp_path / "catalog"), "--offline"]
    assert cli(*options, "fetch", "demo", "--from", packed / BUNDLE).code == 0
    plan = cli(*options, "fetch", "demo", "--dry-run", "--format", "json").out
    assert {item["step"] for item in json.loads(plan)["items"]} == {"have"}
