"""What an image's metadata says of the person, the place and the device: kinds and tags, never the values."""

import warnings
from typing import NamedTuple

from PIL import ExifTags
from PIL.ImageFile import ImageFile

from dermdata.images.whole import UNREADABLE, one_header

TAGS = {
    "serial number": (0xA431, 0xA435, 0xC62F),  # body, lens, camera
    "name": (0x013B, 0x013C, 0x9C9D, 0xA430),  # artist, host computer, XPAuthor, owner
    "date": (0x0132, 0x9003, 0x9004),
}
EXIF_FOLDER, GPS_FOLDER = 0x8769, 0x8825
GPS_VERSION = 0  # says nothing of a place
XMP = {
    "place": (b"exif:GPS", b"photoshop:City", b"Iptc4xmpCore:Location"),
    "serial number": (b"aux:SerialNumber", b"exifEX:BodySerialNumber"),
    "name": (b"dc:creator", b"aux:OwnerName"),
    "date": (b"exif:DateTimeOriginal", b"photoshop:DateCreated"),
}


class Private(NamedTuple):
    """One thing that should not be published without thought."""

    kind: str  # place | serial number | name | date | unreadable
    tag: str  # EXIF's or XMP's name of it


def private(image: ImageFile) -> tuple[Private, ...]:
    """What an opened image's EXIF and XMP hold; a block that cannot be read is told as such."""
    xmp = image.info.get("xmp", b"")
    found = [
        Private(kind, word.decode())
        for kind, words in XMP.items()
        for word in words
        if word in (xmp if isinstance(xmp, bytes) else str(xmp).encode())
    ]
    if "exif" in image.info or image.format == "TIFF":
        found += _exif(image)
    return tuple(dict.fromkeys(found))


def _exif(image: ImageFile) -> list[Private]:
    try:
        with one_header, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = image.getexif()
            details = {**exif, **exif.get_ifd(EXIF_FOLDER)}
            places = exif.get_ifd(GPS_FOLDER)
    except UNREADABLE:
        return [Private("unreadable", "EXIF")]
    found = [Private("place", ExifTags.GPSTAGS.get(tag, str(tag))) for tag in places if tag != GPS_VERSION]
    for kind, tags in TAGS.items():
        found += [
            Private(kind, ExifTags.TAGS.get(tag, hex(tag))) for tag in tags if _filled(details.get(tag))
        ]
    return found


def _filled(value: object) -> bool:
    """Cameras write empty fields and dates of zeros."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return bool(text.strip("\0 :0"))
