"""Kaggle: a whole dataset as one zip, or one file of it; always with an account."""

from dataclasses import replace
from urllib.parse import quote, urlencode

from dermdata.errors import PersonMustAct, ServerRefused
from dermdata.model import Dataset, File, Request
from dermdata.sources.accounts import KAGGLE, guarded, in_words, secrets_of
from dermdata.sources.around import Head, Surroundings, absent
from dermdata.sources.record import complete, filled, matched, role_of
from dermdata.sources.shape import Part, pages

SERVER = "https://www.kaggle.com/api/v1/datasets"
SLUG = r"[\w-]+/[\w-]+"
PAGE = 200


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`shubhamgoel27/dermnet`, or with `/<file name>`; what the storage says of it fills what is open."""
    matched(rf"{SLUG}(/.+)?", identity, "kaggle:<owner>/<slug>[/<file name>]")
    own = f"{SERVER}/download/{quote(identity)}"
    request = guarded(KAGGLE, dataset, file, (own,), around)
    head = around.head
    if complete(file) or not request.secrets or head is None:
        return request

    def look() -> Head:
        try:
            return head(replace(request, urls=(own,)))
        except ServerRefused as error:
            raise absent(f"dataset {identity}", own, error) from error
        except PersonMustAct as error:
            raise in_words(error, KAGGLE, dataset.name, around) from error

    seen = around.answers.of(("kaggle", own), look)
    return filled(request, seen.size, seen.checksum)


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """The files of `owner/slug`; Kaggle tells their sizes, no checksums."""
    slug = matched(SLUG, identity, "kaggle:<owner>/<slug>")[0]
    what = f"dataset {slug}"
    secrets = secrets_of(KAGGLE, f"the list of files of {slug}", around)

    def page(token: str) -> tuple[list[File], str | None]:
        url = f"{SERVER}/list/{slug}?{urlencode({'pageSize': PAGE, 'pageToken': token})}"
        try:
            answer = Part(around.ask_about(what, url, secrets), what)
        except PersonMustAct as error:
            raise in_words(error, KAGGLE, slug, around) from error
        return [entry(slug, row) for row in answer.rows("datasetFiles")], answer.maybe("nextPageToken")

    return around.answers.of(("kaggle-files", slug), lambda: tuple(pages(page, what)))


def entry(slug: str, row: Part) -> File:
    name = row.text("name")
    return File(name=name, role=role_of(name), source=f"kaggle:{slug}/{name}", size=row.count("totalBytes"))
