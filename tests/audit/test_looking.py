"""Images are looked at once: what was seen is kept beside the dataset, and only believed of the same bytes."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dermdata.audit import inspection
from dermdata.audit.inspection import Inspection, InspectionCache, RowImage, inspect_images
from dermdata.checksum import sha256_of_chunks
from dermdata.engine import ClusterExecutor
from dermdata.errors import StorageError
from dermdata.progress import SilentProgress
from support.audit_builders import audited, rows
from support.lesion_pictures import blurred_lesion, jpeg


class Told(SilentProgress):
    """Remembers what the person would be told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.looks = 0

    def say(self, text: str) -> None:
        self.lines.append(text)

    def advance(self, task: str, amount: int) -> None:
        self.looks += amount if task == inspection.INSPECT_TASK else 0


@pytest.fixture
def pictures(tmp_path: Path) -> list[RowImage]:
    found = []
    for number in range(5):
        path, data = tmp_path / f"{number}.jpg", jpeg(blurred_lesion(number, (64, 48)))
        path.write_bytes(data)
        found.append(RowImage(name=str(path), dataset="a", sha256=sha256_of_chunks([data]), bytes=len(data)))
    return found


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def look(pictures: list[RowImage], pool: ThreadPoolExecutor, told: Told) -> list[Inspection | None]:
    """One audit's looks, the record read anew."""
    shelf = InspectionCache(pictures[0].path.parent, told)
    return inspect_images(pictures, {"a": shelf}, pool, 2, told)


def records(pictures: list[RowImage]) -> list[Path]:
    return sorted(pictures[0].path.parent.glob("looks-*.cache"))


def test_a_second_audit_looks_at_nothing(pictures: list[RowImage], pool: ThreadPoolExecutor) -> None:
    """And sees the same."""
    first, again = Told(), Told()
    seen = look(pictures, pool, first)
    assert (first.looks, len(records(pictures))) == (5, 1)
    assert look(pictures, pool, again) == seen
    assert again.looks == 0


def test_a_file_that_changed_its_size_is_looked_at_again(
    pictures: list[RowImage], pool: ThreadPoolExecutor
) -> None:
    """The record is of other bytes: the damage is seen, and the record of the sound file stays."""
    look(pictures, pool, Told())
    sound = pictures[0].path.read_bytes()
    pictures[0].path.write_bytes(sound[:-100])
    seen = look(pictures, pool, told := Told())[0]
    assert (told.looks, seen and "truncated" in (seen.look.problem or "")) == (1, True)
    pictures[0].path.write_bytes(sound)
    seen = look(pictures, pool, Told())[0]
    assert seen
    assert seen.look.problem is None


@pytest.mark.parametrize("place", [5, -20])
def test_a_file_that_was_altered_at_the_same_size_is_looked_at_again(
    pictures: list[RowImage], pool: ThreadPoolExecutor, place: int
) -> None:
    """Neither size nor time tells: the bytes are read, and the finding has their own digest."""
    look(pictures, pool, Told())
    before = pictures[0].path.stat()
    data = bytearray(pictures[0].path.read_bytes())
    data[place] ^= 0xFF
    pictures[0].path.write_bytes(data)
    os.utime(pictures[0].path, ns=(before.st_atime_ns, before.st_mtime_ns))
    seen = look(pictures, pool, told := Told())[0]
    assert seen
    assert (told.looks, seen.sha256) == (1, sha256_of_chunks([data]))


def test_the_record_is_by_the_bytes_that_were_read(
    pictures: list[RowImage], pool: ThreadPoolExecutor
) -> None:
    """A file that is not what the manifest says teaches nothing about the one that it says."""
    other = jpeg(blurred_lesion(9, (64, 48)))
    pictures[0].path.write_bytes(other)
    seen = look(pictures[:1], pool, Told())[0]
    assert seen
    assert seen.sha256 == sha256_of_chunks([other])
    assert pq.ParquetFile(records(pictures)[0]).read()["sha256"].to_pylist() == [sha256_of_chunks([other])]


def test_a_killed_audit_goes_on_from_its_last_batch(
    pictures: list[RowImage], pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of one task: what was whole before the end is there, and no half file."""
    monkeypatch.setattr(inspection, "IMAGES_PER_TASK", 1)
    monkeypatch.setattr(inspection, "IMAGES_PER_SAVE", 2)
    monkeypatch.setattr(InspectionCache, "compact", lambda self: None)  # a kill leaves no time for it

    class Killed(Told):
        def advance(self, task: str, amount: int) -> None:
            super().advance(task, amount)
            if self.looks == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(pictures, pool, Killed())
    monkeypatch.undo()
    look(pictures, pool, told := Told())
    assert told.looks == 3  # the fourth was in a batch that was not whole
    assert len(records(pictures)) == 1
    assert not list(pictures[0].path.parent.glob(".*"))


def test_a_record_that_cannot_be_read_costs_only_time(
    pictures: list[RowImage], pool: ThreadPoolExecutor
) -> None:
    """It is said, and made anew."""
    look(pictures, pool, Told())
    records(pictures)[0].write_bytes(b"PAR1 no more")
    look(pictures, pool, told := Told())
    assert told.looks == 5
    assert "looked at again" in told.lines[0]
    assert look(pictures, pool, again := Told())
    assert (again.looks, again.lines) == (0, [])


def test_a_record_of_another_edition_is_not_believed(
    pictures: list[RowImage], pool: ThreadPoolExecutor
) -> None:
    look(pictures, pool, Told())
    (path,) = records(pictures)
    table = pq.ParquetFile(path).read()
    pq.write_table(table.replace_schema_metadata({"dermdata.looks": "0"}), path)
    look(pictures, pool, told := Told())
    assert told.looks == 5


def test_pairs_are_laid_upon_each_other_once(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time their likeness is remembered, also of those that are not alike."""
    for name, quality in (("one", 90), ("two", 60)):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg(blurred_lesion(1), quality=quality))
    table = rows(path=["one.jpg", "two.jpg"])
    first = audited(table, "duplicate-near", root=tmp_path, keep=tmp_path, near=True)
    assert len(first) == 1
    assert len(list(tmp_path.glob("alike-*.cache"))) == 1
    monkeypatch.setattr(
        "dermdata.duplicates.near_duplicates.read_raster", lambda path: pytest.fail("read again")
    )
    assert audited(table, "duplicate-near", root=tmp_path, keep=tmp_path, near=True) == first


def test_what_was_seen_is_no_parquet_beside_the_manifest(
    pictures: list[RowImage], pool: ThreadPoolExecutor
) -> None:
    """`*.parquet` in a dataset's folder is the manifest and nothing else."""
    look(pictures, pool, Told())
    assert list(pictures[0].path.parent.glob("*.parquet")) == []


def test_records_of_an_earlier_version_are_used_and_renamed(
    pictures: list[RowImage], pool: ThreadPoolExecutor
) -> None:
    look(pictures, pool, Told())
    (path,) = records(pictures)
    path.rename(path.with_suffix(".parquet"))
    look(pictures, pool, told := Told())
    assert (told.looks, records(pictures)) == (0, [path])
    assert list(path.parent.glob("*.parquet")) == []


def test_records_of_an_earlier_version_are_used_where_nothing_can_be_renamed(
    pictures: list[RowImage], pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only cache that an earlier version filled."""
    look(pictures, pool, Told())
    (path,) = records(pictures)
    path.rename(path.with_suffix(".parquet"))

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    look(pictures, pool, told := Told())
    assert told.looks == 0


def test_what_cannot_be_written_is_said_once(
    pictures: list[RowImage], pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only cache only loses the reuse."""

    whole = os.open

    def refused(path: Path, flags: int, *more: int) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(pictures[0].path.parent))
        return whole(path, flags, *more)

    monkeypatch.setattr("os.open", refused)
    told = Told()
    assert all(look(pictures, pool, told))
    assert len(told.lines) == 1
    assert "is not kept" in told.lines[0]


def test_a_folder_that_was_removed_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    shelf = InspectionCache(tmp_path / "gone", Told())
    shelf.add({"x": inspection.ImageInspection(problem="y")})
    shelf.compact()
    assert not (tmp_path / "gone").exists()


def test_a_worker_that_does_not_see_the_files_is_no_finding(
    pictures: list[RowImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster the data are not called broken where it is the worker's file system that lacks them."""
    monkeypatch.setattr(inspection, "inspect_files", blind)
    with (
        ClusterExecutor(ThreadPoolExecutor(1)) as far,
        pytest.raises(StorageError, match=r"0\.jpg: the file is missing for a worker, though") as caught,
    ):
        inspect_images(pictures, {"a": InspectionCache(None, SilentProgress())}, far, 1, SilentProgress())
    assert "the same path" in str(caught.value.hint)


def test_a_file_that_nobody_sees_is_one(pictures: list[RowImage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "inspect_files", blind)
    pictures[0].path.unlink()
    with ClusterExecutor(ThreadPoolExecutor(1)) as far:
        (found,) = inspect_images(
            pictures[:1], {"a": InspectionCache(None, SilentProgress())}, far, 1, SilentProgress()
        )
    assert found == Inspection(inspection.ImageInspection(problem="the file is missing"), None)


def blind(paths: list[Path]) -> list[Inspection]:
    return [Inspection(inspection.ImageInspection(problem="the file is missing"), None) for _ in paths]
