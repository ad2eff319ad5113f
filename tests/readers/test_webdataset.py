"""Samples in tars: what other programs write, what our own export writes, and broken ones."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dermdata.errors import TableRefused
from dermdata.model import ArchiveMember, Content, ImageFacts, Role, TableSpec
from dermdata.readers import read_table

SIZE = ImageFacts(format="png", width=20, height=10)


def content(path: str, size: int, *, file: str = "a.tar") -> Content:
    image = SIZE if path.endswith((".jpg", ".png")) else None
    role: Role = "masks" if path.endswith("mask.png") else "images"
    member = ArchiveMember(path=path, offset=-1, stored=size, method=0, crc32=0)
    return Content(path=path, role=role, file=file, size=size, sha256=path, member=member, image=image)


def read(files: Mapping[str, Any], **spec: Any) -> Any:
    data = {name: one if isinstance(one, bytes) else json.dumps(one).encode() for name, one in files.items()}
    spec.setdefault("columns", {"image": ("@path",), "image_id": ("@key",)})
    contents = tuple(content(name, len(one)) for name, one in data.items())
    return read_table(TableSpec(reader="webdataset", **spec), lambda _, name: data[name or ""], contents)


def test_a_sample_is_a_row_of_its_texts_and_its_json() -> None:
    """Whatever order the tar has; further pictures are columns of their endings."""
    raw = read({
        "s/0001.cls": b"3\n", "s/0001.json": {"dx": "nv", "who": {"age": 4}}, "s/0001.mask.png": b"", "s/0001.png": b"",
        "s/0002.v1.txt": b"no ending of ours", "s/0002.jpg": b"", "s/0002.txt": "\u00e4 mole".encode(),
    })  # fmt: skip
    assert raw.rejected == ()
    first, second = raw.rows.to_pylist()
    assert (first["@path"], first["@key"], first["@file"]) == ("s/0001.png", "s/0001", "a.tar")
    assert (first["cls"], first["dx"], first["who.age"], first["mask.png"]) == (
        "3",
        "nv",
        "4",
        "s/0001.mask.png",
    )
    assert (second["txt"], second["dx"], second["mask.png"]) == ("\u00e4 mole", "", "")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "is not JSON"),
        (b"[" * 9999, "nested deeper"),
        (b'"' + b"x" * (1 << 20) + b'"', "the limit is 1,048,576"),
    ],
    ids=["cut", "deep", "long"],
)
def test_a_sample_of_broken_json_is_rejected_and_the_others_are_rows(bad: bytes, reason: str) -> None:
    raw = read({"1.jpg": b"", "1.json": bad, "2.jpg": b"", "2.json": {"dx": "nv"}})
    assert [(one["row"], reason in one["reason"]) for one in raw.rejected] == [("1", True)]
    assert raw.rows["@key"].to_pylist() == ["2"]


def test_its_json_cannot_say_where_its_picture_is() -> None:
    raw = read({"1.jpg": b"", "1.json": {"@path": "/etc/passwd", "@key": "other"}})
    assert raw.rows.select(["@path", "@key"]).to_pylist() == [{"@path": "1.jpg", "@key": "1"}]


def test_a_list_in_json_is_a_cell_and_samples_without_pictures_are_none() -> None:
    raw = read({"1.jpg": b"", "1.json": [1, 2], "2.json": {"dx": "nv"}, "README": b"", ".hidden.jpg": b""})
    assert raw.rows["json"].to_pylist() == ["[1, 2]"]
    with pytest.raises(TableRefused, match="no picture"):
        read({"2.json": {"dx": "nv"}})


def test_our_own_export_comes_back(cli: Callable, tmp_path: Path) -> None:
    """Classes, ids and pictures of the demo set, with its masks, in two tars."""
    assert cli("fetch", "demo").code == 0
    out = tmp_path / "out"
    answer = cli("export", "webdataset", "demo", "-o", out, "--where", "image_problem is null")
    assert answer.code == 0, answer.err
    tars = sorted(out.rglob("*.tar"))
    files = "".join(
        f'[[files]]\nname = "{tar.name}"\nrole = "images"\nunpack = "tar"\nmembers = {{ "*.mask.png" = "masks" }}\n'
        for tar in tars
    )
    folder = tmp_path / "own" / "datasets" / "again"
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(
        'name = "again"\ntitle = "Again"\nkind = "dataset"\nsummary = "The demo set again."\nwords_of = "demo"\n'
        '[access]\nkind = "open"\nevidence = "made here"\n' + files + '[[table]]\nreader = "webdataset"\n'
        'masks = { lesion = "{mask.png}" }\n'
        'columns = { image = "@path", image_id = "image_id", sex = "sex", caption = "diagnosis_name" }\n',
        encoding="utf-8",
    )
    answer = cli("--catalog", tmp_path / "own", "fetch", "again", "--from", out)
    assert answer.code == 0, answer.err
    again = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    first = pq.ParquetFile(cli("fetch", "demo").out.strip()).read().to_pylist()
    told = ("image_id", "sha256", "sex")
    usable = [row for row in first if row["image_problem"] is None]
    assert [[row[name] for name in told] for row in again] == [[row[name] for name in told] for row in usable]
    assert [row["caption"] for row in again] == [row["diagnosis_name"] for row in usable]
    assert sum(row["mask_path"] is not None for row in again) == sum(
        row["mask_path"] is not None for row in usable
    )
