"""What an impatient user types: each wrong request is told in words, before the work, and nothing is a fault of ours."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Answer
from dermdata.manifest.parquet import write_manifest
from support.label_tables import manifest, row

Cli = Callable[..., Answer]


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A manifest of one row."""
    path = tmp_path / "one.parquet"
    write_manifest(manifest(row("ham10000", "1", "nv")), path, {})
    return path


@pytest.fixture
def nothing(one: Path) -> Path:
    """A manifest of no rows, as a selection that nothing meets leaves it."""
    path = one.with_name("nothing.parquet")
    pq.write_table(pq.read_table(one).slice(0, 0), path)
    return path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["cite"], 0),
        (["cite", "--table1"], 0),
        (["audit"], 0),
        (["stats"], 0),
        (["query", "SELECT * FROM images"], 0),
        (["split"], 2),
        (["lock", "-o", "nothing.lock"], 2),
    ],
)
def test_no_rows_are_no_fault(cli: Cli, nothing: Path, words: list[str], code: int) -> None:
    """A table without rows is answered, or refused with the reason."""
    answer = cli(*words, nothing)
    assert answer.code == code, answer.err
    assert ("no rows" in answer.err) == (code == 2)


@pytest.mark.parametrize(
    "words",
    [
        ["lock", "one.parquet", "-o"],
        ["audit", "one.parquet", "--report"],
        ["cache", "bundle", "demo", "-o"],
    ],
)
@pytest.mark.parametrize("out", [".", "folder"])
def test_a_folder_in_place_of_a_file(
    cli: Cli, one: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], out: str
) -> None:
    """Exit 2 before anything is read or written."""
    monkeypatch.chdir(one.parent)
    Path("folder").mkdir()
    assert cli("--quiet", "fetch", "demo").code == 0
    answer = cli(*words, out)
    assert (answer.code, answer.out) == (2, "")
    assert f"{out} is a folder, a file is needed" in answer.err


@pytest.mark.parametrize(
    "words", [["select", "nosuch"], ["split", "nosuch"], ["query", "SELEC"], ["sync", "one.parquet"]]
)
def test_an_output_of_no_known_ending_is_said_before_the_work(
    cli: Cli, one: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """A cohort is not fetched first to be thrown away."""
    monkeypatch.chdir(one.parent)
    answer = cli(*words, "-o", "out.xyz")
    assert (answer.code, answer.out) == (2, "")
    assert "cannot tell the format of out.xyz" in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["select", ""], "no TARGET given"),
        (["sync", "nosuch.lock"], "no lock file at nosuch.lock"),
        (["cite", "--by", "sex"], "add --table1"),
        (["audit", "demo", "--only", "duplicate-near"], "add --near"),
        (["query", ""], "there is no query"),
        (["labels", "map", "--csv", "x.csv"], "the column that holds the diagnosis words"),
        (["--format", "json", "list"], '"code": "usage"'),
    ],
)
def test_a_wrong_request_is_said_in_words(cli: Cli, words: list[str], says: str) -> None:
    """Exit 2, nothing on stdout, what is wrong or what to do."""
    answer = cli(*words)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err


@pytest.mark.parametrize("words", [["select", "-"], ["query", "-"]])
def test_a_closed_stdin_is_said(tmp_path: Path, words: list[str]) -> None:
    """As cron and some job schedulers leave it."""
    line = [sys.executable, "-m", "dermdata", "--cache", str(tmp_path), *words]
    told = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *line], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (2, "")
    assert "stdin is closed" in told.stderr


def test_a_spreadsheet_of_another_language_is_read(cli: Cli, tmp_path: Path) -> None:
    """A byte-order mark, semicolons and CRLF; its rows are no rows of nothing."""
    path = tmp_path / "excel.csv"
    path.write_bytes("\ufeffdataset;image_id;sex\r\nmine;1;male\r\nmine;2;\r\n".encode())
    answer = cli("select", path, "--show", "images", "--format", "names")
    assert (answer.code, answer.out.split()) == (0, ["mine/1", "mine/2"]), answer.err


def test_bytes_that_are_no_table(cli: Cli, tmp_path: Path) -> None:
    """A header that two readers part differently is refused, no fault of ours."""
    path = tmp_path / "noise.csv"
    path.write_bytes(b'\t@\x07)"jD\xffd\t\x15\rf,V\'"g\n"AD@\x03k\n')
    assert cli("select", path).code == 2


def test_a_column_twice_is_counted_once(cli: Cli, one: Path) -> None:
    """As JSON holds each key once, so does the table."""
    assert cli("stats", one, "--by", "sex,sex", "-f", "csv").out.startswith("sex,images,")


def test_query_says_what_it_wrote(cli: Cli, one: Path) -> None:
    """As `select` and `split` do."""
    out = one.with_name("answer.csv")
    assert f"1 row written to {out}" in cli("query", "SELECT key FROM images", one, "-o", out).err


def test_a_bundle_may_be_planned(cli: Cli, tmp_path: Path) -> None:
    """--dry-run says how much, and writes nothing."""
    assert cli("--quiet", "fetch", "demo").code == 0
    answer = cli("cache", "bundle", "demo", "-o", tmp_path / "b.tar", "--dry-run")
    assert (answer.code, answer.out) == (0, "")
    assert "would write 1 dataset version" in answer.err
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.parametrize("words", [["stats"], ["select"], ["query", "SELECT 1"]])
@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_a_manifest_of_a_later_dermdata(cli: Cli, one: Path, words: list[str], ending: str) -> None:
    """Its columns may mean something else: no command reads it, in whatever format."""
    table, path = pq.read_table(one), one.with_name(f"later{ending}")
    table = table.replace_schema_metadata({**table.schema.metadata, b"dermdata.schema": b"99"})
    if ending == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    answer = cli(*words, path)
    assert (answer.code, answer.out) == (2, "")
    assert "newer than" in answer.err


# ------------------------------------------------------------------ names as people write them


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("DEMO", "demo"),
        ("Pad-UFES-20", "pad-ufes-20"),
        ("PAD_UFES_20", "pad-ufes-20"),
        ("ISIC 2019", "isic-2019"),
    ],
)
def test_a_dataset_is_known_in_capitals_and_with_other_dashes(typed: str, name: str, cli: Cli) -> None:
    """As papers write it; what is printed is its own name."""
    answer = cli("info", typed, "-f", "json")
    assert (answer.code, f'"name": "{name}"' in answer.out) == (0, True), answer.err


def test_every_command_knows_a_dataset_in_capitals(cli: Cli) -> None:
    """There is one copy, under its own name."""
    for words in (["fetch", "DEMO"], ["stats", "Demo"], ["verify", "DEMO"], ["labels", "map", "DEMO"]):
        assert cli(*words).code == 0, words
    assert cli("cache", "list", "-f", "names").out == "demo\n"
    assert cli("cache", "remove", "Demo").code == 0


@pytest.mark.parametrize(
    ("typed", "near"), [("pad", "pad-ufes-20"), ("HAM", "ham10000"), ("fitz", "fitzpatrick17k")]
)
def test_a_beginning_of_a_name_has_its_suggestion(typed: str, near: str, cli: Cli) -> None:
    """Never taken for the name itself: it may be that of another one tomorrow."""
    answer = cli("info", typed)
    assert (answer.code, near in answer.err.partition("did you mean")[2]) == (2, True), answer.err
