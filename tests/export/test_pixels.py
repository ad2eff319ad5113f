"""--size: smaller, never larger, the same kind of file; levels of more than 8 bits stay what they are."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dermdata.errors import IntegrityError, SizeMismatch, StorageError
from dermdata.export.image_bytes import ImageTask, Recipe, find_depth_change, load_images
from export.pictures import (
    PRIVATE,
    PROFILE,
    camera_jpeg,
    camera_png,
    chunk,
    opened,
    photograph,
    pixels,
    saved,
)


def deep_png() -> bytes:
    """A color PNG of 16 bits a channel, which Pillow cannot write."""
    header = struct.pack(">IIBBBBB", 64, 40, 16, 2, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(range(256)) + bytes(128) for _ in range(40))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def made(tmp_path: Path, data: bytes, recipe: Recipe) -> bytes:
    path = tmp_path / "image"
    path.write_bytes(data)
    (found,) = load_images([ImageTask(str(path), len(data), recipe)])
    assert found is not None
    return found


@pytest.mark.parametrize("data", [b"no image", b"", b"\xff\xd8\xff\xe0", saved(photograph(), "JPEG")[:900]])
def test_what_cannot_be_decoded_stops_the_export(tmp_path: Path, data: bytes) -> None:
    """The error names the file and says how to leave it out."""
    with pytest.raises(IntegrityError, match="image cannot be decoded") as caught:
        made(tmp_path, data, Recipe(size=8))
    assert "image_problem is null" in (caught.value.hint or "")


def test_a_file_that_is_gone_or_changed_stops_the_export(tmp_path: Path) -> None:
    """Between planning and reading."""
    (tmp_path / "a").write_bytes(b"123")
    with pytest.raises(StorageError, match="cannot read"):
        load_images([ImageTask(str(tmp_path / "b"), 3, Recipe())])
    with pytest.raises(SizeMismatch, match="has 3 bytes, the manifest says 4"):
        load_images([ImageTask(str(tmp_path / "a"), 4, Recipe())])


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_the_longest_side_has_that_many_pixels(tmp_path: Path, form: str) -> None:
    """Landscape and portrait, in the format that it was."""
    for shape, size in (((64, 40), (16, 10)), ((40, 64), (10, 16)), ((64, 1), (16, 1))):
        image = opened(made(tmp_path, saved(photograph(*shape), form), Recipe(size=16)))
        assert (image.size, image.format, image.mode) == (size, form, "RGB")


@pytest.mark.parametrize("data", [camera_jpeg(), camera_png()])
@pytest.mark.parametrize("size", [64, 65, 10_000])
def test_smaller_images_keep_their_bytes(tmp_path: Path, data: bytes, size: int) -> None:
    """Nothing is made larger, or encoded twice for nothing."""
    assert made(tmp_path, data, Recipe(size=size)) == data


@pytest.mark.parametrize(
    ("form", "mode"),
    [("PNG", "P"), ("PNG", "1"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "RGBA"), ("PNG", "I;16"),
     ("JPEG", "L"), ("JPEG", "CMYK"), ("TIFF", "RGB"), ("TIFF", "CMYK"), ("TIFF", "1"),
     ("GIF", "P"), ("BMP", "RGB"), ("WEBP", "RGBA")],
)  # fmt: skip
@pytest.mark.parametrize("recipe", [Recipe(size=16), Recipe(strip=True), Recipe(size=500)])
def test_every_kind_of_image_can_be_changed(tmp_path: Path, form: str, mode: str, recipe: Recipe) -> None:
    """JPEG stays JPEG, all else is PNG; Recipe says what is smaller."""
    source = (
        photograph().convert("L").convert("I").convert("I;16") if mode == "I;16" else photograph(mode=mode)
    )
    image = opened(made(tmp_path, saved(source, form), recipe))
    assert image.format == ("JPEG" if form == "JPEG" else "PNG")
    assert image.size == ((16, 10) if recipe.size == 16 else (64, 40))


@pytest.mark.parametrize("form", ["TIFF", "BMP"])
def test_other_formats_become_png_without_loss(tmp_path: Path, form: str) -> None:
    """Every pixel is the same."""
    assert pixels(made(tmp_path, saved(photograph(), form), Recipe(strip=True))) == photograph().tobytes()


@pytest.mark.parametrize("data", [camera_jpeg(), camera_png()])
def test_pixels_are_not_turned_and_the_tag_stays(tmp_path: Path, data: bytes) -> None:
    """Masks and columns are of the stored pixels; viewers show the image upright as before."""
    small = opened(made(tmp_path, data, Recipe(size=16)))
    clean = made(tmp_path, data, Recipe(size=16, strip=True))
    assert small.size == (16, 10)
    assert small.getexif()[0x0112] == 6
    assert small.info["icc_profile"] == PROFILE
    assert dict(opened(clean).getexif()) == {0x0112: 6}
    assert PRIVATE not in clean


def test_masks_keep_their_classes(tmp_path: Path) -> None:
    """Nearest neighbor: no value that was not there."""
    mask = Image.new("L", (64, 40), 0)
    mask.paste(255, (10, 10, 31, 29))
    mask.paste(7, (40, 3, 61, 29))
    small = opened(made(tmp_path, saved(mask, "PNG"), Recipe(size=17, mask=True)))
    assert small.size == (17, 11)
    assert set(small.tobytes()) == {0, 7, 255}


def test_a_scaled_jpeg_is_close_to_one_scaled_from_all_its_pixels(tmp_path: Path) -> None:
    """Decoding at a reduced scale costs no visible quality."""
    import numpy as np

    large = photograph(512, 320)
    small = opened(made(tmp_path, saved(large, "JPEG", quality=98), Recipe(size=64)))
    whole = large.resize((64, 40), Image.Resampling.LANCZOS)
    difference = np.abs(np.asarray(small, dtype=int) - np.asarray(whole, dtype=int))
    assert difference.mean() < 3


# ------------------------------------------------------------------ levels of more than 8 bits

LEVELS = np.linspace(2_000, 60_000, 64 * 40).reshape(40, 64).round()


def tiff(values: NDArray[Any], mode: str | None = None) -> bytes:
    """A TIFF of these levels, in the very order of bytes that the array or Pillow's mode has."""
    held = io.BytesIO()
    image = Image.fromarray(values)
    (image if mode is None else Image.frombytes(mode, image.size, values.tobytes())).save(held, "TIFF")
    return held.getvalue()


def levels(data: bytes) -> NDArray[Any]:
    return np.asarray(opened(data)).astype(np.int64)


DEEP = {
    "16 bits": tiff(LEVELS.astype("<u2")),
    "16 bits, big-endian": tiff(LEVELS.astype(">u2"), "I;16B"),
    "32 bits": tiff(LEVELS.astype("<i4")),
    "whole floats": tiff(LEVELS.astype("<f4")),
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("recipe", [Recipe(strip=True), Recipe(size=500, strip=True)])
def test_levels_that_a_png_can_hold_stay_what_they_are(tmp_path: Path, kind: str, recipe: Recipe) -> None:
    """Cameras of microscopes and ImageJ write such TIFFs; clipped to 8 bits they come out white."""
    assert (levels(made(tmp_path, DEEP[kind], recipe)) == LEVELS).all()


@pytest.mark.parametrize("kind", DEEP)
def test_smaller_pictures_keep_their_depth(tmp_path: Path, kind: str) -> None:
    small = levels(made(tmp_path, DEEP[kind], Recipe(size=16)))
    assert small.shape == (10, 16)
    assert abs(small.mean() - LEVELS.mean()) < 500
    assert small.std() > 10_000


@pytest.mark.parametrize(
    ("values", "least", "greatest"),
    [(np.array([[0.0, 0.25], [0.5, 0.75]]), 0, 49_151), (np.array([[-3.5, 0.0], [1.0, 6.5]]), 0, 65_535),
     (np.array([[0, 70_000], [1, 2]]), 0, 65_535), (np.array([[np.nan, 0.0], [1.0, np.inf]]), 0, 1)],
)  # fmt: skip
def test_other_numbers_are_scaled(tmp_path: Path, values: NDArray[Any], least: int, greatest: int) -> None:
    """From 0 to 1 where they lie between, so that two images stay comparable; else from least to greatest."""
    kind = "<i4" if values.dtype.kind == "i" else "<f4"
    found = levels(made(tmp_path, tiff(values.astype(kind)), Recipe(strip=True)))
    assert (found.min(), found.max()) == (least, greatest)


def test_a_picture_without_any_number_stops_the_export(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="no pixel has a number"):
        made(tmp_path, tiff(np.full((2, 2), np.nan, "<f4")), Recipe(strip=True))


def test_masks_of_any_depth_keep_their_classes(tmp_path: Path) -> None:
    classes = np.repeat(np.array([0, 1, 300], "<i4"), 40).reshape(6, 20)
    for values in (classes, classes.astype("<f4"), classes.astype("<u2")):
        found = levels(made(tmp_path, tiff(values), Recipe(size=10, mask=True)))
        assert set(found.ravel().tolist()) == {0, 1, 300}


@pytest.mark.parametrize(
    ("data", "recipe", "said"),
    [(DEEP["32 bits"], Recipe(strip=True), "32 bits or decimal"), (DEEP["16 bits"], Recipe(size=8), None),
     (DEEP["whole floats"], Recipe(size=8), "32 bits or decimal"), (saved(photograph(), "TIFF"), Recipe(size=8), None),
     (deep_png(), Recipe(size=8), "come out with 8"), (deep_png(), Recipe(strip=True), None), (b"no", Recipe(size=8), None)],
)  # fmt: skip
def test_what_cannot_all_be_kept_is_told(
    tmp_path: Path, data: bytes, recipe: Recipe, said: str | None
) -> None:
    (tmp_path / "x").write_bytes(data)
    found = find_depth_change(str(tmp_path / "x"), recipe)
    assert (said in found) if said and found else found is said
