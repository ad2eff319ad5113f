"""What an image file is: stored format, mode and size, and whether it decodes whole. Nothing is converted.

A decode finds what is cut, not what is altered: of 200 JPEGs with one flipped bit Pillow noticed one, with
512 bytes zeroed none. Only the SHA-256 beside each image tells that.
"""

import io
import itertools
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dermdata.images.image_file import ImageFileTooLarge, read_image_file
from dermdata.markup import count_nouns
from dermdata.model import ImageFacts

PIXEL_LIMIT = 89_478_485  # where Pillow begins to warn of decompression bombs
LARGE_PIXELS = 16_000_000  # pixels; such images are decoded one at a time, for memory's sake
FILE_BYTE_LIMIT = 256 << 20  # a file is read whole
SIGNATURE_BYTES = 256  # of a file's start: enough to tell what it is
# of one JPEG: encoders make about ten, but 120 bytes can ask for one more pass over all pixels
SCAN_LIMIT = 100
END_OF_IMAGE, START_OF_SCAN, END_CHUNK = b"\xff\xd9", b"\xff\xda", b"IEND\xaeB\x60\x82"
IMAGE_WIDTH, IMAGE_LENGTH = 256, 257  # TIFF tags
REDUCED_SIDE = 56  # pixels: what is compared needs no more on its shorter side, and 450 / 8 is just enough
FrameCallback = Callable[[Image.Image], None]

# Pillow's plug-ins by the bytes a file begins with: no other decoder is ever tried
FORMATS: tuple[tuple[bytes, str, Callable[[io.BytesIO], ImageFile]], ...] = (
    (b"\xff\xd8\xff", "jpeg", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", "png", PngImageFile),
    (b"II*\0", "tiff", TiffImageFile),
    (b"MM\0*", "tiff", TiffImageFile),
    (b"II+\0", "tiff", TiffImageFile),
    (b"MM\0+", "tiff", TiffImageFile),
    (b"GIF87a", "gif", GifImageFile),
    (b"GIF89a", "gif", GifImageFile),
)
BITMAP_HEADERS = (
    12,
    16,
    40,
    52,
    56,
    64,
    108,
    124,
)  # bytes of the second header: any text may begin with "BM"
# what is often found in an image's place and has no decoder here: a place in the file, bytes, format, name
UNREAD_FORMATS: tuple[tuple[int, bytes, str, str], ...] = (
    *((4, b"ftyp" + brand, "heic", "HEIC") for brand in (b"hei", b"hev", b"mif1", b"msf1")),
    (4, b"ftypavi", "avif", "AVIF"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jp2", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "jp2", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "jxl", "JPEG XL"),
    (0, b"\xff\x0a", "jxl", "JPEG XL"),
    (0, b"8BPS", "psd", "a Photoshop document"),
    (128, b"DICM", "dicom", "DICOM"),
)
OTHER_FILES: tuple[tuple[bytes, str], ...] = (  # in small letters, after blanks; more a reason than a proof
    (b"version https://git-lfs.github.com/", "a Git LFS pointer (`git lfs pull` brings the image itself)"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML text"),
    (b"%pdf-", "a PDF"),
    (b"pk\3\4", "a zip"),
)
# what Pillow raises on broken files, by its own tests and by fuzzing
DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, AssertionError,
    RuntimeError, EOFError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError, Warning,
)  # fmt: skip

header_lock = threading.Lock()  # warnings.catch_warnings is not safe in threads
_large_image_lock = threading.Lock()


def check_image(data: bytes | Path, *, decode: bool = True, pixel_limit: int = PIXEL_LIMIT) -> ImageFacts:
    """Read the header of an image and, with `decode`, all its pixels and frames.

    Parameters
    ----------
    data
        The image's bytes, or its file.
    decode
        Whether to decode it, which is how a cut file is found.
    pixel_limit
        The most pixels that it may have, all frames together.

    Returns
    -------
    ImageFacts
        Format, mode and stored size in pixels; of a bad image its `problem` in words. `phash` stays None.

    Raises
    ------
    OSError
        If the file cannot be read.

    """
    found = open_image(data)
    if isinstance(found, ImageFacts):
        return found
    with found.image:
        return read_facts(found, decode=decode, pixel_limit=pixel_limit)


@dataclass(frozen=True, kw_only=True)
class OpenedImage:
    """An image whose header is read, and the bytes of its file."""

    image: ImageFile
    data: bytes
    format: str


def open_image(data: bytes | Path) -> OpenedImage | ImageFacts:
    """The image, to be closed by who asks; facts with a `problem` where there is none."""
    if isinstance(data, Path):
        try:
            data = read_image_file(data, FILE_BYTE_LIMIT)
        except ImageFileTooLarge as error:
            return ImageFacts(problem=f"too many bytes: {error.size:,} > {FILE_BYTE_LIMIT:,}")
    known = _find_plugin(data)
    if known is None:
        return describe_unread(data)
    name, plugin = known
    try:
        return OpenedImage(image=_open_with_plugin(data, plugin), data=data, format=name)
    except DECODE_ERRORS as error:
        return ImageFacts(format=name, problem=_describe_error("header cannot be read", error))


def is_readable_start(data: bytes) -> bool:
    """Whether a file that begins with these bytes (SIGNATURE_BYTES are enough) is of a format that is read here."""
    return _find_plugin(data) is not None


def is_image_start(data: bytes) -> bool:
    """Whether a file that begins with these bytes is an image, read here or not."""
    return is_readable_start(data) or describe_unread(data).format is not None


def describe_unread(data: bytes) -> ImageFacts:
    """What a file is for which there is no decoder: a format that is not read, or no image at all."""
    for place, start, form, name in UNREAD_FORMATS:
        if data.startswith(start, place):
            return ImageFacts(format=form, problem=f"{name}, which is not read")
    if not data:
        return ImageFacts(problem="not an image: the file is empty")
    text = data[:200].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    what = next((f": {name}" for start, name in OTHER_FILES if text.startswith(start)), "")
    return ImageFacts(problem=f"not an image{what}")


def _find_plugin(data: bytes) -> tuple[str, Callable[[io.BytesIO], ImageFile]] | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp", WebPImageFile
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in BITMAP_HEADERS:
        return "bmp", BmpImageFile
    return next(((name, plugin) for magic, name, plugin in FORMATS if data.startswith(magic)), None)


def _open_with_plugin(data: bytes, plugin: Callable[[io.BytesIO], ImageFile]) -> ImageFile:
    with header_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken EXIF and the like: not about pixels
        return plugin(io.BytesIO(data))


def read_facts(
    found: OpenedImage,
    *,
    decode: bool = True,
    pixel_limit: int = PIXEL_LIMIT,
    first: FrameCallback | None = None,
) -> ImageFacts:
    """As `check_image`; `first` gets the first frame's pixels, of a JPEG reduced as far as REDUCED_SIDE allows."""
    image = found.image
    width, height = _stored_size(image)
    mode = image.mode
    problem = None
    if width * height > pixel_limit:
        problem = f"too many pixels: {width} x {height} > {pixel_limit:,}"
    elif decode:
        problem = (
            find_scan_problem(found) or _try_decode(image, pixel_limit, first) or find_missing_end(found)
        )
    return ImageFacts(format=found.format, mode=mode, width=width, height=height, problem=problem)


def find_scan_problem(found: OpenedImage) -> str | None:
    """Say when a JPEG would keep the decoder busy for hours; within a scan, the marker's bytes do not occur."""
    if not isinstance(found.image, JpegImageFile):
        return None
    start = _find_scan_start(found.data)
    if _is_one_scan(found.image, found.data, start):
        return None
    scans = found.data.count(START_OF_SCAN, start)
    return f"too many scans: {scans:,} > {SCAN_LIMIT}" if scans > SCAN_LIMIT else None


def _is_one_scan(image: JpegImageFile, data: bytes, start: int) -> bool:
    """Whether a JPEG's first scan has all there is, so that libjpeg reads no other: it is not looked for in vain."""
    return not image.info.get("progressive") and data[start + 4 : start + 5] == bytes([image.layers])


def _stored_size(image: ImageFile) -> tuple[int, int]:
    """Pixels as stored: of a TIFF, Pillow tells the size after its orientation tag."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[IMAGE_WIDTH]), int(image.tag_v2[IMAGE_LENGTH])
    return image.size


def _try_decode(image: ImageFile, pixel_limit: int, first: FrameCallback | None) -> str | None:
    """Decode every frame, at most `pixel_limit` pixels in all; what went wrong, in words."""
    try:
        with decode_lock(image):
            return _decode_frames(image, pixel_limit, first)
    except DECODE_ERRORS as error:
        return _describe_error("cannot be decoded", error)


def decode_lock(image: ImageFile) -> AbstractContextManager[object]:
    """Held while an image is decoded: the large ones wait for each other."""
    return _large_image_lock if image.width * image.height > LARGE_PIXELS else nullcontext()


def _decode_frames(image: ImageFile, pixel_limit: int, first: FrameCallback | None) -> str | None:
    if isinstance(image, JpegImageFile):
        # an eighth of the size: all data is read, few pixels are made
        image.draft("L", (REDUCED_SIDE, REDUCED_SIDE) if first else (1, 1))
    pixels = 0
    for frame in itertools.count(1):
        pixels += image.width * image.height
        if pixels > pixel_limit:
            return f"too many pixels: {pixels:,} in {count_nouns(frame, 'frame')} > {pixel_limit:,}"
        image.load()
        if first and frame == 1:
            first(image)
        try:
            image.seek(frame)
        except EOFError:
            break
    return None


def find_missing_end(found: OpenedImage) -> str | None:
    """Say where a decoder is content though the file's own end is missing."""
    name, data = found.format, found.data
    if name == "jpeg" and data.rfind(END_OF_IMAGE, _find_scan_start(data)) < 0:
        return "truncated: no end-of-image marker"
    if name == "png" and END_CHUNK not in data[-(64 << 10) :] and END_CHUNK not in data:
        return "truncated: no IEND chunk"
    return None


def _find_scan_start(data: bytes) -> int:
    """Find where a JPEG's first scan begins, past the thumbnails that its header may hold."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # fill byte
            at += 1
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def _describe_error(what: str, error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return f"{'truncated' if 'truncated' in text.lower() else what}: {text}"
