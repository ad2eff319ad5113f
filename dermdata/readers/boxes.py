"""Boxes around what is marked in a table's images: from COCO, YOLO, GeoJSON and VIA's CSV files beside them.

A box is [left, top, width, height, word] in the stored pixels of its image. Of an outline it is the box around it; the
outline itself stays in its file. A row whose image no file marks has none at all; one in which a file marks nothing has
an empty list.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pyarrow as pa

from dermdata.errors import TableRefused
from dermdata.limits import REJECTED, parse_json
from dermdata.markup import count_nouns
from dermdata.model import ANY_FILE, IMAGE_ENDINGS, BoxSpec, Content, TableSpec
from dermdata.readers.delimited import parse_delimited
from dermdata.readers.raw_table import BOXES_COLUMN, Opener, RawTable
from dermdata.readers.records import JSON_BYTES, parse_value
from dermdata.readers.table import require_present

Box = list[Any]  # left, top, width, height, word
Misfits = list[Mapping[str, object]]
NO_BOX = "marks no box"
FIELD = re.compile(r"\{([^{}]+)\}")
YOLO_NUMBERS = 5  # of a box: class, center, size; a sixth is how sure a model is, and more are an outline
VIA_COLUMNS = ["filename", "region_shape_attributes", "region_attributes"]
WORD_PLACES = (
    ("classification", "name"),
    ("label",),
    ("name",),
    ("class",),
    ("category",),
)  # in a feature's properties


def add_boxes(raw: RawTable, spec: TableSpec, files: Opener, contents: Sequence[Content]) -> RawTable:
    """The table with its rows' boxes, and the marks that are none among what was rejected."""
    rows, misfits = raw.rows, list[Mapping[str, object]]()
    found: list[list[Box] | None] = [None] * rows.num_rows
    for one in spec.boxes:
        source = BoxSource(one, spec, files, contents, misfits)
        for place, boxes in enumerate(source.boxes_of(rows)):
            if boxes is not None:
                found[place] = [*(found[place] or []), *boxes]
    if len(misfits) > REJECTED:
        raise TableRefused(f"{count_nouns(len(misfits), 'mark')} cannot be used: {misfits[0]['reason']}")
    cells = ["" if boxes is None else json.dumps(boxes, ensure_ascii=False) for boxes in found]
    rows = rows.append_column(BOXES_COLUMN, pa.array(cells, pa.string()))
    return replace(raw, rows=rows, rejected=(*raw.rejected, *misfits))


@dataclass(frozen=True)
class BoxSource:
    """One form of marks, and where they are."""

    spec: BoxSpec
    table: TableSpec
    files: Opener
    contents: Sequence[Content]
    misfits: Misfits

    def boxes_of(self, rows: pa.Table) -> Iterator[list[Box] | None]:
        """Each row's boxes; None where nothing marks its image."""
        if self.spec.form == "coco":
            return self.named_boxes(rows, self.coco_boxes)
        if self.spec.form == "via" and not FIELD.search(self.spec.path or ""):
            return self.named_boxes(rows, self.via_boxes)
        return self.file_boxes(rows)

    def reject(self, file: str, mark: object, reason: str) -> None:
        self.misfits.append({"file": file, "mark": str(mark)[:200], "reason": reason})

    # -------------------------------------------------------------- one document for all images

    def named_boxes(
        self, rows: pa.Table, parse: Callable[[bytes, str], dict[str, list[Box]]]
    ) -> Iterator[list[Box] | None]:
        """By the images' names in one document, with or without their folders."""
        file = self.spec.file or self.table.file or ANY_FILE
        what = self.spec.path or file
        boxes = parse(require_size(self.files(file, self.spec.path), what), what)
        by_leaf = index_leaves(boxes)
        return (boxes.get(name, find_by_leaf(name, by_leaf)) for name in self.image_names(rows))

    def coco_boxes(self, data: bytes, what: str) -> dict[str, list[Box]]:
        """The boxes in a COCO document."""
        document = parse_coco(data, what)
        names, words = map_ids(document, "images", "file_name"), map_ids(document, "categories", "name")
        boxes: dict[str, list[Box]] = {name: [] for name in names.values()}
        for mark in list_objects(document, "annotations"):
            name, box, number = (
                names.get(str(mark.get("image_id"))),
                coco_box(mark),
                str(mark.get("category_id")),
            )
            if name is None or box is None:
                self.reject(what, mark, "belongs to no image" if name is None else NO_BOX)
            else:
                boxes[name].append([*box, words.get(number, number)])
        return boxes

    def via_boxes(self, data: bytes, what: str) -> dict[str, list[Box]]:
        """The boxes in a CSV file of the VGG Image Annotator: a line a region, or one for an image without any."""
        rows, refused = parse_delimited(data, what, delimiter=",", encoding="utf-8-sig")
        self.misfits.extend({**one, "mark": one.get("row", "")} for one in refused)
        require_present(rows, VIA_COLUMNS, what)
        boxes: dict[str, list[Box]] = {}
        for name, region, said in zip(*(rows[one].to_pylist() for one in VIA_COLUMNS), strict=True):
            found, shape = boxes.setdefault(name, []), parse_object(region)
            if box := via_box(shape):
                found.append([*box, next(map(str, parse_object(said).values()), None)])
            elif shape:  # else an image without a region
                self.reject(what, region, NO_BOX)
        return boxes

    def image_names(self, rows: pa.Table) -> list[str]:
        columns = self.table.columns.get("image") or self.table.columns.get("image_id") or ()
        if len(columns) != 1:
            raise TableRefused("boxes belong to images, which one column must name")
        names: list[str] = rows[columns[0]].to_pylist()
        return names

    # -------------------------------------------------------------- a file for each image

    def file_boxes(self, rows: pa.Table) -> Iterator[list[Box] | None]:
        """By the file whose name is made of the row's columns."""
        template = self.spec.path
        if template is None:
            raise TableRefused(f"the catalog does not say which file has an image's boxes ({self.spec.form})")
        fields = FIELD.findall(template)
        require_present(rows, fields, self.table.file or "the table")
        paths = index_paths(one for one in self.contents if self.spec.file in (None, ANY_FILE, one.file))
        sizes = ImageSizes(self.contents) if self.spec.form == "yolo" else None
        names = fill_templates(template, rows.select(fields))
        for image, name in zip(self.image_names(rows), names, strict=True):
            path = paths.get(name)
            if path is None:
                yield None
                continue
            data = require_size(self.files(self.spec.file or ANY_FILE, path), path)
            yield list(self.parse_marks(data, path, sizes.find(image) if sizes else None))

    def parse_marks(self, data: bytes, path: str, size: tuple[int, int] | None) -> Iterable[Box]:
        """The boxes in the file of one image."""
        if self.spec.form == "yolo":
            return self.yolo_boxes(data, path, size)
        if self.spec.form == "via":
            return chain.from_iterable(self.via_boxes(data, path).values())
        return self.outline_boxes(data, path)

    def yolo_boxes(self, data: bytes, name: str, size: tuple[int, int] | None) -> Iterator[Box]:
        """Each line's box, whose numbers are parts of the image's width and height."""
        for line in filter(None, map(str.strip, data.decode("utf-8-sig", "replace").splitlines())):
            word, *numbers = line.split()
            box = yolo_box(numbers, size) if size else None
            if box is None:
                self.reject(name, line, NO_BOX if size else "the size of its image is not known")
            else:
                yield [*box, self.class_name(word)]

    def class_name(self, word: str) -> str:
        """What the entry calls a class's number."""
        known = self.spec.classes
        return known[int(word)] if word.isascii() and word.isdigit() and int(word) < len(known) else word

    def outline_boxes(self, data: bytes, name: str) -> Iterator[Box]:
        """The box around each feature of a GeoJSON document."""
        document = parse_value(data, name)
        features = document.get("features", [document]) if isinstance(document, dict) else document
        for feature in features if isinstance(features, list) else []:
            geometry = feature.get("geometry") if isinstance(feature, dict) else None
            box = enclose(iterate_points(geometry.get("coordinates"))) if isinstance(geometry, dict) else None
            if box is None:
                self.reject(name, feature, NO_BOX)
            else:
                yield [*box, feature_word(feature)]


def fill_templates(template: str, rows: pa.Table) -> Iterator[str]:
    """Each row's file name: the columns in braces filled in."""
    for row in rows.to_pylist():
        yield FIELD.sub(lambda match, row=row: row[match[1]], template)  # type: ignore[misc]  # bound for this row


def index_paths(contents: Iterable[Content]) -> dict[str, str]:
    """The official path of each file, by itself and by its name without folders where only one has it."""
    paths = [one.official for one in contents]
    leaves = Counter(path.rpartition("/")[2] for path in paths)
    single = {leaf: path for path in paths if leaves[leaf := path.rpartition("/")[2]] == 1}
    return single | {path: path for path in paths}


def require_size(data: bytes, what: str) -> bytes:
    if len(data) > JSON_BYTES:
        raise TableRefused(f"{what} has {count_nouns(len(data), 'byte')}, the limit is {JSON_BYTES:,}")
    return data


def parse_coco(data: bytes, what: str) -> Mapping[str, Any]:
    """A COCO document; TableRefused for another one."""
    document = parse_value(data, what)
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise TableRefused(f"{what} is no COCO document: it has no list of images")
    return document


def map_ids(document: Mapping[str, Any], key: str, name: str) -> dict[str, str]:
    """What the objects of a list are called, by their ids as text."""
    return {str(one.get("id")): str(one.get(name, "")) for one in list_objects(document, key)}


def list_objects(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    values = document.get(key)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def index_leaves(boxes: Mapping[str, list[Box]]) -> dict[str, list[Box]]:
    """The boxes by the images' own names, with and without ending, where only one image has it."""
    found: dict[str, list[list[Box]]] = {}
    for name, one in boxes.items():
        leaf = name.rpartition("/")[2]
        for key in {leaf, strip_image_ending(leaf)}:
            found.setdefault(key, []).append(one)
    return {leaf: several[0] for leaf, several in found.items() if len(several) == 1}


def find_by_leaf(name: str, boxes: Mapping[str, list[Box]]) -> list[Box] | None:
    """The boxes of the image that a row names with or without folders and ending."""
    leaf = name.replace("\\", "/").rpartition("/")[2]
    return boxes.get(leaf, boxes.get(strip_image_ending(leaf)))


def strip_image_ending(leaf: str) -> str:
    """A file's name without the ending of an image."""
    stem, dot, ending = leaf.rpartition(".")
    return stem if f"{dot}{ending}".lower() in IMAGE_ENDINGS else leaf


class ImageSizes:
    """Width and height of the images that are here, by official path and by name without folders."""

    def __init__(self, contents: Iterable[Content]) -> None:
        self.by_name: dict[str, set[tuple[int, int]]] = {}
        for one in contents:
            if one.image and one.image.width and one.image.height:
                size = (one.image.width, one.image.height)
                for name in (one.official, one.official.rpartition("/")[2]):
                    self.by_name.setdefault(name, set()).add(size)

    def find(self, name: str) -> tuple[int, int] | None:
        """The size of the image of this name; None for none, and for several of different sizes."""
        found = self.by_name.get(name) or self.by_name.get(name.rpartition("/")[2]) or ()
        return next(iter(found)) if len(found) == 1 else None


# ------------------------------------------------------------------ one box


def coco_box(mark: Mapping[str, Any]) -> Box | None:
    """COCO's own box, or the one around its polygons."""
    box = to_numbers(mark.get("bbox"))
    if box is not None and len(box) == YOLO_NUMBERS - 1:
        return check_box(*box)
    polygons = mark.get("segmentation")
    flat = [to_numbers(one) or [] for one in polygons] if isinstance(polygons, list) else []
    return enclose((x, y) for one in flat for x, y in zip(one[::2], one[1::2], strict=False))


def yolo_box(words: Sequence[str], size: tuple[int, int]) -> Box | None:
    """Of four numbers the box of this center and size, of six or more the one around the outline."""
    numbers = to_numbers(words)
    if numbers is None or len(numbers) < YOLO_NUMBERS - 1:
        return None
    width, height = size
    if len(numbers) <= YOLO_NUMBERS:
        across, down, wide, high = numbers[:4]
        return check_box((across - wide / 2) * width, (down - high / 2) * height, wide * width, high * height)
    return enclose((x * width, y * height) for x, y in zip(numbers[::2], numbers[1::2], strict=False))


def via_box(shape: Mapping[str, Any]) -> Box | None:
    """The box of a rectangle, or around a circle, an ellipse or an outline."""
    rectangle = to_numbers([shape.get(name) for name in ("x", "y", "width", "height")])
    if rectangle:
        return check_box(*rectangle)
    middle = to_numbers([shape.get(name) for name in ("cx", "cy")])
    radii = to_numbers([shape.get("rx", shape.get("r")), shape.get("ry", shape.get("r"))])
    if middle and radii:
        return check_box(middle[0] - radii[0], middle[1] - radii[1], 2 * radii[0], 2 * radii[1])
    across, down = (to_numbers(shape.get(name)) or [] for name in ("all_points_x", "all_points_y"))
    return enclose(zip(across, down, strict=False))


def parse_object(text: str) -> Mapping[str, Any]:
    """The object that a cell stands for; of anything else one that is no region."""
    try:
        value = parse_json(text) if text else {}
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"": text}


def to_numbers(values: Any) -> list[float] | None:
    """The values as finite numbers; None where one is none."""
    try:
        found = [float(one) for one in values] if isinstance(values, list | tuple) else None
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found is not None and all(map(math.isfinite, found)) else None


def check_box(left: float, top: float, width: float, height: float) -> Box | None:
    """The box with pixels to a thousandth; None for one without an area."""
    return [round(one, 3) for one in (left, top, width, height)] if width > 0 and height > 0 else None


def enclose(points: Iterable[tuple[float, float]]) -> Box | None:
    """The box around points; None for none, and where they lie in a line along an edge."""
    found = list(points)
    if not found:
        return None
    across, down = zip(*found, strict=True)
    return check_box(min(across), min(down), max(across) - min(across), max(down) - min(down))


def iterate_points(value: Any) -> Iterator[tuple[float, float]]:
    """Every pair of numbers in lists of lists, however deep."""
    if not isinstance(value, list):
        return
    numbers = to_numbers(value[:2]) if len(value) > 1 else None
    if numbers:
        yield numbers[0], numbers[1]
        return
    for one in value:
        yield from iterate_points(one)


def feature_word(feature: Mapping[str, Any]) -> str | None:
    """What a feature is called, in one of the places where programs write it; None for nowhere."""
    for place in WORD_PLACES:
        value: Any = feature.get("properties")
        for step in place:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str | int):
            return str(value)
    return None
