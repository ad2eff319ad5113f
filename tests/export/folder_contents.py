"""What lies in a folder, and the formats that fill one."""

from pathlib import Path

import pytest

FORMATS = ("imagefolder", "webdataset", "huggingface")
every_format = pytest.mark.parametrize("form", FORMATS)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
