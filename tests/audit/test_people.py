"""Ids, sexes and ages that contradict each other are warnings."""

import pytest

from support.audit_builders import audited, rows


def test_a_lesion_of_two_patients() -> None:
    (one,) = audited(rows(lesion_id=["l", "l"], patient_id=["p", "q"]), "id-conflict")
    assert (one.level, one.evidence) == ("warning", {"lesion_id": "l", "patient_id": ["p", "q"]})


def test_a_patient_of_two_sexes() -> None:
    (one,) = audited(rows(patient_id=["p", "p"], sex=["female", "male"]), "id-conflict")
    assert one.evidence["sex"] == ["female", "male"]


@pytest.mark.parametrize(("ages", "wrong"), [([20, 60], False), ([20, 61], True), ([20, None], False)])
def test_ages_that_one_person_cannot_have(ages: list[float | None], wrong: bool) -> None:
    """Forty years of images of one person there may be."""
    assert bool(audited(rows(patient_id=["p", "p"], age=ages), "id-conflict")) is wrong


@pytest.mark.parametrize(
    ("age", "wrong"), [(-1, True), (0, False), (120, False), (200, True), (float("nan"), False)]
)
def test_ages_that_nobody_has(age: float, wrong: bool) -> None:
    assert bool(audited(rows(age=[age]), "id-conflict")) is wrong


def test_unknown_ids_conflict_with_nothing() -> None:
    table = rows(lesion_id=["l", "l"], patient_id=["p", None], sex=["male", None])
    assert audited(table, "id-conflict") == []
