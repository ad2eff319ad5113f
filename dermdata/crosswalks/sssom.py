"""A crosswalk as SSSOM TSV, the Simple Standard for Sharing Ontological Mappings; pure.

A subject is a dataset's word: `NAME:field/word`, percent-encoded, with the very string as its label. An object is a
concept of our vocabulary. A lump's members, for which the standard has no column, are in `other`.
"""

import json
from collections.abc import Iterable
from urllib.parse import quote

from dermdata.model import Label
from dermdata.vocabulary import Vocabulary, tsv

COLUMNS = (
    "subject_id", "subject_label", "predicate_id", "object_id", "object_label", "mapping_justification",
    "subject_source", "comment", "other",
)  # fmt: skip
CURATION = "semapv:ManualMappingCuration"
MAPPING_LICENSE = "https://creativecommons.org/licenses/by/4.0/"
CONCEPT_PREFIX = "urn:dermdata:concept:"
FIXED_PREFIXES = {
    "semapv": "https://w3id.org/semapv/vocab/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}


def to_sssom(dataset: str, labels: Iterable[Label], vocabulary: Vocabulary, version: str) -> str:
    """The text of the mapping set of one dataset; `version` is that of dermdata's catalog."""
    rows = [mapping_row(dataset, label, vocabulary) for label in labels]
    body = tsv.rows_to_text(COLUMNS, rows)
    return "".join(f"#{line}\n" for line in metadata_lines(dataset, version)) + body


def metadata_lines(dataset: str, version: str) -> Iterable[str]:
    """The mapping set's metadata: YAML, of which JSON strings are a part."""
    prefixes = {**FIXED_PREFIXES, "dermdata": CONCEPT_PREFIX, dataset: subject_prefix(dataset)}
    yield "curie_map:"
    yield from (f"  {prefix}: {json.dumps(address)}" for prefix, address in sorted(prefixes.items()))
    yield f"license: {json.dumps(MAPPING_LICENSE)}"
    yield f"mapping_set_id: {json.dumps(f'urn:dermdata:labels:{dataset}')}"
    yield f"mapping_set_title: {json.dumps(f'Label words of {dataset} as concepts of dermdata')}"
    yield f"mapping_set_version: {json.dumps(version)}"
    yield f"object_source: {json.dumps('dermdata:vocabulary')}"


def subject_prefix(dataset: str) -> str:
    return f"urn:dermdata:label:{dataset}:"


def mapping_row(dataset: str, label: Label, vocabulary: Vocabulary) -> list[str]:
    return [
        f"{dataset}:{quote(label.field, safe='')}/{quote(label.raw_label, safe='')}",
        label.raw_label,
        f"skos:{label.predicate}",
        f"dermdata:{label.concept}",
        vocabulary.name(label.concept),
        CURATION,
        f"{dataset}:{quote(label.field, safe='')}",
        label.note or "",
        f"members={'|'.join(label.members)}" if label.members else "",
    ]
