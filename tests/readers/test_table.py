"""The shape "table": columns that must be there, joins by key, labels of one-hot columns."""

from typing import Any

import pyarrow as pa
import pytest

from dermdata.errors import TableRefused, UnknownName
from dermdata.model import JoinSpec, TableSpec
from dermdata.readers import RawTable, read_table

A = "id,dx\n1,mel\n2,nv\n"


def reading(files: dict[str, str], **spec: Any) -> RawTable:
    """The rows of files that stand in memory; the first is the table."""
    table = TableSpec(**{"reader": "table", "file": next(iter(files)), **spec})
    return read_table(table, lambda name, member: files[f"{name}/{member}" if member else name].encode(), ())


def refusal(files: dict[str, str], **spec: Any) -> TableRefused:
    with pytest.raises(TableRefused) as caught:
        reading(files, **spec)
    return caught.value


def rows(raw: RawTable) -> list[dict[str, str]]:
    found: list[dict[str, str]] = raw.rows.to_pylist()
    return found


# ------------------------------------------------------------------ columns


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    ("header", "nearest"),
    [("id,DX", "DX"), ("id, dx", " dx"), ("id,dx_type", None), ("id,diagnosys", "diagnosys")],
)
def test_a_renamed_column_is_named_with_the_nearest(header: str, nearest: str | None) -> None:
    """Row 90: what is expected, what is found, and what may be meant."""
    wanted = "diagnosis" if nearest == "diagnosys" else "dx"
    error = refusal({"a.csv": f"{header}\n1,mel\n"}, columns={"image_id": ("id",), "label_raw": (wanted,)})
    assert f"a.csv has no column '{wanted}'" in error.message
    assert "'id'" in error.message
    assert (error.hint is None) if nearest is None else (f"is '{nearest}'" in (error.hint or ""))


def test_every_missing_column_is_named() -> None:
    error = refusal({"a.csv": A}, columns={"image_id": ("image",), "lesion_id": ("patient", "lesion")})
    assert "'image', 'patient', 'lesion'" in error.message


def test_further_columns_are_kept() -> None:
    """Nothing the source said is dropped."""
    assert reading({"a.csv": A}, columns={"image_id": ("id",)}).rows.column_names == ["id", "dx"]


def test_a_long_header_makes_no_long_message() -> None:
    header = ",".join(f"column{n}" for n in range(5_000))
    error = refusal({"a.csv": f"{header}\n{header}\n"}, columns={"image_id": ("id",)})
    assert len(error.message) < 1_000


def test_a_table_without_file_and_a_shape_that_is_none() -> None:
    assert "names no file" in refusal({"a.csv": A}, file=None).message
    with pytest.raises(UnknownName, match="unknown reader 'tabel'") as caught:
        reading({"a.csv": A}, reader="tabel")
    assert caught.value.hint == "did you mean table?"


def test_a_member_of_an_archive() -> None:
    assert len(rows(reading({"a.zip": "", "a.zip/in/a.csv": A}, member="in/a.csv"))) == 2


# ------------------------------------------------------------------ joins


def test_a_join_adds_columns_by_key() -> None:
    """In the order of the first table; a key that the second one has not keeps its row, and is counted."""
    raw = reading({"a.csv": A, "b.csv": "id,age\n2,50\n"}, join=(JoinSpec(file="b.csv", on="id"),))
    assert rows(raw) == [{"id": "1", "dx": "mel", "age": ""}, {"id": "2", "dx": "nv", "age": "50"}]
    assert raw.unpartnered == {"b.csv": 1}


def test_rows_of_the_second_table_that_nobody_wants_are_counted() -> None:
    """They carry words of the source, too."""
    raw = reading(
        {"a.csv": A, "b.csv": "id,age\n1,3\n2,4\n3,5\n4,6\n"}, join=(JoinSpec(file="b.csv", on="id"),)
    )
    assert raw.unpartnered == {"a.csv among the rows of b.csv": 2}


def test_a_key_twice_in_the_second_table_is_refused() -> None:
    """Which of the two is meant would be a guess; twice in the first table is no question."""
    join = (JoinSpec(file="b.csv", on="id"),)
    assert (
        "b.csv has the same id on several lines"
        in refusal({"a.csv": A, "b.csv": "id,age\n1,3\n1,4\n"}, join=join).message
    )
    assert len(rows(reading({"a.csv": A + "1,bcc\n", "b.csv": "id,age\n1,3\n2,4\n"}, join=join))) == 3


MASKS = (JoinSpec(file="masks.csv", on="id", each="who"),)


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        ("1,a.png,A04\n", {"mask": "a.png", "mask A04": "a.png"}),
        (
            "1,a.png,A04\n1,b.png,ST\n",
            {"mask": "a.png", "mask A04": "a.png", "mask ST": "b.png"},
        ),
        (
            "1,a.png,A04\n1,b.png,A04\n",
            {"mask": "a.png", "mask A04": "a.png", "mask A04 (2)": "b.png"},
        ),
        ("2,c.png,A01\n1,a.png,A04\n", {"mask": "a.png", "mask A01": "", "mask A04": "a.png"}),
    ],
    ids=["one", "two-people", "twice-the-same", "another-image-first"],
)
def test_the_lines_of_a_key_stand_side_by_side(lines: str, columns: dict[str, str]) -> None:
    """Masks of several people: the first line's own columns, and each line's by who it is of."""
    raw = reading({"a.csv": A, "masks.csv": f"id,mask,who\n{lines}"}, join=MASKS)
    found = rows(raw)[0]
    assert {name: found[name] for name in found if name.startswith("mask")} == columns


def test_a_column_that_tells_lines_apart_must_be_there() -> None:
    error = refusal({"a.csv": A, "masks.csv": "id,mask,annotator\n1,a.png,A04\n"}, join=MASKS)
    assert "masks.csv has no column 'who'" in error.message


@pytest.mark.fault(88)
def test_keys_are_texts() -> None:
    """Row 88: 1 is not 01."""
    raw = reading({"a.csv": A, "b.csv": "id,age\n01,3\n2.0,4\n"}, join=(JoinSpec(file="b.csv", on="id"),))
    assert raw.unpartnered["b.csv"] == 2


def test_a_name_in_both_tables_stays_two_columns() -> None:
    """Also when the same file is joined once more."""
    files = {"a.csv": A, "b.csv": "key,dx\n1,MEL\n2,NV\n"}
    join = JoinSpec(file="b.csv", on="id", to="key")
    assert rows(reading(files, join=(join, join)))[0] == {
        "id": "1", "dx": "mel", "dx (b.csv)": "MEL", "dx (b.csv, 2)": "MEL",
    }  # fmt: skip


def test_broken_lines_of_the_second_table_are_rejected_too() -> None:
    raw = reading({"a.csv": A, "b.csv": "id,age\n1,3\n2,4,5\n"}, join=(JoinSpec(file="b.csv", on="id"),))
    assert [(row["file"], row["line"]) for row in raw.rejected] == [("b.csv", 3)]


def test_a_key_column_that_is_not_there_is_named() -> None:
    for join in (JoinSpec(file="b.csv", on="idx"), JoinSpec(file="b.csv", on="id", to="idx")):
        assert "has no column 'idx'" in refusal({"a.csv": A, "b.csv": "id,age\n1,3\n"}, join=(join,)).message


def test_the_given_header_is_the_first_tables_alone() -> None:
    files = {"a.csv": "1,mel\n", "b.csv": "id,age\n1,3\n"}
    raw = reading(files, header=("id", "dx"), join=(JoinSpec(file="b.csv", on="id"),))
    assert rows(raw) == [{"id": "1", "dx": "mel", "age": "3"}]


def test_rows_known_by_number_bear_no_broken_line() -> None:
    """After a rejected line every number would mean the row before."""
    join = (JoinSpec(file="b.csv", on="@row", to="n"),)
    assert rows(reading({"a.csv": A, "b.csv": "n,part\n1,test\n0,train\n"}, join=join))[1]["part"] == "test"
    error = refusal({"a.csv": "id,dx\n0,x,y\n" + A[6:], "b.csv": "n,part\n1,test\n"}, join=join)
    assert "known by number" in error.message


# ------------------------------------------------------------------ one-hot

HOT = {"one_hot": ("MEL", "NV"), "columns": {"image_id": ("id",), "label_raw": ("@one-hot",)}}


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("1", "0"),
        ("1.0", "0.0"),
        ("True", "False"),
        ("TRUE", "FALSE"),
        ("true", ""),
        ("1", "0.0"),
        ("WAHR", "FALSCH"),
        ('"1,0"', '"0,0"'),
        ("VRAI", "FAUX"),
        ("x", ""),
    ],
)
def test_one_class_is_set(yes: str, no: str) -> None:
    raw = reading({"a.csv": f"id,MEL,NV\na,{yes},{no}\nb,{no},{yes}\n"}, **HOT)
    assert rows(raw) == [{"id": "a", "@one-hot": "MEL"}, {"id": "b", "@one-hot": "NV"}]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("0,0", "0 of 2 classes are set, not one"),
        ("1,1", "2 of 2 classes are set, not one"),
        ("1,2", "1 of 2 classes is neither 0 nor 1"),
        ("0.5,0.5", "2 of 2 classes are neither 0 nor 1"),
        ("1,NA", "1 of 2 classes is neither 0 nor 1"),
        ("yes,no", "2 of 2 classes are neither 0 nor 1"),
    ],
)
def test_anything_else_is_rejected_with_the_row(cells: str, reason: str) -> None:
    """A probability or a stray mark is not rounded to a class."""
    raw = reading({"a.csv": f"id,MEL,NV\na,1,0\nb,{cells}\n"}, **HOT)
    assert [row["id"] for row in rows(raw)] == ["a"]
    assert raw.rejected == ({"file": "a.csv", "row": f"b,{cells}", "reason": reason},)


def test_one_hot_without_rows_and_without_columns() -> None:
    assert reading({"a.csv": "id,MEL,NV\n"}, **HOT).rows.column_names == ["id", "@one-hot"]
    assert "has no column 'NV'" in refusal({"a.csv": "id,MEL\na,1\n"}, **HOT).message
    assert "which is our name" in refusal({"a.csv": "id,MEL,NV,@one-hot\na,1,0,x\n"}, **HOT).message


def test_all_columns_are_text() -> None:
    raw = reading({"a.csv": A, "b.csv": "id,age\n2,50\n"}, join=(JoinSpec(file="b.csv", on="id"),))
    assert set(raw.rows.schema.types) == {pa.string()}
    assert all(column.null_count == 0 for column in raw.rows.columns)
