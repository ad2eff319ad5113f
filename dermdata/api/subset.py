"""`dermdata fetch --where EXPR --limit N`: joins the choice of rows, as `select` makes it, with the fetch of a part."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.archive_search import has_archive_rows
from dermdata.api.fetch_dataset import find_earlier, list_files
from dermdata.api.resources import Resources
from dermdata.errors import UsageError
from dermdata.markup import count_nouns
from dermdata.process import count_cores
from dermdata.terminal import format_size

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.archive_search import ArchiveSearch
    from dermdata.cache import Receipt
    from dermdata.fetching import FetchContext, FetchPlan, FetchResult, FetchSettings
    from dermdata.fetching.subset import PartialDataset, SubsetChoice, SubsetRequest
    from dermdata.model import Content, Dataset

Rows = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class SubsetFetch:
    """One run of `fetch` for a part: the condition is judged before anything is asked of anybody."""

    resources: Resources
    wants: "FetchSettings"
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
            from dermdata.cohort.where import condition_columns, filter_rows
            from dermdata.fetching.subset import IMAGE_DERIVED_COLUMNS
            from dermdata.manifest import SCHEMA

            vocabulary = self.resources.library.vocabulary
            filter_rows(SCHEMA.empty_table(), self.where, vocabulary)
            used = condition_columns(self.where, SCHEMA.names, vocabulary)
            if unknown := [name for name in used if name in IMAGE_DERIVED_COLUMNS]:
                raise UsageError(
                    f"{unknown[0]} is only known of images that are here",
                    hint="fetch the whole dataset, then `select --where` filters it",
                )

    def choose(self, table: "pa.Table") -> "pa.Table":
        """The rows for which the condition is true, in the manifest's order, at most `limit`."""
        if self.where is not None:
            from dermdata.cohort.where import unknown_word_notes

            for note in unknown_word_notes(table, self.where):
                self.resources.say(note)
            table = self.filter(table)
        return table if self.limit is None else table.slice(0, self.limit)

    def filter(self, table: "pa.Table") -> "pa.Table":
        """The rows for which the condition is true, in the manifest's order."""
        from dermdata.cohort.where import filter_rows

        if self.where is None:
            return table
        return filter_rows(table, self.where, self.resources.library.vocabulary)

    @property
    def ask(self) -> "SubsetRequest":
        from dermdata.fetching.subset import SubsetRequest

        return SubsetRequest(where=self.where, limit=self.limit, choose=self.choose)

    # -------------------------------------------------------------- fetching

    def fetch(
        self, dataset: "Dataset", context: "FetchContext", *, mirrored: bool, accepted: bool
    ) -> "FetchResult":
        """Fetch the part; what is here already asks neither a host nor the person again."""
        from dermdata.api.fetch_dataset import require_license
        from dermdata.hosts import require_obtainable

        if done := self.find_done(dataset, context):
            return done
        require_obtainable(dataset, mirrored=mirrored)
        require_license(self.resources, dataset, accepted=accepted)
        with self.resources.cache.lock(dataset.name, waiting=self.resources.say):
            return self.find_done(dataset, context, locked=True) or self.bring(dataset, context)

    def find_done(
        self, dataset: "Dataset", context: "FetchContext", *, locked: bool = False
    ) -> "FetchResult | None":
        """Where the whole dataset is here, or the same part of it: nothing to do."""
        from dermdata.api.fetch_dataset import plan_fetch, sweep_after_kill
        from dermdata.fetching import FetchResult, run_plan
        from dermdata.model import CopiedDataset

        known = find_earlier(self.resources, dataset, self.wants)
        whole = plan_fetch(self.resources, known or dataset, replace(self.wants, whole=True))
        if whole.is_empty and (known or not dataset.listing):
            self.say_whole(dataset)
            if not locked:
                sweep_after_kill(self.resources, dataset, whole.have)
            return run_plan(whole, context)
        folder = self.resources.cache.folder(dataset)
        receipt = folder.receipt()
        if receipt is None or not self.is_here(receipt, self.plan_tables(dataset)):
            return None
        if not locked:
            sweep_after_kill(self.resources, dataset, receipt.files)
        return FetchResult(
            manifest=folder.manifest,
            report=receipt.report,
            downloaded=0,
            nothing_to_do=True,
            part=receipt.part,
            copied=dataset if isinstance(dataset, CopiedDataset) else None,
        )

    def say_whole(self, dataset: "Dataset") -> None:
        """Nothing is left to choose."""
        self.resources.say(f"{dataset.name}: all rows are here; `select {dataset.name} --where` filters them")

    def is_here(self, receipt: "Receipt", tables: "FetchPlan") -> bool:
        """Whether an earlier partial fetch brought just this."""
        from dermdata.fetching.subset import is_done

        return is_done(receipt, self.ask, self.wants, tables)

    def plan_tables(self, dataset: "Dataset") -> "FetchPlan":
        """The plan of everything but the images: it keeps what earlier partial fetches brought."""
        from dermdata.api.fetch_dataset import plan_fetch

        only = replace(self.wants, only="metadata", whole=False)
        return replace(plan_fetch(self.resources, dataset, only, own=True), wants=self.wants)

    def bring(self, dataset: "Dataset", context: "FetchContext") -> "FetchResult":
        from dermdata.api.fetch_dataset import plan_fetch
        from dermdata.fetching import run_plan
        from dermdata.fetching.copies import choose_obtainer
        from dermdata.fetching.subset import run_subset

        receipt = self.resources.cache.folder(dataset).receipt()
        entry, ask = dataset, self.ask
        if self.is_of_archive(dataset):
            entry, context, ask = self.search_archive(dataset, context, receipt)
        elif dataset.listing != "rows":
            entry, context = list_files(self.resources, dataset, self.wants, context, part=True)
        part = run_subset(self.plan_tables(entry), ask, context, receipt)
        if part:
            return part
        self.say_all(dataset)
        whole = replace(self.wants, whole=True)
        entry, context = list_files(self.resources, dataset, whole, context)
        plan = plan_fetch(self.resources, entry, whole)
        return run_plan(plan, context, choose_obtainer(plan))

    def is_of_archive(self, dataset: "Dataset") -> bool:
        """Whether the choice is made of an archive that can be asked for what it takes."""
        return has_archive_rows(dataset)

    def search_archive(
        self, dataset: "Dataset", context: "FetchContext", receipt: "Receipt | None"
    ) -> "tuple[Dataset, FetchContext, SubsetRequest]":
        """The entry with the records that are chosen, on top of those that are here; ProblemsFound for none."""
        from dermdata.api.archive_search import add_chosen, choose_records

        search = self.plan_search(dataset, context)
        found = choose_records(self.resources, dataset, search, context, self.filter, self.limit)
        entry, context = add_chosen(self.resources, dataset, found, context, receipt)
        return entry, context, replace(self.ask, choose=found.take, of=search.of)

    def plan_search(self, dataset: "Dataset", context: "FetchContext") -> "ArchiveSearch":
        """What the archive is asked; ProblemsFound where no record of it can be chosen."""
        from dermdata.api.archive_search import plan_search

        return plan_search(self.resources, dataset, self.where, context.resolve_context)

    def say_all(self, dataset: "Dataset") -> None:
        """The choice leaves nothing out."""
        self.resources.say(f"{dataset.name}: these are all rows, so the whole dataset is fetched")

    # -------------------------------------------------------------- a dry run

    def plan_rows(self, datasets: "Sequence[Dataset]", mirrors: list[str]) -> list[dict[str, Any]]:
        """The steps for all of these datasets: tables and directories are read, no image."""
        from dermdata.api.fetch_dataset import open_fetch_context
        from dermdata.hosts import require_obtainable
        from dermdata.progress import SilentProgress

        with self.resources.transfer() as transfer:
            context = open_fetch_context(self.resources, transfer, SilentProgress(), mirrors, count_cores())
            for dataset in datasets:
                require_obtainable(dataset, mirrored=bool(mirrors))
            return [one for dataset in datasets for one in self.plan_dataset(dataset, context)]

    def plan_dataset(self, dataset: "Dataset", context: "FetchContext") -> Rows:
        """What would be done; the tables are read in a folder that is gone afterwards."""
        from dermdata.cache import Cache
        from dermdata.fetching.plan import make_plan
        from dermdata.fetching.subset import preview_subset

        if self.is_of_archive(dataset):
            yield from self.plan_archive(dataset, context)
            return
        entry = dataset
        if dataset.listing != "rows":
            entry, context = list_files(self.resources, dataset, self.wants, context, part=True)
        receipt = self.resources.cache.folder(dataset).receipt()
        digest = self.resources.library.entry_digest(dataset.name)
        tables = replace(
            make_plan(entry, None, replace(self.wants, only="metadata"), digest), wants=self.wants
        )
        with tempfile.TemporaryDirectory() as place:
            elsewhere = replace(context, cache=Cache(Path(place)), resolve=self.resolve_at_hand(context))
            subset_fetch, choice = preview_subset(tables, self.ask, elsewhere, receipt)
            yield from self.steps(subset_fetch, choice, receipt)

    def plan_archive(self, dataset: "Dataset", context: "FetchContext") -> Rows:
        """What the archive counts; no record is asked for."""
        from dermdata.api.archive_search import EVERYTHING
        from dermdata.api.fetch_dataset import PLAN_KEYS
        from dermdata.hosts import isic

        search, resolve = self.plan_search(dataset, context), context.resolve_context
        count = search.found if self.limit is None else min(search.found, self.limit)
        whole = count == search.found
        size = isic.count_bytes(search.query, search.collections, resolve) if whole else None
        row = (dataset.name, "download", EVERYTHING, size, None, search.query or None)
        yield {**dict(zip(PLAN_KEYS, row, strict=True)), "count": count}
        row = (dataset.name, "build", "manifest.parquet", None, None, None)
        yield {**dict(zip(PLAN_KEYS, row, strict=True)), "count": count}
        most = "" if search.is_whole else "at most "
        self.resources.say(
            f"{dataset.name}: {most}{count:,} of {count_nouns(search.of, 'image')}{words(self.where)}, "
            f"{'about ' + format_size(size) if size is not None else 'of a size not counted'}, "
            "less those that are here"
        )

    def resolve_at_hand(self, context: "FetchContext") -> Any:
        """Where to take a file from: the cache, if it is there."""

        def resolve(dataset: "Dataset", file: Any) -> Any:
            folder = self.resources.cache.folder(dataset)
            here = {one.file: folder.path / one.path for one in folder.contents() if one.member is None}
            path = here.get(file.name)
            return path if path and path.is_file() else context.resolve(dataset, file)

        return resolve

    def steps(
        self, subset_fetch: "PartialDataset", choice: "SubsetChoice", receipt: "Receipt | None"
    ) -> Rows:
        """The steps of one dataset, a row each; how much they bring is said at the end."""
        from dermdata.api.fetch_dataset import plan_row

        here = {one.path for one in self.resources.cache.folder(subset_fetch.dataset).contents()}
        wanted = [one for one in choice.wanted if one.path not in here]
        rows = [*self.list_downloads(subset_fetch, wanted, receipt), *self.list_picks(subset_fetch, wanted)]
        yield from rows
        plan, rows_here = subset_fetch.plan, len(choice.part.rows)
        yield {**plan_row(plan, "build", "manifest.parquet", None, None, None), "count": rows_here}
        total = sum(row["size_bytes"] or 0 for row in rows)
        self.resources.say(
            f"{plan.dataset.name}: {choice.rows:,} of {count_nouns(choice.part.of, 'row')}{words(self.where)}, "
            f"{format_size(total)} to download"
        )

    def list_downloads(
        self, subset_fetch: "PartialDataset", wanted: "Sequence[Content]", receipt: "Receipt | None"
    ) -> Rows:
        """Files that come whole: tables, archives without a directory, and wanted images with an address of their own."""
        from dermdata.api.fetch_dataset import plan_row

        plan = subset_fetch.plan
        had = {one.name for one in receipt.files} if receipt else set()
        loose = {one.file for one in wanted if one.member is None}
        for file in [
            *plan.download,
            *subset_fetch.whole,
            *(one for one in plan.dataset.files if one.name in loose),
        ]:
            if file.name not in had:
                yield plan_row(plan, "download", file.name, file.expected_size, file.checksum, file.source)

    def list_picks(self, subset_fetch: "PartialDataset", wanted: "Sequence[Content]") -> Rows:
        """Archives of which only the wanted members come."""
        from dermdata.api.fetch_dataset import plan_row

        for source in subset_fetch.zips.values():
            if mine := [one for one in wanted if one.file == source.file.name]:
                count = source.cost + sum(one.length for one in source.group_ranges(mine))
                row = plan_row(subset_fetch.plan, "pick", source.file.name, count, None, source.url)
                yield {**row, "count": len(mine)}


def words(where: str | None) -> str:
    return f": {where}" if where else ""
