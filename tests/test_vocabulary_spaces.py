"""Label spaces, and what labels, lumps and differentials become in them."""

from collections import Counter

import pytest

from dermdata.errors import BadCatalog, UnknownName, UsageError
from dermdata.model import Label
from dermdata.vocabulary import parse_space, parse_spaces, project_label, project_weights
from support.bundled_labels import in_space, label, needs_shared, shared_rows, spaces, vocabulary

# ------------------------------------------------------------------ projection

REFERENCE = [  # the self-test of the reference semantics
    (("ham10000", "dx", "akiec"), "AKIEC"),
    (("ham10000", "dx", "bkl"), "BKL"),
    (("ham10000", "dx", "vasc"), "VASC"),
    (("isic-2019", "one-hot", "AK"), "AKIEC"),
    (("isic-2019", "one-hot", "SCC"), None),
    (("pad-ufes-20", "diagnostic", "SCC"), None),
    (("isic-2020", "diagnosis", "unknown"), None),
    (("isic-2020", "diagnosis", "lentigo NOS"), None),
    (("ddi", "disease", "squamous-cell-carcinoma-in-situ"), "AKIEC"),
    (("derm7pt", "diagnosis", "melanoma (in situ)"), "MEL"),
    (("derm7pt", "diagnosis", "clark nevus"), "NV"),
    (("fitzpatrick17k", "label", "pyogenic granuloma"), "VASC"),
    (("sd-198", "class folder", "Psoriasis"), None),
]


@pytest.mark.parametrize(("key", "wanted"), REFERENCE, ids=[" ".join(key) for key, _ in REFERENCE])
def test_projection_follows_the_reference(key, wanted):
    """A class where there is one, else None and a reason."""
    found = project_label(label(*key), spaces()["ham7"], vocabulary())
    assert found.value == wanted
    assert (found.reason is None) == (wanted is not None)


@pytest.mark.parametrize(
    ("key", "space", "reason"),
    [
        (("ham10000", "dx", "akiec"), "isic8", "a lump: AK or SCC"),
        (("isic-2019", "one-hot", "SCC"), "ham7", "a lump: AKIEC or outside the space"),
        (("fitzpatrick17k", "label", "squamous cell carcinoma"), "ham7", "wider than one class: AKIEC"),
        (("sd-198", "class folder", "Psoriasis"), "ham7", "outside the space"),
        (("isic-2020", "diagnosis", "unknown"), "superclass", "diagnosis not stated"),
        (("scin", "weighted_skin_condition_label", "Foreign body"), "superclass", "overlap only"),
        (("ham10000", "dx", "akiec"), "malignancy", "a lump: malignant or premalignant"),
        (("ddi", "malignant", "False"), "malignancy", "malignancy not stated"),
        (
            ("fitzpatrick17k", "nine_partition_label", "genodermatoses"),
            "fitzpatrick9",
            "wider than one class",
        ),
    ],
)
def test_a_label_without_a_class_has_the_reason(key, space, reason):
    """What is not projected is explained, never guessed."""
    found = project_label(label(*key), spaces()[space], vocabulary())
    assert found.value is None
    assert found.reason.startswith(reason)


def test_an_overlap_is_projected_only_when_asked_for():
    """relatedMatch says no more than that the two meet."""
    row = label("sd-198", "class folder", "Nevus_Incipiens")
    assert project_label(row, spaces()["ham7"], vocabulary()).value is None
    assert project_label(row, spaces()["ham7"], vocabulary(), related=True).value == "NV"


def test_the_concept_decides_malignancy_and_the_datasets_own_word_has_its_own_space():
    """ISIC 2020 says benign of a proliferation that the vocabulary calls indeterminate; HAM10000 says nothing itself."""
    row = label("isic-2020", "diagnosis", "atypical melanocytic proliferation")
    assert project_label(row, spaces()["malignancy"], vocabulary()).value == "indeterminate"
    assert project_label((row.concept,), spaces()["malignancy"], vocabulary()).value == "indeterminate"
    own = spaces()["malignancy-source"]
    assert project_label(row, own, vocabulary()).value == "benign"
    assert project_label(label("ddi", "malignant", "False"), own, vocabulary()).value == "non-malignant"
    silent = project_label(label("ham10000", "dx", "mel"), own, vocabulary())
    assert (silent.value, silent.reason) == (None, "malignancy-source not stated")
    assert project_label(("melanoma",), own, vocabulary()).value is None


def test_in_a_nested_space_the_nearest_class_wins():
    """The outer class takes what is not known to be finer."""
    space = parse_space("melanocytic-neoplasm,melanoma", vocabulary(), {})
    assert project_label(("lentigo-maligna",), space, vocabulary()).value == "melanoma"
    assert project_label(("blue-nevus",), space, vocabulary()).value == "melanocytic-neoplasm"


def test_a_differential_adds_up_along_ancestors():
    """p(concept) is the sum over itself and all below it."""
    sums = vocabulary().sum_weights({"blue-nevus": 0.25, "melanoma": 0.5, "psoriasis": 0.25})
    assert sums["melanocytic-neoplasm"] == 0.75
    assert sums["skin-finding"] == 1


def test_a_differential_keeps_its_whole_weight():
    """What has no class is reported with its reason, not spread over the others."""
    found = project_weights(
        {"blue-nevus": 0.25, "melanoma": 0.5, "psoriasis": 0.25}, spaces()["ham7"], vocabulary()
    )
    assert found.classes == {"NV": 0.25, "MEL": 0.5}
    assert found.unassigned == {"outside the space": 0.25}


# ------------------------------------------------------------------ spaces


def test_a_space_is_named_or_written_out():
    """Concepts by comma, several in one class by plus."""
    tree = vocabulary()
    assert parse_space("ham7", tree, spaces()) is spaces()["ham7"]
    space = parse_space(
        "melanoma, melanocytic-nevus,actinic-keratosis+squamous-cell-carcinoma", tree, spaces()
    )
    assert list(space.classes) == [
        "melanoma",
        "melanocytic-nevus",
        "actinic-keratosis+squamous-cell-carcinoma",
    ]
    assert project_label(label("ham10000", "dx", "akiec"), space, tree).value == list(space.classes)[2]


@pytest.mark.parametrize(
    ("text", "error", "near"),
    [("ham8", UnknownName, "ham7"), ("melanoma,melanocytic-nevi", UnknownName, "melanocytic-nevus")],
)
def test_a_misspelled_space_gets_a_near_miss(text, error, near):
    """Names of spaces and of concepts are both known."""
    with pytest.raises(error) as caught:
        parse_space(text, vocabulary(), spaces())
    assert near in caught.value.near


@pytest.mark.parametrize(
    "text", ["", "melanoma,", "melanoma,melanoma", "melanoma+melanoma", "melanoma,nevus-spilus+melanoma"]
)
def test_an_empty_or_doubled_class_is_refused(text):
    """A class without a concept, or a concept in two classes, is no label space."""
    with pytest.raises(UsageError):
        parse_space(text, vocabulary(), spaces())


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("a = [", "has 1 issue"),
        ("a = 1", "a: a space is a table with `classes`"),
        ("[a]\nclasses = ['melanomma']", "a.melanomma: unknown concept 'melanomma'"),
        ("[a]\nclasses = ['melanoma']\ncolor = 1", "a: unknown key 'color'"),
        ("[a]\nfacet = 'color'\nclasses = ['melanoma']", "a: unknown facet 'color'"),
        ("[a.classes]\nX = []", "a.X: no concepts"),
        ("[a.classes]\nX = ['melanoma']\nY = ['melanoma']", "a.Y: 'melanoma' belongs to X already"),
        ("[a.classes]\nX = ['neoplastic/nasty']", "a.X: unknown malignancy 'nasty'"),
    ],
)
def test_a_broken_space_file_is_refused(text, issue):
    """With the space and the class in the message."""
    with pytest.raises(BadCatalog) as caught:
        parse_spaces(text, vocabulary())
    assert issue in caught.value.message


def test_what_lies_below_a_concept_and_has_a_malignancy_can_be_written_out():
    """As in a file: the classes that a study of malignancy wants."""
    space = parse_space(
        "malignant=skin-finding/malignant+skin-finding/premalignant,neoplastic/benign", vocabulary(), {}
    )
    assert project_label(["melanoma"], space, vocabulary()).value == "malignant"
    assert project_label(["actinic-keratosis"], space, vocabulary()).value == "malignant"
    assert project_label(["melanocytic-nevus"], space, vocabulary()).value == "neoplastic/benign"
    assert project_label(["psoriasis"], space, vocabulary()).value is None
    with pytest.raises(UnknownName, match="unknown malignancy 'malign'") as caught:
        parse_space("skin-finding/malign", vocabulary(), {})
    assert caught.value.near[0] == "malignant"


def test_a_class_written_out_may_have_a_name():
    """NAME=a+b."""
    space = parse_space("PIG=melanocytic-nevus+lentigo,melanoma", vocabulary(), {})
    assert list(space.classes) == ["PIG", "melanoma"]
    assert project_label(label("ham10000", "dx", "nv"), space, vocabulary()).value == "PIG"


@pytest.mark.parametrize("text", ["PIG=", "=melanoma", "A=melanoma,A=lentigo", "A=melanoma,B=melanoma"])
def test_a_named_class_needs_a_name_and_concepts_of_its_own(text):
    """Once each."""
    with pytest.raises(UsageError):
        parse_space(text, vocabulary(), {})


@needs_shared
def test_isic_2020_is_null_in_isic8_and_benign_in_malignancy():
    """27,124 of 33,126 rows: no diagnosis, and no malignant lesion."""
    rows = [row["diagnosis"] for row in shared_rows("data/isic2020/ISIC_2020_Training_GroundTruth_v2.csv")]
    found = {space: Counter((word, in_space("isic-2020", "diagnosis", word, space)) for word in rows)
             for space in ("isic8", "malignancy")}  # fmt: skip
    assert found["isic8"]["unknown", None] == found["malignancy"]["unknown", "benign"] == 27124
    assert sum(count for (word, _), count in found["isic8"].items() if word == "unknown") == 27124


def test_a_label_row_alone_can_be_projected():
    """No file is needed: a Label and a space are enough."""
    row = Label(field="dx", raw_label="x", concept="blue-nevus", predicate="exactMatch")
    assert project_label(row, spaces()["pad6"], vocabulary()).value == "NEV"
