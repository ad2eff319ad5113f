"""Croissant metadata of catalog entries: valid under mlcroissant, and nothing but what the catalog states."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from dermdata.api.entry_documents import entry_croissant
from dermdata.catalogs import open_catalog
from dermdata.cli.state import State
from dermdata.config import Settings
from dermdata.croissant import from_entry, license_url, media_type, responsible_ai_facts
from dermdata.model import (
    Access,
    Dataset,
    DatasetCitation,
    File,
    License,
    Overlap,
    PublishedCounts,
    TableSpec,
)

# of rdflib, which mlcroissant reads JSON-LD with
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
CATALOG = open_catalog()
WITH_FILES = [name for name in CATALOG if CATALOG[name].files and CATALOG[name].kind == "dataset"]
MANY = 100  # files that are validated of one entry: 2,548 take mlcroissant 3 s

ENTRY = Dataset(
    name="demo", title='The "demo" set', kind="dataset", summary="Six images.", access=Access(kind="open"),
    version="1.0", homepage="https://example.org/demo", modalities=("dermoscopic",), tasks=("classification",),
    notes=("Skin type is missing for 2 images.", "The server is slow."), fields=("fitzpatrick",),
    counts=PublishedCounts(labels={"nv": 2, "mel": 4}), license=License(id="CC-BY-4.0"),
    citation=DatasetCitation(doi="10.1/x", text="A, B."), overlaps=(Overlap(dataset="other", note="shares 2 images"),),
    files=(
        File(name="a b/ü.csv", role="metadata", checksum=f"sha256:{'a' * 64}", size=7, urls=("https://x.example/a",)),
        File(name="i.zip", role="images", checksum=f"md5:{'b' * 32}", size_text="1.4 GB", unpack="zip"),
    ),
    table=(TableSpec(reader="table", columns={"age": ("Age",)}, values={"confirmation": {"h": "histopathology"}}),),
)  # fmt: skip


@pytest.fixture(scope="session")
def mlc() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own, and those of what it imports
        import mlcroissant
    return mlcroissant


def document(**changes: Any) -> dict[str, Any]:
    return from_entry(replace(ENTRY, **changes), {"a b/ü.csv": "https://x.example/a"})


# ------------------------------------------------------------------ the catalog


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    state = State(Settings(cache=tmp_path_factory.mktemp("cache")))
    state.catalog = CATALOG
    return state


@pytest.mark.parametrize("name", WITH_FILES)
def test_entries_are_valid(name: str, mlc: ModuleType, state: State) -> None:
    """mlcroissant reads what `info` makes of each entry, with each file that may be named."""
    entry = replace(CATALOG[name], files=CATALOG[name].files[:MANY])
    found = mlc.Dataset(entry_croissant(state, entry)).metadata
    named = entry.files if entry.license.link_may_be_shared else ()
    assert {one.name: one.sha256 or one.md5 for one in found.distribution} == {
        file.name: file.checksum and file.checksum.partition(":")[2] for file in named
    }
    assert all(one.content_url for one in found.distribution)
    assert (found.name, found.url) == (entry.name, entry.homepage)


@pytest.mark.parametrize("name", list(CATALOG))
def test_every_note_of_an_entry_is_told(name: str) -> None:
    """As a bias or as a limit, never dropped, never both."""
    made = from_entry(CATALOG[name], {})
    told = [*made.get("rai:dataBiases", []), *made.get("rai:dataLimitations", [])]
    assert all(told.count(note) == 1 for note in CATALOG[name].notes)


def test_the_command_prints_it(mlc: ModuleType, cli: Callable[..., Any]) -> None:
    """And nothing else, so that it can be piped into a file."""
    answer = cli("info", "ham10000", "--format", "croissant")
    assert (answer.code, answer.err) == (0, "")
    assert mlc.Dataset(json.loads(answer.out)).metadata.license == [CATALOG["ham10000"].license.url]


def test_no_address_of_what_may_not_be_passed_on(cli: Callable[..., Any]) -> None:
    """Datasets under an agreement: their page, no files."""
    made = json.loads(cli("info", "ddi", "--format", "croissant").out)
    assert "distribution" not in made
    assert made["url"] == CATALOG["ddi"].homepage


def test_a_model_is_no_dataset(cli: Callable[..., Any]) -> None:
    """It is not described as one."""
    name = next(name for name in CATALOG if CATALOG[name].kind == "model")
    answer = cli("info", name, "--format", "croissant")
    assert (answer.code, answer.out) == (2, "")
    assert f"{name} is a model" in answer.err


def test_nobody_is_asked(cli: Callable[..., Any]) -> None:
    """An address that only the host can tell is left out, offline as well as online."""
    one, other = (
        cli("info", "bcn20000", "-f", "croissant"),
        cli("--offline", "info", "bcn20000", "-f", "croissant"),
    )
    assert one.out == other.out
    (images, *_) = [file for file in json.loads(one.out)["distribution"] if "zip" in file["encodingFormat"]]
    assert images["contentUrl"] == images["name"]
    assert "no address is known beforehand" in images["description"]


# ------------------------------------------------------------------ what is said


def test_files_have_address_size_and_digest() -> None:
    """An id is an address, so blanks are written as such; the name is the file's own."""
    first, second = document()["distribution"]
    assert (first["@id"], first["name"], first["contentUrl"]) == (
        "a%20b/%C3%BC.csv",
        "a b/ü.csv",
        "https://x.example/a",
    )
    assert (first["sha256"], first["contentSize"], first["encodingFormat"]) == ("a" * 64, "7 B", "text/csv")
    assert (second["md5"], second["contentSize"], second["encodingFormat"]) == (
        "b" * 32,
        "1.4 GB",
        "application/zip",
    )
    assert second["contentUrl"] == "i.zip"


@pytest.mark.parametrize("checksum", [None, f"sha1:{'c' * 40}", f"sha512:{'d' * 128}"])
def test_bytes_that_nothing_vouches_for(checksum: str | None, mlc: ModuleType) -> None:
    """No digest is made up: the whole is live, and valid; with digests for all it is not."""
    made = document(files=(File(name="x.csv", role="metadata", checksum=checksum),))
    assert made["isLiveDataset"] is True
    assert not {"sha256", "md5"} & set(made["distribution"][0])
    assert mlc.Dataset(made).metadata.ctx.is_live_dataset
    assert "isLiveDataset" not in document()


@pytest.mark.parametrize(
    ("name", "unpack", "kind"),
    [("a.tar.gz", "tar.gz", "application/gzip"), ("a.PNG", None, "image/png"), ("a", None, "application/octet-stream"),
     ("a.xyz", None, "application/octet-stream"), ("a.parquet", None, "application/x-parquet")],
)  # fmt: skip
def test_kinds_of_files(name: str, unpack: Any, kind: str) -> None:
    """By how it is packed, else by its ending."""
    assert media_type(File(name=name, role="other", unpack=unpack)) == kind


def test_what_is_known_of_people_and_labels(mlc: ModuleType) -> None:
    """Biases, limits, sensitive columns, how labels were confirmed: from notes, counts, overlaps and tables."""
    found = mlc.Dataset(document()).metadata
    assert found.data_biases == ["Skin type is missing for 2 images.", "images of each label: mel 4, nv 2"]
    assert found.data_limitations == ["The server is slow.", "other: shares 2 images"]
    assert [text.partition(":")[0] for text in found.personal_sensitive_information] == ["age", "fitzpatrick"]
    assert found.data_annotation_protocol == ["confirmation: histopathology"]
    assert found.data_collection == "Six images. Modality: dermoscopic."
    assert found.data_use_cases == ["classification"]


def test_nothing_is_said_where_nothing_is_known(mlc: ModuleType) -> None:
    """No empty keys, no guesses."""
    bare = Dataset(name="x", title="X", kind="dataset", summary="S.", access=Access(kind="unavailable"))
    made = from_entry(bare, {})
    assert {key for key in made if key.startswith("rai:")} == {"rai:dataCollection"}
    assert not {"license", "citeAs", "url", "version", "distribution", "isLiveDataset"} & set(made)
    assert mlc.Dataset(made).metadata.name == "x"


def test_several_entries_say_whose_fact_it_is() -> None:
    """In one document."""
    other = replace(ENTRY, name="two", notes=("Dogs.",), counts=PublishedCounts(), overlaps=())
    made = responsible_ai_facts([ENTRY, other], [], [])
    assert "two: Dogs." in made["rai:dataBiases"]
    assert "demo: Skin type is missing for 2 images." in made["rai:dataBiases"]


def test_how_it_is_cited() -> None:
    """BibTeX, else in words, else the DOI."""
    assert document()["citeAs"] == "A, B."
    assert document(citation=DatasetCitation(doi="10.1/x"))["citeAs"] == "https://doi.org/10.1/x"
    assert document(citation=DatasetCitation(bibtex=" @article{a}\n", text="A"))["citeAs"] == "@article{a}"


def test_where_a_license_is_written() -> None:
    """The entry's own page of it, else SPDX's; no page for a license that has none."""
    stated = replace(ENTRY, license=License(id="LicenseRef-x", url="https://example.org/terms"))
    assert license_url("LicenseRef-x", [stated]) == "https://example.org/terms"
    assert license_url("CC-BY-NC-4.0", [stated]) == "https://spdx.org/licenses/CC-BY-NC-4.0"
    assert license_url("LicenseRef-y", [stated]) is None
    assert document()["license"] == ["https://spdx.org/licenses/CC-BY-4.0"]
