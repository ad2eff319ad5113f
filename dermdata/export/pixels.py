"""An image file's bytes as an export gives them on: as stored, or smaller, or without private metadata.

`--size` makes the longest side that many pixels where it is longer (Lanczos; JPEGs are decoded at a reduced
scale of at least twice the size; masks by nearest neighbour); smaller images keep their bytes. PNG stays PNG,
JPEG is encoded anew (quality 95, full colour resolution). The pixels are not turned: an orientation tag is kept
instead, so that masks, boxes and the manifest's columns still fit. Other formats become PNG when images are
changed at all, their first picture without loss.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from dermdata.errors import IntegrityError, SizeMismatch, StorageError
from dermdata.export.strip import can_strip, stripped
from dermdata.images.image_file import MOST_BYTES, ImageFileTooLarge, read_image_file
from dermdata.images.whole import PIXELS, UNREADABLE

FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP")  # no other decoder is tried
QUALITY = 95
GAP = 2.0  # a JPEG's reduced scale is at least this times the size asked for
ENCODED = {
    "JPEG": {"quality": QUALITY, "subsampling": 0},
    "PNG": {"compress_level": 6},
}
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


def load(tasks: Sequence[Task]) -> list[bytes | None]:
    """The bytes of several images, ready to be written; IntegrityError or StorageError for one that is not as it must be."""
    return [None if task.path is None else made(task.path, task.bytes, task.recipe) for task in tasks]


def made(path: str, size: int | None, recipe: Recipe) -> bytes:
    data = read(path, size)
    if not recipe.changes:
        return data
    data = redrawn(data, recipe, path)
    return stripped(data, path) if recipe.strip else data


def read(path: str, size: int | None) -> bytes:
    """A file's bytes; SizeMismatch when they are not as many as the manifest says: a changed image is never passed on."""
    try:
        data = read_image_file(path, MOST_BYTES if size is None else size)
    except OSError as error:
        if isinstance(error, ImageFileTooLarge) and size not in (None, error.size):
            raise wrong_size(path, error.size, size) from error
        raise StorageError(
            f"cannot read {path}: {error.strerror}", hint="`dermdata verify` shows what is broken"
        ) from error
    if size is not None and len(data) != size:
        raise wrong_size(path, len(data), size)
    return data


def wrong_size(path: str, found: int, said: int) -> SizeMismatch:
    hint = "`dermdata verify --repair` fetches it again"
    return SizeMismatch(f"{path} has {found:,} bytes, the manifest says {said:,}", hint=hint)


def redrawn(data: bytes, recipe: Recipe, what: str) -> bytes:
    """The image at the recipe's size, or in a format whose metadata can be removed; as it is where it is both already."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            longest = recipe.size or max(image.size)
            smaller = max(image.size) > longest
            if not smaller and can_strip(data):
                return data
            return encoded(scaled(image, longest, mask=recipe.mask) if smaller else image, image)
    except UNREADABLE as error:
        raise IntegrityError(
            f"{what} cannot be decoded: {error}",
            hint='leave such images out: `dermdata select --where "image_problem is null"`',
        ) from error


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
