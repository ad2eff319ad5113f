"""One's own data as a catalog entry: looked at, inferred, shown, written; then fetched like any other dataset."""

import datetime
import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata import __version__, disk
from dermdata.api.catalog_words import read_catalog_words
from dermdata.api.own_data import AddRequest, OwnData, find_unique_parts, list_sources, survey_sources
from dermdata.api.own_records import add_archive_search, describe_files, is_archive_search, write_file_table
from dermdata.api.own_tables import SHOWN, FoundTable, name_keys
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.closed_words import CLOSED_WORDS
from dermdata.config import default_catalog_folder
from dermdata.errors import UnknownName, UsageError
from dermdata.markup import count_nouns
from dermdata.model import Placement

if TYPE_CHECKING:
    from dermdata.api.fetch_request import FetchReport
    from dermdata.crosswalks.suggest import Proposal
    from dermdata.fetching.local import LocalFile
    from dermdata.inference.columns import Column, ColumnGuess, ColumnGuesses, Surroundings
    from dermdata.inference.entry import FolderForm, OwnEntry, PackedFile, TableForm
    from dermdata.inference.masks import MaskGuess
    from dermdata.inference.one_hot import FlagGuess
    from dermdata.model import Label

GUESS_KEYS = ("field", "column", "score", "taken", "evidence")
WORD_KEYS = (
    "raw_label",
    "count",
    "how",
    "concept",
    "applied",
    "candidates",
    "certainty",
    "matched",
    "reason",
)
PICTURES = "pictures"  # what the entry calls the folders of pictures
Ask = Callable[[str, str, str], bool]  # field, column, evidence -> whether it is so


@dataclass(frozen=True, kw_only=True)
class AddedEntry:
    """The entry that was written, and why it says what it says."""

    folder: Path  # that holds dataset.toml and labels.tsv
    guesses: Records  # GUESS_KEYS
    words: Records  # of the labels: WORD_KEYS


def add_dataset(resources: Resources, request: AddRequest, ask: Ask | None = None) -> AddedEntry:
    """Look at the sources, infer what they are, and write the entry; nothing of theirs is changed or copied.

    Parameters
    ----------
    resources
        The session's.
    request
        What to add.
    ask
        Asked where a column is not sure; without a person the answer is no, and it is left out.

    Raises
    ------
    UsageError
        For a name that is taken, sources without a picture, a table that must be chosen.
    BadTable
        For a table that cannot be read.

    """
    target = choose_folder(resources, request)
    if request.modality and request.modality not in CLOSED_WORDS["modality"]:
        raise UnknownName("modality", request.modality, CLOSED_WORDS["modality"])
    if is_archive_search(request):
        rows = add_archive_search(resources, request, target)
        return AddedEntry(folder=target, guesses=Records(rows, GUESS_KEYS), words=Records([], WORD_KEYS))
    with tempfile.TemporaryDirectory(prefix="dermdata-add-") as workplace:
        data = survey_sources(resources, request, Path(workplace))
    entry, guesses, proposals, labels = infer_entry(resources, request, data, ask or leave_out)
    if not request.dry_run:
        write_files(target, entry, labels)
    words = [{key: getattr(one, key) for key in WORD_KEYS} for one in proposals]
    return AddedEntry(folder=target, guesses=guesses, words=Records(words, WORD_KEYS))


def leave_out(field: str, column: str, evidence: str) -> bool:
    """Nobody can be asked: what is not sure is left out, and told."""
    del field, column, evidence
    return False


def parse_columns(named: Mapping[str, str | None], others: Sequence[str]) -> dict[str, str]:
    """Field -> column, of the options; UsageError for what is no FIELD=COLUMN, UnknownName for another field."""
    from dermdata.inference.columns import JUDGES

    columns = {field: column for field, column in named.items() if column is not None}
    for text in others:
        field, sign, column = text.partition("=")
        if not sign:
            raise UsageError(
                f"'{text}' names no column", hint="write --column FIELD=COLUMN, for example age=Alter"
            )
        if field not in JUDGES:
            raise UnknownName("field", field, JUDGES)
        columns[field] = column
    return columns


def choose_placement(*, copy: bool, link: bool) -> Placement:
    """Where the pictures are from now on, of the options; UsageError for both of them."""
    if copy and link:
        raise UsageError("--copy and --link contradict each other", hint="leave one of them out")
    return "copy" if copy else "link" if link else "in-place"


def choose_folder(resources: Resources, request: AddRequest) -> Path:
    """Where the entry goes; UsageError for a name that is none, or taken."""
    from dermdata.vocabulary.concepts import SLUG

    if not SLUG.fullmatch(request.name):
        slug = "-".join(request.name.lower().replace("_", " ").split())
        raise UsageError(
            f"'{request.name}' is no name of a dataset",
            hint=f"lower case, digits and hyphens: {slug}"
            if SLUG.fullmatch(slug)
            else "lower case, digits and hyphens",
        )
    folder = choose_catalog(resources, request) / "datasets" / request.name
    if request.name in resources.catalog and not (folder / "dataset.toml").exists():
        raise UsageError(f"the catalog has a dataset {request.name} already", hint="choose another name")
    if (folder / "dataset.toml").exists() and not request.force:
        raise UsageError(f"{folder / 'dataset.toml'} is there already", hint="--force writes it anew")
    return folder


def choose_catalog(resources: Resources, request: AddRequest) -> Path:
    """The catalog that the entry goes to: the one that is named, the last that is laid over, or the person's own."""
    catalogs = resources.settings.catalogs
    return request.catalog or (catalogs[-1] if catalogs else default_catalog_folder())


# ------------------------------------------------------------------ inferring


def infer_entry(
    resources: Resources, request: AddRequest, data: OwnData, ask: Ask
) -> "tuple[OwnEntry, Records, list[Proposal], list[Label]]":
    """What the entry states, the guesses behind it, and the words of its labels."""
    from dermdata.inference.entry import OwnEntry

    views: Sequence[ColumnGuess] = ()
    flags: FlagGuess | None = None
    form: TableForm | FolderForm
    if data.table:
        form = describe_table(data, data.table)
        guesses, views, flags, rows = infer_columns(resources, request, data.images, data.table, ask)
    else:
        guesses, form, rows = infer_folders(resources, request, data.images, ask)
    entry = OwnEntry(
        name=request.name,
        pictures=PICTURES if any(is_loose(one, data) for one in data.images) else None,
        rows=form,
        columns=guesses,
        views=[one.column for one in views],
        one_hot=flags.columns if flags else (),
        masks=data.sure_masks,
        marks=tuple(one.file.leaf for one in data.marks),
        modality=request.modality,
        record=describe_files(data, list_named(data, guesses, views)) if data.record else None,
        origins=[os.path.abspath(one) for one in list_sources(request)],  # noqa: PTH100  # links stay as they are given
        placement=request.placement,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        tool=f"dermdata {__version__}",
    )
    rows += [*map(mask_row, data.masks), *map(marks_row, data.marks)]
    proposals, labels = propose_words(resources, request, data, guesses, flags)
    return entry, Records(rows, GUESS_KEYS), proposals, labels


def is_loose(image: "LocalFile", data: OwnData) -> bool:
    """Whether a picture lies in a folder or a zip, and in no file of rows."""
    return not (data.table and image.within in data.table.packed)


def list_packed_files(table: FoundTable, data: OwnData) -> "list[PackedFile]":
    """The files of rows, and whether they hold images."""
    from dermdata.api.own_tables import packed_kind
    from dermdata.inference.entry import PackedFile

    holders = {one.within for one in data.images}
    return [
        PackedFile(name=one.leaf, unpack=packed_kind(one), role="images" if one in holders else "metadata")
        for one in table.packed
    ]


def list_named(
    data: OwnData, guesses: "Sequence[ColumnGuess]", views: "Sequence[ColumnGuess]"
) -> "Sequence[LocalFile]":
    """The pictures that the rows name; all of them without a table, or where it names none."""
    if data.table is None:
        return data.images
    columns = {one.column for one in (*guesses, *views) if one.field == "image"}
    words = set(chain.from_iterable(map(data.table.cells, columns)))
    keys = set(chain.from_iterable(map(name_keys, words)))
    return [one for one in data.images if not name_keys(one.name).isdisjoint(keys)] or data.images


def describe_table(data: OwnData, table: FoundTable) -> "TableForm":
    """How the table is read, as the entry states it; it may stand in an archive of a record."""
    from dermdata.inference.entry import TableForm

    return TableForm(
        file=name_table(data, table),
        reader=table.reader,
        sheet=table.sheet,
        records=table.records,
        packed=list_packed_files(table, data),
        encoding=table.encoding,
        header=table.own.header,
        missing=tuple(find_missing_words(table)),
    )


def name_table(data: OwnData, table: FoundTable) -> str | None:
    """What the entry calls the table, or the archive of a record that holds it; None for the rows of several files."""
    record = data.record
    if record is None:
        return table.file.leaf
    return None if record.rows and len(record.rows.files) > 1 else record.find_file(table.file).name


def infer_columns(
    resources: Resources, request: AddRequest, images: "Sequence[LocalFile]", table: FoundTable, ask: Ask
) -> "tuple[list[ColumnGuess], Sequence[ColumnGuess], FlagGuess | None, list[dict[str, object]]]":
    """The columns that the entry names, several that name pictures, class columns, and what became of every guess."""
    from dermdata.inference.columns import read_column
    from dermdata.inference.guessing import guess_columns
    from dermdata.inference.one_hot import choose_labels

    require_columns(request, table.names, table.shown)
    tell_reading(resources, table)
    around = read_catalog_words(resources).surround(one.name for one in images)
    columns = [read_column(name, table.cells(name), is_named=not table.own.header) for name in table.names]
    said = {name for name in request.columns.values() if name}
    found, flags = choose_labels(
        guess_columns([one for one in columns if one.name not in said], around),
        find_classes(columns, table, around),
        columns,
    )
    taken = take_guesses(request, columns, found, around, ask)
    require_image(taken, images, table)
    views = () if "image" in request.columns else found.views
    rows = list_guesses(taken, views, found)
    labeled = {"label_raw"} & {*request.columns, *(one.field for one in taken)}
    return taken, views, None if labeled else flags, rows


def infer_folders(
    resources: Resources, request: AddRequest, images: "Sequence[LocalFile]", ask: Ask
) -> "tuple[list[ColumnGuess], FolderForm, list[dict[str, object]]]":
    """The levels of the folders that the entry names, where there is no table, and what became of every guess."""
    from dermdata.inference.columns import ColumnGuesses
    from dermdata.inference.entry import FolderForm
    from dermdata.inference.folders import guess_folders, write_pattern

    around = read_catalog_words(resources).surround(())
    folders = guess_folders([one.name for one in images], around)
    require_columns(
        request, [one.name for one in folders.levels], "no table was found; the path of a picture"
    )
    found = ColumnGuesses(
        sure={one.field: one for one in folders.guesses if one.is_sure},
        questions=[one for one in folders.guesses if not one.is_sure],
    )
    taken = take_guesses(request, folders.levels, found, around, ask)
    pattern = write_pattern(folders.levels, {one.column: one.field for one in taken})
    by_class = ("label_raw", "level_1") in {(one.field, one.column) for one in taken}
    form = FolderForm(pattern=pattern, image_id=find_unique_parts(images, by_class=by_class))
    return taken, form, list_guesses(taken, (), found)


def tell_reading(resources: Resources, table: FoundTable) -> None:
    """Say how the table was read, which lines of it are none, and which words are taken for "not known"."""
    for note in table.own.notes:
        resources.say(note)
    if rejected := len(table.own.rejected):
        first = table.own.rejected[0]
        resources.say(
            f"warning: {count_nouns(rejected, 'line', 'are')} no rows of {table.shown}: "
            f"line {first['line']}: {first['reason']}"
        )
    if words := [f"'{word}'" for word in find_missing_words(table) if word]:
        resources.say(
            f"taken for not known, in any column: {', '.join(words)}; `missing` in the entry says so"
        )


def find_classes(
    columns: "Sequence[Column]", table: FoundTable, around: "Surroundings"
) -> "FlagGuess | None":
    """The class columns, where it is sure that they are such."""
    from dermdata.inference.one_hot import guess_flags

    cells = {one.name: table.cells(one.name) for one in columns}
    flags = guess_flags(columns, cells, around.is_diagnosis)
    return flags if flags and flags.is_sure and flags.field == "one_hot" else None


def require_columns(request: AddRequest, names: Sequence[str], where: str) -> None:
    """UnknownName for a column that is not there."""
    for column in filter(None, request.columns.values()):
        if column not in names:
            raise UnknownName("column", column, names, hint=f"{where} has {', '.join(names[:SHOWN])}")


def take_guesses(
    request: AddRequest,
    columns: "Sequence[Column]",
    found: "ColumnGuesses",
    around: "Surroundings",
    ask: Ask,
) -> "list[ColumnGuess]":
    """What the person says, then what is sure, then what the person says yes to."""
    taken = say_columns(request, columns, around)
    taken |= {field: guess for field, guess in found.sure.items() if field not in request.columns}
    for guess in found.questions:
        columns_taken = {one.column for one in taken.values()}
        if guess.field in request.columns or guess.field in taken or guess.column in columns_taken:
            continue
        if ask(guess.field, guess.column, guess.evidence):
            taken[guess.field] = guess
    return list(taken.values())


def say_columns(
    request: AddRequest, columns: "Sequence[Column]", around: "Surroundings"
) -> "dict[str, ColumnGuess]":
    """The columns that the person names, with what their words mean."""
    from dermdata.inference.columns import JUDGES
    from dermdata.inference.entry import say_column

    by_name = {one.name: one for one in columns}
    return {
        field: say_column(field, name, JUDGES[field](by_name[name], around).values)
        for field, name in request.columns.items()
        if name
    }


def require_image(taken: "Collection[ColumnGuess]", images: "Sequence[LocalFile]", table: FoundTable) -> None:
    """UsageError where no column names the pictures: there would be no rows."""
    if any(one.field == "image" for one in taken):
        return
    raise UsageError(
        f"no column of {table.shown} names the pictures",
        hint=f"it has {', '.join(table.names[:SHOWN])}; the pictures are called like {images[0].leaf}: "
        "say which column with --image COLUMN",
    )


def list_guesses(
    taken: "Sequence[ColumnGuess]", views: "Sequence[ColumnGuess]", found: "ColumnGuesses"
) -> list[dict[str, object]]:
    """Every guess as a row, those that were taken first."""
    used = [*taken, *(one for one in views if one not in taken)]
    left = [one for one in found.questions if one not in used]
    return [guess_row(one, taken=one in used) for one in [*used, *left]]


def mask_row(guess: "MaskGuess") -> dict[str, object]:
    return {
        "field": "mask",
        "column": guess.template,
        "score": guess.score,
        "taken": guess.is_sure,
        "evidence": guess.evidence,
    }


def marks_row(table: FoundTable) -> dict[str, object]:
    images = count_nouns(table.own.rows.num_rows, "image")
    evidence = f"a COCO document that marks {images}"
    return {"field": "boxes", "column": table.file.leaf, "score": 1.0, "taken": True, "evidence": evidence}


def guess_row(guess: "ColumnGuess", *, taken: bool) -> dict[str, object]:
    return {
        "field": guess.field,
        "column": guess.column,
        "score": guess.score,
        "taken": taken,
        "evidence": guess.evidence,
    }


def find_missing_words(table: FoundTable) -> list[str]:
    """The table's words for "not known", as they stand there."""
    from dermdata.inference.columns import says_nothing

    words = {word for name in table.names for word in table.own.rows[name].unique().to_pylist() if word}
    return ["", *sorted(word for word in words if says_nothing(word))]


def propose_words(
    resources: Resources,
    request: AddRequest,
    data: OwnData,
    guesses: "Sequence[ColumnGuess]",
    flags: "FlagGuess | None",
) -> "tuple[list[Proposal], list[Label]]":
    """A concept for each word of the labels, where it is sure or the person has said so."""
    from dermdata.api import label_tables

    column, words = count_label_words(data, guesses, flags)
    if not words and request.accept:
        raise UsageError(
            "no column of diagnoses was found whose words --accept could decide",
            hint="name it with --label COLUMN",
        )
    return (
        label_tables.propose_words(resources, words, column, request.accept, request.prompt)
        if words
        else ([], [])
    )


def count_label_words(
    data: OwnData, guesses: "Sequence[ColumnGuess]", flags: "FlagGuess | None"
) -> tuple[str, dict[str, int]]:
    """The crosswalk's field and how often each word stands there: a column's, class columns' or folders'."""
    from dermdata.inference.columns import read_column

    column = next((one.column for one in guesses if one.field == "label_raw"), None)
    if data.table is None:
        return "label_raw", count_folders(data.images, column)
    if flags:
        columns = {name: read_column(name, data.table.cells(name)) for name in flags.columns}
        return "@one-hot", {name: one.filled for name, one in columns.items()}
    if column is None:
        return "", {}
    return column, count_cells(data.table, column, guesses)


def count_folders(images: "Sequence[LocalFile]", level: str | None) -> dict[str, int]:
    """How many pictures lie below each folder of a level."""
    from dermdata.inference.folders import read_levels

    levels = {one.name: one.words for one in read_levels([one.name for one in images])}
    return dict(levels[level]) if level else {}


def count_cells(table: FoundTable, column: str, guesses: "Sequence[ColumnGuess]") -> dict[str, int]:
    """How often each word stands in a column of labels, or is weighed in it."""
    from dermdata.inference.columns import count_weighed, read_column

    words = dict(read_column(column, table.cells(column)).words)
    is_weighed = ("differential", column) in {(one.field, one.column) for one in guesses}
    return count_weighed(words) if is_weighed else words


# ------------------------------------------------------------------ writing


def write_files(folder: Path, entry: "OwnEntry", labels: "Sequence[Label]") -> None:
    """dataset.toml, and labels.tsv where there are words."""
    from dermdata.crosswalks import labels_to_text
    from dermdata.inference.entry import write_entry

    folder.mkdir(parents=True, exist_ok=True)
    disk.write_chunks(folder / "dataset.toml", [write_entry(entry).encode()])
    if labels:
        disk.write_chunks(folder / "labels.tsv", [labels_to_text(labels).encode()])
    write_file_table(folder, entry.record)


def fetch_added(resources: Resources, request: AddRequest, report: "FetchReport") -> None:
    """Take the table of the new entry into the cache, and the pictures where they lie, unless they are to be copied.

    The sources stay as they are; what the cache has under this name from an earlier entry goes.
    """
    from dermdata.api.fetch_request import FetchRequest, fetch_datasets

    resources.read_catalogs_anew([choose_catalog(resources, request)])
    force = request.force or not request.record  # what came of a record is kept
    fetch_datasets(resources, FetchRequest.from_options([request.name], force=force), report)
