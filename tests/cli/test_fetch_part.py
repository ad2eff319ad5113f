"""`fetch --where` and `--limit`: only the chosen rows' images, by ranges out of the archives."""

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.archive_builders import Raw, raw_tar, raw_zip, tar_member
from support.made_up_dataset import (
    HOST,
    ROWS,
    TABLE,
    Ours,
    images,
    label_of,
    name_of,
    picture,
    pictures_in,
    rows,
)
from support.servers import Site

pytestmark = pytest.mark.usefixtures("small_catalog")
DF = "diagnosis = 'dermatofibroma'"
DIRECTORY = 3  # questions: how large it is, its last bytes, its first byte
CHOSEN = [name_of(number) for number in range(ROWS) if label_of(number) == "df"]


def table(folder: Path) -> list[dict[str, Any]]:
    columns = ["image_id", "path", "mask_path", "image_problem", "width"]
    return pq.ParquetFile(folder / "manifest.parquet").read(columns).to_pylist()


def ids(folder: Path) -> list[str]:
    return [row["image_id"] for row in table(folder)]


# ------------------------------------------------------------------ what it brings


def test_only_the_chosen_rows_images_and_masks_come(cli: Callable, ours: Ours, folder: Path) -> None:
    """The manifest holds exactly these rows; all that is on record verifies; the cache says incomplete."""
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 0, answer.err
    assert f"2 of 40 rows: {DF}" in answer.err
    assert [(row["image_id"], row["width"], row["image_problem"]) for row in table(folder)] == [
        (name, 48, None) for name in CHOSEN
    ]
    assert all(
        (folder / row["path"]).is_file() and (folder / row["mask_path"]).is_file() for row in table(folder)
    )
    assert pictures_in(folder) == set(CHOSEN)
    assert cli(*ours.options, "verify").code == 0
    [row] = list(csv.DictReader(io.StringIO(cli("cache", "list", "--format", "csv").out)))
    assert (row["images"], row["complete"]) == ("2", "false")
    [row] = list(csv.DictReader(io.StringIO(cli(*ours.options, "list", "--cached", "--format", "csv").out)))
    assert (row["name"], row["cached"], row["complete"]) == ("ours", "true", "false")


def test_an_archive_gives_its_directory_and_the_chosen_members_alone(cli: Callable, ours: Ours) -> None:
    """Far fewer bytes than the archive has, and none of it twice."""
    cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0030'")
    spans = [wanted for _, wanted in ours.asked("b.zip")]
    whole = len(ours.files["b.zip"][1])
    *_, last = [tuple(map(int, str(span).removeprefix("bytes=").split("-"))) for span in spans]
    assert None not in spans
    assert last[1] - last[0] < len(picture(30)) + 100 < whole / 10


def test_neighbors_come_by_one_range(cli: Callable, ours: Ours, folder: Path) -> None:
    """`--limit N`: the first N rows in the manifest's order."""
    answer = cli(*ours.options, "fetch", "ours", "--limit", "7")
    assert "7 of 40 rows: the first 7" in answer.err
    assert ids(folder) == [name_of(number) for number in range(7)]
    assert len(ours.asked("a.zip")) == DIRECTORY + 1


def test_where_and_limit_together(cli: Callable, ours: Ours, folder: Path) -> None:
    """The limit counts after the condition."""
    cli(*ours.options, "fetch", "ours", "--where", "age >= 50", "--limit", "3")
    assert ids(folder) == ["IM_0030", "IM_0031", "IM_0032"]


def test_masks_alone_of_chosen_rows(cli: Callable, ours: Ours, folder: Path) -> None:
    """`--only masks --where`: no image comes."""
    cli(*ours.options, "fetch", "ours", "--only", "masks", "--where", DF)
    assert {path.stem for path in folder.rglob("*_mask.png")} == {f"{name}_mask" for name in CHOSEN}
    assert not pictures_in(folder)


def test_only_metadata_first(cli: Callable, ours: Ours, folder: Path) -> None:
    """The table that is here is not fetched again."""
    cli(*ours.options, "fetch", "ours", "--only", "metadata")
    ours.asked()
    assert cli(*ours.options, "fetch", "ours", "--where", DF).code == 0
    assert not [address for address, _ in ours.asked() if address.endswith(".csv")]
    assert ids(folder) == CHOSEN


# ------------------------------------------------------------------ again, more, all


def test_the_same_again_asks_nobody(cli: Callable, ours: Ours) -> None:
    """Nothing to do, and said so."""
    cli(*ours.options, "fetch", "ours", "--where", DF)
    ours.asked()
    answer = cli(*ours.options, "--offline", "fetch", "ours", "--where", DF)
    assert (answer.code, ours.asked()) == (0, [])
    assert "nothing to do (2 of 40 rows" in answer.err


def test_another_part_is_added(cli: Callable, ours: Ours, folder: Path) -> None:
    """What an earlier one brought stays and is not asked for again; both conditions are told."""
    cli(*ours.options, "fetch", "ours", "--limit", "5")
    ours.asked()
    answer = cli(*ours.options, "fetch", "ours", "--limit", "6")
    assert len(ours.asked("a.zip")) == DIRECTORY + 1
    assert ids(folder) == [name_of(number) for number in range(6)]
    cli(*ours.options, "fetch", "ours", "--where", DF)
    assert ids(folder) == sorted({*CHOSEN, *(name_of(number) for number in range(6))})
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert f"the first 5; the first 6; {DF}" in answer.err


@pytest.mark.parametrize(("limit", "by_ranges"), [(30, True), (2, False)])
def test_a_whole_fetch_brings_the_rest(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path, limit: int, by_ranges: bool
) -> None:
    """By ranges where less than half is missing; the manifest is that of a fetch that never was partial."""
    assert cli(*ours.options, "fetch", "ours", cache=tmp_path / "other").code == 0
    [never] = (tmp_path / "other").rglob("manifest.parquet")
    cli(*ours.options, "fetch", "ours", "--limit", limit)
    ours.asked()
    answer = cli(*ours.options, "fetch", "ours")
    assert answer.code == 0, answer.err
    assert all(wanted for _, wanted in ours.asked("a.zip" if by_ranges else "x")) is True
    assert (folder / "manifest.parquet").read_bytes() == never.read_bytes()
    assert cli(*ours.options, "verify").code == 0
    assert "nothing to do" in cli(*ours.options, "fetch", "ours").err
    assert "all rows are here" in cli(*ours.options, "fetch", "ours", "--where", DF).err
    assert (folder / "manifest.parquet").read_bytes() == never.read_bytes()


def test_all_rows_are_a_whole_fetch(cli: Callable, ours: Ours, folder: Path) -> None:
    """A condition that is true of every row leaves nothing out, also no license text."""
    answer = cli(*ours.options, "fetch", "ours", "--limit", "1000")
    assert "whole dataset" in answer.err
    assert len(list(folder.rglob("LICENSE.txt"))) == 2
    [row] = list(csv.DictReader(io.StringIO(cli("cache", "list", "--format", "csv").out)))
    assert row["complete"] == "true"


def test_repair_and_deleted_images(cli: Callable, ours: Ours, folder: Path) -> None:
    """The place of each member is on record: one range mends it."""
    cli(*ours.options, "fetch", "ours", "--where", DF)
    [first, second] = sorted(folder.rglob("*.jpg"))
    first.unlink()
    ours.asked()
    assert cli(*ours.options, "verify", "--repair").code == 0
    assert len(ours.asked("a.zip")) == 1
    second.unlink()
    assert cli(*ours.options, "fetch", "ours", "--where", DF).code == 0
    assert second.read_bytes() == picture(int(second.stem[-4:]))
    assert ids(folder) == CHOSEN


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"id,dx,age\n")])
def test_a_broken_table_is_mended_before_it_chooses(
    cli: Callable, ours: Ours, folder: Path, damage: Callable[[Path], object]
) -> None:
    """Gone or cut: the rows are those of the source."""
    cli(*ours.options, "fetch", "ours", "--where", DF)
    damage(folder / "files" / "table.csv")
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 0, answer.err
    assert ids(folder) == CHOSEN
    assert cli(*ours.options, "verify").code == 0


# ------------------------------------------------------------------ wrong questions


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "diagnosi = 'x'"], "did you mean diagnosis"),
        (["--where", "width > 600"], "only known of images that are here"),
        (["--where", "age >"], "condition"),
        (["--where", "diagnosis under 'melanom'"], "did you mean"),
        (["--where", DF, "--only", "metadata"], "choose images"),
        (["--where", DF, "--force"], "--force"),
        (["--limit", "3", "--from", "x"], "--from"),
        (["--limit", "0"], "limit"),
    ],
)
def test_wrong_questions_ask_no_host(cli: Callable, ours: Ours, words: list[str], said: str) -> None:
    """Exit 2 with the next step, before a single request."""
    answer = cli(*ours.options, "fetch", "ours", *words)
    assert (answer.code, ours.asked()) == (2, [])
    assert said in answer.err


def test_where_nothing_fits_no_image_comes(cli: Callable, ours: Ours) -> None:
    """Exit 1, a near miss is shown, and the cache is as whole as after --only metadata."""
    answer = cli(*ours.options, "fetch", "ours", "--where", "diagnosis = 'dermatofibrom'")
    assert (answer.code, answer.out) == (1, "")
    assert "did you mean dermatofibroma?" in answer.err
    assert not [address for address, _ in ours.asked() if address.endswith(".zip")]
    assert cli(*ours.options, "verify").code == 0
    cli(*ours.options, "fetch", "ours", "--where", DF)
    assert cli(*ours.options, "fetch", "ours", "--where", "age > 1000").code == 1
    assert cli(*ours.options, "verify").code == 0


def test_a_dry_run_shows_rows_and_bytes(cli: Callable, ours: Ours, tmp_path: Path) -> None:
    """Tables and directories are read, no image, and nothing stays."""
    answer = cli(*ours.options, "fetch", "ours", "--where", DF, "--dry-run", "--format", "csv")
    found = {row["file"]: row for row in csv.DictReader(io.StringIO(answer.out))}
    assert found["a.zip"]["step"] == "pick"
    assert found["manifest.parquet"]["count"] == "2"
    # the directory's bytes count too: of an archive this small they are all of it
    assert int(found["a.zip"]["size_bytes"]) >= len(ours.files["a.zip"][1]) + len(picture(8))
    assert "2 of 40 rows" in answer.err
    assert not (tmp_path / "cache" / "datasets").exists()


# ------------------------------------------------------------------ bad days


def test_a_host_without_ranges_gives_small_archives_whole(cli: Callable, ours: Ours, folder: Path) -> None:
    """The rows are still the chosen ones; it is said that the archive comes whole."""
    ours.without_ranges()
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 0, answer.err
    assert "its host gives no part of a file, it comes whole" in answer.err
    assert ids(folder) == CHOSEN
    assert cli(*ours.options, "verify").code == 0


def test_a_large_archive_is_not_taken_whole_unasked(
    cli: Callable, ours: Ours, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3, and the hint says what to leave out."""
    monkeypatch.setattr("dermdata.fetching.subset.SMALL_ARCHIVE", 1000)
    ours.without_ranges()
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 3
    assert "hint: without --where and --limit" in answer.err
    assert not pictures_in(folder)


def test_a_broken_member_gets_no_name(cli: Callable, ours: Ours, folder: Path) -> None:
    """Exit 4 with its name; the others are kept, and the next run completes once the source is mended."""
    good = ours.files["a.zip"][1]
    at = good.index(picture(3)) + 1000
    ours.put("a.zip", "images", good[:at] + b"\0\0\0\0" + good[at + 4 :], 'unpack = "zip"')
    answer = cli(*ours.options, "fetch", "ours", "--where", "image_id in ('IM_0003', 'IM_0010')")
    assert answer.code == 4
    assert "IM_0003.jpg" in answer.err
    assert "CRC" in answer.err
    assert "IM_0003" not in pictures_in(folder)
    ours.put("a.zip", "images", good, 'unpack = "zip"')
    assert cli(*ours.options, "fetch", "ours", "--where", "image_id in ('IM_0003', 'IM_0010')").code == 0
    assert (folder / "images/a/IM_0003.jpg").read_bytes() == picture(3)


def test_a_flipped_bit_on_the_way_is_asked_for_once_more(cli: Callable, ours: Ours, folder: Path) -> None:
    """A second try of the range, then all is well."""
    good = ours.files["a.zip"][1]
    at = good.index(picture(16)) + 1000
    questions: list[str] = []

    def flip(name: str, _: Any) -> None:
        questions.append(name)
        now = questions.count("a.zip") == DIRECTORY + 1
        ours.site.put(f"{HOST}a.zip", good[:at] + b"\0\0\0\0" + good[at + 4 :] if now else good)

    ours.before_each(flip)
    answer = cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0016'")
    assert answer.code == 0, answer.err
    assert (folder / "images/a/IM_0016.jpg").read_bytes() == picture(16)


def test_an_archive_that_changes_meanwhile_is_refused(cli: Callable, ours: Ours, folder: Path) -> None:
    """The directory was read of another version than the members: exit 4, nothing under a final name."""
    other = images([*range(5, 20), *range(5)])
    assert len(other) == len(ours.files["a.zip"][1])
    questions: list[str] = []

    def change(name: str, _: Any) -> None:
        questions.append(name)
        if questions.count("a.zip") == DIRECTORY + 1:
            ours.site.put(f"{HOST}a.zip", other)

    ours.before_each(change)
    answer = cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0016'")
    assert answer.code == 4
    assert not pictures_in(folder)


def test_another_size_than_the_catalogs_is_refused(cli: Callable, ours: Ours, folder: Path) -> None:
    """Exit 4 with both sizes, before anything is taken."""
    _, data, _ = ours.files["a.zip"]
    ours.put("a.zip", "images", data, f'unpack = "zip"\nsize = {len(data) + 1}')
    answer = cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0016'")
    assert answer.code == 4
    assert f"{len(data):,} bytes, the catalog expects {len(data) + 1:,}" in answer.err


def test_a_directory_whose_sizes_lie_is_refused(cli: Callable, ours: Ours, folder: Path) -> None:
    """The member says otherwise."""
    lying = raw_zip(
        *(
            Raw(f"{name_of(n)}.jpg".encode(), picture(n), method=8, size=4000 if n == 3 else None)
            for n in range(20)
        )
    )
    ours.put("a.zip", "images", lying, 'unpack = "zip"')
    answer = cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0003'")
    assert answer.code == 4
    assert "IM_0003.jpg" in answer.err
    assert not pictures_in(folder)


def test_a_run_that_was_cut_goes_on(
    cli: Callable, ours: Ours, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was whole is not asked for again, and a stranger under a member's name is not trusted."""
    condition = "image_id in ('IM_0001', 'IM_0008', 'IM_0016')"
    from dermdata.fetching import zip_ranges

    usual, names = zip_ranges.store_member, []

    def cut(shelf: Any, read: Any, content: Any, into: Any) -> Any:
        names.append(content.path)
        if len(names) > 1:
            raise KeyboardInterrupt
        return usual(shelf, read, content, into)

    monkeypatch.setattr(zip_ranges, "store_member", cut)
    monkeypatch.setattr(zip_ranges, "STREAMS", 1)
    assert cli(*ours.options, "fetch", "ours", "--where", condition).code == 130
    monkeypatch.undo()
    assert len(pictures_in(folder)) == 1
    (folder / "images/a/IM_0016.jpg").write_bytes(bytes(len(picture(16))))
    ours.asked()
    assert cli(*ours.options, "fetch", "ours", "--where", condition).code == 0
    assert len(ours.asked("a.zip")) == DIRECTORY + 2
    assert (folder / "images/a/IM_0016.jpg").read_bytes() == picture(16)
    assert cli(*ours.options, "verify").code == 0


def test_no_link_leads_a_member_out_of_the_cache(
    cli: Callable, ours: Ours, folder: Path, tmp_path: Path
) -> None:
    """A folder of the cache that is a link is refused."""
    (tmp_path / "outside").mkdir()
    (folder / "images").mkdir(parents=True)
    (folder / "images/a").symlink_to(tmp_path / "outside")
    assert cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0003'").code == 5
    assert not list((tmp_path / "outside").iterdir())


# ------------------------------------------------------------------ other shapes


def test_rows_that_only_the_archives_directory_knows(
    cli: Callable, tmp_path: Path, site: Site, folder: Path
) -> None:
    """The shape "folders": labels stand in the members' names."""
    members = {f"{label_of(number)}/{name_of(number)}.jpg": picture(number) for number in range(ROWS)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
    spec = (
        '[[table]]\nreader = "folders"\npattern = "{dx}/{image}"\nlabel_field = "dx"\n'
        '[table.columns]\nimage = "@path"\nimage_id = "image"\nlabel_raw = "dx"\n'
    )
    ours = Ours(tmp_path, site, table=spec)
    ours.put("all.zip", "images", buffer.getvalue(), 'unpack = "zip"')
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 0, answer.err
    assert "2 of 40 rows" in answer.err
    assert ids(folder) == CHOSEN
    assert pictures_in(folder) == set(CHOSEN)


def test_images_with_addresses_of_their_own(cli: Callable, tmp_path: Path, site: Site, folder: Path) -> None:
    """Only the chosen rows' addresses are asked."""
    spec = TABLE.replace('file = "table.csv"', 'file = "table.csv"\nimage_url = "url"').replace(
        "masks =", "# "
    )
    lines = rows(range(ROWS)).decode().splitlines()
    urls = ["url", *(f"{HOST}{name_of(number)}.jpg" for number in range(ROWS))]
    ours = Ours(tmp_path, site, listing="rows", table=spec)
    joined = [f"{line},{url}" for line, url in zip(lines, urls, strict=True)]
    ours.put("table.csv", "metadata", "\n".join([*joined, ""]).encode())
    for number in range(ROWS):
        site.put(f"{HOST}{name_of(number)}.jpg", picture(number))
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 0, answer.err
    asked = {address.rpartition("/")[2] for address, _ in ours.asked()}
    assert asked == {"table.csv", *(f"{name}.jpg" for name in CHOSEN)}
    assert ids(folder) == CHOSEN
    assert cli(*ours.options, "verify").code == 0
    assert cli(*ours.options, "fetch", "ours").code == 0
    assert len(ids(folder)) == ROWS
    again = {address.rpartition("/")[2] for address, _ in ours.asked()}
    assert not again & {f"{name}.jpg" for name in CHOSEN}


def test_a_tar_is_read_whole_and_says_so(cli: Callable, ours: Ours, folder: Path) -> None:
    """Its rows are the chosen ones all the same."""
    del ours.files["a.zip"]
    data = raw_tar(*(tar_member(f"{name_of(n)}.jpg", picture(n)) for n in range(20)), mode="w")
    ours.put("a.tar", "images", data, 'unpack = "tar"')
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 0, answer.err
    assert "a.tar is a tar: it can only be read whole" in answer.err
    assert ids(folder) == CHOSEN
    assert cli(*ours.options, "verify").code == 0


def test_a_table_inside_the_archive_of_images(
    cli: Callable, tmp_path: Path, site: Site, folder: Path
) -> None:
    """It comes by a range of its own, before the choice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for number in range(ROWS):
            made.writestr(f"pack/{name_of(number)}.jpg", picture(number))
        made.writestr("pack/rows.csv", rows(range(ROWS)))
    spec = TABLE.replace('file = "table.csv"', 'file = "pack.zip"\nmember = "pack/rows.csv"')
    ours = Ours(tmp_path, site, table=spec)
    ours.put("pack.zip", "images", buffer.getvalue(), 'unpack = "zip"\nmembers = { "*.csv" = "metadata" }')
    answer = cli(*ours.options, "fetch", "ours", "--where", DF)
    assert answer.code == 0, answer.err
    assert ids(folder) == CHOSEN
    assert all(wanted for _, wanted in ours.asked("pack.zip"))


def test_copies_of_one_image_in_two_archives_are_one(cli: Callable, ours: Ours, folder: Path) -> None:
    """As in a whole fetch: one is taken. Different images of one name are nobody's, and so is it said."""
    ours.put("b.zip", "images", images([8, *range(20, ROWS)]), 'unpack = "zip"')
    cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0008'")
    assert [row["path"] for row in table(folder)] == ["images/a/IM_0008.jpg"]


def test_different_images_of_one_name_are_nobodys(cli: Callable, ours: Ours, folder: Path) -> None:
    """The row stays, with the reason that a whole fetch gives."""
    twins = zipfile.ZipFile(io.BytesIO(images(range(20, ROWS))))
    members = {name: twins.read(name) for name in twins.namelist()} | {"IM_0008.jpg": picture(99)}
    from support.archive_builders import zipped

    ours.put("b.zip", "images", zipped(members, zipfile.ZIP_STORED), 'unpack = "zip"')
    cli(*ours.options, "fetch", "ours", "--where", "image_id = 'IM_0008'")
    [row] = table(folder)
    assert (row["path"], row["image_problem"]) == (None, "2 different files have this name")


def test_a_copy_is_not_mixed_with_a_part(cli: Callable, ours: Ours, folder: Path, tmp_path: Path) -> None:
    """--from on top of a part would look like the whole; nothing is changed."""
    assert cli(*ours.options, "fetch", "ours", "--where", DF).code == 0
    before = (folder / "manifest.parquet").read_bytes()
    (tmp_path / "own").mkdir()
    answer = cli(*ours.options, "fetch", "ours", "--from", tmp_path / "own")
    assert (answer.code, "is here in part (2 of 40 rows)" in answer.err) == (2, True)
    assert (folder / "manifest.parquet").read_bytes() == before


def test_metadata_alone_is_not_complete(cli: Callable, ours: Ours) -> None:
    """The images are still to come."""
    assert cli(*ours.options, "fetch", "ours", "--only", "metadata").code == 0
    [row] = list(csv.DictReader(io.StringIO(cli("cache", "list", "--format", "csv").out)))
    assert (row["images"], row["complete"]) == ("0", "false")
