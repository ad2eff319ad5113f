"""Files that ship with the catalog itself: `datasets/<name>/files/<file>`."""

from pathlib import Path

from dermdata.errors import CacheDamaged
from dermdata.model import Dataset, File
from dermdata.sources import Surroundings


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Path:
    """The bundled file; the last catalog folder that has it wins."""
    del file
    for root in reversed(around.catalogs):
        if (path := root / "datasets" / dataset.name / "files" / identity).is_file():
            return path
    raise CacheDamaged(f"{dataset.name}: {identity} is not in the catalog", hint="install dermdata again")
