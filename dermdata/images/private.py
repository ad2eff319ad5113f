"""What an image's metadata says of the person, the place and the device: kinds and tags, never the values."""

import re
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


# IPTC's record 2 by the numbers of its datasets, wherever a JPEG's APP13 holds it: with either header of Photoshop
IPTC = {
    80: ("name", "By-line"), 85: ("name", "By-line title"), 110: ("name", "Credit"), 116: ("name", "Copyright notice"),
    118: ("name", "Contact"), 122: ("name", "Writer"), 90: ("place", "City"), 92: ("place", "Sub-location"),
    95: ("place", "Province"), 101: ("place", "Country"), 55: ("date", "Date created"), 60: ("date", "Time created"),
    5: ("text", "Object name"), 25: ("text", "Keywords"), 105: ("text", "Headline"), 120: ("text", "Caption"),
}  # fmt: skip
IPTC_DATASET = re.compile(
    rb"\x1c\x02(.)([\x00-\x7f].)", re.DOTALL
)  # number and size; another size is none of words
# PNG's keywords, and a JPEG's comment
WORDS = {
    "Author": "name", "Copyright": "name", "Creation Time": "date", "Comment": "text", "Description": "text",
    "Title": "text", "comment": "text",
}  # fmt: skip


class Private(NamedTuple):
    """One thing that should not be published without thought."""

    kind: str  # place | serial number | name | date | text | unreadable
    tag: str  # EXIF's, XMP's, IPTC's or PNG's name of it


def private(image: ImageFile) -> tuple[Private, ...]:
    """What an opened image's EXIF, XMP, IPTC and comments hold; a block that cannot be read is told as such."""
    xmp = image.info.get("xmp", b"")
    found = [
        Private(kind, word.decode())
        for kind, words in XMP.items()
        for word in words
        if word in (xmp if isinstance(xmp, bytes) else str(xmp).encode())
    ]
    if "exif" in image.info or image.format == "TIFF":
        found += _exif(image)
    found += [Private(kind, word) for word, kind in WORDS.items() if _filled(image.info.get(word))]
    for marker, content in getattr(image, "applist", ()):
        found += _iptc(content) if marker == "APP13" else []
    return tuple(dict.fromkeys(found))


def _iptc(content: bytes) -> list[Private]:
    """By its datasets, in whatever header: exiftool reads it behind Photoshop's old one too."""
    found = (
        IPTC.get(dataset[1][0])
        for dataset in IPTC_DATASET.finditer(content)
        if _filled(content[dataset.end() : dataset.end() + int.from_bytes(dataset[2], "big")])
    )
    return [Private(*one) for one in found if one]


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
