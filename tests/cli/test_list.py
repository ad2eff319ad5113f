"""`dermdata list`."""

import csv
import io
import json
from collections.abc import Callable

import pytest

from dermdata.catalogs import open_catalog
from dermdata.errors import PersonMustAct
from dermdata.hosts import require_obtainable

KEYS = {
    "name", "title", "kind", "images", "classes", "modalities", "tasks", "access", "license", "commercial_use",
    "size_bytes", "skin_tone", "cached", "homepage", "fetch", "own",
}  # fmt: skip


def items(answer: object) -> list[dict]:
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    assert document["schema"] == "dermdata.list/1"
    return document["items"]


def test_json_items_have_the_promised_keys(cli: Callable) -> None:
    """Keys are a contract."""
    found = items(cli("list", "--format", "json"))
    assert set(found[0]) == KEYS
    ham = next(item for item in found if item["name"] == "ham10000")
    assert (ham["images"], ham["classes"], ham["commercial_use"], ham["skin_tone"]) == (
        10015,
        7,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("options", "inside", "outside"),
    [
        (["--modality", "clinical"], "pad-ufes-20", "ham10000"),
        (["--task", "segmentation"], "ham10000", "pad-ufes-20"),
        (["--has", "skin_tone"], "pad-ufes-20", "ham10000"),
        (["--has", "patient_id", "--has", "sex"], "pad-ufes-20", "ham10000"),
        (["--license", "cc-by-nc"], "ham10000", "pad-ufes-20"),
        (["--search", "smartphone lesions"], "pad-ufes-20", "ham10000"),
        (["--access", "open"], "ham10000", None),
        (["--fetchable", "yes"], "ham10000", "uq-longitudinal"),  # open, but no address is known
        (["--fetchable", "yes"], "msld", "derm7pt"),
        (["--fetchable", "yes,account"], "derm7pt", "uq-longitudinal"),
        (["--fetchable", "by-hand"], "uq-longitudinal", "ham10000"),
        (["--fetchable", "no"], "co2wounds-v2", "uq-longitudinal"),
        (["--fetchable", "form"], "ddi", "uq-longitudinal"),
        (["--commercial"], "pad-ufes-20", "ham10000"),
        (["--no-commercial"], "ham10000", "pad-ufes-20"),
        (["--commercial"], "pad-ufes-20", "azh-wound"),  # no license states it
        (["--no-commercial"], "ham10000", "azh-wound"),
        (["--min-images", "10015"], "ham10000", "pad-ufes-20"),
        (["--min-images", "1"], "ham10000", "asan-hallym"),  # nobody states how many
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_filters(cli: Callable, options: list[str], inside: str, outside: str | None) -> None:
    """Each filter keeps what fits and leaves out what does not."""
    names = cli("list", *options, "--format", "names").out.split()
    assert inside in names
    assert outside not in names


def test_what_is_fetchable_is_what_fetch_can_bring(cli: Callable) -> None:
    """`list --fetchable yes -f names | xargs dermdata fetch` dies on none of them."""
    found = {item["name"]: item["fetch"] for item in items(cli("list", "--kind", "all", "-f", "json"))}
    catalog = open_catalog()
    refused = {}
    for name in found:
        try:
            require_obtainable(catalog[name])
        except PersonMustAct as error:
            by_hand = "form" if catalog[name].access.kind == "agreement" else "by-hand"
            refused[name] = {"manual_download": by_hand, "unobtainable": "no"}[error.code]
    assert {name: way for name, way in found.items() if way in ("form", "by-hand", "no")} == refused
    assert {"yes", "account"} == {*found.values()} - {*refused.values()}


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_table_says_what_each_dataset_is(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Its title, its license and whether it can be fetched, a line each; long words are cut, not folded."""
    monkeypatch.setenv("COLUMNS", str(width))
    answer = cli("list", "-f", "table")
    head, _, *lines = answer.out.splitlines()
    assert head.split()[:5] == ["name", "title", "images", "license", "fetch"]
    assert all(len(line) <= width for line in lines)
    skincap = next(line for line in lines if line.startswith("skincap "))
    assert "SkinCAP" in skincap
    assert " by-hand " in f"{skincap} "
    names = cli("list", "-f", "names").out.split()
    assert [line.split()[0] for line in lines if line[0] != " "] == names
    if width == 80:
        assert len(lines) == len(names)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ham10000", "`dermdata fetch ham10000` downloads it."),
        ("msld", "`dermdata fetch msld` downloads it."),
        ("derm7pt", "`dermdata fetch derm7pt` downloads it, with an account of derm7pt."),
        (
            "uq-longitudinal",
            "dermdata cannot download this one: `dermdata fetch uq-longitudinal --from PATH` takes what you",
        ),
        ("co2wounds-v2", "It cannot be had."),
    ],
)
def test_info_says_whether_it_can_be_fetched(cli: Callable, name: str, says: str) -> None:
    assert says in " ".join(cli("info", name).out.split())


@pytest.mark.parametrize(
    "options",
    [
        ["--modality", "dermoscopy"],
        ["--has", "skintone"],
        ["--sort", "image"],
        ["--fetchable", "acount"],
        ["--fetchable", "yes,by-han"],
    ],
    ids=" ".join,
)
def test_a_word_that_nothing_has_is_an_error_with_a_near_miss(cli: Callable, options: list[str]) -> None:
    """An empty list would hide a typing mistake."""
    answer = cli("list", *options)
    assert answer.code == 2
    assert "did you mean" in answer.err


def test_sorting(cli: Callable) -> None:
    """-KEY is descending, unknown values come last."""
    images = [item["images"] for item in items(cli("list", "--sort", "-images", "--format", "json"))]
    known = [count for count in images if count is not None]
    assert known == sorted(known, reverse=True)
    assert images[: len(known)] == known


def test_cached_marks_and_filters(cli: Callable) -> None:
    """A dataset is cached once its manifest is there."""
    assert cli("list", "--cached", "--format", "names").out == ""
    cli("fetch", "demo")
    assert cli("list", "--cached", "--format", "names").out == "demo\n"


def test_csv_and_tsv_agree(cli: Callable) -> None:
    """Both have a header line and one line a dataset."""
    rows = list(csv.DictReader(io.StringIO(cli("list", "--format", "csv").out)))
    lines = cli("list").out.splitlines()
    assert [row["name"] for row in rows] == [line.split("\t")[0] for line in lines[1:]]


def test_the_table_fits_and_shows_sizes_for_people(cli: Callable) -> None:
    """Names are whole, sizes readable."""
    out = cli("list", "--format", "table").out
    assert "pad-ufes-20" in out
    assert "3.6 GB" in out
