"""What was seen of image files, kept beside a dataset so that each file is decoded once: `looks-….parquet`.

Rows are keyed by the SHA-256 of the file's bytes. Every batch becomes a file of its own under its own digest, whole or
not at all, so a killed audit goes on from its last batch and two audits at once do not disturb each other.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata import disk
from dermdata.checksum import of_chunks
from dermdata.errors import StorageError
from dermdata.images import Look, Private
from dermdata.progress import Progress

WHAT = b"dermdata.looks"
EDITION = b"1"  # another one: looks that mean something else, and are not read
PRIVATE = pa.list_(pa.struct([("kind", pa.string()), ("tag", pa.string())]))
COLUMNS = pa.schema(
    [
        ("sha256", pa.string()),
        *((name, pa.string()) for name in ("format", "mode", "problem", "damage")),
        *((name, pa.int32()) for name in ("width", "height")),
        ("phash", pa.binary(8)),
        ("private", PRIVATE),
    ],
    metadata={WHAT: EDITION},
)


class Shelf:
    """The looks of one dataset's images by digest; what cannot be kept is said once and only costs time."""

    def __init__(self, folder: Path | None, progress: Progress) -> None:
        self.folder, self.progress = folder, progress
        self.looks: dict[str, Look] = {}
        self._parts: list[Path] = []
        self._new: list[str] = []
        for path in sorted(folder.glob("looks-*.parquet")) if folder else ():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            # ParquetFile, not read_table: the latter imports pandas
            with pq.ParquetFile(path) as file:
                known = (file.schema_arrow.metadata or {}).get(WHAT) == EDITION
                rows = file.read(columns=COLUMNS.names).to_pylist() if known else []
        except (OSError, pa.ArrowException) as error:
            self.progress.say(f"{path} cannot be read, its images are looked at again: {error}")
            rows = []
        self.looks.update((row.pop("sha256"), look_of(row)) for row in rows)
        self._parts.append(path)

    def add(self, looks: Mapping[str, Look]) -> None:
        """Remember these; on disk with `keep`."""
        self._new += [digest for digest in looks if digest not in self.looks]
        self.looks.update(looks)

    def keep(self) -> None:
        """Write what is new as one more file."""
        if self._new:
            self._write(self._new)
            self._new = []

    def tidy(self) -> None:
        """Write what is new, and make one file of several."""
        self.keep()
        old = self._parts
        if len(old) > 1 and (whole := self._write(self.looks)):
            self._remove(path for path in old if path != whole)

    def _write(self, digests: Iterable[str]) -> Path | None:
        if (
            self.folder is None or not self.folder.is_dir()
        ):  # one that was removed meanwhile is not made again
            return None
        rows = [{"sha256": digest, **row_of(self.looks[digest])} for digest in sorted(digests)]
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, COLUMNS), buffer, compression="zstd")
        data = buffer.getvalue().to_pybytes()
        path = self.folder / f"looks-{of_chunks([data])[:16]}.parquet"
        try:
            disk.write(path, [data])
        except StorageError as error:
            self.progress.say(f"what was seen of {len(rows):,} images is not kept: {error.message}")
            self.folder = None
            return None
        self._parts.append(path)
        return path

    def _remove(self, paths: Iterable[Path]) -> None:
        with disk.storage_errors(self.folder or Path()):
            for path in paths:
                path.unlink(missing_ok=True)


def row_of(look: Look) -> dict[str, Any]:
    return {**vars(look), "private": [one._asdict() for one in look.private]}


def look_of(row: dict[str, Any]) -> Look:
    return Look(**row | {"private": tuple(Private(**one) for one in row["private"])})
