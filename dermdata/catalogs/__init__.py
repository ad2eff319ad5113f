"""Finds and reads catalog folders: what datasets there are and what is known of each.

`open_catalog` reads a compiled index (see `index`), so that a command that only lists pays for one
JSON file; the TOML files are parsed again when one of them changes.
"""

import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dermdata.catalogs import index
from dermdata.errors import BadCatalog, UnknownName

if TYPE_CHECKING:
    from dermdata.model import Dataset
    from dermdata.vocabulary import Vocabulary
    from dermdata.vocabulary.concepts import BodySite

Item = dict[str, Any]
Texts = Mapping[str, str | bytes]
_MADE_TEXTS: dict[
    str, tuple[list[list[Any]], Mapping[str, str]]
] = {}  # the last of each kind, and of which files


class EntryOutline(dict[str, Any]):
    """An entry's data, read as the Dataset that it describes: what is absent is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def is_object(value: object) -> bool:
    """Whether a value of JSON is an object."""
    return isinstance(value, dict)


def bundled_folder() -> Path:
    """The catalog that ships with dermdata: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent.parent
    inside = package / "catalog_data"
    return inside if inside.is_dir() else package.parent / "catalog"


class Catalog:
    """Every entry of the catalogs laid over each other; entries are built when asked for."""

    def __init__(
        self, roots: Sequence[Path], compiled: Mapping[str, Any], index_folder: Path | None = None
    ) -> None:
        self.roots = tuple(roots)
        self._stamp: list[list[Any]] = compiled.get("fingerprint", [])  # only an index folder needs it
        self._index_folder = index_folder
        self.items: list[Item] = compiled["items"]
        self.broken: dict[str, str] = compiled["broken"]
        self._entries: dict[str, str | bytes] = compiled["entries"]
        self._aliases: dict[str, str] = compiled["aliases"]
        self._parsed: dict[str, Dataset] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: str) -> bool:
        return self.find_name(name) in self._entries

    def __getitem__(self, name: str) -> "Dataset":
        """Return the entry of this name or alias.

        Raises
        ------
        BadCatalog
            The entry's file is broken.
        UnknownName
            There is no such entry; the error has near names.

        """
        from dermdata.catalogs.entries import parse_entry_text  # `list` parses no entry

        found = self._resolve_name(name)
        if found not in self._parsed:
            self._parsed[found] = parse_entry_text(self._entries[found], found)
        return self._parsed[found]

    def outline(self, name: str) -> "Dataset":
        """The entry for showing only: its attributes without the classes, which cost a start a third of its time.

        Raises as `catalog[name]` does. Without `table`, one of whose fields a dict has as a method.
        """
        data = json.loads(self._entries[self._resolve_name(name)], object_hook=EntryOutline)
        data.pop("table", None)
        return cast("Dataset", data)

    def read_value_words(self, name: str, field: str) -> dict[str, str]:
        """The words of an entry's tables for a field -> what they mean; without the entry, which takes ten times as long.

        What is no text, of an entry that would be refused, is left out.
        """
        data = json.loads(self._entries[self._resolve_name(name)])
        words: dict[str, str] = {}
        for table in filter(is_object, data.get("table") or ()):
            found = (table.get("values") or {}).get(field) or {}
            words |= {word: value for word, value in found.items() if isinstance(value, str)}
        return words

    def own_names(self) -> set[str]:
        """The entries that are not of the first catalog, which ships with dermdata, but of one that is laid over it."""
        if len(self.roots) == 1:
            return set()
        bundled, *laid_over = map(list_names, self.roots)
        return set().union(*laid_over) - bundled

    def find_name(self, name: str) -> str:
        """An entry's own name, as people write it: HAM10000, PAD_UFES_20; what is given where there is none."""
        if name in self._entries or name in self.broken:
            return name
        plain = re.sub(r"[\s_-]+", "-", name.strip().casefold())
        known = {one.casefold(): one for one in (*self.broken, *self._aliases, *self._entries)}
        found = name if name in self._aliases else known.get(plain, name)
        return self._aliases.get(found, found)

    def _resolve_name(self, name: str) -> str:
        found = self.find_name(name)
        if found in self.broken:
            raise BadCatalog(self.broken[found], hint="mend the file or leave out its --catalog folder")
        if found not in self._entries:
            raise UnknownName(
                "dataset", name, [*self._entries, *self._aliases], hint="`dermdata list` shows all names"
            )
        return found

    def cached_texts(self, name: str, build: Callable[[], Mapping[str, str]]) -> Texts:
        """Texts made of the catalog's files: from the index folder as long as no file changes, else made anew."""
        path = self._index_folder / index_file_name(self.roots, name) if self._index_folder else None
        known = index.load_index(path, self._stamp, index.TEXT_PARTS) if path else None
        if known is not None:
            return cast("Texts", known["entries"])
        made = self._make_texts(name, build)
        if path:
            index.save_index(path, {"fingerprint": self._stamp, "entries": made}, private=len(self.roots) > 1)
        return made

    def _make_texts(self, name: str, build: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
        """Texts made anew: once in a process, whichever cache asks for them."""
        stamp, texts = _MADE_TEXTS.get(name, ([], {}))
        if not self._stamp or stamp != self._stamp or not index.is_settled(stamp):
            texts = build()
            _MADE_TEXTS[name] = self._stamp, texts
        return texts

    def label_files(self, name: str) -> list[Path]:
        """The crosswalk files of an entry, the bundled one first, overlays after it; first those of `words_of`."""
        shared = json.loads(self._entries.get(name, "{}")).get("words_of")
        owners = [shared, name] if shared else [name]
        paths = (root / "datasets" / owner / "labels.tsv" for owner in owners for root in self.roots)
        return [path for path in paths if path.exists()]

    def load_vocabulary(self) -> "Vocabulary":
        """The concept tree; BadCatalog lists every issue of its file."""
        # start-up counts: `read_text` comes with all that parses entries
        from dermdata.catalogs.overlays import read_text
        from dermdata.vocabulary import parse_vocabulary

        path = self.vocabulary_file("concepts.tsv")
        return parse_vocabulary(read_text(path), str(path))

    def load_body_sites(self) -> "Mapping[str, BodySite]":
        """The body sites by id; BadCatalog lists every issue of their file."""
        from dermdata.catalogs.overlays import read_text
        from dermdata.vocabulary import parse_body_sites

        path = self.vocabulary_file("body-sites.tsv")
        return parse_body_sites(read_text(path), str(path))

    def vocabulary_file(self, leaf: str) -> Path:
        """A file of the vocabulary; a later catalog's own one wins."""
        for root in reversed(self.roots):
            if (path := root / "vocabulary" / leaf).exists():
                return path
        raise BadCatalog(f"no vocabulary/{leaf} in {', '.join(map(str, self.roots))}")


def open_catalog(overlays: Iterable[Path] = (), index_folder: Path | None = None) -> Catalog:
    """Open the bundled catalog with overlays on top.

    Parameters
    ----------
    overlays : iterable of Path
        Catalog folders; a later one is laid over those before it.
    index_folder : Path, optional
        Where the compiled index is read from and kept; the files are parsed each time without it.

    Returns
    -------
    Catalog
        Its entries by name; broken ones are in `broken`.

    Raises
    ------
    BadCatalog
        An overlay is no folder.

    """
    roots = tuple(root.absolute() for root in (bundled_folder(), *overlays))
    for root in roots:
        if not root.is_dir():
            raise BadCatalog(
                f"no catalog folder at {root}", hint="--catalog wants a folder that holds datasets/"
            )
    return Catalog(roots, open_index(roots, index_folder), index_folder)


def open_index(roots: Sequence[Path], index_folder: Path | None) -> dict[str, Any]:
    """The compiled index of these folders: as it was kept, else made anew.

    What lies below the overlays has an index of its own: when an overlay changes, nothing else is read again.
    """
    stamp = index.catalog_fingerprint(roots)
    path = index_folder / index_file_name(roots) if index_folder else None
    compiled = index.load_index(path, stamp) if path else None
    if compiled is None:
        from dermdata.catalogs import overlays  # only when a file has changed

        if len(roots) > 1:
            made = overlays.build_index(roots, open_index(roots[:1], index_folder))
        else:
            made = overlays.build_bundled_index(roots[0], stamp)
        compiled = {"fingerprint": stamp, **made}
        if path:
            index.save_index(path, compiled, private=len(roots) > 1)
    return compiled


def list_names(root: Path) -> set[str]:
    """What a catalog folder has anything of, by name."""
    found: set[str] = set()
    for folder in ("datasets", "models"):
        with suppress(FileNotFoundError, NotADirectoryError):
            found |= {name.removesuffix(".toml") for name in os.listdir(f"{root}/{folder}")}  # noqa: PTH208
    return found


def index_file_name(roots: Sequence[Path], kind: str = "catalog") -> str:
    """One index for each combination of catalogs, named by where they lie."""
    return f"{kind}-{zlib.crc32(chr(0).join(map(str, roots)).encode()):08x}.json"
