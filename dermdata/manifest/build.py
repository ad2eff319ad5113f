"""From a source's own rows to manifest rows: harmonized where the catalog says how, nothing dropped.

Works on columns: each distinct word of a column is looked at once, however many rows carry it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.crosswalks import Crosswalk
from dermdata.errors import UnknownName
from dermdata.manifest import harmonize
from dermdata.manifest.counts import differences
from dermdata.manifest.graded import graded
from dermdata.manifest.match import ImageIndex
from dermdata.manifest.report import Report, in_order, unique
from dermdata.manifest.schema import ALLOWED, KEYS, LIMITS, MAPPABLE, SCHEMA
from dermdata.model import NOTHING, Content, Dataset, Table
from dermdata.vocabulary import Vocabulary

NOT_CONVERTED = {"differential", "image", "image_id", "isic_id", "label_raw", "malignancy", *KEYS}
FOLDS = (0, 100)
TRUE = ("1", "1.0", "true", "True", "TRUE")
OURS = {"@path", "@one-hot", "@image", "@view", "@group", "@row"}  # columns that the readers make


@dataclass(frozen=True)
class Source:
    """One raw table (all columns text, "" for empty) and the catalog's word on how to read it."""

    spec: Table
    rows: pa.Table
    rejected: tuple[Mapping[str, Any], ...] = ()
    unpartnered: Mapping[str, int] = field(default_factory=dict)


def build(
    dataset: Dataset,
    sources: Iterable[Source],
    contents: Sequence[Content],
    crosswalk: Crosswalk,
    vocabulary: Vocabulary,
    body_sites: Mapping[str, str],
    lost: Mapping[str, str] = NOTHING,
    coverage: Mapping[str, bool | None] = MappingProxyType({}),
) -> tuple[pa.Table, Report]:
    """The manifest of one dataset, in SCHEMA, ordered by image_id, and the report of what became of what.

    `lost` says of images that could not be had (by name without extension) why, `coverage` of catalog files whether
    a published checksum covers what is here of them.
    """
    report, images = Report(), ImageIndex(contents, lost)
    words = (crosswalk, vocabulary, body_sites)
    tables = [Maker(dataset, source, images, *words, report, coverage).table() for source in sources]
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    table = unique(table.unify_dictionaries().combine_chunks(), report)
    report.rows = table.num_rows
    report.images_without_row = images.unclaimed()
    report.differences = differences(dataset, table)
    return table, report


class Maker:
    """Builds one source table's manifest columns."""

    def __init__(
        self,
        dataset: Dataset,
        source: Source,
        images: ImageIndex,
        crosswalk: Crosswalk,
        vocabulary: Vocabulary,
        body_sites: Mapping[str, str],
        report: Report,
        coverage: Mapping[str, bool | None] = MappingProxyType({}),
    ) -> None:
        self.dataset, self.spec, self.rows, self.report = dataset, source.spec, source.rows, report
        self.images, self.crosswalk, self.vocabulary = images, crosswalk, vocabulary
        self.body_sites, self.coverage = body_sites, coverage
        self.columns: dict[str, pa.Array] = {}
        report.rows_in += source.rows.num_rows + len(source.rejected)
        report.rejected += [dict(row) for row in source.rejected]
        for name, count in source.unpartnered.items():
            report.unpartnered[name] = report.unpartnered.get(name, 0) + count

    def table(self) -> pa.Table:
        self.require_fields()
        self.rows = in_order(self.rows, self.ids())
        self.identity()
        self.image_facts()
        self.label()
        self.clinical_concepts()
        for name in sorted(self.fields() - NOT_CONVERTED):
            self.columns |= self.convert(name)
        self.rights()
        self.columns["extra"] = self.extra()
        arrays = [self.columns.get(field.name, pa.nulls(self.count, field.type)) for field in SCHEMA]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    @property
    def count(self) -> int:
        return int(self.rows.num_rows)

    def fields(self) -> set[str]:
        firsts = set(self.spec.first) | {f"{name}_source" for name in self.spec.first}
        return set(self.spec.columns) | set(self.spec.constants) | firsts

    def require_fields(self) -> None:
        """UnknownName for a field that is no column of the manifest, or one that no catalog can set."""
        for name in sorted(self.fields() - set(MAPPABLE)):
            raise UnknownName("manifest column", name, MAPPABLE, hint=f"one of {', '.join(MAPPABLE)}")
        if not {"image", "image_id"} & set(self.spec.columns):
            raise UnknownName("image column", "", (), hint="[table.columns] needs image_id or image")

    def parts(self, name: str) -> list[pa.Array]:
        """Our field's raw words: a constant, or the source's columns; "" for none."""
        if name in self.spec.constants:
            return [pa.array([self.spec.constants[name]] * self.count, pa.string())]
        if name in self.spec.first or name.removesuffix("_source") in self.spec.first:
            return [self.first(name.removesuffix("_source"), whose=name not in self.spec.first)]
        return [self.rows[column].combine_chunks() for column in self.spec.columns[name]]

    def first(self, name: str, *, whose: bool) -> pa.Array:
        """The first known word of several columns, or which of them it comes from."""
        found = pa.array([""] * self.count, pa.string())
        for column, source in list(self.spec.first[name].items())[::-1]:
            words = self.rows[column].combine_chunks()
            known = pc.invert(pc.is_in(words, pa.array(self.spec.missing, pa.string())))
            found = pc.if_else(known, source if whose else words, found)
        return found

    def text(self, name: str) -> pa.Array:
        """Our field's raw words as one, several columns joined by "/"; "" where all are empty."""
        parts = self.parts(name)
        if len(parts) == 1:
            return parts[0]
        joined = pc.binary_join_element_wise(*parts, "/")
        return pc.if_else(pc.equal(joined, "/" * (len(parts) - 1)), "", joined)

    # -------------------------------------------------------------- identity and image

    def ids(self) -> pa.Array:
        name = "image_id" if "image_id" in self.spec.columns else "image"
        return harmonize.without_extension(self.text(name))

    def identity(self) -> None:
        ids = self.columns["image_id"] = self.ids()
        self.columns["dataset"] = harmonize.constant(self.dataset.name, self.count)
        self.columns["key"] = pc.binary_join_element_wise(self.dataset.name, ids, "/")
        if "isic_id" in self.fields():
            self.columns["isic_id"] = harmonize.isic_id(self.text("isic_id"))
        for name in KEYS:
            if name in self.fields():
                self.columns[name] = harmonize.namespaced(
                    self.parts(name), self.dataset.name, self.spec.missing
                )

    def image_facts(self) -> None:
        named = self.text("image" if "image" in self.spec.columns else "image_id")
        names = self.spec.images or None
        found, problems = self.images.find(named.to_pylist(), names, self.spec.over)
        problems = self.flagged(problems)
        self.columns |= harmonize.image_columns(found, problems, self.coverage)
        self.columns |= self.images.mask_columns(
            {one: self.filled(name) for one, name in self.spec.masks.items()}
        )
        missing = sum(content is None for content in found)
        self.report.rows_without_image += missing
        self.report.undecodable += sum(problem is not None for problem in problems) - missing

    def filled(self, template: str) -> list[str]:
        """Each row's file name: {image_id} and the source's columns filled in, image names without ending."""
        names = re.findall(r"\{([^{}]+)\}", template)
        cells = {
            name: self.columns["image_id"]
            if name == "image_id"
            else harmonize.without_extension(self.rows[name])
            for name in names
        }
        words = {name: column.to_pylist() for name, column in cells.items()}
        return [
            re.sub(r"\{([^{}]+)\}", lambda found, row=row: words[found[1]][row], template)  # type: ignore[misc]
            for row in range(self.count)
        ]

    def flagged(self, problems: list[str | None]) -> list[str | None]:
        """The problems, where the source itself says that an image must not be used: its words."""
        if self.spec.image_url:
            nowhere = pc.equal(self.rows[self.spec.image_url].combine_chunks(), "").to_pylist()
            problems = [
                "the source gives no address" if one else p for one, p in zip(nowhere, problems, strict=True)
            ]
        for column in self.spec.flags:
            marks = pc.is_in(self.rows[column].combine_chunks(), pa.array(TRUE)).to_pylist()
            said = f"the source says: {column}"
            problems = [said if mark else problem for mark, problem in zip(marks, problems, strict=True)]
        return problems

    # -------------------------------------------------------------- words

    def clinical_concepts(self) -> None:
        if self.spec.concepts:
            columns = {name: self.rows[name].combine_chunks() for name in self.spec.concepts}
            self.columns["concepts"] = harmonize.concepts(columns, self.count)

    def label(self) -> None:
        if "label_raw" in self.fields():
            self.diagnosis()
        if "malignancy" in self.fields():  # what the source says itself comes before what its label means
            said = self.convert("malignancy")["malignancy"]
            meant = self.columns.get("malignancy")
            self.columns["malignancy"] = said if meant is None else harmonize.first_known(said, meant)

    def diagnosis(self) -> None:
        raw = self.text("label_raw")
        if "differential" in self.spec.columns:
            self.differential()
            return
        name = self.spec.label_field or "/".join(self.spec.columns.get("label_raw", ("label_raw",)))
        self.columns["label_raw"] = harmonize.null_if(raw, ("",))
        self.columns |= harmonize.diagnosis(
            raw, name, self.crosswalk, self.vocabulary, self.report.unmapped_labels
        )

    def differential(self) -> None:
        """Graded labels: a diagnosis only where they are all of one concept."""
        (column,) = self.spec.columns["differential"]
        raw = self.rows[column].combine_chunks()
        self.columns["label_raw"] = harmonize.null_if(raw, ("", "{}"))
        self.columns |= graded(
            raw, self.spec.label_field or column, self.crosswalk, self.vocabulary, self.report.unmapped_labels
        )

    def convert(self, name: str) -> dict[str, pa.Array]:
        """One harmonized field, and the raw twin that MANIFEST keeps of it."""
        words = harmonize.Words(self.text(name), self.spec.values.get(name, {}), self.spec.missing)
        unmapped = self.unmapped(name)
        if name == "age":
            return words.ages()
        if name == "body_site":
            return words.body_sites(self.body_sites, unmapped)
        kind = SCHEMA.field(name).type
        if pa.types.is_integer(kind):
            return {name: words.whole_numbers(kind, LIMITS.get(name, FOLDS), unmapped)}
        if pa.types.is_list(kind):
            return {name: words.ranges(kind, unmapped)}
        if name in ALLOWED:
            return {name: words.chosen(ALLOWED[name], unmapped)}
        return {name: words.plain(kind)}

    def unmapped(self, name: str) -> Callable[[str, int], None]:
        def note(word: str, rows: int) -> None:
            key = f"{name}: {word}"
            self.report.unmapped_values[key] = self.report.unmapped_values.get(key, 0) + rows

        return note

    def rights(self) -> None:
        if self.dataset.license.id is None:
            return
        whole = harmonize.constant(self.dataset.license.id, self.count)
        own = self.columns.get("license")
        self.columns["license"] = whole if own is None else harmonize.first_known(own, whole)

    def extra(self) -> pa.Array:
        """Every source column whose words do not stand verbatim in a manifest column."""
        kept = {
            columns[0]
            for name, columns in self.spec.columns.items()
            if len(columns) == 1
            and (self.verbatim(name, columns[0]) or self.verbatim(f"{name}_raw", columns[0]))
        }
        kept |= {
            name for name in self.spec.concepts if harmonize.is_yes_or_no(self.rows[name].combine_chunks())
        }
        kept |= (OURS | self.cut()) - {column for columns in self.spec.columns.values() for column in columns}
        left = [name for name in self.rows.column_names if name not in kept]
        return harmonize.other_words({name: self.rows[name].combine_chunks() for name in left}, self.count)

    def cut(self) -> set[str]:
        """Columns cut from names by the catalog's patterns."""
        return {
            f"@{name}" for pattern in self.spec.parts.values() for name in re.findall(r"\{(\w+)\}", pattern)
        }

    def verbatim(self, name: str, column: str) -> bool:
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
