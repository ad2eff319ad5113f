"""`dermdata fetch --where EXPR --limit N`: joins the choice of rows, as `select` makes it, with the fetch of a part."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.cli.fetch_listing import already, listed
from dermdata.cli.output import size
from dermdata.cli.state import State
from dermdata.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.cache import Receipt
    from dermdata.fetch import Outcome, Plan, Wants, Workshop
    from dermdata.fetch.partial import Ask, Choice
    from dermdata.fetch.scene import Scene
    from dermdata.model import Dataset

Rows = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class PartFetch:
    """One run of `fetch` for a part: the condition is judged before anything is asked of anybody."""

    state: State
    wants: "Wants"
    where: str | None
    limit: int | None

    def check(self) -> None:
        """UsageError or UnknownName for options and conditions that cannot be; no request has been made."""
        if self.wants.only == "metadata":
            raise UsageError("--where and --limit choose images", hint="`select --where` filters the table")
        if self.wants.force:
            raise UsageError(
                "--force fetches whole datasets again", hint="`dermdata verify --repair` mends what is here"
            )
        if self.where is not None:
            from dermdata.fetch.partial import NOT_KNOWN
            from dermdata.manifest import SCHEMA
            from dermdata.select.under import rewritten
            from dermdata.select.where import checked, engine, where

            vocabulary = self.state.library.vocabulary
            where(SCHEMA.empty_table(), self.where, vocabulary)
            with engine() as connection:
                used = checked(connection, rewritten(self.where, vocabulary), SCHEMA.names)
            if unknown := [name for name in used if name in NOT_KNOWN]:
                raise UsageError(
                    f"{unknown[0]} is only known of images that are here",
                    hint="fetch the whole dataset, then `select --where` filters it",
                )

    def choose(self, table: "pa.Table") -> "pa.Table":
        """The rows for which the condition is true, in the manifest's order, at most `limit`."""
        if self.where is not None:
            from dermdata.select.where import strangers, where

            for note in strangers(table, self.where):
                self.state.say(note)
            table = where(table, self.where, self.state.library.vocabulary)
        return table if self.limit is None else table.slice(0, self.limit)

    @property
    def ask(self) -> "Ask":
        from dermdata.fetch.partial import Ask

        return Ask(where=self.where, limit=self.limit, choose=self.choose)

    # -------------------------------------------------------------- fetching

    def fetched(
        self, dataset: "Dataset", workshop: "Workshop", *, mirrored: bool, accepted: bool
    ) -> "Outcome":
        """Fetch the part; what is here already asks neither a host nor the person again."""
        from dermdata.cli.fetch import obtainable, require_license

        if done := self.done(dataset, workshop):
            return done
        obtainable(dataset, mirrored=mirrored)
        require_license(dataset, accepted)
        with self.state.cache.lock(dataset.name, waiting=self.state.say):
            return self.done(dataset, workshop, locked=True) or self.bring(dataset, workshop)

    def done(self, dataset: "Dataset", workshop: "Workshop", *, locked: bool = False) -> "Outcome | None":
        """Where the whole dataset is here, or the same part of it: nothing to do."""
        from dermdata.cli.fetch import planned, sweep_after_kill
        from dermdata.fetch import Outcome, run

        known = already(self.state, dataset, self.wants)
        whole = planned(self.state, known or dataset, replace(self.wants, whole=True))
        if whole.nothing and (known or not dataset.listing):
            self.say_whole(dataset)
            if not locked:
                sweep_after_kill(self.state, dataset, whole.have)
            return run(whole, workshop)
        folder = self.state.cache.folder(dataset)
        receipt = folder.receipt()
        if receipt is None or not self.is_here(receipt, self.tables(dataset)):
            return None
        if not locked:
            sweep_after_kill(self.state, dataset, receipt.files)
        return Outcome(
            manifest=folder.manifest,
            report=receipt.report,
            downloaded=0,
            nothing_to_do=True,
            part=receipt.part,
        )

    def say_whole(self, dataset: "Dataset") -> None:
        """Nothing is left to choose."""
        self.state.say(f"{dataset.name}: all rows are here; `select {dataset.name} --where` filters them")

    def is_here(self, receipt: "Receipt", tables: "Plan") -> bool:
        """Whether an earlier partial fetch brought just this."""
        from dermdata.fetch.partial import is_done

        return is_done(receipt, self.ask, self.wants, tables)

    def tables(self, dataset: "Dataset") -> "Plan":
        """The plan of everything but the images: it keeps what earlier partial fetches brought."""
        from dermdata.cli.fetch import planned

        only = replace(self.wants, only="metadata", whole=False)
        return replace(planned(self.state, dataset, only), wants=self.wants)

    def bring(self, dataset: "Dataset", workshop: "Workshop") -> "Outcome":
        from dermdata.cli.fetch import planned
        from dermdata.fetch import run
        from dermdata.fetch.partial import run_part

        entry = dataset
        if dataset.listing != "rows":
            entry, workshop = listed(self.state, dataset, self.wants, workshop, planned)
        receipt = self.state.cache.folder(dataset).receipt()
        part = run_part(self.tables(entry), self.ask, workshop, receipt)
        if part:
            return part
        self.say_all(dataset)
        whole = replace(self.wants, whole=True)
        entry, workshop = listed(self.state, dataset, whole, workshop, planned)
        return run(planned(self.state, entry, whole), workshop)

    def say_all(self, dataset: "Dataset") -> None:
        """The choice leaves nothing out."""
        self.state.say(f"{dataset.name}: these are all rows, so the whole dataset is fetched")

    # -------------------------------------------------------------- a dry run

    def shown(self, datasets: list["Dataset"], mirrors: list[str]) -> list[dict[str, Any]]:
        """The steps for all of these datasets: tables and directories are read, no image."""
        from dermdata.cli.fetch import obtainable, workshop_of
        from dermdata.progress import Silent

        with self.state.transfer() as transfer:
            workshop = workshop_of(self.state, transfer, Silent(), mirrors, os.cpu_count() or 1)
            for dataset in datasets:
                obtainable(dataset, mirrored=bool(mirrors))
            return [one for dataset in datasets for one in self.rows(dataset, workshop)]

    def rows(self, dataset: "Dataset", workshop: "Workshop") -> Rows:
        """What would be done; the tables are read in a folder that is gone afterwards."""
        from dermdata.cache import Cache
        from dermdata.cli.fetch import planned
        from dermdata.fetch.partial import foresee
        from dermdata.fetch.plan import plan

        entry = dataset
        if dataset.listing != "rows":
            entry, workshop = listed(self.state, dataset, self.wants, workshop, planned)
        receipt = self.state.cache.folder(dataset).receipt()
        digest = self.state.library.digest_of(dataset.name)
        tables = replace(plan(entry, None, replace(self.wants, only="metadata"), digest), wants=self.wants)
        with tempfile.TemporaryDirectory() as place:
            elsewhere = replace(workshop, cache=Cache(Path(place)), resolve=self.at_hand(workshop))
            scene, choice = foresee(tables, self.ask, elsewhere, receipt)
            yield from self.steps(scene, choice, receipt)

    def at_hand(self, workshop: "Workshop") -> Any:
        """Where to take a file from: the cache, if it is there."""

        def resolve(dataset: "Dataset", file: Any) -> Any:
            folder = self.state.cache.folder(dataset)
            here = {one.file: folder.path / one.path for one in folder.contents() if one.member is None}
            path = here.get(file.name)
            return path if path and path.is_file() else workshop.resolve(dataset, file)

        return resolve

    def steps(self, scene: "Scene", choice: "Choice", receipt: "Receipt | None") -> Rows:
        from dermdata.cli.fetch import row

        folder = self.state.cache.folder(scene.dataset)
        here = {one.path for one in folder.contents()}
        had = {one.name for one in receipt.files} if receipt else set()
        plan, total = scene.plan, 0
        loose = {one.file for one in choice.wanted if one.member is None and one.path not in here}
        files = [*plan.download, *scene.whole, *(one for one in plan.dataset.files if one.name in loose)]
        for file in files:
            if file.name not in had:
                total += file.size or 0
                yield row(plan, "download", file.name, file.size, file.checksum, file.source)
        for source in scene.shelves.values():
            mine = [one for one in choice.wanted if one.file == source.file.name and one.path not in here]
            if mine:
                count = source.cost + sum(one.length for one in source.reaches(mine))
                total += count
                yield {**row(plan, "pick", source.file.name, count, None, source.url), "count": len(mine)}
        yield {**row(plan, "build", "manifest.parquet", None, None, None), "count": len(choice.part.rows)}
        self.state.say(
            f"{plan.dataset.name}: {choice.rows:,} of {choice.part.of:,} rows{words(self.where)}, "
            f"{size(total)} to download"
        )


def words(where: str | None) -> str:
    from dermdata.cli.output import visible

    return f": {visible(where)}" if where else ""
