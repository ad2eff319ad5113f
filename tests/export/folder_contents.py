"""What lies in a folder, and the formats that fill one."""

from pathlib import Path

import pytest

from dermdata.export.record import RECORD

FORMATS = ("imagefolder", "webdataset", "huggingface", "coco")
every_format = pytest.mark.parametrize("form", FORMATS)


def exported(folder: Path) -> dict[str, bytes]:
    """Every file that is the export's, without what a run notes for the next one."""
    return {name: data for name, data in contents(folder).items() if name != RECORD}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
