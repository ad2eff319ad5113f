"""The image and mask files of a job's rows: where they lie, how large they are, and safe, unique names for copies."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import PIL
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.archive.policy import RESERVED_NAME
from dermdata.errors import UsageError
from dermdata.export.image_bytes import Recipe, find_depth_change
from dermdata.export.job import Job, leave_out_rows
from dermdata.images import SIGNATURE_BYTES
from dermdata.images.decode import describe_unread, is_readable_start
from dermdata.images.image_file import open_image_file
from dermdata.manifest.columns import column_values, text_column
from dermdata.manifest.image_files import FoundPath, ImageFinder
from dermdata.markup import count_nouns

PATH_COLUMNS = ("path", "mask_path", "masks")  # files of the cache, which are elsewhere in an export
MISSING_IMAGES = "rows without an image file"
BROKEN_IMAGES = "rows whose image cannot be used (column image_problem says why)"
MASKS_TYPE = pa.map_(pa.string(), pa.string())
FORBIDDEN_CHARACTERS = frozenset('<>:"/\\|?*')  # Windows; a slash is a folder everywhere
LONGEST_NAME = 120  # bytes; most systems allow 255, of which endings and a temporary name take some
NO_FILE = "no image file"
DEEP_FORMATS = (None, "tiff", "png")  # that may have levels of more than 8 bits
UNCHECKED_IMAGES = "images have no checksum to compare with"
FORMAT_ENDINGS = {"jpeg": "jpg", "png": "png", "tiff": "tif", "gif": "gif", "bmp": "bmp", "webp": "webp"}
SUFFIX_ENDINGS = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif"}  # endings that say the same


class NoUsableImages(UsageError):
    """There are rows, and none has an image that can be written."""


def locate_files(table: pa.Table, job: Job, column: str = "path") -> list[FoundPath]:
    """The absolute path of each row's file, None where the row names none or it is not there."""
    return job.open_finder().column_paths(table, column)


def locate_nested_files(
    rows: Sequence[Sequence[FoundPath]], table: pa.Table, job: Job
) -> list[list[FoundPath]]:
    """The absolute path of each file of each row."""
    finder = job.open_finder()
    return finder.map_rows(table, rows, lambda row, dataset: [finder.find(path, dataset) for path in row])


def to_absolute_paths(table: pa.Table, finder: ImageFinder) -> tuple[pa.Table, Counter[str]]:
    """The table with absolute paths, null where no file is, so that it can be used from any folder.

    With it, in words, of how many rows there is no image, or one that does not decode.
    """
    for name in ("path", "mask_path", "masks"):
        if name in table.column_names and table[name].null_count < table.num_rows:
            place = table.column_names.index(name)
            table = table.set_column(place, table.schema.field(name), absolute_column(table, finder, name))
    broken = pc.and_(pc.is_valid(table["path"]), pc.is_valid(text_column(table, "image_problem")))
    counts = {MISSING_IMAGES: table["path"].null_count, BROKEN_IMAGES: pc.sum(broken).as_py() or 0}
    return table, +Counter(counts)


def absolute_column(table: pa.Table, finder: ImageFinder, column: str) -> pa.ChunkedArray:
    """The column with its paths absolute."""
    kind = MASKS_TYPE if column == "masks" else pa.string()
    done = [pa.array(part, kind) for part in finder.path_blocks(table, column)]
    return pa.chunked_array(done, kind)


def file_sizes(table: pa.Table, found: Sequence[FoundPath]) -> list[int]:
    """Bytes of each row's image as the manifest says, as the disk says where it says nothing; 0 without image."""
    return [file_size(path, size) for path, size in zip(found, column_values(table, "bytes"), strict=True)]


def file_size(path: FoundPath, known: int | None) -> int:
    if path is None:
        return 0
    return known if known is not None else Path(path).stat().st_size


def file_fingerprint(path: FoundPath) -> tuple[int, int] | None:
    """Bytes and time of the last change; None for no file."""
    if path is None:
        return None
    facts = Path(path).stat()
    return facts.st_size, facts.st_mtime_ns


def portable_name(word: str, longest: int = LONGEST_NAME) -> str:
    """A word as one name: it cannot lead elsewhere, hide, or be refused by Windows."""
    kept = word
    if not (FORBIDDEN_CHARACTERS.isdisjoint(word) and word.isprintable()):
        kept = "".join(
            "_" if char in FORBIDDEN_CHARACTERS or not char.isprintable() else char for char in word
        )
    kept = unicodedata.normalize("NFC", kept).rstrip(". ").lstrip(" ")
    if kept.startswith("."):
        kept = "_" + kept[1:]
    if RESERVED_NAME.match(kept):
        kept = f"{kept}_"
    return shorten_name(kept, longest) or "_"


def shorten_name(name: str, longest: int) -> str:
    """At most so many bytes of UTF-8; what is cut is told apart by its hash."""
    if len(name.encode()) <= longest:
        return name
    return name.encode()[: longest - 9].decode(errors="ignore") + "-" + short_hash(name)


def unique_names(names: Sequence[str], identities: Sequence[str]) -> list[str]:
    """The names, where several are one on some file system (Ä = ä) each with a hash of its own identity.

    Which name a row gets does not depend on the order of the rows; rows of one identity are numbered.
    """
    seen: dict[str, str] = {}
    shared = set()
    for name, identity in zip(names, identities, strict=True):
        if seen.setdefault(name.casefold(), identity) != identity:
            shared.add(name.casefold())
    return number_duplicates(
        f"{name}-{short_hash(identity)}" if name.casefold() in shared else name
        for name, identity in zip(names, identities, strict=True)
    )


def number_duplicates(names: Iterable[str]) -> list[str]:
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 1
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.casefold())
        found.append(free)
    return found


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def usable_images(table: pa.Table, job: Job) -> tuple[list[FoundPath], list[str | None], int]:
    """Each row's image file, None where there is none that decodes; then why; and of how many nobody allows that."""
    found = locate_files(table, job)
    stated, formats = (text_column(table, name).to_pylist() for name in ("image_problem", "format"))
    reasons = [
        problem or (NO_FILE if path is None else None if form else find_start_problem(path))
        for path, problem, form in zip(found, stated, formats, strict=True)
    ]
    bad = len(reasons) - reasons.count(None) - (found.count(None) if job.allow_missing else 0)
    return [None if reason else path for path, reason in zip(found, reasons, strict=True)], reasons, bad


def find_start_problem(path: str) -> str | None:
    """Why a file, of which the manifest says nothing, is no image by its first bytes; None where it may be one."""
    try:
        with open_image_file(path) as file:
            start = file.read(SIGNATURE_BYTES)
    except OSError:  # whoever reads it whole says what is the matter
        return None
    return None if is_readable_start(start) else describe_unread(start).problem


def drop_missing_images(job: Job) -> tuple[Job, list[FoundPath]]:
    """The job without the rows that have no image that can be used, and the files of the others.

    NoUsableImages when there are rows and none has one: an empty export would only look like success.
    """
    found, reasons, bad = usable_images(job.table, job)
    if found and not any(found):
        raise NoUsableImages(
            f"none of the {count_nouns(len(found), 'row')} has an image that can be used",
            hint="`dermdata fetch NAME` fetches the images; `export csv` needs none",
        )
    return leave_out_rows(job, reasons, unusable=bad), [path for path in found if path is not None]


def lesion_masks(table: pa.Table, job: Job) -> list[FoundPath]:
    """Each row's lesion mask."""
    return locate_files(table, job, "mask_path")


def image_endings(table: pa.Table, found: Sequence[FoundPath], recipe: Recipe) -> list[str]:
    """Each image's ending without the dot, by its stored format, else by its name: jpg, png, tif and so on.

    Its name is the manifest's: the file that it leads to by a link may be called anything.
    """
    formats, named = (text_column(table, name).to_pylist() for name in ("format", "path"))
    return [
        image_ending(form, Path((path and name) or "").suffix[1:].lower(), recipe)
        for form, name, path in zip(formats, named, found, strict=True)
    ]


def image_ending(form: str | None, suffix: str, recipe: Recipe) -> str:
    name = FORMAT_ENDINGS.get(form or "") or SUFFIX_ENDINGS.get(suffix, suffix)
    return name if name in ("jpg", "png") or not recipe.changes else "png"


def image_identities(table: pa.Table) -> list[str]:
    """What tells one image from another."""
    columns = [text_column(table, name).to_pylist() for name in ("dataset", "image_id", "path")]
    return ["\0".join(word or "" for word in row) for row in zip(*columns, strict=True)]


def image_names(table: pa.Table) -> list[str]:
    """Each row's image_id, else the name of its file."""
    named = zip(text_column(table, "image_id").to_pylist(), table["path"].to_pylist(), strict=True)
    return [image_id or Path(path or "").stem for image_id, path in named]


def digest_flags(table: pa.Table) -> list[bool]:
    """Whether a row says by a digest which bytes its image has."""
    return [bool(digest) for digest in text_column(table, "sha256").to_pylist()]


def image_digests(table: pa.Table) -> pa.Table:
    """`sha256` and `key` of each row: what its image is compared with when it is read, and how the row is called."""
    return pa.table({name: text_column(table, name) for name in ("sha256", "key")})


def note_images(job: Job, found: Sequence[FoundPath]) -> dict[str, int]:
    """In words what else a person must know of the images: what cannot be checked, or not be kept as it is."""
    formats = text_column(job.table, "format").to_pylist()
    notes = Counter[str]()
    for path, is_known, form in zip(found, digest_flags(job.table), formats, strict=True):
        if path is None:
            continue
        notes[UNCHECKED_IMAGES] += not is_known
        if job.recipe.changes and form in DEEP_FORMATS and (kind := find_depth_change(path, job.recipe)):
            notes[kind] += 1
    return dict(+notes)


def recipe_version(recipe: Recipe) -> str:
    """What else decides the bytes of images made by this recipe."""
    return f"{recipe} {PIL.__version__ if recipe.changes else ''}"
