"""The Python sessions of the docs, run as they stand on the bundled demo dataset."""

import doctest
import os
import re
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import dermdata
from dermdata import errors

ROOT = Path(__file__).parents[2]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("page", ["docs/notebooks.md", "docs/audit.md", "README.md"])
def test_sessions_print_what_the_page_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERMDATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    text = (ROOT / page).read_text(encoding="utf-8")
    session = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    assert session.examples
    said: list[str] = []
    with capsys.disabled():
        result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(session, out=said.append)
    assert not result.failed, "".join(said)


def test_docstrings_of_the_api_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dermdata.api import manifest

    monkeypatch.setenv("DERMDATA_CACHE", str(tmp_path / "cache"))
    result = doctest.testmod(manifest, optionflags=FLAGS, raise_on_error=False)
    assert result.attempted > 3
    assert not result.failed
    assert os.environ["DERMDATA_CACHE"]
    assert dermdata.__doc__


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def refuse(name: str) -> None:
    """The host of the page on refusals."""
    raise errors.HostRefused(f"{name}: the host blocks this network", hint="from another network")


@pytest.mark.parametrize(
    "page", sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name != "train.md")
)
def test_python_blocks_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each in its order, on the demo; the cluster and the host that a page speaks of are stand-ins."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERMDATA_CACHE", str(tmp_path / "cache"))
    asked = MagicMock()
    asked.SLURMCluster.return_value.scheduler_address = "tcp://10.0.0.5:40123"
    monkeypatch.setitem(sys.modules, "dask_jobqueue", asked)
    space: dict[str, Any] = {"dd": dermdata, "input": lambda _: ""}
    if page == "refusals.md":
        monkeypatch.setattr(dermdata, "fetch", refuse, raising=False)
    for block in blocks:
        exec(compile(block, page, "exec"), space)
    told = capsys.readouterr().out
    for name, words in (
        ("refusals.md", "host_refused"),
        ("cluster.md", "dask://10.0.0.5:40123"),
        ("api.md", "http://127.0.0.1:"),
    ):
        assert page != name or words in told
