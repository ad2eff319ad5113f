"""The fifteen promises of FAULTS, each through the command line and real sockets.

What a promise's test does is in promises_*.py; tests/faults/test_broken.py shows that each would fail.
"""

import pytest

from faults import promises_cache, promises_network, promises_person
from faults.desk import Desk
from faults.promises import CHECKS

pytestmark = pytest.mark.shared  # the misbehaving server is one of ../shared/tools
ALL = (promises_network, promises_cache, promises_person)  # their import fills CHECKS


def kept(number: int, desk: Desk) -> None:
    """Carry out all that a promise says."""
    assert CHECKS[number]
    for check in CHECKS[number]:
        check(desk)


def test_promise_01_final_names_are_true(desk: Desk) -> None:
    """A file has its final name only after its checksum, or else its size and first-seen checksum, matched."""
    kept(1, desk)


def test_promise_02_kill_at_any_instant(desk: Desk) -> None:
    """After SIGKILL the next fetch succeeds, and fetches at most 1 MiB again."""
    kept(2, desk)


def test_promise_03_power_cut(desk: Desk) -> None:
    """Bytes are on disk before they have a name, names before exit 0; the records come last."""
    kept(3, desk)


def test_promise_04_no_mixtures(desk: Desk) -> None:
    """Bytes of two versions are never joined."""
    kept(4, desk)


def test_promise_05_retries_are_bounded_and_polite(desk: Desk) -> None:
    """Five tries without progress, Retry-After obeyed, four connections to a host."""
    kept(5, desk)


def test_promise_06_no_silence_without_end(desk: Desk) -> None:
    """Stall, drip or lock: a message and an exit code in a known time."""
    kept(6, desk)


def test_promise_07_disk_full(desk: Desk) -> None:
    """Exit 5 with path and bytes; with room again the same command completes."""
    kept(7, desk)


def test_promise_08_several_processes(desk: Desk) -> None:
    """At once as one after another: each file is downloaded once."""
    kept(8, desk)


def test_promise_09_nothing_outside(desk: Desk) -> None:
    """No input makes it write, delete or read outside its cache."""
    kept(9, desk)


def test_promise_10_bounded_work(desk: Desk) -> None:
    """Whatever comes has a limit with a name."""
    kept(10, desk)


def test_promise_11_secrets_stay_home(desk: Desk) -> None:
    """A token goes to its own https origin; none is in any output or file."""
    kept(11, desk)


def test_promise_12_nothing_runs(desk: Desk) -> None:
    """No byte of a dataset is executed."""
    kept(12, desk)


def test_promise_13_honest_failure(desk: Desk) -> None:
    """A page in place of a file is told for what it is, with what to do."""
    kept(13, desk)


def test_promise_14_verify_tells_all(desk: Desk) -> None:
    """Every kind of damage, changed by nobody but --repair, which fetches only what is bad."""
    kept(14, desk)


def test_promise_15_same_in_same_out(desk: Desk) -> None:
    """The same bytes on any machine; no row disappears silently."""
    kept(15, desk)
