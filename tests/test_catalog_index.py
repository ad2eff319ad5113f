"""The compiled index: only a copy, so it may be old, broken or impossible without anybody noticing."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import dermdata.catalogs as catalog_room
from dermdata.catalogs import Catalog, bundled_folder, index, index_file_name, open_catalog
from dermdata.catalogs import overlays as compiling
from dermdata.catalogs.entries import parse_entry
from dermdata.catalogs.index import content_checksum
from dermdata.catalogs.overlays import list_entry_files, read_entry
from dermdata.vocabulary.tsv import LABEL_COLUMNS
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
    """One more item for each time that a catalog of one's own is compiled."""
    times: list[int] = []
    build = compiling.build_index

    def counted(roots: Any, *below: Any) -> dict[str, Any]:
        times.extend([1] * (len(roots) > 1))
        return build(roots, *below)

    monkeypatch.setattr(compiling, "build_index", counted)
    return times


def opened(root: Path, tmp_path: Path) -> Catalog:
    return open_catalog([root], tmp_path / "index")


def index_of(root: Path, tmp_path: Path) -> Path:
    """The index of the bundled catalog with this one over it; that of the bundled one alone lies beside it."""
    names = [index_file_name([catalog_room.bundled_folder(), *more]) for more in ([], [root])]
    assert {path.name for path in (tmp_path / "index").iterdir()} == set(names)
    return tmp_path / "index" / names[1]


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
    datasets = {
        name: parse_entry(read_entry(path), name) for name, path in list_entry_files(bundled_folder())
    }
    catalog = open_catalog([], tmp_path)
    assert catalog.broken == {}
    assert list(catalog) == sorted(datasets)
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
    path = index_of(root, tmp_path)
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
    path = index_of(root, tmp_path)
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
    path = index_of(root, tmp_path)
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
    path = index_of(root, tmp_path)
    path.unlink()
    path.mkdir()
    assert opened(root, tmp_path)["ours"].version == "1"
    assert index_of(root, tmp_path) == path


def test_the_index_of_a_catalog_of_ones_own_is_for_nobody_else(root: Path, tmp_path: Path) -> None:
    """Others may use the same cache; that of the bundled catalog alone saves them time too."""
    catalog = opened(root, tmp_path)
    catalog.cached_texts("words", dict)
    ours = [
        path for path in (tmp_path / "index").iterdir() if path.name != index_file_name(catalog.roots[:1])
    ]
    assert {path.stat().st_mode & 0o777 for path in ours} == {0o600}
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
    assert index_of(root, tmp_path).name == index_file_name(catalog.roots)


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


# ------------------------------------------------------------------ what lies below an overlay


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose entries were parsed."""
    names: list[str] = []
    parse = compiling.parse_entry

    def noted(data: Any, source: str) -> Any:
        names.append(source)
        return parse(data, source)

    monkeypatch.setattr(compiling, "parse_entry", noted)
    return names


def test_an_overlay_that_changes_is_all_that_is_read_again(
    root: Path, tmp_path: Path, parsed: list[str]
) -> None:
    opened(root, tmp_path)
    parsed.clear()
    path = put(root, "ours", entry("ours", 'version = "2"'))
    assert opened(root, tmp_path)["ours"].version == "2"
    assert parsed == [str(path)]


def test_another_cache_in_the_same_process_reads_the_bundled_catalog_no_more(
    tmp_path: Path, parsed: list[str]
) -> None:
    first = open_catalog([], tmp_path / "one")
    assert len(parsed) == 1
    assert open_catalog([], tmp_path / "other").items == first.items
    assert open_catalog().items == first.items
    assert len(parsed) == 1


def test_a_bundled_file_that_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also twice within a tick of the clock, to the same size."""
    toml = put(tmp_path, "public", entry("public", 'version = "0"'))
    monkeypatch.setattr(catalog_room, "bundled_folder", lambda: tmp_path)
    aged(tmp_path)
    versions = [open_catalog()["public"].version]
    now = time.time_ns()
    for number in "12":
        put(tmp_path, "public", entry("public", f'version = "{number}"'))
        os.utime(toml, ns=(now, now))
        versions.append(open_catalog()["public"].version)
    assert versions == ["0", "1", "2"]


@pytest.mark.parametrize("leaf", ["labels.tsv", "dataset.toml"])
def test_what_an_overlay_has_of_a_bundled_entry_is_listed(leaf: str, root: Path, tmp_path: Path) -> None:
    """A crosswalk alone counts too; the label words of an entry are those of all folders."""
    opened(root, tmp_path)
    text = "\t".join(LABEL_COLUMNS) + "\ndx\tnv\tmelanocytic-nevus\texact\t\t\t\n"
    put(root, "public", text if leaf == "labels.tsv" else 'extends = "public"\ntitle = "Ours"\n', leaf)
    (item,) = (one for one in opened(root, tmp_path).items if one["name"] == "public")
    (plain,) = (one for one in open_catalog().items if one["name"] == "public")
    changed = {key: value for key, value in item.items() if value != plain[key]}
    assert changed == ({"classes": 1} if leaf == "labels.tsv" else {"title": "Ours"})


def test_an_alias_that_an_overlay_takes_from_a_bundled_entry_is_refused(tmp_path: Path) -> None:
    """Whose name it was keeps it, compiled before or not."""
    below, above = tmp_path / "below", tmp_path / "above"
    put(below, "public", entry("public", 'aliases = ["known"]'))
    put(above, "ours", entry("ours", 'aliases = ["known"]'))
    index = compiling.build_index([below, above], compiling.build_index([below]))
    assert index["aliases"] == {"known": "public"}
    assert "the alias known already means public" in index["broken"]["ours"]
    assert index == compiling.build_index([below, above])
