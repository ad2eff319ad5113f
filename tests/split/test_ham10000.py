"""The goal on real metadata: HAM10000's 7,470 lesions, 7 classes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from dermdata.split import check_split, split_rows

METADATA = Path(__file__).parents[3] / "shared/data/ham10000/HAM10000_metadata_kaggle.csv"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not METADATA.exists(), reason="no ../shared with the real metadata"),
]


@pytest.fixture(scope="module")
def ham10000() -> pa.Table:
    raw = pa_csv.read_csv(METADATA)
    return pa.table(
        {
            "dataset": pa.array(["ham10000"] * raw.num_rows),
            "image_id": raw["image_id"],
            "lesion_id": raw["lesion_id"],
            "diagnosis": raw["dx"],
            "sex": raw["sex"],
        }
    )


@pytest.mark.parametrize("request_", [{}, {"ratios": {"train": 0.8, "val": 0.1, "test": 0.1}}, {"folds": 5}])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_class_share_is_within_a_tenth_of_a_point(
    ham10000: pa.Table, request_: dict[str, object], seed: int
) -> None:
    """In every part, and the sizes are right to the image or two."""
    result = split_rows(ham10000, seed=seed, **request_)  # type: ignore[arg-type]
    assert result.grouping.counts["groups"] == 7470
    assert result.grouping.level_summary == "lesion"
    assert result.largest_deviation < 0.1
    assert check_split(result.table) == ()
    ratios = request_.get("ratios", {"train": 0.7, "val": 0.15, "test": 0.15})
    for line in result.balance:
        goal = 1 / 5 if "folds" in request_ else ratios[line.part]  # type: ignore[index]
        assert abs(line.images - goal * 10015) < 2


def test_never_worse_than_stratified_group_kfold(ham10000: pa.Table) -> None:
    """On the same groups, classes and number of folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    group = np.unique(ham10000["lesion_id"].to_numpy(), return_inverse=True)[1]
    label = np.unique(ham10000["diagnosis"].to_numpy(), return_inverse=True)[1]
    whole = np.bincount(label) / len(label)
    theirs = max(
        100 * np.abs(np.bincount(label[held], minlength=7) / len(held) - whole).max()
        for _, held in StratifiedGroupKFold(5).split(group, label, group)
    )
    assert split_rows(ham10000, folds=5).largest_deviation <= theirs


def test_two_columns_at_once(ham10000: pa.Table) -> None:
    """Diagnosis and sex, with sex unknown as its own."""
    assert split_rows(ham10000, stratify=["diagnosis", "sex"]).largest_deviation < 0.2
