"""Error pages: a web page, an error text or nothing in place of a file is recognized by its first bytes; no network."""

import json
import re
from dataclasses import dataclass
from html import unescape

from dermdata.errors import CredentialsMissing, DermdataError, LicenseNotAccepted, NotTheFile, PersonMustAct
from dermdata.http.urls import redact
from dermdata.model import Unpack

PEEK_BYTES = 4096  # bytes that are enough to recognize a page
MAGIC: dict[str, tuple[bytes, ...]] = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "tar.gz": (b"\x1f\x8b",),
    "tar.zst": (b"\x28\xb5\x2f\xfd",),
}
PAGE_SUFFIXES = {  # suffixes of files that may look like a page
    "html": {".html", ".htm", ".xhtml"},
    "xml": {".xml", ".svg", ".rdf", ".html", ".xhtml"},
    "json": {".json", ".jsonl", ".ndjson", ".geojson", ".ipynb"},
}


@dataclass(frozen=True, kw_only=True)
class PageSign:
    """Words by which a page shows what it wants, and what the person can do about it."""

    pattern: str
    error: type[PersonMustAct]
    says: str
    hint: str


PAGE_SIGNS = (
    PageSign(pattern=r"quota|too many users have (viewed|downloaded)|download limit", error=PersonMustAct,
         says="its download quota is used up", hint="try again in a day, or download the file by hand"),
    PageSign(pattern=r"guest ?book", error=PersonMustAct,
         says="a guestbook must be filled in first", hint="fill it in on the dataset's page"),
    PageSign(pattern=r"virus scan warning|can.t scan this file|download_warning|[?&;]confirm=|name=.confirm",
         error=PersonMustAct,
         says="a download must be confirmed by hand", hint="download the file in a browser"),
    PageSign(pattern=r"(accept|agree to)[^.<]{0,40}\b(rules|terms|licen[cs]e|agreement)",
         error=LicenseNotAccepted,
         says="its terms must be accepted first", hint="accept them on the dataset's page, then run again"),
    PageSign(pattern=r"type=.password|log ?-?in\b|sign ?-?in\b|logged in|unauthori[sz]ed|authentication",
         error=CredentialsMissing,
         says="it wants a log-in", hint="set the token for this host, or log in and accept the terms there"),
)  # fmt: skip


def find_wrong_content(
    start: bytes, *, name: str, where: str, archive: Unpack | None, content_type: str = ""
) -> DermdataError | None:
    """Return the error when the first bytes (up to PEEK_BYTES) cannot be the file `name`; None when they may be it."""
    if not start:
        return NotTheFile(f"{where} sends nothing in place of {name}", hint="try again later, or report it")
    page = guess_page_kind(start)
    suspect = page if page and _is_out_of_place(page, name, archive, content_type) else None
    if suspect:
        return explain_page(start, where, instead=name) or NotTheFile(
            f"{where} sends {_describe_kind(suspect)}{_quote_title(start)} in place of {name}",
            hint="open the dataset's page: it may want a log-in, or accepted terms",
        )
    if archive in MAGIC and not start.startswith(MAGIC[archive]):
        return NotTheFile(
            f"{where} sends something else in place of {name}: it begins with {start[:8].hex(' ')}, "
            f"which is no {archive}",
        )
    return None


def guess_page_kind(start: bytes) -> str | None:
    """Return `html`, `xml` or `json` when text begins like that, else None."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:200].lower()
    if re.match(rb"<!doctype html|<html|<head|<body|<script|<!--.*<html", text, re.DOTALL):
        return "html"
    if text.startswith(b"<?xml") and b"<html" not in text:
        return "xml"
    if text.startswith(b"<?xml"):
        return "html"
    return "json" if re.match(rb'\{\s*("|\}|$)|\[\s*[{\]"]', text) else None


def _is_out_of_place(page: str, name: str, archive: Unpack | None, content_type: str) -> bool:
    suffix = "." + name.lower().rpartition(".")[2]
    if archive:
        return True
    if page == "json" and "json" not in content_type.lower():
        return False  # a text may begin with a brace; its checksum decides
    return suffix not in PAGE_SUFFIXES[page]


def explain_page(start: bytes, where: str, instead: str | None = None) -> PersonMustAct | None:
    """Return the error that says what a page wants of the person, when its words are known."""
    text = start.decode("utf-8", "replace").lower()
    got = f"sends {_describe_kind(guess_page_kind(start) or 'text')}{_quote_title(start)}"
    for sign in PAGE_SIGNS:
        if re.search(sign.pattern, text):
            place = f" in place of {instead}" if instead else ""
            return sign.error(f"{where} {got}{place}: {sign.says}", hint=sign.hint)
    return None


def _describe_kind(page: str) -> str:
    return {"html": "a web page", "xml": "an XML text", "json": "a JSON text"}.get(page, "a text")


def _quote_title(start: bytes) -> str:
    """Return what the page says of itself, in brackets, without the queries of addresses."""
    text = start.decode("utf-8", "replace")
    found = _find_json_message(text) or _find_title(text)
    if not found:
        return ""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in unescape(found)).split())
    hidden = re.sub(r"https?://\S+", lambda match: redact(match[0]), plain)
    return f' ("{hidden[:120]}")'


def _find_title(text: str) -> str | None:
    match = re.search(r"<(title|message|h1)[^>]*>([^<]{1,400})<", text, re.IGNORECASE)
    return match[2] if match else None


def _find_json_message(text: str) -> str | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    words = (value.get(key) for key in ("message", "error", "detail", "errorMessage"))
    return next((word for word in words if isinstance(word, str)), None)
