"""Fetches only the images of chosen rows: the tables first, then the choice, then those images and masks alone.

`PartialDataset` is the dataset as such a fetch sees it: the files that are here, those that the archives' central
directories say are at the host, and how to get them.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dermdata import readers
from dermdata.cache import DatasetFolder, Receipt
from dermdata.cache.receipt import FetchedSubset, SubsetSpec
from dermdata.errors import DermdataError, ProblemsFound, ServerRefused
from dermdata.fetching import ingest
from dermdata.fetching.assemble import (
    BuiltManifest,
    assemble_manifest,
    find_table_path,
    harmonize_tables,
    read_tables,
)
from dermdata.fetching.listing import LISTED_BY_ROWS, list_row_files, merge_files
from dermdata.fetching.plan import BASE_ROLES, FetchPlan, FetchSettings
from dermdata.fetching.receipt_writer import ReceiptWriter
from dermdata.fetching.remote_zip import (
    NOT_INSPECTED,
    RemoteZip,
    ZipOpenContext,
    is_whole_only,
    open_remote_zip,
    require_members_unchanged,
)
from dermdata.fetching.repair import inspect_images, repair_files
from dermdata.fetching.run import FetchContext, FetchResult, download_files, find_copied
from dermdata.fetching.zip_ranges import fetch_members
from dermdata.manifest import BuildReport
from dermdata.manifest.builder import SourceTable, TableBuilder
from dermdata.manifest.match import ImageIndex
from dermdata.manifest.schema import IMAGE_DERIVED
from dermdata.markup import count_nouns
from dermdata.model import IMAGE_TABLES, Content, Dataset, File, Request, TableSpec

PICTURE_ROLES = ("images", "masks")
SMALL_ARCHIVE = 64 << 20  # bytes; an archive of this size comes whole from a host that gives no ranges
# what no row has before the images are here, or before `split`
IMAGE_DERIVED_COLUMNS = frozenset({*IMAGE_DERIVED, "split", "fold"})
LARGE_SHARE = 0.5  # of a dataset's rows: a lock that names as many is no small part of it


@dataclass
class PartialDataset:
    """One partial fetch at work; grows as directories are read."""

    plan: FetchPlan  # of the tables; its wants are the person's
    folder: DatasetFolder
    context: FetchContext
    receipt_writer: ReceiptWriter
    looks_only: bool = False  # a dry run: no whole archive is taken
    any_size: bool = False  # also a large archive may come whole from a host that gives no ranges
    zips: dict[str, RemoteZip] = field(default_factory=dict)
    whole: list[File] = field(default_factory=list)  # archives that can only be read whole

    @property
    def dataset(self) -> Dataset:
        return self.plan.dataset

    def fetch_tables(self) -> None:
        """The files that every fetch takes; where the rows name the images' files, those are known then."""
        download_files(self.plan, self.folder, self.context, self.receipt_writer)
        if self.dataset.listing == LISTED_BY_ROWS:
            files = list_row_files(self.dataset, self.receipt_writer.contents(), self.folder)
            self.plan = replace(self.plan, dataset=merge_files(self.dataset, files))

    def read_table_bytes(self, file: str, member: str | None) -> bytes:
        """A table's bytes; fetched out of its archive when it is first asked for."""
        path = find_table_path(file, member, self.contents())
        if elsewhere := [one for one in self.remote_contents() if one.path == path]:
            self.fetch_contents(elsewhere)
        return (self.folder.path / path).read_bytes()

    @property
    def opener(self) -> readers.Opener:
        return self.read_table_bytes

    # -------------------------------------------------------------- what there is

    def contents(self) -> tuple[Content, ...]:
        """Every file by its path, those that are not here as they are foreseen."""
        return (*self.receipt_writer.contents(), *self.remote_contents())

    def remote_contents(self) -> list[Content]:
        """The files of wanted kinds that are not here.

        A copy of a file that is here has its SHA-256, as far as size and CRC-32 tell: copies are one file.
        """
        here = self.receipt_writer.contents()
        paths = {one.path for one in here}
        known = {member_fingerprint(one): one.sha256 for one in here if one.member and one.member.offset >= 0}
        roles = self.plan.wants.roles
        return [
            replace(one, sha256=known.get(member_fingerprint(one), one.sha256)) if one.member else one
            for one in (*self.zip_contents(), *self.loose_contents())
            if one.path not in paths and one.role in roles
        ]

    def zip_contents(self) -> Iterable[Content]:
        return (one for source in self.zips.values() for one in source.expected_contents)

    def loose_contents(self) -> Iterable[Content]:
        """Images and masks that are files of their own."""
        for file in self.missing_files():
            if file.unpack is None and file.role in PICTURE_ROLES:
                yield Content(
                    path=ingest.file_path(file, self.folder).relative_to(self.folder.path).as_posix(),
                    role=file.role,
                    file=file.name,
                    size=file.expected_size or 0,
                    sha256=file.checksum or f"file:{file.name}",
                    image=NOT_INSPECTED if ingest.may_be_image(file.name) else None,
                )

    def missing_files(self) -> list[File]:
        """The catalog files that are wanted and not here."""
        wanted = (
            one for one in self.dataset.files if one.fetch and not self.receipt_writer.has_file(one.name)
        )
        return [one for one in wanted if self.plan.wants.roles & {one.role, *one.members.values()}]

    # -------------------------------------------------------------- directories

    def read_directories(self, names: Collection[str]) -> None:
        """Read the directories of these archives; one that cannot be read in part comes whole."""
        for file in self.missing_files():
            known = file.name in self.zips or file in self.whole
            if file.unpack is None or file.name not in names or known:
                continue
            if file.unpack != "zip":
                what = "holds images with their rows" if file.unpack in IMAGE_TABLES else "is a tar"
                self.context.progress.say(f"{file.name} {what}: it can only be read whole")
                self.fetch_whole(file)
                continue
            try:
                place = self.context.resolve(self.dataset, file)
                source = self.open_zip(file, place)
            except DermdataError as error:
                self.handle_missing_ranges(file, error)
                continue
            if source.holds_archives:
                self.context.progress.say(f"{file.name} holds archives: it can only be read whole")
                self.fetch_whole(file)
            else:
                self.zips[file.name] = source

    def open_zip(self, file: File, place: Request | Path) -> RemoteZip:
        """An archive's directory; it goes on record, so that no later part is taken by another one."""
        official = partial(self.context.resolve_official, self.dataset, file)
        known = self.receipt_writer.directory(file.name)
        source = open_remote_zip(
            file, place, ZipOpenContext(self.dataset.name, self.context.transfer, known, official)
        )
        require_members_unchanged(
            source, self.receipt_writer.list_file_contents(file.name), self.dataset.name
        )
        for note in source.notes:
            self.context.progress.say(f"warning: {note}")
        self.receipt_writer.record_directory(file.name, source.directory)
        self.receipt_writer.record_contents([], source.cost)
        return source

    def handle_missing_ranges(self, file: File, error: DermdataError) -> None:
        """A small archive is taken whole; for a large one the person decides, or has decided."""
        if not (isinstance(error, ServerRefused) and is_whole_only(error)):
            raise self.context.explain(error, self.dataset, file) from error
        reason = error.message if error.status != 200 else f"{file.name}: its host gives no part of a file"
        size = file.size or self.ask_size(file)
        if not self.any_size and (size is None or size > SMALL_ARCHIVE):
            how_large = count_nouns(size, "byte") if size else "of unknown size"
            raise ServerRefused(
                f"{reason}, only the whole archive ({how_large})",
                status=200,
                hint="without --where and --limit it is fetched whole; `select --where` filters afterwards",
            ) from error
        self.context.progress.say(f"{reason}, it comes whole")
        self.fetch_whole(file)

    def ask_size(self, file: File) -> int | None:
        """Bytes, as the file's host says; None where it does not."""
        place = self.context.resolve(self.dataset, file)
        return self.context.transfer.resolve_head(place).size if isinstance(place, Request) else None

    def fetch_whole(self, file: File) -> None:
        self.whole.append(file)
        if not self.looks_only:
            download_files(
                replace(self.plan, download=(file,)), self.folder, self.context, self.receipt_writer
            )

    # -------------------------------------------------------------- files

    def fetch_contents(self, wanted: Sequence[Content]) -> None:
        """These files, out of their archives or from their own addresses."""
        for source in self.zips.values():
            mine = [one for one in wanted if one.file == source.file.name]
            self.fetch_zip_members(source, mine)
        loose = {one.file for one in wanted if one.member is None}
        files = tuple(one for one in self.missing_files() if one.name in loose)
        download_files(replace(self.plan, download=files), self.folder, self.context, self.receipt_writer)

    def fetch_zip_members(self, source: RemoteZip, wanted: Sequence[Content]) -> None:
        try:
            if wanted:
                self.receipt_writer.save_directories()  # before the first member is taken
            fetch_members(
                source,
                wanted,
                self.folder,
                self.context.progress,
                self.receipt_writer.record_contents,
                self.receipt_writer.announce_members,
            )
        except DermdataError as error:
            raise self.context.explain(error, self.dataset, source.file) from error


def member_fingerprint(content: Content) -> tuple[int, int]:
    return content.size, content.member.crc32 if content.member else 0


# ------------------------------------------------------------------ which archives are opened


def list_row_archives(dataset: Dataset) -> set[str]:
    """The archives without whose directory, or a member, the rows are not known."""
    holding = {one.name for one in dataset.files if BASE_ROLES & set(one.members.values())}
    return holding.union(*(list_table_archives(dataset, spec) for spec in dataset.table))


def list_table_archives(dataset: Dataset, spec: TableSpec) -> set[str]:
    """The archives without which one table's rows are not known."""
    joined = {one.file for one in spec.join}
    if spec.reader == "folders":
        return list_image_archives(dataset, spec)
    if spec.reader == "rows" and not spec.file:
        return joined | {one.name for one in dataset.files if one.unpack in IMAGE_TABLES}
    return {spec.file, *joined} if spec.file else set()


def list_image_archives(dataset: Dataset, spec: TableSpec) -> set[str]:
    """The archives in which a table's images are, and those of masks."""
    pictures = {one.name for one in dataset.files if one.role == "images"}
    masks = {one.name for one in dataset.files if "masks" in (one.role, *one.members.values())}
    return (set(spec.images) or pictures) | (masks if spec.masks else set())


@dataclass(frozen=True, kw_only=True)
class SubsetRequest:
    """Which rows are wanted: in words, and as the function that takes them out of the whole table."""

    where: str | None
    limit: int | None
    choose: Callable[[pa.Table], pa.Table]
    # a lock's: of half of the rows on all come, none is no error, no archive is too large to come whole
    of_lock: bool = False
    of: int | None = None  # rows of the whole dataset, where its tables have fewer

    def covers_all(self, rows: int, of: int, wants: FetchSettings) -> bool:
        """Whether so many rows mean the whole dataset; of tables alone there is no more than what is here."""
        if self.of_lock:
            return wants.only != "metadata" and rows >= LARGE_SHARE * of
        return rows == of

    def to_spec(self, wants: FetchSettings) -> SubsetSpec:
        return SubsetSpec(where=self.where, limit=self.limit, roles=tuple(sorted(wants.roles)))


@dataclass(frozen=True, kw_only=True)
class SubsetChoice:
    """The rows that were chosen, and what they need."""

    part: FetchedSubset
    rows: int  # that this choice alone takes
    wanted: tuple[Content, ...]  # not here yet
    everything: bool  # the whole dataset is to be fetched instead


def is_done(receipt: Receipt | None, ask: SubsetRequest, wants: FetchSettings, plan: FetchPlan) -> bool:
    """Whether the very same was asked before, and all of it is here."""
    part = receipt.part if receipt else None
    return part is not None and plan.is_empty and ask.to_spec(wants) in part.asked


def run_subset(
    plan: FetchPlan, ask: SubsetRequest, context: FetchContext, before: Receipt | None
) -> FetchResult | None:
    """Fetch the chosen rows' images on top of what is here; None when all rows are meant: that is a whole fetch.

    `plan` is the plan of the dataset's tables. ProblemsFound when no row is chosen.
    """
    folder = context.cache.folder(plan.dataset)
    folder.remove_dead_temporaries()
    receipt_writer = ReceiptWriter(plan, folder, context)
    subset_fetch = PartialDataset(plan, folder, context, receipt_writer, any_size=ask.of_lock)
    with receipt_writer.clear_pending_on_failure():
        choice = fetch_chosen_rows(subset_fetch, ask, before)
        if choice.everything:
            return None
        built = write_subset_manifest(subset_fetch, choice.part, choice.wanted)
        receipt_writer.delete_unpacked_archives()
        receipt_writer.close(built, choice.part)
    context.cache.deduplicate(folder, jobs=context.jobs)
    return FetchResult(
        manifest=folder.manifest,
        report=built.facts,
        downloaded=receipt_writer.downloaded,
        part=choice.part,
        copied=find_copied(plan),
    )


def fetch_chosen_rows(
    subset_fetch: PartialDataset, ask: SubsetRequest, before: Receipt | None
) -> SubsetChoice:
    """The tables, the choice by them, and the chosen rows' files, unless these are all rows."""
    plan, folder, context = subset_fetch.plan, subset_fetch.folder, subset_fetch.context
    receipt_writer = subset_fetch.receipt_writer
    try:
        subset_fetch.fetch_tables()
        # before the choice: a broken table chooses wrongly, or not at all
        for content in repair_files(
            subset_fetch.plan, folder, context.transfer, context.resolve, context.progress
        ):
            receipt_writer.replace_content(content)
        with receipt_writer.forget_if_refused():
            choice = choose_rows(subset_fetch, ask, before)
        for content in inspect_images(plan, folder, context.jobs, context.progress):
            receipt_writer.record_contents([content], 0)
        if not choice.everything:
            subset_fetch.fetch_contents(choice.wanted)
    except ProblemsFound:
        keep_tables(subset_fetch, before)
        raise
    except BaseException:
        receipt_writer.save_after_failure()  # what is whole is noted even when something else failed
        raise
    if receipt_writer.changed:
        receipt_writer.save()
    return choice


def keep_tables(subset_fetch: PartialDataset, before: Receipt | None) -> None:
    """Where nothing was chosen: what the tables brought is as whole as after `--only metadata`."""
    if subset_fetch.receipt_writer.changed:
        subset_fetch.receipt_writer.keep_table_roles()
        part = before.part if before else None
        subset_fetch.receipt_writer.close(write_subset_manifest(subset_fetch, part, ()), part)


def write_subset_manifest(
    subset_fetch: PartialDataset, part: FetchedSubset | None, wanted: Sequence[Content]
) -> BuiltManifest:
    """The manifest of the part; what was wanted and is not here is lost, with its reason."""
    lost = {one.path for one in wanted}
    return assemble_manifest(
        subset_fetch.dataset,
        subset_fetch.folder,
        subset_fetch.receipt_writer.contents(),
        subset_fetch.context.library,
        subset_fetch.context.progress,
        subset_fetch.receipt_writer.unavailable,
        subset_fetch.receipt_writer.coverage,
        part,
        tuple(one for one in subset_fetch.remote_contents() if one.path not in lost),
    )


def preview_subset(
    plan: FetchPlan, ask: SubsetRequest, context: FetchContext, before: Receipt | None
) -> tuple[PartialDataset, SubsetChoice]:
    """What `run_subset` would do; the context's cache is a place to read tables in, not the person's."""
    folder = context.cache.folder(plan.dataset)
    subset_fetch = PartialDataset(
        plan, folder, context, ReceiptWriter(plan, folder, context), looks_only=True
    )
    subset_fetch.fetch_tables()
    return subset_fetch, choose_rows(subset_fetch, ask, before)


# ------------------------------------------------------------------ choosing


def choose_rows(subset_fetch: PartialDataset, ask: SubsetRequest, before: Receipt | None) -> SubsetChoice:
    """Choose rows by what the tables say of them, and find their files by the archives' directories."""
    subset_fetch.read_directories(list_row_archives(subset_fetch.dataset))
    sources = read_tables(subset_fetch.dataset, subset_fetch.opener, subset_fetch.contents())
    table = build_whole_table(subset_fetch, sources)
    rows = ask.choose(table.drop_columns(sorted(IMAGE_DERIVED_COLUMNS)))["image_id"]
    if not len(rows) and not ask.of_lock:
        raise ProblemsFound(
            f"{subset_fetch.dataset.name}: none of {count_nouns(table.num_rows, 'row')} is chosen, no image was fetched",
            hint=f"`dermdata stats {subset_fetch.dataset.name} --by diagnosis` shows what there is",
        )
    kept = mark_present_rows(table, before, subset_fetch)
    mine = pc.is_in(table["image_id"], rows.combine_chunks())
    part = FetchedSubset(
        asked=append_spec(ask.to_spec(subset_fetch.plan.wants), before),
        rows=tuple(table.filter(pc.or_(mine, kept))["image_id"].to_pylist()),
        of=ask.of or table.num_rows,
    )
    if ask.covers_all(len(rows), part.of, subset_fetch.plan.wants):
        return SubsetChoice(part=part, rows=len(rows), wanted=(), everything=True)
    subset_fetch.read_directories(list_needed_archives(subset_fetch, sources, rows))
    return SubsetChoice(
        part=part, rows=len(rows), wanted=list_wanted_contents(subset_fetch, sources, rows), everything=False
    )


def build_whole_table(subset_fetch: PartialDataset, sources: Sequence[SourceTable]) -> pa.Table:
    library, lost = subset_fetch.context.library, subset_fetch.receipt_writer.unavailable
    table, _ = harmonize_tables(subset_fetch.dataset, sources, subset_fetch.contents(), library, lost)
    return table


def append_spec(record: SubsetSpec, before: Receipt | None) -> tuple[SubsetSpec, ...]:
    earlier = before.part.asked if before and before.part else ()
    return (*(one for one in earlier if one != record), record)


def mark_present_rows(table: pa.Table, before: Receipt | None, subset_fetch: PartialDataset) -> pa.Array:
    """Which rows stay: those of earlier partial fetches; else those whose image or mask is here."""
    if before and before.part:
        return pc.is_in(table["image_id"], pa.array(before.part.rows, pa.string()))
    here = pa.array([one.path for one in subset_fetch.receipt_writer.contents()], pa.string())
    return pc.or_(pc.is_in(table["path"], here), pc.is_in(table["mask_path"], here))


def list_needed_archives(
    subset_fetch: PartialDataset, sources: Sequence[SourceTable], rows: pa.ChunkedArray
) -> set[str]:
    """The archives in which the chosen rows' images and masks may be."""
    names: set[str] = set()
    for source in sources:
        if (
            len(sources) == 1
            or pc.any(pc.is_in(read_image_ids(subset_fetch, source), rows.combine_chunks())).as_py()
        ):
            names |= list_image_archives(subset_fetch.dataset, source.spec)
    return names


def read_image_ids(subset_fetch: PartialDataset, source: SourceTable) -> pa.Array:
    """The image ids of one table."""
    library, dataset = subset_fetch.context.library, subset_fetch.dataset
    words = (library.crosswalk(dataset), library.vocabulary, library.body_sites)
    return TableBuilder(dataset, source, ImageIndex(()), *words, BuildReport()).image_ids()


def list_wanted_contents(
    subset_fetch: PartialDataset, sources: Sequence[SourceTable], rows: pa.ChunkedArray
) -> tuple[Content, ...]:
    """The files of these rows that are not here."""
    table = build_whole_table(subset_fetch, sources)
    paths = collect_image_paths(table.filter(pc.is_in(table["image_id"], rows.combine_chunks())))
    return tuple(one for one in subset_fetch.remote_contents() if one.path in paths)


def collect_image_paths(table: pa.Table) -> set[str]:
    """Images, masks and further masks."""
    plain = {path for name in ("path", "mask_path") for path in table[name].to_pylist() if path}
    return plain | {path for masks in table["masks"].to_pylist() if masks for _, path in masks}
