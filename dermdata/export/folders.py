"""What the formats that fill a folder share: pieces are kept, swept and made, the same way for each."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermdata import disk
from dermdata.export import ledger, leftout
from dermdata.export.job import Job, Part, Written, stem
from dermdata.export.ledger import Ledger, Writing
from dermdata.export.placing import Placed


@dataclass(frozen=True)
class Piece:
    """One file: what decides its bytes, and how it is made."""

    path: str  # below OUT
    mark: str  # "": always made anew
    rows: int
    bytes: int  # of images as stored
    make: Callable[[Path], None]  # writes the file, which has its name only when it is whole


def of_content(path: str, content: bytes) -> Piece:
    """A small file made of these bytes."""
    mark = hashlib.sha256(content).hexdigest()[:16]
    return Piece(path, mark, 0, 0, lambda target: write_content(target, content))


def write_content(target: Path, content: bytes) -> None:
    disk.write(target, [content])


def of_left(job: Job) -> list[Piece]:
    """`left-out.csv`, where rows are; for one split it has the split's name."""
    if not job.left.num_rows:
        return []
    name = leftout.NAME if job.split is None else f"left-out-{stem(job)}.csv"
    return [of_content(name, leftout.content(job.left, excel_safe=job.excel_safe))]


def opened(job: Job, form: str) -> Ledger:
    return ledger.opened(job.place, form, stem(job))


def marks(pieces: Iterable[Piece | Placed]) -> dict[str, str]:
    """Path -> mark of what an export shall have."""
    return {one.path: one.mark for one in pieces}


def plan(record: Ledger, pieces: Sequence[Piece]) -> tuple[Part, ...]:
    """What `write` would make; UsageError where it would refuse to."""
    record.require_free(marks(pieces))
    return tuple(
        Part(record.place.at(one.path), one.rows, one.bytes, record.keeps(one.path, one.mark))
        for one in pieces
    )


def write(job: Job, record: Ledger, pieces: Sequence[Piece], notes: Mapping[str, int]) -> Written:
    """Make the pieces that are not there; `notes`: what else is to be told, in words -> rows."""
    with record.writing(marks(pieces), job.progress) as run:
        todo = [piece for piece in pieces if not run.keeps(piece.path)]
        if job.size is None:
            require_space(job, [piece.bytes for piece in todo])
        run.begin()
        fill(run, todo)
    paths = tuple(record.place.at(piece.path) for piece in pieces)
    size = sum(record.place.size(piece.path) for piece in pieces)
    rows = sum(piece.rows for piece in pieces)
    return Written(paths, rows, size, len(pieces) - len(todo), {**leftout.counted(job.left), **notes})


def fill(run: Writing, todo: Sequence[Piece]) -> None:
    """Make each file, if nobody else writes into the folder."""
    for piece in todo:
        run.require_ours()
        run.place.fill(piece.path, piece.make)
        run.add(piece.path)


def require_space(job: Job, sizes: Sequence[int]) -> None:
    """StorageError unless there is room for all files, or for one at a time on its way to a bucket."""
    if job.bucket is None:
        disk.require_space(job.out, sum(sizes))
    else:
        disk.require_space(job.bucket.spool, max(sizes, default=0))
