"""What is missing of an archive of which partial fetches brought some members: only that, where it is less than half.

Only of an archive for which no checksum is published: where there is one, the whole archive comes and is held to it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from dermdata.cache import Folder
from dermdata.errors import IntegrityError, NetworkError, PersonMustAct, SourceChanged
from dermdata.fetching import ingest, reach, shelf
from dermdata.fetching.ingest import Taken
from dermdata.fetching.shelf import Opening, Shelf
from dermdata.model import Content, File, Request
from dermdata.progress import Progress

WORTH = 0.5  # of the archive's bytes; above it the whole archive comes


def rest(
    file: File,
    place: Request | Path,
    here: Sequence[Content],
    folder: Folder,
    opening: Opening,
    progress: Progress,
    announce: Callable[[Sequence[str]], None],
) -> tuple[Taken, list[Content]] | None:
    """All the archive's files, the missing ones fetched by ranges; None when the archive must come whole.

    A directory that cannot be read is no error here: the whole archive's own checks say what is wrong. SourceChanged
    when it is not that of which members are here.
    """
    if not here or file.unpack != "zip":
        return None
    try:
        source = shelf.opened(file, place, opening)
        shelf.require_holds(source, here, opening.dataset)
    except SourceChanged:
        raise
    except (NetworkError, IntegrityError, PersonMustAct):
        return None
    kept = still_true(here, source, folder)
    missing = [one for one in source.foreseen if one.path not in kept]
    if shelf.stored(missing) > WORTH * source.size:
        return None
    moved = [source.cost]

    def note(found: list[Content], count: int) -> None:
        kept.update((one.path, one) for one in found)
        moved.append(count)

    reach.bring(source, missing, folder, progress, note, announce)
    found = list(kept.values())
    taken = Taken(
        path=folder.path / ingest.home_of(file),
        size=source.size,
        sha256=ingest.listing_digest(found),
        url=source.url,
        recognized="ranges",
        moved=sum(moved),
    )
    return taken, found


def still_true(here: Sequence[Content], source: Shelf, folder: Folder) -> dict[str, Content]:
    """What is here and what the archive's directory still says, by path."""
    told = {one.path: one for one in source.foreseen}
    return {one.path: one for one in here if is_same(one, told.get(one.path)) and is_whole(one, folder)}


def is_same(content: Content, told: Content | None) -> bool:
    return told is not None and content.member == told.member and content.size == told.size


def is_whole(content: Content, folder: Folder) -> bool:
    """Whether the file is there at its full size, as `fetch` looks at all others."""
    path = folder.path / content.path
    return path.is_file() and path.lstat().st_size == content.size
