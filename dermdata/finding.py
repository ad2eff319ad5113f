"""What a judgement of data found: one thing that is wrong, doubtful or worth knowing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem and the images that have it; `code` is of the closed list in the contract of `audit`."""

    level: Level
    code: str
    dataset: str | None  # several are joined by ", "
    keys: tuple[str, ...]  # row keys of the images
    message: str
    evidence: Mapping[str, Any]  # what it was concluded from, as JSON can say it
