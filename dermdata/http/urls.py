"""Addresses: how messages show them, where a redirect may lead, which hop gets the secrets; no network."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from dermdata.errors import BadRedirect, UsageError
from dermdata.http.policy import NetworkSettings
from dermdata.model import Request
from dermdata.urls import has_secret, redact_url

PORTS = {"http": 80, "https": 443}
UNQUOTED_SIGNS = "!#$%&'()*+,/:;=?@[]~"  # signs that quoting leaves alone
SENSITIVE_HEADERS = {"authorization", "cookie", "proxy-authorization"}


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One address on the way to a file, of which each redirect adds one."""

    official_url: str  # what it stands for: origins are compared on this one
    request_url: str  # what goes over the wire
    public_only: bool = False  # refuse to connect to a private address


def canonicalize(url: str) -> str:
    """Return an address with lower-case scheme and host, quoted, without user, password and fragment.

    Raises
    ------
    UsageError
        If it is no http or https address.

    """
    try:
        parts = urlsplit(url)
        host = _check_host(parts.hostname or "")
        port = f":{parts.port}" if parts.port not in (None, PORTS.get(parts.scheme)) else ""
    except ValueError as error:
        raise UsageError(f"'{redact(url)}' is no address") from error
    if parts.scheme not in PORTS or not host:
        raise UsageError(f"'{redact(url)}' is no http address")
    query = f"?{quote(parts.query, safe=UNQUOTED_SIGNS)}" if parts.query else ""
    return f"{parts.scheme}://{host}{port}{quote(parts.path, safe=UNQUOTED_SIGNS) or '/'}{query}"


def _check_host(name: str) -> str:
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    host = name.encode("idna").decode() if name else ""
    if not re.fullmatch(r"[A-Za-z0-9._-]*", host):
        raise ValueError(name)
    return host


def redact(url: str) -> str:
    """Return an address for messages and receipts: without query, user, password and control characters.

    Parameters
    ----------
    url
        Any text; what is no address comes back as it is, made printable.

    Returns
    -------
    str
        At most 300 characters.

    """
    shown = redact_url(url)[:300]
    return shown if shown.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in shown)


# parameters that hosts document, and by which they tell files and their forms apart
OPEN_PARAMETERS = {
    "confirm", "datasetVersionNumber", "dl", "download", "export", "fileId", "folder_id", "format", "id", "persistentId",
    "raw", "version", "zip",
}  # fmt: skip


def strip_secrets(url: str) -> str:
    """Return an address as receipts keep it: without its query, unless all of that only says which file is meant.

    Dataverse gives other bytes without `?format=original`. What nobody knows may be a signature, and is left out.
    """
    names = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    known = names <= OPEN_PARAMETERS and not has_secret(url) and url.isprintable()
    return url.partition("#")[0] if known else redact(url)


def get_host(url: str) -> str:
    """Return the host of an address, with the port if it is an unusual one."""
    return urlsplit(url).netloc.rpartition("@")[2]


def get_origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: a secret belongs to these three."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)


def start_hop(settings: NetworkSettings, url: str) -> Hop:
    """Return the first hop; the user or the catalog named it, so it may be private."""
    official = canonicalize(url)
    return Hop(official_url=official, request_url=canonicalize(settings.rewrite_url(official)))


def follow_hop(settings: NetworkSettings, hop: Hop, location: str, peer: str | None) -> Hop:
    """Return the hop that a redirect leads to, or raise BadRedirect.

    `peer` is the IP address that sent the redirect; it is None behind a proxy.
    """
    try:
        # relative to what was asked; the rewrite backwards gives the address it stands for
        official = canonicalize(settings.restore_url(canonicalize(urljoin(hop.request_url, location))))
    except (UsageError, ValueError) as error:  # ValueError: urljoin's own, for a bracket that does not close
        message = f"{get_host(hop.request_url)} redirects to '{redact(location)}', which is not https"
        raise BadRedirect(message) from error
    url = canonicalize(settings.rewrite_url(official))
    rewritten = url != official
    if not rewritten and _is_downgrade(hop.request_url, url):
        raise BadRedirect(f"{get_host(hop.request_url)} redirects from https to http: {redact(url)}")
    host = get_origin(url)[1]
    trusted = settings.allow_private or rewritten or _is_private_peer(peer)
    if not trusted and _is_private_name(host):
        raise private_address_error(redact(url))
    if not rewritten and _is_link_local(host):  # where a cloud machine keeps its credentials
        raise BadRedirect(f"{get_host(hop.request_url)} redirects to the link-local address {redact(url)}")
    return Hop(official_url=official, request_url=url, public_only=not trusted)


def _is_downgrade(before: str, after: str) -> bool:
    return get_origin(before)[0] == "https" and get_origin(after)[0] != "https"


def _is_private_peer(peer: str | None) -> bool:
    """Tell whether who redirects is in a private network itself; behind a proxy nobody can know."""
    return peer is not None and is_private(peer)


def private_address_error(where: str) -> BadRedirect:
    """Return the error for a redirect from the internet into a private network."""
    return BadRedirect(
        f"a public host redirects to the private address {where}",
        hint="if that network is yours, point the file there with --rewrite or a --mirror",
    )


def _is_link_local(host: str) -> bool:
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return bool((getattr(parsed, "ipv4_mapped", None) or parsed).is_link_local)


def is_private(address: str) -> bool:
    """Tell whether an IP address lies outside the public internet: loopback, private, link-local, reserved."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None) or parsed
    return not inner.is_global or inner.is_multicast


def _is_private_name(host: str) -> bool:
    try:
        return is_private(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def select_headers(request: Request, original: Hop, hop: Hop, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the headers for one hop: secrets go to the https origin of the original address only."""
    same = get_origin(hop.official_url) == get_origin(original.official_url)
    headers = {
        name: value
        for name, value in request.headers.items()
        if same or name.lower() not in SENSITIVE_HEADERS
    }
    if sends_secrets(original, hop):
        headers |= request.secrets
    return headers | dict(extra)


def sends_secrets(original: Hop, hop: Hop) -> bool:
    """Tell whether this hop is the https origin (or its stand-in) that the secrets belong to."""
    return (
        get_origin(hop.official_url) == get_origin(original.official_url)
        and get_origin(hop.official_url)[0] == "https"
    )


def hide_secrets(text: bytes, secrets: Mapping[str, str]) -> bytes:
    """Return what a host said without the secrets that it was sent: some repeat them, also decoded."""
    for value in secrets.values():
        kind, _, word = value.rpartition(" ")
        for part in {word, *_decode_basic(word if kind == "Basic" else "")} - {""}:
            text = text.replace(part.encode(), b"\xe2\x80\xa6")
    return text


def _decode_basic(word: str) -> list[str]:
    """Return user and password together, and the password, of the value of a Basic header."""
    try:
        pair = base64.b64decode(word, validate=True).decode()
    except ValueError:
        return []
    return [pair, pair.partition(":")[2]]
