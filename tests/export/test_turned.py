"""Images that an orientation tag turns: their masks lie on them in every export, whether a reader obeys the tag or not."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pycocotools import mask as official

from dermdata import export
from dermdata.images.orientation import TURNS
from export.conftest import MakeJob
from export.pictures import PRIVATE, exif, saved
from export.samples import row, table
from export.test_coco import loaded

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
WIDE, HIGH = 48, 32
DARK = np.zeros((HIGH, WIDE), bool)
DARK[4:20, 6:30] = True  # a lesion in one corner: no turn lays it onto itself
FORMS = ("webdataset", "huggingface", "croissant")
Pixels = NDArray[Any]


def picture(kind: str, turn: int) -> bytes:
    """A light skin with a dark lesion, as a camera stores it."""
    image = Image.fromarray(np.where(DARK, 40, 220).astype(np.uint8)).convert("RGB")
    if kind == "TIFF":
        return saved(image, "TIFF", tiffinfo={0x0112: turn})
    return saved(image, kind, exif=exif(turn), **({"quality": 95} if kind == "JPEG" else {}))


def outline(turn: int, *, upright: bool, kind: str = "PNG") -> bytes:
    """The lesion's mask: of the stored pixels, or drawn on the picture as a viewer shows it."""
    mask = Image.fromarray(np.where(DARK, 255, 0).astype(np.uint8))
    return saved(mask.transpose(TURNS[turn][0]) if upright else mask, kind)


@pytest.fixture
def turned(root: Path) -> Callable[..., pa.Table]:
    """One row with an image of this kind and turn, and its mask."""

    def make(kind: str, turn: int, *, upright: bool = False, masked: bool = True) -> pa.Table:
        made = row(root, 0) | {
            "split": None,
            "fold": None,
            "width": WIDE,
            "height": HIGH,
            "format": kind.lower(),
        }
        data = picture(kind, turn)
        (root / str(made["path"])).write_bytes(data)
        made |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if masked:
            (root / "images" / "m.png").write_bytes(outline(turn, upright=upright))
            made["mask_path"] = "images/m.png"
        return table([made])

    return make


def pairs(out: Path) -> Iterator[tuple[bytes, bytes]]:
    """Image and mask of each row of an export."""
    for path in out.rglob("*.tar"):
        with tarfile.open(path) as tar:
            held = {name.partition(".")[2]: tar.extractfile(name) for name in tar.getnames()}
            image = next(file for ending, file in held.items() if ending in ("jpg", "png", "tif"))
            yield image.read(), held["mask.png"].read()  # type: ignore[union-attr]
    for path in out.rglob("*.parquet"):
        for one in pq.read_table(path).to_pylist():
            yield one["image"]["bytes"], one["mask"]["bytes"]


def gray(data: bytes, *, obey: bool) -> Pixels:
    """What a reader sees that obeys the tag, or does not."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray((ImageOps.exif_transpose(image) if obey else image).convert("L"))


def assert_laid(image: bytes, mask: bytes) -> None:
    """The mask is where the lesion is, for both kinds of readers and for one that obeys for photographs alone."""
    for of_image, of_mask in ((True, True), (False, False), (True, False)):
        seen, inside = gray(image, obey=of_image), gray(mask, obey=of_mask) > 127
        assert seen.shape == inside.shape
        assert ((seen < 128) == inside).mean() > 0.98


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "turn"), [("JPEG", 6), ("JPEG", 3), ("JPEG", 2), ("PNG", 8), ("TIFF", 5)])
def test_image_and_mask_agree(
    job: MakeJob, turned: Callable[..., pa.Table], form: str, kind: str, turn: int
) -> None:
    """`datasets` obeys the tag of the image; the mask has none."""
    export.write(form, job(table=turned(kind, turn), embed=form == "croissant"))
    ((image, mask),) = pairs(job().out)
    assert_laid(image, mask)
    with Image.open(io.BytesIO(image)) as opened:
        assert opened.size == (WIDE, HIGH)  # as the columns say


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_a_mask_that_was_drawn_upright_is_turned_back(
    job: MakeJob, turned: Callable[..., pa.Table], form: str, turn: int
) -> None:
    """Annotation tools show the picture upright, so their masks have width and height exchanged."""
    export.write(form, job(table=turned("JPEG", turn, upright=True), embed=form == "croissant"))
    ((image, mask),) = pairs(job().out)
    assert_laid(image, mask)


@pytest.mark.parametrize("options", [{"size": 24}, {"strip": True}, {"size": 24, "strip": True}])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("upright", [False, True])
def test_scaled_and_stripped_as_well(
    job: MakeJob, turned: Callable[..., pa.Table], options: dict[str, Any], kind: str, upright: bool
) -> None:
    export.write("huggingface", job(table=turned(kind, 6, upright=upright), **options))
    ((image, mask),) = pairs(job().out)
    assert_laid(image, mask)
    assert PRIVATE not in image or "strip" not in options


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_other_byte_of_the_image_changes(job: MakeJob, turned: Callable[..., pa.Table], kind: str) -> None:
    """It is neither decoded nor encoded anew."""
    export.write("huggingface", job(table=turned(kind, 6)))
    ((image, _),) = pairs(job().out)
    stored = picture(kind, 6)
    assert len(image) == len(stored)
    assert (
        sum(one != other for one, other in zip(image, stored, strict=True)) <= 5
    )  # the tag, a PNG's checksum


@pytest.mark.parametrize("form", ["imagefolder", "webdataset", "huggingface"])
def test_without_a_mask_the_bytes_are_the_files(
    job: MakeJob, turned: Callable[..., pa.Table], form: str
) -> None:
    """Nothing lies on it: viewers may show it upright."""
    written = export.write(form, job(table=turned("JPEG", 6, masked=False)))
    stored = picture("JPEG", 6)
    if form == "webdataset":
        with tarfile.open(str(written.files[0])) as tar:
            found = tar.extractfile("demo/IMG_0000.jpg").read()  # type: ignore[union-attr]
    elif form == "huggingface":
        found = pq.read_table(str(written.files[0]))["image"][0].as_py()["bytes"]
    else:
        (path,) = job().out.rglob("*.jpg")
        found = path.read_bytes()
    assert found == stored


@pytest.mark.parametrize("options", [{}, {"copy": True}, {"size": 24}, {"strip": True}])
@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(("kind", "turn"), [("JPEG", 6), ("PNG", 8), ("TIFF", 7)])
def test_outlines_of_coco_lie_on_what_any_reader_sees(
    job: MakeJob,
    turned: Callable[..., pa.Table],
    options: dict[str, Any],
    upright: bool,
    kind: str,
    turn: int,
) -> None:
    """Its file says sizes and boxes of the pixels as stored; a turned image is a copy, the others are links."""
    told = export.write("coco", job(table=turned(kind, turn, upright=upright), **options)).left_out
    assert not [words for words in told if "masks left out" in words]
    coco = loaded(job().out / "annotations.json")
    ((one,), (shape,)) = coco.loadImgs(coco.getImgIds()), coco.loadAnns(coco.getAnnIds())
    data = (job().out / "images" / one["file_name"]).read_bytes()
    inside = official.decode(shape["segmentation"]).astype(bool)
    for obey in (True, False):
        seen = gray(data, obey=obey)
        assert seen.shape == (one["height"], one["width"]) == inside.shape
        assert ((seen < 128) == inside).mean() > 0.96


def test_coco_links_what_is_not_turned_and_keeps_what_it_wrote(
    job: MakeJob, turned: Callable[..., pa.Table], root: Path
) -> None:
    straight = row(root, 1) | {"split": None, "fold": None}
    both = pa.concat_tables([turned("JPEG", 6), table([straight])])
    export.write("coco", job(table=both))
    out = job().out / "images"
    assert (out / "IMG_0001.jpg").stat().st_nlink == 2
    assert (out / "IMG_0000.jpg").stat().st_nlink == 1
    assert (root / "images" / "IMG_0000.jpg").read_bytes() == picture(
        "JPEG", 6
    )  # the cache's own is untouched
    assert export.write("coco", job(table=both)).kept == 3


def test_a_mask_of_a_size_that_no_turn_explains_is_passed_on_as_it_is(
    job: MakeJob, turned: Callable[..., pa.Table], root: Path
) -> None:
    rows = turned("JPEG", 6)
    other = saved(Image.new("L", (9, 7)), "PNG")
    (root / "images" / "m.png").write_bytes(other)
    export.write("huggingface", job(table=rows))
    ((_, mask),) = pairs(job().out)
    assert mask == other
