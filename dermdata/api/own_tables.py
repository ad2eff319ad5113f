"""Which of a person's files is the table that names the pictures: text, workbooks and JSON, read as text."""

import codecs
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.resources import Resources
from dermdata.errors import BadTable, TableRefused, UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.fetching.local import LocalFile, LocalFiles
    from dermdata.model import Content, Unpack
    from dermdata.readers.delimited import OwnTable

TEXT_TABLES = (".csv", ".tsv", ".tab", ".txt")
RECORD_TABLES = (".json", ".jsonl", ".ndjson")
PACKED_TABLES = (".npz", ".parquet")  # that may hold the images themselves, too
TABLE_ENDINGS = (*TEXT_TABLES, ".xlsx", *RECORD_TABLES)
SURE_TABLES = (".csv", ".tsv", ".tab", ".xlsx")  # what is called so is meant as a table
SHOWN = 8  # names in a message


@dataclass(frozen=True)
class FoundTable:
    """The table of the sources, read."""

    file: "LocalFile"
    own: "OwnTable"
    encoding: str | None = None  # where it is not UTF-8
    reader: str = "table"
    sheet: str | None = None  # of a workbook
    records: str | None = None  # the way to its list in a JSON document
    is_coco: bool = False  # a list of the images of a document that marks them
    packed: tuple["LocalFile", ...] = ()  # the files that hold rows and perhaps images, all of the table's

    @property
    def shown(self) -> str:
        """What it is called in a message."""
        part = self.sheet or self.records
        more = f" and {count_nouns(len(self.packed) - 1, 'more file')}" if len(self.packed) > 1 else ""
        return f"{self.file.shown}: {part}" if part else f"{self.file.shown}{more}"

    def lies_in(self, path: Path) -> bool:
        """Whether it stands in this file, or it is one of those that hold it."""
        return path.resolve() in [one.path.resolve() for one in (self.file, *self.packed)]

    @property
    def is_surely_table(self) -> bool:
        """Whether its ending says that it is one; text and JSON are much else, too."""
        return self.file.leaf.lower().endswith(SURE_TABLES)

    @property
    def names(self) -> list[str]:
        """Its columns, those without a name left out."""
        return [name for name in self.own.rows.column_names if name]

    def cells(self, name: str) -> list[str]:
        """The words of a column, row by row."""
        words: list[str] = self.own.rows[name].to_pylist()
        return words


def choose_table(
    tables: Sequence[FoundTable], images: "Sequence[LocalFile]", column: str | None, meant: Path | None
) -> FoundTable | None:
    """The only one of the tables that names the pictures; None where there is none.

    A COCO document is a table of its images where there is no other. `column` is the one of which the person says that
    it names them, `meant` the file that they say is the table.
    """
    if meant:
        tables = sure = select_meant(tables, meant)
    else:
        sure = [one for one in tables if one.is_surely_table]
    fitting = select_fitting(tables, images, column)
    return find_only_table(exclude_coco(fitting) or fitting, sure)


def select_fitting(
    tables: Sequence[FoundTable], images: "Sequence[LocalFile]", column: str | None
) -> list[FoundTable]:
    """The tables that name the pictures."""
    files = {key for one in images for key in name_keys(one.name)}
    return [one for one in tables if names_images(one, files, column)]


def select_meant(tables: Sequence[FoundTable], path: Path) -> list[FoundTable]:
    """The tables of one file; UsageError where it has none."""
    found = [one for one in tables if one.lies_in(path)]
    if not found:
        raise UsageError(f"{path} is no table that dermdata reads", hint="save it as CSV")
    return found


def exclude_coco(tables: Sequence[FoundTable]) -> list[FoundTable]:
    """The tables that are no COCO document."""
    return [one for one in tables if not one.is_coco]


def read_packed(
    resources: Resources, found: "LocalFiles", files: "Sequence[LocalFile]"
) -> "tuple[list[LocalFile], list[FoundTable]]":
    """The images in arrays and Parquet files, and their rows as one table; those that are none are named."""
    from dermdata.errors import ArchiveRefused

    images: list[LocalFile] = []
    parts: list[tuple[LocalFile, pa.Table]] = []
    for file in files:
        if file.leaf in {one.leaf for one, _ in parts}:
            resources.say(f"warning: {file.shown} is not looked at: another file has its name")
            continue
        try:
            held, rows = unpack_rows(resources, found, file)
        except (ArchiveRefused, TableRefused) as error:
            resources.say(f"warning: {file.shown} is not looked at: {error.message}")
            continue
        images += held
        parts.append((file, rows))
    return images, [join_packed(parts)] if parts else []


def unpack_rows(
    resources: Resources, found: "LocalFiles", file: "LocalFile"
) -> "tuple[list[LocalFile], pa.Table]":
    """The images of one such file, by the names that a fetch gives them, and its rows."""
    from dermdata.fetching.local import LocalFile
    from dermdata.readers.delimited import parse_delimited
    from dermdata.readers.image_tables import ROWS, find_member_reader

    kind = packed_kind(file)
    reader = find_member_reader(kind)
    assert reader  # noqa: S101  # of these kinds only
    path, notes = found.path_on_disk(file), list[str]()
    images, data = [], b""
    for name, size, chunks in reader(path, file.leaf.removesuffix(f".{kind}"), notes):
        content = b"".join(chunks)
        if name == ROWS:
            data = content
        else:
            images.append(LocalFile(name, f"{file.shown}: {name}", file.origin, path, size, within=file))
    for note in notes:
        resources.say(f"warning: {note}")
    return images, parse_delimited(data, file.shown, delimiter=",", encoding="utf-8")[0]


def packed_kind(file: "LocalFile") -> "Unpack":
    """How a file of rows is taken apart."""
    from dermdata.archive import archive_kind

    if kind := archive_kind(file.leaf):
        return kind
    return "npz" if file.leaf.lower().endswith(".npz") else "parquet"


def read_samples(found: "LocalFiles", beside: "Collection[LocalFile]") -> FoundTable | None:
    """The samples in tars, each a picture and what lies `beside` it; None where there are none."""
    from dermdata.fetching.local.files import tar_kind
    from dermdata.readers.delimited import OwnTable
    from dermdata.readers.raw_table import FILE_COLUMN, KEY_COLUMN
    from dermdata.readers.records import make_rows
    from dermdata.readers.webdataset import describe_sample, group_samples

    tars = {one.within for one in beside if one.within and tar_kind(one.within)}
    files = {name_in_archive(one): one for one in found.all_files() if one.within in tars}
    samples = group_samples(list_samples(files))
    opener = partial(read_member, found, files)
    records: list[Mapping[str, Any]] = [
        record for (_, key), sample in samples.items() for record in describe_sample(key, sample, opener)
    ]
    if not records:
        return None
    rows = make_rows(records, "the samples").drop_columns([KEY_COLUMN, FILE_COLUMN])
    ordered = sorted(filter(None, tars), key=lambda one: one.name)
    return FoundTable(ordered[0], OwnTable(rows, [], ()), reader="webdataset", packed=tuple(ordered))


def list_samples(files: "Mapping[tuple[str, str], LocalFile]") -> "Iterator[Content]":
    """Files in archives, by archive and path, as readers know them."""
    from dermdata.fetching.ingest import is_image_name
    from dermdata.fetching.local.files import placeholder_content

    for (archive, member), one in files.items():
        yield placeholder_content(one, archive, member, "images" if is_image_name(member) else "metadata")


def name_in_archive(file: "LocalFile") -> tuple[str, str]:
    """The archive that holds a file, by its own name, and the file's path there."""
    return (file.within.leaf if file.within else ""), file.member


def read_member(
    found: "LocalFiles", files: "Mapping[tuple[str, str], LocalFile]", archive: str, member: str | None
) -> bytes:
    """The bytes of a file in an archive, as readers ask for them."""
    return found.read(files[archive, member or ""])


def join_packed(parts: "Sequence[tuple[LocalFile, pa.Table]]") -> FoundTable:
    """One table of all of them: a column that only some have is empty in the others. A row's number names nothing."""
    import pyarrow as pa

    from dermdata.readers.delimited import OwnTable
    from dermdata.readers.image_tables import NUMBER_COLUMN

    whole = pa.concat_tables([rows for _, rows in parts], promote_options="default")
    names = [name for name in whole.column_names if name != NUMBER_COLUMN]
    columns = {name: whole[name].combine_chunks().fill_null("") for name in names}
    own = OwnTable(pa.table(columns), [], ())
    return FoundTable(parts[0][0], own, reader="rows", packed=tuple(file for file, _ in parts))


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
    path: Path,
    found: "LocalFiles",
    candidates: "Sequence[LocalFile]",
    images: "Sequence[LocalFile]",
) -> list[FoundTable]:
    """The tables of the file that the person names; BadTable for one that cannot be read."""
    real = path.resolve()
    meant = [one for one in candidates if one.path.resolve() == real]
    return [table for one in meant for table in read_tables(found, one, images)]


def read_candidates(
    resources: Resources,
    found: "LocalFiles",
    candidates: "Sequence[LocalFile]",
    images: "Sequence[LocalFile]",
) -> list[FoundTable]:
    """The tables in files that may be some; those that are none are named.

    BadTable where what is called a table cannot be read and none can: what it says of the pictures would be lost.
    """
    tables: list[FoundTable] = []
    misfits: list[str] = []
    broken: list[BadTable] = []
    for one in candidates:
        try:
            tables += read_tables(found, one, images)
        except BadTable as error:
            misfits.append(f"warning: {one.shown} is not looked at: {error.message}")
            broken += [error] if one.leaf.lower().endswith(SURE_TABLES) else []
    if broken and not any(one.is_surely_table for one in tables):
        hint = broken[0].hint or "mend it; or move it away, to add the pictures without what it says"
        raise BadTable(broken[0].message, hint=hint) from broken[0]
    for line in misfits[:SHOWN]:
        resources.say(line)
    if len(misfits) > SHOWN:
        resources.say(f"warning: {count_nouns(len(misfits), 'file', 'are')} in all not looked at")
    return tables


def names_images(table: FoundTable, files: Collection[str], said: str | None) -> bool:
    """Whether one of its columns has mostly names of the pictures, or is the one of which the person says so."""
    if said:
        return said in table.names
    if len(table.names) < 2 and not table.is_surely_table:
        return False  # a list of files says nothing of them
    for name in table.names:
        words = [word for word in table.cells(name) if word]
        known = sum(not name_keys(word).isdisjoint(files) for word in words)
        if known > len(words) / 2:
            return True
    return False


def read_tables(found: "LocalFiles", file: "LocalFile", images: "Sequence[LocalFile]") -> list[FoundTable]:
    """The tables in a file: the sheets of a workbook, else one; BadTable for what is none."""
    if file.leaf.lower().endswith(TEXT_TABLES):
        return [read_text_table(found, file, images)]
    try:
        if file.leaf.lower().endswith(RECORD_TABLES):
            return read_record_tables(found, file)
        return read_workbook(found, file)
    except TableRefused as error:  # a publisher's table elsewhere: this one is the person's own
        raise BadTable(error.message, hint=error.hint) from error


def read_workbook(found: "LocalFiles", file: "LocalFile") -> list[FoundTable]:
    """The sheets of a workbook that have a table."""
    from dermdata.readers.delimited import OwnTable
    from dermdata.readers.spreadsheet import read_own_sheets

    sheets = read_own_sheets(found.read(file), file.shown)
    return [
        FoundTable(file, OwnTable(rows, [], ()), reader="spreadsheet", sheet=title)
        for title, rows in sheets.items()
    ]


def read_record_tables(found: "LocalFiles", file: "LocalFile") -> list[FoundTable]:
    """The lists of objects in a JSON document; of a COCO document that of its images."""
    from dermdata.readers.delimited import OwnTable
    from dermdata.readers.records import COCO_LISTS, find_ways, make_rows, parse_records

    data = found.read(file)
    ways = find_ways(data, file.shown)
    is_coco = set(COCO_LISTS) <= set(ways)
    tables = []
    for way in COCO_LISTS[:1] if is_coco else ways:
        records, rejected = parse_records(data, file.shown, way)
        rows = make_rows(records, file.shown)
        if rows.num_columns:
            own = OwnTable(rows, rejected, ())
            tables.append(FoundTable(file, own, reader="records", records=way, is_coco=is_coco))
    if not tables:
        raise BadTable(f"{file.shown} holds no list of objects")
    return tables


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
