"""A host's record as if its files lay here: its listing, the directories of its zips, its tables. No picture comes.

What is found is a `LocalFiles` like that of one's own folder, so whoever looks through it need not know the difference.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, starmap
from pathlib import Path, PurePosixPath

from dermdata import archive, disk
from dermdata.checksum import sha256_of_chunks
from dermdata.errors import (
    ArchiveRefused,
    DermdataError,
    NotTheFile,
    PersonMustAct,
    RestrictedRecord,
    ServerRefused,
    UnknownName,
    UsageError,
)
from dermdata.fetching.image_rows import MOST_FILES, ImageRows, find_kind, gather_rows, look_at_rows
from dermdata.fetching.ingest import archive_stem, is_image_name
from dermdata.fetching.listing import require_given
from dermdata.fetching.local.files import LocalFile, LocalFiles, normalize_name
from dermdata.fetching.remote_zip import (
    RemoteZip,
    ZipOpenContext,
    is_whole_only,
    open_ranges_at_url,
    open_remote_zip,
)
from dermdata.hosts import ResolveContext, explain_download_error, list_files, resolve_official
from dermdata.hosts.base import RecordFacts
from dermdata.hosts.dataverse import RESTRICTED
from dermdata.http import HttpClient
from dermdata.markup import count_nouns
from dermdata.model import Access, Dataset, File, Request
from dermdata.readers.image_tables import RowsLook
from dermdata.terminal import format_size
from dermdata.urls import SOME_PAGE, USE_FROM

LARGEST_TABLE = 64 << 20  # bytes; a larger one is read where the person names it
MOST_TABLES = 8
MOST_ZIPS = 40
NAMES_SHOWN = 5
UNKNOWN_SIZE = 1  # of a file whose size its host does not state: it is not empty
# what is read first where not all is: by what a table's name ends in
LIKELY_TABLES = (".csv", ".tsv", ".tab", ".xlsx", ".parquet", ".jsonl", ".xls", ".ods", ".json", ".txt")


@dataclass(frozen=True)
class RecordFile:
    """A file of a record: loose, or in a zip."""

    found: LocalFile
    file: File
    within: RemoteZip | None = None
    entry: archive.ArchiveEntry | None = None

    @property
    def size(self) -> int | None:
        return self.entry.size if self.entry else self.file.expected_size

    def ends_with(self, endings: tuple[str, ...]) -> bool:
        return self.found.leaf.lower().endswith(endings)

    @property
    def rank(self) -> tuple[int, bool, str]:
        """What comes first is read first."""
        ending = PurePosixPath(self.found.leaf.lower()).suffix
        place = LIKELY_TABLES.index(ending) if ending in LIKELY_TABLES else len(LIKELY_TABLES)
        return place, self.within is not None, self.found.name


@dataclass(frozen=True)
class SurveyedRecord:
    """What a record states, and what was found in it."""

    facts: RecordFacts
    found: LocalFiles
    files: dict[LocalFile, File]  # what lies loose in it, archives too, as an entry would name it
    refusals: Sequence[DermdataError]  # why files were left out
    rows: ImageRows | None = None  # that stand in the same files as their images

    def find_file(self, one: LocalFile) -> File:
        """The record's file that is, or holds, what was found."""
        return self.files[one.within or one]


@dataclass(frozen=True)
class RecordSurvey:
    """Looks into one record; `say` gets what is left out, and why."""

    name: str  # of the dataset that it is to become
    facts: RecordFacts
    context: ResolveContext
    transfer: HttpClient
    workplace: Path
    say: Callable[[str], None]
    endings: tuple[str, ...]  # of the names of tables
    refusals: list[DermdataError] = field(default_factory=list)

    @cached_property
    def nowhere(self) -> Path:
        """Where nothing is."""
        return self.workplace / "not-read"

    @cached_property
    def dataset(self) -> Dataset:
        """What the hosts' rooms need of an entry, before there is one."""
        guarded = self.facts.account is not None
        access = Access(
            kind="account" if guarded else "open", service=self.facts.account, url=self.facts.page
        )
        return Dataset(
            name=self.name, title=self.name, kind="dataset", summary=self.name, access=access,
            homepage=self.facts.page, listing=self.facts.place,
        )  # fmt: skip

    def run(self, away: Path, table: str | None) -> SurveyedRecord:
        """List the files, look into the zips, and read the tables, or the one that is named.

        Raises
        ------
        UnknownName
            For a table that is not in the record.
        NetworkError, IntegrityError, PersonMustAct
            Where the host does not give what is asked, as a fetch raises them.

        """
        loose = {self.place_file(file): file for file in self.list_files()}
        inside = self.open_zips(loose)
        self.tell_closed(loose.values())
        every = [*starmap(RecordFile, loose.items()), *chain.from_iterable(inside.values())]
        if (
            rows := None
            if any(is_image_name(one.found.leaf) for one in every)
            else self.look_at_rows(loose, table)
        ):
            loose |= {
                one: replace(loose[one], unpack=find_kind(one.name), role="images") for one in rows.files
            }
            return SurveyedRecord(
                self.facts, LocalFiles((), away, self.workplace), loose, self.refusals, rows
            )
        unread = self.read_tables([one for one in every if one.ends_with(self.endings)], table)
        return SurveyedRecord(self.facts, self.gather_files(away, every, unread), loose, self.refusals)

    def look_at_rows(self, loose: Mapping[LocalFile, File], named: str | None) -> ImageRows | None:
        """The rows of files that hold their images too; what cannot be read by ranges is told."""
        files = choose_row_files([one for one in loose if named in (None, one.name)], self.facts.place)
        looks: dict[LocalFile, RowsLook] = {}
        for one in files[:MOST_FILES]:
            try:
                with self.explain_refusals(one.name, loose[one]):
                    read, size, _ = open_ranges_at_url(loose[one], self.resolve(loose[one]), self.transfer)
                    looks[one] = look_at_rows(read, size, one.name)
            except (ArchiveRefused, ServerRefused) as error:
                self.leave_out(loose[one], error)
        rows = gather_rows([one for one in files if one in looks or one in files[MOST_FILES:]], looks)
        if rows:
            read_rows, of = count_nouns(rows.table.num_rows, "row", "are"), rows.of
            self.say(
                f"{read_rows} looked at{'' if of is None else f', of {of:,}'}, in {count_nouns(len(files), 'file')}"
            )
        return rows

    def gather_files(self, away: Path, every: Sequence[RecordFile], unread: set[LocalFile]) -> LocalFiles:
        """All that was found, but for tables that were not read; archives that nobody can open here hold nothing."""
        found = LocalFiles((), away, self.workplace)
        archives = (one.found for one in every if archive.archive_kind(one.found.leaf))
        found.members_by_archive = {one: [] for one in archives}
        for one in every:
            if one.found not in unread:
                holder = one.found.within
                siblings = found.members_by_archive[holder] if holder else found.loose
                siblings.append(one.found)
        return found

    # -------------------------------------------------------------- listing

    def list_files(self) -> list[File]:
        """What the host gives out, with its own key of each file; ManualDownload where it shows some and gives none."""
        with self.explain_refusals("its list of files"):
            listed = list_files(self.facts.place, self.context)
            require_given(self.dataset, listed)
        given = [describe_file(file, self.facts.place) for file in listed if file.fetch]
        self.tell_withheld([file for file in listed if not file.fetch])
        sizes = [file.expected_size for file in given]
        size = "" if None in sizes else f", {format_size(sum(filter(None, sizes)))}"
        self.say(f"{self.facts.place}: {count_nouns(len(given), 'file')}{size}; no picture is fetched yet")
        return given

    def tell_withheld(self, files: Sequence[File]) -> None:
        """Say which files are shown and not given out; of restricted ones it is a refusal where nothing else is left."""
        if files:
            named = [f"{file.name} ({file.note})" for file in files]
            self.say(f"warning: not to be had there: {shorten(named)}")
        if restricted := [file.name for file in files if file.note == RESTRICTED]:
            self.refusals.append(self.restricted_error(restricted))

    def restricted_error(self, names: Sequence[str]) -> RestrictedRecord:
        """Why there is nothing to add where the files are shown that nobody gets unasked."""
        found = RestrictedRecord(
            f"{count_nouns(len(names), 'file', 'are')} not to be had: {shorten(names)}",
            hint=f"ask for access at {self.facts.page}, then {USE_FROM}",
        )
        name_record(found, self.name, None, self.facts.page)
        return found

    def place_file(self, file: File) -> LocalFile:
        """A listed file, as if it lay in the workplace: of a table the bytes will be there."""
        size = UNKNOWN_SIZE if file.expected_size is None else file.expected_size
        return LocalFile(
            normalize_name(file.name), file.name, self.workplace, self.find_place(file.name), size
        )

    def list_members(self, holder: LocalFile, opened: RemoteZip) -> list[RecordFile]:
        """What lies in a zip, likewise; nothing is a zip's member here, since there is no zip here."""
        stem, members = archive_stem(holder.name), []
        for one in opened.entries:
            path = self.find_place(f"{holder.name}/{one.offset}/{one.name}")
            name, shown = normalize_name(f"{stem}/{one.name}"), f"{holder.shown}: {one.name}"
            found = LocalFile(name, shown, holder.origin, path, one.size, within=holder)
            members.append(RecordFile(found, opened.file, opened, one))
        return members

    def find_place(self, name: str) -> Path:
        """Where the bytes of a file will be that is read; all others share a place at which nothing is."""
        if not name.lower().endswith(self.endings):
            return self.nowhere
        digest = sha256_of_chunks([name.encode(errors="backslashreplace")])
        return self.workplace / f"{digest[:16]}{PurePosixPath(name).suffix.lower()}"

    # -------------------------------------------------------------- archives

    def open_zips(self, loose: Mapping[LocalFile, File]) -> dict[LocalFile, list[RecordFile]]:
        """What lies in the zips; nothing in those that cannot be looked into, which is told."""
        zips = [one for one, file in loose.items() if file.unpack == "zip"]
        if len(zips) > MOST_ZIPS:
            self.say(f"warning: {MOST_ZIPS} of {count_nouns(len(zips), 'zip')} are looked into")
        inside: dict[LocalFile, list[RecordFile]] = {one: [] for one in zips}
        for one in zips[:MOST_ZIPS]:
            if opened := self.open_zip(loose[one]):
                inside[one] = self.list_members(one, opened)
        return inside

    def open_zip(self, file: File) -> RemoteZip | None:
        """A zip's directory; None, and a line that says why, where its host gives no parts or it is broken."""
        try:
            with self.explain_refusals(file.name, file):
                opened = open_remote_zip(file, self.resolve(file), ZipOpenContext(self.name, self.transfer))
        except (ArchiveRefused, ServerRefused) as error:
            self.leave_out(file, error)
            return None
        for note in opened.notes:
            self.say(f"warning: {note}")
        return opened

    def leave_out(self, file: File, error: ArchiveRefused | ServerRefused) -> None:
        """Say of a file that is broken, or of which its host gives no parts, that it is left out; raise all else."""
        if isinstance(error, ServerRefused) and not is_whole_only(error):
            raise error
        error.hint = f"download it from {self.facts.page}, and give the file to `dermdata add {self.name}`"
        self.refusals.append(error)
        self.say(f"warning: {file.name} is not looked into, and left out: {error.message}")

    def tell_closed(self, files: Iterable[File]) -> None:
        """Say of archives that have no directory that nobody can look into them."""
        if closed := [file.name for file in files if file.unpack not in (None, "zip")]:
            self.say(
                f"warning: {shorten(closed)}: "
                "left out, since only a zip can be looked into where it lies; download it and add the file"
            )

    def resolve(self, file: File) -> Request:
        """Where a file is."""
        place = resolve_official(self.dataset, file, self.context)
        assert isinstance(place, Request)  # noqa: S101  # no record lies in the catalog
        return place

    # -------------------------------------------------------------- tables

    def read_tables(self, tables: Sequence[RecordFile], named: str | None) -> set[LocalFile]:
        """Read the tables that are looked at; the others."""
        read = {one.found for one in self.choose_tables(tables, named) if self.read_table(one)}
        return {one.found for one in tables} - read

    def choose_tables(self, tables: Sequence[RecordFile], named: str | None) -> list[RecordFile]:
        """The one that is named, or the likeliest ones of a size that is read for a look."""
        if named is not None:
            return [find_table(tables, named, self.facts.place)]
        small = [one for one in tables if self.is_small(one)]
        chosen = sorted(small, key=lambda one: one.rank)[:MOST_TABLES]
        if left := [one.found.shown for one in tables if one not in chosen]:
            self.say(f"warning: not looked at: {shorten(left)}; --table NAME takes one of them")
        return chosen

    def is_small(self, table: RecordFile) -> bool:
        """Whether it is read unasked; a server may know the size that the host's list does not state."""
        size = table.size
        if size is None:
            with self.explain_refusals(table.file.name, table.file):
                size = self.transfer.resolve_head(self.resolve(table.file)).size
        return size is not None and size <= LARGEST_TABLE

    def read_table(self, table: RecordFile) -> bool:
        """Put a table's bytes where they are looked for; whether there are any."""
        if table.size == 0:
            return False
        with self.explain_refusals(table.file.name, table.file):
            if table.within and table.entry:
                read, file = table.within.read, table.file
                data = archive.read_member(read, table.entry, what=file.name, encoding=file.name_encoding)
                disk.write_chunks(table.found.path, data)
            else:
                self.transfer.download(self.resolve(table.file), table.found.path)
        return True

    # -------------------------------------------------------------- refusals

    @contextmanager
    def explain_refusals(self, what: str, file: File | None = None) -> Iterator[None]:
        """Name the dataset in what a host says, with the command that takes what was downloaded by hand."""
        try:
            yield
        except (ServerRefused, PersonMustAct, NotTheFile) as error:
            told = explain_download_error(error, self.dataset, file, self.context) if file else error
            name_record(told, self.name, what, self.facts.page)
            raise told from error


def name_record(error: DermdataError, name: str, what: str | None, page: str | None) -> None:
    """Put the dataset before a refusal's words, unless it is there, and page and command into its hint."""
    if not error.message.startswith(f"{name}: "):
        error.message = f"{name}: {error.message if what is None or what in error.message else f'{what}: {error.message}'}"
        error.args = (error.message,)
    if error.hint:
        error.hint = error.hint.removesuffix("; or take a copy with --mirror")
        by_hand = f"give what you downloaded to `dermdata add {name}`"
        error.hint = error.hint.replace(SOME_PAGE, page or SOME_PAGE).replace(USE_FROM, by_hand)
        error.hint = error.hint.replace(f"`dermdata fetch {name} --from PATH`", f"`dermdata add {name} PATH`")


def describe_file(file: File, place: str) -> File:
    """A listed file as an entry names it: with its host's key, and with its kind where it is an archive."""
    kind = archive.archive_kind(file.name)
    source = file.source or (place if place.startswith("isicdoi:") else f"{place}/{file.name}")
    return replace(file, source=source, unpack=kind, role="images" if kind else file.role)


def choose_row_files(files: Sequence[LocalFile], place: str) -> list[LocalFile]:
    """The files of rows and images among these: all that are Parquet, or the one .npz.

    UsageError where there are several .npz, which hold the same images in several sizes as often as not.
    """
    kinds = {one: kind for one in files if (kind := find_kind(one.name))}
    chosen = sorted(
        (one for one, kind in kinds.items() if kind == "parquet" or "parquet" not in kinds.values()),
        key=lambda one: one.name,
    )
    if len(chosen) > 1 and "parquet" not in kinds.values():
        names = shorten([one.name for one in chosen])
        raise UsageError(
            f"{count_nouns(len(chosen), 'file')} of {place} hold images and rows: {names}",
            hint="say which one with --table NAME",
        )
    return chosen


def find_table(tables: Iterable[RecordFile], named: str, place: str) -> RecordFile:
    """The table of this name, or the only one whose path ends so; UnknownName otherwise."""
    known = {one.found.name: one for one in tables}
    wanted = normalize_name(named)
    fitting = [one for name, one in known.items() if name == wanted or name.endswith(f"/{wanted}")]
    if len(fitting) != 1:
        raise UnknownName(f"table of {place}:", named, known, hint=f"it has {shorten(sorted(known))}")
    return fitting[0]


def shorten(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
