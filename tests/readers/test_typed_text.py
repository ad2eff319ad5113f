"""Tables as people save them: one reader, and every door that they come in by takes the same table in any form."""

import csv
import io
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dermdata.api.label_tables import count_column_words
from dermdata.crosswalks import parse_labels
from dermdata.errors import BadCatalog, BadTable, DermdataError
from dermdata.evaluation import parse_predictions
from dermdata.manifest.text import read_csv, read_jsonl
from dermdata.readers.delimited import parse_own_table
from dermdata.readers.typed_cells import clean_ids, clean_names, point_decimals
from dermdata.split import parse_published_split
from dermdata.text_files import TextRefused, decode_text, find_delimiter, to_utf8
from dermdata.vocabulary.spaces import parse_space_file
from support.bundled_labels import vocabulary

NAMES = ["image", "dx", "score"]
ROWS = [["a1", "Nävus", "0,75"], ["a2", "rot; juckt", "1"], ["a3", "zwei\r\nZeilen", "0"]]


def written(
    rows: list[list[str]], *, encoding: str = "utf-8", delimiter: str = ",", end: str = "\n", before: str = "",
    tail: int = 0, header_tail: int = 0,
) -> bytes:  # fmt: skip
    """The table as some program saves it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(NAMES + [""] * header_tail)
    writer.writerows([row + [""] * tail for row in rows])
    return (before + out.getvalue()).encode(encoding)


def own_rows(data: bytes) -> list[list[str]]:
    own = parse_own_table(data, "t.csv")
    assert own.rejected == []
    assert own.rows.column_names == NAMES
    return [list(row.values()) for row in own.rows.to_pylist()]


# ------------------------------------------------------------------ what is named, never guessed


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("id,dx\n1,Родинка\n".encode("cp1251"), "line 2: not utf-8"),
        ("id,dx\n1,ΕΛΙΑ\n".encode("cp1253"), "line 2: not utf-8"),
        ("id,dx\n1,色素痣\n".encode("gbk"), "line 2: not utf-8"),
        ("id,dx\n1,ほくろ\n".encode("shift-jis"), "line 2: not utf-8"),
        ("id,dx\n1,Nävus\n".encode() + "2,Nävus\n".encode("cp1252"), "line 3: not utf-8"),
        ("id,dx\n1,nv\n".encode("utf-16-le"), "line 1: holds a NUL byte"),
        ("id,dx\n1,nv\n".encode("utf-32"), "NUL byte"),
        (b"id,dx\n1,n\x81vus\n", "line 2: not utf-8"),
        (b"id,dx,dx\n1,a,b\n", "'dx' more than once"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "not utf-8"),
    ],
)
def test_what_can_be_read_in_two_ways_is_named_with_its_line(data: bytes, said: str) -> None:
    """Text of other alphabets, of two encodings, without a mark: the person saves it again."""
    with pytest.raises(BadTable, match=said) as caught:
        parse_own_table(data, "t.csv")
    assert caught.value.message.startswith("t.csv")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (b"PK\x03\x04", "a workbook"),
        (b"\xd0\xcf\x11\xe0", "a workbook of old"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"PAR1", "a Parquet"),
    ],
)
def test_what_is_no_text_is_named_as_what_it_is(mark: bytes, said: str) -> None:
    """Not as text of a strange encoding."""
    with pytest.raises(BadTable, match=f"t.xlsx is {said}") as caught:
        parse_own_table(mark + b"\x00\xff", "t.xlsx")
    assert "save it as CSV" in (caught.value.hint or "")


def test_a_cell_too_many_is_no_trailing_delimiter() -> None:
    """Where one row says something there, the others' empty cell may be any: each is listed with its line."""
    own = parse_own_table(b"id,dx\n1,a\n2,b,\n3,c,d\n", "t.csv")
    assert own.rows.to_pylist() == [{"id": "1", "dx": "a"}]
    assert [row["line"] for row in own.rejected] == [3, 4]


def test_a_name_twice_is_told_by_its_columns() -> None:
    """Which two they are is seen at once, also in a wide table."""
    with pytest.raises(BadTable) as caught:
        parse_own_table(b"id,dx,age,dx\n1,a,2,b\n", "t.csv")
    assert caught.value.hint == "'dx' is the name of columns 2 and 4: rename one, or leave it out"


def test_ansi_is_told_with_the_place_where_it_can_be_checked() -> None:
    """Western text that is no UTF-8 can be nothing else, and a person sees whether it was."""
    own = parse_own_table("id;Größe\r\n1;klein\r\n2;naïve\r\n".encode("cp1252"), "t.csv")
    assert own.rows.to_pylist()[1] == {"id": "2", "Größe": "naïve"}
    assert own.notes == ("t.csv is not UTF-8: read as ANSI (cp1252), in which line 1 has 'id;Größe'",)
    assert parse_own_table("id;Größe\n1;klein\n".encode(), "t.csv").notes == ()


# ------------------------------------------------------------------ one table in any form


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_same_rows_whatever_saved_them(encoding: str, delimiter: str, end: str) -> None:
    """Encoding, delimiter and line end are found, and are no content."""
    assert own_rows(written(ROWS, encoding=encoding, delimiter=delimiter, end=end)) == ROWS


@pytest.mark.parametrize("before", ["sep=;\r\n", "SEP=;\n", '"sep=;"\r\n', "sep=;;;\r\n"])
def test_the_sep_line_of_excel_is_no_header(before: str) -> None:
    """Its sign is the delimiter, and the numbers of lines stay right."""
    assert own_rows(written(ROWS, delimiter=";", before=before)) == ROWS
    with pytest.raises(BadTable, match="line 4: a quotation"):
        parse_own_table(b'sep=;\nid;dx\n1;nv\n2;"mel\n', "t.csv")


def test_a_sep_line_of_another_sign_is_not_believed() -> None:
    """Somebody has replaced the delimiters and left the line."""
    assert own_rows(written(ROWS, delimiter="\t", before="sep=;\r\n")) == ROWS


@pytest.mark.parametrize(("header_tail", "tail"), [(1, 1), (3, 3), (0, 1), (0, 4), (2, 0)])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_delimiters_that_trail_are_no_columns(header_tail: int, tail: int, delimiter: str) -> None:
    """Nothing stands in them; a row that is then too short is another matter."""
    data = written(ROWS, delimiter=delimiter, header_tail=header_tail, tail=tail)
    if header_tail > tail:
        with pytest.raises(BadTable, match="none of its 3 lines has the header's 5 cells"):
            parse_own_table(data, "t.csv")
        return
    assert own_rows(data) == ROWS


def test_empty_lines_of_a_spreadsheet_are_none() -> None:
    """Deleted rows at the end, empty columns between others."""
    own = parse_own_table(b"id;;dx;\r\n1;;nv;\r\n2;;mel;\r\n;;;\r\n;;;\r\n", "t.csv")
    assert own.rows.to_pylist() == [{"id": "1", "dx": "nv"}, {"id": "2", "dx": "mel"}]


def test_columns_without_a_name_that_say_something_are_called_by_their_place() -> None:
    """One of them is pandas' index, and stays without a name."""
    assert parse_own_table(b",id,\n0,a,x\n", "t.csv").rows.column_names == ["column 1", "id", "column 3"]
    assert parse_own_table(b",id\n0,a\n", "t.csv").rows.column_names == ["", "id"]


@pytest.mark.parametrize(
    ("data", "sign"),
    [
        ('id;"age, in years";dx\n1;3,5;nv\n2;4,5;nv\n', ";"),
        ("id\tcaption\n1\tred, itchy, old\n", "\t"),
        ('id,note\n1,"a; b; c"\n', ","),
        ("id|dx\n1|a,b\n", "|"),
        ("image\na1\n", ","),
    ],
)
def test_the_delimiter_is_what_the_lines_agree_on(data: str, sign: str) -> None:
    assert find_delimiter(data.encode()) == sign


def test_a_declared_delimiter_is_believed_where_it_parts_the_header() -> None:
    assert find_delimiter(b"a;b,c\n1;2,3\n", (None, ";")) == ";"
    assert find_delimiter(b"a,b\n1,2\n", (None, ";")) == ","
    assert find_delimiter(b"1;2;3\n", (), width=3) == ";"


# ------------------------------------------------------------------ every door


def manifest_rows(data: bytes, folder: Path) -> Any:
    path = folder / "m.csv"
    path.write_bytes(data)
    table = read_csv(path)
    return table.select([name for name in NAMES if name in table.column_names]).to_pylist()


DOORS: dict[str, Callable[[bytes, Path], Any]] = {
    "own table": lambda data, _: own_rows(data),
    "labels map": lambda data, _: count_column_words(parse_own_table(data, "t"), "dx", "t"),
    "evaluate": lambda data, _: parse_predictions(data, "t").to_pylist(),
    "split --check": lambda data, _: parse_published_split(parse_own_table(data, "t").rows, "t", "train").ids,
    "manifest": manifest_rows,
}
FORMS: dict[str, dict[str, Any]] = {
    "utf-16": {"encoding": "utf-16"},
    "semicolons": {"delimiter": ";", "encoding": "utf-8-sig", "end": "\r\n"},
    "sep line": {"delimiter": ";", "before": "sep=;\r\n"},
    "tabs": {"delimiter": "\t"},
    "trailing": {"header_tail": 2, "tail": 2},
    "trailing cells": {"tail": 1},
    "old Mac": {"end": "\r"},
    "ANSI": {"encoding": "cp1252", "delimiter": ";"},
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("form", FORMS)
def test_every_door_takes_every_form(door: str, form: str, tmp_path: Path) -> None:
    """What a form makes of the table is what the plain one is; a manifest, which stays, must be UTF-8."""
    plain, other = DOORS[door](written(ROWS), tmp_path), written(ROWS, **FORMS[form])
    if (door, form) == ("manifest", "ANSI"):
        with pytest.raises(BadTable, match=r"is not UTF-8: line 2"):
            DOORS[door](other, tmp_path)
        return
    assert DOORS[door](other, tmp_path) == plain


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=80)
    | st.text('ab,;"\t\r\n\0éä=', max_size=60).map(str.encode)
    | st.text("ab,;\t\n", max_size=30).map(lambda text: text.encode("utf-16"))
)
def test_no_bytes_end_a_reader_with_a_traceback(tmp_path: Path, data: bytes) -> None:
    """A table, or an error that says in words what is wrong; the doors that a person's file comes in by."""
    for read in DOORS.values():
        with suppress(DermdataError, AssertionError):
            read(data, tmp_path)
    with suppress(DermdataError):
        (tmp_path / "m.jsonl").write_bytes(data)
        read_jsonl(tmp_path / "m.jsonl")
    for ending in (".tsv", ".txt", ".toml"):
        with suppress(DermdataError):
            parse_space_file(data.decode(errors="replace"), f"space{ending}", vocabulary())
    with suppress(BadCatalog):
        parse_labels(data.decode(errors="replace"))
    with suppress(TextRefused):
        decode_text(data)


# ------------------------------------------------------------------ labels.tsv

HEAD = "field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\ndx\tnv\tmelanocytic-nevus\texactMatch\t\t\t\n",
        f"{HEAD}\t\t\r\ndx\tnv\tmelanocytic-nevus\texactMatch\t\t\t\t\t\r\n\t\t\t\t\t\t\r\n",
        f"{HEAD}\ndx\tnv\tmelanocytic-nevus\texactMatch\n",
        f"{HEAD}\rdx\tnv\tmelanocytic-nevus\texactMatch\t\r".replace("\t", ";"),
    ],
    ids=["plain", "trailing tabs", "tabs cut by an editor", "semicolons"],
)
def test_a_labels_table_may_have_been_in_a_spreadsheet(text: str) -> None:
    (label,) = parse_labels(text)
    assert (label.raw_label, label.concept, label.predicate) == ("nv", "melanocytic-nevus", "exactMatch")


def test_a_row_that_lacks_what_it_must_say_is_named() -> None:
    with pytest.raises(BadCatalog, match="line 2: 3 fields instead of 7"):
        parse_labels(f"{HEAD}\ndx\tnv\tmelanocytic-nevus\n")


# ------------------------------------------------------------------ cells


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["1234.0", "5.00", ""], ["1234", "5", ""]),
        (["12.0", "nan", None], ["12", "nan", None]),
        (["1.0", "1.5"], ["1.0", "1.5"]),
        (["1.0", "a"], ["1.0", "a"]),
        ([" a ", "a\r\n", "\u00a0a"], ["a"] * 3),
        (["e\u0301", "\u00e9"], ["\u00e9"] * 2),
        (["001", "01"], ["001", "01"]),
        ([], []),
    ],
)
def test_ids_are_compared_in_one_form(typed: list[str | None], meant: list[str | None]) -> None:
    assert clean_ids(pa.array(typed, pa.string())).to_pylist() == meant


def test_names_of_files_are_compared_with_slashes() -> None:
    assert clean_names(pa.array(["train\\nv\\a.jpg", "b.jpg"])).to_pylist() == ["train/nv/a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("0,75", "0.75"),
        ("-1,5", "-1.5"),
        (",5", ".5"),
        ("1,5e-3", "1.5e-3"),
        ("1,2,3", "1,2,3"),
        ("a,b", "a,b"),
    ],
)
def test_a_comma_may_be_the_point(typed: str, number: str) -> None:
    assert point_decimals(pa.array([typed])).to_pylist() == [number]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=5))
def test_cleaning_twice_is_cleaning_once(words: list[str]) -> None:
    once = clean_names(pa.array(words, pa.string()))
    assert clean_names(once) == once
    assert all(unicodedata.is_normalized("NFC", word) for word in once.to_pylist())


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=40), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_text_is_what_was_written(text: str, encoding: str) -> None:
    """But a NUL, which no text has, and a mark of its own at the beginning."""
    with suppress(UnicodeEncodeError, TextRefused):
        data = text.encode(encoding)
        if not text.startswith(("\ufeff", "\ufffe")):
            assert to_utf8(data, "utf-8").data.decode() == text
