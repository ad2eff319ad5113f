"""Zip and tar as they should be: listing by ranges, unpacking, names of ours, memory, crashes."""

import hashlib
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

from dermdata import disk
from dermdata.archive import ArchiveEntry, extract, read_member, safe_name, staging
from dermdata.errors import ArchiveRefused, StorageError
from dermdata.model import ImageFacts, Unpack
from support.archive_builders import IMAGES, MAKERS, Remote, on_disk, unpack, zipped


@pytest.mark.fault(78)
def test_junk_is_left_out_and_counted(tmp_path: Path) -> None:
    """Row 78: what macOS and Windows leave behind."""
    junk = {"__MACOSX/._a.jpg": b"1", "a/.DS_Store": b"2", "a/Thumbs.db": b"3", "a/._b.jpg": b"4"}
    extraction = unpack(tmp_path, zipped({**junk, "a/b.jpg": b"image"}))
    assert [file.name for file in extraction.contents] == ["a/b.jpg"]
    assert extraction.junk == 4
    assert on_disk(tmp_path / "out") == {"a/b.jpg": b"image"}


@pytest.mark.parametrize("kind", MAKERS)
def test_one_pass_gives_files_digests_and_looks(kind: Unpack, tmp_path: Path) -> None:
    """Every wanted member is on disk; its SHA-256, what was seen of it, and progress are told."""
    steps: list[int] = []
    extraction = unpack(
        tmp_path,
        MAKERS[kind](IMAGES),
        kind,
        wanted=lambda name: not name.endswith("0000099.jpg"),
        place=lambda name: f"ours/{name[-11:]}",
        look=lambda data: ImageFacts(width=len(data)),
        progress=steps.append,
    )
    wanted = dict(list(IMAGES.items())[:-1])
    assert [file.name for file in extraction.contents] == sorted(wanted)
    assert [file.sha256 for file in extraction.contents] == [
        hashlib.sha256(d).hexdigest() for d in wanted.values()
    ]
    assert on_disk(tmp_path / "out") == {f"ours/{name[-11:]}": data for name, data in wanted.items()}
    assert {file.image for file in extraction.contents} == {ImageFacts(width=504)}
    assert (extraction.unwanted, sum(steps)) == (1, 504 * 99)


def test_members_can_be_fetched_again_by_range(tmp_path: Path) -> None:
    """A zip's contents carry all that one range request needs."""
    data = zipped(IMAGES)
    member = unpack(tmp_path, data).contents[5].member
    assert member is not None
    entry = ArchiveEntry(member.path, 504, member.stored, member.method, member.crc32, member.offset)
    assert b"".join(read_member(Remote(data), entry)) == IMAGES[member.path]


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_the_number_of_threads_changes_nothing(jobs: int, tmp_path: Path) -> None:
    """Promise 15: the same archive gives the same value."""
    shuffled = dict(sorted(IMAGES.items(), key=lambda item: hashlib.sha256(item[0].encode()).digest()))
    contents = unpack(tmp_path, zipped(shuffled), jobs=jobs).contents
    assert [file.name for file in contents] == sorted(IMAGES)


@pytest.mark.fault(77)
def test_what_a_killed_run_left_is_written_anew(tmp_path: Path) -> None:
    """Row 77: half a file under the same name is replaced."""
    half = tmp_path / "out/images/ISIC_0000003.jpg"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    unpack(tmp_path, zipped(IMAGES))
    assert on_disk(tmp_path / "out") == IMAGES


KILLED = """
    import os, sys
    from pathlib import Path
    from dermdata.archive import extract, safe_name
    seen = 0
    def progress(count):
        global seen
        seen += 1
        if seen == 50:
            os.kill(os.getpid(), 9)
    temporary = Path(sys.argv[2] + ".tmp")
    extract(Path(sys.argv[1]), "zip", temporary, place=safe_name, progress=progress)
    temporary.rename(sys.argv[2])
"""


@pytest.mark.fault(77)
def test_a_kill_in_the_middle_leaves_no_final_folder(tmp_path: Path) -> None:
    """Row 77: the caller renames the folder only after all is written and durable."""
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(IMAGES))
    final = tmp_path / "final"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(archive), str(final)]
    assert subprocess.run(command, check=False).returncode == -9
    assert not final.exists()
    extract(archive, "zip", tmp_path / "final.tmp", place=safe_name)
    assert on_disk(tmp_path / "final.tmp") == IMAGES


@pytest.mark.parametrize("kind", MAKERS)
def test_an_error_in_the_middle_takes_everything_back(kind: Unpack, tmp_path: Path) -> None:
    """Whatever fails, what this call created is gone and what was there before stays."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/other.csv").write_bytes(b"mine")

    def look(data: bytes) -> None:
        if data[0] == 60:
            raise StorageError("no room")

    with pytest.raises(StorageError, match="no room"):
        unpack(tmp_path, MAKERS[kind](IMAGES), kind, look=look)
    assert on_disk(tmp_path / "out") == {"other.csv": b"mine"}
    assert not (tmp_path / "out/images").exists()


def test_room_is_asked_for_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 7: the need is compared with what is free first."""
    asked: list[int] = []
    monkeypatch.setattr(disk, "require_space", lambda folder, needed: asked.append(needed))
    unpack(tmp_path, zipped(IMAGES))
    assert asked == [50_400]


def test_a_full_disk_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 7: exit code 5, the path named, nothing half left."""

    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging.os, "write", full)
    with pytest.raises(StorageError, match=r"no room for .*jpg"):
        unpack(tmp_path, zipped(IMAGES))
    assert on_disk(tmp_path / "out") == {}


@pytest.mark.parametrize("whole", [True, False])
def test_files_are_durable_when_extract_returns(
    whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 3: one syncfs after the last write, or where there is none an fsync of each file and folder."""
    synced: set[str] = set()
    monkeypatch.setattr(staging, "_sync_file_system", lambda folder: synced.add("all") or whole)
    monkeypatch.setattr(
        staging.os, "fsync", lambda fd: synced.add(str(Path(f"/proc/self/fd/{fd}").readlink()))
    )
    unpack(tmp_path, zipped(IMAGES))
    out = tmp_path / "out"
    each = {str(out), str(out / "images"), *(str(out / name) for name in IMAGES)}
    assert synced == {"all"} | (set() if whole else each)


def test_syncfs_is_used_on_this_system(tmp_path: Path) -> None:
    """It answers without error, or says that it cannot be used."""
    assert staging._sync_file_system(tmp_path) is (
        sys.platform == "linux" and staging._kernel_version() >= (5, 8)
    )


@pytest.mark.fault(68)
@pytest.mark.parametrize("path", ["../a", "/a", "a/../b", "", ".", "a//b"])
def test_a_path_outside_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    """Row 68: even when our own naming goes wrong."""
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"a.jpg": b"image"}))
    with pytest.raises(ArchiveRefused, match="outside"):
        extract(archive, "zip", tmp_path / "out", place=lambda _: path)


def test_links_planted_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    """Promise 9: a folder that is a link stops us, a file that is one is replaced, its target stays."""
    secret = tmp_path / "elsewhere/secret"
    secret.parent.mkdir()
    secret.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.jpg").symlink_to(secret)
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"a.jpg": b"image"}))
    extract(archive, "zip", tmp_path / "out", place=safe_name)
    assert (tmp_path / "out/a.jpg").read_bytes() == b"image"
    (tmp_path / "out/sub").symlink_to(secret.parent, target_is_directory=True)
    with pytest.raises(StorageError, match="in the way"):
        extract(archive, "zip", tmp_path / "out", place=lambda name: f"sub/{name}")
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]
    assert secret.read_text() == "mine"


@pytest.mark.parametrize("paths", [["x.jpg", "x.jpg"], ["x.jpg", "X.jpg"]])
def test_places_that_clash_are_told_apart(paths: list[str], tmp_path: Path) -> None:
    """Two members get two paths, whatever `place` says, also on a disk that is blind to case."""
    names = dict(zip(IMAGES, paths, strict=False))
    unpack(tmp_path, zipped({name: name.encode() for name in names}), place=names.__getitem__)
    found = on_disk(tmp_path / "out")
    assert sorted(found.values()) == sorted(name.encode() for name in names)
    assert len({path.casefold() for path in found}) == 2


def test_a_place_that_is_a_file_and_a_folder_is_refused(tmp_path: Path) -> None:
    names = dict(zip(IMAGES, ["x", "x/y"], strict=False))
    with pytest.raises(ArchiveRefused):
        unpack(tmp_path, zipped(dict.fromkeys(names, b"")), place=names.__getitem__)
    assert on_disk(tmp_path / "out") == {}


MEASURED = """
    import re, sys
    from pathlib import Path
    from dermdata.archive import extract, safe_name
    extract(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), place=safe_name, jobs=8)
    # not ru_maxrss: that one is inherited from the parent, whose tests may have needed more
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_memory_is_bounded_whatever_the_members(kind: str, tmp_path: Path) -> None:
    """One member of 310 MiB, or one of 40 MiB in each of eight threads, is more than the 300 MiB that they may take."""
    archive = tmp_path / f"large.{kind}"
    sizes = {"large.tif": 310 << 20, **{f"{number}.tif": 40 << 20 for number in range(8)}}
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            for name, size in sizes.items():
                with made.open(name, "w", force_zip64=True) as member:
                    for _ in range(size >> 20):
                        member.write(bytes(1 << 20))
    else:
        with tarfile.open(archive, "w") as tar:
            for name, size in sizes.items():
                info = tarfile.TarInfo(name)
                info.size = size
                with Path("/dev/zero").open("rb") as zeros:
                    tar.addfile(info, zeros)
    command = [sys.executable, "-c", textwrap.dedent(MEASURED), str(archive), kind, str(tmp_path / "out")]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(result.stdout) < 300
