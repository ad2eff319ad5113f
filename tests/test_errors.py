"""The error tree: what its docstring draws is what there is, and each class has its exit code."""

import inspect
import re

import pytest

from dermdata import errors
from dermdata.errors import DermdataError, UnknownName, nearest

LINE = re.compile(r"^ {4}(?P<depth>(?:│   |    )*)(?:[├└]── )?(?P<name>[A-Z]\w+)(?: \((?P<code>\d+)\))?")
CLASSES = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, DermdataError)
}


def drawn() -> list[tuple[str, str | None, int | None]]:
    """(name, parent, exit code) of every line of the drawing."""
    found: list[tuple[str, str | None, int | None]] = []
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if (match := LINE.match(line)) and match["name"] in CLASSES:
            depth = len(match["depth"]) // 4 + ("──" in line)
            above[depth] = match["name"]
            found.append((match["name"], above.get(depth - 1), int(match["code"]) if match["code"] else None))
    return found


def test_every_class_is_drawn_once() -> None:
    """No class is left out of the drawing, and none is drawn that does not exist."""
    assert sorted(name for name, _, _ in drawn()) == sorted(CLASSES)


@pytest.mark.parametrize(("name", "parent", "code"), drawn())
def test_the_drawing_is_true(name: str, parent: str | None, code: int | None) -> None:
    """Each class hangs below the class it is drawn below, with the exit code that is drawn."""
    kind = CLASSES[name]
    assert kind.__base__ is (CLASSES[parent] if parent else Exception)
    if code is not None:
        assert kind.exit_code == code


@pytest.mark.parametrize(("name", "parent", "code"), [one for one in drawn() if one[2] is None and one[1]])
def test_a_class_without_a_drawn_code_has_its_parents(name: str, parent: str, code: None) -> None:
    """The codes are drawn where they change."""
    assert CLASSES[name].exit_code == CLASSES[parent].exit_code


def test_the_words_for_json_are_one_for_each_class() -> None:
    """A program can tell every error from every other by `code`, which is snake case."""
    codes = [kind.code for kind in CLASSES.values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_no_error_means_success() -> None:
    """0 is success and 1 is for findings alone."""
    assert all(kind.exit_code > 0 for kind in CLASSES.values())
    assert [name for name, kind in CLASSES.items() if kind.exit_code == 1] == ["ProblemsFound"]


def test_an_unknown_name_says_what_may_be_meant() -> None:
    """The nearest names first; where nothing is near, the hint that was given."""
    error = UnknownName("dataset", "ham1000", ["ham10000", "scin"], hint="list them")
    assert error.message == "unknown dataset 'ham1000'"
    assert error.hint == "did you mean ham10000?"
    assert UnknownName("dataset", "qqqq", ["ham10000"], hint="list them").hint == "list them"
    assert UnknownName("dataset", "x", []).hint is None


def test_nearest_knows_no_more_than_it_is_told() -> None:
    """At most the limit, and nothing where nothing is alike."""
    assert len(nearest("isic-201", [f"isic-201{n}" for n in range(6, 10)])) == 3
    assert nearest("", ["a"]) == []
