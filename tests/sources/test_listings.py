"""All files of a record, as its host lists them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata.errors import CredentialsMissing, NotTheFile, ServerRefused, UnknownName
from dermdata.hosts import ResolveContext, list_files, request_limits, resolve
from dermdata.hosts.base import guess_role, pick_file, sort_listing
from dermdata.model import File, Request
from support.catalog_folders import entry as catalog_entry
from support.catalog_folders import put
from support.mirror import Mirror

from .conftest import Truth, entry

Around = Callable[..., ResolveContext]


@pytest.mark.shared
@pytest.mark.xdist_group("sources")
class TestOfTheStandIns:
    """Against the interfaces of the hosts."""

    @pytest.mark.parametrize(
        ("place", "dataset", "start", "host"),
        [
            ("gcs:dx-scin-public-data/dataset/images/", "scin", "dataset/images/", None),
            ("gcs:dx-scin-public-data/dataset/", "scin", "dataset/", None),
            ("figshare:24140028", "bcn20000", "", "figshare"),
            ("dataverse:doi:10.7910/DVN/DBW86T", "ham10000", "", "dataverse"),
        ],
    )
    def test_names_sizes_and_checksums_are_those_of_the_host(
        self, around: Around, truth: Truth, place: str, dataset: str, start: str, host: str | None
    ) -> None:
        """Every file with its official path, in the order of names, and nothing left to ask for."""
        files = list_files(place, around())
        assert [file.name for file in files] == truth.names(dataset, start, host)
        for file in files:
            fact = truth.of(dataset, file.name)
            assert (file.size, file.checksum) == (fact["size"], f"md5:{fact['md5']}")
            assert isinstance(resolve(entry(file), file, around()), Request)

    def test_a_bucket_of_s3_is_listed_below_a_prefix(self, around: Around, truth: Truth) -> None:
        files = list_files("s3:isic-archive/challenges/2016/", around())
        prefix = "challenges/2016/"
        assert [file.name.removeprefix(prefix) for file in files] == truth.names("isic-2016")
        assert all(file.checksum and file.checksum.startswith("md5:") for file in files)
        assert files[0].urls == (f"https://isic-archive.s3.amazonaws.com/{files[0].name}",)

    @pytest.mark.parametrize(
        ("listing", "glob", "dataset", "name"),
        [
            ("s3:isic-archive/challenges/2016/", "*Part1_Training_Data.zip", "isic-2016",
             "ISBI2016_ISIC_Part1_Training_Data.zip"),
            ("figshare:24140028", "*_test.zip", "bcn20000", "BCN_20k_test.zip"),
        ],
    )  # fmt: skip
    def test_a_listed_archive_is_unpacked(
        self, cli: Callable, stand: Mirror, truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        listing: str, glob: str, dataset: str, name: str,
    ) -> None:  # fmt: skip
        """Alone of all that its host lists; its pictures are rows, and nothing is left to do."""
        monkeypatch.setattr(request_limits, "LIMITS", ())
        table = '[[table]]\nreader = "folders"\npattern = "{folder}/{image}"\n[table.columns]\nimage_id = "image"\n'
        listed = f'[listed]\ninclude = ["{glob}"]\nunpack = {{ "*.zip" = "zip" }}\n'
        put(tmp_path / "own", "ours", catalog_entry("ours", f'listing = "{listing}"') + listed + table)
        options = ["--catalog", tmp_path / "own", *stand.options[2:]]
        done = cli(*options, "fetch", "ours")
        assert done.code == 0, done.err
        assert f"{truth.of(dataset, name)['images']} rows" in done.err
        assert cli(*options, "verify", "ours").code == 0
        before = len(stand.requests())
        assert "nothing to do" in cli(*options, "fetch", "ours").err
        assert len(stand.requests()) == before

    def test_zenodo_and_mendeley_list_their_records(self, around: Around) -> None:
        assert [file.name for file in list_files("zenodo:12739457", around())] == ["Fitzpatrick17k-C.csv"]
        names = [file.name for file in list_files("mendeley:zr7vgbcyr2/1", around())]
        assert names == ["imgs_part_1.zip", "imgs_part_2.zip", "imgs_part_3.zip", "metadata.csv"]

    def test_kaggle_lists_names_and_sizes_without_checksums(self, around: Around, truth: Truth) -> None:
        """Each file is then a source of its own, behind the same account."""
        files = list_files("kaggle:shubhamgoel27/dermnet", around())
        assert len(files) == truth.of("dermnet", "dermnet.zip")["images"]
        assert {file.role for file in files} == {"images"}
        assert all(file.size and file.checksum is None for file in files)
        assert files[0].source == f"kaggle:shubhamgoel27/dermnet/{files[0].name}"

    def test_kaggle_without_an_account_says_how_to_get_one(self, around: Around) -> None:
        with pytest.raises(CredentialsMissing, match="wants credentials, and none were found") as caught:
            list_files("kaggle:shubhamgoel27/dermnet", around({}))
        assert "KAGGLE_API_TOKEN" in str(caught.value.hint)

    def test_hugging_face_pins_the_commit(self, around: Around, truth: Truth) -> None:
        files = list_files("huggingface:datasets/open/scin@main/dataset/images", around())
        assert [file.name for file in files] == truth.names("scin", "dataset/images/")
        assert all("@main/" not in str(file.source) for file in files)

    def test_a_record_is_asked_for_once_per_run(self, around: Around, stand: Mirror, truth: Truth) -> None:
        """Many files, one question."""
        before = len(stand.requests())
        here = around()
        for name in truth.names("ham10000", host="dataverse"):
            file = File(name=name, role="other", source=f"dataverse:doi:10.7910/DVN/DBW86T/{name}")
            resolve(entry(file), file, here)
        assert len(stand.requests()) - before == 1

    @pytest.mark.parametrize(
        "place", ["gcs:nothing/", "s3:isic-challenge-data-2/", "zenodo:1", "figshare:1", "mendeley:a/1"]
    )
    def test_a_place_that_is_not_there_is_named(self, around: Around, place: str) -> None:
        with pytest.raises(ServerRefused) as caught:
            list_files(place, around())
        assert caught.value.status == 404


def test_a_host_that_lists_nothing_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="unknown listing 'gcss'") as caught:
        list_files("gcss:bucket/", ResolveContext(catalogs=()))
    assert caught.value.hint == "did you mean gcs?"


@pytest.mark.parametrize("name", ["../x.png", "a/../../x", "/etc/passwd", "a//b", "", "a\\b", "a\nb"])
def test_a_name_that_leads_out_of_its_folder_is_refused(name: str) -> None:
    """Names of a listing become paths of mirrors and of the cache."""
    with pytest.raises(NotTheFile):
        sort_listing([File(name=name, role="other")], "bucket b")


def test_a_name_that_comes_twice_is_refused() -> None:
    """A name is a file's identity: figshare lets authors use one twice."""
    twice = [File(name="a", role="other"), File(name="a", role="other")]
    with pytest.raises(NotTheFile, match="several files named 'a'"):
        sort_listing(twice, "article 1")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("a/b.PNG", "images"),
        ("a.tiff", "images"),
        ("t.csv", "metadata"),
        ("readme", "other"),
        ("a.zip", "other"),
    ],
)
def test_the_ending_tells_the_role(name: str, role: str) -> None:
    assert guess_role(name) == role


@pytest.mark.parametrize(
    ("name", "there", "found"),
    [
        ("a.zip", ["a.zip", "A.ZIP"], "a.zip"),  # its very name first
        ("BCN_20k_train.zip", ["bcn_20k_train.zip", "bcn_20k_test.zip"], "bcn_20k_train.zip"),
        ("a.zip", ["data/a.zip", "b.zip"], "data/a.zip"),
        ("data/A.zip", ["a.zip"], "a.zip"),
        ("a.zip", ["x/A.zip", "y/a.zip"], None),  # two could be meant
        ("a.zip", ["aa.zip"], None),
    ],
)
def test_a_file_of_a_record_is_found_by_its_leaf_in_any_case(
    name: str, there: list[str], found: str | None
) -> None:
    """Authors rename folders and letters between versions; what could be two files is none."""
    files = [File(name=one, role="other") for one in there]
    if found:
        assert pick_file(name, files, "the record").name == found
    else:
        with pytest.raises(UnknownName):
            pick_file(name, files, "the record")
