"""The image and mask files of a job's rows, and which rows have none that can be used."""

from pathlib import Path

import PIL
import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.export import files, leftout
from dermdata.export.files import Found
from dermdata.export.job import Job, without
from dermdata.export.pixels import Recipe

NO_FILE = "no image file"
UNCHECKED = "images have no checksum to compare with"
ENDINGS = {"jpeg": "jpg", "png": "png", "tiff": "tif", "gif": "gif", "bmp": "bmp", "webp": "webp"}
SAME = {"jpeg": "jpg", "tiff": "tif"}  # endings that say the same


def usable(table: pa.Table, job: Job) -> list[Found]:
    """Each row's image file; None where there is none, or where it shall be changed and does not decode."""
    found = files.located(table, job.roots)
    if not job.recipe.changes:
        return found
    problems = leftout.text(table, "image_problem").to_pylist()
    return [None if problem else path for path, problem in zip(found, problems, strict=True)]


def with_images(job: Job) -> tuple[Job, list[Found]]:
    """The job without the rows that have no image that can be used, and the files of the others.

    UsageError when there are rows and none has one: an empty export would only look like success.
    """
    found = usable(job.table, job)
    if found and not any(found):
        raise UsageError(
            f"none of the {len(found):,} rows has an image that can be used",
            hint="`dermdata fetch NAME` fetches the images; `export csv` needs none",
        )
    problems = leftout.text(job.table, "image_problem").to_pylist()
    reasons = [
        None if path is not None else problem or NO_FILE
        for path, problem in zip(found, problems, strict=True)
    ]
    return without(job, reasons), [path for path in found if path is not None]


def masks(table: pa.Table, job: Job) -> list[Found]:
    """Each row's lesion mask."""
    if "mask_path" not in table.column_names:
        return [None] * table.num_rows
    return files.located(table, job.roots, "mask_path")


def endings(table: pa.Table, found: list[Found], recipe: Recipe) -> list[str]:
    """Each image's ending without the dot, by its stored format, else by its name: jpg, png, tif and so on.

    Its name is the manifest's: the file that it leads to by a link may be called anything.
    """
    formats, named = (leftout.text(table, name).to_pylist() for name in ("format", "path"))
    return [
        ending(form, Path((path and name) or "").suffix[1:].lower(), recipe)
        for form, name, path in zip(formats, named, found, strict=True)
    ]


def ending(form: str | None, suffix: str, recipe: Recipe) -> str:
    name = ENDINGS.get(form or "") or SAME.get(suffix, suffix)
    return name if name in ("jpg", "png") or not recipe.changes else "png"


def identities(table: pa.Table) -> list[str]:
    """What tells one image from another."""
    columns = [leftout.text(table, name).to_pylist() for name in ("dataset", "image_id", "path")]
    return ["\0".join(word or "" for word in row) for row in zip(*columns, strict=True)]


def ids(table: pa.Table) -> list[str]:
    """Each row's image_id, else the name of its file."""
    named = zip(leftout.text(table, "image_id").to_pylist(), table["path"].to_pylist(), strict=True)
    return [image_id or Path(path or "").stem for image_id, path in named]


def sure(table: pa.Table) -> list[bool]:
    """Whether a row says by a digest which bytes its image has."""
    return [bool(digest) for digest in leftout.text(table, "sha256").to_pylist()]


def digests(table: pa.Table) -> pa.Table:
    """`sha256` and `key` of each row: what its image is compared with when it is read, and how the row is called."""
    return pa.table({name: leftout.text(table, name) for name in ("sha256", "key")})


def count_unchecked(table: pa.Table) -> dict[str, int]:
    """In words how many rows have no digest of their image, so that nobody can tell whether it is theirs."""
    count = sure(table).count(False)
    return {UNCHECKED: count} if count else {}


def version(recipe: Recipe) -> str:
    """What else decides the bytes of images made by this recipe."""
    return f"{recipe} {PIL.__version__ if recipe.changes else ''}"
