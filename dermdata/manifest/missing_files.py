"""The image files that rows name and that are nowhere: counted, named, and what may help."""

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermdata.errors import ImagesMissing
from dermdata.markup import count_nouns

NAMED = 3  # files, and datasets, that are named
LONGEST_PATH = 100  # characters that are shown


@dataclass
class MissingFiles:
    """The files that rows name and that are in none of the places where they may be."""

    datasets: dict[tuple[str, str], str] = field(default_factory=dict)  # by row and path
    caches: set[str] = field(default_factory=set)  # that the paths lead into

    def __len__(self) -> int:
        return len(self.datasets)

    def add(self, row: str, dataset: str | None, paths: Iterable[str]) -> None:
        """Count files of one row; the same ones again count once."""
        for path in paths:
            self.datasets[row, path] = dataset or ""
            if dataset and (cache := find_cache(path, dataset)):
                self.caches.add(cache)

    def describe(self) -> str:
        """How many there are, and the first ones by name."""
        first = itertools.islice(self.datasets, NAMED)
        shown = ", ".join(f"{row} ({shorten_path(path)})" for row, path in first)
        more = ", …" if len(self) > NAMED else ""
        files = (
            "1 image file that a row names is"
            if len(self) == 1
            else f"{count_nouns(len(self), 'image file')} that rows name are"
        )
        return f"{files} not found: {shown}{more}"

    def require_none(self, caches: Sequence[str], *, allowed: bool = False) -> None:
        """ImagesMissing, with the caches in which they were looked for and what may help; not where it is `allowed`."""
        if self.datasets and not allowed:
            raise ImagesMissing(self.describe(), hint=self.suggest_help(caches))

    def suggest_help(self, caches: Sequence[str]) -> str:
        """Where they were looked for, and what may help."""
        names = sorted(set(filter(None, self.datasets.values())))
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
