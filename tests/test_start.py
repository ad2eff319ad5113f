"""The beginning of a process: what no command needs is not paid for."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pyarrow as pa

from dermdata.api.catalog_entries import FETCH_WAYS
from dermdata.manifest.parquet import write_manifest
from dermdata.manifest.schema import SCHEMA
from dermdata.model import FetchWay

PROGRAM = """
import atexit, sys
atexit.register(lambda: sys.stderr.write(' '.join(name for name in sys.modules if sys.modules[name])))
from dermdata.start import main
main()
"""


def write_one_row(folder: Path) -> Path:
    rows = [{"dataset": "mine", "image_id": "1", "key": "mine/1", "diagnosis": "melanoma"}]
    manifest = folder / "mine.parquet"
    write_manifest(pa.Table.from_pylist(rows, schema=SCHEMA), manifest, {"dataset": "mine"})
    return manifest


def modules_of(folder: Path, *words: str) -> set[str]:
    """What a command of a process of its own, asked of a manifest of one row, has imported at its end."""
    manifest = write_one_row(folder)
    line = [sys.executable, "-c", PROGRAM, "--cache", str(folder), *words, "--format", "csv", str(manifest)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "melanoma" in done.stdout
    return set(done.stderr.split())


def test_a_command_that_reads_tables_does_without_pandas(tmp_path: Path) -> None:
    """pyarrow would import it with its first array: twice the time of a small manifest's `stats`."""
    loaded = modules_of(tmp_path, "stats")
    assert {"pyarrow", "numpy"} <= loaded
    assert not {name for name in loaded if name.partition(".")[0] == "pandas"}


def test_a_selection_without_a_condition_needs_neither_engine_nor_network(tmp_path: Path) -> None:
    """Each is a tenth of a second."""
    line = [sys.executable, "-c", PROGRAM, "--cache", str(tmp_path), "select", str(write_one_row(tmp_path))]
    done = subprocess.run(
        [*line, "-o", "s.parquet"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded = set(done.stderr.split())
    assert "dermdata.cohort.selection" in loaded
    assert not {"duckdb", "httpx", "httpcore"} & loaded


def test_a_fetch_does_without_what_http_libraries_import_beside_it(tmp_path: Path) -> None:
    """trio and anyio, where another package brought them; httpx's own command line."""
    line = [sys.executable, "-c", PROGRAM, "--cache", str(tmp_path), "--offline", "fetch", "ph2"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    loaded = set(done.stderr.split())
    assert {"httpx", "httpcore"} <= loaded
    assert not {"trio", "anyio", "httpx._main"} & loaded


def test_list_does_without_the_types_of_the_catalog(tmp_path: Path) -> None:
    """They are 7 ms of 60; the words that it needs of them are the same."""
    line = [sys.executable, "-c", PROGRAM, "--cache", str(tmp_path), "list"]
    first, second = (subprocess.run(line, capture_output=True, text=True, check=True) for _ in range(2))
    assert "dermdata.model" in first.stderr.split()  # which compiles the catalog
    assert {"dermdata.model", "dermdata.catalogs.entries"}.isdisjoint(second.stderr.split())
    assert "ham10000" in second.stdout
    assert get_args(FetchWay) == FETCH_WAYS


def test_a_query_does_without_arrow(tmp_path: Path) -> None:
    """The engine reads manifests itself; to import Arrow would double its time."""
    loaded = modules_of(tmp_path, "query", "SELECT diagnosis FROM mine")
    assert "duckdb" in loaded
    assert not {"pyarrow", "numpy"} & loaded


def test_what_is_hidden_from_pyarrow_is_there_for_others() -> None:
    """Before a cluster's or a store's library is loaded, and in a notebook anyway."""
    code = (
        "from dermdata.unused_imports import hide_unused, show_unused\n"
        "hide_unused()\n"
        "try:\n    import pandas\nexcept ModuleNotFoundError: print('hidden')\n"
        "show_unused(); show_unused()\n"
        "import pandas; print(pandas.DataFrame({'a': [1]}).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["hidden", "(1, 1)"]
