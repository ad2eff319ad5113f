"""`dermdata split --check` of lists: each file a part, never taken for a manifest, never clean where nobody looked.

The practice dataset `x` has eight lesions of two images, `y` the same images without lesions. Each list below puts one
image of each pair into `train` and the other into `test`: all eight leak.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dermdata as dd
from dermdata.api.records import Records
from dermdata.api.resources import settings_from_environment
from dermdata.cli.split_check import conclude
from dermdata.cli.state import State
from dermdata.errors import ProblemsFound, SomeFailed
from support.catalog_folders import entry, put

PAIRS = 8
IDS = [f"IMG_{number:04}" for number in range(2 * PAIRS)]
LESIONS = {image: f"L{number // 2}" for number, image in enumerate(IDS)}
TRAIN, TEST = IDS[::2], IDS[1::2]
TABLE = """
[[files]]
name = "t.csv"
role = "metadata"
urls = ["http://127.0.0.1:1/t.csv"]

[[table]]
reader = "table"
file = "t.csv"

[table.columns]
image_id = "image"
"""
LEAK = "in more than one part: 8 lesions"


def write_csv(path: Path, rows: Iterable[Mapping[str, str]], delimiter: str = ",") -> Path:
    rows = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [delimiter.join(rows[0]), *(delimiter.join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def practice(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_catalog: None) -> Callable:
    """Fetch practice datasets from a folder."""
    monkeypatch.setenv("DERMDATA_CATALOG", str(tmp_path / "lab"))

    def fetch(name: str, images: Iterable[str] = IDS, **columns: Mapping[str, str]) -> None:
        mapped = "".join(f'{column} = "{column}"\n' for column in columns)
        put(tmp_path / "lab", name, entry(name) + TABLE + mapped)
        rows = [{"image": one, **{column: of[one] for column, of in columns.items()}} for one in images]
        write_csv(tmp_path / "usb" / name / "t.csv", rows)
        assert cli("--offline", "fetch", name, "--mirror", tmp_path / "usb").code == 0

    return fetch


@pytest.fixture
def x(practice: Callable) -> None:
    practice("x", lesion_id=LESIONS)


@pytest.fixture
def y(practice: Callable) -> None:
    """Nobody knows a lesion or patient."""
    practice("y")


def only_ids(images: Iterable[str]) -> list[dict[str, str]]:
    return [{"file_name": f"{image}.jpg", "label": "nevus"} for image in images]


# ------------------------------------------------------------------ several lists, each a part


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("train/metadata.csv", "test/metadata.csv", ("train", "test")),
        ("fold_0/val.csv", "fold_1/val.csv", ("fold_0", "fold_1")),
        ("a/x/list.csv", "b/x/list.csv", ("a/x/list.csv", "b/x/list.csv")),
        ("train.csv", "train.tsv", ("train.csv", "train.tsv")),
        ("train", "test", ("train", "test")),
        ("TRAIN.CSV", "held-out.lst", ("TRAIN", "held-out")),
        ("train.csv.bak", "2019.test", ("train.csv", "2019")),
    ],
)
def test_lists_of_one_name_in_two_folders_and_with_any_ending_are_two_parts(
    cli: Callable, tmp_path: Path, x: None, first: str, second: str, names: tuple[str, str]
) -> None:
    """As Hugging Face's imagefolder has a metadata.csv in each part's folder."""
    one = write_csv(tmp_path / first, only_ids(TRAIN), "\t" if first.endswith("tsv") else ",")
    other = write_csv(tmp_path / second, only_ids(TEST), "\t" if second.endswith("tsv") else ",")
    answer = cli("split", "--check", one, other, "-f", "json")
    assert answer.code == 1
    assert LEAK in answer.err
    parts = json.loads(answer.out)["items"][0]["evidence"]["images"]
    assert {*parts} == {*names}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "sep=;"])
def test_lists_are_read_however_they_were_saved(
    cli: Callable, tmp_path: Path, x: None, encoding: str, delimiter: str
) -> None:
    """Excel's `sep=` line and Unicode text, ANSI, a header in another language's delimiter."""
    mark = delimiter[-1]
    parts = [("train", "test")[number % 2] for number in range(len(IDS))]
    lines = [f"image_id{mark}dx{mark}split"]
    lines += [f"{one}{mark}naevus à cellules{mark}{part}" for one, part in zip(IDS, parts, strict=True)]
    lines = [delimiter, *lines] if delimiter.startswith("sep") else lines
    (tmp_path / "paper.csv").write_bytes("\r\n".join(lines).encode(encoding))
    answer = cli("split", "--check", tmp_path / "paper.csv")
    assert answer.code == 1, answer.err
    assert LEAK in answer.err


def test_a_file_cannot_be_two_parts(cli: Callable, tmp_path: Path, x: None) -> None:
    """Nor by another spelling of its path, nor by a link."""
    path = write_csv(tmp_path / "train.csv", only_ids(TRAIN))
    (tmp_path / "link.csv").symlink_to(path)
    for again in (path, tmp_path / "." / "lab" / ".." / "train.csv", tmp_path / "link.csv"):
        answer = cli("split", "--check", path, again)
        assert answer.code == 2
        assert "is given twice" in answer.err


@pytest.mark.parametrize(
    "more",
    [
        {"dataset": "vidir_modern"},
        {"dataset": "vidir_modern", "lesion_id": "?", "dx_type": "histo", "localization": "back"},
        {"split": "train"},
        {"fold": "0"},
        {"group": "7", "key": "?"},
    ],
)
def test_each_of_several_lists_is_a_part_whatever_columns_it_has(
    cli: Callable, tmp_path: Path, x: None, more: dict[str, str]
) -> None:
    """`train_test_split` writes them all back: `dataset` of HAM10000, a `split` of before, a number of the row."""

    def rows(images: Iterable[str]) -> list[dict[str, str]]:
        known = {image: {"lesion_id": LESIONS[image], "key": f"x/{image}"} for image in images}
        return [
            {"image_id": one, **{name: known[one].get(name, word) for name, word in more.items()}}
            for one in images
        ]

    write_csv(tmp_path / "train.csv", rows(TRAIN))
    write_csv(tmp_path / "test.csv", rows(TEST))
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 1
    assert LEAK in answer.err
    assert "parts in the files' names" in answer.err


def test_a_split_of_before_in_the_files_does_not_count(cli: Callable, tmp_path: Path, x: None) -> None:
    """train.csv and test.csv are the parts; the column that the paper's own list had is not."""
    before = {image: ("train", "val")[number % 2] for number, image in enumerate(IDS)}
    for part, images in (("train", IDS[:8]), ("test", IDS[8:])):
        write_csv(tmp_path / f"{part}.csv", [{"image": one, "split": before[one]} for one in images])
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 0, answer.err
    assert "'split' is not looked at: the files are the parts" in answer.err


@pytest.mark.parametrize(
    "names", [("clinic", "hospital"), ("clinic-test", "hospital-test"), ("train-a", "train-b")]
)
def test_lists_of_two_datasets_with_parts_of_their_own_are_judged_by_these_too(
    cli: Callable, tmp_path: Path, x: None, names: tuple[str, str]
) -> None:
    """Files that are not called as parts are: either may be meant, and neither may leak unseen."""
    of = {image: ("train", "test")[number % 2] for number, image in enumerate(IDS)}
    for name, images in zip(names, (IDS[:8], IDS[8:]), strict=True):
        write_csv(tmp_path / f"{name}.csv", [{"image": one, "split": of[one]} for one in images])
    answer = cli("split", "--check", *(tmp_path / f"{name}.csv" for name in names))
    assert answer.code == 1
    assert LEAK in answer.err
    assert "they are judged as well" in answer.err


def test_manifests_without_a_split_are_a_part_each(cli: Callable, tmp_path: Path, x: None) -> None:
    """`there is no split to check` is of no help to who has just made one."""
    for part, images in (("train", TRAIN), ("test", TEST)):
        chosen = ", ".join(f"'{one}'" for one in images)
        where = f"image_id in ({chosen})"
        assert cli("select", "x", "--where", where, "-o", tmp_path / f"{part}.parquet").code == 0
    answer = cli("split", "--check", tmp_path / "train.parquet", tmp_path / "test.parquet")
    assert answer.code == 1
    assert LEAK in answer.err


@pytest.mark.parametrize("names", [("clinic", "hospital"), ("train", "test")])
def test_manifests_with_a_split_are_judged_by_it(
    cli: Callable, tmp_path: Path, x: None, names: tuple[str, str]
) -> None:
    """Whatever they are called: a leak of their own column is not passed over."""
    for name, start in zip(names, (0, 8), strict=True):
        where = f"image_id >= '{IDS[start]}' and image_id <= '{IDS[start + 7]}'"
        path = tmp_path / f"{name}.parquet"
        assert cli("select", "x", "--where", where, "-o", path).code == 0
        table = pq.ParquetFile(path).read()
        parts = pa.array([("train", "test")[number % 2] for number in range(8)])
        pq.write_table(table.set_column(table.schema.get_field_index("split"), "split", parts), path)
    answer = cli("split", "--check", *(tmp_path / f"{name}.parquet" for name in names))
    assert answer.code == 1
    assert LEAK in answer.err


# ------------------------------------------------------------------ a bare list is never taken for a manifest


@pytest.mark.parametrize("source", ["vidir_modern", "x", "X", "nosuch"])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_list_with_a_column_dataset_is_no_manifest(
    cli: Callable, tmp_path: Path, x: None, source: str, ending: str
) -> None:
    """It has ids and parts, and not a lesion: they are looked up."""
    rows = [
        {"image_id": one, "dx": "nevus", "dataset": source, "split": ("train", "test")[number % 2]}
        for number, one in enumerate(IDS)
    ]
    path = tmp_path / f"paper.{ending}"
    if ending == "csv":
        write_csv(path, rows)
    elif ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    for words in ([], ["--target", "x"]):
        answer = cli("split", "--check", path, *words)
        assert answer.code == 1, answer.err
        assert LEAK in answer.err


def test_what_a_query_leaves_of_a_manifest_is_looked_up(cli: Callable, tmp_path: Path, x: None) -> None:
    """Keys and parts alone are a list: of the dataset that the keys name."""
    assert cli("split", "x", "--by", "image", "--seed", "3", "-o", tmp_path / "s.parquet").code == 0
    whole = cli("split", "--check", tmp_path / "s.parquet")
    for columns in ("key, split", "dataset, image_id, split", "key, dataset, image_id, split"):
        for out in ("few.csv", "few.parquet"):
            sql = f"SELECT {columns} FROM images"
            assert cli("query", sql, tmp_path / "s.parquet", "-o", tmp_path / out).code == 0
            answer = cli("split", "--check", tmp_path / out)
            assert (answer.code, answer.err.splitlines()[-2:]) == (1, whole.err.splitlines()[-2:])


def test_a_manifest_as_csv_is_a_manifest(cli: Callable, tmp_path: Path, x: None) -> None:
    """Whatever it is called, and without the dataset in any cache."""
    assert cli("split", "x", "-o", tmp_path / "paper.csv").code == 0
    answer = cli("split", "--check", tmp_path / "paper.csv", cache=tmp_path / "empty")
    assert answer.code == 0, answer.err
    assert "no lesion or image is in two parts" in answer.err


# ------------------------------------------------------------------ whose ids count


@pytest.mark.parametrize("name", ["patient_id", "PatientID", "Patient ID", "subject", "pid"])
def test_the_list_s_own_patients_count_where_the_dataset_has_none(
    cli: Callable, tmp_path: Path, x: None, name: str
) -> None:
    """The dataset knows the lesions, the list the patients: both are judged."""
    for part, images in (("train", IDS[:8]), ("test", IDS[8:])):
        rows = [{"image_id": one, name: f"P{IDS.index(one) % 8}"} for one in images]
        write_csv(tmp_path / f"{part}.csv", rows)
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 1
    assert "in more than one part: 8 patients" in answer.err
    assert f"patient_id in '{name}'" in answer.err
    assert "patient_id" not in answer.err.partition("not judged")[2].splitlines()[0]


def test_a_list_that_is_all_there_is_needs_no_dataset(cli: Callable, tmp_path: Path) -> None:
    """Its own lesions are judged, with an empty cache too."""
    for part, images in (("train", TRAIN), ("test", TEST)):
        write_csv(tmp_path / f"{part}.csv", [{"image": one, "lesion": LESIONS[one]} for one in images])
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 1
    assert LEAK in answer.err


@pytest.mark.parametrize(
    ("named", "said"), [(0, "no patient, lesion or case is known in two parts"), (3, "5 of 16 images")]
)
def test_ids_that_only_one_of_the_lists_has_do_not_make_the_others_clean(
    cli: Callable, tmp_path: Path, y: None, named: int, said: str
) -> None:
    """train.csv names patients, test.csv does not, or not all."""
    write_csv(tmp_path / "train.csv", [{"image": one, "patient_id": f"P{one}"} for one in TRAIN])
    rows = [{"image": one, "patient_id": f"P{one}" if i < named else ""} for i, one in enumerate(TEST)]
    write_csv(tmp_path / "test.csv", rows if named else only_ids(TEST))
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 8
    assert said in answer.err
    assert "is in two parts" not in answer.err


def test_one_lesion_is_one_by_the_dataset_s_name_and_by_the_list_s(
    cli: Callable, tmp_path: Path, practice: Callable
) -> None:
    """The dataset knows half of the images; the others are only in the list, under the list's names."""
    practice("x", images=TRAIN, lesion_id=LESIONS)
    for part, images in (("train", TRAIN), ("test", TEST)):
        rows = [{"image_id": one, "lesion_id": f"les-{LESIONS[one]}"} for one in images]
        write_csv(tmp_path / f"{part}.csv", rows)
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 1
    assert LEAK in answer.err


def test_ids_that_contradict_the_dataset_are_told_and_the_dataset_s_count(
    cli: Callable, tmp_path: Path, x: None
) -> None:
    """By the list all images are of one lesion, or each of its own: the dataset says otherwise."""
    for name, said in (
        ("all", "several in the dataset (such as all)"),
        ("", "several in the list (such as x/L0)"),
    ):
        for part, images in (("train", IDS[:8]), ("test", IDS[8:])):
            rows = [{"image_id": one, "lesion_id": name or f"own-{one}"} for one in images]
            write_csv(tmp_path / f"{part}.csv", rows)
        answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
        assert answer.code == 0, answer.err
        assert said in answer.err
        assert "the dataset's count" in answer.err


def test_words_for_no_id_are_no_patient_and_pandas_s_1_0_is_1(cli: Callable, tmp_path: Path, y: None) -> None:
    """A column with a gap is written as 1.0, and a gap as nan."""
    words = {"train": ["1.0", "nan", "2.0", "unknown"], "test": ["1", "NaN", "3", "unknown"]}
    for part, start in (("train", 0), ("test", 4)):
        rows = [
            {"image": IDS[start + number], "patient_id": word, "lesion_id": f"L{part}{number}"}
            for number, word in enumerate(words[part])
        ]
        write_csv(tmp_path / f"{part}.csv", rows)
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 1
    assert "in more than one part: 1 patient\n" in answer.err


# ------------------------------------------------------------------ "not judged" is never "no leak"


def test_where_nobody_knows_a_patient_or_lesion_nothing_is_judged(
    cli: Callable, tmp_path: Path, y: None
) -> None:
    """Exit 8; `--by image` says that images alone are to be judged."""
    rows = [{"image": one, "split": ("train", "test")[number % 2]} for number, one in enumerate(IDS)]
    path = write_csv(tmp_path / "paper.csv", rows)
    answer = cli("split", "--check", path)
    assert answer.code == 8
    assert "16 images" in answer.err
    assert "--by image" in answer.err
    assert "is in two parts" not in answer.err
    answer = cli("split", "--check", path, "--by", "image")
    assert answer.code == 0, answer.err
    assert "no image is in two parts" in answer.err


def test_a_manifest_without_ids_is_not_called_clean_either(cli: Callable, tmp_path: Path, y: None) -> None:
    """Also where our own split has made it."""
    assert cli("split", "y", "-o", tmp_path / "s.parquet").code == 0
    assert cli("split", "--check", tmp_path / "s.parquet").code == 8
    assert cli("split", "--check", tmp_path / "s.parquet", "--by", "image").code == 0
    assert cli("split", "--check", tmp_path / "s.parquet", "--by", "patient").code == 8


def test_images_that_no_dataset_knows_are_counted(cli: Callable, tmp_path: Path, x: None) -> None:
    """Half of the list is judged: that is no clean bill."""
    parts = {"train": [*IDS[:8], "u1", "u2"], "test": [*IDS[8:], "u3"]}
    for part, images in parts.items():
        write_csv(tmp_path / f"{part}.csv", [{"image": one} for one in images])
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 8
    assert "3 of 19 images could not be judged" in answer.err


def test_rows_without_an_image_are_not_judged_and_blank_lines_are_no_rows(
    cli: Callable, tmp_path: Path, x: None
) -> None:
    """As a spreadsheet leaves them at the end."""
    lines = [f"{one},{('train', 'test')[number // 8]}" for number, one in enumerate(IDS)]
    path = tmp_path / "paper.csv"
    path.write_text("\n".join(["image,split", *lines, ",", ","]) + "\n")
    assert cli("split", "--check", path).code == 0
    path.write_text("\n".join(["image,split", *lines, ",test"]) + "\n")
    answer = cli("split", "--check", path)
    assert answer.code == 8
    assert "1 of 17 images could not be judged" in answer.err


def test_a_line_that_is_none_is_named(cli: Callable, tmp_path: Path, x: None) -> None:
    """It would be left out of the judgment."""
    path = write_csv(tmp_path / "paper.csv", [{"image": one, "split": "train"} for one in IDS])
    path.write_text(path.read_text() + "IMG_0003,test,what,is,this\n")
    answer = cli("split", "--check", path)
    assert answer.code == 2
    assert "line 18" in answer.err


@pytest.mark.parametrize("column", ["split", "dataset", "fold"])
def test_one_part_is_nothing_to_judge(cli: Callable, tmp_path: Path, x: None, column: str) -> None:
    """A list of which all images are in one part, or whose `dataset` is no part, cannot be clean."""
    path = write_csv(tmp_path / "paper.csv", [{"image": one, column: "all"} for one in IDS])
    answer = cli("split", "--check", path)
    assert answer.code == 2
    assert "is in two parts" not in answer.err


def test_leaks_come_before_what_is_not_judged(cli: Callable, tmp_path: Path, x: None) -> None:
    """Exit 1, and both are said."""
    for part, images in (("train", [*TRAIN, "u1"]), ("test", TEST)):
        write_csv(tmp_path / f"{part}.csv", [{"image": one} for one in images])
    answer = cli("split", "--check", tmp_path / "train.csv", tmp_path / "test.csv")
    assert answer.code == 1
    assert LEAK in answer.err
    assert "1 of 17 images could not be judged" in answer.err


@pytest.mark.parametrize(
    "words",
    [["-o", "out.parquet"], ["--folds", "3"], ["--ratios", "0.5,0.5"], ["--stratify", "sex"], ["--official"],
     ["--stable"]],
)  # fmt: skip
def test_what_makes_a_split_does_not_go_with_check(cli: Callable, words: list[str]) -> None:
    """It would be left undone without a word."""
    answer = cli("split", "--check", "x", *words)
    assert answer.code == 2
    assert words[0] in answer.err or "--output" in answer.err


def test_the_api_gives_the_same(tmp_path: Path, y: None) -> None:
    """What is not judged is a fact of the answer."""
    session = dd.open_session(cache=tmp_path / "cache", catalogs=[tmp_path / "lab"], offline=True)
    for part, images in (("train", TRAIN), ("test", TEST)):
        write_csv(tmp_path / part / "metadata.csv", only_ids(images))
    files = [tmp_path / part / "metadata.csv" for part in ("train", "test")]
    found = session.check_split(*files)
    assert (len(found), found.facts["unjudged"], found.facts["judged"]) == (0, 16, ["image"])
    assert session.check_split(*files, by="image").facts["unjudged"] == 0
    rows = [{"image": one, "patient": f"P{IDS.index(one) // 2}"} for one in IDS]
    write_csv(files[0], rows[::2])
    write_csv(files[1], rows[1::2])
    assert session.check_split(*files).facts["leaks"] == {"patients": 8}


# ------------------------------------------------------------------ lists as people save them


@pytest.mark.parametrize(
    ("encoding", "before", "mark", "end", "tail"),
    [
        ("utf-8-sig", "", ";", "\r\n", ""),
        ("utf-16", "", "\t", "\r\n", ""),
        ("utf-8", "sep=;\r\n", ";", "\r\n", ""),
        ("utf-8", "", ",", "\n", ",,"),
        ("cp1252", "", ";", "\r", ""),
    ],
    ids=["semicolons", "UTF-16", "sep line", "trailing delimiters", "ANSI"],
)
def test_a_list_of_a_spreadsheet_is_judged_as_the_plain_one(
    encoding: str,
    before: str,
    mark: str,
    end: str,
    tail: str,
    practice: Callable,
    cli: Callable,
    tmp_path: Path,
) -> None:
    """All eight lesions leak, whatever program saved the list; what was guessed is told."""
    practice("x", lesion_id=LESIONS)
    parts = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(TEST, "test")}
    rows = [
        ["image", "split", "Größe"],
        *([f"fotos\\{one}.jpg", part, "klein"] for one, part in parts.items()),
    ]
    path = tmp_path / "list.csv"
    path.write_bytes((before + "".join(f"{mark.join(row)}{tail}{end}" for row in rows)).encode(encoding))
    answer = cli("split", "--check", path)
    assert (answer.code, LEAK in answer.err) == (1, True), answer.err
    assert ("read as ANSI (cp1252)" in answer.err) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"image,split\nIMG_0000,train\nIMG_0001\n", "line 3: 1 cell"),
        ("image,split\nРодинка,train\n".encode("cp1251"), "line 2: not utf-8"),
        (b'image,split\n"IMG_0000,train\n', "line 2: a quotation mark is never closed"),
        (b"image,split,split\nIMG_0000,train,test\n", "'split' more than once"),
    ],
)
def test_a_list_that_cannot_be_read_is_named_with_its_line(
    data: bytes, said: str, practice: Callable, cli: Callable, tmp_path: Path
) -> None:
    """Exit 2: it is the person's own file, not a publisher's."""
    practice("x", lesion_id=LESIONS)
    (tmp_path / "list.csv").write_bytes(data)
    answer = cli("split", "--check", tmp_path / "list.csv")
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_pictures_that_are_near_by_hash_alone_are_no_clean_split() -> None:
    """Their images are not here, so nobody has looked at them: exit 8, and said beside leaks."""
    facts = {"leaks": {}, "unjudged": 0, "rows": 2, "judged": ["lesion", "image"]}
    state = State(settings_from_environment())
    with pytest.raises(SomeFailed, match="1 picture may be in several parts, by hash alone"):
        conclude(state, Records([{"level": "warning"}], ("level",), facts), near=True)
    with pytest.raises(ProblemsFound, match="1 lesion"):
        conclude(
            state, Records([{"level": "error"}], ("level",), {**facts, "leaks": {"lesions": 1}}), near=True
        )


# ------------------------------------------------------------------ one part is one, however it is spelled


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (("train", "TRAIN", "Train "), ("test", "Test")),
        (("train", "training", "TRAINING"), ("val", "valid", "Validation")),
        (("0", "0.0"), ("1", "1.0", "1.00")),
        (("Fold1", "fold1"), ("Fold2", "fold2")),
    ],
)
def test_a_part_in_several_spellings_is_one(
    cli: Callable, tmp_path: Path, x: None, train: tuple[str, ...], test: tuple[str, ...]
) -> None:
    """A sound list has no leak by that, a leaky one no fewer; and it is told."""
    for parts, code in (((train, test), 0), ((train + test, train[:1] + test), 1)):
        rows = []
        for number, image in enumerate(IDS):
            words = parts[number // 8] if code == 0 else (train, test)[number % 2]
            rows.append({"image": image, "split": words[number // 2 % len(words)]})
            if code == 0:
                rows[-1]["split"] = words[number % len(words)]
        answer = cli("split", "--check", write_csv(tmp_path / "paper.csv", rows))
        assert answer.code == code, answer.err
        assert "is taken for the part" in answer.err
        assert code == 0 or LEAK in answer.err


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "n/a"])
def test_a_word_for_no_part_is_no_part(cli: Callable, tmp_path: Path, x: None, word: str) -> None:
    """As pandas writes what it does not know: no lesion leaks into it."""
    words = [(word if number % 2 else ("train", "test")[number // 8]) for number in range(len(IDS))]
    rows = [{"image": one, "split": part} for one, part in zip(IDS, words, strict=True)]
    answer = cli("split", "--check", write_csv(tmp_path / "paper.csv", rows))
    assert answer.code == 0, answer.err
    assert "8 images are in no part" in answer.err


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{one}.jpg" for one in IDS),
        json.dumps({"train": [f"image_{number}" for number in range(9999)]}),
        ",".join(f"column_{number}" for number in range(9999)) + "\n",
    ],
    ids=["no first line", "JSON", "matrix"],
)
def test_what_has_no_column_of_images_is_named_in_a_line_that_can_be_read(
    cli: Callable, tmp_path: Path, x: None, text: str
) -> None:
    """A list without its first line of names; a JSON document; a matrix."""
    (tmp_path / "list.csv").write_text(text)
    answer = cli("split", "--check", tmp_path / "list.csv")
    assert answer.code == 2
    assert "no column of image ids" in answer.err
    assert "a first line of names" in answer.err
    assert len(answer.err) < 3000


def test_many_leaks_are_a_screen_for_a_person_and_each_a_line_for_a_program(
    cli: Callable, tmp_path: Path, x: None
) -> None:
    """A terminal showed a thousand lines, and the words of what leaks not at all."""
    halves = [
        write_csv(tmp_path / name, only_ids(IDS[at::2])) for at, name in enumerate(("train.csv", "test.csv"))
    ]
    shown = cli("split", "--check", *halves, "-f", "table")
    assert shown.code == 1
    assert len(shown.out.splitlines()) == 3
    assert "leak-lesion" in shown.out
    assert "is in more than one part" in shown.out
    told = cli("split", "--check", *halves, "-f", "tsv")
    assert len(told.out.splitlines()) == 1 + int(shown.err.partition("in more than one part: ")[2].split()[0])
