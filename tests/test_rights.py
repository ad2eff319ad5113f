"""What licenses allow together: the strictest term, and never a yes that no source gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.licenses import LicenseTerms, combine_terms, license_terms
from dermdata.model import License

CREATIVE = ["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0"]
TERMS = ("commercial_use", "redistribution", "share_alike")


@pytest.mark.parametrize(
    ("name", "commercial", "alike", "adaptations"),
    [
        ("CC0-1.0", True, False, True),
        ("CC-BY-4.0", True, False, True),
        ("CC-BY-NC-4.0", False, False, True),
        ("CC-BY-NC-SA-3.0", False, True, True),
        ("CC-BY-NC-ND-4.0", False, False, False),
    ],
)
def test_a_creative_commons_license_says_its_terms_by_its_name(
    name: str, commercial: bool, alike: bool, adaptations: bool
) -> None:
    found = license_terms(name)
    assert (found.commercial_use, found.share_alike, found.adaptations) == (commercial, alike, adaptations)
    assert found.redistribution is True


def test_another_license_allows_what_the_catalog_states_and_silence_is_no_yes() -> None:
    """Also where the row names a license that is not the dataset's."""
    stated = License(id="LicenseRef-x", commercial_use=False)
    assert license_terms("LicenseRef-x", stated) == LicenseTerms(id="LicenseRef-x", commercial_use=False)
    assert license_terms("LicenseRef-other", stated) == LicenseTerms(id="LicenseRef-other")
    assert license_terms(None) == LicenseTerms(id=None)


def test_a_mix_of_attribution_and_non_commercial_is_non_commercial() -> None:
    mix = combine_terms({"a": [license_terms("CC-BY-4.0")], "b": [license_terms("CC-BY-NC-4.0")]})
    assert (mix.id, mix.commercial_use, mix.redistribution) == ("CC-BY-NC-4.0", False, True)
    assert mix.because == ("no commercial use: b (CC-BY-NC-4.0)",)


def test_share_alike_beside_non_commercial_has_no_single_license_and_says_why() -> None:
    """BY-SA asks for BY-SA, which may be sold; BY-NC forbids that."""
    mix = combine_terms({"a": [license_terms("CC-BY-SA-4.0")], "b": [license_terms("CC-BY-NC-4.0")]})
    assert (mix.id, mix.commercial_use, mix.share_alike) == (None, False, True)
    assert "no one license meets" in mix.because[-1]


def test_one_row_without_a_license_makes_the_whole_unknown() -> None:
    mix = combine_terms({"a": [license_terms("CC0-1.0")], "b": [license_terms(None)]})
    assert (mix.id, mix.commercial_use, mix.redistribution) == (None, None, None)
    assert "commercial use is not stated: b (no license is stated)" in mix.because


@given(st.lists(st.sampled_from([*CREATIVE, None, "LicenseRef-x"]), min_size=1, max_size=5))
def test_a_mix_never_allows_what_one_of_its_licenses_does_not(names: list[str | None]) -> None:
    parts = [license_terms(name) for name in names]
    mix = combine_terms({f"d{number}": [one] for number, one in enumerate(parts)})
    for term in ("commercial_use", "redistribution"):
        values = {getattr(one, term) for one in parts}
        expected = False if False in values else None if None in values else True
        assert getattr(mix, term) is expected
    if mix.id in CREATIVE:
        whole = license_terms(mix.id)
        assert all(whole.commercial_use <= bool(one.commercial_use) for one in parts)
        assert all(one.share_alike is False or whole.share_alike for one in parts)


def test_what_asks_for_a_notice_outlasts_what_asks_for_nothing() -> None:
    """Rows under MIT do not become public domain because others are."""
    for free in ("CC0-1.0", "PDDL-1.0"):
        assert combine_terms({"a": [license_terms(free)], "b": [license_terms("MIT")]}).id == "MIT"
    assert combine_terms({"a": [license_terms("Apache-2.0")], "b": [license_terms("MIT")]}).id == "Apache-2.0"
