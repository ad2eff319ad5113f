"""The one table's schema: every column with its meaning and unit as Arrow field metadata."""

from dataclasses import fields

import pyarrow as pa

from dermdata.closed_words import CLOSED_WORDS
from dermdata.model import IMAGE_ENDINGS, ImageFacts

WORDS = pa.dictionary(pa.int32(), pa.string())
TEXT = pa.string()
GRADED_LABELS = pa.list_(pa.struct([("concept", pa.string()), ("weight", pa.float32())]))
BOXES = pa.list_(
    pa.struct([*((name, pa.float32()) for name in ("x", "y", "width", "height")), ("label", pa.string())])
)
QUESTIONS = pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string())]))
TEXT_MAP = pa.map_(pa.string(), pa.string())

FITZPATRICK_TYPES = ("I", "II", "III", "IV", "V", "VI")  # of the numbers 1 to 6
USUAL_PARTS = ("train", "val", "test")  # of a split, in the order in which papers list them
OWN_SPLIT, OFFICIAL_SPLIT = ("split", "fold"), ("split_official", "fold_official")


def list_words(column: str) -> str:
    """The words that a column may hold, as its description says them."""
    return " | ".join(CLOSED_WORDS[column])


COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("dataset", WORDS, "catalog name"),
    ("image_id", TEXT, "the source's own id, without extension; unique within a dataset"),
    ("key", TEXT, "dataset/image_id; unique everywhere"),
    ("isic_id", TEXT, "ISIC_…, canonical (without _downsampled): the identity across the ISIC family"),
    ("path", TEXT, "image file: absolute, or from the dataset's cache folder on; null when no image is there"),
    ("mask_path", TEXT, "lesion mask, named as the image file is"),
    ("masks", TEXT_MAP, "further masks: structure name -> file"),
    ("boxes", BOXES, "boxes around what is marked: left, top, width and height in stored pixels, and the source's word"),
    ("sha256", TEXT, "SHA-256 of the image file's bytes, hexadecimal"),
    ("bytes", pa.int64(), "size of the image file; bytes"),
    ("width", pa.int32(), "stored width; pixels"),
    ("height", pa.int32(), "stored height; pixels"),
    ("format", WORDS, "jpeg, png, tiff, …"),
    ("mode", WORDS, "stored color mode: RGB, L, CMYK, …"),
    ("image_problem", TEXT, "why the image is missing or cannot be decoded; null when it decodes whole"),
    ("phash", pa.binary(8), "64-bit perceptual hash of the decoded image; null where it is of one color"),
    ("modality", WORDS, list_words("modality")),
    ("patient_id", TEXT, "grouping key dataset/…; ISIC's IP_ ids stay as they are"),
    ("lesion_id", TEXT, "grouping key dataset/…; ISIC's IL_ ids stay as they are"),
    ("case_id", TEXT, "grouping key dataset/…"),
    ("label_raw", TEXT, "the source's own word, untouched"),
    ("diagnosis", WORDS, "concept id: the most specific concept that is surely true"),
    ("diagnosis_name", TEXT, "the concept's preferred label"),
    ("diagnosis_path", pa.list_(pa.string()), "concept ids from the root down"),
    ("diagnosis_match", WORDS, "SKOS: exact | broad | narrow | close | related"),
    ("differential", GRADED_LABELS, "graded labels; weights sum to 1"),
    ("malignancy", WORDS, list_words("malignancy") + "; by the concept, else the source's word"),
    ("malignancy_source", WORDS, "the source's own word, where it has one: " + list_words("malignancy_source")),
    ("verified", pa.bool_(), "false: in part or from a copy, no published checksum covers it; true: one does; null: none"),
    ("confirmation", WORDS, list_words("confirmation")),
    ("age", pa.float32(), "years"),
    ("age_raw", TEXT, "the source's words where they are no plain number"),
    ("sex", WORDS, list_words("sex") + "; as reported"),
    ("body_site", WORDS, "concept of the body-site vocabulary"),
    ("body_site_raw", TEXT, "the source's words"),
    ("fitzpatrick", pa.int8(), "Fitzpatrick skin type; 1-6"),
    ("fitzpatrick_range", pa.list_(pa.int8()), "skin types where the source gives a group"),
    ("fitzpatrick_source", WORDS, list_words("fitzpatrick_source")),
    ("monk", pa.int8(), "Monk skin tone; 1-10"),
    ("monk_source", WORDS, list_words("monk_source")),
    ("concepts", pa.map_(pa.string(), pa.bool_()), "clinical concepts: name -> present"),
    ("caption", TEXT, "text paired with the image"),
    ("questions", QUESTIONS, "questions about the image and their answers"),
    ("split_official", WORDS, "the publisher's own split: train | val | test"),
    ("fold_official", pa.int8(), "the publisher's own fold"),
    ("split", WORDS, "written by `dermdata split`"),
    ("fold", pa.int8(), "written by `dermdata split`; from 0"),
    ("license", WORDS, "per image where the source gives it, else the dataset's; SPDX or LicenseRef-…"),
    ("attribution", WORDS, "per image where the source gives it"),
    ("extra", TEXT_MAP, "every other source column, untouched"),
)  # fmt: skip

SCHEMA = pa.schema([pa.field(name, kind, metadata={"description": text}) for name, kind, text in COLUMNS])

KEYS = ("patient_id", "lesion_id", "case_id")
LIMITS = {"fitzpatrick": (1, 6), "monk": (1, 10)}  # other whole numbers are folds
EXTENSION_PATTERN = rf"\.(?i:{'|'.join(one[1:] for one in IMAGE_ENDINGS)})$"

# columns of an image's facts, each named as its fact
FACT_COLUMNS = tuple(one.name for one in fields(ImageFacts) if one.name in SCHEMA.names)
# columns that only an image's own file fills
IMAGE_DERIVED = {"path", "mask_path", "masks", "sha256", "bytes", "image_problem", "verified", *FACT_COLUMNS}
