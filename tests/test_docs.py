"""The documentation is true: generated pages are fresh, what it names exists, what it shows happens."""

import importlib
import importlib.util
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dermdata import errors
from support import pages
from support.ready_command import ready_command

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "benchmarks/README.md", *ROOT.glob("docs/*.md")])
REPOSITORY = "https://github.com/dermdata/dermdata/"
WITH_STEPS = [path for path in PAGES if pages.steps(path.read_text(encoding="utf-8"))]
OTHER_PROGRAMS = {"--quick", "--cohort"}  # benchmarks/run.py


def script(name: str) -> ModuleType:
    """A module of scripts/, which import each other by name."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def generator() -> ModuleType:
    """How the docs see the app, and what they say is not there yet."""
    return script("docs_commands")


@cache
def commands() -> dict[str, Any]:
    return generator().commands()


@cache
def global_options() -> set[str]:
    names = {name for one in generator().global_options() for name in (*one.opts, *one.secondary_opts)}
    return {*names, "--help", *generator().SHELL}


@cache
def promised() -> set[str]:
    """Commands and options that the docs may name because they say that these are not there yet."""
    missing = [one for one in generator().PROMISES if not generator().kept(one)]
    return {one.option if one.option and not one.word else one.command for one in missing if not one.word}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def each_page(paths: list[Path]) -> Any:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


# ------------------------------------------------------------------ generated


def test_generated_pages_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    done = subprocess.run(
        [sys.executable, "scripts/make_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_notices_a_stale_page() -> None:
    """A block that somebody wrote by hand is not what the generator makes."""
    make_docs = script("make_docs")
    stale = "before\n<!-- make docs: commands -->\nby hand\n<!-- end -->\nafter\n"
    fresh = make_docs.filled(stale)
    assert "by hand" not in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith("\nafter\n")
    assert make_docs.filled(fresh) == fresh


def test_every_key_of_an_entry_has_a_meaning_and_an_example() -> None:
    """A key that is new in the code needs a comment there, and an example in the catalog or in scripts/docs_keys.py."""
    rows = script("docs_keys").list_rows()
    assert len(rows) > 100
    assert [row for row in rows if not row[2] or not (row[3] or row[1].startswith("`["))] == []


def test_every_block_of_the_pages_is_one_that_is_made() -> None:
    """A misspelled marker would stay empty for ever."""
    opened = [name for path in PAGES for name in re.findall(r"<!-- make docs: (.*?) -->", text_of(path))]
    assert sorted(opened) == sorted(script("make_docs").BLOCKS)


# ------------------------------------------------------------------ what pages name


@each_page(PAGES)
def test_every_command_and_option_exists(path: Path) -> None:
    """In code and between backticks; what is not there yet must be on the README's list."""
    wrong = [
        f"dermdata {' '.join(words)}: {problem}"
        for words in (
            *pages.command_lines(text_of(path)),
            *pages.short_commands(text_of(path), {name.split()[0] for name in commands()}),
        )
        for problem in problems(words)
    ]
    everywhere = global_options().union(*map(generator().option_names, commands().values()))
    lone = pages.options_alone(text_of(path)) - everywhere - promised() - OTHER_PROGRAMS
    assert not wrong + sorted(lone)


def problems(words: list[str]) -> list[str]:
    """What is wrong with the words after `dermdata`; a placeholder such as … or COMMAND stands for any."""
    rest = list(words)
    found = []
    while rest and rest[0].startswith("-"):
        name = rest.pop(0).partition("=")[0]
        if name not in global_options():
            found.append(f"no global option {name}")
        if name in ("--cache", "--catalog", "--rewrite", "--color") and rest:
            rest.pop(0)
    if not rest or rest[0] == pages.ANYTHING or rest[0].isupper():
        return found
    if rest[:2] == ["as", "dd"]:  # Python, whose sessions run in tests/api/test_pages.py
        return found
    command = next((one for one in (" ".join(rest[:2]), rest[0]) if one in commands()), None)
    if command is None:
        groups = {one.split()[0] for one in commands()}
        missing = promised()
        known = " ".join(rest[:2]) in missing or rest[0] in missing or (rest[0] in groups and len(rest) == 1)
        return found if known else [*found, "no such command"]
    names = generator().option_names(commands()[command]) | promised() | set(global_options())
    asked = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return [*found, *(f"{command} has no option {name}" for name in asked if name not in names)]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("`dermdata fetch demo --dry-run`", 0),
        ("`dermdata fetch demo --dryrun`", 1),
        ("`dermdata fletch demo`", 1),
        ("`dermdata --ofline verify`", 1),
        ("```sh\ndermdata cache lst | head\n```", 1),
        ("```console\n$ dermdata list -f names | xargs dermdata info --bibtex\n```", 1),
    ],
)
def test_the_check_of_commands_sees_what_is_wrong(line: str, wrong: int) -> None:
    """A check that cannot fail would prove nothing."""
    found = [problem for words in pages.command_lines(line) for problem in problems(words)]
    assert len(found) == wrong


@each_page(PAGES)
def test_datasets_are_called_by_their_names(path: Path) -> None:
    """A command of a page can be copied: `isic2019` is no dataset, `isic-2019` is."""
    text = text_of(path)
    assert [word for words in pages.command_lines(text) for word in words if is_misnamed(word)] == []


def is_misnamed(word: str) -> bool:
    """Whether the word is a dataset's name but for hyphens, underscores and letter case."""
    return word not in dataset_names() and spell_plainly(word) in {*map(spell_plainly, dataset_names())}


def spell_plainly(name: str) -> str:
    return re.sub("[-_]", "", name.lower())


@cache
def dataset_names() -> frozenset[str]:
    return frozenset(path.parent.name for path in ROOT.glob("catalog/*/*/dataset.toml"))


@pytest.mark.parametrize(
    ("word", "wrong"),
    [
        ("isic2019", True),
        ("HAM10000", True),
        ("ph-2", True),
        ("pad_ufes_20", True),
        ("isic-2019", False),
        ("mine", False),
    ],
)
def test_the_check_of_names_sees_what_is_wrong(word: str, wrong: bool) -> None:
    assert is_misnamed(word) == wrong


@each_page(PAGES)
def test_internal_links_lead_somewhere(path: Path) -> None:
    """Files exist, and so do the headings after #; also of links to the repository's own address."""
    assert not dead_links(path, text_of(path))


def dead_links(path: Path, text: str) -> list[str]:
    dead = []
    for link in pages.links(text):
        target, _, anchor = link.partition("#")
        if found := re.match(rf"{REPOSITORY}(?:blob|tree)/main/(.*)", target):
            place = ROOT / found[1]
        elif "://" in target:
            continue
        else:
            place = (path.parent / target).resolve() if target else path
        if not place.exists() or (anchor and anchor not in pages.anchors(text_of(place))):
            dead.append(link)
    return dead


@pytest.mark.parametrize(
    ("link", "dead"),
    [
        ("docs/splits.md#what-is-balanced", False),
        ("docs/splits.md#what-is-balance", True),
        ("docs/split.md", True),
        ("#exit-codes", False),
        ("#exit-code", True),
        (f"{REPOSITORY}blob/main/docs/splits.md#what-is-balanced", False),
        (f"{REPOSITORY}blob/main/docs/splits.md#balance", True),
        (f"{REPOSITORY}tree/main/doc", True),
        (f"{REPOSITORY}issues", False),
    ],
)
def test_the_check_of_links_sees_what_is_dead(link: str, dead: bool) -> None:
    readme = ROOT / "README.md"
    assert bool(dead_links(readme, f"{text_of(readme)}\n[a link]({link})\n")) is dead


def test_the_readme_has_no_relative_link() -> None:
    """It is shown in other places than the repository, where such a link leads nowhere."""
    assert [link for link in pages.links(text_of(ROOT / "README.md")) if "://" not in link] == []


# ------------------------------------------------------------------ the site


def test_every_page_is_on_the_site() -> None:
    """`mkdocs build --strict` refuses a page without a place too, and a place without a page; here without mkdocs."""
    listed = re.findall(r"^ +- (?:.*: )?(\S+\.md)$", text_of(ROOT / "mkdocs.yml"), re.MULTILINE)
    outside = script("site_pages").OUTSIDE
    assert sorted(listed) == sorted([path.name for path in ROOT.glob("docs/*.md")] + [*outside.values()])
    assert all((ROOT / name).is_file() for name in outside)


def test_the_site_is_built_so_that_dead_links_end_it() -> None:
    """mkdocs counts only the warnings that it would print: with `--quiet`, `--strict` finds nothing."""
    [line] = [line for line in text_of(ROOT / "Makefile").splitlines() if "mkdocs build" in line]
    assert line.endswith("mkdocs build --strict")
    checks = text_of(ROOT / "mkdocs.yml").partition("validation:\n")[2].split()
    assert checks[1::2] == ["warn"] * 5


@pytest.mark.parametrize(
    ("link", "source", "expected"),
    [
        ("splits.md#x", "docs/labels.md", "splits.md#x"),
        ("docs/splits.md", "CHANGELOG.md", "splits.md"),
        (f"{REPOSITORY}blob/main/docs/splits.md#x", "README.md", "splits.md#x"),
        ("../benchmarks/README.md", "docs/splits.md", "benchmarks.md"),
        (f"{REPOSITORY}blob/main/CHANGELOG.md", "README.md", "changelog.md"),
        ("../LICENSE", "docs/splits.md", f"{REPOSITORY}blob/main/LICENSE"),
        ("transfer.py", "benchmarks/README.md", f"{REPOSITORY}blob/main/benchmarks/transfer.py"),
        ("#x", "README.md", "#x"),
        ("https://example.org/docs/splits.md", "README.md", "https://example.org/docs/splits.md"),
        ("split.md", "docs/labels.md", "split.md"),
    ],
)
def test_a_link_leads_to_the_page_or_to_the_repository(link: str, source: str, expected: str) -> None:
    """A dead one stays, so that `mkdocs build --strict` names it."""
    on_site = {"index.md", "splits.md", "labels.md", "changelog.md", "benchmarks.md"}
    assert script("site_pages").site_link(link, source, on_site) == expected


def test_the_readme_lists_every_exit_code() -> None:
    """Those of the error tree, and of an interrupt and a closed pipe."""
    section = text_of(ROOT / "README.md").partition("## Exit codes")[2].partition("\n## ")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    tree = {
        one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")
    }
    assert listed == tree | {0, 130, 141}


# ------------------------------------------------------------------ what pages show


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """What a shell finds first: `dermdata`, ready-made. The pages have 40 commands, of which most are start-up."""
    with ready_command(tmp_path_factory.mktemp("bin")) as folder:
        yield [folder]


@pytest.mark.xdist_group("pages")
@each_page(WITH_STEPS)
def test_the_steps_of_a_page_give_what_it_says(path: Path, tmp_path: Path, programs: list[Path]) -> None:
    """Every console block of the page, in one shell, from an empty folder and without internet."""
    text = text_of(path).replace("8765", str(free_port()))
    asked = pages.steps(text)
    settings = {"DERMDATA_CACHE": str(tmp_path / "cache")}
    printed = pages.outputs([one.command for one in asked], tmp_path, settings, programs)
    for step, shown in zip(asked, printed, strict=True):
        assert pages.agrees(shown, step.printed), (
            f"$ {step.command}\n{shown}\n--- the page says:\n{step.printed}"
        )


def free_port() -> int:
    """The page's own port may be taken on a machine that runs tests."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_worked_example_is_among_the_pages_that_are_run() -> None:
    assert {path.name for path in WITH_STEPS} >= {"README.md", "add-a-dataset.md", "labels.md", "splits.md"}


def test_an_output_that_differs_is_noticed(tmp_path: Path) -> None:
    """Also when only a part of the line may differ."""
    text = "```console\n$ echo one two\none …\n$ echo one two\ntwo …\n```\n"
    asked = pages.steps(text)
    printed = pages.outputs([one.command for one in asked], tmp_path, {})
    assert [pages.agrees(shown, step.printed) for step, shown in zip(asked, printed, strict=True)] == [
        True,
        False,
    ]


@pytest.mark.xdist_group("pages")
def test_rows_find_images_in_a_tar(tmp_path: Path, programs: list[Path]) -> None:
    """The page's own example, with a tar in place of the zip."""
    text = text_of(ROOT / "docs/add-a-dataset.md").replace("8765", str(free_port()))
    text = text.replace(
        "python3 -m zipfile -c site/pictures.zip pictures/*.jpg", "tar -cf site/pictures.tar pictures"
    )
    text = text.replace("pictures.zip", "pictures.tar").replace('unpack = "zip"', 'unpack = "tar"')
    commands = [one.command for one in pages.steps(text)]
    last = next(n for n, one in enumerate(commands) if one == "dermdata fetch clinic-x")
    settings = {"DERMDATA_CACHE": str(tmp_path / "cache")}
    printed = pages.outputs(commands[: last + 1], tmp_path, settings, programs)
    assert "4 rows of 4" in printed[-1]
    assert "without an image file" not in printed[-1]


# ------------------------------------------------------------------ benchmarks


@cache
def runner() -> ModuleType:
    """benchmarks/run.py"""
    spec = importlib.util.spec_from_file_location("benchmarks_run", ROOT / "benchmarks/run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_benchmark_replaces_its_own_section_and_a_new_one_is_added() -> None:
    page = "# B\n\n<!-- run: one -->\nold\n<!-- end -->\n\nby hand\n"
    put = runner().put
    assert put(page, "one", "new") == page.replace("old", "new")
    assert put(put(page, "two", "2"), "two", r"3 \1").startswith(page.rstrip())
    assert put(put(page, "two", "2"), "two", r"3 \1").endswith(
        "## two\n\n<!-- run: two -->\n3 \\1\n<!-- end -->\n"
    )


def test_tables_stay_tables_and_other_output_becomes_a_block() -> None:
    table = "| a |\n|---|\n| 1 |"
    assert runner().as_markdown(table) == table
    assert runner().as_markdown("a  b\n1  2") == "```text\na  b\n1  2\n```"


def test_a_benchmark_that_fails_is_told_and_gives_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its section must stay as it was."""
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no luck')", encoding="utf-8")
    assert runner().measured(broken, []) is None
    assert "no luck" in capsys.readouterr().err


def test_every_script_has_its_section_on_the_page() -> None:
    """And every section its script."""
    sections = re.findall(r"<!-- run: (.*?) -->", text_of(ROOT / "benchmarks/README.md"))
    assert sorted(sections) == sorted(runner().scripts())
