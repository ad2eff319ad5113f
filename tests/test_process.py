"""Whether another process lives: it is asked about, and nothing is done to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dermdata
from dermdata.process import is_alive, start_time


def test_a_process_lives_until_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert is_alive(child.pid)
        assert child.poll() is None  # it was asked about, not ended
        child.communicate(b"\n")
    assert not is_alive(child.pid)


def test_this_process_and_another_users_live() -> None:
    assert is_alive(os.getpid())
    assert is_alive(1)


@pytest.mark.parametrize("pid", [0, -1, 2**31, 10**30])
def test_an_id_that_no_process_has_is_nobodys(pid: int) -> None:
    """0 and -1 would be a group, or everybody; a damaged file may hold any number."""
    assert not is_alive(pid)


def test_another_process_of_the_same_id_is_another_one() -> None:
    """Ids are used again: who began at another time is not the one that is asked about."""
    me = os.getpid()
    assert is_alive(me, start_time(me))
    assert not is_alive(me, "long ago")
    assert not is_alive(me, "") or not start_time(me)


def test_no_other_room_asks_with_a_signal() -> None:
    """On Windows signal 0 is Ctrl-C, and ends whom it asks about."""
    root = Path(dermdata.__file__).parent
    assert [path.name for path in root.rglob("*.py") if "os.kill(" in path.read_text("utf-8")] == [
        "process.py"
    ]
