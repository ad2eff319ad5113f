"""Draw skin and lesions by machine: the pictures of the bundled demo dataset.

Color follows Beer-Lambert: a skin tone, attenuated by maps of melanin and blood, then blended with blue
veil and white scale. Every draw comes from the generator it is given.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Map = NDArray[np.float64]  # one value a pixel, or three
Rng = np.random.Generator

WIDTH, HEIGHT = 256, 192  # pixels
SKIN = {1: (240, 212, 198), 2: (230, 190, 164), 3: (209, 163, 128), 4: (174, 123, 88), 5: (126, 84, 58),
        6: (94, 62, 46)}  # sRGB of each Fitzpatrick type  # fmt: skip
MELANIN, BLOOD = np.array([0.60, 0.90, 1.15]), np.array([0.16, 1.00, 0.78])  # absorption of red, green, blue
VEIL, WHITE = np.array([92.0, 104.0, 132.0]), np.array([244.0, 232.0, 222.0])


# ------------------------------------------------------------------ one lesion, in its own coordinates


@dataclass(frozen=True)
class Lesion:
    """Coordinates of every pixel in units of the lesion's radius, and noise that stays with the lesion."""

    u: Map
    v: Map
    depth: Map  # 0 at the center, 1 at the border
    rng: Rng
    detail: float  # 1 under the dermatoscope, less to the naked eye

    def waves(self, frequency: float, count: int = 12) -> Map:
        """Smooth random field of mean 0 and deviation 1, `frequency` in radians per radius."""
        return waves(self.u, self.v, self.rng, frequency, count)

    def network(self, frequency: float) -> Map:
        """Honeycomb of pigment: 1 on the lines, 0 in the holes."""
        bend_u, bend_v = (0.07 * self.waves(5) + 0.02 * self.waves(16) for _ in range(2))
        angles = self.rng.uniform(0, np.pi) + np.array([0, np.pi / 3, 2 * np.pi / 3])
        u, v = self.u + bend_u, self.v + bend_v
        cells = sum(np.cos(frequency * (np.cos(angle) * u + np.sin(angle) * v)) for angle in angles)
        lines: Map = np.clip((0.9 - cells) / 2.2, 0, 1) * np.clip(0.7 + 0.4 * self.waves(4), 0.1, 1.2)
        lines *= self.detail
        return lines

    def dots(self, count: int, size: float, reach: tuple[float, float] = (0.0, 0.85)) -> Map:
        """Round soft spots, `size` in radii, between two distances from the center."""
        field = np.zeros_like(self.u)
        for _ in range(count):
            angle, far = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(*reach)
            radius = size * self.rng.uniform(0.6, 1.4)
            apart = (self.u - far * np.cos(angle)) ** 2 + (self.v - far * np.sin(angle)) ** 2
            field = np.maximum(field, np.exp(-((apart / radius**2) ** 2)))
        return field

    def vessels(self, count: int, width: float) -> Map:
        """Branching lines that wander inwards from the border."""
        field = np.zeros_like(self.u)
        for _ in range(count):
            angle, far = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(0.7, 1.0)
            u, v = far * np.cos(angle), far * np.sin(angle)
            heading, thick = angle + np.pi + self.rng.normal(0, 0.5), width * self.rng.uniform(0.7, 1.3)
            for _ in range(int(self.rng.integers(14, 30))):
                heading += self.rng.normal(0, 0.38)
                u, v, thick = u + 0.05 * np.cos(heading), v + 0.05 * np.sin(heading), thick * 0.97
                field = np.maximum(field, np.exp(-((self.u - u) ** 2 + (self.v - v) ** 2) / thick**2))
        return field * self.detail


def waves(x: Map, y: Map, rng: Rng, frequency: float, count: int = 12) -> Map:
    """Sum of random plane waves over any coordinates: two views of a lesion share its texture."""
    angles, phases = rng.uniform(0, 2 * np.pi, count), rng.uniform(0, 2 * np.pi, count)
    lengths = frequency * rng.uniform(0.5, 1.5, count)
    field = np.zeros_like(x)
    for angle, phase, length in zip(angles, phases, lengths, strict=True):
        field += np.cos(length * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    field /= np.sqrt(count / 2)
    return field


def part(field: Map, edge: float = 0.0, soft: float = 0.25) -> Map:
    """1 where the field is above the edge, 0 below, soft between."""
    smooth: Map = 1 / (1 + np.exp(-(field - edge) / soft))
    return smooth


# Each diagnosis gives four maps: melanin, blood, blue veil, white; 0 is plain skin.
Layers = tuple[Map, Map, Map, Map]


def nevus(at: Lesion) -> Layers:
    base, lean = at.rng.uniform(0.45, 0.85), 0.25 * at.waves(2)
    melanin = base * (1.1 - 0.45 * at.depth**2 + lean) + 0.5 * at.network(at.rng.uniform(42, 58))
    globules = 0.5 * at.dots(int(at.rng.integers(0, 26)), 0.05, (0.3, 0.95)) * at.detail
    return melanin + globules, 0.12 + 0 * melanin, 0 * melanin, 0 * melanin


def melanoma(at: Lesion) -> Layers:
    lean, patch = at.waves(1.6), at.waves(3.2)
    dark, red, pale = part(patch + lean, 0.1), part(at.waves(2.6), 0.9), part(at.waves(2.4), 1.25, 0.15)
    melanin = 0.55 + 1.0 * dark + 0.7 * at.network(40) * part(lean) + 0.7 * at.dots(22, 0.055, (0.5, 1.05))
    veil = 0.55 * part(at.waves(2.2) + 0.5 * patch + 0.2 * at.waves(9), 0.8, 0.35)
    return melanin * (1 - 0.6 * pale), 0.15 + 0.6 * red, veil, 0.4 * pale


def keratosis(at: Lesion) -> Layers:
    ridges = np.abs(at.waves(9)) * at.detail
    cysts, plugs = at.dots(14, 0.05) * at.detail, at.dots(12, 0.07)
    melanin = at.rng.uniform(0.4, 0.75) + 0.25 * ridges + 0.12 * at.waves(14) + 0.8 * plugs
    return melanin, 0.08 + 0 * melanin, 0 * melanin, 0.65 * cysts + 0.05 * part(at.waves(5))


def basal_cell(at: Lesion) -> Layers:
    nests, ulcer = at.dots(8, 0.13, (0.2, 0.85)), at.dots(2, 0.2, (0.0, 0.5))
    blood = 0.22 + 0.06 * at.waves(3) + 0.75 * at.vessels(9, 0.03) + 0.55 * ulcer
    return 0.10 + 0.55 * nests + 0.45 * ulcer, blood, 0.5 * nests, 0.16 * part(at.waves(3), 0.2)


def keratinocytic(at: Lesion) -> Layers:
    follicles, scale = (
        at.dots(34, 0.055, (0.0, 1.0)) * at.detail,
        part(at.waves(6) + 0.6 * at.waves(11), 1.1, 0.2),
    )
    blood = 0.42 + 0.14 * at.waves(5) + 0.18 * np.abs(at.waves(16)) * at.detail
    return 0.14 + 0.08 * at.waves(4), blood * (1 - 0.5 * follicles), 0 * blood, 0.45 * follicles + 0.5 * scale


def vascular(at: Lesion) -> Layers:
    lacunae, blue = at.dots(26, 0.17, (0.0, 0.8)), part(at.waves(2.2), 0.5)
    return 0.1 + 0.35 * blue * lacunae, 0.55 + 0.75 * lacunae, 0.35 * blue * lacunae, 0.08 * (1 - lacunae)


def fibroma(at: Lesion) -> Layers:
    scar = part(0.5 - at.depth + 0.08 * at.waves(5), 0.0, 0.07)
    melanin = (0.42 + 0.32 * at.network(52)) * (1 - 0.85 * scar)
    return melanin, 0.18 + 0.1 * scar, 0 * scar, 0.42 * scar * (0.8 + 0.2 * at.waves(12))


LOOKS: dict[str, Callable[[Lesion], Layers]] = {
    "nv": nevus, "mel": melanoma, "bkl": keratosis, "bcc": basal_cell, "akiec": keratinocytic,
    "vasc": vascular, "df": fibroma}  # fmt: skip
IRREGULAR = {"nv": 0.05, "mel": 0.12, "bkl": 0.09, "bcc": 0.10, "akiec": 0.15, "vasc": 0.06, "df": 0.05}
SOFTNESS = {"nv": 0.07, "mel": 0.06, "bkl": 0.03, "bcc": 0.09, "akiec": 0.14, "vasc": 0.05, "df": 0.12}


# ------------------------------------------------------------------ one picture of it


def outline(u: Map, v: Map, dx: str, rng: Rng) -> Map:
    """Distance from the center as a share of the way to the border, for an uneven oval."""
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.45)
    long, short = np.cos(turn) * u + np.sin(turn) * v, np.cos(turn) * v - np.sin(turn) * u
    long, short = long / np.sqrt(stretch), short * np.sqrt(stretch)
    angle, border = np.arctan2(short, long), np.ones_like(u)
    for order in range(2, 8):
        border += (
            IRREGULAR[dx] * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) / np.sqrt(order)
        )
    ragged = IRREGULAR[dx] * 0.35 * waves(u, v, rng, 9)
    depth: Map = np.hypot(long, short) / np.clip(border, 0.45, 1.6) + ragged
    return depth


def framed(clinical: bool, view: Rng) -> tuple[Map, Map]:
    """Lesion coordinates of every pixel: each view has its own place, distance and angle."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    radius = view.uniform(22, 40) if clinical else view.uniform(42, 66)
    room = 0.5 - 1.1 * radius / np.array([WIDTH, HEIGHT])
    shift = view.uniform(-1, 1, 2) * np.clip(room, 0.05, 0.24)
    turn = view.uniform(0, 2 * np.pi)
    x, y = (x - WIDTH * (0.5 + shift[0])) / radius, (y - HEIGHT * (0.5 + shift[1])) / radius
    return np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x


def plain_skin(kind: int, clinical: bool, view: Rng) -> Map:
    """Skin of a Fitzpatrick type with blotches, furrows and a few freckles."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    tone = np.array(SKIN[kind]) * view.uniform(0.97, 1.02)
    furrows = np.abs(waves(x, y, view, 0.45, 10)) * (0.045 if clinical else 0.03)
    melanin = 0.06 * waves(x, y, view, 0.035) + 0.02 * waves(x, y, view, 0.2) + furrows
    melanin += 0.3 * part(waves(x, y, view, 0.12, 20), 2.6, 0.15) * (kind in (1, 2))
    blood = 0.06 * waves(x, y, view, 0.05) + (0.02 if clinical else 0.07)
    return absorbed(tone, melanin, blood)


def absorbed(color: Map, melanin: Map, blood: Map) -> Map:
    """Light that comes back through melanin and blood."""
    density = melanin[..., None] * MELANIN + blood[..., None] * BLOOD
    returned: Map = color * np.exp(-density)
    return returned


def blend(under: Map, over: Map, share: Map) -> Map:
    part_over = np.clip(share, 0, 1)[..., None]
    return under * (1 - part_over) + over * part_over


def lit(picture: Map, clinical: bool, view: Rng) -> Map:
    """Uneven light: a slope over the picture, and dark or cut corners of the dermatoscope."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    angle, slope = view.uniform(0, 2 * np.pi), view.uniform(0.06, 0.26 if clinical else 0.18)
    light = 1 + slope * (np.cos(angle) * x + np.sin(angle) * y)
    off_x, off_y = view.uniform(-0.12, 0.12, 2)
    far = np.hypot((x - off_x) * WIDTH / HEIGHT, y - off_y)
    light *= 1 - view.uniform(0.02, 0.12) * far**2
    if not clinical and view.random() < 0.4:
        light *= part(view.uniform(1.15, 1.4) - far, 0, 0.018)
    shown: Map = picture * light[..., None]
    return shown


def body_edge(picture: Map, view: Rng) -> Map:
    """Behind a curved limb: shade towards the edge, then a dark cloth."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    angle, bend = view.uniform(0, 2 * np.pi), view.uniform(-0.25, 0.25)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    inside = view.uniform(0.72, 0.95) - along + bend * across**2
    cloth = (
        np.array([52.0, 78.0, 92.0]) * view.uniform(0.6, 1.1) * (1 + 0.05 * waves(x, y, view, 9))[..., None]
    )
    shaded = picture * (1 - 0.45 * np.exp(-np.clip(inside, 0, None) * 5))[..., None]
    return blend(cloth, shaded, part(inside, 0, 0.012))


def strokes(view: Rng, count: int) -> Map:
    """Hairs: bent dark lines, drawn four times as large and reduced."""
    canvas = Image.new("L", (WIDTH * 4, HEIGHT * 4))
    pen, steps, lie = ImageDraw.Draw(canvas), np.linspace(0, 1, 24)[:, None], view.uniform(0, np.pi)
    for _ in range(count):
        start = view.uniform(-0.1, 1.1, 2) * canvas.size
        angle, length = lie + view.normal(0, 0.5), view.uniform(250, 900)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        knee = (start + end) / 2 + view.normal(0, 0.14 * length, 2)
        curve = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * knee + steps**2 * end
        pen.line([(float(x), float(y)) for x, y in curve], fill=255, width=int(view.integers(3, 7)))
    return np.asarray(canvas.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) / 255.0


def bubbles(picture: Map, view: Rng) -> Map:
    """Air in the gel: thin bright rings with a glint."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    for _ in range(int(view.integers(2, 8))):
        left, top, radius = view.uniform(0, WIDTH), view.uniform(0, HEIGHT), view.uniform(2.5, 9)
        far = np.hypot(x - left, y - top)
        glint = np.exp(
            -((x - left + radius / 2) ** 2 + (y - top + radius / 2) ** 2) / (0.2 * radius**2 + 0.5)
        )
        picture = blend(picture, WHITE, 0.4 * np.exp(-((far - radius) ** 2) / 0.9) + 0.7 * glint)
    return picture


def lesion_on(skin: Map, at: Lesion, dx: str) -> Map:
    """The lesion's layers laid on the skin, fading over its border."""
    cover = part(1 - at.depth, 0, SOFTNESS[dx])
    melanin, blood, veil, white = (layer * cover for layer in LOOKS[dx](at))
    colored = absorbed(skin, np.clip(melanin, 0, 2.6), np.clip(blood, 0, 1.9))
    veiled = blend(colored, VEIL * (0.3 + 0.7 * skin.mean() / 190), veil)
    return blend(veiled, WHITE * (0.35 + 0.65 * skin.mean() / 190), white)


def draw(dx: str, kind: int, clinical: bool, lesion: Rng, view: Rng) -> tuple[Image.Image, Image.Image]:
    """An RGB picture and its 1-bit mask; `lesion` fixes what all views share, `view` the rest."""
    u, v = framed(clinical, view)
    depth = outline(u, v, dx, lesion)
    picture = lesion_on(
        plain_skin(kind, clinical, view), Lesion(u, v, depth, lesion, 0.35 if clinical else 1.0), dx
    )
    if clinical and view.random() < 0.5:
        picture = body_edge(picture, view)
    if not clinical and view.random() < 0.35:
        picture = bubbles(picture, view)
    if view.random() < (0.25 if clinical else 0.5):
        hair = np.array([46.0, 34.0, 28.0]) * (1.5 if kind == 1 else 0.8)
        picture = blend(picture, hair, 0.85 * strokes(view, int(view.integers(3, 16))))
    picture = lit(picture, clinical, view) + view.normal(0, 1.6, (HEIGHT, WIDTH, 1))
    image = Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    mask = Image.fromarray(((depth < 1) * 255).astype(np.uint8)).convert("1", dither=Image.Dither.NONE)
    return image.filter(ImageFilter.GaussianBlur(0.4)), mask
