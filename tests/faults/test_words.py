"""Red team 13 and 16-18: words of strangers on a terminal, secrets in a catalog, pipes among the cache's own files."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faults.shelf import HEAD, LABELS, Shelf

TITLE, TURN, CLEAR = "\x1b]0;pwn\x07", "\u202e", "\x9b2J"
WORD = f"male | {TITLE}{TURN}{CLEAR}\n\n# X <script>alert(1)</script> [o](javascript:1) 50% & @article{{x"
ROWS = {
    "dataset": ["evil", f"evil{TITLE}"],
    "image_id": [f"a{TITLE}", f"b{TURN}"],
    "key": [f"evil/a{TITLE}", f"evil/b{TURN}"],
    "diagnosis": ["melanoma", "melanocytic-nevus"],
    "sex": [WORD, "female"],
    "license": [WORD, "CC-BY-4.0"],
    "attribution": [WORD, None],
    "label_raw": [WORD, "nv"],
    "patient_id": [f"evil/p{TITLE}", f"evil/p{TITLE}"],
    "split": ["train", "test"],
}
ROWS_FORMS = ("table", "names", "json", "jsonl", "csv", "tsv")


class Terminal(io.StringIO):
    """Stdout and stderr as a terminal has them."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run a command line before a terminal; its code and all that came out."""
    from dermdata.cli.app import run

    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(ROWS), "m.parquet")
    home = tmp_path / "mine" / "datasets" / "evil"
    home.mkdir(parents=True)
    quoted = json.dumps(WORD)
    text = HEAD.replace('"ours"', '"evil"').replace('"Ours"', quoted).replace('"made by a test"', quoted)
    text += f"[license]\nid = {quoted}\nstatement = {quoted}\n[citation]\ntext = {quoted}\n"
    text += f"bibtex = {json.dumps('@article{x, title={' + WORD + '}}')}\n"
    (home / "dataset.toml").write_text(text, encoding="utf-8")
    (home / "labels.tsv").write_text(f"{LABELS}dx\ta{TITLE}{TURN}\tmelanoma\texactMatch\t\t\t\n")

    def call(*words: str) -> tuple[int, str]:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            patch.setattr(sys, "stderr", terminal)
            code = run(["--cache", str(tmp_path / "cache"), "--catalog", str(tmp_path / "mine"), *words])
        return code, terminal.getvalue()

    return call


@pytest.mark.parametrize(
    ("line", "forms"),
    [
        ("cite m.parquet", ("text", "bibtex", *ROWS_FORMS)),
        ("cite m.parquet --table1 --by license", ("markdown", "latex", "csv", "json")),
        ("info evil", ("text", "json", "bibtex", "croissant")),
        ("info evil --facts", ("text",)),
        ("list --search evil", ROWS_FORMS),
        ("stats m.parquet --by license", ROWS_FORMS),
        ("select m.parquet --show images", ROWS_FORMS),
        ("split m.parquet --check", ROWS_FORMS),
        ("audit m.parquet --allow-missing", ROWS_FORMS),
        ("labels map evil", (*ROWS_FORMS, "sssom")),
        ("labels find melanoma", ROWS_FORMS),
        ("query select~*~from~m m.parquet", ROWS_FORMS),
        ("--debug stats m.parquet --by nothing", ("table",)),
        ("export csv m.parquet -o out --where sex='\x1b]0;pwn\x07'", ("tsv",)),
    ],
)
def test_red_team_13_no_format_lets_a_terminal_obey_data(
    line: str, forms: tuple[str, ...], screen: Callable[..., tuple[int, str]]
) -> None:
    """Neither its title is set, nor its text turned around, nor its screen cleared; what is there is seen."""
    for form in forms:
        code, out = screen(*(word.replace("~", " ") for word in line.split(" ")), "--format", form)
        assert code in (0, 1, 2, 8), (form, out)
        assert not [sign for sign in (TITLE, TURN, CLEAR, "\x1b]") if sign in out], form
        if form == "json" and code == 0:
            json.loads(out[out.index("{") : out.rindex("}") + 1])  # still JSON, by its own notation


def test_red_team_13_a_pipe_gets_data_as_it_is(cli: Callable, tmp_path: Path) -> None:
    """Ids must reach the next command whole: only terminals obey them."""
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table(ROWS), path)
    out = cli("select", path, "--show", "images", "-f", "csv").out
    assert {row["key"] for row in csv.DictReader(io.StringIO(out))} == set(ROWS["key"])


def test_red_team_13_what_is_kept_as_a_document_is_harmless_in_a_pipe_too(
    screen: Callable[..., tuple[int, str]], cli: Callable, tmp_path: Path
) -> None:
    """Markdown, LaTeX, BibTeX and cards are read later, by other programs and on other terminals."""
    for words in (
        ("cite", tmp_path / "m.parquet", "--table1"),
        ("cite", tmp_path / "m.parquet", "--table1", "-f", "latex"),
        ("cite", tmp_path / "m.parquet", "-f", "bibtex"),
        ("cite", tmp_path / "m.parquet"),
        ("info", "evil", "-f", "bibtex"),
        ("info", "evil"),
    ):
        answer = cli("--catalog", tmp_path / "mine", *words)
        assert answer.code == 0, answer.err
        assert not [sign for sign in (TITLE, TURN, CLEAR) if sign in answer.out], words
        if "bibtex" in words:
            assert answer.out.count("{") == answer.out.count("}")
            assert answer.out.count("@") - answer.out.count("{@}") == 1


class Page(HTMLParser):
    """What a browser would run or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.handlers, self.addresses = 0, [], []  # type: ignore[var-annotated]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.addresses += [
            value for name, value in attrs if name in ("href", "src", "action", "formaction") and value
        ]


@pytest.mark.parametrize("by", ["sex,license,label_raw", "patient_id"])
def test_red_team_13_the_page_of_an_evaluation_holds_no_script_of_the_datas(
    by: str, screen: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Ids, labels, groups, licenses and the dataset's title in the words of a stranger, with predictions that are taken."""
    count = 24
    rows = {name: (values * count)[:count] for name, values in ROWS.items()}
    keys = [f"evil/{number}<img src=x onerror=alert(1)>{TITLE}{TURN}" for number in range(count)]
    rows |= {
        "key": keys,
        "image_id": [key.removeprefix("evil/") for key in keys],
        "dataset": ["evil"] * count,
    }
    rows |= {"malignancy": ["benign", "malignant"] * (count // 2)}
    pq.write_table(pa.table(rows), tmp_path / "m.parquet")
    chances = [number % 7 / 7 for number in range(count)]
    predictions = {"key": keys, "malignant": chances, "benign": [1 - one for one in chances], WORD: chances}
    pq.write_table(pa.table(predictions), tmp_path / "p.parquet")
    words = (
        "--target",
        "m.parquet",
        "--labels",
        "malignancy",
        "--by",
        by,
        "--bootstrap",
        "20",
        "--report",
        "e.html",
    )
    code, out = screen("evaluate", "p.parquet", *words)
    assert code == 0, out
    assert not [sign for sign in (TITLE, TURN, CLEAR) if sign in out]
    text = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert "alert(1)" in text
    assert not {"\x1b", "\x07", "\x9b", TURN} & set(text)
    page = Page()
    page.feed(text)
    assert (page.scripts, page.handlers) == (1, [])
    assert [
        one
        for one in page.addresses
        if not one.startswith(("https://", "http://", "#", "data:image/", "data:,"))
    ] == []


# ------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "url",
    [
        "http://user:SECRET@127.0.0.1:9/t.csv",
        "https://host.example/t.csv?X-Amz-Signature=SECRET",
        "http://user:se/SECRET@h/t.csv",
    ],
)
def test_red_team_16_a_secret_in_a_catalog_is_refused_and_nowhere_shown_or_kept(
    url: str, shelf: Shelf
) -> None:
    """Not in the refusal of any command, with or without --debug, and not in any file of the cache."""
    text = f'{HEAD}[[files]]\nname = "t.csv"\nrole = "metadata"\nurls = ["{url}"]\n'
    shelf.put({"table.csv": b"id,dx\na,nv\n"}, head=text)
    for words in (
        ("list",), ("info", "ours"), ("fetch", "ours"), ("--debug", "fetch", "ours"), ("doctor", "--no-network"),
        ("labels", "find", "melanoma"), ("fetch", "ours", "-f", "json"), ("verify", "ours"),
    ):  # fmt: skip
        answer = shelf.cli("--catalog", shelf.catalog, *words)
        assert answer.code in (0, 1, 2), answer.err
        assert "SECRET" not in answer.out + answer.err, words
    assert "secrets go into the environment" in answer.err
    kept = [path for path in shelf.cache.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize(
    "words",
    [
        ("--rewrite", "https://user:SECRET@proxy.example", "list"),
        ("--rewrite", "https://=ftp://user:SECRET@proxy.example", "list"),
        ("select", "s3://user:SECRET@bucket/x"),
        ("stats", "https://user:SECRET@host.example/m.parquet"),
        ("fetch", "https://host.example/x?token=SECRET"),
    ],
)
def test_red_team_16_nor_is_a_secret_of_the_command_line_repeated(
    words: tuple[str, ...], cli: Callable
) -> None:
    """What was typed wrong is told without it: the line on stderr may be a log that others read."""
    for more in ((), ("--debug",)):
        answer = cli(*more, *words)
        assert answer.code in (2, 5), answer.err
        assert "SECRET" not in answer.out + answer.err


# ------------------------------------------------------------------ what is no file


@pytest.mark.parametrize("what", ["pipe", "link", "folder", "endless"])
@pytest.mark.parametrize(
    "name", ["receipt.json", "contents-*.tsv", "manifest.parquet", "../../../locks/ours.lock"]
)
def test_red_team_17_no_command_waits_at_the_caches_own_files(name: str, what: str, shelf: Shelf) -> None:
    """Told in words or made anew; moved away as the hint says, the next fetch is whole again."""
    shelf.put({"table.csv": b"id,dx\na,nv\n"})
    assert shelf.fetch().code == 0
    (path,) = shelf.folder.glob(name)
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/etc/passwd")
    elif what == "folder":
        path.mkdir()
    elif name != "manifest.parquet":  # that one is compared by its checksum, which must read it all
        path.touch()
        os.truncate(path, 1 << 40)
    for words in (
        ("list", "--cached"),
        ("stats", "ours"),
        ("verify", "ours"),
        ("cache", "list"),
        ("query", "from ours"),
    ):
        answer = shelf.run(*words)
        assert answer.code in (0, 1, 2, 4, 5), answer.err
    answer = shelf.fetch()
    if answer.code:
        assert answer.code in (4, 5), answer.err
        path.rmdir() if what == "folder" else path.unlink()
        assert shelf.run("fetch", "ours", "--force").code == 0
    assert shelf.run("verify", "ours").code == 0


@pytest.mark.parametrize("leaf", ["dataset.toml", "labels.tsv", "files.tsv"])
def test_red_team_17_no_command_waits_at_a_catalogs_files(leaf: str, shelf: Shelf) -> None:
    """A shared folder may hold a pipe: its entry is left out, or its words are told to be unreadable."""
    shelf.put({"table.csv": b"id,dx\na,nv\n"})
    path = shelf.catalog / "datasets" / "ours" / leaf
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for words in (("list", "-f", "names"), ("info", "ours"), ("labels", "map", "ours"), ("fetch", "ours")):
        answer = shelf.run(*words)
        assert answer.code in (0, 2), answer.err
    assert f"{path} cannot be read: is a pipe, not a file" in answer.err


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_red_team_17_no_command_waits_at_a_file_of_credentials(
    kind: str, cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor` looks for them all."""
    place = tmp_path / "token"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.touch()
        os.truncate(place, 1 << 40)
    monkeypatch.setenv("HF_TOKEN_PATH", str(place))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    answer = cli("doctor", "--no-network", "-f", "tsv")
    assert answer.code == 1
    assert f"{place} cannot be read" in answer.out


def test_red_team_18_pages_that_a_browser_would_run_are_refused(shelf: Shelf) -> None:
    """Where, what and the mend; everything else of the catalog is there."""
    page = 'homepage = "javascript:alert(1)"\n'
    shelf.put({"table.csv": b"id,dx\na,nv\n"}, head=page + HEAD + '[license]\nurl = "data:text/html,x"\n')
    answer = shelf.run("info", "ours")
    assert answer.code == 2
    assert "homepage: 'javascript:alert(1)' is no http(s) address: write the page's, https://…" in answer.err
    assert "license.url: 'data:text/html,x' is no http(s) address" in answer.err
    assert "dataset.toml has 2 issue(s)" in answer.err
    assert "ham10000" in shelf.run("list", "-f", "names").out
