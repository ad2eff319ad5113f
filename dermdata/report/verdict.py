"""What an audit comes to, for the first screen: a sentence, three numbers, and whether anything leaks."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dermdata.markup import count_nouns, count_share, join_words
from dermdata.model import Finding
from dermdata.report.leaks import LEVELS, describe_leaks, is_checked
from dermdata.report.overview import count_ids, count_without_id
from dermdata.report.page import format_percent

FILES = ("image-unreadable", "image-truncated")
COPIES = ("duplicate-exact", "duplicate-pixels", "duplicate-near")
ERROR_NOUNS = {
    **dict.fromkeys(FILES, "broken file"),
    **{level.code: f"leaking {level.noun}" for level in LEVELS},
    "label-conflict": "label conflict",
}


@dataclass(frozen=True)
class NumberTile:
    """A number of the first screen, and what it means."""

    word: str
    value: str
    more: str
    kind: str = ""


@dataclass(frozen=True)
class AuditVerdict:
    """What a person reads first."""

    sentence: str
    numbers: tuple[NumberTile, ...]
    leaks: str


def judge_findings(
    table: pa.Table, findings: Sequence[Finding], checked: Container[str] | None
) -> AuditVerdict:
    """The first screen of an audit.

    Parameters
    ----------
    table : pyarrow.Table
        The audited rows.
    findings : sequence of Finding
        What was found.
    checked : container of str, optional
        The codes that were looked for; None: all.

    """
    return AuditVerdict(
        sentence=make_sentence(findings),
        numbers=(count_images(table, findings), count_people(table), count_copies(findings, checked)),
        leaks=describe_leaks(table, findings, checked),
    )


def make_sentence(findings: Sequence[Finding]) -> str:
    """Whether the rows may be used as they are."""
    errors = Counter(ERROR_NOUNS.get(one.code, one.code) for one in findings if one.level == "error")
    if errors:
        words = [count_nouns(count, noun) for noun, count in errors.most_common()]
        return f"Do not train on these rows as they are: {join_words(words)}."
    if any(one.level == "warning" for one in findings):
        return "Nothing makes results wrong; what limits them is below."
    return "Nothing was found that makes results wrong or limits them."


def count_images(table: pa.Table, findings: Sequence[Finding]) -> NumberTile:
    """How many images there are, and how many of them cannot be used."""
    broken = len({key for one in findings if one.code in FILES for key in one.keys})
    more = f"{count_share(broken, table.num_rows, 'row', 'have')} no sound file" if broken else ""
    return NumberTile("images", f"{table.num_rows:,}", more, "error" if broken else "")


def count_people(table: pa.Table) -> NumberTile:
    """Whose images they are, as far as anybody says; else of which lesions."""
    for column, word in (("patient_id", "patients"), ("lesion_id", "lesions")):
        if count := count_ids(table, column):
            silent = count_without_id(table, column)
            known = table.num_rows - silent
            share = format_percent(known / (table.num_rows or 1))
            more = f"known for {known:,} of {count_nouns(table.num_rows, 'image')} ({share})"
            more = more if silent else "known for each image"
            more = more if word == "patients" else f"{more}; no image says whose it is"
            return NumberTile(word, f"{count:,}", more, "warning" if silent or word == "lesions" else "")
    return NumberTile("patients", "not stated", "nobody says whose images these are", "warning")


def count_copies(findings: Sequence[Finding], checked: Container[str] | None) -> NumberTile:
    """How many rows show a picture that another row shows too, as far as anybody compared them."""
    looked = [code for code in COPIES if is_checked(code, checked)]
    if not looked:
        return NumberTile("rows that share a picture", "not judged", "nobody compared them", "warning")
    rows = len({key for one in findings if one.code in COPIES for key in one.keys})
    unseen = COPIES[-1] not in looked
    more = (
        "near duplicates were not looked for (--near)"
        if unseen
        else "the same bytes or pixels, or near duplicates"
    )
    return NumberTile("rows that share a picture", f"{rows:,}", more, "warning" if rows or unseen else "")
