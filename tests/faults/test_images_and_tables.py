"""FAULTS rows 79-96 as a person meets them: what a fetch makes of bad images and bad tables."""

import csv
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from dermdata.images import check_image
from faults.shelf import TABLE, Shelf, picture

IMAGE = picture()
PNG = picture(kind="PNG")


def table(*lines: str, header: str = "id,dx") -> bytes:
    return "\n".join([header, *lines, ""]).encode()


def fetched(shelf: Shelf, images: dict[str, bytes]) -> str:
    """Fetch these images, each with a row; what was said."""
    rows = [f"{name.partition('.')[0]},nv" for name in images]
    answer = shelf.put({**images, "table.csv": table(*rows)}).fetch()
    assert answer.code == 0, answer.err
    return str(answer.err)


# ------------------------------------------------------------------ images


@pytest.mark.parametrize("missing", [2, len(IMAGE) // 2])
def test_row_79_a_cut_jpeg(missing: int, shelf: Shelf) -> None:
    """The row stays and says why; whoever fetches is told how many."""
    said = fetched(shelf, {"a.jpg": IMAGE, "b.jpg": IMAGE[:-missing]})
    assert "1 image cannot be decoded whole" in said
    assert shelf.rows()["a"]["image_problem"] is None
    assert "truncated" in shelf.rows()["b"]["image_problem"]


def test_row_80_a_flipped_bit_is_seen_by_the_checksum_alone(shelf: Shelf) -> None:
    """No decoder notices it; `verify` does, since the manifest holds each image's SHA-256."""
    fetched(shelf, {"a.jpg": IMAGE})
    path = shelf.folder / shelf.rows()["a"]["path"]
    at = len(IMAGE) * 3 // 4
    path.write_bytes(IMAGE[:at] + bytes([IMAGE[at] ^ 1]) + IMAGE[at + 1 :])
    assert check_image(path).problem is None
    answer = shelf.run("verify", "ours", "--format", "csv")
    assert answer.code == 1
    assert [row["status"] for row in csv.DictReader(io.StringIO(answer.out))] == ["modified"]


@pytest.mark.parametrize("data", [b"", b"<!doctype html><p>Sign in"])
def test_row_81_no_image_at_all(data: bytes, shelf: Shelf) -> None:
    """A row with a reason, not a lost row and not an end of all."""
    fetched(shelf, {"a.jpg": IMAGE, "b.jpg": data})
    assert shelf.rows()["b"]["image_problem"].startswith("not an image")
    assert shelf.rows()["a"]["image_problem"] is None


def test_row_81_the_real_format_is_stored(shelf: Shelf) -> None:
    """A PNG named .jpg: the bytes decide."""
    fetched(shelf, {"a.jpg": PNG})
    row = shelf.rows()["a"]
    assert (row["format"], row["image_problem"]) == ("png", None)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 84977953\n"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60)


def fetched_zip(shelf: Shelf, members: dict[str, bytes], *names: str) -> str:
    """Fetch a zip of these members, with a table that names images so; what was said."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    rows = table(*(f"{name},nv" for name in names))
    answer = shelf.put({"pictures.zip": made.getvalue(), "table.csv": rows}).fetch()
    assert answer.code == 0, answer.err
    return str(answer.err)


@pytest.mark.parametrize(
    ("member", "named"),
    [("a.jfif", "a.jfif"), ("a.JFIF", "a"), ("a", "a"), ("folder/a", "a"), ("a.jpe", "a"), ("a.dat", "a"),
     ("a.image", "a.image"), ("a.1", "a.1")],
)  # fmt: skip
@pytest.mark.parametrize("data", [IMAGE, PNG])
def test_row_81_an_image_is_told_by_its_first_bytes(
    member: str, named: str, data: bytes, shelf: Shelf
) -> None:
    """Whatever its ending is, or without any: Windows writes .jfif, object stores and viewers nothing."""
    said = fetched_zip(shelf, {member: data, "README": b"read me", "LICENSE.txt": b"CC0"}, named)
    (row,) = shelf.rows().values()
    assert (row["image_problem"], row["width"]) == (None, 60)
    assert "warning" not in said  # the license is no image that no row names


def test_row_81_a_format_that_is_not_read_is_named(shelf: Shelf) -> None:
    """A phone's HEIC is there: "no such image file" would not be true."""
    said = fetched_zip(shelf, {"a.heic": HEIC, "b": HEIC, "c.jpg": HEIC}, "a", "b", "c.jpg")
    assert {row["image_problem"] for row in shelf.rows().values()} == {"HEIC, which is not read"}
    assert (
        "3 images cannot be decoded whole (column image_problem says why): 3 HEIC, which is not read" in said
    )


def test_row_81_pointers_and_pages_are_never_images(shelf: Shelf) -> None:
    """A zip of GitHub's holds Git LFS pointers, an expired link left a page; fetch says how many of what."""
    said = fetched_zip(
        shelf, {"a.jpg": LFS, "b.jpg": LFS, "c.png": b"<!DOCTYPE html>", "d.jpg": IMAGE[:900]}, *"abcd"
    )
    problems = {name: row["image_problem"] for name, row in shelf.rows().items()}
    assert problems["a"].startswith("not an image: a Git LFS pointer")
    assert problems["c"] == "not an image: a web page"
    assert "4 images cannot be decoded whole" in said
    assert "2 not an image: a Git LFS pointer" in said
    assert "1 not an image: a web page; 1 truncated" in said


def test_row_81_a_file_of_this_very_name_that_is_no_image(shelf: Shelf) -> None:
    """Neither its bytes nor its name call it one: that it is not there would not be true."""
    fetched_zip(shelf, {"notes": b"of the study", "b.jpg": IMAGE}, "notes", "b", "gone")
    problems = {name: row["image_problem"] for name, row in shelf.rows().items()}
    assert problems == {
        "notes": "the file of this name is not an image", "b": None, "gone": "no such image file"
    }  # fmt: skip


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def test_row_82_a_decompression_bomb(shelf: Shelf) -> None:
    """400 million pixels in a hundred bytes: told by its size, never decoded."""
    header = chunk(b"IHDR", struct.pack(">2L5B", 20_000, 20_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    fetched(shelf, {"a.png": bomb})
    row = shelf.rows()["a"]
    assert row["image_problem"].startswith("too many pixels: 20000 x 20000")
    assert (row["width"], row["height"]) == (20_000, 20_000)


def test_row_83_what_is_stored_is_told_and_kept(shelf: Shelf) -> None:
    """Gray, palette, alpha and 16 bits: the mode stands in the manifest, the file keeps its bytes."""
    made = {
        "gray.png": Image.new("L", (9, 8)),
        "palette.png": Image.new("P", (9, 8)),
        "alpha.png": Image.new("LA", (9, 8)),
        "deep.png": Image.frombytes("I;16", (9, 8), bytes(144)),
        "print.jpg": Image.new("CMYK", (9, 8)),
    }
    images = {
        name: bytes_of(image, "JPEG" if name.endswith("jpg") else "PNG") for name, image in made.items()
    }
    fetched(shelf, images)
    modes = {image_id: row["mode"] for image_id, row in shelf.rows().items()}
    assert modes == {"alpha": "LA", "deep": "I;16", "gray": "L", "palette": "P", "print": "CMYK"}
    assert {path.name: path.read_bytes() for path in (shelf.folder / "images").iterdir()} == images


def bytes_of(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def test_row_84_what_exif_says_of_a_person_is_never_shown(shelf: Shelf) -> None:
    """A rotated photograph with a name in it: stored width and height, and the name in no output or manifest."""
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Jane Roe"
    said = fetched(shelf, {"a.jpg": bytes_of(Image.new("RGB", (9, 8)), "JPEG", exif=exif)})
    row = shelf.rows()["a"]
    assert (row["width"], row["height"], row["image_problem"]) == (9, 8, None)
    out = shelf.run("export", "csv", "ours", "-o", shelf.root / "out.csv")
    written = (shelf.root / "out.csv").read_text(encoding="utf-8")
    assert "Jane" not in said + out.out + out.err + written + str(row)


def test_row_85_a_decoder_that_is_kept_busy(shelf: Shelf) -> None:
    """A JPEG that asks for thousands of passes is a row with a reason, in no time."""
    data = picture(kind="JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    fetched(shelf, {"a.jpg": data[:-2] + scan * 20_000 + data[-2:]})
    assert shelf.rows()["a"]["image_problem"].startswith("too many scans")


# ------------------------------------------------------------------ tables


def refusal(shelf: Shelf, data: bytes, code: int = 4) -> str:
    """What is said of a table that cannot be read; there is no manifest then."""
    answer = shelf.put({"table.csv": data}).fetch()
    assert answer.code == code, answer.err
    assert "table.csv" in answer.err
    assert not (shelf.folder / "manifest.parquet").exists()
    return str(answer.err)


@pytest.mark.parametrize(("encoding", "end"), [("utf-8-sig", "\r\n"), ("utf-16", "\r")])
def test_row_86_marks_and_line_ends(encoding: str, end: str, shelf: Shelf) -> None:
    """Whatever a spreadsheet program saved: the same two rows."""
    data = "id,dx\nä,nv\nb,mel\n".replace("\n", end).encode(encoding)
    assert shelf.put({"table.csv": data}).fetch().code == 0
    assert {name: row["label_raw"] for name, row in shelf.rows().items()} == {"ä": "nv", "b": "mel"}


def test_row_86_another_encoding_is_not_guessed(shelf: Shelf) -> None:
    """Exit 4 with the line; with the encoding in the catalog it is read."""
    data = "id,dx\nb,mel\nä,nv\n".encode("cp1252")
    said = refusal(shelf, data)
    assert "line 3: not utf-8" in said
    assert 'hint: encoding = "cp1252" in its [[table]]' in said
    shelf.put({"table.csv": data}, table=TABLE.replace("file =", 'encoding = "cp1252"\nfile ='))
    assert shelf.fetch().code == 0
    assert "ä" in shelf.rows()


@pytest.mark.parametrize(
    "data",
    [
        b"sep=;\r\nid;dx\r\na;nv\r\nb;mel\r\n",
        b"id\tdx\t\t\na\tnv\t\t\nb\tmel\t\t\n\t\t\t\n",
        b"id,dx\ra,nv,\rb,mel,\r",
        '"id";"dx"\n"a";"nv"\n"b";"mel"\n'.encode("utf-16"),
        b"id|dx\na|nv\nb|mel\n",
    ],
    ids=["sep line", "trailing tabs", "trailing cells", "UTF-16", "bars"],
)
def test_row_86_whatever_parts_the_cells(data: bytes, shelf: Shelf) -> None:
    """The entry says nothing of it: the same two rows."""
    answer = shelf.put({"table.csv": data}).fetch()
    assert answer.code == 0, answer.err
    assert {name: row["label_raw"] for name, row in shelf.rows().items()} == {"a": "nv", "b": "mel"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252", "mac-roman"])
def test_row_86_a_crosswalk_after_a_visit_to_a_spreadsheet(encoding: str, shelf: Shelf) -> None:
    """With a mark it is read; in a code page of somebody's it is named with its line, and other commands go on."""
    word = "N\u00e4vus"
    shelf.put(
        {"table.csv": table(f"a,{word}", "b,nv")},
        words={"nv": "melanocytic-nevus", word: "melanocytic-nevus"},
    )
    path = shelf.catalog / "datasets" / "ours" / "labels.tsv"
    path.write_bytes(path.read_text(encoding="utf-8").replace("\n", "\r\n").encode(encoding))
    answer = shelf.fetch()
    if encoding.startswith("utf"):
        assert (answer.code, shelf.rows()["a"]["diagnosis"]) == (0, "melanocytic-nevus")
    else:
        assert (answer.code, "labels.tsv is not UTF-8: line 3" in answer.err) == (2, True)
        assert "hint: save it as UTF-8" in answer.err
        assert shelf.run("info", "demo").code == 0


def test_row_86_line_ends_in_a_cell_are_of_the_word(shelf: Shelf) -> None:
    """What `labels map -o` writes of a word of two lines is that word again."""
    data = b'id,dx\na,"blue\r\nnevus"\nb,nv\n'
    shelf.put({"table.csv": data})
    csv_file, out = shelf.root / "t.csv", shelf.catalog / "datasets" / "ours" / "labels.tsv"
    csv_file.write_bytes(data)
    out.unlink()
    decided = ["--accept", "blue\r\nnevus=blue-nevus", "--accept", "nv=melanocytic-nevus"]
    assert shelf.run("labels", "map", "--csv", csv_file, "--column", "dx", *decided, "-o", out).code == 0
    assert shelf.fetch().code == 0
    assert shelf.rows()["a"]["diagnosis"] == "blue-nevus"


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        (["scan\\a.jpg", "scan\\b.jpg"], ["scan/a", "scan/b"]),
        (["na\u0308vus_1.jpg", "na\u0308vus_2.jpg"], ["n\u00e4vus_1", "n\u00e4vus_2"]),
        (["1234.0", "77.0"], ["1234", "77"]),
        (['" a.jpg"', '"b.jpg\r\n"'], ["a", "b"]),
    ],
    ids=["Windows", "decomposed", "floats", "blanks"],
)
def test_row_93_a_name_is_found_however_it_is_written(
    typed: list[str], names: list[str], shelf: Shelf
) -> None:
    """Of every row the image, and none that no row names."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number, name in enumerate(names):
            file.writestr(f"{name}.jpg", picture(number))
    rows = [f"{one},{word}" for one, word in zip(typed, ("nv", "mel"), strict=True)]
    answer = shelf.put({"images.zip": archive.getvalue(), "table.csv": table(*rows)}).fetch()
    assert (answer.code, "no row names" in answer.err) == (0, False), answer.err
    assert {name: row["image_problem"] for name, row in shelf.rows().items()} == dict.fromkeys(names)


def test_row_87_skin_types_ages_and_nothing_as_people_type_them(shelf: Shelf) -> None:
    """Roman types, a decimal comma, NaN of a program: no word is left to map, none is a value."""
    mapped = TABLE + 'fitzpatrick = "typ"\nage = "alter"\npatient_id = "pat"\n'
    lines = ["a;nv;IV;35,5;12.0", "b;mel;Typ II;nan;12.0", "c;nan;NaN;40;nan"]
    data = "\r\n".join(["id;dx;typ;alter;pat", *lines]).encode()
    shelf.put({"table.csv": data}, table=mapped.replace("file =", 'missing = ["", "nan"]\nfile ='))
    answer = shelf.fetch()
    assert answer.code == 0, answer.err
    keys = ("label_raw", "fitzpatrick", "age", "age_raw", "patient_id")
    assert [tuple(row[key] for key in keys) for row in shelf.rows().values()] == [
        ("nv", 4, 35.5, None, "ours/12"), ("mel", 2, None, None, "ours/12"), (None, None, 40, None, None),
    ]  # fmt: skip


def test_row_87_words_that_pandas_takes_for_nothing(shelf: Shelf) -> None:
    """NA, None, nan and null are labels: each is told as one that the crosswalk has not."""
    words = ["NA", "None", "nan", "null"]
    shelf.put({"table.csv": table(*(f"{n},{word}" for n, word in enumerate(words)))})
    answer = shelf.fetch()
    assert answer.code == 8
    assert sorted(row["label_raw"] for row in shelf.rows().values()) == sorted(words)
    assert all(f"label not in the crosswalk: dx: {word} (1 row)" in answer.err for word in words)


def test_row_88_ids_are_text(shelf: Shelf) -> None:
    """Leading zeros, exponents and twenty digits stay as they are written."""
    ids = ["0001", "1e5", "12345678901234567890"]
    assert shelf.put({"table.csv": table(*(f"{one},nv" for one in ids))}).fetch().code == 0
    assert sorted(shelf.rows()) == sorted(ids)


def test_row_89_one_cell_too_many_in_every_line(shelf: Shelf) -> None:
    """No column is shifted: the file is refused."""
    assert "none of its 2 lines has the header's 2 cells" in refusal(shelf, table("a,nv,x", "b,mel,x"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (table("a,nv", header="id,diagnosis"), "dx"),
        (table("a,nv,mel", header="id,dx,dx"), "the column 'dx' more than once"),
    ],
)
def test_row_90_columns_that_are_not_as_expected(data: bytes, words: str, shelf: Shelf) -> None:
    """Exit 4 names what is expected and what was found."""
    assert words in refusal(shelf, data)


def test_row_91_rows_without_images_and_images_without_rows(shelf: Shelf) -> None:
    """Each is counted and listed; of two rows with one id the first stays, with the reason for the other."""
    rows = ["a,nv", "a,mel", "gone,nv"]
    answer = shelf.put({"a.jpg": IMAGE, "other.jpg": PNG, "table.csv": table(*rows)}).fetch()
    assert answer.code == 8
    for words in ("row rejected", "1 row without an image file", "1 image file that no row names"):
        assert words in answer.err
    assert shelf.rows()["a"]["label_raw"] == "nv"
    assert shelf.rows()["gone"]["image_problem"] == "no such image file"


@pytest.mark.parametrize("word", ["nevuss", "NV"])
def test_row_92_labels_are_never_guessed(word: str, shelf: Shelf) -> None:
    """Misspelled, in another case or another Unicode form: kept, told, unmapped."""
    answer = shelf.put({"table.csv": table(f"a,{word}", "b,nv")}).fetch()
    assert answer.code == 8
    row = shelf.rows()["a"]
    assert (row["label_raw"], row["diagnosis"]) == (word, None)
    assert shelf.rows()["b"]["diagnosis"] == "melanocytic-nevus"


@pytest.mark.parametrize("name", ["../../../precious", "/etc/passwd"])
def test_row_93_an_id_is_no_path(name: str, shelf: Shelf) -> None:
    """It must be the name of a file of the dataset; nothing outside is read."""
    (shelf.root / "precious.jpg").write_bytes(IMAGE)
    shelf.put({"a.jpg": PNG, "table.csv": table("a,nv", f"{name},nv")})
    assert shelf.fetch().code == 0
    row = shelf.rows()[name]
    assert (row["path"], row["image_problem"]) == (None, "no such image file")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'id,dx\na,nv\nb,"mel\nc,nv\n', "line 3"),
        (b"id,dx\na,n\0v\n", "line 2: holds a NUL byte"),
        (b'id,dx\na,"' + b"x" * 2_000_000 + b'"\n', "line 2: field larger"),
    ],
    ids=["unclosed quote", "NUL", "2 MB in one cell"],
)
def test_row_94_a_table_that_could_be_read_in_two_ways(data: bytes, words: str, shelf: Shelf) -> None:
    """Refused with the line where it begins."""
    assert words in refusal(shelf, data)


def test_row_95_formulas(shelf: Shelf) -> None:
    """A label that a spreadsheet would run: verbatim by default, harmless with --excel-safe."""
    word = "=HYPERLINK(1)"
    shelf.put({"table.csv": table(f"a,{word}")}, words={word: "melanoma"}).fetch()
    found: dict[str, Callable[[], str]] = {}
    for name, options in (("plain", []), ("safe", ["--excel-safe"])):
        path = shelf.root / f"{name}.csv"
        assert shelf.run("export", "csv", "ours", *options, "-o", path).code == 0
        found[name] = next(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))["label_raw"]
    assert found == {"plain": word, "safe": f"'{word}"}


EVIL = "\x1b[31mred\x1b]0;title\x07 [red]x[/red] \u202eevil"


def test_row_96_what_a_source_says_does_not_drive_the_terminal(shelf: Shelf) -> None:
    """Escapes, markup and signs that turn the text around are shown in every command's talk, not obeyed."""
    head = f'name = "ours"\ntitle = {toml(EVIL)}\nkind = "dataset"\nsummary = {toml(EVIL)}\nnotes = [{toml(EVIL)}]\n'
    head += '[access]\nkind = "open"\n[license]\nid = ' + toml(EVIL)
    shelf.put({"table.csv": table(f'a,"{EVIL}"', "b,nv", "b,mel\x1b[0m")}, head=head)
    answers = [shelf.fetch()]
    answers += [shelf.run(*words) for words in (
        ["info", "ours"], ["labels", "map", "ours", "-f", "table"], ["list", "-f", "table"], ["fetch", "ours"],
        ["stats", "ours", "--by", "label_raw", "-f", "table"], ["cite", "ours"], ["verify", "ours"],
    )]  # fmt: skip
    said = [answer.err + answer.out for answer in answers]
    assert [text for text in said if any(sign in text for sign in "\x1b\x07\u202e")] == []
    assert "\\x1b[31mred" in said[0]
    assert "[red]x[/red]" in said[0]


def toml(text: str) -> str:
    """The text as a basic string of TOML."""
    return '"' + "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text) + '"'
