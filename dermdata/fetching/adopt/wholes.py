"""Catalog files that were given as they are: told by size and checksum, else by their name."""

from collections.abc import Callable, Iterable, Sequence

from dermdata.cache import Recognized
from dermdata.fetching.adopt.given import Found, Given, tar_kind
from dermdata.fetching.adopt.tables import Part, Tables
from dermdata.fetching.ingest import is_image
from dermdata.manifest.match import without_ending
from dermdata.model import Dataset, File
from dermdata.readers.patterns import compiled

Wholes = dict[str, tuple[Found, Recognized]]  # by catalog file


class Search:
    """Finds whole files, opening archives, the deeper ones last, only while something is missing."""

    def __init__(self, given: Given, dataset: Dataset, parts: Sequence[Part], tables: Tables) -> None:
        self.given, self.dataset, self.parts, self.tables = given, dataset, parts, tables
        self.wholes: Wholes = {}
        self.mismatched: dict[str, tuple[Found, ...]] = {}  # of this name, but other bytes or another size
        self.clashing: dict[str, tuple[Found, ...]] = {}  # several with this name

    def find(self, files: Sequence[File]) -> None:
        """Note every file of these that was given whole."""
        steps: tuple[Callable[[], None], ...] = (
            lambda: None,
            self.given.open_zips,
            lambda: self.given.open_deeper(found for found, _ in self.wholes.values()),
        )
        for open_more in steps:
            left = [file for file in files if file.name not in self.wholes]
            if not left:
                return
            open_more()
            self.by_checksum(left)
            self.by_name([file for file in left if file.name not in self.wholes])

    def by_checksum(self, files: Iterable[File]) -> None:
        """A published size and checksum tell a file whatever its name is."""
        sized: dict[int, list[Found]] = {}
        every = self.given.all()
        for found in every:
            sized.setdefault(found.size, []).append(found)
        for file in files:
            if file.checksum is None:
                continue
            ending = file.name.rpartition(".")[2].lower()
            alike = [one for one in every if one.name.lower().endswith(f".{ending}")]
            candidates = alike if file.size is None else sized.get(file.size, [])
            hit = next((one for one in candidates if self.given.has(one, file.checksum)), None)
            if hit:
                self.wholes[file.name] = (hit, "checksum")

    def by_name(self, files: Iterable[File]) -> None:
        """Where no checksum is published the name must do, if the file also is what it should be."""
        leaves = by_leaf(self.given.all())
        for file in files:
            named = nearest(file, self.named(file, leaves))
            if not named:
                continue
            if file.checksum or file.size not in (None, named[0].size):
                self.mismatched[file.name] = tuple(named)
                continue
            fitting = self.given.distinct([one for one in named if self.fits(file, one)])
            if len(fitting) > 1 and not file.unpack and not self.parts_in(file):
                self.clashing[file.name] = tuple(fitting)
            elif len(fitting) == 1:
                self.wholes[file.name] = (fitting[0], "name")

    def named(self, file: File, leaves: dict[str, list[Found]]) -> list[Found]:
        """The files of this name in any case; of an image also with another ending."""
        leaf = leaf_of(file.name)
        named = leaves.get(leaf, [])
        if named or file.role != "images" or file.unpack:
            return named
        return [one for one in leaves.get(without_ending(leaf), []) if is_image(one.leaf)]

    def parts_in(self, file: File) -> list[Part]:
        return [part for part in self.parts if part.file == file.name]

    def fits(self, file: File, found: Found) -> bool:
        """Whether a file of the right name holds what the entry reads from it."""
        if found.size == 0:
            return False
        if file.unpack is None:
            return all(self.tables.fits(part, found) for part in self.parts_in(file))
        if tar_kind(found):
            return True
        members = [one.entry.name for one in self.given.members(found) if one.entry]
        return self.holds_tables(file, members) and self.holds_images(file, members)

    def holds_tables(self, file: File, members: Sequence[str]) -> bool:
        """Whether its tables lie where the entry reads them."""
        wanted = [part.member or "" for part in self.parts_in(file)]
        return all({path, path.rpartition("/")[2]} & set(members) for path in wanted)

    def holds_images(self, file: File, members: Sequence[str]) -> bool:
        """Whether paths are those that the entry's pattern cuts; without a pattern, any image does."""
        patterns = [one.pattern for one in self.dataset.table if one.pattern and file.name in one.images]
        if patterns:
            return any(compiled(pattern)[0].fullmatch(name) for pattern in patterns for name in members)
        return file.role not in ("images", "masks") or any(map(is_image, members))


def leaf_of(name: str) -> str:
    return name.rpartition("/")[2].casefold()


def by_leaf(every: Iterable[Found]) -> dict[str, list[Found]]:
    """Files by their own name, and by that without ending, in any case."""
    leaves: dict[str, list[Found]] = {}
    for found in every:
        leaf = found.leaf.casefold()
        for key in {leaf, without_ending(leaf)}:
            leaves.setdefault(key, []).append(found)
    return leaves


def nearest(file: File, named: Sequence[Found]) -> list[Found]:
    """Those whose folders are the official ones furthest up: train/1.png is not test/1.png."""
    depths = [shared_end(file.name, one.name) for one in named]
    return [one for one, depth in zip(named, depths, strict=True) if depth == max(depths)]


def shared_end(official: str, name: str) -> int:
    """How many parts two paths share, from the end on; 0 when the file itself is named differently."""
    count = 0
    for ours, theirs in zip(official.split("/")[::-1], name.split("/")[::-1], strict=False):
        if ours.casefold() != theirs.casefold():
            break
        count += 1
    return count
