"""What was seen of a dataset's images, so that each file is decoded and each pair compared once.

`looks-….parquet` holds a row for each file, by the SHA-256 of its bytes; `alike-….parquet` one for each two files
that were laid upon each other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata.audit.parts import Parts
from dermdata.images import Look, Private
from dermdata.progress import Progress

PRIVATE = pa.list_(pa.struct([("kind", pa.string()), ("tag", pa.string())]))
LOOKS = pa.schema(
    [
        ("sha256", pa.string()),
        *((name, pa.string()) for name in ("format", "mode", "problem", "damage")),
        *((name, pa.int32()) for name in ("width", "height")),
        ("phash", pa.binary(8)),
        ("private", PRIVATE),
    ]
)
ALIKE = pa.schema(
    [("one", pa.string()), ("other", pa.string()), ("turn", pa.int8()), ("likeness", pa.float32())]
)
Pair = tuple[str, str, int]  # the digests of two files, and how the second was turned


class Shelf:
    """The looks of one dataset's images by digest, and how alike two of them are."""

    def __init__(self, folder: Path | None, progress: Progress) -> None:
        self._looks = Parts(folder, "looks", LOOKS, progress)
        self._alike = Parts(folder, "alike", ALIKE, progress)
        self.looks = {row.pop("sha256"): look_of(row) for row in self._looks.read()}
        self._new: list[str] = []

    def add(self, looks: Mapping[str, Look]) -> None:
        """Remember these; on disk with `keep`."""
        self._new += [digest for digest in looks if digest not in self.looks]
        self.looks.update(looks)

    def keep(self) -> None:
        """Write what is new as one more file."""
        if self._new:
            self._looks.write([row_of(digest, self.looks[digest]) for digest in sorted(self._new)])
            self._new = []

    def tidy(self) -> None:
        """Write what is new, and make one file of several."""
        self.keep()
        self._looks.tidy(row_of(digest, self.looks[digest]) for digest in sorted(self.looks))

    def alike(self) -> dict[Pair, float]:
        """What is known of pairs of which the first is this dataset's."""
        return {(row["one"], row["other"], row["turn"]): row["likeness"] for row in self._alike.read()}

    def keep_alike(self, pairs: Mapping[Pair, float], known: Mapping[Pair, float]) -> None:
        """Write these, and make one file of them and the known ones."""
        if pairs:
            self._alike.write(pair_rows(pairs))
            self._alike.tidy(pair_rows({**known, **pairs}))


def pair_rows(pairs: Mapping[Pair, float]) -> list[dict[str, Any]]:
    return [
        dict(zip(ALIKE.names, (*pair, likeness), strict=True)) for pair, likeness in sorted(pairs.items())
    ]


def row_of(digest: str, look: Look) -> dict[str, Any]:
    return {"sha256": digest, **vars(look), "private": [one._asdict() for one in look.private]}


def look_of(row: dict[str, Any]) -> Look:
    return Look(**row | {"private": tuple(Private(**one) for one in row["private"])})
