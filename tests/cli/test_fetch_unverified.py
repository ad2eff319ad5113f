"""What no published checksum covers: never mixed, never taken for whole, and everywhere said to be unverified."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.archive_builders import zipped
from support.made_up_dataset import HOST, ROWS, Ours, images, name_of, picture, pictures_in, rows
from support.servers import Site

pytestmark = pytest.mark.usefixtures("small_catalog")
MIRROR = "https://mirror.example"
FIVE = ("--limit", "5")


def checked(ours: Ours, *names: str) -> Ours:
    """The entry states the SHA-256 of these files as they are now."""
    for name in names or tuple(ours.files):
        role, data, more = ours.files[name]
        ours.put(name, role, data, f'{more}\nchecksum = "sha256:{hashlib.sha256(data).hexdigest()}"')
    return ours


def other_images(first_changed: int = 0) -> bytes:
    """a.zip of the same size and names, from this image on with other pictures."""
    members = {"LICENSE.txt": b"all yours"}
    for number in range(20):
        data = picture(number)
        changed = data[:-40] + bytes(byte ^ 1 for byte in data[-40:-20]) + data[-20:]
        members[f"{name_of(number)}.jpg"] = changed if number >= first_changed else data
    return zipped(members, zipfile.ZIP_STORED)


def replaced(ours: Ours, options: list[str], name: str, data: bytes) -> list[str]:
    """The source has another file by now; the entry stays as it is."""
    assert len(data) == len(ours.files[name][1])
    ours.site.put(f"{HOST}{name}", data)
    return options


def column(folder: Path, name: str) -> list[Any]:
    with pq.ParquetFile(folder / "manifest.parquet") as file:
        return file.read([name])[name].to_pylist()


def receipt(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "receipt.json").read_bytes())
    return found


def mirrored(ours: Ours, **others: bytes) -> None:
    """https://mirror.example has all files of the dataset, some of them other ones."""
    for name, (_, data, _) in ours.files.items():
        ours.site.put(f"{MIRROR}/ours/{name}", others.get(name.replace(".", "_"), data))


def mirror_folder(ours: Ours, root: Path, **others: bytes) -> Path:
    home = root / "mirror" / "ours"
    home.mkdir(parents=True)
    for name, (_, data, _) in ours.files.items():
        (home / name).write_bytes(others.get(name.replace(".", "_"), data))
    return home.parent


# ------------------------------------------------------------------ a source that changes


def test_red_team_01_a_whole_fetch_is_held_to_the_checksum_of_the_archive(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """Part of version 1, then the source's other images change: exit 4, and no image of version 2."""
    options = checked(ours).options
    assert cli(*options, "fetch", "ours", "--limit", "15").code == 0
    replaced(ours, options, "a.zip", other_images(15))
    answer = cli(*options, "fetch", "ours")
    assert (answer.code, "sha256 is" in answer.err) == (4, True), answer.err
    assert pictures_in(folder) == {name_of(number) for number in range(15)} or {
        path.read_bytes() for path in (folder / "images/a").glob("*.jpg")
    } <= {picture(number) for number in range(20)}


@pytest.mark.parametrize("limit", [2, 15, 30])
def test_a_whole_fetch_takes_the_whole_archive_again_and_then_all_is_verified(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path, limit: int
) -> None:
    """However much was here; the manifest is that of a fetch that never was partial."""
    options = checked(ours).options
    assert cli(*options, "fetch", "ours", cache=tmp_path / "other").code == 0
    [never] = (tmp_path / "other").rglob("manifest.parquet")
    cli(*options, "fetch", "ours", "--limit", limit)
    assert column(folder, "verified") == [False] * limit
    ours.asked()
    assert cli(*options, "fetch", "ours").code == 0
    assert {wanted for _, wanted in ours.asked("a.zip")} <= {None}
    assert column(folder, "verified") == [True] * ROWS
    assert (folder / "manifest.parquet").read_bytes() == never.read_bytes()
    assert not receipt(folder)["directories"]


def test_what_an_older_version_put_together_of_ranges_is_fetched_whole(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """Its receipt claims the archive's checksum, which nobody has looked at."""
    without = ours.options
    cli(*without, "fetch", "ours", "--limit", "30")
    assert cli(*without, "fetch", "ours").code == 0
    data = receipt(folder)
    assert {one["name"]: one["recognized"] for one in data["files"]}["a.zip"] == "ranges"
    for one in data["files"]:
        one["checksum"] = f"sha256:{hashlib.sha256(ours.files[one['name']][1]).hexdigest()}"
    (folder / "receipt.json").write_text(json.dumps(data))
    options = checked(ours).options
    assert "unverified" in cli(*options, "verify").err
    ours.asked()
    assert cli(*options, "fetch", "ours").code == 0
    assert ours.asked("a.zip") == [(f"{HOST}a.zip".partition("://")[2], None)]
    assert column(folder, "verified") == [True] * ROWS


@pytest.mark.parametrize("again", [("--limit", "18"), ()])
def test_another_archive_between_two_parts_is_told(
    cli: Callable, ours: Ours, folder: Path, again: tuple[str, ...]
) -> None:
    """No checksum is published: exit 4 with the archive, what differs and the next step; nothing is mixed."""
    options = ours.options
    assert cli(*options, "fetch", "ours", "--limit", "10").code == 0
    before = (folder / "manifest.parquet").read_bytes()
    replaced(ours, options, "a.zip", other_images(12))
    answer = cli(*options, "fetch", "ours", *again)
    assert answer.code == 4, answer.err
    assert "a.zip" in answer.err
    assert "not the archive that parts were taken of before" in answer.err
    assert "fetch ours --force" in answer.err
    assert pictures_in(folder / "images" / "a") == {name_of(number) for number in range(10)}
    assert all((folder / f"images/a/{name_of(n)}.jpg").read_bytes() == picture(n) for n in range(10))
    assert (folder / "manifest.parquet").read_bytes() == before
    assert cli(*options, "fetch", "ours", "--force").code == 0
    assert cli(*options, "verify").code == 0


def test_an_archive_of_another_size_is_told_with_both_sizes(cli: Callable, ours: Ours) -> None:
    """The first thing that a person can look at."""
    options = ours.options
    cli(*options, "fetch", "ours", "--limit", "3")
    ours.site.put(f"{HOST}a.zip", images(range(19)))
    answer = cli(*options, "fetch", "ours", "--limit", "4")
    assert (answer.code, "bytes then" in answer.err) == (4, True), answer.err


def test_a_part_of_before_directories_were_recorded_is_compared_member_by_member(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """An older receipt has no digest; the list of contents says what each member was."""
    options = ours.options
    cli(*options, "fetch", "ours", "--limit", "3")
    data = receipt(folder)
    del data["directories"]
    (folder / "receipt.json").write_text(json.dumps(data))
    replaced(ours, options, "a.zip", other_images(0))
    answer = cli(*options, "fetch", "ours", "--limit", "4")
    assert (answer.code, "is not as it was" in answer.err) == (4, True), answer.err


def test_new_validators_for_the_same_archive_are_no_change(cli: Callable, ours: Ours, folder: Path) -> None:
    """A host may give another ETag for the same bytes: the directory says that the members are the same."""
    options = ours.options
    cli(*options, "fetch", "ours", "--limit", "3")
    data = receipt(folder)
    assert data["directories"]["a.zip"]["etag"]
    data["directories"]["a.zip"]["etag"] = '"of yesterday"'
    (folder / "receipt.json").write_text(json.dumps(data))
    assert cli(*options, "fetch", "ours", "--limit", "4").code == 0


def test_a_range_is_asked_of_the_version_whose_directory_was_read(cli: Callable, ours: Ours) -> None:
    """By If-Range, with the strong ETag."""
    conditions: list[str | None] = []
    ours.before_each(
        lambda name, request: conditions.append(request.headers["If-Range"]) if name == "a.zip" else None
    )
    assert cli(*ours.options, "fetch", "ours", *FIVE).code == 0
    tag = f'"{hashlib.md5(ours.files["a.zip"][1]).hexdigest()}"'
    assert conditions == [None, tag, tag, tag]


# ------------------------------------------------------------------ mirrors


def test_red_team_01_a_mirror_folder_with_another_zip_gives_no_part(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path
) -> None:
    """The published checksum is looked at first, as in a whole fetch: exit 4, no image."""
    options = checked(ours).options
    place = mirror_folder(ours, tmp_path, a_zip=other_images())
    answer = cli(*options, "fetch", "ours", *FIVE, "--mirror", place)
    assert (answer.code, "sha256 is" in answer.err) == (4, True), answer.err
    assert not pictures_in(folder)


def test_a_mirror_folder_whose_archive_has_its_checksum_gives_verified_parts(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path
) -> None:
    """The whole file was hashed before a member was taken out of it; a part of the network makes it unverified."""
    options = checked(ours).options
    place = mirror_folder(ours, tmp_path)
    answer = cli("--offline", *options, "fetch", "ours", *FIVE, "--mirror", place)
    assert (answer.code, "unverified" in answer.err) == (0, False), answer.err
    assert column(folder, "verified") == [True] * 5
    answer = cli(*options, "fetch", "ours", "--limit", "6")
    assert (answer.code, "6 images are unverified" in answer.err) == (0, True), answer.err


def test_red_team_01_a_mirror_with_another_zip_is_passed_over(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """Its directory is not the publisher's: that is said, and the publisher's images come."""
    options = checked(ours).options
    mirrored(ours, a_zip=other_images())
    answer = cli(*options, "fetch", "ours", *FIVE, "--mirror", MIRROR)
    assert answer.code == 0, answer.err
    assert "another directory than its publisher's" in answer.err
    assert {path.read_bytes() for path in folder.rglob("*.jpg")} == {picture(number) for number in range(5)}


def test_a_mirror_with_the_publishers_directory_gives_the_members(cli: Callable, ours: Ours) -> None:
    """The publisher is asked for its directory alone."""
    options = checked(ours).options
    mirrored(ours)
    assert cli(*options, "fetch", "ours", *FIVE, "--mirror", MIRROR).code == 0
    addresses = [address for address, _ in ours.asked("a.zip")]
    assert (addresses.count("mirror.example/ours/a.zip"), addresses.count("data.example/a.zip")) == (4, 3)


@pytest.mark.parametrize(("stated", "code"), [(True, 0), (False, 4)])
def test_a_mirror_whose_publisher_is_away_gives_the_whole_archive_or_nothing(
    cli: Callable, ours: Ours, folder: Path, stated: bool, code: int
) -> None:
    """With a checksum the small archive comes whole and is held to it; without one nobody could tell."""
    options = (checked(ours) if stated else ours).options
    mirrored(ours)
    ours.site.files = {at: data for at, data in ours.site.files.items() if at.startswith("mirror.example")}
    answer = cli(*options, "fetch", "ours", *FIVE, "--mirror", MIRROR)
    assert answer.code == code, answer.err
    assert "cannot be compared with its publisher's" in answer.err
    if stated:
        assert column(folder, "verified") == [True] * 5
    else:
        assert not pictures_in(folder)


def test_a_large_archive_of_a_mirror_alone_is_left_to_the_person(
    cli: Callable, ours: Ours, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a host that gives no ranges: exit 3 with its size."""
    monkeypatch.setattr("dermdata.fetching.subset.SMALL_ARCHIVE", 1000)
    options = checked(ours).options
    mirrored(ours)
    del ours.site.files[f"{HOST}a.zip".partition("://")[2]]
    answer = cli(*options, "fetch", "ours", *FIVE, "--mirror", MIRROR)
    assert (answer.code, "without --where and --limit" in answer.err) == (3, True), answer.err
    assert not pictures_in(folder)


def test_a_recorded_directory_of_the_publisher_stands_in_for_it(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """A part came from the publisher before: the mirror is compared with that."""
    options = ours.options
    assert cli(*options, "fetch", "ours", *FIVE).code == 0
    mirrored(ours)
    del ours.site.files[f"{HOST}a.zip".partition("://")[2]]
    assert cli(*options, "fetch", "ours", "--limit", "6", "--mirror", MIRROR).code == 0
    ours.site.put(f"{MIRROR}/ours/a.zip", other_images(6))
    answer = cli(*options, "fetch", "ours", "--limit", "7", "--mirror", MIRROR)
    assert answer.code == 4, answer.err
    assert len(pictures_in(folder)) == 6


# ------------------------------------------------------------------ it is said


def test_a_part_says_everywhere_that_it_is_unverified(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path
) -> None:
    """`fetch`, again when there is nothing to do, `verify`, `cache list`, `lock`, receipt and manifest."""
    options = checked(ours).options
    for _ in range(2):
        assert "5 images are unverified" in cli(*options, "fetch", "ours", *FIVE).err
    answer = cli(*options, "verify", "--all", "--format", "json")
    assert (answer.code, "10 files are unverified" in answer.err) == (0, True), answer.err  # masks too
    items = {one["path"]: one["verified"] for one in json.loads(answer.out)["items"]}
    assert items["images/a/IM_0000.jpg"] is False
    assert items["files/table.csv"] is True
    [row] = list(csv.DictReader(io.StringIO(cli("cache", "list", "--format", "csv").out)))
    assert row["unverified"] == "5"
    assert "5 rows have an unverified image" in cli(*options, "lock", "ours", "-o", tmp_path / "l").err
    assert receipt(folder)["directories"]["a.zip"]["verified"] is False
    assert column(folder, "verified") == [False] * 5


def test_a_whole_fetch_without_published_checksums_is_neither(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """Nobody states what it must be: null, and nothing is said."""
    answer = cli(*ours.options, "fetch", "ours")
    assert "unverified" not in answer.err
    assert column(folder, "verified") == [None] * ROWS
    assert "unverified" not in cli(*ours.options, "verify").err


def test_a_repair_by_ranges_of_what_was_verified_stays_verified(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """The member is held to the SHA-256 that the verified whole fetch recorded."""
    options = checked(ours).options
    assert cli(*options, "fetch", "ours").code == 0
    (folder / "images/a/IM_0003.jpg").unlink()
    ours.asked()
    answer = cli(*options, "verify", "--repair")
    assert (answer.code, "unverified" in answer.err) == (0, False), answer.err
    assert all(wanted for _, wanted in ours.asked("a.zip"))
    assert column(folder, "verified") == [True] * ROWS


def test_a_lock_of_verified_rows_is_rebuilt_from_parts(cli: Callable, ours: Ours, tmp_path: Path) -> None:
    """`sync` takes few rows by ranges and holds each image to the lock: the manifest is the locked one."""
    options = checked(ours).options
    assert cli(*options, "fetch", "ours").code == 0
    some = tmp_path / "some.parquet"
    chosen = ("--where", "diagnosis = 'dermatofibroma'", "--paths", "relative")
    assert cli(*options, "select", "ours", *chosen, "-o", some).code == 0
    assert cli(*options, "lock", some, "-o", tmp_path / "lock").code == 0
    out, again = tmp_path / "again.parquet", ("sync", tmp_path / "lock", "--paths", "relative")
    answer = cli(*options, *again, "-o", out, cache=tmp_path / "elsewhere")
    assert answer.code == 0, answer.err
    assert pq.read_table(out).to_pylist() == pq.read_table(some).to_pylist()
    assert set(pq.read_table(out)["verified"].to_pylist()) == {True}


def test_a_manifest_of_before_the_column_is_built_again(cli: Callable, ours: Ours, folder: Path) -> None:
    """The next fetch asks for no file and fills the column."""
    options = checked(ours).options
    cli(*options, "fetch", "ours", *FIVE)
    data = receipt(folder)
    data["catalog_digest"] = "of a version without it"
    (folder / "receipt.json").write_text(json.dumps(data))
    ours.asked()
    assert cli(*options, "fetch", "ours", *FIVE).code == 0
    assert not [address for address, _ in ours.asked("table.csv")]
    assert column(folder, "verified") == [False] * 5


# ------------------------------------------------------------------ what nothing vouches for does not stay


@pytest.mark.parametrize("how", ["mirror", "publisher"])
def test_red_team_12_a_refused_table_is_asked_for_again(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path, how: str
) -> None:
    """No checksum is published for it; what came of a mirror, or of a source on a bad day, is not there already."""
    options, mirror = ours.options, []
    if how == "mirror":
        mirror = ["--mirror", mirror_folder(ours, tmp_path, table_csv=b"nothing,of\nthe,kind\n")]
    else:
        ours.site.put(f"{HOST}table.csv", b"nothing,of\nthe,kind\n")
    answer = cli(*options, "fetch", "ours", *mirror)
    assert answer.code == 4, answer.err
    assert not (folder / "files/table.csv").exists()
    ours.site.put(f"{HOST}table.csv", ours.files["table.csv"][1])
    ours.asked()
    answer = cli(*options, "fetch", "ours")
    assert answer.code == 0, answer.err
    assert ours.asked("table.csv")
    assert len(column(folder, "image_id")) == ROWS
    if how == "mirror":  # its archives have no checksum either
        assert not [one for one in receipt(folder)["files"] if one["mirrored"]]


def test_a_stranger_under_a_final_name_is_not_taken_for_a_download(
    cli: Callable, ours: Ours, folder: Path
) -> None:
    """No run has announced it: it may be from anywhere."""
    target = folder / "files" / "table.csv"
    target.parent.mkdir(parents=True)
    target.write_bytes(rows(range(3)))
    assert cli(*ours.options, "fetch", "ours").code == 0
    assert target.read_bytes() == ours.files["table.csv"][1]


def test_what_a_cut_run_left_from_another_place_is_not_taken(
    cli: Callable, ours: Ours, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror's file was whole when the run was cut; the publisher is asked all the same, and only once."""
    from dermdata.fetching import ingest

    options = ours.options
    mirrored(ours, a_zip=other_images())
    monkeypatch.setattr(ingest, "unpack_contents", cut)
    assert cli(*options, "fetch", "ours", "--mirror", MIRROR).code == 130
    ours.asked()
    assert cli(*options, "fetch", "ours").code == 130
    assert ours.asked("data.example/a.zip")
    monkeypatch.undo()
    assert cli(*options, "fetch", "ours").code == 0
    assert (folder / "images/a/IM_0000.jpg").read_bytes() == picture(0)


def test_what_a_cut_run_left_from_the_same_place_is_not_asked_for_again(
    cli: Callable, ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 2 holds for files without a checksum too."""
    from dermdata.fetching import ingest

    options = ours.options
    monkeypatch.setattr(ingest, "unpack_contents", cut)
    assert cli(*options, "fetch", "ours", "--jobs", "1").code == 130
    monkeypatch.undo()
    had = [
        name for name in ours.files if (ours.root / f"cache/datasets/ours/unversioned/files/{name}").exists()
    ]
    assert had
    ours.asked()
    assert cli(*options, "fetch", "ours").code == 0
    assert not {address.rpartition("/")[2] for address, _ in ours.asked()} & set(had)


def cut(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("mend", [("fetch", "ours"), ("verify", "--repair")])
def test_a_table_that_is_mended_is_the_one_that_was_there(
    cli: Callable, ours: Ours, folder: Path, mend: tuple[str, ...]
) -> None:
    """No checksum is published and the source has another one by now: exit 4, it gets no name."""
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    (folder / "files/table.csv").unlink()
    ours.site.put(f"{HOST}table.csv", rows(range(30)))
    answer = cli(*options, *mend)
    assert (answer.code, "sha256 is" in answer.err) == (4, True), answer.err
    assert not (folder / "files/table.csv").exists()


# ------------------------------------------------------------------ links out


@pytest.mark.parametrize("kind", ["link", "folder link", "fifo", "device"])
def test_red_team_12_a_mirror_folder_gives_its_own_files_only(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path, kind: str
) -> None:
    """Refused by name before a byte is read, and nothing hangs."""
    place = mirror_folder(ours, tmp_path)
    planted(place / "ours" / "table.csv", tmp_path / "secret", kind)
    answer = cli(*ours.options, "fetch", "ours", "--mirror", place)
    assert answer.code == 2, answer.err
    assert "table.csv" in answer.err
    assert "top secret" not in answer.err
    assert not [path for path in folder.rglob("*") if path.is_file() and b"top secret" in path.read_bytes()]


def planted(path: Path, secret: Path, kind: str) -> None:
    """Something else in the file's place."""
    import os

    secret.mkdir()
    (secret / path.name).write_bytes(b"top secret\n")
    if kind == "folder link":
        path.parent.rename(path.parent.with_name("old"))
        path.parent.symlink_to(secret)
        return
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else secret / path.name)


def test_a_link_within_the_mirror_is_followed(cli: Callable, ours: Ours, tmp_path: Path) -> None:
    """Mirrors store equal files once."""
    place = mirror_folder(ours, tmp_path)
    (place / "store").mkdir()
    (place / "ours" / "table.csv").rename(place / "store" / "ab12")
    (place / "ours" / "table.csv").symlink_to("../store/ab12")
    assert cli("--offline", *ours.options, "fetch", "ours", "--mirror", place).code == 0


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_mirrors_list_of_checksums_is_a_file(cli: Callable, ours: Ours, tmp_path: Path, kind: str) -> None:
    """Nothing else is opened for it."""
    place = mirror_folder(ours, tmp_path)
    (place / "ours" / "SHA256SUMS").write_bytes(b"")
    planted(place / "ours" / "SHA256SUMS", tmp_path / "secret", kind)
    answer = cli(*ours.options, "fetch", "ours", "--mirror", place)
    assert (answer.code, "SHA256SUMS is no file" in answer.err) == (2, True), answer.err


# ------------------------------------------------------------------ killed runs


def killed(monkeypatch: pytest.MonkeyPatch, name: str, when: Callable[[Any], bool]) -> None:
    """The run ends at this call of the receipt writer's method as by a kill: nothing is noted or cleared up."""
    from dermdata.fetching import run, zip_ranges
    from dermdata.fetching.receipt_writer import ReceiptWriter

    usual = getattr(ReceiptWriter, name)

    def dead(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    def die(self: Any, first: Any, *more: Any) -> Any:
        if not when(first):
            return usual(self, first, *more)
        for method in (
            "record_file",
            "record_contents",
            "announce_file",
            "announce_members",
            "_save",
            "_find_strays",
        ):
            setattr(self, method, dead)  # another thread of the run does not go on either
        return dead()

    monkeypatch.setattr(run, "STREAMS", 1)
    monkeypatch.setattr(zip_ranges, "STREAMS", 1)
    monkeypatch.setattr(ReceiptWriter, name, die)


@pytest.mark.parametrize("mend", [("fetch", "ours"), ("verify", "--repair")])
def test_red_team_11_force_killed_between_unpacking_and_receipt_is_mended(
    cli: Callable, ours: Ours, folder: Path, monkeypatch: pytest.MonkeyPatch, mend: tuple[str, ...]
) -> None:
    """The archive that was to go is ours: the next fetch, or a repair, sweeps it without asking anybody."""
    options = checked(ours).options
    assert cli(*options, "fetch", "ours").code == 0
    killed(monkeypatch, "record_file", lambda file: file.name == "a.zip")
    assert cli(*options, "fetch", "ours", "--force").code == 130
    monkeypatch.undo()
    assert list((folder / "files").glob("*.zip"))
    answer = cli(*options, "verify")
    assert (answer.code, "ours: fetch was interrupted" in answer.err) == (0, True), answer.err
    ours.asked()
    assert cli("--offline", *options, *mend).code == 0
    assert cli(*options, "verify").code == 0
    assert not list((folder / "files").glob("*.zip"))
    assert not (folder / ".unfinished.json").exists()


def test_members_that_a_killed_part_left_are_swept_by_any_fetch(
    cli: Callable, ours: Ours, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another part was killed before it was noted; the part of before is complete, and then all is as it was."""
    options = ours.options
    assert cli(*options, "fetch", "ours", *FIVE).code == 0
    killed(monkeypatch, "record_contents", bool)
    assert cli(*options, "fetch", "ours", "--where", "image_id = 'IM_0016'").code == 130
    monkeypatch.undo()
    (folder / "images/a/IM_0015.jpg").write_bytes(b"a person's own")
    assert "IM_0016" in pictures_in(folder)
    assert cli("--offline", *options, "fetch", "ours", *FIVE).code == 0
    assert pictures_in(folder) == {*(name_of(number) for number in range(5)), "IM_0015"}
    assert [line.split("\t")[1] for line in cli(*options, "verify").out.splitlines()[1:]] == [
        "images/a/IM_0015.jpg"
    ]


def test_a_complete_dataset_takes_no_lock(cli: Callable, ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left over: nobody is waited for."""
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    from dermdata.cache import Cache

    monkeypatch.setattr(Cache, "lock", None)
    assert cli(*options, "fetch", "ours").code == 0


def test_files_of_a_run_that_is_at_work_are_left_alone(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path
) -> None:
    """Somebody holds the dataset: complete stays complete, at once."""
    import fcntl

    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    (folder / ".unfinished.json").write_text('\n["images/a/new.jpg", null, null]')
    (folder / "images/a/new.jpg").write_bytes(b"on its way")
    with (tmp_path / "cache/locks/ours.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cli(*options, "fetch", "ours").code == 0
    assert (folder / "images/a/new.jpg").exists()
    assert cli(*options, "fetch", "ours").code == 0
    assert not (folder / "images/a/new.jpg").exists()


@pytest.mark.parametrize(
    "planted", ["../../../../keep.txt", "{root}/keep.txt", "link/keep.txt", "./link/keep.txt"]
)
def test_a_list_from_anyone_deletes_nothing_outside(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path, planted: str
) -> None:
    """Whoever can write into the cache: a path that leads out of the dataset's folder is not ours."""
    options = ours.options
    assert cli(*options, "fetch", "ours").code == 0
    keep = tmp_path / "keep.txt"
    keep.write_text("mine")
    (folder / "link").symlink_to(tmp_path)
    (folder / ".unfinished.json").write_text(json.dumps([planted.format(root=tmp_path), None, None]))
    cli(*options, "fetch", "ours")
    cli(*options, "verify", "--repair")
    assert keep.read_text() == "mine"


def test_the_site_of_these_tests_changes_its_tag_with_the_bytes(site: Site) -> None:
    """Else none of the above says anything of If-Range."""
    assert hashlib.md5(other_images()).hexdigest() != hashlib.md5(images(range(20))).hexdigest()
    assert len(other_images()) == len(images(range(20)))
