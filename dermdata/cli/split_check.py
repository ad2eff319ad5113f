"""`dermdata split --check`: judge a manifest's split, or one that somebody published as a list of images and parts."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dermdata.api.display import count_nouns, phrase_count
from dermdata.cli.output import Format, emit
from dermdata.cli.state import State
from dermdata.errors import ProblemsFound, SomeFailed, UsageError

if TYPE_CHECKING:
    from dermdata.api.manifest import GroupBy
    from dermdata.api.records import Records

JUDGE_HINT = (
    "`--by image` judges images alone; of a list, fetch its dataset (`--only metadata` will do), or give it a column "
    "patient_id or lesion_id"
)


def refuse_together(making: Mapping[str, object], *, check: bool, target: list[str] | None) -> None:
    """UsageError for options that do not go together; `making` are those that make a split."""
    if making["--ratios"] and making["--folds"]:
        raise UsageError("--ratios and --folds exclude each other", hint="give one of them")
    if check and (given := [name for name, value in making.items() if value]):
        raise UsageError(
            f"--check judges the split that is there, it makes none: {', '.join(given)} does not go with it",
            hint=f"leave out {given[0]}",
        )
    if target and not check:
        raise UsageError("--target goes with --check", hint="what to split is named without an option")


def judge(
    state: State,
    targets: Sequence[str],
    known_by: Sequence[str],
    form: Format | None,
    *,
    by: "GroupBy",
    near: bool,
) -> None:
    """Print the leaks; ProblemsFound where there is an error among them, SomeFailed for rows that were not judged."""
    from dermdata.api.split_lists import read_to_judge

    found = read_to_judge(state, targets, known_by).check_split(by=by, near=near)
    show(state, found, form)
    if absent := found.facts["not_judged"]:
        state.say(f"not judged, because no row has one: {', '.join(absent)}")
    if apart := found.facts["in_no_part"]:
        state.say(f"{count_nouns(apart, 'image', 'are')} in no part")
    if alone := found.facts["images_alone"]:
        state.say(
            f"{count_nouns(alone, 'image', 'are')} judged as images alone: no patient, lesion or case of theirs is known"
        )
    if not near:
        state.more("near duplicates were not looked for; add --near")
    conclude(state, found, near=near)


def show(state: State, found: "Records", form: Format | None) -> None:
    """A screen of what is in several parts for a person; each leak in other formats."""
    if found and (form or ("table" if sys.stdout.isatty() else "tsv")) == "table":
        from dermdata.cli.findings import show as summary

        summary(found, f"{count_nouns(found.facts['rows'], 'image')} judged", state.color)
    elif found or form:
        emit(found, found.columns, form, "split", beside=found.facts, color=state.color)


def conclude(state: State, found: "Records", *, near: bool) -> None:
    """Tell that there are no leaks; ProblemsFound where there are, SomeFailed where nobody can know."""
    unsure = sum(one["level"] == "warning" for one in found)
    unseen = f"{unsure:,} picture{'s' * (unsure != 1)} may be in several parts, by hash alone: their images are not here"
    leaks, unjudged = describe_leaks(found), describe_unjudged(found)
    if leaks:
        for line in filter(None, [unjudged, unseen if unsure else None]):
            state.say(line)
        how = "split --near" if near else "split"
        raise ProblemsFound(
            f"in more than one part: {leaks}", hint=f"`dermdata {how}` makes one without leaks"
        )
    if unjudged:
        raise SomeFailed(unjudged, hint=JUDGE_HINT)
    if unsure:
        raise SomeFailed(unseen, hint="fetch the images: they decide")
    judged = " or ".join(filter(None, [", ".join(found.facts["judged"][:-1]), found.facts["judged"][-1]]))
    state.say(f"no {judged} is in two parts{', nor any near duplicate' if near else ''}")


def describe_leaks(found: "Records") -> str:
    """What is in more than one part, counted; nothing where nothing is."""
    leaks = found.facts["leaks"].items()
    return ", ".join(phrase_count(count, name) for name, count in leaks)


def describe_unjudged(found: "Records") -> str:
    """How many images nothing can be said of; nothing where there are none."""
    rows, unjudged = found.facts["rows"], found.facts["unjudged"]
    if not unjudged:
        return ""
    if rows == unjudged:
        return (
            "no patient, lesion or case is known in two parts: whether "
            f"{count_nouns(rows, 'image', 'leak')} cannot be judged"
        )
    return (
        f"{unjudged:,} of {count_nouns(rows, 'image')} could not be judged: "
        "no patient, lesion, case or copy of theirs is known"
    )
