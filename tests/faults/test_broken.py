"""The self-check of the promises' tests: each must fail when just what it guards is broken.

A check that passes with the deliberately broken downloader plugged in would guard nothing.
"""

import pytest

from faults import broken
from faults import promises_cache as cache
from faults import promises_network as network
from faults import promises_person as person
from faults.desk import Desk
from faults.promises import CHECKS, Check

pytestmark = pytest.mark.shared
FOUND_OUT: list[tuple[int, str, Check]] = [
    (1, "no_checksum", network.other_bytes_get_no_name),
    (1, "partials_have_final_names", network.what_was_cut_gets_no_name),
    (2, "no_resume", network.after_a_kill_it_goes_on),
    (2, "no_notes", network.after_a_kill_it_goes_on),
    (3, "rename_before_fsync", network.names_come_after_bytes),
    (3, "records_without_fsync", network.names_come_after_bytes),
    (4, "no_if_range", network.a_resume_has_its_condition),
    (4, "appends_anything", network.versions_are_never_joined),
    (5, "tries_fifty_times", network.tries_are_counted),
    (5, "deaf_to_retry_after", network.a_server_that_names_a_time_is_obeyed),
    (5, "no_turns", network.four_connections_to_a_host),
    (6, "waits_for_ever", network.silence_ends),
    (7, "asks_for_no_room", cache.room_is_asked_for_first),
    (7, "a_full_disk_is_a_bug", cache.with_room_again_it_completes),
    (8, "no_locks", cache.at_once_as_one_after_another),
    (9, "extractall", cache.an_archive_stays_inside),
    (10, "no_limits", cache.archives_have_limits),
    (10, "hops_without_end", cache.redirects_have_a_limit),
    (11, "secrets_to_every_host", person.a_token_goes_home_only),
    (11, "addresses_with_queries", person.a_signed_address_is_not_shown),
    (12, "unpickles", cache.pickles_stay_files),
    (13, "takes_any_page", person.a_page_is_told_for_what_it_is),
    (14, "verifies_sizes", person.every_damage_is_told),
    (14, "sees_no_strangers", person.every_damage_is_told),
    (15, "notes_the_machine", person.another_machine_makes_the_same_bytes),
    (15, "drops_rows_silently", person.no_row_disappears_silently),
]


@pytest.fixture(autouse=True)
def wanted_failures_need_no_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CI is set pytest compares line by line what is not equal: megabytes, which takes minutes."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variant", "check"), [pytest.param(*pair, id=f"{number:02d} {pair[0]}") for number, *pair in FOUND_OUT]
)
def test_the_broken_downloader_is_found_out(variant: str, check: Check, desk: Desk) -> None:
    """The check fails, by an assertion of its own, not by an accident."""
    desk.variant = variant
    broken.apply(variant, desk.patch.setattr)
    with pytest.raises(AssertionError):
        check(desk)


def test_every_promise_has_a_variant_that_breaks_it() -> None:
    """And each variant is tried on a check of the promise that it breaks."""
    assert {number for number, _, _ in FOUND_OUT} == set(CHECKS) == set(range(1, 16))
    assert [name for number, name, check in FOUND_OUT if check not in CHECKS[number]] == []
    said = {name: getattr(broken, name).__doc__ for _, name, _ in FOUND_OUT}
    assert [name for number, name, _ in FOUND_OUT if f"Promise {number}:" not in said[name]] == []
