"""Issue lists are published lists of a dataset's bad images; applying one to a selection gives findings.

`datasets/<name>/issues/<list>@<version>.tsv` in a catalog folder, UTF-8 with a header line:

| column | meaning |
|---|---|
| `image_id` | the source's own id |
| `action` | `drop`: not to be used; `note`: doubtful, stays; `copy`: shows the picture of `of`, stays |
| `issue` | what is wrong: duplicate, label-error, irrelevant, … |
| `source` | who found it |
| `of` | the other image of a `copy`; else empty |
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from dermdata.catalogs.overlays import read_text
from dermdata.errors import BadCatalog, UnknownName, UsageError
from dermdata.manifest.columns import text_column
from dermdata.manifest.exclusions import ListedImage, read_exclusions
from dermdata.markup import count_nouns, count_share
from dermdata.model import Finding

COLUMNS = ("image_id", "action", "issue", "source", "of")
ACTIONS = ("drop", "note", "copy")
OWN_ENDINGS = (".tsv", ".txt", ".csv")
ACTION_PHRASES = {"drop": "taken away", "note": "kept", "copy": "joined with the one that they copy"}


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One image that a list names."""

    image_id: str
    action: str
    issue: str
    source: str
    of: str = ""  # image_id


@dataclass(frozen=True, kw_only=True)
class IssueList:
    """One version of one list about one dataset."""

    name: str  # list@version
    dataset: str
    issues: tuple[Issue, ...]


def find_issue_lists(roots: Sequence[Path], name: str, known: Iterable[str] = ()) -> list[IssueList]:
    """Read the lists of this name from the catalog folders, a later folder's in place of an earlier one's.

    A path is a person's own list, as `browse` writes it.

    Parameters
    ----------
    roots : sequence of Path
        Catalog folders.
    name : str
        LIST@VERSION, or the path of an exclusion list.
    known : iterable of str
        The catalog's names: some name a list whose content could not be bundled.

    Returns
    -------
    list of IssueList
        One for each dataset that has a list of this name.

    Raises
    ------
    UnknownName
        Where no folder has the list.
    UsageError
        Where the catalog names the list and has no content of it.
    BadCatalog
        For a file with wrong lines; the message names each.
    BadTable
        For a person's own list that is not there or has wrong lines.

    """
    if is_own_list(name):
        return read_own_list(Path(name))
    paths = {path.parent.parent.name: path for root in roots for path in root.glob("datasets/*/issues/*.tsv")
             if path.stem == name}  # fmt: skip
    if paths:
        return [read_issue_list(path, name, dataset) for dataset, path in sorted(paths.items())]
    base = name.partition("@")[0]
    place = f"DIR/datasets/NAME/issues/{base}@1.tsv"
    if base in set(known):
        raise UsageError(
            f"the content of the list {name} is not in the catalog: no copy of it with a source could be bundled",
            hint=f"`dermdata info {base}` says where it is published; write it as {place} and give --catalog DIR",
        )
    there = sorted({path.stem for root in roots for path in root.glob("datasets/*/issues/*.tsv")})
    raise UnknownName("issue list", name, there, hint=f"a list is {place}, given by --catalog DIR")


def is_own_list(name: str) -> bool:
    """Whether the name is a path: no list of a catalog has an ending or lies in a folder."""
    return Path(name).suffix in OWN_ENDINGS or os.sep in name or Path(name).is_file()


def read_own_list(path: Path) -> list[IssueList]:
    """A person's exclusion list, as a list for each dataset that it names."""
    found: dict[str, list[Issue]] = {}
    for one in read_exclusions(path):
        found.setdefault(one.dataset, []).append(to_issue(one))
    return [
        IssueList(name=path.name, dataset=dataset, issues=tuple(issues)) for dataset, issues in found.items()
    ]


def to_issue(one: ListedImage) -> Issue:
    issue, source = one.issue or "not said why", one.source or "own list"
    return Issue(image_id=one.image_id, action=one.action, issue=issue, source=source, of=one.of)


def read_issue_list(path: Path, name: str, dataset: str) -> IssueList:
    """One file; BadCatalog tells every line that is wrong."""
    rows = list(csv.reader(io.StringIO(read_text(path), newline=""), csv.excel_tab))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise BadCatalog(f"{path}: the header must be {', '.join(COLUMNS)}, with tabs between")
    wrong = [
        f"{path}, line {number}: {why}"
        for number, row in enumerate(rows[1:], 2)
        if row and (why := row_fault(row))
    ]
    if wrong:
        raise BadCatalog("\n".join(wrong))
    issues = tuple(Issue(**dict(zip(COLUMNS, row, strict=True))) for row in rows[1:] if row)
    return IssueList(name=name, dataset=dataset, issues=issues)


def row_fault(row: Sequence[str]) -> str | None:
    if len(row) != len(COLUMNS):
        return f"{count_nouns(len(row), 'field')}, not {len(COLUMNS)}"
    if row[1] not in ACTIONS:
        return f"action '{row[1]}' is none of {', '.join(ACTIONS)}"
    if (row[1] == "copy") != bool(row[4]):
        return f"action {row[1]} {'needs' if row[1] == 'copy' else 'has no'} 'of'"
    return None if row[0] else "no image_id"


@dataclass(frozen=True, kw_only=True)
class AppliedIssues:
    """The rows that stay, a finding for each list and issue, and the pairs of keys that lists call copies."""

    table: pa.Table
    findings: tuple[Finding, ...]
    copies: tuple[tuple[str, str], ...]


def apply_issue_lists(table: pa.Table, lists: Sequence[IssueList]) -> AppliedIssues:
    """Remove the rows that the lists drop.

    Parameters
    ----------
    table : pyarrow.Table
        With the columns `dataset` and `image_id`.
    lists : sequence of IssueList
        As `find_issue_lists` reads them; those of datasets that are not in the table are passed over, unless all are.

    Returns
    -------
    AppliedIssues
        The rows that stay, findings that say how many of each list's images are here, and the copies.

    """
    rows = rows_by_image(table)
    lists = select_lists(lists, {dataset for dataset, _ in rows})
    stay = np.ones(table.num_rows, bool)
    found: list[Finding] = []
    for one in lists:
        for (action, issue, source), listed in sorted(group_issues(one.issues).items()):
            here = [image.image_id for image in listed if (one.dataset, image.image_id) in rows]
            if action == "drop":
                stay[list(chain.from_iterable(rows[one.dataset, image_id] for image_id in here))] = False
            found.append(issue_finding(one, action, issue, source, here, len(listed)))
    kept = table if stay.all() else table.filter(pa.array(stay))
    copies = tuple(chain.from_iterable(map(listed_copies, lists)))
    return AppliedIssues(table=kept, findings=tuple(found), copies=copies)


def select_lists(lists: Sequence[IssueList], datasets: set[str]) -> Sequence[IssueList]:
    """The lists about these datasets; all of them where none is."""
    return [one for one in lists if one.dataset in datasets] or lists


def rows_by_image(table: pa.Table) -> dict[tuple[str, str | None], list[int]]:
    """The rows of each dataset ("": none) and image id: a manifest with keys of its own may have one several times."""
    columns = (text_column(table, name).to_pylist() for name in ("dataset", "image_id"))
    found: dict[tuple[str, str | None], list[int]] = {}
    for row, (dataset, image) in enumerate(zip(*columns, strict=True)):
        found.setdefault((dataset or "", image), []).append(row)
    return found


def listed_copies(one: IssueList) -> Iterator[tuple[str, str]]:
    """The keys of both images of each copy."""
    for image in one.issues:
        if image.action == "copy":
            yield f"{one.dataset}/{image.image_id}", f"{one.dataset}/{image.of}"


def group_issues(issues: Iterable[Issue]) -> dict[tuple[str, str, str], list[Issue]]:
    """The issues by action, what is wrong and who says so."""
    found: dict[tuple[str, str, str], list[Issue]] = {}
    for one in issues:
        found.setdefault((one.action, one.issue, one.source), []).append(one)
    return found


def issue_finding(
    one: IssueList, action: str, issue: str, source: str, here: Sequence[str], listed: int
) -> Finding:
    counts = f"{count_share(len(here), listed, 'listed image', 'are')} here"
    return Finding(
        level="note",
        code="known-issue",
        dataset=one.dataset,
        keys=tuple(sorted(f"{one.dataset}/{image}" if one.dataset else image for image in here)),
        message=f"{one.name}: {counts} and {ACTION_PHRASES[action]} ({issue}; {source})",
        evidence={"list": one.name, "action": action, "issue": issue, "source": source, "listed": listed},
    )
