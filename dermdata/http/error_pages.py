"""What an answer that is no file means: told by its status, headers, address and first bytes; no network.

A web page, an error text or nothing in place of a file is never stored. `SIGNS` is the one table of what hosts are known
to send, `PAGES` of where a person can look.
"""

import json
import re
from collections.abc import Iterator, Mapping
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
    ProxyRefused,
    QuotaUsedUp,
    RestrictedRecord,
    SentZipped,
    ServerRefused,
    UserAgentRefused,
)
from dermdata.http.urls import redact
from dermdata.model import IMAGE_ENDINGS, NOTHING, Unpack
from dermdata.urls import SOME_PAGE, USE_FROM

# words that say no more than a status does
BARE_STATUS = re.compile(
    r"(error:? ?)?(\(?\d{3}\)?[ :.-]*)?"
    r"(forbidden|access denied|unauthori[sz]ed|not found|gone|too many requests|error)?[.!]?",
    re.IGNORECASE,
)
PEEK_BYTES = 4096  # bytes that are enough to recognize a page
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MAGIC: dict[str, tuple[bytes, ...]] = {
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "tar.gz": (b"\x1f\x8b",),
    "tar.zst": (b"\x28\xb5\x2f\xfd",),
    "npz": (b"PK\x03\x04",),
    "parquet": (b"PAR1",),
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
    sure: bool = False  # no file of a publisher looks so: it is refused even where a web page is wanted


BY_HAND = f"open {{page}} in a browser, download it there and {USE_FROM}"
OTHER_PLACE = "take a copy with --mirror"
LOG_IN = f"log in on {{page}}, download it there and {USE_FROM}, or set the token for this host if it has one"
BROWSER = f"{BY_HAND}, or {OTHER_PLACE}"
CHALLENGE = "wants a browser check"
USED_UP = "gives no more of it for now (download quota used up)"
AFTER_A_DAY = f"try again in a day, {OTHER_PLACE}, or {BY_HAND}"
AWS_WAF = "x-amzn-waf-action"
REFUSED = (400, 401, 403)
PAGE_STATUSES = (200, 202, *REFUSED)  # what comes with a page that says something to a person
# what filters and proxies of institutions write into their own pages, in place of any host's
NETWORK_FILTERS = (
    r"fortiguard|<title>web filter violation|security by zscaler|zscaler to protect you|blue coat systems"
    r"|denied because of its content categorization|barracuda web filter|cisco umbrella|stylesheet for squid error"
    r"|<title>error: (the requested url could not be retrieved|cache access denied)"
)
SIGNS = (
    AnswerSign(header=(AWS_WAF, "challenge"), address=r"^https://(?:www\.)?figshare\.com/ndownloader/files/(\d+)",
         sure=True, error=BrowserCheck, says=f"{CHALLENGE} (AWS WAF challenge)",
         hint='use source = "figshare:<article>/<file name>" or https://api.figshare.com/v2/file/download/{0}, '
              f"or {BY_HAND}"),
    AnswerSign(header=(AWS_WAF, "challenge"), sure=True, error=BrowserCheck, says=f"{CHALLENGE} (AWS WAF challenge)",
         hint=BROWSER),
    AnswerSign(header=("cf-mitigated", "challenge"), sure=True, error=BrowserCheck,
         says=f"{CHALLENGE} (Cloudflare challenge)", hint=BROWSER),
    AnswerSign(header=(AWS_WAF, "captcha"), sure=True, error=CaptchaWanted,
         says="wants a CAPTCHA, as after too many requests (AWS WAF)",
         hint=f"wait some hours before the next try, or {BY_HAND}, or {OTHER_PLACE}"),
    AnswerSign(text=NETWORK_FILTERS, error=ProxyRefused,
         says="does not come through: this is a page of your own network's filter",
         hint="ask whoever runs that filter to allow this host, or fetch from another network and use --from"),
    AnswerSign(statuses=(403,), text=r"blocked due to unusual traffic", error=NetworkBlocked,
         says="blocks this network for unusual traffic",
         quote=r"(?i)\breference(?: \w+)?:\s*(?:<[^<>]*>\s*)*([\w-]{1,80})",
         hint=f"run again later or from another network, {OTHER_PLACE}, or {BY_HAND}; to complain, name the reference"),
    AnswerSign(statuses=(403,), text=r"<center>awselb|<h1>403 forbidden</h1></center>\s*</body>", error=NetworkBlocked,
         says="blocks this network at its load balancer",
         hint=f"try from another network, {OTHER_PLACE}, or {BY_HAND}"),
    AnswerSign(statuses=(403,), address=r"^https://dataverse\.", error=UserAgentRefused,
         text=r"you don.t have permission to access this resource",
         says="refuses a program of this name (by its user agent)",
         hint=f"a newer dermdata may be let in; until then {OTHER_PLACE}, or {BY_HAND}"),
    AnswerSign(statuses=REFUSED, text=r"anonymous caller does not have storage\.", error=BucketClosed,
         says="shows nothing of it: its owner has closed the bucket",
         hint=f"try again in a day, {OTHER_PLACE}, or {USE_FROM}"),
    AnswerSign(statuses=(401, 403, 404, 409), text=r"noauthenticationinformation|publicaccessnotpermitted",
         error=BucketClosed, says="shows nothing of it: its owner has closed the container",
         hint=f"{{page}} may say how to get a link of your own; or {OTHER_PLACE}, or {USE_FROM}"),
    AnswerSign(statuses=REFUSED, error=LinkExpired, says="says that the link has expired",
         text=r"request has expired|<code>(expiredtoken|authenticationfailed)|signature not valid in the specified time",
         hint=f"get a new link from where this one came, or {USE_FROM}"),
    AnswerSign(statuses=(403,), text=r"<code>accessdenied</code>", error=ObjectDenied,
         says="has no such file, or it is not public",
         hint=f"this is no matter of a log-in; {{page}} may say where the file went; or {OTHER_PLACE}, or {USE_FROM}"),
    AnswerSign(statuses=(401,), header=("x-error-code", "GatedRepo"), error=LoginNeeded, says="wants a log-in",
         hint="accept its conditions on {page}, and set a token of that account"),
    AnswerSign(statuses=(403,), header=("x-error-code", "GatedRepo"), error=GatedRepository,
         says="wants its conditions accepted first", hint="accept them on {page}, then run again"),
    AnswerSign(statuses=(429, 509), text=r"link is temporarily disabled|traffic or downloads|generating too much traffic",
         error=QuotaUsedUp, says=USED_UP, hint=f"{AFTER_A_DAY}, or ask who shares it"),
    AnswerSign(statuses=PAGE_STATUSES, text=r"too many users have (viewed|downloaded)|uc-error-subcaption", sure=True,
         error=QuotaUsedUp, says=USED_UP, hint=AFTER_A_DAY),
    AnswerSign(statuses=PAGE_STATUSES, text=r"quota|lfs budget|download limit", error=QuotaUsedUp, says=USED_UP,
         hint=AFTER_A_DAY),
    AnswerSign(statuses=PAGE_STATUSES, text=r"guest ?book", error=FormWanted,
         says="wants a guestbook filled in first", hint=f"fill it in on {{page}}, download it there and {USE_FROM}"),
    AnswerSign(statuses=PAGE_STATUSES, error=FormWanted,
         text=r"virus scan warning|can.t scan this file|download_warning|[?&;]confirm=|name=.confirm",
         says="wants the download confirmed by hand", hint=BY_HAND),
    AnswerSign(statuses=PAGE_STATUSES, error=ConsentNeeded,
         text=r"(accept|agree to)[^.<]{0,40}\b(rules|terms|licen[cs]e|agreement)",
         says="wants its terms accepted first", hint="accept them on {page}, then run again"),
    AnswerSign(statuses=PAGE_STATUSES, error=RestrictedRecord,
         text=r"\b(under|is) embargo(ed)?\b|(access to|files?|record|dataset)\b[^.<]{0,60} (is|are) restricted",
         says="does not give it to the public: it is restricted, or under embargo",
         hint=f"ask for access on {{page}}, then {USE_FROM}"),
    AnswerSign(statuses=PAGE_STATUSES, text=r"<title>[^<]{0,80}\b(log|sign) ?-?in\b|human verification", sure=True,
         error=LoginNeeded, says="wants a log-in", hint=LOG_IN),
    AnswerSign(statuses=(*PAGE_STATUSES, 460), error=LoginNeeded, says="wants a log-in", hint=LOG_IN,
         text=r"type=.password|log ?-?in\b|sign ?-?in\b|logged in|unauthori[sz]ed|authentication"),
)  # fmt: skip
PAGES = (  # the address that a program asks, and the page of the same thing
    (r"^https://www\.kaggle\.com/api/v1/datasets/(?:download|list)/([\w-]+/[\w-]+)", "https://www.kaggle.com/datasets/{0}"),
    (r"^https://zenodo\.org/(?:api/)?records/(\d+)", "https://zenodo.org/records/{0}"),
    (r"^https://huggingface\.co/(?:api/models/|api/)?((?:datasets/)?[\w.-]+/[\w.-]+)", "https://huggingface.co/{0}"),
    (r"^https://([\w.-]+)/api/access/datafile/(\d+)", "https://{0}/file.xhtml?fileId={1}"),
    (r"^https://[\w.-]+/api/datasets/:persistentId/?\?persistentId=doi:(10\.[\w./-]+)", "https://doi.org/{0}"),
    (r"^https://(?:api|files)\.osf\.io/v\d/(?:nodes|resources)/(\w{5})/", "https://osf.io/{0}/"),
    (r"^https://media\.githubusercontent\.com/media/([\w.-]+/[\w.-]+)/", "https://github.com/{0}"),
    (r"^https://api\.github\.com/repos/([\w.-]+/[\w.-]+)/", "https://github.com/{0}"),
    (r"^(https://www\.dropbox\.com/.+)[?&]dl=1$", "{0}"),
    (r"^https://api\.figshare\.com/v2/articles/(\d+)", "https://figshare.com/articles/dataset/_/{0}"),
    (r"^https://data\.mendeley\.com/public-(?:api|files)/datasets/(\w+)", "https://data.mendeley.com/datasets/{0}"),
    (r"^https://data\.mendeley\.com/public-api/zip/(\w+)", "https://data.mendeley.com/datasets/{0}"),
    (r"^https://raw\.githubusercontent\.com/([\w.-]+/[\w.-]+)/(?:refs/heads/)?([\w.-]+)/([^?]+)",
     "https://github.com/{0}/blob/{1}/{2}"),
    (r"^https://storage\.googleapis\.com/(?:storage/v1/b/)?([a-z0-9][a-z0-9._-]+)",
     "https://console.cloud.google.com/storage/browser/{0}"),
    (r"^https://(?:drive\.google\.com/uc|drive\.usercontent\.google\.com/download)\?(?:[^#]*&)?id=([\w-]+)",
     "https://drive.google.com/file/d/{0}/view"),
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
    page = guess_page_kind(start)
    if page and not _is_out_of_place(page, name, archive, headers.get("content-type", "")):
        page = None
    return (
        explain_success(start, where, page=page, headers=headers, address=address)
        or _find_pointer(start, where)
        or _find_wrong_archive(start, name, where, archive)
    )


def explain_success(
    start: bytes,
    where: str,
    *,
    page: str | None,
    headers: Mapping[str, str] = NOTHING,
    address: str = "",
) -> HostRefused | None:
    """Return the refusal that a success is in truth: nothing, a browser check, or a page; None for all else.

    Parameters
    ----------
    start
        The first bytes of its body.
    where
        The host, as messages name it.
    page
        `html`, `xml` or `json` when the body is such a text, and must not be.
    headers, address
        The rest of the answer, and the official address that was asked.

    """
    known = explain_page(start, where, headers=headers, address=address, sure=page is None)
    if known:
        return known
    page_address = find_page(address)
    by_hand = BY_HAND.format(page=page_address)
    if not start:
        return EmptyAnswer(
            f"{where} reports a success and sends nothing",
            hint=f"try again later; if it stays so, {by_hand}, or {OTHER_PLACE}",
        )
    if page:
        return PageInstead(
            f"{where} sends {_describe_kind(page)}{quote_words(start)} in place of the file",
            hint=f"{page_address} may want a log-in, or accepted terms: {by_hand}, or {OTHER_PLACE}",
        )
    return None


def _find_pointer(start: bytes, where: str) -> PointerInstead | None:
    if not start.startswith(LFS_POINTER):
        return None
    return PointerInstead(
        f"{where} sends the pointer of Git LFS in place of the file",
        hint="the file itself is in large file storage, where source = "
        '"github:<owner>/<repository>@<commit>/<path>" finds it, without size and checksum in the entry; '
        f"or download it by hand and {USE_FROM}",
    )


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
    status, headers, address
        The rest of the answer, and the official address that was asked.
    sure
        Only by signs that no file can have.

    """
    for sign in SIGNS if not sure else filter(lambda one: one.sure, SIGNS):
        groups = match_sign(sign, start, status, headers, address)
        if groups is not None:
            return _make_refusal(
                sign, start, where, status, sign.hint.format(*groups, page=find_page(address))
            )
    return None


def _make_refusal(sign: AnswerSign, start: bytes, where: str, status: int, hint: str) -> HostRefused:
    found = re.search(sign.quote, start.decode("utf-8", "replace")) if sign.quote else None
    words = f", reference {found[1]}" if found else quote_words(start) if sign.text else ""
    if start and sign.text and status < 300:
        words = f": it sends {_describe_kind(guess_page_kind(start) or 'text')}{words} in place of the file"
    if issubclass(sign.error, ServerRefused):
        return sign.error(f"{where} {sign.says}{words}", status=status, hint=hint)
    return sign.error(f"{where} {sign.says}{words}", hint=hint)


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


def quote_words(start: bytes) -> str:
    """Return what a page says of itself, in brackets, without the queries of addresses; empty if it is only a status."""
    text = start.decode("utf-8", "replace")
    for found in (*_iterate_json_words(text), *_iterate_page_words(text)):
        shown = "".join(sign if sign.isprintable() else " " for sign in unescape(found))
        plain = re.sub(r"https?://\S+", lambda match: redact(match[0]), " ".join(shown.split()))
        if plain and not BARE_STATUS.fullmatch(plain):
            return f' ("{plain[:120]}")'
    return ""


def _iterate_page_words(text: str) -> Iterator[str]:
    """The texts of a page or an XML answer that may say what it is about, best first; of a plain text its first line."""
    if not re.match(r"\s*[<{\[]|\s*$", text):
        line = text.strip().partition("\n")[0]
        if line.isprintable():
            yield line
        return
    for tag in ("title", "message", "h1", "p"):
        for match in re.finditer(rf"<{tag}\b[^>]*>([^<]{{1,400}})<", text, re.IGNORECASE):
            yield match[1]


def _iterate_json_words(text: str) -> Iterator[str]:
    """The messages of a JSON answer, also of those within its `error` or `errors`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    inner = value.get("errors") if isinstance(value, dict) else None
    for one in (value, inner[0] if isinstance(inner, list) and inner else inner):
        for part in (one, one.get("error")) if isinstance(one, dict) else ():
            yield from (part,) if isinstance(part, str) else _iterate_messages(part)


def _iterate_messages(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        words = (value.get(key) for key in ("message", "detail", "errorMessage"))
        yield from (word for word in words if isinstance(word, str))
