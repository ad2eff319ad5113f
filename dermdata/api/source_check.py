"""`doctor --sources`: each entry's hosts are asked what they have today; a report, and the catalog's health record."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata import __version__, disk
from dermdata.api.records import Records
from dermdata.errors import NetworkError, Offline, ProblemsFound, UsageError
from dermdata.markup import count_nouns
from dermdata.process import cancel_on_interrupt, raise_first_error

if TYPE_CHECKING:
    from dermdata.api.resources import Resources
    from dermdata.catalogs.health import LastSeen
    from dermdata.fetching.live_check import EntryPlan, PlaceChecker, Sighting, SourcePlace
    from dermdata.model import Dataset, File
    from dermdata.progress import Progress

COLUMNS = ("name", "state", "asked", "files", "detail", "places")
SCHEMA = "dermdata.sources/1"
PAUSE = 1.0  # seconds in which a host gets one request; 0: no pause but those that hosts want
HOSTS_AT_ONCE = 16
ATTEMPTS = 2  # tries of one request: the next check is a week away
DETAILS_SHOWN = 3  # of an entry, in words
STATE_WORDS = {
    "whole": "seen whole",
    "changed": "seen but changed",
    "gone": "gone",
    "refused": "refused",
    "unreachable": "not reachable",
    "not-asked": "not asked",
}
DIFFERENT = ("changed", "gone", "refused")


def check_sources(
    resources: "Resources",
    names: Sequence[str] = (),
    *,
    report: Path | None = None,
    update: Path | None = None,
) -> Records:
    """Ask the hosts of these entries, or of all; a row an entry. Nothing is downloaded.

    Parameters
    ----------
    resources
        Catalog and network.
    names
        Datasets and models.
    report
        A JSON file for all of it, with its date.
    update
        A catalog folder, whose health.json gets what was seen.

    Raises
    ------
    Offline
        With `--offline`.
    UsageError
        For a folder or file that cannot be written to.

    """
    from dermdata.fetching.live_check import plan_entry

    require_online(resources)
    require_targets(report, update)
    entries = [resources.catalog[name] for name in dict.fromkeys(names or resources.catalog)]
    plans = [plan_entry(entry) for entry in entries]
    moment = datetime.now(UTC)
    sightings = ask_places(resources, [place for plan in plans for place in plan.places])
    by_entry = defaultdict(list)
    for one in sightings:
        by_entry[one.asked.dataset.name].append(one)
    rows = [describe_entry_sources(plan, by_entry[plan.dataset.name]) for plan in plans]
    found = Records(rows, COLUMNS, describe_check(rows, moment))
    if report:
        document = {"schema": SCHEMA, "dermdata": __version__, **found.facts, "items": found.items}
        disk.write_text(report, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    if update:
        update_health(update, sightings, moment.date().isoformat())
    return found


def require_online(resources: "Resources") -> None:
    if resources.settings.offline:
        raise Offline("the sources must be asked, but --offline is set", hint="run again without --offline")


def require_targets(report: Path | None, update: Path | None) -> None:
    """UsageError, before anybody is asked, for a report that cannot be written and a folder that is no catalog."""
    if report:
        disk.require_file(report)
    if update and not any((update / kind).is_dir() for kind in ("datasets", "models")):
        raise UsageError(
            f"{update} is no catalog folder", hint="--update wants a folder that holds datasets/ or models/"
        )


def describe_check(rows: Sequence[Mapping[str, Any]], moment: datetime) -> dict[str, Any]:
    """What is true of all rows."""
    counted = Counter(row["state"] for row in rows)
    return {
        "checked_at": moment.isoformat(timespec="seconds"),
        "states": {state: counted[state] for state in STATE_WORDS if counted[state]},
    }


def require_as_stated(found: Records) -> None:
    """ProblemsFound where a source is not as the catalog says; NetworkError where one could not be reached."""
    states = found.facts["states"]
    if wrong := sum(states.get(state, 0) for state in DIFFERENT):
        raise ProblemsFound(
            f"{count_nouns(wrong, 'entry', 'have')} sources that are not as the catalog says, see the rows"
        )
    if unreachable := states.get("unreachable", 0):
        raise NetworkError(
            f"the hosts of {count_nouns(unreachable, 'entry')} could not be reached",
            hint="run it again where the network is open",
        )


# ------------------------------------------------------------------ asking


def ask_places(resources: "Resources", places: "Sequence[SourcePlace]") -> "list[Sighting]":
    """What each place gives, in their order; hosts at once, the places of a host one after another."""
    if not places:
        return []
    groups = defaultdict(list)
    for number, place in enumerate(places):
        groups[place.host].append(number)
    found: dict[int, Sighting] = {}
    with resources.show_progress() as progress, open_checker(resources, progress) as checker:
        task = f"ask {count_nouns(len(places), 'place')}"
        progress.begin(task, len(places), "places")

        def ask(numbers: Iterable[int]) -> None:
            for number in numbers:
                found[number] = checker.check(places[number])
                progress.advance(task, 1)

        with cancel_on_interrupt(ThreadPoolExecutor(max_workers=min(HOSTS_AT_ONCE, len(groups)))) as pool:
            raise_first_error([pool.submit(ask, numbers) for numbers in groups.values()])
        progress.end(task)
    return [found[number] for number in range(len(places))]


@contextmanager
def open_checker(resources: "Resources", progress: "Progress") -> "Iterator[PlaceChecker]":
    """What asks, gently: one request a second to each host, besides the limits that hosts publish."""
    from dermdata.api.fetch_dataset import open_surroundings
    from dermdata.catalogs.health import read_health
    from dermdata.fetching.live_check import PlaceChecker
    from dermdata.hosts.request_limits import LIMITS
    from dermdata.http import HttpClient, RequestRates

    settings = replace(resources.transfer(progress).settings, attempts=ATTEMPTS)
    rates = RequestRates(LIMITS, pace=((1, PAUSE),) if PAUSE else ())
    with HttpClient(settings, rates=rates) as client:
        yield PlaceChecker(
            context=open_surroundings(resources, client, []),
            head=client.inspect_file,
            read=client.read_range,
            earlier=read_health(resources.catalog.roots),
        )


# ------------------------------------------------------------------ telling


def describe_entry_sources(plan: "EntryPlan", seen: "Sequence[Sighting]") -> dict[str, Any]:
    """An entry's row: its worst state, and in words what is true of which files."""
    from dermdata.fetching.live_check import WORST_FIRST

    states = {one.state for one in seen} or {"not-asked"}
    state = next(one for one in WORST_FIRST if one in states)
    return {
        "name": plan.dataset.name,
        "state": state,
        "asked": sum(one.state != "not-asked" for one in seen),
        "files": len(plan.places),
        "detail": "; ".join([*describe_sightings(seen), *plan.remarks]),
        "places": [describe_place(one) for one in seen],
    }


def describe_sightings(seen: "Sequence[Sighting]") -> list[str]:
    """What is not whole, the same words of several files once."""
    words: dict[str, list[str]] = {}
    for one in seen:
        if one.detail:
            text = f"{STATE_WORDS[one.state]} at {one.asked.host}: {one.detail}"
            if one.state == "whole":  # only what was not asked of it
                text = one.detail
            words.setdefault(text, []).append(one.asked.file.name if one.asked.file else "its listing")
    lines = [
        f"{names[0]}: {text}" if len(names) == 1 else f"{count_nouns(len(names), 'file')}: {text}"
        for text, names in words.items()
    ]
    more = len(lines) - DETAILS_SHOWN
    return [*lines[:DETAILS_SHOWN], *([f"{more:,} more in the report"] if more > 0 else [])]


def describe_place(one: "Sighting") -> dict[str, Any]:
    """One place's item in the report."""
    from dermdata.urls import redact_url

    return {
        "file": one.asked.file.name if one.asked.file else None,
        "place": redact_url(one.asked.place),
        "state": one.state,
        "detail": one.detail,
        "size_bytes": one.size,
        "checksum": one.checksum,
        "files": one.files,
    }


# ------------------------------------------------------------------ the health record


def update_health(folder: Path, sightings: "Iterable[Sighting]", day: str) -> None:
    """Put what was seen into the folder's health.json; what was not seen keeps its day."""
    from dermdata.catalogs.health import FILE_NAME, merge_health, read_health_file, write_health

    seen: dict[str, dict[str, LastSeen]] = {}
    for one in sorted(sightings, key=lambda one: one.state == "whole"):  # of several places the one as stated
        if one.is_seen:
            seen.setdefault(one.asked.dataset.name, {})[one.asked.name] = one.to_last_seen(day)
    path = folder / FILE_NAME
    write_health(path, merge_health(read_health_file(path), seen))


def mark_seen(resources: "Resources", items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items of the catalog with the last day on which a file of each was seen; None where none ever was."""
    from dermdata.catalogs.health import find_last_day, read_health

    health = read_health(resources.catalog.roots)
    return [{**item, "seen_live": find_last_day(health.get(item["name"]))} for item in items]


def add_seen_sizes(resources: "Resources", items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items of the catalog; where no source states a size, with what the hosts said when they were last asked."""
    from dermdata.catalogs.health import read_health

    health = read_health(resources.catalog.roots)
    return [
        {**item, "size_bytes": sum_seen_sizes(resources.catalog[item["name"]], health[item["name"]])}
        if item["size_bytes"] is None and item["name"] in health
        else dict(item)
        for item in items
    ]


def sum_seen_sizes(dataset: "Dataset", seen: "Mapping[str, LastSeen]") -> int | None:
    """What a fetch would download: stated, or seen at the host; None where something is neither."""
    names = [dataset.listing] if dataset.listing else []
    if dataset.listing == "rows":
        return None
    sizes = [seen[name].size if name in seen else None for name in names]
    sizes += [expect_size(file, seen) for file in dataset.files if file.fetch]
    return sum(filter(None, sizes)) if sizes and None not in sizes else None


def expect_size(file: "File", seen: "Mapping[str, LastSeen]") -> int | None:
    """Bytes to plan for: stated, else seen at the host, else roughly stated."""
    if file.size is None and file.name in seen:
        return seen[file.name].size
    return file.expected_size


def plan_seen_sizes(resources: "Resources", rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a plan; a download of unknown size has what its host said when it was last asked."""
    from dermdata.catalogs.health import read_health

    health = read_health(resources.catalog.roots)
    for row in rows:
        seen = health.get(row["dataset"], {}).get(row["file"])
        if row["step"] == "download" and row["size_bytes"] is None and seen:
            row["size_bytes"] = seen.size
    return list(rows)


def read_entry_facts(resources: "Resources", name: str) -> dict[str, dict[str, Any]]:
    """When the files of an entry were last seen, and how they were then, by their names."""
    from dermdata.catalogs.health import read_health, to_facts

    return {file: to_facts(one) for file, one in read_health(resources.catalog.roots).get(name, {}).items()}


def describe_entry_health(resources: "Resources", name: str) -> str:
    """When an entry was last seen, in words."""
    from dermdata.catalogs.health import describe_health, read_health

    return describe_health(read_health(resources.catalog.roots).get(name))
