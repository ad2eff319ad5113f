"""Boxes and questions in the manifest: from the catalog's reader to every form of it, and as tables of their own."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from support.made_up_dataset import picture
from support.servers import Site

ENTRY = """
name = "asked"
title = "Asked"
kind = "dataset"
summary = "Two pictures and what was asked of them."
version = "1"

[license]
statement = "ours"

[access]
kind = "open"
evidence = "made here"

[[files]]
name = "asked.json"
role = "captions"

[[files]]
name = "a.jpg"
role = "images"

[[files]]
name = "b.jpg"
role = "images"

[[table]]
reader = "records"
file = "asked.json"

[table.columns]
image = "image"
image_id = "image"
caption = "text"

[[table.questions]]
question = "q"
answer = "a"
"""
ASKED = [
    {"image": "a.jpg", "text": "A mole.", "q": "What is it?", "a": "A mole, \u201ebraun\u201c"},
    {"image": "a.jpg", "q": "Where?", "a": "On the arm"},
    {"image": "b.jpg"},
]
UNNESTED = "SELECT image_id, q.question, q.answer FROM (SELECT image_id, unnest(questions) AS q FROM images)"


@pytest.fixture
def fetched(tmp_path: Path, cli: Callable) -> str:
    folder = tmp_path / "catalog" / "datasets" / "asked"
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(ENTRY, encoding="utf-8")
    own = tmp_path / "own"
    own.mkdir()
    (own / "asked.json").write_text(json.dumps(ASKED), encoding="utf-8")
    for number, name in enumerate(("a.jpg", "b.jpg")):
        (own / name).write_bytes(picture(number))
    answer = cli("--catalog", tmp_path / "catalog", "fetch", "asked", "--from", own)
    assert answer.code == 0, answer.err
    return answer.out.strip()


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "arrow"])
def test_questions_survive_every_form_of_a_manifest(
    fetched: str, cli: Callable, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"m.{ending}"
    assert cli("select", fetched, "-o", out, "--paths", "absolute").code == 0
    answer = cli("query", UNNESTED, out, "--format", "jsonl")
    assert answer.code == 0, answer.err
    assert [json.loads(line) for line in answer.out.splitlines()] == [
        {"image_id": "a", "question": "What is it?", "answer": "A mole, \u201ebraun\u201c"},
        {"image_id": "a", "question": "Where?", "answer": "On the arm"},
    ]
    kept = cli("query", "SELECT caption, boxes FROM images ORDER BY key", out, "--format", "jsonl").out
    assert [json.loads(line) for line in kept.splitlines()] == [
        {"caption": "A mole.", "boxes": None}, {"caption": None, "boxes": None},
    ]  # fmt: skip


ARRAYS = """
name = "arrays"
title = "Arrays"
kind = "dataset"
summary = "Three pictures in arrays."
version = "1"

[license]
statement = "ours"

[access]
kind = "open"
evidence = "made here"

[[files]]
name = "arrays.npz"
role = "images"
unpack = "npz"
members = { "*/mask/*" = "masks" }

[[files]]
name = "names.csv"
role = "metadata"

[[table]]
reader = "rows"
masks = { lesion = "{mask}" }
columns = { image = "images", image_id = "name", split_official = "@split", sex = "sex" }
join = [{ file = "names.csv", on = "@split/@number", to = "@row/part" }]
"""


def test_arrays_given_by_hand_are_rows_with_masks_and_are_mended(cli: Callable, tmp_path: Path) -> None:
    """From a folder, joined by the lines of each part; a broken picture is made again from the same arrays."""
    folder = tmp_path / "catalog" / "datasets" / "arrays"
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(ARRAYS, encoding="utf-8")
    own = tmp_path / "own"
    own.mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (3, 8, 9, 3), np.uint8)
    mask = np.ones((3, 8, 9), np.uint8)
    np.savez(
        own / "arrays.npz",
        train_images=pixels[:2],
        train_mask=mask[:2],
        test_images=pixels[2:],
        test_mask=mask[2:],
    )
    (own / "names.csv").write_text("name,part,sex\nx,test,female\na,train,male\nb,train,\n", encoding="utf-8")
    catalog = ("--catalog", tmp_path / "catalog")
    answer = cli(*catalog, "fetch", "arrays", "--from", own)
    assert answer.code == 0, answer.err
    rows = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    assert [(row["image_id"], row["split_official"], row["sex"]) for row in rows] == [
        ("a", "train", "male"), ("b", "train", None), ("x", "test", "female"),
    ]  # fmt: skip
    assert [row["extra"] for row in rows] == [[("part", "train")]] * 2 + [[("part", "test")]]
    home = Path(answer.out.strip()).parent
    with Image.open(home / rows[2]["path"]) as image:
        assert np.array_equal(np.asarray(image), pixels[2])
    assert all((home / row["mask_path"]).is_file() for row in rows)
    (home / rows[0]["path"]).write_bytes(b"broken")
    assert cli(*catalog, "verify", "arrays").code != 0
    answer = cli(*catalog, "fetch", "arrays", "--from", own, "--force")
    assert answer.code == 0, answer.err
    assert cli(*catalog, "verify", "arrays").code == 0


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            'file = "arrays.npz"',
            "error: the images and rows of arrays.npz are not here\nhint: fetch it without --only",
        ),
        ("", "arrays: 0 rows of 0"),
    ],
)
def test_arrays_that_are_not_fetched_give_no_rows_and_say_why(
    cli: Callable, site: Site, tmp_path: Path, file: str, said: str
) -> None:
    """Their rows are in them: tables alone are none of it."""
    folder = tmp_path / "catalog" / "datasets" / "arrays"
    folder.mkdir(parents=True)
    at = 'urls = ["https://h.example/{}"]\n[[files]]\nname = "names.csv"'
    entry = ARRAYS.replace('[[files]]\nname = "names.csv"', at.format("arrays.npz"))
    entry = entry.replace('reader = "rows"', f'reader = "rows"\n{file}')
    entry = entry.replace('role = "metadata"', 'role = "metadata"\nurls = ["https://h.example/names.csv"]')
    (folder / "dataset.toml").write_text(entry, encoding="utf-8")
    site.put("https://h.example/names.csv", b"name,part,sex\nx,test,female\n")
    answer = cli(
        "--catalog", tmp_path / "catalog", "--rewrite", site.rewrite, "fetch", "arrays", "--only", "metadata"
    )
    assert answer.code == (4 if file else 8)
    assert said in answer.err
