"""Google Cloud Storage: an object of a public bucket, or all that begin with a prefix."""

import base64
import binascii
from urllib.parse import quote, urlencode

from dermdata.model import Dataset, File, Request
from dermdata.sources.around import Surroundings
from dermdata.sources.record import complete, direct, joined, matched, role_of
from dermdata.sources.shape import Part, pages

SERVER = "https://storage.googleapis.com"
BUCKET = r"[a-z0-9][a-z0-9._-]+"
PAGE = 1000


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`dx-scin-public-data/dataset/scin_cases.csv`."""
    del dataset
    parts = matched(rf"({BUCKET})/(.+)", identity, "gcs:<bucket>/<key>")
    bucket, key = parts.groups()
    if complete(file):
        return direct(file, (address(bucket, key),))
    url, what = f"{SERVER}/storage/v1/b/{bucket}/o/{quote(key, safe='')}", f"object {bucket}/{key}"
    found = around.answers.of(
        ("gcs", bucket, key), lambda: entry(bucket, Part(around.ask_about(what, url), what))
    )
    return joined(file, found)


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """Every object of `bucket/prefix`; folders' own empty objects are left out."""
    parts = matched(rf"({BUCKET})/?(.*)", identity, "gcs:<bucket>/<prefix>")
    bucket, prefix = parts.groups()
    what = f"bucket {bucket}"

    def page(token: str) -> tuple[list[File], str | None]:
        asked = {"prefix": prefix, "maxResults": PAGE} | ({"pageToken": token} if token else {})
        url = f"{SERVER}/storage/v1/b/{bucket}/o?{urlencode(asked)}"
        answer = Part(around.ask_about(what, url), what)
        # a page without any object has no `items`
        rows = answer.rows("items") if answer.true("items") else ()
        files = [entry(bucket, row) for row in rows if not row.text("name").endswith("/")]
        return files, answer.maybe("nextPageToken")

    return around.answers.of(("gcs-list", bucket, prefix), lambda: tuple(pages(page, what)))


def entry(bucket: str, row: Part) -> File:
    """One object; composed objects have no MD5."""
    name = row.text("name")
    return File(
        name=name,
        role=role_of(name),
        urls=(address(bucket, name),),
        size=row.count("size"),
        checksum=md5(row),
    )


def md5(row: Part) -> str | None:
    """`md5Hash` is base64."""
    text = row.maybe("md5Hash")
    try:
        digest = base64.b64decode(text, validate=True) if text else None
    except binascii.Error:
        digest = b""
    if digest is not None and len(digest) != 16:
        raise row.strange("md5Hash", "an md5 in base64")
    return f"md5:{digest.hex()}" if digest else None


def address(bucket: str, key: str) -> str:
    return f"{SERVER}/{bucket}/{quote(key)}"
