"""Photo-like dermoscopic pictures made from a seed, and the ways in which copies of one picture differ."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

SIZE = (600, 450)  # pixels, as HAM10000's
FIELD = (150, 113)  # colors vary slowly: they are made at a quarter of the size
Grid = np.ndarray


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """One lesion on skin: gradient, texture, irregular blob with structure, hairs, vignette, noise."""
    rng = np.random.default_rng((seed, 7))
    x, y = np.meshgrid(np.linspace(-1.33, 1.33, FIELD[0]), np.linspace(-1, 1, FIELD[1]))
    skin = _skin(rng, x, y)
    lesion, inside = _lesion(rng, x, y)
    colors = skin * (1 - inside[..., None]) + lesion * inside[..., None]
    colors *= _vignette(rng, x, y)[..., None]
    image = Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return _grain(rng, _hairs(rng, image))


def _clouds(rng: np.random.Generator, cells: int) -> Grid:
    """Smooth noise between about -1 and 1, `cells` waves across."""
    shape = (max(cells * 3 // 4, 2), cells)
    rough = Image.fromarray(rng.normal(size=shape).astype(np.float32))
    return np.asarray(np.asarray(rough.resize(FIELD, Image.Resampling.BICUBIC)) * 0.6)


def _skin(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    light, dark = np.array([235.0, 195, 175]), np.array([95.0, 62, 48])
    tone = light + (dark - light) * rng.beta(1.2, 3)
    slope = rng.normal(0, 0.06, 2)
    shade = 1 + slope[0] * x + slope[1] * y + 0.03 * _clouds(rng, 5) + 0.02 * _clouds(rng, 24)
    redness = 6 * _clouds(rng, 4)[..., None] * np.array([1, -0.5, -0.5])
    return np.asarray(tone * shade[..., None] + redness)


def _lesion(rng: np.random.Generator, x: Grid, y: Grid) -> tuple[Grid, Grid]:
    """Its colors, and how much of each point it covers; nearly centered, as photographers do."""
    dx, dy = x - rng.normal(0, 0.12), y - rng.normal(0, 0.1)
    angle = np.arctan2(dy, dx)
    stretch, turn = rng.uniform(0.65, 1), rng.uniform(0, np.pi)
    u, v = dx * np.cos(turn) + dy * np.sin(turn), -dx * np.sin(turn) + dy * np.cos(turn)
    border = rng.uniform(0.3, 0.75) + sum(
        rng.normal(0, 0.06 / wave**0.5) * np.cos(wave * angle + rng.uniform(0, 6.3)) for wave in range(2, 9)
    )
    depth = (border - np.hypot(u, v / stretch)) / rng.uniform(0.03, 0.15) + 0.8 * _clouds(rng, 12)
    inside = rng.uniform(0.55, 0.95) / (1 + np.exp(-np.clip(depth, -30, 30)))
    brown = np.array([120.0, 75, 50]) * rng.uniform(0.5, 1.25) + rng.normal(0, 10, 3)
    blotches = 1 + 0.18 * _clouds(rng, 6) + 0.12 * _clouds(rng, 14)
    return brown * (blotches + _structure(rng, u, v))[..., None], inside


def _structure(rng: np.random.Generator, u: Grid, v: Grid) -> Grid:
    """A pigment network, dots, or nothing."""
    kind = rng.integers(3)
    if kind == 0:
        waves = rng.uniform(25, 40)
        across, down = np.sin(waves * u + 2 * _clouds(rng, 8)), np.sin(waves * v + 2 * _clouds(rng, 8))
        return np.asarray(0.12 * across * down)
    if kind == 1:
        dots = sum(
            np.exp(-((u - rng.normal(0, 0.3)) ** 2 + (v - rng.normal(0, 0.3)) ** 2) / rng.uniform(4e-4, 4e-3))
            for _ in range(rng.integers(5, 25))
        )
        return -0.35 * np.minimum(dots, 1)
    return np.zeros_like(u)


def _vignette(rng: np.random.Generator, x: Grid, y: Grid) -> Grid:
    radius = np.hypot(x, y)
    if rng.random() < 0.2:  # the round edge of a lens, black beyond
        return np.asarray(1 / (1 + np.exp((radius - rng.uniform(1.2, 1.5)) * 40)))
    return np.asarray(1 - rng.uniform(0, 0.3) * (radius / 1.66) ** 2)


def _hairs(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    layer = Image.new("L", image.size)
    draw = ImageDraw.Draw(layer)
    for _ in range(rng.poisson(6) if rng.random() < 0.5 else 0):
        ends = rng.uniform(-0.1, 1.1, (3, 2)) * image.size
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
        draw.line([tuple(point) for point in curve.tolist()], fill=int(rng.integers(120, 230)), width=2)
    image.paste((35, 25, 20), mask=layer.filter(ImageFilter.GaussianBlur(0.7)))
    return image


def _grain(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    grain = rng.standard_normal((*pixels.shape[:2], 1), np.float32) * rng.uniform(1.5, 5)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """The picture as a JPEG file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def _cropped(image: Image.Image) -> Image.Image:
    """Without 2.5 % at each edge: 5 % of the width and of the height."""
    x, y = round(image.width * 0.025), round(image.height * 0.025)
    return image.crop((x, y, image.width - x, image.height - y))


def _turned(how: Image.Transpose) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.transpose(how)


# name -> how the copy is made, and the quality at which it is stored
VARIANTS: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "JPEG quality 60": (lambda image: image, 60),
    "resize 50 %": (_half, 90),
    "rotate 90": (_turned(Image.Transpose.ROTATE_90), 90),
    "rotate 180": (_turned(Image.Transpose.ROTATE_180), 90),
    "rotate 270": (_turned(Image.Transpose.ROTATE_270), 90),
    "flip": (_turned(Image.Transpose.FLIP_LEFT_RIGHT), 90),
    "crop 5 %": (_cropped, 90),
    "brightness +10 %": (lambda image: ImageEnhance.Brightness(image).enhance(1.1), 90),
    "brightness -10 %": (lambda image: ImageEnhance.Brightness(image).enhance(0.9), 90),
}
