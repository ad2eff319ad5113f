"""Damage to JSON, TOML, archives and workbooks by what they are made of."""

import contextlib
import io
import json
import random
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from fuzzing import hostile
from fuzzing.damage import damage, number

Dice = random.Random
MOST_READ = 1 << 24  # bytes of a member: its head may claim any number
NAMES = [
    "../x.jpg", "../../x.jpg", "/etc/x.jpg", "a/../../x.jpg", "C:\\x.jpg", "a\\..\\x.jpg", "x.jpg\0.png", "IMG_000.JPG",
    "img_000.jpg", "é.jpg", "é.jpg", "con.jpg", ".", "..", "", "a/", "a" * 300 + ".jpg", "\x1b[31m.jpg", "x\n.jpg",
    "‮gpj.jpg", "IMG_000.jpg/x.jpg", ".receipt.json", "receipt.json", "manifest.parquet", "IMG_000.jpg.", "IMG_000.jpg ",
    "table.csv", "a//b.jpg", "./IMG_000.jpg", "d/" * 500 + "x.jpg", "IMG_001.tif", "IMG_000", "\udc80.jpg",
]  # fmt: skip
ODD_TYPES = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, b"S", b"Z"]
PAX_KEYS = [
    "path",
    "size",
    "mtime",
    "GNU.sparse.map",
    "GNU.sparse.realsize",
    "comment",
    "linkpath",
    "hdrcharset",
]
PAX_VALUES = ["../x", "-1", "1" * 50, "99999999999999", "a" * 100_000, "0,1,2", "/etc/passwd", "nan"]


# ------------------------------------------------------------------ JSON


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in list(pairs):
        yield node, key
        yield from places(child)


def damage_json(data: bytes, dice: Dice) -> bytes:
    """A value becomes one of another kind, a key goes or changes its name, a list repeats."""
    document, rest = None, b""
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(data)
    if document is None:  # JSON Lines, perhaps
        head, _, rest = data.partition(b"\n")
        with contextlib.suppress(ValueError, RecursionError):
            document = json.loads(head)
    every = list(places(document))
    if not every:
        return damage(data, dice)
    raws: dict[str, str] = {}
    for _ in range(dice.choice([1, 1, 2, 5])):
        change(*dice.choice(every), dice, raws)
    if dice.random() < 0.05:
        document = hostile.value(dice)
    text = json.dumps(marked(document, raws), ensure_ascii=dice.random() < 0.5)
    for mark, raw in raws.items():
        text = text.replace(f'"{mark}"', raw)
    return text.encode(errors="surrogatepass") + (b"\n" + rest if rest else b"")


def change(node: Any, key: Any, dice: Dice, raws: dict[str, str]) -> None:
    how = dice.randrange(8)
    with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier change took it away
        if how < 4:
            node[key] = marked(hostile.value(dice), raws)
        elif how == 4:
            del node[key]
        elif how == 5 and isinstance(node, dict):
            node[hostile.text(dice)] = node.pop(key)
        elif how == 6 and isinstance(node[key], list):
            node[key] = node[key] * dice.choice([0, 2, 1000])
        elif isinstance(node[key], str):
            node[key] = dice.choice(
                [node[key] * 2, node[key][:-1], node[key].upper(), node[key] + "\0", hostile.text(dice)]
            )
        else:
            node[key] = dice.choice([[node[key]], {"a": node[key]}, str(node[key])])


def marked(node: Any, raws: dict[str, str]) -> Any:
    """Raw texts as marks that are replaced when the document is written."""
    if isinstance(node, hostile.Raw):
        mark = f"@raw-{len(raws)}@"
        raws[mark] = str(node)
        return mark
    if isinstance(node, dict):
        return {key: marked(child, raws) for key, child in node.items()}
    return [marked(child, raws) for child in node] if isinstance(node, list) else node


# ------------------------------------------------------------------ TOML


def damage_toml(data: bytes, dice: Dice) -> bytes:
    """A line's value becomes another, a line comes twice or goes, a table changes its name."""
    lines = data.decode(errors="replace").split("\n")
    at = dice.randrange(len(lines))
    name, _, _ = lines[at].partition(" = ")
    how = dice.randrange(7)
    if how < 3:
        lines[at] = f"{name} = {toml_of(hostile.value(dice))}"
    elif how == 3:
        lines.insert(at, lines[at])
    elif how == 4:
        del lines[at]
    elif how == 5:
        lines.insert(at, dice.choice(MORE).replace("TEXT", toml_of(hostile.text(dice))))
    else:
        lines[at] = dice.choice(
            ["[" + name + "]", "[[" + name + "]]", name + ".x = 1", "x" * 100_000, "[a]\n" * 1000]
        )
    return "\n".join(lines).encode(errors="surrogatepass")


MORE = [
    "homepage = TEXT", 'source = "package:link"', "source = TEXT", "version = TEXT", "name = TEXT",
    "[counts]\nimages = TEXT", "unpack = TEXT",
    "size = -1", "size = 9223372036854775808", 'checksum = "sha256:00"', "checksum = TEXT", "role = TEXT",
    "sheet = TEXT", "encoding = TEXT", "delimiter = TEXT", "[[overlaps]]\ndataset = TEXT\nnote = TEXT", "labels = TEXT",
    "notes = [TEXT]", "[license]\nid = TEXT\nurl = TEXT", "[citation]\ntext = TEXT\nbibtex = TEXT\ndoi = TEXT",
    "pattern = TEXT",
    'pattern = "(a+)+$"', "file = TEXT", "urls = [TEXT]", "member = TEXT", "join = TEXT", "date = 9999-12-31T23:59:59Z",
]  # fmt: skip


def toml_of(value: Any) -> str:
    if isinstance(value, hostile.Raw):
        return value.replace('{"a":', "{a=") if value[0] == "{" else str(value)
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(key)} = {toml_of(one)}" for key, one in value.items())
        return "{" + pairs + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")


# ------------------------------------------------------------------ archives


def damage_zip(data: bytes, dice: Dice) -> bytes:
    """Members of odd names and kinds, or a directory whose fields are not those of the members."""
    if dice.random() < 0.5:
        return damage_directory(data, dice)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        members = [(one, old.read(one)) for one in old.infolist()]
        for _ in range(dice.choice([1, 1, 3])):
            at = dice.randrange(len(members))
            info, content = members[at]
            members[at] = (zip_info(info, dice), damage(content, dice) if dice.random() < 0.3 else content)
            if dice.random() < 0.3:
                members.append((info, content))
        for info, content in members:
            with contextlib.suppress(ValueError, struct.error), warnings.catch_warnings(action="ignore"):
                new.writestr(
                    info,
                    content,
                    dice.choice(
                        [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
                    ),
                )
        new.comment = dice.choice([b"", b"", b"x" * 65_535, b"PK\x05\x06" + b"\0" * 18])
    return out.getvalue()


def zip_info(info: zipfile.ZipInfo, dice: Dice) -> zipfile.ZipInfo:
    """A member with another name, or that says to be a link, a device, a folder."""
    new = zipfile.ZipInfo(info.filename, (2020, 1, 1, 0, 0, 0))
    new.filename = dice.choice(NAMES) if dice.random() < 0.7 else info.filename
    new.filename = new.filename.encode(errors="replace").decode()
    new.external_attr = dice.choice(
        [0, 0o120777 << 16, 0o020666 << 16, 0o010666 << 16, 0o104755 << 16, 0x10, 0o040755 << 16]
    )
    new.create_system = 3
    new.extra = dice.choice(
        [b"", b"", b"\x01\x00\x10\x00" + b"\xff" * 16, b"\x75\x70\x05\x00\x01\0\0\0\0", b"\xff" * 30]
    )
    return new


def damage_directory(data: bytes, dice: Dice) -> bytes:
    """A field of a local header, a directory's entry or the end record becomes an extreme one."""
    heads = [one.start() for one in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", data)]
    if not heads:
        return damage(data, dice)
    out = bytearray(data)
    for _ in range(dice.choice([1, 2])):
        size = dice.choice([2, 4])
        at = dice.choice(heads) + dice.randrange(4, 46, 2)
        out[at : at + size] = (dice.choice(hostile.INTS) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return bytes(out)


def damage_tar(data: bytes, dice: Dice) -> bytes:
    """Links, devices, sparse files, long and odd names, sizes that are not so; its head's sum is right."""
    members = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as old:
        for member in old.getmembers():
            file = old.extractfile(member)
            members.append((member, file.read(MOST_READ) if file else b""))
    gz = data[:2] == b"\x1f\x8b"
    for _ in range(dice.choice([1, 1, 3])):
        at = dice.randrange(len(members))
        members.insert(at, tar_member(*members[at], dice))
    out = io.BytesIO()
    form = dice.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=out, mode="w:gz" if gz else "w", format=form) as new:
        for member, content in members:
            with contextlib.suppress(ValueError, OSError, UnicodeError):
                new.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return out.getvalue()


def tar_member(member: tarfile.TarInfo, content: bytes, dice: Dice) -> tuple[tarfile.TarInfo, bytes]:
    new = tarfile.TarInfo(dice.choice(NAMES) if dice.random() < 0.6 else member.name)
    new.type = dice.choice([tarfile.REGTYPE] * 4 + ODD_TYPES)
    new.linkname = dice.choice(["/etc/passwd", "../../x", "IMG_008.jpg", "", "."])
    new.mode = dice.choice([0o644, 0o4755, 0, 0o777])
    content = damage(content, dice) if dice.random() < 0.3 else content
    new.size = len(content) if new.type == tarfile.REGTYPE else 0
    if dice.random() < 0.3:
        new.pax_headers = {dice.choice(PAX_KEYS): dice.choice(PAX_VALUES)}
    return new, content


def rezipped(data: bytes, dice: Dice, mend: Callable[[str, bytes, Dice], bytes]) -> bytes:
    """A zip, one part of which is changed with its checksum right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        sheets = [
            name for name in names if "sheet1" in name or "sharedStrings" in name or "workbook.xml" in name
        ]
        chosen = dice.choice(sheets if dice.random() < 0.7 and sheets else names)
        for info in old.infolist():  # with its own time, not that of the day: a case is the same each time
            part = old.read(info.filename)
            new.writestr(info, mend(info.filename, part, dice) if info.filename == chosen else part)
    return out.getvalue()


def damage_workbook(data: bytes, dice: Dice) -> bytes:
    return rezipped(data, dice, lambda _, part, dice: damage_xml(part, dice))


REFERENCES = ["XFD1048576", "A1048576", "XFD1", "A1", "ZZZZ99", "A0", "", "A99999999999", "1A", "$A$1"]


def damage_xml(data: bytes, dice: Dice) -> bytes:
    """Cells elsewhere, of other kinds, with other strings; entities; elements that do not end."""
    how = dice.randrange(8)
    if how == 0:
        return swap_one(rb' r="[A-Z]+\d+"', f' r="{dice.choice(REFERENCES)}"'.encode(), data, dice)
    if how == 1:
        kind = dice.choice(["s", "b", "e", "str", "inlineStr", "d", "n", "x", ""])
        return swap_one(rb' t="\w+"', f' t="{kind}"'.encode(), data, dice)
    if how == 2:
        new = dice.choice(hostile.TEXTS).encode(errors="replace").replace(b"<", b"&lt;")
        return swap_one(rb"<v>[^<]*</v>", b"<v>" + new + b"</v>", data, dice)
    if how == 3:
        entity = b'<!DOCTYPE x [<!ENTITY a "' + b"x" * 1000 + b'"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
        named = rb"<\1>&" + dice.choice([b"a", b"b"]) + b";</"
        return swap_one(rb"<(v|t)>[^<]*</", named, data.replace(b"?>", b"?>" + entity, 1), dice)
    if how == 4:
        return swap_one(
            rb"<row[^>]*>", b'<row r="' + str(dice.choice(hostile.NUMBERS)).encode() + b'">', data, dice
        )
    if how == 5:
        return swap_one(rb"<dimension[^>]*>", b'<dimension ref="A1:XFD1048576"/>', data, dice)
    if how == 6:
        return swap_one(rb"<c ", b"<x>" * dice.choice([1, 1000, 50_000]) + b"<c ", data, dice)
    return number(data, dice) if dice.random() < 0.5 else damage(data, dice)


def swap_one(pattern: bytes, new: bytes, data: bytes, dice: Dice) -> bytes:
    """One match of a pattern, chosen by the dice, becomes another text."""
    found = list(re.finditer(pattern, data))
    if not found:
        return damage(data, dice)
    one = dice.choice(found)
    return data[: one.start()] + (one.expand(new) if b"\\1" in new else new) + data[one.end() :]
