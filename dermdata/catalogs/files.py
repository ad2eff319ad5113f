"""Reads the folders of a catalog: TOML files, `files.tsv`, and overlays laid over each other."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dermdata import disk
from dermdata.catalogs.check import files_of
from dermdata.catalogs.parse import overlay, parse
from dermdata.errors import BadCatalog, nearest
from dermdata.model import Dataset

Data = dict[str, Any]
ONLY_FACTS = "@only-facts"
MOST = 256 << 20  # bytes of a catalog file


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
            except BadCatalog as error:
                broken[name] = error.message
    datasets: dict[str, Dataset] = {}
    owner = dict.fromkeys(raw, "")  # who goes by a name: the entry of that name before any alias
    for name, data in raw.items():
        try:
            dataset = parse(data, origin[name])
            claim(dataset, owner, origin[name])
            datasets[name] = dataset
        except BadCatalog as error:
            broken[name] = error.message
    return {name: datasets[name] for name in sorted(datasets.keys() - broken.keys())}, broken


def claim(dataset: Dataset, owner: dict[str, str], source: str) -> None:
    """Take the entry's aliases; BadCatalog when one is another's name, which it would silently replace."""
    taken = [alias for alias in dataset.aliases if alias in owner]
    if taken:
        whose = [owner[alias] or alias for alias in taken]
        raise BadCatalog(f"{source}: the alias {', '.join(taken)} already means {', '.join(whose)}")
    owner.update(dict.fromkeys(dataset.aliases, dataset.name))


def read_entry(path: Path) -> Data:
    """One TOML file's data, with the rows of a `files.tsv` beside it."""
    try:
        data: Data = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BadCatalog(f"{path} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise BadCatalog(f"{path} is not valid TOML: nested too deeply") from error
    listing = path.with_name("files.tsv")
    if path.name == "dataset.toml" and listing.exists():
        data["files"] = [*files_of(data), *read_listing(listing)]
    return data


def read_text(path: Path) -> str:
    """A catalog file's text, with LF as line ends; BadCatalog for one that cannot be read as such."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadCatalog(f"{path} is not UTF-8: {error}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path) -> bytes:
    """A catalog file as it is; BadCatalog when it cannot be read: a pipe in a shared folder is not waited for."""
    try:
        return disk.read_regular(path, most=MOST, links=True)
    except OSError as error:
        raise BadCatalog(f"{path} cannot be read: {error.strerror}") from error


def read_listing(path: Path) -> list[Data]:
    """The files of a `files.tsv`: name, size, checksum and, where they cannot be derived, role and url."""
    lines = read_text(path).splitlines()
    header, files = lines[0].split("\t") if lines else [], []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if line and len(cells) != len(header):
            raise BadCatalog(f"{path}, line {number}: {len(cells)} fields, the header has {len(header)}")
        if line:
            files.append(file_of(dict(zip(header, cells, strict=True))))
    return files


def file_of(row: Mapping[str, str]) -> Data:
    data: Data = {key: value for key, value in row.items() if value and key != "url"}
    if "size" in data and data["size"].isdecimal():
        data["size"] = int(data["size"])
    if row.get("url"):
        data["urls"] = [row["url"]]
    if "role" not in data:
        data[ONLY_FACTS] = True  # of a file that the entry below or its host's listing names
    return data


def laid_over(name: str, data: Data, below: Mapping[str, Data], path: Path) -> Data:
    """The entry with what it extends underneath; a bundled name needs an explicit `extends`."""
    base = data.get("extends")
    if base is None:
        if name in below:
            raise BadCatalog(f"{path}: '{name}' is already in the catalog below; write extends = \"{name}\"")
        if data.get("name") != name:
            raise BadCatalog(f"{path}: name must be '{name}', as its folder or file")
        return data | {"files": [unmarked(file) for file in files_of(data)]} if "files" in data else data
    if not isinstance(base, str) or base not in below:
        near = nearest(str(base), below)
        asked = f", did you mean {near[0]}?" if near else ""
        raise BadCatalog(f"{path}: no entry '{base}' in the catalogs below to extend{asked}")
    if base != name or data.get("name", name) != name:
        raise BadCatalog(f"{path}: changes the entry '{base}', so folder and name must be '{base}' too")
    merged = overlay(below[base], data)
    merged["files"] = [settled(file) for file in files_of(merged)]
    return merged


def settled(file: Any) -> Any:
    """A file of a listing's facts alone is known, but nothing that the entry itself asks for."""
    if not isinstance(file, Mapping) or ONLY_FACTS not in file or "role" in file:
        return unmarked(file)
    return {**unmarked(file), "role": "other", "fetch": False}


def unmarked(file: Any) -> Any:
    """A file as it was written; what is no table stays, for `parse` to tell."""
    if not isinstance(file, Mapping):
        return file
    return {key: value for key, value in file.items() if key != ONLY_FACTS}
