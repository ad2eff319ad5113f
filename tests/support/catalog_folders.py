"""Builds catalog folders for tests."""

import textwrap
from pathlib import Path

ACCESS = '[access]\nkind = "open"\n'


def entry(name: str, more: str = "", access: str = ACCESS) -> str:
    """The smallest whole entry, with more keys before its tables."""
    head = f'name = "{name}"\ntitle = "{name.upper()}"\nkind = "dataset"\nsummary = "x"\n'
    return f"{head}{textwrap.dedent(more)}\n{access}"


def put(root: Path, name: str, text: str, leaf: str = "dataset.toml") -> Path:
    """Write one file of one entry."""
    path = root / "datasets" / name / leaf
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
