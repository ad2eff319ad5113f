"""Archives as people's programs write them: Windows, macOS, other code pages, archives in archives."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dermdata.archive import ArchiveLimits, list_zip, read_member
from dermdata.archive.policy import PathAssigner, safe_name
from dermdata.errors import ArchiveRefused
from dermdata.model import Unpack
from support.archive_builders import (
    JPEG,
    MAKERS,
    Raw,
    Remote,
    on_disk,
    raw_tar,
    raw_zip,
    tar_member,
    unpack,
    zipped,
)

# ------------------------------------------------------------------ backslashes


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["pictures\\a.jpg", "pictures\\b.jpg"], ["pictures/a.jpg", "pictures/b.jpg"]),  # PowerShell 5.1
        (["a\\", "a\\b\\", "a\\b\\c.jpg"], ["a/b/c.jpg"]),  # with its folders
        ([".\\a.jpg", "x\\y/z.jpg"], ["a.jpg", "x/y/z.jpg"]),  # both in one name
        (["__MACOSX\\._a.jpg", "in\\Thumbs.db", "a.jpg"], ["a.jpg"]),  # junk is junk
    ],
)
def test_a_backslash_in_a_name_is_a_slash(names: list[str], read: list[str], tmp_path: Path) -> None:
    """As unzip, 7-Zip and the Explorer read it."""
    data = raw_zip(*(Raw(name.encode(), b"" if name.endswith("\\") else JPEG) for name in names))
    assert Remote(data).contents() == dict.fromkeys(read, JPEG)
    assert [one.name for one in unpack(tmp_path, data).contents] == read


def test_a_backslash_in_a_tar_is_a_slash(tmp_path: Path) -> None:
    found = unpack(tmp_path, raw_tar(tar_member("a\\b.jpg")), "tar.gz")
    assert [(one.name, one.path) for one in found.contents] == [("a/b.jpg", "a/b.jpg")]


# ------------------------------------------------------------------ code pages


@pytest.mark.parametrize(
    ("name", "code_page"),
    [("左前臂/痣_01.jpg", "gbk"), ("表皮.jpg", "shift_jis"), ("Лентиго.jpg", "cp866"), ("피부.jpg", "euc_kr"),
     ("Nävus.jpg", "cp1252"), ("一.jpg", "gbk")],
)  # fmt: skip
def test_names_in_a_code_page_that_is_stated_are_read(name: str, code_page: str, tmp_path: Path) -> None:
    """Also where their bytes look like UTF-8 or hold a backslash; what says that it is UTF-8 is."""
    data = raw_zip(Raw(name.encode(code_page)), Raw("ü.jpg".encode(), flags=0x800))
    found = unpack(tmp_path, data, encoding=code_page)
    assert {one.name for one in found.contents} == {name, "ü.jpg"}
    assert found.notes == ()


@pytest.mark.parametrize(
    ("name", "code_page"), [("痣_01.jpg", "gbk"), ("ほくろ.jpg", "shift_jis"), ("점.jpg", "euc_kr")]
)
def test_names_in_a_code_page_that_nobody_states_are_told(name: str, code_page: str, tmp_path: Path) -> None:
    """How one was read, what it may be, and what states it."""
    found = unpack(tmp_path, raw_zip(Raw(name.encode(code_page)), Raw(b"plain.jpg")))
    (note,) = found.notes
    assert "archive.zip: 1 name is not UTF-8, read as code page 437" in note
    assert "name_encoding" in note
    if code_page == "gbk":
        assert "which would be '痣_01.jpg' in gbk" in note


@pytest.mark.parametrize("name", ["plain.jpg", "Läsion.jpg"])
def test_utf_8_names_are_no_matter(name: str, tmp_path: Path) -> None:
    assert unpack(tmp_path, raw_zip(Raw(name.encode()))).notes == ()


# ------------------------------------------------------------------ counts and offsets that wrap


def many(count: int, stated: int) -> bytes:
    """A zip of empty members, whose end record counts what is stated."""
    head = struct.pack("<5H3L2H", 20, 0, 0, 0, 33, 0, 0, 0, 8, 0)
    names = [b"%08d" % number for number in range(count)]
    central = struct.pack("<6H3L5H", 20, 20, 0, 0, 0, 33, 0, 0, 0, 8, 0, 0, 0, 0) + struct.pack("<L", 0)
    body = b"".join(b"PK\3\4" + head + name for name in names)
    directory = b"".join(
        b"PK\1\2" + central + struct.pack("<L", number * 38) + name for number, name in enumerate(names)
    )
    return (
        body
        + directory
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, stated, stated, len(directory), len(body), 0)
    )


@pytest.mark.parametrize("count", [65_535, 65_536, 66_003])
def test_a_count_of_16_bits_starts_anew(count: int) -> None:
    """As macOS and others write more than 65,535 members without zip64."""
    data = many(count, count % 65_536)
    entries = list_zip(Remote(data), len(data)).entries
    assert (len(entries), entries[-1].name) == (count, f"{count - 1:08d}")


@pytest.mark.parametrize(("count", "stated"), [(66_000, 463), (66_000, 465), (3, 2), (65_536, 1)])
def test_another_count_is_refused(count: int, stated: int) -> None:
    data = many(count, stated)
    with pytest.raises(ArchiveRefused, match=f"its directory holds {count:,} members, and counts {stated}"):
        list_zip(Remote(data), len(data))


def test_members_beyond_the_limit_are_refused_whatever_is_counted() -> None:
    data = many(65_540, 4)
    with pytest.raises(ArchiveRefused, match="the limit members: 1,001 > 1,000"):
        list_zip(Remote(data), len(data), ArchiveLimits(members=1_000))


class Sparse:
    """A zip of members of many bytes each, which are not there, and a last one that is; offsets have 32 bits."""

    def __init__(self, *sizes: int) -> None:
        at, directory = 0, b""
        for number, size in enumerate(sizes):
            member = Raw(b"%d" % number)
            record = bytearray(member.central(at % 2**32))
            struct.pack_into("<2L", record, 20, size, size)
            directory, at = directory + bytes(record), at + len(member.local()) - len(JPEG) + size
        self.last = at
        local = Raw(b"last").local()
        directory += Raw(b"last").central(at % 2**32)
        start, count = at + len(local), len(sizes) + 1
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start % 2**32, 0)
        self.pieces = {at: local, start: directory + end}
        self.size = start + len(directory) + len(end)

    def __call__(self, start: int, length: int) -> bytes:
        data = bytearray(min(length, self.size - start))
        for at, piece in self.pieces.items():
            first, last = max(at, start), min(at + len(piece), start + len(data))
            if first < last:
                data[first - start : last - start] = piece[first - at : last - at]
        return bytes(data)


GIB = 1 << 30


@pytest.mark.parametrize(
    "sizes", [(GIB, GIB), (3 * GIB, 2 * GIB), (3 * GIB, 3 * GIB, 3 * GIB, 3 * GIB), (4 * GIB - 1, 1000)]
)
def test_offsets_over_4_gib_without_zip64_are_read(sizes: tuple[int, ...]) -> None:
    """As macOS writes them: they start anew at 4 GiB, and each member must be where it is looked for."""
    remote = Sparse(*sizes)
    entries = list_zip(remote, remote.size).entries
    assert [one.size for one in entries] == [*sizes, len(JPEG)]
    assert entries[-1].offset == remote.last
    assert b"".join(read_member(remote, entries[-1])) == JPEG


# ------------------------------------------------------------------ two spellings


@pytest.mark.parametrize(
    "names",
    [
        ["HAM_part_1/a.jpg", "ham_part_1/a.jpg"],
        ["a.jpg", "A.JPG", "a.JPG"],
        ["é.jpg", "É.jpg"],
        ["ß.jpg", "SS.jpg"],
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_names_that_differ_in_case_are_files_of_their_own(
    names: list[str], kind: Unpack, tmp_path: Path
) -> None:
    """Under paths that no disk takes for one, the same ones in whatever order they come."""
    members = {name: name.encode() for name in names}
    found = unpack(tmp_path, MAKERS[kind](members), kind)
    assert {one.name: (tmp_path / "out" / one.path).read_bytes() for one in found.contents} == members
    assert len({one.path.casefold() for one in found.contents}) == len(names)
    first = PathAssigner(safe_name).assign_all(names)
    assert first == PathAssigner(safe_name).assign_all(reversed(names))
    assert first[min(names)] == safe_name(min(names))


# ------------------------------------------------------------------ archives in archives


def pieces() -> Iterator[tuple[str, dict[str, bytes]]]:
    yield "imgs/part_1", {"a.jpg": JPEG, "sub/b.jpg": JPEG[:500]}
    yield "imgs/part_2", {"c.jpg": JPEG[:100]}


@pytest.mark.parametrize("outer", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    ("inner", "ending"), [("zip", ".zip"), ("zip", ".ZIP"), ("tar", ".tar"), ("tar.gz", ".tgz")]
)
def test_archives_in_an_archive_are_unpacked(
    outer: Unpack, inner: Unpack, ending: str, tmp_path: Path
) -> None:
    """As if each were a folder; nothing of the archive itself is left."""
    made = {f"{name}{ending}": MAKERS[inner](files) for name, files in pieces()}
    found = unpack(tmp_path, MAKERS[outer]({**made, "read.txt": b"x"}), outer, open_inner=True)
    read = {one.name: (tmp_path / "out" / one.path).read_bytes() for one in found.contents}
    expected = {f"{name}/{leaf}": data for name, files in pieces() for leaf, data in files.items()}
    assert read == {**expected, "read.txt": b"x"}
    assert len(on_disk(tmp_path / "out")) == len(read)
    assert found.notes == ()
    assert {one.member for one in found.contents if one.name.startswith("imgs")} == {None}


def test_archives_stay_closed_unless_they_are_to_be_opened(tmp_path: Path) -> None:
    inner = zipped({"a.jpg": JPEG})
    assert on_disk(tmp_path / "out") == {}
    unpack(tmp_path, zipped({"in.zip": inner}))
    assert on_disk(tmp_path / "out") == {"in.zip": inner}


def test_names_of_an_inner_archive_are_read_by_the_stated_code_page(tmp_path: Path) -> None:
    inner = raw_zip(Raw("痣.jpg".encode("gbk")))
    found = unpack(tmp_path, zipped({"in.zip": inner}), open_inner=True, encoding="gbk")
    assert [one.name for one in found.contents] == ["in/痣.jpg"]


def test_images_in_inner_archives_are_looked_at(tmp_path: Path) -> None:
    """Members' bytes go to `look` wherever they lie."""
    seen: list[int] = []
    inner = zipped({"a.jpg": JPEG})
    unpack(
        tmp_path, zipped({"in.zip": inner}), open_inner=True, look=lambda data: seen.append(zlib.crc32(data))
    )
    assert zlib.crc32(JPEG) in seen


# ------------------------------------------------------------------ methods


def test_what_explorer_writes_above_2_gb_is_named_with_a_way_out() -> None:
    """Deflate64: no talk of damage."""
    data = raw_zip(Raw(b"a.jpg", method=9))
    with pytest.raises(ArchiveRefused, match=r"method 9 \(deflate64\)") as caught:
        list_zip(Remote(data), len(data))
    assert "Windows Explorer" in str(caught.value.hint)
    assert "--from" in str(caught.value.hint)
    assert "altered" not in str(caught.value.hint)


@pytest.mark.parametrize("method", [6, 95, 98])
def test_other_methods_have_a_way_out_too(method: int) -> None:
    data = raw_zip(Raw(b"a.jpg", method=method))
    with pytest.raises(ArchiveRefused) as caught:
        list_zip(Remote(data), len(data))
    assert str(caught.value.hint).startswith("unpack it with")


def test_what_python_writes_is_read_back() -> None:
    """A zip64 one with a comment, for comparison."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made, made.open("a.jpg", "w", force_zip64=True) as file:
        file.write(JPEG)
    assert Remote(buffer.getvalue()).contents() == {"a.jpg": JPEG}
