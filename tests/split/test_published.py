"""Somebody's list of images and parts: which columns, whose images."""

import pyarrow as pa
import pytest

from dermdata.errors import BadTable
from dermdata.split import check_split, parse_published_split, recognize_datasets
from dermdata.split.published import join_manifests, unknown_ids


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
