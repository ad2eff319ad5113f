"""The manifest: every row and every word of the source is in it or is told; nothing is guessed."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dermdata.api.fetch_outcome import describe_differences
from dermdata.errors import UnknownName
from dermdata.manifest import SCHEMA, BuildReport, build_manifest
from dermdata.manifest.builder import NO_TABLE, SourceTable
from dermdata.model import License, PublishedCounts, Role, TableSpec
from dermdata.readers.typed_cells import clean_ids
from support.bundled_labels import vocabulary
from support.manifest_builders import LABELS, SITES, built, cells, dataset, file, table

LEAST = {"columns": {"image_id": ("id",)}}

# ------------------------------------------------------------------ rows


@pytest.mark.fault(91)
def test_of_rows_with_one_id_the_first_stays() -> None:
    """Row 91: the others are listed, also where they say something else."""
    found, report = built(
        {"id": ["b", "a", "b", "b.jpg"], "dx": ["mel", "nv", "nv", "mel"]},
        {"columns": {"image_id": ("id",), "label_raw": ("dx",)}},
    )
    assert found.select(["image_id", "label_raw"]).to_pylist() == [
        {"image_id": "a", "label_raw": "nv"}, {"image_id": "b", "label_raw": "mel"},
    ]  # fmt: skip
    assert report.rejected == [
        {"image_id": "b", "label_raw": "nv", "reason": "image_id appears more than once"},
        {"image_id": "b", "label_raw": "mel", "reason": "image_id appears more than once"},
    ]
    assert (report.rows_in, report.rows) == (4, 2)


def test_a_row_without_id_is_rejected() -> None:
    """An image_id is unique and never empty, also where only an extension is left."""
    found, report = built({"id": ["", "a", ".jpg", ""]}, LEAST)
    assert found["image_id"].to_pylist() == ["a"]
    assert [row["reason"] for row in report.rejected] == ["the source names no image"] * 3


def test_what_the_reader_rejected_is_counted_too() -> None:
    refused = ({"file": "a.csv", "line": 3, "row": "x", "reason": "1 cell, the header has 2"},)
    _, report = built({"id": ["a"]}, LEAST, rejected=refused)
    assert (report.rows_in, report.rows, report.rejected) == (2, 1, [dict(refused[0])])


@pytest.mark.fault(91)
def test_rows_without_image_and_images_without_row() -> None:
    """Row 91: both are counted, and the row says why."""
    contents = [file("a.jpg"), file("c.jpg"), file("x/d.jpg"), file("y/d.jpg")]
    found, report = built({"id": ["a", "b", "d"]}, LEAST, *contents)
    assert found["path"].to_pylist() == ["images/a.zip/a.jpg", None, None]
    assert found["image_problem"].to_pylist() == [
        None,
        "no such image file",
        "2 different files have this name",
    ]
    assert report.rows_without_image == 2
    assert report.images_without_row == ["images/a.zip/c.jpg", "images/a.zip/x/d.jpg", "images/a.zip/y/d.jpg"]


def test_the_extension_decides_where_two_files_share_a_name() -> None:
    """The id has none, but the source's own word has."""
    found, _ = built({"id": ["a.png"]}, LEAST, file("a.png"), file("a.jpg"))
    assert found.select(["image_id", "path"]).to_pylist() == [{"image_id": "a", "path": "images/a.zip/a.png"}]


def test_no_rows_at_all() -> None:
    for columns in ({"id": []}, {"id": [], "dx": [], "age": []}):
        found, report = built(columns, LEAST, file("a.jpg"))
        assert found.schema.equals(SCHEMA)
        assert (report.rows_in, report.rows, len(report.images_without_row)) == (0, 0, 1)
    assert build_manifest(dataset(), [], [], LABELS, vocabulary(), SITES)[0].num_rows == 0


def test_a_field_that_is_none_is_told_with_the_nearest() -> None:
    """A typing error in an overlay is no traceback."""
    with pytest.raises(UnknownName) as caught:
        built({"id": ["a"]}, {"columns": {"image_id": ("id",), "fitzpatric": ("id",)}})
    assert "did you mean fitzpatrick" in (caught.value.hint or "")
    for derived in ("path", "sha256", "width", "diagnosis", "masks", "extra", "split"):
        with pytest.raises(UnknownName):
            built({"id": ["a"]}, {"columns": {"image_id": ("id",)}, "constants": {derived: "x"}})
    with pytest.raises(UnknownName):
        built({"id": ["a"]}, {"columns": {"label_raw": ("id",)}})


# ------------------------------------------------------------------ words


@pytest.mark.fault(92)
def test_a_label_is_mapped_or_counted() -> None:
    """Row 92: case, blanks, Unicode variants and misspellings are other words; the original stays."""
    words = ["mel", "Mel", "mel ", "ｍel", "melanoma", "NA", "", "mel"]
    found, report = built(
        {"id": [str(n) for n in range(8)], "dx": words},
        {"columns": {"image_id": ("id",), "label_raw": ("dx",)}},
    )
    assert found["label_raw"].to_pylist() == [word or None for word in words]
    assert found["diagnosis"].to_pylist() == [
        "melanoma",
        None,
        None,
        None,
        None,
        "melanocytic-nevus",
        None,
        "melanoma",
    ]
    assert report.unmapped_labels == {"dx: Mel": 1, "dx: mel ": 1, "dx: ｍel": 1, "dx: melanoma": 1}
    assert found["diagnosis_path"].to_pylist()[0][-1] == "melanoma"
    assert found["diagnosis_match"].to_pylist()[5] == "broad"


@pytest.mark.fault(87)
def test_words_for_not_known_do_not_touch_labels_that_the_crosswalk_has() -> None:
    """Row 87: "NA" may be missing for an age and a label all the same."""
    columns = {"id": ["a"], "dx": ["NA"], "age": ["NA"]}
    spec = {"columns": {"image_id": ("id",), "label_raw": ("dx",), "age": ("age",)}, "missing": ("", "NA")}
    row = built(columns, spec)[0].to_pylist()[0]
    assert (row["label_raw"], row["diagnosis"], row["age"], row["age_raw"]) == (
        "NA",
        "melanocytic-nevus",
        None,
        None,
    )
    assert row["extra"] == [("age", "NA")]


@pytest.mark.parametrize("word", ["nan", "NaN", "unknown", "-9"])
def test_a_word_for_not_known_is_no_label(word: str) -> None:
    """The catalog says that it is missing: null, nothing to map, and still to be found in `extra`."""
    columns = {"id": ["a", "b"], "dx": [word, "mel"]}
    spec = {"columns": {"image_id": ("id",), "label_raw": ("dx",)}, "missing": ("", word)}
    found, report = built(columns, spec)
    assert found["label_raw"].to_pylist() == [None, "mel"]
    assert found["extra"].to_pylist()[0] == [("dx", word)]
    assert report.unmapped_labels == {}


def test_a_graded_label_may_be_a_word_for_not_known() -> None:
    columns = {"id": ["a", "b"], "dx": ["n/a", "{'mel': 1.0}"]}
    columns_of = {"image_id": ("id",), "label_raw": ("dx",), "differential": ("dx",)}
    spec = {"columns": columns_of, "missing": ("", "n/a")}
    found, report = built(columns, spec)
    assert (found["label_raw"][0].as_py(), found["differential"][0].as_py()) == (None, None)
    assert found["diagnosis"].to_pylist() == [None, "melanoma"]
    assert report.unmapped_labels == {}


def test_malignancy_is_the_concepts_and_what_the_source_says_stands_beside_it() -> None:
    """Where there is no concept, or the source says both or less than a word of ours, its own word is all there is."""
    columns = {
        "dx": ["mel", "mel", "zzz", "zzz", "zzz"],
        "m": ["benign", "", "malignant", "non-malignant", "mixed"],
    }
    spec = {"label_raw": ("dx",), "malignancy": ("m",)}
    assert cells(columns, spec, "malignancy") == ["malignant", "malignant", "malignant", None, None]
    assert cells(columns, spec, "malignancy_source") == [
        "benign",
        None,
        "malignant",
        "non-malignant",
        "mixed",
    ]


@pytest.mark.parametrize(
    ("field", "words", "expected"),
    [
        ("sex", ["male", "FEMALE", "Other", "m", "", "unknown", "0"], ["male", "female", "other", None, None, None, None]),
        ("confirmation", ["histopathology", "Confocal", "histo"], ["histopathology", "confocal", None]),
        ("modality", ["dermoscopic", "TBP-tile", "xray"], ["dermoscopic", "tbp-tile", None]),
        ("malignancy", ["benign", "MALIGNANT", "1"], ["benign", "malignant", None]),
        ("fitzpatrick_source", ["self", "machine"], ["self", None]),
        ("body_site", ["trunk", "Trunk", "back of the knee", ""], ["trunk", None, None, None]),
        ("fitzpatrick", ["1", "6", "2.0", "3.", "2,0", "0", "7", "-1"], [1, 6, 2, 3, 2, *[None] * 3]),
        ("fitzpatrick", ["I", "iv", "VI", "Type III", "FST 2", " 2", "Hauttyp V"], [1, 4, 6, 3, 2, 2, 5]),
        ("fitzpatrick", ["2.5", "inf", "1e0", "٣", "1_0", "VII", "IIII", "II III", "dark IV"], [None] * 9),
        ("monk", ["II", "X"], [None, None]),
        ("monk", ["10", "1", "0", "11"], [10, 1, None, None]),
        ("fold_official", ["0", "4", "-1"], [0, 4, None]),
        ("fitzpatrick_range", ["1-2", "5-6", "2-2", "2-1", "0-3", "5-7", "12", "1-2-3"], [[1, 2], [5, 6], [2], *[None] * 5]),
        ("fitzpatrick_range", ["I-II", "V–VI", "III - IV", "IV-I", "I-X"], [[1, 2], [5, 6], [3, 4], None, None]),
    ],
)  # fmt: skip
def test_closed_sets(field: str, words: list[str], expected: list[Any]) -> None:
    """What is not of the set is null and counted; every word is in `extra` or a raw column."""
    columns = {"id": [f"{n:02}" for n in range(len(words))], "x": words}
    found, report = built(columns, {"columns": {"image_id": ("id",), field: ("x",)}})
    assert found[field].to_pylist() == expected
    refused = [word for word, value in zip(words, expected, strict=True) if value is None and word]
    assert report.unmapped_values == {f"{field}: {word}": 1 for word in refused}
    raw = found[f"{field}_raw"] if field == "body_site" else pc.map_lookup(found["extra"], "x", "first")
    assert [word or "" for word in raw.to_pylist()] == words


def test_the_catalogs_words_come_first_and_empty_means_null() -> None:
    """`acral = ""`: known, and nothing surely true; it is not counted as unmapped."""
    spec = {
        "columns": {"image_id": ("id",), "body_site": ("x",)},
        "values": {"body_site": {"back": "trunk", "acral": ""}},
    }
    found, report = built({"id": ["a", "b", "c"], "x": ["back", "acral", "knee"]}, spec)
    assert found["body_site"].to_pylist() == ["trunk", None, None]
    assert found["body_site_raw"].to_pylist() == ["back", "acral", "knee"]
    assert report.unmapped_values == {"body_site: knee": 1}


@pytest.mark.parametrize(
    ("word", "age", "raw"),
    [
        ("45", 45, None), ("0", 0, None), ("130", 130, None), ("45.0", 45, None), ("0.5", 0.5, None), ("045", 45, None),
        ("-1", None, "-1"), ("200", None, "200"), ("85+", None, "85+"), ("AGE_40_TO_49", None, "AGE_40_TO_49"),
        ("4_5", None, "4_5"), ("nan", None, None), ("N/A", None, None),
        ("35,5", 35.5, None), ("1e1", None, "1e1"), (" 45", None, " 45"), ("", None, None),
        ("unknown", None, None),
    ],
)  # fmt: skip
def test_an_age_is_a_plausible_number_or_a_raw_word(word: str, age: float | None, raw: str | None) -> None:
    """Missing is null, in the raw column too."""
    columns = {"id": ["a"], "x": [word]}
    spec = {"columns": {"image_id": ("id",), "age": ("x",)}, "missing": ("", "unknown")}
    row = built(columns, spec)[0].to_pylist()[0]
    assert (row["age"], row["age_raw"]) == (age, raw)


@pytest.mark.parametrize("field", ["fitzpatrick", "monk", "fold_official", "fitzpatrick_range"])
@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "N/A", "None", "null"])
def test_what_programs_write_for_no_number_is_none(field: str, word: str) -> None:
    """Among numbers it can mean nothing else: null, and nothing that must be mapped."""
    found, report = built({"id": ["a"], "x": [word]}, {"columns": {"image_id": ("id",), field: ("x",)}})
    assert (found[field].to_pylist(), report.unmapped_values) == ([None], {})
    assert found["extra"].to_pylist() == [[("x", word)]]


# ------------------------------------------------------------------ ids that programs have changed


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        (["1234.0", "77.0", ""], ["P/1234", "P/77", None]),
        (["1.0", "1.5"], ["P/1.0", "P/1.5"]),
        ([" 12", "12\r\n", "12\u00a0"], ["P/12"] * 3),
        (["Mu\u0308ller", "M\u00fcller"], ["P/M\u00fcller"] * 2),
        (["0012", "12"], ["P/0012", "P/12"]),
    ],
    ids=["floats", "not all whole", "blanks", "unicode forms", "zeros"],
)
def test_a_patient_is_one_however_the_id_is_written(typed: list[str], ids: list[str | None]) -> None:
    """Two ids of one patient would be parted by a split: the same person in training and test."""
    columns = {"id": [f"{n}" for n in range(len(typed))], "p": typed}
    found, _ = built(columns, {"columns": {"image_id": ("id",), "patient_id": ("p",)}})
    assert found["patient_id"].to_pylist() == [one and one.replace("P/", "set-a/") for one in ids]


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        (["train\\a.jpg", "train\\b.jpg"], ["train/a", "train/b"]),
        (["1234.0", "5.0"], ["1234", "5"]),
        (["na\u0308vus.jpg", " b.jpg "], ["n\u00e4vus", "b"]),
        (["1.0.jpg", "2.0.jpg"], ["1.0", "2.0"]),
    ],
)
def test_an_image_is_named_as_its_file_is(typed: list[str], names: list[str]) -> None:
    """Windows' backslash, pandas' floats, decomposed letters and blanks are none of the name."""
    found, report = built({"id": typed}, LEAST, *(file(f"{name}.jpg") for name in names))
    assert sorted(found["image_id"].to_pylist()) == sorted(names)
    assert found["image_problem"].null_count == len(names)
    assert report.images_without_row == []


def test_constants_hold_for_every_row() -> None:
    assert (
        cells({"x": ["1", "2"]}, {}, "split_official", constants={"split_official": "train"}) == ["train"] * 2
    )
    assert cells({"x": ["1"]}, {}, "lesion_id", constants={"lesion_id": "all"}) == ["set-a/all"]


def test_a_license_of_its_own_or_the_datasets() -> None:
    """Per image where the source gives it, else the dataset's, else null."""
    columns, spec = (
        {"id": ["a", "b"], "x": ["CC-BY-4.0", ""]},
        {"columns": {"image_id": ("id",), "license": ("x",)}},
    )
    assert built(columns, spec)[0]["license"].to_pylist() == ["CC-BY-4.0", "CC0-1.0"]
    none = dataset(license=License())
    assert built(columns, spec, of=none)[0]["license"].to_pylist() == ["CC-BY-4.0", None]
    assert built(columns, LEAST, of=none)[0]["license"].to_pylist() == [None, None]


# ------------------------------------------------------------------ ids


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ISIC_0000001", "ISIC_0000001"), ("ISIC_0000001.jpg", "ISIC_0000001"), ("ISIC_1_downsampled", "ISIC_1"),
        ("ISIC_1_downsampled.JPG", "ISIC_1"), ("isic_1", None), ("ISIC_1_x", None), ("XISIC_1", None), ("", None),
    ],
)  # fmt: skip
def test_an_isic_id_is_canonical(word: str, expected: str | None) -> None:
    assert cells({"x": [word]}, {"isic_id": ("x",)}, "isic_id") == [expected]


def test_an_image_id_keeps_what_is_the_sources() -> None:
    """Only an image's extension is cut; `_downsampled` belongs to the id."""
    ids = ["0001", "1e5", "ISIC_1_downsampled.jpg", "a.b.PNG", "scan.v2", "x/y.tiff", "ä ö.jpeg"]
    found, _ = built({"id": ids}, LEAST)
    assert found["image_id"].to_pylist() == sorted(
        ["0001", "1e5", "ISIC_1_downsampled", "a.b", "scan.v2", "x/y", "ä ö"]
    )
    assert found["key"].to_pylist() == [f"set-a/{one}" for one in found["image_id"].to_pylist()]


@pytest.mark.parametrize("key", ["patient_id", "lesion_id", "case_id"])
def test_grouping_keys_never_meet_those_of_others(key: str) -> None:
    """But ISIC's own ids are the same everywhere."""
    words = ["1", "IP_1234567", "IL_7654321", "IP_123", "xIP_1234567", "a/", "", "NA"]
    expected = [
        "set-a/1",
        "IP_1234567",
        "IL_7654321",
        "set-a/IP_123",
        "set-a/xIP_1234567",
        "set-a/a/",
        None,
        None,
    ]
    assert cells({"x": words}, {key: ("x",)}, key, missing=("", "NA")) == expected


def test_half_a_composite_key_is_none() -> None:
    """A patient without lesion number would make all such lesions one."""
    found = cells(
        {"p": ["p1", "p1", "", "", "NA"], "l": ["1", "", "1", "", "1"]}, {"lesion_id": ("p", "l")}, "lesion_id",
        missing=("", "NA"),
    )  # fmt: skip
    assert found == ["set-a/p1/1", None, None, None, None]


# ------------------------------------------------------------------ nothing is dropped

FIELDS = [
    "age", "attribution", "body_site", "caption", "case_id", "confirmation", "fitzpatrick", "fitzpatrick_range", "image",
    "isic_id", "label_raw", "lesion_id", "license", "malignancy", "modality", "patient_id", "sex", "split_official",
]  # fmt: skip
WORDS = st.sampled_from(
    ["", "NA", "unknown", "mel", "male", "Male", "1", "2.0", "1-2", "45", "85+", "trunk", "back", "a/b", "IP_1234567",
     "ISIC_1.jpg", "benign", "set-a/1", " ", "x.png", "histo", "None"]
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Any table of a source and any word of the catalog on it."""
    names = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1))
    rows = draw(st.integers(0, 6))
    columns = {name: draw(st.lists(WORDS, min_size=rows, max_size=rows)) for name in names}
    theirs = st.lists(st.sampled_from(names), min_size=1, max_size=2).map(tuple)
    mapping = draw(st.dictionaries(st.sampled_from(FIELDS), theirs, max_size=8))
    constants = draw(st.dictionaries(st.sampled_from(["modality", "sex", "lesion_id"]), WORDS, max_size=2))
    values = {"body_site": {"back": "trunk"}, "confirmation": {"histo": "histopathology", "NA": ""}}
    spec = {
        "columns": {"image_id": draw(theirs), **mapping},
        "constants": constants,
        "values": values,
        "missing": draw(st.sampled_from([("",), ("", "NA", "unknown")])),
    }
    return columns, spec


def words_of(row: dict[str, Any]) -> set[str]:
    """Every word that stands somewhere in a manifest row; a grouping key's own part too."""
    found = {str(value) for value in row.values() if isinstance(value, str)}
    found |= {row[key].removeprefix("set-a/") for key in ("patient_id", "lesion_id", "case_id") if row[key]}
    return found | {word for _, word in row["extra"] or ()}


@settings(deadline=None, max_examples=120)
@given(tables())
@example(
    (
        {"a": ["x.png"], "b": ["NA"]},
        {"columns": {"image_id": ("a",), "patient_id": ("b",)}, "missing": ("", "NA")},
    )
)
def test_every_word_of_the_source_is_somewhere(given: tuple[dict[str, list[str]], dict[str, Any]]) -> None:
    """Rows in are rows out and rejected ones; each non-empty cell is verbatim in its row."""
    columns, spec = given
    found, report = built(columns, spec)
    assert report.rows_in == len(next(iter(columns.values()))) == report.rows + len(report.rejected)
    assert report.rows == found.num_rows
    ids = found["image_id"].to_pylist()
    assert len(set(ids)) == len(ids)
    rejected = {row["image_id"] for row in report.rejected}
    rows = {row["image_id"]: words_of(row) for row in found.to_pylist()}
    lines = [dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True)]
    own = [own_id([said[name] for name in spec["columns"]["image_id"]]) for said in lines]
    for one, said in zip(clean_ids(pa.array(own, pa.string())).to_pylist(), lines, strict=True):
        if one and one not in rejected:
            assert {word for word in said.values() if word} <= rows[one]


def own_id(parts: list[str]) -> str:
    joined = ("/".join(parts) if any(parts) else "").strip()
    for ending in (".jpg", ".png"):
        joined = joined.removesuffix(ending)
    return joined


def test_concepts_in_words_are_absent_or_there() -> None:
    """The seven-point criteria of derm7pt: how a structure is there stays in extra, where that says more."""
    columns = {
        "id": ["a", "b", "c"], "veil": ["absent", "present", ""], "streaks": ["irregular", "absent", "regular"],
        "papule": ["1", "0", "present"],
    }  # fmt: skip
    spec = {"columns": {"image_id": ("id",)}, "concepts": ("veil", "streaks", "papule")}
    found, _ = built(columns, spec)
    assert [dict(row) for row in found["concepts"].to_pylist()] == [
        {"veil": False, "streaks": True, "papule": True},
        {"veil": True, "streaks": False, "papule": False},
        {"streaks": True},
    ]
    assert [dict(row) for row in found["extra"].to_pylist()] == [
        {"streaks": "irregular", "papule": "1"}, {"streaks": "absent", "papule": "0"},
        {"streaks": "regular", "papule": "present"},
    ]  # fmt: skip


def test_a_source_may_name_its_columns_as_it_likes() -> None:
    """An `@id` is the source's, only the readers' own columns are ours."""
    found, _ = built({"id": ["a"], "@id": ["7"], "": ["8"], "extra": ["9"]}, LEAST)
    assert found["extra"].to_pylist() == [[("@id", "7"), ("", "8"), ("extra", "9")]]


def test_a_row_that_says_no_more_has_no_extra() -> None:
    """Null, not an empty map."""
    assert built({"id": ["a", "b"], "x": ["", "1"]}, LEAST)[0]["extra"].to_pylist() == [None, [("x", "1")]]


# ------------------------------------------------------------------ counts


def test_differences_from_the_catalogs_numbers() -> None:
    counts = PublishedCounts(
        images=3, lesions=2, patients=9, labels={"mel": 2, "nv": 1, "bcc": 1}, splits={"train": 2, "test": 1}
    )
    columns = {"id": ["a", "b"], "dx": ["mel", "nv"], "l": ["1", "2"]}
    spec = {
        "columns": {"image_id": ("id",), "label_raw": ("dx",), "lesion_id": ("l",)},
        "constants": {"split_official": "train"},
    }
    _, report = built(columns, spec, of=dataset(counts=counts))
    assert report.differences == [
        "2 images, the catalog expects 3",
        "0 images in the official split test, the catalog expects 1",
        "1 image labeled mel, the catalog expects 2",
        "0 images labeled bcc, the catalog expects 1",
    ]


def test_what_the_rows_do_not_state_is_no_difference() -> None:
    counts = PublishedCounts(images=1, lesions=5, masks=5, labels={"mel": 2}, splits={"train": 2})
    assert built({"id": ["a"]}, LEAST, of=dataset(counts=counts))[1].differences == []
    assert built({"id": []}, LEAST, of=dataset(counts=counts))[1].differences == []


@pytest.mark.parametrize(
    ("sources", "roles", "said"),
    [
        ([], ("images",), [NO_TABLE, "0 images, the catalog expects 3"]),
        ([], ("captions",), [NO_TABLE]),
        ([], (), []),  # nothing was fetched
        ([[]], ("other",), ["0 images, the catalog expects 3"]),  # an archive that its host only lists
        ([[]], ("metadata",), []),
    ],
    ids=["no-table", "no-table-of-texts", "nothing-here", "closed-archive", "tables-alone"],
)
def test_an_empty_manifest_is_told(
    sources: list[list[str]], roles: tuple[Role, ...], said: list[str]
) -> None:
    """That there are no rows is never silent where files are."""
    tables = [
        SourceTable(
            TableSpec(reader="table", columns={"image_id": ("id",)}),
            pa.table({"id": pa.array(ids, pa.string())}),
        )
        for ids in sources
    ]
    here = [file(f"f.{role}", role=role) for role in roles]
    entry = dataset(counts=PublishedCounts(images=3))
    _, report = build_manifest(entry, tables, here, LABELS, vocabulary(), {})
    assert report.differences == said


def masked(*masks: str, expected: int | None) -> BuildReport:
    """Two rows whose masks are called ID_m.png, and mask files of these names."""
    spec = {"columns": {"image_id": ("id",)}, "masks": {"lesion": "{image_id}_m.png"}}
    held = [file(name, role="masks") for name in masks]
    counts = PublishedCounts(images=2, masks=expected)
    return built({"id": ["a", "b"]}, spec, *held, of=dataset(counts=counts))[1]


def test_that_no_row_has_a_mask_is_a_difference() -> None:
    """Where there are masks: a 0 says that the rule of their names is wrong."""
    report = masked("mask_a.png", "mask_b.png", expected=2)
    assert report.differences == ["0 masks, the catalog expects 2"]
    assert report.masks_without_row == ["masks/a.zip/mask_a.png", "masks/a.zip/mask_b.png"]


@pytest.mark.parametrize(
    ("masks", "expected", "said"),
    [((), 2, []), (("a_m.png", "b_m.jpg"), 2, []), (("x.png",), None, []),
     (("a_m.png", "x.png"), 2, ["1 mask, the catalog expects 2"])],
)  # fmt: skip
def test_masks_are_counted_where_there_are_some(
    masks: tuple[str, ...], expected: int | None, said: list[str]
) -> None:
    """Without mask files (`--only metadata`) nothing is stated; without a published number nothing is expected."""
    assert masked(*masks, expected=expected).differences == said


def test_ids_that_no_row_has_are_a_difference() -> None:
    """A table that is to give them and gives none; where no column does, nothing is stated."""
    counts = PublishedCounts(patients=2, lesions=3)
    columns, spec = {"id": ["a"], "p": [""]}, {"columns": {"image_id": ("id",), "patient_id": ("p",)}}
    assert built(columns, spec, of=dataset(counts=counts, table=(TableSpec(reader="table", **spec),)))[
        1
    ].differences == ["0 patients, the catalog expects 2"]


def test_cases_that_share_images_are_counted_as_the_source_counts_them() -> None:
    """The rows of two cases are joined to one group; the publisher counts the cases (SCIN: 5,033, not 5,013)."""
    spec = {"columns": {"image_id": ("id",), "case_id": ("@group",)}}
    columns = {
        "id": ["a", "b", "c"],
        "@group": ["1", "1", "3"],
        "case_id": ["1", "2", "3"],
        "case_id (2)": ["4", "", ""],
    }
    for cases, said in ((4, []), (2, []), (5, ["2 cases, the catalog expects 5"])):
        entry = dataset(counts=PublishedCounts(cases=cases), table=(TableSpec(reader="table", **spec),))
        assert built(columns, spec, of=entry)[1].differences == said


def test_several_tables_are_one_manifest() -> None:
    """A split each, as the challenges publish them: ordered by id over all."""
    sources = [
        SourceTable(
            TableSpec(reader="table", constants={"split_official": part}, **LEAST),
            table({"id": ids, "x": ["1"] * len(ids)}),
        )
        for part, ids in (("train", ["c", "a"]), ("test", ["b", "a"]))
    ]
    found, report = build_manifest(dataset(), sources, [], LABELS, vocabulary(), SITES)
    assert found.select(["image_id", "split_official"]).to_pylist() == [
        {"image_id": "a", "split_official": "train"},
        {"image_id": "b", "split_official": "test"},
        {"image_id": "c", "split_official": "train"},
    ]
    assert (report.rows_in, len(report.rejected)) == (4, 1)
    assert isinstance(found.column("split_official").chunk(0), pa.DictionaryArray)


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("True", "False"), ("WAHR", "FALSCH"), ("1,0", "0,0")])
def test_truths_are_known_in_the_words_of_spreadsheets(yes: str, no: str) -> None:
    """A flag that is passed over would bring in an image that its source has taken away."""
    columns = {"id": ["a", "b"], "bad": [yes, no], "Papule": [no, yes]}
    found, _ = built(
        columns, {**LEAST, "flags": ("bad",), "concepts": ("Papule",)}, file("a.jpg"), file("b.jpg")
    )
    assert found["image_problem"].to_pylist() == ["the source says: bad", None]
    assert [dict(pairs) for pairs in found["concepts"].to_pylist()] == [{"Papule": False}, {"Papule": True}]


@pytest.mark.parametrize(("many", "shown", "last"), [
    (0, 0, None), (10, 10, "10 images"),
    (11, 11, "1 more number is not as the catalog expects; the receipt lists them"),
    (114, 11, "104 more numbers are not as the catalog expects; the receipt lists them"),
])  # fmt: skip
def test_a_table_of_many_labels_does_not_flood_the_screen(many: int, shown: int, last: str | None) -> None:
    """The receipt has all of them; the first ten are shown, and how many there are besides."""
    lines = describe_differences([f"{one} images" for one in range(1, many + 1)])
    assert (len(lines), lines[-1] if lines else None) == (shown, last)
