"""The assignment on integer codes, beside scikit-learn's."""

import numpy as np
import pytest

from dermdata.split.assign import assign_groups, count_strata, number_kinds, random_numbers

Codes = np.ndarray


def patients(seed: int) -> tuple[Codes, Codes]:
    """20,000 images of 150 patients, 300 malignant ones in clusters."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0, 1, 150)
    group = np.sort(rng.choice(150, 20_000, p=weight / weight.sum()))
    group = np.unique(group, return_inverse=True)[1]
    risk = rng.lognormal(0, 1.5, 150)[group]
    label = np.zeros(20_000, np.int64)
    label[rng.choice(20_000, 300, replace=False, p=risk / risk.sum())] = 1
    return group, label


def deviation(held: list[Codes], label: Codes) -> float:
    """Largest, in percentage points, over parts and classes."""
    whole = np.bincount(label) / len(label)
    return max(100 * float(np.abs(np.bincount(label[h], minlength=2) / len(h) - whole).max()) for h in held)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_few_large_patients_come_out_better_than_with_stratified_group_kfold(seed: int) -> None:
    """At most 0.3 times its deviation, or what one patient with most of the malignant images forces."""
    from sklearn.model_selection import StratifiedGroupKFold

    group, label = patients(seed)
    theirs = [held for _, held in StratifiedGroupKFold(5).split(group, label, group)]
    part = assign_groups(group, [label], [f"fold {i}" for i in range(5)], [0.2] * 5, seed=0)[group]
    ours = [np.flatnonzero(part == i) for i in range(5)]
    forced = 100 * (np.bincount(group, label).max() - 60) / 4000
    assert deviation(ours, label) <= max(0.3 * deviation(theirs, label), forced)
    assert max(abs(len(rows) - 4000) for rows in ours) <= 40


def test_kinds_are_equal_for_equal_counts_only() -> None:
    """Groups 0 and 2 hold the same; 1 differs in a count, 3 in a stratum, 4 is longer."""
    group = np.array([0, 0, 1, 2, 2, 3, 3, 4, 4, 4])
    label = np.array([0, 1, 0, 1, 0, 0, 2, 0, 1, 2])
    kind = number_kinds(count_strata(group, 5, [label])).tolist()
    assert kind[0] == kind[2]
    assert len(set(kind)) == 4


def test_the_random_stream_is_pinned() -> None:
    """Philox's raw stream under a hashed key: the same numbers on every machine."""
    assert random_numbers(0, 2, "order 0").tolist() == [11927123832898138761, 11065534083015405930]
