"""`dermdata split`."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.manifest.parquet import manifest_metadata


@pytest.mark.usefixtures("demo_cache")
def test_the_balance_is_on_stdout_and_the_manifest_where_it_was_asked_for(
    cli: Callable, tmp_path: Path
) -> None:
    """Parts with images, groups, patients, lesions and share; the largest deviation beside them."""
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


@pytest.mark.usefixtures("demo_cache")
def test_without_output_nothing_is_written_and_it_says_so(cli: Callable, tmp_path: Path) -> None:
    """A look at the balance is free."""
    before = sorted(tmp_path.rglob("*.parquet"))
    assert "add -o FILE" in cli("split", "demo").err
    assert sorted(tmp_path.rglob("*.parquet")) == before


@pytest.mark.usefixtures("demo_cache")
def test_an_image_wise_split_of_lesions_is_judged(cli: Callable, tmp_path: Path) -> None:
    """--check counts what is in two parts and exits 1."""
    (manifest,) = (tmp_path / "cache").rglob("manifest.parquet")
    table = pq.ParquetFile(manifest).read()
    parts = pa.array([("train", "test")[number % 2] for number in range(table.num_rows)])
    index = table.schema.get_field_index("split")
    pq.write_table(table.set_column(index, "split", parts), tmp_path / "leaky.parquet")
    answer = cli("split", tmp_path / "leaky.parquet", "--check", "--format", "json")
    assert answer.code == 1
    codes = {item["code"] for item in json.loads(answer.out)["items"]}
    assert {"leak-patient", "leak-lesion"} <= codes


@pytest.mark.usefixtures("demo_cache")
def test_wrong_requests_are_said_in_words(cli: Callable) -> None:
    """Exit 2 with what can be had."""
    for words in (
        ["--ratios", "train=0.7,test=0.7"],
        ["--folds", "500"],
        ["--stratify", "diagnosys"],
        ["--ratios", "a=1", "--folds", "3"],
    ):
        answer = cli("split", "demo", *words)
        assert answer.code == 2, words
        assert answer.err.startswith("error: ")


@pytest.mark.usefixtures("demo_cache")
def test_a_split_by_a_label_space_mirrors_its_classes(cli: Callable, tmp_path: Path) -> None:
    """The class is a column and what each part mirrors; what has none is told, and refused with --strict."""
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


@pytest.mark.usefixtures("demo_cache")
def test_labels_do_not_go_with_check_nor_strict_without_labels(cli: Callable) -> None:
    """What is there is judged as it is."""
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


@pytest.mark.usefixtures("demo_cache")
def test_near_duplicates_stay_together_on_request(cli: Callable, tmp_path: Path) -> None:
    """Without --near the demo's planted copies may be torn; --check --near tells, and --near keeps them."""
    out = tmp_path / "split.parquet"
    codes = []
    for words in ([], ["--near"]):
        assert cli("split", "demo", "--seed", "7", *words, "-o", out).code == 0
        assert cli("split", "--check", out).code == 0
        codes.append(cli("split", "--check", "--near", out).code)
    assert codes == [1, 0]
    cli("fetch", "demo", "--only", "metadata", cache=tmp_path / "other")
    assert cli("split", "demo", "--near", cache=tmp_path / "other").code == 2


@pytest.mark.usefixtures("demo_cache")
def test_the_command_is_in_the_history_after_the_ones_before(cli: Callable, tmp_path: Path) -> None:
    """select, split, and what export carries; the balance beside it."""
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


def with_column(path: Path, **columns: list[str | None]) -> Path:
    """A manifest file with these words in these columns."""
    table = pq.ParquetFile(path).read()
    for name, words in columns.items():
        place = table.schema.get_field_index(name)
        array = pa.array(words, pa.string())
        table = table.append_column(name, array) if place < 0 else table.set_column(place, name, array)
    pq.write_table(table, path)
    return path


@pytest.fixture
def rows(cli: Callable, tmp_path: Path) -> Path:
    """The demo dataset's metadata as a file."""
    cli("fetch", "demo", "--only", "metadata")
    assert cli("select", "demo", "-o", tmp_path / "rows.parquet").code == 0
    return tmp_path / "rows.parquet"


@pytest.mark.parametrize("words", [["train", "test"], ["train", "val"], ["Training", "Testing"], ["a", "b"]])
def test_official_parts_that_are_dealt_out_anew_are_told(cli: Callable, rows: Path, words: list[str]) -> None:
    """How many images each has; and what keeps the test set, where there is one."""
    with_column(rows, split_official=[words[number % 3 == 0] for number in range(120)])
    err = cli("split", rows).err
    counts = ", ".join(f"{word} {count}" for word, count in sorted(zip(words, (80, 40), strict=True)))
    assert f"demo has an official split ({counts})" in err
    assert ("--official keeps" in err) == (words != ["a", "b"])
    assert ("dealt out anew" in cli("split", rows, "--official").err) is False


def test_one_official_part_for_training_is_nothing_to_keep(cli: Callable, rows: Path) -> None:
    """A part that all images are in is no test set; one of test images is."""
    with_column(rows, split_official=["train"] * 120)
    assert "official" not in cli("split", rows).err
    with_column(rows, split_official=["test"] * 120)
    assert "demo has an official split (test 120)" in cli("split", rows).err


def test_parts_mirror_the_label_that_a_manifest_has(cli: Callable, tmp_path: Path, rows: Path) -> None:
    """As `evaluate` and `--sample --per-class` take it; another column on request; `diagnosis` where none has one."""
    assert cli("select", rows, "--labels", "malignancy", "-o", tmp_path / "labeled.parquet").code == 0
    answer = cli("split", tmp_path / "labeled.parquet", "-o", tmp_path / "s.parquet")
    assert "each part mirrors label" in answer.err
    about = manifest_metadata(pq.read_schema(tmp_path / "s.parquet"))
    assert "--stratify=label" in json.loads(about["history"])[-1]
    assert "mirrors label" not in cli("split", tmp_path / "labeled.parquet", "--stratify", "diagnosis").err
    with_column(tmp_path / "labeled.parquet", label=[None] * 120)
    assert "mirrors label" not in cli("split", tmp_path / "labeled.parquet").err
    assert "mirrors label" not in cli("split", rows).err


@pytest.mark.parametrize("command", ["split", "select", "stats"])
def test_images_of_two_datasets_are_told_with_what_keeps_one_of_each(
    cli: Callable, tmp_path: Path, rows: Path, command: str
) -> None:
    """`ham10000 isic-2018-task3` has each picture of HAM10000 twice."""
    ids = [f"ISIC_{number}" for number in range(120)]
    with_column(rows, isic_id=ids)
    other = tmp_path / "other.parquet"
    other.write_bytes(rows.read_bytes())
    keys = [f"else/{number}" for number in range(120)]
    with_column(other, isic_id=[*ids[:50], *[None] * 70], dataset=["else"] * 120, key=keys)
    said = (
        "50 images are in both demo and else: `dermdata select demo else --dedupe id` keeps one row of each"
    )
    assert said in cli(command, rows, other).err
    assert said not in cli(command, rows).err
    folded = ["select", rows, other, "--dedupe", "id", "-o", tmp_path / "one.parquet"]
    assert said not in cli(*folded).err
    assert "keeps one row" not in cli(command, tmp_path / "one.parquet").err


def test_equal_files_of_two_datasets_are_told_too(cli: Callable, tmp_path: Path, rows: Path) -> None:
    """Where nobody has an ISIC id."""
    digests = [f"{number:064x}" for number in range(120)]
    with_column(rows, sha256=digests)
    other = tmp_path / "other.parquet"
    other.write_bytes(rows.read_bytes())
    with_column(other, dataset=["else"] * 120, key=[f"else/{number}" for number in range(120)])
    assert "120 images are in both demo and else" in cli("split", rows, other).err
    assert "--dedupe exact" in cli("split", rows, other).err


def test_ids_that_no_row_has_are_not_counted_as_none(cli: Callable, rows: Path) -> None:
    """`-` for patients that nobody knows, not 0: in JSON null."""
    with_column(rows, patient_id=[None] * 120)
    items = json.loads(cli("split", rows, "-f", "json").out)["items"]
    assert [item["patients"] for item in items] == [None] * 3
    assert all(item["lesions"] for item in items)
    table = cli("split", rows, "-f", "table").out
    assert " 0 " not in table
    assert " - " in table
