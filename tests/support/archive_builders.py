"""Builders of zips and tars for the archive tests: as tools write them, and with any field a lie."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dermdata.archive import Extraction, extract, list_zip, read_member, safe_name
from dermdata.model import Unpack

JPEG = bytes(range(256)) * 4
IMAGES = {f"images/ISIC_{number:07d}.jpg": bytes([number]) * 500 + b"tail" for number in range(100)}


class Remote:
    """A range reader over bytes that counts its requests, as a server would see them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.requests: list[tuple[int, int]] = []

    def __call__(self, start: int, length: int) -> bytes:
        self.requests.append((start, length))
        return self.data[start : start + length]

    def contents(self) -> dict[str, bytes]:
        entries = list_zip(self, len(self.data)).entries
        return {entry.name: b"".join(read_member(self, entry)) for entry in entries}


class Unseekable(io.BytesIO):
    """An output that cannot go back, so that zipfile writes data descriptors."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def zipped(
    members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, buffer: io.BytesIO | None = None
) -> bytes:
    buffer = buffer or io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return buffer.getvalue()


def raw_tar(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_member(name: str, data: bytes = JPEG, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tarred(members: Mapping[str, bytes], mode: str) -> bytes:
    """As `tar c .` writes it."""
    root = tar_member("./", b"", type=tarfile.DIRTYPE)
    return raw_tar(root, *(tar_member(f"./{name}", data) for name, data in members.items()), mode=mode)


MAKERS: dict[Unpack, Callable[[Mapping[str, bytes]], bytes]] = {
    "zip": zipped,
    "tar": lambda members: tarred(members, "w"),
    "tar.gz": lambda members: tarred(members, "w:gz"),
}


def unpack(folder: Path, data: bytes, kind: Unpack = "zip", **options: object) -> Extraction:
    archive = folder / f"archive.{kind}"
    archive.write_bytes(data)
    return extract(archive, kind, folder / "out", **{"place": safe_name, **options})  # type: ignore[arg-type]


def on_disk(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@dataclass(frozen=True)
class Raw:
    """A zip member written field by field, so that each field can lie."""

    name: bytes
    data: bytes = JPEG
    method: int = 0
    flags: int = 0
    mode: int = 0
    size: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    local_method: int | None = None
    disk: int = 0
    at: int | None = None  # another member's offset
    extra: bytes = b""
    packed: bytes | None = None  # the bytes in the archive
    local_crc: int | None = None

    def stored(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return zlib.compress(self.data, wbits=-15) if self.method == 8 else self.data

    def sizes(self) -> tuple[int, int, int]:
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        return crc, len(self.stored()), len(self.data) if self.size is None else self.size

    def local(self) -> bytes:
        name = self.name if self.local_name is None else self.local_name
        method = self.method if self.local_method is None else self.local_method
        crc, stored, size = self.sizes()
        numbers = (crc if self.local_crc is None else self.local_crc, stored, size, len(name), 0)
        head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, self.flags, method, 0, 33, *numbers)
        return head + name + self.stored()

    def central(self, offset: int) -> bytes:
        tail = (len(self.name), len(self.extra), 0, self.disk, 0, self.mode << 16, offset)
        head = struct.pack("<4s6H3L", b"PK\1\2", 0x314, 20, self.flags, self.method, 0, 33, *self.sizes())
        return head + struct.pack("<5H2L", *tail) + self.name + self.extra


def raw_zip(*members: Raw, comment: bytes = b"", count: int | None = None) -> bytes:
    body, directory = b"", b""
    for member in members:
        directory += member.central(len(body) if member.at is None else member.at)
        body += member.local() if member.at is None else b""
    total = len(members) if count is None else count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, total, total, len(directory), len(body), len(comment))
    return body + directory + end + comment
