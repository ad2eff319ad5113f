"""What came of a fetch: said in lines, and raised where the rows are not as they should be."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dermdata.api.models import describe_model
from dermdata.api.resources import Resources
from dermdata.errors import SomeFailed
from dermdata.markup import count_nouns
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.cache.receipt import SubsetSpec
    from dermdata.fetching import FetchResult
    from dermdata.model import Dataset

SHOWN_WORDS = 10


def tell_outcome(resources: Resources, dataset: "Dataset", outcome: "FetchResult") -> None:
    """What came of it: one line, and one for everything that is not as it should be."""
    from dermdata.catalogs.entries import describe_layout

    report = outcome.report
    if dataset.kind == "model":
        for line in describe_model(dataset, outcome, resources.cache.find_folder(dataset).receipt()):
            resources.say(line)
        return
    if outcome.nothing_to_do:
        resources.say(f"{dataset.name}: already complete{describe_complete(outcome)}")
        tell_unverified(resources, dataset, outcome)
        return
    all_rows = f"{count_nouns(report['rows'], 'row')} of {report['rows_in']:,}"
    here = describe_part(outcome) if outcome.part else all_rows
    brought = "" if dataset.access.paths else f", {format_size(outcome.downloaded)} fetched"
    resources.say(f"{dataset.name}: {here}{brought}")
    for line in (*describe_layout(dataset), *(f"warning: {dataset.name}: {one}" for one in remarks(report))):
        resources.say(line)
    tell_copy(resources, dataset, outcome)
    tell_unverified(resources, dataset, outcome)


def describe_complete(outcome: "FetchResult") -> str:
    lacking = outcome.report.get("rows_without_image")
    rows = describe_part(outcome) if outcome.part else count_nouns(outcome.report.get("rows", 0), "row")
    rows += f", {lacking:,} without an image file" if lacking else ""
    source = f", from {outcome.copied.copy.name}" if outcome.copied else ""
    return f"{source}, nothing to do ({rows})"


def tell_copy(resources: Resources, dataset: "Dataset", outcome: "FetchResult") -> None:
    """What a copy that stands in does not have of what the publisher gives."""
    entry = outcome.copied
    if entry is None:
        return
    if entry.left_out:
        roles = {file.name: file.role for file in dataset.files}
        names = ", ".join(f"{name} ({roles[name]})" for name in entry.left_out)
        again = f"`dermdata fetch {dataset.name} --only {roles[entry.left_out[0]]}` asks the publisher again"
        resources.say(f"{dataset.name}: {entry.copy.name} has no {names}; {again}")
    if entry.copy.differs and any(spec.file not in entry.official for spec in entry.table):
        resources.say(f"{dataset.name}: {entry.copy.name} differs: {'; '.join(entry.copy.differs)}")


def tell_unverified(resources: Resources, dataset: "Dataset", outcome: "FetchResult") -> None:
    """How many images are here that no published checksum covers, and what would."""
    count = outcome.report.get("unverified")
    if count and outcome.copied:
        resources.say(
            f"{dataset.name}: {count_nouns(count, 'image', 'are')} unverified: they came from "
            f"{outcome.copied.copy.name}, and no checksum of the publisher's covers them"
        )
    elif count:
        resources.say(
            f"{dataset.name}: {count_nouns(count, 'image', 'are')} unverified: "
            "they came in part, and no published checksum covers them"
        )
        if any(file.checksum for file in dataset.files if file.unpack):
            resources.say(
                f"{dataset.name}: `dermdata fetch {dataset.name}` takes whole archives and checks them"
            )


def describe_part(outcome: "FetchResult") -> str:
    """How many of how many rows are here, and by which conditions they were chosen."""
    part = outcome.part
    assert part is not None  # noqa: S101  # asked for a part only
    return f"{len(part.rows):,} of {count_nouns(part.of, 'row')}: {'; '.join(describe_choice(one) for one in part.asked)}"


def describe_choice(asked: "SubsetSpec") -> str:
    words = [asked.where] if asked.where is not None else []
    return ", ".join(words + ([f"the first {asked.limit:,}"] if asked.limit is not None else []))


def require_usable(dataset: "Dataset", outcome: "FetchResult") -> None:
    """SomeFailed when rows or labels of the source could not be used, or images are where no row finds them."""
    require_some_rows(dataset, outcome)
    require_any_match(dataset, outcome.report)
    require_open_archives(dataset, outcome.report)
    if any(outcome.report.get(key) for key in ("unmapped_labels", "rejected", "lost")):
        raise SomeFailed(f"{dataset.name}: some rows or labels could not be used, see above")


def require_some_rows(dataset: "Dataset", outcome: "FetchResult") -> None:
    """SomeFailed for an empty manifest, unless the entry says why it has no rows, or only some were asked for."""
    if dataset.kind == "model" or outcome.part or dataset.no_rows or outcome.report.get("rows", 1):
        return
    hint = f"`dermdata info {dataset.name}` tells which table and images the entry expects"
    if not dataset.table:
        hint = "the entry has no [[table]]; `dermdata add FOLDER` makes rows of a folder of images"
    raise SomeFailed(f"{dataset.name}: its files are here, and the manifest has no row", hint=hint)


def require_any_match(dataset: "Dataset", report: Mapping[str, Any]) -> None:
    """SomeFailed when there are rows and images, and not one of these is of one of those: their names differ."""
    images, rows = report.get("images_without_row", {}).get("count"), report.get("rows")
    if not (images and rows) or report.get("rows_without_image") != rows:
        return
    named = report.get("images_not_found", {}).get("first", [])[:1]
    such_as = (
        f": the table has {', '.join(map(repr, named))}, the files are such as " if named else ", such as "
    )
    raise SomeFailed(
        f"{dataset.name}: not one of {count_nouns(report['rows'], 'row')} has its "
        f"image, though {count_nouns(images, 'image', 'are')} here"
        f"{such_as}{report['images_without_row']['first'][0].rpartition('/')[2]!r}",
        hint="the entry must map image_id, or image, to the column with the files' names, without folder and ending",
    )


def require_open_archives(dataset: "Dataset", report: Mapping[str, Any]) -> None:
    """SomeFailed when images are missing, and archives in an archive stayed closed that may hold them."""
    closed = report.get("closed_archives", {}).get("first", [])
    if closed and report.get("rows_without_image"):
        raise SomeFailed(
            f"{dataset.name}: {count_nouns(report['rows_without_image'], 'row', 'have')} "
            "no image, and an archive in an archive is not "
            f"opened ({closed[0]})",
            hint="unpack it by hand and give the folder: --from FOLDER",
        )


def describe_rejected(rejected: Sequence[Mapping[str, Any]]) -> list[str]:
    """The first rows that are none, and marks in images that are none, and how many there are of all."""
    lines = [f"{'mark' if 'mark' in one else 'row'} rejected: {one}" for one in rejected[:SHOWN_WORDS]]
    if len(rejected) <= SHOWN_WORDS:
        return lines
    marks = sum("mark" in one for one in rejected)
    counts = {"row": len(rejected) - marks, "mark": marks}
    shown = " and ".join(count_nouns(count, what) for what, count in counts.items() if count)
    return [*lines, f"{shown} rejected in all; the receipt lists them"]


def remarks(report: Mapping[str, Any]) -> list[str]:
    """Everything in a report that a person should know."""
    lines = describe_rejected(report["rejected"])
    lines += describe_words(report)
    if report["rows_without_image"]:
        lines.append(
            f"{count_nouns(report['rows_without_image'], 'row')} without an image file (column image_problem says why)"
        )
    if report["undecodable"]:
        lines.append(
            f"{count_nouns(report['undecodable'], 'image')} cannot be decoded whole (column image_problem says why)"
            + describe_problems(report.get("unusable") or {})
        )
    for kind in ("image", "mask"):
        if count := (report.get(f"{kind}s_without_row") or {}).get("count"):
            lines.append(f"{count_nouns(count, f'{kind} file')} that no row names, kept in the cache")
    if report.get("lost"):
        lines.append(
            f"{count_nouns(report['lost'], 'image')} did not come from their addresses (column image_problem says why)"
        )
    return [*lines, *describe_differences(report["differences"])]


def describe_differences(differences: Sequence[str]) -> list[str]:
    """The first numbers that are not the catalog's, and how many more there are: a table of 114 labels has many."""
    more = len(differences) - SHOWN_WORDS
    if more <= 0:
        return list(differences)
    rest = f"{count_nouns(more, 'more number', 'are')} not as the catalog expects; the receipt lists them"
    return [*differences[:SHOWN_WORDS], rest]


def describe_problems(rows: Mapping[str, int]) -> str:
    """What is wrong with images, the most frequent first."""
    shown = sorted(rows.items(), key=lambda one: (-one[1], one[0]))[:SHOWN_WORDS]
    return f": {'; '.join(f'{count:,} {problem}' for problem, count in shown)}" if shown else ""


def describe_words(report: Mapping[str, Any]) -> list[str]:
    """The words and joins of which nothing could be made."""
    counted = (
        ("unmapped_labels", "label not in the crosswalk: {0} ({1})"),
        ("unmapped_values", "word not mapped: {0} ({1})"),
        ("unpartnered", "{1} without partner in {0}"),
    )
    return [
        line.format(word, count_nouns(rows, "row"))
        for name, line in counted
        for word, rows in report[name].items()
    ]
