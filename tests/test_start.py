"""The beginning of a process: what no command needs is not paid for."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from dermdata.manifest import store
from dermdata.manifest.schema import SCHEMA

PROGRAM = """
import atexit, sys
atexit.register(lambda: sys.stderr.write(' '.join(name for name in sys.modules if sys.modules[name])))
from dermdata.start import main
main()
"""


def test_a_command_that_reads_tables_does_without_pandas(tmp_path: Path) -> None:
    """pyarrow would import it with its first array: twice the time of a small manifest's `stats`."""
    rows = [{"dataset": "mine", "image_id": "1", "key": "mine/1", "diagnosis": "melanoma"}]
    store.write(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "mine.parquet", {"dataset": "mine"})
    words = ["--cache", str(tmp_path), "stats", "--format", "csv", str(tmp_path / "mine.parquet")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "melanoma" in done.stdout
    loaded = set(done.stderr.split())
    assert {"pyarrow", "numpy"} <= loaded
    assert not {name for name in loaded if name.partition(".")[0] == "pandas"}
