"""What people paste for a record, and the place that it names."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.errors import UsageError
from dermdata.hosts import LISTING_HOSTS
from dermdata.hosts.addresses import FORMS, read_address

# the page without scheme, what may stand behind it -> the place
PAGES = {
    "zenodo.org/records/123": "zenodo:123",
    "zenodo.org/record/123": "zenodo:123",
    "zenodo.org/records/123/files/a b.zip": "zenodo:123",
    "zenodo.org/api/records/123": "zenodo:123",
    "zenodo.org/doi/10.5281/zenodo.123": "zenodo:123",
    "doi.org/10.5281/zenodo.123": "zenodo:123",
    "dx.doi.org/10.5281/ZENODO.123": "zenodo:123",
    "figshare.com/articles/dataset/Skin_of_2019/24140028/2": "figshare:24140028/versions/2",
    "figshare.com/articles/dataset/_/24140028": "figshare:24140028",
    "figshare.com/articles/24140028": "figshare:24140028",
    "monash.figshare.com/articles/dataset/123456/24140028/1": "figshare:24140028/versions/1",
    "api.figshare.com/v2/articles/24140028/versions/3": "figshare:24140028/versions/3",
    "doi.org/10.6084/m9.figshare.24140028.v1": "figshare:24140028/versions/1",
    "doi.org/10.26180/figshare.24140028": "figshare:24140028",
    "doi.org/10.7910/DVN/DBW86T": "dataverse:doi:10.7910/DVN/DBW86T",
    "doi.org/10.7910/dvn/dbw86t/ABC123": "dataverse:doi:10.7910/DVN/DBW86T",
    "data.mendeley.com/datasets/zr7vgbcyr2/1": "mendeley:zr7vgbcyr2/1",
    "data.mendeley.com/datasets/zr7vgbcyr2": "mendeley:zr7vgbcyr2",
    "doi.org/10.17632/zr7vgbcyr2.1": "mendeley:zr7vgbcyr2/1",
    "osf.io/abc12": "osf:abc12",
    "osf.io/abc12/files/osfstorage": "osf:abc12",
    "osf.io/ABC12": "osf:abc12",
    "doi.org/10.17605/OSF.IO/ABC12": "osf:abc12",
    "huggingface.co/datasets/o/n": "huggingface:datasets/o/n",
    "huggingface.co/datasets/o/n/tree/main": "huggingface:datasets/o/n@main",
    "huggingface.co/datasets/o/n/tree/refs%2Fpr%2F1/images/raw": "huggingface:datasets/o/n@refs%2Fpr%2F1/images/raw",
    "huggingface.co/datasets/o/n/blob/v1/README.md": "huggingface:datasets/o/n@v1",
    "huggingface.co/datasets/o/n/viewer/default/train": "huggingface:datasets/o/n",
    "hf.co/datasets/o/n.x_y": "huggingface:datasets/o/n.x_y",
    "kaggle.com/datasets/o/s": "kaggle:o/s",
    "kaggle.com/datasets/o/s/data": "kaggle:o/s",
    "kaggle.com/datasets/o/s/versions/3": "kaggle:o/s@3",
    "kaggle.com/o/s": "kaggle:o/s",
    "github.com/o/r": "github:o/r",
    "github.com/o/r.git": "github:o/r",
    "github.com/o/r/tree/main": "github:o/r@main",
    "github.com/o/r/tree/feature/x/images": "github:o/r@feature/x/images",
    "github.com/o/r/blob/main/a/b.csv": "github:o/r@main",
    "github.com/o/r/archive/refs/heads/main.zip": "github:o/r@main",
    "github.com/o/r.data/releases/latest": "github:o/r.data",
    "api.isic-archive.com/collections/70": "isic:collections=70",
    "api.isic-archive.com/doi/milk10k": "isicdoi:milk10k",
    "doi.org/10.34970/648456": "doi:10.34970/648456",
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_a_page_as_it_is_pasted(page: str) -> None:
    """With any scheme and none, www, a slash at its end, a query, a fragment, in angle brackets or a sentence."""
    for form in ("https://{}", "http://{}/", "<HTTPS://www.{}?x=1&y=2>", "//{}#files", " '{}/?a=b#c'. "):
        assert read_address(form.format(page)) == PAGES[page], form


SHORT = {
    "zenodo:123": "zenodo:123",
    "zenodo:10.5281/zenodo.123": "zenodo:123",
    "zenodo:https://zenodo.org/records/123": "zenodo:123",
    "Zenodo: 123": "zenodo:123",
    "doi:10.5281/zenodo.123": "zenodo:123",
    "10.5281/zenodo.123": "zenodo:123",
    "DOI: 10.5281/zenodo.123": "zenodo:123",
    "figshare:24140028/2": "figshare:24140028/versions/2",
    "figshare:24140028/versions/2": "figshare:24140028/versions/2",
    "dataverse:doi:10.7910/DVN/DBW86T": "dataverse:doi:10.7910/DVN/DBW86T",
    "dataverse:10.7910/DVN/DBW86T": "dataverse:doi:10.7910/DVN/DBW86T",
    "dataverse:heidata.uni-heidelberg.de/doi:10.11588/data/ABCDEF":
        "dataverse:heidata.uni-heidelberg.de/doi:10.11588/data/ABCDEF",
    "https://dataverse.harvard.edu/dataset.xhtml?persistentId=doi:10.7910/DVN/DBW86T&version=4.0":
        "dataverse:doi:10.7910/DVN/DBW86T",
    "https://dataverse.harvard.edu/file.xhtml?fileId=3&persistentId=doi%3A10.7910%2FDVN%2FDBW86T%2FABC12":
        "dataverse:doi:10.7910/DVN/DBW86T",
    "https://heidata.uni-heidelberg.de/dataset.xhtml?persistentId=doi:10.11588/data/ABCDEF":
        "dataverse:heidata.uni-heidelberg.de/doi:10.11588/data/ABCDEF",
    "https://dataverse.nl/dataset.xhtml?persistentId=doi:10.17026/dans-xyz-abcd":
        "dataverse:dataverse.nl/doi:10.17026/dans-xyz-abcd",
    "mendeley:zr7vgbcyr2/1": "mendeley:zr7vgbcyr2/1",
    "osf:abc12": "osf:abc12",
    "osf:abc12/images/raw/": "osf:abc12/images/raw",
    "hf:o/n": "huggingface:datasets/o/n",
    "hf:datasets/o/n@v1/images": "huggingface:datasets/o/n@v1/images",
    "huggingface:datasets/o/n@main": "huggingface:datasets/o/n@main",
    "kaggle:o/s": "kaggle:o/s",
    "kaggle:o/s@3": "kaggle:o/s@3",
    "https://www.kaggle.com/api/v1/datasets/download/o/s?datasetVersionNumber=2": "kaggle:o/s@2",
    "github:o/r": "github:o/r",
    "github:o/r@v1.0": "github:o/r@v1.0",
    "isic:70": "isic:collections=70",
    "isic:collections=70,65": "isic:collections=70,65",
    "isic:collections=70&query=sex:female": "isic:collections=70&query=sex:female",
    "isicdoi:648456/milk10k": "isicdoi:648456/milk10k",
    "10.1016/j.dib.2020.106221": "doi:10.1016/j.dib.2020.106221",
}  # fmt: skip


@pytest.mark.parametrize("written", SHORT)
def test_a_short_form(written: str) -> None:
    assert read_address(written) == SHORT[written]


@pytest.mark.parametrize(
    "written",
    [
        "zenodo:abc", "figshare:", "kaggle:o", "hf:name", "isic:x", "doi:x", "osf:toolong",
        "https://example.org/x", "https://zenodo.org/communities/skin", "https://www.kaggle.com/competitions/isic/data",
        "https://huggingface.co/o/model", "https://github.com/o", "http://[::1", "https://",
        "https://zenodo.org.evil.example/records/1", "https://user@evil.example/zenodo.org/records/1",
    ],
)  # fmt: skip
def test_an_address_that_leads_to_no_record_says_what_to_write(written: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_address(written)
    assert caught.value.hint
    assert "user@" not in caught.value.message


@pytest.mark.parametrize(
    "written", ["pictures", "a/b.csv", r"C:\pictures", "./zenodo.org/records/1", "", "all.zip"]
)
def test_a_path_names_no_record(written: str) -> None:
    assert read_address(written) is None


@given(st.text(string.printable, max_size=60))
def test_any_text_is_a_place_none_or_a_usage_error(text: str) -> None:
    """Of a host that lists, or the registry."""
    for word in (text, f"https://{text}", f"github:{text}", f"https://huggingface.co/datasets/{text}"):
        try:
            place = read_address(word)
        except UsageError:
            continue
        assert place is None or place.partition(":")[0] in FORMS


def test_each_form_is_of_a_host_that_lists_and_states() -> None:
    from importlib import import_module

    for host in FORMS.keys() - {"doi"}:
        assert host in LISTING_HOSTS
        assert import_module(f"dermdata.hosts.{host}").state_record
