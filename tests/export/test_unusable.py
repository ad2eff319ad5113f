"""Images that cannot be used, by one rule in every format: passed on by none, told, counted, exit 8."""

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import export
from dermdata.errors import UsageError
from dermdata.export import ExportResult
from export.conftest import MakeJob
from export.samples import row, table

TRUNCATED = "truncated: image file is truncated (4 bytes not processed)"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 84977953\n"
PICTURED = (
    ("imagefolder", {}), ("imagefolder", {"copy": True}), ("imagefolder", {"size": 4}), ("webdataset", {}),
    ("huggingface", {}), ("coco", {}), ("coco", {"strip": True}), ("croissant", {"embed": True}),
)  # fmt: skip
TABLES = (("parquet", {}), ("csv", {}), ("jsonl", {}), ("croissant", {}))
Write = Callable[..., ExportResult]


@pytest.fixture
def broken(root: Path) -> pa.Table:
    """Four rows: a good one, a cut one, a pointer, one that its own source forbids."""
    rows = [row(root, number) | {"split": None, "fold": None} for number in range(4)]
    rows[1]["image_problem"] = TRUNCATED
    rows[2] |= {"image_problem": "not an image: a Git LFS pointer", "format": None}
    rows[3]["image_problem"] = "the source says: not_skin"
    return table(rows)


@pytest.fixture
def foreign(root: Path) -> pa.Table:
    """A manifest of the person's own: paths, and nothing of what is there."""
    names = ("dataset", "image_id", "key", "path", "diagnosis")
    rows = [{name: row(root, number)[name] for name in names} for number in range(3)]
    (root / str(rows[1]["path"])).write_bytes(LFS)
    (root / str(rows[2]["path"])).write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    return table(rows)


def given_images(out: Path) -> set[str]:
    """The image ids of all images that an export passes on, in whatever format."""
    found = {path.stem for path in out.rglob("*.[jp][pn]g")}
    for path in out.rglob("*.tar"):
        with tarfile.open(path) as tar:
            found |= {Path(name).stem for name in tar.getnames() if name.endswith((".jpg", ".png"))}
    for path in out.rglob("*.parquet"):
        held = pq.read_table(path)
        if "image" in held.column_names:
            found |= {one["image_id"] for one in held.to_pylist() if one["image"] is not None}
    return found


def left_out(out: Path) -> dict[str, str]:
    """`left-out.csv`: the reason for each image."""
    text = (out / "left-out.csv").read_text(encoding="utf-8")
    return {one["image_id"]: one["reason"] for one in csv.DictReader(io.StringIO(text))}


@pytest.mark.parametrize(("form", "options"), PICTURED)
def test_no_export_of_images_passes_on_what_does_not_decode(
    job: MakeJob, broken: pa.Table, form: str, options: dict[str, Any]
) -> None:
    """Training would stop at it, in the middle of the night; each is listed with its reason."""
    result = export.write(form, job(table=broken, **options))
    assert given_images(job().out) == {"IMG_0000"}
    assert left_out(job().out) == {
        "IMG_0001": TRUNCATED, "IMG_0002": "not an image: a Git LFS pointer", "IMG_0003": "the source says: not_skin"
    }  # fmt: skip
    assert (result.rows, result.unusable) == (1, 3)
    assert result.left_out["rows left out: truncated"] == 1


def test_a_table_with_images_inside_has_null_in_their_place(job: MakeJob, broken: pa.Table) -> None:
    """Its rows stay, since the table is the manifest."""
    result = export.write("parquet", job(table=broken, embed=True))
    assert given_images(job().out) == {"IMG_0000"}
    assert (result.rows, result.unusable) == (4, 3)
    assert result.left_out["rows without their image: truncated"] == 1


@pytest.mark.parametrize(("form", "options"), TABLES)
def test_a_table_of_paths_tells_it_and_lacks_nothing(
    job: MakeJob, broken: pa.Table, form: str, options: dict[str, Any]
) -> None:
    """No image is passed on; the column image_problem stands beside each path."""
    result = export.write(form, job(table=broken, **options))
    assert (result.rows, result.unusable) == (4, 0)
    assert result.left_out["rows whose image cannot be used (column image_problem says why)"] == 3


@pytest.mark.parametrize(("form", "options"), PICTURED)
def test_pointers_and_pages_are_never_images(
    job: MakeJob, foreign: pa.Table, form: str, options: dict[str, Any]
) -> None:
    """Also where no fetch looked at the files before."""
    result = export.write(form, job(table=foreign, **options))
    assert given_images(job().out) == {"IMG_0000"}
    assert left_out(job().out)["IMG_0002"] == "not an image: a web page"
    assert left_out(job().out)["IMG_0001"].startswith("not an image: a Git LFS pointer")
    assert result.unusable == 2


@pytest.mark.parametrize("form", ["imagefolder", "webdataset", "huggingface", "coco"])
def test_where_no_image_can_be_used_nothing_is_written(job: MakeJob, broken: pa.Table, form: str) -> None:
    """An empty export would only look like success."""
    with pytest.raises(UsageError, match="none of the 3 rows has an image that can be used"):
        export.write(form, job(table=broken.slice(1)))
    assert not job().out.exists()


@pytest.mark.parametrize("form", ["imagefolder", "coco"])
def test_what_was_asked_to_be_left_out_is_no_failure(job: MakeJob, broken: pa.Table, form: str) -> None:
    """A label space without a class for the row; without one, a row that has no diagnosis cannot be used."""
    (one,) = broken.slice(0, 1).to_pylist()
    good = [one, one | {"image_id": "x", "key": "demo/x", "diagnosis": None}]
    plain = table(good)
    assert export.write(form, job("plain", table=plain)).unusable == 1
    asked = plain.append_column("label", pa.array(["mel", None])).append_column(
        "label_reason", pa.array([None, "no class in mel"])
    )
    result = export.write(form, job("asked", table=asked))
    assert (result.unusable, result.left_out["rows left out: no class in mel"]) == (0, 1)


@pytest.mark.parametrize("form", ["webdataset", "huggingface", "coco", "parquet"])
def test_images_that_may_be_missing_are_no_failure_and_broken_ones_are(
    job: MakeJob, broken: pa.Table, root: Path, form: str
) -> None:
    (root / str(broken["path"][0].as_py())).unlink()
    rows = pa.concat_tables([broken.slice(0, 2), table([row(root, 7) | {"split": None, "fold": None}])])
    options = {"embed": True} if form == "parquet" else {}
    assert export.write(form, job("no", table=rows, **options)).unusable == 2
    assert export.write(form, job("yes", table=rows, allow_missing=True, **options)).unusable == 1


def test_many_broken_images_are_one_line(job: MakeJob, root: Path) -> None:
    """Each is cut at another byte."""
    rows = [row(root, number) for number in range(9)]
    for number in range(1, 9):
        rows[number]["image_problem"] = f"truncated: image file is truncated ({number} bytes not processed)"
    told = export.write("webdataset", job(table=table(rows))).left_out
    assert told == {"rows left out: truncated": 8}


# ------------------------------------------------------------------ sizes, and what the tar says


@pytest.mark.parametrize(("form", "options"), [*PICTURED, ("parquet", {"embed": True}), *TABLES])
def test_the_size_that_is_told_is_that_of_the_files(
    job: MakeJob, root: Path, form: str, options: dict[str, Any]
) -> None:
    """Not of the images as stored: a tar rounds up, --size makes less of them."""
    result = export.write(form, job(table=table([row(root, number) for number in range(5)]), **options))
    files = [
        path for path in job().out.rglob("*") if path.is_file() and not path.name.startswith(".dermdata")
    ]
    files = files or [job().out]
    told = {path.stat().st_size for path in files}
    beside = sum(path.stat().st_size for path in files if path.name.endswith(".about.json"))
    assert result.bytes == sum(path.stat().st_size for path in files) - beside, told


def test_each_shard_is_told_with_its_own_size(job: MakeJob, root: Path) -> None:
    said: dict[str, str] = {}

    class Told:
        def begin(self, task: str, total: int | None, unit: str = "B") -> None: ...
        def advance(self, task: str, amount: int) -> None: ...
        def say(self, text: str) -> None: ...
        def end(self, task: str, note: str = "") -> None:
            said[task] = note

    rows = table([row(root, number) | {"split": None} for number in range(5)])
    (shard, *_) = export.write("webdataset", job(table=rows, progress=Told())).files
    assert said == {"demo-00000-of-00001.tar": f"{Path(str(shard)).stat().st_size / 1000:.1f} kB"}


def test_the_json_in_a_tar_has_no_path_of_the_cache(job: MakeJob, root: Path) -> None:
    """A cluster that gets the tar has no cache."""
    rows = [row(root, 0) | {"mask_path": "images/IMG_0000.jpg", "masks": [("net", "images/IMG_0000.jpg")]}]
    (shard, *_) = export.write("webdataset", job(table=table(rows))).files
    with tarfile.open(str(shard)) as tar:
        (name,) = [one for one in tar.getnames() if one.endswith(".json")]
        held = json.load(tar.extractfile(name))  # type: ignore[arg-type]
    assert not {"path", "mask_path", "masks"} & set(held)
    assert held["key"] == "demo/IMG_0000"
