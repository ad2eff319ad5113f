"""The compression methods of zip members: which ones are read, and what the others are called."""

import bz2
import importlib
import itertools
import lzma
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from dermdata.markup import count_nouns

STORED, DEFLATED, DEFLATE64, BZIP2, LZMA, ZSTD = 0, 8, 9, 12, 14, 93
METHOD_NAMES = {
    1: "shrunk", 2: "reduced", 3: "reduced", 4: "reduced", 5: "reduced", 6: "imploded", 9: "deflate64",
    10: "PKWARE imploded", 16: "CMPSC", 18: "TERSE", 19: "LZ77", 20: "zstd (old number)", 93: "zstd",
    94: "MP3", 95: "xz", 96: "JPEG", 97: "WavPack", 98: "PPMd",
}  # fmt: skip
FEED_BYTES, OUTPUT_BYTES = 256 << 10, 1 << 20  # bytes given to and asked of a decompressor at a time
LZMA_DICTIONARY_LIMIT = 64 << 20  # LZMA's, at most: it is memory
# in the standard library from Python 3.14 on
_zstd: Any = importlib.import_module("compression.zstd") if find_spec("compression") else None


class CorruptData(Exception):
    """The compressed bytes make no sense; the caller knows which member they are of."""


def unsupported_reason(method: int) -> str | None:
    """Why a method cannot be read, by number and name; None when it can."""
    if method in (STORED, DEFLATED, BZIP2, LZMA) or (method == ZSTD and _zstd):
        return None
    return f"is compressed by method {method} ({METHOD_NAMES.get(method, 'unknown')}), which is not supported"


def unpack_hint(method: int) -> str:
    """What a person can do about an archive of such members."""
    writer = "Windows Explorer writes such archives above 2 GB; " if method == DEFLATE64 else ""
    return (
        f"{writer}unpack it with the program that made it or with 7-Zip, and give the folder: --from FOLDER"
    )


def inflate(method: int, stored: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Inflate in chunks and stop after `size` + 1 bytes, so that the caller sees what is too much."""
    if method == STORED:
        return stored
    if method == DEFLATED:
        return _inflate_deflate(stored, size)
    if method == LZMA:
        return _inflate_lzma(stored, size)
    return _inflate_to_end(
        bz2.BZ2Decompressor() if method == BZIP2 else _zstd.ZstdDecompressor(), stored, size
    )


def _decompress_step(machine: Any, data: bytes, room: int) -> bytes:
    """At most `room` bytes more; only the decompressor's own errors mean damage, not the reader's."""
    try:
        out: bytes = machine.decompress(data, room)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise CorruptData(str(error)) from error
    return out


def _slice_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if len(piece) <= FEED_BYTES:
            yield piece
        else:
            yield from (piece[at : at + FEED_BYTES] for at in range(0, len(piece), FEED_BYTES))


def _inflate_deflate(stored: Iterator[bytes], size: int) -> Iterator[bytes]:
    machine, left = zlib.decompressobj(-15), size + 1
    for data in _slice_pieces(stored):
        if machine.eof:
            raise CorruptData("bytes follow the end of its compressed data")
        while left:
            room = min(left, OUTPUT_BYTES)
            out = _decompress_step(machine, data, room)
            left -= len(out)
            yield out
            data = machine.unconsumed_tail
            if len(out) < room:
                break
    _require_end(machine, left)


def _inflate_to_end(machine: Any, stored: Iterator[bytes], size: int) -> Iterator[bytes]:
    yield from _pull_output(machine, stored, size)
    _require_end(machine, 1)


def _pull_output(machine: Any, stored: Iterator[bytes], size: int) -> Iterator[bytes]:
    left = size + 1
    for data in _slice_pieces(stored):
        if machine.eof:
            raise CorruptData("bytes follow the end of its compressed data")
        while left and not machine.eof:
            room = min(left, OUTPUT_BYTES)
            out = _decompress_step(machine, data, room)
            left -= len(out)
            yield out
            data = b""  # the machine keeps what it has not used
            if len(out) < room and machine.needs_input:
                break


def _require_end(machine: Any, left: int) -> None:
    if left and not machine.eof:
        raise CorruptData("its compressed data ends too early")
    if machine.unused_data:
        raise CorruptData("bytes follow the end of its compressed data")


def _inflate_lzma(stored: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Raw LZMA after zip's own header: version, length of the properties, properties."""
    first = next(stored, b"")
    if first[2:4] != b"\5\0" or len(first) < 9 or first[4] >= 225:
        raise CorruptData("its LZMA header is not known")
    dictionary = int.from_bytes(first[5:9], "little")
    if dictionary > LZMA_DICTIONARY_LIMIT:
        raise CorruptData(
            f"its LZMA dictionary of {count_nouns(dictionary, 'byte')} is over {LZMA_DICTIONARY_LIMIT:,}"
        )
    settings = {"lc": first[4] % 9, "lp": first[4] // 9 % 5, "pb": first[4] // 45}
    chain = [{"id": lzma.FILTER_LZMA1, "dict_size": max(dictionary, 4096), **settings}]
    machine = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=chain)
    # no end mark needed: size and CRC decide
    yield from _pull_output(machine, itertools.chain([first[9:]], stored), size)
