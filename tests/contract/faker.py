"""Official-looking raw files made from a catalog entry alone: what its hosts would give, in small.

One maker a reader shape. A dataset that is described well enough to be fetched is described well
enough to be faked; the contract tests hold every entry to that.
"""

import csv
import io
import itertools
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import openpyxl
from PIL import Image

from contract.faked_tables import mark_of, npz_of, parquet_of
from dermdata.hosts.isic import SEARCH
from dermdata.model import NOTHING, Dataset, File, JoinSpec, Label, TableSpec
from dermdata.readers.raw_table import compile_pattern

ROWS = 7
FIELDS = re.compile(r"\{(\w+)\}")
BY_FIELD = {"age": "45", "sex": "female", "fitzpatrick": "3", "fitzpatrick_range": "1-2", "monk": "5",
            "modality": "dermoscopic", "fold_official": "1",
            "confirmation": "histopathology", "body_site": "", "malignancy": "benign",
            "split_official": "train"}  # fmt: skip


@dataclass
class Fake:
    """The raw files of one dataset, and what a fetch of them must give."""

    dataset: Dataset  # the entry, with the fakes' sizes and checksums and without published counts
    files: dict[str, bytes]
    labels: list[str] = field(default_factory=list)  # the raw label of each row that has one
    images: set[str] = field(default_factory=set)  # image ids
    listed: dict[str, bytes] = field(default_factory=dict)  # by address: images, and a host's own listing


def fake(dataset: Dataset, labels: Sequence[Label], rows: int = ROWS) -> Fake:
    """Fake every file that a fetch of this entry asks for, each table with so many rows."""
    made = Maker(dataset, labels, rows)
    for table in dataset.table:
        before = set(made.images)
        SHAPES[table.reader](made, table)
        made.put_boxes(table, sorted(made.images - before))
    return made.finish()


class Maker:
    """Collects tables and archive members, then packs them as the entry says."""

    def __init__(self, dataset: Dataset, labels: Sequence[Label], rows: int) -> None:
        self.dataset, self.crosswalk, self.rows = dataset, labels, rows
        self.numbers = itertools.count(1)
        self.members: dict[str, dict[str, bytes]] = {file.name: {} for file in dataset.files if file.fetch}
        self.plain: dict[str, bytes] = {}
        self.listed: dict[str, bytes] = {}  # images with an address of their own, by address
        self.labels: list[str] = []
        self.images: set[str] = set()

    def words(self, table: TableSpec) -> list[str]:
        """The raw labels of the table's field, as many as there are rows, every word once if they fit."""
        name = table.label_field or "/".join(table.columns.get("label_raw", ()))
        words = [label.raw_label for label in self.crosswalk if label.field == name]
        if "label_raw" not in table.columns or not words:
            return [""] * self.rows
        words = list(itertools.islice(itertools.cycle(words), self.rows))
        return [repr({word: 1.0}) for word in words] if "differential" in table.columns else words

    def has_records(self, file: str | None) -> bool:
        """Whether the ISIC Archive's records are this table."""
        return file == "metadata.csv" and str(self.dataset.listing).startswith("isic:")

    def put(self, file: str, member: str | None, data: bytes) -> None:
        if self.has_records(file):
            collections = str(self.dataset.listing).removeprefix("isic:")
            self.listed[f"{SEARCH}?{collections}&limit=100"] = page_of(data, self.listed)
        elif member is None:
            self.plain[file] = data
        else:
            self.members[file][member] = data

    def put_image(self, table: TableSpec, name: str, number: int) -> None:
        """A picture of its own in one of the table's archives, or at an address of its own."""
        holders = [file for file in self.dataset.files if file.fetch and file.role == "images"
                   and (not table.images or file.name in table.images)]  # fmt: skip
        if table.over:
            return
        if holders:
            self.members[holders[number % len(holders)].name][name] = picture(number)
        else:
            self.listed[f"https://pictures.example/{name}"] = picture(number)

    def put_masks(self, table: TableSpec, cells: Mapping[str, str]) -> None:
        holders = [file.name for file in self.dataset.files if file.fetch and file.role == "masks"]
        for leaf in table.masks.values() if holders else ():
            if set(re.findall(r"\{([^{}]+)\}", leaf)) <= set(cells):
                self.members[holders[0]][leaf.format(**cells)] = mask()

    def put_boxes(self, table: TableSpec, images: Sequence[str]) -> None:
        """A file of one mark for each image."""
        for one in table.boxes if table.boxes and one_file_each(table) else ():
            for image in images:
                name = re.sub(r"\{[^{}]+\}", image.rpartition("/")[2], one.path or "")
                self.members[one.file or ""][name] = mark_of(one.form)

    def finish(self) -> Fake:
        files = {}
        for file in self.dataset.files:
            if file.fetch:
                files[file.name] = packed(file, self.plain.get(file.name), self.members[file.name])
        known = tuple(
            replace(
                file, size=len(files[file.name]), checksum=f"sha256:{sha256(files[file.name]).hexdigest()}"
            )
            for file in self.dataset.files
            if file.fetch
        )
        return Fake(replace(self.dataset, files=known), files, self.labels, self.images, self.listed)


def one_file_each(table: TableSpec) -> bool:
    """Whether the marks lie in archives that the entry names, a file for each image."""
    return all(one.file and one.form != "coco" for one in table.boxes)


def packed(file: File, plain: bytes | None, members: Mapping[str, bytes]) -> bytes:
    if file.unpack in (None, "npz", "parquet"):
        return plain if plain is not None else b"nothing that the table asks for\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("LICENSE.txt", "a text beside the images, as many archives have")
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name), members[name])
    return data.getvalue()


def page_of(table: bytes, images: Mapping[str, bytes]) -> bytes:
    """The ISIC Archive's answer whose records are this table's rows."""
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    return json.dumps(
        {"results": [record_of(row, images) for row in rows], "count": len(rows), "next": None}
    ).encode()


def record_of(row: Mapping[str, str], images: Mapping[str, bytes]) -> dict[str, object]:
    """A row of the archive's metadata.csv as its interface says it: paths level by level."""
    fixed = {name: row.get(name, "") for name in ("isic_id", "attribution", "copyright_license")}
    fields: dict[str, str] = {name: word for name, word in row.items() if name not in fixed and word}
    for name in ("diagnosis", "anatom_site"):
        levels = fields.pop(name, "").split(":")
        fields |= {f"{name}_{level}": word for level, word in enumerate(levels, 1) if word}
    url = f"https://pictures.example/{row['isic_id']}.jpg"
    full = {"url": url, "size": len(images[url])}
    return {**fixed, "files": {"full": full}, "metadata": {"acquisition": {}, "clinical": fields}}


@cache
def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (24, 16), (number * 37 % 256, number * 91 % 256, 60)).save(data, "JPEG")
    return data.getvalue()


@cache
def mask() -> bytes:
    data = io.BytesIO()
    Image.new("1", (24, 16), 1).save(data, "PNG")
    return data.getvalue()


# ------------------------------------------------------------------ shapes


def table(maker: Maker, spec: TableSpec) -> None:
    """CSV files with every column that the entry names, joined ones apart."""
    rows = [row_of(maker, spec, label) for label in maker.words(spec)]
    joins = [join for join in spec.join if not join.marks]
    marking = [join for join in spec.join if join.marks]
    marked = {name for join in marking for name in join.marks}
    main, *others = shared_out(rows, spec)
    if maker.has_records(spec.file):  # an archive's own records have all but what a joined table alone has
        main, marked = rows, marked | set(mask_columns(spec))
    main = [{key: value for key, value in row.items() if key not in marked} for row in main]
    maker.put(spec.file or "", spec.member, text_of(main, spec))
    for join, columns in zip(joins, others, strict=True):
        maker.put(join.file, join.member, text_of(joined_lines(join, columns), replace(spec, header=())))
    for number, join in enumerate(marking):
        named = [
            {join.to or join.on: str(row) if join.on == "@row" else rows[row][join.on]}
            for row in range(number, maker.rows, len(marking))
        ]
        maker.put(join.file, join.member, text_of(named, replace(spec, header=())))


def joined_lines(join: JoinSpec, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The lines of a joined table: one a key, or one for each word of `each` that a column's name ends with."""
    to = join.to or join.on
    renamed = {
        row[join.on]: {to if key == join.on else key: value for key, value in row.items()} for row in rows
    }
    if join.each is None:
        return list(renamed.values())
    lines = []
    for row in renamed.values():
        for name, word in row.items():
            if " " in name:  # "mask A04", or "mask A04 (2)" of a second line
                lines.append({to: row[to], join.each: name.split()[1], name.split()[0]: word})
    return lines


def spreadsheet(maker: Maker, spec: TableSpec) -> None:
    """A workbook with a title above the header line."""
    rows = [row_of(maker, spec, label) for label in maker.words(spec)]
    book = openpyxl.Workbook()
    book.active.append(["a title", None, "and a legend"])
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    data = io.BytesIO()
    book.save(data)
    maker.put(spec.file or "", spec.member, data.getvalue())


def row_of(maker: Maker, spec: TableSpec, label: str) -> dict[str, str]:
    number = next(maker.numbers)
    image_id = name_of(spec, number, label)
    row: dict[str, str] = {}
    for ours, columns in [
        *spec.columns.items(),
        *((ours, tuple(first)) for ours, first in spec.first.items()),
    ]:
        for column in columns:
            row.setdefault(column, cell(spec, ours, number, image_id, label))
    for name in spec.one_hot:
        row[name] = "1" if spec.one_hot_word.replace("{class}", name) == label else "0"
    row |= dict.fromkeys(spec.concepts, "1") | dict.fromkeys(spec.flags, "0")
    if spec.image_url:
        row[spec.image_url] = f"https://pictures.example/{image_id}.jpg"
    for join in spec.join:
        row.setdefault(join.on, image_id)
    row |= {name: f"{image_id}-{name}.png" for name in mask_columns(spec)}
    row |= {name: filled(pattern, number, label_part(spec, label)) for name, pattern in spec.parts.items()}
    pictures(maker, spec, row, number, image_id)
    if label:
        maker.labels += [label] * (len(spec.views) or 1)
    return {column: value for column, value in row.items() if not column.startswith("@")}


def mask_columns(spec: TableSpec) -> list[str]:
    """The columns that name masks: of several annotators' ones those that bear the annotator."""
    names = [name for leaf in spec.masks.values() for name in re.findall(r"\{([^{}]+)\}", leaf)]
    several = any(join.each for join in spec.join)
    return [name for name in names if (" " in name if several else name != "image_id")]


def label_part(spec: TableSpec, label: str) -> dict[str, str]:
    """The part of a name that is the label, where the entry reads it from there."""
    return {column.removeprefix("@"): label for column in spec.columns.get("label_raw", ())}


def name_of(spec: TableSpec, number: int, label: str) -> str:
    if "isic_id" in spec.columns:
        return f"ISIC_{9000000 + number}"
    source = spec.columns.get("image_id", ("",))[0]
    if source in spec.parts:
        return filled(spec.parts[source], number, label_part(spec, label))
    if source.removeprefix("@") in {
        name for pattern in spec.parts.values() for name in FIELDS.findall(pattern)
    }:
        return filled(f"{{{source.removeprefix('@')}}}", number)
    return f"IMG_{number:04d}"


def filled(pattern: str, number: int, known: Mapping[str, str] = NOTHING) -> str:
    return pattern.format(
        **{name: known.get(name) or f"{name[0].upper()}{number:03d}" for name in FIELDS.findall(pattern)}
    )


def pictures(maker: Maker, spec: TableSpec, row: dict[str, str], number: int, image_id: str) -> None:
    """The row's picture, or one for each of its image columns."""
    if not spec.views:
        maker.images.add(image_id)
        maker.put_image(spec, f"{row.get(spec.columns.get('image', ('',))[0], image_id)}.jpg", number)
        maker.put_masks(spec, {**row, "image_id": image_id})
    for place, view in enumerate(spec.views):
        own = number * 10 + place
        path = filled(spec.parts["@image"], own) if "@image" in spec.parts else f"folder/V{own}.jpg"
        row[view.column] = path
        maker.put_image(spec, path, own)
        whole = spec.columns["image_id"] == ("@image",)
        maker.images.add((path if whole else path.rpartition("/")[2]).rpartition(".")[0])


def cell(spec: TableSpec, ours: str, number: int, image_id: str, label: str) -> str:
    if ours in ("image_id", "isic_id", "image"):
        return image_id
    if ours in ("label_raw", "differential"):
        return label
    if ours in ("patient_id", "lesion_id", "case_id"):
        return f"{ours[0].upper()}{(number + 1) // 2}"
    words = list(spec.values.get(ours, ()))
    return words[number % len(words)] if words else BY_FIELD.get(ours, f"{ours} {number}")


def shared_out(rows: list[dict[str, str]], spec: TableSpec) -> list[list[dict[str, str]]]:
    """The rows' columns dealt to the table and its joined files: the key in all, the rest in the last."""
    joins = [join for join in spec.join if not join.marks]
    if not joins:
        return [rows]
    keys = {join.on for join in joins}
    label = set(spec.columns.get("label_raw", ())) | set(spec.one_hot) | {view.column for view in spec.views}
    first = [{key: row[key] for key in row if key in keys | label} for row in rows]
    rest = [{key: row[key] for key in row if key in keys or key not in label} for row in rows]
    return [first, rest, *([{join.on: row[join.on]} for row in rows] for join in joins[1:])]


def text_of(rows: list[dict[str, str]], spec: TableSpec) -> bytes:
    text = io.StringIO(newline="")
    names = list(spec.header) or list(rows[0])
    writer = csv.writer(text, delimiter=spec.delimiter or ",", lineterminator="\r\n")
    if not spec.header:
        writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    return text.getvalue().encode(spec.encoding)


def folders(maker: Maker, spec: TableSpec) -> None:
    """Images under paths that fit the pattern: those that the entry names, or made-up ones in its archives."""
    named = [file.name for file in maker.dataset.files if file.role == "images" and file.unpack is None]
    if named:
        name_folders(maker, spec, named)
    for label in () if named else maker.words(spec):
        number = next(maker.numbers)
        parts = dict.fromkeys(re.findall(r"\{(\w+)\}", spec.pattern or ""), "part") | {"label_raw": label}
        parts |= {
            name: f"{number:04d}" for name in spec.columns.get("image_id", ()) if parts.get(name) == "part"
        }
        for ours, (column, *_) in spec.columns.items():
            if ours in BY_FIELD:
                words = list(spec.values.get(ours, ()))
                parts[column] = words[number % len(words)] if words else BY_FIELD[ours]
        stem = filled(spec.parts["image"], number) if "image" in spec.parts else f"IMG_{number:04d}"
        parts["image"] = (
            stem
            if "{image}_" in (spec.pattern or "") or "{image}." in (spec.pattern or "")
            else f"{stem}.jpg"
        )
        path = (spec.pattern or "").replace("**/", "some folder/").format(**parts)
        names = [
            parts[name].removesuffix(".jpg")
            for name in spec.columns.get("image_id", ("image",))
            if name in parts
        ]
        whole = spec.columns.get("image_id", ("@path",)) == ("@path",)
        maker.put_image(spec, path, number)
        maker.images.add(path.rpartition(".")[0] if whole else "/".join(names))
        if label:
            maker.labels.append(label)


def name_folders(maker: Maker, spec: TableSpec, names: Sequence[str]) -> None:
    """The very files that the entry names, each with a picture of its own."""
    pattern, _ = compile_pattern(spec.pattern or "")
    for number, name in enumerate(names, 1):
        maker.plain[name] = picture(number)
        parts = {
            key: word.rpartition(".")[0] or word for key, word in pattern.fullmatch(name).groupdict().items()
        }
        maker.images.add("/".join(parts[column] for column in spec.columns["image_id"]))
        maker.labels.append(parts["label_raw"])


def rows(maker: Maker, spec: TableSpec) -> None:
    """A file of images with their rows; other columns than the label's are in the table that is joined, if there is one."""
    kind = maker.dataset.file(spec.file or "").unpack
    parts = ("train", "test") if any("@split" in names for names in spec.columns.values()) else ("",)
    made, lines = [], []
    for label in maker.words(spec):
        number = next(maker.numbers) - 1
        part, place = parts[number % len(parts)], number // len(parts)
        cells = source_cells(spec, number, label)
        pixels = np.full((24, 16, 3), number * 30 % 256, np.uint8)
        own = {
            name: cells[name] for name in cells if not spec.join or name in spec.columns.get("label_raw", ())
        }
        own |= {spec.columns["image"][0]: pixels if kind == "npz" else picture(number)}
        made.append(own | {name: np.eye(24, 16, dtype=np.uint8) for name in mask_columns(spec)})
        lines.append({"split": part, "index": str(place), **cells})
        known = {"@split": part, "@number": str(place), **cells}
        maker.images.add("/".join(known[name] for name in spec.columns["image_id"]))
        maker.labels += [label] if label else []
    maker.plain[spec.file or ""] = npz_of(made, parts) if kind == "npz" else parquet_of(made)
    for join in spec.join:
        maker.put(join.file, join.member, text_of(lines, spec))


def source_cells(spec: TableSpec, number: int, label: str) -> dict[str, str]:
    """A row's cells of the source's own columns, images aside."""
    found: dict[str, str] = {}
    for ours, columns in spec.columns.items():
        if ours == "image":
            continue
        for column in columns:
            if not column.startswith("@"):
                found.setdefault(column, cell(spec, ours, number, name_of(spec, number, label), label))
    return found


def records(maker: Maker, spec: TableSpec) -> None:
    """A JSON list of objects, or one object a line."""
    made: list[dict[str, Any]] = []
    for label in maker.words(spec):
        number = next(maker.numbers)
        cells: dict[str, Any] = source_cells(spec, number, label)
        name = f"{name_of(spec, number, label)}.jpg"
        cells |= dict.fromkeys(spec.columns.get("image") or spec.columns["image_id"], name)
        for one in spec.questions:
            texts = {**dict.fromkeys(one.question, "What is it?"), one.answer: f"An answer {number}."}
            cells |= {**texts, one.list: [texts]} if one.list else texts
        if spec.unfold:
            cells[spec.unfold] = [cells[spec.unfold]]
        maker.put_image(spec, name, number)
        maker.images.add(name.removesuffix(".jpg"))
        maker.labels += [label] if label else []
        made.append(cells)
    lines = (spec.member or spec.file or "").endswith((".jsonl", ".ndjson"))
    data = "\n".join(map(json.dumps, made)) if lines else json.dumps(nested(made, spec.records))
    maker.put(spec.file or "", spec.member, data.encode())


def nested(value: Any, way: str | None) -> Any:
    """The value where a way leads to it."""
    for step in reversed(way.split(".") if way else ()):
        value = {step: value, "version": 1}
    return value


SHAPES = {"records": records, "table": table, "folders": folders, "spreadsheet": spreadsheet, "rows": rows}
