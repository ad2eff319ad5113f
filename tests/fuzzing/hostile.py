"""Values that no honest file holds: what cells, names, keys and numbers are replaced by."""

import random
from typing import Any

Dice = random.Random

SECRET = "secret"  # a file of the room that no command may open; `{room}` is the room's folder
TEXTS = [
    "", " ", "\0", "a\0b", "\x1b]0;owned\x07", "\x1b[31m", "‮txt.exe", "é", "é", "\ud800",
    "\ufeffid", "￾", "None", "nan", "NA", "=1+1", '=HYPERLINK("http://x","y")', "@SUM(A1)", "+1", "-1", "|x", "\r\n",
    "\n\n# heading\n", "male | x |\n\n<script>alert(1)</script>", "\\input{/etc/passwd}", "$^_&%#{}~\\", "${jndi:x}",
    "'; drop table images; --", '"', '""', "'", "`", ",", ";", "\t", "a" * 300, "x" * 5000, "𝔘" * 50, "０１２", "٣",
    "true", "0001", "1e999", "-0", "1_000", "0x10", "1" * 400, "9999-99-99", "[", "{", '{"a":', "[" * 3000, "null",
    "melanoma", "ours", "evil/IMG_0000", "demo/IMG_0000", "images/IMG_0000.jpg", "http://127.0.0.1:9/x",
]  # fmt: skip
PATHS = [
    "/etc/passwd", "../../../../../../../../etc/passwd", "{room}/secret", "../secret", "../../secret", "link", "link/passwd",
    "in/link", "images/../../secret", "/dev/zero", "/dev/stdin", "/dev/null", "/proc/self/mem", "/proc/self/environ",
    "/proc/kmsg", "pipe", "in/pipe", "file:///etc/passwd", "images", ".", "..", "", "/", "~root/x", "images/IMG_0000.jpg\0",
    "C:\\x", "..\\..\\x", "images//IMG_0000.jpg", "./images/IMG_0000.jpg", "a/" * 2000, "x" * 300, "m.csv", "hard.jpg",
]  # fmt: skip
NUMBERS = [
    0, -1, 1, 2**31, -(2**31) - 1, 2**32, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), float("-inf"),
]  # fmt: skip
INTS = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x70000000,
    1 << 20,
    60_000,
]
WORDS = [
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b'"', b"\r", b"\n\n", b",,", b";", b"\t", b"\xef\xbb\xbf", b"../",
    b"{", b"]", b"<!DOCTYPE x>", b"-1", b"1e999", b"99999999999999999999", b"NaN", b"null", b"\x1b[2J", b"\\u0000",
    b"\\ud800", b"\xe2\x80\xae", b"%00", b"/etc/passwd",
]  # fmt: skip


def text(dice: Dice) -> str:
    """A hostile text, often a path."""
    return dice.choice(PATHS if dice.random() < 0.3 else TEXTS)


def value(dice: Dice, depth: int = 2) -> Any:
    """A hostile value of JSON's kinds."""
    kind = dice.randrange(8 if depth else 5)
    if kind < 2:
        return text(dice)
    if kind < 4:
        return dice.choice(NUMBERS)
    if kind == 4:
        return dice.choice([None, True, False])
    if kind == 5:
        return [value(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == 6:
        return {text(dice): value(dice, depth - 1) for _ in range(dice.randrange(3))}
    return nested(dice.choice([50, 900, 5000]), dice.choice(["[", "{"]))


class Raw(str):
    """Text that stands in JSON as it is."""

    __slots__ = ()


def nested(depth: int, sign: str) -> Raw:
    """Brackets in brackets, which no encoder would write."""
    return Raw("[" * depth + "]" * depth if sign == "[" else '{"a":' * depth + "1" + "}" * depth)
