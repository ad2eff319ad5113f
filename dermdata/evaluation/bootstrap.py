"""The bootstrap draws patients, else lesions, else images, with replacement, and makes intervals of the resamples.

A resample is a weight of each image: how often it was drawn.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.evaluation.sample import Codes, Floats
from dermdata.manifest.columns import text_column

MAX_WEIGHTS = 2_000_000  # weights that are held at once
UNIT_COLUMNS = (("patient", "patient_id"), ("lesion", "lesion_id"))
MAX_UNDEFINED_SHARE = 0.1  # share of resamples in which a metric may have no number


def resampling_units(table: pa.Table) -> tuple[Codes, str]:
    """Each row's unit by number, and what most units are: a row without patient counts by its lesion, else alone."""
    place = pc.binary_join_element_wise("image", pa.array(map(str, range(table.num_rows)), pa.string()), ":")
    kind = "image"
    for name, column in reversed(UNIT_COLUMNS):
        ids = text_column(table, column)
        kind = name if ids.null_count < len(ids) else kind
        place = pc.coalesce(pc.binary_join_element_wise(name, ids, ":"), place)
    encoded = place.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64), kind


def draw_weights(unit: Codes, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each image is drawn, (images, resamples) in pieces: units are drawn with replacement."""
    random = np.random.default_rng(seed)
    count = int(unit.max()) + 1 if len(unit) else 0
    step = max(1, MAX_WEIGHTS // max(1, len(unit)))
    for first in range(0, resamples, step):
        drawn = [
            np.bincount(random.integers(0, count, count), minlength=count)
            for _ in range(min(step, resamples - first))
        ]
        yield np.stack(drawn, axis=1).astype(np.float64)[unit]


def percentile_interval(values: Floats, level: float) -> tuple[float | None, float | None]:
    """The middle `level` of the resamples (Efron 1979); none where more than a tenth of them have no number."""
    known = values[np.isfinite(values)]
    if not len(known) or len(known) < (1 - MAX_UNDEFINED_SHARE) * len(values):
        return None, None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    if known.min() == known.max():
        return None, None  # no resample moves it: too little to know by how much it might
    return float(low), float(high)


def clopper_pearson_interval(share: float, count: int, level: float) -> tuple[float, float]:
    """The exact interval (Clopper and Pearson 1934) of a share of none or all of `count` units.

    All resamples of 20 hits of 20 are 20 of 20: they would claim that the share is 1 and nothing else.
    """
    reach = ((1 - level) / 2) ** (1 / count)
    return (reach, 1.0) if share == 1 else (0.0, 1 - reach)


def correct_bias(values: Floats, estimate: float) -> Floats:
    """Resamples of an error that noise alone makes larger, moved to their estimate; never below nothing."""
    known = values[np.isfinite(values)]
    return np.maximum(0.0, values - known.mean() + estimate) if len(known) else values
