"""Several values in one cell, several labels a row, and probabilities: what is surely true of all of them.

Of several sites or labels the finest one that holds them all; a label of its own finer than another stands for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from dermdata.crosswalks import Crosswalk, HarmonizedLabel, harmonize_label
from dermdata.model import Label, TableSpec
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import UNKNOWN

UNIT = "\x1f"  # between the words of several label columns: no cell holds it


def split_cell(cell: str, separator: str) -> list[str]:
    """The values of a cell, each once, without the blanks around them."""
    return list(dict.fromkeys(part.strip() for part in cell.split(separator) if part.strip()))


def find_common_site(sites: Iterable[str], known: Mapping[str, str]) -> str:
    """The finest body site that holds all of these; "" where none does. A site's id begins with that of the one above."""
    paths = [f"{site}-" for site in sites]
    common = {one for one in known.values() if all(path.startswith(f"{one}-") for path in paths)}
    return max(common, key=len, default="")


def join_sites(cell: str, separator: str, values: Mapping[str, str], known: Mapping[str, str]) -> str:
    """One site for a cell of several; ValueError for a word that is none."""
    parts = [values.get(part, part) for part in split_cell(cell, separator)]
    sites = [known[part] for part in parts if part in known]
    if len(sites) < len(parts):
        raise ValueError(cell)
    return find_common_site(sites, known)


# ------------------------------------------------------------------ labels


def has_several_labels(spec: TableSpec) -> bool:
    """Whether a row may have several labels: in one cell, or in several columns."""
    return bool(spec.further_labels or set(spec.separators) & set(spec.columns.get("label_raw", ())))


@dataclass
class LabelColumns:
    """What the words of one or several label columns mean together."""

    fields: Sequence[str]  # the crosswalk's, of each column
    separators: Sequence[str | None]  # what parts the words of each column's cells
    missing: frozenset[str]
    crosswalk: Crosswalk
    vocabulary: Vocabulary
    unmapped: dict[str, int] = field(default_factory=dict)  # "field: word" -> rows
    against: dict[str, int] = field(default_factory=dict)  # "word against word" -> rows

    @classmethod
    def of_table(
        cls, spec: TableSpec, name: str, crosswalk: Crosswalk, vocabulary: Vocabulary
    ) -> "LabelColumns":
        """The label columns of a table; `name` is the crosswalk's field of the first one, those of others are theirs."""
        own = spec.columns.get("label_raw", ("",))[0]
        return cls(
            fields=(name, *spec.further_labels),
            separators=[spec.separators.get(column) for column in (own, *spec.further_labels)],
            missing=frozenset(("", *spec.missing)),
            crosswalk=crosswalk,
            vocabulary=vocabulary,
        )

    def harmonize(self, words: str, rows: int) -> HarmonizedLabel | None:
        """The finest label of a row that none of its others contradicts; the first one where they do."""
        found: list[Label] = []
        for name, separator, word in zip(self.fields, self.separators, words.split(UNIT), strict=True):
            if label := self.find_label(name, separator, word, rows):
                found.append(label)
        if not found:
            return None
        best = found[0]
        for other in found[1:]:
            best = self.choose_finer(best, other, rows)
        return harmonize_label(best, self.vocabulary)

    def find_label(self, name: str, separator: str | None, cell: str, rows: int) -> Label | None:
        """What a cell says, as a row of the crosswalk; words without one are counted."""
        if cell in self.missing:
            return None
        if whole := self.crosswalk.lookup(name, cell):
            return whole
        known = {
            part: self.crosswalk.lookup(name, part)
            for part in ([cell] if separator is None else split_cell(cell, separator))
        }
        if self.count_unmapped(name, known, rows) or not known:
            return None
        return self.join_labels(name, cell, list(filter(None, known.values())))

    def count_unmapped(self, name: str, known: Mapping[str, Label | None], rows: int) -> int:
        """Take down the words without a row; how many there are."""
        words = [word for word, label in known.items() if label is None]
        for word in words:
            key = f"{name}: {word}"
            self.unmapped[key] = self.unmapped.get(key, 0) + rows
        return len(words)

    def report_words(self, unmapped: dict[str, int], against: dict[str, int]) -> None:
        """Add the words that have no row, and those that contradict another one, to what is told."""
        for found, noted in ((self.unmapped, unmapped), (self.against, against)):
            for word, rows in found.items():
                noted[word] = noted.get(word, 0) + rows

    def join_labels(self, name: str, cell: str, labels: Sequence[Label]) -> Label:
        """The words of a cell as a lump: the finest concept that holds them all, with them as members."""
        stated = [one for one in labels if not self.vocabulary.is_under(one.concept, UNKNOWN)] or labels[:1]
        concepts = tuple(dict.fromkeys(one.concept for one in stated))
        if len(concepts) == 1:
            return stated[0]
        said = {one.malignancy for one in stated}
        return Label(
            field=name,
            raw_label=cell,
            concept=self.vocabulary.lowest_common_ancestor(concepts),
            predicate="broadMatch",
            malignancy=said.pop() if len(said) == 1 else None,
            members=concepts,
        )

    def choose_finer(self, one: Label, other: Label, rows: int) -> Label:
        """The label that says more, where both can be true; else the first one, and that is counted."""
        if self.vocabulary.is_under(other.concept, one.concept):
            return one if self.vocabulary.is_under(one.concept, other.concept) else other
        if self.vocabulary.is_under(one.concept, other.concept):
            return one
        told = f"{other.field}: {other.raw_label} (against {one.raw_label})"
        self.against[told] = self.against.get(told, 0) + rows
        return one


# ------------------------------------------------------------------ clinical concepts


def find_listed_concepts(cells: pa.Array, separator: str) -> dict[str, list[bool | None]]:
    """Concept -> whether each row's cell names it; a cell that names others says nothing of it."""
    rows = [split_cell(cell, separator) for cell in cells.to_pylist()]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [True if name in row else None for row in rows] for name in names}


def read_probabilities(cells: pa.Array, least: float) -> list[bool | None]:
    """Whether each cell's probability is at least this one; None where it is no number from 0 to 1."""
    return [compare_probability(cell, least) for cell in cells.to_pylist()]


def compare_probability(cell: str, least: float) -> bool | None:
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        return None
    return value >= least if 0 <= value <= 1 else None
