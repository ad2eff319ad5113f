"""All that an audit needs to know of one image, from one decode: faults, hash and private metadata.

Of what its metadata says of the person, the place and the device it gives kinds and tags, never the values.
"""

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL.ImageFile import ImageFile

from dermdata.errors import IntegrityError
from dermdata.images.decode import (
    DECODE_ERRORS,
    PIXEL_LIMIT,
    OpenedImage,
    decode_lock,
    find_missing_end,
    find_scan_problem,
    header_lock,
    open_image,
    read_facts,
)
from dermdata.images.levels import to_sixteen_bits
from dermdata.images.orientation import read_orientation
from dermdata.images.phash import ReducedImage, perceptual_hash, reduce_image, reduce_jpeg
from dermdata.model import ImageFacts

EXIF_TAGS = {
    "serial number": (0xA431, 0xA435, 0xC62F),  # body, lens, camera
    "name": (0x013B, 0x013C, 0x9C9D, 0xA430),  # artist, host computer, XPAuthor, owner
    "date": (0x0132, 0x9003, 0x9004),
}
EXIF_FOLDER, GPS_FOLDER = 0x8769, 0x8825
GPS_VERSION = 0  # says nothing of a place
XMP_WORDS = {
    "place": (b"exif:GPS", b"photoshop:City", b"Iptc4xmpCore:Location"),
    "serial number": (b"aux:SerialNumber", b"exifEX:BodySerialNumber"),
    "name": (b"dc:creator", b"aux:OwnerName"),
    "date": (b"exif:DateTimeOriginal", b"photoshop:DateCreated"),
}


# IPTC's record 2 by the numbers of its datasets, wherever a JPEG's APP13 holds it: with either header of Photoshop
IPTC_TAGS = {
    80: ("name", "By-line"), 85: ("name", "By-line title"), 110: ("name", "Credit"), 116: ("name", "Copyright notice"),
    118: ("name", "Contact"), 122: ("name", "Writer"), 90: ("place", "City"), 92: ("place", "Sub-location"),
    95: ("place", "Province"), 101: ("place", "Country"), 55: ("date", "Date created"), 60: ("date", "Time created"),
    5: ("text", "Object name"), 25: ("text", "Keywords"), 105: ("text", "Headline"), 120: ("text", "Caption"),
}  # fmt: skip
# number and size; another size is none of words
IPTC_DATASET = re.compile(rb"\x1c\x02(.)([\x00-\x7f].)", re.DOTALL)
# PNG's keywords, and a JPEG's comment
TEXT_KEYWORDS = {
    "Author": "name", "Copyright": "name", "Creation Time": "date", "Comment": "text", "Description": "text",
    "Title": "text", "comment": "text",
}  # fmt: skip
RASTER_SIDE = 48  # fields a side: what two images are compared by
EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"}


class PrivateTag(NamedTuple):
    """One thing that should not be published without thought."""

    kind: str  # place | serial number | name | date | text | unreadable
    tag: str  # EXIF's, XMP's, IPTC's or PNG's name of it


def find_private_tags(image: ImageFile) -> tuple[PrivateTag, ...]:
    """What an opened image's EXIF, XMP, IPTC and comments hold; a block that cannot be read is listed as such."""
    found = _find_xmp_tags(image.info.get("xmp", b""))
    if "exif" in image.info or image.format == "TIFF":
        found += _find_exif_tags(image)
    found += [
        PrivateTag(kind, word) for word, kind in TEXT_KEYWORDS.items() if _is_filled(image.info.get(word))
    ]
    for marker, content in getattr(image, "applist", ()):
        found += _find_iptc_tags(content) if marker == "APP13" else []
    return tuple(dict.fromkeys(found))


def _find_xmp_tags(xmp: bytes | str) -> list[PrivateTag]:
    block = xmp if isinstance(xmp, bytes) else str(xmp).encode()
    return [
        PrivateTag(kind, word.decode())
        for kind, words in XMP_WORDS.items()
        for word in words
        if word in block
    ]


def _find_iptc_tags(content: bytes) -> list[PrivateTag]:
    """By its datasets, in whatever header: exiftool reads it behind Photoshop's old one too."""
    found = (
        IPTC_TAGS.get(dataset[1][0])
        for dataset in IPTC_DATASET.finditer(content)
        if _is_filled(content[dataset.end() : dataset.end() + int.from_bytes(dataset[2], "big")])
    )
    return [PrivateTag(*one) for one in found if one]


def _find_exif_tags(image: ImageFile) -> list[PrivateTag]:
    try:
        with header_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = image.getexif()
            details = {**exif, **exif.get_ifd(EXIF_FOLDER)}
            places = exif.get_ifd(GPS_FOLDER)
    except DECODE_ERRORS:
        return [PrivateTag("unreadable", "EXIF")]
    found = [PrivateTag("place", ExifTags.GPSTAGS.get(tag, str(tag))) for tag in places if tag != GPS_VERSION]
    for kind, tags in EXIF_TAGS.items():
        found += [
            PrivateTag(kind, ExifTags.TAGS.get(tag, hex(tag))) for tag in tags if _is_filled(details.get(tag))
        ]
    return found


def _is_filled(value: object) -> bool:
    """Cameras write empty fields and dates of zeros."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return bool(text.strip("\0 :0"))


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInspection:
    """What one image file is; a bad one is a result, its `problem` in words."""

    format: str | None = None
    mode: str | None = None
    width: int | None = None  # pixels, as stored
    height: int | None = None
    problem: str | None = None  # None: decodes whole
    damage: str | None = None  # it decodes, but libjpeg complains of its data
    orientation: int = 1  # EXIF's number of the turn that viewers apply; 1: as stored
    phash: bytes | None = None  # 8 bytes; None too where the image is of one color all over
    private: tuple[PrivateTag, ...] = ()


def inspect_image(data: bytes | Path, *, pixel_limit: int = PIXEL_LIMIT) -> ImageInspection:
    """Header, decode check, perceptual hash and private metadata of an image, from one decode.

    For threads and processes alike.

    Parameters
    ----------
    data
        The image's bytes, or its file.
    pixel_limit
        The most pixels that it may have.

    Returns
    -------
    ImageInspection
        What it is; of a bad image its `problem` in words.

    Raises
    ------
    OSError
        If the file cannot be read.

    """
    return _inspect_reduced(data, pixel_limit)[0]


def read_raster(data: bytes | Path, *, pixel_limit: int = PIXEL_LIMIT) -> NDArray[np.float32]:
    """The gray levels of an image that decodes, in equal fields.

    Parameters
    ----------
    data
        The image's bytes, or its file.
    pixel_limit
        The most pixels that it may have.

    Returns
    -------
    ndarray
        Mean levels, light is high, float32 [RASTER_SIDE, RASTER_SIDE].

    Raises
    ------
    IntegrityError
        If it does not decode.
    OSError
        If the file cannot be read.

    """
    seen, small = _inspect_reduced(data, pixel_limit)
    if small is None:
        name = f"{data}: " if isinstance(data, Path) else ""
        raise IntegrityError(f"{name}image is gone bad: {seen.problem}", hint="run `dermdata verify`")
    return small.raster(RASTER_SIDE)


def hash_pixels(data: bytes | Path, *, pixel_limit: int = PIXEL_LIMIT) -> str | None:
    """Hash the size and the first frame's pixels of an image, whatever its format.

    It takes a decode at full size, several times the work of `inspect_image`. Equal pixels have nearly equal
    perceptual hashes and equal sizes, so only such images need be compared.

    Parameters
    ----------
    data
        The image's bytes, or its file.
    pixel_limit
        The most pixels that it may have.

    Returns
    -------
    str or None
        SHA-256, hexadecimal; None where the image does not decode.

    Raises
    ------
    OSError
        If the file cannot be read.

    """
    found = open_image(data)
    if isinstance(found, ImageFacts):
        return None
    with found.image as image:
        if read_facts(found, decode=False, pixel_limit=pixel_limit).problem:
            return None
        try:
            image.load()
        except DECODE_ERRORS:
            return None
        alike = image.convert("RGBA") if image.mode in EIGHT_BIT_MODES else image
        alike = to_sixteen_bits(alike) if alike.mode.startswith("I;16") else alike  # in one order of bytes
        size = f"{alike.mode} {alike.width} x {alike.height}\n".encode()
        return hashlib.sha256(size + alike.tobytes()).hexdigest()


def _inspect_reduced(data: bytes | Path, pixel_limit: int) -> tuple[ImageInspection, ReducedImage | None]:
    found = open_image(data)
    if isinstance(found, ImageFacts):
        return ImageInspection(format=found.format, problem=found.problem), None
    with found.image as image:
        hidden = find_private_tags(image)
        facts, damage, small = _decode_reduced(found, pixel_limit)
    return ImageInspection(
        format=facts.format,
        mode=facts.mode,
        width=facts.width,
        height=facts.height,
        problem=facts.problem,
        damage=damage,
        orientation=read_orientation(found.data),
        phash=perceptual_hash(small) if small else None,
        private=hidden,
    ), small


def _decode_reduced(
    found: OpenedImage, pixel_limit: int
) -> tuple[ImageFacts, str | None, ReducedImage | None]:
    """Facts, what libjpeg complains of, and the small copy of an image that decodes."""
    if not _is_fit_for_libjpeg(found, pixel_limit):
        return _decode_with_pillow(found, pixel_limit, None)
    facts = read_facts(found, decode=False)
    try:
        with decode_lock(found.image):
            return facts, None, reduce_jpeg(found.data, *found.image.size)
    except ValueError as error:  # Pillow is more patient, and knows why when it is not
        return _decode_with_pillow(found, pixel_limit, str(error))


def _is_fit_for_libjpeg(found: OpenedImage, pixel_limit: int) -> bool:
    """Whether simplejpeg gives gray levels of it, and need not be kept from trying."""
    fits = found.image.width * found.image.height <= pixel_limit
    gray = found.format == "jpeg" and found.image.mode in {"L", "RGB"}
    return gray and fits and not (find_scan_problem(found) or find_missing_end(found))


def _decode_with_pillow(
    found: OpenedImage, pixel_limit: int, damage: str | None
) -> tuple[ImageFacts, str | None, ReducedImage | None]:
    small: list[ReducedImage] = []
    width, height = found.image.size
    facts = read_facts(
        found,
        pixel_limit=pixel_limit,
        first=lambda image: small.append(reduce_image(image, width, height)),
    )
    return (facts, None, None) if facts.problem else (facts, damage, small[0])
