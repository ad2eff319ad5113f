"""`dermdata fetch`, in the words a person sees; what it does is in tests/contract and tests/test_main_job."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

from support.servers import Site


def overlay(root: Path, *files: str, name: str = "demo") -> list[str]:
    """A catalog folder that changes an entry's files; the options that lay it over."""
    folder = root / "overlay" / "datasets" / name
    folder.mkdir(parents=True)
    text = "\n".join([f'extends = "{name}"', *(f"[[files]]\n{one}" for one in files)])
    (folder / "dataset.toml").write_text(text, encoding="utf-8")
    return ["--catalog", str(root / "overlay")]


def test_the_manifest_path_is_the_only_thing_on_stdout(cli: Callable, tmp_path: Path) -> None:
    """Talk goes to stderr, and says what is not as it should be."""
    answer = cli("fetch", "demo")
    assert answer.code == 0
    assert Path(answer.out.strip()) == tmp_path / "cache/datasets/demo/1.0/manifest.parquet"
    assert "120 rows of 120" in answer.err
    assert "1 image cannot be decoded whole" in answer.err


def test_a_dry_run_shows_the_plan_and_changes_nothing(cli: Callable, tmp_path: Path) -> None:
    """Files, bytes and what is there already."""
    rows = list(csv.DictReader(io.StringIO(cli("fetch", "demo", "--dry-run", "--format", "csv").out)))
    assert [row["step"] for row in rows] == ["download"] * 3 + ["build"]
    assert not (tmp_path / "cache" / "datasets").exists()
    cli("fetch", "demo")
    rows = list(csv.DictReader(io.StringIO(cli("fetch", "demo", "--dry-run", "--format", "csv").out)))
    assert {row["step"] for row in rows} == {"have"}


def test_only_metadata_then_the_rest(cli: Callable, tmp_path: Path) -> None:
    """Rows without images first; the second fetch adds the images and keeps what is there."""
    answer = cli("fetch", "demo", "--only", "metadata")
    assert "120 rows without an image file" in answer.err
    assert not list((tmp_path / "cache").rglob("*.jpg"))
    answer = cli("fetch", "demo")
    assert "2 files" in answer.err
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 120


def test_a_wrong_checksum_exits_4_and_leaves_nothing(cli: Callable, tmp_path: Path) -> None:
    """Both digests are named, nothing lies under a final name."""
    options = overlay(tmp_path, f'name = "demo_metadata.csv"\nchecksum = "sha256:{"0" * 64}"')
    answer = cli(*options, "fetch", "demo")
    assert answer.code == 4
    assert f"expected {'0' * 64}" in answer.err
    assert not list((tmp_path / "cache").rglob("*.csv"))
    assert not list((tmp_path / "cache").rglob("manifest.parquet"))


def test_offline_needs_no_network_for_what_is_bundled_and_says_so_for_the_rest(cli: Callable) -> None:
    """Exit 3 with the reason, not a time-out."""
    assert cli("--offline", "fetch", "demo").code == 0
    answer = cli("--offline", "fetch", "pad-ufes-20")
    assert answer.code == 3
    assert "offline" in answer.err.lower()


def test_one_of_two_fails_the_other_is_done(cli: Callable) -> None:
    """Exit 8; the failure is told where it happened."""
    answer = cli("--offline", "fetch", "pad-ufes-20", "demo")
    assert answer.code == 8
    assert answer.out.strip().endswith("demo/1.0/manifest.parquet")
    assert "pad-ufes-20" in answer.err


def test_a_mirror_folder_is_used_first_and_its_bytes_are_checked(
    cli: Callable, tmp_path: Path, site: Site
) -> None:
    """--mirror DIR: right bytes need no request, wrong ones are refused."""
    import dermdata.catalogs

    bundled = dermdata.catalogs.bundled_folder() / "datasets" / "demo" / "files"
    mirror = tmp_path / "mirror" / "demo"
    mirror.mkdir(parents=True)
    for path in bundled.iterdir():
        (mirror / path.name).write_bytes(path.read_bytes())
    assert cli("fetch", "demo", "--mirror", tmp_path / "mirror").code == 0
    (mirror / "demo_metadata.csv").write_bytes(b"other bytes")
    answer = cli("fetch", "demo", "--force", "--mirror", tmp_path / "mirror")
    assert answer.code == 4


def test_a_mirror_address_is_asked_before_the_catalogs_own(cli: Callable, tmp_path: Path, site: Site) -> None:
    """--mirror URL: <mirror>/<dataset>/<file name>."""
    table = b"img_id,patient_id,lesion_id,diagnostic,biopsed,age,gender,region,fitspatrick\n"
    data = table + b"PAT_1.png,PAT_1,1,NEV,False,40,MALE,ARM,2.0\n"
    from hashlib import sha256

    options = overlay(
        tmp_path,
        f'name = "metadata.csv"\nsize = {len(data)}\nchecksum = "sha256:{sha256(data).hexdigest()}"',
        name="pad-ufes-20",
    )
    site.put("https://mirror.example/pad-ufes-20/metadata.csv", data)
    answer = cli(
        *options,
        "--rewrite",
        site.rewrite,
        "fetch",
        "pad-ufes-20",
        "--only",
        "metadata",
        "--mirror",
        "https://mirror.example",
    )
    assert answer.code == 0, answer.err
    assert [address for address, _ in site.requests] == ["mirror.example/pad-ufes-20/metadata.csv"]


def test_a_broken_receipt_is_refused_in_words_and_force_mends_it(cli: Callable, tmp_path: Path) -> None:
    """Our own state is never trusted blindly."""
    cli("fetch", "demo")
    (tmp_path / "cache/datasets/demo/1.0/receipt.json").write_text("{", encoding="utf-8")
    answer = cli("fetch", "demo")
    assert answer.code == 4
    assert "hint: run `dermdata fetch demo --force`" in answer.err
    assert cli("fetch", "demo", "--force").code == 0
    assert cli("verify").code == 0


def test_force_of_the_tables_leaves_the_images(cli: Callable, tmp_path: Path) -> None:
    """`--force --only metadata` fetches again what it names: all else is there, known and whole as before."""
    cli("fetch", "demo")
    folder = tmp_path / "cache/datasets/demo/1.0"
    before = {name: (folder / name).read_bytes() for name in ("manifest.parquet", "receipt.json")}
    answer = cli("fetch", "demo", "--force", "--only", "metadata")
    assert answer.code == 0, answer.err
    assert (folder / "manifest.parquet").read_bytes() == before["manifest.parquet"]
    old, new = (json.loads(text) for text in (before["receipt.json"], (folder / "receipt.json").read_text()))
    assert (new["roles"], new["contents_sha256"]) == (old["roles"], old["contents_sha256"])
    assert [one["name"] for one in new["files"]] == [one["name"] for one in old["files"]]
    again = cli("verify")
    assert (again.code, again.out.count("extra")) == (0, 0), again.out
    assert "nothing to do" in cli("fetch", "demo").err


def test_force_of_the_tables_of_a_broken_cache_starts_anew(cli: Callable, tmp_path: Path) -> None:
    """Records that cannot be read say nothing of images either: the next fetch brings them."""
    cli("fetch", "demo")
    (tmp_path / "cache/datasets/demo/1.0/receipt.json").write_text("{", encoding="utf-8")
    assert cli("fetch", "demo", "--force", "--only", "metadata").code == 0
    assert cli("fetch", "demo").code == 0
    assert cli("verify").code == 0


def test_a_deleted_image_is_fetched_again_alone(cli: Callable, tmp_path: Path) -> None:
    """fetch looks at sizes, so that it never says complete when it is not."""
    cli("fetch", "demo")
    next((tmp_path / "cache").rglob("DEMO_0005.jpg")).unlink()
    answer = cli("fetch", "demo")
    assert answer.code == 0
    assert "demo: 1 file, " in answer.err
    assert cli("verify").code == 0


PRIVATE = """
name = "ours"
title = "Ours"
kind = "dataset"
summary = "a private table"
[access]
kind = "open"
evidence = "it lies beside this file"
[[files]]
name = "table.csv"
role = "metadata"
source = "package:table.csv"
[[table]]
reader = "table"
file = "table.csv"
[table.columns]
image_id = "id"
sex = "sex"
"""


def test_what_was_seen_first_is_held_to_until_force_starts_anew(cli: Callable, tmp_path: Path) -> None:
    """No published checksum: other bytes later are an integrity error that shows both digests and the way out."""
    folder = tmp_path / "mine" / "datasets" / "ours"
    (folder / "files").mkdir(parents=True)
    (folder / "dataset.toml").write_text(PRIVATE, encoding="utf-8")
    (folder / "files" / "table.csv").write_text("id,sex\n1,female\n", encoding="utf-8")
    options = ["--catalog", tmp_path / "mine"]
    assert cli(*options, "fetch", "ours").code == 0
    (folder / "files" / "table.csv").write_text("id,sex\n1,male\n", encoding="utf-8")
    (kept,) = (tmp_path / "cache").rglob("table.csv")
    kept.unlink()
    answer = cli(*options, "fetch", "ours")
    assert answer.code == 4
    assert not kept.exists()
    assert "dermdata fetch NAME --force" in answer.err
    answer = cli(*options, "fetch", "ours", "--force")
    assert (answer.code, "table.csv: other bytes than those of" in answer.err) == (0, True)
    assert ",male" in kept.read_text(encoding="utf-8")
