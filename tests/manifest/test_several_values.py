"""Several values in a cell, several labels a row, probabilities: what is surely true stands in the manifest."""

from typing import Any

import pytest

from dermdata.crosswalks import Crosswalk
from dermdata.manifest import build_manifest
from dermdata.manifest.builder import SourceTable
from dermdata.model import Label, TableSpec
from support.bundled_labels import vocabulary
from support.manifest_builders import dataset, table

SITES = {
    "Head": "head-and-neck-head", "Face": "head-and-neck-head-face", "Neck": "head-and-neck-neck",
    "H": "head-and-neck", "trunk": "trunk",
}  # fmt: skip
WORDS = {
    "nv": "melanocytic-nevus",
    "mel": "melanoma",
    "bcc": "basal-cell-carcinoma",
    "acral": "acral-melanoma",
}
LABELS = Crosswalk(
    Label(field=field, raw_label=word, concept=concept, predicate="exactMatch")
    for field in ("dx", "full")
    for word, concept in WORDS.items()
)


def rows(cells: dict[str, list[str]], **spec: Any) -> tuple[list[dict[str, Any]], Any]:
    count = len(next(iter(cells.values())))
    columns = {"image_id": ("id",)} | spec.pop("columns", {})
    given = table({"id": [f"r{number}" for number in range(count)], **cells})
    made = SourceTable(TableSpec(reader="table", columns=columns, **spec), given)
    found, report = build_manifest(dataset(), [made], (), LABELS, vocabulary(), SITES)
    return found.to_pylist(), report


@pytest.mark.parametrize(
    ("cell", "site"),
    [
        ("Face", "head-and-neck-head-face"),
        ("Face, Neck", "head-and-neck"),
        ("Face,Head", "head-and-neck-head"),
        ("Face,trunk", None),
        (" Neck , Neck,", "head-and-neck-neck"),
        ("Gesicht,Neck", "head-and-neck"),
        ("", None),
    ],
)
def test_of_several_sites_the_one_that_holds_them_all(cell: str, site: str | None) -> None:
    """Their words stay as they stand; sites of two regions have none in common."""
    (row,), report = rows(
        {"where": [cell]}, columns={"body_site": ("where",)}, separators={"where": ","},
        values={"body_site": {"Gesicht": "Face"}},
    )  # fmt: skip
    assert (row["body_site"], row["body_site_raw"]) == (site, cell or None)
    assert report.unmapped_values == {}


def test_a_site_that_nobody_knows_is_counted() -> None:
    (row,), report = rows(
        {"where": ["Face;Nase"]}, columns={"body_site": ("where",)}, separators={"where": ";"}
    )
    assert (row["body_site"], report.unmapped_values) == (None, {"body_site: Face;Nase": 1})


@pytest.mark.parametrize(
    ("cell", "diagnosis", "match"),
    [
        ("mel", "melanoma", "exact"),
        ("mel|mel", "melanoma", "exact"),
        ("acral|mel", "melanoma", "broad"),
        ("mel | nv", "melanocytic-neoplasm", "broad"),
        ("", None, None),
    ],
)
def test_of_several_labels_what_is_true_of_all(cell: str, diagnosis: str | None, match: str | None) -> None:
    (row,), report = rows({"dx": [cell]}, columns={"label_raw": ("dx",)}, separators={"dx": "|"})
    assert (row["diagnosis"], row["diagnosis_match"]) == (diagnosis, match)
    assert row["label_raw"] == (cell or None)
    assert report.unmapped_labels == {}


def test_a_word_of_several_that_has_no_row_is_counted_alone() -> None:
    """The row has no diagnosis then: nothing is guessed of it."""
    (row, _), report = rows(
        {"dx": ["mel|foo", "foo"]}, columns={"label_raw": ("dx",)}, separators={"dx": "|"}
    )
    assert (row["diagnosis"], report.unmapped_labels) == (None, {"dx: foo": 2})


@pytest.mark.parametrize(
    ("first", "second", "diagnosis"),
    [
        ("mel", "acral", "acral-melanoma"),
        ("acral", "mel", "acral-melanoma"),
        ("mel", "", "melanoma"),
        ("", "acral", "acral-melanoma"),
        ("nv", "bcc", "melanocytic-nevus"),
        ("", "", None),
    ],
)
def test_of_two_label_columns_the_finer_one(first: str, second: str, diagnosis: str | None) -> None:
    """The second's words have the crosswalk's rows of its own name; a contradiction is told, and the first one stays."""
    (row,), report = rows(
        {"dx": [first], "full": [second]}, columns={"label_raw": ("dx",)}, further_labels=("full",)
    )
    assert (row["diagnosis"], row["label_raw"]) == (diagnosis, first or None)
    assert report.unmapped_values == ({"full: bcc (against nv)": 1} if second == "bcc" else {})


def test_descriptors_in_one_cell_are_concepts() -> None:
    """What a cell does not name it says nothing of."""
    (one, two, three), _ = rows(
        {"signs": ["scale, crust", "scale", ""]}, concepts=("signs",), separators={"signs": ","}
    )
    assert (one["concepts"], two["concepts"], three["concepts"]) == (
        [("scale", True), ("crust", True)], [("scale", True)], None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "present"),
    [("0.7", True), ("0,5", True), ("0.49", False), ("1", True), ("7", None), ("n/a", None)],
)
def test_a_probability_is_a_concept_from_the_least_that_is_said(cell: str, present: bool | None) -> None:
    """The number itself stays in `extra`."""
    (row,), _ = rows({"ulcer": [cell]}, concept_from={"ulcer": 0.5})
    assert row["concepts"] == (None if present is None else [("ulcer", present)])
    assert row["extra"] == [("ulcer", cell)]
