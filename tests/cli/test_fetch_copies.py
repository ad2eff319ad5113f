"""A host that refuses: the next copy stands in with the same rows, says so everywhere, and is never mixed."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dermdata import open_session
from dermdata.errors import PersonMustAct, UnknownName
from dermdata.manifest.parquet import manifest_metadata
from support.archive_builders import zipped
from support.cached_folders import below
from support.catalog_folders import put
from support.copies import REFUSALS, STORE, CopiedOurs, serve_archive
from support.made_up_dataset import ROWS, label_of, name_of, picture, pictures_in
from support.servers import Site

pytestmark = pytest.mark.usefixtures("small_catalog")


@pytest.fixture
def ours(tmp_path: Path, site: Site) -> CopiedOurs:
    return CopiedOurs(tmp_path, site).usual()


@pytest.fixture
def fetch(cli: Callable, ours: CopiedOurs) -> Callable[..., Any]:
    """A fetch of the dataset by these options."""
    options = ours.options
    return lambda *words: cli(*options, "fetch", "ours", *words)


def columns(folder: Path, *names: str) -> list[tuple[Any, ...]]:
    with pq.ParquetFile(folder / "manifest.parquet") as file:
        table = file.read(list(names))
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def receipt(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "receipt.json").read_bytes())
    return found


def history(folder: Path) -> list[str]:
    with pq.ParquetFile(folder / "manifest.parquet") as file:
        facts = manifest_metadata(file.read([]))
    found: list[str] = json.loads(facts.get("history", "[]"))
    return found


OFFICIAL_ROWS = [(name_of(one), label_of(one), True) for one in range(ROWS)]


def rows_of(folder: Path) -> list[tuple[str, str, bool]]:
    """Id and label of each row, and whether its image is here."""
    return [
        (key, label, path is not None)
        for key, label, path in columns(folder, "image_id", "label_raw", "path")
    ]


# ------------------------------------------------------------------ a host that refuses


@pytest.mark.parametrize("kind", REFUSALS)
def test_where_the_publisher_refuses_the_first_copy_stands_in(
    cli: Callable, ours: CopiedOurs, fetch: Callable, folder: Path, kind: str
) -> None:
    """The same rows under the same labels, ages too; told, on record, and nothing left to do."""
    ours.refuse(data=kind)
    done = fetch("--format", "json")
    assert done.code == 0, done.err
    assert "Ours comes from store, whose bytes are likely the same" in done.err
    assert json.loads(done.out)["items"][0]["copy"] == "store"
    assert rows_of(folder) == OFFICIAL_ROWS
    assert columns(folder, "age", "verified") == [(20.0 + one, False) for one in range(ROWS)]
    known = receipt(folder)
    assert (known["copy"], known["left_out"]) == ("store", ["masks.zip"])
    assert {one["copy"] for one in known["files"]} == {"store"}
    assert history(folder) == ["fetch ours --copy=store"]
    assert "masks.zip (masks)" in done.err
    assert "no `extra`" in done.err
    ours.asked()
    again = fetch()
    assert (again.code, ours.asked()) == (0, [])
    assert "from store, nothing to do" in again.err
    assert cli(*ours.options, "verify", "ours").code == 0


@pytest.mark.parametrize(("kind", "code"), [("challenge", 6), ("captcha", 6), ("gone", 3), ("missing", 3)])
def test_where_all_refuse_each_is_named_with_the_way_by_hand(
    ours: CopiedOurs, fetch: Callable, folder: Path, kind: str, code: int
) -> None:
    """Nothing of an answer is kept."""
    ours.refuse(data=kind, store="forbidden", large="empty")
    done = fetch()
    assert (done.code, done.out) == (code, "")
    (error,) = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert all(word in error for word in ("its publisher: ", "store: ", "large: "))
    (hint,) = [line for line in done.err.splitlines() if line.startswith("hint:")]
    assert "--from" in hint
    assert not folder.exists()


def test_a_copy_that_refuses_midway_leaves_nothing_beside_the_next(
    ours: CopiedOurs, fetch: Callable, folder: Path
) -> None:
    ours.refuse(data="challenge", pictures_zip="forbidden")
    done = fetch()
    assert done.code == 0, done.err
    assert rows_of(folder) == OFFICIAL_ROWS
    assert receipt(folder)["copy"] == "large"
    assert not [path for path in below(folder) if "classes" in path or "ages.csv" in path]


def test_without_copies_nobody_else_is_asked(ours: CopiedOurs, fetch: Callable, folder: Path) -> None:
    ours.refuse(data="challenge")
    done = fetch("--no-copies")
    assert done.code == 6
    assert "without --no-copies it may come from store, large" in done.err
    assert ours.asked_hosts() == {"data"}
    assert not folder.exists()


def test_what_only_the_publisher_has_is_not_sought_in_copies(ours: CopiedOurs, fetch: Callable) -> None:
    ours.refuse(data="gone")
    assert fetch("--only", "masks").code == 3
    assert ours.asked_hosts() == {"data"}


def test_a_wrong_checksum_is_no_refusal(ours: CopiedOurs, cli: Callable) -> None:
    """The person must know of it: a copy in its place would hide it."""
    role, data, more = ours.files["a.zip"]
    ours.put("a.zip", role, data, f'{more}\nchecksum = "sha256:{"0" * 64}"')
    done = cli(*ours.options, "fetch", "ours")
    assert (done.code, "comes from" in done.err) == (4, False)


# ------------------------------------------------------------------ what is here stays


def test_only_what_is_not_here_comes_from_the_copy(ours: CopiedOurs, fetch: Callable, folder: Path) -> None:
    """Table, masks and half of the images are the publisher's own: only the other half is read, by ranges."""
    ours.refuse(b_zip="challenge")
    done = fetch()
    assert done.code == 0, done.err
    assert rows_of(folder) == OFFICIAL_ROWS
    places = [path.rpartition("/")[0] for (path,) in columns(folder, "path")]
    assert places == ["images/a"] * 20 + ["images/pictures"] * 20
    assert [mask is not None for (mask,) in columns(folder, "mask_path")] == [True] * ROWS
    assert all(wanted for _, wanted in ours.asked("pictures.zip"))
    assert {one["name"]: one["copy"] for one in receipt(folder)["files"]} == {
        "a.zip": None, "masks.zip": None, "table.csv": None, "pictures.zip": "store",
    }  # fmt: skip
    assert (fetch().code, ours.asked()) == (0, [])


def test_a_copy_completes_files_of_ones_own(
    ours: CopiedOurs, fetch: Callable, folder: Path, tmp_path: Path
) -> None:
    """Downloaded by hand: what is missing of them is no reason to leave it at that."""
    for name in ("table.csv", "a.zip"):
        (tmp_path / name).write_bytes(ours.files[name][1])
    assert fetch("--from", tmp_path / "table.csv", "--from", tmp_path / "a.zip").code == 8
    ours.refuse(data="challenge")
    done = fetch()
    assert done.code == 0, done.err
    assert rows_of(folder) == OFFICIAL_ROWS
    places = [path.rpartition("/")[0] for (path,) in columns(folder, "path")]
    assert places == ["images/a"] * 20 + ["images/pictures"] * 20
    ours.asked()
    assert (fetch().code, ours.asked()) == (0, [])


def test_of_an_archive_that_holds_more_only_the_images_of_the_rows_come(
    ours: CopiedOurs, fetch: Callable, folder: Path
) -> None:
    ours.refuse(data="challenge", store="gone")
    done = fetch()
    assert done.code == 0, done.err
    assert rows_of(folder) == OFFICIAL_ROWS
    assert pictures_in(folder) == {name_of(one) for one in range(ROWS)}
    assert all(wanted for _, wanted in ours.asked("large.zip"))
    assert (fetch().code, ours.asked()) == (0, [])


def test_the_publisher_replaces_a_copy_only_when_told_to(
    ours: CopiedOurs, fetch: Callable, folder: Path
) -> None:
    """And then wholly: no file of the copy is left."""
    ours.refuse(data="challenge")
    fetch()
    ours.refuse(data="")
    for words in ((), ("--no-copies",), ("--copy", "large")):
        assert "from store, nothing to do" in fetch(*words).err
    done = fetch("--force")
    assert done.code == 0, done.err
    assert receipt(folder)["copy"] is None
    assert not [path for path in below(folder) if "pictures" in path or "classes" in path]
    assert {path.partition("/")[0] for (path,) in columns(folder, "path")} == {"images"}
    assert history(folder) == []


@pytest.mark.parametrize("words", [("--force",), ("--force", "--copy", "store")])
def test_force_that_is_refused_leaves_what_is_here(
    ours: CopiedOurs, fetch: Callable, folder: Path, words: tuple
) -> None:
    fetch()
    before = below(folder)
    ours.refuse(data="challenge", store="forbidden")
    assert fetch(*words).code in (3, 6)
    assert below(folder) == before
    assert "nothing to do" in fetch().err


def test_masks_that_the_copy_lacks_come_when_the_publisher_gives_them_again(
    ours: CopiedOurs, fetch: Callable, folder: Path
) -> None:
    ours.refuse(data="challenge")
    fetch()
    assert fetch("--only", "masks").code == 6
    ours.refuse(data="")
    assert fetch("--only", "masks").code == 0
    assert [mask is not None for (mask,) in columns(folder, "mask_path")] == [True] * ROWS
    assert receipt(folder)["copy"] == "store"


# ------------------------------------------------------------------ identity


def changed_store(ours: CopiedOurs, options: list[str]) -> None:
    """The first image at the store is another one."""
    members = {f"{name_of(one)}.jpg": picture(one + 1000 * (not one)) for one in range(ROWS)}
    ours.site.put(f"{STORE}pictures.zip", zipped(members, zipfile.ZIP_STORED))


def known_images(ours: CopiedOurs, root: Path) -> None:
    """The catalog knows size and CRC-32 of the publisher's images."""
    lines = [f"{name_of(one)}\t{len(picture(one))}\t{zlib.crc32(picture(one)):08x}" for one in range(ROWS)]
    put(root / "catalog", "ours", "\n".join(["image\tsize\tcrc32", *lines, ""]), "images.tsv")


@pytest.mark.parametrize("where", ["here", "catalog"])
@pytest.mark.parametrize("other", [False, True])
def test_images_are_compared_with_what_is_known_of_the_publishers(
    cli: Callable, ours: CopiedOurs, tmp_path: Path, where: str, other: bool
) -> None:
    """With those that are here, or with the catalog's list of them; told either way."""
    options = ours.options
    if where == "catalog":
        known_images(ours, tmp_path)
    ours.refuse(**{"b_zip" if where == "here" else "data": "challenge"})
    if other:
        changed_store(ours, options)
    done = cli(*options, "fetch", "ours")
    assert done.code == 0, done.err
    count = 20 if where == "here" else ROWS
    told = (
        f"warning: store: 1 of {count} images has another size"
        if other
        else f"store: {count} images have the"
    )
    assert told in done.err


def test_a_copy_that_is_called_the_same_and_is_not_is_passed_over(
    cli: Callable, ours: CopiedOurs, folder: Path, tmp_path: Path
) -> None:
    ours.table = ours.table.replace('"likely same"', '"same"', 1)
    options = ours.options
    known_images(ours, tmp_path)
    ours.refuse(data="challenge")
    changed_store(ours, options)
    done = cli(*options, "fetch", "ours")
    assert done.code == 0, done.err
    assert receipt(folder)["copy"] == "large"
    assert not [path for path in below(folder) if "pictures" in path]


@pytest.mark.parametrize(("bytes_", "verified"), [("same", True), ("likely same", False)])
def test_a_checksum_verifies_the_images_of_a_copy_of_the_same_bytes(
    cli: Callable, ours: CopiedOurs, folder: Path, bytes_: str, verified: bool
) -> None:
    ours.table = ours.table.replace('"likely same"', f'"{bytes_}"', 1)
    options = ours.options
    path = ours.root / "catalog" / "datasets" / "store" / "dataset.toml"
    sum_ = hashlib.sha256(ours.others[f"{STORE}pictures.zip"]).hexdigest()
    path.write_text(path.read_text().replace('unpack = "zip"', f'unpack = "zip"\nchecksum = "sha256:{sum_}"'))
    ours.refuse(data="challenge")
    assert cli(*options, "fetch", "ours").code == 0
    assert {one for (one,) in columns(folder, "verified")} == {verified}


@pytest.mark.parametrize("line", ["a", "a\tb\tc", "a\t1\t1234567", "\t1\t12345678"])
def test_a_broken_list_of_images_is_named(cli: Callable, ours: CopiedOurs, tmp_path: Path, line: str) -> None:
    options = ours.options
    put(tmp_path / "catalog", "ours", f"image\tsize\tcrc32\n{line}\n", "images.tsv")
    ours.refuse(data="challenge")
    done = cli(*options, "fetch", "ours")
    assert (done.code, "images.tsv, line 2: must be image, size and crc32" in done.err) == (2, True)


# ------------------------------------------------------------------ other commands


def test_parts_repairs_and_locks_go_by_the_copy(
    cli: Callable, ours: CopiedOurs, fetch: Callable, folder: Path, tmp_path: Path
) -> None:
    ours.refuse(data="challenge")
    done = fetch("--limit", "5")
    assert (done.code, len(pictures_in(folder))) == (0, 5), done.err
    assert history(folder) == ["fetch ours --copy=store --limit=5"]
    lock, options = tmp_path / "some.lock", ours.options
    assert cli(*options, "lock", "ours", "-o", lock).code == 0
    assert fetch().code == 0
    assert rows_of(folder) == OFFICIAL_ROWS
    (folder / "images" / "pictures" / f"{name_of(7)}.jpg").write_bytes(b"broken")
    assert cli(*options, "verify", "ours", "--repair").code == 0
    assert cli(*options, "cache", "remove", "ours").code == 0
    done = cli(*options, "sync", lock, "-o", tmp_path / "rows.parquet")
    assert done.code == 0, done.err
    assert receipt(folder)["copy"] == "store"


def test_files_of_ones_own_complete_a_copy(
    cli: Callable, ours: CopiedOurs, fetch: Callable, folder: Path, tmp_path: Path
) -> None:
    ours.refuse(data="challenge")
    fetch()
    own = tmp_path / "masks.zip"
    own.write_bytes(ours.files["masks.zip"][1])
    assert fetch("--from", own).code == 0
    assert [mask is not None for (mask,) in columns(folder, "mask_path")] == [True] * ROWS


def test_a_copy_of_other_rows_stands_in_only_by_its_name(
    ours: CopiedOurs, fetch: Callable, folder: Path
) -> None:
    ours.refuse(data="challenge", store="gone", large_zip="gone")
    done = fetch()
    assert (done.code, "`--copy others`" in done.err) == (6, True)
    ours.refuse(large_zip="")
    assert fetch("--copy", "others").code == 0
    assert len(columns(folder, "image_id")) == 3 * ROWS


def test_a_dry_run_lists_the_copies(ours: CopiedOurs, fetch: Callable) -> None:
    rows = [line.split("\t") for line in fetch("--dry-run").out.splitlines()]
    assert [(row[2], row[-1]) for row in rows if row[1] == "alternative"] == [
        ("store", "likely same"), ("large", "likely same"), ("others", "re-encoded, only with --copy"),
    ]  # fmt: skip
    large = [line.split("\t")[1:3] for line in fetch("--dry-run", "--copy", "large").out.splitlines()]
    assert ["pick", "large.zip"] in large


def test_python_takes_and_forbids_copies_as_the_command_does(ours: CopiedOurs, tmp_path: Path) -> None:
    options = dict(zip(ours.options[::2], ours.options[1::2], strict=True))
    source, _, target = options["--rewrite"].partition("=")
    session = open_session(
        cache=tmp_path / "cache", catalogs=[options["--catalog"]], rewrite={source: target}, progress=False
    )
    ours.refuse(data="challenge")
    with pytest.raises(PersonMustAct, match=r"data\.example"):
        session.fetch("ours", copies=False)
    assert [row["file"] for row in session.plan_fetch("ours") if row["step"] == "alternative"][:1] == [
        "store"
    ]
    rows = session.fetch("ours", copy="large")
    assert (len(rows), rows.history) == (ROWS, ("fetch ours --copy=large",))
    with pytest.raises(UnknownName) as error:
        session.fetch("ours", copy="larg")
    assert error.value.near == ["large"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--copy", "stor"), "did you mean store?"),
        (("--copy", "zzz"), "it has store, large, others"),
        (("--copy", "store", "--no-copies"), "leave one of them out"),
        (("--copy", "store", "--mirror-out", "m"), "leave --copy out"),
        (("--no-copy",), "--no-copies"),
    ],
)
def test_options_that_cannot_be_ask_nobody(
    ours: CopiedOurs, fetch: Callable, words: tuple, hint: str
) -> None:
    done = fetch(*words)
    assert (done.code, hint in done.err, ours.asked()) == (2, True, [])


# ------------------------------------------------------------------ an archive's listing


def test_of_a_listing_only_the_images_of_the_rows_come(cli: Callable, site: Site, tmp_path: Path) -> None:
    """Re-encoded images by id, under the publisher's own table, which is here."""
    options = serve_archive(tmp_path / "more", site)
    done = cli(*options, "fetch", "tiny")
    assert done.code == 0, done.err
    assert "Tiny comes from isic-7, whose images are encoded anew: other bytes" in done.err
    folder = tmp_path / "cache" / "datasets" / "tiny" / "unversioned"
    ids = [f"ISIC_{number:07d}" for number in range(4)]
    assert columns(folder, "image_id", "label_raw", "verified") == [(one, "nv", False) for one in ids]
    assert pictures_in(folder) == set(ids)
    site.requests.clear()
    again = cli(*options, "fetch", "tiny")
    assert (again.code, site.requests, "nothing to do" in again.err) == (0, [], True)
    (folder / "images" / "images" / f"{ids[0]}.jpg").write_bytes(b"broken")
    assert cli(*options, "verify", "tiny", "--repair").code == 0


def test_a_listing_of_other_rows_comes_with_its_own_records(
    cli: Callable, site: Site, tmp_path: Path
) -> None:
    """By its name only; neither table nor images of the publisher's stay beside it."""
    options = serve_archive(tmp_path / "more", site)
    assert cli(*options, "fetch", "tiny", "--only", "metadata").code == 0
    done = cli(*options, "fetch", "tiny", "--copy", "isic-9")
    assert done.code == 0, done.err
    folder = tmp_path / "cache" / "datasets" / "tiny" / "unversioned"
    assert len(columns(folder, "image_id")) == 6
    assert {label for (label,) in columns(folder, "label_raw")} == {"Nevus"}
    assert {one["copy"] for one in receipt(folder)["files"]} == {"isic-9"}
    again = cli(*options, "fetch", "tiny")
    assert (again.code, "from isic-9, nothing to do" in again.err) == (0, True)
