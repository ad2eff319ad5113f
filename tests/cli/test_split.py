"""`dermdata split`."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dermdata.manifest.parquet import manifest_metadata


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


def listed(path: Path, rows: list[tuple[str, str]], head: str) -> Path:
    path.write_text(
        "\n".join([head, *(";".join(row) if ";" in head else ",".join(row) for row in rows)]) + "\n"
    )
    return path


@pytest.fixture
def images(cli: Callable, tmp_path: Path) -> list[dict[str, str]]:
    """The demo dataset's rows; only its metadata is fetched."""
    cli("fetch", "demo", "--only", "metadata")
    (manifest,) = (tmp_path / "cache").rglob("manifest.parquet")
    return pq.ParquetFile(manifest).read(["image_id", "lesion_id", "patient_id"]).to_pylist()


def test_a_list_that_nobody_knows_is_not_given_a_clean_bill(
    cli: Callable, tmp_path: Path, images: list
) -> None:
    """Exit 2, and what to do."""
    path = listed(tmp_path / "paper.csv", [("nosuch_1", "train"), ("nosuch_2", "test")], "image_id,split")
    answer = cli("split", "--check", path)
    assert answer.code == 2
    assert "none of 2 images is known" in answer.err
    assert cli("split", "demo", "--target", "demo").code == 2
    assert cli("split", "--check", "demo", "--target", "demo").code == 2
    assert cli("split", "--check", path, "demo").code == 2


@pytest.mark.parametrize("head", ["image_id,split", "id;fold", "isic_id,set"])
def test_a_papers_list_is_judged_by_the_cached_manifests(
    cli: Callable, tmp_path: Path, images: list, head: str
) -> None:
    """Exit 1 with what is shared, counted; names of columns and the dataset are said."""
    parts = ["train" if number % 2 else "test" for number in range(len(images))]
    path = tmp_path / "paper.csv"
    listed(path, [(f"{row['image_id']}.jpg", part) for row, part in zip(images, parts, strict=True)], head)
    answer = cli("split", "--check", path, "-f", "json")
    assert answer.code == 1
    seen: dict[str, set[str]] = {}
    for row, part in zip(images, parts, strict=True):
        seen.setdefault(row["lesion_id"], set()).add(part)
    shared = sum(len(found) > 1 for name, found in seen.items() if name)
    assert shared > 0
    assert f"{shared:,} lesions" in answer.err
    assert f"{len(images)} of {len(images)} images are of demo" in answer.err
    assert "not judged, because no row has one: sha256" in answer.err
    items = json.loads(answer.out)["items"]
    assert sum("lesion_id" in one["evidence"] for one in items) == shared


def test_one_file_for_each_part(cli: Callable, tmp_path: Path, images: list) -> None:
    """train.csv and test.csv without a column of parts; a split by patient passes."""
    patients = sorted({row["patient_id"] for row in images})
    for part, mine in (("train", patients[::2]), ("test", patients[1::2])):
        rows = [(row["image_id"],) for row in images if row["patient_id"] in mine]
        listed(tmp_path / f"{part}.csv", rows, "image")
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv", "--target", "demo")
    assert answer.code == 0, answer.err
    assert "parts in the files' names" in answer.err


def test_near_duplicates_stay_together_on_request(cli: Callable, tmp_path: Path) -> None:
    """Without --near the demo's planted copies may be torn; --check --near tells, and --near keeps them."""
    cli("fetch", "demo")
    out = tmp_path / "split.parquet"
    codes = []
    for words in ([], ["--near"]):
        assert cli("split", "demo", "--seed", "7", *words, "-o", out).code == 0
        assert cli("split", "--check", out).code == 0
        codes.append(cli("split", "--check", "--near", out).code)
    assert codes == [1, 0]
    cli("fetch", "demo", "--only", "metadata", cache=tmp_path / "other")
    assert cli("split", "demo", "--near", cache=tmp_path / "other").code == 2


def test_the_command_is_in_the_history_after_the_ones_before(cli: Callable, tmp_path: Path) -> None:
    """select, split, and what export carries; the balance beside it."""
    cli("fetch", "demo")
    part, out = tmp_path / "part.parquet", tmp_path / "split.parquet"
    cli("select", "demo", "--where", "age >= 30", "-o", part)
    cli("split", part, "--folds", "3", "--seed", "5", "-o", out)
    cli("export", "parquet", out, "--no-embed", "-o", tmp_path / "exported")
    (exported,) = (tmp_path / "exported").glob("*.parquet")
    for path in (out, exported):
        about = manifest_metadata(pq.read_schema(path))
        assert [line.split()[0] for line in json.loads(about["history"])] == ["select", "split"]
        assert json.loads(about["history"])[1].endswith("--by=auto --folds=3 --stratify=diagnosis --seed=5")
        assert sum(one["images"] for one in json.loads(about["balance"])) == pq.read_metadata(out).num_rows
