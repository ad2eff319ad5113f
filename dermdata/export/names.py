"""Names of files and folders made from words of a table: safe on every system, no two the same on any."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
FORBIDDEN = frozenset('<>:"/\\|?*')  # Windows; a slash is a folder everywhere
LONGEST = 120  # bytes; most systems allow 255, of which endings and a temporary name take some


def safe(word: str, longest: int = LONGEST) -> str:
    """A word as one name: it cannot lead elsewhere, hide, or be refused by Windows."""
    kept = word
    if not (FORBIDDEN.isdisjoint(word) and word.isprintable()):
        kept = "".join("_" if char in FORBIDDEN or not char.isprintable() else char for char in word)
    kept = unicodedata.normalize("NFC", kept).rstrip(". ").lstrip(" ")
    if kept.startswith("."):
        kept = "_" + kept[1:]
    if kept.partition(".")[0].rstrip().lower() in RESERVED:
        kept = f"{kept}_"
    return shortened(kept, longest) or "_"


def shortened(name: str, longest: int) -> str:
    """At most so many bytes of UTF-8; what is cut is told apart by its hash."""
    if len(name.encode()) <= longest:
        return name
    return name.encode()[: longest - 9].decode(errors="ignore") + "-" + mark_of(name)


def unique(names: Sequence[str], identities: Sequence[str]) -> list[str]:
    """The names, where several are one on some file system (Ä = ä) each with a hash of its own identity.

    Which name a row gets does not depend on the order of the rows; rows of one identity are numbered.
    """
    seen: dict[str, str] = {}
    shared = set()
    for name, identity in zip(names, identities, strict=True):
        if seen.setdefault(name.casefold(), identity) != identity:
            shared.add(name.casefold())
    told = (
        f"{name}-{mark_of(identity)}" if name.casefold() in shared else name
        for name, identity in zip(names, identities, strict=True)
    )
    return numbered(told)


def numbered(names: Iterable[str]) -> list[str]:
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 1
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.casefold())
        found.append(free)
    return found


def mark_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
