"""The shape "folders": no table at all, the label and the split stand in the images' paths.

`pattern` names the parts of the official path: `{split_official}/{label_raw}/{image}`.
"""

import re
from collections.abc import Mapping

import pyarrow as pa

from dermdata.errors import TableRefused
from dermdata.model import Content, Table
from dermdata.readers.raw import Opener, RawTable


def read(spec: Table, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """One row an image whose official path meets the pattern; the others are listed as rejected."""
    del files
    if not spec.pattern:
        raise TableRefused("the catalog's table has no pattern")
    pattern, names = compiled(spec.pattern)
    found: list[tuple[str, ...]] = []
    rejected: list[Mapping[str, object]] = []
    for content in sorted(contents, key=lambda one: one.path):
        if content.role != "images" or (spec.images and content.file not in spec.images):
            continue
        match = pattern.fullmatch(content.official)
        if reason := misfit(content, match is not None):
            shown = content.official.encode(errors="backslashreplace").decode()
            rejected.append({"file": content.file, "row": shown, "reason": reason})
        elif match:
            found.append((content.official, *match.groups()))
    columns = list(zip(*found, strict=True)) or [()] * (len(names) + 1)
    rows = pa.table(
        {
            name: pa.array(list(column), pa.string())
            for name, column in zip(["@path", *names], columns, strict=True)
        }
    )
    return RawTable(rows, tuple(rejected))


def misfit(content: Content, fits: bool) -> str | None:
    """Why a file among the images is no row; None when it is one."""
    if not fits:
        return "path does not fit the pattern"
    if content.image is None:
        return "is no image"
    return None if is_text(content.official) else "name is not UTF-8"


def is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def compiled(pattern: str) -> tuple[re.Pattern[str], list[str]]:
    """The pattern as an expression in which each {name} is one path component, and the names in order."""
    parts = re.split(r"\{(\w+)\}", pattern)
    names = parts[1::2]
    expression = "".join(
        f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    return re.compile(expression), names
