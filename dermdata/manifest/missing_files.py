"""The image files that rows name and that are nowhere: counted, named, and what may help.

All files of ten million rows may be missing, so of each only a digest is held.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dermdata.errors import ImagesMissing
from dermdata.markup import count_nouns

NAMED = 3  # files, and datasets, that are named
LONGEST_PATH = 100  # characters that are shown
DIGEST_BYTES = 16  # no two files tie


class MissingFiles:
    """The files that rows name and that are in none of the places where they may be."""

    def __init__(self) -> None:
        self.datasets: set[str] = set()  # of the rows that name them
        self.caches: set[str] = set()  # that the paths lead into
        self.first: list[tuple[str, str]] = []  # row and path of those that are named
        self._digests = bytearray()  # of row and path, one after the other; some more than once

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __len__(self) -> int:
        if not self:
            return 0
        whole = np.frombuffer(self._digests, f"S{DIGEST_BYTES}")
        starts = np.frombuffer(self._digests, np.uint64)[:: DIGEST_BYTES // 8]
        if len(np.unique(starts)) == len(starts):  # no two are the same: ten times as fast
            return len(whole)
        return len(np.unique(whole))

    def add(self, row: str, dataset: str | None, paths: Iterable[str]) -> None:
        """Count files of one row; the same ones again count once."""
        for path in paths:
            if len(self.first) < NAMED and (row, path) not in self.first:
                self.first.append((row, path))
            name = f"{len(row)} {row}{path}".encode(errors="surrogatepass")
            self._digests += hashlib.blake2b(name, digest_size=DIGEST_BYTES).digest()
            self.datasets.add(dataset or "")
            if dataset and (cache := find_cache(path, dataset)):
                self.caches.add(cache)

    def describe(self) -> str:
        """How many there are, and the first ones by name."""
        count = len(self)
        shown = ", ".join(f"{row} ({shorten_path(path)})" for row, path in self.first)
        more = ", …" if count > NAMED else ""
        files = (
            "1 image file that a row names is"
            if count == 1
            else f"{count_nouns(count, 'image file')} that rows name are"
        )
        return f"{files} not found: {shown}{more}"

    def require_none(self, caches: Sequence[str], *, allowed: bool = False) -> None:
        """ImagesMissing, with the caches in which they were looked for and what may help; not where it is `allowed`."""
        if self and not allowed:
            raise ImagesMissing(self.describe(), hint=self.suggest_help(caches))

    def suggest_help(self, caches: Sequence[str]) -> str:
        """Where they were looked for, and what may help."""
        names = sorted(filter(None, self.datasets))
        there = sorted(one for one in self.caches - {*caches} if Path(one, "datasets").is_dir())
        places = " and ".join([*caches, "beside the manifest"])
        ways = [f"`--cache {os.pathsep.join([*caches, *there])}` looks there too"] if there else []
        ways += [f"`dermdata fetch {' '.join(names[:NAMED])}` fetches what is missing"] if names else []
        return "; ".join([f"looked for in {places}", *ways, "`--allow-missing` does without them"])


def shorten_path(path: str) -> str:
    """The end of a long path: its name tells more than where it starts."""
    return path if len(path) <= LONGEST_PATH else f"…{path[-LONGEST_PATH:]}"


def find_cache(path: str, dataset: str) -> str | None:
    """The cache, of this machine or another, that an absolute path leads into."""
    return path.rpartition(f"/datasets/{dataset}/")[0] if split_cache_path(path, dataset) else None


def split_cache_path(path: str, dataset: str | None) -> tuple[str, str] | None:
    """The version, and the path from the dataset's folder, of a path into some machine's cache; None for others."""
    _, found, inside = path.rpartition(f"/datasets/{dataset}/")
    version, slash, rest = inside.partition("/")
    if not (dataset and found and slash) or ".." in rest.split("/"):
        return None
    return version, rest
