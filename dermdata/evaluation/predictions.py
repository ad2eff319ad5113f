"""Predictions are read from CSV, Parquet or JSON Lines as text.

Their columns are detected by name: the image, and the probabilities of each class or the decision.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from dermdata import limits
from dermdata.errors import BadTable
from dermdata.evaluation.sample import Floats, Mask
from dermdata.limits import parse_json
from dermdata.manifest.parquet import open_parquet, read_row_groups
from dermdata.markup import count_nouns
from dermdata.model import NOTHING, Label
from dermdata.projection import DatasetLabels
from dermdata.readers.delimited import parse_own_table
from dermdata.readers.typed_cells import NOTHING_WORDS, is_nothing, point_decimals
from dermdata.vocabulary import LabelSpace, Projection, Vocabulary, project_label

# a bounded run of marks: of a name that is a million dashes each would be tried anew
PREFIX = re.compile(r"^(?:prob|p|proba|probability|pred|score|softmax)[_. -]+(?=.)", re.IGNORECASE)
SUFFIX = re.compile(r"(?<=.)[_. -]{1,9}(?:prob|proba|probability|score|softmax)$", re.IGNORECASE)
MAX_LINES_IN_MESSAGE = 5
LEAVE_OUT_HINT = "leave one out"
LIST_CELL = "[…]"  # stands for a list, which is reported as not read
IMAGE_COLUMNS = (
    "key", "image-id", "image", "image-name", "isic-id", "img-id", "img", "filename", "file-name", "file", "path",
    "image-path", "img-path", "filepath", "file-path", "image-file", "id", "name",
)  # fmt: skip
DECISION_COLUMNS = (
    "prediction", "predicted", "pred", "predicted-label", "predicted-class", "pred-label", "pred-class", "y-pred",
    "predicted-diagnosis", "decision",
)  # fmt: skip
LONE_DECISION_COLUMNS = ("label", "class", "diagnosis")  # the truth, if anything else stands beside the image
MAX_ROWS_IN_MESSAGE = 5
MAX_CLASSES_IN_MESSAGE = 12
# how far a sum of probabilities may be from one, and from where that is reported
MAX_SUM_ERROR, MAX_ROUNDING_ERROR = 0.02, 1e-3


def parse_predictions(data: bytes, name: str, tell: Callable[[str], object] = len) -> pa.Table:
    """Read a file of predictions, whose form is detected by its content.

    Parameters
    ----------
    data : bytes
        CSV, Parquet or JSON Lines.
    name : str
        What the file is called in an error.
    tell : callable, optional
        Takes what must be told of how the file was read.

    Returns
    -------
    pyarrow.Table
        Every cell as text, null where there is none.

    Raises
    ------
    BadTable
        With the line or row that cannot be read.

    """
    if data.startswith(b"PAR1"):
        table = parse_parquet(data, name)
    elif data.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{":
        table = parse_json_lines(data, name)
    else:
        table = parse_csv(data, name, tell)
    if not table.num_rows:
        raise BadTable(f"{name} holds no predictions")
    return table


def parse_csv(data: bytes, name: str, tell: Callable[[str], object]) -> pa.Table:
    try:
        own = parse_own_table(data, name)
    except BadTable as error:
        raise BadTable(
            error.message, hint=error.hint or "predictions are CSV, Parquet or JSON Lines"
        ) from error
    for note in own.notes:
        tell(note)
    if own.rejected:
        some = own.rejected[:MAX_LINES_IN_MESSAGE]
        shown = ", ".join(f"line {row['line']} ({row['reason']})" for row in some)
        raise BadTable(f"{name}: {count_nouns(len(own.rejected), 'line', 'are')} not whole: {shown}")
    return own.rows


def parse_parquet(data: bytes, name: str) -> pa.Table:
    with open_parquet(io.BytesIO(data), name, "file") as file:
        table = read_row_groups(file, None, len(data), name)
    found = [
        one
        for field, column in zip(table.schema, table.columns, strict=True)
        for one in flatten_column(field, column)
    ]
    return pa.table(
        {
            key: column_to_text(column, f"{name}: column {key}")
            for key, column in require_unique_keys(found, name).items()
        }
    )


def flatten_column(field: pa.Field, column: pa.ChunkedArray) -> list[tuple[str, pa.ChunkedArray]]:
    """A column by its name; of a struct (`probabilities`) its own columns, as of an object in JSON Lines."""
    if not kinds.is_struct(field.type):
        return [(field.name, column)]
    return list(zip([one.name for one in field.type], column.flatten(), strict=True))


def column_to_text(column: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Numbers in all their digits; words that are kept as codes or bytes as words; of a list that it is one."""
    if kinds.is_nested(column.type):
        return pa.chunked_array([pa.array([LIST_CELL] * len(column), pa.string())])
    if kinds.is_floating(column.type) and has_fractions(column):
        return column.cast(pa.float64()).cast(pa.string())  # the shortest text that is the same number
    if kinds.is_floating(column.type):  # ids, perhaps, as Python says them
        return pa.chunked_array(
            [[None if cell is None else repr(cell) for cell in column.to_pylist()]], pa.string()
        )
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadTable(f"{what} is no text: {error}") from error


def has_fractions(column: pa.ChunkedArray) -> bool:
    """Whether a column of numbers has one that is no whole number: then it is of no ids."""
    numbers = column.cast(pa.float64())
    fractions = pc.and_(pc.is_finite(numbers), pc.not_equal(pc.floor(numbers), numbers))
    return bool(pc.any(fractions, min_count=0).as_py())


def parse_json_lines(data: bytes, name: str) -> pa.Table:
    """One object a line; an object within it (`"probabilities": {…}`) gives its own columns."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTable(f"{name} is not UTF-8: {error.reason} at byte {error.start:,}") from error
    with limits.limit_table_memory(len(data), name):
        rows = []
        # not splitlines: within a string JSON may have other ends of lines
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                rows.append(parse_json_line(line, f"{name}, line {number}"))
        names = list(dict.fromkeys(key for row in rows for key in row))
        limits.require_columns(names, name)
        limits.require_cells(len(names) * len(rows), len(data), name)
        return pa.table({key: pa.array([row.get(key) for row in rows], pa.string()) for key in names})


def parse_json_line(line: str, where: str) -> dict[str, str | None]:
    try:
        found = parse_json(line, lambda pairs: require_unique_keys(pairs, where))
    except ValueError as error:
        raise BadTable(f"{where}: {error}", hint="one JSON object a line") from error
    if not isinstance(found, dict):
        raise BadTable(f"{where}: no JSON object", hint="one JSON object a line")
    cells: list[tuple[str, Any]] = []
    for key, value in found.items():
        cells += value.items() if isinstance(value, Mapping) else [(key, value)]
    return {key: json_to_text(value) for key, value in require_unique_keys(cells, where).items()}


def require_unique_keys(pairs: Sequence[tuple[str, Any]], where: str) -> dict[str, Any]:
    """The pairs by key; BadTable for a key that is there twice: nobody knows which value is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise BadTable(f"{where}: '{key}' is there more than once", hint=LEAVE_OUT_HINT)
    return found


def json_to_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


# ------------------------------------------------------------------ columns


def normalize_word(word: str) -> str:
    """`Basal cell_carcinoma` and `basal-cell-carcinoma` are one word."""
    return re.sub(r"[\s_-]+", "-", word.strip().casefold())


def strip_probability_mark(column: str) -> tuple[str, str]:
    """A column's name without what marks it as a probability, and that mark."""
    for pattern in (PREFIX, SUFFIX):
        if found := pattern.search(column):
            return column.replace(found[0], "", 1), found[0].casefold()
    return column, ""


class ClassNaming:
    """Words -> classes of one space, asked from the surest to the widest meaning."""

    def __init__(
        self,
        space: LabelSpace,
        vocabulary: Vocabulary,
        words: DatasetLabels,
        diagnoses: Mapping[str, str] = NOTHING,
    ) -> None:
        self.space = space
        self._diagnoses = diagnoses  # of the target, whose rows are all of one class: surer than the tree
        self._classes = {normalize_word(name): name for name in space.classes}
        self._concepts = {
            normalize_word(name): concept.id for concept in vocabulary for name in (concept.label, concept.id)
        }
        self._vocabulary = vocabulary
        self._raw: dict[str, list[Label]] = {}
        for labels in words.values():
            for label in labels:
                self._raw.setdefault(normalize_word(label.raw_label), []).append(label)

    def __call__(self, word: str) -> str | None:
        """The class; None for a word that has none, or of which datasets mean different ones."""
        key = normalize_word(word)
        if key in self._classes:
            return self._classes[key]
        if key in self._raw:
            classes = {self._project(label).value for label in self._raw[key]}
            return classes.pop() if len(classes) == 1 else None
        if key in self._diagnoses:
            return self._diagnoses[key]
        if key in self._concepts:
            return project_label((self._concepts[key],), self.space, self._vocabulary).value
        return None

    def why_not(self, word: str) -> str:
        """Why a word has no class."""
        labels = self._raw.get(normalize_word(word), ())
        reasons = {self._project(label).reason for label in labels} - {None}
        if normalize_word(word) in self._concepts and not labels:
            reasons = {
                project_label((self._concepts[normalize_word(word)],), self.space, self._vocabulary).reason
            }
        return "; ".join(sorted(map(str, reasons))) or "no such class, concept or word of the target"

    def _project(self, label: Label) -> Projection:
        return project_label(label, self.space, self._vocabulary)


def guess_space(
    spaces: Mapping[str, LabelSpace], vocabulary: Vocabulary, columns: Iterable[str]
) -> str | None:
    """Guess the label space by which columns are named.

    Parameters
    ----------
    spaces : mapping of str to LabelSpace
        Those that have a name.
    vocabulary : Vocabulary
        Its concepts may be columns too.
    columns : iterable of str
        The columns of the predictions.

    Returns
    -------
    str or None
        A space of which every class is there, `malignancy` for `malignant`, or concepts; None where several or none
        would do.

    """
    words = {normalize_word(strip_probability_mark(column)[0]): None for column in columns}
    whole = [
        name for name, space in spaces.items() if set(map(normalize_word, space.classes)) <= words.keys()
    ]
    if len(whole) == 1:
        return whole[0]
    if "malignant" in words:
        return "malignancy"
    concepts = [one for one in words if one in vocabulary]
    return ",".join(concepts) if concepts and not whole else None


@dataclass(frozen=True)
class PredictionColumns:
    """Columns by what they hold; `probabilities` are by class, several add up to one."""

    image: str
    probabilities: Mapping[str, tuple[str, ...]]
    decision: str | None
    unread: tuple[str, ...]

    def summary(self) -> str:
        """What was detected, in one line."""
        parts = [
            name if names == (name,) else f"{' + '.join(names)} = {name}"
            for name, names in self.probabilities.items()
        ]
        more = f", … ({count_nouns(len(parts), 'class')})" if len(parts) > MAX_CLASSES_IN_MESSAGE else ""
        what = (
            f"probabilities {', '.join(parts[:MAX_CLASSES_IN_MESSAGE])}{more}"
            if parts
            else f"the decision by {self.decision}"
        )
        return f"read from the predictions: the image by {self.image}; {what}"


def detect_columns(table: pa.Table, class_of: Callable[[str], str | None], name: str) -> PredictionColumns:
    """The columns by their names, probabilities also by holding numbers; BadTable for what is missing or ambiguous."""
    columns = table.column_names
    image = find_image_column(table)
    if image is None:
        raise BadTable(
            f"{name}: no column says which image a prediction is of (there are {', '.join(columns)})",
            hint="call it key or image_id",
        )
    classes = detect_probabilities(table, class_of, image, name)
    decision = None if classes else find_decision_column(table)
    if not classes and decision is None:
        raise no_classes_error(table, class_of, image, name)
    used = {image, decision, *chain.from_iterable(classes.values())}
    return PredictionColumns(image, classes, decision, tuple(one for one in columns if one not in used))


def no_classes_error(
    table: pa.Table, class_of: Callable[[str], str | None], image: str, name: str
) -> BadTable:
    """That no column is a class; or, where one is, that it is not of numbers."""
    for column, _, _ in list_class_columns(table, class_of, image):
        return no_numbers_error(table, column, name)
    return BadTable(
        f"{name}: no column is a class or a predicted label (there are {', '.join(table.column_names)})",
        hint="name probabilities by their class, or give a column prediction; `--labels SPACE` names the classes",
    )


def find_image_column(table: pa.Table) -> str | None:
    """The column that says which image a prediction is of."""
    return first_known(IMAGE_COLUMNS, fold_names(table.column_names))


def find_decision_column(table: pa.Table) -> str | None:
    """The column of decisions, whether or not there are probabilities."""
    columns = table.column_names
    words = (*DECISION_COLUMNS, *LONE_DECISION_COLUMNS) if len(columns) == 2 else DECISION_COLUMNS
    return first_known(words, fold_names(columns))


def fold_names(columns: Sequence[str]) -> dict[str, str]:
    """Columns by their names as words are compared; of two the first."""
    return {normalize_word(column): column for column in reversed(columns)}


def first_known(words: Iterable[str], folded: Mapping[str, str]) -> str | None:
    """The column of the first word that names one."""
    return next((folded[word] for word in words if word in folded), None)


def detect_probabilities(
    table: pa.Table, class_of: Callable[[str], str | None], image: str, name: str
) -> dict[str, tuple[str, ...]]:
    """Columns by class. Of several sets (the truth as `MEL`, the model as `prob_MEL`) the one that is marked.

    BadTable for a class that is not of numbers beside others that are: without it the model would seem another one.
    """
    sets: dict[str, dict[str, str]] = {}
    for column, word, mark in list_class_columns(table, class_of, image):
        if normalize_word(word) in sets.setdefault(mark, {}):
            raise BadTable(f"{name}: two columns are called {word}", hint=LEAVE_OUT_HINT)
        sets[mark][normalize_word(word)] = column
    numbers = {
        mark: [one for one in some.values() if holds_numbers(table[one])] for mark, some in sets.items()
    }
    chosen = max(sets, key=lambda mark: (len(numbers[mark]), bool(mark)), default="")
    found: dict[str, tuple[str, ...]] = {}
    for word, column in sets[chosen].items() if numbers.get(chosen) else ():
        if column not in numbers[chosen]:
            raise no_numbers_error(table, column, name)
        one = class_of(word) or ""
        found[one] = (*found.get(one, ()), column)
    return found


def list_class_columns(
    table: pa.Table, class_of: Callable[[str], str | None], image: str | None
) -> Iterator[tuple[str, str, str]]:
    """Each column that is named by a class: its name, without what marks a probability, and that mark."""
    for column in table.column_names:
        word, mark = (column, "") if class_of(column) else strip_probability_mark(column)
        if column != image and class_of(word):
            yield column, word, mark


def holds_numbers(column: pa.ChunkedArray) -> bool:
    """Whether a cell is a number, or none says anything: a mistake beside numbers must be reported, not passed over."""
    cells = [cell for cell in column.slice(0, 1000).drop_null().to_pylist() if cell.strip()]
    return not cells or any(map(is_number, cells))


def is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return False
    return True


def says_nothing(cell: str) -> bool:
    return cell.strip().casefold() in NOTHING_WORDS


# ------------------------------------------------------------------ numbers


def parse_probabilities(table: pa.Table, columns: Sequence[str], name: str) -> Floats:
    """(rows, columns); not a number in rows that are empty throughout: BadTable, with the rows, for all else.

    Rows are counted from 1, without the header.
    """
    found = np.column_stack([column_to_floats(table, column, name) for column in columns])
    empty = np.isnan(found).all(axis=1)
    holes = np.asarray(~empty & np.isnan(found).any(axis=1))
    reject_rows(holes, name, "no number in some classes")
    outside = np.asarray(((found < 0) | (found > 1)).any(axis=1))
    reject_rows(outside, name, "no probability (0 to 1)", "apply softmax to logits first")
    return np.asarray(found)


def column_to_floats(table: pa.Table, column: str, name: str) -> Floats:
    words = point_decimals(pc.utf8_trim_whitespace(table[column].combine_chunks()))
    try:
        numbers = pc.if_else(is_nothing(words), None, words).cast(pa.float64())
        return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowInvalid as error:
        raise no_numbers_error(table, column, name) from error


def no_numbers_error(table: pa.Table, column: str, name: str) -> BadTable:
    """Of a class that is predicted in words: which rows hold them."""
    cells = enumerate(table[column].to_pylist(), 1)
    wrong = [(row, cell) for row, cell in cells if cell and not (is_number(cell) or says_nothing(cell))]
    shown = ", ".join(f"row {row} holds '{cell}'" for row, cell in wrong[:MAX_ROWS_IN_MESSAGE])
    return BadTable(
        f"{name}: column {column} is not of numbers: {shown or 'a number that is too long'}",
        hint="probabilities are numbers from 0 to 1, such as 0.75 or 0,75; rename or leave out what is none",
    )


def reject_rows(wrong: Mask, name: str, what: str, hint: str | None = None) -> None:
    """BadTable that names the first rows that are wrong."""
    if wrong.any():
        raise BadTable(f"{name}: {what}: {row_numbers_phrase(wrong)}", hint=hint)


def count_phrase(which: Mask, word: str) -> str:
    """`1 row`, `2,000 rows`."""
    return count_nouns(int(which.sum()), word)


def row_numbers_phrase(wrong: Mask) -> str:
    places = np.flatnonzero(wrong) + 1
    more = f" and {len(places) - MAX_ROWS_IN_MESSAGE:,} more" if len(places) > MAX_ROWS_IN_MESSAGE else ""
    return f"row{'s' if len(places) > 1 else ''} {', '.join(map(str, places[:MAX_ROWS_IN_MESSAGE]))}{more}"


def check_probability_sums(found: Floats, name: str, unread: Sequence[str]) -> str | None:
    """Of each row's probabilities: BadTable where they do not add up to one; a note where that is by rounding."""
    off = np.abs(found.sum(axis=1) - 1)
    beside = f" (not read: {', '.join(unread)})" if unread else ""
    reject_rows(
        off > MAX_SUM_ERROR,
        name,
        f"probabilities do not add up to one (by up to {np.nanmax(off, initial=0.0):.3g})",
        f"each class needs its column{beside}; `--labels SPACE` names the classes",
    )
    rounded = off > MAX_ROUNDING_ERROR
    if not rounded.any():
        return None
    text = f"the probabilities of {count_phrase(rounded, 'row')} add up to one only when rounded"
    return f"{text} ({row_numbers_phrase(rounded)}): used as they are"
