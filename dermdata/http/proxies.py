"""Which proxy of the environment an address is asked through, and what a proxy's own answer means; no network.

As curl and urllib read them: `https_proxy` before `HTTPS_PROXY`, `all_proxy` for what has no variable of its own, and
`no_proxy` with hosts, suffixes, ports and networks. No message holds a proxy's user or password.
"""

import ipaddress
import re
import socket
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import unquote, urlsplit

from dermdata.errors import DermdataError, ProxyLoginNeeded, ProxyRefused, ProxyUnreachable, UsageError
from dermdata.http.connecting import NameLookupTimeout, find_root_cause
from dermdata.http.policy import RetryAction, TransferFault

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
LAST_PORT = 65535
SYSTEM_SETTINGS = "the system's settings"
ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?:(?P<user>.*)@)?(?P<host>\[[^\]\s]+\]|[^\s:/@\[\]]+)(?::(?P<port>\d{1,5}))?/*",
    re.IGNORECASE | re.DOTALL,
)  # a password may hold what an address may not: all before the last @ is user and password
LOCAL = re.compile(r"localhost|.*\.localhost|127\.\d+\.\d+\.\d+|::1", re.IGNORECASE)


@dataclass(frozen=True)
class ProxyServer:
    """A proxy, and the variable that names it."""

    scheme: str
    host: str  # an IPv6 address in brackets
    port: int
    variable: str
    login: tuple[str, str] | None = field(default=None, repr=False)  # user and password

    @property
    def address(self) -> str:
        """The proxy's address without user and password."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def encoded_login(self) -> tuple[bytes, bytes] | None:
        """User and password as they are sent."""
        if self.login is None:
            return None
        user, password = (word.encode("utf-8", "surrogateescape") for word in self.login)
        return user, password

    def __str__(self) -> str:
        return f"the proxy {self.host}:{self.port} ({self.variable})"


def find_proxy(url: str, environment: Mapping[str, str]) -> ProxyServer | None:
    """Return the proxy that an address is asked through; None where it is asked directly.

    Raises
    ------
    UsageError
        For a variable that holds no proxy's address; the message does not repeat it.

    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if LOCAL.fullmatch(host):
        return None
    named = read_variables(environment)
    if not named and sys.platform in ("darwin", "win32"):
        return _find_system_proxy(parts.scheme, host)
    if bypasses_proxy(host, parts.port, get_variable("no_proxy", environment)[1]):
        return None
    variable, value = named.get(parts.scheme) or named.get("all") or ("", "")
    return parse_proxy(value, variable) if value else None


def read_variables(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the variables that name a proxy, by scheme: `{"https": ("HTTPS_PROXY", "http://…")}`."""
    found = {scheme: get_variable(f"{scheme}_proxy", environment) for scheme in ("http", "https", "all")}
    if "REQUEST_METHOD" in environment and found["http"][0] == "HTTP_PROXY":
        del found["http"]  # of a CGI program, where a stranger's header makes this variable
    return {scheme: pair for scheme, pair in found.items() if pair[1]}


def get_variable(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return a variable's name as it is written, and its value: in small letters first, empty ones count."""
    written = name if name in environment else name.upper()
    return written, environment.get(written, "").strip()


def _find_system_proxy(scheme: str, host: str) -> ProxyServer | None:
    """Return the proxy of macOS's or Windows's settings."""
    value = urllib.request.getproxies().get(scheme)
    if not value or urllib.request.proxy_bypass(host):
        return None
    return parse_proxy(value, SYSTEM_SETTINGS)


def parse_proxy(text: str, variable: str) -> ProxyServer:
    """Read a proxy's address, with or without `http://`, with or without `user:password@`, encoded or not."""
    found = ADDRESS.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if not found or port > LAST_PORT:
        raise UsageError(
            f"{variable} holds no address of a proxy", hint=f"write {variable}=http://HOST:PORT, or unset it"
        )
    scheme = (found["scheme"] or "http").lower()
    if scheme not in PORTS:
        raise UsageError(
            f"{variable} names a proxy of a kind that dermdata does not speak: {scheme}",
            hint="http, https and, with the extra `socks`, socks5",
        )
    return ProxyServer(
        scheme, found["host"].lower(), port or PORTS[scheme], variable, _read_login(found["user"])
    )


def _read_login(text: str | None) -> tuple[str, str] | None:
    """Return user and password of what stands before the @."""
    if not text:
        return None
    user, _, password = text.partition(":")
    return unquote(user), unquote(password)


# ------------------------------------------------------------------ what goes past the proxy


def bypasses_proxy(host: str, port: int | None, no_proxy: str) -> bool:
    """Tell whether NO_PROXY lets a host be asked directly.

    Its words stand between commas, blanks or semicolons: `*`, `host`, `.suffix`, `*.suffix`, `host:port`, `10.1.2.3`,
    `10.0.0.0/8`, `10.1.*`, `[fd00::1]`, `fd00::/8`. A host stands for all below it; a network for addresses only, since
    nobody looks up a name to learn whether a proxy is to be asked.
    """
    words = re.split(r"[,;\s]+", no_proxy.lower())
    return any(_fits_word(host.lower().rstrip("."), port, word) for word in words if word)


def _fits_word(host: str, port: int | None, word: str) -> bool:
    word = word.rpartition("://")[2].rstrip("/")
    if found := re.fullmatch(r"(\[.*\]|[^:]+):(\d+)", word):
        if port != int(found[2]):
            return False
        word = found[1]
    word = word.strip("[]")
    if address := _parse_address(host):
        return _fits_address(address, word)
    if "*" in word.lstrip("*."):
        return fnmatchcase(host, word)
    name = word.lstrip("*.").rstrip(".")
    return word == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))


def _parse_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _fits_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address, word: str) -> bool:
    try:
        return address in ipaddress.ip_network(word, strict=False)
    except ValueError:  # no network: 10.1.* or 10.1.
        return fnmatchcase(str(address), f"{word}*" if re.fullmatch(r"(\d{1,3}\.)+", word) else word)


# ------------------------------------------------------------------ what a proxy's own answer means


def is_own_answer(status: int, headers: Mapping[str, str]) -> bool:
    """Tell whether the answer to a plain http request is the proxy's, not the host's."""
    return status == 407 or (status >= 400 and ("x-squid-error" in headers or "proxy-status" in headers))


def explain_unreachable(proxy: ProxyServer, error: Exception) -> TransferFault:
    """Return the fault for a proxy that cannot be connected to: it is not the host that is away."""
    cause = find_root_cause(error)
    if isinstance(cause, socket.gaierror):
        why = "there is no such host" if cause.errno == socket.EAI_NONAME else "its name cannot be looked up"
    elif isinstance(cause, NameLookupTimeout):
        why = "looking up its name takes too long"
    elif isinstance(cause, TimeoutError):
        why = "no answer in time"
    else:
        why = (cause.strerror if isinstance(cause, OSError) else None) or "the connection was closed"
    return TransferFault(
        ProxyUnreachable(
            f"cannot connect to {proxy}: {why}",
            hint=f"check {proxy.variable}; a host that needs no proxy belongs into NO_PROXY",
        ),
        RetryAction.LATER,
    )


def explain_proxy_answer(
    proxy: ProxyServer, host: str, status: int, reason: str, headers: Mapping[str, str]
) -> TransferFault:
    """Return the fault that a proxy's refusal means: it is not the host that says so."""
    if status == 407:
        return TransferFault(_explain_login(proxy, headers.get("proxy-authenticate", "")), RetryAction.NEVER)
    answer = f"{status} {reason}".strip()
    if status in (502, 503, 504):
        error = ProxyRefused(
            f"{proxy} cannot reach {host} ({answer})",
            status=status,
            hint="run the same command again later; a host inside your network belongs into NO_PROXY",
        )
        return TransferFault(error, RetryAction.LATER)
    error = ProxyRefused(
        f"{proxy} does not let requests to {host} through ({answer})",
        status=status,
        hint=f"ask whoever runs the proxy to allow {host}, or fetch elsewhere and use --from",
    )
    return TransferFault(error, RetryAction.NEVER)


def _explain_login(proxy: ProxyServer, offers: str) -> DermdataError:
    """Return the error for a proxy that asks who it is; only Basic is spoken."""
    kinds = re.findall(r"(?:^|,)\s*([A-Za-z]+)(?=\s|,|$)(?!\s*=)", offers)
    if kinds and "basic" not in map(str.lower, kinds):
        return ProxyLoginNeeded(
            f"{proxy} wants a log-in of a kind that dermdata does not speak: {', '.join(dict.fromkeys(kinds))} (407)",
            hint=f"run a helper that does, such as px or cntlm, and put its address into {proxy.variable}",
        )
    place = f"into {proxy.variable}, behind {proxy.scheme}://"
    form = f"USER:PASSWORD@{proxy.host}:{proxy.port}"
    if proxy.login is None:
        return ProxyLoginNeeded(
            f"{proxy} wants a user and a password (407)", hint=f"write them {place} as {form}"
        )
    return ProxyLoginNeeded(
        f"{proxy} refuses the user and password that stand there (407)",
        hint=f"write them {place} as {form}, signs such as @ : / % as %40 %3A %2F %25",
    )
