"""The bundled catalog's files made into entries once a process.

Each test has a cache of its own and would compile some ninety entries anew, which took a good part of the suite's
time. Only what a bundled file alone decides is kept; overlays are read, laid over and checked as ever.
"""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dermdata.catalogs import bundled_folder, overlays
from dermdata.model import Dataset


class Kept:
    """Answers of the catalog's pure functions for bundled files."""

    def __init__(self) -> None:
        self.root = str(bundled_folder())
        self.read, self.parse, self.plain = overlays.read_entry, overlays.parse_entry, overlays.entry_to_data
        self.build = overlays.build_index
        self.texts: dict[str, bytes] = {}
        self.indexes: dict[str, dict[str, Any]] = {}
        self.datasets: dict[str, Dataset] = {}
        self.plains: dict[str, dict[str, Any]] = {}

    def read_once(self, path: Path) -> dict[str, Any]:
        """A copy each time, which an overlay is laid over: pickle makes one in a fifth of deepcopy's time."""
        return pickle.loads(self.found(self.texts, str(path), lambda: pickle.dumps(self.read(path))))  # type: ignore[no-any-return]

    def build_once(self, roots: Sequence[Path]) -> dict[str, Any]:
        """The index of the bundled catalog alone."""
        if len(roots) > 1:
            return self.build(roots)
        index = self.found(self.indexes, str(roots[0]), lambda: self.build(roots))
        return {**index, "items": [dict(item) for item in index["items"]]}

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
    patch.setattr(overlays, "build_index", kept.build_once)
    patch.setattr(overlays, "entry_to_data", kept.plain_once)
