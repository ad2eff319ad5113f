"""Tar archives of plain files (POSIX ustar) that are the same bytes for the same content: no time, no owner."""

from dermdata.errors import UsageError

BLOCK = 512
NAME, PREFIX = 100, 155  # bytes
END = bytes(2 * BLOCK)
LARGEST = 8**11 - 1  # bytes of one file
ZEROS = bytes(BLOCK)


def template() -> bytes:
    """A header without name, size and checksum."""
    fields = [
        bytes(NAME), b"0000644\0", b"0000000\0", b"0000000\0", bytes(12), b"00000000000\0", b" " * 8, b"0",
        bytes(100), b"ustar\0", b"00", bytes(32), bytes(32), bytes(8), bytes(8), bytes(PREFIX), bytes(12),
    ]  # fmt: skip
    return b"".join(fields)


EMPTY = template()
SUM = sum(EMPTY)
BEFORE_SIZE, AFTER_SIZE = EMPTY[NAME:124], EMPTY[136:148]
TYPE_TO_PREFIX, AFTER_PREFIX = EMPTY[156:345], EMPTY[500:]


def header(path: str, size: int) -> bytes:
    """The 512 bytes before a file's content; UsageError for a name that ustar cannot hold."""
    prefix, name = divided(path)
    if size > LARGEST:
        raise UsageError(f"{path} is too large for a tar: {size:,} bytes")
    length = b"%011o\0" % size
    total = SUM + sum(name) + sum(prefix) + sum(length)
    return b"".join(
        (name.ljust(NAME, b"\0"), BEFORE_SIZE, length, AFTER_SIZE, b"%06o\0 " % total, TYPE_TO_PREFIX,
         prefix.ljust(PREFIX, b"\0"), AFTER_PREFIX)
    )  # fmt: skip


def divided(path: str) -> tuple[bytes, bytes]:
    """Prefix and name: a path of more than 100 bytes is cut at a slash."""
    whole = path.encode()
    if len(whole) <= NAME:
        return b"", whole
    cut = whole.rfind(b"/", 0, PREFIX + 1)
    if cut <= 0 or len(whole) - cut - 1 > NAME:
        raise UsageError(f"{path} is too long a name for a tar")
    return whole[:cut], whole[cut + 1 :]


def padding(size: int) -> bytes:
    """What fills a file's last block."""
    return ZEROS[: -size % BLOCK]
