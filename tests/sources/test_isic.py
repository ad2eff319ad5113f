"""The ISIC Archive's search: pages, records, files, rows."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from dermdata.errors import BadCatalog, IntegrityError, NotTheFile, ServerRefused, UnknownName, UsageError
from dermdata.hosts import ResolveContext, isic, list_files
from dermdata.hosts.isic import SEARCH, flatten_record, parse_search, search_records
from support.mirror import Mirror

from .conftest import Truth, answering

Around = Callable[..., ResolveContext]
FIRST = f"{SEARCH}?limit=100"


def record(number: int, **clinical: Any) -> dict[str, Any]:
    name = f"ISIC_{number:07d}"
    return {
        "public": True,
        "isic_id": name,
        "copyright_license": "CC-0",
        "attribution": "Anonymous",
        "files": {"full": {"url": f"https://isic-archive.s3.amazonaws.com/images/{name}.JPG", "size": 49982}},
        "metadata": {"acquisition": {"pixels_x": 1022, "image_type": "dermoscopic"}, "clinical": clinical},
    }


def page(*numbers: int, count: int | None = None, following: str | None = None) -> dict[str, Any]:
    return {"results": [record(number) for number in numbers], "count": count, "next": following}


@pytest.mark.shared
@pytest.mark.xdist_group("sources")
class TestOfTheStandIn:
    """Against the archive's interface."""

    def test_everything_comes_over_all_pages(self, around: Around, truth: Truth) -> None:
        files = list_files("isic:", around())
        assert len(files) > 100 > len(files) - 100
        assert [file.name for file in files] == truth.names("isic-archive", "images/")
        assert all(file.rough_size == truth.of("isic-archive", file.name)["size"] for file in files)
        assert {file.size for file in files} == {None}  # a hint, and no check

    def test_collections_and_a_query_narrow_it_down(self, around: Around) -> None:
        both = len(list_files("isic:collections=70,292", around()))
        some = list_files("isic:collections=70&query=sex:female AND age_approx:[50 TO *]", around())
        assert 0 < len(some) < isic.count_images("", (70,), around()) < both

    def test_a_limit_asks_for_no_more_pages_than_it_needs(self, around: Around, stand: Mirror) -> None:
        before = len(stand.requests())
        assert len(list(search_records("", (), around(), limit=3))) == 3
        assert list(search_records("", (), around(), limit=0)) == []
        assert len(stand.requests()) - before == 1

    def test_a_query_it_cannot_read_is_wrong_usage(self, around: Around) -> None:
        with pytest.raises(UsageError, match=r"cannot read the query '\(\(' \(400\)") as caught:
            list(search_records("((", (), around()))
        assert "field:value" in str(caught.value.hint)

    def test_no_credentials_are_sent(self, around: Around, stand: Mirror) -> None:
        before = len(stand.requests())
        list_files("isic:collections=292", around())
        assert {asked["credentials"] for asked in stand.requests()[before:]} == {None}


def test_the_next_address_is_used_as_it_is() -> None:
    """The cursor is the archive's own matter, whatever it looks like."""
    odd = "https://api.isic-archive.com/api/v2/images/search/?cursor=cD0y%2B+x==&limit=2&query="
    here, asked = answering({FIRST: page(1, 2, count=3, following=odd), odd: page(3)})
    assert [one["isic_id"] for one in search_records("", (), here)] == [
        "ISIC_0000001",
        "ISIC_0000002",
        "ISIC_0000003",
    ]
    assert asked == [FIRST, odd]


def test_a_page_is_asked_for_only_when_it_is_needed() -> None:
    here, asked = answering({FIRST: page(1, 2, count=3, following="https://a/2")})
    assert len(list(islice(search_records("", (), here), 2))) == 2
    assert asked == [FIRST]


def test_a_busy_archive_is_no_wrong_query() -> None:
    here, _ = answering({FIRST: 503})
    with pytest.raises(ServerRefused, match="answers 503"):
        list(search_records("", (), here))


def test_fewer_records_than_counted_are_an_error() -> None:
    here, _ = answering({FIRST: page(1, 2, count=3)})
    with pytest.raises(IntegrityError, match="counted 3 images and gave 2"):
        list(search_records("", (), here))


def test_pages_that_go_round_in_a_circle_are_left() -> None:
    here, _ = answering(
        {FIRST: page(1, count=3, following="https://a/2"), "https://a/2": page(2, following="https://a/2")}
    )
    with pytest.raises(NotTheFile, match="circle"):
        list(search_records("", (), here))


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"results": None},
        {"results": ["ISIC_0000001"]},
        {"results": [{"isic_id": "../../x"}]},
        {"results": [], "next": "file:///etc/passwd"},
        {"results": [], "count": "many"},
    ],
)
def test_an_answer_of_another_shape_is_refused(answer: Any) -> None:
    here, _ = answering({FIRST: answer})
    with pytest.raises(NotTheFile, match="not as expected"):
        list(search_records("", (), here))


def test_a_record_becomes_a_row_of_the_official_table() -> None:
    """Fixed columns first, then the fields by name; booleans as True and False, numbers as they are."""
    clinical = {
        "sex": "female",
        "age_approx": 55,
        "melanocytic": True,
        "mel_ulcer": False,
        "clin_size_long_diam_mm": 3.5,
        "diagnosis_1": "Benign",
        "diagnosis_2": "Benign melanocytic proliferations",
        "anatom_site_1": "Trunk",
        "lesion_id": None,
    }
    row = flatten_record(record(7, **clinical))
    assert list(row)[:3] == ["isic_id", "attribution", "copyright_license"]
    assert list(row)[3:] == sorted(list(row)[3:])
    assert (row["melanocytic"], row["mel_ulcer"], row["age_approx"]) == ("True", "False", "55")
    assert row["clin_size_long_diam_mm"] == "3.5"
    assert row["diagnosis"] == "Benign:Benign melanocytic proliferations"
    assert row["anatom_site"] == row["anatom_site_1"] == "Trunk"
    assert "lesion_id" not in row


def test_a_level_in_between_that_is_not_set_keeps_its_place() -> None:
    row = flatten_record(record(7, diagnosis_1="Malignant", diagnosis_3="Melanoma, NOS"))
    assert row["diagnosis"] == "Malignant::Melanoma, NOS"


def test_a_record_without_diagnosis_has_no_diagnosis() -> None:
    assert "diagnosis" not in flatten_record(record(7))


def test_a_file_keeps_the_ending_of_its_address() -> None:
    (file,) = isic.to_files([record(7)])
    assert (file.name, file.rough_size, file.role) == ("images/ISIC_0000007.jpg", 49982, "images")
    assert file.size is None


@pytest.mark.parametrize("other", ["ISIC_0000008.jpg", "ISIC_0000007_thumbnail.jpg", "ISIC_00000070.JPG", ""])
def test_an_address_of_another_image_is_refused(other: str) -> None:
    """Nothing else tells one image's bytes from another's: no checksum, and a size of other bytes."""
    wrong = record(7)
    wrong["files"]["full"]["url"] = f"https://isic-archive.s3.amazonaws.com/images/{other}"
    with pytest.raises(NotTheFile, match="'url' is not the address of ISIC_0000007"):
        list(isic.to_files([wrong]))


@pytest.mark.parametrize(
    ("fields", "site"),
    [
        ({"anatom_site_1": "Trunk", "anatom_site_2": "Anterior trunk"}, "Trunk:Anterior trunk"),
        ({"anatom_site_general": "anterior torso"}, "anterior torso"),
        ({"anatom_site_general": "anterior torso", "anatom_site_1": "Trunk"}, "Trunk"),
        ({"anatom_site_special": "acral NOS"}, None),
    ],
)
def test_a_site_comes_from_its_levels_or_else_from_the_flat_field_before_them(
    fields: dict[str, str], site: str | None
) -> None:
    row = flatten_record(record(7, **fields))
    assert row.get("anatom_site") == site
    assert fields.items() <= row.items()


def test_the_identity_of_a_listing_is_read_word_for_word() -> None:
    assert parse_search("") == ("", ())
    assert parse_search("collections=70,65") == ("", (70, 65))
    assert parse_search("query=mel_mitotic_index:<1/mm^2&collections=70") == (
        "mel_mitotic_index:<1/mm^2",
        (70,),
    )


def test_another_word_or_number_in_it_is_refused() -> None:
    with pytest.raises(UnknownName, match="collection"):
        parse_search("collection=70")
    with pytest.raises(BadCatalog):
        parse_search("collections=seventy")
