"""A manifest: rows of images with their labels, and where the images are. Each method that changes rows gives a new one."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dermdata.api.exporting import save_manifest
from dermdata.api.label_spaces import ADDED, Differential, find_share, name_share, project
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.api.manifest_conversions import ConvertibleRows
from dermdata.api.manifest_rows import FEW, PIPED, ROWS_SHOWN, USED, Columns
from dermdata.api.manifest_selection import Dedupe, SelectableRows
from dermdata.api.records import Records
from dermdata.api.results import Parts, Row, Selected
from dermdata.api.splitting import (
    JUDGED,
    PICTURES,
    choose_strata,
    find_near_duplicates,
    judge_split,
    list_notes,
)

if TYPE_CHECKING:
    from dermdata.api.auditing import AuditFindings
    from dermdata.api.exporting import ExportRequest
    from dermdata.api.targets import Loaded
    from dermdata.cohort.cite import Credits
    from dermdata.duplicates import NearDuplicates
    from dermdata.export import ExportResult

__all__ = [
    "FEW", "PICTURES", "PIPED", "ROWS_SHOWN", "USED", "Columns", "Dedupe", "GroupBy", "Manifest", "Parts", "Records",
    "Row", "Selected",
]  # fmt: skip

GroupBy = Literal["auto", "patient", "lesion", "case", "image"]


class Manifest(ConvertibleRows, SelectableRows):
    """Rows of images with harmonized labels, and where their files are.

    Made by `dermdata.load`, `dermdata.select` and by its own methods; never changed in place. It is read from disk
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

    # ------------------------------------------------------------------ splits

    def split(
        self,
        *,
        by: GroupBy = "auto",
        ratios: Mapping[str, float] | str | None = None,
        folds: int | None = None,
        stratify: Sequence[str] | None = None,
        labels: str | None = None,
        strict: bool = False,
        differential: Differential | None = None,
        min_weight: float | None = None,
        official: bool = False,
        stable: bool = False,
        near: bool = False,
        seed: int = 0,
        allow_missing: bool = False,
    ) -> Parts:
        """Split without leaks: no patient, lesion or image is in two parts.

        Parameters
        ----------
        by : {"auto", "patient", "lesion", "case", "image"}
            What must stay together.
        ratios : mapping of str to float, or str, optional
            Parts and their shares, also as "train=0.8,test=0.2"; train 0.7, val 0.15 and test 0.15 unless told.
        folds : int, optional
            So many folds instead of parts.
        stratify : sequence of str, optional
            Columns whose mix each part mirrors, also as "diagnosis,sex"; `label` where the rows have one, else
            `diagnosis`.
        labels : str, optional
            A label space, whose classes become the column `label` first.
        strict : bool, default False
            Raise where a row has no class in the space.
        differential : {"all", "top"}, optional
            A weighted differential has a class where all its weight lies in it, which is usual; "top": the heaviest.
        min_weight : float, optional
            The heaviest class of a differential, if it has at least this share of the weight.
        official : bool, default False
            Keep the publisher's test set, and split the rest.
        stable : bool, default False
            Place each group by its hash: more rows later move none.
        near : bool, default False
            Keep near duplicates together too.
        seed : int, default 0
            Another seed, another split.
        allow_missing : bool, default False
            Near duplicates are looked for without the images that are not found.

        Returns
        -------
        Parts

        Raises
        ------
        ImagesMissing
            For images that must be compared and are not found.
        UsageError
            Where the request cannot be met.

        """
        from dermdata.manifest.split_classes import CLASS_COLUMNS, list_split_classes
        from dermdata.split import SPLIT_COLUMNS, split_rows

        share = find_share(labels, differential, min_weight)
        wanted = (
            *SPLIT_COLUMNS,
            *CLASS_COLUMNS,
            *ADDED,
            *(PROJECTED if labels else ()),
            *(PICTURES if near else ()),
        )
        loaded = self._read_columns(lambda _: wanted)
        alike = find_near_duplicates(self._resources, loaded, allow_missing=allow_missing) if near else None
        table = loaded.table
        if labels:
            table = project(self._resources, table, labels, strict=strict, share=share)
        mirrored = choose_strata(table) if stratify is None else to_option_text(stratify)
        result = split_rows(
            table, by=by, ratios=to_shares(ratios), folds=folds, stratify=to_names(mirrored), official=official,
            stable=stable, seed=seed, near=alike, rest=loaded.rest,
        )  # fmt: skip
        notes = list_notes(loaded, labeled=mirrored == "label" and stratify is None and not labels)
        result = replace(result, notes=(*result.notes, *notes))
        asked = {
            "by": by, "ratios": None if ratios is None else to_option_text(ratios), "folds": folds, "stratify": mirrored,
            "labels": labels, **name_share(share), "official": official, "stable": stable, "near": near, "seed": seed,
        }  # fmt: skip
        balance = json.dumps([vars(part) for part in result.balance], ensure_ascii=False)
        facts = {"balance": balance, "classes": list_split_classes(result.table)}
        return Parts(self._derive(loaded, result.table, "split", asked, **facts), result)

    def check_split(self, *, by: GroupBy = "auto", near: bool = False) -> Records:
        """Judge the split that is there: patients, lesions, cases and images that are in two parts.

        Parameters
        ----------
        by : {"auto", "patient", "lesion", "case", "image"}
            What must not be in two parts; "image" for rows of which no patient or lesion is known.
        near : bool, default False
            Near duplicates in two parts are leaks too.

        Returns
        -------
        Records
            The leaks; `facts["leaks"]` counts what is in two parts, `facts["unjudged"]` the rows of which nothing can
            be said, so that without leaks only 0 is a clean split; `facts["not_judged"]` names the ids that no row has.

        Raises
        ------
        UsageError
            Where there is no split, or all rows are in one part.

        """
        return judge_split(self._resources, self._read_columns(lambda _: JUDGED), near=near, by=by)

    def near_duplicates(self) -> "NearDuplicates":
        """Find the near duplicates among the rows by their images; UsageError where no row has a perceptual hash."""
        return find_near_duplicates(self._resources, self._read_columns(lambda _: PICTURES))

    # ------------------------------------------------------------------ answers

    def stats(
        self,
        by: Sequence[str] = (),
        *,
        labels: str | None = None,
        strict: bool = False,
        differential: Differential | None = None,
        min_weight: float | None = None,
    ) -> Records:
        """Count images, patients and lesions by columns; an overview without any.

        Parameters
        ----------
        by : sequence of str
            Columns to count by, such as ("diagnosis", "sex").
        labels : str, optional
            A label space, whose classes become the column `label` first.
        strict : bool, default False
            Raise where a row has no class in the space.
        differential : {"all", "top"}, optional
            A weighted differential has a class where all its weight lies in it, which is usual; "top": the heaviest.
        min_weight : float, optional
            The heaviest class of a differential, if it has at least this share of the weight.

        Returns
        -------
        Records

        """
        from dermdata.api.summaries import CountRequest, count_rows, list_identities

        share = find_share(labels, differential, min_weight)
        request = CountRequest.from_names(
            [by] if isinstance(by, str) else by, labels, strict=strict, share=share
        )
        table = self._read_columns(lambda _: (*request.columns, *list_identities(self.source))).table
        return count_rows(self._resources, table, self.names, request)

    def audit(
        self,
        *,
        near: bool = False,
        apply: Sequence[str] = (),
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
        jobs: int | None = None,
        engine: str | None = None,
        report: str | os.PathLike[str] | None = None,
        allow_missing: bool = False,
    ) -> "AuditFindings":
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

        engine : str, optional
            The scheduler of a cluster that looks at the images, as "dask://HOST:PORT".
        report : path, optional
            Write all of it as one offline page, too.
        allow_missing : bool, default False
            Images that rows name and that are not found are no findings.

        Returns
        -------
        AuditFindings
            A record a finding: `level, code, dataset, keys, message, evidence`; `facts` count the levels.

        Raises
        ------
        UsageError, UnknownName
            For a code or a list that there is not, and for a report that cannot be written.

        """
        from dermdata.api.auditing import AuditRequest, audit_rows, list_columns

        request = AuditRequest(
            near=near, apply=apply, only=only, skip=skip, jobs=jobs, engine=engine,
            report=None if report is None else Path(report), allow_missing=allow_missing,
        )  # fmt: skip
        request.require_possible("near=True")
        read = self._read_all if request.report else lambda: self._read_columns(lambda _: list_columns())
        return audit_rows(self._resources, request, self._source, read)

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
        from dermdata.api.summaries import credit_rows

        return credit_rows(self._resources, self.table)

    def table1(
        self, by: str = "dataset", *, form: Literal["markdown", "latex", "csv", "json"] = "markdown"
    ) -> str:
        """Describe the rows as a paper's Table 1: the text that `dermdata cite --table1` prints.

        Parameters
        ----------
        by : str, default "dataset"
            The column that is spread out, such as "split".
        form : {"markdown", "latex", "csv", "json"}, default "markdown"
            How it is written.

        Raises
        ------
        UnknownName
            For a column or a form that there is not.

        """
        from dermdata.api.summaries import format_table1

        return format_table1(self.table, by=by, form=form)

    def export(
        self,
        name: str,
        out: str | os.PathLike[str],
        *,
        labels: str | None = None,
        strict: bool = False,
        differential: Differential | None = None,
        min_weight: float | None = None,
        embed: bool = False,
        split: str | None = None,
        fold: int | None = None,
        size: int | None = None,
        resize: "str | tuple[int, int] | None" = None,
        fit: Literal["pad", "crop", "stretch"] | None = None,
        strip_exif: bool = False,
        redistributable: bool = False,
        copy: bool = False,
        excel_safe: bool = False,
        columns: Sequence[str] = (),
        flat: bool = False,
        allow_missing: bool = False,
        jobs: int | None = None,
        engine: str | None = None,
    ) -> "ExportResult":
        """Write the rows, and images if asked to, in the format of another tool.

        Parameters
        ----------
        name : str
            parquet, csv, jsonl, imagefolder, webdataset, huggingface, coco, croissant, yolo, yolo-seg, masks or nnunet.
        out : path
            The folder or file to write, or `s3://BUCKET/PREFIX`.
        labels : str, optional
            A label space, whose classes become the column `label` first.
        strict : bool, default False
            Raise where a row has no class in the space.
        differential : {"all", "top"}, optional
            A weighted differential has a class where all its weight lies in it, which is usual; "top": the heaviest.
        min_weight : float, optional
            The heaviest class of a differential, if it has at least this share of the weight.
        embed : bool, default False
            Put the image bytes into the output.
        split : str, optional
            Only this part.
        fold : int, optional
            The rows of this fold are the part `val`, those of the others `train`.
        size : int, optional
            Scale images down so that the longest side has so many pixels.
        resize : str or tuple of int, optional
            Bring each image to this width and height in pixels, as "224", "320x240" or (320, 240); masks and boxes follow.
        fit : {"pad", "crop", "stretch"}, optional
            How, "pad" unless told: with black bars, cut at the edges, or out of proportion.
        strip_exif : bool, default False
            Images without private metadata.
        redistributable : bool, default False
            Only images whose license allows passing them on.
        copy : bool, default False
            imagefolder, coco, yolo and masks: files of its own instead of links.
        excel_safe : bool, default False
            csv: a ' before cells that a spreadsheet would take for a formula.
        columns : sequence of str
            Of a table (parquet, csv, jsonl) only these, in this order; `extra.NAME` is a source's own, `extra.*` each.
        flat : bool, default False
            A table of plain words and numbers: several values as JSON, `extra` as columns, none without a value.
        allow_missing : bool, default False
            Images that rows name may be missing.
        jobs : int, optional
            Threads that read and scale images; all cores unless told.
        engine : str, optional
            The scheduler of a cluster that reads and scales images, as "dask://HOST:PORT".

        Returns
        -------
        ExportResult
            The files, how many rows they hold, and what was left out for which reason.

        Raises
        ------
        UnknownName, UsageError, IntegrityError, StorageError
        ImagesMissing
            When all else is written, for images that are not found; its `result` is the ExportResult.

        """
        from dermdata.api.exporting import ExportRequest, export_rows, require_format

        require_format(name)
        request = ExportRequest(
            name=name, out=os.fspath(out), labels=labels, strict=strict,
            share=find_share(labels, differential, min_weight), embed=embed, split=split, fold=fold, size=size,
            resize=to_size_text(resize), fit=fit,
            strip_exif=strip_exif, redistributable=redistributable, copy=copy, excel_safe=excel_safe,
            columns=tuple(columns), flat=flat, allow_missing=allow_missing, jobs=jobs, engine=engine,
        )  # fmt: skip
        return export_rows(self._resources, self._to_export(request), request)

    def plan_export(self, name: str, out: str | os.PathLike[str], **options: Any) -> Records:
        """Tell what `export` would write with the same options; nothing is written.

        Returns
        -------
        Records
            A record a file or a folder of images: `path, rows, size_bytes, there` (whether it is there already).

        """
        from dermdata.api.exporting import ExportRequest, plan_rows, require_format

        require_format(name)
        choice = options.pop("differential", None), options.pop("min_weight", None)
        share = find_share(options.get("labels"), *choice)
        request = ExportRequest(name=name, out=os.fspath(out), share=share, **options)
        return plan_rows(self._resources, self._to_export(request), request)

    def _to_export(self, request: "ExportRequest") -> "Loaded":
        """The rows as far as the export needs them at hand."""
        return self._read_columns(lambda _: request.deciding_columns) if request.is_lean else self._read_all()

    def save(
        self,
        out: str | os.PathLike[str],
        *,
        paths: Literal["absolute", "relative"] | None = None,
        allow_missing: bool = False,
    ) -> Path:
        """Write the manifest as a file: .parquet, .csv, .jsonl or .arrow, by its ending.

        Parameters
        ----------
        out : path
            The file.
        paths : {"absolute", "relative"}, optional
            How images are named: absolute unless told, so that any program opens them; relative ones start in the
            dataset's folder of a cache, else in the file's own folder.
        allow_missing : bool, default False
            Images that rows name may be missing.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ImagesMissing
            When the file is written, for images that are not found.

        """
        save_manifest(
            self._resources, self.loaded.rows(), self.loaded.roots, os.fspath(out), paths=paths,
            allow_missing=allow_missing,
        )  # fmt: skip
        return Path(out)


def to_option_text(words: Mapping[str, float] | Sequence[str] | str) -> str:
    """Words or shares as the command line has them; a text as it stands."""
    if isinstance(words, Mapping):
        words = [f"{name}={share:g}" for name, share in words.items()]
    return words if isinstance(words, str) else ",".join(words)


def to_size_text(size: "str | tuple[int, int] | None") -> str | None:
    """Width and height as the command takes them."""
    return "x".join(map(str, size)) if isinstance(size, tuple) else size


def to_names(text: str) -> tuple[str, ...]:
    """The words of a text that commas part."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def to_shares(ratios: Mapping[str, float] | str | None) -> Mapping[str, float] | None:
    """Parts and their shares, as given or from a text; None where the usual ones are meant."""
    from dermdata.split import parse_ratios

    if isinstance(ratios, str):
        return parse_ratios(ratios) if ratios else None
    return ratios
