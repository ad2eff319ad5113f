"""Boxes from COCO, YOLO and GeoJSON: in pixels, beside the right image, and nothing of a file that marks nonsense."""

import json
from typing import Any

import pytest

from dermdata.errors import TableRefused
from dermdata.model import ArchiveMember, BoxSpec, Content, ImageFacts, TableSpec
from dermdata.readers import boxes as shape
from dermdata.readers import read_table

SIZE = ImageFacts(format="png", width=200, height=100)


def content(path: str, file: str = "a.zip", image: ImageFacts | None = SIZE) -> Content:
    member = ArchiveMember(path=path, offset=0, stored=1, method=0, crc32=0)
    return Content(
        path=path,
        role="images" if image else "metadata",
        file=file,
        size=1,
        sha256=path,
        member=member,
        image=image,
    )


def read(files: dict[str, Any], *specs: BoxSpec, pattern: str = "**/{image}.png", images: Any = ()) -> Any:
    """The table of a folder of pictures `p/1.png`, `p/2.png`, … with what these files mark."""
    contents = tuple(
        content(f"p/{name}.png", image=facts) for name, facts in images or (("1", SIZE), ("2", SIZE))
    )
    contents += tuple(content(name, image=None) for name in files)

    def opened(_: str, name: str | None) -> bytes:
        data = files[name or ""]
        return data if isinstance(data, bytes) else json.dumps(data).encode()

    spec = TableSpec(
        reader="folders", pattern=pattern, boxes=specs, columns={"image": ("@path",), "image_id": ("image",)}
    )
    return read_table(spec, opened, contents)


def boxes(*args: Any, **more: Any) -> list[Any]:
    """Of each row the boxes; every mark is one."""
    raw = read(*args, **more)
    assert raw.rejected == ()
    return [json.loads(cell) if cell else None for cell in raw.rows["@boxes"].to_pylist()]


YOLO = BoxSpec(form="yolo", path="labels/{image}.txt", classes=("nevus", "melanoma"))


@pytest.mark.parametrize(
    ("lines", "right"),
    [
        (b"1 0.5 0.5 0.1 0.2\n", [[90, 40, 20, 20, "melanoma"]]),
        (b"0 0.05 0.05 0.1 0.1 0.93\r\n\r\n7 1 1 .5 .5", [[0, 0, 20, 10, "nevus"], [150, 75, 100, 50, "7"]]),
        (b"\xef\xbb\xbf0 0.1 0.1 0.3 0.1 0.2 0.4", [[20, 10, 40, 30, "nevus"]]),
        (b"", []),
        (b"\n \n", []),
    ],
    ids=["one", "sure, of Windows, of no name", "outline", "empty", "blank"],
)
def test_yolo_is_told_in_pixels(lines: bytes, right: list[Any]) -> None:
    assert boxes({"labels/1.txt": lines}, YOLO) == [right, None]


@pytest.mark.parametrize(
    "line",
    [
        b"0 0.5",
        b"0 a b c d",
        b"0 nan 0.5 0.1 0.1",
        b"0 0.5 0.5 0 0.1",
        b"0 0.5 0.5 -0.1 0.1",
        b"0 1e999 1 1 1",
        b"\xff\xfe",
    ],
)
def test_a_line_that_marks_nothing_is_told_and_the_others_count(line: bytes) -> None:
    raw = read({"labels/1.txt": line + b"\n1 0.5 0.5 0.1 0.2"}, YOLO)
    assert json.loads(raw.rows["@boxes"][0].as_py()) == [[90, 40, 20, 20, "melanoma"]]
    assert [one["reason"] for one in raw.rejected] == ["marks no box"]
    assert raw.rows.num_rows == 2


def test_an_image_of_unknown_size_has_no_yolo_box() -> None:
    raw = read({"labels/1.txt": b"1 0.5 0.5 0.1 0.2"}, YOLO, images=[("1", ImageFacts(problem="truncated"))])
    assert [one["reason"] for one in raw.rejected] == ["the size of its image is not known"]


# ------------------------------------------------------------------ COCO


COCO = BoxSpec(form="coco", path="ann.json")
DOCUMENT = {
    "images": [{"id": 5, "file_name": "far/1.png"}, {"id": 6, "file_name": "2.png"}],
    "categories": [{"id": 1, "name": "lésion"}],
    "annotations": [
        {"image_id": 5, "bbox": [1, 2, 3.0004, 4], "category_id": 1},
        {"image_id": 5, "segmentation": [[0, 0, 10, 0, 10, 5]], "category_id": 9},
    ],
}


def test_coco_is_joined_by_the_images_names() -> None:
    """Also where it knows other folders; an image without a mark has none, one that is not listed is not known."""
    assert boxes({"ann.json": DOCUMENT}, COCO, images=[("1", SIZE), ("2", SIZE), ("3", SIZE)]) == [
        [[1, 2, 3, 4, "lésion"], [0, 0, 10, 5, "9"]], [], None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ({"image_id": 77, "bbox": [1, 2, 3, 4]}, "belongs to no image"),
        ({"bbox": [1, 2, 3, 4]}, "belongs to no image"),
        ({"image_id": 5}, "marks no box"),
        ({"image_id": 5, "bbox": [1, 2, 0, 4]}, "marks no box"),
        ({"image_id": 5, "bbox": ["a", 2, 3, 4]}, "marks no box"),
        ({"image_id": 5, "segmentation": {"counts": "abc", "size": [1, 1]}}, "marks no box"),
        ({"image_id": 5, "segmentation": [[1, 1]]}, "marks no box"),
    ],
)
def test_a_mark_of_no_box_or_no_image_is_told(mark: dict[str, Any], reason: str) -> None:
    raw = read({"ann.json": {**DOCUMENT, "annotations": [mark]}}, COCO)
    assert [one["reason"] for one in raw.rejected] == [reason]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "not JSON"),
        ([1], "no COCO document"),
        ({"images": 3}, "no COCO document"),
        (b"[" * 9999, "nested deeper"),
    ],
)
def test_what_is_no_coco_document_is_refused(data: Any, why: str) -> None:
    with pytest.raises(TableRefused, match=why):
        read({"ann.json": data}, COCO)


# ------------------------------------------------------------------ GeoJSON


GEOJSON = BoxSpec(form="geojson", path="{image}_nuclei.geojson")


def feature(coordinates: Any, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": coordinates},
        "properties": properties,
    }


@pytest.mark.parametrize("listed", [True, False])
def test_an_outline_has_the_box_around_it_and_its_word(listed: bool) -> None:
    features = [
        feature([[[1, 2], [5, 2, 0], [5, 9.5]]], classification={"name": "nuclei_tumor"}),
        feature([[[[0, 0], [4, 4]]], [[[8, 1], [9, 2]]]], label="two parts"),
        feature([[[0, 0], [1, 1]]]),
    ]
    document = features if listed else {"type": "FeatureCollection", "features": features}
    right = [[1, 2, 4, 7.5, "nuclei_tumor"], [0, 0, 9, 4, "two parts"], [0, 0, 1, 1, None]]
    assert boxes({"deep/1_nuclei.geojson": document}, GEOJSON) == [right, None]


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        feature(None),
        feature([]),
        feature([["a", "b"]]),
        feature([[[1, 1], [1, 5]]]),
        feature("x" * 999),
    ],
)
def test_a_feature_of_no_area_is_told(bad: Any) -> None:
    raw = read({"1_nuclei.geojson": [bad]}, GEOJSON)
    assert [one["reason"] for one in raw.rejected] == ["marks no box"]
    assert len(raw.rejected[0]["mark"]) <= 200


def test_several_layers_are_one_list() -> None:
    tissue = BoxSpec(form="geojson", path="{image}_tissue.geojson")
    layers = {"1_nuclei.geojson": [feature([[[0, 0], [1, 1]]], name="a")],
              "1_tissue.geojson": [feature([[[0, 0], [2, 2]]], name="b")]}  # fmt: skip
    assert boxes(layers, GEOJSON, tissue) == [[[0, 0, 1, 1, "a"], [0, 0, 2, 2, "b"]], None]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (BoxSpec(form="yolo"), "does not say which file"),
        (BoxSpec(form="yolo", path="{nothing}.txt"), "no column 'nothing'"),
    ],
)
def test_an_entry_that_names_no_file_of_an_image_is_refused(spec: BoxSpec, why: str) -> None:
    with pytest.raises(TableRefused, match=why):
        read({}, spec)


def test_a_file_larger_than_any_and_very_many_bad_marks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "REJECTED", 1)
    with pytest.raises(TableRefused, match="2 marks cannot be used"):
        read({"labels/1.txt": b"0\n0\n"}, YOLO)
    monkeypatch.setattr(shape, "JSON_BYTES", 3)
    with pytest.raises(TableRefused, match="the limit is 3"):
        read({"labels/1.txt": b"0 0 0 0 0"}, YOLO)


# ------------------------------------------------------------------ VIA


HEAD = (
    b"filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
)


def region(name: str, shape: object, said: object = ()) -> bytes:
    cells = (json.dumps(one).replace('"', '""') for one in (shape, dict(said)))  # type: ignore[call-overload]
    return f'{name},1,"{{}}",1,0,{",".join(f"{chr(34)}{cell}{chr(34)}" for cell in cells)}\n'.encode()


RECT = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 40}


@pytest.mark.parametrize(
    ("shape_", "right"),
    [
        (RECT, [10, 20, 30, 40]),
        ({"name": "circle", "cx": 50, "cy": 40, "r": 10.5}, [39.5, 29.5, 21, 21]),
        ({"name": "ellipse", "cx": 50, "cy": 40, "rx": 10, "ry": 5, "theta": 0}, [40, 35, 20, 10]),
        ({"name": "polygon", "all_points_x": [1, 9, 4], "all_points_y": [2, 3, 8]}, [1, 2, 8, 6]),
    ],
)
def test_every_shape_of_via_has_a_box_and_its_word(shape_: object, right: list[float]) -> None:
    """One document for all images, by their names; a line without a region is an image in which there is none."""
    lines = HEAD + region("1.png", shape_, {"kind": "nevus"}) + region("2.png", {})
    via = BoxSpec(form="via", path="all.csv")
    assert boxes({"all.csv": lines}, via, images=[("1", SIZE), ("2", SIZE), ("3", SIZE)]) == [
        [[*right, "nevus"]], [], None,
    ]  # fmt: skip


def test_via_may_have_a_file_for_each_image() -> None:
    """Whatever the picture was called when it was marked."""
    via = BoxSpec(form="via", path="marks/{image}.csv")
    assert boxes({"marks/2.csv": HEAD + region("model.png", RECT)}, via) == [None, [[10, 20, 30, 40, None]]]


@pytest.mark.parametrize(
    "shape_",
    [
        {"name": "point", "cx": 1, "cy": 2},
        {"name": "rect", "x": "a"},
        "no object",
        {**RECT, "width": 0},
        [1],
        {"x": None},
    ],
)
def test_a_region_of_no_area_is_told(shape_: object) -> None:
    raw = read(
        {"all.csv": HEAD + region("1.png", shape_) + region("1.png", RECT)},
        BoxSpec(form="via", path="all.csv"),
    )
    assert [one["reason"] for one in raw.rejected] == ["marks no box"]
    assert len(json.loads(raw.rows["@boxes"][0].as_py())) == 1


def test_a_table_that_is_not_vias_is_refused() -> None:
    with pytest.raises(TableRefused, match="has no column 'filename'"):
        read({"all.csv": b"name,x\n1,2\n"}, BoxSpec(form="via", path="all.csv"))
