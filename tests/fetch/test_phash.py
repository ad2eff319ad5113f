"""Perceptual hashes come with `fetch`: from its one decode, kept, and filled in where an older version left them out."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import checksum
from dermdata.audit.inspection import InspectionCache
from dermdata.images import inspect_image
from dermdata.progress import SilentProgress


def column(folder: Path, name: str) -> list[object]:
    return pq.ParquetFile(folder / "manifest.parquet").read([name])[name].to_pylist()


def as_an_older_version_left_it(folder: Path) -> None:
    """The contents without the column, and a manifest that has no hashes."""
    (path,) = folder.glob("contents-*.tsv")
    with path.open(newline="") as file:
        names, *rows = csv.reader(file, "excel-tab")
    place = names.index("phash")
    path.unlink()
    lines = ["\t".join([*row[:place], *row[place + 1 :]]) for row in (names, *rows)]
    data = ("\n".join(lines) + "\n").encode()
    digest = checksum.sha256_of_chunks([data])
    (folder / f"contents-{digest[:16]}.tsv").write_bytes(data)
    receipt = json.loads((folder / "receipt.json").read_text())
    manifest = folder / "manifest.parquet"
    table = pq.ParquetFile(manifest).read()
    at = table.column_names.index("phash")
    field = table.schema.field(at)
    pq.write_table(table.set_column(at, field, pa.nulls(table.num_rows, field.type)), manifest)
    receipt |= {"contents_sha256": digest, "manifest_sha256": checksum.hash_file(manifest).sha256}
    (folder / "receipt.json").write_text(json.dumps(receipt))


@pytest.fixture
def folder(cli: Callable, tmp_path: Path) -> Path:
    assert cli("fetch", "demo").code == 0
    return tmp_path / "cache/datasets/demo/1.0"


def test_a_file_altered_since_is_not_looked_at(cli: Callable, folder: Path) -> None:
    """What other bytes look like is not noted under the recorded checksum."""
    as_an_older_version_left_it(folder)
    path = folder / next(iter(filter(None, column(folder, "path"))))
    path.write_bytes(b"\0" * path.stat().st_size)
    answer = cli("fetch", "demo")
    assert answer.code == 0, answer.err
    assert "was altered" in answer.err
    assert sum(one is None for one in column(folder, "phash")) == 2  # and the one that never decoded


def test_a_cache_that_cannot_be_written_is_complete_as_it_is(
    cli: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older caches serve read-only: hashes are no reason to fail."""
    as_an_older_version_left_it(folder)
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)  # root may write everywhere
    answer = cli("fetch", "demo")
    assert answer.code == 0
    assert "nothing to do" in answer.err


def test_an_older_cache_is_filled_without_a_download(cli: Callable, folder: Path) -> None:
    """The next fetch only looks; then there is nothing to do, and the manifest is that of a new fetch."""
    new = (folder / "manifest.parquet").read_bytes()
    as_an_older_version_left_it(folder)
    assert cli("verify", "demo").code == 0
    assert set(column(folder, "phash")) == {None}
    answer = cli("--offline", "fetch", "demo")
    assert answer.code == 0, answer.err
    assert (folder / "manifest.parquet").read_bytes() == new
    assert "nothing to do" in cli("fetch", "demo").err


def test_the_hash_is_that_of_the_image_on_any_number_of_workers(
    cli: Callable, folder: Path, tmp_path: Path
) -> None:
    """One decode gives what `look` says of the file; a broken image has none."""
    assert cli("fetch", "demo", "--jobs", "7", cache=tmp_path / "other").code == 0
    other = tmp_path / "other/datasets/demo/1.0/manifest.parquet"
    assert other.read_bytes() == (folder / "manifest.parquet").read_bytes()
    problems, paths = column(folder, "image_problem"), column(folder, "path")
    for path, problem, phash in zip(paths, problems, column(folder, "phash"), strict=True):
        assert phash == inspect_image(folder / str(path)).phash
        assert (phash is None) == (problem is not None)


def test_the_audit_sees_what_fetch_saw(cli: Callable, folder: Path) -> None:
    """Its record of looks and the manifest agree, image by image."""
    cli("audit", "demo")
    looks = InspectionCache(folder, SilentProgress()).looks
    digests, hashes = column(folder, "sha256"), column(folder, "phash")
    assert len(looks) == len(set(digests))
    assert [looks[str(one)].phash for one in digests] == hashes
