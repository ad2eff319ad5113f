"""What came of a fetch, in lines for the person."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dermdata.api.resources import Resources
from dermdata.errors import SomeFailed
from dermdata.units import size

if TYPE_CHECKING:
    from dermdata.cache.records import Asked
    from dermdata.fetching import Outcome
    from dermdata.model import Dataset

SHOWN_WORDS = 10


def tell_outcome(resources: Resources, dataset: "Dataset", outcome: "Outcome") -> None:
    """What came of it: one line, and one for everything that is not as it should be."""
    report = outcome.report
    if outcome.nothing_to_do:
        rows = describe_part(outcome) if outcome.part else f"{report.get('rows', 0):,} rows"
        resources.say(f"{dataset.name}: already complete, nothing to do ({rows})")
        tell_unverified(resources, dataset, report)
        return
    here = describe_part(outcome) if outcome.part else f"{report['rows']:,} rows of {report['rows_in']:,}"
    resources.say(f"{dataset.name}: {here}, {size(outcome.downloaded)} fetched")
    for line in remarks(report):
        resources.say(f"warning: {dataset.name}: {line}")
    tell_unverified(resources, dataset, report)


def tell_unverified(resources: Resources, dataset: "Dataset", report: Mapping[str, Any]) -> None:
    """How many images are here that no published checksum covers, and what would."""
    if count := report.get("unverified"):
        resources.say(
            f"{dataset.name}: {count:,} images are unverified: they came in part, and no published checksum covers them"
        )
        if any(file.checksum for file in dataset.files if file.unpack):
            resources.say(
                f"{dataset.name}: `dermdata fetch {dataset.name}` takes whole archives and checks them"
            )


def describe_part(outcome: "Outcome") -> str:
    """How many of how many rows are here, and by which conditions they were chosen."""
    part = outcome.part
    assert part is not None  # noqa: S101  # asked for a part only
    return f"{len(part.rows):,} of {part.of:,} rows: {'; '.join(describe_choice(one) for one in part.asked)}"


def describe_choice(asked: "Asked") -> str:
    words = [asked.where] if asked.where is not None else []
    return ", ".join(words + ([f"the first {asked.limit:,}"] if asked.limit is not None else []))


def require_usable(dataset: "Dataset", outcome: "Outcome") -> None:
    """SomeFailed when rows or labels of the source could not be used."""
    if any(outcome.report.get(key) for key in ("unmapped_labels", "rejected", "lost")):
        raise SomeFailed(f"{dataset.name}: some rows or labels could not be used, see above")


def remarks(report: Mapping[str, Any]) -> list[str]:
    """Everything in a report that a person should know."""
    lines = [f"row rejected: {row}" for row in report["rejected"][:SHOWN_WORDS]]
    if len(report["rejected"]) > SHOWN_WORDS:
        lines.append(f"{len(report['rejected'])} rows rejected in all; the receipt lists them")
    lines += [
        f"label not in the crosswalk: {word} ({rows:,} rows)"
        for word, rows in report["unmapped_labels"].items()
    ]
    lines += [f"word not mapped: {word} ({rows:,} rows)" for word, rows in report["unmapped_values"].items()]
    lines += [f"{rows:,} rows without partner in {name}" for name, rows in report["unpartnered"].items()]
    if report["rows_without_image"]:
        lines.append(
            f"{report['rows_without_image']:,} rows without an image file (column image_problem says why)"
        )
    if report["undecodable"]:
        lines.append(
            f"{report['undecodable']:,} images cannot be decoded whole (column image_problem says why)"
        )
    if report["images_without_row"]["count"]:
        lines.append(
            f"{report['images_without_row']['count']:,} image files that no row names, kept in the cache"
        )
    if report.get("lost"):
        lines.append(
            f"{report['lost']:,} images cannot be had from their addresses (column image_problem says why)"
        )
    return [*lines, *report["differences"]]
