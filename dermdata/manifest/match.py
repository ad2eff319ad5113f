"""Which cached file is the image, or the mask, that a row names."""

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata.manifest.schema import EXTENSION_PATTERN, TEXT_MAP
from dermdata.markup import count_nouns
from dermdata.model import NOTHING, Content

EXTENSION = re.compile(EXTENSION_PATTERN)
NUMBERED_PROBLEMS = (  # of a decode: each image has numbers of its own
    "truncated", "header cannot be read", "cannot be decoded", "too many pixels", "too many scans", "too many bytes",
)  # fmt: skip
NAME_KINDS = 4  # of `name_variants`
NO_IMAGE = "the file of this name is not an image"


class FileNameIndex:
    """Files found by official path, by path without extension, by file name, by name without extension.

    A closer kind of name wins: "a.jpg" is the file of this very path before any "part/a.jpg". Of each name only its
    hash is kept, ascending, with the file that has it: four names of a million images would take as much again.
    """

    def __init__(self, contents: Iterable[Content]) -> None:
        self._files = sorted(contents, key=lambda one: one.path)
        names = chain.from_iterable(map(name_variants, self._files))
        hashes = np.fromiter(map(hash, names), np.int64, NAME_KINDS * len(self._files))
        self._kinds = [sort_hashes(kind) for kind in hashes.reshape(-1, NAME_KINDS).T]

    def find(self, name: str, files: Collection[str] | None = None) -> list[Content]:
        """All files of the closest kind that has any, only those out of the catalog files `files`."""
        wanted = hash(name)
        for kind, (hashes, places) in enumerate(self._kinds):
            found, at = [], bisect_left(hashes, wanted)
            while at < len(hashes) and hashes[at] == wanted:
                one = self._files[places[at]]
                if name_variants(one)[kind] == name and (files is None or one.file in files):
                    found.append(one)
                at += 1
            if found:
                return found
        return []

    def resolve_name(self, name: str, files: Collection[str] | None = None) -> list[Content]:
        """The files that a row means by this name: with another ending or none, or as the end of a path."""
        found = self.find(name, files)
        if not found and (bare := EXTENSION.sub("", name)) != name:
            found = self.find(bare, files)
        if not found and "/" in name:
            leaf = self.find(name.rpartition("/")[2], files)
            found = [one for one in leaf if is_path_end(name, normalize_name(one.official))]
        return found


def sort_hashes(hashes: NDArray[np.int64]) -> tuple["array[int]", "array[int]"]:
    """The hashes ascending, and where each one was; equal ones in their order."""
    order = np.argsort(hashes, kind="stable")
    return array("q", hashes[order].tobytes()), array("i", order.astype(np.int32).tobytes())


def is_path_end(name: str, path: str) -> bool:
    """Whether the path, or the path without its ending, ends with these folders and this file."""
    return any(one.endswith(f"/{name}") for one in (path, strip_ending(path)))


def decode_problem(content: Content | None) -> str | None:
    """Why the image cannot be decoded; None also where there is no image."""
    return content.image.problem if content and content.image else None


def summarize_problem(problem: str) -> str:
    """A problem without what is true of this one image only, so that images can be counted by it."""
    kind, _, _ = problem.partition(":")
    return kind if kind in NUMBERED_PROBLEMS else problem


def is_one_file(found: Sequence[Content]) -> bool:
    """Whether it is one file, or copies of one."""
    return len({one.sha256 for one in found}) == 1


class ImageIndex:
    """The cached images and masks, and which images a row has claimed."""

    def __init__(self, contents: Sequence[Content], lost: Mapping[str, str] = NOTHING) -> None:
        self.lost_reasons = lost
        ordered = sorted(contents, key=lambda one: one.path)
        pictures = [one for one in ordered if one.role == "images"]
        self.images = [one for one in pictures if one.image]
        self.names = FileNameIndex(self.images)
        self.other_names = {name for one in pictures if not one.image for name in name_variants(one)[::2]}
        self.mask_files = [one for one in ordered if one.role == "masks"]
        self.masks = FileNameIndex(self.mask_files)
        self.claimed_paths: set[str] = set()

    def find_images(
        self, wanted: Sequence[str], files: tuple[str, ...] | None, over: str | None = None
    ) -> tuple[list[Content | None], list[str | None]]:
        """For each row's image name its file, or None; and why the image is missing or cannot be decoded."""
        allowed = set(files) if files else None
        absent = f"the image is in {over}" if over else "no such image file"
        if not self.images:
            return [None] * len(wanted), [self.missing_reason(name, absent) for name in wanted]
        found: list[Content | None] = []
        problems: list[str | None] = []
        for name in wanted:
            content, problem = self.find_image(name, allowed, absent)
            found.append(content)
            problems.append(problem)
        return found, problems

    def find_image(self, name: str, files: set[str] | None, absent: str) -> tuple[Content | None, str | None]:
        found = self.names.resolve_name(name, files) if name else []
        if not found:
            return None, self.missing_reason(name, absent)
        if not is_one_file(found):
            return None, f"{count_nouns(len(found), 'different file', 'have')} this name"
        self.claimed_paths.update(one.path for one in found)
        return found[0], decode_problem(found[0])

    def missing_reason(self, name: str, absent: str) -> str:
        """Why there is no file for this name."""
        if not name:
            return "the source names no image"
        if name in self.other_names:
            return NO_IMAGE
        return self.lost_reasons.get(EXTENSION.sub("", name), absent) if self.lost_reasons else absent

    def unclaimed_images(self) -> list[str]:
        """Cached images that no row names."""
        return [content.path for content in self.images if content.path not in self.claimed_paths]

    def unclaimed_masks(self) -> list[str]:
        """Cached masks that no row has."""
        return [one.path for one in self.mask_files if one.image and one.path not in self.claimed_paths]

    def mask_columns(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, pa.Array]:
        """`mask_path` for the structure "lesion", `masks` for all others, from each row's mask names."""
        columns = {}
        if "lesion" in wanted:
            columns["mask_path"] = pa.array([self.mask_path(name) for name in wanted["lesion"]], pa.string())
        others = {structure: names for structure, names in wanted.items() if structure != "lesion"}
        if others:
            rows = [self.mask_pairs(others, names) or None for names in zip(*others.values(), strict=True)]
            columns["masks"] = pa.array(rows, TEXT_MAP)
        return columns

    def mask_pairs(self, structures: Iterable[str], names: Sequence[str]) -> list[tuple[str, str]]:
        """One row's structures that have a mask, with its path."""
        paths = zip(structures, map(self.mask_path, names), strict=True)
        return [(structure, path) for structure, path in paths if path]

    def mask_path(self, name: str) -> str | None:
        """The mask's path, also with another ending; None where there is none, or different files have its name."""
        name = normalize_name(name)
        found = self.masks.find(name) or [one for one in self.masks.resolve_name(name) if one.image]
        if not found or not is_one_file(found):
            return None
        self.claimed_paths.update(one.path for one in found)
        return found[0].path


def normalize_name(name: str) -> str:
    """A file's name as it is compared: in NFC, with "/" where Windows has a backslash."""
    name = name.replace("\\", "/")
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def name_variants(content: Content) -> tuple[str, str, str, str]:
    """Every name by which a table may mean this file, the closest first."""
    path = normalize_name(content.official)
    leaf = path.rpartition("/")[2]
    return path, strip_ending(path), leaf, strip_ending(leaf)


def strip_ending(name: str) -> str:
    stem, _, ending = name.rpartition(".")
    return stem if stem and "/" not in ending else name
