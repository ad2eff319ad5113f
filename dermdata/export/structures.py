"""What a manifest has masks of: the lesion, and which structures beside it."""

import pyarrow as pa
import pyarrow.compute as pc


def has_lesions(table: pa.Table) -> bool:
    return "mask_path" in table.column_names and table["mask_path"].null_count < table.num_rows


def named(table: pa.Table) -> tuple[str, ...]:
    """The structures of the column `masks`, by name."""
    if "masks" not in table.column_names or table["masks"].null_count == table.num_rows:
        return ()
    return tuple(sorted({name for chunk in table["masks"].chunks if len(chunk) for name in of_chunk(chunk)}))


def of_chunk(chunk: pa.MapArray) -> list[str]:
    """The keys of these rows alone: a slice's own `keys` are those of the whole."""
    first, last = chunk.offsets[0].as_py(), chunk.offsets[-1].as_py()
    found: list[str] = pc.unique(chunk.keys.slice(first, last - first).cast(pa.string())).to_pylist()
    return found
