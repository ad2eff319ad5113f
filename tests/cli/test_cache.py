"""`dermdata cache`."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path


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
