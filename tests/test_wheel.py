"""What is tested elsewhere is the checkout; here the built wheel itself, with its catalog inside, and the sdist."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from conftest import REPOSITORY


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as pip would, in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(built("--wheel", REPOSITORY, folder)) as archive:
        for name in archive.namelist():
            assert not name.startswith(("tests/", "scripts/", "benchmarks/"))
        archive.extractall(folder / "site")  # our own wheel, just built
    return folder / "site"


def built(kind: str, source: Path, folder: Path) -> Path:
    """The wheel or sdist of a source tree."""
    command = [sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("dermdata-*")
    return made


def environment_of(installed: Path) -> dict[str, str]:
    """Python takes dermdata from there, and leaves nothing: what the wheel holds is compared later."""
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}


def dermdata(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dermdata", "--cache", str(folder), *words]
    environment = environment_of(installed)
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
    environment = environment_of(installed)
    command = [sys.executable, "-c", f"import dermdata; print(dermdata.__file__); {made}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.stdout.startswith(str(installed)), done.stderr
    assert "There is no overall estimate." in done.stdout


# ------------------------------------------------------------------ the sdist


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked in a folder of its own."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built("--sdist", REPOSITORY, folder)) as archive:
        archive.extractall(folder, filter="data")
    (root,) = (path for path in folder.iterdir() if path.is_dir())
    return root


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def files_in_git() -> set[str]:
    """What git has, or would take, of this checkout; of an sdist's own tree, where git knows nothing, all of it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (REPOSITORY / ".git").exists():
        return files_below(REPOSITORY)
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (REPOSITORY / name).is_file()}


def test_the_sdist_is_the_whole_checkout(unpacked: Path) -> None:
    """Tests, pages, catalog, and what the tests of those read: all pass in it, on any machine."""
    inside = files_below(unpacked) - {"PKG-INFO"}
    assert inside <= files_in_git()
    if (REPOSITORY / ".git").exists():
        assert files_in_git() <= inside


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_checkout(
    unpacked: Path, installed: Path, tmp_path: Path
) -> None:
    """An installer that finds no wheel builds one from the sdist."""
    with zipfile.ZipFile(built("--wheel", unpacked, tmp_path)) as archive:
        assert set(archive.namelist()) == files_below(installed)
        for name in archive.namelist():
            assert archive.read(name) == (installed / name).read_bytes(), name
