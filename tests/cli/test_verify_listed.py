"""`verify --repair` of files that a listing named, not the catalog: from where they came, or with the next step."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.made_up_dataset import HOST, TABLE, Ours, name_of, picture, rows
from support.servers import Site

SPEC = TABLE.replace('file = "table.csv"', 'file = "table.csv"\nimage_url = "url"').replace("masks =", "# ")


@pytest.fixture
def ours(tmp_path: Path, site: Site, cli: Callable) -> Ours:
    """A table that gives each image's address, and four images, fetched."""
    made = Ours(tmp_path, site, listing="rows", table=SPEC)
    lines = rows(range(4)).decode().splitlines()
    urls = ["url", *(f"{HOST}{name_of(number)}.jpg" for number in range(4))]
    joined = [f"{line},{url}" for line, url in zip(lines, urls, strict=True)]
    made.put("table.csv", "metadata", "\n".join([*joined, ""]).encode())
    for number in range(4):
        site.put(f"{HOST}{name_of(number)}.jpg", picture(number))
    assert cli(*made.options, "fetch", "ours").code == 0
    made.asked()
    return made


@pytest.fixture
def image(tmp_path: Path, ours: Ours) -> Path:
    return tmp_path / "cache/datasets/ours/unversioned/images/images/IM_0002.jpg"


def test_it_comes_from_where_it_came(cli: Callable, ours: Ours, image: Path) -> None:
    """Only that file is asked for; the SHA-256 on record is the check."""
    image.unlink()
    answer = cli(*ours.options, "verify", "--repair")
    assert answer.code == 0, answer.err
    assert [address.rpartition("/")[2] for address, _ in ours.asked()] == ["IM_0002.jpg"]
    assert image.read_bytes() == picture(2)


@pytest.fixture
def queried(tmp_path: Path, site: Site, cli: Callable) -> Ours:
    """Images whose addresses have a query: which form of the file, a page's own word, a signature."""
    made = Ours(tmp_path, site, listing="rows", table=SPEC)
    queries = (
        "?format=original",
        "?download=1&version=2",
        "?X-Amz-Signature=SIGNED&X-Amz-Expires=60",
        "#top",
    )
    lines = rows(range(4)).decode().splitlines()
    urls = ["url", *(f"{HOST}{name_of(number)}.jpg{query}" for number, query in enumerate(queries))]
    joined = [f"{line},{url}" for line, url in zip(lines, urls, strict=True)]
    made.put("table.csv", "metadata", "\n".join([*joined, ""]).encode())
    for number, url in enumerate(urls[1:]):
        site.put(url.partition("#")[0], picture(number))
        site.put(f"{HOST}{name_of(number)}.jpg", b"another form") if number < 2 else None
    assert cli(*made.options, "fetch", "ours").code == 0
    made.asked()
    return made


@pytest.mark.parametrize("number", [0, 1, 3])
def test_the_address_that_is_asked_again_is_the_whole_one(
    cli: Callable, queried: Ours, tmp_path: Path, number: int
) -> None:
    """Dataverse gives other bytes without `?format=original`: that was told as a source that had changed."""
    image = tmp_path / f"cache/datasets/ours/unversioned/images/images/{name_of(number)}.jpg"
    image.unlink()
    answer = cli(*queried.options, "verify", "--repair")
    assert answer.code == 0, answer.err
    assert image.read_bytes() == picture(number)


def test_a_signature_is_in_no_receipt(cli: Callable, queried: Ours, tmp_path: Path) -> None:
    """Of an address that is itself a key the query is left out; other queries stay."""
    folder = tmp_path / "cache/datasets/ours/unversioned"
    urls = {one["name"]: one["url"] for one in json.loads((folder / "receipt.json").read_text())["files"]}
    assert urls["images/IM_0002.jpg"] == f"{HOST}IM_0002.jpg"
    assert urls["images/IM_0000.jpg"] == f"{HOST}IM_0000.jpg?format=original"
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != "table.csv"]
    assert [path for path in kept if b"SIGNED" in path.read_bytes()] == []
    assert "SIGNED" not in cli(*queried.options, "--format", "json", "fetch", "ours", "--dry-run").out


def test_another_image_at_the_address_is_refused(cli: Callable, ours: Ours, image: Path) -> None:
    """Exit 4: a repair brings back what was there, nothing else."""
    image.unlink()
    ours.site.put(f"{HOST}IM_0002.jpg", picture(3))
    assert cli(*ours.options, "verify", "--repair").code == 4
    assert not image.exists()


def test_an_address_that_is_dead_says_what_asks_for_a_new_one(cli: Callable, ours: Ours, image: Path) -> None:
    """Exit 3, and the hint is the fetch of before."""
    image.unlink()
    ours.site.files.clear()
    answer = cli(*ours.options[:2], "--rewrite", ours.site.rewrite, "verify", "--repair")
    assert answer.code == 3
    assert "hint: the same `dermdata fetch ours …` as before" in answer.err


def test_what_was_made_of_answers_has_no_address(cli: Callable, ours: Ours, image: Path) -> None:
    """Exit 1 with the same next step, before anything is asked."""
    receipt = image.parents[2] / "receipt.json"
    document = json.loads(receipt.read_text())
    for one in document["files"]:
        one["url"] = "file:///gone" if one["name"].endswith("IM_0002.jpg") else one["url"]
    receipt.write_text(json.dumps(document))
    image.unlink()
    options = ours.options
    answer = cli(*options, "verify", "--repair")
    assert (answer.code, ours.asked()) == (1, [])
    assert "no address on record" in answer.err
    assert "hint: the same `dermdata fetch ours …` as before" in answer.err
