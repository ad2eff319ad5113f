"""A record of a host as people write it (a short form, a DOI, the address of its page) as `<host>:<id>`; pure.

What an address leaves open, as the version or the commit that a branch is now, the host says: `hosts.state_record`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dermdata.errors import UnknownName, UsageError
from dermdata.urls import redact_url

REGISTRY = "doi"  # the place of a DOI of which only the registry knows where it leads
# how a record of each host is written
FORMS: Mapping[str, str] = MappingProxyType(
    {
        "zenodo": "zenodo:<record>",
        "figshare": "figshare:<article>[/versions/<number>]",
        "dataverse": "dataverse:[<server>/]doi:<doi>",
        "mendeley": "mendeley:<dataset>[/<version>]",
        "osf": "osf:<project>[/<folder>]",
        "huggingface": "hf:<owner>/<name>[@<revision>][/<folder>]",
        "kaggle": "kaggle:<owner>/<slug>[@<version>]",
        "github": "github:<owner>/<repository>[@<branch or commit>][/<folder>]",
        "isic": "isic:collections=<number>,<number>",
        "isicdoi": "isicdoi:[<number>/]<slug>",
        REGISTRY: "doi:10.<number>/<name>",
    }
)
SHORT = MappingProxyType({"hf": "huggingface"})
DOI_START = re.compile(r"10\.\d{4,9}/")
NAME = r"[\w.-]+"
FOLDER = r"(?:/(.+?))?/?"
# what stands behind the host's name in a short form -> the id
IDENTITIES: tuple[tuple[str, str, str], ...] = (
    ("zenodo", r"(\d+)", "{0}"),
    ("figshare", r"(\d+)", "{0}"),
    ("figshare", r"(\d+)/(?:versions/)?(\d+)", "{0}/versions/{1}"),
    ("dataverse", r"((?:[a-z0-9-]+(?:\.[a-z0-9-]+)+/)?(?:doi|hdl):.+)", "{0}"),
    ("mendeley", r"([a-z0-9]+)", "{0}"),
    ("mendeley", r"([a-z0-9]+)/(\d+)", "{0}/{1}"),
    ("osf", rf"([a-z0-9]{{5}}){FOLDER}", "{0}/{1}"),
    ("huggingface", rf"(?:datasets/)?({NAME}/{NAME})(?:@([^/@]+))?{FOLDER}", "datasets/{0}@{1}/{2}"),
    ("kaggle", r"(?:datasets/)?([\w-]+/[\w-]+)(?:(?:@|/versions/)(\d+))?", "{0}@{1}"),
    ("github", rf"({NAME}/[\w.-]+?)(?:\.git)?(?:@(.+?))?/?", "{0}@{1}"),
    ("isic", r"(?:collections=)?(\d+(?:,\d+)*)", "collections={0}"),
    ("isic", r"((?:(?:collections|query)=[^&]+&?)+)", "{0}"),
    ("isicdoi", r"((?:\d+/)?[\w-]+)", "{0}"),
)
# <name>.<domain>/<path>, without scheme, www., slash at the end -> place
PAGES: tuple[tuple[str, str], ...] = (
    (r"zenodo\.org/(?:api/)?records?/(\d+)(?:/.*)?", "zenodo:{0}"),
    (r"zenodo\.org/(?:doi|badge/doi|badge/latestdoi)/(10\..+?)(?:\.svg)?", "doi:{0}"),
    (
        r"(?:[\w-]+\.)*figshare\.com/(?:v2/|ndownloader/)?articles/(?:[^/]+/){0,2}?(\d{4,})(?:/(?:versions/)?(\d{1,3}))?"
        r"(?:/files)?",
        "figshare:{0}/{1}",
    ),
    (r"data\.mendeley\.com/(?:public-api/)?datasets/([a-z0-9]{6,})(?:/(\d+))?(?:/files)?", "mendeley:{0}/{1}"),
    (r"osf\.io/([a-z0-9]{5})(?:/.*)?", "osf:{0}"),
    (r"api\.osf\.io/v2/nodes/([a-z0-9]{5})(?:/.*)?", "osf:{0}"),
    (r"files\.osf\.io/v1/resources/([a-z0-9]{5})(?:/.*)?", "osf:{0}"),
    (rf"(?:huggingface\.co|hf\.co)/(?:api/)?datasets/({NAME}/{NAME})/tree/([^/]+){FOLDER}", "hf:{0}@{1}/{2}"),
    (rf"(?:huggingface\.co|hf\.co)/datasets/({NAME}/{NAME})/(?:blob|resolve|raw)/([^/]+)/.*", "hf:{0}@{1}"),
    (rf"(?:huggingface\.co|hf\.co)/(?:api/)?datasets/({NAME}/{NAME})(?:/.*)?", "hf:{0}"),
    (
        r"kaggle\.com/(?:api/v1/)?datasets/(?:(?:download|list|view)/)?([\w-]+/[\w-]+)/versions/(\d+)(?:/.*)?",
        "kaggle:{0}@{1}",
    ),
    (r"kaggle\.com/(?:api/v1/)?datasets/(?:(?:download|list|view)/)?([\w-]+/[\w-]+)(?:/.*)?", "kaggle:{0}"),
    # as papers before 2022 cite it
    (
        r"kaggle\.com/(?!(?:c|code|competitions|models|docs|learn|discussions|organizations|settings|api)/)"
        r"([\w-]+/[\w-]+)(?:/(?:data|home))?",
        "kaggle:{0}",
    ),
    (rf"github\.com/({NAME}/[\w.-]+?)(?:\.git)?/tree/(.+)", "github:{0}@{1}"),
    (rf"github\.com/({NAME}/{NAME})/(?:blob|raw|commit)/([^/]+)(?:/.*)?", "github:{0}@{1}"),
    (rf"github\.com/({NAME}/{NAME})/archive/(?:refs/(?:heads|tags)/)?(.+?)(?:\.zip|\.tar\.gz)", "github:{0}@{1}"),
    (rf"github\.com/({NAME}/[\w.-]+?)(?:\.git)?(?:/(?:releases|wiki|issues|actions)(?:/.*)?)?", "github:{0}"),
    (rf"raw\.githubusercontent\.com/({NAME}/{NAME})/(?:refs/heads/)?([^/]+)/.*", "github:{0}@{1}"),
    (rf"api\.github\.com/repos/({NAME}/{NAME})(?:/.*)?", "github:{0}"),
    (r"api\.isic-archive\.com/(?:api/v2/)?collections/(\d+)(?:/.*)?", "isic:{0}"),
    (r"api\.isic-archive\.com/doi/([\w-]+)", "isicdoi:{0}"),
    (r"(?:dx\.)?doi\.org/(10\..+)", "doi:{0}"),
)  # fmt: skip
# a DOI -> the place that it names by itself; of others the registry knows
DOIS: tuple[tuple[str, str], ...] = (
    (r"10\.5281/zenodo\.(\d+)", "zenodo:{0}"),
    (r"10\.\d+/(?:[\w.]*\.)?figshare\.(\d+)(?:\.v(\d+))?", "figshare:{0}/{1}"),
    (r"10\.7910/(DVN/[A-Z0-9]+)(?:/.*)?", "dataverse:doi:10.7910/{0}"),
    (r"10\.17632/([a-z0-9]+)(?:\.(\d+))?", "mendeley:{0}/{1}"),
    (r"10\.17605/osf\.io/([a-z0-9]{5})", "osf:{0}"),
)
DATAVERSE_ID = re.compile(
    r"((?:doi:10|hdl:\d+)\.[0-9.]+/(?:(?:[A-Za-z]+|[A-Z0-9]{2,4})/)?[A-Za-z0-9][A-Za-z0-9_-]*)"
)


def read_address(text: str) -> str | None:
    """The place of a record that a word names, in any form that people write; None for what names none.

    UsageError for an address of a page, or a host's short form, that leads to no record.
    """
    word = text.lstrip(" \t\r\n<\"'").rstrip(" \t\r\n>\"'.,;")
    if DOI_START.match(word):
        return read_doi(word)
    name, sign, rest = word.partition(":")
    name = SHORT.get(name.lower(), name.lower())
    if sign and name in FORMS:
        return read_short(name, rest.strip())
    if re.match(r"(?:https?:)?//|www\.", word, re.IGNORECASE):
        return require_page(word)
    return find_page_place(f"https://{word}") if re.match(r"[\w-]+(?:\.[\w-]+)+/", word) else None


def read_short(host: str, rest: str) -> str:
    """The place that a short form names: the host and its id, a DOI or the page's address in place of the id."""
    if rest.startswith(("http://", "https://")):
        return require_page(rest)
    if host == REGISTRY and DOI_START.match(rest):
        return read_doi(rest)
    if DOI_START.match(rest):
        return f"dataverse:doi:{rest}" if host == "dataverse" else read_doi(rest)
    for name, pattern, identity in IDENTITIES:
        if name == host and (match := re.fullmatch(pattern, rest)):
            return f"{host}:{join_parts(identity, match)}"
    raise UsageError(f"'{host}:{rest}' names no record", hint=f"write {FORMS[host]}")


def read_doi(doi: str) -> str:
    """The place of a DOI, in whatever letters: these are the same in all but Dataverse's own names."""
    doi = unquote(doi).rstrip("/").removesuffix(".")
    for pattern, place in DOIS:
        known = doi.upper() if "DVN" in pattern else doi.lower()
        if match := re.fullmatch(pattern, known):
            return read_short(*split_place(join_parts(place, match)))
    return f"{REGISTRY}:{doi}"


def require_page(address: str) -> str:
    """The place of a page; UsageError for one that is of no host, or of no record there."""
    found = find_page_place(address)
    if found is None:
        raise UsageError(
            f"{redact_url(address)} is no page of a record that dermdata knows",
            hint="give the record's own page, its DOI or "
            f"{', '.join(form for name, form in FORMS.items() if name != REGISTRY)}; "
            "or download its files and add their folder",
        )
    return found


def find_page_place(address: str) -> str | None:
    """The place of a page by its address; query and fragment say no more, but for a few hosts."""
    address = (
        address
        if "://" in address
        else f"https:{address}"
        if address.startswith("//")
        else f"https://{address}"
    )
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    if found := find_queried_place(host, parts) or find_queried_version(host, parts):
        return found
    page = f"{host}/{'/'.join(filter(None, parts.path.split('/')))}"
    for pattern, place in PAGES:
        if match := re.fullmatch(pattern, page, re.IGNORECASE):
            return read_short(*split_place(unquote_place(join_parts(place, match))))
    return None


def find_queried_place(host: str, parts: SplitResult) -> str | None:
    """The place where the query names it: any server of Dataverse, a search of the ISIC Archive."""
    asked = dict(parse_qsl(parts.query))
    if found := DATAVERSE_ID.match(asked.get("persistentId", "")):
        return f"dataverse:{'' if host == 'dataverse.harvard.edu' else f'{host}/'}{found[1]}"
    searched = {key: asked[key] for key in ("collections", "query") if key in asked}
    if host != "api.isic-archive.com" or not searched:
        return None
    return f"isic:{'&'.join(map('='.join, searched.items()))}"


def find_queried_version(host: str, parts: SplitResult) -> str | None:
    """The place at Kaggle of which the query names the version."""
    version = dict(parse_qsl(parts.query)).get("datasetVersionNumber") if host == "kaggle.com" else None
    place = find_page_place(f"https://{host}{parts.path}") if version else None
    return place and f"{place.partition('@')[0]}@{version}"


def unquote_place(place: str) -> str:
    """A place out of an address; a revision of Hugging Face stays as it is: a slash in it is no slash."""
    if place.startswith("hf:"):
        return place
    return place.lower() if place.startswith("osf:") else unquote(place)


def join_parts(form: str, match: re.Match[str]) -> str:
    """The form with the parts that were found; what no part was found for is left out with the sign before it."""
    parts = match.groups()
    for number, part in enumerate(parts):
        sign = f"{{{number}}}"
        if part is None:
            form = re.sub(rf"(?:/versions)?[@/]{re.escape(sign)}", "", form)
        form = form.replace(sign, part or "")
    return form


def split_place(place: str) -> tuple[str, str]:
    """Host and id of a place."""
    host, _, identity = place.partition(":")
    host = SHORT.get(host, host)
    if host not in FORMS:
        raise UnknownName("host of records", host, FORMS)
    return host, identity
