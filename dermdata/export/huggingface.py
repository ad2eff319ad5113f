"""A folder that `datasets.load_dataset(OUT)` loads, and that can be uploaded to the Hub as it is.

  data/<split>-00000-of-00003.parquet   rows with their images (and masks), at most 500 MB each
  README.md                             the dataset card: licence, task, features, size, sources, citations

`image` and `mask` are Image features, `label` is a ClassLabel (of the column `label`, else of `diagnosis`; null where
a row has no class). Splits are named as usual there: `val` is `validation`, everything is `train` where the
manifest has no split. No path of this machine is in it.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.export import (
    about,
    card,
    classes,
    features,
    files,
    folders,
    names,
    parts,
    pictures,
    shards,
    sheets,
)
from dermdata.export.features import Feature
from dermdata.export.folders import Piece
from dermdata.export.job import Job, Part, Written
from dermdata.export.ledger import Ledger
from dermdata.export.pixels import Recipe
from dermdata.export.sheets import IMAGE, MASK, Sheet
from dermdata.export.stamps import stamp
from dermdata.export.stream import Images
from dermdata.export.tabular import tabular

FORM = "huggingface"
NO_COLUMNS = ("path", "mask_path", "masks", IMAGE, MASK, "label")
USUAL = {"": "train", "val": "validation", "all": "all_"}  # `all` means every split there


def plan(job: Job) -> tuple[Part, ...]:
    _, record, pieces = decided(job)
    return folders.plan(record, pieces)


def write(job: Job) -> Written:
    """Write the shards that are not there, and the card."""
    job, record, pieces = decided(job)
    return folders.write(job, record, pieces, pictures.count_unchecked(job.table))


def decided(job: Job) -> tuple[Job, Ledger, list[Piece]]:
    if job.out.suffix == ".parquet":
        raise UsageError("huggingface writes a folder", hint="give a folder as -o OUT")
    record = folders.opened(job, FORM)
    job, found = pictures.with_images(job)
    sheet = sheet_of(job, found)
    divided = parts.split_parts(job.table)
    named = split_names([part.name for part in divided])
    pieces = [
        piece
        for part, name in zip(divided, named, strict=True)
        for piece in shards_of(job, sheet, part, name)
    ]
    splits = {
        name: (len(part.rows), sum(parts.picked(sheet.sizes, part.rows)))
        for part, name in zip(divided, named, strict=True)
    }
    readme = card.text(job, features.of(sheet.schema, special(job)), splits)
    return job, record, [*pieces, folders.of_content("README.md", readme.encode()), *folders.of_left(job)]


def sheet_of(job: Job, found: Sequence[str | None]) -> Sheet:
    """All rows as the files will have them."""
    table = tabular(job.table.select([name for name in job.table.column_names if name not in NO_COLUMNS]))
    numbers = classes.numbers(classes.words(job.table, job.label), job.classes)
    if job.classes:
        table = table.add_column(0, "label", pa.array(numbers, pa.int64()))
    sizes = files.sizes(job.table, found)
    images = {IMAGE: Images(found, sizes, job.recipe, pictures.digests(job.table))}
    covers = pictures.masks(job.table, job)
    if any(covers):
        images[MASK] = Images(covers, [None] * len(covers), Recipe(job.size, job.strip, mask=True))
    ours = {f"dermdata.{key}".encode(): value.encode() for key, value in about.of(job.table).items()}
    schema = Sheet(table, images, sizes).schema
    table = table.replace_schema_metadata(ours | features.metadata(schema, special(job)))
    return Sheet(table, images, sizes)


def special(job: Job) -> dict[str, Feature]:
    return {IMAGE: features.IMAGE, MASK: features.IMAGE, "label": features.class_label(job.classes)}


def split_names(given: Sequence[str]) -> list[str]:
    """Names that `datasets` takes for splits: letters, digits and underscores."""
    plain = [USUAL.get(name, re.sub(r"\W", "_", name)) for name in given]
    return [name.replace("-", "_") for name in names.unique(plain, given)]


def shards_of(job: Job, sheet: Sheet, part: parts.SplitPart, name: str) -> Iterator[Piece]:
    sizes = parts.picked(sheet.sizes, part.rows)
    runs = shards.cut(sizes, shards.SHARD_BYTES, shards.SHARD_ROWS)
    for number, (start, stop) in enumerate(runs):
        path = f"data/{name}-{number:05}-of-{len(runs):05}.parquet"
        yield shard(job, chosen(sheet, part.rows[start:stop].tolist()), path)


def chosen(sheet: Sheet, rows: list[int]) -> Sheet:
    images = {name: one.take(rows) for name, one in sheet.images.items()}
    return Sheet(sheet.table.take(pa.array(rows, pa.int64())), images, [sheet.sizes[at] for at in rows])


def shard(job: Job, sheet: Sheet, path: str) -> Piece:
    def make(target: Path) -> None:
        sheets.write(target, sheet, job)

    return Piece(path, mark_of(sheet), sheet.table.num_rows, sum(sheet.sizes), make)


def mark_of(sheet: Sheet) -> str:
    """What decides the bytes of a shard; "" where the manifest does not say which bytes an image has."""
    if not all(pictures.sure(sheet.table)):
        return ""
    masks = sheet.images[MASK].found if MASK in sheet.images else []
    made = [pictures.version(one.recipe) for one in sheet.images.values()]
    return shards.digest(sheet.table, sheet.sizes, repr([stamp(path) for path in masks]), *made)[:32]
