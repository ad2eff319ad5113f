"""`--format json` is JSON: one document on stdout, an error as JSON on stderr, for every command that offers it."""

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main
from PIL import Image

from dermdata.cli.commands import COMMANDS, MODULES

# by command: a line that ends well, and one that does not. {t}: a folder of this test
LINES: dict[str, tuple[str, str]] = {
    "list": ("list --access open", "list --sort nothing"),
    "info": ("info demo", "info nothing"),
    "fetch": ("fetch demo", "fetch nothing"),
    "add": ("add mine {t}/own -o {t}/lab --image picture --dry-run", "add mine {t}/nothing -o {t}/lab"),
    "verify": ("verify demo", "verify nothing"),
    "cache list": ("cache list", "cache list --nothing"),
    "cache path": ("cache path", "cache path --nothing"),
    "labels find": ("labels find melanoma", "labels find"),
    "labels spaces": ("labels spaces", "labels spaces nothing"),
    "labels tree": ("labels tree melanoma", "labels tree nothing"),
    "labels map": ("labels map demo", "labels map nothing"),
    "labels align": ("labels align demo ham10000", "labels align nothing"),
    "labels review": ("labels review", "labels review nothing"),
    "labels diff": ("labels diff {catalog} {catalog}", "labels diff {t}/nothing {t}/nothing"),
    "select": ("select demo", "select nothing"),
    "query": ("query 'select count(*) as n from demo'", "query 'select nothing from demo'"),
    "split": ("split demo -o {t}/s.parquet", "split nothing"),
    "export": ("export csv demo -o {t}/d.csv", "export csv nothing -o {t}/d.csv"),
    "stats": ("stats demo --by sex", "stats demo --by nothing"),
    "audit": ("audit demo", "audit nothing"),
    "evaluate": (
        "evaluate {t}/p.csv --target demo --labels malignancy",
        "evaluate {t}/nothing.csv --target demo",
    ),
    "catalog check": ("catalog check {t}/lab", "catalog check {t}/nothing"),
    "lock": ("lock demo -o {t}/c.lock", "lock nothing -o {t}/c.lock"),
    "sync": ("sync {t}/c.lock", "sync {t}/nothing.lock"),
    "cite": ("cite demo", "cite nothing"),
    "doctor": ("doctor --no-network", "doctor --nothing"),
}
FINDS = {"audit": 1}  # what is planted in the demo dataset
MORE = [
    "fetch demo --dry-run", "fetch demo --force", "fetch demo --only metadata", "verify demo --all", "verify demo --repair",
    "export csv demo -o {t}/d.csv --dry-run", "export imagefolder demo -o {t}/f", "export coco demo -o {t}/c --copy",
    "query 'select key from demo' -o {t}/q.parquet", "split {t}/parts.parquet --check", "cite demo --table1",
    "labels map --csv {t}/words.csv --column dx", "lock demo -o {t}/c.lock --dry-run", "sync {t}/c.lock --dry-run",
    "sync {t}/c.lock -o {t}/again.parquet", "select demo --show images", "select demo -o {t}/x.csv", "info demo --facts",
]  # fmt: skip


def list_offers() -> Iterator[str]:
    """Every command, with those below it, that has `--format`, as its own parser says."""
    for name in COMMANDS:
        command = typer.main.get_command(import_module(f"dermdata.cli.{MODULES.get(name, name)}").app)
        below = getattr(command, "commands", None)
        for path, one in (
            ((f"{name} {sub}", one) for sub, one in below.items()) if below else [(name, command)]
        ):
            if any("--format" in option.opts for option in one.params):
                yield path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the demo, predictions and a lock of it."""
    from dermdata.cli.app import run

    place = tmp_path_factory.mktemp("json")
    for words in (
        ["fetch", "demo"],
        ["lock", "demo", "-o", "c.lock"],
        ["split", "demo", "-o", "parts.parquet"],
    ):
        full = [str(place / word) if "." in word else word for word in words]
        assert run(["-q", "--cache", str(place / "cache"), *full]) == 0
    import pyarrow.parquet as pq

    rows = pq.read_table(next(place.rglob("manifest.parquet"))).to_pylist()
    lines = [f"{row['key']},malignant" for row in rows]
    (place / "p.csv").write_text("\n".join(["key,prediction", *lines, ""]))
    (place / "own").mkdir()
    Image.new("RGB", (8, 8)).save(place / "own" / "a.png")
    (place / "own" / "t.csv").write_text("picture,dx\na,nevus\n")
    assert (
        run(
            [
                "-q",
                "--cache",
                str(place / "cache"),
                "add",
                "owned",
                str(place / "own"),
                "-o",
                str(place / "lab"),
            ]
        )
        == 0
    )
    (place / "words.csv").write_text("dx\nmelanoma\nnaevus\n")
    return place


def answer(cli: Callable, place: Path, line: str, *more: str) -> Any:
    import shlex

    from dermdata.catalogs import bundled_folder

    words = shlex.split(line.format(t=place, catalog=bundled_folder()))
    return cli("--offline", *words, *more, cache=place / "cache")


def read_items(answer: Any) -> list[dict[str, Any]]:
    """The rows of the one document on stdout."""
    document = json.loads(answer.out)
    assert document["schema"].startswith("dermdata.")
    items: list[dict[str, Any]] = document["items"]
    return items


def test_the_table_has_every_command_that_offers_json() -> None:
    assert set(list_offers()) == set(LINES)


@pytest.mark.parametrize("command", LINES)
def test_what_ends_well_is_one_document(cli: Callable, place: Path, command: str) -> None:
    done = answer(cli, place, LINES[command][0], "-f", "json")
    assert done.code == FINDS.get(command, 0), done.err
    read_items(done)


@pytest.mark.parametrize("command", LINES)
def test_what_fails_is_an_error_as_json(cli: Callable, place: Path, command: str) -> None:
    """The last line of stderr; nothing on stdout that is not JSON."""
    done = answer(cli, place, LINES[command][1], "--format=json")
    assert done.code not in (0, 70), (done.out, done.err)
    error = json.loads(done.err.splitlines()[-1])["error"]
    assert set(error) == {"code", "message", "hint"}
    assert error["message"]
    if done.out:
        read_items(done)


@pytest.mark.parametrize("line", MORE)
def test_every_way_of_a_command_is_one_document(cli: Callable, place: Path, line: str) -> None:
    done = answer(cli, place, line, "--format", "json")
    assert done.code in (0, 1, 8), done.err  # 8: one image of the demo is broken, and exports leave it out
    json.loads(done.out)


def test_fetch_and_export_name_their_files(cli: Callable, place: Path) -> None:
    """The paths that stand on stdout without a format."""
    (item,) = read_items(answer(cli, place, "fetch demo", "-f", "json"))
    path = answer(cli, place, "fetch demo").out.strip()
    assert item == {"dataset": "demo", "path": path, "copy": None}
    items = read_items(answer(cli, place, "export csv demo -o {t}/d.csv", "-f", "json"))
    assert [one["path"] for one in items] == answer(cli, place, "export csv demo -o {t}/d.csv").out.split()
    assert answer(cli, place, "fetch demo", "-f", "names").out == "demo\n"


def test_some_of_several_failed(cli: Callable, place: Path, tmp_path: Path) -> None:
    """What is done is on stdout; each failure, and what came of all, are JSON on stderr."""
    entry = tmp_path / "mine" / "datasets" / "gone"
    entry.mkdir(parents=True)
    facts = 'name = "gone"\ntitle = "g"\nkind = "dataset"\nsummary = "s"\n[access]\nkind = "unavailable"\nevidence = "e"\n'
    (entry / "dataset.toml").write_text(facts)
    done = answer(cli, place, "fetch gone demo", "-f", "json", "--catalog", str(tmp_path / "mine"))
    assert done.code == 8
    assert [item["dataset"] for item in read_items(done)] == ["demo"]
    errors = [
        json.loads(line)["error"]["code"] for line in done.err.splitlines() if line.startswith('{"error"')
    ]
    assert errors == ["unobtainable", "some_failed"]


def test_a_repair_prints_one_document(cli: Callable, tmp_path: Path) -> None:
    """What is still wrong after it."""
    assert cli("fetch", "demo").code == 0
    min((tmp_path / "cache" / "datasets" / "demo").rglob("*.jpg")).unlink()
    done = cli("verify", "--repair", "-f", "json")
    assert (done.code, read_items(done)) == (0, [])
    assert "1 file repaired" in done.err
