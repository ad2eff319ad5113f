"""A manifest's columns in types that every reader of Parquet knows."""

import pyarrow as pa
import pyarrow.types as kinds


def tabular(table: pa.Table) -> pa.Table:
    """Dictionaries as plain strings and maps as lists of {key, value}: what every reader of Parquet knows."""
    schema = pa.schema(
        [field.with_type(portable(field.type)) for field in table.schema], metadata=table.schema.metadata
    )
    return table.cast(schema)


def portable(kind: pa.DataType) -> pa.DataType:
    if kinds.is_dictionary(kind):
        return kind.value_type
    if kinds.is_map(kind):
        return pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
    return kind
