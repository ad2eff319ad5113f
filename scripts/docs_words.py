"""What `labels map --csv` proposes for the catalog's own words, as if no dataset had mapped them, as Markdown."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from dermdata.crosswalks.crosswalk import ReviewItem, parse_review
from dermdata.crosswalks.suggest import Proposal, propose_label
from dermdata.crosswalks.word_index import WordIndex, build_word_index
from dermdata.model import Label
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import normalize_text
from dermdata.vocabulary.terms import ForeignTerm, parse_terms
from docs_catalog import catalog
from docs_markdown import table
from docs_tables import crosswalk, vocabulary

FROM_ISIC = "isic-archive"  # whose words the vocabulary's paths of ISIC are
Scored = tuple[Proposal, Label]  # what is proposed of a word, and what its dataset says


def proposals_in_numbers() -> str:
    """A row for each dataset with words of its own, all of them, and what is sure and wrong."""
    scored = score_datasets()
    every = [one for found in scored.values() for one in found]
    rows = [(f"`{name}`", *count_scored(found)) for name, found in scored.items()]
    wrong = [
        f"`{name}`: {describe_scored(one)}"
        for name, found in scored.items()
        for one in found
        if is_wrong(one)
    ]
    counts = count_scored(every)
    summary = (
        f"Of {counts[0]:,} words {counts[2]:,} are sure, {counts[3]:,} of them as the dataset has them "
        f"(precision {counts[3] / counts[2]:.1%}; recall {counts[3] / counts[1]:.1%} of the {counts[1]:,} that mean one "
        f"concept exactly); {counts[4]:,} more are likely, {counts[5]:,} of them right. Sure and wrong: "
        f"{'; '.join(wrong) or 'none'}."
    )
    head = ("dataset", "words", "exact", "sure", "right", "likely", "right")
    return "\n".join([summary, "", table(head, [*rows, ("all", *counts)])])


def count_scored(scored: list[Scored]) -> tuple[int, ...]:
    """Words, exact ones, sure, sure and right, likely, likely and right."""
    kinds = Counter((one.certainty, is_right(one, row)) for one, row in scored)
    exact = sum(row.predicate == "exactMatch" for _, row in scored)
    sure, likely = (
        (kinds[kind, True] + kinds[kind, False], kinds[kind, True]) for kind in ("sure", "likely")
    )
    return (len(scored), exact, *sure, *likely)


def is_right(one: Proposal, row: Label) -> bool:
    """Whether it is the dataset's concept and predicate; members only say more of a lump."""
    said = one.label or one.offer
    return said is not None and (said.concept, said.predicate) == (row.concept, row.predicate)


def is_wrong(scored: Scored) -> bool:
    one, row = scored
    return one.certainty == "sure" and not is_right(one, row)


def describe_scored(scored: Scored) -> str:
    one, row = scored
    return f"{one.raw_label} is `{one.concept}`, there {row.predicate} of `{row.concept}`"


@cache
def score_datasets() -> dict[str, list[Scored]]:
    """Each dataset that has words of its own, with what is proposed of each word while its rows are hidden."""
    own = {name: rows for name, rows in crosswalk().items() if rows and not catalog()[name].words_of}
    return {name: list(score_dataset(name, own)) for name in own}


def score_dataset(name: str, own: dict[str, tuple[Label, ...]]) -> Iterator[Scored]:
    index = hide_dataset(name, own)
    for word, row in {row.raw_label: row for row in own[name]}.items():
        yield propose_label(Proposal(field=row.field, raw_label=word, count=1), index), row


def hide_dataset(name: str, own: dict[str, tuple[Label, ...]]) -> WordIndex:
    """The index without a dataset's rows, doubts of them, and synonyms that stand nowhere but in its words."""
    known = [(other, row) for other, rows in own.items() if other != name for row in rows]
    names = {normalize_text(row.raw_label) for row in own[name]}
    elsewhere = {normalize_text(row.raw_label) for _, row in known}
    concepts = [
        replace(
            one,
            synonyms=tuple(text for text in one.synonyms if normalize_text(text) not in names - elsewhere),
            isic_paths=() if name == FROM_ISIC else one.isic_paths,
        )
        for one in vocabulary()
    ]
    doubts = [one for one in read_review() if one.dataset != name]
    return build_word_index(Vocabulary(concepts), known, read_terms(), doubts)


@cache
def read_review() -> tuple[ReviewItem, ...]:
    return parse_review(catalog().vocabulary_file("review.tsv").read_text(encoding="utf-8"), vocabulary())


@cache
def read_terms() -> tuple[ForeignTerm, ...]:
    return parse_terms(catalog().vocabulary_file("terms.tsv").read_text(encoding="utf-8"), vocabulary())


def terms_in_numbers() -> str:
    """How many names of how many concepts each language has."""
    from dermdata.vocabulary.terms import LANGUAGES

    rows = []
    for code, language in LANGUAGES.items():
        if not (terms := [one for one in read_terms() if one.language == code]):
            continue  # English: the vocabulary itself
        rows.append((language, len(terms), len({one.concept for one in terms})))
    return table(("language", "names", "concepts"), rows)
