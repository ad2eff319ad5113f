"""The shape "table": a CSV or TSV file, joined with others by key, labels in a column or one-hot.

What cannot be a row is rejected with its line and the reason; nothing is shifted, guessed or dropped.
"""

import itertools
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import TableRefused, nearest
from dermdata.markup import count_share
from dermdata.model import Content, JoinSpec, QuestionSpec, TableSpec
from dermdata.readers.delimited import RejectedRows, parse_delimited, quote_names, require_few_rejected
from dermdata.readers.raw_table import Opener, RawTable, derive_columns, image_column
from dermdata.readers.typed_cells import clean_ids, is_true, is_truth

ONE_HOT_COLUMN, ROW_COLUMN = "@one-hot", "@row"  # the row's number from 0, where another table counts so
JoinedReader = Callable[[JoinSpec], tuple[pa.Table, RejectedRows]]
LEVELS = range(1, 6)  # of a hierarchy in columns NAME_1, NAME_2, …
CROSSES, EMPTY = ("X", "x"), ("",)  # of a class that is set, and of one that is not


def read(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """The rows of `spec.file`, with the joined tables' columns and the one-hot label as a word."""
    del contents  # the table alone says which rows there are
    if spec.file is None:
        raise TableRefused("the catalog's table names no file")
    rows, rejected = parse_delimited(
        files(spec.file, spec.member),
        spec.file,
        delimiter=spec.delimiter,
        encoding=spec.encoding,
        header=spec.header,
    )
    return complete_rows(rows, rejected, spec, spec.file, partial(read_joined_table, spec, files))


def read_joined_table(spec: TableSpec, files: Opener, join: JoinSpec) -> tuple[pa.Table, RejectedRows]:
    """A joined table, written as the first one is; what another table joined to it does not count."""
    return parse_delimited(
        files(join.file, join.member), join.file, delimiter=spec.delimiter, encoding=spec.encoding
    )


def complete_rows(
    rows: pa.Table, rejected: RejectedRows, spec: TableSpec, file: str, read_joined: JoinedReader
) -> RawTable:
    """The rows of `file` with all that the catalog adds: joined columns, the rows that are meant, labels as words."""
    unpartnered: dict[str, int] = {}
    if any(join.on == ROW_COLUMN for join in spec.join):
        if rejected:
            raise TableRefused(f"{file}: the rows are known by number, and one is broken: {rejected[0]}")
        rows = rows.append_column(ROW_COLUMN, number_rows(rows))
    for join in spec.join:
        other, refused = read_joined(join)
        rejected = [*rejected, *refused]
        if join.marks:
            rows = mark_rows(rows, other, join)
            continue
        rows, lonely, unused = join_table(rows, other, join)
        counts = {join.file: lonely, f"{file} among the rows of {join.file}": unused}
        unpartnered |= {name: count for name, count in counts.items() if count}
    rows, refused = interpret_rows(select_rows(rows, spec), spec, file)
    return RawTable(rows, (*rejected, *refused), unpartnered)


def number_rows(rows: pa.Table, column: str | None = None) -> pa.Array:
    """Each row's number from 0; by a column, "word/number" with the number among the rows of the same word."""
    if column is None:
        return pa.array([str(number) for number in range(rows.num_rows)], pa.string())
    counts: dict[str, int] = {}
    numbers = []
    for word in rows[column].to_pylist():
        numbers.append(f"{word}/{counts.get(word, 0)}")
        counts[word] = counts.get(word, 0) + 1
    return pa.array(numbers, pa.string())


def key_column(rows: pa.Table, name: str, file: str) -> pa.Array:
    """What a table is joined by: a column, several as "split/index", or the number among those of a word, "@row/split"."""
    if name in rows.column_names or "/" not in name:
        require_present(rows, [name], file)
        return clean_ids(rows[name].combine_chunks())
    first, *others = name.split("/")
    if first == ROW_COLUMN:
        require_present(rows, others[:1], file)
        return number_rows(rows, others[0])
    require_present(rows, [first, *others], file)
    parts = [clean_ids(rows[one].combine_chunks()) for one in (first, *others)]
    return pc.binary_join_element_wise(*parts, "/")


def select_rows(rows: pa.Table, spec: TableSpec) -> pa.Table:
    """The rows whose columns have the patterns of `spec.only`: the others are of other datasets."""
    require_present(rows, list(spec.only), spec.file or "the table")
    for column, pattern in spec.only.items():
        words = "^" + ".*".join(map(re.escape, pattern.split("*"))) + "$"
        rows = rows.filter(pc.match_substring_regex(rows[column], words))
    return rows


def interpret_rows(rows: pa.Table, spec: TableSpec, file: str) -> tuple[pa.Table, RejectedRows]:
    """One-hot labels as words, derived columns, and every column there that the catalog names."""
    rejected: RejectedRows = []
    rows = add_absent_columns(rows, spec) if spec.sparse else rows
    if spec.one_hot:
        rows, rejected = decode_one_hot(rows, spec, file)
    require_present(
        rows,
        [view.column for view in spec.views]
        + [name for name in spec.parts if not name.startswith("@")]
        + mask_columns(spec)
        + [name for name in question_needs(spec) if not name.startswith("@")],
        file,
    )
    rows = derive_columns(rows, spec)
    require_present(rows, required_columns(spec), file)
    return rows, rejected


def add_absent_columns(rows: pa.Table, spec: TableSpec) -> pa.Table:
    """The rows of a table that leaves out what no row fills, with those columns: joined of their levels, else empty."""
    needed = set(spec.columns.get("image_id", ()))
    for name in required_columns(spec):
        if name not in rows.column_names and name not in needed and not name.startswith("@"):
            levels = [one for level in LEVELS if (one := f"{name}_{level}") in rows.column_names]
            cells = join_levels([rows[one].combine_chunks() for one in levels], rows.num_rows)
            rows = rows.append_column(name, cells)
    return rows


def join_levels(levels: Sequence[pa.Array], count: int) -> pa.Array:
    """A hierarchy's levels as one path, down to the last that is set."""
    if not levels:
        return pa.array([""] * count, pa.string())
    return pc.utf8_rtrim(pc.binary_join_element_wise(*levels, ":"), ":")


def required_columns(spec: TableSpec) -> list[str]:
    """Every column that the catalog names."""
    named = [name for names in spec.columns.values() for name in names]
    named += [name for columns in spec.first.values() for name in columns]
    named += [*spec.concepts, *spec.concept_from, *spec.further_labels]
    named += [name for one in spec.questions for name in question_columns(one)]
    return [*named, *spec.flags, *([spec.image_url] if spec.image_url else [])]


def question_needs(spec: TableSpec) -> list[str]:
    """The columns without which questions cannot be put to images."""
    asked = [name for one in spec.questions for name in question_columns(one)]
    return [image_column(spec), *asked] if asked else []


def question_columns(spec: QuestionSpec) -> list[str]:
    """The columns of a question and its answer; of a list the keys of its objects stand in none."""
    return [spec.list] if spec.list else [*spec.question, spec.answer]


def mask_columns(spec: TableSpec) -> list[str]:
    """The source's columns that the names of masks are made of."""
    names = itertools.chain.from_iterable(re.findall(r"\{([^{}@]+)\}", leaf) for leaf in spec.masks.values())
    return [name for name in dict.fromkeys(names) if name != "image_id"]


def require_present(rows: pa.Table, columns: Sequence[str], file: str) -> None:
    """TableRefused that names what is expected, what was found and the nearest."""
    there = rows.column_names
    lost = [name for name in columns if name not in set(there)]
    if lost:
        by_fold = {name.strip().casefold(): name for name in reversed(there)}
        near = nearest(lost[0].strip().casefold(), by_fold)
        hint = f"the column nearest to '{lost[0]}' is '{by_fold[near[0]]}'" if near else None
        raise TableRefused(
            f"{file} has no column {quote_names(lost)}; it has: {quote_names(there)}", hint=hint
        )


def join_table(rows: pa.Table, other: pa.Table, join: JoinSpec) -> tuple[pa.Table, int, int]:
    """The rows with the other table's columns; how many found no partner, and how many of the other's were none.

    A key that stands on several lines of the other table is refused.
    """
    to = join.to or join.on
    other = spread_lines(other, join) if join.each else other
    keys = key_column(other, to, join.file)
    if pc.count_distinct(keys).as_py() != len(keys):
        raise TableRefused(f"{join.file} has the same {to} on several lines")
    places = pc.index_in(key_column(rows, join.on, "the first table"), keys)
    columns = {name: rows[name] for name in rows.column_names}
    for name in other.column_names:
        if name != to:
            new = free_name(name, join.file, columns)
            columns[new] = pc.fill_null(other[name].combine_chunks().take(places), "")
    lonely = int(pc.sum(pc.is_null(places)).as_py() or 0)
    unused = 0 if join.holds_more else len(keys) - int(pc.count_distinct(places).as_py())
    return pa.table(columns), lonely, unused


def spread_lines(other: pa.Table, join: JoinSpec) -> pa.Table:
    """The joined table with one line a key: its first line, and the cells of each line by the line's word.

    A mask of the annotator A04 stands in the column "<name> A04", a second one of the same in "<name> A04 (2)".
    """
    to, each = join.to or join.on, str(join.each)
    require_present(other, [to, each], join.file)
    first: dict[str, int] = {}
    places: dict[str, dict[str, int]] = {}  # word -> key -> line
    lines = zip(clean_ids(other[to].combine_chunks()).to_pylist(), other[each].to_pylist(), strict=True)
    for line, (key, word) in enumerate(lines):
        first.setdefault(key, line)
        names = itertools.chain((word,), (f"{word} ({n})" for n in itertools.count(2)))
        places.setdefault(next(name for name in names if key not in places.get(name, {})), {})[key] = line
    spread = other.take(pa.array(first.values(), pa.int64()))
    for word in sorted(places):
        found = pa.array([places[word].get(key) for key in first], pa.int64())
        for name in other.column_names:
            if name not in (to, each):
                cells = pc.fill_null(other[name].combine_chunks().take(found), "")
                spread = spread.append_column(f"{name} {word}", cells)
    return spread


def mark_rows(rows: pa.Table, other: pa.Table, join: JoinSpec) -> pa.Table:
    """The rows with the join's words in its new columns, where the other table names the row."""
    to = join.to or join.on
    require_present(rows, [join.on], "the first table")
    require_present(other, [to], join.file)
    named = pc.is_in(clean_ids(rows[join.on].combine_chunks()), clean_ids(other[to].combine_chunks()))
    columns = {name: rows[name].combine_chunks() for name in rows.column_names}
    for name, word in join.marks.items():
        before = columns.get(name, pa.array([""] * rows.num_rows, pa.string()))
        columns[name] = pc.if_else(named, word, before)
    return pa.table(columns)


def free_name(name: str, file: str, taken: Collection[str]) -> str:
    """The column's name, with its file where another table has one like it."""
    candidates = itertools.chain(
        (name, f"{name} ({file})"), (f"{name} ({file}, {n})" for n in itertools.count(2))
    )
    return next(one for one in candidates if one not in taken)


def decode_one_hot(rows: pa.Table, spec: TableSpec, file: str) -> tuple[pa.Table, RejectedRows]:
    """A column ONE_HOT_COLUMN with the word of the one class that is set.

    Rows with several are rejected; so are those with none, unless the catalog has a word for them.
    """
    classes = spec.one_hot
    require_present(rows, classes, file)
    if ONE_HOT_COLUMN in rows.column_names:
        raise TableRefused(f"{file} has a column '{ONE_HOT_COLUMN}', which is our name for the class")
    cells = [rows[name].combine_chunks() for name in classes]
    is_set = [pc.or_(is_true(column), pc.is_in(column, pa.array(CROSSES))) for column in cells]
    total = sum_masks(is_set)
    sure = sum_masks(
        [pc.or_(is_truth(column), pc.is_in(column, pa.array(CROSSES + EMPTY))) for column in cells]
    )
    label = pa.array([spec.one_hot_none or ""] * rows.num_rows, pa.string())
    for name, mask in zip(classes, is_set, strict=True):
        label = pc.if_else(mask, spec.one_hot_word.replace("{class}", name), label)
    enough = pc.less_equal(total, 1) if spec.one_hot_none is not None else pc.equal(total, 1)
    good = pc.and_(enough, pc.equal(sure, len(classes)))
    wrong = pc.invert(good)
    require_few_rejected(int(pc.sum(wrong).as_py() or 0), file)
    counts = zip(total.filter(wrong).to_pylist(), sure.filter(wrong).to_pylist(), strict=True)
    reasons: RejectedRows = [
        {
            "file": file,
            "row": ",".join(row.values()),
            "reason": describe_misfit(number, yes_or_no, len(classes)),
        }
        for row, (number, yes_or_no) in zip(rows.filter(wrong).to_pylist(), counts, strict=True)
    ]
    return rows.append_column(ONE_HOT_COLUMN, label).filter(good).drop_columns(list(classes)), reasons


def describe_misfit(number: int, yes_or_no: int, classes: int) -> str:
    if yes_or_no < classes:
        return f"{count_share(classes - yes_or_no, classes, 'class', 'are')} neither 0 nor 1"
    return f"{count_share(number, classes, 'class', 'are')} set, not one"


def sum_masks(masks: Sequence[pa.Array]) -> pa.Array:
    total = masks[0].cast(pa.int32())
    for mask in masks[1:]:
        total = pc.add(total, mask.cast(pa.int32()))
    return total
