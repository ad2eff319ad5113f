"""Recognizes one dataset among what was given: whole files, then tables, then the images that those name.

Reads, but writes nothing; what it finds is a value that can be shown, and carried out by `bring`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dermdata.cache import Folder
from dermdata.crosswalks import Crosswalk
from dermdata.errors import ChecksumMismatch, DermdataError, ManualDownload
from dermdata.fetching.adopt.given import Found, Given, text_of
from dermdata.fetching.adopt.inventory import Inventory
from dermdata.fetching.adopt.paths import official_paths
from dermdata.fetching.adopt.pictures import Pictures, find_images, find_masks, image_names
from dermdata.fetching.adopt.tables import Part
from dermdata.fetching.adopt.values import Adopted, Conflict, Piece, Planner, Recognition
from dermdata.fetching.ingest import is_image, role_of
from dermdata.fetching.listing import BY_ROWS, image_name, with_files
from dermdata.model import Dataset, File, Table


def recognize(
    dataset: Dataset, given: Given, planner: Planner, folder: Folder, crosswalk: Crosswalk
) -> Recognition:
    """What of the dataset was given and what is missing; nothing is asked of any host.

    ManualDownload when a table that the rows need is not there, or nothing at all; ChecksumMismatch when
    it is there with other bytes; UsageError when it cannot be told which file it is.
    """
    if not (dataset.files or dataset.listing):
        raise ManualDownload(
            f"{dataset.name}: the catalog does not describe its files, so none can be recognized",
            hint="an overlay (--catalog) can name its files and its table; see the catalog's own entries",
        )
    return Recognizer(dataset, given, planner, folder, crosswalk).recognition()


class Recognizer(Inventory):
    """One dataset's search, step by step."""

    def __init__(
        self, dataset: Dataset, given: Given, planner: Planner, folder: Folder, crosswalk: Crosswalk
    ) -> None:
        super().__init__(dataset, given, planner, folder)
        self.crosswalk = crosswalk
        self.lost_masks = 0

    def recognition(self) -> Recognition:
        self.search.find(self.plan.download)
        self.find_tables()
        if self.let_go():
            self.find_tables()
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

    # -------------------------------------------------------------- tables

    def find_tables(self) -> None:
        self.pictures = Pictures(self.given, self.candidates())
        self.require_tables([part for part in self.parts if not self.find_table(part)])

    def let_go(self) -> bool:
        """Take an archive that only its name speaks for by pieces, if it lacks images: the rest may come later."""
        lacking = {
            name
            for spec in self.dataset.table
            if spec.file and not spec.over and self.lacks(spec)
            for name, (_, how) in self.search.wholes.items()
            if how == "name" and self.dataset.file(name).unpack and name in (spec.images or (name,))
        }
        for name in lacking:
            del self.search.wholes[name]
        return bool(lacking)

    def lacks(self, spec: Table) -> bool:
        there, allowed = self.there("images"), set(spec.images) or None
        names = set(image_names(spec, self.rows(spec))) - {""}
        return not all(there.meant(name, allowed) for name in names)

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

    def require_tables(self, missing: Sequence[Part]) -> None:
        """Raise what stands in the way of any rows at all."""
        for part in missing:
            for found in self.search.mismatched.get(part.file, ()):
                self.refuse(part, found)
        for problem in self.given.problems:
            if missing and problem.error and [problem.shown] == list(map(text_of, self.given.paths)):
                raise problem.error  # all that was given is one archive, and that was refused
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
        page = access.url or self.dataset.homepage
        where = f"see {page}" if page else "give --from the files as their publisher gives them out"
        return ManualDownload(f"{self.dataset.name}: {what}", hint=access.steps or where)

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
