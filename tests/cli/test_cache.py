"""`dermdata cache`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata import disk
from dermdata.cache import Cache
from dermdata.process import machine_name
from support.cached_folders import fetched


def test_list_remove_and_what_is_left(cli: Callable, tmp_path: Path) -> None:
    """Sizes, images and completeness; remove takes the whole dataset and nothing else."""
    cli("fetch", "demo")
    (item,) = json.loads(cli("cache", "list", "--format", "json").out)["items"]
    assert (item["dataset"], item["version"], item["images"], item["complete"]) == ("demo", "1.0", 120, True)
    assert item["bytes"] > 1_000_000
    assert "would delete" in cli("cache", "remove", "demo", "--dry-run").err
    assert cli("cache", "remove", "demo").code == 0
    assert json.loads(cli("cache", "list", "--format", "json").out)["items"] == []
    assert not (tmp_path / "cache" / "datasets" / "demo").exists()


def test_removing_what_is_not_there_is_an_error(cli: Callable) -> None:
    """Exit 2; nothing else is deleted."""
    cli("fetch", "demo")
    assert cli("cache", "remove", "demo", "ham10000").code == 2
    assert cli("verify", "demo").code == 0


def test_prune_sweeps_old_leftovers_only(cli: Callable, tmp_path: Path) -> None:
    """A partial of last month goes, one of today stays for the next fetch."""
    cli("fetch", "demo")
    files = tmp_path / "cache" / "datasets" / "demo" / "1.0" / "files"
    old, new = files / ".a.zip.0123.part", files / ".b.zip.0123.part"
    for path in (old, new):
        path.write_bytes(b"half")
    month_ago = time.time() - 30 * 24 * 3600
    os.utime(old, (month_ago, month_ago))
    assert cli("cache", "prune").code == 0
    assert (old.exists(), new.exists()) == (False, True)


def test_the_cache_may_be_moved(cli: Callable, tmp_path: Path) -> None:
    """Everything inside is relative."""
    cli("fetch", "demo")
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    assert cli("verify", cache=tmp_path / "elsewhere").code == 0
    assert "nothing to do" in cli("fetch", "demo", cache=tmp_path / "elsewhere").err


# ------------------------------------------------------------------ shared bytes


@pytest.fixture
def twins(cli: Callable, tmp_path: Path) -> tuple[Path, Path]:
    """Two datasets with the same images, fetched one after the other: their folders."""
    cache = Cache(tmp_path / "cache")
    first = fetched(cache, "first", {"images/a.jpg": b"a" * 9_000, "images/b.jpg": b"b"})
    second = fetched(cache, "second", {"images/x/a.jpg": b"a" * 9_000})
    assert cache.deduplicate(second) == 9_000
    return first.path, second.path


def test_shared_bytes_are_told_and_counted_once(cli: Callable, twins: tuple[Path, Path]) -> None:
    """Of each dataset what it has, and what of that others have too; in all, what the disk holds."""
    answer = cli("-v", "cache", "list", "--format", "json")
    assert [item["shared_bytes"] for item in json.loads(answer.out)["items"]] == [9_000, 9_000]
    assert "9.0 kB saved by sharing" in answer.err


def test_removing_one_dataset_leaves_its_twin_whole(cli: Callable, twins: tuple[Path, Path]) -> None:
    """And says before and after that the shared bytes stay."""
    assert "9.0 kB more are shared and stay" in cli("cache", "remove", "first", "--dry-run").err
    assert cli("cache", "remove", "first").code == 0
    assert not twins[0].exists()
    assert cli("verify").code == 0


def test_damage_through_one_name_is_found_under_both(cli: Callable, twins: tuple[Path, Path]) -> None:
    """The danger of a hard link, seen by verify; a new file under one name leaves the other as it is."""
    image = twins[0] / "images" / "a.jpg"
    image.chmod(0o644)
    with image.open("r+b") as file:
        file.write(b"!")
    found = json.loads(cli("verify", "--format", "json").out)["items"]
    assert [(item["dataset"], item["status"]) for item in found] == [
        ("first", "modified"),
        ("second", "modified"),
    ]
    disk.write_chunks(image, [b"a" * 9_000])
    found = json.loads(cli("verify", "--format", "json").out)["items"]
    assert [item["dataset"] for item in found] == ["second"]


# ------------------------------------------------------------------ leftovers


def test_a_fetch_that_was_killed_early_can_be_seen_and_removed(cli: Callable, tmp_path: Path) -> None:
    """No receipt yet, gigabytes of partials: listed as incomplete, not hidden."""
    files = tmp_path / "cache" / "datasets" / "ham10000" / "4.0" / "files"
    files.mkdir(parents=True)
    (files / ".HAM10000_images_part_1.zip.0123.part").write_bytes(b"x" * 5_000)
    (item,) = json.loads(cli("cache", "list", "--format", "json").out)["items"]
    assert (item["dataset"], item["bytes"], item["complete"]) == ("ham10000", 5_000, False)
    assert cli("cache", "remove", "ham10000").code == 0
    assert not files.exists()


def test_prune_takes_what_dead_processes_left_at_once(cli: Callable, tmp_path: Path) -> None:
    """An unpacking and a --from that were killed, an archive that was let go; a dry run only says so."""
    cli("fetch", "demo")
    root = tmp_path / "cache" / "datasets"
    dead = f"{machine_name()}-{2**22 + 1}.0123abcd"
    left = [root / f".from.{dead}.tmp", root / "demo" / "1.0" / "images" / f".demo_images.{dead}.tmp"]
    for path in left:
        path.mkdir()
        (path / "a.jpg").write_bytes(b"x")
    left.append(root / "demo" / "1.0" / "files" / "demo_images.zip")
    left[-1].write_bytes(b"PK")
    answer = cli("cache", "prune", "--dry-run")
    assert all(str(path) in answer.err for path in left)
    assert all(path.exists() for path in left)
    assert "3 leftovers" in cli("cache", "prune").err
    assert not any(path.exists() for path in left)
    assert cli("verify").code == 0


def test_what_a_living_process_holds_is_left_alone(cli: Callable, tmp_path: Path) -> None:
    """prune says who holds it and goes on; so does its dry run."""
    cli("fetch", "demo")
    left = tmp_path / "cache" / "datasets" / "demo" / "1.0" / "files" / ".a.zip.0123.part"
    left.write_bytes(b"half")
    os.utime(left, (1_000, 1_000))
    with Cache(tmp_path / "cache").lock("demo", waiting=print):
        for words in (("cache", "prune"), ("cache", "prune", "--dry-run")):
            answer = cli(*words)
            assert answer.code == 0
            assert f"process {os.getpid()} on {machine_name()}" in answer.err
            assert "left alone" in answer.err
    assert left.exists()
    assert cli("cache", "prune").code == 0
    assert not left.exists()


def test_a_second_fetch_says_whom_it_waits_for(cli: Callable, tmp_path: Path) -> None:
    """Promise 8: process and machine; it goes on as soon as the holder is gone."""
    cache = Cache(tmp_path / "cache")
    held = cache.lock("demo", waiting=print)
    held.__enter__()
    line = [
        sys.executable,
        "-m",
        "dermdata",
        "--cache",
        str(cache.root),
        "fetch",
        "demo",
        "--only",
        "metadata",
    ]
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as waiting:
        assert waiting.stderr
        said = waiting.stderr.readline()
        held.__exit__(None, None, None)
        waiting.stderr.read()
    assert said == f"demo: waiting for process {os.getpid()} on {machine_name()}\n"
    assert waiting.returncode == 0
