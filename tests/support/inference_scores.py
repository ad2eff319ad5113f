"""How well the inference finds the columns of the catalog's tables, of which it knows neither the entry nor its words."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dermdata import open_session
from dermdata.api.catalog_words import CatalogWords, read_catalog_words
from dermdata.inference.columns import ColumnGuess, ColumnGuesses, Surroundings, read_column
from dermdata.inference.folders import guess_folders
from dermdata.inference.guessing import guess_columns
from dermdata.inference.one_hot import FlagGuess, choose_labels, guess_flags
from dermdata.model import Dataset
from support.hidden_tables import (
    HiddenFolders,
    HiddenTable,
    read_hidden_folders,
    read_hidden_tables,
    read_layouts,
)
from support.mirror import build

# what an entry does not say of a column, and is so
ALSO_RIGHT: Mapping[tuple[str, str, str], str] = {
    ("derm7pt", "body_site", "location"): "the place on the body, which the entry leaves in `extra`",
    ("derm7pt", "case_id", "case_id"): "the case by the publisher's other number",
    ("scin", "case_id", "case_id"): "the case, which the entry joins with others over shared images",
}


# whose tables the stand-in makes of real metadata, or as their publisher describes them
MIRRORED = (
    "ham10000", "isic-2016", "isic-2017", "isic-2018-task3", "isic-2019", "isic-2020", "bcn20000", "isic-archive", "ph2",
    "mclass", "fitzpatrick17k", "skincon", "pad-ufes-20", "derm7pt", "scin", "dermnet", "sd-198", "msld-v2", "fuseg",
)  # fmt: skip
FOLDERS = "folders"  # in place of a table's name
OUTCOMES = ("right", "asked", "missed", "wrong")
ROWS = 240  # of each table, evenly out of all


@dataclass(frozen=True, order=True)
class Verdict:
    """What became of one field in one table."""

    dataset: str
    file: str
    origin: str
    field: str
    outcome: str  # right | asked | missed | wrong
    column: str  # of the table: the right one, where it is wrong the one that was taken

    @property
    def is_stated(self) -> bool:
        """Whether the entry has the field."""
        return self.outcome != "wrong"


def score_tables(mirror: Path) -> list[Verdict]:
    """Every table's verdicts.

    Neither the dataset's own words are known nor those of entries that read a table of the same name.
    """
    resources = open_session(cache=mirror / "no-cache", progress=False)._resources
    words = read_catalog_words(resources)
    entries = {name: resources.catalog[name] for name in resources.catalog}
    verdicts: list[Verdict] = []
    for dataset, layout in read_layouts(resources.catalog, entries, mirror):
        hidden = find_kin(entries, dataset.name)
        for table in read_hidden_tables(dataset, layout):
            verdicts += judge(table, *infer(table, words, hidden))
        if folders := read_hidden_folders(dataset, layout):
            verdicts += judge_folders(folders, words.surround((), hidden))
    return verdicts


def find_kin(entries: Mapping[str, Dataset], name: str) -> Collection[str]:
    """The dataset and those that read a table of the same name: parts and copies of it."""
    files = {spec.file for spec in entries[name].table if spec.file}
    return [
        other
        for other, entry in entries.items()
        if other == name or files & {spec.file for spec in entry.table}
    ]


def infer(
    table: HiddenTable, words: CatalogWords, hidden: Collection[str]
) -> tuple[ColumnGuesses, FlagGuess | None]:
    """What `dermdata add` would find in the table."""
    around = words.surround(table.images, hidden)
    columns = [read_column(name, cells, is_named=table.has_header) for name, cells in table.cells.items()]
    flags = guess_flags(columns, table.cells, around.is_diagnosis)
    return choose_labels(guess_columns(columns, around), flags, columns)


def judge(table: HiddenTable, found: ColumnGuesses, flags: FlagGuess | None) -> Iterator[Verdict]:
    """Right, asked or missed for each field that the entry has; wrong for each that was taken otherwise."""
    for field, columns in find_stated(table).items():
        outcome = judge_field(table, field, columns, found)
        yield Verdict(table.dataset, table.file, table.origin, field, outcome, columns[0])
    classes = flags.columns if flags and flags.is_sure and flags.field == "one_hot" else ()
    if table.one_hot:
        outcome = "right" if set(classes) == set(table.one_hot) else "missed"
        yield Verdict(table.dataset, table.file, table.origin, "label_raw", outcome, ", ".join(table.one_hot))
    wrong = [
        (field, one.column) for field, one in found.sure.items() if not is_right(table, field, one.column)
    ]
    if classes and set(classes) != set(table.one_hot):
        wrong.append(("label_raw", ", ".join(classes)))
    for field, column in wrong:
        yield Verdict(table.dataset, table.file, table.origin, field, "wrong", column)


def find_stated(table: HiddenTable) -> dict[str, Sequence[str]]:
    """The fields that the entry has, but for columns in which nothing stands: there is nothing to find."""
    said = {name for name, cells in table.cells.items() if read_column(name, cells).filled}
    return {field: columns for field, columns in table.truth.items() if said.intersection(columns)}


def judge_field(table: HiddenTable, field: str, columns: Sequence[str], found: ColumnGuesses) -> str:
    """What became of a field that the entry has."""
    if field == "image" and table.views:
        return "right" if [one.column for one in found.views] == list(table.views) else "missed"
    taken = found.sure.get(field)
    if taken and is_right(table, field, taken.column):
        return "right"
    asked = any(one.field == field and one.column in columns for one in found.questions)
    return "asked" if asked else "missed"


def is_right(table: HiddenTable, field: str, column: str) -> bool:
    return column in table.truth.get(field, ()) or (table.dataset, field, column) in ALSO_RIGHT


def judge_folders(folders: HiddenFolders, around: Surroundings) -> Iterator[Verdict]:
    """Right, asked or missed for what the entry reads from the paths; wrong for what was taken otherwise."""
    guesses = {one.field: one for one in guess_folders(sorted(folders.paths), around).guesses}
    for field in sorted({*guesses, *folders.truth}):
        guess, truth = guesses.get(field), folders.truth.get(field, {})
        outcome = judge_level(guess, truth)
        if truth or outcome == "wrong":
            column = guess.column if guess else "folders"
            yield Verdict(folders.dataset, FOLDERS, folders.origin, f"{field} in folders", outcome, column)


def judge_level(guess: ColumnGuess | None, truth: Mapping[str, str]) -> str:
    """Whether the level has just the words that the entry reads from the paths."""
    if guess is None:
        return "missed"
    above = int(guess.column.rpartition("_")[2])
    is_right = bool(truth) and all(path.split("/")[-1 - above] == word for path, word in truth.items())
    if guess.is_sure:
        return "right" if is_right else "wrong"
    return "asked" if is_right else "missed"


def score_inference(folder: Path, rows: int | None = ROWS) -> list[Verdict]:
    """Build the stand-in's tables and score the inference on them and on those made from the entries.

    Parameters
    ----------
    folder
        An empty one.
    rows
        Of each table; None for all of them.

    """
    build(folder, *MIRRORED, rows=rows, pictures="names")
    return score_tables(folder)


def summarize(verdicts: Sequence[Verdict]) -> dict[str, object]:
    """The numbers of the docs: nothing of the tables but their names and those of columns."""
    fields = Counter((one.field, one.origin, one.outcome) for one in verdicts)
    datasets = Counter((one.dataset, one.origin, one.outcome) for one in verdicts)
    tables = {(one.dataset, one.file) for one in verdicts}
    return {
        "fields": [
            {"field": field, "origin": origin} | {one: fields[field, origin, one] for one in OUTCOMES}
            for field, origin in sorted({(one.field, one.origin) for one in verdicts})
        ],
        "datasets": [
            {"dataset": dataset, "origin": origin, "tables": sum(one == dataset for one, _ in tables)}
            | {one: datasets[dataset, origin, one] for one in OUTCOMES}
            for dataset, origin in sorted({(one.dataset, one.origin) for one in verdicts})
        ],
        "open": [asdict(one) for one in sorted(verdicts) if one.outcome != "right"],
    }
