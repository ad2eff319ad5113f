"""A manifest as Arrow, pandas, Polars, PyTorch and Hugging Face datasets."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from dermdata.api.images import ImageDataset, Transform, require_images
from dermdata.api.manifest_rows import ManifestRows
from dermdata.api.results import IMAGE
from dermdata.errors import UnknownName, UsageError
from dermdata.manifest.columns import text_column
from dermdata.manifest.schema import USUAL_PARTS
from dermdata.markup import agree_verb, count_nouns, count_share

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars

    from dermdata.api.browsing import PageServer
    from dermdata.api.manifest import Manifest


ALL = "*"  # `extra.*`: every key of a column of pairs


def flat_frame(table: pa.Table, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """The columns as plain words, numbers and dates; pairs as dicts, or as a column a key where that is asked for.

    Raises
    ------
    UnknownName
        For a column, or a key of a column of pairs, that the table has not.

    """
    import pandas as pd

    chosen = table.column_names if columns is None else columns
    series = {name: values for asked in chosen for name, values in plain_columns(table, asked)}
    return pd.DataFrame(series, index=pd.RangeIndex(table.num_rows))


def plain_columns(table: pa.Table, asked: str) -> Iterator[tuple[str, "pd.Series[Any]"]]:
    """One column by its name; one key, or all keys, of a column of pairs as `extra.age` or `extra.*`."""
    if asked in table.column_names:
        yield asked, plain_series(table[asked])
        return
    name, dot, key = asked.partition(".")
    if not dot or name not in table.column_names or not pa.types.is_map(table.schema.field(name).type):
        raise UnknownName("column", asked, table.column_names)
    yield from pair_columns(table[name], name, key)


def pair_columns(column: pa.ChunkedArray, name: str, key: str) -> Iterator[tuple[str, "pd.Series[Any]"]]:
    """A column for the key of a column of pairs, or one for each of its keys."""
    import pandas as pd

    rows = [dict(row or ()) for row in column.to_pylist()]
    keys = sorted(set().union(*rows))
    if key not in (ALL, *keys):
        raise UnknownName("column", f"{name}.{key}", [f"{name}.{one}" for one in keys])
    for one in keys if key == ALL else [key]:
        yield f"{name}.{one}", pd.Series([row.get(one) for row in rows], dtype=object)


def plain_series(column: pa.ChunkedArray) -> "pd.Series[Any]":
    """A column without categories and lists of pairs: words as words, pairs as dicts."""
    import pandas as pd

    kind = column.type
    if pa.types.is_map(kind):
        return pd.Series([None if row is None else dict(row) for row in column.to_pylist()], dtype=object)
    if pa.types.is_nested(kind):
        return pd.Series(column.to_pylist(), dtype=object)
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    found: pd.Series[Any] = column.to_pandas()
    return found


class ConvertibleRows(ManifestRows):
    """Rows that become what other libraries work with."""

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table with absolute paths, null where there is no file."""
        from dermdata.export.row_images import to_absolute_paths
        from dermdata.manifest.image_files import ImageFinder

        finder = ImageFinder(self.loaded.roots)
        table, _ = to_absolute_paths(self.table, finder)
        if finder.missing:
            self._resources.say(f"warning: {finder.missing.describe()}")
        return table

    def to_pandas(self, columns: Sequence[str] | None = None, *, flat: bool = True) -> "pd.DataFrame":
        """Return the rows as a data frame.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these; `extra.age` is one key of a column of pairs, `extra.*` all of them.
        flat : bool, default True
            Words as strings instead of categories, pairs as dicts instead of lists of tuples.

        Returns
        -------
        pandas.DataFrame
            Its `path` is absolute, so that `PIL.Image.open` takes it from any folder.

        Raises
        ------
        UnknownName
            For a column that is not there.

        """
        table = self.to_arrow()
        if not flat:
            frame: pd.DataFrame = (table if columns is None else table.select(list(columns))).to_pandas()
            return frame

        return flat_frame(table, columns)

    def to_polars(self) -> "polars.DataFrame":
        """Return the rows as a Polars data frame; polars must be installed."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        if not isinstance(frame, polars.DataFrame):
            raise TypeError("a table did not become a data frame")
        return frame

    def to_torch(
        self,
        transform: Transform | None = None,
        target: str | None = None,
        *,
        return_mask: bool = False,
        columns: Sequence[str] = (),
        words: Mapping[str, Sequence[str]] | None = None,
        allow_missing: bool = False,
    ) -> ImageDataset:
        """Return the images with their classes as a map-style dataset for `torch.utils.data.DataLoader`.

        Parameters
        ----------
        transform : callable, optional
            Called with the RGB image (with `return_mask`: with image and mask).
        target : str, optional
            The column of the classes; `label` where any row has one, else `diagnosis`.
        return_mask : bool, default False
            Give (image, lesion mask) instead of (image, class).
        columns : sequence of str
            Further values of each image, such as "age", "sex" and "malignancy": an item has a third part, a dict of
            them. Numbers are float32, NaN where nobody states one; words are int64, -1 where nobody states one.
        words : mapping of str to sequence of str, optional
            The words of a column in the order of their numbers, where the column may hold any.
        allow_missing : bool, default False
            Leave out rows whose image file is not there.

        Returns
        -------
        ImageDataset
            Rows without a class (or mask) are left out, and their number is told. A part of a split has the classes
            of the whole, so that a number means the same in each part.

        Raises
        ------
        UsageError
            Where an image that a row names is not there, no row is left, or a column is no number and no word.

        """
        from dermdata.api.row_values import number_values
        from dermdata.export.job import class_column, class_numbers, row_classes
        from dermdata.manifest.image_files import ImageFinder
        from dermdata.manifest.split_classes import CLASS_COLUMNS, class_names

        sources = strip_keys((*columns, target or "label"))
        loaded = self._read_columns(lambda _: ("path", "mask_path", *CLASS_COLUMNS, *sources))
        table = loaded.table
        column = target or class_column(table)
        if column not in table.column_names:
            raise UnknownName("column", column, self.schema.names)
        finder = ImageFinder(loaded.roots)
        paths = finder.column_paths(table)
        masks = finder.column_paths(table, "mask_path") if return_mask else None
        stated, names = row_classes(table, column), class_names(table, column)
        numbers = class_numbers(stated, names)
        missing = count_missing(paths, allowed=allow_missing)
        what = "mask" if return_mask else column
        wanted = rows_with(paths, stated if masks is None else masks)
        if left := len(paths) - missing - len(wanted):
            self._resources.say(
                f"{count_nouns(left, 'row')} without {what} {agree_verb(left, 'are')} left out"
            )
        require_images(len(wanted), f"an image and a {what}")
        values = number_values(
            table.take(wanted), columns, self._list_words(columns, words), self._resources.say
        )
        return ImageDataset(
            pick_paths(paths, wanted),
            pick_numbers(numbers, wanted),
            names,
            None if masks is None else pick_paths(masks, wanted),
            transform,
            values.numbers,
            values.words,
        )

    def _list_words(
        self, columns: Sequence[str], given: Mapping[str, Sequence[str]] | None
    ) -> Mapping[str, Sequence[str]]:
        """The words of columns that the vocabulary closes, and those that were given."""
        sites = (
            {"body_site": list(self._resources.catalog.load_body_sites())} if "body_site" in columns else {}
        )
        return {**sites, **(given or {})}

    def browse(
        self,
        *,
        labels: str | None = None,
        predictions: Any = None,
        exclusions: "str | os.PathLike[str]" = "exclusions.tsv",
        host: str = "127.0.0.1",
        port: int = 0,
        show: bool = False,
    ) -> "PageServer":
        """Serve a local page to look at the pictures, and to mark those that are not wanted.

        Parameters
        ----------
        labels : str, optional
            A label space whose classes are a facet, and those of the predictions.
        predictions : path, pandas.DataFrame or pyarrow.Table, optional
            A model's predictions, as `evaluate` takes them.
        exclusions : path, default "exclusions.tsv"
            The list that marks are written to, for `exclude`.
        host : str, default "127.0.0.1"
            The address to listen on; "0.0.0.0" is all, and lets other machines in, by `remote_address` of the page.
        port : int, default 0
            The port; 0: a free one.
        show : bool, default False
            Open it in the browser.

        Returns
        -------
        PageServer
            With its `address` and `stop()`; as a context manager it stops at the end.

        Raises
        ------
        UsageError
            Without the extra `browse`, where no row is left, or for a host that is not this machine's.
        StorageError
            Where the port is taken, or the list has no folder.

        Examples
        --------
        >>> with demo.browse() as page:  # doctest: +SKIP
        ...     print(page.address)

        """
        from dermdata.api.browsing import BrowseRequest, open_page, serve_page

        request = BrowseRequest(
            labels=labels, predictions=predictions, exclusions=Path(exclusions), host=host, port=port
        )
        server = serve_page(self._resources, cast("Manifest", self), request)
        server.start()
        if show:
            open_page(server.address)
        return server

    def to_huggingface(self, *, fold: int | None = None) -> "datasets.DatasetDict":
        """Return a `datasets.DatasetDict` by split (`all` without one); images are read when a row is asked for.

        The column of the classes is a `ClassLabel` named `label`; paths lie where the images lie, nothing is copied.

        Parameters
        ----------
        fold : int, optional
            The rows of this fold are the part `val`, those of the others `train`.

        Raises
        ------
        UsageError, UnknownName
            For rows in folds and in no parts without `fold`, and for a fold that there is not.

        """
        import datasets

        from dermdata.export.job import (
            class_column,
            class_numbers,
            refuse_folds,
            row_classes,
            set_fold_parts,
        )
        from dermdata.manifest.split_classes import class_names

        column = class_column(self.table)
        names = list(class_names(self.table, column))
        numbers = class_numbers(row_classes(self.table, column), names)
        parts = self.table if fold is None else set_fold_parts(self.table, fold)
        refuse_folds(parts)
        frame = self.to_pandas()
        frame["split"] = text_column(parts, "split").to_pandas()
        frame[IMAGE] = frame["path"]
        frame = frame.drop(columns=[name for name in ("label", "phash") if name in frame])
        found = {}
        for part, chosen in rows_of_parts(frame).items():
            rows = frame.iloc[chosen].reset_index(drop=True)
            data = datasets.Dataset.from_pandas(rows, preserve_index=False)
            data = data.add_column("label", [numbers[row] for row in chosen])
            data = data.cast_column("label", datasets.ClassLabel(names=names))
            found[part] = data.cast_column(IMAGE, datasets.Image())
        return datasets.DatasetDict(found)


def strip_keys(columns: Sequence[str]) -> list[str]:
    """The columns that `extra.NAME` and the like are read from."""
    return [name.partition(".")[0] for name in columns]


def count_missing(paths: Sequence[str | None], *, allowed: bool) -> int:
    """How many images are not there; UsageError where that is not allowed."""
    missing = paths.count(None)
    if missing and not allowed:
        raise UsageError(
            f"{count_share(missing, len(paths), 'row', 'have')} no image file",
            hint="fetch the images, or pass allow_missing=True",
        )
    return missing


def rows_with(paths: Sequence[str | None], answers: Sequence[str | None]) -> list[int]:
    """The numbers of the rows that have both an image and what is to be learned of it."""
    return [
        row
        for row, (path, answer) in enumerate(zip(paths, answers, strict=True))
        if path is not None and answer is not None
    ]


def pick_paths(paths: Sequence[str | None], rows: Sequence[int]) -> list[str]:
    """The files of these rows, each of which has one."""
    return [paths[row] or "" for row in rows]


def pick_numbers(numbers: Sequence[int | None], rows: Sequence[int]) -> list[int]:
    """The classes of these rows by their numbers, -1 for none."""
    return [-1 if (number := numbers[row]) is None else number for row in rows]


def rows_of_parts(frame: "pd.DataFrame") -> dict[str, list[int]]:
    """The numbers of each part's rows, the usual parts first; `all` where there is no split."""
    parts = frame["split"].fillna("unsplit") if frame["split"].notna().any() else ["all"] * len(frame)
    found: dict[str, list[int]] = {}
    for row, part in enumerate(parts):
        found.setdefault(str(part), []).append(row)
    usual = {name: place for place, name in enumerate(USUAL_PARTS)}
    return dict(sorted(found.items(), key=lambda one: (usual.get(one[0], len(usual)), one[0])))
