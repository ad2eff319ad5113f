"""Kaggle: a whole dataset as one zip, or one file of it; always with an account."""

from dataclasses import replace
from urllib.parse import quote, urlencode

from dermdata.errors import PersonMustAct, ServerRefused
from dermdata.hosts.accounts import KAGGLE, explain_account_error, make_guarded_request, require_secrets
from dermdata.hosts.base import (
    FileHead,
    JsonObject,
    ResolveContext,
    absence_error,
    fill_request,
    guess_role,
    is_complete,
    iterate_pages,
    match_identity,
)
from dermdata.model import Dataset, File, Request

SERVER = "https://www.kaggle.com/api/v1/datasets"
SLUG = r"[\w-]+/[\w-]+"
PAGE = 200


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`shubhamgoel27/dermnet`, or with `/<file name>`; what the storage says of it fills what is open."""
    match_identity(rf"{SLUG}(/.+)?", identity, "kaggle:<owner>/<slug>[/<file name>]")
    own = f"{SERVER}/download/{quote(identity)}"
    request = make_guarded_request(KAGGLE, dataset, file, (own,), context)
    head = context.head
    if is_complete(file) or not request.secrets or head is None:
        return request

    def request_head() -> FileHead:
        try:
            return head(replace(request, urls=(own,)))
        except ServerRefused as error:
            raise absence_error(f"dataset {identity}", own, error) from error
        except PersonMustAct as error:
            raise explain_account_error(error, KAGGLE, f"{dataset.name}: {file.name}", context) from error

    seen = context.answers.get_or_ask(("kaggle", own), request_head)
    return fill_request(request, seen.size, seen.checksum)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `owner/slug`; Kaggle tells their sizes, no checksums."""
    slug = match_identity(SLUG, identity, "kaggle:<owner>/<slug>")[0]
    what = f"dataset {slug}"
    secrets = require_secrets(KAGGLE, f"the list of files of {slug}", context)

    def page(token: str) -> tuple[list[File], str | None]:
        url = f"{SERVER}/list/{slug}?{urlencode({'pageSize': PAGE, 'pageToken': token})}"
        try:
            answer = JsonObject(context.request_json(what, url, secrets), what)
        except PersonMustAct as error:
            raise explain_account_error(error, KAGGLE, slug, context) from error
        return [parse_file(slug, row) for row in answer.rows("datasetFiles")], answer.optional_text(
            "nextPageToken"
        )

    return context.answers.get_or_ask(("kaggle-files", slug), lambda: tuple(iterate_pages(page, what)))


def parse_file(slug: str, row: JsonObject) -> File:
    name = row.text("name")
    return File(
        name=name,
        role=guess_role(name),
        source=f"kaggle:{slug}/{name}",
        size=row.optional_number("totalBytes"),
    )
