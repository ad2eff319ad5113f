"""A crosswalk in the mapping standard's format, read by the standard's own library."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from dermdata.crosswalks.crosswalk import to_sssom
from dermdata.model import Label
from support.bundled_labels import labels, vocabulary

# in a process of its own: the library brings pandas, and warns of its own dependencies. Its `strict` takes regular
# metadata for irregular (0.4.21), so what it logs is what fails here.
READ = """
import json, logging, sys

class Fails(logging.Handler):
    def emit(self, record):
        sys.exit(record.getMessage())

logging.getLogger().addHandler(Fails(logging.WARNING))
from sssom.parsers import parse_sssom_table
from sssom.validators import validate
from sssom.constants import SchemaValidationType
for path in sys.argv[1:]:
    found = parse_sssom_table(path)
    validate(found, [SchemaValidationType.JsonSchema, SchemaValidationType.PrefixMapCompleteness], fail_on_error=True)
    metadata = {key: str(value) for key, value in found.metadata.items()}
    print(json.dumps({"metadata": metadata, "rows": found.df.fillna("").to_dict("records")}))
"""


def test_the_library_reads_every_row_back_and_finds_nothing_wrong(tmp_path: Path) -> None:
    """HAM10000's lumps, ISIC's words with colons, SCIN's with commas and quotes, and a person's own with anything."""
    odd = [
        Label(
            field="a/b c", raw_label='tab\t"quote" 100% é#\nline', concept="melanoma", predicate="exactMatch"
        )
    ]
    sets = {name: list(labels(name)) for name in ("ham10000", "isic-archive", "scin")} | {"mine": odd}
    paths = []
    for name, rows in sets.items():
        paths.append(tmp_path / f"{name}.sssom.tsv")
        paths[-1].write_text(to_sssom(name, rows, vocabulary(), "1.0"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for (name, rows), line in zip(sets.items(), done.stdout.splitlines(), strict=True):
        found = json.loads(line)
        assert found["metadata"]["license"] == "https://creativecommons.org/licenses/by/4.0/"
        assert found["metadata"]["mapping_set_id"] == f"urn:dermdata:labels:{name}"
        assert len(found["rows"]) == len(rows)
        ours = {
            (row.field, row.raw_label, f"skos:{row.predicate}", f"dermdata:{row.concept}") for row in rows
        }
        theirs = set()
        for row in found["rows"]:
            field, _, word = row["subject_id"].partition(":")[2].partition("/")
            theirs.add((unquote(field), unquote(word), row["predicate_id"], row["object_id"]))
            assert row["mapping_justification"] == "semapv:ManualMappingCuration"
        assert theirs == ours


@pytest.mark.parametrize("word", ["akiec", "bkl", "vasc"])
def test_a_lumps_members_are_told(word: str) -> None:
    """The standard has no column for them."""
    [row] = [one for one in labels("ham10000") if one.raw_label == word]
    assert f"members={'|'.join(row.members)}" in to_sssom("ham10000", [row], vocabulary(), "1.0")
