"""The pure half: what an answer means, where a redirect may lead, what a page is. No network."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.errors import (
    AccessRefused,
    BadRedirect,
    ConsentNeeded,
    EmptyAnswer,
    FormWanted,
    LoginNeeded,
    NotTheFile,
    PageInstead,
    PointerInstead,
    QuotaUsedUp,
    ServerRefused,
    UsageError,
)
from dermdata.http import NetworkSettings, responses
from dermdata.http.error_pages import explain_page, find_wrong_content
from dermdata.http.policy import RetryAction, choose_pause, parse_retry_after
from dermdata.http.responses import AlreadyComplete, CannotResume, FileVersion, FullBody, RangeBody
from dermdata.http.urls import canonicalize, follow_hop, is_private, redact, select_headers, start_hop
from dermdata.model import Request

NETWORK = NetworkSettings(wall_clock=lambda: 784_111_777.0)  # Sun, 06 Nov 1994 08:49:37 GMT
HERE = FileVersion(etag='"1"', modified="Sun, 06 Nov 1994 08:49:37 GMT", total=10)


def rest(**changes: str) -> dict[str, str]:
    return {"content-range": "bytes 4-9/10", "content-length": "6", "etag": '"1"'} | {
        name.replace("_", "-"): value for name, value in changes.items()
    }


@pytest.mark.parametrize(
    ("status", "headers", "offset", "verdict"),
    [
        (200, {"content-length": "10"}, 0, FullBody(total=10)),
        (200, {}, 4, FullBody(total=None)),
        (200, {"content-length": "-1"}, 4, FullBody(total=None)),
        (206, rest(), 4, RangeBody(total=10)),
        (206, rest(content_length=""), 4, RangeBody(total=10)),
        (206, rest(), 5, CannotResume),
        (206, rest(content_range="bytes 4-8/10"), 4, CannotResume),
        (206, rest(content_range="bytes 4-9/*"), 4, CannotResume),
        (206, rest(content_range="bytes 4-10/11", content_length="7"), 4, CannotResume),
        (206, rest(content_length="5"), 4, CannotResume),
        (206, rest(etag='"2"'), 4, CannotResume),
        (206, rest(), 0, None),
        (412, {}, 4, CannotResume),
        (416, {"content-range": "bytes */4"}, 4, AlreadyComplete()),
        (416, {"content-range": "bytes */9"}, 4, CannotResume),
        (416, {}, 4, CannotResume),
        (416, {}, 0, None),
        (404, {}, 4, None),
        (503, {}, 0, None),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], offset: int, verdict: Any) -> None:
    """Append only when start, end, total, length and version all agree."""
    decided = responses.interpret_response(status, headers, HERE, offset, None)
    assert isinstance(decided, verdict) if verdict is CannotResume else decided == verdict


@pytest.mark.parametrize(
    ("version", "checked", "headers"),
    [
        (HERE, False, {"Range": "bytes=4-", "If-Range": '"1"'}),
        (FileVersion(etag='W/"1"'), True, {"Range": "bytes=4-"}),
        (FileVersion(etag='W/"1"'), False, {}),
        (FileVersion(etag='W/"1"', modified="then"), False, {"Range": "bytes=4-", "If-Range": "then"}),
        (FileVersion(), False, {}),
    ],
)
def test_what_asks_for_the_rest(version: FileVersion, checked: bool, headers: dict[str, str]) -> None:
    """A strong validator, or a checksum, or nothing."""
    assert responses.range_headers(version, 4, checked=checked) == headers
    assert responses.range_headers(version, 0, checked=checked) == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("-1", None),
        ("1.5", None),
        ("x", None),
        ("", None),
        (None, None),
        ("٣", None),
        ("9" * 40, None),
        ("Sun, 99 Nov 1994 08:50:37 GMT", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    """Seconds or a date; nonsense is nothing."""
    assert parse_retry_after(text, 784_111_777.0) == seconds


@given(st.text(max_size=60))
def test_parsers_take_anything(text: str) -> None:
    """No header's text makes a parser raise."""
    parse_retry_after(text, 0.0)
    responses.parse_content_range(text)
    responses.parse_content_range(f"bytes {text}")
    responses.parse_unsatisfied_range(text)
    redact(text)
    explain_page(text.encode("utf-8", "replace"), "host")


@given(st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, 10**17))
def test_content_range_is_sensible(first: int, last: int, total: int) -> None:
    """What is parsed is a range within a file."""
    parsed = responses.parse_content_range(f"bytes {first}-{last}/{total}")
    assert (parsed is not None) == (first <= last < total)


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_backoff_is_bounded(failures: int, chance: float) -> None:
    """Never more than 30 s, never nothing."""
    assert 0.5 <= choose_pause(failures, chance) <= 30


@pytest.mark.parametrize(
    ("status", "secret", "redirected", "then"),
    [
        (503, False, False, RetryAction.LATER),
        (403, False, True, RetryAction.NEW_LINK),
        (404, False, True, RetryAction.NEVER),
    ],
)
def test_refusals(status: int, secret: bool, redirected: bool, then: RetryAction) -> None:
    """Only what may pass is asked again."""
    trouble = responses.explain_status(status, {}, "h", NETWORK, secret=secret, redirected=redirected)
    assert trouble.action is then


@pytest.mark.parametrize(
    ("status", "secret", "error"),
    [
        (401, True, LoginNeeded), (401, False, LoginNeeded),
        (403, True, AccessRefused), (403, False, ServerRefused),
    ],
)  # fmt: skip
def test_401_is_about_the_secret_and_403_about_what_is_asked(
    status: int, secret: bool, error: type[Exception]
) -> None:
    """Who is told 403 is known: a new token is no cure. Without a secret of ours it is the server's own matter."""
    trouble = responses.explain_status(status, {}, "h", NETWORK, secret=secret, redirected=False)
    assert type(trouble.error) is error


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://Data.Example:443/a b?q=ü#f", "https://data.example/a%20b?q=%C3%BC"),
        ("https://u:p@data.example", "https://data.example/"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://h/a%2Fb", "https://h/a%2Fb"),
    ],
)
def test_canonical(url: str, expected: str) -> None:
    """One spelling, so that prefixes and origins can be compared."""
    assert canonicalize(url) == expected


@pytest.mark.parametrize(
    "url", ["ftp://h/", "file:///etc/passwd", "https://", "x", "https://h:99999/", "https://[x]/"]
)
def test_no_address(url: str) -> None:
    """Only http and https with a host."""
    with pytest.raises(UsageError):
        canonicalize(url)


def test_shown_hides_what_is_secret() -> None:
    """No query, no password, no control characters."""
    assert redact("https://u:p@h/a?sig=1#x") == "https://h/a"
    assert "\x1b" not in redact("https://h/\x1b[31m")


@pytest.mark.parametrize(
    ("address", "private"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("169.254.169.254", True), ("100.64.0.1", True), ("0.0.0.0", True),
     ("::1", True), ("fe80::1%eth0", True), ("::ffff:10.0.0.1", True), ("fd00::1", True), ("224.0.0.1", True),
     ("8.8.8.8", False), ("2606:4700::1111", False), ("::ffff:8.8.8.8", False)],
)  # fmt: skip
def test_private(address: str, private: bool) -> None:
    """Loopback, private, link-local, shared, reserved; mapped ones too."""
    assert is_private(address) is private


PUBLIC = "8.8.8.8"


@pytest.mark.parametrize(
    ("start", "location", "peer"),
    [
        ("https://a.example/", "http://a.example/", PUBLIC),
        ("https://a.example/", "ftp://a.example/", PUBLIC),
        ("https://a.example/", "file:///etc/passwd", PUBLIC),
        ("https://a.example/", "https://127.0.0.1/", PUBLIC),
        ("https://a.example/", "https://[::1]/", PUBLIC),
        ("https://a.example/", "https://localhost/", PUBLIC),
        ("https://a.example/", "https://169.254.169.254/", None),
        ("https://a.example/", "https://a b/", PUBLIC),
        ("https://a.example/", "https://[::token", PUBLIC),
        ("https://127.0.0.1/", "http://127.0.0.1/", "127.0.0.1"),
        ("http://127.0.0.1/", "http://169.254.169.254/latest/meta-data", "127.0.0.1"),
        ("http://10.0.0.1/", "http://[::ffff:169.254.169.254]/", "10.0.0.1"),
    ],
)
def test_redirects_that_are_refused(start: str, location: str, peer: str | None) -> None:
    """Downgrades, other schemes, private addresses; link-local ones from everywhere."""
    with pytest.raises(BadRedirect):
        follow_hop(NETWORK, start_hop(NETWORK, start), location, peer)


@pytest.mark.parametrize(
    ("start", "location", "peer", "asked", "public_only"),
    [
        ("https://a.example/x", "/y?z=1", PUBLIC, "https://a.example/y?z=1", True),
        ("https://a.example/x", "//b.example/", PUBLIC, "https://b.example/", True),
        ("http://a.example/x", "https://a.example/", PUBLIC, "https://a.example/", True),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/", "127.0.0.1", "http://127.0.0.1:2/", False),
    ],
)
def test_redirects_that_are_followed(
    start: str, location: str, peer: str, asked: str, public_only: bool
) -> None:
    """From a public host only to public ones; among private ones freely."""
    hop = follow_hop(NETWORK, start_hop(NETWORK, start), location, peer)
    assert (hop.request_url, hop.public_only) == (asked, public_only)


REWRITING = replace(NETWORK, rewrite=(("https://", "http://127.0.0.1:1/web/"),))


def test_a_rewritten_redirect_keeps_what_it_means() -> None:
    """The stand-in's own addresses are turned back, official ones are turned forth."""
    first = start_hop(REWRITING, "https://a.example/x")
    assert first.request_url == "http://127.0.0.1:1/web/a.example/x"
    relative = follow_hop(REWRITING, first, "/web/a.example/y", "127.0.0.1")
    official = follow_hop(REWRITING, first, "https://a.example/y", "127.0.0.1")
    assert relative.official_url == official.official_url == "https://a.example/y"
    assert relative.request_url == official.request_url == "http://127.0.0.1:1/web/a.example/y"
    storage = follow_hop(REWRITING, first, "http://127.0.0.1:2/store?sig=1", "127.0.0.1")
    assert storage.official_url == "http://127.0.0.1:2/store?sig=1"


REQUEST = Request(
    urls=("https://a.example/",), headers={"X-Plain": "1", "cookie": "c"}, secrets={"X-Dataverse-key": "K"}
)


@pytest.mark.parametrize(
    ("location", "names"),
    [
        ("https://a.example/other", {"X-Plain", "cookie", "X-Dataverse-key"}),
        ("https://a.example:8443/", {"X-Plain"}),
        ("https://b.a.example/", {"X-Plain"}),
        ("https://a.example.evil/", {"X-Plain"}),
    ],
)
def test_who_gets_the_secrets(location: str, names: set[str]) -> None:
    """The exact https origin, no other port, no subdomain."""
    first = start_hop(NETWORK, "https://a.example/")
    assert set(select_headers(REQUEST, first, follow_hop(NETWORK, first, location, PUBLIC), {})) == names


def test_plain_http_gets_no_secrets() -> None:
    """Not even when the address itself is http."""
    first = start_hop(NETWORK, "http://a.example/")
    assert "X-Dataverse-key" not in select_headers(REQUEST, first, first, {})


def test_a_stand_in_gets_the_secrets() -> None:
    """http is fine for what stands for an https origin."""
    first = start_hop(REWRITING, "https://a.example/")
    assert "X-Dataverse-key" in select_headers(REQUEST, first, first, {})


# ------------------------------------------------------------------ pages


@pytest.mark.parametrize(
    ("start", "name", "error", "words"),
    [
        (b"", "a.zip", EmptyAnswer, "nothing"),
        (b"<!DOCTYPE html><title>Welcome</title>", "a.csv", PageInstead, 'a web page \\("Welcome"\\)'),
        (b"\xef\xbb\xbf\n <HTML><title>Quota exceeded</title>", "a.zip", QuotaUsedUp, "quota"),
        (b"<html><title>Virus scan warning</title><form>", "a.zip", FormWanted, "confirmed by hand"),
        (b'<html><form id="download-form"><input name="confirm">', "a.zip", FormWanted, "confirmed"),
        (b'{"status":"ERROR","message":"You may not download without the required Guestbook response."}',
         "a.zip", FormWanted, "guestbook"),
        (b"<html>You must accept this competition's rules</html>", "a.zip", ConsentNeeded, "terms"),
        (b"<html><input type='password'></html>", "a.zip", LoginNeeded, "log-in"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
         "a.zip", PageInstead, "an XML text in place of the file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "a.csv", PointerInstead, "Git LFS"),
        (b"404 page not found", "a.zip", NotTheFile, "34 30 34"),
        (b'{"message": "see https://h/x?token=hidden"}', "a.zip", PageInstead, "https://h/x"),
    ],
)  # fmt: skip
def test_pages_in_place_of_files(start: bytes, name: str, error: type[Exception], words: str) -> None:
    """What was received is said, and what to do if the page's words are known."""
    archive = "zip" if name.endswith("zip") else None
    found = find_wrong_content(start, name=name, where="host", archive=archive)
    assert type(found) is error
    with pytest.raises(error, match=words):
        raise found
    assert "hidden" not in str(found)


@pytest.mark.parametrize(
    ("start", "name", "archive"),
    [
        (b"PK\x03\x04....", "a.zip", "zip"),
        (b"PK\x05\x06" + bytes(18), "empty.zip", "zip"),
        (b"\x1f\x8b\x08", "a.tar.gz", "tar.gz"),
        (b"\x28\xb5\x2f\xfd", "a.tar.zst", "tar.zst"),
        (b"image_id,dx\n1,2", "a.csv", None),
        (b'{"a": 1}', "a.json", None),
        (b'{"a": 1}', "a.txt", None),
        (b"<?xml version='1.0'?><svg>", "a.svg", None),
        (b"<html>", "terms.html", None),
        (b"\xff\xd8\xff\xe0", "a.jpg", None),
        (b"{\\rtf1 text}", "a.rtf", None),
        (b"ISIC_1.jpg" + bytes(400), "a.tar", "tar"),
    ],
)
def test_files_are_files(start: bytes, name: str, archive: Any) -> None:
    """Nothing is refused that may be the file."""
    assert find_wrong_content(start, name=name, where="host", archive=archive) is None


def test_terminal_escapes_do_not_reach_the_message() -> None:
    """A page's title is shown as plain text."""
    found = find_wrong_content(
        b"<html><title>\x1b[31mred&#27;</title>", name="a.zip", where="host", archive="zip"
    )
    assert "\x1b" not in str(found)
