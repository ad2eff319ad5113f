"""Who may ask the server of `browse`: whoever has the token, by its own address, from its own page.

The token keeps other people on the machine and other pages in the browser out. The host that a request names must be the
server's own: a page elsewhere whose name leads to 127.0.0.1 (DNS rebinding) says another. What changes something must
come from our own page.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermdata.browse.listening import is_number

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
HTTP_PORT = 80
HOST_WITH_PORT = re.compile(r":\d+$")
SAFE_METHODS = {"GET", "HEAD"}
NO_TOKEN = "this page needs the token of its address: open the whole address that `dermdata browse` printed"  # noqa: S105


def make_token() -> str:
    """A new token, which nobody can guess."""
    return secrets.token_urlsafe(24)


@dataclass
class Guard:
    """Lets requests through to the app, or refuses them in plain words."""

    app: ASGIApp
    token: str
    hosts: frozenset[str]  # as `Host` says them, with the port
    cookie: str
    any_number: int = 0  # the port at which each address in numbers may be asked; 0: none

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # no websockets are served
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        query = parse_qs(scope["query_string"].decode("latin-1"))
        refused = self.refuse(scope["method"], headers, query)
        if refused is None and scope["path"] == "/" and "token" in query:
            refused = self.enter()
        await (refused or self.app)(scope, receive, with_headers(send))

    def refuse(self, method: str, headers: dict[str, str], query: dict[str, list[str]]) -> Response | None:
        """The answer to a request that may not be made; None for one that may."""
        host = headers.get("host", "").lower()
        if not self.is_own(host):
            return say(421, "this server is asked by another name than its own")
        if not self.is_known(headers.get("cookie", ""), query.get("token", [""])[0]):
            return say(403, NO_TOKEN)
        if method in SAFE_METHODS:
            return None
        origin = headers.get("origin")
        own = origin == f"http://{host}" if origin else is_same_site(headers)
        return None if method == "POST" and own else say(403, "only the page itself may change anything")

    def is_own(self, host: str) -> bool:
        """Whether the server is called so."""
        named = (
            host if HOST_WITH_PORT.search(host) else f"{host}:{HTTP_PORT}"
        )  # a browser leaves that one out
        number, _, port = named.rpartition(":")
        return named in self.hosts or (port == str(self.any_number) and is_number(number))

    def is_known(self, cookies: str, token: str) -> bool:
        """Whether a request has the token, in its address or its cookie."""
        given = [token]
        try:
            morsel = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            morsel = None  # a cookie that is none does not count
        if morsel:
            given.append(morsel.value)
        return any(secrets.compare_digest(one.encode(), self.token.encode()) for one in given)

    def enter(self) -> Response:
        """To the page without the token in its address, which the browser would show and remember."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return answer


def is_same_site(headers: dict[str, str]) -> bool:
    """Whether a browser says that a request without an origin comes from our own page."""
    return headers.get("sec-fetch-site") == "same-origin"


def say(status: int, words: str, hint: str | None = None) -> Response:
    """An error in words."""
    return JSONResponse({"error": {"message": words, "hint": hint}}, status)


def with_headers(send: Send) -> Send:
    """Each answer says what the browser may do with it."""

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *encode(HEADERS.items(), there)]
        await send(message)

    return send_more


def encode(headers: Iterable[tuple[str, str]], there: set[bytes]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them, those that are there already left out; nothing is kept by a proxy."""
    more = [*headers, ("cache-control", "no-store")]
    pairs = [(name.encode(), value.encode()) for name, value in more]
    return [(name, value) for name, value in pairs if name not in there]
