"""Carries out what recognition found: the person's files into the cache, verified like a download.

Whole files go the usual way. Pieces go one by one into the folder that the official archive would have
been unpacked to, each with its SHA-256 and decode check.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dermdata import checksum, disk
from dermdata.archive.landing import Landing
from dermdata.cache import Folder
from dermdata.errors import ArchiveRefused
from dermdata.fetching import ingest
from dermdata.fetching.adopt.given import Found, Given, Problem
from dermdata.fetching.adopt.values import Adopted, Piece, Recognition
from dermdata.fetching.ingest import Taken
from dermdata.fetching.plan import Plan
from dermdata.fetching.run import Ledger, Workshop
from dermdata.model import Content, File, Member


class Bringer:
    """`bring` for `fetch.run`: takes all that was recognized."""

    def __init__(self, recognition: Recognition, given: Given) -> None:
        self.recognition, self.given = recognition, given
        self.failed: list[Problem] = []  # pieces that could not be read when their turn came

    def __call__(self, plan: Plan, folder: Folder, workshop: Workshop, ledger: Ledger) -> None:
        disk.require_space(folder.path, sum(one.size for one in self.recognition.adopted))
        for one in self.recognition.adopted:
            if one.whole:
                taken = self.take(one, one.whole, plan, folder, workshop)
                found = ingest.contents_of(one.file, taken, folder, workshop.jobs, workshop.progress)
            else:
                taken, found = self.gather(one, folder, workshop)
            ledger.add(one.file, taken, found)

    def take(self, one: Adopted, whole: Found, plan: Plan, folder: Folder, workshop: Workshop) -> Taken:
        """A whole file, verified; an archive that need not be kept is read where it lies."""
        workshop.progress.begin(one.file.name, whole.size)
        source = self.given.on_disk(whole)
        if one.file.unpack and not plan.wants.keep_archives:
            taken = in_place(one.file, source, whole)
            workshop.progress.advance(one.file.name, taken.size)
        else:
            target = ingest.target_of(one.file, folder)
            taken = ingest.copy(one.file, source, target, workshop.progress)
        workshop.progress.end(one.file.name)
        return Taken(
            path=taken.path,
            size=taken.size,
            sha256=taken.sha256,
            url=whole.origin.as_uri(),
            recognized=one.how,
        )

    # -------------------------------------------------------------- pieces

    def gather(self, one: Adopted, folder: Folder, workshop: Workshop) -> tuple[Taken, list[Content]]:
        """Every piece, hashed and looked at, under the names that the official archive's members get."""
        found = self.land_all(one, folder, workshop) if one.pieces else []
        how = one.how if len(found) == len(one.pieces) else "part"
        origins = [piece.found.origin for piece in one.pieces]
        new = [origin for origin in origins if not origin.is_relative_to(folder.path)]
        taken = Taken(
            path=folder.path / ingest.home_of(one.file),
            size=sum(content.size for content in found),
            sha256=ingest.listing_digest(found),
            url=(new or origins or self.given.paths)[0].as_uri(),
            recognized=how,
        )
        return taken, found

    def land_all(self, one: Adopted, folder: Folder, workshop: Workshop) -> list[Content]:
        home, task = ingest.home_of(one.file), f"take {one.file.name}"
        workshop.progress.begin(task, one.size)

        def land(piece: Piece) -> Content | None:
            content = self.land(piece, one.file, landing, home)
            workshop.progress.advance(task, piece.found.size)
            return content

        with folder.unpacking(home) as temporary, ThreadPoolExecutor(workshop.jobs) as crew:
            landing = Landing(temporary, one.file.name)
            for piece in one.pieces:
                landing.reserve(ingest.place_of(piece.official, one.file))
            landed = list(crew.map(land, one.pieces))
            landing.settle(workshop.jobs)
        workshop.progress.end(task, f"{len(landed):,} files")
        return [content for content in landed if content]

    def land(self, piece: Piece, file: File, landing: Landing, home: str) -> Content | None:
        """One piece on disk; None, and a problem in words, when it cannot be read."""
        try:
            data = self.given.read(piece.found)
        except (OSError, ArchiveRefused) as error:
            self.failed.append(Problem(piece.found.shown, str(error)))
            return None
        path = ingest.place_of(piece.official, file)
        landing.write(path, [data])
        # its place in the official archive is not known
        member = Member(path=piece.official, offset=-1, stored=len(data), method=0, crc32=0)
        return Content(
            path=f"{home}/{path}",
            role=piece.role,
            file=file.name,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            member=member,
            image=ingest.seen(data) if ingest.is_image(piece.official) else None,
        )


def in_place(file: File, source: Path, whole: Found) -> Taken:
    """An archive on the person's disk, its checksum looked at once more: minutes may have passed."""
    hasher = checksum.of_file(source, file.checksum)
    if file.checksum:
        hasher.require(file.checksum, whole.shown)
    return Taken(path=source, size=source.stat().st_size, sha256=hasher.sha256, url=whole.origin.as_uri())
