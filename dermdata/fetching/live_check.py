"""What the hosts say of the catalog's files today, compared with the catalog: one byte or a listing each, nothing kept."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dermdata import disk
from dermdata.catalogs.health import LastSeen
from dermdata.errors import (
    BrowserCheck,
    CannotConnect,
    CaptchaWanted,
    CredentialsMissing,
    DermdataError,
    HostRefused,
    IntegrityError,
    NetworkBlocked,
    NetworkError,
    ObjectDenied,
    RateLimited,
    ServerRefused,
    UnknownName,
    UserAgentRefused,
)
from dermdata.fetching.listing import LISTED_BY_ROWS, choose_listed
from dermdata.hosts import ResolveContext, isic, list_files, resolve_official
from dermdata.hosts.accounts import GUARDED_ACCESS
from dermdata.hosts.base import GONE_STATUSES, FileHead
from dermdata.markup import count_nouns
from dermdata.model import Dataset, File, Request, TableSpec

SightState = Literal["whole", "changed", "gone", "refused", "unreachable", "not-asked"]
# what is told first of an entry that several of these are true of
WORST_FIRST: tuple[SightState, ...] = ("changed", "gone", "refused", "unreachable", "whole", "not-asked")
IN_CATALOG = "the catalog has"
MOST_ASKED = 20  # files of one entry that are asked one by one
BEGINNING = 64 << 10  # bytes of a table of addresses that are read
OF_LISTING = 3  # files of a listing that are asked for a byte as well
# refusals that are of the host, not of a file: it is not asked again
OF_HOST = (BrowserCheck, CaptchaWanted, CannotConnect, NetworkBlocked, RateLimited, UserAgentRefused)
Head = Callable[[Request, str], FileHead]  # HttpClient.inspect_file


@dataclass(frozen=True, kw_only=True)
class SourcePlace:
    """One place of a catalog file, or a host's listing, that a live check asks."""

    dataset: Dataset
    file: File | None  # None: the listing
    place: str  # an address, or `<host>:<id>`

    @property
    def name(self) -> str:
        """By what the health record knows it."""
        return self.file.name if self.file else self.place

    @property
    def host(self) -> str:
        """Whose turn it is: places of one host are asked one after another."""
        if self.place == LISTED_BY_ROWS:
            return f"images of {self.dataset.name}"
        return urlsplit(self.place).netloc if "://" in self.place else self.place.partition(":")[0]

    @property
    def gate(self) -> str:
        """What a refusal of the whole host is about: several servers may run the same software."""
        return self.host if "://" in self.place else f"{self.host}:{self.dataset.name}"


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What one place gave."""

    asked: SourcePlace
    state: SightState
    detail: str = ""
    size: int | None = None
    checksum: str | None = None
    files: int | None = None  # of a listing

    @property
    def is_seen(self) -> bool:
        """Whether the host has it, as it was or changed."""
        return self.state in ("whole", "changed")

    def to_last_seen(self, day: str) -> LastSeen:
        """The health record of what was seen."""
        return LastSeen(seen=day, size=self.size, checksum=self.checksum, files=self.files)


# ------------------------------------------------------------------ what is asked


@dataclass(frozen=True, kw_only=True)
class EntryPlan:
    """The places of an entry that are asked, and why others are not."""

    dataset: Dataset
    places: tuple[SourcePlace, ...] = ()
    remarks: tuple[str, ...] = ()  # what is not asked, and why


def plan_entry(dataset: Dataset) -> EntryPlan:
    """Which places of an entry are asked: every address of each file, of many files a sample, and its listing."""
    if dataset.access.kind == "unavailable":
        return EntryPlan(dataset=dataset, remarks=("it cannot be had",))
    asked = take_evenly([file for file in dataset.files if list_places(file)], MOST_ASKED)
    places = [
        SourcePlace(dataset=dataset, file=file, place=place) for file in asked for place in list_places(file)
    ]
    places += [SourcePlace(dataset=dataset, file=None, place=place) for place in list_listings(dataset)]
    remarks = tuple(describe_unasked(dataset, len(asked)))
    if not places and not remarks:
        remarks = ("no address of it is known",)
    return EntryPlan(dataset=dataset, places=tuple(places), remarks=remarks)


def list_listings(dataset: Dataset) -> list[str]:
    """The hosts' listings that name files of an entry, or of a copy of it."""
    found = (dataset.listing, *(copy.listing for copy in dataset.copies))
    return list(dict.fromkeys(place for place in found if place))


def describe_unasked(dataset: Dataset, asked: int) -> Iterator[str]:
    """Which files of an entry are not asked, and why."""
    named = sum(bool(list_places(file)) for file in dataset.files)
    bundled = sum((file.source or "").startswith("package:") for file in dataset.files)
    if asked < named:
        yield f"{asked:,} of {count_nouns(named, 'file')} asked"
    if bundled:
        yield f"{count_nouns(bundled, 'file', 'ship')} with the catalog"


def list_places(file: File) -> list[str]:
    """Where a file is said to be; not what ships with the catalog."""
    sources = [file.source] if file.source and not file.source.startswith("package:") else []
    return [*sources, *file.urls]


def take_evenly(files: Sequence[File], most: int) -> list[File]:
    """At most so many of the files, the first and the last one among them."""
    if len(files) <= most:
        return list(files)
    return [files[number * (len(files) - 1) // (most - 1)] for number in range(most)]


# ------------------------------------------------------------------ asking


@dataclass
class PlaceChecker:
    """Asks places of one host one after another; what the host as a whole refuses is not asked again."""

    context: ResolveContext
    head: Head
    read: Callable[[Request, int, int], bytes]  # HttpClient.read_range
    earlier: Mapping[str, Mapping[str, LastSeen]] = field(default_factory=dict)  # the health record
    closed: dict[str, Sighting] = field(default_factory=dict)  # by gate: what all of a host gave

    def check(self, asked: SourcePlace) -> Sighting:
        """What a place gives now, compared with the catalog and with what was seen before."""
        if before := self.closed.get(asked.gate):
            return replace(before, asked=asked)
        try:
            return self.ask_listing(asked) if asked.file is None else self.ask_file(asked, asked.file)
        except DermdataError as error:
            found = interpret_error(asked, error)
            if isinstance(error, OF_HOST):
                self.closed[asked.gate] = found
            return found

    def ask_file(self, asked: SourcePlace, file: File) -> Sighting:
        """What a host states of a file, and what it serves of it."""
        request = resolve_official(asked.dataset, strip_file(file, asked.place), self.context)
        assert isinstance(request, Request)  # noqa: S101  # what ships with the catalog is no place
        seen = self.head(request, file.name)
        size = seen.size if seen.size is not None else request.size
        checksum = request.checksum or seen.checksum
        found = Sighting(asked=asked, state="whole", size=size, checksum=checksum)
        differences = list(compare_file(file, found, self.find_earlier(asked)))
        if request.size is not None and seen.size is not None and request.size != seen.size:
            differences.append(f"its host states {request.size:,} bytes and serves {seen.size:,}")
        return note_differences(found, differences)

    def ask_listing(self, asked: SourcePlace) -> Sighting:
        """What a host lists; of the ISIC Archive's search, and of a table of addresses, only a few."""
        if asked.place == LISTED_BY_ROWS:
            return self.ask_rows(asked)
        if asked.host == "isic":
            return self.ask_search(asked)
        files = choose_listed(asked.dataset, list_files(asked.place, self.context))
        note = self.ask_some(asked, take_evenly([one for one in files if one.fetch], OF_LISTING))
        found = Sighting(
            asked=asked,
            state="whole",
            detail=note,
            size=sum(file.size or 0 for file in files),
            checksum=digest_listing(files),
            files=len(files),
        )
        return note_differences(found, list(self.compare_listing(asked, files, found)))

    def ask_search(self, asked: SourcePlace) -> Sighting:
        """How many images a search finds, and whether the first ones are there."""
        query, collections = isic.parse_search(asked.place.partition(":")[2])
        count = isic.count_images(query, collections, self.context)
        if not count:
            return Sighting(asked=asked, state="gone", detail="it finds no image", files=0)
        records = isic.search_records(query, collections, self.context, OF_LISTING)
        note = self.ask_some(asked, list(isic.to_files(records)))
        found = Sighting(asked=asked, state="whole", detail=note, files=count)
        grows = not (query or collections)  # the whole archive, every day
        return note_differences(found, [] if grows else list(compare_counts(asked, count)))

    def ask_rows(self, asked: SourcePlace) -> Sighting:
        """Whether images are there of which only the table has the addresses: some of those at its beginning."""
        found, failures = 0, Counter[SightState]()
        addresses = take_evenly(self.read_addresses(asked.dataset), MOST_ASKED)
        for file in addresses:
            try:
                self.head(Request(urls=file.urls), file.name)
                found += 1
            except (NetworkError, HostRefused, IntegrityError) as error:
                failures[find_error_state(error, guarded=False)] += 1
        said = [f"{found:,} seen", *(f"{count:,} {state}" for state, count in failures.most_common())]
        return Sighting(
            asked=asked,
            state="whole" if found else failures.most_common(1)[0][0] if failures else "not-asked",
            detail=f"{count_nouns(len(addresses), 'address')} of its images asked: {', '.join(said)}",
        )

    def read_addresses(self, dataset: Dataset) -> list[File]:
        """The images of the first rows, as far as the beginning of their table tells them."""
        found = ((spec, file) for spec in dataset.table for file in dataset.files if file.name == spec.file)
        for spec, file in found:
            if spec.image_url:
                return parse_addresses(spec, self.read_beginning(dataset, file))
        return []

    def read_beginning(self, dataset: Dataset, file: File) -> bytes:
        """The first whole lines of a table."""
        bare = replace(file, size=None, checksum=None)
        request = resolve_official(dataset, bare, self.context)
        if isinstance(request, Path):
            data = next(disk.read_chunks(request, BEGINNING), b"")
        else:
            size = self.head(request, file.name).size or 0
            data = self.read(request, 0, min(size, BEGINNING)) if size else b""
        return data if len(data) < BEGINNING else data[: data.rfind(b"\n") + 1]

    def ask_some(self, asked: SourcePlace, files: Iterable[File]) -> str:
        """Ask listed files for a byte; a refusal is the listing's. Returns why none could be asked, if so."""
        for file in files:
            try:
                request = resolve_official(asked.dataset, file, self.context)
            except CredentialsMissing:
                return "seen; its files need an account, and were not asked"
            assert isinstance(request, Request)  # noqa: S101  # what ships with the catalog is in no listing
            self.head(request, file.name)
        return ""

    def compare_listing(self, asked: SourcePlace, files: Sequence[File], found: Sighting) -> Iterator[str]:
        """In what a listing differs from the catalog, and from the last one."""
        known = {file.name: file for file in asked.dataset.files if not list_places(file)}
        for other in files:
            if file := known.get(other.name):  # the catalog has only facts about it
                one = Sighting(asked=asked, state="whole", size=other.size, checksum=other.checksum)
                yield from (f"{file.name}: {text}" for text in compare_file(file, one, None))
        if images := count_images(files):
            yield from compare_counts(asked, images)
        yield from compare_digests(found, self.find_earlier(asked))

    def find_earlier(self, asked: SourcePlace) -> LastSeen | None:
        return self.earlier.get(asked.dataset.name, {}).get(asked.name)


def parse_addresses(spec: TableSpec, data: bytes) -> list[File]:
    """The images that the rows of a table, or of its beginning, have addresses of."""
    text = io.StringIO(data.decode(spec.encoding, "replace"), newline="")
    rows = csv.DictReader(text, delimiter=spec.delimiter or ",")
    urls = [row.get(spec.image_url or "") or "" for row in rows]
    return [File(name=url, role="images", urls=(url,)) for url in urls if url.startswith("http")]


def strip_file(file: File, place: str) -> File:
    """The file at one place, with nothing that the catalog knows: so its host has to say all of it."""
    if "://" in place:
        return replace(file, source=None, urls=(place,), size=None, checksum=None)
    return replace(file, source=place, urls=(), size=None, checksum=None)


def note_differences(found: Sighting, differences: Sequence[str]) -> Sighting:
    return replace(found, state="changed", detail="; ".join(differences)) if differences else found


# ------------------------------------------------------------------ comparing


def compare_file(file: File, found: Sighting, before: LastSeen | None) -> Iterator[str]:
    """In what a file differs from the catalog; where that does not say, from what was seen last."""
    past = f"on {before.seen} it was" if before else ""
    size, checksum = (before.size, before.checksum) if before else (None, None)
    size, whose = (size, past) if file.size is None else (file.size, IN_CATALOG)
    if size is not None and found.size is not None and size != found.size:
        yield f"{count_nouns(found.size, 'byte')}, {whose} {size:,}"
    checksum, whose = (file.checksum, IN_CATALOG) if file.checksum else (checksum, past)
    if is_other_checksum(checksum, found.checksum):
        yield f"{found.checksum}, {whose} {checksum}"


def is_other_checksum(one: str | None, other: str | None) -> bool:
    """Whether two checksums of one algorithm differ; of two algorithms nothing can be said."""
    if not one or not other or one.partition(":")[0] != other.partition(":")[0]:
        return False
    return one != other


def compare_digests(found: Sighting, before: LastSeen | None) -> Iterator[str]:
    """Whether a listing is the one that was seen last."""
    if before and before.checksum and before.checksum != found.checksum:
        yield (
            f"lists {count_nouns(found.files or 0, 'file')}, {found.size or 0:,} bytes; "
            f"on {before.seen} it was {before.files or 0:,}, {before.size or 0:,} bytes"
        )


def count_images(files: Iterable[File]) -> int | None:
    """How many images a listing names; None where archives hold them, of which nobody says how many."""
    images = [file for file in files if file.role == "images"]
    return None if any(file.unpack for file in images) else len(images)


def compare_counts(asked: SourcePlace, images: int) -> Iterator[str]:
    """Whether an entry's own listing has as many images as its publisher counts; a copy's may have others too."""
    counted = asked.dataset.counts.images if asked.place == asked.dataset.listing else None
    if counted is not None and images != counted:
        yield f"lists {count_nouns(images, 'image')}, the catalog counts {counted:,}"


def digest_listing(files: Iterable[File]) -> str:
    """SHA-256 over names, sizes and checksums."""
    lines = sorted(f"{file.name}\t{file.size}\t{file.checksum or ''}\n" for file in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


# ------------------------------------------------------------------ what a failure says


def interpret_error(asked: SourcePlace, error: DermdataError) -> Sighting:
    """The sighting that an error means."""
    state = find_error_state(error, guarded=asked.dataset.access.kind in GUARDED_ACCESS)
    said = error.message.removeprefix(f"{asked.dataset.name}: {asked.name}").removeprefix(": ").strip()
    return Sighting(asked=asked, state=state, detail=said)


def find_error_state(error: DermdataError, *, guarded: bool) -> SightState:
    """The state that an error means; `guarded`: the catalog says that it needs an account, so nothing is new in that."""
    if is_gone(error):
        return "gone"
    if isinstance(error, HostRefused) and not (guarded and isinstance(error, CredentialsMissing)):
        return "refused"
    if isinstance(error, NetworkError):
        return "unreachable"
    if isinstance(error, IntegrityError):
        return "changed"  # an answer that is not as it must be
    return "not-asked"  # there are no credentials, no address, or the entry itself is broken


def is_gone(error: DermdataError) -> bool:
    """Whether the host is there and the file is not: a status, or a name that its record has not."""
    if isinstance(error, ServerRefused):
        return error.status in GONE_STATUSES or isinstance(error, ObjectDenied)
    return isinstance(error, UnknownName) and error.kind.startswith("file of")
