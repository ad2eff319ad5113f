"""The commands of the Typer app as Markdown, and what the command line's contract promises beyond them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import typer.main

from dermdata.cli.app import app
from dermdata.export import FORMATS
from docs_markdown import table

# the README is read outside of the repository too, where relative links lead nowhere
PAGE = "https://github.com/dermdata/dermdata/blob/main/docs/commands.md"
SHELL = ("--install-completion", "--show-completion")
HEAD = """\
# Commands

After reading this page you know every command, argument, option and default of `dermdata`.
Made from the program by `make docs`; do not edit.

Global options stand before the command: `dermdata --offline fetch demo`.
A TARGET is a dataset name, a manifest file (`.parquet`, `.csv`, `.jsonl`, `.arrow`), or `-` for an Arrow
stream on stdin.
"""


@dataclass(frozen=True)
class Promise:
    """One line of the contract: a command, one of its options, or one word that an option or argument takes."""

    command: str
    option: str | None = None
    word: str | None = None
    what: str = ""

    @property
    def text(self) -> str:
        return " ".join(filter(None, (self.command, self.option, self.word)))


PROMISES = (
    Promise("select", what="union of datasets, filtered and deduplicated, as one manifest"),
    Promise("query", what="SQL over the cached manifests"),
    Promise("audit", what="corrupt files, duplicates, leaks, label conflicts, with an HTML report"),
    Promise("evaluate", what="metrics of a model's predictions, overall and per group"),
    Promise("lock", what="a cohort as a small file"),
    Promise("sync", what="the exact rebuilding of a locked cohort"),
    Promise("cite", what="BibTeX, attributions and the strictest license of the rows used"),
    Promise("labels align", what="the finest label set that several datasets share"),
    Promise("labels map", "--format", "sssom", "the crosswalk in the SSSOM format"),
    Promise("info", "--format", "croissant", "the card as Croissant metadata"),
    Promise("fetch", "--where", what="only the images that an expression chooses"),
    Promise("fetch", "--limit", what="only so many images"),
    Promise("fetch", "--from", what="take files that were downloaded by hand"),
    Promise("fetch", "--mirror-out", what="write a mirror folder from what was fetched"),
    Promise("export", "--labels", what="labels projected into a label space"),
    Promise("export", "--size", what="images scaled while they are written"),
    Promise("export", "--engine", what="another program does the scaling"),
    Promise("export", word="imagefolder", what="one folder a class"),
    Promise("export", word="webdataset", what="tar shards"),
    Promise("export", word="huggingface", what="a Hugging Face dataset"),
    Promise("export", word="coco", what="COCO annotations"),
    Promise("export", word="croissant", what="Croissant metadata"),
)


# ------------------------------------------------------------------ the app


def commands() -> dict[str, Any]:
    """Every command that does something, by its words: `fetch`, `cache list`."""
    group = typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name in group.list_commands(None):  # type: ignore[attr-defined]
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found |= {f"{name} {word}": one for word, one in inner.items()} if inner else {name: command}
    return found


def global_options() -> list[Any]:
    return shown_options(typer.main.get_command(app))


def shown_options(command: Any) -> list[Any]:
    """The options that are its own: not the two that install completion, not --help."""
    options = [one for one in command.params if one.param_type_name == "option"]
    return [one for one in options if not one.hidden and not set(one.opts) & set(SHELL)]


def arguments(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "argument"]


def option_names(command: Any) -> set[str]:
    return {name for one in shown_options(command) for name in (*one.opts, *one.secondary_opts)} | {"--help"}


# ------------------------------------------------------------------ pages


def page() -> str:
    parts = [HEAD, "## Global options\n", option_table(global_options()), ""]
    parts += [
        "`--install-completion` and `--show-completion` set up completion of commands, options and dataset names.",
        "",
    ]
    for words, command in commands().items():
        parts += [*section(words, command), ""]
    return "\n".join(parts)


def section(words: str, command: Any) -> Iterator[str]:
    usage = " ".join(["dermdata", words, *(label(one) for one in arguments(command)), "[OPTIONS]"])
    yield f"## dermdata {words}\n"
    yield f"{(command.help or '').strip()}\n"
    yield f"    {usage}\n"
    if described := [one for one in arguments(command) if one.help]:
        yield table(("argument", "what"), [(f"`{label(one)}`", one.help) for one in described])
        yield ""
    yield option_table(shown_options(command))


def label(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def option_table(options: Sequence[Any]) -> str:
    rows = [(spelled(one), (one.help or "").partition("(default:")[0], default_of(one)) for one in options]
    return table(("option", "what", "default"), rows) if rows else "No options."


def spelled(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = value_of(option)
    return f"{names} {value}{' (repeatable)' if option.multiple else ''}".strip()


def value_of(option: Any) -> str:
    """What stands after the option: nothing after a switch."""
    if option.is_flag:
        return ""
    choices = getattr(option.type, "choices", None)
    if option.metavar or not choices:
        return f"`{option.metavar or option.type.name.removesuffix(' range').upper()}`"
    return ", ".join(f"`{word}`" for word in choices)


def default_of(option: Any) -> str:
    """The default as a person says it; the help text has it where the program works it out."""
    if option.required:
        return "required"
    _, found, rest = (option.help or "").partition("(default:")
    if found:
        return rest.rpartition(")")[0].strip()
    if option.is_flag and option.secondary_opts and option.default is not None:
        return f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
    return "" if option.default is None or isinstance(option.default, bool) else f"`{option.default}`"


def overview() -> str:
    """One row a command, each with a link to its section."""
    rows = [
        (f"[`{words}`]({PAGE}#dermdata-{words.replace(' ', '-')})", (command.help or "").strip())
        for words, command in commands().items()
    ]
    return table(("command", "what it does"), rows)


# ------------------------------------------------------------------ what is promised and not there


def not_yet() -> str:
    missing = [one for one in PROMISES if not kept(one)]
    if not missing:
        return "Nothing: every command and option of the contract is there."
    return table(("not in this version", "what it will do"), [(f"`{one.text}`", one.what) for one in missing])


def kept(promise: Promise) -> bool:
    command = commands().get(promise.command)
    if command is None:
        return False
    if promise.option is None:
        return promise.word is None or promise.word in FORMATS
    found = [one for one in shown_options(command) if promise.option in one.opts]
    return bool(found) and (promise.word is None or promise.word in words_of(found[0]))


def words_of(option: Any) -> Sequence[str]:
    return getattr(option.type, "choices", None) or get_args(option.type) or ()
