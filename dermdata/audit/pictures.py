"""One picture in several rows: as duplicates, under several patients or labels, and on both sides of a split."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from dermdata.audit.copies import Copies
from dermdata.audit.subject import Subject
from dermdata.finding import Finding, Level

BYTES = "sha256"  # equal ones are copies, told by their keys
OWN, OFFICIAL = ("split", "fold"), ("split_official", "fold_official")
DO = {
    "exact": "have the same bytes",
    "pixels": "have the same pixels in other bytes",
    "listed": "are one picture by a published list",
    "near": "are versions of one picture",
}
ONE = {
    "exact": "one picture (same bytes)",
    "pixels": "one picture (same pixels)",
    "listed": "one picture (by a published list)",
    "near": "one picture (versions of it)",
    "isic_id": "one ISIC id",
    "lesion_id": "one lesion",
}
IDS = {"patient_id": "patients", "lesion_id": "lesions", "case_id": "cases"}
TOLD = 4  # keys in a message


def duplicates(subject: Subject) -> Iterator[Finding]:
    """A warning for each picture that is there several times."""
    for one in subject.copies:
        names = {subject.words("dataset")[row] for row in one.rows}
        across = " across datasets" if len(names) > 1 else ""
        text = f"{listed(subject, one.rows)} {DO[one.how]}{across}"
        evidence = {"images": len(one.rows), "rows": about(subject, one.rows), **pairs_of(subject, one)}
        code = "duplicate-near" if one.how == "listed" else f"duplicate-{one.how}"
        yield subject.finding("warning", code, one.rows, text, {"how": one.how, **evidence})


def shared_ids(subject: Subject) -> Iterator[Finding]:
    """A warning for each set of datasets that have ISIC ids in common, whose files may differ in size and encoding."""
    owners: dict[str, list[int]] = {}
    for row, name in enumerate(subject.words("isic_id")):
        if name is not None:
            owners.setdefault(name, []).append(row)
    groups: dict[tuple[str, ...], list[list[int]]] = {}
    for rows in owners.values():
        if len(rows) > 1:
            names = tuple(sorted({subject.words("dataset")[row] or "" for row in rows}))
            groups.setdefault(names, []).append(rows)
    for names, found in sorted(groups.items()):
        where = f"are in {' and '.join(names)}" if len(names) > 1 else f"are several times in {names[0]}"
        evidence = {"how": "isic_id", "images": len(found), "datasets": list(names)}
        rows = [row for some in found for row in some]
        yield subject.finding(
            "warning", "duplicate-near", rows, f"{len(found):,} images, by isic_id, {where}", evidence
        )


def listed(subject: Subject, rows: Sequence[int]) -> str:
    keys = [subject.keys[row] for row in rows[:TOLD]]
    last = f"{len(rows) - len(keys):,} more" if len(rows) > len(keys) else keys.pop()
    return f"{', '.join(keys)} and {last}"


def about(subject: Subject, rows: Sequence[int]) -> dict[str, dict[str, str]]:
    """Key -> what the row says of the picture: label, ids and parts."""
    columns = ("label_raw", "diagnosis", *IDS, *OWN, *OFFICIAL)
    return {
        subject.keys[row]: {
            name: value for name in columns if (value := subject.words(name)[row]) is not None
        }
        for row in rows
    }


def pairs_of(subject: Subject, one: Copies) -> dict[str, Any]:
    if not one.pairs:
        return {}
    return {"pairs": [{"keys": [subject.keys[i], subject.keys[j]], **how} for i, j, how in one.pairs]}


# ------------------------------------------------------------------ one picture, several ids


def several_ids(subject: Subject) -> Iterator[Finding]:
    """A warning for one picture filed under several patients, lesions or cases of one dataset."""
    for one in subject.copies:
        for dataset in sorted({str(subject.words("dataset")[row]) for row in one.rows}):
            rows = [row for row in one.rows if str(subject.words("dataset")[row]) == dataset]
            several = {name: ids for name in IDS if len(ids := ids_of(subject, name, rows)) > 1}
            if several:
                under = " and ".join(f"{len(ids)} {IDS[name]}" for name, ids in several.items())
                text = f"{listed(subject, rows)} {DO[one.how]} but are filed under {under}"
                yield subject.finding("warning", "id-conflict", rows, text, {"how": one.how, **several})


def ids_of(subject: Subject, name: str, rows: Sequence[int]) -> list[str]:
    return sorted({value for row in rows if (value := subject.words(name)[row]) is not None})


# ------------------------------------------------------------------ one picture, several labels


def conflicts(subject: Subject) -> Iterator[Finding]:
    """Labels of one thing that cannot all be true: an error where the pixels are the same, else a warning."""
    told: set[frozenset[int]] = set()
    for how, rows in same_things(subject):
        against = [row for row in rows if any(disagree(subject, row, other) for other in rows)]
        if against and not any(set(against) <= one for one in told):
            told.add(frozenset(against))
            level: Level = "error" if how in ("exact", "pixels") else "warning"
            words = ", ".join(
                f"{subject.keys[row]}: {subject.words('label_raw')[row]}" for row in against[:TOLD]
            )
            text = f"{ONE.get(how, how)} has labels that cannot all be true ({words})"
            evidence = {"how": how, "labels": {subject.keys[row]: subject.shown(row) for row in against}}
            yield subject.finding(level, "label-conflict", against, text, evidence)


def same_things(subject: Subject) -> Iterator[tuple[str, Sequence[int]]]:
    """What rows are of one thing, surest first."""
    order = ("exact", "pixels", "isic_id", "listed", "near", "lesion_id")
    groups: list[tuple[str, Sequence[int]]] = [(one.how, one.rows) for one in subject.copies]
    groups += [(name, rows) for name in ("isic_id", "lesion_id") for rows in of_one(subject, name)]
    yield from sorted(groups, key=lambda group: order.index(group[0]))


def of_one(subject: Subject, name: str) -> list[tuple[int, ...]]:
    """The rows of each id that several rows have and that have several labels."""
    groups: dict[str, list[int]] = {}
    for row, value in enumerate(subject.words(name)):
        if value is not None:
            groups.setdefault(value, []).append(row)
    says = subject.says
    return [tuple(rows) for rows in groups.values() if len({says[row] for row in rows}) > 1]


def disagree(subject: Subject, one: int, other: int) -> bool:
    return subject.judge.verdict(subject.says[one], subject.says[other]) == "contradicts"


# ------------------------------------------------------------------ across the parts of a split


def leaks(subject: Subject) -> Iterator[Finding]:
    """An error for what is in several parts of the split in force: the rows' own, else the publisher's.

    Where there is an own split, leaks of the publisher's are warnings: nobody trains by it.
    """
    own = any(parted(subject, name) for name in OWN)
    official = any(parted(subject, name) for name in OFFICIAL)
    levels: dict[tuple[str, ...], Level] = {}
    if own:
        levels[OWN] = "error"
    if official:
        levels[OFFICIAL] = "warning" if own else "error"
    for columns, level in levels.items():
        yield from by_id(subject, columns, level)
        for one in subject.copies:
            yield from by_picture(subject, one, columns, level)


def parted(subject: Subject, name: str) -> bool:
    return any(value is not None for value in subject.words(name))


def by_id(subject: Subject, columns: tuple[str, ...], level: Level) -> Iterator[Finding]:
    if subject.check_split is None:
        return
    other = {*OWN, *OFFICIAL, BYTES} - {*columns}
    table = subject.table.drop_columns([name for name in other if name in subject.table.column_names])
    yield from (replace(one, level=level) for one in subject.check_split(table))


def by_picture(subject: Subject, one: Copies, columns: tuple[str, ...], level: Level) -> Iterator[Finding]:
    for column in columns:
        rows = [row for row in one.rows if subject.words(column)[row] is not None]
        parts = sorted({str(subject.words(column)[row]) for row in rows})
        if len(parts) > 1:
            text = f"{listed(subject, rows)} {DO[one.how]} in several parts of {column}: {', '.join(parts)}"
            images = {part: sum(subject.words(column)[row] == part for row in rows) for part in parts}
            evidence = {"column": column, "how": one.how, "images": images, **pairs_of(subject, one)}
            yield subject.finding(level, "leak-image", rows, text, evidence)
