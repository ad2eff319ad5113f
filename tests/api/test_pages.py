"""The Python sessions of the docs, run as they stand on the bundled demo dataset."""

import doctest
import os
from pathlib import Path

import pytest

import dermdata

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
