"""The contract of every catalog entry: faked from its TOML, served, fetched, and looked at.

Parametrised over the catalog: a new folder there is tested without a line here.
"""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from contract.faker import Fake, fake
from dermdata import open_session
from dermdata.api.catalog_entries import write_card
from dermdata.catalogs import open_catalog
from dermdata.crosswalks import parse_labels
from dermdata.errors import CredentialsMissing, ManualDownload, Offline
from dermdata.hosts import ResolveContext, resolve_official
from dermdata.manifest.schema import SCHEMA
from dermdata.model import Dataset, File
from support.servers import Site

CATALOG = open_catalog()
# what a host's listing or a long files.tsv names is held to the real numbers in tests/test_every_mirror.py
MANY = 200


def is_fakeable(dataset: Dataset) -> bool:
    """Whether the entry, or the ISIC Archive by a few collections, names its files: not too many of them."""
    listing = dataset.listing or "rows"
    return len(dataset.files) < MANY and (listing == "rows" or listing.startswith("isic:collections="))


def tell_kind(dataset: Dataset) -> tuple[object, ...]:
    """What decides how an entry is fetched and read, but for its names: the same for many."""
    files = {
        (str(one.source).partition(":")[0], bool(one.urls), one.unpack, one.role)
        for one in dataset.files
        if one.fetch
    }
    return (
        frozenset(files),
        str(dataset.listing).partition("=")[0],
        tuple(one.reader for one in dataset.table),
    )


def take_one_of_each(names: list[str], tell: Callable[[Dataset], object]) -> list[str]:
    return list({tell(CATALOG[name]): name for name in reversed(names)}.values())


FETCHED = [name for name in CATALOG if CATALOG[name].table and is_fakeable(CATALOG[name])]
# what holds of a table holds of its like: the collections of the ISIC Archive have the same
FETCHED_AGAIN = set(take_one_of_each(FETCHED, lambda one: repr(one.table)))
# of the others the host's listing names all
WITH_FILES = take_one_of_each(
    [name for name in FETCHED if any(one.source or one.urls for one in CATALOG[name].files)], tell_kind
)
MIRROR = "https://mirror.example"


def labels_of(name: str) -> list:
    return [
        label
        for path in CATALOG.label_files(name)
        for label in parse_labels(path.read_text(encoding="utf-8"))
    ]


@pytest.fixture(params=FETCHED)
def faked(request: pytest.FixtureRequest, tmp_path: Path, site: Site) -> tuple[Fake, list[str]]:
    """A fake of one dataset, served under its official addresses; and the options that lead there."""
    made = fake(CATALOG[request.param], labels_of(request.param))
    overlay = tmp_path / "overlay" / "datasets" / made.dataset.name
    (overlay / "files").mkdir(parents=True)
    lines = [f'extends = "{made.dataset.name}"']
    for file in made.dataset.files:
        lines += [
            "[[files]]",
            f'name = "{file.name}"',
            f"size = {file.size}",
            f'checksum = "{file.checksum}"',
        ]
    (overlay / "dataset.toml").write_text("\n".join(lines), encoding="utf-8")
    around = ResolveContext(catalogs=(tmp_path / "overlay",))
    for file in made.dataset.files:
        (overlay / "files" / file.name).parent.mkdir(parents=True, exist_ok=True)
        (overlay / "files" / file.name).write_bytes(made.files[file.name])
        for url in urls_of(made.dataset, file, around):
            site.put(url, made.files[file.name])
    for url, data in made.listed.items():
        site.put(url, data)
    return made, ["--catalog", str(tmp_path / "overlay"), "--rewrite", site.rewrite]


def urls_of(dataset: Dataset, file: File, around: ResolveContext) -> tuple[str, ...]:
    """Where the file is asked for: its own addresses, or a mirror where a host or an account comes between."""
    try:
        place = resolve_official(dataset, file, around)
    except ManualDownload:
        return ()
    except (Offline, CredentialsMissing):
        return (f"{MIRROR}/{dataset.name}/{file.name}",)
    return () if isinstance(place, Path) else place.urls


def way(made: Fake, tmp_path: Path) -> list[object]:
    """From a mirror; what has no address anywhere, from the person's own folder."""
    accepted = ["--accept-license"] if made.dataset.license.must_accept else []
    if not made.dataset.files:
        return accepted
    if any(file.urls or file.source for file in made.dataset.files):
        return ["--mirror", MIRROR, *accepted]
    return ["--from", tmp_path / "overlay" / "datasets" / made.dataset.name / "files", *accepted]


def test_a_fetch_gives_a_manifest_that_holds_the_contract(
    faked: tuple, cli: Callable, site: Site, tmp_path: Path
) -> None:
    """Every row and image arrives, every label is a concept or listed, and a second fetch asks for nothing."""
    made, options = faked
    answer = cli(*options, "fetch", made.dataset.name, *way(made, tmp_path))
    assert answer.code == 0, answer.err
    manifest = Path(answer.out.strip())
    table = pq.ParquetFile(manifest).read()
    assert table.schema.remove_metadata().equals(SCHEMA.remove_metadata())
    rows = table.to_pylist()
    assert {row["image_id"] for row in rows} == made.images
    assert len({row["key"] for row in rows}) == len(rows)
    assert sorted(row["label_raw"] for row in rows if row["label_raw"]) == sorted(made.labels)
    for row in rows:
        assert row["dataset"] == made.dataset.name
        if any(table.over for table in made.dataset.table):
            assert row["image_problem"].startswith("the image is in ")
            continue
        assert row["image_problem"] is None
        with Image.open(io.BytesIO((manifest.parent / row["path"]).read_bytes())) as image:
            assert image.size == (row["width"], row["height"])
        if any(table.boxes for table in made.dataset.table):
            assert {(one["x"], one["width"], one["height"]) for one in row["boxes"]} == {(0, 12, 16)}
        assert "" not in {value for value in row.values() if isinstance(value, str)}

    if made.dataset.name not in FETCHED_AGAIN:
        return
    asked = len(site.requests)
    again = cli(*options, "fetch", made.dataset.name, *way(made, tmp_path))
    assert again.code == 0
    assert "nothing to do" in again.err
    assert len(site.requests) == asked
    assert cli(*options, "verify", made.dataset.name).code == 0


@pytest.mark.parametrize("faked", WITH_FILES, indirect=True)
def test_a_file_with_other_bytes_leaves_nothing_under_a_final_name(
    faked: tuple, cli: Callable, site: Site, tmp_path: Path
) -> None:
    """Of each kind of entry one: a wrong checksum is exit 4, no manifest, and no byte of that file under its name."""
    made, options = faked
    victim = next(file for file in made.dataset.files)
    bad = b"x" * len(made.files[victim.name])
    around = ResolveContext(catalogs=(tmp_path / "overlay",))
    for url in urls_of(made.dataset, victim, around):
        site.put(url, bad)
    bundled = tmp_path / "overlay" / "datasets" / made.dataset.name / "files" / victim.name
    bundled.write_bytes(bad)
    answer = cli(*options, "fetch", made.dataset.name, *way(made, tmp_path))
    assert answer.code == 4, answer.err
    folder = tmp_path / "cache" / "datasets" / made.dataset.name
    assert not list(folder.rglob("manifest.parquet"))
    assert not [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == bad]


@pytest.mark.parametrize("name", list(CATALOG))
def test_every_entry_is_whole(name: str) -> None:
    """Facts say where they come from; an entry without files says how it can be had or why not."""
    dataset = CATALOG[name]
    assert dataset.facts
    assert dataset.access.evidence
    if not dataset.files:
        assert dataset.access.steps or dataset.access.kind == "unavailable" or dataset.access.url
    words = {label.raw_label for label in labels_of(name)}
    if dataset.counts.labels and any("label_raw" in table.columns for table in dataset.table):
        assert set(dataset.counts.labels) <= words


def test_every_entry_has_its_card() -> None:
    """With its access and, where words are known, its labels."""
    resources = open_session()._resources
    for name in CATALOG:
        lines = list(write_card(resources, name))
        assert any(line.startswith("Access: ") for line in lines)
        assert "Labels" in lines or not labels_of(name)
