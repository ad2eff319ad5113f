"""What `dermdata add` prints: what was inferred, and what is there after the fetch."""

from typing import TYPE_CHECKING

from dermdata.cli.output import Format, emit, write_line
from dermdata.cli.state import State

if TYPE_CHECKING:
    from dermdata.api.added_data import AddOutcome
    from dermdata.api.adding import AddedEntry
    from dermdata.api.own_data import AddRequest


def write_guesses(
    state: State, added: "AddedEntry", form: Format | None, outcome: "AddOutcome | None" = None
) -> None:
    """What was inferred; as JSON in one document with the words, and with what came of the fetch."""
    beside = {
        "entry": str(added.folder),
        "manifest": str(outcome.manifest) if outcome and outcome.manifest else None,
        "words": list(added.words),
        "report": list(outcome.report) if outcome else [],
    }
    emit(added.guesses, added.guesses.columns, form, "add", beside=beside, color=state.color)


def fetch_entry(state: State, request: "AddRequest", added: "AddedEntry", form: Format | None) -> None:
    """Say what was written, take the pictures into the cache, and tell what is there then."""
    from dermdata.api.added_data import describe_report, fetch_and_check

    state.say(f"written: {added.folder / 'dataset.toml'}: read it, and correct what is wrong")
    outcome = fetch_and_check(state, request)
    for line in describe_report(request.name, outcome.report):
        state.say(line)
    if form == "json":
        write_guesses(state, added, form, outcome)
    elif form is None and outcome.manifest:
        write_line(str(outcome.manifest))
    if outcome.problem:
        raise outcome.problem
