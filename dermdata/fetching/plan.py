"""What a fetch would do, as a value: shown by `--dry-run`, tested without a network (pure)."""

from collections.abc import Collection
from dataclasses import dataclass

from dermdata.cache import Fetched, Receipt
from dermdata.cache.records import Part
from dermdata.model import Content, Dataset, File, Role

ALWAYS: frozenset[Role] = frozenset({"metadata", "splits", "captions"})
EVERYTHING: frozenset[Role] = ALWAYS | {"images", "masks", "weights", "other"}


@dataclass(frozen=True, kw_only=True)
class Wants:
    """What the person asked for."""

    only: Role | None = None  # metadata is always fetched: without it there are no rows
    force: bool = False
    keep_archives: bool = False
    whole: bool = False  # also the rows that earlier partial fetches left out

    @property
    def roles(self) -> frozenset[Role]:
        return EVERYTHING if self.only is None else ALWAYS | {self.only}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of one fetch; nothing to do is a plan too."""

    dataset: Dataset
    wants: Wants
    download: tuple[File, ...]
    mend: tuple[Content, ...]  # single files to fetch again
    look: tuple[Content, ...] = ()  # images that are here, of which it is not known what they look like
    have: tuple[Fetched, ...]
    build: bool  # the manifest is missing or would differ
    part: Part | None = None  # the only rows the manifest is to hold

    @property
    def nothing(self) -> bool:
        return not (self.download or self.mend or self.build)

    @property
    def bytes(self) -> int | None:
        """Bytes to download; None when a size is not known."""
        sizes = [file.size for file in self.download]
        if None in sizes:
            return None
        return sum(filter(None, sizes)) + sum(
            one.member.stored if one.member else one.size for one in self.mend
        )


def plan(
    dataset: Dataset,
    receipt: Receipt | None,
    wants: Wants,
    digest: str,
    broken: Collection[Content] = (),
    unseen: Collection[Content] = (),
) -> Plan:
    """Compare what is wanted with what the receipt says is there; `broken` files are fetched again.

    With `force` all that is wanted is; what is not, stays.
    `unseen` images, which an older version fetched, are only looked at.
    """
    wanted = [file for file in dataset.files if file.fetch and file.role in wants.roles]
    if receipt is None or wants.force:
        return Plan(
            dataset=dataset,
            wants=wants,
            download=tuple(wanted),
            mend=(),
            have=tuple(one for one in receipt.files if one.role not in wants.roles) if receipt else (),
            build=True,
            part=receipt.part if receipt and wants.roles != EVERYTHING else None,
        )
    have = {one.name: one for one in receipt.files}
    # a tar, or a copy put together from pieces, gives no member alone: its whole archive is fetched again
    whole_again = {one.file for one in broken if one.member and one.member.offset < 0}
    missing = tuple(
        file
        for file in wanted
        if file.name in whole_again
        or (file.name not in receipt.lost and not is_had(file, have.get(file.name)))
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
    return Plan(
        dataset=dataset,
        wants=wants,
        download=missing,
        mend=mend,
        look=look,
        have=whole,
        build=build,
        part=part,
    )


def is_had(file: File, fetched: Fetched | None) -> bool:
    """Whether the file that was fetched is the one the catalog means now."""
    if fetched is None:
        return False
    if fetched.recognized == "ranges":  # of the archive's own bytes only their number was seen
        return file.checksum is None and file.size in (None, fetched.size)
    if fetched.remade:
        return fetched.recognized == "content"
    if file.checksum:
        return file.checksum in (fetched.checksum, f"sha256:{fetched.sha256}")
    return file.size in (None, fetched.size)
