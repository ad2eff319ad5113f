"""What one decode tells of an image, bad ones first: damage, fingerprint, private metadata, pixels."""

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dermdata import images
from dermdata.errors import IntegrityError
from dermdata.images import ImageInspection, PrivateTag, inspect_image
from dermdata.images.phash import TURNS, turn_hashes
from support.lesion_pictures import blurred_lesion, jpeg, turned_picture

PICTURE = blurred_lesion(3)
JPEG = jpeg(PICTURE)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def bits(data: bytes, turn: int = 0) -> np.uint64:
    found = inspect_image(data).phash
    assert found is not None
    return turn_hashes(np.array([int.from_bytes(found, "big")], np.uint64), turn)[0]


def apart(one: bytes, other: bytes, turn: int = 0) -> int:
    """Differing bits, the second image turned."""
    return int(np.bitwise_count(bits(one) ^ bits(other, turn)))


# ------------------------------------------------------------------ bad images


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_a_cut_image_has_a_problem_and_no_hash(kind: str) -> None:
    """The same words as `inspect`, with what the header tells."""
    data = saved(PICTURE, kind)
    seen, facts = inspect_image(data[: len(data) // 2]), images.check_image(data[: len(data) // 2])
    assert (seen.problem, seen.width, seen.format) == (facts.problem, facts.width, facts.format)
    assert seen.problem
    assert seen.phash is None


def test_what_is_no_image_is_a_result() -> None:
    assert inspect_image(b"<html>") == ImageInspection(problem="not an image: a web page")
    assert inspect_image(b"") == ImageInspection(problem="not an image: the file is empty")
    assert str(inspect_image(JPEG, pixel_limit=1_000).problem).startswith("too many pixels")


def test_zeroed_blocks_are_seen_though_pillow_decodes_on() -> None:
    """Damage is not a problem: some cameras write bytes that libjpeg complains of."""
    middle = len(JPEG) // 2
    data = JPEG[:middle] + bytes(512) + JPEG[middle + 512 :]
    seen = inspect_image(data)
    assert (seen.problem, images.check_image(data).problem) == (None, None)
    assert seen.damage
    assert seen.phash is not None


@pytest.mark.parametrize("missing", [1, 2, 50])
def test_a_jpeg_without_its_end_is_truncated(missing: int) -> None:
    assert str(inspect_image(JPEG[:-missing]).problem).startswith("truncated")


def test_a_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect_image(tmp_path / "absent.jpg")


def test_no_raster_of_a_bad_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG[:500])
    with pytest.raises(IntegrityError, match=r"a\.jpg: image is gone bad"):
        images.read_raster(tmp_path / "a.jpg")


# ------------------------------------------------------------------ the fingerprint


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_the_format_changes_a_few_bits_at_most(kind: str) -> None:
    assert apart(JPEG, saved(PICTURE, kind)) <= 3


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16", "F"])
def test_the_color_mode_changes_a_few_bits_at_most(mode: str) -> None:
    """Levels of 16 bits too, which a plain conversion to gray would clip."""
    levels = np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257
    picture = Image.fromarray(levels) if mode == "I;16" else PICTURE.convert(mode)
    assert apart(JPEG, saved(picture, "JPEG" if mode == "CMYK" else "TIFF")) <= 3


@pytest.mark.parametrize("size", [(1200, 900), (601, 451), (150, 113), (57, 41)])
def test_the_size_changes_a_few_bits_at_most(size: tuple[int, int]) -> None:
    """Also where the last block of eight pixels is not full."""
    assert apart(JPEG, jpeg(PICTURE.resize(size, Image.Resampling.LANCZOS), quality=95)) <= 3


@pytest.mark.parametrize("turn", range(8), ids=TURNS)
def test_the_hash_of_a_turned_image_follows_from_the_hash(turn: int) -> None:
    """Turning the hash is turning the image; without loss not one bit differs."""
    assert apart(saved(turned_picture(PICTURE, turn), "PNG"), saved(PICTURE, "PNG"), turn) == 0
    assert apart(jpeg(turned_picture(PICTURE, turn)), JPEG, turn) <= 3


def test_an_upright_tag_changes_nothing_but_the_turn() -> None:
    """Pillow turns a TIFF by its tag, a JPEG not: the turns find both."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(PICTURE, "TIFF", exif=exif)
    assert (inspect_image(data).width, inspect_image(data).height) == (300, 225)
    assert apart(data, JPEG, TURNS.index("rotated by 90 clockwise")) <= 3
    assert apart(jpeg(PICTURE, exif=exif.tobytes()), JPEG) == 0


@pytest.mark.parametrize("color", [0, 128, 255])
def test_an_image_of_one_color_has_no_hash(color: int) -> None:
    """All of them would be alike."""
    for kind in ("JPEG", "PNG"):
        seen = inspect_image(saved(Image.new("RGB", (100, 80), (color,) * 3), kind))
        assert (seen.problem, seen.phash) == (None, None)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2)])
def test_tiny_images_are_looked_at(size: tuple[int, int]) -> None:
    for kind in ("JPEG", "PNG"):
        assert inspect_image(saved(PICTURE.resize(size), kind)).problem is None


def test_other_lesions_are_far_away() -> None:
    others = [jpeg(blurred_lesion(seed)) for seed in range(50, 70)]
    assert min(apart(JPEG, other, turn) for other in others for turn in range(8)) > 10


# ------------------------------------------------------------------ private metadata


def test_private_metadata_is_named_and_not_repeated() -> None:
    exif = Image.Exif()
    exif[0x013B] = "Dr. Muster"
    exif.get_ifd(0x8769).update(
        {0xA431: "SN 123", 0x9003: "2020:01:02 03:04:05", 0x9004: "0000:00:00 00:00:00"}
    )
    exif.get_ifd(0x8825).update({0: b"\2\3\0\0", 1: "N", 2: (48.0, 8.0, 0.0)})
    seen = inspect_image(jpeg(PICTURE, exif=exif))
    assert set(seen.private) == {
        PrivateTag("name", "Artist"),
        PrivateTag("serial number", "BodySerialNumber"),
        PrivateTag("date", "DateTimeOriginal"),
        PrivateTag("place", "GPSLatitudeRef"),
        PrivateTag("place", "GPSLatitude"),
    }
    assert "Muster" not in repr(seen)


def test_xmp_is_read_too() -> None:
    xmp = b'<x:xmpmeta><rdf:Description exif:GPSLatitude="48,8N"/></x:xmpmeta>'
    assert inspect_image(jpeg(PICTURE, xmp=xmp)).private == (PrivateTag("place", "exif:GPS"),)


@pytest.mark.parametrize("header", [b"Photoshop 3.0\0", b"Adobe_Photoshop2.5:", b""])
def test_iptc_is_read_behind_any_header(header: bytes) -> None:
    """Photoshop's old one too, as exiftool does; empty fields say nothing."""
    fields = {80: b"Dr. Muster", 90: b"Ulm", 55: b"20200102", 120: b"left arm", 101: b"", 0: b"\0\2"}
    data = b"".join(
        b"\x1c\x02" + bytes([tag]) + len(text).to_bytes(2, "big") + text for tag, text in fields.items()
    )
    content = header + b"8BIM\x04\x04\0\0" + len(data).to_bytes(4, "big") + data
    seen = inspect_image(
        JPEG[:20] + b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content + JPEG[20:]
    )
    assert set(seen.private) == {
        PrivateTag("name", "By-line"),
        PrivateTag("place", "City"),
        PrivateTag("date", "Date created"),
        PrivateTag("text", "Caption"),
    }
    assert "Muster" not in repr(seen)


def test_comments_and_text_chunks_are_read() -> None:
    """A JPEG's comment, a PNG's words."""
    words = PngImagePlugin.PngInfo()
    words.add_text("Author", "Dr. Muster")
    words.add_text("Software", "gimp")
    assert inspect_image(saved(PICTURE, "PNG", pnginfo=words)).private == (PrivateTag("name", "Author"),)
    assert inspect_image(jpeg(PICTURE, comment=b"left arm")).private == (PrivateTag("text", "comment"),)
    assert inspect_image(jpeg(PICTURE, comment=b"\0")).private == ()


def test_broken_metadata_is_told_and_does_not_stop_the_look() -> None:
    seen = inspect_image(jpeg(PICTURE, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"))
    assert seen.problem is None
    assert seen.phash == inspect_image(JPEG).phash


def test_a_plain_image_hides_nothing() -> None:
    assert [inspect_image(saved(PICTURE, kind)).private for kind in ("JPEG", "PNG", "TIFF")] == [(), (), ()]


# ------------------------------------------------------------------ pixels


def test_equal_pixels_have_one_digest_whatever_the_file() -> None:
    """One level changed in one pixel, or another size, is another digest."""
    decoded = Image.open(io.BytesIO(JPEG)).convert("RGB")
    digest = images.hash_pixels(JPEG)
    assert digest is not None
    assert digest == images.hash_pixels(saved(decoded, "PNG")) == images.hash_pixels(saved(decoded, "TIFF"))
    decoded.putpixel((5, 5), (0, 0, 0))
    assert images.hash_pixels(saved(decoded, "PNG")) != digest
    assert images.hash_pixels(saved(Image.new("L", (2, 3)), "PNG")) != images.hash_pixels(
        saved(Image.new("L", (3, 2)), "PNG")
    )


def test_bad_images_have_no_digest() -> None:
    assert [images.hash_pixels(data) for data in (b"", b"x", JPEG[:900])] == [None, None, None]
    assert images.hash_pixels(JPEG, pixel_limit=10) is None


# ------------------------------------------------------------------ workers


def test_a_look_travels_between_processes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    seen = pickle.loads(pickle.dumps(inspect_image))(path)
    assert pickle.loads(pickle.dumps(seen)) == inspect_image(JPEG)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(inspect_image, [path] * 20)) == {seen}
