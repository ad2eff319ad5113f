"""Patients and lesions whose rows contradict each other."""

from collections.abc import Iterator
from math import isnan

from dermdata.audit.subject import Subject
from dermdata.finding import Finding

OLDEST = 120  # years
APART = 40  # years between two images of one patient: there were no digital photographs before
OWNERS = {"lesion_id": ("patient_id", "patients"), "case_id": ("patient_id", "patients")}


def owners(subject: Subject) -> Iterator[Finding]:
    """A warning for a lesion or case that two patients have."""
    for name, (owner, plural) in OWNERS.items():
        for value, rows in groups(subject, name).items():
            found = sorted({one for row in rows if (one := subject.words(owner)[row]) is not None})
            if len(found) > 1:
                text = f"{name} {value} belongs to {len(found)} {plural}: {', '.join(found[:4])}"
                yield subject.finding("warning", "id-conflict", rows, text, {name: value, owner: found})


def persons(subject: Subject) -> Iterator[Finding]:
    """A warning for a patient of two sexes, or of ages that one person cannot have."""
    for patient, rows in groups(subject, "patient_id").items():
        sexes = sorted({sex for row in rows if (sex := subject.words("sex")[row]) is not None})
        if len(sexes) > 1:
            text = f"patient {patient} has several sexes: {', '.join(sexes)}"
            yield subject.finding("warning", "id-conflict", rows, text, {"patient_id": patient, "sex": sexes})
        ages = sorted({age for row in rows if (age := age_of(subject, row)) is not None})
        if ages and ages[-1] - ages[0] > APART:
            text = f"patient {patient} is {ages[0]:g} and {ages[-1]:g} years old"
            yield subject.finding("warning", "id-conflict", rows, text, {"patient_id": patient, "age": ages})


def ages(subject: Subject) -> Iterator[Finding]:
    """A warning for ages that nobody has, by dataset."""
    wrong: dict[str, list[int]] = {}
    for row in range(subject.table.num_rows):
        age = age_of(subject, row)
        if age is not None and not 0 <= age <= OLDEST:
            wrong.setdefault(str(subject.words("dataset")[row]), []).append(row)
    for rows in wrong.values():
        found = sorted({subject.values("age")[row] for row in rows})
        text = f"{len(rows):,} images are of people aged {', '.join(f'{age:g}' for age in found[:4])} years"
        yield subject.finding("warning", "id-conflict", rows, text, {"age": found})


def groups(subject: Subject, name: str) -> dict[str, list[int]]:
    """Each id that several rows have, and its rows."""
    found: dict[str, list[int]] = {}
    for row, value in enumerate(subject.words(name)):
        if value is not None:
            found.setdefault(value, []).append(row)
    return {value: rows for value, rows in found.items() if len(rows) > 1}


def age_of(subject: Subject, row: int) -> float | None:
    age: float | None = subject.values("age")[row]
    return None if age is None or isnan(age) else age
