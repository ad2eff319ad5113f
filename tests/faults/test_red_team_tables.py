"""Red team, findings 6, 7, 8, 10 and 15: tables from strangers that crash, swell or are not what they say."""

import contextlib
import io
import json
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from dermdata import limits
from dermdata.cohort import filter_rows
from dermdata.cohort import filter_rows as where_of
from dermdata.errors import BadTable, TableRefused, UsageError
from dermdata.limits import parse_json
from dermdata.manifest import arrow
from dermdata.manifest.arrow import require_metadata
from dermdata.manifest.parquet import conform, write_manifest
from dermdata.manifest.text import read_jsonl
from dermdata.readers import delimited, spreadsheet
from faults.shelf import Shelf
from support.bundled_labels import vocabulary

ROWS = 4
Cli = Callable[..., Any]


def table(**columns: Any) -> pa.Table:
    """Four rows of a stranger's manifest."""
    usual = {
        "dataset": ["evil"] * ROWS,
        "image_id": [f"x{number}" for number in range(ROWS)],
        "key": [f"evil/x{number}" for number in range(ROWS)],
        "path": pa.array([None] * ROWS, pa.string()),
        "diagnosis": pa.array(["melanoma", "nevus", "melanoma", "nevus"]).dictionary_encode(),
        "extra": pa.array([[("a", "b")]] * ROWS, pa.map_(pa.string(), pa.string())),
    }
    return pa.table({**usual, **columns})


def ipc(rows: pa.Table, *, stream: bool = False) -> bytes:
    out = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, rows.schema) as writer:
        writer.write_table(rows)
    return out.getvalue()


def altered(data: bytes, pattern: bytes, other: bytes) -> bytes:
    assert pattern in data
    return data.replace(pattern, other, 1)


# ------------------------------------------------------------------ 6: Arrow that points outside

IDS = struct.pack("<5i", 0, 2, 4, 6, 8)  # the offsets of image_id
WORDS = struct.pack("<4i", 0, 1, 0, 1)  # the indices of diagnosis


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("pattern", "other"),
    [
        (IDS, (0, 0x70000000, 4, 6, 8)),
        (IDS, (-1_000_000_000, 2, 4, 6, 8)),
        (IDS, (0, 2, 60_000, 60_000, 8)),
        (WORDS, (0x7000000, 1, 2, 3)),
        (WORDS, (-5, 1, 0, 1)),
    ],
)
def test_red_team_06_arrow_that_points_outside(
    pattern: bytes, other: tuple[int, ...], stream: bool, tmp_path: Path, cli: Cli
) -> None:
    """Foreign memory is neither read nor shown: exit 2 and the column."""
    path = tmp_path / "evil.arrow"
    path.write_bytes(altered(ipc(table(), stream=stream), pattern, struct.pack(f"<{len(other)}i", *other)))
    answer = cli("select", path)
    assert answer.code == 2
    assert "evil.arrow, column" in answer.err
    assert "hint:" in answer.err


@pytest.mark.parametrize(
    "column",
    [
        pa.UnionArray.from_sparse(pa.array([0] * ROWS, pa.int8()), [pa.array(list("abcd"))]),
        pa.RunEndEncodedArray.from_arrays([ROWS], ["a"]),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16] * ROWS, pa.binary(16))),
    ],
    ids=["union", "run ends", "extension"],
)
def test_red_team_06_kinds_of_columns_that_no_manifest_has(
    column: pa.Array, tmp_path: Path, cli: Cli
) -> None:
    """Refused with the column's name, not tried."""
    path = tmp_path / "odd.arrow"
    path.write_bytes(ipc(table(odd=column)))
    answer = cli("stats", path)
    assert (answer.code, "column odd: a manifest has no" in answer.err) == (2, True)


def test_red_team_06_views_of_text_are_text(tmp_path: Path, cli: Cli) -> None:
    """What other tools stream; rows of it can be chosen."""
    path = tmp_path / "views.arrow"
    path.write_bytes(
        ipc(table(caption=pa.array([f"a long enough text {n}" for n in range(ROWS)], pa.string_view())))
    )
    answer = cli("select", path, "--where", "caption like '%2'", "-o", tmp_path / "one.csv")
    assert answer.code == 0, answer.err
    assert (tmp_path / "one.csv").read_text().count("a long enough") == 1


@pytest.mark.parametrize("head", [b"x", b"-1", b"9" * 5000])
def test_red_team_06_a_stream_that_lies_about_its_rows(head: bytes, tmp_path: Path) -> None:
    """A number of rows that is none is refused in words."""
    from dermdata.api.targets import ROWS as KEY
    from dermdata.api.targets import require_whole_stream

    with pytest.raises(BadTable, match="how many rows"):
        require_whole_stream(table().replace_schema_metadata({KEY: head}))


PROGRAM = """
import sys
from pathlib import Path
from dermdata.api import targets
from dermdata.errors import DermdataError
from dermdata.manifest import arrow, parquet
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        table = parquet.combine_chunks(targets.join_tables([arrow.read_arrow_file(path)]))
        table.to_pylist()
    except (DermdataError, MemoryError):
        pass
print('alive')
"""


def test_red_team_06_altered_arrow_never_ends_the_process(tmp_path: Path) -> None:
    """Two hundred streams and files with a few bytes altered, in a process of their own: a crash would end this one."""
    chance = random.Random(6)
    sound = [ipc(table(), stream=False), ipc(table(), stream=True)]
    for number in range(200):
        data = bytearray(chance.choice(sound))
        for _ in range(chance.choice((1, 1, 2, 4))):
            place = chance.randrange(len(data)) & ~3
            value = chance.choice((0, 1, -1, 2**31 - 1, -(2**31), 65_536, chance.randrange(2**31)))
            data[place : place + 4] = struct.pack("<i", value)
        (tmp_path / f"{number:03}.arrow").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr


# ------------------------------------------------------------------ 7: publishers' tables


def sheet_of(xml: str, before: str = "<?xml version='1.0'?>") -> bytes:
    """A workbook whose one sheet is this XML."""
    import openpyxl

    book, out = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(book)
    name = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    with zipfile.ZipFile(book) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.namelist():
            text = source.read(part)
            if part.endswith("sheet1.xml"):
                text = f"{before}<worksheet xmlns='{name}'><sheetData>{xml}</sheetData></worksheet>".encode()
            target.writestr(part, text)
    return out.getvalue()


def cell(text: str, at: str = "") -> str:
    return f"<c {at} t='inlineStr'><is><t>{text}</t></is></c>"


def test_red_team_07_a_cell_at_the_far_corner_is_one_cell() -> None:
    """1,467 bytes that say a billion cells: the lines that are there."""
    far = cell("x", "r='XFD1048576'")
    book = sheet_of(f"<row>{cell('id')}</row><row r='1048576'>{far}</row>")
    lines = spreadsheet.read_sheet(book, None, "t.xlsx")
    assert [len(line) for line in lines] == [16_384, 16_384]
    assert lines[1][-1] == "x"


def test_red_team_07_empty_lines_are_none() -> None:
    """However many there are."""
    assert spreadsheet.read_sheet(sheet_of("<row/>" * 5_000 + f"<row>{cell('x')}</row>"), None, "t.xlsx") == [
        ["x"]
    ]


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (f"<row>{cell('x' * 40_000)}</row>", "40,000 characters"),
        ("<row>" + "<c><v>1</v></c>" * 16_385 + "</row>", "column 16,385"),
        ("<row><c>" + "<v/>" * 40_000 + "</c></row>", "parts"),
        (f"<row>{cell('x' * 2_500_000)}</row>", "more than 1,048,576 bytes"),
    ],
    ids=["characters", "column", "parts", "bytes"],
)
def test_red_team_07_a_sheet_has_bounds(xml: str, said: str) -> None:
    """Those of spreadsheets themselves, and each is named."""
    with pytest.raises(TableRefused, match=said):
        spreadsheet.read_sheet(sheet_of(xml), None, "t.xlsx")


@pytest.mark.parametrize(
    "before",
    [
        "<!DOCTYPE x [<!ENTITY a 'b'>]>",
        "<?xml version='1.0' encoding='utf-16'?>",
        "<?xml version='1.0' encoding='cp037'?>",
    ],
)
def test_red_team_07_entities_and_odd_encodings_are_refused(before: str) -> None:
    """Marks could not be counted in them."""
    with pytest.raises(TableRefused, match=r"document type|UTF-8"):
        spreadsheet.read_sheet(sheet_of("<row/>", before), None, "t.xlsx")


@pytest.mark.parametrize("constant", ["CELLS", "MARKS", "OTHER"])
def test_red_team_07_a_workbook_has_so_many_cells_and_marks(
    constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheet, constant, 3)
    with pytest.raises(TableRefused, match=r"3 cells|the limit is 3"):
        spreadsheet.read_sheet(sheet_of(f"<row>{cell('a') * 2}</row>" * 3), None, "t.xlsx")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"id," + b"c," * 20_000 + b"dx\n", "20,002 columns, the limit is 16,384"),
        (b'id,"dx"\na,' + b"x" * 17_000_000, "longer than 16,777,216"),
        (b"id,dx\n" + b"a\n" * 200_002, "more than 200,000 of its lines"),
    ],
    ids=["columns", "line", "rejected"],
)
def test_red_team_07_a_text_table_has_bounds(data: bytes, said: str) -> None:
    """Exit 4, and what there is too much of."""
    with pytest.raises(TableRefused, match=said):
        delimited.parse_delimited(data, "t.csv", delimiter=",", encoding="utf-8")


def test_red_team_07_a_text_table_has_so_many_rows(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    """Also the rows of one id, each of which would be listed."""
    monkeypatch.setattr(delimited, "ROWS", 5)
    answer = shelf.put({"table.csv": b"id,dx\n" + b"a,nv\n" * 6}).fetch()
    assert (answer.code, "6 rows, the limit is 5" in answer.err) == (4, True)
    monkeypatch.setattr(delimited, "ROWS", 6)
    monkeypatch.setattr("dermdata.manifest.builder.REJECTED", 4)
    answer = shelf.put({"table.csv": b"id,dx\n" + b"a,nv\n" * 6}).fetch("--force")
    assert (answer.code, "more than once" in answer.err) == (4, True)


# ------------------------------------------------------------------ 8: manifests that swell


def test_red_team_08_a_header_of_many_columns_is_refused_at_once(tmp_path: Path, cli: Cli) -> None:
    """200,000 columns took longer than anybody waits."""
    path = tmp_path / "wide.csv"
    path.write_text("dataset,image_id," + ",".join(f"c{number}" for number in range(200_000)) + "\n")
    answer = cli("stats", path)
    assert (answer.code, "200,002 columns, the limit is 16,384" in answer.err) == (2, True)


def test_red_team_08_json_lines_of_ever_new_keys_are_refused(tmp_path: Path) -> None:
    """Columns, and cells that nobody wrote."""
    path = tmp_path / "keys.jsonl"
    path.write_text("".join(f'{{"k{number}":1}}\n' for number in range(17_000)))
    with pytest.raises(BadTable, match="17,000 columns"):
        read_jsonl(path)
    path.write_text("".join(f'{{"k{number % 1_000}":1}}\n' for number in range(2_000)))
    with pytest.raises(BadTable, match="2,000,000 cells"):
        read_jsonl(path)


def words(rows: int, word: str) -> pa.Table:
    """Rows that share one word: a few bytes of Parquet or Arrow."""
    return pa.table(
        {"image_id": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([word]))}
    )


@pytest.mark.parametrize("kind", ["parquet", "arrow", "plain parquet"])
def test_red_team_08_a_long_word_that_many_rows_share(
    kind: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of some kilobytes that stands for gigabytes is refused before they are held."""
    monkeypatch.setattr(limits, "FREE_MEMORY", 1 << 20)
    monkeypatch.setattr(limits, "MEMORY_RATIO", 1)
    path = tmp_path / f"words.{kind.rpartition(' ')[2]}"
    if kind == "arrow":
        path.write_bytes(ipc(words(5_000, "x" * 10_000)))
    else:
        pq.write_table(words(5_000, "x" * 10_000), path, compression="zstd", store_schema=kind == "parquet")
    answer = cli("select", path)
    assert (answer.code, "takes more than 1 MB of memory" in answer.err) == (2, True)


LONG = "a" * 2_000
LONG_CELLS = {
    "text": pa.array(["b", LONG]),
    "word": pa.array(["b", LONG]).dictionary_encode(),
    "list": pa.array([["b"], ["c", LONG]]),
    "list of so many": pa.array([["b", "c"], ["d", LONG]], pa.list_(pa.string(), 2)),
    "map": pa.array([[("b", "c")], [("d", LONG)]], pa.map_(pa.string(), pa.string())),
    "object": pa.array([{"of": "b"}, {"of": LONG}]),
    "list of lists": pa.array([None, [["b"], [LONG]]]),
}


@pytest.mark.parametrize("kind", LONG_CELLS)
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_red_team_08_one_cell_that_is_longer_than_any_text(
    kind: str, ending: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caption of 190 MB in 7 kB of Parquet took an export 1.5 GB: writers hold the longest cell many times."""
    monkeypatch.setattr(limits, "CELL_BYTES", 1_500)
    rows = table().slice(0, 2).append_column("own", LONG_CELLS[kind])
    path = tmp_path / f"cell.{ending}"
    write = pq.write_table if ending == "parquet" else pa.feather.write_feather
    write(rows, path)
    answer = cli("select", path, "-o", tmp_path / "o.parquet")
    assert (answer.code, "column own: a cell has more than" in answer.err) == (2, True)
    write(pa.Table.from_pylist(rows.slice(0, 1).to_pylist(), rows.schema), path)
    assert cli("select", path, "-o", tmp_path / "o.parquet", "--allow-missing").code == 0


def test_red_team_08_many_cells_that_are_long_together_are_no_long_cell() -> None:
    """A column may be as long as it likes: what lies beside a cell does not count for it."""
    many = pa.array([[LONG] * 3] * 60)
    assert arrow.array_bytes(many.slice(30, 3)) == pytest.approx(arrow.array_bytes(many) / 20, rel=0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "CELL_BYTES", 3 * len(LONG) + 100)
        assert not arrow.has_large_cell(many)
        patch.setattr(limits, "CELL_BYTES", 3 * len(LONG) - 100)
        assert arrow.has_large_cell(many)


def test_red_team_08_more_rows_than_bytes(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the footer, before a row is read."""
    monkeypatch.setattr(limits, "FREE_CELLS", 1_000)
    path = tmp_path / "rows.parquet"
    pq.write_table(words(200_000, "x"), path)
    for command in (("stats", path), ("query", "select * from images", path)):
        answer = cli(*command)
        assert (answer.code, "says 200,000 rows in" in answer.err) == (2, True)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has a limit that holds")
def test_red_team_08_memory_that_a_library_takes_is_bounded_and_given_back() -> None:
    """By the process's own limit, which is the old one afterwards."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(UsageError, match="enough"), limits.limit_memory(1 << 20, UsageError("enough")):
        bytearray(1 << 40)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_red_team_08_a_large_manifest_of_ours_is_in_proportion() -> None:
    """Ten million rows of 60 bytes each on disk, 425 in memory."""
    size = 10_000_000 * 60
    limits.require_rows(10_000_000, size, "ours")
    limits.require_memory(10_000_000 * 425, size, "ours")


# ------------------------------------------------------------------ 10: nothing ends with 70

NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), ROWS, pa.array([b"a\xff", b"b\xed\xa0\x80", b"ok", b"\xc0"], pa.binary()).buffers()
)
FAR = pa.array([2**63 - 1] * ROWS, pa.timestamp("us"))
LISTS = pa.array([[1]] * ROWS)
COMMANDS = (
    ("select",), ("stats", "--by", "diagnosis"), ("export", "csv", "-o", "{out}.csv"), ("cite",),
    ("export", "jsonl", "-o", "{out}.jsonl"), ("split", "--ratios", "train=1", "-o", "{out}.parquet"),
    ("select", "-o", "{out}.arrow"), ("audit",),
)  # fmt: skip


@pytest.mark.parametrize(
    "columns",
    [
        {"xx": NOT_UTF8},
        {"image_id": NOT_UTF8},
        {"dataset": [""] * ROWS},
        {"zz": FAR},
        {"zz": pa.array([2**31 - 1] * ROWS, pa.date32())},
        {"zz": pa.array([[one] for one in FAR], pa.list_(FAR.type))},
        {"path": ["a\0b"] * ROWS},
        {"masks": LISTS},
        {"masks": pa.array([[None]] * ROWS, pa.list_(pa.struct({"key": pa.string(), "value": pa.string()})))},
        {"zz": pa.array([86_400] * ROWS, pa.duration("s"))},
        {"zz": pa.array([0] * ROWS, pa.timestamp("s", "No/Where"))},
    ],
    ids=lambda one: next(iter(one)),
)
def test_red_team_10_no_table_is_a_fault_of_ours(columns: dict[str, Any], tmp_path: Path, cli: Cli) -> None:
    """Each command does it, or says what is wrong."""
    path = tmp_path / "evil.parquet"
    pq.write_table(table(**columns), path)
    for command in COMMANDS:
        asked = [word.format(out=tmp_path / "out") for word in command]
        answer = cli(*asked, path)
        assert answer.code in (0, 1, 2, 8), (command, answer.err)
        assert "fault of dermdata" not in answer.err


@pytest.mark.parametrize(
    "line",
    [
        '{"image_id":"a","extra":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"image_id":"a","x":' + '{"a":' * 900 + "1" + "}" * 900 + "}",
        '{"image_id":"\\ud800"}',
        '{"image_id":"a","\\udfff":1}',
        '{"image_id":"a","x":123456789012345678901234567890,"width":1e400}',
        '{"image_id":"a","x":' + "9" * 5_000 + "}",
    ],
    ids=["lists", "objects", "half a character", "half a key", "large numbers", "long number"],
)
def test_red_team_10_json_lines_of_strangers(line: str, tmp_path: Path, cli: Cli) -> None:
    """Depth, characters and numbers are bounded in one place."""
    path = tmp_path / "evil.jsonl"
    path.write_text(line + "\n")
    answer = cli("select", path)
    assert (answer.code, "evil.jsonl" in answer.err) == (2, True), answer.err


def test_red_team_10_json_in_a_cell(tmp_path: Path, cli: Cli) -> None:
    """`extra` of a CSV manifest is JSON too."""
    path = tmp_path / "evil.csv"
    path.write_text('dataset,image_id,extra\ne,a,"' + "[" * 99_999 + '"\n')
    answer = cli("stats", path)
    assert (answer.code, "column extra: nested deeper than 32" in answer.err) == (2, True)


def test_red_team_10_brackets_in_texts_are_no_depth() -> None:
    """Only what is nested is deep."""
    text = json.dumps({"a": "[" * 1_000 + '"{' * 5, "b": [[[1]]]})
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("key", ["history", "sources"])
@pytest.mark.parametrize("text", [b"not json", b"1", b'[{"history": 1}, 2]', b"\xff"])
def test_red_team_10_metadata_of_strangers(key: str, text: bytes, tmp_path: Path, cli: Cli) -> None:
    """What commands read as JSON is JSON of the right shape."""
    path = tmp_path / "evil.parquet"
    pq.write_table(table().replace_schema_metadata({f"dermdata.{key}".encode(): text}), path)
    answer = cli("select", path, "-o", tmp_path / "out.parquet")
    assert (answer.code, f"its metadata's {key}" in answer.err) == (2, True)


def test_red_team_10_metadata_of_our_own_is_right() -> None:
    """A union of unions, as `select` writes it."""
    one = {"dataset": "a", "history": '["select a"]'}
    both = {"sources": json.dumps([one, {"sources": json.dumps([one])}]), "history": "[]"}
    require_metadata({f"dermdata.{key}".encode(): word.encode() for key, word in both.items()}, "m")


# ------------------------------------------------------------------ 15: a condition that swells


@pytest.mark.parametrize(
    "condition",
    [
        "list_resize([1], 2000000000) is not null",
        "range(100000000)[1] = 0",
        "repeat('x', 2000000000) = 'y'",
        "lpad('x', 2000000000, 'y') = 'y'",
        "printf('%2000000000d', 1) = 'y'",
        "bitstring('1', 2000000000) is null",
        "[null]::integer[10000][10000][] is null",
        "list_transform([1], x -> repeat('a', x)) is null",
    ],
)
def test_red_team_15_a_condition_makes_nothing_large_of_something_small(condition: str) -> None:
    """Refused as it is parsed: DuckDB works out constants outside of its limit."""
    with pytest.raises(UsageError):
        filter_rows(table(), condition, vocabulary())


def test_red_team_15_what_a_filter_is_made_of_is_there() -> None:
    """Text, numbers, lists, expressions and dates."""
    condition = (
        "regexp_matches(image_id, '^x[0-2]$') and len(key) > 3 and round(1.5) = 2 and list_contains(['evil'], dataset)"
        " and replace(key, '/', '_') like 'evil_x%' and coalesce(path, '') = '' and extra['a'] = 'b'"
        " and year(date '2020-01-01') = 2020 and hash(key) is not null and map_keys(extra)[1] = 'a'"
    )
    assert filter_rows(table(), condition, vocabulary()).num_rows == 3


def test_red_team_15_a_refused_function_has_its_nearest() -> None:
    with pytest.raises(UsageError, match="repeat is not for conditions") as caught:
        filter_rows(table(), "repeat(key, 3) = 'a'", vocabulary())
    assert caught.value.hint == "did you mean replace?"


def test_red_team_15_a_condition_has_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter here: a hundred million steps a row."""
    module = sys.modules[where_of.__module__]
    monkeypatch.setattr(module, "SECONDS", 0.2)
    long = pa.table({"image_id": ["ab" * 10_000] * 500})
    with pytest.raises(UsageError, match=r"more than 0\.2 seconds"):
        filter_rows(long, "levenshtein(image_id, reverse(image_id)) > 1", vocabulary())


# ------------------------------------------------------------------ altered files of every kind


def samples(folder: Path) -> dict[str, bytes]:
    """The same rows in every form that a TARGET may have."""
    rows = conform(table(caption=["a, b", 'c "d"', "é", ""]))
    write_manifest(rows, folder / "m.parquet", {"history": "[]"})
    from dermdata.export.text_formats import csv_chunks, jsonl_chunks

    return {
        ".parquet": (folder / "m.parquet").read_bytes(),
        ".csv": b"".join(csv_chunks(rows.schema, [rows])),
        ".jsonl": b"".join(jsonl_chunks(rows.schema, [rows])),
    }


def mutated(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 2, 5))):
        place = chance.randrange(len(found))
        if chance.random() < 0.3:
            start = chance.randrange(len(found))
            found[place : place + 8] = found[start : start + 8]
        else:
            found[place] = chance.choice((0, 255, 34, 44, 10, 123, 91, chance.randrange(256)))
    return bytes(found)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_red_team_10_altered_manifests(suffix: str, tmp_path: Path, cli: Cli) -> None:
    """Whatever is altered: an answer or words, never a fault of ours."""
    chance = random.Random(10)
    data = samples(tmp_path)[suffix]
    path = tmp_path / f"altered{suffix}"
    for number in range(24):
        path.write_bytes(mutated(data, chance))
        asked = (("select",), ("stats",), ("export", "csv", "-o", tmp_path / "out.csv"))[number % 3]
        answer = cli(*asked, path)
        assert answer.code in (0, 1, 2, 8), (number, answer.err)


def test_red_team_07_altered_publishers_tables() -> None:
    """Text and workbooks: rows or a refusal."""
    chance = random.Random(7)
    text = b'id,dx\na,"nv"\nb,mel\n' * 3
    book = sheet_of(f"<row>{cell('id')}{cell('dx')}</row>" * 3)
    for _ in range(60):
        with contextlib.suppress(TableRefused):
            delimited.parse_delimited(mutated(text, chance), "t.csv", delimiter=",", encoding="utf-8")
        with contextlib.suppress(TableRefused):
            spreadsheet.read_sheet(mutated(book, chance), None, "t.xlsx")


def test_red_team_06_whole_streams_are_still_read() -> None:
    """What is right goes through as it was."""
    rows = table()
    assert arrow.read_arrow_stream(io.BytesIO(ipc(rows, stream=True))) == rows
    with pytest.raises(BadTable, match="is empty"):
        arrow.read_arrow_stream(io.BytesIO(b""))
    with pytest.raises(BadTable, match="not an Arrow stream"):
        arrow.read_arrow_stream(io.BytesIO(b"y\n" * 100))


@pytest.mark.parametrize("cell", [[None], [["a"]], [[None, "b"]], ["ab", 3], 7, "x"])
@pytest.mark.parametrize("column", ["masks", "extra", "concepts"])
def test_red_team_10_pairs_that_are_none_are_refused(
    cli: Callable, tmp_path: Path, column: str, cell: Any
) -> None:
    """A JSON null among a map's pairs ended the process (SIGABRT): Arrow aborts there."""
    row = {"dataset": "evil", "image_id": "a", "key": "evil/a", "path": None, column: cell}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    answer = cli("select", tmp_path / "m.jsonl")
    assert (answer.code, f"column {column}: " in answer.err) == (2, True), answer.err


@pytest.mark.parametrize(
    "text",
    [
        'x.classes = [{a = ["nevus"]}]',
        "x.classes = [[1]]",
        "[x.classes]\na = 3",
        '[x.classes]\na = "melanoma"',
    ],
)
def test_red_team_10_label_spaces_of_other_kinds_are_refused(
    cli: Callable, tmp_path: Path, text: str
) -> None:
    assert cli("-q", "fetch", "demo").code == 0
    (tmp_path / "space.toml").write_text(text + "\n", encoding="utf-8")
    answer = cli("stats", "demo", "--labels", tmp_path / "space.toml")
    assert (answer.code, answer.err.startswith("error: ")) == (2, True), answer.err


def test_red_team_10_a_differential_without_weights_gives_no_class(cli: Callable, tmp_path: Path) -> None:
    """Words in place of a TypeError."""
    graded = [{"concept": "melanoma", "weight": None}, {"concept": None, "weight": 0.5}]
    row = {"dataset": "evil", "image_id": "a", "key": "evil/a", "differential": graded}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    answer = cli("select", tmp_path / "m.jsonl", "--labels", "malignancy")
    assert (answer.code, "lacks a concept or a weight" in answer.err) == (0, True), answer.err


def test_red_team_08_few_bytes_are_not_a_million_rows(cli: Callable, tmp_path: Path) -> None:
    """Columns of nulls take no bytes: their rows would be printed for half a minute."""
    nothing = pa.table({"dataset": pa.nulls(1_000_000), "image_id": pa.nulls(1_000_000)})
    with pa.ipc.new_file(tmp_path / "m.arrow", nothing.schema) as file:
        file.write_table(nothing)
    pq.write_table(nothing, tmp_path / "m.parquet")
    for name in ("m.arrow", "m.parquet"):
        answer = cli("stats", tmp_path / name)
        assert (answer.code, "the limit is" in answer.err) == (2, True), answer.err


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has a limit that holds")
def test_limits_of_blocks_that_end_in_another_order_leave_none() -> None:
    """Two threads of `browse` that read at once left the process with the first one's limit for ever."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    refusal = UsageError("enough")
    first, second = (limits.limit_memory(most, refusal) for most in (1 << 30, 2 << 30))
    first.__enter__()
    least = resource.getrlimit(resource.RLIMIT_DATA)[0]
    second.__enter__()
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == least
    first.__exit__(None, None, None)
    assert least < resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY
    second.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
