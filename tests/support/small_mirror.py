"""Builds a mirror whose pictures cost little; run by `support.mirror`, as mkmirror takes its time to draw lesions.

small_mirror.py TOOL WAY -- WORDS…: TOOL is mkmirror.py, WORDS are its own. By WAY a picture is

- drawn: as mkmirror does it;
- noise: a few random pixels, the same for the same shot, alike to no other;
- names: one pixel, the same for all; and of limited rows every so-manyeth is taken, not the first ones: a sample;
- none: neither drawn nor packed, for those who fetch the tables alone. Every count is that of the whole.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TOOL = Path(sys.argv[1])
sys.path.insert(0, str(TOOL.parent))

import mirror_core  # noqa: E402
import mkmirror  # noqa: E402

ARCHIVE = mirror_core.Archive


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
        mirror_core.Archive = NoArchive if role in ("images", "masks") else ARCHIVE
        with super().zip(path, role, *more, **options) as archive:
            yield archive


def main(way: str, words: list[str]) -> None:
    if way != "drawn":
        mkmirror.Studio = {"noise": NoiseStudio, "names": PixelStudio, "none": NoStudio}[way]
    if way == "none":
        mkmirror.Shelf = TableShelf
    if way == "names":
        mkmirror.Mirror, mkmirror.Shelf = SampleMirror, SampleShelf
    arguments: argparse.Namespace = mkmirror.arguments().parse_args(words)
    mkmirror.build(arguments)
    mkmirror.overlay([str(arguments.out)])


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[4:])
