"""coco: what pycocotools and torchvision's CocoDetection see, and what is left out and told."""

import io
import json
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as official
from pycocotools.coco import COCO

from dermdata import export
from dermdata.errors import UsageError
from dermdata.export.coco import WITHOUT_ANNOTATION
from dermdata.export.coco_annotations import CocoDocument, CocoImage, MaskRef, document_chunks
from dermdata.export.masks import (
    EMPTY_MASK,
    OTHER_SIZE,
    MaskOutline,
    MaskTask,
    bounding_box,
    encode_run_lengths,
    run_lengths,
    trace_mask,
)
from dermdata.model import BoxSpec, TableSpec
from dermdata.progress import SilentProgress
from dermdata.readers import read_table
from export.conftest import MakeJob
from export.folder_contents import contents
from export.samples import row, table

# pycocotools 2.0's own, on decoding
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
Pixels = NDArray[np.uint8]
masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


def loaded(path: Path) -> COCO:
    with redirect_stdout(io.StringIO()):  # it prints
        return COCO(str(path))


def drawn(root: Path, name: str, pixels: Pixels) -> str:
    (root / "masks").mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(root / "masks" / name)
    return f"masks/{name}"


def blob(width: int, height: int, seed: int = 0) -> Pixels:
    return ((np.random.default_rng(seed).random((height, width)) > 0.4) * 255).astype(np.uint8)


def covered(root: Path, number: int, **changes: object) -> dict[str, object]:
    """A row with a lesion mask of its image's size."""
    made = row(root, number) | {"split": None, "fold": None}
    made["mask_path"] = drawn(root, f"{number}.png", blob(6 + number, 5, number))
    return made | changes


@pytest.fixture
def written(job: MakeJob, tmp_path: Path) -> Callable[..., tuple[dict[str, int], dict[str, Any]]]:
    """Exports rows; what was told, and the file."""

    def write(rows: Sequence[dict[str, object]], **choices: object) -> tuple[dict[str, int], dict[str, Any]]:
        told = export.write("coco", job(table=table(list(rows)), **choices)).left_out
        return dict(told), json.loads((tmp_path / "out" / "annotations.json").read_text())

    return write


# ------------------------------------------------------------------ run lengths


@given(masks)
def test_run_lengths_are_pycocotools_own(mask: NDArray[np.bool_]) -> None:
    """The same string, box and area, of any mask."""
    theirs = official.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert encode_run_lengths(run_lengths(mask)) == theirs["counts"].decode()
    if mask.any():
        assert list(bounding_box(mask)) == official.toBbox(theirs).tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 70_000), (3000, 2500)])
@pytest.mark.parametrize("value", [False, True])
def test_long_runs(shape: tuple[int, int], value: bool) -> None:
    """One run of millions of pixels takes several digits."""
    mask = np.full(shape, value)
    assert (
        encode_run_lengths(run_lengths(mask))
        == official.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    )


# ------------------------------------------------------------------ what is inside a mask


def outline_of(tmp_path: Path, image: Image.Image, name: str = "m.png", **options: object) -> MaskOutline:
    image.save(tmp_path / name, **options)
    return trace_mask(MaskTask(str(tmp_path / name), image.size, image.size))


def inside(found: MaskOutline, size: tuple[int, int]) -> list[list[int]]:
    width, height = size
    return official.decode({"size": [height, width], "counts": found.counts.encode()}).tolist()


@pytest.mark.parametrize(
    ("values", "expected", "soft"),
    [
        ([[0, 255, 0]], [[0, 1, 0]], False),
        ([[0, 1, 0]], [[0, 1, 0]], False),
        ([[1, 255, 1]], [[0, 1, 0]], False),
        ([[7, 7, 7]], [[1, 1, 1]], False),
        ([[0, 127, 128, 255]], [[0, 0, 1, 1]], True),
        ([[0, 1, 2]], [[0, 1, 1]], True),
    ],
)
def test_values_that_are_inside(
    tmp_path: Path, values: list[list[int]], expected: list[list[int]], soft: bool
) -> None:
    """Of two values the greater, of more those of at least half the greatest."""
    image = Image.fromarray(np.array(values, dtype=np.uint8))
    found = outline_of(tmp_path, image)
    assert (inside(found, image.size), found.soft) == (expected, soft)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "I"])
def test_every_mode_of_a_mask(tmp_path: Path, mode: str) -> None:
    """Bilevel, palette, color, transparent and 16-bit files say the same."""
    gray = Image.fromarray(np.array([[0, 255, 255], [0, 0, 255]], dtype=np.uint8))
    image = gray.convert("I").convert("I;16") if mode == "I;16" else gray.convert(mode)
    found = outline_of(tmp_path, image, "m.tif" if mode == "I" else "m.png")
    assert (inside(found, image.size), found.soft, found.problem) == ([[0, 1, 1], [0, 0, 1]], False, None)


def test_what_is_transparent_is_outside(tmp_path: Path) -> None:
    """However bright it would be."""
    image = Image.new("RGBA", (3, 1), (255, 255, 255, 0))
    image.putpixel((1, 0), (255, 255, 255, 255))
    assert inside(outline_of(tmp_path, image), image.size) == [[0, 1, 0]]


def test_a_jpeg_of_a_mask(tmp_path: Path) -> None:
    """Its ringing does not count, and it is told as soft."""
    pixels = np.zeros((16, 16), np.uint8)
    pixels[4:12, 4:11] = 255
    found = outline_of(tmp_path, Image.fromarray(pixels), "m.jpg", quality=70)
    assert (found.box, found.area, found.soft) == ((4, 4, 7, 8), 56, True)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n cut", b"%!PS-Adobe"])
def test_a_file_that_is_no_mask(tmp_path: Path, content: bytes) -> None:
    """It says why, without naming this machine's folders."""
    (tmp_path / "m.png").write_bytes(content)
    problem = trace_mask(MaskTask(str(tmp_path / "m.png"), (1, 1), (1, 1))).problem
    assert problem is not None
    assert problem.startswith("cannot be decoded: ")
    assert str(tmp_path) not in problem


# ------------------------------------------------------------------ the file


@settings(max_examples=40)  # each writes files
@given(st.data())
def test_a_mask_comes_back_pixel_by_pixel(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """COCO's annToMask is what the mask file holds."""
    drawn_masks = data.draw(st.lists(masks.filter(lambda mask: bool(mask.any())), min_size=1, max_size=4))
    folder = tmp_path_factory.mktemp("masks")
    pictures = []
    for number, mask in enumerate(drawn_masks):
        Image.fromarray(mask).save(folder / f"{number}.png")
        cover = MaskRef(1, f"{number}.png", str(folder / f"{number}.png"))
        pictures.append(CocoImage(f"{number}.jpg", {"key": str(number)}, mask.shape[::-1], [cover]))
    document = CocoDocument({"categories": [{"id": 1, "name": "lesion"}]}, pictures, None, 1)
    (folder / "a.json").write_bytes(b"".join(document_chunks(document, SilentProgress())))
    found = loaded(folder / "a.json")
    assert [found.annToMask(one).tolist() for one in found.anns.values()] == [
        one.tolist() for one in drawn_masks
    ]
    assert [one["area"] for one in found.anns.values()] == [int(one.sum()) for one in drawn_masks]


def test_torchvisions_rule(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """CocoDetection(OUT/train, OUT/instances_train.json): torchvision 0.20, datasets/coco.py."""
    rows = [covered(root, number, split="train" if number else "test") for number in range(3)]
    export.write("coco", job(table=table(rows)))
    coco = loaded(tmp_path / "out" / "instances_train.json")
    for number in sorted(coco.imgs):
        path = coco.loadImgs(number)[0]["file_name"]
        with Image.open(tmp_path / "out" / "train" / path) as image:
            (target,) = coco.loadAnns(coco.getAnnIds(number))
            assert image.convert("RGB").size == coco.annToMask(target).shape[::-1]


def test_categories_are_the_same_in_every_part(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Classes by name from 1, then structures, of the whole manifest, though a part lacks some."""
    rows = [
        covered(root, 0, split="train", diagnosis="zoster", masks=[("streaks", "masks/0.png")]),
        covered(root, 1, split="test", diagnosis="acne", masks=[("globules", "masks/1.png")]),
    ]
    for split in ("train", "test"):
        export.write("coco", job(table=table(rows), split=split))
        coco = loaded(tmp_path / "out" / f"instances_{split}.json")
        named = [(one["id"], one["name"], one["supercategory"]) for one in coco.cats.values()]
        assert named == [
            (1, "acne", "diagnosis"), (2, "zoster", "diagnosis"),
            (3, "globules", "structure"), (4, "streaks", "structure"),
        ]  # fmt: skip


def test_two_masks_of_one_image(written: Any, root: Path) -> None:
    """The lesion in its class, then each structure by name; a null one is none."""
    first = covered(root, 0, masks=[("streaks", "masks/0.png"), ("globules", "masks/0.png"), ("dots", None)])
    told, file = written([first])
    categories = {one["id"]: one["name"] for one in file["categories"]}
    named = [(one["image_id"], categories[one["category_id"]]) for one in file["annotations"]]
    assert named == [(1, "melanoma"), (1, "globules"), (1, "streaks")]
    assert told == {}


def test_where_no_row_has_a_class_masks_are_lesions(written: Any, root: Path) -> None:
    """Sets made for segmentation only; their images have no class of their own."""
    _, file = written([covered(root, 0, diagnosis=None)])
    assert file["categories"] == [{"id": 1, "name": "lesion", "supercategory": "lesion"}]
    assert (file["annotations"][0]["category_id"], file["images"][0]["categories_of_image"]) == (1, [])


def test_where_only_structures_are_outlined_there_is_no_lesion(written: Any, root: Path) -> None:
    """No category that no mask can have."""
    mask = drawn(root, "s.png", blob(6, 5))
    _, file = written([covered(root, 0, diagnosis=None, mask_path=None, masks=[("streaks", mask)])])
    assert [(one["id"], one["name"]) for one in file["categories"]] == [(1, "streaks")]
    assert [one["category_id"] for one in file["annotations"]] == [1]


def test_a_row_without_a_class_is_left_out_where_others_have_one(written: Any, root: Path) -> None:
    """A lesion without a name would be learned as background."""
    told, file = written([covered(root, 0), covered(root, 1, diagnosis=None)])
    assert told == {"rows left out: no diagnosis": 1}
    assert [one["key"] for one in file["images"]] == ["demo/IMG_0000"]


def test_an_image_without_mask_has_a_class_and_no_annotation(written: Any, root: Path) -> None:
    """It is told; the class stands where COCO's tools do not look."""
    told, file = written([covered(root, 0, mask_path=None), covered(root, 1)])
    assert [one["categories_of_image"] for one in file["images"]] == [[2], [1]]
    assert [one["image_id"] for one in file["annotations"]] == [2]
    assert list(told.items()) == [(WITHOUT_ANNOTATION, 1)]


def test_masks_that_cannot_be_used_are_left_out_and_told(written: Any, root: Path) -> None:
    """Of another size, empty, gone, broken: the image stays, the file lists the mask, nothing is resized."""
    empty = drawn(root, "empty.png", np.zeros((5, 7), np.uint8))
    (root / "masks" / "broken.png").write_bytes(b"nope")
    rows = [
        covered(root, 0, mask_path=drawn(root, "other.png", blob(5, 6))), covered(root, 1, mask_path=empty),
        covered(root, 2, mask_path="masks/gone.png"), covered(root, 3, mask_path="masks/broken.png"),
    ]  # fmt: skip
    told, file = written(rows)
    assert (len(file["images"]), file["annotations"]) == (4, [])
    assert {one["mask"]: one["reason"].partition(":")[0] for one in file["masks_left_out"]} == {
        "masks/other.png": OTHER_SIZE, "masks/empty.png": EMPTY_MASK, "masks/gone.png": "no such file",
        "masks/broken.png": "cannot be decoded",
    }  # fmt: skip
    reasons = {words: count for words, count in told.items() if words.startswith("masks")}
    assert reasons == {
        f"masks left out: {reason}": 1
        for reason in (OTHER_SIZE, EMPTY_MASK, "no such file", "cannot be decoded")
    }


def test_soft_masks_are_told_again_by_a_second_run(written: Any, root: Path) -> None:
    """What is kept still says what it lacks."""
    rows = [covered(root, 0, mask_path=drawn(root, "s.png", np.arange(30, dtype=np.uint8).reshape(5, 6)))]
    first, _ = written(rows)
    again, _ = written(rows)
    assert first == again
    assert list(first.values()) == [1]


@pytest.mark.parametrize("size", [3, 5, 6])
def test_masks_are_scaled_with_their_images(written: Any, root: Path, tmp_path: Path, size: int) -> None:
    """To the very size that each image came to, whatever its shape."""
    told, file = written([covered(root, number) for number in range(10)], size=size)
    annotated = {one["image_id"]: one for one in file["annotations"]}
    for one in file["images"]:
        with Image.open(tmp_path / "out" / "images" / one["file_name"]) as image:
            assert (one["width"], one["height"]) == image.size
        assert annotated[one["id"]]["segmentation"]["size"] == [one["height"], one["width"]]
    assert not [words for words in told if OTHER_SIZE in words]


def test_sizes_that_the_manifest_lacks_are_looked_up(written: Any, root: Path) -> None:
    """In the image; one whose header cannot be read is left out."""
    broken = covered(root, 1, width=None, height=None, bytes=4)
    (root / "images" / "IMG_0001.jpg").write_bytes(b"nope")
    told, file = written([covered(root, 0, width=None), broken])
    assert [(one["width"], one["height"]) for one in file["images"]] == [(6, 5)]
    assert told == {"rows left out: its width and height cannot be read": 1}


def test_names_of_any_kind(written: Any, root: Path, tmp_path: Path) -> None:
    """Quotes, other scripts, slashes and doubles: each image has a file, each class its own word."""
    given = [('the "ugly" one', "a/b"), ("سرطان الجلد", "a_b"), ("two\nlines", "ünï’s"), ("nv\\", "A_B")]
    rows = [covered(root, n, diagnosis=word, image_id=name) for n, (word, name) in enumerate(given)]
    _, file = written(rows)
    assert sorted(one["name"] for one in file["categories"]) == sorted(word for word, _ in given)
    names = [one["file_name"] for one in file["images"]]
    assert len({name.casefold() for name in names}) == 4
    assert all((tmp_path / "out" / "images" / name).is_file() for name in names)


def test_two_splits_that_are_one_name_on_disk(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Each keeps its own folder and file."""
    rows = [covered(root, n, split=word) for n, word in enumerate(["a/b", "a_b", "A_B"])]
    export.write("coco", job(table=table(rows)))
    found = sorted(tmp_path.glob("out/instances_*.json"))
    assert len({path.name.casefold() for path in found}) == 3
    for path in found:
        (name,) = [one["file_name"] for one in json.loads(path.read_text())["images"]]
        assert (tmp_path / "out" / path.stem.removeprefix("instances_") / name).is_file()


def test_licenses_have_their_pages(written: Any, root: Path) -> None:
    """By the image."""
    _, file = written(
        [covered(root, 0), covered(root, 1, license="LicenseRef-mine"), covered(root, 2, license=None)]
    )
    assert file["licenses"] == [
        {"id": 1, "name": "CC0-1.0", "url": "https://spdx.org/licenses/CC0-1.0"},
        {"id": 2, "name": "LicenseRef-mine", "url": ""},
    ]
    assert [one.get("license") for one in file["images"]] == [1, 2, None]


def test_nothing_can_be_embedded(job: MakeJob) -> None:
    """Images are files."""
    with pytest.raises(UsageError, match="nothing can be embedded"):
        export.write("coco", job(embed=True))


# ------------------------------------------------------------------ the same bytes


def test_workers_and_the_order_of_rows_change_nothing(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """The same files, byte by byte; no path of this machine."""
    rows = [covered(root, number) for number in range(8)]
    export.write("coco", job("one", table=table(rows), jobs=1))
    export.write("coco", job("four", table=table(rows[::-1]), jobs=4))
    assert contents(tmp_path / "one") == contents(tmp_path / "four")
    assert str(tmp_path).encode() not in (tmp_path / "one" / "annotations.json").read_bytes()


def test_a_mask_that_changed_is_read_again(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """The manifest has no digest of masks: their size and time tell."""
    rows = [covered(root, 0)]
    export.write("coco", job(table=table(rows)))
    assert export.write("coco", job(table=table(rows))).kept == 2
    drawn(root, "0.png", np.eye(5, 6, dtype=np.uint8) * 255)
    assert export.write("coco", job(table=table(rows))).kept == 1
    file = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert file["annotations"][0]["area"] == 5


def test_memory_stays_flat(tmp_path: Path) -> None:
    """2,000 masks of 2 kB each are never in memory together."""
    Image.fromarray(blob(64, 64)).save(tmp_path / "m.png")
    cover = [MaskRef(1, "m.png", str(tmp_path / "m.png"))]
    one = CocoImage("m.jpg", {"key": "k"}, (64, 64), cover)
    document = CocoDocument({"categories": []}, [one] * 2000, None, 2)
    trace_mask(MaskTask(str(tmp_path / "m.png"), (64, 64), (64, 64)))  # Pillow's own tables
    tracemalloc.start()
    written = sum(map(len, document_chunks(document, SilentProgress())))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written > 4_000_000
    assert peak < 3_000_000


def test_rows_of_a_slice_have_their_own_structures(root: Path) -> None:
    """Not those of the table that they were cut from."""
    from dermdata.export.job import structure_names

    rows = [
        row(root, n) | {"masks": [(name, "x")] if name else None}
        for n, name in enumerate(["a", "b", None, "c"])
    ]
    whole = table(rows)
    assert structure_names(whole) == ("a", "b", "c")
    assert structure_names(whole.slice(1, 2)) == ("b",)
    assert structure_names(pa.concat_tables([whole.slice(0, 1), whole.slice(3)])) == ("a", "c")
    assert structure_names(whole.slice(2, 1)) == ()


def test_a_plan_is_what_is_written(job: MakeJob, root: Path) -> None:
    """Folders and files, and that they are there afterwards."""
    made = job(table=table([covered(root, 0, split="val"), covered(root, 1, split="train")]))
    before = export.plan("coco", made)
    assert [(part.path.name, part.rows) for part in before] == [
        ("train", 1), ("val", 1), ("instances_train.json", 0), ("instances_val.json", 0),
    ]  # fmt: skip
    export.write("coco", made)
    assert export.plan("coco", made) == tuple(replace(part, there=True) for part in before)


# ------------------------------------------------------------------ boxes


def box(label: str | None, *sides: float) -> dict[str, object]:
    return {**dict(zip(("x", "y", "width", "height"), sides, strict=True)), "label": label}


def test_boxes_are_annotations_of_their_own_words(written: Any, root: Path, tmp_path: Path) -> None:
    """Beside masks and classes; COCO's own tools draw them, and our reader gives them back."""
    first = covered(root, 0, boxes=[box("hair", 1, 1, 2.5, 3), box(None, 0, 0, 6, 5)])
    told, file = written([first, covered(root, 1, mask_path=None, boxes=[])])
    categories = {one["id"]: (one["name"], one["supercategory"]) for one in file["categories"]}
    boxed = [one for one in file["annotations"] if not one["segmentation"]]
    assert [(*categories[one["category_id"]], one["bbox"], one["area"]) for one in boxed] == [
        ("hair", "box", [1, 1, 2.5, 3], 7.5), ("box", "box", [0, 0, 6, 5], 30),
    ]  # fmt: skip
    assert told == {WITHOUT_ANNOTATION: 1}
    seen = loaded(tmp_path / "out" / "annotations.json")
    assert len(seen.getAnnIds(imgIds=[1])) == 3
    spec = TableSpec(
        reader="records", file="a.json", records="images", columns={"image": ("file_name",)},
        boxes=(BoxSpec(form="coco", file="a.json"),),
    )  # fmt: skip
    again = read_table(spec, lambda *_: json.dumps(file).encode(), ())
    found = [json.loads(cell) for cell in again.rows["@boxes"].to_pylist()]
    assert found[0][-2:] == [[1, 1, 2.5, 3, "hair"], [0, 0, 6, 5, "box"]]
    assert found[1] == []


def test_where_only_boxes_are_there_is_no_lesion_and_they_are_scaled_with_the_image(
    written: Any, root: Path
) -> None:
    """In the pixels of what was exported."""
    made = covered(root, 0, diagnosis=None, mask_path=None, boxes=[box("a", 2, 1, 3, 2)])
    _, file = written([made], size=3)
    assert [one["name"] for one in file["categories"]] == ["a"]
    (image,), (found,) = file["images"], file["annotations"]
    across, down = image["width"] / made["width"], image["height"] / made["height"]  # type: ignore[operator]
    assert found["bbox"] == pytest.approx([2 * across, down, 3 * across, 2 * down], abs=0.001)
    assert across < 1
