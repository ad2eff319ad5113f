"""Small answers, ranges, mirrors, connections, rewriting."""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermdata import __version__
from dermdata.errors import (
    ChecksumMismatch,
    EmptyAnswer,
    IntegrityError,
    NetworkError,
    NotTheFile,
    Offline,
    PageInstead,
    PersonMustAct,
    ServerRefused,
    SizeMismatch,
    SourceChanged,
)
from dermdata.http import HttpClient, NetworkSettings, RemoteFile
from dermdata.http.client import parse_google_md5
from dermdata.model import Request
from http_client.conftest import DATA, SHA, SIZE, CountingTransport, Get

pytestmark = pytest.mark.shared


def asked(
    server: Any,
    network: NetworkSettings,
    spec: str,
    method: str,
    *args: Any,
    name: str = "a.zip",
    **request: Any,
) -> Any:
    with HttpClient(network) as transfer:
        return getattr(transfer, method)(Request(urls=(server.url_for(name, spec),), **request), *args)


def test_range(server: Any, network: NetworkSettings) -> None:
    """The very bytes."""
    assert asked(server, network, "", "read_range", 1000, 5000) == DATA[1000:6000]


@pytest.mark.parametrize("spec", ["status:503;good", "truncate:50p;good", "reset:10;good", "empty;good"])
def test_range_is_tried_again(server: Any, network: NetworkSettings, spec: str) -> None:
    """A range is small: it is asked for whole again."""
    assert asked(server, network, spec, "read_range", 7, 5000) == DATA[7:5007]


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("norange", ServerRefused),
        ("wrongrange:16", IntegrityError),
        ("norangeheader", IntegrityError),
        ("gziplie", IntegrityError),
        ("html", PersonMustAct),
        ("status:416", ServerRefused),
        ("truncate:50p", NetworkError),
    ],
)
def test_range_is_exact_or_an_error(
    server: Any, network: NetworkSettings, spec: str, error: type[Exception]
) -> None:
    """Neither more nor less nor other bytes."""
    with pytest.raises(error):
        asked(server, network, spec, "read_range", 1000, 5000, size=SIZE)


def test_range_of_another_size(server: Any, network: NetworkSettings) -> None:
    """A file that is not as long as the catalog says is another file."""
    with pytest.raises(IntegrityError):
        asked(server, network, "wrongtotal:10", "read_range", 1000, 5000, size=SIZE)


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        ("mutate:1", RemoteFile(size=SIZE, etag=f'"{SHA[:32]}"')),  # If-Range does not match: 200
        ("mutate:1+ignoreifrange", RemoteFile(size=SIZE, etag=f'"{SHA[:32]}"')),  # 206 all the same
        ("mutate:1+ignoreifrange+etag:none", RemoteFile(modified="Thu, 01 Jan 1970 00:00:00 GMT")),
        ("wrongtotal:10", RemoteFile(size=SIZE)),
        ("status:412", RemoteFile(size=SIZE, etag=f'"{SHA[:32]}"')),
    ],
)
def test_a_range_of_another_version_is_refused(
    server: Any, network: NetworkSettings, spec: str, version: RemoteFile
) -> None:
    """However the server shows it: ranges of two versions are never joined."""
    with pytest.raises(SourceChanged):
        asked(server, network, spec, "read_range", 1000, 5000, version)


@pytest.mark.parametrize("spec", ["", "norange"])
def test_a_range_of_the_same_version_is_given_or_told_that_there_are_none(
    server: Any, network: NetworkSettings, spec: str
) -> None:
    """A server without ranges has not changed its file."""
    version = RemoteFile(size=SIZE, etag=f'"{SHA[:32]}"')
    if not spec:
        assert asked(server, network, spec, "read_range", 1000, 5000, version) == DATA[1000:6000]
        return
    with pytest.raises(ServerRefused):
        asked(server, network, spec, "read_range", 1000, 5000, version)


def test_head_without_the_file(server: Any, network: NetworkSettings) -> None:
    """Size and validators cost one byte."""
    head = asked(server, network, "", "resolve_head")
    assert head.size == SIZE
    assert head.etag == f'"{SHA[:32]}"'
    assert server.ended()[0]["sent"] == 1
    assert asked(server, network, "norange", "resolve_head").size == SIZE
    assert asked(server, network, "norange+nolength+etag:none+nodate", "resolve_head") == RemoteFile()


def test_google_md5() -> None:
    """The store's base64 becomes the catalog's hexadecimal; nonsense becomes nothing."""
    assert (
        parse_google_md5("crc32c=AAAAAA==,md5=1B2M2Y8AsgTpgAmY7PhCfg==")
        == "md5:d41d8cd98f00b204e9800998ecf8427e"
    )
    assert parse_google_md5("crc32c=AAAAAA==") is None
    assert parse_google_md5("md5=%%%") is None


def test_json(server: Any, network: NetworkSettings) -> None:
    """An API's answer, after a failure or two."""
    with HttpClient(network) as transfer:
        url = server.url_for("answer.json", "status:429,retry_after=1;empty;good")
        assert transfer.get_json(url) == {"ok": [1, 2]}


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"<html>moved", PageInstead), (b"", EmptyAnswer), (b"[" * 100_000, NotTheFile), (b"[" * 200 + b"]" * 200, NotTheFile),
     (b"<html>Please log in</html>", PersonMustAct), (b"\xff\xfe", NotTheFile)],
    ids=["page", "empty", "deep and open", "deep", "log-in", "no text"],
)  # fmt: skip
def test_json_that_is_none(
    server: Any, network: NetworkSettings, root: Path, body: bytes, error: type[Exception]
) -> None:
    """Anything else is told as what it is."""
    (root / "bad").write_bytes(body)
    with HttpClient(network) as transfer, pytest.raises(error):
        transfer.get_json(server.url_for("bad"))


def test_a_small_answer_has_a_limit(server: Any, network: NetworkSettings) -> None:
    """Promise 10: the limit is named."""
    with HttpClient(network) as transfer, pytest.raises(IntegrityError, match="limit of 1,000 bytes"):
        transfer.get_bytes(server.url_for("a.zip"), limit=1000)


def test_offline(server: Any, network: NetworkSettings, target: Path) -> None:
    """--offline asks nobody and says which host was needed."""
    with HttpClient(replace(network, offline=True)) as transfer:
        request = Request(urls=(server.url_for("a.zip"),))
        for call in (
            lambda: transfer.download(request, target),
            lambda: transfer.read_range(request, 0, 1),
            lambda: transfer.get_json(request.urls[0]),
        ):
            with pytest.raises(Offline, match=r"127\.0\.0\.1"):
                call()
    assert server.ended() == []


@pytest.mark.parametrize(
    "spec", ["status:404", "html", "flip:9", "status:503", "gzip", "redirect:loop", "resize:5"]
)
def test_the_next_mirror(get: Get, server: Any, target: Path, spec: str) -> None:
    """Whatever the first address does, the second gives the file, bound by the same checksum."""
    received = get(urls=(server.url_for("a.zip", spec), server.url_for("a.zip", "good")))
    assert target.read_bytes() == DATA
    assert "good" in received.url


def test_a_mirror_goes_on_with_the_bytes(get: Get, server: Any, faultserver: Any) -> None:
    """A checksum binds the halves together, so nothing is fetched twice."""
    get(urls=(server.url_for("a.zip", "truncate:700k;empty"), server.url_for("a.zip", "good")))
    assert faultserver.report(server.ended("a.zip"))[0]["again"] == 0
    assert server.ended()[-1]["if_range"] is None


def test_a_mirror_does_not_go_on_without_checksum(get: Get, server: Any, target: Path) -> None:
    """Nothing would tell that the halves belong together."""
    urls = (server.url_for("a.zip", "truncate:700k;empty"), server.url_for("a.zip", "mutate:1"))
    get(urls=urls, checksum=None, archive=None)
    assert target.read_bytes() == bytes(byte ^ 1 for byte in DATA)


def test_all_mirrors_fail(get: Get, server: Any) -> None:
    """The last error is raised and names what each address did, without queries."""
    urls = (f"{server.url_for('a.zip', 'status:404')}?key=hidden", server.url_for("a.zip", "flip:9"))
    with pytest.raises(ChecksumMismatch, match=r"before that, .*answers 404") as raised:
        get(urls=urls)
    assert "hidden" not in raised.value.message


def test_other_algorithms(get: Get, target: Path) -> None:
    """An md5 of the publisher is checked in the same pass."""
    with pytest.raises(ChecksumMismatch, match=r"md5 is .* expected d41d8"):
        get("good", checksum="md5:d41d8cd98f00b204e9800998ecf8427e")
    assert get("good", checksum=f"md5:{hashlib.md5(DATA).hexdigest()}").sha256 == SHA


def test_size_alone(get: Get, target: Path) -> None:
    """Without checksum the size must agree, and the result says that it is not verified."""
    assert not get("good", checksum=None).verified
    with pytest.raises(SizeMismatch):
        get("good", checksum=None, size=SIZE + 1)


def test_connections_per_host(server: Any, network: NetworkSettings, tmp_path: Path) -> None:
    """However many threads: only so many ask one host at a time, and that many do.

    Counted at the client: the server notes the end of a slow body after the client has left.
    """

    def work(n: int) -> None:
        transfer.download(Request(urls=(server.url_for(f"_gen/100k/{n}", "slow:1M"),)), tmp_path / str(n))

    network = replace(network, connections=2)
    transport = CountingTransport(network)
    with HttpClient(network, transport) as transfer, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (transport.asked, transport.most) == (8, 2)


def test_rewritten_addresses(server: Any, network: NetworkSettings, target: Path) -> None:
    """The longest prefix wins; the receipt keeps the official address."""
    network = replace(
        network, rewrite=(("https://", "http://127.0.0.1:1/"), ("https://data.example/x/", f"{server.url}/"))
    )
    with HttpClient(network) as transfer:
        received = transfer.download(Request(urls=("https://data.example/x/a.zip?sig=1",)), target)
    assert received.url == "https://data.example/x/a.zip"


def test_no_log_line_holds_a_signature(get: Get, caplog: pytest.LogCaptureFixture) -> None:
    """Promise 11: even with every logger at DEBUG."""
    with caplog.at_level(logging.DEBUG):
        get("signed:30")
    assert "Signature" not in caplog.text


def test_identity_is_asked_for(get: Get, server: Any) -> None:
    """No encoding, our name, no cookies."""
    get("good", headers={"X-Own": "1"})
    (end,) = server.ended()
    assert end["accept_encoding"] == "identity"
    assert end["user_agent"] == f"dermdata/{__version__} (+https://github.com/dermdata/dermdata)"
    assert end["header_names"] == ["accept", "accept-encoding", "host", "user-agent", "x-own"]
