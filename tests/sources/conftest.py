"""The hosts' stand-ins, built once per session, and entries whose files come from them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dermdata.credentials import Credentials
from dermdata.errors import ServerRefused
from dermdata.hosts import ResolveContext
from dermdata.http import HttpClient, NetworkSettings
from dermdata.model import Access, Dataset, File
from support.mirror import Mirror, mirror

NAMES = (
    "ham10000",
    "bcn20000",
    "fitzpatrick17k",
    "pad-ufes-20",
    "dermnet",
    "scin",
    "isic-2016",
    "isic-archive",
    "derm7pt",
    "fuseg",
)
ROWS = 60  # of each table: more than 100 ISIC records, so that there are two pages
TOKENS = {
    "KAGGLE_API_TOKEN": "KGAT_letmein",
    "HF_TOKEN": "hf_letmein",
    "DERMDATA_DERM7PT_USER": "ada",
    "DERMDATA_DERM7PT_PASSWORD": "letmein",
}


@pytest.fixture(scope="session")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with mirror(tmp_path_factory.mktemp("stand"), *NAMES, rows=ROWS) as running:
        yield running


@dataclass(frozen=True)
class Truth:
    """What the stand-ins really hold."""

    files: dict[tuple[str, str], dict[str, Any]]

    def of(self, dataset: str, name: str) -> dict[str, Any]:
        return self.files[dataset, name]

    def names(self, dataset: str, start: str = "", host: str | None = None) -> list[str]:
        """The dataset's files, or those of them that one host has."""
        return sorted(
            name
            for (owner, name), fact in self.files.items()
            if owner == dataset and name.startswith(start) and (host is None or host in fact.get("host", {}))
        )


@pytest.fixture(scope="session")
def truth(stand: Mirror) -> Truth:
    record = json.loads((stand.root / "mirror.json").read_text())["datasets"]
    files = {(name, file["name"]): file for name, facts in record.items() for file in facts["files"]}
    return Truth(files)


@pytest.fixture
def transfer(stand: Mirror) -> Iterator[HttpClient]:
    rewrite = (("https://", f"http://127.0.0.1:{stand.port}/web/"),)
    with HttpClient(NetworkSettings(rewrite=rewrite, trust_env=False, sleep=lambda _: None)) as moving:
        yield moving


@pytest.fixture
def around(transfer: HttpClient, tmp_path: Path) -> Callable[..., ResolveContext]:
    """The surroundings of a real run against the stand-ins, with these credentials in the environment."""

    def make(environment: dict[str, str] | None = None, **more: Any) -> ResolveContext:
        return ResolveContext(
            catalogs=(),
            ask=transfer.get_json,
            ask_page=transfer.get_json_page,
            read=transfer.get_bytes,
            head=transfer.resolve_head,
            credentials=Credentials(TOKENS if environment is None else environment, tmp_path),
            **more,
        )

    return make


def entry(file: File, **access: Any) -> Dataset:
    """A catalog entry of one file."""
    given = Access(**({"kind": "open"} | access))
    return Dataset(name="demo", title="Demo", kind="dataset", summary="A demo.", access=given, files=(file,))


def sourced(source: str, **more: Any) -> File:
    return File(**({"name": "file", "role": "other", "source": source} | more))


def answering(answers: dict[str, Any], **more: Any) -> tuple[ResolveContext, list[str]]:
    """Surroundings whose hosts give these answers by address, and the list of what was asked.

    An answer that is a number is a refusal with that status.
    """
    asked: list[str] = []

    def ask(url: str, **_: Any) -> Any:
        asked.append(url)
        answer = answers.get(url, 404)
        if isinstance(answer, int):
            raise ServerRefused(f"host answers {answer}", status=answer)
        return answer

    def ask_page(url: str, **_: Any) -> tuple[Any, str | None]:
        answer = ask(url)
        return answer if isinstance(answer, tuple) else (answer, None)

    return ResolveContext(catalogs=(), ask=ask, ask_page=ask_page, read=ask, **more), asked
