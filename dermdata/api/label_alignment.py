"""The finest label set that several datasets share, as rows and in words."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dermdata.api.label_spaces import count_words, crosswalk_of, fields_of, vocabulary_of
from dermdata.api.label_tables import require_labels
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    from dermdata.crosswalks.alignment import Alignment, LabelCount
    from dermdata.model import Dataset, Label
    from dermdata.vocabulary import Vocabulary

KEYS = ("id", "name", "concepts", "labels", "images")
MOST_LABELS = 4  # labels that are named of several
Words = dict[str, Any]  # `dataset, field, raw_label, count`


class SharedClasses:
    """What an alignment gave: the classes, and why labels are outside them or share one.

    Attributes
    ----------
    classes : Records
        `id, name, concepts, labels, images`; an `id`, such as "nevus+melanoma", can stand in a label space.
        `facts` has the labels that are `unassigned`, those that `forced` classes into one, those that are `wider`
        than others of their class, and the `tradeoff`: what more classes would cost.
    notes : tuple of str
        Why labels have no class, and why others share one, in words.

    """

    def __init__(self, found: "Alignment") -> None:
        items = [
            {"id": one.id, "name": one.name, "concepts": list(one.concepts), "labels": label_items(one.labels),
             "images": one.images}
            for one in found.classes
        ]  # fmt: skip
        self.classes = Records(items, KEYS, alignment_facts(found))
        self.notes = tuple(explain_alignment(found))


def align_labels(
    resources: Resources, names: Sequence[str], *, max_loss: float | None = None, keep_all: bool = False
) -> SharedClasses:
    """The finest label set that the datasets share without ambiguity.

    `max_loss` is the share of the images, from 0 to 1, whose labels may be left out for a finer one; `keep_all`
    leaves no label out, whatever it glues.
    """
    from dermdata.crosswalks.alignment import align_labels

    vocabulary = vocabulary_of(resources)
    datasets = [resources.catalog[name] for name in dict.fromkeys(names)]
    rows = [row for dataset in datasets for row in count_labels(resources, dataset, vocabulary)]
    start = time.perf_counter()
    found = align_labels(rows, vocabulary, max_loss=max_loss, keep_all=keep_all)
    resources.more(f"aligned {count_nouns(len(rows), 'word')} in {time.perf_counter() - start:.2f} s")
    return SharedClasses(found)


def count_labels(
    resources: Resources, dataset: "Dataset", vocabulary: "Vocabulary"
) -> "list[tuple[str, Label, int | None]]":
    """The words of the fields that the dataset's tables take labels from, each with its images."""
    fields = fields_of(dataset)
    words = crosswalk_of(resources, dataset.name, vocabulary)
    labels = [label for label in words if not fields or label.field in fields]
    require_labels(dataset, labels)
    counts = count_words(resources, dataset, labels)
    return [(dataset.name, label, counts.count_images(label.raw_label)) for label in labels]


def alignment_facts(found: "Alignment") -> dict[str, Any]:
    """What JSON has beside the classes."""
    return {
        "unassigned": [{**label_items([one.label])[0], "reason": one.reason} for one in found.unassigned],
        "forced": [
            {
                "labels": label_items(one.labels),
                "into": one.into,
                "without": [list(part) for part in one.without],
            }
            for one in found.forced
        ],
        "wider": [
            {"labels": label_items(one.labels), "into": one.into, "holds": label_items(one.holds)}
            for one in found.wider
        ],
        "tradeoff": [
            {
                "classes": one.classes,
                "images_left_out": one.images_left_out,
                "labels": label_items(one.labels),
            }
            for one in found.tradeoff
        ],
    }


def label_items(labels: "Iterable[LabelCount]") -> list[Words]:
    return [
        {
            "dataset": one.dataset,
            "field": one.label.field,
            "raw_label": one.label.raw_label,
            "count": one.count,
        }
        for one in labels
    ]


# ------------------------------------------------------------------ in words


def explain_alignment(found: "Alignment") -> Iterator[str]:
    """Why labels have no class, and why others share one."""
    for left in found.unassigned:
        yield f"left out: {name_labels(label_items([left.label]))}: {left.reason}"
    for forced in found.forced:
        yield (
            f"{name_some(label_items(forced.labels))} {agree(forced.labels, 'force')} {shorten_id(forced.into)} "
            f"into one class: without, it would be {len(forced.without)}"
        )
    glue = {one.labels for one in found.forced}
    for wider in found.wider:
        if wider.labels not in glue:
            lump = f", a lump ({', '.join(wider.members)})" if wider.members else ""
            held, holding = name_some(label_items(wider.holds)), name_some(label_items(wider.labels))
            yield f"{held} {agree(wider.holds, 'share')} the class of {holding}{lump}"


def name_labels(labels: Iterable[Words]) -> str:
    """Labels by dataset and word, each with its images where they are known."""
    return ", ".join(
        f"{one['dataset']} {one['raw_label']}" + (f" ({one['count']:,})" if one["count"] is not None else "")
        for one in labels
    )


def name_some(labels: Sequence[Words]) -> str:
    """The first labels, and how many more there are."""
    more = f" and {len(labels) - MOST_LABELS:,} more" if len(labels) > MOST_LABELS else ""
    return f"{name_labels(labels[:MOST_LABELS])}{more}"


def agree(labels: "Sequence[LabelCount]", verb: str) -> str:
    """The verb's form for one label or for several."""
    return verb if len(labels) > 1 else f"{verb}s"


def shorten_id(ident: str) -> str:
    """A class's id, unless it is longer than a line."""
    several = ident.split("+")
    if len(several) <= MOST_LABELS:
        return ident
    return f"{'+'.join(several[:MOST_LABELS])}+… ({count_nouns(len(several), 'concept')})"
