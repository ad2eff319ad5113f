"""What was added is a dataset like any other: split, locked, synced, merged, exported, bundled, handed in."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer

Cli = Callable[..., Answer]
ROWS = 12


@pytest.fixture
def clinic(tmp_path: Path, cli: Cli) -> Path:
    """A clinic that was added, with the catalog `lab`; twelve pictures of six patients."""
    (tmp_path / "pictures").mkdir()
    lines = ["picture,patient,diagnosis,sex"]
    for number in range(ROWS):
        color = (number * 20, 90, 255 - number * 20)
        Image.new("RGB", (16, 12), color).save(tmp_path / "pictures" / f"p{number:02}.png")
        lines.append(f"p{number:02},P{number // 2},{('nevus', 'melanoma')[number % 2]},{'fm'[number // 6]}")
    (tmp_path / "visits.csv").write_text("\n".join([*lines, ""]))
    added = cli(
        "add", "clinic", tmp_path / "pictures", "--table", tmp_path / "visits.csv", "-o", tmp_path / "lab"
    )
    assert added.code == 0, added.err
    return tmp_path


def run(cli: Cli, root: Path, *words: object, cache: str = "cache") -> Answer:
    answer = cli("--catalog", root / "lab", *words, cache=root / cache)
    assert answer.code == 0, answer.err
    return answer


def rows(path: Path) -> list[dict]:
    found: list[dict] = pq.read_table(path).to_pylist()
    return found


def test_it_is_handed_in_split_merged_and_exported(cli: Cli, clinic: Path) -> None:
    """What is left to the person: a license, and that the paths of this machine stay here."""
    told = cli("catalog", "check", clinic / "lab", "-f", "json")
    assert (told.code, [one["place"] for one in json.loads(told.out)["items"]]) == (
        0,
        ["license", "access.paths"],
    )
    run(cli, clinic, "split", "clinic", "--ratios", "train=0.5,test=0.5", "-o", clinic / "s.parquet")
    parts = {(row["patient_id"], row["split"]) for row in rows(clinic / "s.parquet")}
    assert len(parts) == ROWS // 2  # no patient is in two
    run(cli, clinic, "fetch", "demo")
    run(
        cli,
        clinic,
        "select",
        "clinic",
        "demo",
        "--where",
        "diagnosis under 'melanoma'",
        "-o",
        clinic / "m.parquet",
    )
    assert {row["dataset"] for row in rows(clinic / "m.parquet")} == {"clinic", "demo"}
    run(cli, clinic, "export", "imagefolder", "clinic", "-o", clinic / "folders", "--copy")
    assert sorted(path.parent.name for path in (clinic / "folders").rglob("*.png")) == (
        ["melanocytic-nevus"] * 6 + ["melanoma"] * 6
    )


def test_its_lock_rebuilds_it(cli: Cli, clinic: Path) -> None:
    """Here, and after its rows have changed it says which."""
    run(cli, clinic, "lock", "clinic", "-o", clinic / "c.lock")
    run(cli, clinic, "sync", clinic / "c.lock", "-o", clinic / "again.parquet")
    first = {row["key"]: row["sha256"] for row in rows(next((clinic / "cache").rglob("manifest.parquet")))}
    assert {row["key"]: row["sha256"] for row in rows(clinic / "again.parquet")} == first
    with Image.open(clinic / "pictures" / "p03.png") as image:
        changed = image.rotate(180).convert("L")
    changed.save(clinic / "pictures" / "p03.png")
    cli(
        "add",
        "clinic",
        clinic / "pictures",
        "--table",
        clinic / "visits.csv",
        "-o",
        clinic / "lab",
        "--force",
    )
    other = cli("--catalog", clinic / "lab", "sync", clinic / "c.lock")
    assert (other.code, "clinic/p03" in other.out) == (4, True), other.err


def test_a_bundle_brings_it_to_a_machine_without_the_folder(cli: Cli, clinic: Path) -> None:
    """With the catalog beside it, as `cache bundle` says; the lock holds there too."""
    run(cli, clinic, "lock", "clinic", "-o", clinic / "c.lock")
    packed = run(cli, clinic, "cache", "bundle", "clinic", "-o", clinic / "clinic.tar")
    assert f"take {clinic / 'lab' / 'datasets' / 'clinic'} along" in packed.err
    shutil.rmtree(clinic / "pictures")
    (clinic / "visits.csv").unlink()
    shutil.rmtree(clinic / "cache")
    (clinic / "usb").mkdir()
    shutil.move(clinic / "lab", clinic / "usb")
    there = ("--offline", "--catalog", clinic / "usb" / "lab")
    taken = cli(*there, "fetch", "clinic", "--from", clinic / "clinic.tar", cache=clinic / "other")
    assert taken.code == 0, taken.err
    assert cli(*there, "verify", "clinic", cache=clinic / "other").code == 0
    synced = cli(*there, "sync", clinic / "c.lock", "-o", clinic / "s.parquet", cache=clinic / "other")
    assert synced.code == 0, synced.err
    assert len(rows(clinic / "s.parquet")) == ROWS
    exported = cli(
        *there, "export", "imagefolder", "clinic", "-o", clinic / "f", "--copy", cache=clinic / "other"
    )
    assert (exported.code, len(list((clinic / "f").rglob("*.png")))) == (0, ROWS)
