"""Takes a dataset out of a bundle (cache/bundle.py): every byte is checked before it gets a name in the cache."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dermdata import archive, checksum, disk
from dermdata.archive import Extraction, Limits
from dermdata.cache import Cache, Folder
from dermdata.cache.bundle import INDEX, SCHEMA, Bundled
from dermdata.errors import ArchiveRefused, ChecksumMismatch

INDEX_BYTES = 16 << 20
LIMITS = Limits(member_bytes=2 << 40)  # an archive that was kept is one member
SHOWN = 3


def is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does."""
    if not path.is_file():
        return False
    with disk.storage_errors(path), path.open("rb") as file:
        return file.read(len(INDEX) + 1) == f"{INDEX}\0".encode()


def index(path: Path) -> list[Bundled]:
    """What a bundle holds; ArchiveRefused when its index is broken or of a newer dermdata."""
    try:
        with disk.storage_errors(path), tarfile.open(path, "r:") as tar:
            first = tar.next()
            file = tar.extractfile(first) if first and first.size <= INDEX_BYTES else None
            data = json.loads(file.read()) if file else None
        return entries(path, data)
    except (tarfile.TarError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveRefused(f"{path}: its index is broken ({error})", hint=AGAIN) from error


AGAIN = "copy it again, or write it again with `dermdata cache bundle`"


def entries(path: Path, data: Any) -> list[Bundled]:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ArchiveRefused(
            f"{path} was written by another version of dermdata", hint="use the same version on both machines"
        )
    found = [Bundled(**one) for one in data["datasets"]]
    if not all(isinstance(text, str) for one in found for text in (one.name, one.folder, one.receipt_sha256)):
        raise TypeError("a text is of another kind")
    return found


def unpack(
    path: Path, one: Bundled, cache: Cache, *, jobs: int, advance: Callable[[int], None] = lambda _: None
) -> Folder:
    """Put one dataset of a bundle into its place, whole or not at all; for whoever holds its lock.

    ArchiveRefused, CacheDamaged or ChecksumMismatch when anything is not as its receipt and contents say.
    """
    home = cache.folder_of(one.name, one.version)
    if home.path.name != one.folder:
        raise ArchiveRefused(f"{path}: {one.folder!r} is no folder of version {one.version!r}", hint=AGAIN)
    shelf = Folder(home.path.parent, one.name, one.version)
    with shelf.unpacking(one.folder) as temporary:
        found = archive.extract(
            path,
            "tar",
            temporary,
            place=lambda name: name.removeprefix(one.prefix),
            wanted=lambda name: name.startswith(one.prefix),
            jobs=jobs,
            progress=advance,
            limits=LIMITS,
        )
        require_whole(path, one, Folder(temporary, one.name, one.version), found)
    return home


def require_whole(path: Path, one: Bundled, folder: Folder, found: Extraction) -> None:
    """The files must be exactly those that index, receipt and contents name, with those checksums."""
    actual = {file.path: file.sha256 for file in found.contents}
    expected = vouched(one, folder)
    names = actual.keys() | expected.keys()
    wrong = sorted(name for name in names if actual.get(name) != expected.get(name))
    wrong.sort(key=lambda name: "/" in name)  # our own lists first: where one is wrong, all else seems so
    if wrong:
        more = f" and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        said = f"{path}: {one.name} is not as it was packed: {', '.join(wrong[:SHOWN])}{more}"
        raise ChecksumMismatch(said, hint=AGAIN)


def vouched(one: Bundled, folder: Folder) -> dict[str, str | None]:
    """Each file's SHA-256, as far as index and receipt can be believed: an altered receipt vouches for nothing."""
    receipt_path = folder.path / "receipt.json"
    if not receipt_path.is_file() or checksum.of_file(receipt_path).sha256 != one.receipt_sha256:
        return {"receipt.json": one.receipt_sha256}
    receipt = folder.receipt()
    if receipt is None or receipt.dataset != one.name or receipt.manifest_sha256 is None:
        return {"receipt.json": None}
    own: dict[str, str | None] = {
        "receipt.json": one.receipt_sha256,
        folder.manifest.name: receipt.manifest_sha256,
    }
    contents = folder.contents_path(receipt.contents_sha256)
    own[contents.name] = receipt.contents_sha256
    if not contents.is_file() or checksum.of_file(contents).sha256 != receipt.contents_sha256:
        return own
    return {**dict(folder.listed()), **own}
