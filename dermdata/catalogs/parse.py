"""One catalog file's data -> one frozen Dataset, or every issue of the file at once (pure)."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dermdata.catalogs.check import Data, Issues, check, files_of
from dermdata.errors import BadCatalog, nearest
from dermdata.model import Dataset

NOT_MERGED = {"extends"}
WORDS = {"str": "text", "Mapping": "a table", "dict": "a table", "list": "a list", "int": "a whole number"}
WORDS |= {"bool": "true or false", "float": "a decimal number"}


def parse(data: Data, source: str) -> Dataset:
    """The entry that a TOML file's data describes; BadCatalog lists every issue with its place."""
    issues = Issues()
    dataset = structure(Dataset, data, "", issues)
    if isinstance(data, Mapping):
        check(data, issues)
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
    for key in (key for key in data if key not in known):
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
    if (kind is not bool and isinstance(value, bool)) or not isinstance(value, kind):
        issues.add(where, f"must be {WORDS.get(kind.__name__, kind.__name__)}, not {kind_of(value)}")
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
    name = type(value).__name__
    return WORDS.get(name, name)


# ------------------------------------------------------------------ overlays


def overlay(base: Data, changes: Data) -> dict[str, Any]:
    """The base entry with the overlay's keys laid over it: tables merge, files merge by name."""
    merged = dict(base)
    for key, value in changes.items():
        if key in NOT_MERGED:
            continue
        if key == "files":
            merged[key] = overlay_files(files_of(base), files_of(changes))
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = overlay(base[key], value)
        else:
            merged[key] = value
    return merged


def overlay_files(base: list[Any], changes: list[Any]) -> list[Any]:
    """The base's files, each changed by the one of its name, then the new ones; misfits stay to be told of."""
    merged = [dict(file) if isinstance(file, Mapping) else file for file in base]
    by_name = {file["name"]: file for file in merged if isinstance(file, dict) and has_name(file)}
    for change in changes:
        if isinstance(change, Mapping) and has_name(change) and change["name"] in by_name:
            known = by_name[change["name"]]
            if "urls" in change and "source" not in change:
                known.pop(
                    "source", None
                )  # the overlay's own copy, not the publisher's with it as a second way
            known.update(change)
        else:
            merged.append(change)
    return merged


def has_name(file: Data) -> bool:
    return isinstance(file.get("name"), str)
