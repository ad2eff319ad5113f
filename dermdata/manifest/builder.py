"""Builds manifest rows from a source's own rows, and reports what became of each row and word.

Works on columns: each distinct word of a column is converted once, however many rows have it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.closed_words import CLOSED_WORDS
from dermdata.crosswalks import Crosswalk
from dermdata.errors import TableRefused, UnknownName
from dermdata.limits import REJECTED
from dermdata.manifest.convert import (
    SourceColumn,
    add_count,
    boxes_column,
    canonical_isic_ids,
    concept_maps,
    constant_column,
    diagnosis_columns,
    differential_columns,
    fill_template,
    first_known,
    image_columns,
    is_yes_or_no,
    malignancy_columns,
    namespace_ids,
    null_if,
    questions_column,
    several_diagnoses,
    strip_extension,
    translate_words,
    word_maps,
)
from dermdata.manifest.match import ImageIndex, summarize_problem
from dermdata.manifest.schema import KEYS, LIMITS, SCHEMA
from dermdata.manifest.several_values import LabelColumns, has_several_labels
from dermdata.manifest.stated_counts import count_differences
from dermdata.markup import count_nouns
from dermdata.model import ENTRY_COLUMNS, NOTHING, Content, Dataset, TableSpec
from dermdata.readers.typed_cells import clean_names, is_true
from dermdata.vocabulary import Vocabulary

NOT_CONVERTED = {"differential", "image", "image_id", "isic_id", "label_raw", "malignancy", *KEYS}
FOLD_RANGE = (0, 100)
SKIN_COLUMNS = ("fitzpatrick", "fitzpatrick_range")
NO_TABLE = "the catalog has no table of its rows: the files are here, the manifest is empty"
READER_COLUMNS = {  # columns that the readers make
    "@path", "@one-hot", "@image", "@view", "@group", "@row", "@file", "@split", "@number",
    "@key", "@boxes", "@questions",
}  # fmt: skip


@dataclass
class BuildReport:
    """What became of the source's rows and words; rows_in = rows + the rejected ones."""

    rows_in: int = 0
    rows: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)  # {table, row, reason}
    unmapped_labels: dict[str, int] = field(default_factory=dict)  # "field: word" -> rows
    unmapped_values: dict[str, int] = field(default_factory=dict)
    rows_without_image: int = 0
    undecodable: int = 0
    unusable: dict[str, int] = field(default_factory=dict)  # why an image that is there is none -> rows
    images_without_row: list[str] = field(default_factory=list)
    masks_without_row: list[str] = field(default_factory=list)
    unpartnered: dict[str, int] = field(default_factory=dict)  # join file -> rows without partner
    differences: list[str] = field(default_factory=list)  # from the catalog's expected counts


def drop_duplicate_ids(table: pa.Table, report: BuildReport) -> pa.Table:
    """Ordered by image_id; rows without one, and all but the first of those with the same, are rejected."""
    table = remove_rows(table, pc.equal(table["image_id"], ""), "the source names no image", report)
    table = sort_rows(table, table["image_id"].combine_chunks())
    ids = table["image_id"].combine_chunks()
    again = pc.equal(ids.slice(1), ids.slice(0, max(len(ids) - 1, 0)))
    twice = pa.concat_arrays([pa.repeat(pa.scalar(False), min(len(ids), 1)), again])
    return remove_rows(table, twice, "image_id appears more than once", report)


def sort_rows(table: pa.Table, ids: pa.Array) -> pa.Table:
    """The rows ordered by these ids, equal ones as they came; as they are where they are so: moving costs most."""
    if len(ids) < 2 or pc.all(pc.less_equal(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py():
        return table
    return table.take(pc.sort_indices(ids))


def remove_rows(
    table: pa.Table, lost: pa.Array | pa.ChunkedArray, reason: str, report: BuildReport
) -> pa.Table:
    """The rows that are not lost; the lost ones are rejected for this reason."""
    if not pc.any(lost).as_py():
        return table
    record_rejected(
        table.select(["image_id", "label_raw"]).filter(lost), reason, report
    )  # not a copy of all columns
    return table.filter(pc.invert(lost))


def record_rejected(lost: pa.Table, reason: str, report: BuildReport) -> None:
    if lost.num_rows > REJECTED:
        raise TableRefused(
            f"{count_nouns(lost.num_rows, 'row')} cannot be used: {reason}; the limit is {REJECTED:,}"
        )
    report.rejected += [{**row, "reason": reason} for row in lost.to_pylist()]


@dataclass(frozen=True)
class SourceTable:
    """One raw table (all columns text, "" for empty) and the catalog's word on how to read it."""

    spec: TableSpec
    rows: pa.Table
    rejected: tuple[Mapping[str, Any], ...] = ()
    unpartnered: Mapping[str, int] = field(default_factory=dict)


def build_manifest(
    dataset: Dataset,
    sources: Iterable[SourceTable],
    contents: Sequence[Content],
    crosswalk: Crosswalk,
    vocabulary: Vocabulary,
    body_sites: Mapping[str, str],
    lost: Mapping[str, str] = NOTHING,
    coverage: Mapping[str, bool | None] = MappingProxyType({}),
) -> tuple[pa.Table, BuildReport]:
    """Build the manifest of one dataset from its source's tables and cached files.

    Parameters
    ----------
    dataset : Dataset
        The catalog entry.
    sources : iterable of SourceTable
        The source's tables as they were read.
    contents : sequence of Content
        The cached files, images and masks among them.
    crosswalk : Crosswalk
        What the dataset's label words mean.
    vocabulary : Vocabulary
        The tree of the concepts that they mean.
    body_sites : mapping
        A body site's word -> its concept.
    lost : mapping, optional
        Why an image could not be had, by its name without extension.
    coverage : mapping, optional
        Catalog file -> whether a published checksum covers what is here of it; None where none is published.

    Returns
    -------
    table : pyarrow.Table
        The rows in SCHEMA, ordered by `image_id`, each of which is there once.
    report : BuildReport
        What became of the source's rows and words.

    Raises
    ------
    UnknownName
        The entry maps a column that no manifest has.
    TableRefused
        A weight of a graded label is no weight, or very many rows cannot be used.

    """
    report, images = BuildReport(), ImageIndex(contents, lost)
    words = (crosswalk, vocabulary, body_sites)
    tables = [TableBuilder(dataset, source, images, *words, report, coverage).build() for source in sources]
    table = drop_duplicate_ids(join_tables(tables), report)
    report.rows = table.num_rows
    report.images_without_row = images.unclaimed_images()
    report.masks_without_row = images.unclaimed_masks()
    without_table = [NO_TABLE] if contents and not tables else []
    report.differences = [*without_table, *count_differences(dataset, table, {one.role for one in contents})]
    return table, report


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables in one piece; those of a single one as they are, for they are many and copying takes time."""
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks() if tables else SCHEMA.empty_table()


class TableBuilder:
    """Builds one source table's manifest columns."""

    def __init__(
        self,
        dataset: Dataset,
        source: SourceTable,
        images: ImageIndex,
        crosswalk: Crosswalk,
        vocabulary: Vocabulary,
        body_sites: Mapping[str, str],
        report: BuildReport,
        coverage: Mapping[str, bool | None] = MappingProxyType({}),
    ) -> None:
        self.dataset, self.spec, self.rows, self.report = dataset, source.spec, source.rows, report
        self.images, self.crosswalk, self.vocabulary = images, crosswalk, vocabulary
        self.body_sites, self.coverage = body_sites, coverage
        self.columns: dict[str, pa.Array | pa.ChunkedArray] = {}
        report.rows_in += source.rows.num_rows + sum("mark" not in one for one in source.rejected)
        report.rejected += [dict(row) for row in source.rejected]
        for name, count in source.unpartnered.items():
            add_count(report.unpartnered, name, count)

    def build(self) -> pa.Table:
        self.require_fields()
        self.rows = sort_rows(self.rows, self.image_ids())
        self.add_identity()
        self.add_image_facts()
        self.add_label()
        self.add_clinical_concepts()
        self.add_nested()
        for name in sorted(self.fields() - NOT_CONVERTED):
            self.columns |= self.convert_field(name)
        self.add_license()
        self.columns["extra"] = self.extra_words()
        arrays = [self.columns.get(field.name, pa.nulls(self.row_count, field.type)) for field in SCHEMA]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    @property
    def row_count(self) -> int:
        return int(self.rows.num_rows)

    def fields(self) -> set[str]:
        firsts = set(self.spec.first) | {f"{name}_source" for name in self.spec.first}
        return set(self.spec.columns) | set(self.spec.constants) | firsts

    def require_fields(self) -> None:
        """UnknownName for a field that is no column of the manifest, or one that no catalog can set."""
        for name in sorted(self.fields() - set(ENTRY_COLUMNS)):
            raise UnknownName(
                "manifest column", name, ENTRY_COLUMNS, hint=f"one of {', '.join(ENTRY_COLUMNS)}"
            )
        if not {"image", "image_id"} & set(self.spec.columns):
            raise UnknownName("image column", "", (), hint="[table.columns] needs image_id or image")

    def raw_columns(self, name: str) -> list[pa.Array]:
        """Our field's raw words: a constant, or the source's columns; "" for none."""
        if name in self.spec.constants:
            return [pa.array([self.spec.constants[name]] * self.row_count, pa.string())]
        if name in self.spec.first or name.removesuffix("_source") in self.spec.first:
            return [self.first_known_words(name.removesuffix("_source"), whose=name not in self.spec.first)]
        return [self.rows[column].combine_chunks() for column in self.spec.columns[name]]

    def first_known_words(self, name: str, *, whose: bool) -> pa.Array:
        """The first known word of several columns, or which of them it comes from."""
        found = pa.array([""] * self.row_count, pa.string())
        for column, source in list(self.spec.first[name].items())[::-1]:
            words = self.rows[column].combine_chunks()
            known = pc.invert(pc.is_in(words, pa.array(self.spec.missing, pa.string())))
            found = pc.if_else(known, source if whose else words, found)
        return found

    def raw_text(self, name: str) -> pa.Array:
        """Our field's raw words as one, several columns joined by "/"; "" where all are empty."""
        parts = self.raw_columns(name)
        if len(parts) == 1:
            return parts[0]
        joined = pc.binary_join_element_wise(*parts, "/")
        return pc.if_else(pc.equal(joined, "/" * (len(parts) - 1)), "", joined)

    # -------------------------------------------------------------- identity and image

    def image_ids(self) -> pa.Array:
        name = "image_id" if "image_id" in self.spec.columns else "image"
        return strip_extension(clean_names(self.raw_text(name)))

    def add_identity(self) -> None:
        ids = self.columns["image_id"] = self.image_ids()
        self.columns["dataset"] = constant_column(self.dataset.name, self.row_count)
        self.columns["key"] = pc.binary_join_element_wise(self.dataset.name, ids, "/")
        if "isic_id" in self.fields():
            self.columns["isic_id"] = canonical_isic_ids(self.raw_text("isic_id"))
        for name in KEYS:
            if name in self.fields():
                self.columns[name] = namespace_ids(
                    self.raw_columns(name), self.dataset.name, self.spec.missing
                )

    def add_image_facts(self) -> None:
        named = clean_names(self.raw_text("image" if "image" in self.spec.columns else "image_id"))
        names = self.spec.images or None
        found, problems = self.images.find_images(named.to_pylist(), names, self.spec.over)
        problems = self.flag_problems(problems)
        self.columns |= image_columns(found, problems, self.coverage)
        self.columns |= self.images.mask_columns(
            {
                one: fill_template(name, self.rows, self.columns["image_id"])
                for one, name in self.spec.masks.items()
            }
        )
        missing = sum(content is None for content in found)
        self.report.rows_without_image += missing
        broken = [one for one, content in zip(problems, found, strict=True) if one and content]
        self.report.undecodable += len(broken)
        for problem, rows in Counter(map(summarize_problem, broken)).items():
            add_count(self.report.unusable, problem, rows)

    def flag_problems(self, problems: list[str | None]) -> list[str | None]:
        """The problems, where the source itself says that an image must not be used: its words."""
        if self.spec.image_url:
            nowhere = pc.equal(self.rows[self.spec.image_url].combine_chunks(), "").to_pylist()
            problems = [
                "the source gives no address" if one else p for one, p in zip(nowhere, problems, strict=True)
            ]
        for column in self.spec.flags:
            flags = is_true(self.rows[column].combine_chunks()).to_pylist()
            reason = f"the source says: {column}"
            problems = [reason if flag else problem for flag, problem in zip(flags, problems, strict=True)]
        return problems

    # -------------------------------------------------------------- words

    def add_clinical_concepts(self) -> None:
        named = (*self.spec.concepts, *self.spec.concept_from)
        if named:
            columns = {name: self.rows[name].combine_chunks() for name in named}
            self.columns["concepts"] = concept_maps(
                columns, self.row_count, self.spec.separators, self.spec.concept_from
            )

    def add_label(self) -> None:
        if "label_raw" in self.fields():
            self.add_diagnosis()
        if "malignancy" in self.fields():
            words = SourceColumn(
                self.raw_text("malignancy"), self.spec.values.get("malignancy", {}), self.spec.missing
            )
            self.columns |= malignancy_columns(words, self.columns, self.unmapped_recorder("malignancy"))

    def add_nested(self) -> None:
        """Boxes and questions, where the reader has found any."""
        for name, convert in (("boxes", boxes_column), ("questions", questions_column)):
            if f"@{name}" in self.rows.column_names:
                self.columns[name] = convert(self.rows[f"@{name}"].combine_chunks())

    def add_diagnosis(self) -> None:
        raw = translate_words(self.raw_text("label_raw"), self.spec.values.get("label_raw", {}))
        if "differential" in self.spec.columns:
            self.add_differential()
            return
        name = self.spec.label_field or "/".join(self.spec.columns.get("label_raw", ("label_raw",)))
        missing = [word for word in self.spec.missing if not self.crosswalk.lookup(name, word)]
        known = self.columns["label_raw"] = null_if(raw, ("", *missing))
        if has_several_labels(self.spec):
            labels = LabelColumns.of_table(self.spec, name, self.crosswalk, self.vocabulary)
            self.columns |= several_diagnoses(labels, known, self.rows)
            labels.report_words(self.report.unmapped_labels, self.report.unmapped_values)
            return
        self.columns |= diagnosis_columns(
            pc.fill_null(known, ""), name, self.crosswalk, self.vocabulary, self.report.unmapped_labels
        )

    def add_differential(self) -> None:
        """Graded labels: a diagnosis only where they are all of one concept."""
        (column,) = self.spec.columns["differential"]
        raw = self.rows[column].combine_chunks()
        self.columns["label_raw"] = null_if(raw, ("", "{}", *self.spec.missing))
        raw = pc.if_else(pc.is_in(raw, pa.array(self.spec.missing, pa.string())), "", raw)
        self.columns |= differential_columns(
            raw, self.spec.label_field or column, self.crosswalk, self.vocabulary, self.report.unmapped_labels
        )

    def convert_field(self, name: str) -> dict[str, pa.Array]:
        """One harmonized field, and the raw twin that MANIFEST keeps of it."""
        words = SourceColumn(self.raw_text(name), self.spec.values.get(name, {}), self.spec.missing)
        unmapped = self.unmapped_recorder(name)
        if name == "age":
            return words.to_ages()
        if name == "body_site":
            separator = self.spec.separators.get(self.spec.columns.get(name, ("",))[0])
            return words.to_body_sites(self.body_sites, unmapped, separator)
        kind = SCHEMA.field(name).type
        if name in SKIN_COLUMNS:
            return {name: words.to_skin_types(kind, unmapped)}
        if pa.types.is_integer(kind):
            return {name: words.to_whole_numbers(kind, LIMITS.get(name, FOLD_RANGE), unmapped)}
        if name in CLOSED_WORDS:
            return {name: words.to_choices(CLOSED_WORDS[name], unmapped)}
        return {name: words.to_type(kind)}

    def unmapped_recorder(self, name: str) -> Callable[[str, int], None]:
        def note(word: str, rows: int) -> None:
            add_count(self.report.unmapped_values, f"{name}: {word}", rows)

        return note

    def add_license(self) -> None:
        if self.dataset.license.id is None:
            return
        whole = constant_column(self.dataset.license.id, self.row_count)
        own = self.columns.get("license")
        self.columns["license"] = whole if own is None else first_known(own, whole)

    def extra_words(self) -> pa.Array:
        """Every source column whose words do not stand verbatim in a manifest column."""
        used = {column for columns in self.spec.columns.values() for column in columns}
        made = (READER_COLUMNS | self.pattern_columns()) - used
        kept = made | self.verbatim_columns() | self.file_columns()
        left = [name for name in self.rows.column_names if name not in kept]
        return word_maps({name: self.rows[name].combine_chunks() for name in left}, self.row_count)

    def verbatim_columns(self) -> set[str]:
        """Source columns that a manifest column, or the map of concepts, says in full."""
        single = [(name, columns[0]) for name, columns in self.spec.columns.items() if len(columns) == 1]
        found = {
            column
            for name, column in single
            if self.is_verbatim(name, column) or self.is_verbatim(f"{name}_raw", column)
        }
        return found | {name for name in self.spec.concepts if is_yes_or_no(self.rows[name].combine_chunks())}

    def file_columns(self) -> set[str]:
        """Columns that name images and masks by names of ours, where a file of rows was taken apart."""
        if self.spec.reader != "rows":
            return set()
        leaves = "".join(self.spec.masks.values())
        return {*self.spec.columns.get("image", ()), *re.findall(r"\{([^{}]+)\}", leaves)}

    def pattern_columns(self) -> set[str]:
        """Columns cut from names by the catalog's patterns."""
        return {
            f"@{name}" for pattern in self.spec.parts.values() for name in re.findall(r"\{(\w+)\}", pattern)
        }

    def is_verbatim(self, name: str, column: str) -> bool:
        """Whether the manifest column says the very words of the source column (null for empty)."""
        ours = self.columns.get(name)
        if ours is None or not (pa.types.is_dictionary(ours.type) or pa.types.is_string(ours.type)):
            return False
        words = pc.fill_null(ours.cast(pa.string()), "")
        if name in KEYS:  # the namespaced id holds the source's own
            start = f"{self.dataset.name}/"
            words = pc.if_else(
                pc.starts_with(words, start), pc.utf8_slice_codeunits(words, len(start)), words
            )
        return bool(pc.all(pc.equal(words, self.rows[column].combine_chunks())).as_py())
