"""Where images are: manifests that open anywhere, caches that are read, other machines' paths, and what is missing."""

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dermdata as dd
from conftest import Answer
from dermdata.errors import ImagesMissing
from export.samples import jpeg

CLI = Callable[..., Answer]
SOUND = (
    "--where",
    "image_problem is null",
)  # one image of the demo is broken: exports leave it out, with exit 8
BAD_TABLE_HINT = "images are opened only in the cache"


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the demo dataset."""
    cache = tmp_path_factory.mktemp("places") / "cache"
    dd.open_session(cache=cache, progress=False).fetch("demo")
    return cache


@pytest.fixture
def own(fetched: Path, tmp_path: Path) -> Path:
    """The test's own copy of it."""
    return Path(shutil.copytree(fetched, tmp_path / "cache"))


def version(cache: Path, name: str = "demo") -> Path:
    (folder,) = cache.glob(f"datasets/{name}/*")
    return folder


def read(path: Path) -> pa.Table:
    """Any manifest's columns of places, as other tools see them."""
    if path.suffix == ".parquet":
        return pq.ParquetFile(path).read()
    if path.suffix == ".arrow":
        return pa.ipc.open_file(path).read_all()
    import pandas as pd

    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_json(path, lines=True)
    return pa.Table.from_pandas(frame[["key", "path", "mask_path"]])


def rename_cache(own: Path, target: Path) -> Path:
    """The cache as another machine has it, under another name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(own, target))


def hide(cache: Path, *leaves: str) -> None:
    for leaf in leaves:
        (version(cache) / "images/demo_images" / leaf).unlink()


# ------------------------------------------------------------------ a manifest opens


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "arrow"])
@pytest.mark.parametrize(
    "words",
    [
        ("split", "demo"),
        ("select", "demo", "--where", "age > 40"),
        ("query", "SELECT * FROM demo WHERE age > 40"),
        ("query", "SELECT key, path, mask_path FROM demo"),
        ("sync", "LOCK"),
    ],
    ids=["split", "select", "query", "query of some columns", "sync"],
)
def test_a_manifest_opens_from_any_folder(
    cli: CLI, own: Path, tmp_path: Path, words: tuple[str, ...], ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images and masks by absolute paths, whatever writes them in whatever form."""
    if words[0] == "sync":
        assert cli("lock", "demo", "-o", tmp_path / "LOCK").code == 0
        words = ("sync", str(tmp_path / "LOCK"))
    answer = cli(*words, "-o", tmp_path / f"s.{ending}")
    assert answer.code == 0, answer.err
    monkeypatch.chdir("/")
    table = read(tmp_path / f"s.{ending}")
    for name in ("path", "mask_path"):
        (path, *_) = table[name].drop_null().to_pylist()
        assert path.startswith(f"{own}/datasets/demo/")
        Image.open(path).verify()


def test_further_masks_open_too(cli: CLI, own: Path, tmp_path: Path) -> None:
    """By structure, in the column `masks`."""
    mask = read(version(own) / "manifest.parquet")["mask_path"].drop_null()[0].as_py()
    row = {"dataset": "demo", "key": "demo/x", "path": None, "masks": [("net", mask), ("none", None)]}
    kinds = [pa.field(name, pa.string()) for name in ("dataset", "key", "path")]
    masks = pa.field("masks", pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.Table.from_pylist([row], pa.schema([*kinds, masks])), tmp_path / "m.parquet")
    assert cli("select", tmp_path / "m.parquet", "-o", tmp_path / "s.parquet").code == 0
    assert read(tmp_path / "s.parquet")["masks"].to_pylist() == [
        [("net", str(version(own) / mask)), ("none", None)]
    ]


def test_paths_are_relative_in_the_cache_in_streams_and_in_locks(
    cli: CLI, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of rows that came with absolute ones; what two machines give is the same, byte by byte."""
    made = []
    for cache in (own, rename_cache(own, tmp_path / "elsewhere/cache")):
        if cache != own:
            assert cli("select", "demo", "-o", tmp_path / "s.parquet", cache=cache).code == 0
        else:
            shutil.copytree(tmp_path / "elsewhere/cache", own)
            assert cli("select", "demo", "-o", tmp_path / "s.parquet").code == 0
        sink = SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: False, write=len, flush=lambda: None)
        monkeypatch.setattr(sys, "stdout", sink)
        assert cli("select", tmp_path / "s.parquet", "-o", "-", cache=cache).code == 0
        monkeypatch.undo()
        assert cli("lock", tmp_path / "s.parquet", "-o", tmp_path / "s.lock", cache=cache).code == 0
        stream = pa.ipc.open_stream(sink.buffer.getvalue()).read_all()
        made.append((stream.replace_schema_metadata(None), (tmp_path / "s.lock").read_bytes()))
    assert made[0] == made[1]
    assert made[0][0]["path"].equals(read(version(tmp_path / "cache") / "manifest.parquet")["path"])
    assert b"/cache/" not in made[0][1]


def test_paths_are_what_the_option_says(cli: CLI, own: Path, tmp_path: Path) -> None:
    """`--paths relative` gives the same file in any folder and from any cache."""
    assert cli("select", "demo", "--paths", "relative", "-o", tmp_path / "a.parquet").code == 0
    there = rename_cache(own, tmp_path / "there")
    answer = cli("select", "demo", "--paths", "relative", "-o", tmp_path / "b.parquet", cache=there)
    assert answer.code == 0, answer.err
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    (path, *_) = read(tmp_path / "a.parquet")["path"].drop_null().to_pylist()
    assert path.startswith("images/")


def test_pictures_beside_a_manifest_are_named_from_it(cli: CLI, tmp_path: Path) -> None:
    """Absolutely; or, to move with their folder, from the folder of OUT."""
    (tmp_path / "mine/pics").mkdir(parents=True)
    (tmp_path / "mine/pics/a.jpg").write_bytes(jpeg(1))
    (tmp_path / "mine/m.csv").write_text("dataset,image_id,key,path\nmine,a,mine/a,pics/a.jpg\n")
    assert cli("select", tmp_path / "mine/m.csv", "-o", tmp_path / "mine/s.csv").code == 0
    assert f"{tmp_path}/mine/pics/a.jpg" in (tmp_path / "mine/s.csv").read_text()
    for target in ("m.csv", "s.csv"):
        out = tmp_path / "mine/r.parquet"
        assert cli("select", tmp_path / "mine" / target, "--paths", "relative", "-o", out).code == 0
        assert read(out)["path"].to_pylist() == ["pics/a.jpg"]
    (tmp_path / "mine").rename(tmp_path / "moved")
    answer = cli("select", tmp_path / "moved/r.parquet", "-o", tmp_path / "moved/again.parquet")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    "named", ["a.jpg", "PICS/a.jpg"], ids=["beside its manifest", "by its absolute path"]
)
def test_a_manifest_that_dermdata_will_not_open_the_pictures_of_is_told_so(
    cli: CLI, tmp_path: Path, named: str
) -> None:
    """Other programs do; a manifest from anyone opens what is below its own folder."""
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/a.jpg").write_bytes(jpeg(1))
    place = tmp_path / ("lists" if "PICS" in named else "pics")
    place.mkdir(exist_ok=True)
    name = named.replace("PICS", str(tmp_path / "pics"))
    (place / "m.csv").write_text(f"dataset,image_id,key,path\nmine,a,mine/a,{name}\n")
    (tmp_path / "out").mkdir()
    answer = cli("select", place / "m.csv", "-o", tmp_path / "out/s.csv")
    assert (answer.code, f"names images in {tmp_path}/pics, which" in answer.err) == (0, True), answer.err
    assert f"{tmp_path}/pics/a.jpg" in (tmp_path / "out/s.csv").read_text()
    assert cli("export", "csv", tmp_path / "out/s.csv", "-o", tmp_path / "x.csv").code == 2
    answer = cli("select", place / "m.csv", "-o", tmp_path / "s.csv")
    assert (answer.code, "which dermdata opens" in answer.err) == (0, False), answer.err


def test_a_query_whose_rows_tell_no_dataset_keeps_their_paths(cli: CLI, own: Path, tmp_path: Path) -> None:
    """And one without paths looks for none."""
    other = tmp_path / "other.csv"
    other.write_text("dataset,image_id,key,path\nmine,a,mine/a,\n")
    sql = "SELECT path FROM images WHERE path IS NOT NULL"
    assert cli("query", sql, "demo", other, "-o", tmp_path / "q.csv").code == 0
    assert (tmp_path / "q.csv").read_text().splitlines()[1].startswith("images/")
    hide(own, "DEMO_0001.jpg")
    assert cli("query", "SELECT count(*) AS n FROM demo", "-o", tmp_path / "n.csv").code == 0


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of an export but the record of its run."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".dermdata")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "words",
    [("webdataset",), ("parquet", "--embed"), ("huggingface",), ("croissant", "--embed"), ("coco",)],
    ids=" ".join,
)
def test_an_export_with_its_images_says_nothing_of_this_machine(
    cli: CLI, own: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Whether the rows came with absolute paths or with relative ones."""
    made = []
    for form in ("absolute", "relative"):
        assert cli("select", "demo", *SOUND, "--paths", form, "-o", tmp_path / f"{form}.parquet").code == 0
        assert cli("export", *words, tmp_path / f"{form}.parquet", "-o", tmp_path / form).code == 0
        made.append(contents(tmp_path / form))
    assert made[0]
    assert made[0] == made[1]
    assert not [name for name, data in made[0].items() if str(tmp_path).encode() in data]


# ------------------------------------------------------------------ moved to another machine


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "arrow"])
def test_every_command_finds_the_images_of_a_manifest_from_another_machine(
    cli: CLI, own: Path, tmp_path: Path, ending: str
) -> None:
    """With the same datasets in another cache."""
    sound, manifest = tmp_path / "sound.parquet", tmp_path / f"s.{ending}"
    assert cli("select", "demo", *SOUND, "-o", sound).code == 0
    assert cli("split", sound, "-o", manifest).code == 0
    there = rename_cache(own, tmp_path / "scratch/ada")
    for words in (
        ("export", "imagefolder", "-o", tmp_path / "folder"),
        ("export", "csv", "-o", tmp_path / "x.csv"),
        ("export", "webdataset", "-o", tmp_path / "shards"),
        ("select", "-o", tmp_path / "again.parquet"),
        ("select", "--dedupe", "near", "-o", tmp_path / "near.parquet"),
        ("split", "-o", tmp_path / "again.csv"),
        ("lock", "-o", tmp_path / "s.lock"),
        ("audit", "--only", "image-unreadable"),
        ("stats",),
    ):
        answer = cli(*words, manifest, cache=there)
        assert (answer.code, "not found" in answer.err) == (0, False), (words, answer.err)
    (path, *_) = read(tmp_path / "again.parquet")["path"].drop_null().to_pylist()
    assert path.startswith(f"{there}/datasets/demo/")


@pytest.mark.parametrize("folder", ["{cache}", "C:/Users/jane/cache", "d:/x", "//server/share/cache", ""])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_paths_with_backslashes_are_paths(
    cli: CLI, own: Path, tmp_path: Path, folder: str, delimiter: str
) -> None:
    """As programs on Windows write them into a CSV manifest, whole or from the dataset's folder on."""
    assert cli("select", "demo", *SOUND, "-o", tmp_path / "s.csv").code == 0
    place = folder.format(cache=own)
    with (tmp_path / "s.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    for row in rows:
        for column in ("path", "mask_path"):
            words = row[head.index(column)]
            words = words.replace(str(own), place) if place else words.replace(f"{version(own)}/", "")
            row[head.index(column)] = words.replace("/", "\\")
    with (tmp_path / "windows.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter).writerows([head, *rows])
    answer = cli("export", "imagefolder", tmp_path / "windows.csv", "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    answer = cli("select", tmp_path / "windows.csv", "-o", tmp_path / "again.parquet")
    assert answer.code == 0, answer.err
    assert all(Path(path).is_file() for path in read(tmp_path / "again.parquet")["path"].to_pylist())


@pytest.mark.parametrize("lines", [1, 3])
@pytest.mark.parametrize("place", [1, -1])
def test_empty_rows_of_a_manifest_are_none(
    cli: CLI, own: Path, tmp_path: Path, lines: int, place: int
) -> None:
    """A spreadsheet writes delimiters alone where a cell was ever touched."""
    assert cli("select", "demo", *SOUND, "-o", tmp_path / "s.csv").code == 0
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    with (tmp_path / "excel.csv").open("w", newline="", encoding="utf-8-sig") as file:
        empty = [[""] * len(rows[0])] * lines
        csv.writer(file, delimiter=";").writerows([*rows[:place], *empty, *rows[place:]])
    for words in (("select", "-o", tmp_path / "o.parquet"), ("stats",), ("split", "-o", tmp_path / "p.csv")):
        answer = cli(*words, tmp_path / "excel.csv")
        assert answer.code == 0, answer.err
    assert read(tmp_path / "o.parquet").num_rows == len(rows) - 1


def test_the_catalog_that_named_the_dataset_is_not_needed(cli: CLI, own: Path, tmp_path: Path) -> None:
    """In a new shell without DERMDATA_CATALOG, say."""
    table = read(version(own) / "manifest.parquet")
    table = table.filter(table["image_problem"].is_null())
    (own / "datasets/clinic").mkdir()
    shutil.move(version(own), own / "datasets/clinic/2024")
    column = pa.array(["clinic"] * table.num_rows)
    table = table.set_column(table.column_names.index("dataset"), "dataset", column)
    pq.write_table(table, tmp_path / "m.parquet")
    answer = cli("export", "imagefolder", tmp_path / "m.parquet", "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert len([*(tmp_path / "out").rglob("*.jpg")]) > 100


# ------------------------------------------------------------------ several caches


def caches(*folders: Path) -> str:
    return os.pathsep.join(map(str, folders))


@pytest.mark.parametrize("way", ["option", "environment", "python"])
def test_a_dataset_in_a_cache_that_is_only_read_is_complete(
    cli: CLI, fetched: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fetch` has nothing to do, every command reads it there, and nothing is written to it."""
    before = sorted(path.stat().st_mtime_ns for path in (fetched, *fetched.rglob("*")))
    mine, out = tmp_path / "mine", tmp_path / "s.parquet"
    if way == "python":
        session = dd.open_session(cache=mine, caches_read_only=[fetched], progress=False)
        assert len(session.fetch("demo")) == 120
        session.load("demo", download=False).save(out)
        assert not session.load("demo").audit(only=["image-unreadable"]).facts["warnings"]
    else:
        from dermdata.cli.app import run

        given = caches(mine, tmp_path / "empty", fetched)
        before_words = ["--cache", given] if way == "option" else []
        monkeypatch.setenv("DERMDATA_CACHE", given if way == "environment" else str(tmp_path / "none"))
        for words in (["fetch", "demo"], ["select", "demo", "-o", str(out)], ["verify"], ["cache", "list"], ["info", "demo"],
                      ["query", "SELECT count(*) FROM demo"], ["audit", "demo", "--only", "image-unreadable"],
                      ["fetch", "demo", "--limit", "3"], ["lock", "demo", "-o", str(tmp_path / "x.lock")],
                      ["sync", str(tmp_path / "x.lock")], ["cache", "bundle", "demo", "-o", str(tmp_path / "b.tar")],
                      ["list", "--cached"], ["doctor"]):  # fmt: skip
            assert run([*before_words, *words]) == words.count("doctor"), words
    assert read(out)["path"].drop_null()[0].as_py().startswith(str(fetched))
    assert not list(mine.glob("datasets/*"))
    assert sorted(path.stat().st_mtime_ns for path in (fetched, *fetched.rglob("*"))) == before


@pytest.mark.parametrize("further", ["nosuch", "lab:old/cache", "~/nosuch"])
def test_a_further_cache_that_is_not_there_is_told(cli: CLI, own: Path, further: str) -> None:
    """A share that is not mounted, or one folder with a colon in its name, which is taken for two."""
    answer = cli("stats", "demo", cache=f"{own}:{further}")
    assert answer.code == 0, answer.err
    assert "warning: the cache " in answer.err
    assert "is not there" in answer.err
    assert "warning" not in cli("stats", "demo", cache=f"{own}:{own}").err


def test_what_no_cache_has_comes_into_the_first(cli: CLI, fetched: Path, tmp_path: Path) -> None:
    """And what is there in part only is completed there."""
    both = Path(caches(tmp_path / "mine", tmp_path / "shared"))
    shutil.copytree(fetched, tmp_path / "shared")
    receipt = version(tmp_path / "shared") / "receipt.json"
    facts = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(facts | {"roles": ["metadata"]}))
    answer = cli("fetch", "demo", cache=both)
    assert (answer.code, "already complete" in answer.err) == (0, False), answer.err
    assert version(tmp_path / "mine").is_dir()
    assert cli("select", "demo", "-o", tmp_path / "s.parquet", cache=both).code == 0
    assert f"{tmp_path}/mine" in read(tmp_path / "s.parquet")["path"].drop_null()[0].as_py()


def test_nothing_is_deleted_or_repaired_in_a_cache_that_is_only_read(
    cli: CLI, own: Path, tmp_path: Path
) -> None:
    """Each is told, with what to do."""
    both = Path(caches(tmp_path / "mine", own))
    answer = cli("cache", "remove", "demo", cache=both)
    assert (answer.code, "only read stays there" in answer.err) == (2, True), answer.err
    hide(own, "DEMO_0001.jpg")
    assert cli("verify", "demo", cache=both).code == 1
    answer = cli("verify", "demo", "--repair", cache=both)
    assert (answer.code, "which is only read" in answer.err) == (5, True), answer.err
    assert version(own).is_dir()


def test_a_shared_caches_manifest_and_rows_of_ones_own_in_one(
    cli: CLI, fetched: Path, tmp_path: Path
) -> None:
    """By its path, without its cache: the pictures lie beside it. Later its cache is needed, or that is told."""
    mine = tmp_path / "mine"
    (tmp_path / "own").mkdir()
    (tmp_path / "own/a.jpg").write_bytes(jpeg(1))
    (tmp_path / "own/m.csv").write_text("dataset,image_id,key,path,diagnosis\nmine,a,mine/a,a.jpg,melanoma\n")
    shared = version(fetched) / "manifest.parquet"
    both = tmp_path / "own/both.parquet"
    answer = cli("select", tmp_path / "own/m.csv", shared, *SOUND, "-o", both, cache=mine)
    assert answer.code == 0, answer.err
    answer = cli("export", "imagefolder", both, "-o", tmp_path / "x", cache=mine)
    assert (answer.code, f"{mine}:{fetched}` looks there too" in answer.err) == (8, True), answer.err
    answer = cli("export", "imagefolder", both, "-o", tmp_path / "y", cache=Path(caches(mine, fetched)))
    assert answer.code == 0, answer.err


def test_a_relative_cache_gives_plain_paths(
    cli: CLI, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--cache ../cache` is no part of any path, in exports either."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for words in (("export", "csv", "demo"), ("export", "jsonl", "demo"), ("select", "demo")):
        out = tmp_path / f"x.{'jsonl' if 'jsonl' in words else 'csv'}"
        assert cli(*words, "-o", out, cache=Path("../cache")).code == 0
        paths = read(out)["path"].drop_null().to_pylist()
        assert paths
        assert all(path.startswith(f"{own}/datasets/") for path in paths)


# ------------------------------------------------------------------ what is missing

EXPORTS = {
    "csv": "x.csv", "jsonl": "x.jsonl", "parquet": "x.parquet", "imagefolder": "folder", "webdataset": "shards",
    "huggingface": "hub", "coco": "coco", "croissant": "croissant",
}  # fmt: skip
GONE = ("DEMO_0001", "DEMO_0003")


@pytest.fixture
def holey(own: Path) -> Path:
    """The cache without two images that its manifest names."""
    hide(own, *(f"{name}.jpg" for name in GONE))
    return own


def names_them(answer: Answer) -> bool:
    return (
        "error: 2 image files that rows name are not found: demo/DEMO_0001 (images/demo_images/DEMO_0001.jpg), "
        in answer.err
    )


@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize("more", [[], ["--embed"]], ids=["", "embedded"])
def test_exports_count_and_name_images_that_are_not_found(
    cli: CLI, holey: Path, tmp_path: Path, form: str, more: list[str]
) -> None:
    """All others are written, then exit 8; with --allow-missing it is a warning."""
    if more and form not in ("parquet", "croissant", "huggingface"):
        return
    out, rows = tmp_path / EXPORTS[form], tmp_path / "rows.parquet"
    assert cli("select", "demo", *SOUND, "--paths", "relative", "--allow-missing", "-o", rows).code == 0
    answer = cli("export", form, rows, *more, "-o", out)
    assert (answer.code, names_them(answer)) == (8, True), answer.err
    assert f"looked for in {holey} and beside the manifest; `dermdata fetch demo` fetches" in answer.err
    assert out.exists()
    assert answer.out.strip()
    answer = cli("export", form, rows, *more, "--allow-missing", "-o", out)
    assert (answer.code, "warning: 2 image files that rows name are not found" in answer.err) == (0, True), (
        answer.err
    )


@pytest.mark.parametrize("form", EXPORTS)
def test_a_cohort_of_which_no_image_is_found_is_no_success(
    cli: CLI, own: Path, tmp_path: Path, form: str
) -> None:
    """On a machine without the cache, say; nothing is linked or packed, and all are counted."""
    (tmp_path / "far").mkdir()
    assert cli("select", "demo", "-o", tmp_path / "far" / "s.parquet").code == 0
    answer = cli(
        "export",
        form,
        tmp_path / "far" / "s.parquet",
        "-o",
        tmp_path / EXPORTS[form],
        cache=tmp_path / "none",
    )
    assert (answer.code, "image files that rows name are not found" in answer.err) == (8, True), answer.err


def test_a_mask_that_is_not_found_is_told_as_an_image_is(cli: CLI, own: Path, tmp_path: Path) -> None:
    """A row without its mask would be one without a lesion."""
    mask = read(version(own) / "manifest.parquet")["mask_path"].drop_null()[0].as_py()
    (version(own) / mask).unlink()
    for words in (("export", "coco"), ("export", "csv"), ("select",)):
        out = tmp_path / ("coco" if "coco" in words else "x.csv")
        answer = cli(*words, "demo", "-o", out)
        assert (answer.code, f"({mask})" in answer.err) == (8, True), answer.err


@pytest.mark.parametrize("words", [("select", "demo"), ("split", "demo"), ("query", "SELECT * FROM demo")])
@pytest.mark.parametrize("form", [[], ["--paths", "relative"]], ids=["absolute", "relative"])
def test_a_manifest_is_written_and_what_it_names_in_vain_is_told(
    cli: CLI, holey: Path, tmp_path: Path, words: tuple[str, ...], form: list[str]
) -> None:
    """The rows keep what they say."""
    answer = cli(*words, *form, "-o", tmp_path / "s.parquet")
    assert (answer.code, names_them(answer)) == (8, True), answer.err
    assert "images/demo_images/DEMO_0001.jpg" in read(tmp_path / "s.parquet")["path"].to_pylist()
    answer = cli(*words, *form, "-o", tmp_path / "s.parquet", "--allow-missing")
    assert (answer.code, "warning: 2 image files" in answer.err) == (0, True), answer.err


def test_rows_that_name_no_image_miss_none(cli: CLI, tmp_path: Path) -> None:
    """Of a dataset of which only the metadata are here."""
    assert cli("fetch", "demo", "--only", "metadata").code == 0
    assert cli("select", "demo", "-o", tmp_path / "s.parquet").code == 0
    assert cli("export", "csv", "demo", "-o", tmp_path / "x.csv").code == 0
    assert cli("audit", "demo", "--only", "image-unreadable").code == 0


def test_an_audit_that_cannot_see_all_images_says_so(cli: CLI, holey: Path) -> None:
    """The findings are there, then exit 8; with --allow-missing such images are no findings."""
    answer = cli("audit", "demo", "--only", "image-unreadable")
    assert (answer.code, names_them(answer)) == (8, True), answer.err
    answer = cli("audit", "demo", "--only", "image-unreadable", "-f", "json")
    assert (answer.code, '"code": "images_missing"' in answer.err) == (8, True), answer.err
    assert [one["keys"] for one in json.loads(answer.out)["items"]] == [[f"demo/{name}"] for name in GONE]
    answer = cli("audit", "demo", "--only", "image-unreadable", "--allow-missing", "-f", "json")
    assert (answer.code, json.loads(answer.out)["items"]) == (0, []), answer.err
    assert cli("audit", "demo", "--only", "license-mix").code == 0


def test_a_lock_of_what_is_not_there_is_not_written(cli: CLI, holey: Path, tmp_path: Path) -> None:
    """It would be no lock of anything; exit 4 names the rows."""
    answer = cli("lock", "demo", "-o", tmp_path / "x.lock")
    assert (answer.code, "demo/DEMO_0001 (missing)" in answer.err) == (4, True), answer.err


def test_in_python_the_same_is_raised(holey: Path, tmp_path: Path) -> None:
    """After the work, with its result; `allow_missing` says that it is wanted."""
    demo = dd.open_session(cache=holey, progress=False).load("demo", download=False)
    with pytest.raises(ImagesMissing, match="2 image files that rows name") as told:
        demo.export("csv", tmp_path / "x.csv")
    assert told.value.result.rows == 120
    assert demo.export("csv", tmp_path / "x.csv", allow_missing=True).rows == 120
    with pytest.raises(ImagesMissing, match="DEMO_0003"):
        demo.save(tmp_path / "s.parquet")
    assert demo.save(tmp_path / "s.parquet", allow_missing=True, paths="relative").is_file()
    assert demo.audit(only=["image-unreadable"]).missing
    assert demo.to_pandas()["path"].isna().sum() == 2
