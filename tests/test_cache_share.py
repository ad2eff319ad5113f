"""Bytes that two datasets have are stored once, and nothing else about either of them changes."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata.cache import Cache, DatasetFolder
from dermdata.cache.dedup import clone_file, measure_usage, total_bytes
from support.cached_folders import fetched, tree

SAME, OTHER = b"the same image" * 400, b"another image" * 400


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def inode(folder: DatasetFolder, path: str) -> int:
    return (folder.path / path).lstat().st_ino


@pytest.fixture
def pair(cache: Cache) -> tuple[DatasetFolder, DatasetFolder]:
    """Two datasets, the second one just fetched, with one image in common under different names."""
    first = fetched(cache, "first", {"images/a.jpg": SAME, "images/b.jpg": OTHER})
    return first, fetched(cache, "second", {"images/x/y.jpg": SAME, "images/z.jpg": b"its own"})


# ------------------------------------------------------------------ the bad day


def test_a_damaged_copy_in_the_other_dataset_is_never_taken_over(
    cache: Cache, pair: tuple[DatasetFolder, DatasetFolder]
) -> None:
    """Its list says the right digest, its bytes are wrong, its size is right: ours stays."""
    first, second = pair
    (first.path / "images/a.jpg").write_bytes(SAME[:-1] + b"!")
    before = tree(second)
    assert cache.deduplicate(second) == 0
    assert tree(second) == before


def test_a_link_planted_in_the_other_dataset_is_not_followed(
    cache: Cache, pair: tuple[DatasetFolder, DatasetFolder], tmp_path: Path
) -> None:
    """Row 59: a file outside of the cache gets no second name and keeps its mode."""
    first, second = pair
    mine = tmp_path / "mine" / "a.jpg"
    mine.parent.mkdir()
    mine.write_bytes(SAME)
    donor = first.path / "images" / "a.jpg"
    for plant in (lambda: donor.symlink_to(mine), lambda: replaced_by_link(donor.parent, mine.parent)):
        donor.unlink()
        plant()
        assert cache.deduplicate(second) == 0
        assert (mine.stat().st_nlink, stat.S_IMODE(mine.stat().st_mode) & 0o200) == (1, 0o200)


def replaced_by_link(folder: Path, target: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.symlink_to(target)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOSPC, errno.ENOENT])
def test_where_nothing_can_be_linked_the_copy_stays(
    code: int, cache: Cache, pair: tuple[DatasetFolder, DatasetFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other mount, too many links, another person's file: whole, with no temporary file left."""

    def link(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.link", link)
    before = tree(pair[1])
    assert cache.deduplicate(pair[1]) == 0
    assert tree(pair[1]) == before


@pytest.mark.parametrize("what", [b"", b"half\t", bytes(range(256))])
def test_another_datasets_broken_list_stops_nothing(
    what: bytes, cache: Cache, pair: tuple[DatasetFolder, DatasetFolder]
) -> None:
    """Row 66: it is that dataset's matter; the others are still shared with."""
    first, second = pair
    for name in ("receipt.json", next(first.path.glob("contents-*")).name):
        (first.path / name).write_bytes(what)
        assert cache.deduplicate(second) == 0
    third = fetched(cache, "third", {"images/c.jpg": SAME})
    assert cache.deduplicate(second) == len(SAME)
    assert inode(second, "images/x/y.jpg") == inode(third, "images/c.jpg")


def test_a_file_that_is_gone_is_not_made_by_sharing(
    cache: Cache, pair: tuple[DatasetFolder, DatasetFolder]
) -> None:
    """Deleted under our feet, here or there: `verify` tells of it."""
    first, second = pair
    (second.path / "images/x/y.jpg").unlink()
    assert cache.deduplicate(second) == 0
    (first.path / "images/a.jpg").unlink()
    assert cache.deduplicate(second) == 0
    assert not (second.path / "images/x/y.jpg").exists()


# ------------------------------------------------------------------ the good day


def test_the_same_bytes_are_stored_once(cache: Cache, pair: tuple[DatasetFolder, DatasetFolder]) -> None:
    """Under both names, with lists, receipt and every byte as they were; doing it again changes nothing."""
    first, second = pair
    before = tree(first), tree(second)
    assert cache.deduplicate(second, jobs=2) == len(SAME)
    assert inode(first, "images/a.jpg") == inode(second, "images/x/y.jpg")
    assert (tree(first), tree(second)) == before
    assert cache.deduplicate(second) == cache.deduplicate(first) == 0


def test_linked_files_cannot_be_written_by_accident(
    cache: Cache, pair: tuple[DatasetFolder, DatasetFolder]
) -> None:
    """A change through one name would be a change of both: the write bits go."""
    cache.deduplicate(pair[1])
    assert stat.S_IMODE((pair[0].path / "images/a.jpg").stat().st_mode) & 0o222 == 0
    assert stat.S_IMODE((pair[0].path / "images/b.jpg").stat().st_mode) & 0o200


def test_removing_one_leaves_the_other_whole(cache: Cache, pair: tuple[DatasetFolder, DatasetFolder]) -> None:
    """What is freed is what only the removed one had."""
    first, second = pair
    cache.deduplicate(second)
    own = measure_usage(first.path)
    assert (own.shared, own.bytes - own.own) == (len(SAME), len(SAME))
    assert total_bytes([own, measure_usage(second.path)]) == own.bytes + measure_usage(
        second.path
    ).bytes - len(SAME)
    assert cache.remove(first) == own.own
    assert (second.path / "images/x/y.jpg").read_bytes() == SAME
    assert measure_usage(second.path).shared == 0


def test_two_names_in_one_dataset_are_no_sharing(cache: Cache) -> None:
    """A file with two names in one folder goes with it."""
    folder = fetched(cache, "first", {"images/a.jpg": SAME})
    before = measure_usage(folder.path).bytes
    os.link(folder.path / "images/a.jpg", folder.path / "images/b.jpg")
    assert (measure_usage(folder.path).bytes, measure_usage(folder.path).shared) == (before, 0)


def test_where_extents_can_be_shared_they_are(
    cache: Cache, pair: tuple[DatasetFolder, DatasetFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reflink is a file of its own: two inodes, both writable, the donor's bytes."""
    calls: list[int] = []

    def clone(target: int, request: int, source: int) -> int:
        calls.append(request)
        os.write(target, os.pread(source, 1 << 20, 0))
        return 0

    monkeypatch.setattr("fcntl.ioctl", clone)
    assert cache.deduplicate(pair[1]) == len(SAME)
    assert calls == [0x40049409]
    assert inode(pair[0], "images/a.jpg") != inode(pair[1], "images/x/y.jpg")
    assert tree(pair[1])["images/x/y.jpg"] == SAME


def test_a_failed_clone_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such call here: False; anything else is told."""
    (tmp_path / "a").write_bytes(SAME)
    for code, expected in ((errno.EOPNOTSUPP, False), (errno.EIO, OSError)):
        monkeypatch.setattr("fcntl.ioctl", failing(code))
        if expected is False:
            assert clone_file(tmp_path / "a", tmp_path / "b") is False
            assert not (tmp_path / "b").exists()
        else:
            with pytest.raises(OSError, match="error"):
                clone_file(tmp_path / "a", tmp_path / "b")


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail
