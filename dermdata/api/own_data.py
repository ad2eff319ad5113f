"""What a person wants to add to the catalog, and what lies there: pictures, and the table that names them."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.own_tables import (
    PACKED_TABLES,
    TABLE_ENDINGS,
    FoundTable,
    choose_table,
    name_keys,
    read_candidates,
    read_meant_tables,
    read_packed,
    read_samples,
)
from dermdata.api.resources import Resources
from dermdata.errors import IntegrityError, UsageError
from dermdata.markup import agree_verb, count_nouns
from dermdata.model import Placement

if TYPE_CHECKING:
    from dermdata.fetching.image_rows import ImageRows
    from dermdata.fetching.local import LocalFile, LocalFiles
    from dermdata.fetching.record import SurveyedRecord
    from dermdata.inference.masks import MaskGuess

UNREAD_TABLES = (".xls", ".ods", ".numbers")
UNREAD_FORMS = (".npy", ".h5", ".hdf5", ".mat", ".pkl", ".tfrecord", ".tfrecords", ".lmdb")
SIDECARS = (
    ".txt",
    ".json",
    ".cls",
    ".xml",
    ".yaml",
)  # beside a picture of their name they are of that one alone
SHOWN_FILES = 3


@dataclass(frozen=True, kw_only=True)
class AddRequest:
    """What a person wants to add, and what they say of it."""

    name: str
    sources: Sequence[Path]  # folders, archives, tables
    record: str | None = None  # in place of these a host's record, `<host>:<id>`
    table: Path | None = None  # which table, where there are several
    columns: Mapping[str, str] = field(default_factory=dict)  # manifest field -> their column, "" for none
    modality: str | None = None
    catalog: Path | None = None  # the folder to write to
    placement: Placement = "in-place"  # where the pictures are from now on
    accept: Sequence[str] = ()  # WORD=CONCEPT and the like, or sure, all, ask
    prompt: Callable[[str], str] | None = (
        None  # puts a question; each word that is not sure, where `accept` says ask
    )
    force: bool = False  # write over an entry that is there
    dry_run: bool = False  # only look


@dataclass(frozen=True)
class OwnData:
    """What was found in the sources."""

    images: Sequence["LocalFile"]
    table: FoundTable | None
    record: "SurveyedRecord | None" = None  # where they lie, if not on this machine
    masks: Sequence[
        "MaskGuess"
    ] = ()  # the ways in which files are called like masks; those that are sure are no images

    marks: Sequence[FoundTable] = ()  # COCO documents: boxes around what is marked in the images

    @property
    def sure_masks(self) -> list["MaskGuess"]:
        return [one for one in self.masks if one.is_sure]


def split_sources(words: Sequence[str | os.PathLike[str]]) -> tuple[list[Path], str | None]:
    """The paths among the sources, or the one record; what lies here by that name is no record.

    UsageError for a record beside other sources, and for an address that leads to none.
    """
    from dermdata.hosts.addresses import read_address

    records = {}
    for word in words:
        text = os.fspath(word)
        if isinstance(word, str) and not os.path.lexists(text) and (place := read_address(text)):
            records[text] = place
    if not records:
        return [Path(word) for word in words], None
    if len(words) > 1:
        raise UsageError(
            f"{next(iter(records))} is a record, which is added alone",
            hint="give one record, or paths; --table names the table in it",
        )
    return [], next(iter(records.values()))


def survey_sources(resources: Resources, request: AddRequest, workplace: Path) -> OwnData:
    """The pictures and the tables of the sources; UsageError where there is no picture, or no choice of a table."""
    from dermdata.api.own_records import survey_record

    record = survey_record(resources, request, workplace, TABLE_ENDINGS)
    if record and record.rows:
        return OwnData(record.rows.images, make_rows_table(record.rows), record)
    found = record.found if record else open_sources(resources, request, workplace)
    packed = [] if record else list_packed(found)
    within, packed_tables = read_packed(resources, found, packed)
    pictures = find_pictures(request, found, record, within)
    masks = find_masks(found, pictures, is_here=record is None)
    images = [*exclude_masks(pictures, masks), *within]
    beside = find_sidecars(found.all_files(), images)
    meant = None if record else request.table
    tables = read_all_tables(resources, found, meant, images, beside)
    table = choose_table([*tables, *packed_tables], images, request.columns.get("image"), meant)
    if table is None and record is None:
        table = read_samples(found, beside)
    tell_unread(resources, found.all_files(), list_unread(beside, table))
    return OwnData(images, table, record, masks, list_marks(tables, record))


def list_unread(beside: "Collection[LocalFile]", table: FoundTable | None) -> "list[LocalFile]":
    """The files beside pictures that are no part of the table."""
    return [one for one in beside if table is None or one.within not in table.packed]


def read_all_tables(
    resources: Resources,
    found: "LocalFiles",
    meant: Path | None,
    images: "Sequence[LocalFile]",
    beside: "Collection[LocalFile]",
) -> list[FoundTable]:
    """The tables of the file that the person means, else of all that may be some."""
    candidates = [
        one for one in found.all_files() if one.leaf.lower().endswith(TABLE_ENDINGS) and one not in beside
    ]
    if meant is None:
        return read_candidates(resources, found, candidates, images)
    return read_meant_tables(meant, found, candidates, images)


def open_sources(resources: Resources, request: AddRequest, workplace: Path) -> "LocalFiles":
    """The files of the paths that were given, and what lies in their archives."""
    from dermdata.fetching.local import LocalFiles

    require_nameable(list_sources(request))
    found = LocalFiles(list_sources(request), resources.settings.cache, workplace)
    found.open_zips()
    found.open_deeper(())
    return found


def list_packed(found: "LocalFiles") -> "list[LocalFile]":
    """The files that may hold images together with their rows."""
    return [one for one in found.all_files() if one.leaf.lower().endswith(PACKED_TABLES)]


def find_pictures(
    request: AddRequest,
    found: "LocalFiles",
    record: "SurveyedRecord | None",
    within: "Sequence[LocalFile]",
) -> "list[LocalFile]":
    """The pictures among the files; UsageError where there is none, nor any `within` arrays and Parquet files."""
    from dermdata.api.own_records import require_pictures
    from dermdata.fetching.local.files import is_image_file

    every = found.all_files()
    pictures = [one for one in every if is_image_file(one) and one.size]
    require_pictures(record, pictures)
    if not (pictures or within):
        raise UsageError(
            f"no picture lies in {', '.join(map(str, request.sources))}",
            hint=f"{count_nouns(len(every), 'file')} found; give the folder or the zip that holds the pictures",
        )
    return pictures


def list_marks(tables: Sequence[FoundTable], record: "SurveyedRecord | None") -> list[FoundTable]:
    """The COCO documents among one's own files."""
    return [] if record else [one for one in tables if one.is_coco]


def make_rows_table(rows: "ImageRows") -> FoundTable:
    """The rows that stand in the same files as their images."""
    from dermdata.readers.delimited import OwnTable

    return FoundTable(rows.files[0], OwnTable(rows.table, [], ()), reader="rows")


def require_nameable(paths: Sequence[Path]) -> None:
    """UsageError for a path that no entry can name, since it is no text."""
    from dermdata.readers.folders import is_utf8

    for path in paths:
        if not is_utf8(os.path.abspath(path)):  # noqa: PTH100  # a text is wanted
            shown = os.fsencode(path).decode(errors="backslashreplace")
            raise UsageError(
                f"the path {shown} is not UTF-8, so no entry can name it", hint="rename the folder"
            )


def find_sidecars(every: "Sequence[LocalFile]", images: "Sequence[LocalFile]") -> "Mapping[LocalFile, None]":
    """The files that say something of the one picture of their name, in their order."""
    stems = {key for one in images for key in name_keys(one.name)}
    texts = [one for one in every if one.leaf.lower().endswith(SIDECARS)]
    return dict.fromkeys(one for one in texts if not name_keys(one.name).isdisjoint(stems))


def find_masks(found: "LocalFiles", images: "Sequence[LocalFile]", *, is_here: bool) -> "list[MaskGuess]":
    """The ways in which some of the pictures are called like masks of others; of those of a host none is sure."""
    from dermdata.images import check_image, read_raster
    from dermdata.inference.masks import PictureLook, guess_masks, is_flat

    by_name = {one.name: one for one in images}

    def look(name: str) -> PictureLook | None:
        try:
            data = found.read(by_name[name])
            facts, levels = check_image(data, decode=False), read_raster(data).ravel().tolist()
        except (OSError, IntegrityError):
            return None  # the fetch says why it cannot be read
        return PictureLook((facts.width or 0, facts.height or 0), is_flat(levels))

    return guess_masks(by_name, look if is_here else lambda _: None)


def exclude_masks(images: "Sequence[LocalFile]", masks: "Sequence[MaskGuess]") -> "list[LocalFile]":
    """The pictures that are called like no mask, where it is sure that files of such names are some."""
    globs = [glob for one in masks if one.is_sure for glob in one.globs]
    return [one for one in images if not any(fnmatchcase(one.name, glob) for glob in globs)]


def tell_unread(resources: Resources, every: "Sequence[LocalFile]", beside: "Sequence[LocalFile]") -> None:
    """Say which files may say something of the pictures and are not looked at."""
    for one in every:
        if one.leaf.lower().endswith(UNREAD_TABLES) and one not in beside:
            resources.say(f"warning: {one.shown} is not looked at: save it as CSV to add what it says")
    if unread := [one for one in every if one.leaf.lower().endswith(UNREAD_FORMS)]:
        resources.say(
            f"warning: {count_nouns(len(unread), 'file', 'are')} not looked at: {name_first(unread)}"
        )
    if beside:
        resources.say(
            f"warning: {count_nouns(len(beside), 'file')} called like a picture {agree_verb(len(beside), 'are')} "
            f"not looked at: {name_first(beside)}"
        )


def name_first(files: "Sequence[LocalFile]") -> str:
    """The first ones, and that there are more."""
    return ", ".join(one.shown for one in files[:SHOWN_FILES]) + ", …" * (len(files) > SHOWN_FILES)


def find_unique_parts(images: "Sequence[LocalFile]", *, by_class: bool) -> tuple[str, ...]:
    """Which parts of a path name a picture without a table: its own name, else its class's too, else all of it."""
    paths = [one.name.rpartition("/")[0].rpartition("/")[2] for one in images]
    names = [one.leaf.rpartition(".")[0] for one in images]
    if len(set(names)) == len(names):
        return ("image",)
    in_classes = by_class and len(set(zip(paths, names, strict=True))) == len(names)
    return ("label_raw", "image") if in_classes else ("@path",)


def list_sources(request: AddRequest) -> list[Path]:
    """All that was given, the table too, each once."""
    return list(dict.fromkeys([*request.sources, *([request.table] if request.table else [])]))
