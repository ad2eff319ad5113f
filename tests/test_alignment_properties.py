"""What must hold of every alignment, against brute force on small trees."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.crosswalks.alignment import align_labels
from dermdata.model import Label
from dermdata.vocabulary import Concept, Vocabulary, project_label


@st.composite
def cases(draw):
    """A tree of up to nine concepts and up to six labels of two datasets over it."""
    count = draw(st.integers(2, 9))
    parents = [draw(st.integers(0, place - 1)) for place in range(1, count)]
    concepts = [Concept("n0", "N0", None, "root", "mixed")]
    concepts += [
        Concept(f"n{place}", f"N{place}", f"n{parent}", "group", "benign")
        for place, parent in enumerate(parents, start=1)
    ]
    tree = Vocabulary(concepts)
    given_rows = []
    for place in range(draw(st.integers(1, 6))):
        members = draw(st.lists(st.integers(1, count - 1), unique=True, max_size=2))
        ids = [f"n{one}" for one in members] or [f"n{draw(st.integers(1, count - 1))}"]
        lump = len(ids) > 1
        row = Label(
            field="dx",
            raw_label=f"w{place}",
            concept=tree.lowest_common_ancestor(ids),
            predicate="broadMatch" if lump else draw(st.sampled_from(["exactMatch", "broadMatch"])),
            members=tuple(ids) if lump else (),
        )
        given_rows.append((draw(st.sampled_from("ab")), row, draw(st.integers(0, 5))))
    return tree, given_rows


def extent(row, tree):
    """What a label may cover, spelled out."""
    ids = row.members or (row.concept,)
    return {below for one in ids for below in (one, *tree.descendants(one))}


def partition(given_rows, tree):
    """Brute force: merge any two labels that overlap until nothing changes."""
    parts = [({place}, extent(row, tree)) for place, (_, row, _) in enumerate(given_rows)]
    merging = True
    while merging:
        merging = False
        for one, other in combinations(parts, 2):
            if one[1] & other[1]:
                parts.remove(one)
                parts.remove(other)
                parts.append((one[0] | other[0], one[1] | other[1]))
                merging = True
                break
    return {frozenset(given_rows[place][1].raw_label for place in part) for part, _ in parts}


def words(alignment):
    return {frozenset(one.label.raw_label for one in each.labels) for each in alignment.classes}


@given(cases())
def test_every_label_falls_whole_into_one_class_and_no_finer_space_has_that(case):
    """Classes are disjoint; splitting any one would cut a label."""
    tree, given_rows = case
    found = align_labels(given_rows, tree, keep_all=True)
    covered = [
        {below for one in each.concepts for below in (one, *tree.descendants(one))} for each in found.classes
    ]
    assert not any(one & other for one, other in combinations(covered, 2))
    for each, cover in zip(found.classes, covered, strict=True):
        assert all(extent(one.label, tree) <= cover for one in each.labels)
    assert words(found) == partition(given_rows, tree)


@given(cases())
def test_every_assigned_label_projects_into_its_class(case):
    """The aligned space and the projection agree."""
    tree, given_rows = case
    found = align_labels(given_rows, tree, keep_all=True)
    for each in found.classes:
        for one in each.labels:
            assert project_label(one.label, found.space(), tree).value == each.id


@given(cases(), st.randoms())
def test_the_order_of_datasets_is_irrelevant(case, random):
    """Same rows, same alignment, down to the table."""
    tree, given_rows = case
    mixed = list(given_rows)
    random.shuffle(mixed)
    assert align_labels(given_rows, tree) == align_labels(mixed, tree)
    assert align_labels(given_rows, tree, max_loss=0.3) == align_labels(mixed, tree, max_loss=0.3)


@given(cases())
def test_adding_a_dataset_never_splits_a_class(case):
    """More words can only glue."""
    tree, given_rows = case
    before = words(align_labels([row for row in given_rows if row[0] == "a"], tree))
    after = words(align_labels(given_rows, tree))
    assert all(any(one <= other for other in after) for one in before)


@settings(max_examples=200)
@given(cases())
def test_the_tradeoff_is_the_best_there_is(case):
    """Against every way to leave labels out."""
    tree, given_rows = case
    best: dict[int, int] = {}
    for size in range(len(given_rows)):
        for left in combinations(range(len(given_rows)), size):
            kept = [row for place, row in enumerate(given_rows) if place not in left]
            cost = sum(given_rows[place][2] for place in left)
            classes = len(partition(kept, tree))
            best[classes] = min(best.get(classes, cost), cost)
    kept_whole = len(partition(given_rows, tree))
    wanted = {
        classes: cost
        for classes, cost in best.items()
        if classes == kept_whole or all(cost < more for higher, more in best.items() if higher > classes)
    }
    found = {one.classes: one.images_left_out for one in align_labels(given_rows, tree).tradeoff}
    assert found == wanted


@given(cases())
def test_each_line_of_the_tradeoff_keeps_its_word(case):
    """Leaving out just these labels gives just this many classes at just this price."""
    tree, given_rows = case
    for line in align_labels(given_rows, tree).tradeoff:
        left = {one.label.raw_label for one in line.labels}
        kept = [row for row in given_rows if row[1].raw_label not in left]
        assert len(partition(kept, tree)) == line.classes
        assert sum(row[2] for row in given_rows if row[1].raw_label in left) == line.images_left_out
