"""`dermdata browse` as a person starts and ends it."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import dermdata.api.browsing


def test_it_prints_its_address_and_ctrl_c_ends_it(demo_cache: Path, tmp_path: Path) -> None:
    """One line on stdout; the end is no error, and says where marks are."""
    (tmp_path / "exclusions.tsv").write_text("demo/DEMO_0001\n", encoding="utf-8")
    words = [sys.executable, "-m", "dermdata", "--cache", str(demo_cache), "--offline", "browse", "demo"]
    environment = {**os.environ, "DISPLAY": ""}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            address = process.stdout.readline().strip()
            with urllib.request.urlopen(address.replace("/?", "/api/view?"), timeout=20) as answer:
                assert b'"rows":120' in answer.read()
            process.send_signal(signal.SIGINT)
            rest, told = process.communicate(timeout=20)
        finally:
            process.kill()
        assert (process.returncode, rest) == (0, "")
    assert "120 pictures; Ctrl-C ends the page" in told
    assert "1 picture is marked in exclusions.tsv" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["--where", "nonsense"], 2, "error:"),
        (["--port", "99999"], 2, "no port 99999"),
        (["--exclusions", "nowhere/list.tsv"], 5, "no folder nowhere"),
        (["--predictions", "nowhere.csv"], 2, "no predictions at nowhere.csv"),
        (["--labels", "nospace"], 2, "nospace"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else None,
)
def test_what_cannot_be_is_said_before_a_page_is_served(
    cli: Callable, demo_cache: Path, words: list[str], code: int, word: str
) -> None:
    answer = cli("browse", "demo", *words)
    assert (answer.code, answer.out, word in answer.err) == (code, "", True), answer.err


def test_without_its_libraries_it_says_what_to_install(
    cli: Callable, demo_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dermdata.api.browsing, "find_spec", lambda _: None)
    answer = cli("browse", "demo")
    assert answer.code == 2
    assert "pip install 'dermdata[browse]'" in answer.err
