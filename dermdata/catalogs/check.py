"""What types cannot say of a catalog entry: slugs, addresses, checksums, names that refer to each other.

Looks at the data itself, not at the entry made of it, so that these issues are told with all others. A
value of the wrong type is the types' matter and passed over here.
"""

import codecs
import ipaddress
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from dermdata import checksum
from dermdata.errors import UsageError, nearest
from dermdata.urls import redact, redact_url, secrets_in

Data = Mapping[str, Any]
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SOURCE = re.compile(r"[a-z0-9]+:.+\Z", re.DOTALL)
FIELD = re.compile(r"\{([^{}]*)\}")
DOI = re.compile(r"10\.\d[\d.]*/\S+")
WEB = ("https", "http")


class Issues:
    """Problems found so far, each with its place."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, problem: str) -> None:
        self.found.append(redact(f"{where}: {problem}" if where else problem))


def check(data: Data, issues: Issues) -> None:
    """Add every issue of meaning, with its place."""
    files, tables = tables_of(data.get("files")), tables_of(data.get("table"))
    names = Counter(name for file in files for name in texts(file.get("name")))
    found = [*entry_issues(data), *page_issues(data), *secret_issues(data)]
    found += [(f"files[{name}]", "is listed twice") for name, count in names.items() if count > 1]
    found += list(twin_issues(names))
    for number, file in enumerate(files):
        found += placed(f"files[{file.get('name', number)}]", file_issues(file))
    for number, table in enumerate(tables):
        found += placed(f"table[{number}]", [*reference_issues(table, names), *form_issues(table)])
    for where, problem in found:
        issues.add(where, problem)


def placed(where: str, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(f"{where}.{key}", problem) for key, problem in found]


def twin_issues(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """File names that are one name to a disk that is blind to case or composes accents."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if twin != name:
            yield f"files[{name}]", f"is '{twin}' on disks that are blind to case"


def entry_issues(data: Data) -> Iterator[tuple[str, str]]:
    for key in ("name", "aliases"):
        for name in texts(data.get(key)):
            if not SLUG.match(name):
                yield key, f"'{name}' must be kebab-case [a-z0-9-]"
    for access in tables_of(data.get("access")):
        if access.get("kind") == "unavailable" and not access.get("evidence"):
            yield "access.evidence", "is missing: say why it cannot be had"


def page_issues(data: Data) -> Iterator[tuple[str, str]]:
    """What is wrong with the addresses that a person is sent to."""
    pages = [("homepage", page) for page in texts(data.get("homepage"))]
    pages += [(f"{key}.url", page) for key in ("license", "access") for page in words_of(data, key, "url")]
    found = [(where, page, page_problem(page)) for where, page in pages]
    found += [("citation.doi", doi, doi_problem(doi)) for doi in words_of(data, "citation", "doi")]
    yield from ((where, f"'{redact_url(address)}' {problem}") for where, address, problem in found if problem)


def words_of(data: Data, table: str, key: str) -> list[str]:
    return [word for one in tables_of(data.get(table)) for word in texts(one.get(key))]


def doi_problem(doi: str) -> str | None:
    if DOI.fullmatch(doi) and doi.isprintable():
        return None
    return "is no DOI: write it as 10.1234/abc, without an address before it"


def tables_of(value: Any) -> list[Data]:
    return [one for one in listed(value) if isinstance(one, Mapping)]


def files_of(data: Data) -> list[Any]:
    return listed(data.get("files"))


def listed(value: Any) -> list[Any]:
    """A list as it stands, a single value as a list of one, nothing as none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def texts(value: Any) -> list[str]:
    return [one for one in listed(value) if isinstance(one, str)]


# ------------------------------------------------------------------ files


def file_issues(file: Data) -> Iterator[tuple[str, str]]:
    """What is wrong with one file: (key, problem)."""
    faults = [fault for text in texts(file.get("checksum")) if (fault := checksum_fault(text))]
    yield from (("checksum", fault) for fault in faults)
    size = file.get("size")
    if isinstance(size, int) and size <= 0:
        yield "size", "must be positive"
    checked = bool(texts(file.get("checksum"))) and not faults
    for url in texts(file.get("urls")):
        if problem := address_problem(url, checked):
            yield "urls", f"'{redact_url(url)}' {problem}"
    for source in texts(file.get("source")):
        if not SOURCE.match(source):
            yield "source", f"'{redact_url(source)}' must be <host>:<id>"
    if not all(map(plain_path, texts(file.get("name")))):
        yield "name", "must be a plain relative path"


def checksum_fault(text: str) -> str | None:
    try:
        checksum.parse(text)
    except UsageError as error:
        return error.message
    return None


def plain_path(name: str) -> bool:
    """Whether a name stays where it is put, here and on a mirror."""
    parts = name.split("/")
    return not ("\\" in name or CONTROL.search(name) or {"", ".", ".."} & set(parts))


def page_problem(url: str) -> str | None:
    """Why nobody may be sent to this address; None when they may: a browser runs what `javascript:` says."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018  # a port that is none raises here
    except ValueError:
        return "is no address: write the page's, https://…"
    if parts.scheme not in WEB or not host or not url.isprintable() or " " in url:
        return "is no http(s) address: write the page's, https://…, or leave it out"
    return None


def secret_issues(data: Data) -> Iterator[tuple[str, str]]:
    """Addresses anywhere in the entry, in running words too, that nobody else may know: a catalog is shared."""
    waiting: list[tuple[str, Any]] = [("", data)]  # a stack: dotted keys nest deeper than Python may call
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(f"{where}.{key}" if where else str(key), item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(f"{where}{name_of(item)}", item) for item in value]
        for url in secrets_in(value) if isinstance(value, str) else ():
            yield (
                where,
                f"'{url}' holds a password or a token: a catalog is shared, secrets go into the environment",
            )


def name_of(item: Any) -> str:
    return f"[{item['name']}]" if isinstance(item, Mapping) and "name" in item else ""


def address_problem(url: str, checked: bool) -> str | None:
    """Why no file may be taken from this address; None when it may.

    Over http anyone on the way can change the bytes, so only a checksum makes it fit: without one, the
    first download would be trusted on sight. Loopback does not leave this machine. Private hosts are
    allowed, since a hospital's catalog names its own; that a public host must not lead there by a
    redirect is for `dermdata.http` to see.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018  # a port that is none raises here
    except ValueError:
        return "is no address"
    if parts.scheme not in WEB or not host or not url.isprintable() or url != url.strip():
        return "is no http(s) address"
    if parts.scheme == "http" and not checked and not loopback(host):
        return "is plain http: it needs a checksum, or https"
    return None


def loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ------------------------------------------------------------------ tables


def reference_issues(table: Data, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Files that a table names but the catalog has not: (key, problem)."""
    for key, name in references(table):
        if name not in names:
            near = nearest(name, names)
            yield key, f"no [[files]] entry '{name}'{f', did you mean {near[0]}?' if near else ''}"


def form_issues(table: Data) -> Iterator[tuple[str, str]]:
    """What makes a table's delimiter, encoding or pattern impossible: (key, problem)."""
    for delimiter in texts(table.get("delimiter")):
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '\r\n"':
            yield "delimiter", f"{delimiter!r} must be one sign, for example a comma"
    for encoding in texts(table.get("encoding")):
        if not is_encoding(encoding):
            yield "encoding", f"'{encoding}' is no text encoding"
    for pattern in texts(table.get("pattern")):
        fields = FIELD.findall(pattern)
        if not fields or len(set(fields)) < len(fields) or not all(map(str.isidentifier, fields)):
            yield "pattern", "needs {fields}, each a word and each once"


def references(table: Data) -> Iterator[tuple[str, str]]:
    """The catalog files that a table names, with the keys where it does."""
    for key in ("file", "images"):
        yield from ((key, name) for name in texts(table.get(key)))
    for join in listed(table.get("join")):
        if isinstance(join, Mapping):
            yield from (("join", name) for name in texts(join.get("file")))


def is_encoding(name: str) -> bool:
    try:
        "".encode(codecs.lookup(name).name)
    except (LookupError, ValueError):
        return False
    return True
