"""A manifest or lock from anyone reads nothing but images of datasets, and waits for nothing (red team 3, 5, 8, 10, 12)."""

import base64
import hashlib
import io
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Answer
from dermdata.cohort import compare_rows, lock_from_bytes, rebuild_rows
from dermdata.cohort.lock_file import SOURCE_COLUMNS
from dermdata.errors import DermdataError
from export.samples import jpeg

CLI = Callable[..., Answer]
SECRET = "root:x:0:0"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder from a stranger, beside what is nobody's business."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret").write_text(SECRET)
    (tmp_path / "theirs" / "a.jpg").write_bytes(jpeg(1))
    return tmp_path


def table_of(path: str, column: str = "path") -> pa.Table:
    """One row of a dataset that no catalog knows."""
    row: dict[str, Any] = {"dataset": "evil", "image_id": "x", "path": "a.jpg", "diagnosis": "melanoma"}
    row |= {"masks": [("net", path)]} if column == "masks" else {column: path}
    fields = [pa.field(name, pa.string()) for name in row if name != "masks"]
    fields += [pa.field("masks", pa.map_(pa.string(), pa.string()))] if "masks" in row else []
    return pa.Table.from_pylist([row], pa.schema(fields))


def written(table: pa.Table, path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    else:
        (row,) = table.to_pylist()
        row = {name: dict(value) if isinstance(value, list) else value for name, value in row.items()}
        if path.suffix == ".jsonl":
            path.write_text(json.dumps(row))
        else:
            path.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    return path


def holds_secret(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def refused(answer: Answer, *words: str) -> None:
    assert answer.code == 2, answer.err
    for word in ("error: the path", "of evil/x", "hint: images are opened only in the cache", *words):
        assert word in answer.err


# ------------------------------------------------------------------ 5: paths that lead out


COMMANDS = (
    *(
        ("export", form)
        for form in (
            *(
                "webdataset",
                "imagefolder",
                "huggingface",
                "coco",
                "csv",
                "jsonl",
                "parquet",
                "masks",
                "nnunet",
            ),
        )
    ),
    ("export", "parquet", "--embed"),
    ("export", "croissant"),
    ("export", "croissant", "--embed"),
    ("export", "imagefolder", "--copy"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_red_team_05_no_export_reads_what_a_manifest_names_elsewhere(
    cli: CLI, house: Path, command: tuple[str, ...]
) -> None:
    """Nor links to it: exit 2 with the row, and nothing is written."""
    target = written(table_of(str(house / "private" / "secret")), house / "theirs" / "m.csv")
    out = house / ("out.csv" if "csv" in command else "out.jsonl" if "jsonl" in command else "out")
    refused(cli(*command, target, "-o", out), "leads out of the folder of evil")
    assert not holds_secret(house / "out") if out.name == "out" else not out.exists()
    assert (house / "private" / "secret").stat().st_nlink == 1


@pytest.mark.parametrize(
    ("ending", "column"),
    [("csv", "path"), ("csv", "mask_path")]
    + [
        (ending, column)
        for ending in ("jsonl", "parquet", "arrow")
        for column in ("path", "mask_path", "masks")
    ],
)
def test_red_team_05_in_any_column_of_any_kind_of_manifest(
    cli: CLI, house: Path, ending: str, column: str
) -> None:
    """An image, a lesion's mask and further masks."""
    target = written(table_of(str(house / "private" / "secret"), column), house / "theirs" / f"m.{ending}")
    for form in ("coco", "masks", "nnunet") if column != "path" else ("webdataset",):
        refused(cli("export", form, target, "-o", house / "out"), "leads out of the folder of evil")


@pytest.mark.parametrize("way", ["link", "folder link", "link in a link"])
def test_red_team_05_links_beside_the_manifest_lead_nowhere(cli: CLI, house: Path, way: str) -> None:
    """They may come out of an archive with it."""
    (house / "theirs" / "lnk").symlink_to(
        house / "private" / "secret" if way == "link" else house / "private"
    )
    (house / "theirs" / "second").symlink_to("lnk")
    path = {"link": "lnk", "folder link": "lnk/secret", "link in a link": "second/secret"}[way]
    target = written(table_of(path), house / "theirs" / "m.csv")
    refused(cli("export", "webdataset", target, "-o", house / "out"), f"(to {house / 'private' / 'secret'})")
    refused(cli("audit", target), "leads out of")
    assert not holds_secret(house / "out")


def test_red_team_05_from_a_stream_too(cli: CLI, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is beside the folder that the person is in."""
    monkeypatch.chdir(house / "theirs")
    for path, code in ((str(house / "private" / "secret"), 2), ("../private/secret", 2), ("a.jpg", 0)):
        sink = io.BytesIO()
        table = table_of(path)
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        given = SimpleNamespace(buffer=io.BytesIO(sink.getvalue()), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", given)
        answer = cli("export", "webdataset", "-", "-o", house / "out")
        assert answer.code == code, answer.err
    assert not holds_secret(house / "out")


def test_red_team_05_two_manifests_in_two_folders(cli: CLI, house: Path) -> None:
    """A stranger's rows open nothing beside mine; of one dataset in both, relative paths are not guessed."""
    mine = table_of("secret").set_column(0, "dataset", pa.array(["mine"]))
    own = written(mine, house / "private" / "m.csv")
    theirs = written(table_of(str(house / "private" / "secret")), house / "theirs" / "m.csv")
    refused(cli("export", "webdataset", own, theirs, "-o", house / "out"), "leads out of")
    same = written(mine, house / "theirs" / "same.csv")
    answer = cli("export", "webdataset", own, same, "-o", house / "out")
    assert (answer.code, "may start in any of several folders" in answer.err) == (2, True)
    assert not holds_secret(house / "out")


def test_red_team_05_near_duplicates_and_pages_open_nothing_else(cli: CLI, house: Path) -> None:
    """Of rows whose hashes are equal the images would be compared, and shown."""
    path = str(house / "private" / "secret")
    rows = [
        {
            "dataset": "evil",
            "image_id": name,
            "key": f"evil/{name}",
            "path": path,
            "phash": b"12345678",
            "sha256": name * 64,
        }
        for name in "xy"
    ]
    target = house / "theirs" / "m.parquet"
    pq.write_table(pa.Table.from_pylist(rows), target)
    for command in (
        ("select", target, "--dedupe", "near", "-o", house / "s.parquet"),
        ("split", target, "--near", "-o", house / "s.parquet"),
        ("audit", target, "--near"),
        ("audit", target, "--only", "license-mix", "--report", house / "page.html"),
    ):
        answer = cli(*command)
        assert answer.code == 2, (command, answer.err)
        assert "leads out of the folder of evil" in answer.err, answer.err
    assert not (house / "page.html").exists()


def test_red_team_05_a_bundle_whose_manifest_names_other_files_opens_none(cli: CLI, tmp_path: Path) -> None:
    """The cache's own manifest is believed no more than another one."""
    cli("fetch", "demo")
    (path,) = (tmp_path / "cache").glob("datasets/demo/*/manifest.parquet")
    table = pq.ParquetFile(path).read()
    column = pa.array(["/etc/passwd", *table["path"].to_pylist()[1:]])
    pq.write_table(table.set_column(table.column_names.index("path"), "path", column), path)
    answer = cli("export", "webdataset", "demo", "-o", tmp_path / "out")
    assert (answer.code, "/etc/passwd of demo/" in answer.err) == (2, True)


def test_red_team_05_our_own_tables_with_absolute_paths_go_on_working(cli: CLI, tmp_path: Path) -> None:
    """`export csv` writes such, for other tools and for ours."""
    cli("fetch", "demo")
    for ending in ("csv", "jsonl", "parquet"):
        path = tmp_path / f"x.{ending}"
        assert cli("export", ending, "demo", "-o", path).code == 0
        assert cli("export", "imagefolder", path, "-o", tmp_path / ending).code == 8  # one does not decode
        assert cli("lock", path, "-o", tmp_path / "x.lock").code == 0
    words = ("--paths", "relative", "-o", tmp_path / "again.parquet")
    assert cli("sync", tmp_path / "x.lock", *words).code == 0
    again = pq.ParquetFile(tmp_path / "again.parquet").read()
    (own,) = (tmp_path / "cache").glob("datasets/demo/*/manifest.parquet")
    assert again["path"].equals(pq.ParquetFile(own).read()["path"])


# ------------------------------------------------------------------ 8, 10: what is no file


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "folder"])
def test_red_team_08_nothing_waits_for_a_pipe_or_reads_a_device(cli: CLI, house: Path, kind: str) -> None:
    """Exports refuse the row, an audit finds it."""
    place = house / "theirs" / "it"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    target = written(table_of("it"), house / "theirs" / "m.csv")
    for command in (("webdataset",), ("parquet", "--embed"), ("coco",), ("imagefolder",)):
        refused(cli("export", *command, target, "-o", house / "out"))
    answer = cli("audit", target, "-f", "json")
    assert answer.code == (2 if "device" in kind else 1), answer.err
    assert "device" in kind or f"it is a {kind}, not a file" in answer.out


@pytest.mark.parametrize("path", ["a\0b.jpg", "/etc/passwd\0", "x" * 300, "d/" * 2500])
def test_red_team_10_paths_that_are_none_end_in_words(cli: CLI, house: Path, path: str) -> None:
    """In every command that looks for the file."""
    target = house / "theirs" / "m.parquet"
    pq.write_table(table_of(path), target)
    for command in (
        ("audit",),
        ("export", "csv", "-o", house / "x.csv"),
        ("export", "coco", "-o", house / "out"),
    ):
        answer = cli(*command, target)
        named = "error: the path" in answer.err or "error: the column path has a NUL" in answer.err
        assert (answer.code, named) == (2, True), answer.err


# ------------------------------------------------------------------ 3: sync and lock look at the files


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the demo dataset, and its lock."""
    from dermdata.cli.app import run

    folder = tmp_path_factory.mktemp("kept")
    assert run(["-q", "--cache", str(folder / "cache"), "fetch", "demo"]) == 0
    assert run(["-q", "--cache", str(folder / "cache"), "lock", "demo", "-o", str(folder / "demo.lock")]) == 0
    return folder


@pytest.fixture
def cohort(kept: Path, tmp_path: Path) -> Path:
    """The test's own copy: the images of the demo dataset."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    (home,) = tmp_path.glob("cache/datasets/demo/*/images/demo_images")
    return home


def alter(path: Path) -> None:
    """Other bytes, as many as before."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(data)


def test_red_team_03_an_image_that_is_not_the_locked_one_is_named(
    cli: CLI, cohort: Path, tmp_path: Path
) -> None:
    """Exit 4 with the row's key and both checksums; nothing is written, and a repair mends it."""
    image = cohort / "DEMO_0001.jpg"
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    alter(image)
    answer = cli("sync", tmp_path / "demo.lock", "-o", tmp_path / "out.parquet", "-f", "csv")
    now = hashlib.sha256(image.read_bytes()).hexdigest()
    assert (answer.code, answer.out.splitlines()[1:]) == (4, [f"demo/DEMO_0001,image,sha256,{before},{now}"])
    assert "verify demo --repair" in answer.err
    assert not (tmp_path / "out.parquet").exists()
    assert cli("verify", "demo", "--repair").code == 0
    assert cli("sync", tmp_path / "demo.lock", "-o", tmp_path / "out.parquet").code == 0


@pytest.mark.parametrize(
    ("harm", "code"),
    [("missing", 0), ("longer", 0), ("a link", 0), ("another's", 0), ("a pipe", 5), ("a folder", 5)],
)
def test_red_team_03_what_a_look_at_sizes_shows_comes_again(
    cli: CLI, cohort: Path, tmp_path: Path, harm: str, code: int
) -> None:
    """Or what is in its way is told; never a manifest over another file."""
    image = cohort / "DEMO_0001.jpg"
    before = image.read_bytes()
    image.unlink()
    if harm == "longer":
        image.write_bytes(before + b"more")
    elif harm == "a pipe":
        os.mkfifo(image)
    elif harm == "a folder":
        image.mkdir()
    elif harm == "a link":
        image.symlink_to("DEMO_0003.jpg")
    elif harm == "another's":
        shutil.copy(cohort / "DEMO_0003.jpg", image)
    answer = cli("sync", tmp_path / "demo.lock", "-o", tmp_path / "out.parquet")
    assert answer.code == code, answer.err
    assert code or image.read_bytes() == before
    assert (tmp_path / "out.parquet").exists() == (code == 0)


@pytest.mark.parametrize("harm", ["altered", "missing", "a pipe", "a link"])
def test_red_team_03_rows_whose_image_is_another_are_not_locked(
    cli: CLI, cohort: Path, tmp_path: Path, harm: str
) -> None:
    """Exit 4 with the row, and how to mend it; nothing is written."""
    image = cohort / "DEMO_0001.jpg"
    if harm == "altered":
        alter(image)
    else:
        image.unlink()
    if harm == "a pipe":
        os.mkfifo(image)
    elif harm == "a link":
        image.symlink_to("DEMO_0003.jpg")
    answer = cli("lock", "demo", "-o", tmp_path / "new.lock")
    assert answer.code == 4, answer.err
    said = {"a pipe": "unreadable: it is a pipe", "a link": "altered"}.get(harm, harm)
    assert f"1 of 120 rows has another file than the manifest says: demo/DEMO_0001 ({said}" in answer.err
    assert "`dermdata verify demo --repair`" in answer.err
    assert not (tmp_path / "new.lock").exists()


def test_red_team_03_masks_are_looked_at_too(cli: CLI, cohort: Path, tmp_path: Path) -> None:
    """By the list of the dataset's folder: rows have no checksum of them."""
    (own,) = tmp_path.glob("cache/datasets/demo/*/manifest.parquet")
    table = pq.ParquetFile(own).read()
    row = next(row for row in table.to_pylist() if row["mask_path"])
    alter(own.parent / row["mask_path"])
    answer = cli("sync", tmp_path / "demo.lock", "-f", "csv")
    assert (answer.code, answer.out.splitlines()[1].startswith(f"{row['key']},mask,mask_path,")) == (4, True)
    answer = cli("lock", "demo", "-o", tmp_path / "new.lock")
    assert (answer.code, f"{row['key']} (mask altered)" in answer.err) == (4, True)


def test_red_team_03_images_of_other_rows_do_not_matter(cli: CLI, cohort: Path, tmp_path: Path) -> None:
    """Only what is locked is read."""
    part = tmp_path / "part.parquet"
    assert cli("select", "demo", "--where", "image_id <> 'DEMO_0001'", "-o", part).code == 0
    alter(cohort / "DEMO_0001.jpg")
    assert cli("lock", part, "-o", tmp_path / "part.lock").code == 0
    assert cli("sync", tmp_path / "part.lock", "-o", tmp_path / "out.parquet").code == 0


# ------------------------------------------------------------------ 5: a lock sets no path


def with_rows(lock: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """The lock with other rows, their checksum made right, as anyone can."""
    document = json.loads(lock.read_text())
    rows = change(lock_from_bytes(lock.read_bytes(), "x").rows)
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    packed = sink.getvalue().to_pybytes()
    document |= {
        "data": [base64.b64encode(packed).decode()],
        "rows_sha256": hashlib.sha256(packed).hexdigest(),
    }
    lock.write_text(json.dumps(document | {"rows": rows.num_rows}))
    return lock


@pytest.mark.parametrize("column", SOURCE_COLUMNS)
@pytest.mark.parametrize("rows", ["all", "one"])
def test_red_team_05_a_lock_cannot_say_where_images_are(
    cli: CLI, cohort: Path, tmp_path: Path, column: str, rows: str
) -> None:
    """Nor which one a row has: exit 2, before anything is fetched."""
    value: Any = {"masks": [("net", "/etc/passwd")], "bytes": 1}.get(column, "/etc/passwd")
    kind = {"masks": pa.map_(pa.string(), pa.string()), "bytes": pa.int64()}.get(column, pa.string())
    values = [value] * 120 if rows == "all" else [None] * 119 + [value]
    lock = with_rows(
        tmp_path / "demo.lock", lambda table: table.append_column(f"set:{column}", pa.array(values, kind))
    )
    answer = cli("sync", lock, "-o", tmp_path / "out.parquet", cache=tmp_path / "empty")
    assert (answer.code, f"sets {column}: a lock cannot say" in answer.err) == (2, True), answer.err
    assert not (tmp_path / "out.parquet").exists()
    assert not (tmp_path / "empty" / "datasets").exists()


def test_red_team_05_rows_that_name_another_image_are_not_locked(
    cli: CLI, cohort: Path, tmp_path: Path
) -> None:
    """What `sync` would refuse is not written either."""
    (own,) = tmp_path.glob("cache/datasets/demo/*/manifest.parquet")
    table = pq.ParquetFile(own).read()
    for column, value in (("path", "images/demo_images/DEMO_0005.jpg"), ("sha256", "0" * 64)):
        cells = [value, *table[column].to_pylist()[1:]]
        other = table.set_column(table.column_names.index(column), column, pa.array(cells))
        pq.write_table(other, tmp_path / "other.parquet")
        answer = cli("lock", tmp_path / "other.parquet", "-o", tmp_path / "new.lock")
        assert (answer.code, f"(column {column}), the first is demo/" in answer.err) == (2, True), answer.err


def test_rows_that_name_no_image_at_all_can_be_locked(cli: CLI, cohort: Path, tmp_path: Path) -> None:
    """A list of keys with labels of one's own opens nothing."""
    (tmp_path / "own.csv").write_text("dataset,image_id,key,label\ndemo,DEMO_0001,demo/DEMO_0001,mine\n")
    assert cli("lock", tmp_path / "own.csv", "-o", tmp_path / "own.lock").code == 0
    assert cli("sync", tmp_path / "own.lock", "-o", tmp_path / "out.csv").code == 0
    assert "mine" in (tmp_path / "out.csv").read_text()


# ------------------------------------------------------------------ 10: damaged locks


def test_red_team_10_a_damaged_lock_ends_in_words(kept: Path) -> None:
    """400 of them: bytes flipped, cut, put in; other JSON; other rows under a right checksum."""
    whole = (kept / "demo.lock").read_bytes()
    (own,) = kept.glob("cache/datasets/demo/*/manifest.parquet")
    bases = {"demo": pq.ParquetFile(own).read()}
    found: list[DermdataError] = []
    for number in range(400):
        chance = random.Random(number)
        try:
            lock = lock_from_bytes(damaged(whole, chance), "x.lock")
            compare_rows(lock, rebuild_rows(lock, bases))
        except DermdataError as error:
            found.append(error)
    assert {error.exit_code for error in found} <= {2, 4}
    assert len(found) > 300
    assert max(len(error.message) for error in found) < 2000


def damaged(whole: bytes, chance: random.Random) -> bytes:
    data, document = bytearray(whole), json.loads(whole)
    at = chance.randrange(len(data))
    kind = chance.randrange(6)
    if kind == 0:
        data[at] = chance.randrange(256)
        return bytes(data)
    if kind == 1:
        return bytes(data[:at])
    if kind == 2:
        return (
            bytes(data[:at])
            + chance.choice([b"\xc3\xa9", b"[" * 100_000, b"9" * 5000, b"\0"])
            + bytes(data[at:])
        )
    if kind == 3:
        home = chance.choice([document, document["datasets"][0]])
        home[chance.choice(list(home))] = chance.choice(
            [None, -1, 10**400, 1.5, "é", [], {}, [[1]], "x" * 10**5]
        )
        return json.dumps(document).encode()
    name = "manifest_schema" if kind == 4 else "data"
    packed = bytearray(base64.b64decode("".join(document[name])))
    packed[chance.randrange(len(packed))] = chance.randrange(256)
    document[name] = base64.b64encode(packed).decode() if kind == 4 else [base64.b64encode(packed).decode()]
    if kind == 5:
        document["rows_sha256"] = hashlib.sha256(packed).hexdigest()
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "column",
    [
        ("key", pa.nulls(120, pa.string())),
        ("digest", pa.array([b"1"] * 120)),
        ("told:nonsense", pa.array(["x"] * 120)),
        ("set:age", pa.array(["x"] * 120)),
        ("set:age", pa.array([[1]] * 120)),
        ("set:license", pa.array([b"\xff"] * 120)),
    ],
    ids=lambda column: f"{column[0]} {column[1].type}",
)
def test_red_team_10_rows_of_other_kinds_end_in_words(
    cli: CLI, cohort: Path, tmp_path: Path, column: tuple[str, pa.Array]
) -> None:
    """Under a right checksum."""
    name, values = column

    def change(table: pa.Table) -> pa.Table:
        if name in table.column_names:
            return table.set_column(table.column_names.index(name), name, values)
        return table.append_column(name, values)

    answer = cli(
        "sync", with_rows(tmp_path / "demo.lock", change), "-o", tmp_path / "out.jsonl", "-f", "json"
    )
    assert answer.code in (2, 4), answer.err
    assert not (tmp_path / "out.jsonl").exists()


def test_red_team_10_a_lock_that_swells_is_not_unpacked(cli: CLI, cohort: Path, tmp_path: Path) -> None:
    """40 million rows fit into a few hundred kilobytes; an honest row has a digest that nothing compresses."""

    def swell(table: pa.Table) -> pa.Table:
        return pa.table(
            {
                name: pa.array([table[name][0].as_py()] * 500_000, table[name].type)
                for name in ("key", "sha256", "digest")
            }
        )

    answer = cli("sync", with_rows(tmp_path / "demo.lock", swell))
    assert (answer.code, "unpack to more than a lock's can" in answer.err) == (2, True), answer.err
