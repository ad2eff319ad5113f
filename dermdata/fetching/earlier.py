"""What earlier fetches brought, as far as it counts for the next one."""

from dataclasses import replace

from dermdata.cache import Fetched, Folder, Receipt
from dermdata.errors import CacheDamaged
from dermdata.fetching.plan import Wants
from dermdata.model import Content


def receipt_for(folder: Folder, wants: Wants) -> Receipt | None:
    """The receipt to plan by: with --force nothing counts, with --force --only ROLE what is of other roles."""
    if not wants.force:
        return folder.receipt()
    receipt, _ = left_by_force(folder, wants)
    return receipt


def held(folder: Folder, wants: Wants) -> tuple[Receipt | None, tuple[Content, ...]]:
    """What the folder holds and a fetch adds to; CacheDamaged where its records cannot be read and must be."""
    return left_by_force(folder, wants) if wants.force else all_of(folder)


def all_of(folder: Folder) -> tuple[Receipt | None, tuple[Content, ...]]:
    receipt = folder.receipt()
    return receipt, tuple(folder.contents()) if receipt else ()


def readable(folder: Folder) -> tuple[Receipt | None, tuple[Content, ...]]:
    """What the folder holds; nothing where the records are broken, which --force is there to mend."""
    try:
        return all_of(folder)
    except CacheDamaged:
        return None, ()


def left_by_force(folder: Folder, wants: Wants) -> tuple[Receipt | None, tuple[Content, ...]]:
    """What `--force --only ROLE` does not fetch again and so leaves as it is."""
    receipt, contents = readable(folder)
    roles = tuple(role for role in receipt.roles if role not in wants.roles) if receipt else ()
    if receipt is None or not roles:
        return None, ()
    files = tuple(one for one in receipt.files if one.role in roles)
    lost = receipt.lost if "images" in roles else {}  # only images have addresses of their own
    kept = replace(receipt, files=files, roles=roles, lost=lost, part=None if wants.whole else receipt.part)
    return kept, tuple(one for one in contents if one.role in roles)


def seen_before(folder: Folder) -> tuple[Fetched, ...]:
    """The files of the last receipt, also with --force; a broken receipt has seen nothing."""
    try:
        receipt = folder.receipt()
    except CacheDamaged:
        return ()
    return receipt.files if receipt else ()
