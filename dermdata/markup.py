r"""Words of data in a text of another format: whatever they hold, they stay words there.

One function for each format, for every writer of it: terminal and HTML (`show_controls`), Markdown, LaTeX, BibTeX.
What is no printable sign is shown by its number, `\x1b`, so that nothing vanishes and nothing is obeyed.
"""

import json
import re
from collections.abc import Sequence

PUNCTUATION = re.compile(
    r"[\\`*_\[\]<>{}|~$]|&(?=[#A-Za-z])"
)  # opens something in the middle of a Markdown line
BEGINNING = re.compile(r"^(\d+)?((?(1)[.)]|[#+=-]))")  # … at its beginning
WEB_ADDRESS = re.compile(r"https?://[^\s<>\\`|]+", re.IGNORECASE)
LATEX = {char: f"\\{char}" for char in "&%$#_"} | {
    "{": r"\textbraceleft{}",  # BibTeX counts \{ as a brace
    "}": r"\textbraceright{}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",  # ^^5c would be a backslash
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after \\ it would be its argument
    "]": "{]}",
    "*": "{*}",
    "@": "{@}",  # some readers of BibTeX begin an entry at any @
    "–": "--",
}
ENTRY = re.compile(
    r"@(?!comment|string|preamble)[a-z]+\s*\{\s*[^\s{}()@,\"#%'=~\\]+\s*(?:,(?P<fields>.*))?\}",
    re.DOTALL | re.IGNORECASE,
)
WEB_FIELD = re.compile(r"(?:\burl\s*=\s*|\\url\s*)[{\"]\s*https?://[^\s{}\"\\]*\s*[}\"]", re.IGNORECASE)
ANY_FIELD = re.compile(r"\burl\s*=|\\url", re.IGNORECASE)
COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)", re.DOTALL)
HARMLESS = {rf"\{char}" for char in "&%$#_-`'^\"~=.,/ uvHtcdbkrlLoOij"} | {
    rf"\{name}"
    for name in (
        "aa", "AA", "ae", "AE", "oe", "OE", "ss", "textit", "textbf", "textsc", "textrm", "textsuperscript", "textsubscript",
        "emph", "textendash", "textemdash", "textasciitilde", "textasciicircum", "textbackslash", "textbraceleft",
        "textbraceright", "textunderscore", "textregistered", "texttrademark", "copyright", "alpha", "beta", "gamma", "mu",
    )
}  # fmt: skip
KEY = re.compile(r"[^A-Za-z0-9_.:-]+")
PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?=&+-]+")  # nothing that LaTeX would take for its own
DOI = re.compile(r"10\.\d[\d.]{0,30}/[A-Za-z0-9._;()/:+-]+")


def show_controls(text: str, keep: str = "\n") -> str:
    """Control characters, and those that turn text around, shown by their numbers; other spaces as a space."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else escape_char(char) for char in text)


def escape_char(char: str) -> str:
    """A sign's number, beyond ASCII as JSON writes it; a space of any width as a space."""
    number = ord(char)
    if number < 0x7F:
        return f"\\x{number:02x}"
    if char.isspace():
        return " "
    return f"\\u{number:04x}" if number < 0x10000 else json.dumps(char)[1:-1]


VERBS = {"are": "is", "were": "was", "have": "has", "do": "does"}


def count_nouns(count: int, noun: str, verb: str = "") -> str:
    """The number with its noun, and its verb: `1 row`, `2,000 rows`, `0 classes`; `1 row has`, `2 rows have`.

    `noun` is of one thing, and of several words the last one changes; `verb` is of several things.
    """
    words = f"1 {noun}" if count == 1 else f"{count:,} {make_plural(noun)}"
    return f"{words} {agree_verb(count, verb)}" if verb else words


def phrase_count(count: int, phrase: str) -> str:
    """The number with a phrase whose first word is a noun for several things: `1 row left out`, `2 rows left out`."""
    nouns, space, rest = phrase.partition(" ")
    return f"{count_nouns(count, make_singular(nouns))}{space}{rest}"


def count_share(part: int, whole: int, noun: str, verb: str) -> str:
    """How many of how many, and the verb of the first: `1 of 20 rows is`, `2 of 20 rows are`."""
    return f"{part:,} of {count_nouns(whole, noun)} {agree_verb(part, verb)}"


def agree_verb(count: int, verb: str) -> str:
    """The verb for so many things: `are` or `is`, `take` or `takes`."""
    if count != 1:
        return verb
    return VERBS.get(verb) or (f"{verb[:-1]}ies" if verb.endswith("ry") else f"{verb}s")


def join_words(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def make_plural(noun: str) -> str:
    """The noun for several things: `rows`, `classes`, `entries`."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def make_singular(nouns: str) -> str:
    """The noun for one thing, of a column's or a list's name: `row`, `class`, `entry`."""
    if nouns.endswith("ies"):
        return f"{nouns[:-3]}y"
    if nouns.endswith(("sses", "xes", "ches", "shes")):
        return nouns[:-2]
    return nouns.removesuffix("s")


def to_one_line(text: str) -> str:
    """The words with one space wherever there were spaces or line breaks, none at the ends."""
    return show_controls(" ".join(text.split()))


# ------------------------------------------------------------------ Markdown


def escape_markdown(text: str) -> str:
    """The words on one line that Markdown, in a table or anywhere else, shows as they are."""
    escaped = PUNCTUATION.sub(r"\\\g<0>", to_one_line(text))
    return BEGINNING.sub(r"\1\\\2", escaped)


def link_markdown(address: str) -> str:
    """A link to a web address; any other address as words."""
    return f"<{address}>" if WEB_ADDRESS.fullmatch(address) else escape_markdown(address)


def fence_markdown(text: str, language: str) -> list[str]:
    """Lines of a code block that only its last line ends."""
    lines = show_controls(text, keep="\n\t").split("\n")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence]


# ------------------------------------------------------------------ LaTeX and BibTeX


def escape_latex(text: str) -> str:
    """The words on one line of LaTeX, or of a field of BibTeX: no command, no comment, no end of a group or cell."""
    return "".join(LATEX.get(char, char) for char in to_one_line(text))


def bibtex_entry(key: str, text: str | None, **fields: str | None) -> str | None:
    """One BibTeX entry, closed, that runs no command: the publisher's own, or one made of what is known.

    Parameters
    ----------
    key
        What the entry is cited by, where it must be made.
    text
        The publisher's entry. One that is not a single whole entry, or holds commands that do more than print a sign or
        change the type, is quoted word for word in the field `note`.
    fields
        What an entry is made of where there is no `text`; those of None are left out.

    """
    lines = show_controls(text or "", keep="\n\t").splitlines()
    own = "\n".join(line.rstrip() for line in lines if line.strip()).strip()
    if own and is_bibtex(own):
        return own
    known = {"note": own} if own else fields
    found = [f"  {name:4} = {{{bibtex_field(name, value)}}}" for name, value in known.items() if value]
    return ",\n".join([f"@misc{{{KEY.sub('-', key)}", *found]) + "\n}" if found else None


def bibtex_field(name: str, value: str) -> str:
    """A field's value between its braces; a title keeps its capitals, what is an address stays one."""
    if (name == "doi" and DOI.fullmatch(value)) or (name == "url" and PLAIN_ADDRESS.fullmatch(value)):
        return value
    return f"{{{escape_latex(value)}}}" if name == "title" else escape_latex(value)


def is_bibtex(text: str) -> bool:
    """Whether this is one entry with its braces in balance, web addresses only, and commands that only print."""
    entry = ENTRY.fullmatch(text)
    if entry is None:
        return False
    fields = WEB_FIELD.sub("", entry["fields"] or "")
    commands = set(COMMAND.findall(fields))
    words = COMMAND.sub("", fields)
    forbidden = ANY_FIELD.search(fields) or "^^" in words or {"@", "%"} & set(words)
    return not forbidden and commands <= HARMLESS and is_balanced(entry["fields"] or "")


def is_balanced(text: str) -> bool:
    """Whether every brace is closed, as BibTeX counts them: no backslash exempts one."""
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    return depth == 0
