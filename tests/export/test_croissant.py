"""croissant: what mlcroissant loads and iterates, and that its checksums, types and facts are true."""

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dermdata import export
from dermdata.catalogs import open_catalog
from dermdata.errors import SizeMismatch, UsageError
from dermdata.export import shards
from export.conftest import MakeJob
from export.folder_contents import contents
from export.samples import row, table

# of rdflib and pandas, which mlcroissant reads JSON-LD and Parquet with
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame"),
]


@pytest.fixture(scope="session")
def mlc() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own, and those of what it imports
        import mlcroissant
    return mlcroissant


def facts(tmp_path: Path, out: str = "out") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / out / "croissant.json").read_text(encoding="utf-8"))
    return found


def records(mlc: ModuleType, folder: Path, name: str = "images") -> list[dict[str, Any]]:
    """A record set by mlcroissant, each field by its name."""
    found = mlc.Dataset(str(folder / "croissant.json")).records(name)
    return [{key.partition("/")[2]: value for key, value in one.items()} for one in found]


# ------------------------------------------------------------------ the reader


def test_rows_come_back(job: MakeJob, tmp_path: Path, mlc: ModuleType, rows: pa.Table) -> None:
    """Every column but `phash`, in its type, from one file a split; null is None."""
    export.write("croissant", job())
    found = {one["key"].decode(): one for one in records(mlc, tmp_path / "out")}
    assert set(found) == set(rows["key"].to_pylist())
    assert set(found["demo/IMG_0000"]) == set(rows.column_names) - {"phash"}
    one = found["demo/IMG_0004"]
    assert (one["age"], one["fitzpatrick"], one["sex"], one["isic_id"]) == (44.5, 5, b"male", None)
    assert one["fitzpatrick_range"] == [1, 2]
    assert one["label_raw"].decode() == rows["label_raw"][4].as_py()
    assert one["concepts"][0] == {"images/concepts/key": b"papule", "images/concepts/value": True}


def test_words_are_listed(job: MakeJob, tmp_path: Path, mlc: ModuleType) -> None:
    """Splits and classes; a row that no split has is in none."""
    export.write("croissant", job())
    assert records(mlc, tmp_path / "out", "splits") == [{"name": "test"}, {"name": "train"}]
    assert records(mlc, tmp_path / "out", "classes") == [{"name": "melanocytic-nevus"}, {"name": "melanoma"}]


@pytest.mark.parametrize("split", [None, "train"])
def test_images_and_masks_are_inside(
    job: MakeJob, root: Path, tmp_path: Path, mlc: ModuleType, split: str | None
) -> None:
    """With --embed they decode; a row without a mask has none."""
    made = [row(root, number) for number in range(4)]
    Image.fromarray(np.eye(5, 6, dtype=np.uint8) * 255).save(root / "m.png")
    made[0]["mask_path"] = "m.png"
    export.write("croissant", job(table=table(made), embed=True, split=split))
    found = {one["key"]: one for one in records(mlc, tmp_path / "out")}
    assert found[b"demo/IMG_0000"]["image"].size == (6, 5)
    assert np.asarray(found[b"demo/IMG_0000"]["mask"]).sum() == 5 * 255
    assert found[b"demo/IMG_0001"]["mask"] is None
    assert len(found) == (4 if split is None else 3)


def test_several_shards_are_one_record_set(
    job: MakeJob, tmp_path: Path, mlc: ModuleType, monkeypatch: pytest.MonkeyPatch, rows: pa.Table
) -> None:
    """And each of them has its checksum."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 3)
    export.write("croissant", job(table=rows.drop_columns(["split", "fold"])))
    files = [one for one in facts(tmp_path)["distribution"] if "contentUrl" in one]
    assert [one["@id"] for one in files] == [f"data/images-{n:05}-of-00004.parquet" for n in range(4)]
    assert len(records(mlc, tmp_path / "out")) == 12


def test_a_damaged_file_is_found(job: MakeJob, tmp_path: Path, mlc: ModuleType, rows: pa.Table) -> None:
    """By mlcroissant, from the checksum."""
    export.write("croissant", job(split="train"))
    path = tmp_path / "out" / "data" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match=r"Download\(data/train"):
        records(mlc, tmp_path / "out")


def test_columns_of_any_name_and_type(job: MakeJob, root: Path, tmp_path: Path, mlc: ModuleType) -> None:
    """Quotes, slashes and other scripts; what has no type in Croissant stays in the file only."""
    made = table([row(root, 0) | {"split": None, "fold": None}])
    extra = {'a "b"/c': ["x"], "سرطان": [1], "when": pa.array([0], pa.timestamp("s")), "raw": [b"\0"],
             "nothing": pa.nulls(1), "odd": [{"a": 1}]}  # fmt: skip
    for name, values in extra.items():
        made = made.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))
    export.write("croissant", job(table=made))
    (found,) = records(mlc, tmp_path / "out")
    assert (found["a%20%22b%22%2Fc"], found["nothing"]) == (b"x", None)
    fields = {one["name"]: one for one in facts(tmp_path)["recordSet"][0]["field"]}
    assert fields["سرطان"]["dataType"] == "sc:Integer"
    assert not {"raw", "odd", "phash"} & set(fields)
    assert all(one["description"] for one in fields.values())


# ------------------------------------------------------------------ what it says


@pytest.mark.parametrize("embed", [False, True])
def test_sizes_and_checksums_are_true(job: MakeJob, tmp_path: Path, embed: bool) -> None:
    """Of every file that is described."""
    export.write("croissant", job(embed=embed))
    files = [one for one in facts(tmp_path)["distribution"] if "contentUrl" in one]
    assert len(files) == (2 if embed else 3)
    for one in files:
        data = (tmp_path / "out" / one["contentUrl"]).read_bytes()
        assert (one["sha256"], one["contentSize"]) == (hashlib.sha256(data).hexdigest(), f"{len(data)} B")


def test_the_catalogs_facts_are_told(job: MakeJob, root: Path, tmp_path: Path, mlc: ModuleType) -> None:
    """License pages, citations, notes and overlaps by dataset; what the rows hold is counted."""
    catalog = open_catalog()
    entries = {name: catalog[name] for name in ("ham10000", "pad-ufes-20")}
    made = [
        row(root, 0, "ham10000") | {"license": "CC-BY-NC-4.0", "confirmation": "histopathology"},
        row(root, 1, "pad-ufes-20") | {"license": "CC-BY-4.0", "patient_id": None},
    ]
    roots = dict.fromkeys(entries, root)
    export.write(
        "croissant", job(table=table(made), roots=roots, entries=entries, embed=True, size=6, strip=True)
    )
    found = mlc.Dataset(str(tmp_path / "out" / "croissant.json")).metadata
    assert found.license == [entries["pad-ufes-20"].license.url, entries["ham10000"].license.url]
    assert all(entry.citation.bibtex.strip() in found.cite_as for entry in entries.values())
    told = [*found.data_biases, *found.data_limitations]
    assert all(f"{name}: {note}" in told for name, entry in entries.items() for note in entry.notes)
    assert "confirmation: histopathology 1, not stated 1" in found.data_annotation_protocol
    assert [text.partition(":")[0] for text in found.personal_sensitive_information] == [
        "patient_id", "age", "sex", "fitzpatrick", "fitzpatrick_range",
    ]  # fmt: skip
    assert "at most 6 pixels" in found.data_preprocessing_protocol[0]


def test_private_rows_without_an_entry(job: MakeJob, root: Path, tmp_path: Path, mlc: ModuleType) -> None:
    """Nothing is made up."""
    export.write("croissant", job(table=table([row(root, 0) | {"license": None}])))
    assert not {"license", "citeAs", "url", "version"} & set(facts(tmp_path))
    assert mlc.Dataset(str(tmp_path / "out" / "croissant.json")).metadata.name == "demo"


# ------------------------------------------------------------------ the bad day


def test_an_image_that_is_not_as_it_was_is_not_passed_on(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """And no description is left of a folder that is not whole."""
    (root / "images" / "IMG_0003.jpg").write_bytes(b"cut")
    with pytest.raises(SizeMismatch):
        export.write("croissant", job(embed=True))
    assert not (tmp_path / "out" / "croissant.json").exists()


def test_missing_images_are_told(job: MakeJob) -> None:
    """Embedded, their rows are left out; else their path is null."""
    assert export.write("croissant", job("a", embed=True)).left_out == {"rows left out: no image file": 2}
    assert export.write("croissant", job("b")).left_out == {"rows without an image file": 2}


@pytest.mark.parametrize("choices", [{"size": 6}, {"strip": True}, {"copy": True}])
def test_choices_that_mean_nothing(job: MakeJob, tmp_path: Path, choices: dict[str, object]) -> None:
    """Are refused, and nothing is written."""
    with pytest.raises(UsageError):
        export.write("croissant", job(**choices))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x.json", "x.parquet"])
def test_a_file_is_no_folder(job: MakeJob, name: str) -> None:
    """It writes several."""
    with pytest.raises(UsageError, match="writes a folder"):
        export.write("croissant", job(name))


def test_the_same_bytes_again(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Whatever the number of workers; a second run keeps all, a changed row makes its file and the description anew."""
    made = [row(root, number) for number in range(6)]
    for out, jobs in (("one", 1), ("four", 4)):
        export.write("croissant", job(out, table=table(made), embed=True, jobs=jobs))
    assert contents(tmp_path / "one") == contents(tmp_path / "four")
    plan = export.plan("croissant", job("one", table=table(made), embed=True))
    assert [part.there for part in plan] == [True, True, True]
    made[2]["age"] = 7.0  # the one split `test` has two rows
    assert export.write("croissant", job("one", table=table(made), embed=True)).kept == 1


def test_a_description_lost_is_made_again(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """With the files kept."""
    made = job(table=table([row(root, 0)]), embed=True)
    export.write("croissant", made)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "croissant.json").unlink()
    assert export.write("croissant", replace(made, jobs=1)).kept == 1
    assert contents(tmp_path / "out") == before
