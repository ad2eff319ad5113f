"""Damage to a manifest as a table: cells, kinds, names, metadata; and its writing in every form that is read."""

import contextlib
import csv
import datetime
import decimal
import io
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzzing import hostile
from fuzzing.damage import damage, damage_text
from fuzzing.documents import damage_json

Dice = random.Random
FORMS = ("parquet", "csv", "jsonl", "arrow", "stream")
SMALL = 100_000  # what offsets of small tables stay below
LOADED = [
    "path",
    "path",
    "mask_path",
    "dataset",
    "image_id",
    "key",
    "sha256",
    "diagnosis",
    "label",
    "split",
    "extra",
    "bytes",
]


def damaged(table: pa.Table, form: str, dice: Dice) -> bytes:
    """The table with one to three things that are wrong with it, in a form that may be damaged too."""
    for _ in range(dice.choice([0, 1, 1, 2, 3])):
        with contextlib.suppress(pa.ArrowException, ValueError, LookupError, ArithmeticError, TypeError):
            table = dice.choice(ACTS)(table, dice)  # some do not fit together
    data = written(table, form, dice)
    if dice.random() < 0.5:
        return data
    for _ in range(dice.choice([1, 1, 2, 4])):
        with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
            data = dice.choice([damage, *MORE.get(form, [damage])])(data, dice)
    return data


def damage_offsets(data: bytes, dice: Dice) -> bytes:
    """Small whole numbers in a row, as offsets and indices are, become ones that point elsewhere."""
    numbers = np.frombuffer(data[: len(data) // 4 * 4], "<i4").copy()
    small = (numbers >= 0) & (numbers < SMALL)
    runs = np.flatnonzero(small[:-3] & small[1:-2] & small[2:-1] & small[3:] & (numbers[:-3] != numbers[3:]))
    if not len(runs):
        return damage(data, dice)
    at = int(runs[dice.randrange(len(runs))]) + dice.randrange(4)
    numbers[at : at + dice.choice([1, 1, 4])] = dice.choice(
        [0x70000000, -0x70000000, 60_000, -1, 1 << 24, 2**31 - 1]
    )
    return numbers.tobytes() + data[len(data) // 4 * 4 :]


MORE: dict[str, list[Callable[[bytes, Dice], bytes]]] = {
    "csv": [damage_text] * 3,
    "jsonl": [damage_json] * 3,
    "arrow": [damage_offsets] * 4,
    "stream": [damage_offsets] * 4,
}


# ------------------------------------------------------------------ what is wrong with it


def column(table: pa.Table, dice: Dice) -> int:
    """One that commands look at, or any."""
    names = [name for name in LOADED if name in table.column_names]
    if names and dice.random() < 0.6:
        return int(table.column_names.index(dice.choice(names)))
    return dice.randrange(max(1, table.num_columns))


def with_cells(table: pa.Table, dice: Dice) -> pa.Table:
    """Hostile values in some rows of a column, whatever kind that makes of it."""
    at = column(table, dice)
    name = table.column_names[at]
    try:
        values = table.column(at).to_pylist() or [None]
    except (ArithmeticError, ValueError):  # damaged before: a day that no calendar has
        values = [None] * table.num_rows
    pool = hostile.PATHS if name in ("path", "mask_path") else hostile.TEXTS
    for _ in range(dice.choice([1, 1, 3, len(values)])):
        row = dice.randrange(len(values))
        values[row] = dice.choice(pool) if dice.random() < 0.7 else plain(hostile.value(dice))
    return table.set_column(at, name, column_of(values[: table.num_rows]))


def with_path(table: pa.Table, dice: Dice) -> pa.Table:
    """A path that leads elsewhere, in rows that do not say what the file should be."""
    unsaid = [name for name in table.column_names if name not in ("bytes", "sha256", "width", "height")]
    table = table.select(unsaid)
    name = dice.choice(["path", "path", "mask_path"])
    paths = dice.choices(hostile.PATHS, k=table.num_rows)
    column = pa.array(
        [path.replace("\0", "") for path in paths] if dice.random() < 0.5 else [paths[0]] * len(paths)
    )
    at = table.column_names.index(name)
    return table.set_column(at, name, column)


def plain(value: Any) -> Any:
    return str(value) if isinstance(value, hostile.Raw) else value


def column_of(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError, pa.ArrowNotImplementedError):
        words = [value if value is None else str(value).encode(errors="surrogatepass") for value in values]
        return as_text(pa.array(words, pa.binary()))


def as_text(column: pa.Array) -> pa.Array:
    """Bytes that call themselves text, which need not be UTF-8."""
    return pa.Array.from_buffers(pa.string(), len(column), column.buffers())


def with_kind(table: pa.Table, dice: Dice) -> pa.Table:
    """A column of another kind."""
    at = column(table, dice)
    return table.set_column(at, table.column_names[at], odd_column(table.num_rows, dice))


def odd_column(rows: int, dice: Dice) -> pa.Array:
    return dice.choice(KINDS)(rows, dice)


def numbers(kind: pa.DataType) -> Callable[[int, Dice], pa.Array]:
    def make(rows: int, dice: Dice) -> pa.Array:
        bits = kind.bit_width
        extreme = [
            0,
            1,
            (1 << bits - 1) - 1,
            -(1 << bits - 1) if not pa.types.is_unsigned_integer(kind) else 5,
        ]
        return pa.array([dice.choice(extreme) for _ in range(rows)], pa.int64() if bits == 64 else kind).cast(
            kind, safe=False
        )

    return make


def moments(kind: pa.DataType) -> Callable[[int, Dice], pa.Array]:
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    limit = 2 ** (kind.bit_width - 1) - 1

    def make(rows: int, dice: Dice) -> pa.Array:
        return pa.array([dice.choice([0, limit, -limit, 86_399]) for _ in range(rows)], width).cast(
            kind, safe=False
        )

    return make


def repeated(value: Any, kind: pa.DataType | None = None) -> Callable[[int, Dice], pa.Array]:
    return lambda rows, _: pa.array([value] * rows, kind)


def not_text(rows: int, dice: Dice) -> pa.Array:
    words = [b"a\xff\xfe", b"\xed\xa0\x80", b"ok", b"\xc0\x80", b"\xf8\x88\x80\x80\x80"]
    return as_text(pa.array([dice.choice(words) for _ in range(rows)], pa.binary()))


def coded(rows: int, dice: Dice) -> pa.Array:
    values = dice.choice(
        [pa.array(["a", None, "a"]), pa.array([1, 2, 3]), not_text(3, dice), pa.array([[1], None, []])]
    )
    kind = dice.choice([pa.int8(), pa.uint64(), pa.int64()])
    return pa.DictionaryArray.from_arrays(pa.array([dice.randrange(3) for _ in range(rows)], kind), values)


def run_ends(rows: int, dice: Dice) -> pa.Array:
    return (
        pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int32()), pa.array(["a"]))
        if rows
        else pa.nulls(0)
    )


def unions(rows: int, dice: Dice) -> pa.Array:
    return pa.UnionArray.from_sparse(
        pa.array([0] * rows, pa.int8()), [pa.array(["a"] * rows), pa.array([1] * rows)]
    )


def views(rows: int, dice: Dice) -> pa.Array:
    kind = pa.string_view() if hasattr(pa, "string_view") else pa.large_string()
    return pa.array(["a" * dice.choice([1, 100])] * rows, kind)


KINDS: list[Callable[[int, Dice], pa.Array]] = [
    *map(numbers, [pa.int8(), pa.int64(), pa.uint64(), pa.uint8()]),
    *map(moments, [pa.timestamp("us"), pa.timestamp("ns", "Asia/Tokyo"), pa.timestamp("s"), pa.date32()]),
    *map(repeated, [float("nan"), float("inf"), -1e300, 5e-324, True, b"\xff", [1], [[[1]]], {"a": {"b": [1]}}]),
    moments(pa.duration("s")),
    repeated(datetime.time(23, 59)), repeated(decimal.Decimal("1.5")), repeated(decimal.Decimal("9" * 38)),
    repeated([("a", 1)], pa.map_(pa.string(), pa.int64())), repeated(b"x" * 9, pa.binary(9)),
    repeated("a", pa.large_string()),
    repeated(1.5, pa.float16()), lambda rows, _: pa.nulls(rows), not_text, not_text, coded, coded, run_ends, unions, views,
]  # fmt: skip


def with_name(table: pa.Table, dice: Dice) -> pa.Table:
    """A column of another name, twice the same name, or one more with a hostile name."""
    names = list(table.column_names)
    how = dice.randrange(4)
    new = dice.choice(
        [hostile.text(dice), dice.choice(names), "image", "told:x", "set:path", "DATASET", "Key"]
    )
    new = new.encode(errors="replace").decode()
    if how < 2:
        names[column(table, dice)] = new
        return table.rename_columns(names)
    if how == 2:
        return table.append_column(new, odd_column(table.num_rows, dice))
    return table.select(dice.sample(names, len(names)))


def without(table: pa.Table, dice: Dice) -> pa.Table:
    """Fewer columns, or only one."""
    names = list(table.column_names)
    if dice.random() < 0.2:
        return table.select(names[: dice.choice([0, 1, 3])])
    del names[column(table, dice)]
    return table.select(names)


def with_rows(table: pa.Table, dice: Dice) -> pa.Table:
    """No row, each many times, or keys that are null."""
    how = dice.randrange(4)
    if how == 0:
        return table.slice(0, 0)
    if how == 1:
        return pa.concat_tables([table] * dice.choice([2, 300]))
    if how == 2:
        return table.slice(0, 1)
    at = column(table, dice)
    return table.set_column(at, table.column_names[at], pa.nulls(table.num_rows, table.schema.field(at).type))


def with_metadata(table: pa.Table, dice: Dice) -> pa.Table:
    """What the file says about itself."""
    known = [
        "schema",
        "stream-rows",
        "sources",
        "history",
        "dataset",
        "version",
        "license",
        "citation",
        "catalog_digest",
        "split",
    ]
    said = dict(table.schema.metadata or {})
    for _ in range(dice.choice([1, 3])):
        value = dice.choice(
            [plain(hostile.value(dice)), hostile.text(dice), json.dumps(plain(hostile.value(dice)))]
        )
        key = f"dermdata.{dice.choice(known)}" if dice.random() < 0.9 else hostile.text(dice)
        said[key.encode(errors="replace")] = str(value).encode(errors="surrogatepass")
    return table.replace_schema_metadata(said)


def with_extension(table: pa.Table, dice: Dice) -> pa.Table:
    """A column that says to be of an extension's kind."""
    at = column(table, dice)
    names = [
        "arrow.py_extension_type",
        "arrow.json",
        "arrow.uuid",
        "arrow.fixed_shape_tensor",
        "dermdata.x",
        "arrow.opaque",
    ]
    said = {
        "ARROW:extension:name": dice.choice(names),
        "ARROW:extension:metadata": dice.choice(["", "{}", "cos\nsystem\n(S'id'\ntR."]),
    }
    return table.cast(table.schema.set(at, table.schema.field(at).with_metadata(said)))


ACTS: list[Callable[[pa.Table, Dice], pa.Table]] = [
    *[with_cells] * 5, with_path, with_path, *[with_kind] * 3, *[with_name] * 2, without, with_rows, with_metadata,
    with_extension,
]  # fmt: skip


# ------------------------------------------------------------------ writing it


def written(table: pa.Table, form: str, dice: Dice) -> bytes:
    """The table in a form; what a form cannot hold is text in it."""
    return {"parquet": parquet, "csv": comma, "jsonl": lines, "arrow": arrow_file, "stream": arrow_stream}[
        form
    ](table, dice)


def parquet(table: pa.Table, dice: Dice) -> bytes:
    options = {
        "compression": dice.choice(["none", "zstd", "snappy", "gzip"]),
        "row_group_size": dice.choice([1, 5, 1 << 20]),
        "use_dictionary": dice.random() < 0.5,
        "data_page_version": dice.choice(["1.0", "2.0"]),
        "write_statistics": dice.random() < 0.5,
    }
    for one in (table, fitting(table)):
        out = io.BytesIO()
        try:
            pq.write_table(one, out, **options)
            return out.getvalue()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, UnicodeError, ValueError):
            continue
    return b"PAR1"


def fitting(table: pa.Table) -> pa.Table:
    """Only the columns that Parquet can hold."""
    kept = []
    for at, name in enumerate(table.column_names):
        try:
            pq.write_table(table.select([at]), io.BytesIO())
            kept.append(at)
        except (pa.ArrowException, UnicodeError, ValueError):
            del name
    return table.select(kept)


def arrow_file(table: pa.Table, dice: Dice) -> bytes:
    return arrow(table, dice, pa.ipc.new_file)


def arrow_stream(table: pa.Table, dice: Dice) -> bytes:
    return arrow(table, dice, pa.ipc.new_stream)


def arrow(table: pa.Table, dice: Dice, opened: Callable[..., Any]) -> bytes:
    options = pa.ipc.IpcWriteOptions(
        compression=dice.choice([None, None, "lz4", "zstd"]), unify_dictionaries=True
    )
    for one in (table, table.replace_schema_metadata(None)):
        out = io.BytesIO()
        try:
            with opened(out, one.schema, options=options) as writer:
                writer.write_table(one, max_chunksize=dice.choice([1, 5, None]))
            return out.getvalue()
        except (pa.ArrowException, UnicodeError):
            continue
    return b"ARROW1\0\0"


def comma(table: pa.Table, dice: Dice) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=dice.choice(["\n", "\r\n"]))
    writer.writerow(table.column_names)
    writer.writerows([[cell_of(value) for value in row] for row in rows_of(table)])
    return out.getvalue().encode(errors="surrogatepass")


def lines(table: pa.Table, dice: Dice) -> bytes:
    rows = (dict(zip(table.column_names, row, strict=True)) for row in rows_of(table))
    return "".join(json.dumps(row, default=str) + "\n" for row in rows).encode(errors="surrogatepass")


def rows_of(table: pa.Table) -> list[list[Any]]:
    columns = [values_of(table.column(at)) for at in range(table.num_columns)]
    return [list(row) for row in zip(*columns, strict=True)]


def values_of(column: pa.ChunkedArray) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, UnicodeError, pa.ArrowException):
        return ["?"] * len(column)


def cell_of(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, default=str) if isinstance(value, list | dict | tuple) else str(value)
