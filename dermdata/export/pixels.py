"""An image file's bytes as an export gives them on: as stored, or smaller, or without private metadata.

`--size` makes the longest side that many pixels where it is longer (Lanczos; JPEGs are decoded at a reduced
scale of at least twice the size; masks by nearest neighbour); smaller images keep their bytes. PNG stays PNG,
JPEG is encoded anew (quality 95, full colour resolution). The pixels are not turned: an orientation tag is kept
instead, so that masks, boxes and the manifest's columns still fit. Other formats become PNG when images are
changed at all, their first picture without loss.

Whatever is done to an image, its bytes as stored are compared with the SHA-256 of its row first: an export never
passes on what is not the row's.
"""

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from PIL import Image

from dermdata import checksum
from dermdata.checksum import CHUNK
from dermdata.errors import ChecksumMismatch, IntegrityError, SizeMismatch, StorageError
from dermdata.export.strip import can_strip, stripped
from dermdata.export.strip_shared import NeedsRedraw
from dermdata.images.image_file import MOST_BYTES, open_image_file
from dermdata.images.whole import PIXELS, UNREADABLE

FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP")  # no other decoder is tried
QUALITY = 95
GAP = 2.0  # a JPEG's reduced scale is at least this times the size asked for
ENCODED = {
    "JPEG": {"quality": QUALITY, "subsampling": 0},
    "PNG": {"compress_level": 6},
}
BROKEN = "`dermdata verify` shows what is broken"
REPAIR = "`dermdata verify --repair` fetches it again"
LEAVE_OUT = 'leave such images out: `dermdata select --where "image_problem is null"`'
SAVED_AS = {"P": "RGBA", "PA": "RGBA", "1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}


@dataclass(frozen=True)
class Recipe:
    """What is done to each image; nothing by default."""

    size: int | None = None  # longest side, pixels
    strip: bool = False  # private metadata removed
    mask: bool = False  # its pixels are classes, not light

    @property
    def changes(self) -> bool:
        return self.strip or self.size is not None


@dataclass(frozen=True)
class Task:
    """One image file to be read, and what to do to it."""

    path: str | None  # absolute; None: no such file
    bytes: int | None  # that the file must have; None: not known
    recipe: Recipe
    sha256: str | None = None  # that the file must have; None: not known
    key: str | None = None  # of the row that names it

    @property
    def name(self) -> str:
        """The row and the file, for an error."""
        return f"{self.key}: {self.path}" if self.key else str(self.path)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file a name means, as far as the file system tells: another one, or a changed one, differs."""

    inode: int
    size: int  # bytes
    time: int  # of the last change of its content, ns


def identity_of(facts: os.stat_result) -> Identity:
    return Identity(facts.st_ino, facts.st_size, facts.st_mtime_ns)


def load(tasks: Sequence[Task]) -> list[bytes | None]:
    """The bytes of several images, ready to be written; IntegrityError or StorageError for one that is not as it must be."""
    return [None if task.path is None else make(task) for task in tasks]


def identify(tasks: Sequence[Task]) -> list[Identity]:
    """Which file each is, after its bytes were compared with the row's SHA-256 as `load` does; for what links them."""
    return [compare(task) for task in tasks]


def make(task: Task) -> bytes:
    """One image as the export gives it on."""
    data = read(task)
    if not task.recipe.changes:
        return data
    if task.recipe.size is not None or not can_strip(data):
        data = redrawn(data, task.recipe, task.name)
    return clean(data, task.name) if task.recipe.strip else data


# ------------------------------------------------------------------ files as stored


def read(task: Task) -> bytes:
    """A file's bytes; SizeMismatch or ChecksumMismatch unless they are those that the manifest says."""
    with open_stored(task) as file:
        size = os.fstat(file.fileno()).st_size
        require_size(task, size)
        if size > MOST_BYTES:
            raise StorageError(f"{task.name} has {size:,} bytes, the limit is {MOST_BYTES:,}", hint=BROKEN)
        data = file.read(size + 1)  # one more: a file that grew is another one
        while len(data) < size and (more := file.read(size + 1 - len(data))):
            data += more  # one read gives at most 2 GiB, and less from some file systems
    if len(data) != size:
        raise change_error(task)
    if task.sha256:
        require_checksum(task, hashlib.sha256(data).hexdigest())
    return data


def compare(task: Task) -> Identity:
    """Which file this is; the bytes of a large one are never in memory as a whole."""
    with open_stored(task) as file:
        before = identity_of(os.fstat(file.fileno()))
        require_size(task, before.size)
        if task.sha256:
            # no more is asked for than is there: a block of 1 MiB for each small file costs more than its hash
            blocks = iter(partial(file.read, min(CHUNK, before.size + 1)), b"")
            require_checksum(task, checksum.of_chunks(blocks))
        if identity_of(os.fstat(file.fileno())) != before:
            raise change_error(task)
    return before


@contextmanager
def open_stored(task: Task) -> Iterator[io.FileIO]:
    """The file, open for reading; StorageError for what is none: a pipe would keep us waiting, a device never ends."""
    try:
        with open_image_file(task.path or "") as file:
            yield file
    except OSError as error:
        raise StorageError(f"cannot read {task.name}: {error.strerror}", hint=BROKEN) from error


def require_size(task: Task, found: int) -> None:
    if task.bytes is not None and found != task.bytes:
        raise SizeMismatch(f"{task.name} has {found:,} bytes, the manifest says {task.bytes:,}", hint=REPAIR)


def change_error(task: Task) -> StorageError:
    return StorageError(f"{task.name} was changed while it was read", hint="run the same command again")


def require_checksum(task: Task, found: str) -> None:
    if task.sha256 and found != task.sha256.lower():
        raise ChecksumMismatch(
            f"{task.name} was altered: its sha256 is {found}, the manifest says {task.sha256}", hint=REPAIR
        )


# ------------------------------------------------------------------ pictures


def clean(data: bytes, what: str) -> bytes:
    """The image without what is private; encoded anew where that cannot be told from the picture."""
    try:
        return stripped(data, what)
    except NeedsRedraw:
        with decoding(what), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            anew = encoded(image, image)
    try:
        return stripped(anew, what)
    except NeedsRedraw as error:
        raise IntegrityError(
            f"{what} cannot be told from what is private in it: {error}", hint=LEAVE_OUT
        ) from error


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """IntegrityError for an image that does not decode."""
    try:
        yield
    except UNREADABLE as error:
        raise IntegrityError(f"{what} cannot be decoded: {error}", hint=LEAVE_OUT) from error


def redrawn(data: bytes, recipe: Recipe, what: str) -> bytes:
    """The image at the recipe's size, or in a format whose metadata can be removed; as it is where it is both already."""
    with decoding(what), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        longest = recipe.size or max(image.size)
        smaller = max(image.size) > longest
        if not smaller and can_strip(data):
            return data
        return encoded(scaled(image, longest, mask=recipe.mask) if smaller else image, image)


def scaled(image: Image.Image, longest: int, *, mask: bool) -> Image.Image:
    """A smaller copy; the opened file stays as it is, for its format and profile."""
    if mask:
        share = longest / max(image.size)
        shape = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        return image.resize(shape, Image.Resampling.NEAREST)
    image.draft(None, (round(longest * GAP), round(longest * GAP)))
    small = drawable(image)
    gap = None if small.mode.startswith("I;16") else GAP  # Pillow cannot reduce these first
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=gap)
    return small


def drawable(image: Image.Image) -> Image.Image:
    """In a mode in which pixels can be averaged."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("L") if image.mode == "1" else image.copy()


def encoded(picture: Image.Image, source: Image.Image) -> bytes:
    """The picture in its source's format, or PNG, with the source's colour profile and EXIF."""
    form = "JPEG" if source.format == "JPEG" else "PNG"
    if (
        form == "PNG"
        and source.format != "PNG"
        and picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    ):
        picture = picture.convert(SAVED_AS.get(picture.mode, "RGB"))
    kept = {name: source.info[name] for name in ("icc_profile", "exif") if source.info.get(name)}
    if "icc_profile" in kept and form == "PNG" and source.mode == "CMYK":
        del kept["icc_profile"]  # a profile for ink means nothing to RGB
    held = io.BytesIO()
    picture.save(held, form, **ENCODED[form], **kept)
    return held.getvalue()
