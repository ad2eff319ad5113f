"""The same inputs give the same bytes: on any machine, in any locale, time zone, hash seed and order of files."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dermdata.manifest import build_manifest, write_manifest
from dermdata.manifest.builder import SourceTable
from dermdata.model import Content, TableSpec
from dermdata.readers import read_table
from support.bundled_labels import vocabulary
from support.manifest_builders import LABELS, SITES, dataset, file, table

WORDS = ["mel", "nv", "zzz", "", "Mel"]
SPEC = TableSpec(
    reader="table",
    columns={
        "image_id": ("id",), "label_raw": ("dx",), "sex": ("sex",), "age": ("age",), "body_site": ("site",),
        "lesion_id": ("p", "l"), "fitzpatrick": ("fst",), "confirmation": ("sex",), "modality": ("dx",),
    },
    masks={"lesion": "{image_id}_m.png"},
)  # fmt: skip


def contents() -> list[Content]:
    images = [file(f"{WORDS[n % 2]}/i{n:03}.jpg", digest=f"{n % 90:064}") for n in range(100)]
    copies = [file(f"copy/i{n:03}.jpg", digest=f"{n:064}") for n in range(20)]
    return [*images, *copies, *(file(f"i{n:03}_m.png", role="masks") for n in range(50))]


def source() -> SourceTable:
    dice = random.Random(3)

    def some(*words: str) -> list[str]:
        return [dice.choice(words) for _ in range(100)]

    columns = {
        "id": [f"i{n:03}" for n in range(100)],
        "dx": some(*WORDS),
        "sex": some("male", "F", "ä"),
        "age": some("5", "x", ""),
        "site": some("trunk", "knee"),
        "p": some("1", "2", ""),
        "l": some("1", "2"),
        "fst": some("1", "9"),
        "ö": some("ß", ""),
    }
    return SourceTable(SPEC, table(columns))


def digest(target: Path, files: list[Content], *sources: SourceTable) -> str:
    found, report = build_manifest(dataset(), sources, files, LABELS, vocabulary(), SITES)
    facts = hashlib.sha256(repr(report).encode()).hexdigest()
    return write_manifest(found, target / "manifest.parquet", {"dataset": "set-a"}) + facts


def folders(files: list[Content]) -> SourceTable:
    spec = TableSpec(
        reader="folders",
        pattern="{dx}/{image}",
        columns={"image": ("@path",), "image_id": ("dx", "image"), "label_raw": ("dx",)},
    )
    return SourceTable(spec, read_table(spec, lambda _name, _member: b"", tuple(files)).rows)


@pytest.mark.fault(102)
@pytest.mark.parametrize("shape", ["table", "folders"])
def test_the_order_of_the_files_does_not_matter(shape: str, tmp_path: Path) -> None:
    """Row 102: a folder is listed in any order."""
    found = set()
    for seed in range(3):
        files = random.Random(seed).sample(contents(), len(contents()))
        found.add(digest(tmp_path, files, source() if shape == "table" else folders(files)))
    assert len(found) == 1


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    """Rows are ordered by id, and the dictionaries by the rows."""
    rows = source().rows
    shuffled = rows.take(random.Random(1).sample(range(100), 100))
    one, two = (digest(tmp_path, contents(), SourceTable(SPEC, part))[:64] for part in (rows, shuffled))
    assert one == two


@pytest.mark.fault(102)
@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Los_Angeles", "LC_ALL": "tr_TR.UTF-8"},
    ],
)
def test_seed_zone_and_locale_do_not_matter(surroundings: dict[str, str], tmp_path: Path) -> None:
    """Row 102: another process, elsewhere; the report's words come in the same order, too."""
    script = (
        "import sys; from pathlib import Path; from manifest.test_bytes import contents, digest, source\n"
        "print(digest(Path(sys.argv[1]), contents(), source()))"
    )
    paths = os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[2])))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | surroundings | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest(tmp_path, contents(), source())


def test_a_second_build_gives_the_same_bytes(tmp_path: Path) -> None:
    assert digest(tmp_path, contents(), source()) == digest(tmp_path, contents(), source())
