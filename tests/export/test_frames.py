"""--resize and --fit: pictures of one size, and masks and boxes that still lie on what they lay on."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dermdata import export
from dermdata.errors import UsageError
from dermdata.images.frames import FITS, Fit, Frame, fit_mask, parse_frame, shrink_size
from export.conftest import MakeJob
from export.samples import draw, row, table

sides = st.integers(1, 300)


def test_bars_cuts_and_stretches() -> None:
    """A picture of 100 x 50 in 40 x 40."""
    pad, crop, stretch = (Frame(40, 40, fit).place((100, 50)) for fit in FITS)
    assert (pad.scaled, pad.left, pad.top) == ((40, 20), 0, 10)
    assert (crop.scaled, crop.left, crop.top) == ((80, 40), -20, 0)
    assert (stretch.scaled, stretch.left, stretch.top) == ((40, 40), 0, 0)
    box = (10, 10, 20, 20)
    assert pad.move_box(box, (100, 50)) == (4, 14, 8, 8)
    assert stretch.move_box(box, (100, 50)) == (4, 8, 8, 16)
    assert crop.move_box(box, (100, 50)) == (0, 8, 4, 16)  # its left part is cut
    assert crop.move_box((0, 0, 10, 50), (100, 50)) is None


@given(sides, sides, sides, sides, st.sampled_from(FITS))
def test_every_picture_fills_its_frame(width: int, height: int, wide: int, high: int, fit: Fit) -> None:
    placed = Frame(wide, high, fit).place((width, height))
    whole = placed.move_box((0, 0, width, height), (width, height))
    assert whole is not None
    assert placed.paste(Image.new("L", placed.scaled, 255)).size == (wide, high)
    if fit == "pad":
        assert min(wide - placed.scaled[0], high - placed.scaled[1]) <= 1
        assert min(placed.left, placed.top) >= 0
    else:
        assert whole == pytest.approx((0, 0, wide, high))


@given(sides, sides, sides)
def test_the_size_that_pillow_makes(width: int, height: int, longest: int) -> None:
    image = Image.new("L", (width, height))
    image.thumbnail((longest, longest))
    assert shrink_size((width, height), longest) == image.size


def test_a_mask_lies_where_its_picture_lies() -> None:
    mask = np.zeros((50, 100), bool)
    mask[10:30, 10:30] = True
    for fit, box in (("pad", (4, 14, 8, 8)), ("crop", (0, 8, 4, 16)), ("stretch", (4, 8, 8, 16))):
        moved = fit_mask(mask, Frame(40, 40, fit))  # type: ignore[arg-type]
        down, across = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
        assert (across[0], down[0], len(across), len(down)) == box


@pytest.mark.parametrize(
    ("text", "fit", "said"),
    [("0", "pad", "no size"), ("a", "pad", "no size"), ("1x2x3", "pad", "no size"), ("-5x5", "pad", "no size"),
     ("99999", "pad", "no size"), ("", "pad", "no size"), ("5x", "pad", "no size"), ("5", "fill", "no way to fit")],
)  # fmt: skip
def test_what_is_no_size_is_refused(text: str, fit: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_frame(text, fit)


def test_sizes_as_people_type_them() -> None:
    assert parse_frame("224", "pad").size == (224, 224)
    assert parse_frame("320X240", "crop").size == parse_frame("320×240", "crop").size == (320, 240)


# ------------------------------------------------------------------ in the formats

BOX = {"x": 1.0, "y": 1.0, "width": 3.0, "height": 2.0, "label": "hair"}


@pytest.fixture
def drawn(root: Path) -> Any:
    """Three pictures of 6, 7 and 8 x 5 pixels with masks and a box."""
    parts = ("train", "val", "test")
    return table(
        [
            {
                **row(root, n),
                "mask_path": draw(root, n),
                "boxes": [BOX] if n == 1 else None,
                "split": parts[n],
            }
            for n in range(3)
        ]
    )


def size_of(data: bytes | Path) -> tuple[int, int]:
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        return image.size


@pytest.mark.parametrize("form", ["imagefolder", "coco", "yolo", "masks", "nnunet"])
@pytest.mark.parametrize("fit", FITS)
def test_every_picture_and_mask_has_the_size(
    job: MakeJob, drawn: Any, tmp_path: Path, form: str, fit: Fit
) -> None:
    export.write(form, job(table=drawn, frame=Frame(20, 16, fit)))
    pictures = [*(tmp_path / "out").rglob("*.jpg"), *(tmp_path / "out").rglob("*.png")]
    assert len(pictures) >= 3
    assert {size_of(path) for path in pictures} == {(20, 16)}


@pytest.mark.parametrize("form", ["webdataset", "huggingface", "parquet"])
def test_images_inside_files_have_the_size_and_their_rows_say_it(
    job: MakeJob, drawn: Any, tmp_path: Path, form: str
) -> None:
    choices = {"embed": True} if form == "parquet" else {}
    export.write(form, job(table=drawn, frame=Frame(20, 16, "stretch"), **choices))
    if form == "webdataset":
        import tarfile

        found = {}
        for path in (tmp_path / "out").glob("*.tar"):
            with tarfile.open(path) as tar:
                found |= {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
        images = [data for name, data in found.items() if name.endswith((".jpg", ".png"))]
        rows = [json.loads(data) for name, data in found.items() if name.endswith(".json")]
    else:
        rows = [
            one for path in (tmp_path / "out").rglob("*.parquet") for one in pq.read_table(path).to_pylist()
        ]
        images = [one[name]["bytes"] for one in rows for name in ("image", "mask") if one.get(name)]
    assert {size_of(data) for data in images} == {(20, 16)}
    assert {(one["width"], one["height"]) for one in rows} == {(20, 16)}
    (boxes,) = [one["boxes"] for one in rows if one.get("boxes")]
    sides = [round(boxes[0][name], 3) for name in ("x", "y", "width", "height")]
    assert sides == [2.857, 3.2, 8.571, 6.4]  # of 7 x 5 pixels


def test_boxes_and_outlines_follow_into_coco(job: MakeJob, drawn: Any, tmp_path: Path) -> None:
    export.write("coco", job(table=drawn, frame=Frame(70, 70, "pad")))
    said = json.loads((tmp_path / "out/instances_val.json").read_text())
    assert [(one["width"], one["height"]) for one in said["images"]] == [(70, 70)]
    boxes = sorted(tuple(one["bbox"]) for one in said["annotations"])
    assert boxes == [(10.0, 20.0, 30.0, 20.0), (20, 20, 30, 30)]  # 10 times, 10 pixels of bar above


def test_yolo_follows_a_cut_and_a_box_outside_it_is_gone(job: MakeJob, drawn: Any, tmp_path: Path) -> None:
    export.write("yolo", job(table=drawn, frame=Frame(5, 5, "crop")))
    (text,) = (tmp_path / "out/labels/val").iterdir()
    lines = sorted(text.read_text().splitlines())
    # 7 x 5 pixels lose one column on each side: the mask from (2, 1) is 3 x 3, the box from (1, 1) 3 x 2
    assert lines == ["0 0.5 0.5 0.6 0.6", "2 0.3 0.4 0.6 0.4"]
