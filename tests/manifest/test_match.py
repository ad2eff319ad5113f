"""Which file a row means: by path, by name, by name without extension; never one of several."""

import random

import pytest

from dermdata.manifest import match
from dermdata.manifest.match import FileNameIndex, ImageIndex
from dermdata.model import Content, ImageFacts
from support.manifest_builders import file


def found(name: str, *contents: Content, files: tuple[str, ...] | None = None) -> str | None:
    """The official path of the one file that is meant; the reason where there is none."""
    (content,), (problem,) = ImageIndex(contents).find_images([name], files)
    return content.official if content else f"none: {problem}"


@pytest.mark.parametrize(
    "name",
    [
        "train/nv/ISIC_1.jpg",
        "train/nv/ISIC_1",
        "ISIC_1.jpg",
        "ISIC_1",
        "nv/ISIC_1.jpg",
        "nv/ISIC_1",
        "ISIC_1.png",
    ],
)
def test_ways_to_name_a_file(name: str) -> None:
    """A table that says .png means the .jpg of that name, if there is no .png."""
    assert found(name, file("train/nv/ISIC_1.jpg"), file("train/nv/ISIC_10.jpg")) == "train/nv/ISIC_1.jpg"


@pytest.mark.fault(93)
@pytest.mark.parametrize(
    "name",
    [
        "isic_1", "ISIC", "SIC_1.jpg", "v/ISIC_1.jpg", "../ISIC_1.jpg", "/etc/passwd", "/train/nv/ISIC_1.jpg", "a\0b",
        "\n", "ISIC_1.jpg/",
    ],
)  # fmt: skip
def test_what_is_no_name_of_it(name: str) -> None:
    """Row 93: a name is compared with names, never joined to a path; case is part of it."""
    assert found(name, file("train/nv/ISIC_1.jpg")) == "none: no such image file"


def test_the_closest_name_wins() -> None:
    """The exact path before a file name, the name with its extension before another one without."""
    files = [file("a.jpg"), file("part/a.jpg"), file("part/b.jpg"), file("part/b.png"), file("b")]
    assert found("a.jpg", *files) == "a.jpg"
    assert found("part/a.jpg", *files) == "part/a.jpg"
    assert found("b.png", *files) == "part/b.png"
    assert found("b", *files) == "b"


def test_names_of_one_hash_are_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are found by their hash, and compared."""
    files = [file("a.jpg"), file("part/a.jpg"), file("part/b.jpg"), file("b")]
    names = ("a.jpg", "part/a", "b.jpg", "b", "a", "c")
    plain = [[one.official for one in FileNameIndex(files).find(name)] for name in names]
    monkeypatch.setattr(match, "hash", lambda _: 7, raising=False)
    assert [[one.official for one in FileNameIndex(files).find(name)] for name in names] == plain
    assert plain == [["a.jpg"], ["part/a.jpg"], ["part/b.jpg"], ["b"], ["a.jpg"], []]


@pytest.mark.parametrize(("name", "right"), [("BG/76", "Test/BG/76.jpg"), ("D/76", "Test/D/76.jpg")])
def test_folders_tell_files_of_one_name_apart(name: str, right: str) -> None:
    """As a table names them that knows neither the folder above nor the ending."""
    assert found(name, file("Test/BG/76.jpg"), file("Test/D/76.jpg"), file("Test/D/176.jpg")) == right


@pytest.mark.fault(91)
def test_different_files_of_one_name_are_none() -> None:
    """Row 91: said with their number, not the first one taken."""
    files = [file("train/1.jpg"), file("val/1.jpg"), file("c/2.jpg"), file("c/2.png")]
    assert found("1.jpg", *files) == "none: 2 different files have this name"
    assert found("2", *files) == "none: 2 different files have this name"
    assert found("val/1.jpg", *files) == "val/1.jpg"


def test_copies_are_one_file() -> None:
    """The first by path, whatever the order of the list; none of them is an image without row."""
    copies = [file("b/1.jpg", digest="same"), file("a/1.jpg", digest="same")]
    for contents in (copies, copies[::-1]):
        index = ImageIndex(contents)
        (content,), _ = index.find_images(["1.jpg"], None)
        assert content
        assert content.official == "a/1.jpg"
        assert index.unclaimed_images() == []


def test_only_the_files_that_the_table_names() -> None:
    """Two archives may use the same names."""
    files = [file("1.jpg", archive="train.zip"), file("1.jpg", archive="test.zip", digest="other")]
    assert found("1.jpg", *files) == "none: 2 different files have this name"
    assert found("1.jpg", *files, files=("test.zip",)) == "1.jpg"
    assert found("1.jpg", *files, files=("val.zip",)) == "none: no such image file"


def test_masks_and_tables_are_no_images() -> None:
    contents = [
        file("1.png", role="masks"),
        file("1.csv", role="metadata", image=None),
        file("1.txt", image=None),
    ]
    assert found("1", *contents) == "none: no such image file"


def test_an_empty_name_is_told_apart() -> None:
    assert found("", file("1.jpg")) == "none: the source names no image"


def test_a_broken_image_is_found_with_its_problem() -> None:
    index = ImageIndex([file("1.jpg", image=ImageFacts(problem="truncated"))])
    (content,), (problem,) = index.find_images(["1"], None)
    assert content
    assert problem == "truncated"


def test_images_that_no_row_names_are_listed_in_order() -> None:
    contents = [file(f"{n}.jpg") for n in range(9)]
    index = ImageIndex(random.Random(2).sample(contents, 9))
    index.find_images(["3", "4.jpg", "x"], None)
    assert index.unclaimed_images() == [f"images/a.zip/{n}.jpg" for n in (0, 1, 2, 5, 6, 7, 8)]


def test_masks_by_name() -> None:
    """One structure is the lesion, the others stand in a map; an ambiguous one is none."""
    names = ["1_lesion.png", "1_net.png", "train/2_lesion.png", "val/2_lesion.png"]
    index = ImageIndex([file(name, role="masks") for name in names])
    wanted = {one: [f"{n}_{one}.png" for n in (1, 2)] for one in ("lesion", "net", "dots")}
    columns = index.mask_columns(wanted)
    assert columns["mask_path"].to_pylist() == ["masks/a.zip/1_lesion.png", None]
    assert columns["masks"].to_pylist() == [[("net", "masks/a.zip/1_net.png")], None]
    assert index.mask_columns({}) == {}


@pytest.mark.parametrize(
    "there",
    [
        "1_lesion.jpg",
        "1_lesion.PNG",
        "1_lesion.tif",
        "1_lesion",
        "masks/1_lesion.bmp",
        "deep/er/1_lesion.gif",
    ],
)
def test_masks_of_another_ending(there: str) -> None:
    """As images: a rule that says .png means the .jpg of that name, if there is no .png."""
    index = ImageIndex([file(there, role="masks")])
    assert index.mask_columns({"lesion": ["1_lesion.png"]})["mask_path"].to_pylist() == [
        f"masks/a.zip/{there}"
    ]
    assert index.unclaimed_masks() == []


def test_a_mask_is_never_guessed() -> None:
    """Another image's, the one of two, or a text beside it: none; and no row has it, which is told."""
    names = ["1_lesion.jpg", "1_lesion.tif", "11_lesion.jpg"]
    contents = [file(name, role="masks") for name in names]
    index = ImageIndex([*contents, file("2_lesion.txt", role="masks", image=None)])
    wanted = {"lesion": ["1_lesion.png", "2_lesion.png", "lesion.png"]}
    assert index.mask_columns(wanted)["mask_path"].to_pylist() == [None, None, None]
    assert index.unclaimed_masks() == [f"masks/a.zip/{name}" for name in sorted(names)]


def test_the_exact_mask_comes_before_another_ending() -> None:
    index = ImageIndex([file("1_lesion.png", role="masks"), file("1_lesion.jpg", role="masks")])
    assert index.mask_columns({"lesion": ["1_lesion.png"]})["mask_path"].to_pylist() == [
        "masks/a.zip/1_lesion.png"
    ]
    assert index.unclaimed_masks() == ["masks/a.zip/1_lesion.jpg"]
