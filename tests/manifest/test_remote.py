"""Parquet manifests in a store: only what is needed is fetched, and nothing half-read or mixed is trusted."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.errors import BadTable, CannotConnect, DermdataError, SizeMismatch, StorageError
from dermdata.manifest.parquet import open_object, read_manifest, read_remote_manifest
from export.samples import manifest

URL = "memory://bucket/remote.parquet"


@pytest.fixture
def files() -> Iterator[Any]:
    """The object store in memory."""
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    rows = manifest(tmp_path)
    return rows.append_column("image", pa.array([bytes(200_000)] * rows.num_rows))


def parquet(table: pa.Table, **given: Any) -> bytes:
    held = io.BytesIO()
    pq.write_table(table, held, row_group_size=5, compression="none", use_dictionary=["sex"], **given)
    return held.getvalue()


@pytest.fixture
def asked(files: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each request asked for."""
    sizes: list[int] = []
    real = type(files).cat_ranges

    def counted(self: Any, paths: list[str], starts: list[int], ends: list[int], **given: Any) -> Any:
        sizes.extend(end - start for start, end in zip(starts, ends, strict=True))
        return real(self, paths, starts, ends, **given)

    monkeypatch.setattr(type(files), "cat_ranges", counted)
    return sizes


@pytest.mark.parametrize("columns", [None, ["sex", "age", "differential", "concepts", "none"], ["image"], []])
def test_the_same_rows_as_of_a_file(
    files: Any, table: pa.Table, tmp_path: Path, columns: list[str] | None
) -> None:
    here = tmp_path / "m.parquet"
    here.write_bytes(parquet(table))
    files.pipe_file(URL, here.read_bytes())
    for without in (None, "image"):
        assert read_remote_manifest(URL, columns, without).equals(
            read_manifest(here, columns, without), check_metadata=True
        )


def test_images_that_are_not_asked_for_are_not_fetched(files: Any, table: pa.Table, asked: list[int]) -> None:
    files.pipe_file(URL, parquet(table))
    read_remote_manifest(URL, without="image")
    assert sum(asked) < 200_000
    asked.clear()
    read_remote_manifest(URL, ["image"])
    assert sum(asked) > 12 * 200_000


def test_a_request_for_each_row_group_at_most(files: Any, table: pa.Table, asked: list[int]) -> None:
    """60 columns side by side are one stretch; the footer is one more."""
    files.pipe_file(URL, parquet(table))
    read_remote_manifest(URL, without="image")
    assert len(asked) <= 2 + 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Parquet file size is 0 bytes"),
        (b"PAR1", "is not a Parquet manifest"),
        (b"<html>" * 1000, "is not a Parquet manifest"),
        (None, "no manifest at"),
    ],
)
def test_what_is_no_manifest_is_named(files: Any, data: bytes | None, said: str) -> None:
    if data is not None:
        files.pipe_file(URL, data)
    with pytest.raises(BadTable, match=said) as raised:
        read_remote_manifest(URL)
    assert URL in raised.value.message


def test_broken_statistics_are_told_and_end_no_process(files: Any) -> None:
    """To ask pyarrow's metadata for such a column aborts; here, where the manifest itself is looked at for the columns."""
    whole = io.BytesIO()
    pq.write_table(pa.table({"image_id": ["a", "b"], "age": [1, 2]}), whole)
    data = whole.getvalue()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    # of the first column: OPTIONAL, which becomes REQUIRED
    optional = data.index(b"\x25\x02\x18", footer) + 1
    files.pipe_file(URL, data[:optional] + b"\0" + data[optional + 1 :])
    with pytest.raises(BadTable, match=r"is not a Parquet manifest: .*histogram"):
        read_remote_manifest(URL)


def test_a_cut_object_is_no_manifest(files: Any, table: pa.Table) -> None:
    files.pipe_file(URL, parquet(table)[:-1000])
    with pytest.raises(BadTable, match="is not a Parquet manifest"):
        read_remote_manifest(URL)


def test_a_newer_schema_is_refused(files: Any, table: pa.Table) -> None:
    files.pipe_file(URL, parquet(table.replace_schema_metadata({"dermdata.schema": "99"})))
    with pytest.raises(BadTable, match=f"{URL} has manifest schema 99"):
        read_remote_manifest(URL)


def fail_on_second(
    files: Any, monkeypatch: pytest.MonkeyPatch, change: Callable[[], list[bytes] | None]
) -> None:
    """The footer comes, then `change` happens before the columns; what it returns comes in their place."""
    real, calls = type(files).cat_ranges, []

    def broken(self: Any, paths: list[str], *given: Any, **more: Any) -> Any:
        calls.append(paths)
        other = change() if len(calls) == 2 else None
        return real(self, paths, *given, **more) if other is None else other[: len(paths)]

    monkeypatch.setattr(type(files), "cat_ranges", broken)


def test_an_object_replaced_while_it_is_read(
    files: Any, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one of the same size, so that all ranges are there."""
    files.pipe_file(URL, parquet(table))
    fail_on_second(files, monkeypatch, lambda: files.pipe_file(URL, parquet(table)))
    with pytest.raises(StorageError, match="was replaced while it was read"):
        read_remote_manifest(URL, without="image")


def test_an_object_replaced_by_a_smaller_one(
    files: Any, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.pipe_file(URL, parquet(table))
    fail_on_second(files, monkeypatch, lambda: files.pipe_file(URL, b"short"))
    with pytest.raises(DermdataError, match=r"bytes came from byte|was replaced"):
        read_remote_manifest(URL, without="image")


def test_a_short_answer_is_not_trusted(files: Any, table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    files.pipe_file(URL, parquet(table))
    fail_on_second(files, monkeypatch, lambda: [b"half", b"half", b"half"])
    with pytest.raises(SizeMismatch, match=r"4 of [\d,]+ bytes came"):
        read_remote_manifest(URL, without="image")


def test_a_connection_lost_between_footer_and_columns_is_no_bad_table(
    files: Any, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise ConnectionResetError("reset by peer")

    files.pipe_file(URL, parquet(table))
    fail_on_second(files, monkeypatch, lost)
    with pytest.raises(CannotConnect, match="reset by peer"):
        read_remote_manifest(URL, without="image")


def test_a_connection_lost_within_arrows_own_read(
    files: Any, table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise ConnectionResetError("reset by peer")

    files.pipe_file(URL, parquet(table))
    monkeypatch.setattr(type(files), "cat_ranges", lost)
    with pytest.raises(CannotConnect, match="reset by peer"):
        read_remote_manifest(URL)


def test_reading_as_of_a_file(files: Any) -> None:
    """In any order, over the end, from pieces and beside them."""
    data = bytes(range(256)) * 1000
    files.pipe_file(URL, data)
    with open_object(URL) as source:
        source.prefetch([(1000, 2000), (2000, 3000), (200_000, 200_010)])
        for start, size in ((0, 10), (1500, 1500), (1500, 1501), (200_000, 10), (255_990, 100), (300_000, 5)):
            source.seek(start)
            assert source.read(size) == data[start : start + size]
        assert source.seek(-3, io.SEEK_END) == len(data) - 3
        assert source.read() == data[-3:]
        assert source.tell() == len(data)
        assert source.read(1) == b""
        source.prefetch([])
