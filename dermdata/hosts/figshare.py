"""figshare: an article's number, its version and a file name.

Without a version the newest one is meant. Files come from ndownloader.figshare.com or api.figshare.com, whichever
answers: figshare.com itself wants a browser.
"""

from dermdata.errors import RestrictedRecord
from dermdata.hosts.base import (
    JsonObject,
    RecordFacts,
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
ARTICLE = r"\d+(?:/versions/\d+)?"
PAGE = 500  # an article itself shows no more than 10 of its files; figshare allows 500
PAGES = 20  # a host that gives the same page for ever is not followed


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`24140028/BCN_20k_train.zip`, or `24140028/versions/1/BCN_20k_train.zip`."""
    del dataset
    if request := request_from_catalog(file):
        return request
    form = "figshare:<article>[/versions/<number>]/<file name>"
    article, name = match_identity(rf"({ARTICLE})/((?!versions/).+)", identity, form).groups()
    return merge_listed(file, pick_file(name, request_files(article, context), describe_article(article)))


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of article `24140028`, or of `24140028/versions/1`."""
    form = "figshare:<article>[/versions/<number>]"
    return request_files(match_identity(ARTICLE, identity, form)[0], context)


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What article `24140028` says of itself, or `24140028/versions/1`; the newest version unless one is named."""
    form = "figshare:<article>[/versions/<number>]"
    article = match_identity(ARTICLE, identity, form)[0]
    what, url = describe_article(article), f"{SERVER}/articles/{article}"
    answer = JsonObject(context.request_json(what, url), what)
    version = answer.optional_number("version")
    number = article.partition("/")[0]
    terms = answer.optional_child("license")
    return RecordFacts(
        place=f"figshare:{number}/versions/{version}" if version else f"figshare:{article}",
        page=answer.written_text("url_public_html") or f"https://figshare.com/articles/dataset/_/{number}",
        source=url,
        title=answer.written_text("title"),
        version=str(version) if version else None,
        license=terms.written_text("name"),
        license_url=terms.written_text("url"),
        doi=answer.written_text("doi"),
        citation=answer.written_text("citation"),
        is_fixed=version is not None or "/" in article,
    )


def request_files(article: str, context: ResolveContext) -> tuple[File, ...]:
    """All files of an article, or of one version of it, page by page."""
    what = describe_article(article)

    def page(token: str) -> tuple[list[File], str | None]:
        number = int(token or 1)
        url = f"{SERVER}/articles/{article}/files?page={number}&page_size={PAGE}"
        files = [parse_file(row) for row in iterate_objects(context.request_json(what, url), what)]
        if number > PAGES:
            raise unexpected_answer(f"{what} has more than {PAGE * PAGES:,} files")
        return files, str(number + 1) if len(files) == PAGE else None

    def ask() -> tuple[File, ...]:
        files = tuple(iterate_pages(page, what))
        if not files:
            require_no_embargo(article.partition("/")[0], context)
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
    name, number = row.text("name"), row.optional_number("id")
    ours = number is not None and not row.flag("is_link_only")  # a link leads out of figshare
    return File(
        name=name,
        role=guess_role(name),
        urls=(f"https://ndownloader.figshare.com/files/{number}" if ours else row.address("download_url"),),
        size=row.optional_number("size"),
        checksum=row.digest("computed_md5", "md5") or row.digest("supplied_md5", "md5"),
    )


def describe_article(article: str) -> str:
    return f"article {article.replace('/versions/', ' version ')}"
