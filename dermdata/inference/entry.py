"""The text of a catalog entry for a table of one's own, from what was inferred and what the person said; pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dermdata.inference.columns import ColumnGuess
from dermdata.inference.masks import MaskGuess
from dermdata.inference.record_entry import RecordParts, describe_record, describe_sources, file_keys
from dermdata.model import Placement, Role, Unpack

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A file of rows that is taken apart, as an archive is."""

    name: str
    unpack: Unpack
    role: Role


@dataclass(frozen=True, kw_only=True)
class TableForm:
    """The file that a table stands in, and how it is read."""

    file: str | None  # None: all that hold rows
    reader: str  # a shape
    packed: Sequence[PackedFile] = ()  # the files that hold the rows, and perhaps the images
    sheet: str | None = None  # of a workbook
    records: str | None = None  # the way to its list in a JSON document
    encoding: str | None = None  # where it is not UTF-8
    header: tuple[str, ...] = ()  # what its columns are called, where it has no header line
    missing: tuple[str, ...] = ("",)  # its words for "not known"


@dataclass(frozen=True, kw_only=True)
class FolderForm:
    """Where pictures without a table lie."""

    pattern: str  # of their paths, with a {field} for each level that is one
    image_id: Sequence[str] = ("image",)  # the parts of a path that make a name no other has


@dataclass(frozen=True, kw_only=True)
class OwnEntry:
    """All that an entry of one's own states."""

    name: str
    pictures: str | None  # what the folders of pictures are called; None where none lies in a folder
    rows: TableForm | FolderForm  # where they stand
    columns: Sequence[ColumnGuess]  # each taken, by the person or since it is sure
    views: Sequence[str]  # columns that name several pictures of a row
    one_hot: Sequence[str]
    masks: Sequence[MaskGuess]  # each sure
    marks: Sequence[str]  # COCO documents, by their names
    modality: str | None
    origins: Sequence[str]  # the paths that were given
    placement: Placement  # of the pictures
    date: str  # when it was looked at
    tool: str  # what looked: `dermdata 1.0`
    record: RecordParts | None = None  # the record of a host that it is made of, in place of paths

    @property
    def has_split(self) -> bool:
        """Whether files of rows, or their names, say the part of a split."""
        rows = self.record.rows if self.record else None
        return rows is not None and rows.has_split

    @property
    def table(self) -> TableForm | None:
        """The table that the rows stand in; None where the folders say all."""
        return self.rows if isinstance(self.rows, TableForm) else None


def write_entry(entry: OwnEntry) -> str:
    """The dataset.toml: facts that the person can check, what is inferred marked as such."""
    import tomlkit

    document = tomlkit.document()
    document.add(
        tomlkit.comment(f"Made by {entry.tool} on {entry.date}: read it, and correct what is wrong.")
    )
    document.add("name", tomlkit.item(entry.name))
    if entry.modality:
        document.add("modalities", tomlkit.item([entry.modality]))
    record = entry.record
    keys = describe_record(record, entry.name, entry.date) if record else describe_own(entry)
    for key, value in keys.items():
        document.add(key, tomlkit.item(value))
    add_files(document, entry)
    add_table(document, entry)
    facts = describe_sources(record, entry.date, entry.tool) if record else {}
    facts |= {f"table.columns.{one.field}": describe_fact(one, entry) for one in entry.columns}
    facts |= {f"table.masks.{one.structure}": describe_fact(one, entry) for one in entry.masks}
    document.add("facts", tomlkit.item(facts))
    return tomlkit.dumps(document)


def describe_own(entry: OwnEntry) -> dict[str, object]:
    """The keys of an entry whose files lie on this machine."""
    paths = " ".join(f"--from {shlex.quote(path)}" for path in entry.origins)
    steps = f"its files lie on the machine where it was added; elsewhere give them: dermdata fetch {entry.name} {paths}"
    return {
        "title": entry.name.replace("-", " ").title(),
        "kind": "dataset",
        "summary": f"Own data, added from {', '.join(entry.origins)}.",
        "version": "1",
        "access": {
            "kind": "open",
            "paths": list(entry.origins),
            "placement": entry.placement,
            "steps": steps,
            "evidence": f"the person's own files, added on {entry.date}",
        },
    }


def add_files(document: "TOMLDocument", entry: OwnEntry) -> None:
    """The pictures, and the table."""
    import tomlkit

    files = tomlkit.aot()
    if entry.record:
        for one in entry.record.named_files:
            member = entry.record.member if entry.table and one.name == entry.table.file else None
            files.append(tomlkit.item(file_keys(one, member)))
        document.add("files", files)
        return
    for keys in list_own_files(entry):
        files.append(tomlkit.item(keys))
    document.add("files", files)


def describe_packed(file: PackedFile, masks: Mapping[str, str]) -> dict[str, object]:
    """A file of rows; a tar may hold masks, too."""
    keys: dict[str, object] = {"name": file.name, "role": file.role, "unpack": file.unpack}
    return keys | ({"members": masks} if masks and file.unpack.startswith("tar") else {})


def list_own_files(entry: OwnEntry) -> Iterator[Mapping[str, object]]:
    """The folders of pictures, the files that are taken apart, the table, and what marks the pictures."""
    members = {glob: "masks" for one in entry.masks for glob in one.globs}
    if entry.pictures:
        pictures: dict[str, object] = {"name": entry.pictures, "role": "images", "unpack": "folder"}
        yield pictures | ({"members": members} if members else {})
    packed = entry.table.packed if entry.table else ()
    yield from (describe_packed(one, members) for one in packed)
    table = [entry.table.file] if entry.table and not packed else []
    yield from ({"name": name, "role": "metadata"} for name in dict.fromkeys([*table, *entry.marks]))


def add_table(document: "TOMLDocument", entry: OwnEntry) -> None:
    """How their columns become ours."""
    import tomlkit

    table = tomlkit.table()
    if isinstance(entry.rows, FolderForm):
        table.update(describe_folders(entry.rows, entry))
    else:
        table.update(describe_form(entry.rows, entry))
    further = {
        "views": [{"column": name, "word": name} for name in entry.views],
        "one_hot": list(entry.one_hot),
        "columns": name_columns(entry),
        "values": {one.field: dict(one.values) for one in entry.columns if one.values},
        "masks": {one.structure: one.template for one in entry.masks},
        "boxes": [{"form": "coco", "file": name} for name in entry.marks],
        "constants": {"modality": entry.modality} if entry.modality else {},
    }
    table.update({name: tomlkit.item(value) for name, value in further.items() if value})
    tables = tomlkit.aot()
    tables.append(table)
    document.add("table", tables)


def describe_form(form: TableForm, entry: OwnEntry) -> dict[str, object]:
    """The file that the rows are read from, and how."""
    rows = entry.record.rows if entry.record else None
    keys: dict[str, object] = {"reader": form.reader, "missing": list(form.missing)}
    further = {
        "file": form.file if len(form.packed) < 2 else None,  # rows of several files are one table
        "parts": {"@file": rows.split_pattern} if rows and rows.split_pattern else {},
        "member": entry.record.member if entry.record else None,
        "sheet": form.sheet,
        "records": form.records,
        "encoding": form.encoding,
        "header": list(form.header),
    }
    return keys | {name: value for name, value in further.items() if value}


def describe_folders(form: FolderForm, entry: OwnEntry) -> dict[str, object]:
    """How pictures without a table lie; a record names each of them."""
    images = {} if entry.record else {"images": [entry.pictures]}
    return {"reader": "folders", "pattern": form.pattern, **images}


def name_columns(entry: OwnEntry) -> dict[str, str | list[str]]:
    """Ours -> theirs; the image's name is its id as well."""
    if isinstance(entry.rows, FolderForm):
        only, *more = entry.rows.image_id
        parts = [only, *more] if more else only
        return {"image_id": parts, "image": "@path"} | {one.field: one.field for one in entry.columns}
    found = {one.field: one.column for one in entry.columns}
    image = found.pop("image", None)
    named: dict[str, str | list[str]] = {"image_id": image} if image else {}
    if entry.views:
        named = {"image": "@image", "image_id": "@image"}
    if entry.one_hot:
        found["label_raw"] = "@one-hot"
    if entry.has_split:
        found.setdefault("split_official", "@split")
    return named | found


def describe_fact(guess: ColumnGuess | MaskGuess, entry: OwnEntry) -> str:
    """Why a column is taken for one of ours, or files for masks."""
    if guess.score == 1 and guess.evidence == SAID:
        return f"{SAID} ({entry.date})"
    return f"inferred on {entry.date} by {entry.tool}, score {guess.score:.2f}: {guess.evidence}"


SAID = "said by the person who added it"


def say_column(field: str, column: str, values: Mapping[str, str]) -> ColumnGuess:
    """A column that the person names, and what its words mean."""
    return ColumnGuess(field=field, column=column, score=1.0, evidence=SAID, values=values)
