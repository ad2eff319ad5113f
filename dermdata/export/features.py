"""A table's columns in Hugging Face's own terms, so that `datasets` decodes the embedded images.

Source: datasets 5.2, features.py: Features.from_arrow_schema reads the schema metadata `huggingface`,
{"info": {"features": …}}; a list is [feature], a struct {name: feature}. It knows no map type, hence
`tabular` in parquet.py.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

Feature = dict[str, Any] | list[Any]
IMAGE: Feature = {"_type": "Image"}
NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}


def metadata(schema: pa.Schema, special: Mapping[str, Feature]) -> dict[bytes, bytes]:
    """Schema metadata in which every column has its feature, the `special` ones their own."""
    return {b"huggingface": json.dumps({"info": {"features": of(schema, special)}}).encode()}


def of(schema: pa.Schema, special: Mapping[str, Feature]) -> dict[str, Feature]:
    return {field.name: special.get(field.name) or feature(field.type) for field in schema}


def feature(kind: pa.DataType) -> Feature:
    if kinds.is_list(kind):
        return [feature(kind.value_type)]
    if kinds.is_struct(kind):
        return {field.name: feature(field.type) for field in kind}
    name = NAMES.get(str(kind), str(kind))
    return {"dtype": name, "_type": "Value"}


def class_label(classes: Sequence[str]) -> Feature:
    """Classes as numbers; the names stand in the metadata."""
    return {"names": list(classes), "_type": "ClassLabel"}


def as_yaml(features: Mapping[str, Feature]) -> list[dict[str, Any]]:
    """The same list as a dataset card has it; source: datasets 5.2, Features._to_yaml_list."""
    return [{"name": name} | yaml_type(one) for name, one in features.items()]


def yaml_type(one: Feature) -> dict[str, Any]:
    if isinstance(one, list):
        inner = yaml_type(one[0])
        return {"list": inner.get("dtype") or inner.get("struct") or inner}
    kind = one.get("_type")
    if kind == "Image":
        return {"dtype": "image"}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(at): name for at, name in enumerate(one["names"])}}}}
    if kind == "Value":
        return {"dtype": one["dtype"]}
    return {"struct": as_yaml(one)}
