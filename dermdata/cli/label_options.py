"""Options of several commands: the rows that are meant, what is said of `--labels SPACE`, and `--accept`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dermdata.cli.complete import part_names, space_names

WhereOption = Annotated[
    str | None,
    typer.Option(
        help="Only rows of which this is true: SQL over the manifest's columns, and `diagnosis under 'concept'`.",
        metavar="EXPR",
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Without the images of this list, as `browse` writes it, or of a file of keys; repeatable.",
        metavar="FILE",
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(help="Only this part: train, val, test, …", metavar="NAME", autocompletion=part_names),
]

LABELS_HELP = (
    "Name the classes of a label space: ham7, isic8, pad6, malignancy, …, a file (.toml, .tsv, .txt), "
    "or concept,concept+concept,…"
)
STRICT_HELP = "Exit 1, with nothing written, if a row has no class in SPACE."
LabelsOption = Annotated[
    str | None,
    typer.Option(help=LABELS_HELP, metavar="SPACE", autocompletion=space_names, show_default=False),
]
DifferentialOption = Annotated[
    str | None,
    typer.Option(
        help="Weighted differentials: a class that has all their weight, top (the heaviest), or 'weight>=0.5'. "
        "(default: all)",
        metavar="all|top|weight>=W",
        show_default=False,
    ),
]
WeightOption = Annotated[
    float | None,
    typer.Option(
        "--min-weight", help="Weighted differentials: the heaviest class, if it has this share.", metavar="W"
    ),
]
ReportOption = Annotated[
    Path | None, typer.Option(help="Write all of it as one offline page.", metavar="FILE.html")
]
FiguresOption = Annotated[Path | None, typer.Option(help="Write each figure as SVG and CSV.", metavar="DIR")]
CardOption = Annotated[
    Path | None, typer.Option(help="Write a model card, as far as it is known here.", metavar="FILE.md")
]
StrictOption = Annotated[bool, typer.Option("--strict", help=STRICT_HELP)]

ACCEPT_METAVAR = "WORD=CONCEPT|sure|all|ask"
ACCEPT_HELP = (
    "What a word of the labels means: WORD=CONCEPT, 'WORD>CONCEPT' where the concept is wider, 'WORD<CONCEPT' where it "
    "is narrower, WORD=a+b for one of several; or how much of the rest is taken: sure (default), all that is likely, or "
    "ask. Repeatable."
)
AcceptOption = Annotated[list[str] | None, typer.Option(help=ACCEPT_HELP, metavar=ACCEPT_METAVAR)]


def find_prompt() -> Callable[[str], str] | None:
    """What puts a question and gives the answer, no unless told; None where there is no terminal."""
    return ask_question if sys.stdin.isatty() and sys.stderr.isatty() else None


def ask_question(question: str) -> str:
    """The answer on the terminal."""
    answer: str = typer.prompt(question, default="n", err=True)
    return answer
