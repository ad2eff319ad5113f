"""What earlier fetches noted is read once, and a broken note stops all but `--force`."""

from dataclasses import replace
from pathlib import Path

import pytest

from dermdata.cache import Cache, DatasetFolder, FetchedFile
from dermdata.errors import CacheDamaged
from dermdata.fetching import FetchSettings
from dermdata.fetching.plan import read_earlier_records
from dermdata.model import Content
from support.cached_folders import RECEIPT

IMAGES = FetchedFile(
    name="a.zip", role="images", size=1, sha256="1" * 64, checksum=None, url="", fetched_at="", path=None
)
TABLE = replace(IMAGES, name="t.csv", role="metadata", path="files/t.csv")
CONTENTS = (
    Content(path="files/t.csv", role="metadata", file="t.csv", size=1, sha256="1" * 64),
    Content(path="images/a/1.jpg", role="images", file="a.zip", size=1, sha256="2" * 64),
)


@pytest.fixture
def folder(tmp_path: Path) -> DatasetFolder:
    made = Cache(tmp_path).version_folder("demo", "1")
    made.write_receipt(
        replace(
            RECEIPT,
            files=(IMAGES, TABLE),
            roles=("images", "metadata"),
            contents_sha256=made.write_contents(CONTENTS),
        )
    )
    return made


def damage_list(folder: DatasetFolder) -> None:
    (path,) = folder.path.glob("contents-*.tsv")
    path.write_bytes(path.read_bytes() + b"x")


def test_the_receipt_is_parsed_once(folder: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    usual = DatasetFolder.receipt
    monkeypatch.setattr(DatasetFolder, "receipt", lambda self: reads.append(self.name) or usual(self))
    found = read_earlier_records(folder, force=False)
    assert (sorted(found.files), found.contents, reads) == (["a.zip", "t.csv"], CONTENTS, ["demo"])


def test_only_force_goes_past_a_broken_list(folder: DatasetFolder) -> None:
    """What was seen first is known still: the receipt itself is whole."""
    damage_list(folder)
    with pytest.raises(CacheDamaged):
        read_earlier_records(folder, force=False)
    found = read_earlier_records(folder, force=True)
    assert (sorted(found.files), found.receipt, found.contents) == (["a.zip", "t.csv"], None, ())


def test_force_of_one_role_leaves_the_others(folder: DatasetFolder) -> None:
    found = read_earlier_records(folder, force=True)
    receipt, contents = found.unforced(FetchSettings(force=True, only="metadata"))
    assert receipt is not None
    assert (receipt.files, receipt.roles, contents) == ((IMAGES,), ("images",), CONTENTS[1:])
    assert found.unforced(FetchSettings(force=True)) == (None, ())


def test_a_folder_without_a_receipt_has_no_records(tmp_path: Path) -> None:
    found = read_earlier_records(Cache(tmp_path).version_folder("demo", "1"), force=False)
    assert (dict(found.files), found.receipt, found.contents) == ({}, None, ())
