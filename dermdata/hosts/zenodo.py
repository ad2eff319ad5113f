"""Zenodo: a record's number and a file name; each version of a record has a number of its own."""

from urllib.parse import quote

from dermdata.errors import RestrictedRecord
from dermdata.hosts.base import (
    JsonObject,
    RecordFacts,
    ResolveContext,
    compose_citation,
    guess_role,
    is_complete,
    make_request,
    match_identity,
    merge_listed,
    pick_file,
)
from dermdata.model import Dataset, File, Request
from dermdata.urls import USE_FROM

SERVER = "https://zenodo.org"
OPEN = "open"


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`11101337/Fitzpatrick17k-C.csv`."""
    del dataset
    parts = match_identity(r"(\d+)/(.+)", identity, "zenodo:<record>/<file name>")
    if is_complete(file):
        return make_request(file, (file_url(parts[1], parts[2]),))
    return merge_listed(
        file, pick_file(parts[2], request_files(parts[1], context), describe_record(parts[1]))
    )


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of record `11101337`."""
    return request_files(match_identity(r"\d+", identity, "zenodo:<record>")[0], context)


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What record `11101337` says of itself; the number of all its versions leads to the newest."""
    record = match_identity(r"\d+", identity, "zenodo:<record>")[0]
    answer = request_record(record, context)
    number = answer.optional_number("id") or int(record)
    about = answer.optional_child("metadata")
    title = about.written_text("title")
    names = [one.written_text("name") for one in about.rows("creators")] if about.flag("creators") else []
    return RecordFacts(
        place=f"zenodo:{number}",
        page=f"{SERVER}/records/{number}",
        source=record_url(record),
        title=title,
        version=about.written_text("version"),
        license=about.optional_child("license").written_text("id") or about.written_text("license"),
        doi=answer.written_text("doi") or about.written_text("doi"),
        citation=compose_citation(names, about.written_text("publication_date"), title, "Zenodo"),
    )


def request_record(record: str, context: ResolveContext) -> JsonObject:
    """What Zenodo says of a record; RestrictedRecord for one whose files are not public."""

    def ask() -> JsonObject:
        what = describe_record(record)
        answer = JsonObject(context.request_json(what, record_url(record)), what)
        if state := read_closed_state(answer):
            page = f"{SERVER}/records/{record}"
            raise RestrictedRecord(f"{what} {state}", hint=f"ask for access at {page}, then {USE_FROM}")
        return answer

    return context.answers.get_or_ask(("zenodo-record", record), ask)


def request_files(record: str, context: ResolveContext) -> tuple[File, ...]:
    """The record's files."""

    def ask() -> tuple[File, ...]:
        return tuple(parse_file(record, row) for row in request_record(record, context).rows("files"))

    return context.answers.get_or_ask(("zenodo", record), ask)


def record_url(record: str) -> str:
    return f"{SERVER}/api/records/{record}"


def read_closed_state(answer: JsonObject) -> str | None:
    """Why a record shows no files, in its own words of access; None where it shows some, or is open."""
    if answer.flag("files"):
        return None
    metadata = answer.child("metadata") if answer.flag("metadata") else answer
    access = answer.child("access") if answer.flag("access") else answer
    state = metadata.optional_text("access_right") or access.optional_text("status") or OPEN
    if state == OPEN:
        return None
    until = metadata.optional_text("embargo_date") if state == "embargoed" else None
    return f"is {state}: its files are not public{f' before {until}' if until else ''}"


def parse_file(record: str, row: JsonObject) -> File:
    name = row.optional_text("key") or row.text("filename")
    return File(
        name=name,
        role=guess_role(name),
        urls=(file_url(record, name),),
        size=row.optional_number("size"),
        checksum=row.digest("checksum", "md5"),
    )


def file_url(record: str, name: str) -> str:
    """Where the file lies for good: one address for every client, unlike the answer's own links."""
    return f"{SERVER}/records/{record}/files/{quote(name)}?download=1"


def describe_record(record: str) -> str:
    return f"record {record}"
