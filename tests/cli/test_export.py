"""`dermdata export` and what a TARGET may be."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import manifest
from dermdata.api.exporting import write_manifest
from dermdata.api.resources import settings_from_environment
from dermdata.api.targets import load
from dermdata.cli.state import State
from dermdata.errors import BadTable, UsageError
from dermdata.manifest.lazy import LazyTable
from export.samples import manifest as sample

Cli = Callable[..., Any]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with the demo dataset in it."""
    folder = tmp_path / "cache" / "datasets" / "demo" / "1.0"
    manifest.write_manifest(sample(folder), folder / "manifest.parquet", {"dataset": "demo"})
    return tmp_path / "cache"


@pytest.fixture
def state(cache: Path) -> State:
    return State(settings_from_environment(cache=cache), "never")


# ------------------------------------------------------------------ the command


def test_nothing_cached(cli: Cli, tmp_path: Path) -> None:
    """No TARGET and an empty cache: what to do first."""
    answer = cli("export", "csv", "-o", tmp_path / "x.csv")
    assert (answer.code, answer.out) == (2, "")
    assert "error: no dataset is in the cache\nhint: `dermdata fetch NAME`" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["csv", "ham10000"], "error: ham10000 is not in the cache\nhint: dermdata fetch ham10000"),
        (["csv", "ham1000"], "error: unknown dataset 'ham1000'\nhint: did you mean ham10000"),
        (["csv", "demo.parquet"], "no manifest at demo.parquet\nhint: did you mean the dataset demo?"),
        (["csv", "sub/demo"], "error: sub/demo is not there"),
        (["cvs", "demo"], "error: unknown format 'cvs'\nhint: did you mean csv?"),
        (["csv", "demo", "--split", "tran"], "error: unknown split 'tran'\nhint: did you mean train?"),
        (["csv", "demo", "--embed"], "error: csv cannot hold images"),
        (["csv", "demo", "--size", "64"], "error: csv cannot hold images"),
        (["parquet", "demo", "--strip-exif"], "hint: add --embed"),
        (["webdataset", "demo", "--copy"], "error: webdataset has no links"),
        (["imagefolder", "demo", "--strict"], "error: --strict judges the classes of --labels SPACE"),
        (["imagefolder", "demo", "--labels", "ham8"], "did you mean ham7"),
        (["imagfolder", "demo"], "hint: did you mean imagefolder?"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_wrong_usage_is_told_and_writes_nothing(
    cli: Cli, tmp_path: Path, words: list[str], message: str
) -> None:
    """Exit 2, the cause, the next step."""
    answer = cli("export", *words, "-o", tmp_path / "out")
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("cache")
def test_paths_go_to_stdout_and_talk_to_stderr(cli: Cli, tmp_path: Path) -> None:
    """All that is cached, when nothing is named; missing images are counted."""
    answer = cli("export", "parquet", "--embed", "--allow-missing", "-o", tmp_path / "out")
    assert answer.code == 0
    assert answer.out == f"{tmp_path}/out/demo-00000-of-00001.parquet\n"
    assert "exporting all that is cached: demo" in answer.err
    assert "warning: 2 rows without an image file" in answer.err
    assert f"exported 12 rows of demo to {tmp_path}/out (1 file, " in answer.err


@pytest.mark.usefixtures("cache")
def test_quiet_is_quiet(cli: Cli, tmp_path: Path) -> None:
    """Only the paths."""
    assert cli("--quiet", "export", "csv", "--allow-missing", "-o", tmp_path / "x.csv").err == ""


@pytest.mark.usefixtures("cache")
def test_a_dry_run_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    """The plan as rows: path, rows, size_bytes, there."""
    answer = cli(
        "export", "parquet", "demo", "--embed", "--dry-run", "-o", tmp_path / "out", "--format", "json"
    )
    (item,) = json.loads(answer.out)["items"]
    assert (item["rows"], item["there"]) == (12, False)
    assert item["size_bytes"] > 0
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_exit_5(
    cli: Cli, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storage, in words."""
    import errno
    import os

    assert cli("list").code == 0  # the catalog's index is written before the disk is full

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    answer = cli("export", "csv", "demo", "-o", tmp_path / "x.csv")
    assert answer.code == 5
    assert "error: no room for" in answer.err


# ------------------------------------------------------------------ formats with images


@pytest.mark.parametrize("form", ["imagefolder", "webdataset", "huggingface"])
@pytest.mark.usefixtures("cache")
def test_a_folder_is_written_and_kept(cli: Cli, tmp_path: Path, form: str) -> None:
    """What was left out and what was there already are told."""
    first = cli("export", form, "demo", "--allow-missing", "-o", tmp_path / "out")
    assert first.code == (8 if form == "imagefolder" else 0)  # a row without a class has no folder
    assert all(Path(line).exists() for line in first.out.splitlines())
    left = "1 row left out: no image file" if form == "imagefolder" else "2 rows left out: no image file"
    assert f"warning: {left}" in first.err
    again = cli("export", form, "demo", "-o", tmp_path / "out")
    assert " already there)" in again.err
    plan = cli("export", form, "demo", "-o", tmp_path / "out", "--dry-run", "--format", "json")
    assert {item["there"] for item in json.loads(plan.out)["items"]} == {True}


@pytest.mark.usefixtures("cache")
def test_labels_are_the_classes(cli: Cli, tmp_path: Path) -> None:
    """--labels names the folders; what has no class is told, or refused by --strict."""
    answer = cli("export", "imagefolder", "demo", "--labels", "melanoma", "-o", tmp_path / "out")
    assert answer.code == 0  # to leave it out is what was asked for
    assert "rows have no class:" in answer.err
    assert [path.name for path in (tmp_path / "out" / "train").iterdir() if path.is_dir()] == ["melanoma"]
    strict = cli("export", "imagefolder", "demo", "--labels", "melanoma", "--strict", "-o", tmp_path / "two")
    assert strict.code == 1
    assert "rows have no class in melanoma" in strict.err
    assert not (tmp_path / "two").exists()


@pytest.mark.usefixtures("cache")
def test_images_are_scaled_and_clean(cli: Cli, tmp_path: Path) -> None:
    """--size and --strip-exif together."""
    from PIL import Image

    words = ("--size", "6", "--strip-exif", "--allow-missing")
    assert cli("export", "imagefolder", "demo", *words, "-o", tmp_path / "out").code == 8  # one has no class
    images = list((tmp_path / "out").rglob("*.jpg"))
    assert len(images) == 10
    for path in images:
        with Image.open(path) as image:
            assert max(image.size) == 6


@pytest.mark.usefixtures("cache")
def test_a_strangers_folder_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Exit 2, and nothing is touched."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    answer = cli("export", "webdataset", "demo", "-o", tmp_path / "out")
    assert answer.code == 2
    assert "holds what dermdata did not export (thesis.tex)" in answer.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_only_what_may_be_passed_on(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """The bundled demo dataset is in the public domain; one row is not stated to be."""
    table = manifest.read_manifest(cache / "datasets/demo/1.0/manifest.parquet")
    licenses = pa.array(["LicenseRef-secret", *["CC0-1.0"] * 11])
    place = table.column_names.index("license")
    table = table.set_column(place, "license", licenses.dictionary_encode())
    manifest.write_manifest(table, cache / "datasets/demo/1.0/manifest.parquet", {"dataset": "demo"})
    answer = cli(
        "export", "webdataset", "demo", "--redistributable", "--allow-missing", "-o", tmp_path / "out"
    )
    assert answer.code == 0
    assert "1 row left out: LicenseRef-secret is not known to allow redistribution" in answer.err
    assert "demo/IMG_0000,demo,IMG_0000,LicenseRef-secret" in (tmp_path / "out" / "left-out.csv").read_text()


# ------------------------------------------------------------------ targets


def test_an_export_is_a_target_again(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """Every format that holds the table can be read back, the embedded images left unread."""
    cli("export", "jsonl", "demo", "-o", tmp_path / "first.jsonl")
    cli("export", "parquet", "demo", "--embed", "-o", tmp_path / "emb.parquet")
    cli("export", "csv", "demo", "-o", tmp_path / "x.csv")
    for name in ("first.jsonl", "emb.parquet", "x.csv"):
        words = ("--allow-missing", "-o", tmp_path / "again.jsonl")
        assert cli("export", "jsonl", tmp_path / name, *words).code == 0
        assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "first.jsonl").read_bytes(), name


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "jsonl"])
def test_write_manifest_and_load_are_each_others_way_back(state: State, tmp_path: Path, ending: str) -> None:
    """The same rows and types; paths stay relative, and are found from the dataset's cache folder."""
    before = load(state, ["demo"])
    write_manifest(LazyTable(before.table), str(tmp_path / f"x.{ending}"), {"made_by": "a test"})
    after = load(state, [str(tmp_path / f"x.{ending}")])
    assert after.table.schema.equals(before.table.schema)
    assert after.table.to_pylist() == before.table.to_pylist()
    assert after.roots == before.roots
    assert after.names == ("demo",)
    assert after.provenance.get("made_by") == ("a test" if ending in ("parquet", "arrow") else None)


def test_an_image_column_is_not_read(state: State, tmp_path: Path) -> None:
    """The bytes of a hundred thousand images do not fit into memory."""
    path = tmp_path / "x.parquet"
    pq.write_table(load(state, ["demo"]).table.append_column("image", pa.array([b"x"] * 12)), path)
    assert "image" not in load(state, [str(path)]).table.column_names


def test_only_some_columns(state: State) -> None:
    """And the dataset, which tells whose they are; what no manifest has is left out."""
    loaded = load(state, ["demo"], ["sex", "nonsense"])
    assert sorted(loaded.table.column_names) == ["dataset", "sex"]


def test_a_private_manifest_has_its_images_beside_it(state: State, tmp_path: Path) -> None:
    """Datasets that the catalog does not know start from the manifest's folder."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "m.csv").write_text("dataset,image_id,path\nmine,1,a.jpg\n")
    assert load(state, [str(tmp_path / "mine" / "m.csv")]).roots == {"mine": tmp_path / "mine"}


def test_several_targets_keep_each_ones_provenance(state: State, tmp_path: Path) -> None:
    """What all have in common, and each one's own under `sources`; the same target twice counts once."""
    other = sample(tmp_path / "other", "other").replace_schema_metadata({"dermdata.dataset": "other"})
    write_manifest(LazyTable(other), str(tmp_path / "other.parquet"), {})
    loaded = load(state, ["demo", str(tmp_path / "other.parquet"), "demo"])
    assert (loaded.table.num_rows, loaded.names) == (24, ("demo", "other"))
    assert "dataset" not in loaded.provenance
    assert [one["dataset"] for one in json.loads(loaded.provenance["sources"])] == ["demo", "other"]


def test_a_broken_cached_manifest_says_how_to_mend_it(cli: Cli, cache: Path, tmp_path: Path) -> None:
    """Our own file is broken: integrity, exit 4."""
    (cache / "datasets/demo/1.0/manifest.parquet").write_bytes(b"PAR1 torn")
    answer = cli("export", "csv", "demo", "-o", tmp_path / "x.csv")
    assert answer.code == 4
    assert "dermdata fetch demo --force" in answer.err


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.csv", "x.jsonl"])
def test_a_broken_file_of_the_users_own(state: State, tmp_path: Path, name: str) -> None:
    """BadTable that names the file."""
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 not a table")
    with pytest.raises(BadTable, match=name):
        load(state, [str(tmp_path / name)])


def test_a_column_of_another_type_is_told(state: State, tmp_path: Path) -> None:
    """A Parquet file whose columns cannot be the manifest's."""
    pq.write_table(pa.table({"image_id": ["a"], "age": ["old"]}), tmp_path / "x.parquet")
    with pytest.raises(BadTable, match="do not fit"):
        load(state, [str(tmp_path / "x.parquet")])


def test_an_unknown_ending_is_told(state: State, tmp_path: Path) -> None:
    """Neither read nor written by guessing."""
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(BadTable, match="is not a manifest"):
        load(state, [str(tmp_path / "x.xlsx")])
    with pytest.raises(UsageError, match="cannot tell the format"):
        write_manifest(LazyTable(load(state, ["demo"]).table), str(tmp_path / "y.xlsx"), {})


def test_a_stream_is_not_written_to_a_terminal(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binary on a screen helps nobody."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match="not for a terminal"):
        write_manifest(LazyTable(load(state, ["demo"]).table), "-", {})


def test_streams_are_read_from_stdin(cache: Path, state: State, tmp_path: Path) -> None:
    """`- ` is an Arrow IPC stream; something else on stdin is refused."""
    table = load(state, ["demo"]).table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    command = [
        sys.executable,
        "-m",
        "dermdata",
        "--cache",
        str(cache),
        "export",
        "csv",
        "-",
        "--allow-missing",
        "-o",
        str(tmp_path / "x.csv"),
    ]
    good = subprocess.run(command, input=sink.getvalue().to_pybytes(), capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    assert good.stdout == f"{tmp_path}/x.csv\n".encode()
    bad = subprocess.run(command, input=b"a,b\n1,2\n", capture_output=True, check=False)
    assert bad.returncode == 2
    assert b"error: stdin is not an Arrow stream" in bad.stderr


def test_exit_8_names_the_option_that_makes_it_0(cli: Callable, tmp_path: Path) -> None:
    """One image of the demo is cut off: without a word it would be missed, left out on purpose it is not."""
    assert cli("fetch", "demo").code == 0
    words = ["export", "webdataset", "demo", "-o", tmp_path / "out"]
    answer = cli(*words)
    assert (answer.code, "1 row could not be used" in answer.err) == (8, True)
    assert '`--where "image_problem is null"`' in answer.err
    assert "exit 8" in answer.err
    assert cli(*words, "--where", "image_problem is null").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fit", "crop"], "--fit says how --resize fits"),
        (["--resize", "9", "--size", "9"], "both say how large images are"),
        (["--resize", "9", "--fit", "fill"], "'fill' is no way to fit"),
        (["--resize", "9by9"], "'9by9' is no size"),
    ],
)
def test_sizes_that_cannot_be(cli: Any, tmp_path: Path, words: list[str], said: str) -> None:
    assert cli("fetch", "demo").code == 0
    answer = cli("export", "imagefolder", "demo", "-o", tmp_path / "out", *words)
    assert answer.code == 2
    assert said in answer.err
    assert not (tmp_path / "out").exists()
