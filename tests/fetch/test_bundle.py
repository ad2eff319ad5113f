"""Bundles of cached datasets: only what the receipt vouches for gets a name, whatever the tar holds."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata.cache import Cache
from dermdata.errors import IntegrityError
from dermdata.fetching.bundle import is_bundle, pack_datasets, read_index, unpack_dataset
from support.cached_folders import fetched, files, rewritten, tree


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Two small datasets."""
    cache = Cache(tmp_path / "here")
    folders = [
        fetched(cache, name, {"images/a.jpg": b"a" * 99, f"images/{'ü' * 60}.jpg": b""})
        for name in ("one", "two")
    ]
    pack_datasets(folders, tmp_path / "b.tar", lambda _: None)
    return tmp_path / "b.tar"


def taken(path: Path, root: Path) -> Cache:
    cache = Cache(root)
    for one in read_index(path):
        unpack_dataset(path, one, cache, jobs=1)
    return cache


CHANGES: dict[str, Callable[[str, bytes], bytes | None]] = {
    "an image's last byte": lambda name, data: data[:-1] + b"!" if name.endswith("a.jpg") else data,
    "an image left out": lambda name, data: None if name.endswith("a.jpg") else data,
    "the list": lambda name, data: data.replace(b"images", b"imagez") if "contents-" in name else data,
    "no list": lambda name, data: None if "contents-" in name else data,
    "the receipt": lambda name, data: data.replace(b"one", b"two") if name.endswith("receipt.json") else data,
    "no receipt": lambda name, data: None if name.endswith("receipt.json") else data,
    "the manifest": lambda name, data: data + b"!" if name.endswith(".parquet") else data,
    "the index": lambda name, data: b"{" if name.startswith("dermdata-") else data,
    "a newer index": lambda name, data: data.replace(b"bundle/1", b"bundle/2"),
    "an index of numbers": lambda name, data: data.replace(b'"name": "one"', b'"name": 3'),
    "another folder": lambda name, data: data.replace(b'"folder": "1"', b'"folder": "../.."'),
    "another version": lambda name, data: data.replace(b'"version": "1"', b'"version": "2"'),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_an_altered_bundle_is_refused_whole(what: str, bundle: Path, tmp_path: Path) -> None:
    """The bundle is named, with the way out; no file and no temporary folder is left."""
    bad = rewritten(bundle, tmp_path / "bad.tar", CHANGES[what])
    with pytest.raises(IntegrityError, match=r"bad\.tar") as caught:
        taken(bad, tmp_path / "there")
    assert caught.value.hint
    assert files(tmp_path / "there") == {}


def test_a_half_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    """As a disk that was pulled too early leaves it."""
    data = bundle.read_bytes()
    for end in (600, len(data) // 4, len(data) // 2):
        bundle.write_bytes(data[:end])
        with pytest.raises(IntegrityError):
            taken(bundle, tmp_path / "there" / str(end))
    bundle.write_bytes(b"")
    assert not is_bundle(bundle)


@pytest.mark.parametrize("name", ["one/1/stranger.txt", "one/1/../../../../out.txt", "one/1/.hidden"])
def test_a_member_that_nobody_vouches_for_is_refused(name: str, bundle: Path, tmp_path: Path) -> None:
    """Promise 9: neither among the images nor above the folder."""
    with tarfile.open(bundle, "a") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(IntegrityError):
        taken(bundle, tmp_path / "there")
    assert files(tmp_path / "there") == {}
    assert not list(tmp_path.rglob("out.txt"))


def test_what_comes_out_is_what_went_in(bundle: Path, tmp_path: Path) -> None:
    """Also names that no plain tar header holds; what lies in the folder without record stays behind."""
    assert is_bundle(bundle)
    assert files(taken(bundle, tmp_path / "there").root) == files(tmp_path / "here")
    assert [one.name for one in read_index(bundle)] == ["one", "two"]
    (first, _) = Cache(tmp_path / "here").folders()
    before = tree(first)
    (first.path / "files").mkdir()
    (first.path / "files" / "stranger.txt").write_bytes(b"?")
    pack_datasets([first], tmp_path / "c.tar", lambda _: None)
    shutil.rmtree(tmp_path / "there")
    (again,) = taken(tmp_path / "c.tar", tmp_path / "there").folders()
    assert tree(again) == before
