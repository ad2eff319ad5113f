"""Which row of the manifest a prediction is of: by key, image id or ISIC id, also with folders and file endings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable
from dermdata.evaluation.sample import Codes, Mask
from dermdata.manifest.schema import EXTENSION_PATTERN
from dermdata.projection import words_of

FOLDERS = r"^.*[/\\]"
COLUMNS = ("key", "image_id", "isic_id")
MANY = 3  # examples in a message
Cleaner = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Joined:
    """Each prediction's row of the manifest, -1 where there is none; how that was found."""

    rows: Codes
    column: str
    how: str  # the spelling; "": as written

    @property
    def unknown(self) -> Mask:
        return np.asarray(self.rows < 0)


def join(words: pa.Array, table: pa.Table, name: str) -> Joined:
    """By the column and spelling under which most predictions are found; BadTable if none is, or one fits two rows."""
    words = pc.utf8_trim_whitespace(words)
    tries = [tried(words, table, column, how, clean) for how, clean in SPELLINGS for column in COLUMNS]
    best = max(tries, key=lambda one: int((one.rows >= 0).sum()))  # the first of equals: the plainest
    if best.unknown.all():
        examples = ", ".join(f"'{word}'" for word in words.drop_null().to_pylist()[:MANY])
        own = ", ".join(f"'{word}'" for word in words_of(table, "image_id").drop_null().to_pylist()[:MANY])
        raise BadTable(
            f"{name}: no prediction is of an image of the target ({examples}; the target has {own})",
            hint="predictions need a column key or image_id",
        )
    check_one(dict(SPELLINGS)[best.how](words), table, best)
    return best


def tried(words: pa.Array, table: pa.Table, column: str, how: str, clean: Cleaner) -> Joined:
    found = pc.index_in(clean(words), words_of(table, column), skip_nulls=True).fill_null(-1)
    return Joined(found.to_numpy(zero_copy_only=False).astype(np.int64), column, how)


def check_one(words: pa.Array, table: pa.Table, found: Joined) -> None:
    """BadTable where a word that was found is that of two images."""
    counts = pc.value_counts(words_of(table, found.column).drop_null())
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    several = words.filter(pc.and_(pc.is_in(words, twice), pa.array(~found.unknown)))
    if len(several):
        raise BadTable(
            f"{found.column} '{several[0]}' is that of several images of the target",
            hint="give predictions a column key",
        )


def as_written(words: pa.Array) -> pa.Array:
    return words


def without_ending(words: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(words, EXTENSION_PATTERN, "")


def last_part(words: pa.Array) -> pa.Array:
    return without_ending(pc.replace_substring_regex(words, FOLDERS, ""))


SPELLINGS: tuple[tuple[str, Cleaner], ...] = (
    ("", as_written),
    (", without file endings", without_ending),
    (", without folders and file endings", last_part),
)
