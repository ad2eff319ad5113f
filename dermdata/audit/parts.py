"""Records kept beside a dataset, in Parquet files of one kind: each under its own digest, whole or not at all.

A killed audit loses only what it had not written, and two audits at once do not disturb each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata import disk
from dermdata.checksum import of_chunks
from dermdata.errors import StorageError
from dermdata.progress import Progress

EDITION = b"2"  # another one: records that mean something else, and are not read


class Parts:
    """The files of one kind in one folder; what cannot be kept is said once and only costs time."""

    def __init__(self, folder: Path | None, kind: str, schema: pa.Schema, progress: Progress) -> None:
        self.folder, self.kind, self.progress = folder, kind, progress
        self.mark = f"dermdata.{kind}".encode()
        self.schema = schema.with_metadata({self.mark: EDITION})
        self.paths: list[Path] = sorted(folder.glob(f"{kind}-*.parquet")) if folder else []

    def read(self) -> list[dict[str, Any]]:
        """The rows of all files that can be read and are of this edition."""
        return [row for path in self.paths for row in self._rows(path)]

    def _rows(self, path: Path) -> list[dict[str, Any]]:
        try:
            disk.require_regular(path)
            # ParquetFile, not read_table: the latter imports pandas
            with pq.ParquetFile(path) as file:
                if (file.schema_arrow.metadata or {}).get(self.mark) != EDITION:
                    return []
                found: list[dict[str, Any]] = file.read(columns=self.schema.names).to_pylist()
        except (OSError, pa.ArrowException) as error:
            self.progress.say(f"{path} cannot be read, its images are looked at again: {error}")
            return []
        return found

    def write(self, rows: Sequence[Mapping[str, Any]]) -> Path | None:
        """One more file of these rows; None where it cannot be written."""
        if (
            self.folder is None or not self.folder.is_dir()
        ):  # one that was removed meanwhile is not made again
            return None
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(list(rows), self.schema), buffer, compression="zstd")
        data = buffer.getvalue().to_pybytes()
        path = self.folder / f"{self.kind}-{of_chunks([data])[:16]}.parquet"
        try:
            disk.write(path, [data])
        except StorageError as error:
            self.progress.say(f"what was seen of images is not kept: {error.message}")
            self.folder = None
            return None
        self.paths.append(path)
        return path

    def tidy(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """One file of all rows in place of several."""
        old = self.paths
        if len(old) > 1 and (whole := self.write(list(rows))):
            self.paths = [whole]
            with disk.storage_errors(whole):
                for path in {*old} - {whole}:
                    path.unlink(missing_ok=True)
