"""What `fetch` tells a person: what is here, what is complete, what cannot be had and what to do about it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata.process import count_cores
from support.made_up_dataset import CROSSWALK, TABLE, Ours, picture, rows
from support.servers import Site

ENTRY = """
name = "clinic"
title = "Clinic"
kind = "dataset"
summary = "our own"
[access]
kind = "open"
evidence = "ours"
[[files]]
name = "table.csv"
role = "metadata"
[[files]]
name = "images.zip"
role = "images"
unpack = "zip"
"""


@pytest.fixture
def clinic(tmp_path: Path) -> list[object]:
    """A private dataset whose files have no address: three images in a folder, a table; the options for it."""
    entry = tmp_path / "lab" / "datasets" / "clinic"
    entry.mkdir(parents=True)
    table = TABLE.replace('masks = { lesion = "{image_id}_mask.png" }', "")
    (entry / "dataset.toml").write_text(ENTRY + table)
    (entry / "labels.tsv").write_text(CROSSWALK)
    given = tmp_path / "given"
    given.mkdir()
    (given / "table.csv").write_bytes(rows(range(3)))
    for number in range(3):
        (given / f"IM_{number:04d}.jpg").write_bytes(picture(number))
    return ["--catalog", tmp_path / "lab"]


# ------------------------------------------------------------------ complete is complete


def test_a_complete_private_dataset_is_already_complete(
    cli: Callable, clinic: list[object], tmp_path: Path
) -> None:
    """No file has an address, and none is needed."""
    assert cli(*clinic, "fetch", "clinic", "--from", tmp_path / "given").code == 0
    answer = cli(*clinic, "fetch", "clinic")
    assert (answer.code, "clinic: already complete, nothing to do (3 rows)" in answer.err) == (0, True)
    assert cli(*clinic, "fetch", "clinic", "--dry-run").code == 0


def test_it_is_also_where_an_image_was_never_given(
    cli: Callable, clinic: list[object], tmp_path: Path
) -> None:
    """All that any address could bring is here; --from still completes it."""
    image = tmp_path / "given" / "IM_0002.jpg"
    data = image.read_bytes()
    image.unlink()
    assert cli(*clinic, "fetch", "clinic", "--from", tmp_path / "given").code == 8
    answer = cli(*clinic, "fetch", "clinic")
    assert answer.code == 0, answer.err
    assert "already complete, nothing to do (3 rows, 1 without an image file)" in answer.err
    image.write_bytes(data)
    assert cli(*clinic, "fetch", "clinic", "--from", tmp_path / "given").code == 0
    assert "nothing to do (3 rows)" in cli(*clinic, "fetch", "clinic").err


def test_a_changed_entry_is_built_anew_without_an_address(
    cli: Callable, clinic: list[object], tmp_path: Path
) -> None:
    """Another word in labels.tsv: nothing must be downloaded for that."""
    assert cli(*clinic, "fetch", "clinic", "--from", tmp_path / "given").code == 0
    labels = tmp_path / "lab" / "datasets" / "clinic" / "labels.tsv"
    labels.write_text(labels.read_text().replace("melanocytic-nevus", "melanoma"))
    answer = cli(*clinic, "fetch", "clinic")
    assert (answer.code, "clinic: 3 rows of 3, 0 B fetched" in answer.err) == (0, True), answer.err
    assert "melanoma" in cli(*clinic, "stats", "clinic", "--by", "diagnosis").out


def test_a_file_that_is_lost_later_is_for_the_person_to_give(
    cli: Callable, clinic: list[object], tmp_path: Path
) -> None:
    assert cli(*clinic, "fetch", "clinic", "--from", tmp_path / "given").code == 0
    min((tmp_path / "cache" / "datasets" / "clinic").rglob("*.jpg")).unlink()
    answer = cli(*clinic, "fetch", "clinic")
    assert (answer.code, "--from" in answer.err) == (6, True), answer.err


# ------------------------------------------------------------------ what is here, what cannot be had


def test_what_is_here_already_is_no_download(
    cli: Callable, ours: Ours, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that an interrupted run left whole: only the others are still to come."""
    sized = {name: f"{more}\nsize = {len(data)}" for name, (_, data, more) in ours.files.items()}
    ours.files = {name: (role, data, sized[name]) for name, (role, data, _) in ours.files.items()}
    options = ours.options
    total = sum(len(data) for _, data, _ in ours.files.values())
    before = cli(*options, "fetch", "ours", "--dry-run")
    assert before.code == 0
    from dermdata.fetching.receipt_writer import ReceiptWriter

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dermdata.fetching.run.STREAMS", 1)
    monkeypatch.setattr(ReceiptWriter, "record_file", die)
    monkeypatch.setattr(
        ReceiptWriter, "announce_file", lambda _self, file, *_: file.name != "table.csv" and die()
    )
    assert cli(*options, "fetch", "ours").code == 130
    monkeypatch.undo()
    here = len(ours.files["table.csv"][1])
    from dermdata.terminal import format_size

    words = f"ours: 4 files, {format_size(total - here)} to download, {format_size(here)} are here"
    assert words in cli(*options, "fetch", "ours").err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("charm", "no dermatology model of this name is published"),
        ("ucsd-ai4h", "no model for dermatology is published there"),
        ("skin-path", "only a demo is published so far"),
        ("xiangyaderm", "no download and no terms are published"),
    ],
)
def test_what_cannot_be_had_is_told_in_words_for_a_person(cli: Callable, name: str, words: str) -> None:
    """Not how the catalog was made; the card has that."""
    answer = cli("fetch", name)
    assert answer.code == 6
    assert f"error: {name} cannot be had: {words}" in answer.err
    for inside in ("seed list", "stored copies", "2026-"):
        assert inside not in answer.err


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        (
            "derm7pt",
            ["1. Register at https://derm.cs.sfu.ca/Download.html", "2. set DERMDATA_DERM7PT_USER", "3. run"],
        ),
        (
            "derm1m",
            [
                "1. accept the conditions on https://huggingface.co/datasets/redlessone/Derm1M",
                "2. make a read token at https://huggingface.co/settings/tokens",
                "3. set HF_TOKEN",
                "4. run",
            ],
        ),
    ],
)
def test_the_way_to_an_account_is_numbered(
    cli: Callable, name: str, steps: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One step a line, in the order in which they are taken; by hand is the last resort."""
    monkeypatch.setenv("HOME", str(tmp_path))
    answer = cli("--offline", "fetch", name, "--accept-license")
    assert answer.code == 6
    hint = answer.err.partition("hint: ")[2].splitlines()
    assert [line.strip().startswith(step) for line, step in zip(hint, steps, strict=True)] == [True] * len(
        steps
    )
    assert "--from PATH" in hint[-1]


@pytest.mark.parametrize(
    "line",
    [
        ["fetch", "clinic"],
        ["fetch", "clinic", "--dry-run"],
        ["fetch", "clinic", "--from", "."],
        ["fetch", "clinic", "--mirror", "."],
        ["fetch", "clinic", "--force"],
    ],
)
def test_a_hint_never_says_none(
    cli: Callable, clinic: list[object], line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry without page and steps: the hint is what takes its files."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    answer = cli(*clinic, *line)
    assert answer.code == 6, answer.err
    assert "None" not in answer.err
    assert "--from" in answer.err


# ------------------------------------------------------------------ the machine


def test_jobs_are_as_many_as_the_cores_that_we_may_use() -> None:
    """`taskset -c 0`, or a scheduler's share of a node."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity here")
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert count_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert count_cores() == len(allowed)


def test_nobody_counts_the_cores_of_the_machine() -> None:
    """One function, which asks what may be used."""
    package = Path(__file__).parents[2] / "dermdata"
    found = [path.name for path in package.rglob("*.py") if "cpu_count" in path.read_text(encoding="utf-8")]
    assert found == ["process.py"]


def test_doctor_finds_nothing_wrong_with_a_cache_that_is_only_read(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(os, "access", lambda _path, mode, **_: mode != os.W_OK)
    answer = cli("doctor", "--no-network", "-f", "tsv")
    assert answer.code == 0, answer.out
    assert "read-only: what is there can be used, `fetch` will not work" in answer.out
    answer = cli("doctor", "--no-network", "-f", "tsv", cache=tmp_path / "nothing")
    assert (answer.code, "is not there" in answer.out) == (1, True)
