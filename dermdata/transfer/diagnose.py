"""A page, an error text or nothing in place of a file: recognised by its first bytes; no network."""

import json
import re
from dataclasses import dataclass
from html import unescape

from dermdata.errors import CredentialsMissing, DermdataError, LicenseNotAccepted, NotTheFile, PersonMustAct
from dermdata.model import Unpack
from dermdata.transfer.address import shown

PEEK = 4096  # bytes that are enough to tell
MAGIC: dict[str, tuple[bytes, ...]] = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "tar.gz": (b"\x1f\x8b",),
    "tar.zst": (b"\x28\xb5\x2f\xfd",),
}
EXPECTED = {  # suffixes of files that rightly look like a page
    "html": {".html", ".htm", ".xhtml"},
    "xml": {".xml", ".svg", ".rdf", ".html", ".xhtml"},
    "json": {".json", ".jsonl", ".ndjson", ".geojson", ".ipynb"},
}


@dataclass(frozen=True, kw_only=True)
class Sign:
    """Words that tell what a page wants, and what to do about it."""

    pattern: str
    error: type[PersonMustAct]
    says: str
    hint: str


SIGNS = (
    Sign(pattern=r"quota|too many users have (viewed|downloaded)|download limit", error=PersonMustAct,
         says="its download quota is used up", hint="try again in a day, or download the file by hand"),
    Sign(pattern=r"guest ?book", error=PersonMustAct,
         says="a guestbook must be filled in first", hint="fill it in on the dataset's page"),
    Sign(pattern=r"virus scan warning|can.t scan this file|download_warning|[?&;]confirm=|name=.confirm",
         error=PersonMustAct,
         says="a download must be confirmed by hand", hint="download the file in a browser"),
    Sign(pattern=r"(accept|agree to)[^.<]{0,40}\b(rules|terms|licen[cs]e|agreement)",
         error=LicenseNotAccepted,
         says="its terms must be accepted first", hint="accept them on the dataset's page, then run again"),
    Sign(pattern=r"type=.password|log ?-?in\b|sign ?-?in\b|logged in|unauthori[sz]ed|authentication",
         error=CredentialsMissing,
         says="it wants a log-in", hint="set the token for this host, or log in and accept the terms there"),
)  # fmt: skip


def misdelivery(
    start: bytes, *, name: str, where: str, archive: Unpack | None, content_type: str = ""
) -> DermdataError | None:
    """The error when the first bytes (up to PEEK) cannot be the file `name`; None when they may be it."""
    if not start:
        return NotTheFile(f"{where} sends nothing in place of {name}", hint="try again later, or report it")
    page = page_kind(start)
    suspect = page if page and _out_of_place(page, name, archive, content_type) else None
    if suspect:
        return explained(start, where, instead=name) or NotTheFile(
            f"{where} sends {_a(suspect)}{_title(start)} in place of {name}",
            hint="open the dataset's page: it may want a log-in, or accepted terms",
        )
    if archive in MAGIC and not start.startswith(MAGIC[archive]):
        return NotTheFile(
            f"{where} sends something else in place of {name}: it begins with {start[:8].hex(' ')}, "
            f"which is no {archive}",
        )
    return None


def page_kind(start: bytes) -> str | None:
    """`html`, `xml` or `json` when text begins like that."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:200].lower()
    if re.match(rb"<!doctype html|<html|<head|<body|<script|<!--.*<html", text, re.DOTALL):
        return "html"
    if text.startswith(b"<?xml") and b"<html" not in text:
        return "xml"
    if text.startswith(b"<?xml"):
        return "html"
    return "json" if re.match(rb'\{\s*("|\}|$)|\[\s*[{\]"]', text) else None


def _out_of_place(page: str, name: str, archive: Unpack | None, content_type: str) -> bool:
    suffix = "." + name.lower().rpartition(".")[2]
    if archive:
        return True
    if page == "json" and "json" not in content_type.lower():
        return False  # a text may begin with a brace; its checksum decides
    return suffix not in EXPECTED[page]


def explained(start: bytes, where: str, instead: str | None = None) -> PersonMustAct | None:
    """What a page or an error text wants of the person, when its words are known."""
    text = start.decode("utf-8", "replace").lower()
    got = f"sends {_a(page_kind(start) or 'text')}{_title(start)}"
    for sign in SIGNS:
        if re.search(sign.pattern, text):
            place = f" in place of {instead}" if instead else ""
            return sign.error(f"{where} {got}{place}: {sign.says}", hint=sign.hint)
    return None


def _a(page: str) -> str:
    return {"html": "a web page", "xml": "an XML text", "json": "a JSON text"}.get(page, "a text")


def _title(start: bytes) -> str:
    """What the page says of itself, in brackets: fit for a message, without addresses' queries."""
    text = start.decode("utf-8", "replace")
    found = _json_message(text) or _tagged(text)
    if not found:
        return ""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in unescape(found)).split())
    hidden = re.sub(r"https?://\S+", lambda match: shown(match[0]), plain)
    return f' ("{hidden[:120]}")'


def _tagged(text: str) -> str | None:
    match = re.search(r"<(title|message|h1)[^>]*>([^<]{1,400})<", text, re.IGNORECASE)
    return match[2] if match else None


def _json_message(text: str) -> str | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    words = (value.get(key) for key in ("message", "error", "detail", "errorMessage"))
    return next((word for word in words if isinstance(word, str)), None)
