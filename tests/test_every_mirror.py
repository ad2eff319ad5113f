"""Every dataset that the mirror can build, in full, through its real host's protocol: the numbers must be the mirror's."""

import ast
import collections
import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import FULL, Answer
from support.mirror import Mirror, mirror

pytestmark = pytest.mark.shared
Rows = list[dict[str, Any]]

ACCOUNTS = {
    "KAGGLE_USERNAME": "someone", "KAGGLE_KEY": "sesame",
    "DERMDATA_DERM7PT_USER": "someone", "DERMDATA_DERM7PT_PASSWORD": "sesame",
}  # fmt: skip
NAMES = (
    "isic-2016", "isic-2017", "isic-2018-task1", "isic-2018-task2", "isic-2018-task3", "isic-2020", "bcn20000",
    "isic-archive", "ph2", "mclass", "fitzpatrick17k", "skincon", "derm7pt", "dermnet", "scin", "msld-v2", "fuseg",
)  # fmt: skip
# Of so many pictures only the tables are fetched in full, and some rows with their pictures; `make test-full` fetches all.
MANY = () if FULL else ("isic-2018-task3", "isic-2020", "bcn20000", "fitzpatrick17k", "scin")
FEW = 400
PARTS = {"Training": "train", "Validation": "val", "Test": "test", "Test_v2": "test", "valid": "val"}
GONE = "https://www.dermaamin.com/site/images/clinical-pic/p/"
PART_OF_FUSEG = {"train": 962, "val": 200, "test": 208}  # both of its folders together
WORDS_2017 = {"melanoma": "melanoma=1", "seborrheic_keratosis": "seborrheic_keratosis=1",
              "nevus": "melanoma=0;seborrheic_keratosis=0"}  # fmt: skip


class Hosts:
    """A mirror and a cache for each dataset, both made when they are first asked for.

    Of datasets of many pictures the whole mirror has the tables alone, and one of some rows the pictures.
    """

    def __init__(self, folder: Callable[[str], Path], stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.running: dict[tuple[str, int | None], tuple[Mirror, Path]] = {}
        self.rows: dict[str, Rows] = {}  # all of a dataset

    def __call__(self, name: str, rows: int | None = None) -> tuple[Mirror, Path]:
        if (name, rows) not in self.running:
            root = self.folder(f"mirror-{name}")
            pictures = "none" if name in MANY and rows is None else "noise"
            running = self.stack.enter_context(mirror(root, name, rows=rows, pictures=pictures))
            self.running[name, rows] = running, self.folder(f"cache-{name}")
        return self.running[name, rows]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(tmp_path_factory.mktemp, stack)


def of_mirror(name: str) -> pytest.MarkDecorator:
    """Tests of one dataset run in one worker, so that its mirror is built once; datasets run side by side."""
    return pytest.mark.xdist_group(f"mirror-{name}")


EACH = [pytest.param(name, marks=of_mirror(name)) for name in NAMES]


class Fetch(Protocol):
    """A fetch in this process, with no account of the person's own."""

    def __call__(self, served: Mirror, cache: Path, name: str, *options: str, **account: str) -> Answer: ...


@pytest.fixture
def fetch(cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, patient_hosts: None) -> Fetch:
    """http addresses lead to the mirror too, as the https ones do."""
    for key in [key for key in os.environ if key.startswith(("KAGGLE", "HF_", "DERMDATA"))]:
        monkeypatch.delenv(key)

    def call(served: Mirror, cache: Path, name: str, *options: str, **account: str) -> Answer:
        plain = (
            f"http://atlasdermatologico.com.br/=http://127.0.0.1:{served.port}/web/atlasdermatologico.com.br/"
        )
        with monkeypatch.context() as patch:
            for key, value in {"HOME": str(cache), **account}.items():
                patch.setenv(key, value)
            return cli(*served.options, "--rewrite", plain, "fetch", name, *options, cache=cache)

    return call


def manifest(cache: Path, name: str) -> pa.Table:
    (path,) = cache.glob(f"datasets/{name}/*/manifest.parquet")
    return pq.ParquetFile(path).read()


@pytest.fixture
def rows_of(hosts: Hosts, fetch: Fetch) -> Callable[[str], Rows]:
    """All rows of a dataset, fetched once; of many pictures only what the tables say of them."""

    def read(name: str) -> Rows:
        served, cache = hosts(name)
        if name not in hosts.rows:
            tables_only = ("--only", "metadata") if name in MANY else ()
            done = fetch(served, cache, name, *tables_only, **ACCOUNTS)
            assert done.code == 0, done.err
            assert "not in the crosswalk" not in done.err
            hosts.rows[name] = manifest(cache, name).to_pylist()
        return hosts.rows[name]

    return read


@pytest.mark.parametrize("name", EACH)
def test_rows_labels_lesions_and_patients_are_the_publishers(
    hosts: Hosts, rows_of: Callable, name: str
) -> None:
    """Nothing lost, nothing invented; every label word is mapped."""
    served, _ = hosts(name)
    rows, expected = rows_of(name), served.expected[name]
    check_counts(name, rows, expected)
    if expected["labels"]:
        assert labels_of(name, rows, expected) == relabeled(name, expected["labels"])


@pytest.mark.parametrize("name", EACH)
def test_every_picture_finds_its_row_and_a_second_fetch_asks_for_nothing(
    hosts: Hosts, rows_of: Callable, fetch: Fetch, name: str
) -> None:
    """As many pictures as the publisher has, and no request for what is here."""
    served, cache = hosts(name, FEW if name in MANY else None)
    if name in MANY:
        done = fetch(served, cache, name, **ACCOUNTS)
        assert done.code == 0, done.err
        rows = manifest(cache, name).to_pylist()
    else:
        rows = rows_of(name)
    pictures = sum(row["path"] is not None for row in rows)
    assert pictures == served.expected[name]["images"]
    assert pictures or name == "skincon"  # the one that annotates others' images
    before = len(served.requests())
    again = fetch(served, cache, name, **ACCOUNTS)
    assert (again.code, "nothing to do" in again.err) == (0, True)
    assert len(served.requests()) == before


def check_counts(name: str, rows: Rows, expected: dict[str, Any]) -> None:
    if name not in ("derm7pt", "scin"):  # there a row of the source is a case with several images
        assert len(rows) == expected["rows"]
    training = [row for row in rows if row["split_official"] == "train"]
    for key, column in (("lesions", "lesion_id"), ("patients", "patient_id")):
        if expected.get(key):
            found = {distinct(rows, column), distinct(training, column)}
            assert expected[key] in found, (key, found)
    splits = collections.Counter(row["split_official"] for row in rows)
    wanted = {PARTS.get(part, part): count for part, count in expected.get("splits", {}).items()}
    if name == "fuseg":
        wanted = PART_OF_FUSEG
    if wanted and name != "derm7pt":
        assert {part: splits[part] for part in wanted} == wanted


def distinct(rows: Rows, column: str) -> int:
    return len({row[column] for row in rows} - {None})


def labels_of(name: str, rows: Rows, expected: dict[str, Any]) -> dict[str, int]:
    """The label words counted as the mirror counts them: of the training part where there is one."""
    if name == "scin":
        cases = {row["extra_case"]: row["label_raw"] for row in with_case(rows) if row["label_raw"]}
        return dict(collections.Counter(word for text in cases.values() for word in ast.literal_eval(text)))
    if name == "derm7pt":
        return dict(collections.Counter({row["case_id"]: row["label_raw"] for row in rows}.values()))
    if name == "skincon":
        concepts = collections.Counter(word for row in rows for word, there in row["concepts"] if there)
        flagged = sum(row["image_problem"].startswith("the source says") for row in rows)
        return dict(concepts) | {"Do not consider this image": flagged}
    if name == "isic-archive":
        return dict(collections.Counter(row["label_raw"].rpartition(":")[2] for row in rows))
    part = [row for row in rows if row["split_official"] in ("train", None)]
    chosen = (
        part if "split_labels" in expected or "test_labels" in expected or len(part) < len(rows) else rows
    )
    counted = dict(collections.Counter(row["label_raw"] for row in chosen if row["label_raw"] is not None))
    return counted if counted.keys() == relabeled(name, expected["labels"]).keys() and sum(
        counted.values()) == sum(expected["labels"].values()) else dict(
        collections.Counter(row["label_raw"] for row in rows if row["label_raw"] is not None))  # fmt: skip


def with_case(rows: Rows) -> Rows:
    """SCIN rows with the publisher's own case, also those that share an image with other cases."""
    found = []
    for row in rows:
        extra = dict(row["extra"])
        found.append({**row, "extra_case": extra["case_id"]})
        for number in range(2, 43):  # 15 images have 42 references in all
            if case := extra.get(f"case_id ({number})"):
                label = extra.get(f"weighted_skin_condition_label ({number})", row["label_raw"])
                found.append({**row, "extra_case": case, "label_raw": None if label == "{}" else label})
    return found


def relabeled(name: str, labels: dict[str, int]) -> dict[str, int]:
    return {WORDS_2017[word]: count for word, count in labels.items()} if name == "isic-2017" else labels


# ------------------------------------------------------------------ what is particular


@of_mirror("isic-2020")
def test_isic_2020s_published_duplicates_lie_within_one_patient(rows_of: Callable, hosts: Hosts) -> None:
    """All 425 pairs are in one group: a patient-wise split never parts them."""
    patients = {row["image_id"]: row["patient_id"] for row in rows_of("isic-2020")}
    served, _ = hosts("isic-2020")
    with (served.root / "isic-2020" / "ISIC_2020_Training_Duplicates.csv").open(newline="") as file:
        pairs = [tuple(pair.values()) for pair in csv.DictReader(file)]
    assert len(pairs) == 425
    assert all(patients[one] == patients[other] for one, other in pairs)


@of_mirror("scin")
def test_scin_cases_that_share_images_are_joined(rows_of: Callable) -> None:
    """29 cases share images: they have fewer case ids than there are cases."""
    rows = rows_of("scin")
    group: dict[str, set[str]] = collections.defaultdict(set)
    images: dict[str, set[str]] = collections.defaultdict(set)
    for row in with_case(rows):
        group[row["extra_case"]].add(row["case_id"])
        images[row["image_id"]].add(row["extra_case"])
    together = [cases for cases in images.values() if len(cases) > 1]
    assert len(set().union(*together)) == 29
    assert {len(found) for found in group.values()} == {1}
    assert all(len({*group[one], *group[other]}) == 1 for one, other, *_ in map(sorted, together))
    assert all(
        abs(sum(one["weight"] for one in row["differential"]) - 1) < 1e-4
        for row in rows
        if row["differential"]
    )


@of_mirror("fitzpatrick17k")
def test_fitzpatrick17k_keeps_its_41_rows_without_address(rows_of: Callable) -> None:
    """They are rows, with the reason why there is no image."""
    problems = collections.Counter(row["image_problem"] for row in rows_of("fitzpatrick17k"))
    assert problems["the source gives no address"] == 41


@of_mirror("skincon")
def test_skincon_gives_3230_and_636_usable_images_with_48_concepts(rows_of: Callable) -> None:
    """The annotators' own flag tells which are not to be used."""
    rows = rows_of("skincon")
    usable = collections.Counter(
        row["image_problem"] for row in rows if not row["image_problem"].startswith("the source says")
    )
    assert usable == {"the image is in fitzpatrick17k": 3230, "the image is in ddi": 636}
    assert {len(row["concepts"]) for row in rows} == {48}


@of_mirror("fuseg")
def test_fusegs_equal_images_and_leaks_are_all_audited(
    rows_of: Callable, hosts: Hosts, cli: Callable[..., Answer]
) -> None:
    """29 groups of 61 files and 7 leaks between train and validation; beside them Medetec's 8 test images."""
    rows_of("fuseg")
    _, cache = hosts("fuseg")
    done = cli(
        "-q", "audit", "fuseg", "--only", "duplicate-exact,leak-image", "--format", "json", cache=cache
    )
    assert done.code == 1, done.err
    found = json.loads(done.out)["items"]
    groups = [one["keys"] for one in found if one["code"] == "duplicate-exact"]
    fuseg = [
        keys for keys in groups if not any(key.count("/") > 1 for key in keys)
    ]  # Medetec's ids hold their part
    assert (len(fuseg), sum(map(len, fuseg))) == (29, 61)
    leaks = collections.Counter(
        tuple(one["evidence"]["images"]) for one in found if one["code"] == "leak-image"
    )
    assert leaks == {("train", "val"): 7, ("test", "train"): 8}
    assert {one["level"] for one in found if one["code"] == "leak-image"} == {"error"}


@of_mirror("derm7pt")
def test_derm7pt_records_the_nine_cases_with_one_file_for_both_roles(rows_of: Callable) -> None:
    """One row an image; the second role stands in extra."""
    both = [row for row in rows_of("derm7pt") if "view (2)" in dict(row["extra"])]
    assert len(both) == 9
    assert {dict(row["extra"])["view (2)"] for row in both} == {"dermoscopic"}


@of_mirror("fitzpatrick17k")
def test_dead_addresses_are_noted_per_row_and_exit_8(
    hosts: Hosts, cli: Callable[..., Answer], tmp_path: Path
) -> None:
    """A part of a host is gone: its images are missing with the reason, the others are there."""
    few, _ = hosts("fitzpatrick17k", FEW)
    with (few.root / "fitzpatrick17k" / "fitzpatrick17k.csv").open(newline="") as file:
        addresses = [row["url"] for row in csv.DictReader(file)]
    rule = f"{GONE}=http://127.0.0.1:{few.port}/gone/"
    done = cli(*few.options, "--rewrite", rule, "fetch", "fitzpatrick17k", cache=tmp_path)
    assert done.code == 8, done.err
    rows = manifest(tmp_path, "fitzpatrick17k").to_pylist()
    assert len(rows) == len(addresses) == FEW
    dead = sum(address.startswith(GONE) for address in addresses)
    assert 0 < dead < FEW
    lost = [row["image_problem"] for row in rows if row["path"] is None]
    assert len(lost) == dead + addresses.count("")
    assert all(lost)
    assert f"{dead:,} images did not come" in done.err


@pytest.mark.parametrize(
    ("name", "word"),
    [
        pytest.param("dermnet", "kaggle", marks=of_mirror("dermnet")),
        pytest.param("derm7pt", "derm7pt", marks=of_mirror("derm7pt")),
        pytest.param("msld-v2", "KAGGLE", marks=of_mirror("msld-v2")),
    ],
)
def test_without_credentials_the_steps_are_said(
    hosts: Hosts, fetch: Fetch, tmp_path: Path, name: str, word: str
) -> None:
    """Exit 6, the exact steps, and no request with credentials."""
    served, _ = hosts(name)
    done = fetch(served, tmp_path, name)
    assert done.code == 6
    assert word in done.err
    assert "hint: " in done.err


@of_mirror("dermnet")
def test_the_token_is_seen_by_its_own_host_only(hosts: Hosts, fetch: Fetch, tmp_path: Path) -> None:
    """Kaggle redirects to a storage host, which must never see it; nor does any output."""
    served, _ = hosts("dermnet", FEW)
    before = len(served.requests())
    done = fetch(served, tmp_path, "dermnet", **ACCOUNTS)
    assert done.code == 0, done.err
    asked = served.requests()[before:]
    assert {entry["credentials"] for entry in asked if entry["port"] == served.port} >= {"Basic"}
    assert {entry["credentials"] for entry in asked if entry["port"] != served.port} == {None}
    assert "sesame" not in done.err + done.out
    for path in tmp_path.rglob("*.json"):
        assert "sesame" not in path.read_text()


@pytest.mark.parametrize(
    "name", ["dermexpert", "skingpt4-training", "charm", "dermis", "ucsd-ai4h", "wound-imaging"]
)
@of_mirror("ph2")
def test_what_cannot_be_had_is_said_in_one_true_sentence(
    hosts: Hosts, fetch: Fetch, tmp_path: Path, name: str
) -> None:
    """Exit 6 with the evidence and the nearest that can be had."""
    served, _ = hosts("ph2")
    done = fetch(served, tmp_path, name)
    assert done.code == 6
    assert done.err.startswith("error: ") or "\nerror: " in done.err
    assert "cannot be had" in done.err


def test_names_of_the_seed_list_are_all_there(cli: Callable[..., Answer]) -> None:
    """Every named dataset and model repository has its entry."""
    done = cli("list", "--kind", "all", "--format", "json")
    names = {item["name"] for item in json.loads(done.out)["items"]}
    seed = {
        "isic-archive", "ham10000", "fitzpatrick17k", "pad-ufes-20", "derm7pt", "dermnet", "sd-198", "ddi",
        "isic-2018-task1", "isic-2018-task2", "isic-2018-task3", "ph2", "dermis", "uwaterloo-skin", "isic-2016",
        "isic-2017", "isic-2019", "isic-2020", "isic-2024", "bcn20000", "mclass-d", "mclass-nd", "skincon", "msld",
        "msld-v2", "azh-wound", "azh-wound-400", "azh-localization", "fuseg", "wound-imaging", "scin",
        "skingpt4-training", "dermexpert", "derm-foundation", "ucsd-ai4h", "charm",
    }  # fmt: skip
    assert seed <= names
    assert len(names) >= 75
