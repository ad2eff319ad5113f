"""Checks of the rows' metadata.

Patients and lesions that contradict each other, coverage of skin types and classes, missing values, and what the
catalog says of the datasets.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import isnan, sqrt
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.audit.data import AuditData
from dermdata.licenses import LicenseTerms, combine_terms, license_terms
from dermdata.manifest.schema import FITZPATRICK_TYPES
from dermdata.manifest.stated_counts import count_differences
from dermdata.markup import agree_verb, count_nouns
from dermdata.model import Finding, Level

MAX_AGE = 120  # years
MAX_AGE_DIFFERENCE = 40  # years between two images of one patient: there were no digital photographs before
SKIN_TYPES = dict(enumerate(FITZPATRICK_TYPES, 1))
MAX_HALF_WIDTH = 0.10  # of a rate's interval: what is wider says too little
WIDEST_RATE = 0.5  # where the interval is widest
Z_95 = 1.959964  # 95 %
MIN_IMBALANCE = 10  # times as many images in the largest class as in the smallest
# a class's share from one place, and its images, from which it is reported
MIN_CONFOUNDED_SHARE, MIN_CONFOUNDED_IMAGES = 0.95, 20
MAX_USUAL_SHARE = 0.5  # a place of more than half of all images confines nothing
CONFOUNDERS = ("dataset", "body_site", "modality")
EXPECTED_COLUMNS = ("diagnosis", "age", "sex", "body_site", "fitzpatrick", "license")
GROUP_COLUMNS = ("patient_id", "lesion_id", "case_id")
# what a word on malignancy may mean; two that share nothing contradict each other
ANY_LEVEL = frozenset({"harmless", "between", "cancer"})
MALIGNANCY_LEVELS: Mapping[str | None, frozenset[str]] = {
    "benign": frozenset({"harmless"}),
    "not-applicable": frozenset({"harmless"}),
    "premalignant": frozenset({"between"}),
    "indeterminate": frozenset({"between"}),
    "malignant": frozenset({"cancer"}),
    "non-malignant": frozenset({"harmless", "between"}),
}
WORDS_SHOWN = 3  # in a message
OWNER_COLUMNS = {"lesion_id": ("patient_id", "patients"), "case_id": ("patient_id", "patients")}


def check_owners(data: AuditData) -> Iterator[Finding]:
    """A warning for a lesion or case that two patients have."""
    for name, (owner, plural) in OWNER_COLUMNS.items():
        for value, rows in data.repeated_values(name).items():
            found = data.distinct_values(owner, rows)
            if len(found) > 1:
                text = f"{name} {value} belongs to {len(found)} {plural}: {', '.join(found[:4])}"
                yield data.make_finding("warning", "id-conflict", rows, text, {name: value, owner: found})


def check_patients(data: AuditData) -> Iterator[Finding]:
    """A warning for a patient of two sexes, or of ages that one person cannot have."""
    for patient, rows in data.repeated_values("patient_id").items():
        sexes = data.distinct_values("sex", rows)
        if len(sexes) > 1:
            text = f"patient {patient} has several sexes: {', '.join(sexes)}"
            yield data.make_finding(
                "warning", "id-conflict", rows, text, {"patient_id": patient, "sex": sexes}
            )
        ages = sorted({age for row in rows if (age := row_age(data, row)) is not None})
        if ages and ages[-1] - ages[0] > MAX_AGE_DIFFERENCE:
            text = f"patient {patient} is {ages[0]:g} and {ages[-1]:g} years old"
            yield data.make_finding(
                "warning", "id-conflict", rows, text, {"patient_id": patient, "age": ages}
            )


def check_ages(data: AuditData) -> Iterator[Finding]:
    """A warning for ages that nobody has, by dataset."""
    wrong: dict[str, list[int]] = {}
    for row in range(data.table.num_rows):
        age = row_age(data, row)
        if age is not None and not 0 <= age <= MAX_AGE:
            wrong.setdefault(str(data.text_column("dataset")[row]), []).append(row)
    for rows in wrong.values():
        found = sorted({data.value_column("age")[row] for row in rows})
        text = f"{count_nouns(len(rows), 'image', 'are')} of people aged {', '.join(f'{age:g}' for age in found[:4])} years"
        yield data.make_finding("warning", "id-conflict", rows, text, {"age": found})


def row_age(data: AuditData, row: int) -> float | None:
    age: float | None = data.value_column("age")[row]
    return None if age is None or isnan(age) else age


# ------------------------------------------------------------------ skin tone


def wilson_interval(n: int, rate: float = WIDEST_RATE, z: float = Z_95) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of a rate seen in n independent cases; 0 to 1 where there are none."""
    if n == 0:
        return 0.0, 1.0
    center = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half_width = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, center - half_width), min(1.0, center + half_width)


def wilson_half_width(n: int) -> float:
    low, high = wilson_interval(n)
    return (high - low) / 2


def check_skin_tone(data: AuditData) -> Iterator[Finding]:
    """A warning for each Fitzpatrick type with too few people for a claim, and a note where only classes are."""
    rows: dict[int, list[int]] = {number: [] for number in SKIN_TYPES}
    for row, number in enumerate(data.value_column("fitzpatrick")):
        if number in rows:
            rows[number].append(row)
    if any(rows.values()):
        for number in SKIN_TYPES:
            yield from check_skin_type(data, number, rows[number])
    elif data.table.num_rows and not any(data.value_column("fitzpatrick_range")):
        text = "no image states a skin type: nothing can be said of whom a model works for"
        yield data.make_finding("warning", "skin-tone-coverage", [], text, {"images": 0})


def check_skin_type(data: AuditData, number: int, rows: Sequence[int]) -> Iterator[Finding]:
    people, images = count_independent(data, rows), len(rows)
    low, high = wilson_interval(people)
    classes = class_coverage(data, rows)
    small = [name for name, one in classes.items() if one["half_width"] > MAX_HALF_WIDTH]
    evidence = {
        "fitzpatrick": number, "images": images, "people": people, "rate": WIDEST_RATE, "low": round(low, 4),
        "high": round(high, 4), "half_width": round((high - low) / 2, 4), "classes": classes,
    }  # fmt: skip
    if not images:
        text = f"no image of skin type {SKIN_TYPES[number]}: no claim can be made for it"
        yield data.make_finding("warning", "skin-tone-coverage", rows, text, evidence)
    elif (high - low) / 2 > MAX_HALF_WIDTH:
        whose = "person or lesion" if people == 1 else "people or lesions"
        text = (
            f"skin type {SKIN_TYPES[number]}: "
            f"{count_nouns(images, 'image')} of {people:,} {whose} {agree_verb(images, 'are')} "
            "too few for a claim: "
            f"a rate of 50 % seen on them may be {100 * low:.0f} to {100 * high:.0f} %"
        )
        yield data.make_finding("warning", "skin-tone-coverage", rows, text, evidence)
    elif small:
        text = (
            f"skin type {SKIN_TYPES[number]}: too few images for a claim about "
            f"{len(small)} of {count_nouns(len(classes), 'class')}"
        )
        yield data.make_finding("note", "skin-tone-coverage", rows, text, evidence)


def class_coverage(data: AuditData, rows: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Every class of the table: its images and people among the rows, and the interval's half width."""
    found: dict[str, list[int]] = {name: [] for name in sorted(set(data.classes) - {None}, key=str)}  # type: ignore[misc]  # None is taken out of the set
    for row in rows:
        if (name := data.classes[row]) is not None:
            found[name].append(row)
    people = {name: count_independent(data, some) for name, some in found.items()}
    return {
        name: {
            "images": len(some),
            "people": people[name],
            "half_width": round(wilson_half_width(people[name]), 4),
        }
        for name, some in found.items()
    }


def count_independent(data: AuditData, rows: Sequence[int]) -> int:
    """Different patients, else lesions, else images: images of one person are not independent of each other."""
    patients, lesions = data.text_column("patient_id"), data.text_column("lesion_id")
    return len({patients[row] or lesions[row] or data.keys[row] for row in rows})


# ------------------------------------------------------------------ classes and places


def check_imbalance(data: AuditData) -> Iterator[Finding]:
    """A note where one class has many times the images of another."""
    sizes = Counter(name for name in data.classes if name is not None).most_common()
    if len(sizes) > 1 and sizes[0][1] >= MIN_IMBALANCE * sizes[-1][1]:
        (largest, many), (smallest, few) = sizes[0], sizes[-1]
        text = (
            f"{largest} has {count_nouns(many, 'image')}, {smallest} {few:,}: {many / few:.0f} times as many"
        )
        yield data.make_finding(
            "note", "class-imbalance", [], text, {"column": "class", "images": dict(sizes)}
        )


def check_confounding(data: AuditData) -> Iterator[Finding]:
    """A warning for a class whose images all but come from one place that is not that of most others."""
    for place in CONFOUNDERS:
        cells = Counter(
            (name, word)
            for name, word in zip(data.classes, data.text_column(place), strict=True)
            if name is not None and word is not None
        )
        classes, places = Counter[str](), Counter[str]()
        for (name, word), count in cells.items():
            classes[name] += count
            places[word] += count
        for (name, word), count in sorted(cells.items()):
            share, usual = count / classes[name], places[word] / places.total()
            if (
                share >= MIN_CONFOUNDED_SHARE
                and usual <= MAX_USUAL_SHARE
                and classes[name] >= MIN_CONFOUNDED_IMAGES
            ):
                text = (
                    f"{100 * share:.0f} % of {name} come from {place} {word}, of all images {100 * usual:.0f} %: "
                    "a model can learn the place instead of the disease"
                )
                evidence = {"column": place, "value": word, "class": name, "share": round(share, 4),
                            "share_of_all": round(usual, 4), "images": classes[name]}  # fmt: skip
                yield data.make_finding("warning", "class-imbalance", [], text, evidence)


# ------------------------------------------------------------------ what contradicts


def check_malignancy(data: AuditData) -> Iterator[Finding]:
    """By dataset: a note where its own word on malignancy contradicts the harmonized one, with both counted.

    A dataset of two words calls a wart benign, where malignancy does not apply: that is no contradiction.
    """
    found: dict[str, list[int]] = {}
    pairs = zip(data.text_column("malignancy"), data.text_column("malignancy_source"), strict=True)
    for row, (ours, theirs) in enumerate(pairs):
        if not MALIGNANCY_LEVELS.get(ours, ANY_LEVEL) & MALIGNANCY_LEVELS.get(theirs, ANY_LEVEL):
            found.setdefault(data.text_column("dataset")[row] or "", []).append(row)
    for dataset in sorted(found):
        yield malignancy_finding(data, found[dataset])


def malignancy_finding(data: AuditData, rows: Sequence[int]) -> Finding:
    columns = [data.text_column(name) for name in ("malignancy_source", "malignancy", "diagnosis")]
    words = Counter(tuple(column[row] or "none" for column in columns) for row in rows).most_common()
    shown = [
        f"{theirs} of {diagnosis}, which is {ours} ({count:,})"
        for (theirs, ours, diagnosis), count in words[:WORDS_SHOWN]
    ]
    more = f", {len(words) - WORDS_SHOWN} more" if len(words) > WORDS_SHOWN else ""
    images = count_nouns(len(rows), "image")
    text = f"malignancy is not what the dataset says in {images}: it says {', '.join(shown)}{more}"
    names = ("malignancy_source", "malignancy", "diagnosis")
    evidence = {"words": [{**dict(zip(names, one, strict=True)), "images": count} for one, count in words]}
    return data.make_finding("note", "malignancy-differs", rows, text, evidence)


# ------------------------------------------------------------------ what is not stated


def check_missing_metadata(data: AuditData) -> Iterator[Finding]:
    """By dataset: a note for each column that some rows lack, one for those that all lack, and what joins rows."""
    for dataset in data.dataset_names():
        rows = data.dataset_rows(dataset)
        yield from missing_columns(data, dataset, rows)
        if not any(data.text_column(name)[row] for row in rows for name in GROUP_COLUMNS):
            text = (
                "no row has a patient, lesion or case id: only copies tell what must not be parted in a split"
            )
            evidence = {"columns": GROUP_COLUMNS, "rows": len(rows)}
            yield dataset_finding(dataset, "warning", "metadata-missing", text, evidence)


def missing_columns(data: AuditData, dataset: str, rows: Sequence[int]) -> Iterator[Finding]:
    lacking = {name: [row for row in rows if is_missing(data, name, row)] for name in EXPECTED_COLUMNS}
    for name, some in lacking.items():
        if 0 < len(some) < len(rows):
            yield missing_values_finding(data, name, some, len(rows))
    never = [name for name, some in lacking.items() if len(some) == len(rows)]
    if never:
        text = f"no row states {', '.join(never)}"
        evidence = {"columns": never, "rows": len(rows)}
        yield dataset_finding(dataset, "note", "metadata-missing", text, evidence)


def missing_values_finding(data: AuditData, name: str, lacking: Sequence[int], rows: int) -> Finding:
    patients = len({one for row in lacking if (one := data.text_column("patient_id")[row])})
    of = f" ({patients:,} {'patient' if patients == 1 else 'patients'})" if patients else ""
    level: Level = "warning" if name == "diagnosis" else "note"
    text = f"{name} is missing in {len(lacking):,} of {count_nouns(rows, 'image')}{of}"
    evidence = {"column": name, "missing": len(lacking), "rows": rows, "patients": patients}
    return data.make_finding(level, "metadata-missing", lacking, text, evidence)


def is_missing(data: AuditData, name: str, row: int) -> bool:
    """Ranges and graded labels state the thing too."""
    if name == "diagnosis":
        return data.text_column("label_raw")[row] is None and not data.value_column("differential")[row]
    if name == "fitzpatrick" and data.value_column("fitzpatrick_range")[row]:
        return False
    if name == "age":
        age = data.value_column("age")[row]
        return (age is None or isnan(age)) and data.text_column("age_raw")[row] is None
    return data.value_column(name)[row] is None


def dataset_finding(dataset: str, level: Level, code: str, text: str, evidence: Mapping[str, Any]) -> Finding:
    """A finding about all rows of a dataset, which are not named one by one."""
    return Finding(level=level, code=code, dataset=dataset or None, keys=(), message=text, evidence=evidence)


# ------------------------------------------------------------------ what the catalog states


def check_licenses(data: AuditData) -> Iterator[Finding]:
    """A warning where no one license fits all rows or one is not known, a note where several are mixed."""
    terms = terms_by_dataset(data)
    ids = {dataset: sorted(one.id or "" for one in several) for dataset, several in terms.items()}
    names = sorted(set(chain.from_iterable(ids.values())))
    if len(names) < 2 and names != [""]:
        return
    mix = combine_terms(terms)
    stated = ", ".join(name or "none stated" for name in names)
    text = f"licenses: {stated}; all of it together: {mix.id or 'no one license'}"
    evidence = {**vars(mix), "because": list(mix.because), "licenses": ids}
    datasets = ", ".join(sorted(filter(None, terms)))
    yield dataset_finding(datasets, "note" if mix.id else "warning", "license-mix", text, evidence)


def terms_by_dataset(data: AuditData) -> dict[str, list[LicenseTerms]]:
    """The terms of each license that a dataset's rows have; rows without a dataset are under ""."""
    pairs = zip(data.text_column("dataset"), data.text_column("license"), strict=True)
    found: dict[str, list[LicenseTerms]] = {}
    for dataset, name in dict.fromkeys((dataset or "", name) for dataset, name in pairs):
        entry = data.entries.get(dataset)
        found.setdefault(dataset, []).append(license_terms(name, entry.license if entry else None))
    return found


def check_counts(data: AuditData) -> Iterator[Finding]:
    """A warning for each number that is not the catalog's, of datasets that are whole here."""
    for name in sorted(data.complete_datasets & data.entries.keys()):
        entry = data.entries[name]
        table = data.table.filter(pc.equal(data.table["dataset"].cast(pa.string()), name))
        held = {role for one in entry.files if one.fetch for role in (one.role, *one.members.values())}
        roles = held & set(data.fetched_roles.get(name, ()))
        for text in count_differences(entry, table, roles):
            evidence = {"source": entry.facts.get("counts")}
            yield dataset_finding(entry.name, "warning", "count-differs", text, evidence)


def check_known_issues(data: AuditData) -> Iterator[Finding]:
    """The catalog's notes on each dataset, and the images that two datasets of the table have in common."""
    here = set(data.dataset_names())
    for name in sorted(here & data.entries.keys()):
        entry = data.entries[name]
        source = entry.facts.get("notes") or entry.homepage
        for note in entry.notes:
            yield dataset_finding(entry.name, "note", "known-issue", note, {"source": source})
        for overlap in entry.overlaps:
            both = overlap.dataset in here
            text = f"shares images with {overlap.dataset}: {overlap.note}"
            evidence = {"source": source, "overlaps": overlap.dataset, "both_here": both}
            yield dataset_finding(entry.name, "warning" if both else "note", "known-issue", text, evidence)
