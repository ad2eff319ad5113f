"""One file from each host, through its own interface, with nothing but its name in the catalog."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermdata.errors import BadCatalog, ServerRefused, UnknownName
from dermdata.hosts import ResolveContext, resolve
from dermdata.http import HttpClient
from dermdata.model import Request

from .conftest import Truth, entry, sourced

pytestmark = [pytest.mark.shared, pytest.mark.xdist_group("sources")]

COMMIT = "42a272dfe0679f20675e826385925cb7562934b6"
WOUND = "data/Foot Ulcer Segmentation Challenge/test/images/1011.png"
Around = Callable[..., ResolveContext]


@pytest.mark.parametrize(
    ("dataset", "name", "source", "algorithm"),
    [
        ("ham10000", "HAM10000_images_part_1.zip", "dataverse:doi:10.7910/DVN/DBW86T/{}", "md5"),
        ("ham10000", "HAM10000_metadata.csv", "dataverse:doi:10.7910/DVN/DBW86T/{}", "md5"),
        ("bcn20000", "BCN_20k_train.zip", "figshare:24140028/{}", "md5"),
        ("fitzpatrick17k", "Fitzpatrick17k-C.csv", "zenodo:12739457/{}", "md5"),
        ("pad-ufes-20", "imgs_part_2.zip", "mendeley:zr7vgbcyr2/1/{}", "sha256"),
        ("dermnet", "dermnet.zip", "kaggle:shubhamgoel27/dermnet", "md5"),
        ("scin", "dataset/scin_cases.csv", "gcs:dx-scin-public-data/{}", "md5"),
        (
            "isic-2016",
            "ISBI2016_ISIC_Part1_Training_Data.zip",
            "s3:isic-archive/challenges/2016/{}",
            "md5",
        ),
        ("fuseg", WOUND, f"github:uwm-bigdata/wound-segmentation@{COMMIT}/{{}}", None),
        ("ham10000", "HAM10000_metadata.csv", "huggingface:datasets/open/ham10000@main/{}", "git"),
        ("scin", "dataset/scin_cases.csv", "huggingface:datasets/gated/scin@main/{}", "sha256"),
    ],
    ids=lambda value: str(value).partition(":")[0],
)
def test_a_host_says_where_a_file_is_and_what_it_must_be(
    around: Around,
    transfer: HttpClient,
    truth: Truth,
    tmp_path: Path,
    dataset: str,
    name: str,
    source: str,
    algorithm: str | None,
) -> None:
    """The catalog names a file; its host adds address, size and checksum; the bytes are the right ones."""
    access: dict[str, Any] = {"kind": "account", "service": "huggingface"} if "gated/" in source else {}
    file = sourced(source.format(name), name=name)
    request = resolve(entry(file, **access), file, around())
    assert isinstance(request, Request)
    fact = truth.of(dataset, name)
    if algorithm == "git":
        assert str(request.checksum).startswith(f"git-blob-{fact['size']}:")
    else:
        assert request.checksum == (f"{algorithm}:{fact[algorithm]}" if algorithm else None)
    assert request.size in ((fact["size"],) if algorithm else (None, fact["size"]))
    received = transfer.download(request, tmp_path / "target")
    assert received.sha256 == fact["sha256"]
    assert received.verified == bool(algorithm)


@pytest.mark.parametrize(
    ("source", "near"),
    [
        ("dataverse:doi:10.7910/DVN/DBW86T/HAM10000_metadata.tsv", "HAM10000_metadata.csv"),
        ("figshare:24140028/BCN_20k_trian.zip", "BCN_20k_train.zip"),
        ("zenodo:12739457/Fitzpatrick17kC.csv", "Fitzpatrick17k-C.csv"),
        ("mendeley:zr7vgbcyr2/1/imgs_part_4.zip", "imgs_part_3.zip"),
        ("huggingface:datasets/open/ham10000@main/HAM10000_metadata.tsv", "HAM10000_metadata.csv"),
    ],
    ids=lambda value: value.partition(":")[0],
)
def test_a_name_that_is_not_in_the_record_brings_the_nearest_one(
    around: Around, source: str, near: str
) -> None:
    file = sourced(source)
    with pytest.raises(UnknownName) as caught:
        resolve(entry(file), file, around())
    assert near.lower() in [name.lower() for name in caught.value.near]
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("dataverse:doi:10.7910/DVN/NOTHING/a.csv", "dataverse.harvard.edu has no dataset"),
        ("figshare:1/a.csv", "api.figshare.com has no article 1"),
        ("zenodo:1/a.csv", "zenodo.org has no record 1"),
        ("mendeley:nothing/1/a.csv", "data.mendeley.com has no dataset nothing"),
        ("kaggle:nobody/nothing", "www.kaggle.com has no dataset nobody/nothing"),
        ("gcs:dx-scin-public-data/nothing.csv", "has no object dx-scin-public-data/nothing.csv"),
        ("s3:isic-archive/nothing.zip", "has no object isic-archive/nothing.zip"),
    ],
    ids=lambda value: value.partition(":")[0],
)
def test_a_record_that_is_not_there_is_named_in_the_error(around: Around, source: str, said: str) -> None:
    file = sourced(source)
    with pytest.raises(ServerRefused, match=said) as caught:
        resolve(entry(file), file, around())
    assert caught.value.status == 404
    assert caught.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "dataverse:3172585.zip",
        "dataverse:doi:10.7910",
        "figshare:bcn/a.csv",
        "zenodo:11101337",
        "mendeley:zr7vgbcyr2/a.csv",
        "kaggle:dermnet",
        "huggingface:datasets/owner/name/a.csv",
        "github:owner/repository@main/a.csv",
        "gcs:bucket",
        "s3:bucket",
    ],
)
def test_an_identity_in_another_form_is_a_fault_of_the_catalog(around: Around, source: str) -> None:
    """The message shows the form it must have; a GitHub branch is none, since its bytes change."""
    file = sourced(source)
    with pytest.raises(BadCatalog, match="is not in the form"):
        resolve(entry(file), file, around())
