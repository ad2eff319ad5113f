"""The options of `dermdata export`, and what is said of them."""

from collections.abc import Sequence
from typing import Annotated

import typer

from dermdata.cli.complete import column_names, format_names

FORMATS_HELP = "parquet, csv, jsonl, imagefolder, webdataset, huggingface, coco, croissant, yolo, yolo-seg, masks or nnunet"
EMBED_HELP, DRY_HELP = "Put the image bytes into the output.", "Show what would be written; change nothing."
OUT_HELP = "Folder or file to write, or s3://BUCKET/PREFIX."
EXCEL_HELP = "CSV, also left-out.csv: a ' before cells that a spreadsheet would take for a formula."
JOBS_HELP = "Threads that read and scale images. (default: all cores)"
SIZE_HELP = "Scale images down so that the longest side has PX pixels; smaller ones stay as they are."
FOLD_HELP = "Fold K of `split --folds` is the part val, the other folds are train."
STRIP_HELP = "Nothing but the picture: no EXIF, XMP, IPTC, comments; the pixels stay as they are."
RIGHTS_HELP = "Only images whose license allows passing them on; left-out.csv lists the others."
LEAVE_OUT = 'that is exit 8; `--where "image_problem is null"` (or `mask_path is not null`) leaves them out with exit 0'
COPY_HELP = "imagefolder, coco, yolo, masks: files of its own instead of links to the cache."
RESIZE_HELP = "Bring each image to this width and height, small ones too; masks and boxes follow."
FIT_HELP = "How --resize does it: black bars, cut at the edges, or out of proportion. (default: pad)"
COLUMNS_HELP = "parquet, csv, jsonl: only these columns, such as key,path,label,extra.NAME."
FLAT_HELP = "parquet, csv, jsonl: plain words and numbers; extra.* as columns, none without a value."


def list_fits(incomplete: str) -> list[str]:
    """For completion."""
    return [one for one in ("pad", "crop", "stretch") if one.startswith(incomplete)]


FormatArgument = Annotated[
    str, typer.Argument(metavar="FORMAT", autocompletion=format_names, help=FORMATS_HELP, show_default=False)
]
OutOption = Annotated[str, typer.Option("--output", "-o", help=OUT_HELP, metavar="OUT", show_default=False)]
EmbedOption = Annotated[bool, typer.Option("--embed/--no-embed", help=EMBED_HELP)]
FoldOption = Annotated[int | None, typer.Option(min=0, help=FOLD_HELP, metavar="K")]
SizeOption = Annotated[int | None, typer.Option("--size", min=1, help=SIZE_HELP, metavar="PX")]
ResizeOption = Annotated[str | None, typer.Option(help=RESIZE_HELP, metavar="WxH")]
FitOption = Annotated[
    str | None, typer.Option(help=FIT_HELP, metavar="pad|crop|stretch", autocompletion=list_fits)
]
StripOption = Annotated[bool, typer.Option("--strip-exif", help=STRIP_HELP)]
RightsOption = Annotated[bool, typer.Option("--redistributable", help=RIGHTS_HELP)]
CopyOption = Annotated[bool, typer.Option("--copy", help=COPY_HELP)]
ColumnsOption = Annotated[
    list[str] | None, typer.Option(help=COLUMNS_HELP, metavar="COLS", autocompletion=column_names)
]
FlatOption = Annotated[bool, typer.Option("--flat", help=FLAT_HELP)]
JobsOption = Annotated[int | None, typer.Option(min=1, help=JOBS_HELP, show_default=False)]
ExcelOption = Annotated[bool, typer.Option("--excel-safe", help=EXCEL_HELP)]
DryOption = Annotated[bool, typer.Option("--dry-run", help=DRY_HELP)]


def split_names(words: Sequence[str] | None) -> tuple[str, ...]:
    """The columns of `--columns a --columns b,c`, each once."""
    found = [one.strip() for word in words or () for one in word.split(",")]
    return tuple(dict.fromkeys(filter(None, found)))
