"""Thumbnails are the small JPEGs inside a page: this module decides which ones, and how many there is room for."""

import base64
import hashlib
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dermdata.images.thumbnails import make_thumbnail

ReadImage = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, or why there is none."""

    uri: str | None
    why: str = ""


@dataclass
class ThumbnailBudget:
    """Makes pictures as long as the page has room for them."""

    look: ReadImage
    room: int  # characters
    left_out: int = 0

    def make(self, key: str) -> Thumbnail:
        """The picture of a row."""
        if self.room <= 0:
            self.left_out += 1
            return Thumbnail(None, "left out, to keep this page small")
        data = self.look(key)
        if data is None:
            return Thumbnail(None, "no image file")
        small = make_thumbnail(data)
        if isinstance(small, str):
            return Thumbnail(None, small)
        uri = f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"
        self.room -= len(uri)
        return Thumbnail(uri)


def sample_keys(keys: Iterable[str], most: int) -> list[str]:
    """Always the same ones of the same keys, and near the same ones of nearly the same: the lowest hashes."""
    return heapq.nsmallest(most, keys, key=lambda key: hashlib.sha256(key.encode()).digest())
