"""AUROC and average precision of many resamples at once, from one sorting: a resample is a weight of each image."""

from typing import NamedTuple

import numpy as np

from dermdata.evaluation.sample import Codes, Floats, Mask

NOWHERE = np.zeros(0, np.int64)


class Order(NamedTuple):
    """Images from the highest score down, and where scores lie that an image of the class has.

    Both measures are sums over these scores alone; what lies between two of them is only counted.
    """

    rows: Codes
    positive: Codes  # those of the class, in this order
    of_score: Codes  # where in `positive` each score begins
    cuts: Codes  # where in `rows` stretches begin: a score's own images, or what lies between two scores
    before: Codes  # number of stretches above each score
    until: Codes  # … and with its own


def order(scores: Floats, truth: Mask) -> Order:
    rows = np.argsort(-scores, kind="stable")
    sorted_scores, there = scores[rows], truth[rows]
    if not there.any():
        return Order(rows, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE)
    starts = np.flatnonzero(np.r_[True, np.diff(sorted_scores) != 0])
    block = np.cumsum(np.r_[True, np.diff(sorted_scores) != 0]) - 1
    blocks, of_score = np.unique(block[there], return_index=True)
    ends = np.r_[starts[1:], len(rows)]
    edges = np.unique(np.r_[0, starts[blocks], ends[blocks]])
    before, until = np.searchsorted(edges, starts[blocks]), np.searchsorted(edges, ends[blocks])
    return Order(rows, rows[there], of_score, edges[edges < len(rows)], before, until)


def areas(found: Order, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision of each resample (column of `weights`); not a number where a side has no weight."""
    count = weights.shape[1]
    if not len(found.positive):
        return np.full(count, np.nan), np.full(count, np.nan)
    stretches = np.add.reduceat(weights[found.rows], found.cuts, axis=0)
    above = np.vstack([np.zeros(count), np.cumsum(stretches, axis=0)])
    hits = np.add.reduceat(weights[found.positive], found.of_score, axis=0)
    true = np.cumsum(hits, axis=0)
    all_true, everything = true[-1], above[-1]
    false_before, false_until = above[found.before] - (true - hits), above[found.until] - true
    negatives = everything - all_true
    passed = (hits * (negatives - (false_before + false_until) / 2)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = passed / (all_true * negatives)
        shares = np.where(hits > 0, hits * true / above[found.until], 0.0)
        precision = np.where(negatives > 0, shares.sum(axis=0) / all_true, np.nan)
    return area, precision
