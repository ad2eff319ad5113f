"""Masks beside pictures: told by their names and by what they look like; masks are no pictures, and they are counted."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from conftest import Answer
from dermdata.inference.masks import PictureLook, guess_masks, is_flat

Cli = Callable[..., Answer]
MASK, PHOTO = PictureLook((8, 6), is_flat=True), PictureLook((8, 6), is_flat=False)


def draw_pair(picture: Path, mask: Path | None, number: int) -> None:
    """A photograph of many levels, and its mask of two."""
    for path in filter(None, (picture, mask)):
        path.parent.mkdir(parents=True, exist_ok=True)
    photo = Image.linear_gradient("L").resize((64, 48)).rotate(number * 7).convert("RGB")
    photo.putpixel((number, 0), (255, 0, 0))
    photo.save(picture)
    if mask:
        shape = Image.new("L", photo.size)
        ImageDraw.Draw(shape).ellipse((10, 10, 30 + number, 40), fill=255)
        shape.save(mask)


LAYOUTS = {
    "an end": ("own/{n}.jpg", "own/{n}_mask.png"),
    "another end, in capitals": ("own/{n}.JPG", "own/{n}_Segmentation.PNG"),
    "a folder": ("own/images/{n}.jpg", "own/masks/{n}.png"),
    "a folder below": ("own/{n}.png", "own/masks/{n}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_are_no_pictures(cli: Cli, tmp_path: Path, layout: str) -> None:
    """With a table; the last picture has no mask, which is counted."""
    picture, mask = LAYOUTS[layout]
    for number in range(4):
        draw_pair(
            tmp_path / picture.format(n=f"x{number}"),
            tmp_path / mask.format(n=f"x{number}") if number < 3 else None,
            number,
        )
    (tmp_path / "t.csv").write_text("image,diagnosis\n" + "".join(f"x{n},nevus\n" for n in range(4)))
    words = ("add", "own", tmp_path / "own", "--table", tmp_path / "t.csv", "-o", tmp_path / "lab")
    added = cli(*words, "--label", "diagnosis")
    assert added.code == 0, added.err
    assert "3 of 3 files are called like a picture" in added.out
    assert "1 image without a mask" in added.err
    rows = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    assert [row["image_id"] for row in rows] == [f"x{n}" for n in range(4)]
    assert [bool(row["mask_path"]) for row in rows] == [True, True, True, False]
    text = (tmp_path / "lab" / "datasets" / "own" / "dataset.toml").read_text()
    assert '"table.masks.lesion" = "inferred on' in text
    assert cli("--catalog", tmp_path / "lab", "export", "coco", "own", "-o", tmp_path / "coco").code == 0


def test_masks_in_folders_that_are_classes(cli: Cli, tmp_path: Path) -> None:
    """Without a table: the folders are labels, the masks in them are none."""
    for number in range(4):
        home = tmp_path / "own" / ("nevus", "melanoma")[number % 2]
        draw_pair(home / f"x{number}.jpg", home / f"x{number}_mask.png", number)
    added = cli("add", "own", tmp_path / "own", "-o", tmp_path / "lab")
    assert added.code == 0, added.err
    rows = pq.read_table(added.out.splitlines()[-1]).to_pylist()
    assert sorted(row["diagnosis"] for row in rows) == ["melanocytic-nevus"] * 2 + ["melanoma"] * 2
    assert all(row["mask_path"] for row in rows)


@pytest.mark.parametrize(
    ("paths", "sure"),
    [
        (["a.jpg", "a_mask.png"], [("{image_id}_mask.png", ["*_mask.*"])]),
        (["a.jpg", "a-seg.png", "b.jpg", "b-seg.png"], [("{image_id}-seg.png", ["*-seg.*"])]),
        (["i/a.jpg", "Masken/a.bmp"], [("Masken/{image_id}.bmp", ["Masken/*", "*/Masken/*"])]),
        (["a.jpg", "a_mask.png", "masks/a.png"],
         [("masks/{image_id}.png", ["masks/*", "*/masks/*"]), ("{image_id}_mask.png", ["*_mask.*"])]),
        (["a[1].jpg", "a[1] [x]_mask.png", "b.jpg"], []),  # no picture of its name
        (["a_mask.png", "b_mask.png"], []),  # masks alone are pictures of something
        (["mask/a.jpg", "mask/b.jpg"], []),
        (["a.jpg", "a_mask.png", "b_mask.png", "c_mask.png"], []),  # most have no picture
    ],
)  # fmt: skip
def test_names_of_masks(paths: Sequence[str], sure: list[tuple[str, list[str]]]) -> None:
    found = guess_masks(paths, lambda path: MASK if "mas" in path.lower() or "seg" in path else PHOTO)
    told = sorted((one.template, list(one.globs)) for one in found if one.is_sure)
    assert told == sorted(sure)


@pytest.mark.parametrize(
    "look", [PHOTO, PictureLook((4, 4), is_flat=True), None], ids=["a photograph", "another size", "broken"]
)
def test_what_does_not_look_like_a_mask_is_a_picture(look: PictureLook | None) -> None:
    """A close-up `x_lesion.jpg` beside the overview x.jpg is no mask, whatever it is called."""
    found = guess_masks(["x.jpg", "x_lesion.jpg"], lambda path: look if "lesion" in path else PHOTO)
    assert [one.is_sure for one in found] == [False]


def test_flat_is_what_has_two_levels() -> None:
    assert all(map(is_flat, ([0.0] * 10, [0, 1] * 10, [0, 255] * 9 + [100])))
    assert not is_flat([float(level) for level in range(20)])
