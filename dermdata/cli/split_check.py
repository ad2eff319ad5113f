"""`dermdata split --check`: judge a manifest's split, or one that somebody published as a list of images and parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dermdata.cli.output import Format, emit
from dermdata.cli.state import State
from dermdata.errors import ProblemsFound, UsageError

if TYPE_CHECKING:
    from dermdata.api.records import Records


def exclude(
    *, ratios: str | None, folds: int | None, check: bool, labels: str | None, target: list[str] | None
) -> None:
    """UsageError for options that do not go together."""
    if ratios and folds:
        raise UsageError("--ratios and --folds exclude each other", hint="give one of them")
    if check and labels:
        raise UsageError("--check judges the split that is there, not its labels", hint="leave out --labels")
    if target and not check:
        raise UsageError("--target goes with --check", hint="what to split is named without an option")


def judge(
    state: State, targets: Sequence[str], known_by: Sequence[str], form: Format | None, *, near: bool
) -> None:
    """Print the leaks; ProblemsFound where there is an error among them."""
    from dermdata.api.split_lists import read_to_judge

    found = read_to_judge(state, targets, known_by).check_split(near=near)
    if found or form:
        emit(found, found.columns, form, "split", color=state.color)
    if absent := found.facts["not_judged"]:
        state.say(f"not judged, because no row has one: {', '.join(absent)}")
    if not near:
        state.more("near duplicates were not looked for; add --near")
    conclude(state, found, near=near)


def conclude(state: State, found: "Records", *, near: bool) -> None:
    """Tell that there are no leaks; ProblemsFound where there are."""
    if unsure := sum(one["level"] == "warning" for one in found):
        state.say(f"{unsure:,} pictures may be in several parts, by hash alone: their images are not here")
    if leaks := found.facts["leaks"]:
        said = ", ".join(
            f"{count:,} {name if count > 1 else singular(name)}" for name, count in leaks.items()
        )
        how = "split --near" if near else "split"
        raise ProblemsFound(
            f"in more than one part: {said}", hint=f"`dermdata {how}` makes one without leaks"
        )
    state.say(
        f"no patient, lesion, case or image is in two parts{', nor any near duplicate' if near else ''}"
    )


def singular(name: str) -> str:
    return "file of equal bytes" if name.startswith("files") else name.removesuffix("s")
