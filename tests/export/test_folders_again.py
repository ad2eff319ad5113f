"""Formats that fill a folder, run again: what is right is kept, what is not is made anew, nothing else stays."""

from pathlib import Path

import pyarrow as pa
import pytest

from dermdata import export
from dermdata.errors import UsageError
from dermdata.export.record import RECORD
from export.conftest import MakeJob
from export.folder_contents import contents, every_format


@every_format
@pytest.mark.parametrize("choices", [{}, {"size": 7}, {"strip": True}])
def test_a_second_run_is_the_same_bytes(
    job: MakeJob, tmp_path: Path, form: str, choices: dict[str, object]
) -> None:
    """On any number of threads; in the same place nothing is written again."""
    export.write(form, job("one", jobs=1, **choices))
    export.write(form, job("two", jobs=5, **choices))
    before = contents(tmp_path / "one")
    assert before == contents(tmp_path / "two")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*.*") if path.name[0] != "."}
    written = export.write(form, job("one", **choices))
    assert written.kept == (len(written.files) if written.count is None else written.count)
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert all(part.there for part in export.plan(form, job("one", **choices)))


@every_format
def test_what_no_longer_fits_is_swept(job: MakeJob, tmp_path: Path, rows: pa.Table, form: str) -> None:
    """Fewer rows, other choices: nothing of the earlier run stays."""
    export.write(form, job())
    export.write(form, job(table=rows.slice(0, 4), size=6))
    export.write(form, job("fresh", table=rows.slice(0, 4), size=6))
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_dir() and not any(path.iterdir())]


@every_format
def test_images_whose_bytes_nobody_knows_are_written_anew(
    job: MakeJob, rows: pa.Table, root: Path, form: str
) -> None:
    """Without a digest in the manifest a file of the same size may be another."""
    bare = rows.drop_columns(["sha256", "bytes"])
    export.write(form, job(table=bare))
    before = (root / "images" / "IMG_0000.jpg").read_bytes()
    (root / "images" / "IMG_0000.jpg").unlink()
    (root / "images" / "IMG_0000.jpg").write_bytes(before[:-3] + b"\0" + before[-2:])
    out = job().out
    export.write(form, job(table=bare))
    assert any(before[:-3] + b"\0" + before[-2:] in data for data in contents(out).values())


@pytest.mark.parametrize("form", ["imagefolder", "webdataset"])
def test_splits_one_by_one_are_the_whole(job: MakeJob, tmp_path: Path, form: str) -> None:
    """Exports of several splits may share a folder; a class has the same number in each."""
    export.write(form, job("whole"))
    for split in ("train", "test"):
        export.write(form, job(split=split))
    names = {
        name for name in contents(tmp_path / "whole") if "unsplit" not in name and "left-out" not in name
    }
    there = contents(tmp_path / "out")
    assert names - {RECORD} <= set(there)
    assert all(there[name] == contents(tmp_path / "whole")[name] for name in names - {RECORD})


def test_a_card_of_another_split_is_not_overwritten(job: MakeJob) -> None:
    """README.md names the splits that are there: parts would contradict each other."""
    export.write("huggingface", job(split="train"))
    with pytest.raises(UsageError, match=r"holds an export of demo-train whose README\.md is another"):
        export.write("huggingface", job(split="test"))


@every_format
def test_the_plan_writes_nothing(job: MakeJob, tmp_path: Path, form: str) -> None:
    """Rows and bytes are those of write."""
    parts = export.plan(form, job())
    assert not (tmp_path / "out").exists()
    assert sum(part.rows for part in parts) == export.write(form, job()).rows
