"""Amounts for people."""


def size(count: int | None) -> str:
    """Bytes for people: 1.4 GB (powers of ten, as publishers write them)."""
    if count is None:
        return "unknown size"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
