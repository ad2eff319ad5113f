"""Proposals for a person's own words: nothing is guessed, spelling is forgiven aloud."""

from collections import Counter

import pytest

from dermdata.api.label_tables import count_column_words
from dermdata.crosswalks import check_labels, labels_to_text, parse_labels
from dermdata.crosswalks.suggest import (
    Proposal,
    index_concept_names,
    merge_labels,
    parse_decisions,
    propose_labels,
)
from dermdata.errors import BadTable, UnknownName, UsageError
from dermdata.model import Label
from dermdata.readers.delimited import parse_own_table
from support.bundled_labels import datasets, labels, vocabulary

KNOWN = {row.raw_label: [(name, row)] for name in datasets() for row in labels(name)}


def proposed(*words: str, decided: tuple[Label, ...] = ()) -> dict[str, Proposal]:
    found = propose_labels(dict.fromkeys(words, 1), "dx", vocabulary(), KNOWN, decided)
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
    several = {
        name: ids
        for name, ids in shared.items()
        if len(ids) > 1 and name not in index_concept_names(vocabulary()).labels
    }
    found = proposed(*several)
    for name, ids in several.items():
        assert (found[name].how, found[name].applied) == ("ambiguous", False)
        assert set(found[name].candidates) <= ids


@pytest.mark.parametrize(
    ("text", "error"),
    [("nv", UsageError), ("nv=", UsageError), ("=melanoma", UsageError), ("nv=melanom", UnknownName),
     ("other=melanoma", UnknownName)],
)  # fmt: skip
def test_a_decision_that_cannot_be_meant_is_refused(text: str, error: type) -> None:
    """No such word, no such concept, no concept."""
    with pytest.raises(error):
        parse_decisions([text], "dx", ["nv"], vocabulary())


# ------------------------------------------------------------------ what is sure


@pytest.mark.parametrize(
    ("word", "how", "concept"),
    [
        ("Melanoma", "exact", "melanoma"),
        ("basal-cell-carcinoma", "exact", "basal-cell-carcinoma"),
        ("BCC", "synonym", "basal-cell-carcinoma"),
        ("bcc", "normalized", "basal-cell-carcinoma"),
        ("seborrheic_KERATOSIS", "normalized", "seborrheic-keratosis"),
    ],
)
def test_the_name_of_one_concept_is_applied_and_says_how(word: str, how: str, concept: str) -> None:
    """The very name, a synonym, or either without case, accents and punctuation."""
    found = proposed(word)[word]
    assert (found.how, found.concept) == (how, concept)
    assert found.label
    assert (found.label.raw_label, found.label.predicate) == (word, "exactMatch")
    assert (found.label.note is None) == (how != "normalized")


def test_the_commonest_word_comes_first() -> None:
    """Counts decide, then the word."""
    words = counted("dx\nnv\nmel\nnv\nbcc\n\n", "dx")
    assert words == Counter({"nv": 2, "mel": 1, "bcc": 1})
    found = propose_labels(words, "dx", vocabulary(), {})
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
