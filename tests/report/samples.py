"""Rows, findings and picture files that a page is made of."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from dermdata.manifest.parquet import conform
from dermdata.manifest.schema import SCHEMA
from dermdata.model import Finding
from dermdata.report import audit_page

Look = Callable[[str], bytes | None]
CLASSES = ("Melanoma", "Melanocytic nevus", "Basal cell carcinoma")


def rows(count: int = 12, **columns: Sequence[Any]) -> pa.Table:
    """Rows `demo/r000`, …, of three classes and six skin types, the odd ones clinical; `columns` instead of these."""
    numbers = range(count)
    values: dict[str, Sequence[Any]] = {
        "dataset": ["demo"] * count,
        "key": [f"demo/r{n:03}" for n in numbers],
        "image_id": [f"r{n:03}" for n in numbers],
        "path": [f"images/r{n:03}.jpg" for n in numbers],
        "diagnosis_name": [CLASSES[n % 3] for n in numbers],
        "fitzpatrick": [1 + n % 6 for n in numbers],
        "modality": ["clinical" if n % 2 else "dermoscopic" for n in numbers],
        "age": [20.0 + 5 * (n % 12) for n in numbers],
        "split": ["train" if n % 4 else "test" for n in numbers],
        "license": ["CC-BY-4.0"] * count,
        **columns,
    }
    plain = {name: pa.array(cells, plain_type(name)) for name, cells in values.items()}
    return conform(pa.table(plain))


def plain_type(name: str) -> pa.DataType:
    kind = SCHEMA.field(name).type if name in SCHEMA.names else pa.string()
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def finding(code: str = "duplicate-exact", level: str = "warning", **changes: Any) -> Finding:
    whole: dict[str, Any] = {
        "level": level,
        "code": code,
        "dataset": "demo",
        "keys": ("demo/r000", "demo/r001"),
        "message": f"this is a {code}",
        "evidence": {"bits": 3},
    }
    return Finding(**whole | changes)


FINDINGS = (
    finding(
        "image-truncated",
        "error",
        keys=("demo/r002",),
        message="demo/r002: truncated: 20 bytes are not there",
    ),
    finding("duplicate-exact"),
    finding("duplicate-near", keys=("demo/r003", "demo/r004", "demo/r005")),
    finding("leak-patient", "error", message="patient demo/p1 is in train and test"),
    finding("label-conflict", "error", message="one picture, two labels"),
    finding(
        "skin-tone-coverage",
        keys=(),
        message="skin type VI: 2 images are too few for a claim",
        evidence={"fitzpatrick": 6, "rate": 0.5, "low": 0.0945, "high": 0.9055},
    ),
    finding("metadata-missing", "note", keys=(), message="age is missing in 2 of 12 images"),
)
FACTS: Mapping[str, Any] = {
    "title": "Audit of demo",
    "tool": "dermdata 0",
    "command": "dermdata audit demo",
    "datasets": [{"name": "demo", "title": "Demo", "version": "1.0", "homepage": "https://demo.example/"}],
    "citations": [
        {"dataset": "demo", "rows": 12, "license": "CC-BY-4.0", "doi": "10.1000/1", "bibtex": "@misc{demo}",
         "attribution": "D."}
    ],
    "history": ["select: 12 of 20 rows"],
}  # fmt: skip


def jpeg(seed: int = 0, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """Noise: no picture takes more bytes."""
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return saved(Image.fromarray(levels), "JPEG", **options)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def look(key: str) -> bytes | None:
    """A small picture of each row, but of r002 half a file and of r007 none."""
    whole = jpeg(int(key[-3:]))
    return {"demo/r002": whole[: len(whole) // 2], "demo/r007": None}.get(key, whole)


def page(
    table: pa.Table | None = None,
    findings: Sequence[Finding] = FINDINGS,
    facts: Mapping[str, Any] = FACTS,
    look: Look = look,
) -> str:
    return "".join(audit_page(rows() if table is None else table, findings, look, facts))


RESULT: Mapping[str, Any] = {
    "items": [
        {"by": by, "value": value, "n": n, "metric": metric, "estimate": estimate,
         "low": estimate - 0.1, "high": estimate + 0.05}
        for metric, shift in (("balanced_accuracy", 0.0), ("auroc", 0.1))
        for by, value, n, estimate in (
            (None, None, 200, 0.8 + shift), ("fitzpatrick", 2, 120, 0.84 + shift), ("fitzpatrick", 6, 9, 0.5 + shift),
            ("fitzpatrick", None, 71, 0.78 + shift), ("sex", "female", 100, 0.8 + shift), ("sex", "male", 100, 0.79 + shift),
        )
    ],
    "gaps": [
        {"by": "fitzpatrick", "metric": "balanced_accuracy", "worst": 6, "best": 2,
         "gap": 0.34, "low": 0.1, "high": 0.5},
        {"by": "sex", "metric": "balanced_accuracy", "worst": "male", "best": "female",
         "gap": 0.01, "low": -0.1, "high": 0.1},
    ],
    "against_rest": [
        {"by": "sex", "value": "male", "n": 100, "metric": "balanced_accuracy", "estimate": 0.79, "rest": 0.8,
         "rest_n": 100, "difference": 0.01, "low": -0.1, "high": 0.1, "claimed": False},
    ],
    "too_small": [{"by": "fitzpatrick", "value": 6, "n": 9, "reason": "only 9 images, fewer than 30"}],
    "missing_predictions": 4,
    "n": 200,
    "unit": "patient",
    "resamples": 1000,
    "seed": 7,
    "confusion": {"classes": ["melanoma", "nevus"], "matrix": [[30, 5], [15, 150]]},
    "calibration": {
        "bins": [
            {"low": 0.0, "high": 0.5, "n": 0, "confidence": None, "accuracy": None},
            {"low": 0.5, "high": 1.0, "n": 196, "confidence": 0.9, "accuracy": 0.85},
        ],
        "ece": 0.05,
        "brier": 0.12,
    },
    "notes": ["columns read as probabilities: mel, nv"],
}  # fmt: skip

SURE = {
    "by": "sex",
    "metric": "auroc",
    "worst": "male",
    "best": "female",
    "gap": 0.2,
    "low": 0.1,
    "high": 0.3,
}
BEHIND = {
    "by": "sex", "value": "male", "n": 100, "metric": "auroc", "estimate": 0.7, "rest": 0.9, "rest_n": 90,
    "difference": 0.2, "low": 0.1, "high": 0.3, "claimed": True,
}  # fmt: skip
MODEL = {"positive": "melanoma", "gaps": [SURE], "too_small": [], "against_rest": [BEHIND]}
POINTS = [[0.0, 0.0, None], [0.0, 0.5, 0.9], [0.2, 0.9, 0.4], [1.0, 1.0, 0.0]]
BAND = [[0.0, 0.1, 0.6], [0.5, 0.8, 0.97], [1.0, 1.0, 1.0]]


def curve(
    kind: str = "roc", by: str | None = None, value: str | None = None, **changes: Any
) -> dict[str, Any]:
    whole = {"kind": kind, "class": "melanoma", "by": by, "value": value, "n": 200, "positives": 35}
    return {**whole, "points": POINTS, "band": BAND, **changes}


CURVES = [curve(), curve("precision-recall"), curve(by="sex", value="male"), curve(by="sex", value="female")]


AT_POINT: Mapping[str, Any] = {
    "items": [
        {"by": by, "value": value, "n": n, "metric": f"{side}_at_sensitivity_0.9", "estimate": 0.8, "low": 0.6, "high": 0.9}
        for by, value, n in ((None, None, 200), ("sex", "male", 100), ("fitzpatrick", 6, 9))
        for side in ("sensitivity", "specificity")
    ],
    "operating_points": [{"metric": "sensitivity", "value": 0.9, "thresholds": {"melanoma": 0.4}}],
    "not_compared": [
        {"by": "sex", "value": "male", "metric": "sensitivity_at_sensitivity_0.9", "reason": "only 3 images of melanoma"}
    ],
}  # fmt: skip
WHOLE: Mapping[str, Any] = {  # a page with all that it can have
    **RESULT,
    **MODEL,
    **AT_POINT,
    "items": [*RESULT["items"], *AT_POINT["items"]],
    "too_small": RESULT["too_small"],
    "curves": CURVES,
}
