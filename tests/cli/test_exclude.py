"""`--exclude FILE`: images that a person does not want are taken away by name, and what is not here is told."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dermdata as dd
from dermdata.errors import BadTable, StorageError
from dermdata.manifest.exclusions import ExclusionFile, exclude_rows, is_listable, read_exclusions

HEADER = "dataset\timage_id\taction\tissue\tsource\tof\n"


@pytest.fixture
def ids(demo_cache: Path, cli: Callable, tmp_path: Path) -> list[str]:
    out = tmp_path / "all.parquet"
    assert cli("select", "demo", "-o", out).code == 0
    found: list[str] = pq.read_table(out)["image_id"].to_pylist()
    return found


@pytest.fixture
def marked(ids: list[str], tmp_path: Path) -> Path:
    """Two images that are dropped, one that is noted, one that is not here."""
    path = tmp_path / "exclusions.tsv"
    lines = [f"demo\t{ids[0]}\tdrop\tblurred\tme\t\n", f"demo\t{ids[1]}\tdrop\truler\tme\t\n"]
    lines += [f"demo\t{ids[2]}\tnote\todd\tme\t\n", "demo\tnobody\tdrop\tgone\tme\t\n"]
    path.write_text(HEADER + "".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["select", "demo"], "some.parquet"),
        (["split", "demo"], "parts.parquet"),
        (["export", "parquet", "demo", "--allow-missing"], "exported"),
        (["export", "csv", "demo", "--allow-missing"], "exported"),
    ],
    ids=lambda one: one if isinstance(one, str) else " ".join(one[:2]),
)
def test_excluded_images_are_nowhere(
    cli: Callable, ids: list[str], marked: Path, tmp_path: Path, words: list[str], out: str
) -> None:
    answer = cli(*words, "--exclude", marked, "-o", tmp_path / out)
    assert "exclusions.tsv: 2 of 3 listed images are here and taken away; not here: demo/nobody" in answer.err
    if words[1] == "csv":
        text = next((tmp_path / out).rglob("*.csv")).read_text(encoding="utf-8")
        assert (f",{ids[0]}," in text, f",{ids[2]}," in text) == (False, True)
        return
    path = tmp_path / out
    table = pq.read_table(path if path.is_file() else next(path.rglob("*.parquet")))
    left = set(table["image_id"].to_pylist())
    assert (ids[0] in left, ids[1] in left, ids[2] in left) == (False, False, True)


def test_stats_and_evaluate_take_it_too(cli: Callable, ids: list[str], marked: Path, tmp_path: Path) -> None:
    assert f"{len(ids) - 2}" in cli("stats", "demo", "--exclude", marked, "--by", "dataset").out
    rows = [f"{one},0.5\n" for one in ids]
    (tmp_path / "p.csv").write_text("image_id,malignant\n" + "".join(rows), encoding="utf-8")
    words = ("evaluate", tmp_path / "p.csv", "--target", "demo", "--bootstrap", "0", "-f", "json")
    assert "2 of 3 listed images" in cli(*words, "--exclude", marked).err


def test_audit_applies_a_list_of_ones_own(cli: Callable, marked: Path) -> None:
    """As it applies a list of the catalog: each issue is a finding."""
    answer = cli("audit", "demo", "--apply", marked, "--only", "known-issue")
    assert "1 of 1 listed image is here and taken away (blurred; me)" in answer.err
    assert "0 of 1 listed images is here" in answer.err or "0 of 1 listed image are here" in answer.err
    assert "1 of 1 listed image is here and kept (odd; me)" in answer.err


def test_the_history_says_so(cli: Callable, marked: Path, tmp_path: Path) -> None:
    out = tmp_path / "some.parquet"
    assert cli("select", "demo", "--exclude", marked, "-o", out).code == 0
    assert f"select demo --exclude={marked}" in dd.load(out).history[0]


def test_a_file_of_keys_will_do(cli: Callable, ids: list[str], tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"# by hand\r\ndemo/{ids[3]}\r\n\r\n", encoding="utf-8")
    assert "1 of 1 listed image is here and taken away" in cli("select", "demo", "--exclude", path).err


def test_in_python_keys_may_be_given(demo_cache: Path, ids: list[str], marked: Path) -> None:
    demo = dd.open_session(cache=demo_cache).load("demo")
    assert len(demo.exclude([f"demo/{ids[0]}"])) == len(demo) - 1
    assert len(demo.exclude(marked, [f"demo/{ids[5]}"])) == len(demo) - 3


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (HEADER + "demo\ta\n", "line 2: 2 fields, not 6"),
        (HEADER + "demo\t\tdrop\t\t\t\n", "line 2: no image_id"),
        (HEADER + "demo\ta\terase\x1b[2J\t\t\t\n", "action 'erase\\x1b[2J' is none of"),
        (HEADER + "demo\t" + "a" * 200_000 + "\tdrop\t\t\t\n", "broken.tsv: field larger than"),
        ("demo/a\0\n", "broken.tsv: line 1: holds a NUL byte"),
        ("demo/a\n\x89PNG".encode("latin-1"), "broken.tsv: line 2: not utf-8"),
    ],
    ids=["fields", "no id", "action", "long", "NUL", "bytes"],
)
def test_broken_lines_are_refused_by_number(
    tmp_path: Path, cli: Callable, demo_cache: Path, text: str | bytes, word: str
) -> None:
    path = tmp_path / "broken.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for words in (("select", "demo", "--exclude"), ("audit", "demo", "--apply")):
        answer = cli(*words, path)
        assert (answer.code, word in answer.err) == (2, True), answer.err


def test_a_list_that_is_not_there_is_told_before_any_work(
    cli: Callable, demo_cache: Path, tmp_path: Path
) -> None:
    for words in (("select", "demo", "--exclude"), ("audit", "demo", "--apply")):
        answer = cli(*words, tmp_path / "nowhere.tsv")
        assert (answer.code, "no exclusion list at" in answer.err) == (2, True)


def test_rows_without_dataset_and_with_keys_of_their_own_are_found() -> None:
    table = pa.table(
        {
            "dataset": pa.array([None, "d", "d"], pa.string()),
            "image_id": ["a", "b", "c"],
            "key": ["a", "d/b", "own"],
        }
    )
    assert exclude_rows(table, ["a", "own", "x"]).table["image_id"].to_pylist() == ["b"]
    assert exclude_rows(table, ["d/c"]).table["image_id"].to_pylist() == ["a", "b"]
    assert exclude_rows(table, []).table is table


def test_a_list_grows_and_shrinks_on_disk(tmp_path: Path) -> None:
    """What others wrote stays as it was; a stranger's words come back the same."""
    path = tmp_path / "list.tsv"
    path.write_text(HEADER + "d\tkept\tnote\todd\tme\t\n", encoding="utf-8")
    mine = ExclusionFile(path)
    mine.mark(["d/a", "tab\there/b"], 'a "quoted" <b>\treason')
    assert ExclusionFile(path).keys == {
        "d/a": 'a "quoted" <b>\treason',
        "tab\there/b": 'a "quoted" <b>\treason',
    }
    mine.unmark(["d/a", "d/never"])
    assert [one.key for one in read_exclusions(path)] == ["d/kept", "tab\there/b"]
    assert len(mine) == 1


def test_a_list_cannot_be_a_folder_or_in_none(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="is a folder"):
        ExclusionFile(tmp_path)
    with pytest.raises(StorageError, match="there is no folder"):
        ExclusionFile(tmp_path / "no" / "list.tsv")
    (tmp_path / "x.tsv").write_bytes(HEADER.encode() + b"d\n")
    with pytest.raises(BadTable, match="line 2"):
        ExclusionFile(tmp_path / "x.tsv")


@pytest.mark.parametrize(
    "key",
    ["demo/a", "a", 'demo/"a', "demo/a/b", "demo/ a ", "#a", "demo/é", "a\nb", "a\rb", "a\u2028b", "a\x1cb", "", "/a",
     "demo/", "a\0", "x" * 10_001],
)  # fmt: skip
def test_a_key_is_listed_where_it_is_read_again_as_it_was(tmp_path: Path, key: str) -> None:
    """And refused where it would be another one, or break the list."""
    listed = ExclusionFile(tmp_path / "list.tsv")
    listed.mark(["demo/other", *([key] if is_listable(key) else [])], "odd")
    keys = [one.key for one in read_exclusions(tmp_path / "list.tsv")]
    assert keys == (["demo/other", key] if is_listable(key) else ["demo/other"])
    assert is_listable(key) == (key in {"demo/a", "a", 'demo/"a', "demo/a/b", "demo/ a ", "#a", "demo/é"})
