"""How well the inference of `dermdata add` does on the catalog's tables, as Markdown."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from docs_markdown import table

SCORES = Path(__file__).with_name("inference_scores.json")  # written by score_inference.py
ORIGINS = {"real": "real", "stand-in": "stand-in", "entry": "from the entry"}
NAMES = {
    "image": "image", "patient_id": "patient", "lesion_id": "lesion", "case_id": "case", "label_raw": "label",
    "differential": "weighted labels", "age": "age", "sex": "sex", "body_site": "body site",
    "fitzpatrick": "skin type", "fitzpatrick_range": "pair of skin types", "monk": "Monk skin tone",
    "split_official": "split", "fold_official": "fold", "confirmation": "how it was confirmed", "license": "license",
    "attribution": "attribution", "caption": "caption", "label_raw in folders": "label, by folders",
    "split_official in folders": "split, by folders",
}  # fmt: skip


@cache
def scores() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SCORES.read_text(encoding="utf-8"))
    return loaded


def count_stated(row: dict[str, Any]) -> int:
    """How often the entries have the field."""
    return int(row["right"] + row["asked"] + row["missed"])


def by_field() -> str:
    """What was found of each field, apart for each kind of table."""
    found = {(row["field"], row["origin"]): row for row in scores()["fields"]}
    rows = []
    for field, name in NAMES.items():
        parts = [found[field, origin] for origin in ORIGINS if (field, origin) in found]
        if not parts:
            continue
        total: Counter[str] = Counter()
        for part in parts:
            total.update({key: part[key] for key in ("right", "asked", "missed", "wrong")})
        cells = [show_found(found.get((field, origin))) for origin in ORIGINS]
        precision = share(total["right"], total["right"] + total["wrong"])
        recall = share(total["right"], count_stated(dict(total)))
        rows.append([name, *cells, recall, total["asked"], total["missed"], total["wrong"], precision])
    head = ["field", *ORIGINS.values(), "found", "asked", "missed", "wrong", "precision"]
    return table(head, rows)


def show_found(row: dict[str, Any] | None) -> str | None:
    """`3 of 4`; nothing where no table has the field."""
    return f"{row['right']} of {count_stated(row)}" if row and count_stated(row) else None


def share(part: int, whole: int) -> str | None:
    return f"{part / whole:.1%}".replace(".0%", "%").replace("%", " %") if whole else None


def by_dataset() -> str:
    """Which kind of table each dataset has here, and what was not taken for sure."""
    left: dict[str, list[str]] = {}
    for row in scores()["open"]:
        left.setdefault(row["dataset"], []).append(
            f"{row['outcome']}: {NAMES[row['field']]} (`{row['column']}`)"
        )
    rows = [
        [
            row["dataset"],
            ORIGINS[row["origin"]],
            row["tables"],
            show_found(row),
            "; ".join(left.get(row["dataset"], ())),
        ]
        for row in scores()["datasets"]
    ]
    return table(["dataset", "tables are", "tables", "columns found", "left"], rows)
