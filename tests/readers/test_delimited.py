"""Delimited text: every cell as it stands, every broken line with its number, nothing shifted or guessed."""

import contextlib
import csv
import io

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dermdata.errors import TableRefused
from dermdata.readers import delimited
from dermdata.readers.delimited import parse_delimited
from dermdata.text_files import to_utf8

NAMES = ["id", "dx"]


def rows(
    data: bytes | str, delimiter: str = ",", encoding: str = "utf-8", header: tuple[str, ...] = ()
) -> pa.Table:
    """The rows of a file in which none is rejected."""
    table, rejected = parse_delimited(
        bytes_of(data), "t.csv", delimiter=delimiter, encoding=encoding, header=header
    )
    assert rejected == []
    return table


def bytes_of(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def refusal(data: bytes | str, encoding: str = "utf-8", header: tuple[str, ...] = ()) -> str:
    with pytest.raises(TableRefused) as caught:
        parse_delimited(bytes_of(data), "t.csv", delimiter=",", encoding=encoding, header=header)
    assert "t.csv" in caught.value.message
    return caught.value.message


def cells(table: pa.Table) -> list[list[str]]:
    return [list(row.values()) for row in table.to_pylist()]


# ------------------------------------------------------------------ encodings and line ends

TEXT = "id,dx\nä,mel\n2,nv\n"


@pytest.mark.fault(86)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be with a mark"])
@pytest.mark.parametrize("quoted", [True, False])
def test_marks_and_line_ends_are_not_content(end: str, last: bool, form: str, quoted: bool) -> None:
    """Row 86: BOM, UTF-16, CRLF, CR alone, with and without an end to the last line."""
    text = (TEXT if last else TEXT.rstrip()).replace("\n", end)
    if quoted:
        text = text.replace("mel", '"mel"')
    data = b"\xfe\xff" + text.encode("utf-16-be") if form.startswith("utf-16-be") else text.encode(form)
    assert cells(rows(data)) == [["ä", "mel"], ["2", "nv"]]


@pytest.mark.fault(86)
def test_mixed_line_ends() -> None:
    """Row 86: three editors have had the file."""
    assert cells(rows("id,dx\r\n1,mel\r2,nv\n3,df\r\n")) == [["1", "mel"], ["2", "nv"], ["3", "df"]]


@pytest.mark.fault(86)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_the_catalogs_encoding_is_used(encoding: str) -> None:
    """Row 86: naïve in latin-1 is not UTF-8."""
    assert cells(rows("id,dx\n1,naïve\n".encode(encoding), encoding=encoding)) == [["1", "naïve"]]


@pytest.mark.fault(86)
def test_a_mark_is_believed_before_the_catalog() -> None:
    """Row 86: a BOM cannot be chance; without this it would be a part of the first column's name."""
    assert rows("id,dx\n1,é\n".encode("utf-8-sig"), encoding="cp1252").to_pylist() == [{"id": "1", "dx": "é"}]


@pytest.mark.fault(86)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_bytes_of_another_encoding_are_refused_with_their_line(end: str) -> None:
    """Row 86: never replaced, never guessed."""
    assert "line 3: not utf-8" in refusal(f"id,dx{end}1,mel{end}2,".encode() + b"na\xefve" + end.encode())


def test_utf_16_without_a_mark_or_cut_is_refused() -> None:
    assert "line 1: holds a NUL byte" in refusal(
        TEXT.encode("utf-16-le").replace("ä".encode("utf-16-le"), b"a\0")
    )
    assert "not utf-16" in refusal(TEXT.encode("utf-16")[:-1])


@pytest.mark.fault(94)
def test_a_nul_is_refused_with_its_line() -> None:
    """Row 94: pandas keeps it."""
    assert "line 3: holds a NUL byte" in refusal("id,dx\n1,mel\n2,n\0v\n")
    assert "line 3: holds a NUL byte" in refusal('id,dx\n1,"mel"\n2,n\0v\n')


def test_an_encoding_that_is_none_is_refused() -> None:
    assert "unknown encoding" in refusal("id\n1\n", encoding="utf-9")


# ------------------------------------------------------------------ cells


@pytest.mark.fault(87)
@pytest.mark.parametrize(
    "word", ["NA", "N/A", "None", "nan", "NaN", "null", "NULL", "#N/A", "true", "-", "?", " ", "  x "]
)
def test_words_stay_words(word: str) -> None:
    """Row 87: they are labels, not nothing."""
    assert cells(rows(f"id,dx\n1,{word}\n")) == [["1", word]]
    assert cells(rows(f'id,dx\n1,"{word}"\n')) == [["1", word]]


@pytest.mark.fault(88)
@pytest.mark.parametrize(
    "number",
    ["0001", "1e5", "1.0", "12345678901234567890", "+1", "1_000", "٣", "0x1F", "2020-01-01", "Infinity"],
)
def test_numbers_stay_as_they_are_written(number: str) -> None:
    """Row 88: an id is text."""
    assert cells(rows(f"id,dx\n{number},mel\n")) == [[number, "mel"]]


def test_empty_cells_are_empty_not_null() -> None:
    assert cells(rows('id,dx\n1,\n,""\n,x\n')) == [["1", ""], ["", ""], ["", "x"]]
    assert rows("id,dx\n1,\n")["dx"].null_count == 0


@pytest.mark.fault(94)
def test_what_quotes_protect() -> None:
    """Row 94: delimiters, quotes and line ends inside a cell stay, each line end as it was."""
    data = 'id,dx\r\n1,"a, b"\r\n2,"say ""x"""\r\n3,"two\r\nlines\rand\nmore"\r\n'
    assert cells(rows(data)) == [["1", "a, b"], ["2", 'say "x"'], ["3", "two\r\nlines\rand\nmore"]]


def test_a_quote_inside_a_word_is_a_sign() -> None:
    """A nevus of 5" is no open quotation."""
    assert cells(rows('id\tdx\n1\t5" nevus\n2\tnv\n', delimiter="\t")) == [["1", '5" nevus'], ["2", "nv"]]


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_line_ends_end_lines(sign: str) -> None:
    """What Python's splitlines takes for an end of line is content."""
    assert cells(rows(f"id,dx\n1,a{sign}b\n")) == [["1", f"a{sign}b"]]


def test_blank_lines_are_no_rows() -> None:
    assert cells(rows("\n\nid,dx\n\n1,mel\n\n\n2,nv\n\n")) == [["1", "mel"], ["2", "nv"]]


# ------------------------------------------------------------------ broken lines


@pytest.mark.fault(89)
@pytest.mark.parametrize("quoted", [False, True])
def test_one_line_too_wide_or_too_narrow_is_rejected_with_its_line(quoted: bool) -> None:
    """Row 89: the others stay, nothing is shifted; a cell of two lines counts as two."""
    first = '"two\nlines"' if quoted else "mel"
    table, rejected = parse_delimited(
        f"id,dx\n1,{first}\n2,nv,x\n3\n4,df\n".encode(), "t.csv", delimiter=",", encoding="utf-8"
    )
    assert table["id"].to_pylist() == ["1", "4"]
    more = 1 if quoted else 0
    assert rejected == [
        {"file": "t.csv", "line": 3 + more, "row": "2,nv,x", "reason": "3 cells, the header has 2"},
        {"file": "t.csv", "line": 4 + more, "row": "3", "reason": "1 cell, the header has 2"},
    ]


@pytest.mark.fault(89)
@pytest.mark.parametrize("line", ["1,mel,x", "1"])
def test_no_line_of_the_headers_width_is_another_table(line: str) -> None:
    """Row 89: pandas would take the first column for an index and shift the others."""
    message = refusal("id,dx\n" + f"{line}\n" * 3)
    assert "none of its 3 lines has the header's 2 cells" in message
    assert "line 2" in message


@pytest.mark.fault(94)
@pytest.mark.parametrize(
    "data",
    [
        'id,dx\n1,mel\n2,"nv\n3,df\n',
        'id,dx\n1,mel\n2,"nv',
        'id,dx\n1,mel\n2,"nv\n3,df\n4,bcc"\n5,x\n'.replace('bcc"', 'bcc"x'),
        'id,dx\n1,mel\n2,"nv"x\n',
    ],
)
def test_broken_quoting_is_refused_with_the_line_where_it_begins(data: str) -> None:
    """Row 94: whatever a lenient reader would make of it, it would be a guess."""
    assert "line 3: " in refusal(data)


@pytest.mark.fault(94)
def test_two_open_quotes_do_not_close_each_other() -> None:
    """Row 94: an even number of quotes, and still two rows would become one without a word."""
    assert "line 2: " in refusal('id,dx\n1,"mel\n2,"nv\n')


@pytest.mark.fault(94)
def test_a_huge_cell_is_refused_with_its_line() -> None:
    """Row 94: an unclosed quote, or a bomb; captions are far shorter."""
    assert "line 2: field larger than field limit" in refusal('id,dx\n1,"' + "x" * 2_000_000 + '"\n')
    assert "line 2: field larger than field limit" in refusal("id,dx\n1," + "x" * 2_000_000 + "\n")


# ------------------------------------------------------------------ headers


@pytest.mark.fault(90)
@pytest.mark.parametrize("data", [b"", b"\n\n", b"\r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_told(data: bytes) -> None:
    """Row 90: not even a header."""
    assert "is empty" in refusal(data)


@pytest.mark.fault(90)
@pytest.mark.parametrize("data", ["id,dx", "id,dx\n", "id,dx\r\n\r\n", '"id",dx\n'])
def test_a_header_alone_is_a_table_without_rows(data: str) -> None:
    """Row 90: whether there must be rows is for the catalog's counts to say."""
    table = rows(data)
    assert table.column_names == NAMES
    assert table.num_rows == 0
    assert set(table.schema.types) == {pa.string()}


@pytest.mark.fault(90)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_name_twice_is_refused(quoted: bool) -> None:
    """Row 90: pandas would make dx.1 of it."""
    word = '"mel"' if quoted else "mel"
    assert "the column 'dx' more than once" in refusal(f"id,dx,dx\n1,{word},nv\n")


def test_names_are_verbatim() -> None:
    """Blanks, quotes, line ends: `require` proposes the nearest where the catalog has another spelling."""
    assert rows('"a\nb", dx ,\n1,2,3\n').column_names == ["a\nb", " dx ", ""]


def test_a_file_without_header() -> None:
    """The catalog gives the names; the first line is a row."""
    assert rows("1,mel\n2,nv\n", header=("id", "dx")).to_pylist()[0] == {"id": "1", "dx": "mel"}
    assert "none of its 1 line" in refusal("1,mel,x\n", header=("id", "dx"))
    assert rows(b"", header=("id", "dx")).num_rows == 0


@pytest.mark.fault(94)
def test_ten_thousand_columns() -> None:
    """Row 94: in a moment, not in the square of it."""
    names = [f"c{n}" for n in range(10_000)]
    data = ",".join(names) + "\n" + ",".join("x" for _ in names) + "\n"
    assert rows(data).num_columns == 10_000
    assert rows(data.replace("x", '"x"', 1)).num_columns == 10_000
    assert len(refusal(data.replace("c9999", "c9998"))) < 2_000


def test_many_lines_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order stays over the seams."""
    monkeypatch.setattr(delimited, "BATCH", 7)
    data = "id,dx\n" + "".join(f'{n},"x"\n' for n in range(50))
    assert rows(data)["id"].to_pylist() == [str(n) for n in range(50)]


# ------------------------------------------------------------------ properties

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0"\r\n,'), max_size=4)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(WORDS, WORDS), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(",\t;|"),
)
@example([("a\r", "b\n"), ('"', '""')], "\r", ",")
def test_what_was_written_is_read(table: list[tuple[str, str]], end: str, delimiter: str) -> None:
    """Any texts, any line end, any delimiter: cell by cell, in order."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([NAMES, *table])
    found = cells(rows(out.getvalue(), delimiter=delimiter))
    rest = [list(row) for row in table[len(found) :]]
    assert found == [list(row) for row in table[: len(found)]]
    assert all(row == ["", ""] for row in rest), "only empty lines at the end are none"
    assert not found or found[-1] != ["", ""]


@settings(deadline=None, max_examples=150)
@example(["\ufeff,"], "\n", False)
@given(
    st.lists(st.lists(PLAIN, min_size=1, max_size=3).map(",".join), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_the_quick_way_reads_what_the_strict_way_reads(lines: list[str], end: str, last: bool) -> None:
    """Arrow is only used where it has no opinion of its own."""
    data = end.join(["id,dx", *lines]).encode() + (end.encode() if last else b"")
    quick = delimited.parse_with_arrow(data, "t.csv", ",", ())
    if quick is not None:
        table, rejected = delimited.parse_with_csv(data, "t.csv", ",", ())
        assert (cells(quick[0]), quick[1]) == (cells(table), rejected)
        assert quick[0].column_names == table.column_names


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60) | st.text('ab,"\r\n\0é', max_size=40).map(str.encode))
def test_whatever_comes_is_a_table_or_a_refusal(data: bytes) -> None:
    """And no line is lost: each is a row, rejected, or blank, as lines of delimiters alone may be at the end."""
    with contextlib.suppress(TableRefused):
        table, rejected = parse_delimited(data, "t.csv", delimiter=",", encoding="utf-8")
        _, *lines = filled_lines(data)
        filled = [line for line in lines if any(line)]
        assert len(filled) <= table.num_rows + len(rejected) <= len(lines)


def filled_lines(data: bytes) -> list[list[str]]:
    text = to_utf8(data, "utf-8").data.decode()
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
