"""`dermdata verify`: tells all, changes nothing, repairs just what is broken."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def folder(demo_cache: Path) -> Path:
    return demo_cache / "datasets" / "demo" / "1.0"


def found(answer: object) -> dict[str, str]:
    return {item["path"]: item["status"] for item in json.loads(answer.out)["items"]}


def test_all_is_well_is_silent(cli: Callable, folder: Path) -> None:
    """Nothing on stdout, exit 0."""
    answer = cli("-q", "verify")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_each_kind_of_damage_is_named(cli: Callable, folder: Path) -> None:
    """Flipped, cut, deleted, replaced by a link, swapped, extra: each with its kind, and exit 1."""
    images = sorted((folder / "images").rglob("*.jpg"))
    data = images[0].read_bytes()
    images[0].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    images[1].write_bytes(images[1].read_bytes()[:50])
    images[2].unlink()
    images[3].unlink()
    images[3].symlink_to(images[4])
    first, second = images[5].read_bytes(), images[6].read_bytes()
    images[5].write_bytes(second)
    images[6].write_bytes(first)
    (folder / "images" / "stranger.jpg").write_bytes(b"?")
    (folder / "manifest.parquet").write_bytes(b"PAR1")
    answer = cli("verify", "--format", "json")
    assert answer.code == 1
    names = [path.relative_to(folder).as_posix() for path in images]
    assert found(answer) == {
        names[0]: "modified", names[1]: "modified", names[2]: "missing", names[3]: "modified",
        names[5]: "modified", names[6]: "modified", "images/stranger.jpg": "extra", "manifest.parquet": "modified",
    }  # fmt: skip


def test_repair_brings_back_what_was_there(cli: Callable, folder: Path) -> None:
    """Images, the metadata and the manifest itself; then verify is green again."""
    before = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".jpg", ".parquet")
    }
    images = sorted((folder / "images").rglob("*.jpg"))
    images[0].write_bytes(b"")
    images[1].unlink()
    (folder / "files" / "demo_metadata.csv").write_text("broken", encoding="utf-8")
    (folder / "manifest.parquet").unlink()
    answer = cli("verify", "--repair")
    assert answer.code == 0, answer.err
    assert "4 files repaired" in answer.err
    assert cli("verify").code == 0
    assert {path: path.read_bytes() for path in before} == before


def test_repair_never_deletes_what_it_did_not_put_there(cli: Callable, folder: Path) -> None:
    """An extra file stays, and the exit code still says that it is there."""
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    answer = cli("verify", "--repair")
    assert answer.code == 1
    assert "move them away" in answer.err
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_quick_sees_sizes_only(cli: Callable, folder: Path) -> None:
    """A flipped bit needs the checksum; a cut does not."""
    image = min((folder / "images").rglob("*.jpg"))
    data = image.read_bytes()
    image.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert cli("verify", "--quick").code == 0
    assert cli("verify").code == 1
    image.write_bytes(data[:-1])
    assert cli("verify", "--quick").code == 1


def test_a_name_that_is_not_cached(cli: Callable) -> None:
    """Exit 2 with the command that would fetch it."""
    answer = cli("verify", "ham10000")
    assert answer.code == 2
    assert "dermdata fetch ham10000" in answer.err


def test_all_lists_the_good_files_too(cli: Callable, folder: Path) -> None:
    """120 images, 80 masks, the table and the manifest."""
    assert len(cli("verify", "--all", "--format", "names").out.splitlines()) == 202


def test_the_rows_that_a_broken_file_belongs_to_are_named(cli: Callable, folder: Path) -> None:
    """An image's row, a mask's row; a file that is nobody's has none."""
    image, mask = min((folder / "images").rglob("*.jpg")), min((folder / "masks").rglob("*.png"))
    image.write_bytes(b"")
    mask.unlink()
    (folder / "images" / "stranger.jpg").write_bytes(b"?")
    items = json.loads(cli("verify", "--format", "json").out)["items"]
    rows = {Path(item["path"]).name: item["rows"] for item in items}
    assert rows[image.name] == [f"demo/{image.stem}"]
    assert rows[mask.name] == [f"demo/{mask.stem.removesuffix('_segmentation')}"]
    assert rows["stranger.jpg"] == []
