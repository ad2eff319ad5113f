"""Small manifests whose labels come from the bundled crosswalks, for the tests of select and projection."""

from typing import Any

import pyarrow as pa

from dermdata.crosswalks import harmonize_label
from dermdata.crosswalks.extents import LabelComparer
from dermdata.manifest.parquet import concat_manifests
from dermdata.manifest.schema import SCHEMA
from dermdata.model import Label
from dermdata.projection import LabelStatements
from support.bundled_labels import labels, vocabulary

FIELDS = {
    "ham10000": "dx",
    "isic-2016": "Label",
    "isic-2017": "melanoma;seborrheic_keratosis",
    "isic-2019": "one-hot",
    "pad-ufes-20": "diagnostic",
    "isic-2020": "diagnosis",
}
NEVUS_2017 = "melanoma=0;seborrheic_keratosis=0"


def words() -> dict[str, list[Label]]:
    return {name: [row for row in labels(name) if row.field == field] for name, field in FIELDS.items()}


def statements() -> LabelStatements:
    return LabelStatements(words(), vocabulary())


def judge() -> LabelComparer:
    return LabelComparer(vocabulary())


def row(dataset: str, image: str, word: str | None = None, **more: Any) -> dict[str, Any]:
    """One manifest row; what its word means is what the dataset's crosswalk says."""
    found: dict[str, Any] = {
        "dataset": dataset,
        "image_id": image,
        "key": f"{dataset}/{image}",
        "label_raw": word,
    }
    for label in words().get(dataset, ()):
        if label.raw_label == word:
            said = harmonize_label(label, vocabulary())
            found |= {"diagnosis": said.diagnosis, "diagnosis_name": said.diagnosis_name,
                      "diagnosis_path": list(said.diagnosis_path) or None, "diagnosis_match": said.match,
                      "malignancy": said.malignancy}  # fmt: skip
    return found | more


def manifest(*rows: dict[str, Any]) -> pa.Table:
    """These rows in the manifest's schema."""
    names = dict.fromkeys(name for one in rows for name in one)
    kinds = {name: SCHEMA.field(name).type if name in SCHEMA.names else pa.string() for name in names}
    return concat_manifests(
        [pa.table({name: pa.array([one.get(name) for one in rows], kinds[name]) for name in names})]
    )


def column(table: pa.Table, name: str) -> list[Any]:
    return table[name].to_pylist()  # type: ignore[no-any-return]
