"""Every key of an entry's TOML file as Markdown: its type, what it means, and how a bundled entry uses it.

The meanings are the comments of the catalog's classes in dermdata/model.py, the examples those of the catalog.
"""

import ast
import inspect
import io
import json
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import docs_catalog
from dermdata.closed_words import CLOSED_WORDS
from dermdata.model import ENTRY_COLUMNS, READERS, Dataset
from docs_markdown import table

HEAD = """\
# Keys of an entry

After reading this page you know every key that a `dataset.toml` may have. Made from the code by `make docs`; do not
edit. [Add a dataset](add-a-dataset.md) shows them at work, and `dermdata catalog check DIR` names what is wrong in a file.

What no source states is left out. A list of one may be written as the value alone. `extends = "NAME"` in place of `name`
changes an entry of a catalog below, see [private catalogs](private-catalogs.md#change-an-entry). A key that is not here is
refused, with the nearest that is.
"""
PLAIN = {str: "text", int: "whole number", bool: "true or false", float: "decimal number"}
LONGEST = 70  # characters of an example
SAME_KEYS = {"copies.table": "table", "files.parts": "files"}  # tables that have the keys of another one
# of keys that no bundled entry has: what one's own data or tables ask for
EXAMPLES = {
    "access.paths": '["/data/clinic/pictures", "/data/clinic/visits.csv"]',
    "access.placement": '"in-place"',
    "table.concept_from": "{ ulceration = 0.5 }",
    "table.separators": '{ Site = "," }',
    "table.further_labels": '["diagnosis_full"]',
    "table.encoding": '"cp1252"',
    "table.only": '{ set = "train*" }',
    "table.join.holds_more": "true",
    "table.delimiter": '";"',
    "table.sheet": '"Sheet1"',
    "table.join.sheet": '"Sheet2"',
    "table.records": '"data.annotations"',
    "table.boxes.classes": '["nevus", "melanoma"]',
    "files.rough_size": "314000000",
    "files.name_encoding": '"gbk"',
    "files.auth": '"basic"',
    "listed.include": '["images/*", "masks/*.zip"]',
    "listed.exclude": '["*/thumbnails/*"]',
    "listed.roles": '{ "masks/*" = "masks" }',
    "listed.unpack": '{ "*.zip" = "zip" }',
    "copies.note": '"gone since 2026"',
}


def page() -> str:
    """The whole page: the entry's own keys, then those of each table in it."""
    parts = [HEAD, "## The entry itself\n", key_table(Dataset, "")]
    for path, cls, many in list_sections(Dataset, ""):
        head = f"[[{path}]]" if many else f"[{path}]"
        parts += ["", f"## `{head}`\n", f"{inspect.getdoc(cls)}\n", key_table(cls, path)]
    return "\n".join([*parts, "", words()]) + "\n"


def words() -> str:
    """The words that are closed lists: readers, columns, and what some columns may hold."""
    closed = [
        [f"`{column}`", ", ".join(f"`{one}`" for one in allowed)] for column, allowed in CLOSED_WORDS.items()
    ]
    return "\n".join([
        "## Words\n",
        f"Readers: {', '.join(f'`{one}`' for one in READERS)}.\n",
        "Columns of [the manifest](manifest.md) that `[table.columns]`, `[table.constants]` and `[table.values]` may name:",
        f"{', '.join(f'`{one}`' for one in ENTRY_COLUMNS)}.\n",
        "These hold no other words; `body_site` holds those of `dermdata labels find --sites`:\n",
        table(["column", "words"], closed),
    ])  # fmt: skip


def list_sections(cls: type, path: str) -> Iterator[tuple[str, type, bool]]:
    """Each table of an entry, with its place, and whether there may be several."""
    for one in fields(cls):
        inner, many = find_class(get_type_hints(cls)[one.name])
        if inner is not None:
            place = f"{path}.{one.name}" if path else one.name
            yield place, inner, many
            if inner not in {cls, Dataset} and place not in SAME_KEYS:  # it is [[table]] once more
                yield from list_sections(inner, place)


def find_class(kind: Any) -> tuple[type | None, bool]:
    """The class of an entry's table that a type is of, and whether it is a list of such."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return find_class(inner[0])
    if origin is tuple and is_dataclass(inner[0]):
        return inner[0], True
    return (kind if is_dataclass(kind) else None), False


def key_table(cls: type, path: str) -> str:
    """The keys of one table, in their order in the code."""
    if path in SAME_KEYS:
        return f"The keys of `[[{SAME_KEYS[path]}]]`."
    return table(["key", "type", "meaning", "example"], key_rows(cls, path))


def key_rows(cls: type, path: str) -> list[list[str]]:
    notes, hints = read_comments(cls), get_type_hints(cls)
    rows = []
    for one in fields(cls):
        place = f"{path}.{one.name}" if path else one.name
        need = ", required" if is_required(one) else ""
        kind = f"{name_type(hints[one.name], place)}{need}"
        rows.append([f"`{one.name}`", kind, notes.get(one.name, ""), example(place)])
    return rows


def list_rows() -> list[list[str]]:
    """The keys of all tables."""
    sections = [("", Dataset), *((path, cls) for path, cls, _ in list_sections(Dataset, ""))]
    return [row for path, cls in sections if path not in SAME_KEYS for row in key_rows(cls, path)]


def is_required(one: "Field[Any]") -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def name_type(kind: Any, place: str) -> str:
    """A type in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if find_class(kind)[0] is not None:
        return f"`[[{place}]]`" if origin is tuple else f"`[{place}]`"
    if origin in (Union, UnionType):
        return name_type(inner[0], place)
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if origin is tuple:
        return f"list of {name_type(inner[0], place)}"
    if origin is not None and issubclass(origin, Mapping):
        return f"table of {name_type(inner[1], place)}"
    return PLAIN[kind]


@cache
def read_comments(cls: type) -> dict[str, str]:
    """Field -> its comment: on its own lines, or on the lines before it."""
    source = inspect.getsource(cls)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {one.start[0]: one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT}
    alone = {number for number in comments if source.splitlines()[number - 1].strip().startswith("#")}
    found = {}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = [number for number in range(node.lineno, node.end_lineno + 1) if number in comments]
            before = node.lineno - 1
            while before in alone:
                lines.insert(0, before)
                before -= 1
            text = " ".join(comments[number] for number in lines if not comments[number].startswith("type:"))
            found[node.target.id] = text
    return found


# ------------------------------------------------------------------ examples


def example(place: str) -> str:
    """The shortest example of a key in the catalog; empty for tables, which have a section of their own."""
    found = {text for entry in docs_catalog.entries() for text in list_values(entry, place.split("."))}
    if not found:
        return f"`{EXAMPLES[place]}`" if place in EXAMPLES else ""
    shortest = min(found, key=lambda text: (len(text), text))
    return f"`{shortest if len(shortest) <= LONGEST else shortest[: LONGEST - 1] + '…'}`"


def list_values(owner: Any, steps: list[str]) -> Iterator[str]:
    """The values that a key has below an entry, as TOML writes them."""
    value = getattr(owner, steps[0])
    if len(steps) > 1:
        for one in value if isinstance(value, tuple) else [value]:
            yield from list_values(one, steps[1:]) if one is not None else ()
    elif value != getattr(type(owner), steps[0], None) and (text := to_toml(value)):
        yield text


def to_toml(value: Any) -> str:
    """A value as TOML writes it, of tables the first pair; "" for what is absent, or a table with its own section."""
    if isinstance(value, Mapping):
        pairs = [f"{to_key(key)} = {to_toml(one)}" for key, one in list(value.items())[:1]]
        return f"{{ {pairs[0]} }}" if pairs else ""
    if isinstance(value, tuple):
        shown = [] if any(map(is_dataclass, value)) else [to_toml(one) for one in value]
        return f"[{', '.join(shown)}]" if shown else ""
    if value is None or is_dataclass(value):
        return ""
    return json.dumps(value, ensure_ascii=False)


def to_key(key: str) -> str:
    plain = key.replace("-", "").replace("_", "")
    return key if plain.isalnum() and plain.isascii() else json.dumps(key, ensure_ascii=False)
