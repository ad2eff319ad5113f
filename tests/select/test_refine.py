"""`--refine`: the same image's finer label from elsewhere, and labels that contradict each other."""

import pyarrow as pa

from dermdata.cohort.refine import Refinement, find_contradictions, refine_labels
from support.bundled_labels import needs_shared, shared_rows
from support.label_tables import NEVUS_2017, column, judge, manifest, row, statements


def refined(own: pa.Table, *others: dict[str, object]) -> Refinement:
    return refine_labels(own, manifest(*others), statements(), judge())


def one(dataset: str, word: str | None, **more: object) -> dict[str, object]:
    return row(dataset, more.pop("image", "x"), word, isic_id="ISIC_1", **more)  # type: ignore[arg-type]


def test_benign_and_malignant_of_one_image_are_not_settled_but_told() -> None:
    """ISIC 2016 says benign, 2017 and 2019 melanoma: our own label stays, both sources are named."""
    found = refined(
        manifest(one("isic-2016", "benign")), one("isic-2017", "melanoma=1"), one("isic-2019", "MEL")
    )
    assert column(found.table, "diagnosis") == ["neoplastic"]
    assert column(found.table, "refined_from") == [None]
    assert found.count == 0
    (conflict,) = found.conflicts
    assert (conflict.level, conflict.code) == ("warning", "label-conflict")
    assert conflict.keys == ("isic-2016/x", "isic-2017/x", "isic-2019/x")
    assert conflict.evidence["isic-2016/x"] == {
        "label_raw": "benign",
        "diagnosis": "neoplastic",
        "malignancy": "benign",
    }
    assert "ISIC_1" in conflict.message


def test_disjoint_concepts_contradict() -> None:
    """A nevus is no melanoma, and akiec means no invasive cancer."""
    assert refined(manifest(one("ham10000", "nv")), one("isic-2019", "MEL")).conflicts
    invasive = one("mine", None, diagnosis="squamous-cell-carcinoma-invasive", malignancy="malignant")
    assert refined(manifest(one("ham10000", "akiec")), invasive).conflicts


def test_two_finer_labels_that_contradict_each_other_are_not_taken() -> None:
    """Which of them is true nobody knows."""
    found = refined(
        manifest(one("ham10000", "bkl")),
        one("a", None, diagnosis="seborrheic-keratosis"),
        one("b", None, diagnosis="solar-lentigo"),
    )
    assert column(found.table, "diagnosis") == ["benign-keratosis"]
    assert found.conflicts[0].keys == ("ham10000/x", "a/x", "b/x")


def test_akiec_becomes_what_isic_2019_calls_it() -> None:
    """AK, or SCC as ISIC 2019 states it: in situ would be a conclusion of our own."""
    own = manifest(
        one("ham10000", "akiec"), row("ham10000", "y", "akiec", isic_id="ISIC_2"), row("ham10000", "z", "nv")
    )
    found = refined(own, one("isic-2019", "SCC"), row("isic-2019", "y", "AK", isic_id="ISIC_2"))
    assert column(found.table, "diagnosis") == [
        "squamous-cell-carcinoma",
        "actinic-keratosis",
        "melanocytic-nevus",
    ]
    assert column(found.table, "diagnosis_name")[1] == "Actinic keratosis"
    assert column(found.table, "diagnosis_path")[1][-1] == "actinic-keratosis"
    assert column(found.table, "malignancy") == ["malignant", "premalignant", "benign"]
    assert column(found.table, "label_raw") == ["akiec", "akiec", "nv"]
    assert column(found.table, "refined_from") == ["isic-2019/x", "isic-2019/y", None]
    assert column(found.table, "refined_label") == ["SCC", "AK", None]
    assert (found.count, found.conflicts) == (2, ())


def test_a_manifest_of_an_earlier_version_is_refined_too() -> None:
    """Its `diagnosis_name` is a dictionary, as those of today are not."""
    own = manifest(one("ham10000", "akiec"))
    place = own.column_names.index("diagnosis_name")
    words = pa.dictionary(pa.int32(), pa.string())
    earlier = own.set_column(place, "diagnosis_name", own["diagnosis_name"].cast(words))
    found = refined(earlier, one("isic-2019", "AK"))
    assert column(found.table, "diagnosis_name") == ["Actinic keratosis"]
    assert found.table.schema.field("diagnosis_name").type == pa.string()


def test_a_coarser_equal_or_silent_label_changes_nothing() -> None:
    """Also an unknown one, and one that only overlaps."""
    own = manifest(one("isic-2019", "AK"))
    others = [
        one("ham10000", "akiec"),
        one("isic-2020", "unknown"),
        one("isic-2019", "AK", image="other"),
        one("a", None),
    ]
    for other in others:
        other |= {"malignancy": None}
        found = refined(own, other)
        assert column(found.table, "diagnosis") == ["actinic-keratosis"]
        assert (found.count, found.conflicts) == (0, ())


def test_a_row_without_a_diagnosis_takes_one() -> None:
    """ISIC 2020's "unknown, benign" is a nevus where another source says so, and never a melanoma."""
    found = refined(manifest(one("isic-2020", "unknown")), one("isic-2017", NEVUS_2017))
    assert column(found.table, "diagnosis") == ["melanocytic-nevus"]
    assert refined(manifest(one("isic-2020", "unknown")), one("isic-2017", "melanoma=1")).conflicts


def test_our_own_malignancy_stays_where_the_finer_source_states_none() -> None:
    """A finer word may say less of that."""
    found = refined(manifest(one("isic-2016", "benign")), one("mine", None, diagnosis="melanocytic-nevus"))
    assert column(found.table, "malignancy") == ["benign"]


def test_the_finest_of_several_is_taken_and_the_first_key_of_equals() -> None:
    """Whatever their order."""
    others = [
        one("isic-2017", NEVUS_2017),
        one("b", None, diagnosis="blue-nevus"),
        one("a", None, diagnosis="blue-nevus"),
    ]
    for order in (others, others[::-1]):
        found = refined(manifest(one("isic-2016", "benign")), *order)
        assert column(found.table, "refined_from") == ["a/x"]


def test_the_label_of_a_refined_row_is_that_of_its_source() -> None:
    """Provenance leads to who said it, not to who passed it on."""
    passed_on = refined(manifest(one("ham10000", "akiec")), one("isic-2019", "SCC")).table
    found = refine_labels(manifest(one("isic-2016", "malignant") | {"diagnosis": "neoplastic", "label_raw": "?"}), passed_on,
                   statements(), judge()).table  # fmt: skip
    assert column(found, "refined_from") == ["isic-2019/x"]
    assert column(found, "refined_label") == ["SCC"]


def test_only_the_same_isic_id_is_the_same_image() -> None:
    """No id joins nothing, nor does the row itself."""
    own = manifest(row("ham10000", "x", "akiec"))
    assert refined(own, row("isic-2019", "x", "SCC")).count == 0
    itself = manifest(one("ham10000", "akiec"))
    assert refine_labels(itself, itself, statements(), judge()).count == 0


# ------------------------------------------------------------------ rows of one table


def test_every_row_that_another_one_contradicts_is_named_with_all_sources() -> None:
    """Those that agree with all are not; one image, one conflict."""
    table = manifest(
        one("isic-2016", "benign"), one("isic-2017", "melanoma=1"), one("isic-2019", "MEL"), one("mine", None),
        row("ham10000", "y", "nv", isic_id="ISIC_2"), row("isic-2019", "y", "NV", isic_id="ISIC_2"),
    )  # fmt: skip
    (found,) = find_contradictions(table, statements(), judge())
    assert found.keys == ("isic-2016/x", "isic-2017/x", "isic-2019/x")
    assert (
        find_contradictions(
            manifest(one("ham10000", "nv"), row("isic-2019", "y", "MEL")), statements(), judge()
        )
        == ()
    )


@needs_shared
def test_the_three_images_that_turned_from_benign_to_melanoma() -> None:
    """ISIC 2016 against 2017 and 2019, on the real tables: three conflicts, each with its sources."""
    said = [
        *((line["img_id"], "isic-2016", line["Label"]) for line in shared_rows(TRAIN_2016)),
        *((line["image_id"], "isic-2017", word_of_2017(line)) for line in shared_rows(TRAIN_2017)),
        *((base(line["image"]), "isic-2019", one_hot(line)) for line in shared_rows(TRAIN_2019)),
    ]
    known = {image for image, dataset, _ in said if dataset == "isic-2016"}
    table = manifest(*(row(name, image, word, isic_id=image) for image, name, word in said if image in known))
    found = find_contradictions(table, statements(), judge())
    assert {one.evidence[one.keys[0]]["malignancy"] for one in found} == {"benign"}
    assert [[key.partition("/")[0] for key in one.keys] for one in found] == [
        ["isic-2016", "isic-2017", "isic-2019"]
    ] * 3
    assert [one.keys[0].partition("/")[2] for one in found] == [
        "ISIC_0000077",
        "ISIC_0000511",
        "ISIC_0010094",
    ]


TRAIN_2016 = "data/isic2016/ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
TRAIN_2017 = "data/isic2017/ISIC-2017_Training_Part3_GroundTruth.csv"
TRAIN_2019 = "data/isic2019/ISIC_2019_Training_GroundTruth.csv"


def word_of_2017(line: dict[str, str]) -> str:
    flags = [name for name in ("melanoma", "seborrheic_keratosis") if float(line[name])]
    return f"{flags[0]}=1" if flags else NEVUS_2017


def base(image: str) -> str:
    return image.removesuffix("_downsampled")


def one_hot(line: dict[str, str]) -> str:
    return next(name for name, value in line.items() if name != "image" and float(value))
