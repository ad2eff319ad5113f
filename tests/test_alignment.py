"""The finest common label space of several datasets."""

import csv
from time import perf_counter

import pytest

from dermdata.crosswalks.alignment import align_labels
from dermdata.errors import UsageError
from support.bundled_labels import CATALOG, labels, needs_shared, shared_rows, vocabulary

FIELDS = {
    "ham10000": "dx",
    "isic-2019": "one-hot",
    "pad-ufes-20": "diagnostic",
    "derm7pt": "diagnosis",
    "fitzpatrick17k": "label",
    "msld-v2": "class folder",
    "scin": "weighted_skin_condition_label",
}
HAM = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}


def rows(*datasets, counts=None):
    """The diagnosis labels of bundled datasets, ten images each where no counts are given."""
    wanted = [(name, row) for name in datasets for row in labels(name) if row.field == FIELDS[name]]
    counted = counts or {}
    return [(name, row, counted.get((name, row.field, row.raw_label), 10)) for name, row in wanted]


def together(alignment):
    """The raw words of each class."""
    return [{one.label.raw_label for one in each.labels} for each in alignment.classes]


def real_counts():
    found = shared_rows("vocabulary/raw_labels.csv")
    return {
        (row["dataset"], row["field"], row["raw_label"]): int(row["count_if_known"])
        for row in found
        if row["count_if_known"]
    }


# ------------------------------------------------------------------ the bad day


def test_no_labels_have_no_classes():
    """Nothing in, nothing out."""
    found = align_labels([], vocabulary())
    assert (found.classes, found.unassigned, found.tradeoff, found.forced, found.wider) == (
        (),
        (),
        (),
        (),
        (),
    )


@pytest.mark.parametrize("loss", [-0.1, 1.5, float("nan")])
def test_a_loss_that_is_no_share_is_refused(loss):
    """2 is no 2%."""
    with pytest.raises(UsageError, match="is no share"):
        align_labels(rows("ham10000"), vocabulary(), max_loss=loss)


def test_keeping_all_and_losing_some_exclude_each_other():
    """The caller must decide."""
    with pytest.raises(UsageError):
        align_labels(rows("ham10000"), vocabulary(), max_loss=0.1, keep_all=True)


def test_one_catch_all_word_glues_everything_when_all_is_kept():
    """derm7pt "miscellaneous" spans every neoplasm."""
    found = align_labels(rows("ham10000", "pad-ufes-20", "derm7pt"), vocabulary(), keep_all=True)
    assert len(found.classes) == 1
    assert found.unassigned == ()


# ------------------------------------------------------------------ what the page promises


def test_labels_align_ham10000_pad_ufes_20():
    """akiec, ACK and SCC are one class; MEL, NEV and BCC stay apart; SEK joins bkl, which is a lump."""
    found = align_labels(rows("ham10000", "pad-ufes-20"), vocabulary())
    assert sorted(map(sorted, together(found))) == [
        ["ACK", "SCC", "akiec"],
        ["BCC", "bcc"],
        ["MEL", "mel"],
        ["NEV", "nv"],
        ["SEK", "bkl"],
        ["df"],
        ["vasc"],
    ]
    assert found.unassigned == ()


def test_a_class_is_named_by_its_concepts():
    """The id can be written in --labels; the name is for people."""
    found = align_labels(rows("ham10000", "pad-ufes-20"), vocabulary())
    [one] = [each for each in found.classes if len(each.concepts) == 2]
    assert one.id == "actinic-keratosis+squamous-cell-carcinoma"
    assert one.name == "Actinic keratosis or Squamous cell carcinoma (in situ or invasive)"
    assert one.images == 30


def test_the_label_that_forced_a_merge_is_named_with_what_it_joins():
    """Without akiec, AK and SCC would be two classes."""
    [forced] = align_labels(rows("ham10000", "pad-ufes-20"), vocabulary()).forced
    assert [one.key for one in forced.labels] == [("ham10000", "dx", "akiec")]
    assert forced.without == (("actinic-keratosis",), ("squamous-cell-carcinoma",))


def test_miscellaneous_of_derm7pt_is_left_out_and_named():
    """Unassigned by default, with its count and with what it would glue."""
    found = align_labels(rows("ham10000", "isic-2019", "pad-ufes-20", "derm7pt"), vocabulary())
    reasons = {one.label.label.raw_label: one for one in found.unassigned}
    assert set(reasons) == {"miscellaneous", "UNK"}
    assert reasons["miscellaneous"].label.count == 10
    assert reasons["miscellaneous"].reason == "'neoplastic' is all that is known: would make 9 classes one"
    assert reasons["UNK"].reason.startswith("diagnosis not stated")


@needs_shared
def test_the_tradeoff_begins_with_the_cheapest_catch_all():
    """8 images of 'miscellaneous' and no image of UNK buy nine classes, 327 akiec images a tenth."""
    found = align_labels(
        rows("ham10000", "isic-2019", "pad-ufes-20", "derm7pt", counts=real_counts()), vocabulary()
    )
    table = {
        one.classes: (one.images_left_out, {x.label.raw_label for x in one.labels}) for one in found.tradeoff
    }
    assert table[1] == (0, set())
    assert table[9] == (8, {"miscellaneous", "UNK"})
    assert table[10] == (335, {"miscellaneous", "UNK", "akiec"})


@needs_shared
def test_a_loss_of_two_percent_takes_the_finest_space_within_it():
    """akiec's 327 images of 38,655 are fewer."""
    given_rows = rows("ham10000", "isic-2019", "pad-ufes-20", "derm7pt", counts=real_counts())
    found = align_labels(given_rows, vocabulary(), max_loss=0.02)
    assert {one.label.label.raw_label for one in found.unassigned} == {"miscellaneous", "UNK", "akiec"}
    assert len(found.classes) == 10
    assert {"AK", "ACK"} in together(found)
    assert len(align_labels(given_rows, vocabulary(), max_loss=0).classes) == 1


def test_a_label_whose_count_is_unknown_is_never_the_price():
    """Nobody can say what leaving it out costs."""
    unknown = [
        (name, row, None if row.raw_label == "akiec" else 10)
        for name, row, _ in rows("ham10000", "pad-ufes-20")
    ]
    found = align_labels(unknown, vocabulary())
    assert [one.classes for one in found.tradeoff] == [7]


def test_normal_skin_is_a_class():
    """A superclass without finer concepts is no catch-all."""
    found = align_labels(rows("msld-v2"), vocabulary())
    assert {"Healthy"} in together(found)
    assert found.unassigned == ()


def test_an_exact_lump_covers_more_than_its_known_members():
    """VASC is every benign vascular lesion: a port-wine stain belongs to it although no member names it."""
    found = align_labels(rows("ham10000", "fitzpatrick17k"), vocabulary())
    [one] = [words for words in together(found) if "vasc" in words]
    assert "port wine stain" in one


@needs_shared
def test_the_five_datasets_of_the_page_are_aligned_at_once():
    """Well under a second."""
    given_rows = rows(*FIVE, counts=real_counts())
    start = perf_counter()
    found = align_labels(given_rows, vocabulary())
    assert perf_counter() - start < 1
    assert len(found.classes) > 80


def subtrees(path):
    """Concept -> itself and all below it, from the file by itself: nothing of dermdata's own tree."""
    with path.open(encoding="utf-8", newline="") as file:
        parents = {row["id"]: row["parent"] for row in csv.DictReader(file, delimiter="\t")}
    found = {one: set() for one in parents}
    for one in parents:
        above = one
        while above:
            found[above].add(one)
            above = parents[above]
    return found


def brute_force(given_rows, below):
    """Join any two labels that may mean the same concept until nothing changes."""
    parts = []
    for name, row, _ in given_rows:
        known = row.members and row.predicate != "exactMatch"
        members = row.members if known else (row.concept, *row.members)
        if row.concept == "unknown":
            members = ("skin-finding",)  # may be anything
        parts.append(({(name, row.raw_label)}, set().union(*(below[one] for one in members))))
    done = []
    while parts:
        words, extent = parts.pop()
        touching = [other for other in parts if other[1] & extent]
        if not touching:
            done.append((words, extent))
            continue
        parts = [other for other in parts if not other[1] & extent]
        parts.append(
            (words.union(*(one[0] for one in touching)), extent.union(*(one[1] for one in touching)))
        )
    return sorted(sorted(words) for words, _ in done)


FIVE = ("ham10000", "isic-2019", "pad-ufes-20", "derm7pt", "fitzpatrick17k")


@needs_shared
@pytest.mark.parametrize(
    ("left", "options", "classes"), [({"miscellaneous", "UNK"}, {}, 91), (set(), {"keep_all": True}, 1)]
)
def test_the_five_datasets_fall_as_by_brute_force(left, options, classes):
    """Class by class, by another reading of the files; whole subtrees apart, each label whole in its class."""
    given_rows = rows(*FIVE, counts=real_counts())
    found = align_labels(given_rows, vocabulary(), **options)
    assert {one.label.label.raw_label for one in found.unassigned} == left
    below = subtrees(CATALOG / "vocabulary/concepts.tsv")
    kept = [row for row in given_rows if row[1].raw_label not in left]
    ours = sorted(sorted((one.dataset, one.label.raw_label) for one in each.labels) for each in found.classes)
    assert ours == brute_force(kept, below)
    assert len(ours) == classes
    covers = [set().union(*(below[one] for one in each.concepts)) for each in found.classes]
    assert sum(map(len, covers)) == len(set().union(*covers))


def test_a_lump_that_holds_another_label_whole_is_named_for_sharing_its_class():
    """SEK shares bkl's class because bkl is a lump; taking bkl out would not make more classes."""
    found = align_labels(rows("ham10000", "pad-ufes-20"), vocabulary())
    [wider] = [one for one in found.wider if one.into == "benign-keratosis"]
    assert [one.key for one in wider.labels] == [("ham10000", "dx", "bkl")]
    assert [one.key for one in wider.holds] == [("pad-ufes-20", "diagnostic", "SEK")]
    assert wider.members == ("seborrheic-keratosis", "solar-lentigo", "lichen-planus-like-keratosis")


def test_a_catch_all_without_a_count_does_not_hide_the_tradeoff():
    """It is left out anyway: UNK, which no table counts, costs as far as is known."""
    uncounted = [(name, row, None if row.raw_label == "UNK" else 10) for name, row, _ in rows("isic-2019")]
    found = align_labels(uncounted, vocabulary())
    assert [(one.classes, one.images_left_out) for one in found.tradeoff] == [(1, 0), (8, 0)]


def test_scin_and_its_many_overlaps_are_aligned():
    """Overlaps and catch-alls stay out by name; everything else has a class."""
    given_rows = rows("scin", "derm7pt")
    found = align_labels(given_rows, vocabulary())
    placed = sum(len(each.labels) for each in found.classes) + len(found.unassigned)
    assert placed == len(given_rows)
    assert all(one.reason for one in found.unassigned)
