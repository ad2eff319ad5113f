"""Workbooks that are broken or hostile: a refusal in words, never a fault of ours."""

import contextlib
import io
import random
import zipfile

import openpyxl
import pytest

from dermdata.errors import TableRefused
from dermdata.model import JoinSpec, TableSpec
from dermdata.readers import RawTable, read_table, spreadsheet
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


# ------------------------------------------------------------------ several sheets


def sheets(**lines: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in lines.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


BOOK = {
    "Images": [["a title"], ["image", "case"], ["i1", 7], ["i2", 8], ["i3", 9]],
    "Cases": [["read me"], [], ["case", "dx", "who"], [7, "nv", "A"], [8, "mel", "B"]],
    "Experts": [["case", "expert", "dx"], [7, "E1", "mel"], [7, "E2", "nv"], [8, "E1", "mel"]],
}
IMAGE = {"image_id": ("image",), "label_raw": ("dx",)}


def joined(*joins: JoinSpec, **files: bytes) -> RawTable:
    files = {"a": sheets(**BOOK), **files}
    spec = TableSpec(reader="spreadsheet", file="a.xlsx", sheet="Images", columns=IMAGE, join=joins)
    return read_table(spec, lambda name, _: files[name.partition(".")[0]], ())


def test_sheets_of_one_workbook_and_a_table_in_text_are_joined() -> None:
    """The header line is found in each; a key that is a number is one; who lacks a partner stays and is counted."""
    raw = joined(
        JoinSpec(file="a.xlsx", sheet="Cases", on="case"),
        JoinSpec(file="b.csv", on="who", to="name"),
        b=b"name,place\nA,Bern\n",
    )
    assert [tuple(row.values()) for row in raw.rows.to_pylist()] == [
        ("i1", "7", "nv", "A", "Bern"), ("i2", "8", "mel", "B", ""), ("i3", "9", "", "", ""),
    ]  # fmt: skip
    assert raw.unpartnered == {"a.xlsx": 1, "b.csv": 2}


def test_a_sheet_with_several_lines_a_key_is_spread_by_who_wrote_them() -> None:
    raw = joined(
        JoinSpec(file="a.xlsx", sheet="Cases", on="case"),
        JoinSpec(file="a.xlsx", sheet="Experts", on="case", each="expert"),
    )
    assert [(row["dx E1"], row["dx E2"]) for row in raw.rows.to_pylist()] == [
        ("mel", "nv"),
        ("mel", ""),
        ("", ""),
    ]


@pytest.mark.parametrize(
    ("join", "why"),
    [
        (JoinSpec(file="a.xlsx", sheet="Case", on="case"), "has no sheet 'Case'"),
        (
            JoinSpec(file="a.xlsx", sheet="Cases", on="case", to="number"),
            "has no line with the columns number",
        ),
        (JoinSpec(file="a.xlsx", sheet="Experts", on="case"), "the same case on several lines"),
    ],
)
def test_a_join_that_cannot_be_is_refused(join: JoinSpec, why: str) -> None:
    with pytest.raises(TableRefused, match=why):
        joined(join)
