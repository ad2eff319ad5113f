"""Manifests that dermdata did not write, behind the page: nothing crashes, and what is strange stays visible."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

import dermdata as dd
from browse.conftest import HOST, client_of, look_at
from dermdata.browse.facets import MOST_VALUES
from dermdata.errors import UsageError
from dermdata.manifest.exclusions import read_exclusions
from dermdata.manifest.schema import SCHEMA

ORIGIN = {"origin": f"http://{HOST}"}
Opener = Callable[..., TestClient]


@pytest.fixture
def show(tmp_path: Path) -> Opener:
    """The page of a table with these columns; ids are made unless they are given."""
    session = dd.open_session(cache=tmp_path / "cache")

    def opened(**columns: Any) -> TestClient:
        count = len(next(iter(columns.values())))
        columns = {"image_id": [f"i{number}" for number in range(count)]} | columns
        path = tmp_path / "strange.parquet"
        pq.write_table(pa.table(columns), path)
        return client_of(look_at(session.load(path), tmp_path))

    return opened


def count_values(client: TestClient, name: str) -> dict[Any, int]:
    """The counts of one facet by what the page shows."""
    facets = {one["name"]: one for one in client.get("/api/facets").json()["facets"]}
    return {one["title"]: one["count"] for one in facets[name]["values"]}


def ask_all(client: TestClient) -> None:
    """Each question that the page asks, in strict JSON and without a fault."""
    view = client.get("/api/view").json()
    paths = [f"rows?sort={sign}{one['name']}" for one in view["sorts"] for sign in ("", "-")]
    paths += [f"rows?group={one['name']}" for one in view["groups"]]
    ask(client, "view", "facets", "rows", "picture/0", "pair/0/0", "marks", *paths)


def ask(client: TestClient, *paths: str) -> None:
    """Questions that must be answered in strict JSON."""
    for path in paths:
        said = client.get(f"/api/{path}")
        assert said.status_code == 200, (path, said.text)
        json.loads(said.text, parse_constant=pytest.fail)


def test_a_number_that_is_no_skin_type_is_shown_as_it_is(show: Opener) -> None:
    """0 was shown as VI, and 7 was a crash."""
    client = show(fitzpatrick=pa.array([0, 1, 6, 7, -3, None], pa.int8()))
    assert count_values(client, "fitzpatrick") == {
        "I": 1, "VI": 1, "-3 (no such type)": 1, "0 (no such type)": 1, "7 (no such type)": 1, "not stated": 1,
    }  # fmt: skip
    assert client.get("/api/rows", params={"filters": '{"fitzpatrick": [0]}'}).json()["total"] == 1


def test_ages_that_nobody_has_stand_together(show: Opener) -> None:
    ages = [0, 9.9, 45, 120, -1, -0.5, float("nan"), float("inf"), float("-inf"), 1e30, 1e300, None]
    client = show(age=pa.array(ages))
    assert count_values(client, "age") == {
        "0–9": 2, "40–49": 1, "120–129": 1, "no age of a person (0 to 120)": 7, "not stated": 1,
    }  # fmt: skip
    assert client.get("/api/rows", params={"filters": '{"age": ["no age"]}'}).json()["total"] == 7
    ask_all(client)


WORDS = ["", "  ", "Female", "\u202eelamef", "\x00", "<b>", None]


def test_strange_words_are_values_like_others(show: Opener) -> None:
    client = show(sex=WORDS, split=WORDS[::-1], diagnosis=WORDS, license=WORDS, body_site=WORDS)
    for name in ("sex", "split", "diagnosis", "license", "body_site"):
        titles = count_values(client, name)
        assert (titles["not stated"], titles["Female"], titles["(blank)"], "" in titles) == (1, 1, 1, False)
    for word in WORDS:
        filters = json.dumps({"sex": [word]})
        assert client.get("/api/rows", params={"filters": filters}).json()["total"] == 1
    ask_all(client)


def test_a_word_of_a_megabyte_is_told_apart_by_its_beginning(show: Opener) -> None:
    long = ["x" * 1_000_000, "x" * 900_000, "y"]
    client = show(sex=long, label_raw=long, image_id=long, split=long, lesion_id=long)
    [(value, count), *_] = count_values(client, "sex").items()
    assert (len(value), count) == (201, 2)
    assert client.get("/api/rows", params={"filters": json.dumps({"sex": [value]})}).json()["total"] == 2
    assert (
        max(len(client.get(f"/api/{path}").content) for path in ("rows?group=lesion", "facets", "marks"))
        < 5_000
    )


KINDS = {
    "nulls": pa.nulls(3),
    "numbers": pa.array([1, None, 3]),
    "large numbers": pa.array([2**63 - 1, -(2**63), None]),
    "floats": pa.array([1.5, float("nan"), None]),
    "words": pa.array(["x", "", None]),
    "views": pa.array(["x", "", None], pa.string_view()),
    "bytes": pa.array([b"\xff\xfe", b"", None]),
    "lists": pa.array([["x"], [], None]),
    "structs": pa.array([{"a": 1}, None, {"a": None}]),
    "flags": pa.array([True, False, None]),
    "times": pa.array([1, 2, None], pa.timestamp("ns")),
    "codes": pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.uint8()), pa.array(["x", "y"])),
}
COLUMNS = ("label", "age", "sex", "phash", "masks", "key")


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_of_any_kind_are_read_or_refused_in_words(show: Opener, column: str) -> None:
    read = 0
    for kind, values in KINDS.items():
        told = ""
        try:
            ask(show(**{column: values}), "facets", "rows", "picture/0", "pair/0/1")
            read += 1
        except UsageError as error:
            told = error.message
        assert not told or column in told, kind
    assert read


def test_a_manifest_of_nulls_is_looked_at(show: Opener) -> None:
    client = show(**{name: pa.nulls(3, SCHEMA.field(name).type) for name in SCHEMA.names})
    ask_all(client)
    assert count_values(client, "problem") == {"no image file": 3}


# ------------------------------------------------------------------ very many values


def test_of_very_many_values_the_most_frequent_are_sent_and_the_rest_is_searched(show: Opener) -> None:
    count = 100_000
    words = [f"word {number}" for number in range(count)]
    client = show(label=[*words, "often", "often"], diagnosis=[*words, "melanoma", "melanoma"])
    said = client.get("/api/facets", params={"filters": '{"label": ["word 77777"]}'})
    facets = {one["name"]: one for one in said.json()["facets"]}
    label = facets["label"]
    assert len(label["values"]) + label["more"] == count + 1
    assert (len(label["values"]), label["values"][0]["title"]) == (MOST_VALUES + 1, "often")
    assert label["values"][-1]["title"] == "word 77777"  # what is chosen is always there
    assert len(said.content) < 200_000
    found = client.get("/api/facets/label", params={"find": "WORD 9999"}).json()
    assert (len(found["values"]), found["more"]) == (11, 0)
    tree = client.get("/api/facets").json()["facets"]
    values = next(one for one in tree if one["name"] == "diagnosis")["values"]
    assert values[0]["depth"] == 0
    below = client.get("/api/facets/diagnosis", params={"find": "melanoma"}).json()["values"]
    assert [one["depth"] for one in below] == list(range(len(below)))
    assert (below[-1]["value"], below[-1]["count"]) == ("melanoma", 2)
    assert client.get("/api/facets/shoes", params={"find": "x"}).status_code == 400


# ------------------------------------------------------------------ rows that a list cannot name


def test_rows_without_a_name_are_not_marked_and_told(show: Opener, tmp_path: Path) -> None:
    ids = ["a", None, "b\nc", "", "a", "d"]
    client = show(image_id=ids, dataset=["x", "x", "x", "x", "x", None])
    assert client.get("/api/view").json()["exclusions"]["unnamed"] == 1
    said = client.post("/api/marks", json={"rows": [0, 1, 2, 3, 5], "marked": True}, headers=ORIGIN).json()
    assert (said["refused"], said["others"], said["count"]) == (3, 1, 3)
    assert "dataset/image_id" in said["reason"]
    assert [one.key for one in read_exclusions(tmp_path / "exclusions.tsv")] == ["x/a", "d"]


def test_a_row_has_its_key_and_its_dataset_and_id_as_names(show: Opener, tmp_path: Path) -> None:
    """As `--exclude` takes it."""
    (tmp_path / "exclusions.tsv").write_text("dataset\timage_id\tissue\nx\tb\todd\n", encoding="utf-8")
    client = show(image_id=["a", "b"], dataset=["x", "x"], key=["k/1", "k/2"])
    assert [(one["row"], one["issue"]) for one in client.get("/api/marks").json()["items"]] == [(1, "odd")]
    assert client.get("/api/picture/1").json()["issue"] == "odd"
    client.post("/api/marks", json={"rows": [1], "marked": False}, headers=ORIGIN)
    client.post("/api/marks", json={"rows": [0], "marked": True}, headers=ORIGIN)
    assert [one.key for one in read_exclusions(tmp_path / "exclusions.tsv")] == ["k/1"]


# ------------------------------------------------------------------ several datasets


@pytest.fixture
def two(tmp_path: Path) -> TestClient:
    """The page of two datasets with one picture in both, in other parts of their splits."""
    session = dd.open_session(cache=tmp_path / "cache")
    hashes = [one.to_bytes(8, "big") for one in (0x0F1E2D3C4B5A6978, 0x0F1E2D3C4B5A6979, 0xFFFF0000FFFF0000)]
    rows = {
        "one": {
            "phash": hashes[:1],
            "split": ["train"],
            "patient_id": ["p"],
            "sex": ["female"],
            "age": [40.0],
        },
        "two": {
            "phash": hashes[1:],
            "split": ["test", "train"],
            "patient_id": ["p", None],
            "sex": ["female", "male"],
        },
    }
    paths = []
    for name, columns in rows.items():
        count = len(columns["phash"])
        ids = {"dataset": [name] * count, "image_id": [f"i{number}" for number in range(count)]}
        table = pa.table(ids | columns | {"phash": pa.array(columns["phash"], pa.binary(8))})
        paths.append(tmp_path / f"{name}.parquet")
        pq.write_table(table, paths[-1])
    return client_of(look_at(session.load(*paths), tmp_path))


def test_near_duplicates_are_found_in_other_datasets_with_their_part(two: TestClient) -> None:
    said = two.get("/api/picture/0").json()
    [near] = said["near"]
    assert (near["dataset"], near["split"], near["distance"], near["how"], near["leaks"]) == (
        "two", "test", 1, "alike", True,
    )  # fmt: skip
    assert [one["dataset"] for one in said["patient"]] == ["two"]
    assert said["totals"] == {"lesion": 0, "patient": 1, "near": 1}


def test_any_two_pictures_stand_side_by_side(two: TestClient) -> None:
    said = two.get("/api/pair/0/1").json()
    assert [one["dataset"] for one in said["pictures"]] == ["one", "two"]
    assert (said["distance"], said["how"]) == (1, "alike")
    assert said["same"] == {"lesion": None, "patient": True, "dataset": False, "split": False, "label": None}
    fields = {one["name"]: (one["values"], one["same"]) for one in said["fields"]}
    assert fields["sex"] == (["female", "female"], True)
    assert fields["age"] == (["40", None], False)
    assert fields["split"] == (["train", "test"], False)
    other = two.get("/api/pair/0/2").json()
    assert (other["distance"] > 10, other["how"], other["same"]["patient"]) == (True, None, None)
    assert two.get("/api/pair/0/3").status_code == two.get("/api/pair/0/x").status_code == 404
