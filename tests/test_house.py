"""How the house is built, as far as a test can hold it: what the files of the command line are, and what they may know."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLI = ROOT / "dermdata" / "cli"
LINES = 120  # a file of the command line has fewer
OPEN = (
    "dermdata.api",
    "dermdata.errors",
    "dermdata.model",
    "dermdata.progress",
)  # what it may import of dermdata
# what several commands stand on
SHARED = {
    "app", "cells", "commands", "complete", "failures", "global_options", "labelling", "output", "root", "state",
    "tables", "workers",
}  # fmt: skip
# not rebuilt yet: each name that is taken out is held from then on
TO_DO = {
    "bundle", "cache", "cite", "demo", "doctor", "fetch", "fetch_from", "info", "labels", "labels_align", "labels_map",
    "list_", "lock", "mirror_out", "query", "stats", "sync", "verify", "words",
}  # fmt: skip
FILES = sorted(path.stem for path in CLI.glob("*.py") if path.stem not in {"__init__", *TO_DO})


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, in functions and for types as well; `from a import b` is a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} imports relatively"
            yield from (f"{node.module}.{one.name}" for one in node.names)


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def command_of(stem: str) -> str:
    """The command that a file belongs to: `split_check` is a part of `split`."""
    return stem.partition("_")[0]


@pytest.mark.parametrize("stem", FILES)
def test_a_file_of_the_command_line_is_short(stem: str) -> None:
    lines = (CLI / f"{stem}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < LINES, "move what it does to dermdata.api"


@pytest.mark.parametrize("stem", FILES)
def test_the_command_line_knows_only_the_api(stem: str) -> None:
    """Errors, the model's types and progress too; no room below, and not the package itself."""
    found = [name for name in imported(CLI / f"{stem}.py") if is_within(name, ("dermdata",))]
    assert [name for name in found if not is_within(name, (*OPEN, "dermdata.cli"))] == []


@pytest.mark.parametrize("stem", FILES)
def test_commands_do_not_know_each_other(stem: str) -> None:
    """What two commands share is a file that is named here, or work for the API."""
    own = command_of(stem)
    others = {path.stem for path in CLI.glob("*.py")} - SHARED - {"__init__"}
    found = [
        name.split(".")[2] for name in imported(CLI / f"{stem}.py") if is_within(name, ("dermdata.cli",))
    ]
    assert [name for name in found if name in others and (stem in SHARED or command_of(name) != own)] == []


def test_what_is_still_to_do_is_there() -> None:
    """No name stays on the list for a file that is gone."""
    assert {stem for stem in TO_DO if not (CLI / f"{stem}.py").exists()} == set()


def test_what_is_shared_is_there() -> None:
    assert {stem for stem in SHARED if not (CLI / f"{stem}.py").exists()} == set()
