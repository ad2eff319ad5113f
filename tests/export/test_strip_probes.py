"""--strip-exif against a name in every place of a JPEG or PNG where a program, or somebody with intent, may put one."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dermdata.errors import IntegrityError
from dermdata.export.image_bytes import ImageTask as Asked
from dermdata.export.image_bytes import Recipe, make_image
from dermdata.export.kept_metadata import rebuild_profile
from export.pictures import PROFILE, chunk, opened, photograph, pixels, saved, segment

NAME = b"JANE DOE 1970-01-01"
EOI = b"\xff\xd9"
IPTC = b"8BIM\x04\x04\0\0\0\0\0\x16\x1c\x02\x50\0" + bytes([len(NAME)]) + NAME


@cache
def jpeg(mode: str = "RGB", **options: object) -> bytes:
    return saved(photograph(mode=mode), "JPEG", **options)


@cache
def png(mode: str = "RGB") -> bytes:
    picture = photograph().quantize(9) if mode == "P" else photograph(mode=mode)
    return saved(picture, "PNG")


def cleaned(data: bytes, tmp_path: object) -> bytes:
    """As an export gives it on."""
    path = tmp_path / "image"  # type: ignore[operator]
    path.write_bytes(data)
    return make_image(Asked(str(path), len(data), Recipe(strip=True)))


def early(marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment behind its first."""
    return jpeg()[:20] + segment(marker, content) + jpeg()[20:]


def late(marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment before its scan."""
    at = jpeg().index(b"\xff\xda")
    return jpeg()[:at] + segment(marker, content) + jpeg()[at:]


def named_profile() -> bytes:
    """A color profile whose texts are names, as some cameras and scanners write them."""
    text = PROFILE.replace("sRGB".encode("utf-16-be"), NAME[:4].decode().encode("utf-16-be"))
    return text[:48] + NAME[:8] + text[56:80] + NAME[9:13] + text[84:]


def after_each_scan(data: bytes) -> bytes:
    head, scan, rest = data.partition(b"\xff\xda")
    return head + scan + rest.replace(b"\xff\xc4", NAME + b"\xff\xc4")[:-2] + NAME + EOI


TABLE = bytes([3]) + (NAME * 4)[:64]
CODES = bytes([0x13, 0, 0, 0, 0, 0, len(NAME), *[0] * 10]) + NAME
PROBES: dict[str, Callable[[], bytes]] = {
    "EXIF": lambda: early(0xE1, b"Exif\0\0" + NAME),
    "XMP": lambda: early(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + NAME),
    "IPTC": lambda: early(0xED, b"Photoshop 3.0\0" + IPTC),
    "IPTC behind the old header": lambda: early(0xED, b"Adobe_Photoshop2.5:" + IPTC),
    "Adobe_CM": lambda: early(0xED, b"Adobe_CM\0" + NAME),
    "Adobe in APP4": lambda: early(0xE4, b"Adobe" + NAME),
    "Adobe of 12 bytes in APP4": lambda: early(0xE4, b"Adobe" + NAME[:7]),
    "Adobe's mark with a tail": lambda: early(0xEE, b"Adobe\0\x64\0\0\0\0\1" + NAME),
    "Adobe's mark with a name in it": lambda: early(0xEE, b"Adobe" + NAME[:6] + b"\1"),
    "a profile in APP5": lambda: early(0xE5, b"ICC_PROFILE\0\1\1" + PROFILE + NAME),
    "no profile": lambda: early(0xE2, b"ICC_PROFILE\0\1\1" + NAME * 9),
    "a profile of wrong numbers": lambda: early(0xE2, b"ICC_PROFILE\0\1\2" + NAME),
    "a part too many": lambda: early(0xE2, b"ICC_PROFILE\0\1\1" + PROFILE)[:20]
    + segment(0xE2, b"ICC_PROFILE\0\2\1" + NAME) + early(0xE2, b"ICC_PROFILE\0\1\1" + PROFILE)[20:],
    "a profile with a tail": lambda: early(0xE2, b"ICC_PROFILE\0\1\1" + PROFILE + NAME),
    "names in a profile": lambda: early(0xE2, b"ICC_PROFILE\0\1\1" + named_profile()),
    "MPF": lambda: early(0xE2, b"MPF\0" + NAME),
    "JFIF's thumbnail": lambda: jpeg()[:2] + segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\7" + NAME + b"xx") + jpeg()[20:],
    "a second JFIF": lambda: early(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0" + NAME),
    "JFXX": lambda: early(0xE0, b"JFXX\0\x10" + NAME),
    "a comment": lambda: early(0xFE, NAME),
    "a reserved marker": lambda: early(0xF3, NAME),
    "JPEG-LS's marker": lambda: early(0xF8, NAME),
    "RES": lambda: early(0x02, NAME),
    "DNL": lambda: late(0xDC, b"\0\x28" + NAME),
    "DNL behind the scan": lambda: jpeg()[:-2] + segment(0xDC, b"\0\x28" + NAME) + EOI,
    "arithmetic conditions": lambda: late(0xCC, NAME[:18]),
    "an unused quantization table": lambda: early(0xDB, TABLE),
    "a table that is defined again": lambda: early(0xDB, bytes([0]) + TABLE[1:]),
    "an unused Huffman table": lambda: late(0xC4, CODES),
    "a restart interval with a tail": lambda: late(0xDD, b"\0\0" + NAME),
    "after the scan": lambda: jpeg()[:-2] + NAME + EOI,
    "after the scan, three bytes": lambda: jpeg()[:-2] + NAME[:3] + EOI,
    "after the scan, one byte": lambda: jpeg()[:-2] + b"J" + EOI,
    "after each scan": lambda: after_each_scan(jpeg(progressive=True)),
    "a segment behind the scan": lambda: jpeg()[:-2] + segment(0xE9, NAME) + EOI,
    "after the end": lambda: jpeg() + NAME,
    "after the end, as a JPEG": lambda: jpeg() + jpeg() + segment(0xFE, NAME),
}  # fmt: skip


@pytest.mark.parametrize("probe", PROBES)
def test_no_name_stays_in_a_jpeg(tmp_path: object, probe: str) -> None:
    """Nor four letters of it; its pixels are what they were."""
    data = PROBES[probe]()
    clean = cleaned(data, tmp_path)
    assert not [part for part in parts_of(NAME) if part in clean and part not in jpeg()]
    before = jpeg(progressive=True) if "each scan" in probe else jpeg()
    assert pixels(clean) == pixels(before)
    if "one byte" in probe or "three bytes" in probe or "scan" in probe:
        assert len(clean) <= len(before)


def parts_of(name: bytes) -> list[bytes]:
    return [name[at : at + 4] for at in range(len(name) - 3)]


def words_for_codes(data: bytes) -> bytes:
    """A name in place of the rarest symbols of the picture's own Huffman table: no code of the scan means it."""
    at = data.index(b"\xff\xc4\0\xb5\x10") + 5
    return data[: at + 16 + 158] + NAME[:4] + data[at + 16 + 162 :]


@pytest.mark.parametrize(
    "make_probe", [lambda: words_for_codes(jpeg()), lambda: jpeg()[:-2] + b"\0" * 9 + EOI]
)
def test_what_cannot_be_told_from_the_picture_is_drawn_anew(
    tmp_path: object, make_probe: Callable[[], bytes]
) -> None:
    """Or cut off, where libjpeg tells; it is still the same picture."""
    clean = cleaned(make_probe(), tmp_path)
    assert NAME[:4] not in clean
    assert opened(clean).size == photograph().size


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"optimize": True}]
)
def test_clean_scans_stay_as_they_are(tmp_path: object, mode: str, options: dict[str, object]) -> None:
    """Byte by byte: nothing is taken for a tail that is none."""
    data = jpeg(mode, **options)
    assert cleaned(data, tmp_path)[-len(data) // 2 :] == data[-len(data) // 2 :]


# ------------------------------------------------------------------ PNG


def beside(kind: bytes, content: bytes, mode: str = "RGB") -> bytes:
    """A PNG with one more chunk behind its header."""
    data = png(mode)
    return data[:33] + chunk(kind, content) + data[33:]


def with_data(change: Callable[[bytes], bytes], mode: str = "RGB") -> bytes:
    """A PNG whose image data are changed."""
    data, at = png(mode), png(mode).index(b"IDAT") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    return data[:at] + chunk(b"IDAT", change(data[at + 8 : at + 8 + size])) + data[at + 12 + size :]


def more_colors() -> bytes:
    data = png("P")
    at = data.index(b"PLTE") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    whole = (data[at + 8 : at + 8 + size] + NAME + NAME)[: (size + 2 * len(NAME)) // 3 * 3]
    return data[:at] + chunk(b"PLTE", whole) + data[at + 12 + size :]


PNG_PROBES: dict[str, Callable[[], bytes]] = {
    "tEXt": lambda: beside(b"tEXt", b"Author\0" + NAME),
    "zTXt": lambda: beside(b"zTXt", b"Author\0\0" + zlib.compress(NAME)),
    "iTXt": lambda: beside(b"iTXt", b"Author\0\0\0\0\0" + NAME),
    "eXIf": lambda: beside(b"eXIf", b"MM\0*" + NAME),
    "tIME with a tail": lambda: beside(b"tIME", bytes(7) + NAME),
    "the profile's name": lambda: beside(b"iCCP", NAME + b"\0\0" + zlib.compress(PROFILE)),
    "the profile's texts": lambda: beside(b"iCCP", b"x\0\0" + zlib.compress(named_profile() + NAME)),
    "no profile": lambda: beside(b"iCCP", b"x\0\0" + zlib.compress(NAME * 9)),
    "the profile's stream's tail": lambda: beside(b"iCCP", b"x\0\0" + zlib.compress(PROFILE) + NAME),
    "a suggested palette": lambda: beside(b"sPLT", NAME + b"\0\x08" + bytes(6)),
    "a background with a tail": lambda: beside(b"bKGD", bytes(6) + NAME),
    "a background that is a name": lambda: beside(b"bKGD", NAME[:6]),
    "gamma": lambda: beside(b"gAMA", NAME[:4]),
    "chromaticities": lambda: beside(b"cHRM", (NAME * 2)[:32]),
    "density": lambda: beside(b"pHYs", NAME[:8] + b"\1"),
    "sRGB with a tail": lambda: beside(b"sRGB", b"\0" + NAME),
    "mastering display": lambda: beside(b"mDCV", (NAME * 2)[:24]),
    "transparency": lambda: beside(b"tRNS", NAME[:6]),
    "a palette nobody needs": lambda: beside(b"PLTE", NAME[:18]),
    "a histogram": lambda: beside(b"hIST", NAME[:18]),
    "a private chunk": lambda: beside(b"naMe", NAME),
    "an animation": lambda: beside(b"fdAT", bytes(4) + NAME),
    "unused colors": more_colors,
    "behind the data's stream": lambda: with_data(lambda data: data + NAME),
    "inside the data's stream": lambda: with_data(lambda data: zlib.compress(zlib.decompress(data) + NAME)),
    "another IDAT": lambda: png().replace(chunk(b"IEND", b""), chunk(b"IDAT", NAME) + chunk(b"IEND", b"")),
    "in IEND": lambda: png().replace(chunk(b"IEND", b""), chunk(b"IEND", NAME)),
    "after the end": lambda: png() + NAME,
}  # fmt: skip


def inflated(data: bytes) -> bytes:
    """The file, and all that is packed in it."""
    found = [data]
    for place in re.finditer(rb"x[\x01\x5e\x9c\xda]", data):
        try:
            found.append(zlib.decompressobj().decompress(data[place.start() :]))
        except zlib.error:
            continue
    parts = [data[at + 4 : at + 4 + size] for at, size in idats(data)]
    return b"".join([*found, zlib.decompress(b"".join(parts))])


def idats(data: bytes) -> list[tuple[int, int]]:
    places = [found.start() for found in re.finditer(b"IDAT", data)]
    return [(at, int.from_bytes(data[at - 4 : at], "big")) for at in places]


@pytest.mark.parametrize("probe", PNG_PROBES)
def test_no_name_stays_in_a_png(tmp_path: object, probe: str) -> None:
    """Packed or not; its pixels are what they were."""
    data = PNG_PROBES[probe]()
    assert any(part in inflated(data) for part in parts_of(NAME))
    clean = cleaned(data, tmp_path)
    assert not [part for part in parts_of(NAME) if part in inflated(clean)]
    mode = "P" if "unused" in probe else "RGB"
    assert opened(clean).convert("RGB").tobytes() == opened(png(mode)).convert("RGB").tobytes()


def test_a_chunk_without_which_there_is_no_picture_is_refused(tmp_path: object) -> None:
    """Nobody knows what it says."""
    with pytest.raises(IntegrityError, match="it needs a chunk that is not known: NAMe"):
        cleaned(beside(b"NAMe", NAME), tmp_path)


@pytest.mark.parametrize("cut", [-30, -100])
def test_image_data_that_are_cut_are_told(tmp_path: object, cut: int) -> None:
    """A cut stream's end is not known, so neither is what stands behind it."""
    with pytest.raises(IntegrityError, match="broken"):
        cleaned(with_data(lambda data: data[:cut]), tmp_path)


def test_what_decides_colors_stays(tmp_path: object) -> None:
    """Gamma, chromaticities, density, intent, transparency: with numbers that mean something."""
    facts = {
        b"gAMA": struct.pack(">I", 45455),
        b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
        b"sRGB": b"\0",
        b"sBIT": b"\x08\x08\x08",
        b"pHYs": struct.pack(">IIB", 2835, 2835, 1),
        b"bKGD": struct.pack(">3H", 255, 0, 12),
        b"tRNS": struct.pack(">3H", 1, 2, 3),
    }
    data = png()[:33] + b"".join(chunk(*fact) for fact in facts.items()) + png()[33:]
    assert cleaned(data, tmp_path) == data


# ------------------------------------------------------------------ profiles


def test_a_profile_gives_the_same_colors() -> None:
    """Its numbers are the same ones; its texts are ours; a second time changes nothing."""
    from PIL import ImageCms

    made = rebuild_profile(PROFILE)
    assert made is not None
    assert rebuild_profile(made) == made
    lab = ImageCms.createProfile("LAB")
    seen = {
        ImageCms.applyTransform(
            photograph(),
            ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(one)), lab, "RGB", "LAB"),
        ).tobytes()
        for one in (PROFILE, made)
    }
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("place", "what"),
    [(16, b"CMYK"), (16, b"Lab "), (20, b"Lab "), (8, b"\x05"), (12, b"link"), (128, b"\xff" * 4)],
)
def test_a_profile_that_is_not_of_curves_is_not_kept(place: int, what: bytes) -> None:
    """Tables of colors, links and named colors could hold anything."""
    assert rebuild_profile(PROFILE[:place] + what + PROFILE[place + len(what) :]) is None


# ------------------------------------------------------------------ anything, anywhere

markers = st.integers(1, 254).filter(lambda marker: marker not in (0xD8, 0xD9))
contents = st.builds(lambda a, b: a + NAME + b, st.binary(max_size=20), st.binary(max_size=20))
kinds = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=4, max_size=4).map(
    str.encode
)
places = st.integers(0, 8)


@settings(max_examples=150, deadline=None)
@given(
    added=st.lists(st.tuples(places, markers, contents), min_size=1, max_size=3), tail=st.binary(max_size=9)
)
def test_no_segment_brings_a_name_through(
    tmp_path_factory: pytest.TempPathFactory, added: list[tuple[int, int, bytes]], tail: bytes
) -> None:
    """Whatever its marker, wherever it stands: it goes, or the file is refused."""
    data = jpeg()
    for place, marker, content in added:
        bounds = [at.start() for at in re.finditer(rb"\xff[\xc0\xc4\xdb\xda\xd9\xe0]", data)]
        at = bounds[place % len(bounds)]
        data = data[:at] + segment(marker, content) + data[at:]
    try:
        clean = cleaned(data[:-2] + tail + data[-2:], tmp_path_factory.getbasetemp())
    except IntegrityError:
        return
    assert NAME not in clean
    with Image.open(io.BytesIO(clean)) as image:
        assert image.size == photograph().size


@settings(max_examples=150, deadline=None)
@given(added=st.lists(st.tuples(st.booleans(), kinds, contents), min_size=1, max_size=3))
def test_no_chunk_brings_a_name_through(
    tmp_path_factory: pytest.TempPathFactory, added: list[tuple[bool, bytes, bytes]]
) -> None:
    """Likewise."""
    data = png()
    for before, kind, content in added:
        at = 33 if before else data.rindex(b"IEND") - 4
        data = data[:at] + chunk(kind, content) + data[at:]
    try:
        clean = cleaned(data, tmp_path_factory.getbasetemp())
    except IntegrityError:
        return
    assert NAME not in inflated(clean)
    assert pixels(clean) == pixels(png())
