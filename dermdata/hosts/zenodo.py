"""Zenodo: a record's number and a file name; each version of a record has a number of its own."""

from urllib.parse import quote

from dermdata.hosts.base import (
    JsonObject,
    ResolveContext,
    guess_role,
    is_complete,
    make_request,
    match_identity,
    merge_listed,
    pick_file,
)
from dermdata.model import Dataset, File, Request

SERVER = "https://zenodo.org"


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


def request_files(record: str, context: ResolveContext) -> tuple[File, ...]:
    """The record's files."""

    def ask() -> tuple[File, ...]:
        answer = context.request_json(describe_record(record), f"{SERVER}/api/records/{record}")
        return tuple(
            parse_file(record, row) for row in JsonObject(answer, describe_record(record)).rows("files")
        )

    return context.answers.get_or_ask(("zenodo", record), ask)


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
