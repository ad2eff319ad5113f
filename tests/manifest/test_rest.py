"""A manifest of which only some columns are held: what is written of it is what all of it in memory gives."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.errors import BadTable
from dermdata.manifest import lazy, parquet
from dermdata.manifest.lazy import ROW_COLUMN, SCHEMA, DiskColumns, LazyTable, open_disk_manifest
from support.manifest_builders import built

COUNT = 90


def manifest(start: int = 0, words: str = "mel nv bkl") -> pa.Table:
    rows, kinds = [str(n) for n in range(start, start + COUNT)], itertools.cycle(words.split())
    columns = {"id": rows, "dx": [next(kinds) for _ in rows], "note": [f"note {n}" for n in rows]}
    return built(columns, {"columns": {"image_id": ("id",), "label_raw": ("dx",)}})[0]


def unchanged(table: pa.Table) -> pa.Table:
    return table


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two manifests of several row groups; the second has a column of its own and embedded images."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 40)
    monkeypatch.setattr(
        lazy, "GATHERED_ROWS", 90
    )  # rows in another order than the files' come so many at a time
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    parquet.write_manifest(manifest(), one, {})
    more = manifest(COUNT, "nv df").append_column("score", pa.array(np.arange(COUNT) / 2))
    parquet.write_manifest(more.append_column("image", pa.array([b"x"] * COUNT)), two, {})
    return one, two


@pytest.fixture
def whole(files: tuple[Path, Path]) -> pa.Table:
    return parquet.concat_manifests([parquet.read_manifest(path, without="image") for path in files])


@pytest.fixture
def held(files: tuple[Path, Path]) -> LazyTable:
    """Of both only two columns."""
    away = DiskColumns(tuple(open_disk_manifest(path, "image", unchanged) for path in files))
    table = parquet.concat_manifests(
        [parquet.read_manifest(path, ["image_id", "diagnosis"]) for path in files]
    )
    return LazyTable(away.add_row_numbers(table.select(["image_id", "diagnosis"])), away)


def written(rows: LazyTable, path: Path) -> bytes:
    parquet.write_blocks(rows.schema, rows.blocks(parquet.ROW_GROUP), path)
    return path.read_bytes()


def taken(rows: LazyTable, numbers: Any) -> LazyTable:
    return LazyTable(rows.table.take(pa.array(numbers, pa.int64())), rows.rest)


CHOICES: dict[str, Callable[[], Any]] = {
    "all": lambda: np.arange(2 * COUNT),
    "none": lambda: np.arange(0),
    "some": lambda: np.arange(5, 2 * COUNT, 7),
    "of the second alone": lambda: np.arange(COUNT + 45, COUNT + 50),
    "backwards": lambda: np.arange(2 * COUNT)[::-1],
    "shuffled": lambda: np.random.default_rng(1).permutation(2 * COUNT)[:50],
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_same_bytes_as_from_memory(choice: str, held: LazyTable, whole: pa.Table, tmp_path: Path) -> None:
    """Every column, the columns' order, the groups and the dictionaries."""
    numbers = CHOICES[choice]()
    rows, table = taken(held, numbers), LazyTable(whole.take(pa.array(numbers)))
    assert rows.num_rows == table.num_rows == len(numbers)
    assert rows.column_names == table.column_names
    assert "image" not in rows.column_names
    assert rows.to_table().to_pylist() == table.table.to_pylist()
    assert written(rows, tmp_path / "a.parquet") == written(table, tmp_path / "b.parquet")


@pytest.mark.parametrize("most", [1, 7, 40, 1000])
def test_blocks_are_of_one_size(most: int, held: LazyTable, whole: pa.Table) -> None:
    """The last one excepted; together they are the table."""
    blocks = list(held.blocks(most))
    assert {block.num_rows for block in blocks[:-1]} <= {most}
    assert pa.concat_tables(blocks).to_pylist() == whole.to_pylist()


def test_rows_in_another_order_are_never_all_held(held: LazyTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each share of them is read for itself, whole row groups at a time."""
    gathered: list[int] = []
    real = LazyTable.to_table

    def counted(self: LazyTable, names: Any = None) -> pa.Table:
        gathered.append(self.num_rows)
        return real(self, names)

    monkeypatch.setattr(LazyTable, "to_table", counted)
    backwards = taken(held, np.arange(2 * COUNT)[::-1])
    assert {block.num_rows for block in list(backwards.blocks(40))[:-1]} == {40}
    assert (max(gathered), sum(gathered)) == (80, 2 * COUNT)


def test_what_a_command_has_changed_or_added_counts(held: LazyTable, whole: pa.Table) -> None:
    """In its old place, or at the end with its own description; ROW is never seen."""
    field = pa.field("label", pa.string(), metadata={"description": "a class"})
    place = held.table.column_names.index("diagnosis")
    new = pa.array([None] * whole.num_rows, held.table.schema.field("diagnosis").type)
    table = held.table.set_column(place, held.table.schema.field(place), new)
    rows = LazyTable(table.append_column(field, pa.array(["x"] * whole.num_rows)), held.rest)
    assert rows.column_names == [*whole.column_names, "label"]
    assert rows.schema.field("label").metadata == {b"description": b"a class"}
    assert ROW_COLUMN not in rows.column_names
    found = rows.to_table()
    assert found["diagnosis"].null_count == whole.num_rows
    assert found["score"].to_pylist() == whole["score"].to_pylist()


def test_one_column_is_read_for_this_once(held: LazyTable, whole: pa.Table) -> None:
    """Of all rows or of some; one that a file has not is null there."""
    for name in ("key", "score", "diagnosis", "extra"):
        assert held.column(name).to_pylist() == whole[name].to_pylist()
        assert taken(held, [150, 3]).column(name).to_pylist() == whole[name].take([150, 3]).to_pylist()
        assert held.column(name).type == whole.schema.field(name).type


def test_all_columns_held_need_no_reading(held: LazyTable, whole: pa.Table, files: tuple[Path, Path]) -> None:
    assert held.rest
    rows = LazyTable(held.rest.add_row_numbers(whole), held.rest)
    for path in files:
        path.unlink()
    assert rows.to_table().to_pylist() == whole.to_pylist()


def test_a_file_that_was_changed_in_between_is_told(held: LazyTable, files: tuple[Path, Path]) -> None:
    """Rows of one version beside columns of another would be an invented manifest."""
    parquet.write_manifest(manifest(words="df"), files[0], {})
    with pytest.raises(BadTable, match=r"one\.parquet was changed while it was read") as caught:
        held.to_table()
    assert caught.value.hint == "run the command again"
    files[0].unlink()
    with pytest.raises(BadTable, match="no manifest at"):
        held.to_table()


def test_a_strangers_one_large_row_group_comes_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the file is cut, a block at a time is in memory."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 40)
    pq.write_table(manifest(), tmp_path / "big.parquet", row_group_size=COUNT)
    file = open_disk_manifest(tmp_path / "big.parquet", "image", unchanged)
    assert file.groups == (COUNT,)
    blocks = list(file.read_blocks(np.arange(10, 85), ["image_id"]))
    assert [block.num_rows for block in blocks] == [30, 40, 5]
    assert pa.concat_tables(blocks)["image_id"].to_pylist() == manifest()["image_id"][10:85].to_pylist()


def test_a_manifest_without_rows(tmp_path: Path) -> None:
    parquet.write_manifest(manifest().slice(0, 0), tmp_path / "empty.parquet", {})
    away = DiskColumns((open_disk_manifest(tmp_path / "empty.parquet", "image", unchanged),))
    rows = LazyTable(
        away.add_row_numbers(parquet.read_manifest(tmp_path / "empty.parquet", ["dataset"])), away
    )
    assert (rows.num_rows, list(rows.blocks()), rows.to_table().num_rows) == (0, [], 0)
    assert rows.to_table().column_names == rows.column_names == SCHEMA.names


def test_rows_that_are_no_longer_there_are_not_numbered(held: LazyTable, whole: pa.Table) -> None:
    """The file was replaced between the look at its footer and the first reading."""
    assert held.rest
    with pytest.raises(BadTable, match="was changed while it was read"):
        held.rest.add_row_numbers(whole.slice(1))
