"""A made-up dataset on the test's server: a table, two archives of images, one of masks."""

import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from support.archive_builders import zipped
from support.servers import Site

HOST = "https://data.example/"
ROWS = 40
LABELS = ("nv", "mel", "df", "bcc")

ENTRY = """
name = "ours"
title = "Ours"
kind = "dataset"
summary = "made up"
[access]
kind = "open"
evidence = "made up"
{listing}
{files}
{table}
"""
FILE = """
[[files]]
name = "{name}"
role = "{role}"
urls = ["{host}{name}"]
{more}
"""
TABLE = """
[[table]]
reader = "table"
file = "table.csv"
masks = { lesion = "{image_id}_mask.png" }
[table.columns]
image_id = "id"
label_raw = "dx"
age = "age"
"""
CROSSWALK = """field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote
dx\tnv\tmelanocytic-nevus\texactMatch\t\t\t
dx\tmel\tmelanoma\texactMatch\t\t\t
dx\tdf\tdermatofibroma\texactMatch\t\t\t
dx\tbcc\tbasal-cell-carcinoma\texactMatch\t\t\t
"""


@cache
def picture(number: int, form: str = "jpeg") -> bytes:
    """An image of its own, a few kB."""
    noise = Random(number).randbytes(48 * 48 * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (48, 48), noise).save(out, form)
    return out.getvalue()


def name_of(number: int) -> str:
    return f"IM_{number:04d}"


def label_of(number: int) -> str:
    return LABELS[0] if number % 8 else LABELS[1 + number // 8 % 3]


def rows(numbers: Iterable[int]) -> bytes:
    lines = [f"{name_of(number)},{label_of(number)},{20 + number}" for number in numbers]
    return "\n".join(["id,dx,age", *lines, ""]).encode()


def images(numbers: Iterable[int]) -> bytes:
    members = {f"{name_of(number)}.jpg": picture(number) for number in numbers}
    return zipped({"LICENSE.txt": b"all yours", **members}, zipfile.ZIP_STORED)


def masks(numbers: Iterable[int]) -> bytes:
    return zipped({f"{name_of(number)}_mask.png": picture(number % 3, "png") for number in numbers})


def pictures_in(folder: Path) -> set[str]:
    """The names, without ending, of the images below a folder."""
    return {path.stem for path in folder.rglob("*.jpg")}


@dataclass
class Ours:
    """The dataset's files on the server, the options that lead there, and what was asked."""

    root: Path
    site: Site
    listing: str = ""
    table: str = TABLE
    files: dict[str, tuple[str, bytes, str]] = field(default_factory=dict)  # role, bytes, more of the entry

    def put(self, name: str, role: str, data: bytes, more: str = "") -> None:
        self.files[name] = (role, data, more)

    def usual(self) -> "Ours":
        """Images 0-19 in a.zip, 20-39 in b.zip, every mask in masks.zip."""
        self.put("table.csv", "metadata", rows(range(ROWS)))
        self.put("a.zip", "images", images(range(20)), 'unpack = "zip"')
        self.put("b.zip", "images", images(range(20, ROWS)), 'unpack = "zip"')
        self.put("masks.zip", "masks", masks(range(ROWS)), 'unpack = "zip"')
        return self

    @property
    def options(self) -> list[str]:
        """Writes the entry, serves the files."""
        folder = self.root / "catalog" / "datasets" / "ours"
        folder.mkdir(parents=True, exist_ok=True)
        files = [
            FILE.format(name=name, role=role, host=HOST, more=more)
            for name, (role, _, more) in self.files.items()
        ]
        listing = f'listing = "{self.listing}"' if self.listing else ""
        entry = ENTRY.format(listing="", files="".join(files), table=self.table)
        (folder / "dataset.toml").write_text(entry.replace("[access]", f"{listing}\n[access]"))
        (folder / "labels.tsv").write_text(CROSSWALK)
        for name, (_, data, _) in self.files.items():
            self.site.put(HOST + name, data)
        return ["--catalog", str(self.root / "catalog"), "--rewrite", self.site.rewrite]

    def asked(self, name: str = "") -> list[tuple[str, str | None]]:
        """What was asked of one file, or of all, and forget it."""
        found = [(address, wanted) for address, wanted in self.site.requests if address.endswith(name)]
        self.site.requests.clear()
        return found

    def before_each(self, hook: Callable[[str, Any], None]) -> None:
        """Let `hook` see each question (address, handler) before it is answered."""
        usual = self.site.answer

        def answer(request: Any) -> None:
            hook(request.path.rpartition("/")[2], request)
            usual(request)

        self.site.answer = answer  # type: ignore[method-assign]

    def without_ranges(self) -> None:
        """From now on the server gives whole files only."""

        def forget(_: str, request: Any) -> None:
            del request.headers["Range"]

        self.before_each(forget)
