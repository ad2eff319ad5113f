"""Where the files of rows may be: in the cache or beside the manifest, links resolved; everything else is refused."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from dermdata.errors import BadTable, ImagesMissing, StorageError
from dermdata.manifest import image_files
from dermdata.manifest.image_files import (
    ImageFinder,
    NoRegularFile,
    place_paths,
)
from dermdata.manifest.image_roots import ImageRoots, merge_image_roots

Find = Callable[..., str | None]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A cache with the dataset `known`, a manifest's folder `beside`, and what nobody may read in `outside`."""
    for name in (
        "cache/datasets/known/1/a.jpg",
        "beside/own.jpg",
        "beside/more/deep.jpg",
        "outside/secret.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def roots(house: Path) -> ImageRoots:
    datasets = house / "cache" / "datasets"
    beside = {"known": [house / "beside"], "mine": [house / "beside"], "": [house / "beside"]}
    return ImageRoots({"known": datasets / "known" / "1"}, beside, datasets)


@pytest.fixture
def find(roots: ImageRoots) -> Find:
    return lambda path, dataset="mine": ImageFinder(roots).find(str(path), dataset)


@pytest.mark.parametrize(
    ("path", "dataset"),
    [
        ("/etc/passwd", "mine"),
        ("/etc/passwd", "known"),
        ("/etc/passwd", None),
        ("/etc", "mine"),
        ("/dev/zero", "mine"),
        ("/", "mine"),
        ("HOUSE/outside/secret.jpg", "mine"),
        ("HOUSE/outside/secret.jpg", "known"),
        ("HOUSE/beside/../outside/secret.jpg", "mine"),
        ("HOUSE/cache/datasets/../../outside/secret.jpg", "known"),
        ("../outside/secret.jpg", "mine"),
        ("more/../own.jpg", "mine"),
    ],
)
def test_what_lies_elsewhere_is_refused(house: Path, find: Find, path: str, dataset: str | None) -> None:
    """Named absolutely or by climbing; the error names the path."""
    whole = path.replace("HOUSE", str(house))
    with pytest.raises(BadTable, match="leads out of the folder") as refused:
        find(whole, dataset)
    assert whole in refused.value.message


def test_a_folder_of_a_like_name_is_another_one(house: Path, find: Find) -> None:
    """`beside-evil` begins with the letters of `beside`."""
    (house / "beside-evil").mkdir()
    (house / "beside-evil" / "x.jpg").touch()
    with pytest.raises(BadTable, match="leads out of"):
        find(house / "beside-evil" / "x.jpg")


@pytest.mark.parametrize("dataset", ["mine", "known"])
@pytest.mark.parametrize("way", ["file", "folder", "folder within", "link to a link", "hidden in the cache"])
def test_links_that_lead_out_are_refused(house: Path, find: Find, way: str, dataset: str) -> None:
    """At the path's end, on its way, by way of others; the error says where they lead to."""
    home, outside = (
        (house / "beside" if dataset == "mine" else house / "cache/datasets/known/1"),
        house / "outside",
    )
    if way in ("file", "link to a link"):
        (home / "first").symlink_to(outside / "secret.jpg")
        (home / "second").symlink_to(home / "first")
        path = "first" if way == "file" else "second"
    elif way == "hidden in the cache":
        (house / "cache/datasets/known/1/in.jpg").symlink_to(outside / "secret.jpg")
        (home / "x").symlink_to(house / "cache/datasets/known/1/in.jpg")
        path = "x"
    else:
        (home / "sub").mkdir()
        (home / ("lnk" if way == "folder" else "sub/lnk")).symlink_to(outside, target_is_directory=True)
        path = "lnk/secret.jpg" if way == "folder" else "sub/lnk/secret.jpg"
    with pytest.raises(BadTable, match="leads out of") as refused:
        find(path, dataset)
    assert str(outside / "secret.jpg") in refused.value.message


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "link to a device", "link to a pipe", "circle"])
def test_only_regular_files_are_opened(
    house: Path, find: Find, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the manifest as well; nothing waits for a pipe."""
    place = house / "beside" / "it"
    monkeypatch.chdir(place.parent)
    if kind == "folder":
        place.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("it")
    elif kind == "circle":
        place.symlink_to("it")
    else:
        os.mkfifo(house / "beside" / ("pipe" if "link" in kind else "it"))
        if kind == "link to a pipe":
            place.symlink_to("pipe")
        elif kind == "link to a device":
            place.symlink_to("/dev/zero")
    with pytest.raises(BadTable) as refused:
        find("it")
    assert isinstance(refused.value, NoRegularFile) or kind == "link to a device"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a\0b.jpg", "holds a NUL"),
        ("/etc/passwd\0.jpg", "holds a NUL"),
        ("n" * 256, "is too long"),
        ("é" * 200, "is too long"),
        ("a/" * 3000 + "x.jpg", "is too long"),
    ],
)
def test_what_no_file_can_be_called_is_refused(find: Find, path: str, said: str) -> None:
    """In words of a bounded length."""
    with pytest.raises(BadTable, match=said) as refused:
        find(path)
    assert len(refused.value.message) < 400


def test_the_row_is_named_in_what_is_refused(roots: ImageRoots, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its key, else by dataset and image; in any column, in blocks of any size."""
    monkeypatch.setattr(image_files, "BLOCK", 2)
    whole = [{"dataset": "mine", "image_id": str(number), "path": "own.jpg"} for number in range(5)]
    for column, value in (
        ("path", "/etc/passwd"),
        ("mask_path", "/etc/passwd"),
        ("masks", [("net", "/etc/passwd")]),
    ):
        rows = [dict(row) for row in whole]
        rows[3] |= {column: value}
        kind = pa.map_(pa.string(), pa.string()) if column == "masks" else pa.string()
        table = pa.Table.from_pylist(rows, pa.schema([*map(text, ("dataset", "image_id", "path")), (column, kind)])
                                     if column != "path" else None)  # fmt: skip
        with pytest.raises(BadTable, match="/etc/passwd of mine/3 leads out"):
            list(ImageFinder(roots).path_blocks(table, column))
        table = table.append_column("key", pa.array([f"k{number}" for number in range(5)]))
        with pytest.raises(BadTable, match="/etc/passwd of k3 leads out"):
            list(ImageFinder(roots).path_blocks(table, column))


def text(name: str) -> tuple[str, pa.DataType]:
    return name, pa.string()


def test_the_hint_says_what_to_do(find: Find) -> None:
    with pytest.raises(BadTable) as refused:
        find("/etc/passwd")
    assert "move them into its folder" in (refused.value.hint or "")


# ------------------------------------------------------------------ what is found


@pytest.mark.parametrize(
    ("path", "dataset", "end"),
    [
        ("a.jpg", "known", "cache/datasets/known/1/a.jpg"),
        ("own.jpg", "mine", "beside/own.jpg"),
        ("more/deep.jpg", None, "beside/more/deep.jpg"),
        ("HOUSE/cache/datasets/known/1/a.jpg", "known", "cache/datasets/known/1/a.jpg"),
        ("HOUSE/cache/datasets/known/1/a.jpg", "mine", "cache/datasets/known/1/a.jpg"),
        ("HOUSE/beside/own.jpg", "known", "beside/own.jpg"),
    ],
)
def test_files_in_the_cache_and_beside_the_manifest_are_found(
    house: Path, find: Find, path: str, dataset: str | None, end: str
) -> None:
    """Also by absolute paths, as `export csv` writes them."""
    assert find(path.replace("HOUSE", str(house)), dataset) == str(house / end)


@pytest.mark.parametrize(
    "path",
    ["gone.jpg", "no/such/folder.jpg", "own.jpg/x", "", "/nowhere/x.jpg", "/etc/no-such-file", "dangling"],
)
def test_nothing_there_is_a_row_without_an_image(house: Path, find: Find, path: str) -> None:
    """Wherever it would be: a manifest of another machine names what this one has not."""
    (house / "beside" / "dangling").symlink_to(house / "beside" / "gone")
    assert find(path) is None


def test_a_link_that_stays_within_is_followed_to_its_end(house: Path, find: Find) -> None:
    """So that what is opened is no link."""
    (house / "beside" / "link.jpg").symlink_to("more/deep.jpg")
    (house / "beside" / "to-cache.jpg").symlink_to(house / "cache/datasets/known/1/a.jpg")
    (house / "beside" / "folder").symlink_to("more", target_is_directory=True)
    assert find("link.jpg") == str(house / "beside/more/deep.jpg")
    assert find("to-cache.jpg") == str(house / "cache/datasets/known/1/a.jpg")
    assert find("folder/deep.jpg") == str(house / "beside/folder/deep.jpg")


def test_a_cache_and_a_dataset_may_lie_behind_links_of_the_persons_own(house: Path) -> None:
    """A link to a larger disk is usual."""
    (house / "cache/datasets/known").rename(house / "disk")
    (house / "cache/datasets/known").symlink_to(house / "disk", target_is_directory=True)
    (house / "way").symlink_to(house / "cache", target_is_directory=True)
    datasets = house / "way" / "datasets"
    finder = ImageFinder(ImageRoots({"known": datasets / "known" / "1"}, {}, datasets))
    assert finder.find("a.jpg", "known") == str(datasets / "known/1/a.jpg")


def test_hard_links_are_files(house: Path, find: Find) -> None:
    """Datasets that share an image have one file under two names."""
    (house / "beside" / "hard.jpg").hardlink_to(house / "cache/datasets/known/1/a.jpg")
    assert find("hard.jpg") == str(house / "beside/hard.jpg")


def test_each_folder_is_looked_at_once(
    house: Path, roots: ImageRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400,000 rows: a look at each would take minutes on a network file system."""
    for number in range(100):
        (house / "beside" / f"{number}.jpg").touch()
    looks: list[str] = []
    for name in ("scandir", "lstat", "stat"):
        whole = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, whole=whole, **more: looks.append(given[0]) or whole(*given, **more)
        )
    finder = ImageFinder(roots)
    assert all(finder.find(f"{number}.jpg", "mine") for number in range(100))
    assert finder.find("gone.jpg", "mine") is None
    assert len([one for one in looks if str(one).endswith("beside")]) <= 5
    # what is not listed is asked for: a disk may list it in other letters
    assert [one for one in looks if str(one).endswith(".jpg")] == [str(house / "beside/gone.jpg")]


def test_a_folder_that_cannot_be_looked_into_is_told(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(StorageError, match=r"cannot look into .*beside: Permission denied"):
        find("own.jpg")


# ------------------------------------------------------------------ several manifests


def test_relative_paths_of_manifests_in_two_folders_are_refused(house: Path) -> None:
    """Nothing tells which manifest a row is from: the first one's folder would give another's image."""
    finder = ImageFinder(ImageRoots({}, {"mine": [house / "beside", house / "outside"]}))
    with pytest.raises(BadTable, match="may start in any of several folders"):
        finder.find("own.jpg", "mine")
    with pytest.raises(BadTable, match="leads out of"):
        finder.find(str(house / "outside/secret.jpg"), "mine")


def test_the_manifest_of_another_dataset_opens_nothing_beside_it(house: Path) -> None:
    """What lies beside mine is not for the rows of theirs."""
    roots = ImageRoots({}, {"mine": [house / "outside"], "theirs": [house / "beside"]})
    assert ImageFinder(roots).find("secret.jpg", "mine")
    with pytest.raises(BadTable, match="leads out of"):
        ImageFinder(roots).find(str(house / "outside/secret.jpg"), "theirs")


def test_a_manifest_in_the_root_does_not_open_the_whole_disk() -> None:
    """A container's working folder is often `/`."""
    finder = ImageFinder(ImageRoots({}, {"mine": [Path("/")]}))
    with pytest.raises(BadTable, match="would start from the whole disk"):
        finder.find("etc/passwd", "mine")
    with pytest.raises(BadTable, match="leads out of"):
        finder.find("/etc/passwd", "mine")


def test_rows_of_no_known_folder_are_refused(roots: ImageRoots) -> None:
    with pytest.raises(BadTable, match="no folder is known"):
        ImageFinder(roots).find("a.jpg", "stranger")


def test_one_folder_spelled_in_two_ways_is_one(house: Path) -> None:
    (house / "alias").symlink_to(house / "beside", target_is_directory=True)
    finder = ImageFinder(
        ImageRoots({}, {"mine": [house / "beside", house / "alias", house / "outside/../beside"]})
    )
    assert finder.find("own.jpg", "mine") == str(house / "beside/own.jpg")


def test_roots_of_several_loads_together(house: Path) -> None:
    """As a mapping they say where relative paths start."""
    one, other = ImageRoots({"a": house / "a"}, {}, house), ImageRoots({}, {"b": [house / "beside"]}, house)
    assert merge_image_roots([one, other]) == {"a": house / "a", "b": house / "beside"}
    assert merge_image_roots([{"c": house}]).datasets is None


# ------------------------------------------------------------------ several caches, and other machines' paths


@pytest.fixture
def shared(house: Path) -> ImageRoots:
    """A further cache, which has one image more of `known` and all of `clinic`, which no catalog knows."""
    for name in ("known/1/b.jpg", "known/1/a.jpg", "clinic/3/c.jpg", "clinic/2/c.jpg"):
        path = house / "shared/datasets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    own, further = house / "cache/datasets", house / "shared/datasets"
    return ImageRoots(
        {"known": own / "known/1"},
        {"known": [house / "beside"], "clinic": [house / "beside"]},
        own,
        {"known": [further / "known/1"], "clinic": [further / "clinic/2", further / "clinic/3"]},
        [further],
    )


@pytest.mark.parametrize(
    ("path", "dataset", "end"),
    [
        ("a.jpg", "known", "cache/datasets/known/1/a.jpg"),
        ("b.jpg", "known", "shared/datasets/known/1/b.jpg"),
        ("own.jpg", "known", "beside/own.jpg"),
        ("c.jpg", "clinic", "shared/datasets/clinic/2/c.jpg"),
        ("HOUSE/shared/datasets/known/1/a.jpg", "known", "shared/datasets/known/1/a.jpg"),
        ("/scratch/ada/datasets/known/1/a.jpg", "known", "cache/datasets/known/1/a.jpg"),
        ("/scratch/ada/datasets/known/1/b.jpg", "known", "shared/datasets/known/1/b.jpg"),
        ("/scratch/datasets/known/0/datasets/known/1/b.jpg", "known", "shared/datasets/known/1/b.jpg"),
        ("/scratch/ada/datasets/clinic/3/c.jpg", "clinic", "shared/datasets/clinic/3/c.jpg"),
        ("/scratch/ada/datasets/known/1/a.jpg", "clinic", None),
        ("/scratch/ada/datasets/known/1/sub/a.jpg", "known", None),
        ("/scratch/ada/datasets/known/1", "known", None),
    ],
)
def test_caches_are_looked_through_in_their_order(
    house: Path, shared: ImageRoots, path: str, dataset: str, end: str | None
) -> None:
    """Then the manifest's folder; a path into another machine's cache is looked for by dataset and relative path."""
    found = ImageFinder(shared).find(path.replace("HOUSE", str(house)), dataset)
    assert found == (end and str(house / end))


@pytest.mark.parametrize(
    "path",
    [
        "HOUSE/outside/datasets/known/1/a.jpg",
        "HOUSE/outside/datasets/known/1/only-outside.jpg",
        "HOUSE/outside/datasets/known/1/../../../secret.jpg",
        "HOUSE/cache/datasets/known/1/../../../../outside/secret.jpg",
    ],
)
def test_a_cache_that_is_none_of_ours_is_never_read(house: Path, shared: ImageRoots, path: str) -> None:
    """Its like in our own caches is, else nothing; and `..` is refused as ever."""
    for name in ("a.jpg", "only-outside.jpg"):
        (house / "outside/datasets/known/1").mkdir(parents=True, exist_ok=True)
        (house / "outside/datasets/known/1" / name).write_text("another's")
    finder = ImageFinder(shared)
    if ".." in path:
        with pytest.raises(BadTable, match="leads out of"):
            finder.find(path.replace("HOUSE", str(house)), "known")
        return
    found = finder.find(path.replace("HOUSE", str(house)), "known")
    assert found == (None if "only" in path else str(house / "cache/datasets/known/1/a.jpg"))


def test_what_is_not_found_is_counted_once_and_named(house: Path, shared: ImageRoots) -> None:
    """In any column, however often it is looked for; the hint names a cache that would help."""
    rows = [
        {"dataset": "known", "key": "known/1", "path": "a.jpg", "mask_path": "no-mask.png"},
        {"dataset": "known", "key": "known/2", "path": f"{house}/other/datasets/known/1/x.jpg", "mask_path": None},
        {"dataset": "clinic", "key": None, "path": "gone.jpg", "mask_path": None},
        {"dataset": "clinic", "key": "clinic/4", "path": None, "mask_path": None},
    ]  # fmt: skip
    (house / "other/datasets").mkdir(parents=True)
    table, finder = pa.Table.from_pylist(rows), ImageFinder(shared)
    for _ in range(2):
        assert [bool(one) for one in finder.column_paths(table)] == [True, False, False, False]
        assert not any(finder.column_paths(table, "mask_path"))
    assert (len(finder.missing), finder.missing.datasets) == (3, {"known", "clinic"})
    assert finder.missing.first == [
        ("known/2", f"{house}/other/datasets/known/1/x.jpg"), ("clinic", "gone.jpg"), ("known/1", "no-mask.png"),
    ]  # fmt: skip
    caches = shared.cache_folders
    finder.missing.require_none(caches, allowed=True)
    with pytest.raises(ImagesMissing, match=r"3 image files that rows name are not found: known/2") as told:
        finder.missing.require_none(caches)
    assert told.value.exit_code == 8
    for word in (
        f"looked for in {house}/cache and {house}/shared and beside the manifest",
        f":{house}/other`",
        "--allow",
    ):
        assert word in (told.value.hint or "")


@pytest.mark.parametrize(
    ("path", "dataset", "absolute", "relative"),
    [
        ("a.jpg", "known", "cache/datasets/known/1/a.jpg", "a.jpg"),
        ("b.jpg", "known", "shared/datasets/known/1/b.jpg", "b.jpg"),
        ("own.jpg", "known", "beside/own.jpg", "own.jpg"),
        ("more/deep.jpg", "clinic", "beside/more/deep.jpg", "more/deep.jpg"),
        ("/scratch/datasets/known/1/b.jpg", "known", "shared/datasets/known/1/b.jpg", "b.jpg"),
        ("link.jpg", "known", "cache/datasets/known/1/link.jpg", "link.jpg"),
        ("gone.jpg", "known", None, "gone.jpg"),
        ("/scratch/datasets/known/1/gone.jpg", "known", None, "gone.jpg"),
        ("/elsewhere/gone.jpg", "known", None, "/elsewhere/gone.jpg"),
    ],
)
def test_paths_are_written_absolutely_or_relatively(
    house: Path, shared: ImageRoots, path: str, dataset: str, absolute: str | None, relative: str
) -> None:
    """As any program opens them; or as dermdata finds them on any machine. What is not there stays as it is."""
    (house / "cache/datasets/known/1/link.jpg").symlink_to("a.jpg")
    table = pa.Table.from_pylist([{"dataset": dataset, "path": path}])
    whole = place_paths(table, ImageFinder(shared), "absolute", None)
    assert whole["path"].to_pylist() == [str(house / absolute) if absolute else path]
    for given in (table, whole):
        short = place_paths(given, ImageFinder(shared), "relative", house / "beside")
        assert short["path"].to_pylist() == [relative]


def test_absolute_paths_have_no_detours(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache given as `../cache` is where it is, also behind a link."""
    (house / "deep/er").mkdir(parents=True)
    (house / "way").symlink_to(house / "deep/er", target_is_directory=True)
    monkeypatch.chdir(house / "beside")
    for start in (
        "../cache/datasets/known/1",
        "./../cache//datasets/known/1",
        f"{house}/way/../../cache/datasets/known/1",
    ):
        finder = ImageFinder(ImageRoots({"known": Path(start)}, {}, Path("../cache/datasets")))
        assert finder.name_absolutely("a.jpg", "known") == str(house / "cache/datasets/known/1/a.jpg")
