"""What a fetch would do, as a value: `--dry-run` shows it, tests need no network for it.

The first part reads what earlier fetches left in the folder, as far as it counts for the next one; the second compares
that with what is wanted, and is pure.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from dermdata.cache import DatasetFolder, FetchedFile, Receipt
from dermdata.cache.receipt import FetchedSubset
from dermdata.errors import CacheDamaged
from dermdata.model import Content, Dataset, File, Role

BASE_ROLES: frozenset[Role] = frozenset({"metadata", "splits", "captions"})
ALL_ROLES: frozenset[Role] = BASE_ROLES | {"images", "masks", "weights", "other"}


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """What the person asked for."""

    only: Role | None = None  # metadata is always fetched: without it there are no rows
    force: bool = False
    keep_archives: bool = False
    whole: bool = False  # also the rows that earlier partial fetches left out

    @property
    def roles(self) -> frozenset[Role]:
        return ALL_ROLES if self.only is None else BASE_ROLES | {self.only}


@dataclass(frozen=True, kw_only=True)
class FetchPlan:
    """The steps of one fetch; nothing to do is a plan too."""

    dataset: Dataset
    wants: FetchSettings
    download: tuple[File, ...]
    mend: tuple[Content, ...]  # single files to fetch again
    look: tuple[Content, ...] = ()  # images that are here, of which it is not known what they look like
    have: tuple[FetchedFile, ...]
    build: bool  # the manifest is missing or would differ
    part: FetchedSubset | None = None  # the only rows the manifest is to hold

    @property
    def is_empty(self) -> bool:
        return not (self.download or self.mend or self.build)

    @property
    def download_bytes(self) -> int | None:
        """Bytes to download; None when a size is not known."""
        sizes = [file.size for file in self.download]
        if None in sizes:
            return None
        return sum(filter(None, sizes)) + sum(
            one.member.stored if one.member else one.size for one in self.mend
        )


def make_plan(
    dataset: Dataset,
    receipt: Receipt | None,
    wants: FetchSettings,
    digest: str,
    broken: Collection[Content] = (),
    unseen: Collection[Content] = (),
) -> FetchPlan:
    """Compare what is wanted with what the receipt says is there; `broken` files are fetched again.

    With `force` all that is wanted is; what is not, stays.
    `unseen` images, which an older version fetched, are only looked at.
    """
    wanted = [file for file in dataset.files if file.fetch and file.role in wants.roles]
    if receipt is None or wants.force:
        return FetchPlan(
            dataset=dataset,
            wants=wants,
            download=tuple(wanted),
            mend=(),
            have=tuple(one for one in receipt.files if one.role not in wants.roles) if receipt else (),
            build=True,
            part=receipt.part if receipt and wants.roles != ALL_ROLES else None,
        )
    have = {one.name: one for one in receipt.files}
    # a tar, or a copy put together from pieces, gives no member alone: its whole archive is fetched again
    whole_again = {one.file for one in broken if one.member and one.member.offset < 0}
    missing = tuple(
        file
        for file in wanted
        if file.name in whole_again
        or (file.name not in receipt.lost and not is_up_to_date(file, have.get(file.name)))
    )
    # of what partial fetches took out of an archive, single files are mended unless the archive is fetched now
    again = {file.name for file in missing if wants.whole or file.name in have}
    mend = tuple(content for content in broken if content.file not in again)
    whole = tuple(one for one in receipt.files if one.name not in again)
    current = receipt.manifest_sha256 is not None and receipt.catalog_digest == digest
    part = None if wants.whole else receipt.part
    anew = {one.path for one in broken}
    look = tuple(one for one in unseen if one.file not in again and one.path not in anew)
    build = bool(missing or mend or look) or not current or part != receipt.part
    return FetchPlan(
        dataset=dataset,
        wants=wants,
        download=missing,
        mend=mend,
        look=look,
        have=whole,
        build=build,
        part=part,
    )


def is_up_to_date(file: File, fetched: FetchedFile | None) -> bool:
    """Whether the file that was fetched is the one the catalog means now."""
    if fetched is None:
        return False
    if fetched.recognized == "ranges":  # of the archive's own bytes only their number was seen
        return file.checksum is None and file.size in (None, fetched.size)
    if fetched.is_reconstructed:
        return fetched.recognized == "content"
    if file.checksum:
        return file.checksum in (fetched.checksum, f"sha256:{fetched.sha256}")
    return file.size in (None, fetched.size)


def read_prior_receipt(folder: DatasetFolder, wants: FetchSettings) -> Receipt | None:
    """The receipt to plan by: with --force nothing counts, with --force --only ROLE what is of other roles."""
    if not wants.force:
        return folder.receipt()
    receipt, _ = read_unforced_records(folder, wants)
    return receipt


def read_starting_records(
    folder: DatasetFolder, wants: FetchSettings
) -> tuple[Receipt | None, tuple[Content, ...]]:
    """What the folder holds and a fetch adds to; CacheDamaged where its records cannot be read and must be."""
    return read_unforced_records(folder, wants) if wants.force else read_records(folder)


def read_records(folder: DatasetFolder) -> tuple[Receipt | None, tuple[Content, ...]]:
    receipt = folder.receipt()
    return receipt, tuple(folder.contents()) if receipt else ()


def read_sound_records(folder: DatasetFolder) -> tuple[Receipt | None, tuple[Content, ...]]:
    """What the folder holds; nothing where the records are broken, which --force is there to mend."""
    try:
        return read_records(folder)
    except CacheDamaged:
        return None, ()


def read_unforced_records(
    folder: DatasetFolder, wants: FetchSettings
) -> tuple[Receipt | None, tuple[Content, ...]]:
    """What `--force --only ROLE` does not fetch again and so leaves as it is."""
    receipt, contents = read_sound_records(folder)
    roles = tuple(role for role in receipt.roles if role not in wants.roles) if receipt else ()
    if receipt is None or not roles:
        return None, ()
    files = tuple(one for one in receipt.files if one.role in roles)
    lost = receipt.lost if "images" in roles else {}  # only images have addresses of their own
    kept = replace(receipt, files=files, roles=roles, lost=lost, part=None if wants.whole else receipt.part)
    return kept, tuple(one for one in contents if one.role in roles)


def read_earlier_files(folder: DatasetFolder) -> tuple[FetchedFile, ...]:
    """The files of the last receipt, also with --force; a broken receipt has seen nothing."""
    try:
        receipt = folder.receipt()
    except CacheDamaged:
        return ()
    return receipt.files if receipt else ()
