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
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.faker import Fake, fake, picture
from contract.test_datasets import FETCHED
from dermdata.catalogs import open_catalog
from dermdata.catalogs.entries import find_fetch_way
from dermdata.crosswalks import parse_labels
from dermdata.hosts.isic import SEARCH
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
ADDRESS = "address"  # in place of a host: of a file that lies in no record
BUCKET = ".s3."  # in the address of a file of Amazon's
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
    """The host and the record of a file, or its own address; None for one that the stand-in cannot have."""
    if file.urls:
        raw = re.fullmatch(rf"{RAW}([^/]+/[^/]+)/([0-9a-f]{{40}})/{re.escape(file.name)}", file.urls[0])
        return ("github", f"{raw[1]}@{raw[2]}") if raw and not file.source else (ADDRESS, file.urls[0])
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
    places = (find_places(dataset) or {}).values()
    recorded = any(host != ADDRESS for host, _ in places)
    in_bucket = any(BUCKET in number for _, number in places) and dataset.name not in MIRRORED
    return len(dataset.files) < FEW and (recorded or in_bucket)


def find_collection(dataset: Dataset) -> int | None:
    """The collection of the ISIC Archive that an entry is, whose further files the stand-in can have."""
    host, _, number = str(dataset.listing).partition(":collections=")
    return int(number) if host == "isic" and number.isdigit() and find_places(dataset) is not None else None


COLLECTIONS = {name: number for name in CATALOG if (number := find_collection(CATALOG[name]))}
NAMES = [name for name in CATALOG if can_be_recorded(CATALOG[name])]


@cache
def fake_entry(name: str) -> Fake:
    """Its files and listing, made of its TOML."""
    texts = [path.read_text(encoding="utf-8") for path in CATALOG.label_files(name)]
    return fake(CATALOG[name], [label for text in texts for label in parse_labels(text)])


def list_records(dataset: Dataset) -> tuple[dict[Place, dict[str, bytes]], int, dict[str, bytes]]:
    """The entry's records with their files, how many rows they give, and the fakes by catalog name."""
    if dataset.listing and dataset.name not in COLLECTIONS:
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
    made = fake_entry(dataset.name)
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


def write_archive(folder: Path, fakes: Mapping[str, Fake]) -> dict[str, Any]:
    """The ISIC Archive's answers and pictures for the entries that are its collections; its part of mirror.json."""
    answers: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    for name, made in fakes.items():
        page = next(data for address, data in made.listed.items() if address.startswith(SEARCH))
        for said in json.loads(page)["results"]:
            full = said["files"]["full"]
            data, place = made.listed[full["url"]], f"images/{COLLECTIONS[name]}/{said['isic_id']}.jpg"
            full["url"] = f"https://isic-archive.s3.amazonaws.com/{place}"
            said["files"]["thumbnail_256"] = full
            when = f"2020-01-01T{len(answers) // 60:02}:{len(answers) % 60:02}:00.000000Z"
            answers.append(
                {"created": when, "collections": [COLLECTIONS[name]], "record": {"public": True, **said}}
            )
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(data)
            digests = {how: hashlib.new(how, data).hexdigest() for how in ("sha256", "md5")}
            files.append({"name": place, "size": len(data), "role": "images", "url": full["url"], **digests})
    (folder / "records.json").write_text(json.dumps(answers), encoding="utf-8")
    return {"metadata": "reconstructed", "expected": {}, "files": files}


def write_alone(folder: Path, records: dict[Place, dict[str, bytes]]) -> dict[str, Any]:
    """The files that lie in no record, taken out of them; their part of mirror.json."""
    folder.mkdir()
    files = []
    for turn, place in enumerate([place for place in records if place[0] == ADDRESS]):
        (data,) = records.pop(place).values()
        (folder / str(turn)).write_bytes(data)
        digests = {how: hashlib.new(how, data).hexdigest() for how in ("sha256", "md5")}
        files.append({"name": str(turn), "size": len(data), "role": "metadata", "url": place[1], **digests})
    return {"metadata": "reconstructed", "expected": {}, "files": files}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mirror, Path, dict[str, int]]]:
    """All records of all entries at one server, an overlay for them, and the rows of each."""
    root = tmp_path_factory.mktemp("records")
    records: dict[Place, dict[str, bytes]] = defaultdict(dict)
    rows = {}
    for name in (*NAMES, *COLLECTIONS):
        found, rows[name], files = list_records(CATALOG[name])
        for place, members in found.items():
            records[place] |= members
        write_overlay(root / "overlay", CATALOG[name], files)
    registered = []
    alone = write_alone(root / "alone", records)
    for turn, ((host, number), members) in enumerate(records.items()):
        folder = root / "made" / str(turn)
        for name, data in members.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        registered.append((*as_recorded(host, number, turn), str(folder)))
    archive = write_archive(root / "isic-archive", {name: fake_entry(name) for name in COLLECTIONS})
    (root / "mirror.json").write_text(json.dumps({"datasets": {"isic-archive": archive, "alone": alone}}))
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


@pytest.mark.parametrize("name", [*NAMES, *COLLECTIONS])
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


OF_LAYOUTS = {
    "cobra-bcc",
    "itobos2024",
    "mcr-sl",
}  # tests/catalog/test_listed_layouts.py, by records of the stand-in
INTERFACES = {*RECORDED, "isic", "gcs", "s3"}


def is_on_listed_host(dataset: Dataset) -> bool:
    """Whether something of it lies at a host that lists its files, by the entry's own words."""
    named = [file.source or "" for file in dataset.files if file.fetch] + [dataset.listing or ""]
    in_buckets = any(BUCKET in url for file in dataset.files if file.fetch for url in file.urls)
    return in_buckets or bool(INTERFACES & {name.partition(":")[0] for name in named})


def test_every_open_entry_of_such_a_host_is_fetched_from_a_record() -> None:
    """None is left out: the others are in whole mirrors of real tables, or have a record of their own layout."""
    datasets = [one for one in map(CATALOG.__getitem__, CATALOG) if one.kind == "dataset"]
    such = {one.name for one in datasets if find_fetch_way(one) == "yes" and is_on_listed_host(one)}
    without_rows = {name for name in such if CATALOG[name].no_rows}
    assert such - {*NAMES, *COLLECTIONS} - {*MIRRORED, "ham10000"} - OF_LAYOUTS - without_rows == set()
    assert len(such) >= 60
    assert such >= OF_LAYOUTS
    assert all(f'fetch("{name}"' in LAYOUTS for name in OF_LAYOUTS)
    assert "milk10k" in NAMES
