"""What the fault tests share: a private catalog, and a server that misbehaves on request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path, cli: Callable[..., Any]) -> Shelf:
    """A private catalog beside the test's own cache."""
    return Shelf(tmp_path, cli)
