"""Damage to any file, without knowing what it is: to its bytes, or to it as text."""

import random
import re
import struct
from collections.abc import Callable

from fuzzing import hostile

Dice = random.Random
DECIMAL = re.compile(rb"(\d)\.(\d)")
NUMBER = re.compile(rb"\b(\d+)(?=[,;\t\r\n])")
MOST = 4 << 20  # bytes that repeating may make of a file


def place(data: bytes, dice: Dice) -> int:
    """Where: at the head and the foot, where formats have their lengths, as often as anywhere else."""
    if dice.random() < 0.5 and len(data) > 200:
        return dice.choice([dice.randrange(100), len(data) - 1 - dice.randrange(100)])
    return dice.randrange(max(1, len(data)))


def flip(data: bytes, dice: Dice) -> bytes:
    out = bytearray(data or b"\0")
    for _ in range(dice.choice([1, 1, 2, 8])):
        out[place(data, dice) % len(out)] ^= 1 << dice.randrange(8)
    return bytes(out)


def overwrite(data: bytes, dice: Dice) -> bytes:
    """An aligned integer becomes an extreme one: lengths, offsets, counts."""
    out, at = bytearray(data), place(data, dice)
    size = dice.choice([1, 2, 4, 4, 4, 8])
    at -= at % size
    form = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
    number = dice.choice(hostile.INTS) & ((1 << 8 * size) - 1)
    out[at : at + size] = struct.pack(dice.choice("<>") + form, number)
    return bytes(out[: max(len(data), 1)])


def cut(data: bytes, dice: Dice) -> bytes:
    at = place(data, dice)
    return dice.choice([data[:at], data[at:], b"", data[:at] + data[at + dice.randrange(1, 64) :]])


def insert(data: bytes, dice: Dice) -> bytes:
    at = place(data, dice)
    return (
        data[:at]
        + dice.choice([dice.randbytes(dice.randrange(1, 40)), dice.choice(hostile.WORDS)])
        + data[at:]
    )


def repeat(data: bytes, dice: Dice) -> bytes:
    """A part stands there again, perhaps many times."""
    at = place(data, dice)
    part = data[at : at + dice.choice([1, 8, 64, 512])]
    times = min(dice.choice([1, 2, 1000, 100_000]), MOST // max(1, len(part)))
    return data[:at] + part * times + data[at:]


def swap(data: bytes, dice: Dice) -> bytes:
    one, two = sorted((place(data, dice), place(data, dice)))
    return data[two:] + data[one:two] + data[:one]


BYTES: list[Callable[[bytes, Dice], bytes]] = [
    flip,
    flip,
    overwrite,
    overwrite,
    overwrite,
    cut,
    insert,
    repeat,
    swap,
]


def damage(data: bytes, dice: Dice) -> bytes:
    return dice.choice(BYTES)(data, dice)


# ------------------------------------------------------------------ text


def cell(data: bytes, dice: Dice, delimiter: bytes = b",") -> bytes:
    """A cell of a table becomes a hostile one, quoted or not."""
    lines = data.split(b"\n")
    number = dice.randrange(len(lines))
    cells = lines[number].split(delimiter)
    new = hostile.text(dice).encode(errors="surrogatepass")
    cells[dice.randrange(len(cells))] = b'"' + new.replace(b'"', b'""') + b'"' if dice.random() < 0.7 else new
    lines[number] = delimiter.join(cells)
    return b"\n".join(lines)


def line(data: bytes, dice: Dice) -> bytes:
    """A line goes, comes twice, moves, or loses a cell."""
    lines = data.split(b"\n")
    number = dice.randrange(len(lines))
    how = dice.randrange(5)
    if how == 0:
        del lines[number]
    elif how == 1:
        lines[number:number] = [lines[number]] * dice.choice(
            [1, 5, 20_000 if len(lines[number]) < 100 else 10]
        )
    elif how == 2:
        dice.shuffle(lines)
    elif how == 3:
        lines[number] = lines[number].partition(b",")[2]
    else:
        lines[number] += dice.choice([b",x", b",,,,", b'"', b"\t", b"x" * 1000])
    return b"\n".join(lines)


def header(data: bytes, dice: Dice) -> bytes:
    """A column's name becomes another one, an equal one, or a hostile one."""
    head, _, rest = data.partition(b"\n")
    names = head.split(b",")
    new = dice.choice(
        [dice.choice(names), hostile.text(dice).encode(errors="surrogatepass"), b"", b"told:x", b"image"]
    )
    names[dice.randrange(len(names))] = new
    return b",".join(names) + b"\n" + rest


def encode(data: bytes, dice: Dice) -> bytes:
    """The same text in another encoding, or in a mixture."""
    text = data.decode(errors="replace")
    form = dice.choice(["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp037", "utf-7"])
    new = text.encode(form, errors="replace")
    return new if dice.random() < 0.7 else data[: len(data) // 2] + new[len(new) // 2 :]


def separate(data: bytes, dice: Dice) -> bytes:
    old, new = dice.choice(
        [(b",", b";"), (b",", b"\t"), (b",", b"|"), (b"\n", b"\r"), (b"\n", b"\r\n"), (b'"', b"'")]
    )
    return data.replace(old, new)


def number(data: bytes, dice: Dice) -> bytes:
    """A number in the text becomes an extreme one."""
    digits = [at for at, sign in enumerate(data) if 48 <= sign <= 57]
    if not digits:
        return insert(data, dice)
    at = end = dice.choice(digits)
    while at and 48 <= data[at - 1] <= 57:
        at -= 1
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return data[:at] + str(dice.choice(hostile.NUMBERS)).encode() + data[end:]


def few(dice: Dice) -> int:
    return dice.choice([-1, 1, 3, 8])


HABITS: list[Callable[[bytes, Dice], bytes]] = [
    lambda data, dice: b"sep=;" + dice.choice([b"\r\n", b"\n", b";;\n", b""]) + data.replace(b",", b";"),
    lambda data, dice: data.replace(b"\n", dice.choice([b",", b";", b"\t", b",,,"]) + b"\n", few(dice)),
    lambda data, dice: DECIMAL.sub(rb"\1,\2", data.replace(b",", b";")),
    lambda data, dice: data.replace(
        b"e", "\u00e4".encode(dice.choice(["cp1252", "utf-8", "mac-roman"])), few(dice)
    ),
    lambda data, dice: data.replace(
        b"e", dice.choice(["e\u0308", "\u037e", "\u0338", "\u212b"]).encode(), few(dice)
    ),
    lambda data, dice: NUMBER.sub(rb"\1.0", data),
    lambda data, dice: data.replace(b"_", dice.choice([b"\\", b"/", b"\xc2\xa0"])),
    lambda data, dice: data.replace(
        b"0", dice.choice([b"nan", b"#N/A", b"IV", b"WAHR", b"1,000", b"-,5"]), few(dice)
    ),
    lambda data, dice: data + dice.choice([b",,,,\n", b";;;;\r\n", b"\t\n"]) * dice.choice([1, 50]),
]


def habit(data: bytes, dice: Dice) -> bytes:
    """What spreadsheets, pandas and people of other countries do to a table, no damage by itself."""
    return dice.choice(HABITS)(data, dice)


TEXT: list[Callable[[bytes, Dice], bytes]] = [
    cell,
    cell,
    cell,
    line,
    header,
    encode,
    habit,
    habit,
    habit,
    separate,
    number,
    number,
]


def damage_text(data: bytes, dice: Dice) -> bytes:
    return dice.choice(TEXT)(data, dice)


def damage_rows(data: bytes, dice: Dice) -> bytes:
    """Of a table whose cells are separated by tabs."""
    return dice.choice([lambda data, dice: cell(data, dice, b"\t"), line, encode, habit, number])(data, dice)
