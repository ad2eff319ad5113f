"""What tells that a file of which no digest is known is still the same."""

from pathlib import Path

from dermdata.export.files import Found


def stamp(path: Found) -> tuple[int, int] | None:
    """Bytes and time of the last change; None for no file."""
    if path is None:
        return None
    facts = Path(path).stat()
    return facts.st_size, facts.st_mtime_ns
