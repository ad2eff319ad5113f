"""Near duplicates among images: perceptual hashes give candidate pairs, the images decide."""

from dermdata.duplicates.hash_join import DEFAULT_RADIUS, Pair, Pairs, find_near_pairs
from dermdata.duplicates.near_duplicates import (
    MIN_CORRELATION,
    UNVERIFIED_BITS,
    MapFunction,
    NearDuplicates,
    RasterReader,
    find_near_duplicates,
    verify_pairs,
)

__all__ = [
    "DEFAULT_RADIUS",
    "MIN_CORRELATION",
    "UNVERIFIED_BITS",
    "MapFunction",
    "NearDuplicates",
    "Pair",
    "Pairs",
    "RasterReader",
    "find_near_duplicates",
    "find_near_pairs",
    "verify_pairs",
]
