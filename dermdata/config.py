"""How one run is set up: option, then environment, then default; values, no I/O beyond reading the environment."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermdata.errors import UsageError
from dermdata.urls import redact_url

FALSE_WORDS = {"", "0", "false", "no", "off"}
REWRITE_RULE = re.compile(r"(?P<source>.+)=(?P<target>https?://.+)")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The global options as they hold for this run."""

    cache: Path
    caches_read_only: tuple[Path, ...] = ()  # where datasets are looked for as well, in order
    catalogs: tuple[Path, ...] = ()  # overlays, in order
    offline: bool = False
    rewrite: tuple[tuple[str, str], ...] = ()
    quiet: bool = False
    verbose: bool = False
    debug: bool = False


def from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """What DERMDATA_… variables say: catalogs, offline, rewrite, cache (only those that are set)."""
    found: dict[str, object] = {}
    if value := environment.get("DERMDATA_CACHE"):
        found |= {name: folders for name, folders in split_cache_folders(value).items() if folders}
    if value := environment.get("DERMDATA_CATALOG"):
        found["catalogs"] = tuple(split_folders(value))
    if value := environment.get("DERMDATA_OFFLINE"):
        found["offline"] = value.strip().lower() not in FALSE_WORDS
    if value := environment.get("DERMDATA_REWRITE"):
        found["rewrite"] = parse_rewrite_rules(value.split())
    return found


def split_cache_folders(text: "str | os.PathLike[str]") -> dict[str, object]:
    """The folder that is written to, and after it, parted as in PATH, those that are only read."""
    folders = split_folders(os.fspath(text))
    if not folders:
        return {}
    return {"cache": folders[0], "caches_read_only": tuple(folders[1:])}


def split_folders(text: str) -> list[Path]:
    """Folders parted as in PATH, each once; `~` is the home also where no shell has replaced it: `--cache a:~/b`."""
    folders: dict[str, Path] = {}
    for part in filter(None, text.split(os.pathsep)):
        path = os.path.expanduser(part)  # noqa: PTH111 (of nobody's home, `~` stays; Path raises)
        folders.setdefault(os.path.realpath(path), Path(path))
    return list(folders.values())


def parse_rewrite_rules(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`FROM=TO` words as pairs; FROM ends at the last `=` before the target's scheme, which is http or https."""
    pairs = []
    for word in words:
        rule = REWRITE_RULE.fullmatch(word)
        if not rule:
            raise UsageError(
                f"'{redact_url(word)}' is no rewrite rule",
                hint="write FROM=TO, for example https://=http://proxy/web/",
            )
        pairs.append((rule["source"], rule["target"]))
    return tuple(pairs)


def default_cache_folder() -> Path:
    """The platform's user cache folder."""
    from platformdirs import user_cache_path  # not at each start

    return user_cache_path("dermdata")


def default_catalog_folder() -> Path:
    """The person's own catalog, in the platform's user data folder."""
    from platformdirs import user_data_path

    return user_data_path("dermdata") / "catalog"
