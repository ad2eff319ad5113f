"""An audit on one screen: for each code how many, an example, and what to do."""

import shutil
import sys
from typing import TYPE_CHECKING

from dermdata.api.display import make_console, show_controls
from dermdata.cli.cells import to_text

if TYPE_CHECKING:
    from dermdata.api.records import Item, Records

NEXT_STEPS = {
    "image-unreadable": "`dermdata verify --repair` fetches again what is broken here",
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
    "metadata-missing": "a result by this column leaves these rows out: say how many",
    "class-imbalance": "report balanced accuracy, and figures per class and place",
    "skin-tone-coverage": "make no claim for these skin types; report the interval",
    "license-mix": "`dermdata cite` says who asks for what",
    "known-issue": "read them before you use the data: `dermdata info NAME`",
}
INDENT = " " * 8
COLORS = {"error": "bold red", "warning": "yellow", "note": "dim"}
LINES_BESIDE = 4  # of the screen: head, empty lines, prompt


def show(findings: "Records", head: str, color: str) -> None:
    """One line for each level and code, with what to do below where the screen has room for it."""
    screen = make_console(sys.stdout, color)
    groups: dict[tuple[str, str], list[Item]] = {}
    for one in findings:
        groups.setdefault((one["level"], one["code"]), []).append(one)
    screen.print(head, markup=False)
    roomy = 2 * len(groups) + LINES_BESIDE <= shutil.get_terminal_size((120, 40)).lines
    wide = max((len(code) for _, code in groups), default=0)
    for (level, code), some in groups.items():
        line = (
            to_text(f"{level:<8}", COLORS[level])
            + f"{code:<{wide}} {len(some):>6,}  {show_controls(some[0]['message'])}"
        )
        line.truncate(screen.width, overflow="ellipsis")
        screen.print(line)
        if roomy or level == "error":
            advice = to_text(f"{INDENT}{NEXT_STEPS[code]}", "dim")
            advice.truncate(screen.width, overflow="ellipsis")
            screen.print(advice)
