"""A source's rows before anything is understood, all columns text: what every reader gives.

Images become rows, names are cut into parts by patterns, cases that share an image are joined. Columns made
here begin with "@": they are ours, not the source's.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import TableRefused
from dermdata.limits import parse_json
from dermdata.model import QuestionSpec, TableSpec, ViewSpec

Opener = Callable[[str, str | None], bytes]  # (catalog file name, path inside it) -> its bytes
ANY_FOLDERS = "**/"
IMAGE_COLUMN, VIEW_COLUMN, GROUP_COLUMN = "@image", "@view", "@group"
PATH_COLUMN = "@path"  # the official path of a row's picture
FILE_COLUMN, KEY_COLUMN = "@file", "@key"  # the catalog file that a row is from; the key of a record
QUESTIONS_COLUMN, BOXES_COLUMN = (
    "@questions",
    "@boxes",
)  # JSON: pairs of question and answer; x, y, width, height, label


@dataclass(frozen=True)
class RawTable:
    """A source's rows before anything is understood: all columns text, "" where the source has nothing."""

    rows: pa.Table
    rejected: tuple[Mapping[str, object], ...] = ()  # {file, line, row, reason}
    unpartnered: Mapping[str, int] = field(default_factory=dict)  # joined file -> rows without partner


def to_cell_text(value: Any) -> str:
    """A value as a cell of text: nothing for none, lists and objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


@cache
def compile_pattern(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """An expression in which each {name} is part of one path component, and the names in order.

    A part is as long as it can be: "{patient}_{number}" cuts MKP_17_01 into MKP_17 and 01. "**/" at the start stands
    for any folders above, or none.
    """
    above = r"(?:.*/)?" if pattern.startswith(ANY_FOLDERS) else ""
    parts = re.split(r"\{(\w+)\}", pattern.removeprefix(ANY_FOLDERS))
    expression = above + "".join(
        f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    return re.compile(expression), tuple(parts[1::2])


def derive_columns(rows: pa.Table, spec: TableSpec) -> pa.Table:
    """The rows with every derived column that the catalog asks for."""
    if spec.views:
        rows = expand_image_columns(rows, spec)
    for column, pattern in spec.parts.items():
        rows = split_column(rows, column, pattern)
    return collect_questions(rows, spec) if spec.questions else rows


def split_column(rows: pa.Table, column: str, pattern: str) -> pa.Table:
    """Columns cut from another one's words: "{patient}_{number}" on M28_04; "" where a word does not fit.

    They stand in the place of a reader's own column of that name.
    """
    expression, names = compile_pattern(pattern)
    words = rows[column].combine_chunks().dictionary_encode()
    found = [expression.fullmatch(word) for word in words.dictionary.to_pylist()]
    for name in names:
        values = pa.array([match[name] if match else "" for match in found], pa.string())
        own = [one for one in rows.column_names if one == f"@{name}"]
        rows = rows.drop_columns(own).append_column(f"@{name}", values.take(words.indices))
    return rows


# ------------------------------------------------------------------ questions and answers


def collect_questions(rows: pa.Table, spec: TableSpec) -> pa.Table:
    """The rows with their questions and answers in QUESTIONS_COLUMN, and one row for each image.

    What further rows of an image say otherwise of it is kept in columns "… (2)".
    """
    first, again = group_images(rows[image_column(spec)].to_pylist())
    pairs = [
        list(chain.from_iterable(find_pairs(row, one) for one in spec.questions)) for row in rows.to_pylist()
    ]
    for place, others in again.items():
        pairs[place] = list(chain(pairs[place], *(pairs[other] for other in others)))
    used = set(chain.from_iterable((one.answer, *one.question) for one in spec.questions))
    about = rows.drop_columns(list(used.intersection(rows.column_names)))
    table = add_differences(rows, find_differences(about, again))
    cells = [to_cell_text(one or None) for one in pairs]
    return table.append_column(QUESTIONS_COLUMN, pa.array(cells, pa.string())).take(
        pa.array(first, pa.int64())
    )


def group_images(images: Sequence[str]) -> tuple[list[int], dict[int, list[int]]]:
    """The rows of the first of each image, and of each of them the further ones; a row without one is its own."""
    first: dict[str, int] = {}
    again: dict[int, list[int]] = {}
    for place, image in enumerate(images):
        if image and first.setdefault(image, place) != place:
            again.setdefault(first[image], []).append(place)
    further = set(chain.from_iterable(again.values()))
    return [place for place in range(len(images)) if place not in further], again


def image_column(spec: TableSpec) -> str:
    """The column that names a row's image."""
    names = spec.columns.get("image") or spec.columns.get("image_id") or ()
    if len(names) != 1:
        raise TableRefused("questions belong to images, which one column must name")
    return names[0]


def find_pairs(row: Mapping[str, str], spec: QuestionSpec) -> list[tuple[str, str]]:
    """The questions of a row with their answers: one pair, or one for each object of a list."""
    if spec.list is None:
        answers: list[Mapping[str, str]] = [row]
    else:
        answers = [{**row, **texts} for texts in parse_objects(row.get(spec.list, ""))]
    pairs = [
        ("\n".join(filter(None, (one.get(name, "") for name in spec.question))), one.get(spec.answer, ""))
        for one in answers
    ]
    return [pair for pair in pairs if any(pair)]


def parse_objects(text: str) -> list[dict[str, str]]:
    """The objects of a cell that is a list in JSON, their values as text; none for another cell."""
    try:
        values = parse_json(text) if text else []
    except ValueError:
        return []
    objects = [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    return [{name: to_cell_text(value) for name, value in one.items()} for one in objects]


def add_differences(table: pa.Table, further: Mapping[str, Mapping[int, str]]) -> pa.Table:
    """The table with columns of a few cells each, by their rows."""
    for name, cells in further.items():
        column = [cells.get(place, "") for place in range(table.num_rows)]
        table = table.append_column(name, pa.array(column, pa.string()))
    return table


# ------------------------------------------------------------------ several images a row


def expand_image_columns(rows: pa.Table, spec: TableSpec) -> pa.Table:
    """A row for each filled image column; an image that several rows name keeps the first row.

    What the other rows say of it differently is kept in columns "… (2)". `@group` joins the rows (cases)
    that share an image, directly or by others: they must never be parted by a split.
    """
    views = [select_image_rows(rows, view) for view in spec.views]
    table = pa.concat_tables([view for view in views if view.num_rows] or views[:1])
    return merge_repeated_images(table, find_case_column(rows, spec))


def find_case_column(rows: pa.Table, spec: TableSpec) -> str:
    """The column that tells the source's rows apart: what the views' own columns are not."""
    taken = {view.column for view in spec.views}
    return str(next(name for name in rows.column_names if name not in taken))


def select_image_rows(rows: pa.Table, view: ViewSpec) -> pa.Table:
    filled = rows.filter(pc.not_equal(rows[view.column], ""))
    filled = filled.append_column(IMAGE_COLUMN, filled[view.column])
    return filled.append_column(VIEW_COLUMN, pa.array([view.word] * filled.num_rows, pa.string()))


def merge_repeated_images(table: pa.Table, case: str) -> pa.Table:
    images = table[IMAGE_COLUMN].to_pylist()
    cases = table[case].to_pylist()
    first: dict[str, int] = {}
    again: dict[int, list[int]] = {}
    for place, image in enumerate(images):
        if image in first:
            again.setdefault(first[image], []).append(place)
        else:
            first[image] = place
    groups = connect_cases(images, cases)
    table = table.append_column(GROUP_COLUMN, pa.array([groups[one] for one in cases], pa.string()))
    further = find_differences(table, again)
    kept = sorted(first.values())
    position = {place: number for number, place in enumerate(kept)}
    table = table.take(pa.array(kept, pa.int64()))
    for name, cells in further.items():
        column = [""] * len(kept)
        for place, word in cells.items():
            column[position[place]] = word
        table = table.append_column(name, pa.array(column, pa.string()))
    return table


def find_differences(table: pa.Table, again: Mapping[int, Sequence[int]]) -> dict[str, dict[int, str]]:
    """For rows of an image that stood there already: column "name (n)" -> place of the first -> word."""
    found: dict[str, dict[int, str]] = {}
    for place, others in again.items():
        first = table.slice(place, 1).to_pylist()[0]
        for number, other in enumerate(others, 2):
            for name, word in table.slice(other, 1).to_pylist()[0].items():
                if word and word != first[name]:
                    found.setdefault(f"{name.removeprefix('@')} ({number})", {})[place] = word
    return found


def connect_cases(images: Sequence[str], cases: Sequence[str]) -> dict[str, str]:
    """Case -> the smallest case that it shares images with, directly or by others."""
    parent = {case: case for case in cases}

    def root(case: str) -> str:
        while parent[case] != case:
            parent[case] = parent[parent[case]]
            case = parent[case]
        return case

    owner: dict[str, str] = {}
    for image, case in zip(images, cases, strict=True):
        one, other = root(case), root(owner.setdefault(image, case))
        parent[max(one, other)] = min(one, other)
    return {case: root(case) for case in parent}
