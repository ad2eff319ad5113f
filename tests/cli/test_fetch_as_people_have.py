"""Files as people's programs, disks and hosts make them: taken, or named with the way out; never lost in silence."""

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dermdata.markup import count_nouns
from support.archive_builders import Raw, raw_zip, tarred, zipped
from support.catalog_folders import entry
from support.catalog_folders import put as put_entry
from support.own_copies import picture, put
from support.servers import Site

pytestmark = pytest.mark.usefixtures("small_catalog")

IDS = ("a1", "a2", "b1")
LABELS = (
    "field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote\n"
    "dx\tnevus\tmelanocytic-nevus\texactMatch\t\t\t\n"
)
TABLE = """
[[table]]
reader = "table"
file = "t.csv"
[table.columns]
image_id = "image"
label_raw = "dx"
"""


def table(*ids: str) -> bytes:
    return "\n".join(["image,dx", *(f"{one},nevus" for one in ids), ""]).encode()


def images(*names: str) -> dict[str, bytes]:
    return {name: picture(number, "JPEG") for number, name in enumerate(names)}


class Desk:
    """An entry `x` of two files, a table and an archive, and the ways to take them."""

    def __init__(self, cli: Callable, root: Path) -> None:
        self.cli, self.root = cli, root
        self.archive = "pictures.zip"
        self.describe()
        put_entry(root / "lab", "x", LABELS, "labels.tsv")

    def describe(self, more: str = "", unpack: str = "zip", of_table: str = "") -> None:
        """Write the entry; `more` is said of the archive, `of_table` of the table."""
        place = "https://data.example"
        files = (
            f'[[files]]\nname = "{self.archive}"\nrole = "images"\nunpack = "{unpack}"\n'
            f'urls = ["{place}/{self.archive}"]\n{more}\n'
            f'[[files]]\nname = "t.csv"\nrole = "metadata"\nurls = ["{place}/t.csv"]\n{of_table}\n'
        )
        put_entry(self.root / "lab", "x", entry("x") + files + TABLE)

    def run(self, *words: object) -> Any:
        return self.cli("--catalog", self.root / "lab", *words)

    def mirror(self, archive: bytes, rows: bytes | None = None, *words: object) -> Any:
        """Fetch from a mirror folder that holds this."""
        files = {self.archive: archive, "t.csv": table(*IDS) if rows is None else rows}
        put(self.root / "usb" / "x", files)
        return self.run("fetch", "x", "--mirror", self.root / "usb", *words)

    def own(self, files: Mapping[str, bytes], *words: object) -> Any:
        """Fetch from a folder of one's own."""
        return self.run("fetch", "x", "--from", put(self.root / "own", files), *words)

    def found(self) -> dict[str, bytes | None]:
        """Each row's image bytes."""
        (manifest,) = (self.root / "cache" / "datasets" / "x").glob("*/manifest.parquet")
        rows = pq.ParquetFile(manifest).read(["image_id", "path"]).to_pylist()
        return {
            row["image_id"]: (manifest.parent / row["path"]).read_bytes() if row["path"] else None
            for row in rows
        }


@pytest.fixture
def desk(cli: Callable, tmp_path: Path) -> Desk:
    return Desk(cli, tmp_path)


ALL = {one: picture(number, "JPEG") for number, one in enumerate(IDS)}
NONE = dict.fromkeys(IDS)


# ------------------------------------------------------------------ names in archives


@pytest.mark.parametrize("under", ["pictures\\", "a\\b\\", ".\\", "pictures\\sub/"])
def test_a_zip_of_powershell_is_read(under: str, desk: Desk) -> None:
    """By fetch and by --from, into the same files."""
    data = raw_zip(
        *(Raw(name.encode(), one) for name, one in images(*(f"{under}{i}.jpg" for i in IDS)).items())
    )
    answer = desk.mirror(data)
    assert answer.code == 0, answer.err
    assert desk.found() == ALL
    assert desk.run("verify", "x").code == 0
    assert desk.run("cache", "remove", "x").code == 0
    assert desk.own({"my.zip": data, "t.csv": table(*IDS)}).code == 0
    assert desk.found() == ALL


@pytest.mark.parametrize(
    ("ids", "code_page"),
    [(["痣_1", "左臂_2", "一"], "gbk"), (["表皮", "ほくろ"], "shift_jis"), (["Nävus"], "cp850")],
)
def test_names_in_a_code_page_are_read_as_the_catalog_states(
    ids: list[str], code_page: str, desk: Desk
) -> None:
    data = raw_zip(
        *(Raw(name.encode(code_page), one) for name, one in images(*(f"{i}.jpg" for i in ids)).items())
    )
    desk.describe(f'name_encoding = "{code_page}"')
    answer = desk.mirror(data, table(*ids))
    assert answer.code == 0, answer.err
    assert "name_encoding" not in answer.err
    assert None not in desk.found().values()
    assert desk.run("cache", "remove", "x").code == 0
    answer = desk.own({"mine.zip": data, "list.csv": table(*ids)})
    assert answer.code == 0, answer.err
    assert None not in desk.found().values()


def test_names_in_no_stated_code_page_are_told_with_the_key_that_states_it(desk: Desk) -> None:
    data = raw_zip(*(Raw(f"痣_{number}.jpg".encode("gbk"), picture(number, "JPEG")) for number in (1, 2)))
    answer = desk.mirror(data, table("痣_1", "痣_2"))
    assert "warning: pictures.zip: 2 names are not UTF-8" in answer.err
    assert "'痣_1.jpg' in gbk" in answer.err
    assert "`name_encoding` of its [[files]]" in answer.err
    assert answer.code == 8  # no row has its image
    desk.run("cache", "remove", "x")
    answer = desk.own({"mine.zip": data, "t.csv": table("痣_1", "痣_2")})
    assert "warning: mine.zip: 2 names are not UTF-8" in answer.err
    assert answer.code == 8


@pytest.mark.parametrize(
    ("line", "words"),
    [('name_encoding = "klingon"', "'klingon' is no text encoding"), ("name_encoding = 1", "must be text")],
)
def test_a_code_page_that_is_none_is_a_fault_of_the_catalog(line: str, words: str, desk: Desk) -> None:
    desk.describe(line)
    answer = desk.run("info", "x")
    assert answer.code == 2
    assert words in answer.err


def test_a_code_page_of_what_is_no_zip_is_a_fault_of_the_catalog(desk: Desk) -> None:
    desk.describe(of_table='name_encoding = "gbk"')
    assert 'unpack = "zip" is missing' in desk.run("info", "x").err


@pytest.mark.parametrize("pair", [("HAM_part_1/", "ham_part_1/"), ("É/", "é/"), ("x/Y/", "X/y/")])
def test_a_folder_in_two_spellings_is_taken(pair: tuple[str, str], desk: Desk) -> None:
    """Every image twice, as Kaggle's copy of HAM10000 has them; nothing differs between the ways to take it."""
    data = zipped(
        {f"{under}{name}": one for under in pair for name, one in images(*(f"{i}.jpg" for i in IDS)).items()}
    )
    answer = desk.mirror(data)
    assert answer.code == 0, answer.err
    assert desk.found() == ALL
    assert desk.run("verify", "x").code == 0
    assert desk.run("cache", "remove", "x").code == 0
    assert desk.own({"archive.zip": data, "t.csv": table(*IDS)}).code == 0
    assert desk.found() == ALL


def test_a_folder_in_two_spellings_with_other_images_is_told(desk: Desk) -> None:
    """Which of the two a row means nobody knows."""
    twins = {"A/a1.jpg": picture(1, "JPEG"), "a/a1.jpg": picture(2, "JPEG"), "a/a2.jpg": picture(3, "JPEG")}
    desk.mirror(zipped(twins), table("a1", "a2"))
    assert [name for name, data in desk.found().items() if data] == ["a2"]


@pytest.mark.parametrize("table_form", ["NFC"])
@pytest.mark.parametrize("zip_form", ["NFC", "NFD"])
def test_names_match_in_either_unicode_form(table_form: Any, zip_form: Any, desk: Desk) -> None:
    ids = ["Nävus_1", "Mélanome", "ﬁle Å"]
    names = images(*(unicodedata.normalize(zip_form, f"{one}.jpg") for one in ids))
    rows = unicodedata.normalize(table_form, table(*ids).decode()).encode()
    answer = desk.mirror(zipped(names), rows)
    assert answer.code == 0, answer.err
    assert None not in desk.found().values()
    assert desk.run("cache", "remove", "x").code == 0
    answer = desk.own({**names, "t.csv": rows})
    assert answer.code == 0, answer.err
    assert None not in desk.found().values()


@pytest.mark.parametrize(
    "ids", [("1.0", "2.0"), ("pictures\\1", "pictures\\2"), (" 1", "2 "), ("1.JPG", "2.jpeg")]
)
def test_names_that_a_program_wrote_otherwise_match_wherever_the_images_are(
    ids: tuple[str], desk: Desk
) -> None:
    """By fetch and by --from alike."""
    found = images("pictures/1.jpg", "pictures/2.jpg")
    answer = desk.mirror(zipped(found), table(*ids))
    assert answer.code == 0, answer.err
    assert None not in desk.found().values()
    assert desk.run("cache", "remove", "x").code == 0
    answer = desk.own({**found, "t.csv": table(*ids)})
    assert answer.code == 0, answer.err
    assert None not in desk.found().values()


@pytest.mark.parametrize("table_form", ["NFC", "NFD"])
@pytest.mark.parametrize("labels_form", ["NFC", "NFD"])
def test_label_words_match_in_either_unicode_form(table_form: Any, labels_form: Any, desk: Desk) -> None:
    row = "dx\tNävus à poil\tmelanocytic-nevus\texactMatch\t\t\t\n"
    put_entry(desk.root / "lab", "x", LABELS + unicodedata.normalize(labels_form, row), "labels.tsv")
    rows = unicodedata.normalize(table_form, "image,dx\na1,Nävus à poil\na2,nevus\n").encode()
    answer = desk.mirror(zipped(images("a1.jpg", "a2.jpg")), rows)
    assert answer.code == 0, answer.err
    (manifest,) = (desk.root / "cache").rglob("manifest.parquet")
    assert pq.ParquetFile(manifest).read()["diagnosis"].to_pylist() == ["melanocytic-nevus"] * 2


# ------------------------------------------------------------------ archives in archives


def parts(ending: str = ".zip", make: Callable[[Mapping[str, bytes]], bytes] = zipped) -> dict[str, bytes]:
    every = images(*(f"{one}.jpg" for one in IDS))
    first, second = dict(list(every.items())[:2]), dict(list(every.items())[2:])
    return {f"images/part_1{ending}": make(first), f"images/part_2{ending}": make(second)}


@pytest.mark.parametrize(
    "data",
    [zipped(parts()), zipped({**parts(), "read me.txt": b"x"}), zipped(parts(".tar", lambda files: tarred(files, "w"))),
     zipped({"one.jpg": picture(9, "JPEG"), **parts()})],
    ids=["zips", "zips and a text", "tars", "zips beside an image"],
)  # fmt: skip
def test_archives_in_a_zip_are_opened(data: bytes, desk: Desk) -> None:
    """By fetch and by --from, under the official name and under another."""
    answer = desk.mirror(data)
    assert answer.code == 0, answer.err
    assert desk.found() == ALL
    assert desk.run("verify", "x").code == 0
    for name in ("pictures.zip", "mine.zip"):
        assert desk.run("cache", "remove", "x").code == 0
        answer = desk.own({name: data, "t.csv": table(*IDS)})
        assert answer.code == 0, answer.err
        assert desk.found() == ALL
        (desk.root / "own" / name).unlink()


def test_a_broken_file_of_an_inner_archive_is_mended_by_the_whole(desk: Desk) -> None:
    """No range of the outer archive is the file."""
    desk.mirror(zipped(parts()))
    (broken,) = (desk.root / "cache").rglob("a2.jpg")
    broken.write_bytes(b"")
    assert desk.run("verify", "x").code == 1
    answer = desk.run("fetch", "x", "--mirror", desk.root / "usb")
    assert answer.code == 0, answer.err
    assert desk.found() == ALL
    assert desk.run("verify", "x").code == 0


def test_archives_in_a_tar_are_opened(desk: Desk) -> None:
    desk.archive = "pictures.tar.gz"
    desk.describe(unpack="tar.gz")
    data = tarred(parts(), "w:gz")
    assert desk.mirror(data).code == 0
    assert desk.found() == ALL
    assert desk.run("cache", "remove", "x").code == 0
    answer = desk.own({"mine.tar.gz": data, "t.csv": table(*IDS)})
    assert answer.code == 0, answer.err
    assert desk.found() == ALL


def test_a_part_of_a_zip_of_zips_comes_with_the_whole(desk: Desk, site: Site) -> None:
    """Ranges bring members of the outer archive only."""
    site.put("https://data.example/pictures.zip", zipped(parts()))
    site.put("https://data.example/t.csv", table(*IDS))
    answer = desk.run("--rewrite", site.rewrite, "fetch", "x", "--limit", 1)
    assert answer.code == 0, answer.err
    assert "pictures.zip holds archives: it can only be read whole" in answer.err
    assert desk.found() == {"a1": ALL["a1"]}


def test_an_archive_in_an_archive_that_is_refused_is_told(desk: Desk) -> None:
    evil = raw_zip(Raw(b"..\\..\\a1.jpg", picture(1, "JPEG")))
    answer = desk.mirror(zipped({**parts(), "evil.zip": evil}))
    assert (
        "warning: pictures.zip holds an archive that is not opened: evil.zip: member '../../a1.jpg'"
        in answer.err
    )
    assert desk.found() == ALL
    assert answer.code == 0  # no image is missing


@pytest.mark.parametrize(
    "inner", [raw_zip(Raw(b"..\\a2.jpg")), b"PK\3\4 cut", zipped({"b.zip": zipped(images("a2.jpg"))}),
              raw_zip(Raw(b"a2.jpg", method=9)), raw_zip(Raw(b"a2.jpg", flags=1))],
    ids=["hostile", "cut", "too deep", "deflate64", "encrypted"],
)  # fmt: skip
def test_images_that_a_closed_archive_may_hold_are_exit_8(inner: bytes, desk: Desk) -> None:
    """However often it is asked."""
    for _ in range(2):
        answer = desk.mirror(zipped({**images("a1.jpg"), "part_2.zip": inner}), table("a1", "a2"))
        assert answer.code == 8, answer.err
        assert (
            "1 row has no image, and an archive in an archive is not opened (pictures.zip: part_2"
            in answer.err
        )
    assert [name for name, data in desk.found().items() if data] == ["a1"]


# ------------------------------------------------------------------ tables that come zipped


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("inner", ["t.csv", "T.CSV", "some/folder/t.csv"])
def test_a_table_that_a_host_sends_zipped_is_taken_out(
    inner: str, stated: bool, desk: Desk, site: Site
) -> None:
    """As Kaggle does; a published size and checksum are those of the table itself."""
    import hashlib

    rows = table(*IDS) * 1
    sums = f'size = {len(rows)}\nchecksum = "sha256:{hashlib.sha256(rows).hexdigest()}"'
    desk.describe(of_table=sums if stated else "")
    site.put("https://data.example/pictures.zip", zipped(images(*(f"{one}.jpg" for one in IDS))))
    site.put("https://data.example/t.csv", zipped({inner: rows}))
    answer = desk.run("--rewrite", site.rewrite, "fetch", "x")
    assert answer.code == 0, answer.err
    assert "sends a zip in place of t.csv; the file is taken out of it" in answer.err
    assert desk.found() == ALL
    assert desk.run("verify", "x").code == 0
    assert not list((desk.root / "cache").rglob("*.tmp"))


def test_a_zipped_table_with_another_checksum_is_refused(desk: Desk, site: Site) -> None:
    desk.describe(of_table=f'checksum = "sha256:{"0" * 64}"')
    site.put("https://data.example/pictures.zip", zipped(images(*(f"{one}.jpg" for one in IDS))))
    site.put("https://data.example/t.csv", zipped({"t.csv": table(*IDS)}))
    answer = desk.run("--rewrite", site.rewrite, "fetch", "x")
    assert answer.code == 4
    assert "sha256 is" in answer.err


@pytest.mark.parametrize("files", [{"t.csv": b"a", "u.csv": b"b"}, {"other.csv": b"a"}, {}])
def test_a_zip_of_something_else_is_named(files: dict[str, bytes], desk: Desk) -> None:
    answer = desk.mirror(zipped(images(*(f"{one}.jpg" for one in IDS))), zipped(files))
    assert answer.code == 4
    if files:
        assert f"is a zip of {count_nouns(len(files), 'file')} in place of t.csv" in answer.err
        assert 'unpack = "zip"' in answer.err


@pytest.mark.parametrize("name", ["t.csv", "t.csv.zip", "archive.zip"])
def test_a_zipped_table_of_ones_own_is_taken(name: str, desk: Desk) -> None:
    """Whatever it is called, by what it begins with."""
    answer = desk.own({name: zipped({"t.csv": table(*IDS)}), **images(*(f"{one}.jpg" for one in IDS))})
    assert answer.code == 0, answer.err
    assert desk.found() == ALL


def test_a_zipped_table_in_a_mirror_folder_is_taken(desk: Desk) -> None:
    answer = desk.mirror(zipped(images(*(f"{one}.jpg" for one in IDS))), zipped({"t.csv": table(*IDS)}))
    assert answer.code == 0, answer.err
    assert desk.found() == ALL


# ------------------------------------------------------------------ archives that are not opened


CLOSED = {
    "PH2Dataset.rar": "a RAR archive", "images.7z": "a 7-Zip archive", "images.tar.bz2": "a bzip2 tar",
    "images.TAR.XZ": "an xz tar", "images.zip.001": "one part of an archive", "t.csv.gz": "a gzip file",
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_an_archive_that_is_not_opened_is_named_with_the_way_out(name: str, desk: Desk) -> None:
    """Also as the next step of the error, and as a row of a dry run."""
    answer = desk.own({name: b"Rar!\x1a\x07\0 and more"})
    says = f"{name} is {CLOSED[name]}, which dermdata does not open: unpack it and give the folder"
    assert answer.code == 6
    assert "nothing asks for" not in answer.err
    assert [line for line in answer.err.splitlines() if line.startswith("warning:") and says in line]
    assert [line for line in answer.err.splitlines() if line.startswith("hint:") and says in line]
    plan = desk.own({}, "--dry-run", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(plan.out))
    assert row["step"] == "unreadable"
    assert says.endswith(row["how"])


def test_an_archive_beside_what_is_complete_is_told_too(desk: Desk) -> None:
    answer = desk.own({"t.csv": table(*IDS), **images(*(f"{one}.jpg" for one in IDS)), "rest.rar": b"Rar!"})
    assert answer.code == 0
    assert "rest.rar is a RAR archive, which dermdata does not open" in answer.err


@pytest.mark.parametrize(
    ("start", "words"),
    [(b"Rar!\x1a\x07\x01\0" + bytes(40), "a RAR archive"), (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7-Zip archive"),
     (b"<!DOCTYPE html><title>x</title>", "a web page"), (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS")],
)  # fmt: skip
def test_what_only_calls_itself_a_zip_is_named(start: bytes, words: str, desk: Desk) -> None:
    """By its first bytes, in a mirror and among one's own."""
    answer = desk.mirror(start)
    assert answer.code == 4
    assert words in answer.err
    answer = desk.own({"pictures.zip": start, "t.csv": table(*IDS)})
    assert answer.code == 8
    assert words in answer.err


def test_deflate64_is_named_with_the_way_out(desk: Desk) -> None:
    answer = desk.mirror(raw_zip(Raw(b"a1.jpg", picture(1, "JPEG"), method=9)))
    assert answer.code == 4
    assert "method 9 (deflate64)" in answer.err
    assert "hint: Windows Explorer writes such archives above 2 GB" in answer.err


# ------------------------------------------------------------------ no image at all


@pytest.mark.parametrize(
    ("ids", "names"),
    [(("1234.0", "1235.0"), ("x1234.jpg", "x1235.jpg")), (("ISIC_1", "ISIC_2"), ("1.jpg", "2.jpg")),
     (("0001", "0002"), ("1.jpg", "2.jpg")), (("a b", "c d"), ("a_b.jpg", "c_d.jpg"))],
)  # fmt: skip
def test_no_image_at_all_is_exit_8_with_one_of_each_side(
    ids: tuple[str], names: tuple[str], desk: Desk
) -> None:
    """However often it is asked."""
    for _ in range(2):
        answer = desk.mirror(zipped(images(*names)), table(*ids))
        assert answer.code == 8
        assert "not one of 2 rows has its image, though 2 images are here" in answer.err
        assert repr(ids[0]).strip("'")[:4] in answer.err
        assert f"the files are such as {names[0]!r}" in answer.err
    assert set(desk.found().values()) == {None}


def test_rows_without_images_where_there_are_none_are_no_such_fault(desk: Desk) -> None:
    """Of a table alone nothing is expected; one image of many is a match."""
    data = zipped(images("a1.jpg", "zzz.jpg"))
    assert desk.mirror(data, None, "--only", "metadata").code == 0
    assert desk.mirror(data).code in (0, 8)
    assert "not one of" not in desk.run("fetch", "x", "--mirror", desk.root / "usb").err


def test_no_image_at_all_is_told_in_json(desk: Desk) -> None:
    answer = desk.mirror(zipped(images("q.jpg")), table("a"))
    assert answer.code == 8
    (receipt,) = (desk.root / "cache").rglob("receipt.json")
    report = json.loads(receipt.read_text())["report"]
    assert report["images_not_found"] == {"count": 1, "first": ["a"]}


# ------------------------------------------------------------------ which file is which


def two_tables(desk: Desk) -> None:
    files = "".join(
        f'[[files]]\nname = "{name}"\nrole = "metadata"\n' for name in ("first.csv", "second.csv")
    )
    rows = (
        '[[table]]\nreader = "table"\nfile = "first.csv"\n[table.columns]\nimage_id = "id"\nlabel_raw = "dx"\n'
        'sex = "sex"\n[[table.join]]\nfile = "second.csv"\non = "id"\n'
    )
    put_entry(desk.root / "lab", "x", entry("x") + files + rows)


FIRST, SECOND = b"id,dx,extra\na1,nevus,1\n", b"id,sex,extra\na1,male,1\n"


@pytest.mark.parametrize("named", ["first.csv", "second.csv"])
def test_a_file_that_is_recognized_is_no_candidate_for_another(named: str, desk: Desk) -> None:
    """One has its official name, the other has not; both have the columns that are asked of either."""
    two_tables(desk)
    tables = {"first.csv": FIRST, "second.csv": SECOND}
    files = {named if name == named else "mine.csv": data for name, data in tables.items()}
    answer = desk.own(files)
    assert answer.code in (0, 8), answer.err
    assert "files could be" not in answer.err
    (manifest,) = (desk.root / "cache" / "datasets" / "x").glob("*/manifest.parquet")
    (row,) = pq.ParquetFile(manifest).read().to_pylist()
    assert (row["label_raw"], row["sex"]) == ("nevus", "male")


def test_two_files_for_one_table_are_still_a_question(desk: Desk) -> None:
    two_tables(desk)
    answer = desk.own({"first.csv": FIRST, "one.csv": SECOND, "two.csv": SECOND.replace(b"1", b"2")})
    assert answer.code == 2
    assert "2 files could be second.csv" in answer.err


# ------------------------------------------------------------------ what stands in a file's place


STAND_INS = {
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n" % 7,
    "page": b"<!DOCTYPE html>\n<html><title>Sign in</title></html>",
    "page with a mark": b"\xef\xbb\xbf\r\n<html lang='en'><body>404</body></html>",
}


@pytest.mark.parametrize("stand_in", STAND_INS)
@pytest.mark.parametrize("packed", [False, True])
def test_what_stands_in_an_images_place_is_no_image(stand_in: str, packed: bool, desk: Desk) -> None:
    """A clone without its large files, pages that were saved: told, exit 8, and the image can be given later."""
    found = images(*(f"{one}.jpg" for one in IDS)) | {"a2.jpg": STAND_INS[stand_in]}
    files = {"mine.zip": zipped(found)} if packed else found
    answer = desk.own({**files, "t.csv": table(*IDS)})
    assert answer.code == 8
    what = "a Git LFS pointer" if stand_in == "pointer" else "a web page"
    assert f"a2.jpg: {what}" in answer.err
    assert ", not the image" in answer.err
    assert desk.found() == ALL | {"a2": None}
    more = put(desk.root / "more", {"a2.jpg": ALL["a2"]})
    answer = desk.run("fetch", "x", "--from", more)
    assert answer.code == 0, answer.err
    assert desk.found() == ALL


@pytest.mark.parametrize("stand_in", STAND_INS)
def test_what_stands_in_a_tables_place_is_no_table(stand_in: str, desk: Desk) -> None:
    answer = desk.own({"t.csv": STAND_INS[stand_in], **images("a1.jpg")})
    assert answer.code == 6
    what = "a Git LFS pointer" if stand_in == "pointer" else "a web page"
    assert "t.csv: is not the table t.csv: " in answer.err
    assert what in answer.err


@pytest.mark.parametrize(
    ("data", "words"),
    [*((STAND_INS[one], "Git LFS pointer" if one == "pointer" else "web page") for one in STAND_INS),
     (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old spreadsheet (.xls)"), (b"\x1f\x8b\x08\0", "a gzip file")],
)  # fmt: skip
def test_what_stands_in_a_fetched_tables_place_is_named(data: bytes, words: str, desk: Desk) -> None:
    """Not by columns that it lacks; also where it is a table of one's own."""
    answer = desk.mirror(zipped(images("a1.jpg")), data)
    assert answer.code == 4
    assert "t.csv" in answer.err
    assert words in answer.err
    own = put(desk.root, {"mine.csv": data}) / "mine.csv"
    answer = desk.run("stats", own)
    assert answer.code == 2
    assert words in answer.err


def test_pieces_whose_names_differ_in_case_are_taken(desk: Desk) -> None:
    ids = ("IMG_a", "img_A", "Img_a")
    answer = desk.own({"t.csv": table(*ids), "mine.zip": zipped(images(*(f"{one}.jpg" for one in ids)))})
    assert answer.code == 0, answer.err
    assert None not in desk.found().values()
    assert len(set(desk.found().values())) == 3
