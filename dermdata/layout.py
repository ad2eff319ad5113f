"""Where things lie in a cache folder; light enough for `dermdata list` to ask.

<root>/datasets/<name>/<version>/manifest.parquet
"""

import os
from glob import iglob
from pathlib import Path


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
    """A folder name for a publisher's version."""
    kept = "".join(char if char.isalnum() or char in ".-_" else "_" for char in version or "")
    return kept.lstrip(".") or "unversioned"
