"""`dermdata audit`: finds what is planted in the demo dataset, and nothing else is an error."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dermdata.audit import CODES

Items = list[dict[str, Any]]
CODE_WORDS = set(CODES)
pytestmark = pytest.mark.xdist_group("audit-demo")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo dataset, fetched once."""
    from dermdata.cli.app import run

    cache = tmp_path_factory.mktemp("cache")
    assert run(["--quiet", "--cache", str(cache), "fetch", "demo"]) == 0
    return cache


@pytest.fixture
def audit(cli: Callable, shelf: Path) -> Callable[..., Any]:
    return lambda *words: cli("audit", *words, cache=shelf)


def items(answer: Any) -> Items:
    document = json.loads(answer.out)
    assert document["schema"] == "dermdata.audit/1"
    return document["items"]


def images(found: Items, code: str) -> list[list[str]]:
    return [[key.removeprefix("demo/DEMO_0") for key in one["keys"]] for one in found if one["code"] == code]


def test_all_planted_flaws_are_found_and_nothing_else_is_an_error(audit: Callable) -> None:
    """The truncated image, the copies, the leak, the label conflict, what is missing; exit 1."""
    answer = audit("demo", "--near", "--format", "json")
    assert answer.code == 1
    found = items(answer)
    errors = [(one["code"], one["keys"]) for one in found if one["level"] == "error"]
    assert errors == [
        ("image-truncated", ["demo/DEMO_0103"]),
        ("label-conflict", ["demo/DEMO_0063", "demo/DEMO_0117"]),
    ]
    assert images(found, "duplicate-exact") == [["032", "116"], ["063", "117"]]
    assert images(found, "duplicate-near") == [["018", "118"], ["061", "120"], ["095", "119"]]
    patients = [one for one in found if one["code"] == "id-conflict" and "patient_id" in one["evidence"]]
    assert images(patients, "id-conflict") == [["063", "117"], ["095", "119"]]
    missing = {
        one["evidence"]["column"]: one["evidence"]["patients"]
        for one in found
        if one["code"] == "metadata-missing"
    }
    assert (missing["age"], missing["sex"]) == (3, 2)


def test_a_split_that_tears_a_planted_copy_leaks(
    audit: Callable, shelf: Path, cli: Callable, tmp_path: Path
) -> None:
    """By image, at random: errors of all three kinds."""
    from dermdata.manifest import parquet

    (path,) = shelf.glob("datasets/demo/*/manifest.parquet")
    table = parquet.read_manifest(path)
    parts = ["train" if row % 2 else "test" for row in range(table.num_rows)]
    place = table.column_names.index("split")
    torn = table.set_column(
        place, table.schema.field(place), parquet.pa.array(parts).cast(table.schema.field(place).type)
    )
    parquet.write_manifest(torn, tmp_path / "torn.parquet", {})
    found = items(audit(tmp_path / "torn.parquet", "--near", "--format", "json"))
    leaks = {one["code"] for one in found if one["level"] == "error"}
    assert leaks >= {"leak-patient", "leak-lesion", "leak-image"}


def test_every_item_has_the_promised_keys_and_words(audit: Callable) -> None:
    for one in items(audit("demo", "--near", "-f", "json")):
        assert list(one) == ["level", "code", "dataset", "keys", "message", "evidence"]
        assert one["level"] in ("error", "warning", "note")
        assert one["code"] in CODE_WORDS


def test_names_are_images_for_the_next_command(audit: Callable) -> None:
    """Each once."""
    answer = audit("demo", "--only", "image-truncated,duplicate-exact", "--format", "names")
    assert answer.out.split() == [f"demo/DEMO_0{number}" for number in (103, "032", 116, "063", 117)]


@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv"])
def test_other_formats_hold_the_same_rows(audit: Callable, form: str) -> None:
    lines = audit("demo", "--skip", "known-issue", "--format", form).out.splitlines()
    assert len(lines) - (form != "jsonl") == len(
        items(audit("demo", "--skip", "known-issue", "--format", "json"))
    )


def test_the_table_fits_one_screen_and_says_what_to_do(audit: Callable) -> None:
    answer = audit("demo", "--near", "--format", "table")
    lines = answer.out.splitlines()
    assert lines[0] == "demo: 120 images audited"
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert "dermdata select … --dedupe exact" in answer.out
    assert answer.err.splitlines()[-2].startswith("error: 2 errors, ")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_message_of_an_error_is_never_cut(
    audit: Callable, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """At 80 columns it ended in `image file is tru…`."""
    monkeypatch.setenv("COLUMNS", str(width))
    answer = audit("demo", "--format", "table")
    assert max(map(len, answer.out.splitlines())) <= width
    (truncated,) = [one for one in items(audit("demo", "-f", "json")) if one["code"] == "image-truncated"]
    assert truncated["message"] in " ".join(answer.out.split())


def test_without_an_error_the_exit_code_is_0(audit: Callable) -> None:
    """Warnings alone stop nobody's pipeline."""
    answer = audit("demo", "--only", "metadata-missing", "--format", "json")
    assert (answer.code, {one["level"] for one in items(answer)}) == (0, {"note"})


def test_images_are_not_looked_at_when_no_finding_needs_them(audit: Callable) -> None:
    assert "look at images" not in audit("demo", "--only", "license-mix").err


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (("demo", "--only", "duplicate-exakt"), 2, "did you mean duplicate-exact"),
        (("demo", "--apply", "fitzpatrick17k-c@1"), 2, "issues/fitzpatrick17k-c@1.tsv"),
        (("demo", "--report", "no/such/folder/r.html"), 2, "no folder"),
        (("fuseg",), 2, "dermdata fetch fuseg"),
        ((), 2, "TARGET"),
    ],
)
def test_wrong_usage_is_said_before_any_work(
    audit: Callable, words: tuple[str, ...], code: int, word: str
) -> None:
    answer = audit(*words)
    assert (answer.code, answer.out) == (code, "")
    assert word in answer.err
    assert "look at images" not in answer.err


def test_an_applied_list_is_told_and_its_rows_are_gone(
    audit: Callable, cli: Callable, shelf: Path, tmp_path: Path
) -> None:
    """The errors of the dropped images go with them."""
    path = tmp_path / "own/datasets/demo/issues/clean@1.tsv"
    path.parent.mkdir(parents=True)
    rows = "".join(f"DEMO_0{number}\tdrop\tplanted\tus\t\n" for number in (103, 117))
    path.write_text(f"image_id\taction\tissue\tsource\tof\n{rows}")
    words = ("--catalog", tmp_path / "own", "audit", "demo", "--apply", "clean@1", "-f", "json")
    answer = cli(*words, cache=shelf)
    assert answer.code == 0
    assert "clean@1: 2 of 2 listed images are here and taken away (planted; us)" in answer.err
    (told,) = [one for one in items(answer) if one["evidence"].get("list")]
    assert told["keys"] == ["demo/DEMO_0103", "demo/DEMO_0117"]
    assert not [one for one in items(answer) if one["code"] == "count-differs"]


def test_a_row_of_two_targets_is_no_duplicate(audit: Callable, shelf: Path) -> None:
    """A dataset beside a selection of it: each image once, and said."""
    (path,) = shelf.glob("datasets/demo/*/manifest.parquet")
    answer = audit("demo", path, "--only", "duplicate-exact", "-f", "json")
    assert len(items(answer)) == 2
    assert "120 rows are there twice: taken once" in answer.err


def test_the_record_of_looks_is_no_stranger_to_verify(audit: Callable, cli: Callable, shelf: Path) -> None:
    """And is all that an audit leaves in the cache."""
    audit("demo", "--near")
    (folder,) = shelf.glob("datasets/demo/*")
    assert [path.name for path in folder.glob("*.parquet")] == ["manifest.parquet"]
    assert {path.name.partition("-")[0] for path in folder.glob("*.cache")} == {"looks", "alike"}
    assert cli("-q", "verify", "demo", cache=shelf).code == 0


def test_a_manifest_of_ones_own_is_audited_where_it_lies(cli: Callable, tmp_path: Path) -> None:
    """A CSV of two columns will do, and nothing is written beside it."""
    (tmp_path / "x.jpg").write_bytes(b"no image")
    (tmp_path / "mine.csv").write_text("image_id,path\n1,x.jpg\n2,y.jpg\n")
    answer = cli("audit", tmp_path / "mine.csv", "--only", "image-unreadable", "-f", "json")
    assert [one["keys"] for one in items(answer)] == [["1"], ["2"]]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mine.csv", "x.jpg"]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's room is asked, in its place."""
    asked: dict[str, Any] = {}

    def audit_page(table: Any, findings: Any, look: Callable, facts: Any) -> Iterator[str]:
        asked.update(rows=table.num_rows, findings=findings, image=look("demo/DEMO_0001"), facts=facts)
        asked.update(stranger=look("demo/NO"))
        yield "<p>§</p>"

    room = ModuleType("dermdata.report")
    room.audit_page = audit_page  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dermdata.report", room)
    return asked


def test_the_page_gets_rows_findings_images_and_sources(
    audit: Callable, page: dict[str, Any], tmp_path: Path
) -> None:
    answer = audit("demo", "--report", tmp_path / "r.html", "-f", "json")
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == "<p>§</p>"
    assert (page["rows"], page["stranger"]) == (120, None)
    assert page["image"][:2] == b"\xff\xd8"
    assert len(page["findings"]) == len(items(answer))
    facts = page["facts"]
    assert facts["datasets"][0]["name"] == "demo"
    assert facts["command"] == "dermdata audit demo"
    assert "duplicate-near" not in facts["checked"]
    json.dumps(facts)


def test_every_code_says_what_to_do_in_a_line_of_80() -> None:
    from dermdata.cli.findings import INDENT, NEXT_STEPS

    assert NEXT_STEPS.keys() == CODE_WORDS
    assert max(len(INDENT + text) for text in NEXT_STEPS.values()) <= 80
