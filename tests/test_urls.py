"""What of an address may be shown."""

import pytest

from dermdata.urls import find_secret_urls, has_secret, redact_text, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:SECRET@h/x", "http://h/x"),
        ("http://SECRET@h", "http://h"),
        ("http://user:se/SECRET@h/x", "http://h/x"),
        ("http://u:p#SECRET@h/x", "http://h/x"),
        ("http://u:p?SECRET@h/x", "http://h/x"),
        ("https://=ftp://user:SECRET@h", "https://h"),
        ("//user:SECRET@h/x", "h/x"),
        ("user:SECRET@h/x", "h/x"),
        ("s3://KEY:SECRET@bucket/x", "s3://bucket/x"),
        ("http://a:SECRET@b:SECRET@h/x", "http://h/x"),
        ("https://h/x?sig=SECRET#SECRET", "https://h/x"),
    ],
)
def test_no_user_and_no_password_is_shown_however_badly_they_are_written(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert "SECRET" not in redact_text(f"cannot reach {url}: refused") or "://" not in url


@pytest.mark.parametrize(
    "url",
    [
        "https://medium.example/@name/page", "https://h:80/a@b", "https://[::1]:80/@", "https://h/?mail=a@b",
        "https://h/dataset.xhtml?persistentId=doi:10.7910/DVN/DBW86T",
        "https://h/f?download=1&versionId=x&page=2", "a@b.example",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(url: str) -> None:
    """An @ in a path, a query without a token: hints send people there."""
    assert find_secret_urls(f"see {url} first") == []
    assert redact_text(f"see {url} first") == f"see {url} first"


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=1", "sig=1", "token=1", "access_token=1", "download=1&api-key=1", "Signature=1",
        "X-Goog-Credential=1",
        "sv=2020&SIG=1", "private_token=1", "AWSAccessKeyId=1", "x=1&password=1", "auth=1",
    ],
)  # fmt: skip
def test_a_query_that_opens_the_file_is_a_secret(query: str) -> None:
    assert has_secret(f"https://h/x?{query}")
    assert redact_text(f"at https://h/x?{query} now") == "at https://h/x now"


@pytest.mark.parametrize("text", ["l" * 200_000, "l+" * 100_000, "http://" * 20_000])
def test_a_long_word_costs_no_more_than_its_letters(text: str) -> None:
    """Looked at from each letter to its end, 200,000 letters took minutes: this test would not end."""
    assert redact_text(text) == text


def test_a_scheme_too_long_to_be_one_hides_no_secret() -> None:
    assert "SECRET" not in redact_text("x" * 100 + "https://user:SECRET@h/x")


def test_a_text_of_millions_of_letters_is_looked_through_at_once() -> None:
    """A cell of 40 MB in an error took half a minute, address or not."""
    text = "x" * 40_000_000
    assert redact_text(text) is text
