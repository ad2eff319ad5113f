"""The compiled index: only a copy, so it may be old, broken or impossible without anybody noticing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import dermdata.catalogs as catalog_room
from dermdata.catalogs import Catalog, bundled_folder, index, index_file_name, open_catalog
from dermdata.catalogs import overlays as compiling
from dermdata.catalogs.index import content_checksum
from dermdata.catalogs.overlays import read_entries
from support.catalog_folders import entry, put


@pytest.fixture(autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundled catalog of one entry: these tests compile often."""
    root = tmp_path_factory.mktemp("bundled")
    put(root, "public", entry("public"))
    monkeypatch.setattr(catalog_room, "bundled_folder", lambda: aged(root))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A catalog of one private entry, not written just now."""
    put(tmp_path / "catalog", "ours", entry("ours", 'version = "1"'))
    return aged(tmp_path / "catalog")


def aged(root: Path) -> Path:
    for path in root.rglob("*"):
        os.utime(path, (1_000, 1_000))
    return root


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One more item for each time that the catalog is compiled."""
    times: list[int] = []
    build = compiling.build_index

    def counted(roots: Any) -> dict[str, Any]:
        times.append(1)
        return build(roots)

    monkeypatch.setattr(compiling, "build_index", counted)
    return times


def opened(root: Path, tmp_path: Path) -> Catalog:
    return open_catalog([root], tmp_path / "index")


def test_a_second_start_reads_the_index(root: Path, tmp_path: Path, built: list[int]) -> None:
    first, second = opened(root, tmp_path), opened(root, tmp_path)
    assert len(built) == 1
    assert first.items == second.items
    assert first["ours"] == second["ours"]


def test_every_bundled_entry_is_the_same_through_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled to JSON and read again, nothing is another value or another type."""
    monkeypatch.setattr(catalog_room, "bundled_folder", bundled_folder)
    open_catalog([], tmp_path)
    datasets, broken = read_entries([bundled_folder()])
    catalog = open_catalog([], tmp_path)
    assert broken == {}
    assert list(catalog) == list(datasets)
    assert [name for name in catalog if catalog[name] != datasets[name]] == []


@pytest.mark.parametrize("leaf", ["dataset.toml", "labels.tsv", "files.tsv", "new entry", "removed"])
def test_a_change_is_seen(leaf: str, root: Path, tmp_path: Path, built: list[int]) -> None:
    """Whichever file of the catalog changes, appears or goes."""
    put(root, "other", entry("other"))
    aged(root)
    opened(root, tmp_path)
    if leaf == "removed":
        (root / "datasets" / "other" / "dataset.toml").unlink()
    elif leaf == "new entry":
        put(root, "third", entry("third"))
    else:
        put(root, "ours", entry("ours", 'version = "2"') if leaf == "dataset.toml" else "name\trole\n", leaf)
    catalog = opened(root, tmp_path)
    assert len(built) == 2
    assert catalog["ours"].version == ("2" if leaf == "dataset.toml" else "1")
    assert ("other" in catalog) == (leaf != "removed")
    assert ("third" in catalog) == (leaf == "new entry")


def test_a_change_in_the_same_tick_is_seen(root: Path, tmp_path: Path) -> None:
    """Same size, same modification time as the index: it is not trusted."""
    toml = put(root, "ours", entry("ours", 'version = "1"'))
    opened(root, tmp_path)
    (path,) = (tmp_path / "index").iterdir()
    tick = path.stat().st_mtime_ns
    os.utime(toml, ns=(tick, tick))
    opened(root, tmp_path)
    put(root, "ours", entry("ours", 'version = "2"'))
    os.utime(toml, ns=(tick, tick))
    os.utime(path, ns=(tick, tick))
    assert opened(root, tmp_path)["ours"].version == "2"


@pytest.mark.fault(56)
def test_a_clock_that_was_wrong_costs_only_speed(root: Path, tmp_path: Path, built: list[int]) -> None:
    """Row 56: files from the future are read anew on each start."""
    os.utime(root / "datasets" / "ours" / "dataset.toml", (4_000_000_000, 4_000_000_000))
    assert opened(root, tmp_path)["ours"] == opened(root, tmp_path)["ours"]
    assert len(built) == 2


def garbled(path: Path) -> dict[str, bytes]:
    checksum, head, *rest = path.read_bytes().split(b"\n")
    body = b"\n".join(rest)
    data = json.loads(head)

    def with_head(changed: dict) -> bytes:
        content = json.dumps(changed).encode() + b"\n" + body
        return content_checksum(content) + b"\n" + content

    return {
        "empty": b"",
        "entries cut": path.read_bytes()[:-1],
        "entries altered": b"\n".join([checksum, head, body.replace(b"demo", b"dome") + b" "]),
        "an item without its name": checksum + b"\n" + head.replace(b'"name"', b'"mane"') + b"\n" + body,
        "half": path.read_bytes()[:100],
        "garbage": bytes(range(256)),
        "deep": b"[" * 200_000,
        "a list": b"[]",
        "another version": with_head({**data, "fingerprint": [[0, "0"], *data["fingerprint"][1:]]}),
        "a part missing": with_head({key: data[key] for key in data if key != "items"}),
        "a part of another kind": with_head({**data, "lengths": []}),
    }


WAYS = [
    "empty",
    "entries cut",
    "entries altered",
    "an item without its name",
    "half",
    "garbage",
    "deep",
    "a list",
    "another version",
    "a part missing",
    "a part of another kind",
]


@pytest.mark.fault(66)
@pytest.mark.parametrize("way", WAYS)
def test_a_broken_index_is_made_again(way: str, root: Path, tmp_path: Path, built: list[int]) -> None:
    """Row 66: nobody is told, since nothing is lost."""
    opened(root, tmp_path)
    (path,) = (tmp_path / "index").iterdir()
    path.write_bytes(garbled(path)[way])
    assert opened(root, tmp_path)["ours"].version == "1"
    opened(root, tmp_path)
    assert len(built) == 2


@pytest.mark.parametrize("what", ["pipe", "link", "endless", "pipes in the way of the new one"])
def test_red_team_17_what_is_no_file_in_place_of_the_index_is_replaced(
    what: str, root: Path, tmp_path: Path, built: list[int]
) -> None:
    """No command waits at a pipe that somebody made in the cache, follows a link or reads without end."""
    opened(root, tmp_path)
    (path,) = (tmp_path / "index").iterdir()
    path.unlink()
    if what == "link":
        path.symlink_to("/etc/passwd")
    elif what == "endless":
        path.touch()
        os.truncate(path, 1 << 40)
    else:
        os.mkfifo(path)
    if "way" in what:
        os.mkfifo(path.with_name(f".{path.name}.{os.getpid()}"))
    assert opened(root, tmp_path)["ours"].version == "1"
    opened(root, tmp_path)
    assert len(built) == 2
    assert path.is_file()
    assert not path.is_symlink()


def test_a_folder_in_place_of_the_index_costs_only_speed(root: Path, tmp_path: Path) -> None:
    opened(root, tmp_path)
    (path,) = (tmp_path / "index").iterdir()
    path.unlink()
    path.mkdir()
    assert opened(root, tmp_path)["ours"].version == "1"
    assert [one.name for one in (tmp_path / "index").iterdir()] == [path.name]


def test_the_index_of_a_catalog_of_ones_own_is_for_nobody_else(root: Path, tmp_path: Path) -> None:
    """Others may use the same cache; that of the bundled catalog alone saves them time too."""
    catalog = opened(root, tmp_path)
    catalog.cached_texts("words", dict)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "index").iterdir()} == {0o600}
    open_catalog([], tmp_path / "shared")
    (path,) = (tmp_path / "shared").iterdir()
    assert path.stat().st_mode & 0o044


@pytest.mark.fault(48)
def test_a_cache_that_cannot_be_written_costs_only_speed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 48: reading commands work on a read-only file system, which refuses the clean-up too."""

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "write_text", "replace", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    assert opened(root, tmp_path)["ours"].version == "1"


def test_a_file_in_place_of_the_index_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "index").write_text("x")
    assert opened(root, tmp_path)["ours"].version == "1"


def test_nothing_but_the_index_is_left_behind(root: Path, tmp_path: Path) -> None:
    catalog = opened(root, tmp_path)
    (path,) = (tmp_path / "index").iterdir()
    assert path.name == index_file_name(catalog.roots)


def test_catalogs_of_one_relative_name_are_not_confused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--catalog ours` in two projects whose files have one size and time."""
    versions = []
    for number in "12":
        project = tmp_path / number
        put(project / "ours", "ours", entry("ours", f'version = "{number}"'))
        aged(project)
        monkeypatch.chdir(project)
        versions.append(open_catalog([Path("ours")], tmp_path / "index")["ours"].version)
    assert versions == ["1", "2"]


def test_the_list_knows_sizes_only_when_it_knows_all(tmp_path: Path) -> None:
    """A sum with an unknown part is unknown; files that are not fetched do not count."""
    files = '[[files]]\nname = "a"\nrole = "images"\nsize = 3\n'
    files += '[[files]]\nname = "b"\nrole = "other"\nsize = 5\nfetch = false\n'
    put(tmp_path, "known", entry("known") + files)
    put(tmp_path, "unknown", entry("unknown") + files + '[[files]]\nname = "c"\nrole = "images"\n')
    sizes = {item["name"]: item["size_bytes"] for item in compiling.build_index([tmp_path])["items"]}
    assert sizes == {"known": 3, "unknown": None}


def test_stamps_of_what_is_not_there_are_none(tmp_path: Path) -> None:
    assert index.file_stamps(tmp_path / "gone", None) == []
