"""Counts of rows by any columns, or an overview: what `stats` and `Manifest.stats` have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dermdata.api.label_spaces import ADDED, NEEDED, project
from dermdata.api.records import Records
from dermdata.api.resources import Resources

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class CountRequest:
    """What is counted: by which columns (an overview without any), and in which label space."""

    by: tuple[str, ...] = ()
    labels: str | None = None
    strict: bool = False

    @classmethod
    def from_names(
        cls, by: Iterable[str], labels: str | None = None, *, strict: bool = False
    ) -> "CountRequest":
        """Each column once, in the order in which they are named first."""
        return cls(tuple(dict.fromkeys(by)), labels, strict)

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """The columns that rows are counted by, all at once or one after the other."""
        from dermdata.cohort.stats import OVERVIEW_COLUMNS

        return self.by or (*(ADDED if self.labels else ()), *OVERVIEW_COLUMNS)

    @property
    def columns(self) -> list[str]:
        """The columns of a manifest that counting reads."""
        from dermdata.cohort.stats import COUNTED_COLUMNS

        return [*self.shown_columns, *COUNTED_COLUMNS.values(), *(NEEDED if self.labels else ()), "dataset"]


def count_targets(resources: Resources, targets: Sequence[str], request: CountRequest) -> Records:
    """Count the rows of targets, of all that is cached without any; only the columns that are needed are read."""
    from dermdata.api.targets import list_cached_targets, load

    loaded = load(resources, targets or list_cached_targets(resources), request.columns)
    resources.more(f"counting {', '.join(loaded.names)}")
    return count_rows(resources, loaded.table, loaded.names, request)


def count_rows(
    resources: Resources, table: "pa.Table", names: Sequence[str], request: CountRequest
) -> Records:
    """A record a cell: the columns, or `by` and `value` in an overview, then images, patients, lesions, share."""
    from dermdata.cohort import stats as room

    if request.labels:
        table = project(resources, table, request.labels, strict=request.strict)
    if request.by:
        return Records(room.tabulate(table, request.by), (*request.by, *room.MEASURES))
    compared = ["dataset"] if len(names) > 1 else []  # several datasets are also compared
    return Records(
        room.tabulate_each(table, [*compared, *request.shown_columns]), ("by", "value", *room.MEASURES)
    )
