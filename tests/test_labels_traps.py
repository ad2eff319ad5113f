"""The nine groups of traps in the datasets' words: each of them cost someone a wrong label."""

import csv
from collections import Counter
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.crosswalks import build_differential, harmonize_words
from dermdata.vocabulary import tsv
from support.bundled_labels import (
    crosswalk,
    datasets,
    in_space,
    label,
    labels,
    meant,
    needs_shared,
    shared_rows,
    text,
    vocabulary,
)

SCIN = "weighted_skin_condition_label"


# ------------------------------------------------------------------ the nine groups of traps


def test_trap_1_lumps_stay_lumps():
    """akiec, bkl and vasc have members; none is called by one of them, and akiec has no malignancy."""
    assert set(label("ham10000", "dx", "akiec").members) == {
        "actinic-keratosis",
        "squamous-cell-carcinoma-in-situ",
    }
    assert meant("ham10000", "dx", "akiec").diagnosis == "squamous-neoplasia"
    assert meant("ham10000", "dx", "bkl").diagnosis == "benign-keratosis"
    assert meant("ham10000", "dx", "vasc").diagnosis == "vascular-lesion"
    assert in_space("ham10000", "dx", "akiec", "ham7") == "AKIEC"
    assert in_space("ham10000", "dx", "akiec", "isic8") is None
    assert "squamous-cell-carcinoma-in-situ" in label("isic-2019", "one-hot", "SCC").members


@needs_shared
def test_trap_1_six_classes_of_ham_agree_with_isic_2019():
    """One to one, and the 327 akiec are 130 AK and 197 SCC there."""
    truth = {row["image"]: row for row in shared_rows("data/isic2019/ISIC_2019_Training_GroundTruth.csv")}
    pairs = Counter()
    for row in shared_rows("data/ham10000/HAM10000_metadata.csv"):
        one_hot = truth.get(row["image_id"]) or truth[f"{row['image_id']}_downsampled"]
        [theirs] = [name for name, value in one_hot.items() if name != "image" and float(value) == 1]
        ours = label("ham10000", "dx", row["dx"]).concept
        pairs[ours, label("isic-2019", "one-hot", theirs).concept] += 1
    assert pairs.pop(("squamous-neoplasia", "actinic-keratosis")) == 130
    assert pairs.pop(("squamous-neoplasia", "squamous-cell-carcinoma")) == 197
    assert all(one == other for one, other in pairs)
    assert sorted(pairs.values(), reverse=True) == [6705, 1113, 1099, 514, 142, 115]


def test_trap_2_unknown_and_benign_is_no_nevus():
    """ISIC 2020's 27,124 images: benign, and no diagnosis; ISIC 2017's flag is benign keratosis."""
    found = meant("isic-2020", "diagnosis", "unknown")
    assert (found.diagnosis, found.malignancy, found.reason) == (None, "benign", "diagnosis not stated")
    assert in_space("isic-2020", "diagnosis", "unknown", "ham7") is None
    flag = "seborrheic_keratosis=1"
    assert meant("isic-2017", "melanoma;seborrheic_keratosis", flag).diagnosis == "benign-keratosis"


@needs_shared
def test_trap_2_most_of_isic_2020_has_no_diagnosis():
    """27,124 of 33,126."""
    words = Counter(
        row["diagnosis"] for row in shared_rows("data/isic2020/ISIC_2020_Training_GroundTruth_v2.csv")
    )
    known = harmonize_words("diagnosis", words, crosswalk("isic-2020"), vocabulary())
    assert set(known) == set(words)
    assert sum(count for word, count in words.items() if not known[word].diagnosis) == 27124
    assert words.total() == 33126


@pytest.mark.parametrize(
    ("dataset", "field", "word"),
    [
        ("isic-2020", "diagnosis", "lentigo NOS"),
        ("isic-archive", "legacy_dx", "lentigo NOS"),
        ("derm7pt", "diagnosis", "lentigo"),
        ("scin", SCIN, "Lentigo"),
    ],
)
def test_trap_3_lentigo_nos_is_no_kind_of_lentigo(dataset, field, word):
    """Neither solar nor simplex, and not in BKL."""
    concept = meant(dataset, field, word).diagnosis
    assert concept == "lentigo"
    assert not vocabulary().is_under("solar-lentigo", concept)
    assert not vocabulary().is_under("lentigo-simplex", concept)
    assert in_space(dataset, field, word, "ham7") is None


def test_trap_4_each_dataset_speaks_for_itself_on_malignancy():
    """AK: malignant in Fitzpatrick17k's partition, not in DDI's, indeterminate in ISIC."""
    assert label("isic-archive", "legacy_dx", "actinic keratosis").malignancy_source == "indeterminate"
    partition = label("fitzpatrick17k", "nine_partition_label", "malignant epidermal")
    assert (partition.malignancy_source, partition.note) == ("malignant", "holds actinic keratosis")
    assert in_space("fitzpatrick17k", "label", "actinic keratosis", "fitzpatrick3") == "malignant"
    assert label("ddi", "malignant", "False").malignancy_source == "non-malignant"
    acantho = "squamous-cell-carcinoma-keratoacanthoma"
    assert meant("ddi", "disease", acantho).diagnosis == "keratoacanthoma"
    assert meant("ddi", "disease", acantho).malignancy == "malignant"
    assert vocabulary().malignancy("keratoacanthoma") == "malignant"


def test_trap_4_the_atypical_spindle_cell_nevus_of_reed_is_not_the_reed_nevus():
    """Malignant in DDI, while the pigmented one is benign; harmonized, the first is what it is in every dataset."""
    atypical = meant("ddi", "disease", "atypical-spindle-cell-nevus-of-reed")
    plain = meant("ddi", "disease", "pigmented-spindle-cell-nevus-of-reed")
    assert atypical.diagnosis == "atypical-spindle-cell-tumor"
    assert (atypical.malignancy, atypical.malignancy_source) == ("indeterminate", "malignant")
    assert (plain.diagnosis, plain.malignancy) == ("reed-nevus", "benign")


def test_trap_5_clark_nevus_is_kept_apart_from_histology():
    """The note says that the atlas uses it for the common nevus too; NV is the safe projection."""
    row = label("derm7pt", "diagnosis", "clark nevus")
    assert "common flat acquired nevus" in row.note
    assert in_space("derm7pt", "diagnosis", "clark nevus", "ham7") == "NV"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("melanoma", "malignant melanoma"),
        ("porokeratosis actinic", "disseminated actinic porokeratosis"),
        ("neurodermatitis", "lichen simplex"),
        ("pyogenic granuloma", "granuloma pyogenic"),
    ],
)
def test_trap_6_doubled_names_are_one_concept(one, other):
    """Two words of Fitzpatrick17k, one meaning."""
    assert label("fitzpatrick17k", "label", one).concept == label("fitzpatrick17k", "label", other).concept


def test_trap_6_acne_vulgaris_is_acne_and_a_run_together_name_is_a_lump():
    """Two folder names became one word."""
    acne = label("fitzpatrick17k", "label", "acne").concept
    assert vocabulary().is_under(label("fitzpatrick17k", "label", "acne vulgaris").concept, acne)
    row = label("fitzpatrick17k", "label", "acquired autoimmune bullous diseaseherpes gestationis")
    assert row.members == ("autoimmune-bullous-dermatosis", "pemphigoid-gestationis")


def test_trap_7_names_with_commas_are_whole_words():
    """SCIN has seven of them in each list, and one free-text remark."""
    for field in (SCIN, "dermatologist_skin_condition_on_label_name"):
        names = [row.raw_label for row in labels("scin") if row.field == field and "," in row.raw_label]
        remarks = [name for name in names if "I know" in name]
        assert (len(names), len(remarks)) == (8, 1)
        assert len(harmonize_words(field, names, crosswalk("scin"), vocabulary())) == 8


def test_trap_7_the_labeling_tools_artifact_is_dropped():
    """The other weights are scaled up; the caller keeps the raw dict."""
    weights = {"Remove from labeling tool": 0.5, "Eczema": 0.25, "Psoriasis": 0.25}
    found = build_differential(SCIN, weights, crosswalk("scin"), vocabulary())
    assert found.weights == {"dermatitis": 0.5, "psoriasis": 0.5}
    assert found.dropped == ("Remove from labeling tool",)
    alone = build_differential(SCIN, {"Remove from labeling tool": 1.0}, crosswalk("scin"), vocabulary())
    assert alone.weights == {}


def test_trap_7_an_overlap_and_an_unmapped_word_are_not_given_to_the_others():
    """The one counts for the root, the other is missing from the sum and named."""
    weights = {"Cat scratch injury": 0.25, "Eczema": 0.25, "No such word": 0.5}
    found = build_differential(SCIN, weights, crosswalk("scin"), vocabulary())
    assert found.weights == {"skin-finding": 0.25, "dermatitis": 0.25}
    assert found.unmapped == ("No such word",)


@given(
    st.dictionaries(
        st.sampled_from([row.raw_label for row in labels("scin")]), st.floats(0.01, 1), min_size=1
    )
)
def test_trap_7_a_mapped_differential_sums_to_one(weights):
    """Whatever is graded, unless all of it is dropped."""
    found = build_differential(SCIN, weights, crosswalk("scin"), vocabulary())
    assert found.unmapped == ()
    assert sum(found.weights.values()) == pytest.approx(1 if set(weights) - set(found.dropped) else 0)


@pytest.mark.parametrize(
    "concept", ["nevus-sebaceus", "nevus-comedonicus", "nevus-anemicus", "epidermal-nevus"]
)
@pytest.mark.parametrize("melanocytic", ["melanocytic-nevus", "melanocytic-neoplasm"])
def test_trap_8_a_nevus_need_not_be_melanocytic(concept, melanocytic):
    """Sebaceus, comedonicus, anemicus, epidermal."""
    assert not vocabulary().is_under(concept, melanocytic)


@pytest.mark.parametrize(
    ("concept", "where"),
    [
        ("urticaria-pigmentosa", "mastocytosis"),
        ("pyogenic-granuloma", "vascular-lesion"),
        ("kerion", "tinea"),
        ("dermatosis-papulosa-nigra", "seborrheic-keratosis"),
        ("mycosis-fungoides", "cutaneous-t-cell-lymphoma"),
        ("pemphigoid-gestationis", "autoimmune-bullous-dermatosis"),
    ],
)
def test_trap_8_misleading_names_stand_where_they_belong(concept, where):
    """The disease, not its name, decides."""
    assert vocabulary().is_under(concept, where)


@pytest.mark.parametrize(
    ("concept", "not_under"),
    [
        ("becker-nevus", "melanocytic-neoplasm"),
        ("nevus-lipomatosus-superficialis", "melanocytic-neoplasm"),
        ("urticaria-pigmentosa", "urticaria"),
        ("lichen-simplex-chronicus", "lichen-planus"),
        ("lichen-amyloidosis", "lichen-planus"),
        ("lichen-spinulosus", "lichen-planus"),
        ("keratosis-pilaris", "benign-keratosis"),
        ("mycosis-fungoides", "fungal-infection"),
        ("pemphigoid-gestationis", "viral-infection"),
        ("pyogenic-granuloma", "granulomatous-dermatosis"),
    ],
)
def test_trap_8_a_name_does_not_make_a_relative(concept, not_under):
    """What the word suggests is not what it is."""
    assert not vocabulary().is_under(concept, not_under)


def test_trap_8_the_pityriases_are_unrelated():
    """Alba, rosea, rubra pilaris, versicolor, lichenoides: no common parent among them."""
    names = [
        "pityriasis-alba",
        "pityriasis-rosea",
        "pityriasis-rubra-pilaris",
        "tinea-versicolor",
        "pityriasis-lichenoides",
    ]
    assert vocabulary().lowest_common_ancestor(names) == "non-neoplastic"
    assert not any(vocabulary().is_under(a, b) for a in names for b in names if a != b)


@pytest.mark.parametrize(
    ("dataset", "field", "word", "concept"),
    [
        ("fitzpatrick17k", "label", "mycosis fungoides", "mycosis-fungoides"),
        ("fitzpatrick17k", "label", "becker nevus", "becker-nevus"),
        ("fitzpatrick17k", "label", "nevus sebaceous of jadassohn", "nevus-sebaceus"),
        ("fitzpatrick17k", "label", "keratosis pilaris", "keratosis-pilaris"),
        ("ddi", "disease", "nevus-lipomatosus-superficialis", "nevus-lipomatosus-superficialis"),
    ],
)
def test_trap_8_the_datasets_words_follow(dataset, field, word, concept):
    """And none of them lands in a class of HAM10000 by its name."""
    assert meant(dataset, field, word).diagnosis == concept
    assert in_space(dataset, field, word, "ham7") is None


def from_memory():
    """The datasets that the review list marks."""
    rows = csv.DictReader(StringIO(text("vocabulary/review.tsv"), newline=""), dialect=tsv.TabDialect)
    return {row["dataset"] for row in rows if row["reason"].startswith("all words are from memory")}


def test_trap_9_lists_from_memory_are_marked():
    """The review list says so until the source is at hand."""
    assert from_memory() == {"mclass-d", "mclass-nd", "msld", "dermis"}
    assert from_memory() <= set(datasets())


@needs_shared
def test_trap_9_every_list_from_memory_is_marked():
    """As the list of raw labels has it; the words of three were found in the sources since."""
    rows = shared_rows("vocabulary/raw_labels.csv")
    lists = {row["dataset"] for row in rows if row["source"].startswith("memory")}
    assert from_memory() == lists - {"bcn20000", "milk10k", "msid"}
