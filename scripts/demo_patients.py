"""The invented patients of the demo dataset: who has which lesion, photographed how often."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Rng = np.random.Generator

SEED = 20_240
NO_AGE, NO_SEX = (7, 23, 41), (12, 35)  # patients

COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization",
           "patient_id", "fitzpatrick", "image_type")  # fmt: skip

PATIENTS_BY_TYPE = {1: 6, 2: 17, 3: 13, 4: 8, 5: 4, 6: 2}


class Disease(NamedTuple):
    """How often, how old, how sun-related, how confirmed and where one diagnosis is."""

    lesions: int
    age: float
    shade: float  # 0: fair skin only; the higher, the less it depends on the skin type
    confirmed: tuple[str, ...]
    sites: tuple[str, ...]


LIMBS = ("upper extremity", "lower extremity")
DISEASES = {
    "nv": Disease(35, 42, 2.3, ("follow_up", "follow_up", "histo", "consensus"),
                  ("back", "trunk", "abdomen", "chest", "foot", "unknown", *LIMBS)),
    "mel": Disease(9, 61, 1.2, ("histo",), ("back", "chest", *LIMBS)),
    "bkl": Disease(7, 66, 1.6, ("histo", "consensus", "confocal"), ("face", "back", "scalp", "trunk")),
    "bcc": Disease(6, 69, 0.4, ("histo",), ("face", "neck", "ear", "back")),
    "akiec": Disease(4, 71, 0.0, ("histo",), ("face", "scalp", "hand")),
    "vasc": Disease(3, 50, 2.6, ("consensus", "histo"), ("trunk", "genital", "abdomen")),
    "df": Disease(2, 46, 2.6, ("histo", "consensus"), LIMBS),
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One row of the table and all that its drawing depends on."""

    image_id: str
    lesion: int
    view: int  # number of the picture within its lesion
    clinical: bool
    dx: str
    dx_type: str
    site: str
    patient: int
    fitzpatrick: int
    age: str
    sex: str

    def row(self) -> tuple[str, ...]:
        return (f"DEMO_L{self.lesion:03}", self.image_id, self.dx, self.dx_type, self.age, self.sex,
                self.site, f"DEMO_P{self.patient:03}", str(self.fitzpatrick),
                "clinical" if self.clinical else "dermoscopic")  # fmt: skip


def generator(*key: int) -> Rng:
    return np.random.default_rng([SEED, *key])


def lesions(rng: Rng) -> list[tuple[str, int, int]]:
    """(diagnosis, patient, skin type) of each drawn lesion: sun damage leans to fair skin."""
    types = rng.permutation([kind for kind, count in PATIENTS_BY_TYPE.items() for _ in range(count)])
    fair_first = np.argsort(types + rng.normal(0, 0.9, len(types)))
    names = [name for name, disease in DISEASES.items() for _ in range(disease.lesions)]
    sun_first = np.argsort([DISEASES[name].shade for name in names] + rng.normal(0, 0.8, len(names)))
    owners = [int(fair_first[place * len(types) // len(names)]) for place in range(len(names))]
    drawn = [
        (names[lesion], owner + 1, int(types[owner])) for lesion, owner in zip(sun_first, owners, strict=True)
    ]
    return [drawn[place] for place in rng.permutation(len(drawn))]


def views(lesion: int) -> tuple[bool, ...]:
    """Clinical or not, for each picture of a lesion: 78 dermoscopic and 37 clinical ones over 66 lesions."""
    if lesion % 20 in (3, 9, 16):
        return (True,)
    closer, from_afar = lesion % 8 in (1, 4, 6), lesion % 2 == 1 or lesion % 33 == 0
    return (False, *[False] * closer, *[True] * from_afar)


def person(patient: int, dx: str) -> tuple[str, str]:
    """Age as HAM10000 writes it, in steps of five years, and sex."""
    rng = generator(1, patient)
    age = float(np.clip(round(rng.normal(DISEASES[dx].age, 11) / 5) * 5, 10, 85))
    sex = "unknown" if patient in NO_SEX else str(rng.choice(["male", "female"]))
    return ("" if patient in NO_AGE else f"{age:.1f}"), sex


def drawn_pictures() -> list[Picture]:
    """The pictures that are drawn; copies are planted afterwards."""
    pictures: list[Picture] = []
    people: dict[int, tuple[str, str]] = {}
    for lesion, (dx, patient, kind) in enumerate(lesions(generator(0)), start=1):
        rng, disease = generator(2, lesion), DISEASES[dx]
        dx_type, site = str(rng.choice(disease.confirmed)), str(rng.choice(disease.sites))
        age, sex = people.setdefault(patient, person(patient, dx))
        for view, clinical in enumerate(views(lesion)):
            name = f"DEMO_{len(pictures) + 1:04}"
            pictures.append(Picture(name, lesion, view, clinical, dx, dx_type, site, patient, kind, age, sex))
    return pictures
