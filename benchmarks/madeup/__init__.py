"""A made-up dataset of HAM10000's shape on disk: two zips of JPEGs, a table, checksums, and its catalog entry.

Few lesions are drawn, since one takes as long as unpacking a hundred; each file is made its own by a comment of
random bytes, so no two are equal.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

DRAWN = 60
COMMENT = 20_000  # random bytes in a JPEG comment: files differ, and are of HAM10000's mean size
NAME = "lesions"
HOST = "https://data.example/"
WORDS = {"nv": 67, "mel": 11, "bkl": 11, "bcc": 5, "akiec": 3, "vasc": 2, "df": 1}  # per cent, as HAM10000's
HEAD = f"""name = "{NAME}"
title = "Made-up lesions"
kind = "dataset"
summary = "Generated for a benchmark."
version = "1"
[access]
kind = "open"
evidence = "made up"
[license]
id = "CC0-1.0"
"""
TABLE = """[[table]]
reader = "table"
file = "table.csv"
missing = ["", "unknown"]
[table.columns]
image_id = "image_id"
lesion_id = "lesion_id"
label_raw = "dx"
age = "age"
sex = "sex"
"""


@dataclass(frozen=True)
class Made:
    """Where the parts of it lie."""

    served: Path  # the folder to serve: part_1.zip, part_2.zip, table.csv, SHA256SUMS
    catalog: Path  # the folder for --catalog


def names(count: int) -> list[str]:
    return [f"ISIC_{number:07}.jpg" for number in range(count)]


def files(count: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of so many JPEGs, 600 x 450, each of its own bytes."""
    from lesions import jpeg, picture  # numpy and Pillow: not in the process that measures

    drawn = [jpeg(picture(seed), 95) for seed in range(min(DRAWN, count))]
    draw = Random(1)
    for number, name in enumerate(names(count)):
        yield name, own(drawn[number % len(drawn)], draw.randbytes(COMMENT))


def own(data: bytes, comment: bytes) -> bytes:
    """The JPEG with a comment after its first marker."""
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


def make(folder: Path, count: int) -> Made:
    made = Made(folder / "served", folder / "catalog")
    made.served.mkdir(parents=True)
    images = files(count)
    zipped(made.served / "part_1.zip", islice(images, count // 2))
    zipped(made.served / "part_2.zip", images)
    (made.served / "table.csv").write_text(table(names(count)))
    put_entry(made)
    return made


def zipped(path: Path, images: Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in images:
            archive.writestr(name, data)


def table(images: list[str]) -> str:
    draw = Random(2)
    words = draw.choices(list(WORDS), list(WORDS.values()), k=len(images))
    lines = [
        f"L_{number * 3 // 4},{name.removesuffix('.jpg')},{word},histo,{draw.randrange(20, 85, 5)},"
        f"{draw.choice(('male', 'female', 'unknown'))},back"
        for number, (name, word) in enumerate(zip(images, words, strict=True))
    ]
    return "\n".join(["lesion_id,image_id,dx,dx_type,age,sex,localization", *lines, ""])


def put_entry(made: Made) -> None:
    """The catalog entry, and the sums that a careful person would check by hand."""
    home = made.catalog / "datasets" / NAME
    home.mkdir(parents=True)
    roles = {"part_1.zip": "images", "part_2.zip": "images", "table.csv": "metadata"}
    digests = {name: digest(made.served / name) for name in roles}
    unpack = {"images": 'unpack = "zip"\n', "metadata": ""}
    entries = [
        f'[[files]]\nname = "{name}"\nrole = "{role}"\nurls = ["{HOST}{name}"]\nchecksum = "sha256:{digests[name]}"\n'
        f"size = {(made.served / name).stat().st_size}\n{unpack[role]}"
        for name, role in roles.items()
    ]
    (home / "dataset.toml").write_text(HEAD + "".join(entries) + TABLE)
    crosswalk = Path(__file__).parents[2] / "catalog/datasets/ham10000/labels.tsv"
    (home / "labels.tsv").write_bytes(crosswalk.read_bytes())
    (made.served / "SHA256SUMS").write_text("".join(f"{one}  {name}\n" for name, one in digests.items()))


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(made: Made, cache: Path, base: str) -> list[str | Path]:
    """The options of a `dermdata fetch` of it from a server of ours."""
    where: list[str | Path] = [
        "--cache",
        cache,
        "--catalog",
        made.catalog,
        "--rewrite",
        f"{HOST}={base}/",
        "--quiet",
    ]
    return [*where, "fetch", NAME]
