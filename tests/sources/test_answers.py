"""What hosts may answer, good and bad, without a network."""

from typing import Any

import pytest

from dermdata.errors import ManualDownload, NotTheFile, Offline, ServerRefused
from dermdata.hosts import ResolveContext, list_files, resolve
from dermdata.hosts.base import AnswerCache
from dermdata.http.client import RemoteFile
from dermdata.model import Request

from .conftest import answering, entry, sourced

MD5 = "md5:" + "a" * 32
SHA = "sha256:" + "b" * 64
ZENODO = "https://zenodo.org/api/records/7"
FIGSHARE = "https://api.figshare.com/v2/articles/7/files?page=1&page_size=500"
MENDELEY = "https://data.mendeley.com/public-api/datasets/abc"
DATAVERSE = "https://dataverse.harvard.edu/api/datasets/:persistentId/?persistentId=doi:10.7910/DVN/ABC"
GCS = "https://storage.googleapis.com/storage/v1/b/bucket"
HUB = "https://huggingface.co/api"


def asked_for(source: str, answers: dict[str, Any], **more: Any) -> Request:
    file = sourced(source, **more)
    request = resolve(entry(file), file, answering(answers)[0])
    assert isinstance(request, Request)
    return request


# ------------------------------------------------------------------ the catalog's word wins


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("dataverse:3172585", "https://dataverse.harvard.edu/api/access/datafile/3172585"),
        ("zenodo:7/a b.zip", "https://zenodo.org/records/7/files/a%20b.zip?download=1"),
        ("gcs:bucket/a/b c.png", "https://storage.googleapis.com/bucket/a/b%20c.png"),
        ("s3:bucket/a/b.zip", "https://bucket.s3.amazonaws.com/a/b.zip"),
        ("s3:bucket.org/a.zip", "https://s3.amazonaws.com/bucket.org/a.zip"),
        ("huggingface:owner/model@v1/w.bin", "https://huggingface.co/owner/model/resolve/v1/w.bin"),
    ],
)
def test_nobody_is_asked_when_the_catalog_says_it_all(source: str, url: str) -> None:
    """Size and checksum are there, and the host has stable addresses: not even offline is this a question."""
    file = sourced(source, size=5, checksum=SHA, urls=("https://other.org/a",))
    request = resolve(entry(file), file, ResolveContext(catalogs=()))
    assert request == Request(urls=(url, "https://other.org/a"), size=5, checksum=SHA)


@pytest.mark.parametrize(
    "source", ["figshare:7/a.zip", "mendeley:abc/1/a.zip", "dataverse:doi:10.7910/DVN/ABC/a.zip"]
)
def test_hosts_without_stable_addresses_are_not_asked_when_the_catalog_has_one(source: str) -> None:
    file = sourced(source, size=5, checksum=SHA, urls=("https://stable.org/a",))
    assert resolve(entry(file), file, ResolveContext(catalogs=())) == Request(
        urls=("https://stable.org/a",), size=5, checksum=SHA
    )


def test_the_catalogs_checksum_and_size_win() -> None:
    row = {"key": "a.csv", "size": 9, "checksum": MD5}
    request = asked_for("zenodo:7/a.csv", {ZENODO: {"files": [row]}}, checksum=SHA)
    assert (request.checksum, request.size) == (SHA, 9)
    request = asked_for("zenodo:7/a.csv", {ZENODO: {"files": [row]}}, size=0)
    assert (request.checksum, request.size) == (MD5, 0)


def test_a_question_that_may_not_be_asked_is_offline() -> None:
    file = sourced("zenodo:7/a.csv")
    with pytest.raises(Offline, match=r"zenodo\.org must be asked"):
        resolve(entry(file), file, ResolveContext(catalogs=()))


# ------------------------------------------------------------------ answers of the hosts


def test_a_table_of_dataverse_is_asked_for_in_its_original_form() -> None:
    """Its size there is the original's; the one of the re-export would be wrong."""
    data = {"id": 5, "filesize": 999, "md5": "a" * 32, "originalFileFormat": "text/csv"}
    data |= {"originalFileSize": 7, "originalFileName": "t.csv"}
    row = {"label": "t.tab", "directoryLabel": "tables", "dataFile": data}
    request = asked_for(
        "dataverse:doi:10.7910/DVN/ABC/tables/t.csv",
        {DATAVERSE: {"data": {"latestVersion": {"files": [row]}}}},
    )
    assert request.urls == ("https://dataverse.harvard.edu/api/access/datafile/5?format=original",)
    assert (request.size, request.checksum) == (7, MD5)


def test_a_restricted_file_is_for_the_person_to_ask_for() -> None:
    row = {"label": "a.zip", "restricted": True, "dataFile": {"id": 5, "filesize": 9, "md5": "a" * 32}}
    answer = {DATAVERSE: {"data": {"latestVersion": {"files": [row]}}}}
    with pytest.raises(ManualDownload, match="is restricted") as caught:
        asked_for("dataverse:doi:10.7910/DVN/ABC/a.zip", answer)
    assert caught.value.hint == "ask for access at https://doi.org/10.7910/DVN/ABC, then use --from"
    (file,) = list_files("dataverse:doi:10.7910/DVN/ABC", answering(answer)[0])
    assert not file.fetch


def test_figshares_own_digest_goes_before_the_authors() -> None:
    row = {"name": "a.zip", "size": 9, "download_url": "https://n.org/1", "supplied_md5": "c" * 32}
    assert asked_for("figshare:7/a.zip", {FIGSHARE: [row]}).checksum == "md5:" + "c" * 32
    assert asked_for("figshare:7/a.zip", {FIGSHARE: [row | {"computed_md5": "a" * 32}]}).checksum == MD5


def test_figshare_is_asked_for_more_than_one_page() -> None:
    rows = [{"name": f"{number}.png", "size": 1, "download_url": "https://n.org/1"} for number in range(501)]
    second = FIGSHARE.replace("page=1", "page=2")
    here, _ = answering({FIGSHARE: rows[:500], second: rows[500:]})
    assert len(list_files("figshare:7", here)) == 501


def test_a_figshare_that_gives_the_same_page_for_ever_is_left() -> None:
    rows = [{"name": f"{number}.png", "size": 1, "download_url": "https://n.org/1"} for number in range(500)]

    def ask(url: str, **_: Any) -> Any:
        return rows

    with pytest.raises(NotTheFile, match="more than 10,000 files"):
        list_files("figshare:7", ResolveContext(catalogs=(), ask=ask))


def test_mendeleys_folders_are_paths() -> None:
    def row(name: str) -> dict[str, Any]:
        details = {"size": 3, "sha256_hash": "b" * 64, "download_url": "https://d.org/1"}
        return {"filename": name, "content_details": details}

    folders = [{"id": "f1", "name": "images"}, {"id": "f2", "name": "raw", "parent_id": "f1"}]
    answers = {f"{MENDELEY}/folders/2": folders}
    for folder, name in (("root", "a.csv"), ("f1", "b.png"), ("f2", "c.png")):
        answers[f"{MENDELEY}/files?folder_id={folder}&version=2"] = [row(name)]
    files = list_files("mendeley:abc/2", answering(answers)[0])
    assert [file.name for file in files] == ["a.csv", "images/b.png", "images/raw/c.png"]
    assert asked_for("mendeley:abc/2/images/raw/c.png", answers).checksum == SHA
    folders[0]["parent_id"] = "f2"
    with pytest.raises(NotTheFile, match="does not lead to the top"):
        list_files("mendeley:abc/2", answering(answers)[0])


def at_hub(path: str, size: int = 4, **more: Any) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": size, "oid": "d" * 40, **more}


def test_hugging_faces_files_have_a_checksum_and_a_commit() -> None:
    """Small files that of git; sizes, checksums and bytes are of one commit."""
    stored = at_hub("w.bin", 9_000, lfs={"oid": "b" * 64, "size": 9_000, "pointerSize": 134})
    rows = [{"type": "directory", "path": "sub", "oid": "e" * 40, "size": 0}, stored, at_hub("c.json")]
    answers = {
        f"{HUB}/models/owner/m/revision/main": {"sha": "c" * 40, "gated": False},
        f"{HUB}/models/owner/m/tree/{'c' * 40}": rows,
    }
    request = asked_for("huggingface:owner/m@main/w.bin", answers)
    assert request.urls == (f"https://huggingface.co/owner/m/resolve/{'c' * 40}/w.bin",)
    assert (request.size, request.checksum) == (9_000, SHA)
    request = asked_for("huggingface:owner/m@main/c.json", answers)
    assert (request.size, request.checksum) == (4, "git-blob-4:" + "d" * 40)


def test_the_pages_of_hugging_face_follow_each_other() -> None:
    """Only a folder is asked for where only that is wanted; a page that comes again ends it."""
    tree = f"{HUB}/datasets/o/n/tree/{'c' * 40}/images"
    answers: dict[str, Any] = {
        f"{HUB}/datasets/o/n/revision/v1": {"sha": "c" * 40},
        f"{tree}?recursive=true": ([at_hub("images/b/1.png")], f"{tree}?cursor=x"),
        f"{tree}?cursor=x": ([at_hub("images/a.png")], None),
    }
    here, asked = answering(answers)
    files = list_files("huggingface:datasets/o/n@v1/images", here)
    assert [file.name for file in files] == ["images/a.png", "images/b/1.png"]
    assert len(asked) == 3
    answers[f"{tree}?cursor=x"] = ([], f"{tree}?cursor=x")
    with pytest.raises(NotTheFile, match="circle"):
        list_files("huggingface:datasets/o/n@v1/images", answering(answers)[0])


def test_an_object_of_google_that_was_composed_has_no_md5() -> None:
    request = asked_for("gcs:bucket/a/b.png", {f"{GCS}/o/a%2Fb.png": {"name": "a/b.png", "size": "12"}})
    assert (request.size, request.checksum) == (12, None)


def test_the_pages_of_google_follow_each_other() -> None:
    """A folder's own object is no file; a page may be without any."""
    first = f"{GCS}/o?prefix=a%2F&maxResults=1000"
    answers = {
        first: {"items": [{"name": "a/"}, {"name": "a/2.png", "size": "1"}], "nextPageToken": "x"},
        f"{first}&pageToken=x": {"nextPageToken": "y"},
        f"{first}&pageToken=y": {"items": [{"name": "a/1.png", "size": "1"}]},
    }
    assert [file.name for file in list_files("gcs:bucket/a/", answering(answers)[0])] == [
        "a/1.png",
        "a/2.png",
    ]
    answers[f"{first}&pageToken=y"]["nextPageToken"] = "x"
    with pytest.raises(NotTheFile, match="circle"):
        list_files("gcs:bucket/a/", answering(answers)[0])


def test_the_pages_of_kaggle_follow_each_other() -> None:
    first = "https://www.kaggle.com/api/v1/datasets/list/o/s?pageSize=200&pageToken="
    answers = {
        first: {"datasetFiles": [{"name": "b.png", "totalBytes": 2}], "nextPageToken": "a+b"},
        f"{first}a%2Bb": {"datasetFiles": [{"name": "a/a.png", "totalBytes": 1}], "nextPageToken": ""},
    }
    here, _ = answering(answers, head=lambda _: RemoteFile())
    files = list_files("kaggle:o/s", here)
    assert [(file.source, file.size) for file in files] == [
        ("kaggle:o/s/a/a.png", 1),
        ("kaggle:o/s/b.png", 2),
    ]
    request = resolve(entry(files[0]), files[0], here)
    assert isinstance(request, Request)
    assert request.urls == ("https://www.kaggle.com/api/v1/datasets/download/o/s/a/a.png",)


ROW = {"key": "a.csv", "size": 9, "checksum": MD5}


@pytest.mark.parametrize(
    ("source", "answers"),
    [
        ("zenodo:7/a.csv", {ZENODO: []}),
        ("zenodo:7/a.csv", {ZENODO: {}}),
        ("zenodo:7/a.csv", {ZENODO: {"files": {"a.csv": {}}}}),
        ("zenodo:7/a.csv", {ZENODO: {"files": [None]}}),
        ("zenodo:7/a.csv", {ZENODO: {"files": [ROW | {"key": 5}]}}),
        ("zenodo:7/a.csv", {ZENODO: {"files": [ROW | {"size": -1}]}}),
        ("zenodo:7/a.csv", {ZENODO: {"files": [ROW | {"size": True}]}}),
        ("zenodo:7/a.csv", {ZENODO: {"files": [ROW | {"checksum": "md5:nothing"}]}}),
        ("zenodo:7/a.csv", {ZENODO: {"files": [ROW, ROW]}}),
        ("figshare:7/a", {FIGSHARE: {"files": []}}),
        ("figshare:7/a", {FIGSHARE: [{"name": "a", "size": 1, "download_url": "file:///etc/passwd"}]}),
        ("gcs:bucket/a", {f"{GCS}/o/a": {"name": "a", "size": "1", "md5Hash": "%%"}}),
        ("gcs:bucket/a", {f"{GCS}/o/a": {"name": "a", "size": "1", "md5Hash": "YWJj"}}),
        ("huggingface:o/m@main/a", {f"{HUB}/models/o/m/revision/main": {"siblings": []}}),
        ("dataverse:doi:10.7910/DVN/ABC/a", {DATAVERSE: {"status": "ERROR"}}),
    ],
)
def test_an_answer_of_another_shape_is_told_as_such(source: str, answers: dict[str, Any]) -> None:
    """Nothing of it is used, and the message says which field is not what it must be."""
    with pytest.raises(NotTheFile, match="not as expected"):
        asked_for(source, answers)


OPEN_RECORD = {"metadata": {"access_right": "open"}, "files": []}
ARTICLE = "https://api.figshare.com/v2/articles/7"


@pytest.mark.parametrize(
    ("source", "answers", "says", "hint"),
    [
        ("zenodo:7/a.csv", {ZENODO: {"metadata": {"access_right": "restricted"}, "files": []}},
         "record 7 is restricted", "ask for access at https://zenodo.org/records/7"),
        ("zenodo:7/a.csv", {ZENODO: {"metadata": {"access_right": "closed"}}}, "record 7 is closed", "records/7"),
        ("zenodo:7/a.csv",
         {ZENODO: {"metadata": {"access_right": "embargoed", "embargo_date": "2027-01-01"}, "files": []}},
         "record 7 is embargoed: its files are not public before 2027-01-01", "records/7"),
        ("zenodo:7/a.csv", {ZENODO: {"access": {"record": "public", "status": "metadata-only"}}},
         "record 7 is metadata-only", "records/7"),
        ("zenodo:7/a.csv", {ZENODO: OPEN_RECORD}, "record 7 shows no files", "its page says so"),
        ("figshare:7/a.csv", {FIGSHARE: [], ARTICLE: {"is_embargoed": True, "embargo_date": "2027-01-01T00:00:00"}},
         "article 7 is under embargo: its files are not public before 2027-01-01", "/7, then use --from"),
        ("figshare:7/a.csv", {FIGSHARE: [], ARTICLE: {"is_embargoed": False}}, "shows no files", "--from"),
        ("mendeley:abc/1/a.csv",
         {f"{MENDELEY}/files?folder_id=root&version=1": [], f"{MENDELEY}/folders/1": []}, "shows no files", "--from"),
    ],
)  # fmt: skip
def test_a_record_that_shows_no_files_is_no_typing_error(
    source: str, answers: dict[str, Any], says: str, hint: str
) -> None:
    """Restricted, closed, under embargo or withdrawn: exit 6 with the page to ask at; a listing of it likewise."""
    with pytest.raises(ManualDownload, match=says) as caught:
        asked_for(source, answers)
    assert hint in str(caught.value.hint)
    with pytest.raises(ManualDownload, match=f"{says}|shows no files"):
        list_files(source.rpartition("/")[0], answering(answers)[0])


def test_a_restricted_record_that_shows_its_files_is_asked_for_them() -> None:
    """What is listed may be had: the words of access decide only where nothing is listed."""
    answer = {"metadata": {"access_right": "restricted"}, "files": [ROW]}
    assert asked_for(f"zenodo:7/{ROW['key']}", {ZENODO: answer}).urls


def test_a_record_without_a_list_of_files_that_is_open_is_told_as_such() -> None:
    with pytest.raises(NotTheFile, match="not as expected"):
        asked_for("zenodo:7/a.csv", {ZENODO: {"metadata": {"access_right": "open"}}})


def test_a_busy_host_stays_a_busy_host() -> None:
    """Only 404 and 410 mean that a record is not there."""
    with pytest.raises(ServerRefused, match="answers 503"):
        asked_for("zenodo:7/a.csv", {ZENODO: 503})
    with pytest.raises(ServerRefused, match=r"zenodo.org has no record 7 \(410\)"):
        asked_for("zenodo:7/a.csv", {ZENODO: 410})


# ------------------------------------------------------------------ answers are kept for one run


def test_a_failed_question_is_asked_again() -> None:
    answers, tries = AnswerCache(), list[int]()

    def fails_once() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ServerRefused("busy", status=503)
        return len(tries)

    with pytest.raises(ServerRefused):
        answers.get_or_ask(("a",), fails_once)
    assert [answers.get_or_ask(("a",), fails_once) for _ in range(3)] == [2, 2, 2]
