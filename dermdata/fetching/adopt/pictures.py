"""Which given files are the images and masks that the entry's tables name, in whatever layout they lie."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.fetching.adopt.given import Found, Given
from dermdata.fetching.adopt.values import Conflict, Piece, content_of
from dermdata.fetching.ingest import is_image, role_of, stem
from dermdata.manifest.harmonize import without_extension
from dermdata.manifest.match import EXTENSION, Names
from dermdata.model import Content, File, Role, Table

FIELD = re.compile(r"\{([^{}]+)\}")


class Pictures:
    """The given image files, found as the manifest finds cached ones; empty files are none."""

    def __init__(self, given: Given, found: Iterable[Found]) -> None:
        self.given = given
        self.found = {one.shown: one for one in found if one.size and is_image(one.leaf)}
        self._names = Names(content_of(one, "", one.name, "images") for one in self.found.values())

    def meant(self, name: str) -> list[Found]:
        """The files meant by a name, one of each kind of bytes."""
        return [self.found[one.sha256] for one in self._names.meant(name)]

    def count(self, names: Collection[str]) -> int:
        """How many of these names were given."""
        return sum(bool(self._names.meant(name)) for name in set(names))


@dataclass
class Harvest:
    """Pieces by the archive they stand for, and what could not be settled."""

    given: Given
    pieces: dict[str, dict[str, Piece]] = field(
        default_factory=dict
    )  # catalog file -> official path -> piece
    conflicts: dict[str, Conflict] = field(default_factory=dict)
    used: set[Found] = field(default_factory=set)
    missing: dict[str, None] = field(default_factory=dict)  # image names, in the tables' order
    touched: set[str] = field(default_factory=set)  # archives that something may be missing from

    def settle(self, name: str, found: Sequence[Found], holders: Sequence[File], role: Role) -> bool:
        """Take the one file of this name for its archive; several with different bytes are a conflict."""
        self.used.update(found)
        distinct = self.given.distinct(found)
        if len(distinct) != 1:
            if distinct:
                self.conflicts[name] = Conflict(name=name, found=tuple(distinct))
            return False
        official = f"{EXTENSION.sub('', name)}{ending(distinct[0])}"
        self.put(home_of(distinct[0], holders), Piece(found=distinct[0], official=official, role=role))
        return True

    def put(self, file: File, piece: Piece) -> None:
        self.pieces.setdefault(file.name, {}).setdefault(piece.official, piece)
        self.used.add(piece.found)

    def miss(self, name: str, holders: Sequence[File]) -> None:
        self.missing[name] = None
        self.touched.update(holder.name for holder in holders)

    def contents(self) -> list[Content]:
        return [piece.content(file) for file, pieces in self.pieces.items() for piece in pieces.values()]


def ending(found: Found) -> str:
    name = EXTENSION.search(found.leaf)
    return name[0] if name else ""


def home_of(found: Found, holders: Sequence[File]) -> File:
    """The archive that the file stands for: one that a folder above is named after, else the first."""
    above = {part.casefold() for part in found.name.split("/")[:-1]}
    return next((one for one in holders if stem(one.name).casefold() in above), holders[0])


# ------------------------------------------------------------------ images


def find_images(
    spec: Table, rows: pa.Table, there: Names, pictures: Pictures, holders: Sequence[File], harvest: Harvest
) -> None:
    """A piece for each image that the rows name and that is not there already; the others are missing."""
    names = list(dict.fromkeys(filter(None, image_names(spec, rows))))
    allowed = set(spec.images) or None
    leaves = Counter(leaf(name) for name in names)
    for name in names:
        if there.meant(name, allowed):
            continue
        found = pictures.meant(name) if holders else []
        if holders and not found and leaves[leaf(name)] == 1:
            found = pictures.meant(leaf(name))  # a copy without the folders
        found = [one for one in found if role_of(one.name, holders[0]) == "images"]
        if not (found and harvest.settle(name, found, holders, "images")):
            harvest.miss(name, holders)


def leaf(name: str) -> str:
    return EXTENSION.sub("", name.rpartition("/")[2])


def image_names(spec: Table, rows: pa.Table) -> list[str]:
    """Each row's image name, as the manifest will look for it."""
    columns = [rows[name].combine_chunks() for name in spec.columns.get("image") or spec.columns["image_id"]]
    names: list[str] = pc.binary_join_element_wise(*columns, "/").to_pylist()
    return names


# ------------------------------------------------------------------ masks


def find_masks(
    spec: Table, rows: pa.Table, there: Names, pictures: Pictures, holders: Sequence[File], harvest: Harvest
) -> int:
    """A piece for each mask of the rows' images that was given; how many were not."""
    lost = 0
    for template in spec.masks.values():
        for name in filled(template, spec, rows):
            if there.meant(name):
                continue
            found = [one for one in pictures.meant(name) if one not in harvest.used]
            lost += not (found and harvest.settle(name, found, holders, "masks"))
    return lost


def filled(template: str, spec: Table, rows: pa.Table) -> list[str]:
    """The mask's file name for each row: {image_id} and columns filled in, without image endings."""
    ids = spec.columns.get("image_id") or spec.columns["image"]
    columns = {
        name: without_extension(rows[ids[0] if name == "image_id" else name].combine_chunks()).to_pylist()
        for name in FIELD.findall(template)
    }
    return [
        FIELD.sub(lambda match, row=row: columns[match[1]][row], template)  # type: ignore[misc]
        for row in range(rows.num_rows)
    ]
