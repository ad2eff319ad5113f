"""Collects who must be named for exactly the rows that are used, and what their licenses allow together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.catalogs.entries import make_bibtex
from dermdata.cohort.keys import ALSO_IN
from dermdata.errors import BadTable
from dermdata.licenses import PER_IMAGE, CombinedTerms, LicenseTerms, combine_terms, license_terms
from dermdata.manifest.columns import text_column
from dermdata.markup import count_nouns
from dermdata.model import Dataset

CreditKey = tuple[str, str | None]  # dataset, license
MOST_NAMES = 20  # attributions of single images that are written out


@dataclass(frozen=True, kw_only=True)
class Credit:
    """One dataset under one license, as far as the rows use it."""

    dataset: str
    rows: int
    license: str | None
    doi: str | None
    bibtex: str | None
    attribution: str | None
    rights: LicenseTerms


@dataclass(frozen=True, kw_only=True)
class Credits:
    """All that must be named, and what may be done with the whole."""

    credits: tuple[Credit, ...]
    effective: CombinedTerms
    unknown: tuple[str, ...]  # datasets that no catalog names


def collect_credits(table: pa.Table, known: Callable[[str], Dataset | None]) -> Credits:
    """Collect whom to credit for a manifest's rows; a row that stands for rows of other datasets credits these too.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest.
    known : callable
        Gives a dataset's catalog entry by name, None where it has none.

    Returns
    -------
    Credits

    Raises
    ------
    BadTable
        When rows do not say which dataset they are of.

    """
    if "dataset" not in table.column_names:
        raise BadTable("the manifest has no column dataset: nobody can be cited")
    found = [
        build_credit(name, terms, rows, names, known(name))
        for (name, terms), (rows, names) in sorted(count_credits(table, known).items(), key=credit_order)
    ]
    parts: dict[str, list[LicenseTerms]] = {}
    for one in found:
        parts.setdefault(one.dataset, []).append(one.rights)
    strangers = tuple(name for name in parts if known(name) is None)
    return Credits(credits=tuple(found), effective=combine_terms(parts), unknown=strangers)


def credit_order(item: tuple[tuple[str, str | None], Any]) -> tuple[str, str]:
    (name, terms), _ = item
    return name, terms or ""


def count_credits(
    table: pa.Table, known: Callable[[str], Dataset | None]
) -> Mapping[CreditKey, tuple[int, tuple[str, ...]]]:
    """Rows and attributions of each dataset and license."""
    rows = pa.table({name: text_column(table, name) for name in ("dataset", "license", "attribution")})
    if rows["dataset"].null_count:
        raise BadTable(
            f"{count_nouns(rows['dataset'].null_count, 'row', 'do')} not say which dataset they are of"
        )
    cells = rows.group_by(["dataset", "license", "attribution"]).aggregate([([], "count_all")]).to_pylist()
    found: dict[CreditKey, tuple[int, tuple[str, ...]]] = {}
    for cell in cells:
        key = (cell["dataset"], cell["license"] or stated_license(known(cell["dataset"])))
        count, names = found.get(key, (0, ()))
        name = (cell["attribution"],) if cell["attribution"] else ()
        found[key] = (count + cell["count_all"], tuple(sorted({*names, *name})))
    for other, count in count_folded_rows(table).items():
        own: CreditKey = (other, stated_license(known(other)))
        place = next((one for one in found if one[0] == other), own)
        before, names = found.get(place, (0, ()))
        found[place] = (before + count, names)
    return found


def count_folded_rows(table: pa.Table) -> dict[str, int]:
    """How many rows of each dataset are there under another one's name, because they are the same image."""
    if ALSO_IN not in table.column_names:
        return {}
    keys = pc.list_flatten(table[ALSO_IN].combine_chunks())
    names = pc.list_element(pc.split_pattern(keys, "/", max_splits=1), 0)
    return {one["values"]: one["counts"] for one in pc.value_counts(names).to_pylist()}


def stated_license(dataset: Dataset | None) -> str | None:
    if dataset is None or dataset.license.id == PER_IMAGE:
        return None
    return dataset.license.id


def build_credit(
    name: str, terms: str | None, rows: int, attributions: tuple[str, ...], dataset: Dataset | None
) -> Credit:
    citation = dataset.citation if dataset else None
    named = "; ".join(attributions[:MOST_NAMES])
    if len(attributions) > MOST_NAMES:
        named += f"; and {len(attributions) - MOST_NAMES:,} more (column attribution)"
    return Credit(
        dataset=name,
        rows=rows,
        license=terms,
        doi=citation.doi if citation else None,
        bibtex=make_bibtex(dataset) if dataset else None,
        attribution=named or (citation.text if citation else None),
        rights=license_terms(terms, dataset.license if dataset else None),
    )
