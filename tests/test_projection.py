"""A whole table's labels in one label space."""

import pytest

from dermdata.api.label_spaces import ADDED, NEEDED
from dermdata.cohort.refine import refine_labels
from dermdata.errors import UnknownName
from dermdata.projection import LABEL, REASON, STATEMENT_COLUMNS, count_unprojected, project_table
from support.bundled_labels import spaces, vocabulary
from support.label_tables import column, judge, manifest, row, statements, words


def classes(*rows, space: str = "ham7", **options):
    found = project_table(manifest(*rows), spaces()[space], vocabulary(), words(), **options)
    return list(zip(column(found, "label"), column(found, "label_reason"), strict=True))


def test_a_lump_has_a_class_only_where_its_members_agree() -> None:
    """akiec is AKIEC in ham7 and nothing in isic8; its diagnosis alone would be nothing in both."""
    akiec = row("ham10000", "x", "akiec")
    assert classes(akiec) == [("AKIEC", None)]
    assert classes(akiec, space="isic8") == [(None, "a lump: AK or SCC")]


def test_what_says_nothing_has_a_reason() -> None:
    """No label, an unknown diagnosis, a word without a crosswalk row, a class that is not in the space."""
    rows = [
        row("ham10000", "a"),
        row("isic-2020", "b", "unknown"),
        row("ham10000", "c", "new"),
        row("pad-ufes-20", "d", "SCC"),
    ]
    found = classes(*rows)
    assert [label for label, _ in found] == [None] * 4
    assert [reason for _, reason in found][:3] == ["diagnosis not stated"] * 3
    assert found[3][1]


def test_the_malignancy_that_the_row_states_comes_first() -> None:
    """Also of a row without a diagnosis, and of a dataset that the catalog does not know."""
    rows = [
        row("isic-2020", "a", "unknown"),
        row("ham10000", "b", "mel"),
        row("ham10000", "c", "akiec"),
        row("mine", "d", diagnosis="actinic-keratosis", malignancy="benign"),
    ]
    assert [label for label, _ in classes(*rows, space="malignancy")] == [
        "benign",
        "malignant",
        None,
        "benign",
    ]


def test_a_diagnosis_that_is_not_in_the_vocabulary_is_refused() -> None:
    """A manifest of the user's own with a typing error."""
    with pytest.raises(UnknownName, match="melanomma"):
        classes(row("mine", "x", diagnosis="melanomma"))


def test_a_manifest_without_a_crosswalk_speaks_by_its_diagnosis() -> None:
    """Any concept goes to its nearest class; a manifest newer or older than the catalog likewise."""
    assert classes(row("mine", "x", diagnosis="blue-nevus"))[0] == ("NV", None)
    assert classes(row("ham10000", "x", "nv", diagnosis="melanoma"))[0] == ("MEL", None)


def test_a_refined_row_speaks_with_its_sources_word() -> None:
    """SCC of ISIC 2019 is in situ or invasive: a class of isic8, none of ham7."""
    own = manifest(row("ham10000", "x", "akiec", isic_id="ISIC_1"))
    table = refine_labels(
        own, manifest(row("isic-2019", "x", "SCC", isic_id="ISIC_1")), statements(), judge()
    ).table
    for space, label in (("isic8", "SCC"), ("ham7", None)):
        found = project_table(table, spaces()[space], vocabulary(), words())
        assert column(found, "label") == [label]


def test_a_differential_has_a_class_where_all_its_weight_lies_in_it() -> None:
    """Weights of one class add up; anything else is told."""
    graded = [
        [{"concept": "blue-nevus", "weight": 0.5}, {"concept": "melanocytic-nevus", "weight": 0.5}],
        [{"concept": "blue-nevus", "weight": 0.5}, {"concept": "melanoma", "weight": 0.5}],
        [{"concept": "melanoma", "weight": 0.5}, {"concept": "psoriasis", "weight": 0.5}],
        [{"concept": "psoriasis", "weight": 1.0}],
    ]
    found = classes(*(row("scin", str(n), differential=one) for n, one in enumerate(graded)))
    assert found == [
        ("NV", None),
        (None, "a differential: MEL or NV"),
        (None, "a differential: MEL or no class"),
        (None, "outside the space"),
    ]


def test_what_has_no_class_is_counted_by_word_and_reason() -> None:
    """Most images first."""
    rows = [row("ham10000", str(n), word) for n, word in enumerate(["vasc", "akiec", "akiec", "nv"])]
    found = count_unprojected(project_table(manifest(*rows), spaces()["pad6"], vocabulary(), words()))
    assert [(one["label_raw"], one["images"]) for one in found] == [("akiec", 2), ("vasc", 1)]
    assert found[0] == {"dataset": "ham10000", "label_raw": "akiec", "diagnosis": "squamous-neoplasia",
                        "reason": "a lump: ACK or SCC", "images": 2}  # fmt: skip


def test_projecting_again_replaces_the_classes() -> None:
    """One label column, that of the last space; an empty table has one too."""
    table = project_table(manifest(row("ham10000", "x", "akiec")), spaces()["isic8"], vocabulary(), words())
    again = project_table(table, spaces()["ham7"], vocabulary(), words())
    assert column(again, "label") == ["AKIEC"]
    assert again.column_names == table.column_names
    assert project_table(table.slice(0, 0), spaces()["ham7"], vocabulary(), words()).num_rows == 0


def test_what_the_command_line_loads_is_what_a_projection_reads() -> None:
    """A column that is not loaded would silently be null."""
    assert {*NEEDED} == {*STATEMENT_COLUMNS, "differential"}
    assert ADDED == (LABEL, REASON)
