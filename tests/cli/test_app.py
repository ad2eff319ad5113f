"""What holds for every command: exit codes, errors in words, streams, and what start-up may import."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
import typer.main

from dermdata.api.display import print_message
from dermdata.cli.app import COMMANDS, app, run
from dermdata.cli.failures import write_error
from dermdata.errors import UsageError

HEAVY = ("httpx", "httpcore", "pandas", "pyarrow", "numpy", "PIL", "pydantic", "rich", "duckdb")
LIGHT_COMMANDS = (["list"], ["info", "ham10000"], ["--help"], ["--version"], ["labels", "find", "nevus"])


@pytest.mark.parametrize("words", LIGHT_COMMANDS, ids=" ".join)
def test_light_commands_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    """Start-up is a feature; --help alone may draw with rich."""
    program = (
        "import sys\nfrom dermdata.cli.app import run\n"
        f"code = run({['--cache', str(tmp_path), *words]!r})\n"
        "sys.stderr.write(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split()) & set(HEAVY)
    assert loaded <= ({"rich"} if words == ["--help"] else set())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_each_commands_own_sentence(name: str) -> None:
    """`--help` knows it without the command's module, and must not say anything else."""
    command = typer.main.get_group(app).get_command(typer.Context(typer.main.get_command(app)), name)
    assert command.help == COMMANDS[name]


def test_an_unknown_command_gets_did_you_mean(cli: Callable) -> None:
    """Exit 2, one error line, one hint line."""
    answer = cli("fetsh")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: unknown command 'fetsh'\nhint: did you mean fetch?\n"


def test_an_unknown_dataset_gets_did_you_mean(cli: Callable) -> None:
    """`fetch ham1000` names ham10000 and exits 2 before any request."""
    answer = cli("--offline", "fetch", "ham1000")
    assert answer.code == 2
    assert answer.err == "error: unknown dataset 'ham1000'\nhint: did you mean ham10000?\n"


def test_an_error_is_json_when_json_was_asked_for(cli: Callable) -> None:
    """Code, message and hint on stderr; stdout stays empty."""
    answer = cli("list", "--access", "opne", "--format", "json")
    assert (answer.code, answer.out) == (2, "")
    assert json.loads(answer.err)["error"] == {
        "code": "unknown_name", "message": "unknown access 'opne'", "hint": "did you mean open?",
    }  # fmt: skip


def test_a_wrong_option_names_the_help(cli: Callable) -> None:
    """Typer's own complaint in our words, exit 2."""
    answer = cli("list", "--colour", "red")
    assert answer.code == 2
    assert answer.err.startswith("error: No such option: --colour")
    assert "hint: `dermdata list --help` shows the options" in answer.err


@pytest.mark.parametrize("words", [[], ["labels"], ["cache"]], ids=["dermdata", "labels", "cache"])
def test_a_bare_command_prints_its_help_and_nothing_else(
    words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """No error without a word, no traceback; exit 2, since nothing was asked for."""
    assert run(words) == 2
    out, err = capfd.readouterr()
    assert "Usage: dermdata" in out
    assert err == ""


@pytest.mark.parametrize(
    ("color", "settings", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_error_and_hint_are_colored_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, color: str, settings: dict[str, str], terminal: bool, colored: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", stream)
    write_error(UsageError("no \x1b[31m such: thing", hint="look: there"), as_json=False, color=color)
    print_message("warning: wait: what", color)
    print_message("note: error: no label", color)
    plain = "error: no \\x1b[31m such: thing\nhint: look: there\nwarning: wait: what\nnote: error: no label\n"
    marks = {
        "error:": "\x1b[1;31merror:\x1b[0m",
        "\nhint:": "\n\x1b[2mhint:\x1b[0m",
        "\nwarning:": "\n\x1b[33mwarning:\x1b[0m",
    }
    for word, mark in marks.items() if colored else ():
        plain = plain.replace(word, mark, 1)
    assert stream.getvalue() == plain


@pytest.mark.parametrize("name", COMMANDS)
def test_only_dermdata_itself_installs_completion(name: str) -> None:
    command = typer.main.get_group(app).get_command(typer.Context(typer.main.get_command(app)), name)
    waiting, options = [command], set()
    while waiting:
        one = waiting.pop()
        waiting += getattr(one, "commands", {}).values()
        options |= {word for param in one.params for word in param.opts}
    assert not {"--install-completion", "--show-completion"} & options


def test_version_and_help_go_to_stdout(cli: Callable) -> None:
    """Both are data: they can be piped."""
    assert cli("--version").out.startswith("dermdata ")
    answer = cli("--help")
    assert answer.code == 0
    assert all(name in answer.out for name in ("list", "info", "fetch", "verify", "split", "export"))


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    """`dermdata labels tree | head -1`: no traceback, nothing on stderr."""
    words = f"{sys.executable} -m dermdata --cache {tmp_path / 'cache'} labels tree --format jsonl"
    command = f"{words} 2>{tmp_path / 'err'} | head -1; cat {tmp_path / 'err'} >&2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["concept"] == "skin-finding"
    assert done.stderr == ""


def test_names_pipe_into_the_next_command(tmp_path: Path) -> None:
    """The shell line of the contract: list names, ask for each one's card as JSON, take the first line; of three names."""
    python = f"{sys.executable} -m dermdata --cache {tmp_path}"
    command = f"{python} list --format names | head -3 | xargs -n1 {python} info --format json | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert json.loads(done.stdout)["schema"] == "dermdata.info/1"


def test_a_broken_overlay_is_told_and_everything_else_works(cli: Callable, tmp_path: Path) -> None:
    """The broken entry exits 2 with its issues; the others are not touched."""
    entry = tmp_path / "mine" / "datasets" / "ours"
    entry.mkdir(parents=True)
    (entry / "dataset.toml").write_text('name = "ours"\ntitel = "Ours"\n', encoding="utf-8")
    answer = cli("--catalog", tmp_path / "mine", "info", "ours")
    assert answer.code == 2
    assert "titel: unknown key, did you mean title?" in answer.err
    assert cli("--catalog", tmp_path / "mine", "info", "ham10000").code == 0


def test_quiet_says_nothing_but_results(cli: Callable) -> None:
    """-q: stderr is empty when all goes well."""
    answer = cli("-q", "fetch", "demo")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.strip().endswith("manifest.parquet")


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch, cli: Callable) -> None:
    """Ctrl-C in the middle of work."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dermdata.fetching.run_plan", interrupted)
    assert cli("fetch", "demo").code == 130


def test_settings_come_from_option_then_environment(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--cache wins over DERMDATA_CACHE."""
    monkeypatch.setenv("DERMDATA_CACHE", str(tmp_path / "environment"))
    assert cli("cache", "path", cache=tmp_path / "option").out.strip() == str(tmp_path / "option")


@pytest.mark.parametrize("words", [("-h",), ("fetch", "-h"), ("labels", "map", "-h")])
def test_h_is_help_everywhere(cli, words: tuple[str, ...]) -> None:
    answer = cli(*words)
    assert (answer.code, "Usage: dermdata" in answer.out) == (0, True)


def test_only_one_room_writes_to_the_streams() -> None:
    """What a terminal would obey is shown there; a second writer would forget it."""
    import ast

    import dermdata.cli

    found = []
    for path in sorted(Path(dermdata.cli.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            given = [ast.unparse(one) for one in node.args] if isinstance(node, ast.Call) else []
            writes = words in (
                "print",
                "typer.echo",
                "sys.stdout.write",
                "sys.stderr.write",
                "Console",
                "Text",
            )
            empty = words == "Text" and given == ["''"]
            if (
                path.name not in {"output.py", "cells.py"}
                and not empty
                and (writes or (words.endswith("writer") and "sys.stdout" in given))
            ):
                found.append(f"{path.name}:{node.lineno}: {words}")
    assert found == []


def test_a_word_of_thousands_of_letters_does_not_fill_the_screen(cli: Callable) -> None:
    answer = cli("info", "x" * 100_000)
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert len(answer.err) < 2_000


def test_a_long_address_in_a_message_shows_no_secret(cli: Callable) -> None:
    """It is cut after its secret has gone, for the rest would not look like an address."""
    answer = cli("info", f"https://user:SECRET{'y' * 3_000}@example.org/")
    assert "SECRET" not in answer.err


@pytest.mark.parametrize(
    ("command", "words"), [("fetch", "(default: all cores)"), ("add", "(default: inferred)")]
)
def test_help_shows_defaults_that_it_works_out(cli: Callable, command: str, words: str) -> None:
    """In brackets they were taken for markup, and nobody saw them."""
    shown = " ".join(cli(command, "--help").out.replace("│", " ").split())
    assert words in shown
