"""The bundled demo dataset: its catalog entry is true of its files, and its planted flaws are there."""

import csv
import hashlib
import importlib
import io
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

ROOT = Path(__file__).parent.parent
HOME = ROOT / "catalog/datasets/demo"
FILES = HOME / "files"
HAM10000 = ROOT.parent / "shared/data/ham10000/HAM10000_metadata_kaggle.csv"
SITES = ROOT.parent / "shared/facts/isic_anatom_site_hierarchy.csv"
COPIES = {("DEMO_0032", "DEMO_0116"), ("DEMO_0063", "DEMO_0117")}
NEAR_COPIES = {("DEMO_0018", "DEMO_0118"), ("DEMO_0095", "DEMO_0119"), ("DEMO_0061", "DEMO_0120")}
NEAR = 10  # bits of 64


@cache
def entry() -> dict[str, Any]:
    return tomllib.loads((HOME / "dataset.toml").read_text(encoding="utf-8"))


@cache
def rows() -> dict[str, dict[str, str]]:
    with (FILES / "demo_metadata.csv").open(encoding="utf-8", newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


@cache
def members(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(FILES / name) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


@cache
def images() -> dict[str, bytes]:
    return {name.removesuffix(".jpg"): content for name, content in members("demo_images.zip").items()}


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def coarseness(content: bytes) -> int:
    """Sum of the steps in which a JPEG stores brightness."""
    image = opened(content)
    assert isinstance(image, JpegImageFile)
    return sum(image.quantization[0])


def decodes(content: bytes) -> bool:
    try:
        opened(content).load()
    except OSError:
        return False
    return True


@cache
def gray() -> dict[str, Image.Image]:
    return {name: opened(content).convert("L") for name, content in images().items() if decodes(content)}


def dhash(image: Image.Image) -> np.ndarray:
    small = np.asarray(image.resize((9, 8), Image.Resampling.BOX), np.int16)
    return (small[:, :-1] > small[:, 1:]).ravel()


def phash(image: Image.Image) -> np.ndarray:
    levels = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR), np.float64)
    mirrored = np.block([[levels, levels[:, ::-1]], [levels[::-1], levels[::-1, ::-1]]])  # its DFT is a DCT
    shift = np.exp(-0.5j * np.pi * np.arange(8) / 32)
    low = (np.fft.fft2(mirrored)[:8, :8] * np.outer(shift, shift)).real.ravel()
    return low > np.median(low)


def distances(hashed: Any) -> dict[tuple[str, str], int]:
    bits = {name: hashed(image) for name, image in gray().items()}
    return {(a, b): int((bits[a] != bits[b]).sum()) for a, b in combinations(sorted(bits), 2)}


def differ(pair: tuple[str, str], column: str) -> bool:
    return rows()[pair[0]][column] != rows()[pair[1]][column]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("make_demo")


# ------------------------------------------------------------------ planted flaws


def test_exactly_one_image_is_cut_off() -> None:
    """Its header gives format and size like any other, its pixels do not decode."""
    broken = [name for name, content in images().items() if not decodes(content)]
    assert broken == ["DEMO_0103"]
    assert opened(images()["DEMO_0103"]).size == (256, 192)


def test_exactly_two_images_are_byte_for_byte_copies() -> None:
    found = {pair for pair in combinations(sorted(images()), 2) if images()[pair[0]] == images()[pair[1]]}
    assert found == COPIES


def test_one_copy_stays_with_its_patient_and_one_leaks_to_another() -> None:
    assert {pair for pair in COPIES if differ(pair, "patient_id")} == {("DEMO_0063", "DEMO_0117")}
    assert all(differ(pair, "lesion_id") for pair in COPIES)


def test_exactly_one_copy_contradicts_the_label_of_its_original() -> None:
    assert {pair for pair in COPIES if differ(pair, "dx")} == {("DEMO_0063", "DEMO_0117")}
    assert (rows()["DEMO_0063"]["dx"], rows()["DEMO_0117"]["dx"]) == ("mel", "nv")


@pytest.mark.parametrize("hashed", [dhash, phash])
def test_only_planted_pairs_look_alike(hashed: Any) -> None:
    """Two views of one lesion and pictures of different lesions are both further apart than copies."""
    near = {pair for pair, bits in distances(hashed).items() if bits <= NEAR}
    assert near == COPIES | NEAR_COPIES


def test_near_copies_have_bytes_of_their_own() -> None:
    assert all(images()[a] != images()[b] for a, b in NEAR_COPIES)
    assert {pair for pair in NEAR_COPIES if differ(pair, "patient_id")} == {("DEMO_0095", "DEMO_0119")}


def test_near_copies_are_what_the_notes_say() -> None:
    """One is encoded with coarser steps, one is 8 % brighter, one shows a little less."""
    assert coarseness(images()["DEMO_0118"]) > 2 * coarseness(images()["DEMO_0018"])
    mean = {name: np.asarray(gray()[name], float).mean() for name in ("DEMO_0061", "DEMO_0120")}
    assert mean["DEMO_0120"] / mean["DEMO_0061"] == pytest.approx(1.08, abs=0.015)
    inner = gray()["DEMO_0095"].crop((5, 4, 252, 189)).resize((256, 192))
    assert np.abs(np.asarray(inner, float) - np.asarray(gray()["DEMO_0119"], float)).mean() < 2


def test_some_ages_and_sexes_are_missing() -> None:
    no_age = {row["patient_id"] for row in rows().values() if row["age"] == ""}
    no_sex = {row["patient_id"] for row in rows().values() if row["sex"] == "unknown"}
    assert no_age == {"DEMO_P007", "DEMO_P023", "DEMO_P041"}
    assert no_sex == {"DEMO_P012", "DEMO_P035"}
    assert all(patient in " ".join(entry()["notes"]) for patient in no_age | no_sex)


def test_every_planted_flaw_is_in_the_notes(script: ModuleType) -> None:
    assert {flaw.sentence for flaw in script.FLAWS} <= set(entry()["notes"])
    assert {flaw.image_id for flaw in script.FLAWS} == {"DEMO_0103"} | {b for _, b in COPIES | NEAR_COPIES}


# ------------------------------------------------------------------ the catalog entry


def test_sizes_and_checksums_are_those_of_the_files() -> None:
    stated = {file["name"]: (file["size"], file["checksum"]) for file in entry()["files"]}
    actual = {
        path.name: (path.stat().st_size, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())
        for path in FILES.iterdir()
    }
    assert stated == actual
    assert sum(size for size, _ in actual.values()) < 1_500_000


def test_counts_are_those_of_the_table() -> None:
    counts = entry()["counts"]
    assert counts["images"] == len(rows()) == len(images())
    assert counts["lesions"] == len({row["lesion_id"] for row in rows().values()})
    assert counts["patients"] == len({row["patient_id"] for row in rows().values()})
    assert counts["masks"] == len(members("demo_masks.zip"))
    assert counts["labels"] == Counter(row["dx"] for row in rows().values())


def test_columns_and_words_of_the_table_are_mapped() -> None:
    """A word that is neither mapped nor a word for "missing" would be lost."""
    table = entry()["table"][0]
    assert set(table["columns"].values()) == set(next(iter(rows().values())))
    for field, words in table["values"].items():
        used = {row[table["columns"][field]] for row in rows().values()} - set(table["missing"])
        assert used == set(words)


def test_labels_are_the_seven_words_of_ham10000() -> None:
    with (HOME / "labels.tsv").open(encoding="utf-8", newline="") as file:
        labels = {row["raw_label"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert labels.keys() == entry()["counts"]["labels"].keys()
    assert labels["akiec"]["predicate"] == "broadMatch"
    assert labels["akiec"]["members"].split("|") == ["actinic-keratosis", "squamous-cell-carcinoma-in-situ"]


@pytest.mark.shared
def test_the_table_speaks_like_ham10000() -> None:
    if not HAM10000.is_file():
        pytest.skip("the real metadata of HAM10000 is not at hand")
    with HAM10000.open(encoding="utf-8", newline="") as file:
        official = list(csv.DictReader(file))
    for column in ("dx", "dx_type", "sex", "localization", "age"):
        assert {row[column] for row in rows().values()} <= {row[column] for row in official}


@pytest.mark.shared
def test_body_sites_are_nodes_of_the_isic_hierarchy() -> None:
    if not SITES.is_file():
        pytest.skip("the hierarchy of body sites is not at hand")
    with SITES.open(encoding="utf-8", newline="") as file:
        nodes = {row["enum"].replace("_", "-") for row in csv.DictReader(file)}
    assert set(entry()["table"][0]["values"]["body_site"].values()) <= nodes


# ------------------------------------------------------------------ pictures and people


def test_every_dermoscopic_image_has_a_mask_of_its_size_and_no_clinical_one_has() -> None:
    dermoscopic = [name for name, row in rows().items() if row["image_type"] == "dermoscopic"]
    assert list(members("demo_masks.zip")) == [f"{name}_segmentation.png" for name in dermoscopic]
    for content in members("demo_masks.zip").values():
        mask = opened(content)
        assert (mask.mode, mask.size) == ("1", (256, 192))
        assert 0.02 < np.asarray(mask).mean() < 0.6


def test_a_mask_covers_the_lesion() -> None:
    """Pigment absorbs: a nevus is darker inside its mask than outside."""
    for name, row in rows().items():
        mask = members("demo_masks.zip").get(f"{name}_segmentation.png")
        if row["dx"] == "nv" and mask and name in gray():
            inside, levels = np.asarray(opened(mask)), np.asarray(gray()[name])
            assert np.median(levels[inside]) < np.median(levels[~inside])


def test_skin_darkens_with_the_fitzpatrick_type_and_stays_brown() -> None:
    """Median color of each type, over all pixels (mostly skin): luminance falls, red > green > blue."""
    tones: dict[str, list[np.ndarray]] = {}
    for name in gray():
        color = np.median(np.asarray(opened(images()[name])).reshape(-1, 3), axis=0)
        tones.setdefault(rows()[name]["fitzpatrick"], []).append(color)
    medians = [np.median(tones[kind], axis=0) for kind in "123456"]
    assert all(fair.sum() > dark.sum() + 20 for fair, dark in pairwise(medians))
    assert all(red > green > blue for red, green, blue in medians)


def test_all_skin_types_and_diagnoses_are_there_but_not_equally_often() -> None:
    types = Counter(row["fitzpatrick"] for row in rows().values())
    assert types.keys() == set("123456")
    assert types["2"] > types["4"] > types["6"]
    assert Counter(row["dx"] for row in rows().values()).most_common(1)[0][0] == "nv"


def test_a_patient_has_one_age_sex_and_skin_type_and_a_lesion_one_patient_and_diagnosis() -> None:
    for key, fixed in (("patient_id", ("age", "sex", "fitzpatrick")), ("lesion_id", ("patient_id", "dx"))):
        facts = {(row[key], *(row[column] for column in fixed)) for row in rows().values()}
        assert len(facts) == len({row[key] for row in rows().values()})


# ------------------------------------------------------------------ the script


def test_members_carry_no_time_of_day() -> None:
    for name in ("demo_images.zip", "demo_masks.zip"):
        with zipfile.ZipFile(FILES / name) as archive:
            assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_script_draws_the_committed_pictures(script: ModuleType) -> None:
    """The first three, whose bytes may differ with Pillow, but not what they show."""
    for picture, image, _ in script.drawings(script.drawn_pictures()[:3]):
        assert script.same_picture(script.jpeg(image), images()[picture.image_id])


def test_a_difference_is_found(script: ModuleType, tmp_path: Path) -> None:
    """Another picture under a name, a picture that is gone and another table are all named."""
    made = {path.name: path.read_bytes() for path in FILES.iterdir()}
    changed = dict(members("demo_images.zip"))
    changed["DEMO_0001.jpg"] = changed["DEMO_0002.jpg"]
    del changed["DEMO_0050.jpg"]
    script.write(made | {"demo_images.zip": script.packed(changed), "demo_metadata.csv": b""}, tmp_path)
    assert script.differences(made, tmp_path) == ["demo_metadata.csv", "DEMO_0050.jpg", "DEMO_0001.jpg"]
    assert script.differences(made, FILES) == []


@pytest.mark.full
def test_the_whole_dataset_is_what_the_script_makes() -> None:
    command = [sys.executable, str(ROOT / "scripts/make_demo.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
