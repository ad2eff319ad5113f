"""--strip-exif: what tells of people goes, every pixel stays."""

from io import BytesIO

import pytest
from PIL import Image

from dermdata.errors import IntegrityError
from dermdata.export.image_bytes import strip_image
from dermdata.export.kept_metadata import rebuild_profile
from export.pictures import (
    PRIVATE,
    PROFILE,
    camera_jpeg,
    camera_png,
    opened,
    photograph,
    pixels,
    saved,
    segment,
)

ORIENTATION = 0x0112


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\x00", b"\xff\xd8\xff\xe1\xff\xff" + b"x" * 9]
)
def test_a_jpeg_cut_in_its_header_is_refused(data: bytes) -> None:
    """Nobody can say what is in it, so it is not passed on as clean; the error names the file."""
    with pytest.raises(IntegrityError, match=r"a\.jpg is broken"):
        strip_image(data, "a.jpg")


@pytest.mark.parametrize("cut", [20, 45, 100])
def test_a_png_cut_in_a_chunk_is_refused(cut: int) -> None:
    """Likewise."""
    with pytest.raises(IntegrityError, match=r"a\.png is broken"):
        strip_image(camera_png()[:cut], "a.png")


def test_a_jpeg_cut_in_its_picture_is_cleaned_as_far_as_it_goes() -> None:
    """Scans are copied up to where the file ends."""
    data = camera_jpeg()
    cut = strip_image(data[: data.rindex(b"\xff\xd9") - 200], "a.jpg")
    assert PRIVATE not in cut
    assert strip_image(data, "a.jpg").startswith(cut)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}]
)
def test_jpeg_pixels_stay_and_private_bytes_go(options: dict[str, object]) -> None:
    """EXIF, XMP, IPTC, comment and what follows the end; the color profile stays."""
    data = camera_jpeg(**options)
    clean = strip_image(data, "a.jpg")
    assert data.count(PRIVATE) == 5
    assert PRIVATE not in clean
    assert pixels(clean) == pixels(data)
    assert opened(clean).info["icc_profile"] == rebuild_profile(PROFILE)


@pytest.mark.parametrize("make", [camera_jpeg, camera_png])
@pytest.mark.parametrize("orientation", range(10))
def test_a_turned_image_stays_turned(make: object, orientation: int) -> None:
    """The orientation is kept alone, where it says something."""
    clean = strip_image(make(orientation), "a")  # type: ignore[operator]
    exif = opened(clean).getexif()
    assert dict(exif) == ({ORIENTATION: orientation} if 2 <= orientation <= 8 else {})


def test_png_text_of_every_kind_goes() -> None:
    """tEXt, zTXt, iTXt, tIME, eXIf and what follows the end; the color profile stays."""
    data = camera_png()
    clean = strip_image(data, "a.png")
    image = opened(clean)
    assert PRIVATE not in clean
    assert set(image.info) == {"icc_profile", "exif"}
    assert b"tIME" not in clean
    assert pixels(clean) == pixels(data)


def test_a_thumbnail_goes_with_its_segment() -> None:
    """JFIF's own thumbnail and MPF previews are pictures too."""
    data = saved(photograph(), "JPEG")
    thumb = b"JFIF\0\x01\x01\0\0\x01\0\x01\x02\x02" + b"T" * 12
    mpf = b"MPF\0" + b"P" * 30
    parts = [segment(0xE0, thumb), segment(0xE2, mpf)]
    clean = strip_image(data[:2] + b"".join(parts) + data[20:], "a.jpg")
    assert b"TTTT" not in clean
    assert b"PPPP" not in clean
    assert pixels(clean) == pixels(data)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_adobes_color_mark_stays(mode: str) -> None:
    """Without it a CMYK image would be shown in the wrong colors."""
    data = saved(photograph(mode=mode), "JPEG")
    assert pixels(strip_image(data, "a.jpg")) == pixels(data)


@pytest.mark.parametrize("data", [camera_jpeg(), camera_png(), saved(photograph(), "JPEG")])
def test_a_second_time_changes_nothing(data: bytes) -> None:
    """Clean files stay as they are."""
    once = strip_image(data, "a")
    assert strip_image(once, "a") == once


def test_transparency_and_palette_stay() -> None:
    """Chunks that decide how an image looks are not private."""
    image = photograph().quantize(7)
    data = saved(image, "PNG", transparency=3)
    with Image.open(BytesIO(strip_image(data, "a.png"))) as clean:
        assert clean.info["transparency"] is not None
        assert clean.getpalette() == image.getpalette()
