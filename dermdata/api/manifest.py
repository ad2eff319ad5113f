"""A manifest: rows of images with their labels, and where the images are. Each method that changes rows gives a new one."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pyarrow as pa

from dermdata.api.images import ImageDataset, Transform, require_images
from dermdata.api.label_spaces import ADDED, project, refuse, sources_of, space_of, words_of
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.results import FINDING, IMAGE, Parts, Row, Selected, thumbnail
from dermdata.api.targets import Loaded, load, load_lean, near_of
from dermdata.api.write_manifest import command_line, record_command, write_manifest
from dermdata.errors import UnknownName, UsageError
from dermdata.manifest.rest import Rows

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars

    from dermdata.cite import Credits
    from dermdata.duplicates import Alike
    from dermdata.export import Written

PIPED = ("-",)  # what a command line names in place of a manifest that another command has made
USED = ("dataset", "image_id", "key", "isic_id", "patient_id", "lesion_id")  # in each selection
PICTURES = ("path", "sha256", "phash")  # by which near duplicates are found
ROWS_SHOWN = 5  # in a notebook
FEW = 4  # columns that are read one by one
Dedupe = Literal["none", "id", "exact", "near"]
GroupBy = Literal["auto", "patient", "lesion", "case", "image"]
Columns = Callable[[Sequence[str]], Sequence[str]]


class Manifest:
    """Rows of images with harmonized labels, and where their files are.

    Made by `dermdata.load`, `dermdata.selection` and by its own methods; never changed in place. It is read from disk
    as far as a method needs it, and it pickles.

    Examples
    --------
    >>> import dermdata as dd
    >>> demo = dd.load("demo")
    >>> len(demo)
    120
    >>> parts = demo.where("age >= 40").split(by="patient", seed=7)
    >>> parts.train[0]["image"].size
    (256, 192)

    """

    def __init__(
        self, resources: Resources, loaded: Loaded, source: Sequence[str], *, whole: bool = False
    ) -> None:
        self._resources = resources
        self.loaded = loaded
        self._source = tuple(source)
        self._whole = whole  # all rows of the source: more columns are read from it in one go

    @classmethod
    def of_targets(cls, resources: Resources, targets: Sequence[str]) -> "Manifest":
        """Read what the targets are; of Parquet files here only a few columns are held."""
        loaded = load_lean(resources, targets, lambda _: USED)
        return cls(resources, loaded, targets, whole=loaded.rest is not None)

    # ------------------------------------------------------------------ reading

    def __len__(self) -> int:
        return int(self.loaded.table.num_rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets that the rows are of."""
        return self.loaded.names

    @cached_property
    def table(self) -> pa.Table:
        """All rows and columns, as MANIFEST describes them; paths as they are stored."""
        return self.loaded.rows().whole().select(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """The columns' names, types and descriptions, and the manifest's own metadata."""
        return self.loaded.rows().schema

    @property
    def history(self) -> tuple[str, ...]:
        """The command lines that made these rows, oldest first."""
        return tuple(json.loads(self.loaded.about.get("history", "[]")))

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> "Manifest": ...
    def __getitem__(self, place: "int | slice") -> "Row | Manifest":
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            return self.take_rows(pa.array(range(start, stop, step), pa.int64()))
        if not -len(self) <= place < len(self):
            raise IndexError(f"row {place} of {len(self):,}")
        return next(self._rows_from(place % len(self), 1))

    def __iter__(self) -> Iterator[Row]:
        return self._rows_from(0, len(self))

    def _rows_from(self, start: int, count: int) -> Iterator[Row]:
        """So many rows from one on, some hundreds at a time."""
        from dermdata.manifest.image_files import ImageFinder

        finder = ImageFinder(self.loaded.roots)
        for begin in range(start, start + count, 512):
            block = self.table.slice(begin, min(512, start + count - begin))
            images, masks = finder.column(block), finder.column(block, "mask_path")
            for values, path, mask in zip(
                block.to_pylist(maps_as_pydicts="strict"), images, masks, strict=True
            ):
                yield Row({**values, **({"path": path} if path else {})}, path, mask)

    def take_rows(self, which: "pa.Array | pa.ChunkedArray") -> "Manifest":
        """The rows of these numbers, or those at which a boolean array is true."""
        table = self.loaded.table
        chosen = table.filter(which) if pa.types.is_boolean(which.type) else table.take(which)
        return Manifest(self._resources, replace(self.loaded, table=chosen), self._source)

    def _holding(self, columns: Columns) -> Loaded:
        """The rows with these columns at hand; which, is told by the names of all."""
        rows, table = self.loaded.rows(), self.loaded.table
        there = rows.column_names
        wanted = columns(there)
        missing = [name for name in dict.fromkeys(wanted) if name in there and name not in table.column_names]
        if missing and self._whole:
            return load_lean(self._resources, self._source, lambda _: (*USED, *wanted))
        if len(missing) > FEW:
            return replace(self.loaded, table=rows.whole(), rest=None)  # nothing is left on disk
        for name in missing:
            table = table.append_column(rows.schema.field(name), rows.column(name))
        return replace(self.loaded, table=table)

    def _made(self, rows: Rows, name: str, asked: Mapping[str, Any], **facts: str) -> "Manifest":
        """The rows that a command has made, with that command in their history."""
        table = record_command(rows.table, command_line(name, self._source, asked), facts)
        return Manifest(self._resources, replace(self.loaded, table=table, rest=rows.rest), PIPED)

    # ------------------------------------------------------------------ for other libraries

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table with absolute paths, null where there is no file."""
        from dermdata.export.files import anywhere
        from dermdata.manifest.image_files import ImageFinder

        table, _ = anywhere(self.table, ImageFinder(self.loaded.roots))
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
        from dermdata.api.frames import flat_frame

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
        allow_missing : bool, default False
            Leave out rows whose image file is not there.

        Returns
        -------
        ImageDataset
            Rows without a class (or mask) are left out, and their number is told.

        Raises
        ------
        UsageError
            Where an image that a row names is not there, or no row is left.

        """
        from dermdata.export import classes
        from dermdata.manifest.image_files import ImageFinder

        loaded = self._holding(
            lambda _: ("path", "mask_path", *classes.COLUMNS, *([target] if target else []))
        )
        table = loaded.table
        column = target or classes.column(table)
        if column not in table.column_names:
            raise UnknownName("column", column, self.schema.names)
        given = classes.words(table, column)
        names = classes.named(table, column)
        finder = ImageFinder(loaded.roots)
        paths = finder.column(table)
        masks = finder.column(table, "mask_path") if return_mask else [None] * len(paths)
        missing = sum(path is None for path in paths)
        if missing and not allow_missing:
            raise UsageError(
                f"{missing:,} of {len(paths):,} rows have no image file",
                hint="fetch the images, or pass allow_missing=True",
            )
        wanted = [
            row
            for row, path in enumerate(paths)
            if path is not None and (masks[row] is not None if return_mask else given[row] is not None)
        ]
        what = "mask" if return_mask else column
        if left := len(paths) - missing - len(wanted):
            self._resources.say(f"{left:,} rows without {what} are left out")
        require_images(len(wanted), f"an image and a {what}")
        numbers = classes.numbers(given, names)
        return ImageDataset(
            [paths[row] or "" for row in wanted],
            [-1 if (number := numbers[row]) is None else number for row in wanted],
            names,
            [masks[row] or "" for row in wanted] if return_mask else None,
            transform,
        )

    def to_huggingface(self) -> "datasets.DatasetDict":
        """Return a `datasets.DatasetDict` by split (`all` without one); images are read when a row is asked for.

        The column of the classes is a `ClassLabel` named `label`; paths lie where the images lie, nothing is copied.
        """
        import datasets

        from dermdata.export import classes

        frame = self.to_pandas()
        column = classes.column(self.table)
        names = list(classes.named(self.table, column))
        frame[IMAGE] = frame["path"]
        numbers = classes.numbers(classes.words(self.table, column), names)
        frame = frame.drop(columns=[name for name in ("label", "phash") if name in frame])
        parts = frame["split"].fillna("unsplit") if frame["split"].notna().any() else ["all"] * len(frame)
        found = {}
        usual = {name: place for place, name in enumerate(("train", "val", "test"))}
        for part in sorted(dict.fromkeys(parts), key=lambda name: (usual.get(name, len(usual)), name)):
            chosen = [row for row, name in enumerate(parts) if name == part]
            rows = frame.iloc[chosen].reset_index(drop=True)
            data = datasets.Dataset.from_pandas(rows, preserve_index=False)
            data = data.add_column("label", [numbers[row] for row in chosen])
            data = data.cast_column("label", datasets.ClassLabel(names=names))
            found[str(part)] = data.cast_column(IMAGE, datasets.Image())
        return datasets.DatasetDict(found)

    # ------------------------------------------------------------------ choosing rows

    def select(
        self,
        *,
        where: str | None = None,
        labels: str | None = None,
        strict: bool = False,
        refine: Sequence[str] = (),
        dedupe: Dedupe = "none",
        sample: int | None = None,
        per_class: bool = False,
        seed: int = 0,
        show: Sequence[str] = (),
    ) -> Selected:
        """Refine labels, name classes, filter, drop duplicates and sample, in this order.

        Parameters
        ----------
        where : str, optional
            Only rows of which this is true: SQL over the columns, and `diagnosis under 'concept'`.
        labels : str, optional
            A label space, such as "malignancy", "ham7" or a file: adds the columns `label` and `label_reason`.
        strict : bool, default False
            Raise where a row has no class in the space.
        refine : sequence of str
            Targets whose finer label of the same image (isic_id) is taken.
        dedupe : {"none", "id", "exact", "near"}
            Keep one row of each image: same isic_id, same bytes, or near duplicates too.
        sample : int, optional
            Keep so many rows, chosen by the hash of their keys.
        per_class : bool, default False
            So many of each class.
        seed : int, default 0
            Another seed, another sample.
        show : sequence of str
            Further columns that are to be at hand in the result.

        Returns
        -------
        Selected

        Raises
        ------
        UsageError, UnknownName, BadTable
            For a condition, space or column that cannot be.
        ProblemsFound
            With `strict`, for rows without a class.

        """
        from dermdata.selection import NEEDED, Wanted, columns_of
        from dermdata.selection import select as select_rows

        library = self._resources.library

        def columns(names: Sequence[str]) -> Sequence[str]:
            if dedupe != "none":
                return names  # which row says more, and what its ids are, is a matter of all columns
            known = (*names, *ADDED, *NEEDED)
            asked = columns_of(where, known, library.vocabulary) if where else ()
            return (*USED, *PROJECTED, *ADDED, *show, *(NEEDED if refine else ()), *asked)

        loaded = self._holding(columns)
        wanted = Wanted(
            where=where,
            space=space_of(self._resources, labels) if labels else None,
            dedupe=None if dedupe == "none" else dedupe,
            sample=sample,
            per_class=per_class,
            seed=seed,
            near=near_of(loaded),
        )
        finer = load(self._resources, refine, NEEDED) if refine else None
        named = [sources_of(one.table) for one in (loaded, finer) if one]
        words = words_of(self._resources, set().union(*named))
        done = select_rows(loaded.table, wanted, library.vocabulary, words, finer and finer.table)
        asked = {
            "where": where, "labels": labels, "refine": ",".join(refine) or None, "dedupe": wanted.dedupe,
            "sample": sample, "per-class": per_class, "seed": sample and seed,
        }  # fmt: skip
        selected = Selected(self._made(loaded.rows(done.table), "select", asked), done)
        if strict and labels:
            refuse([dict(one) for one in selected.unexpressed], labels)
        return selected

    def where(self, condition: str) -> "Manifest":
        """Keep the rows of which the condition is true: `"age >= 60 and diagnosis under 'melanoma'"`."""
        return self._selected(self.select(where=condition))

    def with_labels(self, space: str, *, strict: bool = False) -> "Manifest":
        """Name the class of each row in a label space, such as "malignancy" or "ham7"."""
        return self._selected(self.select(labels=space, strict=strict))

    def refine(self, *targets: str) -> "Manifest":
        """Take the finer label that the same image (isic_id) has in these targets."""
        return self._selected(self.select(refine=targets))

    def dedupe(self, by: Dedupe = "id") -> "Manifest":
        """Keep one row of each image: same isic_id, same bytes ("exact"), or near duplicates too ("near")."""
        return self._selected(self.select(dedupe=by))

    def sample(self, count: int, *, per_class: bool = False, seed: int = 0) -> "Manifest":
        """Keep so many rows, or so many of each class, chosen by the hash of their keys."""
        return self._selected(self.select(sample=count, per_class=per_class, seed=seed))

    def _selected(self, done: Selected) -> "Manifest":
        """The manifest of a selection; what was done is told."""
        for note in done.notes:
            self._resources.say(note)
        if done.conflicts:
            self._resources.say(f"{len(done.conflicts):,} images have labels that cannot both be true")
        if rows := sum(row["images"] for row in done.unexpressed):
            self._resources.say(f"{rows:,} rows have no class")
        return done.manifest

    # ------------------------------------------------------------------ splits

    def split(
        self,
        *,
        by: GroupBy = "auto",
        ratios: Mapping[str, float] | None = None,
        folds: int | None = None,
        stratify: Sequence[str] | None = None,
        labels: str | None = None,
        strict: bool = False,
        official: bool = False,
        stable: bool = False,
        near: bool = False,
        seed: int = 0,
    ) -> Parts:
        """Split without leaks: no patient, lesion or image is in two parts.

        Parameters
        ----------
        by : {"auto", "patient", "lesion", "case", "image"}
            What must stay together.
        ratios : mapping of str to float, optional
            Parts and their shares; train 0.7, val 0.15 and test 0.15 unless told.
        folds : int, optional
            So many folds instead of parts.
        stratify : sequence of str, optional
            Columns whose mix each part mirrors; `label` with `labels`, else `diagnosis`.
        labels : str, optional
            A label space, whose classes become the column `label` first.
        strict : bool, default False
            Raise where a row has no class in the space.
        official : bool, default False
            Keep the publisher's test set, and split the rest.
        stable : bool, default False
            Place each group by its hash: more rows later move none.
        near : bool, default False
            Keep near duplicates together too.
        seed : int, default 0
            Another seed, another split.

        Returns
        -------
        Parts

        Raises
        ------
        UsageError
            Where the request cannot be met.

        """
        from dermdata.split import WRITTEN
        from dermdata.split import split as split_rows

        mirrored = tuple(stratify) if stratify is not None else ("label" if labels else "diagnosis",)
        wanted = (*WRITTEN, *ADDED, *(PROJECTED if labels else ()), *(PICTURES if near else ()))
        loaded = self._holding(lambda _: wanted)
        alike = self.near_duplicates() if near else None
        table = project(self._resources, loaded.table, labels, strict=strict) if labels else loaded.table
        result = split_rows(
            table, by=by, ratios=ratios, folds=folds, stratify=mirrored, official=official, stable=stable,
            seed=seed, near=alike, rest=loaded.rest,
        )  # fmt: skip
        shares = ",".join(f"{name}={share:g}" for name, share in ratios.items()) if ratios else None
        asked = {
            "by": by, "ratios": shares, "folds": folds, "stratify": ",".join(mirrored), "labels": labels,
            "official": official, "stable": stable, "near": near, "seed": seed,
        }  # fmt: skip
        balance = json.dumps([vars(part) for part in result.balance], ensure_ascii=False)
        made = self._made(loaded.rows(result.table), "split", asked, balance=balance)
        return Parts(made, result)

    def check_split(self, *, near: bool = False) -> Records:
        """Judge the split that is there: patients, lesions, cases and images that are in two parts.

        Parameters
        ----------
        near : bool, default False
            Near duplicates in two parts are leaks too.

        Returns
        -------
        Records
            The leaks; `facts["not_judged"]` names the ids that no row has.

        """
        from dermdata.split import check

        used = (
            "key",
            "dataset",
            "split",
            "fold",
            "split_official",
            "fold_official",
            *USED,
            "case_id",
            *PICTURES,
        )
        loaded = self._holding(lambda _: used)
        found = check(loaded.table, self.near_duplicates() if near else None)
        ids = ("patient_id", "lesion_id", "sha256")
        absent = [
            name
            for name in ids
            if name not in loaded.table.column_names or loaded.table[name].null_count == len(self)
        ]
        return Records([vars(one) for one in found], FINDING, {"not_judged": absent})

    def near_duplicates(self) -> "Alike":
        """Find the near duplicates among the rows by their images; UsageError where no row has a perceptual hash."""
        loaded = self._holding(lambda _: PICTURES)
        hashed = "phash" in loaded.table.column_names and loaded.table["phash"].null_count < len(self)
        if not hashed:
            raise UsageError(
                "--near compares images, and no row has a perceptual hash", hint="fetch the images first"
            )
        found = near_of(loaded)(loaded.table)
        self._resources.say(found.said)
        return found

    # ------------------------------------------------------------------ answers

    def stats(self, by: Sequence[str] = (), *, labels: str | None = None, strict: bool = False) -> Records:
        """Count images, patients and lesions by columns; an overview without any.

        Parameters
        ----------
        by : sequence of str
            Columns to count by, such as ("diagnosis", "sex").
        labels : str, optional
            A label space, whose classes become the column `label` first.
        strict : bool, default False
            Raise where a row has no class in the space.

        Returns
        -------
        Records

        """
        from dermdata import stats as room

        columns = list(dict.fromkeys([by] if isinstance(by, str) else by))
        shown = columns or ([*ADDED, *room.OVERVIEW] if labels else list(room.OVERVIEW))
        needed = [*shown, *room.COUNTED.values(), *(PROJECTED if labels else ()), "dataset"]
        table = self._holding(lambda _: needed).table
        table = project(self._resources, table, labels, strict=strict) if labels else table
        if columns:
            return Records(room.tabulate(table, columns), (*columns, *room.MEASURES))
        several = ["dataset"] if len(self.names) > 1 else []
        return Records(room.overview(table, [*several, *shown]), ("by", "value", *room.MEASURES))

    def audit(
        self,
        *,
        near: bool = False,
        apply: Sequence[str] = (),
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
        jobs: int | None = None,
    ) -> Records:
        """Find broken images, duplicates, leaks, label conflicts and gaps.

        Parameters
        ----------
        near : bool, default False
            Find near duplicates too.
        apply : sequence of str
            Lists of known issues, such as "LIST@VERSION", whose images are taken away first.
        only, skip : sequence of str
            Codes of findings, such as "duplicate-exact".
        jobs : int, optional
            Threads; all cores unless told.

        Returns
        -------
        Records
            A record a finding: `level, code, dataset, keys, message, evidence`; `facts` count the levels.

        """
        from dermdata import audit as room
        from dermdata.api.auditing import audit_columns, context_of
        from dermdata.engine import executor

        if "duplicate-near" in only and not near:
            raise UsageError("duplicate-near is looked for only with near=True", hint="add near=True")
        codes = room.codes_of(list(only), list(skip))
        catalog = self._resources.catalog
        lists = [one for name in apply for one in room.find(catalog.roots, name, catalog)]
        loaded = self._holding(lambda _: audit_columns())
        rows = room.once(loaded.table)
        if twice := loaded.table.num_rows - rows.num_rows:
            self._resources.say(f"{twice:,} rows are there twice: taken once")
        applied = room.apply(rows, lists)
        changed = applied.table is not rows
        context = context_of(self._resources, loaded, self._source, applied.copies, changed=changed)
        with self._resources.show_progress() as progress:
            wanted = room.Wanted(near=near, codes=codes, jobs=jobs or os.cpu_count() or 1, make=executor)
            found = [*room.audit(applied.table, context, wanted, progress), *applied.findings]
        levels = {
            f"{level}s": sum(one.level == level for one in found) for level in ("error", "warning", "note")
        }
        return Records([vars(one) for one in found], FINDING, levels)

    def lock(self, out: str | os.PathLike[str]) -> Path:
        """Write a file of a few kB that `Session.sync` and `dermdata sync` rebuild exactly these rows from.

        Raises
        ------
        UsageError
            For rows of a dataset that no catalog knows, or that is not in the cache.
        CacheDamaged
            For an image that is not the one that its row says.

        """
        from dermdata import disk
        from dermdata.api.locking import lock_table

        path = Path(out)
        disk.require_file(path)
        lock_table(self._resources, self.table).write(path)
        return path

    def cite(self) -> "Credits":
        """Name whom to credit for exactly these rows, and what their licenses allow together."""
        from dermdata.cite import cite

        catalog = self._resources.catalog
        known = lambda name: catalog[name] if name in catalog else None  # noqa: E731, SIM401  # no dict
        return cite(self.table, known)

    def export(
        self,
        name: str,
        out: str | os.PathLike[str],
        *,
        labels: str | None = None,
        strict: bool = False,
        embed: bool = False,
        split: str | None = None,
        size: int | None = None,
        strip_exif: bool = False,
        redistributable: bool = False,
        copy: bool = False,
        excel_safe: bool = False,
        jobs: int | None = None,
    ) -> "Written":
        """Write the rows, and images if asked to, in the format of another tool.

        Parameters
        ----------
        name : str
            parquet, csv, jsonl, imagefolder, webdataset, huggingface, coco or croissant.
        out : path
            The folder or file to write, or `s3://BUCKET/PREFIX`.
        labels : str, optional
            A label space, whose classes become the column `label` first.
        strict : bool, default False
            Raise where a row has no class in the space.
        embed : bool, default False
            Put the image bytes into the output.
        split : str, optional
            Only this part.
        size : int, optional
            Scale images down so that the longest side has so many pixels.
        strip_exif : bool, default False
            Images without private metadata.
        redistributable : bool, default False
            Only images whose license allows passing them on.
        copy : bool, default False
            imagefolder and coco: files of its own instead of links.
        excel_safe : bool, default False
            csv: a ' before cells that a spreadsheet would take for a formula.
        jobs : int, optional
            Threads that read and scale images; all cores unless told.

        Returns
        -------
        Written
            The files, how many rows they hold, and what was left out for which reason.

        Raises
        ------
        UnknownName, UsageError, IntegrityError, StorageError

        """
        from contextlib import ExitStack

        from dermdata import export as room
        from dermdata import places

        room.format_named(name)
        target = os.fspath(out)
        table = self.table
        table = project(self._resources, table, labels, strict=strict) if labels else table
        catalog = self._resources.catalog
        with ExitStack() as stack:
            remote = places.is_remote(target)
            prefix = target.rpartition("/")[0] if target.endswith(".parquet") else target
            bucket = stack.enter_context(places.bucket(prefix)) if remote else None
            progress = stack.enter_context(self._resources.show_progress())
            job = room.Job(
                table=table, roots=self.loaded.roots, out=Path(target), bucket=bucket, embed=embed, split=split,
                size=size, strip=strip_exif, redistributable=redistributable, copy=copy,
                jobs=jobs or os.cpu_count() or 1, excel_safe=excel_safe,
                entries={one: catalog[one] for one in self.names if one in catalog}, progress=progress,
            )  # fmt: skip
            return room.write(name, job)

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write the manifest as a file: .parquet, .csv, .jsonl or .arrow, by its ending.

        Returns
        -------
        pathlib.Path
            The file.

        """
        write_manifest(self.loaded.rows(), os.fspath(out), {})
        return Path(out)

    def _repr_html_(self) -> str:
        """A notebook's view: the first rows with their pictures, a hundred pixels wide."""
        from html import escape

        shown = ("image_id", "diagnosis", "sex", "age", "split")
        heads = "".join(f"<th>{escape(name)}</th>" for name in (IMAGE, *shown))
        rows = "".join(
            f"<tr><td>{thumbnail(row)}</td>"
            + "".join(
                f"<td>{escape(str(row.get(name) if row.get(name) is not None else ''))}</td>"
                for name in shown
            )
            + "</tr>"
            for row in self[:ROWS_SHOWN]
        )
        return f"<p>{escape(repr(self)[1:-1])}</p><table><tr>{heads}</tr>{rows}</table>"

    def __repr__(self) -> str:
        whose = f" of {', '.join(self.names)}" if self.names else ""
        return f"<manifest of {len(self):,} images{whose}>"
