"""The audit's page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from dermdata.finding import Finding


def audit_page(
    table: pa.Table,
    findings: Sequence[Finding],
    look: Callable[[str], bytes | None],
    facts: Mapping[str, Any],
) -> Iterator[str]:
    """HTML in pieces, under 10 MB; `look` gives an image file's bytes by row key, None where there is none."""
    yield f"<!doctype html><title>{len(findings)} findings in {table.num_rows} images</title>"
