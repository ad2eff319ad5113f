"""The running server of `browse` against clients that mean no good, files that are no pictures, and an end at any time."""

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import dermdata as dd
from browse.conftest import HOST, client_of, look_at
from dermdata.api.browsing import PageServer
from dermdata.api.manifest import Manifest
from dermdata.browse.app import Browsing
from dermdata.browse.index import PictureIndex
from dermdata.errors import UsageError

ORIGIN = {"origin": f"http://{HOST}"}


# ------------------------------------------------------------------ requests


@pytest.fixture(scope="module")
def page(demo: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with demo.browse(exclusions=tmp_path_factory.mktemp("served") / "list.tsv") as served:
        yield served


@pytest.fixture
def http(page: PageServer) -> Iterator[httpx.Client]:
    """A client that has the token."""
    url = httpx.URL(page.address)
    cookie = f"dermdata-{url.port}={url.params['token']}"
    with httpx.Client(base_url=f"http://127.0.0.1:{url.port}", headers={"cookie": cookie}) as client:
        yield client


def is_alive(http: httpx.Client) -> bool:
    """Whether the page still answers."""
    return http.get("/api/view").json()["rows"] == 120


@pytest.mark.parametrize(
    "start",
    [
        b"GET /api/rows?filters=" + b"x" * 10_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100 + b"\r\n\r\n",
        b"POST /api/marks HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["10 MB of filters", "1 MB of cookies", "no host", "two hosts", "TLS", "zeros", "two lengths"],
)
def test_what_is_no_request_is_refused_and_the_page_goes_on(http: httpx.Client, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", http.base_url.port or 0), timeout=5) as raw:
        try:
            raw.sendall(start)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(100)
        except OSError:  # closed before it had read it all
            answer = b""
    assert answer.split(b" ")[1:2] in ([], [b"400"], [b"421"], [b"431"])
    assert is_alive(http)


def test_many_clients_that_send_nothing_keep_nobody_out(http: httpx.Client) -> None:
    port = http.base_url.port or 0
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    for one in slow:
        one.sendall(b"POST /api/marks HTTP/1.1\r\nContent-Length: 9\r\nHost:")
    assert is_alive(http)
    for one in slow:
        one.close()


def test_hundreds_of_requests_at_once_are_all_answered(http: httpx.Client) -> None:
    with ThreadPoolExecutor(50) as pool:
        said = list(pool.map(lambda number: http.get(f"/thumb/{number % 100}").status_code, range(300)))
    assert set(said) == {200}


@pytest.mark.parametrize("path", ["/", "/api/view", "/thumb/0", "/static/browse.js"])
def test_head_has_the_headers_alone(http: httpx.Client, path: str) -> None:
    said = http.head(path)
    assert (said.status_code, said.content, "content-security-policy" in said.headers) == (200, b"", True)


@pytest.mark.parametrize(
    "filters",
    ['{"age": [NaN]}', '{"age": [1e999, -Infinity, 123456789012345678901234567890]}', '{"sex": ["\\ud800"]}',
     '{"age": ["' + "9" * 5000 + '"]}'],
)  # fmt: skip
def test_values_that_no_row_has_leave_no_row(http: httpx.Client, filters: str) -> None:
    for path in ("rows", "facets"):
        said = http.get(f"/api/{path}", params={"filters": filters})
        assert (said.status_code, said.json()["total"]) == (200, 0)


@pytest.mark.parametrize(
    "asked",
    [{"filters": '{"age": [' + "9" * 5000 + "]}"}, {"filters": '{"a":' + "[" * 9000 + "]" * 9000 + "}"},
     {"cell": '["a", "b"]'}, {"where": "("}, {"where": "\0"}, {"sort": "--age"}, {"start": "٣"}],
)  # fmt: skip
def test_questions_that_cannot_be_are_refused_in_words(http: httpx.Client, asked: dict[str, str]) -> None:
    said = http.get("/api/rows", params=asked)
    assert (said.status_code, bool(said.json()["error"]["message"])) == (400, True)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"rows": [1e999], "marked": true}', 400),
        (b'{"rows": [' + b"9" * 5000 + b'], "marked": true}', 400),
        (b'{"rows": [1], "marked": true, "issue": "\\ud800"}', 400),
        (b"\xff", 400),
        (b"x" * (4 << 20) + b"x", 413),
    ],
    ids=["lists", "infinite", "digits", "half a character", "no UTF-8", "4 MB"],
)
def test_marks_that_cannot_be_change_nothing(
    client: TestClient, browsing: Browsing, content: bytes, status: int
) -> None:
    said = client.post("/api/marks", content=content, headers=ORIGIN)
    assert (said.status_code, browsing.exclusions.path.exists()) == (status, False)


# ------------------------------------------------------------------ conditions that take long


def test_a_slow_condition_keeps_only_other_conditions_waiting(
    client: TestClient, browsing: Browsing, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, may_end = threading.Event(), threading.Event()

    def judge(_: str) -> Any:
        going.set()
        assert may_end.wait(10)
        return np.arange(3)

    browsing.index.judge = judge
    monkeypatch.setattr("dermdata.browse.index.MOST_SECONDS", 0.05)
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(client.get, "/api/rows", params={"where": "age > 1"}) for _ in range(2)]
        assert going.wait(10)
        filters = '{"sex": ["female"]}'
        assert client.get("/api/facets", params={"filters": filters}).status_code == 200
        assert client.get("/api/rows", params={"sort": "age"}).json()["total"] == 120
        other = client.get("/api/rows", params={"where": "age > 2"})
        assert (other.status_code, "another condition" in other.text) == (400, True)
        may_end.set()
        assert [one.result().json()["total"] for one in slow] == [3, 3]
    assert client.get("/api/rows", params={"where": "age > 2"}).json()["total"] == 3


def test_a_question_that_failed_is_asked_anew(browsing: Browsing, client: TestClient) -> None:
    judge, browsing.index.judge = browsing.index.judge, refuse
    assert client.get("/api/rows", params={"where": "age > 60"}).status_code == 400
    browsing.index.judge = judge
    assert client.get("/api/rows", params={"where": "age > 60"}).status_code == 200


def refuse(_: str) -> Any:
    raise UsageError("not now")


def test_ctrl_c_ends_the_page_though_a_condition_is_judged(
    fetched: Path, tmp_path: Path, cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 0, no traceback, and the condition is not waited for."""
    going, interrupted = threading.Event(), threading.Event()

    def judge(_: PictureIndex, __: str) -> Any:
        going.set()
        assert interrupted.wait(10)
        raise UsageError("interrupted")

    def ask_and_interrupt(address: str) -> None:
        with httpx.Client(follow_redirects=True) as client:
            client.get(address)
            try:
                client.get(f"{address.partition('?')[0]}api/rows", params={"where": "age > 1"})
            except httpx.HTTPError:  # the server has ended
                return

    def run(server: PageServer) -> None:
        asking = threading.Thread(target=ask_and_interrupt, args=(server.address,))
        asking.start()
        waiting = threading.Thread(target=lambda: going.wait(10) and os.kill(os.getpid(), signal.SIGINT))
        waiting.start()
        try:
            real_run(server)
        finally:
            asking.join(10)
            waiting.join(10)

    real_run = PageServer.run
    monkeypatch.setattr(PageServer, "run", run)
    monkeypatch.setattr(PictureIndex, "_judge", judge)
    monkeypatch.setattr("dermdata.api.browsing.interrupt", interrupted.set)
    monkeypatch.setattr("dermdata.api.browsing.GRACE_SECONDS", 1)
    start = time.monotonic()
    answer = cli("--cache", fetched, "browse", "demo", "--no-open", "--exclusions", tmp_path / "x.tsv")
    assert (answer.code, answer.err.splitlines()[-1]) == (0, "nothing is marked")
    assert "Traceback" not in answer.err
    assert time.monotonic() - start < 8


# ------------------------------------------------------------------ files that are no usual pictures


def encode(image: Image.Image, kind: str, **how: Any) -> bytes:
    """An image's file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


LEVELS = np.linspace(-5, 5, 30 * 20, dtype=np.float32).reshape(20, 30)
STRANGE = LEVELS.copy()
STRANGE[0] = np.nan
STRANGE[1], STRANGE[2] = np.inf, -np.inf
PICTURES = {
    "cmyk.jpg": encode(Image.new("CMYK", (30, 20), (9, 200, 30, 40)), "JPEG"),
    "deep.tif": encode(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100), "TIFF"),
    "float.tif": encode(Image.fromarray(LEVELS), "TIFF"),
    "nan.tif": encode(Image.fromarray(STRANGE), "TIFF"),
    "huge.tif": encode(Image.fromarray(LEVELS * np.float32(6e37)), "TIFF"),
    "moving.gif": encode(
        Image.new("P", (30, 20)), "GIF", save_all=True, append_images=[Image.new("P", (30, 20), 9)] * 3
    ),
    "bits.png": encode(Image.new("1", (30, 20), 1), "PNG"),
    "thin.png": encode(Image.new("RGB", (1, 6000)), "PNG"),
}
NO_PICTURES = {
    "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "page.png": b"<html><script>alert(1)</script>",
    "scan.jpg": b"\0" * 128 + b"DICM" + b"x" * 100,
    "bomb.png": encode(Image.new("1", (20_000, 15_000)), "PNG"),
    "empty.jpg": b"",
}


def test_pictures_of_any_kind_are_jpegs_and_all_else_is_said_in_words(tmp_path: Path) -> None:
    """Nothing of a file is sent as it is: no drawing with a script in it, no page."""
    files = PICTURES | NO_PICTURES
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    table = tmp_path / "own.csv"
    table.write_text("image_id,path\n" + "\n".join(f"{name},{name}" for name in files), encoding="utf-8")
    client = client_of(look_at(dd.open_session(cache=tmp_path / "cache").load(table), tmp_path))
    for row, name in enumerate(files):
        for kind in ("thumb", "image"):
            said = client.get(f"/{kind}/{row}")
            if name in PICTURES:
                assert said.headers["content-type"] == "image/jpeg", name
                assert Image.open(io.BytesIO(said.content)).mode == "RGB"
            else:
                assert (said.status_code, said.headers["content-type"]) == (404, "application/json"), name
                assert said.json()["error"]["message"]


def test_names_that_lead_to_no_plain_file_are_said_in_words_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "large.jpg").touch()
    os.truncate(tmp_path / "large.jpg", 5 << 30)  # takes no room
    said = {"pipe.jpg": "a pipe", "folder.jpg": "a folder", "large.jpg": "are allowed", "/dev/zero": "leads out",
            "/proc/self/environ": "leads out", "a/../../x.jpg": "leads out", "file:///etc/passwd": "not there",
            "http://evil.example/x.jpg": "not there", "n" * 5000: "nnn", "\u202e.jpg": "not there"}  # fmt: skip
    table = tmp_path / "own.csv"
    lines = [f"{number},{name}" for number, name in enumerate(said)]
    table.write_text("image_id,path\n" + "\n".join(lines), encoding="utf-8")
    client = client_of(look_at(dd.open_session(cache=tmp_path / "cache").load(table), tmp_path))
    for row, words in enumerate(said.values()):
        answer = client.get(f"/thumb/{row}")
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (404, True), answer.text


def test_a_mask_of_any_kind_is_drawn_or_said_in_words(tmp_path: Path) -> None:
    files = PICTURES | NO_PICTURES
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    table = tmp_path / "own.csv"
    lines = [f"{name},cmyk.jpg,{name}" for name in files]
    table.write_text("image_id,path,mask_path\n" + "\n".join(lines), encoding="utf-8")
    client = client_of(look_at(dd.open_session(cache=tmp_path / "cache").load(table), tmp_path))
    for row, name in enumerate(files):
        said = client.get(f"/mask/{row}/0")
        if name in PICTURES:
            assert Image.open(io.BytesIO(said.content)).size == (30, 20), name
        else:
            assert (said.status_code, "mask" in said.json()["error"]["message"]) == (404, True), name
