"""CSV and JSON Lines: every value survives, in our own reader and in others'."""

import csv
import errno
import io
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata import export
from dermdata.errors import BadTable, StorageError, UnknownName, UsageError
from dermdata.export import text_formats as csv_format
from dermdata.export import text_formats as jsonl_format
from dermdata.manifest.parquet import concat_manifests
from dermdata.manifest.text import csv_cells, escape_formula, json_values, parse_line, read_csv, read_jsonl
from export.conftest import MakeJob
from export.samples import LABELS, bare, row, table

READERS = {"csv": read_csv, "jsonl": read_jsonl}


def back(path: Path, form: str) -> pa.Table:
    return concat_manifests([READERS[form](path)])


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_full_disk_leaves_no_half_file(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """ENOSPC: a StorageError that says so, and an earlier file stays whole."""
    (path,) = export.write(form, job(f"x.{form}")).files
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no room for"):
        export.write(form, job(f"x.{form}"))
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cache", f"x.{form}", f"x.{form}.about.json"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_it_comes_back_as_it_was(job: MakeJob, rows: pa.Table, root: Path, form: str) -> None:
    """Labels with commas, quotes, line ends, NA, right-to-left script; nested columns; nulls; but absolute paths."""
    written = export.write(form, job(f"x.{form}"))
    found = back(written.files[0], form).drop_columns(["path"])
    assert found.to_pylist() == rows.drop_columns(["path"]).to_pylist()
    assert found.schema.types == rows.drop_columns(["path"]).schema.types
    assert back(written.files[0], form)["path"].to_pylist()[9:] == [
        str(root / "images" / "IMG_0009.jpg"),
        None,
        None,
    ]
    assert written.left_out == {"rows without an image file": 2}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("count", [0, 1])
def test_tables_of_nothing(job: MakeJob, form: str, count: int) -> None:
    """No rows, or nothing but nulls in them."""
    (path,) = export.write(form, job(f"x.{form}", table=table([bare(1)] * count))).files
    assert back(path, form).to_pylist() == table([bare(1)] * count).to_pylist()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_second_run_is_the_same_bytes(job: MakeJob, form: str) -> None:
    """No clock, no machine, no order of threads is in the file."""
    (one,) = export.write(form, job(f"one.{form}")).files
    (two,) = export.write(form, job(f"two.{form}", jobs=1)).files
    assert one.read_bytes() == two.read_bytes()


@given(st.lists(st.none() | st.text(min_size=1), min_size=1))
def test_any_text_survives(words: list[str | None]) -> None:
    """Whatever a source calls things, both formats give it back."""
    given_words = pa.table(
        {"image_id": pa.array(["x"] * len(words)), "label_raw": pa.array(words, pa.string())}
    )
    path = Path("in memory")
    text = b"".join(csv_format.csv_chunks(given_words.schema, [given_words])).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[1] or None for row in rows[1:]] == words
    lines = b"".join(jsonl_format.jsonl_chunks(given_words.schema, [given_words])).split(b"\n")[:-1]
    assert [parse_line(line, 1, path)["label_raw"] for line in lines] == words


@pytest.mark.parametrize("chunks", [csv_format.csv_chunks, jsonl_format.jsonl_chunks])
def test_long_rows_are_text_a_few_at_a_time(
    chunks: Callable[..., Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text takes several times what the rows take: 200 MB of captions took 1.3 GB. The bytes are the same."""
    rows = pa.table({"image_id": [f"x{number}" for number in range(50)], "caption": ["a" * 1_000] * 50})
    whole = b"".join(chunks(rows.schema, [rows]))
    monkeypatch.setattr(csv_format, "TEXT_BYTES", 3_000)
    pieces = list(chunks(rows.schema, [rows]))
    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) < 4_000


def test_pandas_reads_the_csv(job: MakeJob, rows: pa.Table) -> None:
    """With text read as text, pandas sees the same labels; a lone carriage return ends no line."""
    import pandas as pd

    (path,) = export.write("csv", job("x.csv")).files
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert frame["label_raw"].tolist() == [label or "" for label in rows["label_raw"].to_pylist()]
    assert json.loads(frame["differential"][0]) == [
        {"concept": "melanoma", "weight": 0.1},
        {"concept": "eczema", "weight": None},
    ]


def test_every_line_has_every_key(job: MakeJob, rows: pa.Table) -> None:
    """Readers that look at the first lines only must know all columns."""
    (path,) = export.write("jsonl", job("x.jsonl")).files
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(list(line) == rows.column_names for line in lines)
    assert lines[0]["concepts"] == {"papule": True, "ulcer": None}


@pytest.mark.fault(95)
@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("-1+1", "'-1+1"), ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"), ("\rx", "'\rx"), ("-1.5", "-1.5"), ("+3e-4", "+3e-4"), ("-.5", "-.5"), ("-", "'-"),
        ("-1.5\n", "'-1.5\n"), ("-٣", "'-٣"), ("nv", "nv"), ("", ""), (None, None),
    ],
)  # fmt: skip
def test_excel_safe(cell: str | None, safe: str | None) -> None:
    """What a spreadsheet would take for a formula is marked as text; plain numbers stay."""
    assert escape_formula(cell) == safe


def test_excel_safe_is_off_by_default(job: MakeJob) -> None:
    """A mark in front of a label cannot be undone, so it must be asked for."""
    (plain,) = export.write("csv", job("plain.csv")).files
    (safe,) = export.write("csv", job("safe.csv", excel_safe=True)).files
    assert ",=1+1," in plain.read_text(encoding="utf-8")
    assert ",'=1+1," in safe.read_text(encoding="utf-8")
    assert ",-1.5," in safe.read_text(encoding="utf-8")


def test_floats_are_as_short_as_they_can_be() -> None:
    """A 32-bit 0.1 is 0.1; NaN and infinity are null, for JSON has neither."""
    column = pa.chunked_array([pa.array([0.1, 55, math.nan, math.inf, None], pa.float32())])
    assert json_values(column) == [0.1, 55.0, None, None, None]
    assert csv_cells(column) == ["0.1", "55", None, None, None]


def test_text_cannot_hold_images(job: MakeJob) -> None:
    """--embed with CSV says what can embed."""
    with pytest.raises(UsageError, match="csv cannot hold images"):
        export.write("csv", job(embed=True))


def test_a_folder_gets_a_file_named_after_the_dataset(job: MakeJob, tmp_path: Path) -> None:
    """OUT without an ending is a folder; several datasets together are `images`."""
    assert export.write("csv", job("folder")).files == (tmp_path / "folder" / "demo.csv",)
    two = table([bare(1), bare(1, "other")])
    assert (
        export.write("csv", job("folder", table=two, roots={"demo": tmp_path, "other": tmp_path}))
        .files[0]
        .name
        == "images.csv"
    )


def test_provenance_lies_beside(job: MakeJob, tmp_path: Path) -> None:
    """`<file>.about.json` says what the rows are of and what each column means."""
    export.write("csv", job("x.csv"))
    facts = json.loads((tmp_path / "x.csv.about.json").read_bytes())
    assert (facts["rows"], facts["manifest"]["dataset"], facts["columns"]["age"]) == (12, "demo", "years")


def test_an_unknown_format_is_named(job: MakeJob) -> None:
    """With the nearest one that is there."""
    with pytest.raises(UnknownName, match="unknown format 'cvs'") as caught:
        export.write("cvs", job())
    assert caught.value.near == ["csv"]


# ------------------------------------------------------------------ reading tables of the user's own


def test_a_table_made_by_pandas_is_understood(tmp_path: Path) -> None:
    """Whole numbers written as 1.0, few columns, a column of one's own, a byte-order mark."""
    path = tmp_path / "mine.csv"
    path.write_text("\ufeffimage_id,fitzpatrick,score\n0001,1.0,0.5\n0002,,x\n", encoding="utf-8")
    found = back(path, "csv")
    assert found.select(["image_id", "fitzpatrick", "score"]).to_pylist() == [
        {"image_id": "0001", "fitzpatrick": 1, "score": "0.5"},
        {"image_id": "0002", "fitzpatrick": None, "score": "x"},
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no header line"), ("a,a\n1,2\n", "two columns a"), ("image_id,age\nx,old\n", "column age"),
        ("image_id,fitzpatrick\nx,1.5\n", "column fitzpatrick"), ("image_id,extra\nx,{\n", "column extra"),
        ("image_id,phash\nx,zz\n", "column phash"), ("a,b\n1\n", "line 2 has 1 cell, the header has 2"),
        ("a,b\n1,2\n1\n", "line 3 .1 cell"), ("image_id,width\nx,\"1,000\"\n", "column width"),
        ("image_id,verified\nx,perhaps\n", "'perhaps' is neither true nor false"),
    ],
)  # fmt: skip
def test_a_bad_csv_is_told_by_column(tmp_path: Path, text: str, words: str) -> None:
    """The file and the column that is wrong, never a traceback."""
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadTable, match=words):
        read_csv(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{\n", "line 1 is not JSON"),
        ("{}\n[]\n", "line 2 is not a JSON object"),
        ('{"age": "old"}', "column age"),
    ],
)
def test_a_bad_jsonl_is_told_by_line(tmp_path: Path, text: str, words: str) -> None:
    """The file and the line that is wrong, never a traceback."""
    path = tmp_path / "bad.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadTable, match=words):
        read_jsonl(path)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    """A CSV in another encoding is refused, not guessed at."""
    path = tmp_path / "latin.csv"
    for text in ("image_id,caption\nx,Ausschläge\n", "image_id,x,Größe\na,b,c\n"):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(BadTable, match=r"latin.csv is not UTF-8: line \d") as caught:
            read_csv(path)
        assert caught.value.hint == "save it as UTF-8, in Excel as 'CSV UTF-8'"


COLUMNS = ["image_id", "age", "width", "verified", "caption"]
ROWS = [["a1", 35.5, 640, True, "rot, juckt"], ["b1", None, None, False, "zwei\r\nZeilen"]]


@pytest.mark.parametrize(
    "text",
    [
        'image_id;age;width;verified;caption\r\na1;35,5;640;WAHR;rot, juckt\r\nb1;;;FALSCH;"zwei\r\nZeilen"\r\n',
        'sep=;\r\nimage_id;age;width;verified;caption\r\na1;35,5;640;TRUE;rot, juckt\r\nb1;;;FALSE;"zwei\r\nZeilen"\r\n',
        'image_id,age,width,verified,caption,,\na1,35.5,640.0,true,"rot, juckt",,\nb1,nan,NaN,false,"zwei\r\nZeilen",,\n',
        'image_id\tage\twidth\tverified\tcaption\na1\t35,50\t640,0\t1\trot, juckt\t\nb1\t\tN/A\t0\t"zwei\r\nZeilen"\t\t\n',
    ],
    ids=["semicolons", "sep", "trailing columns", "trailing cells"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_manifest_that_a_spreadsheet_saved_is_the_same(tmp_path: Path, text: str, encoding: str) -> None:
    """Its delimiter, its decimal comma, its words for true, its empty cells: none of them is content."""
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode(encoding))
    table = read_csv(path)
    assert [list(row.values()) for row in table.select(COLUMNS).to_pylist()] == ROWS
    assert set(table.column_names) == set(COLUMNS)


def test_json_values_of_several_kinds_become_text(tmp_path: Path) -> None:
    """An id that is a number is a word; a column of one's own keeps its type if it has one."""
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"image_id": 7, "score": 0.5, "odd": 1}\n\n{"image_id": "b", "odd": "x"}\n', encoding="utf-8"
    )
    found = read_jsonl(path)
    assert found["image_id"].to_pylist() == ["7", "b"]
    assert found["score"].to_pylist() == [0.5, None]
    assert found["odd"].to_pylist() == ["1", "x"]


LEFT = [
    ("csv", {}), ("parquet", {}), ("parquet", {"embed": True}), ("webdataset", {}), ("huggingface", {}),
    ("imagefolder", {}), ("coco", {}), ("croissant", {"embed": True}),
]  # fmt: skip


@pytest.mark.parametrize(("form", "choices"), LEFT)
@pytest.mark.parametrize("excel_safe", [True, False])
def test_excel_safe_reaches_what_was_left_out(
    job: MakeJob, tmp_path: Path, root: Path, form: str, choices: dict[str, object], excel_safe: bool
) -> None:
    """Ids, licenses and label reasons are a source's words too; without it they stay as they are."""
    words = {"image_id": "=1+1", "key": "@SUM(1)", "license": "=HYPERLINK(1)"}
    given = table([row(root, 0), row(root, 1) | words])
    made = job(table=given, redistributable=True, excel_safe=excel_safe, **choices)
    export.write(form, replace(made, out=tmp_path / "o.csv") if form == "csv" else made)
    (path,) = tmp_path.rglob("*left-out.csv")
    (line,) = list(csv.reader(io.StringIO(path.read_text())))[1:]
    sign = "'" if excel_safe else ""
    assert line[0] == f"{sign}@SUM(1)"
    assert line[2] == f"{sign}=1+1"
    assert line[3].startswith(f"{sign}=HYPERLINK(1) is not known")


# ------------------------------------------------------------------ which columns


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_only_the_columns_that_are_asked_for_in_their_order(job: MakeJob, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    export.write(form, job(out.name, columns=("key", "extra.source, col", "diagnosis", "path")))
    frame = {"csv": pd.read_csv, "jsonl": partial(pd.read_json, lines=True), "parquet": pd.read_parquet}[
        form
    ](out)
    assert [*frame.columns] == ["key", "extra.source, col", "diagnosis", "path"]
    assert frame["diagnosis"][:2].tolist() == ["melanoma", "melanocytic-nevus"]
    assert frame["extra.source, col"][2] == LABELS[2]
    assert Path(frame["path"][0]).is_absolute()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_flat_table_has_plain_columns_that_have_values(job: MakeJob, tmp_path: Path, form: str) -> None:
    """What a spreadsheet, R or a data frame takes without a word of explanation."""
    out = tmp_path / f"out.{form}"
    export.write(form, job(out.name, flat=True))
    frame = {"csv": pd.read_csv, "jsonl": partial(pd.read_json, lines=True), "parquet": pd.read_parquet}[
        form
    ](out)
    assert "extra" not in frame
    assert "extra.source, col" in frame
    assert {"isic_id", "mask_path", "boxes", "caption", "fold", "monk"}.isdisjoint(frame.columns)
    assert all(frame[name].notna().any() for name in frame.columns)
    kinds = {type(value) for name in frame.columns for value in frame[name].dropna() if name != "phash"}
    assert not kinds & {dict, list, np.ndarray}
    assert json.loads(frame["differential"][0])[0] == {"concept": "melanoma", "weight": 0.1}


@pytest.mark.parametrize("column", ["diagnosi", "extra.nothing", "label.x"])
def test_a_column_that_is_not_there_is_named(job: MakeJob, column: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown column '{column}'"):
        export.write("csv", job("out.csv", columns=("key", column)))


@pytest.mark.parametrize(
    ("form", "choices"),
    [
        ("coco", {"flat": True}),
        ("imagefolder", {"columns": ("key",)}),
        ("parquet", {"flat": True, "embed": True}),
    ],
)
def test_columns_are_of_tables(job: MakeJob, form: str, choices: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="has columns of its own"):
        export.write(form, job(**choices))
