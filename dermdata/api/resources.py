"""What the calls of one session share, opened when first needed: settings, catalog, cache, labels, network, workers."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.config import Settings as Settings
from dermdata.config import (
    default_cache_folder,
    default_catalog_folder,
    from_environment,
    parse_rewrite_rules,
    split_cache_folders,
)
from dermdata.markup import count_nouns
from dermdata.progress import WORTH_A_LINE, Progress, SilentProgress, describe_wait

if TYPE_CHECKING:
    from dermdata.cache import Cache, DatasetFolder
    from dermdata.catalogs import Catalog
    from dermdata.credentials import FoundCredentials
    from dermdata.engine import ExecutorFactory
    from dermdata.fetching.assemble import LabelResources
    from dermdata.http import HttpClient, RequestRates
    from dermdata.model import Dataset


MANY = 3  # broken entries that are named one by one
Say = Callable[[str], None]


def make_settings(
    environment: Mapping[str, str],
    *,
    cache: "str | os.PathLike[str] | None" = None,
    caches_read_only: Sequence[Path] | None = None,
    catalogs: Sequence[Path] | None = None,
    offline: bool | None = None,
    rewrite: Sequence[str] | None = None,
    **flags: bool,
) -> Settings:
    """The settings of a run: an option, else the environment's word, else the default.

    Where neither names a catalog, the person's own is laid over the bundled one, once there is any.
    """
    values: dict[str, Any] = {**from_environment(environment), **flags}
    if cache is not None:
        values |= split_cache_folders(cache)
    given = {
        "caches_read_only": caches_read_only,
        "catalogs": tuple(catalogs or ()) or None,
        "offline": offline,
    }
    values |= {name: value for name, value in given.items() if value is not None}
    if rewrite:
        values["rewrite"] = parse_rewrite_rules(rewrite)
    if "catalogs" not in values and (own := default_catalog_folder()).is_dir():
        values["catalogs"] = (own,)
    return Settings(**{"cache": None, **values} | {"cache": values.get("cache") or default_cache_folder()})


class Resources:
    """Settings and lazily opened rooms; a copy in another process opens them anew."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __getstate__(self) -> dict[str, Any]:
        """The settings alone: catalogs and caches are read again where they are needed."""
        return {"settings": self.settings}

    @cached_property
    def catalog(self) -> "Catalog":
        """The bundled catalog with the overlays laid over it; broken entries are named and left out."""
        from dermdata.catalogs import open_catalog

        catalog = open_catalog(self.settings.catalogs, self.settings.cache / "index")
        if len(catalog.broken) > MANY:
            self.say(
                f"warning: {count_nouns(len(catalog.broken), 'catalog entry', 'are')} "
                "broken and left out (`dermdata doctor` lists them)"
            )
        else:
            for message in catalog.broken.values():
                self.say(f"warning: left out: {message}")
        return catalog

    def read_catalogs_anew(self, further: Sequence[Path] = ()) -> None:
        """Forget what was read of the catalogs, which have changed, and read these folders as well from now on."""
        new = tuple(path for path in further if path not in self.settings.catalogs)
        self.settings = replace(self.settings, catalogs=(*self.settings.catalogs, *new))
        for name in ("catalog", "library"):
            self.__dict__.pop(name, None)

    @cached_property
    def cache(self) -> "Cache":
        """The folder that datasets are fetched into, and those that they are read from as well."""
        from dermdata.cache import Cache

        for further in self.settings.caches_read_only:
            if not further.is_dir():  # a share that is not mounted: all it holds would be fetched anew
                self.say(f"warning: the cache {further} is not there")
        return Cache(self.settings.cache, self.settings.caches_read_only)

    @cached_property
    def library(self) -> "LabelResources":
        """The vocabulary and the crosswalks."""
        from dermdata.fetching.assemble import open_label_resources

        return open_label_resources(self.catalog)

    def find_entries(self, names: Iterable[str]) -> "dict[str, Dataset]":
        """The catalog's entries of these datasets; what the catalog does not know is left out."""
        return {name: self.catalog[name] for name in names if name in self.catalog}

    def find_folder(self, name: str) -> "DatasetFolder":
        """Where a dataset of the catalog is read, in the first cache that has its manifest."""
        return self.cache.find_folder(self.catalog[name])

    def transfer(self, progress: Progress | None = None) -> "HttpClient":
        """Open a connection to the network, as the settings allow it; `progress` shows what waits for a host."""
        import random
        import time

        from dermdata.http import HttpClient, NetworkSettings

        network = NetworkSettings(
            offline=self.settings.offline,
            rewrite=self.settings.rewrite,
            sleep=time.sleep,
            clock=time.monotonic,
            random=random.random,
            show_wait=progress.show_wait if progress else self.show_wait,
        )
        return HttpClient(network, rates=self.request_rates, tokens=self.find_request_tokens())

    @cached_property
    def request_rates(self) -> "RequestRates":
        """How often each host may be asked, and was by this session."""
        from dermdata.hosts.request_limits import LIMITS
        from dermdata.http import RequestRates

        return RequestRates(LIMITS)

    def find_request_tokens(self) -> "dict[str, FoundCredentials]":
        """Tokens in the environment for hosts that need none, and may be asked more often with one."""
        from dermdata.credentials import Credentials
        from dermdata.hosts.request_limits import LIMITS

        known = Credentials(os.environ, None)
        services = {limit.service for limit in LIMITS if limit.service}
        return {service: found for service in services if (found := known.find(service))}

    def show_wait(self, subject: str, seconds: float, why: str) -> AbstractContextManager[None]:
        """Say that nothing moves for so long, where no progress is shown."""
        if seconds >= WORTH_A_LINE:
            self.say(describe_wait(subject, seconds, why))
        return nullcontext()

    def say(self, text: str) -> None:
        """Pass one line on to the person."""

    def more(self, text: str) -> None:
        """Pass a line on to a person who asked for more of them."""

    def confirm(self, question: str, statement: str) -> bool:
        """Ask the person, after showing them what it is about; nobody to ask means no."""
        del question, statement
        return False

    @contextmanager
    def show_progress(self) -> Iterator[Progress]:
        """Show what takes long, for as long as the block runs."""
        yield SilentProgress()


def settings_from_environment(**given: Any) -> Settings:
    """The settings of a run in this process's environment."""
    return make_settings(os.environ, **given)


@contextmanager
def open_workers(resources: Resources, url: str | None) -> Iterator["ExecutorFactory"]:
    """Threads here, or a cluster's workers; how many of these there are is told.

    Parameters
    ----------
    resources : Resources
        Who is told.
    url : str, optional
        The scheduler of a cluster, as `dask://HOST:PORT`.

    Raises
    ------
    UsageError
        For an address of another kind, and where the extra `dask` is not installed.
    NetworkError
        Where no scheduler answers, or it loses the work.

    """
    from dermdata import engine

    if url is None:
        yield engine.thread_executor
        return
    with engine.open_engine(url) as found:
        resources.say(
            f"{url}: {count_nouns(found.workers, 'worker')}"
            if found.workers
            else f"{url} has no workers yet: waiting for them"
        )
        yield found.make
