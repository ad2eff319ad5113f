"""Reads Markdown pages: their links and commands, and runs their ```console blocks as a person would."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
ANYTHING = "…"
MARK = "@@dermdata-docs"


@dataclass(frozen=True)
class Step:
    """One command of a page, with all its lines, and what the page says it prints."""

    command: str
    printed: str


def blocks(text: str, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text) if kind == language]


def steps(text: str) -> list[Step]:
    """The commands of all console blocks: `$ ` begins one, `> ` goes on with it, the rest is its output."""
    found: list[tuple[list[str], list[str]]] = []
    for line in "".join(blocks(text, "console")).splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") or line == ">":
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line.rstrip())
    return [Step("\n".join(lines), "\n".join(printed).strip("\n")) for lines, printed in found]


def outputs(
    commands: Sequence[str], folder: Path, settings: dict[str, str], programs: Sequence[Path] = ()
) -> list[str]:
    """Run the commands one after the other in one shell; what each printed, stdout and stderr as they came.

    Folders of `programs` come before all others on the PATH.
    """
    folders = (*programs, Path(sys.executable).parent, os.environ["PATH"])
    environment = {
        "PATH": ":".join(map(str, folders)), "HOME": str(folder), "PYTHONUTF8": "1", "COLUMNS": "120",
        "LC_ALL": "C.UTF-8", **settings,
    }  # fmt: skip
    script = "trap 'kill $(jobs -p) 2> /dev/null' EXIT\n" + "".join(
        f"{command}\n{{ code=$?; {waiting(command)}echo; echo {MARK}; (exit $code); }}\n"
        for command in commands
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, check=False, timeout=120, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    parts = done.stdout.split(f"\n{MARK}\n")
    assert len(parts) == len(commands) + 1, done.stdout
    return ["\n".join(line.rstrip() for line in part.splitlines()).strip("\n") for part in parts[:-1]]


def waiting(command: str) -> str:
    """A person waits until a server answers; so does the shell, for five seconds at most."""
    port = re.search(r"http\.server (\d+).*&$", command)
    if not port:
        return ""
    ask = f"(exec 3<>/dev/tcp/127.0.0.1/{port[1]}) 2>/dev/null"
    return f"for _ in $(seq 100); do {ask} && break; sleep 0.05; done; "


def agrees(printed: str, expected: str) -> bool:
    """Whether a command printed what the page says; `…` on the page stands for anything within a line."""
    pattern = re.escape(expected).replace(re.escape(ANYTHING), "[^\n]*")
    return re.fullmatch(pattern, printed) is not None


# ------------------------------------------------------------------ what a page names


def anchors(text: str) -> set[str]:
    """The ids that GitHub gives to the headings of a page."""
    titles = [re.sub(r"[`*]", "", title).strip().lower() for title in HEADING.findall(FENCE.sub("", text))]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def links(text: str) -> list[str]:
    return LINK.findall(FENCE.sub("", text))


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every `dermdata …` command of a page, in code blocks and between backticks."""
    code = [body.replace("\\\n", " ") for _, body in FENCE.findall(text)]
    lines = [line for body in code for line in body.splitlines()] + SPAN.findall(FENCE.sub("", text))
    for line in lines:
        for part in re.split(r"\||&&|;|\$\(|\)", line):
            if re.match(r"(\$ )?pip ", part):
                continue
            if found := re.search(r"(?:^|[\s$])dermdata (.*)", part):
                yield words_of(found[1])


def short_commands(text: str, known: Collection[str]) -> Iterator[list[str]]:
    """The words of commands that stand between backticks without `dermdata`: `fetch --force`."""
    for span in SPAN.findall(FENCE.sub("", text)):
        words = words_of(span)
        if len(words) > 1 and words[0] in known:
            yield words


def words_of(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # an apostrophe of a sentence, not of a shell
        return text.split()


def options_alone(text: str) -> set[str]:
    """Options that stand between backticks without their command."""
    return {
        word.partition("=")[0]
        for span in SPAN.findall(FENCE.sub("", text))
        if span.startswith("--")
        for word in span.split()[:1]
    }
