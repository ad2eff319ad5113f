"""Recognizes one dataset among what was given: whole files, then tables, then the images that those name.

Reads, but writes nothing; what it finds is a value that can be shown, and carried out by `bring`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

import pyarrow as pa

from dermdata import readers
from dermdata.cache import Folder
from dermdata.errors import ChecksumMismatch, DermdataError, ManualDownload
from dermdata.fetch.adopt.given import Found, Given
from dermdata.fetch.adopt.paths import official_paths
from dermdata.fetch.adopt.pictures import Harvest, Pictures, find_images, find_masks, image_names
from dermdata.fetch.adopt.tables import Part, Tables, parts_of
from dermdata.fetch.adopt.values import Adopted, Conflict, Piece, Planner, Recognition, content_of
from dermdata.fetch.adopt.wholes import Search
from dermdata.fetch.assemble import opener, path_of
from dermdata.fetch.ingest import home_of, is_image, role_of
from dermdata.fetch.listing import BY_ROWS, image_name, with_files
from dermdata.fetch.plan import Plan
from dermdata.labels import Crosswalk
from dermdata.manifest.match import Names
from dermdata.model import Content, Dataset, File, Table


def recognize(
    dataset: Dataset, given: Given, planner: Planner, folder: Folder, crosswalk: Crosswalk
) -> Recognition:
    """What of the dataset was given and what is missing; nothing is asked of any host.

    ManualDownload when a table that the rows need is not there, or nothing at all; ChecksumMismatch when
    it is there with other bytes; UsageError when it cannot be told which file it is.
    """
    return Recognizer(dataset, given, planner, folder, crosswalk).recognition()


class Recognizer:
    """One dataset's search, step by step."""

    def __init__(
        self, dataset: Dataset, given: Given, planner: Planner, folder: Folder, crosswalk: Crosswalk
    ) -> None:
        self.dataset, self.given, self.folder, self.crosswalk = dataset, given, folder, crosswalk
        self.planner = planner
        self.plan = self.planned(dataset)
        self.parts, self.tables = parts_of(dataset), Tables(given)
        self.search = Search(given, dataset, self.parts, self.tables)
        self.harvest = Harvest(given)
        have = {one.name for one in self.plan.have}
        self.cached = tuple(one for one in folder.contents() if one.file in have)
        self.earlier = [one for file in self.plan.download for one in self.from_earlier(file)]
        self.lost_masks = 0

    def planned(self, dataset: Dataset) -> Plan:
        """What is missing; a file that is broken in part counts as missing, since no range is asked for."""
        plan = self.planner(dataset)
        receipt = None if plan.wants.force else self.folder.receipt()
        again = {one.file for one in plan.mend} | set(receipt.lost if receipt else ())
        files = [one for one in dataset.files if one in plan.download or one.name in again]
        have = tuple(one for one in plan.have if one.name not in again)
        return replace(plan, download=tuple(files), mend=(), have=have)

    def from_earlier(self, file: File) -> list[Found]:
        """What an earlier, incomplete copy brought of an archive."""
        receipt = None if self.plan.wants.force else self.folder.receipt()
        before = receipt.file(file.name) if receipt else None
        whole = before is None or not before.remade
        return [] if whole else list(self.given.files(self.folder.path / home_of(file)))

    def recognition(self) -> Recognition:
        self.search.find(self.plan.download)
        self.pictures = Pictures(self.given, self.candidates())
        missing = [part for part in self.parts if not self.find_table(part)]
        self.require_tables(missing)
        if self.dataset.listing:
            self.find_listed()
        self.find_by_paths()
        tables = [(spec, self.rows(spec)) for spec in self.dataset.table if not spec.over]
        for spec, rows in tables:
            find_images(spec, rows, self.there("images"), self.pictures, self.holders(spec), self.harvest)
        for spec, rows in tables:
            if spec.masks and (homes := self.mask_holders()):
                self.lost_masks += find_masks(
                    spec, rows, self.there("masks"), self.pictures, homes, self.harvest
                )
        return self.verdict()

    # -------------------------------------------------------------- what there is

    def candidates(self) -> list[Found]:
        """All files that were given, but for those in archives that are taken as a whole."""
        inside = {one for found, _ in self.search.wholes.values() for one in self.given.opened.get(found, ())}
        return [one for one in (*self.given.all(), *self.earlier) if one not in inside]

    def contents(self) -> tuple[Content, ...]:
        """Everything that the cache holds or would hold, by name."""
        found = chain.from_iterable(self.whole_contents(name) for name in self.search.wholes)
        return (*self.cached, *found, *self.harvest.contents())

    def whole_contents(self, name: str) -> list[Content]:
        file, (found, _) = self.dataset.file(name), self.search.wholes[name]
        if file.unpack is None:
            return [replace(content_of(found, name, name, file.role), member=None)]
        members = [(one, one.entry.name) for one in self.given.members(found) if one.entry]
        return [content_of(one, name, path, role_of(path, file)) for one, path in members]

    def there(self, role: str) -> Names:
        return Names(one for one in self.contents() if one.role == role and is_image(one.official))

    def archives(self) -> list[File]:
        """The archives that were not given whole."""
        return [one for one in self.plan.download if one.unpack and one.name not in self.search.wholes]

    def holders(self, spec: Table) -> list[File]:
        """The archives that a table's images may be pieces of."""
        every = [one for one in self.archives() if one.role == "images"]
        return [one for one in every if not spec.images or one.name in spec.images]

    def mask_holders(self) -> list[File]:
        return [one for one in self.archives() if "masks" in (one.role, *one.members.values())]

    # -------------------------------------------------------------- tables

    def find_table(self, part: Part) -> bool:
        """Whether a part's file is here: in the cache, in a whole file, or as a file of its columns."""
        if self.is_there(part):
            return True
        file = next((one for one in self.plan.download if one.name == part.file), None)
        if file is None or file.name in self.search.wholes or (file.checksum and not file.unpack):
            return False
        sized = [one for one in self.candidates() if part.member or file.size in (None, one.size)]
        found = self.tables.find(part, sized, self.pictures.count)
        if found is None:
            return False
        if part.member is None:
            self.search.wholes[file.name] = (found, "content")
        else:
            role = role_of(part.member, file)
            self.harvest.put(file, Piece(found=found, official=part.member, role=role))
        return True

    def is_there(self, part: Part) -> bool:
        known = {(one.file, one.official) for one in self.contents()}
        paths = {part.member or part.file, (part.member or part.file).rpartition("/")[2]}
        return any((part.file, path) in known for path in paths)

    def opened(self, file: str, member: str | None) -> bytes:
        """A table's bytes, as readers ask for them."""
        if any(one.file == file for one in self.cached):
            return opener(self.folder, self.cached)(file, member)
        path = path_of(file, member, self.contents())
        if file in self.search.wholes and member is None:
            return self.given.read(self.search.wholes[file][0])
        pieces = self.harvest.pieces.get(file, {}).values()
        if file in self.search.wholes:
            return self.given.read(self.member(file, path))
        return self.given.read(next(one.found for one in pieces if one.content(file).path == path))

    def member(self, file: str, path: str) -> Found:
        whole, _ = self.search.wholes[file]
        return next(
            one for one in self.given.members(whole) if one.entry and f"{file}/{one.entry.name}" == path
        )

    def rows(self, spec: Table) -> pa.Table:
        return readers.read(spec, self.opened, self.contents()).rows

    def require_tables(self, missing: Sequence[Part]) -> None:
        """Raise what stands in the way of any rows at all."""
        for part in missing:
            for found in self.search.mismatched.get(part.file, ()):
                self.refuse(part, found)
        refused = [one.error for one in self.given.problems if one.error]
        if missing and refused:
            raise refused[0]
        if missing:
            raise self.ask(f"its table {missing[0].shown} is not among the paths")

    def refuse(self, part: Part, found: Found) -> None:
        file = self.dataset.file(part.file)
        if file.unpack is None:
            expected = file.checksum or f"{file.size:,} bytes"
            raise ChecksumMismatch(
                f"{found.shown} has the name of {file.name}, but is not it: expected {expected}",
                hint="it was changed, or is of another version; give the file as its publisher made it",
            )

    def ask(self, what: str) -> DermdataError:
        access = self.dataset.access
        return ManualDownload(f"{self.dataset.name}: {what}", hint=access.steps or f"see {access.url}")

    # -------------------------------------------------------------- images

    def find_listed(self) -> None:
        """Where a listing names the files, the table does too: each image is a file of its own."""
        named = image_name if self.dataset.listing == BY_ROWS else str
        names = [name for spec in self.dataset.table for name in image_names(spec, self.rows(spec)) if name]
        files = [File(name=named(name), role="images") for name in dict.fromkeys(names)]
        self.dataset = with_files(self.dataset, files)
        self.plan = self.planned(self.dataset)
        self.search.find(self.plan.download)

    def find_by_paths(self) -> None:
        """Pieces for tables that are cut from paths."""
        specs = [spec for spec in self.dataset.table if spec.pattern and self.holders(spec)]
        found: dict[tuple[str, str], list[Found]] = {}
        for spec, path, one in official_paths(specs, self.candidates(), self.crosswalk):
            found.setdefault((self.holders(spec)[0].name, path), []).append(one)
        for (name, path), several in found.items():
            self.settle_path(self.dataset.file(name), path, several)

    def settle_path(self, file: File, path: str, several: Sequence[Found]) -> None:
        self.harvest.used.update(several)
        distinct = self.given.distinct(several)
        if len(distinct) > 1:
            self.harvest.conflicts[path] = Conflict(name=path, found=tuple(distinct))
            self.harvest.miss(path, [file])
            return
        self.harvest.put(file, Piece(found=distinct[0], official=path, role="images"))

    # -------------------------------------------------------------- the verdict

    def verdict(self) -> Recognition:
        adopted = [one for file in self.plan.download if (one := self.adopted(file))]
        names = {one.file.name for one in adopted}
        missing = tuple(one for one in self.plan.download if one.name not in names)
        if not (adopted or self.plan.have):
            raise self.ask("none of its files is among the paths")
        conflicts = [*self.harvest.conflicts.values()]
        conflicts += [Conflict(name=name, found=found) for name, found in self.clashes().items()]
        return Recognition(
            plan=replace(self.plan, dataset=self.dataset, download=tuple(one.file for one in adopted)),
            adopted=tuple(adopted),
            missing=missing,
            missing_images=tuple(self.harvest.missing),
            unnamed=self.unnamed(),
            missing_masks=self.lost_masks,
            conflicts=tuple(conflicts),
            mismatched=self.mismatched(),
            used=frozenset(self.used()),
        )

    def adopted(self, file: File) -> Adopted | None:
        if file.name in self.search.wholes:
            whole, how = self.search.wholes[file.name]
            return Adopted(file=file, how=how, whole=whole)
        pieces = tuple(self.harvest.pieces.get(file.name, {}).values())
        if not pieces and (file.unpack is None or file.role != "images" or self.incomplete(file)):
            return None  # an archive all of whose images were found elsewhere is not missing
        return Adopted(file=file, how="part" if self.incomplete(file) else "content", pieces=pieces)

    def incomplete(self, file: File) -> bool:
        """Whether something may be missing from an archive of images."""
        by_path = any(spec.pattern for spec in self.dataset.table)
        nothing = by_path and file.name not in self.harvest.pieces
        return file.name in self.harvest.touched or nothing or (file.role == "images" and self.unnamed() > 0)

    def unnamed(self) -> int:
        """How many images more the publisher counts, where no table names them."""
        by_paths = all(spec.pattern for spec in self.dataset.table) and self.archives()
        if not (by_paths and self.dataset.counts.images):
            return 0
        there = sum(one.role == "images" and is_image(one.official) for one in self.contents())
        return max(0, self.dataset.counts.images - there - len(self.harvest.missing))

    def clashes(self) -> dict[str, tuple[Found, ...]]:
        return {name: one for name, one in self.search.clashing.items() if name not in self.search.wholes}

    def mismatched(self) -> dict[str, tuple[Found, ...]]:
        return {name: one for name, one in self.search.mismatched.items() if name not in self.search.wholes}

    def used(self) -> Iterable[Found]:
        yield from self.harvest.used
        yield from (found for found, _ in self.search.wholes.values())
        for several in (*self.clashes().values(), *self.mismatched().values()):
            yield from several
