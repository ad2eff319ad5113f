"""What a read table goes through before it is understood: images into rows, names into parts, cases joined.

Columns made here begin with "@": they are ours, not the source's.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.model import Table, View
from dermdata.readers.patterns import compiled

IMAGE, VIEW, GROUP = "@image", "@view", "@group"


def reshaped(rows: pa.Table, spec: Table) -> pa.Table:
    """The rows with every derived column that the catalog asks for."""
    if spec.views:
        rows = one_row_an_image(rows, spec)
    for column, pattern in spec.parts.items():
        rows = with_parts(rows, column, pattern)
    return rows


def with_parts(rows: pa.Table, column: str, pattern: str) -> pa.Table:
    """Columns cut from another one's words: "{patient}_{number}" on M28_04; "" where a word does not fit."""
    expression, names = compiled(pattern)
    words = rows[column].combine_chunks().dictionary_encode()
    found = [expression.fullmatch(word) for word in words.dictionary.to_pylist()]
    for name in names:
        values = pa.array([match[name] if match else "" for match in found], pa.string())
        rows = rows.append_column(f"@{name}", values.take(words.indices))
    return rows


# ------------------------------------------------------------------ several images a row


def one_row_an_image(rows: pa.Table, spec: Table) -> pa.Table:
    """A row for each filled image column; an image that several rows name keeps the first row.

    What the other rows say of it differently is kept in columns "… (2)". `@group` joins the rows (cases)
    that share an image, directly or by others: they must never be parted by a split.
    """
    views = [image_rows(rows, view) for view in spec.views]
    table = pa.concat_tables([view for view in views if view.num_rows] or views[:1])
    return merged(table, case_column(rows, spec))


def case_column(rows: pa.Table, spec: Table) -> str:
    """The column that tells the source's rows apart: what the views' own columns are not."""
    taken = {view.column for view in spec.views}
    return str(next(name for name in rows.column_names if name not in taken))


def image_rows(rows: pa.Table, view: View) -> pa.Table:
    filled = rows.filter(pc.not_equal(rows[view.column], ""))
    filled = filled.append_column(IMAGE, filled[view.column])
    return filled.append_column(VIEW, pa.array([view.word] * filled.num_rows, pa.string()))


def merged(table: pa.Table, case: str) -> pa.Table:
    images = table[IMAGE].to_pylist()
    cases = table[case].to_pylist()
    first: dict[str, int] = {}
    again: dict[int, list[int]] = {}
    for place, image in enumerate(images):
        if image in first:
            again.setdefault(first[image], []).append(place)
        else:
            first[image] = place
    groups = components(images, cases)
    table = table.append_column(GROUP, pa.array([groups[one] for one in cases], pa.string()))
    further = differing(table, again)
    kept = sorted(first.values())
    position = {place: number for number, place in enumerate(kept)}
    table = table.take(pa.array(kept, pa.int64()))
    for name, cells in further.items():
        column = [""] * len(kept)
        for place, word in cells.items():
            column[position[place]] = word
        table = table.append_column(name, pa.array(column, pa.string()))
    return table


def differing(table: pa.Table, again: Mapping[int, Sequence[int]]) -> dict[str, dict[int, str]]:
    """For rows of an image that stood there already: column "name (n)" -> place of the first -> word."""
    found: dict[str, dict[int, str]] = {}
    for place, others in again.items():
        first = table.slice(place, 1).to_pylist()[0]
        for number, other in enumerate(others, 2):
            for name, word in table.slice(other, 1).to_pylist()[0].items():
                if word and word != first[name]:
                    found.setdefault(f"{name.removeprefix('@')} ({number})", {})[place] = word
    return found


def components(images: Sequence[str], cases: Sequence[str]) -> dict[str, str]:
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
