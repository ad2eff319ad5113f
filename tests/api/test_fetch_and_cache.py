"""Fetch, mirrors, the cache, verify and doctor: a session gives what the commands of these names give."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dermdata as dd
from dermdata.errors import SomeFailed, UnknownName, UsageError

PLANS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing to do": ({}, []),
    "anew": ({"force": True}, ["--force"]),
    "tables": ({"only": "metadata", "force": True}, ["--only", "metadata", "--force"]),
}


@pytest.fixture
def empty(tmp_path: Path) -> dd.Session:
    """A session on a cache that is not there yet."""
    return dd.open_session(cache=tmp_path / "empty", progress=False)


@pytest.fixture
def run_empty(cli: Callable, tmp_path: Path) -> Callable:
    """The command line on the same cache."""
    return lambda *words: cli(*words, cache=tmp_path / "empty")


def items(answer: Any) -> Any:
    return json.loads(answer.out)["items"]


def as_printed(records: Any) -> Any:
    """The rows with all keys, as JSON has them."""
    rows = [{key: row.get(key) for key in records.columns} for row in records]
    return json.loads(json.dumps(rows, default=str))


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


# ------------------------------------------------------------------ fetch


@pytest.mark.parametrize("case", PLANS)
def test_a_plan_is_the_dry_run(session: dd.Session, run: Callable, case: str) -> None:
    options, words = PLANS[case]
    assert as_printed(session.plan_fetch("demo", **options)) == items(
        run("fetch", "demo", *words, "--dry-run", "-f", "json")
    )


def test_a_plan_of_a_part_is_the_dry_run(empty: dd.Session, run_empty: Callable, tmp_path: Path) -> None:
    """It counts rows and images, and changes nothing."""
    plan = empty.plan_fetch("demo", where="sex = 'female'", limit=5)
    words = ("fetch", "demo", "--where", "sex = 'female'", "--limit", "5", "--dry-run", "-f", "json")
    assert as_printed(plan) == items(run_empty(*words))
    assert plan[-1]["count"] == 5
    assert not (tmp_path / "empty" / "datasets").exists()


def test_files_of_one_s_own(
    empty: dd.Session, run_empty: Callable, session: dd.Session, tmp_path: Path
) -> None:
    """The plan names what is missing; a fetch takes what is there and then says so."""
    [folder] = session.mirror("demo", out=tmp_path / "mirror")
    masks = folder / "demo_masks.zip"
    masks.rename(tmp_path / "masks.zip")
    plan = empty.plan_fetch("demo", from_=[folder])
    answer = run_empty("fetch", "demo", "--from", folder, "--dry-run", "-f", "json")
    assert (answer.code, items(answer)) == (8, as_printed(plan))
    assert [row["file"] for row in plan if row["step"] == "missing"] == ["demo_masks.zip"]
    with pytest.raises(SomeFailed, match="1 file is not among the paths"):
        empty.fetch("demo", from_=[folder])
    assert len(empty.load("demo", download=False)) == 120
    assert len(empty.fetch("demo", from_=[folder, tmp_path / "masks.zip"])) == 120
    with pytest.raises(UsageError, match="downloads nothing"):
        empty.fetch("demo", from_=[folder], mirrors=["https://mirror.example/"])


def test_names_are_looked_up_before_anything_is_fetched(empty: dd.Session, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        empty.fetch("demo", "demmo")
    with pytest.raises(UsageError, match="no dataset is named"):
        empty.plan_fetch()
    assert not (tmp_path / "empty" / "datasets").exists()


def test_mirror(session: dd.Session, run: Callable, empty: dd.Session, tmp_path: Path) -> None:
    """The same files, whose plan is the dry run before and after; another cache reads them."""
    ours, theirs = tmp_path / "api", tmp_path / "cli"
    words = ("fetch", "demo", "--mirror-out", ours, "--dry-run", "-f", "json")
    before = as_printed(session.plan_mirror("demo", out=ours))
    assert before == items(run(*words))
    assert session.mirror("demo", out=ours) == [ours / "demo"]
    assert run("fetch", "demo", "--mirror-out", theirs).code == 0
    assert files(ours) == files(theirs)
    after = as_printed(session.plan_mirror("demo", out=ours))
    assert {row["step"] for row in after} == {"have"}
    assert after == items(run(*words))
    assert len(empty.fetch("demo", mirrors=[ours])) == 120
    with pytest.raises(UsageError, match="in the cache itself"):
        session.mirror("demo", out=session.cache.path / "mirror")


# ------------------------------------------------------------------ the cache


def test_the_cache_is_listed(session: dd.Session, run: Callable, fetched: Path) -> None:
    found = session.cache.list()
    assert as_printed(found) == items(run("cache", "list", "-f", "json"))
    assert found.facts == {"bytes": found[0]["bytes"], "saved_bytes": 0, "kept_bytes": {}}
    assert run("cache", "path").out == f"{session.cache.path}\n"
    assert str(fetched) in repr(session.cache)


def test_a_bundle_goes_to_another_cache(
    session: dd.Session, run: Callable, empty: dd.Session, tmp_path: Path
) -> None:
    digest = session.cache.bundle("demo", out=tmp_path / "api.tar")
    answer = run("cache", "bundle", "demo", "-o", tmp_path / "cli.tar")
    assert answer.out == f"{digest}  {tmp_path / 'cli.tar'}\n"
    assert (tmp_path / "api.tar").read_bytes() == (tmp_path / "cli.tar").read_bytes()
    [row] = session.cache.plan_bundle("demo", out=tmp_path / "other.tar")
    assert row == {"dataset": "demo", "version": "1.0", "bytes": session.cache.list()[0]["bytes"]}
    [step] = empty.plan_fetch("demo", from_=[tmp_path / "api.tar"])
    assert (step["step"], step["file"]) == ("unpack", "api.tar")
    assert len(empty.fetch("demo", from_=[tmp_path / "api.tar"])) == 120


def test_datasets_are_removed_and_leftovers_swept(own_cache: Path) -> None:
    session = dd.open_session(cache=own_cache, progress=False)
    left = own_cache / "datasets" / "demo" / "1.0" / "files" / "demo_images.zip"
    left.write_bytes(b"PK")
    for dry_run in (True, False):
        assert left.exists()
        [one] = session.cache.prune(dry_run=dry_run)
        assert (one["path"], one["bytes"], one["why"]) == (left, 2, "unpacked already")
    assert not left.exists()
    with pytest.raises(UsageError, match="not in the cache: ham10000"):
        session.cache.remove("demo", "ham10000")
    for dry_run in (True, False):
        found = session.cache.remove("demo", dry_run=dry_run)
        assert found.facts["bytes"] > 1_000_000
    assert not session.cache.list()


# ------------------------------------------------------------------ verify, sync, doctor


def test_what_is_broken_is_repaired(own_cache: Path, cli: Callable) -> None:
    """The findings are the command's, with the rows that use the file."""
    session = dd.open_session(cache=own_cache, progress=False)
    path = session.load("demo")[2].path
    assert path
    path.unlink()
    found = session.verify("demo")
    assert as_printed(found) == items(cli("verify", "demo", "-f", "json", cache=own_cache))
    assert found[0]["rows"] == [session.load("demo")[2]["key"]]
    assert not session.verify("demo", repair=True)
    assert not session.verify()


def test_a_lock_is_looked_at_before_it_is_rebuilt(session: dd.Session, run: Callable, tmp_path: Path) -> None:
    session.lock("demo", out=tmp_path / "c.lock")
    plan = session.plan_sync(tmp_path / "c.lock")
    assert as_printed(plan) == items(run("sync", tmp_path / "c.lock", "--dry-run", "-f", "json"))
    assert plan[0]["cached"] is True


def test_doctor(session: dd.Session, run: Callable) -> None:
    """Free space changes while others work; all else is the same."""
    ours, theirs = session.doctor(network=False), items(run("doctor", "--no-network", "-f", "json"))
    changing = [row["check"] for row in ours].index("free space")
    assert [*ours[:changing], *ours[changing + 1 :]] == [*theirs[:changing], *theirs[changing + 1 :]]
    assert ours.facts == {"errors": 0}
