"""Bundles of the ISIC Archive's DOIs: found through their landing pages, as the archive's template writes those."""

import tomllib
from pathlib import Path

import pytest

from dermdata.errors import BadCatalog, ManualDownload, NotTheFile, ServerRefused, UnknownName
from dermdata.hosts import list_files, resolve
from dermdata.model import Request

from .conftest import answering, entry, sourced

ROOT = Path(__file__).parents[2]
PAGE = "https://api.isic-archive.com/doi/prove-ai/"
PLACE = "https://isic-archive.s3.amazonaws.com/dois/10.34970-576276/"
KNOWN = "https://elsewhere.example/prove-ai.zip"


def page(*links: str) -> bytes:
    """A landing page with these links among those that every page has."""
    rows = "".join(
        f'<tr><td><a href="{one}"\n title="x"><button>Download</button></a></td></tr>' for one in links
    )
    around = '<a href="/collections/218/">View</a> <a href="https://doi.org/10.1/x">paper</a>'
    return f"<!DOCTYPE html><html><body>{around}<table>{rows}</table></body></html>".encode()


WHOLE = page(f"{PLACE}prove-ai.zip", f"{PLACE}prove-ai.csv", f"{PLACE}supplements/s%201.csv")


def place(
    answer: object, name: str = "prove-ai.zip", identity: str = "576276/prove-ai", **more: object
) -> Request:
    here, _ = answering({PAGE: answer})
    found = resolve(entry(sourced("x:y")), sourced(f"isicdoi:{identity}", name=name, **more), here)
    assert isinstance(found, Request)
    return found


@pytest.mark.parametrize("identity", ["576276/prove-ai", "prove-ai"])
def test_a_page_lists_the_bundle_its_table_and_what_else_there_is(identity: str) -> None:
    here, asked = answering({PAGE: WHOLE})
    files = list_files(f"isicdoi:{identity}", here)
    assert [(one.name, one.role, one.unpack) for one in files] == [
        ("prove-ai.csv", "metadata", None),
        ("prove-ai.zip", "images", "zip"),
        ("supplements/s 1.csv", "metadata", None),
    ]
    list_files(f"isicdoi:{identity}", here)
    assert asked == [PAGE]


def test_a_file_lies_where_the_page_says_and_else_where_the_catalog_does() -> None:
    assert place(WHOLE).urls == (f"{PLACE}prove-ai.zip",)
    assert place(WHOLE, urls=(KNOWN,)).urls == (f"{PLACE}prove-ai.zip", KNOWN)
    assert (
        place(page("https://elsewhere.example/dois/10.34970-576276/prove-ai.zip"))
        .urls[0]
        .startswith("https://elsewhere")
    )


@pytest.mark.parametrize("answer", [404, 503, page(), page(f"{PLACE.replace('576276', '1')}prove-ai.zip")])
def test_where_the_page_gives_no_address_the_catalogs_own_is_asked(answer: object) -> None:
    assert place(answer, urls=(KNOWN,)).urls == (KNOWN,)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (404, ServerRefused, "has no page of the DOI prove-ai"),
        (page(), ManualDownload, "shows no files"),
        (page(f"{PLACE}prove-ai.csv"), UnknownName, "did you mean prove-ai.csv"),
        (
            page(f"{PLACE.replace('576276', '1')}prove-ai.zip"),
            NotTheFile,
            "files of 10.34970/1, not of 576276",
        ),
        (b"\xff\xfe<html", ManualDownload, "shows no files"),
    ],
)
def test_a_page_without_it_is_told(answer: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        place(answer)
    assert words in f"{caught.value} {getattr(caught.value, 'hint', '')}"


@pytest.mark.parametrize("identity", ["576276/", "a/prove-ai", "../x", "576276/prove ai"])
def test_another_form_is_refused(identity: str) -> None:
    with pytest.raises(BadCatalog, match="isicdoi:<number>/<slug>"):
        place(WHOLE, identity=identity)


def test_the_zips_of_challenges_are_asked_of_the_present_bucket_first_and_then_of_the_old_one() -> None:
    """The page left the old one in 2025-09; the permissive files of 2024 are not known to lie there."""
    present, old = (
        "https://isic-archive.s3.amazonaws.com/challenges/",
        "https://isic-challenge-data.s3.amazonaws.com/",
    )
    files = [
        file
        for path in sorted((ROOT / "catalog" / "datasets").glob("isic-*/dataset.toml"))
        for file in tomllib.loads(path.read_text("utf-8")).get("files", [])
        if any(url.startswith((present, old)) for url in file.get("urls", []))
    ]
    assert len(files) > 60
    for file in files:
        first, *rest = file["urls"]
        assert first.startswith(present), file["name"]
        assert rest == ([] if "_Permissive_" in first else [first.replace(present, old)]), file["name"]
