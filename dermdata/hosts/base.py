"""What all hosts share: whom they may ask, how their answers are read, and that the catalog's word wins.

Every field of an answer is checked before it is used. No link leads out of a folder that others have laid out.
"""

import os
import re
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from dermdata.checksum import ALGORITHMS
from dermdata.credentials import Credentials
from dermdata.errors import (
    BadCatalog,
    DermdataError,
    NotTheFile,
    Offline,
    RestrictedRecord,
    ServerRefused,
    UnknownName,
)
from dermdata.markup import count_nouns
from dermdata.model import IMAGE_ENDINGS, NOTHING, File, Request, Role

T = TypeVar("T")
GONE_STATUSES = (404, 410)
TABLE_SUFFIXES = {".csv", ".tsv", ".txt", ".xlsx", ".xls", ".json", ".jsonl", ".parquet"}
# endings of a model's weights; .h5 and .npz are data as often
WEIGHTS = re.compile(
    r"\.(safetensors|bin|pt|pth|ckpt|pb|onnx|keras|tflite|msgpack|gguf|index|data-\d+-of-\d+)\Z", re.ASCII
)
GOOGLE_DRIVE = "https://drive.usercontent.google.com/download"
# an address of a page or for browsers -> those of the same file for programs, each the other's fall-back
FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # figshare.com/ndownloader/ wants a browser since 2026-01 (cosmoimd/real-colon-dataset#3)
    (
        r"https://(?:(?:www\.)?figshare\.com/ndownloader/files|ndownloader\.figshare\.com/files"
        r"|api\.figshare\.com/v2/file/download)/(\d+)(\?.*)?",
        (
            "https://ndownloader.figshare.com/files/{0}{1}",
            "https://api.figshare.com/v2/file/download/{0}{1}",
        ),
    ),
    (
        r"https://drive\.google\.com/(?:file/d/|(?:uc|open)\?(?:.*&)?id=)([\w-]+).*",
        (f"{GOOGLE_DRIVE}?id={{0}}&export=download&confirm=t",),
    ),
    (r"(https://www\.dropbox\.com/[^?]+)\?(.*&)?dl=0(&.*)?", ("{0}?{1}dl=1{2}",)),
    (r"(https://www\.dropbox\.com/[^?]+)\?((?!.*\b(?:dl|raw)=).+)", ("{0}?{1}&dl=1",)),
    (r"(https://www\.dropbox\.com/[^?]+)", ("{0}?dl=1",)),
)
NAMES_SHOWN = 8  # names of a record that a message lists


@dataclass(frozen=True)
class JsonObject:
    """A JSON object within an answer about `what`; NotTheFile when a field is not what it must be."""

    value: Any
    what: str

    def rows(self, key: str) -> Iterator["JsonObject"]:
        """The objects of a list; an absent list is a fault, an empty one is not."""
        yield from iterate_objects(self._get(key), f"{self.what}: {key}")

    def child(self, key: str) -> "JsonObject":
        return JsonObject(self._get(key), f"{self.what}: {key}")

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise self.field_error(key, "a text")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string, None when it is absent, null or empty."""
        return self.text(key) if self._get(key) not in (None, "") else None

    def written_text(self, key: str) -> str | None:
        """What a person may have written there; None for nothing, and for what is no text."""
        value = self._get(key)
        return " ".join(value.split()) or None if isinstance(value, str) else None

    def optional_child(self, key: str) -> "JsonObject":
        """The object under a key; an empty one where there is none."""
        value = self._get(key)
        return JsonObject(value if isinstance(value, dict) else {}, f"{self.what}: {key}")

    def optional_number(self, key: str) -> int | None:
        """A whole number from 0 on, also as text; None when it is absent or null."""
        value = self._get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,18}", str(value), re.ASCII):
            raise self.field_error(key, "a whole number")
        return int(value)

    def number(self, key: str) -> int:
        """A whole number from 0 on that must be there."""
        if (value := self.optional_number(key)) is None:
            raise self.field_error(key, "a whole number")
        return value

    def digest(self, key: str, algorithm: str) -> str | None:
        """`md5:<hex>` from a bare digest or one that names its algorithm; None when it is absent."""
        value = self.optional_text(key)
        if value is None:
            return None
        length = ALGORITHMS[algorithm]
        match = re.fullmatch(rf"(?:{algorithm}:)?([0-9a-f]{{{length}}})", value.lower(), re.ASCII)
        if not match:
            raise self.field_error(key, f"an {algorithm}")
        return f"{algorithm}:{match[1]}"

    def address(self, key: str) -> str:
        """An http(s) address."""
        value = self.text(key)
        if not re.match(r"https?://[^/\s]", value):
            raise self.field_error(key, "an http(s) address")
        return value

    def flag(self, key: str) -> bool:
        """Whether a flag is set; absent is not set."""
        return bool(self._get(key))

    def field_error(self, key: str, wanted: str) -> NotTheFile:
        """The error for a field that is not what it must be."""
        return unexpected_answer(f"{self.what}: '{key}' is not {wanted}")

    def _get(self, key: str) -> Any:
        if not isinstance(self.value, dict):
            raise unexpected_answer(f"{self.what} is not an object")
        return self.value.get(key)


def iterate_objects(value: Any, what: str) -> Iterator[JsonObject]:
    """The objects of a list."""
    if not isinstance(value, list):
        raise unexpected_answer(f"{what} is not a list")
    for row in value:
        yield JsonObject(row, what)


def iterate_pages(page: Callable[[str], tuple[Iterable[T], str | None]], what: str) -> Iterator[T]:
    """The rows of all pages: `page` takes a token, "" at first, and gives rows and the next page's token."""
    seen, token = set[str](), ""
    while token not in seen:
        seen.add(token)
        rows, following = page(token)
        yield from rows
        if not following:
            return
        token = following
    raise unexpected_answer(f"{what}: its pages go round in a circle")


def unexpected_answer(message: str) -> NotTheFile:
    return NotTheFile(
        f"an answer that is not as expected: {message}",
        hint="the host may have changed its interface; a newer dermdata may know it",
    )


@dataclass(frozen=True, kw_only=True)
class RecordFacts:
    """What a record states of itself, word for word; None where it does not say."""

    place: str  # `<host>:<id>`, of one version where the host has such
    page: str  # for people
    source: str  # the address whose answer says all this
    title: str | None = None
    version: str | None = None
    license: str | None = None
    license_url: str | None = None
    doi: str | None = None
    citation: str | None = None
    account: str | None = None  # the service whose account its files need
    is_fixed: bool = True  # False: what lies there may change, since its host names no versions


class FileHead(Protocol):
    """What a server says of a file before it is downloaded."""

    @property
    def size(self) -> int | None: ...
    @property
    def etag(self) -> str | None: ...
    @property
    def checksum(self) -> str | None: ...


class JsonGetter(Protocol):
    """HttpClient.get_json."""

    def __call__(self, url: str, /, *, secrets: Mapping[str, str] = NOTHING) -> Any: ...


class JsonPageGetter(Protocol):
    """HttpClient.get_json_page."""

    def __call__(self, url: str, /, *, secrets: Mapping[str, str] = NOTHING) -> tuple[Any, str | None]: ...


class BytesGetter(Protocol):
    """HttpClient.get_bytes."""

    def __call__(self, url: str, /) -> bytes: ...


def refuse_network(url: str, /, *, secrets: Mapping[str, str] = NOTHING) -> Any:
    """Stands for a network that may not be asked."""
    del secrets
    raise Offline(f"{urlsplit(url).netloc} must be asked, and may not", hint="run again without --offline")


class AnswerCache:
    """The hosts' answers of this run: each thing is asked once, even by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, ...], threading.Lock] = {}
        self._known: dict[tuple[str, ...], Any] = {}

    def get_or_ask(self, key: tuple[str, ...], ask: Callable[[], T]) -> T:
        """The answer under this key, from `ask` if it is the first time; a failure is not kept."""
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            if key not in self._known:
                self._known[key] = ask()
            answer: T = self._known[key]
            return answer


@dataclass(frozen=True, kw_only=True)
class ResolveContext:
    """What resolving may use besides the entry: catalog folders, mirrors, hosts, credentials."""

    catalogs: tuple[Path, ...]  # folders, the last one wins
    mirrors: tuple[str, ...] = ()  # addresses or folders: <mirror>/<dataset>/<file name>
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    ask: JsonGetter = refuse_network  # HttpClient.get_json
    ask_page: JsonPageGetter = refuse_network  # HttpClient.get_json_page
    read: BytesGetter = refuse_network  # HttpClient.get_bytes
    head: Callable[[Request], FileHead] | None = None  # HttpClient.resolve_head
    credentials: Credentials = field(default_factory=lambda: Credentials({}, None))
    answers: AnswerCache = field(default_factory=AnswerCache, repr=False, compare=False)
    # repositories, and the commits of them, that a listing told to be gated
    gated_repositories: set[tuple[str, str]] = field(default_factory=set, repr=False, compare=False)

    def request_json(self, what: str, url: str, secrets: Mapping[str, str] = NOTHING) -> Any:
        """A JSON answer about `what`; ServerRefused that names it when the host does not have it."""
        try:
            return self.ask(url, secrets=secrets)
        except ServerRefused as error:
            raise absence_error(what, url, error) from error

    def request_description(
        self, what: str, url: str, secrets: Mapping[str, str] = NOTHING
    ) -> JsonObject | None:
        """An answer that only describes a record; None where its host has no such page."""
        try:
            return JsonObject(self.request_json(what, url, secrets), what)
        except ServerRefused as error:
            if error.status not in GONE_STATUSES:
                raise
            return None


def absence_error(what: str, url: str, error: ServerRefused) -> ServerRefused:
    """The refusal in the entry's own words, if it says that there is no such thing."""
    if error.status not in GONE_STATUSES:
        return error
    return ServerRefused(
        f"{urlsplit(url).netloc} has no {what} ({error.status})",
        status=error.status,
        hint="its publisher may have withdrawn or renamed it; the dataset's page may say where it went; "
        "or take a copy with --mirror",
    )


def find_file_inside(root: Path, path: Path, refusal: type[DermdataError], what: str) -> Path | None:
    """The path, if a regular file lies there within `root`, links resolved; None if there is nothing, or a folder.

    `refusal`, by the name `what` and before a byte is read, for a link that leads out, a pipe or a device.
    """
    if not os.path.lexists(path):
        return None
    real, home = os.path.realpath(path), os.path.realpath(root)
    if os.path.commonpath([real, home]) != home:
        raise refusal(f"{what}: {path} is a link that leads out of {root}", hint="put the file itself there")
    try:
        mode = os.stat(real).st_mode  # noqa: PTH116  # a link that leads nowhere is nothing
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(f"{what}: {path}: {error.strerror}", hint="put the file itself there") from error
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        raise refusal(f"{what}: {path} is no regular file", hint="put the file itself there")
    return path


def compose_citation(
    names: Iterable[str | None], year: str | None, title: str | None, publisher: str
) -> str | None:
    """A citation of the parts that a record states; None where it lacks names or a title."""
    authors = " and ".join(filter(None, names))
    if not authors or not title:
        return None
    return f"{authors}{f' ({year[:4]})' if year else ''}. {title.rstrip('.')}. {publisher}."


def is_complete(file: File) -> bool:
    """Whether the catalog leaves nothing open, so that nobody need be asked."""
    return file.size is not None and file.checksum is not None


def request_from_catalog(file: File) -> Request | None:
    """The request that needs no host's answer: addresses, size and checksum all stand in the catalog."""
    return make_request(file, ()) if is_complete(file) and file.urls else None


def make_request(file: File, urls: tuple[str, ...]) -> Request:
    """These addresses first, then the catalog's own, with the catalog's size and checksum."""
    forms = dict.fromkeys(form for url in (*urls, *file.urls) for form in list_forms(url))
    return Request(
        urls=tuple(forms),
        size=file.size,
        checksum=file.checksum,
        archive=file.unpack,
        confirms=any(form.startswith(GOOGLE_DRIVE) for form in forms),
    )


def list_forms(url: str) -> tuple[str, ...]:
    """The addresses of the same file that its host gives to programs, the best first; others as they are."""
    for pattern, forms in FORMS:
        if match := re.fullmatch(pattern, url):
            return tuple(form.format(*match.groups("")) for form in forms)
    return (url,)


def merge_listed(file: File, found: File) -> Request:
    """The file as its host lists it; size and checksum of the catalog win."""
    return fill_request(make_request(file, found.urls), found.size, found.checksum)


def fill_request(request: Request, size: int | None, checksum: str | None) -> Request:
    """The request, with what it leaves open."""
    return replace(
        request,
        size=size if request.size is None else request.size,
        checksum=request.checksum or checksum,
    )


def pick_file(name: str, files: Iterable[File], what: str) -> File:
    """The one file of this name in a record, else the one whose name is so but for folders and case.

    UnknownName with the nearest names otherwise.
    """
    files = tuple(files)
    require_some(files, what)
    found = [file for file in files if file.name == name] or find_leaf(name, files)
    if len(found) > 1:
        raise unexpected_answer(f"{what} has {count_nouns(len(found), 'file')} named '{name}'")
    if not found:
        known = sorted(file.name for file in files)
        some = ", ".join(known[:NAMES_SHOWN]) + (
            f" and {len(known) - NAMES_SHOWN} more" if len(known) > NAMES_SHOWN else ""
        )
        raise UnknownName(f"file of {what}:", name, known, hint=f"it has {some}")
    return found[0]


def find_leaf(name: str, files: Iterable[File]) -> list[File]:
    """The file of this name in whatever folder, in whatever case; none where several are."""
    leaf = name.rpartition("/")[2].casefold()
    found = [file for file in files if file.name.rpartition("/")[2].casefold() == leaf]
    return found if len(found) == 1 else []


def require_some(files: Collection[File], what: str) -> None:
    """RestrictedRecord for a record that shows nobody any file: no name can be right there."""
    if not files:
        raise RestrictedRecord(
            f"{what} shows no files",
            hint="they may be restricted, under embargo or withdrawn: its page says so; --from takes files that you have",
        )


def match_identity(pattern: str, identity: str, form: str) -> re.Match[str]:
    """The parts of an identity; BadCatalog that shows the form it must have."""
    match = re.fullmatch(pattern, identity)
    if not match:
        raise BadCatalog(f"'{identity}' is not in the form {form}")
    return match


def sort_listing(files: Iterable[File], what: str) -> tuple[File, ...]:
    """A listing by name, each name once and each one staying in its folder."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise unexpected_answer(f"{what} has several files named '{one.name}'")
    for file in ordered:
        if not is_plain_name(file.name):
            raise unexpected_answer(f"{what} has a file of the name {file.name!r}")
    return ordered


def is_plain_name(name: str) -> bool:
    """Whether a name stays where it is put: no way up, no root, no control characters."""
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(name.split("/"))


def guess_role(name: str) -> Role:
    """What a listed file is, by its ending."""
    ending = PurePosixPath(name).suffix.lower()
    if WEIGHTS.search(name.lower()):
        return "weights"
    return "images" if ending in IMAGE_ENDINGS else "metadata" if ending in TABLE_SUFFIXES else "other"
