"""Images that lie in .npz and Parquet files: whole, one at a time, and nothing of a hostile file."""

import io
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dermdata import archive
from dermdata.errors import ArchiveRefused
from dermdata.readers.image_tables import ROWS, find_member_reader, write_png

PIXELS = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


SMALL = archive.ArchiveLimits(total_floor=1 << 20)


def unpack(path: Path) -> tuple[archive.Extraction, Path]:
    kind: Any = path.suffix[1:]
    reader = find_member_reader(kind)
    assert reader
    folder = path.parent / "out"
    found = archive.extract(
        path,
        kind,
        folder,
        place=lambda name: name,
        members=partial(reader, path, path.stem),
        jobs=1,
        limits=SMALL,
    )
    return found, folder


def npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path / "a.npz", **arrays)
    return path / "a.npz"


def jpeg(level: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (6, 4), (level, 0, 0)).save(data, "JPEG")
    return data.getvalue()


# ------------------------------------------------------------------ arrays


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (PIXELS, "RGB"),
        (PIXELS[..., :1], "L"),
        (PIXELS[..., 0], "L"),
        (np.dstack([PIXELS[0], PIXELS[0, ..., :1]])[None].repeat(2, 0), "RGBA"),
        (PIXELS[..., 0].astype(np.uint16) * 200, "I;16"),
        (PIXELS[..., 0] > 20, "L"),
    ],
)
def test_every_pixel_of_an_array_is_in_its_png(tmp_path: Path, pixels: Any, mode: str) -> None:
    found, folder = unpack(npz(tmp_path, train_images=pixels, train_labels=np.array([[4], [0]])))
    for number in range(2):
        with Image.open(folder / f"a/train/images/{number}.png") as image:
            assert image.mode == mode
            right = pixels[number].squeeze()
            assert np.array_equal(np.asarray(image), right * 255 if right.dtype == bool else right)
    assert (folder / ROWS).read_text() == (
        "@split,@number,images,labels,@image\n"
        "train,0,a/train/images/0.png,4,a/train/images/0.png\ntrain,1,a/train/images/1.png,0,a/train/images/1.png\n"
    )
    assert len(found.contents) == 3


@pytest.mark.parametrize("side", [1, 255, 300])
def test_a_png_of_any_size_is_read_back(side: int) -> None:
    """Also those whose data need several stored blocks."""
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)
    with Image.open(io.BytesIO(write_png(pixels))) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_parts_of_a_split_are_told_by_the_names_and_masks_are_images_too(tmp_path: Path) -> None:
    found, folder = unpack(
        npz(
            tmp_path,
            x_train=PIXELS,
            train_mask=PIXELS[..., 0],
            test_x=PIXELS[:1],
            names_test=np.array(["ä, b"]),
        )
    )
    lines = (folder / ROWS).read_text().splitlines()
    assert lines[0] == "@split,@number,x,mask,@image,names"
    assert lines[3] == 'test,0,a/test/x/0.png,,a/test/x/0.png,"ä, b"'
    assert {one.name for one in found.contents} > {"a/train/mask/1.png", "a/test/x/0.png"}


def test_what_fits_no_image_is_left_out_and_told(tmp_path: Path) -> None:
    found, _ = unpack(npz(tmp_path, images=PIXELS, classes=np.array(["a", "b", "c"]), size=np.array(28)))
    assert [note.partition(": ")[2] for note in found.notes] == [
        "array 'classes' has no value for each image, it is left out",
        "array 'size' has no value for each image, it is left out",
    ]


class Trap:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("pickle-was-opened"),)  # type: ignore[return-value]


def header(shape: str, descr: str = "'|u1'", order: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (zipped(images=header("(2,)", "'|O'") + pickle.dumps([Trap()])), "Python objects"),
        (zipped(images=header("(9000000000, 28, 28, 3)") + b"x"), "which are not its"),
        (zipped(images=header("(1, -4, 4)") + b"x"), "which are not its"),
        (zipped(images=header("(" + "(" * 5000) + b"x"), "is no NumPy array"),
        (zipped(images=header("(1, 2, 2)", "[('a', '|u1')]") + b"xxxx"), "is a record"),
        (zipped(images=header("(1, 2, 2)", order="True") + b"xxxx"), "column by column"),
        (zipped(images=header("(1, 0, 70000)")), "pixels"),
        (zipped(images=b"no array"), "is no NumPy array"),
        (zipped(train_x=header("(1, 2, 2)") + b"xxxx", train_y=header("(2, 2, 1)") + b"xxxx"), "different numbers"),
        (zipped(labels=header("(4,)") + b"xxxx"), "no array of images"),
        (zipped(images=header("(300, 100, 100)") + bytes(3_000_000)), "limit"),
        (zipped(**{"../images": header("(1, 2, 2)") + b"xxxx"}), "plain and different words"),
        (zipped(images=header("(1, 2, 2)") + b"xxxx")[:-30], "no whole .npz"),
    ],
    ids=["pickle", "says more", "negative", "deep", "record", "fortran", "no pixels", "no header", "unequal",
         "no images", "bomb", "leads out", "cut short"],
)  # fmt: skip
def test_a_hostile_array_leaves_nothing(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ArchiveRefused, match=why):
        unpack(tmp_path / "a.npz")
    assert not [one for one in (tmp_path / "out").rglob("*") if one.is_file()]
    assert not Path("pickle-was-opened").exists()


# ------------------------------------------------------------------ Parquet


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path / "p.parquet", **options)
    return path / "p.parquet"


def test_an_image_in_parquet_keeps_its_bytes_and_its_row(tmp_path: Path) -> None:
    images = pa.array(
        [{"bytes": jpeg(n), "path": f"{n}.jpg"} for n in range(70)]
        + [{"bytes": None, "path": "far.jpg"}, None],
        PICTURE,
    )
    _, folder = unpack(
        parquet(tmp_path, {"image": images, "dx": ["mel"] * 72, "more": [[1, 2]] * 72}, row_group_size=7)
    )
    assert (folder / "p/image/69.jpg").read_bytes() == jpeg(69)
    lines = (folder / ROWS).read_text().splitlines()
    assert lines[0] == "@number,@image,image,dx,more"
    assert lines[70] == '69,p/image/69.jpg,p/image/69.jpg,mel,"[1, 2]"'
    assert lines[71:] == ['70,,far.jpg,mel,"[1, 2]"', '71,,,mel,"[1, 2]"']


def test_bare_bytes_and_lists_of_images_are_images(tmp_path: Path) -> None:
    several = pa.array(
        [[{"bytes": jpeg(1), "path": None}, {"bytes": jpeg(2), "path": None}]], pa.list_(PICTURE)
    )
    _, folder = unpack(parquet(tmp_path, {"raw": [jpeg(3)], "views": several}))
    assert (folder / ROWS).read_text().splitlines()[1] == (
        '0,p/raw/0.jpg,p/raw/0.jpg,"[""p/views/0-0.jpg"", ""p/views/0-1.jpg""]"'
    )
    assert (folder / "p/views/0-1.jpg").read_bytes() == jpeg(2)


def test_equal_images_that_stand_once_in_a_column_do_not_fill_the_memory(tmp_path: Path) -> None:
    """A dictionary of one page: 64 rows of it at once would be 64 times as much."""
    image = b"\xff\xd8\xff" + bytes(1 << 20)
    path = parquet(tmp_path, {"raw": [image] * 40}, compression="zstd")
    with pytest.raises(ArchiveRefused, match="total_ratio"):
        unpack(path)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"PAR1 and no more", "no whole Parquet"), (b"", "no whole Parquet"), (None, "called as ours are")],
)
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, data: bytes | None, why: str) -> None:
    path = parquet(tmp_path, {"raw": [jpeg(1)], "@number": ["1"]})
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match=why):
        unpack(path)
    assert not [one for one in (tmp_path / "out").rglob("*") if one.is_file()]
