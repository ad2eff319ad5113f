"""What a person wants to add to the catalog, and what lies there: pictures, and the table that names them."""

import codecs
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.resources import Resources
from dermdata.errors import UsageError
from dermdata.markup import count_nouns
from dermdata.model import Placement

if TYPE_CHECKING:
    from dermdata.fetching.local import LocalFile, LocalFiles
    from dermdata.fetching.record import SurveyedRecord
    from dermdata.readers.delimited import OwnTable

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".tab")
OTHER_TABLES = (".xlsx", ".xls", ".ods", ".parquet", ".json", ".jsonl")  # that are not read yet
SHOWN = 8  # names in a message


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

    record = survey_record(resources, request, workplace, (*TABLE_ENDINGS, *OTHER_TABLES))
    found = record.found if record else LocalFiles(list_sources(request), resources.settings.cache, workplace)
    found.open_zips()
    every = found.all_files()
    images = [one for one in every if is_image_file(one) and one.size]
    require_pictures(record, images)
    if not images:
        raise UsageError(
            f"no picture lies in {', '.join(map(str, request.sources))}",
            hint=f"{count_nouns(len(every), 'file')} found; give the folder or the zip that holds the pictures",
        )
    for one in every:
        if one.leaf.lower().endswith(OTHER_TABLES):
            resources.say(f"warning: {one.shown} is not looked at: save it as CSV to add what it says")
    tables = [one for one in every if one.leaf.lower().endswith(TABLE_ENDINGS)]
    return OwnData(images, choose_table(request, found, tables, images), record)


def choose_table(
    request: AddRequest, found: "LocalFiles", tables: "Sequence[LocalFile]", images: "Sequence[LocalFile]"
) -> FoundTable | None:
    """The table that is meant, or the only one that names the pictures; None where there is none."""
    if request.table and not request.record:
        path = request.table.resolve()
        tables = [one for one in tables if one.path.resolve() == path]
    if len(tables) < 2:
        return read_table(found, tables[0], images) if tables else None
    return find_only_table([read_table(found, one, images) for one in tables], images)


def find_only_table(tables: Sequence[FoundTable], images: "Sequence[LocalFile]") -> FoundTable:
    """The one that names the pictures; UsageError where none or several do."""
    files = {key for one in images for key in name_keys(one.name)}
    fitting = [one for one in tables if names_images(one, files)]
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(one.file.shown for one in (fitting or tables)[:SHOWN])
    which = (
        f"{count_nouns(len(fitting), 'table')} name the pictures"
        if fitting
        else "no table names the pictures"
    )
    raise UsageError(f"{which}: {shown}", hint="say which one with --table FILE")


def names_images(table: FoundTable, files: Collection[str]) -> bool:
    """Whether one of its columns has mostly names of the pictures."""
    for name in table.names:
        words = [word for word in table.cells(name) if word]
        known = sum(not name_keys(word).isdisjoint(files) for word in words)
        if known > len(words) / 2:
            return True
    return False


def read_table(found: "LocalFiles", table: "LocalFile", images: "Sequence[LocalFile]") -> FoundTable:
    """A table among the files; one without a header line is known by the picture that its first line names."""
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
