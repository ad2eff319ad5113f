"""The pipeline of the contract as one shell line; whatever stage dies, no half file has a final name."""

import io
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

SEAMS = Path(__file__).parents[1] / "faults" / "seams"


def stage(cache: Path, words: str, kill_at: int = 0) -> str:
    """One command; killed at the N-th fsync, rename or unlink of its own."""
    seam = f"SEAM_KILL_AT={kill_at} PYTHONPATH={shlex.quote(str(SEAMS))} " if kill_at else ""
    return f"{seam}{shlex.quote(sys.executable)} -m dermdata --cache {shlex.quote(str(cache))} {words}"


def pipeline(cache: Path, shards: Path, kill_at: int = 0) -> subprocess.CompletedProcess[bytes]:
    line = " | ".join(
        [
            stage(cache, "select demo --where 'age >= 60' -o -"),
            stage(cache, "split - --by patient -o -"),
            stage(cache, f"export webdataset - -o {shlex.quote(str(shards))}/", kill_at),
        ]
    )
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, check=False, env=os.environ
    )


def files(folder: Path) -> dict[str, bytes]:
    """What has a final name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(one.relative_to(folder)): one.read_bytes() for one in found if not one.name.startswith(".")}


def test_a_killed_export_leaves_whole_shards_or_none_and_the_line_again_completes(
    cli: Callable, tmp_path: Path
) -> None:
    """Each tar that has its name opens to its end; the second run gives the bytes of one that was never killed."""
    cli("fetch", "demo")
    good = pipeline(tmp_path / "cache", tmp_path / "good")
    assert good.returncode == 0, good.stderr.decode()
    whole = files(tmp_path / "good")
    assert any(name.endswith(".tar") for name in whole)
    shards = tmp_path / "killed"
    killed = pipeline(tmp_path / "cache", shards, kill_at=4)
    assert killed.returncode != 0
    for name, data in files(shards).items():
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                assert tar.getmembers()
        assert data == whole[name]
    assert pipeline(tmp_path / "cache", shards).returncode == 0
    assert files(shards) == whole


# ------------------------------------------------------------------ a stage before dies


def cuts(stream: bytes) -> Iterator[int]:
    """After each message of a stream of three batches: where Arrow alone would see a whole, shorter table."""
    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(stream))
    at, messages = 0, list(reader)
    for message in messages:
        at += message.serialize().size
        yield at


@pytest.fixture
def stream(cli: Callable, tmp_path: Path) -> bytes:
    """What `select -o -` gives for a manifest of several batches."""
    cli("fetch", "demo")
    cli("select", "demo", "-o", tmp_path / "all.arrow")
    table = pa.ipc.open_file(tmp_path / "all.arrow").read_all()
    schema = table.schema.with_metadata({**table.schema.metadata, b"dermdata.stream-rows": b"120"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table.cast(schema), max_chunksize=40)
    return sink.getvalue().to_pybytes()


def test_a_stream_that_ends_early_is_refused_and_nothing_is_written(
    cli: Callable, tmp_path: Path, stream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut between batches, within one, in the head, or empty: never a table of fewer rows."""
    places = [*cuts(stream)]
    shorter = [pa.ipc.open_stream(stream[:cut]).read_all().num_rows for cut in places[-4:-1]]
    assert shorter == [0, 40, 80]  # what Arrow alone takes for whole
    out = tmp_path / "out.parquet"
    for cut in [0, 7, 500, *places[:-1], places[-1] - 9]:
        ended = SimpleNamespace(buffer=io.BytesIO(stream[:cut]), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", ended)
        answer = cli("split", "-", "-o", out)
        assert answer.code == 2, (cut, answer.err)
        assert "stream" in answer.err
        assert not out.exists()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stream), isatty=lambda: False))
    assert cli("split", "-", "-o", out).code == 0
    import pyarrow.parquet as pq

    assert pq.read_metadata(out).num_rows == 120
    assert b"dermdata.stream-rows" not in pq.read_schema(out).metadata
