"""The last step of a fetch: the source's tables and the cached files become the manifest."""

import hashlib
import json
import shlex
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata import __version__, manifest, readers
from dermdata.archive import archive_kind
from dermdata.cache import DatasetFolder
from dermdata.cache.receipt import FetchedSubset, SubsetSpec
from dermdata.catalogs import Catalog
from dermdata.catalogs.overlays import entry_to_data, read_bytes
from dermdata.crosswalks import Crosswalk, load_crosswalk
from dermdata.errors import TableRefused
from dermdata.manifest import SCHEMA, BuildReport
from dermdata.manifest.builder import SourceTable
from dermdata.markup import count_nouns
from dermdata.model import ANY_FILE, Content, CopiedDataset, Dataset
from dermdata.progress import Progress
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import site_names

NAMES_LISTED = 20  # names a report lists before it only counts


@dataclass(frozen=True)
class LabelResources:
    """The vocabulary and crosswalks that labels are read with."""

    catalog: Catalog
    vocabulary: Vocabulary
    body_sites: Mapping[str, str]  # a site's id, or its path in ISIC's words -> its id

    def crosswalk(self, dataset: Dataset) -> Crosswalk:
        """The dataset's words, the bundled rows first, overlays' rows on top."""
        other = dataset.copy.layout if isinstance(dataset, CopiedDataset) else None
        return load_crosswalk(self.catalog, other or dataset.name, self.vocabulary)

    def entry_digest(self, name: str) -> str:
        """The digest of the catalog's own entry, without what a listing adds to it."""
        return self.manifest_digest(self.catalog[name])

    def manifest_digest(self, dataset: Dataset) -> str:
        """SHA-256 of everything that decides the manifest besides the files: entry, labels, vocabulary, columns."""
        running = hashlib.sha256(json.dumps([entry_to_data(dataset), SCHEMA.names], sort_keys=True).encode())
        paths = [*self.catalog.label_files(dataset.name), self.catalog.vocabulary_file("concepts.tsv")]
        for path in [*paths, self.catalog.vocabulary_file("body-sites.tsv")]:
            running.update(read_bytes(path))
        return running.hexdigest()


@dataclass(frozen=True)
class BuiltManifest:
    """The written manifest's SHA-256 and the facts of its report, ready for JSON."""

    manifest_sha256: str
    facts: Mapping[str, Any]


def assemble_manifest(
    dataset: Dataset,
    folder: DatasetFolder,
    contents: tuple[Content, ...],
    library: LabelResources,
    progress: Progress,
    lost: Mapping[str, str],
    coverage: Mapping[str, bool | None],
    part: FetchedSubset | None = None,
    elsewhere: tuple[Content, ...] = (),
) -> BuiltManifest:
    """Read the tables, harmonize, and put the manifest in place; of a `part`, only its rows.

    `coverage` says of catalog files whether a published checksum covers what is here of them.
    `elsewhere` are the files that a partial fetch left at the host, so that names mean what they mean in the
    whole dataset.
    """
    progress.begin("manifest", None, "rows")
    sources = read_tables(dataset, table_opener(folder, contents), (*contents, *elsewhere))
    table, report = harmonize_tables(dataset, sources, (*contents, *elsewhere), library, lost, coverage)
    if part:
        table = select_subset_rows(table, part)
        report = subset_report(report, table, {one.path for one in contents})
    digest = manifest.write_manifest(table, folder.manifest, manifest_metadata(dataset, library, part))
    progress.end("manifest", count_nouns(report.rows, "row"))
    return BuiltManifest(
        digest,
        {
            **asdict(report),
            "lost": len(lost),
            "images_without_row": shorten_names(report.images_without_row),
            "masks_without_row": shorten_names(report.masks_without_row),
            "images_not_found": shorten_names(list_missing_images(table)),
            "closed_archives": shorten_names(list_closed_archives(contents)),
            "unverified": count_unverified(table),
        },
    )


def read_tables(
    dataset: Dataset, opener: readers.Opener, contents: tuple[Content, ...]
) -> tuple[SourceTable, ...]:
    """The source's own rows, table by table."""
    return tuple(
        SourceTable(spec, raw.rows, raw.rejected, raw.unpartnered)
        for spec in dataset.table
        for raw in [readers.read_table(spec, opener, contents)]
    )


def harmonize_tables(
    dataset: Dataset,
    sources: Sequence[SourceTable],
    contents: tuple[Content, ...],
    library: LabelResources,
    lost: Mapping[str, str],
    coverage: Mapping[str, bool | None] = MappingProxyType({}),
) -> tuple[pa.Table, BuildReport]:
    """The whole dataset's rows, and what became of the source's."""
    return manifest.build_manifest(
        dataset,
        sources,
        contents,
        library.crosswalk(dataset),
        library.vocabulary,
        library.body_sites,
        reasons_by_image(lost),
        coverage,
    )


def list_closed_archives(contents: Sequence[Content]) -> list[str]:
    """Archives in archives that stayed closed: they were refused, or lie too deep."""
    return [f"{one.file}: {one.official}" for one in contents if one.member and archive_kind(one.official)]


def list_missing_images(table: pa.Table) -> list[str]:
    """The ids of rows whose image is not here."""
    found: list[str] = table["image_id"].filter(pc.is_null(table["path"])).to_pylist()
    return found


def count_unverified(table: pa.Table) -> int:
    """Rows whose image no published checksum covers, though it came in part."""
    return int(pc.sum(pc.equal(table["verified"], False)).as_py() or 0)


def select_subset_rows(table: pa.Table, part: FetchedSubset) -> pa.Table:
    """The rows of a part, as if there had never been others."""
    return table.filter(pc.is_in(table["image_id"], pa.array(part.rows, pa.string())))


def subset_report(report: BuildReport, table: pa.Table, here: Collection[str]) -> BuildReport:
    """What of a whole dataset's report is true of these rows; its expected numbers are of all rows."""
    missing = table["path"].null_count
    words = set(table["label_raw"].unique().to_pylist())
    return replace(
        report,
        rows=table.num_rows,
        rows_without_image=missing,
        undecodable=table.num_rows - table["image_problem"].null_count - missing,
        unusable={},
        images_without_row=[path for path in report.images_without_row if path in here],
        masks_without_row=[path for path in report.masks_without_row if path in here],
        unmapped_labels={
            word: rows for word, rows in report.unmapped_labels.items() if word.partition(": ")[2] in words
        },
        differences=[],
    )


def table_opener(folder: DatasetFolder, contents: tuple[Content, ...]) -> readers.Opener:
    """How readers get at a fetched file's bytes, by its official names."""
    members: dict[str, dict[str, str]] = {}

    def read_table_bytes(file: str, member: str | None) -> bytes:
        if member is None:
            return (folder.path / find_table_path(file, member, contents)).read_bytes()
        if file not in members:  # of some datasets each image has a table of its own
            members[file] = index_members(file, contents)
        path = members[file].get(unicodedata.normalize("NFC", member))
        return (folder.path / (path or find_table_path(file, member, contents))).read_bytes()

    return read_table_bytes


def index_members(file: str, contents: tuple[Content, ...]) -> dict[str, str]:
    """The cached path of each file in an archive, or in any, by its path there."""
    held = [one for one in contents if file in (ANY_FILE, one.file) and one.member]
    return {unicodedata.normalize("NFC", one.official): one.path for one in held[::-1]}


def reasons_by_image(lost: Mapping[str, str]) -> dict[str, str]:
    """Why an image is not here, by its name without folder and ending."""
    return {name.rpartition("/")[2].rpartition(".")[0]: reason for name, reason in lost.items()}


def shorten_names(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "first": names[:NAMES_LISTED]}


def find_table_path(file: str, member: str | None, contents: tuple[Content, ...]) -> str:
    """The cached path of a table: a catalog file, or a member of one by its path or file name."""
    held = (one for one in contents if file in (ANY_FILE, one.file))
    found = next((one.path for one in held if is_member(one, member)), None)
    if found is None and member and file == ANY_FILE:
        found = find_only_leaf(member.rpartition("/")[2], contents)
    if found is None:
        what = f"{member} in {file}" if member else file
        raise TableRefused(f"{what} is not among the fetched files", hint="fetch it without --only")
    return found


def is_member(content: Content, member: str | None) -> bool:
    """Whether a cached file is the member of this path or file name; without one, the catalog file itself."""
    if member is None:
        return content.member is None
    wanted = unicodedata.normalize("NFC", member)
    return unicodedata.normalize("NFC", content.official) in (wanted, wanted.rpartition("/")[2])


def find_only_leaf(leaf: str, contents: tuple[Content, ...]) -> str | None:
    """The cached path of the one file of this name, in whatever folder; None for none and for several."""
    found = [one.path for one in contents if one.official.rpartition("/")[2] == leaf]
    return found[0] if len(found) == 1 else None


def manifest_metadata(
    dataset: Dataset, library: LabelResources, part: FetchedSubset | None
) -> dict[str, str]:
    """What the manifest's metadata says: no clock and no machine, so the same inputs give the same bytes."""
    facts = {
        "history": fetch_history(dataset, part),
        "dataset": dataset.name,
        "version": dataset.version,
        "catalog_digest": library.entry_digest(dataset.name),
        "tool": f"dermdata {__version__}",
        "license": dataset.license.id,
        "citation": dataset.citation.text,
        "doi": dataset.citation.doi,
    }
    return {key: value for key, value in facts.items() if value is not None}


def fetch_history(dataset: Dataset, part: FetchedSubset | None) -> str | None:
    """The command lines that bring what the manifest has; None where the plain one does."""
    if part is None and not isinstance(dataset, CopiedDataset):
        return None
    asked = part.asked if part else (SubsetSpec(where=None, limit=None, roles=()),)
    return json.dumps([fetch_command(dataset, one) for one in asked], ensure_ascii=False)


def fetch_command(dataset: Dataset, asked: SubsetSpec) -> str:
    """The command line that asked for it, as `select` writes its own into a manifest's history."""
    copy = dataset.copy.name if isinstance(dataset, CopiedDataset) else None
    options = {"copy": copy, "where": asked.where, "limit": asked.limit}
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return shlex.join(["fetch", dataset.name, *words])


def open_label_resources(catalog: Catalog) -> LabelResources:
    """The vocabulary of a catalog, parsed."""
    vocabulary = catalog.load_vocabulary()
    return LabelResources(catalog, vocabulary, site_names(catalog.load_body_sites()))
