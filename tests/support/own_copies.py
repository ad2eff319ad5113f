"""Copies as people have them: made-up rows in the columns of DDI's table, and images of one color each."""

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

DISEASES = ("melanoma-in-situ", "abscess", "acrochordon")
TONES = ("12", "34", "56")
COLUMNS = ("", "DDI_ID", "DDI_file", "skin_tone", "malignant", "disease")
HOLDER = "ddidiversedermatologyimages.zip"


def picture(number: int, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (20, 16), (number * 37 % 256, number * 91 % 256, 60)).save(data, kind)
    return data.getvalue()


def name_of(number: int) -> str:
    return f"{number:06d}.png"


def table(numbers: Iterable[int], columns: tuple[str, ...] = COLUMNS) -> bytes:
    """A table like ddi_metadata.csv, of these made-up ids."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for number in numbers:
        malignant = str(number % 3 == 0)
        writer.writerow(
            [number - 1, number, name_of(number), TONES[number % 3], malignant, DISEASES[number % 3]]
        )
    return text.getvalue().encode()


def images(numbers: Iterable[int], under: str = "") -> dict[str, bytes]:
    return {f"{under}{name_of(number)}": picture(number) for number in numbers}


def put(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder; the folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return data.getvalue()
