"""Addresses: what to show of them, where a redirect may lead, who may have the secrets; no network."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from dermdata.errors import BadRedirect, UsageError
from dermdata.model import Request
from dermdata.transfer.network import Network
from dermdata.urls import redact_url

PORTS = {"http": 80, "https": 443}
LEGAL = "!#$%&'()*+,/:;=?@[]~"  # signs that quoting leaves alone
SENSITIVE = {"authorization", "cookie", "proxy-authorization"}


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One address on the way to a file."""

    meant: str  # what it stands for: origins are compared on this
    asked: str  # what goes over the wire
    public_only: bool = False  # refuse to connect to a private address


def canonical(url: str) -> str:
    """An address with lower-case scheme and host, quoted, without user, password and fragment.

    UsageError when it is no http(s) address.
    """
    try:
        parts = urlsplit(url)
        host = _host(parts.hostname or "")
        port = f":{parts.port}" if parts.port not in (None, PORTS.get(parts.scheme)) else ""
    except ValueError as error:
        raise UsageError(f"'{shown(url)}' is no address") from error
    if parts.scheme not in PORTS or not host:
        raise UsageError(f"'{shown(url)}' is no http address")
    query = f"?{quote(parts.query, safe=LEGAL)}" if parts.query else ""
    return f"{parts.scheme}://{host}{port}{quote(parts.path, safe=LEGAL) or '/'}{query}"


def _host(name: str) -> str:
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    host = name.encode("idna").decode() if name else ""
    if not re.fullmatch(r"[A-Za-z0-9._-]*", host):
        raise ValueError(name)
    return host


def shown(url: str) -> str:
    """An address fit for messages and receipts: no query, no user, no password, no control characters."""
    return "".join(sign if sign.isprintable() else "?" for sign in redact_url(url))[:300]


def host_of(url: str) -> str:
    """The host and, if unusual, the port."""
    return urlsplit(url).netloc.rpartition("@")[2]


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a secret belongs to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)


def first_hop(network: Network, url: str) -> Hop:
    """The address itself; the user or the catalog named it, so it may be private."""
    meant = canonical(url)
    return Hop(meant=meant, asked=canonical(network.asked(meant)))


def next_hop(network: Network, hop: Hop, location: str, peer: str | None) -> Hop:
    """Where a redirect leads, or BadRedirect; `peer` is the address that sent it, None behind a proxy."""
    try:
        # relative to what was asked; the rewrite backwards gives the address it stands for
        meant = canonical(network.meant(canonical(urljoin(hop.asked, location))))
    except (UsageError, ValueError) as error:  # ValueError: urljoin's own, for a bracket that does not close
        said = f"{host_of(hop.asked)} redirects to '{shown(location)}', which is not https"
        raise BadRedirect(said) from error
    asked = canonical(network.asked(meant))
    rewritten = asked != meant
    if not rewritten and origin(hop.asked)[0] == "https" and origin(asked)[0] != "https":
        raise BadRedirect(f"{host_of(hop.asked)} redirects from https to http: {shown(asked)}")
    trusted = network.allow_private or rewritten or (peer is not None and is_private(peer))
    if not trusted and _private_name(origin(asked)[1]):
        raise private(shown(asked))
    if not rewritten and _link_local(origin(asked)[1]):  # where a cloud machine keeps its credentials
        raise BadRedirect(f"{host_of(hop.asked)} redirects to the link-local address {shown(asked)}")
    return Hop(meant=meant, asked=asked, public_only=not trusted)


def private(where: str) -> BadRedirect:
    return BadRedirect(
        f"a public host redirects to the private address {where}",
        hint="if that network is yours, point the file there with --rewrite or a --mirror",
    )


def _link_local(host: str) -> bool:
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return bool((getattr(parsed, "ipv4_mapped", None) or parsed).is_link_local)


def is_private(address: str) -> bool:
    """Whether an IP address lies outside the public internet: loopback, private, link-local, reserved."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None) or parsed
    return not inner.is_global or inner.is_multicast


def _private_name(host: str) -> bool:
    try:
        return is_private(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def headers_for(request: Request, original: Hop, hop: Hop, extra: Mapping[str, str]) -> dict[str, str]:
    """The request's headers for one hop: secrets go to the https origin of the original address only."""
    same = origin(hop.meant) == origin(original.meant)
    headers = {
        name: value for name, value in request.headers.items() if same or name.lower() not in SENSITIVE
    }
    if sends_secrets(original, hop):
        headers |= request.secrets
    return headers | dict(extra)


def sends_secrets(original: Hop, hop: Hop) -> bool:
    """Whether this hop is the https origin (or its stand-in) that the secrets belong to."""
    return origin(hop.meant) == origin(original.meant) and origin(hop.meant)[0] == "https"
