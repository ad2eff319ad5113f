"""A dataset as a partial fetch sees it: what is here, and what its archives' directories say is elsewhere."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dermdata import readers
from dermdata.cache import Folder
from dermdata.errors import DermdataError, ServerRefused
from dermdata.fetching import ingest, reach, shelf
from dermdata.fetching.assemble import path_of
from dermdata.fetching.listing import BY_ROWS, files_of_rows, with_files
from dermdata.fetching.plan import ALWAYS, Plan
from dermdata.fetching.run import Ledger, Workshop, download
from dermdata.fetching.shelf import NOT_SEEN, Opening, Shelf
from dermdata.model import Content, Dataset, File, Request, Table

PICTURES = ("images", "masks")
SMALL = 64 << 20  # bytes; an archive of this size comes whole from a host that gives no ranges


@dataclass
class Scene:
    """One partial fetch at work; grows as directories are read."""

    plan: Plan  # of the tables; its wants are the person's
    folder: Folder
    workshop: Workshop
    ledger: Ledger
    looks_only: bool = False  # a dry run: no whole archive is taken
    any_size: bool = False  # also a large archive may come whole from a host that gives no ranges
    shelves: dict[str, Shelf] = field(default_factory=dict)
    whole: list[File] = field(default_factory=list)  # archives that can only be read whole

    @property
    def dataset(self) -> Dataset:
        return self.plan.dataset

    def bring_tables(self) -> None:
        """The files that every fetch takes; where the rows name the images' files, those are known then."""
        download(self.plan, self.folder, self.workshop, self.ledger)
        if self.dataset.listing == BY_ROWS:
            files = files_of_rows(self.dataset, self.ledger.contents(), self.folder)
            self.plan = replace(self.plan, dataset=with_files(self.dataset, files))

    def opened(self, file: str, member: str | None) -> bytes:
        """A table's bytes; fetched out of its archive when it is first asked for."""
        path = path_of(file, member, self.contents())
        if elsewhere := [one for one in self.elsewhere() if one.path == path]:
            self.bring(elsewhere)
        return (self.folder.path / path).read_bytes()

    @property
    def opener(self) -> readers.Opener:
        return self.opened

    # -------------------------------------------------------------- what there is

    def contents(self) -> tuple[Content, ...]:
        """Every file by its path, those that are not here as they are foreseen."""
        return (*self.ledger.contents(), *self.elsewhere())

    def elsewhere(self) -> list[Content]:
        """The files of wanted kinds that are not here.

        A copy of a file that is here has its SHA-256, as far as size and CRC-32 tell: copies are one file.
        """
        here = self.ledger.contents()
        paths = {one.path for one in here}
        known = {mark_of(one): one.sha256 for one in here if one.member and one.member.offset >= 0}
        roles = self.plan.wants.roles
        return [
            replace(one, sha256=known.get(mark_of(one), one.sha256)) if one.member else one
            for one in (*self.on_shelves(), *self.alone())
            if one.path not in paths and one.role in roles
        ]

    def on_shelves(self) -> Iterable[Content]:
        return (one for source in self.shelves.values() for one in source.foreseen)

    def alone(self) -> Iterable[Content]:
        """Images and masks that are files of their own."""
        for file in self.missing():
            if file.unpack is None and file.role in PICTURES:
                yield Content(
                    path=ingest.target_of(file, self.folder).relative_to(self.folder.path).as_posix(),
                    role=file.role,
                    file=file.name,
                    size=file.size or 0,
                    sha256=file.checksum or f"file:{file.name}",
                    image=NOT_SEEN if ingest.is_image(file.name) else None,
                )

    def missing(self) -> list[File]:
        """The catalog files that are wanted and not here."""
        wanted = (one for one in self.dataset.files if one.fetch and not self.ledger.has(one.name))
        return [one for one in wanted if self.plan.wants.roles & {one.role, *one.members.values()}]

    # -------------------------------------------------------------- directories

    def look_into(self, names: Collection[str]) -> None:
        """Read the directories of these archives; one that cannot be read in part comes whole."""
        for file in self.missing():
            known = file.name in self.shelves or file in self.whole
            if file.unpack is None or file.name not in names or known:
                continue
            if file.unpack != "zip":
                self.workshop.progress.say(f"{file.name} is a tar: it can only be read whole")
                self.take_whole(file)
                continue
            try:
                place = self.workshop.resolve(self.dataset, file)
                self.shelves[file.name] = self.opened_shelf(file, place)
            except DermdataError as error:
                self.without_ranges(file, error)

    def opened_shelf(self, file: File, place: Request | Path) -> Shelf:
        """An archive's directory; it goes on record, so that no later part is taken by another one."""
        official = partial(self.workshop.ask_publisher, self.dataset, file)
        known = self.ledger.directory(file.name)
        source = shelf.opened(
            file, place, Opening(self.dataset.name, self.workshop.transfer, known, official)
        )
        shelf.require_holds(source, self.ledger.of(file.name), self.dataset.name)
        for note in source.notes:
            self.workshop.progress.say(f"warning: {note}")
        self.ledger.note_directory(file.name, source.directory)
        self.ledger.hold([], source.cost)
        return source

    def without_ranges(self, file: File, error: DermdataError) -> None:
        """A small archive is taken whole; for a large one the person decides, or has decided."""
        if not (isinstance(error, ServerRefused) and shelf.whole_only(error)):
            raise self.workshop.explain(error, self.dataset, file) from error
        reason = error.message if error.status != 200 else f"{file.name}: its host gives no part of a file"
        size = file.size or self.size_told(file)
        if not self.any_size and (size is None or size > SMALL):
            how_large = f"{size:,} bytes" if size else "of unknown size"
            raise ServerRefused(
                f"{reason}, only the whole archive ({how_large})",
                status=200,
                hint="without --where and --limit it is fetched whole; `select --where` filters afterwards",
            ) from error
        self.workshop.progress.say(f"{reason}, it comes whole")
        self.take_whole(file)

    def size_told(self, file: File) -> int | None:
        """Bytes, as the file's host says; None where it does not."""
        place = self.workshop.resolve(self.dataset, file)
        return self.workshop.transfer.resolve_head(place).size if isinstance(place, Request) else None

    def take_whole(self, file: File) -> None:
        self.whole.append(file)
        if not self.looks_only:
            download(replace(self.plan, download=(file,)), self.folder, self.workshop, self.ledger)

    # -------------------------------------------------------------- files

    def bring(self, wanted: Sequence[Content]) -> None:
        """These files, from their shelves or their own addresses."""
        for source in self.shelves.values():
            mine = [one for one in wanted if one.file == source.file.name]
            self.bring_members(source, mine)
        loose = {one.file for one in wanted if one.member is None}
        files = tuple(one for one in self.missing() if one.name in loose)
        download(replace(self.plan, download=files), self.folder, self.workshop, self.ledger)

    def bring_members(self, source: Shelf, wanted: Sequence[Content]) -> None:
        try:
            if wanted:
                self.ledger.save_directories()  # before the first member is taken
            reach.bring(
                source, wanted, self.folder, self.workshop.progress, self.ledger.hold, self.ledger.announce
            )
        except DermdataError as error:
            raise self.workshop.explain(error, self.dataset, source.file) from error


def mark_of(content: Content) -> tuple[int, int]:
    return content.size, content.member.crc32 if content.member else 0


# ------------------------------------------------------------------ which archives are looked into


def archives_of_rows(dataset: Dataset) -> set[str]:
    """The archives without whose directory, or a member, the rows are not known."""
    holding = {one.name for one in dataset.files if ALWAYS & set(one.members.values())}
    for spec in dataset.table:
        if spec.reader == "folders":
            holding |= archives_of_images(dataset, spec)
        elif spec.file:
            holding |= {spec.file, *(one.file for one in spec.join)}
    return holding


def archives_of_images(dataset: Dataset, spec: Table) -> set[str]:
    """The archives in which a table's images are, and those of masks."""
    pictures = {one.name for one in dataset.files if one.role == "images"}
    masks = {one.name for one in dataset.files if "masks" in (one.role, *one.members.values())}
    return (set(spec.images) or pictures) | (masks if spec.masks else set())
