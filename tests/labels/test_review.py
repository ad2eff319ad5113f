"""The rows that want a dermatologist."""

import pytest

from dermdata.crosswalks.crosswalk import REVIEW_COLUMNS, parse_review
from dermdata.errors import BadCatalog
from dermdata.vocabulary import tsv
from support.bundled_labels import text, vocabulary


@pytest.mark.parametrize(
    ("row", "issue"),
    [
        (["ham10000", "dx", "nv", "nevuss", "1", "why", "meaning"], "unknown concept 'nevuss'"),
        (["ham10000", "dx", "nv", "melanoma", "many", "why", "meaning"], "'many' is no number"),
        (["ham10000", "dx", "nv", "melanoma", "1", "", "meaning"], "needs a dataset and a reason"),
        (["ham10000", "dx", "nv", "melanoma", "1", "why", "spelling"], "'spelling' is none of meaning"),
        (["", "dx", "nv", "melanoma", "1", "why", "meaning"], "needs a dataset and a reason"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(row: list[str], issue: str) -> None:
    """A doubt without a reason helps nobody."""
    with pytest.raises(BadCatalog, match=f"line 2: .*{issue}"):
        parse_review(tsv.rows_to_text(REVIEW_COLUMNS, [row]), vocabulary())


def test_every_doubt_of_the_catalog_is_read() -> None:
    """Words with a concept and a reason; a list from memory is a doubt of the whole dataset."""
    found = parse_review(text("vocabulary/review.tsv"), vocabulary())
    assert len(found) == len(text("vocabulary/review.tsv").splitlines()) - 1
    [one] = [each for each in found if each.raw_label == "clark nevus"]
    assert (one.dataset, one.count) == ("derm7pt", 399)
    whole = [each for each in found if each.raw_label is None]
    assert {each.concept for each in whole} == {None}
    assert {each.about for each in found} == {"meaning", "content", "malignancy"}
