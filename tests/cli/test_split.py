"""`dermdata split`."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq


def test_the_balance_is_on_stdout_and_the_manifest_where_it_was_asked_for(
    cli: Callable, tmp_path: Path
) -> None:
    """Parts with images, groups, patients, lesions and share; the largest deviation beside them."""
    cli("fetch", "demo")
    answer = cli("split", "demo", "--seed", "7", "--format", "json", "-o", tmp_path / "split.parquet")
    document = json.loads(answer.out)
    assert document["schema"] == "dermdata.split/1"
    assert [item["part"] for item in document["items"]] == ["train", "val", "test"]
    assert sum(item["images"] for item in document["items"]) == 120
    assert document["largest_deviation"] >= 0
    rows = pq.ParquetFile(tmp_path / "split.parquet").read().to_pylist()
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["patient_id"], set()).add(row["split"])
    assert {len(found) for found in parts.values()} == {1}
    assert cli("split", str(tmp_path / "split.parquet"), "--check").code == 0


def test_without_output_nothing_is_written_and_it_says_so(cli: Callable, tmp_path: Path) -> None:
    """A look at the balance is free."""
    cli("fetch", "demo")
    before = sorted(tmp_path.rglob("*.parquet"))
    assert "add -o FILE" in cli("split", "demo").err
    assert sorted(tmp_path.rglob("*.parquet")) == before


def test_an_image_wise_split_of_lesions_is_judged(cli: Callable, tmp_path: Path) -> None:
    """--check counts what is in two parts and exits 1."""
    cli("fetch", "demo")
    (manifest,) = (tmp_path / "cache").rglob("manifest.parquet")
    table = pq.ParquetFile(manifest).read()
    import pyarrow as pa

    parts = pa.array([("train", "test")[number % 2] for number in range(table.num_rows)])
    index = table.schema.get_field_index("split")
    pq.write_table(table.set_column(index, "split", parts), tmp_path / "leaky.parquet")
    answer = cli("split", tmp_path / "leaky.parquet", "--check", "--format", "json")
    assert answer.code == 1
    codes = {item["code"] for item in json.loads(answer.out)["items"]}
    assert {"leak-patient", "leak-lesion"} <= codes


def test_wrong_requests_are_said_in_words(cli: Callable) -> None:
    """Exit 2 with what can be had."""
    cli("fetch", "demo")
    for words in (
        ["--ratios", "train=0.7,test=0.7"],
        ["--folds", "500"],
        ["--stratify", "diagnosys"],
        ["--ratios", "a=1", "--folds", "3"],
    ):
        answer = cli("split", "demo", *words)
        assert answer.code == 2, words
        assert answer.err.startswith("error: ")


def test_a_split_by_a_label_space_mirrors_its_classes(cli: Callable, tmp_path: Path) -> None:
    """The class is a column and what each part mirrors; what has none is told, and refused with --strict."""
    cli("fetch", "demo")
    answer = cli("split", "demo", "--labels", "ham7", "-o", tmp_path / "split.parquet")
    assert answer.code == 0, answer.err
    rows = pq.ParquetFile(tmp_path / "split.parquet").read().to_pylist()
    assert {row["label"] for row in rows} == {"NV", "BKL", "MEL", "BCC", "AKIEC", "VASC", "DF"}
    parts = {part: [row["label"] for row in rows if row["split"] == part] for part in ("train", "test")}
    assert abs(parts["train"].count("NV") / len(parts["train"]) - 63 / 120) < 0.05
    answer = cli("split", "demo", "--labels", "isic8", "--strict", "-o", tmp_path / "none.parquet")
    assert answer.code == 1
    assert "demo akiec: a lump: AK or SCC" in answer.err
    assert not (tmp_path / "none.parquet").exists()


def test_labels_do_not_go_with_check_nor_strict_without_labels(cli: Callable) -> None:
    """What is there is judged as it is."""
    cli("fetch", "demo")
    assert cli("split", "demo", "--check", "--labels", "ham7").code == 2
    assert cli("split", "demo", "--strict").code == 2
    assert cli("split", "demo", "--labels", "ham8").code == 2
