"""Checksums as text, `sha256:<hex>`: parse, hash, compare.

`git-blob-<bytes>:<hex>` is the SHA-1 by which git knows a file of so many bytes: GitHub and Hugging Face publish it.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from dermdata.errors import ChecksumMismatch, UsageError

ALGORITHMS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
HEX_DIGITS = frozenset("0123456789abcdef")
GIT_BLOB = re.compile(r"git-blob-(\d{1,18})", re.ASCII)
CHUNK = 1 << 20


class Hash(Protocol):
    """What hashlib's objects offer."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


def parse_checksum(text: str) -> tuple[str, str]:
    """Split `sha256:ABC…` into algorithm and lower-case digest; UsageError when it is neither."""
    algorithm, _, digest = text.strip().partition(":")
    algorithm, digest = algorithm.lower(), digest.lower()
    length = ALGORITHMS["sha1"] if GIT_BLOB.fullmatch(algorithm) else ALGORITHMS.get(algorithm)
    if length != len(digest) or not HEX_DIGITS.issuperset(digest):
        raise UsageError(
            f"'{text}' is no checksum", hint=f"write {'|'.join(ALGORITHMS)}:<hexadecimal digest>"
        )
    return algorithm, digest


def new_hash(algorithm: str) -> Hash:
    """A running hash; md5 and sha1 only compare published digests, they protect nothing."""
    import hashlib  # with OpenSSL, which `list` has no use for

    if blob := GIT_BLOB.fullmatch(algorithm):
        return hashlib.sha1(b"blob %d\0" % int(blob[1]), usedforsecurity=False)
    return hashlib.new(algorithm, usedforsecurity=False)


class Hasher:
    """SHA-256 and whatever else is asked for, over one pass of the same bytes."""

    def __init__(self, *checksums: str | None) -> None:
        wanted = {"sha256", *(parse_checksum(text)[0] for text in checksums if text)}
        self._running = {algorithm: new_hash(algorithm) for algorithm in sorted(wanted)}

    def update(self, data: bytes | memoryview) -> None:
        for running in self._running.values():
            running.update(data)

    @property
    def sha256(self) -> str:
        return self._running["sha256"].hexdigest()

    def matches(self, checksum: str) -> bool:
        algorithm, digest = parse_checksum(checksum)
        return self._running[algorithm].hexdigest() == digest

    def require(self, checksum: str, what: str) -> None:
        """Raise ChecksumMismatch, with both digests, unless the bytes have this checksum."""
        algorithm, digest = parse_checksum(checksum)
        actual = self._running[algorithm].hexdigest()
        if actual != digest:
            raise ChecksumMismatch(
                f"{what}: {algorithm} is {actual}, expected {digest}",
                hint="the source may have changed or the download was altered; nothing was kept",
            )


def sha256_of_chunks(chunks: Iterable[bytes]) -> str:
    """The SHA-256 hex digest of chunks of bytes."""
    running = new_hash("sha256")
    for chunk in chunks:
        running.update(chunk)
    return running.hexdigest()


def hash_file(path: Path, *checksums: str | None) -> Hasher:
    """A file's hashes, read once in blocks of at most 1 MiB."""
    hasher = Hasher(*checksums)
    with path.open("rb", buffering=0) as file:
        # no more is asked for than is there: a block for each of 10,000 small files costs more than hashing them
        size = os.fstat(file.fileno()).st_size
        room = min(CHUNK, size + 1) if size else CHUNK  # some file systems state no size
        while chunk := file.read(room):
            hasher.update(chunk)
    return hasher
