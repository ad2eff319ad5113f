"""`dermdata fetch NAME --from PATH`, as a person meets it: taken, told, kept, and nothing downloaded."""

import csv
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.archive_builders import Raw, raw_zip
from support.mirror import Mirror, mirror
from support.own_copies import HOLDER, images, name_of, picture, put, table, zipped
from support.servers import Site

SIX = range(1, 7)
KINDS = (
    "adopt",
    "missing",
    "missing-image",
    "conflict",
    "mismatch",
    "have",
    "build",
    "unreadable",
    "unknown",
)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A whole copy with other names: a table, loose images, a re-zipped rest."""
    files = {"my list.csv": table(SIX), **images([1, 2], "loose/"), "copy.zip": zipped(images([3, 4, 5, 6]))}
    return put(tmp_path / "own", files)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "datasets" / "ddi" / "unversioned"


def receipt(home: Path) -> dict[str, dict[str, Any]]:
    return {file["name"]: file for file in json.loads((home / "receipt.json").read_text())["files"]}


def rows(home: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(home / "manifest.parquet").read().to_pylist()


def plan_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.out)))


# ------------------------------------------------------------------ taken as if downloaded


def test_a_copy_with_other_names_becomes_the_dataset(cli: Callable, own: Path, home: Path) -> None:
    """Rows harmonized, every image with its SHA-256 and decode check, the manifest's path on stdout."""
    answer = cli("fetch", "ddi", "--from", own)
    assert answer.code == 0, answer.err
    assert Path(answer.out.strip()) == home / "manifest.parquet"
    first, second, third, *_ = found = rows(home)
    assert len(found) == 6
    assert {row["image_problem"] for row in found} == {None}
    for row in found:
        data = (home / row["path"]).read_bytes()
        assert data == picture(int(row["image_id"]))
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert [one["fitzpatrick_range"] for one in (first, second, third)] == [[3, 4], [5, 6], [1, 2]]
    assert (third["malignancy"], third["label_raw"]) == ("malignant", "melanoma-in-situ")
    assert cli("verify", "ddi").code == 0


def test_the_receipt_says_where_from_and_that_nothing_was_verified(
    cli: Callable, own: Path, home: Path
) -> None:
    cli("fetch", "ddi", "--from", own)
    files = receipt(home)
    assert files["ddi_metadata.csv"]["recognized"] == files[HOLDER]["recognized"] == "content"
    assert files["ddi_metadata.csv"]["url"] == (own / "my list.csv").as_uri()
    assert files[HOLDER]["url"] == (own / "copy.zip").as_uri() or files[HOLDER]["url"].startswith(
        own.as_uri()
    )
    assert files[HOLDER]["checksum"] is None


def test_the_same_images_in_another_layout_give_the_same_manifest(
    cli: Callable, own: Path, home: Path, tmp_path: Path
) -> None:
    """Not one byte of the manifest tells how a person keeps their files."""
    cli("fetch", "ddi", "--from", own)
    other = put(tmp_path / "flat", {**images(SIX), "ddi_metadata.csv": table(SIX)})
    cli("fetch", "ddi", "--from", other, cache=tmp_path / "second")
    twin = tmp_path / "second" / home.relative_to(tmp_path / "cache")
    assert (home / "manifest.parquet").read_bytes() == (twin / "manifest.parquet").read_bytes()


def test_a_second_call_does_nothing(cli: Callable, own: Path) -> None:
    """With --from or without it; the license is not asked about again either."""
    cli("fetch", "ddi", "--from", own)
    for words in (["--from", own], []):
        answer = cli("fetch", "ddi", *words)
        assert answer.code == 0, answer.err
        assert "already complete, nothing to do" in answer.err
        assert "nothing asks for" not in answer.err


def test_kept_archives_are_only_those_that_were_given_whole(cli: Callable, own: Path, home: Path) -> None:
    """What was put together from pieces is no archive that could be kept."""
    assert cli("fetch", "ddi", "--from", own, "--keep-archives").code == 0
    assert receipt(home)[HOLDER]["path"] is None
    assert cli("verify", "ddi").code == 0


def test_an_official_archive_is_read_where_it_lies(cli: Callable, tmp_path: Path, home: Path) -> None:
    """Neither moved nor copied, unless archives are to be kept."""
    given = put(tmp_path / "own", {HOLDER: zipped(images(SIX)), "ddi_metadata.csv": table(SIX)})
    assert cli("fetch", "ddi", "--from", given).code == 0
    assert receipt(home)[HOLDER]["recognized"] == "name"
    assert (given / HOLDER).exists()
    assert not list(home.rglob("*.zip"))
    assert cli("fetch", "ddi", "--from", given, "--keep-archives", "--force").code == 0
    assert [path.name for path in home.rglob("*.zip")] == [HOLDER]


# ------------------------------------------------------------------ what is missing


def test_missing_images_are_named_and_their_rows_stay(cli: Callable, own: Path, home: Path) -> None:
    """Exit 8; the number and the first names."""
    (own / "copy.zip").unlink()
    answer = cli("fetch", "ddi", "--from", own)
    assert answer.code == 8
    assert "missing: 4 images that the table names: 000003.png, 000004.png" in answer.err
    assert "personal link" in answer.err
    assert [row["image_problem"] for row in rows(home)] == [None] * 2 + ["no such image file"] * 4
    assert receipt(home)[HOLDER]["recognized"] == "part"


def test_what_was_missing_can_be_added_later(cli: Callable, own: Path, home: Path, tmp_path: Path) -> None:
    """From another path alone; what is there is kept."""
    (own / "copy.zip").rename(tmp_path / "rest.zip")
    cli("fetch", "ddi", "--from", own)
    shutil.rmtree(own)
    answer = cli("fetch", "ddi", "--from", tmp_path / "rest.zip")
    assert answer.code == 0, answer.err
    assert {row["image_problem"] for row in rows(home)} == {None}
    assert cli("verify", "ddi").code == 0


def test_an_incomplete_copy_is_not_taken_for_the_whole(cli: Callable, own: Path) -> None:
    """A fetch without --from says again what the person must do."""
    (own / "copy.zip").unlink()
    cli("fetch", "ddi", "--from", own)
    assert cli("fetch", "ddi").code == 6


def test_a_broken_image_is_taken_again_from_the_copy(cli: Callable, own: Path, home: Path) -> None:
    cli("fetch", "ddi", "--from", own)
    (home / rows(home)[0]["path"]).write_bytes(b"")
    assert cli("fetch", "ddi").code == 6
    assert cli("fetch", "ddi", "--from", own).code == 0
    assert cli("verify", "ddi").code == 0


def test_a_broken_piece_is_mended_by_the_whole_official_archive(
    cli: Callable, own: Path, home: Path, tmp_path: Path, site: Site
) -> None:
    """Where it has an address: of a copy nobody knows where in the archive a piece lies."""
    entry = put(tmp_path / "overlay" / "datasets" / "ddi", {})
    addresses = 'name = "{}"\nurls = ["https://mirror.example/{}"]\n'
    files = "".join(f"[[files]]\n{addresses.format(name, name)}" for name in ("ddi_metadata.csv", HOLDER))
    (entry / "dataset.toml").write_text(f'extends = "ddi"\n{files}')
    site.put(f"https://mirror.example/{HOLDER}", zipped(images(SIX)))
    options = ["--catalog", tmp_path / "overlay", "--rewrite", site.rewrite]
    assert cli(*options, "fetch", "ddi", "--from", own).code == 0
    (home / rows(home)[0]["path"]).write_bytes(b"")
    answer = cli(*options, "fetch", "ddi", "--accept-license")
    assert answer.code == 0, answer.err
    assert [(address, span) for address, span in site.requests] == [(f"mirror.example/{HOLDER}", None)]
    assert cli("verify", "ddi").code == 0


def test_without_from_the_exact_steps_are_said(cli: Callable) -> None:
    answer = cli("fetch", "ddi")
    assert answer.code == 6
    assert "hint: Open https://ddi-dataset.github.io/" in answer.err
    assert "dermdata fetch ddi --from PATH" in answer.err


def test_without_the_table_nothing_is_taken(cli: Callable, own: Path, home: Path) -> None:
    """Exit 6 with the steps."""
    (own / "my list.csv").unlink()
    answer = cli("fetch", "ddi", "--from", own)
    assert answer.code == 6
    assert "ddi_metadata.csv is not among the paths" in answer.err
    assert not home.exists()


def test_a_path_that_is_not_there_is_wrong_usage(cli: Callable, own: Path) -> None:
    answer = cli("fetch", "ddi", "--from", own, "--from", own / "nowhere")
    assert answer.code == 2
    assert "nowhere: no such file" in answer.err


def test_a_mirror_beside_from_is_wrong_usage(cli: Callable, own: Path) -> None:
    """The one downloads, the other does not."""
    assert cli("fetch", "ddi", "--from", own, "--mirror", own).code == 2


# ------------------------------------------------------------------ hostile and broken


def test_a_damaged_member_is_missing_and_the_rest_is_taken(cli: Callable, own: Path, home: Path) -> None:
    """Its CRC-32 tells; never a file that was not whole."""
    bad = raw_zip(
        Raw(b"000003.png", picture(3), crc=1), *[Raw(name_of(n).encode(), picture(n)) for n in (4, 5, 6)]
    )
    (own / "copy.zip").write_bytes(bad)
    answer = cli("fetch", "ddi", "--from", own)
    assert answer.code == 8
    assert "000003.png" in answer.err
    assert [row["image_id"] for row in rows(home) if row["image_problem"]] == ["000003"]
    assert receipt(home)[HOLDER]["recognized"] == "part"
    assert cli("verify", "ddi").code == 0


def test_names_in_the_table_that_lead_outside_stay_inside(cli: Callable, tmp_path: Path, home: Path) -> None:
    """A table is no more to be trusted than an archive."""
    evil = table([1]).replace(b"000001.png", b"../../../../evil.png")
    given = put(tmp_path / "own", {"t.csv": evil, "evil.png": picture(1)})
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "cache")}
    assert cli("fetch", "ddi", "--from", given).code == 0
    (row,) = rows(home)
    assert (home / row["path"]).resolve().is_relative_to(home / "images")
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "cache")} == before


def test_a_conflict_names_both_files(cli: Callable, own: Path) -> None:
    put(own / "again", {name_of(1): picture(99)})
    answer = cli("fetch", "ddi", "--from", own)
    assert answer.code == 8
    assert "000001.png: 2 different files, none was taken" in answer.err
    assert str(own / "again" / name_of(1)) in answer.err


def test_copies_made_on_the_way_are_gone_afterwards(cli: Callable, tmp_path: Path) -> None:
    """Archives in archives are laid out beside the datasets, and swept."""
    inner = zipped({**images(SIX), "t.csv": table(SIX)})
    given = put(tmp_path / "own", {"all.zip": zipped({"inner.zip": inner})})
    assert cli("fetch", "ddi", "--from", given).code == 0
    assert not list((tmp_path / "cache" / "datasets").glob(".*"))
    assert cli("verify", "ddi").code == 0


# ------------------------------------------------------------------ told


def test_a_dry_run_lists_everything_and_changes_nothing(cli: Callable, own: Path, tmp_path: Path) -> None:
    """Recognized and how, missing, unknown: a row each; the exit code as it would be."""
    put(own, {"notes.txt": b"mine", "again/000001.png": picture(99)})
    answer = cli("fetch", "ddi", "--from", own, "--dry-run", "--format", "csv")
    assert answer.code == 8
    found = plan_of(answer)
    steps = {kind: [row for row in found if row["step"] == kind] for kind in KINDS}
    assert {row["file"]: row["how"] for row in steps["adopt"]} == {
        "ddi_metadata.csv": "content",
        HOLDER: "part",
    }
    assert [row["file"] for row in steps["missing-image"]] == ["000001.png"]
    assert [row["file"] for row in steps["conflict"]] == ["000001.png"]
    assert [row["from"] for row in steps["unknown"]] == [str(own / "notes.txt")]
    assert not (tmp_path / "cache" / "datasets").exists()


def test_a_dry_run_in_json_is_one_object(cli: Callable, own: Path) -> None:
    answer = cli("fetch", "ddi", "--from", own, "--dry-run", "--format", "json")
    document = json.loads(answer.out)
    assert document["schema"] == "dermdata.fetch/1"
    assert [item["step"] for item in document["items"]] == ["adopt", "adopt", "build"]


def test_unknown_files_are_counted_with_the_first_names(cli: Callable, own: Path) -> None:
    put(own / "other", {f"{n}.txt": b"x" for n in range(8)})
    answer = cli("fetch", "ddi", "--from", own)
    assert answer.code == 0
    assert "8 files that nothing asks for, left alone" in answer.err
    assert "and 3 more" in answer.err


def test_nothing_in_an_archive_that_is_taken_whole_is_unknown(cli: Callable, tmp_path: Path) -> None:
    """Its publisher put it there."""
    given = {HOLDER: zipped({**images(SIX), "README.txt": b"x"}), "t.csv": table(SIX)}
    answer = cli("fetch", "ddi", "--from", put(tmp_path / "own", given))
    assert answer.code == 0
    assert "nothing asks for" not in answer.err


def test_each_of_several_names_takes_what_is_its_own(cli: Callable, own: Path) -> None:
    """A file is unknown only if none of them asks for it; one that is not there does not stop the others."""
    put(own / "sd" / "Acne_Vulgaris", {"1.jpg": picture(1, "JPEG")})
    answer = cli("fetch", "ddi", "sd-198", "ph2", "--from", own)
    assert answer.code == 8
    assert [Path(line).parents[1].name for line in answer.out.split()] == ["ddi", "sd-198"]
    assert "error: ph2: its table" in answer.err
    assert "nothing asks for" not in answer.err


def test_nothing_is_downloaded(cli: Callable, tmp_path: Path, site: Site) -> None:
    """Not even what is openly there: --from only takes; it works --offline."""
    given = put(tmp_path / "own", {"t.csv": b"a,b\n1,2\n"})
    answer = cli("--rewrite", site.rewrite, "fetch", "pad-ufes-20", "--from", given)
    assert answer.code == 6
    assert "its table metadata.csv is not among the paths" in answer.err
    assert site.requests == []


def test_open_data_by_hand_needs_no_network(cli: Callable, tmp_path: Path) -> None:
    """The demo's official files, given in one zip of another name: recognized by their checksums."""
    import dermdata.catalogs

    files = dermdata.catalogs.bundled_folder() / "datasets" / "demo" / "files"
    data = zipped({f"x/{n}.bin": path.read_bytes() for n, path in enumerate(sorted(files.iterdir()))})
    answer = cli("--offline", "fetch", "demo", "--from", put(tmp_path / "own", {"all.zip": data}))
    assert answer.code == 0, answer.err
    assert answer.err.count("its checksum is right") == 3
    assert cli("verify", "demo").code == 0


def test_a_license_to_accept_here_is_asked_for_and_one_that_was_signed_is_not(
    cli: Callable, own: Path, tmp_path: Path
) -> None:
    """DDI is only given out for a signed agreement; with open files the question stays."""
    assert cli("fetch", "ddi", "--from", own).code == 0
    entry = put(tmp_path / "overlay" / "datasets" / "demo", {})
    (entry / "dataset.toml").write_text('extends = "demo"\n[license]\nmust_accept = true\n')
    answer = cli("--catalog", tmp_path / "overlay", "fetch", "demo", "--from", own)
    assert answer.code == 6
    assert "--accept-license" in answer.err


# ------------------------------------------------------------------ the real tables


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    with mirror(
        tmp_path_factory.mktemp("mirror"), "derm7pt", "dermnet", "ph2", "sd-198", pictures="noise"
    ) as running:
        yield running


def overlay(served: Mirror) -> list[str]:
    """The mirror's checksums, but not its address."""
    return ["--offline", "--catalog", str(served.root / "overlay")]


@pytest.mark.shared
@pytest.mark.xdist_group("from")
class TestRealTables:
    """Copies of complete mirrors, as people keep them: every row with its image, every count the publisher's."""

    def test_the_official_archive_by_its_checksum(self, served: Mirror, cli: Callable) -> None:
        given = served.root / "sd-198" / "sd-198.zip"
        answer = cli(*overlay(served), "fetch", "sd-198", "--from", given)
        assert answer.code == 0, answer.err
        assert "its checksum is right" in answer.err
        complete(answer, 6584)

    def test_the_official_archive_by_its_name(self, served: Mirror, cli: Callable) -> None:
        """Where no checksum is published."""
        answer = cli("--offline", "fetch", "sd-198", "--from", served.root / "sd-198")
        assert answer.code == 0, answer.err
        assert "recognized by its name" in answer.err
        complete(answer, 6584)

    def test_an_unpacked_folder(self, served: Mirror, cli: Callable, tmp_path: Path) -> None:
        """With the index files of the split, which only their names tell apart."""
        unpacked(served.root / "derm7pt" / "release_v0.zip", tmp_path / "own")
        answer = cli(*overlay(served), "fetch", "derm7pt", "--from", tmp_path / "own")
        assert answer.code == 0, answer.err
        found = complete(answer, 2013)
        assert {row["split_official"] for row in found} == {"train", "val", "test"}

    def test_a_zip_made_anew_with_another_folder_on_top(
        self, served: Mirror, cli: Callable, tmp_path: Path
    ) -> None:
        """The spreadsheet by its columns, the images and the lesion masks by their names."""
        with zipfile.ZipFile(served.root / "ph2" / "PH2.zip") as official:
            members = {f"My copy/{name.partition('/')[2]}": official.read(name)
                       for name in official.namelist() if not name.endswith("/")}  # fmt: skip
        put(tmp_path / "own", {"Skin stuff.zip": zipped(members)})
        answer = cli(*overlay(served), "fetch", "ph2", "--from", tmp_path / "own")
        assert answer.code == 0, answer.err
        assert all(row["mask_path"] for row in complete(answer, 200))

    def test_a_folder_of_classes(self, served: Mirror, cli: Callable, tmp_path: Path) -> None:
        """A twentieth of it: the publisher's count tells how many are missing."""
        unpacked(served.root / "dermnet" / "dermnet.zip", tmp_path / "own" / "some" / "folder", each=20)
        answer = cli(*overlay(served), "fetch", "dermnet", "--from", tmp_path / "own")
        assert answer.code == 8
        there = len(complete(answer))
        assert there > 900
        assert f"missing: {19_559 - there:,} images of those that the publisher counts" in answer.err


def unpacked(archive: Path, folder: Path, each: int = 1) -> None:
    with zipfile.ZipFile(archive) as official:
        names = [name for name in official.namelist() if not name.endswith("/")]
        put(folder, {name: official.read(name) for name in names[::each]})


def complete(answer: Any, count: int | None = None) -> list[dict[str, Any]]:
    """The manifest's rows, so many if that is known, each with its image."""
    found = pq.ParquetFile(answer.out.strip()).read().to_pylist()
    assert count is None or len(found) == count
    assert {row["image_problem"] for row in found} == {None}
    return found


# ------------------------------------------------------------------ images by their first bytes


@pytest.mark.parametrize("ending", ["", ".jfif", ".JPE"])
@pytest.mark.parametrize("packed", [False, True])
def test_images_of_any_ending_are_taken(
    ending: str, packed: bool, cli: Callable, tmp_path: Path, home: Path
) -> None:
    """As browsers and viewers save them; a text without an ending among them is none."""
    pictures = {f"{name_of(one).removesuffix('.png')}{ending}": picture(one, "JPEG") for one in (1, 2)}
    pictures["README"] = b"read me"
    files = {"copy.zip": zipped(pictures)} if packed else pictures
    answer = cli(
        "fetch", "ddi", "--from", put(tmp_path / "own", {"ddi_metadata.csv": table([1, 2]), **files})
    )
    assert answer.code == 0, answer.err
    assert [(row["image_problem"], row["format"]) for row in rows(home)] == [(None, "jpeg")] * 2
