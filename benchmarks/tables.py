"""A table of 400,000 rows and 20 columns: the manifest from it, and questions to the manifest, beside bare engines.

    python benchmarks/tables.py [--quick] [--folder DIR]

Whole processes. The manifest from CSV: every cell as text first, then typed and harmonized (ages, sexes, labels
mapped to concepts, unused columns kept in `extra`), images looked up, ids unique, written as Parquet and synced;
"text columns alone" is its first step, "sorted, to Parquet" is pyarrow reading the same cells as text, ordering them by
id and writing them as Parquet with zstd. `query` is told beside DuckDB asked the same of the same file.
"""

import argparse
import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from sidebyside import Goal, Way, compare, dermdata, python

ARROW, STORED, DUCKDB = "pyarrow.csv", "pyarrow.csv, sorted, to Parquet", "DuckDB"
TEXT, MANIFEST, QUERY = "dermdata: text columns alone", "dermdata: manifest from CSV", "dermdata query"
SQL = "SELECT diagnosis, count(*) AS n, avg(age) AS age FROM {} WHERE sex = 'female' GROUP BY ALL ORDER BY n"
COLUMNS = ("image_id", "lesion_id", "patient_id", "dx", "age", "sex", *(f"more_{n}" for n in range(14)))
WORDS = ("nv", "mel", "bkl", "bcc", "akiec", "vasc", "df")


def make(path: Path, rows: int) -> None:
    draw = Random(1)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for number in range(rows):
            more = [f"{draw.random():.4f}" for _ in range(7)] + [str(draw.randrange(9)) for _ in range(7)]
            word, sex = draw.choice(WORDS), draw.choice(("male", "female", ""))
            age = str(draw.randrange(0, 90, 5))
            # shuffled, as most publishers' tables are: 7 has no factor in common with the number of rows
            name = f"I_{number * 7 % rows:07}"
            lesion, patient = f"L_{number * 3 // 4}", f"P_{number // 400}"
            out.writerow([name, lesion, patient, word, age, sex, *more])


def manifest(path: Path) -> None:
    """What `fetch` does with a dataset's table, its images aside."""
    import pyarrow.parquet as pq

    from dermdata.catalogs import open_catalog
    from dermdata.fetching.assemble import harmonize_tables, open_label_resources, read_tables
    from dermdata.manifest.parquet import write_manifest
    from dermdata.model import Access, Dataset, License, TableSpec
    from dermdata.unused_imports import hide_unused

    hide_unused()  # as in any process of ours
    fields = ("image_id", "lesion_id", "patient_id", "age", "sex")
    columns = {**{one: (one,) for one in fields}, "label_raw": ("dx",)}
    # the name is HAM10000's, whose crosswalk has these words
    dataset = Dataset(
        name="ham10000", title="x", kind="dataset", summary="x", access=Access(kind="open"),
        license=License(id="CC0-1.0"), table=(TableSpec(reader="table", file="table.csv", columns=columns),),
    )  # fmt: skip
    sources = read_tables(dataset, lambda *_: path.read_bytes(), ())
    table, report = harmonize_tables(
        dataset, sources, (), open_label_resources(open_catalog((), path.parent)), {}
    )
    assert not report.unmapped_labels
    write_manifest(table, out_of(path), {})
    assert pq.read_metadata(out_of(path)).num_rows == table.num_rows


def out_of(path: Path) -> Path:
    return path.with_name("manifest.parquet")


def text(path: Path) -> None:
    from dermdata.readers.delimited import parse_delimited

    parse_delimited(path.read_bytes(), path.name, delimiter=",", encoding="utf-8-sig")


def by_arrow(path: Path) -> None:
    from pyarrow.csv import read_csv

    read_csv(path)


def stored(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow.csv import ConvertOptions, read_csv

    text = ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False)
    table = read_csv(path, convert_options=text)
    pq.write_table(table.sort_by("image_id"), path.with_name("stored.parquet"), compression="zstd")


def by_pandas(path: Path) -> None:
    import pandas as pd

    pd.read_csv(path)


def by_duckdb(path: Path) -> None:
    import duckdb

    duckdb.sql(f"CREATE TABLE t AS FROM read_csv('{path}')")


def by_csv(path: Path) -> None:
    with path.open(newline="") as file:
        for _ in csv.reader(file):
            pass


def asked_of_duckdb(path: Path) -> None:
    import duckdb

    print(duckdb.connect().execute(SQL.format(f"'{out_of(path)}'")).fetchall())


READS: dict[str, Callable[[Path], None]] = {
    ARROW: by_arrow, STORED: stored, "pandas.read_csv": by_pandas, "DuckDB, read_csv": by_duckdb, "csv module": by_csv,
    TEXT: text, MANIFEST: manifest,
}  # fmt: skip
ASKS = {DUCKDB: asked_of_duckdb}
NEEDS = {"pandas.read_csv": ("pandas",)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer rows, one round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--by", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by:
        (READS | ASKS)[asked.by[0]](Path(asked.by[1]))
        return
    rows, rounds = (100_000, 1) if asked.quick else (400_000, 7)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "table.csv"
        make(path, rows)
        print(f"{rows:,} rows, {len(COLUMNS)} columns, {path.stat().st_size / 1e6:,.0f} MB.\n")
        reads = [
            Way(name=one, words=python(__file__, "--by", one, path), needs=NEEDS.get(one, ()))
            for one in READS
        ]
        compare(reads, rounds, [Goal(way=one, base=ARROW, most=2) for one in (TEXT, MANIFEST, STORED)])
        query = dermdata("--cache", Path(folder) / "cache", "query", SQL.format("manifest"), out_of(path))
        asks = [Way(name=DUCKDB, words=python(__file__, "--by", DUCKDB, path)), Way(name=QUERY, words=query)]
        compare(asks, rounds, [Goal(way=QUERY, base=DUCKDB, most=1.5)])


if __name__ == "__main__":
    main()
