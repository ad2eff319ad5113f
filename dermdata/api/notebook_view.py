"""How a manifest looks in a notebook: a small table of rows with their pictures."""

import base64
import io
from collections.abc import Iterable
from html import escape

from dermdata.api.results import IMAGE, Row
from dermdata.errors import IntegrityError

SHOWN = ("image_id", "diagnosis", "sex", "age", "split")
THUMBNAIL = 100  # pixels


def show_rows(head: str, rows: Iterable[Row]) -> str:
    """A line of words and a table of the rows, as HTML: their pictures and a few columns."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in (IMAGE, *SHOWN))
    lines = "".join(
        f"<tr><td>{thumbnail(row)}</td>{''.join(to_cell(row.get(name)) for name in SHOWN)}</tr>"
        for row in rows
    )
    return f"<p>{escape(head)}</p><table><tr>{heads}</tr>{lines}</table>"


def to_cell(value: object) -> str:
    """A cell of the table; the words of the data are text and never HTML."""
    return f"<td>{'' if value is None else escape(str(value))}</td>"


def thumbnail(row: Row) -> str:
    """A row's picture as an HTML element; words where it cannot be shown."""
    try:
        image = row[IMAGE]
    except IntegrityError:
        return "broken"
    if image is None:
        return ""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    held = io.BytesIO()
    small.save(held, "JPEG")
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}">'
