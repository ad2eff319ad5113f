"""`dermdata add` of a host's record: looked into where it lies, written with the host's own keys, fetched like any entry."""

import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dermdata as dd
from conftest import Answer
from dermdata.api import catalog_words, label_tables
from dermdata.fetching import record
from dermdata.hosts import request_limits
from support.servers import Site

COUNT = 6
ZENODO = "https://zenodo.org/api/records/77"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No host is waited for, nobody has an account, and the words of a hundred entries have tests of their own."""
    monkeypatch.setattr(request_limits, "LIMITS", ())
    monkeypatch.setattr(catalog_words, "read_site_words", lambda *_: {})
    monkeypatch.setattr(label_tables, "read_known_words", lambda *_: iter(()))
    monkeypatch.setenv("HOME", str(tmp_path))


def draw(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (16, 12), (number * 37 % 256, number * 5 % 256, 90)).save(data, "PNG")
    return data.getvalue()


PICTURES = {f"p{number}.png": draw(number) for number in range(COUNT)}
TABLE = (
    "image,patient,diagnosis\n"
    + "".join(f"p{n},A{n // 2},{('Nevus', 'Melanoma')[n % 2]}\n" for n in range(COUNT))
).encode()


def pack(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


IMAGES_ZIP = pack({f"img/{name}": data for name, data in PICTURES.items()})


def put_json(site: Site, url: str, value: Any) -> None:
    site.put(url, json.dumps(value).encode())


def put_zenodo(site: Site, files: Mapping[str, bytes], *, sizes: bool = True, **about: Any) -> None:
    """A record of Zenodo with these files."""
    rows = []
    for name, data in files.items():
        site.put(f"https://zenodo.org/records/77/files/{name}?download=1", data)
        row = {"key": name, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}
        rows.append(row if sizes else {"key": name})
    metadata = {
        "title": "Skin of six",
        "license": {"id": "cc-by-nc-4.0"},
        "creators": [{"name": "Lovelace, Ada"}, {"name": "Hopper, Grace"}],
        "publication_date": "2024-05-06",
        "version": "v2",
    } | about
    put_json(site, ZENODO, {"id": 77, "doi": "10.5281/zenodo.77", "metadata": metadata, "files": rows})


@pytest.fixture
def add(cli: Callable[..., Answer], site: Site, tmp_path: Path) -> Callable[..., Answer]:
    def call(source: str, *words: object) -> Answer:
        return cli("--rewrite", site.rewrite, "add", "ours", source, "-o", tmp_path / "lab", *words)

    return call


def entry(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "lab/datasets/ours/dataset.toml").read_text(encoding="utf-8"))


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    assert answer.code == 0, answer.err
    rows: list[dict[str, Any]] = pq.ParquetFile(answer.out.splitlines()[-1]).read().to_pylist()
    assert [row["image_problem"] for row in rows] == [None] * len(rows)
    return rows


def test_a_record_in_one_command(
    add: Callable[..., Answer], cli: Callable[..., Answer], site: Site, tmp_path: Path
) -> None:
    """What the record states stands in the entry with where it was read; `fetch` has nothing left to do."""
    put_zenodo(site, {"pictures.zip": IMAGES_ZIP, "labels.csv": TABLE})
    added = add("<https://zenodo.org/records/77/?token=x#files>")
    rows = rows_of(added)
    assert [row["diagnosis"] for row in rows] == ["melanocytic-nevus", "melanoma"] * 3
    found = entry(tmp_path)
    assert (found["title"], found["version"], found["homepage"]) == (
        "Skin of six", "v2", "https://zenodo.org/records/77",
    )  # fmt: skip
    assert found["license"] == {"id": "CC-BY-NC-4.0", "statement": "cc-by-nc-4.0"}
    assert found["citation"] == {
        "doi": "10.5281/zenodo.77",
        "text": "Lovelace, Ada and Hopper, Grace (2024). Skin of six. Zenodo.",
    }
    assert [(one["name"], one["source"], one["role"]) for one in found["files"]] == [
        ("pictures.zip", "zenodo:77/pictures.zip", "images"),
        ("labels.csv", "zenodo:77/labels.csv", "metadata"),
    ]
    assert found["files"][0]["checksum"] == f"md5:{hashlib.md5(IMAGES_ZIP).hexdigest()}"
    for key in ("title", "version", "license", "citation"):
        assert found["facts"][key].startswith(f"{ZENODO}, read on 20")
    assert found["facts"]["files"].startswith("names, sizes and digests as zenodo:77 lists them, read on 20")
    again = cli("--catalog", tmp_path / "lab", "--offline", "fetch", "ours")
    assert (again.code, "nothing to do" in again.err) == (0, True), again.err


def test_a_dry_run_reads_tables_and_directories_alone(
    add: Callable[..., Answer], site: Site, tmp_path: Path
) -> None:
    """No picture comes, of a zip only its end; nothing is written."""
    put_zenodo(site, {"pictures.zip": IMAGES_ZIP + b"", "labels.csv": TABLE})
    shown = add("zenodo:77", "--dry-run", "-f", "json")
    assert shown.code == 0, shown.err
    assert {one["field"]: one["column"] for one in json.loads(shown.out)["items"] if one["taken"]} == {
        "image": "image", "patient_id": "patient", "label_raw": "diagnosis",
    }  # fmt: skip
    assert not (tmp_path / "lab").exists()
    assert not (tmp_path / "cache/datasets").exists()
    asked = [wanted for address, wanted in site.requests if "pictures.zip" in address]
    assert None not in asked


def test_a_notebook_does_the_same(site: Site, tmp_path: Path) -> None:
    """A table and class folders within one zip; two versions of a record are told apart."""
    inside = {
        f"data/{('nevus', 'melanoma')[n % 2]}/{name}": data for n, (name, data) in enumerate(PICTURES.items())
    }
    put_zenodo(site, {"all.zip": pack(inside)})
    put_json(site, "https://zenodo.org/api/records/70", json.loads(site.files["zenodo.org/api/records/77"]))
    session = dd.open_session(cache=tmp_path / "cache", rewrite=dict([site.rewrite.split("=", 1)]))
    found = session.add("ours", "doi:10.5281/zenodo.70", catalog=tmp_path / "lab")
    assert sorted(found.to_pandas().diagnosis) == ["melanocytic-nevus"] * 3 + ["melanoma"] * 3
    assert entry(tmp_path)["files"][0]["source"] == "zenodo:77/all.zip"  # 70 names the newest version


SAME_NAMES = {
    "class folders": ({"nevus/1.png": draw(1), "melanoma/1.png": draw(2)}, ["melanoma/1", "nevus/1"]),
    "parts of one folder": ({"a/img/1.png": draw(1), "b/img/1.png": draw(2)}, ["a/img/1", "b/img/1"]),
    "parts of classes": (
        {f"{part}/{word}/1.png": draw(n) for n, (part, word) in enumerate(product(("test", "train"), ("nevus", "acne")))},
        [f"{part}/{word}/1" for part in ("test", "train") for word in ("acne", "nevus")],
    ),
    "names of their own": ({"nevus/1.png": draw(1), "melanoma/2.png": draw(2)}, ["1", "2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME_NAMES)
def test_pictures_of_one_name_in_several_folders(add: Callable[..., Answer], site: Site, name: str) -> None:
    """No row is lost where each class has its own 1.png."""
    files, ids = SAME_NAMES[name]
    put_zenodo(site, {"all.zip": pack(files)})
    added = add("zenodo:77")
    rows = pq.ParquetFile(added.out.splitlines()[-1]).read().to_pylist()
    assert sorted(row["image_id"] for row in rows) == ids, added.err
    assert {row["image_problem"] for row in rows} == {None}


def test_a_table_in_the_zip_of_the_pictures(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """It is read by its range, and the entry names it there; another table beside it is not taken."""
    put_zenodo(site, {"all.zip": pack({"d/labels.csv": TABLE, "d/other.csv": b"a,b\n1,2\n", **PICTURES})})
    assert len(rows_of(add("10.5281/zenodo.77"))) == COUNT
    assert entry(tmp_path)["table"][0] == {
        "reader": "table", "file": "all.zip", "member": "d/labels.csv", "missing": [""],
        "columns": {"image_id": "image", "patient_id": "patient", "label_raw": "diagnosis"},
    }  # fmt: skip


def test_a_table_in_a_zip_of_its_own(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """It holds no pictures; what a zip in a zip holds nobody can see from here."""
    files = {"tables.zip": pack({"m/labels.csv": TABLE}), "nested.zip": pack({"a.zip": IMAGES_ZIP})}
    put_zenodo(site, {"pictures.zip": IMAGES_ZIP, **files})
    assert len(rows_of(add("zenodo:77"))) == COUNT
    found = entry(tmp_path)
    assert [(one["name"], one["role"]) for one in found["files"]] == [
        ("pictures.zip", "images"), ("tables.zip", "metadata"),
    ]  # fmt: skip
    assert (found["table"][0]["file"], found["table"][0]["member"]) == ("tables.zip", "m/labels.csv")


def test_what_no_row_names_is_known_and_not_fetched(
    add: Callable[..., Answer], site: Site, tmp_path: Path
) -> None:
    """A test part without a table, masks, a figure: each may be as large as the pictures themselves."""
    others = {"test.zip": pack({"t/q1.png": draw(8), "t/q2.png": draw(9)}), "figure.png": draw(7)}
    put_zenodo(site, {"pictures.zip": IMAGES_ZIP, "labels.csv": TABLE, **others})
    added = add("zenodo:77")
    assert len(rows_of(added)) == COUNT
    assert "that no row names" not in added.err
    found = {one["name"]: one for one in entry(tmp_path)["files"]}
    assert list(found) == ["pictures.zip", "test.zip", "labels.csv"]
    assert (found["test.zip"]["fetch"], found["test.zip"]["note"]) == (
        False, "no row of the table names a picture in it",
    )  # fmt: skip


def test_of_many_loose_pictures_those_of_other_folders_stay_there(
    add: Callable[..., Answer], site: Site, tmp_path: Path
) -> None:
    count, images = 30, {}
    api = "https://api.github.com/repos/o/skin"
    for n in range(count):
        images |= {
            f"train/im{n}.png": draw(n),
            f"train/x/im{n}b.PNG": draw(n + 50),
            f"thumbs [s]/t{n}.png": draw(1),
        }
    table = "image,dx\n" + "".join(f"im{n},nevus\nim{n}b,nevus\n" for n in range(count))
    tree = []
    for name, data in {**images, "labels.csv": table.encode()}.items():
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        tree.append({"path": name, "type": "blob", "mode": "100644", "sha": blob, "size": len(data)})
        site.put(f"https://raw.githubusercontent.com/o/skin/{COMMIT}/{name}", data)
    put_json(site, f"{api}/git/trees/{COMMIT}?recursive=1", {"truncated": False, "tree": tree})
    assert len(rows_of(add(f"github:o/skin@{COMMIT}"))) == 2 * count
    assert entry(tmp_path)["listed"]["include"] == ["train/*.PNG", "train/*.png"]
    assert not any("thumbs" in address for address, _ in site.requests)


# ------------------------------------------------------------------ what hosts name a version by


def test_a_branch_is_pinned_to_its_commit(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """Also one with a slash in its name, of which the folder behind it is told apart by asking."""
    api = "https://api.github.com/repos/o/skin"
    put_json(site, api, {"description": "Skin", "default_branch": "main", "license": {"spdx_id": "MIT"}})
    put_json(site, f"{api}/commits/feature/x", {"sha": COMMIT})
    tree = []
    for name, data in {
        **{f"data/{name}": data for name, data in PICTURES.items()},
        "data/t.csv": TABLE,
    }.items():
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        tree.append({"path": name, "type": "blob", "mode": "100644", "sha": blob, "size": len(data)})
        site.put(f"https://raw.githubusercontent.com/o/skin/{COMMIT}/{name}", data)
    put_json(site, f"{api}/git/trees/{COMMIT}?recursive=1", {"truncated": False, "tree": tree})
    assert len(rows_of(add("https://github.com/o/skin/tree/feature/x/data/"))) == COUNT
    found = entry(tmp_path)
    assert found["license"]["id"] == "MIT"
    assert found["version"] == COMMIT[:8]
    assert {one["source"].partition("/data/")[0] for one in found["files"]} == {f"github:o/skin@{COMMIT}"}
    missing = add("github:o/skin@nobody", "--force")
    assert (missing.code, "api.github.com has no branch, tag or commit nobody of o/skin" in missing.err) == (
        3,
        True,
    )


def test_kaggle_s_newest_version_is_named(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """Each file by that version; its license in the words that Kaggle has for it."""
    api = "https://www.kaggle.com/api/v1/datasets"
    put_json(site, f"{api}/view/o/skin", {
        "title": "Skin", "currentVersionNumber": 3, "licenseName": "Attribution 4.0 International (CC BY 4.0)",
    })  # fmt: skip
    files = {"labels.csv": TABLE, **{f"x/{name}": data for name, data in PICTURES.items()}}
    rows = [{"name": name, "totalBytes": len(data)} for name, data in files.items()]
    put_json(
        site, f"{api}/list/o/skin?pageSize=200&pageToken=&datasetVersionNumber=3", {"datasetFiles": rows}
    )
    for name, data in files.items():
        site.put(f"{api}/download/o/skin/{name}?datasetVersionNumber=3", data)
    assert len(rows_of(add("https://www.kaggle.com/datasets/o/skin?resource=download"))) == COUNT
    found = entry(tmp_path)
    assert (found["version"], found["license"]["id"]) == ("3", "CC-BY-4.0")
    assert found["files"][0]["source"] == "kaggle:o/skin@3/labels.csv"


def test_a_doi_that_says_no_host_is_looked_up(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """The registry says where it leads; a page of a publisher that is no host of records ends it."""
    put_zenodo(site, {"pictures.zip": IMAGES_ZIP, "labels.csv": TABLE})
    for doi, page in (
        ("10.1234/abc", "https://zenodo.org/records/77"),
        ("10.1016/j.dib", "https://example.org/p"),
    ):
        put_json(
            site, f"https://doi.org/api/handles/{doi}", {"values": [{"type": "URL", "data": {"value": page}}]}
        )
    assert len(rows_of(add("https://doi.org/10.1234/abc"))) == COUNT
    other = add("10.1016/j.dib", "--force")
    assert (other.code, "leads to https://example.org/p, which is no record" in other.err) == (2, True)
    unknown = add("10.9999/none", "--force")
    assert (unknown.code, "doi.org has no DOI 10.9999/none (404)" in unknown.err) == (3, True)


def test_collections_of_the_isic_archive(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """Its records are the table, whose columns and words the catalog knows."""
    api = "https://api.isic-archive.com/api/v2"
    put_json(site, f"{api}/collections/7/", {"id": 7, "name": "Seven", "doi": "10.34970/7"})
    records = []
    for n, data in enumerate(PICTURES.values()):
        url = f"https://isic-archive.s3.amazonaws.com/images/ISIC_000000{n}.png"
        site.put(url, data)
        clinical = {"sex": "female", "patient_id": f"IP_{n // 2}", "diagnosis_1": "Benign"}
        records.append({
            "isic_id": f"ISIC_000000{n}", "copyright_license": "CC-BY", "attribution": "A",
            "files": {"full": {"url": url, "size": len(data)}},
            "metadata": {"acquisition": {"image_type": "dermoscopic"}, "clinical": clinical},
        })  # fmt: skip
    for limit in (1, 100):
        page = {"count": COUNT, "next": None, "results": records[:limit]}
        put_json(site, f"{api}/images/search/?collections=7&limit={limit}", page)
    put_json(site, f"{api}/images/search/size/?collections=7", {"count": COUNT, "size": 1})
    rows = rows_of(add("https://api.isic-archive.com/collections/7/"))
    assert ({row["sex"] for row in rows}, len({row["patient_id"] for row in rows})) == ({"female"}, 3)
    found = entry(tmp_path)
    assert (found["listing"], found["words_of"], found["title"]) == (
        "isic:collections=7",
        "isic-archive",
        "Seven",
    )
    put_json(site, f"{api}/images/search/?collections=9&limit=1", {"count": 0, "next": None, "results": []})
    empty = add("isic:9", "--force")
    assert (empty.code, "the ISIC Archive has no image in isic:collections=9" in empty.err) == (2, True)


def make_shard(numbers: range) -> bytes:
    """Rows with their images as Hugging Face writes them: classes as numbers, which a note in the file names."""
    images = [{"bytes": draw(n), "path": f"x{n}.png"} for n in numbers]
    cells = {"image": images, "label": [n % 2 for n in numbers], "patient": [f"A{n // 2}" for n in numbers]}
    note = {"info": {"features": {"label": {"names": ["Nevus", "Melanoma"], "_type": "ClassLabel"}}}}
    table = pa.table(cells).replace_schema_metadata({"huggingface": json.dumps(note)})
    data = io.BytesIO()
    pq.write_table(table, data, row_group_size=2)
    return data.getvalue()


def put_hub(site: Site, files: Mapping[str, bytes], **card: str) -> None:
    """A dataset of Hugging Face with these files."""
    api = "https://huggingface.co/api/datasets/o/skin"
    put_json(site, f"{api}/revision/main", {"sha": COMMIT, "gated": False, "cardData": card})
    put_json(site, f"{api}/revision/{COMMIT}", {"sha": COMMIT, "gated": False, "cardData": card})
    rows = []
    for name, data in files.items():
        stored = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
        rows.append({"type": "file", "path": name, "size": len(data), "lfs": stored})
        site.put(f"https://huggingface.co/datasets/o/skin/resolve/{COMMIT}/{name}", data)
    put_json(site, f"{api}/tree/{COMMIT}?recursive=true", rows)


def test_images_in_parquet_on_hugging_face(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """Their rows are read by ranges, images left out; classes by their names, the split by that of the files."""
    shards = {
        f"data/{part}-0000{n}-of-00002.parquet": make_shard(range(first, first + 4))
        for part, n, first in (("train", 0, 0), ("train", 1, 4), ("test", 0, 8))
    }
    put_hub(site, {**shards, "README.md": b"# Skin"}, license="cc-by-4.0", pretty_name="Skin")
    shown = add("https://huggingface.co/datasets/o/skin/viewer/default/train", "--dry-run")
    assert shown.code == 0, shown.err
    assert None not in [wanted for address, wanted in site.requests if ".parquet" in address]
    rows = rows_of(add("hf:o/skin"))
    assert [row["diagnosis"] for row in rows] == ["melanocytic-nevus", "melanoma"] * 6
    assert [row["split_official"] for row in rows] == ["test"] * 4 + ["train"] * 8
    assert len({row["patient_id"] for row in rows}) == 6
    found = entry(tmp_path)
    assert {one["unpack"] for one in found["files"]} == {"parquet"}
    assert (
        found["files"][0]["source"]
        == f"huggingface:datasets/o/skin@{COMMIT}/data/test-00000-of-00002.parquet"
    )
    assert (found["license"]["id"], found["title"]) == ("CC-BY-4.0", "Skin")


def make_lines() -> bytes:
    """`metadata.jsonl`, as the hub has it beside pictures."""
    rows = [{"file_name": f"p{n}.png", "diagnosis": ("Nevus", "Melanoma")[n % 2]} for n in range(COUNT)]
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def make_workbook() -> bytes:
    import openpyxl

    book, data = openpyxl.Workbook(), io.BytesIO()
    for line in TABLE.decode().splitlines():
        book.active.append(line.split(","))
    book.save(data)
    return data.getvalue()


@pytest.mark.parametrize(("name", "make"), [("metadata.jsonl", make_lines), ("visits.xlsx", make_workbook)])
def test_tables_in_other_forms(
    add: Callable[..., Answer], site: Site, name: str, make: Callable[[], bytes]
) -> None:
    put_hub(site, {name: make(), "README.md": b"# Skin", **PICTURES})
    assert [row["diagnosis"] for row in rows_of(add("hf:o/skin"))] == ["melanocytic-nevus", "melanoma"] * 3


def make_npz(side: int) -> bytes:
    """Arrays of two parts: images, numbers of classes."""
    arrays = {}
    for part, count in (("train", 4), ("test", 2)):
        pixels = np.arange(count * side * side * 3, dtype=np.uint8).reshape(count, side, side, 3)
        arrays |= {f"{part}_images": pixels, f"{part}_labels": np.arange(count, dtype=np.uint8)[:, None] % 2}
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


def test_images_in_arrays(add: Callable[..., Answer], site: Site, tmp_path: Path) -> None:
    """The labels are read without the images; of several sizes the person chooses."""
    put_zenodo(site, {"skin.npz": make_npz(9), "skin_64.npz": make_npz(64)})
    which = add("zenodo:77")
    assert (which.code, "2 files of zenodo:77 hold images and rows: skin.npz, skin_64.npz" in which.err) == (
        2,
        True,
    )
    words = (
        "--table",
        "skin_64.npz",
        "--label",
        "labels",
        "--accept",
        "0=melanocytic-nevus",
        "--accept",
        "1=melanoma",
    )
    rows = rows_of(add("zenodo:77", *words))
    assert [(row["diagnosis"], row["split_official"], row["width"]) for row in rows] == [
        *[("melanocytic-nevus", "test", 64), ("melanoma", "test", 64)],
        *[("melanocytic-nevus", "train", 64), ("melanoma", "train", 64)] * 2,
    ]
    assert [one["name"] for one in entry(tmp_path)["files"]] == ["skin_64.npz"]


# ------------------------------------------------------------------ bad days


def refuse_ranges(site: Site) -> None:
    """A server that sends a zip whole, whatever part of it is asked for."""
    answer = site.answer

    def whole(request: Any) -> None:
        if ".zip" in request.path:
            del request.headers["Range"]
        answer(request)

    site.answer = whole  # type: ignore[method-assign]


def test_a_zip_of_which_its_host_gives_no_parts(
    add: Callable[..., Answer], site: Site, tmp_path: Path
) -> None:
    """It cannot be looked into: the way by hand is named, and nothing is written."""
    put_zenodo(site, {"pictures.zip": IMAGES_ZIP, "labels.csv": TABLE})
    refuse_ranges(site)
    answer = add("zenodo:77")
    assert answer.code == 3, answer.err
    assert "pictures.zip is not looked into, and left out" in answer.err
    assert (
        "download it from https://zenodo.org/records/77, and give the file to `dermdata add ours`"
        in answer.err
    )
    assert not (tmp_path / "lab").exists()


NO_PICTURE = {
    "a paper alone": {"paper.pdf": b"%PDF-1.7"},
    "a zip without a picture": {"code.zip": pack({"a/train.py": b"print()", "a/readme.md": b"x"})},
    "a table alone": {"labels.csv": TABLE},
    "an empty picture": {"a.png": b""},
}


@pytest.mark.parametrize("name", NO_PICTURE)
def test_a_record_without_a_picture(add: Callable[..., Answer], site: Site, name: str) -> None:
    put_zenodo(site, NO_PICTURE[name])
    answer = add("zenodo:77")
    assert (answer.code, "no picture lies in zenodo:77" in answer.err) == (2, True), answer.err
    assert f"1 file found: {next(iter(NO_PICTURE[name]))}; see https://zenodo.org/records/77" in answer.err


BROKEN = {
    "a Parquet file of another kind": ("a.parquet", b"PAR1" + bytes(200) + b"PAR1", "no whole Parquet file"),
    "a cut Parquet file": ("a.parquet", make_shard(range(4))[:-20], "no whole Parquet file"),
    "an .npz that is none": ("a.npz", b"PK" + bytes(300), "is no whole .npz"),
    "a zip that is cut": ("a.zip", IMAGES_ZIP[:-60], "a.zip"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told(add: Callable[..., Answer], site: Site, name: str) -> None:
    """And where nothing else is there, why is the error."""
    file, data, said = BROKEN[name]
    put_zenodo(site, {file: data})
    answer = add("zenodo:77")
    assert (answer.code, said in answer.err) == (4, True), answer.err
    assert "give the file to `dermdata add ours`" in answer.err


CLOSED = {
    "restricted": (
        {"access_right": "restricted"},
        "is restricted",
        "ask for access at https://zenodo.org/records/77",
    ),
    "embargoed": (
        {"access_right": "embargoed", "embargo_date": "2030-01-01"},
        "before 2030-01-01",
        "ask for access",
    ),
    "closed": ({"access_right": "closed"}, "is closed", "give what you downloaded to `dermdata add ours`"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_a_record_that_is_closed_ends_as_a_fetch_of_it(
    add: Callable[..., Answer], site: Site, name: str
) -> None:
    about, said, hint = CLOSED[name]
    put_json(site, ZENODO, {"id": 77, "metadata": {"title": "x", **about}})
    answer = add("zenodo:77")
    assert (answer.code, said in answer.err, hint in answer.err) == (6, True, True), answer.err


@pytest.mark.parametrize("restricted", ["all", "the pictures"])
def test_restricted_files_of_dataverse(add: Callable[..., Answer], site: Site, restricted: str) -> None:
    """Their list is open, they are not: who to ask stands in the hint."""
    rows = []
    for number, name in enumerate(["labels.csv", "a.png"]):
        data = {"id": number, "filesize": 9, "md5": hashlib.md5(b"image\n1\n\n").hexdigest()}
        rows.append({"label": name, "restricted": restricted == "all" or name == "a.png", "dataFile": data})
    doi = "doi:10.7910/DVN/ABCDEF"
    url = f"https://dataverse.harvard.edu/api/datasets/:persistentId/?persistentId={doi}"
    put_json(site, url, {"data": {"latestVersion": {"files": rows}}})
    site.put("https://dataverse.harvard.edu/api/access/datafile/0", b"image\n1\n\n")
    answer = add(f"https://dataverse.harvard.edu/dataset.xhtml?persistentId={doi}")
    if restricted == "all":
        assert (answer.code, "all 2 files of dataverse:" in answer.err) == (6, True), answer.err
    else:
        assert (answer.code, "1 file is not to be had: a.png" in answer.err) == (6, True), answer.err
    assert f"ask for access at https://dataverse.harvard.edu/dataset.xhtml?persistentId={doi}" in answer.err
    assert "give what you downloaded to `dermdata add ours`" in answer.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("zenodo:78", "zenodo.org has no record 78 (404)"),
        ("figshare:1234567", "api.figshare.com has no article 1234567 (404)"),
        (
            "dataverse:doi:10.7910/DVN/ABCDEF",
            "dataverse.harvard.edu has no dataset doi:10.7910/DVN/ABCDEF (404)",
        ),
        ("mendeley:abc123xyz9/1", "data.mendeley.com has no dataset abc123xyz9 (404)"),
        ("osf:abcde", "api.osf.io has no project abcde (404)"),
        ("hf:o/n", "huggingface.co has no datasets/o/n@main (404)"),
        ("kaggle:o/n", "www.kaggle.com has no dataset o/n (404)"),
        (f"github:o/n@{COMMIT}", f"api.github.com has no commit o/n@{COMMIT} (404)"),
        ("isicdoi:nobody", "api.isic-archive.com has no page of the DOI nobody (404)"),
    ],
)
def test_a_record_that_is_not_there(add: Callable[..., Answer], source: str, said: str) -> None:
    answer = add(source)
    assert (answer.code, said in answer.err, "--mirror" in answer.err) == (3, True, False), answer.err


def test_a_host_that_states_no_sizes(add: Callable[..., Answer], site: Site) -> None:
    """They are asked for, and nothing is taken for empty."""
    put_zenodo(site, {"labels.csv": TABLE, **PICTURES}, sizes=False)
    assert len(rows_of(add("zenodo:77"))) == COUNT


def test_a_table_that_is_far_too_large(
    add: Callable[..., Answer], site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not read unless it is named; the pictures alone have no labels then."""
    monkeypatch.setattr(record, "LARGEST_TABLE", len(TABLE) - 1)
    put_zenodo(site, {"labels.csv": TABLE, **PICTURES})
    alone = add("zenodo:77", "--dry-run")
    assert (alone.code, "not looked at: labels.csv; --table NAME takes one of them" in alone.err) == (0, True)
    assert [row["diagnosis"] for row in rows_of(add("zenodo:77", "--table", "labels.csv"))][1] == "melanoma"
    wrong = add("zenodo:77", "--table", "lables.csv", "--force")
    assert (wrong.code, "did you mean labels.csv?" in wrong.err) == (2, True), wrong.err


def test_hundreds_of_files_are_told_in_a_few_lines(
    add: Callable[..., Answer], site: Site, tmp_path: Path
) -> None:
    """Of hundreds of tables the likeliest are read; hundreds of pictures the listing of that version names."""
    many = {f"a{n:03}.png": draw(1) for n in range(150)} | {f"a{n:03}.txt": b"0 1 1\n" for n in range(150)}
    put_zenodo(
        site,
        {
            **many,
            "labels.csv": b"image,patient\n" + b"".join(b"a%03d,%d\n" % (n, n // 2) for n in range(150)),
        },
    )
    shown = add("zenodo:77", "--dry-run", "--table", "labels.csv")
    assert shown.code == 0, shown.err
    assert len(shown.err.splitlines()) < 12
    flooded = add("zenodo:77", "--dry-run")
    assert "not looked at: a007.txt" in flooded.err
    assert len(flooded.err.splitlines()) < 12


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("https://example.org/data",), "is no page of a record that dermdata knows"),
        (("zenodo:abc",), "write zenodo:<record>"),
        (("zenodo:77", "zenodo:78"), "zenodo:77 is a record, which is added alone"),
        (("zenodo:77", "pictures"), "zenodo:77 is a record, which is added alone"),
        (("pictures/none",), "no such file"),
        (("zenodo:77", "--link"), "there is nothing to link"),
    ],
)
def test_what_is_no_record_is_told(
    cli: Callable[..., Answer], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    answer = cli("add", "ours", *words, "-o", tmp_path / "lab")
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_a_folder_that_is_called_like_a_record_is_a_folder(
    cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies here goes first, and no host is asked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zenodo:77").mkdir()
    (tmp_path / "zenodo:77/a.png").write_bytes(draw(1))
    answer = cli("--offline", "add", "ours", "zenodo:77", "-o", "lab")
    assert len(rows_of(answer)) == 1


def test_offline_no_host_is_asked(cli: Callable[..., Answer], tmp_path: Path) -> None:
    answer = cli("--offline", "add", "ours", "zenodo:77", "-o", tmp_path / "lab")
    assert answer.code == 3, answer.err
