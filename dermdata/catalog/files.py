"""Reads the folders of a catalog: TOML files, `files.tsv`, and overlays laid over each other."""

import csv
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dermdata.catalog.parse import overlay, parse
from dermdata.errors import BadCatalog, DermdataError, UnknownName
from dermdata.model import Dataset

Data = dict[str, Any]


def entry_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The (name, TOML path) of every entry under one catalog folder, by name."""
    found = [(path.parent.name, path) for path in root.glob("datasets/*/dataset.toml")]
    found += [(path.stem, path) for path in root.glob("models/*.toml")]
    yield from sorted(found)


def read_all(roots: Sequence[Path]) -> tuple[dict[str, Dataset], dict[str, str]]:
    """Every entry of the catalogs laid over each other, and the message of each broken one."""
    raw: dict[str, Data] = {}
    origin: dict[str, str] = {}
    broken: dict[str, str] = {}
    for root in roots:
        for name, path in entry_files(root):
            try:
                raw[name] = laid_over(name, read_entry(path), raw, path)
                origin[name] = str(path)
            except DermdataError as error:
                broken[name] = error.message
    datasets = {}
    for name, data in raw.items():
        try:
            datasets[name] = parse(data, origin[name])
        except BadCatalog as error:
            broken[name] = error.message
    return {name: datasets[name] for name in sorted(datasets.keys() - broken.keys())}, broken


def read_entry(path: Path) -> Data:
    """One TOML file's data, with the rows of a `files.tsv` beside it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadCatalog(f"{path} is not valid TOML: {error}") from error
    listing = path.with_name("files.tsv")
    if path.name == "dataset.toml" and listing.exists():
        data["files"] = [*data.get("files", []), *read_listing(listing)]
    return data


def read_listing(path: Path) -> list[Data]:
    """The files of a `files.tsv`: name, size, checksum and, where they cannot be derived, role and url."""
    with path.open(encoding="utf-8", newline="") as file:
        return [file_of(row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def file_of(row: Mapping[str, str | None]) -> Data:
    data: Data = {key: value for key, value in row.items() if value and key != "url"}
    if "size" in data and data["size"].isdecimal():
        data["size"] = int(data["size"])
    if row.get("url"):
        data["urls"] = [row["url"]]
    return data


def laid_over(name: str, data: Data, below: Mapping[str, Data], path: Path) -> Data:
    """The entry with what it extends underneath; a bundled name needs an explicit `extends`."""
    base = data.get("extends")
    if base is None:
        if name in below:
            raise BadCatalog(f"{path}: '{name}' is already in the catalog below; write extends = \"{name}\"")
        if data.get("name") != name:
            raise BadCatalog(f"{path}: name must be '{name}', as its folder or file")
        return data
    if base not in below:
        raise BadCatalog(f"{path}: {UnknownName('dataset', str(base), below)} in extends")
    return overlay(below[base], data) | {"name": name}
