"""Near duplicates, of one picture and of all: by bytes and perceptual hashes, in all eight ways to turn and mirror."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.duplicates import DEFAULT_RADIUS, UNVERIFIED_BITS, find_near_pairs
from dermdata.images.phash import turn_hashes
from dermdata.manifest.columns import connected_components, text_column

TURNS = np.arange(8)
SAME_BYTES, ALIKE, PERHAPS = "same bytes", "alike", "perhaps alike"


def read_hashes(table: pa.Table) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Each row's perceptual hash as a number, and whether it has one."""
    column = table["phash"].combine_chunks()
    stated = pc.is_valid(column).to_numpy(zero_copy_only=False)
    whole = pc.fill_null(column.cast(pa.binary(8)), b"\0" * 8)
    data = whole.buffers()[1]
    start = whole.offset * 8
    return np.frombuffer(data, ">u8")[start // 8 : start // 8 + len(whole)].astype(np.uint64), stated


def group_alike(table: pa.Table) -> NDArray[np.int64]:
    """The first row of each row's set of pictures that are alike: of equal bytes, or near by their hashes.

    Hashes alone decide, so only those that differ in at most UNVERIFIED_BITS count.
    """
    digests = pc.dictionary_encode(text_column(table, "sha256")).indices
    codes = pc.fill_null(digests, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    _, first, place = np.unique(codes, return_index=True, return_inverse=True)
    same = np.where(codes < 0, np.arange(len(codes)), first[place])
    hashes, stated = read_hashes(table)
    rows = np.flatnonzero(stated)
    pairs = find_near_pairs(hashes[rows], radius=UNVERIFIED_BITS)
    both = zip(rows[pairs.i].tolist(), rows[pairs.j].tolist(), strict=True)
    return connected_components(table.num_rows, [same], both)


def compare_pictures(table: pa.Table, row: int, other: int) -> tuple[int | None, str | None]:
    """How many bits two pictures differ in, turned and mirrored as fits best, and in a word how alike that is.

    Both are None where a picture has no hash, unless the files have the same bytes; the word is None where the pictures
    are not alike.
    """
    digests = text_column(table, "sha256")
    if digests[row].is_valid and digests[row].equals(digests[other]):
        return 0, SAME_BYTES
    hashes, stated = read_hashes(table)
    if not (stated[row] and stated[other]):
        return None, None
    turned = turn_hashes(np.repeat(hashes[row], len(TURNS)), TURNS)
    distance = int(np.bitwise_count(turned ^ hashes[other]).min())
    return distance, name_distance(distance) if distance <= DEFAULT_RADIUS else None


def name_distance(distance: int) -> str:
    """How sure it is that pictures whose hashes differ in so many bits are alike."""
    return ALIKE if distance <= UNVERIFIED_BITS else PERHAPS


def find_near(table: pa.Table, row: int, radius: int = DEFAULT_RADIUS) -> list[tuple[int, int, str]]:
    """The rows that show nearly the same picture as one, the nearest first.

    Parameters
    ----------
    table : pyarrow.Table
        With the columns `phash` and `sha256`.
    row : int
        The row.
    radius : int
        How many of the 64 bits may differ.

    Returns
    -------
    list of (int, int, str)
        Row, bits that differ, and how it was found. It is a hint: `audit --near` compares the pixels.

    """
    found: dict[int, tuple[int, str]] = {}
    hashes, stated = read_hashes(table)
    if stated[row]:
        turned = turn_hashes(np.repeat(hashes[row], len(TURNS)), TURNS)
        distance = np.full(len(hashes), 64, np.uint8)
        for one in np.unique(turned):
            np.minimum(distance, np.bitwise_count(hashes ^ one), out=distance)
        for other in np.flatnonzero((distance <= radius) & stated).tolist():
            found[other] = (int(distance[other]), name_distance(int(distance[other])))
    digests = text_column(table, "sha256")
    if digests[row].is_valid:
        for other in np.flatnonzero(pc.fill_null(pc.equal(digests, digests[row]), fill_value=False)).tolist():
            found[other] = (0, SAME_BYTES)
    found.pop(row, None)
    return sorted(((other, *how) for other, how in found.items()), key=lambda one: (one[1], one[0]))
