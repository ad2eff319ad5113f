"""`--where`: what a condition may say, what it may not, and how that is told."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from dermdata.cohort import filter_rows
from dermdata.cohort.condition_syntax import LONGEST_CONDITION, rewrite_under, tokenize
from dermdata.cohort.where import ENGINE_SETTINGS, open_cursor, open_engine, unknown_word_notes
from dermdata.errors import UnknownName, UsageError
from support.bundled_labels import vocabulary
from support.label_tables import column, manifest, row


def table() -> pa.Table:
    return manifest(
        row("ham10000", "a", "mel", age=70.0, sex="male", extra=[("site", "O'Brien")], patient_id="p1"),
        row("ham10000", "b", "nv", age=30.0, sex="female", fitzpatrick=2),
        row("ham10000", "c", "akiec", age=None, sex=None),
        row("ham10000", "d", "bcc", age=60.0, sex="female"),
        row("ham10000", "e", None, age=60.0),
    )


def images(condition: str) -> str:
    return "".join(column(filter_rows(table(), condition, vocabulary()), "image_id"))


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("age >= 60", "ade"),
        ("AGE >= 60 AND Sex = 'female'", "d"),
        ("age is null or age < 40", "bc"),
        ("diagnosis under 'melanocytic-neoplasm'", "ab"),
        ("diagnosis UNDER ('melanoma', 'keratinocytic-neoplasm')", "acd"),
        ("diagnosis not under 'melanocytic-neoplasm'", "cd"),
        ("not diagnosis under 'melanocytic-neoplasm'", "cd"),
        ("age = 60 and diagnosis under 'skin-finding' or sex = 'male'", "ad"),
        ("\"diagnosis\" under 'melanoma'", "a"),
        ("extra['site'] = 'O''Brien'", "a"),
        ("'melanoma' in diagnosis_path", "a"),
        ("sex in ('male') and patient_id is not null", "a"),
        ("label_raw = 'diagnosis under ''melanoma'''", ""),
        ("coalesce(age, 0) + 1 between 31 and 61 and lower(sex) like 'f%'", "bd"),
        ("case when fitzpatrick is null then false else fitzpatrick = 2 end", "b"),
        ("starts_with(key, 'ham10000/') and nullif(age, 60) > 1", "ab"),
        ("age::int = 70", "a"),
        ("false", ""),
    ],
)
def test_a_condition_keeps_the_rows_of_which_it_is_true(condition: str, kept: str) -> None:
    """SQL's own rules: null is not true; a lump is not under what only one of its members is."""
    assert images(condition) == kept


def test_a_lump_is_under_what_holds_all_its_members() -> None:
    """akiec may be no actinic keratosis."""
    assert images("diagnosis under 'actinic-keratosis'") == ""
    assert images("diagnosis under 'squamous-neoplasia'") == "c"


def test_a_row_that_is_kept_keeps_all_its_columns_and_metadata() -> None:
    """Rows are chosen, never rebuilt."""
    whole = table().replace_schema_metadata({"dermdata.dataset": "ham10000"})
    assert filter_rows(whole, "age >= 60", vocabulary()) == whole.take([0, 3, 4])
    assert filter_rows(whole, "age >= 60", vocabulary()).schema.equals(whole.schema, check_metadata=True)


@pytest.mark.parametrize(
    ("condition", "near"),
    [
        ("agee > 60", "age"),
        ("extras['a'] = 'b'", "extra"),
        ("diagnosis under 'melanom'", "melanoma"),
        ("loer(sex) = 'male'", "lower"),
    ],
)
def test_an_unknown_name_has_its_nearest(condition: str, near: str) -> None:
    """Columns, concepts, functions."""
    with pytest.raises(UnknownName) as caught:
        images(condition)
    assert near in caught.value.near


def test_a_word_in_double_quotes_is_told_from_a_column() -> None:
    """The slip of everyone who is no SQL writer."""
    with pytest.raises(UnknownName, match="unknown column 'papular'") as caught:
        images('label_raw = "papular"')
    assert "single quotes" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "empty"),
        ("age >", "syntax error"),
        ("age = 1 and", "character 12"),
        ("diagnosis under 'melanoma' and and", "character 32"),
        ("age = 'x", "character 7: a quote is not closed"),
        ("(age = 1", r"character 1: this \( is not closed"),
        ("true) or (true", r"character 5: this \) closes nothing"),
        ("under 'melanoma'", "character 1: `under` follows diagnosis"),
        ("lower(diagnosis) under 'melanoma'", "`under` follows diagnosis"),
        ("sex under 'melanoma'", "`under` follows diagnosis"),
        ("diagnosis under", "character 16: `under` needs a concept"),
        ("diagnosis under melanoma", "`under` needs a concept"),
        ("diagnosis under ('melanoma' 'nevus')", "`under` needs a concept"),
        ("age", "true or false for each row, this is FLOAT"),
        ("'yes'", "true or false"),
        ("age > 'abc'", "at 'abc': Could not convert"),
        ("lower(age) = 'a'", r"at lower\(age\)"),
        ("not " * 3000 + "true", "nested too deeply"),
        ("true or " * (LONGEST_CONDITION // 8) + "true", "characters, more than"),
    ],
)
def test_a_wrong_condition_is_told_with_its_place(condition: str, message: str) -> None:
    """In the characters that the person wrote, also behind an `under`."""
    with pytest.raises(UsageError, match=message):
        images(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "true; drop table images",
        "true -- )",
        "true /* ) */",
        "select true",
        "from images",
        "exists (from images)",
        "age in (select age from images)",
        "age = any([1, 2])",
        "count(*) > 1",
        "max(age) = 70",
        "row_number() over () = 1",
        "random() > 0.5",
        "now() > '2020-01-01'::timestamp",
        "current_date > '2020-01-01'",
        "uuid() = uuid()",
        "current_setting('threads') = '2'",
        "getenv('HOME') = '/'",
        "getvariable('x') = 1",
        "nextval('x') = 1",
        "read_text('/etc/passwd') = ''",
        "query('select true')",
        "*",
        "columns(*) = 1",
        "$1 = 1",
        "? = 1",
        "$$)$$ = 'a'",
        "e'\\' = ') --'",
        "#1 = 1",
        "x -> x",
        "list_filter([age], lambda x: x > 1) = []",
        "__internal_compress_string_utinyint('a') = 1",
        "rowid = 1",
        "images.age = 1",
        "repeat('x', 5000000000) = 'a'",
    ],
)
def test_a_condition_is_no_query(condition: str) -> None:
    """One expression over one row; no clock, chance, settings, files or other statements."""
    with pytest.raises(UsageError):
        images(condition)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "COPY (SELECT 1) TO '/tmp/dermdata-should-not-exist.csv'",
        "ATTACH '/tmp/dermdata-should-not-exist.db'",
        "INSTALL httpfs",
        "LOAD '/tmp/none.duckdb_extension'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SELECT * FROM secret",
    ],
)
@pytest.mark.parametrize("opened", [open_engine, open_cursor])
def test_the_engine_is_locked_even_where_a_statement_reached_it(statement: str, opened: Callable) -> None:
    """The second wall: what the first one has missed would still meet this."""
    import duckdb

    secret = pa.table({"a": [1]})
    with opened() as connection, pytest.raises(duckdb.Error):
        connection.execute(statement)
    assert secret.num_rows
    assert ENGINE_SETTINGS["enable_external_access"] == "false"


@pytest.mark.parametrize("condition", ["age > 30", "sex = 'male' or age is null", "true", "false"])
def test_many_rows_are_judged_as_few(condition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many have an engine of their own, with more threads."""
    few = images(condition)
    monkeypatch.setattr("dermdata.cohort.where.FEW_ROWS", -1)
    assert images(condition) == few


def test_conditions_in_threads_see_their_own_rows() -> None:
    """They share an engine, and no table in it."""
    tables = [pa.table({"age": [number] * (number + 1)}) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        kept = pool.map(lambda one: filter_rows(one, "age >= 20", vocabulary()).num_rows, tables)
        assert list(kept) == [number + 1 if number >= 20 else 0 for number in range(40)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_of_a_process_that_judged_rows_judges_its_own_and_ends() -> None:
    """As workers of a DataLoader do: the engine's threads are not there, and nobody waits for them."""
    code = """
import os, sys
import pyarrow as pa
from dermdata.cohort.where import filter_rows
ages = pa.table({"age": [1, 2, 3]})
assert filter_rows(ages, "age > 1", None).num_rows == 2
for works in (True, False):
    for end in (os._exit, sys.exit):
        child = os.fork()
        if not child:
            end(filter_rows(ages, "age > 2", None).num_rows if works else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
assert filter_rows(ages, "age > 1", None).num_rows == 2
"""
    line = [sys.executable, "-W", "ignore", "-c", code]  # Python 3.12 warns of forks beside threads
    done = subprocess.run(line, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_under_is_found_only_as_a_word_of_the_condition() -> None:
    """Strings and quoted names hold what they hold."""
    text = """label_raw = 'a under ''b''' and "x under 'y'" = 1"""
    assert rewrite_under(text, vocabulary()).sql == text


def test_places_behind_a_rewritten_part_are_those_of_the_person() -> None:
    """`under 'melanoma'` grows into a list; what follows is still found."""
    text = "diagnosis under 'melanoma' or age > 1"
    found = rewrite_under(text, vocabulary())
    assert found.sql.startswith("diagnosis in ('melanoma', 'melanoma-in-situ'")
    assert found.original_position(found.sql.index("age")) == text.index("age")
    assert found.original_position(3) == 3


def test_pieces_hold_the_whole_condition() -> None:
    """Nothing is lost between two pieces but space."""
    text = "a='x''y' and \"b c\"<>1.5e3 or (d)[1]"
    assert "".join(piece.text for piece in tokenize(text)) == text.replace(" and ", "and").replace(
        " or ", "or"
    )


def test_a_word_that_no_row_has_is_noted_with_the_nearest() -> None:
    """Only of columns of words, and only where it is compared."""
    assert unknown_word_notes(table(), "sex = 'femal'") == [
        "no row has sex 'femal'; did you mean female or male?"
    ]
    assert unknown_word_notes(table(), "diagnosis in ('melanoma', 'xyz') and sex = 'male'") == [
        "no row has diagnosis 'xyz'"
    ]
    assert unknown_word_notes(table(), "key = 'nothing' and age = 3 and 'x' = sex") == []
