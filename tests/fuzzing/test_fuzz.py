"""Damaged files through the commands that read them: tests/slow/fuzz.py in short form, always the same ones."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fuzzing.inputs import CANARY, KINDS, PASSWD, Case, Room, make_case
from fuzzing.judge import cause, judge
from slow.fuzz import Fuzz, shrunk
from support.forks import Forks, Outcome

pytestmark = pytest.mark.xdist_group("fuzz")  # one room
SEED, INPUTS = 3, 3  # of each kind
GOOD = Outcome(0, "ended", 0.1, 1 << 20, b"", "")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    root = tmp_path_factory.mktemp("fuzz")
    with Forks(root / "said", seconds=30, memory=1 << 30) as forks:
        yield Room(root, forks)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_words(kind: str, room: Room) -> None:
    """A code of the contract, no traceback, nothing written or read outside, within a gigabyte and half a minute."""
    fuzz = Fuzz(room)
    for number in range(INPUTS):
        fuzz.try_case(make_case(room, SEED, number, [kind], 1, bomb_share=0))
    assert not fuzz.kept, str(fuzz)
    assert sum(fuzz.codes.values()) == INPUTS


def test_a_case_is_the_same_each_time(room: Room) -> None:
    every = [make_case(room, SEED, number, list(KINDS), 2) for number in range(20)]
    assert every == [make_case(room, SEED, number, list(KINDS), 2) for number in range(20)]
    assert len({case.kind for case in every}) > 5


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"code": 70, "err": "error: x"}, "exit 70"),
        ({"code": 7, "err": "error: x"}, "exit 7"),
        ({"code": -11}, "signal 11"),
        ({"code": -9, "how": "time"}, "time"),
        ({"code": -9, "how": "memory"}, "memory"),
        ({"code": 5, "err": "error: there is not enough memory"}, "memory asked for"),
        ({"code": 4}, "no words"),
        ({"err": "Traceback (most recent call last):"}, "traceback"),
        ({"outside": ["written\t'/x'"]}, "outside: written"),
        ({"out": b"x" + PASSWD}, "secret"),
        ({"err": CANARY.decode()}, "secret"),
    ],
)
def test_what_breaks_a_promise_is_a_finding(change: dict, what: str) -> None:
    """One for each promise; an honest end is none."""
    assert [one.what for one in judge(replace(GOOD, **change), [])] == [what]
    assert judge(GOOD, []) == []


def test_what_a_command_reads_and_writes_elsewhere_is_seen(room: Room, tmp_path: Path) -> None:
    """An input that is a link to /etc/passwd is opened; an output beside the room is written."""
    manifest = tmp_path / "m.csv"
    manifest.symlink_to("/etc/passwd")
    reading = Case("", "", {}, [("stats", str(manifest))])
    writing = Case("", "", {}, [("export", "csv", "ours", "-o", str(tmp_path / "x.csv"))])
    fuzz = Fuzz(room)
    assert "outside: read" in {one.what for one in fuzz.alone(reading)[1]}
    assert {"outside: written", "outside: os.rename"} <= {one.what for one in fuzz.alone(writing)[1]}


@pytest.mark.parametrize(("limit", "value"), [("seconds", 0.06), ("memory", 64 << 20)])
def test_a_command_that_takes_too_long_or_too_much_is_ended(
    limit: str, value: float, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where it was; nobody waits for what it would do."""
    monkeypatch.setattr(room.forks, limit, value)
    done, found = Fuzz(room).alone(Case("", "", {}, [("audit", "ours", "--near")]))
    assert [one.what for one in found] == [{"seconds": "time"}.get(limit, limit)]
    assert "most recent call first" in done.err


def test_the_place_in_the_code_is_told() -> None:
    """Of a traceback its last line of ours, of a dump of threads its first."""
    one, two = 'File "/a/dermdata/x.py", line 3', 'File "/a/dermdata/y.py", line 4'
    trace = f'{one}, in one\n{two}, in two\nFile "/b.py", line 5, in c\nKeyError: 1'
    dump = f'Current thread 0x1 (most recent call first):\n  File "/b.py", line 1 in c\n{one} in one\n{two} in two'
    assert cause(trace) == "dermdata/y.py:4 two KeyError"
    assert cause(dump) == "dermdata/x.py:3 one"
    assert cause("nothing") == "?"


def test_an_input_is_made_smaller_while_it_fails() -> None:
    assert shrunk(b"a" * 500 + b"needle" + b"b" * 500, lambda data: b"needle" in data).count(b"a") < 100
