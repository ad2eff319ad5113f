"""figshare: an article's number and a file name."""

from dermdata.errors import RestrictedRecord
from dermdata.hosts.base import (
    JsonObject,
    ResolveContext,
    guess_role,
    iterate_objects,
    iterate_pages,
    match_identity,
    merge_listed,
    pick_file,
    request_from_catalog,
    unexpected_answer,
)
from dermdata.model import Dataset, File, Request
from dermdata.urls import USE_FROM

SERVER = "https://api.figshare.com/v2"
PAGE = 500  # an article itself shows no more than 10 of its files; figshare allows 500
PAGES = 20  # a host that gives the same page for ever is not followed


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`24140028/BCN_20k_train.zip`."""
    del dataset
    if request := request_from_catalog(file):
        return request
    parts = match_identity(r"(\d+)/(.+)", identity, "figshare:<article>/<file name>")
    return merge_listed(
        file, pick_file(parts[2], request_files(parts[1], context), describe_article(parts[1]))
    )


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of article `24140028`."""
    return request_files(match_identity(r"\d+", identity, "figshare:<article>")[0], context)


def request_files(article: str, context: ResolveContext) -> tuple[File, ...]:
    """All files of an article, page by page."""

    def page(token: str) -> tuple[list[File], str | None]:
        number = int(token or 1)
        url = f"{SERVER}/articles/{article}/files?page={number}&page_size={PAGE}"
        files = [
            parse_file(row)
            for row in iterate_objects(
                context.request_json(describe_article(article), url), describe_article(article)
            )
        ]
        if number > PAGES:
            raise unexpected_answer(f"{describe_article(article)} has more than {PAGE * PAGES:,} files")
        return files, str(number + 1) if len(files) == PAGE else None

    def ask() -> tuple[File, ...]:
        files = tuple(iterate_pages(page, describe_article(article)))
        if not files:
            require_no_embargo(article, context)
        return files

    return context.answers.get_or_ask(("figshare", article), ask)


def require_no_embargo(article: str, context: ResolveContext) -> None:
    """RestrictedRecord where an article shows no files since they are under embargo."""
    what = describe_article(article)
    answer = JsonObject(context.request_json(what, f"{SERVER}/articles/{article}"), what)
    if answer.flag("is_embargoed"):
        until = answer.optional_text("embargo_date")
        raise RestrictedRecord(
            f"{what} is under embargo: its files are not public{f' before {until[:10]}' if until else ''}",
            hint=f"ask its authors at https://figshare.com/articles/dataset/_/{article}, then {USE_FROM}",
        )


def parse_file(row: JsonObject) -> File:
    """One file; the digest that figshare computed goes before the one its author gave."""
    name = row.text("name")
    return File(
        name=name,
        role=guess_role(name),
        urls=(row.address("download_url"),),
        size=row.optional_number("size"),
        checksum=row.digest("computed_md5", "md5") or row.digest("supplied_md5", "md5"),
    )


def describe_article(article: str) -> str:
    return f"article {article}"
