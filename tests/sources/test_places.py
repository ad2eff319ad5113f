"""Before any host: mirrors, files that ship with the catalog, entries that cannot be had."""

from pathlib import Path
from typing import Any

import pytest

from dermdata.errors import BadCatalog, CacheDamaged, ManualDownload, ServerRefused, UnknownName, Unobtainable
from dermdata.hosts import ResolveContext, require_obtainable, resolve
from dermdata.model import Access, Dataset, File, Request

from .conftest import answering, entry, sourced

SHA = "sha256:" + "b" * 64
ZENODO = "https://zenodo.org/api/records/7"
ROW = {"key": "a.csv", "size": 9, "checksum": "md5:" + "a" * 32}


def test_a_mirror_that_has_the_file_spares_the_question_and_the_account() -> None:
    """What the publisher's host wants does not matter to someone whose mirror has the file."""
    for source in ("kaggle:owner/slug", "zenodo:7/a.csv"):
        file = sourced(source, checksum=SHA)
        here = ResolveContext(catalogs=(), mirrors=("https://mirror.org/",), head=lambda _: None)
        request = resolve(entry(file), file, here)
        assert request == Request(urls=("https://mirror.org/demo/file",), checksum=SHA, mirrors=1)


def test_a_mirror_that_has_it_not_leaves_the_official_way() -> None:
    def head(_: Request) -> Any:
        raise ServerRefused("mirror.org answers 404", status=404)

    here, _ = answering({ZENODO: {"files": [ROW]}}, mirrors=("https://mirror.org",), head=head)
    file = sourced("zenodo:7/a.csv")
    request = resolve(entry(file), file, here)
    assert isinstance(request, Request)
    assert request.urls == ("https://zenodo.org/records/7/files/a.csv?download=1",)


def test_a_mirror_stands_in_front_of_an_open_address() -> None:
    file = File(name="a b.csv", role="other", urls=("https://a.org/a",))
    request = resolve(entry(file), file, ResolveContext(catalogs=(), mirrors=("https://mirror.org",)))
    assert request == Request(urls=("https://mirror.org/demo/a%20b.csv", "https://a.org/a"), mirrors=1)


def test_a_folder_as_mirror_gives_a_path(tmp_path: Path) -> None:
    """What it has not comes from the official address."""
    (tmp_path / "demo" / "sub").mkdir(parents=True)
    (tmp_path / "demo" / "sub" / "a.csv").write_text("x")
    here = ResolveContext(catalogs=(), mirrors=(str(tmp_path),))
    file = File(name="sub/a.csv", role="other", urls=("https://a.org/a",))
    assert resolve(entry(file), file, here) == tmp_path / "demo" / "sub" / "a.csv"
    file = File(name="b.csv", role="other", urls=("https://a.org/b",))
    assert resolve(entry(file), file, here) == Request(urls=("https://a.org/b",))


# ------------------------------------------------------------------ files of the catalog itself


def test_the_last_catalog_that_has_a_bundled_file_wins(tmp_path: Path) -> None:
    """No mirror stands before what is already here."""
    roots = tuple(tmp_path / name for name in ("bundled", "overlay"))
    for root in roots:
        (root / "datasets" / "demo" / "files").mkdir(parents=True)
        (root / "datasets" / "demo" / "files" / "a.csv").write_text("x")
    file = sourced("package:a.csv")
    for mirrors in ((), ("https://mirror.org",)):
        here = ResolveContext(catalogs=roots, mirrors=mirrors)
        assert resolve(entry(file), file, here) == roots[1] / "datasets" / "demo" / "files" / "a.csv"


@pytest.mark.parametrize("identity", ["../../../etc/passwd", "/etc/passwd", "~/a"])
def test_a_bundled_file_outside_its_folder_is_refused(tmp_path: Path, identity: str) -> None:
    file = sourced(f"package:{identity}")
    with pytest.raises(BadCatalog, match="not inside the catalog"):
        resolve(entry(file), file, ResolveContext(catalogs=(tmp_path,)))


def test_a_bundled_file_that_is_gone_is_damage(tmp_path: Path) -> None:
    file = sourced("package:a.csv")
    with pytest.raises(CacheDamaged, match=r"a\.csv is not in the catalog"):
        resolve(entry(file), file, ResolveContext(catalogs=(tmp_path,)))


# ------------------------------------------------------------------ entries that cannot be had


def test_a_host_that_nobody_knows_is_an_unknown_name() -> None:
    file = sourced("zenoto:7/a.csv")
    with pytest.raises(UnknownName) as caught:
        resolve(entry(file), file, ResolveContext(catalogs=()))
    assert caught.value.near == ["zenodo"]


def test_a_file_without_an_address_is_for_the_person_to_fetch() -> None:
    file = File(name="a.zip", role="images")
    with pytest.raises(ManualDownload, match=r"a\.zip has no public address") as caught:
        resolve(
            entry(file, kind="agreement", steps="Write to the authors."), file, ResolveContext(catalogs=())
        )
    assert caught.value.hint == "Write to the authors."


def test_an_entry_that_cannot_be_had_says_why_and_names_the_nearest() -> None:
    access = Access(kind="unavailable", evidence="its page is gone", alternatives=("ham10000",))
    gone = Dataset(name="demo", title="Demo", kind="dataset", summary="A demo.", access=access)
    with pytest.raises(Unobtainable, match="cannot be had: its page is gone") as caught:
        require_obtainable(gone)
    assert caught.value.hint == "the nearest: ham10000"


def test_an_entry_without_files_to_download_says_what_to_do() -> None:
    file = File(name="a.zip", role="images", fetch=False)
    with pytest.raises(ManualDownload) as caught:
        require_obtainable(entry(file, kind="agreement", url="https://a.org/form"))
    assert caught.value.hint == "see https://a.org/form"
    require_obtainable(entry(File(name="a.zip", role="images", urls=("https://a.org/a.zip",))))
