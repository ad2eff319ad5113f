"""Where folders say what tables say elsewhere: given files whose path ends as the entry's pattern cuts it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dermdata.crosswalks import Crosswalk
from dermdata.fetching.adopt.given import Found
from dermdata.fetching.ingest import is_image
from dermdata.model import Table
from dermdata.readers.patterns import compiled

SPLITS = frozenset({"train", "val", "test"})


def official_paths(
    specs: Sequence[Table], found: Iterable[Found], crosswalk: Crosswalk
) -> Iterator[tuple[Table, str, Found]]:
    """Each image with the table that has it and its official path; what fits two tables equally fits none."""
    tails = [(spec, *tail) for spec in specs for tail in tails_of(spec)]
    for one in found:
        if not (one.size and is_image(one.leaf)):
            continue
        fitting = [
            (len(below), spec, f"{above}{path}")
            for spec, above, below in tails
            if (path := fit(spec, below, one.name, crosswalk))
        ]
        best = [hit for hit in fitting if hit[0] == max(depth for depth, _, _ in fitting)]
        if len(best) == 1:
            yield best[0][1], best[0][2], one


def tails_of(spec: Table) -> Iterator[tuple[str, list[str]]]:
    """The pattern's parts, its fixed folders on top left away one by one: a copy may lack them."""
    parts = (spec.pattern or "").split("/")
    for start in range(len(parts)):
        yield "".join(f"{part}/" for part in parts[:start]), parts[start:]
        if "{" in parts[start]:
            return


def fit(spec: Table, below: Sequence[str], name: str, crosswalk: Crosswalk) -> str | None:
    """The end of a path that fits; its words must be known ones, or a folder be named as in the pattern."""
    path = "/".join(name.split("/")[-len(below) :])
    expression, fields = compiled("/".join(below))
    match = expression.fullmatch(path)
    if match is None:
        return None
    words = {field: match[field] for field in fields}
    known = [is_known(spec, ours, columns, words, crosswalk) for ours, columns in spec.columns.items()]
    anchored = any("{" not in part for part in below[:-1])
    return path if False not in known and (anchored or True in known) else None


def is_known(
    spec: Table, ours: str, columns: Sequence[str], words: Mapping[str, str], crosswalk: Crosswalk
) -> bool | None:
    """Whether the path's word for our field is one that the entry knows; None where that cannot be said."""
    if not set(columns) <= set(words):
        return None
    word = "/".join(words[column] for column in columns)
    field = spec.label_field or "/".join(columns)
    if ours == "label_raw" and field in crosswalk.fields:
        return crosswalk.lookup(field, word) is not None
    if ours in spec.values:
        return word in spec.values[ours]
    return word in SPLITS if ours == "split_official" else None
