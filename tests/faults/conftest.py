"""What the fault tests share: a private catalog, and a command line before a server that misbehaves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dermdata.cli.state import State
from faults.desk import Desk, brief
from faults.shelf import Shelf
from http_client.conftest import faultserver as faultserver
from http_client.conftest import serving

pytest.register_assert_rewrite(
    "faults.promises_network", "faults.promises_cache", "faults.promises_person"
)  # an assertion there tells what it compared


@pytest.fixture
def shelf(tmp_path: Path, cli: Callable[..., Any]) -> Shelf:
    """A private catalog beside the test's own cache."""
    return Shelf(tmp_path, cli)


@pytest.fixture
def desk(
    tmp_path: Path, cli: Callable[..., Any], faultserver: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    """A person's command line, with short limits, before a server that misbehaves as it is told."""
    slept: list[float] = []
    monkeypatch.setattr(State, "transfer", brief(State.transfer, slept))
    root = tmp_path / "served"
    root.mkdir()
    with serving(faultserver, root) as server:
        yield Desk(tmp_path, cli, server, faultserver.report, monkeypatch, slept)
