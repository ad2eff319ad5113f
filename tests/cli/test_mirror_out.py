"""`dermdata fetch --mirror-out`: original files on a disk, and from there into a cache without a network."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.catalog_folders import entry, put
from support.servers import Site

TABLE = "https://files.example/table.csv"
ROWS = b"id,dx\n1,NEV\n2,MEL\n"


@pytest.fixture
def unpublished(tmp_path: Path, site: Site) -> list[str]:
    """The options for an entry `odd`, whose publisher states no checksum."""
    more = '\n[[files]]\nname = "odd.csv"\nrole = "metadata"\nurls = ["' + TABLE + '"]\n'
    table = '\n[[table]]\nreader = "table"\nfile = "odd.csv"\n[table.columns]\nimage_id = ["id"]\n'
    put(tmp_path / "catalog", "odd", entry("odd") + more + table)
    site.put(TABLE, ROWS)
    return ["--catalog", str(tmp_path / "catalog"), "--rewrite", site.rewrite]


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


# ------------------------------------------------------------------ the bad day


def test_a_file_that_was_changed_on_the_disk_is_refused(
    cli: Callable, tmp_path: Path, unpublished: list[str]
) -> None:
    """Where no publisher states a checksum, the mirror's own SHA256SUMS is believed."""
    mirror = tmp_path / "mirror"
    assert cli(*unpublished, "fetch", "odd", "--mirror-out", mirror).code == 0
    (mirror / "odd" / "odd.csv").write_bytes(b"id,dx\n1,NEV\n2,NEV\n")
    answer = cli(*unpublished, "--offline", "fetch", "odd", "--mirror", mirror)
    assert answer.code == 4
    assert hashlib.sha256(ROWS).hexdigest() in answer.err
    assert not list((tmp_path / "cache").rglob("odd.csv"))


def test_a_second_call_mends_and_goes_on(
    cli: Callable, tmp_path: Path, unpublished: list[str], site: Site
) -> None:
    """A damaged, a missing and a half file come anew; a sound one without published checksum is not asked again."""
    mirror = tmp_path / "mirror"
    cli(*unpublished, "fetch", "odd", "demo", "--mirror-out", mirror)
    before = tree(mirror)
    (mirror / "demo" / "demo_masks.zip").unlink()
    images = mirror / "demo" / "demo_images.zip"
    images.write_bytes(images.read_bytes()[:500])
    site.put(TABLE, b"changed since")
    answer = cli("fetch", "demo", "--mirror-out", mirror)
    assert answer.code == 0
    assert cli(*unpublished, "--offline", "fetch", "odd", "--mirror-out", mirror).code == 0
    assert tree(mirror) == before


def test_garbage_in_the_checksums_is_passed_over(
    cli: Callable, tmp_path: Path, unpublished: list[str]
) -> None:
    """It is written anew; a file that only it vouched for is downloaded again."""
    mirror = tmp_path / "mirror"
    cli(*unpublished, "fetch", "odd", "--mirror-out", mirror)
    before = tree(mirror)
    (mirror / "odd" / "SHA256SUMS").write_bytes(bytes(range(256)))
    assert "downloaded" in cli(*unpublished, "fetch", "odd", "--mirror-out", mirror).err
    assert tree(mirror) == before


def test_what_a_host_lists_is_refused_with_the_other_way(cli: Callable, tmp_path: Path) -> None:
    """A mirror of files cannot stand in for a listing: a bundle can."""
    answer = cli("fetch", "scin", "--mirror-out", tmp_path / "mirror")
    assert answer.code == 2
    assert "dermdata cache bundle scin" in answer.err
    assert not (tmp_path / "mirror").exists()


def test_the_cache_itself_is_no_mirror(cli: Callable, tmp_path: Path) -> None:
    assert cli("fetch", "demo", "--mirror-out", tmp_path / "cache" / "mirror").code == 2
    assert cli("fetch", "demo", "--mirror-out", tmp_path / "m", "--from", tmp_path).code == 2
    assert cli("fetch", "demo", "--mirror-out", tmp_path / "m", "--limit", "3").code == 2


# ------------------------------------------------------------------ the good day


def test_the_whole_way_over_a_disk(cli: Callable, tmp_path: Path) -> None:
    """Originals and checksums out, nothing into the cache; on the other side a complete dataset, offline."""
    mirror = tmp_path / "mirror"
    answer = cli("fetch", "demo", "--mirror-out", mirror)
    assert (answer.code, answer.out) == (0, f"{mirror}/demo\n")
    assert not (tmp_path / "cache" / "datasets").exists()
    assert sorted(tree(mirror)) == [
        f"demo/{name}" for name in ("SHA256SUMS", "demo_images.zip", "demo_masks.zip", "demo_metadata.csv")
    ]
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=mirror / "demo", check=True)
    shutil.move(mirror, tmp_path / "disk")
    away = tmp_path / "away"
    assert cli("--offline", "fetch", "demo", "--mirror", tmp_path / "disk", cache=away).code == 0
    assert cli("--offline", "verify", cache=away).code == 0


def test_the_plan_says_what_is_there(cli: Callable, tmp_path: Path) -> None:
    """--dry-run: download, copy from the cache, have; nothing is written."""
    mirror = tmp_path / "mirror"

    def steps() -> list[str]:
        answer = cli("fetch", "demo", "--mirror-out", mirror, "--dry-run", "--format", "json")
        return [item["step"] for item in json.loads(answer.out)["items"]]

    assert steps() == ["download"] * 3
    assert not mirror.exists()
    cli("fetch", "demo", "--only", "metadata")
    assert sorted(steps()) == ["copy", "download", "download"]
    cli("fetch", "demo", "--mirror-out", mirror)
    assert steps() == ["have"] * 3


def test_a_damaged_copy_in_the_cache_is_not_passed_on(cli: Callable, tmp_path: Path) -> None:
    """The source is asked instead."""
    cli("fetch", "demo", "--only", "metadata")
    cached = next((tmp_path / "cache").rglob("demo_metadata.csv"))
    whole = cached.read_bytes()
    cached.write_bytes(b"?" * len(whole))
    assert cli("fetch", "demo", "--mirror-out", tmp_path / "mirror").code == 0
    assert (tmp_path / "mirror" / "demo" / "demo_metadata.csv").read_bytes() == whole
