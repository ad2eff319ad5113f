"""FAULTS rows 1-44 on real sockets; each test names its row."""

import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dermdata.errors import (
    BadRedirect,
    CannotConnect,
    ChecksumMismatch,
    CredentialsMissing,
    DermdataError,
    EmptyAnswer,
    IntegrityError,
    NetworkError,
    PersonMustAct,
    ServerRefused,
    SizeMismatch,
    Stalled,
)
from dermdata.http import HttpClient, NetworkSettings, urls
from dermdata.http.transport import GuardedTransport
from dermdata.model import Request
from http_client.conftest import DATA, SHA, SIZE, Get, left, serving
from support.networks import PrivateAuthority

pytestmark = pytest.mark.shared


def again(server: Any, faultserver: Any) -> int:
    """Bytes that went out twice."""
    return max((row["again"] for row in faultserver.report(server.ended("a.zip"))), default=0)


# ------------------------------------------------------------------ what ends well


ENDS_WELL = [
    pytest.param("truncate:50p;good", 2, id="1 cut, length known"),
    pytest.param("truncate:50p*12;good", 13, id="2 cut often, with progress each time"),
    pytest.param("length:10;good", 2, id="4 Content-Length too big, then right"),
    pytest.param("chunked", 1, id="6 chunked"),
    pytest.param("chunked:cut", 1, id="6 chunked without end, complete by checksum"),
    pytest.param("chunked:bad", 1, id="6 chunked with a bad chunk, complete by checksum"),
    pytest.param("chunked:cut+truncate:50p;good", 2, id="6 chunked without end, half the bytes"),
    pytest.param("reset:50p;good", 2, id="7 reset"),
    pytest.param("empty;good", 2, id="8 no bytes at all"),
    pytest.param("garbage;good", 2, id="8 not HTTP, once"),
    pytest.param("truncate:50p;norange", 2, id="11 no Range support"),
    pytest.param("truncate:50p;ignorerange", 2, id="12 Range ignored"),
    pytest.param("truncate:50p;wrongrange:16;good", 3, id="13 206 from another offset"),
    pytest.param("truncate:50p;wrongbytes:16;good", 3, id="14 206 with wrong bytes"),
    pytest.param("truncate:50p;wrongtotal:10;good", 3, id="15 206 with a wrong total"),
    pytest.param("truncate:50p;norangeheader;good", 3, id="15 206 without Content-Range"),
    pytest.param("truncate:50p+mutate:1;good", 2, id="16 changed, new ETag: 200 in place of 206"),
    pytest.param("truncate:50p+mutate:1;ignoreifrange;good", 3, id="16 If-Range ignored: ETag differs"),
    pytest.param("truncate:50p+mutate:1,keep_etag=1;good", 3, id="17 changed, same ETag"),
    pytest.param("truncate:50p+etag:weak;etag:weak", 2, id="18 weak ETag"),
    pytest.param("truncate:50p+etag:none+nodate;etag:none+nodate", 2, id="18 no validator, checksum known"),
    pytest.param("truncate:50p;status:416;good", 3, id="19 416 to a half: from zero"),
    pytest.param("status:429,retry_after=2;good", 2, id="21 429 with seconds"),
    pytest.param("status:429,retry_after=x;good", 2, id="21 429 with nonsense"),
    pytest.param("status:503*2;good", 3, id="23 503 twice"),
    pytest.param("status:502;status:504;status:500;status:408;good", 5, id="23 502 504 500 408"),
    pytest.param("stall:50p;good", 2, id="30 stall, then resume"),
    pytest.param("redirect:chain=9", 10, id="32 chain of nine"),
    pytest.param("disposition:..%2F..%2Fx.sh", 1, id="39 Content-Disposition is ignored"),
    pytest.param("flip:100;good", 2, id="41 a bit wrong, once"),
    pytest.param("http10", 1, id="42 HTTP/1.0"),
    pytest.param("http10+nolength", 1, id="42 HTTP/1.0 without length"),
    pytest.param("clock:-86400", 1, id="43 the server's clock is wrong"),
    pytest.param("truncate:50p+clock:-86400;clock:86400", 2, id="43 wrong clocks on a resume"),
    pytest.param("truncate:50p;empty;status:503;reset:50p;good", 5, id="1-23 one after the other"),
]


@pytest.mark.fault(1, 2, 4, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 23, 30, 32, 39, 41, 42, 43)
@pytest.mark.parametrize(("spec", "requests"), ENDS_WELL)
def test_the_file_arrives(get: Get, server: Any, target: Path, spec: str, requests: int) -> None:
    """Whatever happens on the way, the target holds the right bytes and nothing lies beside it."""
    told: list[int] = []
    received = get(spec, told.append, archive=None)  # None: other versions do not look like a zip
    assert target.read_bytes() == DATA
    assert (received.size, received.sha256, received.verified) == (SIZE, SHA, True)
    assert left(target) == ["a.zip"]
    assert sum(told) == SIZE
    assert len(server.ended("a.zip")) == requests


@pytest.mark.fault(1, 2, 7, 30)
@pytest.mark.parametrize(
    "spec",
    [
        "truncate:50p;good",
        "reset:50p;good",
        "stall:50p;good",
        "truncate:50p*12;good",
        "truncate:300k;empty;good",
    ],
)
def test_no_byte_is_fetched_twice(get: Get, server: Any, faultserver: Any, spec: str) -> None:
    """Rows 1, 2, 7, 30: a cut, reset or stalled body goes on where it stopped."""
    get(spec)
    assert again(server, faultserver) == 0


@pytest.mark.fault(11)
def test_a_restart_takes_the_progress_back(get: Get) -> None:
    """Row 11: the deltas go down when the file starts over, and add up to its size."""
    told: list[int] = []
    get("truncate:50p;norange", told.append)
    assert min(told) == -SIZE // 2
    assert sum(told) == SIZE


@pytest.mark.fault(18)
def test_no_if_range_with_a_weak_etag(get: Get, server: Any) -> None:
    """Row 18: the date stands in for a weak ETag; with neither, a checksum must be known."""
    get("truncate:50p+etag:weak+nodate;etag:weak+nodate")
    assert [(end["range"], end["if_range"]) for end in server.ended()] == [
        (None, None),
        ("bytes=500000-", None),
    ]


@pytest.mark.fault(18)
def test_without_validator_and_checksum_there_is_no_resume(get: Get, server: Any, target: Path) -> None:
    """Row 18: nothing would tell that the halves belong together."""
    received = get("truncate:50p+etag:none+nodate;etag:none+nodate", checksum=None)
    assert [end["range"] for end in server.ended()] == [None, None]
    assert target.read_bytes() == DATA
    assert not received.verified


@pytest.mark.fault(16)
def test_a_changed_file_without_checksum_is_the_new_one_whole(get: Get, target: Path) -> None:
    """Row 16: If-Range keeps two versions apart where no checksum does."""
    get("truncate:50p;mutate:1", checksum=None, archive=None)
    assert target.read_bytes() == bytes(byte ^ 1 for byte in DATA)


# ------------------------------------------------------------------ what ends in an error


@pytest.mark.fault(2, 3, 4, 5, 8, 11, 16, 17, 19, 20, 21, 23, 24, 25, 27, 28, 29, 30, 31, 32, 35, 37, 38, 41)
@pytest.mark.parametrize(
    ("spec", "error", "most"),
    [
        pytest.param("truncate:50p", NetworkError, 30, id="2 cut every time, at last without progress"),
        pytest.param("truncate:50p+norange", NetworkError, 6, id="2+11 cut every time, no Range"),
        pytest.param("truncate:50p+etag:new", NetworkError, 6, id="2+16 cut, changing every time"),
        pytest.param("truncate:0", NetworkError, 5, id="2 never a byte"),
        pytest.param("nolength+truncate:50p", IntegrityError, 30, id="3 cut that no client can see"),
        pytest.param("length:10", IntegrityError, 2, id="4 Content-Length too big"),
        pytest.param("length:-10", IntegrityError, 2, id="5 Content-Length too small"),
        pytest.param("empty", NetworkError, 5, id="8 never a byte"),
        pytest.param("garbage", NetworkError, 5, id="8 never HTTP"),
        pytest.param("mutate:1", ChecksumMismatch, 2, id="16 the source has changed"),
        pytest.param("truncate:50p;mutate:1,keep_etag=1", ChecksumMismatch, 3, id="17 changed, same ETag"),
        pytest.param("truncate:50p;status:416", ServerRefused, 3, id="19 416 for ever"),
        pytest.param("resize:-10", SizeMismatch, 2, id="20 shrunk"),
        pytest.param("resize:10", SizeMismatch, 2, id="20 grown"),
        pytest.param("status:429,retry_after=99999", ServerRefused, 1, id="21 asks to wait for a day"),
        pytest.param("status:503", ServerRefused, 5, id="23 503 for ever"),
        pytest.param("status:401", CredentialsMissing, 1, id="24 401"),
        pytest.param("status:403", ServerRefused, 1, id="24 403"),
        pytest.param("status:404", ServerRefused, 1, id="24 404"),
        pytest.param("status:410", ServerRefused, 1, id="24 410"),
        pytest.param("status:451", ServerRefused, 1, id="24 451"),
        pytest.param("status:501", ServerRefused, 1, id="24 501"),
        pytest.param("signed:-5", ServerRefused, 4, id="25 signed link dead at once: asked for once more"),
        pytest.param("html", CredentialsMissing, 1, id="27 log-in page"),
        pytest.param("html:application%2Fzip", CredentialsMissing, 1, id="27 log-in page that says zip"),
        pytest.param("json", PersonMustAct, 1, id="28 quota in JSON"),
        pytest.param("nothing", EmptyAnswer, 1, id="29 zero bytes"),
        pytest.param("nothing+chunked", EmptyAnswer, 1, id="29 zero bytes, chunked"),
        pytest.param("stall:0", Stalled, 5, id="30 stall before a byte"),
        pytest.param("delay:9", Stalled, 5, id="30 stall before the head"),
        pytest.param("drip:0.02", Stalled, 5, id="31 slow head"),
        pytest.param("slow:200", Stalled, 5, id="31 slow body"),
        pytest.param("redirect:loop", BadRedirect, 11, id="32 loop"),
        pytest.param("redirect:chain=30", BadRedirect, 11, id="32 long chain"),
        pytest.param("redirect:to=file:%2F%2F%2Fetc%2Fpasswd", BadRedirect, 1, id="35 file:"),
        pytest.param("redirect:to=ftp:%2F%2F127.0.0.1%2Fx", BadRedirect, 1, id="35 ftp:"),
        pytest.param("gzip", IntegrityError, 1, id="37 honest gzip, unasked"),
        pytest.param("gziplie", IntegrityError, 1, id="37 lying gzip"),
        pytest.param("gzipbomb:20M", IntegrityError, 1, id="37 bomb"),
        pytest.param("hugeheader:1M", NetworkError, 5, id="38 huge header"),
        pytest.param("manyheaders:500", NetworkError, 1, id="38 many headers"),
        pytest.param("flip:100", ChecksumMismatch, 2, id="41 a bit wrong, every time"),
    ],
)
def test_the_failure_is_told(
    get: Get, server: Any, target: Path, spec: str, error: type[DermdataError], most: int
) -> None:
    """The right error after a bounded number of requests; never another file under the final name."""
    with pytest.raises(error) as raised:
        get(spec, archive=None if "mutate" in spec else "zip")
    assert not target.exists()
    assert 1 <= len(server.ended()) <= most
    assert "Signature" not in f"{raised.value} {raised.value.hint}"


@pytest.mark.fault(2)
def test_the_partial_stays_for_a_later_run(get: Get, server: Any, target: Path, faultserver: Any) -> None:
    """Row 2: what arrived before the last failure is not fetched again."""
    urls = (server.url_for("a.zip", "truncate:700k;empty*5;good"),)
    with pytest.raises(NetworkError):
        get(urls=urls)
    received = get(urls=urls)
    assert received.resumed_from == 700 * 1024
    assert target.read_bytes() == DATA
    assert again(server, faultserver) == 0


@pytest.mark.fault(16)
def test_a_changed_source_is_called_changed(get: Get) -> None:
    """Row 16: two downloads of the same other bytes are no accident; both digests are named."""
    with pytest.raises(ChecksumMismatch, match=f"expected {SHA}") as raised:
        get("mutate:1", archive=None)
    assert "source has changed" in (raised.value.hint or "")


@pytest.mark.fault(41)
def test_different_wrong_bytes_are_called_altered(get: Get) -> None:
    """Row 41: two different wrong downloads say nothing about the source."""
    with pytest.raises(ChecksumMismatch) as raised:
        get("flip:100;flip:200")
    assert "altered" in (raised.value.hint or "")


@pytest.mark.fault(19)
def test_a_complete_partial_is_not_asked_for(
    get: Get, server: Any, target: Path, network: NetworkSettings
) -> None:
    """Row 19: all bytes are there, only the end was missing: 416 or no question at all."""
    get("chunked:cut;good", size=None, checksum=None)
    assert [end["status"] for end in server.ended()] == [200, 416]
    assert target.read_bytes() == DATA


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("spec", "pause"),
    [("status:429,retry_after=2;good", 2), ("status:503,retry_date=4;good", 4), ("status:503;good", 1)],
)
def test_the_pause_is_the_server_s_or_our_own(get: Get, slept: list[float], spec: str, pause: float) -> None:
    """Row 21: seconds, date, or our back-off."""
    get(spec)
    # what passes until it sleeps is not slept: on a busy machine some tenths
    assert slept == [pytest.approx(pause, abs=1.2 if "date" in spec else 0.5)]


@pytest.mark.fault(23)
def test_pauses_grow(get: Get, slept: list[float]) -> None:
    """Row 23: back-off doubles."""
    with pytest.raises(ServerRefused):
        get("status:503")
    assert slept == [1, 2, 4, 8]


@pytest.mark.fault(21)
def test_the_wait_that_is_too_long_is_named(get: Get, slept: list[float]) -> None:
    """Row 21: nobody waits a day; the message says how long it would be."""
    with pytest.raises(ServerRefused, match=r"99999 s .27 h"):
        get("status:429,retry_after=99999")
    assert slept == []


@pytest.mark.fault(22)
def test_many_files_under_a_rate_limit(server: Any, network: NetworkSettings, tmp_path: Path) -> None:
    """Row 22: all files arrive with few refused requests."""
    network = replace(network, sleep=time.sleep)
    with HttpClient(network) as transfer:
        for n in range(15):
            url = server.url_for(f"_gen/1k/{n}", "ratelimit:5,per=1,all=1")
            transfer.download(Request(urls=(url,), size=1024), tmp_path / f"{n}.bin")
    assert len(server.ended()) <= 15 * 1.2


class LateTransport(GuardedTransport):
    """The real transport, whose answers are looked at a moment later."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        time.sleep(0.1)
        return response


@pytest.mark.fault(7)
def test_a_reset_right_after_the_head(get: Get, network: NetworkSettings, target: Path) -> None:
    """Row 7: the connection is gone before anybody looks at it; that is one more cut, no crash."""
    get("reset:10;good", transport=LateTransport(network))
    assert target.read_bytes() == DATA


@pytest.mark.fault(25)
def test_an_expired_link_is_asked_for_again(get: Get, server: Any, target: Path, faultserver: Any) -> None:
    """Row 25: the original address gives a new link; the bytes so far stay."""
    get("signed:30,then=truncate:200k")
    assert target.read_bytes() == DATA
    firsts = [end for end in server.ended("a.zip") if "signed" in end["step"]]
    assert len(firsts) >= 5
    assert again(server, faultserver) == 0


@pytest.mark.fault(26)
def test_an_error_page_never_reaches_the_partial(get: Get, server: Any, target: Path) -> None:
    """Row 26: a 403's XML leaves the bytes so far as they are."""
    urls = (server.url_for("a.zip", "truncate:300k;status:403;good"),)
    with pytest.raises(ServerRefused):
        get(urls=urls)
    assert get(urls=urls).resumed_from == 300 * 1024
    assert target.read_bytes() == DATA


@pytest.mark.fault(9)
def test_closed_port(get: Get, slept: list[float]) -> None:
    """Row 9: five tries, then words with the host."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(CannotConnect, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
        get(urls=(f"http://127.0.0.1:{port}/a.zip",))
    assert len(slept) == 4


@pytest.mark.fault(10)
def test_unknown_name(get: Get) -> None:
    """Row 10: a name that does not resolve is named."""
    with pytest.raises(CannotConnect, match=r"cannot resolve nosuch\.invalid") as raised:
        get(urls=("http://nosuch.invalid/a.zip?token=hidden",))
    assert "--offline" in (raised.value.hint or "")


@pytest.mark.fault(40)
def test_extra_bytes_do_not_spoil_the_next_file(
    server: Any, network: NetworkSettings, tmp_path: Path
) -> None:
    """Row 40: junk after a body on a kept connection."""
    with HttpClient(network) as transfer:
        for n in range(3):
            request = Request(urls=(server.url_for("a.zip", "extra:10"),), checksum=f"sha256:{SHA}")
            transfer.download(request, tmp_path / f"{n}.zip")
            assert (tmp_path / f"{n}.zip").read_bytes() == DATA


def test_connections_are_kept(server: Any, network: NetworkSettings, tmp_path: Path) -> None:
    """One thread asks all its files over one connection."""
    with HttpClient(network) as transfer:
        for n in range(3):
            transfer.download(
                Request(urls=(server.url_for("a.zip", "redirect:chain=1"),)), tmp_path / f"{n}.zip"
            )
    assert len({end["conn"] for end in server.ended()}) == 1


@pytest.mark.fault(44)
def test_server_gone_in_the_middle(
    faultserver: Any, root: Path, network: NetworkSettings, target: Path
) -> None:
    """Row 44: the server dies; a later run goes on."""
    with serving(faultserver, root) as server:
        url, port = server.url_for("a.zip", "truncate:400k;empty*5;good"), server.port
        request = Request(urls=(url,), size=SIZE, checksum=f"sha256:{SHA}")
        with HttpClient(network) as transfer, pytest.raises(NetworkError):
            transfer.download(request, target)
    with HttpClient(network) as transfer, pytest.raises(CannotConnect):
        transfer.download(request, target)
    with serving(faultserver, root, port=port) as server, HttpClient(network) as transfer:
        server.counts[url.removeprefix(server.url)] = 6  # the good step
        assert transfer.download(request, target).resumed_from == 400 * 1024


# ------------------------------------------------------------------ secrets and redirects


TOKEN = {"Authorization": "Bearer T", "X-Dataverse-key": "K", "Cookie": "C=1"}


def official(server: Any, network: NetworkSettings) -> NetworkSettings:
    """https://data.example/ stands for the test server, as --rewrite would have it."""
    return replace(network, rewrite=(("https://data.example/", f"{server.url}/"),))


@pytest.mark.fault(33)
def test_secrets_reach_their_origin_only(server: Any, network: NetworkSettings, target: Path) -> None:
    """Row 33: no secret header of any name travels to another host."""
    url = "https://data.example/f/auth:T+redirect:host=localhost/a.zip"
    request = Request(urls=(url,), checksum=f"sha256:{SHA}", secrets=TOKEN)
    with HttpClient(official(server, network)) as transfer:
        transfer.download(request, target)
    first, second = server.ended("a.zip")
    assert {"authorization", "x-dataverse-key", "cookie"} <= set(first["header_names"])
    assert {"authorization", "x-dataverse-key", "cookie"}.isdisjoint(second["header_names"])
    assert second["host"].startswith("localhost")


@pytest.mark.fault(33)
def test_secrets_stay_on_a_redirect_within_the_origin(
    server: Any, network: NetworkSettings, target: Path
) -> None:
    """Row 33: the same host asks for the token again."""
    url = "https://data.example/f/redirect:chain=1,then=auth:T/a.zip"
    request = Request(urls=(url,), checksum=f"sha256:{SHA}", secrets=TOKEN)
    with HttpClient(official(server, network)) as transfer:
        transfer.download(request, target)
    assert all("authorization" in end["header_names"] for end in server.ended("a.zip"))


def test_secrets_never_go_over_plain_http(get: Get, server: Any) -> None:
    """Promise 11: only to https, or its stand-in."""
    get(secrets=TOKEN)
    assert server.ended()[0]["authorization"] is None


@pytest.mark.fault(24)
def test_a_refused_token_is_told_without_it(server: Any, network: NetworkSettings, target: Path) -> None:
    """Row 24: 401 with a token is refused credentials; the token is nowhere in the words."""
    request = Request(
        urls=("https://data.example/f/auth:T/a.zip?key=hidden",), secrets={"Authorization": "Bearer X9"}
    )
    with HttpClient(official(server, network)) as transfer, pytest.raises(CredentialsMissing) as raised:
        transfer.download(request, target)
    assert "refuses the credentials" in str(raised.value)
    assert not any(word in f"{raised.value} {raised.value.hint}" for word in ("X9", "hidden"))


def test_a_token_with_a_line_end_is_not_shown(server: Any, network: NetworkSettings, target: Path) -> None:
    """Promise 11: HTTP's own complaint would quote it."""
    request = Request(urls=("https://data.example/a.zip",), secrets={"Authorization": "Bearer X9\n"})
    with HttpClient(official(server, network)) as transfer, pytest.raises(NetworkError) as raised:
        transfer.download(request, target)
    chain = [raised.value, raised.value.__cause__, raised.value.__context__]
    assert not any("X9" in repr(error) for error in chain)


@pytest.mark.fault(35)
def test_redirect_to_a_private_address(get: Get, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 35: refused from a public host before a connection is made; --allow-private lets it."""
    real = urls.is_private
    monkeypatch.setattr(urls, "is_private", lambda text: text != "127.0.0.1" and real(text))
    spec = "redirect:to=http:%2F%2F127.0.0.2:9%2F"
    with pytest.raises(BadRedirect, match="private address"):
        get(spec)
    with pytest.raises(CannotConnect, match=r"127\.0\.0\.2:9"):
        get(spec, network={"allow_private": True})


@pytest.mark.fault(35)
def test_redirect_to_a_name_of_a_private_address(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 35: what counts is the resolved address."""
    real, lookup = urls.is_private, socket.getaddrinfo
    monkeypatch.setattr(urls, "is_private", lambda text: text != "127.0.0.1" and real(text))
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **k: lookup("127.0.0.2" if host == "inner.example" else host, *a, **k),
    )
    with pytest.raises(BadRedirect, match=r"inner\.example .127\.0\.0\.2."):
        get("redirect:to=http:%2F%2Finner.example:9%2F")


# ------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and good, expired, wronghost .pem signed by it."""
    authority = PrivateAuthority(tmp_path_factory.mktemp("tls"))
    authority.issue("good", "127.0.0.1")
    authority.issue("wronghost", "x.invalid")
    authority.issue("expired", "127.0.0.1", days=-1)
    return authority.folder


def secure(faultserver: Any, root: Path, certificates: Path, kind: str) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{kind}.pem")
    return serving(faultserver, root, tls=context)


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    ("kind", "words"),
    [("expired", "expired"), ("wronghost", "mismatch"), ("good", "unable to get local issuer")],
    ids=["36 expired", "36 wrong host", "36 unknown authority"],
)
def test_bad_certificates(
    faultserver: Any, root: Path, certificates: Path, network: NetworkSettings, target: Path,
    monkeypatch: pytest.MonkeyPatch, kind: str, words: str,
) -> None:  # fmt: skip
    """Row 36: refused at once, with the reason."""
    if kind != "good":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    with (
        secure(faultserver, root, certificates, kind) as server,
        HttpClient(replace(network, trust_env=True)) as transfer,
    ):
        with pytest.raises(CannotConnect, match=words):
            transfer.download(Request(urls=(server.url_for("a.zip"),)), target)
        assert server.ended() == []


@pytest.mark.fault(34)
def test_good_certificate_and_no_downgrade(
    faultserver: Any, root: Path, server: Any, certificates: Path, network: NetworkSettings, target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Row 34: https works with the own authority, but does not lead to http."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    with (
        secure(faultserver, root, certificates, "good") as tls,
        HttpClient(replace(network, trust_env=True)) as transfer,
    ):
        request = Request(
            urls=(tls.url_for("a.zip", "truncate:50p;good"),), checksum=f"sha256:{SHA}", secrets=TOKEN
        )
        transfer.download(request, target)
        assert {end["authorization"] is not None for end in tls.ended()} == {True}
        down = Request(urls=(tls.url_for("a.zip", f"redirect:scheme=http,port={server.port}"),))
        with pytest.raises(BadRedirect, match="from https to http"):
            transfer.download(down, target.with_name("b.zip"))
        assert server.ended() == []
