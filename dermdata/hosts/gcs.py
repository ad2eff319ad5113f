"""Google Cloud Storage: an object of a public bucket, or all that begin with a prefix."""

import base64
import binascii
from urllib.parse import quote, urlencode

from dermdata.hosts.base import (
    JsonObject,
    ResolveContext,
    guess_role,
    is_complete,
    iterate_pages,
    make_request,
    match_identity,
    merge_listed,
)
from dermdata.model import Dataset, File, Request

SERVER = "https://storage.googleapis.com"
BUCKET = r"[a-z0-9][a-z0-9._-]+"
PAGE = 1000


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`dx-scin-public-data/dataset/scin_cases.csv`."""
    del dataset
    parts = match_identity(rf"({BUCKET})/(.+)", identity, "gcs:<bucket>/<key>")
    bucket, key = parts.groups()
    if is_complete(file):
        return make_request(file, (object_url(bucket, key),))
    url, what = f"{SERVER}/storage/v1/b/{bucket}/o/{quote(key, safe='')}", f"object {bucket}/{key}"
    found = context.answers.get_or_ask(
        ("gcs", bucket, key), lambda: parse_object(bucket, JsonObject(context.request_json(what, url), what))
    )
    return merge_listed(file, found)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """Every object of `bucket/prefix`; folders' own empty objects are left out."""
    parts = match_identity(rf"({BUCKET})/?(.*)", identity, "gcs:<bucket>/<prefix>")
    bucket, prefix = parts.groups()
    what = f"bucket {bucket}"

    def page(token: str) -> tuple[list[File], str | None]:
        asked = {"prefix": prefix, "maxResults": PAGE} | ({"pageToken": token} if token else {})
        url = f"{SERVER}/storage/v1/b/{bucket}/o?{urlencode(asked)}"
        answer = JsonObject(context.request_json(what, url), what)
        # a page without any object has no `items`
        rows = answer.rows("items") if answer.flag("items") else ()
        files = [parse_object(bucket, row) for row in rows if not row.text("name").endswith("/")]
        return files, answer.optional_text("nextPageToken")

    return context.answers.get_or_ask(("gcs-list", bucket, prefix), lambda: tuple(iterate_pages(page, what)))


def parse_object(bucket: str, row: JsonObject) -> File:
    """One object; composed objects have no MD5."""
    name = row.text("name")
    return File(
        name=name,
        role=guess_role(name),
        urls=(object_url(bucket, name),),
        size=row.optional_number("size"),
        checksum=parse_md5(row),
    )


def parse_md5(row: JsonObject) -> str | None:
    """`md5Hash` is base64."""
    text = row.optional_text("md5Hash")
    try:
        digest = base64.b64decode(text, validate=True) if text else None
    except binascii.Error:
        digest = b""
    if digest is not None and len(digest) != 16:
        raise row.field_error("md5Hash", "an md5 in base64")
    return f"md5:{digest.hex()}" if digest else None


def object_url(bucket: str, key: str) -> str:
    return f"{SERVER}/{bucket}/{quote(key)}"
