"""`fetch` of an archive whose records are the table: asked for, kept, and nothing left beside."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow.parquet as pq
import pytest

from dermdata.hosts.isic import SEARCH
from support.made_up_dataset import HOST, TABLE, Ours, picture
from support.mirror import Mirror, mirror
from support.servers import Site

SPEC = TABLE.replace('"table.csv"', '"metadata.csv"').replace("masks =", "# ").replace('"id"', '"isic_id"')
SPEC = '[[files]]\nname = "metadata.csv"\nrole = "metadata"\nfetch = false\n' + SPEC
FOLDER = "cache/datasets/ours/unversioned"


def record(number: int, more: int = 0) -> dict[str, object]:
    """A record that states a size of so many bytes more than its image has."""
    name = f"ISIC_{number:07}"
    full = {"url": f"{HOST}{name}.JPG", "size": len(picture(number)) + more}
    return {
        "isic_id": name,
        "files": {"full": full},
        "metadata": {"clinical": {"dx": "nv", "age": 40 + number}},
    }


@pytest.fixture
def ours(tmp_path: Path, site: Site) -> Ours:
    made = Ours(tmp_path, site, listing="isic:", table=SPEC)
    put_records(site, [record(number) for number in range(3)])
    for number in range(3):
        site.put(f"{HOST}ISIC_{number:07}.JPG", picture(number))
    return made


def put_records(site: Site, records: list[dict[str, object]]) -> None:
    page = {"results": records, "count": len(records), "next": None}
    site.put(f"{SEARCH}?limit=100", json.dumps(page).encode())


def left(root: Path) -> list[str]:
    """What lies in the dataset's folder and is neither list nor image."""
    return sorted(
        one.name for one in (root / FOLDER).iterdir() if one.is_file() and "contents" not in one.name
    )


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["anew", "forced"])
def test_only_metadata_asks_for_the_records(
    force: tuple[str, ...], cli: Callable, ours: Ours, tmp_path: Path
) -> None:
    """The records are the table: without images a manifest of all rows, again with --force."""
    if force:
        assert cli(*ours.options, "fetch", "ours").code == 0
        ours.asked()
    answer = cli(*ours.options, "fetch", "ours", "--only", "metadata", *force)
    assert answer.code == 0, answer.err
    assert "3 rows of 3" in answer.err
    assert not [address for address, _ in ours.asked() if address.endswith(".JPG")]
    assert left(tmp_path) == ["manifest.parquet", "receipt.json"]


def test_the_records_on_their_way_leave_nothing_behind(cli: Callable, ours: Ours, tmp_path: Path) -> None:
    """The table is in the cache once; what a killed fetch left of it goes with the next one."""
    killed = tmp_path / FOLDER / f".metadata.csv.{host()}-999999999.0123abcd.tmp"
    killed.parent.mkdir(parents=True)
    killed.write_text("isic_id")
    assert cli(*ours.options, "fetch", "ours").code == 0
    assert left(tmp_path) == ["manifest.parquet", "receipt.json"]
    assert cli(*ours.options, "verify").code == 0


def host() -> str:
    from dermdata.process import machine_name

    return machine_name()


@pytest.mark.parametrize("more", [-164, -1, 1, 5000])
def test_the_size_that_a_record_states_is_a_hint(
    more: int, cli: Callable, ours: Ours, site: Site, tmp_path: Path
) -> None:
    """It is of the image before credit and license are written into it; a second fetch and `verify` know the real one."""
    put_records(site, [record(number, more) for number in range(3)])
    planned = cli(*ours.options, "fetch", "ours")
    assert planned.code == 0, planned.err
    assert "3 rows of 3" in planned.err
    assert "nothing to do" in cli(*ours.options, "fetch", "ours").err
    assert cli(*ours.options, "verify").code == 0
    receipt = json.loads((tmp_path / FOLDER / "receipt.json").read_text())
    sizes = {one["name"]: one["size"] for one in receipt["files"] if one["role"] == "images"}
    assert sizes == {f"images/ISIC_{number:07}.jpg": len(picture(number)) for number in range(3)}


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html><html>moved</html>", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_what_is_no_image_at_all_is_refused(
    data: bytes, cli: Callable, ours: Ours, site: Site, tmp_path: Path
) -> None:
    """No size tells it, so its first bytes must; nothing of it is kept, and the next run brings the image."""
    site.put(f"{HOST}ISIC_0000001.JPG", data)
    answer = cli(*ours.options, "fetch", "ours")
    assert answer.code in (3, 4, 6), answer.err
    assert not list((tmp_path / FOLDER).rglob("ISIC_0000001*"))
    site.put(f"{HOST}ISIC_0000001.JPG", picture(1))
    assert cli(*ours.options, "fetch", "ours").code == 0


def test_an_image_that_ends_early_is_told(cli: Callable, ours: Ours, site: Site, tmp_path: Path) -> None:
    """Its bytes are those that the archive gives; --force asks for them again, and other bytes are told."""
    site.put(f"{HOST}ISIC_0000001.JPG", picture(1)[:-200])
    answer = cli(*ours.options, "fetch", "ours")
    assert answer.code == 0, answer.err
    assert "1 image cannot be decoded whole" in answer.err
    [problem] = (
        pq.ParquetFile(tmp_path / FOLDER / "manifest.parquet").read()["image_problem"].drop_null().to_pylist()
    )
    assert problem
    site.put(f"{HOST}ISIC_0000001.JPG", picture(1))
    again = cli(*ours.options, "fetch", "ours", "--force")
    assert "other bytes than those of" in again.err
    assert "decoded" not in again.err


# ------------------------------------------------------------------ a choice

CHOICE_SPEC = SPEC.replace('age = "age"', 'age = "age_approx"\nsex = "sex"\nattribution = "attribution"')
OLDER = "query=age_approx:[41+TO+*]&"


@pytest.fixture
def chosen(tmp_path: Path, site: Site) -> Ours:
    """Three records of women of 40, 41 and 42, and what the archive answers for the older two."""
    made = Ours(tmp_path, site, listing="isic:", table=CHOICE_SPEC)
    records = [patient(number) for number in range(3)]
    put_page(site, f"{SEARCH}?limit=1", records[:1], 3)
    put_page(site, f"{SEARCH}?limit=100", records[:2], 3, following=f"{SEARCH}?cursor=2")
    put_page(site, f"{SEARCH}?cursor=2", records[2:])
    put_page(site, f"{SEARCH}?{OLDER}limit=1", records[1:2], 2)
    put_page(site, f"{SEARCH}?{OLDER}limit=100", records[1:2], 2, following=f"{SEARCH}?{OLDER}cursor=1")
    put_page(site, f"{SEARCH}?{OLDER}cursor=1", records[2:])
    site.put(f"{SEARCH}size/?{OLDER.rstrip('&')}", b'{"size": 5000}')
    for number in range(3):
        site.put(f"{HOST}ISIC_{number:07}.JPG", picture(number))
    return made


def patient(number: int) -> dict[str, object]:
    fields = {"dx": "nv", "age_approx": 40 + number, "sex": "female"}
    return {**record(number), "attribution": f"Clinic {number}", "metadata": {"clinical": fields}}


def put_page(
    site: Site,
    url: str,
    records: list[dict[str, object]],
    count: int | None = None,
    following: str | None = None,
) -> None:
    site.put(url, json.dumps({"results": records, "count": count, "next": following}).encode())


def asked_of(ours: Ours) -> list[str]:
    """What was asked, without the hosts; images in their order."""
    names = [
        address.replace(SEARCH.partition("://")[2], "").rpartition("data.example/")[2]
        for address, _ in ours.asked()
    ]
    return [one for one in names if not one.endswith(".JPG")] + sorted(
        one for one in names if one.endswith(".JPG")
    )


def pictures(*numbers: int) -> list[str]:
    return [f"ISIC_{number:07}.JPG" for number in numbers]


def ids(root: Path) -> list[str]:
    return pq.ParquetFile(root / FOLDER / "manifest.parquet").read()["image_id"].to_pylist()


def test_a_choice_asks_for_the_records_that_it_takes_and_no_others(
    cli: Callable, chosen: Ours, tmp_path: Path
) -> None:
    answer = cli(*chosen.options, "fetch", "ours", "--where", "age >= 41")
    assert answer.code == 0, answer.err
    assert "the archive is asked for age_approx:[41 TO *]: 2 of 3 records\n" in answer.err
    assert "2 of 3 rows: age >= 41" in answer.err
    assert asked_of(chosen) == [
        *("?limit=1", f"?{OLDER}limit=1", f"?{OLDER}limit=100", f"?{OLDER}cursor=1"),
        *pictures(1, 2),
    ]
    assert ids(tmp_path) == ["ISIC_0000001", "ISIC_0000002"]
    assert cli(*chosen.options, "verify").code == 0
    assert left(tmp_path) == ["manifest.parquet", "receipt.json"]
    assert "nothing to do" in cli(*chosen.options, "fetch", "ours", "--where", "age >= 41").err
    assert asked_of(chosen) == []


def test_what_the_archive_cannot_say_is_chosen_here(cli: Callable, chosen: Ours, tmp_path: Path) -> None:
    where = "age >= 41 and attribution = 'Clinic 2'"
    answer = cli(*chosen.options, "fetch", "ours", "--where", where)
    assert answer.code == 0, answer.err
    assert "age_approx:[41 TO *]: 2 of 3 records; the rest is chosen here" in answer.err
    assert "1 of 3 rows" in answer.err
    assert asked_of(chosen)[4:] == pictures(2)


def test_a_later_choice_adds_to_what_is_here(cli: Callable, chosen: Ours, tmp_path: Path) -> None:
    """Also to its table; then the whole asks for what is missing alone."""
    cli(*chosen.options, "fetch", "ours", "--where", "age >= 41 and attribution = 'Clinic 2'")
    asked_of(chosen)
    answer = cli(*chosen.options, "fetch", "ours", "--where", "attribution = 'Clinic 0'")
    assert answer.code == 0, answer.err
    assert "the archive is asked for 3 of 3 records; the rest is chosen here" in answer.err
    assert asked_of(chosen)[3:] == pictures(0)
    assert ids(tmp_path) == ["ISIC_0000000", "ISIC_0000002"]
    assert cli(*chosen.options, "fetch", "ours").code == 0
    assert asked_of(chosen) == ["?limit=100", "?cursor=2", *pictures(1)]
    assert len(ids(tmp_path)) == 3
    assert cli(*chosen.options, "verify").code == 0


def test_a_limit_takes_the_first_that_the_archive_lists(cli: Callable, chosen: Ours, tmp_path: Path) -> None:
    """And asks for no page beyond those."""
    answer = cli(*chosen.options, "fetch", "ours", "--limit", "1")
    assert answer.code == 0, answer.err
    assert asked_of(chosen) == ["?limit=1", "?limit=100", *pictures(0)]
    answer = cli(*chosen.options, "fetch", "ours", "--limit", "1", "--where", "attribution > 'Clinic 1'")
    assert answer.code == 0, answer.err
    assert ids(tmp_path) == ["ISIC_0000000", "ISIC_0000002"]


@pytest.mark.parametrize(
    "where", ["age > 200", "sex = 'femal'", "attribution = 'nobody'", "age >= 41 and sex is null"]
)
def test_a_choice_that_takes_nothing_leaves_nothing(
    where: str, cli: Callable, chosen: Ours, site: Site, tmp_path: Path
) -> None:
    put_page(
        site,
        f"{SEARCH}?query=age_approx:[41+TO+*]+AND+-sex:female+AND+-sex:male+AND+-sex:other&limit=1",
        [],
        0,
    )
    answer = cli(*chosen.options, "fetch", "ours", "--where", where)
    assert answer.code == 1
    assert "error: ours: none of 3 images is chosen, nothing was fetched" in answer.err
    assert not [one for one in asked_of(chosen) if one.endswith(".JPG")]
    assert not (tmp_path / FOLDER).exists()
    assert ("did you mean female" in answer.err) == (where == "sex = 'femal'")


def test_a_dry_run_says_what_the_archive_counts(cli: Callable, chosen: Ours) -> None:
    """No record is asked for."""
    answer = cli(*chosen.options, "fetch", "ours", "--where", "age >= 41", "--dry-run", "--format", "jsonl")
    assert answer.code == 0, answer.err
    step, build = map(json.loads, answer.out.splitlines())
    assert (step["step"], step["count"], step["size_bytes"]) == ("download", 2, 5000)
    assert (step["from"], build["count"]) == ("age_approx:[41 TO *]", 2)
    assert "2 of 3 images: age >= 41, about 5.0 kB" in answer.err
    assert asked_of(chosen) == ["?limit=1", f"?{OLDER}limit=1", f"size/?{OLDER.rstrip('&')}"]


def test_a_query_that_the_archive_reads_no_more_leaves_the_choice_to_us(
    cli: Callable, chosen: Ours, site: Site, tmp_path: Path
) -> None:
    """Its language may change: no result is the smaller for it."""
    site.refused[f"{SEARCH}?{OLDER}limit=1".partition("://")[2]] = 400
    answer = cli(*chosen.options, "fetch", "ours", "--where", "age >= 41")
    assert answer.code == 0, answer.err
    assert (
        "cannot read the query 'age_approx:[41 TO *]' (400), so all its records are looked at" in answer.err
    )
    assert ids(tmp_path) == ["ISIC_0000001", "ISIC_0000002"]
    assert asked_of(chosen)[2:] == ["?limit=100", "?cursor=2", *pictures(1, 2)]


@pytest.mark.parametrize("torn", [0, 5, 400])
@pytest.mark.parametrize("options", [(), ("--where", "age >= 41")], ids=["all", "a part"])
def test_a_list_goes_on_where_it_was_left(
    options: tuple[str, ...], torn: int, cli: Callable, chosen: Ours, site: Site, tmp_path: Path
) -> None:
    """After a page that did not come; a line that a kill tore is asked for again."""
    second = f"{SEARCH}?{OLDER}cursor=1" if options else f"{SEARCH}?cursor=2"
    page = site.files.pop(second.partition("://")[2])
    failed = cli(*chosen.options, "fetch", "ours", *options)
    assert failed.code == 3, failed.err
    journal = tmp_path / FOLDER / ".records.json"
    assert cli(*chosen.options, "verify").code == 0  # an interrupted fetch, nothing broken
    kept = journal.read_bytes()
    journal.write_bytes(kept[: len(kept) - torn])
    site.put(second, page)
    asked_of(chosen)
    answer = cli(*chosen.options, "fetch", "ours", *options)
    assert answer.code == 0, answer.err
    first = [f"?{OLDER}limit=100" if options else "?limit=100"] if torn else []
    assert [one for one in asked_of(chosen) if one.startswith("?") and not one.endswith("limit=1")] == [
        *first,
        second.removeprefix(SEARCH),
    ]
    assert len(ids(tmp_path)) == (2 if options else 3)
    assert not journal.exists()


def test_a_list_of_another_search_or_of_long_ago_is_not_gone_on_with(
    cli: Callable, chosen: Ours, site: Site, tmp_path: Path
) -> None:
    gone = site.files.pop(f"{SEARCH}?cursor=2".partition("://")[2])
    assert cli(*chosen.options, "fetch", "ours").code == 3
    assert cli(*chosen.options, "fetch", "ours", "--where", "age >= 41").code == 0
    assert cli(*chosen.options, "fetch", "ours").code == 3
    journal = tmp_path / FOLDER / ".records.json"
    head = json.loads(journal.read_bytes().splitlines()[1])
    old = journal.read_bytes().replace(str(head["begun"]).encode(), str(head["begun"] - 8 * 86400).encode())
    journal.write_bytes(old)
    site.put(f"{SEARCH}?cursor=2", gone)
    asked_of(chosen)
    assert cli(*chosen.options, "fetch", "ours").code == 0
    assert asked_of(chosen)[:2] == ["?limit=100", "?cursor=2"]


def test_a_column_of_a_joined_file_is_not_taken_for_one_of_the_archive(
    cli: Callable, chosen: Ours, site: Site, tmp_path: Path
) -> None:
    """Skin type stands in a file of its own; a choice then is made of all records, with that file."""
    chosen.table = CHOICE_SPEC.replace(
        'file = "metadata.csv"', 'file = "metadata.csv"\njoin = [{ file = "skin.csv", on = "isic_id" }]'
    ).replace('sex = "sex"', 'sex = "sex"\nfitzpatrick = "skin_type"')
    chosen.put("skin.csv", "metadata", b"isic_id,skin_type\nISIC_0000001,IV\nISIC_0000002,II\n")
    answer = cli(*chosen.options, "fetch", "ours", "--where", "fitzpatrick > 3 and age >= 41")
    assert answer.code == 0, answer.err
    assert ids(tmp_path) == ["ISIC_0000001"]
    assert asked_of(chosen)[-1:] == pictures(1)


def test_a_lock_of_few_asks_for_its_records_by_their_ids(
    cli: Callable, chosen: Ours, site: Site, tmp_path: Path
) -> None:
    """Into an empty cache; what the archive has no more is told by the rows that are not there."""
    lock, again = tmp_path / "some.lock", tmp_path / "again.parquet"
    cli(*chosen.options, "fetch", "ours")
    cli(*chosen.options, "select", "ours", "--where", "age = 41", "-o", again)
    assert cli(*chosen.options, "lock", again, "-o", lock).code == 0
    ask = f"{SEARCH}?query=isic_id:ISIC_0000001&limit=1"
    put_page(site, ask, [patient(1)], 1)
    chosen.asked()
    answer = cli(*chosen.options, "sync", lock, "-o", again, cache=tmp_path / "other")
    assert answer.code == 0, answer.err
    assert "only 1 of 3 images is in the lock" in answer.err
    assert asked_of(chosen) == ["?limit=1", ask.removeprefix(SEARCH), *pictures(1)]
    put_page(site, ask, [], 0)
    answer = cli(*chosen.options, "sync", lock, "-o", again, cache=tmp_path / "third")
    assert (answer.code, "1 gone" in answer.err) == (4, True)


# ------------------------------------------------------------------ the archive of 2026


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """118 records: two pages, sizes that are too small, `images/` that does not filter."""
    with mirror(
        tmp_path_factory.mktemp("archive"), "isic-archive", rows=60, pictures="noise", world="2026"
    ) as one:
        yield one


@pytest.mark.shared
@pytest.mark.parametrize(
    ("where", "query"),
    [
        (
            "diagnosis under 'melanoma' and sex = 'female'",
            'diagnosis_2:"Malignant melanocytic proliferations (Melanoma)" AND sex:female',
        ),
        ("age >= 70 or age is null", "-age_approx:[* TO 69]"),
        ("sex <> 'female' and license = 'CC0-1.0'", "sex:* AND -sex:female AND copyright_license:CC-0"),
    ],
)
def test_the_log_shows_only_matching_records_asked_for(
    where: str, query: str, cli: Callable, archive: Mirror, tmp_path: Path
) -> None:
    """And they are those that `select` takes of the whole archive."""
    rewrite = archive.options[2:]  # as the catalog has it: no sizes and checksums of the mirror's
    before = len(archive.requests())
    part = cli(*rewrite, "fetch", "isic-archive", "--where", where)
    assert part.code == 0, part.err
    asked = [unquote_plus(one["path"]) for one in archive.requests()[before:]]
    pages = [one.partition("/search/")[2] for one in asked if "/search/" in one]
    assert pages[0] == "?limit=1"
    assert all(f"query={query}" in one for one in pages[1:])
    assert not [one for one in asked if "/search/" not in one and "/images/ISIC_" not in one]
    (path,) = tmp_path.glob("cache/datasets/isic-archive/*/manifest.parquet")
    chosen = pq.ParquetFile(path).read()["image_id"].to_pylist()
    assert sorted(Path(one).stem for one in asked if "/images/ISIC_" in one) == sorted(chosen)
    assert cli(*rewrite, "fetch", "isic-archive").code == 0
    assert cli("verify").code == 0
    whole = cli(
        "select", "isic-archive", "--where", where, "--format", "jsonl", "-o", str(tmp_path / "some.parquet")
    )
    assert whole.code == 0, whole.err
    assert pq.ParquetFile(tmp_path / "some.parquet").read()["image_id"].to_pylist() == chosen
    assert 0 < len(chosen) < archive.expected["isic-archive"]["rows"]
