"""Archives that could do harm or are broken: each is refused by name and leaves nothing behind."""

import io
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dermdata.archive import ArchiveLimits, extract, safe_name
from dermdata.errors import ArchiveRefused, CredentialsMissing, DermdataError
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


def refused(folder: Path, data: bytes, kind: str = "zip", **options: object) -> DermdataError:
    """Extract and give back the refusal; nothing may have been left anywhere below `folder`."""
    archive = folder / f"hostile.{kind}"
    archive.write_bytes(data)
    with pytest.raises((ArchiveRefused, CredentialsMissing)) as caught:
        extract(archive, kind, folder / "out", place=safe_name, jobs=2, **options)  # type: ignore[arg-type]
    archive.unlink()
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert archive.name in caught.value.message
    return caught.value


UNSAFE = {
    "../a.jpg": "'..'", "a/../../b.jpg": "'..'", "/etc/a.jpg": "absolute", "//server/share/a": "absolute",
    "C:/a.jpg": "drive", "c:a.jpg": "drive", "..\\a.jpg": "'..'", "\\\\server\\a": "absolute",
    "a\\..\\..\\b.jpg": "'..'", "\\a.jpg": "absolute", "C:\\a.jpg": "drive", "a\\\\b.jpg": "empty",
    "a\nb.jpg": "control", "a\x1b[2J.jpg": "control", "a//b.jpg": "empty", "a/./b.jpg": "empty",
}  # fmt: skip


@pytest.mark.fault(68)
@pytest.mark.parametrize(("name", "reason"), UNSAFE.items())
def test_names_that_leave_the_folder_are_refused(name: str, reason: str, tmp_path: Path) -> None:
    """Row 68: traversal, absolute, drive, UNC and control characters, a backslash being a slash; zip and tar alike."""
    good = Raw(b"good.jpg")
    assert reason in refused(tmp_path, raw_zip(good, Raw(name.encode()))).message
    assert reason in refused(tmp_path, raw_tar(tar_member("good.jpg"), tar_member(name)), "tar.gz").message


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    "format_bits", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_only_regular_zip_members(format_bits: int, tmp_path: Path) -> None:
    """Row 69: links, devices, pipes and sockets are refused before anything is written."""
    error = refused(
        tmp_path, raw_zip(Raw(b"good.jpg"), Raw(b"link", b"/etc/passwd", mode=format_bits | 0o777))
    )
    assert "'link' is a" in error.message


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    ("kind", "words"),
    [(tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "hard link"), (tarfile.FIFOTYPE, "named pipe"),
     (tarfile.CHRTYPE, "character device"), (tarfile.BLKTYPE, "block device"), (b"V", "unknown type")],
)  # fmt: skip
def test_only_regular_tar_members(kind: bytes, words: str, tmp_path: Path) -> None:
    """Row 69: a link, and a file written through it, leave nothing inside or outside the folder."""
    link = tar_member("evil", b"", type=kind, linkname=str(tmp_path / "outside"))
    data = raw_tar(tar_member("good.jpg"), link, tar_member("evil/a.jpg"))
    assert words in refused(tmp_path, data, "tar.gz").message


@pytest.mark.fault(69)
def test_setuid_is_not_kept(tmp_path: Path) -> None:
    """Row 69: whatever mode the archive asks for, ours is 0644 at most."""
    archive = tmp_path / "a.tar"
    archive.write_bytes(raw_tar(tar_member("a.jpg", mode=0o6777), mode="w"))
    extract(archive, "tar", tmp_path / "out", place=safe_name)
    assert stat.S_IMODE((tmp_path / "out/a.jpg").stat().st_mode) & ~0o644 == 0


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    ("limits", "name"),
    [(ArchiveLimits(members=2), "members"), (ArchiveLimits(member_bytes=1023), "member_bytes"),
     (ArchiveLimits(name_bytes=4), "name_bytes"), (ArchiveLimits(total_bytes=3000), "total_bytes"),
     (ArchiveLimits(directory_bytes=100), "directory_bytes")],
)  # fmt: skip
def test_limits_are_named(limits: ArchiveLimits, name: str, tmp_path: Path) -> None:
    """Row 70: going over a limit refuses the archive by that limit's name."""
    error = refused(tmp_path, raw_zip(Raw(b"a.jpg"), Raw(b"b.jpg"), Raw(b"c.jpg")), limits=limits)
    assert f"the limit {name}:" in error.message


@pytest.mark.fault(70)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused_by_their_ratio(kind: str, tmp_path: Path) -> None:
    """Row 70: zeros that inflate a thousandfold, before they are inflated (zip) or written (tar)."""
    zeros = bytes(16 << 20)
    data = raw_zip(Raw(b"zeros", zeros, method=8)) if kind == "zip" else raw_tar(tar_member("zeros", zeros))
    assert "the limit ratio" in refused(tmp_path, data, kind, limits=ArchiveLimits(ratio=500)).message


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("members", [1, 40])
def test_red_team_18_zeros_below_the_ratio_are_refused_by_what_they_come_to(
    kind: str, members: int, tmp_path: Path
) -> None:
    """One member or many, each below the limits of a member: 4 MB would become 4 GB."""
    zeros = bytes((16 << 20) // members)
    named = {f"{number}.bmp": zeros for number in range(members)}
    raws = [Raw(name.encode(), data, method=8) for name, data in named.items()]
    data = raw_zip(*raws) if kind == "zip" else raw_tar(*(tar_member(*one) for one in named.items()))
    limits = ArchiveLimits(ratio=2000, total_floor=8 << 20)
    assert "the limit total_ratio" in refused(tmp_path, data, kind, limits=limits).message


def test_what_masks_come_to_is_no_bomb(tmp_path: Path) -> None:
    """A few that are all zeros beside pictures, and any that stay small: only the whole is judged."""
    picture = random.Random(1).randbytes(1 << 20)
    masks = (Raw(f"{number}.bmp".encode(), bytes(3 << 20), method=8) for number in range(3))
    data = raw_zip(*masks, Raw(b"picture.jpg", picture, method=8))
    assert len(unpack(tmp_path, data, limits=ArchiveLimits(total_floor=4 << 20)).contents) == 4


@pytest.mark.fault(70)
def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    """Row 70: several directory records on one header (CVE-2024-0450)."""
    members = [Raw(b"a.jpg"), Raw(b"b.jpg", at=0), Raw(b"c.jpg", at=0)]
    assert "overlaps member" in refused(tmp_path, raw_zip(*members)).message
    assert "runs into" in refused(tmp_path, raw_zip(Raw(b"a.jpg"), Raw(b"b.jpg", at=2000))).message


@pytest.mark.fault(71)
@pytest.mark.parametrize("size", [len(JPEG) - 1, len(JPEG) + 1, 10])
def test_a_size_that_lies_is_refused(size: int, tmp_path: Path) -> None:
    """Row 71: inflating stops at the declared size."""
    message = refused(tmp_path, raw_zip(Raw(b"a.jpg", method=8, size=size))).message
    assert "declare" in message
    assert "'a.jpg'" in message


@pytest.mark.fault(72)
@pytest.mark.parametrize(
    ("names", "words"),
    [(["a.jpg", "a.jpg"], "twice"), (["a/b.jpg", "a\\b.jpg"], "twice"), (["é", "e\u0301"], "twice"),
     (["a", "a/b.jpg"], "file and a folder"), (["a/b.jpg", "a"], "file and a folder"),
     (["a/b", "A"], "file and a folder"), (["a", "a/"], "file and a folder")],
)  # fmt: skip
def test_names_that_clash_are_refused(names: list[str], words: str, tmp_path: Path) -> None:
    """Row 72: duplicates, also by another separator or Unicode form, and file and folder of one name."""
    data = raw_zip(*(Raw(name.encode(), b"" if name.endswith("/") else JPEG) for name in names))
    assert words in refused(tmp_path, data).message
    if not names[-1].endswith("/"):
        assert words in refused(tmp_path, raw_tar(*map(tar_member, names)), "tar.gz").message


@pytest.mark.fault(73)
@pytest.mark.parametrize(
    "member", [Raw(b"a.jpg", flags=1), Raw(b"a.jpg", flags=0x41), Raw(b"a.jpg", method=99)]
)
def test_encrypted_members_need_a_person(member: Raw, tmp_path: Path) -> None:
    """Row 73: exit code 6 and the word password."""
    error = refused(tmp_path, raw_zip(Raw(b"first.jpg"), member))
    assert "needs a password" in error.message
    assert error.exit_code == 6


@pytest.mark.fault(74)
@pytest.mark.parametrize(
    ("method", "name"), [(9, "deflate64"), (6, "imploded"), (98, "PPMd"), (77, "unknown")]
)
def test_unknown_methods_are_named(method: int, name: str, tmp_path: Path) -> None:
    """Row 74: by number and name."""
    assert f"method {method} ({name})" in refused(tmp_path, raw_zip(Raw(b"a.jpg", method=method))).message


@pytest.mark.fault(75)
def test_every_cut_of_a_zip_is_refused(tmp_path: Path) -> None:
    """Row 75: whatever is missing at the end."""
    whole = raw_zip(Raw(b"a.jpg"), Raw(b"b.jpg", method=8), comment=b"a comment")
    for length in [0, 1, 21, 100, 1060, *range(len(whole) - 80, len(whole))]:
        assert refused(tmp_path, whole[:length]).exit_code == 4
    assert "it is empty" in refused(tmp_path, b"").message


@pytest.mark.fault(75)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_every_cut_of_a_tar_is_refused(mode: str, tmp_path: Path) -> None:
    """Row 75: also at a member's border, which tarfile takes for the end, and within gzip's last CRC."""
    whole = raw_tar(tar_member("a.jpg"), tar_member("b.jpg", JPEG[:700]), mode=mode)
    useful = len(whole) if mode == "w:gz" else 1536 + 1536
    for length in {0, 1, 100, 511, 512, 600, 1536, 2000, 2048, useful - 9, useful - 1, useful} - {len(whole)}:
        if length < len(whole):
            assert refused(tmp_path, whole[:length], "tar" if mode == "w" else "tar.gz").exit_code == 4


def deflated(end: bytes, finish: bool = True) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(JPEG) + machine.flush(zlib.Z_FINISH if finish else zlib.Z_SYNC_FLUSH) + end


LIES: dict[str, tuple[Callable[[Raw], Raw], str]] = {
    "crc": (lambda raw: replace(raw, crc=1), "CRC-32"),
    "name": (lambda raw: replace(raw, local_name=b"x.jpg"), "is called 'x.jpg'"),
    "method": (lambda raw: replace(raw, local_method=8), "method 8 in its header"),
    "part": (lambda raw: replace(raw, disk=3), "several parts"),
    "folder": (lambda raw: replace(raw, name=b"a/"), "folder with data"),
    "extra": (lambda raw: replace(raw, extra=b"\1\0\xff\0ab"), "broken extra"),
    "other crc": (lambda raw: replace(raw, local_crc=1), "another size or CRC in its header"),
    "no end": (lambda raw: replace(raw, method=8, packed=deflated(b"", finish=False)), "ends too early"),
    "hidden": (lambda raw: replace(raw, method=8, packed=deflated(b"hidden")), "bytes follow the end"),
    "garbage": (lambda raw: replace(raw, method=8, packed=b"\xff" * 50), "is damaged"),
    "dictionary": (
        lambda raw: replace(raw, method=14, packed=b"\x09\x04\5\0\x5d" + b"\xff" * 40),
        "dictionary",
    ),
    "utf-8": (lambda raw: replace(raw, name=b"\xff.jpg", flags=0x800), "not UTF-8"),
}


@pytest.mark.fault(75)
@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie_are_refused(lie: str, tmp_path: Path) -> None:
    """Row 75: what directory, header and data say must agree."""
    change, words = LIES[lie]
    assert words in refused(tmp_path, raw_zip(Raw(b"good.jpg"), change(Raw(b"a.jpg")))).message


@pytest.mark.fault(75)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_count_of_members_is_refused(count: int, tmp_path: Path) -> None:
    """Row 75: the end record counts what the directory holds."""
    assert "directory" in refused(tmp_path, raw_zip(Raw(b"a.jpg"), Raw(b"b.jpg"), count=count)).message


@pytest.mark.fault(76)
def test_junk_around_a_zip_is_refused(tmp_path: Path) -> None:
    """Row 76: prefix, trailing bytes, two end records, a page instead, NUL in a name."""
    whole = raw_zip(Raw(b"a.jpg"))
    inner = raw_zip(comment=bytes(4))
    assert "in front" in refused(tmp_path, b"#!/bin/sh\n" + whole).message
    assert "10 bytes too many after" in refused(tmp_path, whole + bytes(10)).message
    assert "two ways" in refused(tmp_path, raw_zip(Raw(b"a.jpg"), comment=inner)).message
    assert "begins with b'<!doctype" in refused(tmp_path, b"<!doctype html><p>Sign in").message
    assert "begins with b'\\x00" in refused(tmp_path, bytes(4096)).message
    assert "a NUL" in refused(tmp_path, raw_zip(Raw(b"a.jpg\0.exe"))).message
    shifted = replace(Raw(b"b.jpg"), at=len(Raw(b"junk").local()))
    moved = Raw(b"junk").local() + Raw(b"b.jpg").local()
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 51, len(moved), 0)
    assert "before the first" in refused(tmp_path, moved + shifted.central(shifted.at or 0) + end).message


@pytest.mark.fault(76)
def test_junk_after_a_tar_is_refused(tmp_path: Path) -> None:
    """Row 76: nothing but zeros follows the end mark."""
    whole = raw_tar(tar_member("a.jpg"), mode="w")
    assert "after its end mark" in refused(tmp_path, whole + b"junk", "tar").message
    assert refused(tmp_path, b"<!doctype html>" + bytes(1000), "tar").exit_code == 4
    assert refused(tmp_path, b"<!doctype html>", "tar.gz").exit_code == 4
    assert refused(tmp_path, raw_zip(Raw(b"a.jpg")), "tar.zst").exit_code == 4


@pytest.mark.fault(70)
def test_tar_headers_may_not_fill_memory(tmp_path: Path) -> None:
    """Row 70: tarfile holds a header's extra records whole, so they have a limit; so has a size below zero."""
    filled = tar_member("a.jpg", pax_headers={"comment": "x" * (2 << 20)})
    assert "has a header of" in refused(tmp_path, raw_tar(filled, mode="w"), "tar").message
    info = tarfile.TarInfo("a.jpg")
    info.size = -512
    assert "declares -512" in refused(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(1024), "tar").message
    extra = info.tobuf(tarfile.GNU_FORMAT)
    info.type = tarfile.GNUTYPE_LONGNAME
    assert "has a header of -" in refused(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + extra, "tar").message


@pytest.mark.fault(76)
def test_two_end_records_that_disagree_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 76: the 32-bit numbers of a zip64 archive are full or the same."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a.jpg", JPEG)
        made.writestr("b.jpg", JPEG)
    whole = buffer.getvalue()
    assert Remote(whole).contents() == {"a.jpg": JPEG, "b.jpg": JPEG}
    assert "disagree" in refused(tmp_path, whole[:-14] + b"\1\0\1\0" + whole[-10:]).message


def test_every_flipped_byte_is_refused_or_harmless() -> None:
    """A zip with any one byte changed is refused, or gives the same names and bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("images/a.jpg", JPEG)
        made.writestr("images/b.jpg", JPEG[::-1])
    whole = buffer.getvalue()
    harmless = 0
    for at in range(len(whole)):
        data = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        with suppress(ArchiveRefused, CredentialsMissing):
            assert Remote(data).contents() == {"images/a.jpg": JPEG, "images/b.jpg": JPEG[::-1]}
            harmless += 1
    assert harmless < 80  # versions, dates and attributes of two members


def test_traversal_in_a_stated_code_page_is_refused(tmp_path: Path) -> None:
    """What a code page makes of the bytes is judged, not the bytes."""
    utf16 = "../a.jpg".encode("utf-16-le")
    error = refused(tmp_path, raw_zip(Raw(utf16)), encoding="utf-16-le")
    assert "'..'" in error.message
    assert (
        "is not ascii, as the catalog states"
        in refused(tmp_path, raw_zip(Raw(b"\xd5\xeb")), encoding="ascii").message
    )


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    ("inner", "words"),
    [(raw_zip(Raw(b"../a.jpg")), "'..'"), (raw_zip(Raw(b"..\\a.jpg")), "'..'"), (b"PK\3\4 no more", "no end record"),
     (raw_zip(Raw(b"a", bytes(16 << 20), method=8)), "the limit"), (raw_zip(Raw(b"a.jpg", flags=1)), "password"),
     (raw_zip(Raw(b"fine.jpg"), Raw(b"a.jpg", crc=1)), "CRC-32"), (raw_zip(Raw(b"link", mode=0o120777)), "link")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_hostile_archive_in_an_archive_stays_closed(
    inner: bytes, words: str, kind: Unpack, tmp_path: Path
) -> None:
    """Row 70: it is kept as the file that it is, with a note; nothing of it is left, and the rest is unpacked."""
    members = {"good.jpg": JPEG, "inner.zip": inner}
    data = MAKERS[kind](members) if kind == "tar" else zipped(members, zipfile.ZIP_STORED)
    found = unpack(tmp_path, data, kind, open_inner=True, limits=ArchiveLimits(ratio=500))
    assert on_disk(tmp_path / "out") == members
    assert [path for path in (tmp_path / "out").iterdir() if path.is_dir()] == []
    (note,) = found.notes
    assert f"archive.{kind} holds an archive that is not opened: inner.zip" in note
    assert words in note


@pytest.mark.fault(70)
def test_archives_in_an_archive_have_its_limits_together(tmp_path: Path) -> None:
    """Row 70: a bomb of bombs: each inner one is below the limits, all of them are not."""
    inner = zipped({"zeros.bmp": bytes(1 << 20)})
    data = zipped({f"{number}.zip": inner for number in range(8)}, zipfile.ZIP_STORED)
    limits = ArchiveLimits(total_floor=4 << 20, total_ratio=250, total_bytes=4 << 20)
    found = unpack(tmp_path, data, open_inner=True, limits=limits)
    assert [len(found.notes), sum(one.size >= 1 << 20 for one in found.contents)] == [5, 3]
    assert all("the limit total_bytes" in note for note in found.notes)


@pytest.mark.fault(70)
def test_archives_are_opened_one_level_deep(tmp_path: Path) -> None:
    """Row 70: 42.zip would go on; here the third level stays closed, and is told."""
    data = zipped({"a.zip": zipped({"b.zip": zipped({"c.zip": zipped({"d.jpg": JPEG})})})})
    found = unpack(tmp_path, data, open_inner=True)
    assert [one.name for one in found.contents] == ["a/b.zip"]
    assert found.notes == ("archive.zip holds archives three deep, which are not opened: a/b.zip",)


def test_an_archive_in_an_archive_writes_over_nothing(tmp_path: Path) -> None:
    """Its members have a folder of their own, whatever its neighbors are called."""
    members = {"a/x.jpg": b"outer", "a~zip/x.jpg": b"twin", "a.zip": zipped({"x.jpg": b"inner"})}
    found = unpack(tmp_path, zipped(members), open_inner=True)
    assert sorted(on_disk(tmp_path / "out").values()) == [b"inner", b"outer", b"twin"]
    assert [one.name for one in found.contents] == ["a/x.jpg", "a/x.jpg", "a~zip/x.jpg"]
