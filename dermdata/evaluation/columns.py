"""Which columns of a file of predictions are what: the image, the probabilities, the decision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable
from dermdata.evaluation.naming import bare, fold
from dermdata.evaluation.sample import Floats, Mask

IMAGE = ("key", "image-id", "image", "image-name", "isic-id", "img-id", "img", "filename", "file-name", "file", "path",
         "image-path", "img-path", "filepath", "file-path", "image-file", "id", "name")  # fmt: skip
DECIDED = ("prediction", "predicted", "pred", "predicted-label", "predicted-class", "pred-label", "pred-class", "y-pred",
           "predicted-diagnosis", "decision")  # fmt: skip
ALONE = (
    "label",
    "class",
    "diagnosis",
)  # may be the truth as well: only where nothing else stands beside the image
MANY = 5  # rows that are named in a message
TOLD = 12  # columns that are
OFF, ROUNDED = 0.02, 1e-3  # how far a sum of probabilities may be from one, and from where that is told


@dataclass(frozen=True)
class Found:
    """Columns by what they hold; `probabilities` are by class, several add up to one."""

    image: str
    probabilities: Mapping[str, tuple[str, ...]]
    decision: str | None
    unread: tuple[str, ...]

    def told(self) -> str:
        """What was detected, in one line."""
        parts = [
            name if names == (name,) else f"{' + '.join(names)} = {name}"
            for name, names in self.probabilities.items()
        ]
        more = f", … ({len(parts):,} classes)" if len(parts) > TOLD else ""
        what = (
            f"probabilities {', '.join(parts[:TOLD])}{more}" if parts else f"the decision by {self.decision}"
        )
        return f"read from the predictions: the image by {self.image}; {what}"


def detect(table: pa.Table, class_of: Callable[[str], str | None], name: str) -> Found:
    """The columns by their names, probabilities also by holding numbers; BadTable for what is missing or ambiguous."""
    folded = {fold(column): column for column in reversed(table.column_names)}
    image = next((folded[word] for word in IMAGE if word in folded), None)
    if image is None:
        raise BadTable(
            f"{name}: no column says which image a prediction is of (there are {', '.join(table.column_names)})",
            hint="call it key or image_id",
        )
    classes = probabilities(table, class_of, image, name)
    words = (*DECIDED, *(ALONE if len(table.column_names) == 2 else ()))
    decision = None if classes else next((folded[word] for word in words if word in folded), None)
    if not classes and decision is None:
        raise BadTable(
            f"{name}: no column is a class or a predicted label (there are {', '.join(table.column_names)})",
            hint="name probabilities by their class, or give a column prediction; `--labels SPACE` names the classes",
        )
    used = {image, decision, *(column for some in classes.values() for column in some)}
    return Found(
        image, classes, decision, tuple(column for column in table.column_names if column not in used)
    )


def probabilities(
    table: pa.Table, class_of: Callable[[str], str | None], image: str, name: str
) -> dict[str, tuple[str, ...]]:
    """Columns by class. Of several sets (the truth as `MEL`, the model as `prob_MEL`) the one that is marked."""
    sets: dict[str, dict[str, str]] = {}
    for column in table.column_names:
        if column == image or not holds_numbers(table[column]):
            continue
        word, mark = (column, "") if class_of(column) else bare(column)
        if class_of(word):
            if fold(word) in sets.setdefault(mark, {}):
                raise BadTable(f"{name}: two columns are called {word}", hint="leave one out")
            sets[mark][fold(word)] = column
    chosen = max(sets, key=lambda mark: (len(sets[mark]), bool(mark)), default="")
    found: dict[str, tuple[str, ...]] = {}
    for word, column in sets.get(chosen, {}).items():
        one = class_of(word) or ""
        found[one] = (*found.get(one, ()), column)
    return found


def holds_numbers(column: pa.ChunkedArray) -> bool:
    """Whether a cell is a number, or none says anything: a mistake beside numbers is to be told, not passed over."""
    cells = [cell for cell in column.slice(0, 1000).drop_null().to_pylist() if cell.strip()]
    return not cells or any(map(is_number, cells))


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------ numbers


def numbers(table: pa.Table, columns: Sequence[str], name: str) -> Floats:
    """(rows, columns); not a number in rows that are empty throughout: BadTable, with the rows, for all else.

    Rows are counted from 1, without the header.
    """
    found = np.column_stack([floats(table, column, name) for column in columns])
    empty = np.isnan(found).all(axis=1)
    holes = np.asarray(~empty & np.isnan(found).any(axis=1))
    check(holes, name, "no number in some classes")
    outside = np.asarray(((found < 0) | (found > 1)).any(axis=1))
    check(outside, name, "no probability (0 to 1)", "apply softmax to logits first")
    return np.asarray(found)


def floats(table: pa.Table, column: str, name: str) -> Floats:
    words = pc.utf8_trim_whitespace(table[column].combine_chunks())
    blank = pc.is_in(pc.utf8_lower(words.fill_null("")), pa.array(["", "nan", "na", "null", "none"]))
    words = pc.if_else(blank, None, words)
    try:
        return np.asarray(words.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowInvalid as error:
        wrong = [(row, cell) for row, cell in enumerate(words.to_pylist(), 1) if cell and not is_number(cell)]
        told = ", ".join(f"row {row} holds '{cell}'" for row, cell in wrong[:MANY])
        raise BadTable(f"{name}: column {column} is not of numbers: {told or error}") from error


def check(wrong: Mask, name: str, what: str, hint: str | None = None) -> None:
    """BadTable that names the first rows that are wrong."""
    if wrong.any():
        raise BadTable(f"{name}: {what}: {rows_of(wrong)}", hint=hint)


def counted(which: Mask, word: str) -> str:
    """`1 row`, `2,000 rows`."""
    count = int(which.sum())
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def rows_of(wrong: Mask) -> str:
    places = np.flatnonzero(wrong) + 1
    more = f" and {len(places) - MANY:,} more" if len(places) > MANY else ""
    return f"row{'s' if len(places) > 1 else ''} {', '.join(map(str, places[:MANY]))}{more}"


def check_sums(found: Floats, name: str, unread: Sequence[str]) -> str | None:
    """Of each row's probabilities: BadTable where they do not add up to one; a line to tell where that is by rounding."""
    off = np.abs(found.sum(axis=1) - 1)
    beside = f" (not read: {', '.join(unread)})" if unread else ""
    check(
        off > OFF,
        name,
        f"probabilities do not add up to one (by up to {np.nanmax(off, initial=0.0):.3g})",
        f"each class needs its column{beside}; `--labels SPACE` names the classes",
    )
    rounded = off > ROUNDED
    if not rounded.any():
        return None
    said = f"the probabilities of {counted(rounded, 'row')} add up to one only when rounded"
    return f"{said} ({rows_of(rounded)}): used as they are"
