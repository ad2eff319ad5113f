"""Words of data in Markdown, LaTeX and BibTeX: whatever they hold, a reader of that format sees words."""

import re

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dermdata.catalogs import open_catalog
from dermdata.cohort.table1 import build_table1, to_latex, to_markdown
from dermdata.markup import (
    bibtex_entry,
    count_nouns,
    count_share,
    escape_latex,
    escape_markdown,
    fence_markdown,
    is_balanced,
    is_bibtex,
    link_markdown,
    phrase_count,
    show_controls,
    to_one_line,
)

HOSTILE = (
    "male |\n\n# X", "<script>alert(1)</script>", "[o](javascript:alert(3))",
    "![x](https://a)",
    "`a` ``b", "*a* **b** _c_",
    "- x", "+ x", "1. x", "12) x", "# x", "> x", "=====", "---", "~~~", "    code", "\tcode", "&lt;b&gt;",
    "a\\|b", "\\", "a\\",
    "\x1b]0;pwn\x07", "\u202egnp.exe", "\u2028x\u2029", "\x85", "a\r\nb", "<https://evil>", "[a]: https://evil",
    "| a | b |",
    "50% & 3$ #1 a_b {c} ~d ^e ^^5cinput{x}",
    "\\input{/etc/passwd}", "\\end{tabular}", "[2pt]", "*", "}", "{", "@article{x,",
    "}}\n@article{evil, title={x}}", "\ud800", "",
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(HOSTILE), st.text(), st.text(alphabet="|\\`*_[]()<>#&{}$%^~@\n\r \"'-+1.!x")
)


def rows_of(text: str) -> list[list[str]]:
    """The cells of the one table that a reader of Markdown sees, as plain words; anything else in it fails."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}
    assert kinds <= {"table", "thead", "tbody", "tr", "th", "td", "inline"}, kinds
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            parts = token.children or []
            assert {part.type for part in parts} <= {"text", "strong_open", "strong_close"}, parts
            rows[-1].append("".join(part.content for part in parts))
    return rows


# ------------------------------------------------------------------ Markdown


@given(TEXTS, TEXTS)
def test_a_markdown_table_keeps_its_rows_and_columns_and_words(value: str, name: str) -> None:
    """Every cell is read as the words that it was given, no link, picture, code or markup in it."""
    told = build_table1(pa.table({"dataset": [clean(name), "b"], "sex": [clean(value) or "x", "y"]}))
    rows = rows_of(to_markdown(told))
    assert {len(row) for row in rows} == {1 + len(told.columns)}
    assert rows[0][1:] == [to_one_line(column) for column in told.columns]
    named = [row[0].removeprefix("\u2003") for row in rows[1:] if any(row[1:])]
    assert named == [to_one_line(line.name) for line in told.lines]


def clean(text: str) -> str:
    """What Arrow can hold."""
    return text.encode("utf-8", "replace").decode()


@given(TEXTS)
def test_markdown_shows_the_words_at_the_beginning_of_a_line_too(text: str) -> None:
    """Not a heading, a list, a quotation or a rule; not even with HTML switched on."""
    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(escape_markdown(text))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    shown = "".join(part.content for token in tokens for part in token.children or [] if part.type == "text")
    assert shown == to_one_line(text)


@given(TEXTS)
def test_only_its_last_line_ends_a_code_block(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse("\n".join(fence_markdown(text, "bibtex")) + "\n\nend")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "https://a> <b", "https://a\nb", "file:///etc/passwd"],
)
def test_only_web_addresses_become_links(address: str) -> None:
    assert not link_markdown(address).startswith("<")
    assert link_markdown("https://example.org/a?b=c") == "<https://example.org/a?b=c>"


# ------------------------------------------------------------------ LaTeX


def left_of_latex(text: str) -> str:
    """What is left when everything that prints a sign is taken away."""
    known = r"\\text(?:backslash|asciitilde|asciicircum|braceleft|braceright|less|greater|bar)\{\}|\\[&%$#_]|\{[\[\]*@]\}"
    return re.sub(known, "", text)


@given(TEXTS)
@example("^^5c^^69nput")
def test_latex_runs_nothing_and_ends_nothing(text: str) -> None:
    r"""None of the ten special signs is left, no line break (so no \par), nothing that \\ takes as its argument."""
    assert not set(left_of_latex(escape_latex(text))) & set("&%$#_{}~^\\[]*@\n\r\x1b\u202e")


@given(TEXTS, TEXTS)
def test_a_latex_table_keeps_its_rows_and_columns(value: str, name: str) -> None:
    told = build_table1(pa.table({"dataset": [clean(name), "b"], "sex": [clean(value) or "x", "y"]}))
    lines = to_latex(told).splitlines()
    rows = [line for line in lines if line.endswith(r" \\") and not line.startswith(r"\multicolumn")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(told.columns)}
    assert len(rows) == 1 + len(told.lines)
    assert "" not in lines


# ------------------------------------------------------------------ BibTeX


@given(st.one_of(TEXTS, TEXTS.map(lambda text: "@article{x, title={" + text + "}}")), TEXTS, TEXTS)
@example("@article{x, title={}}\n@article{evil, title={x}}", "", "")
@example("@article{x, title={a}, note={\\input{/etc/passwd}}}", "", "")
@example("@preamble{x, \\write18{id}}", "", "")
@example("@misc{x, note={^^5cinput}}", "", "")
def test_bibtex_is_one_entry_that_only_prints(text: str, note: str, doi: str) -> None:
    """Braces in balance, one `@` that opens, no control character, no command that reads or writes."""
    entry = bibtex_entry("a key}", text, note=note, doi=doi)
    if entry is None:
        assert not to_one_line(text + note + doi)
        return
    assert is_balanced(entry)
    assert len(re.findall(r"@\s*\w+\s*[{(]", entry)) == 1
    assert entry == show_controls(entry, keep="\n\t")
    assert not re.search(r"\\(input|write|include|read|def|csname)|\^\^", entry)


@pytest.mark.parametrize(
    "text",
    [
        "@article{a,\n  title = {The {HAM10000} dataset of D\\'ermatology \\& more},\n  year = 2018\n}",
        '@misc{key:1, author = "M{\\"u}ller", url = {https://a.example/b%20c?d=e}, month = jan # "~1"}',
        "@InProceedings{a-b_c+d, title={\\textit{In vivo} $\\alpha$}, howpublished={\\url{https://a.example/}}}",
        "@misc{demo}",
    ],
)
def test_a_publishers_entry_is_given_word_for_word(text: str) -> None:
    """Accents, kinds of type and web addresses are what entries are made of."""
    assert bibtex_entry("x", f"\n{text}\n") == text


def test_every_bundled_entry_is_given_word_for_word() -> None:
    catalog = open_catalog()
    entries = [catalog[name] for name in catalog]
    texts = [(one.name, one.citation.bibtex.strip()) for one in entries if one.citation.bibtex]
    assert len(texts) > 10
    assert [name for name, text in texts if bibtex_entry(name, text) != text] == []


@pytest.mark.parametrize(
    "text",
    [
        "@article{a, title={x}} @article{b, title={y}}",
        "@article{a, title={x}",
        "no entry",
        "@article{a, t={\x1b[31m}}",
    ],
)
def test_what_is_not_one_entry_is_quoted_in_one(text: str) -> None:
    """Nothing of it is lost; a person sees what the catalog says."""
    entry = bibtex_entry("ours", text)
    assert entry is not None
    assert entry.startswith("@misc{ours,\n  note = {")


def test_a_title_keeps_its_capitals_and_an_address_its_signs() -> None:
    entry = bibtex_entry("a", None, title="SCIN {x} & more", url="https://a.example/b_c?d=e&f=~g")
    assert entry == (
        "@misc{a,\n  title = {{SCIN \\textbraceleft{}x\\textbraceright{} \\& more}},\n"
        "  url  = {https://a.example/b_c?d=e&f=~g}\n}"
    )
    assert is_bibtex(entry)
    assert "\\%" in str(bibtex_entry("a", None, url="https://a.example/b%20c"))


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (1, "dataset", "1 dataset"), (0, "row", "0 rows"), (2000, "image file", "2,000 image files"),
        (1, "class", "1 class"), (3, "class", "3 classes"), (2, "entry", "2 entries"), (2, "key", "2 keys"),
    ],
)  # fmt: skip
def test_a_noun_agrees_with_its_number(count: int, noun: str, words: str) -> None:
    assert count_nouns(count, noun) == words


def test_a_doi_stays_one() -> None:
    r"""BibLaTeX takes the field as it is: 10.1/a\_b would lead nowhere. One with a brace is none."""
    entry = bibtex_entry("a", None, note="Doe 2020, 50%", doi="10.1000/a_b")
    assert entry == "@misc{a,\n  note = {Doe 2020, 50\\%},\n  doi  = {10.1000/a_b}\n}"
    assert "braceleft" in str(bibtex_entry("a", None, doi="10.1000/{"))


# ------------------------------------------------------------------ terminals and pages


@given(st.text())
def test_what_is_shown_holds_nothing_to_obey(text: str) -> None:
    shown = show_controls(text)
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert shown == text or not text.isprintable()


def test_how_signs_are_shown() -> None:
    """ASCII's by two digits, others as JSON writes them, so that JSON on a terminal is still JSON; wide spaces as one."""
    assert show_controls("a\x1b\x00\u202e\x9b\x7f\xa0\u3000\ud800\U000e0001é\n\t") == (
        "a\\x1b\\x00\\u202e\\u009b\\u007f  \\ud800\\udb40\\udc01é\n\\x09"
    )


@pytest.mark.parametrize(
    ("count", "verb", "words"),
    [
        (1, "are", "1 row is"),
        (2, "are", "2 rows are"),
        (0, "have", "0 rows have"),
        (1, "have", "1 row has"),
        (1, "were", "1 row was"),
        (1, "carry", "1 row carries"),
        (1, "take", "1 row takes"),
    ],
)
def test_a_verb_agrees_with_its_number(count: int, verb: str, words: str) -> None:
    assert count_nouns(count, "row", verb) == words


def test_of_a_share_the_first_number_has_the_verb() -> None:
    assert count_share(1, 20, "row", "are") == "1 of 20 rows is"
    assert count_share(2, 20, "row", "are") == "2 of 20 rows are"
    assert count_share(1, 1, "row", "have") == "1 of 1 row has"


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("rows left out: no image file", "1 row left out: no image file"),
        ("files of equal bytes", "1 file of equal bytes"),
        ("classes", "1 class"),
        ("entries", "1 entry"),
        ("boxes", "1 box"),
        ("cases", "1 case"),
    ],
)
def test_a_phrase_begins_with_a_noun_of_its_number(phrase: str, words: str) -> None:
    assert phrase_count(1, phrase) == words
    assert phrase_count(2000, phrase) == f"2,000 {phrase}"
