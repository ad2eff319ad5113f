"""The audit's page shows what is in the dataset, the findings by family, and where the rows come from."""

import json
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import escape

from dermdata.images.thumbnails import is_sensitive
from dermdata.manifest.columns import text_column
from dermdata.model import Finding, Level
from dermdata.report.overview import (
    MAX_CLASSES,
    AxisScale,
    Bar,
    age_bars,
    build_heat_map,
    class_column,
    column_words,
    count_bars,
    histogram_columns,
    rank_words,
)
from dermdata.report.page import (
    NOT_STATED,
    dataset_origins,
    page_citations,
    page_facts,
    page_title,
    render_page,
    show_value,
)
from dermdata.report.thumbnails import ThumbnailBudget, sample_keys
from dermdata.report.verdict import judge_findings

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
MAX_FINDINGS_PER_CODE = 100  # findings of one code that are written out
MAX_PRINTED = 5  # articles of one kind on paper, unless a person unfolded it
MAX_KEYS = 12  # of one finding
MAX_PICTURES = 4
MAX_PICTURED_PER_CODE = 40  # findings of one code that have pictures
MAX_FINDING_BYTES = 1_700_000  # bytes of all findings
MARKUP_BYTES = 900  # bytes around the words of a finding or a picture
MAX_MESSAGE_LENGTH, MAX_VALUE_LENGTH, MAX_FIRST_LENGTH = 600, 300, 140  # characters
SAMPLES_PER_CLASS = 6
SHOWN_CLASSES, SHOWN_SAMPLES = 12, 4  # before anything is unfolded
KNOWN_ISSUE = "known-issue"
CODE_TITLES = {
    "image-unreadable": "Files that are no image",
    "image-truncated": "Images that are cut off",
    "leak-patient": "Patients in more than one part",
    "leak-lesion": "Lesions in more than one part",
    "leak-image": "Pictures in more than one part",
    "label-conflict": "One thing with labels that cannot all be true",
    "id-conflict": "One picture under several patients or lesions",
    "duplicate-exact": "Pictures with the same bytes",
    "duplicate-pixels": "Pictures with the same pixels",
    "duplicate-near": "Versions of one picture",
    "skin-tone-coverage": "Skin types with too few images for a claim",
    "class-imbalance": "Classes of very different size",
    "count-differs": "Counts that differ from the publisher's",
    "metadata-missing": "What is not stated",
    "exif-private": "Files that tell of people",
    "image-turned": "Files whose orientation tag matters",
    "malignancy-differs": "Malignancy that contradicts the diagnosis",
    "license-mix": "Licenses that meet",
    KNOWN_ISSUE: "Known issues",
}
# characters of pictures: with all else, a page stays under 10 MB
MAX_SAMPLE_CHARACTERS, MAX_FINDING_CHARACTERS = 3_000_000, 4_300_000
BAR_COLUMNS = (
    ("modality", "Modality"),
    ("confirmation", "Confirmation of the diagnosis"),
    ("sex", "Sex"),
    ("body_site", "Body site"),
    ("license", "License"),
    ("split", "Split"),
    ("split_official", "Publisher’s split"),
)
OPTIONAL_COLUMNS = {"split", "split_official"}  # not shown where no row has one


@dataclass(frozen=True, kw_only=True)
class FindingFamily:
    """Findings that are read together."""

    id: str
    title: str
    about: str
    codes: tuple[str, ...]
    pictures: bool = False  # images of one finding are compared side by side


FAMILIES = (
    FindingFamily(
        id="files",
        title="Corrupt and missing files",
        about="Images that do not decode whole, are absent, or carry another format than their name says.",
        codes=("image-unreadable", "image-truncated"),
    ),
    FindingFamily(
        id="leaks",
        title="Leaks across splits",
        about="A patient, a lesion or a picture in more than one part: what is learnt in one is asked in the other.",
        codes=("leak-patient", "leak-lesion", "leak-image"),
        pictures=True,
    ),
    FindingFamily(
        id="conflicts",
        title="Conflicts",
        about="Rows that show the same thing and say different things of it.",
        codes=("label-conflict", "id-conflict"),
        pictures=True,
    ),
    FindingFamily(
        id="duplicates",
        title="Duplicates",
        about="Pictures that are there more than once, with the label and the part of each.",
        codes=("duplicate-exact", "duplicate-pixels", "duplicate-near"),
        pictures=True,
    ),
    FindingFamily(
        id="coverage",
        title="Coverage",
        about="For whom these images are too few to say anything, and how far an observed rate could be off.",
        codes=("skin-tone-coverage", "class-imbalance"),
    ),
    FindingFamily(
        id="records",
        title="Records and rights",
        about="What is not stated, what differs from the catalog, what files tell of people, and licenses that meet.",
        codes=(
            "count-differs",
            "metadata-missing",
            "exif-private",
            "image-turned",
            "malignancy-differs",
            "license-mix",
            KNOWN_ISSUE,
        ),
    ),
)
PICTURED_CODES = {code for family in FAMILIES if family.pictures for code in family.codes}


@dataclass(frozen=True, kw_only=True)
class RowCaption:
    """One row as a caption says it."""

    key: str
    label: str | None = None
    split: str | None = None  # None too where no row of the table is in a part
    veiled: bool = True


@dataclass(frozen=True, kw_only=True)
class RateInterval:
    """A rate and how far it could be off, all from 0 to 1."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PageFinding:
    """One finding, cut to what fits."""

    level: Level
    code: str
    dataset: str | None
    message: str
    keys: tuple[str, ...]
    more: int  # keys that are not written out
    evidence: tuple[tuple[str, str], ...]
    captions: tuple[RowCaption, ...]  # whose pictures are shown
    interval: RateInterval | None


@dataclass(frozen=True, kw_only=True)
class FindingChapter:
    """A family's problems, and how many there are of each code."""

    family: FindingFamily
    problems: tuple[PageFinding, ...]
    counts: Mapping[str, int]
    unchecked: tuple[str, ...]  # codes that nobody looked for

    @property
    def is_checked(self) -> bool:
        return len(self.unchecked) < len(self.family.codes)

    @property
    def kinds(self) -> tuple["FindingKind", ...]:
        """The problems by code, the gravest codes first."""
        found: dict[str, list[PageFinding]] = {}
        for one in self.problems:
            found.setdefault(one.code, []).append(one)
        return tuple(FindingKind(code, tuple(some), self.counts[code]) for code, some in found.items())


@dataclass(frozen=True)
class FindingKind:
    """The findings of one code, which are folded until somebody asks."""

    code: str
    problems: tuple[PageFinding, ...]
    count: int

    @property
    def level(self) -> Level:
        """The gravest."""
        return min((one.level for one in self.problems), key=LEVELS.index)

    @property
    def title(self) -> str:
        """In words."""
        return CODE_TITLES.get(self.code, self.code)

    @property
    def first(self) -> str:
        """What the gravest says."""
        return clip_text(self.problems[0].message, MAX_FIRST_LENGTH)

    @property
    def left_out(self) -> int:
        """How many are not written out."""
        return self.count - len(self.problems)

    @property
    def articles(self) -> tuple["FindingArticle", ...]:
        """The known issues of a dataset in one article, each other finding in its own."""
        if self.code != KNOWN_ISSUE:
            return tuple(FindingArticle((one,)) for one in self.problems)
        found: dict[tuple[str | None, Level], list[PageFinding]] = {}
        for one in self.problems:
            found.setdefault((one.dataset, one.level), []).append(one)
        return tuple(FindingArticle(tuple(some)) for some in found.values())


@dataclass(frozen=True)
class FindingArticle:
    """Findings that stand together, of one dataset, code and level."""

    problems: tuple[PageFinding, ...]

    @property
    def shared(self) -> tuple[tuple[str, str], ...]:
        """The evidence that all of them have: it stands once."""
        first, *others = self.problems
        return tuple(pair for pair in first.evidence if all(pair in one.evidence for one in others))


def audit_page(
    table: pa.Table,
    findings: Sequence[Finding],
    look: Callable[[str], bytes | None],
    facts: Mapping[str, Any],
) -> Iterator[str]:
    """Make the page of an audit.

    Thumbnails are made while their piece is: the page is never whole in memory.

    Parameters
    ----------
    table : pyarrow.Table
        The audited rows.
    findings : sequence of Finding
        What `dermdata.audit.run_audit` found.
    look : callable
        Gives an image file's bytes by row key, None where there is none.
    facts : mapping
        What is known beside the rows, as `dermdata.report` describes it.

    Yields
    ------
    str
        Pieces of HTML, together under 10 MB.

    """
    names = facts.get("names", {})
    sources = dataset_origins(table, facts)
    values = {
        "title": facts.get("title") or page_title(sources),
        "facts": page_facts(facts),
        "verdict": judge_findings(table, findings, facts.get("checked")),
        "shown_classes": SHOWN_CLASSES,
        "shown_samples": SHOWN_SAMPLES,
        "levels": {level: sum(one.level == level for one in findings) for level in LEVELS},
        "codes": sorted({one.code for one in findings}),
        "found": len(findings),
        "printed": MAX_PRINTED,
        "rows": facts.get("rows"),
        "chapters": build_chapters(table, findings, facts),
        "heat": build_heat_map(table, names),
        "ages": histogram_columns(age_bars(table)),
        "counted": column_bars(table, names),
        **class_samples(table, names),
        "album": ThumbnailBudget(look, MAX_FINDING_CHARACTERS),
        "gallery": ThumbnailBudget(look, MAX_SAMPLE_CHARACTERS),
        "sources": sources,
        "classes_of": class_column(table).removesuffix("_name"),
        "unit": AxisScale(low=0.0, high=1.0, ticks=()),
        "citations": page_citations(facts),
    }
    yield from render_page("audit.html", values)


def column_bars(table: pa.Table, names: Mapping[str, str]) -> list[tuple[str, tuple[Bar, ...]]]:
    """The columns that are shown as bars, by their title."""
    found, labels = [], set(names.values())
    for name, title in BAR_COLUMNS:
        words = column_words(table, name, names)
        if name in OPTIONAL_COLUMNS and not any(words):
            continue
        if name == "body_site":  # an id reads as words where no label is given
            words = [word.replace("-", " ") if word and word not in labels else word for word in words]
        found.append((title, count_bars(words)))
    return found


def class_samples(table: pa.Table, names: Mapping[str, str]) -> dict[str, Any]:
    """The commonest classes, each with its number of images and a few that have a file; how many are left out."""
    classes = column_words(table, class_column(table), names)
    keys, sizes = keys_with_files(table, classes), Counter(classes)
    ranked = rank_words(sizes)
    picked = {name: sample_keys(keys.get(name, ()), SAMPLES_PER_CLASS) for name in ranked[:MAX_CLASSES]}
    captions = row_captions(table, set(chain.from_iterable(picked.values())), names)
    return {
        "samples": [
            (name or NOT_STATED, sizes[name], [captions[key] for key in some])
            for name, some in picked.items()
        ],
        "unsampled": len(ranked) - len(picked),
    }


def keys_with_files(table: pa.Table, classes: Sequence[str | None]) -> dict[str | None, list[str]]:
    """The keys of each class's rows that have a sound image file."""
    columns = [text_column(table, name).to_pylist() for name in ("key", "path", "image_problem")]
    found: dict[str | None, list[str]] = {}
    for name, key, path, problem in zip(classes, *columns, strict=True):
        if key and path and not problem:
            found.setdefault(name, []).append(key)
    return found


# ------------------------------------------------------------------ findings


def build_chapters(
    table: pa.Table, findings: Sequence[Finding], facts: Mapping[str, Any]
) -> tuple[FindingChapter, ...]:
    """The findings by family; a code that no family knows is in the last one."""
    kept = limit_findings(findings)
    captions = row_captions(table, pictured_keys(kept), facts.get("names", {}))
    made = list(page_findings(kept, captions))
    counts = Counter(one.code for one in findings)
    familiar = {code for family in FAMILIES for code in family.codes}
    codes = {family.id: family.codes for family in FAMILIES}
    codes[FAMILIES[-1].id] += tuple(sorted(counts.keys() - familiar))
    checked = facts.get("checked", familiar)
    return tuple(build_chapter(family, codes[family.id], made, counts, checked) for family in FAMILIES)


def build_chapter(
    family: FindingFamily,
    codes: Sequence[str],
    made: Sequence[PageFinding],
    counts: Mapping[str, int],
    checked: Container[str],
) -> FindingChapter:
    return FindingChapter(
        family=family,
        problems=tuple(one for one in made if one.code in codes),
        counts={code: counts[code] for code in codes if counts[code]},
        unchecked=tuple(code for code in family.codes if code not in checked),
    )


def pictured_keys(findings: Sequence[Finding]) -> set[str]:
    """The keys of the rows whose pictures may be shown beside findings."""
    shown = [one.keys[:MAX_PICTURES] for one in findings if one.code in PICTURED_CODES]
    return set(chain.from_iterable(shown))


def limit_findings(findings: Sequence[Finding]) -> list[Finding]:
    """The gravest ones, so many of each code."""
    seen: Counter[str] = Counter()
    kept = []
    for one in sorted(findings, key=lambda one: LEVELS.index(one.level)):
        if seen[one.code] < MAX_FINDINGS_PER_CODE:
            kept.append(one)
        seen[one.code] += 1
    return kept


def page_findings(findings: Sequence[Finding], captions: Mapping[str, RowCaption]) -> Iterator[PageFinding]:
    """As long as there is room on the page; the first of each code in any case, so that no kind vanishes."""
    seen: Counter[str] = Counter()
    room = MAX_FINDING_BYTES
    for one in findings:
        made = make_page_finding(
            one, captions, pictured=one.code in PICTURED_CODES and seen[one.code] < MAX_PICTURED_PER_CODE
        )
        room -= estimate_bytes(made)
        if room >= 0 or not seen[one.code]:
            yield made
        seen[one.code] += 1


def make_page_finding(one: Finding, captions: Mapping[str, RowCaption], *, pictured: bool) -> PageFinding:
    keys = one.keys[:MAX_PICTURES] if pictured else ()
    return PageFinding(
        level=one.level,
        code=one.code,
        dataset=one.dataset,
        message=clip_text(one.message, MAX_MESSAGE_LENGTH),
        keys=one.keys[:MAX_KEYS],
        more=max(0, len(one.keys) - MAX_KEYS),
        evidence=tuple((name, evidence_text(value)) for name, value in one.evidence.items()),
        captions=tuple(captions.get(key, RowCaption(key=key)) for key in keys),
        interval=rate_interval(one.evidence),
    )


def estimate_bytes(one: PageFinding) -> int:
    """Bytes that it takes on the page, but for its pictures."""
    words = [one.message, *one.keys, *(word for pair in one.evidence for word in pair)]
    words += [word or "" for each in one.captions for word in (each.key, each.key, each.label)]
    return MARKUP_BYTES * (1 + len(one.captions)) + sum(
        len(escape(show_value(word)).encode()) for word in words
    )


def evidence_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return clip_text(text, MAX_VALUE_LENGTH)


def clip_text(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def rate_interval(evidence: Mapping[str, Any]) -> RateInterval | None:
    """Of evidence that has a rate between two bounds."""
    found = [evidence.get(name) for name in ("rate", "low", "high")]
    if not all(isinstance(value, (int, float)) and 0 <= value <= 1 for value in found):
        return None
    rate, low, high = map(float, found)  # type: ignore[arg-type]  # None was refused above
    return RateInterval(rate=rate, low=low, high=high)


def row_captions(table: pa.Table, keys: set[str], names: Mapping[str, str]) -> dict[str, RowCaption]:
    """The rows of these keys, by key."""
    rows = pc.indices_nonzero(
        pc.is_in(text_column(table, "key"), value_set=pa.array(sorted(keys), pa.string()))
    )
    some = table.take(rows)
    columns = ("key", class_column(table), "split", "split_official", "modality", "body_site")
    cells = zip(*(text_column(some, name).to_pylist() for name in columns), strict=True)
    return {
        key: RowCaption(
            key=key,
            label=names.get(label, label),
            split=split or official,
            veiled=is_sensitive(modality, site),
        )
        for key, label, split, official, modality, site in cells
    }
