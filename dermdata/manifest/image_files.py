"""The one way from a path in a manifest to a file that may be opened: every command's images are found here.

A relative path is looked for in the dataset's folder of each cache, in the caches' order, then beside the manifest. An
absolute one is looked for where it says; one into another machine's cache (`…/datasets/NAME/VERSION/…`) anew, as the
relative path that it ends in. A file that the person has left where it lies is found by the cache's own list of such
files (`cache/outside.py`), as long as it is as it was.

A manifest may come from anyone, so what its paths say is not believed. A `path`, a `mask_path` and each of `masks`
is opened only where it ends, all links on its way resolved, inside a cache's folder of datasets (the dataset's own
folder there may itself be a link to another disk), or beside the manifest that names it, which is anywhere below that
manifest's folder. Everything else that is there is refused with the row: other places, `..`, links that lead out,
and what is no regular file. A path at which there is nothing is a row whose image is missing: `MissingFiles` counts it.

400,000 rows are usual. A folder is read once: its real path, and by one `scandir`, which distinguishes links and
special files from regular ones, what is in it. Only a link costs a system call of its own.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa

from dermdata.cache.outside import OutsidePaths, read_outside_paths
from dermdata.errors import BadTable, StorageError
from dermdata.images.image_file import describe_file_kind
from dermdata.manifest.image_roots import ImageRoots, tidy_path, to_image_roots
from dermdata.manifest.missing_files import MissingFiles, split_cache_path

BLOCK = 8192  # rows that are Python's own at once: as such they take ten times the memory
SHOWN_CHARACTERS = 200  # characters of a path in an error
PATH_COLUMNS = ("path", "mask_path", "masks")
NAME_BYTES, PATH_BYTES = 255, 4095  # what file systems give a name, and systems a path
HINT = (
    "images are opened only in the cache and beside the manifest that names them: "
    "move them into its folder, or leave the row out"
)
FoundPath = str | None  # an absolute path without a link at its end; None: there is no such file
PathForm = Literal["absolute", "relative"]
MaskPaths = list[tuple[str, FoundPath]]
In = TypeVar("In")
Out = TypeVar("Out")


class PathRefused(BadTable):
    """A path of a manifest that is not opened."""

    def __init__(self, path: str, why: str, row: str = "") -> None:
        shown = path if len(path) <= SHOWN_CHARACTERS else f"{path[:SHOWN_CHARACTERS]}…"
        whose = f" of {row}" if row else ""
        super().__init__(f"the path {shown}{whose} {why}", hint=HINT)
        self.path, self.why = path, why

    def copy_with_row(self, row: str) -> "PathRefused":
        """The same with the row's name."""
        return type(self)(self.path, self.why, row)


class NoRegularFile(PathRefused):
    """A folder, a pipe or a device at a path where a file may be."""


@dataclass(frozen=True, slots=True)
class FolderListing:
    """What is in one folder that rows name."""

    real: str  # the folder's real path
    named: str = ""  # its absolute path as rows name it, with a slash at its end
    plain: frozenset[str] = frozenset()  # names of regular files
    others: frozenset[str] = frozenset()  # names of all else
    allowed: bool = False  # whether files in it may be opened; of others it is not known what is in them


class ImageFinder:
    """Finds the files of rows; each folder is read once. What rows name and nothing has is counted in `missing`."""

    def __init__(self, roots: Mapping[str, Path], missing: MissingFiles | None = None) -> None:
        self.roots = to_image_roots(roots)
        self.missing = MissingFiles() if missing is None else missing
        self._starts: dict[str, list[str]] = {}
        self._allowed: dict[str, tuple[str, ...]] = {}
        # by dataset, and folder as rows name it
        self._listings: dict[tuple[str | None, str], tuple[FolderListing, ...]] = {}
        self._not_found: list[str] = []  # by the row at hand
        self._outside: dict[str, OutsidePaths] = {}  # by dataset

    def find(self, path: str | None, dataset: str | None) -> FoundPath:
        """The file that a row's path names; None where it names none, or nothing is there. PathRefused for others."""
        if path is None:
            return None
        return self._find_plain(path, dataset) or self._look_up(path, dataset)

    def _find_plain(self, path: str, dataset: str | None) -> FoundPath:
        """A regular file in a folder that was read already; None for all else, which is looked at closely."""
        folder, slash, name = path.rpartition("/")
        for listing in self._listings.get((dataset, folder or slash), ()):
            if name in listing.plain:
                return listing.named + name
            if name in listing.others:
                return None
        return None

    def absolute_path(self, path: str, dataset: str | None) -> str:
        """The absolute path that a row names, whatever is there: to be shown, not to be opened."""
        return path if path.startswith("/") else f"{self._start_folders(path, dataset)[0]}/{path}"

    # ------------------------------------------------------------------ paths to be written

    def name_absolutely(self, path: str | None, dataset: str | None) -> str | None:
        """The path by which any program finds the row's file; as it is where there is none, or dermdata opens none."""
        if path is None:
            return None
        if whole := self._find_plain(path, dataset):
            return whole
        try:
            if (found := self._look_up(path, dataset)) is None:
                return path
        except PathRefused:
            if not path.startswith("/"):
                self._not_found.append(path)
            return path
        return found if path in self._list_outside(dataset) else self._name_as_listed(path, dataset)

    def _name_as_listed(self, path: str, dataset: str | None) -> str:
        """The path of a file that was found in a folder, as the row names that folder."""
        folder, slash, name = path.rpartition("/")
        listings = self._listings[dataset, folder or slash]
        there = (one.named for one in listings if name in one.others or is_regular(one.named + name))
        return next(there) + name

    def name_relatively(self, path: str | None, dataset: str | None, home: str | None) -> str | None:
        """The path from the dataset's folder in a cache on, else from `home` on; absolute where it lies elsewhere.

        A path into some machine's cache is one from the dataset's folder on, also where no file is found. Without a
        `home` it is the folder of the dataset's manifest.
        """
        whole = self.name_absolutely(path, dataset)
        if whole is None or not whole.startswith("/"):
            return path
        if inside := self._list_outside(dataset).names.get(whole):
            return inside
        starts = self._all_starts(dataset) if home is None else [*self._cache_starts(dataset), home]
        for start in starts:
            if whole.startswith(f"{start}/"):
                return whole[len(start) + 1 :]
        in_cache = split_cache_path(whole, dataset)
        return in_cache[1] if in_cache else whole

    # ------------------------------------------------------------------ rows of tables

    def column_paths(self, table: pa.Table, name: str = "path") -> list[FoundPath]:
        """Each row's file of one column; all None where there is no such column."""
        if name not in table.column_names:
            return [None] * table.num_rows
        return [one for block in self.path_blocks(table, name) for one in block]

    def row_path(self, table: pa.Table, row: int, name: str = "path") -> FoundPath:
        """One row's file."""
        return self.column_paths(table.slice(row, 1), name)[0]

    def path_blocks(
        self, table: pa.Table, name: str, work: Callable[[str | None, str | None], FoundPath] | None = None
    ) -> Iterator[list[Any]]:
        """The files of a column, BLOCK rows at a time; of `masks` each row's pairs of a structure and its file.

        `work` makes something else of each path and its dataset.
        """
        one = work or self.find
        by_row: Callable[[Any, str | None], Any] = partial(map_masks, one) if name == "masks" else one
        for start in range(0, table.num_rows, BLOCK):
            block = table.slice(start, BLOCK)
            yield self.map_rows(block, block[name].to_pylist(), by_row)

    def map_rows(
        self, table: pa.Table, values: Iterable[In], work: Callable[[In, str | None], Out]
    ) -> list[Out]:
        """What `work` makes of each row's value and dataset; the error for a path that it refuses names the row."""
        done: list[Out] = []
        datasets = text_values(table, "dataset", 0, table.num_rows)
        names: list[str] = []
        self._not_found.clear()
        try:
            for value, dataset in zip(values, datasets, strict=True):
                done.append(work(value, dataset))  # its length is the row that is refused
                if self._not_found:
                    names = names or row_names(table, 0, table.num_rows)
                    self.missing.add(names[len(done) - 1], dataset, self._not_found)
                    self._not_found.clear()
        except PathRefused as refused:
            raise refused.copy_with_row(row_names(table, len(done), 1)[0]) from None
        return done

    # ------------------------------------------------------------------ paths that are new or not plain

    def _start_folders(self, path: str, dataset: str | None) -> list[str]:
        starts = self._all_starts(dataset)
        if not starts:
            raise PathRefused(path, no_start_reason(self.roots, dataset or ""))
        return starts

    def _all_starts(self, dataset: str | None) -> list[str]:
        name = dataset or ""
        if name not in self._starts:
            self._starts[name] = self.roots.start_folders(name)
        return self._starts[name]

    def _cache_starts(self, dataset: str | None) -> list[str]:
        """The dataset's folders in the caches."""
        return self._all_starts(dataset)[: len(self.roots.dataset_folders(dataset or ""))]

    def _list_outside(self, dataset: str | None) -> OutsidePaths:
        """The files of a dataset that lie where the person has them."""
        name = dataset or ""
        if name not in self._outside:
            self._outside[name] = read_outside_paths(self.roots.dataset_folders(name))
        return self._outside[name]

    def _look_up(self, path: str, dataset: str | None) -> FoundPath:
        require_path(path)
        outside = self._list_outside(dataset)
        if one := outside.find(path):
            found = one.find_origin(dataset or "")
        else:  # a copy of it may be in the cache
            found = self._look_into_folders(outside.names.get(path, path), dataset)
        if found is None:
            self._not_found.append(path)
        return found

    def _look_into_folders(self, path: str, dataset: str | None) -> FoundPath:
        """The file of this path in the first folder that has it."""
        folder, slash, name = path.rpartition("/")
        if (dataset, folder or slash) not in self._listings:
            self._listings[dataset, folder or slash] = tuple(self._list_folders(path, dataset))
        for listing in self._listings[dataset, folder or slash]:
            if name in listing.plain:
                return listing.named + name
            if found := self._look_into(listing, path, dataset):
                return found
        return None

    def _look_into(self, listing: FolderListing, path: str, dataset: str | None) -> FoundPath:
        """What has the path's name in a folder and is no regular file of it."""
        name = path.rpartition("/")[2]
        whole = listing.named + name
        if listing.allowed:
            if name in listing.others:
                return self._resolve_special(path, dataset, whole)
            # a disk may list a name otherwise than it was given: FAT in small letters, HFS+ decomposed
            return whole if listing.plain and is_regular(whole) else None
        if is_there(whole):
            raise PathRefused(path, leads_out_reason(f"{listing.real.rstrip('/')}/{name}", whole, dataset))
        return None

    def _list_folders(self, path: str, dataset: str | None) -> Iterator[FolderListing]:
        """The folders in which the file of a path may be, the first that has it is right."""
        if not path.startswith("/"):
            for start in self._start_folders(path, dataset):
                yield self._list_folder(f"{start}/{path}", dataset)
            return
        own, in_cache = self._list_folder(path, dataset), split_cache_path(path, dataset)
        if own.allowed or not in_cache:
            yield own
        if in_cache:
            version, rest = in_cache
            starts = sorted(self._cache_starts(dataset), key=lambda one: not one.endswith(f"/{version}"))
            for start in starts:
                yield self._list_folder(f"{start}/{rest}", dataset)

    def _list_folder(self, whole: str, dataset: str | None) -> FolderListing:
        """What is in the folder of a file."""
        parent, slash, _ = whole.rpartition("/")
        parent = tidy_path(parent) if "/.." in parent else parent
        real = os.path.realpath(parent or slash)
        listing = list_folder(real) if self._is_allowed(real, dataset) else FolderListing(real)
        return replace(listing, named=parent + slash)

    def _resolve_special(self, path: str, dataset: str | None, whole: str) -> FoundPath:
        """The file that a link leads to; PathRefused for what is neither file nor link, None for what is not there."""
        mode = file_mode(whole)
        if mode is None or stat.S_ISREG(mode):  # it is another one by now
            return None
        if not stat.S_ISLNK(mode):
            raise NoRegularFile(path, f"is {describe_file_kind(mode)}, not a file")
        end = os.path.realpath(whole)
        if not self._is_allowed(end, dataset):
            raise PathRefused(path, leads_out_reason(end, whole, dataset))
        mode = file_mode(end)
        if mode is not None and not stat.S_ISREG(mode):
            what = "a link that leads in a circle" if stat.S_ISLNK(mode) else describe_file_kind(mode)
            raise NoRegularFile(path, f"is {what}, not a file")
        return None if mode is None else end

    def _is_allowed(self, real: str, dataset: str | None) -> bool:
        name = dataset or ""
        if name not in self._allowed:
            self._allowed[name] = self.roots.allowed_folders(name)
        return f"{real}/".startswith(self._allowed[name])


def list_folder(real: str) -> FolderListing:
    """What is in a folder; nothing where there is none."""
    plain: list[str] = []
    others: list[str] = []
    try:
        with os.scandir(real) as entries:
            for one in entries:
                (plain if one.is_file(follow_symlinks=False) else others).append(one.name)
    except (FileNotFoundError, NotADirectoryError):
        return FolderListing(real, allowed=True)
    except OSError as error:
        if error.errno == errno.ELOOP:  # links in a circle: nowhere, so not in an allowed folder
            return FolderListing(real)
        raise StorageError(f"cannot look into {real}: {error.strerror}") from error
    return FolderListing(real, plain=frozenset(plain), others=frozenset(others), allowed=True)


def is_regular(path: str) -> bool:
    """Whether there is a file, and no link to one."""
    mode = file_mode(path)
    return mode is not None and stat.S_ISREG(mode)


def file_mode(path: str) -> int | None:
    """What is at a path, links not followed; None where nothing is."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"cannot look at {path}: {error.strerror}") from error


def map_masks(
    work: Callable[[str | None, str | None], FoundPath],
    row: Sequence[tuple[str, str | None]] | None,
    dataset: str | None,
) -> MaskPaths | None:
    """A row's masks by structure, with what `work` makes of each path."""
    return None if row is None else [(name, work(path, dataset)) for name, path in row]


def place_paths(table: pa.Table, finder: ImageFinder, form: PathForm, home: "Path | None") -> pa.Table:
    """The table with absolute paths, or with relative ones that start in the caches or in `home`.

    Without a `home` they start in the folders of the rows' manifests.
    """
    folder = None if home is None else os.path.realpath(home)

    def relative(path: str | None, dataset: str | None) -> str | None:
        return finder.name_relatively(path, dataset, folder)

    work = finder.name_absolutely if form == "absolute" else relative
    for name in PATH_COLUMNS:
        if name in table.column_names and table[name].null_count < table.num_rows:
            kind = table.schema.field(name).type
            done = [pa.array(part, kind) for part in finder.path_blocks(table, name, work)]
            place = table.column_names.index(name)
            table = table.set_column(place, table.schema.field(name), pa.chunked_array(done, kind))
    return table


# ------------------------------------------------------------------ what is refused


def require_path(path: str) -> None:
    """PathRefused for what no file can be called, and for a relative path that climbs."""
    if "\0" in path:
        raise PathRefused(path.replace("\0", "\\0"), "holds a NUL, so it is no path")
    if len(path) > NAME_BYTES // 4 and is_too_long(path):
        raise PathRefused(
            path, f"is too long: {NAME_BYTES} bytes a name and {PATH_BYTES:,} in all are allowed"
        )
    if not path.startswith("/") and ".." in path.split("/"):
        raise PathRefused(path, "leads out of the folder that it starts from")


def is_too_long(path: str) -> bool:
    data = os.fsencode(path)
    return len(data) > PATH_BYTES or any(len(one) > NAME_BYTES for one in data.split(b"/"))


def is_there(path: str) -> bool:
    """Whether anything has this name, also a link that leads nowhere, also where looking is forbidden."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def leads_out_reason(end: str, whole: str, dataset: str | None) -> str:
    """Why a path is refused whose file is somewhere else."""
    how = f" (to {end})" if end != whole else ""
    return f"leads out of the folder of {f'{dataset} and of ' if dataset else ''}its manifest{how}"


def no_start_reason(roots: ImageRoots, name: str) -> str:
    """Why nothing tells where relative paths of a dataset start."""
    folders = roots.beside.get(name, ())
    if len(folders) > 1:
        shown = " and ".join(map(str, folders[:2]))
        return f"may start in any of several folders ({shown}): the manifests of '{name}' do not lie in one"
    if folders:
        return "would start from the whole disk, not from a folder of the manifest's own"
    return f"starts nowhere: no folder is known for the images of '{name}'"


def row_names(table: pa.Table, start: int, count: int) -> list[str]:
    """What some rows are called in an error: their key, else their dataset and image, as far as they say."""
    columns = (text_values(table, name, start, count) for name in ("key", "dataset", "image_id"))
    return [
        key or "/".join(one for one in (dataset, image) if one) or "a row"
        for key, dataset, image in zip(*columns, strict=True)
    ]


def text_values(table: pa.Table, name: str, start: int, count: int) -> list[str | None]:
    """Some rows of a column as text; None where there is no such column."""
    if name not in table.column_names:
        return [None] * count
    found: list[str | None] = table[name].slice(start, count).cast(pa.string()).to_pylist()
    return found
