"""What lies in a folder, and the formats that fill one."""

from pathlib import Path

import pytest

from dermdata.export import LINKING as LINKING

FORMATS = ("imagefolder", "webdataset", "huggingface", "coco")
every_format = pytest.mark.parametrize("form", FORMATS)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
