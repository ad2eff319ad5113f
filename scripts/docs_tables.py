"""The manifest's columns, the concept tree and the crosswalk as Markdown."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyarrow as pa

from dermdata.crosswalks import parse_labels
from dermdata.crosswalks.crosswalk import parse_review
from dermdata.manifest.schema import COLUMNS
from dermdata.model import Label
from dermdata.vocabulary import Vocabulary, parse_vocabulary
from dermdata.vocabulary.spaces import LabelSpace, parse_spaces
from docs_catalog import catalog
from docs_markdown import table

LEVELS = 3  # below the root


def columns() -> str:
    return table(
        ("column", "type", "meaning"), [(f"`{name}`", type_name(kind), text) for name, kind, text in COLUMNS]
    )


def type_name(kind: pa.DataType) -> str:
    """An Arrow type in few words."""
    if pa.types.is_dictionary(kind):
        return "string (dictionary)"
    if pa.types.is_map(kind):
        return f"map: string to {kind.item_type}"
    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return " and ".join(kind.field(n).name for n in range(kind.num_fields))
    if pa.types.is_fixed_size_binary(kind):
        return f"{kind.byte_width} bytes"
    return str(kind)


@cache
def vocabulary() -> Vocabulary:
    return parse_vocabulary(catalog().vocabulary_file("concepts.tsv").read_text(encoding="utf-8"))


def tree() -> str:
    """The upper levels as a nested list, with how many concepts lie below each."""
    count = f"{len(vocabulary())} concepts; the first {LEVELS} levels below `{vocabulary().root}`:"
    return "\n".join([count, "", *branches(vocabulary().root, 0)])


def branches(concept: str, depth: int) -> Iterator[str]:
    for child in vocabulary().children(concept):
        below = len(vocabulary().descendants(child))
        more = f", {below} below" if below else ""
        yield f"{'  ' * depth}- {vocabulary().name(child)} (`{child}`{more})"
        if depth + 1 < LEVELS:
            yield from branches(child, depth + 1)


def spaces() -> str:
    path = catalog().vocabulary_file("spaces.toml")
    found = parse_spaces(path.read_text(encoding="utf-8"), vocabulary())
    return table(("space", "classes", "what it is"), [row(space) for space in found.values()])


def row(space: LabelSpace) -> tuple[str, int, str]:
    return f"`{space.name}`", len(space.classes), space.title or ""


@cache
def crosswalk() -> dict[str, tuple[Label, ...]]:
    """Every entry's label rows, of the bundled catalog."""
    return {
        name: tuple(
            label
            for path in catalog().label_files(name)
            for label in parse_labels(path.read_text(encoding="utf-8"), str(path))
        )
        for name in catalog()
    }


def crosswalk_in_numbers() -> str:
    rows = [label for labels in crosswalk().values() for label in labels]
    counts = Counter(label.predicate for label in rows)
    kinds = ", ".join(f"{count:,} {predicate}" for predicate, count in sorted(counts.items()))
    with_rows = sum(bool(labels) for labels in crosswalk().values())
    lumps = sum(bool(label.members) for label in rows)
    return f"{len(rows):,} rows of {with_rows} entries: {kinds}. {lumps:,} rows name the members of a lump."


def review_list() -> str:
    path = catalog().vocabulary_file("review.tsv")
    doubts = parse_review(path.read_text(encoding="utf-8"), vocabulary(), str(path))
    rows = [
        (
            f"`{one.dataset}`",
            one.raw_label or "all words",
            f"`{one.concept}`" if one.concept else "",
            one.reason,
        )
        for one in doubts
    ]
    return table(("dataset", "word", "our reading", "why it is in doubt"), rows)


def leakage() -> str:
    """The table of `benchmarks/leakage.py` as it was measured last."""
    page = (Path(__file__).parents[1] / "benchmarks/README.md").read_text(encoding="utf-8")
    section = page.partition("<!-- run: leakage -->")[2].partition("<!-- end -->")[0]
    return section.partition("\n\n")[2].strip()
