"""Proposals for a person's own words: nothing is guessed, spelling is forgiven aloud."""

from collections import Counter

import pytest

from dermdata.api.label_tables import count_column_words
from dermdata.crosswalks import check_labels, harmonize_label, labels_to_text, parse_labels
from dermdata.crosswalks.crosswalk import ReviewItem, parse_review
from dermdata.crosswalks.extents import certain_concept
from dermdata.crosswalks.suggest import (
    Proposal,
    accept_proposals,
    merge_labels,
    parse_decisions,
    propose_labels,
    split_accepted,
)
from dermdata.crosswalks.word_index import build_word_index
from dermdata.errors import BadCatalog, BadTable, UnknownName, UsageError
from dermdata.model import Label
from dermdata.readers.delimited import parse_own_table
from dermdata.vocabulary import parse_body_sites, tsv
from dermdata.vocabulary.terms import LANGUAGES, SITE_TERM_COLUMNS, TERM_COLUMNS, ForeignTerm, parse_terms
from support.bundled_labels import CATALOG, datasets, label, labels, text, vocabulary

TERMS = [
    ForeignTerm("melanocytic-nevus", "de", "Muttermal", "a book"),
    ForeignTerm("melanocytic-nevus", "de", "Naevus", "a book"),
    ForeignTerm("basal-cell-carcinoma", "de", "Basalzellkarzinom", "a book"),
    ForeignTerm("psoriasis", "tr", "Sedef hastal\u0131\u011f\u0131", "a book"),
    ForeignTerm("acne", "de", "Gesichtsr\u00f6te", "a book"),
    ForeignTerm("vitiligo", "zh", "\u767d\u7664\u98ce", "a book"),
    ForeignTerm("tinea", "es", "ti\u00f1a", "a book"),
    ForeignTerm("scabies", "es", "ti\u00f1a", "another book"),
]
REVIEW = parse_review(text("vocabulary/review.tsv"), vocabulary())
INDEX = build_word_index(
    vocabulary(), ((name, row) for name in datasets() for row in labels(name)), TERMS, REVIEW
)


def proposed(*words: str, decided: tuple[Label, ...] = ()) -> dict[str, Proposal]:
    found = propose_labels(dict.fromkeys(words, 1), "dx", INDEX, decided)
    return {one.raw_label: one for one in found}


def counted(text: str, column: str) -> Counter[str]:
    """The words of a column of a table."""
    words, _ = count_column_words(parse_own_table(text.encode(), "mine.csv"), column, "mine.csv")
    return words


# ------------------------------------------------------------------ the bad day


@pytest.mark.parametrize(
    ("text", "column", "error", "says"),
    [
        ("a,b\\n1,2\\n", "dx", UnknownName, "unknown column 'dx'"),
        ("", "dx", BadTable, "mine.csv is empty"),
        ("id,dx\\n1,nv\\n2,nv,3\\n", "dx", BadTable, "line 3: 3 cells"),
        ("id,dx\\n1,nv,3\\n", "dx", BadTable, "line 2 has 3 cells"),
        ('id,dx\\n1,"nv', "dx", BadTable, "line 2: a quotation mark is never closed"),
    ],
)
def test_a_table_that_cannot_be_read_is_told(text: str, column: str, error: type, says: str) -> None:
    """With the column or the row."""
    with pytest.raises(error, match=says):
        counted(text.replace("\\n", "\n"), column)


@pytest.mark.parametrize("word", ["Melanomma", "naevus, blue", "seborheic keratosis"])
def test_a_word_that_only_looks_like_a_name_is_never_applied(word: str) -> None:
    """It is proposed with its score, below 1."""
    found = proposed(word)[word]
    assert (found.how, found.applied) == ("fuzzy", False)
    assert found.concept
    assert found.score is not None
    assert found.score < 1


def test_a_word_of_other_datasets_means_what_they_say_and_is_left_to_the_person() -> None:
    """`akiec` is no concept's name."""
    found = proposed("akiec")["akiec"]
    assert (found.how, found.concept, found.applied) == ("dataset", "squamous-neoplasia", False)
    assert "ham10000" in str(found.matched)


@pytest.mark.parametrize("word", ["xyzzyq", "-1", "a\nb", " ", "?"])
def test_a_word_that_is_like_nothing_has_no_proposal(word: str) -> None:
    """And no default."""
    found = proposed(word)[word]
    assert (found.how, found.concept, found.score, found.applied) == ("none", None, None, False)


def test_a_name_of_several_concepts_is_not_settled() -> None:
    """Every synonym that two concepts share."""
    shared: dict[str, set[str]] = {}
    for concept in vocabulary():
        for name in concept.synonyms:
            shared.setdefault(name, set()).add(concept.id)
    several = {name: ids for name, ids in shared.items() if len(ids) > 1 and name not in INDEX.labels}
    found = proposed(*several)
    for name, ids in several.items():
        assert (found[name].how, found[name].applied) == ("ambiguous", False)
        assert set(found[name].candidates) <= ids


@pytest.mark.parametrize(
    ("text", "error"),
    [("nv", UsageError), ("nv=", UsageError), ("=melanoma", UsageError), ("nv=melanom", UnknownName),
     ("other=melanoma", UnknownName), (">melanoma", UsageError), ("nv<", UsageError), ("nv>melanom", UnknownName),
     ("nv<melanoma+nevus-spilus", UsageError), ("nv>melanoma+", UnknownName)],
)  # fmt: skip
def test_a_decision_that_cannot_be_meant_is_refused(text: str, error: type) -> None:
    """No such word, no such concept, no concept."""
    with pytest.raises(error):
        parse_decisions([text], "dx", ["nv"], vocabulary())


@pytest.mark.parametrize("one", [one for one in REVIEW if one.raw_label and one.doubts_meaning], ids=str)
def test_what_the_review_list_doubts_is_never_sure(one: ReviewItem) -> None:
    """As it stands there, in capitals and without punctuation: it is for the person, with the reason."""
    word = str(one.raw_label)
    for spelled in (word, word.upper(), word.replace("_", " ")):
        found = proposed(spelled)[spelled]
        assert found.certainty != "sure", found
        if found.how == "doubt":
            assert found.reason


@pytest.mark.parametrize(
    ("word", "predicate"),
    [
        ("Neurodermatitis", "exactMatch"), ("Clark nevus", "exactMatch"), ("Atypical nevus", "exactMatch"),
        ("Hyperkeratosis", "exactMatch"), ("Lichen myxedematosus", "exactMatch"), ("Ulcer", None),
        ("Corn", "broadMatch"), ("Callus", "broadMatch"), ("Cutaneous lupus", "broadMatch"),
        ("Psoriasis vulgaris", "broadMatch"), ("Skin ulcer", None), ("BKL", "exactMatch"),
        ("Eccrine poroma", "exactMatch"),
    ],
)  # fmt: skip
def test_a_name_that_datasets_read_otherwise_is_offered_as_they_read_it(
    word: str, predicate: str | None
) -> None:
    """Wider or narrower; nothing is offered where they contradict each other."""
    found = proposed(word)[word]
    assert found.how == "doubt"
    assert (found.certainty, found.offer and found.offer.predicate) == (
        "likely" if predicate else "open",
        predicate,
    )


@pytest.mark.parametrize(
    "word", ["Hypo-pigmentation disorder", "hypertrichose", "Hyperhidrosiss", "Hypohidrosis"]
)
def test_what_looks_like_its_opposite_is_not_offered(word: str) -> None:
    """Hypohidrosis is two signs from hyperhidrosis, and the reverse of it."""
    offer = proposed(word)[word].offer
    assert offer is None or ("hypo" in offer.concept) == ("hypo" in word.casefold())


@pytest.mark.parametrize("word", ["Neurodermitits", "Clark-N\u00e4vus", "hyperkeratose", "Atypical nevuss"])
def test_what_looks_like_a_doubted_name_is_not_offered(word: str) -> None:
    """The doubt is told: a German Neurodermitis is no lichen simplex."""
    found = proposed(word)[word]
    assert (found.how, found.certainty) == ("fuzzy", "open")
    assert found.reason


@pytest.mark.parametrize(
    ("word", "concept"),
    [("L70", "acne"), ("l82.0", "irritated-seborrheic-keratosis"), ("L820", "irritated-seborrheic-keratosis"),
     ("ICD-10-CM: B86", "scabies"), ("icd10 L80", "vitiligo"), ("L57.0", "actinic-keratosis")],
)  # fmt: skip
def test_a_code_of_icd_is_likely_at_most(word: str, concept: str) -> None:
    """However it is written: it is coarser than the concepts."""
    found = proposed(word)[word]
    assert (found.how, found.certainty, found.concept) == ("code", "likely", concept)


@pytest.mark.parametrize(
    ("word", "certainty", "concept"),
    [
        ("L80 Vitiligo", "sure", "vitiligo"), ("L80.- G: vitiligo", "sure", "vitiligo"),
        ("Vitiligo (L80)", "sure", "vitiligo"), ("Acne vulgaris [ICD-10: L70.0]", "sure", "acne-vulgaris"),
        ("C44.9 Basalzellkarzinom", "likely", "basal-cell-carcinoma"),
        ("B86 Vitiligo", "open", "vitiligo"), ("Vitiligo (L20.9)", "open", "vitiligo"), ("Nevus (2012)", "open", None),
        ("Melanoma (III)", "open", None),
    ],
)  # fmt: skip
def test_a_name_beside_its_code_is_the_name_unless_they_differ(
    word: str, certainty: str, concept: str | None
) -> None:
    """As clinics write it, with the G of a sure diagnosis; a year or a stage is no code."""
    found = proposed(word)[word]
    assert found.certainty == certainty
    assert concept in (found.concept, None)
    assert found.raw_label == word
    assert all(row.raw_label == word for row in (found.label, found.offer) if row)


# ------------------------------------------------------------------ other languages


@pytest.mark.parametrize(
    ("word", "concept"),
    [
     ("Muttermal", "melanocytic-nevus"), ("MUTTERMAL", "melanocytic-nevus"), ("N\u00e6vus", "melanocytic-nevus"),
     ("Gesichtsroete", "acne"), ("gesichtsrote", "acne"), ("SEDEF HASTALI\u011eI", "psoriasis"),
     ("\u767d\u7664\u98ce", "vitiligo"),
    ],
)  # fmt: skip
def test_a_name_in_another_language_is_likely_and_says_its_source(word: str, concept: str) -> None:
    """In capitals, without accents, with umlauts as two letters."""
    found = proposed(word)[word]
    assert (found.how, found.certainty, found.concept) == ("foreign", "likely", concept)
    assert found.offer
    assert "a book" in str(found.offer.note)


def test_a_foreign_name_of_two_concepts_is_open_and_a_misspelled_one_is_found() -> None:
    """tiña of two books; Basalzelkarzinom of none."""
    found = proposed("ti\u00f1a", "Basalzelkarzinom")
    assert (found["ti\u00f1a"].how, found["ti\u00f1a"].certainty) == ("ambiguous", "open")
    near = found["Basalzelkarzinom"]
    assert (near.how, near.certainty, near.concept) == ("fuzzy", "likely", "basal-cell-carcinoma")


@pytest.mark.parametrize(
    ("row", "issue"),
    [
        (["nevuss", "de", "Mal", "a book"], "unknown concept 'nevuss'"),
        (["melanoma", "xx", "Mal", "a book"], "'xx' is none of en, de"),
        (["melanoma", "de", "", "a book"], "a term and its source"),
        (["melanoma", "de", "Melanom", ""], "a term and its source"),
    ],
)
def test_a_term_without_source_or_concept_is_refused(row: list[str], issue: str) -> None:
    """With its line."""
    with pytest.raises(BadCatalog, match=f"line 2: .*{issue}"):
        parse_terms(tsv.rows_to_text(TERM_COLUMNS, [row]), vocabulary())


def test_every_bundled_term_has_its_source() -> None:
    """A repository at a commit, or a page; no concept has a term twice in a language."""
    every = parse_terms(text("vocabulary/terms.tsv"), vocabulary())
    assert len({(one.concept, one.language, one.text) for one in every}) == len(every)
    assert all("@" in one.source or one.source.startswith("https://") for one in every)
    assert {one.language for one in every} == set(LANGUAGES) - {"en"}
    sites = parse_body_sites(text("vocabulary/body-sites.tsv"))
    places = parse_terms(text("vocabulary/site-terms.tsv"), sites, header=SITE_TERM_COLUMNS)
    assert all("@" in one.source for one in places)
    assert {one.language for one in places} == set(LANGUAGES)


# ------------------------------------------------------------------ accepting


def test_how_much_is_accepted() -> None:
    """sure takes nothing more, all what is likely, ask what the person says; the rest stays unmapped."""
    found = propose_labels(
        dict.fromkeys(["Melanoma", "Muttermal", "Melanomma", "Ulcer", "xyzzyq"], 1), "dx", INDEX
    )
    taken = {
        mode: [one.raw_label for one in accept_proposals(found, mode) if one.applied]
        for mode in ("sure", "all")
    }
    assert taken == {"sure": ["Melanoma"], "all": ["Melanoma", "Melanomma", "Muttermal"]}
    asked: list[str] = []

    def ask(one: Proposal) -> Label | None:
        asked.append(one.raw_label)
        return one.exact_row("wound") if one.raw_label == "Ulcer" else None

    answered = accept_proposals(found, "ask", ask)
    assert asked == ["Melanomma", "Muttermal", "Ulcer"]
    assert {one.raw_label: one.how for one in answered if one.applied} == {
        "Melanoma": "exact",
        "Ulcer": "accepted",
    }
    with pytest.raises(UsageError, match="needs a terminal"):
        accept_proposals(found, "ask")


def test_what_accept_says() -> None:
    """Modes and decisions together; two modes say two things."""
    assert split_accepted([]) == ("sure", [])
    assert split_accepted(["all", "a=nevus"]) == ("all", ["a=nevus"])
    assert split_accepted(["ask", "ask"]) == ("ask", [])
    with pytest.raises(UsageError, match="say two things"):
        split_accepted(["sure", "all"])


@pytest.mark.parametrize(
    ("text", "predicate", "concept", "diagnosis"),
    [
        ("Callus=callus-or-corn", "exactMatch", "callus-or-corn", "callus-or-corn"),
        ("Callus>callus-or-corn", "broadMatch", "callus-or-corn", "callus-or-corn"),
        ("Callus<callus-or-corn", "narrowMatch", "callus-or-corn", None),
        ("a=b > c<d>melanoma", "broadMatch", "melanoma", "melanoma"),
    ],
)
def test_a_decision_is_exact_broad_or_narrow(
    text: str, predicate: str, concept: str, diagnosis: str | None
) -> None:
    """The last sign parts word and concept; a word wider than its concept gives no diagnosis, in a space neither."""
    word = text[: max(text.rfind(sign) for sign in "=><")]
    [row] = parse_decisions([text], "dx", [word], vocabulary())
    assert (row.raw_label, row.predicate, row.concept) == (word, predicate, concept)
    assert parse_labels(labels_to_text([row])) == (row,)
    said = harmonize_label(row, vocabulary())
    assert (said.diagnosis, said.diagnosis is None) == (diagnosis, said.reason is not None)
    if diagnosis is None:
        assert certain_concept(row, vocabulary()) == vocabulary().root


# ------------------------------------------------------------------ what is sure


@pytest.mark.parametrize(
    ("word", "how", "concept"),
    [
        ("Melanoma", "exact", "melanoma"),
        ("basal-cell-carcinoma", "exact", "basal-cell-carcinoma"),
        ("BCC", "synonym", "basal-cell-carcinoma"),
        ("bcc", "normalized", "basal-cell-carcinoma"),
        ("seborrheic_KERATOSIS", "normalized", "seborrheic-keratosis"),
        ("Nevus, NOS, Compound", "isic", "compound-nevus"),
        ("nevus nos compound", "isic", "compound-nevus"),
        ("DOID:8923", "code", "melanoma"),
    ],
)
def test_the_name_of_one_concept_is_applied_and_says_how(word: str, how: str, concept: str) -> None:
    """The very name, a synonym, or either without case, accents and punctuation."""
    found = proposed(word)[word]
    assert (found.how, found.concept) == (how, concept)
    assert found.label
    assert (found.label.raw_label, found.label.predicate) == (word, "exactMatch")
    assert (found.label.note is None) == (how in ("exact", "synonym"))


def test_the_commonest_word_comes_first() -> None:
    """Counts decide, then the word."""
    words = counted("dx\nnv\nmel\nnv\nbcc\n\n", "dx")
    assert words == Counter({"nv": 2, "mel": 1, "bcc": 1})
    found = propose_labels(words, "dx", INDEX)
    assert [one.raw_label for one in found] == ["nv", "bcc", "mel"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_parts_the_header(delimiter: str) -> None:
    """Also with a byte order mark; blank cells are counted as no word."""
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in (("id", "dx"), ("1", "nv"), ("2", "")))
    own = parse_own_table(text.encode(), "mine.csv")
    assert count_column_words(own, "dx", "mine.csv") == ({"nv": 1}, {"": 1})


def test_what_a_person_decided_stands() -> None:
    """A decision comes before any name; several concepts are members of what they have in common."""
    decided = parse_decisions(
        ["BCC=melanoma", "x=actinic-keratosis+bowen-disease"], "dx", ["BCC", "x"], vocabulary()
    )
    found = proposed("BCC", "x", "nv", decided=tuple(decided))
    assert (found["BCC"].how, found["BCC"].concept) == ("decided", "melanoma")
    assert found["x"].label
    assert found["x"].label.members == ("actinic-keratosis", "bowen-disease")
    rows = merge_labels(decided, found.values())
    assert [row.raw_label for row in rows] == ["BCC", "x", "nv"]
    check_labels(rows, vocabulary())
    assert list(parse_labels(labels_to_text(rows))) == rows


# ------------------------------------------------------------------ how good the proposals are


def test_what_is_sure_is_right_of_the_catalog_s_own_words() -> None:
    """Each dataset's rows hidden; the numbers are the generated ones, which `make docs --check` keeps fresh."""
    page = (CATALOG.parent / "docs/labels.md").read_text(encoding="utf-8")
    block = page.partition("<!-- make docs: proposals in numbers -->")[2].partition("<!-- end -->")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in block.splitlines()
        if line.startswith("| ")
    ]
    words, exact, sure, right, likely, likely_right = (int(cell.replace(",", "")) for cell in rows[-1][1:])
    assert rows[-1][0] == "all"
    assert len(rows) > 30
    assert words > 1_700
    assert right >= 0.98 * sure
    assert right >= 0.5 * exact
    assert likely_right >= 0.8 * likely > 0


@pytest.mark.parametrize(
    ("dataset", "field", "word", "concept", "predicate"),
    [
        (
            "ddi",
            "disease",
            "abrasions-ulcerations-and-physical-injuries",
            "ulcer-wound-or-injury",
            "exactMatch",
        ),
        ("milk10k", "one-hot", "INF", "skin-finding", "broadMatch"),
        ("milk10k", "one-hot", "BKL", "neoplastic", "broadMatch"),
        ("fitzpatrick17k", "nine_partition_label", "inflammatory", "skin-finding", "broadMatch"),
        ("fitzpatrick17k", "nine_partition_label", "benign epidermal", "skin-finding", "broadMatch"),
        ("sd-198", "class folder", "Callus", "callus-or-corn", "broadMatch"),
        ("scin", "dermatologist_skin_condition_on_label_name", "Clavus", "callus-or-corn", "broadMatch"),
        ("sd-198", "class folder", "Apocrine_Hydrocystoma", "hidrocystoma", "broadMatch"),
        (
            "scin",
            "dermatologist_skin_condition_on_label_name",
            "Cutaneous lupus",
            "lupus-erythematosus",
            "broadMatch",
        ),
        ("ddi", "disease", "glomangioma", "glomus-tumor", "broadMatch"),
        ("azh-wound", "class folder", "D", "diabetic-ulcer", "exactMatch"),
        ("sd-198", "class folder", "Schamberg's_Disease", "pigmented-purpuric-dermatosis", "broadMatch"),
    ],
)
def test_what_the_trial_found_wrong_is_mapped_anew(
    dataset: str, field: str, word: str, concept: str, predicate: str
) -> None:
    """Held-out findings, part 5: the wrong ones, and the doubtful ones that were decided."""
    row = label(dataset, field, word)
    assert (row.concept, row.predicate) == (concept, predicate)


@pytest.mark.parametrize(
    "word",
    [
        "abrasions-ulcerations-and-physical-injuries", "INF", "BKL", "bkl", "inflammatory", "benign epidermal", "Callus",
        "Clavus", "Corn", "Apocrine_Hydrocystoma", "Cutaneous lupus", "lentigo NOS", "vasc", "VASC", "Atypical Nevus",
        "clark nevus", "glomangioma", "D", "Ulcer", "Skin ulcer", "Schamberg's", "Schamberg's_Disease",
        "Contact dermatitis caused by Rhus diversiloba", "SLE - Systemic lupus erythematosus-related syndrome",
        "Skin infection", "hidradenitis", "Keratoderma", "Melanoma Skin Cancer Nevi and Moles", "Neurodermatitis",
        "Hyperkeratosis", "Lichen myxedematosus",
    ],
)  # fmt: skip
def test_what_the_trial_judged_wrong_or_doubtful_is_never_sure(word: str) -> None:
    """Held-out findings, parts 5 and 8, whatever the datasets say by now."""
    assert proposed(word)[word].certainty != "sure"


@pytest.mark.parametrize(
    ("dataset", "word"),
    [
        ("isic-2020", "lentigo NOS"), ("ham10000", "vasc"), ("isic-2019", "VASC"), ("ph2", "Atypical Nevus"),
        ("derm7pt", "clark nevus"), ("sd-198", "Ulcer"), ("scin", "Skin ulcer"), ("fitzpatrick17k", "hidradenitis"),
        ("scin", "Keratoderma"), ("scin", "SLE - Systemic lupus erythematosus-related syndrome"),
        ("dermnet", "Melanoma Skin Cancer Nevi and Moles"),
    ],
)  # fmt: skip
def test_what_the_trial_doubted_is_on_the_review_list(dataset: str, word: str) -> None:
    """Held-out findings, part 5: what a person still has to decide."""
    assert [one for one in REVIEW if (one.dataset, one.raw_label) == (dataset, word) and one.doubts_meaning]
