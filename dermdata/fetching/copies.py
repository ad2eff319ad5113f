"""Copies: further places that hold a dataset's images, for when its publisher's host refuses.

`use_copy` makes of an entry the same entry with a copy's files and tables in place of what is not here, so that a fetch
of it is planned, carried out, recorded and repaired as any other. Which files a copy has is the catalog's word.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow.compute as pc

from dermdata.cache import DatasetFolder, Receipt
from dermdata.cache.receipt import IN_PART
from dermdata.catalogs.overlays import read_text
from dermdata.errors import BadCatalog, NotTheFile
from dermdata.fetching import ingest
from dermdata.fetching.assemble import harmonize_tables, read_tables
from dermdata.fetching.plan import FetchPlan, FetchSettings, list_missing
from dermdata.fetching.receipt_writer import ReceiptWriter
from dermdata.fetching.run import FetchContext, ObtainFiles, download_files, require_plan_space
from dermdata.fetching.subset import PartialDataset, list_wanted_contents
from dermdata.markup import count_nouns, count_share
from dermdata.model import Content, CopiedDataset, Copy, CopyFile, Dataset, File, Role, TableSpec

ImageMark = tuple[int, int]  # size and CRC-32
FindEntry = Callable[[str], Dataset]  # the catalog's entry of a name
IMAGES_NAME, IMAGES_HEADER = "images.tsv", "image\tsize\tcrc32"
IMAGE_LINE = re.compile(r"([^\t]+)\t([0-9]{1,18})\t([0-9a-fA-F]{8})")
NEEDED_ROLES: frozenset[Role] = frozenset({"metadata", "images"})  # without which a copy is no stand-in


@dataclass(frozen=True, kw_only=True)
class FilesHere:
    """The official files of which something is here."""

    whole: frozenset[str] = frozenset()
    pieces: frozenset[str] = frozenset()  # archives of which some members are here

    @classmethod
    def from_receipt(cls, receipt: Receipt | None) -> "FilesHere":
        """What a receipt has of the publisher's own."""
        if receipt is None:
            return cls()
        own = {one.name: one.recognized in IN_PART for one in receipt.files if not one.copy}
        whole = frozenset(name for name, in_part in own.items() if not in_part)
        copied = frozenset(one.name for one in receipt.files if one.copy)
        return cls(whole=whole, pieces=frozenset(own).union(receipt.directories) - whole - copied)


@dataclass(frozen=True)
class Substitution:
    """Which files of a copy are taken, in place of which official ones."""

    dataset: Dataset
    copy: Copy
    here: FilesHere
    asked: Role | None  # whose official files are asked for once more

    @cached_property
    def own_tables(self) -> bool:
        """Whether the copy's tables are read: it has some, and the official ones are not all here."""
        return bool(self.copy.table) and not list_table_files(self.dataset.table) <= self.here.whole

    @cached_property
    def used(self) -> tuple[CopyFile, ...]:
        """The copy's files that bring something which is not here."""
        return tuple(
            file
            for file in self.copy.files
            if (not set(file.replaces) <= self.here.whole if file.replaces else self.own_tables)
        )

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The copy's files that stand in for each official one that is not here; a listing's are not named."""
        replaced = {name for file in self.used for name in file.replaces}
        if self.copy.listing:
            replaced |= {file.name for file in self.dataset.files if file.role == "images"}
            replaced |= list_table_files(self.dataset.table) if self.own_tables else set()
        return {
            name: tuple(file.name for file in self.used if name in file.replaces)
            for name in replaced - self.here.whole
        }

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """The official files that the copy has nothing for, and that are not here."""
        present = self.here.whole | self.names.keys()
        missing = (file for file in self.dataset.files if file.fetch and file.name not in present)
        return tuple(file.name for file in missing if file.role != self.asked)

    @cached_property
    def official(self) -> frozenset[str]:
        """The official files that are fetched, or here and stay."""
        gone = {*self.names, *self.left_out, *(file.name for file in self.used)}
        return frozenset(file.name for file in self.dataset.files if file.fetch) - gone

    def list_files(self, find_entry: FindEntry) -> tuple[File, ...]:
        """All files of the entry, of which only the official ones that are here and the copy's are fetched."""
        files = {file.name: replace(file, fetch=file.name in self.official) for file in self.dataset.files}
        if self.copy.listing:  # which may have files of the same names
            files = {name: file for name, file in files.items() if file.fetch or name in self.left_out}
        for one in self.used:
            files[one.name] = replace(find_copy_file(self.dataset, one, find_entry), fetch=True)
        return tuple(files.values())

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """The copy's tables, or the official ones with the copy's names of files."""
        if self.own_tables:
            return tuple(add_official_images(spec, self.used) for spec in self.copy.table)
        return tuple(use_copied_names(spec, self.names) for spec in self.dataset.table)


def use_copy(
    dataset: Dataset,
    copy: Copy,
    find_entry: FindEntry,
    here: FilesHere | None = None,
    asked: Role | None = None,
) -> CopiedDataset:
    """The entry with the files of a copy in place of the official ones that are not here.

    Parameters
    ----------
    dataset
        The catalog entry.
    copy
        One of its copies.
    find_entry
        The catalog's entry of a name: a copy's files may be those of another one.
    here
        The official files that are here and stay.
    asked
        A role whose official files are asked for once more though the copy has nothing for them.

    Returns
    -------
    CopiedDataset
        The entry; of its official files only those that are here, or `asked` for, are fetched.

    Raises
    ------
    UnknownName, BadCatalog
        If the copy names an entry, or a file of one, that is not there.

    """
    if copy.layout and not copy.table:
        copy = replace(copy, table=find_entry(copy.layout).table)
    kept = FilesHere() if here is None or copy.only_by_name else here
    taken = Substitution(dataset, copy, kept, asked)
    values = vars(dataset) | {
        "files": taken.list_files(find_entry),
        "listing": copy.listing or dataset.listing,
        "table": taken.tables,
    }
    return CopiedDataset(
        **values,
        copy=copy,
        origins={one.name: one.entry or dataset.name for one in taken.used},
        official=taken.official,
        in_part=frozenset(one.name for one in taken.used if is_taken_in_part(one, taken.here)),
        left_out=taken.left_out,
    )


def list_table_files(tables: Iterable[TableSpec]) -> set[str]:
    """The catalog files that tables are read from."""
    return {name for spec in tables for name in (spec.file, *(join.file for join in spec.join)) if name}


def is_taken_in_part(file: CopyFile, here: FilesHere) -> bool:
    """Whether only some of an archive's images are taken: those of the rows that have none yet."""
    return file.holds_more or bool(set(file.replaces) & (here.whole | here.pieces))


def find_copy_file(dataset: Dataset, file: CopyFile, find_entry: FindEntry) -> File:
    """The catalog file that a copy names; BadCatalog where its entry has none of this name."""
    entry = find_entry(file.entry) if file.entry else dataset
    try:
        return entry.file(file.name)
    except KeyError:
        raise BadCatalog(
            f"{dataset.name}: a copy names {file.name}, which {entry.name} has not",
            hint="`dermdata info` lists the files of an entry",
        ) from None


def use_copied_names(spec: TableSpec, names: Mapping[str, tuple[str, ...]]) -> TableSpec:
    """An official table that is read from the copy's files of other names, its images from either."""

    def rename(name: str) -> str:
        return next(iter(names.get(name, ())), name)

    images = tuple(dict.fromkeys(one for name in spec.images for one in (name, *names.get(name, ()))))
    joins = tuple(replace(join, file=rename(join.file)) for join in spec.join)
    return replace(spec, file=spec.file and rename(spec.file), join=joins, images=images)


def add_official_images(spec: TableSpec, used: Iterable[CopyFile]) -> TableSpec:
    """A copy's table whose images may also be in the official archives that it replaces."""
    official = [name for one in used if one.name in spec.images for name in one.replaces]
    return replace(spec, images=tuple(dict.fromkeys((*spec.images, *official))))


def find_copy(dataset: Dataset, name: str | None) -> Copy | None:
    """The copy of this name; None where the entry has none such."""
    return next((one for one in dataset.copies if one.name == name), None)


def use_recorded_copy(
    dataset: Dataset, receipt: Receipt | None, find_entry: FindEntry, asked: Role | None = None
) -> Dataset:
    """The entry by the source from which it was fetched: a copy that the receipt names, or the publisher."""
    copy = find_copy(dataset, receipt.copy) if receipt else None
    if copy is None:
        return dataset
    return use_copy(dataset, copy, find_entry, FilesHere.from_receipt(receipt), asked)


def is_settled(dataset: Dataset, receipt: Receipt | None, find_entry: FindEntry) -> bool:
    """Whether all that was asked for is here from one source, which then stays unless it is replaced by force."""
    if receipt is None or not receipt.complete:
        return False
    entry = use_recorded_copy(dataset, receipt, find_entry)
    return not any(file.role in receipt.roles for file in list_missing(entry, receipt, FetchSettings(), ()))


def stands_in(entry: CopiedDataset, wants: FetchSettings) -> bool:
    """Whether a copy brings what is wanted: something of it, and all tables and images."""
    needed = NEEDED_ROLES if wants.only is None else {"metadata", wants.only}
    lacking = {entry.file(name).role for name in entry.left_out} & wants.roles & needed
    brought = entry.origins.keys() & {file.name for file in wants.select_files(entry)}
    return bool(brought or entry.copy.listing) and not lacking


# ------------------------------------------------------------------ obtaining


def choose_obtainer(plan: FetchPlan) -> ObtainFiles | None:
    """How a plan's files are brought: a copy's are compared with what is known of the publisher's images."""
    return obtain_copy if isinstance(plan.dataset, CopiedDataset) and plan.download else None


def is_in_part(dataset: Dataset, file: File) -> bool:
    """Whether only what the rows need of a file comes: an archive that holds more, or images of a copy's listing."""
    if not isinstance(dataset, CopiedDataset):
        return False
    listed = dataset.copy.listing and not dataset.copy.only_by_name
    is_listed = listed and file.name not in dataset.official and file.name not in dataset.origins
    return file.name in dataset.in_part or bool(is_listed and file.role == "images")


def obtain_copy(
    plan: FetchPlan, folder: DatasetFolder, context: FetchContext, receipt_writer: ReceiptWriter
) -> None:
    """All of the plan's files; of archives that hold more only the images of rows that have none yet."""
    in_part = {file.name for file in plan.download if is_in_part(plan.dataset, file)}
    whole = replace(plan, download=tuple(file for file in plan.download if file.name not in in_part))
    require_plan_space(whole, folder)
    download_files(whole, folder, context, receipt_writer)
    require_same_images(plan, context, receipt_writer, receipt_writer.contents())
    if not in_part:
        return
    work = PartialDataset(replace(plan, download=()), folder, context, receipt_writer, any_size=True)
    work.read_directories(in_part)
    for source in work.zips.values():
        require_same_images(plan, context, receipt_writer, source.expected_contents)
    work.fetch_contents(list_lacking_contents(work))
    for name, source in work.zips.items():
        found = receipt_writer.list_file_contents(name)
        taken = ingest.VerifiedFile(
            path=folder.path / ingest.archive_folder(source.file),
            size=source.size,
            sha256=ingest.members_digest(found),
            url=source.url,
            recognized="rows",
            moved=0,
        )
        receipt_writer.record_file(source.file, taken, found)


def list_lacking_contents(work: PartialDataset) -> tuple[Content, ...]:
    """The files at the host that rows need whose image is not here."""
    sources = read_tables(work.dataset, work.opener, work.contents())
    here = work.receipt_writer.contents()
    table, _ = harmonize_tables(work.dataset, sources, here, work.context.library, {})
    ids = table.filter(pc.is_null(table["path"]))["image_id"]
    return list_wanted_contents(work, sources, ids)


# ------------------------------------------------------------------ identity


def require_same_images(
    plan: FetchPlan, context: FetchContext, receipt_writer: ReceiptWriter, offered: Iterable[Content]
) -> None:
    """Compare a copy's images with the publisher's by size and CRC-32, as far as these are known.

    NotTheFile where they differ and the catalog calls them the same; a copy that is only likely so is told of.
    """
    dataset = plan.dataset
    assert isinstance(dataset, CopiedDataset)  # noqa: S101  # nothing else has a copy's images
    known = read_known_images(dataset.name, context.library.catalog.roots)
    known |= map_images(receipt_writer.contents(), without=dataset.origins)
    common, other = compare_images(known, map_images(offered, of=dataset.origins))
    if not common or dataset.copy.bytes == "re-encoded":
        return
    if not other:
        line = f"{dataset.copy.name}: {count_nouns(common, 'image', 'have')} the publisher's size and CRC-32"
        context.progress.say(line)
        return
    what = f"{dataset.copy.name}: {count_share(other, common, 'image', 'have')} another size or CRC-32"
    if dataset.copy.bytes == "same":
        hint = "the copy is not what the catalog says; nothing was taken from it"
        raise NotTheFile(f"{what} than the publisher's", hint=hint)
    context.progress.say(f"warning: {what} than the publisher's: they are the same by id only")


def compare_images(known: Mapping[str, ImageMark], found: Mapping[str, ImageMark]) -> tuple[int, int]:
    """How many images are known of both sides, and how many of them differ."""
    common = known.keys() & found.keys()
    return len(common), sum(known[name] != found[name] for name in common)


def map_images(
    contents: Iterable[Content], *, of: Collection[str] | None = None, without: Collection[str] = ()
) -> dict[str, ImageMark]:
    """Size and CRC-32 of each image in an archive (`of` these, or of all but some), by its name alone."""
    mine = (one for one in contents if (of is None or one.file in of) and one.file not in without)
    return {
        one.official.rpartition("/")[2].rpartition(".")[0]: (one.size, one.member.crc32)
        for one in mine
        if one.role == "images" and one.image and one.member and one.member.offset >= 0
    }


def read_known_images(name: str, roots: Sequence[Path]) -> dict[str, ImageMark]:
    """Size and CRC-32 of the publisher's images, from the catalog's `images.tsv`; none where it has none."""
    known: dict[str, ImageMark] = {}
    for path in (root / "datasets" / name / IMAGES_NAME for root in roots):
        lines = read_text(path).splitlines() if path.exists() else []
        for number, line in enumerate(lines):
            match = IMAGE_LINE.fullmatch(line)
            if match:
                known[match[1]] = int(match[2]), int(match[3], 16)
            elif line != IMAGES_HEADER or number:
                raise BadCatalog(
                    f"{path}, line {number + 1}: must be image, size and crc32, separated by tabs"
                )
    return known
