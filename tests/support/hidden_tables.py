"""The tables of the catalog's datasets as their publishers have them, and which column is what by the entry.

Built from the real metadata of ../shared by the stand-in; what that does not have is made from the entry itself, so
that its columns and its words for labels and sites are real, and nothing else is.
"""

import csv
import io
import json
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from conftest import SHARED
from contract.faker import fake
from dermdata.catalogs import Catalog
from dermdata.crosswalks import parse_labels
from dermdata.hosts.isic import flatten_record
from dermdata.inference.columns import JUDGES, lacks_header
from dermdata.manifest.match import strip_ending
from dermdata.model import IMAGE_ENDINGS, Dataset, JoinSpec, TableSpec
from dermdata.readers.delimited import parse_own_table
from dermdata.readers.raw_table import compile_pattern
from dermdata.readers.spreadsheet import read_sheet, split_at_full_line

FOLDER_FIELDS = ("label_raw", "split_official")
TABLE_READERS = ("table", "spreadsheet")  # others have no table of a person's kind
MADE_ROWS = 160  # or two for each word of the labels
LISTED = "metadata.csv"  # of the ISIC Archive's records
STAND_INS = {
    "mclass-d": "mclass",
    "mclass-nd": "mclass",
    "fitzpatrick17k-c": "fitzpatrick17k",
}  # whose layout it is
STATED = {"image_id": "image", "isic_id": "image"}  # fields of an entry that are another of the inference's
DDI_IMAGES = frozenset(f"{number:06}.png" for number in range(1, 657))
Origin = Literal["real", "stand-in", "entry"]
Cells = Mapping[str, Sequence[str]]  # column -> its cells


@dataclass(frozen=True, kw_only=True)
class HiddenTable:
    """A table as it is published, and what its entry says of it."""

    dataset: str
    file: str
    origin: Origin
    cells: Cells
    images: Collection[str]  # names of the pictures' files
    truth: Mapping[str, Sequence[str]]  # field of the inference -> the columns, each of which is right
    one_hot: Sequence[str]
    views: Sequence[str]
    has_header: bool = True


@dataclass(frozen=True, kw_only=True)
class HiddenFolders:
    """The pictures of a dataset that has no table, and what its entry reads from their paths."""

    dataset: str
    origin: Origin
    paths: Collection[str]
    truth: Mapping[str, Mapping[str, str]]  # field of the inference -> path -> its word


@dataclass(frozen=True)
class Layout:
    """A dataset's files as they are published: by the stand-in's folder, or in memory."""

    origin: Origin
    files: Mapping[str, Path | bytes] = field(repr=False)
    listed: Sequence[Mapping[str, str]] = ()  # rows of a host's own records
    elsewhere: Collection[str] = ()  # images that another dataset has

    def read(self, file: str, member: str | None) -> bytes:
        data = self.files[file]
        data = data.read_bytes() if isinstance(data, Path) else data
        if member is None:
            return data
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(member)

    @cached_property
    def images(self) -> frozenset[str]:
        """The names of all pictures, in archives and beside them."""
        names = {name for name in self.files if name.lower().endswith(IMAGE_ENDINGS)}
        for file in self.files.values():
            source = file if isinstance(file, Path) else io.BytesIO(file)
            if zipfile.is_zipfile(source):
                with zipfile.ZipFile(source) as archive:
                    names |= {name for name in archive.namelist() if name.lower().endswith(IMAGE_ENDINGS)}
        return frozenset(names)


def read_layouts(
    catalog: Catalog, entries: Mapping[str, Dataset], mirror: Path
) -> Iterator[tuple[Dataset, Layout]]:
    """The files of every entry that has rows, by the stand-in or made from the entry."""
    mirrored = json.loads((mirror / "mirror.json").read_text())["datasets"]
    seen: set[str] = (
        set()
    )  # what holds of a table holds of its like: many collections of the ISIC Archive have the same
    for name, dataset in entries.items():
        stand_in = STAND_INS.get(name, name)
        like = repr(dataset.table)
        if stand_in in mirrored:
            is_real = mirrored[stand_in]["metadata"] == "real" and stand_in == name
            yield dataset, open_mirrored(mirror / stand_in, "real" if is_real else "stand-in")
        elif can_be_made(dataset) and like not in seen:
            seen.add(like)
            yield dataset, make_layout(dataset, catalog.label_files(name))


def read_hidden_tables(dataset: Dataset, layout: Layout) -> Iterator[HiddenTable]:
    """Every table of the entry."""
    for spec in dataset.table:
        if spec.reader in TABLE_READERS:
            yield from read_tables(dataset, spec, layout, find_images(spec, layout))


def read_hidden_folders(dataset: Dataset, layout: Layout) -> HiddenFolders | None:
    """The paths of the pictures, where all that the entry says of them stands there."""
    if not dataset.table or any(spec.reader != "folders" for spec in dataset.table):
        return None
    truth: dict[str, dict[str, str]] = {}
    for spec in dataset.table:
        expression, _ = compile_pattern(f"**/{str(spec.pattern).removeprefix('**/')}")
        folders = str(spec.pattern).split("/")[:-1]  # what stands in a picture's own name is no level
        found = {path: match for path in layout.images if (match := expression.fullmatch(path))}
        for ours in FOLDER_FIELDS:
            levels = [column for column in spec.columns.get(ours, ()) if f"{{{column}}}" in folders]
            for column in levels:
                truth.setdefault(ours, {}).update((path, match[column]) for path, match in found.items())
    return HiddenFolders(dataset=dataset.name, origin=layout.origin, paths=layout.images, truth=truth)


def can_be_made(dataset: Dataset) -> bool:
    """Whether the entry names the files that its rows are in, or the ISIC Archive's records are the table."""
    files = {file.name for file in dataset.files if file.fetch}
    from_archive = str(dataset.listing).startswith("isic:collections=")
    return bool(dataset.table) and all(
        spec.reader in (*TABLE_READERS, "folders")
        and (spec.file in {*files, LISTED} if spec.file else files.issuperset(spec.images or ["no images"]))
        and (spec.file != LISTED or from_archive or LISTED in files)
        for spec in dataset.table
    )


def open_mirrored(folder: Path, origin: Origin) -> Layout:
    """The files in the stand-in's folder of a dataset."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    pages = [json.loads(files[name].read_bytes()) for name in sorted(files) if "/search/page-" in name]
    return Layout(origin, files, [flatten_record(one) for page in pages for one in page["results"]])


def make_layout(dataset: Dataset, crosswalk: Iterable[Path]) -> Layout:
    """The files as the contract tests make them from the entry."""
    labels = [one for path in crosswalk for one in parse_labels(path.read_text(encoding="utf-8"))]
    made = fake(dataset, labels, max(MADE_ROWS, 2 * len(labels)))
    pages = [json.loads(data) for url, data in made.listed.items() if "/search/" in url]
    pictures = {url: b"" for url in made.listed if url.endswith(IMAGE_ENDINGS)}
    listed = [flatten_record(one) for page in pages for one in page["results"]]
    return Layout("entry", {**made.files, **pictures}, listed, elsewhere=made.images)


def find_images(spec: TableSpec, layout: Layout) -> Collection[str]:
    """The pictures that the rows are of: of annotations over another dataset that one's, of which only names are here."""
    if spec.over == "ddi":
        return DDI_IMAGES
    if spec.over == "fitzpatrick17k":
        with (SHARED / "data/fitzpatrick17k/fitzpatrick17k.csv").open(newline="", encoding="utf-8") as file:
            return {f"{row['md5hash']}.jpg" for row in csv.DictReader(file)}
    return layout.elsewhere if spec.over else layout.images


# ------------------------------------------------------------------ reading


def read_tables(
    dataset: Dataset, spec: TableSpec, layout: Layout, images: Collection[str]
) -> Iterator[HiddenTable]:
    """A table of the entry, and each one that is joined to it, which a person may as well give."""
    parts: list[JoinSpec | None] = [None, *spec.join]
    for join in parts:
        file, member = (join.file, join.member) if join else (str(spec.file), spec.member)
        cells = read_cells(spec, layout, file, member)
        truth = find_truth(spec, join)
        if layout.origin == "entry":
            truth.pop("caption", None)  # no sentence is made
        places = {name: f"column {place}" for place, name in enumerate(spec.header, 1)}
        truth = {field: [places.get(one, one) for one in columns] for field, columns in truth.items()}
        yield HiddenTable(
            dataset=dataset.name,
            file=Path(member or file).name,
            origin=layout.origin,
            cells=cells,
            images=images,
            truth={
                field: found
                for field, columns in truth.items()
                if (found := [one for one in columns if one in cells])
            },
            one_hot=[one for one in spec.one_hot if one in cells],
            views=[one.column for one in spec.views if one.column in cells],
            has_header=not (spec.header and join is None),
        )


def read_cells(spec: TableSpec, layout: Layout, file: str, member: str | None) -> Cells:
    """The columns as `dermdata add` reads them; of a host's records as they are written to a table."""
    if file == LISTED and layout.listed:
        names = dict.fromkeys(name for row in layout.listed for name in row)
        return {name: [row.get(name, "") for row in layout.listed] for name in names}
    data = layout.read(file, member)
    if spec.reader == "spreadsheet":
        header, lines = split_at_full_line(read_sheet(data, spec.sheet, file), file)
        return {name: [line[place] for line in lines] for place, name in enumerate(header)}
    leaves = {strip_ending(name.rpartition("/")[2]) for name in layout.images}
    is_image = leaves.__contains__
    rows = parse_own_table(data, file, partial(lacks_header, is_image=is_image)).rows
    return {name: rows[name].to_pylist() for name in rows.column_names if name}


# ------------------------------------------------------------------ what the entry says


def find_truth(spec: TableSpec, join: JoinSpec | None) -> dict[str, list[str]]:
    """Field of the inference -> the columns that the entry takes it from, first ones first."""
    truth: dict[str, list[str]] = {}
    for name, columns in [
        *spec.columns.items(),
        *((name, tuple(first)) for name, first in spec.first.items()),
    ]:
        truth.setdefault(STATED.get(name, name), []).extend(one for one in columns if not one.startswith("@"))
    truth.setdefault("image", []).extend(find_named_images(spec))
    groups = set(truth.get("patient_id", ()))
    truth["lesion_id"] = [one for one in truth.get("lesion_id", ()) if one not in groups]
    if join:  # its key is called otherwise there
        renamed = {join.on: join.to or join.on}
        truth = {name: [renamed.get(one, one) for one in columns] for name, columns in truth.items()}
    return {name: list(dict.fromkeys(columns)) for name, columns in truth.items() if name in JUDGES}


def find_named_images(spec: TableSpec) -> Iterator[str]:
    """Columns whose cells hold the image's name among other things, or one of several images."""
    wanted = {one for name in ("image", "image_id") for one in spec.columns.get(name, ())}
    for column, pattern in spec.parts.items():
        if not column.startswith("@") and any(f"{{{one.removeprefix('@')}}}" in pattern for one in wanted):
            yield column
    yield from (one.column for one in spec.views)
