"""yolo, masks and nnunet: what their own readers check, by their published rules, and what is left out and told.

Ultralytics and nnU-Net are too heavy for `make test`: held here are the checks of `ultralytics/data/utils.py`
(check_det_dataset, verify_image_label) and of `nnunetv2/experiment_planning/verify_dataset_integrity.py`.
"""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image

from dermdata import export
from dermdata.errors import ChecksumMismatch, UsageError
from dermdata.export.annotated_folder import NOTHING_DRAWN, SOFT_MASKS
from dermdata.export.nnunet import OVERLAPS
from dermdata.export.yolo import HOLES, PARTS_LEFT, center_box, format_shares, trace_outline
from export.conftest import MakeJob
from export.folder_contents import contents
from export.samples import draw, row, table

PARTS = ("train", "train", "val", "test")


def levels(path: Path) -> np.ndarray:
    """The pixels of a picture."""
    with Image.open(path) as image:
        return np.asarray(image)


def drawn_rows(root: Path, count: int = 4, **changes: Mapping[int, Any]) -> pa.Table:
    """Rows with a mask each, in train, train, val and test; `changes` by column and row."""
    rows = [
        {**row(root, number), "split": PARTS[number % 4], "mask_path": draw(root, number)}
        for number in range(count)
    ]
    for column, values in changes.items():
        for number, value in values.items():
            rows[number][column] = value
    return table(rows)


# ------------------------------------------------------------------ parts that are exported one by one


@pytest.mark.parametrize("form", ["yolo", "yolo-seg", "coco", "masks", "nnunet"])
def test_a_part_alone_means_by_a_number_what_the_whole_does(
    job: MakeJob, root: Path, tmp_path: Path, form: str
) -> None:
    """Only the part train has the class melanoma, a structure beside the lesion and a box with a name of its own."""
    rows = drawn_rows(
        root,
        label={number: "nevus" if number else "melanoma" for number in range(4)},
        masks={0: {"hair": draw(root, 0)}},
        boxes={
            number: [{"label": word, "x": 1.0, "y": 1.0, "width": 2.0, "height": 2.0}]
            for number, word in enumerate(("abscess", "pustule", "pustule", "pustule"))
        },
    )
    said = []
    for part in ("train", "val"):
        out = tmp_path / part
        export.write(form, job(table=rows, split=part, out=out))
        if form == "masks":
            said.append((out / f"{part}/pairs.csv").read_text().splitlines()[0])
        elif form == "coco":
            said.append(json.loads((out / f"instances_{part}.json").read_text())["categories"])
        elif form == "nnunet":
            said.append(json.loads((out / "dataset.json").read_text())["labels"])
        else:
            said.append(yaml.safe_load((out / "data.yaml").read_text())["names"])
    assert said[0] == said[1]
    assert "hair" in str(said[1])
    assert form in ("masks", "nnunet") or "melanoma" in str(said[1])
    assert form not in ("yolo", "coco") or "abscess" in str(said[1])


# ------------------------------------------------------------------ yolo


def read_yolo(folder: Path, *, outlines: bool = False) -> dict[str, dict[str, list[list[float]]]]:
    """The labels of each image of each part, by Ultralytics' rules; an error where it would refuse the set."""
    data = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    assert {"train", "val", "names"} <= {*data}
    assert "path" not in data  # else it is this machine's
    assert [*data["names"]] == [*range(len(data["names"]))]
    found: dict[str, dict[str, list[list[float]]]] = {}
    for part in (name for name in ("train", "val", "test") if name in data):
        images = sorted((folder / data[part]).iterdir())
        found[part] = {}
        for image in images:
            text = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt").read_text()
            lines = [[float(word) for word in line.split()] for line in text.splitlines()]
            for line in lines:
                assert 0 <= line[0] < len(data["names"])
                assert line[0].is_integer()
                assert len(line) >= 7 and len(line) % 2 if outlines else len(line) == 5
                assert all(0 <= number <= 1 for number in line[1:])
            assert len({tuple(line) for line in lines}) == len(lines)
            found[part][image.name] = lines
    return found


def test_boxes_of_masks_are_centers_and_sizes(job: MakeJob, root: Path, tmp_path: Path) -> None:
    written = export.write("yolo", job(table=drawn_rows(root)))
    assert (written.rows, written.unusable) == (4, 0)
    found = read_yolo(tmp_path / "out")
    assert {part: len(images) for part, images in found.items()} == {"train": 2, "val": 1, "test": 1}
    # 3 x 3 pixels from (2, 1) of an image of 6 x 5; melanoma is the second class by name
    assert found["train"]["IMG_0000.jpg"] == [[1, 0.583333, 0.5, 0.5, 0.6]]
    names = yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"]
    assert names == {0: "melanocytic-nevus", 1: "melanoma"}


def test_outlines_follow_each_part_and_fill_holes(job: MakeJob, root: Path, tmp_path: Path) -> None:
    pixels = np.zeros((40, 60), np.uint8)
    pixels[5:25, 5:25], pixels[12:18, 12:18] = 255, 0  # with a hole
    pixels[30:35, 40:55] = 255
    rows = drawn_rows(root)
    Image.new("RGB", (60, 40), "red").save(root / "images/IMG_0000.jpg")
    rows = rows.drop_columns(["sha256", "bytes"])
    sizes = {"width": [60, *rows["width"].to_pylist()[1:]], "height": [40, *rows["height"].to_pylist()[1:]]}
    for name, values in sizes.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(place, rows.schema.field(name), pa.array(values, rows.schema.field(name).type))
    draw(root, 0, pixels)
    written = export.write("yolo-seg", job(table=rows))
    assert written.left_out[HOLES] == 1
    lines = read_yolo(tmp_path / "out", outlines=True)["train"]["IMG_0000.jpg"]
    boxes = sorted(
        [min(line[1::2]) * 60, min(line[2::2]) * 40, max(line[1::2]) * 60, max(line[2::2]) * 40]
        for line in lines
    )
    assert np.allclose(boxes, [[5, 5, 24, 24], [40, 30, 54, 34]], atol=0.01)


@pytest.mark.parametrize(
    "pixels", [np.eye(1, dtype=bool), np.ones((1, 4), bool), np.ones((5, 1), bool), np.ones((2, 2), bool)]
)
def test_the_smallest_part_is_an_outline_too(pixels: np.ndarray) -> None:
    (part,) = trace_outline(pixels).parts
    assert len(part) >= 3


def test_shares_are_never_outside() -> None:
    assert format_shares(center_box((-1, 0, 30, 5), (10, 5))) == "1 0.5 1 1"
    assert format_shares((0.0, 1e-9, 0.1234567)) == "0 0 0.123457"


def test_boxes_of_rows_and_images_on_which_nothing_is_found(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Boxes that are empty say that nothing is there; boxes that are absent say nothing."""
    box = {"x": 1.0, "y": 1.0, "width": 2.0, "height": 2.0, "label": "hair"}
    rows = drawn_rows(
        root,
        5,
        boxes={0: [box], 1: [], 2: [box], 3: None, 4: None},
        mask_path=dict.fromkeys(range(5)),
        split={4: "train"},
    )
    written = export.write("yolo", job(table=rows))
    found = read_yolo(tmp_path / "out")
    assert found["train"] == {"IMG_0000.jpg": [[0, 0.333333, 0.4, 0.333333, 0.4]], "IMG_0001.jpg": []}
    assert written.left_out[f"rows left out: {NOTHING_DRAWN}"] == written.unusable == 2
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"] == {0: "hair"}
    with pytest.raises(UsageError, match="no image has a mask or a box that can be used"):
        export.write("yolo-seg", job("seg", table=rows))


def test_without_train_and_val_there_is_nothing_to_train(job: MakeJob, root: Path) -> None:
    rows = drawn_rows(root, split={2: "test"})
    with pytest.raises(UsageError, match="needs the parts train and val, the rows have test, train"):
        export.plan("yolo", job(table=rows))
    bare = drawn_rows(root, split=dict.fromkeys(range(4)))
    with pytest.raises(UsageError, match="the rows have no split"):
        export.plan("yolo", job(table=bare))
    with pytest.raises(UsageError, match="there is no row"):  # a condition that nobody meets
        export.plan("yolo", job(table=bare.slice(0, 0)))
    apart = drawn_rows(root, 5, split={4: None})
    assert export.write("yolo", job(table=apart)).left_out[PARTS_LEFT] == 1


def test_hostile_class_names_stay_names(job: MakeJob, root: Path, tmp_path: Path) -> None:
    names = {0: 'a: "b"', 1: "- x\ny: 1", 2: "{é}", 3: "#"}
    rows = drawn_rows(root).append_column("label", pa.array(list(names.values())))
    export.write("yolo", job(table=rows))
    assert {*yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"].values()} == {*names.values()}


# ------------------------------------------------------------------ masks


def test_pairs_lie_in_folders_by_part(job: MakeJob, root: Path, tmp_path: Path) -> None:
    written = export.write("masks", job(table=drawn_rows(root)))
    assert written.rows == 4
    for part, count in (("train", 2), ("val", 1), ("test", 1)):
        with (tmp_path / "out" / part / "pairs.csv").open(encoding="utf-8", newline="") as file:
            pairs = list(csv.DictReader(file))
        assert len(pairs) == count
        for one in pairs:
            image, mask = (levels(tmp_path / "out" / part / one[name]) for name in ("image", "mask"))
            assert mask.shape == image.shape[:2]
            assert {*np.unique(mask).tolist()} == {0, 255}
            assert Path(one["image"]).stem == Path(one["mask"]).stem


def test_each_structure_has_a_folder_where_there_are_several(
    job: MakeJob, root: Path, tmp_path: Path
) -> None:
    inner = draw(root, 1, name="globules")
    rows = drawn_rows(root, masks={1: [("globules", inner)]}, split=dict.fromkeys(range(4)))
    export.write("masks", job(table=rows))
    with (tmp_path / "out/pairs.csv").open(encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    assert [(one["lesion"], one["globules"]) for one in pairs[:2]] == [
        ("masks/lesion/IMG_0000.png", ""), ("masks/lesion/IMG_0001.png", "masks/globules/IMG_0001.png"),
    ]  # fmt: skip


def test_masks_are_scaled_with_their_images(job: MakeJob, root: Path, tmp_path: Path) -> None:
    export.write("masks", job(table=drawn_rows(root), size=4))
    image = levels(tmp_path / "out/train/images/IMG_0001.jpg")
    assert max(image.shape[:2]) == 4
    assert levels(tmp_path / "out/train/masks/IMG_0001.png").shape == image.shape[:2]


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (np.zeros((5, 6), np.uint8), "no pixel is set"),
        (np.full((9, 9), 255, np.uint8), "another size than its image"),
        (None, "no such file"),
    ],
)
@pytest.mark.parametrize("form", ["yolo", "masks", "nnunet"])
def test_an_image_whose_mask_cannot_be_used_is_no_background(
    job: MakeJob, root: Path, form: str, pixels: np.ndarray | None, why: str
) -> None:
    rows = drawn_rows(root)
    (root / "masks/m0.png").unlink()
    if pixels is not None:
        draw(root, 0, pixels)
    written = export.write(form, job(table=rows))
    assert (written.rows, written.unusable) == (3, 1)
    assert [words for words in written.left_out if why in words]


def test_soft_masks_are_told(job: MakeJob, root: Path) -> None:
    rows = drawn_rows(root)
    soft = np.zeros((5, 6), np.uint8)
    soft[1:4, 2:5], soft[2, 3] = 200, 255
    draw(root, 0, soft)
    for form in ("yolo", "masks", "nnunet"):
        assert export.write(form, job(form, table=rows)).left_out[SOFT_MASKS] == 1


# ------------------------------------------------------------------ nnunet


def verify_nnunet(folder: Path) -> dict[str, Any]:
    """The rules of `verify_dataset_integrity`, on PNGs: names, numbers, shapes, and no label that is not stated."""
    about: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert {"labels", "channel_names", "numTraining", "file_ending"} <= {*about}
    numbers = [*about["labels"].values()]
    assert numbers == [*range(len(numbers))]
    assert next(iter(about["labels"])) == "background"
    cases = sorted(path.name.removesuffix("_0000.png") for path in (folder / "imagesTr").iterdir())
    assert len(cases) == about["numTraining"]
    assert {path.stem for path in (folder / "labelsTr").iterdir()} == {*cases}
    for kind in ("Tr", "Ts"):
        for path in (folder / f"images{kind}").iterdir() if (folder / f"images{kind}").is_dir() else ():
            image = levels(path)
            label = levels(folder / f"labels{kind}" / f"{path.stem.removesuffix('_0000')}.png")
            assert image.shape == (*label.shape, len(about["channel_names"]))
            assert {*np.unique(label).tolist()} <= {*numbers}
    return about


def test_a_raw_dataset_for_nnunet(job: MakeJob, root: Path, tmp_path: Path) -> None:
    written = export.write("nnunet", job("Dataset501_Demo", table=drawn_rows(root)))
    assert written.rows == 4
    about = verify_nnunet(tmp_path / "Dataset501_Demo")
    assert about["labels"] == {"background": 0, "lesion": 1}
    assert about["numTraining"] == 3
    (split,) = json.loads((tmp_path / "Dataset501_Demo/splits_final.json").read_text())
    assert split == {"train": ["IMG_0000", "IMG_0001"], "val": ["IMG_0002"]}
    assert {path.name for path in (tmp_path / "Dataset501_Demo/imagesTs").iterdir()} == {"IMG_0003_0000.png"}
    label = levels(tmp_path / "Dataset501_Demo/labelsTr/IMG_0000.png")
    assert label[2].tolist() == [0, 0, 1, 1, 1, 0]


def test_labels_are_classes_where_classes_are_asked_for_then_structures(
    job: MakeJob, root: Path, tmp_path: Path
) -> None:
    hair = np.zeros((5, 7), np.uint8)
    hair[2, :] = 255  # crosses the lesion
    inner = draw(root, 1, hair, name="hair")
    rows = drawn_rows(root, masks={1: [("hair", inner)]})
    plain = export.write("nnunet", job("plain", table=rows))
    assert verify_nnunet(tmp_path / "plain")["labels"] == {"background": 0, "lesion": 1, "hair": 2}
    assert plain.left_out[OVERLAPS] == 1
    classed = rows.append_column("label", pa.array(["b", "a", "b", "a"]))
    export.write("nnunet", job("classed", table=classed))
    assert verify_nnunet(tmp_path / "classed")["labels"] == {"background": 0, "a": 1, "b": 2, "hair": 3}
    label = levels(tmp_path / "classed/labelsTr/IMG_0001.png")
    assert label[1].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert label[2].tolist() == [3] * 7


def test_scaled_labels_lie_on_their_images(job: MakeJob, root: Path, tmp_path: Path) -> None:
    export.write("nnunet", job(table=drawn_rows(root, split=dict.fromkeys(range(4))), size=4))
    assert verify_nnunet(tmp_path / "out")["numTraining"] == 4


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize("form", ["yolo", "yolo-seg", "masks", "nnunet"])
def test_a_second_run_keeps_all_and_a_moved_folder_is_whole(
    job: MakeJob, root: Path, tmp_path: Path, form: str
) -> None:
    """Moved to another place, without the cache it came from, it is read as before."""
    rows = drawn_rows(root)
    parts = export.plan(form, job(table=rows))
    assert not (tmp_path / "out").exists()
    first = export.write(form, job(table=rows))
    again = export.write(form, job(table=rows))
    assert (first.kept, again.kept) == (0, first.count)
    assert sum(part.rows for part in parts) <= (first.count or 0)
    before = contents(tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "cluster")
    shutil.rmtree(tmp_path / "cache")
    assert contents(tmp_path / "cluster") == before
    if form.startswith("yolo"):
        read_yolo(tmp_path / "cluster", outlines=form == "yolo-seg")
    elif form == "nnunet":
        verify_nnunet(tmp_path / "cluster")
    for path in (tmp_path / "cluster").rglob("*.*"):
        if path.suffix in (".txt", ".csv", ".yaml", ".json"):
            assert str(tmp_path) not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["yolo", "masks"])
def test_a_turned_image_lies_under_its_mask(job: MakeJob, root: Path, tmp_path: Path, form: str) -> None:
    """The copy's tag says "as stored": readers that obey tags and those that do not see one picture."""
    rows = drawn_rows(root).drop_columns(["sha256", "bytes"])
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "images/IMG_0000.jpg") as image:
        image.load()
        image.save(root / "images/IMG_0000.jpg", exif=exif)
    export.write(form, job(table=rows))
    (copy,) = (tmp_path / "out").rglob("IMG_0000.jpg")
    with Image.open(copy) as image:
        assert image.getexif().get(0x0112) in (None, 1)


@pytest.mark.parametrize("form", ["yolo", "masks", "nnunet"])
def test_an_altered_image_is_not_exported(job: MakeJob, root: Path, tmp_path: Path, form: str) -> None:
    """Its bytes are compared with the row's digest, whether it is linked or drawn anew; a mended one is exported."""
    rows = drawn_rows(root)
    whole = (root / "images/IMG_0001.jpg").read_bytes()
    (root / "images/IMG_0001.jpg").write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    with pytest.raises(ChecksumMismatch, match="IMG_0001"):
        export.write(form, job(table=rows))
    there = (tmp_path / "out").rglob("*IMG_0001*.[jp][pn]g")
    assert not [path for path in there if "images" in str(path.relative_to(tmp_path))]
    (root / "images/IMG_0001.jpg").write_bytes(whole)
    assert export.write(form, job(table=rows)).rows == 4
