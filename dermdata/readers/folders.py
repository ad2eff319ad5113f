"""The shape "folders": no table at all, the label and the split stand in the images' paths.

`pattern` names the parts of the official path: `{split_official}/{label_raw}/{image}`.
"""

from collections.abc import Mapping

import pyarrow as pa

from dermdata.errors import TableRefused
from dermdata.model import Content, TableSpec
from dermdata.readers.raw_table import Opener, RawTable, compile_pattern, derive_columns


def read(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """One row an image whose official path meets the pattern; the others are the report's images without row."""
    del files
    if not spec.pattern:
        raise TableRefused("the catalog's table has no pattern")
    pattern, names = compile_pattern(spec.pattern)
    found: list[tuple[str, ...]] = []
    rejected: list[Mapping[str, object]] = []
    for content in sorted(contents, key=lambda one: one.path):
        if not is_row_image(content, spec):
            continue
        match = pattern.fullmatch(content.official)
        if content.image is None or match is None:
            continue  # a license text, another task's copy: the manifest's report counts images without row
        if reason := find_name_misfit(content):
            shown = content.official.encode(errors="backslashreplace").decode()
            rejected.append({"file": content.file, "row": shown, "reason": reason})
        else:
            found.append((content.official, *match.groups()))
    columns = list(zip(*found, strict=True)) or [()] * (len(names) + 1)
    rows = pa.table(
        {
            name: pa.array(list(column), pa.string())
            for name, column in zip(["@path", *names], columns, strict=True)
        }
    )
    return RawTable(derive_columns(rows, spec), tuple(rejected))


def is_row_image(content: Content, spec: TableSpec) -> bool:
    """Whether a file is of those that hold the table's images."""
    return content.role == "images" and (not spec.images or content.file in spec.images)


def find_name_misfit(content: Content) -> str | None:
    """Why an image is no row; None when it is one."""
    return None if is_utf8(content.official) else "name is not UTF-8"


def is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
