"""Pictures for the page, made of the rows' image files: small ones are kept in memory, nothing is written.

Only the paths of the manifest's rows are opened, by `ImageFinder`, with its rules for what is inside a cache or beside the
manifest. A picture that cannot be shown is told in words.
"""

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from PIL import Image

from dermdata.errors import DermdataError
from dermdata.images.decode import DECODE_ERRORS, FILE_BYTE_LIMIT, PIXEL_LIMIT, decode_lock, open_image
from dermdata.images.image_file import read_image_file
from dermdata.images.masks import BinaryMask, Size, brightness, scale_mask, threshold_mask
from dermdata.images.orientation import ON_THE_SIDE, TURNS, read_orientation, reset_orientation
from dermdata.images.thumbnails import make_thumbnail
from dermdata.manifest.image_files import ImageFinder
from dermdata.model import ImageFacts

SMALL_EDGE, LARGE_EDGE = 256, 2048  # pixels of the longer side
SMALL_QUALITY, LARGE_QUALITY = 76, 90
AT_ONCE = 8  # pictures that are read and decoded, however many are asked for: a file may have 256 MB
KEPT_BYTES = 96 << 20  # of small pictures in memory
OVERLAY_COLOR = (0, 200, 255)
OUTLINE_ALPHA, INSIDE_ALPHA = 255, 70
EDGE = 2  # pixels of an outline
LESION = "lesion"  # what the mask of `mask_path` is of


class NoPicture(Exception):
    """Why there is no picture to show, in words."""


@dataclass
class PictureStore:
    """Gives the pictures of a manifest's rows as bytes."""

    table: pa.Table  # with dataset, path, mask_path, masks
    finder: ImageFinder

    def __post_init__(self) -> None:
        self._small: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._lock, self._finding = threading.Lock(), threading.Lock()
        self._making = threading.BoundedSemaphore(AT_ONCE)

    def small(self, row: int) -> bytes:
        """A JPEG for the grid; NoPicture where there is none."""
        with self._lock:
            if row in self._small:
                self._small.move_to_end(row)
                return self._small[row]
        made = self._make(row, SMALL_EDGE, SMALL_QUALITY)
        with self._lock:
            if row not in self._small:
                self._small[row] = made
                self._bytes += len(made)
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._small.popitem(last=False)[1])
        return made

    def large(self, row: int) -> bytes:
        """A JPEG of the whole picture, upright and without metadata."""
        return self._make(row, LARGE_EDGE, LARGE_QUALITY)

    def list_masks(self, row: int) -> list[tuple[str, str]]:
        """What each mask of a row is of, and its path as the manifest names it."""
        cell = self.table.select(self._mask_columns()).slice(row, 1).to_pylist()[0]
        lesion = [(LESION, cell["mask_path"])] if cell.get("mask_path") else []
        return [*lesion, *((name, path) for name, path in cell.get("masks") or () if path)]

    def overlay(self, row: int, number: int) -> bytes:
        """A mask as a PNG to lay over the large picture: its outline, and its inside so that the skin shows through."""
        masks = self.list_masks(row)
        if not 0 <= number < len(masks):
            raise NoPicture("there is no such mask")
        picture = self._read(row, self._path(row))
        with Image.open(io.BytesIO(self.large(row))) as shown:
            size = shown.size
        inside = read_mask(self._read(row, masks[number][1]), picture, size)
        edge = inside & ~erode(inside)
        alpha = np.where(edge, OUTLINE_ALPHA, np.where(inside, INSIDE_ALPHA, 0)).astype(np.uint8)
        layers = [np.full(alpha.shape, level, np.uint8) for level in OVERLAY_COLOR]
        buffer = io.BytesIO()
        Image.fromarray(np.dstack([*layers, alpha]), "RGBA").save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    # ------------------------------------------------------------------ files

    def _mask_columns(self) -> list[str]:
        return [name for name in ("mask_path", "masks") if name in self.table.column_names]

    def _path(self, row: int) -> str | None:
        path: str | None = self.table["path"][row].as_py()
        return path

    def _make(self, row: int, edge: int, quality: int) -> bytes:
        with self._making:
            made = make_thumbnail(self._read(row, self._path(row)), edge, quality)
        if isinstance(made, str):
            raise NoPicture(made)
        return made

    def _read(self, row: int, path: str | None) -> bytes:
        """The bytes of a file that a row names."""
        if path is None:
            raise NoPicture("no image file")
        try:
            with self._finding:  # it keeps what it has read of folders
                found = self.finder.find(path, self.table["dataset"][row].as_py())
            if found is None:
                raise NoPicture("the image file is not there")
            return read_image_file(found, FILE_BYTE_LIMIT)
        except DermdataError as error:
            raise NoPicture(error.message) from error
        except OSError as error:
            raise NoPicture(error.strerror or "the file cannot be read") from error


def read_mask(data: bytes, picture: bytes, size: Size) -> BinaryMask:
    """Which pixels of the shown picture a mask file marks.

    Parameters
    ----------
    data, picture : bytes
        The files of the mask and of its picture: a mask that was drawn on the stored pixels is turned with them.
    size : (int, int)
        Width and height of the picture as it is shown, pixels.

    Returns
    -------
    numpy.ndarray
        [height, width]

    """
    found = open_image(reset_orientation(data))
    if isinstance(found, ImageFacts):
        raise NoPicture(f"the mask cannot be shown: {found.problem}")
    with found.image as image:
        if image.width * image.height > PIXEL_LIMIT:
            raise NoPicture("the mask has too many pixels")
        try:
            with decode_lock(image):
                inside, _ = threshold_mask(brightness(image))
        except DECODE_ERRORS as error:
            raise NoPicture("the mask cannot be decoded") from error
    turn = read_orientation(picture)
    if turn in TURNS and (turn not in ON_THE_SIDE or is_on_its_side(inside, size)):
        inside = np.asarray(Image.fromarray(inside).transpose(TURNS[turn][0]))
    return scale_mask(inside, size)


def is_on_its_side(inside: BinaryMask, size: Size) -> bool:
    """Whether a mask is as wide as its picture is high."""
    height, width = inside.shape
    return bool((width > height) != (size[0] > size[1]))


def erode(inside: BinaryMask) -> BinaryMask:
    """What is left of an area two pixels in from its edge."""
    left = inside
    for _ in range(EDGE):
        padded = np.pad(left, 1)
        left = (
            padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        )
    return left
