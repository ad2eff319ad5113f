"""FAULTS rows 97-102 as a person meets them: catalog files, XML, files that could run, another machine."""

import io
import zipfile
from pathlib import Path

import pytest

from export.samples import jpeg
from faults.shelf import HEAD, TABLE, Shelf

GOOD = b"id,dx\na,nv\n"
BOMB = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(12)
)
OUTSIDE = "<!DOCTYPE x [<!ENTITY m SYSTEM 'file:///etc/passwd'>"


def broken_entry(shelf: Shelf, text: str) -> str:
    """What is said of a catalog with this entry; every other entry still works."""
    shelf.put({"table.csv": GOOD}, head=text)
    answer = shelf.fetch()
    assert answer.code == 2
    others = shelf.run("list", "--format", "names")
    assert others.code == 0
    assert "ham10000" in others.out
    return str(others.err + answer.err)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + '\nname = "ours"\n[access]\n', "not valid TOML"),
        ("x = " + "[" * 5_000, "nested too deeply"),
        (HEAD.replace('summary = "made by a test"', "summary = 1e400"), "summary"),
        (HEAD + '\n[counts]\nimages = nan\n', "images"),
        (HEAD.replace('kind = "dataset"', 'kind = "!!python/object/apply:os.system"'), "not allowed"),
        ("&a [*a, *a]", "not valid TOML"),
    ],
    ids=["a key twice", "depth", "1e400", "nan", "a tag of YAML", "an alias of YAML"],
)  # fmt: skip
def test_row_97_catalog_files_that_play_tricks(text: str, words: str, shelf: Shelf) -> None:
    """TOML without evaluation: the entry is left out with the reason, the rest of the catalog is there."""
    assert words in broken_entry(shelf, text)


@pytest.mark.parametrize("entities", [BOMB + "]>", OUTSIDE + "]>"], ids=["bomb", "outside"])
def test_row_98_a_workbook_with_entities(entities: str, shelf: Shelf) -> None:
    """An .xlsx is XML in a zip: entities that swell or read files end in a refusal, in no time."""
    shelf.put({"table.xlsx": workbook(entities)}, table=TABLE.replace("table.csv", "table.xlsx").replace(
        '"table"\n', '"spreadsheet"\n', 1))  # fmt: skip
    answer = shelf.fetch()
    assert answer.code == 4, answer.err
    assert "table.xlsx" in answer.err
    assert "root:" not in answer.err


def workbook(entities: str) -> bytes:
    """A workbook whose one sheet begins with these declarations and uses them."""
    import openpyxl

    plain, out = io.BytesIO(), io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["id", "dx"])
    book.active.append(["a", "MARK"])
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            text = source.read(name).decode()
            if "MARK" in text:
                head, _, rest = text.rpartition("?>")
                text = (head + "?>" if head else "") + entities + rest.replace("MARK", "&m;")
            target.writestr(name, text)
    return out.getvalue()


def test_row_99_files_that_would_run_are_listed_and_never_loaded(shelf: Shelf) -> None:
    """`info` and `verify --all` name them; promise 12 holds that nothing opens them."""
    names = ["weights.pt", "cache.pkl", "array.npy", "old.mat", "loader.py"]
    shelf.put(dict.fromkeys(names, b"cos\nsystem\n(S'false'\ntR.") | {"table.csv": GOOD})
    assert shelf.fetch().code == 0
    listed = shelf.run("verify", "ours", "--all", "--format", "tsv").out
    assert [name for name in names if f"files/{name}\tok" not in listed] == []


def test_row_99_no_code_of_ours_could_load_them() -> None:
    """No module imports or calls what executes data: pickle, eval, extractall, a shell."""
    import ast

    import dermdata

    forbidden = {"pickle", "marshal", "shelve", "dill", "joblib", "torch", "yaml", "subprocess", "pty"}
    calls = {"eval", "exec", "extractall", "system", "popen", "read_pickle", "unpack_archive"}
    found = []
    for path in sorted(Path(dermdata.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            called = node.func if isinstance(node, ast.Call) else None
            word = getattr(called, "attr", getattr(called, "id", None))
            loads = isinstance(node, ast.keyword) and node.arg == "allow_pickle"
            if {name.partition(".")[0] for name in names} & forbidden or word in calls or loads:
                found.append(f"{path.name}:{getattr(node, 'lineno', 0)}")
    assert found == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://host.example/a.csv"])
def test_row_100_addresses_that_no_catalog_may_name(url: str, shelf: Shelf) -> None:
    """Not even of a person's own; plain http only with a checksum."""
    text = f'{HEAD}[[files]]\nname = "b.csv"\nrole = "metadata"\nurls = ["{url}"]\n'
    assert url in broken_entry(shelf, text)


def test_row_100_a_bundled_name_is_not_taken(shelf: Shelf) -> None:
    """An overlay that calls its own files ham10000 must say that it changes that entry."""
    home = shelf.catalog / "datasets" / "ham10000"
    home.mkdir(parents=True)
    (home / "dataset.toml").write_text(HEAD.replace("ours", "ham10000"), encoding="utf-8")
    answer = shelf.run("info", "ham10000")
    assert 'write extends = "ham10000"' in answer.err
    assert "made by a test" not in answer.out


def test_row_100_a_listed_file_stays_inside(shelf: Shelf) -> None:
    """`../` as a file's name."""
    text = f'{HEAD}[[files]]\nname = "../b.csv"\nrole = "metadata"\nurls = ["https://host.example/b.csv"]\n'
    assert "must be a plain relative path" in broken_entry(shelf, text)


def test_row_102_the_order_of_the_folder_does_not_matter(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listings of folders come as the file system likes; promise 15 tries seeds, zones and locales."""
    import os

    table = b"id,dx\n" + b"".join(b"%d,nv\n" % n for n in range(6))
    shelf.put({**{f"{n}.jpg": jpeg(n) for n in range(6)}, "table.csv": table})
    assert shelf.fetch().code == 0
    first = (shelf.folder / "manifest.parquet").read_bytes()
    listdir, scandir = os.listdir, os.scandir
    monkeypatch.setattr(os, "listdir", lambda *args: listdir(*args)[::-1])
    assert shelf.fetch("--force").code == 0
    assert (shelf.folder / "manifest.parquet").read_bytes() == first
    assert os.scandir is scandir
