"""Global options after the command as well as before it; a command's own option of the same name wins."""

from copy import copy
from pathlib import Path
from typing import Any

from dermdata.cli.state import state_of

NAMES = ("cache", "catalog", "offline", "rewrite", "quiet", "verbose", "debug", "color")
PATHS = ("cache", "catalog")
TYPED = "COMMANDLINE"  # where the parser got a value from, by the name of its enumeration


def accept_global_options(command: Any, root: Any) -> None:
    """Add the root's options to a command, and to the commands below it; remember how its answer is to be written."""
    for below in getattr(command, "commands", {}).values():
        accept_global_options(below, root)
    own = {word for param in command.params for word in (*param.opts, *param.secondary_opts)}
    for param in root.params:
        words = {*param.opts, *param.secondary_opts}
        if param.name in NAMES and not words & own:
            command.params.append(inherit_option(param))
    invoke = command.invoke

    def invoke_known(ctx: Any) -> Any:
        state_of(ctx).form = ctx.params.get("form")
        return invoke(ctx)

    command.invoke = invoke_known


def inherit_option(param: Any) -> Any:
    """The root's option as one that changes the session and is no argument of the command."""
    again = copy(param)
    again.expose_value, again.hidden, again.callback = False, True, take
    return again


def take(ctx: Any, param: Any, value: Any) -> Any:
    """Change the session where the option was typed."""
    source = ctx.get_parameter_source(param.name)
    if source is not None and source.name == TYPED:
        if param.name in PATHS:
            value = [Path(one) for one in value] if param.multiple else Path(value)
        state_of(ctx).take_option(param.name, value)
    return value
