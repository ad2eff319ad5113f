"""Builds cache folders as a fetch leaves them, without fetching, and alters bundles of them."""

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from dermdata.cache import Cache, DatasetFolder, Receipt
from dermdata.checksum import sha256_of_chunks
from dermdata.model import Content

RECEIPT = Receipt(dataset="demo", version="1", tool="0", catalog_digest="d", roles=("images",), files=())
MANIFEST = b"PAR1 stands for a manifest"


def fetched(cache: Cache, name: str, images: Mapping[str, bytes]) -> DatasetFolder:
    """A dataset's folder as a fetch leaves it."""
    folder = cache.version_folder(name, "1")
    contents = []
    for path, data in images.items():
        target = folder.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        digest = sha256_of_chunks([data])
        contents.append(Content(path=path, role="images", file="a.zip", size=len(data), sha256=digest))
    folder.manifest.write_bytes(MANIFEST)
    folder.write_receipt(
        replace(
            RECEIPT,
            dataset=name,
            contents_sha256=folder.write_contents(contents),
            manifest_sha256=sha256_of_chunks([MANIFEST]),
        )
    )
    return folder


def tree(folder: DatasetFolder) -> dict[str, bytes]:
    return below(folder.path)


def files(cache: Path) -> dict[str, bytes]:
    """Every file of all datasets."""
    return below(cache / "datasets")


def below(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def rewritten(bundle: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A bundle with each member as `change` makes it of name and bytes; None leaves it out."""
    with tarfile.open(bundle) as old, tarfile.open(target, "w") as new:
        for member in old:
            file = old.extractfile(member)
            data = change(member.name, file.read() if file else b"")
            if data is not None:
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    return target
