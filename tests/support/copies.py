"""Copies of the made-up dataset at other hosts, and hosts that refuse."""

import json
import zipfile
from pathlib import Path
from typing import Any

from support.archive_builders import zipped
from support.catalog_folders import entry, put
from support.made_up_dataset import CROSSWALK, ROWS, TABLE, Ours, images, label_of, name_of, picture

STORE, LARGE = "https://store.example/", "https://large.example/"
CLASSES = ("NV", "MEL", "DF", "BCC")
WORDS = 'NV = "nv"\nMEL = "mel"\nDF = "df"\nBCC = "bcc"\n'
COPIES = f"""
[[copies]]
name = "store"
bytes = "likely same"
differs = ["no `extra`"]

[[copies.files]]
name = "pictures.zip"
entry = "store"
replaces = ["a.zip", "b.zip"]

[[copies.files]]
name = "classes.csv"
entry = "store"
replaces = ["table.csv"]

[[copies.files]]
name = "ages.csv"
entry = "store"

[[copies.table]]
reader = "table"
file = "classes.csv"
join = [{{ file = "ages.csv", on = "image", holds_more = true }}]
images = ["pictures.zip"]
masks = {{ lesion = "{{image_id}}_mask.png" }}
one_hot = {list(CLASSES)}
label_field = "dx"
[copies.table.columns]
image_id = "image"
label_raw = "@one-hot"
age = "years"
[copies.table.values.label_raw]
{WORDS}
[[copies]]
name = "large"
bytes = "likely same"

[[copies.files]]
name = "large.zip"
entry = "large"
replaces = ["a.zip", "b.zip", "table.csv"]
holds_more = true

[[copies.table]]
reader = "table"
file = "large.zip"
member = "all.csv"
only = {{ of = "ours*" }}
images = ["large.zip"]
[copies.table.columns]
image_id = "id"
label_raw = "dx"

[[copies]]
name = "others"
bytes = "re-encoded"
only_by_name = true
layout = "large"

[[copies.files]]
name = "large.zip"
entry = "large"
replaces = ["a.zip", "b.zip", "table.csv"]

[[copies.table]]
reader = "table"
file = "large.zip"
member = "all.csv"
[copies.table.columns]
image_id = "id"
label_raw = "dx"
"""
# what a host answers in place of a file: status, headers, body
REFUSALS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "challenge": (202, {"x-amzn-waf-action": "challenge"}, b""),
    "captcha": (405, {"x-amzn-waf-action": "captcha"}, b"<html>Human?</html>"),
    "forbidden": (403, {}, b"<html><center><h1>403 Forbidden</h1></center></html>"),
    "closed bucket": (401, {}, b"Anonymous caller does not have storage.objects.get access"),
    "gone": (410, {}, b"no more"),
    "missing": (404, {}, b"no"),
    "page": (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html><title>Welcome</title></html>"),
    "empty": (200, {}, b""),
}


def one_hot(numbers: range) -> bytes:
    """The labels as classes of 0 and 1, under another table's words."""
    lines = [
        ",".join([name_of(one), *(str(int(label_of(one) == word.lower())) for word in CLASSES)])
        for one in numbers
    ]
    return "\n".join([",".join(["image", *CLASSES]), *lines, ""]).encode()


def ages(numbers: range) -> bytes:
    return "\n".join(["image,years", *(f"{name_of(one)},{20 + one}" for one in numbers), ""]).encode()


def large_zip(numbers: range) -> bytes:
    """A table and images, the first forty of which are ours."""
    lines = [f"{name_of(one)},{label_of(one)},{'ours1' if one < ROWS else 'theirs'}" for one in numbers]
    table = "\n".join(["id,dx,of", *lines, ""]).encode()
    members = {f"all/{name_of(one)}.jpg": picture(one) for one in numbers}
    return zipped({"all.csv": table, **members}, zipfile.ZIP_STORED)


def put_entry(root: Path, name: str, host: str, files: dict[str, str]) -> None:
    lines = "".join(
        f'\n[[files]]\nname = "{leaf}"\nurls = ["{host}{leaf}"]\n{more}\n' for leaf, more in files.items()
    )
    put(root, name, entry(name) + lines)


class CopiedOurs(Ours):
    """The dataset with copies at two other hosts: one of the same images, one that holds more."""

    def usual(self) -> "CopiedOurs":
        super().usual()
        self.table = TABLE + COPIES
        self.others = {
            f"{STORE}pictures.zip": images(range(ROWS)),
            f"{STORE}classes.csv": one_hot(range(ROWS)),
            f"{STORE}ages.csv": ages(range(ROWS + 9)),
            f"{LARGE}large.zip": large_zip(range(3 * ROWS)),
        }
        self.refusing: dict[str, str] = {}
        self.site.answer = self.answer_or_refuse  # type: ignore[method-assign]
        return self

    @property
    def options(self) -> list[str]:
        """Writes the entries, serves the files."""
        root, unpack = self.root / "catalog", 'role = "images"\nunpack = "zip"'
        metadata = 'role = "metadata"'
        store = {"pictures.zip": unpack, "classes.csv": metadata, "ages.csv": metadata}
        put_entry(root, "store", STORE, store)
        put_entry(root, "large", LARGE, {"large.zip": f'{unpack}\nmembers = {{ "all.csv" = "metadata" }}'})
        put(root, "large", CROSSWALK, "labels.tsv")
        for url, data in self.others.items():
            self.site.put(url, data)
        return super().options

    def refuse(self, **kinds: str) -> None:
        """From now on these hosts (`data`, `store`, `large`), or files of them, refuse so; "" gives again."""
        self.refusing |= {name.replace("_", "."): kind for name, kind in kinds.items()}

    def answer_or_refuse(self, request: Any) -> None:
        address = request.path.removeprefix("/web/")
        host, leaf = address.partition(".example/")[0], address.rpartition("/")[2]
        kind = self.refusing.get(leaf) or self.refusing.get(host)
        if not kind:
            type(self.site).answer(self.site, request)
            return
        self.site.requests.append((address, request.headers.get("Range")))
        status, headers, body = REFUSALS[kind]
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def asked_hosts(self) -> set[str]:
        """Which hosts were asked since the last time."""
        return {address.partition(".example/")[0] for address, _ in self.asked()}


LISTED = """
name = "tiny"
title = "Tiny"
kind = "dataset"
summary = "made up"
[access]
kind = "open"
[[files]]
name = "table.csv"
role = "metadata"
urls = ["https://data.example/table.csv"]
[[files]]
name = "a.zip"
role = "images"
urls = ["https://data.example/a.zip"]
unpack = "zip"
[[table]]
reader = "table"
file = "table.csv"
[table.columns]
image_id = "id"
label_raw = "dx"
[[copies]]
name = "isic-7"
bytes = "re-encoded"
listing = "isic:collections=7"
[[copies]]
name = "isic-9"
bytes = "re-encoded"
listing = "isic:collections=7"
layout = "records"
only_by_name = true
"""
RECORDS = """
name = "records"
title = "Records"
kind = "dataset"
summary = "made up"
listing = "isic:"
[access]
kind = "open"
[[files]]
name = "metadata.csv"
role = "metadata"
fetch = false
[[table]]
reader = "table"
file = "metadata.csv"
[table.columns]
image_id = "isic_id"
label_raw = "diagnosis"
"""


def isic_record(number: int) -> dict[str, Any]:
    name = f"ISIC_{number:07d}"
    return {
        "public": True, "isic_id": name, "copyright_license": "CC-0", "attribution": "Anonymous",
        "files": {"full": {"url": f"https://isic-archive.s3.amazonaws.com/images/{name}.jpg", "size": len(picture(number))}},
        "metadata": {"acquisition": {"image_type": "dermoscopic"}, "clinical": {"diagnosis_1": "Nevus"}},
    }  # fmt: skip


def serve_archive(root: Path, site: Any) -> list[str]:
    """A dataset of four images under ISIC ids, and an archive that has six; the options that lead there."""
    put(root, "tiny", LISTED)
    put(root, "tiny", CROSSWALK, "labels.tsv")
    put(root, "records", RECORDS)
    put(root, "records", CROSSWALK.replace("dx\tnv", "diagnosis\tNevus"), "labels.tsv")
    site.put(
        "https://data.example/table.csv", b"id,dx\n" + b"".join(b"ISIC_000000%d,nv\n" % n for n in range(4))
    )
    records = [isic_record(number) for number in range(6)]
    for number in range(6):
        site.put(f"https://isic-archive.s3.amazonaws.com/images/ISIC_{number:07d}.jpg", picture(number))
    answer = {"results": records, "count": 6, "next": None}
    search = "https://api.isic-archive.com/api/v2/images/search/?collections=7&limit=100"
    site.put(search, json.dumps(answer).encode())
    return ["--catalog", str(root), "--rewrite", site.rewrite]
