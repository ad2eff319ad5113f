"""What a manifest's methods give: a row with its pictures, a selection, parts of a split; and how a notebook shows it."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.api.images import open_image, open_mask
from dermdata.api.records import Records
from dermdata.errors import IntegrityError, UnknownName
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    import pandas as pd

    from dermdata.api.manifest import Manifest
    from dermdata.cohort import Selection
    from dermdata.split import SplitResult


FINDING = ("level", "code", "dataset", "keys", "message", "evidence")
FOLD = "fold "  # before its number, as the name of a part
IMAGE_COLUMNS = ("key", "dataset", "image_id", "diagnosis", "label", "path")  # of a selection's `images`
IMAGE, MASK = "image", "mask"  # keys of a row that open a file


class Row(Mapping[str, Any]):
    """One image: all columns of its row, and under `image` and `mask` the decoded pictures.

    The pictures are opened when they are asked for, as they are stored: an orientation tag is not applied, and a mask that
    was drawn on the upright picture is turned back. They are None where the row has no such file.
    """

    def __init__(self, values: Mapping[str, Any], path: str | None, mask: str | None) -> None:
        self._values = dict(values)
        self._files = {IMAGE: path, MASK: mask}

    def __getitem__(self, key: str) -> Any:
        if key in self._files:
            path, image = self._files[key], self._files[IMAGE]
            if path is None:
                return None
            return open_image(path) if key == IMAGE or image is None else open_mask(path, image)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._values, *self._files))

    def __len__(self) -> int:
        return len(self._values) + len(self._files)

    def __contains__(self, key: object) -> bool:
        return key in self._values or key in self._files

    def __repr__(self) -> str:
        stated = {name: value for name, value in self._values.items() if value is not None}
        return f"Row({stated})"

    @property
    def path(self) -> Path | None:
        """The image's file, absolute; None where there is none."""
        found = self._files[IMAGE]
        return None if found is None else Path(found)


class Selected:
    """What a selection gave: the manifest, and what was left out or could not be as asked.

    Attributes
    ----------
    manifest : Manifest
    summary : Records
        Of each dataset how many images were given, and how many images, patients and lesions are left (cases too
        where there are any); `facts` count what the other records list.
    images : Records
        The rows in a few columns; paths as they are stored.
    dropped, conflicts, unexpressed : Records
        Rows that another row stands for, images with labels that exclude each other, labels without a class.
    notes : tuple of str
        What was done, in words.

    """

    def __init__(self, manifest: "Manifest", selection: "Selection", before: pa.Table) -> None:
        from dermdata.projection import REASON, count_unprojected

        labeled = REASON in selection.table.column_names
        missing = count_unprojected(selection.table) if labeled else []
        self.manifest = manifest
        self.dropped = Records([vars(one) for one in selection.dropped], ("key", "kept", "reason"))
        self.conflicts = Records([vars(one) for one in selection.conflicts], FINDING)
        reasons = ("dataset", "label_raw", "diagnosis", "reason", "images")
        self.unexpressed = Records(missing, reasons)
        self.notes = tuple(selection.notes)
        self._before, self._after = before.select(["dataset"]), selection.table

    @cached_property
    def summary(self) -> Records:
        from dermdata.cohort.stats import list_measures, tabulate

        left = tabulate(self._after, ["dataset"]) if self._after.num_rows else []
        found = {row["dataset"]: row for row in left}
        given = {row["dataset"]: row["images"] for row in tabulate(self._before, ["dataset"])}
        measures = [name for name in list_measures(left) if name != "share"]
        nothing = dict.fromkeys(measures) | {"images": 0}
        items = [
            {**nothing, **found.get(name, {}), "dataset": name, "given": count}
            for name, count in given.items()
        ]
        return Records(items, ("dataset", "given", *measures), self.counts)

    @cached_property
    def images(self) -> Records:
        there = [name for name in IMAGE_COLUMNS if name in self._after.column_names]
        return Records(self._after.select(there).to_pylist(), IMAGE_COLUMNS)

    @property
    def counts(self) -> dict[str, int]:
        """How many images there are, and how many rows of each other kind."""
        return {
            "images": len(self.manifest),
            "dropped": len(self.dropped),
            "conflicts": len(self.conflicts),
            "unexpressed": sum(row["images"] for row in self.unexpressed),
        }


class Parts(Mapping[str, "Manifest"]):
    """A split: its parts by name (`parts.train`, `parts["test"]`), and how well they mirror the whole.

    Attributes
    ----------
    manifest : Manifest
        All rows, with the columns `split` and `fold`.
    balance : pandas.DataFrame
        Of each part: images, groups, patients, lesions, share.
    largest_deviation : float
        Of a class's share in a part from its share in the whole, in percentage points.
    notes : tuple of str
        By what the rows were grouped, and what a reader must know.

    """

    def __init__(self, manifest: "Manifest", result: "SplitResult") -> None:
        self.manifest = manifest
        self.records = Records(
            [vars(part) for part in result.balance],
            ("part", "images", "groups", "patients", "lesions", "share"),
            {"largest_deviation": result.largest_deviation},
        )
        self.largest_deviation = result.largest_deviation
        self.notes = (result.grouping.why, *result.notes)

    @property
    def balance(self) -> "pd.DataFrame":
        return self.records.to_pandas()

    @cached_property
    def _column(self) -> str:
        held = self.manifest.loaded.table
        return "fold" if held["split"].null_count == held.num_rows else "split"

    def __getitem__(self, name: str) -> "Manifest":
        if name not in list(self):
            raise UnknownName("part", name, list(self))
        words = self.manifest.loaded.table[self._column].cast(pa.string())
        return self.manifest.take_rows(pc.equal(words, name.removeprefix(FOLD)))

    @property
    def folds(self) -> "list[tuple[Manifest, Manifest]]":
        """Of each fold the rows of all others and its own: to train on, and to test on; empty without folds."""
        if self._column != "fold":
            return []
        held = self.manifest.loaded.table["fold"]
        numbers = [int(part["part"].removeprefix(FOLD)) for part in self.records]
        return [
            (
                self.manifest.take_rows(pc.not_equal(held, number)),
                self.manifest.take_rows(pc.equal(held, number)),
            )
            for number in numbers
        ]

    def __getattr__(self, name: str) -> "Manifest":
        if name.startswith("_") or name not in [part["part"] for part in self.records]:
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return (str(part["part"]) for part in self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        parts = ", ".join(f"{part['part']}: {part['images']:,}" for part in self.records)
        return f"<parts of {count_nouns(len(self.manifest), 'image')}: {parts}>"

    def _repr_html_(self) -> str:
        return self.records._repr_html_()


SHOWN = ("image_id", "diagnosis", "sex", "age", "split")
THUMBNAIL = 100  # pixels


def show_rows(head: str, rows: Iterable[Row]) -> str:
    """A line of words and a table of the rows, as HTML: their pictures and a few columns."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in (IMAGE, *SHOWN))
    lines = "".join(
        f"<tr><td>{thumbnail(row)}</td>{''.join(to_cell(row.get(name)) for name in SHOWN)}</tr>"
        for row in rows
    )
    return f"<p>{escape(head)}</p><table><tr>{heads}</tr>{lines}</table>"


def to_cell(value: object) -> str:
    """A cell of the table; the words of the data are text and never HTML."""
    return f"<td>{'' if value is None else escape(str(value))}</td>"


def thumbnail(row: Row) -> str:
    """A row's picture as an HTML element; words where it cannot be shown."""
    try:
        image = row[IMAGE]
    except IntegrityError:
        return "broken"
    if image is None:
        return ""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    held = io.BytesIO()
    small.save(held, "JPEG")
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}">'
