"""Checksums as text: what is none is refused, and one pass gives all that are asked for."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata import checksum
from dermdata.errors import ChecksumMismatch, UsageError

HEX = st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "sha256:", "sha256", "d41d8cd98f00b204e9800998ecf8427e", "crc32:00000000",
        "md5:d41d8cd98f00b204e9800998ecf8427", "md5:d41d8cd98f00b204e9800998ecf8427e0",
        "md5:d41d8cd98f00b204e9800998ecf8427g", "md5: d41d8cd98f00b204e9800998ecf8427",
        "md5:" + "٣" * 32, "sha256:md5:" + "0" * 60, "shake_128:" + "0" * 32,
    ],
)  # fmt: skip
def test_what_is_no_checksum(text: str) -> None:
    """Wrong length, wrong signs, unknown or missing algorithm: refused with the form that is wanted."""
    with pytest.raises(UsageError, match="is no checksum") as caught:
        checksum.parse_checksum(text)
    assert "sha256" in (caught.value.hint or "")


@given(HEX)
def test_case_and_blanks_around_do_not_count(digest: str) -> None:
    """Publishers write digests in either case, and copies carry blanks."""
    assert checksum.parse_checksum(f" SHA256:{digest}\n") == ("sha256", digest.lower())


@given(st.binary(max_size=200), st.integers(0, 200))
def test_one_pass_gives_every_hash(data: bytes, cut: int) -> None:
    """However the bytes are cut, the digests are hashlib's, and SHA-256 is always there."""
    md5, sha1 = hashlib.md5(data).hexdigest(), hashlib.sha1(data).hexdigest()
    hasher = checksum.Hasher(f"md5:{md5}", None, f"sha1:{sha1}")
    hasher.update(data[:cut])
    hasher.update(memoryview(data)[cut:])
    assert hasher.sha256 == hashlib.sha256(data).hexdigest()
    assert hasher.matches(f"MD5:{md5.upper()}")
    hasher.require(f"sha1:{sha1}", "x")
    assert not hasher.matches(f"md5:{'0' * 32}")


@pytest.mark.fault(65)
def test_a_mismatch_shows_both_digests_and_the_name() -> None:
    """Row 65: the person can compare by eye."""
    wanted = "0" * 64
    with pytest.raises(ChecksumMismatch) as caught:
        checksum.Hasher().require(f"sha256:{wanted}", "part_1.zip")
    assert "part_1.zip" in caught.value.message
    assert wanted in caught.value.message
    assert hashlib.sha256().hexdigest() in caught.value.message


def test_a_file_is_hashed_whole(tmp_path: Path) -> None:
    """More than one block, and none at all."""
    data = bytes(range(256)) * 5_000
    path = tmp_path / "file"
    path.write_bytes(data)
    assert (
        checksum.hash_file(path).sha256
        == hashlib.sha256(data).hexdigest()
        == checksum.sha256_of_chunks([data])
    )
    path.write_bytes(b"")
    assert checksum.hash_file(path).sha256 == checksum.sha256_of_chunks([])
