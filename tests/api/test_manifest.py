"""A manifest in a notebook: rows, pictures, frames and datasets of other libraries, and what it refuses."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import dermdata as dd
from dermdata.cohort import selection
from dermdata.errors import IntegrityError, ProblemsFound, UnknownName, UsageError
from dermdata.manifest.parquet import conform, write_manifest


def test_a_row_is_a_mapping_whose_pictures_open_when_asked_for(demo: dd.Manifest) -> None:
    row = demo[0]
    assert row["image_id"] == "DEMO_0001"
    assert row["image"].size == (row["width"], row["height"])
    assert row["mask"].size == row["image"].size
    assert row.path == Path(row["path"])
    assert row.path.is_absolute()
    assert {"diagnosis", "image", "mask"} <= set(row)
    assert dict(row)["key"] == "demo/DEMO_0001"
    with pytest.raises(KeyError):
        row["no such column"]


def test_rows_are_sliced_iterated_and_counted_from_the_end(demo: dd.Manifest) -> None:
    assert len(demo) == 120
    assert demo[-1]["image_id"] == "DEMO_0120"
    assert [row["image_id"] for row in demo[2:6:2]] == ["DEMO_0003", "DEMO_0005"]
    assert len(list(demo)) == 120
    for place in (120, -121):
        with pytest.raises(IndexError):
            demo[place]


def test_a_picture_that_does_not_decode_says_how_to_leave_it_out(demo: dd.Manifest) -> None:
    broken = next(row for row in demo if row["image_problem"])
    with pytest.raises(IntegrityError) as caught:
        broken["image"]
    assert "image_problem is null" in str(caught.value.hint)
    whole = demo.where("image_problem is null")
    assert len(whole) == 119


def test_a_frame_has_words_dicts_and_paths_that_open(demo: dd.Manifest, tmp_path: Path) -> None:
    """No category that `fillna` refuses, from whatever folder it is used."""
    frame = demo.to_pandas()
    assert len(frame) == 120
    assert frame["sex"].fillna("unknown").value_counts()["unknown"] == 4
    assert (frame["dataset"] + "/" + frame["image_id"] == frame["key"]).all()
    assert frame["extra"].map(lambda cells: cells.get("dx_type")).notna().any()
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with Image.open(frame["path"][0]) as image:
            assert image.size == (256, 192)
    finally:
        os.chdir(here)


def test_a_frame_of_chosen_columns_and_keys(demo: dd.Manifest) -> None:
    frame = demo.to_pandas(["image_id", "extra.dx_type"])
    assert list(frame) == ["image_id", "extra.dx_type"]
    assert {"extra.dx_type", "extra.age"} <= set(demo.to_pandas(["extra.*"]))
    for wrong in ("diagnosys", "extra.dx_typ", "sex.f"):
        with pytest.raises(UnknownName):
            demo.to_pandas([wrong])
    assert isinstance(demo.to_pandas(flat=False)["sex"].dtype, pd.CategoricalDtype)


def test_each_step_gives_a_new_manifest_with_its_history(demo: dd.Manifest) -> None:
    old = demo.where("age >= 40")
    named = old.with_labels("malignancy")
    assert (len(demo), len(old)) == (120, 97)
    assert "label" not in old.schema.names
    assert "label" in named.schema.names
    assert named.history == ("select demo '--where=age >= 40'", "select - --labels=malignancy")
    assert named.dedupe("exact").sample(10, seed=3).history[2:] == (
        "select - --dedupe=exact",
        "select - --sample=10 --seed=3",
    )
    with pytest.raises(ProblemsFound):
        demo.with_labels("malignancy", strict=True)
    with pytest.raises(UnknownName):
        demo.where("agee > 3")


def test_a_split_has_its_parts_by_name_and_no_leak(demo: dd.Manifest) -> None:
    parts = demo.split(by="patient", seed=7)
    assert list(parts) == ["train", "val", "test"]
    assert sum(len(part) for part in parts.values()) == 120
    train, test = (set(part.to_pandas(["patient_id"])["patient_id"]) for part in (parts.train, parts["test"]))
    assert not train & test
    assert not parts.manifest.check_split()
    assert list(parts.balance["part"]) == ["train", "val", "test"]
    assert parts.notes
    with pytest.raises(AttributeError):
        parts.training  # noqa: B018
    with pytest.raises(UnknownName):
        parts["training"]


def test_folds_are_parts_too(demo: dd.Manifest) -> None:
    parts = demo.split(folds=3)
    assert list(parts) == ["fold 0", "fold 1", "fold 2"]
    assert sum(len(part) for part in parts.values()) == 120
    assert [(len(train) + len(test), len(test)) for train, test in parts.folds] == [
        (120, len(part)) for part in parts.values()
    ]
    assert not demo.split().folds


def test_a_split_that_leaks_is_found(demo: dd.Manifest, session: dd.Session, tmp_path: Path) -> None:
    table = demo.table
    words = pa.array(["train" if row % 2 else "test" for row in range(120)])
    place = table.column_names.index("split")
    table = table.set_column(place, "split", words.cast(table.schema.field("split").type.value_type))
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "leaky.parquet")
    found = session.load(tmp_path / "leaky.parquet").check_split()
    assert "leak-patient" in {one["code"] for one in found}


def test_images_for_torch_without_torch(demo: dd.Manifest) -> None:
    """A map-style dataset: length, items, classes; it pickles for the workers of a DataLoader."""
    data = demo.where("image_problem is null").to_torch(transform=lambda image: image.size)
    assert data.classes == sorted(data.classes)
    assert data.class_to_idx[data.classes[2]] == 2
    again = pickle.loads(pickle.dumps(demo.where("image_problem is null").to_torch()))
    assert len(again) == len(data) == len(again.paths)
    image, number = again[0]
    assert (image.mode, image.size) == ("RGB", (256, 192))
    assert data[0] == ((256, 192), number)
    assert len(list(data)) == len(data)
    with pytest.raises(IndexError):
        data[len(data)]


def test_each_part_numbers_the_classes_of_the_whole_split(
    demo: dd.Manifest, session: dd.Session, tmp_path: Path
) -> None:
    """A class that the test set lacks moves no number: the model and its metrics mean the same class."""
    sound = demo.where("image_problem is null")
    parts = sound.split(by="patient", seed=7)
    whole = sorted(set(sound.to_pandas()["diagnosis"].dropna()))
    fewer = parts.test.where("diagnosis != 'melanoma'")
    assert "melanoma" in whole
    assert [part.to_torch().classes for part in (parts.train, parts.test, fewer)] == [whole] * 3
    again = session.load(parts.manifest.save(tmp_path / "split.parquet"))
    rare = again.where("split = 'test' and diagnosis != 'melanoma'")
    assert rare.to_torch().classes == whole
    assert rare.to_huggingface()["test"].features["label"].names == whole
    named = rare.with_labels("malignancy")
    assert named.to_torch().classes == sorted(set(named.to_pandas()["label"].dropna()))


def test_rows_that_were_never_split_have_the_classes_they_have(demo: dd.Manifest) -> None:
    assert demo.where("diagnosis = 'melanoma'").to_torch(allow_missing=True).classes == ["melanoma"]


def test_values_of_the_rows_beside_the_class(demo: dd.Manifest) -> None:
    """Numbers are float32 with NaN where nobody knows; words are numbered alike in each part, -1 where nobody knows."""
    parts = demo.where("image_problem is null").split(by="patient", seed=7)
    wanted = ["age", "sex", "diagnosis", "extra.dx_type"]
    given = {"extra.dx_type": ["histo", "follow_up"]}
    train, test = (part.to_torch(columns=wanted, words=given) for part in (parts.train, parts.test))
    assert train.words == test.words
    assert train.words["sex"] == ["female", "male", "other"]
    assert train.words["diagnosis"] == train.classes
    frame = parts.train.to_pandas(["age", "sex"])
    for place, (_, number, values) in enumerate(train):  # type: ignore[misc]
        age, sex = frame["age"][place], frame["sex"][place]
        assert values["age"].dtype == np.float32
        assert (np.isnan(values["age"]) and np.isnan(age)) or values["age"] == np.float32(age)
        assert (values["sex"] == -1) if pd.isna(sex) else train.words["sex"][values["sex"]] == sex
        assert values["diagnosis"] == number
        assert values["extra.dx_type"] in (-1, 0, 1)
    image, mask, values = demo.to_torch(return_mask=True, columns=["age"])[0]  # type: ignore[misc]
    assert image.size == mask.size
    assert list(values) == ["age"]


def test_words_that_are_not_among_the_given_ones_are_told(
    fetched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = dd.open_session(cache=fetched, offline=True).load("demo").where("image_problem is null")
    data = rows.to_torch(columns=["body_site", "label_raw"], words={"label_raw": ["mel"]})
    assert "lower-extremity-foot" in data.words["body_site"]  # all of the vocabulary, in its order
    known = sum(values["label_raw"] == 0 for _, _, values in data)  # type: ignore[misc]
    assert 0 < known < len(data)
    assert (
        f"{len(data) - known} of {len(data)} rows have no label_raw among the 1 given"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("agee", "unknown column 'agee'"),
        ("masks", "masks is no single number or word of a row"),
        ("extra.x", "unknown column 'extra.x'"),
        ("attribution", "each part may have other words of attribution"),
    ],
)
def test_a_column_that_cannot_be_numbered(demo: dd.Manifest, column: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        demo.to_torch(columns=[column])


def test_images_with_their_masks(demo: dd.Manifest) -> None:
    data = demo.to_torch(return_mask=True)
    image, mask = data[0]
    assert image.size == mask.size
    assert len(data) == 80


def test_a_worker_s_share_of_an_epoch(demo: dd.Manifest) -> None:
    """What a DataLoader does: two processes take every second batch of one pickled dataset."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    data = demo.where("image_problem is null").to_torch()
    batches = [list(range(start, min(start + 16, len(data)))) for start in range(0, len(data), 16)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        counts = list(workers.map(count_items, [data] * len(batches), batches))
    assert sum(counts) == len(data)


def count_items(data: object, places: list[int]) -> int:
    return len([data[place] for place in places])  # type: ignore[index]


def test_an_image_that_is_not_there_is_no_smaller_dataset(own_cache: Path) -> None:
    mine = dd.open_session(cache=own_cache, progress=False).load("demo")
    path = mine[4].path
    assert path
    path.unlink()
    with pytest.raises(UsageError, match="1 of 120 rows has no image file"):
        mine.to_torch()
    assert len(mine.to_torch(allow_missing=True)) < len(mine)
    assert mine[4]["image"] is None


def test_a_manifest_pickles(demo: dd.Manifest) -> None:
    parts = demo.split(by="patient")
    again = pickle.loads(pickle.dumps(parts.train))
    assert again.table.equals(parts.train.table)
    assert again[0]["image"].size == (256, 192)
    assert len(again.where("sex = 'female'")) < len(again)


def test_a_dataset_for_hugging_face(demo: dd.Manifest) -> None:
    named = demo.where("image_problem is null").with_labels("malignancy").split(by="patient", seed=7)
    found = named.manifest.to_huggingface()
    assert list(found) == ["train", "val", "test"]
    assert found["train"].num_rows == len(named.train)
    assert found["train"].features["label"].names == sorted(found["train"].features["label"].names)
    assert found["train"][0]["image"].size == (256, 192)


def test_a_notebook_shows_rows_with_their_pictures(demo: dd.Manifest) -> None:
    page = demo._repr_html_()
    assert page.count("<img") == 5
    assert "DEMO_0001" in page
    assert repr(demo) == "<manifest of 120 images of demo>"


def test_words_of_the_data_are_no_html(demo: dd.Manifest, tmp_path: Path, session: dd.Session) -> None:
    (tmp_path / "m.csv").write_text(
        "dataset,image_id,path,diagnosis\nmine,<script>,,melanoma\n", encoding="utf-8"
    )
    page = session.load(tmp_path / "m.csv")._repr_html_()
    assert "<script>" not in page


def test_select_lets_go_of_rows_as_it_sorts_them(
    session: dd.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten million rows in any order are not in memory twice: nobody on the way keeps those that were read."""
    names = [f"{number:01000}" for number in range(2999, -1, -1)]
    rows = conform(pa.table({"dataset": ["own"] * 3000, "image_id": names, "key": names}))
    write_manifest(rows, tmp_path / "own.parquet", {})
    del rows
    size, held = 2 * 3_000_000, []
    before = pa.total_allocated_bytes()

    def looked(*_: object) -> tuple[()]:
        held.append(pa.total_allocated_bytes() - before)
        return ()

    monkeypatch.setattr(selection, "find_contradictions", looked)
    whole = dd.Manifest.from_targets(session._resources, [str(tmp_path / "own.parquet")])
    done = whole.select()
    assert done.manifest.loaded.table["image_id"].to_pylist() == names[::-1]
    assert size < held[0] < 1.4 * size
