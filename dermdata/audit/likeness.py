"""How alike the pictures of candidate pairs are, each pair laid upon each other once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dermdata.audit.seen import Pair, Shelf
from dermdata.duplicates import ALIKE, Pairs

ANYTHING = -2.0  # below every correlation: those that are not alike are remembered too


def verified(
    pairs: Pairs,
    digests: Sequence[str | None],
    owners: Sequence[str],
    shelves: Mapping[str, Shelf],
    judge: Callable[..., Pairs],
) -> Pairs:
    """The pairs whose pictures are alike, as `duplicates.verified` judges those that are not known yet.

    `owners` are the pictures' datasets, whose shelves remember the rest.
    """
    known = {name: shelf.alike() for name, shelf in shelves.items()}
    names = [
        (digests[i] or "", digests[j] or "", turn)
        for i, j, turn in zip(pairs.i.tolist(), pairs.j.tolist(), pairs.turn.tolist(), strict=True)
    ]
    owner = [owners[i] for i in pairs.i.tolist()]
    likeness = np.array(
        [known[who].get(pair, np.nan) for who, pair in zip(owner, names, strict=True)], np.float32
    )
    todo = np.flatnonzero(np.isnan(likeness))
    done = judge(pairs[todo], alike=ANYTHING)
    if done.likeness is not None:
        likeness[todo] = done.likeness
    remember([(owner[at], names[at], float(likeness[at])) for at in todo.tolist()], shelves, known)
    return replace(pairs, likeness=likeness)[likeness >= ALIKE]


def remember(
    found: Sequence[tuple[str, Pair, float]],
    shelves: Mapping[str, Shelf],
    known: Mapping[str, Mapping[Pair, float]],
) -> None:
    for name, shelf in shelves.items():
        new = {pair: likeness for who, pair, likeness in found if who == name and all(pair[:2])}
        shelf.keep_alike(new, known[name])
