"""An archive by its directory: few questions, few ranges, and never much more than was wanted."""

from functools import partial
from pathlib import Path

import pytest

from dermdata.archive import extract
from dermdata.fetching import ingest, remote_zip
from dermdata.fetching.remote_zip import RemoteZip, ZipOpenContext
from dermdata.model import Content, File
from support.archive_builders import IMAGES, Remote, zipped

FILE = File(name="images.zip", role="images", unpack="zip")


def shelved(members: dict[str, bytes], method: int = 0) -> tuple[RemoteZip, Remote]:
    remote = Remote(zipped(members, method))
    return remote_zip.read_zip_directory(
        FILE, remote, len(remote.data), "https://data.example/images.zip"
    ), remote


def chosen(source: RemoteZip, *numbers: int) -> list[Content]:
    return [source.expected_contents[number] for number in numbers]


def test_the_directory_costs_two_or_three_questions() -> None:
    """A directory of 140 kB: the tail, and what of the directory lies before it; nothing twice."""
    source, remote = shelved({f"images/{'x' * 100}{number}.jpg": b"" for number in range(1000)})
    assert len(source.entries) == 1000
    assert len(remote.requests) == 2
    assert sum(length for _, length in remote.requests) < 270_000
    ends = sorted((start, start + length) for start, length in remote.requests)
    assert ends[0][1] <= ends[1][0]


def test_the_end_of_a_large_directory_is_not_read_twice() -> None:
    """What the tail brought of it is used."""
    source, remote = shelved({f"{'x' * 100}{number}.jpg": b"" for number in range(1000)})
    (tail, _), (front, length) = remote.requests
    assert front + length == tail
    assert source.size == len(remote.data)


def test_members_are_foreseen_under_the_names_that_unpacking_gives() -> None:
    """Path, role, place; no SHA-256, but what tells copies from others."""
    source, _ = shelved({"a.jpg": b"one", "b.jpg": b"one", "c.txt": b"two", "__MACOSX/._b.jpg": b"x"})
    found = {one.path: one for one in source.expected_contents}
    assert sorted(found) == ["images/images/a.jpg", "images/images/b.jpg", "images/images/c.txt"]
    first, second, text = (found[path] for path in sorted(found))
    assert first.sha256 == second.sha256 != text.sha256
    assert (first.image, text.image) == (remote_zip.NOT_INSPECTED, None)


def test_a_member_without_an_ending_may_be_an_image() -> None:
    """What it is, its bytes tell when they come; a table is none."""
    source, _ = shelved({"a": b"1", "b.jfif": b"2", "c.heic": b"3", "d.csv": b"4", "x.1/e": b"5"})
    seen = {one.official: one.image is not None for one in source.expected_contents}
    assert seen == {"a": True, "b.jfif": True, "c.heic": True, "d.csv": False, "x.1/e": True}


def test_neighbors_are_one_range() -> None:
    """Exactly their bytes: the next member's begin is the end."""
    source, remote = shelved(IMAGES)
    [reach] = source.group_ranges(chosen(source, 10, 11, 12))
    assert remote.data[reach.start :].startswith(b"PK\3\4")
    assert reach.start + reach.length == source.entries[13].offset
    assert [one.official for one in reach.members] == [source.entries[n].name for n in (10, 11, 12)]


def test_the_last_member_ends_where_the_archive_does() -> None:
    source, remote = shelved(IMAGES)
    [reach] = source.group_ranges(chosen(source, 99))
    assert reach.start + reach.length <= len(remote.data)


def test_a_gap_as_long_as_a_member_is_read_through_and_a_longer_one_is_not() -> None:
    """So that no more than twice the wanted bytes are read."""
    source, _ = shelved(IMAGES)
    assert len(list(source.group_ranges(chosen(source, 10, 12)))) == 1
    assert len(list(source.group_ranges(chosen(source, 10, 13)))) == 2


def test_a_wide_gap_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large members that are not neighbors are asked for one by one."""
    monkeypatch.setattr(remote_zip, "LARGEST_GAP", 100)
    source, _ = shelved(IMAGES)
    assert len(list(source.group_ranges(chosen(source, 10, 12)))) == 2


def test_a_range_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run loses is little."""
    monkeypatch.setattr(remote_zip, "LARGEST_RANGE", 1500)
    source, _ = shelved(IMAGES)
    reaches = list(source.group_ranges(source.expected_contents))
    assert max(one.length for one in reaches) <= 1500
    assert sum(len(one.members) for one in reaches) == 100


def test_names_that_clash_in_the_cache_have_paths_of_their_own(tmp_path: Path) -> None:
    """The same ones as when the archive is unpacked."""
    files = {"images/a.jpg": b"1", "a.jpg": b"2", "A.jpg": b"3"}
    source, _ = shelved(files)
    expected = {one.official: one.path for one in source.expected_contents}
    assert len(set(expected.values())) == 3
    (tmp_path / "images.zip").write_bytes(zipped(files))
    place = partial(ingest.member_path, file=FILE)
    unpacked = extract(tmp_path / "images.zip", "zip", tmp_path / "out", place=place)
    assert {one.name: f"images/images/{one.path}" for one in unpacked.contents} == expected


def test_an_archive_on_disk(tmp_path: Path) -> None:
    """A mirror's folder is read in the same way."""
    path = tmp_path / "images.zip"
    path.write_bytes(zipped(IMAGES))
    source = remote_zip.open_remote_zip(FILE, path, ZipOpenContext("ours", None))  # type: ignore[arg-type]  # no network is used
    assert len(source.entries) == 100
    assert source.url == path.as_uri()
