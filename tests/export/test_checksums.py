"""An image that is not its row's: no export passes it on, and none keeps what an earlier one made of it."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dermdata import export
from dermdata.errors import ChecksumMismatch, StorageError
from dermdata.export import image_bytes
from dermdata.export.image_bytes import ImageTask, Recipe
from dermdata.export.record import RECORD, SCHEMA
from export.conftest import MakeJob
from export.folder_contents import contents, every_format, exported
from export.samples import jpeg, row, table

WAYS: list[tuple[str, dict[str, object]]] = [
    ("webdataset", {}), ("webdataset", {"size": 6}), ("webdataset", {"strip": True}), ("huggingface", {}),
    ("huggingface", {"size": 6}), ("croissant", {"embed": True}), ("parquet", {"embed": True}),
    ("parquet", {"embed": True, "strip": True}), ("imagefolder", {}), ("imagefolder", {"copy": True}),
    ("imagefolder", {"size": 6}), ("coco", {}), ("coco", {"copy": True}), ("coco", {"strip": True}),
]  # fmt: skip
every_way = pytest.mark.parametrize(("form", "choices"), WAYS)


def alter(path: Path) -> bytes:
    """One bit of the picture's data, in place, as a failing disk or an editor leaves it; what was there before."""
    before = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(before) - 3)
        file.write(bytes([before[-3] ^ 1]))
    return before


def mend(path: Path, data: bytes) -> None:
    """As `verify --repair` does: a new file takes the name."""
    beside = path.with_suffix(".part")
    beside.write_bytes(data)
    beside.replace(path)


# ------------------------------------------------------------------ the bad day


@every_way
def test_an_image_altered_at_the_same_size_stops_every_export(
    job: MakeJob, root: Path, form: str, choices: dict[str, object]
) -> None:
    """The error names the row and the file, the hint what mends it; scaled and stripped ones are compared before."""
    alter(root / "images" / "IMG_0003.jpg")
    with pytest.raises(
        ChecksumMismatch, match=r"^demo/IMG_0003: .*/images/IMG_0003\.jpg was altered"
    ) as caught:
        export.write(form, job(**choices))
    assert "verify --repair" in (caught.value.hint or "")
    assert caught.value.exit_code == 4


@every_way
def test_after_the_repair_nothing_of_it_is_kept(
    job: MakeJob, root: Path, tmp_path: Path, form: str, choices: dict[str, object]
) -> None:
    """The same command on the same folder gives what a fresh one gives."""
    path = root / "images" / "IMG_0003.jpg"
    before = alter(path)
    with pytest.raises(ChecksumMismatch):
        export.write(form, job(**choices))
    mend(path, before)
    export.write(form, job(**choices))
    export.write(form, job("fresh", **choices))
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@every_way
def test_a_manifest_that_names_another_image_is_told(
    job: MakeJob, root: Path, form: str, choices: dict[str, object]
) -> None:
    """Whichever of the two is wrong: two images of one size were exchanged."""
    one, two = row(root, 0), row(root, 1)
    assert one["bytes"] == two["bytes"]
    rows = [one | {"path": two["path"]}, two | {"path": one["path"]}]
    with pytest.raises(ChecksumMismatch, match=r"demo/IMG_0000: .*IMG_0001\.jpg"):
        export.write(form, job(table=table(rows), **choices))


@pytest.mark.parametrize("form", ["imagefolder", "coco"])
def test_a_link_to_an_image_that_was_altered_later_is_not_kept(job: MakeJob, root: Path, form: str) -> None:
    """It is the same file, so the export holds what the cache holds: the next run looks at it again."""
    export.write(form, job())
    alter(root / "images" / "IMG_0003.jpg")
    with pytest.raises(ChecksumMismatch, match="IMG_0003"):
        export.write(form, job())


@pytest.mark.parametrize("form", ["imagefolder", "coco"])
def test_a_link_to_what_was_replaced_by_the_repair_is_made_anew(
    job: MakeJob, root: Path, tmp_path: Path, form: str
) -> None:
    """The link still has the altered file, which has lost its name in the cache."""
    export.write(form, job())
    before = alter(root / "images" / "IMG_0003.jpg")
    mend(root / "images" / "IMG_0003.jpg", before)
    export.write(form, job())
    (image,) = (tmp_path / "out").rglob("IMG_0003.jpg")
    assert image.read_bytes() == before


@pytest.mark.parametrize("form", ["imagefolder", "coco"])
def test_a_file_that_changes_between_the_look_and_the_link_is_told(
    job: MakeJob, root: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """What is linked is the file that was compared."""
    real = os.link

    def late(source: str, target: str, **how: bool) -> None:
        if source.endswith("IMG_0003.jpg"):
            mend(Path(source), b"x" * len(jpeg(3)))
        real(source, target, **how)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(StorageError, match=r"IMG_0003\.jpg was changed while it was linked"):
        export.write(form, job())


@pytest.mark.parametrize("act", [image_bytes.load_images, image_bytes.identify_files])
def test_a_file_that_grows_while_it_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[list[ImageTask]], object]
) -> None:
    """Its first bytes alone would be another file's."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"12345")

    def grow(_task: ImageTask, _found: int) -> None:
        with path.open("ab") as file:
            file.write(b"6")

    monkeypatch.setattr(image_bytes, "require_size", grow)
    with pytest.raises(StorageError, match=r"demo/a: .*a\.jpg was changed while it was read"):
        act([ImageTask(str(path), None, Recipe(), None, "demo/a")])


@pytest.mark.parametrize("act", [image_bytes.load_images, image_bytes.identify_files])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_neither_waited_for_nor_read(
    tmp_path: Path, act: Callable[[list[ImageTask]], object], kind: str
) -> None:
    """A pipe in an image's place would keep the export waiting for ever, /dev/zero would fill the memory."""
    path = {"pipe": tmp_path / "p", "folder": tmp_path, "device": Path("/dev/zero")}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(StorageError, match="not a file"):
        act([ImageTask(str(path), None, Recipe())])


# ------------------------------------------------------------------ what cannot be compared


@every_way
def test_images_without_a_checksum_are_counted(
    job: MakeJob, root: Path, form: str, choices: dict[str, object]
) -> None:
    """A manifest of one's own need not have any: it is exported, and it is said for how many nobody can tell."""
    rows = [row(root, 0), row(root, 1) | {"sha256": None}, row(root, 2) | {"sha256": ""}]
    written = export.write(form, job(table=table(rows), **choices))
    assert written.left_out["images have no checksum to compare with"] == 2


def test_digests_in_capitals_are_the_same(job: MakeJob, root: Path) -> None:
    """Some programs write them so."""
    given = row(root, 0)
    assert (
        export.write("webdataset", job(table=table([given | {"sha256": str(given["sha256"]).upper()}]))).rows
        == 1
    )


# ------------------------------------------------------------------ what is kept


def recorded(out: Path) -> list[list[Any]]:
    """The record's rows, each a list."""
    return [json.loads(line) for line in (out / RECORD).read_text().splitlines()[1:]]


@every_format
def test_a_record_of_before_the_comparison_is_not_trusted(job: MakeJob, tmp_path: Path, form: str) -> None:
    """Its marks say which images were wanted, not which were read; its files are ours, and made anew."""
    export.write(form, job("fresh"))
    written = export.write(form, job())
    out = tmp_path / "out"
    files = [line[:3] for line in recorded(out)]
    record = {"schema": "dermdata.files/1", "format": form, "files": files}
    (out / RECORD).write_text(json.dumps(record, ensure_ascii=False, indent=0) + "\n")
    wrong = max((path for path in out.rglob("*") if path.is_file()), key=lambda path: path.name.count("0"))
    data = wrong.read_bytes()
    wrong.unlink()
    wrong.write_bytes(bytes(len(data)))
    again = export.write(form, job())
    assert (again.kept, again.rows) == (0, written.rows)
    assert contents(out) == contents(tmp_path / "fresh")


@every_format
def test_a_planned_file_that_nobody_finished_is_not_kept(job: MakeJob, tmp_path: Path, form: str) -> None:
    """A killed run's record names it with its mark; what has the name may be anything of the same size."""
    whole = export.write(form, job())
    out, rows = tmp_path / "out", recorded(tmp_path / "out")
    before = exported(out)
    head = {"schema": SCHEMA, "format": form, "run": "killed", "files": len(rows)}
    lines = [head, *(line[:3] for line in rows), *rows[1:]]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    (out / RECORD).write_text(text + '["cut')
    (out / rows[0][0]).unlink()
    (out / rows[0][0]).write_bytes(bytes(rows[0][3]))
    assert export.write(form, job()).kept == len(rows) - 1
    assert exported(out) == before
    assert whole.rows == export.write(form, job()).rows


@every_format
def test_a_file_of_another_size_is_not_kept(job: MakeJob, tmp_path: Path, form: str) -> None:
    """Whoever wrote it."""
    export.write(form, job())
    before = exported(tmp_path / "out")
    for name, _, _, size, *_ in recorded(tmp_path / "out"):
        (tmp_path / "out" / name).unlink()
        (tmp_path / "out" / name).write_bytes(bytes(size + 1))
    assert export.write(form, job()).kept == 0
    assert exported(tmp_path / "out") == before


def test_a_link_in_place_of_a_written_file_is_not_kept(job: MakeJob, tmp_path: Path) -> None:
    """A planted one, to a file of the same size."""
    export.write("webdataset", job())
    (shard,) = (tmp_path / "out").glob("demo-test*.tar")
    (tmp_path / "other").write_bytes(bytes(shard.stat().st_size))
    shard.unlink()
    shard.symlink_to(tmp_path / "other")
    export.write("webdataset", job())
    assert not shard.is_symlink()
    assert set((tmp_path / "other").read_bytes()) == {0}


def test_parquet_shards_of_before_the_comparison_are_made_anew(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They carry their mark themselves."""
    from dermdata.export import shards

    monkeypatch.setattr(shards, "LAYOUT", "1")
    export.write("parquet", job(embed=True))
    monkeypatch.undo()
    assert export.write("parquet", job(embed=True)).kept == 0
    assert export.write("parquet", job(embed=True)).kept == 1


def test_the_compared_bytes_are_the_written_ones(
    job: MakeJob, root: Path, rows: pa.Table, tmp_path: Path
) -> None:
    """What --copy writes has the manifest's digests."""
    export.write("imagefolder", job(copy=True))
    found = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").rglob("*.jpg")}
    assert found == set(rows["sha256"].to_pylist()[:10])
