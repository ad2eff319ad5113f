"""figshare: an article's number and a file name."""

from dermdata.model import Dataset, File, Request
from dermdata.sources.around import Surroundings
from dermdata.sources.record import answered_by_catalog, joined, matched, pick, role_of
from dermdata.sources.shape import Part, each, pages, strange

SERVER = "https://api.figshare.com/v2"
PAGE = 500  # an article itself shows no more than 10 of its files; figshare allows 500
PAGES = 20  # a host that gives the same page for ever is not followed


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`24140028/BCN_20k_train.zip`."""
    del dataset
    if request := answered_by_catalog(file):
        return request
    parts = matched(r"(\d+)/(.+)", identity, "figshare:<article>/<file name>")
    return joined(file, pick(parts[2], entries(parts[1], around), what(parts[1])))


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """The files of article `24140028`."""
    return entries(matched(r"\d+", identity, "figshare:<article>")[0], around)


def entries(article: str, around: Surroundings) -> tuple[File, ...]:
    """All files of an article, page by page."""

    def page(token: str) -> tuple[list[File], str | None]:
        number = int(token or 1)
        url = f"{SERVER}/articles/{article}/files?page={number}&page_size={PAGE}"
        files = [entry(row) for row in each(around.ask_about(what(article), url), what(article))]
        if number > PAGES:
            raise strange(f"{what(article)} has more than {PAGE * PAGES:,} files")
        return files, str(number + 1) if len(files) == PAGE else None

    return around.answers.of(("figshare", article), lambda: tuple(pages(page, what(article))))


def entry(row: Part) -> File:
    """One file; the digest that figshare computed goes before the one its author gave."""
    name = row.text("name")
    return File(
        name=name,
        role=role_of(name),
        urls=(row.address("download_url"),),
        size=row.count("size"),
        checksum=row.digest("computed_md5", "md5") or row.digest("supplied_md5", "md5"),
    )


def what(article: str) -> str:
    return f"article {article}"
