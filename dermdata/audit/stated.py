"""What the catalog says of the datasets: their licences together, their numbers, and known problems."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.audit.subject import Subject
from dermdata.finding import Finding, Level
from dermdata.manifest.counts import differences
from dermdata.model import Dataset
from dermdata.rights import Rights, mixed, rights


def licences(subject: Subject) -> Iterator[Finding]:
    """A warning where no one licence fits all rows or one is not known, a note where several are mixed."""
    parts: dict[str, dict[str, Rights]] = {}
    for dataset, name in zip(subject.words("dataset"), subject.words("license"), strict=True):
        if name not in (known := parts.setdefault(dataset or "", {})):
            entry = subject.entries.get(dataset or "")
            known[name] = rights(name, entry.license if entry else None)  # type: ignore[index]
    names = sorted({one.id or "" for several in parts.values() for one in several.values()})
    mix = mixed({name: several.values() for name, several in parts.items()})
    if len(names) > 1 or names == [""]:
        level: Level = "note" if mix.id else "warning"
        said = ", ".join(name or "none stated" for name in names)
        text = f"licences: {said}; all of it together: {mix.id or 'no one licence'}"
        evidence = {
            **vars(mix), "because": list(mix.because),
            "licenses": {dataset: sorted(one.id or "" for one in several.values()) for dataset, several in parts.items()},
        }  # fmt: skip
        yield Finding(
            level=level,
            code="license-mix",
            dataset=", ".join(sorted(filter(None, parts))) or None,
            keys=(),
            message=text,
            evidence=evidence,
        )


def counts(subject: Subject) -> Iterator[Finding]:
    """A warning for each number that is not the catalog's, of datasets that are whole here."""
    for name in sorted(subject.whole & subject.entries.keys()):
        entry = subject.entries[name]
        table = subject.table.filter(pc.equal(subject.table["dataset"].cast(pa.string()), name))
        for text in differences(entry, table):
            evidence = {"source": entry.facts.get("counts")}
            yield about(entry, "warning", "count-differs", text, evidence)


def known_issues(subject: Subject) -> Iterator[Finding]:
    """The catalog's notes on each dataset, and the images that two datasets of the table have in common."""
    here = set(subject.datasets())
    for name in sorted(here & subject.entries.keys()):
        entry = subject.entries[name]
        source = entry.facts.get("notes") or entry.homepage
        for note in entry.notes:
            yield about(entry, "note", "known-issue", note, {"source": source})
        for overlap in entry.overlaps:
            both = overlap.dataset in here
            text = f"shares images with {overlap.dataset}: {overlap.note}"
            evidence = {"source": source, "overlaps": overlap.dataset, "both_here": both}
            yield about(entry, "warning" if both else "note", "known-issue", text, evidence)


def about(entry: Dataset, level: Level, code: str, text: str, evidence: Mapping[str, object]) -> Finding:
    return Finding(level=level, code=code, dataset=entry.name, keys=(), message=text, evidence=evidence)
