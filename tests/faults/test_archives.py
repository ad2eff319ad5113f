"""FAULTS rows 68-78 as a person meets them: `dermdata fetch` of a hostile or broken archive.

Each way an archive can be bad is tried on the room itself in tests/test_archive*.py; here stands what the
command line makes of it: exit code, words, and nothing left inside or outside the cache.
"""

import errno
import io
import os
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest

from dermdata.archive import staging
from faults.shelf import Shelf, picture
from support.archive_builders import JPEG, Raw, raw_tar, raw_zip, tar_member

IMAGE = picture()
GOOD = Raw(b"good.jpg", IMAGE)


def refused(shelf: Shelf, data: bytes, name: str = "images.zip", code: int = 4) -> str:
    """What is said of an archive that must not be unpacked; nothing of it may be anywhere."""
    (shelf.root / "precious.txt").write_text("mine", encoding="utf-8")
    before = shelf.put({name: data}).outside()
    answer = shelf.fetch()
    assert answer.code == code, answer.err
    assert answer.out == ""
    assert name in answer.err
    assert shelf.outside() == before
    # no checksum says that its publisher gave it so: it is asked for again, but for one that wants a password
    assert shelf.unpacked() == ([f"files/{name}"] if code == 6 else [])
    return str(answer.err)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", ["../../evil.jpg", "C:/evil.jpg"])
def test_row_68_names_that_lead_out(name: str, kind: str, shelf: Shelf) -> None:
    """The member is named, in zip and tar alike."""
    tar = raw_tar(tar_member("good.jpg", IMAGE), tar_member(name))
    data = raw_zip(GOOD, Raw(name.encode())) if kind == "zip" else tar
    assert f"member {name!r}" in refused(shelf, data, f"images.{kind}")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.CHRTYPE])
def test_row_69_links_and_devices(kind: bytes, shelf: Shelf) -> None:
    """A link to a file of the person's, and a member written through it, change nothing."""
    target = str(shelf.root / "precious.txt")
    link = tar_member("evil", b"", type=kind, linkname=target)
    assert "'evil' is a" in refused(shelf, raw_tar(link, tar_member("evil", b"overwritten")), "images.tar.gz")


def test_row_70_bombs(shelf: Shelf) -> None:
    """Zeros that inflate a thousandfold are refused by the limit's name before they are inflated."""
    assert "the limit ratio" in refused(shelf, raw_zip(Raw(b"zeros.jpg", bytes(16 << 20), method=8)))


def test_row_70_archives_in_an_archive_are_opened_once(shelf: Shelf) -> None:
    """And no deeper: what 42.zip holds is a file of a few bytes, and told."""
    bomb = raw_zip(Raw(b"zeros", bytes(16 << 20), method=8))
    inner = raw_zip(Raw(b"inner.jpg", IMAGE), Raw(b"42.zip", bomb))
    shelf.put({"images.zip": raw_zip(GOOD, Raw(b"inner.zip", inner))})
    answer = shelf.fetch()
    assert answer.code == 0, answer.err
    assert "images.zip holds archives three deep, which are not opened: inner/42.zip" in answer.err
    under = "images/images"
    assert shelf.unpacked() == [
        f"{under}/good.jpg",
        f"{under}/inner~zip/42.zip",
        f"{under}/inner~zip/inner.jpg",
    ]


def test_row_70_a_bomb_in_an_archive_stays_closed(shelf: Shelf) -> None:
    """Refused by its limit's name; the rest is taken."""
    bomb = raw_zip(Raw(b"zeros.jpg", bytes(16 << 20), method=8))
    shelf.put({"images.zip": raw_zip(GOOD, Raw(b"inner.zip", bomb))})
    answer = shelf.fetch()
    assert "images.zip holds an archive that is not opened: inner.zip" in answer.err
    assert "the limit ratio" in answer.err
    assert shelf.unpacked() == ["images/images/good.jpg", "images/images/inner.zip"]


def test_row_71_sizes_that_lie(shelf: Shelf) -> None:
    """Exit 4 with the member's name."""
    assert "'a.jpg'" in refused(shelf, raw_zip(GOOD, Raw(b"a.jpg", method=8, size=10)))


def test_row_72_names_that_clash(shelf: Shelf) -> None:
    """Which of the two would be meant?"""
    assert "is there twice" in refused(shelf, raw_zip(Raw(b"a/a.jpg"), Raw(b"a\\a.jpg")))


def test_row_72_names_that_differ_in_case(shelf: Shelf) -> None:
    """On a disk that knows no case neither replaces the other: their paths differ in more."""
    shelf.put({"images.zip": raw_zip(GOOD, Raw(b"a.jpg", IMAGE), Raw(b"A.JPG", IMAGE[::-1]))})
    assert shelf.fetch().code == 0
    found = shelf.unpacked()
    assert len(found) == len({path.casefold() for path in found}) == 3


def test_row_73_encrypted(shelf: Shelf) -> None:
    """Exit 6: only a person has the password."""
    assert "needs a password" in refused(shelf, raw_zip(GOOD, Raw(b"a.jpg", flags=1)), code=6)


def test_row_74_unknown_methods_are_named(shelf: Shelf) -> None:
    """Deflate64 is what Windows makes of large files; bzip2 and lzma are read."""
    assert "deflate64" in refused(shelf, raw_zip(Raw(b"a.jpg", method=9)))


def test_row_74_known_methods_are_read(shelf: Shelf) -> None:
    """Stored, deflated, bzip2, lzma, and zip64 with data descriptors, as tools write them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            made.writestr(f"{method}.jpg", IMAGE, method)
        with made.open("large.jpg", "w", force_zip64=True) as member:
            member.write(IMAGE)
    assert shelf.put({"images.zip": out.getvalue()}).fetch().code == 0
    assert len(shelf.unpacked()) == 5


@pytest.mark.parametrize("cut", [1, 2_000])
def test_row_75_cut_short(cut: int, shelf: Shelf) -> None:
    """No published checksum told it, so the archive's own structure does."""
    assert "cut short" in refused(shelf, raw_zip(GOOD, Raw(b"a.jpg", picture(1)))[:-cut])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!doctype html><title>Log in</title>", "no end record"),
        (b"", "empty"),
        (b"#!/bin/sh\n" + raw_zip(GOOD), "something else in front"),
        (raw_zip(GOOD) + b"trailing", "too many after its end"),
        (raw_zip(Raw(b"a.jpg\0.exe")), "a.jpg"),
    ],
    ids=["page", "nothing", "prefix", "trailing", "NUL"],
)
def test_row_76_no_zip_or_more_than_one(data: bytes, words: str, shelf: Shelf) -> None:
    """What it begins and ends with decides, not its name."""
    assert words in refused(shelf, data)


def test_row_77_out_of_space_in_the_middle(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5, no half folder; with room again the same command ends, and nothing of the first try is left."""
    shelf.put({"images.zip": raw_zip(*(Raw(f"{n}.jpg".encode(), picture(n)) for n in range(5)))})
    written = []

    def full(handle: int, data: bytes) -> int:
        written.append(len(data))
        if len(written) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(staging.os, "write", full)
        answer = shelf.fetch()
    assert answer.code == 5
    assert "no room for" in answer.err
    assert shelf.unpacked() == ["files/images.zip"]
    assert shelf.fetch().code == 0
    assert shelf.unpacked() == [f"images/images/{n}.jpg" for n in range(5)]
    assert not list(shelf.folder.rglob(".*"))


def test_row_78_what_a_mac_or_windows_left(shelf: Shelf) -> None:
    """Their leavings are not unpacked; a name in the Mac's Unicode form is the table's image."""
    name = unicodedata.normalize("NFD", "é.jpg")
    members = [
        Raw(name.encode(), IMAGE),
        Raw(b"__MACOSX/._e.jpg", JPEG),
        Raw(b".DS_Store", JPEG),
        Raw(b"Thumbs.db", JPEG),
    ]
    shelf.put({"images.zip": raw_zip(*members), "table.csv": "id,dx\né,nv\n".encode()})
    assert shelf.fetch().code == 0
    assert shelf.rows()["é"]["image_problem"] is None
    assert [path for path in shelf.unpacked() if path.startswith("images/")] == ["images/images/é.jpg"]


def test_row_78_code_page_437(shelf: Shelf) -> None:
    """A name from before Unicode, without the flag."""
    shelf.put(
        {"images.zip": raw_zip(Raw("é.jpg".encode("cp437"), IMAGE)), "table.csv": "id,dx\né,nv\n".encode()}
    )
    assert shelf.fetch().code == 0
    path = Path(shelf.rows()["é"]["path"])
    assert path.name == "é.jpg"
