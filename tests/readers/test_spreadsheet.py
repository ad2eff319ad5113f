"""Workbooks that are broken or hostile: a refusal in words, never a fault of ours."""

import contextlib
import io
import random
import zipfile

import openpyxl
import pytest

from dermdata.errors import TableRefused
from dermdata.readers import spreadsheet
from dermdata.readers.spreadsheet import read_sheet


def workbook(rows: int = 20) -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    for row in [["id", "dx"], *([f"i{n}", "nv"] for n in range(rows))]:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def test_a_workbook_is_read_as_text() -> None:
    """The first sheet, line by line."""
    assert read_sheet(workbook(1), None, "t.xlsx") == [["id", "dx"], ["i0", "nv"]]


@pytest.mark.parametrize(
    "data", [b"", b"id,dx\n", b"PK\x03\x04", workbook()[:-50]], ids=["empty", "text", "begin", "cut"]
)
def test_what_is_no_workbook_is_refused(data: bytes) -> None:
    """Empty, text, or cut."""
    with pytest.raises(TableRefused, match=r"t\.xlsx"):
        read_sheet(data, None, "t.xlsx")


def test_a_sheet_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(TableRefused, match="no sheet 'Shet'") as caught:
        read_sheet(workbook(), "Shet", "t.xlsx")
    assert caught.value.hint == "did you mean Sheet?"


@pytest.mark.fault(98)
def test_damaged_xml_is_a_refusal() -> None:
    """Whatever is altered in the parts, with their checksums right: lines or a refusal."""
    random_ = random.Random(5)
    with zipfile.ZipFile(io.BytesIO(workbook(3))) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    for _ in range(100):
        name = random_.choice(sorted(parts))
        text = bytearray(parts[name])
        for _ in range(3):
            text[random_.randrange(len(text))] = random_.randrange(32, 127)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target:
            for one, data in parts.items():
                target.writestr(one, bytes(text) if one == name else data)
        with contextlib.suppress(TableRefused):
            read_sheet(out.getvalue(), None, "t.xlsx")


@pytest.mark.fault(98)
def test_a_workbook_may_not_inflate_without_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared words are held in memory whole, so their size is looked at before."""
    monkeypatch.setattr(spreadsheet, "INFLATED", 1_000)
    with pytest.raises(TableRefused, match="the limit is 1,000"):
        read_sheet(workbook(), None, "t.xlsx")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old spreadsheet"), (b"<!doctype html>", "a web page"),
     (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer")],
)  # fmt: skip
def test_what_stands_in_a_workbooks_place_is_named(data: bytes, words: str) -> None:
    with pytest.raises(TableRefused, match=f"t.xlsx is {words}"):
        read_sheet(data, None, "t.xlsx")
