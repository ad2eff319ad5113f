"""An image file's bytes as an export gives them on: as stored, smaller, or without private metadata.

`--size` makes the longest side that many pixels where it is longer (Lanczos; JPEGs are decoded at a reduced
scale of at least twice the size; masks by nearest neighbor); smaller images keep their bytes. PNG stays PNG,
JPEG is encoded anew (quality 95, full color resolution). The pixels are not turned: an orientation tag is kept
instead, so that the manifest's columns still fit. Some readers obey it and some do not, so where a mask or boxes lie
on an image it is set to 1 ("as stored"; no other byte changes), and a mask that was drawn on the upright picture is
turned back: every reader then lays one on the other.

Other formats become PNG when images are changed at all, their first picture without loss. Gray levels of 16 bits stay
what they are. Those of 32 bits and decimal ones stay where they are whole numbers up to 65,535; others are scaled to
these, from 0 to 1 where they lie between, else from the image's least to its greatest.

Whatever is done to an image, its bytes as stored are compared with the SHA-256 of its row first: an export never
passes on what is not the row's. `--strip-exif` keeps only a list of what may stay, each part checked or built anew
(strip_jpeg.py, strip_png.py, kept_metadata.py); a file in which other data could stand amid the picture's own
(NeedsRedraw) is decoded and encoded anew.
"""

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from PIL import Image

from dermdata import checksum
from dermdata.checksum import CHUNK
from dermdata.errors import ChecksumMismatch, IntegrityError, SizeMismatch, StorageError
from dermdata.export.kept_metadata import NeedsRedraw
from dermdata.export.strip_jpeg import JPEG_SIGNATURE, strip_jpeg
from dermdata.export.strip_png import PNG_SIGNATURE, strip_png
from dermdata.images.decode import DECODE_ERRORS, PIXEL_LIMIT
from dermdata.images.frames import Frame
from dermdata.images.image_file import MOST_BYTES, open_image_file
from dermdata.images.levels import is_deep, to_sixteen_bits
from dermdata.images.orientation import (
    AS_STORED,
    ON_THE_SIDE,
    read_orientation,
    reset_orientation,
    to_stored_frame,
)
from dermdata.markup import count_nouns

PILLOW_FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP")  # no other decoder is tried
JPEG_QUALITY = 95
SCALED_LEVELS = (
    "images of 32 bits or decimal numbers: levels that are no whole numbers to 65,535 are scaled to these"
)
HALVED_DEPTH = "color images of 16 bits a channel come out with 8"
HEAD_BYTES = 256 << 10  # of a JPEG: EXIF and XMP stand before the picture
REDUCING_GAP = 2.0  # a JPEG's reduced scale is at least this times the size asked for
SAVE_OPTIONS = {
    "JPEG": {"quality": JPEG_QUALITY, "subsampling": 0},
    "PNG": {"compress_level": 6},
}
VERIFY_HINT = "`dermdata verify` shows what is broken"
REPAIR_HINT = "`dermdata verify --repair` fetches it again"
LEAVE_OUT_HINT = 'leave such images out: `dermdata select --where "image_problem is null"`'
KEPT_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
PNG_MODES = {"P": "RGBA", "PA": "RGBA", "1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}


@dataclass(frozen=True)
class Recipe:
    """What is done to each image; nothing by default."""

    size: int | None = None  # longest side, pixels
    strip: bool = False  # private metadata removed
    mask: bool = False  # its pixels are classes, not light
    frame: Frame | None = None  # width and height of each; not with `size`

    @property
    def resizes(self) -> bool:
        """Whether pixels are made anew."""
        return self.size is not None or self.frame is not None

    @property
    def changes(self) -> bool:
        return self.strip or self.resizes


@dataclass(frozen=True)
class ImageTask:
    """One image file to be read, and what to do to it."""

    path: str | None  # absolute; None: no such file
    bytes: int | None  # that the file must have; None: not known
    recipe: Recipe
    sha256: str | None = None  # that the file must have; None: not known
    key: str | None = None  # of the row that names it
    level: bool = False  # a mask or boxes lie on it: no reader shall turn it by its orientation tag
    image: str | None = None  # of a mask: the file of its image, on whose stored pixels it shall lie

    @property
    def name(self) -> str:
        """The row and the file, for an error."""
        return f"{self.key}: {self.path}" if self.key else str(self.path)


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Which file a name means, as far as the file system tells: another one, or a changed one, differs."""

    inode: int
    size: int  # bytes
    time: int  # of the last change of its content, ns


def identity_from_stat(facts: os.stat_result) -> FileIdentity:
    return FileIdentity(facts.st_ino, facts.st_size, facts.st_mtime_ns)


def load_images(tasks: Sequence[ImageTask]) -> list[bytes | None]:
    """The bytes of several images, ready to be written; IntegrityError or StorageError for one that is not as it must be."""
    return [None if task.path is None else make_image(task) for task in tasks]


def identify_files(tasks: Sequence[ImageTask]) -> list[FileIdentity | None]:
    """Which file each is, its bytes compared with the row's SHA-256 as `load_images` does; for exports that link.

    None for one that cannot be linked, since its orientation tag must go.
    """
    return [None if task.level and is_turned(task) else compare_stored(task) for task in tasks]


def is_turned(task: ImageTask) -> bool:
    """Whether readers that obey the file's orientation tag show it turned."""
    with open_stored(task) as file:
        start = file.read(HEAD_BYTES)
        whole = start if start.startswith(JPEG_SIGNATURE) else start + file.read()
    return read_orientation(whole) != AS_STORED


def make_image(task: ImageTask) -> bytes:
    """One image as the export gives it on."""
    data = read_stored(task)
    if task.image is not None:
        data = lay_mask(data, task)
    elif task.level:
        data = reset_orientation(data)
    if not task.recipe.changes:
        return data
    if task.recipe.resizes or not can_strip(data):
        data = redraw(data, task.recipe, task.name)
    return remove_private_metadata(data, task.name) if task.recipe.strip else data


def lay_mask(data: bytes, task: ImageTask) -> bytes:
    """A mask that lies on its image's stored pixels; one that was drawn on the upright picture becomes a PNG."""
    data = reset_orientation(data)
    beneath = read_stored(ImageTask(task.image, None, task.recipe))
    turn = read_orientation(beneath)
    if turn not in ON_THE_SIDE:
        return data
    with convert_decode_errors(task.name):
        size = stored_size(reset_orientation(beneath))
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as mask:
            laid = to_stored_frame(mask, turn, size)
            return data if laid is mask else encode_image(laid, laid)


def stored_size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
        return image.size


# ------------------------------------------------------------------ files as stored


def read_stored(task: ImageTask) -> bytes:
    """A file's bytes; SizeMismatch or ChecksumMismatch unless they are those that the manifest says."""
    with open_stored(task) as file:
        size = os.fstat(file.fileno()).st_size
        require_size(task, size)
        if size > MOST_BYTES:
            raise StorageError(
                f"{task.name} has {count_nouns(size, 'byte')}, the limit is {MOST_BYTES:,}", hint=VERIFY_HINT
            )
        data = file.read(size + 1)  # one more: a file that grew is another one
        while len(data) < size and (more := file.read(size + 1 - len(data))):
            data += more  # one read gives at most 2 GiB, and less from some file systems
    if len(data) != size:
        raise changed_file_error(task)
    if task.sha256:
        require_checksum(task, hashlib.sha256(data).hexdigest())
    return data


def compare_stored(task: ImageTask) -> FileIdentity:
    """Which file this is; the bytes of a large one are never in memory as a whole."""
    with open_stored(task) as file:
        before = identity_from_stat(os.fstat(file.fileno()))
        require_size(task, before.size)
        if task.sha256:
            # no more is asked for than is there: a block of 1 MiB for each small file costs more than its hash
            blocks = iter(partial(file.read, min(CHUNK, before.size + 1)), b"")
            require_checksum(task, checksum.sha256_of_chunks(blocks))
        if identity_from_stat(os.fstat(file.fileno())) != before:
            raise changed_file_error(task)
    return before


@contextmanager
def open_stored(task: ImageTask) -> Iterator[io.FileIO]:
    """The file, open for reading; StorageError for what is none: a pipe would keep us waiting, a device never ends."""
    try:
        with open_image_file(task.path or "") as file:
            yield file
    except OSError as error:
        raise StorageError(f"cannot read {task.name}: {error.strerror}", hint=VERIFY_HINT) from error


def require_size(task: ImageTask, found: int) -> None:
    if task.bytes is not None and found != task.bytes:
        raise SizeMismatch(
            f"{task.name} has {count_nouns(found, 'byte')}, the manifest says {task.bytes:,}",
            hint=REPAIR_HINT,
        )


def changed_file_error(task: ImageTask) -> StorageError:
    return StorageError(f"{task.name} was changed while it was read", hint="run the same command again")


def require_checksum(task: ImageTask, found: str) -> None:
    if task.sha256 and found != task.sha256.lower():
        raise ChecksumMismatch(
            f"{task.name} was altered: its sha256 is {found}, the manifest says {task.sha256}",
            hint=REPAIR_HINT,
        )


# ------------------------------------------------------------------ pictures


def remove_private_metadata(data: bytes, what: str) -> bytes:
    """The image without what is private; encoded anew where that cannot be told from the picture."""
    try:
        return strip_image(data, what)
    except NeedsRedraw:
        with convert_decode_errors(what), Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
            anew = encode_image(image, image)
    try:
        return strip_image(anew, what)
    except NeedsRedraw as error:
        raise IntegrityError(
            f"{what} cannot be told from what is private in it: {error}", hint=LEAVE_OUT_HINT
        ) from error


@contextmanager
def convert_decode_errors(what: str) -> Iterator[None]:
    """IntegrityError for an image that does not decode."""
    try:
        yield
    except DECODE_ERRORS as error:
        raise IntegrityError(f"{what} cannot be decoded: {error}", hint=LEAVE_OUT_HINT) from error


def redraw(data: bytes, recipe: Recipe, what: str) -> bytes:
    """The image at the recipe's size, or in a format whose metadata can be removed; as it is where it is both already."""
    with convert_decode_errors(what), Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
        if image.width * image.height > PIXEL_LIMIT:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        if recipe.frame is not None:
            return encode_image(frame_image(image, recipe.frame, mask=recipe.mask), image)
        longest = recipe.size or max(image.size)
        smaller = max(image.size) > longest
        if not smaller and can_strip(data):
            return data
        return encode_image(scale_image(image, longest, mask=recipe.mask) if smaller else image, image)


def scale_image(image: Image.Image, longest: int, *, mask: bool) -> Image.Image:
    """A smaller copy; the opened file stays as it is, for its format and profile."""
    if mask:
        share = longest / max(image.size)
        shape = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        return image.resize(shape, Image.Resampling.NEAREST)
    image.draft(None, (round(longest * REDUCING_GAP), round(longest * REDUCING_GAP)))
    small = to_drawable_mode(image)
    gap = None if small.mode.startswith("I;16") else REDUCING_GAP  # Pillow cannot reduce these first
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=gap)
    return small


def frame_image(image: Image.Image, frame: Frame, *, mask: bool) -> Image.Image:
    """The picture in its frame; a small one is enlarged."""
    placed = frame.place(image.size)
    if mask:
        return placed.paste(image.resize(placed.scaled, Image.Resampling.NEAREST))
    image.draft(None, tuple(round(side * REDUCING_GAP) for side in placed.scaled))  # type: ignore[arg-type]
    whole = to_drawable_mode(image)
    gap = None if whole.mode.startswith("I;16") else REDUCING_GAP  # Pillow cannot reduce these first
    return placed.paste(whole.resize(placed.scaled, Image.Resampling.LANCZOS, reducing_gap=gap))


def to_drawable_mode(image: Image.Image) -> Image.Image:
    """In a mode in which pixels can be averaged."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if is_deep(image):
        return to_sixteen_bits(image)
    return image.convert("L") if image.mode == "1" else image.copy()


def find_depth_change(path: str, recipe: Recipe) -> str | None:
    """In words what becomes of pixels of more than 8 bits that cannot all stay what they are; None for others."""
    try:
        with open_image_file(path) as file, Image.open(file, formats=PILLOW_FORMATS) as image:
            if image.format == "PNG" and not recipe.resizes:
                return None  # its pixels are not touched
            if image.mode in ("I", "F"):
                return SCALED_LEVELS
            depth = str(image.tile[0][3]) if image.tile else ""  # Pillow's name of how pixels are packed
    except DECODE_ERRORS:
        return None
    return HALVED_DEPTH if ";16" in depth and not is_deep(image) else None


def encode_image(picture: Image.Image, source: Image.Image) -> bytes:
    """The picture in its source's format, or PNG, with the source's color profile and EXIF."""
    form = "JPEG" if source.format == "JPEG" else "PNG"
    picture = to_encodable_mode(picture, source)
    kept = {name: source.info[name] for name in ("icc_profile", "exif") if source.info.get(name)}
    if "icc_profile" in kept and form == "PNG" and source.mode == "CMYK":
        del kept["icc_profile"]  # a profile for ink means nothing to RGB
    held = io.BytesIO()
    picture.save(held, form, **SAVE_OPTIONS[form], **kept)
    return held.getvalue()


def to_encodable_mode(picture: Image.Image, source: Image.Image) -> Image.Image:
    """The picture in a mode that the format of its copy holds."""
    if is_deep(picture):
        return to_sixteen_bits(picture)
    if source.format in ("JPEG", "PNG") or picture.mode in KEPT_PNG_MODES:
        return picture
    return picture.convert(PNG_MODES.get(picture.mode, "RGB"))


def can_strip(data: bytes) -> bool:
    """Whether these bytes are of a format that `strip_image` knows."""
    return data.startswith((JPEG_SIGNATURE, PNG_SIGNATURE))


def strip_image(data: bytes, what: str) -> bytes:
    """The same JPEG or PNG with nothing but the picture.

    IntegrityError, naming `what`, for one that is not well formed; NeedsRedraw for one whose picture's data may hold
    others.
    """
    try:
        return b"".join(strip_jpeg(data) if data.startswith(JPEG_SIGNATURE) else strip_png(data))
    except (IndexError, ValueError, struct.error, zlib.error) as error:
        raise IntegrityError(
            f"{what} is broken, so that its metadata cannot be removed: {error}",
            hint="leave it out with `dermdata select --where`, or see `dermdata verify`",
        ) from error
