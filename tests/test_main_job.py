"""The main job on the complete real metadata of HAM10000, PAD-UFES-20 and ISIC 2019, by their hosts' addresses."""

import collections
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.mirror import Mirror, mirror

pytestmark = [pytest.mark.shared, pytest.mark.xdist_group("main-job")]
NAMES = ("ham10000", "pad-ufes-20", "isic-2019")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with mirror(tmp_path_factory.mktemp("mirror"), *NAMES, pictures="noise") as running:
        yield running


@pytest.fixture(scope="module")
def cache(served: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three, fetched once by a real process."""
    root = tmp_path_factory.mktemp("cache")
    done = dermdata("--cache", root, *served.options, "fetch", *NAMES)
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.splitlines()] == ["manifest.parquet"] * 3
    return root


def dermdata(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dermdata", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def table(cache: Path, name: str) -> pa.Table:
    (path,) = cache.glob(f"datasets/{name}/*/manifest.parquet")
    return pq.ParquetFile(path).read()


def counts(rows: pa.Table, column: str) -> dict[str | None, int]:
    return dict(collections.Counter(rows[column].to_pylist()))


def test_ham10000_has_its_10015_images_7470_lesions_and_seven_diagnoses(cache: Path) -> None:
    """akiec goes to the concept that surely holds both of its members, with no malignancy of its own."""
    rows = table(cache, "ham10000")
    assert rows.num_rows == 10_015
    assert len(set(rows["lesion_id"].to_pylist())) == 7_470
    assert counts(rows, "diagnosis") == {
        "melanocytic-nevus": 6705,
        "melanoma": 1113,
        "benign-keratosis": 1099,
        "basal-cell-carcinoma": 514,
        "squamous-neoplasia": 327,
        "vascular-lesion": 142,
        "dermatofibroma": 115,
    }
    assert counts(rows, "malignancy") == {"benign": 8061, "malignant": 1627, None: 327}
    assert counts(rows, "confirmation") == {
        "histopathology": 5340, "serial-imaging": 3704, "expert-consensus": 902, "confocal": 69,
    }  # fmt: skip
    assert rows["age"].null_count == 57
    assert counts(rows, "sex") == {"male": 5406, "female": 4552, None: 57}
    assert rows["path"].null_count == rows["mask_path"].null_count == 0
    assert set(rows["image_problem"].to_pylist()) == {None}


def test_pad_ufes_20_has_1373_patients_and_lesions_that_never_join_two(cache: Path) -> None:
    """The publisher's lesion ids are shared between patients; ours are not."""
    rows = table(cache, "pad-ufes-20")
    assert rows.num_rows == 2_298
    assert len(set(rows["patient_id"].to_pylist())) == 1_373
    patients = collections.defaultdict(set)
    for lesion, patient in zip(rows["lesion_id"].to_pylist(), rows["patient_id"].to_pylist(), strict=True):
        patients[lesion].add(patient)
    assert len(patients) == 1_891
    assert {len(found) for found in patients.values()} == {1}
    assert counts(rows, "fitzpatrick") == {2: 876, None: 804, 3: 392, 1: 153, 4: 62, 5: 10, 6: 1}
    assert counts(rows, "confirmation") == {"histopathology": 1342, "clinical": 956}


def test_isic_2019_has_both_parts_and_holds_all_of_ham10000(cache: Path) -> None:
    """25,331 training and 8,238 test rows; the ISIC ids join HAM10000's."""
    rows = table(cache, "isic-2019")
    assert counts(rows, "split_official") == {"train": 25_331, "test": 8_238}
    ham = set(table(cache, "ham10000")["isic_id"].to_pylist())
    assert len(ham & set(rows["isic_id"].to_pylist())) == 10_015
    assert rows["isic_id"].null_count == 0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_the_source_said_is_dropped(cache: Path, served: Mirror, name: str) -> None:
    """Every cell of the metadata is in its row: in a column of its own words, or in extra."""
    import csv

    stem = {
        "ham10000": "HAM10000_metadata.csv",
        "pad-ufes-20": "metadata.csv",
        "isic-2019": "ISIC_2019_Training_Metadata.csv",
    }
    key = {"ham10000": "image_id", "pad-ufes-20": "img_id", "isic-2019": "image"}[name]
    rows = {row["image_id"]: row for row in table(cache, name).to_pylist()}
    with (served.root / name / stem[name]).open(newline="") as file:
        for source in csv.DictReader(file):
            row = rows[source[key].removesuffix(".png")]
            said = {str(value) for value in row.values()} | {value for _, value in row["extra"] or ()}
            said |= {str(row[column]).rpartition("/")[2] for column in ("lesion_id", "patient_id")}
            assert {value for value in source.values() if value} - {source[key]} <= said


def test_fetching_again_asks_nothing_and_says_so(cache: Path, served: Mirror) -> None:
    """Idempotent: no request, exit 0."""
    before = len(served.requests())
    again = dermdata("--cache", cache, *served.options, "fetch", *NAMES)
    assert again.returncode == 0
    assert again.stderr.count("nothing to do") == 3
    assert len(served.requests()) == before


def twin_of(cache: Path, image: Path) -> str:
    """The path of ISIC 2019's image that is the same file on disk."""
    (folder,) = cache.glob("datasets/isic-2019/*")
    (twin,) = folder.glob(f"images/*/{image.name}")
    assert twin.samefile(image)
    return twin.relative_to(folder).as_posix()


def test_verify_finds_three_broken_files_and_repair_fetches_only_those(cache: Path, served: Mirror) -> None:
    """A flipped byte, a cut and a deletion; the repair asks for less than 100 kB.

    The same images of ISIC 2019 are the same files on disk: written in place, they are broken under both names.
    """
    options = ["--cache", cache, *served.options]
    folder = cache / "datasets" / "ham10000" / "4.0"
    flipped, cut, gone = sorted((folder / "images").rglob("*.jpg"))[10:13]
    flipped.write_bytes(bytes([flipped.read_bytes()[0] ^ 1]) + flipped.read_bytes()[1:])
    cut.write_bytes(cut.read_bytes()[:100])
    gone.unlink()
    found = dermdata(*options, "verify", "--format", "csv")
    assert found.returncode == 1
    lines = {tuple(line.split(",")[:2]): line.split(",")[2] for line in found.stdout.splitlines()[1:]}
    names = [("ham10000", path.relative_to(folder).as_posix()) for path in (flipped, cut, gone)]
    twins = [twin_of(cache, path) for path in (flipped, cut)]
    broken = dict(zip(names, ("modified", "modified", "missing"), strict=True))
    assert lines == broken | {("isic-2019", name): "modified" for name in twins}
    before = len(served.requests())
    repaired = dermdata(*options, "verify", "--repair")
    assert repaired.returncode == 0, repaired.stderr
    assert sum(request["bytes"] for request in served.requests()[before:]) < 100_000
    sound = dermdata(*options, "verify")
    assert (sound.returncode, sound.stdout) == (0, "")


def test_the_manifest_is_the_same_bytes_in_another_cache(cache: Path, served: Mirror, tmp_path: Path) -> None:
    """Same files, same catalog: same bytes, in another time zone, locale and hash seed."""
    environment = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    done = dermdata("--cache", tmp_path, *served.options, "fetch", "pad-ufes-20", env=environment)
    assert done.returncode == 0, done.stderr
    (first,) = cache.glob("datasets/pad-ufes-20/*/manifest.parquet")
    (second,) = tmp_path.glob("datasets/pad-ufes-20/*/manifest.parquet")
    assert first.read_bytes() == second.read_bytes()


def test_killed_in_the_middle_the_next_fetch_is_done_and_nothing_is_mixed(
    served: Mirror, tmp_path: Path
) -> None:
    """kill -9 at several moments; every file under a final name is whole, the next run completes."""
    words = [
        sys.executable,
        "-m",
        "dermdata",
        "--cache",
        str(tmp_path),
        *served.options,
        "fetch",
        "pad-ufes-20",
    ]
    for seconds in (0.6, 0.9, 1.2):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert dermdata("--cache", tmp_path, *served.options, "verify").returncode == 0
    assert table(tmp_path, "pad-ufes-20").num_rows == 2_298


def test_a_lesion_wise_split_mirrors_the_whole(cache: Path, served: Mirror, tmp_path: Path) -> None:
    """No lesion in two parts, every class share within 0.1 percentage points, the same bytes again."""
    options = ["--cache", cache, *served.options, "split", "ham10000", "--by", "lesion", "--seed", "7", "-o"]
    for number, seed in enumerate(("0", "1")):
        done = dermdata(*options, tmp_path / f"{number}.parquet", env={**os.environ, "PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    rows = pq.ParquetFile(tmp_path / "0.parquet").read()
    parts = collections.defaultdict(set)
    share: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for lesion, part, diagnosis in zip(
        *(rows[name].to_pylist() for name in ("lesion_id", "split", "diagnosis")), strict=True
    ):
        parts[lesion].add(part)
        share[part][diagnosis] += 1
    assert {len(found) for found in parts.values()} == {1}
    whole = counts(rows, "diagnosis")
    for part in share.values():
        for diagnosis, number in whole.items():
            assert abs(part[str(diagnosis)] / part.total() - number / rows.num_rows) < 0.001


def test_akiec_is_refined_by_isic_2019_and_shared_images_are_folded(
    cache: Path, served: Mirror, tmp_path: Path
) -> None:
    """327 akiec become 130 actinic keratosis and 197 squamous; 10,015 images of two datasets are one row each."""
    options = ["--cache", cache, *served.options, "select", "ham10000"]
    done = dermdata(
        *options, "--refine", "isic-2019", "--show", "conflicts", "-o", tmp_path / "refined.parquet"
    )
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr  # a header, no contradiction
    rows = pq.ParquetFile(tmp_path / "refined.parquet").read()
    akiec = rows.filter([word == "akiec" for word in rows["label_raw"].to_pylist()])
    assert counts(akiec, "diagnosis") == {"actinic-keratosis": 130, "squamous-cell-carcinoma": 197}
    assert rows.num_rows - rows["refined_from"].null_count == 327
    done = dermdata(*options, "isic-2019", "--dedupe", "id", "-o", tmp_path / "folded.parquet")
    assert done.returncode == 0, done.stderr
    folded = pq.ParquetFile(tmp_path / "folded.parquet").read()
    assert folded.num_rows == len(set(folded["isic_id"].to_pylist())) == 33_569
    assert folded.num_rows - folded["also_in"].null_count == 10_015


def test_all_that_is_cached_is_exported_to_parquet(cache: Path, served: Mirror, tmp_path: Path) -> None:
    """45,882 rows of three datasets in one folder that DuckDB and pandas read."""
    import duckdb
    import pandas as pd

    done = dermdata("--cache", cache, *served.options, "export", "parquet", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    count = duckdb.sql(f"select count(*) from read_parquet('{tmp_path}/out/*.parquet')").fetchall()
    assert count == [(45_882,)]
    frame = pd.concat(pd.read_parquet(path) for path in sorted((tmp_path / "out").glob("*.parquet")))
    assert len(frame) == 45_882
    assert Path(frame["path"].iloc[0]).is_file()


def test_the_notebook_of_the_contract(cache: Path, served: Mirror, tmp_path: Path) -> None:
    """The Python API's own example on two whole datasets, from loading to evaluating."""
    import dermdata as dd

    session = dd.open_session(
        cache=cache,
        catalogs=[served.root / "overlay"],
        rewrite={"https://": f"http://127.0.0.1:{served.port}/web/"},
        progress=False,
    )
    assert len(session.load("ham10000")) == 10_015
    both = session.load("ham10000", "pad-ufes-20")
    cohort = both.where("age >= 18 and diagnosis under 'neoplastic'").with_labels("malignancy").dedupe("id")
    assert 0 < len(cohort) < len(both) == 12_313
    parts = cohort.split(by="patient", seed=7)
    assert sum(len(part) for part in parts.values()) == len(cohort)
    assert not parts.manifest.check_split()
    assert parts.train[0]["image"].size == (parts.train[0]["width"], parts.train[0]["height"])
    frame = parts.test.where("label is not null").to_pandas(["key", "label", "path"])
    assert Path(frame["path"].iloc[-1]).is_file()
    assert len(parts.train.to_torch()) == len(parts.train.where("label is not null"))
    predictions = frame.rename(columns={"label": "prediction"})[["key", "prediction"]]
    answer = session.evaluate(predictions, parts.test, by=["fitzpatrick", "sex"], bootstrap=0)
    assert {one["by"] for one in answer} == {None, "fitzpatrick", "sex"}
    again = session.load(cohort.save(tmp_path / "cohort.parquet"))
    assert again.table.num_rows == len(cohort)
    assert {one.dataset for one in cohort.cite().credits} == {"ham10000", "pad-ufes-20"}
