"""Published lists of a dataset's bad images, applied to a selection: what they take away is a finding, never silent.

`datasets/<name>/issues/<list>@<version>.tsv` in a catalog folder, UTF-8 with a header line:

| column | meaning |
|---|---|
| `image_id` | the source's own id |
| `action` | `drop`: not to be used; `note`: doubtful, stays |
| `issue` | what is wrong: duplicate, label-error, irrelevant, … |
| `source` | who found it |
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dermdata.errors import BadCatalog, UnknownName, UsageError
from dermdata.finding import Finding
from dermdata.projection import words_of

COLUMNS = ("image_id", "action", "issue", "source")
ACTIONS = ("drop", "note")


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One image that a list names."""

    image_id: str
    action: str
    issue: str
    source: str


@dataclass(frozen=True, kw_only=True)
class IssueList:
    """One version of one list about one dataset."""

    name: str  # list@version
    dataset: str
    issues: tuple[Issue, ...]


def find(roots: Sequence[Path], name: str, known: Iterable[str] = ()) -> list[IssueList]:
    """The lists of this name in the catalog folders, a later folder's in place of an earlier one's.

    `known` are the catalog's names: of one that is there without its list's content, that is said.
    """
    paths = {path.parent.parent.name: path for root in roots for path in root.glob("datasets/*/issues/*.tsv")
             if path.stem == name}  # fmt: skip
    if paths:
        return [read(path, name, dataset) for dataset, path in sorted(paths.items())]
    base = name.partition("@")[0]
    place = f"DIR/datasets/NAME/issues/{base}@1.tsv"
    if base in set(known):
        raise UsageError(
            f"the content of the list {name} is not in the catalog: no copy of it with a source could be bundled",
            hint=f"`dermdata info {base}` says where it is published; write it as {place} and give --catalog DIR",
        )
    there = sorted({path.stem for root in roots for path in root.glob("datasets/*/issues/*.tsv")})
    raise UnknownName("issue list", name, there, hint=f"a list is {place}, given by --catalog DIR")


def read(path: Path, name: str, dataset: str) -> IssueList:
    """One file; BadCatalog tells every line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalog(f"{path} cannot be read: {error}") from error
    rows = list(csv.reader(io.StringIO(text, newline=""), csv.excel_tab))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise BadCatalog(f"{path}: the header must be {', '.join(COLUMNS)}, with tabs between")
    wrong = [
        f"{path}, line {number}: {why}"
        for number, row in enumerate(rows[1:], 2)
        if row and (why := fault(row))
    ]
    if wrong:
        raise BadCatalog("\n".join(wrong))
    issues = tuple(Issue(**dict(zip(COLUMNS, row, strict=True))) for row in rows[1:] if row)
    return IssueList(name=name, dataset=dataset, issues=issues)


def fault(row: Sequence[str]) -> str | None:
    if len(row) != len(COLUMNS):
        return f"{len(row)} fields, not {len(COLUMNS)}"
    if row[1] not in ACTIONS:
        return f"action '{row[1]}' is none of {', '.join(ACTIONS)}"
    return None if row[0] else "no image_id"


def apply(table: pa.Table, lists: Sequence[IssueList]) -> tuple[pa.Table, list[Finding]]:
    """The table without the rows that the lists drop, and for each list and issue a finding with its rows."""
    rows = list(
        zip(words_of(table, "dataset").to_pylist(), words_of(table, "image_id").to_pylist(), strict=True)
    )
    place = {one: row for row, one in enumerate(rows)}
    stay = np.ones(table.num_rows, bool)
    found = []
    for one in lists:
        groups: dict[tuple[str, str, str], list[Issue]] = {}
        for image in one.issues:
            groups.setdefault((image.action, image.issue, image.source), []).append(image)
        for (action, issue, source), listed in sorted(groups.items()):
            here = [image.image_id for image in listed if (one.dataset, image.image_id) in place]
            if action == "drop":
                stay[[place[one.dataset, image_id] for image_id in here]] = False
            found.append(told(one, action, issue, source, here, len(listed)))
    return table.filter(pa.array(stay)), found


def told(one: IssueList, action: str, issue: str, source: str, here: Sequence[str], listed: int) -> Finding:
    done = "taken away" if action == "drop" else "kept"
    return Finding(
        level="note",
        code="known-issue",
        dataset=one.dataset,
        keys=tuple(sorted(f"{one.dataset}/{image}" for image in here)),
        message=f"{one.name}: {len(here):,} of {listed:,} listed images are here and {done} ({issue}; {source})",
        evidence={"list": one.name, "action": action, "issue": issue, "source": source, "listed": listed},
    )
