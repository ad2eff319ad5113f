"""Which column holds the classes of an export, and their numbers."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = (
    "label",
    "diagnosis",
)  # `--labels` or a label of the person's own, else what the catalog harmonized


def column(table: pa.Table) -> str:
    """The first of `label` and `diagnosis` that any row has; `diagnosis` where none has."""
    filled = [
        name for name in COLUMNS if name in table.column_names and table[name].null_count < table.num_rows
    ]
    return (filled or [COLUMNS[-1]])[0]


def words(table: pa.Table, label: str) -> list[str | None]:
    """Each row's class; None where it has none."""
    if label not in table.column_names:
        return [None] * table.num_rows
    found: list[str | None] = table[label].cast(pa.string()).to_pylist()
    return found


def named(table: pa.Table, label: str) -> tuple[str, ...]:
    """All classes in the order of their numbers: by name, as folders are sorted."""
    if label not in table.column_names:
        return ()
    found = pc.unique(table[label].cast(pa.string())).to_pylist()
    return tuple(sorted(word for word in found if word is not None))


def numbers(given: Sequence[str | None], classes: Sequence[str]) -> list[int | None]:
    place = {name: number for number, name in enumerate(classes)}
    return [None if word is None else place[word] for word in given]


def why_none(table: pa.Table, label: str) -> list[str | None]:
    """For each row without a class the reason, None for the others."""
    said = words(table, "label_reason") if label == "label" else [None] * table.num_rows
    return [
        None if word is not None else reason or f"no {label}"
        for word, reason in zip(words(table, label), said, strict=True)
    ]
