"""Pairs of hashes within a distance: exactly those that comparing all with all finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.duplicates import Pairs, find_near_pairs, hash_join
from dermdata.images.phash import INVERSE_TURNS, Hashes, turn_hashes

Found = dict[tuple[int, int], int]


def random_hashes(seed: int, count: int) -> Hashes:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


def with_copies(seed: int, count: int, most: int) -> Hashes:
    """Hashes, and turned copies of them with up to `most` bits changed."""
    rng = np.random.default_rng(seed)
    copies = turn_hashes(hashes := random_hashes(seed, count), rng.integers(0, 8, count))
    for row, changed in enumerate(rng.integers(0, most + 1, count)):
        for bit in rng.choice(64, changed, replace=False):
            copies[row] ^= np.uint64(1) << np.uint64(bit)
    return np.concatenate([hashes, copies])


def brute(left: Hashes, right: Hashes, radius: int, turns: int = 8) -> Found:
    apart = np.min(
        [np.bitwise_count(left[:, None] ^ turn_hashes(right, turn)) for turn in range(turns)], axis=0
    )
    return {(i, j): int(apart[i, j]) for i, j in np.argwhere(apart <= radius).tolist()}


def of_one_set(found: Found) -> Found:
    return {(i, j): apart for (i, j), apart in found.items() if i < j}


def as_found(pairs: Pairs) -> Found:
    return dict(
        zip(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True), pairs.distance.tolist(), strict=True)
    )


@pytest.mark.parametrize("radius", [0, 3, 4, 7, 8, 11])
def test_no_pair_within_the_radius_is_missed(radius: int) -> None:
    """Changed in up to two bits more than the radius allows, so that its edge is met from both sides."""
    hashes = with_copies(radius, 120, radius + 2)
    found = find_near_pairs(hashes, radius=radius)
    assert as_found(found) == of_one_set(brute(hashes, hashes, radius))
    assert len(found) > 30


@pytest.mark.parametrize("low_bits", [6, 12])
def test_hashes_that_share_most_bits_are_told_apart(low_bits: int) -> None:
    """Real hashes are not random: many lie in one class of a band, and symmetric ones match in several turns."""
    hashes = random_hashes(1, 150) & np.uint64(2**low_bits - 1)
    assert as_found(find_near_pairs(hashes)) == of_one_set(brute(hashes, hashes, hash_join.DEFAULT_RADIUS))


def test_thousands_of_hashes_in_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pairs, distances and turns as all with all; looked up in portions, copies among them and symmetric ones.

    Of several turns at the least distance the first counts, as the image of the smaller hash sees the other.
    """
    monkeypatch.setattr(hash_join, "PROBES", 17 * 700)
    few_bits = random_hashes(10, 500) & np.uint64(2**12 - 1)
    hashes = np.unique(np.concatenate([with_copies(9, 1_000, 9), few_bits]))
    apart = np.array([np.bitwise_count(hashes[:, None] ^ turn_hashes(hashes, turn)) for turn in range(8)])
    i, j = np.nonzero(np.triu(apart.min(axis=0) <= hash_join.DEFAULT_RADIUS, 1))

    ascending, descending = find_near_pairs(hashes), find_near_pairs(hashes[::-1])

    assert len(i) > 5_000
    assert len(np.unique(ascending.turn)) == 8
    expected = np.array([i, j, apart.min(axis=0)[i, j], apart.argmin(axis=0)[i, j]])
    assert np.array_equal(columns(ascending), expected)
    rows = np.array([len(hashes) - 1 - j, len(hashes) - 1 - i, expected[2], INVERSE_TURNS[expected[3]]])
    assert np.array_equal(columns(descending), rows[:, np.lexsort((rows[1], rows[0]))])


def columns(pairs: Pairs) -> np.ndarray:
    return np.array([pairs.i, pairs.j, pairs.distance, pairs.turn])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 11))
def test_any_hashes(values: list[int], radius: int) -> None:
    hashes = np.array(values, np.uint64)
    assert as_found(find_near_pairs(hashes, radius=radius, workers=1)) == of_one_set(
        brute(hashes, hashes, radius)
    )


def test_two_sets_are_compared_across_only() -> None:
    hashes = with_copies(5, 80, 7)
    left, right = np.concatenate([hashes[:80], hashes[:3]]), np.concatenate([hashes[80:], hashes[80:83]])
    assert as_found(find_near_pairs(left, right)) == brute(left, right, hash_join.DEFAULT_RADIUS)


def test_the_transform_turns_the_second_image_onto_the_first() -> None:
    hashes = with_copies(6, 100, 5)
    found = find_near_pairs(hashes)
    back = turn_hashes(hashes[found.j], found.turn)
    assert np.bitwise_count(hashes[found.i] ^ back).tolist() == found.distance.tolist()


def test_without_turns_only_the_image_as_it_is_counts() -> None:
    hashes = with_copies(7, 100, 4)
    found = find_near_pairs(hashes, turns=False)
    assert as_found(found) == of_one_set(brute(hashes, hashes, hash_join.DEFAULT_RADIUS, turns=1))
    assert {pair.transform for pair in found} == {"as it is"}


def test_images_without_a_hash_are_like_nothing() -> None:
    """Rows keep their numbers."""
    one = bytes(range(8))
    assert [pair[:4] for pair in find_near_pairs([None, one, None, one])] == [(1, 3, 0, "as it is")]
    assert (
        len(find_near_pairs([])) == len(find_near_pairs([None, None])) == len(find_near_pairs([], [one])) == 0
    )


def test_the_same_placeholder_everywhere_does_not_fill_the_memory() -> None:
    """5,000 images of one hash are 4,999 pairs with the first, not 12 million; another near one meets the first."""
    found = find_near_pairs([b"\x01" * 8] * 5_000 + [b"\x01" * 7 + b"\0"])
    assert len(found) == 5_000
    assert set(found.i.tolist()) == {0}
    assert found.j.tolist() == list(range(1, 5_001))


def test_a_thousand_of_one_hash_are_all_paired() -> None:
    assert len(find_near_pairs([b"\x01" * 8] * 100)) == 100 * 99 // 2


@pytest.mark.parametrize("radius", [-1, 12])
def test_a_radius_that_cannot_be_searched_is_refused(radius: int) -> None:
    with pytest.raises(ValueError, match="radius must be 0-11"):
        find_near_pairs([], radius=radius)


def test_hashes_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="8 bytes, not 4"):
        find_near_pairs([b"1234"])


def test_workers_and_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = with_copies(8, 300, 7)
    whole = find_near_pairs(hashes, workers=1)
    monkeypatch.setattr(hash_join, "PROBES", 17 * 50)
    monkeypatch.setattr(hash_join, "BLOCK", 7)
    assert list(find_near_pairs(hashes, workers=3)) == list(whole)


@pytest.mark.parametrize("new", [0, 1, 7, 30])
def test_pairs_of_new_images_are_those_of_all_with_a_new_one(new: int) -> None:
    """None among the others is looked for, and none of the new ones is missed."""
    from dermdata.duplicates.near_duplicates import find_pairs_of_new

    start = np.random.default_rng(5).integers(0, 1 << 62, 6, dtype=np.uint64)
    hashes = [int(start[n % 6] ^ np.uint64(1 << (n // 6))).to_bytes(8, "little") for n in range(30)]
    every = {(one.i, one.j) for one in find_near_pairs(hashes)}
    found = {(one.i, one.j) for one in find_pairs_of_new(hashes, new, jobs=2)}
    assert found == {(i, j) for i, j in every if i < new}
