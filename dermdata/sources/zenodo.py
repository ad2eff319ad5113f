"""Zenodo: a record's number and a file name; each version of a record has a number of its own."""

from urllib.parse import quote

from dermdata.model import Dataset, File, Request
from dermdata.sources.around import Surroundings
from dermdata.sources.record import complete, direct, joined, matched, pick, role_of
from dermdata.sources.shape import Part

SERVER = "https://zenodo.org"


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`11101337/Fitzpatrick17k-C.csv`."""
    del dataset
    parts = matched(r"(\d+)/(.+)", identity, "zenodo:<record>/<file name>")
    if complete(file):
        return direct(file, (address(parts[1], parts[2]),))
    return joined(file, pick(parts[2], entries(parts[1], around), what(parts[1])))


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """The files of record `11101337`."""
    return entries(matched(r"\d+", identity, "zenodo:<record>")[0], around)


def entries(record: str, around: Surroundings) -> tuple[File, ...]:
    """The record's files."""

    def ask() -> tuple[File, ...]:
        answer = around.ask_about(what(record), f"{SERVER}/api/records/{record}")
        return tuple(entry(record, row) for row in Part(answer, what(record)).rows("files"))

    return around.answers.of(("zenodo", record), ask)


def entry(record: str, row: Part) -> File:
    name = row.maybe("key") or row.text("filename")
    return File(
        name=name,
        role=role_of(name),
        urls=(address(record, name),),
        size=row.count("size"),
        checksum=row.digest("checksum", "md5"),
    )


def address(record: str, name: str) -> str:
    """Where the file lies for good: one address for every client, unlike the answer's own links."""
    return f"{SERVER}/records/{record}/files/{quote(name)}?download=1"


def what(record: str) -> str:
    return f"record {record}"
