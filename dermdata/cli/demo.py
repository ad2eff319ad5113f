"""`dermdata demo`: the whole way on the bundled dataset, with no network."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)
STEPS = (
    ("fetch", "demo"),
    ("verify", "demo"),
    ("stats", "demo", "--by", "diagnosis", "--format", "table"),
    ("split", "demo", "--seed", "7", "--format", "table", "-o", "{out}/demo-split.parquet"),
    ("export", "parquet", "{out}/demo-split.parquet", "--embed", "-o", "{out}/parquet"),
    ("export", "csv", "{out}/demo-split.parquet", "-o", "{out}/demo.csv"),
    ("audit", "{out}/demo-split.parquet", "--near", "--format", "table", "--report", "{out}/audit.html"),
)
# what is planted in the demo dataset: the audit must find it, and one image does not decode
FINDS = {("audit",): 1, ("export", "parquet"): 8}


@app.command()
def demo(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for what the demo writes.", metavar="DIR")
    ] = Path("dermdata-demo"),
) -> None:
    """Fetch, verify, count, split, export and audit the bundled demo dataset: no network, a few seconds."""
    from dermdata.cli.app import run

    state = state_of(ctx)
    out.mkdir(parents=True, exist_ok=True)
    common = [
        "--cache",
        str(state.settings.cache),
        "--offline",
        *(["--quiet"] if state.settings.quiet else []),
    ]
    for overlay in state.settings.catalogs:
        common += ["--catalog", str(overlay)]
    for step in STEPS:
        words = [word.format(out=out) for word in step]
        state.say(f"\n$ dermdata {' '.join(words)}")
        sys.stdout.flush()
        code = run([*common, *words])
        if code != next((found for words, found in FINDS.items() if step[: len(words)] == words), 0):
            raise typer.Exit(code or 1)
    state.say(
        "\nThe flaws are planted in the demo dataset, so that export (exit 8) and audit (exit 1) find some.\n"
        f"The demo dataset is in {state.cache.root.absolute()}; its split, exports and report are in {out.absolute()}"
    )
