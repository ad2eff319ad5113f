"""Answers that are no file: what hosts are known to send in its place, and what the person is told to do."""

import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from dermdata.credentials import Secret
from dermdata.errors import (
    AccessRefused,
    BrowserCheck,
    BucketClosed,
    CaptchaWanted,
    ConsentNeeded,
    DermdataError,
    EmptyAnswer,
    FormWanted,
    GatedRepository,
    HostRefused,
    LinkExpired,
    LoginNeeded,
    NetworkBlocked,
    ObjectDenied,
    PageInstead,
    PointerInstead,
    QuotaUsedUp,
    RestrictedRecord,
    ServerRefused,
    UserAgentRefused,
)
from dermdata.http import HttpClient, NetworkSettings
from dermdata.http.error_pages import find_page
from dermdata.model import NOTHING, Request

CHALLENGE = {"x-amzn-waf-action": "challenge"}
FIGSHARE = "https://figshare.com/ndownloader/files/41"
KAGGLE = "https://www.kaggle.com/api/v1/datasets/download/me/skin/t.csv"
DENIED = b'{"code":403,"message":"Permission \'datasets.get\' was denied"}'
APACHE = (b"<!DOCTYPE HTML PUBLIC><html><head><title>403 Forbidden</title></head><body><h1>Forbidden</h1>"
          b"<p>You don't have permission to access this resource.</p></body></html>")  # fmt: skip
BALANCER = (b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>"
            b"\r\n</body>\r\n</html>")  # fmt: skip
ZENODO = (b"<html><title>403 Forbidden</title><p>blocked due to unusual traffic from your network. Write and include the "
          b"reference below.</p><p>Reference: <code>9f-2c</code></p>")  # fmt: skip
DROPBOX = b"<html><p>This link is temporarily disabled. The person who shared it hit their daily limit of traffic.</p>"
BLOCKED = b"Access to this resource has been blocked due to unusual traffic from your network. Reference: 7"
TOKEN = {"Authorization": Secret("Bearer KGAT_letmein")}


def refuse(
    url: str,
    status: int,
    body: bytes = b"",
    headers: Mapping[str, str] = NOTHING,
    secrets: Mapping[str, str] = NOTHING,
    *,
    target: Path,
) -> tuple[DermdataError, int]:
    """What a download from a host that answers so ends with, and how often it was asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers=dict(headers), content=body)

    settings = NetworkSettings(trust_env=False, sleep=lambda _: None)
    with HttpClient(settings, httpx.MockTransport(answer)) as client, pytest.raises(DermdataError) as caught:
        client.download(Request(urls=(url,), secrets=secrets), target)
    assert not target.exists()
    assert not any(target.parent.glob(".*.part"))
    return caught.value, len(asked)


ANSWERS: dict[str, tuple[Any, ...]] = {
    "challenge": ((FIGSHARE, 202, b"", CHALLENGE), BrowserCheck, "figshare.com wants a browser check",
                  "https://api.figshare.com/v2/file/download/41"),
    "a challenge with a page": (("https://dataverse.harvard.edu/api/access/datafile/5", 202, b"<html>", CHALLENGE),
                                BrowserCheck, "wants a browser", "file.xhtml?fileId=5"),
    "a challenge with 405": (("https://a.org/a.zip", 405, b"", CHALLENGE), BrowserCheck, "wants a browser", "--from"),
    "captcha": (("https://a.org/a.zip", 405, b"", {"x-amzn-waf-action": "captcha"}), CaptchaWanted, "wants a CAPTCHA",
                "wait some hours"),
    "202 without a word": (("https://a.org/a.zip", 202), ServerRefused, "a.org answers 202", "some minutes"),
    "load balancer": (("https://a.org/a", 403, b"<html><center>awselb/2.0</center>"), NetworkBlocked, "blocks this network",
                      "another network"),
    "unusual traffic": (("https://zenodo.org/records/1/files/a", 403, BLOCKED), NetworkBlocked, "unusual traffic", "later"),
    "a restricted record's file": (("https://zenodo.org/records/9/files/a.zip?download=1", 403,
                                    b'{"message": "Permission denied."}'), ServerRefused, '403 ("Permission denied.")',
                                   "https://zenodo.org/records/9 may say what must be done"),
    "a record that is gone": (("https://zenodo.org/api/records/9/files/a.zip/content", 410), ServerRefused, "answers 410",
                              "withdrawn"),
    "a file that is gone": (("https://dataverse.harvard.edu/api/access/datafile/5", 404), ServerRefused, "answers 404",
                            "https://dataverse.harvard.edu/file.xhtml?fileId=5 may say where to"),
    "closed bucket": (("https://storage.googleapis.com/b/a", 401,
                       b'{"error":"Anonymous caller does not have storage.objects.get access"}'), BucketClosed,
                      "closed the bucket", "--mirror"),
    "no such key": (("https://b.s3.amazonaws.com/a", 403, b"<?xml?><Error><Code>AccessDenied</Code></Error>"),
                    ObjectDenied, "no such file, or it is not public", "no matter of a log-in"),
    "cloudflare": (("https://a.org/a.zip", 403, b"<title>Just a moment...</title>", {"cf-mitigated": "challenge"}),
                   BrowserCheck, "Cloudflare challenge", "browser"),
    "a challenge that says 200": (("https://a.org/a.zip", 200, b"", CHALLENGE), BrowserCheck, "browser check", "--from"),
    "a user agent that is not liked": (("https://dataverse.harvard.edu/api/access/datafile/5", 403, APACHE),
                                       UserAgentRefused, "user agent", "newer dermdata"),
    "the same words of another server": (("https://a.org/a.zip", 403, APACHE), ServerRefused,
                                         "You don't have permission", "what must be done"),
    "load balancer without its name": (("https://dataverse.harvard.edu/api/access/datafile/5", 403, BALANCER),
                                       NetworkBlocked, "blocks this network at its load balancer", "another network"),
    "nginx": (("https://a.org/a.zip", 403, BALANCER.replace(b"</body>", b"<hr><center>nginx</center></body>")),
              ServerRefused, "answers 403 (forbidden)", "what must be done"),
    "a block with its reference": (("https://zenodo.org/records/1/files/a", 403, ZENODO), NetworkBlocked,
                                   "reference 9f-2c", "name the reference"),
    "closed container": (("https://x.blob.core.windows.net/c/a.zip?sig=hidden", 401,
                          b"<?xml?><Error><Code>NoAuthenticationInformation</Code></Error>"), BucketClosed,
                         "closed the container", "link of your own"),
    "a personal link that is over": (("https://x.blob.core.windows.net/c/a.zip?sig=hidden", 403,
                                      b"<?xml?><Error><Code>AuthenticationFailed</Code></Error>"),
                                     LinkExpired, "the link has expired", "new link"),
    "a link of Google that is over": (("https://storage.googleapis.com/b/a?Signature=hidden", 400,
                                       b"<?xml?><Error><Code>ExpiredToken</Code></Error>"), LinkExpired, "expired", "new"),
    "a link of Amazon that is over": (("https://b.s3.amazonaws.com/a?Signature=hidden", 403,
                                       b"<?xml?><Code>AccessDenied</Code><Message>Request has expired</Message>"),
                                      LinkExpired, "expired", "new link"),
    "dropbox": (("https://www.dropbox.com/s/a/a.zip?dl=1", 429, DROPBOX), QuotaUsedUp, "quota", "who shares it"),
    "dropbox of old": (("https://www.dropbox.com/s/a/a.zip?dl=1", 509, DROPBOX), QuotaUsedUp, "quota", "in a day"),
    "drive": (("https://drive.usercontent.google.com/download?id=x1&confirm=t", 200,
               b"<html><p class=\"uc-error-subcaption\">Too many users have viewed or downloaded this file recently.</p>"),
              QuotaUsedUp, "it sends a web page", "https://drive.google.com/file/d/x1/view"),
    "drive's form": (("https://drive.usercontent.google.com/download?id=x1", 200,
                      b"<html><form id='download-form'><input name='confirm'>"), FormWanted, "confirmed by hand", "--from"),
    "an lfs pointer": (("https://raw.githubusercontent.com/o/r/main/a.zip", 200,
                        b"version https://git-lfs.github.com/spec/v1\noid"), PointerInstead, "Git LFS", "--from"),
    "nothing": (("https://a.org/a.zip", 200), EmptyAnswer, "sends nothing", "in a browser"),
    "no content": (("https://a.org/a.zip", 204), ServerRefused, "answers 204", "--from"),
    "an embargo": (("https://a.org/a.zip", 403, b'{"message": "This record is under embargo."}'), RestrictedRecord,
                   "under embargo", "ask for access"),
    "a dataset on request": (("https://a.org/a.zip", 403, b'{"message": "Access to dataset o/n is restricted."}'),
                             RestrictedRecord, "restricted", "ask for access"),
    "an old refusal of TCIA": (("https://a.org/a.zip", 460, b"Login needed"), LoginNeeded, "log-in", "token"),
    "synapse": (("https://a.org/a.zip", 403, b'{"reason": "You are not logged in and do not have access"}'), LoginNeeded,
                "log-in", "token"),
    "lfs budget": (("https://a.org/a", 403, b"This repository exceeded its LFS budget."), QuotaUsedUp, "quota",
                   "in a day"),
    "kaggle denies": ((KAGGLE, 403, DENIED, {}, TOKEN), AccessRefused, "Permission 'datasets.get' was denied",
                      "https://www.kaggle.com/datasets/me/skin"),
    "kaggle denies with a page": ((KAGGLE, 403, b"<html><a href=/login>Log in</a></html>", {}, TOKEN), AccessRefused,
                                  "does not give it to this account", "https://www.kaggle.com/datasets/me/skin"),
    "kaggle wants terms": ((KAGGLE, 403, b'{"message":"You must accept this competition\'s rules"}', {}, TOKEN),
                           ConsentNeeded, "terms",
                           "accept them on https://www.kaggle.com/datasets/me/skin"),
    "the hub's gate": (("https://huggingface.co/datasets/o/n/resolve/main/a", 403, b"", {"x-error-code": "GatedRepo"},
                        TOKEN), GatedRepository, "conditions", "https://huggingface.co/datasets/o/n"),
    "a bad token": ((KAGGLE, 401, b'{"message":"Unauthenticated"}', {}, TOKEN), LoginNeeded, "www.kaggle.com",
                    "token"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_a_known_answer_is_told_in_words(name: str, tmp_path: Path) -> None:
    """What it means and what to do; asked once, and nothing of it is stored."""
    answer, error, says, hint = ANSWERS[name]
    found, asked = refuse(*answer, target=tmp_path / "a.zip")
    assert (type(found), asked) == (error, 1), found
    assert says in found.message
    assert hint in str(found.hint)
    assert "hidden" not in f"{found.message} {found.hint}"


@pytest.mark.parametrize(
    "secret", ["Bearer KGAT_letmein", "Basic YWRhOmxldG1laW4=", "letmein"], ids=["token", "password", "bare"]
)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_host_that_repeats_a_secret_is_quoted_without_it(status: int, secret: str, tmp_path: Path) -> None:
    """As it was sent, and decoded: neither is in the words."""
    body = b'{"message": "authentication of KGAT_letmein, ada:letmein, YWRhOmxldG1laW4= failed"}'
    secrets = {"Authorization": Secret(secret)}
    found, _ = refuse("https://a.org/a", status, body, {}, secrets, target=tmp_path / "a.zip")
    sent = {
        "Bearer KGAT_letmein": "KGAT_letmein",
        "Basic YWRhOmxldG1laW4=": ":letmein",
        "letmein": "letmein",
    }[secret]
    assert sent not in f"{found.message} {found.hint} {found!r}"


def test_a_busy_host_is_asked_again_whatever_it_says(tmp_path: Path) -> None:
    """503 with words of a log-in is a busy host."""
    found, asked = refuse("https://a.org/a", 503, b"<html>Log in</html>", target=tmp_path / "a.zip")
    assert type(found) is ServerRefused
    assert asked > 1


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("https://heidata.uni-heidelberg.de/api/access/datafile/7?format=original",
         "https://heidata.uni-heidelberg.de/file.xhtml?fileId=7"),
        ("https://api.osf.io/v2/nodes/ab1cd/files/osfstorage/?page=1", "https://osf.io/ab1cd/"),
        ("https://files.osf.io/v1/resources/ab1cd/providers/osfstorage/?zip=", "https://osf.io/ab1cd/"),
        ("https://drive.usercontent.google.com/download?id=1a&confirm=t", "https://drive.google.com/file/d/1a/view"),
        ("https://media.githubusercontent.com/media/o/r/c/a.png", "https://github.com/o/r"),
        ("https://api.github.com/repos/o/r/git/trees/c?recursive=1", "https://github.com/o/r"),
        ("https://www.dropbox.com/scl/fi/a/b.zip?rlkey=x&dl=1", "https://www.dropbox.com/scl/fi/a/b.zip?rlkey=x"),
    ],
)  # fmt: skip
def test_a_person_can_look_at_the_page_of_each_host(address: str, page: str) -> None:
    assert find_page(address) == page


def test_each_address_of_an_interface_has_its_page() -> None:
    assert find_page("https://zenodo.org/api/records/7") == "https://zenodo.org/records/7"
    assert find_page("https://zenodo.org.evil.org/api/records/7") == "the dataset's page"
    assert find_page("https://a.org/?x=https://zenodo.org/records/7") == "the dataset's page"


# ------------------------------------------------------------------ who is asked for something else than a file

SUCCESSES: dict[str, tuple[Any, ...]] = {  # headers and body of a 200, and what it is in truth
    "challenge": (CHALLENGE, b"", BrowserCheck),
    "captcha": ({"x-amzn-waf-action": "captcha"}, b"<html>puzzle", CaptchaWanted),
    "nothing": ({}, b"", EmptyAnswer),
    "log-in": ({}, b"<html><title>Sign in</title>", LoginNeeded),
    "quota": ({}, b"<html>Too many users have viewed this file", QuotaUsedUp),
    "some page": ({}, b"<!doctype html><title>Welcome</title>", PageInstead),
}
CALLS: dict[str, Any] = {
    "json": lambda client: client.get_json("https://a.org/api/files"),
    "head": lambda client: client.resolve_head(Request(urls=("https://a.org/a.zip",))),
    "range": lambda client: client.read_range(Request(urls=("https://a.org/a.zip",)), 0, 10),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", SUCCESSES)
def test_a_success_that_is_none_is_seen_by_whoever_asks(kind: str, call: str) -> None:
    """A listing, a size and a range are read by the same table as a file."""
    headers, body, error = SUCCESSES[kind]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body))
    with HttpClient(NetworkSettings(trust_env=False), transport) as client, pytest.raises(error) as caught:
        CALLS[call](client)
    assert isinstance(caught.value, HostRefused)
    assert caught.value.message.startswith("a.org ")


@pytest.mark.parametrize("kind", ["challenge", "captcha", "nothing", "log-in", "quota"])
def test_a_listing_in_bytes_is_no_refusal(kind: str) -> None:
    """Also where a web page would be welcome: what no page of a publisher is, is refused."""
    headers, body, error = SUCCESSES[kind]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body))
    with HttpClient(NetworkSettings(trust_env=False), transport) as client, pytest.raises(error):
        client.get_bytes("https://a.org/doi/milk10k/")


@pytest.mark.parametrize("kind", ["challenge", "captcha", "nothing", "log-in", "quota"])
def test_a_table_that_is_a_page_is_not_taken_for_a_refusal_of_one(kind: str, tmp_path: Path) -> None:
    """A file whose ending is .html may be a page, but not a sign-in page, a check or nothing."""
    headers, body, error = SUCCESSES[kind]
    found, _ = refuse("https://a.org/table.html", 200, body, headers, target=tmp_path / "table.html")
    assert type(found) is error


def test_a_table_that_is_a_page_is_kept(tmp_path: Path) -> None:
    body = b"<!doctype html><title>Atlas</title><a href=/login>Log in</a><table><tr><td>1</table>"
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with HttpClient(NetworkSettings(trust_env=False), transport) as client:
        client.download(Request(urls=("https://a.org/t.html",)), tmp_path / "t.html")
    assert (tmp_path / "t.html").read_bytes() == body


def test_a_success_that_repeats_a_token_is_quoted_without_it(tmp_path: Path) -> None:
    body = b"<html><title>Unknown token KGAT_letmein</title>"
    found, _ = refuse(KAGGLE, 200, body, {}, TOKEN, target=tmp_path / "a.zip")
    assert "letmein" not in f"{found.message} {found.hint}"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, b"ExpiredToken"),
        (403, b"AccessDenied"),
        (403, b"AuthenticationFailed"),
        (401, b"AuthenticationFailed"),
    ],
)
def test_a_dead_link_is_asked_for_again_at_its_origin(status: int, code: bytes, tmp_path: Path) -> None:
    """Google's 400, Amazon's and Azure's 403: the next link gives the file."""
    links = iter(("https://store.org/1?sig=x", "https://store.org/2?sig=x"))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "a.org":
            return httpx.Response(302, headers={"location": next(links)})
        if request.url.path == "/1":
            return httpx.Response(status, content=b"<?xml?><Error><Code>" + code + b"</Code></Error>")
        return httpx.Response(200, content=b"PK\x03\x04")

    with HttpClient(NetworkSettings(trust_env=False), httpx.MockTransport(answer)) as client:
        client.download(Request(urls=("https://a.org/a.zip",)), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"PK\x03\x04"


@pytest.mark.parametrize(
    ("hosts", "says"),
    [
        (("a.org", "b.org"), "b.org (as a.org before) wants a browser check (AWS WAF challenge)"),
        (("a.org", "a.org", "a.org"), "a.org wants a browser check (AWS WAF challenge)"),
        (("a.org", "c.org", "b.org"), "b.org (as a.org, c.org before) wants a browser check (AWS WAF challenge)"),
        (("gone.org", "b.org"),
         "b.org wants a browser check (AWS WAF challenge) (before that, gone.org answers 410 (gone))"),
    ],
)  # fmt: skip
def test_places_that_refuse_alike_are_told_once(hosts: tuple[str, ...], says: str, tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(410) if request.url.host == "gone.org" else httpx.Response(202, headers=CHALLENGE)
        )

    urls = tuple(f"https://{host}/{number}/a.zip" for number, host in enumerate(hosts))
    transport = httpx.MockTransport(answer)
    with (
        HttpClient(NetworkSettings(trust_env=False), transport) as client,
        pytest.raises(BrowserCheck) as caught,
    ):
        client.download(Request(urls=urls), tmp_path / "a.zip")
    assert caught.value.message == says


# ------------------------------------------------------------------ over a socket, in the middle of a file

CUT = b'HTTP/1.1 200 OK\r\nETag: "v"\r\nContent-Length: 2000000\r\n\r\n'
BEGUN = b"PK\x03\x04" + bytes(700_000)
SECOND: dict[str, tuple[bytes, type[DermdataError]]] = {
    "challenge": (
        b"HTTP/1.1 202 Accepted\r\nx-amzn-waf-action: challenge\r\nContent-Length: 0\r\n\r\n",
        BrowserCheck,
    ),
    "captcha": (
        b"HTTP/1.1 405 No\r\nx-amzn-waf-action: captcha\r\nContent-Length: 6\r\n\r\n<html>",
        CaptchaWanted,
    ),
    "nothing": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", EmptyAnswer),
    "a page": (b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<html><title>Hi</title", PageInstead),
    "a page without length": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>Sign in to go on",
        LoginNeeded,
    ),
    "quota": (
        b'HTTP/1.1 403 No\r\nContent-Length: 35\r\n\r\n{"message":"exceeded its LFS budget"}',
        QuotaUsedUp,
    ),
}


@pytest.mark.parametrize("kind", SECOND)
def test_a_refusal_in_the_middle_leaves_the_bytes_before_it_alone(kind: str, tmp_path: Path) -> None:
    """The partial file has what came of the file, and not a byte of the refusal; the next run goes on from there."""
    second, error = SECOND[kind]
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=send_each, args=(server, [CUT + BEGUN, second]))
        thread.start()
        settings = NetworkSettings(trust_env=False, sleep=lambda _: None, attempts=2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.zip"
        with HttpClient(settings) as client, pytest.raises(error):
            client.download(Request(urls=(url,), size=2_000_000, archive="zip"), tmp_path / "a.zip")
        thread.join()
    assert not (tmp_path / "a.zip").exists()
    (part,) = tmp_path.glob(".*.part")
    assert BEGUN.startswith(part.read_bytes()[: len(BEGUN)].rstrip(b"\0"))
    assert b"html" not in part.read_bytes()


def send_each(server: socket.socket, answers: list[bytes]) -> None:
    """One connection for each answer, closed behind it."""
    for one in answers:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(one)
