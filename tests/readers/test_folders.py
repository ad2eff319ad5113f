"""The shape "folders": what stands in the paths of the images."""

import random

import pytest

from dermdata.errors import TableRefused
from dermdata.model import ArchiveMember, Content, ImageFacts, Role, TableSpec
from dermdata.readers import RawTable, read_table

IMAGE = ImageFacts(format="jpeg", mode="RGB", width=1, height=1)


def content(
    official: str, *, file: str = "a.zip", role: Role = "images", image: ImageFacts | None = IMAGE
) -> Content:
    member = ArchiveMember(path=official, offset=0, stored=1, method=0, crc32=0)
    return Content(
        path=f"images/{file}/{official}",
        role=role,
        file=file,
        size=1,
        sha256=official,
        member=member,
        image=image,
    )


def reading(pattern: str | None, *contents: Content, images: tuple[str, ...] = ()) -> RawTable:
    def no_files(name: str, member: str | None) -> bytes:
        raise AssertionError(f"{name} is read")

    return read_table(TableSpec(reader="folders", pattern=pattern, images=images), no_files, contents)


def test_the_parts_of_the_path_are_columns() -> None:
    raw = reading(
        "{split}/{label}/{image}.jpg", content("train/nv/1.jpg"), content("test/Basal cell/ä ö.jpg")
    )
    assert raw.rows.to_pylist() == [
        {"@path": "test/Basal cell/ä ö.jpg", "split": "test", "label": "Basal cell", "image": "ä ö"},
        {"@path": "train/nv/1.jpg", "split": "train", "label": "nv", "image": "1"},
    ]


def test_a_part_is_one_folder() -> None:
    """Deeper paths are others, and signs of regular expressions are signs."""
    raw = reading(
        "a+(b)/{label}/{image}",
        content("a+(b)/nv/1.jpg"),
        content("a+(b)/x/nv/1.jpg"),
        content("aab/nv/1.jpg"),
    )
    assert raw.rows["@path"].to_pylist() == ["a+(b)/nv/1.jpg"]


@pytest.mark.fault(92)
@pytest.mark.parametrize("above", ["", "data/", "data.zip/Original Images/", "a+(b)/"])
def test_any_folders_may_lie_above(above: str) -> None:
    """Where no source says in which folders the class folders lie."""
    raw = reading("**/{label}/{image}.jpg", content(f"{above}nv/1.jpg"), content("2.jpg"))
    assert raw.rows.to_pylist() == [{"@path": f"{above}nv/1.jpg", "label": "nv", "image": "1"}]


def test_words_are_verbatim() -> None:
    """Row 92: case, blanks and Unicode forms are the label's own; whether they are known is asked later."""
    labels = ["Nevus", "nevus ", "na\u00efve", "nai\u0308ve", "NA", "0001", "[red]", "=1+1"]
    raw = reading("{label}/{image}", *(content(f"{label}/{n}.jpg") for n, label in enumerate(labels)))
    assert sorted(raw.rows["label"].to_pylist()) == sorted(labels)


def test_only_images_are_rows() -> None:
    """Masks, tables, license texts and what the system left behind are none."""
    raw = reading(
        "{label}/{image}",
        content("nv/1.jpg"),
        content("nv/1.png", role="masks"),
        content("nv/list.csv", role="metadata", image=None),
        content("nv/Thumbs.db", image=None),
    )
    assert raw.rows["@path"].to_pylist() == ["nv/1.jpg"]


def test_only_the_images_of_the_tables_files() -> None:
    raw = reading(
        "{label}/{image}", content("nv/1.jpg"), content("nv/2.jpg", file="b.zip"), images=("b.zip",)
    )
    assert raw.rows["image"].to_pylist() == ["2.jpg"]


def test_a_broken_image_is_a_row_all_the_same() -> None:
    """What it is, its path says; that it cannot be decoded is the manifest's to say."""
    raw = reading("{label}/{image}", content("nv/1.jpg", image=ImageFacts(problem="truncated")))
    assert raw.rows.num_rows == 1


@pytest.mark.fault(63)
def test_a_name_that_is_not_utf_8_is_rejected_with_a_reason() -> None:
    """Row 63: Arrow holds text; the bytes are shown escaped."""
    raw = reading(
        "{label}/{image}",
        content("nv/" + b"na\xefve.jpg".decode(errors="surrogateescape")),
        content("nv/1.jpg"),
    )
    assert raw.rows.num_rows == 1
    assert raw.rejected == ({"file": "a.zip", "row": "nv/na\\udcefve.jpg", "reason": "name is not UTF-8"},)


def test_no_images_are_a_table_without_rows() -> None:
    """After `--only metadata`, say."""
    raw = reading("{label}/{image}")
    assert raw.rows.column_names == ["@path", "label", "image"]
    assert raw.rows.num_rows == 0


@pytest.mark.fault(102)
def test_the_order_of_the_contents_does_not_matter() -> None:
    """Row 102: folders are listed in any order."""
    contents = [content(f"nv/{n}.jpg") for n in range(30)]
    shuffled = random.Random(1).sample(contents, 30)
    assert reading("{label}/{image}", *contents).rows.equals(reading("{label}/{image}", *shuffled).rows)


def test_no_pattern_is_told() -> None:
    with pytest.raises(TableRefused, match="no pattern"):
        reading(None)
