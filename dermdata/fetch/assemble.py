"""The last step: the source's tables and the cached files become the manifest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dermdata import __version__, manifest, readers
from dermdata.cache import Folder
from dermdata.catalog import Catalog
from dermdata.catalog.compile import plain
from dermdata.errors import TableRefused
from dermdata.labels import Crosswalk, check, parse_labels
from dermdata.manifest.build import Source
from dermdata.model import Content, Dataset, Label
from dermdata.progress import Progress
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.parsing import Site

LISTED = 20  # names a report lists before it only counts


@dataclass(frozen=True)
class Library:
    """The vocabulary and crosswalks that labels are read with."""

    catalog: Catalog
    vocabulary: Vocabulary
    body_sites: Mapping[str, str]  # a site's id, or its path in ISIC's words -> its id

    def crosswalk(self, dataset: Dataset) -> Crosswalk:
        """The dataset's words, the bundled rows first, overlays' rows on top."""
        rows: list[Label] = []
        for path in self.catalog.labels_files(dataset.name):
            found = parse_labels(path.read_text(encoding="utf-8"), str(path))
            check(found, self.vocabulary, str(path))
            rows += found
        return Crosswalk(rows)

    def digest_of(self, name: str) -> str:
        """The digest of the catalog's own entry, without what a listing adds to it."""
        return self.digest(self.catalog[name])

    def digest(self, dataset: Dataset) -> str:
        """SHA-256 of everything that decides the manifest besides the files: entry, labels, vocabulary."""
        running = hashlib.sha256(json.dumps(plain(dataset), sort_keys=True).encode())
        paths = [*self.catalog.labels_files(dataset.name), self.catalog.vocabulary_file("concepts.tsv")]
        for path in [*paths, self.catalog.vocabulary_file("body-sites.tsv")]:
            running.update(path.read_bytes())
        return running.hexdigest()


@dataclass(frozen=True)
class Built:
    """The written manifest's SHA-256 and the facts of its report, ready for JSON."""

    manifest_sha256: str
    facts: Mapping[str, Any]


def assemble(
    dataset: Dataset,
    folder: Folder,
    contents: tuple[Content, ...],
    library: Library,
    progress: Progress,
    lost: Mapping[str, str],
) -> Built:
    """Read the tables, harmonize, and put the manifest in place."""
    progress.begin("manifest", None, "rows")

    opened = opener(folder, contents)
    sources = []
    for spec in dataset.table:
        raw = readers.read(spec, opened, contents)
        sources.append(Source(spec, raw.rows, raw.rejected, raw.unpartnered))
    table, report = manifest.build(
        dataset,
        sources,
        contents,
        library.crosswalk(dataset),
        library.vocabulary,
        library.body_sites,
        reasons(lost),
    )
    digest = manifest.write(table, folder.manifest, about(dataset, library))
    progress.end("manifest", f"{report.rows:,} rows")
    return Built(
        digest,
        {**asdict(report), "lost": len(lost), "images_without_row": shortened(report.images_without_row)},
    )


def opener(folder: Folder, contents: tuple[Content, ...]) -> readers.Opener:
    """How readers get at a fetched file's bytes, by its official names."""

    def opened(file: str, member: str | None) -> bytes:
        return (folder.path / path_of(file, member, contents)).read_bytes()

    return opened


def reasons(lost: Mapping[str, str]) -> dict[str, str]:
    """Why an image is not here, by its name without folder and ending."""
    return {name.rpartition("/")[2].rpartition(".")[0]: reason for name, reason in lost.items()}


def shortened(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "first": names[:LISTED]}


def path_of(file: str, member: str | None, contents: tuple[Content, ...]) -> str:
    """The cached path of a table: a catalog file, or a member of one by its path or file name."""
    for content in contents:
        if content.file != file:
            continue
        if member is None and content.member is None:
            return content.path
        if member and content.official in (member, member.rpartition("/")[2]):
            return content.path
    what = f"{member} in {file}" if member else file
    raise TableRefused(f"{what} is not among the fetched files", hint="fetch it without --only")


def about(dataset: Dataset, library: Library) -> dict[str, str]:
    """What the manifest's metadata says: no clock and no machine, so the same inputs give the same bytes."""
    facts = {
        "dataset": dataset.name,
        "version": dataset.version,
        "catalog_digest": library.digest_of(dataset.name),
        "tool": f"dermdata {__version__}",
        "license": dataset.license.id,
        "citation": dataset.citation.text,
        "doi": dataset.citation.doi,
    }
    return {key: value for key, value in facts.items() if value is not None}


def open_library(catalog: Catalog) -> Library:
    """The vocabulary of a catalog, parsed."""
    from dermdata.vocabulary import parse, parse_sites

    concepts, sites = (catalog.vocabulary_file(leaf) for leaf in ("concepts.tsv", "body-sites.tsv"))
    vocabulary = parse(concepts.read_text(encoding="utf-8"), str(concepts))
    body_sites = parse_sites(sites.read_text(encoding="utf-8"), str(sites))
    return Library(catalog, vocabulary, site_names(body_sites))


def site_names(sites: Mapping[str, Site]) -> dict[str, str]:
    """Every way of naming a site that is no guess: its id, and its path ("Head and neck:Head:Scalp")."""

    def path(site: Site) -> str:
        above = f"{path(sites[site.parent])}:" if site.parent else ""
        return f"{above}{site.label}"

    return {name: one for one, site in sites.items() for name in (one, path(site))}
