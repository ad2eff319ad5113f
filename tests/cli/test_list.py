"""`dermdata list`."""

import csv
import io
import json
from collections.abc import Callable

import pytest

KEYS = {
    "name", "title", "kind", "images", "classes", "modalities", "tasks", "access", "license", "commercial_use",
    "size_bytes", "skin_tone", "cached", "homepage",
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
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_filters(cli: Callable, options: list[str], inside: str, outside: str | None) -> None:
    """Each filter keeps what fits and leaves out what does not."""
    names = cli("list", *options, "--format", "names").out.split()
    assert inside in names
    assert outside not in names


@pytest.mark.parametrize(
    "options", [["--modality", "dermoscopy"], ["--has", "skintone"], ["--sort", "image"]], ids=" ".join
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
