"""Secrets on the wire: two hosts that send each other about, and whatever is asked, only its own host sees a token."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from dermdata.credentials import Secret
from dermdata.errors import DermdataError
from dermdata.http import HttpClient, NetworkSettings
from dermdata.model import Request
from support.servers import LocalServer

KAGGLE, HUB = "Bearer KAGGLESECRET", "Bearer HUBSECRET"
HEADERS = ("Authorization", "Cookie", "X-Dataverse-key", "Proxy-Authorization")
BODY = b"id,dx\na,nv\n" * 100


class Host:
    """A server that notes every header of every request and answers as it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Callable[[Any], None]] = {}
        self.otherwise: Callable[[Any], None] = body
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # else a body waits 40 ms until the client has acknowledged the headers before it
            disable_nagle_algorithm = True

            def do_GET(self) -> None:  # http.server calls it so
                host.seen.append((self.path, dict(self.headers.items())))
                host.answers.get(self.path.partition("?")[0], host.otherwise)(self)

            do_HEAD = do_GET  # noqa: N815  # likewise

            def log_message(self, *_: Any) -> None:
                pass

        self.server = LocalServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def secrets(self) -> set[str]:
        """Every value that a header of a secret had."""
        return {
            head[name] for _, head in self.seen for name in head if name.title() in map(str.title, HEADERS)
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def body(request: Any) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(BODY)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(BODY)


def to(location: str, status: int = 302) -> Callable[[Any], None]:
    def answer(request: Any) -> None:
        request.send_response(status)
        request.send_header("Location", location)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def no(status: int) -> Callable[[Any], None]:
    """A refusal that repeats what it was asked with, as some hosts do."""

    def answer(request: Any) -> None:
        text = f'{{"message": "no access for {request.headers.get("Authorization")}"}}'.encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    return answer


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host, NetworkSettings]]:
    """https://kaggle.example and https://hub.example, and the network that leads there."""
    pair = Host(), Host()
    rewrite = (("https://kaggle.example/", pair[0].base), ("https://hub.example/", pair[1].base))
    network = NetworkSettings(
        offline=False, rewrite=rewrite, sleep=lambda _: None, clock=lambda: 0.0, random=lambda: 0.5
    )
    yield (*pair, network)
    for one in pair:
        one.close()


def ask(network: NetworkSettings, url: str, secret: str, target: Path) -> DermdataError | None:
    """Download one file with the secret of its host; the error, if it fails."""
    request = Request(urls=(url,), secrets={"Authorization": Secret(secret)})
    with HttpClient(network) as transfer:
        try:
            transfer.download(request, target)
        except DermdataError as error:
            return error
    return None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_each_host_sees_its_own_token_and_no_other(
    hosts: tuple[Host, Host, NetworkSettings], tmp_path: Path, status: int
) -> None:
    """Each sends the other's file from itself: there and, on the second run, back again."""
    kaggle, hub, network = hosts
    kaggle.answers["/a"] = to("https://hub.example/b?sig=SIGNED", status)
    hub.answers["/c"] = to("https://kaggle.example/d", status)
    assert ask(network, "https://kaggle.example/a", KAGGLE, tmp_path / "a") is None
    assert ask(network, "https://hub.example/c", HUB, tmp_path / "c") is None
    assert (kaggle.secrets(), hub.secrets()) == ({KAGGLE}, {HUB})
    assert [path for path, head in kaggle.seen if "Authorization" not in head] == ["/d"]
    assert [path for path, head in hub.seen if "Authorization" not in head] == ["/b?sig=SIGNED"]


def test_a_token_that_went_out_and_came_home_is_for_its_own_host_still(
    hosts: tuple[Host, Host, NetworkSettings], tmp_path: Path
) -> None:
    """There and back in one download: the host between never sees it."""
    kaggle, hub, network = hosts
    kaggle.answers["/a"], hub.answers["/b"] = to("https://hub.example/b"), to("https://kaggle.example/c")
    assert ask(network, "https://kaggle.example/a", KAGGLE, tmp_path / "a") is None
    assert (kaggle.secrets(), hub.secrets()) == ({KAGGLE}, set())


@pytest.mark.parametrize(
    "location", ["//hub.example/b", "https://kaggle.example:444/b", "http://kaggle.example/b",
                 "https://kaggle.example@hub.example/b", "https://kaggle.example.hub.example/b"])  # fmt: skip
def test_an_address_that_only_looks_like_home_gets_nothing(
    hosts: tuple[Host, Host, NetworkSettings], tmp_path: Path, location: str
) -> None:
    """Another port, another scheme, a user of that name, a name that begins so."""
    kaggle, hub, network = hosts
    more = [(f"{scheme}://{name}/", hub.base) for scheme, name in (
        ("https", "kaggle.example:444"), ("http", "kaggle.example"), ("https", "kaggle.example.hub.example"))]  # fmt: skip
    kaggle.answers["/a"] = to(location)
    ask(
        replace(network, rewrite=(*more, *network.rewrite)),
        "https://kaggle.example/a",
        KAGGLE,
        tmp_path / "a",
    )
    assert hub.secrets() == set()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_no_error_repeats_a_token_that_the_host_repeats(
    hosts: tuple[Host, Host, NetworkSettings], tmp_path: Path, status: int
) -> None:
    """Nor does anything that hangs on it: `--debug` prints the causes too."""
    kaggle, _, network = hosts
    kaggle.answers["/a"] = no(status)
    error: BaseException | None = ask(
        network, "https://kaggle.example/a?token=QUERYSECRET", KAGGLE, tmp_path / "a"
    )
    assert error is not None
    while error is not None:
        words = f"{error!r} {error} {vars(error)}"
        assert "SECRET" not in words
        error = error.__cause__ or error.__context__


def test_no_command_line_shows_a_token_and_none_is_in_the_process_list(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gated file whose host refuses: output, --debug's traceback, the cache and the arguments are without it."""
    server = Host()
    try:
        monkeypatch.setenv("HF_TOKEN", "HUBSECRET")
        monkeypatch.setenv("KAGGLE_API_TOKEN", "KAGGLESECRET")
        monkeypatch.setattr("time.sleep", lambda _: None)  # a host that answers 500 is asked again 12 s long
        home = tmp_path / "mine" / "datasets" / "ours"
        home.mkdir(parents=True)
        (home / "dataset.toml").write_text(
            'name = "ours"\ntitle = "O"\nkind = "dataset"\nsummary = "s"\n[access]\nkind = "account"\n'
            'service = "huggingface"\nurl = "https://huggingface.co/datasets/o/o"\n[[files]]\nname = "t.csv"\n'
            'role = "metadata"\nsource = "huggingface:datasets/o/o@main/t.csv"\n',
            encoding="utf-8",
        )
        for status in (401, 403, 500):
            server.otherwise = no(status)
            words = ("--debug", "-v", "--rewrite", f"https://huggingface.co/={server.base}")
            answer = cli("--catalog", tmp_path / "mine", *words, "fetch", "ours")
            assert answer.code in (3, 6), answer.err
            assert "SECRET" not in answer.out + answer.err
        assert server.secrets() <= {HUB}
        assert server.secrets()
        kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert not [path for path in kept if b"SECRET" in path.read_bytes()]
        arguments = Path(f"/proc/{os.getpid()}/cmdline").read_bytes()
        assert b"SECRET" not in arguments
    finally:
        server.close()
