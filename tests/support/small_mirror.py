"""Builds a mirror whose pictures cost little; run by `support.mirror`, as mkmirror takes its time to draw lesions.

small_mirror.py TOOL WAY -- WORDS… [serve WORDS…]: TOOL is mkmirror.py, WORDS are its own, to build and then to serve, in
one process that imports all of it once. By WAY a picture is

- drawn: as mkmirror does it;
- noise: a few random pixels, the same for the same shot, alike to no other;
- names: one pixel, the same for all; and of limited rows every so-manyeth is taken, not the first ones: a sample;
- none: neither drawn nor packed, for those who fetch the tables alone. Every count is that of the whole.
"""

import argparse
import hashlib
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

TOOL = Path(sys.argv[1])
sys.path.insert(0, str(TOOL.parent))

import mirror_core  # noqa: E402
import mkmirror  # noqa: E402

PILLOW = mirror_core.encode
COLORS = {"L": 0, "RGB": 2}  # as PNG numbers them


def encode_quickly(picture: Image.Image, kind: str) -> bytes:
    """A sound file of the kind: pictures of a few pixels cost Pillow ten times what their bytes take."""
    if kind == "JPEG" and picture.mode == "RGB":
        return simplejpeg.encode_jpeg(np.asarray(picture), 85, "RGB", "420")
    if kind != "PNG" or picture.mode not in COLORS:
        return PILLOW(picture, kind)
    width, height = picture.size
    data, row = picture.tobytes(), width * len(picture.getbands())
    lines = b"".join(b"\0" + data[start : start + row] for start in range(0, len(data), row))
    packed = b"\x78\x01" + deflate(lines) + struct.pack(">I", zlib.adler32(lines))
    header = struct.pack(">2I5B", width, height, 8, COLORS[picture.mode], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )


def deflate(data: bytes) -> bytes:
    """Of noise that is as long as before: one block as it is, for which no compressor has to be made ready."""
    if len(data) > 1 << 12:
        packing = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        return packing.compress(data) + packing.flush()
    return struct.pack("<BHH", 1, len(data), len(data) ^ 0xFFFF) + data


class QuickArchive(mirror_core.Archive):
    """The members that zipfile would write, each at once: it goes back to each header, to fill in what it found."""

    def _put(self, name: str, data: bytes) -> None:
        self.write(mirror_core.zip_info(name, self._method), data)
        if self._macosx:
            folder, _, leaf = name.rstrip("/").rpartition("/")
            shadow = "/".join(filter(None, ("__MACOSX", folder, f"._{leaf}")))
            self.write(mirror_core.zip_info(shadow, self._method), self.APPLE_DOUBLE)

    def write(self, info: zipfile.ZipInfo, data: bytes) -> None:
        archive = self._zip
        packed = data
        if info.compress_type == zipfile.ZIP_DEFLATED:
            packed = deflate(data)
        info.CRC, info.file_size, info.compress_size = zlib.crc32(data), len(data), len(packed)
        info.header_offset = archive.start_dir
        archive.fp.write(info.FileHeader(zip64=False) + packed)
        archive.filelist.append(info)
        archive.NameToInfo[info.filename] = info
        archive.start_dir = archive.fp.tell()
        archive._didModify = True


class NoiseStudio(mirror_core.Studio):
    """Pictures and masks of noise."""

    def noise(self, shot: Any, planes: int) -> bytes:
        width, height = self.size
        return hashlib.shake_128(f"{self.seed}/{shot}".encode()).digest(width * height * planes)

    def _image(self, shot: Any, kind: str = "JPEG", scale: float = 1.0) -> bytes:
        picture = Image.frombytes("RGB", self.size, self.noise(shot, 3))
        if scale != 1.0:
            picture = picture.resize((round(self.size[0] * scale), round(self.size[1] * scale)))
        return mirror_core.encode(picture, kind)

    def edge(self, shot: Any) -> Any:
        width, height = self.size
        return np.frombuffer(self.noise(shot, 1), np.uint8).reshape(height, width) - 127.5


class NoStudio(NoiseStudio):
    """No picture at all."""

    def _image(self, *_: Any, **__: Any) -> bytes:
        return b""

    mask = part = superpixels = features = _image


class PixelStudio(NoiseStudio):
    """One pixel for all."""

    PIXEL = mirror_core.encode(Image.new("RGB", (1, 1)), "JPEG")

    def _image(self, *_: Any, **__: Any) -> bytes:
        return self.PIXEL

    mask = part = superpixels = features = _image


def take_sample(rows: Sequence[Any], most: int | None) -> list[Any]:
    """As many rows as are wanted, evenly out of all: tables of the same rows give the same ones."""
    return list(rows[:: -(-len(rows) // most)] if most and rows else rows)


class SampleMirror(mirror_core.Mirror):
    """Takes a sample of each table."""

    def take(self, rows: Sequence[Any]) -> list[Any]:
        return take_sample(rows, self.rows)


class SampleShelf(mirror_core.Shelf):
    """Copies a sample of each table."""

    def copy(self, source: str, path: str, role: str, url: str | None, cut: bool = True, **host: Any) -> None:
        head, *lines = (self.mirror.data / source).read_bytes().splitlines(keepends=True)
        rows = take_sample(lines, self.mirror.rows if cut else None)
        self.add(path, head + b"".join(rows), role, url, **host)


class NoArchive(mirror_core.Archive):
    """Stays empty."""

    def add(self, name: str, data: bytes) -> None:
        pass


class TableShelf(mirror_core.Shelf):
    """Keeps tables only; of pictures their names."""

    def add(self, path: str, data: bytes, role: str, url: str | None, **host: Any) -> None:
        if data:
            super().add(path, data, role, url, **host)
            return
        entry = {"name": path, "size": 1, "sha256": "0" * 64, "md5": "0" * 32, "role": role, "url": url}
        self.files.append(entry | {"images": int(role == "images")} | ({"host": host} if host else {}))

    @contextmanager
    def zip(self, path: str, role: str, *more: Any, **options: Any) -> Iterator[Any]:
        mirror_core.Archive = NoArchive if role in ("images", "masks") else QuickArchive
        with super().zip(path, role, *more, **options) as archive:
            yield archive


def main(way: str, words: list[str]) -> None:
    if way != "drawn":
        mirror_core.encode, mirror_core.Archive = encode_quickly, QuickArchive
        mkmirror.Studio = {"noise": NoiseStudio, "names": PixelStudio, "none": NoStudio}[way]
    if way == "none":
        mkmirror.Shelf = TableShelf
    if way == "names":
        mkmirror.Mirror, mkmirror.Shelf = SampleMirror, SampleShelf
    end = words.index("serve") if "serve" in words else len(words)
    arguments: argparse.Namespace = mkmirror.arguments().parse_args(words[:end])
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        mkmirror.build(arguments)
        mkmirror.overlay([str(arguments.out)])
    if served := words[end:]:
        mkmirror.main(served)


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[4:])
