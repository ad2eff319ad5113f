"""The power goes: row 55 of the table of faults.

dm-log-writes needs a device-mapper that test machines lack (and root). In its place every fsync, rename and
unlink of a fetch is recorded with the bytes it was about; from that record each legal state of the disk after a
cut is built: what was not synced may be there, in part or not at all; a rename that was not synced may be lost.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dermdata.archive.staging import StagingFolder
from faults.stage import CountingSite, finals, publish, small_files, wrong_finals

Tree = dict[str, bytes]  # relative path -> bytes


@pytest.fixture
def site() -> Iterator[CountingSite]:
    with CountingSite() as running:
        yield running


@dataclass
class Renamed:
    """One name that was given: the bytes behind it, whether they were on the disk, whether the name is."""

    target: Path
    tree: Tree
    synced: bool  # the bytes, before the name was given
    kept: bool = False  # the name, once its folder was synced


@dataclass
class Recorder:
    """Watches the os functions of this process."""

    events: list[tuple[str, Path]] = field(default_factory=list)
    renames: list[Renamed] = field(default_factory=list)
    synced: set[Path] = field(default_factory=set)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("rename", "replace"):
            patch.setattr(os, name, self.renaming(getattr(os, name)))
        sync = os.fsync

        def synced(handle: int) -> None:
            sync(handle)
            self.note_sync(Path(f"/proc/self/fd/{handle}").readlink())

        patch.setattr(os, "fsync", synced)
        sync_all = StagingFolder.sync

        def synced_all(staging: StagingFolder, jobs: int) -> None:
            sync_all(staging, jobs)
            self.note_sync(staging.root)

        patch.setattr(StagingFolder, "sync", synced_all)

    def note_sync(self, path: Path) -> None:
        self.events.append(("sync", path))
        self.synced.add(path)
        for one in self.renames:
            one.kept = one.kept or one.target.parent == path

    def renaming(self, call: Callable[..., None]) -> Callable[..., None]:
        def act(source: Any, target: Any) -> None:
            source, target = Path(source), Path(target)
            if "/datasets/" in str(target):  # the compiled catalog is only a copy
                tree = {path.relative_to(source).as_posix(): path.read_bytes() for path in files(source)}
                self.events.append(("rename", target))
                self.renames.append(Renamed(target, tree, source in self.synced))
            call(source, target)

        return act


def files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())


@pytest.fixture
def recorded(
    cli: Callable, site: CountingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Recorder, list[str], dict[str, bytes]]:
    """A whole fetch into tmp_path/good, its record, the options and the publisher's files."""
    published = small_files(images=3, side=32, loose=3000)
    options, recorder = publish(tmp_path, site, published), Recorder()
    with monkeypatch.context() as patch:
        recorder.install(patch)
        assert cli(*options, "fetch", "ours", cache=tmp_path / "good").code == 0
    return recorder, options, published


def test_row_55_every_name_is_given_to_bytes_that_are_on_the_disk_and_kept(recorded: Any) -> None:
    """fsync of the file (or of the unpacked folder's file system), rename, fsync of the folder; in this order."""
    recorder = recorded[0]
    assert len(recorder.renames) >= 8
    assert [one.target.name for one in recorder.renames if not one.synced] == []
    assert [one.target.name for one in recorder.renames if not one.kept] == []
    for number, (kind, target) in enumerate(recorder.events):
        if kind == "rename":
            assert ("sync", target.parent) in recorder.events[number:]


def test_row_55_the_manifest_comes_last_and_only_the_receipt_names_it(recorded: Any) -> None:
    """Data first, then the manifest, then the receipt with the manifest's checksum."""
    names = [one.target.name for one in recorded[0].renames]
    data = {"loose.bin", "table.csv", "images.zip", "images"}
    manifest = names.index("manifest.parquet")
    assert names.count("manifest.parquet") == 1
    assert max(number for number, name in enumerate(names) if name in data) < manifest
    assert names[-1] == "receipt.json"


def states(recorder: Recorder, good: Path) -> Iterator[tuple[str, dict[Path, Tree]]]:
    """The names on the disk, and the bytes behind them, after a cut at each rename: with it, and without it."""
    there: dict[Path, Tree] = {}
    for number, one in enumerate(recorder.renames):
        yield f"{number} without {one.target.name}", dict(there)
        there[one.target.relative_to(good)] = one.tree
        yield f"{number} with {one.target.name}", dict(there)
        later = recorder.renames[number + 1 : number + 2]
        if later and later[0].target != one.target:  # the disk may have kept the later of two names only
            lost = {path: tree for path, tree in there.items() if path != one.target.relative_to(good)}
            yield (
                f"{number} lost {one.target.name}",
                lost | {later[0].target.relative_to(good): later[0].tree},
            )


def test_row_55_every_state_after_a_cut_is_old_or_new_and_the_next_run_completes(
    cli: Callable, recorded: Any, tmp_path: Path
) -> None:
    """verify finds missing files at most, never wrong bytes; fetch makes the rest and nothing is lost for good."""
    recorder, options, published = recorded
    good = finals(tmp_path / "good")
    seen = list(states(recorder, tmp_path / "good"))
    assert len(seen) >= 20
    for number, (what, there) in enumerate(seen):
        cache = tmp_path / f"cut{number}"
        shutil.copytree(tmp_path / "good" / "index", cache / "index")
        for path, tree in there.items():
            for name, data in tree.items():
                target = cache / path if name == "." else cache / path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        assert wrong_finals(cache, good, published) == [], what
        assert cli(*options, "verify", cache=cache).code in (0, 1), what
        if number % 3 == 0:
            answer = cli(*options, "fetch", "ours", cache=cache)
            if (
                answer.code == 4
            ):  # a list of contents that was lost alone: told, with the command that mends it
                assert "--force" in answer.err
                answer = cli(*options, "fetch", "ours", "--force", cache=cache)
            assert answer.code == 0, (what, answer.err)
            assert wrong_finals(cache, good, {}) == []
