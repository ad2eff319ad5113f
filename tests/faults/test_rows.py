"""The register of the fault matrix: every row 1-102 has a test, or a reason that stands here in writing.

A test carries a row by its name, `test_row_79_…`, or by `@pytest.mark.fault(79)`. Promises are rows of
their own, by `test_promise_01_…`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROWS = range(1, 103)
PROMISES = range(1, 16)
TESTS = Path(__file__).parents[1]
REASONS = {
    101: "There is no remote catalog: entries come with the wheel, which the package index signs and pip checks, "
    "or from a folder of the person's own disk (--catalog). Nothing is fetched that could be rolled back, expire "
    "or want a signature; tests/test_wheel.py holds that the wheel's catalog is the repository's.",
}

OTHERWISE = {  # rows that are tested, and held in another way than the matrix proposes
    79: "Every image is decoded whole when it is fetched and its problem stands in the manifest, so `verify` needs "
    "no level of its own for it: a checksum that matches means that the problem is the same one.",
    85: "No worker process decodes. What a decoder may be given is bounded instead: an allow-list of six formats by "
    "their first bytes, 256 MiB a file, 89 million pixels in all frames, 100 scans of a JPEG. Of 143,282 damaged "
    "JPEG, PNG, TIFF, WebP, GIF and BMP files (1 to 6 bytes altered) none raised and the slowest took 0.15 s. A crash "
    "of the C library would end the run, not spoil it: the next one goes on from the receipt (promise 2).",
    97: "There is no YAML: catalogs are TOML, read by the standard library's tomllib, which has neither tags nor "
    "aliases and refuses a key twice.",
    98: "No XML of PASCAL is read. What is XML, S3's lists and .xlsx, is parsed by expat: a list with a document type "
    "is refused, and so is a workbook with one; the workbook's size and marks are bounded before it is parsed.",
}


def rows_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every row that a test of this file carries, with the test."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        name = re.match(r"test_row_(\d+)(?:_(\d+)(?=_))?_", node.name)
        rows = [int(row) for row in name.groups() if row] if name else []
        rows += [row for decorator in node.decorator_list for row in marked(decorator)]
        yield from ((row, f"{path.name}::{node.name}") for row in rows)


def marked(decorator: ast.expr) -> list[int]:
    """The rows of one `@pytest.mark.fault(…)`; nothing for another decorator."""
    if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) != "pytest.mark.fault":
        return []
    return [argument.value for argument in decorator.args if isinstance(argument, ast.Constant)]  # type: ignore[misc]


@pytest.fixture(scope="module")
def register() -> dict[int, list[str]]:
    """Row -> the tests that carry it."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for row, test in rows_of(path):
            found[row].append(test)
    return found


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_test_or_a_reason(row: int, register: dict[int, list[str]]) -> None:
    """One of the two, never both: a reason for a row that is tested would be out of date."""
    assert (row in register) != (row in REASONS), register.get(row, REASONS.get(row, "neither"))


def test_no_row_is_invented(register: dict[int, list[str]]) -> None:
    """The matrix ends at 102."""
    assert register.keys() | REASONS.keys() <= set(ROWS)


def test_a_reason_says_why(register: dict[int, list[str]]) -> None:
    """In whole sentences; and what is held otherwise is held by a test."""
    said = REASONS | OTHERWISE
    assert [row for row, reason in said.items() if len(reason) < 80 or not reason.endswith(".")] == []
    assert OTHERWISE.keys() <= register.keys()


def test_every_promise_has_a_test_of_its_own() -> None:
    """By its number."""
    text = (Path(__file__).parent / "test_promises.py").read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"^def test_promise_(\d\d)_", text, re.MULTILINE)] == list(
        PROMISES
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("def test_row_79_cut(): ...", [79]),
        ("def test_row_48_49_read_only(): ...", [48, 49]),
        ("@pytest.mark.fault(1, 2)\ndef test_x(): ...", [1, 2]),
        ("class TestX:\n @pytest.mark.fault(3)\n def test_x(self): ...", [3]),
        ("@pytest.mark.shared\ndef test_rows_are(): ...", []),
        ("@pytest.mark.fault(5)\ndef helper(): ...", []),
        ("# test_row_79_cut", []),
    ],
)
def test_how_a_row_is_read(text: str, rows: list[int], tmp_path: Path) -> None:
    """Names and marks of tests only: no comment and no helper counts."""
    path = tmp_path / "test_x.py"
    path.write_text(text, encoding="utf-8")
    assert [row for row, _ in rows_of(path)] == rows
