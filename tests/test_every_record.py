"""Entries whose host has an interface, end to end: a record of the entry's layout at the stand-in, asked as the host is.

Parametrized over the catalog: made of the TOML as in the contract tests, but listed, addressed and checked by the host.
"""

import hashlib
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.faker import fake, picture
from contract.test_datasets import FETCHED
from dermdata.catalogs import open_catalog
from dermdata.catalogs.entries import find_fetch_way
from dermdata.crosswalks import parse_labels
from dermdata.model import Dataset, File
from support.mirror import Mirror, record, serve
from test_every_mirror import NAMES as MIRRORED

pytestmark = pytest.mark.shared

CATALOG = open_catalog()
RECORDED = {
    "zenodo",
    "figshare",
    "mendeley",
    "dataverse",
    "huggingface",
    "kaggle",
    "isicdoi",
    "github",
    "osf",
}
RAW = "https://raw.githubusercontent.com/"
LISTED = {"zenodo", "figshare", "mendeley", "huggingface", "isicdoi"}
ACCOUNTS = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "sesame", "HF_TOKEN": "sesame"}
FEW = 20  # files; what has more is named by a long list, or held to the real numbers in tests/test_every_mirror.py
LAYOUT_TESTS = Path(__file__).parent / "catalog" / "test_listed_layouts.py"
LAYOUTS = LAYOUT_TESTS.read_text(encoding="utf-8") if LAYOUT_TESTS.exists() else ""
SHAPES = {"table", "folders", "spreadsheet", "rows", "records"}
LOOSE = ("some folder/a.jpg", "b.jpg", "some folder/c.jpg")  # pictures of a record whose layout nobody states


@dataclass
class Record:
    """One host's record: its files, and those that it holds packed."""

    host: str
    number: str
    files: dict[str, bytes] = field(default_factory=dict)


Place = tuple[str, str]  # host, and the record's id there


def find_places(dataset: Dataset) -> dict[str, Place] | None:
    """Of each file that is fetched its record; None where one is not in a record that the stand-in can have."""
    places = {file.name: find_place(file) for file in dataset.files if file.fetch}
    return None if None in places.values() else {name: place for name, place in places.items() if place}


def find_place(file: File) -> Place | None:
    """The host and the record of a file; None for one that the stand-in cannot have."""
    if file.urls:
        raw = re.fullmatch(rf"{RAW}([^/]+/[^/]+)/([0-9a-f]{{40}})/{re.escape(file.name)}", file.urls[0])
        return ("github", f"{raw[1]}@{raw[2]}") if raw and not file.source else None
    host, _, rest = str(file.source).partition(":")
    number = rest.removesuffix(f"/{file.name}")
    return (host, number) if host in RECORDED and (host != "dataverse" or "/" in number) else None


def can_be_recorded(dataset: Dataset) -> bool:
    """Whether the stand-in can have all of it as records: by a listing alone, or by few files of known layout."""
    if (
        dataset.kind != "dataset"
        or not dataset.table
        or any(one.reader not in SHAPES for one in dataset.table)
    ):
        return False
    if dataset.listing:
        # listed ones of a layout that is known have a record of that layout in tests/catalog/test_listed_layouts.py
        inferred = all(one.inferred for one in dataset.table)
        return inferred and dataset.listing.partition(":")[0] in LISTED and not dataset.files
    return bool(dataset.files) and len(dataset.files) < FEW and find_places(dataset) is not None


def find_collection(dataset: Dataset) -> int | None:
    """The collection of the ISIC Archive that an entry is, where nothing else belongs to it."""
    host, _, number = str(dataset.listing).partition(":collections=")
    alone = all(not file.fetch for file in dataset.files)
    return int(number) if host == "isic" and number.isdigit() and alone else None


COLLECTIONS = {name: number for name in CATALOG if (number := find_collection(CATALOG[name]))}
IN_COLLECTION = 2  # pictures
NEVUS = {"diagnosis_1": "Benign", "diagnosis_2": "Benign melanocytic proliferations", "diagnosis_3": "Nevus"}
NAMES = [name for name in CATALOG if can_be_recorded(CATALOG[name])]


def list_records(dataset: Dataset) -> tuple[dict[Place, dict[str, bytes]], int, dict[str, bytes]]:
    """The entry's records with their files, how many rows they give, and the fakes by catalog name."""
    if dataset.listing:
        host, _, number = dataset.listing.partition(":")
        pictures = {name: picture(turn) for turn, name in enumerate(LOOSE)}
        if host == "isicdoi":
            return (
                {(host, number): {f"{number}.zip": zipped(pictures), f"{number}.csv": b"isic_id\r\n"}},
                len(LOOSE),
                {},
            )
        if dataset.listed and dataset.listed.unpack:
            return {(host, number): {"pictures.zip": zipped(pictures)}}, len(LOOSE), {}
        return (
            {(host, number): {name.rpartition("/")[2]: data for name, data in pictures.items()}},
            len(LOOSE),
            {},
        )
    labels = [
        label
        for path in CATALOG.label_files(dataset.name)
        for label in parse_labels(path.read_text(encoding="utf-8"))
    ]
    made = fake(dataset, labels)
    found: dict[Place, dict[str, bytes]] = defaultdict(dict)
    for name, place in (find_places(dataset) or {}).items():
        if name in made.files:
            packed = place[0] == "kaggle"
            found[place] |= unzipped(made.files[name]) if packed else {name: made.files[name]}
    return found, len(made.images), made.files


def zipped(members: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_overlay(root: Path, dataset: Dataset, files: Mapping[str, bytes]) -> None:
    """The entry without published sizes and digests of other bytes, and without counts: the host's word must do."""
    from hashlib import sha256

    lines = [f'extends = "{dataset.name}"']
    for file in dataset.files:
        if file.name in files and (file.size or file.checksum):
            data = files[file.name]
            lines += ["[[files]]", f'name = "{file.name}"', f"size = {len(data)}"]
            lines += [f'checksum = "sha256:{sha256(data).hexdigest()}"']
    folder = root / "datasets" / dataset.name
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text("\n".join(lines), encoding="utf-8")


def write_archive(folder: Path) -> dict[str, Any]:
    """The ISIC Archive's answers and pictures, a few of each collection that an entry is; its part of mirror.json."""
    (folder / "images").mkdir(parents=True)
    answers, files = [], []
    for turn, (collection, place) in enumerate(
        product(sorted(set(COLLECTIONS.values())), range(IN_COLLECTION))
    ):
        name, data = f"ISIC_{turn:07}", picture(turn)
        address = f"https://isic-archive.s3.amazonaws.com/images/{name}.jpg"
        (folder / "images" / f"{name}.jpg").write_bytes(data)
        clinical = {"age_approx": 50 + place, "sex": "female", **NEVUS}
        metadata = {"acquisition": {"image_type": "dermoscopic"}, "clinical": clinical}
        sizes = {
            "full": {"url": address, "size": len(data)},
            "thumbnail_256": {"url": address, "size": len(data)},
        }
        said = {"isic_id": name, "public": True, "copyright_license": "CC-0", "attribution": "Anonymous"}
        answers.append({
            "created": f"2020-01-01T00:{turn // 60:02}:{turn % 60:02}.000000Z", "collections": [collection],
            "record": {**said, "files": sizes, "metadata": metadata},
        })  # fmt: skip
        digests = {how: hashlib.new(how, data).hexdigest() for how in ("sha256", "md5")}
        files.append(
            {"name": f"images/{name}.jpg", "size": len(data), "role": "images", "url": address, **digests}
        )
    (folder / "records.json").write_text(json.dumps(answers), encoding="utf-8")
    return {"metadata": "reconstructed", "expected": {}, "files": files}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mirror, Path, dict[str, int]]]:
    """All records of all entries at one server, an overlay for them, and the rows of each."""
    root = tmp_path_factory.mktemp("records")
    records: dict[Place, dict[str, bytes]] = defaultdict(dict)
    rows = {}
    for name in NAMES:
        found, rows[name], files = list_records(CATALOG[name])
        for place, members in found.items():
            records[place] |= members
        write_overlay(root / "overlay", CATALOG[name], files)
    registered = []
    for turn, ((host, number), members) in enumerate(records.items()):
        folder = root / "made" / str(turn)
        for name, data in members.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        registered.append((*as_recorded(host, number, turn), str(folder)))
    archive = write_archive(root / "isic-archive")
    (root / "mirror.json").write_text(json.dumps({"datasets": {"isic-archive": archive}}))
    record(root, *registered)
    with ExitStack() as stack:
        yield stack.enter_context(serve(root)), root / "overlay", rows


def as_recorded(host: str, number: str, turn: int) -> tuple[str, str]:
    """Host and id as the stand-in's `record` writes them."""
    if host == "isicdoi":
        return "isic-doi", f"{700000 + turn}/{number}"
    if host == "huggingface":
        return host, number.removesuffix("@main")
    return host, number


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_of_the_isic_archive_is_fetched_from_its_api(
    cli: Callable, stand_in: tuple, name: str
) -> None:
    """Its own pictures and no other collection's, with what the archive says of them."""
    mirror, overlay, _ = stand_in
    rewrite = f"https://=http://127.0.0.1:{mirror.port}/web/"
    answer = cli("--catalog", overlay, "--rewrite", rewrite, "fetch", name)
    assert answer.code == 0, answer.err
    rows = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    assert [(row["age"], row["sex"], row["image_problem"], bool(row["path"])) for row in rows] == [
        (50.0 + place, "female", None, True) for place in range(IN_COLLECTION)
    ]
    assert {row["diagnosis"] for row in rows} == {"melanocytic-nevus"}


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_fetched_from_its_hosts_record(
    cli: Callable, stand_in: tuple, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every row with its image; what the record has beside them is left alone."""
    mirror, overlay, rows = stand_in
    for key, word in ACCOUNTS.items():
        monkeypatch.setenv(key, word)
    rewrite = f"https://=http://127.0.0.1:{mirror.port}/web/"
    answer = cli("--catalog", overlay, "--rewrite", rewrite, "fetch", name, "--accept-license")
    assert answer.code == 0, answer.err
    table = pq.ParquetFile(answer.out.strip()).read(["image_id", "path", "image_problem"]).to_pylist()
    assert len(table) == rows[name]
    annotations_only = any(spec.over for spec in CATALOG[name].table)
    assert all(row["path"] for row in table) or annotations_only


def test_every_entry_that_gives_rows_is_fetched_in_some_test() -> None:
    """Of its TOML (tests/contract), of its host's record (here), of its real tables or of a layout that is known."""
    ready = {name for name in CATALOG if CATALOG[name].kind == "dataset" and CATALOG[name].table}
    ready = {name for name in ready if find_fetch_way(CATALOG[name]) in ("yes", "account")}
    assert len(ready) >= 80
    assert {one for one in ready if f'"{one}"' not in LAYOUTS} <= {*FETCHED, *NAMES, *MIRRORED}


def test_most_entries_of_such_hosts_are_tried() -> None:
    assert len(NAMES) >= 20
    assert {"bald", "enhance", "kaggle-hair-diseases", "skindiseasebd", "bcn20000", "derm12345"} <= set(NAMES)
