"""Tar, plain, gzipped or zstd, read once from front to end."""

import gzip
import importlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, cast

from dermdata.archive.policy import MIB, MemberChecker, normalize_member_name
from dermdata.errors import ArchiveRefused
from dermdata.markup import count_nouns
from dermdata.model import Unpack

ZERO_BLOCK = bytes(tarfile.BLOCKSIZE)
PADDING_LIMIT = 16 * MIB  # zeros that may follow the end mark
SPECIAL_TYPES = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a named pipe",
}
DAMAGE_ERRORS = (gzip.BadGzipFile, zlib.error, EOFError)


class ForwardOnlyFile:
    """A stream as tarfile wants it, that only moves forward and remembers the last header block."""

    def __init__(self, file: IO[bytes], what: str) -> None:
        self._file = file
        self._what = what
        self._position = 0
        self.last = b""

    def read(self, length: int) -> bytes:
        """Up to `length` bytes; refuses headers of more than a MiB, which tarfile would hold whole."""
        if not 0 <= length <= MIB:
            raise ArchiveRefused(
                f"{self._what} has a header of {count_nouns(length, 'byte')}, not 0 to {MIB:,}"
            )
        try:
            data = self._file.read(length)
        except DAMAGE_ERRORS as error:
            raise ArchiveRefused(f"{self._what} is damaged at byte {self._position:,}: {error}") from error
        self._position += len(data)
        if length == len(ZERO_BLOCK):
            self.last = data
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        while self._position < position and self.read(min(MIB, position - self._position)):
            pass


class TarMember:
    """One regular file of a tar; its bytes can be read until the next one is asked for."""

    def __init__(self, name: str, size: int, chunks: Iterator[bytes]) -> None:
        self.name = name
        self.size = size
        self.chunks = chunks


def read_tar(archive: Path, kind: Unpack, checker: MemberChecker) -> Iterator[TarMember]:
    """Regular files in order, junk too; ArchiveRefused for all else but folders, and for a bad end."""
    packed = archive.stat().st_size
    with _open_tar(archive, kind) as file:
        stream = ForwardOnlyFile(file, archive.name)
        for info in _read_headers(stream, archive.name):
            checker.check_limit("ratio", _expansion_ratio(info.offset_data + info.size, packed))
            checker.check_total_ratio(info.offset_data + info.size, packed)
            tar_member = _check_header(info, stream, checker)
            if tar_member:
                yield tar_member
        _require_end(stream, archive.name)


def _expansion_ratio(reached: int, packed: int, floor: int = 4 * MIB) -> int:
    return reached // max(packed, 1) if reached > floor else 0


@contextmanager
def _open_tar(archive: Path, kind: Unpack) -> Iterator[IO[bytes]]:
    if kind == "tar.zst":
        with _open_zstd(archive) as file:
            yield file
    elif kind == "tar.gz":
        with gzip.open(archive, "rb") as file, io.BufferedReader(file, MIB) as buffered:
            yield cast("IO[bytes]", buffered)
    else:
        with archive.open("rb") as file:
            yield file


def _open_zstd(archive: Path) -> Any:
    if find_spec("compression"):  # Python 3.14
        return importlib.import_module("compression.zstd").open(archive, "rb")
    raise ArchiveRefused(
        f"{archive.name} is compressed with zstd, which this Python cannot read",
        hint="use Python 3.14",
    )


def _read_headers(stream: ForwardOnlyFile, what: str) -> Iterator[tarfile.TarInfo]:
    try:
        tar = tarfile.TarFile(fileobj=cast("IO[bytes]", stream), encoding="utf-8", errors="surrogateescape")
        while info := tar.next():
            tar.members = []  # type: ignore[attr-defined]  # a million headers are not kept
            yield info
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise ArchiveRefused(f"{what} is no whole tar: {error}") from error


def _check_header(info: tarfile.TarInfo, stream: ForwardOnlyFile, checker: MemberChecker) -> TarMember | None:
    name = normalize_member_name(info.name)
    if info.isdir() and name in ("", "."):
        return None
    checker.check_member(name, max(info.size, 0), None)
    if fault := _find_header_fault(info, name):
        raise checker.refusal(name, fault)
    if info.isdir():
        checker.add_folder(name)
        return None
    return TarMember(name, info.size, _read_data(info, stream, checker))


def _find_header_fault(info: tarfile.TarInfo, name: str) -> str | None:
    """Why a member is refused by its header; None when it is a folder or a regular file."""
    if _has_surrogates(name):
        return "has a name that is not UTF-8"
    if info.size < 0 or (info.isdir() and info.size):
        return f"declares {count_nouns(info.size, 'byte')}"
    if info.isdir() or (info.isreg() and not info.issparse()):
        return None
    kind = SPECIAL_TYPES.get(info.type, "sparse" if info.issparse() else f"of unknown type {info.type!r}")
    return f"is {kind}"


def _has_surrogates(name: str) -> bool:
    """Tell whether a name holds bytes that are not UTF-8, as tarfile reads them."""
    return not name.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in name)


def _read_data(info: tarfile.TarInfo, stream: ForwardOnlyFile, checker: MemberChecker) -> Iterator[bytes]:
    stream.seek(info.offset_data)
    left = info.size
    while left:
        chunk = stream.read(min(left, MIB))
        if not chunk:
            raise checker.refusal(
                normalize_member_name(info.name), f"is cut short by {count_nouns(left, 'byte')}"
            )
        left -= len(chunk)
        yield chunk


def _require_end(stream: ForwardOnlyFile, what: str) -> None:
    """Require the end mark, and only zeros after it; reading on also checks gzip's CRC."""
    if stream.last != ZERO_BLOCK:
        raise ArchiveRefused(f"{what} has no end mark: it is cut short or damaged")
    end = stream.tell()
    while chunk := stream.read(MIB):
        if chunk.strip(b"\0") or stream.tell() - end > PADDING_LIMIT:
            raise ArchiveRefused(f"{what} goes on after its end mark")
