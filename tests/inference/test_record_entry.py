"""What a record states of itself becomes keys of an entry that the catalog takes, whatever was written there."""

import tomllib

import pytest
import tomlkit

from dermdata.catalogs.entries import parse_entry
from dermdata.hosts.base import RecordFacts
from dermdata.inference.record_entry import RecordParts, describe_record, describe_sources, file_keys
from dermdata.model import File

ODD = [
    "a\x00b\u202e", "x" * 5000, "../../x", "javascript:alert(1)", "https://user:pw@x.org/?token=abc", "see http://a b",
    "https://x.org/f?X-Amz-Signature=abc&y=1", "10.5281/zenodo.1 and more", '"""\n[access]\nkind = "none"',
]  # fmt: skip


@pytest.mark.parametrize("word", ODD)
def test_odd_words_of_a_record_make_an_entry_that_is_read(word: str) -> None:
    """Secrets are left out, an address that is none too; a version is fit for a folder's name."""
    facts = RecordFacts(
        place="zenodo:7", page=word, source="https://zenodo.org/api/records/7", title=word, version=word,
        license=word, license_url=word, doi=word, citation=word,
    )  # fmt: skip
    file = File(name="a.csv", role="metadata", source="zenodo:7/a.csv", urls=(word, "http://x.org/a.csv"))
    parts = RecordParts(facts=facts, files=[file], pictures=())
    keys = {"name": "ours", **describe_record(parts, "ours", "2026-12-01"), "files": [file_keys(file)]}
    keys["facts"] = describe_sources(parts, "2026-12-01", "dermdata 1")
    text = tomlkit.dumps(keys)
    entry = parse_entry(tomllib.loads(text), "it")
    assert "abc" not in text
    assert "pw" not in text
    assert entry.version
    assert "/" not in entry.version
    assert entry.files[0].urls == ()
