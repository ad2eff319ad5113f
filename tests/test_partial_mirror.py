"""A part of the real datasets' stand-ins: a small fraction of the bytes, and the whole fetch after it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.mirror import Mirror, mirror

pytestmark = [pytest.mark.shared, pytest.mark.xdist_group("partial-mirror")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with mirror(tmp_path_factory.mktemp("part"), "ham10000", rows=150) as running:
        yield running


def sent(served: Mirror, since: int) -> int:
    """Bytes of archives that the server gave since then."""
    return sum(one["bytes"] for one in served.requests()[since:] if ".zip" in one["path"])


def test_a_part_of_ham10000_then_the_rest(cli: Callable, served: Mirror, tmp_path: Path) -> None:
    """Redirected ranges, two archives of images and one of masks; in the end the bytes of a whole fetch."""
    folder = tmp_path / "cache" / "datasets" / "ham10000" / "4.0"
    archives = sum(path.stat().st_size for path in served.root.glob("ham10000/HAM*.zip"))
    answer = cli(*served.options, "fetch", "ham10000", "--limit", "30")
    assert answer.code == 0, answer.err
    assert len(list(folder.rglob("*.jpg"))) == len(list(folder.rglob("*.png"))) > 0
    assert all(one["range"] for one in served.requests() if ".zip" in one["path"])
    assert sent(served, 0) < archives
    assert cli(*served.options, "verify").code == 0
    assert cli(*served.options, "fetch", "ham10000").code == 0
    assert cli(*served.options, "fetch", "ham10000", cache=tmp_path / "other").code == 0
    [never] = (tmp_path / "other").rglob("manifest.parquet")
    assert (folder / "manifest.parquet").read_bytes() == never.read_bytes()
