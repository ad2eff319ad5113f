"""Findings of an audit or a check on one screen: for each code how many, an example, and what to do."""

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from dermdata.api.display import make_console, show_controls
from dermdata.cli.cells import to_text

if TYPE_CHECKING:
    from dermdata.api.records import Item, Records

NEXT_STEPS = {
    "image-unreadable": "`dermdata verify --repair` fetches again what an address still gives",
    "image-truncated": 'leave it out: `select --where "image_problem is null"`',
    "duplicate-exact": "`dermdata select … --dedupe exact` keeps one of each",
    "duplicate-pixels": "`dermdata select … --dedupe near` keeps one of each",
    "duplicate-near": "look at them in the report, then `dermdata select … --dedupe near`",
    "leak-image": "do not report on this split; `dermdata split --near` makes one without",
    "leak-patient": "do not report on this split; `dermdata split` makes one without",
    "leak-lesion": "do not report on this split; `dermdata split` makes one without",
    "label-conflict": "leave both out, or ask the publisher which one is true",
    "id-conflict": "`dermdata split` keeps together what is joined; trust neither id",
    "exif-private": "`dermdata export … --strip-exif` before you publish the files",
    "image-turned": "read image and mask as stored; exports with masks reset the tag",
    "count-differs": "`dermdata verify NAME` tells whether files are missing here",
    "metadata-missing": "say how many rows a result by it leaves out, or that none has an id",
    "class-imbalance": "report balanced accuracy, and figures per class and place",
    "skin-tone-coverage": "make no claim for these skin types; report the interval",
    "malignancy-differs": "say which you use: `malignancy`, or the dataset's `malignancy_source`",
    "license-mix": "`dermdata cite` says who asks for what",
    "known-issue": "read them before you use the data: `dermdata info NAME`",
}
INDENT = " " * 8
COLORS = {"error": "bold red", "warning": "yellow", "note": "dim"}
LINES_BESIDE = 4  # of the screen: head, empty lines, prompt


def show(findings: "Records", head: str, color: str) -> None:
    """Each level and code with an example, and what to do, as the screen has room; those of errors in any case."""
    screen = make_console(sys.stdout, color)
    groups = group_findings(findings)
    screen.print(head, markup=False)
    wide = max((len(code) for _, code in groups), default=0)
    found = []
    for (level, code), some in groups.items():
        start = f"{code:<{wide}} {len(some):>6,}  "
        message = show_controls(some[0]["message"])
        whole = wrap_message(start, message, screen.width)
        found.append((level, code, f"{start}{message}", whole))
    room = shutil.get_terminal_size((120, 40)).lines - LINES_BESIDE
    advised, roomy = 2 * len(found) <= room, sum(len(whole) + 1 for *_, whole in found) <= room
    for level, code, line, whole in found:
        is_error = level == "error"
        shown = whole if roomy or is_error else [line]
        texts = [to_text(f"{level:<8}", COLORS[level]) + shown[0], *map(to_text, shown[1:])]
        texts += [to_text(f"{INDENT}{NEXT_STEPS[code]}", "dim")] * (advised or is_error)
        for text in texts:
            text.truncate(screen.width, overflow="ellipsis")
            screen.print(text)


def group_findings(findings: "Records") -> "dict[tuple[str, str], list[Item]]":
    """The findings by level and code."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for one in findings:
        groups.setdefault((one["level"], one["code"]), []).append(one)
    return groups


def wrap_message(start: str, message: str, width: int) -> list[str]:
    """A finding's line after its level; where the message has no room there, it stands below, whole."""
    if len(INDENT) + len(start) + len(message) <= width:
        return [f"{start}{message}"]
    return [start.rstrip(), *textwrap.wrap(message, width, initial_indent=INDENT, subsequent_indent=INDENT)]
