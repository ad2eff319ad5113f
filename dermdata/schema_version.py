"""The version of the manifest's schema, and what to say of a later one; known without Arrow, for `query`."""

from pathlib import Path

from dermdata.errors import BadTable

CURRENT = "1"


def require_known(version: str, manifest: Path | str) -> None:
    """BadTable for a manifest of a later dermdata: its columns may mean something else."""
    if version.isdecimal() and int(version) > int(CURRENT):
        raise BadTable(
            f"{manifest} has manifest schema {version}, newer than {CURRENT}", hint="update dermdata"
        )
