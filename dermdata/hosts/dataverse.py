"""Dataverse: a datafile's id, or a dataset's DOI and a file name.

Tabular files only have their published size and checksum with `?format=original`: without it the server
sends its own re-export.
"""

from dermdata.errors import RestrictedRecord
from dermdata.hosts.base import (
    JsonObject,
    ResolveContext,
    guess_role,
    make_request,
    match_identity,
    merge_listed,
    pick_file,
    request_from_catalog,
)
from dermdata.model import Dataset, File, Request
from dermdata.urls import USE_FROM

SERVER = "https://dataverse.harvard.edu"
DOI = r"doi:10\.[0-9.]+/(?:[A-Za-z]+/)?[A-Za-z0-9]+"  # a shoulder such as DVN may stand before the id
RESTRICTED = "restricted"


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`3172585`, `4338392?format=original` or `doi:10.7910/DVN/DBW86T/HAM10000_metadata`."""
    if not identity.startswith("doi:"):
        match_identity(r"\d+(\?format=original)?", identity, "dataverse:<file id>[?format=original]")
        return make_request(file, (f"{SERVER}/api/access/datafile/{identity}",))
    if request := request_from_catalog(file):
        return request
    parts = match_identity(f"({DOI})/(.+)", identity, "dataverse:doi:<doi>/<file name>")
    found = pick_file(parts[2], request_files(parts[1], context), describe_dataset(parts[1]))
    if found.note == RESTRICTED:
        message = f"{dataset.name}: {file.name} is restricted"
        raise RestrictedRecord(
            message,
            hint=f"ask for access at https://doi.org/{parts[1].removeprefix('doi:')}, then {USE_FROM}",
        )
    return merge_listed(file, found)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `doi:10.7910/DVN/DBW86T`; restricted ones are not fetched."""
    return request_files(match_identity(DOI, identity, "dataverse:doi:<doi>")[0], context)


def request_files(doi: str, context: ResolveContext) -> tuple[File, ...]:
    """The dataset's files under the names they were uploaded with."""

    def ask() -> tuple[File, ...]:
        url = f"{SERVER}/api/datasets/:persistentId/?persistentId={doi}"
        answer = JsonObject(context.request_json(describe_dataset(doi), url), describe_dataset(doi))
        return tuple(map(parse_file, answer.child("data").child("latestVersion").rows("files")))

    return context.answers.get_or_ask(("dataverse", doi), ask)


def parse_file(row: JsonObject) -> File:
    data = row.child("dataFile")
    original = data.optional_text("originalFileFormat") or data.flag("tabularData")
    name = (data.optional_text("originalFileName") if original else None) or row.text("label")
    folder = row.optional_text("directoryLabel")
    url = f"{SERVER}/api/access/datafile/{data.number('id')}{'?format=original' if original else ''}"
    restricted = row.flag("restricted")
    return File(
        name=f"{folder}/{name}" if folder else name,
        role=guess_role(name),
        urls=(url,),
        size=data.optional_number("originalFileSize" if original else "filesize"),
        checksum=data.digest("md5", "md5"),
        fetch=not restricted,
        note=RESTRICTED if restricted else None,
    )


def describe_dataset(doi: str) -> str:
    return f"dataset {doi}"
