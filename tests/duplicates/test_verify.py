"""Candidates are copies only if the images say so."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from dermdata import duplicates, images
from dermdata.duplicates import Pairs, near_duplicates
from support.lesion_pictures import blurred_lesion, jpeg, turned_picture

Raster = np.ndarray


def candidates(*pairs: tuple[int, int, int]) -> Pairs:
    i, j, turn = (np.array(column) for column in zip(*pairs, strict=True))
    return Pairs(i.astype(np.int64), j.astype(np.int64), np.zeros(len(i), np.uint8), turn.astype(np.uint8))


def likeness(one: Raster, other: Raster) -> float:
    return near_duplicates.correlate_rasters([(one, other)])[0]


def rasters(*pictures: Image.Image) -> list[Raster]:
    return [images.read_raster(jpeg(picture)) for picture in pictures]


@pytest.mark.parametrize("seed", range(4))
def test_two_lesions_are_no_copies(seed: int) -> None:
    one, other = rasters(blurred_lesion(seed), blurred_lesion(seed + 100))
    assert likeness(one, other) < duplicates.MIN_CORRELATION


@pytest.mark.parametrize("edges", [(15, 11, 15, 11), (0, 0, 30, 22), (30, 0, 0, 22)])
def test_a_crop_is_found_wherever_it_was_taken(edges: tuple[int, int, int, int]) -> None:
    picture = blurred_lesion(1)
    left, top, right, bottom = edges
    crop = picture.crop((left, top, picture.width - right, picture.height - bottom))
    assert likeness(*rasters(picture, crop)) >= duplicates.MIN_CORRELATION


def test_the_candidate_s_turn_is_used() -> None:
    """Pairs keep their order and get their likeness; the same pair in a wrong turn is no copy."""
    small = rasters(blurred_lesion(1), turned_picture(blurred_lesion(1), 5), blurred_lesion(2))
    back = 6
    found = list(duplicates.verify_pairs(candidates((0, 1, back), (0, 1, 0), (0, 2, 0)), small.__getitem__))
    assert [(pair.i, pair.j, pair.transform) for pair in found] == [(0, 1, "rotated by 90 counterclockwise")]
    assert found[0].likeness == pytest.approx(1, abs=0.01)


def test_images_without_contrast_are_not_alike() -> None:
    """No correlation is a number here, never a warning or nan."""
    flat, other = np.full((48, 48), 7, np.float32), rasters(blurred_lesion(1))[0]
    assert likeness(flat, flat) == likeness(flat, other) == 0


def test_each_image_is_read_once_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Executor or not, portions or not: the same pairs."""
    read: list[int] = []
    small = rasters(blurred_lesion(1), blurred_lesion(1), blurred_lesion(2))

    def raster(number: int) -> Raster:
        read.append(number)
        return small[number]

    pairs = candidates((0, 1, 0), (0, 2, 0), (1, 2, 0))
    whole = list(duplicates.verify_pairs(pairs, raster))
    assert sorted(read) == [0, 1, 2]
    monkeypatch.setattr(near_duplicates, "PAIRS_PER_BATCH", 2)
    monkeypatch.setattr(near_duplicates, "PAIRS_PER_TASK", 1)
    with ThreadPoolExecutor(2) as threads:
        assert list(duplicates.verify_pairs(pairs, raster, run=threads.map)) == whole


def test_two_sets_are_read_each_by_its_own_numbers() -> None:
    left, right = rasters(blurred_lesion(1), blurred_lesion(2)), rasters(blurred_lesion(2), blurred_lesion(1))
    pairs = candidates((0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0))
    found = duplicates.verify_pairs(pairs, left.__getitem__, right.__getitem__)
    assert [(pair.i, pair.j) for pair in found] == [(0, 1), (1, 0)]


def test_an_image_that_is_gone_is_not_passed_over() -> None:
    def gone(number: int) -> Raster:
        raise FileNotFoundError(number)

    with pytest.raises(FileNotFoundError):
        duplicates.verify_pairs(candidates((0, 1, 0)), gone)


def test_no_candidates() -> None:
    assert len(duplicates.verify_pairs(duplicates.find_near_pairs([]), [].__getitem__)) == 0
