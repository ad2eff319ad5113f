"""Manifests on disk: what is torn, newer or none is told in words; several become one."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.errors import BadTable
from dermdata.manifest import SCHEMA, read_manifest, write_manifest
from dermdata.manifest.parquet import (
    add_metadata,
    check_version,
    concat_manifests,
    conform,
    manifest_metadata,
)
from support.manifest_builders import built


def manifest(*labels: str) -> pa.Table:
    columns = {"id": [str(n) for n in range(len(labels))], "dx": list(labels), "note": ["x"] * len(labels)}
    return built(columns, {"columns": {"image_id": ("id",), "label_raw": ("dx",)}})[0]


def told(path: Path) -> str:
    with pytest.raises(BadTable) as caught:
        read_manifest(path)
    assert str(path) in caught.value.message
    return caught.value.message


# ------------------------------------------------------------------ writing and reading


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Values, types, field descriptions and the facts about it."""
    table = manifest("mel", "nv", "")
    digest = write_manifest(table, tmp_path / "m.parquet", {"dataset": "set-a", "license": "CC0-1.0"})
    found = read_manifest(tmp_path / "m.parquet")
    assert found.to_pylist() == table.to_pylist()
    assert found.schema.equals(SCHEMA)
    assert found.schema.field("age").metadata == {b"description": b"years"}
    assert manifest_metadata(found) == {"schema": "1", "dataset": "set-a", "license": "CC0-1.0"}
    assert len(digest) == 64


def test_no_rows_are_a_manifest(tmp_path: Path) -> None:
    write_manifest(SCHEMA.empty_table(), tmp_path / "m.parquet", {})
    assert read_manifest(tmp_path / "m.parquet").num_rows == 0


def test_some_columns(tmp_path: Path) -> None:
    """What is not there is left out, for the caller to say."""
    write_manifest(manifest("mel"), tmp_path / "m.parquet", {})
    assert read_manifest(tmp_path / "m.parquet", ["diagnosis", "color"]).column_names == ["diagnosis"]


def test_every_field_says_what_it_means() -> None:
    assert [field.name for field in SCHEMA if not (field.metadata or {}).get(b"description")] == []


# ------------------------------------------------------------------ what cannot be read


def test_none_at_all(tmp_path: Path) -> None:
    assert "no manifest at" in told(tmp_path / "m.parquet")


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"image_id,dx\n1,mel\n", bytes(1000), b"PAR1" + b"\xff" * 100 + b"PAR1"]
)
def test_what_is_no_parquet(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(data)
    assert "is not a Parquet manifest" in told(path)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    assert "is not a Parquet manifest" in told(tmp_path)


@pytest.mark.fault(66)
def test_a_torn_manifest(tmp_path: Path) -> None:
    """Row 66: cut anywhere, it is told."""
    path = tmp_path / "m.parquet"
    write_manifest(manifest("mel", "nv"), path, {})
    data = path.read_bytes()
    for share in range(10):
        path.write_bytes(data[: len(data) * share // 10])
        assert "is not a Parquet manifest" in told(path)


@pytest.mark.fault(66)
def test_a_flipped_byte_never_ends_in_a_traceback(tmp_path: Path) -> None:
    """Row 66: it is read or refused; `verify` knows the file's SHA-256."""
    path = tmp_path / "m.parquet"
    write_manifest(manifest(*["mel", "nv"] * 20), path, {"dataset": "ä"})
    data = bytearray(path.read_bytes())
    dice = random.Random(5)
    for _ in range(150):
        place, bit = dice.randrange(len(data)), 1 << dice.randrange(8)
        data[place] ^= bit
        path.write_bytes(data)
        data[place] ^= bit
        try:
            manifest_metadata(read_manifest(path))
        except BadTable as error:
            assert str(path) in error.message  # noqa: PT017  # either way is right


@pytest.mark.fault(66)
def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """Row 66: before its columns are read; an older or foreign file is not."""
    path = tmp_path / "m.parquet"
    pq.write_table(manifest("mel").replace_schema_metadata({"dermdata.schema": "2"}), path)
    with pytest.raises(BadTable, match="has manifest schema 2, newer than 1") as caught:
        read_manifest(path)
    assert caught.value.hint == "update dermdata"
    for version in ("1", "0", "x", ""):
        check_version(pa.schema([], metadata={"dermdata.schema": version}), path)
    check_version(pa.schema([]), path)


# ------------------------------------------------------------------ tables of others


def test_a_table_of_ones_own_takes_the_schema() -> None:
    """Absent columns are null, further ones stay after ours."""
    own = pa.table({"score": [0.5], "image_id": [7], "age": ["50"], "sex": ["male"], "fitzpatrick": [2]})
    found = conform(own)
    assert found.schema.names == [*SCHEMA.names, "score"]
    assert found.schema.field("sex").type == SCHEMA.field("sex").type
    row = found.to_pylist()[0]
    assert (row["image_id"], row["age"], row["sex"], row["fitzpatrick"], row["score"]) == (
        "7",
        50.0,
        "male",
        2,
        0.5,
    )
    assert row["diagnosis"] is None


@pytest.mark.parametrize("column", [{"age": ["old"]}, {"fitzpatrick": [700]}, {"extra": [3]}])
def test_values_that_cannot_be_the_columns_are_told(column: dict[str, Any]) -> None:
    with pytest.raises(BadTable, match=f"do not fit the manifest's schema: {next(iter(column))}"):
        conform(pa.table(column))


def test_several_manifests_are_one() -> None:
    """One after the other; dictionaries become one; a column that one has is null in the others."""
    one = manifest("mel").append_column("score", pa.array([0.5]))
    two = manifest("nv", "").append_column("rank", pa.array([1, 2]))
    found = concat_manifests([one, two])
    assert found["diagnosis"].to_pylist() == ["melanoma", "melanocytic-nevus", None]
    assert found["score"].to_pylist() == [0.5, None, None]
    assert found["rank"].to_pylist() == [None, 1, 2]
    assert len({tuple(chunk.dictionary.to_pylist()) for chunk in found["diagnosis"].chunks}) == 1
    assert found.schema.names == [*SCHEMA.names, "score", "rank"]


def test_numbers_of_two_kinds_meet_and_words_do_not() -> None:
    one = manifest("mel")
    both = concat_manifests(
        [one.append_column("score", pa.array([1])), one.append_column("score", pa.array([0.5]))]
    )
    assert both["score"].to_pylist() == [1.0, 0.5]
    with pytest.raises(BadTable, match="do not fit each other"):
        concat_manifests(
            [one.append_column("score", pa.array([1])), one.append_column("score", pa.array(["high"]))]
        )


def test_the_union_is_nobodys_own() -> None:
    """The first one's license is not the license of all."""
    one = add_metadata(manifest("mel"), {"license": "CC0-1.0"})
    assert manifest_metadata(concat_manifests([one, manifest("nv")])) == {}
    assert manifest_metadata(one)["license"] == "CC0-1.0"


def test_metadata_that_is_no_text_is_shown_all_the_same() -> None:
    assert manifest_metadata(pa.schema([], metadata={b"dermdata.x": b"\xff", b"pandas": b"{}"})) == {
        "x": "\ufffd"
    }
