"""`dermdata doctor --sources`: what the hosts have today, compared with the catalog; a report and a health record."""

import hashlib
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

import dermdata as dd
from conftest import Answer
from dermdata.api import source_check
from dermdata.catalogs.health import LastSeen, describe_health, format_health, read_health
from dermdata.errors import BadCatalog, UnknownName
from dermdata.fetching.live_check import take_evenly
from dermdata.model import File
from support.catalog_folders import entry, put
from support.servers import Site

CLI = Callable[..., Answer]
TABLE = b"id,dx\n1,NEV\n"
RECORD = "https://zenodo.org/api/records/77"
CHALLENGE = (202, {"x-amzn-waf-action": "challenge"}, b"")
LOG_IN = (200, {"Content-Type": "text/html"}, b"<!doctype html><html><title>Sign in</title>")


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


class MoodySite(Site):
    """A site whose hosts may refuse: by host a status, headers and a body for whatever is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.moods: dict[str, tuple[int, dict[str, str], bytes]] = {}

    def answer(self, request: Any) -> None:
        host = request.path.removeprefix("/web/").partition("/")[0]
        if host not in self.moods:
            super().answer(request)
            return
        self.requests.append((request.path.removeprefix("/web/"), request.headers.get("Range")))
        status, headers, body = self.moods[host]
        request.send_response(status, HTTPStatus(status).phrase)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[MoodySite]:
    monkeypatch.setattr(source_check, "PAUSE", 0)
    with MoodySite() as running:
        yield running


@pytest.fixture
def ask(cli: CLI, hosts: MoodySite, tmp_path: Path) -> Callable[..., tuple[Answer, dict[str, Any]]]:
    """Run the command on the catalog of this test: its answer, and its items by name."""

    def run(*names: object) -> tuple[Answer, dict[str, Any]]:
        options = ("--catalog", tmp_path / "catalog", "--rewrite", hosts.rewrite)
        answer = cli(*options, "doctor", "--sources", *names, "--format", "json")
        items = json.loads(answer.out)["items"] if answer.out else []
        return answer, {item["name"]: item for item in items}

    return run


def put_file(root: Path, name: str, file: str, more: str = "", access: str = 'kind = "open"') -> None:
    """An entry of one file."""
    text = f'{more}\n[[files]]\nname = "table.csv"\nrole = "metadata"\n{file}\n'
    put(root / "catalog", name, entry(name, "", f"[access]\n{access}\n") + text)


def put_record(site: Site, data: bytes, *, states: bytes | None = None, name: str = "table.csv") -> None:
    """A record at Zenodo that has a file, and states what `states` would be."""
    stated = data if states is None else states
    row = {"key": name, "size": len(stated), "checksum": md5(stated)}
    site.put(RECORD, json.dumps({"files": [row]}).encode())
    site.put(f"https://zenodo.org/records/77/files/{name}?download=1", data)


# ------------------------------------------------------------------ the bad day


def test_each_kind_of_change_is_found_once(ask: Callable, hosts: MoodySite, tmp_path: Path) -> None:
    """A changed size, a changed checksum, a gone file, a challenge: a row each, and exit 1."""
    source = f'source = "zenodo:77/table.csv"\nsize = {len(TABLE)}\nchecksum = "{md5(TABLE)}"'
    put_file(tmp_path, "whole", f'urls = ["https://a.example/t.csv"]\nsize = {len(TABLE)}')
    put_file(tmp_path, "longer", f'urls = ["https://b.example/t.csv"]\nsize = {len(TABLE)}')
    put_file(tmp_path, "other", source)
    put_file(tmp_path, "gone", 'urls = ["https://c.example/t.csv"]')
    put_file(tmp_path, "shut", 'urls = ["https://d.example/t.csv"]')
    hosts.put("https://a.example/t.csv", TABLE)
    hosts.put("https://b.example/t.csv", TABLE + b"2,MEL\n")
    put_record(hosts, TABLE.replace(b"NEV", b"MEL"))
    hosts.moods["d.example"] = CHALLENGE
    answer, items = ask("whole", "longer", "other", "gone", "shut")
    assert answer.code == 1
    assert {name: item["state"] for name, item in items.items()} == {
        "whole": "whole", "longer": "changed", "other": "changed", "gone": "gone", "shut": "refused",
    }  # fmt: skip
    assert "18 bytes, the catalog has 12" in items["longer"]["detail"]
    assert f"the catalog has {md5(TABLE)}" in items["other"]["detail"]
    assert "404" in items["gone"]["detail"]
    assert "wants a browser" in items["shut"]["detail"]
    assert "4 entries have sources that are not as the catalog says" in answer.err


@pytest.mark.parametrize(
    ("mood", "state", "word"),
    [
        (CHALLENGE, "refused", "browser"),
        ((405, {"x-amzn-waf-action": "captcha"}, b""), "refused", "CAPTCHA"),
        (LOG_IN, "refused", "log-in"),
        ((200, {}, b""), "refused", "sends nothing"),
        ((403, {}, b"<html><center>awselb</center></html>"), "refused", "blocks this network"),
        ((401, {}, b"Anonymous caller does not have storage.objects.get access"), "refused", "bucket"),
        ((403, {}, b"<Error><Code>AccessDenied</Code></Error>"), "gone", "no such file, or it is not public"),
        ((410, {}, b""), "gone", "410"),
        ((500, {}, b""), "refused", "500"),
        ((429, {"Retry-After": "900"}, b""), "refused", "900 s"),
    ],
)  # fmt: skip
def test_how_a_host_refuses_is_said(
    ask: Callable,
    hosts: MoodySite,
    tmp_path: Path,
    mood: tuple[int, dict[str, str], bytes],
    state: str,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In words, as the state that it is; a success that is a page or nothing is no success."""
    monkeypatch.setattr(source_check, "ATTEMPTS", 1)
    put_file(tmp_path, "odd", 'urls = ["https://odd.example/table.csv"]')
    hosts.moods["odd.example"] = mood
    answer, items = ask("odd")
    assert (answer.code, items["odd"]["state"]) == (1, state)
    assert word in items["odd"]["detail"]


def test_a_refusal_of_the_whole_host_is_asked_for_once(
    ask: Callable, hosts: MoodySite, tmp_path: Path
) -> None:
    """Thirty files of one host that wants a browser: one request, and the words once."""
    files = "".join(
        f'[[files]]\nname = "{number}.zip"\nrole = "images"\nurls = ["https://shut.example/{number}.zip"]\n'
        for number in range(30)
    )
    put(tmp_path / "catalog", "many", entry("many") + files)
    hosts.moods["shut.example"] = CHALLENGE
    _, items = ask("many")
    assert len(hosts.requests) == 1
    assert items["many"]["detail"].count("browser") == 1
    assert "20 files: refused at shut.example" in items["many"]["detail"]
    assert "20 of 30 files asked" in items["many"]["detail"]


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"name": "other.csv"}, "it has other.csv"),
        ({"states": TABLE + b"more"}, "its host states 16 bytes and serves 12"),
    ],
)
def test_a_record_that_does_not_hold_what_it_says(
    ask: Callable, hosts: MoodySite, tmp_path: Path, record: dict[str, Any], detail: str
) -> None:
    """A file that was renamed in its record; a record whose file has another size than it states."""
    put_file(tmp_path, "odd", 'source = "zenodo:77/table.csv"')
    put_record(hosts, TABLE, **record)
    answer, items = ask("odd")
    assert answer.code == 1
    assert detail in items["odd"]["detail"] or items["odd"]["state"] == "gone"


def test_who_cannot_be_reached_is_no_finding(
    ask: Callable, cli: CLI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3: nothing is known of the source, so nothing is said of it; offline nobody is asked."""
    put_file(tmp_path, "away", 'urls = ["https://away.example/t.csv"]')
    options = ("--catalog", tmp_path / "catalog", "--rewrite", "https://=http://127.0.0.1:9/")
    monkeypatch.setattr(source_check, "ATTEMPTS", 1)
    answer = cli(*options, "doctor", "--sources", "away", "--format", "json")
    assert answer.code == 3
    assert json.loads(answer.out)["items"][0]["state"] == "unreachable"
    assert "could not be reached" in answer.err
    assert cli("--offline", *options, "doctor", "--sources", "away").code == 3


def test_what_is_not_asked_says_why(ask: Callable, hosts: MoodySite, tmp_path: Path) -> None:
    """An account that is not there, no address, nothing to be had; all that is no difference."""
    account = 'kind = "account"\nservice = "derm7pt"\nurl = "https://in.example/page"'
    put_file(tmp_path, "guarded", 'urls = ["https://in.example/t.csv"]\nauth = "basic"', access=account)
    put_file(tmp_path, "lost", "")
    put_file(tmp_path, "misspelled", 'source = "zenodoo:77/table.csv"')
    put_file(tmp_path, "never", "", access='kind = "unavailable"\nevidence = "it was never released"')
    answer, items = ask("guarded", "lost", "misspelled", "never", "demo")
    assert answer.code == 0, answer.err
    assert {item["state"] for item in items.values()} == {"not-asked"}
    assert "needs an account of derm7pt" in items["guarded"]["detail"]
    assert "no address of it is known" in items["lost"]["detail"]
    assert "zenodoo" in items["misspelled"]["detail"]
    assert "it cannot be had" in items["never"]["detail"]
    assert "ship with the catalog" in items["demo"]["detail"]
    assert hosts.requests == []


@pytest.mark.parametrize(
    "words", [("demo",), ("--report", "r.json"), ("--update", "."), ("--sources", "--update", "nowhere")]
)
def test_options_that_make_no_sense(cli: CLI, words: tuple[str, ...]) -> None:
    assert cli("doctor", *words).code == 2


def test_an_unknown_name_asks_nobody(ask: Callable, hosts: MoodySite, tmp_path: Path) -> None:
    put_file(tmp_path, "plain", 'urls = ["https://a.example/t.csv"]')
    answer, _ = ask("ham1000")
    assert answer.code == 2
    assert "ham10000" in answer.err
    assert hosts.requests == []


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"schema": "dermdata.health/9", "entries": {}}',
        '{"schema": "dermdata.health/1", "entries": {"a": {"b": {"seen": "today"}}}}',
        '{"schema": "dermdata.health/1", "entries": {"a": {"b": {"seen": "2026-12-01", "size": "12"}}}}',
        '{"schema": "dermdata.health/1", "entries": {"a": {"b": {"seen": "2026-12-01", "weight": 12}}}}',
    ],
)
def test_a_broken_health_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "health.json").write_text(text)
    with pytest.raises(BadCatalog, match=r"health\.json"):
        read_health([tmp_path])


# ------------------------------------------------------------------ the good day


def test_nothing_is_downloaded_and_every_address_is_asked(
    ask: Callable, hosts: MoodySite, tmp_path: Path
) -> None:
    """One byte of each of a file's addresses; a dead fall-back is told though the first one is well."""
    put_file(tmp_path, "twice", 'urls = ["https://a.example/t.csv", "https://old.example/t.csv"]')
    hosts.put("https://a.example/t.csv", TABLE)
    answer, items = ask("twice")
    assert {range_ for _, range_ in hosts.requests} == {"bytes=0-0"}
    assert (answer.code, items["twice"]["state"]) == (1, "gone")
    assert [place["state"] for place in items["twice"]["places"]] == ["whole", "gone"]
    assert "old.example" in items["twice"]["detail"]
    hosts.put("https://old.example/t.csv", TABLE)
    assert ask("twice")[0].code == 0


def test_a_listing_is_asked_in_place_of_its_files(ask: Callable, hosts: MoodySite, tmp_path: Path) -> None:
    """Of a bucket its list, and a byte of three of its files; how many images it has is compared."""
    names = [f"dataset/images/{number}.png" for number in range(40)]
    page = {"items": [{"name": name, "size": "7"} for name in names]}
    address = "https://storage.googleapis.com/storage/v1/b/dx/o?prefix=dataset%2Fimages%2F&maxResults=1000"
    hosts.put(address, json.dumps(page).encode())
    for name in names:
        hosts.put(f"https://storage.googleapis.com/dx/{name}", b"picture")
    text = 'listing = "gcs:dx/dataset/images/"\n'
    put(tmp_path / "catalog", "much", entry("much", text) + "\n[counts]\nimages = 40\n")
    put(tmp_path / "catalog", "less", entry("less", text) + "\n[counts]\nimages = 41\n")
    answer, items = ask("much")
    assert (answer.code, items["much"]["state"]) == (0, "whole")
    assert sum(asked.endswith(".png") for asked, _ in hosts.requests) == 3
    assert items["much"]["places"][0]["files"] == 40
    copied = '\n[[copies]]\nname = "bucket"\nbytes = "re-encoded"\nlisting = "gcs:dx/dataset/images/"\n'
    put(tmp_path / "catalog", "copied", entry("copied") + copied + "\n[counts]\nimages = 41\n")
    answer, items = ask("copied")  # a copy may hold others too
    assert (answer.code, items["copied"]["asked"]) == (0, 1)
    answer, items = ask("less")
    assert answer.code == 1
    assert "lists 40 images, the catalog counts 41" in items["less"]["detail"]


@pytest.mark.parametrize(("alive", "state"), [(30, "whole"), (15, "whole"), (0, "gone")])
def test_of_images_that_only_a_table_names_some_are_asked(
    ask: Callable, hosts: MoodySite, tmp_path: Path, alive: int, state: str
) -> None:
    """Twenty addresses of the table's first rows, of which no more than its beginning is read; dead ones are counted."""
    lines = ["md5hash,url", *(f"{number},https://pics.example/{number}.jpg" for number in range(30)), "30,"]
    table = "\n".join(lines).encode() + b"\n" + b"x" * 100_000
    hosts.put("https://a.example/t.csv", table)
    for number in range(alive):
        hosts.put(f"https://pics.example/{number}.jpg", b"picture")
    more = '\n[[files]]\nname = "t.csv"\nrole = "metadata"\nurls = ["https://a.example/t.csv"]\n'
    more += (
        '[[table]]\nreader = "table"\nfile = "t.csv"\nimage_url = "url"\ncolumns = { image_id = "md5hash" }\n'
    )
    put(
        tmp_path / "catalog",
        "atlas",
        entry("atlas", 'listing = "rows"', '[access]\nkind = "per-image"\n') + more,
    )
    _, items = ask("atlas")
    assert items["atlas"]["state"] == state
    seen = len([place for place, _ in hosts.requests if place.endswith(".jpg") and place in hosts.files])
    assert f"20 addresses of its images asked: {seen:,} seen" in items["atlas"]["detail"]
    assert {range_ for place, range_ in hosts.requests if place.startswith("a.")} == {
        "bytes=0-0",
        "bytes=0-65535",
    }


@pytest.mark.parametrize("table", [b"", b"md5hash\n1\n", b"\0" * 70_000, b"md5hash,url\n1,nowhere\n2,\n"])
def test_a_table_without_addresses_is_no_crash(
    ask: Callable, hosts: MoodySite, tmp_path: Path, table: bytes
) -> None:
    """An empty, another, a binary table; also one that ships with the catalog."""
    body = (
        '[[table]]\nreader = "table"\nfile = "t.csv"\nimage_url = "url"\ncolumns = { image_id = "md5hash" }\n'
    )
    file = '\n[[files]]\nname = "t.csv"\nrole = "metadata"\n%s\n'
    here = entry("here", 'listing = "rows"') + file % 'source = "package:t.csv"' + body
    away = entry("away", 'listing = "rows"') + file % 'urls = ["https://a.example/t.csv"]' + body
    put(tmp_path / "catalog", "here", here)
    put(tmp_path / "catalog", "away", away)
    packed = tmp_path / "catalog" / "datasets" / "here" / "files" / "t.csv"
    packed.parent.mkdir()
    packed.write_bytes(table)
    hosts.put("https://a.example/t.csv", table)
    answer, items = ask("here", "away")
    assert answer.code in (0, 1)
    assert items["here"]["state"] == "not-asked"
    assert "0 addresses" in items["here"]["detail"]


@pytest.mark.parametrize(
    ("count", "state", "detail"),
    [
        (3, "whole", ""),
        (4, "changed", "lists 4 images, the catalog counts 3"),
        (0, "gone", "it finds no image"),
    ],
)
def test_of_the_isic_archive_a_search_is_counted(
    ask: Callable, hosts: MoodySite, tmp_path: Path, count: int, state: str, detail: str
) -> None:
    """One record in a thousand is no download: how many there are, and a byte of the first ones."""
    pictures = [
        f"https://isic-archive.s3.amazonaws.com/images/ISIC_000000{number}.jpg" for number in range(count)
    ]
    rows = [
        {"isic_id": url[-16:-4], "files": {"full": {"url": url, "size": 3}}, "metadata": {}}
        for url in pictures
    ]
    for limit in (1, 3):
        page = {"count": count, "next": None, "results": rows[:limit]}
        address = f"https://api.isic-archive.com/api/v2/images/search/?collections=9&limit={limit}"
        hosts.put(address, json.dumps(page).encode())
    for url in pictures:
        hosts.put(url, b"picture")  # more bytes than the record states: that is a hint, no finding
    text = entry("few", 'listing = "isic:collections=9"') + "\n[counts]\nimages = 3\n"
    put(tmp_path / "catalog", "few", text)
    _, items = ask("few")
    assert (items["few"]["state"], detail in items["few"]["detail"]) == (state, True)
    assert sum(place.endswith(".jpg") for place, _ in hosts.requests) == min(count, 3)


def test_what_was_seen_is_kept_and_compared_the_next_time(cli: CLI, hosts: MoodySite, tmp_path: Path) -> None:
    """A size that no catalog states becomes a fact, and its change a finding; info and list show the day."""
    put_file(tmp_path, "plain", 'urls = ["https://a.example/t.csv"]')
    hosts.put("https://a.example/t.csv", TABLE)
    catalog, report = tmp_path / "catalog", tmp_path / "report.json"
    options = ("--catalog", catalog, "--rewrite", hosts.rewrite)
    assert "never" in cli(*options, "info", "plain").out
    asked = ("doctor", "--sources", "plain", "--update", catalog)
    assert cli(*options, *asked, "--report", report).code == 0
    seen = read_health([catalog])["plain"]["table.csv"]
    assert (seen.size, seen.checksum) == (len(TABLE), None)
    kept = json.loads(report.read_text())
    assert kept["checked_at"][:10] == seen.seen
    assert [item["state"] for item in kept["items"]] == ["whole"]
    assert f"seen live  {seen.seen} (1 file)" in cli(*options, "info", "plain").out
    listed = json.loads(cli(*options, "list", "--search", "plain", "--live", "--format", "json").out)
    assert [item["seen_live"] for item in listed["items"]] == [seen.seen]
    hosts.put("https://a.example/t.csv", TABLE + b"2,MEL\n")
    changed = cli(*options, *asked)
    assert changed.code == 1
    assert f"18 bytes, on {seen.seen} it was 12" in changed.out
    hosts.files.clear()
    assert cli(*options, *asked).code == 1
    assert read_health([catalog])["plain"]["table.csv"].size == 18  # what was not seen keeps its day


def test_python_asks_as_the_command_does(hosts: MoodySite, tmp_path: Path) -> None:
    put_file(tmp_path, "plain", 'urls = ["https://a.example/t.csv"]')
    hosts.put("https://a.example/t.csv", TABLE)
    rewrite = dict([hosts.rewrite.split("=", 1)])
    session = dd.open_session(
        cache=tmp_path / "c", catalogs=[tmp_path / "catalog"], rewrite=rewrite, progress=False
    )
    found = session.check_sources("plain")
    assert [(row["name"], row["state"], row["asked"]) for row in found] == [("plain", "whole", 1)]
    assert found.facts["states"] == {"whole": 1}
    assert session.catalog(search="plain", live=True)["seen_live"].tolist() == [None]
    with pytest.raises(UnknownName):
        session.check_sources("plane")


def test_the_bundled_record_claims_nothing_that_nobody_saw() -> None:
    """Each file it names is one of the catalog's; today no address was ever asked."""
    from dermdata.catalogs import bundled_folder, open_catalog

    health, catalog = read_health([bundled_folder()]), open_catalog()
    for name, files in health.items():
        known = {file.name for file in catalog[name].files} | {catalog[name].listing}
        assert set(files) <= known


def test_a_record_is_written_a_file_a_line(tmp_path: Path) -> None:
    """Sorted, so that a pull request shows what changed; the same record gives the same bytes."""
    entries = {
        "b": {"z": LastSeen(seen="2026-12-01", size=1), "a": LastSeen(seen="2026-11-24", checksum="md5:0")},
        "a": {"gcs:x/": LastSeen(seen="2026-12-01", files=3, size=9)},
    }
    text = format_health(entries)
    (tmp_path / "health.json").write_text(text)
    again = read_health([tmp_path])
    assert again == entries
    assert format_health(again) == text
    assert [line for line in text.splitlines() if "seen" in line] == [
        '   "gcs:x/": {"seen": "2026-12-01", "size": 9, "files": 3}',
        '   "a": {"seen": "2026-11-24", "checksum": "md5:0"},',
        '   "z": {"seen": "2026-12-01", "size": 1}',
    ]
    assert describe_health(entries["b"]) == "2026-12-01 (1 file, 1 more before)"
    assert format_health({}) == '{\n "schema": "dermdata.health/1",\n "entries": {}\n}\n'


@pytest.mark.parametrize(("count", "most"), [(0, 3), (2, 3), (3, 3), (4, 3), (2548, 20)])
def test_a_sample_is_spread_over_all(count: int, most: int) -> None:
    files = [File(name=str(number), role="images") for number in range(count)]
    taken = [int(file.name) for file in take_evenly(files, most)]
    assert len(taken) == min(count, most) == len(set(taken))
    assert not count or (taken[0], taken[-1]) == (0, count - 1)
