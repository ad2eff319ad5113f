"""What the catalog says: licenses, counts, known problems."""

from dermdata.model import File, License, Overlap, PublishedCounts
from support.audit_builders import audited, rows
from support.manifest_builders import dataset


def test_licenses_that_fit_under_one_are_a_note_and_others_a_warning() -> None:
    (one,) = audited(rows(license=["CC0-1.0", "CC-BY-4.0"]), "license-mix")
    assert (one.level, one.evidence["id"]) == ("note", "CC-BY-4.0")
    (one,) = audited(rows(license=["CC-BY-SA-4.0", "CC-BY-NC-4.0"]), "license-mix")
    assert (one.level, one.evidence["id"]) == ("warning", None)


def test_one_license_is_no_mix_and_none_is_a_warning() -> None:
    assert audited(rows(license=["CC0-1.0", "CC0-1.0"]), "license-mix") == []
    assert [one.level for one in audited(rows(2), "license-mix")] == ["warning"]


def test_the_catalogs_license_fills_in() -> None:
    entry = dataset(name="a", license=License(id="LicenseRef-x", commercial_use=False))
    assert audited(rows(2), "license-mix", entries=[entry]) == []


def test_counts_differ_only_for_what_is_whole() -> None:
    """Of a selection fewer rows are no finding."""
    entry = dataset(name="a", counts=PublishedCounts(images=3))
    (one,) = audited(rows(2), "count-differs", entries=[entry], complete_datasets=frozenset("a"))
    assert (one.level, one.message) == ("warning", "2 images, the catalog expects 3")
    assert audited(rows(2), "count-differs", entries=[entry]) == []


def test_masks_that_no_row_has_are_counted_where_there_are_some() -> None:
    """The catalog's number is compared with 0 too, but not where only the tables were fetched."""
    files = (File(name="masks.zip", role="masks", unpack="zip"),)
    entry = dataset(name="a", counts=PublishedCounts(masks=3), files=files)
    told = {"entries": [entry], "complete_datasets": frozenset("a")}
    (one,) = audited(rows(2), "count-differs", fetched_roles={"a": ("images", "masks")}, **told)
    assert one.message == "0 masks, the catalog expects 3"
    assert audited(rows(2), "count-differs", fetched_roles={"a": ("images",)}, **told) == []


def test_known_problems_come_with_their_source() -> None:
    """Shared images are a warning once both datasets are here."""
    entry = dataset(
        name="a", notes=("29 groups",), overlaps=(Overlap(dataset="b", note="all"),), facts={"notes": "N"}
    )
    found = audited(rows(1), "known-issue", entries=[entry])
    assert [(one.level, one.evidence["source"]) for one in found] == [("note", "N"), ("note", "N")]
    both = audited(rows(dataset=["a", "b"]), "known-issue", entries=[entry])
    assert [one.level for one in both] == ["warning", "note"]
