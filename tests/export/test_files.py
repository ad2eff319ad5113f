"""Where the images of rows lie, of more rows than are Python's own at once."""

from pathlib import Path

import pyarrow as pa
import pytest

from dermdata.export.left_out import partition_rows
from dermdata.export.row_images import to_absolute_paths
from dermdata.manifest import image_files
from dermdata.manifest.image_files import ImageFinder
from dermdata.manifest.schema import SCHEMA

ROWS = [
    {"dataset": "a", "path": "1.jpg", "mask_path": "m/1.png", "masks": [("globules", "m/1.png"), ("net", "gone.png")]},
    {"dataset": "a", "path": "gone.jpg"},
    {"dataset": "b", "path": "1.jpg", "masks": []},
    {"dataset": None, "path": None},
    {"dataset": "b", "path": "/nowhere/1.jpg"},
]  # fmt: skip


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    for name in ("a/1.jpg", "a/m/1.png", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return {"a": tmp_path / "a", "b": tmp_path / "b"}


@pytest.mark.parametrize("block", [1, 2, 5, 8192])
def test_paths_are_the_same_in_blocks_of_any_size(
    block: int, roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute where there is a file, null where there is none, masks by name."""
    monkeypatch.setattr(image_files, "BLOCK", block)
    table, missing = to_absolute_paths(pa.Table.from_pylist(ROWS, SCHEMA), ImageFinder(roots))
    one, other, mask = (str(roots["a"] / "1.jpg"), str(roots["b"] / "1.jpg"), str(roots["a"] / "m/1.png"))
    assert table["path"].to_pylist() == [one, None, other, None, None]
    assert missing == {"rows without an image file": 3}
    assert table["mask_path"].to_pylist() == [mask, None, None, None, None]
    assert table["masks"].to_pylist() == [[("globules", mask), ("net", None)], None, [], None, None]
    assert table.schema == SCHEMA


def test_a_table_without_images_stays_as_it_is(roots: dict[str, Path]) -> None:
    """Neither rows nor files: nothing to look for."""
    table = pa.Table.from_pylist([{"dataset": "a"}] * 3, SCHEMA)
    assert to_absolute_paths(table, ImageFinder(roots)) == (table, {"rows without an image file": 3})
    assert to_absolute_paths(SCHEMA.empty_table(), ImageFinder(roots)) == (SCHEMA.empty_table(), {})


def test_rows_are_held_once_where_none_is_left_out() -> None:
    """A filter would copy ten million rows."""
    table = pa.Table.from_pylist(ROWS, SCHEMA)
    kept, left = partition_rows(table, [None] * len(ROWS))
    assert kept is table
    assert left.num_rows == 0
