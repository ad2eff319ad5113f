"""What a host's record states, as the keys of a catalog entry, each with where and when it was read; pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from typing import Any

from dermdata.catalogs.entries import address_problem, doi_problem, page_problem
from dermdata.hosts import BUNDLING_HOSTS
from dermdata.hosts.base import RecordFacts
from dermdata.licenses import find_license
from dermdata.model import File
from dermdata.urls import has_secret, redact_text

UNFIT_FOR_PATHS = re.compile(r"[^\w.+-]+", re.ASCII)  # a version names a folder of the cache
FEW = 20  # loose pictures that an entry names one by one
FILE_COLUMNS = ("name", "size", "checksum", "role", "source", "url")  # of files.tsv


@dataclass(frozen=True, kw_only=True)
class RowFiles:
    """Files that hold rows together with their images."""

    has_split: bool  # whether they say the part of a split
    split_pattern: str | None  # by which their names do


@dataclass(frozen=True, kw_only=True)
class RecordParts:
    """What an entry takes from a record."""

    facts: RecordFacts
    files: Sequence[File]  # the archives and tables that it needs
    pictures: Sequence[File]  # that lie loose
    unnamed: Sequence[File] = ()  # loose ones that no row names
    member: str | None = None  # the table's path in its archive
    rows: RowFiles | None = None  # where files hold rows and images

    @property
    def is_sharded(self) -> bool:
        """Whether the host's listing names the files of rows and images."""
        shards = [file for file in self.files if file.unpack == "parquet"]
        return len(shards) > FEW and self.facts.is_fixed

    @property
    def is_listed(self) -> bool:
        """Whether the host's listing names the pictures: one that stays, or that stands for one zip of them all."""
        host = self.facts.place.partition(":")[0]
        return len(self.pictures) > FEW and (self.facts.is_fixed or host in BUNDLING_HOSTS)

    @property
    def named_files(self) -> list[File]:
        """The files that the entry itself names."""
        if self.is_sharded:
            return []
        return [*self.files, *(self.pictures if len(self.pictures) <= FEW else ())]

    @property
    def tabled_files(self) -> Sequence[File]:
        """Pictures that are too many for the entry, of a host that may list others later: `files.tsv` names them."""
        return self.pictures if len(self.pictures) > FEW and not self.is_listed else ()


def describe_record(record: RecordParts, name: str, date: str) -> dict[str, Any]:
    """The keys of an entry that say what and where the record is; plain ones first, as TOML wants them."""
    facts = record.facts
    page = check_page(facts.page)
    title = redact_text(facts.title or name.replace("-", " ").title())
    keys: dict[str, Any] = {
        "title": title,
        "kind": "dataset",
        "summary": f"{title.rstrip('.')}, added from {page or facts.place}.",
        "version": UNFIT_FOR_PATHS.sub("-", redact_text(facts.version or date)).strip("-.") or date,
    }
    parts = {
        "homepage": page,
        **describe_listing(record),
        "license": describe_license(facts),
        "access": describe_access(facts, page, date),
        "citation": describe_citation(facts),
    }
    return drop_nothing({**keys, **parts})


def describe_listing(record: RecordParts) -> dict[str, Any]:
    """The listing that names the pictures, by their endings; nothing where the entry names them."""
    if record.is_sharded:
        spec = {"include": ["*.parquet"], "unpack": {"*.parquet": "parquet"}}
        return {"listing": record.facts.place, "listed": spec}
    if not record.is_listed:
        return {}
    return {"listing": record.facts.place, "listed": {"include": list_globs(record)}}


def list_globs(record: RecordParts) -> list[str]:
    """What the pictures' names end in; below folders of their own where others lie elsewhere that no row names."""
    tops = {find_top(file) for file in record.pictures}
    parted = tops.isdisjoint(find_top(file) for file in record.unnamed) and "" not in tops
    globs = {
        f"{escape(find_top(file)) if parted and record.unnamed else ''}*.{file.name.rpartition('.')[2]}"
        for file in record.pictures
    }
    return sorted(globs)


def find_top(file: File) -> str:
    """The outermost folder of a file, with a slash; nothing where it lies in none."""
    top, slash, _ = file.name.partition("/")
    return top + slash if slash else ""


def describe_access(facts: RecordFacts, page: str | None, date: str) -> dict[str, Any]:
    """Whether the files need an account, and how that is known."""
    kind, evidence = (
        "account" if facts.account else "open",
        f"its host lists the files ({facts.place}, {date})",
    )
    return drop_nothing({"kind": kind, "service": facts.account, "url": page, "evidence": evidence})


def check_page(url: str | None) -> str | None:
    """An address that a person may be sent to; None for one that is none, or holds a secret."""
    return url if url and page_problem(url) is None and not has_secret(url) else None


def describe_license(facts: RecordFacts) -> dict[str, str]:
    """The license as it is stated, with its SPDX name where the words leave no other."""
    url = check_page(facts.license_url)
    stated = redact_text(facts.license) if facts.license else None
    return drop_nothing({"id": find_license(stated, url), "url": url, "statement": stated})


def describe_citation(facts: RecordFacts) -> dict[str, str]:
    """The DOI, and the citation in the record's own words or of its parts."""
    doi = (facts.doi or "").removeprefix("https://doi.org/") or None
    text = redact_text(facts.citation) if facts.citation else None
    return drop_nothing({"doi": doi if doi and doi_problem(doi) is None else None, "text": text})


def drop_nothing(part: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that say something."""
    return {key: value for key, value in part.items() if value not in (None, {})}


def describe_sources(record: RecordParts, date: str, tool: str) -> dict[str, str]:
    """Where each fact of the record was read; `[facts]` of the entry."""
    facts = record.facts
    stated = {
        "title": facts.title,
        "version": facts.version,
        "license": facts.license or facts.license_url,
        "citation": facts.citation or facts.doi,
    }
    read = f"{facts.source}, read on {date} by {tool}"
    found = {key: read for key, value in stated.items() if value}
    if record.rows and record.rows.has_split:
        found["table.columns.split_official"] = "what the files, or their names, say"
    files = f"names, sizes and digests as {facts.place} lists them, read on {date} by {tool}"
    return {**found, "files": files}


def file_keys(file: File, member: str | None = None) -> dict[str, Any]:
    """A file as an entry writes it."""
    safe = [url for url in file.urls if not (address_problem(url, bool(file.checksum)) or has_secret(url))]
    keys = {
        "name": file.name,
        "role": file.role,
        "source": file.source,
        "urls": safe or None,
        "size": file.size or None,
        "checksum": file.checksum,
        "unpack": file.unpack,
        "fetch": None if file.fetch else False,
        "note": file.note,
        "members": {member: "metadata"} if member and file.role == "images" else None,
    }
    return drop_nothing(keys)


def files_to_tsv(files: Sequence[File]) -> str:
    """`files.tsv`: the files with the host's key, size and digest of each."""
    rows = [
        (file.name, file.size or "", file.checksum or "", file.role, file.source, *(file.urls or ("",))[:1])
        for file in files
    ]
    return "".join("\t".join(map(str, row)) + "\n" for row in (FILE_COLUMNS, *rows))
