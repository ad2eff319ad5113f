"""Amazon S3: an object of a public bucket, or all that begin with a prefix."""

import re
from urllib.parse import quote, urlencode
from xml.parsers import expat

from dermdata.errors import ObjectDenied, ServerRefused
from dermdata.hosts.base import (
    FileHead,
    JsonObject,
    ResolveContext,
    absence_error,
    fill_request,
    guess_role,
    is_complete,
    iterate_pages,
    make_request,
    match_identity,
    unexpected_answer,
)
from dermdata.model import Dataset, File, Request

BUCKET = r"[a-z0-9][a-z0-9.-]+"
PAGE = 1000


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`isic-archive/challenges/2018/ISIC2018_Task3_Training_Input.zip`."""
    del dataset
    bucket, key = match_identity(rf"({BUCKET})/(.+)", identity, "s3:<bucket>/<key>").groups()
    request = make_request(file, (f"{bucket_url(bucket)}/{quote(key)}",))
    head = context.head
    if is_complete(file) or head is None:
        return request

    def request_head() -> FileHead:
        try:
            return head(request)
        except ServerRefused as error:
            raise object_error(error, bucket, key) from error

    seen = context.answers.get_or_ask(("s3", bucket, key), request_head)
    return fill_request(request, seen.size, parse_etag_md5(seen.etag))


def object_error(error: ServerRefused, bucket: str, key: str) -> ServerRefused:
    """S3 answers 403 for an object that is not there, unless the bucket may be listed."""
    if error.status != 403:
        return absence_error(f"object {bucket}/{key}", bucket_url(bucket), error)
    message = f"bucket {bucket} has no object {key}, or does not show it (403)"
    return ObjectDenied(message, status=403, hint=error.hint)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """Every object of `bucket/prefix`; folders' own empty objects are left out."""
    bucket, prefix = match_identity(rf"({BUCKET})/?(.*)", identity, "s3:<bucket>/<prefix>").groups()
    what = f"bucket {bucket}"

    def page(token: str) -> tuple[list[File], str | None]:
        asked = {"list-type": "2", "prefix": prefix, "max-keys": str(PAGE)}
        url = f"{bucket_url(bucket)}/?{urlencode(asked | ({'continuation-token': token} if token else {}))}"
        try:
            rows, following = parse_listing(context.read(url), what)
        except ServerRefused as error:
            raise absence_error(what, url, error) from error
        return [parse_object(bucket, row) for row in rows if not row.text("Key").endswith("/")], following

    return context.answers.get_or_ask(("s3-list", bucket, prefix), lambda: tuple(iterate_pages(page, what)))


def parse_object(bucket: str, row: JsonObject) -> File:
    name = row.text("Key")
    return File(
        name=name,
        role=guess_role(name),
        urls=(f"{bucket_url(bucket)}/{quote(name)}",),
        size=row.optional_number("Size"),
        checksum=parse_etag_md5(row.optional_text("ETag")),
    )


def parse_etag_md5(etag: str | None) -> str | None:
    """The MD5 that an ETag is, unless the object was uploaded in parts: then it is a digest of digests."""
    match = re.fullmatch(r'"?([0-9a-f]{32})"?', etag or "", re.ASCII)
    return f"md5:{match[1]}" if match else None


def bucket_url(bucket: str) -> str:
    """A name with dots does not fit the certificate of *.s3.amazonaws.com."""
    if "." in bucket:
        return f"https://s3.amazonaws.com/{bucket}"
    return f"https://{bucket}.s3.amazonaws.com"


def parse_listing(data: bytes, what: str) -> tuple[list[JsonObject], str | None]:
    """The objects of one page, and the next page's token."""
    reader = BucketListParser(what)
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise unexpected_answer(f"{what}: no XML that can be read") from error
    following = reader.page.get("NextContinuationToken")
    if reader.page.get("IsTruncated") == "true" and not following:
        raise unexpected_answer(f"{what}: the list is cut, and says not where it goes on")
    return [JsonObject(row, what) for row in reader.rows], following


class BucketListParser:
    """Reads a ListBucketResult; a document type is refused, since it could define entities without end."""

    def __init__(self, what: str) -> None:
        self.rows: list[dict[str, str]] = []  # the fields of each object
        self.page: dict[str, str] = {}  # the fields of the list itself
        self._what = what
        self._path: list[str] = []
        self._text: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.StartDoctypeDeclHandler = self._refuse

    def _start(self, name: str, _: object) -> None:
        self._path.append(name)
        self._text.clear()
        if self._path[0] != "ListBucketResult":
            raise unexpected_answer(f"{self._what}: <{name[:40]}> in place of a list")
        if self._path[1:] == ["Contents"]:
            self.rows.append({})

    def _end(self, name: str) -> None:
        self._path.pop()
        if self._path[1:] == ["Contents"]:
            self.rows[-1][name] = "".join(self._text)
        elif len(self._path) == 1:
            self.page[name] = "".join(self._text)
        self._text.clear()

    def _refuse(self, *_: object) -> None:
        raise unexpected_answer(f"{self._what}: its XML has a document type")
