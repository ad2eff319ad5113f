"""What an exported table says of itself: its provenance, types that every Parquet reader knows, and Hugging Face features.

Provenance stands in Parquet's own metadata, and beside a text file as `<file>.about.json`. Source of the features:
datasets 5.2, features.py: Features.from_arrow_schema reads the schema metadata `huggingface`,
{"info": {"features": …}}; a list is [feature], a struct {name: feature}. It knows no map type, hence
`to_portable_types`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from dermdata import disk
from dermdata.export.image_bytes import Recipe
from dermdata.images.frames import Placement, shrink_size
from dermdata.images.masks import Size
from dermdata.manifest.parquet import manifest_metadata

EXPORT_DIGEST_KEY = b"dermdata.export"  # the key by which we know a file that we exported
Feature = dict[str, Any] | list[Any]
IMAGE_FEATURE: Feature = {"_type": "Image"}
BOX_SIDES = ("x", "y", "width", "height")
DTYPE_NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}


def manifest_provenance(table: pa.Table | pa.Schema) -> dict[str, str]:
    """The manifest's own metadata: dataset, version, catalog digest, tool, license, citation."""
    return {key: value for key, value in manifest_metadata(table).items() if key != "export"}


def provenance_metadata(table: pa.Table | pa.Schema) -> dict[bytes, bytes]:
    """The same as metadata of an Arrow schema, and so of a Parquet file."""
    return {f"dermdata.{key}".encode(): value.encode() for key, value in manifest_provenance(table).items()}


def combine_provenance(abouts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The metadata of a union: what all have in common, and each one's own as JSON under `sources`."""
    if len(abouts) == 1:
        return dict(abouts[0])
    first, *others = abouts
    shared = {key: value for key, value in first.items() if all(one.get(key) == value for one in others)}
    return shared | {"sources": json.dumps([dict(one) for one in abouts], ensure_ascii=False, sort_keys=True)}


def write_about_file(target: Path, schema: pa.Schema, rows: int) -> None:
    """Write `<target>.about.json`: provenance, rows, and what each column means."""
    columns = {field.name: (field.metadata or {}).get(b"description", b"").decode() for field in schema}
    facts = {
        "schema": "dermdata.about/1",
        "rows": rows,
        "manifest": manifest_provenance(schema),
        "columns": columns,
    }
    disk.write_text(
        target.with_name(f"{target.name}.about.json"), json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
    )


def to_portable_types(table: pa.Table) -> pa.Table:
    """Dictionaries as plain strings and maps as lists of {key, value}: what every reader of Parquet knows."""
    schema = pa.schema(
        [field.with_type(portable_type(field.type)) for field in table.schema], metadata=table.schema.metadata
    )
    return table.cast(schema)


def portable_type(kind: pa.DataType) -> pa.DataType:
    if kinds.is_dictionary(kind):
        return kind.value_type
    if kinds.is_map(kind):
        return pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
    return kind


def feature_metadata(schema: pa.Schema, special: Mapping[str, Feature]) -> dict[bytes, bytes]:
    """Schema metadata in which every column has its feature, the `special` ones their own."""
    return {b"huggingface": json.dumps({"info": {"features": schema_features(schema, special)}}).encode()}


def schema_features(schema: pa.Schema, special: Mapping[str, Feature]) -> dict[str, Feature]:
    return {field.name: special.get(field.name) or type_feature(field.type) for field in schema}


def type_feature(kind: pa.DataType) -> Feature:
    if kinds.is_list(kind):
        return [type_feature(kind.value_type)]
    if kinds.is_struct(kind):
        return {field.name: type_feature(field.type) for field in kind}
    name = DTYPE_NAMES.get(str(kind), str(kind))
    return {"dtype": name, "_type": "Value"}


def class_label_feature(classes: Sequence[str]) -> Feature:
    """Classes as numbers; the names stand in the metadata."""
    return {"names": list(classes), "_type": "ClassLabel"}


def features_to_yaml(features: Mapping[str, Feature]) -> list[dict[str, Any]]:
    """The same list as a dataset card has it; source: datasets 5.2, Features._to_yaml_list."""
    return [{"name": name} | feature_to_yaml(one) for name, one in features.items()]


def feature_to_yaml(one: Feature) -> dict[str, Any]:
    if isinstance(one, list):
        inner = feature_to_yaml(one[0])
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    kind = one.get("_type")
    if kind == "Image":
        return {"dtype": "image"}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(at): name for at, name in enumerate(one["names"])}}}}
    if kind == "Value":
        return {"dtype": one["dtype"]}
    return {"struct": features_to_yaml(one)}


def follow_resize(table: pa.Table, recipe: Recipe) -> pa.Table:
    """The rows with the width, height and boxes that their images have in the export."""
    if not recipe.resizes or not {"width", "height"} <= {*table.column_names}:
        return table
    stored = list(zip(table["width"].to_pylist(), table["height"].to_pylist(), strict=True))
    placed = [find_placement(size, recipe) if all(size) else None for size in stored]
    for side, name in enumerate(("width", "height")):
        table = replace_column(table, name, [one and one.size[side] for one in placed])
    if "boxes" not in table.column_names:
        return table
    rows = zip(table["boxes"].to_pylist(), placed, stored, strict=True)
    return replace_column(table, "boxes", [follow_boxes(*row) for row in rows])


def follow_boxes(boxes: list[dict[str, Any]] | None, placed: Placement | None, stored: Size) -> Any:
    """A row's boxes in the exported image; as they are where its size is not known."""
    return move_boxes(boxes, placed, stored) if boxes and placed else boxes


def find_placement(stored: Size, recipe: Recipe) -> Placement:
    """Where an image of this size lies in what the recipe makes of it."""
    if recipe.frame is not None:
        return recipe.frame.place(stored)
    small = shrink_size(stored, recipe.size or max(stored))
    return Placement(small, small, 0, 0)


def move_boxes(boxes: Sequence[Mapping[str, Any]], placed: Placement, stored: Size) -> list[dict[str, Any]]:
    """Boxes in the exported image; those of which nothing is left are gone."""
    moved = [placed.move_box([box[name] for name in BOX_SIDES], stored) for box in boxes]
    return [
        {**box, **dict(zip(BOX_SIDES, sides, strict=True))}
        for box, sides in zip(boxes, moved, strict=True)
        if sides
    ]


def replace_column(table: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    """The table with other values in a column of the same type."""
    place = table.column_names.index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))
