"""Names and places: rows 62-64 of the table of faults.

| row | not tried as the table says, and why |
|---|---|
| 62  | a real vfat or APFS: no tools for it here; names are made to differ when folded, which is what is tested |
"""

import os
import shutil
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.stage import CountingSite, finals, publish, small_files


@pytest.fixture
def site() -> Iterator[CountingSite]:
    with CountingSite() as running:
        yield running


def hostile_names() -> dict[str, bytes]:
    long = "n" * 240 + ".jpg"
    names = ["CON.jpg", "aux", "trailing.", "-rf.jpg", "‮gpj.exe", "🙂.jpg", "é" * 60 + ".jpg"]
    return {name: name.encode() for name in [*names, long, "a/" * 20 + "deep.jpg"]}


def test_row_62_names_that_a_case_blind_disk_takes_for_one(
    cli: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """In an archive: each has a path of its own; in a catalog entry: exit 2. Nothing is written over."""
    files = small_files()
    for number, twins in enumerate((["A.jpg", "a.jpg"], ["é.jpg", unicodedata.normalize("NFD", "É.jpg")])):
        archive = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(archive, "w") as made:
            for name in twins:
                made.writestr(name, name)
        options = publish(tmp_path, site, files | {"images.zip": archive.read_bytes()})
        answer = cli(*options, "fetch", "ours")
        assert answer.code in (0, 8), answer.err
        kept = {path.name.casefold(): path.read_bytes() for path in (tmp_path / "cache").rglob("*.jpg")}
        assert sorted(kept.values()) == sorted(name.encode() for name in twins)
        assert cli(*options, "cache", "remove", "ours").code == 0
    options = publish(tmp_path, site, files | {"LOOSE.bin": b"another"})
    answer = cli(*options, "fetch", "ours")
    assert answer.code == 2, answer.err
    assert "files[LOOSE.bin]: is 'loose.bin' on disks that are blind to case" in answer.err


def test_row_63_every_name_is_stored_under_a_safe_one(
    cli: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """Long, deep, reserved, bidirectional, dashed: stored, verified, at most 255 bytes each."""
    with zipfile.ZipFile(tmp_path / "names.zip", "w") as made:
        for name, data in hostile_names().items():
            made.writestr(name, data)
    files = small_files() | {"images.zip": (tmp_path / "names.zip").read_bytes()}
    options = publish(tmp_path, site, files)
    answer = cli(*options, "fetch", "ours")
    assert answer.code == 8, answer.err  # no row is of one of these images
    stored = {name: data for name, data in finals(tmp_path / "cache").items() if "/images/" in name}
    assert sorted(stored.values()) == sorted(hostile_names().values())
    for name in stored:
        for leaf in name.split("/"):
            assert len(leaf.encode()) <= 255
            assert not leaf.startswith("-")
            assert not leaf.endswith((".", " "))
            assert leaf.partition(".")[0].upper() not in {"CON", "AUX", "NUL", "PRN"}
    assert cli(*options, "verify").code == 0


def test_row_64_a_cache_may_be_moved_copied_and_linked(
    cli: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """Paths in it are relative: nothing is asked for again, and it verifies."""
    options = publish(tmp_path, site, small_files())
    cli(*options, "fetch", "ours")
    (tmp_path / "cache").rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "copied")
    shutil.copytree(tmp_path / "moved", tmp_path / "linked", copy_function=os.link)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "datasets").symlink_to(tmp_path / "moved" / "datasets")
    site.forget()
    for name in ("moved", "copied", "linked", "elsewhere"):
        assert "already complete" in cli(*options, "fetch", "ours", cache=tmp_path / name).err
        assert cli(*options, "verify", cache=tmp_path / name).code == 0
    assert site.requests == []
