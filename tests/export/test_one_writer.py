"""One run at a time writes into a folder; where no lock keeps a second one out, what came of it is told and not kept."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata import export
from dermdata.errors import CacheBusy, StorageError, UsageError
from dermdata.export import parquet, record, shards
from dermdata.export.record import ExportRun
from dermdata.object_store import LocalFolder, open_bucket
from dermdata.progress import SilentProgress
from export.conftest import MakeJob
from export.folder_contents import contents, every_format

folder_formats = pytest.mark.parametrize(
    ("form", "choices"),
    [("imagefolder", {}), ("webdataset", {}), ("huggingface", {}), ("coco", {}), ("croissant", {"embed": True}),
     ("parquet", {"embed": True})],
)  # fmt: skip


class Told(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system that grants every lock, mounted by machines that do not see each other's processes."""
    monkeypatch.setattr(fcntl, "flock", lambda _handle, _how: None)


# ------------------------------------------------------------------ the lock


@folder_formats
def test_a_second_run_waits_and_is_refused_when_the_first_does_not_end(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, choices: dict[str, object]
) -> None:
    """Exit 5; it says for whom it waits, and nothing was written."""
    monkeypatch.setattr(record, "LOCK_TIMEOUT", 0.1)
    told = Told()
    with record.hold_folder(LocalFolder(tmp_path / "out"), print):
        with pytest.raises(CacheBusy, match=rf"out is held by process {os.getpid()} on ") as caught:
            export.write(form, job(progress=told, **choices))
        assert list(contents(tmp_path / "out")) == [record.LOCK]
    assert caught.value.exit_code == 5
    assert [line for line in told.lines if f"out: waiting for process {os.getpid()}" in line]


@folder_formats
def test_no_lock_stays(job: MakeJob, tmp_path: Path, form: str, choices: dict[str, object]) -> None:
    """Nothing of who wrote it is in what is passed on."""
    export.write(form, job(**choices))
    assert not (tmp_path / "out" / record.LOCK).exists()


def test_a_lock_of_a_killed_run_holds_nobody(job: MakeJob, tmp_path: Path) -> None:
    """The kernel let go of it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / record.LOCK).write_text("process 1 on elsewhere")
    assert export.write("webdataset", job()).rows == 10


@folder_formats
@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "pipe"])
def test_a_planted_lock_is_refused(
    job: MakeJob, tmp_path: Path, form: str, choices: dict[str, object], kind: str
) -> None:
    """Nothing is written through it, and nothing waits for it."""
    mine, lock = tmp_path / "bashrc", tmp_path / "out" / record.LOCK
    mine.write_text("mine")
    lock.parent.mkdir()
    {"symbolic link": lock.symlink_to, "hard link": lock.hardlink_to, "pipe": lambda _: os.mkfifo(lock)}[
        kind
    ](mine)
    with pytest.raises(StorageError, match=r"lock is a link or no file"):
        export.write(form, job(**choices))
    assert mine.read_text() == "mine"


@every_format
def test_a_pipe_in_place_of_the_record_is_not_waited_for(job: MakeJob, tmp_path: Path, form: str) -> None:
    """It cannot be read as one."""
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / record.RECORD)
    with pytest.raises(UsageError, match="cannot be read as the record"):
        export.write(form, job())


# ------------------------------------------------------------------ no lock


def while_writing(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], where: str = "begin", *, before: bool = False
) -> None:
    """Have something happen once, right after (or before) a run's step, as a scheduler may at any time."""
    real, acts = getattr(ExportRun, where), [act]

    def step(self: ExportRun, *given: object) -> None:
        if not before:
            real(self, *given)
        if acts:
            acts.pop()()
        if before:
            real(self, *given)

    monkeypatch.setattr(ExportRun, where, step)


@every_format
@pytest.mark.usefixtures("no_locks")
def test_a_run_that_is_overtaken_fails_and_the_next_one_is_right(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The red team's case: A is stopped after its record, B exports scaled images, A goes on."""
    while_writing(monkeypatch, lambda: export.write(form, job(size=6)))
    with pytest.raises(StorageError, match=r"another export wrote into .*out at the same time") as caught:
        export.write(form, job())
    assert caught.value.exit_code == 5
    assert export.write(form, job(size=6)).kept == 0
    export.write(form, job("fresh", size=6))
    assert without_queue(tmp_path / "out") == without_queue(tmp_path / "fresh")


@every_format
@pytest.mark.usefixtures("no_locks")
def test_a_run_whose_files_were_overwritten_fails(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The other one, which began before, gives a file its name after this run did."""

    def overwrite() -> None:
        path = next(
            path for path in sorted((tmp_path / "out").rglob("*")) if path.is_file() and path.name[0] != "."
        )
        beside = path.with_name(".other")
        beside.write_bytes(path.read_bytes())
        beside.replace(path)

    while_writing(monkeypatch, overwrite, "finish", before=True)
    with pytest.raises(StorageError, match="another export wrote"):
        export.write(form, job())
    assert export.write(form, job()).kept == 0


@every_format
@pytest.mark.usefixtures("no_locks")
def test_a_run_that_keeps_what_another_one_sweeps_fails(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """All was there, and then it was not."""
    export.write(form, job())
    while_writing(monkeypatch, lambda: export.write(form, job(size=6)))
    with pytest.raises(StorageError, match="another export wrote"):
        export.write(form, job())


@pytest.mark.usefixtures("no_locks")
def test_parquet_shards_of_two_runs_are_told(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """They carry their marks themselves; of another number they would stand beside these."""
    real, other = parquet.require_alone, [True]

    def late(*given: object) -> None:
        if other and other.pop():
            monkeypatch.setattr(shards, "SHARD_ROWS", 5)
            export.write("parquet", job(embed=True))
            monkeypatch.setattr(shards, "SHARD_ROWS", 100_000)
        real(*given)

    monkeypatch.setattr("dermdata.export.parquet.require_alone", late)
    with pytest.raises(StorageError, match="another export wrote"):
        export.write("parquet", job(embed=True))


def without_queue(folder: Path) -> dict[str, bytes]:
    """What lies there but the line of those who waited where locks do nothing."""
    return {name: data for name, data in contents(folder).items() if not name.endswith(".queue")}


@pytest.mark.parametrize("form", ["webdataset", "huggingface"])
def test_two_runs_into_one_prefix_of_a_store_are_told(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Object stores have no lock that would hold."""
    with open_bucket(f"memory://two/{form}") as bucket:
        while_writing(monkeypatch, lambda: export.write(form, job(bucket=bucket, size=6)))
        with pytest.raises(StorageError, match="another export wrote into memory://two/"):
            export.write(form, job(bucket=bucket))
        assert export.write(form, job(bucket=bucket, size=6)).kept == 0
        assert export.write(form, job(bucket=bucket, size=6)).kept > 0
