"""What an image file is, and whether it decodes whole: bad ones first."""

import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dermdata.images import FILE_BYTE_LIMIT, SIGNATURE_BYTES, check_image, inspect_image, is_image_start
from dermdata.model import ImageFacts


def noise(mode: str = "RGB", size: tuple[int, int] = (60, 45)) -> Image.Image:
    pixels = random.Random(4).randbytes(size[0] * size[1] * 4)
    return Image.frombytes("RGBA", size, pixels).convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


JPEG = saved(noise(), "JPEG")
PNG = saved(noise(), "PNG")
WHOLE = {
    "jpeg": JPEG,
    "png": PNG,
    "tiff": saved(noise(), "TIFF", compression="tiff_lzw"),
    "webp": saved(noise(), "WEBP"),
    "gif": saved(noise("P"), "GIF"),
    "bmp": saved(noise(), "BMP"),
}


@pytest.mark.fault(79)
@pytest.mark.parametrize("kind", WHOLE)
def test_half_a_file_is_found(kind: str) -> None:
    """Row 79: cut to 50 %, format and size are still told where the header is whole."""
    facts = check_image(WHOLE[kind][: len(WHOLE[kind]) // 2])
    assert facts.format == kind
    assert facts.problem


@pytest.mark.fault(79)
@pytest.mark.parametrize("missing", [1, 2, 3, 100])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_last_bytes_of_a_jpeg_are_missed(missing: int, progressive: bool) -> None:
    """Row 79: also where the decoder has all its rows; a thumbnail's end in the header does not count."""
    data = saved(noise(), "JPEG", progressive=progressive, comment=JPEG[:2_000] + b"\xff\xd9")
    assert check_image(data).problem is None
    problem = check_image(data[:-missing]).problem
    assert problem is not None
    assert problem.startswith("truncated:")


@pytest.mark.fault(79)
def test_the_last_bytes_of_a_png_are_missed() -> None:
    """Row 79: without its IEND chunk, or half of it."""
    for missing in (1, 4, 12, 13):
        assert "truncated" in str(check_image(PNG[:-missing]).problem)


def test_what_follows_a_jpeg_is_let_pass() -> None:
    """Cameras put a second image or zeros after the first one."""
    assert check_image(JPEG + bytes(100)).problem is None
    assert check_image(JPEG + JPEG).problem is None


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    "data", [b"\0", b"%!PS-Adobe-3.0 EPSF", b"P6 1 1 255 abc", b"BM is how this text begins", b"BM"]
)
def test_other_files_are_no_images(data: bytes) -> None:
    """Row 81: zeros, texts, and formats outside the allow-list, PostScript above all."""
    assert check_image(data) == ImageFacts(problem="not an image")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 84977953\n"


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    ("data", "what"),
    [(LFS, "a Git LFS pointer"), (b"<!doctype html><p>Sign in", "a web page"), (b"\xef\xbb\xbf\n <HTML>", "a web page"),
     (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "an XML text"), (b"%PDF-1.7", "a PDF"),
     (b"PK\3\4\x14\0", "a zip")],
)  # fmt: skip
def test_what_is_often_in_an_images_place_is_named(data: bytes, what: str) -> None:
    """Row 81: what a clone without Git LFS, an expired link or a slip leaves there."""
    facts = check_image(data)
    assert facts.format is None
    assert str(facts.problem).startswith(f"not an image: {what}")
    assert not is_image_start(data)


def boxed(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand


@pytest.mark.parametrize(
    ("data", "form", "name"),
    [(boxed(b"heic"), "heic", "HEIC"), (boxed(b"mif1"), "heic", "HEIC"), (boxed(b"hevc"), "heic", "HEIC"),
     (boxed(b"avif"), "avif", "AVIF"), (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2", "JPEG 2000"),
     (bytes(128) + b"DICM\2\0", "dicom", "DICOM"), (b"8BPS\0\1", "psd", "a Photoshop document")],
)  # fmt: skip
def test_formats_that_are_not_read_are_named(data: bytes, form: str, name: str) -> None:
    """They are images, and a person who knows what they are can convert them."""
    assert check_image(data) == ImageFacts(format=form, problem=f"{name}, which is not read")
    assert is_image_start(data)


@pytest.mark.parametrize("kind", WHOLE)
def test_an_image_is_told_by_its_first_bytes(kind: str) -> None:
    assert is_image_start(WHOLE[kind][:SIGNATURE_BYTES])
    assert not is_image_start(b"image,dx\na1,nevus\n")
    assert not is_image_start(b"")


@pytest.mark.fault(81)
def test_an_empty_file_says_so(tmp_path: Path) -> None:
    """Row 81: nothing at all, as bytes and as a file."""
    (tmp_path / "a.jpg").write_bytes(b"")
    assert (
        check_image(tmp_path / "a.jpg")
        == check_image(b"")
        == ImageFacts(problem="not an image: the file is empty")
    )


@pytest.mark.fault(81)
def test_the_real_format_is_told(tmp_path: Path) -> None:
    """Row 81: a PNG named .jpg is a PNG."""
    (tmp_path / "a.jpg").write_bytes(PNG)
    assert check_image(tmp_path / "a.jpg") == ImageFacts(format="png", mode="RGB", width=60, height=45)


def huge_png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    header = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.fault(82)
@pytest.mark.parametrize("side", [10_000, 20_000, 60_000])
def test_bombs_are_a_problem_not_a_decode(side: int) -> None:
    """Row 82: between Pillow's warning and its error, and far above; size and mode are still told."""
    facts = check_image(huge_png(side, side))
    assert (facts.mode, facts.width, facts.height) == ("RGB", side, side)
    assert str(facts.problem).startswith("too many pixels:")
    assert str(check_image(JPEG, pixel_limit=2_699).problem).startswith("too many pixels:")
    assert check_image(JPEG, pixel_limit=2_700).problem is None


@pytest.mark.fault(82)
def test_frames_count_as_pixels() -> None:
    """Row 82: an animation may not hide a bomb in its number of frames."""
    frames = [noise("P", (60, 45 - n)).resize((60, 45)) for n in range(5)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert check_image(data).problem is None
    assert "frames" in str(check_image(data, pixel_limit=3 * 2_700).problem)


@pytest.mark.fault(85)
def test_a_decoder_is_not_kept_busy_by_scans() -> None:
    """Row 85: at 123 bytes a pass, a small file could ask for hours of decoding in one thread."""
    data = saved(noise("L", (600, 400)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert check_image(data[:-2] + last * 50 + data[-2:]).problem is None
    assert str(check_image(data[:-2] + last * 5_000 + data[-2:]).problem).startswith("too many scans:")


@pytest.mark.fault(85)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_of_one_scan_is_not_decoded_twice(mode: str) -> None:
    """Row 85: more scans behind the one that has all there is are damage, and told at once, by both decoders."""
    data = saved(noise(mode, (600, 400)), "JPEG")
    assert check_image(data).problem is None
    many = data[:-2] + data[data.index(b"\xff\xda") : -2] * 300 + data[-2:]
    assert str(check_image(many).problem).startswith("cannot be decoded")
    assert str(inspect_image(many).problem).startswith("cannot be decoded")


@pytest.mark.fault(67)
def test_a_file_too_large_to_hold_is_a_problem(tmp_path: Path) -> None:
    """Row 67: nothing over 256 MiB is read into memory."""
    with (tmp_path / "a.tif").open("wb") as file:
        file.truncate(FILE_BYTE_LIMIT + 1)
    assert str(check_image(tmp_path / "a.tif").problem).startswith("too many bytes:")


MODES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "cmyk": ("CMYK", lambda: saved(noise("CMYK"), "JPEG")),
    "gray": ("L", lambda: saved(noise("L"), "JPEG")),
    "progressive": ("RGB", lambda: saved(noise(), "JPEG", progressive=True)),
    "subsampled": ("RGB", lambda: saved(noise(), "JPEG", subsampling=2)),
    "16-bit": ("I;16", lambda: saved(Image.frombytes("I;16", (60, 45), bytes(60 * 45 * 2)), "PNG")),
    "palette": ("P", lambda: saved(noise("P"), "PNG")),
    "alpha": ("RGBA", lambda: saved(noise("RGBA"), "PNG")),
    "gray alpha": ("LA", lambda: saved(noise("LA"), "PNG")),
    "one bit": ("1", lambda: saved(noise("1"), "PNG")),
    "float": ("F", lambda: saved(noise("F"), "TIFF")),
    "profile": ("RGB", lambda: saved(noise(), "JPEG", icc_profile=bytes(3_000))),
    "animated png": (
        "RGB",
        lambda: saved(noise(), "PNG", save_all=True, append_images=[noise("L").convert("RGB")]),
    ),
    "animated webp": ("RGB", lambda: saved(noise(), "WEBP", save_all=True, append_images=[noise("L")])),
    "pages": ("RGB", lambda: saved(noise(), "TIFF", save_all=True, append_images=[noise("L", (9, 9))])),
}


@pytest.mark.fault(83)
@pytest.mark.parametrize("case", MODES)
def test_the_stored_mode_is_told(case: str) -> None:
    """Row 83: nothing is converted, and what is unusual is no problem."""
    mode, make = MODES[case]
    facts = check_image(make())
    assert (facts.mode, facts.width, facts.height, facts.problem) == (mode, 60, 45, None)


@pytest.mark.fault(84)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_does_not_turn_the_size(kind: str, orientation: int) -> None:
    """Row 84: width and height are those of the stored pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    facts = check_image(saved(noise(), kind, exif=exif))
    assert (facts.width, facts.height, facts.problem) == (60, 45, None)


@pytest.mark.fault(84)
def test_broken_exif_is_no_problem() -> None:
    """Row 84: it says nothing about the pixels, and no warning reaches anyone."""
    data = saved(
        noise(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x1a\x01\x05\0\xff\xff\xff\xff" * 3
    )
    assert check_image(data).problem is None


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp"])  # the others need their end
def test_without_decode_only_the_header_is_read(kind: str) -> None:
    """A cut file has its facts and no problem then."""
    facts = check_image(WHOLE[kind][:-20], decode=False)
    assert (facts.format, facts.width, facts.height, facts.problem) == (kind, 60, 45, None)


@pytest.mark.fault(85)
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_no_damage_raises(kind: str, at: int, patch: bytes) -> None:
    """Row 85: whatever header bytes are overwritten, the answer is facts and words."""
    data = WHOLE[kind]
    facts = check_image(data[:at] + patch + data[at + len(patch) :], pixel_limit=1_000_000)
    assert facts.problem is None or facts.problem.split(":")[0] in {
        "not an image", "too many pixels", "too many scans", "truncated", "header cannot be read", "cannot be decoded",
    }  # fmt: skip


def test_threads_agree() -> None:
    """Promise 15: many at once give what one after another gives."""
    samples = [data[: len(data) - cut] for data in WHOLE.values() for cut in (0, 2, 50)] * 10
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(check_image, samples)) == list(map(check_image, samples))


def test_warnings_and_libtiff_stay_silent() -> None:
    """Nothing is printed for a broken file: only cli/ prints."""
    code = "import sys; from dermdata.images import inspect_image; inspect_image(sys.stdin.buffer.read())"
    for data in (WHOLE["tiff"][:-200], huge_png(10_000, 10_000), JPEG[:500]):
        result = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
        assert (result.stdout, result.stderr) == (b"", b"")


def test_a_file_that_cannot_be_read_raises(tmp_path: Path) -> None:
    """Only the operating system's own errors are raised."""
    with pytest.raises(FileNotFoundError):
        check_image(tmp_path / "absent.jpg")
