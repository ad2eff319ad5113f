"""What a fetch would do, as a value: `--dry-run` shows it, tests need no network for it.

The first part compares what is wanted with what is there, and is pure; the second reads what earlier fetches left in
the folder, as far as it counts for the next one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from dermdata.cache import DatasetFolder, FetchedFile, Receipt
from dermdata.cache.receipt import IN_PART, FetchedSubset
from dermdata.errors import CacheDamaged
from dermdata.model import Content, CopiedDataset, Dataset, File, Role

BASE_ROLES: frozenset[Role] = frozenset({"metadata", "splits", "captions"})
ALL_ROLES: frozenset[Role] = BASE_ROLES | {"images", "masks", "weights", "other"}
T = TypeVar("T", FetchedFile, Content)


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """What the person asked for."""

    only: Role | None = None  # metadata is always fetched: without it there are no rows
    force: bool = False
    keep_archives: bool = False
    whole: bool = False  # also the rows that earlier partial fetches left out
    given: bool = False  # by the person (--from, --mirror): also what no address completes may come

    @property
    def roles(self) -> frozenset[Role]:
        return ALL_ROLES if self.only is None else BASE_ROLES | {self.only}

    def select_files(self, dataset: Dataset) -> tuple[File, ...]:
        """The catalog files of these roles, but for those that the table does not need."""
        return tuple(file for file in dataset.files if file.fetch and file.role in self.roles)


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
    def asks_hosts(self) -> bool:
        """Whether anything must come from elsewhere: a manifest is also built anew of what is here."""
        return bool(self.download or self.mend)

    @property
    def download_bytes(self) -> int | None:
        """Bytes to download; None when a size is not known, as of an archive of which only some images come."""
        in_part = self.dataset.in_part if isinstance(self.dataset, CopiedDataset) else ()
        sizes = [None if file.name in in_part else file.expected_size for file in self.download]
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
    """Compare what is wanted with what the receipt says is there.

    Parameters
    ----------
    dataset
        The catalog entry, with the files that a listing adds.
    receipt
        What earlier fetches noted; None when there is nothing.
    wants
        What the person asked for. With `force` all that is wanted is fetched; what is not, stays.
    digest
        The entry's digest (`LabelResources.entry_digest`): with another one the manifest is built anew.
    broken
        Files that are fetched again.
    unseen
        Images that an older version fetched without noting what they look like: they are only inspected.

    Returns
    -------
    FetchPlan
        The steps, which may be none.

    """
    if receipt is None or wants.force:
        return plan_afresh(dataset, receipt, wants)
    receipt = drop_other_source(receipt, dataset)
    missing = list_missing(dataset, receipt, wants, broken)
    again = list_replaced(missing, receipt, wants)
    fetched_again = {one.path for one in broken}
    look = exclude_files([one for one in unseen if one.path not in fetched_again], again)
    mend = exclude_files(broken, again)
    part = None if wants.whole else receipt.part
    is_current = receipt.manifest_sha256 is not None and receipt.catalog_digest == digest
    return FetchPlan(
        dataset=dataset,
        wants=wants,
        download=missing,
        mend=mend,
        look=look,
        have=tuple(one for one in receipt.files if one.name not in again),
        build=any((missing, mend, look, not is_current, part != receipt.part)),
        part=part,
    )


def plan_afresh(dataset: Dataset, receipt: Receipt | None, wants: FetchSettings) -> FetchPlan:
    """All that is wanted; of what is there, what is of other roles stays."""
    kept = [one for one in receipt.files if one.role not in wants.roles] if receipt else []
    return FetchPlan(
        dataset=dataset,
        wants=wants,
        download=wants.select_files(dataset),
        mend=(),
        have=select_of_source(kept, dataset),
        build=True,
        part=receipt.part if receipt and wants.roles != ALL_ROLES else None,
    )


def drop_other_source(receipt: Receipt, dataset: Dataset) -> Receipt:
    """The receipt without what came from another source than the dataset's: two of them are never mixed."""
    kept = select_of_source(receipt.files, dataset)
    if find_source(dataset) == receipt.copy and len(kept) == len(receipt.files):
        return receipt
    return replace(receipt, files=kept, manifest_sha256=None)


def find_source(dataset: Dataset) -> str | None:
    """The copy that an entry's files are of; None: the publisher's own."""
    return dataset.copy.name if isinstance(dataset, CopiedDataset) else None


def find_left_out(dataset: Dataset) -> tuple[str, ...]:
    """The official files that the copy has nothing for; none where the publisher gives all."""
    return dataset.left_out if isinstance(dataset, CopiedDataset) else ()


def list_own_names(dataset: Dataset) -> set[str]:
    """The catalog files whose members may be here: beside a copy's those that came from the publisher's archives."""
    copied = isinstance(dataset, CopiedDataset)
    return {file.name for file in dataset.files if file.fetch or copied}


def select_of_source(files: Iterable[FetchedFile], dataset: Dataset) -> tuple[FetchedFile, ...]:
    """The files that belong to the dataset by the source that it is taken from now."""
    if not isinstance(dataset, CopiedDataset):
        return tuple(one for one in files if one.copy is None)
    name, official = dataset.copy.name, dataset.official
    return tuple(one for one in files if (one.copy == name if one.copy else one.name in official))


def list_missing(
    dataset: Dataset, receipt: Receipt, wants: FetchSettings, broken: Collection[Content]
) -> tuple[File, ...]:
    """The wanted files that are not here, or not as the catalog means them, or broken as a whole."""
    have = {one.name: one for one in receipt.files}
    broken_wholes = list_broken_wholes(broken)
    # a person's own data, of which no page and no steps tell where more could be, are all there is
    more = wants.given or bool(dataset.access.steps or dataset.access.url)
    return tuple(
        file
        for file in wants.select_files(dataset)
        if file.name in broken_wholes
        or (file.name not in receipt.lost and is_missing(file, have.get(file.name), more=more))
    )


def list_broken_wholes(broken: Collection[Content]) -> set[str]:
    """Archives that come again as a whole: a tar, or a copy put together from pieces, gives no member alone."""
    return {one.file for one in broken if one.member and one.member.offset < 0}


def is_missing(file: File, fetched: FetchedFile | None, *, more: bool) -> bool:
    """Whether a file is not here as the catalog means it; `more`: also what a person's copy lacked may come."""
    if is_up_to_date(file, fetched):
        return False
    given_in_part = fetched is not None and fetched.recognized in IN_PART
    return more or not given_in_part or bool(file.source or file.urls)


def list_replaced(missing: Collection[File], receipt: Receipt, wants: FetchSettings) -> set[str]:
    """The missing files that come whole, in place of what is here of them.

    Of what partial fetches took out of an archive single files are mended, unless the archive is wanted whole.
    """
    have = {one.name for one in receipt.files}
    return {file.name for file in missing if wants.whole or file.name in have}


def exclude_files(contents: Iterable[Content], files: Collection[str]) -> tuple[Content, ...]:
    """What is not of these catalog files."""
    return tuple(one for one in contents if one.file not in files)


def is_up_to_date(file: File, fetched: FetchedFile | None) -> bool:
    """Whether the file that was fetched is the one the catalog means now."""
    if fetched is None:
        return False
    if fetched.recognized == "ranges":  # of the archive's own bytes only their number was seen
        return file.checksum is None and file.size in (None, fetched.size)
    if fetched.recognized == "rows":
        return file.size in (None, fetched.size)
    if fetched.is_reconstructed:
        return fetched.recognized in ("content", "own")
    if file.checksum:
        return file.checksum in (fetched.checksum, f"sha256:{fetched.sha256}")
    return file.size in (None, fetched.size)


@dataclass(frozen=True, kw_only=True)
class EarlierRecords:
    """What earlier fetches noted of a folder, read once."""

    files: Mapping[str, FetchedFile]  # by name, of the last receipt: what was seen first
    receipt: Receipt | None  # None: nothing was fetched, or its records are broken
    contents: tuple[Content, ...]

    def unforced(self, wants: FetchSettings) -> tuple[Receipt | None, tuple[Content, ...]]:
        """What `--force --only ROLE` does not fetch again and so leaves as it is."""
        receipt = self.receipt
        roles = [role for role in receipt.roles if role not in wants.roles] if receipt else []
        if receipt is None or not roles:
            return None, ()
        kept = replace(
            receipt,
            files=select_roles(receipt.files, roles),
            roles=tuple(roles),
            lost=receipt.lost if "images" in roles else {},  # only images have addresses of their own
            part=None if wants.whole else receipt.part,
        )
        return kept, select_roles(self.contents, roles)


def select_roles(items: Iterable[T], roles: Collection[str]) -> tuple[T, ...]:
    return tuple(one for one in items if one.role in roles)


def read_earlier_records(folder: DatasetFolder, *, force: bool) -> EarlierRecords:
    """What a folder's receipt and list of contents say.

    CacheDamaged where they cannot be read, unless `force` is there to mend that: then they say nothing.
    """
    receipt = None
    try:
        receipt = folder.receipt()
        contents = folder.contents(receipt) if receipt else ()
        sound = receipt
    except CacheDamaged:
        if not force:
            raise
        sound, contents = None, ()
    files = receipt.files if receipt else ()
    return EarlierRecords(files={one.name: one for one in files}, receipt=sound, contents=contents)


def read_prior_receipt(folder: DatasetFolder, wants: FetchSettings) -> Receipt | None:
    """The receipt to plan by.

    Parameters
    ----------
    folder
        The dataset's folder in the cache.
    wants
        What the person asked for: with `force` nothing that is wanted counts as there.

    Returns
    -------
    Receipt or None
        What is there and stays; None when that is nothing.

    Raises
    ------
    CacheDamaged
        If the receipt cannot be read, and `force` is not there to mend that.

    """
    if not wants.force:
        return folder.receipt()
    receipt, _ = read_earlier_records(folder, force=True).unforced(wants)
    return receipt
