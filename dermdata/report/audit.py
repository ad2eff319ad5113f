"""The audit's page: what is in the set, what is wrong with it, and where it comes from."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dermdata.finding import Finding
from dermdata.projection import words_of
from dermdata.report import charts, holdings, origin, problems
from dermdata.report.page import NOT_STATED, rendered
from dermdata.report.pictures import Album, sampled

SAMPLES = 6  # pictures of a class
# characters of pictures: with all else, a page stays under 10 MB
ROOM_OF_SAMPLES, ROOM_OF_FINDINGS = 3_000_000, 4_300_000
COUNTED = (
    ("modality", "Modality"),
    ("confirmation", "Confirmation of the diagnosis"),
    ("sex", "Sex"),
    ("body_site", "Body site"),
    ("license", "Licence"),
    ("split", "Split"),
    ("split_official", "Publisher’s split"),
)
OPTIONAL = {"split", "split_official"}  # not told where no row has one


def audit_page(
    table: pa.Table,
    findings: Sequence[Finding],
    look: Callable[[str], bytes | None],
    facts: Mapping[str, Any],
) -> Iterator[str]:
    """HTML in pieces, under 10 MB; `look` gives an image file's bytes by row key, None where there is none.

    Pictures are made while their piece is: the page is never whole in memory.
    """
    names = facts.get("names", {})
    sources = origin.sources(table, facts)
    values = {
        "title": facts.get("title") or origin.title(sources),
        "facts": origin.about_page(facts),
        "summary": summary(table, sources),
        "levels": {level: sum(one.level == level for one in findings) for level in problems.LEVELS},
        "codes": sorted({one.code for one in findings}),
        "chapters": problems.chapters(table, findings, facts),
        "heat": holdings.heat_map(table, names),
        "ages": charts.histogram(holdings.ages(table)),
        "counted": counted(table, names),
        **samples(table, names),
        "album": Album(look, ROOM_OF_FINDINGS),
        "gallery": Album(look, ROOM_OF_SAMPLES),
        "sources": sources,
        "classes_of": holdings.column_of_classes(table).removesuffix("_name"),
        "unit": charts.Scale(low=0.0, high=1.0, ticks=()),
        "citations": origin.citations(facts),
    }
    yield from rendered("audit.html", values)


def summary(table: pa.Table, sources: Sequence[origin.Source]) -> dict[str, int | None]:
    return {
        "image": table.num_rows,
        "patient": holdings.distinct(table, "patient_id"),
        "lesion": holdings.distinct(table, "lesion_id"),
        "dataset": len(sources),
    }


def counted(table: pa.Table, names: Mapping[str, str]) -> list[tuple[str, tuple[holdings.Bar, ...]]]:
    """The columns that are told as bars, by their title."""
    found, labels = [], set(names.values())
    for name, title in COUNTED:
        words = holdings.words(table, name, names)
        if name in OPTIONAL and not any(words):
            continue
        if name == "body_site":  # an id reads as words where no label is given
            words = [word.replace("-", " ") if word and word not in labels else word for word in words]
        found.append((title, holdings.bars(words)))
    return found


def samples(table: pa.Table, names: Mapping[str, str]) -> dict[str, Any]:
    """The commonest classes, each with its number of images and a few that have a file; how many are left out."""
    columns = [words_of(table, name).to_pylist() for name in ("key", "path", "image_problem")]
    classes = holdings.words(table, holdings.column_of_classes(table), names)
    there: dict[str | None, list[str]] = {}
    for name, key, path, problem in zip(classes, *columns, strict=True):
        if key and path and not problem:
            there.setdefault(name, []).append(key)
    sizes = Counter(classes)
    ranked = sorted(sizes, key=lambda name: (name is None, -sizes[name], str(name)))
    picked = {name: sampled(there.get(name, ()), SAMPLES) for name in ranked[: holdings.MOST_CLASSES]}
    known = problems.subjects(table, {key for keys in picked.values() for key in keys}, names)
    return {
        "samples": [
            (name or NOT_STATED, sizes[name], [known[key] for key in keys]) for name, keys in picked.items()
        ],
        "unsampled": len(ranked) - len(picked),
    }
