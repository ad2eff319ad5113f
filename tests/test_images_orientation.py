"""Orientation tags: read as Pillow reads them, and set to 1 without touching another byte; broken blocks first."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from dermdata.images.orientation import TURNS, read_orientation, reset_orientation, to_stored_frame

SIZE = (12, 8)
PICTURE = Image.radial_gradient("L").resize((24, 8)).crop((3, 0, 15, 8)).convert("RGB")


def exif_block(turn: int) -> bytes:
    held = Image.Exif()
    held[0x0112] = turn
    return held.tobytes()


def xmp_block(turn: int) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{turn}"/></x:xmpmeta>'.encode()


def saved(kind: str, **options: object) -> bytes:
    held = io.BytesIO()
    PICTURE.save(held, kind, **options)  # type: ignore[arg-type]
    return held.getvalue()


def tagged(kind: str, turn: int) -> bytes:
    """A file of this kind that says how it must be turned."""
    if kind == "PNG-xmp":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp_block(turn).decode())
        return saved("PNG", pnginfo=text)
    if kind.endswith("-xmp"):
        return saved(kind.removesuffix("-xmp"), xmp=xmp_block(turn))
    if kind == "TIFF":
        return saved("TIFF", tiffinfo={0x0112: turn})
    if kind == "BigTIFF":
        return saved("TIFF", tiffinfo={0x0112: turn}, big_tiff=True)
    return saved(kind, exif=exif_block(turn))


KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "BigTIFF", "JPEG-xmp", "PNG-xmp")


def pillow_turn(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        return int(image.getexif().get(0x0112, 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_cut_file_is_no_error(kind: str) -> None:
    """Wherever it ends: what cannot be read does not turn."""
    data = tagged(kind, 6)
    for end in range(0, len(data), 3):
        assert read_orientation(data[:end]) in (1, 6)
        reset_orientation(data[:end])


@given(st.binary(max_size=200), st.sampled_from([tagged(kind, 6) for kind in KINDS]), st.integers(0, 300))
def test_a_damaged_file_is_no_error(noise: bytes, data: bytes, at: int) -> None:
    damaged = data[:at] + noise + data[at + len(noise) :]
    assert len(reset_orientation(damaged)) == len(damaged)
    assert 1 <= read_orientation(damaged) <= 8


@pytest.mark.parametrize("turn", [0, 9, 77])
def test_a_number_that_means_nothing_does_not_turn(turn: int) -> None:
    assert read_orientation(tagged("JPEG", turn)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", range(1, 9))
def test_the_tag_is_read_as_pillow_reads_it(kind: str, turn: int) -> None:
    data = tagged(kind, turn)
    assert read_orientation(data) == pillow_turn(data) == turn


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", range(2, 9))
def test_without_the_tag_readers_show_the_pixels_as_stored(kind: str, turn: int) -> None:
    """As many bytes, and the pixels of the file without a tag."""
    data = tagged(kind, turn)
    level = reset_orientation(data)
    assert len(level) == len(data)
    assert read_orientation(level) == pillow_turn(level) == 1
    with Image.open(io.BytesIO(level)) as image, Image.open(io.BytesIO(tagged(kind, 1))) as plain:
        assert ImageOps.exif_transpose(image).tobytes() == plain.tobytes()


@pytest.mark.parametrize("data", [saved("JPEG"), saved("BMP"), tagged("PNG", 1), b"", b"no image"])
def test_what_is_not_turned_is_the_same_object(data: bytes) -> None:
    assert reset_orientation(data) is data


def test_exif_comes_before_xmp_and_both_are_reset() -> None:
    data = saved("JPEG", exif=exif_block(3), xmp=xmp_block(8))
    assert read_orientation(data) == 3
    assert b'tiff:Orientation="1"' in reset_orientation(data)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_a_mask_that_was_drawn_upright_is_turned_back(turn: int) -> None:
    stored = Image.effect_noise(SIZE, 90)
    upright = stored.transpose(TURNS[turn][0])
    assert upright.size == SIZE[::-1]
    assert to_stored_frame(upright, turn, SIZE).tobytes() == stored.tobytes()
    assert to_stored_frame(stored, turn, SIZE) is stored


@pytest.mark.parametrize("turn", [1, 2, 3, 4])
def test_what_no_turn_explains_stays(turn: int) -> None:
    mask = Image.new("L", SIZE[::-1])
    assert to_stored_frame(mask, turn, SIZE) is mask
