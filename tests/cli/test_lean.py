"""A Parquet target of which only some columns are held gives what the whole table in memory gives."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.export import shards
from dermdata.manifest import parquet
from support.label_tables import manifest, row

WORDS = {"ham10000": ("akiec", "nv", "mel", "bkl"), "isic-2019": ("SCC", "NV", "MEL", "AK")}


def rows_of(name: str, start: int) -> pa.Table:
    """Images, some of which the other dataset has too, with columns that no command decides by."""
    found = [
        row(
            name, f"{number:04}", WORDS[name][number % 4], isic_id=f"ISIC_{number:04}",
            lesion_id=f"{name}/L{number // 2}", patient_id=f"{name}/P{number // 6}" if number % 5 else None,
            sex="female" if number % 3 else "male", age=float(number % 80), license="CC-BY-NC-4.0",
            extra=[("site", f"part {number % 7}")], phash=bytes([number % 256] * 8), caption=f"image {number}",
            split_official="test" if number % 6 == 0 else "train",
        )
        for number in range(start, start + 130)
    ]  # fmt: skip
    return manifest(*found).append_column("mine", pa.array(range(130)))


@pytest.fixture(scope="module", autouse=True)
def small_groups() -> Iterator[None]:
    """Row groups of fifty rows, in what is read and in what is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP", 50)
        patch.setattr(shards, "GROUP_ROWS", 50)
        yield


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Two manifests as Parquet of several row groups, and the same as Arrow files, which are held whole."""
    folder = tmp_path_factory.mktemp("targets")
    lean, whole = [], []
    for name, start in (("ham10000", 0), ("isic-2019", 90)):
        table = parquet.add_metadata(rows_of(name, start), {"dataset": name})
        lean.append(folder / f"{name}.parquet")
        whole.append(folder / f"{name}.arrow")
        parquet.write_manifest(table, lean[-1], {})
        with pa.ipc.new_file(whole[-1], table.schema) as writer:
            writer.write_table(table)
    return lean, whole


COMMANDS = {
    "select": ["select"],
    "where": ["select", "--where", "sex = 'female' and mine % 2 = 0 and diagnosis under 'melanocytic-neoplasm'"],
    "labels": ["select", "--labels", "ham7", "--where", "label is not null"],
    "sample": ["select", "--sample", "20", "--per-class"],
    "folded": ["select", "--dedupe", "id"],
    "nothing": ["select", "--where", "age > 1000"],
    "split": ["split"],
    "folds": ["split", "--folds", "3", "--stratify", "sex,mine", "--by", "lesion"],
    "stable": ["split", "--stable", "--labels", "malignancy"],
    "official": ["split", "--official"],
}  # fmt: skip


def same(one: Path, other: Path) -> None:
    """Equal bytes; of Parquet but for the history, which names the targets."""
    if one.suffix != ".parquet":
        assert one.suffix == ".arrow" or one.read_bytes() == other.read_bytes()
        return
    one_file, other_file = pq.ParquetFile(one), pq.ParquetFile(other)
    histories = [
        (file.schema_arrow.metadata or {}).pop(b"dermdata.history", None) for file in (one_file, other_file)
    ]
    assert all(histories)
    assert one_file.schema_arrow.equals(other_file.schema_arrow)
    groups = [
        [file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups)]
        for file in (one_file, other_file)
    ]
    assert groups[0] == groups[1]
    assert one_file.read().to_pylist() == other_file.read().to_pylist()


CASES = [
    *((command, "parquet", order) for command in COMMANDS for order in ("by name", "the other way round")),
    *((command, form, "by name") for command in ("where", "split") for form in ("arrow", "csv", "jsonl")),
]


@pytest.mark.parametrize(("command", "form", "order"), CASES)
def test_the_rows_are_those_of_the_whole_table(
    cli: Callable, targets: tuple[list[Path], list[Path]], tmp_path: Path, command: str, form: str, order: str
) -> None:
    """And so is every line on stdout and stderr; also where rows come in another order than the files have them."""
    said = []
    for name, paths in zip(("lean", "whole"), targets, strict=True):
        out = tmp_path / f"{name}.{form}"
        given = paths if order == "by name" else paths[::-1]
        answer = cli(*COMMANDS[command], *given, "-o", out)
        assert answer.code == 0, answer.err
        said.append((answer.out, answer.err.replace(str(out), "OUT")))
    assert said[0] == said[1]
    same(tmp_path / f"lean.{form}", tmp_path / f"whole.{form}")
    if form == "arrow":
        tables = [pa.ipc.open_file(tmp_path / f"{name}.arrow").read_all() for name in ("lean", "whole")]
        assert tables[0].to_pylist() == tables[1].to_pylist()
        assert tables[0].column_names == tables[1].column_names


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("more", [[], ["--split", "test"], ["--redistributable"], ["--labels", "isic8"]])
def test_exports_are_those_of_the_whole_table(
    cli: Callable, targets: tuple[list[Path], list[Path]], tmp_path: Path, form: str, more: list[str]
) -> None:
    """The same files with the same bytes, and again on a second run."""
    found = []
    for name, paths in zip(("lean", "whole"), targets, strict=True):
        out = tmp_path / name
        out.mkdir()
        answer = cli("export", form, *paths, *more, "-o", out)
        assert answer.code == 0, answer.err
        found.append({path.name: path.read_bytes() for path in out.iterdir()})
        again = cli("export", form, *paths, *more, "-o", out)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == found[-1]
        assert ("already there" in again.err) == (form == "parquet")
    assert found[0].keys() == found[1].keys()
    for name, content in found[0].items():
        if name.endswith(".parquet"):  # the mark is of what is held and how, the rows are the same
            tables = [pq.ParquetFile(pa.BufferReader(one[name])).read() for one in found]
            assert tables[0].equals(tables[1])
        else:
            assert content == found[1][name]


def test_a_stream_carries_all_columns(targets: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    """Blocks of one table, each with its own dictionaries, in one pipe."""
    import subprocess
    import sys

    lean, _ = targets
    here = [sys.executable, "-m", "dermdata", "--cache", str(tmp_path / "cache")]
    first = subprocess.run([*here, "select", *map(str, lean), "-o", "-"], capture_output=True, check=True)
    out = tmp_path / "split.parquet"
    subprocess.run([*here, "split", "-", "-o", str(out)], input=first.stdout, capture_output=True, check=True)
    direct = tmp_path / "direct.parquet"
    subprocess.run([*here, "split", *map(str, lean), "-o", str(direct)], capture_output=True, check=True)
    found, expected = (pq.ParquetFile(path).read().drop_columns(["split"]) for path in (out, direct))
    assert found.to_pylist() == expected.to_pylist()
    assert "mine" in found.column_names


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["select", "--where", "capton = 'x'"], "did you mean caption"),
        (["select", "--where", "label = 'x'"], "unknown column 'label'"),
        (["split", "--stratify", "sexx"], "did you mean sex"),
        (["split", "--stratify", "label"], "unknown column 'label'"),
    ],
)
def test_a_column_that_is_not_there_is_told_with_near_ones(
    cli: Callable, targets: tuple[list[Path], list[Path]], words: list[str], says: str
) -> None:
    """Those that are not held are known too."""
    for paths in targets:
        answer = cli(*words, *paths)
        assert (answer.code, says in answer.err) == (2, True), answer.err


def torn(path: Path, column: str) -> None:
    """Break the bytes of one column, which the footer still describes."""
    metadata = pq.read_metadata(path)
    group = metadata.row_group(0)
    [chunk] = [one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == column]
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(data)


@pytest.mark.parametrize("command", [["select"], ["split"], ["export", "csv"], ["export", "parquet"]])
def test_a_torn_column_that_is_read_last_is_told_and_nothing_is_written(
    cli: Callable, targets: tuple[list[Path], list[Path]], tmp_path: Path, command: list[str]
) -> None:
    """A person's own file: its name and exit 2. One of the cache: exit 4 and how to mend it."""
    out = tmp_path / f"out.{'csv' if 'csv' in command else 'parquet'}"
    mine = targets[0][0]
    torn(mine, "caption")
    answer = cli(*command, mine, "-o", out)
    assert (answer.code, str(mine) in answer.err) == (2, True), answer.err
    cli("fetch", "demo")
    torn(
        tmp_path / "cache/datasets/demo/1.0/manifest.parquet",
        "image_id" if "split" not in command else "path",
    )
    answer = cli(*command, "demo", "-o", out)
    assert (answer.code, "dermdata fetch demo --force" in answer.err) == (4, True), answer.err
    assert not out.exists()
    assert not list(tmp_path.glob("*.tmp*"))
