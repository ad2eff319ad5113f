"""Imports what was recognized among local files as if it were downloaded.

Whole files are verified like a download. Pieces of an archive go one by one into the folder that the archive would have
been unpacked to, each with its SHA-256 and decode check.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dermdata import checksum, disk
from dermdata.archive.policy import PathAssigner
from dermdata.archive.staging import StagingFolder
from dermdata.cache import DatasetFolder, RecognizedBy
from dermdata.cache.outside import OutsideFile, describe_outside
from dermdata.errors import ArchiveRefused
from dermdata.fetching import ingest
from dermdata.fetching.ingest import VerifiedFile
from dermdata.fetching.local.files import (
    ArchivePiece,
    LocalFile,
    LocalFiles,
    LocalProblem,
    MatchedFile,
    Recognition,
    explain_stand_in,
)
from dermdata.fetching.plan import FetchPlan
from dermdata.fetching.receipt_writer import ReceiptWriter
from dermdata.fetching.run import FetchContext
from dermdata.markup import count_nouns
from dermdata.model import ArchiveMember, Content, File, Placement

IMAGE_ROLES = ("images", "masks")


class LocalImporter:
    """`bring` for `run_plan`: takes over all that was recognized, each file verified or inspected.

    Parameters
    ----------
    recognition
        What was found of one dataset.
    local_files
        The files it was found among.

    """

    def __init__(self, recognition: Recognition, local_files: LocalFiles) -> None:
        self.recognition, self.local_files = recognition, local_files
        self.failed: list[LocalProblem] = []  # pieces that could not be read when their turn came
        self.placement: Placement = "copy"
        self.is_added = False  # whether it is the person's own data

    def __call__(
        self, plan: FetchPlan, folder: DatasetFolder, context: FetchContext, receipt_writer: ReceiptWriter
    ) -> None:
        self.placement, self.home = plan.dataset.access.placement, folder.path
        self.is_added = bool(plan.dataset.access.paths)
        disk.require_space(folder.path, sum(map(self.count_copied_bytes, self.recognition.adopted)))
        for one in self.recognition.adopted:
            receipt_writer.announce_file(one.file, ingest.file_path(one.file, folder), None)
            if one.whole:
                taken = self.import_whole(one, one.whole, plan, folder, context)
                found = ingest.collect_contents(one.file, taken, folder, context.jobs, context.progress)
            else:
                taken, found = self.import_pieces(one, folder, context)
            receipt_writer.record_file(one.file, taken, found)

    def count_copied_bytes(self, one: MatchedFile) -> int:
        """The bytes of a file that the cache takes up."""
        if one.whole or self.placement == "copy":
            return one.size
        return sum(piece.found.size for piece in one.pieces if not self.stays(piece))

    def stays(self, piece: ArchivePiece) -> bool:
        """Whether a piece is left where it lies."""
        return self.placement != "copy" and self.is_own_picture(piece)

    def is_own_picture(self, piece: ArchivePiece) -> bool:
        """Whether a piece is a picture of the person's own data, and a file of its own on their disk."""
        found = piece.found
        loose = found.within is None and not found.path.is_relative_to(self.home)  # else an earlier fetch's
        return self.is_added and loose and piece.role in IMAGE_ROLES

    def place(self, staging_folder: StagingFolder, path: str, origin: Path) -> Placement:
        """Link a picture of the person's own, if it is to be; where it is then."""
        if self.placement != "link":
            return self.placement
        return "link" if staging_folder.link(path, origin) else "in-place"

    def import_whole(
        self,
        one: MatchedFile,
        whole: LocalFile,
        plan: FetchPlan,
        folder: DatasetFolder,
        context: FetchContext,
    ) -> VerifiedFile:
        """A whole file, verified; an archive that need not be kept is read where it lies."""
        context.progress.begin(one.file.name, whole.size)
        source = self.local_files.path_on_disk(whole)
        if one.file.unpack and not plan.wants.keep_archives:
            taken = verify_in_place(one.file, source, whole)
            context.progress.advance(one.file.name, taken.size)
        else:
            target = ingest.file_path(one.file, folder)
            taken = ingest.copy_verified(one.file, source, target, context.progress)
            if plan.dataset.access.paths and whole.path == whole.origin:
                name = target.relative_to(folder.path).as_posix()
                folder.record_outside(name, {name: describe_outside(whole.origin, taken.sha256, "copy")})
        context.progress.end(one.file.name)
        return VerifiedFile(
            path=taken.path,
            size=taken.size,
            sha256=taken.sha256,
            url=whole.origin.as_uri(),
            recognized=one.how,
        )

    # -------------------------------------------------------------- pieces

    def import_pieces(
        self, one: MatchedFile, folder: DatasetFolder, context: FetchContext
    ) -> tuple[VerifiedFile, list[Content]]:
        """Every piece, hashed and inspected, under the names that the official archive's members get."""
        found = self.store_pieces(one, folder, context) if one.pieces else []
        part: RecognizedBy = "own part" if one.how == "own" else "part"
        how = one.how if len(found) == len(one.pieces) else part
        origins = [piece.found.origin for piece in one.pieces]
        new = [origin for origin in origins if not origin.is_relative_to(folder.path)]
        taken = VerifiedFile(
            path=folder.path / ingest.archive_folder(one.file),
            size=sum(content.size for content in found),
            sha256=ingest.members_digest(found),
            url=(new or origins or self.local_files.paths)[0].as_uri(),
            recognized=how,
        )
        return taken, found

    def store_pieces(self, one: MatchedFile, folder: DatasetFolder, context: FetchContext) -> list[Content]:
        home, task = ingest.archive_folder(one.file), f"take {one.file.name}"
        outside: dict[str, OutsideFile] = {}
        places = PathAssigner(lambda name: ingest.member_path(name, one.file))
        paths = places.assign_all(piece.official for piece in one.pieces)
        context.progress.begin(task, one.size)

        def store(piece: ArchivePiece) -> Content | None:
            content = self.store_piece(piece, one.file, staging_folder, home, paths[piece.official])
            if content and self.is_own_picture(piece):
                placement = self.place(staging_folder, paths[piece.official], piece.found.path)
                outside[content.path] = describe_outside(piece.found.path, content.sha256, placement)
            context.progress.advance(task, piece.found.size)
            return content

        with folder.replace_folder(home) as temporary, ThreadPoolExecutor(context.jobs) as workers:
            staging_folder = StagingFolder(temporary, one.file.name)
            for path in paths.values():
                staging_folder.reserve(path)
            stored = list(workers.map(store, one.pieces))
            staging_folder.sync(context.jobs)
        folder.record_outside(home, outside)
        if self.placement == "link" and (left := sum(not one.in_cache for one in outside.values())):
            context.progress.say(
                f"{count_nouns(left, 'file')} cannot be linked from the cache, so they stay in place"
            )
        context.progress.end(task, count_nouns(len(stored), "file"))
        return [content for content in stored if content]

    def store_piece(
        self, piece: ArchivePiece, file: File, staging_folder: StagingFolder, home: str, path: str
    ) -> Content | None:
        """One piece on disk; None, and a problem in words, when it cannot be read or is not the file itself."""
        try:
            data = self.local_files.read(piece.found)
        except (OSError, ArchiveRefused) as error:
            self.failed.append(LocalProblem(piece.found.shown, str(error)))
            return None
        if stand_in := explain_stand_in(data) if piece.role in IMAGE_ROLES else None:
            self.failed.append(LocalProblem(piece.found.shown, stand_in))
            return None
        if not self.stays(piece):
            staging_folder.write(path, [data])
        # its place in the official archive is not known
        member = ArchiveMember(path=piece.official, offset=-1, stored=len(data), method=0, crc32=0)
        return Content(
            path=f"{home}/{path}",
            role=piece.role,
            file=file.name,
            size=len(data),
            sha256=checksum.sha256_of_chunks([data]),
            member=member,
            image=ingest.inspect_file(piece.official, data),
        )


def verify_in_place(file: File, source: Path, whole: LocalFile) -> VerifiedFile:
    """An archive on the person's disk, its checksum verified once more: minutes may have passed."""
    hasher = checksum.hash_file(source, file.checksum)
    if file.checksum:
        hasher.require(file.checksum, whole.shown)
    return VerifiedFile(
        path=source, size=source.stat().st_size, sha256=hasher.sha256, url=whole.origin.as_uri()
    )
