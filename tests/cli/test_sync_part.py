"""`sync` of a cohort that is a small part of its dataset: only the locked rows' images come."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Answer
from support.archive_builders import zipped
from support.made_up_dataset import HOST, Ours, name_of, picture, pictures_in, rows
from support.manifest_builders import apart_from_places

pytestmark = pytest.mark.usefixtures("small_catalog")
CLI = Callable[..., Answer]
CHOSEN = [name_of(number) for number in (3, 8, 32)]
WHERE = "image_id in ('IM_0003', 'IM_0008', 'IM_0032')"


@pytest.fixture
def lock_of(cli: CLI, ours: Ours, tmp_path: Path) -> Callable[[str], Path]:
    """The lock of the rows of which a condition is true, made on another machine from the whole dataset."""

    def made(where: str, *only: str) -> Path:
        elsewhere = tmp_path / "author"
        assert cli(*ours.options, "fetch", "ours", *only, cache=elsewhere).code == 0
        table, lock = tmp_path / "cohort.parquet", tmp_path / "cohort.lock"
        assert cli(*ours.options, "select", "ours", "--where", where, "-o", table, cache=elsewhere).code == 0
        assert cli(*ours.options, "lock", table, "-o", lock, cache=elsewhere).code == 0
        ours.asked()
        return lock

    return made


def part_in(folder: Path) -> dict[str, Any]:
    part: dict[str, Any] = json.loads((folder / "receipt.json").read_text())["part"]
    return part


def test_only_the_locked_rows_images_come(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], folder: Path, tmp_path: Path
) -> None:
    """By ranges; the manifest is the one that was locked; the receipt says that it is a part."""
    lock = lock_of(WHERE)
    answer = cli(*ours.options, "sync", lock, "-o", tmp_path / "again.parquet")
    assert answer.code == 0, answer.err
    assert "ours: only 3 of 40 images are in the lock" in answer.err
    assert "not those it was locked with" not in answer.err
    assert pictures_in(folder) == set(CHOSEN)
    assert apart_from_places(tmp_path / "again.parquet") == apart_from_places(tmp_path / "cohort.parquet")
    assert all(span for address, span in ours.asked() if address.endswith(".zip"))
    assert (part_in(folder)["rows"], part_in(folder)["of"]) == (CHOSEN, 40)
    assert cli(*ours.options, "verify").code == 0


def test_the_same_again_asks_nobody(cli: CLI, ours: Ours, lock_of: Callable[..., Path]) -> None:
    """Also offline, and the rows are compared all the same."""
    lock = lock_of(WHERE)
    cli(*ours.options, "sync", lock)
    ours.asked()
    answer = cli(*ours.options, "--offline", "sync", lock)
    assert (answer.code, ours.asked()) == (0, []), answer.err
    assert "nothing to do (3 of 40 rows" in answer.err


@pytest.mark.parametrize("words", [["--limit", "9", "--where", "age < 60"], []])
def test_a_cache_that_has_the_images_asks_for_nothing(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], folder: Path, words: list[str]
) -> None:
    """Whether an earlier `fetch --where` brought them or a whole fetch; what is here stays as it is."""
    lock = lock_of("image_id in ('IM_0003', 'IM_0008')")
    cli(*ours.options, "fetch", "ours", *words)
    before = (folder / "receipt.json").read_bytes()
    ours.asked()
    assert cli(*ours.options, "sync", lock).code == 0
    assert (ours.asked(), (folder / "receipt.json").read_bytes()) == ([], before)


def test_earlier_parts_are_added_to(cli: CLI, ours: Ours, lock_of: Callable[..., Path], folder: Path) -> None:
    """What a person fetched by a condition stays, and only what the lock lacks comes."""
    lock = lock_of(WHERE)
    cli(*ours.options, "fetch", "ours", "--limit", "5")
    assert cli(*ours.options, "sync", lock).code == 0
    assert pictures_in(folder) == {*CHOSEN, *map(name_of, range(5))}


@pytest.mark.parametrize("first", [[], ["--limit", "3"]])
def test_half_of_the_dataset_is_fetched_whole(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], folder: Path, first: list[str]
) -> None:
    """Said so; with the archives' own checksums, and nothing marks it as a part, also where one was here."""
    lock = lock_of("age < 40")
    if first:
        cli(*ours.options, "fetch", "ours", *first)
    answer = cli(*ours.options, "sync", lock)
    assert answer.code == 0, answer.err
    assert "half of its rows or more are in the lock" in answer.err
    assert len(pictures_in(folder)) == 40
    assert part_in(folder) is None


def test_a_host_without_ranges_gives_whole_archives(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large: a lock leaves no choice."""
    lock = lock_of(WHERE)
    monkeypatch.setattr("dermdata.fetching.subset.SMALL_ARCHIVE", 1000)
    ours.without_ranges()
    answer = cli(*ours.options, "sync", lock)
    assert answer.code == 0, answer.err
    assert "it comes whole" in answer.err


def test_a_changed_image_is_named(cli: CLI, ours: Ours, lock_of: Callable[..., Path]) -> None:
    """Exit 4, though only a part was fetched."""
    lock = lock_of(WHERE)
    members = {f"{name_of(number)}.jpg": picture(99 if number == 3 else number) for number in range(20)}
    ours.put("a.zip", "images", zipped(members), 'unpack = "zip"')
    answer = cli(*ours.options, "sync", lock, "-f", "csv")
    assert answer.code == 4
    assert [line.split(",")[0] for line in answer.out.splitlines()[1:]] == ["ours/IM_0003"]
    assert "ours/IM_0003,image,sha256," in answer.out


@pytest.mark.parametrize(("left", "gone"), [(range(10, 40), 2), (range(9, 12), 3)])
def test_rows_that_are_gone_are_named(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], left: range, gone: int
) -> None:
    """Exit 4 with each key, also when the source has none of them any more, and the same the next time."""
    lock = lock_of(WHERE)
    ours.put("table.csv", "metadata", rows(left))
    for _ in range(2):
        answer = cli(*ours.options, "sync", lock, "-f", "csv")
        assert (answer.code, answer.out.count(",gone,")) == (4, gone), answer.err


def test_rows_without_images_add_no_image(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], folder: Path
) -> None:
    """A lock of a table alone, in a cache that holds a part: its rows come to that, and no archive is asked."""
    lock = lock_of("age >= 30", "--only", "metadata")
    cli(*ours.options, "fetch", "ours", "--limit", "5")
    ours.asked()
    assert cli(*ours.options, "sync", lock).code == 0
    assert not ours.asked(".zip")
    assert len(part_in(folder)["rows"]) == 35
    assert len(pictures_in(folder)) == 5


def test_a_failure_midway_is_made_good_by_the_same_command(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], folder: Path
) -> None:
    """An error page in place of an archive is exit 3 or 4; what came is kept."""
    lock, options = lock_of(WHERE), ours.options
    ours.site.put(f"{HOST}b.zip", b"an error page")
    assert cli(*options, "sync", lock).code in (3, 4)
    assert cli(*ours.options, "sync", lock).code == 0
    assert pictures_in(folder) == set(CHOSEN)


@pytest.mark.parametrize(
    ("words", "here"),
    [
        (None, False),
        (["--only", "metadata"], False),
        (["--limit", "2"], False),
        (["--limit", "9"], True),
        ([], True),
    ],
)
def test_a_dry_run_says_whether_the_locked_rows_are_here(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], words: list[str] | None, here: bool
) -> None:
    """Another part of the dataset, or its tables, are not what is locked; no host is asked."""
    lock = lock_of("image_id in ('IM_0003', 'IM_0008')")
    if words is not None:
        cli(*ours.options, "fetch", "ours", *words)
    ours.asked()
    answer = cli(*ours.options, "sync", lock, "--dry-run", "-f", "json")
    assert (json.loads(answer.out)["items"][0]["cached"], ours.asked()) == (here, [])


def test_an_image_that_was_deleted_comes_again(
    cli: CLI, ours: Ours, lock_of: Callable[..., Path], folder: Path
) -> None:
    """One range."""
    lock = lock_of(WHERE)
    cli(*ours.options, "sync", lock)
    (folder / "images/a/IM_0003.jpg").unlink()
    ours.asked()
    assert cli(*ours.options, "sync", lock).code == 0
    assert pictures_in(folder) == set(CHOSEN)
    assert all(span for _, span in ours.asked())
