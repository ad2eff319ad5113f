"""One version of one dataset on disk: its receipt, its contents, and how archives are unpacked into it."""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

from dermdata import checksum, disk
from dermdata.cache.outside import OutsideFile, read_outside, write_outside
from dermdata.cache.receipt import (
    CONTENTS_COLUMNS,
    ContentsDialect,
    Receipt,
    content_to_row,
    contents_from_rows,
    receipt_from_json,
    receipt_to_json,
)
from dermdata.errors import CacheDamaged
from dermdata.limits import parse_whole_json
from dermdata.model import Content
from dermdata.process import is_alive, machine_name

RECEIPT_SCHEMA = "dermdata.receipt/1"
BLOCK_ROWS = 4096  # lines of a list of contents that are text at once
LARGEST_RECORD = 1 << 30  # bytes of a receipt or a list of contents
ENCODING = ("utf-8", "surrogateescape")  # a tar's member may have a name that is not UTF-8
TEMPORARY_NAME = re.compile(r"\..*\.(?P<host>[^.]+)-(?P<pid>\d+)\.[0-9a-f]{8}(\.old)?\.tmp", re.DOTALL)


class DatasetFolder:
    """One version of one dataset in the cache."""

    def __init__(self, path: Path, name: str, version: str | None) -> None:
        self.path, self.name, self.version = path, name, version
        self.manifest = path / "manifest.parquet"

    def receipt(self) -> Receipt | None:
        """The receipt, None when nothing was fetched; CacheDamaged when it is broken or newer than we are."""
        path = self.path / "receipt.json"
        try:
            data = parse_whole_json(disk.read_regular(path, most=LARGEST_RECORD))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise self.damaged_error(f"{path} is not JSON ({error})") from error
        except OSError as error:
            raise disk.to_storage_error(error, path) from error
        if not isinstance(data, dict) or data.pop("schema", None) != RECEIPT_SCHEMA:
            raise self.damaged_error(f"{path} was written by another version of dermdata")
        try:
            return receipt_from_json(data)
        except (TypeError, KeyError) as error:
            raise self.damaged_error(f"{path} is incomplete ({error})") from error

    def damaged_error(self, what: str) -> CacheDamaged:
        return CacheDamaged(what, hint=f"run `dermdata fetch {self.name} --force` to build it again")

    def write_receipt(self, receipt: Receipt) -> None:
        data = {"schema": RECEIPT_SCHEMA, **receipt_to_json(receipt)}
        disk.write_text(self.path / "receipt.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    def contents(self, receipt: Receipt | None = None) -> tuple[Content, ...]:
        """Every file the folder should hold; CacheDamaged if the list is not the receipt's.

        `receipt` is the folder's, where it has been read already.
        """
        receipt = receipt or self.receipt()
        if receipt is None:
            return ()
        path = self.contents_path(receipt.contents_sha256)
        try:
            with self._damage_errors(path):
                data = disk.read_regular(path, most=LARGEST_RECORD)
        except CacheDamaged:
            if self.receipt() == receipt:
                raise
            return self.contents()  # a fetch wrote another receipt and list between our two reads
        if checksum.sha256_of_chunks([data]) != receipt.contents_sha256:
            raise self.damaged_error(f"{path} was altered")
        rows = csv.reader(io.StringIO(data.decode(*ENCODING), newline=""), ContentsDialect)
        return tuple(contents_from_rows(rows))

    def iter_digests(self) -> Iterator[tuple[str, str]]:
        """Path and SHA-256 of each file, kept archives too, as `contents` would say; without holding the list."""
        receipt = self.receipt()
        if receipt is None:
            return
        path = self.contents_path(receipt.contents_sha256)
        place, digest = CONTENTS_COLUMNS.index("path"), CONTENTS_COLUMNS.index("sha256")
        with self._damage_errors(path):
            disk.require_regular(path)
            if checksum.hash_file(path).sha256 != receipt.contents_sha256:
                raise self.damaged_error(f"{path} was altered")
            with path.open(encoding=ENCODING[0], errors=ENCODING[1], newline="") as file:
                rows = csv.reader(file, ContentsDialect)
                next(rows)
                yield from ((row[place], row[digest]) for row in rows)
        yield from ((one.path, one.sha256) for one in receipt.files if one.path)

    @cached_property
    def outside(self) -> Mapping[str, OutsideFile]:
        """The person's own files that stand for some of ours, by the path here; CacheDamaged for a broken list."""
        return read_outside(self.path)

    def locate(self, path: str) -> Path:
        """Where the bytes of a file lie that the contents name: here, or where the person has it."""
        one = self.outside.get(path)
        return self.path / path if one is None or one.in_cache else Path(one.origin)

    def record_outside(self, home: str, files: Mapping[str, OutsideFile]) -> None:
        """Note which files of the person's stand for those of a folder or a file of ours, in place of what was noted."""
        try:
            before = self.outside
        except CacheDamaged:  # a fetch comes so far only with --force, which makes all of it anew
            before = {}
        others = {
            path: one for path, one in before.items() if path != home and not path.startswith(f"{home}/")
        }
        write_outside(self.path, {**others, **files})
        self.__dict__.pop("outside", None)

    @contextmanager
    def _damage_errors(self, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self.damaged_error(f"{path} is missing") from error
        except OSError as error:
            raise disk.to_storage_error(error, path) from error

    @contextmanager
    def replace_folder(self, home: str) -> Iterator[Path]:
        """A temporary folder that takes the name `home` when the block ends well, in place of an older one."""
        target, temporary = self.path / home, self.temporary_path(home)
        old = temporary.with_suffix(".old.tmp")
        with disk.storage_errors(target):
            temporary.mkdir(parents=True)
            try:
                yield temporary
                if target.exists():
                    target.rename(old)  # a name, not a tree, is what changes between old and new
                temporary.rename(target)
                disk.sync_folder(target.parent)
                if old.exists():
                    shutil.rmtree(old)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise

    def temporary_path(self, name: str) -> Path:
        """A new name beside this one, which tells whoever cleans up whose it is."""
        target = self.path / name
        return target.with_name(temporary_name(target.name))

    def remove_dead_temporaries(self) -> None:
        """Remove what a process of this machine made for a while and left behind when it was killed."""
        beside = self.path.parent.glob(".*.tmp")  # a bundle is unpacked there
        delete_dead_temporaries([*sorted(self.path.glob("**/.*.tmp")), *sorted(beside)])

    def write_contents(self, contents: Iterable[Content]) -> str:
        """Write the list, by path; its SHA-256."""
        ordered = sorted(contents, key=lambda one: one.path)
        digest = checksum.sha256_of_chunks(contents_blocks(ordered))
        disk.write_chunks(self.contents_path(digest), contents_blocks(ordered))  # made again: not held whole
        return digest

    def contents_path(self, digest: str | None) -> Path:
        """Named by its digest, so that writing the receipt switches from one list to the next at once."""
        return self.path / f"contents-{(digest or '')[:16]}.tsv"

    def remove_if_empty(self) -> None:
        """Remove the folder, and the dataset's, where no file is in them; for whoever holds the dataset's lock."""
        if not self.path.is_dir() or holds_files(self.path):
            return
        with disk.storage_errors(self.path):
            for place, _, _ in os.walk(self.path, topdown=False):
                os.rmdir(place)  # noqa: PTH106  # a text, as os.walk has it
        with suppress(OSError):  # another version lies there
            self.path.parent.rmdir()

    def drop_old_contents(self, digest: str) -> None:
        """Delete the lists that no receipt names any more."""
        for path in self.path.glob("contents-*.tsv"):
            if path != self.contents_path(digest):
                path.unlink(missing_ok=True)


def contents_blocks(contents: Sequence[Content]) -> Iterator[bytes]:
    """The list of contents as it is stored, a block of lines at a time."""
    rows = chain([CONTENTS_COLUMNS], map(content_to_row, contents))
    while block := list(islice(rows, BLOCK_ROWS)):
        text = io.StringIO(newline="")
        csv.writer(text, ContentsDialect).writerows(block)
        yield text.getvalue().encode(*ENCODING)


def holds_files(place: Path) -> bool:
    """Whether anything but folders lies below a folder."""
    return any(names for _, _, names in os.walk(place))


def temporary_name(name: str) -> str:
    """A new hidden name for what becomes `name`, which tells whoever cleans up whose it is."""
    return f".{name[: disk.NAME_SHOWN]}.{machine_name()}-{os.getpid()}.{os.urandom(4).hex()}.tmp"


def find_local_maker(name: str) -> int | None:
    """The process of this machine that made a temporary file of this name; None for every other name."""
    maker = TEMPORARY_NAME.fullmatch(name)
    return int(maker["pid"]) if maker and maker["host"] == machine_name() else None


def delete_dead_temporaries(paths: Iterable[Path]) -> None:
    """Delete those of these temporary files and folders whose process, one of this machine, is gone."""
    for path in paths:
        maker = find_local_maker(path.name)
        if maker is not None and not is_alive(maker):
            with disk.storage_errors(path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)  # another process may sweep too
