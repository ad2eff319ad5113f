"""Small pictures of a spot on skin, for what compares images."""

import io

import numpy as np
from PIL import Image

TURNS = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,  # Pillow turns counterclockwise
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSVERSE,
)


def blurred_lesion(seed: int, size: tuple[int, int] = (300, 225)) -> Image.Image:
    """A dark spot and soft texture; no two seeds alike."""
    rng = np.random.default_rng(seed)
    texture = Image.fromarray(rng.normal(0, 18, (9, 12)).astype(np.float32)).resize(
        size, Image.Resampling.BICUBIC
    )
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    spot = np.exp(-(((x - rng.normal(0, 0.1)) / 0.5) ** 2) - ((y - rng.normal(0, 0.1)) / 0.5) ** 2)
    levels = 190 - 90 * spot + np.asarray(texture)
    return Image.fromarray(np.clip(levels[..., None] * [1, 0.8, 0.7], 0, 255).astype(np.uint8))


def turned_picture(picture: Image.Image, turn: int) -> Image.Image:
    """By the number that dermdata.images.phash.TURNS gives it."""
    how = TURNS[turn]
    return picture if how is None else picture.transpose(how)


def jpeg(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **{"quality": 90, **options})  # type: ignore[arg-type]
    return buffer.getvalue()
