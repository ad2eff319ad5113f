"""One dataset's words -> concepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.crosswalks import (
    LABEL_COLUMNS,
    Crosswalk,
    build_differential,
    check_labels,
    harmonize_words,
    parse_labels,
)
from dermdata.errors import BadCatalog, TableRefused
from dermdata.model import Label
from dermdata.vocabulary import tsv
from support.bundled_labels import crosswalk, labels, meant, vocabulary

SCIN = "weighted_skin_condition_label"

# ------------------------------------------------------------------ the bad day


@pytest.mark.parametrize(
    ("row", "issue"),
    [
        (["dx", "x", "melanoma", "sameAs", "", "", ""], "unknown predicate 'sameAs' of 'x'"),
        (["dx", "x", "melanoma", "", "", "", ""], "unknown predicate '' of 'x'"),
        (["dx", "x", "", "exactMatch", "", "", ""], "'' of 'x' is no concept id"),
        (["dx", "x", "melanoma", "exactMatch", "evil", "", ""], "unknown malignancy 'evil' of 'x'"),
        (["dx", "x", "melanoma", "broadMatch", "", "a||b", ""], "'' of 'x' is no concept id"),
        (["", "x", "melanoma", "exactMatch", "", "", ""], "a row needs a field and a raw label"),
        (["dx", "", "melanoma", "exactMatch", "", "", ""], "a row needs a field and a raw label"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(row, issue):
    """Everything that is wrong with a row is named."""
    with pytest.raises(BadCatalog) as caught:
        parse_labels(tsv.rows_to_text(LABEL_COLUMNS, [row]), "mine/labels.tsv")
    assert f"line 2: {issue}" in caught.value.message
    assert "mine/labels.tsv" in caught.value.message


def test_a_word_may_stand_only_once():
    """Two meanings of one word would be decided by their order."""
    row = ["dx", "x", "melanoma", "exactMatch", "", "", ""]
    with pytest.raises(BadCatalog, match="line 3: 'x' of dx stands there already"):
        parse_labels(tsv.rows_to_text(LABEL_COLUMNS, [row, row]))


def test_concepts_outside_the_vocabulary_are_refused_with_a_near_miss():
    """All of them at once; members count as well, and must lie under the row's concept."""
    rows = [
        Label(field="dx", raw_label="a", concept="melanomma", predicate="exactMatch"),
        Label(field="dx", raw_label="b", concept="melanoma", predicate="broadMatch", members=("blue-nevus",)),
        Label(field="dx", raw_label="c", concept="melanoma", predicate="broadMatch", members=("zzz",)),
    ]
    with pytest.raises(BadCatalog) as caught:
        check_labels(rows, vocabulary(), "mine")
    assert "mine has 3 issue(s)" in caught.value.message
    assert "unknown concept 'melanomma' (did you mean melanoma" in caught.value.message
    assert "member 'blue-nevus' does not lie under 'melanoma'" in caught.value.message
    assert "unknown concept 'zzz'" in caught.value.message


def test_a_word_without_a_row_is_absent_never_a_default():
    """The caller counts it and lists it."""
    found = harmonize_words("dx", ["nv", "NV", "nv ", "naevus"], crosswalk("ham10000"), vocabulary())
    assert set(found) == {"nv"}


@pytest.mark.parametrize("near", ["Mel", "mel ", " mel", "MEL", "melanoma"])
def test_lookup_takes_the_exact_string_only(near):
    """Misspellings and blanks are keys; nothing is normalized."""
    assert crosswalk("ham10000").lookup("dx", near) is None
    assert crosswalk("ham10000").lookup("dx", "mel").concept == "melanoma"


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight):
    """Otherwise the sum would lie."""
    with pytest.raises(TableRefused, match="Eczema"):
        build_differential(SCIN, {"Eczema": weight}, crosswalk("scin"), vocabulary())


# ------------------------------------------------------------------ reading

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), unique_by=lambda row: row[:2]))
def test_raw_labels_survive_reading_verbatim(rows):
    """Quotes, commas, tabs, blanks at either end: the key is the exact string."""
    table = [[field, raw, "melanoma", "exactMatch", "", "", note] for field, raw, note in rows]
    read = parse_labels(tsv.rows_to_text(LABEL_COLUMNS, table))
    assert [(row.field, row.raw_label, row.note) for row in read] == rows
    assert [Crosswalk(read).lookup(row.field, row.raw_label) for row in read] == list(read)


@given(st.text(alphabet='a\t\n\r"| ', max_size=40))
def test_any_text_gives_rows_or_one_error(body):
    """The parser has no third way out."""
    try:
        rows = parse_labels("\t".join(LABEL_COLUMNS) + "\n" + body)
    except BadCatalog:
        return
    assert all(isinstance(row, Label) for row in rows)


def test_an_overlays_row_replaces_the_bundled_one():
    """Later rows win; the others stay."""
    mine = Label(field="dx", raw_label="nv", concept="common-nevus", predicate="exactMatch")
    both = Crosswalk([*labels("ham10000"), mine])
    assert both.lookup("dx", "nv") is mine
    assert len(both) == len(crosswalk("ham10000"))
    assert both.fields == ("dx",)


# ------------------------------------------------------------------ harmonizing


def test_a_word_gets_its_concept_name_path_and_match():
    """All that the manifest says of a word."""
    found = meant("ham10000", "dx", "mel")
    assert found.diagnosis == "melanoma"
    assert found.diagnosis_name == "Melanoma"
    assert found.diagnosis_path == ("skin-finding", "neoplastic", "melanocytic-neoplasm", "melanoma")
    assert (found.match, found.malignancy, found.reason) == ("exact", "malignant", None)


def test_an_overlap_gives_no_diagnosis():
    """Only that the two meet is known."""
    found = meant("scin", SCIN, "Cat scratch injury")
    assert (found.diagnosis, found.diagnosis_path, found.match) == (None, (), "related")
    assert found.reason == "overlap only"


@pytest.mark.parametrize(
    ("key", "malignancy"),
    [
        (("isic-2019", "one-hot", "AK"), "premalignant"),
        (("pad-ufes-20", "diagnostic", "ACK"), "premalignant"),
        (
            (
                "isic-archive",
                "diagnosis_1..5",
                "Indeterminate:Indeterminate epidermal proliferations:Solar or actinic cheilitis",
            ),
            "premalignant",
        ),
        (("isic-archive", "legacy_dx", "atypical spitz tumor"), "indeterminate"),
        (("ham10000", "dx", "akiec"), None),
        (("ddi", "malignant", "False"), None),
        (("ddi", "malignant", "True"), "malignant"),
        (("isic-2020", "diagnosis", "unknown"), "benign"),
        (("isic-2019", "one-hot", "UNK"), None),
        (("fitzpatrick17k", "label", "psoriasis"), "not-applicable"),
        (("fitzpatrick17k", "label", "actinic keratosis"), "premalignant"),
        (("ddi", "disease", "actinic-keratosis"), "premalignant"),
        (("isic-archive", "legacy_dx", "verruca"), "not-applicable"),
        (("ddi", "disease", "wart"), "not-applicable"),
        (("milk10k", "one-hot", "BKL"), "benign"),
        (("milk10k", "one-hot", "MAL_OTH"), "malignant"),
        (("derm12345", "label", "ch"), "malignant"),
    ],
)
def test_malignancy_is_the_concepts_else_the_datasets_word(key, malignancy):
    """Mixed, and "not malignant", say less than any value of the manifest, so there is none."""
    assert meant(*key).malignancy == malignancy
