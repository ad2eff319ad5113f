"""Networks of hospitals: a proxy with a log-in, an authority of the house, addresses that lead nowhere, slow names."""

import importlib.util
import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermdata.errors import (
    CannotConnect,
    DermdataError,
    NotTheFile,
    ProxyLoginNeeded,
    ProxyRefused,
    UsageError,
)
from dermdata.http import HttpClient, NetworkSettings, connecting
from dermdata.http.authorities import find_authorities, open_context
from dermdata.http.connecting import alternate_families, connect_first
from dermdata.http.proxies import bypasses_proxy, find_proxy
from dermdata.model import Request
from dermdata.urls import redact_text
from support.networks import ForwardProxy, LocalHost, PrivateAuthority, SocksProxy

HOST = "data.example"
SECRET = "p@ss:w/ö#rd%"
ENCODED = "p%40ss%3Aw%2F%C3%B6%23rd%25"
ZIP = b"PK\x03\x04" + b"x" * 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> PrivateAuthority:
    """The hospital's own authority, and a certificate of it for every host that the tests ask."""
    made = PrivateAuthority(tmp_path_factory.mktemp("authority"))
    made.issue("host", HOST, "other.example", "127.0.0.1", "::1")
    return made


@pytest.fixture(scope="module")
def secure(authority: PrivateAuthority) -> Iterator[LocalHost]:
    with LocalHost(authority.folder / "host.pem") as running:
        running.files["/a.zip"] = ZIP
        yield running


@pytest.fixture
def behind(
    secure: LocalHost, authority: PrivateAuthority, network: NetworkSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[ForwardProxy, HttpClient]]]:
    """A proxy of these properties and a client of the environment that names it."""
    for name in ("SSL_CERT_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    opened: list[Any] = []

    def start(
        user: str = "", variable: str = "HTTPS_PROXY", **options: Any
    ) -> tuple[ForwardProxy, HttpClient]:
        proxy = ForwardProxy({HOST: secure.port, "other.example": secure.port}, **options).__enter__()
        client = HttpClient(replace(network, trust_env=True))
        opened.extend((proxy, client))
        monkeypatch.setenv(variable, f"{'https' if proxy.tls else 'http'}://{user}{proxy.place}")
        secure.heads.clear()
        return proxy, client

    yield start
    for one in reversed(opened):
        one.__exit__()


def fetch(client: HttpClient, target: Path, url: str = f"https://{HOST}/a.zip") -> Any:
    return client.download(Request(urls=(url,), size=len(ZIP), archive="zip"), target)


def refuse(
    client: HttpClient, target: Path, kind: type[DermdataError], url: str = f"https://{HOST}/a.zip"
) -> Any:
    """The error of a download; nothing in it, nor in what it hangs on, is the proxy's password."""
    with pytest.raises(kind) as raised:
        fetch(client, target, url)
    assert not target.exists()
    error: BaseException | None = raised.value
    while error is not None:
        words = f"{error!r} {error} {vars(error)}"
        assert not any(secret in words for secret in (SECRET, ENCODED, "w/ö", "rd%"))
        error = error.__cause__ or error.__context__
    return raised.value


# ------------------------------------------------------------------ through the proxy


@pytest.mark.parametrize(
    ("user", "login"),
    [
        ("", None),
        (f"anna:{ENCODED}@", f"anna:{SECRET}"),
        (f"anna:{SECRET}@", f"anna:{SECRET}"),  # as people write it: nothing encoded
        ("CLINIC%5Canna:geheim@", "CLINIC\\anna:geheim"),
        ("CLINIC\\anna:geheim@", "CLINIC\\anna:geheim"),
        ("anna@", "anna:"),
    ],
)
def test_a_file_comes_through_the_proxy(
    behind: Any, secure: LocalHost, tmp_path: Path, user: str, login: str | None
) -> None:
    """By CONNECT, with the user and password that the variable holds; the host sees neither."""
    proxy, client = behind(user, login=login)
    assert fetch(client, tmp_path / "a.zip").size == len(ZIP)
    assert proxy.asked == [f"CONNECT {HOST}:443 HTTP/1.1"]
    assert proxy.heads[0]["user-agent"].startswith("dermdata/")
    assert [head.get("proxy-authorization") for head in secure.heads] == [None]


def test_a_proxy_that_is_asked_over_tls(behind: Any, authority: PrivateAuthority, tmp_path: Path) -> None:
    """`HTTPS_PROXY=https://…`: TLS to the proxy, and within it TLS to the host."""
    proxy, client = behind("anna:geheim@", login="anna:geheim", tls=authority.folder / "host.pem")
    assert fetch(client, tmp_path / "a.zip").size == len(ZIP)
    assert proxy.asked == [f"CONNECT {HOST}:443 HTTP/1.1"]


def test_plain_http_is_asked_in_the_proxy_s_own_form(behind: Any, tmp_path: Path) -> None:
    """One user agent, and the log-in; what the host says comes back as it is."""
    with LocalHost() as plain:
        plain.files["/a.zip"] = ZIP
        proxy, client = behind("anna:geheim@", "HTTP_PROXY", login="anna:geheim")
        proxy.ports[HOST] = plain.port
        assert fetch(client, tmp_path / "a.zip", f"http://{HOST}/a.zip").size == len(ZIP)
        assert proxy.asked == [f"GET http://{HOST}/a.zip HTTP/1.1"]
        assert plain.heads[0]["user-agent"].startswith("dermdata/")


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_variables_that_people_set(behind: Any, tmp_path: Path, variable: str) -> None:
    proxy, client = behind(variable=variable)
    fetch(client, tmp_path / "a.zip")
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("user", ["", "anna:p%40ss@"])
def test_a_socks_proxy(
    secure: LocalHost, authority: PrivateAuthority, network: NetworkSettings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, user: str,
) -> None:  # fmt: skip
    """`ALL_PROXY=socks5://…`: the name is looked up behind the proxy."""
    pytest.importorskip("socksio")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with (
        SocksProxy({HOST: secure.port}, login="anna:p@ss" if user else None) as proxy,
        HttpClient(replace(network, trust_env=True)) as client,
    ):
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{user}{proxy.place}")
        assert fetch(client, tmp_path / "a.zip").size == len(ZIP)
        assert proxy.asked == [f"3 {HOST}:443"]
        monkeypatch.setenv("ALL_PROXY", "socks5://anna:hidden@127.0.0.1:9")
        error = refuse(client, tmp_path / "b.zip", CannotConnect)
        assert error.message.startswith("cannot connect to the proxy 127.0.0.1:9 (ALL_PROXY)")


def test_a_socks_proxy_without_the_extra(
    network: NetworkSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2 at once, with what to install."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://anna:hidden@127.0.0.1:9")
    with HttpClient(replace(network, trust_env=True)) as client:
        error = refuse(client, tmp_path / "a.zip", UsageError)
    assert error.hint == "pip install 'dermdata[socks]'"


# ------------------------------------------------------------------ what the proxy itself says


def test_a_proxy_that_wants_a_log_in(behind: Any, tmp_path: Path) -> None:
    """407 without user and password: the form to write, exit 6, asked once."""
    proxy, client = behind(login="anna:geheim")
    error = refuse(client, tmp_path / "a.zip", ProxyLoginNeeded)
    assert error.exit_code == 6
    assert error.message == f"the proxy {proxy.place} (HTTPS_PROXY) wants a user and a password (407)"
    assert error.hint == f"write them into HTTPS_PROXY, behind http:// as USER:PASSWORD@{proxy.place}"
    assert redact_text(error.hint) == error.hint  # what is no secret is shown
    assert len(proxy.asked) == 1


def test_a_proxy_that_refuses_the_password(behind: Any, tmp_path: Path) -> None:
    """The password is in no message, nor is the user."""
    proxy, client = behind(f"anna:{SECRET}@", login="anna:other")
    error = refuse(client, tmp_path / "a.zip", ProxyLoginNeeded)
    assert "refuses the user and password that stand there (407)" in error.message
    assert "%40" in error.hint
    assert "anna" not in error.message + error.hint
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("offers", "kinds"),
    [("NTLM", "NTLM"), ("Negotiate, NTLM", "Negotiate, NTLM"), ('Digest realm="x", nonce="y"', "Digest")],
)
def test_a_log_in_that_is_not_spoken_is_named(behind: Any, tmp_path: Path, offers: str, kinds: str) -> None:
    _, client = behind("anna:geheim@", login="x:y", offers=offers)
    error = refuse(client, tmp_path / "a.zip", ProxyLoginNeeded)
    assert f"of a kind that dermdata does not speak: {kinds} (407)" in error.message
    assert "cntlm" in error.hint


def reply(status: str, body: str = "", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


SQUID = "<html><head><title>ERROR: The requested URL could not be retrieved</title></head></html>"


@pytest.mark.parametrize(
    ("answer", "words", "tries"),
    [
        (reply("403 Forbidden", SQUID), "does not let requests to data.example through (403 Forbidden)", 1),
        (reply("502 Bad Gateway"), "cannot reach data.example (502 Bad Gateway)", 5),
        (reply("503 Service Unavailable", SQUID), "cannot reach data.example (503 Service Unavailable)", 5),
        (reply("418 I'm a teapot"), "does not let requests to data.example through (418 I'm a teapot)", 1),
    ],
)
def test_a_refused_tunnel_is_the_proxy_s_word(
    behind: Any, tmp_path: Path, answer: bytes, words: str, tries: int
) -> None:
    """Exit 3, with the proxy's name; asked again only where that can help."""
    proxy, client = behind(answer=answer)
    error = refuse(client, tmp_path / "a.zip", ProxyRefused)
    assert error.exit_code == 3
    assert error.message == f"the proxy {proxy.place} (HTTPS_PROXY) {words}"
    assert len(proxy.asked) == tries


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (reply("407 x", head="Proxy-Authenticate: Basic\r\n"), ProxyLoginNeeded, "wants a user and a password"),
        (reply("403 Forbidden", SQUID, "X-Squid-Error: ERR_ACCESS_DENIED 0\r\n"), ProxyRefused, "does not let"),
        (reply("503 x", SQUID, "X-Squid-Error: ERR_DNS_FAIL 0\r\n"), ProxyRefused, "cannot reach"),
        (reply("200 OK", "<html><title>FortiGuard Intrusion Prevention</title></html>"), ProxyRefused, "filter"),
        (reply("200 OK", "<html><title>Not today</title></html>"), NotTheFile, "(through the proxy"),
        (reply("403 Forbidden", "<html><title>Internet Security by Zscaler</title></html>"), ProxyRefused, "filter"),
    ],
)  # fmt: skip
def test_what_a_proxy_says_in_place_of_a_host(
    behind: Any, tmp_path: Path, answer: bytes, error: type[DermdataError], words: str
) -> None:
    """Plain http: its own refusals, and its pages, are not told as the host's."""
    _, client = behind(variable="HTTP_PROXY", answer=answer)
    kinds = (error, DermdataError) if error is NotTheFile else (error,)  # a page may have a class of its own
    told = refuse(client, tmp_path / "a.zip", kinds[-1], f"http://{HOST}/a.zip")
    assert words in told.message


def test_a_filter_s_page_is_known_without_a_proxy(
    behind: Any, secure: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall that opens TLS answers in the host's name."""
    _, client = behind()
    monkeypatch.setitem(secure.files, "/a.zip", b"<html><title>Web Filter Violation</title>FortiGuard</html>")
    error = refuse(client, tmp_path / "a.zip", ProxyRefused)
    assert "a page of your own network's filter" in error.message


def test_a_proxy_that_is_not_there(behind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the host is away: the proxy, by its name and the variable."""
    proxy, client = behind()
    port = proxy.listener.getsockname()[1]
    proxy.listener.shutdown(socket.SHUT_RDWR)
    proxy.listener.close()
    error = refuse(client, tmp_path / "a.zip", CannotConnect)
    assert error.message == f"cannot connect to the proxy 127.0.0.1:{port} (HTTPS_PROXY): Connection refused"
    monkeypatch.setenv("HTTPS_PROXY", f"http://anna:{ENCODED}@nosuch.invalid:3128")
    error = refuse(client, tmp_path / "a.zip", CannotConnect)
    assert "the proxy nosuch.invalid:3128 (HTTPS_PROXY)" in error.message
    assert "NO_PROXY" in error.hint


# ------------------------------------------------------------------ which proxy


@pytest.mark.parametrize(
    ("value", "address", "login"),
    [
        ("proxy:3128", "http://proxy:3128", None),
        ("http://proxy", "http://proxy:80", None),
        ("HTTPS://Proxy.Clinic.example:8443/", "https://proxy.clinic.example:8443", None),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None),
        ("http://anna:a%40b@proxy:3128", "http://proxy:3128", ("anna", "a@b")),
        ("http://anna:a@b@proxy:3128", "http://proxy:3128", ("anna", "a@b")),
        ("anna:a/b#c?d@proxy:3128", "http://proxy:3128", ("anna", "a/b#c?d")),
        ("http://:x@proxy:3128", "http://proxy:3128", ("", "x")),
        ("socks5h://127.0.0.1", "socks5h://127.0.0.1:1080", None),
    ],
)
def test_a_proxy_s_address_as_people_write_it(
    value: str, address: str, login: tuple[str, str] | None
) -> None:
    proxy = find_proxy("https://data.example/", {"HTTPS_PROXY": f" {value} "})
    assert proxy
    assert (proxy.address, proxy.login) == (address, login)
    assert "a@b" not in f"{proxy!r}{proxy}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("http://anna:hidden@", "holds no address of a proxy"),
        ("http://anna:hidden@proxy:99999", "holds no address of a proxy"),
        ("http://anna:hidden@pro xy:1", "holds no address of a proxy"),
        ("socks4://anna:hidden@proxy:1080", "of a kind that dermdata does not speak: socks4"),
    ],
)
def test_a_variable_that_names_no_proxy(value: str, words: str) -> None:
    """Exit 2, and the message does not repeat the value."""
    with pytest.raises(UsageError, match=words) as raised:
        find_proxy("https://data.example/", {"HTTPS_PROXY": value})
    assert "hidden" not in f"{raised.value}{raised.value.hint}"


@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        ("https://a.example/", {"HTTPS_PROXY": "u", "HTTP_PROXY": "v"}, "HTTPS_PROXY"),
        ("http://a.example/", {"HTTPS_PROXY": "u", "HTTP_PROXY": "v"}, "HTTP_PROXY"),
        ("https://a.example/", {"HTTP_PROXY": "v"}, None),
        ("https://a.example/", {"HTTP_PROXY": "v", "ALL_PROXY": "w"}, "ALL_PROXY"),
        ("https://a.example/", {"HTTPS_PROXY": "u", "https_proxy": "x"}, "https_proxy"),
        ("https://a.example/", {"HTTPS_PROXY": "u", "https_proxy": ""}, None),
        ("http://a.example/", {"HTTP_PROXY": "v", "REQUEST_METHOD": "GET"}, None),
        ("https://a.example/", {"HTTPS_PROXY": "u", "NO_PROXY": "example"}, None),
        ("https://a.example/", {"HTTPS_PROXY": "u", "NO_PROXY": "x", "no_proxy": "*"}, None),
        ("http://localhost:8000/", {"ALL_PROXY": "w"}, None),
        ("http://127.0.0.2/", {"ALL_PROXY": "w"}, None),
        ("http://[::1]/", {"ALL_PROXY": "w"}, None),
    ],
)
def test_which_variable_counts(url: str, environment: dict[str, str], variable: str | None) -> None:
    """As for curl: small letters first, an empty one is a word too, and this very machine is asked directly."""
    found = find_proxy(url, environment)
    assert (found.variable if found else None) == variable


@pytest.mark.parametrize(
    ("no_proxy", "past", "through"),
    [
        (
            "clinic.example",
            ["clinic.example", "pacs.clinic.example"],
            ["myclinic.example", "clinic.example.org"],
        ),
        (".clinic.example", ["pacs.clinic.example", "clinic.example"], ["myclinic.example"]),
        ("*.clinic.example", ["pacs.clinic.example"], ["myclinic.example"]),
        (
            "localhost, .a.example ;b.example\tc.example",
            ["x.a.example", "b.example", "c.example"],
            ["d.example"],
        ),
        ("Clinic.Example.", ["clinic.example", "CLINIC.example."], []),
        ("*", ["anything.example", "10.0.0.1", "fd00::1"], []),
        ("https://clinic.example/", ["clinic.example"], ["a.example"]),
        ("10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "a.example"]),
        ("10.1.2.3/16", ["10.1.255.1"], ["10.2.0.1"]),
        ("10.1.*,192.168.", ["10.1.2.3", "192.168.7.7"], ["10.2.0.1", "19.2.168.1"]),
        ("10.1.2.3", ["10.1.2.3", "::ffff:10.1.2.3"], ["10.1.2.30"]),
        ("fd00::/8,[2001:db8::1]", ["fd12::1", "2001:db8::1"], ["2001:db8::2"]),
        ("pacs-*.clinic.example", ["pacs-7.clinic.example"], ["ris.clinic.example"]),
        ("", [], ["a.example"]),
        (",, ,", [], ["a.example"]),
    ],
)
def test_no_proxy_as_people_write_it(no_proxy: str, past: list[str], through: list[str]) -> None:
    assert [host for host in past if not bypasses_proxy(host, 443, no_proxy)] == []
    assert [host for host in through if bypasses_proxy(host, 443, no_proxy)] == []


def test_no_proxy_with_a_port() -> None:
    assert bypasses_proxy("a.example", 8443, "a.example:8443")
    assert bypasses_proxy("fd00::1", 8443, "[fd00::1]:8443")
    assert not bypasses_proxy("a.example", 443, "a.example:8443")


# ------------------------------------------------------------------ whose certificates are trusted


@pytest.mark.parametrize("form", ["PEM", "DER", "folder", "folders", "with others"])
def test_the_house_s_own_authority(
    behind: Any, authority: PrivateAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """As a file or in a folder, as text or as a browser exports it."""
    from cryptography.hazmat.primitives.serialization import Encoding

    _, client = behind()
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "clinic.crt").write_bytes(authority.file.read_bytes())
    der = tmp_path / "clinic.cer"
    der.write_bytes(authority.certificate.public_bytes(Encoding.DER))
    both = tmp_path / "both.pem"
    other = PrivateAuthority(tmp_path, "another")
    both.write_bytes(other.file.read_bytes() + authority.file.read_bytes())
    if form.startswith("folder"):
        monkeypatch.delenv("SSL_CERT_FILE")
        more = f"{os.pathsep}{tmp_path}" if form == "folders" else ""
        monkeypatch.setenv("SSL_CERT_DIR", f"{folder}{more}")
    else:
        file = {"PEM": authority.file, "DER": der, "with others": both}[form]
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert fetch(client, tmp_path / "a.zip").size == len(ZIP)


def test_an_authority_of_the_system_s_store(
    behind: Any, authority: PrivateAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a variable: what the system trusts is trusted, also where OpenSSL was built to look elsewhere."""
    from dermdata.http import authorities

    _, client = behind()
    monkeypatch.delenv("SSL_CERT_FILE")
    nowhere = authorities.ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "/x", "SSL_CERT_DIR", "/y")
    monkeypatch.setattr(authorities.ssl, "get_default_verify_paths", lambda: nowhere)
    monkeypatch.setattr(authorities, "SYSTEM_FILES", (str(tmp_path / "none"), str(authority.file)))
    authorities.open_context.cache_clear()
    try:
        assert fetch(client, tmp_path / "a.zip").size == len(ZIP)
    finally:
        authorities.open_context.cache_clear()


def test_a_certificate_that_is_not_trusted(
    behind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause, and where the authority of an inspecting proxy is named; asked once."""
    proxy, client = behind()
    monkeypatch.delenv("SSL_CERT_FILE")
    error = refuse(client, tmp_path / "a.zip", CannotConnect)
    assert error.message.startswith("the certificate of data.example is refused: unable to get local issuer")
    assert error.hint.endswith("name the certificate of its authority in SSL_CERT_FILE")
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("name", "hosts", "days", "words", "hint"),
    [
        ("expired", (HOST,), -1, "certificate has expired", "check this machine's clock"),
        ("other", ("x.invalid",), 9, "Hostname mismatch", "answers in its place"),
    ],
)
def test_a_certificate_that_does_not_fit(
    behind: Any, authority: PrivateAuthority, tmp_path: Path,
    name: str, hosts: tuple[str, ...], days: int, words: str, hint: str,
) -> None:  # fmt: skip
    proxy, client = behind()
    with LocalHost(authority.issue(name, *hosts, days=days)) as wrong:
        proxy.ports[HOST] = wrong.port
        error = refuse(client, tmp_path / "a.zip", CannotConnect)
    assert words in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SSL_CERT_FILE", "/nosuch/ca.pem", "names /nosuch/ca.pem, and there is no such file"),
        ("SSL_CERT_DIR", "/nosuch", "names /nosuch, and there is no such folder"),
        ("SSL_CERT_FILE", __file__, "which holds no certificate"),
        ("SSL_CERT_FILE", "/dev", "no such file"),
        ("SSL_CERT_DIR", str(Path(__file__).parent), "which holds no certificate"),
    ],
)
def test_a_variable_that_names_no_authority(variable: str, value: str, words: str) -> None:
    """Exit 2 at once, in place of "unable to get local issuer" for every host there is."""
    with pytest.raises(UsageError, match=words):
        open_context(find_authorities({variable: value}))


# ------------------------------------------------------------------ addresses and names


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the system says of names."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **options)
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in known[host]
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize("addresses", [["::1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1"]])
def test_a_host_that_answers_at_one_of_its_addresses(
    network: NetworkSettings, names: dict[str, list[str]], addresses: list[str]
) -> None:
    """IPv6 only; or both families, of which only one has somebody who listens."""
    names["data.example"] = addresses
    with LocalHost(family="::1") as host, HttpClient(network) as client:
        host.files["/a"] = b"six"
        assert client.get_bytes(f"http://data.example:{host.port}/a") == b"six"


@pytest.mark.parametrize("where", ["[::1]", "[0:0::1]"])
def test_an_address_in_place_of_a_name(network: NetworkSettings, where: str) -> None:
    with LocalHost(family="::1") as host, HttpClient(network) as client:
        host.files["/a"] = b"six"
        assert client.get_bytes(f"http://{where}:{host.port}/a") == b"six"
        assert host.heads[0]["host"] == f"[::1]:{host.port}"


def test_every_address_of_a_public_host_is_checked(
    network: NetworkSettings, names: dict[str, list[str]], tmp_path: Path
) -> None:
    """A name with one private address among public ones: none is connected to."""
    from dermdata.http.policy import TransferFault
    from dermdata.http.transport import GuardedBackend

    names["data.example"] = ["2001:4860:4860::8888", "10.0.0.1"]
    with pytest.raises(TransferFault, match=r"private address data\.example \(10\.0\.0\.1\)"):
        GuardedBackend(network, public_only=True).connect_tcp("data.example", 80, 1)


class Line:
    """A connection."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def make_connect(delays: dict[str, float | Exception], lines: list[Line]) -> Callable[[str, float], Line]:
    """A network in which each address answers after so many seconds, or fails."""

    def connect(address: str, timeout: float) -> Line:
        delay = delays[address]
        if isinstance(delay, Exception):
            raise delay
        if delay > timeout:
            time.sleep(timeout)
            raise TimeoutError(address)
        time.sleep(delay)
        lines.append(Line(address))
        return lines[-1]

    return connect


@pytest.mark.parametrize(
    ("delays", "winner", "most"),
    [
        ({"six": 9, "four": 0}, "four", 0.25),  # the first leads nowhere: a head start, not the whole timeout
        ({"six": OSError("unreachable"), "four": 0}, "four", 0.04),  # … and none for what fails at once
        ({"six": 0.0, "four": 0}, "six", 0.04),
        ({"six": 0.1, "four": 0.2}, "six", 0.2),  # slow, but first
        ({"a": OSError("x"), "b": 9, "c": OSError("x"), "d": 0.0}, "d", 0.3),
    ],
)
def test_the_first_address_that_answers_wins(delays: dict[str, Any], winner: str, most: float) -> None:
    lines: list[Line] = []
    begun = time.monotonic()
    found = connect_first(list(delays), make_connect(delays, lines), 0.5, lambda: False, head_start=0.05)
    assert found.address == winner
    assert time.monotonic() - begun < most + 0.1
    assert not found.closed.is_set()


def test_who_comes_too_late_is_closed() -> None:
    lines: list[Line] = []
    delays = {"a": 0.12, "b": 0.0}
    assert (
        connect_first([*delays], make_connect(delays, lines), 1, lambda: False, head_start=0.02).address
        == "b"
    )
    until = time.monotonic() + 2
    while len(lines) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert [line.closed.wait(1) for line in lines if line.address == "a"] == [True]


def test_when_no_address_answers_the_first_one_s_error_is_told() -> None:
    delays = {"a": ConnectionRefusedError("a"), "b": OSError("b")}
    with pytest.raises(ConnectionRefusedError):
        connect_first([*delays], make_connect(delays, []), 1, lambda: False)
    with pytest.raises(TimeoutError):
        connect_first(["a", "b"], make_connect({"a": 9, "b": 9}, []), 0.1, lambda: False, head_start=0.02)


def test_families_take_turns() -> None:
    """As the system prefers them, but not four of one family that leads nowhere."""
    six, four = [f"2001:db8::{n}" for n in range(3)], ["192.0.2.1"]
    assert alternate_families([*six, *four]) == [six[0], four[0], six[1], six[2]]
    assert alternate_families([*four, *six]) == [four[0], *six]
    assert all(ipaddress.ip_address(one) for one in alternate_families([*six, *four]))


def test_a_name_server_that_does_not_answer(
    network: NetworkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time for a connection, with a word of names; a proxy's name likewise."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(20) and [])
    quick = replace(network, connect_timeout=0.1, attempts=1, trust_env=True)
    begun = time.monotonic()
    with HttpClient(quick) as client:
        with pytest.raises(CannotConnect) as raised:
            client.get_bytes("http://data.example/a")
        assert raised.value.message == "cannot resolve data.example: the name server does not answer in time"
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.clinic.example:3128")
        with pytest.raises(CannotConnect) as raised:
            client.get_bytes("http://data.example/a")
        assert raised.value.message == (
            "cannot connect to the proxy proxy.clinic.example:3128 (HTTP_PROXY): looking up its name takes too long"
        )
    release.set()
    assert time.monotonic() - begun < 2


def test_a_look_up_ends_when_the_client_is_closed(
    network: NetworkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C nobody waits for a name server."""
    release, asked = threading.Event(), threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.set() or (release.wait(20) and []))
    monkeypatch.setattr(connecting, "LOOK", 0.01)
    client = HttpClient(replace(network, connect_timeout=10, head_deadline=10, attempts=1))
    threading.Thread(target=lambda: asked.wait(5) and client.__exit__()).start()
    begun = time.monotonic()
    with pytest.raises(CannotConnect):
        client.get_bytes("http://data.example/a")
    assert time.monotonic() - begun < 2
    release.set()
