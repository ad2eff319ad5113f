"""Kills at random boundaries over everything that writes: tests/slow/chaos.py in short form, always the same ones."""

from collections.abc import Iterator

import pytest

from faults.stage import CountingSite
from slow.chaos import Stage, Tally, try_kind
from support.forks import Forks

pytestmark = pytest.mark.xdist_group("random kills")  # one stage
SEED = 12
KILLED = {  # kind -> the number of a trial that reaches deep
    "fetch": 0, "part": 0, "rest": 0, "force": 0, "bundled": 5, "sync": 0, "webdataset": 0, "imagefolder": 0,
    "huggingface": 0, "parquet": 0, "repair": 0, "two-fetches": 3, "two-exports": 36,
}  # fmt: skip
REFUSED = {"altered-export": 0, "altered-sync": 0, "changed-source": 1}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("kills")
    with CountingSite() as site, Forks(root / "said") as forks:
        yield Stage(root, site, forks, measure=False)


@pytest.mark.parametrize(("kind", "number"), KILLED.items(), ids=KILLED)
def test_what_is_killed_is_made_right_by_the_next_run(kind: str, number: int, stage: Stage) -> None:
    """Right bytes under all names, the reference's manifest and outputs, nothing for verify to say."""
    tally = Tally()
    try_kind(stage, kind, number, SEED, tally)
    assert tally.wrong + tally.failed == []


@pytest.mark.parametrize(("kind", "number"), REFUSED.items(), ids=REFUSED)
def test_what_was_altered_meanwhile_is_refused(kind: str, number: int, stage: Stage) -> None:
    """An image or a source that is another one of the same size: exit 4, and right after the mend."""
    tally = Tally()
    try_kind(stage, kind, number, SEED, tally)
    assert tally.wrong + tally.failed == []


def test_the_kills_do_hit(stage: Stage) -> None:
    """Most of the processes that are to die do so in flight: a machine that kills nobody would always be content."""
    tally = Tally()
    for number in range(4):
        try_kind(stage, "fetch", number, SEED, tally)
    assert tally.killed >= 3


def test_wrong_bytes_are_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reference is another one, the trial is wrong."""
    name = next(name for name in stage.good if name.endswith(".jpg"))
    monkeypatch.setitem(stage.good, name, b"another image")
    tally = Tally()
    try_kind(stage, "fetch", 0, SEED, tally)
    assert [name in story for story in tally.wrong] == [True]
