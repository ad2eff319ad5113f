"""Manifests and datasets of any size, made without ever being whole in memory.

Nothing heavy is imported at the top: the process that measures imports this, and its children begin with its memory.
"""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madeup import COMMENT, WORDS, Made, names, own, put_entry, table, zipped

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SIDE = (64, 48)  # pixels
PATCHES = (8, 6)  # an image is so many random colors, run into each other: no two are near duplicates
SAMPLE = 10_000
STRIDE = 7_919  # a prime that divides no number of rows here
CONCEPTS = {
    "nv": ("benign", ("melanocytic", "melanocytic-nevus")),
    "mel": ("malignant", ("melanocytic", "melanoma")),
    "bkl": ("benign", ("keratinocytic", "benign-keratosis")),
    "bcc": ("malignant", ("keratinocytic", "basal-cell-carcinoma")),
    "akiec": ("premalignant", ("keratinocytic", "actinic-keratosis")),
    "vasc": ("benign", ("vascular-lesion",)),
    "df": ("benign", ("fibrous", "dermatofibroma")),
}


# ------------------------------------------------------------------ rows


def manifest(path: Path, rows: int, *, shuffled: bool = False) -> None:
    """A manifest of so many rows, one row group in memory at a time; `shuffled`: neighbors in it are none in its keys."""
    import numpy as np
    import pyarrow.parquet as pq

    from dermdata.manifest.parquet import ROW_GROUP, add_metadata
    from dermdata.manifest.schema import SCHEMA

    rng = np.random.default_rng(1)
    schema = add_metadata(SCHEMA.empty_table(), {"dataset": "grown"}).schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, ROW_GROUP):
            number = np.arange(start, min(start + ROW_GROUP, rows))
            piece = some(rng, number * STRIDE % rows if shuffled else number)
            writer.write_table(piece.replace_schema_metadata(schema.metadata))


def shuffled_manifest(path: Path, rows: int) -> None:
    """As `manifest`, in an order that is not its keys'."""
    manifest(path, rows, shuffled=True)


def some(rng: "np.random.Generator", numbers: "np.ndarray[Any, Any]") -> "pa.Table":
    """These rows as a table of the manifest's schema: what a fetched dataset of ISIC's kind has."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from dermdata.manifest.parquet import conform

    count, number = len(numbers), pa.array(numbers)
    name = numbered("ISIC_", number)
    word = rng.choice(len(WORDS), count, p=np.array(list(WORDS.values())) / sum(WORDS.values()))
    of = {one: pa.array(values).take(pa.array(word)) for one, values in by_word().items()}
    sexes = pa.array(["female", "male", None]).take(pa.array(rng.integers(0, 3, count)))
    columns = {
        "dataset": constant("grown", count), "image_id": name, "key": joined("grown/", name),
        "path": joined("images/", name, ".jpg"), "isic_id": name, "sha256": digests(rng, count),
        "bytes": rng.integers(50_000, 400_000, count), "width": np.full(count, 600), "height": np.full(count, 450),
        "format": constant("jpeg", count), "mode": constant("RGB", count), "phash": hashes(rng, count),
        "modality": constant("dermoscopic", count), "sex": sexes, "age": rng.integers(2, 18, count) * 5.0,
        "patient_id": numbered("grown/IP_", pc.divide(number, 40)),
        "lesion_id": numbered("grown/IL_", pc.divide(pc.multiply(number, 3), 4)),
        "license": constant("CC-BY-NC-4.0", count), **of,
        "extra": extras().take(pa.array(rng.integers(0, len(extras()), count))),
    }  # fmt: skip
    return conform(pa.table(columns))


def by_word() -> dict[str, list[Any]]:
    """What the source's word says, word by word."""
    stated = [CONCEPTS[word] for word in WORDS]
    return {
        "label_raw": list(WORDS),
        "diagnosis": [path[-1] for _, path in stated],
        "diagnosis_name": [path[-1].replace("-", " ") for _, path in stated],
        "diagnosis_path": [list(path) for _, path in stated],
        "diagnosis_match": ["exact"] * len(stated),
        "malignancy": [malignancy for malignancy, _ in stated],
    }


def extras() -> "pa.Array":
    import pyarrow as pa

    kinds = [
        [("dx_type", kind), ("site", site)] for kind in ("histo", "follow_up") for site in ("back", "arm")
    ]
    return pa.array(kinds, pa.map_(pa.string(), pa.string()))


def constant(value: str, count: int) -> "pa.Array":
    import pyarrow as pa

    return pa.repeat(value, count)


def joined(*parts: "str | pa.Array") -> "pa.Array":
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(*parts, "")


def numbered(prefix: str, number: "pa.Array") -> "pa.Array":
    import pyarrow.compute as pc

    return joined(prefix, pc.utf8_lpad(number.cast("string"), 8, "0"))


def digests(rng: "np.random.Generator", count: int) -> "pa.Array":
    """So many hexadecimal texts of 64 characters."""
    import numpy as np
    import pyarrow as pa

    offsets = pa.py_buffer(np.arange(0, 64 * count + 1, 64, dtype=np.int32))
    letters = pa.py_buffer(rng.bytes(32 * count).hex().encode())
    return pa.Array.from_buffers(pa.string(), count, [None, offsets, letters])


def hashes(rng: "np.random.Generator", count: int) -> "pa.Array":
    import pyarrow as pa

    return pa.Array.from_buffers(pa.binary(8), count, [None, pa.py_buffer(rng.bytes(8 * count))])


def row_bytes() -> float:
    """What a row takes in memory, as read from its file."""
    import tempfile

    from dermdata.manifest.parquet import read_manifest

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        manifest(path, SAMPLE)
        return float(read_manifest(path).nbytes) / SAMPLE


# ------------------------------------------------------------------ images


def dataset(folder: Path, count: int) -> Made:
    """A dataset of so many small images, served as two zips and a table."""
    made = Made(folder / "served", folder / "catalog")
    made.served.mkdir(parents=True)
    images = zip(names(count), pictures(), strict=False)
    zipped(made.served / "part_1.zip", islice(images, count // 2))
    zipped(made.served / "part_2.zip", images)
    (made.served / "table.csv").write_text(table(names(count)))
    put_entry(made)
    return made


def pictures() -> Iterator[bytes]:
    """JPEGs without end, of few pixels and about twenty kilobytes each."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(2)
    while True:
        patches = Image.fromarray(rng.integers(0, 256, (*PATCHES[::-1], 3), np.uint8))
        buffer = io.BytesIO()
        patches.resize(SIDE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        yield own(buffer.getvalue(), rng.bytes(COMMENT))


def image_bytes() -> float:
    """The mean size of one."""
    return sum(len(one) for one in islice(pictures(), 200)) / 200
