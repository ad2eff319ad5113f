"""Somebody's list of images and parts: which columns, whose images."""

import pyarrow as pa
import pytest

from dermdata.errors import BadTable
from dermdata.split import check_split, parse_published_split, recognize_datasets
from dermdata.split.published import are_part_names, join_manifests, settle_ids, unknown_ids


def listed(**columns: list[str]) -> pa.Table:
    return pa.table({name: pa.array(words, pa.string()) for name, words in columns.items()})


def manifest(name: str, *images: str, **columns: list[str | None]) -> pa.Table:
    keys = [f"{name}/{image}" for image in images]
    kept = {"image_id": list(images), "key": keys, "dataset": [name] * len(images), **columns}
    table = pa.table({column: pa.array(words, pa.string()) for column, words in kept.items()})
    return table.set_column(2, "dataset", table["dataset"].dictionary_encode())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"color": ["red"], "split": ["a"]}, "no column of image ids"),
        ({"image_id": ["x"], "color": ["red"]}, "no column of parts"),
    ],
)
def test_a_list_without_ids_or_parts_is_refused(columns: dict[str, list[str]], said: str) -> None:
    """The columns that there are, are named."""
    with pytest.raises(BadTable, match=rf"paper.csv: {said}.*among .*color"):
        parse_published_split(listed(**columns), "paper.csv")


@pytest.mark.parametrize(
    ("ids", "parts"),
    [
        ("image_id", "split"),
        ("id", "fold"),
        ("isic_id", "set"),
        ("Image Name", "Subset"),
        ("ImageID", "Partition"),
    ],
)
def test_columns_are_known_by_their_usual_names(ids: str, parts: str) -> None:
    """In any case, with spaces or underscores."""
    found = parse_published_split(
        listed(**{parts: ["train", " "], "dx": ["nv", "mel"], ids: ["x", "y"]}), "paper.csv"
    )
    assert (found.id_column, found.part_column) == (ids, parts)
    assert found.parts.to_pylist() == ["train", None]


def test_the_closer_name_wins() -> None:
    """An `id` beside `image_id` counts lines; a `fold` beside `split` is a further division."""
    found = parse_published_split(listed(id=["1"], fold=["0"], split=["train"], image_id=["x"]), "paper.csv")
    assert (found.id_column, found.part_column) == ("image_id", "split")


def test_files_are_parts_where_no_column_says_so() -> None:
    found = parse_published_split(listed(image=["x", "y"]), "train.csv", "train")
    assert (found.part_column, found.parts.to_pylist()) == (None, ["train", "train"])


def test_ids_are_found_as_paths_files_and_isic_ids() -> None:
    """Folders, endings, backslashes and ISIC's `_downsampled` aside."""
    table = manifest("a", "x", "y", "part/z", isic_id=["ISIC_1", None, None])
    ids = pa.array(["./data/x.jpg", r"C:\data\y.PNG", "part/z.jpg", "ISIC_1_downsampled.jpg", "nosuch", None])
    assert recognize_datasets(ids, {"a": table})["a"].tolist() == [0, 1, 2, 0, -1, -1]


def test_the_dataset_that_knows_most_is_taken_first_of_equals_the_smaller() -> None:
    """HAM10000's images are in ISIC 2019 too; a list of two datasets needs both."""
    ham, isic = manifest("ham", "1", "2"), manifest("isic", "1", "2", "3")
    pad = manifest("pad", "p", "q")
    datasets = {"isic": isic, "ham": ham, "pad": pad}
    assert list(recognize_datasets(pa.array(["1", "2"]), datasets)) == ["ham"]
    assert list(recognize_datasets(pa.array(["1", "3", "p"]), datasets)) == ["isic", "pad"]
    assert recognize_datasets(pa.array(["nosuch"]), datasets) == {}


def test_a_joined_list_is_judged_by_what_the_manifests_know() -> None:
    """Lesions of the manifest; of images that no dataset knows the list's own lesions and the ids themselves."""
    ids, parts = ["1", "2", "u1", "u2", "u1", ""], ["train", "test", "train", "test", "test", "test"]
    split = parse_published_split(
        listed(image=ids, set=parts, lesion_id=["", "", "L", "L", "M", "L"]), "paper.csv"
    )
    ham = manifest("ham", "1", "2", lesion_id=["HAM_1", "HAM_1"], split=["test", "test"])
    found = recognize_datasets(split.ids, {"ham": ham})
    table, _ = join_manifests(found, {"ham": ham}, split)
    leaks = [one.evidence for one in check_split(table)]
    assert [{**one}.get("lesion_id") or one.get("key") for one in leaks] == ["HAM_1", "L", "u1"]
    assert unknown_ids(found, split.ids) == ["u1", "u2", "u1"]


def test_a_column_that_holds_no_words_is_refused_in_words() -> None:
    """A Parquet file may hold anything under any name."""
    for column in (pa.array([["a"], ["b"]]), pa.array([b"\xff", b"\xfe"])):
        with pytest.raises(BadTable, match="are words, not"):
            parse_published_split(pa.table({"image_id": column, "split": ["train", "test"]}), "paper.parquet")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"dataset": ["vidir", "rosendahl"], "split": ["train", "test"]}, "split"),
        ({"dataset": ["train", "test"]}, "dataset"),
        ({"set": ["HAM", "HAM"], "fold": ["0", "1"]}, "fold"),
        ({"group": ["control", "case"], "phase": ["a", "b"]}, "phase"),
        ({"part": ["back", "arm"], "usage": ["Training", "Test"]}, "usage"),
    ],
)
def test_a_column_of_parts_names_parts(columns: dict[str, list[str]], found: str) -> None:
    """`part` may be of the body, `dataset` a clinic's: what sounds like parts counts more than what a column is called."""
    assert parse_published_split(listed(image=["x", "y"], **columns), "paper.csv").part_column == found


def test_a_column_that_is_no_part_is_not_taken_for_one() -> None:
    """`dataset` of HAM10000 and `group` of a trial."""
    for name in ("dataset", "group"):
        with pytest.raises(BadTable, match="no column of parts"):
            parse_published_split(listed(image=["x", "y"], **{name: ["one", "two"]}), "paper.csv")


@pytest.mark.parametrize(
    ("names", "are"),
    [
        (["train", "test"], True),
        (["HAM_train_v2", "HAM_val_v2", "HAM_test_v2"], True),
        (["fold_0", "fold_1"], True),
        (["Training", "Validation"], True),
        (["test-a", "test-b"], False),
        (["clinic", "hospital"], False),
        (["train", "hospital"], False),
        (["valencia", "testing"], False),
    ],
)
def test_names_of_files_sound_like_parts_or_not(names: list[str], are: bool) -> None:
    """Each must be another part: two test sets are not."""
    assert are_part_names(names) is are


def test_the_list_s_ids_are_said_in_the_dataset_s_words_where_both_are_known() -> None:
    """One that is several of the dataset's stays as it is, and stands for itself in a column of its own."""
    known = pa.table({"lesion_id": pa.array(["x/A", "x/A", "x/B", None, None, None], pa.string())})
    own = pa.array(["a", "a", "b", "a", "c", "b"])
    table, conflict = settle_ids(known, "lesion_id", own)
    assert table["lesion_id"].to_pylist() == ["x/A", "x/A", "x/B", "x/A", "c", "x/B"]
    assert (conflict.merged, conflict.parted) == ((), ())
    assert table.column_names == ["lesion_id"]
    table, conflict = settle_ids(known, "lesion_id", pa.array(["a", "a2", "a", "a", "c", None]))
    assert table["lesion_id"].to_pylist() == ["x/A", "x/A", "x/B", "a", "c", None]
    assert (conflict.merged, conflict.parted) == (("a",), ("x/A",))
    assert table["lesion_id_in_list"].to_pylist() == ["a", None, "a", "a", None, None]
