"""webdataset: what its library, tarfile and tar see."""

import json
import subprocess
import tarfile
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dermdata import export
from dermdata.errors import UsageError
from dermdata.export import shards
from dermdata.export.webdataset import tar_header
from export.conftest import MakeJob
from export.pictures import camera_png, opened
from export.samples import jpeg, row, table


def samples(*paths: Path) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        import webdataset

        return list(
            webdataset.WebDataset([str(path) for path in paths], shardshuffle=False, empty_check=False)
        )


def tars(out: Path) -> list[Path]:
    return sorted(out.glob("*.tar"))


@pytest.mark.parametrize("word", ["a.b", "v1.2.jpg", "..", "__x__", "a/b", "ünï’s", "x" * 150, " ", "con"])
def test_any_image_id_is_a_key_of_its_own(job: MakeJob, root: Path, tmp_path: Path, word: str) -> None:
    """Loaders cut a name at its first dot and pass over __names__: each sample comes out whole all the same."""
    rows = [row(root, 0) | {"image_id": word}, row(root, 1), row(root, 2) | {"image_id": "a_b"}]
    export.write("webdataset", job(table=table([one | {"split": None, "fold": None} for one in rows])))
    found = samples(*tars(tmp_path / "out"))
    assert len({one["__key__"] for one in found}) == 3
    assert sorted(one["jpg"] for one in found) == sorted(jpeg(number) for number in range(3))
    assert word in {json.loads(one["json"])["image_id"] for one in found}


def test_the_same_row_twice_is_two_samples(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Rows in are samples out."""
    export.write("webdataset", job(table=table([row(root, 0), row(root, 0)])))
    assert [one["__key__"] for one in samples(*tars(tmp_path / "out"))] == [
        "demo/IMG_0000",
        "demo/IMG_0000-2",
    ]


@pytest.mark.slow
def test_its_library_opens_it(job: MakeJob, tmp_path: Path, rows: pa.Table) -> None:
    """Image bytes, class number and row; the key is the manifest's."""
    export.write("webdataset", job())
    found = samples(*tars(tmp_path / "out"))
    assert len(found) == 10
    by_key = {one["__key__"]: one for one in found}
    names = (tmp_path / "out" / "classes.txt").read_text().splitlines()
    for given in rows.slice(0, 10).to_pylist():
        sample = by_key[given["key"]]
        told = json.loads(sample["json"])
        assert sample["jpg"] == jpeg(int(given["image_id"][-4:]))
        assert names[int(sample["cls"])] == given["diagnosis"]
        assert (told["age"], told.get("sex"), told["extra"]) == (
            given["age"],
            given["sex"],
            dict(given["extra"]),
        )
        assert None not in told.values()


def test_a_row_without_class_has_no_cls(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Not a number that a training would take for a class."""
    export.write("webdataset", job(table=table([row(root, 0), row(root, 1) | {"diagnosis": None}])))
    assert ["cls" in one for one in samples(*tars(tmp_path / "out"))] == [True, False]


def test_masks_are_in_the_sample_at_the_images_size(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Scaled as the image is, by nearest neighbor."""
    given = row(root, 0)
    (root / "images" / "m.png").write_bytes(camera_png())
    export.write("webdataset", job(table=table([given | {"mask_path": "images/m.png"}]), size=16))
    (found,) = samples(*tars(tmp_path / "out"))
    assert opened(found["mask.png"]).size == (16, 10)


def test_tar_and_tarfile_read_it(job: MakeJob, tmp_path: Path) -> None:
    """Plain files without time and owner."""
    export.write("webdataset", job())
    for path in tars(tmp_path / "out"):
        with tarfile.open(path, "r:") as file:
            members = file.getmembers()
        assert [member.name for member in members] == sorted(member.name for member in members)
        assert {(one.mtime, one.uid, one.gid, one.uname, one.mode, one.type) for one in members} == {
            (0, 0, 0, "", 0o644, tarfile.REGTYPE)
        }
        subprocess.run(["tar", "-tf", path], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("path", "size"), [("a", 0), ("a" * 100, 1), ("b" * 90 + "/" + "c" * 100, 8**11 - 1), ("ü/x.jpg", 7)]
)
def test_headers_are_those_of_tarfile(path: str, size: int) -> None:
    """Byte by byte as Python's own writer in the ustar format."""
    info = tarfile.TarInfo(path)
    info.size = size
    assert tar_header(path, size) == info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


@pytest.mark.parametrize(("path", "size"), [("a" * 101, 0), ("a" * 200 + "/b", 0), ("a", 8**11)])
def test_what_ustar_cannot_hold_is_refused(path: str, size: int) -> None:
    """Rather than cut."""
    with pytest.raises(UsageError, match="too l"):
        tar_header(path, size)


def test_row_order_does_not_matter(job: MakeJob, tmp_path: Path, rows: pa.Table) -> None:
    """Samples are sorted by key."""
    export.write("webdataset", job("one"))
    export.write("webdataset", job("two", table=rows.take(list(reversed(range(12))))))
    assert [path.read_bytes() for path in tars(tmp_path / "one")] == [
        path.read_bytes() for path in tars(tmp_path / "two")
    ]


def test_shards_hold_all_samples_once(job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut by size, named by number and split."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    monkeypatch.setattr(shards, "GROUP_BYTES", 700)
    export.write("webdataset", job())
    assert [path.name for path in tars(tmp_path / "out")] == [
        "demo-test-00000-of-00001.tar", "demo-train-00000-of-00003.tar", "demo-train-00001-of-00003.tar",
        "demo-train-00002-of-00003.tar",
    ]  # fmt: skip
    keys = [one["__key__"] for one in samples(*tars(tmp_path / "out"))]
    assert sorted(keys) == [f"demo/IMG_{number:04}" for number in range(10)]


def test_a_file_name_is_refused(job: MakeJob) -> None:
    """There are several shards."""
    with pytest.raises(UsageError, match="several shards"):
        export.write("webdataset", job("x.tar"))
