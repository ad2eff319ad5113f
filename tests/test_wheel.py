"""What is tested elsewhere is the checkout; here the built wheel itself, with its catalog inside."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import REPOSITORY


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as pip would, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(REPOSITORY),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert not name.startswith(("tests/", "scripts/", "benchmarks/"))
        archive.extractall(folder / "site")  # our own wheel, just built
    return folder / "site"


def dermdata(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "dermdata", "--cache", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


def test_the_wheel_lists_every_entry_of_the_catalog(installed: Path, tmp_path: Path) -> None:
    """The catalog ships inside; nothing is read from the checkout."""
    done = dermdata(installed, tmp_path, "list", "--kind", "all", "--format", "names")
    assert done.returncode == 0, done.stderr
    entries = {path.parent.name for path in REPOSITORY.glob("catalog/datasets/*/dataset.toml")}
    entries |= {path.stem for path in REPOSITORY.glob("catalog/models/*.toml")}
    assert set(done.stdout.split()) == entries
    where = dermdata(installed, tmp_path, "doctor", "--no-network", "--format", "tsv").stdout
    assert str(installed / "dermdata" / "catalog_data") in where


def test_the_wheel_fetches_the_demo(installed: Path, tmp_path: Path) -> None:
    """Its bundled files are in the wheel too."""
    done = dermdata(installed, tmp_path, "fetch", "demo")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_file()


def test_the_wheel_makes_pages(installed: Path, tmp_path: Path) -> None:
    """Their templates, style and script are inside."""
    made = "from dermdata.report import evaluation_page; print(*evaluation_page({'items': []}, {}))"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", f"import dermdata; print(dermdata.__file__); {made}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.stdout.startswith(str(installed)), done.stderr
    assert "There is no overall estimate." in done.stdout
