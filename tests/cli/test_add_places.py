"""Pictures that were added stay where they are: found there, checked there, and never written, moved or deleted."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer
from dermdata.cache.outside import OUTSIDE_NAME, describe_outside, read_outside
from dermdata.checksum import hash_file
from dermdata.errors import CacheDamaged
from dermdata.fetching import bundle

Cli = Callable[..., Answer]
COUNT = 4


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Four pictures in two folders, two of one name, and their table inside."""
    for number in range(COUNT):
        path = tmp_path / "own" / "ab"[number // 2] / f"x{number % 2}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (number * 50, 60, 90)).save(path)
    write_table(tmp_path / "own", COUNT)
    return tmp_path


def write_table(folder: Path, rows: int) -> None:
    lines = [f"{'ab'[n // 2]}/x{n % 2}.jpg,P{n},{('nevus', 'melanoma')[n % 2]}" for n in range(rows)]
    (folder / "table.csv").write_text("\n".join(["image,patient,diagnosis", *lines, ""]))


def add(cli: Cli, own: Path, *more: str, name: str = "own") -> Answer:
    answer = cli("add", name, own / "own", "-o", own / "lab", *more)
    assert answer.code == 0, answer.err
    return answer


def read_files(root: Path) -> dict[Path, tuple[bytes, int]]:
    """The person's files, and by how many names each is known."""
    return {path: (path.read_bytes(), path.stat().st_nlink) for path in root.rglob("*") if path.is_file()}


def cached_pictures(own: Path) -> list[Path]:
    return sorted((own / "cache" / "datasets" / "own" / "1" / "images").rglob("*.jpg"))


def test_pictures_are_recorded_and_not_copied(cli: Cli, own: Path) -> None:
    """The manifest is the same wherever they lie; the person's files are untouched, also when the dataset goes."""
    before = read_files(own / "own")
    in_place = Path(add(cli, own).out.splitlines()[-1])
    rows, record = in_place.read_bytes(), in_place.with_name(OUTSIDE_NAME).read_text()
    assert cached_pictures(own) == []
    assert all(str(own / "own" / "b" / f"x{n}.jpg") in record for n in range(2))
    catalog = ("--catalog", own / "lab")
    assert cli(*catalog, "verify", "own").code == 0
    assert "already complete" in cli(*catalog, "fetch", "own").err
    assert read_files(own / "own") == before
    assert cli(*catalog, "cache", "remove", "own").code == 0
    assert read_files(own / "own") == before
    again = cli(*catalog, "fetch", "own")
    assert (again.code, in_place.read_bytes()) == (0, rows), again.err
    copied = add(cli, own, "--force", "--copy")
    assert len(cached_pictures(own)) == COUNT
    assert read_files(own / "own") == before
    assert pq.read_table(copied.out.splitlines()[-1]).equals(pq.read_table(in_place))
    assert '"in-place"' not in in_place.with_name(OUTSIDE_NAME).read_text()


def test_links_are_asked_for(cli: Cli, own: Path) -> None:
    """What two datasets have is stored once, and nobody's file gets read-only by that; `cache remove` leaves them."""
    before = {path: path.stat().st_mode for path in (own / "own").rglob("*.jpg")}
    add(cli, own, "--link")
    add(cli, own, "--link", name="twin")
    assert len(cached_pictures(own)) == COUNT
    assert {path.stat().st_nlink for path in before} == {3}
    assert cli("--catalog", own / "lab", "verify").code == 0
    cli("--catalog", own / "lab", "cache", "remove", "own", "twin")
    assert {path: path.stat().st_mode for path in before} == before
    assert {path.stat().st_nlink for path in before} == {1}


def test_copy_and_link_at_once_is_refused(cli: Cli, own: Path) -> None:
    assert cli("add", "own", own / "own", "-o", own / "lab", "--copy", "--link").code == 2


def test_where_no_link_can_be_made_they_stay(cli: Cli, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache on another disk: it is said, and the pictures are found all the same."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    answer = add(cli, own, "--link")
    assert f"{COUNT} files cannot be linked from the cache, so they stay in place" in answer.err
    assert cli("--catalog", own / "lab", "verify", "own").code == 0


def damage(path: Path, how: str) -> None:
    """Of the same size, of another one, gone, a folder above gone, a link or a folder in its place."""
    data = path.read_bytes()
    if how == "folder gone":
        shutil.rmtree(path.parent)
        return
    path.unlink()
    if how in ("same size", "longer"):
        path.write_bytes(data[:-1] + b"x" * (1 + (how == "longer")))
    elif how == "link":
        path.symlink_to(path.with_name("x0.jpg"))
    elif how == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    ("how", "state"),
    [
        ("same size", "modified"), ("longer", "modified"), ("link", "modified"), ("folder", "modified"),
        ("gone", "missing"), ("folder gone", "missing"),
    ],
)  # fmt: skip
def test_what_became_of_a_file_is_told_apart(own: Path, how: str, state: str) -> None:
    path = own / "own" / "b" / "x1.jpg"
    before = describe_outside(path, hash_file(path).sha256)
    assert before.check() == "ok"
    damage(path, how)
    assert before.check() == state


@pytest.mark.parametrize(
    ("how", "fetched", "exported"), [("same size", 4, 4), ("folder gone", 5, 8)],
)  # fmt: skip
def test_a_picture_that_changed_or_went_is_named(
    cli: Cli, own: Path, how: str, fetched: int, exported: int
) -> None:
    """By every command that needs it; nothing is taken over in silence, and --force takes what is there."""
    add(cli, own)
    damage(own / "own" / "b" / "x1.jpg", how)
    catalog = ("--catalog", own / "lab")
    again = cli(*catalog, "fetch", "own")
    assert (again.code, "b/x1.jpg" in again.err or how == "folder gone") == (fetched, True), again.err
    verified = cli(*catalog, "verify", "own")
    assert (verified.code, "--force` takes them as they are now" in verified.err) == (1, True), verified.err
    assert cli(*catalog, "verify", "own", "--repair").code == 1
    shown = cli(*catalog, "export", "csv", "own", "-o", own / "x.csv")
    assert (shown.code, "x1.jpg" in shown.err or how == "folder gone") == (exported, True), shown.err
    bundled = cli(*catalog, "cache", "bundle", "own", "-o", own / "b.tar")
    assert (bundled.code, "x1.jpg" in bundled.err or how == "folder gone") == (4, True)
    if how == "same size":
        assert cli(*catalog, "fetch", "own", "--force").code == 0
        assert cli(*catalog, "verify", "own").code == 0


def test_another_time_alone_is_no_change(cli: Cli, own: Path) -> None:
    """A backup that was put back, a `touch`."""
    add(cli, own)
    os.utime(own / "own" / "a" / "x0.jpg", (1, 1))
    catalog = ("--catalog", own / "lab")
    assert "already complete" in cli(*catalog, "fetch", "own").err
    assert cli(*catalog, "export", "csv", "own", "-o", own / "x.csv").code == 0


def test_a_folder_that_moved_is_named_anew(cli: Cli, own: Path) -> None:
    """By --from, or by adding it again; without either the step is told."""
    add(cli, own)
    (own / "own").rename(own / "moved")
    catalog = ("--catalog", own / "lab")
    lost = cli(*catalog, "fetch", "own")
    assert (lost.code, "--from FOLDER" in lost.err) == (5, True)
    found = cli(*catalog, "fetch", "own", "--from", own / "moved")
    assert found.code == 0, found.err
    assert cli(*catalog, "verify", "own").code == 0
    shutil.rmtree(own / "cache")
    gone = cli(*catalog, "fetch", "own")
    assert (gone.code, f"{own / 'own'}, where it was added from, is not there" in gone.err) == (6, True)


def test_rows_that_were_added_come_with_force(cli: Cli, own: Path) -> None:
    """Until then it is said that the cache has the table as it was."""
    write_table(own / "own", 2)
    add(cli, own)
    write_table(own / "own", COUNT)
    catalog = ("--catalog", own / "lab")
    told = cli(*catalog, "fetch", "own")
    assert "changed since it was added, while the cache has it as it was" in told.err
    assert len(pq.read_table(add(cli, own, "--force").out.splitlines()[-1])) == COUNT


def test_commands_that_write_open_them(cli: Cli, own: Path) -> None:
    """A selection elsewhere, an export, a merge with a copy, a lock that another cache rebuilds, a bundle."""
    add(cli, own)
    add(cli, own, "--copy", name="twin")
    catalog = ("--catalog", own / "lab")
    both = own / "elsewhere" / "both.parquet"
    both.parent.mkdir()
    assert cli(*catalog, "select", "own", "twin", "-o", both).code == 0
    placed = pq.read_table(both)
    assert all(Path(path).is_file() for path in placed["path"].to_pylist())
    exported = cli(*catalog, "export", "imagefolder", both, "--labels", "malignancy", "-o", own / "out")
    assert exported.code == 0, exported.err
    assert len(list((own / "out").rglob("*.jpg"))) == 2 * COUNT
    assert cli(*catalog, "lock", "own", "-o", own / "own.lock").code == 0
    other = ("--cache", own / "other", *catalog)
    synced = cli(*other, "sync", own / "own.lock", "-o", own / "again.parquet")
    assert synced.code == 0, synced.err
    assert cli(*catalog, "cache", "bundle", "own", "-o", own / "b.tar").code == 0
    (own / "own").rename(own / "away")
    third = ("--cache", own / "third", *catalog)
    unpacked = cli(*third, "fetch", "own", "--from", own / "b.tar")
    assert unpacked.code == 0, unpacked.err
    assert cli(*third, "verify", "own").code == 0
    assert len(list((own / "third").rglob("*.jpg"))) == COUNT
    # what was selected before names them where they were: they are found where they are
    only = ("--where", "dataset = 'own'", "-o", own / "own.parquet")
    assert cli(*third, "select", both, *only).code == 0
    moved = cli(*third, "export", "csv", own / "own.parquet", "-o", own / "x.csv")
    assert moved.code == 0, moved.err
    assert (own / "x.csv").read_text().count(str(own / "third")) >= COUNT


def test_a_manifest_of_others_opens_no_file_outside(cli: Cli, own: Path) -> None:
    """Only the cache's own list leads out of it: not one beside a manifest, nor a path that it does not name."""
    place = Path(add(cli, own).out.splitlines()[-1])
    foreign = own / "foreign"
    foreign.mkdir()
    for name in ("manifest.parquet", OUTSIDE_NAME):
        shutil.copy(place.with_name(name), foreign / name)
    taken = cli("--cache", own / "none", "export", "csv", foreign / "manifest.parquet", "-o", own / "x.csv")
    assert taken.code == 8, taken.err


def test_a_bundle_leads_to_no_file_of_this_machine(
    cli: Cli, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made it wrote a list that does."""
    add(cli, own)
    catalog = ("--catalog", own / "lab")
    monkeypatch.setattr(bundle, "replace", lambda one, **_: one)
    assert cli(*catalog, "cache", "bundle", "own", "-o", own / "b.tar").code == 0
    taken = cli("--cache", own / "third", *catalog, "fetch", "own", "--from", own / "b.tar")
    assert (taken.code, OUTSIDE_NAME in taken.err) == (4, True), taken.err


def test_a_broken_list_is_told(cli: Cli, own: Path) -> None:
    place = Path(add(cli, own).out.splitlines()[-1]).with_name(OUTSIDE_NAME)
    catalog = ("--catalog", own / "lab")
    for text in ("{", json.dumps(["a"]), json.dumps(["a", "b", 1, 2, "c", "d"])):
        place.write_text(text)
        with pytest.raises(CacheDamaged, match=r"is broken"):
            read_outside(place.parent)
    assert cli(*catalog, "fetch", "own").code == 4
    assert cli(*catalog, "export", "csv", "own", "-o", own / "x.csv").code == 4
    assert cli(*catalog, "fetch", "own", "--force").code == 0


def test_the_fetch_of_a_part_is_refused(cli: Cli, own: Path) -> None:
    """All of it lies here; a dry run says what would be taken."""
    add(cli, own)
    shutil.rmtree(own / "cache")
    catalog = ("--catalog", own / "lab")
    assert cli(*catalog, "fetch", "own", "--limit", "1").code == 2
    planned = cli(*catalog, "fetch", "own", "--dry-run", "-f", "json")
    assert [item["step"] for item in json.loads(planned.out)["items"]] == ["adopt", "adopt", "build"]
    assert not (own / "cache" / "datasets").exists()
