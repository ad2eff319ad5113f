"""Parses one catalog file's data to a frozen Dataset, or lists every issue of the file at once (pure).

The checks of meaning (slugs, addresses, checksums, references) look at the data itself, not at the entry made of it,
so that their issues are listed together with those of the types. What an entry tells in other words (whether it can be
fetched, how it is cited) stands at the end.
"""

import codecs
import ipaddress
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache, lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from dermdata import checksum
from dermdata.errors import BadCatalog, UsageError, nearest
from dermdata.markup import bibtex_entry
from dermdata.model import ANY_FILE, Dataset, FetchWay
from dermdata.urls import find_secret_urls, redact_text, redact_url

Data = Mapping[str, Any]
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SOURCE = re.compile(r"[a-z0-9]+:.+\Z", re.DOTALL)
FIELD = re.compile(r"\{([^{}]*)\}")
DOI = re.compile(r"10\.\d[\d.]{0,30}/\S+")
CITED_YEAR = re.compile(r"\(((?:19|20)\d\d)\)")
CITED_PREPRINT = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
AUTHORS = re.compile(
    r"\bauthor\s*=\s*[{\"](.*?)[}\"]\s*(?:,\s*$|\}?\s*\Z)", re.IGNORECASE | re.DOTALL | re.MULTILINE
)
WEB = ("https", "http")
TYPE_NAMES = {
    "str": "text", "Mapping": "a table", "dict": "a table", "list": "a list", "int": "a whole number",
    "bool": "true or false", "float": "a decimal number",
}  # fmt: skip


class Issues:
    """Problems found so far, each with its place."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, problem: str) -> None:
        self.found.append(redact_text(f"{where}: {problem}" if where else problem))


def check_entry(data: Data, issues: Issues) -> None:
    """Add every issue of meaning, with its place."""
    files, tables = list_tables(data.get("files")), list_tables(data.get("table"))
    names = Counter(name for file in files for name in list_texts(file.get("name")))
    found = [*entry_issues(data), *page_issues(data), *secret_issues(data)]
    found += [(f"files[{name}]", "is listed twice") for name, count in names.items() if count > 1]
    found += list(twin_issues(names))
    files += [part for file in files for part in list_tables(file.get("parts"))]
    for number, file in enumerate(files):
        found += prefix_places(
            f"files[{file.get('name', number)}]", [*file_issues(file), *name_encoding_issues(file)]
        )
    for number, table in enumerate(tables):
        problems = [*reference_issues(table, names), *format_issues(table), *column_issues(table)]
        found += prefix_places(f"table[{number}]", problems)
    for where, problem in found:
        issues.add(where, problem)


def prefix_places(where: str, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
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
        for name in list_texts(data.get(key)):
            if not SLUG.match(name):
                yield key, f"'{name}' must be kebab-case [a-z0-9-]"
    for access in list_tables(data.get("access")):
        if access.get("kind") == "unavailable" and not access.get("evidence"):
            yield "access.evidence", "is missing: say why it cannot be had"
    if data.get("listed") and ":" not in str(data.get("listing", "")):
        yield "listed", 'is of the files that a host lists: listing = "<host>:<id>" is missing'


def page_issues(data: Data) -> Iterator[tuple[str, str]]:
    """What is wrong with the addresses that a person is sent to."""
    pages = [("homepage", page) for page in list_texts(data.get("homepage"))]
    pages += [(f"{key}.url", page) for key in ("license", "access") for page in table_texts(data, key, "url")]
    found = [(where, page, page_problem(page)) for where, page in pages]
    found += [("citation.doi", doi, doi_problem(doi)) for doi in table_texts(data, "citation", "doi")]
    yield from ((where, f"'{redact_url(address)}' {problem}") for where, address, problem in found if problem)


def table_texts(data: Data, table: str, key: str) -> list[str]:
    return [word for one in list_tables(data.get(table)) for word in list_texts(one.get(key))]


def doi_problem(doi: str) -> str | None:
    if DOI.fullmatch(doi) and doi.isprintable():
        return None
    return "is no DOI: write it as 10.1234/abc, without an address before it"


def list_tables(value: Any) -> list[Data]:
    return [one for one in to_list(value) if isinstance(one, Mapping)]


def list_files(data: Data) -> list[Any]:
    return to_list(data.get("files"))


def to_list(value: Any) -> list[Any]:
    """A list as it stands, a single value as a list of one, nothing as none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def list_texts(value: Any) -> list[str]:
    return [one for one in to_list(value) if isinstance(one, str)]


# ------------------------------------------------------------------ files


def file_issues(file: Data) -> Iterator[tuple[str, str]]:
    """What is wrong with one file: (key, problem)."""
    checksums = list_texts(file.get("checksum"))
    faults = list(filter(None, map(checksum_problem, checksums)))
    yield from (("checksum", fault) for fault in faults)
    size = file.get("size")
    if isinstance(size, int) and size <= 0:
        yield "size", "must be positive"
    checked = bool(checksums) and not faults
    for url in list_texts(file.get("urls")):
        if problem := address_problem(url, checked):
            yield "urls", f"'{redact_url(url)}' {problem}"
    for source in list_texts(file.get("source")):
        if not SOURCE.match(source):
            yield "source", f"'{redact_url(source)}' must be <host>:<id>"
    if not all(map(is_plain_path, list_texts(file.get("name")))):
        yield "name", "must be a plain relative path"


def checksum_problem(text: str) -> str | None:
    try:
        checksum.parse_checksum(text)
    except UsageError as error:
        return error.message
    return None


def name_encoding_issues(file: Data) -> Iterator[tuple[str, str]]:
    """What is wrong with the code page of a zip's names: (key, problem)."""
    for encoding in list_texts(file.get("name_encoding")):
        if file.get("unpack") != "zip":
            yield "name_encoding", 'is of the names in a zip: unpack = "zip" is missing'
        elif not is_encoding(encoding):
            yield "name_encoding", f"'{encoding}' is no text encoding"


def is_plain_path(name: str) -> bool:
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
            waiting += [(f"{where}{item_suffix(item)}", item) for item in value]
        for url in find_secret_urls(value) if isinstance(value, str) else ():
            yield (
                where,
                f"'{url}' holds a password or a token: a catalog is shared, secrets go into the environment",
            )


def item_suffix(item: Any) -> str:
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
    if parts.scheme == "http" and not checked and not is_loopback(host):
        return "is plain http: it needs a checksum, or https"
    return None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# ------------------------------------------------------------------ tables


def reference_issues(table: Data, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Files that a table names but the catalog has not: (key, problem)."""
    for key, name in file_references(table):
        if name not in names and name != ANY_FILE:
            yield key, f"no [[files]] entry '{name}'{did_you_mean(name, names)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as the end of a sentence; empty where none is near."""
    near = nearest(name, known)
    return f", did you mean {near[0]}?" if near else ""


def format_issues(table: Data) -> Iterator[tuple[str, str]]:
    """What makes a table's delimiter, encoding or pattern impossible: (key, problem)."""
    for delimiter in list_texts(table.get("delimiter")):
        if not is_delimiter(delimiter):
            yield "delimiter", f"{delimiter!r} must be one sign, for example a comma"
    for encoding in list_texts(table.get("encoding")):
        if not is_encoding(encoding):
            yield "encoding", f"'{encoding}' is no text encoding"
    for pattern in list_texts(table.get("pattern")):
        if not is_pattern(pattern):
            yield "pattern", "needs {fields}, each a word and each once"


def column_issues(table: Data) -> Iterator[tuple[str, str]]:
    """Fields that are to come from no column at all, or from several where one can be meant: (key, problem)."""
    columns = table.get("columns")
    for field, names in columns.items() if isinstance(columns, Mapping) else ():
        if names == []:
            yield f"columns.{field}", "names no column"
        elif field == "differential" and len(to_list(names)) > 1:
            yield f"columns.{field}", "is one column"


def file_references(table: Data) -> Iterator[tuple[str, str]]:
    """The catalog files that a table names, with the keys where it does."""
    for key in ("file", "images"):
        yield from ((key, name) for name in list_texts(table.get(key)))
    for key in ("join", "boxes"):
        for part in list_tables(table.get(key)):
            yield from ((key, name) for name in list_texts(part.get("file")))


def is_delimiter(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text not in '\r\n"'


def is_pattern(text: str) -> bool:
    """Whether it has {fields}, each a word and each once."""
    found = FIELD.findall(text)
    return bool(found) and len(set(found)) == len(found) and all(map(str.isidentifier, found))


def is_encoding(name: str) -> bool:
    try:
        "".encode(codecs.lookup(name).name)
    except (LookupError, ValueError):
        return False
    return True


def parse_entry(data: Data, source: str) -> Dataset:
    """The entry that a TOML file's data describes; BadCatalog lists every issue with its place."""
    issues = Issues()
    dataset = parse_dataclass(Dataset, data, "", issues)
    if isinstance(data, Mapping):
        check_entry(data, issues)
    if issues.found:
        lines = "".join(f"\n  {issue}" for issue in issues.found)
        raise BadCatalog(f"{source} has {len(issues.found)} issue(s):{lines}")
    return dataset  # type: ignore[no-any-return]  # parse_dataclass is generic over every catalog class


@lru_cache(maxsize=256)
def parse_entry_text(text: str | bytes, source: str) -> Dataset:
    """The entry of a JSON text: parsed once in a process, however often its catalog is opened; nothing changes it."""
    return parse_entry(json.loads(text), source)


# ------------------------------------------------------------------ types


@cache
def type_hints(cls: type) -> Mapping[str, Any]:
    return get_type_hints(cls)


@cache
def fields_by_name(cls: type) -> Mapping[str, Field[Any]]:
    return {field.name: field for field in fields(cls)}


@cache
def type_parts(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(kind), get_args(kind)


def parse_dataclass(cls: type, data: Any, where: str, issues: Issues) -> Any:
    """An instance of a catalog dataclass; unknown and missing keys and wrong types become issues."""
    if not isinstance(data, Mapping):
        issues.add(where, f"must be a table, not {type_name(data)}")
        return None
    known, hints = fields_by_name(cls), type_hints(cls)
    for key in data:
        if key not in known:
            issues.add(join_key(where, key), f"unknown key{did_you_mean(key, known)}")
    values = {}
    for name, field in known.items():
        if name in data:
            values[name] = parse_value(hints[name], data[name], join_key(where, name), issues)
        elif field.default is MISSING and field.default_factory is MISSING:
            issues.add(join_key(where, name), "is missing")
    return cls(**values) if not issues.found else None


def parse_value(kind: Any, value: Any, where: str, issues: Issues) -> Any:
    """The value as the annotated type says, or an issue."""
    origin, args = type_parts(kind)
    if origin in (UnionType, Union):  # X | None: absent means None
        return parse_value(args[0], value, where, issues)
    if origin is Literal:
        return parse_choice(args, value, where, issues)
    if origin is tuple:
        return parse_list(args[0], value, where, issues)
    if origin is not None and issubclass(origin, Mapping):
        return parse_table(args[1], value, where, issues)
    if is_dataclass(kind) and isinstance(kind, type):
        return parse_dataclass(kind, value, where, issues)
    if not is_of_type(value, kind):
        issues.add(where, f"must be {TYPE_NAMES.get(kind.__name__, kind.__name__)}, not {type_name(value)}")
    return value


def is_of_type(value: Any, kind: type) -> bool:
    """Whether the value is of this type; true and false are no whole numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def parse_choice(allowed: tuple[Any, ...], value: Any, where: str, issues: Issues) -> Any:
    if value not in allowed:
        hint = did_you_mean(str(value), allowed) or f", must be {' | '.join(allowed)}"
        issues.add(where, f"'{value}' is not allowed{hint}")
    return value


def parse_list(kind: Any, value: Any, where: str, issues: Issues) -> tuple[Any, ...]:
    """A list; a single string or table stands for a list of one."""
    items = value if isinstance(value, list) else [value]
    return tuple(
        parse_value(kind, item, f"{where}[{item_label(item, n)}]", issues) for n, item in enumerate(items)
    )


def parse_table(kind: Any, value: Any, where: str, issues: Issues) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        issues.add(where, f"must be a table, not {type_name(value)}")
        return {}
    return {key: parse_value(kind, item, join_key(where, key), issues) for key, item in value.items()}


def item_label(item: Any, number: int) -> str:
    return str(item["name"]) if isinstance(item, Mapping) and "name" in item else str(number)


def join_key(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def type_name(value: Any) -> str:
    name = type(value).__name__
    return TYPE_NAMES.get(name, name)


# ------------------------------------------------------------------ what an entry tells


def has_address(dataset: Dataset, *, mirrored: bool = False) -> bool:
    """Whether the catalog, or a host that it names, knows where a file is; with a mirror, whether there is any file."""
    known = (one.fetch and (one.source or one.urls or one.parts or mirrored) for one in dataset.files)
    return bool(dataset.listing) or any(known)


def find_fetch_way(dataset: Dataset) -> FetchWay:
    """Whether `fetch` can bring the dataset: yes, with an account, what a form or a hand got, or not at all."""
    if dataset.access.kind == "unavailable":
        return "no"
    if not (has_address(dataset) or dataset.access.paths):
        return "form" if dataset.access.kind == "agreement" else "by-hand"
    return "account" if dataset.access.service else "yes"


def describe_layout(dataset: Dataset) -> list[str]:
    """Why a fetch gives no rows, or that its rows are inferred; nothing where the layout is known."""
    lines = [f"{dataset.name}: no rows: {dataset.no_rows}"] if dataset.no_rows else []
    if any(spec.inferred for spec in dataset.table):
        lines.append(
            f"{dataset.name}: the layout is inferred: each image file is a row, by its path, without label"
        )
    return lines


def make_bibtex(dataset: Dataset) -> str | None:
    """The publisher's BibTeX entry; where the catalog has none, one of what it does know of the paper or the data.

    None where it knows neither a DOI nor a citation. Authors are never made up: `bibtex_gaps` says that they lack.
    """
    cited = dataset.citation
    if not (cited.bibtex or cited.text or cited.doi):
        return None
    text = cited.text or ""
    years, preprint = CITED_YEAR.findall(text), CITED_PREPRINT.search(text)
    return bibtex_entry(
        dataset.name,
        cited.bibtex,
        title=dataset.title,
        year=years[-1] if years else None,
        doi=cited.doi,
        eprint=preprint[1] if preprint else None,
        archiveprefix="arXiv" if preprint else None,
        url=None if cited.doi else dataset.homepage,
        note=cited.text,
    )


def bibtex_gaps(entry: str) -> str | None:
    """What a journal asks for and the entry lacks: authors, or their given names."""
    field = AUTHORS.search(entry)
    if field is None:
        return "no authors"
    names = [name.strip() for name in re.split(r"\s+and\s+", field[1]) if name.strip() != "others"]
    bare = any(not re.search(r"[,\s{]", name) for name in names)
    return "authors without given names" if bare else None
