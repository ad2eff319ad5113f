"""The cache: what is torn, foreign or in the way is told in words, and nothing outside is touched."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.cache import Cache, DatasetFolder, FetchedFile, Receipt, measure_usage, version_slug
from dermdata.cache import folder as cache_folder
from dermdata.cache.receipt import REPORT_KINDS
from dermdata.errors import CacheDamaged, StorageError
from dermdata.model import ArchiveMember, Content, ImageFacts
from dermdata.process import machine_name

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
# a tar's name that is not UTF-8, as tarfile gives it
FOREIGN = st.builds(
    lambda name, byte: name + bytes([byte]).decode(errors="surrogateescape"), NAMES, st.integers(128, 255)
)
WHOLE = st.integers(0, 2**48)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
MEMBERS = st.builds(
    ArchiveMember,
    path=NAMES | FOREIGN,
    offset=WHOLE,
    stored=WHOLE,
    method=st.sampled_from([0, 8]),
    crc32=WHOLE,
)
IMAGES = st.builds(
    ImageFacts,
    format=st.sampled_from(["jpeg", "png"]),
    mode=st.sampled_from([None, "RGB", "L"]),
    width=st.none() | st.integers(1, 99_999),
    height=st.none() | st.integers(1, 99_999),
    problem=st.none() | NAMES,
)
CONTENTS = st.builds(
    Content,
    path=NAMES,
    role=st.sampled_from(["images", "masks", "metadata"]),
    file=NAMES,
    size=WHOLE,
    sha256=HEX,
    member=st.none() | MEMBERS,
    image=st.none() | IMAGES,
)
FETCHED = st.builds(
    FetchedFile,
    name=NAMES,
    role=NAMES,
    size=WHOLE,
    sha256=HEX,
    checksum=st.none() | HEX,
    url=NAMES,
    fetched_at=NAMES,
    path=st.none() | NAMES,
)
RECEIPTS = st.builds(
    Receipt,
    dataset=NAMES,
    version=st.none() | NAMES,
    tool=NAMES,
    catalog_digest=HEX,
    roles=st.lists(NAMES).map(tuple),
    files=st.lists(FETCHED, max_size=3).map(tuple),
    manifest_sha256=st.none() | HEX,
    contents_sha256=st.none() | HEX,
    # a name that the receipt knows has a kind of its own, and hypothesis finds it in our source
    report=st.dictionaries(
        NAMES.filter(lambda name: name not in REPORT_KINDS), WHOLE | NAMES | st.lists(NAMES)
    ),
)
RECEIPT = Receipt(dataset="demo", version="1", tool="0", catalog_digest="d", roles=("images",), files=())
CONTENT = Content(path="images/a.jpg", role="images", file="a.zip", size=3, sha256="0" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> DatasetFolder:
    return Cache(tmp_path).version_folder("demo", "1")


@contextlib.contextmanager
def scratch() -> Iterator[DatasetFolder]:
    """A folder for one of hypothesis's examples."""
    with tempfile.TemporaryDirectory() as root:
        yield Cache(Path(root)).version_folder("demo", "1")


def fill(folder: DatasetFolder, *contents: Content) -> None:
    folder.write_receipt(replace(RECEIPT, contents_sha256=folder.write_contents(contents)))


def tree(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


# ------------------------------------------------------------------ receipt and contents


def test_what_was_never_fetched_is_nothing(folder: DatasetFolder, tmp_path: Path) -> None:
    """No folder, no receipt, no contents, and looking creates nothing."""
    assert folder.receipt() is None
    assert folder.contents() == ()
    folder.remove_dead_temporaries()
    cache = Cache(tmp_path / "absent")
    assert ([*cache.folders()], cache.cached_names(), cache.names()) == ([], set(), [])
    assert cache.find_leftovers(None, time.time(), str) == []
    assert tree(tmp_path) == set()


@settings(max_examples=40, deadline=None)
@given(RECEIPTS)
def test_a_receipt_is_read_as_it_was_written(receipt: Receipt) -> None:
    with scratch() as folder:
        folder.write_receipt(receipt)
        assert folder.receipt() == receipt


@settings(max_examples=60, deadline=None)
@given(st.lists(CONTENTS, max_size=4, unique_by=lambda one: one.path))
def test_contents_are_read_as_they_were_written(contents: list[Content]) -> None:
    """Also names with tabs, quotes, no UTF-8; sorted by path, whatever the order they came in."""
    with scratch() as folder:
        fill(folder, *contents)
        assert folder.contents() == tuple(sorted(contents, key=lambda one: one.path))
        assert folder.write_contents(reversed(contents)) == folder.write_contents(contents)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache_folder, "BLOCK_ROWS", 2)  # however it is cut into blocks
            assert folder.write_contents(contents) == folder.receipt().contents_sha256


WHOLE_RECEIPT = {
    "schema": "dermdata.receipt/1", "dataset": "demo", "version": "1", "tool": "0", "catalog_digest": "d",
    "roles": [], "files": [],
}  # fmt: skip
FILE = {
    "name": "a", "role": "images", "size": 1, "sha256": "0", "checksum": None, "url": "u",
    "fetched_at": "t", "path": None,
}  # fmt: skip
BROKEN = {
    "empty": b"",
    "half": json.dumps(WHOLE_RECEIPT).encode()[:40],
    "garbage": bytes(range(256)),
    "a deep list": b"[" * 200_000,
    "a list": b"[]",
    "no schema": json.dumps({**WHOLE_RECEIPT, "schema": None}).encode(),
    "newer": json.dumps({**WHOLE_RECEIPT, "schema": "dermdata.receipt/2"}).encode(),
    "a part missing": json.dumps(
        {key: WHOLE_RECEIPT[key] for key in WHOLE_RECEIPT if key != "roles"}
    ).encode(),
    "a part too many": json.dumps({**WHOLE_RECEIPT, "color": "red"}).encode(),
    "files are a number": json.dumps({**WHOLE_RECEIPT, "files": 3}).encode(),
    "a file is a text": json.dumps({**WHOLE_RECEIPT, "files": ["a.zip"]}).encode(),
    "a file without name": json.dumps({**WHOLE_RECEIPT, "files": [{"size": 1}]}).encode(),
    "a size is a text": json.dumps({**WHOLE_RECEIPT, "files": [{**FILE, "size": "1"}]}).encode(),
    "a name is a number": json.dumps({**WHOLE_RECEIPT, "files": [{**FILE, "name": 1}]}).encode(),
    "the report is a list": json.dumps({**WHOLE_RECEIPT, "report": []}).encode(),
    "a count is a text": json.dumps({**WHOLE_RECEIPT, "report": {"rows": "12"}}).encode(),
    "a count is a list": json.dumps({**WHOLE_RECEIPT, "report": {"rows_without_image": []}}).encode(),
    "counts of words are a list": json.dumps({**WHOLE_RECEIPT, "report": {"unmapped_labels": []}}).encode(),
    "a path is an object": json.dumps({**WHOLE_RECEIPT, "files": [{**FILE, "path": {}}]}).encode(),
    "a checksum is a list": json.dumps({**WHOLE_RECEIPT, "files": [{**FILE, "checksum": []}]}).encode(),
    "how a file was recognized is no way": json.dumps(
        {**WHOLE_RECEIPT, "files": [{**FILE, "recognized": "luck"}]}
    ).encode(),
    "reasons are numbers": json.dumps({**WHOLE_RECEIPT, "lost": {"a.jpg": 1}}).encode(),
    "directories are a text": json.dumps({**WHOLE_RECEIPT, "directories": "none"}).encode(),
    "a role is null": json.dumps({**WHOLE_RECEIPT, "roles": [None]}).encode(),
    "rows are numbers": json.dumps({**WHOLE_RECEIPT, "part": {"asked": [], "rows": [1], "of": 2}}).encode(),
}


@pytest.mark.fault(66)
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_receipt_is_told_with_the_way_out(what: str, folder: DatasetFolder) -> None:
    """Row 66: in words, with the path and the command that mends it."""
    folder.path.mkdir(parents=True)
    (folder.path / "receipt.json").write_bytes(BROKEN[what])
    with pytest.raises(CacheDamaged, match=r"receipt\.json") as caught:
        folder.receipt()
    assert "dermdata fetch demo --force" in (caught.value.hint or "")


def test_a_receipt_that_cannot_be_read_is_no_damage(folder: DatasetFolder) -> None:
    """A folder in its place, or no permission: the storage's fault, not the receipt's."""
    (folder.path / "receipt.json").mkdir(parents=True)
    with pytest.raises(StorageError):
        folder.receipt()


@pytest.mark.fault(66)
def test_contents_that_are_not_the_receipts_are_never_trusted(folder: DatasetFolder) -> None:
    """Row 66: one changed byte, a half list, none at all."""
    fill(folder, CONTENT)
    (path,) = folder.path.glob("contents-*.tsv")
    data = path.read_bytes()
    for altered in (data.replace(b"a.jpg", b"b.jpg"), data[: len(data) // 2], b""):
        path.write_bytes(altered)
        with pytest.raises(CacheDamaged, match="was altered") as caught:
            folder.contents()
        assert "--force" in (caught.value.hint or "")
    path.unlink()
    with pytest.raises(CacheDamaged, match="is missing"):
        folder.contents()


def test_a_new_list_counts_only_with_its_receipt(folder: DatasetFolder) -> None:
    """Killed between the two, the old receipt still finds its own list."""
    fill(folder, CONTENT)
    folder.write_contents([replace(CONTENT, size=4)])
    assert folder.contents() == (CONTENT,)


@pytest.mark.fault(64)
def test_a_moved_cache_still_works(folder: DatasetFolder, tmp_path: Path) -> None:
    """Row 64: nothing in it says where it lies."""
    fill(folder, CONTENT)
    shutil.move(tmp_path / "datasets", tmp_path / "elsewhere" / "datasets")
    (moved,) = Cache(tmp_path / "elsewhere").folders()
    assert (moved.name, moved.contents()) == ("demo", (CONTENT,))
    assert str(tmp_path).encode() not in (moved.path / "receipt.json").read_bytes()


# ------------------------------------------------------------------ names


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    "version", ["../x", "..", ".", "/etc", "", None, "a/b", "4.0\n", "v\0", ".hidden", "é/ü", "…"]
)
def test_no_version_leads_out_of_its_folder(version: str | None) -> None:
    """Row 63: whatever the publisher calls it, it is one visible folder."""
    slug = version_slug(version)
    assert slug
    assert not {"/", "\0", "\n", "\\"} & set(slug)
    assert not slug.startswith(".")


def test_usual_versions_stay_readable() -> None:
    assert [version_slug(one) for one in ("4.0", "v2", "2024-05", None)] == [
        "4.0",
        "v2",
        "2024-05",
        "unversioned",
    ]


# ------------------------------------------------------------------ unpacking and sweeping


class Killed(BaseException):
    """Stands for an end of the process that still unwinds, as Ctrl-C does."""


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ValueError("x"), Killed()])
def test_a_failed_unpacking_leaves_what_was_there(error: BaseException, folder: DatasetFolder) -> None:
    """The older files stay, the temporary folder goes."""
    with folder.replace_folder("images/part") as temporary:
        (temporary / "old.jpg").write_bytes(b"old")
    expected = StorageError if isinstance(error, OSError) else type(error)

    def unpack() -> None:
        with folder.replace_folder("images/part") as temporary:
            (temporary / "new.jpg").write_bytes(b"new")
            raise error

    with pytest.raises(expected):
        unpack()
    assert tree(folder.path) == {"images", "images/part", "images/part/old.jpg"}


def test_unpacking_takes_the_place_of_older_files(folder: DatasetFolder) -> None:
    """Nothing of the older ones is mixed in, and the name may be the longest there is."""
    home = f"images/{'n' * 255}"
    for leaf in ("old.jpg", "new.jpg"):
        with folder.replace_folder(home) as temporary:
            (temporary / leaf).write_bytes(b"x")
    assert tree(folder.path) == {"images", home, f"{home}/new.jpg"}


@pytest.mark.fault(59)
def test_a_link_in_the_place_of_a_folder_is_not_followed(folder: DatasetFolder, tmp_path: Path) -> None:
    """Row 59: what it leads to stays untouched."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photo.jpg").write_bytes(b"mine")
    (folder.path / "images").mkdir(parents=True)
    (folder.path / "images" / "part").symlink_to(mine)
    with contextlib.suppress(StorageError), folder.replace_folder("images/part") as temporary:
        (temporary / "new.jpg").write_bytes(b"x")
    assert tree(mine) == {"photo.jpg"}


def ended() -> int:
    """The number of a process that was there and is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.fault(57)
def test_only_dead_processes_of_this_machine_are_swept(folder: DatasetFolder) -> None:
    """Row 57: what a living process or another machine works on stays, and so does what we do not know."""
    dead, alive = ended(), os.getppid()
    kept = [
        f"images/.part.{machine_name()}-{alive}.0a1b2c3d.tmp",
        f"images/.part.another-machine-{dead}.0a1b2c3d.tmp",
        f"images/.part.{machine_name()}-abc.0a1b2c3d.tmp",
        "images/.tmp", "images/.x.tmp", "images/..tmp", "images/part",
    ]  # fmt: skip
    swept = [
        f"images/.part.{machine_name()}-{dead}.0a1b2c3d.tmp",
        f"images/deep/.part.jpg.d.{machine_name()}-{dead}.0a1b2c3d.tmp",
        f"images/.part.{machine_name()}-{dead}.0a1b2c3d.old.tmp",
    ]
    for name in [*kept, *swept]:
        (folder.path / name / "class").mkdir(parents=True)
        (folder.path / name / "class" / "x.jpg").write_bytes(b"x")
    folder.remove_dead_temporaries()
    assert {name for name in [*kept, *swept] if (folder.path / name).exists()} == set(kept)


@pytest.mark.fault(53)
def test_a_killed_unpacking_is_swept(folder: DatasetFolder) -> None:
    """Row 53: SIGKILL in the middle of it, by a real process."""
    script = (
        "import os, signal, sys; from pathlib import Path; from dermdata.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).version_folder('demo', '1').replace_folder('images/part') as temporary:\n"
        "    (temporary / 'x.jpg').write_bytes(b'x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder.path.parents[2])], check=False)
    assert len(list((folder.path / "images").iterdir())) == 1
    folder.remove_dead_temporaries()
    assert tree(folder.path) == {"images"}


def test_leftovers_of_nobody_in_particular_are_told_by_age(folder: DatasetFolder, tmp_path: Path) -> None:
    """Older than asked for; files under their final names are never among them."""
    old, new = ("files/.a.zip.part", "files/.a.zip.part.json", "images/.x.tmp"), ("files/.b.zip.part",)
    for number, name in enumerate([*old, *new, "files/c.part", "images/d.jpg"]):
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (1_000 + number, 1_000 + number) if name not in new else (9_000, 9_000))
    assert leftovers(tmp_path, 5_000) == sorted(folder.path / name for name in old)
    assert leftovers(tmp_path, 0) == []


def test_a_temporary_folder_names_its_process(folder: DatasetFolder, tmp_path: Path) -> None:
    """Of a dead one here: at once. Of a living one: never. Of another machine: when all in it is old."""
    dead, alive = (
        f"images/.x.{machine_name()}-{DEAD}.0123abcd.tmp",
        f"images/.x.{machine_name()}-{os.getpid()}.0123abcd.tmp",
    )
    foreign, busy = f"images/.x.elsewhere-{DEAD}.0123abcd.tmp", f"images/.y.elsewhere-{DEAD}.0123abcd.old.tmp"
    for name in (dead, alive, foreign, busy):
        (folder.path / name).mkdir(parents=True)
        (folder.path / name / "a.jpg").write_bytes(b"x")
        for path in (folder.path / name / "a.jpg", folder.path / name):
            os.utime(path, (1_000, 1_000))
    os.utime(folder.path / busy / "a.jpg", (9_000, 9_000))
    assert leftovers(tmp_path, 5_000) == sorted([folder.path / dead, folder.path / foreign])


DEAD = 2**22 + 1  # Linux gives no process a higher number than 2**22


def leftovers(root: Path, older_than: float) -> list[Path]:
    return [one.path for one in Cache(root).find_leftovers("demo", older_than, str)]


def test_what_was_unpacked_or_replaced_is_needed_no_more(folder: DatasetFolder, tmp_path: Path) -> None:
    """An archive that the receipt let go, an older list; not a kept archive, nor a stranger's file."""
    let_go = replace(FETCHED_ZIP, name="gone.zip", path=None)
    remade = replace(let_go, name="own.zip", recognized="content")
    digest = folder.write_contents([CONTENT])
    folder.write_contents([replace(CONTENT, size=4)])
    folder.write_receipt(replace(RECEIPT, files=(FETCHED_ZIP, let_go, remade), contents_sha256=digest))
    for name in ("kept.zip", "gone.zip", "own.zip", "stranger.zip"):
        (folder.path / "files").mkdir(exist_ok=True)
        (folder.path / "files" / name).write_bytes(b"PK")
    older = next(path for path in folder.path.glob("contents-*") if path != folder.contents_path(digest))
    assert leftovers(tmp_path, 0) == [folder.path / "files" / "gone.zip", older]
    (folder.path / "receipt.json").write_bytes(b"{")
    assert leftovers(tmp_path, 0) == []


FETCHED_ZIP = FetchedFile(
    name="kept.zip", role="images", size=2, sha256="0" * 64, checksum=None, url="u", fetched_at="t",
    path="files/kept.zip",
)  # fmt: skip


# ------------------------------------------------------------------ listing and removing


def test_removing_takes_one_version_alone(tmp_path: Path) -> None:
    """The bytes freed are told; the dataset's folder goes with its last version."""
    cache = Cache(tmp_path)
    first, second = cache.version_folder("demo", "1"), cache.version_folder("demo", "2")
    for folder in (first, second):
        folder.write_receipt(RECEIPT)
        (folder.path / "images").mkdir()
        (folder.path / "images" / "a.jpg").write_bytes(b"12345")
    expected = measure_usage(first.path).bytes
    assert cache.remove(first) == expected > 5
    assert [folder.version for folder in cache.folders()] == ["2"]
    cache.remove(second)
    assert tree(tmp_path) == {"datasets"}


def test_removing_follows_no_link(tmp_path: Path) -> None:
    """A link among the images is deleted, not what it leads to."""
    cache, mine = Cache(tmp_path / "cache"), tmp_path / "mine.jpg"
    mine.write_bytes(b"x")
    folder = cache.version_folder("demo", "1")
    folder.write_receipt(RECEIPT)
    (folder.path / "a.jpg").symlink_to(mine)
    cache.remove(folder)
    assert mine.read_bytes() == b"x"


def test_removing_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Cache(tmp_path).remove(Cache(tmp_path).version_folder("demo", "1"))


@pytest.mark.fault(61)
def test_a_file_that_vanishes_while_counting_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 61: another process finishes a download meanwhile."""
    (tmp_path / "a").write_bytes(b"123")
    monkeypatch.setattr("os.walk", lambda _path: [(str(tmp_path), [], ["a", "gone.part"])])
    assert measure_usage(tmp_path).bytes == 3


def test_stray_files_are_no_datasets(tmp_path: Path) -> None:
    """What somebody put into the cache's folders is passed over."""
    (tmp_path / "datasets" / "empty").mkdir(parents=True)
    (tmp_path / "datasets" / "notes.txt").write_text("x")
    cache = Cache(tmp_path)
    assert cache.cached_names() == set()
    assert [*cache.folders()] == []


def test_half_of_a_character_in_a_receipt_is_damage(cli: Callable, tmp_path: Path) -> None:
    """JSON can say it, no output can: the words of the error ended the program."""
    assert cli("fetch", "demo").code == 0
    receipt = next((tmp_path / "cache").rglob("receipt.json"))
    receipt.write_text(receipt.read_text().replace("{", '{"\\ud800": 1,', 1))
    answer = cli("verify", "--quick")
    assert answer.code in (1, 4), answer.err
    assert "half of a character" in answer.out + answer.err
