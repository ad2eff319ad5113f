"""Parquet: what goes in comes out, in every reader, however the day goes."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import export
from dermdata.errors import BadTable, SizeMismatch, StorageError, UnknownName, UsageError
from dermdata.export import shards
from export.conftest import MakeJob
from export.samples import jpeg, manifest, table

# ------------------------------------------------------------------ the bad day


def test_a_row_without_image_stays_with_null_and_is_counted(job: MakeJob) -> None:
    """A file that is gone and a path that never was: rows stay, their image is null."""
    written = export.write("parquet", job(embed=True))
    images = pq.read_table(written.files[0])["image"].to_pylist()
    assert written.rows == 12
    assert written.left_out == {"rows without an image file": 2}
    assert [image is None for image in images] == [False] * 10 + [True, True]


def test_paths_of_missing_files_are_null(job: MakeJob, root: Path) -> None:
    """Without embedding, `path` is absolute, or null where no file is."""
    written = export.write("parquet", job())
    paths = pq.read_table(written.files[0])["path"].to_pylist()
    assert paths[0] == str(root / "images" / "IMG_0000.jpg")
    assert paths[10:] == [None, None]


def test_out_that_is_a_file_is_refused(job: MakeJob, tmp_path: Path) -> None:
    """A folder is needed where OUT does not end in .parquet."""
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is a file, a folder is needed"):
        export.write("parquet", job())
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("embed", [False, True])
def test_a_full_disk_leaves_no_half_file(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embed: bool
) -> None:
    """ENOSPC while syncing: a StorageError that says so, and nothing under a final or temporary name."""

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no room for"):
        export.write("parquet", job(embed=embed))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("form", "embed"), [("parquet", True), ("parquet", False), ("csv", False), ("jsonl", False)]
)
def test_a_disk_that_fills_up_in_the_middle(job: MakeJob, tmp_path: Path, form: str, embed: bool) -> None:
    """The operating system itself cuts the file off after some bytes."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(StorageError, match="no room for"):
            export.write(form, job(embed=embed))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "out").iterdir()) == []


def test_being_killed_in_the_middle_keeps_whole_shards_only(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of several shards is interrupted; the same command goes on after the first."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    whole = export.write("parquet", job("whole", embed=True))
    calls = iter([None, None, KeyboardInterrupt])
    real = pq.ParquetWriter.write_table

    def interrupted(self: pq.ParquetWriter, *args: object, **more: object) -> None:
        if error := next(calls, None):
            raise error
        real(self, *args, **more)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.write("parquet", job(embed=True))
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [
        path.name for path in whole.files[:2]
    ]
    monkeypatch.setattr(pq.ParquetWriter, "write_table", real)
    again = export.write("parquet", job(embed=True))
    assert again.kept == 2
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in whole.files]


def test_a_changed_image_is_not_passed_on(job: MakeJob, root: Path) -> None:
    """The manifest says how many bytes an image has; another size stops the export."""
    (root / "images" / "IMG_0003.jpg").write_bytes(b"cut")
    with pytest.raises(SizeMismatch, match=r"IMG_0003\.jpg has 3 bytes"):
        export.write("parquet", job(embed=True))


def test_a_path_out_of_the_folder_is_refused(job: MakeJob) -> None:
    """A manifest from elsewhere cannot name files above its dataset's folder."""
    evil = table([{"dataset": "demo", "image_id": "a", "key": "demo/a", "path": "../../secret"}])
    with pytest.raises(BadTable, match="leads out of"):
        export.write("parquet", job(embed=True, table=evil))


def test_a_dataset_name_cannot_choose_the_folder(job: MakeJob, tmp_path: Path) -> None:
    """The file is named after the dataset, made harmless."""
    evil = table([{"dataset": "../../up", "image_id": "a", "key": "x"}])
    (path,) = export.write("parquet", job(table=evil)).files
    assert path == tmp_path / "out" / "_.._up-00000-of-00001.parquet"


def test_strange_tables_are_not_mixed_with_ours(job: MakeJob, tmp_path: Path) -> None:
    """A folder with somebody's Parquet files is refused, and they are left as they are."""
    (tmp_path / "out").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "out" / "results.parquet")
    with pytest.raises(UsageError, match=r"results\.parquet"):
        export.write("parquet", job())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.parquet"]


def test_shards_of_another_count_are_swept(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that now has fewer shards leaves none of the old ones; other datasets and notes stay."""
    other = manifest(tmp_path / "other", "other")
    export.write("parquet", job(table=other, roots={"other": tmp_path / "other"}))
    (tmp_path / "out" / "README.md").write_text("mine")
    monkeypatch.setattr(shards, "SHARD_ROWS", 5)
    assert len(export.write("parquet", job()).files) == 3
    monkeypatch.undo()
    export.write("parquet", job())
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["README.md", "demo-00000-of-00001.parquet", "other-00000-of-00001.parquet"]


def test_no_rows_is_one_empty_shard(job: MakeJob, rows: pa.Table) -> None:
    """Zero rows still give a file with the schema, with and without images."""
    for embed in (False, True):
        (path,) = export.write("parquet", job(f"out{embed}", table=rows.slice(0, 0), embed=embed)).files
        assert pq.read_table(path).num_rows == 0
        assert pq.read_schema(path).names[:2] == ["dataset", "image_id"]


# ------------------------------------------------------------------ what is written


def test_embedded_bytes_are_the_files_bytes(job: MakeJob) -> None:
    """Images are embedded as they are, and no path of this machine is in the file."""
    (path,) = export.write("parquet", job(embed=True)).files
    read = pq.read_table(path)
    assert [one and one["bytes"] for one in read["image"].to_pylist()[:10]] == [
        jpeg(number) for number in range(10)
    ]
    assert read["image"][0]["path"].as_py() == "IMG_0000.jpg"
    assert read["path"][0].as_py() == "images/IMG_0000.jpg"
    assert os.fsencode(path.parents[1]) not in path.read_bytes()


def test_image_bytes_are_stored_plain_and_the_rest_compressed(job: MakeJob) -> None:
    """JPEGs do not get smaller: zstd is for the table only."""
    (path,) = export.write("parquet", job(embed=True)).files
    group = pq.read_metadata(path).row_group(0)
    codecs = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert codecs["image.bytes"] == "UNCOMPRESSED"
    assert codecs["extra.list.element.key"] == codecs["label_raw"] == "ZSTD"


@pytest.mark.parametrize("embed", [False, True])
def test_a_second_run_is_the_same_bytes(job: MakeJob, embed: bool) -> None:
    """Same job, same bytes, on any number of threads; in the same place nothing is written again."""
    (one,) = export.write("parquet", job("one", embed=embed, jobs=1)).files
    (two,) = export.write("parquet", job("two", embed=embed, jobs=4)).files
    assert one.read_bytes() == two.read_bytes()
    before = one.stat().st_mtime_ns
    assert export.write("parquet", job("one", embed=embed)).kept == 1
    assert one.stat().st_mtime_ns == before


def test_a_changed_table_is_written_again(job: MakeJob, rows: pa.Table) -> None:
    """A shard is only kept for the very same rows."""
    export.write("parquet", job())
    changed = rows.set_column(rows.column_names.index("label_raw"), "label_raw", pa.array(["x"] * 12))
    written = export.write("parquet", job(table=changed))
    assert written.kept == 0
    assert set(pq.read_table(written.files[0])["label_raw"].to_pylist()) == {"x"}


def test_shards_have_one_schema_and_all_rows(
    job: MakeJob, rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows keep their order over the shards; schema and metadata are equal in all."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    monkeypatch.setattr(shards, "GROUP_BYTES", 1000)
    files = export.write("parquet", job(embed=True)).files
    schemas = [pq.read_schema(path) for path in files]
    assert len(files) > 2
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    ids = [key for path in files for key in pq.read_table(path)["key"].to_pylist()]
    assert ids == rows["key"].to_pylist()


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [([], [(0, 0)]), ([5], [(0, 1)]), ([99, 1, 1], [(0, 1), (1, 3)]), ([4, 6, 1], [(0, 2), (2, 3)]),
     ([0] * 7, [(0, 3), (3, 6), (6, 7)])],
)  # fmt: skip
def test_cut(sizes: list[int], runs: list[tuple[int, int]]) -> None:
    """At most 10 bytes and 3 rows a run; one row that is too large has a run of its own."""
    assert shards.cut_runs(sizes, 10, 3) == runs


def test_a_file_name_is_one_file(job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OUT that ends in .parquet is that file, however many shards it could be."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 5)
    assert export.write("parquet", job("one.parquet")).files == (tmp_path / "one.parquet",)


def test_a_split_has_its_own_file(job: MakeJob) -> None:
    """The part's name is in the file's name, where `datasets` finds it."""
    written = export.write("parquet", job(split="test"))
    assert written.files[0].name == "demo-test-00000-of-00001.parquet"
    assert set(pq.read_table(written.files[0])["split"].to_pylist()) == {"test"}
    with pytest.raises(UnknownName, match="unknown split 'tset'") as caught:
        export.write("parquet", job(split="tset"))
    assert caught.value.near == ["test"]


def test_the_plan_says_what_write_does(job: MakeJob, tmp_path: Path) -> None:
    """Files, rows and bytes are known before, and what is there already; planning writes nothing."""
    (part,) = export.plan("parquet", job(embed=True))
    assert not (tmp_path / "out").exists()
    assert (part.rows, part.bytes, part.there) == (12, sum(len(jpeg(number)) for number in range(10)), False)
    assert export.write("parquet", job(embed=True)).files == (part.path,)
    assert export.plan("parquet", job(embed=True))[0].there


def test_provenance_and_column_descriptions_are_carried(job: MakeJob) -> None:
    """The manifest's metadata and the meaning of each column are in the file."""
    (path,) = export.write("parquet", job()).files
    schema = pq.read_schema(path)
    assert schema.metadata[b"dermdata.dataset"] == b"demo"
    assert schema.field("age").metadata[b"description"] == b"years"
