"""Facts of the catalog that were wrong once: each with what a source says of it, so that none comes back."""

from typing import Any

import pytest

from dermdata.catalogs import open_catalog
from dermdata.catalogs.entries import find_fetch_way
from dermdata.model import Dataset, File
from support.bundled_labels import crosswalk, meant, vocabulary

CATALOG = open_catalog()
S3 = "https://isic-archive.s3.amazonaws.com/challenges/milk10k/"
MILK10K = {"Training_Input.zip", "Training_Metadata.csv", "Training_Supplement.csv", "Training_GroundTruth.csv",
           "Test_Input.zip", "Test_Metadata.csv"}  # fmt: skip


def columns(dataset: Dataset) -> set[str]:
    """The manifest fields that the first table fills."""
    return set(dataset.table[0].columns) | set(dataset.table[0].constants)


def file(dataset: Dataset, name: str) -> File:
    return dataset.file(name)


FACTS: list[tuple[str, Any, Any]] = [
    ("hiba", lambda one: (one.listing, one.counts.images), ("isic:collections=251", 1616)),
    ("hiba", lambda one: {"age", "body_site", "confirmation"} <= columns(one), True),
    ("ima-pp", lambda one: one.license.id, "CC-BY-NC-ND-4.0"),
    ("ima-pp", lambda one: file(one, "segs.zip").source, "zenodo:14201693/segs.zip"),
    ("milk10k", lambda one: {f.name.removeprefix("MILK10k_") for f in one.files if f.fetch}, MILK10K),
    ("milk10k", lambda one: dict(one.counts.splits), {"train": 10480, "test": 958}),
    ("monkeypox-2022", lambda one: (len(one.files), one.counts.images), (135, 135)),
    ("monkeypox-2022", lambda one: one.counts.labels["Chickenpox_original"], 11),
    ("mm-skin", lambda one: one.access.kind, "open"),
    ("mcr-sl", lambda one: "1,868" in one.summary, True),
    ("cobra-bcc", lambda one: "7,000" in one.summary, True),
    ("uq-nmsc-histology", lambda one: (one.access.kind, one.license.must_accept), ("agreement", True)),
    ("uq-longitudinal", lambda one: "conflict" in str(one.license.statement), True),
    ("isic-novice-masks", lambda one: one.counts.masks, 11720),
    ("fitzpatrick17k-c", lambda one: file(one, "Fitzpatrick17k-C.csv").source, "zenodo:12739457/Fitzpatrick17k-C.csv"),
    ("dermamnist-c", lambda one: file(one, "dermamnist_corrected_224.npz").size, 1131258316),
    ("dermamnist-e", lambda one: str(file(one, "dermamnist_extended_224.npz").checksum)[:12], "md5:b59d6a78"),
    ("ph2", lambda one: file(one, "PH2Dataset.rar").urls[0].endswith("?dl=1"), True),
    ("msid", lambda one: one.counts.images, 770),
    ("isic-dicm-17k", lambda one: dict(one.counts.splits), {"train": 15098, "val": 1962}),
    ("skin3d", lambda one: one.license.id, "CC-BY-NC-SA-4.0"),
    ("derm7pt", lambda one: file(one, "release_v0.zip").size, 159112080),
    ("azh-wound", lambda one: "body_site" in columns(one), False),
    ("dermacon-in", lambda one: {"fitzpatrick", "monk"} <= columns(one), True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "read", "right"), FACTS, ids=[f"{n}-{name}" for n, (name, *_) in enumerate(FACTS, 1)]
)
def test_a_fact_is_what_its_source_says(name: str, read: Any, right: Any) -> None:
    dataset = CATALOG[name]
    assert read(dataset) == right
    assert dataset.facts  # says from where


@pytest.mark.parametrize(
    "name",
    ["isic-consecutive-2020", "isic-longitudinal-trunks", "prove-ai", "isic-dicm-17k", "hiba", "ima-pp",
     "mskcc-skin-tone", "milk10k", "monkeypox-2022", "msid", "skindisnet", "dermacon-in", "patch16", "derm12345",
     "fitzpatrick17k-c"],
)  # fmt: skip
def test_what_has_files_now_is_fetched_into_rows(name: str) -> None:
    """Without an account, and with a table."""
    assert find_fetch_way(CATALOG[name]) == "yes"
    assert CATALOG[name].table


def test_every_folder_of_labels_is_an_entry_and_words_of_others_are_there() -> None:
    """No orphan, no reference to nothing."""
    root = CATALOG.roots[0] / "datasets"
    assert {path.parent.name for path in root.glob("*/labels.tsv")} <= set(CATALOG)
    for name in CATALOG:
        if CATALOG[name].words_of:
            assert (root / str(CATALOG[name].words_of) / "labels.tsv").exists()


@pytest.mark.parametrize(
    ("dataset", "field", "word", "concept", "match"),
    [
        ("ddi", "disease", "abrasions-ulcerations-and-physical-injuries", "ulcer-wound-or-injury", "exact"),
        ("milk10k", "one-hot", "INF", "skin-finding", "broad"),
        ("milk10k", "one-hot", "BKL", "neoplastic", "broad"),
        ("milk10k", "diagnosis_full", "Ink-spot lentigo", "ink-spot-lentigo", "exact"),
        ("fitzpatrick17k", "nine_partition_label", "inflammatory", "skin-finding", "broad"),
        ("fitzpatrick17k", "nine_partition_label", "benign epidermal", "skin-finding", "broad"),
        ("sd-198", "class folder", "Callus", "callus-or-corn", "broad"),
        ("scin", "weighted_skin_condition_label", "Clavus", "callus-or-corn", "broad"),
        ("sd-198", "class folder", "Apocrine_Hydrocystoma", "hidrocystoma", "broad"),
        ("scin", "weighted_skin_condition_label", "Cutaneous lupus", "lupus-erythematosus", "broad"),
        ("ddi", "disease", "glomangioma", "glomus-tumor", "broad"),
        ("azh-wound", "class folder", "D", "diabetic-ulcer", "exact"),
        ("sd-198", "class folder", "Schamberg's_Disease", "pigmented-purpuric-dermatosis", "broad"),
        ("dermnet", "class folder", "Atopic Dermatitis Photos", "non-neoplastic", "broad"),
        ("dermnet", "class folder", "Bullous Disease Photos", "non-neoplastic", "broad"),
        ("scin", "weighted_skin_condition_label", "Skin infection", "infection-or-infestation", "broad"),
    ],
)
def test_a_word_means_no_more_and_no_less(
    dataset: str, field: str, word: str, concept: str, match: str
) -> None:
    """Words that a second reader found mapped too widely or too narrowly."""
    found = meant(dataset, field, word)
    assert (found.diagnosis, found.match) == (concept, match)


def test_the_source_calls_its_actinic_keratoses_benign() -> None:
    """DDI says malignant FALSE in 4 of 4."""
    row = crosswalk("ddi").lookup("disease", "actinic-keratosis")
    assert row
    assert row.malignancy_source == "benign"


@pytest.mark.parametrize(
    ("concept", "parent"),
    [
        ("telogen-effluvium", "alopecia"),
        ("trichotillomania", "alopecia"),
        ("hyperhidrosis", "sweat-gland-disorder"),
        ("erythrasma", "bacterial-infection"),
        ("polymorphous-light-eruption", "photodermatosis"),
        ("actinic-prurigo", "photodermatosis"),
        ("drug-reaction-with-eosinophilia", "drug-eruption"),
        ("leukoplakia", "oral-or-mucosal-disorder"),
        ("lichen-planus-pigmentosus", "lichen-planus"),
        ("hypertrophic-lichen-planus", "lichen-planus"),
        ("buruli-ulcer", "atypical-mycobacterial-infection"),
        ("chromoblastomycosis", "deep-fungal-infection"),
        ("actinomycosis", "bacterial-infection"),
        ("yaws", "bacterial-infection"),
        ("tinea-incognito", "tinea"),
        ("diabetic-foot-ulcer", "diabetic-ulcer"),
    ],
)
def test_a_disease_has_its_place(concept: str, parent: str) -> None:
    assert vocabulary()[concept].parent == parent
