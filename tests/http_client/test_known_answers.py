"""Answers that are no file: what hosts are known to send in its place, and what the person is told to do."""

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
    GatedRepository,
    LoginNeeded,
    NetworkBlocked,
    ObjectDenied,
    QuotaUsedUp,
    ServerRefused,
)
from dermdata.http import HttpClient, NetworkSettings
from dermdata.http.error_pages import find_page
from dermdata.model import NOTHING, Request

CHALLENGE = {"x-amzn-waf-action": "challenge"}
FIGSHARE = "https://figshare.com/ndownloader/files/41"
KAGGLE = "https://www.kaggle.com/api/v1/datasets/download/me/skin/t.csv"
DENIED = b'{"code":403,"message":"Permission \'datasets.get\' was denied"}'
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
    "challenge": ((FIGSHARE, 202, b"", CHALLENGE), BrowserCheck, "figshare.com wants a browser check, which no program passes (AWS WAF challenge)",
                  "https://api.figshare.com/v2/file/download/41"),
    "a challenge with a page": (("https://dataverse.harvard.edu/api/access/datafile/5", 202, b"<html>", CHALLENGE),
                                BrowserCheck, "wants a browser", "file.xhtml?fileId=5"),
    "a challenge with 405": (("https://a.org/a.zip", 405, b"", CHALLENGE), BrowserCheck, "wants a browser", "--from"),
    "captcha": (("https://a.org/a.zip", 405, b"", {"x-amzn-waf-action": "captcha"}), CaptchaWanted, "wants a CAPTCHA",
                "wait some hours"),
    "202 without a word": (("https://a.org/a.zip", 202), EmptyAnswer, "a.org answers 202", "some minutes"),
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


def test_each_address_of_an_interface_has_its_page() -> None:
    assert find_page("https://zenodo.org/api/records/7") == "https://zenodo.org/records/7"
    assert find_page("https://zenodo.org.evil.org/api/records/7") == "the dataset's page"
    assert find_page("https://a.org/?x=https://zenodo.org/records/7") == "the dataset's page"
