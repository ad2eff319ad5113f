"""The ISIC Archive's DOIs: a frozen bundle, its table and further files, as the landing page of each links them.

https://api.isic-archive.com/doi/<slug>/ ; the files lie in S3 below `dois/10.34970-<number>/`, open and without checksums
(isic/core/models/doi.py and doi_detail.html of ImageMarkup/isic@b3713ecd).
"""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from dermdata.errors import DermdataError, ServerRefused
from dermdata.hosts.base import (
    RecordFacts,
    ResolveContext,
    absence_error,
    fill_request,
    guess_role,
    is_complete,
    make_request,
    match_identity,
    pick_file,
    unexpected_answer,
)
from dermdata.model import Dataset, File, Request

PAGES = "https://api.isic-archive.com/doi/"
FORM = "isicdoi:<number>/<slug>, or isicdoi:<slug>"
IDENTITY = r"(?:(\d+)/)?([A-Za-z0-9_-]+)"


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`648456/milk10k`: the file of this name that the page links; the catalog's own addresses after it."""
    del dataset
    if is_complete(file) and file.urls:
        return make_request(file, ())
    number, slug = match_identity(IDENTITY, identity, FORM).groups()
    try:
        found = pick_file(file.name, request_files(number, slug, context), describe_page(slug))
    except DermdataError:
        if not file.urls:
            raise
        return make_request(file, ())  # known from elsewhere
    request = make_request(file, tuple(one for one in found.urls if one not in file.urls))
    if context.head is None:
        return request
    seen = context.head(request)
    return fill_request(request, seen.size, None)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `648456/milk10k`: the bundle, whose name ends in `.zip`, its table and what else there is."""
    number, slug = match_identity(IDENTITY, identity, FORM).groups()
    return request_files(number, slug, context)


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """The page of `648456/milk10k`: it is of one version, and says no more that can be read."""
    del context
    number, slug = match_identity(IDENTITY, identity, FORM).groups()
    page = f"{PAGES}{slug}/"
    return RecordFacts(
        place=f"isicdoi:{identity}", page=page, source=page, doi=f"10.34970/{number}" if number else None
    )


def request_files(number: str | None, slug: str, context: ResolveContext) -> tuple[File, ...]:
    """The files that a landing page links, of this number where it is known."""

    def ask() -> tuple[File, ...]:
        url, what = f"{PAGES}{slug}/", describe_page(slug)
        try:
            page = context.read(url)
        except ServerRefused as error:
            raise absence_error(what, url, error) from error
        return tuple(read_links(page.decode("utf-8", "replace"), url, number, what))

    return context.answers.get_or_ask(("isicdoi", number or "", slug), ask)


def read_links(page: str, url: str, number: str | None, what: str) -> list[File]:
    """The files of a page; NotTheFile where it is that of another number."""
    reader = LinkReader()
    reader.feed(page)
    found: dict[str, File] = {}
    numbers = set()
    for link in reader.links:
        address = urljoin(url, link)
        match = re.search(r"/dois/10\.\d+-(\d+)/(.+)\Z", unquote(urlsplit(address).path))
        if match is None:
            continue
        numbers.add(match[1])
        name = match[2]
        role = "images" if name.endswith(".zip") else guess_role(name)
        found[name] = File(
            name=name, role=role, urls=(address,), unpack="zip" if name.endswith(".zip") else None
        )
    if number is not None and numbers - {number}:
        raise unexpected_answer(f"{what} has files of 10.34970/{min(numbers - {number})}, not of {number}")
    return list(found.values())


def describe_page(slug: str) -> str:
    return f"page of the DOI {slug}"


class LinkReader(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]
