"""Image files: what cannot be used is an error, what may fail elsewhere is a warning."""

from pathlib import Path

import pytest
from PIL import Image

from support.audit_builders import audited, rows, told
from support.lesion_pictures import blurred_lesion, jpeg

SMALL = (64, 48)


def put(folder: Path, **files: bytes) -> list[str]:
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    return [name.replace("_", ".") for name in files]


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (b"", "image-unreadable", "empty"),
        (b"<html>login</html>", "image-unreadable", "not an image"),
        (jpeg(blurred_lesion(1, SMALL))[:-400], "image-truncated", "truncated"),
        (jpeg(blurred_lesion(1, SMALL))[:-2], "image-truncated", "truncated"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "image-unreadable", "header"),
    ],
    ids=["empty", "a page", "cut", "without its end", "header"],
)
def test_what_does_not_decode_whole_is_an_error(tmp_path: Path, data: bytes, code: str, word: str) -> None:
    """The finding names the image and says why."""
    (one,) = audited(
        rows(path=put(tmp_path, x_jpg=data)), "image-unreadable", "image-truncated", root=tmp_path
    )
    assert (one.level, one.code, one.keys) == ("error", code, ("a/0",))
    assert word in one.message


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """So is one that is a folder."""
    (tmp_path / "folder.jpg").mkdir()
    found = audited(rows(path=["gone.jpg", "folder.jpg"]), "image-unreadable", root=tmp_path)
    assert [one.level for one in found] == ["error", "error"]
    assert "missing" in found[0].message
    assert "cannot be read" in found[1].message


def test_rows_without_an_image_are_noted_by_their_reason(tmp_path: Path) -> None:
    """A metadata-only fetch is no fault of the data."""
    found = audited(rows(path=[None, None, None], image_problem=["dead", "dead", None]), "image-unreadable")
    assert told(found) == [
        ("note", "image-unreadable", ("a/0", "a/1")),
        ("note", "image-unreadable", ("a/2",)),
    ]


def test_a_png_that_is_called_jpg_is_a_warning(tmp_path: Path) -> None:
    """It decodes here, but not with loaders that trust the name."""
    blurred_lesion(1, SMALL).save(tmp_path / "x.jpg", "PNG")
    (one,) = audited(rows(path=["x.jpg"]), "image-unreadable", root=tmp_path)
    assert (one.level, one.evidence["format"], one.evidence["ending"]) == ("warning", "png", ".jpg")


def test_metadata_of_the_person_is_told_without_its_values(tmp_path: Path) -> None:
    """A name is a warning, a date a note; the name itself is nowhere."""
    exif = Image.Exif()
    exif[0x013B], exif[0x0132] = "Jane Doe", "2020:01:01 10:00:00"
    put(tmp_path, x_jpg=jpeg(blurred_lesion(1, SMALL), exif=exif), y_jpg=jpeg(blurred_lesion(2, SMALL)))
    found = audited(rows(path=["x.jpg", "y.jpg"]), "exif-private", root=tmp_path)
    assert [(one.level, one.keys, one.evidence["kind"]) for one in found] == [
        ("warning", ("a/0",), "name"),
        ("note", ("a/0",), "date"),
    ]
    assert "Jane" not in str(found)


def turned(number: int, turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return jpeg(blurred_lesion(number, SMALL), exif=exif)


def test_turned_images_are_a_note_and_with_a_mask_a_warning(tmp_path: Path) -> None:
    """Loaders that obey the tag lay the mask on another picture than those that do not."""
    paths = put(tmp_path, v_jpg=turned(1, 6), w_jpg=turned(2, 1), x_jpg=turned(3, 8), y_jpg=turned(4, 3))
    (one,) = audited(rows(path=paths), "image-turned", root=tmp_path)
    assert (one.level, one.keys) == ("note", ("a/0", "a/2", "a/3"))
    assert one.evidence == {"images": 3, "masks": 0, "orientations": {"3": 1, "6": 1, "8": 1}}
    masked = rows(path=paths, mask_path=["m.png", "m.png", None, None])
    (one,) = audited(masked, "image-turned", root=tmp_path)
    assert (one.level, one.evidence["masks"]) == ("warning", 1)
    assert "1 of them have a mask" in one.message


@pytest.mark.parametrize("data", [b"<html>", turned(1, 1), jpeg(blurred_lesion(1, SMALL))])
def test_what_is_not_turned_is_no_finding(tmp_path: Path, data: bytes) -> None:
    assert audited(rows(path=put(tmp_path, x_jpg=data)), "image-turned", root=tmp_path) == []


def test_one_file_in_two_rows_is_looked_at_once(tmp_path: Path) -> None:
    """And told in both."""
    put(tmp_path, x_jpg=b"no")
    found = audited(rows(path=["x.jpg", "x.jpg"]), "image-unreadable", root=tmp_path)
    assert [one.keys for one in found] == [("a/0",), ("a/1",)]
