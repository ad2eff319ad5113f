"""The README.md of a dataset folder: a YAML header that the Hub reads, and a text for people.

Source of the header's keys: huggingface_hub 1.x, the dataset card specification. JSON is YAML, so each value is
written as JSON.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.compute as pc

from dermdata.export import about, features
from dermdata.export.features import Feature
from dermdata.export.job import Job
from dermdata.markup import bibtex_entry, escape_markdown, fence_markdown, link_markdown, show_controls
from dermdata.model import Dataset

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
HUB_LICENCES = (
    "cc0-1.0",
    "cc-by-",
    "apache-2.0",
    "mit",
)  # ids, or how they begin, that the Hub knows in lower case
ALLOWED = {True: "allowed", False: "not allowed", None: "not stated"}
Splits = Mapping[str, tuple[int, int]]  # name -> images, bytes as stored


def text(job: Job, columns: Mapping[str, Feature], splits: Splits) -> str:
    lines = ["---", *header(job, columns, splits), "---", "", *body(job, splits)]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------ header


def header(job: Job, columns: Mapping[str, Feature], splits: Splits) -> Iterator[str]:
    rows = sum(count for count, _ in splits.values())
    tasks = (["image-classification"] if job.classes else []) + (
        ["image-segmentation"] if "mask" in columns else []
    )
    facts = {
        "pretty_name": ", ".join(entry.title for entry in entries(job)) or "Skin images",
        **licence(job),
        **({"task_categories": tasks} if tasks else {}),
        "size_categories": [next((name for most, name in SIZES if rows < most), "1M<n<10M")],
        "tags": ["medical", "dermatology"],
        "dataset_info": {
            "features": features.as_yaml(columns),
            "splits": [
                {"name": name, "num_bytes": size, "num_examples": count}
                for name, (count, size) in splits.items()
            ],
        },
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*"} for name in splits],
            }
        ],
    }
    for name, value in facts.items():
        yield f"{name}: {show_controls(json.dumps(value, ensure_ascii=False))}"


def licence(job: Job) -> dict[str, Any]:
    """The Hub's own id of each licence; `other` where one has none, with its name."""
    found = licences(job)
    known = [one.lower() for one in found]
    if known and all(one.startswith(HUB_LICENCES) for one in known):
        return {"license": known[0] if len(known) == 1 else known}
    return {"license": "other", "license_name": ", ".join(found) or "not stated"}


def licences(job: Job) -> list[str]:
    """The licences that the rows name."""
    if "license" not in job.table.column_names:
        return []
    return sorted(word for word in pc.unique(job.table["license"].cast("string")).to_pylist() if word)


def datasets(job: Job) -> list[str]:
    return sorted(word for word in pc.unique(job.table["dataset"].cast("string")).to_pylist() if word)


def entries(job: Job) -> list[Dataset]:
    return [job.entries[name] for name in datasets(job) if name in job.entries]


# ------------------------------------------------------------------ text


def body(job: Job, splits: Splits) -> Iterator[str]:
    yield f"# {', '.join(escape_markdown(entry.title) for entry in entries(job)) or 'Skin images'}"
    yield ""
    yield "Dermatology images exported by dermdata, with one row an image in the columns of its manifest."
    if job.recipe.changes:
        yield (
            "Images were changed: "
            + changes(job)
            + " Columns such as `bytes` and `sha256` describe the originals."
        )
    yield from ("", "| split | images |", "|---|---:|")
    yield from (f"| {escape_markdown(name)} | {count:,} |" for name, (count, _) in splits.items())
    if job.classes:
        classes = ", ".join(map(escape_markdown, job.classes))
        yield from ("", f"`label` has {len(job.classes)} classes, in this order: {classes}.")
    if job.left.num_rows:
        yield from ("", f"{job.left.num_rows:,} images were left out: `left-out.csv` says which and why.")
    yield from (
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'dataset = load_dataset("PATH")',
        "```",
    )
    for entry in entries(job):
        yield from source(entry)
    yield from provenance(job)


def changes(job: Job) -> str:
    size = f"at most {job.size} pixels on the longest side. " if job.size else ""
    return size + ("EXIF, XMP, IPTC and comments removed." if job.strip else "")


def source(entry: Dataset) -> Iterator[str]:
    """What one dataset is, its terms and how to cite it."""
    terms = entry.license
    yield from ("", f"## {escape_markdown(entry.title)}", "", escape_markdown(entry.summary), "")
    if entry.homepage:
        yield f"- Home: {link_markdown(entry.homepage)}"
    page = f" ({link_markdown(terms.url)})" if terms.url else ""
    yield f"- Licence: {escape_markdown(terms.id or 'not stated')}{page}"
    yield f"- Commercial use: {ALLOWED[terms.commercial_use]}; redistribution: {ALLOWED[terms.redistribution]}"
    if terms.statement:
        yield f"- {escape_markdown(terms.statement)}"
    if entry.citation.text:
        yield from ("", f"Cite: {escape_markdown(entry.citation.text)}")
    if bibtex := bibtex_entry(entry.name, entry.citation.bibtex):
        yield from ("", *fence_markdown(bibtex, "bibtex"))


def provenance(job: Job) -> Iterator[str]:
    facts = about.of(job.table)
    if facts:
        text = json.dumps(facts, ensure_ascii=False, indent=1)
        yield from ("", "## Provenance", "", *fence_markdown(text, "json"))
