"""The bundled catalog's files made into entries once a process.

Each test has a cache of its own and would compile some ninety entries anew, which took a good part of the suite's
time. Only what a bundled file alone decides is kept; overlays are read, laid over and checked as ever.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermdata.catalogs import bundled_folder, overlays
from dermdata.catalogs import overlays as compiling
from dermdata.model import Dataset


class Kept:
    """Answers of the catalog's pure functions for bundled files."""

    def __init__(self) -> None:
        self.root = str(bundled_folder())
        self.read, self.parse, self.plain = overlays.read_entry, overlays.parse_entry, compiling.entry_to_data
        self.texts: dict[str, dict[str, Any]] = {}
        self.datasets: dict[str, Dataset] = {}
        self.plains: dict[str, dict[str, Any]] = {}

    def read_once(self, path: Path) -> dict[str, Any]:
        return copy.deepcopy(self.found(self.texts, str(path), lambda: self.read(path)))

    def parse_once(self, data: Any, source: str) -> Dataset:
        return self.found(self.datasets, source, lambda: self.parse(data, source))

    def plain_once(self, dataset: Dataset) -> dict[str, Any]:
        source = f"{self.root}/datasets/{dataset.name}/dataset.toml"
        if self.datasets.get(source) is not dataset:  # an overlay's
            return self.plain(dataset)
        return self.found(self.plains, source, lambda: self.plain(dataset))

    def found(self, kept: dict[str, Any], source: str, make: Callable[[], Any]) -> Any:
        if not source.startswith(self.root):
            return make()
        if source not in kept:
            kept[source] = make()
        return kept[source]


def compile_once(patch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    patch.setattr(overlays, "read_entry", kept.read_once)
    patch.setattr(overlays, "parse_entry", kept.parse_once)
    patch.setattr(compiling, "entry_to_data", kept.plain_once)
