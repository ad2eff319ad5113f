"""Parts by hash: what moves a group and what does not."""

import pyarrow as pa

from dermdata.split import split_rows


def rows(*images: tuple[str, str | None, str | None, str | None]) -> pa.Table:
    """Image id, patient, lesion, sha256."""
    ids, patients, lesions, hashes = (list(column) for column in zip(*images, strict=True))
    text = {"image_id": ids, "patient_id": patients, "lesion_id": lesions, "sha256": hashes}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in text.items()})
    return table.append_column("dataset", pa.array(["a"] * len(ids)))


def parts(table: pa.Table, **request: object) -> dict[str, str]:
    done = split_rows(table, stratify=(), stable=True, **request).table  # type: ignore[arg-type]
    return dict(zip(done["image_id"].to_pylist(), done["split"].to_pylist(), strict=True))


def test_a_patients_new_image_with_a_smaller_name_moves_nothing() -> None:
    """The patient names the group, not its first image."""
    old = rows(*((f"{i:03}", f"p{i}", None, None) for i in range(50, 100)))
    new = rows(*((f"{i:03}", f"p{i + 50}", None, None) for i in range(50)))
    before, after = parts(old), parts(pa.concat_tables([new, old]))
    assert all(after[image] == part for image, part in before.items())
    assert all(after[f"{i:03}"] == after[f"{i + 50:03}"] for i in range(50))


def test_fetching_the_images_later_moves_nothing() -> None:
    """Checksums that come in with the files do not rename a group."""
    bare = rows(*((f"{i}", None, None, None) for i in range(60)))
    fetched = rows(*((f"{i}", None, None, f"s{i}") for i in range(60)))
    assert parts(bare) == parts(fetched)


def test_groups_that_merge_take_the_part_of_the_smaller_name() -> None:
    """Adding a row that joins two groups can move one of them, never both."""
    apart = rows(*((f"{i}", f"p{i:02}", f"l{i}", None) for i in range(40)))
    joining = rows(*((f"x{i}", f"p{i:02}", f"l{i + 20}", None) for i in range(20)))
    before, after = parts(apart), parts(pa.concat_tables([apart, joining]))
    assert all(after[f"{i}"] == after[f"{i + 20}"] == before[f"{i}"] for i in range(20))


def test_sizes_follow_the_ratios_and_the_seed_matters() -> None:
    """Of 4,000 groups, 70 % go to train, give or take."""
    table = rows(*((f"{i}", None, None, None) for i in range(4000)))
    placed = parts(table)
    assert abs(sum(part == "train" for part in placed.values()) / 4000 - 0.7) < 0.03
    assert parts(table, seed=1) != placed


def test_stratifying_is_said_to_be_left_out() -> None:
    """A note tells that classes are not balanced."""
    table = rows(("1", None, None, None), ("2", None, None, None)).append_column("diagnosis", [["x", "y"]])
    assert any("not balanced" in note for note in split_rows(table, stable=True).notes)
