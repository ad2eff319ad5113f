"""How the house is built, as far as a test can hold it: names, size, floors, and what the command line may know."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from radon.complexity import cc_visit

from dermdata.markup import make_plural

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dermdata"
CLI = PACKAGE / "cli"
PATHS = sorted(PACKAGE.rglob("*.py"))
LINES = 120  # a file of the command line has fewer
LONGEST = 500  # lines of any file
COMPLEXITY = 10  # of a function, by radon, comprehensions counted
SHARE = 0.02  # of function names that say what was done, or where, in place of what is done
# what the command line may import of dermdata
OPEN = ("dermdata.api", "dermdata.errors", "dermdata.model", "dermdata.progress")
# what several commands stand on
SHARED = {
    "app", "cells", "commands", "complete", "failures", "findings", "global_options", "label_options", "output",
    "printed_report", "root", "state", "tables", "workers",
}  # fmt: skip
FILES = sorted(path.stem for path in CLI.glob("*.py") if path.stem != "__init__")
PARTICIPLES = frozenset((
    "begun", "bound", "brought", "built", "caught", "chosen", "done", "drawn", "driven", "fallen", "found", "given",
    "gone", "grown", "held", "hidden", "kept", "known", "laid", "left", "lent", "lost", "made", "meant", "met",
    "paid", "said", "seen", "sent", "shown", "sold", "spoken", "struck", "sunk", "swept", "taken", "taught",
    "thought", "thrown", "told", "torn", "understood", "unread", "won", "written",
))  # fmt: skip
NO_PARTICIPLES = frozenset((
    "embed", "exceed", "feed", "need", "proceed", "seed", "shed", "shred", "speed", "split",
))  # fmt: skip
PREPOSITIONS = frozenset((
    "about", "above", "across", "after", "against", "along", "among", "around", "as", "at", "before", "behind",
    "below", "beneath", "beside", "between", "beyond", "by", "during", "except", "in", "inside", "into", "like", "of",
    "off", "on", "onto", "out", "outside", "over", "per", "since", "than", "through", "under", "until", "upon", "via",
    "with", "within", "without",
))  # fmt: skip


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in PATHS}


@cache
def trees() -> dict[str, ast.Module]:
    """Every module, parsed: here only, since each worker imports this file and one runs its tests."""
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


# ------------------------------------------------------------------ names


def test_no_class_name_is_there_twice() -> None:
    homes = defaultdict(list)
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(name)
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_no_module_is_hidden_by_a_name_of_its_package() -> None:
    """`from dermdata.split import check` is the module, whatever the package shows beside it."""
    hidden = []
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            shown = {word for node in trees()[name].body for word in bound_names(node, name)}
            hidden += [f"{name}.{word}" for word in shown if f"{name}.{word}" in MODULES]
    assert hidden == []


def bound_names(node: ast.stmt, package: str) -> Iterator[str]:
    """The names that a statement of a package binds there, also for type checkers alone; not its own modules."""
    if isinstance(node, ast.ImportFrom | ast.Import):
        own = isinstance(node, ast.ImportFrom) and node.module == package
        yield from (one.asname or one.name for one in node.names if not own)
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (
            word.id for target in node.targets for word in ast.walk(target) if isinstance(word, ast.Name)
        )
    elif isinstance(node, ast.If):
        for one in node.body:
            yield from bound_names(one, package)


def says_no_deed(name: str) -> bool:
    """Whether a function's name is a bare participle, or begins with a preposition."""
    words = name.strip("_").split("_")
    if words[0] in PREPOSITIONS:
        return True
    if len(words) > 1 or words[0] in NO_PARTICIPLES:
        return False
    return words[0] in PARTICIPLES or (words[0].endswith("ed") and len(words[0]) > 3)


def test_functions_are_called_by_what_they_do() -> None:
    names = [
        (module, node.name)
        for module, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    poor = [f"{module}.{name}" for module, name in names if says_no_deed(name)]
    assert len(poor) < SHARE * len(names), poor


# ------------------------------------------------------------------ size


def test_no_file_is_too_long_to_be_read_alone() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_function_decides_too_much() -> None:
    found = {}
    for name, path in MODULES.items():
        for block in cc_visit(path.read_text(encoding="utf-8")):
            for one in (block, *getattr(block, "methods", ())):
                if one.letter != "C" and one.complexity > COMPLEXITY:
                    found[f"{name}:{one.fullname}"] = one.complexity
    assert found == {}


# ------------------------------------------------------------------ floors


def imports_of(module: str) -> set[str]:
    """The modules of dermdata that this one imports anywhere when it runs: in functions as well, not for types alone."""
    found: set[str] = set()
    stack: list[ast.AST] = [trees()[module]]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{one.name}" for one in node.names}
            found |= {name if name in MODULES else str(node.module) for name in inner}
        stack.extend(ast.iter_child_nodes(node))
    return {name for name in found if name in MODULES and name != module}


def test_no_imports_go_round_in_a_circle() -> None:
    """Neither do those inside functions, which import-linter's floors of packages cannot tell within one package."""
    left = {name: imports_of(name) for name in MODULES}
    while free := [name for name, below in left.items() if not below]:
        for name in free:
            del left[name]
        for below in left.values():
            below.difference_update(free)
    assert sorted(left) == []


def imported(path: Path) -> Iterator[str]:
    """What a file imports anywhere, in functions and for types as well; `from a import b` is a.b."""
    for node in ast.walk(trees()[module_of(path)]):
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
    others = set(FILES) - SHARED
    found = [
        name.split(".")[2] for name in imported(CLI / f"{stem}.py") if is_within(name, ("dermdata.cli",))
    ]
    assert [name for name in found if name in others and (stem in SHARED or command_of(name) != own)] == []


def test_what_is_shared_is_there() -> None:
    assert SHARED - set(FILES) == set()


# ------------------------------------------------------------------ words


NOUNS = (
    "address", "annotation", "archive", "attempt", "box", "case", "cell", "check", "class", "cluster",
    "column", "concept", "copy", "dataset", "duplicate", "entry", "error", "failure", "field", "file",
    "finding", "fold", "folder", "frame", "group", "image", "issue", "item", "label", "lesion", "license",
    "line", "link", "mapping", "mask", "member", "note", "number", "pair", "part", "patient", "picture",
    "problem", "record", "row", "shard", "split", "table", "value", "version", "warning", "word",
)  # fmt: skip
PLURALS = "|".join(map(make_plural, NOUNS))
DIRECT = re.compile(rf" (?:{PLURALS})\b")  # after any value
LATER = re.compile(rf" (?!of|in|is|are)[a-z]+ (?:[a-z]+ )?(?:{PLURALS})\b")  # after what is surely a number


def find_fixed_plurals(tree: ast.AST) -> Iterator[str]:
    """F-strings in which a number stands before a noun for several things, whatever the number is: `1 rows`."""
    for node in ast.walk(tree):
        for value, words in pairwise(node.values) if isinstance(node, ast.JoinedStr) else ():
            if isinstance(value, ast.FormattedValue) and isinstance(words, ast.Constant):
                code = ast.unparse(value.value)
                is_number = code.startswith(("len(", "int(", "sum(")) or value.format_spec is not None
                found = DIRECT.match(words.value) or (is_number and LATER.match(words.value))
                if found and not code.isupper() and "count_nouns" not in code:  # a limit is of several
                    yield f"{{{code}}}{found[0]}"


def test_a_number_and_its_noun_agree() -> None:
    """`count_nouns`, `count_share` and `phrase_count` of dermdata/markup.py say `1 row has` and `2 rows have`."""
    found = {name: fixed for name, tree in trees().items() if (fixed := list(find_fixed_plurals(tree)))}
    assert found == {}


@pytest.mark.parametrize(
    "code",
    [
        'f"{len(rows):,} rows are wrong"',
        'f"{count} images"',
        'f"and {len(names) - 3:,} more classes"',
        'f"{name}: {self.count:,} entries, {size}"',
        'f"{number:,} different image files have this name"',
    ],
)
def test_a_plural_that_is_fixed_is_found(code: str) -> None:
    assert len(list(find_fixed_plurals(ast.parse(code)))) == 1
