"""Addresses as words: what of them may be shown, and which hold a secret; no network, no host."""

import re
from urllib.parse import parse_qsl

from dermdata import __version__

HOMEPAGE = "https://github.com/dermdata/dermdata"  # as pyproject.toml states it
USER_AGENT = (
    f"dermdata/{__version__} (+{HOMEPAGE})"  # hosts refuse the own names of libraries and of browsers
)

# scheme, host and port without a user: what stands behind may hold an @
# a scheme's length is bounded: else a word of 100,000 letters is looked at from each of them to its end
PLAIN_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:\[[^\]@/]*\]|[^/@:?#\[]*)(?::\d+)?(?:[/?#]|\Z)", re.IGNORECASE
)
# a path made of an address has lost a slash
ANY_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{0,40}://|(?:https?|s3|gs|gcs):/)\S+", re.IGNORECASE)
SOME_PAGE = "the dataset's page"  # in words of a next step, where its address is not known
USE_FROM = (
    "use --from"  # … and where the dataset's name is not: whoever knows it puts the whole command there
)
SECRET_WORDS = ("token", "signature", "password", "passwd", "secret", "credential", "apikey", "accesskey")
SECRET_NAMES = {"sig", "pwd", "pass", "auth", "authorization", "jwt", "sas", "keypairid", "xamzsecurity"}


def redact_url(url: str) -> str:
    """An address fit for messages and files: no user, no password, no query, no fragment.

    Of one that is malformed all is left out that a user and a password could be.
    """
    if "@" in url and not PLAIN_URL.match(url):
        scheme = url.partition("://")[0] if "://" in url else ""
        url = f"{scheme}{'://' if scheme else ''}{url.rpartition('@')[2]}"
    return url.partition("#")[0].partition("?")[0]


def redact_text(text: str) -> str:
    """Words in which no address has a user, a password, a token or a signature; others stay whole."""
    if ":/" not in text:  # a word of millions of letters is looked at from each of them
        return text
    return ANY_URL.sub(lambda found: redact_url(found[0]) if has_secret(found[0]) else found[0], text)


def find_secret_urls(text: str) -> list[str]:
    """The addresses among the words that have a user, a password, a token or a signature, fit to be shown."""
    found = (
        ANY_URL.findall(text) if ":/" in text else ()
    )  # a catalog has thousands of texts, few with an address
    return [redact_url(url) for url in found if has_secret(url)]


def has_secret(url: str) -> bool:
    return ("@" in url and not PLAIN_URL.match(url)) or find_secret_parameter(url) is not None


def find_secret_parameter(url: str) -> str | None:
    """The name of the query's first parameter that makes the address a key to the file: a token or a signature."""
    query = url.partition("?")[2].partition("#")[0]
    if not query:
        return None
    names = (name for name, value in parse_qsl(query) if value)
    return next((name for name in names if is_secret_name(name)), None)


def is_secret_name(name: str) -> bool:
    plain = re.sub(r"[^a-z]", "", name.lower())
    return plain in SECRET_NAMES or any(word in plain for word in SECRET_WORDS)
