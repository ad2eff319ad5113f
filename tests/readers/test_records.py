"""JSON as tables, and what is asked and answered of images: every record a row, and no document that costs more."""

import json
from typing import Any

import pytest

from dermdata.errors import TableRefused
from dermdata.model import JoinSpec, QuestionSpec, TableSpec
from dermdata.readers import read_table
from dermdata.readers import records as shape

ID = {"image_id": ("image",)}


def rows(data: Any, name: str = "a.json", **spec: Any) -> list[dict[str, str]]:
    """The rows of a document, or of a text as it stands."""
    raw = read(data, name, **spec)
    assert raw.rejected == ()
    return raw.rows.to_pylist()


def read(data: Any, name: str = "a.json", **spec: Any) -> Any:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    spec.setdefault("columns", ID)
    return read_table(TableSpec(reader="records", file=name, **spec), lambda *_: text, ())


@pytest.mark.parametrize(
    ("data", "name", "way"),
    [
        ([{"image": "1", "n": 2}, {"image": "2", "n": 3}], "a.json", None),
        (
            {"data": {"all": [{"image": "1", "n": 2}, {"image": "2", "n": 3}]}, "version": 1},
            "a.json",
            "data.all",
        ),
        (b'\xef\xbb\xbf{"image": "1", "n": 2}\n\n{"image": "2", "n": 3}\n', "a.jsonl", None),
        (b'{"image": "1", "n": 2}\r\n{"image": "2", "n": 3}', "a.NDJSON", None),
    ],
    ids=["list", "deeper", "lines", "lines of Windows"],
)
def test_every_form_of_a_list_gives_the_same_rows(data: Any, name: str, way: str | None) -> None:
    assert rows(data, name, records=way) == [{"image": "1", "n": "2"}, {"image": "2", "n": "3"}]


def test_an_object_of_objects_is_a_list_with_keys() -> None:
    assert rows({"i1": {"dx": "nv"}, "i2": {"dx": ""}}, columns={"image_id": ("@key",)}) == [
        {"@key": "i1", "dx": "nv"}, {"@key": "i2", "dx": ""},
    ]  # fmt: skip


def test_values_are_text_as_they_stand_and_nothing_is_lost() -> None:
    made = {"image": "1", "n": None, "t": True, "f": 0.1, "o": {"a": {"b": "ä"}}, "l": [1, "x"], "e": {}}
    assert rows([made, {"image": "2", "late": "0001"}]) == [
        {
            "image": "1",
            "n": "",
            "t": "true",
            "f": "0.1",
            "o.a.b": "ä",
            "l": '[1, "x"]',
            "e": "{}",
            "late": "",
        },
        {"image": "2", "n": "", "t": "", "f": "", "o.a.b": "", "l": "", "e": "", "late": "0001"},
    ]


def test_a_list_makes_a_row_for_each_of_its_values() -> None:
    made = [{"case": "a", "image": ["1", "2"]}, {"case": "b", "image": "3"}, {"case": "c", "image": []}]
    assert [(row["case"], row["image"]) for row in rows(made, unfold="image")] == [
        ("a", "1"),
        ("a", "2"),
        ("b", "3"),
        ("c", ""),
    ]


def test_what_is_no_object_is_rejected_with_its_place() -> None:
    raw = read([{"image": "1"}, "no object", 3])
    assert raw.rows.num_rows == 1
    assert [(one["line"], one["row"]) for one in raw.rejected] == [(2, "no object"), (3, "3")]


@pytest.mark.parametrize(
    ("data", "spec", "why"),
    [
        (b"{", {}, "is not JSON"),
        (b"[" * 100_000, {}, "is not JSON: nested deeper"),
        (b'[{"image": "\\ud800"}]', {}, "half of a character"),
        ({"a": 1}, {}, "is no list of objects"),
        ([{"image": "1"}], {"records": "a.b"}, "'a.b' of a.json is no list"),
        ([{"other": "1"}], {}, "has no column 'image'"),
        (
            [{"image": "1", **{str(n * k): 1 for k in range(1, 900)}} for n in range(10_000, 10_060)],
            {},
            "columns",
        ),
    ],
    ids=["cut", "deep", "half", "no list", "no way", "no column", "columns"],
)
def test_a_hostile_document_is_refused(data: Any, spec: Any, why: str) -> None:
    with pytest.raises(TableRefused, match=why):
        read(data, **spec)


def test_a_document_larger_than_any_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "JSON_BYTES", 10)
    with pytest.raises(TableRefused, match="the limit is 10"):
        read([{"image": "1"}])


@pytest.mark.parametrize(
    ("data", "spec"), [([{"image": [1, 2, 3]}], {"unfold": "image"}), ([{"image": 1}] * 3, {})]
)
def test_more_rows_than_any_table_has_are_refused(
    data: Any, spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shape, "ROWS", 2)
    with pytest.raises(TableRefused, match="2"):
        read(data, **spec)


def test_records_are_joined_as_tables_are() -> None:
    def files(name: str, _: str | None) -> bytes:
        return b'[{"image": "1"}]' if name == "a.json" else b"image,dx\n1,nv\n"

    spec = TableSpec(reader="records", file="a.json", columns=ID, join=(JoinSpec(file="b.csv", on="image"),))
    assert read_table(spec, files, ()).rows.to_pylist() == [{"image": "1", "dx": "nv"}]


# ------------------------------------------------------------------ questions


def questions(data: Any, **spec: Any) -> dict[str, list[list[str]]]:
    return {row["image"]: json.loads(row["@questions"] or "[]") for row in rows(data, **spec)}


def test_questions_of_one_image_come_together_in_their_order() -> None:
    made = [
        {"image": "1", "q": "What?", "a": "A mole."},
        {"image": "2", "q": "", "a": ""},
        {"image": "1", "q": "Where?", "a": "Arm."},
    ]
    ask = (QuestionSpec(question=("q",), answer="a"),)
    assert questions(made, questions=ask) == {"1": [["What?", "A mole."], ["Where?", "Arm."]], "2": []}


def test_each_answer_of_a_list_is_a_pair_and_a_question_may_stand_there_too() -> None:
    made = [{"image": "1", "title": "Help", "text": "Red spot", "all": [{"a": "x"}, {"a": "y"}, "no object"]}]
    ask = (QuestionSpec(question=("title", "text"), answer="a", list="all"),)
    assert questions(made, questions=ask) == {"1": [["Help\nRed spot", "x"], ["Help\nRed spot", "y"]]}
    made = [{"image": "1", "all": [{"q": "What?", "a": "x"}]}]
    assert questions(made, questions=(QuestionSpec(question=("q",), answer="a", list="all"),)) == {
        "1": [["What?", "x"]]
    }


def test_what_further_rows_of_an_image_say_otherwise_is_kept() -> None:
    made = [{"image": "1", "q": "a?", "a": "b", "who": "A"}, {"image": "1", "q": "c?", "a": "d", "who": "B"}]
    (row,) = rows(made, questions=(QuestionSpec(question=("q",), answer="a"),))
    assert (row["who"], row["who (2)"]) == ("A", "B")


def test_questions_in_a_column_that_is_not_there_are_refused() -> None:
    with pytest.raises(TableRefused, match="has no column 'answer'"):
        read([{"image": "1", "q": "a?"}], questions=(QuestionSpec(question=("q",), answer="answer"),))


def test_questions_about_images_that_no_column_names_are_refused() -> None:
    with pytest.raises(TableRefused, match="has no column 'image'"):
        read([{"q": "a?", "a": "b"}], questions=(QuestionSpec(question=("q",), answer="a"),))
