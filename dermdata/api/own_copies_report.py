"""What was recognized among files that the person has: in lines, and as rows of a plan."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.resources import Resources

if TYPE_CHECKING:
    from dermdata.fetching.adopt import Adopted, Found, Problem, Recognition

SHOWN = 5  # names in a line for the person; a dry run lists them all
WORDS = {
    "checksum": "its checksum is right",
    "name": "recognized by its name; no checksum is published",
    "content": "recognized by content, not verified",
    "part": "recognized by content, not verified and not complete",
}


# ------------------------------------------------------------------ lines


def describe_recognition(recognition: "Recognition", paths: Sequence[Path]) -> Iterator[str]:
    """What was recognized and how, and what is missing, a line each."""
    for one in recognition.adopted:
        what = "" if one.whole else f"{len(one.pieces):,} files "
        yield f"{one.file.name}: {what}{WORDS[one.how]} ({name_origins(one, paths)})"
    for name, found in recognition.mismatched.items():
        yield f"warning: {shorten([one.shown for one in found])}: has the name of {name}, but other bytes"
    for conflict in recognition.conflicts[:SHOWN]:
        shown = "; ".join(one.shown for one in conflict.found)
        yield f"warning: {conflict.name}: {len(conflict.found)} different files, none was taken: {shown}"
    if len(recognition.conflicts) > SHOWN:
        yield f"warning: {len(recognition.conflicts):,} names in all have several different files"
    yield from describe_missing(recognition)


def describe_missing(recognition: "Recognition") -> Iterator[str]:
    """What the dataset names and the paths do not hold."""
    if recognition.missing:
        yield f"warning: missing: {shorten([file.name for file in recognition.missing])}"
    if recognition.missing_images:
        count = len(recognition.missing_images)
        yield f"warning: missing: {count:,} images that the table names: {shorten(recognition.missing_images)}"
    if recognition.unnamed:
        yield f"warning: missing: {recognition.unnamed:,} images of those that the publisher counts"
    if recognition.missing_masks:
        yield f"{recognition.missing_masks:,} images without a mask among the paths"


def name_origins(one: "Adopted", paths: Sequence[Path]) -> str:
    """Where it comes from: the file, or the archives and given folders that hold its pieces."""
    if one.whole:
        return one.whole.shown
    places = dict.fromkeys(name_place(found, paths) for found in one.sources)
    return shorten(list(places)) or "its images lie elsewhere"


def name_place(found: "Found", paths: Sequence[Path]) -> str:
    if found.within:
        return str(found.origin)
    return next((str(path) for path in paths if found.origin.is_relative_to(path)), "an earlier copy")


def shorten(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def tell_rest(resources: Resources, problems: "Sequence[Problem]", unknown: "Sequence[Found]") -> None:
    """Say what could not be read, and what nothing asks for."""
    for problem in problems[: SHOWN * 4]:
        resources.say(f"warning: not read: {problem.shown}: {problem.reason}")
    if len(problems) > SHOWN * 4:
        resources.say(f"warning: {len(problems):,} files in all were not read")
    if unknown:
        shown = shorten([one.shown for one in unknown])
        resources.say(f"{len(unknown):,} files that nothing asks for, left alone: {shown}")


# ------------------------------------------------------------------ rows


def list_steps(recognition: "Recognition", paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Everything that was recognized or is missing, a row each."""
    row = partial(make_step, recognition.plan.dataset.name)
    for one in recognition.adopted:
        checked = one.file.checksum if one.how == "checksum" else None
        yield row("adopt", one.file.name, one.size, name_origins(one, paths), checksum=checked, how=one.how)
    for missing in recognition.missing:
        yield row("missing", missing.name, missing.size, checksum=missing.checksum)
    yield from map(partial(row, "missing-image"), recognition.missing_images)
    for conflict in recognition.conflicts:
        yield row("conflict", conflict.name, None, "; ".join(one.shown for one in conflict.found))
    for file, found in recognition.mismatched.items():
        yield from (row("mismatch", file, one.size, one.shown) for one in found)
    for had in recognition.plan.have:
        yield row("have", had.name, had.size, had.url, checksum=f"sha256:{had.sha256}", how=had.recognized)
    if recognition.plan.build:
        yield row("build", "manifest.parquet")


def make_step(
    dataset: str, step: str, file: str, count: int | None = None, origin: str | None = None, **more: Any
) -> dict[str, Any]:
    return {"dataset": dataset, "step": step, "file": file, "size_bytes": count, "from": origin, **more}


def list_rest(problems: "Iterable[Problem]", unknown: "Iterable[Found]") -> Iterator[dict[str, Any]]:
    """What could not be read, and what nothing asks for, a row each."""
    for problem in problems:
        yield {"step": "unreadable", "from": problem.shown, "how": problem.reason}
    for found in unknown:
        yield {"step": "unknown", "size_bytes": found.size, "from": found.shown}
