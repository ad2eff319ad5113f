"""Findings as the page shows them: in families, gravest first, and no more of them than it has room for."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import escape

from dermdata.finding import Finding, Level
from dermdata.projection import words_of
from dermdata.report.holdings import column_of_classes
from dermdata.report.page import shown
from dermdata.report.pictures import sensitive

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
MOST = 100  # findings of one code that are written out
MOST_KEYS = 12  # of one finding
MOST_PICTURES = 4
MOST_SHOWN = 40  # findings of one code that have pictures
ROOM = 1_700_000  # bytes of all findings
MARKUP = 900  # bytes around the words of a finding or a picture
MESSAGE, VALUE = 600, 300  # characters


@dataclass(frozen=True, kw_only=True)
class Family:
    """Findings that are read together."""

    id: str
    title: str
    about: str
    codes: tuple[str, ...]
    pictures: bool = False  # images of one finding are compared side by side


FAMILIES = (
    Family(
        id="files",
        title="Corrupt and missing files",
        about="Images that do not decode whole, are absent, or carry another format than their name says.",
        codes=("image-unreadable", "image-truncated"),
    ),
    Family(
        id="leaks",
        title="Leaks across splits",
        about="A patient, a lesion or a picture in more than one part: what is learnt in one is asked in the other.",
        codes=("leak-patient", "leak-lesion", "leak-image"),
        pictures=True,
    ),
    Family(
        id="conflicts",
        title="Conflicts",
        about="Rows that show the same thing and say different things of it.",
        codes=("label-conflict", "id-conflict"),
        pictures=True,
    ),
    Family(
        id="duplicates",
        title="Duplicates",
        about="Pictures that are there more than once, with the label and the part of each.",
        codes=("duplicate-exact", "duplicate-pixels", "duplicate-near"),
        pictures=True,
    ),
    Family(
        id="coverage",
        title="Coverage",
        about="For whom these images are too few to say anything, and how far an observed rate could be off.",
        codes=("skin-tone-coverage", "class-imbalance"),
    ),
    Family(
        id="records",
        title="Records and rights",
        about="What is not stated, what differs from the catalog, what files tell of people, and licences that meet.",
        codes=("count-differs", "metadata-missing", "exif-private", "license-mix", "known-issue"),
    ),
)


PICTURED = {code for family in FAMILIES if family.pictures for code in family.codes}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One row as a caption says it."""

    key: str
    label: str | None = None
    split: str | None = None  # None too where no row of the table is in a part
    veiled: bool = True


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A rate and how far it could be off, all from 0 to 1."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding, cut to what fits."""

    level: Level
    code: str
    dataset: str | None
    message: str
    keys: tuple[str, ...]
    more: int  # keys that are not written out
    evidence: tuple[tuple[str, str], ...]
    subjects: tuple[Subject, ...]  # whose pictures are shown
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A family's problems, and how many there are of each code."""

    family: Family
    problems: tuple[Problem, ...]
    counts: Mapping[str, int]
    unchecked: tuple[str, ...]  # codes that nobody looked for

    @property
    def checked(self) -> bool:
        return len(self.unchecked) < len(self.family.codes)

    @property
    def left_out(self) -> int:
        return sum(self.counts.values()) - len(self.problems)


def chapters(table: pa.Table, findings: Sequence[Finding], facts: Mapping[str, Any]) -> tuple[Chapter, ...]:
    """The findings by family; a code that no family knows is in the last one."""
    kept = few(findings)
    keys = {key for one in kept if one.code in PICTURED for key in one.keys[:MOST_PICTURES]}
    made = list(written(kept, subjects(table, keys, facts.get("names", {}))))
    counts = Counter(one.code for one in findings)
    familiar = {code for family in FAMILIES for code in family.codes}
    checked = facts.get("checked", familiar)
    found = []
    for family in FAMILIES:
        strange = sorted(counts.keys() - familiar) if family is FAMILIES[-1] else []
        codes = (*family.codes, *strange)
        found.append(
            Chapter(
                family=family,
                problems=tuple(one for one in made if one.code in codes),
                counts={code: counts[code] for code in codes if counts[code]},
                unchecked=tuple(code for code in family.codes if code not in checked),
            )
        )
    return tuple(found)


def few(findings: Sequence[Finding]) -> list[Finding]:
    """The gravest ones, so many of each code."""
    seen: Counter[str] = Counter()
    kept = []
    for one in sorted(findings, key=lambda one: LEVELS.index(one.level)):
        if seen[one.code] < MOST:
            kept.append(one)
        seen[one.code] += 1
    return kept


def written(findings: Sequence[Finding], known: Mapping[str, Subject]) -> Iterator[Problem]:
    """As long as there is room on the page."""
    pictures: Counter[str] = Counter()
    room = ROOM
    for one in findings:
        made = problem(one, known, pictured=one.code in PICTURED and pictures[one.code] < MOST_SHOWN)
        pictures[one.code] += 1
        room -= size(made)
        if room < 0:
            return
        yield made


def problem(one: Finding, known: Mapping[str, Subject], *, pictured: bool) -> Problem:
    keys = one.keys[:MOST_PICTURES] if pictured else ()
    return Problem(
        level=one.level,
        code=one.code,
        dataset=one.dataset,
        message=clipped(one.message, MESSAGE),
        keys=one.keys[:MOST_KEYS],
        more=max(0, len(one.keys) - MOST_KEYS),
        evidence=tuple((name, said(value)) for name, value in one.evidence.items()),
        subjects=tuple(known.get(key, Subject(key=key)) for key in keys),
        interval=interval(one.evidence),
    )


def size(one: Problem) -> int:
    """Bytes that it takes on the page, but for its pictures."""
    words = [one.message, *one.keys, *(word for pair in one.evidence for word in pair)]
    words += [word or "" for each in one.subjects for word in (each.key, each.key, each.label)]
    return MARKUP * (1 + len(one.subjects)) + sum(len(escape(shown(word)).encode()) for word in words)


def said(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return clipped(text, VALUE)


def clipped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def interval(evidence: Mapping[str, Any]) -> Interval | None:
    """Of evidence that has a rate between two bounds."""
    found = [evidence.get(name) for name in ("rate", "low", "high")]
    if not all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in found):
        return None
    rate, low, high = map(float, found)  # type: ignore[arg-type]
    return Interval(rate=rate, low=low, high=high)


# ------------------------------------------------------------------ rows


def subjects(table: pa.Table, keys: set[str], names: Mapping[str, str]) -> dict[str, Subject]:
    """The rows of these keys, by key."""
    rows = pc.indices_nonzero(pc.is_in(words_of(table, "key"), value_set=pa.array(sorted(keys), pa.string())))
    some = table.take(rows)
    columns = ("key", column_of_classes(table), "split", "split_official", "modality", "body_site")
    cells = zip(*(words_of(some, name).to_pylist() for name in columns), strict=True)
    return {
        key: Subject(
            key=key,
            label=names.get(label, label),
            split=split or official,
            veiled=sensitive(modality, site),
        )
        for key, label, split, official, modality, site in cells
    }
