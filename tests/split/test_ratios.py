"""`train=0.7,val=0.15,test=0.15` as names and shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.errors import UsageError
from dermdata.markup import count_nouns
from dermdata.split import parse_ratios
from dermdata.split.run import require_folds

ASKED = {"train": 0.7, "val": 0.15, "test": 0.15}


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        ("", "0 numbers", "train=0.7"),
        ("train=0.7,val=0.2", "sum to 0.9", "train=0.7778,val=0.2222"),
        ("train=0.7,train=0.3", "'train' is named twice", "train=0.7"),
        ("train=0.7,0.3", "some have none", "train=0.7"),
        ("train=x", "'x' in 'train=x' is no number", "train=0.7"),
        ("train=1.2,test=-0.2", "'test' has the ratio -0.2", "leave it out"),
        ("train=1,test=0", "'test' has the ratio 0", "leave it out"),
        ("train=nan,test=1", "'train' has the ratio nan", "leave it out"),
        ("train=inf,test=1", "'train' has the ratio inf", "leave it out"),
        ("=0.5,b=0.5", "'' cannot be the name", "letters"),
        ("../a=1", "'../a' cannot be the name", "letters"),
        ("0.25,0.25,0.25,0.25", "4 numbers", "train=0.7"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, cause: str, hint: str) -> None:
    """The message names the mistake, the hint shows what to write."""
    with pytest.raises(UsageError) as refused:
        parse_ratios(text)
    assert cause in refused.value.message
    assert hint in str(refused.value.hint)


@pytest.mark.parametrize(
    "text",
    [
        "train=0.7,val=0.15,test=0.15",
        " train = 0.7 , val = 0.15 , test = 0.15 ",
        "0.7,0.15,0.15",
        "70,15,15",
        "70%,15%,15%",
        "train=70%,val=15%,test=0.15",
    ],
)
def test_ways_to_write_the_same(text: str) -> None:
    """Names may be left out, percentages are understood."""
    assert parse_ratios(text) == pytest.approx(ASKED)
    assert list(parse_ratios(text)) == list(ASKED)


def test_two_numbers_are_train_and_test() -> None:
    """The usual pair."""
    assert parse_ratios("0.8,0.2") == {"train": 0.8, "test": 0.2}


@given(st.lists(st.integers(1, 99), min_size=2, max_size=20))
def test_named_shares_survive_a_round_trip(numbers: list[int]) -> None:
    """What Python writes, we read."""
    shares = {f"p{i}": number / sum(numbers) for i, number in enumerate(numbers)}
    assert parse_ratios(",".join(f"{name}={share!r}" for name, share in shares.items())) == shares


@pytest.mark.parametrize("folds", [-1, 0, 1, 128])
def test_folds_out_of_range_are_refused(folds: int) -> None:
    """One fold is no split, and the manifest's int8 ends at 127."""
    with pytest.raises(UsageError, match=f"cannot make {count_nouns(folds, 'fold')}"):
        require_folds(folds)
