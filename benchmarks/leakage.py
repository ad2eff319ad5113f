"""What a leak costs: one simple model, judged on a split by image and on one by patient or lesion, in one run.

    python benchmarks/leakage.py [DATASET …] [--labels SPACE] [--seeds 50] [--quick]

A nearest neighbor and a logistic regression on the colors of each image: no network, so that nothing but the split
differs. Both splits are 70/30 over the same rows; each seed draws both anew. Balanced accuracy on the test part: its
mean over seeds, the middle 90 % of them, and the difference with its standard error. DATASET is what is in the cache;
without any it is the bundled demo, whose images are drawn by a program. A set of which no patient and no lesion has two
images shows no difference, and that is said.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dermdata as dd

SIDE, BINS = 32, 16  # pixels; bins of each color
TEST_SHARE = 0.3
PROBES: dict[str, Callable[[], Any]] = {
    "nearest neighbor": lambda: KNeighborsClassifier(1),
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
}


def embed(image: Image.Image) -> np.ndarray:
    """A picture in few numbers."""
    levels = np.asarray(image.resize((SIDE, SIDE)), np.float32) / 255
    colors = [np.histogram(levels[..., channel], BINS, (0, 1))[0] / SIDE**2 for channel in range(3)]
    return np.concatenate([np.sort(levels.reshape(-1, 3), axis=0)[:: SIDE // 2].ravel(), *colors])


def score_split(parts: Any, features: dict[str, np.ndarray], probe: Callable[[], Any]) -> float:
    """Balanced accuracy on the test part."""
    sets = []
    for part in (parts.train, parts.test):
        frame = part.where("label is not null").to_pandas(["key", "label"])
        frame = frame[frame["key"].isin(list(features))]
        sets.append((np.stack([features[key] for key in frame["key"]]), frame["label"].to_numpy()))
    (train, known), (test, truth) = sets
    return float(balanced_accuracy_score(truth, probe().fit(train, known).predict(test)))


def measure(
    rows: dd.Manifest, by: str, seeds: int, features: dict[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each probe's scores over the seeds."""
    ratios = {"train": 1 - TEST_SHARE, "test": TEST_SHARE}
    splits = [rows.split(by=by, ratios=ratios, seed=seed) for seed in range(seeds)]  # type: ignore[arg-type]
    for name, probe in PROBES.items():
        yield name, np.array([score_split(parts, features, probe) for parts in splits])


def describe(name: str, labels: str, seeds: int) -> Iterator[str]:
    """The lines of a dataset's table."""
    session = dd.open_session(progress=False)
    rows = session.load(name).where("image_problem is null").with_labels(labels).where("label is not null")
    data = rows.to_torch(embed)
    pictures = (data[place][0] for place in range(len(data)))
    features = dict(zip(rows.to_pandas(["key"])["key"], pictures, strict=True))
    frame = rows.to_pandas(["patient_id", "lesion_id"])
    level = "patient" if frame["patient_id"].notna().any() else "lesion"
    groups = frame[f"{level}_id"].dropna()
    yield f"{name}: {len(rows):,} images of {groups.nunique():,} {level}s, labels {labels}, {seeds} seeds"
    if not groups.duplicated().any():
        yield f"no {level} has two images: there is nothing to leak"
        return
    yield from (
        "",
        "| probe | split by image | split by " + level + " | difference |",
        "| --- | ---: | ---: | ---: |",
    )
    by_image, by_group = (dict(measure(rows, by, seeds, features)) for by in ("image", level))
    for probe in PROBES:
        found = (by_image[probe], by_group[probe])
        cells = (
            f"{one.mean():.3f} ({np.quantile(one, 0.05):.3f} to {np.quantile(one, 0.95):.3f})"
            for one in found
        )
        apart = found[0].mean() - found[1].mean()
        error = np.sqrt(sum(one.var(ddof=1) / len(one) for one in found))
        yield f"| {probe} | {' | '.join(cells)} | {apart:+.3f} ± {error:.3f} |"


def main() -> None:
    """Print a table for each dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="*", default=["demo"], metavar="DATASET")
    parser.add_argument("--labels", default="malignancy", metavar="SPACE")
    parser.add_argument("--seeds", type=int, default=50, metavar="N")
    parser.add_argument("--quick", action="store_true", help="ten seeds")
    asked = parser.parse_args()
    for name in asked.datasets:
        for line in describe(name, asked.labels, 10 if asked.quick else asked.seeds):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
