"""What one run of the command line shares: settings, and the rooms that are opened when first needed."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.cli.output import talk
from dermdata.settings import Settings, default_cache, from_environment, rules

if TYPE_CHECKING:
    from dermdata.cache import Cache
    from dermdata.catalog import Catalog
    from dermdata.fetch.assemble import Library
    from dermdata.http import HttpClient

MANY = 3  # broken entries that are told one by one


class State:
    """Settings and lazily opened rooms of one run."""

    def __init__(self, settings: Settings, color: str = "auto") -> None:
        self.settings = settings
        self.color = color

    @classmethod
    def of(
        cls,
        *,
        cache: Path | None,
        catalogs: Sequence[Path] | None,
        offline: bool | None,
        rewrite: Sequence[str] | None,
        color: str,
        **flags: bool,
    ) -> "State":
        """Option, then environment, then default."""
        values: dict[str, Any] = {**from_environment(os.environ), **flags}
        if cache is not None:
            values["cache"] = cache
        if catalogs:
            values["catalogs"] = tuple(catalogs)
        if offline is not None:
            values["offline"] = offline
        if rewrite:
            values["rewrite"] = rules(rewrite)
        values.setdefault("cache", None)
        if values["cache"] is None:
            values["cache"] = default_cache()
        return cls(Settings(**values), color)

    @cached_property
    def catalog(self) -> "Catalog":
        from dermdata.catalog import open_catalog

        catalog = open_catalog(self.settings.catalogs, self.settings.cache / "index")
        if len(catalog.broken) > MANY:
            self.say(
                f"warning: {len(catalog.broken)} catalog entries are broken and left out (`dermdata doctor` lists them)"
            )
        else:
            for message in catalog.broken.values():
                self.say(f"warning: left out: {message}")
        return catalog

    @cached_property
    def cache(self) -> "Cache":
        from dermdata.cache import Cache

        return Cache(self.settings.cache)

    @cached_property
    def library(self) -> "Library":
        from dermdata.fetch.assemble import open_library

        return open_library(self.catalog)

    def transfer(self) -> "HttpClient":
        """A fresh connection to the network, as the settings allow it."""
        import random
        import time

        from dermdata.http import HttpClient, NetworkSettings

        network = NetworkSettings(
            offline=self.settings.offline,
            rewrite=self.settings.rewrite,
            sleep=time.sleep,
            clock=time.monotonic,
            random=random.random,
        )
        return HttpClient(network)

    def say(self, text: str) -> None:
        """One line for the person, on stderr; not with --quiet."""
        if not self.settings.quiet:
            talk(text)

    def more(self, text: str) -> None:
        """A line for --verbose."""
        if self.settings.verbose:
            self.say(text)


def state_of(ctx: Any) -> State:
    """The run's state; commands called without the callback (in tests) get the environment's."""
    if not isinstance(ctx.obj, State):
        ctx.obj = State.of(cache=None, catalogs=None, offline=None, rewrite=None, color="auto")
    return ctx.obj
