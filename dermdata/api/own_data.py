"""What a person wants to add to the catalog, and what lies there: pictures, and the table that names them."""

import codecs
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.resources import Resources
from dermdata.errors import BadTable, IntegrityError, TableRefused, UsageError
from dermdata.markup import agree_verb, count_nouns
from dermdata.model import Placement

if TYPE_CHECKING:
    from dermdata.fetching.local import LocalFile, LocalFiles
    from dermdata.fetching.record import SurveyedRecord
    from dermdata.inference.masks import MaskGuess
    from dermdata.readers.delimited import OwnTable

TEXT_TABLES = (".csv", ".tsv", ".tab", ".txt")
TABLE_ENDINGS = (*TEXT_TABLES, ".xlsx")
SURE_TABLES = (".csv", ".tsv", ".tab", ".xlsx")  # what is called so is meant as a table
UNREAD_TABLES = (".xls", ".ods", ".numbers", ".parquet", ".json", ".jsonl", ".ndjson")
UNREAD_FORMS = (".npz", ".npy", ".h5", ".hdf5", ".mat", ".pkl", ".tfrecord", ".tfrecords", ".lmdb", ".svs")
SIDECARS = (
    ".txt",
    ".json",
    ".cls",
    ".xml",
    ".yaml",
)  # beside a picture of their name they are of that one alone
SHOWN = 8  # names in a message
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
class FoundTable:
    """The table of the sources, read."""

    file: "LocalFile"
    own: "OwnTable"
    encoding: str | None = None  # where it is not UTF-8
    reader: str = "table"
    sheet: str | None = None  # of a workbook

    @property
    def shown(self) -> str:
        """What it is called in a message."""
        return f"{self.file.shown}: {self.sheet}" if self.sheet else self.file.shown

    @property
    def is_surely_table(self) -> bool:
        """Whether its ending says that it is one; text is much else, too."""
        return self.file.leaf.lower().endswith(SURE_TABLES)

    @property
    def names(self) -> list[str]:
        """Its columns, those without a name left out."""
        return [name for name in self.own.rows.column_names if name]

    def cells(self, name: str) -> list[str]:
        """The words of a column, row by row."""
        words: list[str] = self.own.rows[name].to_pylist()
        return words


@dataclass(frozen=True)
class OwnData:
    """What was found in the sources."""

    images: Sequence["LocalFile"]
    table: FoundTable | None
    record: "SurveyedRecord | None" = None  # where they lie, if not on this machine
    masks: Sequence[
        "MaskGuess"
    ] = ()  # the ways in which files are called like masks; those that are sure are no images

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
    from dermdata.api.own_records import require_pictures, survey_record
    from dermdata.fetching.local import LocalFiles
    from dermdata.fetching.local.files import is_image_file

    record = survey_record(resources, request, workplace, TABLE_ENDINGS)
    require_nameable(list_sources(request))
    found = record.found if record else LocalFiles(list_sources(request), resources.settings.cache, workplace)
    found.open_zips()
    if record is None:
        found.open_deeper(())
    every = found.all_files()
    pictures = [one for one in every if is_image_file(one) and one.size]
    require_pictures(record, pictures)
    if not pictures:
        raise UsageError(
            f"no picture lies in {', '.join(map(str, request.sources))}",
            hint=f"{count_nouns(len(every), 'file')} found; give the folder or the zip that holds the pictures",
        )
    masks = find_masks(found, pictures, is_here=record is None)
    images = exclude_masks(pictures, masks)
    beside = find_sidecars(every, images)
    tell_unread(resources, every, list(beside))
    candidates = [one for one in every if one.leaf.lower().endswith(TABLE_ENDINGS) and one not in beside]
    return OwnData(images, choose_table(resources, request, found, candidates, images), record, masks)


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


def choose_table(
    resources: Resources,
    request: AddRequest,
    found: "LocalFiles",
    candidates: "Sequence[LocalFile]",
    images: "Sequence[LocalFile]",
) -> FoundTable | None:
    """The table that is meant, or the only one that names the pictures; None where there is none."""
    if request.table and not request.record:
        tables = sure = read_meant_tables(request.table, found, candidates, images)
    else:
        tables = read_candidates(resources, found, candidates, images)
        sure = [one for one in tables if one.is_surely_table]
    files = {key for one in images for key in name_keys(one.name)}
    fitting = [one for one in tables if names_images(one, files, request.columns.get("image"))]
    return find_only_table(fitting, sure)


def find_only_table(fitting: Sequence[FoundTable], sure: Sequence[FoundTable]) -> FoundTable | None:
    """The one that names the pictures, else the only one; None where there is none. UsageError where that is not one."""
    likely = fitting or sure
    if len(likely) < 2:
        return likely[0] if likely else None
    shown = ", ".join(one.shown for one in likely[:SHOWN])
    which = (
        f"{count_nouns(len(fitting), 'table')} name the pictures"
        if fitting
        else "no table names the pictures"
    )
    raise UsageError(f"{which}: {shown}", hint="say which one with --table FILE")


def read_meant_tables(
    path: Path, found: "LocalFiles", candidates: "Sequence[LocalFile]", images: "Sequence[LocalFile]"
) -> list[FoundTable]:
    """The tables of the file that the person names; UsageError where it has none."""
    meant = [one for one in candidates if one.path.resolve() == path.resolve()]
    tables = [table for one in meant for table in read_tables(found, one, images)]
    if not tables:
        raise UsageError(f"{path} is no table that dermdata reads", hint="save it as CSV")
    return tables


def read_candidates(
    resources: Resources,
    found: "LocalFiles",
    candidates: "Sequence[LocalFile]",
    images: "Sequence[LocalFile]",
) -> list[FoundTable]:
    """The tables in files that may be some; those that are none are named."""
    tables: list[FoundTable] = []
    misfits: list[str] = []
    for one in candidates:
        try:
            tables += read_tables(found, one, images)
        except BadTable as error:
            misfits.append(f"warning: {one.shown} is not looked at: {error.message}")
    for line in misfits[:SHOWN]:
        resources.say(line)
    if len(misfits) > SHOWN:
        resources.say(f"warning: {count_nouns(len(misfits), 'file', 'are')} in all not looked at")
    return tables


def names_images(table: FoundTable, files: Collection[str], said: str | None) -> bool:
    """Whether one of its columns has mostly names of the pictures, or is the one of which the person says so."""
    if said:
        return said in table.names
    for name in table.names:
        words = [word for word in table.cells(name) if word]
        known = sum(not name_keys(word).isdisjoint(files) for word in words)
        if known > len(words) / 2:
            return True
    return False


def read_tables(found: "LocalFiles", file: "LocalFile", images: "Sequence[LocalFile]") -> list[FoundTable]:
    """The tables in a file: the sheets of a workbook, else one; BadTable for what is none."""
    if not file.leaf.lower().endswith(".xlsx"):
        return [read_text_table(found, file, images)]
    from dermdata.readers.delimited import OwnTable
    from dermdata.readers.spreadsheet import read_own_sheets

    try:
        sheets = read_own_sheets(found.read(file), file.shown)
    except TableRefused as error:  # a publisher's table elsewhere: this one is the person's own
        raise BadTable(error.message, hint=error.hint) from error
    return [
        FoundTable(file, OwnTable(rows, [], ()), reader="spreadsheet", sheet=title)
        for title, rows in sheets.items()
    ]


def read_text_table(found: "LocalFiles", table: "LocalFile", images: "Sequence[LocalFile]") -> FoundTable:
    """A table in text, and its encoding; one without a header line is known by the picture that its first line names."""
    from dermdata.inference.columns import lacks_header
    from dermdata.readers.delimited import parse_own_table
    from dermdata.text_files import MARKS, find_encoding

    files = {key for one in images for key in name_keys(one.name)}
    data = found.read(table)
    own = parse_own_table(
        data,
        table.shown,
        lambda names, first: lacks_header(names, first, lambda word: bool(files & name_keys(word))),
    )
    named, _ = find_encoding(data)
    utf = data.startswith(tuple(MARKS)) or codecs.lookup(named).name == "utf-8"
    return FoundTable(table, own, None if utf else named)


def name_keys(name: str) -> set[str]:
    """How a picture's file may be named in a table: by its own name, with or without ending."""
    from dermdata.manifest.match import strip_ending

    leaf = name.replace("\\", "/").rpartition("/")[2].casefold()
    return {leaf, strip_ending(leaf)}


def count_folders(images: "Sequence[LocalFile]") -> dict[str, int]:
    """How many pictures lie in each folder, by its own name."""
    from collections import Counter

    return dict(Counter(one.name.rpartition("/")[0].rpartition("/")[2] for one in images))


def find_only_folder(images: "Sequence[LocalFile]") -> str | None:
    """The name of the folder that holds all pictures; None where they lie in several."""
    folders = list(count_folders(images))
    return folders[0] if len(folders) == 1 else None


def find_unique_parts(images: "Sequence[LocalFile]") -> tuple[str, ...]:
    """Which parts of a path name a picture without a table: its own name, else its folder too, else all of it."""
    paths = [one.name.rpartition("/")[0].rpartition("/")[2] for one in images]
    names = [one.leaf.rpartition(".")[0] for one in images]
    if len(set(names)) == len(names):
        return ("image",)
    in_folders = len(set(paths)) > 1 and len(set(zip(paths, names, strict=True))) == len(names)
    return ("label_raw", "image") if in_folders else ("@path",)


def list_sources(request: AddRequest) -> list[Path]:
    """All that was given, the table too, each once."""
    return list(dict.fromkeys([*request.sources, *([request.table] if request.table else [])]))
