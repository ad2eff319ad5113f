"""An exclusion list names images that a person does not want to use: read for a selection, written by `browse`.

A list is an issue list (`dermdata/audit/issue_lists.py`) with the dataset in front: TSV, UTF-8, with the header
`dataset image_id action issue source of`; of its lines those with the action `drop` take images away. A file
of keys (`dataset/image_id`), one a line, is read as well. A row is named by its key, whatever made the key.
"""

import csv
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata import disk
from dermdata.errors import BadTable, StorageError
from dermdata.manifest.columns import text_column
from dermdata.markup import count_nouns, count_share, show_controls
from dermdata.process import lock_file
from dermdata.text_files import TextRefused, decode_text

COLUMNS = ("dataset", "image_id", "action", "issue", "source", "of")
DROP, ACTIONS = "drop", ("drop", "note", "copy")
MOST_BYTES = 256 << 20  # of a list
LIST_HINT = (
    "a list has the columns dataset, image_id, action, issue, source, of; or a key (dataset/image_id) a line"
)
MOST_LETTERS = 10_000  # of a key
FAULT_HINT = "mend that and mark again, or start again with --exclusions FILE; the list is as it was"
LOCK_SECONDS = 5
MOST_TOLD = 5  # broken lines, and images that are not here


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """One line of an exclusion list."""

    dataset: str  # "": the rows have none
    image_id: str
    action: str = DROP
    issue: str = ""  # what is wrong with it
    source: str = ""  # who says so
    of: str = ""  # the image that a `copy` shows

    @property
    def key(self) -> str:
        """The image's name in a manifest."""
        return f"{self.dataset}/{self.image_id}" if self.dataset else self.image_id


def read_exclusions(path: Path, *, links: bool = True) -> list[ListedImage]:
    """Read a list; BadTable names each line that is wrong, and says what a list is.

    Parameters
    ----------
    path : Path
        A TSV file with the header COLUMNS, or a text of keys, one a line; `#` begins a remark there.
    links : bool
        Whether the name may be a symbolic link.

    Returns
    -------
    list of ListedImage
        In the file's order.

    Raises
    ------
    BadTable
        For a file that is not there, is no text, or has wrong lines.
    StorageError
        For one that cannot be read.

    """
    lines = read_lines(path, links=links)
    if lines and lines[0].split("\t")[:2] == list(COLUMNS[:2]):
        return list(parse_lines(lines, path))
    return [name_key(line.strip()) for line in lines if line.strip() and not line.startswith("#")]


def read_lines(path: Path, *, links: bool) -> list[str]:
    """The lines of a text file in any usual encoding."""
    try:
        return decode_text(disk.read_regular(path, most=MOST_BYTES, links=links)).splitlines()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadTable(f"no exclusion list at {path}", hint=LIST_HINT) from error
    except TextRefused as error:
        raise BadTable(f"{path}: {error}", hint=LIST_HINT) from error
    except OSError as error:
        raise disk.to_storage_error(error, path) from error


def parse_lines(lines: Sequence[str], path: Path) -> Iterator[ListedImage]:
    """The images of a table; columns that are no list's are left alone."""
    rows = read_cells(lines, path)
    header = rows[0]
    faults = [(number, line_fault(header, row)) for number, row in enumerate(rows[1:], 2) if row]
    if wrong := [f"line {number}: {why}" for number, why in faults if why]:
        more = f"\n… and {count_nouns(len(wrong) - MOST_TOLD, 'more line')}" if len(wrong) > MOST_TOLD else ""
        raise BadTable(f"{path}: " + "\n".join(wrong[:MOST_TOLD]) + more, hint=LIST_HINT)
    for row in filter(None, rows[1:]):
        line = dict(zip(header, row, strict=True))
        yield ListedImage(**{name: line[name] for name in COLUMNS if name in line})


def read_cells(lines: Sequence[str], path: Path) -> list[list[str]]:
    """The cells of each line."""
    try:
        return list(csv.reader(lines, csv.excel_tab))
    except csv.Error as error:  # a cell of more letters than the reader takes
        raise BadTable(f"{path}: {error}", hint=LIST_HINT) from error


def name_key(key: str) -> ListedImage:
    """The image of a key: what is before its first slash is the dataset."""
    dataset, slash, image = key.partition("/")
    return ListedImage(dataset=dataset if slash else "", image_id=image if slash else key)


def is_listable(key: str) -> bool:
    """Whether a list can name an image by this key, and is read again as it was written."""
    image = name_key(key)
    whole = bool(image.image_id) and image.key == key and key.splitlines() == [key]
    return whole and "\0" not in key and len(key) <= MOST_LETTERS


def line_fault(header: Sequence[str], row: Sequence[str]) -> str | None:
    """What is wrong with a line, in words."""
    if len(row) != len(header):
        return f"{count_nouns(len(row), 'field')}, not {len(header)}"
    line = dict(zip(header, row, strict=True))
    if line.get("action", DROP) not in ACTIONS:
        return f"action '{show_controls(line['action'])}' is none of {', '.join(ACTIONS)}"
    return None if line["image_id"] else "no image_id"


def write_exclusions(path: Path, images: Iterable[ListedImage]) -> None:
    """Write a list, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, csv.excel_tab, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(image, name) for name in COLUMNS] for image in images)
    disk.write_text(path, text.getvalue())


# ------------------------------------------------------------------ rows


def row_keys(table: pa.Table) -> pa.Array:
    """What each row is called in a list: its dataset and image id, or the id alone where it has no dataset."""
    dataset, image = text_column(table, "dataset"), text_column(table, "image_id")
    whole = pc.binary_join_element_wise(dataset.cast(pa.string()), image.cast(pa.string()), "/")
    return pc.coalesce(whole, image.cast(pa.string()))


@dataclass(frozen=True, kw_only=True)
class ExcludedRows:
    """The rows that stay, how many of the listed images are here, and the names of those that are not."""

    table: pa.Table
    listed: int
    here: int
    absent: tuple[str, ...]

    def describe(self, name: str) -> str:
        """What a list took away, in words."""
        text = f"{name}: {count_share(self.here, self.listed, 'listed image', 'are')} here and taken away"
        if not self.absent:
            return text
        more = ", …" if len(self.absent) > MOST_TOLD else ""
        return f"{text}; not here: {', '.join(map(show_controls, self.absent[:MOST_TOLD]))}{more}"


def exclude_rows(table: pa.Table, keys: Iterable[str]) -> ExcludedRows:
    """Take the rows of these keys away.

    Parameters
    ----------
    table : pyarrow.Table
        With the columns `dataset` and `image_id`; where it has a `key` of its own, that one counts as well.
    keys : iterable of str
        The images' keys.

    Returns
    -------
    ExcludedRows

    """
    wanted = pa.array(list(dict.fromkeys(keys)), pa.string())
    found = np.zeros(len(wanted), bool)
    drop = np.zeros(table.num_rows, bool)
    for names in [row_keys(table), *([text_column(table, "key")] if "key" in table.column_names else [])]:
        place = pc.index_in(names.cast(pa.string()), wanted, skip_nulls=True).fill_null(-1)
        rows = place.to_numpy(zero_copy_only=False)
        drop |= rows >= 0
        found[rows[rows >= 0]] = True
    absent = tuple(wanted.filter(pa.array(~found)).to_pylist())
    left = table.filter(pa.array(~drop)) if drop.any() else table
    return ExcludedRows(table=left, listed=len(wanted), here=int(found.sum()), absent=absent)


# ------------------------------------------------------------------ a list that grows


class ExclusionFile:
    """A list on disk that images are put on and taken off; each change is written at once, whole or not at all.

    Others may change it meanwhile: what they wrote is read before anything is written. A link is followed when the list
    is opened, and none that appears in its place later.
    """

    def __init__(self, path: Path, source: str = "browse") -> None:
        self.path, self.source = path, source
        disk.require_file(path)
        if not path.parent.is_dir():
            raise StorageError(f"there is no folder {path.parent} for the list {path.name}")
        self._place = Path(os.path.realpath(path))  # which no loop of links stops
        self._state = self._find_state()
        self._images = self._read() if self._state else {}
        self._taken: dict[str, ListedImage] = {}  # off the list, as they stood on it

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def keys(self) -> dict[str, str]:
        """The images that are taken away, each with what is wrong with it."""
        return {key: one.issue for key, one in self._images.items() if one.action == DROP}

    def mark(self, keys: Iterable[str], issue: str) -> None:
        """Put images on the list; those that are on it keep who said so, and have the new reason."""
        added = self._list_anew(keys, issue)
        self._change(lambda there: {**there, **added})

    def unmark(self, keys: Iterable[str]) -> None:
        """Take images off the list."""
        gone = set(keys)

        def leave(there: dict[str, ListedImage]) -> dict[str, ListedImage]:
            self._taken |= {key: one for key, one in there.items() if key in gone}
            return {key: one for key, one in there.items() if key not in gone}

        self._change(leave)

    def restore(self, keys: Sequence[str], issue: str, other_names: Iterable[str] = ()) -> None:
        """Put images on the list again with the words that `unmark` took off it; those it did not, with this reason."""
        back = {key: self._taken[key] for key in [*keys, *other_names] if key in self._taken}
        added = self._list_anew(keys, issue) | back
        self._change(lambda there: {**there, **added})

    def _list_anew(self, keys: Iterable[str], issue: str) -> dict[str, ListedImage]:
        images = {key: name_key(key) for key in keys}
        return {
            key: ListedImage(dataset=one.dataset, image_id=one.image_id, issue=issue, source=self.source)
            for key, one in images.items()
        }

    def refresh(self) -> bool:
        """Read the list again where somebody else has changed it, and say whether; one that is gone is kept in mind."""
        state = self._find_state()
        if state is None or state == self._state:
            return False
        self._images, self._state = self._read(), state
        return True

    def _change(self, change: Callable[[dict[str, ListedImage]], dict[str, ListedImage]]) -> None:
        """Write what a change makes of the list as it is now."""
        try:
            with lock_folder(self._place.parent):
                self.refresh()
                images = change(self._images)
                write_exclusions(self._place, images.values())
                self._images, self._state = images, self._find_state()
        except StorageError as error:
            raise StorageError(error.message, hint=FAULT_HINT) from error

    def _read(self) -> dict[str, ListedImage]:
        return {one.key: one for one in read_exclusions(self._place, links=False)}

    def _find_state(self) -> tuple[int, int, int] | None:
        """What differs after each change; None where there is no list."""
        try:
            found = self._place.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk.to_storage_error(error, self._place) from error
        return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from a folder's list while it is read and written, where the file system can."""
    if sys.platform == "win32":  # which opens no folders
        yield
    else:
        with disk.storage_errors(folder):
            handle = os.open(folder, os.O_RDONLY)
        try:
            end = time.monotonic() + LOCK_SECONDS
            while (
                is_locked(handle) and time.monotonic() < end
            ):  # who holds it longer has stopped in the middle
                time.sleep(0.01)
            yield
        finally:
            os.close(handle)


def is_locked(handle: int) -> bool:
    """Whether another process has the lock; this one has it otherwise, or nobody can."""
    try:
        return not lock_file(handle)
    except OSError:  # a network file system without locks
        return False
