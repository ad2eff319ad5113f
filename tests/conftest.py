"""What every test may ask for: the real metadata, a command line to run, a server to fetch from."""

import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from dermdata.start import COLLECT_AFTER
from support.servers import Site

# a busy machine is no finding: what is slow is measured in benchmarks/
# fewer examples than hypothesis's hundred: the whole suite is to end within ten minutes on two cores
settings.register_profile("dermdata", deadline=None, max_examples=40)
settings.load_profile("dermdata")

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"
NUMBERS = count()

POSIX = re.compile(  # what Windows lacks, or has with a privilege only, in a test's text
    r"os\.(fork|mkfifo|get[eu]+id|p?write|link|symlink|killpg|chown|umask|statvfs)\b|symlink_to|hardlink_to|\.chmod\("
    r"|/dev/|/proc/|SIGKILL|fcntl|resource\.|\bpty\b"
)
FULL = "DERMDATA_TEST_FULL" in os.environ  # set by `make test-full`


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of the real metadata are skipped, with the reason, where it is not beside the checkout.

    A file's tests run in one worker: fixtures of the file are made once, and no worker waits after each test of a
    millisecond until it is told the next. Marked groups, which are long, run first: what one worker alone has for a
    minute is no minute for which the other waits at the end.

    Tests that take a minute for what a quicker test holds nearly as well are left to `make test-full`.
    """
    if not FULL:
        full = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if item not in full]
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(Path(__file__).parent).as_posix()))
    if sys.platform == "win32":
        skip_posix(items)
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason="the real metadata of ../shared is not here")
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(skip)


def skip_posix(items: list[pytest.Item]) -> None:
    """What names calls that Windows lacks cannot run there."""
    skip = pytest.mark.skip(reason="it names what only POSIX has")
    for item in items:
        if isinstance(item, pytest.Function) and POSIX.search(inspect.getsource(item.function)):
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Thousands of tests and all modules stay to the end: no collection of garbage looks through them again.

    Later ones come as seldom as in a process of the program's own.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test's own, as pytest's is: that one looks through the thousands of the run for a free number."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}{next(NUMBERS)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(autouse=True)
def no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No test sees the person's own cache, catalogs, proxies or credentials, or writes to them."""
    monkeypatch.setenv("XDG_DATA_HOME", f"{tmp_path_factory.getbasetemp()}/nobody's")
    for name in ("CACHE", "CATALOG", "OFFLINE", "REWRITE"):
        monkeypatch.delenv(f"DERMDATA_{name}", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def patient_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host limits how often it is asked: that is held by tests of its own, others would wait seconds each."""
    from dermdata.hosts import request_limits

    limits = tuple(replace(limit, guest=(), member=()) for limit in request_limits.LIMITS)
    monkeypatch.setattr(request_limits, "LIMITS", limits)


@dataclass(frozen=True)
class Answer:
    """What one command line gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line in this process, on a cache of the test's own."""
    from dermdata.cli.app import run

    def call(*words: object, cache: Path | None = None) -> Answer:
        capfd.readouterr()
        code = run(["--cache", str(cache or tmp_path / "cache"), *map(str, words)])
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with ranges on 127.0.0.1 that stands for every https host (`site.rewrite`)."""
    with Site() as running:
        yield running
