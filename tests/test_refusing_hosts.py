"""Hosts that answer everything with a refusal, as the stand-in's `--refuse HOST=KIND` does: what a person reads."""

import argparse
import io
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from conftest import REPOSITORY, SHARED, Answer
from dermdata import disk, http
from dermdata.errors import HostRefused
from dermdata.fetching import run
from dermdata.http import NetworkSettings
from support.catalog_folders import entry, put
from support.made_up_dataset import picture
from support.servers import Site

pytestmark = pytest.mark.shared

REFUSALS = REPOSITORY / "docs" / "refusals.md"
# one entry for each kind of host that the catalog names, and the host that is asked first
HOSTS = {
    "bcn20000": "figshare.com",
    "derm7pt": "derm.cs.sfu.ca",
    "fitzpatrick17k": "raw.githubusercontent.com",
    "ham10000": "dataverse.harvard.edu",
    "isic-2016": "s3.amazonaws.com",
    "isic-archive": "api.isic-archive.com",
    "msld-v2": "www.kaggle.com",
    "pad-ufes-20": "mendeley.com",
    "scin": "storage.googleapis.com",
    "medsegbench-uwaterloo": "zenodo.org",
}
KINDS = {  # what one of the words must say, and the exit codes: 3 network, 4 integrity, 6 the person must act
    "challenge": (("browser check",), {6}),
    "captcha": (("wants a CAPTCHA",), {6}),
    "forbidden": (("blocks this network", "not public", "' was denied"), {3, 6}),
    "gone": (("410",), {3}),
    "quota": (("quota used up",), {6}),
    "429:9999": (("429", "may be asked again in"), {3}),
    "html200": (("wants a log-in", "refused the credentials"), {6}),
    "empty200": (("sends nothing",), {3, 4}),  # 3 where copies were asked as well
}
SECRETS = {
    "KAGGLE_USERNAME": "someone",
    "KAGGLE_KEY": "opensesame1",
    "DERMDATA_DERM7PT_USER": "someone",
    "DERMDATA_DERM7PT_PASSWORD": "opensesame2",
}


class StandIn:
    """The stand-in in this process; what it refuses can be changed."""

    def __init__(self, root: Path) -> None:
        sys.path.insert(0, str(SHARED / "tools" / "mkmirror"))
        try:
            import mirror_hosts  # noqa: F401  # registers its routes
            import mirror_server
            import mirror_world
        finally:
            sys.path.pop(0)
        (root / "mirror.json").write_text(json.dumps({"datasets": {}}))
        parser = argparse.ArgumentParser()
        mirror_world.World.options(parser)
        args = parser.parse_args(["--world", "2026"])
        vars(args).update(latency_ms=0, rate=0, link_ttl=None)
        self.log = io.StringIO()
        self._read: Any = mirror_world.Refusal.read
        self.world: Any = mirror_world.World(args)
        self.server: Any = mirror_server.Server(0, mirror_server.Site(root), self.world, args, self.log)
        self.server.handle_error = lambda *_: None  # a client that hangs up

    @property
    def rewrite(self) -> str:
        return f"https://=http://127.0.0.1:{self.server.server_port}/web/"

    def asked(self) -> list[dict[str, Any]]:
        """What its log has of each request so far."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def refuse(self, *refusals: str) -> None:
        """As `--refuse HOST=KIND`, in place of what was refused before."""
        self.world.refusals = [self._read(one) for one in refusals]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    running = StandIn(tmp_path_factory.mktemp("stand-in"))
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


@pytest.mark.usefixtures("patient_hosts")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTS)
def test_each_host_refuses_in_each_way(
    name: str,
    kind: str,
    stand_in: StandIn,
    cli: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The error names dataset, host and what its answer was, one hint says what to do; no byte and no secret is kept."""
    for key, value in {**SECRETS, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(
        disk, "require_space", lambda *_: None
    )  # the publishers' files are larger than some disks
    stand_in.refuse(f"*={kind}")
    answer = cli("--rewrite", stand_in.rewrite, "--verbose", "fetch", name, "--accept-license", "--no-copies")
    words, codes = KINDS[kind]
    assert answer.code in codes, answer.err
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {name}: ")
    assert HOSTS[name] in errors[0]
    assert any(word in errors[0] for word in words)
    assert answer.err.count("hint: ") == 1
    assert "the dataset's page" not in answer.err
    assert "127.0.0.1" not in answer.err.partition("error: ")[2]
    assert "opensesame" not in answer.err + answer.out
    kept = [one for one in (tmp_path / "cache").rglob("*") if one.is_file() and one.parent.name == "files"]
    assert kept == []
    said = b"".join(one.read_bytes() for one in (tmp_path / "cache").rglob("*") if one.is_file())
    assert b"opensesame" not in said


def test_no_request_carries_a_secret_but_to_its_own_host(stand_in: StandIn) -> None:
    """Of all that the cases above have asked: one honest name, credentials for two hosts, none in an address."""
    for one in stand_in.asked():
        assert one["user_agent"].startswith("dermdata/")
        assert "opensesame" not in json.dumps(one)
        if one["credentials"]:
            assert one["path"].startswith(("/web/www.kaggle.com/", "/web/derm.cs.sfu.ca/"))


# ------------------------------------------------------------------ images that have addresses of their own


class HalfOpenSite(Site):
    """Hosts of which some refuse everything: status, headers and body by host."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.hung_up: set[str] = set()  # the places at which a connection ends without an answer

    def answer(self, request: Any) -> None:
        host, _, path = request.path.removeprefix("/web/").partition("/")
        if f"{host}/{path}" in self.hung_up:
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        if host not in self.refusals:
            super().answer(request)
            return
        self.requests.append((f"{host}/{path}", None))
        status, headers, body = self.refusals[host]
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def count(self, host: str) -> int:
        """How many requests this host has had since it was last asked here."""
        found = [place for place, _ in self.requests if place.startswith(f"{host}/")]
        self.requests.clear()
        return len(found)


@pytest.fixture
def atlas(tmp_path: Path) -> Iterator[HalfOpenSite]:
    """A table of 40 images, every other one at a host that can be made to refuse."""
    places = [f"https://{'b' if number % 2 else 'a'}.example/{number}.jpg" for number in range(40)]
    with HalfOpenSite() as site:
        site.put(
            "https://t.example/t.csv",
            "\n".join(["id,url", *(f"{n},{p}" for n, p in enumerate(places)), ""]).encode(),
        )
        for number, place in enumerate(places):
            site.put(place, picture(number))
        put(
            tmp_path / "catalog",
            "atlas",
            entry("atlas", 'listing = "rows"', '[access]\nkind = "per-image"\n')
            + '[[files]]\nname = "t.csv"\nrole = "metadata"\nurls = ["https://t.example/t.csv"]\n'
            + '[[table]]\nreader = "table"\nfile = "t.csv"\nimage_url = "url"\ncolumns = { image_id = "id" }\n',
        )
        yield site


WHOLE_HOST: dict[str, tuple[int, dict[str, str], bytes]] = {
    "browser check": (202, {"x-amzn-waf-action": "challenge"}, b""),
    "CAPTCHA": (405, {"x-amzn-waf-action": "captcha"}, b"<html>"),
    "429": (429, {"Retry-After": "9999"}, b""),
    "blocks this network": (403, {}, b"<center>awselb/2.0</center>"),
}


@pytest.mark.parametrize("kind", WHOLE_HOST)
def test_a_host_that_refuses_all_its_images_is_left_alone_until_the_next_fetch(
    kind: str, atlas: HalfOpenSite, cli: Callable[..., Answer], tmp_path: Path
) -> None:
    """It is not asked for each of them; the others come; what is wanting is no loss, and is asked for again."""
    fetch = ("--catalog", tmp_path / "catalog", "--rewrite", atlas.rewrite, "fetch", "atlas")
    atlas.refusals["b.example"] = WHOLE_HOST[kind]
    answer = cli(*fetch)
    assert answer.code == 8, answer.err
    assert atlas.count("b.example") < 20
    (told,) = [line for line in answer.err.splitlines() if "20 images are left for the next" in line]
    # another thread may have heard of the limit before the one that was told of it
    assert kind in told or (kind == "429" and "may be asked again in" in told)
    assert told.startswith("atlas: b.example ")
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 20
    atlas.refusals.clear()
    answer = cli(*fetch)
    assert answer.code == 0, answer.err
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 40
    assert atlas.count("a.example") == 0
    assert "already complete" in cli(*fetch).err
    assert atlas.count("b.example") == 0


def test_a_host_in_trouble_is_asked_again_by_the_next_fetch(
    atlas: HalfOpenSite, cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 503 that stays is no loss of an image either; each is tried, since the next may come."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    fetch = ("--catalog", tmp_path / "catalog", "--rewrite", atlas.rewrite, "fetch", "atlas")
    atlas.refusals["b.example"] = (503, {}, b"")
    answer = cli(*fetch)
    assert answer.code == 8
    assert "b.example answers 503 (service unavailable): 20 images are left for the next" in answer.err
    atlas.refusals.clear()
    assert cli(*fetch).code == 0


def test_an_image_at_which_a_host_breaks_off_is_asked_for_again_by_the_next_fetch(
    atlas: HalfOpenSite, cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told apart from those that are gone, whose hosts have said so."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    fetch = ("--catalog", tmp_path / "catalog", "--rewrite", atlas.rewrite, "fetch", "atlas")
    atlas.hung_up = {"b.example/3.jpg", "b.example/7.jpg"}
    answer = cli(*fetch)
    assert answer.code == 8
    assert "broke off, or does not speak HTTP: 2 images are left for the next" in answer.err
    assert "2 images did not come from their addresses" in answer.err
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 38
    atlas.hung_up = set()
    assert cli(*fetch).code == 0
    assert atlas.count("a.example") == 20


def test_images_that_are_gone_are_gone(
    atlas: HalfOpenSite, cli: Callable[..., Answer], tmp_path: Path
) -> None:
    """A host that has none of them says so for each; the next fetch does not ask again."""
    fetch = ("--catalog", tmp_path / "catalog", "--rewrite", atlas.rewrite, "fetch", "atlas")
    atlas.refusals["b.example"] = (404, {}, b"")
    assert cli(*fetch).code == 8
    assert atlas.count("b.example") == 20
    assert cli(*fetch).code == 8
    assert atlas.count("b.example") == 0


# ------------------------------------------------------------------ hosts that are dead


@pytest.fixture
def hundredth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's clock runs a hundred times as fast."""
    settings = NetworkSettings()
    seconds = {
        one.name: getattr(settings, one.name) / 100
        for one in fields(settings)
        if one.name in ("connect_timeout", "head_deadline", "silent_deadline", "silent_seconds")
    }
    hasty = {**seconds, "sleep": lambda pause: time.sleep(pause / 100)}
    monkeypatch.setattr(http, "NetworkSettings", lambda **given: NetworkSettings(**{**given, **hasty}))


def hang_up(listener: socket.socket) -> None:
    """Take every call, and end it at once."""
    with suppress(OSError):  # the listener's end
        while True:
            listener.accept()[0].close()


@contextmanager
def dead_place(kind: str) -> Iterator[str]:
    """Where a host stands that refuses connections, drops them (a black hole), is silent, hangs up, or has no name."""
    with socket.socket() as held, ExitStack() as stack:
        held.bind(("127.0.0.1", 0))
        if kind == "black hole":  # whose queue is full
            held.listen(0)
            for _ in range(2):
                full = stack.enter_context(socket.socket())
                full.setblocking(False)
                full.connect_ex(held.getsockname())
        elif kind == "silent":
            held.listen(100)
        elif kind == "hangs up":
            held.listen(100)
            stack.callback(held.shutdown, socket.SHUT_RDWR)
            threading.Thread(target=hang_up, args=(held,), daemon=True).start()
        yield "http://nobody.invalid/" if kind == "no name" else f"http://127.0.0.1:{held.getsockname()[1]}/"


@pytest.mark.usefixtures("hundredth")
@pytest.mark.parametrize("kind", ["refused", "black hole", "silent", "hangs up", "no name"])
def test_a_host_that_answers_nobody_is_given_up(
    kind: str, atlas: HalfOpenSite, cli: Callable[..., Answer], tmp_path: Path
) -> None:
    """In less than a minute of the shortened clock, however many images it has; the next fetch asks again."""
    common = ("--catalog", tmp_path / "catalog", "--rewrite", atlas.rewrite)
    with dead_place(kind) as place:
        started = time.monotonic()
        answer = cli(*common, "--rewrite", f"https://b.example/={place}", "fetch", "atlas")
        assert time.monotonic() - started < 3  # a slow machine; 5 tries for each of 20 images took 15
    assert answer.code == 8, answer.err
    told = re.findall(r"atlas: (.*): (\d+) images? (?:is|are) left for the next", answer.err)
    assert sum(int(count) for _, count in told) == 20, answer.err  # for one reason, or what each was told
    words = ("gives no answer (", "cannot connect", "cannot resolve", "broke off")
    assert all(any(one in reason for one in words) for reason, _ in told), told
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 20
    assert cli(*common, "fetch", "atlas").code == 0
    assert atlas.count("b.example") == 20


@pytest.mark.parametrize(("status", "asked"), [(404, 6), (403, 6), (503, 3)])
def test_a_host_whose_files_all_fail_alike_is_not_asked_for_each(
    status: int,
    asked: int,
    atlas: HalfOpenSite,
    cli: Callable[..., Answer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gone, denied or in trouble: after so many in a row the rest is left, counted, for the next fetch."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(run, "GONE_FILES", 6)
    monkeypatch.setattr(run, "FAILED_FILES", 3)
    fetch = ("--catalog", tmp_path / "catalog", "--rewrite", atlas.rewrite, "fetch", "atlas")
    atlas.refusals["b.example"] = (status, {}, b"")
    answer = cli(*fetch)
    assert answer.code == 8, answer.err
    places = {place for place, _ in atlas.requests if place.startswith("b.example/")}
    assert asked <= len(places) <= asked + run.STREAMS
    assert f"b.example gave none of {asked} images in a row; of the last: " in answer.err
    assert "left for the next `dermdata fetch atlas`" in answer.err
    atlas.refusals.clear()
    atlas.requests.clear()
    assert cli(*fetch).code == (0 if status == 503 else 8)
    assert not places & {place for place, _ in atlas.requests} or status == 503
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) >= 40 - len(places)


def test_a_host_that_gave_images_is_asked_for_each_that_may_be_gone(
    atlas: HalfOpenSite, cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most images of an atlas may be gone, and some not: only a host that gives none is dead."""
    monkeypatch.setattr(run, "GONE_FILES", 3)
    fetch = ("--catalog", tmp_path / "catalog", "--rewrite", atlas.rewrite, "fetch", "atlas")
    for number in range(3, 40, 2):  # the first image of b.example stays
        atlas.files.pop(f"b.example/{number}.jpg")
    assert cli(*fetch).code == 8
    assert atlas.count("b.example") == 20


# ------------------------------------------------------------------ what is told of them


def each_refusal(kind: type[HostRefused] = HostRefused) -> Iterator[type[HostRefused]]:
    """The classes below HostRefused."""
    for one in kind.__subclasses__():
        yield one
        yield from each_refusal(one)


def test_the_page_on_refusals_has_each_of_them() -> None:
    """By the word that a program gets, and with its exit code."""
    rows = [line for line in REFUSALS.read_text().splitlines() if line.startswith("| `")]
    told = {
        word: int(row.split("|")[4]) for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert told == {one.code: one.exit_code for one in each_refusal()}
