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
from dermdata.model import ImageFacts

PIXELS = 89_478_485  # where Pillow begins to warn of decompression bombs
LARGE = 16_000_000  # pixels; such images are decoded one at a time, for memory's sake
FILE_BYTES = 256 << 20  # a file is read whole
SCANS = 100  # of one JPEG: encoders make about ten, but 120 bytes can ask for one more pass over all pixels
END_OF_IMAGE, START_OF_SCAN, END_CHUNK = b"\xff\xd9", b"\xff\xda", b"IEND\xaeB\x60\x82"
IMAGE_WIDTH, IMAGE_LENGTH = 256, 257  # TIFF tags
SMALL = 56  # pixels: what is compared needs no more on its shorter side, and 450 / 8 is just enough
First = Callable[[Image.Image], None]

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
    (b"BM", "bmp", BmpImageFile),
)
# what Pillow raises on broken files, by its own tests and by fuzzing
UNREADABLE = (
    OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, AssertionError,
    RuntimeError, EOFError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError, Warning,
)  # fmt: skip

one_header = threading.Lock()  # warnings.catch_warnings is not safe in threads
_one_large = threading.Lock()


def inspect(data: bytes | Path, *, decode: bool = True, pixel_limit: int = PIXELS) -> ImageFacts:
    """Read the header of an image's bytes or file and, with `decode`, all its pixels and frames.

    A bad image is a result, its `problem` in words; only a file that cannot be read raises (OSError).
    """
    found = opened(data)
    if isinstance(found, ImageFacts):
        return found
    with found.image:
        return facts_of(found, decode=decode, pixel_limit=pixel_limit)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An image whose header is read, and the bytes of its file."""

    image: ImageFile
    data: bytes
    format: str


def opened(data: bytes | Path) -> Opened | ImageFacts:
    """The image, to be closed by who asks; facts with a `problem` where there is none."""
    if isinstance(data, Path):
        try:
            data = read_image_file(data, FILE_BYTES)
        except ImageFileTooLarge as error:
            return ImageFacts(problem=f"too many bytes: {error.size:,} > {FILE_BYTES:,}")
    known = _format(data)
    if known is None:
        return ImageFacts(problem="not an image: the file is empty" if not data else "not an image")
    name, plugin = known
    try:
        return Opened(image=_opened(data, plugin), data=data, format=name)
    except UNREADABLE as error:
        return ImageFacts(format=name, problem=_words("header cannot be read", error))


def _format(data: bytes) -> tuple[str, Callable[[io.BytesIO], ImageFile]] | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp", WebPImageFile
    return next(((name, plugin) for magic, name, plugin in FORMATS if data.startswith(magic)), None)


def _opened(data: bytes, plugin: Callable[[io.BytesIO], ImageFile]) -> ImageFile:
    with one_header, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken EXIF and the like: not about pixels
        return plugin(io.BytesIO(data))


def facts_of(
    found: Opened, *, decode: bool = True, pixel_limit: int = PIXELS, first: First | None = None
) -> ImageFacts:
    """As `inspect`; `first` is shown the first frame's pixels, of a JPEG reduced as far as SMALL allows."""
    image = found.image
    width, height = _stored_size(image)
    mode = image.mode
    problem = None
    if width * height > pixel_limit:
        problem = f"too many pixels: {width} x {height} > {pixel_limit:,}"
    elif decode:
        problem = too_many_scans(found) or _decoded(image, pixel_limit, first) or without_end(found)
    return ImageFacts(format=found.format, mode=mode, width=width, height=height, problem=problem)


def too_many_scans(found: Opened) -> str | None:
    """Say when a JPEG would keep the decoder busy for hours; within a scan, the marker's bytes do not occur."""
    scans = found.data.count(START_OF_SCAN, _scan_start(found.data)) if found.format == "jpeg" else 0
    return f"too many scans: {scans:,} > {SCANS}" if scans > SCANS else None


def _stored_size(image: ImageFile) -> tuple[int, int]:
    """Pixels as stored: of a TIFF, Pillow tells the size after its orientation tag."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[IMAGE_WIDTH]), int(image.tag_v2[IMAGE_LENGTH])
    return image.size


def _decoded(image: ImageFile, pixel_limit: int, first: First | None) -> str | None:
    """Decode every frame, at most `pixel_limit` pixels in all; what went wrong, in words."""
    try:
        with turn_of(image):
            return _decode_frames(image, pixel_limit, first)
    except UNREADABLE as error:
        return _words("cannot be decoded", error)


def turn_of(image: ImageFile) -> AbstractContextManager[object]:
    """Held while an image is decoded: the large ones wait for each other."""
    return _one_large if image.width * image.height > LARGE else nullcontext()


def _decode_frames(image: ImageFile, pixel_limit: int, first: First | None) -> str | None:
    if isinstance(image, JpegImageFile):
        # an eighth of the size: all data is read, few pixels are made
        image.draft("L", (SMALL, SMALL) if first else (1, 1))
    pixels = 0
    for frame in itertools.count(1):
        pixels += image.width * image.height
        if pixels > pixel_limit:
            return f"too many pixels: {pixels:,} in {frame} frames > {pixel_limit:,}"
        image.load()
        if first and frame == 1:
            first(image)
        try:
            image.seek(frame)
        except EOFError:
            break
    return None


def without_end(found: Opened) -> str | None:
    """Say where a decoder is content though the file's own end is missing."""
    name, data = found.format, found.data
    if name == "jpeg" and data.rfind(END_OF_IMAGE, _scan_start(data)) < 0:
        return "truncated: no end-of-image marker"
    if name == "png" and END_CHUNK not in data[-(64 << 10) :] and END_CHUNK not in data:
        return "truncated: no IEND chunk"
    return None


def _scan_start(data: bytes) -> int:
    """Find where a JPEG's first scan begins, past the thumbnails that its header may hold."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # fill byte
            at += 1
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def _words(what: str, error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return f"{'truncated' if 'truncated' in text.lower() else what}: {text}"
