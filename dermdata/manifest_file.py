"""A cached manifest's place and schema version: light enough for `dermdata list` and `query`, which need no Arrow for it.

<root>/datasets/<name>/<version>/manifest.parquet
"""

import os
from glob import iglob
from pathlib import Path

from dermdata.errors import BadTable

SCHEMA_VERSION = "1"


def cached_names(root: "os.PathLike[str]") -> set[str]:
    """The datasets that have a manifest; no file is opened."""
    datasets = f"{os.fspath(root)}/datasets"
    try:
        names = os.listdir(datasets)  # noqa: PTH208  # start-up counts: pathlib costs five times as much
    except FileNotFoundError:
        return set()
    return {name for name in names if any(iglob(f"{datasets}/{name}/*/manifest.parquet"))}  # noqa: PTH207  # likewise


def version_folder(root: Path, name: str, version: str | None) -> Path:
    """Where one version of a dataset lies, or would lie."""
    return root / "datasets" / name / version_slug(version)


def version_slug(version: str | None) -> str:
    """A folder name for a publisher's version.

    Parameters
    ----------
    version
        The version; None where the publisher names none.

    Returns
    -------
    str
        Letters, digits and `.-_`, with no dot in front; "unversioned" when nothing else is left.

    """
    return slugify(version or "", empty="unversioned")


def slugify(word: str, *, empty: str = "_") -> str:
    """A word from outside as part of a file name: it cannot lead into another folder, or hide."""
    kept = "".join(char if char.isalnum() or char in "._-" else "_" for char in word)
    return kept.lstrip(".") or empty


def require_known_schema(version: str, manifest: Path | str) -> None:
    """BadTable for a manifest of a later dermdata: its columns may mean something else."""
    if version.isdecimal() and int(version) > int(SCHEMA_VERSION):
        raise BadTable(
            f"{manifest} has manifest schema {version}, newer than {SCHEMA_VERSION}", hint="update dermdata"
        )
