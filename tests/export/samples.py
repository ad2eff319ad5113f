"""Small manifests with real little images, made straight from the schema."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from dermdata.manifest.schema import SCHEMA

LABELS = (
    "nv", "mel, in situ", 'the "ugly" one', "two\nlines", "a\rreturn", "NA", "None", "سرطان الجلد",
    "=1+1", "-1.5", "tab\there", "ünï’s",
)  # fmt: skip


def jpeg(number: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (6 + number, 5), (200, 10 * number, 40)).save(held, "JPEG")
    return held.getvalue()


def row(root: Path, number: int, dataset: str = "demo") -> dict[str, object]:
    """One whole row, with its image below `root`."""
    name, data = f"IMG_{number:04}", jpeg(number)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "images" / f"{name}.jpg").write_bytes(data)
    return {
        "dataset": dataset, "image_id": name, "key": f"{dataset}/{name}", "path": f"images/{name}.jpg",
        "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "width": 6 + number, "height": 5,
        "format": "jpeg", "mode": "RGB", "phash": bytes(range(number, number + 8)), "modality": "dermoscopic",
        "patient_id": f"{dataset}/P{number // 3}", "lesion_id": f"{dataset}/L{number // 2}",
        "label_raw": LABELS[number % len(LABELS)], "diagnosis": "melanoma" if number % 3 == 0 else "melanocytic-nevus",
        "diagnosis_path": ["skin-finding", "neoplastic"], "malignancy": "malignant" if number % 3 == 0 else "benign",
        "differential": [{"concept": "melanoma", "weight": 0.1}, {"concept": "eczema", "weight": None}],
        "age": 40.5 + number, "sex": ("female", "male", None)[number % 3], "fitzpatrick": number % 6 + 1,
        "fitzpatrick_range": [1, 2], "concepts": [("papule", True), ("ulcer", None)],
        "split": ("train", "train", "test")[number % 3], "license": "CC0-1.0",
        "extra": [("source, col", LABELS[number % len(LABELS)])],
    }  # fmt: skip


def bare(number: int, dataset: str = "demo") -> dict[str, object]:
    """A row of which nothing is known but its id."""
    return {"dataset": dataset, "image_id": f"IMG_{number:04}", "key": f"{dataset}/IMG_{number:04}"}


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA).replace_schema_metadata(
        {"dermdata.dataset": "demo", "dermdata.version": "1.0"}
    )


def manifest(root: Path, dataset: str = "demo") -> pa.Table:
    """12 rows: ten whole ones, one whose image is gone from the disk, one of which nothing is known."""
    rows = [row(root, number, dataset) for number in range(11)]
    (root / "images" / "IMG_0010.jpg").unlink()
    return table([*rows, bare(11, dataset)])


def draw(root: Path, number: int, pixels: np.ndarray | None = None, name: str = "") -> str:
    """A mask of row `number`, whose image has 6 + number by 5 pixels: a rectangle, or these pixels."""
    if pixels is None:
        pixels = np.zeros((5, 6 + number), np.uint8)
        pixels[1:4, 2:5] = 255
    (root / "masks").mkdir(parents=True, exist_ok=True)
    path = f"masks/{name or f'm{number}'}.png"
    Image.fromarray(pixels).save(root / path)
    return path
