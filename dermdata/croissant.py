"""Croissant: a dataset's metadata as JSON-LD that machines read, from what the catalog states and nothing else (pure).

Sources: Croissant 1.0 (http://mlcommons.org/croissant/1.0) and its vocabulary for responsible AI, RAI 1.0.
A file of which no checksum is known makes the whole `isLiveDataset`: the format has no other word for bytes that
nothing vouches for.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dermdata.licenses import is_known_license
from dermdata.manifest.schema import COLUMNS
from dermdata.markup import bibtex_entry
from dermdata.model import Dataset, File

Json = dict[str, Any]
CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
CONFORMS_TO = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
ARCHIVE_TYPES = {
    "zip": "application/zip",
    "tar": "application/x-tar",
    "tar.gz": "application/gzip",
    "tar.zst": "application/zstd",
}
MEDIA_TYPES = {
    "csv": "text/csv", "tsv": "text/tab-separated-values", "tab": "text/tab-separated-values",
    "txt": "text/plain", "json": "application/json", "jsonl": "application/jsonlines",
    "parquet": "application/x-parquet", "zip": "application/zip", "npz": "application/zip",
    "tar": "application/x-tar", "gz": "application/gzip", "rar": "application/vnd.rar",
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "tif": "image/tiff", "tiff": "image/tiff",
    "bmp": "image/bmp", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip
UNKNOWN_TYPE = "application/octet-stream"
DIGEST_ALGORITHMS = ("sha256", "md5")  # the two that Croissant knows
COLUMN_MEANINGS = {name: text for name, _, text in COLUMNS}
SENSITIVE_COLUMNS = ("patient_id", "age", "age_raw", "sex", "fitzpatrick", "fitzpatrick_range", "monk")
ANNOTATION_COLUMNS = ("confirmation", "fitzpatrick_source", "monk_source")
# notes of who is in the data and how they came into it or by their label; all others are limits of its use
BIAS_NOTE = re.compile(
    r"skin (?:type|tone)|fitzpatrick|monk tone|\bsex\b|\bage\b|ethnic|\brace\b|histolog|histopath|biops"
    r"|prevalence|\bweak\b|\bleak|duplica|identical|dogs|invented",
    re.IGNORECASE,
)


def from_entry(dataset: Dataset, addresses: Mapping[str, str]) -> Json:
    """Describe a catalog entry as a Croissant document.

    Parameters
    ----------
    dataset : Dataset
        The entry.
    addresses : mapping
        Name of a file -> its address, as far as it is known.

    Returns
    -------
    dict
        JSON-LD. Where the addresses may not be passed on it has no files.

    """
    named = dataset.files if dataset.license.link_may_be_shared else ()
    files = [file_object(dataset, file, addresses.get(file.name)) for file in named]
    carried = filled_columns(dataset)
    return croissant_document(
        dataset.name,
        f"{dataset.title}. {dataset.summary}",
        [dataset],
        licenses=license_pages(dataset),
        files=files,
    ) | responsible_ai_facts(
        [dataset], [name for name in SENSITIVE_COLUMNS if name in carried], list(annotation_sources(dataset))
    )


def croissant_document(
    name: str, description: str, entries: Sequence[Dataset], *, licenses: Sequence[str], files: Sequence[Json]
) -> Json:
    """All of a Croissant file but its records and its responsible-AI part."""
    facts = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "description": description,
        "url": single_value([one.homepage for one in entries]),
        "version": single_value([one.version for one in entries]),
        "license": list(licenses),
        "citeAs": "\n\n".join(dict.fromkeys(filter(None, map(citation_text, entries)))),
        "keywords": sorted(
            {"dermatology", *(word for one in entries for word in (*one.modalities, *one.tasks))}
        ),
        "conditionsOfAccess": texts_of_each(entries, access_texts),
        "isLiveDataset": any(not {*DIGEST_ALGORITHMS} & set(one) for one in files if "contentUrl" in one),
        "distribution": list(files),
    }
    return {key: value for key, value in facts.items() if value not in (None, "", [], False)}


def single_value(values: Sequence[str | None]) -> str | None:
    """The one value that they have, if they have but one."""
    return values[0] if len(set(values)) == 1 else None


def citation_text(dataset: Dataset) -> str | None:
    """How to cite it: BibTeX, else in words, else its DOI."""
    cited = dataset.citation
    doi = f"https://doi.org/{cited.doi}" if cited.doi else None
    return bibtex_entry(dataset.name, cited.bibtex) or cited.text or doi


def access_texts(dataset: Dataset) -> Iterator[str]:
    """What must be done to get it, in the entry's own words."""
    access = dataset.access
    yield ". ".join(filter(None, (access.kind, access.steps, dataset.license.statement)))


def texts_of_each(entries: Sequence[Dataset], texts: Callable[[Dataset], Iterable[str]]) -> list[str]:
    """What `texts` says of each dataset, after the dataset's name where there are several."""
    many = len(entries) > 1
    return [f"{one.name}: {text}" if many else text for one in entries for text in texts(one)]


def license_pages(dataset: Dataset) -> list[str]:
    """The page of its license, else the license's name; nothing where none is stated."""
    terms = dataset.license
    page = terms.url or (terms.id and license_url(terms.id, [dataset]))
    return [one for one in (page or terms.id,) if one]


def license_url(name: str, entries: Iterable[Dataset]) -> str | None:
    """Where a license is written: as an entry has it, else SPDX's page of it."""
    stated = (one.license.url for one in entries if one.license.id == name and one.license.url)
    return next(stated, f"https://spdx.org/licenses/{name}" if is_known_license(name) else None)


# ------------------------------------------------------------------ files


def file_object(dataset: Dataset, file: File, address: str | None) -> Json:
    """A file of the catalog; one without a known address is expected beside the document, under its name."""
    algorithm, _, digest = (file.checksum or "").partition(":")
    size = f"{file.size} B" if file.size is not None else file.size_text
    return {
        "@type": "cr:FileObject",
        "@id": quote(file.name, safe="/"),
        "name": file.name,
        "description": ". ".join(describe_file(dataset, file, address)),
        "contentUrl": address or file.name,
        "encodingFormat": media_type(file),
        **({"contentSize": size} if size else {}),
        **({algorithm: digest} if algorithm in DIGEST_ALGORITHMS else {}),
    }


def describe_file(dataset: Dataset, file: File, address: str | None) -> Iterator[str]:
    yield file.role
    if file.note:
        yield file.note
    if not file.fetch:
        yield "dermdata does not fetch it"
    elif address is None:
        yield f"no address is known beforehand: `dermdata fetch {dataset.name}` gets it or says how to get it"
    if not file.checksum:
        yield "no checksum is published"


def media_type(file: File) -> str:
    return ARCHIVE_TYPES.get(file.unpack or "") or MEDIA_TYPES.get(
        file.name.rpartition(".")[2].lower(), UNKNOWN_TYPE
    )


# ------------------------------------------------------------------ responsible AI


def responsible_ai_facts(
    entries: Sequence[Dataset], sensitive: Sequence[str], annotated: Sequence[str]
) -> Json:
    """The RAI part: collection, biases, limits, use, what is personal, and how labels came about."""
    facts = {
        "rai:dataCollection": " ".join(texts_of_each(entries, collection_texts)),
        "rai:dataBiases": [*texts_of_each(entries, bias_notes), *texts_of_each(entries, label_count_texts)],
        "rai:dataLimitations": [*texts_of_each(entries, limit_notes), *texts_of_each(entries, overlap_notes)],
        "rai:dataUseCases": sorted({task for one in entries for task in one.tasks}),
        "rai:personalSensitiveInformation": [f"{name}: {COLUMN_MEANINGS[name]}" for name in sensitive],
        "rai:dataAnnotationProtocol": list(annotated),
    }
    return {key: value for key, value in facts.items() if value}


def collection_texts(dataset: Dataset) -> Iterator[str]:
    by = f" Modality: {', '.join(dataset.modalities)}." if dataset.modalities else ""
    yield f"{dataset.summary}{by}"


def bias_notes(dataset: Dataset) -> Iterator[str]:
    yield from (note for note in dataset.notes if BIAS_NOTE.search(note))


def limit_notes(dataset: Dataset) -> Iterator[str]:
    yield from (note for note in dataset.notes if not BIAS_NOTE.search(note))


def overlap_notes(dataset: Dataset) -> Iterator[str]:
    yield from (f"{other.dataset}: {other.note}" for other in dataset.overlaps)


def label_count_texts(dataset: Dataset) -> Iterator[str]:
    """How many images each label has: what a model sees most."""
    counted = sorted(dataset.counts.labels.items(), key=lambda one: (-one[1], one[0]))
    if counted:
        yield f"images of each label: {', '.join(f'{name} {count}' for name, count in counted)}"


def filled_columns(dataset: Dataset) -> set[str]:
    """The manifest's columns that the entry fills."""
    tables = dataset.table
    return {
        *dataset.fields,
        *(name for one in tables for name in (*one.columns, *one.constants, *one.first)),
    }


def annotation_sources(dataset: Dataset) -> Iterator[str]:
    """Who or what stands behind labels and skin types, for each column that says so."""
    for name in ANNOTATION_COLUMNS:
        words = {word for one in dataset.table for word in one.values.get(name, {}).values() if word}
        words |= {one.constants[name] for one in dataset.table if name in one.constants}
        if words:
            yield f"{name}: {', '.join(sorted(words))}"
