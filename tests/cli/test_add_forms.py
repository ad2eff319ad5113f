"""Tables of every form that people have: workbooks, JSON, Parquet; what is no table is named and not guessed at."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer

Cli = Callable[..., Answer]
RECORDS: list[dict[str, Any]] = [
    {"file_name": f"x{n}.jpg", "patient": f"P{n // 2}", "diagnosis": ("nevus", "melanoma")[n % 2], "age": 30.0 + n}
    for n in range(4)
]  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Four pictures in a folder."""
    (tmp_path / "own").mkdir()
    for number in range(4):
        Image.new("RGB", (16, 12), (number * 50, 60, 90)).save(tmp_path / "own" / f"x{number}.jpg")
    return tmp_path


def write_workbook(path: Path) -> None:
    """A title, a legend and an empty line above the header; another sheet first, and an empty one."""
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    book.active.append(["Made by", "somebody"])
    book.active.append(["on", "Monday"])
    book.create_sheet("Empty")
    sheet = book.create_sheet("Bilder")
    sheet.append(["Visits of 2024"])
    sheet.append([])
    sheet.append(list(RECORDS[0]))
    for one in RECORDS:
        sheet.append(list(one.values()))
    book.save(path)


WORDS = ("patient", "diagnosis", "age")
FORMS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "workbook": ("visits.xlsx", write_workbook),
    "lines": ("metadata.jsonl", lambda path: path.write_text("".join(json.dumps(one) + "\n" for one in RECORDS))),
    "in an object": ("v.json", lambda path: path.write_text(json.dumps({"version": 1, "data": RECORDS}))),
    "by name": ("v.json", lambda path: path.write_text(
        json.dumps({one["file_name"]: {name: one[name] for name in WORDS} for one in RECORDS}))),
    "nested": ("v.json", lambda path: path.write_text(json.dumps(
        [{"file_name": one["file_name"], "clinical": {name: one[name] for name in WORDS}} for one in RECORDS]))),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_any_form(cli: Cli, own: Path, form: str) -> None:
    """The same inference, and the fetch reads it as the entry says."""
    name, write = FORMS[form]
    write(own / "own" / name)
    added = cli("add", "own", own / "own", "-o", own / "lab")
    assert added.code == 0, added.err
    rows = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    assert [(row["patient_id"], row["diagnosis"], row["age"]) for row in rows] == [
        ("own/P0", "melanocytic-nevus", 30.0), ("own/P0", "melanoma", 31.0),
        ("own/P1", "melanocytic-nevus", 32.0), ("own/P1", "melanoma", 33.0),
    ]  # fmt: skip


MISFITS = {
    "notes.txt": "not a table\n",
    "settings.json": '{"a": 1}',
    "broken.json": "{",
    "list.json": "[1, 2]",
    "deep.json": "[" * 100_000,
    "coco.json": '{"images": [], "annotations": []}',
    "book.xlsx": "PK",
    "half.json": '[{"a": "\\ud800"}]',
    "rows.parquet": "PAR1",
    "old.xls": "x",
    "arrays.npz": "x",
    "x1.txt": "a melanoma",
}


def test_what_is_no_table_is_named(cli: Cli, own: Path) -> None:
    """Beside a table that can be read they are named; by --table such a file is refused."""
    lines = [",".join(RECORDS[0]), *(",".join(map(str, one.values())) for one in RECORDS)]
    (own / "own" / "visits.csv").write_text("\n".join(lines))
    for name, text in MISFITS.items():
        (own / "own" / name).write_text(text)
    words = ("add", "own", own / "own", "-o", own / "lab", "--dry-run")
    shown = cli(*words)
    assert shown.code == 0, shown.err
    for name in set(MISFITS) - {"notes.txt"}:
        assert name in shown.err
    for said in (
        "old.xls is not looked at: save it as CSV",
        "1 file called like a picture is not",
    ):
        assert said in shown.err
    for name in MISFITS:
        assert cli(*words, "--table", own / "own" / name).code == 2


COCO = {
    "images": [{"id": n, "file_name": f"x{n}.jpg", "width": 16, "height": 12} for n in range(3)],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4]}],
    "categories": [{"id": 5, "name": "lesion"}],
}


@pytest.mark.parametrize("table", [None, "image,diagnosis\nx0,nevus\nx1,melanoma\nx3,nevus\n"])
def test_a_coco_document_marks_the_pictures(cli: Cli, own: Path, table: str | None) -> None:
    """Beside a table its boxes join the rows; alone its images are the rows."""
    (own / "own" / "annotations").mkdir()
    (own / "own" / "annotations" / "instances.json").write_text(json.dumps(COCO))
    if table:
        (own / "own" / "t.csv").write_text(table)
    added = cli("add", "own", own / "own", "-o", own / "lab")
    assert added.code == 0, added.err
    assert "a COCO document that marks 3 images" in added.out
    rows = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    boxes = {row["image_id"]: row["boxes"] for row in rows}
    assert set(boxes) == ({"x0", "x1", "x3"} if table else {"x0", "x1", "x2"})
    assert boxes["x0"] == []
    assert len(boxes["x1"]) == 1
    assert "lesion" in str(boxes["x1"][0])
    assert boxes.get("x3") is None


def write_arrays(folder: Path) -> None:
    """Two parts, as MedMNIST writes them."""
    arrays = {}
    for part, count in (("train", 3), ("test", 2)):
        arrays[f"{part}_images"] = np.arange(count * 48, dtype=np.uint8).reshape(count, 4, 4, 3)
        arrays[f"{part}_labels"] = np.array([["nevus"], ["melanoma"], ["nevus"]][:count])
    np.savez(folder / "derm.npz", **arrays)  # type: ignore[arg-type]  # any name is an array's


def write_shards(folder: Path) -> None:
    """Images in Hugging Face's columns, in two files."""
    for number in range(2):
        Image.new("RGB", (8, 6), (number * 90, 60, 90)).save(data := io.BytesIO(), format="JPEG")
        image = {"bytes": data.getvalue(), "path": f"{number}.jpg"}
        rows = [
            {"image": image, "dx": "nevus", "patient_id": "P1"},
            {"image": image, "dx": "melanoma", "patient_id": "P2"},
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"train-{number}.parquet")


@pytest.mark.parametrize(
    ("write", "rows", "label"), [(write_arrays, 5, ("--label", "labels")), (write_shards, 4, ())]
)
def test_images_in_arrays_and_in_parquet(
    cli: Cli, tmp_path: Path, write: Callable[[Path], None], rows: int, label: tuple[str, ...]
) -> None:
    """The files are taken apart by the fetch; several of them are one table."""
    (tmp_path / "own").mkdir()
    write(tmp_path / "own")
    added = cli("add", "own", tmp_path / "own", "-o", tmp_path / "lab", *label)
    assert added.code == 0, added.err
    found = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    assert len(found) == rows
    assert {row["diagnosis"] for row in found} == {"melanocytic-nevus", "melanoma"}
    assert all(row["path"] and row["image_problem"] is None for row in found)
    assert {row["split_official"] for row in found} == ({"train", "test"} if label else {None})
    assert cli("--catalog", tmp_path / "lab", "verify", "own").code == 0


def test_samples_in_tars(cli: Cli, tmp_path: Path) -> None:
    """Two shards of WebDataset: what lies beside a picture is its row, and nothing of it is told as unread."""
    for shard in range(2):
        with tarfile.open(tmp_path / f"shard-{shard}.tar", "w") as tar:
            for number in range(2):
                data = io.BytesIO()
                Image.new("RGB", (8, 6), (shard * 90, number * 90, 90)).save(data, format="JPEG")
                row = {"dx": ("nevus", "melanoma")[number], "patient_id": f"P{shard}"}
                for ending, content in (("jpg", data.getvalue()), ("json", json.dumps(row).encode())):
                    info = tarfile.TarInfo(f"{shard}{number}.{ending}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    shards = [tmp_path / f"shard-{shard}.tar" for shard in range(2)]
    added = cli("add", "own", *shards, "-o", tmp_path / "lab")
    assert added.code == 0, added.err
    assert "not looked at" not in added.err
    rows = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    assert [(row["patient_id"], row["diagnosis"]) for row in rows] == [
        ("own/P0", "melanocytic-nevus"), ("own/P0", "melanoma"), ("own/P1", "melanocytic-nevus"), ("own/P1", "melanoma"),
    ]  # fmt: skip
    assert all(row["path"] for row in rows)


def test_rows_in_parquet_beside_the_pictures(cli: Cli, own: Path) -> None:
    """No image lies in it: it is a table like others."""
    pq.write_table(pa.Table.from_pylist(RECORDS), own / "own" / "visits.parquet")
    added = cli("add", "own", own / "own", "-o", own / "lab")
    assert added.code == 0, added.err
    rows = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    assert [(row["patient_id"], row["age"]) for row in rows][::3] == [("own/P0", 30.0), ("own/P1", 33.0)]


def test_several_tables_that_name_the_pictures(cli: Cli, own: Path) -> None:
    """Two sheets, two files: which one is asked, and --table or a column says it."""
    book = openpyxl.Workbook()
    for title, column in (("first", "picture"), ("second", "photo")):
        sheet = book.create_sheet(title)
        sheet.append([column, "diagnosis"])
        for one in RECORDS:
            sheet.append([one["file_name"], one["diagnosis"]])
    book.save(own / "t.xlsx")
    words = ("add", "own", own / "own", "--table", own / "t.xlsx", "-o", own / "lab", "--dry-run")
    answer = cli(*words)
    assert (answer.code, "t.xlsx: first" in answer.err) == (2, True), answer.err
    assert cli(*words, "--image", "photo").code == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", b'image;dx\n"a.jpg;nevus\nb.jpg', "a quotation mark is never closed"),
        ("t.tsv", b'image\tdx\n"a.jpg\tnevus\n', "a quotation mark is never closed"),
        ("t.xlsx", b"PK no workbook", "t.xlsx"),
    ],
)
def test_the_only_table_that_is_broken_is_no_warning(
    cli: Cli, tmp_path: Path, name: str, text: bytes, said: str
) -> None:
    """Its labels would be lost and the folder taken for pictures that nobody labeled; nothing is written."""
    (tmp_path / "own").mkdir()
    Image.new("RGB", (16, 12)).save(tmp_path / "own" / "a.jpg")
    (tmp_path / "own" / name).write_bytes(text)
    answer = cli("add", "broken", tmp_path / "own", "-o", tmp_path / "lab")
    assert (answer.code, answer.out) == (2, ""), answer.err
    assert said in answer.err
    assert not (tmp_path / "lab").exists()
