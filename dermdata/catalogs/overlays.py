"""Reads catalog folders, lays overlays over each other, and compiles the entries for the index."""

import json
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from dermdata import disk
from dermdata.catalogs.copies import EntryFiles, find_copy_issues
from dermdata.catalogs.entries import did_you_mean, find_fetch_way, list_files, parse_entry, to_list
from dermdata.catalogs.index import is_settled
from dermdata.catalogs.table_checks import find_table_issues, list_allowed_words
from dermdata.errors import BadCatalog
from dermdata.markup import count_nouns
from dermdata.model import Dataset
from dermdata.text_files import SAVE_HINT, TextRefused, decode_text
from dermdata.vocabulary import tsv
from dermdata.vocabulary.concepts import BodySite, parse_body_sites

EntryData = dict[str, Any]
ONLY_FACTS = "@only-facts"
NOT_MERGED = {"extends"}
SKIN_TONE_FIELDS = {"fitzpatrick", "fitzpatrick_range", "monk"}
MOST_BYTES = 256 << 20  # bytes of a catalog file
NOTHING_BELOW: Mapping[str, Any] = {"entries": {}, "items": []}


def list_entry_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The (name, TOML path) of every entry under one catalog folder, by name."""
    found = [(path.parent.name, path) for path in root.glob("datasets/*/dataset.toml")]
    found += [(path.stem, path) for path in root.glob("models/*.toml")]
    yield from sorted(found)


def read_entry(path: Path) -> EntryData:
    """One TOML file's data, with the rows of a `files.tsv` beside it."""
    try:
        data: EntryData = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BadCatalog(f"{path} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise BadCatalog(f"{path} is not valid TOML: nested too deeply") from error
    listing = path.with_name("files.tsv")
    if path.name == "dataset.toml" and listing.exists():
        data["files"] = [*list_files(data), *read_listing(listing)]
    return data


def read_text(path: Path) -> str:
    """A catalog file's text, with LF as line ends; BadCatalog for one that cannot be read as such."""
    return read_table_text(path).replace("\r\n", "\n").replace("\r", "\n")


def read_table_text(path: Path) -> str:
    """The same with its own line ends, which may stand in a cell of a table."""
    try:
        return decode_text(read_bytes(path))
    except TextRefused as error:
        raise BadCatalog(f"{path} is not UTF-8: {error}", hint=SAVE_HINT) from error


def read_bytes(path: Path) -> bytes:
    """A catalog file as it is; BadCatalog when it cannot be read: a pipe in a shared folder is not waited for."""
    try:
        return disk.read_regular(path, most=MOST_BYTES, links=True)
    except OSError as error:
        raise BadCatalog(f"{path} cannot be read: {error.strerror}") from error


def read_listing(path: Path) -> list[EntryData]:
    """The files of a `files.tsv`: name, size, checksum and, where they cannot be derived, role and url."""
    lines = read_text(path).splitlines()
    header, files = lines[0].split("\t") if lines else [], []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if line and len(cells) != len(header):
            raise BadCatalog(
                f"{path}, line {number}: {count_nouns(len(cells), 'field')}, the header has {len(header)}"
            )
        if line:
            files.append(parse_listing_row(dict(zip(header, cells, strict=True))))
    return files


def parse_listing_row(row: Mapping[str, str]) -> EntryData:
    data: EntryData = {key: value for key, value in row.items() if value and key != "url"}
    if "size" in data and data["size"].isdecimal():
        data["size"] = int(data["size"])
    if row.get("url"):
        data["urls"] = [row["url"]]
    if "role" not in data:
        data[ONLY_FACTS] = True  # of a file that the entry below or its host's listing names
    return data


def extend_entry(
    name: str, data: EntryData, below: Mapping[str, EntryData | str | bytes], path: Path
) -> EntryData:
    """The entry with what it extends underneath; a bundled name needs an explicit `extends`."""
    base = data.get("extends")
    if base is None:
        return require_new_entry(name, data, below, path)
    if not isinstance(base, str) or base not in below:
        near = did_you_mean(str(base), below)
        raise BadCatalog(f"{path}: no entry '{base}' in the catalogs below to extend{near}")
    if base != name or data.get("name", name) != name:
        raise BadCatalog(f"{path}: changes the entry '{base}', so folder and name must be '{base}' too")
    merged = apply_overlay(load_data(below[base]), data)
    merged["files"] = [settle_file(file) for file in list_files(merged)]
    return merged


def require_new_entry(name: str, data: EntryData, below: Collection[str], path: Path) -> EntryData:
    """The entry, its files as they were written; BadCatalog for a name that is taken, or not its folder's."""
    if name in below:
        raise BadCatalog(f"{path}: '{name}' is already in the catalog below; write extends = \"{name}\"")
    if data.get("name") != name:
        raise BadCatalog(f"{path}: name must be '{name}', as its folder or file")
    return data | {"files": [unmark_file(file) for file in list_files(data)]} if "files" in data else data


def load_data(entry: EntryData | str | bytes) -> EntryData:
    """An entry's data, also of one that is compiled to JSON."""
    data: EntryData = entry if isinstance(entry, dict) else json.loads(entry)
    return data


def apply_overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> EntryData:
    """The base entry with the overlay's keys laid over it: tables merge, files merge by name."""
    merged = dict(base)
    for key, value in changes.items():
        if key in NOT_MERGED:
            continue
        if key == "files":
            merged[key] = overlay_files(list_files(base), list_files(changes))
        elif key == "copies":
            merged[key] = overlay_copies(to_list(base.get(key)), to_list(value))
        elif isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = apply_overlay(base[key], value)
        else:
            merged[key] = value
    return merged


def overlay_files(base: list[Any], changes: list[Any]) -> list[Any]:
    """The base's files, each changed by the one of its name, then the new ones; what is no file stays for `parse_entry`."""
    merged = [dict(file) if isinstance(file, Mapping) else file for file in base]
    by_name = {file["name"]: file for file in merged if has_name(file)}
    for change in changes:
        if has_name(change) and change["name"] in by_name:
            known = by_name[change["name"]]
            if "urls" in change and "source" not in change:
                known.pop("source", None)  # the overlay's own copy instead of the publisher's, not beside it
            known.update(change)
        else:
            merged.append(change)
    return merged


def overlay_copies(base: list[Any], changes: list[Any]) -> list[Any]:
    """The base's copies, each with the keys of the one of its name laid over it, then the new ones."""
    merged = dict(enumerate(base))
    places = {copy["name"]: number for number, copy in merged.items() if has_name(copy)}
    for change in changes:
        place = places.get(change["name"]) if has_name(change) else None
        if place is None:
            merged[len(merged)] = change
        else:
            merged[place] = apply_overlay(merged[place], change)
    return list(merged.values())


def has_name(file: Any) -> bool:
    return isinstance(file, Mapping) and isinstance(file.get("name"), str)


def settle_file(file: Any) -> Any:
    """A file of a listing's facts alone is known, but nothing that the entry itself asks for."""
    if not isinstance(file, Mapping) or ONLY_FACTS not in file or "role" in file:
        return unmark_file(file)
    return {**unmark_file(file), "role": "other", "fetch": False}


def unmark_file(file: Any) -> Any:
    """A file as it was written; what is no table stays for `parse_entry`."""
    if not isinstance(file, Mapping):
        return file
    return {key: value for key, value in file.items() if key != ONLY_FACTS}


def build_bundled_index(root: Path, stamp: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The index of the folder below all overlays: made once in a process, whichever cache asks for it.

    Files that changed in the last second are read each time: their next change may give them no other stamp.
    """
    return build_unchanged_index(root, json.dumps(stamp)) if is_settled(stamp) else build_index((root,))


@lru_cache(maxsize=2)
def build_unchanged_index(root: Path, stamp: str) -> dict[str, Any]:
    """The index of one folder; `stamp` says which state of its files it is of."""
    del stamp
    return build_index((root,))


def build_index(roots: Sequence[Path], below: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The index's content: `items` for `list`, `entries` as JSON texts, `aliases`, `broken`.

    Parameters
    ----------
    roots
        Catalog folders, each laid over those before it.
    below
        The index of the first one alone: its files are not read again, and its entries are parsed again only where
        another folder has something of their name, or body sites of its own.

    """
    if below is None or below["broken"] or has_body_sites(roots[1:]):
        below = NOTHING_BELOW
    raw, origin, broken = lay_over(roots, below["entries"])
    items, entries = copy_untouched(below, find_names(roots[1:]))
    sites, others = read_body_sites(roots), EntryFiles(raw, lambda entry: load_data(raw[entry]))
    allowed = list_allowed_words(sites)
    owner = dict.fromkeys(raw, "")  # who goes by a name: the entry of that name before any alias
    for name, data in raw.items():
        try:
            if name not in items:
                dataset = parse_entry(load_data(data), origin[name])
                found = find_table_issues(dataset, allowed, sites)
                require_no_issues([*find_copy_issues(load_data(data), others), *found], origin[name])
                items[name] = summary_item(dataset, roots)
                entries[name] = json.dumps(entry_to_data(dataset), ensure_ascii=False)
            claim_aliases(name, items[name]["aliases"], owner, origin[name])
        except BadCatalog as error:
            broken[name] = error.message
    names = sorted(items.keys() - broken.keys())
    return {
        "items": [items[name] for name in names],
        "entries": dict(zip(names, map(entries.__getitem__, names), strict=True)),
        "aliases": {alias: name for name in names for alias in items[name]["aliases"]},
        "broken": broken,
    }


def require_no_issues(issues: Sequence[tuple[str, str]], source: str) -> None:
    """BadCatalog that lists all of them, each with its place."""
    if issues:
        lines = "".join(f"\n  {place}: {problem}" for place, problem in issues)
        raise BadCatalog(f"{source} has {len(issues)} issue(s):{lines}")


def copy_untouched(
    below: Mapping[str, Any], touched: Collection[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The items and the texts of the entries below that no other folder has anything of."""
    items = {item["name"]: item for item in below["items"] if item["name"] not in touched}
    texts = {name: below["entries"][name] for name in items}
    return items, {
        name: text if isinstance(text, str) else text.decode()  # bytes where the index was read from its file
        for name, text in texts.items()
    }


def find_names(roots: Sequence[Path]) -> set[str]:
    """What the folders have anything of: a crosswalk alone changes what is listed of an entry too."""
    places = ("datasets/*", "models/*.toml")
    return {
        path.name.removesuffix(".toml") for root in roots for place in places for path in root.glob(place)
    }


def lay_over(
    roots: Sequence[Path], known: Mapping[str, str | bytes]
) -> tuple[dict[str, EntryData | str | bytes], dict[str, str], dict[str, str]]:
    """The data of every entry, the file that it comes from, and the message of each that cannot be read.

    `known`: the entries of the first folder as JSON, where they are compiled already; they stay so.
    """
    raw: dict[str, EntryData | str | bytes] = dict(known)
    origin = {name: str(path) for name, path in list_entry_files(roots[0])} if known else {}
    broken: dict[str, str] = {}
    for root in roots[1:] if known else roots:
        for name, path in list_entry_files(root):
            try:
                raw[name] = extend_entry(name, read_entry(path), raw, path)
                origin[name] = str(path)
            except BadCatalog as error:
                broken[name] = error.message
    return raw, origin, broken


def has_body_sites(roots: Sequence[Path]) -> bool:
    """Whether a folder brings body sites of its own, by which the words of every entry are judged."""
    return any((root / "vocabulary" / "body-sites.tsv").exists() for root in roots)


def read_body_sites(roots: Sequence[Path]) -> Mapping[str, BodySite]:
    """The body sites, a later catalog's in place of an earlier one's; none where the file is broken or absent."""
    for root in reversed(roots):
        if (path := root / "vocabulary" / "body-sites.tsv").exists():
            with suppress(BadCatalog):  # whoever needs the sites is told of every issue
                return parse_body_sites(read_text(path), str(path))
            break
    return {}


def claim_aliases(name: str, aliases: Sequence[str], owner: dict[str, str], source: str) -> None:
    """Take the entry's aliases; BadCatalog when one is another's name, which it would silently replace."""
    taken = [alias for alias in aliases if alias in owner]
    if taken:
        whose = [owner[alias] or alias for alias in taken]
        raise BadCatalog(f"{source}: the alias {', '.join(taken)} already means {', '.join(whose)}")
    owner.update(dict.fromkeys(aliases, name))


def entry_to_data(dataset: Dataset) -> dict[str, Any]:
    """The entry as the data of a TOML file: nothing that is absent."""
    return to_plain_data(dataset)  # type: ignore[no-any-return]  # of a dataclass a dict


def to_plain_data(value: Any) -> Any:
    """A dataclass as a dict, a tuple as a list; `asdict` would copy each value of thousands of files."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple):
        return [to_plain_data(one) for one in value]
    pairs = value.items() if isinstance(value, Mapping) else vars(value).items()
    return {key: to_plain_data(one) for key, one in pairs if one is not None}


def summary_item(dataset: Dataset, roots: Sequence[Path]) -> dict[str, Any]:
    """What `dermdata list` shows, filters and sorts by."""
    fields = manifest_fields(dataset)
    # what a listing adds is not known before it is asked
    sizes = [None] if dataset.listing else [file.expected_size for file in dataset.files if file.fetch]
    return {
        "name": dataset.name,
        "title": dataset.title,
        "kind": dataset.kind,
        "images": dataset.counts.images,
        "classes": len(dataset.counts.labels) or count_label_words(dataset, roots),
        "modalities": list(dataset.modalities),
        "tasks": list(dataset.tasks),
        "access": dataset.access.kind,
        "fetch": find_fetch_way(dataset),
        "license": dataset.license.id,
        "commercial_use": dataset.license.commercial_use,
        "size_bytes": sum(filter(None, sizes)) if sizes and None not in sizes else None,
        "skin_tone": bool(SKIN_TONE_FIELDS & fields),
        "homepage": dataset.homepage,
        "version": dataset.version,
        "summary": dataset.summary,
        "collections": list(dataset.collections),
        "fields": sorted(fields),
        "aliases": list(dataset.aliases),
    }


def manifest_fields(dataset: Dataset) -> set[str]:
    """The manifest fields that a dataset's rows carry: what `list --has` asks for."""
    fields = set(dataset.fields)
    for table in dataset.table:
        fields |= set(table.columns) | set(table.constants)
        fields |= {"mask"} if table.masks else set()
    if SKIN_TONE_FIELDS & fields:
        fields.add("skin_tone")
    return fields


def count_label_words(dataset: Dataset, roots: Sequence[Path]) -> int | None:
    """How many label words the crosswalk knows of the field that the table uses, if it has one."""
    used = list_label_fields(dataset)
    words: set[str] = set()
    for root in roots:
        path = root / "datasets" / dataset.name / "labels.tsv"
        if path.exists():
            # a broken file or line only counts less here: whoever reads the labels is told of every issue
            with suppress(BadCatalog):
                rows = tsv.read_rows(read_table_text(path), tsv.LABEL_COLUMNS, [])
                words |= {row[1] for _, row in rows if not used or row[0] in used}
    return len(words) or None


def list_label_fields(dataset: Dataset) -> set[str]:
    """The crosswalk's fields that the entry's own tables take labels from."""
    first = {field for one in dataset.table if (field := label_field(one.label_field, one.columns))}
    return first.union(*(one.further_labels for one in dataset.table))


def label_field(named: str | None, columns: Mapping[str, tuple[str, ...]]) -> str | None:
    return named or "/".join(columns.get("label_raw", ())) or None
