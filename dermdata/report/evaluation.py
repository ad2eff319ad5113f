"""The evaluation's page."""

from collections.abc import Iterator, Mapping
from typing import Any


def evaluation_page(result: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """HTML in pieces; `result` as the package says."""
    yield f"<!doctype html><title>{len(result['items'])} estimates</title>"
