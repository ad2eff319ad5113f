"""Where the page of `browse` listens, by which names it is asked, and what is said of addresses that cannot be."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from browse.conftest import TOKEN
from dermdata.api.browsing import PageServer
from dermdata.api.manifest import Manifest
from dermdata.browse.app import Browsing, make_app
from dermdata.browse.guard import Guard
from dermdata.browse.listening import PageAddress, open_address
from dermdata.errors import StorageError, UsageError


@pytest.fixture
def listen(request: pytest.FixtureRequest) -> Callable[[str], PageAddress]:
    """An address that is given up again."""

    def opened(host: str) -> PageAddress:
        place = open_address(host, 0)
        request.addfinalizer(place.socket.close)
        return place

    return opened


@pytest.mark.parametrize(
    "host",
    ["nowhere.invalid", "", " ", "http://127.0.0.1", "127.0.0.1:80", "256.1.1.1", "a" * 70, "a..b", "\x00", "-1",
     "192.0.2.7", "::ffff:192.0.2.7"],
)  # fmt: skip
def test_what_is_no_address_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="address") as told:
        open_address(host, 0)
    assert "--host 127.0.0.1" in (told.value.hint or "")


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match="no port"):
        open_address("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2", "::1", "[::1]"])
def test_the_own_machine_is_asked_by_its_own_names_alone(listen: Callable, host: str) -> None:
    place = listen(host)
    assert (place.is_open, place.is_any, place.remote) == (False, False, None)
    assert place.shown.lower() == f"http://{'[::1]' if ':' in host else host.lower()}:{place.port}"
    assert {f"{name}:{place.port}" for name in ("127.0.0.1", "localhost", "[::1]")} <= place.hosts
    assert socket.gethostname().lower() + f":{place.port}" not in place.hosts


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "::"])  # what is tested
def test_all_addresses_are_open_and_have_the_machines_names(listen: Callable, host: str) -> None:
    place = listen(host)
    assert (place.is_open, place.is_any) == (True, True)
    assert place.shown == f"http://{'[::1]' if host == '::' else '127.0.0.1'}:{place.port}"
    assert place.remote not in {None, f"http://0.0.0.0:{place.port}", f"http://0:{place.port}"}
    assert f"{socket.gethostname().lower()}:{place.port}" in place.hosts


def test_an_open_page_is_asked_by_numbers_and_own_names_and_never_by_another(
    demo: Manifest, tmp_path: Path
) -> None:
    """Other machines have only the number; a name that is not ours may be a rebound one."""
    with demo.browse(exclusions=tmp_path / "list.tsv", host="0.0.0.0") as page:  # what is tested
        url = httpx.URL(page.address)
        assert page.remote_address
        token = url.params["token"]
        assert page.remote_address.endswith(f"?token={token}")
        names = [
            "10.1.2.3",
            "[fe80::1]",
            "localhost",
            socket.gethostname(),
            "evil.example",
            "10.1.2.3.evil.example",
            "10.1",
        ]
        with httpx.Client(base_url=f"http://127.0.0.1:{url.port}", params={"token": token}) as client:
            said = [
                client.get("/api/marks", headers={"host": f"{name}:{url.port}"}).status_code for name in names
            ]
            assert said == [200, 200, 200, 200, 421, 421, 421]
            assert client.get("/api/marks", headers={"host": "10.1.2.3:1"}).status_code == 421
            marks = {"rows": [], "marked": True}
            for origin, status in (
                ("http://10.1.2.3", 200),
                ("http://10.1.2.4", 403),
                ("http://localhost", 403),
            ):
                headers = {"host": f"10.1.2.3:{url.port}", "origin": f"{origin}:{url.port}"}
                assert client.post("/api/marks", json=marks, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("localhost:80", 200), ("10.1.2.3", 200), ("[fe80::1]", 200), ("evil.example", 421),
     ("localhost:8000", 421), ("10.1.2.3:8000", 421), ("", 421)],
)  # fmt: skip
def test_a_browser_leaves_port_80_out(browsing: Browsing, host: str, status: int) -> None:
    guard = Guard(make_app(browsing), TOKEN, frozenset({"localhost:80"}), "dermdata-80", any_number=80)
    said = TestClient(guard).get("/api/marks", params={"token": TOKEN}, headers={"host": host})
    assert said.status_code == status


def test_a_taken_port_is_told_before_anything_is_read(tmp_path: Path, cli: Callable) -> None:
    (tmp_path / "broken.csv").write_text("no manifest", encoding="utf-8")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = cli("browse", tmp_path / "broken.csv", "--no-open", "--port", port)
    assert (answer.code, answer.out) == (5, "")
    assert answer.err.splitlines() == [
        f"error: 127.0.0.1:{port} cannot be listened on: Address already in use",
        "hint: another --port, or 0 for a free one",
    ]


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.7"])
def test_an_address_that_cannot_be_is_a_wrong_use(cli: Callable, tmp_path: Path, host: str) -> None:
    (tmp_path / "broken.csv").write_text("no manifest", encoding="utf-8")
    answer = cli("browse", tmp_path / "broken.csv", "--no-open", "--host", host)
    error, hint = answer.err.splitlines()[-2:]
    assert (answer.code, error.startswith("error: "), host in error, hint[:6]) == (2, True, True, "hint: ")


def test_the_address_for_other_machines_is_printed_whole(
    fetched: Path, cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stdout, with its token, after that for this machine."""
    monkeypatch.setattr(PageServer, "run", lambda server: server._socket.close())
    words = ("--cache", fetched, "browse", "demo", "--no-open", "--exclusions", tmp_path / "x.tsv")
    own, other = map(httpx.URL, cli(*words, "--host", "0").out.splitlines())
    assert (own.host, own.params, own.port) == ("127.0.0.1", other.params, other.port)
    assert other.params["token"]
    [only] = cli(*words, "--host", "localhost").out.splitlines()
    assert only.startswith("http://localhost:")


def test_a_page_that_others_may_ask_is_warned_of(
    demo: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(demo._resources, "say", said.append)
    with demo.browse(exclusions=tmp_path / "list.tsv", host="0"):
        assert [one.startswith("warning: 0 lets other machines look") for one in said] == [True]
    said.clear()
    with demo.browse(exclusions=tmp_path / "list.tsv", host="localhost"):
        assert not said


def test_the_port_is_given_up_where_the_rows_cannot_be_shown(demo: Manifest, tmp_path: Path) -> None:
    free = open_address("127.0.0.1", 0)
    port = free.port
    free.socket.close()
    with pytest.raises(UsageError, match="no row is left"):
        demo.where("age < 0").browse(exclusions=tmp_path / "list.tsv", port=port)
    open_address("127.0.0.1", port).socket.close()


def test_two_servers_cannot_have_one_port(demo: Manifest, tmp_path: Path) -> None:
    with demo.browse(exclusions=tmp_path / "list.tsv") as page:
        port = httpx.URL(page.address).port
        with pytest.raises(StorageError, match="cannot be listened on"):
            demo.browse(exclusions=tmp_path / "list.tsv", port=port or 0)
