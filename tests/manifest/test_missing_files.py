"""What rows name and nothing has is counted by digests: each file of a row once, the first ones by name."""

import pytest

from dermdata.errors import ImagesMissing
from dermdata.manifest.missing_files import MissingFiles


def test_a_file_of_a_row_counts_once() -> None:
    """It is looked for again by the next step; another row's file of the same path is another."""
    missing = MissingFiles()
    for row, path in (
        ("a/1", "1.jpg"),
        ("a/1", "1.jpg"),
        ("a/2", "1.jpg"),
        ("a/1", "2.jpg"),
        ("a/2", "1.jpg"),
    ):
        missing.add(row, "a", [path])
    assert len(missing) == 3
    assert missing.describe() == (
        "3 image files that rows name are not found: a/1 (1.jpg), a/2 (1.jpg), a/1 (2.jpg)"
    )


def test_row_and_path_are_told_apart() -> None:
    """Whatever is in them: where the one ends and the other begins counts, and no text is refused."""
    missing = MissingFiles()
    for row, path in (("a", "bc"), ("ab", "c"), ("1 a", "b"), ("1", " ab"), ("\udcff", "\ud800"), ("", "")):
        missing.add(row, None, [path])
    assert len(missing) == 6


def test_none_is_none_and_many_are_told_by_the_first_three() -> None:
    missing = MissingFiles()
    assert (bool(missing), len(missing)) == (False, 0)
    missing.require_none(["/cache"])
    for number in range(1000):
        missing.add(f"a/{number}", "a" if number else None, [f"{number}.jpg"])
        missing.add(f"a/{number}", "a", [f"{number}.jpg"])
    assert (bool(missing), len(missing)) == (True, 1000)
    assert missing.describe().endswith("not found: a/0 (0.jpg), a/1 (1.jpg), a/2 (2.jpg), …")
    missing.require_none(["/cache"], allowed=True)
    with pytest.raises(ImagesMissing, match="1,000 image files") as told:
        missing.require_none(["/cache"])
    assert "`dermdata fetch a` fetches what is missing" in (told.value.hint or "")
