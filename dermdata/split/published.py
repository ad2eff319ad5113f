"""A split that somebody published: image ids and parts and little else, joined to the manifests that know the images."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable
from dermdata.manifest.schema import EXTENSION_PATTERN
from dermdata.split.columns import Ints

IDS = (
    "image_id", "isic_id", "image", "image_name", "img_id", "img", "img_name", "filename", "file_name", "file", "path",
    "image_path", "img_path", "file_path", "filepath", "imageid", "image_file", "name", "id", "uid",
)  # fmt: skip
PARTS = (
    "split", "set", "subset", "partition", "part", "dataset_split", "data_split", "phase", "fold", "folds", "kfold",
    "fold_id", "usage", "group", "dataset",
)  # fmt: skip
OWN = ("patient_id", "lesion_id", "case_id")  # what the list itself may say


@dataclass(frozen=True, kw_only=True)
class Published:
    """A list of images and their parts."""

    ids: pa.Array  # text as it stands
    parts: pa.Array  # text; null: in no part
    own: Mapping[str, pa.Array]  # patient_id, lesion_id, case_id where the list has them
    id_column: str
    part_column: str | None  # None: each file is a part


def published(table: pa.Table, name: str, part: str | None = None) -> Published:
    """The columns that hold ids and parts, found by their names; BadTable where there is none.

    `part` is what the whole list is, where it has no column of parts.
    """
    known = {plain(column): column for column in reversed(table.column_names)}
    id_column = next((known[word] for word in IDS if word in known), None)
    part_column = next((known[word] for word in PARTS if word in known and known[word] != id_column), None)
    if id_column is None or (part_column is None and part is None):
        wanted = (
            f"image ids ({', '.join(IDS[:5])}, …)"
            if id_column is None
            else f"parts ({', '.join(PARTS[:4])}, …)"
        )
        raise BadTable(
            f"{name}: no column of {wanted} among {', '.join(table.column_names)}",
            hint="rename the column; or give one file for each part, such as train.csv test.csv",
        )
    words = {column: filled(table[column]) for column in table.column_names}
    return Published(
        ids=words[id_column],
        parts=words[part_column] if part_column else pa.array([part] * table.num_rows, pa.string()),
        own={column: words[known[column]] for column in OWN if column in known},
        id_column=id_column,
        part_column=part_column,
    )


def plain(name: str) -> str:
    """A column's name in small letters and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def filled(column: pa.ChunkedArray) -> pa.Array:
    """Trimmed text, null for none."""
    words = pc.utf8_trim_whitespace(column.combine_chunks().cast(pa.string()))
    return pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)


# ------------------------------------------------------------------ whose images


def recognized(ids: pa.Array, datasets: Mapping[str, pa.Table]) -> dict[str, Ints]:
    """Of each dataset that is needed, for each id the row that it means; -1 for none.

    The dataset that knows most ids comes first (of equals the smaller one), then what knows most of the rest. An id is
    an `image_id` or `isic_id`, or a file's path whose name is one. `datasets` need only these two columns.
    """
    sizes = {name: table.num_rows for name, table in datasets.items()}
    left = {name: rows_of(ids, table) for name, table in datasets.items()}
    found: dict[str, Ints] = {}
    open_ = np.ones(len(ids), bool)
    while left:
        matched = {name: int(np.count_nonzero(open_ & (rows >= 0))) for name, rows in left.items()}
        best = min(left, key=lambda name: (-matched[name], sizes[name], name))
        if not matched[best]:
            break
        found[best] = np.where(open_, left.pop(best), -1)
        open_ &= found[best] < 0
    return found


def rows_of(ids: pa.Array, table: pa.Table) -> Ints:
    """The row of each id; -1 for none."""
    whole = pc.replace_substring_regex(
        pc.replace_substring(ids, "\\", "/"), f"(?:_downsampled)?(?:{EXTENSION_PATTERN})?$", ""
    )
    leaf = pc.replace_substring_regex(whole, "^.*/", "")
    found = np.full(len(ids), -1, np.int64)
    for words in (whole, leaf):
        for name in ("image_id", "isic_id"):
            if name in table.column_names:
                known = table[name].combine_chunks().cast(pa.string())
                row = pc.fill_null(pc.index_in(words, known, skip_nulls=True), -1).to_numpy().astype(np.int64)
                found = np.where(found < 0, row, found)
    return found


def joined(found: Mapping[str, Ints], manifests: Mapping[str, pa.Table], split: Published) -> pa.Table:
    """The list's rows as rows of manifests, with the list's `split`; those of no dataset have their id for a key.

    A row without an id is left out.
    """
    missing = np.ones(len(split.ids), bool)
    tables = []
    for name, rows in found.items():
        mine = np.flatnonzero(rows >= 0)
        missing[mine] = False
        table = manifests[name].take(pa.array(rows[mine]))
        dropped = [
            one for one in ("split", "fold", "split_official", "fold_official") if one in table.column_names
        ]
        table = table.drop_columns(dropped).append_column("split", split.parts.take(pa.array(mine)))
        tables.append(plain_words(table))
    rest = pa.array(np.flatnonzero(missing & split.ids.is_valid().to_numpy(zero_copy_only=False)))
    own = {"key": split.ids, "split": split.parts, **split.own}
    tables.append(pa.table({name: words.take(rest) for name, words in own.items()}))
    return pa.concat_tables(tables, promote_options="permissive")


def plain_words(table: pa.Table) -> pa.Table:
    """Without dictionaries, which tables would have to share."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.string()))
    return table


def strangers(found: Mapping[str, Ints], ids: pa.Array) -> Sequence[str]:
    """The ids that no dataset knows."""
    known = np.zeros(len(ids), bool)
    for rows in found.values():
        known |= rows >= 0
    return [word for word in ids.filter(pa.array(~known)).to_pylist() if word is not None]
