"""The commands by name: a command is a module of this package that is only imported when it runs.

`dermdata list` must not pay for `fetch`.
"""

from importlib import import_module
from typing import Any

import typer.main
from typer.core import TyperCommand, TyperGroup

from dermdata.cli.global_options import accept_global_options
from dermdata.errors import DermdataError, nearest

# each command's own first sentence (a test holds them equal): `--help` must not import every command to say it
COMMANDS = {
    "list": "The catalog: every dataset that dermdata knows, filtered.",
    "info": "One card: what it is, license, access, files, labels, known problems, citation.",
    "fetch": "Download, verify, unpack and harmonize datasets and models; prints where they are.",
    "add": "Make a dataset of your own pictures: looks, infers, shows why, writes the entry, fetches it.",
    "verify": "Check every cached file; silent when all is well, exit 1 when anything is wrong.",
    "cache": "Where the cache is, what it holds and how large; delete, sweep, bundle for another machine.",
    "labels": "The diagnosis vocabulary and how each dataset's words map into it.",
    "browse": "Look at pictures in a local page: facets, near duplicates, a model's errors; marks become an exclusion list.",
    "select": "Join datasets, filter them by any column or concept, fold doubles, and write one manifest.",
    "query": "Ask the manifests in SQL; reads only, and nothing but the manifests.",
    "split": "Split by patient or lesion, stratified, seeded; no group is ever in two parts.",
    "export": "Write manifests, and images if asked to, in the format of another tool; prints the paths.",
    "stats": "Counts and cross-tables: images, patients and lesions in each cell.",
    "audit": "Find broken images, duplicates, leaks, label conflicts and gaps; exit 1 on any finding of level error.",
    "evaluate": "Metrics of a model's predictions, overall and by group, with intervals and the gap to the worst group.",
    "catalog": "Check catalog entries of your own before they are used or handed in.",
    "lock": "Record exactly these rows: datasets, versions, images' checksums, labels, split; `sync` rebuilds them.",
    "sync": "Fetch what is missing and rebuild a locked cohort; exit 4 and the rows on any difference.",
    "cite": "BibTeX, attributions and licenses of exactly the rows used, and the strictest license of the mix.",
    "demo": "Fetch, verify, count, split, export and audit the bundled demo dataset: no network, a few seconds.",
    "doctor": "Versions, cache, free space, credentials found (never their values), sources and what they have.",
}
MODULES = {"list": "list_", "export": "export_"}  # names that would hide a builtin or a package


class Commands(TyperGroup):
    """Finds a command in its module, by name; while it only tells of them, no module is imported."""

    telling = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.made: dict[
            str, Any
        ] = {}  # commands that a process of many command lines asks for again and again

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.telling = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.telling = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if self.telling:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name])
        if cmd_name not in self.made:
            module = import_module(f"dermdata.cli.{MODULES.get(cmd_name, cmd_name)}")
            command = typer.main.get_command(module.app)
            command.name = cmd_name
            accept_global_options(command, self)
            self.made[cmd_name] = command
        return self.made[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            hint = f"did you mean {' or '.join(near)}?" if near else "`dermdata --help` lists the commands"
            raise DermdataError(f"unknown command '{args[0]}'", hint=hint)
        return super().resolve_command(ctx, args)
