"""Templates become one HTML file that loads nothing from outside.

Every page also states its provenance: datasets, versions, digests, licenses and citations.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dermdata.manifest.columns import text_column
from dermdata.manifest.parquet import manifest_metadata
from dermdata.markup import show_controls

STYLE, SCRIPT = "page.css", "page.js"
NOT_STATED = "not stated"
WEB_SCHEMES = ("https://", "http://")
LINE_BREAKS = "\n\t\r"  # control characters that may stay
# of a manifest's metadata, what is shown under a name of its own or elsewhere
SHOWN_METADATA = {
    "dataset", "version", "catalog_digest", "tool", "license", "citation", "schema", "sources", "history",
}  # fmt: skip


def render_page(template: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The page in pieces; what `values` holds as functions is asked for only when its piece is made."""
    yield from template_environment().get_template(template).generate(**values)


@lru_cache(maxsize=1)
def template_environment() -> Environment:
    found = Environment(
        loader=PackageLoader("dermdata.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=show_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "count": format_count,
        "percent": format_percent,
        "figure": format_estimate,
        "linked": web_link,
        "doi": doi_link,
    }
    found.globals |= {"style": read_asset(STYLE), "script": read_asset(SCRIPT)}
    found.globals |= {"policy": content_security_policy(), "not_stated": NOT_STATED}
    return found


def read_asset(name: str) -> Markup:
    """Our own style or script, word for word: its hash is in the policy."""
    text = files("dermdata.report").joinpath("templates", name).read_text("utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


def content_security_policy() -> str:
    """The page may run its own style and script and show pictures that it holds; nothing else."""
    allowed = {"style-src": read_asset(STYLE), "script-src": read_asset(SCRIPT)}
    hashes = "; ".join(f"{name} 'sha256-{policy_digest(text)}'" for name, text in allowed.items())
    return f"default-src 'none'; img-src data:; {hashes}; base-uri 'none'; form-action 'none'"


def policy_digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# ------------------------------------------------------------------ values as words


def show_value(value: Any) -> Any:
    """Control characters and those that turn text around are shown, not obeyed; None is nothing."""
    if value is None:
        return ""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return show_controls(value, keep=LINE_BREAKS)


def format_count(number: int | None) -> str:
    return NOT_STATED if number is None else f"{number:,}"


def format_percent(share: float) -> str:
    """So that a share above zero is never shown as zero."""
    return "< 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")


def format_estimate(number: float | None) -> str:
    return "–" if number is None or number != number else f"{number:.3f}"


def web_link(address: str | None) -> str | None:
    """An address that leads to the web, and to nothing that a browser would run."""
    return address if address and address.lower().startswith(WEB_SCHEMES) else None


def doi_link(name: str | None) -> str | None:
    return f"https://doi.org/{quote(name, safe='/')}" if name and name.startswith("10.") else None


# ------------------------------------------------------------------ provenance


@dataclass(frozen=True, kw_only=True)
class DatasetOrigin:
    """One dataset as far as the rows use it."""

    name: str
    title: str
    images: int
    version: str | None = None
    digest: str | None = None  # of its catalog entry
    tool: str | None = None  # that built the manifest
    homepage: str | None = None
    license: str | None = None
    more: tuple[tuple[str, str], ...] = ()  # what else the manifest's metadata say


@dataclass(frozen=True, kw_only=True)
class PageCitation:
    """Whom to name for the rows of one dataset under one license."""

    dataset: str
    license: str | None
    rows: int | None
    text: str | None
    doi: str | None
    bibtex: str | None


def dataset_origins(table: pa.Table, facts: Mapping[str, Any]) -> tuple[DatasetOrigin, ...]:
    """The rows' datasets, by name."""
    counts = {
        one["values"] or "": one["counts"]
        for one in pc.value_counts(text_column(table, "dataset")).to_pylist()
    }
    abouts = metadata_by_dataset(manifest_metadata(table))
    stated = {one["name"]: one for one in facts.get("datasets", ())}
    return tuple(
        make_origin(name, counts[name], stated.get(name, {}), abouts.get(name, {})) for name in sorted(counts)
    )


def metadata_by_dataset(about: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Each dataset's own metadata; of a union they are under `sources`."""
    own = json.loads(about["sources"]) if "sources" in about else [about]
    return {one.get("dataset", ""): one for one in own}


def make_origin(name: str, images: int, stated: Mapping[str, Any], about: Mapping[str, str]) -> DatasetOrigin:
    """The manifest knows which version was fetched, the catalog the rest."""
    return DatasetOrigin(
        name=name,
        title=stated.get("title") or name or "Rows without a dataset",
        images=images,
        version=about.get("version") or stated.get("version"),
        digest=about.get("catalog_digest") or stated.get("digest"),
        tool=about.get("tool"),
        homepage=stated.get("homepage"),
        license=about.get("license") or stated.get("license"),
        more=tuple(sorted((key, value) for key, value in about.items() if key not in SHOWN_METADATA)),
    )


def origins_from_facts(facts: Mapping[str, Any]) -> tuple[DatasetOrigin, ...]:
    """The datasets where no rows are at hand."""
    return tuple(
        make_origin(one["name"], one.get("images") or 0, one, {})
        for one in facts.get("datasets", ())
        if one.get("name")
    )


def page_citations(facts: Mapping[str, Any]) -> tuple[PageCitation, ...]:
    return tuple(
        PageCitation(
            dataset=one["dataset"],
            license=one.get("license"),
            rows=one.get("rows"),
            text=one.get("attribution"),
            doi=one.get("doi"),
            bibtex=one.get("bibtex"),
        )
        for one in facts.get("citations", ())
    )


def page_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What every page says of itself; None where nobody says it."""
    return {name: facts.get(name) for name in ("tool", "made", "command", "history", "effective_license")}


def page_title(found: Sequence[DatasetOrigin]) -> str:
    names = [one.title for one in found]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "No images"
