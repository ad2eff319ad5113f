"""Global options on both sides of the command, and errors in the form that the command was asked for."""

import json
from pathlib import Path

import pytest

from dermdata.cli.app import run


@pytest.fixture
def cache(demo_cache: Path) -> Path:
    return demo_cache


def answer(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capfd.readouterr()
    code = run([str(word) for word in words])
    out, err = capfd.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "words",
    [
        ("fetch", "demo"),
        ("stats", "demo", "--by", "sex"),
        ("cache", "list"),
        ("labels", "tree", "melanoma"),
        ("list",),
    ],
)
def test_an_option_does_the_same_on_either_side(
    cache: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    before = answer(capfd, "--cache", cache, "-q", "--offline", *words)
    assert before[0] == 0
    assert answer(capfd, *words, "--offline", "-q", "--cache", cache) == before
    assert answer(capfd, "--offline", *words, f"--cache={cache}", "--quiet") == before


def test_the_one_after_the_command_wins_and_catalogs_add_up(
    cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name / "datasets" / name
        folder.mkdir(parents=True)
        facts = f'name = "{name}"\ntitle = "{name}"\nkind = "dataset"\nsummary = "s"\n'
        entry = f'{facts}[access]\nkind = "open"\nevidence = "e"\n'
        (folder / "dataset.toml").write_text(entry, encoding="utf-8")
    line = ["--catalog", tmp_path / "one", "--cache", tmp_path / "other", "list", "-f", "names"]
    code, out, _ = answer(capfd, *line, "--catalog", tmp_path / "two", "--cache", cache)
    assert code == 0
    assert {"one", "two"} <= set(out.split())
    assert not (tmp_path / "other").exists()


def test_a_command_s_own_option_of_the_same_name_is_its_own(
    cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`verify --quick` and `export -o` are no global options; an unknown one is refused as ever."""
    assert answer(capfd, "verify", "demo", "--quick", "--cache", cache)[0] == 0
    code, _, err = answer(capfd, "fetch", "demo", "--nope", "--cache", cache)
    assert (code, "No such option: --nope" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "as_json"),
    [
        (("stats", "nope", "-f", "json"), True),
        (("stats", "nope", "--format=json"), True),
        (("stats", "nope", "-f", "jsonl"), False),
        (("stats", "nope", "--format", "jsonl"), False),
        (("stats", "nope", "--by", "a -f json b"), False),
        (("select", "nope", "--where", "x = '--format json'"), False),
        (("stats", "--nope", "-f", "json"), True),
        (("stats", "--nope", "-f", "csv"), False),
    ],
)
def test_an_error_is_json_where_the_answer_was_to_be(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], as_json: bool
) -> None:
    code, _, err = answer(capfd, "--cache", tmp_path, *words)
    assert code == 2
    if as_json:
        assert json.loads(err)["error"]["code"]
    else:
        assert err.startswith("error: ")


def test_debug_stands_anywhere_but_in_a_value(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (("--debug", "stats", "nope"), ("stats", "nope", "--debug")):
        assert "Traceback" in answer(capfd, "--cache", tmp_path, *words)[2]
    assert "Traceback" not in answer(capfd, "--cache", tmp_path, "stats", "nope", "--by=--debug")[2]
