"""What is fed to the commands: a room with good files of each kind, a damaged one among them, the commands that read it."""

import contextlib
import io
import json
import lzma
import os
import random
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa

from dermdata.catalogs import bundled_folder
from export.samples import manifest
from faults.shelf import LABELS, picture
from fuzzing import bombs, documents, hostile, tables
from fuzzing.damage import damage, damage_rows, damage_text
from support.forks import Forks, Job

Dice = random.Random
Words = tuple[str, ...]
IMAGES = 8
CANARY = b"canary-7f3a91c4"  # what the secret file holds
PASSWD = b"root:x:0:0"
MTIME = 1_000_000_000  # of a catalog that is not damaged: its index stays right
BOMB = 0.04  # share of the inputs that want to be large
HEAD = """
name = "ours"
title = "Ours"
kind = "dataset"
summary = "made by the fuzz"
version = "1"
homepage = "https://example.org/ours"
modalities = ["dermoscopic"]
[access]
kind = "open"
evidence = "it lies beside this file"
[license]
id = "CC-BY-4.0"
[citation]
text = "Nobody (2020). Ours."
"""
COLUMNS = """
[table.columns]
image_id = "id"
label_raw = "dx"
patient_id = "patient"
age = "age"
sex = "sex"
"""
UNPACK = {"images.zip": "zip", "images.tar": "tar", "images.tar.gz": "tar.gz"}


@dataclass(frozen=True)
class Case:
    """One damaged input, laid out, and the command lines that read it."""

    kind: str
    name: str  # of this input: by seed and number
    files: dict[str, bytes]  # below the case's folder
    commands: Sequence[Words]
    stdin: str | None = None
    cache: str = "whole"  # the state that each command finds
    bomb: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    damage: Callable[["Room", Dice, bool], dict[str, bytes]]
    commands: Sequence[str]
    cache: str = "whole"
    stdin: str | None = None
    weight: int = 4


@dataclass
class Room:
    """Where it all lies: good inputs, caches in the states that commands find, a secret that none may read."""

    root: Path
    forks: Forks
    good: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.case, self.catalog = self.root / "case", self.root / "case" / "mine"
        (self.root / hostile.SECRET).write_bytes(CANARY)
        self.rows = manifest(self.inputs, "evil")
        self.lay_inputs()
        self.lay_catalog({})
        self.run("empty", "list")
        shutil.copytree(self.root / "empty", self.root / "whole")
        self.run("whole", "fetch", "ours")
        self.run("whole", "lock", "ours", "-o", self.root / "c.lock")
        self.run("whole", "cache", "bundle", "ours", "-o", self.root / "ours.tar")
        self.run("whole", "export", "webdataset", "ours", "-o", self.root / "wds")
        self.good |= {name: (self.root / name).read_bytes() for name in ("c.lock", "ours.tar")}

    @property
    def inputs(self) -> Path:
        return self.case / "in"

    def run(self, state: str, *words: object) -> None:
        """Make something good."""
        (done,) = self.forks.run(Job([*self.options(self.root / state), *map(str, words)]))
        if done.code:
            raise AssertionError(f"{words}: exit {done.code}\n{done.err}")

    def options(self, cache: Path) -> list[str]:
        return ["--cache", str(cache), "--catalog", str(self.catalog), "--offline"]

    # -------------------------------------------------------------- good files

    def lay_inputs(self) -> None:
        """Beside the manifests: images, links that lead out, a pipe; predictions that are right."""
        self.inputs.mkdir(parents=True, exist_ok=True)
        (self.inputs / "link").symlink_to("/etc")
        (self.inputs / "flink").symlink_to(self.root / hostile.SECRET)
        os.mkfifo(self.inputs / "pipe")
        self.good["p.csv"] = self.predictions("evil")
        self.good["ours.csv"] = self.predictions("ours")
        (self.inputs / "good.csv").write_bytes(self.good["p.csv"])
        self.good["list.csv"] = b"image_id,split,patient_id,dataset\n" + b"".join(
            b"IMG_%03d,%s,P%d,ours\n" % (number, (b"train", b"test")[number % 2], number // 2)
            for number in range(IMAGES)
        )
        self.good["space.txt"] = b"# mine\nmelanoma\nNV = melanocytic-nevus + lentigo\n"
        self.good["space.tsv"] = b"class\tconcept\nmelanoma\tmelanoma\nNV\tmelanocytic-nevus\nNV\tlentigo\n"
        self.good["space.toml"] = (
            b'[mine]\ntitle = "Mine"\n[mine.classes]\nmelanoma = ["melanoma"]\nNV = ["melanocytic-nevus"]\n'
        )

    def predictions(self, dataset: str) -> bytes:
        names = [f"IMG_{number:04}" if dataset == "evil" else f"IMG_{number:03}" for number in range(IMAGES)]
        rows = (f"{name},0.{number},{1 - number / 10:.1f}" for number, name in enumerate(names))
        return ("image_id,melanoma,melanocytic-nevus\n" + "\n".join(rows) + "\n").encode()

    def table(self) -> list[list[str]]:
        rows = [
            [f"IMG_{n:03}", ("nv", "mel")[n % 2], f"P{n // 2}", str(20 + n), ("female", "male")[n % 2]]
            for n in range(IMAGES)
        ]
        return [["id", "dx", "patient", "age", "sex"], *rows]

    def files(self) -> dict[str, bytes]:
        """The publisher's files in each form."""
        if "table.csv" not in self.good:
            images = {f"IMG_{n:03}.jpg": picture(n, (24, 18)) for n in range(IMAGES - 1)}
            images["IMG_007.png"] = picture(7, (20, 20), "PNG")
            self.good |= {
                "images.zip": zip_of(images),
                "images.tar": tar_of(images, "w"),
                "images.tar.gz": tar_of(images, "w:gz"),
                "table.csv": ("\n".join(map(",".join, self.table())) + "\n").encode(),
                "table.xlsx": workbook_of(self.table()),
                "labels.tsv": (LABELS + WORDS).encode(),
            }
        return self.good

    def entry(self, archive: str = "images.zip", table: str = "table.csv") -> bytes:
        """dataset.toml of these two files."""
        text = [HEAD]
        for name, role in ((archive, "images"), (table, "metadata")):
            lines = ["[[files]]", f'name = "{name}"', f'role = "{role}"', f'source = "package:{name}"']
            text.append("\n".join(lines + ([f'unpack = "{UNPACK[name]}"'] if name in UNPACK else [])))
        reader = "spreadsheet" if table.endswith(".xlsx") else "table"
        return "\n".join([*text, f'[[table]]\nreader = "{reader}"\nfile = "{table}"', COLUMNS]).encode()

    # -------------------------------------------------------------- laying out

    def lay_catalog(
        self, damaged: dict[str, bytes], archive: str = "images.zip", table: str = "table.csv"
    ) -> None:
        """The catalog as it should be, but for what is damaged."""
        home, good = self.catalog / "datasets" / "ours", self.files()
        files = {
            f"files/{archive}": good[archive],
            f"files/{table}": good[table],
            "labels.tsv": good["labels.tsv"],
        }
        files["dataset.toml"] = self.entry(archive, table)
        shutil.rmtree(self.catalog, ignore_errors=True)
        (home / "files").mkdir(parents=True)
        (home / "files" / "link").symlink_to(self.root / hostile.SECRET)
        for name, data in files.items():
            path = f"mine/datasets/ours/{name}"
            (home / name).write_bytes(damaged.get(path, data))
            if path not in damaged:
                os.utime(home / name, (MTIME, MTIME))

    def lay(self, case: Case) -> None:
        """Put the case's files where its commands look for them."""
        names = [name.rpartition("/")[2] for name in case.files if name.startswith("mine/")]
        archive = next((name for name in names if name in UNPACK), "images.zip")
        self.lay_catalog(case.files, archive, "table.xlsx" if "table.xlsx" in names else "table.csv")
        for place in self.case.glob("*-[0-9]*"):
            shutil.rmtree(place)
        for place in self.inputs.iterdir():
            if place.is_file() and not place.is_symlink() and place.name != "good.csv":
                place.unlink()
        for name, data in case.files.items():
            if not name.startswith(("mine/", "cache/", "out/")):
                (self.case / name).parent.mkdir(parents=True, exist_ok=True)
                (self.case / name).write_bytes(data)

    def job(self, case: Case, number: int) -> Job:
        """One command of a case, with a cache and an output folder of its own."""
        cache, out = self.case / f"cache-{number}", self.case / f"out-{number}"
        shutil.copytree(self.root / case.cache, cache, symlinks=True)
        shutil.copytree(self.root / "wds", out) if case.kind == "record" else out.mkdir()
        for name, data in case.files.items():
            top, _, rest = name.partition("/")
            if top in ("cache", "out"):
                ({"cache": cache, "out": out}[top] / rest).write_bytes(data)
        places = {"{in}": str(self.inputs), "{out}": str(out)}
        words = [
            places.get(word[: word.find("}") + 1], "") + word[word.find("}") + 1 :]
            for word in case.commands[number]
        ]
        return Job(
            [*self.options(cache), *words],
            stdin=self.case / case.stdin if case.stdin else None,
            writable=[cache, out, self.forks.folder],
            closed=[self.root / hostile.SECRET, Path("/etc/passwd")],
        )

    def outputs(self, number: int) -> list[Path]:
        places = (self.case / f"out-{number}", self.case / f"cache-{number}")
        return [
            path for place in places for path in place.rglob("*") if path.is_file() and not path.is_symlink()
        ]


# what reading a file may raise that an earlier act has broken
BROKEN = (ValueError, LookupError, ArithmeticError, RuntimeError, EOFError, OSError, zipfile.BadZipFile, tarfile.TarError,
          zlib.error, lzma.LZMAError, struct.error, TypeError)  # fmt: skip
WORDS = "dx\tnv\tmelanocytic-nevus\texactMatch\t\t\t\ndx\tmel\tmelanoma\texactMatch\t\t\t\n"


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def tar_of(files: dict[str, bytes], mode: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def workbook_of(rows: list[list[str]]) -> bytes:
    out, book = io.BytesIO(), openpyxl.Workbook()
    for row in rows:
        book.active.append([int(cell) if cell.isdigit() else cell for cell in row])
    book.save(out)
    return out.getvalue()


# ------------------------------------------------------------------ the damage, by kind


def of_manifest(form: str) -> Callable[[Room, Dice, bool], dict[str, bytes]]:
    def make(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
        data = dice.choice(bombs.MANIFESTS[form])(dice) if bomb else tables.damaged(room.rows, form, dice)
        return {f"in/m.{form}": data.replace(b"{room}", str(room.root).encode())}

    return make


def some(*acts: Callable[[bytes, Dice], bytes]) -> Callable[[bytes, Dice], bytes]:
    """One to three of these acts, one after the other."""

    def act(data: bytes, dice: Dice) -> bytes:
        for _ in range(dice.choice([1, 1, 2, 3])):
            with contextlib.suppress(*BROKEN):
                data = dice.choice(acts)(data, dice)
        return data

    return act


def of_good(
    names: dict[str, Callable[[bytes, Dice], bytes]], prefix: str = "in/"
) -> Callable[[Room, Dice, bool], dict[str, bytes]]:
    """One of these good files, damaged."""

    def make(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
        name = dice.choice(sorted(names))
        return {prefix + name: names[name](room.good[name], dice)}

    return make


FILES = "mine/datasets/ours/files/"


def of_table(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    data = (
        dice.choice(bombs.TABLES)(dice)
        if bomb
        else some(damage_text, damage_text, damage)(room.good["table.csv"], dice)
    )
    return {f"{FILES}table.csv": data, "in/table.csv": data}


def of_workbook(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    good = room.good["table.xlsx"]
    acts = some(documents.damage_workbook, documents.damage_workbook, documents.damage_workbook, damage)
    data = bombs.workbook(good, dice) if bomb else acts(good, dice)
    return {f"{FILES}table.xlsx": data, "in/table.xlsx": data}


def of_real(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    """A table or crosswalk of the bundled catalog, as people's programs would save it."""
    path = dice.choice(REAL)
    act = (
        some(damage_rows, damage_rows, damage)
        if path.suffix == ".tsv"
        else some(damage_text, damage_text, damage)
    )
    return {
        f"in/real{path.suffix}": act(path.read_bytes(), dice),
        "in/real.csv": act(REAL[0].read_bytes(), dice),
    }


def of_archive(
    name: str, act: Callable[[bytes, Dice], bytes]
) -> Callable[[Room, Dice, bool], dict[str, bytes]]:
    def make(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
        data = (
            bombs.zipped(dice)
            if bomb and name == "images.zip"
            else some(act, act, damage)(room.good[name], dice)
        )
        return {f"{FILES}{name}": data, f"in/{name}": data}

    return make


def of_catalog(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    if dice.random() < 0.3:
        return {
            "mine/datasets/ours/labels.tsv": some(damage_rows, damage_rows, damage)(
                room.good["labels.tsv"], dice
            )
        }
    acts = some(documents.damage_toml, documents.damage_toml, documents.damage_toml, damage)
    return {"mine/datasets/ours/dataset.toml": acts(room.entry(), dice)}


def of_lock(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    good = room.good["c.lock"]
    if dice.random() < 0.6:
        with contextlib.suppress(pa.ArrowException, ImportError, UnicodeError, ValueError, TypeError):
            return {"in/c.lock": lock_of_damaged_rows(good, dice)}
    return {"in/c.lock": some(documents.damage_json, documents.damage_json, damage, damage_text)(good, dice)}


def lock_of_damaged_rows(good: bytes, dice: Dice) -> bytes:
    """A lock whose checksum is right, of rows that are not."""
    import base64
    import hashlib

    import pyarrow.parquet as pq

    document = json.loads(good)
    rows = pq.read_table(io.BytesIO(base64.b64decode("".join(document["data"]))))
    for _ in range(dice.choice([1, 1, 2])):
        rows = dice.choice([*tables.ACTS, with_set_column, with_set_column])(rows, dice)
    packed = tables.parquet(rows, dice)
    if dice.random() < 0.2:
        packed = damage(packed, dice)
    schema = base64.b64decode(document["manifest_schema"])
    document |= {
        "data": [base64.b64encode(packed).decode()],
        "rows_sha256": hashlib.sha256(packed).hexdigest(),
        "rows": rows.num_rows,
        "manifest_schema": base64.b64encode(damage(schema, dice) if dice.random() < 0.2 else schema).decode(),
    }
    return json.dumps(document).encode()


def with_set_column(rows: pa.Table, dice: Dice) -> pa.Table:
    """A value that the lock says was set: what `split` and `select --labels` set, or what nobody may."""
    name = dice.choice(
        [
            "set:path",
            "set:path",
            "set:split",
            "set:mask_path",
            "set:sha256",
            "set:dataset",
            "told:path",
            "set:",
        ]
    )
    return rows.append_column(name, pa.array([dice.choice(hostile.PATHS)] * rows.num_rows))


def of_predictions(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    """Predictions for the cached dataset, in any of their forms."""
    if dice.random() < 0.5:
        return {"in/p.csv": some(damage_text, damage_text, damage)(room.good["ours.csv"], dice)}
    lines = [line.split(",") for line in room.good["ours.csv"].decode().split()]
    columns = list(zip(*lines[1:], strict=True))
    values = {lines[0][0]: list(columns[0])} | {
        name: [float(cell) for cell in cells] for name, cells in zip(lines[0][1:], columns[1:], strict=True)
    }
    form = dice.choice(["parquet", "jsonl"])
    return {f"in/p.{form}": tables.damaged(pa.table(values), form, dice)}


def of_cache(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    """One of the files that the cache is made of."""
    root = room.root / "whole"
    every = sorted(path for path in root.rglob("*") if path.is_file() and "images" not in path.parts)
    path = dice.choice(every)
    data = path.read_bytes()
    if path.suffix == ".json":
        act = some(documents.damage_json, documents.damage_json, documents.damage_json, damage)
    elif path.suffix == ".tsv":
        act = some(damage_rows, damage_rows, damage)
    elif path.suffix == ".parquet" and dice.random() < 0.7:
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        act = lambda _, dice: tables.damaged(table, "parquet", dice)  # noqa: E731
    else:
        act = damage
    return {f"cache/{path.relative_to(root).as_posix()}": act(data, dice)}


def of_record(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    """The list of files that an earlier export keeps in its folder."""
    good = (room.root / "wds" / ".dermdata-export.json").read_bytes()
    return {
        "out/.dermdata-export.json": some(documents.damage_json, documents.damage_json, damage)(good, dice)
    }


def of_image(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    """A picture beside a manifest that does not know its checksum."""
    form, suffix = dice.choice(
        [("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("GIF", "gif"), ("BMP", "bmp"), ("WEBP", "webp")]
    )
    data = some(damage)(picture(3, (40, 30), form), dice)
    rows = f"dataset,image_id,path,diagnosis,split\nevil,a,images/a.{suffix},melanoma,train\n"
    return {"in/m.csv": rows.encode(), f"in/images/a.{suffix}": data}


def of_own(room: Room, dice: Dice, bomb: bool) -> dict[str, bytes]:
    """A person's own pictures and table: either may be damaged; the folder also has links that lead out, and a pipe."""
    files = {"in/visits.csv": room.good["table.csv"], "in/pictures.zip": room.good["images.zip"]}
    if bomb:
        return {**files, "in/visits.csv": dice.choice(bombs.TABLES)(dice)}
    if dice.random() < OWN_ZIP:
        return {
            **files,
            "in/pictures.zip": some(documents.damage_zip, damage)(files["in/pictures.zip"], dice),
        }
    return {
        **files,
        "in/visits.csv": some(damage_text, damage_text, damage)(files["in/visits.csv"], dice),
        "in/own/a.jpg": some(damage)(picture(3, (40, 30)), dice),
    }


# ------------------------------------------------------------------ the commands, by kind

EXPORTS = [
    "export csv M -o {out}/x.csv --excel-safe",
    "export jsonl M -o {out}/x.jsonl",
    "export webdataset M -o {out}/w",
    "export huggingface M -o {out}/h",
    "export imagefolder M -o {out}/i",
    "export imagefolder M -o {out}/i --copy --strip-exif",
    "export parquet M -o {out}/x.parquet --embed",
    "export webdataset M -o {out}/w --size 8 --strip-exif",
    "export huggingface M -o {out}/h --labels malignancy --redistributable",
    "export csv M -o {out}/x.csv --redistributable --split train",
    "export coco M -o {out}/c",
    "export croissant M -o {out}/c.json",
    "export yolo M -o {out}/y",
    "export yolo-seg M -o {out}/ys",
    "export masks M -o {out}/m --resize 16 --fit pad",
    "export nnunet M -o {out}/n --resize 16 --fit crop",
    "export csv M -o {out}/x.csv --flat",
    "export parquet M -o {out}/x.parquet --columns key,extra.*",
]
READS = [
    "select M",
    "select M --where age>41 -o {out}/s.parquet",
    "select M --dedupe exact -o {out}/s.jsonl",
    "select M --labels malignancy -o {out}/s.csv",
    "select M --sample 3 -o -",
    "stats M --by diagnosis,sex",
    "split M -o {out}/s.parquet",
    "split M --folds 2 --by image -o {out}/s.csv",
    "split --check M",
    "audit M",
    "audit M --near --report {out}/a.html",
    "query select|*|from|images M",
    "query select|count(*),diagnosis|from|images|group|by|2 M -f json",
    "cite M",
    "cite M -f json",
    "cite --table1 M -f latex",
    "cite --table1 M",
    "lock M -o {out}/c.lock",
    "evaluate {in}/good.csv --target M --bootstrap 5",
    "evaluate {in}/good.csv --target M --bootstrap 5 --report {out}/e.html --figures {out}/f --model-card {out}/c.md",
]
FETCHES = [
    "fetch ours",
    "fetch ours",
    "fetch ours --limit 2",
    "fetch ours --only metadata",
    "fetch ours --dry-run",
]
ADOPTED = [*FETCHES[:3], "fetch ours --from {in}"]
CATALOG = [
    *FETCHES, "list", "list -f json --search ours", "info ours", "info ours -f bibtex", "info ours -f croissant",
    "info ours -f json", "labels map ours", "labels map ours -f sssom", "labels review", "doctor --no-network",
    "labels align ours ham10000", "labels tree", "info ours --facts",
]  # fmt: skip
CACHE = [
    "cache list", "cache list -f json", "verify", "verify --repair", "verify --quick", "fetch ours", "fetch ours --limit 3",
    "fetch ours --force", "list --cached", "info ours", "select ours", "stats ours", "export csv ours -o {out}/x.csv",
    "cache prune", "cache bundle ours -o {out}/b.tar", "lock ours -o {out}/c.lock", "labels tree", "cache remove ours",
    "audit ours", "split ours", "query select|*|from|images", "export webdataset ours -o {out}/w", "cite ours",
    "sync {in}/good.lock", "doctor --no-network",
]  # fmt: skip
EVALUATE = [
    "evaluate P --target ours --bootstrap 5",
    "evaluate P --target ours --bootstrap 5 --report {out}/e.html",
    "evaluate P --target ours --labels malignancy --by sex --bootstrap 0 -f json",
    "evaluate P --target ours --bootstrap 5 --figures {out}/f --model-card {out}/c.md",
]
SPACES = {
    "space.txt": some(damage, damage_text),
    "space.tsv": some(damage_rows, damage),
    "space.toml": some(documents.damage_toml, documents.damage_toml, damage),
}
LABELLED = ["stats ours", "export csv ours -o {out}/x.csv", "split ours", "select ours --strict"]
SYNCED = ["sync {in}/c.lock -o {out}/m.parquet", "sync {in}/c.lock", "sync {in}/c.lock --dry-run"]
BUNDLED = [f"fetch ours --from {{in}}/ours.tar{option}" for option in ("", " --force", " --dry-run")]
REAL = [
    bundled_folder() / "datasets" / one
    for one in ("demo/files/demo_metadata.csv", "ham10000/labels.tsv", "scin/labels.tsv")
]
REALLY = [
    "labels map --csv {in}/real.csv --column dx",
    "labels map --csv {in}/real.csv --column dx -o {out}/labels.tsv", "split --check {in}/real.csv",
    "split --check {in}/real.csv --target ours", "stats {in}/real.csv", "evaluate {in}/real.csv --target ours --bootstrap 0",
    "select ours --labels {in}/real.tsv",
]  # fmt: skip
OWN_ZIP = 0.3  # of a person's own data: the zip is damaged, not the table
ADDED = [
    "add own {in} -o {out}/c",
    "add own {in} -o {out}/c --dry-run -f json",
    "add own {in}/pictures.zip --table {in}/visits.csv -o {out}/c",
    "add own {in}/pictures.zip {in}/visits.csv --image id --label dx --patient patient -o {out}/c",
    "add own {in}/pictures.zip --column age=age --column sex=sex --table {in}/visits.csv -o {out}/c",
    "add own {in}/own -o {out}/c --modality clinical",
]
MAPPED = "labels map --csv {in}/NAME --column dx"


def of_form(form: str) -> Kind:
    """A manifest in a form; a stream is read from stdin."""
    target = " -" if form == "stream" else f" {{in}}/m.{form}"
    commands = [one.replace(" M", target) for one in READS + EXPORTS]
    return Kind(of_manifest(form), commands, stdin="in/m.stream" if form == "stream" else None, weight=8)


KINDS: dict[str, Kind] = {
    **{f"manifest.{form}": of_form(form) for form in tables.FORMS},
    "lock": Kind(of_lock, SYNCED, weight=8),
    "table": Kind(of_table, [*ADOPTED, MAPPED.replace("NAME", "table.csv")], cache="empty", weight=8),
    "real": Kind(of_real, REALLY, weight=8),
    "workbook": Kind(of_workbook, [*ADOPTED, MAPPED.replace("NAME", "table.xlsx")], cache="empty", weight=8),
    "catalog": Kind(of_catalog, CATALOG, cache="empty", weight=8),
    "archive.zip": Kind(of_archive("images.zip", documents.damage_zip), ADOPTED, cache="empty"),
    "archive.tar": Kind(of_archive("images.tar", documents.damage_tar), ADOPTED, cache="empty"),
    "archive.tar.gz": Kind(of_archive("images.tar.gz", documents.damage_tar), ADOPTED, cache="empty"),
    "image": Kind(
        of_image, [one.replace(" M", " {in}/m.csv") for one in [*EXPORTS[2:9], *EXPORTS[12:16], *READS[9:11]]]
    ),
    "own": Kind(of_own, ADDED, weight=8),
    "predictions": Kind(of_predictions, EVALUATE, weight=6),
    "list": Kind(
        of_good({"list.csv": some(damage_text, damage_text, damage)}),
        [
            "split --check {in}/list.csv --target ours",
            "split --check {in}/list.csv --by image",
            "split --check {in}/list.csv {in}/good.csv",
        ],
    ),
    "space": Kind(of_good(SPACES), [f"{one} --labels S" for one in LABELLED]),
    "cache": Kind(of_cache, CACHE, weight=8),
    "bundle": Kind(of_good({"ours.tar": some(damage, damage, documents.damage_tar)}), BUNDLED, cache="empty"),
    "record": Kind(
        of_record, ["export webdataset ours -o {out}", "export webdataset ours --size 8 -o {out}"], weight=2
    ),
}


def make_case(
    room: Room, seed: int, number: int, kinds: Sequence[str], count: int, bomb_share: float = BOMB
) -> Case:
    """The case of a number, with so many commands: the same one each time."""
    dice = random.Random(f"{seed}/{number}")
    name = dice.choices(kinds, [KINDS[kind].weight for kind in kinds])[0]
    kind, bomb = KINDS[name], dice.random() < bomb_share
    files = kind.damage(room, dice, bomb)
    chosen = dice.sample(list(kind.commands), min(count, len(kind.commands)))
    first = next(iter(files))
    commands = []
    for text in dict.fromkeys(chosen):
        words = [word.replace("|", " ") for word in text.split()]
        commands.append(
            tuple("{in}" + first.removeprefix("in") if word in ("P", "S") else word for word in words)
        )
    if name == "cache":
        files |= {"in/good.lock": room.good["c.lock"]}
    return Case(name, f"{seed}/{number}", files, commands, kind.stdin, kind.cache, bomb)
