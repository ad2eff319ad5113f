"""Scores the inference of `dermdata add` on the tables of the catalog's datasets, for docs/inference.md.

    python scripts/score_inference.py

Needs the real metadata of ../shared. Writes scripts/inference_scores.json, from which `make docs` makes the page;
tests/inference/test_scores.py holds both to what the inference does.
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCORES = Path(__file__).with_name("inference_scores.json")


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from support.inference_scores import score_inference, summarize

    with tempfile.TemporaryDirectory() as folder:
        scores = summarize(score_inference(Path(folder)))
    SCORES.write_text(f"{json.dumps(scores, indent=1)}\n", encoding="utf-8")
    print(f"written: {SCORES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
