"""Entries whose files their host's own listing names: fetched from a record of the layout that public code states."""

import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.catalogs import bundled_folder
from support.made_up_dataset import picture
from support.mirror import Mirror, record, serve
from support.servers import Site

Rows = list[dict[str, Any]]


def zipped(members: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


def workbook(header: Sequence[str], *lines: Sequence[object]) -> bytes:
    book = openpyxl.Workbook()
    for line in (header, *lines):
        book.active.append(list(line))
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def put_at_addresses(root: Path, files: Mapping[str, bytes]) -> None:
    """A mirror's folder of these files by their whole addresses: a bucket's are listed by its own interface, too."""
    listed = []
    for number, (url, data) in enumerate(files.items()):
        (root / "alone").mkdir(parents=True, exist_ok=True)
        (root / "alone" / str(number)).write_bytes(data)
        digests = {how: hashlib.new(how, data).hexdigest() for how in ("sha256", "md5")}
        listed.append({"name": str(number), "size": len(data), "role": "images", "url": url, **digests})
    told = {"datasets": {"alone": {"metadata": "reconstructed", "expected": {}, "files": listed}}}
    (root / "mirror.json").write_text(json.dumps(told), encoding="utf-8")


@pytest.fixture
def serve_record(tmp_path: Path) -> Iterator[Callable[..., Mirror]]:
    """Serves files as the record of a host, or by their addresses where no host is told, until the test ends."""
    root = tmp_path / "stand-in"
    with ExitStack() as stack:

        def start(files: Mapping[str, bytes], host: str = "", number: str = "") -> Mirror:
            if not host:
                put_at_addresses(root, files)
                return stack.enter_context(serve(root))
            for name, data in files.items():
                (tmp_path / "record" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "record" / name).write_bytes(data)
            root.mkdir()
            (root / "mirror.json").write_text('{"datasets": {}}', encoding="utf-8")
            record(root, (host, number, str(tmp_path / "record")))
            return stack.enter_context(serve(root))

        yield start


def fetch(name: str, cli: Callable, mirror: Mirror) -> Rows:
    home = f"http://127.0.0.1:{mirror.port}"
    bucket = f"https://cobra-pathology.s3.amazonaws.com/={home}/s3/cobra-pathology/"  # not among the hosts of /web/
    answer = cli("--rewrite", bucket, "--rewrite", f"https://={home}/web/", "fetch", name)
    assert answer.code == 0, answer.err
    rows: Rows = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    for row in rows:
        assert row["path"] is None or (Path(answer.out.strip()).parent / row["path"]).is_file()
    return rows


@pytest.mark.shared
def test_mcr_sl_is_joined_from_its_six_workbooks(cli: Callable, serve_record: Callable) -> None:
    """Each image has its lesion's and its person's facts; one whose lesion is in no workbook stays."""
    home = "MCR-SL_dataset"
    books = {
        "image": workbook(
            ("image_id", "lesion_id", "modality"),
            ("I1", "L1", "dermoscopy"), ("I2", "L1", "clinical"), ("I3", "L2", "clinical"), ("I4", "L9", "clinical"),
        ),
        "lesion": workbook(
            ("subject_id", "lesion_id", "location_group", "malignancy"),
            ("S1", "L1", "Back", "Malignant"), ("S2", "L2", "Face", "unknown"),
        ),
        "subject": workbook(("subject_id", "age", "sex"), ("S1", 61, "Male"), ("S2", 34, "Female")),
        "unified_diagnosis": workbook(
            ("diagnosis_id", "lesion_id", "unified_diagnosis"), ("D1", "L1", "MEL"), ("D2", "L2", "ATY")
        ),
        "dermatology_diagnosis": workbook(
            ("diagnosis_id", "lesion_id", "image_id", "expert_id", "diagnosis"),
            ("D1", "L1", "I1", "E001", "NEV"), ("D2", "L1", "I1", "E003", "MEL"), ("D3", "L2", "I3", "E001", "ATY"),
        ),
        "histopathology_diagnosis": workbook(
            ("diagnosis_id", "lesion_id", "procedure", "diagnosis"), ("H1", "L1", "excision", "MEL")
        ),
    }  # fmt: skip
    members = {f"{home}/{name}.xlsx": data for name, data in books.items()}
    members |= {f"{home}/images/I{number}.jpg": picture(number) for number in range(1, 5)}
    rows = fetch("mcr-sl", cli, serve_record({"some_name.zip": zipped(members)}, "zenodo", "17306338"))
    told = (
        "image_id",
        "patient_id",
        "lesion_id",
        "diagnosis",
        "confirmation",
        "modality",
        "age",
        "sex",
        "body_site",
    )
    assert [tuple(row[name] for name in told) for row in rows] == [
        ("I1", "mcr-sl/S1", "mcr-sl/L1", "melanoma", "histopathology", "dermoscopic", 61, "male",
         "trunk-posterior-trunk"),
        ("I2", "mcr-sl/S1", "mcr-sl/L1", "melanoma", "histopathology", "clinical", 61, "male",
         "trunk-posterior-trunk"),
        ("I3", "mcr-sl/S2", "mcr-sl/L2", "melanocytic-nevus", None, "clinical", 34, "female",
         "head-and-neck-head-face"),
        ("I4", None, "mcr-sl/L9", None, None, "clinical", None, None, None),
    ]  # fmt: skip
    assert all(row["path"] for row in rows)
    said = {"diagnosis E001": "NEV", "diagnosis E003": "MEL", "malignancy": "Malignant"}
    assert said.items() <= dict(rows[0]["extra"]).items()


@pytest.mark.shared
def test_itobos_has_boxes_in_pixels_and_its_split(cli: Callable, serve_record: Callable) -> None:
    """The label files of the training tiles; of the test tiles nothing is said."""
    with_tiles = {
        "data/train/images/a.png": picture(1, "png"), "data/train/images/b.png": picture(2, "png"),
        "data/train/labels/a.txt": b"0 0.5 0.5 0.5 0.25\n", "data/train/labels/b.txt": b"",
        "data/test/images/c.png": picture(3, "png"), "data/additional_data/d.png": picture(4, "png"),
    }  # fmt: skip
    rows = fetch("itobos2024", cli, serve_record({"tiles.zip": zipped(with_tiles)}, "figshare", "28452545"))
    assert [(row["image_id"], row["split_official"]) for row in rows] == [
        ("test/c", "test"), ("train/a", "train"), ("train/b", "train"),
    ]  # fmt: skip
    width, height = rows[1]["width"], rows[1]["height"]
    right = {"x": width / 4, "y": height * 0.375, "width": width / 2, "height": height / 4, "label": "0"}
    assert [row["boxes"] for row in rows] == [None, [right], []]


@pytest.mark.shared
@pytest.mark.parametrize("ending", ["svs", "tif"])
def test_a_slide_is_a_row_and_is_not_decoded(cli: Callable, serve_record: Callable, ending: str) -> None:
    bucket = "https://cobra-pathology.s3.amazonaws.com/packages/bcc"
    files = {f"{bucket}/images/case1.{ending}": b"II*\0 a slide", f"{bucket}/annotations/case1.xml": b"<x/>"}
    (row,) = fetch("cobra-bcc", cli, serve_record(files))
    assert (row["image_id"], row["modality"]) == ("bcc/case1", "histopathology")
    assert row["path"].endswith(ending)
    if ending == "svs":
        assert (row["format"], row["image_problem"]) == ("tiff", "a whole slide: kept as it is, not decoded")
    else:  # a small one is looked at like any image
        assert row["image_problem"].startswith("header cannot be read")


# ------------------------------------------------------------------ Hugging Face


OPEN = 'extends = "{name}"\n[access]\nkind = "open"\n'  # without an account, which would be asked for


def put_hugging_face(site: Site, name: str, files: Mapping[str, bytes]) -> None:
    api = f"https://huggingface.co/api/datasets/{name}"
    site.put(f"{api}/revision/main", json.dumps({"sha": "c0ffee", "gated": False}).encode())
    tree = [
        {"type": "file", "path": path, "size": len(data), "oid": "1" * 40,
         "lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}}
        for path, data in files.items()
    ]  # fmt: skip
    site.put(f"{api}/tree/c0ffee?recursive=true", json.dumps(tree).encode())
    for path, data in files.items():
        site.put(f"https://huggingface.co/datasets/{name}/resolve/c0ffee/{path}", data)


@pytest.fixture
def open_entry(tmp_path: Path, cli: Callable, site: Site) -> Callable[..., Any]:
    """Fetches an entry from the hub's files as if it needed no account."""

    def fetch_open(name: str, place: str, files: Mapping[str, bytes]) -> Any:
        folder = tmp_path / "overlay" / "datasets" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dataset.toml").write_text(OPEN.format(name=name), encoding="utf-8")
        put_hugging_face(site, place, {"README.md": b"# a card", **files})
        options = ("--catalog", tmp_path / "overlay", "--rewrite", site.rewrite)
        return cli(*options, "fetch", name, "--accept-license")

    return fetch_open


def shard(first: int, count: int) -> bytes:
    """Rows of images as the hub's own programs write them."""
    images = [{"bytes": picture(number), "path": f"{number}.jpg"} for number in range(first, first + count)]
    data = io.BytesIO()
    pq.write_table(pa.table({"image": images, "snomed": [str(one) for one in range(count)]}), data)
    return data.getvalue()


def test_images_in_parquet_of_columns_that_nobody_tells_are_rows(open_entry: Callable) -> None:
    """Of all shards, each image with what stands beside it."""
    shards = {
        "data/train-00000-of-00002.parquet": shard(0, 3),
        "data/train-00001-of-00002.parquet": shard(3, 2),
    }
    answer = open_entry("dermverse-500k", "BBAnonymous/NeurIPS2026-DermVerse-500K", shards)
    assert answer.code == 0, answer.err
    rows = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    assert [row["image_id"].partition("/image/")[2] for row in rows] == ["0", "1", "2", "0", "1"]
    assert [dict(row["extra"])["snomed"] for row in rows] == ["0", "1", "2", "0", "1"]
    home = Path(answer.out.strip()).parent
    assert [(home / row["path"]).read_bytes() for row in rows] == [picture(number) for number in range(5)]


def test_a_hub_without_parquet_gives_no_row_and_says_so(open_entry: Callable) -> None:
    answer = open_entry("dermverse-500k", "BBAnonymous/NeurIPS2026-DermVerse-500K", {"a.jpg": picture(1)})
    assert "1 image file that no row names" in answer.err


def test_slides_in_folders_of_cases_are_rows(open_entry: Callable) -> None:
    slides = {
        "case_00009/slide_1.svs": b"II*\0 one",
        "case_00010/slide_1.svs": b"II*\0 two",
        "metadata.csv": b"a\n1\n",
    }
    answer = open_entry("histai-skin", "histai/HISTAI-skin-b1", slides)
    assert answer.code == 0, answer.err
    rows = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    assert [(row["image_id"], row["case_id"]) for row in rows] == [
        ("case_00009/slide_1", "histai-skin/case_00009"), ("case_00010/slide_1", "histai-skin/case_00010"),
    ]  # fmt: skip


# ------------------------------------------------------------------ an archive in pieces


def spider_tar() -> bytes:
    records = [
        {
            "slide_id": "s1",
            "image_name": "a.png",
            "context_info": {"0_0": "b.png"},
            "class": "Nevus",
            "split": "train",
        },
        {"slide_id": "s2", "image_name": "c.png", "context_info": {}, "class": "Fat", "split": "test"},
    ]
    members = {"SPIDER-skin/metadata.json": json.dumps(records).encode()}
    members |= {f"SPIDER-skin/images/{name}.png": picture(number, "png") for number, name in enumerate("abc")}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def cut(data: bytes, ends: Sequence[str]) -> dict[str, bytes]:
    """The pieces, of which only the last may be shorter."""
    length = -(-len(data) // len(ends))
    return {f"spider-skin.tar.{end}": data[n * length : (n + 1) * length] for n, end in enumerate(ends)}


@pytest.fixture
def spider(open_entry: Callable) -> Callable[[Mapping[str, bytes]], Any]:
    """Fetches SPIDER-skin of these pieces."""
    return lambda pieces: open_entry("spider-skin", "histai/SPIDER-skin", pieces)


@pytest.mark.parametrize(
    "ends", [["00", "01", "02"], ["aa", "ab"], ["part1", "part2"], [str(n) for n in range(1, 12)]]
)
def test_an_archive_in_pieces_is_put_together_in_their_order(spider: Callable, ends: list[str]) -> None:
    """Also the tenth after the ninth; nothing of the pieces stays, and a second fetch has nothing to do."""
    pieces = cut(spider_tar(), ends)
    answer = spider(dict(reversed(pieces.items())))
    assert answer.code == 0, answer.err
    rows = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    assert [(row["image_id"], row["diagnosis"], row["split_official"]) for row in rows] == [
        ("a", "melanocytic-nevus", "train"), ("c", "normal-skin", "test"),
    ]  # fmt: skip
    assert all(row["path"] and row["image_problem"] is None for row in rows)
    assert not [one for one in Path(answer.out.strip()).parent.rglob("*.tar*") if one.is_file()]
    assert "nothing to do" in spider(pieces).err


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        (lambda pieces: pieces.pop("spider-skin.tar.01"), 2, "of which one lacks: 00, 02"),
        (lambda pieces: pieces.update({"spider-skin.tar.00": b"x" * 512}), 4, "error: spider-skin.tar"),
        (lambda pieces: pieces.pop("spider-skin.tar.02"), 4, "is cut short"),
    ],
    ids=["one lacks", "one is another", "the last lacks"],
)
def test_pieces_that_make_no_archive_leave_nothing(
    spider: Callable, change: Any, code: int, word: str
) -> None:
    pieces = cut(spider_tar(), ["00", "01", "02"])
    change(pieces)
    answer = spider(pieces)
    assert (answer.code, word in answer.err) == (code, True), answer.err
    assert not answer.out


def test_an_entry_may_name_the_pieces_itself(tmp_path: Path, cli: Callable, site: Site) -> None:
    """Without a listing, each with its own checksum; one of other bytes is refused by its name."""
    pieces = {
        name.removeprefix("spider-skin."): data for name, data in cut(spider_tar(), ["00", "01"]).items()
    }
    parts = ", ".join(
        f'{{ name = "{name}", role = "images", urls = ["https://h.example/{name}"], '
        f'checksum = "sha256:{hashlib.sha256(data).hexdigest()}" }}'
        for name, data in pieces.items()
    )
    folder = tmp_path / "own" / "datasets" / "in-pieces"
    folder.mkdir(parents=True)
    entry = (
        'name = "in-pieces"\ntitle = "In pieces"\nkind = "dataset"\nsummary = "One archive in two files."\n'
        '[access]\nkind = "open"\nevidence = "made here"\n'
        f'[[files]]\nname = "all.tar"\nrole = "images"\nunpack = "tar"\nparts = [{parts}]\n'
        '[[table]]\nreader = "folders"\npattern = "**/{image}"\ncolumns = { image = "@path", image_id = "image" }\n'
    )
    (folder / "dataset.toml").write_text(entry, encoding="utf-8")
    for name, data in pieces.items():
        site.put(f"https://h.example/{name}", data)
    options = ("--catalog", tmp_path / "own", "--rewrite", site.rewrite)
    answer = cli(*options, "fetch", "in-pieces")
    assert answer.code == 0, answer.err
    assert pq.ParquetFile(answer.out.strip()).metadata.num_rows == 3
    assert cli(*options, "verify", "in-pieces").code == 0
    site.put("https://h.example/tar.01", b"x" * len(pieces["tar.01"]))
    answer = cli(*options, "fetch", "in-pieces", "--force")
    assert (answer.code, "tar.01" in answer.err) == (4, True), answer.err


def test_scans_of_an_agreement_have_their_boxes_and_no_pictures(
    tmp_path: Path, cli: Callable, site: Site
) -> None:
    """Skin3D: the boxes are open, the scans are not; a scan whose number has no file of boxes has none."""
    scans = b"subject_id,scan_id,sex,partition\n7,000,f,train\n7,001,m,valid\n"
    region = '{""name"":""rect"",""x"":10,""y"":20,""width"":5,""height"":6}'
    marks = f'filename,region_shape_attributes,region_attributes\nm.png,"{region}",{{}}\n'.encode()
    own = tmp_path / "own" / "datasets" / "scans"
    own.mkdir(parents=True)
    entry = (bundled_folder() / "datasets" / "skin3d" / "dataset.toml").read_text(encoding="utf-8")
    address = re.search(r'urls = \["(.*)/bodytex.csv"\]', entry)[1]  # type: ignore[index]
    entry = entry.replace('name = "skin3d"', 'name = "scans"', 1)
    entry = re.sub(r"(?m)^(size|checksum|images|patients) = .*\n", "", entry)
    (own / "dataset.toml").write_text(entry, encoding="utf-8")
    place = f"{address}/annotations/000.csv"
    listed = f"name\tsize\tchecksum\trole\turl\nannotations/000.csv\t{len(marks)}\t\tmetadata\t{place}\n"
    (own / "files.tsv").write_text(listed, encoding="utf-8")
    site.put(f"{address}/bodytex.csv", scans)
    site.put(place, marks)
    answer = cli("--catalog", tmp_path / "own", "--rewrite", site.rewrite, "fetch", "scans")
    assert answer.code == 0, answer.err
    rows = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    assert [(row["image_id"], row["split_official"], row["path"]) for row in rows] == [
        ("000", "train", None), ("001", "val", None),
    ]  # fmt: skip
    assert [len(row["boxes"] or ()) for row in rows] == [1, 0]
