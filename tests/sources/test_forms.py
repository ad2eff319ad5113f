"""Addresses that want more than a GET, and hosts whose own records say what a file is: the bad days, without a network."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from dermdata.archive import ExtractedFile
from dermdata.catalogs.entries import parse_entry
from dermdata.checksum import Hasher
from dermdata.errors import (
    BadCatalog,
    BadRedirect,
    BrowserCheck,
    ChecksumMismatch,
    DermdataError,
    FormWanted,
    NotTheFile,
    QuotaUsedUp,
    SizeMismatch,
    UnknownName,
)
from dermdata.fetching.ingest import find_listed, index_listed, require_listed
from dermdata.fetching.listing import add_listed_files
from dermdata.hosts import (
    ResolveContext,
    bundle_files,
    list_files,
    request_limits,
    resolve,
)
from dermdata.hosts.base import make_request
from dermdata.http import HttpClient, NetworkSettings
from dermdata.http.client import RemoteFile
from dermdata.model import File, ListedArchive, Request
from support.catalog_folders import entry as catalog_entry
from support.catalog_folders import put
from support.servers import Site

from .conftest import answering, entry, sourced

ZIP = b"PK\x03\x04" + bytes(100)
DRIVE = "https://drive.usercontent.google.com/download"
FORM = (
    "<html><title>Google Drive - Virus scan warning</title>"
    '<form id="download-form" action="{}" method="{}"><input type="submit" value="Download anyway">'
    '<input type="hidden" name="id" value="1a"><input type="hidden" name="uuid" value="u&amp;1"></form>'
    '<input name="stray" value="x">Google Drive can&#39;t scan this file for viruses.</html>'
)
QUOTA = "<html><p class=uc-error-subcaption>Too many users have viewed or downloaded this file recently.</p></html>"


def download(
    request: Request, target: Path, answers: Mapping[str, tuple[int, bytes, dict[str, str]]]
) -> tuple[Any, list[str]]:
    """What a download brings or raises, and the addresses that it asked for; each answers as it is listed."""
    asked: list[str] = []

    def answer(wanted: httpx.Request) -> httpx.Response:
        asked.append(str(wanted.url))
        status, body, headers = answers.get(asked[-1], (404, b"", {}))
        return httpx.Response(status, content=body, headers=headers)

    network = NetworkSettings(trust_env=False, sleep=lambda _: None, attempts=2)
    with HttpClient(network, httpx.MockTransport(answer)) as client:
        try:
            return client.download(request, target), asked
        except DermdataError as error:
            return error, asked


def page(text: str) -> tuple[int, bytes, dict[str, str]]:
    return 200, text.encode(), {"Content-Type": "text/html; charset=utf-8"}


# ------------------------------------------------------------------ addresses for browsers


@pytest.mark.parametrize(
    ("url", "forms"),
    [
        ("https://figshare.com/ndownloader/files/7", ["https://ndownloader.figshare.com/files/7",
                                                      "https://api.figshare.com/v2/file/download/7"]),
        ("https://api.figshare.com/v2/file/download/7?private_link=a", [
            "https://ndownloader.figshare.com/files/7?private_link=a",
            "https://api.figshare.com/v2/file/download/7?private_link=a"]),
        ("https://drive.google.com/file/d/1a-_B/view?usp=sharing", [f"{DRIVE}?id=1a-_B&export=download&confirm=t"]),
        ("https://drive.google.com/uc?export=download&id=1a", [f"{DRIVE}?id=1a&export=download&confirm=t"]),
        ("https://drive.google.com/open?id=1a", [f"{DRIVE}?id=1a&export=download&confirm=t"]),
        ("https://www.dropbox.com/s/a/b.zip", ["https://www.dropbox.com/s/a/b.zip?dl=1"]),
        ("https://www.dropbox.com/scl/fi/a/b.zip?rlkey=x&dl=0", ["https://www.dropbox.com/scl/fi/a/b.zip?rlkey=x&dl=1"]),
        ("https://www.dropbox.com/scl/fi/a/b.zip?rlkey=x", ["https://www.dropbox.com/scl/fi/a/b.zip?rlkey=x&dl=1"]),
        ("https://www.dropbox.com/s/a/b.zip?raw=1", ["https://www.dropbox.com/s/a/b.zip?raw=1"]),
        ("https://figshare.com.evil.org/ndownloader/files/7", ["https://figshare.com.evil.org/ndownloader/files/7"]),
        ("https://a.org/?u=https://drive.google.com/open?id=1a", ["https://a.org/?u=https://drive.google.com/open?id=1a"]),
    ],
)  # fmt: skip
def test_an_address_for_browsers_stands_for_those_for_programs(url: str, forms: list[str]) -> None:
    """Of a host that only looks alike nothing is changed; a form is answered for Google Drive alone."""
    request = make_request(File(name="a.zip", role="images", urls=(url,)), ())
    assert list(request.urls) == forms
    assert request.confirms == forms[0].startswith(DRIVE)


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("gdrive:1a-_B", f"{DRIVE}?id=1a-_B&export=download&confirm=t"),
        ("dropbox:s/a/b.zip", "https://www.dropbox.com/s/a/b.zip?dl=1"),
        ("dropbox:scl/fi/a/b.zip?rlkey=x", "https://www.dropbox.com/scl/fi/a/b.zip?rlkey=x&dl=1"),
        ("dataverse:heidata.uni-heidelberg.de/7", "https://heidata.uni-heidelberg.de/api/access/datafile/7"),
    ],
)
def test_a_share_link_is_a_source(source: str, url: str) -> None:
    file = sourced(source, urls=("https://other.org/a",))
    request = resolve(entry(file), file, ResolveContext(catalogs=()))
    assert isinstance(request, Request)
    assert request.urls == (url, "https://other.org/a")


@pytest.mark.parametrize(
    "source",
    ["gdrive:a/b", "gdrive:https://drive.google.com/1a", "dropbox:home/a", "osf:abc/a", "osf:ab1cd",
     "github:o/r@main/a", "kaggle:o/s@v2/a", "figshare:7/versions/x", "dataverse:localhost/7"],
)  # fmt: skip
def test_what_is_no_identity_shows_the_form_that_it_must_have(source: str) -> None:
    file = sourced(source)
    with pytest.raises(BadCatalog, match="is not in the form"):
        resolve(entry(file), file, ResolveContext(catalogs=()))


@pytest.mark.parametrize(
    ("confirms", "first", "found", "questions"),
    [
        (True, FORM.format(DRIVE, "get"), None, 2),
        (True, FORM.format("/download", "GET"), None, 2),
        (False, FORM.format(DRIVE, "get"), FormWanted, 1),  # another host's form may accept terms
        (True, FORM.format(DRIVE, "post"), FormWanted, 1),
        (True, FORM.format("https://evil.org/x", "get").replace("download-form", "terms"), FormWanted, 1),
        (True, FORM.format("http://a.org/x", "get"), DermdataError, 1),  # not over plain http
        (True, QUOTA, QuotaUsedUp, 1),
    ],
    ids=["form", "relative", "not asked to", "post", "another form", "plain http", "quota"],
)
def test_only_the_form_of_unscanned_files_is_confirmed(
    tmp_path: Path, confirms: bool, first: str, found: type[DermdataError] | None, questions: int
) -> None:
    """With all its fields and no others; what is no file is stored nowhere."""
    asked_back = f"{DRIVE}?id=1a&uuid=u%261"
    answers = {f"{DRIVE}?id=1a": page(first), asked_back: (200, ZIP, {})}
    request = Request(urls=(f"{DRIVE}?id=1a",), archive="zip", confirms=confirms)
    result, asked = download(request, tmp_path / "a.zip", answers)
    assert len(asked) == questions
    if found is None:
        assert (asked[-1], (tmp_path / "a.zip").read_bytes()) == (asked_back, ZIP)
        assert "uuid" not in result.url
    else:
        assert isinstance(result, found)
        assert not (tmp_path / "a.zip").exists()


def test_one_form_of_figshare_stands_in_for_the_other(tmp_path: Path) -> None:
    request = make_request(
        File(name="a.zip", role="images", urls=("https://figshare.com/ndownloader/files/7",)), ()
    )
    challenge = (202, b"", {"x-amzn-waf-action": "challenge"})
    good = (200, ZIP, {})
    first, second = request.urls
    result, asked = download(request, tmp_path / "a.zip", {first: challenge, second: good})
    assert (result.size, asked) == (len(ZIP), [first, second])
    result, _ = download(request, tmp_path / "b.zip", {first: challenge, second: challenge})
    assert isinstance(result, BrowserCheck)
    assert "ndownloader.figshare.com" in result.message


HUB_LIST = "https://huggingface.co/api/datasets/o/n/tree/main"


@pytest.mark.parametrize(
    ("link", "found"),
    [
        (f'<{HUB_LIST}?cursor=a%2Fb>; rel="next"', f"{HUB_LIST}?cursor=a%2Fb"),
        (
            f'<{HUB_LIST}?cursor=0>; rel="prev", </api/x?cursor=2>; rel=next',
            "https://huggingface.co/api/x?cursor=2",
        ),
        (f'<{HUB_LIST}?cursor=0>; rel="prev"', None),
        ("", None),
        ('<https://evil.org/x>; rel="next"', BadRedirect),
        ('<http://huggingface.co/api/x>; rel="next"', BadRedirect),
        ('<http://169.254.169.254/x>; rel="next"', BadRedirect),
    ],
)
def test_the_next_page_of_a_list_is_at_the_same_host(link: str, found: Any) -> None:
    """It is asked for with the person's token."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[1], headers={"Link": link} if link else {})

    with HttpClient(NetworkSettings(trust_env=False), httpx.MockTransport(answer)) as client:
        if found is BadRedirect:
            with pytest.raises(BadRedirect):
                client.get_json_page(HUB_LIST)
        else:
            assert client.get_json_page(HUB_LIST) == ([1], found)


# ------------------------------------------------------------------ GitHub

COMMIT = "c" * 40
TREES = "https://api.github.com/repos/o/r/git/trees"
MEDIA = f"https://media.githubusercontent.com/media/o/r/{COMMIT}"
RAW = f"https://raw.githubusercontent.com/o/r/{COMMIT}"


def blob(path: str, data: bytes, **more: Any) -> dict[str, Any]:
    sha = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return {"path": path, "mode": "100644", "type": "blob", "size": len(data), "sha": sha, **more}


def tree(*rows: dict[str, Any], truncated: bool = False) -> dict[str, Any]:
    return {"sha": "d" * 40, "tree": list(rows), "truncated": truncated}


def folder(path: str, sha: str) -> dict[str, Any]:
    return {"path": path, "mode": "040000", "type": "tree", "sha": sha}


def pointer_of(data: bytes) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()


def test_the_digest_of_git_is_that_of_the_bytes_with_their_size() -> None:
    """`git hash-object` of "hello\\n" is ce013625030ba8dba906f756967f9e9ca394464a."""
    wanted = "git-blob-6:ce013625030ba8dba906f756967f9e9ca394464a"
    hasher = Hasher(wanted)
    hasher.update(b"hel")
    hasher.update(b"lo\n")
    assert hasher.matches(wanted)
    assert not Hasher(wanted).matches(wanted)
    with pytest.raises(ChecksumMismatch, match="git-blob-6 is"):
        Hasher(wanted).require(wanted, "a.txt")


def test_a_tree_that_is_cut_is_asked_for_folder_by_folder() -> None:
    """Only those that lead to what is wanted; a link and another repository are listed, and not fetched."""
    rows = (folder("a", "1" * 40), folder("im", "2" * 40), folder("images", "3" * 40), blob("top.csv", b"x"))
    answers = {
        f"{TREES}/{COMMIT}?recursive=1": tree(truncated=True),
        f"{TREES}/{COMMIT}": tree(*rows),
        f"{TREES}/{'3' * 40}?recursive=1": tree(
            blob("raw/1.png", b"1"), blob("2.png", b"a", mode="120000"),
            {"path": "sub", "mode": "160000", "type": "commit", "sha": "e" * 40},
        ),
    }  # fmt: skip
    here, asked = answering(answers)
    files = list_files(f"github:o/r@{COMMIT}/images", here)
    assert [(file.name, file.fetch) for file in files] == [
        ("images/2.png", False), ("images/raw/1.png", True), ("images/sub", False),
    ]  # fmt: skip
    assert len(asked) == 3
    assert files[1].checksum == f"git-blob-1:{blob('', b'1')['sha']}"


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "alone"])
def test_a_pointer_of_lfs_leads_to_the_file_itself(listed: bool) -> None:
    """By its SHA-256; a small file that is none keeps its own digest, and a large one is not looked into."""
    pointer, small = pointer_of(b"picture"), b"\0" * 130
    rows = (blob("a b.png", pointer), blob("small.png", small), blob("large.png", bytes(900)))
    answers: dict[str, Any] = {f"{TREES}/{COMMIT}?recursive=1": tree(*rows), f"{RAW}/a%20b.png": pointer,
                               f"{RAW}/small.png": small}  # fmt: skip
    sizes = {"a%20b.png": 127 + 1, "small.png": 130, "large.png": 900}
    here, asked = answering(
        answers, head=lambda wanted: RemoteFile(size=sizes[wanted.urls[0].rpartition("/")[2]])
    )
    place = f"github:o/r@{COMMIT}"
    files = list_files(place, here) if listed else [sourced(f"{place}/{row['path']}") for row in rows]
    found = {}
    for file in files:
        request = resolve(entry(file), file, here)
        assert isinstance(request, Request)
        found[request.urls[0]] = (request.size, request.checksum)
    assert found[f"{MEDIA}/a%20b.png"] == (7, f"sha256:{hashlib.sha256(b'picture').hexdigest()}")
    digests = {row["path"]: f"git-blob-{row['size']}:{row['sha']}" if listed else None for row in rows}
    assert found[f"{RAW}/small.png"] == (130, digests["small.png"])
    assert found[f"{RAW}/large.png"] == (900, digests["large.png"])
    assert f"{RAW}/large.png" not in asked


# ------------------------------------------------------------------ OSF, Dataverse, figshare


def at_osf(name: str, number: str, size: int | None = None, **hashes: str) -> dict[str, Any]:
    kind = "folder" if size is None else "file"
    return {
        "id": number,
        "attributes": {"name": name, "kind": kind, "size": size, "extra": {"hashes": hashes}},
    }


def osf_page(number: str, count: int, *rows: dict[str, Any], more: bool = False) -> dict[str, Any]:
    place = f"https://api.osf.io/v2/nodes/ab1cd/files/osfstorage/{number}"
    links = {"next": "https://elsewhere.org/not-followed" if more else None}
    return {f"{place}?page%5Bsize%5D=100&page={count}": {"data": list(rows), "links": links}}


def test_osf_is_asked_for_the_folders_of_a_path_and_no_others() -> None:
    """Page by page; the address of the next one is not followed, only that there is one."""
    answers = osf_page("", 1, at_osf("images", "f1"), at_osf("other", "f2"), more=True)
    answers |= osf_page("", 2, at_osf("t.csv", "t1", 5, md5="a" * 32))
    answers |= osf_page("f1/", 1, at_osf("1.png", "p1", 7, md5="a" * 32, sha256="b" * 64))
    here, asked = answering(answers)
    file = sourced("osf:ab1cd/images/1.png")
    request = resolve(entry(file), file, here)
    assert isinstance(request, Request)
    assert request.urls == ("https://files.osf.io/v1/resources/ab1cd/providers/osfstorage/p1",)
    assert (request.size, request.checksum) == (7, "sha256:" + "b" * 64)
    assert len(asked) == 3
    table = sourced("osf:ab1cd/t.csv")
    assert resolve(entry(table), table, here).checksum == "md5:" + "a" * 32  # type: ignore[union-attr]
    assert len(asked) == 3
    for source, near in (("osf:ab1cd/image/1.png", "images"), ("osf:ab1cd/images/2.png", "1.png")):
        lost = sourced(source)
        with pytest.raises(UnknownName) as caught:
            resolve(entry(lost), lost, here)
        assert near in [*caught.value.near, str(caught.value.hint)] or near in str(caught.value.hint)


@pytest.mark.parametrize(
    ("stated", "checksum"),
    [
        ({"md5": "a" * 32}, "md5:" + "a" * 32),
        ({"checksum": {"type": "SHA-256", "value": "b" * 64}}, "sha256:" + "b" * 64),
        ({"checksum": {"type": "SHA-512", "value": "c" * 128}}, "sha512:" + "c" * 128),
        ({"checksum": {"type": "SHA-1", "value": "d" * 40}}, "sha1:" + "d" * 40),
        ({"checksum": {"type": "WHIRLPOOL", "value": "e"}}, None),
        ({}, None),
    ],
)
def test_any_dataverse_states_its_own_digest(stated: dict[str, Any], checksum: str | None) -> None:
    """A folder is part of the name, whatever the server, and the DOI has its own shoulder."""
    row = {"label": "1.png", "directoryLabel": "a/b", "dataFile": {"id": 5, "filesize": 9} | stated}
    url = "https://borealisdata.ca/api/datasets/:persistentId/?persistentId=doi:10.5683/SP2/ABCDEF"
    here, _ = answering({url: {"data": {"latestVersion": {"files": [row]}}}})
    (file,) = list_files("dataverse:borealisdata.ca/doi:10.5683/SP2/ABCDEF", here)
    assert (file.name, file.checksum) == ("a/b/1.png", checksum)
    assert file.urls == ("https://borealisdata.ca/api/access/datafile/5",)


def test_a_version_of_figshare_is_asked_for_as_such_and_a_link_is_left_as_it_is() -> None:
    base = "https://api.figshare.com/v2/articles/7/versions/2/files?page=1&page_size=500"
    rows = [
        {"id": 11, "name": "a.zip", "size": 1, "download_url": "https://figshare.com/ndownloader/files/11"},
        {"id": 12, "name": "b.zip", "size": 1, "is_link_only": True, "download_url": "https://lab.org/b.zip"},
    ]
    files = list_files("figshare:7/versions/2", answering({base: rows})[0])
    assert [file.urls for file in files] == [
        ("https://ndownloader.figshare.com/files/11",), ("https://lab.org/b.zip",),
    ]  # fmt: skip


# ------------------------------------------------------------------ what an entry wants of a list

HEAD: dict[str, Any] = {
    "name": "demo",
    "title": "D",
    "kind": "dataset",
    "summary": "x",
    "access": {"kind": "open"},
}
NAMES = ("images/1.png", "images/2.PNG", "masks/1.png", "part.zip", "t.csv", "README.md")


def wanted(listed: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Role and kind of archive of the files that an entry with these filters takes."""
    dataset = parse_entry(HEAD | {"listing": "osf:ab1cd", "listed": listed}, "a.toml")
    files = tuple(File(name=name, role="other") for name in NAMES)
    return {file.name: (file.role, file.unpack) for file in add_listed_files(dataset, lambda _: files).files}


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ({"include": ["images/*"]}, {"images/1.png": ("other", None), "images/2.PNG": ("other", None)}),
        ({"include": ["*.png"], "exclude": ["masks/*"]}, {"images/1.png": ("other", None)}),
        ({"include": "*1.png", "roles": {"masks/*": "masks", "*": "images"}},
         {"images/1.png": ("images", None), "masks/1.png": ("masks", None)}),
        ({"include": ["part*"], "unpack": {"*.zip": "zip"}}, {"part.zip": ("images", "zip")}),
        ({"include": ["part*"], "unpack": {"*.zip": "zip"}, "roles": {"part.zip": "masks"}},
         {"part.zip": ("masks", "zip")}),
    ],
)  # fmt: skip
def test_globs_choose_and_describe_what_a_host_lists(
    listed: dict[str, Any], found: dict[str, tuple[str, str | None]]
) -> None:
    assert wanted(listed) == found


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"listed": {"includes": ["*"]}}, "listed.includes: unknown key, did you mean include?"),
        (
            {"listed": {"roles": {"*": "image"}}},
            "listed.roles.*: 'image' is not allowed, did you mean images?",
        ),
        ({"listed": {"unpack": {"*": "tgz"}}}, "listed.unpack.*: 'tgz' is not allowed"),
        ({"listed": ["*.png"]}, "listed: must be a table"),
        ({"listed": {"include": ["*"]}, "listing": None}, "listed: is of the files that a host lists"),
        ({"listed": {"include": ["*"]}, "listing": "rows"}, "listed: is of the files that a host lists"),
    ],
)
def test_a_slip_in_the_filters_is_named(changes: dict[str, Any], says: str) -> None:
    data = {
        key: value for key, value in (HEAD | {"listing": "osf:ab1cd"} | changes).items() if value is not None
    }
    with pytest.raises(BadCatalog) as caught:
        parse_entry(data, "a.toml")
    assert says in caught.value.message


def test_an_overlay_may_filter_and_the_card_says_so(cli: Callable[..., Any], tmp_path: Path) -> None:
    """The bundled entry's place stays, what is made of its list is the overlay's."""
    overlay = 'extends = "scin"\n[listed]\ninclude = ["*/1*.png"]\nexclude = ["*/12*"]\n'
    put(tmp_path, "scin", overlay)
    answer = cli("--catalog", tmp_path, "info", "scin")
    assert answer.code == 0, answer.err
    card = " ".join(answer.out.split())
    assert "those that gcs:dx-scin-public-data/dataset/images/ lists, only */1*.png, without */12*" in card


def test_filters_that_leave_nothing_say_what_there_is() -> None:
    with pytest.raises(BadCatalog, match=r"leaves none of 6 files of osf:ab1cd") as caught:
        wanted({"include": ["*.jpg"]})
    assert "images/1.png" in str(caught.value.hint)


# ------------------------------------------------------------------ one zip in place of many files


def test_many_files_of_a_host_that_stops_such_questions_come_as_one_zip() -> None:
    """Few come one by one, and so do many of another host."""
    here, asked = answering(osf_page("", 1, at_osf("images", "f1")))
    files = tuple(File(name=f"{number}.png", role="images", size=1) for number in range(51))
    (whole,) = bundle_files("osf:ab1cd/images", files, here)
    assert isinstance(whole, ListedArchive)
    assert (whole.name, whole.role, whole.unpack, len(whole.contains)) == (
        "ab1cd-images.zip",
        "images",
        "zip",
        51,
    )
    assert whole.urls == ("https://files.osf.io/v1/resources/ab1cd/providers/osfstorage/f1/?zip=",)
    (pinned,) = bundle_files("kaggle:o/s@3", files, here)
    assert (pinned.name, pinned.source) == ("s.zip", "kaggle:o/s@3")
    assert bundle_files("osf:ab1cd/images", files[:50], here) == files[:50]
    assert bundle_files("zenodo:7", files, here) == files
    assert len(asked) == 1


def extracted(name: str, data: bytes) -> ExtractedFile:
    digest = hashlib.sha256(data).hexdigest()
    return ExtractedFile(name=name, path=name, size=len(data), sha256=digest, member=None, image=None)


@pytest.mark.parametrize(
    ("found", "error", "says"),
    [
        ([extracted("a/1.png", b"1"), extracted("in/x.png", b"")], None, ""),
        ([extracted("a/1.png", b"1"), extracted("in.zip", b"")], None, ""),
        ([extracted("in/x.png", b"")], NotTheFile, "all.zip lacks a/1.png, which its host lists"),
        ([extracted("a/1.png", b"12")], SizeMismatch, "a/1.png: 2 bytes, expected 1"),
        ([extracted("a/1.png", b"2")], ChecksumMismatch, "a/1.png: sha256 is"),
    ],
)
def test_a_zip_in_place_of_listed_files_is_held_to_the_list(
    found: list[ExtractedFile], error: type[DermdataError] | None, says: str
) -> None:
    digest = f"sha256:{hashlib.sha256(b'1').hexdigest()}"
    listed = {
        "a/1.png": File(name="a/1.png", role="masks", size=1, checksum=digest),
        "in.zip": File(name="in.zip", role="images", unpack="zip"),
    }
    whole = ListedArchive(name="all.zip", role="images", unpack="zip", contains=listed)
    check: Callable[[], None] = lambda: require_listed(whole, found)  # noqa: E731
    if error is None:
        check()
    else:
        with pytest.raises(error, match=says):
            check()
    index = index_listed(whole)
    roles = {
        name: (one := find_listed(name, index)) and one.role
        for name in ("a/1.png", "in/x.png", "in.zip", "b")
    }
    assert roles == {"a/1.png": "masks", "in/x.png": "images", "in.zip": "images", "b": None}


def test_a_zip_that_lacks_a_listed_file_is_not_kept(
    cli: Callable[..., Any], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 4 names the file; the next fetch does not take the same zip again."""
    monkeypatch.setattr(request_limits, "LIMITS", ())
    picture = io.BytesIO()
    Image.new("RGB", (4, 3)).save(picture, "PNG")
    data, names = picture.getvalue(), [f"p{number:02}.png" for number in range(51)]
    rows = [at_osf(name, f"id{name}", len(data)) for name in names]
    ((url, answer),) = osf_page("", 1, *rows).items()
    site.put(url, json.dumps(answer).encode())
    table = '[[table]]\nreader = "folders"\npattern = "{image}"\n[table.columns]\nimage_id = "image"\n'
    put(tmp_path / "own", "ours", catalog_entry("ours", 'listing = "osf:ab1cd"') + table)

    def fetch_zip(inside: list[str]) -> Any:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name in inside:
                archive.writestr(name, data)
        site.put("https://files.osf.io/v1/resources/ab1cd/providers/osfstorage/?zip=", packed.getvalue())
        return cli("--catalog", tmp_path / "own", "--rewrite", site.rewrite, "fetch", "ours")

    done = fetch_zip(names[:-1])
    assert (done.code, "ab1cd.zip lacks p50.png, which its host lists" in done.err) == (4, True), done.err
    done = fetch_zip([*names, "not-listed.png"])
    assert (done.code, "51 rows" in done.err) == (0, True), done.err
    assert not list((tmp_path / "cache").rglob("not-listed*"))
