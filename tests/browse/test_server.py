"""The server of `browse`: whom it answers, what it says of rows, and what a hostile manifest cannot make it do."""

import csv
import errno
import io
import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

import dermdata as dd
from browse.conftest import COOKIE, HOST, TOKEN, client_of, look_at
from dermdata.api.manifest import Manifest
from dermdata.browse.app import ASSETS, Browsing
from dermdata.browse.index import PictureIndex, PictureQuery
from dermdata.errors import StorageError, UsageError
from dermdata.manifest.exclusions import ExclusionFile, ListedImage, read_exclusions, write_exclusions

ORIGIN = {"origin": f"http://{HOST}"}

# ------------------------------------------------------------------ who may ask


@pytest.mark.parametrize(
    "path", ["/", "/api/view", "/thumb/0", "/static/browse.js", "/api/marks", "/nothing"]
)
def test_without_the_token_nothing_is_answered(client: TestClient, path: str) -> None:
    for cookie in ("", f"{COOKIE}=", f"{COOKIE}=sesam", "dermdata-1=sesame", f'{COOKIE}="', "\x00=;;"):
        said = client.get(path, headers={"cookie": cookie})
        assert (said.status_code, TOKEN in said.text) == (403, False)
    assert client.get(f"{path}?token=wrong", headers={"cookie": ""}).status_code == 403


def test_the_address_with_the_token_gives_a_cookie_and_loses_it(client: TestClient) -> None:
    said = client.get(f"/?token={TOKEN}", headers={"cookie": ""})
    assert (said.status_code, said.headers["location"]) == (303, "/")
    cookie = said.headers["set-cookie"].lower()
    assert all(word in cookie for word in (COOKIE, "httponly", "samesite=strict"))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:80", "", "localhost:8000."]
)
def test_another_host_name_is_refused_even_with_the_token(client: TestClient, host: str) -> None:
    """DNS rebinding: a page elsewhere whose name leads here."""
    said = client.get(f"/api/view?token={TOKEN}", headers={"host": host})
    assert (said.status_code, "title" in said.json()) == (421, False)


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": f"https://{HOST}"},
     {"origin": "http://127.0.0.1:9"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
)  # fmt: skip
def test_only_the_page_itself_changes_anything(
    client: TestClient, browsing: Browsing, headers: dict[str, str]
) -> None:
    said = client.post("/api/marks", json={"rows": [1], "marked": True}, headers=headers)
    assert (said.status_code, len(browsing.exclusions), browsing.exclusions.path.exists()) == (403, 0, False)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(client: TestClient, method: str) -> None:
    assert client.request(method, "/api/marks", headers=ORIGIN).status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/view", "/thumb/0", "/nothing", "/static/browse.css"])
def test_each_answer_says_what_the_browser_may_do(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/thumb/../../etc/passwd",
     "/thumb/-1", "/thumb/120", "/thumb/999999999999999999999", "/thumb/1.5", "/image/x", "/mask/0/9", "/mask/0/-1"],
)  # fmt: skip
def test_no_address_leads_to_another_file(client: TestClient, path: str) -> None:
    said = client.get(path)
    assert (said.status_code, "error" in said.json()) == (404, True)


def test_the_page_and_its_files_are_ours(client: TestClient) -> None:
    page = client.get("/").text
    assert all(
        client.get(f"/static/{name}").headers["content-type"].startswith(kind)
        for name, kind in ASSETS.items()
    )
    assert 'style="' not in page
    assert "<script>" not in page


# ------------------------------------------------------------------ what it says


def test_the_view_says_what_there_is(ask: Callable) -> None:
    said = ask("view")
    assert (said["rows"], said["predictions"]) == (120, None)
    assert [one["name"] for one in said["groups"]] == ["lesion", "patient", "alike"]
    assert {
        "dataset",
        "diagnosis",
        "malignancy",
        "fitzpatrick",
        "sex",
        "age",
        "split",
        "problem",
        "license",
        "masks",
    } <= {one["name"] for one in said["facets"]}


def test_a_facet_obeys_all_filters_but_its_own(ask: Callable, demo: Manifest) -> None:
    filters = json.dumps({"sex": ["female"], "split": ["train", "test"]})
    said = ask("facets", filters=filters)
    found = {
        one["name"]: {value["value"]: value["count"] for value in one["values"]} for one in said["facets"]
    }
    rows = demo.table.select(["sex", "split"]).to_pylist()
    assert found["sex"] == Counter(row["sex"] for row in rows if row["split"] in {"train", "test"})
    assert found["split"] == Counter(row["split"] for row in rows if row["sex"] == "female")
    assert said["total"] == sum(row["sex"] == "female" and row["split"] in {"train", "test"} for row in rows)


def test_the_tree_counts_what_lies_below(ask: Callable, demo: Manifest) -> None:
    tree = next(one for one in ask("facets")["facets"] if one["name"] == "diagnosis")
    counts = {one["value"]: one["count"] for one in tree["values"]}
    paths = demo.table["diagnosis_path"].to_pylist()
    assert counts == Counter(concept for path in paths for concept in path[1:])
    below = ask("rows", filters=json.dumps({"diagnosis": ["melanocytic-neoplasm"]}))["total"]
    assert below == counts["melanocytic-neoplasm"] > counts["melanoma"]


VALUES = {
    "sex": ["female", "male", None],
    "split": ["train", "val", "test"],
    "fitzpatrick": [1, 2, 6],
    "age": [40, None],
}


@pytest.fixture(scope="module")
def index(demo: Manifest, tmp_path_factory: pytest.TempPathFactory) -> PictureIndex:
    return look_at(demo, tmp_path_factory.mktemp("kept")).index


@given(
    st.dictionaries(st.sampled_from(list(VALUES)), st.lists(st.integers(0, 2), max_size=3)),
    st.sampled_from(["", "age > 50"]),
)
def test_any_filters_leave_what_sql_leaves(
    index: PictureIndex, chosen: dict[str, list[int]], where: str
) -> None:
    """The rows of the page beside those of `--where`, for whatever is ticked."""
    ticked = {
        name: [VALUES[name][one % len(VALUES[name])] for one in ones] for name, ones in chosen.items() if ones
    }
    query = PictureQuery(
        where or None, tuple((name, tuple(values)) for name, values in sorted(ticked.items()))
    )
    conditions = [
        "(" + " or ".join(sql(name, value) for value in values) + ")" for name, values in ticked.items()
    ]
    whole = " and ".join([*conditions, *([where] if where else [])]) or "true"
    assert set(np.flatnonzero(index.find_rows(query))) == set(index.judge(whole))


def sql(name: str, value: Any) -> str:
    if value is None:
        return f"{name} is null"
    if name == "age":
        return f"(age >= {value} and age < {value + 10})"
    return f"{name} = {value!r}"


@pytest.mark.parametrize(("sort", "of"), [("age", "age"), ("-age", "age"), ("key", "key"), ("-key", "key")])
def test_rows_come_in_the_order_that_is_asked_for(ask: Callable, demo: Manifest, sort: str, of: str) -> None:
    items = ask("rows", sort=sort, count=500)["items"]
    values = [demo.table[of][one["row"]].as_py() for one in items]
    stated = [one for one in values if one is not None]
    assert stated == sorted(stated, reverse=sort.startswith("-"))
    assert values[len(stated) :] == [None] * (len(values) - len(stated))
    assert len({one["row"] for one in items}) == 120


@pytest.mark.parametrize("group", ["lesion", "patient"])
def test_a_group_stands_together(ask: Callable, group: str) -> None:
    names = [one["group"] for one in ask("rows", group=group, sort="-age", count=500)["items"]]
    changes = [one for one, other in zip(names, [object(), *names], strict=False) if one != other]
    assert len(changes) == len(set(names))
    assert len(names) == 120


def test_near_duplicates_stand_together_and_alone(ask: Callable) -> None:
    """The five pairs that are planted in the demo dataset, and nothing else."""
    items = ask("rows", group="alike", count=500)["items"]
    pairs = {
        frozenset(one["image_id"][-3:] for one in items[place : place + 2])
        for place in range(0, len(items), 2)
    }
    assert pairs == {
        frozenset(one)
        for one in (("032", "116"), ("063", "117"), ("018", "118"), ("095", "119"), ("061", "120"))
    }


def test_pages_join_to_the_whole(ask: Callable) -> None:
    whole = ask("rows", sort="diagnosis", count=500)["items"]
    pages = [ask("rows", sort="diagnosis", start=start, count=50)["items"] for start in (0, 50, 100)]
    assert [one for page in pages for one in page] == whole


@pytest.mark.parametrize(
    ("text", "count"), [("DEMO_0117", 1), ("demo_01", 21), ("P019", 3), ("nothing", 0), ("%", 0), ("(", 0)]
)
def test_search_finds_ids_lesions_and_patients(ask: Callable, demo: Manifest, text: str, count: int) -> None:
    found = ask("rows", search=text)["total"]
    if text == "P019":
        count = demo.table["patient_id"].to_pylist().count("demo/DEMO_P019")
    assert found == count


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"where": "nonsense >"}, "hint"),
        ({"where": "nobody = 1"}, "unknown column"),
        ({"where": "(select 1) = 1"}, "query inside"),
        ({"sort": "beauty"}, "no order beauty"),
        ({"group": "family"}, "no group family"),
        ({"start": "-1"}, "is a number"),
        ({"count": "1e3"}, "is a number"),
        ({"filters": "["}, "not JSON"),
        ({"filters": "[]"}, "no JSON dict"),
        ({"filters": '{"sex": "female"}'}, "filters are"),
        ({"cell": '["a"]'}, "a cell is"),
    ],
)
def test_what_cannot_be_asked_is_said_in_words(
    client: TestClient, parameters: dict[str, str], word: str
) -> None:
    said = client.get("/api/rows", params=parameters)
    assert (said.status_code, word in said.text) == (400, True), said.text


def test_unknown_facets_and_values_leave_what_they_can(ask: Callable) -> None:
    assert ask("rows", filters='{"nobody": ["x"]}')["total"] == 120
    assert ask("rows", filters='{"sex": ["x", {"a": 1}]}')["total"] == 0


# ------------------------------------------------------------------ pictures


def test_one_picture_with_all_that_is_known(ask: Callable) -> None:
    said = ask("picture/116")
    assert [(one["image_id"], one["distance"], one["how"]) for one in said["near"]] == [
        ("DEMO_0063", 0, "same bytes")
    ]
    fields = {one["name"]: one["value"] for one in said["fields"]}
    assert (fields["image_id"], fields["label_raw"]) == ("DEMO_0117", "nv")
    assert ask("picture/0")["masks"] == [{"number": 0, "title": "lesion"}]
    assert {one["image_id"] for one in ask("picture/0")["lesion"]} == {"DEMO_0002", "DEMO_0003"}


def test_fields_that_no_file_has_are_shown_too(demo: Manifest, fetched: Path, tmp_path: Path) -> None:
    """The split of a step before, the label that is asked for; and of rows from disk all columns of the file."""
    fields = {
        one["name"]: one["value"] for one in look_at(demo, tmp_path, labels="malignancy").read_fields(0)
    }
    assert (fields["label"], fields["split"] in {"train", "val", "test"}) == (fields["malignancy"], True)
    plain = look_at(dd.open_session(cache=fetched).load("demo"), tmp_path).read_fields(0)
    assert {"image_id", "confirmation", "bytes", "format"} <= {one["name"] for one in plain}
    assert "label" not in {one["name"] for one in plain}


def test_pictures_are_small_large_and_without_metadata(client: TestClient) -> None:
    small, large = (Image.open(io.BytesIO(client.get(f"/{kind}/0").content)) for kind in ("thumb", "image"))
    assert (small.size, large.size) == ((256, 192), (256, 192))
    assert not small.getexif()
    assert client.get("/thumb/0").content == client.get("/thumb/0").content


def test_a_mask_lies_upon_its_picture(client: TestClient, demo: Manifest) -> None:
    """Its pixels are those of the mask file, its edge is drawn."""
    overlay = np.asarray(Image.open(io.BytesIO(client.get("/mask/0/0").content)))
    mask = np.asarray(demo[0]["mask"])
    assert ((overlay[..., 3] > 0) == (mask > 0)).all()
    assert set(np.unique(overlay[..., 3])) == {0, 70, 255}


def test_a_broken_picture_says_why(client: TestClient) -> None:
    said = client.get("/thumb/102")
    assert (said.status_code, said.json()["error"]["message"]) == (404, "cannot be decoded")


@pytest.fixture
def strange(tmp_path: Path, fetched: Path) -> TestClient:
    """A manifest of a stranger: names and words that would be markup, paths that lead elsewhere."""
    (tmp_path / "own").mkdir()
    Image.new("RGB", (40, 20), "red").save(tmp_path / "own" / "a.png")
    (tmp_path / "secret.png").write_bytes((tmp_path / "own" / "a.png").read_bytes())
    (tmp_path / "own" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "own" / "text.jpg").write_text("<html>", encoding="utf-8")
    rows = [
        ("<script>alert(1)</script>", "a.png", "<img src=x onerror=alert(1)>"),
        ("\u202egnp.exe\x1b[2J", "../secret.png", "evil\u202edlrow"),
        ("abs", "/etc/passwd", "n"), ("link", "link.png", "n"), ("text", "text.jpg", "n"), ("none", "", "n"),
        ("gone", "no.png", "n"),
    ]  # fmt: skip
    path = tmp_path / "own" / "strange.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "label_raw"])
        writer.writerows(rows)
    return client_of(look_at(dd.open_session(cache=fetched).load(path), tmp_path))


def test_strange_words_are_data_and_strange_paths_are_not_opened(strange: TestClient) -> None:
    said = strange.get("/api/rows")
    assert said.headers["content-type"] == "application/json"
    assert said.json()["items"][0]["image_id"] == "<script>alert(1)</script>"
    answers = [strange.get(f"/{kind}/{row}") for row in range(1, 7) for kind in ("thumb", "image")]
    assert {one.status_code for one in answers} == {404}
    told = {one.json()["error"]["message"] for one in answers}
    assert any("leads out" in one or "outside" in one or "lies" in one for one in told), told
    assert strange.get("/thumb/0").status_code == 200
    assert strange.get("/api/picture/1").status_code == 200


# ------------------------------------------------------------------ marks


def test_marks_are_written_at_once_and_taken_back(
    client: TestClient, browsing: Browsing, ask: Callable
) -> None:
    said = client.post(
        "/api/marks", json={"rows": [3, 4], "marked": True, "issue": "a \t<b>\n"}, headers=ORIGIN
    ).json()
    assert (said["path"], said["count"], said["refused"]) == (str(browsing.exclusions.path), 2, 0)
    assert [(one.key, one.issue, one.source) for one in read_exclusions(browsing.exclusions.path)] == [
        ("demo/DEMO_0004", "a <b>", "browse"), ("demo/DEMO_0005", "a <b>", "browse"),
    ]  # fmt: skip
    assert ask("rows", marked="yes")["total"] == 2
    assert [one["key"] for one in ask("marks")["items"]] == ["demo/DEMO_0004", "demo/DEMO_0005"]
    client.post("/api/marks", json={"rows": [3], "marked": False}, headers=ORIGIN)
    assert [one.key for one in read_exclusions(browsing.exclusions.path)] == ["demo/DEMO_0005"]
    assert ask("rows", marked="no")["total"] == 119


@pytest.mark.parametrize(
    "asked",
    [[], None, {}, {"rows": [1]}, {"rows": "1", "marked": True}, {"rows": [120], "marked": True},
     {"rows": [-1], "marked": True}, {"rows": [True], "marked": True},
     {"rows": [1.0], "marked": True}, {"rows": [1], "marked": "yes"},
     {"rows": [1], "marked": True, "issue": 3}, {"rows": [1], "marked": True, "issue": "x" * 501}],
)  # fmt: skip
def test_what_is_no_mark_changes_nothing(client: TestClient, browsing: Browsing, asked: Any) -> None:
    said = client.post("/api/marks", json=asked, headers=ORIGIN)
    assert (said.status_code, browsing.exclusions.path.exists()) == (400, False)
    assert client.post("/api/marks", content="{", headers=ORIGIN).status_code == 400


def test_a_mark_that_is_taken_away_by_mistake_gets_its_words_back(demo: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "exclusions.tsv"
    blurred = ListedImage(
        dataset="demo", image_id="DEMO_0009", issue="blurred", source="a colleague", of="demo/DEMO_0001"
    )
    twin = ListedImage(dataset="demo", image_id="DEMO_0010", issue="duplicate", source="browse")
    write_exclusions(path, [blurred])
    browsing = look_at(demo, tmp_path)
    images = browsing.index.table["image_id"].to_pylist()
    first, second = images.index("DEMO_0009"), images.index("DEMO_0010")
    browsing.mark({"rows": [first], "marked": False})
    assert read_exclusions(path) == []
    browsing.mark({"rows": [first, second], "marked": True, "issue": "duplicate", "again": True})
    assert sorted(read_exclusions(path), key=lambda one: one.key) == [blurred, twin]


def test_a_list_is_continued(demo: Manifest, tmp_path: Path) -> None:
    (tmp_path / "exclusions.tsv").write_text("demo/DEMO_0009\n", encoding="utf-8")
    again = look_at(demo, tmp_path)
    assert again.marked()["items"] == [{"row": 8, "key": "demo/DEMO_0009", "issue": ""}]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no room for"), (errno.EROFS, "is read-only"), (errno.EIO, "cannot use")],
)
def test_a_full_or_read_only_disk_is_told_and_the_mark_is_not_shown(
    client: TestClient, browsing: Browsing, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """It is the server that cannot (5xx), not the page that asks for what cannot be."""

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", fail)
    said = client.post("/api/marks", json={"rows": [1], "marked": True}, headers=ORIGIN)
    error = said.json()["error"]
    assert (said.status_code, words in error["message"], "--exclusions FILE" in error["hint"]) == (
        507,
        True,
        True,
    )
    assert not browsing.index.marks.rows.any()
    assert not list(browsing.exclusions.path.parent.iterdir())


def test_a_folder_that_cannot_be_written_is_told_at_the_start(
    demo: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(demo._resources, "say", said.append)
    monkeypatch.setattr("os.access", lambda path, _: path != tmp_path)
    with demo.browse(exclusions=tmp_path / "list.tsv"):
        assert [one.split(":")[0] for one in said] == ["warning"]
        assert "nothing can be marked" in said[0]


def test_a_fault_of_ours_is_told_in_words(browsing: Browsing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Browsing, "view", lambda _: 1 / 0)
    client = client_of(browsing, raises=False)
    said = client.get("/api/view")
    assert (said.status_code, "ZeroDivisionError" in said.json()["error"]["message"]) == (500, True)


def test_what_others_write_to_the_list_is_taken_over(
    client: TestClient, browsing: Browsing, ask: Callable
) -> None:
    """Another page, or an editor."""
    path = browsing.exclusions.path
    mark = {"rows": [3], "marked": True, "issue": "mine"}
    client.post("/api/marks", json=mark, headers=ORIGIN)
    ExclusionFile(path).mark(["demo/DEMO_0010"], "theirs")
    assert ask("view")["exclusions"]["count"] == 2
    ExclusionFile(path).mark(["demo/DEMO_0011"], "theirs")
    assert client.post("/api/marks", json=mark | {"rows": [4]}, headers=ORIGIN).json()["count"] == 4
    assert [one.issue for one in read_exclusions(path)] == ["mine", "theirs", "theirs", "mine"]
    path.unlink()
    assert client.post("/api/marks", json=mark | {"rows": [5]}, headers=ORIGIN).json()["count"] == 5
    assert len(read_exclusions(path)) == 5


def spoil_with_a_link(path: Path) -> None:
    (path.parent / "private").write_text("private\n", encoding="utf-8")
    path.symlink_to(path.parent / "private")


@pytest.mark.parametrize(
    "spoil",
    [
        Path.mkdir,
        spoil_with_a_link,
        lambda path: path.write_text("dataset\timage_id\taction\na\tb\tburn\n", encoding="utf-8"),
        lambda path: os.mkfifo(path),
        lambda path: path.write_bytes(b"\x89PNG\0\xff"),
    ],
)
def test_a_list_that_became_something_else_is_told_and_left_alone(
    client: TestClient, browsing: Browsing, ask: Callable, spoil: Callable
) -> None:
    path = browsing.exclusions.path
    client.post("/api/marks", json={"rows": [3], "marked": True}, headers=ORIGIN)
    path.unlink()
    spoil(path)
    before = os.lstat(path)
    marks = ask("view")["exclusions"]
    assert (marks["count"], path.name in marks["problem"]) == (1, True)
    said = client.post("/api/marks", json={"rows": [4], "marked": True}, headers=ORIGIN)
    assert (said.status_code >= 500, path.name in said.json()["error"]["message"]) == (True, True)
    after = os.lstat(path)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert ask("rows", marked="yes")["total"] == 1


def test_a_list_behind_a_link_stays_there(demo: Manifest, tmp_path: Path) -> None:
    """A link that a person made, to a list that is there or not yet; a loop of links is none."""
    (tmp_path / "lists").mkdir()
    link = tmp_path / "exclusions.tsv"
    link.symlink_to(tmp_path / "lists" / "mine.tsv")
    look_at(demo, tmp_path).mark({"rows": [0], "marked": True})
    assert link.is_symlink()
    assert len(read_exclusions(tmp_path / "lists" / "mine.tsv")) == 1
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(StorageError, match="symbolic link"):
        look_at(demo, tmp_path)


def test_two_servers_that_mark_at_once_lose_nothing(tmp_path: Path) -> None:
    lists = [ExclusionFile(tmp_path / "list.tsv") for _ in range(2)]

    def mark(number: int) -> None:
        lists[number % 2].mark([f"a/{number}"], "")

    def mark_all(which: int) -> None:
        for number in range(which, 40, 2):
            mark(number)

    threads = [threading.Thread(target=mark_all, args=(which,)) for which in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.key for one in read_exclusions(tmp_path / "list.tsv")} == {
        f"a/{number}" for number in range(40)
    }


# ------------------------------------------------------------------ predictions


def test_a_models_errors_can_be_looked_at(demo: Manifest, predictions: Path, tmp_path: Path) -> None:
    client = client_of(look_at(demo, tmp_path, labels="malignancy", predictions=str(predictions)))
    said = client.get("/api/confusion").json()
    cells = dict(zip(said["classes"], said["matrix"], strict=True))
    assert sum(map(sum, said["matrix"])) == 114
    wrong = cells["benign"][1] + cells["malignant"][0]
    assert client.get("/api/rows", params={"filters": '{"prediction": ["wrong"]}'}).json()["total"] == wrong
    items = client.get("/api/rows", params={"cell": '["benign", "malignant"]', "sort": "worst"}).json()[
        "items"
    ]
    assert len(items) == cells["benign"][1]
    assert all(
        (one["truth"], one["predicted"], one["wrong"]) == ("benign", "malignant", True) for one in items
    )
    worst = client.get("/api/rows", params={"sort": "worst", "count": 500}).json()["items"]
    scores = [one["score"] for one in worst if "score" in one]
    assert scores == sorted(scores)
    assert len(scores) == 114
    one = client.get(f"/api/picture/{items[0]['row']}").json()
    assert [row["class"] for row in one["probabilities"]] == ["malignant", "benign"]


@pytest.fixture(scope="module")
def judged(demo: Manifest, predictions: Path, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    folder = tmp_path_factory.mktemp("judged")
    return client_of(look_at(demo, folder, labels="malignancy", predictions=str(predictions)))


@pytest.mark.parametrize("by", ["sex", "fitzpatrick", "age", "split", "diagnosis"])
def test_each_group_has_its_own_matrix(judged: TestClient, by: str) -> None:
    """The same as asking for the group alone; the groups of a list join to the whole."""
    whole = judged.get("/api/confusion", params={"by": by}).json()
    assert (whole["by"]["name"], whole["more"]) == (by, 0)
    for group in whole["groups"]:
        filters = json.dumps({by: [group["value"]]})
        alone = judged.get("/api/confusion", params={"filters": filters}).json()
        names = ("matrix", "n", "right", "accuracy")
        assert [group[name] for name in names] == [alone[name] for name in names]
        assert group["n"] == sum(map(sum, group["matrix"])) > 0
        assert group["accuracy"] == group["right"] / group["n"]
    top = [one for one in whole["groups"] if not one.get("depth")]
    assert sum(one["n"] for one in top) == whole["n"] == 114
    assert np.sum([one["matrix"] for one in top], axis=0).tolist() == whole["matrix"]


def test_groups_obey_the_filters_and_empty_ones_are_left_out(judged: TestClient) -> None:
    said = judged.get("/api/confusion", params={"by": "sex", "filters": '{"sex": ["female"]}'}).json()
    assert [one["value"] for one in said["groups"]] == ["female"]
    none = judged.get("/api/confusion", params={"by": "sex", "where": "age > 500"}).json()
    assert (none["n"], none["accuracy"], none["groups"]) == (0, None, [])


def test_a_matrix_by_what_is_no_facet_is_refused(judged: TestClient) -> None:
    said = judged.get("/api/confusion", params={"by": "shoes"})
    assert (said.status_code, "no facet shoes" in said.text, "fitzpatrick" in said.text) == (400, True, True)


def test_of_very_many_groups_the_largest_are_judged(
    judged: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermdata.browse.app.MOST_GROUPS", 3)
    said = judged.get("/api/confusion", params={"by": "age"}).json()
    assert (len(said["groups"]), said["more"] > 0) == (3, True)


def test_without_predictions_there_is_no_matrix(client: TestClient) -> None:
    assert client.get("/api/confusion").status_code == 400


# ------------------------------------------------------------------ begin and end


def test_no_row_is_no_page(demo: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no row is left"):
        look_at(demo, tmp_path, where="age > 200")


def test_filters_of_the_command_come_first(demo: Manifest, tmp_path: Path) -> None:
    few = look_at(demo, tmp_path, where="sex = 'female'", split="train")
    assert 0 < len(few.index) < 60
    assert few.read_fields(0)


def test_in_python_a_page_is_served_until_the_block_ends(demo: Manifest, tmp_path: Path) -> None:
    import httpx

    with demo.browse(exclusions=tmp_path / "list.tsv") as page:
        assert page.address in page._repr_html_()
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(page.address).status_code == 200
            port = httpx.URL(page.address).port
            assert client.get(f"http://127.0.0.1:{port}/api/view").json()["rows"] == 120
        with pytest.raises(StorageError, match="cannot be listened on"):
            demo.browse(exclusions=tmp_path / "list.tsv", port=port or 0)
    with pytest.raises(httpx.ConnectError):
        httpx.get(page.address)
