"""`dermdata browse`: a local page to look at pictures, and to mark those that are wrong."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from dermdata.api.display import count_nouns
from dermdata.cli import label_options as options
from dermdata.cli.complete import Targets
from dermdata.cli.output import write_line
from dermdata.cli.state import State, state_of

app = typer.Typer(add_completion=False)
PREDICTIONS_HELP = "A model's predictions, as `evaluate` takes them: what it gets wrong can be looked at."
LIST_HELP = "The list that marked pictures are written to; one that is there is continued."
HOST_HELP = "The address to listen on; others than this machine's own let other machines in."
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@app.command()
def browse(
    ctx: typer.Context,
    targets: Targets,
    where: options.WhereOption = None,
    split: options.SplitOption = None,
    exclude: options.ExcludeOption = None,
    labels: options.LabelsOption = None,
    predictions: Annotated[str | None, typer.Option(help=PREDICTIONS_HELP, metavar="FILE")] = None,
    exclusions: Annotated[Path, typer.Option(help=LIST_HELP, metavar="FILE.tsv")] = Path("exclusions.tsv"),
    host: Annotated[str, typer.Option(help=HOST_HELP, metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: a free one.", metavar="N")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print the address.")] = False,
) -> None:
    """Look at pictures in a local page: facets, near duplicates, a model's errors; marks become an exclusion list."""
    from dermdata.api.browsing import BrowseRequest, open_page, serve_page
    from dermdata.api.manifest import Manifest

    state = state_of(ctx)
    request = BrowseRequest(
        where=where, split=split, exclude=tuple(exclude or ()), labels=labels, predictions=predictions,
        exclusions=exclusions, host=host, port=port,
    )  # fmt: skip
    server = serve_page(state, Manifest.from_targets(state, targets), request)
    for address in filter(None, (server.address, server.remote_address)):  # the second: from other machines
        write_line(address)
    sys.stdout.flush()
    state.say(f"{count_nouns(len(server.browsing.index), 'picture')}; Ctrl-C ends the page")
    if not no_open and has_browser():
        open_page(server.address)
    with suppress(KeyboardInterrupt):  # the way to end it
        server.run()
    conclude(state, server.browsing.describe_marks()["count"], exclusions)


def has_browser() -> bool:
    """Whether a browser would open beside the terminal, and not in it or nowhere."""
    if not sys.stderr.isatty():
        return False
    return sys.platform in {"win32", "darwin"} or any(map(os.environ.get, DISPLAYS))


def conclude(state: State, count: int, exclusions: Path) -> None:
    """What was marked, and how to go on."""
    if count:
        state.say(f"{count_nouns(count, 'picture', 'are')} marked in {exclusions}")
        state.say(
            f"hint: `dermdata select TARGET --exclude {exclusions}` leaves them out; split and export take it too"
        )
    else:
        state.say("nothing is marked")
