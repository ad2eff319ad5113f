"""An audit of rows: what is asked, what the catalog and the cache say of the rows' datasets, and what was found."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.records import Records
from dermdata.api.reports import require_report, write_audit_report
from dermdata.api.resources import Resources
from dermdata.errors import ImagesMissing, UsageError
from dermdata.markup import count_nouns
from dermdata.process import count_cores

if TYPE_CHECKING:
    from dermdata.api.targets import Loaded
    from dermdata.audit import AuditContext
    from dermdata.cache import DatasetFolder

LEVELS = ("error", "warning", "note")
NEAR = "duplicate-near"  # looked for only where it is asked for


class AuditFindings(Records):
    """The findings of an audit, the gravest first; `facts` count those of each level.

    Attributes
    ----------
    datasets : tuple of str
        The datasets that the rows are of.
    images : int
        The rows that were audited.
    missing : ImagesMissing or None
        What `dermdata audit` ends with where images that rows name are not found, unless they are allowed to be.

    """

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        columns: Sequence[str],
        datasets: Sequence[str],
        images: int,
        missing: ImagesMissing | None = None,
    ) -> None:
        levels = {f"{level}s": sum(one["level"] == level for one in items) for level in LEVELS}
        super().__init__(items, columns, levels)
        self.datasets = tuple(datasets)
        self.images = images
        self.missing = missing


@dataclass(frozen=True, kw_only=True)
class AuditRequest:
    """What is asked of an audit; `apply`, `only` and `skip` as typed: each may name several, joined by commas."""

    near: bool = False
    apply: Sequence[str] = ()
    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    jobs: int | None = None
    engine: str | None = None
    report: Path | None = None
    allow_missing: bool = False
    where: str | None = None
    split: str | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether only some rows are audited, so that no count can be compared with the publisher's."""
        return self.where is not None or self.split is not None

    def require_possible(self, near: str) -> None:
        """UsageError for a report that cannot be written, and for near duplicates alone without the option `near`."""
        if self.report:
            require_report(self.report)
        if NEAR in split_codes(self.only) and not self.near:
            raise UsageError(f"{NEAR} is looked for only with {near}", hint=f"add {near}")

    def describe_rows(self, targets: Sequence[str], count: int) -> str:
        """Which rows these are, in words."""
        asked = (
            self.split and f"part {self.split}",
            self.where and f"where {self.where}",
            self.apply and f"without what {', '.join(self.apply)} drops",
        )
        words = "".join(f", {one}" for one in asked if one)
        return f"{count_nouns(count, 'image')} of {', '.join(targets)}{words}"

    def command(self, targets: Sequence[str]) -> str:
        """The command line as far as it decides what is found."""
        asked = {"apply": self.apply, "only": self.only, "skip": self.skip}
        asked |= {"where": [self.where] if self.where else [], "split": [self.split] if self.split else []}
        options = [f"--{name}={word}" for name, words in asked.items() for word in words]
        return shlex.join(["dermdata", "audit", *targets, *(["--near"] if self.near else []), *options])


def split_codes(words: Sequence[str]) -> list[str]:
    """The codes of `--only a --only b,c`."""
    return [code.strip() for word in words for code in word.split(",") if code.strip()]


def list_columns() -> list[str]:
    """The columns that checks read: not the wide ones that only a page shows."""
    from dermdata.manifest.schema import SCHEMA
    from dermdata.projection import LABEL, REASON, REFINED_FROM, REFINED_LABEL

    wide = {"extra", "caption", "concepts", "masks", "attribution"}
    return [*(name for name in SCHEMA.names if name not in wide), LABEL, REASON, REFINED_FROM, REFINED_LABEL]


def audit_targets(resources: Resources, targets: Sequence[str], request: AuditRequest) -> AuditFindings:
    """Find what is wrong with the rows of these targets; of Parquet files only what is needed is read."""
    from dermdata.api.manifest_selection import load_narrowed
    from dermdata.api.targets import load

    columns = None if request.report else list_columns()

    def read() -> "Loaded":
        if request.is_filtered:
            return load_narrowed(resources, targets, request.where, request.split)
        return load(resources, targets, columns)

    return audit_rows(resources, request, targets, read)


def audit_rows(
    resources: Resources, request: AuditRequest, targets: Sequence[str], read: Callable[[], "Loaded"]
) -> AuditFindings:
    """Find what is wrong with rows, and write the report that is asked for; what was taken away is told.

    Parameters
    ----------
    resources : Resources
        The catalog and the cache, and who is told.
    request : AuditRequest
        What is asked.
    targets : sequence of str
        What the rows were read from.
    read : callable
        Gives the rows; called when the request is known to be right.

    Raises
    ------
    UnknownName, UsageError, BadCatalog
        For a code or a list of known issues that there is not.

    """
    from dermdata import audit as room
    from dermdata.api.resources import open_workers
    from dermdata.api.results import FINDING

    codes = room.choose_codes(split_codes(request.only), split_codes(request.skip))
    catalog = resources.catalog
    lists = [one for name in request.apply for one in room.find_issue_lists(catalog.roots, name, catalog)]
    loaded = read()
    rows = room.drop_repeated_keys(loaded.table)
    if twice := loaded.table.num_rows - rows.num_rows:
        resources.say(f"{count_nouns(twice, 'row', 'are')} there twice: taken once")
    applied = room.apply_issue_lists(rows, lists)
    for one in applied.findings:
        resources.say(one.message)
    changed = any((applied.table is not rows, request.is_filtered))
    context = describe_datasets(resources, loaded, targets, applied.copies, changed=changed)
    context = replace(context, allow_missing=request.allow_missing)
    with open_workers(resources, request.engine) as make, resources.show_progress() as progress:
        jobs = request.jobs or count_cores()
        wanted = room.AuditOptions(near=request.near, codes=codes, jobs=jobs, make=make)
        found = [*room.run_audit(applied.table, context, wanted, progress), *applied.findings]
    if request.report:
        checked = codes - (set() if request.near else {NEAR})
        facts = {
            "command": request.command(targets),
            "checked": sorted(checked),
            "rows": request.describe_rows(targets, applied.table.num_rows),
        }
        write_audit_report(resources, request.report, applied.table, found, context, facts)
    missing = tell_missing(resources, context)
    rows_audited = applied.table.num_rows
    return AuditFindings([vars(one) for one in found], FINDING, loaded.names, rows_audited, missing)


def tell_missing(resources: Resources, context: "AuditContext") -> ImagesMissing | None:
    """What is to be raised for images that are not found; a warning where that is allowed."""
    from dermdata.manifest.image_roots import to_image_roots

    if context.missing and context.allow_missing:
        resources.say(f"warning: {context.missing.describe()}")
    try:
        context.missing.require_none(
            to_image_roots(context.roots).cache_folders, allowed=context.allow_missing
        )
    except ImagesMissing as error:
        return error
    return None


def describe_datasets(
    resources: Resources,
    loaded: "Loaded",
    targets: Sequence[str],
    listed: Sequence[tuple[str, str]],
    *,
    changed: bool,
) -> "AuditContext":
    """What the rows' datasets are; counts are compared where all of a dataset's rows are here."""
    from dermdata.api.label_spaces import sources_of, words_of
    from dermdata.audit import AuditContext
    from dermdata.crosswalks.extents import LabelComparer
    from dermdata.projection import LabelStatements
    from dermdata.split import check_split

    entries = resources.find_entries(loaded.names)
    folders = {name: resources.cache.find_folder(entry) for name, entry in entries.items()}
    receipts = {name: receipt for name, folder in folders.items() if (receipt := folder.receipt())}
    named = {entry.name for entry in resources.find_entries(targets).values()}
    complete = {name for name, receipt in receipts.items() if receipt.complete}
    vocabulary = resources.library.vocabulary
    return AuditContext(
        statements=LabelStatements(words_of(resources, sources_of(loaded.table)), vocabulary),
        judge=LabelComparer(vocabulary),
        entries=entries,
        roots=loaded.roots,
        inspection_folders=find_inspection_folders(resources, [folders[name] for name in receipts]),
        complete_datasets=frozenset() if changed else frozenset(named & complete),
        fetched_roles={name: receipt.roles for name, receipt in receipts.items()},
        check_split=check_split,
        published_pairs=listed,
    )


def find_inspection_folders(resources: Resources, folders: "Sequence[DatasetFolder]") -> dict[str, Path]:
    """Where what is seen of images is kept: nothing is in a cache that is only read."""
    return {folder.name: folder.path for folder in folders if resources.cache.owns(folder)}
