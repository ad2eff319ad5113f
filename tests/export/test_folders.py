"""What all formats that fill a folder promise: whole files, the same bytes again, no mixing, no stranger touched."""

import errno
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import disk, export
from dermdata.errors import BadTable, SizeMismatch, StorageError, UsageError
from dermdata.export import LINKING_FORMATS, shards, webdataset
from dermdata.export.record import RECORD
from export.conftest import MakeJob
from export.folder_contents import FORMATS, contents, every_format, exported
from export.samples import manifest, table

# ------------------------------------------------------------------ the bad day


@every_format
def test_a_folder_with_other_things_is_refused(job: MakeJob, tmp_path: Path, form: str) -> None:
    """Nothing of a stranger's is overwritten, mixed in or deleted."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for act in (export.plan, export.write):
        with pytest.raises(UsageError, match=r"did not export \(thesis\.txt\)"):
            act(form, job())
    assert contents(tmp_path / "out") == {"thesis.txt": b"mine"}


@every_format
def test_a_file_that_stands_in_the_way_is_refused(job: MakeJob, tmp_path: Path, form: str) -> None:
    """A file of the person's own, put later where a further split's file would go."""
    export.write(form, job(split="train"))
    before = contents(tmp_path / "out")
    wanted = next(name for name in map(str, contents_of(form, job, tmp_path)) if name not in before)
    (tmp_path / "out" / wanted).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "out" / wanted).write_text("mine")
    with pytest.raises(UsageError, match="did not export"):
        export.write(form, job())
    assert contents(tmp_path / "out") == before | {wanted: b"mine"}


def contents_of(form: str, job: MakeJob, tmp_path: Path) -> list[str]:
    export.write(form, job("whole"))
    names = list(contents(tmp_path / "whole"))
    # first what the whole has in common with no part
    return sorted(names, key=lambda name: ("test" not in name, name))


@every_format
def test_another_format_is_not_mixed_in(job: MakeJob, form: str) -> None:
    """OUT holds one export."""
    export.write(form, job())
    other = FORMATS[FORMATS.index(form) - 1]
    with pytest.raises(UsageError, match=f"holds an export as {form}"):
        export.write(other, job())


@every_format
@pytest.mark.parametrize(
    "record",
    ["", "[]", '{"format": "F", "files": [["../x", "", ""]]}', '{"format": "F", "files": [["/x", "", ""]]}'],
)
def test_a_record_that_leads_elsewhere_or_nowhere_is_refused(
    job: MakeJob, tmp_path: Path, form: str, record: str
) -> None:
    """It decides what is deleted, so it is not believed blindly."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RECORD).write_text(record.replace("F", form))
    (tmp_path / "x").write_text("mine")
    with pytest.raises(BadTable):
        export.write(form, job())
    assert (tmp_path / "x").read_text() == "mine"


@every_format
@pytest.mark.parametrize("choices", [{}, {"copy": True}])
def test_a_changed_image_is_not_passed_on(
    job: MakeJob, root: Path, tmp_path: Path, form: str, choices: dict[str, bool]
) -> None:
    """The manifest says how many bytes an image has."""
    (root / "images" / "IMG_0003.jpg").write_bytes(b"cut")
    with pytest.raises(SizeMismatch, match=r"IMG_0003\.jpg has 3 bytes"):
        export.write(form, job(**(choices if form in LINKING_FORMATS else {})))


@every_format
def test_missing_images_are_left_out_and_listed(job: MakeJob, tmp_path: Path, form: str) -> None:
    """One whose file is gone, one that never had one."""
    written = export.write(form, job())
    assert written.rows == 10
    lines = (tmp_path / "out" / "left-out.csv").read_text().splitlines()
    assert lines[0] == "key,dataset,image_id,reason"
    assert "demo/IMG_0010,demo,IMG_0010,no image file" in lines
    assert {line.split(",")[0] for line in lines[1:]} == {"demo/IMG_0010", "demo/IMG_0011"}
    assert sum(count for words, count in written.left_out.items() if words.startswith("rows")) == 2


@every_format
def test_no_image_at_all_is_refused(job: MakeJob, root: Path, tmp_path: Path, form: str) -> None:
    """Metadata alone makes no image dataset; the hint says how to get them."""
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"none of the 1[12] rows has an image") as caught:
        export.write(form, job())
    assert "dermdata fetch" in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()


@every_format
def test_a_full_disk_leaves_no_half_file(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """ENOSPC while the second file is written: what has a name is whole, and no temporary file stays."""
    whole = export.write(form, job("whole", copy=form in LINKING_FORMATS)).files
    assert whole
    calls = iter([None, None, True] + [True] * 40)
    real = os.fsync

    def full(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode) and next(calls):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no room for"):
        export.write(form, job(copy=form in LINKING_FORMATS))
    monkeypatch.setattr(os, "fsync", real)
    there, wanted = exported(tmp_path / "out"), exported(tmp_path / "whole")
    assert there.items() <= wanted.items()
    assert export.write(form, job(copy=form in LINKING_FORMATS)).kept == len(there)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@every_format
def test_being_killed_at_any_write_keeps_whole_files_only(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Interrupted at each point where a file gets its name: the same command goes on after what is whole."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    export.write(form, job("whole", copy=form in LINKING_FORMATS))
    wanted = exported(tmp_path / "whole")
    real = Path.replace
    for stop in range(1, 4):
        calls = iter([None] * stop)

        def interrupted(self: Path, target: Path, calls: Any = calls) -> Path:
            if next(calls, "stop"):
                raise KeyboardInterrupt
            return real(self, target)

        out = f"out{stop}"
        monkeypatch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export.write(form, job(out, copy=form in LINKING_FORMATS))
        monkeypatch.setattr(Path, "replace", real)
        there = exported(tmp_path / out)
        assert there.items() <= wanted.items()
        assert export.write(form, job(out, copy=form in LINKING_FORMATS)).kept == len(there)
        assert contents(tmp_path / out) == contents(tmp_path / "whole")


@every_format
def test_what_a_killed_process_left_half_is_swept(job: MakeJob, tmp_path: Path, form: str) -> None:
    """Its temporary files, and not those of a process that runs."""
    export.write(form, job())
    dead = subprocess.Popen(["true"])
    dead.wait()
    (folder,) = {path.parent for path in (tmp_path / "out").rglob("*train*00000*")} or {
        tmp_path / "out" / "train"
    }
    mine, its = folder / f".a.{os.getpid()}.0123abcd.tmp", folder / f".a.{dead.pid}.0123abcd.tmp"
    mine.write_text("half")
    its.write_text("half")
    export.write(form, job())
    assert (mine.exists(), its.exists()) == (True, False)


# ------------------------------------------------------------------ what is written


@every_format
def test_no_path_of_this_machine_is_in_it(job: MakeJob, tmp_path: Path, form: str) -> None:
    """What is passed on tells nothing of who made it."""
    export.write(form, job())
    assert all(os.fsencode(tmp_path) not in data for data in contents(tmp_path / "out").values())


@every_format
def test_no_rows_at_all(job: MakeJob, rows: pa.Table, form: str) -> None:
    """An empty manifest is an empty export."""
    assert export.write(form, job(table=rows.slice(0, 0))).rows == 0


@every_format
def test_a_path_out_of_the_folder_is_refused(job: MakeJob, form: str) -> None:
    """A manifest from elsewhere cannot name files above its dataset's folder."""
    evil = table(
        [{"dataset": "demo", "image_id": "a", "key": "demo/a", "path": "../../secret", "diagnosis": "x"}]
    )
    with pytest.raises(BadTable, match="leads out of"):
        export.write(form, job(table=evil))


@pytest.mark.parametrize("form", ["csv", "parquet", "webdataset", "huggingface"])
def test_copy_is_for_image_folders(job: MakeJob, form: str) -> None:
    """Elsewhere there are no links."""
    with pytest.raises(UsageError, match="no links"):
        export.write(form, job(copy=True))


@pytest.mark.parametrize(
    ("form", "choice"), [("csv", {"size": 9}), ("jsonl", {"strip": True}), ("parquet", {"size": 9})]
)
def test_images_are_changed_only_where_they_are_written(
    job: MakeJob, form: str, choice: dict[str, object]
) -> None:
    """A choice that would do nothing is refused."""
    with pytest.raises(UsageError, match="image"):
        export.write(form, job(**choice))


def test_rows_of_a_block_are_all_that_is_in_memory(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most two blocks are read before the first is written."""
    monkeypatch.setattr(webdataset, "BLOCK_ROWS", 1)
    from dermdata.export import shards

    read: list[int] = []
    real = shards.load_images
    monkeypatch.setattr(shards, "load_images", lambda tasks: read.append(len(tasks)) or real(tasks))
    column = shards.ImageColumn([None] * 9, [None] * 9, job().recipe)
    steps = shards.load_blocks({"image": column}, [slice(n, n + 1) for n in range(9)], 1)
    next(steps)
    assert len(read) <= 2
    assert len(list(steps)) == 8


def test_parquet_images_are_scaled_and_clean_too(job: MakeJob, rows: pa.Table) -> None:
    """Embedded images obey --size; what cannot be decoded is null, as what is missing."""
    from io import BytesIO

    from PIL import Image

    problems = pa.array(["cannot be decoded: x"] + [None] * 11)
    broken = rows.set_column(rows.column_names.index("image_problem"), "image_problem", problems)
    (path,) = export.write("parquet", job(table=broken, embed=True, size=6)).files
    images = pq.read_table(path)["image"].to_pylist()
    assert images[0] is None
    assert all(max(Image.open(BytesIO(one["bytes"])).size) == 6 for one in images[1:10])


def test_two_datasets_share_one_export(job: MakeJob, tmp_path: Path, rows: pa.Table) -> None:
    """The same image ids in both: each row has its own place."""
    other = manifest(tmp_path / "other", "other")
    both = pa.concat_tables([rows, other], promote_options="permissive")
    roots = {**job().roots, "other": tmp_path / "other"}
    for form in FORMATS:
        assert export.write(form, job(form, table=both, roots=roots)).rows == 20
    assert sum(path.suffix == ".jpg" for path in (tmp_path / "imagefolder").rglob("*")) == 20


def test_disk_writer_is_the_only_one(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of every format gets its name by `disk.replacing`, links apart; no lock stays."""
    names: list[str] = []
    real = disk.atomic_write
    monkeypatch.setattr(disk, "atomic_write", lambda path: names.append(path.name) or real(path))
    for form in FORMATS:
        names.clear()
        out = job(form, copy=form in LINKING_FORMATS)
        export.write(form, out)
        there = [path.name for path in out.out.rglob("*") if path.is_file()]
        assert sorted(names) == sorted([*there, RECORD])  # the record twice: before the files, and after
