"""For whom the data can say anything: skin types, classes, sites, and what is not stated."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isnan, sqrt
from typing import Any

from dermdata.audit.subject import Subject
from dermdata.finding import Finding, Level

TYPES = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI"}
HALF_WIDTH = 0.10  # of a rate's interval: what is wider says too little
RATE = 0.5  # where the interval is widest
Z = 1.959964  # 95 %
IMBALANCE = 10  # times as many images in the largest class as in the smallest
CONFINED, ENOUGH = 0.95, 20  # a class's share from one place, and its images, from which it is told
USUAL = 0.5  # a place of more than half of all images confines nothing
PLACES = ("dataset", "body_site", "modality")
STATED = ("diagnosis", "age", "sex", "body_site", "fitzpatrick", "license")
GROUPS = ("patient_id", "lesion_id", "case_id")


def wilson(n: int, rate: float = RATE, z: float = Z) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of a rate seen in n independent cases; 0 to 1 where there are none."""
    if n == 0:
        return 0.0, 1.0
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def half_width(n: int) -> float:
    low, high = wilson(n)
    return (high - low) / 2


# ------------------------------------------------------------------ skin tone


def skin_tone(subject: Subject) -> Iterator[Finding]:
    """A warning for each Fitzpatrick type with too few people for a claim, and a note where only classes are."""
    rows: dict[int, list[int]] = {number: [] for number in TYPES}
    for row, number in enumerate(subject.values("fitzpatrick")):
        if number in rows:
            rows[number].append(row)
    if any(rows.values()):
        for number in TYPES:
            yield from of_type(subject, number, rows[number])
    elif subject.table.num_rows and not any(subject.values("fitzpatrick_range")):
        text = "no image states a skin type: nothing can be said of whom a model works for"
        yield subject.finding("warning", "skin-tone-coverage", [], text, {"images": 0})


def of_type(subject: Subject, number: int, rows: Sequence[int]) -> Iterator[Finding]:
    people, images = independent(subject, rows), len(rows)
    low, high = wilson(people)
    classes = per_class(subject, rows)
    small = [name for name, one in classes.items() if one["half_width"] > HALF_WIDTH]
    evidence = {
        "fitzpatrick": number, "images": images, "people": people, "rate": RATE, "low": round(low, 4),
        "high": round(high, 4), "half_width": round((high - low) / 2, 4), "classes": classes,
    }  # fmt: skip
    if not images:
        text = f"no image of skin type {TYPES[number]}: no claim can be made for it"
        yield subject.finding("warning", "skin-tone-coverage", rows, text, evidence)
    elif (high - low) / 2 > HALF_WIDTH:
        text = (
            f"skin type {TYPES[number]}: {images:,} images of {people:,} people or lesions are too few for a claim: "
            f"a rate of 50 % seen on them may be {100 * low:.0f} to {100 * high:.0f} %"
        )
        yield subject.finding("warning", "skin-tone-coverage", rows, text, evidence)
    elif small:
        text = f"skin type {TYPES[number]}: too few images for a claim about {len(small)} of {len(classes)} classes"
        yield subject.finding("note", "skin-tone-coverage", rows, text, evidence)


def per_class(subject: Subject, rows: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Every class of the table: its images and people among the rows, and the interval's half width."""
    found: dict[str, list[int]] = {name: [] for name in sorted(set(subject.classes) - {None}, key=str)}  # type: ignore[misc]
    for row in rows:
        if (name := subject.classes[row]) is not None:
            found[name].append(row)
    people = {name: independent(subject, some) for name, some in found.items()}
    return {
        name: {"images": len(some), "people": people[name], "half_width": round(half_width(people[name]), 4)}
        for name, some in found.items()
    }


def independent(subject: Subject, rows: Sequence[int]) -> int:
    """Different patients, else lesions, else images: images of one person are not independent of each other."""
    patients, lesions = subject.words("patient_id"), subject.words("lesion_id")
    return len({patients[row] or lesions[row] or subject.keys[row] for row in rows})


# ------------------------------------------------------------------ classes and places


def imbalance(subject: Subject) -> Iterator[Finding]:
    """A note where one class has many times the images of another."""
    sizes = Counter(name for name in subject.classes if name is not None).most_common()
    if len(sizes) > 1 and sizes[0][1] >= IMBALANCE * sizes[-1][1]:
        (largest, many), (smallest, few) = sizes[0], sizes[-1]
        text = f"{largest} has {many:,} images, {smallest} {few:,}: {many / few:.0f} times as many"
        yield subject.finding("note", "class-imbalance", [], text, {"column": "class", "images": dict(sizes)})


def confined(subject: Subject) -> Iterator[Finding]:
    """A warning for a class whose images all but come from one place that is not that of most others."""
    for place in PLACES:
        cells = Counter(
            (name, word)
            for name, word in zip(subject.classes, subject.words(place), strict=True)
            if name is not None and word is not None
        )
        classes, places = Counter[str](), Counter[str]()
        for (name, word), count in cells.items():
            classes[name] += count
            places[word] += count
        for (name, word), count in sorted(cells.items()):
            share, usual = count / classes[name], places[word] / places.total()
            if share >= CONFINED and usual <= USUAL and classes[name] >= ENOUGH:
                text = (
                    f"{100 * share:.0f} % of {name} come from {place} {word}, of all images {100 * usual:.0f} %: "
                    "a model can learn the place instead of the disease"
                )
                evidence = {"column": place, "value": word, "class": name, "share": round(share, 4),
                            "share_of_all": round(usual, 4), "images": classes[name]}  # fmt: skip
                yield subject.finding("warning", "class-imbalance", [], text, evidence)


# ------------------------------------------------------------------ what is not stated


def missing(subject: Subject) -> Iterator[Finding]:
    """By dataset: a note for each column that some rows lack, one for those that all lack, and what joins rows."""
    for dataset in subject.datasets():
        rows = subject.rows_of(dataset)
        never = []
        for name in STATED:
            lacking = [row for row in rows if lacks(subject, name, row)]
            if len(lacking) == len(rows):
                never.append(name)
            elif lacking:
                yield lacking_some(subject, name, lacking, len(rows))
        if never:
            text = f"no row states {', '.join(never)}"
            yield of_all(dataset, "note", text, {"columns": never, "rows": len(rows)})
        if not any(subject.words(name)[row] for row in rows for name in GROUPS):
            text = (
                "no row has a patient, lesion or case id: only copies tell what must not be parted in a split"
            )
            yield of_all(dataset, "warning", text, {"columns": GROUPS, "rows": len(rows)})


def lacking_some(subject: Subject, name: str, lacking: Sequence[int], rows: int) -> Finding:
    patients = len({one for row in lacking if (one := subject.words("patient_id")[row])})
    of = f" ({patients:,} {'patient' if patients == 1 else 'patients'})" if patients else ""
    level: Level = "warning" if name == "diagnosis" else "note"
    text = f"{name} is missing in {len(lacking):,} of {rows:,} images{of}"
    evidence = {"column": name, "missing": len(lacking), "rows": rows, "patients": patients}
    return subject.finding(level, "metadata-missing", lacking, text, evidence)


def lacks(subject: Subject, name: str, row: int) -> bool:
    """Ranges and graded labels state the thing too."""
    if name == "diagnosis":
        return subject.words("label_raw")[row] is None and not subject.values("differential")[row]
    if name == "fitzpatrick" and subject.values("fitzpatrick_range")[row]:
        return False
    if name == "age":
        age = subject.values("age")[row]
        return (age is None or isnan(age)) and subject.words("age_raw")[row] is None
    return subject.values(name)[row] is None


def of_all(dataset: str, level: Level, text: str, evidence: dict[str, Any]) -> Finding:
    """A finding about all rows of a dataset, which are not named one by one."""
    return Finding(
        level=level, code="metadata-missing", dataset=dataset, keys=(), message=text, evidence=evidence
    )
