"""A whole table's labels in one label space."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dermdata.api.label_spaces import ADDED, NEEDED
from dermdata.cohort.refine import refine_labels
from dermdata.errors import UnknownName
from dermdata.projection import (
    ALL,
    LABEL,
    REASON,
    STATEMENT_COLUMNS,
    TOP,
    count_unprojected,
    describe_top,
    project_differential,
    project_table,
)
from dermdata.vocabulary import parse_space, project_label
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


def graded(**weights: float) -> list[dict]:
    return [{"concept": name.replace("_", "-"), "weight": weight} for name, weight in weights.items()]


@pytest.mark.parametrize(
    ("weights", "share", "found"),
    [
        (
            {"basal_cell_carcinoma": 0.64, "squamous_cell_carcinoma": 0.2, "lichen_planus": 0.16},
            TOP,
            "malignant",
        ),
        ({"melanoma": 0.5, "blue_nevus": 0.5}, TOP, "a differential with a tie: benign or malignant"),
        ({"melanoma": 0.1 + 0.2, "blue_nevus": 0.3, "lichen_planus": 0.4}, TOP, "not-applicable"),
        ({"melanoma": 0.1 + 0.2, "blue_nevus": 0.3}, TOP, "a differential with a tie: benign or malignant"),
        ({"melanoma": 0.5, "blue_nevus": 0.5}, 0.5, "a differential with a tie: benign or malignant"),
        ({"melanoma": 0.64, "blue_nevus": 0.36}, 0.64, "malignant"),
        ({"melanoma": 0.64, "blue_nevus": 0.36}, 0.65, "a differential: no class has 0.65 of the weight"),
        ({"melanoma": 0.64, "blue_nevus": 0.36}, ALL, "a differential: benign or malignant"),
        ({"melanoma": 6.4, "blue_nevus": 3.6}, 0.64, "malignant"),
        ({"melanoma": -1.0, "blue_nevus": 3.0}, TOP, "a differential whose weights are no shares"),
        ({"melanoma": 0.0, "blue_nevus": 0.0}, TOP, "a differential whose weights are no shares"),
        ({"melanoma": math.nan, "blue_nevus": 1.0}, TOP, "a differential whose weights are no shares"),
        ({"melanoma": math.inf, "blue_nevus": -math.inf}, TOP, "a differential whose weights are no shares"),
        ({"melanoma": math.inf, "blue_nevus": 1.0}, 0.5, "a differential whose weights are no shares"),
    ],
)
def test_the_top_of_a_differential_is_a_class_where_it_is_asked_for(weights, share, found) -> None:
    """One alone, and heavy enough; else the reason why there is none."""
    one = project_differential(graded(**weights), spaces()["malignancy"], vocabulary(), share)
    assert (one.value or one.reason) == found


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        (
            {"melanoma": 0.5, "psoriasis": 0.3, "lichen_planus": 0.2},
            "a differential with a tie: MEL or no class",
        ),
        (
            {"melanoma": 0.4, "psoriasis": 0.3, "lichen_planus": 0.3},
            "a differential: most of its weight has no class",
        ),
        ({"melanoma": 0.6, "psoriasis": 0.4}, "MEL"),
    ],
)
def test_weight_outside_the_space_counts_like_one_more_class(weights, found) -> None:
    """A melanoma is not the top where most says that it is none of the classes."""
    one = project_differential(graded(**weights), spaces()["ham7"], vocabulary(), TOP)
    assert (one.value or one.reason) == found


def test_a_class_may_be_called_no_class() -> None:
    """Its weight is not that of what has none."""
    space = parse_space("no class=melanoma,nevi=melanocytic-nevus", vocabulary(), {})
    for psoriasis, found in ((0.3, "no class"), (0.8, None)):
        weights = graded(melanoma=0.6, psoriasis=psoriasis, blue_nevus=0.1)
        assert project_differential(weights, space, vocabulary(), TOP).value == found


@settings(deadline=None, max_examples=60)
@given(
    weights=st.dictionaries(
        st.sampled_from(["melanoma", "blue-nevus", "melanocytic-nevus", "basal-cell-carcinoma", "psoriasis"]),
        st.integers(1, 100),
        min_size=1,
    ),
    share=st.floats(0, 1),
    scale=st.floats(0.01, 10),
)
def test_a_class_by_its_share_is_what_counting_says(weights, share, scale) -> None:
    """Whole numbers decide what the weights, scaled and in another order, are projected to."""
    space, tree, total = spaces()["ham7"], vocabulary(), sum(weights.values())
    sums: dict[str | None, int] = {}
    for concept, weight in weights.items():
        name = project_label([concept], space, tree).value
        sums[name] = sums.get(name, 0) + weight
    assume(all(abs(weight / total - share) > 2e-6 for weight in sums.values()))
    most = max(sums.values())
    top = [name for name, weight in sums.items() if weight == most]
    wanted = top[0] if len(top) == 1 and (most == total or most / total >= share) else None
    rows = [{"concept": concept, "weight": weight * scale} for concept, weight in weights.items()]
    for order in (rows, rows[::-1]):
        found = project_differential(order, space, tree, share)
        assert found.value == wanted
        assert (found.value is None) == (found.reason is not None)


def test_rows_by_the_top_are_counted_and_others_stay() -> None:
    """Not those that have all the weight in one class, nor a row with a diagnosis."""
    table = manifest(
        row("scin", "a", differential=graded(blue_nevus=0.5, melanocytic_nevus=0.5)),
        row("scin", "b", differential=graded(blue_nevus=0.4, melanoma=0.6)),
        row("scin", "c", differential=graded(blue_nevus=0.5, melanoma=0.5)),
        row("ham10000", "d", "nv"),
    )
    space = spaces()["ham7"]
    found = project_table(table, space, vocabulary(), words(), share=TOP)
    assert column(found, "label") == ["NV", "MEL", None, "NV"]
    note = "1 row has the class at the top of their differential"
    assert describe_top(found, space, vocabulary(), TOP) == [note]
    assert describe_top(found, space, vocabulary(), 0.6) == [
        f"{note}, where it has at least 0.6 of the weight"
    ]
    assert describe_top(found, space, vocabulary()) == []


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
