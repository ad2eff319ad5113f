"""What an answer that is no file means: told by its status, headers, address and first bytes; no network.

A web page, an error text or nothing in place of a file is never stored. `SIGNS` is the one table of what hosts are known
to send, `PAGES` of where a person can look.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlencode

from dermdata.errors import (
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
    NotTheFile,
    ObjectDenied,
    PageInstead,
    PointerInstead,
    QuotaUsedUp,
    RestrictedRecord,
    SentZipped,
    ServerRefused,
    UserAgentRefused,
)
from dermdata.http.urls import redact
from dermdata.model import IMAGE_ENDINGS, NOTHING, Unpack

PEEK_BYTES = 4096  # bytes that are enough to recognize a page
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MAGIC: dict[str, tuple[bytes, ...]] = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "tar.gz": (b"\x1f\x8b",),
    "tar.zst": (b"\x28\xb5\x2f\xfd",),
}
# endings of texts, which are no zip; spreadsheets, arrays and weights may be one
TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat", ".json", ".jsonl", ".ndjson", ".xml")
PAGE_SUFFIXES = {  # suffixes of files that may look like a page
    "html": {".html", ".htm", ".xhtml"},
    "xml": {".xml", ".svg", ".rdf", ".html", ".xhtml"},
    "json": {".json", ".jsonl", ".ndjson", ".geojson", ".ipynb"},
}


@dataclass(frozen=True, kw_only=True)
class AnswerSign:
    """What a known answer looks like, and what the person can do about it; whatever is stated of it must fit."""

    error: type[HostRefused]
    says: str
    hint: str  # {page}: where a person can look; {0} …: the groups of `address`
    statuses: tuple[int, ...] = ()
    header: tuple[str, str] = ("", "")  # a name, and a pattern of its value
    address: str = ""  # a pattern of the official address
    text: str = ""  # a pattern of the first bytes, in lower case
    quote: str = ""  # a pattern whose group of the first bytes is shown: what the host wants to be told
    sure: bool = False  # no publisher's own page looks so: it is refused even in place of a web page


SOME_PAGE = "the dataset's page"  # where it is not known
BY_HAND = "download it by hand and use --from"
OTHER_PLACE = "take a copy with --mirror"
BROWSER = f"open {{page}} in a browser, {BY_HAND}, or {OTHER_PLACE}"
WAF_CHALLENGE = ("x-amzn-waf-action", "challenge")
REFUSALS = (400, 401, 403)
# pages come with any of these
ANY_PAGE = (200, 202, *REFUSALS)
SIGNS = (
    AnswerSign(header=WAF_CHALLENGE, address=r"^https://(?:www\.)?figshare\.com/ndownloader/files/(\d+)", sure=True,
         error=BrowserCheck, says="wants a browser (AWS WAF challenge)",
         hint='use source = "figshare:<article>/<file name>" or https://api.figshare.com/v2/file/download/{0}, '
              f"or {BY_HAND}"),
    AnswerSign(header=WAF_CHALLENGE, sure=True, error=BrowserCheck, says="wants a browser (AWS WAF challenge)",
         hint=BROWSER),
    AnswerSign(header=("x-amzn-waf-action", "captcha"), sure=True, error=CaptchaWanted,
         says="wants a CAPTCHA, as after too many requests (AWS WAF)",
         hint=f"wait some hours before the next try, or {BY_HAND}"),
    AnswerSign(statuses=(403,), text=r"blocked due to unusual traffic", error=NetworkBlocked,
         quote=r"(?i)reference:?\s*(?:<[^<>]*>\s*)*([\w.-]{4,80})", says="blocks this network for unusual traffic",
         hint=f"run again later or from another network, {OTHER_PLACE}, or {BY_HAND}"),
    AnswerSign(statuses=(403,), text=r"<center>awselb|<h1>403 forbidden</h1></center>\s*</body>", error=NetworkBlocked,
         says="blocks this network at its load balancer",
         hint=f"try from another network, {OTHER_PLACE}, or {BY_HAND}"),
    AnswerSign(statuses=(403,), address=r"^https://dataverse\.", error=UserAgentRefused,
         text=r"you don.t have permission to access this resource", says="refuses programs of this name (user agent)",
         hint=f"a newer dermdata may be let in; until then {OTHER_PLACE}, or {BY_HAND}"),
    AnswerSign(statuses=REFUSALS, text=r"anonymous caller does not have storage\.", error=BucketClosed,
         says="its owner has closed the bucket", hint=f"try again in a day, {OTHER_PLACE}, or use --from"),
    AnswerSign(statuses=(401, 403, 404, 409), text=r"noauthenticationinformation|publicaccessnotpermitted",
         error=BucketClosed, says="its owner has closed the container",
         hint=f"{{page}} may say how to get a link of your own; or {OTHER_PLACE}, or use --from"),
    AnswerSign(statuses=REFUSALS, error=LinkExpired, says="the link has expired",
         text=r"request has expired|<code>expiredtoken|<code>authenticationfailed|signature not valid in the specified time",
         hint="get a new link where this one came from"),
    AnswerSign(statuses=(403,), text=r"<code>accessdenied</code>", error=ObjectDenied,
         says="there is no such file, or it is not public",
         hint=f"this is no matter of a log-in; {{page}} may say where the file went; or {OTHER_PLACE}"),
    AnswerSign(statuses=(401,), header=("x-error-code", "GatedRepo"), error=LoginNeeded, says="it wants a log-in",
         hint="accept its conditions on {page}, and set a token of that account"),
    AnswerSign(statuses=(403,), header=("x-error-code", "GatedRepo"), error=GatedRepository,
         says="its conditions must be accepted first", hint="accept them on {page}, then run again"),
    AnswerSign(statuses=(429, 509), text=r"link is temporarily disabled|traffic or downloads|generating too much traffic",
         error=QuotaUsedUp, says="its download quota is used up",
         hint=f"try again in a day, {OTHER_PLACE}, or ask who shared it"),
    AnswerSign(statuses=ANY_PAGE, text=r"too many users have (viewed|downloaded)|uc-error-subcaption", sure=True,
         error=QuotaUsedUp, says="its download quota is used up",
         hint=f"try again in a day, {OTHER_PLACE}, or {BY_HAND}"),
    AnswerSign(statuses=ANY_PAGE, text=r"quota|lfs budget|download limit", error=QuotaUsedUp,
         says="its download quota is used up", hint=f"try again in a day, {OTHER_PLACE}, or {BY_HAND}"),
    AnswerSign(statuses=ANY_PAGE, text=r"guest ?book", error=FormWanted,
         says="a guestbook must be filled in first", hint=f"fill it in on {{page}}, {BY_HAND}"),
    AnswerSign(statuses=ANY_PAGE, error=FormWanted,
         text=r"virus scan warning|can.t scan this file|download_warning|[?&;]confirm=|name=.confirm",
         says="a download must be confirmed by hand", hint=f"open {{page}} in a browser, {BY_HAND}"),
    AnswerSign(statuses=ANY_PAGE, error=ConsentNeeded,
         text=r"(accept|agree to)[^.<]{0,40}\b(rules|terms|licen[cs]e|agreement)",
         says="its terms must be accepted first", hint="accept them on {page}, then run again"),
    AnswerSign(statuses=ANY_PAGE, text=r"\bembargo(ed)?\b|(access|files?|record|dataset)[^.<]{0,20} (is|are) restricted",
         error=RestrictedRecord, says="it is restricted, or under embargo",
         hint="ask for access on {page}, then use --from"),
    AnswerSign(statuses=(*ANY_PAGE, 460), error=LoginNeeded,
         text=r"type=.password|log ?-?in\b|sign ?-?in\b|logged in|unauthori[sz]ed|authentication",
         says="it wants a log-in",
         hint=f"log in on {{page}}, {BY_HAND}, or set the token for this host if it has one"),
)  # fmt: skip
PAGES = (  # the address that a program asks, and the page of the same thing
    (r"^https://www\.kaggle\.com/api/v1/datasets/(?:download|list)/([\w-]+/[\w-]+)", "https://www.kaggle.com/datasets/{0}"),
    (r"^https://zenodo\.org/(?:api/)?records/(\d+)", "https://zenodo.org/records/{0}"),
    (r"^https://huggingface\.co/(?:api/)?((?:datasets/)?[\w.-]+/[\w.-]+)", "https://huggingface.co/{0}"),
    (r"^https://dataverse\.harvard\.edu/api/access/datafile/(\d+)", "https://dataverse.harvard.edu/file.xhtml?fileId={0}"),
    (r"^https://api\.figshare\.com/v2/articles/(\d+)", "https://figshare.com/articles/dataset/_/{0}"),
    (r"^https://data\.mendeley\.com/public-(?:api|files)/datasets/(\w+)", "https://data.mendeley.com/datasets/{0}"),
)  # fmt: skip


def find_page(address: str) -> str:
    """Return where a person can look at what lies at this address, in words that fit after `on` and `open`."""
    for pattern, page in PAGES:
        if found := re.search(pattern, address):
            return page.format(*found.groups())
    return SOME_PAGE


class ConfirmForm(HTMLParser):
    """Reads the form that asks whether a file is wanted although it was not scanned for viruses."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self._inside = False
        self._fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form's address, and the fields within it."""
        values = {name: value or "" for name, value in attrs}
        if (
            tag == "form"
            and values.get("id") == "download-form"
            and values.get("method", "get").lower() == "get"
        ):
            self.action, self._inside = values.get("action", ""), True
        elif tag == "input" and self._inside and values.get("name"):
            self._fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """End the form."""
        if tag == "form":
            self._inside = False

    @property
    def link(self) -> str | None:
        """Where a click on its button leads; None for a page without the form."""
        if self.action is None:
            return None
        return f"{self.action}{'&' if '?' in self.action else '?'}{urlencode(self._fields)}"


def find_confirm_link(page: bytes) -> str | None:
    """Return where the form of a page leads that asks for a confirmation; None for another page."""
    form = ConfirmForm()
    form.feed(page.decode("utf-8", "replace"))
    return form.link


def find_wrong_content(
    start: bytes,
    *,
    name: str,
    where: str,
    archive: Unpack | None,
    headers: Mapping[str, str] = NOTHING,
    address: str = "",
) -> DermdataError | None:
    """Return the error when a success, by its first bytes (up to PEEK_BYTES), cannot be the file `name`; else None."""
    suspect = _find_page_out_of_place(start, name, archive, headers.get("content-type", ""))
    refusal = explain_page(
        start, where, instead=name, headers=headers, address=address, sure=bool(start) and not suspect
    )
    if refusal:
        return refusal
    page = find_page(address)
    if not start:
        return EmptyAnswer(
            f"{where} sends nothing in place of {name}",
            hint=f"try again later; if it stays so, open {page} in a browser, {BY_HAND}, or {OTHER_PLACE}",
        )
    if start.startswith(LFS_POINTER):
        return PointerInstead(
            f"{where} sends the pointer of Git LFS in place of {name}",
            hint="the file itself is in large file storage: the entry needs the address of that; "
            f"until then {BY_HAND}, or {OTHER_PLACE}",
        )
    if suspect:
        return PageInstead(
            f"{where} sends {_describe_kind(suspect)}{quote_title(start)} in place of {name}",
            hint=f"open {page} in a browser: it may want a log-in, or accepted terms; "
            f"{BY_HAND}, or {OTHER_PLACE}",
        )
    return _find_wrong_archive(start, name, where, archive)


def _find_page_out_of_place(start: bytes, name: str, archive: Unpack | None, content_type: str) -> str | None:
    """Return `html`, `xml` or `json` when the first bytes are of such a text, and the file `name` is none."""
    page = guess_page_kind(start)
    return page if page and _is_out_of_place(page, name, archive, content_type) else None


def _find_wrong_archive(start: bytes, name: str, where: str, archive: Unpack | None) -> NotTheFile | None:
    """Return the error for a zip that should be none, and for what should be an archive; None for all else."""
    if archive is None and is_zip_of_file(start, name):
        return SentZipped(f"{where} sends a zip in place of {name}", hint='the entry may say unpack = "zip"')
    if archive in MAGIC and not start.startswith(MAGIC[archive]):
        return NotTheFile(
            f"{where} sends something else in place of {name}: it begins with {start[:8].hex(' ')}, "
            f"which is no {archive}",
        )
    return None


def is_zip_of_file(start: bytes, name: str) -> bool:
    """Tell whether the first bytes are a zip's, and the name is one of a file that is none."""
    return start.startswith(MAGIC["zip"]) and name.lower().endswith((*TEXT_ENDINGS, *IMAGE_ENDINGS))


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


def explain_page(
    start: bytes,
    where: str,
    instead: str | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] = NOTHING,
    address: str = "",
    sure: bool = False,
) -> HostRefused | None:
    """Return the error that says what an answer wants of the person, when it is a known one.

    Parameters
    ----------
    start
        The first bytes of its body.
    where
        The host, as messages name it.
    instead
        The file that was asked for.
    status, headers, address
        The rest of the answer, and the official address that was asked.
    sure
        Only by signs that no file can have.

    """
    for sign in SIGNS:
        if sure and not sign.sure:
            continue
        if (groups := match_sign(sign, start, status, headers, address)) is None:
            continue
        message = describe_answer(sign, start, where, instead)
        hint = sign.hint.format(*groups, page=find_page(address))
        if issubclass(sign.error, ServerRefused):
            return sign.error(message, status=status, hint=hint)
        return sign.error(message, hint=hint)
    return None


def describe_answer(sign: AnswerSign, start: bytes, where: str, instead: str | None) -> str:
    """Return what came and what it says, with the reference that the host gives."""
    place = f" in place of {instead}" if instead else ""
    if start:
        kind = _describe_kind(guess_page_kind(start) or "text")
        message = f"{where} sends {kind}{quote_title(start)}{place}: {sign.says}"
    else:
        message = f"{where} {sign.says}{place}"
    quoted = sign.quote and re.search(sign.quote, start.decode("utf-8", "replace"))
    return f"{message}, reference {quoted[1]}" if quoted else message


def match_sign(
    sign: AnswerSign, start: bytes, status: int, headers: Mapping[str, str], address: str
) -> tuple[str, ...] | None:
    """Return the groups of the sign's address when an answer fits it in all that it states, else None."""
    if sign.statuses and status not in sign.statuses:
        return None
    name, value = sign.header
    if name and not re.search(value, headers.get(name, "")):
        return None
    if not re.search(sign.text, start.decode("utf-8", "replace").lower()):
        return None
    found = re.search(sign.address, address)
    return found.groups() if found else None


def _describe_kind(page: str) -> str:
    return {"html": "a web page", "xml": "an XML text", "json": "a JSON text"}.get(page, "a text")


def quote_title(start: bytes) -> str:
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
