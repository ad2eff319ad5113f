"""Text of `vocabulary/*.tsv` -> checked values; every issue of a file is reported at once."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dermdata.vocabulary import tsv
from dermdata.vocabulary.concepts import LEVELS, MALIGNANCIES, Concept, Vocabulary

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
CONCEPTS = (
    "id",
    "label",
    "parent",
    "level",
    "malignancy",
    "synonyms",
    "doid",
    "icd10cm",
    "isic_path",
    "note",
)
SITES = ("id", "label", "parent", "level", "synonyms")
Placed = tuple[int, Concept]


@dataclass(frozen=True, slots=True)
class Site:
    """One body site; its level is its depth, 1 for a whole region."""

    id: str
    label: str
    parent: str | None
    level: int
    synonyms: tuple[str, ...] = ()


def parse(text: str, where: str = "vocabulary/concepts.tsv") -> Vocabulary:
    """The vocabulary that the text describes; BadCatalog lists every issue, with its line."""
    issues: list[str] = []
    placed = [(line, concept_of(row)) for line, row in tsv.read(text, CONCEPTS, issues)]
    for line, concept in placed:
        issues.extend(f"line {line}: {issue}" for issue in misfits(concept))
    parents = {concept.id: concept.parent for _, concept in placed}
    issues += tree_issues([(line, one.id, one.parent) for line, one in placed], parents)
    issues += root_issues(placed)
    tsv.complain(where, issues)
    return Vocabulary(concept for _, concept in placed)


def parse_sites(text: str, where: str = "vocabulary/body-sites.tsv") -> dict[str, Site]:
    """The body sites by id: a forest, one tree a region; BadCatalog lists every issue."""
    issues: list[str] = []
    rows = tsv.read(text, SITES, issues)
    parents = {row[0]: row[2] or None for _, row in rows}
    issues += tree_issues([(line, row[0], row[2] or None) for line, row in rows], parents)
    if not issues:
        wrong = [(line, row) for line, row in rows if row[3] != str(len(upwards(row[0], parents)))]
        issues += [f"line {line}: level '{row[3]}' is not the depth of '{row[0]}'" for line, row in wrong]
    tsv.complain(where, issues)
    sites = (Site(row[0], row[1], row[2] or None, int(row[3]), tsv.several(row[4])) for _, row in rows)
    return {site.id: site for site in sites}


def concept_of(row: list[str]) -> Concept:
    ident, label, parent, level, malignancy, synonyms, doid, icd10cm, isic_path, note = row
    return Concept(
        ident,
        label,
        parent or None,
        level,
        malignancy,
        synonyms=tsv.several(synonyms),
        doid=doid or None,
        icd10cm=icd10cm or None,
        isic_paths=tsv.several(isic_path),
        note=note or None,
    )


def misfits(concept: Concept) -> Iterable[str]:
    """What is wrong with one concept by itself."""
    if not concept.label:
        yield f"'{concept.id}' has no label"
    if concept.level not in LEVELS:
        yield f"unknown level '{concept.level}': {'|'.join(LEVELS)}"
    if concept.malignancy not in MALIGNANCIES:
        yield f"unknown malignancy '{concept.malignancy}': {'|'.join(MALIGNANCIES)}"


def tree_issues(nodes: list[tuple[int, str, str | None]], parents: Mapping[str, str | None]) -> list[str]:
    """What is wrong between (line, id, parent) nodes: slugs, doubles, missing parents, cycles."""
    issues: list[str] = []
    seen: dict[str, int] = {}
    for line, ident, parent in nodes:
        if not SLUG.match(ident):
            issues.append(f"line {line}: '{ident}' is no slug: small letters, digits and single hyphens")
        if ident in seen:
            issues.append(f"line {line}: '{ident}' stands on line {seen[ident]} already")
        if parent is not None and parent not in parents:
            issues.append(f"line {line}: unknown parent '{parent}' of '{ident}'")
        elif ident not in seen and upwards(ident, parents)[-1] == ident and parent is not None:
            issues.append(f"line {line}: '{ident}' is its own ancestor")
        seen.setdefault(ident, line)
    return issues


def upwards(ident: str, parents: Mapping[str, str | None]) -> list[str]:
    """The way from a node to its root; in a cycle it ends with the first node met again."""
    way = [ident]
    while (above := parents.get(way[-1])) is not None:
        met = above in way
        way.append(above)
        if met:
            break
    return way


def root_issues(placed: list[Placed]) -> Iterable[str]:
    """There is one concept without a parent, and it is the one of level root."""
    roots = [(line, one) for line, one in placed if one.parent is None]
    if len(roots) != 1:
        found = ", ".join(one.id for _, one in roots)
        yield f"there must be one concept without a parent, not {len(roots)}: {found}"
    for line, one in placed:
        if (one.level == "root") != (one.parent is None):
            yield f"line {line}: level '{one.level}' of '{one.id}': the concept without parent is the root"
