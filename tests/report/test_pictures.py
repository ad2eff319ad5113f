"""Pictures of a page: of any file, small, of nobody who can be told from them, and never more than fit."""

import io

import numpy as np
import pytest
from PIL import Image

from dermdata.images.thumbnails import MAX_EDGE, is_sensitive, make_thumbnail
from dermdata.report.thumbnails import ThumbnailBudget, sample_keys
from report.samples import jpeg, saved


def small(data: bytes) -> Image.Image:
    made = make_thumbnail(data)
    assert isinstance(made, bytes), made
    return Image.open(io.BytesIO(made))


# ------------------------------------------------------------------ the bad day


@pytest.mark.parametrize(
    "data", [b"", b"not an image", jpeg()[:60], jpeg()[: len(jpeg()) // 2], b"GIF89a" + bytes(9)]
)
def test_a_file_that_does_not_decode_is_words(data: bytes) -> None:
    assert isinstance(make_thumbnail(data), str)


def test_an_image_of_too_many_pixels_is_not_opened() -> None:
    """200 million pixels in 25 kB."""
    assert make_thumbnail(saved(Image.new("1", (20_000, 10_000)), "PNG")) == "too many pixels"


def test_metadata_of_the_person_do_not_get_into_the_page() -> None:
    """Neither EXIF nor comments."""
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    made = make_thumbnail(jpeg(exif=exif, comment=b"Jane Doe"))
    assert isinstance(made, bytes)
    assert b"Jane" not in made


def test_when_the_room_is_spent_pictures_are_left_out_and_counted() -> None:
    album = ThumbnailBudget(lambda _: jpeg(size=(300, 300)), room=20_000)
    found = [album.make(f"r{n}").uri for n in range(40)]
    first = found.index(None)
    assert 0 < first < 40
    assert album.left_out == 40 - first
    assert sum(len(uri) for uri in found if uri) < 20_000 + MAX_EDGE * MAX_EDGE * 3


def test_a_row_without_file_says_so() -> None:
    assert ThumbnailBudget(lambda _: None, room=10).make("r").why == "no image file"


# ------------------------------------------------------------------ any file


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_a_picture(mode: str) -> None:
    form = "TIFF" if mode in {"CMYK", "F", "I"} else "PNG"
    levels = np.linspace(0, 40_000, 300 * 200).reshape(200, 300)
    image = (
        Image.fromarray(levels.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
        if mode in {"I;16", "I", "F"}
        else Image.new("RGB", (300, 200), "white").convert(mode)
    )
    made = small(saved(image, form))
    assert (made.mode, made.size) == ("RGB", (MAX_EDGE, 117))
    if mode in {"I;16", "I", "F"}:
        assert np.ptp(np.asarray(made)) > 200  # from the darkest to the lightest, not cut at 255


def test_a_photograph_stands_upright() -> None:
    """As its EXIF says; a portrait stored lying becomes a portrait."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert small(jpeg(size=(400, 200), exif=exif)).size == (88, MAX_EDGE)


def test_small_pictures_are_not_blown_up() -> None:
    assert small(jpeg(size=(40, 30))).size == (40, 30)


# ------------------------------------------------------------------ which ones


@pytest.mark.parametrize(
    ("modality", "site", "blurred"),
    [
        ("clinical", "trunk", True),
        ("clinical", None, True),
        (None, "trunk", True),
        ("dermoscopic", "head-and-neck-head-face", False),
        ("dermoscopic", None, False),
        ("dermoscopic", "anogenital-region-genital-region", True),
        ("histopathology", "lower-extremity-buttock", True),
        ("tbp-tile", "head-and-neck", True),
        ("tbp-tile", "trunk", False),
        ("a new kind", "trunk", True),
    ],
)
def test_what_may_show_a_person_is_blurred(modality: str | None, site: str | None, blurred: bool) -> None:
    """Clinical photographs wherever they were taken, and all of which nobody says what they are."""
    assert is_sensitive(modality, site) is blurred


def test_samples_are_the_same_in_any_order_and_stay_when_rows_come() -> None:
    keys = [f"demo/r{n}" for n in range(500)]
    chosen = sample_keys(keys, 6)
    assert sample_keys(reversed(keys), 6) == chosen
    assert len({*chosen} & {*sample_keys([*keys, "demo/new"], 6)}) >= 5
    assert sample_keys(keys[:3], 6) != keys[:0]
