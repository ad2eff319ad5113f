"""One catalog file's data -> one frozen Dataset, or every issue of the file at once (pure)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dermdata import checksum
from dermdata.errors import BadCatalog, UsageError, nearest
from dermdata.model import Dataset, File, Table

Data = Mapping[str, Any]
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
NOT_MERGED = {"extends"}


class Issues:
    """Problems found so far, each with its place."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, problem: str) -> None:
        self.found.append(f"{where}: {problem}" if where else problem)


def parse(data: Data, source: str) -> Dataset:
    """The entry that a TOML file's data describes; BadCatalog lists every issue with its place."""
    issues = Issues()
    dataset = structure(Dataset, data, "", issues)
    if not issues.found:
        check(dataset, issues)
    if issues.found:
        lines = "".join(f"\n  {issue}" for issue in issues.found)
        raise BadCatalog(f"{source} has {len(issues.found)} issue(s):{lines}")
    return dataset  # type: ignore[no-any-return]  # structure() is generic over every catalog class


# ------------------------------------------------------------------ types


@cache
def hints(cls: type) -> Mapping[str, Any]:
    return get_type_hints(cls)


def structure(cls: type, data: Any, where: str, issues: Issues) -> Any:
    """An instance of a catalog dataclass; unknown and missing keys and wrong types become issues."""
    if not isinstance(data, Mapping):
        issues.add(where, f"must be a table, not {kind_of(data)}")
        return None
    known = {field.name: field for field in fields(cls)}
    for key in data.keys() - known.keys():
        near = nearest(key, known)
        issues.add(place(where, key), f"unknown key{f', did you mean {near[0]}?' if near else ''}")
    values = {}
    for name, field in known.items():
        if name in data:
            values[name] = convert(hints(cls)[name], data[name], place(where, name), issues)
        elif field.default is MISSING and field.default_factory is MISSING:
            issues.add(place(where, name), "is missing")
    return cls(**values) if not issues.found else None


def convert(kind: Any, value: Any, where: str, issues: Issues) -> Any:
    """The value as the annotated type says, or an issue."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):  # X | None: absent means None
        return convert(args[0], value, where, issues)
    if origin is Literal:
        return one_of(args, value, where, issues)
    if origin is tuple:
        return many(args[0], value, where, issues)
    if origin is not None and issubclass(origin, Mapping):
        return mapping(args[1], value, where, issues)
    if is_dataclass(kind) and isinstance(kind, type):
        return structure(kind, value, where, issues)
    if kind is not bool and isinstance(value, bool) or not isinstance(value, kind):
        issues.add(where, f"must be {kind.__name__}, not {kind_of(value)}")
    return value


def one_of(allowed: tuple[Any, ...], value: Any, where: str, issues: Issues) -> Any:
    if value not in allowed:
        near = nearest(str(value), allowed)
        hint = f", did you mean {near[0]}?" if near else f", must be {' | '.join(allowed)}"
        issues.add(where, f"'{value}' is not allowed{hint}")
    return value


def many(kind: Any, value: Any, where: str, issues: Issues) -> tuple[Any, ...]:
    """A list; a single string or table stands for a list of one."""
    items = value if isinstance(value, list) else [value]
    return tuple(convert(kind, item, f"{where}[{label(item, n)}]", issues) for n, item in enumerate(items))


def mapping(kind: Any, value: Any, where: str, issues: Issues) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        issues.add(where, f"must be a table, not {kind_of(value)}")
        return {}
    return {key: convert(kind, item, place(where, key), issues) for key, item in value.items()}


def label(item: Any, number: int) -> str:
    return str(item["name"]) if isinstance(item, Mapping) and "name" in item else str(number)


def place(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def kind_of(value: Any) -> str:
    return {"str": "text", "Mapping": "a table", "dict": "a table", "list": "a list"}.get(
        type(value).__name__, type(value).__name__
    )


# ------------------------------------------------------------------ meaning


def check(dataset: Dataset, issues: Issues) -> None:
    """What types cannot say: slugs, checksums, names that refer to each other."""
    if not SLUG.match(dataset.name):
        issues.add("name", f"'{dataset.name}' must be kebab-case [a-z0-9-]")
    names = [file.name for file in dataset.files]
    for name in {name for name in names if names.count(name) > 1}:
        issues.add(f"files[{name}]", "is listed twice")
    for file in dataset.files:
        check_file(file, f"files[{file.name}]", issues)
    for number, table in enumerate(dataset.table):
        check_table(table, f"table[{number}]", names, issues)
    if dataset.access.kind == "unavailable" and not dataset.access.evidence:
        issues.add("access.evidence", "is missing: say why it cannot be had")


def check_file(file: File, where: str, issues: Issues) -> None:
    if file.checksum:
        try:
            checksum.parse(file.checksum)
        except UsageError as error:
            issues.add(f"{where}.checksum", error.message)
    if file.size is not None and file.size <= 0:
        issues.add(f"{where}.size", "must be positive")
    for url in file.urls:
        if not url.startswith(("https://", "http://")):
            issues.add(f"{where}.urls", f"'{url}' is no http(s) address")
    parts = file.name.replace("\\", "/").split("/")
    if "" in parts or ".." in parts:
        issues.add(f"{where}.name", "must be a plain relative path")


def check_table(table: Table, where: str, names: Iterable[str], issues: Issues) -> None:
    wanted = [("file", table.file), *(("join", join.file) for join in table.join)]
    wanted += [("images", name) for name in table.images]
    for key, name in wanted:
        if name is not None and name not in names:
            near = nearest(name, names)
            issues.add(f"{where}.{key}", f"no [[files]] entry '{name}'{f', did you mean {near[0]}?' if near else ''}")


# ------------------------------------------------------------------ overlays


def overlay(base: Data, changes: Data) -> dict[str, Any]:
    """The base entry with the overlay's keys laid over it: tables merge, files merge by name."""
    merged = dict(base)
    for key, value in changes.items():
        if key in NOT_MERGED:
            continue
        if key == "files":
            merged[key] = overlay_files(base.get(key, []), value)
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = overlay(base[key], value)
        else:
            merged[key] = value
    return merged


def overlay_files(base: list[Data], changes: list[Data]) -> list[Data]:
    by_name = {str(file.get("name")): dict(file) for file in base}
    for change in changes:
        by_name.setdefault(str(change.get("name")), {}).update(change)
    return list(by_name.values())
