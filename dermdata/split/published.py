"""A split that somebody published as lists of images: which column says what, whose the images are, and whose ids count.

A list stands in one file with a column of parts, or in several files, each of which is a part. Its images are looked up
in manifests; where these have no patient, lesion or case id, the list's own counts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable, UsageError
from dermdata.manifest.columns import Ints
from dermdata.manifest.schema import EXTENSION_PATTERN, KEYS, OFFICIAL_SPLIT, OWN_SPLIT
from dermdata.readers.typed_cells import NOTHING_WORDS, WHOLE_FLOAT, clean_ids

ID_COLUMNS = (
    "image_id", "isic_id", "key", "image", "image_name", "img_id", "img", "img_name", "filename", "file_name", "file",
    "path", "image_path", "img_path", "file_path", "filepath", "imageid", "image_file", "name", "id", "uid",
)  # fmt: skip
PART_COLUMNS = (
    "split", "set", "subset", "partition", "part", "dataset_split", "data_split", "phase", "fold", "folds", "kfold",
    "fold_id", "usage", "group", "dataset",
)  # fmt: skip
OFTEN_NO_PART = ("group", "dataset")  # columns of parts only where every word is the name of one
OWN_IDS: Mapping[str, tuple[str, ...]] = {  # what the list itself may say, by its usual names
    "patient_id": (
        "patient_id", "patientid", "patient", "patient_no", "patient_number", "subject_id", "subjectid", "subject",
        "participant_id", "pid",
    ),
    "lesion_id": ("lesion_id", "lesionid", "lesion", "lesion_no", "lesion_number"),
    "case_id": ("case_id", "caseid", "case_num", "case_no", "case_number"),
    "isic_id": ("isic_id",),
    "sha256": ("sha256",),
}  # fmt: skip
PART_NAME = re.compile(
    r"train|test|valid|fold|hold_?out|(?:^|[^a-z])(?:val|dev|tr|te|trn|tst|cv)(?:[^a-z]|$)"
)
NO_ID = (*NOTHING_WORDS, "unknown", "-", "-1")
LONG_NAMES = {"training": "train", "testing": "test", "validation": "val", "valid": "val"}
SHOWN_COLUMNS, SHOWN_LETTERS = 30, 60  # in an error; what is no table may have a hundred thousand
SHORT_NAMES = {"tr": "train", "trn": "train", "te": "test", "tst": "test", "valid": "val"}
LISTED_SPLIT = "split_in_files"  # the parts that a column names where each file is a part, too
UNPLACED = "_in_list"  # behind a column's name: the list's ids where they are several of the dataset's


@dataclass(frozen=True, kw_only=True)
class PublishedSplit:
    """A list of images and their parts."""

    ids: pa.Array  # text as it stands; null: the row names no image
    parts: pa.Array  # text; null: in no part
    listed_parts: pa.Array | None = None  # what a column says where each file is a part
    own_ids: Mapping[str, pa.Array] = field(default_factory=dict)  # of OWN_IDS, where the list has them
    datasets: pa.Array | None = None  # which dataset an image is of, in the list's words
    id_column: str
    part_column: str | None  # None: each file is a part
    own_columns: Mapping[str, str] = field(default_factory=dict)  # where `own_ids` stand
    passed_over: str | None = None  # the column of parts that there is beside the files
    other_spellings: Mapping[str, str] = field(default_factory=dict)  # of parts: TRAIN -> train

    @property
    def has_groups(self) -> bool:
        """Whether the list itself says what any image belongs to."""
        return any(name in KEYS and ids.null_count < len(ids) for name, ids in self.own_ids.items())


@dataclass(frozen=True)
class IdConflict:
    """Ids of a list that contradict those of the datasets."""

    column: str
    merged: tuple[str, ...]  # ids of the list that are several in the datasets
    parted: tuple[str, ...]  # ids of the datasets that are several in the list

    @property
    def summary(self) -> str:
        """What is contradicted, counted, with an example of each kind."""
        kinds = (
            (self.merged, "of the list", "several in the dataset"),
            (self.parted, "of the dataset", "several in the list"),
        )
        said = [
            f"{len(ids):,} {'ids' if len(ids) > 1 else 'id'} {whose} {'are' if len(ids) > 1 else 'is'} {what} "
            f"(such as {ids[0]})"
            for ids, whose, what in kinds
            if ids
        ]
        return f"{self.column}: {'; '.join(said)}: the dataset's count"


def parse_published_split(table: pa.Table, name: str, part: str | None = None) -> PublishedSplit:
    """Find the columns that hold ids and parts, by their names.

    Parameters
    ----------
    table : pyarrow.Table
        The list as it was read.
    name : str
        What it is called in an error.
    part : str, optional
        What the whole list is, where it is one of several: its columns of parts do not count then.

    Returns
    -------
    PublishedSplit

    Raises
    ------
    BadTable
        Where there is no column of ids, or none of parts and no `part`.

    """
    known = {normalize_column_name(column): column for column in reversed(table.column_names)}
    id_column = _first_known(ID_COLUMNS, known)
    if id_column is None:
        raise _lacks_column(f"image ids ({', '.join(ID_COLUMNS[:5])}, …)", table, name)
    part_column = find_part_column(table, {word: one for word, one in known.items() if one != id_column})
    if part_column is None and part is None:
        raise _lacks_column(f"parts ({', '.join(PART_COLUMNS[:4])}, …)", table, name)
    own = _own_columns(known)
    parts, other_spellings = read_parts(table[part_column]) if part_column else (nulls(table.num_rows), {})
    listed = PublishedSplit(
        ids=read_ids(table[id_column]),
        parts=parts,
        other_spellings=other_spellings,
        own_ids={column: read_ids(table[found]) for column, found in own.items()},
        datasets=_dataset_words(table, known, id_column, part_column),
        id_column=id_column,
        part_column=part_column,
        own_columns=own,
    )
    return listed if part is None else name_part(listed, part)


def name_part(listed: PublishedSplit, part: str) -> PublishedSplit:
    """The list as one of several, which is a part as a whole: what its own column of parts says is beside that."""
    several = count_words(listed.parts) > 1
    return replace(
        listed,
        parts=pa.array([part] * len(listed.ids), pa.string()),
        part_column=None,
        listed_parts=listed.parts if several else None,
        passed_over=listed.part_column if several else None,
        other_spellings={},
    )


def find_part_column(table: pa.Table, known: Mapping[str, str]) -> str | None:
    """The column of parts: the first whose words are names of parts, else the first of several words, else any."""
    words = {word: part_words(table[known[word]]) for word in PART_COLUMNS if word in known}
    named = {word for word, found in words.items() if found and all(map(is_part_name, found))}
    candidates = [word for word in words if word in named or word not in OFTEN_NO_PART]
    best = min(candidates, key=lambda word: (len(words[word]) < 2, word not in named), default=None)
    return None if best is None else known[best]


def part_words(column: pa.ChunkedArray) -> list[str]:
    """The different words of a column."""
    return list(trim_text(column).drop_null().unique().to_pylist())


def is_part_name(text: str) -> bool:
    """Whether it sounds like a part of a split: train, val, test, fold 3, in any case and with anything around it."""
    return PART_NAME.search(text.lower()) is not None


def are_part_names(names: Iterable[str]) -> bool:
    """Whether each of the names is that of another part: train and test, fold 0 and fold 1, but not test-a and test-b."""
    words = [name_part_word(name) for name in names]
    return None not in words and len(set(words)) == len(words)


def name_part_word(text: str) -> str | None:
    """What says that this is a part's name; of folds the whole name, with its number."""
    found = PART_NAME.search(text.lower())
    if found is None:
        return None
    word = re.sub("[^a-z]", "", found.group())
    return text if word in ("fold", "cv") else SHORT_NAMES.get(word, word)


def count_words(column: pa.Array) -> int:
    """How many different words there are."""
    return len(column.drop_null().unique())


def _dataset_words(
    table: pa.Table, known: Mapping[str, str], id_column: str, part_column: str | None
) -> pa.Array | None:
    """Of which dataset each image is, where a column or the key says so."""
    if normalize_column_name(id_column) == "key":
        return pc.list_element(pc.split_pattern(read_ids(table[id_column]), "/", max_splits=1), 0)
    column = known.get("dataset")
    return None if column in (None, part_column) else trim_text(table[column])


def _own_columns(known: Mapping[str, str]) -> dict[str, str]:
    """Where the list has ids of its own."""
    found = {column: _first_known(words, known) for column, words in OWN_IDS.items()}
    return {column: place for column, place in found.items() if place is not None}


def _first_known(words: Iterable[str], known: Mapping[str, str]) -> str | None:
    """The column of the first word that is one."""
    return next((known[word] for word in words if word in known), None)


def _lacks_column(wanted: str, table: pa.Table, name: str) -> BadTable:
    names = [column[:SHOWN_LETTERS] for column in table.column_names[:SHOWN_COLUMNS]]
    more = table.num_columns - len(names)
    return BadTable(
        f"{name}: no column of {wanted} among {', '.join(names)}{f' and {more:,} more' if more else ''}",
        hint="rename the column, or write a first line of names where there is none; "
        "or give one file for each part, such as train.csv test.csv",
    )


def normalize_column_name(name: str) -> str:
    """A column's name in small letters and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def trim_text(column: pa.ChunkedArray) -> pa.Array:
    """Trimmed text, null for none; BadTable for a column of a list that holds anything else than words or numbers."""
    try:
        words = pc.utf8_trim_whitespace(column.combine_chunks().cast(pa.string()))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise BadTable(f"a list's ids and parts are words, not {column.type}", hint=f"{error}") from error
    return pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)


def read_ids(column: pa.ChunkedArray) -> pa.Array:
    """Ids as they are compared, null for words that mean none; 12 for the 12.0 that a gap makes of it."""
    words = trim_text(column)
    known = pc.invert(pc.is_in(pc.utf8_lower(words), pa.array(NO_ID, pa.string())))
    return clean_ids(pc.if_else(known, words, pa.scalar(None, pa.string())))


def read_parts(column: pa.ChunkedArray) -> tuple[pa.Array, dict[str, str]]:
    """Parts, null for words that mean none, each as it is first spelled; and what else is spelled otherwise.

    TRAIN, training and train are one part, as 0.0 and 0 are: else every lesion of it would be in two.
    """
    words = trim_text(column)
    first: dict[str, str] = {}
    others: dict[str, str] = {}
    for word in words.drop_null().unique().to_pylist():
        plain = re.sub(WHOLE_FLOAT, r"\1", word.lower())
        others[word] = first.setdefault(LONG_NAMES.get(plain, plain), word)
    spelled = pa.array(list(others), pa.string())
    meant = pa.array([None if one.lower() in NOTHING_WORDS else one for one in others.values()], pa.string())
    parts = meant.take(pc.index_in(words, spelled, skip_nulls=True))
    return parts, {
        word: one for word, one in others.items() if word != one and one.lower() not in NOTHING_WORDS
    }


def drop_blank_rows(table: pa.Table) -> pa.Table:
    """The rows that have a word in any column: a spreadsheet leaves empty ones at the end."""
    filled = np.zeros(table.num_rows, bool)
    for column in table.columns:
        filled |= trim_text(column).is_valid().to_numpy(zero_copy_only=False)
    return table if filled.all() else table.filter(pa.array(filled))


# ------------------------------------------------------------------ several files


def name_parts(files: Sequence[str]) -> list[str]:
    """What each file is called as a part: its name, its folder's or both, whatever tells all of them apart.

    UsageError for a file that is named twice: it cannot be two parts.
    """
    paths = [Path(file).absolute() for file in files]
    places = [path.resolve() for path in paths]
    twice = [file for number, file in enumerate(files) if places[number] in places[:number]]
    if twice:
        raise UsageError(f"{twice[0]} is given twice: it cannot be two parts", hint="name each file once")
    forms = (path_forms(path) for path in paths)
    return next(list(form) for form in zip(*forms, strict=True) if len(set(form)) == len(form))


def path_forms(path: Path) -> tuple[str, ...]:
    """What a file may be called, the shortest first."""
    stem, name, folder, above = path.stem, path.name, path.parent.name, path.parent.parent.name
    return stem, folder, name, f"{folder}/{stem}", f"{folder}/{name}", f"{above}/{folder}/{name}", str(path)


def join_lists(lists: Sequence[PublishedSplit]) -> PublishedSplit:
    """Several files as one list; what one of them does not say is not known of its rows.

    A column of parts counts beside the files where these are not named as parts are: it may be the one that is meant.
    """
    joined = pa.concat_tables(map(_list_to_table, lists), promote_options="default").combine_chunks()
    columns = {name: joined[name].combine_chunks() for name in joined.column_names}
    named = are_part_names(part_words(joined["parts"]))
    own_columns = {name: column for one in reversed(lists) for name, column in one.own_columns.items()}
    return PublishedSplit(
        ids=columns["ids"],
        parts=columns["parts"],
        listed_parts=None if named else columns.get("listed_parts"),
        own_ids={name: columns[name] for name in own_columns},
        datasets=columns.get("datasets"),
        id_column=lists[0].id_column,
        part_column=lists[0].part_column,
        own_columns=own_columns,
        passed_over=next((one.passed_over for one in lists if one.passed_over), None),
        other_spellings={word: one for split in lists for word, one in split.other_spellings.items()},
    )


def _list_to_table(one: PublishedSplit) -> pa.Table:
    """What a list says, a column each."""
    said = {"ids": one.ids, "parts": one.parts, "listed_parts": one.listed_parts, "datasets": one.datasets}
    return pa.table({name: words for name, words in {**said, **one.own_ids}.items() if words is not None})


def nulls(rows: int) -> pa.Array:
    return pa.nulls(rows, pa.string())


# ------------------------------------------------------------------ whose images


def recognize_datasets(
    ids: pa.Array, datasets: Mapping[str, pa.Table], named: pa.Array | None = None
) -> dict[str, Ints]:
    """Match a list of ids to the datasets that know them.

    An image of which the list says the dataset is looked up there first. For the others, the dataset that knows most
    ids comes first (of equals the smaller one), then what knows most of the rest. An id is an `image_id` or `isic_id`,
    a `key`, or a file's path whose name is one.

    Parameters
    ----------
    ids : pyarrow.Array
        Text.
    datasets : mapping of str to pyarrow.Table
        Manifests by name; `image_id` and `isic_id` suffice.
    named : pyarrow.Array, optional
        The dataset of each image, in the list's words: what is no name of `datasets` says nothing.

    Returns
    -------
    dict of str to array of int64, shape (len(ids),)
        For each dataset that is needed the row of each id, -1 for none.

    """
    sizes = {name: table.num_rows for name, table in datasets.items()}
    left = {name: match_ids(ids, table, name) for name, table in datasets.items()}
    found = {} if named is None else match_named(left, named)
    is_open = np.logical_and.reduce([np.ones(len(ids), bool), *(rows < 0 for rows in found.values())])
    while left:
        matched = {name: int(np.count_nonzero(is_open & (rows >= 0))) for name, rows in left.items()}
        best = min(left, key=lambda name: (-matched[name], sizes[name], name))
        if not matched[best]:
            break
        rows = np.where(is_open, left.pop(best), -1)
        found[best] = np.maximum(found.get(best, rows), rows)
        is_open &= found[best] < 0
    return found


def match_named(known: Mapping[str, Ints], named: pa.Array) -> dict[str, Ints]:
    """The rows, -1 for none, of the images whose dataset is named, where that dataset knows any of them."""
    words = pc.utf8_lower(named)
    found = {
        name: np.where(
            pc.fill_null(pc.equal(words, name.lower()), fill_value=False).to_numpy(zero_copy_only=False),
            rows,
            -1,
        )
        for name, rows in known.items()
    }
    return {name: rows for name, rows in found.items() if (rows >= 0).any()}


def match_ids(ids: pa.Array, table: pa.Table, name: str) -> Ints:
    """The row of each id in the manifest of this name; -1 for none."""
    whole = pc.replace_substring_regex(
        pc.replace_substring(ids, "\\", "/"), f"(?:_downsampled)?(?:{EXTENSION_PATTERN})?$", ""
    )
    inside = pc.replace_substring_regex(whole, f"^{re.escape(name)}/", "")
    leaf = pc.replace_substring_regex(whole, "^.*/", "")
    found = np.full(len(ids), -1, np.int64)
    for words in (whole, inside, leaf):
        for column in ("image_id", "isic_id"):
            if column in table.column_names:
                known = clean_ids(table[column].combine_chunks().cast(pa.string()))
                row = pc.fill_null(pc.index_in(words, known, skip_nulls=True), -1).to_numpy().astype(np.int64)
                found = np.where(found < 0, row, found)
    return found


def unknown_ids(found: Mapping[str, Ints], ids: pa.Array) -> Sequence[str]:
    """The ids that no dataset knows."""
    known = np.zeros(len(ids), bool)
    for rows in found.values():
        known |= rows >= 0
    return [word for word in ids.filter(pa.array(~known)).to_pylist() if word is not None]


# ------------------------------------------------------------------ the list's rows as rows of manifests


def join_manifests(
    found: Mapping[str, Ints], manifests: Mapping[str, pa.Table], split: PublishedSplit
) -> tuple[pa.Table, tuple[IdConflict, ...]]:
    """The list's rows as rows of manifests, with the list's `split`; and where their ids contradict each other.

    A row of no dataset has its id for a key, and one without an id its number.
    """
    missing = np.ones(len(split.ids), bool)
    tables, order = [], []
    for name, rows in found.items():
        mine = np.flatnonzero(rows >= 0)
        missing[mine] = False
        table = manifests[name].take(pa.array(rows[mine]))
        dropped = [one for one in (*OWN_SPLIT, *OFFICIAL_SPLIT) if one in table.column_names]
        tables.append(decode_dictionaries(table.drop_columns(dropped)))
        order.append(mine)
    rest = np.flatnonzero(missing)
    tables.append(pa.table({"key": _row_names(split).take(pa.array(rest))}))
    places = pa.array(np.concatenate([*order, rest]))
    table = pa.concat_tables(tables, promote_options="permissive")
    table = table.append_column("split", split.parts.take(places))
    if split.listed_parts is not None:
        table = table.append_column(LISTED_SPLIT, split.listed_parts.take(places))
    conflicts = []
    for column, own in split.own_ids.items():
        table, conflict = settle_ids(table, column, own.take(places))
        conflicts += [conflict] if conflict.merged or conflict.parted else []
    return table, tuple(conflicts)


def _row_names(split: PublishedSplit) -> pa.Array:
    """What a row of no dataset is called: by its dataset in the list's words, if there are any."""
    names = split.ids
    if split.datasets is not None and normalize_column_name(split.id_column) != "key":
        names = pc.coalesce(pc.binary_join_element_wise(split.datasets, split.ids, "/"), split.ids)
    numbers = pa.array([f"row {number}, without image" for number in range(1, len(names) + 1)], pa.string())
    return pc.coalesce(names, numbers)


def settle_ids(table: pa.Table, column: str, own: pa.Array) -> tuple[pa.Table, IdConflict]:
    """The column with the list's id where the dataset has none, in the dataset's words as far as rows with both tell.

    An id of the list that is several of the dataset's has no such word: it stands in a column of its own as well, so
    that rows of it that only the list knows are judged against all others of it.
    """
    there = column in table.column_names
    known = table[column].combine_chunks().cast(pa.string()) if there else nulls(len(own))
    both = pa.table({"own": own, "known": known}).filter(pc.and_(known.is_valid(), own.is_valid()))
    pairs = both.group_by(["own", "known"], use_threads=False).aggregate([])
    merged, parted = repeated_words(pairs["own"]), repeated_words(pairs["known"])
    clear = pairs.filter(pc.invert(pc.is_in(pairs["own"], merged))).combine_chunks()
    place = pc.index_in(own, clear["own"].combine_chunks(), skip_nulls=True)
    spoken = clear["known"].combine_chunks().take(place)
    settled = pc.coalesce(known, spoken, own)
    table = (
        table.set_column(table.schema.get_field_index(column), column, settled)
        if there
        else table.append_column(column, settled)
    )
    several = own.filter(pc.and_(known.is_null(), pc.is_in(own, merged))).unique()
    if column in KEYS and len(several):
        unplaced = pc.if_else(pc.is_in(own, several), own, pa.scalar(None, pa.string()))
        table = table.append_column(column + UNPLACED, unplaced)
    conflict = IdConflict(column, tuple(merged.to_pylist()), tuple(parted.to_pylist()))
    return table, conflict


def repeated_words(column: pa.ChunkedArray) -> pa.Array:
    """The words that stand there more than once, in order."""
    counts = pc.value_counts(column)
    words = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return words.take(pc.sort_indices(words))


def decode_dictionaries(table: pa.Table) -> pa.Table:
    """Without dictionaries, which tables would have to share."""
    for place, one in enumerate(table.schema):
        if pa.types.is_dictionary(one.type):
            table = table.set_column(place, one.name, table[one.name].cast(pa.string()))
    return table
