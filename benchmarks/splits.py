"""Splits side by side: dermdata, scikit-learn's StratifiedGroupKFold, and random groups, in one run.

    python benchmarks/splits.py [HAM10000_metadata.csv] [--cohort COHORT.parquet] [--rows 10000000]

80/10/10 by group on three cohorts: HAM10000's metadata (when its CSV is given), one shaped like ISIC 2024
(401,059 rows, 1,042 patients, 393 malignant), the manifest given by --cohort,
and with --rows a large one that only dermdata splits. The cohort of the published table is that of

    dermdata select ham10000 isic-2019 isic-2020 pad-ufes-20 --dedupe id -o COHORT.parquet \\
        --where "split_official is null or split_official = 'train'"

and its class deviation is that of the classes with at least 200 groups.
StratifiedGroupKFold makes ten folds; eight become train. It and "assignment" are given integer codes; "whole
split" starts from the table of strings and adds components, balance and notes.
Class pp: largest distance of a class's share in a part from its share in the whole, in percentage points; size pp:
largest distance of a part from its ratio. Seconds: the best of several for ours, one run of StratifiedGroupKFold
without its import (1.6 s).
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from dermdata.manifest.parquet import read_manifest
from dermdata.split import group_rows, split_rows
from dermdata.split.assign import assign_groups

RATIOS = {"train": 0.8, "val": 0.1, "test": 0.1}
PEER, OURS = "StratifiedGroupKFold", "dermdata, assignment"
Codes = np.ndarray


class Line(NamedTuple):
    """What one method came to."""

    seconds: float
    classes: float  # percentage points
    sizes: float


def ham10000(path: Path) -> pa.Table:
    """The publisher's CSV as a manifest of the columns that a split reads."""
    raw = pa_csv.read_csv(path)
    return pa.table(
        {
            "dataset": pa.array(["ham10000"] * raw.num_rows),
            "image_id": raw["image_id"],
            "lesion_id": raw["lesion_id"],
            "diagnosis": raw["dx"],
        }
    )


def many_patients(rows: int, patients: int, malignant: int) -> pa.Table:
    """Patients with log-normal numbers of images, malignant ones clustered in some."""
    rng = np.random.default_rng(7)
    weight = rng.lognormal(0, 1, patients)
    patient = rng.choice(patients, rows, p=weight / weight.sum())
    risk = rng.lognormal(0, 1.5, patients)[patient]  # malignant images come in clusters
    label = np.zeros(rows, bool)
    label[rng.choice(rows, malignant, replace=False, p=risk / risk.sum())] = True
    ids = pa.array(np.arange(rows)).cast(pa.string())
    names = pa.array(np.arange(patients)).cast(pa.string())
    return pa.table(
        {
            "dataset": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["large"]),
            "image_id": ids,
            "patient_id": pa.DictionaryArray.from_arrays(patient.astype(np.int32), names),
            "diagnosis": pa.DictionaryArray.from_arrays(label.astype(np.int32), ["benign", "malignant"]),
        }
    )


def ours(table: pa.Table) -> Codes:
    return _codes(split_rows(table, ratios=RATIOS).table["split"])


def stratified_group_kfold(group: Codes, label: Codes) -> Codes:
    from sklearn.model_selection import StratifiedGroupKFold

    part = np.zeros(len(group), int)
    folds = StratifiedGroupKFold(10, shuffle=True, random_state=0).split(group, label, group)
    for number, (_, held_out) in enumerate(folds):
        part[held_out] = max(number - 7, 0)
    return part


def random_groups(group: Codes) -> Codes:
    draw = np.random.default_rng(0).choice(3, group.max() + 1, p=list(RATIOS.values()))
    return np.asarray(draw[group])


def deviations(part: Codes, label: Codes, judged: Codes) -> tuple[float, float]:
    """Largest deviation of the share of a judged class, and of a part's size, in percentage points."""
    whole = np.bincount(label) / len(label)
    inside = [label[part == p] for p in np.unique(part)]
    shares = [np.bincount(one, minlength=len(whole)) / len(one) for one in inside]
    sizes = np.sort(np.bincount(part) / len(part)) - np.sort(list(RATIOS.values()))
    return 100 * float(np.abs(np.array(shares) - whole)[:, judged].max()), 100 * float(np.abs(sizes).max())


def compare(name: str, table: pa.Table, repeats: int, least: int = 0) -> tuple[Line, Line]:
    """One line a method, ours and the peer's given back; classes of fewer than `least` groups are split but not judged."""
    group, label = group_rows(table).number, _codes(table["diagnosis"])
    pairs = np.unique(label * (group.max() + 1) + group)
    judged = np.flatnonzero(np.bincount(pairs // (group.max() + 1)) >= least)
    methods: dict[str, Callable[[], Codes]] = {
        "random groups": lambda: random_groups(group),
        PEER: lambda: stratified_group_kfold(group, label),
        OURS: lambda: assign_groups(group, [label], list(RATIOS), list(RATIOS.values()), 0)[group],
        "dermdata, whole split": lambda: ours(table),
    }
    lines: dict[str, Line] = {}
    for method, run in methods.items():
        run_once = [_timed(run) for _ in range(1 if method == PEER else repeats)]
        seconds, part = min(one[0] for one in run_once), run_once[0][1]
        lines[method] = Line(seconds, *deviations(part, label, judged))
        shown = f"{lines[method].classes:.4f} | {lines[method].sizes:.4f} | {seconds:.3f}"
        print(f"| {name} | {method} | {shown} |", flush=True)
    return lines[OURS], lines[PEER]


def goals(name: str, mine: Line, peer: Line, least: float) -> None:
    """At most so many times the peer's deviation, in at most 0.05 times its time."""
    asked = {"class pp": (mine.classes / peer.classes, least), "seconds": (mine.seconds / peer.seconds, 0.05)}
    for what, (found, most) in asked.items():
        met = "yes" if found <= most else "no"
        print(f"| {name}, {what}: {OURS} / {PEER} | {found:.3f} | {most:g} | {met} |")


def _timed(run: Callable[[], Codes]) -> tuple[float, Codes]:
    start = time.perf_counter()
    part = run()
    return time.perf_counter() - start, part


def _codes(column: pa.ChunkedArray) -> Codes:
    return np.unique(column.to_numpy().astype(str), return_inverse=True)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metadata", nargs="?", type=Path)
    parser.add_argument("--cohort", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    asked = parser.parse_args()
    print("| cohort | method | class pp | size pp | seconds |\n|---|---|---|---|---|")
    judged = []
    if asked.metadata:
        judged.append(("ham10000", *compare("ham10000", ham10000(asked.metadata), 5), 1.0))
    judged.append(("401k", *compare("401k", many_patients(401_059, 1_042, 393), 5), 0.3))
    if asked.cohort:
        judged.append(("cohort", *compare("cohort", read_manifest(asked.cohort), 5, least=200), 1.0))
    print("\n| goal | times | allowed | met |\n|---|---|---|---|")
    for one in judged:
        goals(*one)
    if asked.rows:
        table = many_patients(asked.rows, max(asked.rows // 400, 3), asked.rows // 1000)
        before = _peak_mb()
        start = time.perf_counter()
        split_rows(table, ratios=RATIOS)
        seconds, more = time.perf_counter() - start, _peak_mb() - before
        print(
            f"\n{asked.rows:,} rows: {seconds:.1f} s, {more:.0f} MB above the {before:.0f} MB with the table"
        )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
