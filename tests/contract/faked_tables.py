"""What the shapes that no archive or CSV file has are faked as: arrays, Parquet, JSON, boxes."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Cells = Mapping[str, Any]


def npz_of(rows: Sequence[Cells], parts: Sequence[str]) -> bytes:
    """Arrays `<part>_<column>` of the rows, dealt to the parts; cells that are arrays are images."""
    arrays = {}
    for number, part in enumerate(parts):
        own = rows[number :: len(parts)]
        for column in rows[0]:
            arrays[f"{part}_{column}".removeprefix("_")] = np.stack([cell_array(row[column]) for row in own])
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    return data.getvalue()


def cell_array(cell: Any) -> np.ndarray:
    if isinstance(cell, str) and cell.isdigit():
        return np.array([int(cell)], np.uint8)
    return np.asarray(cell)


def parquet_of(rows: Sequence[Cells]) -> bytes:
    """A table as Hugging Face writes them: bytes are images with the path that they had."""
    columns = {}
    for name in rows[0]:
        cells = [row[name] for row in rows]
        if isinstance(cells[0], bytes):
            cells = [{"bytes": cell, "path": f"{number}.jpg"} for number, cell in enumerate(cells)]
        columns[name] = pa.array(cells)
    data = io.BytesIO()
    pq.write_table(pa.table(columns), data, row_group_size=3)
    return data.getvalue()


def mark_of(form: str) -> bytes:
    """A file that marks the left half of an image of 24 by 16 pixels."""
    if form == "yolo":
        return b"0 0.25 0.5 0.5 1\n"
    ring = [[0, 0], [12, 0], [12, 16], [0, 16], [0, 0]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"classification": {"name": "left"}}}
    return json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
