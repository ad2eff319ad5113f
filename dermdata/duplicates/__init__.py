"""Which images look alike: hashes in, pairs out; exact within a distance, then verified on the images."""

from dermdata.duplicates.alike import SURE, Alike, alike
from dermdata.duplicates.join import RADIUS, near
from dermdata.duplicates.pairs import Pair, Pairs
from dermdata.duplicates.verify import ALIKE, Run, verified

__all__ = ["ALIKE", "RADIUS", "SURE", "Alike", "Pair", "Pairs", "Run", "alike", "near", "verified"]
