"""Templates into HTML that asks for nothing outside itself, whatever the words in it are."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dermdata.markup import show_controls

STYLE, SCRIPT = "page.css", "page.js"
NOT_STATED = "not stated"
WEB = ("https://", "http://")
BREAKS = "\n\t\r"  # control characters that may stay


def rendered(template: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The page in pieces; what `values` holds as functions is asked for only when its piece is made."""
    yield from environment().get_template(template).generate(**values)


@lru_cache(maxsize=1)
def environment() -> Environment:
    found = Environment(
        loader=PackageLoader("dermdata.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"count": count, "percent": percent, "figure": figure, "linked": linked, "doi": doi}
    found.globals |= {"style": source(STYLE), "script": source(SCRIPT)}
    found.globals |= {"policy": policy(), "not_stated": NOT_STATED}
    return found


def source(name: str) -> Markup:
    """Our own style or script, word for word: its hash is in the policy."""
    text = files("dermdata.report").joinpath("templates", name).read_text("utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


def policy() -> str:
    """The page may run its own style and script and show pictures that it holds; nothing else."""
    allowed = {"style-src": source(STYLE), "script-src": source(SCRIPT)}
    hashes = "; ".join(f"{name} 'sha256-{digest(text)}'" for name, text in allowed.items())
    return f"default-src 'none'; img-src data:; {hashes}; base-uri 'none'; form-action 'none'"


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# ------------------------------------------------------------------ values as words


def shown(value: Any) -> Any:
    """Control characters and those that turn text around are shown, not obeyed; None is nothing."""
    if value is None:
        return ""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return show_controls(value, keep=BREAKS)


def count(number: int | None) -> str:
    return NOT_STATED if number is None else f"{number:,}"


def percent(share: float) -> str:
    """So that a share above zero is never shown as zero."""
    return "< 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")


def figure(number: float | None) -> str:
    return "–" if number is None or number != number else f"{number:.3f}"


def linked(address: str | None) -> str | None:
    """An address that leads to the web, and to nothing that a browser would run."""
    return address if address and address.lower().startswith(WEB) else None


def doi(name: str | None) -> str | None:
    return f"https://doi.org/{quote(name, safe='/')}" if name and name.startswith("10.") else None
