"""Promises 11 and 13-15: what a person is told, what nobody is told, and what stays the same."""

import base64
import json
import os
import subprocess
from typing import Any

from faults.desk import BLOB, Desk, Offer
from faults.promises import promise
from faults.shelf import HEAD, LABELS, TABLE, picture
from support.archive_builders import Raw, raw_zip
from support.servers import Site

SECRETS = {
    "KAGGLE_USERNAME": "someone",
    "KAGGLE_KEY": "k4ggle-kEy-0123456789",
    "HF_TOKEN": "hf_T0ken0123456789",
    "DERMDATA_DATAVERSE_TOKEN": "d4taverse-T0ken",
}
SIGNATURE, COOKIE, PASSWORD = "s1gnature0123456789", "c00kie0123456789", "netrc-passw0rd"
PAIR = base64.b64encode(f"someone:{SECRETS['KAGGLE_KEY']}".encode()).decode()
PLANTED = [*list(SECRETS.values())[1:], SIGNATURE, COOKIE, PASSWORD, PAIR]
KAGGLE = HEAD.replace('kind = "open"', 'kind = "account"\nservice = "kaggle"')


class Gatekeeper(Site):
    """Asks for credentials, sets a cookie, and sends on to another host's signed link; that may refuse."""

    def __init__(self, refuses: bool) -> None:
        super().__init__()
        self.refuses = refuses
        self.heads: list[tuple[str, dict[str, str]]] = []  # path without query, headers

    def answer(self, request: Any) -> None:
        path, _, _ = request.path.partition("?")
        self.heads.append((path, {name.lower(): value for name, value in request.headers.items()}))
        if path.startswith("/web/"):
            request.send_response(302)
            request.send_header("Set-Cookie", f"session={COOKIE}; Path=/")
            port = self.server.server_port
            link = f"http://localhost:{port}/store/blob.bin?X-Amz-Signature={SIGNATURE}&token={COOKIE}"
            self.body(request, b"moved", Location=link)
        elif self.refuses:
            request.send_response(403)
            url = f"https://store/?X-Amz-Signature={SIGNATURE}"
            self.body(request, f"<?xml version='1.0'?><Error><Message>no: {url}</Message></Error>".encode())
        else:
            request.send_response(200)
            self.body(request, BLOB)

    def body(self, request: Any, data: bytes, **headers: str) -> None:
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)


def planted(desk: Desk) -> None:
    """Secrets wherever a person may have them."""
    for name, value in SECRETS.items():
        desk.patch.setenv(name, value)
    netrc = desk.root / "netrc"
    netrc.write_text(f"machine data.example login someone password {PASSWORD}\n", encoding="utf-8")
    netrc.chmod(0o600)
    desk.patch.setenv("NETRC", str(netrc))
    desk.patch.setenv("HOME", str(desk.root))


def leaks(desk: Desk, *answers: Any) -> list[str]:
    """Where a planted secret shows itself: in an output, a file of the cache, or a file's name."""
    places = {f"output {n}": answer.out + answer.err for n, answer in enumerate(answers)}
    for path, data in desk.everything().items():
        if not path.startswith(("mine/", "cache/index/")):  # the person's own catalog, and its compiled copy
            places[path] = path + data.decode("latin-1")
    return [f"{place}: {secret}" for place, text in places.items() for secret in PLANTED if secret in text]


@promise(11)
def a_token_goes_home_only(desk: Desk) -> None:
    """To the service's own host, not to the storage it sends on to; no output and no file holds it."""
    planted(desk)
    desk.patch.setattr(subprocess, "Popen", None)  # no other process could see it in its arguments
    for refuses, code in ((False, 0), (True, 3)):
        desk.offer(Offer("blob.bin", more='source = "kaggle:owner/slug/blob.bin"'), head=KAGGLE)
        with Gatekeeper(refuses) as site:
            desk.options += ["--debug", "--verbose", "--rewrite", site.rewrite]
            answers = [
                desk.fetch(),
                desk.run("doctor", "--no-network"),
                desk.run("info", "ours", "-f", "json"),
            ]
        assert answers[0].code == code, answers[0].err
        first, second = site.heads[0], site.heads[1]
        assert first[1]["authorization"] == f"Basic {PAIR}"
        assert second[0] == "/store/blob.bin"
        assert not {"authorization", "cookie"} & set(second[1])
        assert leaks(desk, *answers) == []


@promise(11)
def a_signed_address_is_not_shown(desk: Desk) -> None:
    """In errors, in the plan, in the receipt: the address without its query, also where nobody knows it for a secret.

    A query that says that it is one is refused in a catalog (red team 16).
    """
    signed = f"https://data.example/f/FAULT/blob.bin?t={SIGNATURE}"
    answers = []
    for fault, code in (("flip:100", 4), ("status:404", 3), ("good", 0), ("redirect:loop", 3)):
        desk.offer(Offer("blob.bin", url=signed.replace("FAULT", fault)))
        (desk.server.root / "blob.bin").write_bytes(BLOB)
        desk.options += ["--debug", "--verbose"]
        answers = [desk.fetch("--dry-run", "-f", "json"), desk.fetch(), desk.fetch("--dry-run", "-f", "json")]
        assert answers[1].code == code, answers[1].err
        assert leaks(desk, *answers) == []


@promise(11)
def a_file_left_whole_is_noted_without_its_query(desk: Desk) -> None:
    """What an earlier run left under its final name is taken over: the receipt shows no signature."""
    signed = f"https://data.example/blob.bin?t={SIGNATURE}"
    desk.offer(Offer("blob.bin", url=signed))
    (desk.folder / "files").mkdir(parents=True)
    (desk.folder / "files" / "blob.bin").write_bytes(BLOB)
    answer = desk.fetch()
    assert answer.code == 0, answer.err
    assert desk.asked() == []
    assert leaks(desk, answer) == []


@promise(13)
def a_page_is_told_for_what_it_is(desk: Desk) -> None:
    """What came, in whose place, and what to do; stdout stays clean."""
    cases = {
        "html:application%2Fzip": (6, "a web page", "token"),
        "json": (6, "quota", "try again"),
        "nothing": (4, "images.zip", "sends nothing", "try again"),
    }
    for fault, (code, *words) in cases.items():
        desk.offer(Offer("images.zip", raw_zip(Raw(b"a.jpg")), fault=fault, checksum=False, size=False))
        answer = desk.fetch()
        assert answer.code == code, answer.err
        assert answer.out == ""
        assert [word for word in words if word not in answer.err] == []
        assert "Traceback" not in answer.err
        assert desk.finals() == {}


@promise(14)
def every_damage_is_told(desk: Desk) -> None:
    """Altered, cut, missing, strange: each by its kind, offline, with nothing changed by looking."""
    damaged(desk)
    before = desk.everything()
    answer = desk.run("--offline", "verify", "--format", "json")
    assert answer.code == 1
    found = {item["path"]: item["status"] for item in json.loads(answer.out)["items"]}
    assert found == {
        "files/blob.bin": "missing",
        "files/stranger": "extra",
        "images/images/0.jpg": "modified",
        "images/images/1.jpg": "modified",
    }
    assert desk.everything() == before


@promise(14)
def repair_fetches_what_is_bad(desk: Desk) -> None:
    """Two members by their ranges and one file: not the whole archive; then all is well but the stranger."""
    damaged(desk)
    desk.server.reset()
    assert desk.run("verify", "--repair").code == 1  # for the stranger, which is the person's
    (desk.folder / "files" / "stranger").unlink()
    assert desk.run("verify").code == 0
    asked = {end["path"]: end["range"] for end in desk.asked()}
    assert sorted(asked) == ["/blob.bin", "/images.zip"]
    assert asked["/images.zip"] is not None


def damaged(desk: Desk) -> None:
    """A fetched dataset with a flipped bit, a cut image, a missing file and one that nobody put there."""
    members = [Raw(f"{n}.jpg".encode(), picture(n)) for n in range(4)]
    desk.offer(Offer("images.zip", raw_zip(*members)), Offer("blob.bin"))
    assert desk.fetch().code == 0
    images = desk.folder / "images" / "images"
    data = (images / "0.jpg").read_bytes()
    (images / "0.jpg").write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    (images / "1.jpg").write_bytes(picture(1)[:700])
    (desk.folder / "files" / "blob.bin").unlink()
    (desk.folder / "files" / "stranger").write_bytes(b"?")


ROWS = [f"i{n:02d},{'nv' if n % 3 else 'mel'}" for n in range(40)]
MEANT = "dx\tnv\tmelanocytic-nevus\texactMatch\t\t\t\ndx\tmel\tmelanoma\texactMatch\t\t\t\n"


@promise(15)
def another_machine_makes_the_same_bytes(desk: Desk) -> None:
    """Another hash seed, time zone, locale, cache folder and number of threads; manifest and split."""
    desk.offer(
        Offer("table.csv", "\n".join(["id,dx", *ROWS, ""]).encode()),
        Offer("images.zip", raw_zip(*(Raw(f"i{n:02d}.jpg".encode(), picture(n)) for n in range(0, 40, 4)))),
        table=TABLE,
        labels=LABELS + MEANT,
    )
    assert desk.fetch("--jobs", 1).code == 0
    mine = (desk.folder / "manifest.parquet").read_bytes()
    one, two = desk.place / "one.parquet", desk.place / "two.parquet"
    assert desk.run("split", "ours", "--seed", 3, "-o", one).code == 0
    (desk.cache).rename(desk.place / "elsewhere")
    strange = {"PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "tr_TR.UTF-8"}
    assert os.environ.get("PYTHONHASHSEED") != "7"
    child = desk.start("fetch", "ours", "--jobs", "8", environment=strange)
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert (desk.folder / "manifest.parquet").read_bytes() == mine
    assert desk.run("split", "ours", "--seed", 3, "-o", two).code == 0
    assert one.read_bytes() == two.read_bytes()


@promise(15)
def no_row_disappears_silently(desk: Desk) -> None:
    """Rows in are rows out and rows with a reason; each reason is told and noted, and the exit code says so."""
    lines = ["id,dx", "a,nv", "b,nv,too,wide", "a,mel", ",nv", "c,unheard of", ""]
    desk.offer(Offer("table.csv", "\n".join(lines).encode()), table=TABLE, labels=LABELS + MEANT)
    answer = desk.fetch()
    assert answer.code == 8
    report = json.loads((desk.folder / "receipt.json").read_text(encoding="utf-8"))["report"]
    assert report["rows_in"] == 5
    assert report["rows_in"] == report["rows"] + len(report["rejected"])
    assert answer.err.count("row rejected") == len(report["rejected"]) == 3
    assert "label not in the crosswalk: dx: unheard of (1 row)" in answer.err
