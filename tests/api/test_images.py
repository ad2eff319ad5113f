"""Pictures in Python: as stored, whatever an orientation tag or the depth of the levels is; masks lie on them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermdata.api.images import ImageDataset, open_image, open_mask, open_rgb
from dermdata.api.results import Row
from dermdata.errors import IntegrityError
from dermdata.images.orientation import TURNS

STORED = np.zeros((20, 30), np.uint8)
STORED[2:9, 3:20] = 255


def put(path: Path, image: Image.Image, kind: str, turn: int = 1) -> str:
    held = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = turn
    image.save(held, kind, **({"tiffinfo": {0x0112: turn}} if kind == "TIFF" else {"exif": exif.tobytes()}))
    path.write_bytes(held.getvalue())
    return str(path)


@pytest.mark.parametrize("data", [b"version https://git-lfs.github.com/spec/v1\n", b"<html>", b""])
def test_what_is_no_image_names_the_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"x\.jpg cannot be decoded"):
        open_rgb(str(tmp_path / "x.jpg"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("turn", [3, 5, 6, 8])
@pytest.mark.parametrize("upright", [False, True])
def test_image_and_mask_of_a_row_lie_on_each_other(
    tmp_path: Path, kind: str, turn: int, upright: bool
) -> None:
    """Of a mask that was drawn upright the size tells it, so that of a picture upside down does not."""
    stored = Image.fromarray(STORED)
    image = put(tmp_path / "a", stored.convert("RGB"), kind, turn)
    turned = upright and turn > 4
    mask = put(tmp_path / "b", stored.transpose(TURNS[turn][0]) if turned else stored, "PNG")
    row = Row({}, image, mask)
    pair = ImageDataset([image], [0], ["x"], [mask])[0]
    for seen, inside in ((row["image"], row["mask"]), pair):
        assert seen.size == inside.size == (30, 20)
        assert ((np.asarray(seen.convert("L")) > 127) == (np.asarray(inside) > 127)).mean() > 0.98
    assert open_image(image).size == (30, 20)
    assert open_mask(mask, image).tobytes() == stored.tobytes()


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4", "<f4"])
def test_deep_levels_are_a_picture_in_three_channels(tmp_path: Path, kind: str) -> None:
    """Not all white: the upper bits, the same for the same levels in any file."""
    levels = np.linspace(0, 65_535, 600).reshape(20, 30).round()
    path = tmp_path / "x.tif"
    if kind == ">u2":
        Image.frombytes("I;16B", (30, 20), levels.astype(kind).tobytes()).save(path)
    else:
        Image.fromarray(levels.astype(kind)).save(path)
    seen = np.asarray(open_rgb(str(path)))
    assert (seen[..., 0] == levels.astype(int) >> 8).all()
    assert seen.shape == (20, 30, 3)


@pytest.mark.parametrize("value", [0.5, -3.5, 70_000.0])
def test_levels_that_are_all_one_are_a_picture_too(tmp_path: Path, value: float) -> None:
    Image.fromarray(np.full((4, 5), value, "<f4")).save(tmp_path / "x.tif")
    assert len(set(open_rgb(str(tmp_path / "x.tif")).tobytes())) == 1
