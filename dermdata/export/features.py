"""A table's columns in Hugging Face's own terms, so that `datasets` decodes the embedded images.

Source: datasets 5.2, features.py: Features.from_arrow_schema reads the schema metadata `huggingface`,
{"info": {"features": …}}; a list is [feature], a struct {name: feature}. It knows no map type, hence
`tabular` in parquet.py.
"""

import json
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

Feature = dict[str, Any] | list[Any]
NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}


def metadata(schema: pa.Schema, image: str) -> dict[bytes, bytes]:
    """Schema metadata in which every column has its feature, and `image` is an Image."""
    features = {field.name: feature(field.type) for field in schema} | {image: {"_type": "Image"}}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def feature(kind: pa.DataType) -> Feature:
    if kinds.is_list(kind):
        return [feature(kind.value_type)]
    if kinds.is_struct(kind):
        return {field.name: feature(field.type) for field in kind}
    name = NAMES.get(str(kind), str(kind))
    return {"dtype": name, "_type": "Value"}
