"""Matches local files to a catalog entry: whole files by checksum or name, images by name or path.

Where the folders say what tables say elsewhere, a file belongs to the entry whose pattern its path ends in.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.cache import RecognizedBy
from dermdata.crosswalks import Crosswalk
from dermdata.fetching.ingest import member_role, unpacked_name
from dermdata.fetching.local.files import (
    ArchivePiece,
    LocalFile,
    LocalFiles,
    LocalProblem,
    NameConflict,
    explain_unread,
    is_image_file,
    normalize_name,
    placeholder_content,
    tar_kind,
)
from dermdata.fetching.local.tables import TableFile, TableMatcher, fold_leaf
from dermdata.manifest.convert import strip_extension
from dermdata.manifest.match import EXTENSION, FileNameIndex, strip_ending
from dermdata.model import IMAGE_TABLES, Content, Dataset, File, Role, TableSpec
from dermdata.readers.raw_table import ANY_FOLDERS, compile_pattern
from dermdata.readers.typed_cells import clean_names

WholeFiles = dict[str, tuple[LocalFile, RecognizedBy]]  # by catalog file
SPLIT_NAMES = frozenset({"train", "val", "test"})
TEMPLATE_FIELD = re.compile(r"\{([^{}]+)\}")


class FileMatcher:
    """Finds whole files, opening archives, the deeper ones last, only while something is missing."""

    def __init__(
        self, local_files: LocalFiles, dataset: Dataset, parts: Sequence[TableFile], tables: TableMatcher
    ) -> None:
        self.local_files, self.dataset, self.parts, self.tables = local_files, dataset, parts, tables
        self.wholes: WholeFiles = {}
        # of this name, but other bytes or another size
        self.mismatches: dict[str, tuple[LocalFile, ...]] = {}
        self.clashes: dict[str, tuple[LocalFile, ...]] = {}  # several with this name

    def find_files(self, files: Sequence[File]) -> None:
        """Note every file of these that was given whole."""
        steps: tuple[Callable[[], None], ...] = (
            lambda: None,
            self.local_files.open_zips,
            lambda: self.local_files.open_deeper(found for found, _ in self.wholes.values()),
        )
        for open_more in steps:
            left = [file for file in files if file.name not in self.wholes]
            if not left:
                return
            open_more()
            self.match_checksums(left)
            self.match_names([file for file in left if file.name not in self.wholes])

    def match_checksums(self, files: Iterable[File]) -> None:
        """A published size and checksum tell a file whatever its name is."""
        sized: dict[int, list[LocalFile]] = {}
        every = self.local_files.all_files()
        for found in every:
            sized.setdefault(found.size, []).append(found)
        for file in files:
            if file.checksum is None:
                continue
            ending = file.name.rpartition(".")[2].lower()
            alike = [one for one in every if one.name.lower().endswith(f".{ending}")]
            candidates = alike if file.size is None else sized.get(file.size, [])
            hit = next((one for one in candidates if self.local_files.has_checksum(one, file.checksum)), None)
            if hit:
                self.wholes[file.name] = (hit, "checksum")

    def match_names(self, files: Iterable[File]) -> None:
        """Where no checksum is published the name must do, if the file also is what it should be."""
        leaves = index_leaves(self.local_files.all_files())
        for file in files:
            if file.unpack == "folder":
                continue  # there is no such file, whatever one is called
            if named := nearest_paths(file, self.find_named(file, leaves)):
                self.match_name(file, named)

    def match_name(self, file: File, named: Sequence[LocalFile]) -> None:
        """Note what the files of a catalog file's name are to it."""
        if file.checksum or file.size not in (None, named[0].size):
            self.mismatches[file.name] = tuple(named)
            return
        fitting = self.local_files.distinct_files([one for one in named if self.fits(file, one)])
        if len(fitting) > 1 and not file.unpack and not self.tables_in(file):
            self.clashes[file.name] = tuple(fitting)
        elif len(fitting) == 1:
            self.wholes[file.name] = (fitting[0], "name")

    def find_named(self, file: File, leaves: dict[str, list[LocalFile]]) -> list[LocalFile]:
        """The files of this name in any case; of an image also with another ending."""
        leaf = fold_leaf(file.name)
        named = leaves.get(leaf, [])
        if named or file.role != "images" or file.unpack:
            return named
        return [one for one in leaves.get(strip_ending(leaf), []) if is_image_file(one)]

    def tables_in(self, file: File) -> list[TableFile]:
        return [part for part in self.parts if part.file == file.name]

    def fits(self, file: File, found: LocalFile) -> bool:
        """Whether a file of the right name holds what the entry reads from it."""
        if found.size == 0:
            return False
        if file.unpack is None:
            return self.is_file_itself(file, found) and all(
                self.tables.fits(part, found) for part in self.tables_in(file)
            )
        if is_read_whole(file, found):
            return True
        members = [one for one in self.local_files.list_members(found) if one.entry]
        names = [one.member for one in members]
        return self.holds_tables(file, names) and self.holds_images(file, members)

    def is_file_itself(self, file: File, found: LocalFile) -> bool:
        """Whether an image or a mask is one, and nothing that stands in its place, which is told."""
        stand_in = explain_unread(found) if file.role in ("images", "masks") else None
        if stand_in:
            self.local_files.problems.append(LocalProblem(found.shown, stand_in))
        return stand_in is None

    def holds_tables(self, file: File, members: Sequence[str]) -> bool:
        """Whether its tables lie where the entry reads them."""
        wanted = [normalize_name(part.member or "") for part in self.tables_in(file)]
        return all({path, path.rpartition("/")[2]} & set(members) for path in wanted)

    def holds_images(self, file: File, members: Sequence[LocalFile]) -> bool:
        """Whether paths are those that the entry's pattern cuts; without a pattern, any image does."""
        patterns = [one.pattern for one in self.dataset.table if one.pattern and file.name in one.images]
        if patterns:
            return any(
                compile_pattern(pattern)[0].fullmatch(one.member) for pattern in patterns for one in members
            )
        return file.role not in ("images", "masks") or any(map(is_image_file, members))


def index_leaves(every: Iterable[LocalFile]) -> dict[str, list[LocalFile]]:
    """Files by their own name, and by that without ending, in any case."""
    leaves: dict[str, list[LocalFile]] = {}
    for found in every:
        leaf = found.leaf.casefold()
        for key in {leaf, strip_ending(leaf)}:
            leaves.setdefault(key, []).append(found)
    return leaves


def nearest_paths(file: File, named: Sequence[LocalFile]) -> list[LocalFile]:
    """Those whose folders are the official ones furthest up: train/1.png is not test/1.png."""
    depths = [count_shared_parts(file.name, one.name) for one in named]
    return [one for one, depth in zip(named, depths, strict=True) if depth == max(depths)]


def count_shared_parts(official: str, name: str) -> int:
    """How many parts two paths share, from the end on; 0 when the file itself is named differently."""
    count = 0
    for ours, theirs in zip(normalize_name(official).split("/")[::-1], name.split("/")[::-1], strict=False):
        if ours.casefold() != theirs.casefold():
            break
        count += 1
    return count


def match_paths(
    specs: Sequence[TableSpec], found: Iterable[LocalFile], crosswalk: Crosswalk
) -> Iterator[tuple[TableSpec, str, LocalFile]]:
    """Each image with the table that has it and its official path; what fits two tables equally fits none."""
    tails = [(spec, *tail) for spec in specs for tail in pattern_tails(spec)]
    for one in found:
        if one.size and is_image_file(one) and (match := match_path(one.name, tails, crosswalk)):
            yield *match, one


def match_own_paths(
    specs: Sequence[TableSpec], found: Iterable[LocalFile]
) -> Iterator[tuple[TableSpec, str, LocalFile]]:
    """The person's own images by the first pattern that their path fits: each is one of the entry, whatever its words.

    The folders that hold all of them are left out of the official path, as far as the pattern does not name them: they
    may be called otherwise when the files are moved.
    """
    images = [one for one in found if one.size and is_image_file(one)]
    shared = count_shared_folders(images)
    patterns = [(spec, *compile_own_pattern(str(spec.pattern))) for spec in specs]
    for one in images:
        parts = one.name.split("/")
        fitting = [(spec, depth) for spec, expression, depth in patterns if expression.fullmatch(one.name)]
        for spec, depth in fitting[:1]:
            yield spec, "/".join(parts[min(shared, len(parts) - depth) :]), one


def count_shared_folders(images: Iterable[LocalFile]) -> int:
    """How many folders on top hold all of them."""
    above = zip(*(one.name.split("/")[:-1] for one in images), strict=False)
    return sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, above))


def compile_own_pattern(pattern: str) -> tuple[re.Pattern[str], int]:
    """Its expression, and how many parts of a path it names."""
    return compile_pattern(pattern)[0], pattern.removeprefix(ANY_FOLDERS).count("/") + 1


def match_path(
    name: str, tails: Sequence[tuple[TableSpec, str, list[str]]], crosswalk: Crosswalk
) -> tuple[TableSpec, str] | None:
    """The table whose pattern fits the most of a path, and the official path; None where that is not one."""
    fitting = [
        (len(below), spec, f"{above}{path}")
        for spec, above, below in tails
        if (path := match_tail(spec, below, name, crosswalk))
    ]
    deepest = max((depth for depth, _, _ in fitting), default=0)
    best = [(spec, path) for depth, spec, path in fitting if depth == deepest]
    return best[0] if len(best) == 1 else None


def pattern_tails(spec: TableSpec) -> Iterator[tuple[str, list[str]]]:
    """The pattern's parts, its fixed folders on top left away one by one: a copy may lack them."""
    parts = (spec.pattern or "").split("/")
    for start in range(len(parts)):
        yield "".join(f"{part}/" for part in parts[:start]), parts[start:]
        if "{" in parts[start]:
            return


def match_tail(spec: TableSpec, below: Sequence[str], name: str, crosswalk: Crosswalk) -> str | None:
    """The end of a path that fits; its words must be known ones, or a folder be named as in the pattern."""
    path = "/".join(name.split("/")[-len(below) :])
    expression, fields = compile_pattern("/".join(below))
    match = expression.fullmatch(path)
    if match is None:
        return None
    words = {field: match[field] for field in fields}
    known = [is_known_word(spec, ours, columns, words, crosswalk) for ours, columns in spec.columns.items()]
    anchored = any("{" not in part for part in below[:-1])
    return path if False not in known and (anchored or True in known) else None


def is_known_word(
    spec: TableSpec, ours: str, columns: Sequence[str], words: Mapping[str, str], crosswalk: Crosswalk
) -> bool | None:
    """Whether the path's word for our field is one that the entry knows; None where that cannot be said."""
    if not set(columns) <= set(words):
        return None
    word = "/".join(words[column] for column in columns)
    field = spec.label_field or "/".join(columns)
    if ours == "label_raw" and field in crosswalk.fields:
        return crosswalk.lookup(field, word) is not None
    if ours in spec.values:
        return word in spec.values[ours]
    return word in SPLIT_NAMES if ours == "split_official" else None


class LocalImages:
    """The given image files, found as the manifest finds cached ones; empty files are none."""

    def __init__(self, local_files: LocalFiles, found: Iterable[LocalFile]) -> None:
        self.local_files = local_files
        self.images = {one.shown: one for one in found if one.size and is_image_file(one)}
        self._names = FileNameIndex(
            placeholder_content(one, "", one.name, "images") for one in self.images.values()
        )

    def find_images(self, name: str) -> list[LocalFile]:
        """The files meant by a name, one of each kind of bytes."""
        return [self.images[one.sha256] for one in self._names.resolve_name(name)]

    @cached_property
    def _folded(self) -> Mapping[str, Sequence[LocalFile]]:
        """The files by their own name in any case, with and without ending."""
        return index_leaves(self.images.values())

    def find_in_any_case(self, name: str) -> list[LocalFile]:
        """The files that a name means where upper and lower case count for nothing."""
        wanted = normalize_name(name).casefold()
        leaf = wanted.rpartition("/")[2]
        found = self._folded.get(leaf) or self._folded.get(EXTENSION.sub("", leaf), ())
        if "/" not in wanted:
            return list(found)
        ends = (f"/{wanted}", f"/{EXTENSION.sub('', wanted)}")
        paths = {one: f"/{one.name.casefold()}" for one in found}
        return [
            one for one, path in paths.items() if path.endswith(ends) or strip_ending(path).endswith(ends)
        ]

    def count_present(self, names: Collection[str]) -> int:
        """How many of these names were given."""
        return sum(bool(self._names.resolve_name(name)) for name in set(names))


@dataclass
class ImageMatches:
    """Pieces by the archive they stand for, and what could not be settled."""

    local_files: LocalFiles
    # catalog file -> official path -> piece
    pieces: dict[str, dict[str, ArchivePiece]] = field(default_factory=dict)
    conflicts: dict[str, NameConflict] = field(default_factory=dict)
    used: set[LocalFile] = field(default_factory=set)
    missing: dict[str, None] = field(default_factory=dict)  # image names, in the tables' order
    incomplete_archives: set[str] = field(default_factory=set)  # archives that something may be missing from

    def assign(self, name: str, found: Sequence[LocalFile], holders: Sequence[File], role: Role) -> bool:
        """Take the one file of this name for its archive; several with different bytes are a conflict."""
        self.used.update(found)
        distinct = self.local_files.distinct_files(found)
        if len(distinct) != 1:
            if distinct:
                self.conflicts[name] = NameConflict(name=name, found=tuple(distinct))
            return False
        official = f"{EXTENSION.sub('', name)}{image_ending(distinct[0])}"
        self.add_piece(
            choose_archive(distinct[0], holders),
            ArchivePiece(found=distinct[0], official=official, role=role),
        )
        return True

    def add_piece(self, file: File, piece: ArchivePiece) -> None:
        self.pieces.setdefault(file.name, {}).setdefault(piece.official, piece)
        self.used.add(piece.found)

    def mark_missing(self, name: str, holders: Sequence[File]) -> None:
        self.missing[name] = None
        self.incomplete_archives.update(holder.name for holder in holders)

    def contents(self) -> list[Content]:
        return [piece.to_content(file) for file, pieces in self.pieces.items() for piece in pieces.values()]


def image_ending(found: LocalFile) -> str:
    name = EXTENSION.search(found.leaf)
    return name[0] if name else ""


def choose_archive(found: LocalFile, holders: Sequence[File]) -> File:
    """The archive that the file stands for: one that a folder above is named after, else the first."""
    above = {part.casefold() for part in found.name.split("/")[:-1]}
    return next((one for one in holders if unpacked_name(one).casefold() in above), holders[0])


# ------------------------------------------------------------------ images


def match_images(
    spec: TableSpec,
    rows: pa.Table,
    there: FileNameIndex,
    pictures: LocalImages,
    holders: Sequence[File],
    matches: ImageMatches,
) -> None:
    """A piece for each image that the rows name and that is not there already; the others are missing."""
    names = list(dict.fromkeys(filter(None, image_names(spec, rows))))
    allowed = set(spec.images) or None
    leaves = Counter(image_leaf(name) for name in names)
    for name in names:
        if there.resolve_name(name, allowed):
            continue
        found = []
        if holders:
            also = image_leaf(name) if leaves[image_leaf(name)] == 1 else None  # a copy without the folders
            found = find_images(name, also, pictures, holders[0])
        if not (found and matches.assign(name, found, holders, "images")):
            matches.mark_missing(name, holders)


def find_images(name: str, also: str | None, pictures: LocalImages, holder: File) -> list[LocalFile]:
    """The given images of this name, else of the other one, that are no masks in the archive that holds them."""
    found = pictures.find_images(name)
    if not found and also:
        found = pictures.find_images(also)
    if not found:  # Windows and macOS find it so, and the cache calls it as the table does
        found = pictures.find_in_any_case(name)
    return [one for one in found if member_role(one.name, holder) == "images"]


def image_leaf(name: str) -> str:
    return EXTENSION.sub("", name.rpartition("/")[2])


def image_names(spec: TableSpec, rows: pa.Table) -> list[str]:
    """Each row's image name, as the manifest will look for it."""
    columns = [rows[name].combine_chunks() for name in spec.columns.get("image") or spec.columns["image_id"]]
    names: list[str] = clean_names(pc.binary_join_element_wise(*columns, "/")).to_pylist()
    return names


# ------------------------------------------------------------------ masks


def match_masks(
    spec: TableSpec,
    rows: pa.Table,
    there: FileNameIndex,
    pictures: LocalImages,
    holders: Sequence[File],
    matches: ImageMatches,
) -> int:
    """A piece for each mask of the rows' images that was given; how many were not."""
    lost = 0
    for template in spec.masks.values():
        for name in mask_names(template, spec, rows):
            if there.resolve_name(name):
                continue
            found = [one for one in pictures.find_images(name) if one not in matches.used]
            lost += not (found and matches.assign(name, found, holders, "masks"))
    return lost


def mask_names(template: str, spec: TableSpec, rows: pa.Table) -> list[str]:
    """The mask's file name for each row: {image_id} and columns filled in, without image endings."""
    ids = spec.columns.get("image_id") or spec.columns["image"]
    cells = {
        name: clean_names(rows[ids[0]].combine_chunks())
        if name == "image_id"
        else rows[name].combine_chunks()
        for name in TEMPLATE_FIELD.findall(template)
    }
    columns = {name: strip_extension(column).to_pylist() for name, column in cells.items()}
    names = (
        TEMPLATE_FIELD.sub(lambda match, row=row: columns[match[1]][row], template)  # type: ignore[misc]  # bound for this row
        for row in range(rows.num_rows)
    )
    return list(map(normalize_name, names))


def is_read_whole(file: File, found: LocalFile) -> bool:
    """Whether what is in a file is only known when all of it is read: a tar, or images with their rows."""
    return bool(tar_kind(found)) or file.unpack in IMAGE_TABLES
