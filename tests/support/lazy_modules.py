"""Modules that are imported at their first use: each worker collects every test, and runs half of them."""

from importlib import import_module
from typing import Any


class LazyModule:
    """A module by its name; its attributes are there as soon as one is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
