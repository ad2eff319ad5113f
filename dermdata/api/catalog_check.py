"""A catalog folder, or one entry's, looked at as the contract tests look: each problem with its file and line."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.records import Records
from dermdata.errors import (
    BadCatalog,
    DermdataError,
    NetworkError,
    PersonMustAct,
    ProblemsFound,
    UsageError,
)
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    from dermdata.api.resources import Resources
    from dermdata.catalogs import Catalog
    from dermdata.model import Access, Dataset

COLUMNS = ("entry", "level", "file", "line", "place", "problem")
ENTRY_FILE, LABELS_FILE = "dataset.toml", "labels.tsv"
AT_LINE = re.compile(r"\b(?:at )?line (\d+)[,:]? ?")
WORD_OF = re.compile(r"'(.*)' of ([^:]*): ", re.DOTALL)
BY_ROWS = "rows"  # the listing of an entry whose table has each image's own address


@dataclass(frozen=True)
class CheckedFolder:
    """The catalogs as they are with the folder on top, and which entries are looked at."""

    root: Path  # holds datasets/
    names: Sequence[str]
    catalog: "Catalog"
    shown: Path  # where the person has `root`


def check_catalog(resources: "Resources", folder: Path) -> Records:
    """Look at every entry of a catalog folder, or at one by its folder; nothing is fetched.

    Parameters
    ----------
    resources : Resources
        The catalogs below, and the cache, in which tables and label words of fetched entries are looked at too.
    folder : path
        A folder that holds `datasets`, or one that holds `dataset.toml`.

    Returns
    -------
    Records
        COLUMNS; `level` is "error" or "warning". `facts` have how many `entries`, `errors` and `warnings` there are.

    Raises
    ------
    UsageError
        For a folder that holds no entry.

    """
    with open_folder(resources, folder) as found:
        rows = [row for name in found.names for row in check_entry_files(resources, found, name)]
    levels = {f"{level}s": sum(row["level"] == level for row in rows) for level in ("error", "warning")}
    return Records(rows, COLUMNS, {"entries": len(found.names), **levels})


def require_no_errors(found: Records) -> None:
    """ProblemsFound where a check found errors."""
    if found.facts["errors"]:
        raise ProblemsFound(
            f"{count_nouns(found.facts['errors'], 'error')} in the catalog, see the rows above"
        )


@contextmanager
def open_folder(resources: "Resources", folder: Path) -> Iterator[CheckedFolder]:
    """The catalogs with the folder laid over them; an entry's folder alone is laid so from a copy of its texts."""
    place = folder.parent if folder.name == ENTRY_FILE else folder
    place = place.absolute()
    if not (place / ENTRY_FILE).is_file():
        yield lay_over(resources, place, place, None)
    elif place.parent.name == "datasets":
        yield lay_over(resources, place.parent.parent, place.parent.parent, place.name)
    else:
        with tempfile.TemporaryDirectory(prefix="dermdata-check-") as made:
            copied = Path(made) / "datasets" / place.name
            copied.mkdir(parents=True)
            for path in (*place.glob("*.toml"), *place.glob("*.tsv")):
                shutil.copy(path, copied)
            if (place / "files").is_dir():  # of `package:` sources
                shutil.copytree(place / "files", copied / "files")
            yield lay_over(resources, Path(made), place, place.name)


def lay_over(resources: "Resources", root: Path, shown: Path, name: str | None) -> CheckedFolder:
    from dermdata.catalogs import Catalog, bundled_folder, open_index
    from dermdata.catalogs.overlays import build_index, list_entry_files

    names = [one for one, _ in list_entry_files(root) if name in (None, one)]
    if not names:
        raise UsageError(
            f"no entry lies in {shown}",
            hint="give a folder that holds dataset.toml, or a catalog folder that holds datasets/",
        )
    below = [bundled_folder(), *resources.settings.catalogs]
    alone = (root / "vocabulary" / "concepts.tsv").exists()  # a whole catalog, as a checkout's
    roots = [root] if alone else [*(one for one in below if one.resolve() != root.resolve()), root]
    known = open_index(roots[:1], resources.settings.cache / "index") if len(roots) > 1 else None
    return CheckedFolder(root, names, Catalog(roots, build_index(roots, known)), shown)


def check_entry_files(resources: "Resources", found: CheckedFolder, name: str) -> list[dict[str, Any]]:
    """All problems of one entry: its form first, for without one nothing else can be said."""
    path = found.root / "datasets" / name / ENTRY_FILE
    if not path.exists():
        path = found.root / "models" / f"{name}.toml"
    labels = path.with_name(LABELS_FILE)
    if name in found.catalog.broken:
        problems = list_broken(found.catalog.broken[name], path)
    else:
        dataset = found.catalog[name]
        problems = [*judge_entry(dataset), *judge_sources(dataset, found.catalog), *judge_numbers(dataset)]
        problems += judge_words(found.catalog, dataset)
        problems += judge_cached(resources, dataset)
    if path.name == ENTRY_FILE and labels.exists():
        problems += judge_labels(labels, found.catalog)
    return [make_row(found, name, path, *one) for one in problems]


Problem = tuple[str, str, str, str]  # level, file's name, place or line, what it is


def make_row(
    found: CheckedFolder, name: str, path: Path, level: str, file: str, place: str, problem: str
) -> dict[str, Any]:
    """The row of a problem, with the line on which it stands."""
    from dermdata.catalogs.toml_lines import find_line

    at = path if file == ENTRY_FILE else path.with_name(file)
    shown = found.shown / (at.relative_to(found.root) if found.shown == found.root else at.name)
    line: int | None
    if place.isdecimal():
        line, place = int(place), ""
    else:
        line = find_line(at.read_text(encoding="utf-8", errors="replace"), place) if at.exists() else None
    problem = problem.replace(str(path), path.name)
    values = (name, level, str(shown), line, place or None, problem)
    return dict(zip(COLUMNS, values, strict=True))


def list_broken(message: str, path: Path) -> list[Problem]:
    """The issues of a file that cannot be an entry, as they were listed, each with its place."""
    head, *lines = message.split("\n  ")
    if lines:
        issues = [line.partition(": ") for line in lines]
        return [("error", path.name, place, problem) for place, _, problem in issues]
    said = head.removeprefix(f"{path}: ")
    line = AT_LINE.search(head)
    return [("error", path.name, line[1] if line else "", said)]


# ------------------------------------------------------------------ what an entry must say


def judge_entry(dataset: "Dataset") -> Iterator[Problem]:
    """Sources, facts and licenses, as far as the file alone says."""
    for level, place, problem in (*judge_facts(dataset), *judge_license(dataset), *judge_access(dataset)):
        yield level, ENTRY_FILE, place, problem


def judge_access(dataset: "Dataset") -> Iterator[tuple[str, str, str]]:
    """Whether it is said how the data can be had, and what their rows are."""
    from dermdata.catalogs.entries import has_address

    access, there = dataset.access, has_address(dataset)
    if not access.evidence:
        yield "error", "access.evidence", "is missing: say why you say so, with source and date"
    if access.paths:
        said = "are folders of one machine, whose names tell of it: leave them out, here and in the summary,"
        yield "warning", "access.paths", f"{said} where others are to have the entry"
    if dataset.kind == "model":
        return
    if not there and not is_explained(access):
        ways = "[[files]] with urls or source, a listing, or access.steps"
        yield "error", "access", f"nothing says how it can be had: {ways}"
    if there and not (dataset.table or dataset.no_rows):
        yield (
            "warning",
            "files",
            "neither [[table]] nor no_rows says what the rows are: its manifest stays empty",
        )


def is_explained(access: "Access") -> bool:
    """Whether a person is told how to get the data, or that nobody can."""
    return bool(access.steps or access.url) or access.kind == "unavailable"


def judge_sources(dataset: "Dataset", catalog: "Catalog") -> Iterator[Problem]:
    """Hosts that there are not, and ids that are none of their host's; no host is asked."""
    from dermdata.hosts import LISTING_HOSTS, ResolveContext, resolve_official

    around = ResolveContext(catalogs=catalog.roots)
    for file in dataset.files:
        try:
            resolve_official(dataset, file, around)
        except (PersonMustAct, NetworkError):
            continue  # only the host itself could say more
        except DermdataError as error:
            yield "error", ENTRY_FILE, f"files[{file.name}].source", error.message
    listing = (dataset.listing or BY_ROWS).partition(":")[0]
    if listing not in (*LISTING_HOSTS, BY_ROWS):
        known = ", ".join(LISTING_HOSTS)
        yield "error", ENTRY_FILE, "listing", f"'{listing}' is no host that lists files; it is one of {known}"


def judge_numbers(dataset: "Dataset") -> Iterator[Problem]:
    """Words that stand for ages, skin types and skin tones, and are none."""
    from dermdata.catalogs.table_checks import list_all_tables, list_target_words
    from dermdata.manifest.convert import parse_age, parse_range, parse_skin_type, parse_whole_number
    from dermdata.manifest.schema import LIMITS

    readers: dict[str, Callable[[str], object]] = {
        "age": parse_age,
        "fitzpatrick": parse_skin_type,
        "fitzpatrick_range": parse_range,
        "monk": lambda word: parse_whole_number(word, *LIMITS["monk"]),
    }
    for where, table in list_all_tables(dataset):
        for place, column, word in list_target_words(table):
            if word and column in readers and not can_read(readers[column], word):
                yield "error", ENTRY_FILE, f"{where}.{place}", f"{column} cannot be '{word}'"


def can_read(read: Callable[[str], object], word: str) -> bool:
    try:
        read(word)
    except ValueError:
        return False
    return True


def judge_facts(dataset: "Dataset") -> Iterator[tuple[str, str, str]]:
    """Whether it is said where the facts come from."""
    if not dataset.facts:
        yield (
            "error",
            "facts",
            'is missing: say of each fact where it comes from, as counts = "the paper, table 1"',
        )
        return
    for key, source in dataset.facts.items():
        if not source.strip():
            yield "error", f"facts.{key}", "says nothing: a fact has its source"
    stated = [f"counts.{key}" for key, value in vars(dataset.counts).items() if value]
    stated += ["license"] if dataset.license.id else []
    for key in stated:
        if not any(is_covered(key, fact) for fact in dataset.facts):
            yield "warning", key, "is stated, and nothing in [facts] says where it comes from"


def is_covered(key: str, fact: str) -> bool:
    """Whether a fact's source is one of this key, of what holds it, or of what it holds."""
    return fact == key or key.startswith(f"{fact}.") or fact.startswith(f"{key}.")


def judge_license(dataset: "Dataset") -> Iterator[tuple[str, str, str]]:
    from dermdata.licenses import is_known_license

    known = dataset.license
    if known.id is None:
        if not known.statement:
            yield (
                "warning",
                "license",
                "no license is stated: nothing may be passed on before its owner says so",
            )
    elif not is_known_license(known.id) and not known.id.startswith("LicenseRef-") and not known.statement:
        yield (
            "warning",
            "license.id",
            f"'{known.id}' alone does not say what it allows: quote it in license.statement",
        )


# ------------------------------------------------------------------ labels


def judge_words(catalog: "Catalog", dataset: "Dataset") -> Iterator[Problem]:
    """Words that the entry counts and that no row of a crosswalk has."""
    from dermdata.crosswalks import parse_labels

    if not dataset.counts.labels or not any("label_raw" in table.columns for table in dataset.table):
        return
    try:
        texts = [path.read_text(encoding="utf-8-sig") for path in catalog.label_files(dataset.name)]
        words = {label.raw_label for text in texts for label in parse_labels(text)}
    except (BadCatalog, UnicodeError):
        return  # told where the file is judged
    for word in dataset.counts.labels:
        if word not in words:
            yield "error", ENTRY_FILE, f"counts.labels.{word}", f"'{word}' has no row in {LABELS_FILE}"


def judge_labels(path: Path, catalog: "Catalog") -> list[Problem]:
    """What is wrong with the rows of a crosswalk, each with its line."""
    from dermdata.catalogs.overlays import read_table_text
    from dermdata.crosswalks import check_labels, parse_labels

    try:
        text = read_table_text(path)
        check_labels(parse_labels(text, str(path)), catalog.load_vocabulary(), str(path))
    except BadCatalog as error:
        head, *lines = error.message.split("\n  ")
        return [locate_label(text if lines else "", line) for line in lines or [head]]
    return []


def locate_label(text: str, issue: str) -> Problem:
    """An issue of a crosswalk with its line: as it says itself, or where its word stands."""
    if said := AT_LINE.match(issue):
        return "error", LABELS_FILE, said[1], issue[said.end() :]
    if named := WORD_OF.match(issue):
        for number, line in enumerate(text.splitlines(), 1):
            if line.split("\t")[:2] == [named[2], named[1]]:
                return "error", LABELS_FILE, str(number), issue
    return "error", LABELS_FILE, "", issue


# ------------------------------------------------------------------ what is in the cache


def judge_cached(resources: "Resources", dataset: "Dataset") -> list[Problem]:
    """Columns that the fetched tables do not have, and label words of theirs without a row."""
    from dermdata.fetching.assemble import read_tables, table_opener

    folder = resources.cache.find_folder(dataset)
    try:
        receipt = folder.receipt()
        if receipt is None or receipt.copy or dataset.kind == "model":
            return []
        contents = folder.contents(receipt)
        words: Mapping[str, int] = receipt.report.get("unmapped_labels", {})
        problems: list[Problem] = [
            ("warning", LABELS_FILE, "", f"{word} ({count_nouns(count, 'row')}) has no row: it stays open")
            for word, count in words.items()
        ]
        read_tables(dataset, table_opener(folder, contents), contents)
    except DermdataError as error:
        return [
            ("error", ENTRY_FILE, "table", f"the fetched files are not as the tables say: {error.message}")
        ]
    return problems
