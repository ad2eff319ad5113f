"""The ISIC Archive's records for a fetch: all of them, or those that a condition leaves, as far as its search can say it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

from dermdata.api.resources import Resources
from dermdata.errors import ProblemsFound, UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.cache import Receipt
    from dermdata.cohort.pushdown import ProbedField
    from dermdata.fetching import FetchContext
    from dermdata.fetching.archive_records import ArchiveRecord, RecordListing
    from dermdata.hosts import ResolveContext
    from dermdata.hosts.isic_query import ArchiveQuery
    from dermdata.model import Dataset, File, Request
    from dermdata.vocabulary import Vocabulary

ARCHIVE_PREFIX = "isic:"  # of a listing
EVERYTHING = "images of the archive"


def is_archive(dataset: "Dataset") -> bool:
    """Whether an entry's files are listed by the records of the ISIC Archive."""
    return (dataset.listing or "").startswith(ARCHIVE_PREFIX)


def has_archive_rows(dataset: "Dataset") -> bool:
    """Whether the records of the archive are all that an entry's rows are made of."""
    from dermdata.fetching.archive_records import RECORDS_NAME

    tables = [(spec.file, spec.join) for spec in dataset.table]
    return is_archive(dataset) and tables == [(RECORDS_NAME, ())]


@dataclass(frozen=True)
class ArchiveSearch:
    """What the archive is asked for one entry: a query, of which images, and how many of them there are in all."""

    query: str
    collections: tuple[int, ...]
    is_whole: bool  # whatever it finds is chosen, as far as words are known
    found: int  # images that the query finds
    of: int  # images of the entry


def open_search(dataset: "Dataset") -> tuple[str, tuple[int, ...]]:
    """Query and collections of the entry itself."""
    from dermdata.hosts import isic

    return isic.parse_search((dataset.listing or "").removeprefix(ARCHIVE_PREFIX))


def add_archive_records(
    resources: Resources, dataset: "Dataset", context: "FetchContext"
) -> tuple["Dataset", "FetchContext"]:
    """The entry with all records of the archive, asked page by page, as its table, and their images."""
    query, collections = open_search(dataset)
    listing = open_listing(resources, dataset, context, query, collections)
    listing.collect()
    return add_table(resources, dataset, listing.records, context)


def open_listing(
    resources: Resources,
    dataset: "Dataset",
    context: "FetchContext",
    query: str,
    collections: tuple[int, ...],
) -> "RecordListing":
    from dermdata.fetching.archive_records import RecordListing

    folder = resources.cache.folder(dataset)
    return RecordListing(query, collections, context.resolve_context, context.progress, folder)


def add_table(
    resources: Resources, dataset: "Dataset", records: "Sequence[ArchiveRecord]", context: "FetchContext"
) -> tuple["Dataset", "FetchContext"]:
    """The entry with these records, whose table waits in a temporary file until it is fetched."""
    from dermdata.fetching.archive_records import RECORDS_NAME, add_records

    made = resources.cache.folder(dataset).temporary_path(RECORDS_NAME)
    entry = add_records(dataset, records, made)
    usual = context.resolve

    def resolve(one: "Dataset", file: "File") -> "Request | Path":
        return made if file.name == RECORDS_NAME else usual(one, file)

    finalize(resolve, made.unlink, missing_ok=True)  # gone with the workshop; a killed one's goes in a sweep
    return entry, replace(context, resolve=resolve)


# ------------------------------------------------------------------ a choice


def plan_search(
    resources: Resources, dataset: "Dataset", where: str | None, context: "ResolveContext"
) -> ArchiveSearch:
    """What to ask the archive for a condition; ProblemsFound where no record of it can meet that."""
    from dermdata.hosts import isic

    query, collections = open_search(dataset)
    of = isic.count_images(query, collections, context)
    everything = ArchiveSearch(query, collections, is_whole=where is None, found=of, of=of)
    if where is None:
        return everything
    asked = push_down(resources, dataset, where)
    if asked is None:
        raise nothing_chosen(dataset, of)
    text = asked.add_to(query)
    if text is None or text == query:
        return everything
    try:
        found = isic.count_images(text, collections, context)
    except UsageError as error:  # it reads another language by now
        resources.say(f"{dataset.name}: {error.message}, so all its records are looked at")
        return everything
    if not found:
        raise nothing_chosen(dataset, of)
    return ArchiveSearch(text, collections, is_whole=asked.is_whole, found=found, of=of)


def nothing_chosen(dataset: "Dataset", of: int) -> ProblemsFound:
    """The error for a choice that takes none of so many images."""
    return ProblemsFound(
        f"{dataset.name}: none of {count_nouns(of, 'image')} is chosen, nothing was fetched",
        hint=f"`dermdata labels map {dataset.name}` has its words and their concepts",
    )


@dataclass(frozen=True)
class ArchiveFields:
    """The fields that the archive's search knows, as a manifest of some entry has them."""

    fields: "tuple[ProbedField, ...]"
    words: "Mapping[str, tuple[str, ...]]"
    table: "pa.Table"

    def write_query(self, where: str, vocabulary: "Vocabulary") -> "ArchiveQuery | None":
        """A condition as a query of the archive; None where no record can meet it."""
        from dermdata.cohort.pushdown import find_demand
        from dermdata.hosts.isic_query import write_query
        from dermdata.manifest import SCHEMA

        demand = find_demand(where, SCHEMA.names, self.fields, vocabulary)
        if not demand.alternatives:
            return None
        found = write_query(demand.alternatives, self.words)
        return replace(found, is_whole=found.is_whole and demand.is_whole)


def probe_archive(resources: Resources, dataset: "Dataset", constants: "Sequence[str]") -> ArchiveFields:
    """What becomes of each word of the archive's fields; of those that hold any word, of a condition's constants."""
    from dermdata.cohort.pushdown import probe_fields, probe_ids
    from dermdata.fetching.archive_records import build_id_probes, build_probes, list_field_words

    words = list_field_words(dataset, resources.library, constants)
    table = build_probes(dataset, words, resources.library)
    id_rows, ids = build_id_probes(dataset, constants, resources.library)
    fields = (*probe_fields(table, words), probe_ids(id_rows, ids))
    return ArchiveFields(fields, {**words, "isic_id": ids}, table)


def push_down(resources: Resources, dataset: "Dataset", where: str) -> "ArchiveQuery | None":
    """A condition as a query of the archive; None where no record can meet it: words that none has are told."""
    from dermdata.cohort.pushdown import list_constants
    from dermdata.cohort.where import unknown_word_notes

    archive = probe_archive(resources, dataset, list_constants(where))
    asked = archive.write_query(where, resources.library.vocabulary)
    for note in unknown_word_notes(archive.table, where) if asked is None else ():
        resources.say(note)
    return asked


@dataclass(frozen=True)
class ChosenRecords:
    """The records that a choice takes, and their ids."""

    records: "Sequence[ArchiveRecord]"
    ids: "pa.Array"

    def take(self, table: "pa.Table") -> "pa.Table":
        """Their rows of a table."""
        import pyarrow.compute as pc

        return table.filter(pc.is_in(table["image_id"], self.ids))


def choose_records(
    resources: Resources,
    dataset: "Dataset",
    search: ArchiveSearch,
    context: "FetchContext",
    choose: "Callable[[pa.Table], pa.Table]",
    limit: int | None,
) -> ChosenRecords:
    """Ask for the records of a search and choose among them; of a limit the first ones, as the archive lists them."""
    from dermdata.fetching.archive_records import build_rows

    def take(records: "Sequence[ArchiveRecord]") -> "pa.Array":
        return choose(build_rows(dataset, records, resources.library))["image_id"].combine_chunks()

    say_search(resources, dataset, search)
    listing = open_listing(resources, dataset, context, search.query, search.collections)
    listing.collect((lambda records: len(take(records)) >= limit) if limit is not None else None)
    chosen = cut_records(listing.records, take(listing.records), limit)
    if not chosen.records:
        listing.forget()
        raise nothing_chosen(dataset, search.of)
    return chosen


def say_search(resources: Resources, dataset: "Dataset", search: ArchiveSearch) -> None:
    """What the archive is asked for, and whether anything is left to choose here."""
    words = f"{search.query}: " if search.query else ""
    asked = f"the archive is asked for {words}{search.found:,} of {count_nouns(search.of, 'record')}"
    rest = "" if search.is_whole else "; the rest is chosen here"
    resources.say(f"{dataset.name}: {asked}{rest}")


def cut_records(records: "Sequence[ArchiveRecord]", ids: "pa.Array", limit: int | None) -> ChosenRecords:
    """Only the records that were chosen, at most `limit`, in the archive's order."""
    import pyarrow as pa

    chosen = set(ids.to_pylist())
    mine = [one for one in records if one.cells["isic_id"] in chosen][:limit]
    return ChosenRecords(mine, pa.array([one.cells["isic_id"] for one in mine], pa.string()))


def add_chosen(
    resources: Resources,
    dataset: "Dataset",
    found: ChosenRecords,
    context: "FetchContext",
    receipt: "Receipt | None",
) -> tuple["Dataset", "FetchContext"]:
    """The entry with chosen records, on top of those that are here."""
    from dermdata.fetching.archive_records import list_earlier_records

    earlier = list_earlier_records(resources.cache.folder(dataset), receipt, found.records)
    return add_table(resources, dataset, [*found.records, *earlier], context)


# ------------------------------------------------------------------ records by their ids


def can_search_ids(dataset: "Dataset", ids: "Sequence[str]") -> bool:
    """Whether the archive can be asked for records of these ids: nothing else is asked of it by the entry."""
    from dermdata.hosts import isic

    return has_archive_rows(dataset) and not open_search(dataset)[0] and all(map(isic.is_id, ids))


def count_records(dataset: "Dataset", context: "FetchContext") -> int:
    """How many records the archive has of an entry."""
    from dermdata.hosts import isic

    return isic.count_images(*open_search(dataset), context.resolve_context)


def choose_ids(dataset: "Dataset", ids: "Sequence[str]", context: "FetchContext") -> ChosenRecords:
    """The records of these ids, of as many with one query as that takes."""
    import pyarrow as pa

    from dermdata.fetching.archive_records import read_records
    from dermdata.hosts import isic
    from dermdata.hosts.isic_query import MOST_WORDS, write_ids_query

    _, collections = open_search(dataset)
    records: list[ArchiveRecord] = []
    context.progress.begin("records", len(ids), "records")
    for start in range(0, len(ids), MOST_WORDS):
        some = ids[start : start + MOST_WORDS]
        found = list(
            isic.search_records(write_ids_query(some), collections, context.resolve_context, len(some))
        )
        records += read_records(found)
        context.progress.advance("records", len(some))
    context.progress.end("records", count_nouns(len(records), "record"))
    return ChosenRecords(records, pa.array([one.cells["isic_id"] for one in records], pa.string()))
