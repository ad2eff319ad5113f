"""Each group against the rest of its column: for whom a model is worst, and whether that is more than chance.

The rest are the images that state another value. A column is gone through once, whatever the number of its groups: sums
of the rest are those of the column less the group's own.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dermdata.evaluation.comparison import (
    ComparedItem,
    GroupResult,
    class_counts,
    half_widths,
    is_comparable,
    is_known,
    null_variances,
)
from dermdata.evaluation.metrics import decision_metrics, sort_by_code, sum_by_code
from dermdata.evaluation.sample import Codes, EvaluationGroup, Floats, Sample

METRICS = (
    "auroc",
    "balanced_accuracy",
    "accuracy",
)  # the first in which any group can be compared; AUROC of one class


class GroupAndRest(NamedTuple):
    """A group, and the images that state another value of its column."""

    part: int  # the group's number
    group: EvaluationGroup
    rest: Codes  # images of each class of the rest
    metrics: frozenset[str]  # in which both can be compared


class PairSums(NamedTuple):
    """Of each group (row) in each resample: pairs of the column that are ranked rightly, without those of the group.

    Pairs within the group itself are taken off twice: once for its images with the class, once for those without.
    """

    passed: Floats
    positives: Floats  # of the group
    negatives: Floats
    all_positives: Floats  # of the column
    all_negatives: Floats

    def rest_area(self, own: Floats) -> Floats:
        """The AUROC of the rest; `own` is that of each group."""
        within = self.positives * self.negatives
        passed = self.passed + np.where(within > 0, own * within, 0.0)
        pairs = (self.all_positives - self.positives) * (self.all_negatives - self.negatives)
        return np.divide(passed, pairs, out=np.full_like(passed, np.nan), where=pairs > 0)


class RestsOfColumn:
    """One metric of the rests of a column, which is given the same resamples as the groups.

    Parameters
    ----------
    sample : Sample
        All judged images.
    pairs : sequence of GroupAndRest
        Those of the column that are told.
    stated : sequence of EvaluationGroup
        All groups of the column with a value.
    metric : str
        One of `METRICS`.

    """

    def __init__(
        self, sample: Sample, pairs: Sequence[GroupAndRest], stated: Sequence[EvaluationGroup], metric: str
    ) -> None:
        self.pairs, self.metric, self.width = pairs, metric, len(stated)
        rows = np.concatenate([group.rows for group in stated])
        owner = np.repeat(np.arange(len(stated)), [len(group.rows) for group in stated])
        values = [group.value for group in stated]
        self._chosen = np.array([values.index(pair.group.value) for pair in pairs], np.int64)
        if metric == "auroc":
            assert sample.scores is not None  # noqa: S101  # METRICS: AUROC of one class
            scores = sample.scores[rows, sample.positive]
            order = np.argsort(-scores, kind="stable")
            self.rows, ranked = rows[order], scores[order]
            self._has_class = (sample.truth[self.rows] == sample.positive)[:, np.newaxis]
            self._last = np.flatnonzero(np.r_[np.diff(ranked) != 0, True])  # of the images with one score
            self._block = np.searchsorted(self._last, np.arange(len(rows))).astype(np.int32)
            self._sides = sort_by_code(2 * owner[order] + self._has_class[:, 0])
        else:
            self.rows, self._classes = rows, len(sample.classes)
            truth, decision = sample.truth[rows], sample.decision[rows]
            right = np.flatnonzero(truth == decision)
            places = owner * self._classes
            self._true, self._called = sort_by_code(places + truth), sort_by_code(places + decision)
            self._hit = sort_by_code((places + truth)[right], right)
        self._pieces: list[Floats | PairSums] = []

    def add(self, weights: Floats) -> None:
        """Take a piece of the resamples of all images."""
        self._pieces.append(self._compute(weights[self.rows]))

    def estimates(self, own: Floats) -> Floats:
        """The metric of each rest itself; `own` is the groups', (groups,)."""
        return self._finish([self._compute(np.ones((len(self.rows), 1)))], own[:, np.newaxis])[:, 0]

    def resampled(self, own: Floats) -> Floats:
        """The metric of each rest in each resample; `own` is the groups', (groups, resamples)."""
        return self._finish(self._pieces, own) if self._pieces else np.zeros((len(self.pairs), 0))

    def _finish(self, pieces: "list[Floats | PairSums]", own: Floats) -> Floats:
        if self.metric != "auroc":
            return np.concatenate([np.asarray(one) for one in pieces], axis=1)
        sums = PairSums(*(np.concatenate(some, axis=-1) for some in zip(*pieces, strict=True)))
        return sums.rest_area(own)

    def _compute(self, weights: Floats) -> "Floats | PairSums":
        return self._rank(weights) if self.metric == "auroc" else self._decide(weights)

    def _decide(self, weights: Floats) -> Floats:
        """Accuracy or balanced accuracy of each rest."""
        shape = (self.width, self._classes, weights.shape[1])
        sums = [
            sum_by_code(order, weights, self.width * self._classes).reshape(shape)
            for order in (self._true, self._called, self._hit)
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([
                decision_metrics(*(one.sum(axis=0) - one[number] for one in sums))[self.metric]
                for number in self._chosen
            ])  # fmt: skip

    def _rank(self, weights: Floats) -> PairSums:
        """Each image with the class passes those without it that have less; of a tie, half."""
        own = weights * self._has_class
        true, all_ = np.cumsum(own, axis=0)[self._last], np.cumsum(weights, axis=0)[self._last]
        false = all_ - true
        zero = np.zeros((1, weights.shape[1]))
        above = (true + np.vstack([zero, true[:-1]])) / 2  # with the class, above an image without it
        below = false[-1] - (false + np.vstack([zero, false[:-1]])) / 2
        credit = weights * np.where(self._has_class, below[self._block], above[self._block])
        shape = (self.width, 2, weights.shape[1])
        sums, counts = (
            sum_by_code(self._sides, one, 2 * self.width).reshape(shape) for one in (credit, weights)
        )
        without, with_class = sums[:, 0], sums[:, 1]
        passed = with_class.sum(axis=0) - (without + with_class)[self._chosen]
        chosen = counts[self._chosen]
        return PairSums(
            passed, chosen[:, 1], chosen[:, 0], true[-1].copy(), false[-1].copy()
        )  # no views: they hold all


# ------------------------------------------------------------------ which groups


def find_rests(
    sample: Sample, groups: Sequence[EvaluationGroup], explain: Callable[[Codes], str | None]
) -> list[RestsOfColumn]:
    """Of each column the rests that a group can be compared with, all in the same metric.

    `explain` says why nothing may be claimed of some images, as of a group.
    """
    wanted = METRICS if sample.scores is not None and sample.positive is not None else METRICS[1:]
    pairs = [*pair_with_rest(sample, groups, explain)]
    for metric in wanted:
        if found := [pair for pair in pairs if metric in pair.metrics]:
            columns = dict.fromkeys(pair.group.by for pair in found)
            return [make_rests(sample, found, groups, by, metric) for by in columns]
    return []


def make_rests(
    sample: Sample, found: Sequence[GroupAndRest], groups: Sequence[EvaluationGroup], by: str, metric: str
) -> RestsOfColumn:
    """Those of one column."""
    own = [pair for pair in found if pair.group.by == by]
    return RestsOfColumn(sample, own, stated_groups(groups, by), metric)


def stated_groups(groups: Sequence[EvaluationGroup], by: str) -> list[EvaluationGroup]:
    """The groups of a column that have a value."""
    return [group for group in groups if group.by == by and group.value is not None]


def pair_with_rest(
    sample: Sample, groups: Sequence[EvaluationGroup], explain: Callable[[Codes], str | None]
) -> Iterator[GroupAndRest]:
    """Each group that has a rest; the rows of rests are not kept, which are nearly all images for each group."""
    for number, group in enumerate(groups):
        others = [one.rows for one in stated_groups(groups, group.by) if one.value != group.value]
        if group.by and group.value is not None and others:
            rows = np.concatenate(others)
            sides = (group, EvaluationGroup(group.by, "the rest", rows, explain(rows)))
            metrics = (name for name in METRICS if all(is_comparable(name, sample, side) for side in sides))
            counts = class_counts(sample.select_rows(rows))
            yield GroupAndRest(number, group, counts, frozenset(metrics))


# ------------------------------------------------------------------ the answer


def compare_with_rest(
    rests: Sequence[RestsOfColumn], parts: Sequence[GroupResult], level: float
) -> list[ComparedItem]:
    """Each group against the rest of its column: those surely behind it first, and of these the furthest.

    `by, value, n, metric, estimate, rest, rest_n, difference, low, high, claimed`: the difference is how much worse the
    group is. Its interval holds for all groups at once, as the worst one is looked for among them.
    """
    found: list[ComparedItem] = []
    shifts: dict[int, Floats] = {}
    floors: dict[int, float] = {}
    for column in rests:
        for item, moved, floor in compare_column(column, parts):
            shifts[len(found)], floors[len(found)] = moved, floor
            found.append(item)
    known = {number: moved for number, moved in shifts.items() if is_known(moved)}
    reaches = half_widths(known, floors, level)
    for number, item in enumerate(found):
        size, reach = item["difference"], reaches.get(number)
        low, high = (None, None) if reach is None else (size - reach, size + reach)
        item |= {"low": low, "high": high, "claimed": low is not None and low > 0}
    return sorted(found, key=lambda item: (not item["claimed"], -item["difference"]))


def compare_column(
    column: RestsOfColumn, parts: Sequence[GroupResult]
) -> Iterator[tuple[ComparedItem, Floats, float]]:
    """Each group of a column against its rest, how far the resamples lie from that difference, and its least spread."""
    own = [parts[pair.part] for pair in column.pairs]
    estimates = np.array([part.estimates[column.metric] for part in own])
    drawn = np.stack([part.resampled.get(column.metric, np.zeros(0)) for part in own])
    rests = column.estimates(estimates)
    moved = column.resampled(drawn) - drawn - (rests - estimates)[:, np.newaxis]
    for pair, estimate, rest, shift in zip(
        column.pairs, estimates.tolist(), rests.tolist(), moved, strict=True
    ):
        if np.isfinite(rest - estimate):
            item = {
                "by": pair.group.by, "value": pair.group.value, "n": len(pair.group.rows), "metric": column.metric,
                "estimate": estimate, "rest": rest, "rest_n": int(pair.rest.sum()), "difference": rest - estimate,
            }  # fmt: skip
            yield item, shift, least_spread(column.metric, parts[0], pair)


def least_spread(metric: str, whole: GroupResult, pair: GroupAndRest) -> float:
    """The spread that a difference has at least, see `null_variances`."""
    counts = (class_counts(whole.sample.select_rows(pair.group.rows)), pair.rest)
    return float(np.sqrt(null_variances(metric, whole, counts).sum()))
