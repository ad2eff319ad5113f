"""Dataverse: a datafile's id, or a dataset's DOI and a file name, at Harvard's or any other server.

Tabular files only have their published size and checksum with `?format=original`: without it the server
sends its own re-export.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from dermdata.errors import RestrictedRecord
from dermdata.hosts.base import (
    JsonObject,
    RecordFacts,
    ResolveContext,
    compose_citation,
    guess_role,
    make_request,
    match_identity,
    merge_listed,
    pick_file,
    request_from_catalog,
)
from dermdata.model import Dataset, File, Request
from dermdata.urls import USE_FROM

HARVARD = "dataverse.harvard.edu"
SERVER = r"(?:([a-z0-9-]+(?:\.[a-z0-9-]+)+)/)?"
# a shoulder such as DVN, data or SP2 may stand before the id
DOI = r"(?:doi:10|hdl:\d+)\.[0-9.]+/(?:(?:[A-Za-z]+|[A-Z0-9]{2,4})/)?[A-Za-z0-9][A-Za-z0-9_-]*"
RESTRICTED = "restricted"
ALGORITHMS: Mapping[str, str] = MappingProxyType(
    {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
)


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`3172585`, `4338392?format=original` or `doi:10.7910/DVN/DBW86T/HAM10000_metadata`; before each `<server>/`."""
    if number := re.fullmatch(rf"{SERVER}(\d+(?:\?format=original)?)", identity):
        return make_request(file, (file_url(number[1] or HARVARD, number[2]),))
    if request := request_from_catalog(file):
        return request
    form = "dataverse:[<server>/]<file id>[?format=original] or dataverse:[<server>/]doi:<doi>/<file name>"
    server, doi, name = match_identity(f"{SERVER}({DOI})/(.+)", identity, form).groups()
    found = pick_file(name, request_files(server or HARVARD, doi, context), describe_dataset(doi))
    if found.note == RESTRICTED:
        message = f"{dataset.name}: {file.name} is restricted"
        hint = f"ask for access at https://doi.org/{doi.removeprefix('doi:')}, then {USE_FROM}"
        raise RestrictedRecord(message, hint=hint)
    return merge_listed(file, found)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `doi:10.7910/DVN/DBW86T`, or of `<server>/doi:…`; restricted ones are not fetched."""
    server, doi = match_identity(f"{SERVER}({DOI})", identity, "dataverse:[<server>/]doi:<doi>").groups()
    return request_files(server or HARVARD, doi, context)


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What the newest version of `[<server>/]doi:…` says of itself; no listing names another version."""
    found = match_identity(f"{SERVER}({DOI})", identity, "dataverse:[<server>/]doi:<doi>")
    server, doi = found[1] or HARVARD, found[2]
    data = request_dataset(server, doi, context)
    latest = data.child("latestVersion")
    title, names = read_citation(latest)
    numbers = (latest.optional_number("versionNumber"), latest.optional_number("versionMinorNumber"))
    terms = latest.optional_child("license")
    publisher = data.written_text("publisher") or server
    return RecordFacts(
        place=f"dataverse:{identity}",
        page=f"https://{server}/dataset.xhtml?persistentId={doi}",
        source=dataset_url(server, doi),
        title=title,
        version=None if None in numbers else ".".join(map(str, numbers)),
        license=terms.written_text("name") or latest.written_text("license"),
        license_url=terms.written_text("uri"),
        doi=doi.removeprefix("doi:") if doi.startswith("doi:") else None,
        citation=compose_citation(names, data.written_text("publicationDate"), title, publisher),
        is_fixed=False,
    )


def read_citation(version: JsonObject) -> tuple[str | None, list[str | None]]:
    """Title and authors of a version, by its block of metadata for citing it."""
    block = version.optional_child("metadataBlocks").optional_child("citation")
    rows = list(block.rows("fields")) if block.flag("fields") else []
    named = {row.written_text("typeName"): row for row in rows}
    title = named["title"].written_text("value") if "title" in named else None
    authors = named["author"].rows("value") if "author" in named else ()
    return title, [one.optional_child("authorName").written_text("value") for one in authors]


def request_dataset(server: str, doi: str, context: ResolveContext) -> JsonObject:
    """What the server says of a dataset."""

    def ask() -> JsonObject:
        what = describe_dataset(doi)
        return JsonObject(context.request_json(what, dataset_url(server, doi)), what).child("data")

    return context.answers.get_or_ask(("dataverse-dataset", server, doi), ask)


def request_files(server: str, doi: str, context: ResolveContext) -> tuple[File, ...]:
    """The dataset's files under the names they were uploaded with."""

    def ask() -> tuple[File, ...]:
        rows = request_dataset(server, doi, context).child("latestVersion").rows("files")
        return tuple(parse_file(server, row) for row in rows)

    return context.answers.get_or_ask(("dataverse", server, doi), ask)


def dataset_url(server: str, doi: str) -> str:
    return f"https://{server}/api/datasets/:persistentId/?persistentId={doi}"


def parse_file(server: str, row: JsonObject) -> File:
    data = row.child("dataFile")
    original = data.optional_text("originalFileFormat") or data.flag("tabularData")
    name = (data.optional_text("originalFileName") if original else None) or row.text("label")
    folder = row.optional_text("directoryLabel")
    restricted = row.flag("restricted")
    return File(
        name=f"{folder}/{name}" if folder else name,
        role=guess_role(name),
        urls=(file_url(server, f"{data.number('id')}{'?format=original' if original else ''}"),),
        size=data.optional_number("originalFileSize" if original else "filesize"),
        checksum=parse_digest(data),
        fetch=not restricted,
        note=RESTRICTED if restricted else None,
    )


def parse_digest(data: JsonObject) -> str | None:
    """The published digest: each server chooses its algorithm, and names only MD5 by a key of its own."""
    if data.flag("md5") or not data.flag("checksum"):
        return data.digest("md5", "md5")
    stated = data.child("checksum")
    algorithm = ALGORITHMS.get(stated.text("type"))
    return stated.digest("value", algorithm) if algorithm else None


def file_url(server: str, number: str) -> str:
    return f"https://{server}/api/access/datafile/{number}"


def describe_dataset(doi: str) -> str:
    return f"dataset {doi}"
