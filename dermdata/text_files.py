"""Text as people's programs save it: in UTF-8, in UTF-16 by its mark, in what Windows calls ANSI; Excel's `sep=` line.

What can be read in one way only is read. ANSI is taken where it can be nothing else, and the person is told; what
else is no UTF-8 is named with its line.
"""

import codecs
import csv
import io
import itertools
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
ANSI = "cp1252"
DELIMITERS = (",", ";", "\t", "|")
PIECE_BYTES = 1 << 20  # bytes that are decoded at once
START_BYTES = 200  # that tell what a file is
SAMPLE_BYTES, SAMPLE_ROWS = 1 << 16, 50  # of a table, in which its delimiter is looked for
SHOWN = 40  # characters of a line in a message
LINE_END = re.compile(rb"\r\n?|\n")
# a sign in UTF-8 is two or three signs in ANSI that stand together in no word; three signs in a row are a word in none
# of its languages, but in Greek, Russian or Chinese that another code page has written
OTHER_TEXT = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\x80-\xff]{3}")
NOT_ASCII = re.compile(rb"[\x80-\xff]")
SEPARATOR_LINE = re.compile(rb'"?sep=([^\r\n"])"?[,;\t|]*(?=[\r\n]|\Z)', re.IGNORECASE)
# what stands in the place of a table, an image or a zip and is none, by its first bytes in small letters, after blanks
STAND_INS = (
    (b"version https://git-lfs.github.com/", "a Git LFS pointer (`git lfs pull` brings the file itself)"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"pk\3\4", "a zip or a spreadsheet (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet (.xls)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"bzh", "a bzip2 file"),
    (b"\xfd7zxz\0", "an xz file"),
    (b"rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"%pdf-", "a PDF"),
)
SAVE_HINT = "save it as UTF-8, in Excel as 'CSV UTF-8'"


class TextRefused(ValueError):
    """Bytes that are no text, or not in the encoding that they should be in; `line` is where, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


class Utf8Text(NamedTuple):
    """A text in UTF-8 without a byte order mark, and what must be told of how it was read."""

    data: bytes
    note: str | None = None


def to_utf8(data: bytes, encoding: str | None = None) -> Utf8Text:
    """The text in UTF-8; a byte order mark counts more than the encoding, without both UTF-8 or ANSI is found.

    Raises
    ------
    TextRefused
        Bytes of another encoding, or a NUL.
    LookupError
        There is no such encoding.

    """
    if what := find_stand_in(data):
        raise TextRefused(1, f"{what}, no table")
    named = next((name for mark, name in MARKS.items() if data.startswith(mark)), encoding)
    note = None
    if named is None:
        named, note = find_encoding(data)
    pieces = recode_pieces(data, named)
    if codecs.lookup(named).name == "utf-8":
        deque(pieces, 0)  # decoded, not kept
    else:
        data = b"".join(pieces)
    if (nul := data.find(b"\0")) >= 0:
        raise TextRefused(line_number(data, nul), "holds a NUL byte")
    return Utf8Text(data, note)


def find_stand_in(data: bytes) -> str | None:
    """What a file is by its first bytes, if it is one that often stands in another's place; None for all else."""
    start = data[:START_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((what for sign, what in STAND_INS if start.startswith(sign)), None)


def decode_text(data: bytes) -> str:
    """A text in UTF-8, or by its byte order mark in UTF-16; TextRefused names the line of anything else."""
    return to_utf8(data, "utf-8").data.decode()


def find_encoding(data: bytes) -> tuple[str, str | None]:
    """UTF-8, or ANSI where the bytes are none but can be that, and what must be told of it."""
    try:
        deque(recode_pieces(data, "utf-8"), 0)
    except TextRefused as error:
        if OTHER_TEXT.search(data) or b"\0" in data:
            return "utf-8", None
        try:
            deque(recode_pieces(data, ANSI), 0)
        except TextRefused:
            return "utf-8", None
        return ANSI, f"is not UTF-8: read as ANSI ({ANSI}), in which line {error.line} has '{excerpt(data)}'"
    return "utf-8", None


def excerpt(data: bytes) -> str:
    """The piece of the line in ANSI around the first sign that is not ASCII."""
    found = NOT_ASCII.search(data)
    place = found.start() if found else 0
    start = max(data.rfind(b"\n", 0, place) + 1, data.rfind(b"\r", 0, place) + 1, place - SHOWN)
    return data[start : place + SHOWN].splitlines()[0].decode(ANSI).strip()


def recode_pieces(data: bytes, encoding: str) -> Iterator[bytes]:
    """The bytes in UTF-8, a piece at a time: as one text they would take four times the memory."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for start in range(0, len(data), PIECE_BYTES):
        waiting = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data[start : start + PIECE_BYTES], final=start + PIECE_BYTES >= len(data))
            yield text.encode()
        except UnicodeError as error:
            place = error.start if isinstance(error, UnicodeDecodeError) else 0
            reason = getattr(error, "reason", error)
            raise TextRefused(
                line_number(data, start - waiting + place), f"not {encoding} ({reason})"
            ) from error


def line_number(data: bytes, offset: int) -> int:
    """The number of the line in which a byte stands."""
    return len(LINE_END.findall(data[:offset])) + 1


# ------------------------------------------------------------------ the delimiter


def drop_separator_line(data: bytes) -> tuple[bytes, str | None]:
    """A table without the words of Excel's first line `sep=;`, and its sign; the line stays, so that numbers are right."""
    found = SEPARATOR_LINE.match(data)
    if found is None or found[1] >= b"\x80":
        return data, None
    return data[found.end() :], found[1].decode()


def find_delimiter(data: bytes, wanted: Sequence[str | None] = (), width: int | None = None) -> str:
    """The sign that parts the cells: the first wanted one that parts the header, else the one most lines agree on.

    Parameters
    ----------
    data : bytes
        A table in UTF-8.
    wanted : sequence of str or None
        What somebody said: an Excel line, a catalog.
    width : int, optional
        How many cells a line has, for a table without a header line.

    Returns
    -------
    str
        A comma where nothing parts the first line.

    """
    said = [sign for sign in wanted if sign]
    fits = {sign: measure_fit(data, sign, width) for sign in dict.fromkeys((*said, *DELIMITERS))}
    for sign in said:
        if fits[sign][0] > 1:
            return sign
    best = max(fits, key=lambda sign: (fits[sign][0] > 1, fits[sign][1], fits[sign][0]))
    return best if fits[best][0] > 1 else (said or [","])[0]


def read_first_row(path: Path) -> list[str]:
    """The first row of a table as far as it can be read, to see what kind of table it is; none of an empty file."""
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    encoding = next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8")
    data, said = drop_separator_line(head.decode(encoding, "ignore").encode())
    return next(iter(sample_rows(data, find_delimiter(data, (said,)))), [])


def measure_fit(data: bytes, delimiter: str, width: int | None) -> tuple[int, float]:
    """How many cells the first line has with this delimiter, and the share of lines that have as many."""
    rows = sample_rows(data, delimiter)
    if not rows or (width is not None and len(rows[0]) != width):
        return 0, 0.0
    return len(rows[0]), sum(len(row) == len(rows[0]) for row in rows) / len(rows)


def sample_rows(data: bytes, delimiter: str) -> list[list[str]]:
    """The first rows, without one that is cut by the sample's end."""
    text = io.StringIO(data[:SAMPLE_BYTES].decode(errors="ignore"), newline="")
    rows: list[list[str]] = []
    with suppress(csv.Error):  # whoever reads the table says what is wrong with it
        rows.extend(
            row for row in itertools.islice(csv.reader(text, delimiter=delimiter), SAMPLE_ROWS) if row
        )
    return rows[:-1] if len(data) > SAMPLE_BYTES and len(rows) > 1 and not text.read(1) else rows
