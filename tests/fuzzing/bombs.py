"""Small inputs that want to be large: each a few MB at most, some of which are costly to make."""

import io
import random
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

Dice = random.Random
KEYS = "dataset,image_id,path"


def wide_csv(dice: Dice) -> bytes:
    count = dice.choice([3_000, 20_000, 200_000])
    return f"{KEYS},{','.join(f'c{n}' for n in range(count))}\ne,a,,{',' * (count - 1)}\n".encode()


def long_cell_csv(dice: Dice) -> bytes:
    return f'{KEYS}\ne,"{"x" * dice.choice([200_000, 40_000_000])}",\n'.encode()


def many_rows_csv(dice: Dice) -> bytes:
    return f"{KEYS}\n".encode() + b"e,a,\n" * dice.choice([100_000, 1_000_000])


def quotes_csv(dice: Dice) -> bytes:
    return f"{KEYS}\n".encode() + b'"' * 3_000_000


def deep_cell_csv(dice: Dice) -> bytes:
    return f'{KEYS},extra,masks\ne,a,,"{"[" * dice.choice([1000, 100_000])}","{"{" * 2000}"\n'.encode()


def deep_jsonl(dice: Dice) -> bytes:
    depth = dice.choice([500, 1000, 100_000])
    inner = dice.choice(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth])
    return f'{{"dataset":"e","image_id":"a","path":null,"{dice.choice(["extra", "x"])}":{inner}}}\n'.encode()


def wide_jsonl(dice: Dice) -> bytes:
    keys = ",".join(f'"c{number}":null' for number in range(dice.choice([3_000, 100_000])))
    return f'{{"dataset":"e","image_id":"a","path":null,{keys}}}\n'.encode() * dice.choice([1, 3])


def ragged_jsonl(dice: Dice) -> bytes:
    """Each row has columns of its own: rows times columns cells."""
    count = dice.choice([300, 5_000])
    return "".join(
        f'{{"dataset":"e","image_id":"a{n}","path":null,"c{n}":1}}\n' for n in range(count)
    ).encode()


def rows_parquet(dice: Dice) -> bytes:
    """Millions of equal rows in some hundred kB."""
    group = 1_000_000
    names = ["dataset", "image_id", "key", "path", "diagnosis"]
    one = pa.DictionaryArray.from_arrays(pa.array([0] * group, pa.int8()), pa.array(["x"])).cast(pa.string())
    out, table = io.BytesIO(), pa.table(dict.fromkeys(names, one))
    with pq.ParquetWriter(out, table.schema, compression="zstd") as writer:
        for _ in range(dice.choice([2, 20])):
            writer.write_table(table)
    return out.getvalue()


def cell_parquet(dice: Dice) -> bytes:
    out = io.BytesIO()
    cells = {"dataset": ["e"], "image_id": ["a"], "key": ["e/a"], "path": pa.nulls(1, pa.string())}
    pq.write_table(
        pa.table({**cells, "caption": ["x" * dice.choice([10_000_000, 200_000_000])]}),
        out,
        compression="zstd",
    )
    return out.getvalue()


def wide_parquet(dice: Dice) -> bytes:
    out = io.BytesIO()
    names = ["dataset", "image_id", "key", *(f"c{number}" for number in range(dice.choice([2_000, 10_000])))]
    pq.write_table(pa.table({name: ["e"] for name in names}), out)
    return out.getvalue()


def rows_arrow(dice: Dice) -> bytes:
    """Rows of nulls take no bytes at all."""
    rows = dice.choice([1_000_000, 1_000_000_000])
    table = pa.table({name: pa.nulls(rows) for name in ("dataset", "image_id", "key", "path")})
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def same_arrow(form: str) -> Callable[[Dice], bytes]:
    def make(dice: Dice) -> bytes:
        data = rows_arrow(dice)
        if form == "arrow":
            return data
        table, out = pa.ipc.open_file(data).read_all(), io.BytesIO()
        with pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
        return out.getvalue()

    return make


MANIFESTS: dict[str, list[Callable[[Dice], bytes]]] = {
    "csv": [wide_csv, long_cell_csv, many_rows_csv, quotes_csv, deep_cell_csv],
    "jsonl": [deep_jsonl, wide_jsonl, ragged_jsonl],
    "parquet": [rows_parquet, cell_parquet, wide_parquet],
    "arrow": [same_arrow("arrow")],
    "stream": [same_arrow("stream")],
}


def wide_table(dice: Dice) -> bytes:
    count = dice.choice([20_000, 1_000_000])
    return (
        b"id,dx,"
        + b",".join(b"c%d" % number for number in range(count))
        + b"\nIMG_000,nv"
        + b"," * count
        + b"\n"
    )


def many_rows_table(dice: Dice) -> bytes:
    return b"id,dx\n" + b"IMG_000,nv\n" * dice.choice([200_000, 2_000_000])


def many_ids_table(dice: Dice) -> bytes:
    return b"id,dx\n" + b"".join(b"a%d,nv\n" % number for number in range(dice.choice([100_000, 1_000_000])))


def long_cell_table(dice: Dice) -> bytes:
    return b'id,dx\na,"' + b"x" * dice.choice([1_000_000, 100_000_000]) + b'"\n'


def quotes_table(dice: Dice) -> bytes:
    return b"id,dx\n" + b'"' * 3_000_000


TABLES = [wide_table, many_rows_table, many_ids_table, long_cell_table, quotes_table]
HEAD = b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
ROW = b'<row><c t="inlineStr"><is><t>id</t></is></c><c t="inlineStr"><is><t>dx</t></is></c></row>'
CELL = b'<c t="inlineStr"><is><t>x</t></is></c>'


def far_cell(dice: Dice) -> bytes:
    place = dice.choice([b"XFD1048576", b"A1048576", b"XFD1", b"ZZ30000"])
    number = place.lstrip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return ROW + b'<row r="%s"><c r="%s" t="inlineStr"><is><t>x</t></is></c></row>' % (number, place)


def wide_rows(dice: Dice) -> bytes:
    return ROW + (b"<row>" + CELL * 2000 + b"</row>") * dice.choice([100, 2000])


def long_cells(dice: Dice) -> bytes:
    return ROW + (b'<row><c t="inlineStr"><is><t>' + b"x" * 1_000_000 + b"</t></is></c></row>") * dice.choice(
        [20, 400]
    )


def many_rows(dice: Dice) -> bytes:
    return ROW + (b"<row>" + CELL * 2 + b"</row>") * dice.choice([50_000, 500_000])


def far_rows(dice: Dice) -> bytes:
    """Each row one cell at its far end."""
    return ROW + b"".join(
        b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (n, n) for n in range(2, dice.choice([100, 20_000]))
    )


def entities(dice: Dice) -> bytes:
    return ROW + b'<row><c t="inlineStr"><is><t>&c;</t></is></c></row>'


SHEETS = [far_cell, wide_rows, long_cells, many_rows, far_rows, entities]
DOCTYPE = (
    b'<!DOCTYPE x [<!ENTITY a "'
    + b"x" * 10_000
    + b'"><!ENTITY b "'
    + b"&a;" * 1000
    + b'"><!ENTITY c "'
    + b"&b;" * 100
    + b'">]>'
)


def workbook(good: bytes, dice: Dice) -> bytes:
    """A workbook whose sheet is one of these."""
    make = dice.choice(SHEETS)
    head = HEAD.replace(b"?>", b"?>" + DOCTYPE, 1) if make is entities else HEAD
    sheet, out = head + make(dice) + b"</sheetData></worksheet>", io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info, sheet if info.filename.endswith("sheet1.xml") else old.read(info))
    return out.getvalue()


def zipped(dice: Dice) -> bytes:
    """Much of nothing, or very many members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        if dice.random() < 0.5:
            with archive.open("IMG_000.jpg", "w", force_zip64=True) as file:
                for _ in range(dice.choice([10, 300])):
                    file.write(bytes(1 << 20))
        else:
            for number in range(dice.choice([2_000, 20_000])):
                archive.writestr(zipfile.ZipInfo(f"d{number % 100}/{number}.jpg"), b"")
    return out.getvalue()
