"""A PNG without anything but its picture. Source: PNG third edition, chapters 5 and 11.

Stay: the header, the image data up to the end of their stream, of a palette the entries that are used, and what decides
colors and the pixels' shape, each with its right length and numbers that mean something. Built anew: the orientation,
and the numbers of a color profile (kept_metadata.py). All else goes: text, time, EXIF, suggested palettes, private
chunks, the further pictures of an animation, what stands after the end. An unknown chunk without which there would be
no picture is refused.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from dermdata.export.kept_metadata import (
    NeedsRedraw,
    build_orientation_block,
    read_orientation,
    rebuild_profile,
)
from dermdata.images.decode import DECODE_ERRORS, PIXEL_LIMIT

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each kind of color
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
INDEXED_COLOR = 3
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PROFILE_BYTES = 4 << 20
INFLATE_BLOCK = 1 << 20  # bytes at once
LARGEST_NUMBER = 1 << 24  # of gamma and of pixels per metre: what is more means nothing
LARGEST_CHROMATICITY = 200_000  # two, in units of 0.00001


class PngHeader:
    """What the first chunk says of the picture."""

    def __init__(self, content: bytes) -> None:
        self.width, self.height, self.depth, self.color, method, way, self.interlaced = struct.unpack(
            ">IIBBBBB", content
        )
        known = self.depth in DEPTHS.get(self.color, ()) and not (method or way) and self.interlaced < 2
        if not known or not self.width * self.height:
            raise ValueError("its header is not right")
        if self.width * self.height > PIXEL_LIMIT:
            raise ValueError(f"{self.width} x {self.height} pixels are too many")

    @property
    def inflated_size(self) -> int:
        """How many the picture has when it is inflated, with a byte for each line's filter."""
        passes = PASSES if self.interlaced else ((0, 0, 1, 1),)
        sizes = [(-(-(self.width - x) // dx), -(-(self.height - y) // dy)) for x, y, dx, dy in passes]
        bits = CHANNELS[self.color] * self.depth
        return sum(
            (1 + -(-columns * bits // 8)) * lines for columns, lines in sizes if columns > 0 and lines > 0
        )

    def is_sample(self, values: Sequence[int]) -> bool:
        """Whether these are brightnesses of this depth, one for each color."""
        return len(values) == (1 if self.color in (0, 4) else 3) and all(
            one < 1 << self.depth for one in values
        )


def strip_png(data: bytes) -> Iterator[bytes]:
    """The parts of the file that stay, in order; ValueError for what is no PNG as its standard has it."""
    chunks = list(read_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR":
        raise ValueError("it does not begin with its header")
    header, seen = PngHeader(chunks[0][1]), set[bytes]()
    stream = cut_image_data(header, [content for kind, content in chunks if kind == b"IDAT"])
    colors = used_colors(data, header)
    yield PNG_SIGNATURE
    for kind, content in chunks:
        if kind in seen:
            continue
        if kind == b"IDAT":
            yield from (build_chunk(kind, part) for part in stream)
        elif (kept := filter_content(kind, content, header, colors)) is not None:
            yield build_chunk(kind, kept)
        else:
            continue
        seen.add(kind)


def read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk up to IEND."""
    at = len(PNG_SIGNATURE)
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        stop = at + 12 + size
        if stop > len(data):
            raise ValueError(f"the PNG chunk {kind.decode('latin-1')} at byte {at} is cut")
        content = data[at + 8 : stop - 4]
        if kind[:1].isupper() and data[stop - 4 : stop] != struct.pack(">I", zlib.crc32(kind + content)):
            raise ValueError(f"the PNG chunk {kind.decode('latin-1')} at byte {at} is damaged")
        yield kind, content
        if kind == b"IEND":
            return
        at = stop


def build_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# ------------------------------------------------------------------ picture


def cut_image_data(header: PngHeader, parts: Sequence[bytes]) -> list[bytes]:
    """The image data's parts without what follows the stream's end; NeedsRedraw where more is inside than a picture."""
    inflate, count, kept = zlib.decompressobj(), 0, list[bytes]()
    for part in parts:
        if inflate.eof:
            break
        rest = part
        while rest and not inflate.eof:
            count += len(inflate.decompress(rest, INFLATE_BLOCK))
            rest = inflate.unconsumed_tail
            if count > header.inflated_size:
                raise NeedsRedraw("its data hold more than its picture")
        kept.append(part[: len(part) - len(inflate.unused_data)])  # nothing is unused before the end
    if not inflate.eof or count != header.inflated_size:
        raise ValueError(f"its data are cut: {count:,} bytes of {header.inflated_size:,}")
    return [part for part in kept if part]


def used_colors(data: bytes, header: PngHeader) -> frozenset[int]:
    """Which entries of its palette a picture uses: others could hold anything."""
    if header.color != INDEXED_COLOR:
        return frozenset()
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return frozenset(index for index, count in enumerate(image.histogram()) if count)
    except DECODE_ERRORS as error:
        raise ValueError(str(error)) from error


# ------------------------------------------------------------------ chunks


def filter_content(kind: bytes, content: bytes, header: PngHeader, colors: frozenset[int]) -> bytes | None:
    """What stays of a chunk; None where it goes, ValueError where there is no picture without it."""
    if kind in CRITICAL:
        return CRITICAL[kind](content, header, colors)
    if kind[:1].isupper():
        raise ValueError(f"it needs a chunk that is not known: {kind.decode('latin-1')}")
    checked = ANCILLARY.get(kind)
    return checked(content, header, colors) if checked else None


ChunkCheck = Callable[[bytes, PngHeader, frozenset[int]], bytes | None]


def keep_content(content: bytes, _header: PngHeader, _colors: frozenset[int]) -> bytes | None:
    return content


def empty_content(_content: bytes, _header: PngHeader, _colors: frozenset[int]) -> bytes | None:
    return b""


def keep_palette(content: bytes, header: PngHeader, colors: frozenset[int]) -> bytes | None:
    """Of a palette that the picture uses, the entries that it uses."""
    if header.color != INDEXED_COLOR:
        return None  # only a suggestion
    return b"".join(
        content[3 * index : 3 * index + 3] if index in colors else bytes(3)
        for index in range(max(colors) + 1)
    )


def keep_transparency(content: bytes, header: PngHeader, colors: frozenset[int]) -> bytes | None:
    if header.color == INDEXED_COLOR:
        stays = content[: max(colors) + 1]
        return bytes(value if index in colors else 255 for index, value in enumerate(stays))
    return keep_samples(content, header) if header.color in (0, 2) else None


def keep_background(content: bytes, header: PngHeader, colors: frozenset[int]) -> bytes | None:
    if header.color == INDEXED_COLOR:
        return content if len(content) == 1 and content[0] <= max(colors) else None
    return keep_samples(content, header)


def keep_samples(content: bytes, header: PngHeader) -> bytes | None:
    values = struct.unpack(f">{len(content) // 2}H", content) if len(content) % 2 == 0 else ()
    return content if header.is_sample(values) else None


def keep_significant_bits(content: bytes, header: PngHeader, _colors: frozenset[int]) -> bytes | None:
    depth = 8 if header.color == INDEXED_COLOR else header.depth
    count = 3 if header.color == INDEXED_COLOR else CHANNELS[header.color]
    return content if len(content) == count and all(1 <= one <= depth for one in content) else None


def make_number_check(count: int, most: int) -> ChunkCheck:
    """So many numbers of four bytes, none above the greatest that means something."""

    def check(content: bytes, _header: PngHeader, _colors: frozenset[int]) -> bytes | None:
        right = len(content) == 4 * count and all(one <= most for one in struct.unpack(f">{count}I", content))
        return content if right else None

    return check


def make_byte_check(count: int, most: int) -> ChunkCheck:
    """So many bytes, none above the greatest that means something."""

    def check(content: bytes, _header: PngHeader, _colors: frozenset[int]) -> bytes | None:
        return content if len(content) == count and all(one <= most for one in content) else None

    return check


def keep_density(content: bytes, _header: PngHeader, _colors: frozenset[int]) -> bytes | None:
    if len(content) != 9:
        return None
    across, down, unit = struct.unpack(">IIB", content)
    return content if max(across, down) < LARGEST_NUMBER and unit < 2 else None


def keep_profile(content: bytes, _header: PngHeader, _colors: frozenset[int]) -> bytes | None:
    _, _, packed = content.partition(b"\0")
    try:
        found = rebuild_profile(zlib.decompressobj().decompress(packed[1:], PROFILE_BYTES))
    except zlib.error:
        return None
    return b"ICC\0\0" + zlib.compress(found, 9) if found else None


def keep_orientation(content: bytes, _header: PngHeader, _colors: frozenset[int]) -> bytes | None:
    turned = read_orientation(content.removeprefix(b"Exif\0\0"))
    return build_orientation_block(turned) if turned else None


CRITICAL: dict[bytes, ChunkCheck] = {b"IHDR": keep_content, b"PLTE": keep_palette, b"IEND": empty_content}
ANCILLARY: dict[bytes, ChunkCheck] = {
    b"tRNS": keep_transparency,
    b"bKGD": keep_background,
    b"sBIT": keep_significant_bits,
    b"pHYs": keep_density,
    b"iCCP": keep_profile,
    b"eXIf": keep_orientation,
    b"gAMA": make_number_check(1, LARGEST_NUMBER),
    b"cHRM": make_number_check(8, LARGEST_CHROMATICITY),
    b"sRGB": make_byte_check(1, 3),
    b"cICP": make_byte_check(4, 22),
}
