"""A check of an existing split finds patients, lesions, cases and images that lie in more than one part.

A split published as a list of image ids is first matched to the manifests that know the images.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable, UsageError
from dermdata.manifest.columns import Ints, connected_components
from dermdata.manifest.schema import EXTENSION_PATTERN, OFFICIAL_SPLIT, OWN_SPLIT
from dermdata.model import Finding, Level
from dermdata.split.groups import FactorizedColumn, factorize, row_keys

if TYPE_CHECKING:
    from dermdata.duplicates import NearDuplicates, Pairs

ID_COLUMNS = (
    "image_id", "isic_id", "image", "image_name", "img_id", "img", "img_name", "filename", "file_name", "file", "path",
    "image_path", "img_path", "file_path", "filepath", "imageid", "image_file", "name", "id", "uid",
)  # fmt: skip
PART_COLUMNS = (
    "split", "set", "subset", "partition", "part", "dataset_split", "data_split", "phase", "fold", "folds", "kfold",
    "fold_id", "usage", "group", "dataset",
)  # fmt: skip
GROUP_ID_COLUMNS = ("patient_id", "lesion_id", "case_id")  # what the list itself may say
KEY_IDENTITY, NEAR_IDENTITY = "key", "near"
LEAK_CODES: Mapping[str, str] = {
    "patient_id": "leak-patient",
    "lesion_id": "leak-lesion",
    "case_id": "leak-patient",  # a case is one person's
    "isic_id": "leak-image",
    "sha256": "leak-image",
    KEY_IDENTITY: "leak-image",  # in a list of files an image may stand twice
}
IDENTITY_PLURALS: Mapping[str, str] = {
    "patient_id": "patients", "lesion_id": "lesions", "case_id": "cases", "isic_id": "ISIC ids",
    "sha256": "files of equal bytes", KEY_IDENTITY: "images", NEAR_IDENTITY: "near duplicates",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublishedSplit:
    """A list of images and their parts."""

    ids: pa.Array  # text as it stands
    parts: pa.Array  # text; null: in no part
    group_ids: Mapping[str, pa.Array]  # patient_id, lesion_id, case_id where the list has them
    id_column: str
    part_column: str | None  # None: each file is a part


def parse_published_split(table: pa.Table, name: str, part: str | None = None) -> PublishedSplit:
    """Find the columns that hold ids and parts, by their names.

    Parameters
    ----------
    table : pyarrow.Table
        The list as it was read.
    name : str
        What it is called in an error.
    part : str, optional
        What the whole list is, where it has no column of parts.

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
    part_column = _first_known([word for word in PART_COLUMNS if known.get(word) != id_column], known)
    if part_column is None and part is None:
        raise _lacks_column(f"parts ({', '.join(PART_COLUMNS[:4])}, …)", table, name)
    return PublishedSplit(
        ids=trim_text(table[id_column]),
        parts=trim_text(table[part_column])
        if part_column
        else pa.array([part] * table.num_rows, pa.string()),
        group_ids={name: trim_text(table[known[name]]) for name in GROUP_ID_COLUMNS if name in known},
        id_column=id_column,
        part_column=part_column,
    )


def _first_known(words: Iterable[str], known: Mapping[str, str]) -> str | None:
    """The column of the first word that is one."""
    return next((known[word] for word in words if word in known), None)


def _lacks_column(wanted: str, table: pa.Table, name: str) -> BadTable:
    return BadTable(
        f"{name}: no column of {wanted} among {', '.join(table.column_names)}",
        hint="rename the column; or give one file for each part, such as train.csv test.csv",
    )


def normalize_column_name(name: str) -> str:
    """A column's name in small letters and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def trim_text(column: pa.ChunkedArray) -> pa.Array:
    """Trimmed text, null for none."""
    words = pc.utf8_trim_whitespace(column.combine_chunks().cast(pa.string()))
    return pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)


# ------------------------------------------------------------------ whose images


def recognize_datasets(ids: pa.Array, datasets: Mapping[str, pa.Table]) -> dict[str, Ints]:
    """Match a list of ids to the datasets that know them.

    The dataset that knows most ids comes first (of equals the smaller one), then what knows most of the rest. An id is
    an `image_id` or `isic_id`, or a file's path whose name is one.

    Parameters
    ----------
    ids : pyarrow.Array
        Text.
    datasets : mapping of str to pyarrow.Table
        Manifests by name; `image_id` and `isic_id` suffice.

    Returns
    -------
    dict of str to array of int64, shape (len(ids),)
        For each dataset that is needed the row of each id, -1 for none.

    """
    sizes = {name: table.num_rows for name, table in datasets.items()}
    left = {name: match_ids(ids, table) for name, table in datasets.items()}
    found: dict[str, Ints] = {}
    is_open = np.ones(len(ids), bool)
    while left:
        matched = {name: int(np.count_nonzero(is_open & (rows >= 0))) for name, rows in left.items()}
        best = min(left, key=lambda name: (-matched[name], sizes[name], name))
        if not matched[best]:
            break
        found[best] = np.where(is_open, left.pop(best), -1)
        is_open &= found[best] < 0
    return found


def match_ids(ids: pa.Array, table: pa.Table) -> Ints:
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


def join_manifests(
    found: Mapping[str, Ints], manifests: Mapping[str, pa.Table], split: PublishedSplit
) -> pa.Table:
    """The list's rows as rows of manifests, with the list's `split`; those of no dataset have their id for a key.

    A row without an id is left out.
    """
    missing = np.ones(len(split.ids), bool)
    tables = []
    for name, rows in found.items():
        mine = np.flatnonzero(rows >= 0)
        missing[mine] = False
        table = manifests[name].take(pa.array(rows[mine]))
        dropped = [one for one in (*OWN_SPLIT, *OFFICIAL_SPLIT) if one in table.column_names]
        table = table.drop_columns(dropped).append_column("split", split.parts.take(pa.array(mine)))
        tables.append(decode_dictionaries(table))
    rest = pa.array(np.flatnonzero(missing & split.ids.is_valid().to_numpy(zero_copy_only=False)))
    own = {"key": split.ids, "split": split.parts, **split.group_ids}
    tables.append(pa.table({name: words.take(rest) for name, words in own.items()}))
    return pa.concat_tables(tables, promote_options="permissive")


def decode_dictionaries(table: pa.Table) -> pa.Table:
    """Without dictionaries, which tables would have to share."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.string()))
    return table


def unknown_ids(found: Mapping[str, Ints], ids: pa.Array) -> Sequence[str]:
    """The ids that no dataset knows."""
    known = np.zeros(len(ids), bool)
    for rows in found.values():
        known |= rows >= 0
    return [word for word in ids.filter(pa.array(~known)).to_pylist() if word is not None]


def check_split(table: pa.Table, near: "NearDuplicates | None" = None) -> tuple[Finding, ...]:
    """Find the ids and images in more than one part of `split` and `fold`, or of the publisher's own if both are empty.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest; rows in no part cannot leak.
    near : NearDuplicates, optional
        Near duplicates among the rows: an error where their images correlate, a warning where only hashes are near.

    Returns
    -------
    tuple of Finding

    Raises
    ------
    UsageError
        When the table has no split of either kind.

    """
    columns = _split_columns(table)
    names = row_keys(table)
    describe = LeakReporter(names, factorize(table, "dataset"))
    known = {identity: factorize(table, identity) for identity in LEAK_CODES if identity != KEY_IDENTITY}
    known[KEY_IDENTITY] = FactorizedColumn(np.where(known["isic_id"].is_known, -1, names.codes), names.values)
    by_id = (
        describe.leaking_id(column, parts, rows, identity, ids.value(code))
        for column, parts in columns.items()
        for identity, ids in known.items()
        for code, rows in _find_leaks(ids, parts)
    )
    groups: dict[Level, Pairs] = {"error": near.verified, "warning": near.by_hash} if near else {}
    by_image = (
        describe.near_duplicates(column, parts, rows, level)
        for column, parts in columns.items()
        for level, pairs in groups.items()
        for rows in _image_leaks(pairs, known["sha256"], parts)
    )
    return (*by_id, *by_image)


def count_leaks(findings: tuple[Finding, ...]) -> dict[str, int]:
    """Count what leaks, by kind in words, as {"lesions": 1956}.

    Parameters
    ----------
    findings : tuple of Finding
        Of `check_split`.

    Returns
    -------
    dict of str to int
        What leaks in several columns counts once.

    """
    found: dict[str, set[str]] = {}
    for one in findings:
        identity = next(name for name in IDENTITY_PLURALS if name in one.evidence)
        value = one.evidence[identity]
        found.setdefault(IDENTITY_PLURALS[identity], set()).add(str(value))
    return {name: len(values) for name, values in found.items()}


def _split_columns(table: pa.Table) -> dict[str, FactorizedColumn]:
    for names in (OWN_SPLIT, OFFICIAL_SPLIT):
        found = {name: column for name in names if (column := factorize(table, name)).is_known.any()}
        if found:
            return found
    raise UsageError("there is no split to check", hint="make one first: dermdata split TARGET -o OUT")


def _find_leaks(ids: FactorizedColumn, parts: FactorizedColumn) -> list[tuple[int, Ints]]:
    """Each id in more than one part, in the order of the ids, and its rows."""
    rows = np.flatnonzero(ids.is_known & parts.is_known)
    low, high = np.full(len(ids.values), len(parts.values)), np.full(len(ids.values), -1)
    np.minimum.at(low, ids.codes[rows], parts.codes[rows])
    np.maximum.at(high, ids.codes[rows], parts.codes[rows])
    rows = rows[(low < high)[ids.codes[rows]]]
    rows = rows[np.argsort(ids.codes[rows], kind="stable")]
    codes, starts = np.unique(ids.codes[rows], return_index=True)
    pieces = np.split(rows, starts[1:]) if len(codes) else []
    return list(zip(codes.tolist(), pieces, strict=True))


def _image_leaks(pairs: "Pairs", digests: FactorizedColumn, parts: FactorizedColumn) -> Iterator[Ints]:
    """The rows of each chain of pictures that show the same, in more than one part; equal bytes are one picture."""
    if not len(pairs):
        return
    linked = zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)
    root = connected_components(len(parts.codes), (digests.same_value_rows,), linked)
    wanted = np.isin(root, root[pairs.i]) & parts.is_known
    chain = FactorizedColumn(
        np.where(wanted, np.unique(root, return_inverse=True)[1].reshape(-1), -1), pa.nulls(len(root))
    )
    yield from (rows for _, rows in _find_leaks(chain, parts))


@dataclass(frozen=True)
class LeakReporter:
    """Writes findings about rows in more than one part of a column."""

    names: FactorizedColumn  # the rows' keys
    dataset: FactorizedColumn

    def leaking_id(
        self, column: str, parts: FactorizedColumn, rows: Ints, identity: str, value: str | None
    ) -> Finding:
        """An id that these rows have."""
        what = f"{identity} {value} is"
        return self._finding("error", LEAK_CODES[identity], column, parts, rows, what, {identity: value})

    def near_duplicates(self, column: str, parts: FactorizedColumn, rows: Ints, level: Level) -> Finding:
        """Rows that show one picture."""
        keys = self._keys(rows)
        others = f" and {len(keys) - 2:,} more" if len(keys) > 2 else ""
        how = "show one picture" if level == "error" else "may show one picture (by hash alone)"
        what = f"{keys[0]}, {keys[1]}{others} {how},"
        return self._finding(level, "leak-image", column, parts, rows, what, {NEAR_IDENTITY: keys[0]})

    def _finding(
        self,
        level: Level,
        code: str,
        column: str,
        parts: FactorizedColumn,
        rows: Ints,
        what: str,
        evidence: Mapping[str, str | None],
    ) -> Finding:
        images = _count_values(parts, rows)
        shown = ", ".join(f"{part} ({count})" for part, count in images.items())
        return Finding(
            level=level,
            code=code,
            dataset=", ".join(_count_values(self.dataset, rows)) or None,
            keys=self._keys(rows),
            message=f"{what} in more than one part of {column}: {shown}",
            evidence={"column": column, **evidence, "images": images},
        )

    def _keys(self, rows: Ints) -> tuple[str, ...]:
        return tuple(str(self.names.value(key)) for key in np.sort(self.names.codes[rows]))


def _count_values(column: FactorizedColumn, rows: Ints) -> dict[str, int]:
    """How many of the rows have each value, in the values' order."""
    codes, counts = np.unique(column.codes[rows], return_counts=True)
    return {str(column.value(c)): int(n) for c, n in zip(codes, counts, strict=True) if c >= 0}
