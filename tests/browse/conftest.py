"""The demo dataset behind the page: fetched once, split by image so that lesions leak, marks in a file of the test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import dermdata as dd
from dermdata.api.browsing import BrowseRequest, open_browsing
from dermdata.api.manifest import Manifest
from dermdata.browse.app import Browsing, make_app
from dermdata.browse.guard import Guard

TOKEN, HOST, COOKIE = "sesame", "127.0.0.1:8000", "dermdata-8000"


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the demo dataset."""
    from dermdata.cli.app import run

    cache = tmp_path_factory.mktemp("browsed") / "cache"
    assert run(["-q", "--cache", str(cache), "fetch", "demo"]) == 0
    return cache


@pytest.fixture(scope="session")
def demo(fetched: Path) -> Manifest:
    """The demo dataset, split by image."""
    return dd.open_session(cache=fetched).load("demo").split(by="image", seed=1).manifest


@pytest.fixture(scope="session")
def predictions(demo: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is right but for each fifth picture."""
    lines = ["image_id,benign,malignant"]
    for number, row in enumerate(demo.table.select(["image_id", "malignancy"]).to_pylist()):
        score = 0.9 if (row["malignancy"] == "malignant") == bool(number % 5) else 0.2
        lines.append(f"{row['image_id']},{1 - score:.3f},{score}")
    path = tmp_path_factory.mktemp("predicted") / "predictions.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def look_at(manifest: Manifest, folder: Path, **asked: Any) -> Browsing:
    """What the page of a manifest is about."""
    request = BrowseRequest(**{"exclusions": folder / "exclusions.tsv", **asked})
    return open_browsing(manifest._resources, manifest, request)


def client_of(browsing: Browsing, *, raises: bool = True) -> TestClient:
    """A browser that has the token."""
    guard = Guard(make_app(browsing), TOKEN, frozenset({HOST}), COOKIE)
    client = TestClient(
        guard, base_url=f"http://{HOST}", follow_redirects=False, raise_server_exceptions=raises
    )
    client.headers["cookie"] = f"{COOKIE}={TOKEN}"
    return client


@pytest.fixture
def browsing(demo: Manifest, tmp_path: Path) -> Browsing:
    return look_at(demo, tmp_path)


@pytest.fixture
def client(browsing: Browsing) -> TestClient:
    return client_of(browsing)


@pytest.fixture
def ask(client: TestClient) -> Callable[..., Any]:
    """A question's answer, which must be given."""

    def answer(path: str, **parameters: Any) -> Any:
        said = client.get(f"/api/{path}", params=parameters)
        assert said.status_code == 200, said.text
        return said.json()

    return answer
