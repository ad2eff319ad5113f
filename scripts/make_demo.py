"""Make the bundled demo dataset: invented patients, machine-drawn skin, flaws planted on purpose.

    python scripts/make_demo.py [--out DIR] [--check]

Every draw comes from a seeded generator, so the same Pillow and numpy give the same bytes; `--check` allows
for another Pillow's JPEG and compares pixels and tables. After a change, copy the printed sizes and
checksums into `catalog/datasets/demo/dataset.toml`: a test holds the two together.
"""

import argparse
import csv
import hashlib
import io
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo_patients import COLUMNS, Picture, drawn_pictures, generator
from demo_skin import HEIGHT, WIDTH, draw

QUALITY = 90  # of a JPEG
FAR_APART = 14  # bits of 64 by which unplanted pictures must differ, in every hash
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
HOME = Path(__file__).parent.parent / "catalog/datasets/demo/files"
IMAGES, MASKS, METADATA = "demo_images.zip", "demo_masks.zip", "demo_metadata.csv"


class Flaw(NamedTuple):
    """A planted flaw; its sentence is also in the notes of dataset.toml."""

    kind: str
    image_id: str
    sentence: str
    of: str | None = None  # the picture that it copies
    filed_with: str | None = None  # the picture whose person and diagnosis it is filed under
    lesion: int | None = None  # its own lesion number, if it pretends to be another lesion


FLAWS = (
    Flaw("exact-duplicate", "DEMO_0116",
         "Planted flaw: DEMO_0116 is DEMO_0032 byte for byte, filed as another lesion of the same patient.",
         of="DEMO_0032", filed_with="DEMO_0032", lesion=67),
    Flaw("exact-duplicate", "DEMO_0117",
         "Planted flaw: DEMO_0117 is DEMO_0063 byte for byte, filed under another patient (a leak) and"
         " labeled nv where DEMO_0063 is labeled mel (a label conflict).",
         of="DEMO_0063", filed_with="DEMO_0055", lesion=68),
    Flaw("lower-quality", "DEMO_0118",
         "Planted flaw: DEMO_0118 is a near duplicate of DEMO_0018, encoded again at a lower JPEG quality.",
         of="DEMO_0018", filed_with="DEMO_0018"),
    Flaw("crop", "DEMO_0119",
         "Planted flaw: DEMO_0119 is a near duplicate of DEMO_0095, cropped by a few pixels and resized,"
         " filed under another patient (a leak).",
         of="DEMO_0095", filed_with="DEMO_0111", lesion=69),
    Flaw("brighter", "DEMO_0120",
         "Planted flaw: DEMO_0120 is a near duplicate of DEMO_0061, 8 % brighter, filed as another lesion of"
         " the same patient.",
         of="DEMO_0061", filed_with="DEMO_0061", lesion=70),
    Flaw("truncated", "DEMO_0103",
         "Planted flaw: DEMO_0103 is cut off: its header is whole, its pixels do not decode."),
)  # fmt: skip


# ------------------------------------------------------------------ pictures that differ


def hashes(image: Image.Image) -> NDArray[np.bool_]:
    """A dHash by each of three ways to reduce a picture, and a DCT pHash: 64 bits each."""
    gray = image.convert("L")
    filters = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)
    small = np.stack([np.asarray(gray.resize((9, 8), each), np.float64) for each in filters])
    large = np.asarray(gray.resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    wave = np.cos(np.pi / 64 * np.arange(8)[:, None] * (2 * np.arange(32) + 1))
    low = (wave @ large @ wave.T).ravel()
    return np.vstack([(small[:, :, 1:] > small[:, :, :-1]).reshape(3, 64), low > np.median(low)])


def is_new(mine: NDArray[np.bool_], others: list[NDArray[np.bool_]]) -> bool:
    return all((mine != other).sum(axis=1).min() >= FAR_APART for other in others)


def drawings(pictures: list[Picture]) -> Iterator[tuple[Picture, Image.Image, Image.Image]]:
    """Each picture and mask; a view too like an earlier picture is taken again from elsewhere."""
    seen: list[NDArray[np.bool_]] = []
    for picture in pictures:
        for attempt in range(200):
            lesion = generator(3, picture.lesion)
            view = generator(4, picture.lesion, picture.view, attempt)
            image, mask = draw(picture.dx, picture.fitzpatrick, picture.clinical, lesion, view)
            if is_new(mine := hashes(image), seen):
                break
        else:
            raise SystemExit(f"{picture.image_id}: no view that differs enough from the others")
        seen.append(mine)
        yield picture, image, mask


# ------------------------------------------------------------------ flaws


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def cropped(content: bytes) -> bytes:
    inner = opened(content).crop((5, 4, WIDTH - 4, HEIGHT - 3))
    return jpeg(inner.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


ALTERED: Mapping[str, Callable[[bytes], bytes]] = {
    "exact-duplicate": lambda content: content,
    "lower-quality": lambda content: jpeg(opened(content), quality=40),
    "crop": cropped,
    "brighter": lambda content: jpeg(opened(content).point(lambda level: min(255, round(level * 1.08)))),
    "truncated": lambda content: content[: len(content) * 6 // 10],
}


def copied(flaw: Flaw, pictures: Mapping[str, Picture]) -> Picture:
    """The row of a planted copy: its kind from the picture it copies, all else from its new neighbor."""
    assert flaw.of
    assert flaw.filed_with
    neighbor, clinical = pictures[flaw.filed_with], pictures[flaw.of].clinical
    lesion = flaw.lesion or neighbor.lesion
    return replace(neighbor, image_id=flaw.image_id, lesion=lesion, clinical=clinical)


# ------------------------------------------------------------------ files


def packed(members: Mapping[str, bytes]) -> bytes:
    """A zip that stores its members, with fixed dates and modes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, ZIP_DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16  # as on Unix, wherever we run
            archive.writestr(info, content)
    return stream.getvalue()


def png(mask: Image.Image) -> bytes:
    stream = io.BytesIO()
    mask.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def table(pictures: Mapping[str, Picture]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *(each.row() for each in pictures.values())])
    return stream.getvalue().encode()


def demo() -> dict[str, bytes]:
    """The three official files."""
    pictures, images, masks = {}, {}, {}
    for picture, image, mask in drawings(drawn_pictures()):
        pictures[picture.image_id], images[picture.image_id] = picture, jpeg(image)
        masks[picture.image_id] = png(mask)
    for flaw in FLAWS:
        source = flaw.of or flaw.image_id
        images[flaw.image_id], masks[flaw.image_id] = ALTERED[flaw.kind](images[source]), masks[source]
        if flaw.of:
            pictures[flaw.image_id] = copied(flaw, pictures)
    return {
        IMAGES: packed({f"{name}.jpg": content for name, content in images.items()}),
        MASKS: packed(
            {f"{name}_segmentation.png": masks[name] for name in pictures if not pictures[name].clinical}
        ),
        METADATA: table(pictures),
    }


def members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened_archive:
        return {name: opened_archive.read(name) for name in opened_archive.namelist()}


def pixels(content: bytes) -> NDArray[np.int16] | None:
    """Decoded levels; None for the picture that is cut off."""
    try:
        return np.asarray(opened(content).convert("RGB"), np.int16)
    except OSError:
        return None


def same_picture(ours: bytes, theirs: bytes) -> bool:
    """Equal but for a JPEG codec's rounding: one level of 255 on average."""
    one, other = pixels(ours), pixels(theirs)
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and float(np.abs(one - other).mean()) <= 1.0


def differences(made: Mapping[str, bytes], folder: Path) -> list[str]:
    """Files and pictures in the folder that are not what the script makes."""
    found = [METADATA] if made[METADATA] != (folder / METADATA).read_bytes() else []
    for file in (IMAGES, MASKS):
        ours, theirs = members(made[file]), members((folder / file).read_bytes())
        found += sorted(ours.keys() ^ theirs.keys())
        found += [name for name in ours if name in theirs and not same_picture(ours[name], theirs[name])]
    return found


def write(made: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (folder / name).write_bytes(content)
        print(f"{name}  size = {len(content)}  checksum = sha256:{hashlib.sha256(content).hexdigest()}")


def main() -> int:
    """Write the files, or with --check compare them with those that are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=HOME, metavar="DIR", help="folder of the three files")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the files differ")
    asked = parser.parse_args()
    made = demo()
    if not asked.check:
        write(made, asked.out)
        return 0
    found = differences(made, asked.out)
    print("\n".join(f"differs: {name}" for name in found) or f"{asked.out}: as the script makes it")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
