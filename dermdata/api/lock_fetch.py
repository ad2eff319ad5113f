"""`dermdata sync` of a small part of a dataset: the tables, and of the images only those that the lock names."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from dermdata.api.subset import SubsetFetch

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.resources import Resources
    from dermdata.cache import Receipt
    from dermdata.cohort import DatasetLock, Lock
    from dermdata.fetching import Outcome, Plan, Workshop
    from dermdata.fetching.partial import Ask
    from dermdata.model import Dataset


@dataclass(frozen=True)
class LockFetch(SubsetFetch):
    """The rows of one dataset in a lock, by key; the condition is only words, for the receipt."""

    keys: frozenset[str] = field(default=frozenset())

    def choose(self, table: "pa.Table") -> "pa.Table":
        """The rows that the lock names; says how many of how many, once the table tells."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = table.filter(pc.is_in(table["key"], pa.array(sorted(self.keys), pa.string())))
        if rows.num_rows and not self.ask.takes_all(rows.num_rows, table.num_rows, self.wants):
            what = "rows" if self.wants.only == "metadata" else "images"
            dataset = table["dataset"][0].as_py()
            self.resources.say(
                f"{dataset}: only {rows.num_rows:,} of {table.num_rows:,} {what} are in the lock"
            )
        return rows

    @property
    def ask(self) -> "Ask":
        from dermdata.fetching.partial import Ask

        return Ask(where=self.where, limit=None, choose=self.choose, of_lock=True)

    def is_here(self, receipt: "Receipt", tables: "Plan") -> bool:
        """Whether earlier partial fetches, of this lock or not, brought these rows with all that is wanted."""
        part = receipt.part
        if part is None or not tables.nothing:
            return False
        mine = {key.partition("/")[2] for key in self.keys}
        full = all(self.wants.roles <= set(one.roles) for one in part.asked)
        return (full and mine <= set(part.rows)) or super().is_here(receipt, tables)

    def say_whole(self, dataset: "Dataset") -> None:
        """What is here is told with the outcome."""

    def say_all(self, dataset: "Dataset") -> None:
        self.resources.say(
            f"{dataset.name}: half of its rows or more are in the lock, so all of it is fetched"
        )

    def is_whole(self, receipt: "Receipt | None") -> bool:
        """Whether there is no part to choose: all rows are here or come, with what is wanted of them."""
        tables_will_do = self.wants.only == "metadata" and not (receipt and receipt.part)
        return tables_will_do or (receipt is not None and receipt.complete)

    def is_cached(self, dataset: "Dataset") -> bool:
        """Whether the locked rows are in the cache, as far as its receipt tells."""
        receipt = self.resources.cache.folder(dataset).receipt()
        if receipt is None or receipt.manifest_sha256 is None:
            return False
        return self.is_whole(receipt) or self.is_here(receipt, self.plan_tables(dataset))

    def fetch_missing(self, dataset: "Dataset", workshop: "Workshop", *, accepted: bool) -> "Outcome":
        """What the cache lacks of these rows; where it holds the dataset with all rows, what that lacks."""
        from dermdata.api.fetch_dataset import fetch_dataset

        if self.is_whole(self.resources.cache.folder(dataset).receipt()):
            return fetch_dataset(
                self.resources, dataset, self.wants, workshop, mirrored=False, accepted=accepted
            )
        return self.fetch(dataset, workshop, mirrored=False, accepted=accepted)


def open_lock_fetch(resources: "Resources", lock: "Lock", one: "DatasetLock") -> LockFetch:
    """What `sync` fetches of one dataset; one without images in the lock needs only its tables."""
    from dermdata.fetching import Wants

    prefix = f"{one.name}/"
    keys = frozenset(key for key in lock.rows["key"].to_pylist() if key.startswith(prefix))
    digest = sha256("\n".join(sorted(keys)).encode()).hexdigest()
    words = f"those of a lock of {len(keys):,} rows (sha256 of their keys {digest[:12]})"
    return LockFetch(resources, Wants(only=None if one.images else "metadata"), words, None, keys)
