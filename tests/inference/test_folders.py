"""Which level of the folders is the label and which the split, by what the folders are called."""

from collections.abc import Sequence

import pytest

from dermdata.inference.columns import Surroundings
from dermdata.inference.folders import guess_folders, write_pattern

DIAGNOSES = {"nevus", "melanoma", "acne", "foot ulcer"}
AROUND = Surroundings(
    is_image=lambda word: False,
    is_diagnosis=lambda word: word.lower().replace("_", " ") in DIAGNOSES,
    find_site=lambda word: None,
)


def paths(*folders: str, each: int = 4) -> list[str]:
    """So many pictures in each folder, each with a name of its own."""
    return [
        f"{folder}/{place}_{number}.jpg" for place, folder in enumerate(folders) for number in range(each)
    ]


def look(names: Sequence[str]) -> tuple[dict[str, str], set[tuple[str, str]], str]:
    """What is sure, what is asked, and the pattern."""
    found = guess_folders(names, AROUND)
    sure = {one.field: one.column for one in found.guesses if one.is_sure}
    asked = {(one.field, one.column) for one in found.guesses if not one.is_sure}
    return sure, asked, write_pattern(found.levels, {column: field for field, column in sure.items()})


@pytest.mark.parametrize(
    ("folders", "sure", "pattern"),
    [
        (("nevus", "melanoma"), {"label_raw": "level_1"}, "**/{label_raw}/{image}"),
        (("x/nevus", "x/melanoma"), {"label_raw": "level_1"}, "**/{label_raw}/{image}"),
        (("nevus/images", "melanoma/images"), {"label_raw": "level_2"}, "**/{label_raw}/images/{image}"),
        (("nevus/a", "melanoma/b"), {"label_raw": "level_2"}, "**/{label_raw}/{level_1}/{image}"),
        (
            ("train/nevus", "train/acne", "test/nevus"),
            {"label_raw": "level_1", "split_official": "level_2"},
            "**/{split_official}/{label_raw}/{image}",
        ),
        (
            ("nevus/train", "acne/train", "acne/val"),
            {"label_raw": "level_2", "split_official": "level_1"},
            "**/{label_raw}/{split_official}/{image}",
        ),
        (("train", "test"), {"split_official": "level_1"}, "**/{split_official}/{image}"),
        (("nevus",), {}, "**/{image}"),  # one folder is no class
        (("a{b}", "a{b}"), {}, "**/{image}"),
        (
            ("Nevus_photos", "acne (all)", "my melanoma", "rest"),
            {"label_raw": "level_1"},
            "**/{label_raw}/{image}",
        ),
    ],
)
def test_levels_of_known_names(folders: Sequence[str], sure: dict[str, str], pattern: str) -> None:
    found, asked, made = look(paths(*folders))
    assert (found, asked, made) == (sure, set(), pattern)


@pytest.mark.parametrize(
    ("folders", "asked"),
    [
        (("Muster", "Sonstiges"), {("label_raw", "level_1")}),
        (("P001", "P002"), set()),  # ids
        (("images", "masks"), set()),  # kinds of files
        (("Foot Ulcer Challenge", "Other set"), {("label_raw", "level_1")}),  # a title that names one
    ],
)
def test_levels_of_unknown_names_are_asked_at_most(
    folders: Sequence[str], asked: set[tuple[str, str]]
) -> None:
    found, questions, pattern = look(paths(*folders))
    assert (found, questions, pattern) == ({}, asked, "**/{image}")


def test_pictures_that_lie_in_several_parts_are_no_official_split() -> None:
    """A cross-validation has each picture in a test part once."""
    folds = [
        f"fold{fold}/{part}/nevus/{name}.jpg"
        for fold in (1, 2)
        for part in ("train", "test")
        for name in "abcd"
    ]
    sure, asked, _ = look(folds)
    assert (sure, asked) == ({}, {("split_official", "level_2")})


def test_a_picture_above_all_folders_leaves_nothing_to_say() -> None:
    """No level is one that every picture has."""
    assert look([*paths("nevus", "melanoma"), "logo.png"])[0] == {}
