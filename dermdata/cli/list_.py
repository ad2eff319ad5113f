"""`dermdata list`: the catalog, filtered."""

from typing import Annotated, Literal

import typer

from dermdata.api.catalog_entries import LIST_KEYS, MANIFEST_FIELDS, ListFilter, list_entries
from dermdata.cli.complete import complete_from, complete_key
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)
SHOWN = (
    "name", "title", "images", "license", "fetch", "size_bytes", "access", "modalities", "classes", "skin_tone",
    "cached",
)  # fmt: skip
CUT = {"title": 5, "license": 7}  # columns that may be cut, to this part of the screen's width


@app.command()
def list_(
    ctx: typer.Context,
    search: Annotated[
        str | None, typer.Option(help="Words in name, title or summary.", metavar="TEXT")
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(help="dermoscopic, clinical, …", metavar="M", autocompletion=complete_key("modalities")),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classification, segmentation, …", metavar="T", autocompletion=complete_key("tasks")
        ),
    ] = None,
    access: Annotated[
        str | None,
        typer.Option(
            help="open, account, agreement, per-image, unavailable",
            metavar="A",
            autocompletion=complete_key("access"),
        ),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="License id, or the beginning of one.",
            metavar="L",
            autocompletion=complete_key("license"),
        ),
    ] = None,
    fetchable: Annotated[
        str | None,
        typer.Option(
            help="Only what `fetch` brings so: yes, account (with one), form (after one), "
            "by-hand (what you downloaded), no.",
            metavar="WAY,…",
            autocompletion=complete_key("fetch"),
        ),
    ] = None,
    commercial: Annotated[
        bool | None,
        typer.Option("--commercial/--no-commercial", help="Only what may, or may not, be used commercially."),
    ] = None,
    min_images: Annotated[
        int | None, typer.Option(min=1, help="Only with so many images, at least.", metavar="N")
    ] = None,
    has: Annotated[
        list[str] | None,
        typer.Option(
            help="Only with this manifest field, such as skin_tone; repeatable.",
            metavar="FIELD",
            autocompletion=complete_from(lambda _: MANIFEST_FIELDS),
        ),
    ] = None,
    kind: Annotated[Literal["dataset", "model", "all"], typer.Option(help="What to list.")] = "dataset",
    cached: Annotated[bool, typer.Option("--cached", help="Only what is in the cache.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Also show when its files were last seen at their hosts.")
    ] = False,
    sort: Annotated[
        str,
        typer.Option(
            help="Key to sort by; -KEY for descending.",
            metavar="KEY",
            autocompletion=complete_from(lambda _: LIST_KEYS),
        ),
    ] = "name",
    form: FormatOption = None,
) -> None:
    """The catalog: every dataset that dermdata knows, filtered."""
    state = state_of(ctx)
    wanted = ListFilter(
        search=search,
        modality=modality,
        task=task,
        access=access,
        license=license_,
        fetch=[one.strip() for one in (fetchable or "").split(",") if one.strip()],
        commercial=commercial,
        min_images=min_images,
        has=has or (),
        kind=kind,
        cached=cached,
        live=live,
    )
    rows = list_entries(state, wanted, sort)
    own = ("own",) if any(row["own"] for row in rows) else ()
    shown = (*SHOWN, *own, *(("complete",) if cached else ()), *(("seen_live",) if live else ()))
    emit(rows, rows.columns, form, "list", shown=shown, cut=CUT, color=state.color)
    if not rows:
        state.say("nothing in the catalog fits; `dermdata list` shows all")
