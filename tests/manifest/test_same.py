"""Rows of the same word, told as a dictionary would tell them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.manifest import columns
from dermdata.manifest.columns import first_rows, is_increasing, shared_words

word = st.none() | st.text("ab0é\x00", max_size=3)
chunked_words = st.lists(st.lists(word, max_size=8), max_size=4)


def plain(words: list[str | None]) -> list[int]:
    """One at a time."""
    first: dict[str, int] = {}
    return [row if one is None else first.setdefault(one, row) for row, one in enumerate(words)]


@pytest.mark.parametrize("small", [0, 1_000_000])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@given(chunks=chunked_words)
def test_the_first_row_of_each_word(small: int, kind: pa.DataType, chunks: list[list[str | None]]) -> None:
    """In one go or by the words' last byte, however the column is cut: what has no word stands alone."""
    words = [one for chunk in chunks for one in chunk]
    column = pa.chunked_array([pa.array(chunk, kind) for chunk in chunks], kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "SMALL_ROWS", small)
        assert first_rows(column).tolist() == plain(words)
        assert first_rows(column[1:]).tolist() == plain(words[1:])


@given(words=st.lists(word))
def test_words_as_pythons_own_are_each_held_once(words: list[str | None]) -> None:
    found = shared_words(pa.array(words, pa.string()))
    assert found == words
    assert len({id(one) for one in found}) == len({*words})


@given(chunks=chunked_words)
def test_rising_words_are_all_there_and_all_different(chunks: list[list[str | None]]) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string())
    words = [one for chunk in chunks for one in chunk]
    known = [one for one in words if one is not None]
    assert is_increasing(column) == (known == words and sorted(set(known), key=str.encode) == words)


def test_a_million_words_in_parts() -> None:
    """The size at which the words are parted."""
    numbers = np.random.default_rng(1).integers(0, 400_000, 1_100_000)
    column = pa.chunked_array([pa.array(part.astype(str)) for part in np.array_split(numbers, 3)])
    _, first, place = np.unique(numbers, return_index=True, return_inverse=True)
    assert np.array_equal(first_rows(column), first[place])
