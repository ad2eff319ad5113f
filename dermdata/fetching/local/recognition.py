"""Recognizes one dataset among local files: whole files first, then tables, then the images that those name.

It reads and writes nothing in the cache; its result is a value that can be shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pyarrow as pa

from dermdata import readers
from dermdata.cache import DatasetFolder, RecognizedBy
from dermdata.crosswalks import Crosswalk
from dermdata.errors import ChecksumMismatch, DermdataError, ManualDownload
from dermdata.fetching.assemble import find_table_path, table_opener
from dermdata.fetching.ingest import archive_folder, member_role
from dermdata.fetching.listing import LISTED_BY_ROWS, cached_image_name, merge_files
from dermdata.fetching.local.files import (
    ArchivePiece,
    LocalFile,
    LocalFiles,
    MakePlan,
    MatchedFile,
    NameConflict,
    Recognition,
    explain_closed_archive,
    normalize_name,
    placeholder_content,
    printable_path,
)
from dermdata.fetching.local.matching import (
    FileMatcher,
    ImageMatches,
    LocalImages,
    image_names,
    match_images,
    match_masks,
    match_own_paths,
    match_paths,
)
from dermdata.fetching.local.tables import TableFile, TableMatcher, fold_leaf, list_table_files
from dermdata.fetching.plan import FetchPlan
from dermdata.manifest.match import FileNameIndex
from dermdata.model import ANY_FILE, IMAGE_TABLES, Content, Dataset, File, TableSpec


class MatchState:
    """Files by what they stand for: the cache's, those given whole, and the pieces found so far."""

    def __init__(
        self, dataset: Dataset, local_files: LocalFiles, planner: MakePlan, folder: DatasetFolder
    ) -> None:
        self.dataset, self.local_files, self.folder = dataset, local_files, folder
        self.make_plan = planner
        self.plan = self.plan_whole_files(dataset)
        self.table_files, self.tables = list_table_files(dataset), TableMatcher(local_files)
        self.matcher = FileMatcher(local_files, dataset, self.table_files, self.tables)
        self.matches = ImageMatches(local_files)
        have = {one.name for one in self.plan.have}
        self.cached = tuple(one for one in (folder.contents() if have else ()) if one.file in have)
        self.earlier_pieces = [one for file in self.plan.download for one in self.find_earlier_pieces(file)]

    def plan_whole_files(self, dataset: Dataset) -> FetchPlan:
        """What is missing; a file that is broken in part counts as missing, since no range is asked for."""
        plan = self.make_plan(dataset)
        receipt = None if plan.wants.force else self.folder.receipt()
        again = {one.file for one in plan.mend} | set(receipt.lost if receipt else ())
        files = [one for one in dataset.files if one in plan.download or one.name in again]
        have = tuple(one for one in plan.have if one.name not in again)
        return replace(plan, download=tuple(files), mend=(), have=have)

    def find_earlier_pieces(self, file: File) -> list[LocalFile]:
        """What an earlier, incomplete copy brought of an archive."""
        receipt = None if self.plan.wants.force else self.folder.receipt()
        before = receipt.file(file.name) if receipt else None
        whole = before is None or not before.is_reconstructed
        home = self.folder.path / archive_folder(file)
        if whole or not home.is_dir():
            return []
        return [*self.local_files.walk_files(home), *self.list_left_in_place(archive_folder(file))]

    def list_left_in_place(self, home: str) -> list[LocalFile]:
        """The files of the person's that stand for some of a folder of ours; IntegrityError for one that was changed."""
        top = f"{home.rpartition('/')[0]}/"
        return [
            LocalFile(
                path.removeprefix(top),
                printable_path(one.origin),
                Path(one.origin),
                Path(one.origin),
                one.size,
            )
            for path, one in self.folder.outside.items()
            if path.startswith(f"{home}/") and not one.in_cache and one.find_origin(self.dataset.name)
        ]

    # -------------------------------------------------------------- what there is

    def candidates(self) -> list[LocalFile]:
        """All files that were given, but for those in archives that are taken as a whole."""
        wholes = {found for found, _ in self.matcher.wholes.values()}
        every = (*self.local_files.all_files(), *self.earlier_pieces)
        return [one for one in every if wholes.isdisjoint(one.holders)]

    def contents(self) -> tuple[Content, ...]:
        """Everything that the cache holds or would hold, by name."""
        found = chain.from_iterable(self.whole_contents(name) for name in self.matcher.wholes)
        return (*self.cached, *found, *self.matches.contents())

    def whole_contents(self, name: str) -> list[Content]:
        file, (found, _) = self.dataset.file(name), self.matcher.wholes[name]
        if file.unpack in IMAGE_TABLES:
            return []  # what is in it is known when it is taken apart
        if file.unpack is None:
            return [replace(placeholder_content(found, name, name, file.role), member=None)]
        members = self.local_files.list_whole(found)
        return [placeholder_content(one, name, path, member_role(path, file)) for one, path in members]

    def known_images(self, role: str) -> FileNameIndex:
        return FileNameIndex(one for one in self.contents() if one.role == role and one.image)

    def missing_archives(self) -> list[File]:
        """The archives that were not given whole."""
        return [one for one in self.plan.download if one.unpack and one.name not in self.matcher.wholes]

    def image_archives(self, spec: TableSpec) -> list[File]:
        """The archives that a table's images may be pieces of."""
        every = [one for one in self.missing_archives() if one.role == "images"]
        return [one for one in every if not spec.images or one.name in spec.images]

    def mask_archives(self) -> list[File]:
        return [one for one in self.missing_archives() if "masks" in (one.role, *one.members.values())]

    # -------------------------------------------------------------- tables

    def read_table_bytes(self, file: str, member: str | None) -> bytes:
        """A table's bytes, as readers ask for them."""
        if any(one.file == file for one in self.cached):
            return table_opener(self.folder, self.cached)(file, member)
        path = find_table_path(file, member, self.contents())
        if file in self.matcher.wholes and member is None:
            return self.local_files.read(self.matcher.wholes[file][0])
        pieces = self.matches.pieces.get(file, {}).values()
        if file in self.matcher.wholes:
            return self.local_files.read(self.find_member(file, path))
        return self.local_files.read(next(one.found for one in pieces if one.to_content(file).path == path))

    def find_member(self, file: str, path: str) -> LocalFile:
        whole, _ = self.matcher.wholes[file]
        members = self.local_files.list_whole(whole)
        return next(one for one, official in members if f"{file}/{official}" == path)

    def named_tables(self) -> list[TableSpec]:
        """The tables whose rows name images that may be anywhere; those of a file taken apart are in it."""
        return [spec for spec in self.dataset.table if spec.reader != "rows"]

    def read_rows(self, spec: TableSpec) -> pa.Table:
        return readers.read_table(spec, self.read_table_bytes, self.contents()).rows


def recognize_dataset(
    dataset: Dataset, local_files: LocalFiles, planner: MakePlan, folder: DatasetFolder, crosswalk: Crosswalk
) -> Recognition:
    """Find what of a dataset is among local files, and what is missing; no host is asked.

    Parameters
    ----------
    dataset
        The catalog entry.
    local_files
        The files that the person has given.
    planner
        Makes the plan of a fetch of an entry.
    folder
        The dataset's folder in the cache.
    crosswalk
        The entry's labels, by which paths are recognized.

    Returns
    -------
    Recognition
        Nothing is written yet: `LocalImporter` takes over what was found.

    Raises
    ------
    ManualDownload
        If a table that the rows need is not there, or nothing at all.
    ChecksumMismatch
        If a table is there with other bytes.
    UsageError
        If it is not clear which file is a table.

    """
    if not (dataset.files or dataset.listing):
        raise ManualDownload(
            f"{dataset.name}: the catalog does not describe its files, so none can be recognized",
            hint="an overlay (--catalog) can name its files and its table; see the catalog's own entries",
        )
    dataset = want_own_tables(dataset)
    return Recognizer(dataset, local_files, planner, folder, crosswalk).recognize()


def want_own_tables(dataset: Dataset) -> Dataset:
    """The entry with the table that an archive's interface makes else, so that a person's own may be it."""
    own = {spec.file for spec in dataset.table if spec.sparse}
    return replace(
        dataset, files=tuple(replace(one, fetch=one.fetch or one.name in own) for one in dataset.files)
    )


class Recognizer(MatchState):
    """One dataset's search, step by step."""

    def __init__(
        self,
        dataset: Dataset,
        local_files: LocalFiles,
        planner: MakePlan,
        folder: DatasetFolder,
        crosswalk: Crosswalk,
    ) -> None:
        super().__init__(dataset, local_files, planner, folder)
        self.crosswalk = crosswalk
        self.missing_masks = 0

    def recognize(self) -> Recognition:
        self.matcher.find_files(self.plan.download)
        self.find_tables()
        if self.release_unsure_archives():
            self.find_tables()
        if self.dataset.listing:
            self.find_listed_images()
        self.find_path_images()
        tables = [(spec, self.read_rows(spec)) for spec in self.named_tables() if not spec.over]
        for spec, rows in tables:
            match_images(
                spec, rows, self.known_images("images"), self.images, self.image_archives(spec), self.matches
            )
        for spec, rows in tables:
            if spec.masks and (homes := self.mask_archives()):
                self.missing_masks += match_masks(
                    spec, rows, self.known_images("masks"), self.images, homes, self.matches
                )
        return self.to_recognition()

    # -------------------------------------------------------------- tables

    def find_tables(self) -> None:
        self.images = LocalImages(self.local_files, self.candidates())
        self.require_tables([part for part in self.table_files if not self.find_table(part)])

    def release_unsure_archives(self) -> bool:
        """Take an archive that only its name speaks for by pieces, if it lacks images: the rest may come later."""
        wholes = self.matcher.wholes.items()
        unsure = [name for name, (_, how) in wholes if how == "name" and self.dataset.file(name).unpack]
        lacking = {
            name
            for spec in self.named_tables()
            if self.lacks_images(spec)
            for name in unsure
            if name in (spec.images or unsure)
        }
        for name in lacking:
            del self.matcher.wholes[name]
        return bool(lacking)

    def lacks_images(self, spec: TableSpec) -> bool:
        """Whether a table that names images names some that are not there."""
        if not spec.file or spec.over:
            return False
        there, allowed = self.known_images("images"), set(spec.images) or None
        names = set(image_names(spec, self.read_rows(spec))) - {""}
        return not all(there.resolve_name(name, allowed) for name in names)

    def find_table(self, part: TableFile) -> bool:
        """Whether a part's file is here: in the cache, in a whole file, or as a file of its columns."""
        if self.is_present(part):
            return True
        file = self.find_missing_file(part)
        if file is None:
            return False
        sized = [one for one in self.table_candidates(part) if part.member or file.size in (None, one.size)]
        found = self.tables.find_table(part, sized, self.images.count_present)
        if found is None:
            return False
        if part.member is None:
            self.matcher.wholes[file.name] = (found, "content")
        else:
            role = member_role(part.member, file)
            self.matches.add_piece(file, ArchivePiece(found=found, official=part.member, role=role))
        return True

    def table_candidates(self, part: TableFile) -> list[LocalFile]:
        """The files that may be a part: none that is another one already, or has another one's name."""
        known = self.matches.used | {found for found, _ in self.matcher.wholes.values()}
        others = {one.leaf_key for one in self.table_files} - {part.leaf_key}
        return [one for one in self.candidates() if one not in known and fold_leaf(one.name) not in others]

    def find_missing_file(self, part: TableFile) -> File | None:
        """The catalog file that a part is of, if another file may stand in its place: it is not here, nor exact."""
        file = next((one for one in self.plan.download if one.name == part.file), None)
        if file is None or file.name in self.matcher.wholes:
            return None
        return None if file.checksum and not file.unpack else file

    def is_present(self, part: TableFile) -> bool:
        known = {(one.file, normalize_name(one.official)) for one in self.contents()}
        path = normalize_name(part.member or part.file)
        leaf = path.rpartition("/")[2]
        if part.file == ANY_FILE:
            return any(official.rpartition("/")[2] == leaf for _, official in known)
        return any((part.file, one) in known for one in (path, leaf))

    def require_tables(self, missing: Sequence[TableFile]) -> None:
        """Raise what stands in the way of any rows at all."""
        for part in missing:
            for found in self.matcher.mismatches.get(part.file, ()):
                self.refuse_mismatch(part, found)
        for problem in self.local_files.problems:
            if (
                missing
                and problem.error
                and [problem.shown] == list(map(printable_path, self.local_files.paths))
            ):
                raise problem.error  # all that was given is one archive, and that was refused
        if missing:
            raise self.manual_download_error(f"its table {missing[0].label} is not among the paths")

    def refuse_mismatch(self, part: TableFile, found: LocalFile) -> None:
        file = self.dataset.file(part.file)
        if file.unpack is None:
            expected = file.checksum or f"{file.size:,} bytes"
            raise ChecksumMismatch(
                f"{found.shown} has the name of {file.name}, but is not it: expected {expected}",
                hint="it was changed, or is of another version; give the file as its publisher made it",
            )

    def manual_download_error(self, what: str) -> DermdataError:
        access = self.dataset.access
        page = access.url or self.dataset.homepage
        where = f"see {page}" if page else "give --from the files as their publisher gives them out"
        closed = (
            f"{one.shown} {why}" for one in self.local_files.loose if (why := explain_closed_archive(one))
        )
        return ManualDownload(f"{self.dataset.name}: {what}", hint=next(closed, access.steps or where))

    # -------------------------------------------------------------- images

    def find_listed_images(self) -> None:
        """Where a listing names the files, the table does too: each image is a file of its own."""
        named = cached_image_name if self.dataset.listing == LISTED_BY_ROWS else str
        names = [
            name for spec in self.named_tables() for name in image_names(spec, self.read_rows(spec)) if name
        ]
        files = [File(name=named(name), role="images") for name in dict.fromkeys(names)]
        self.dataset = merge_files(self.dataset, files)
        self.plan = self.plan_whole_files(self.dataset)
        self.matcher.find_files(self.plan.download)

    def find_path_images(self) -> None:
        """Pieces for tables that are cut from paths."""
        specs = [spec for spec in self.dataset.table if spec.pattern and self.image_archives(spec)]
        found: dict[tuple[str, str], list[LocalFile]] = {}
        is_own = bool(self.dataset.access.paths)
        matches = (
            match_own_paths(specs, self.candidates())
            if is_own
            else match_paths(specs, self.candidates(), self.crosswalk)
        )
        for spec, path, one in matches:
            file = self.image_archives(spec)[0]
            if member_role(one.name, file) == "images":  # masks are found by the names of what they are of
                found.setdefault((file.name, path), []).append(one)
        for (name, path), several in found.items():
            self.assign_path(self.dataset.file(name), path, several)

    def assign_path(self, file: File, path: str, several: Sequence[LocalFile]) -> None:
        self.matches.used.update(several)
        distinct = self.local_files.distinct_files(several)
        if len(distinct) > 1:
            self.matches.conflicts[path] = NameConflict(name=path, found=tuple(distinct))
            self.matches.mark_missing(path, [file])
            return
        self.matches.add_piece(file, ArchivePiece(found=distinct[0], official=path, role="images"))

    # -------------------------------------------------------------- the verdict

    def to_recognition(self) -> Recognition:
        adopted = [one for file in self.plan.download if (one := self.match_file(file))]
        names = {one.file.name for one in adopted}
        missing = tuple(one for one in self.plan.download if one.name not in names)
        if not (adopted or self.plan.have):
            raise self.manual_download_error("none of its files is among the paths")
        conflicts = [*self.matches.conflicts.values()]
        conflicts += [NameConflict(name=name, found=found) for name, found in self.clashes().items()]
        return Recognition(
            plan=replace(self.plan, dataset=self.dataset, download=tuple(one.file for one in adopted)),
            adopted=tuple(adopted),
            missing=missing,
            missing_images=tuple(self.matches.missing),
            unnamed=self.count_unnamed(),
            missing_masks=self.missing_masks,
            conflicts=tuple(conflicts),
            mismatched=self.mismatches(),
            used=frozenset(self.used_files()),
        )

    def match_file(self, file: File) -> MatchedFile | None:
        if file.name in self.matcher.wholes:
            whole, how = self.matcher.wholes[file.name]
            return MatchedFile(file=file, how=how, whole=whole)
        pieces = tuple(self.matches.pieces.get(file.name, {}).values())
        if not pieces and (file.unpack is None or file.role != "images" or self.is_incomplete(file)):
            return None  # an archive all of whose images were found elsewhere is not missing
        return MatchedFile(file=file, how=self.describe_pieces(file), pieces=pieces)

    def describe_pieces(self, file: File) -> RecognizedBy:
        """How the pieces of an archive, or the person's own pictures, are known, and whether they are all."""
        if self.dataset.access.paths:
            return "own part" if self.is_incomplete(file) else "own"
        return "part" if self.is_incomplete(file) else "content"

    def is_incomplete(self, file: File) -> bool:
        """Whether something may be missing from an archive of images."""
        by_path = any(spec.pattern for spec in self.dataset.table)
        nothing = by_path and file.name not in self.matches.pieces
        return (
            file.name in self.matches.incomplete_archives
            or nothing
            or (file.role == "images" and self.count_unnamed() > 0)
        )

    def count_unnamed(self) -> int:
        """How many images more the publisher counts, where no table names them."""
        by_paths = all(spec.pattern for spec in self.dataset.table) and self.missing_archives()
        if not (by_paths and self.dataset.counts.images):
            return 0
        there = sum(one.role == "images" and one.image is not None for one in self.contents())
        return max(0, self.dataset.counts.images - there - len(self.matches.missing))

    def clashes(self) -> dict[str, tuple[LocalFile, ...]]:
        return {name: one for name, one in self.matcher.clashes.items() if name not in self.matcher.wholes}

    def mismatches(self) -> dict[str, tuple[LocalFile, ...]]:
        return {name: one for name, one in self.matcher.mismatches.items() if name not in self.matcher.wholes}

    def used_files(self) -> Iterable[LocalFile]:
        yield from self.matches.used
        yield from (found for found, _ in self.matcher.wholes.values())
        for several in (*self.clashes().values(), *self.mismatches().values()):
            yield from several
