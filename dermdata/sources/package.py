"""Files that ship with the catalog itself: `datasets/<name>/files/<file>`."""

from pathlib import Path, PurePosixPath

from dermdata.errors import BadCatalog, CacheDamaged
from dermdata.model import Dataset, File
from dermdata.sources import Surroundings


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Path:
    """The bundled file; the last catalog folder that has it wins. BadCatalog for a path out of that folder."""
    if PurePosixPath(identity).is_absolute() or {"..", "~"} & set(PurePosixPath(identity).parts):
        raise BadCatalog(f"{dataset.name}: {file.name}: 'package:{identity}' is not inside the catalog")
    for root in reversed(around.catalogs):
        if (path := root / "datasets" / dataset.name / "files" / identity).is_file():
            return path
    raise CacheDamaged(f"{dataset.name}: {identity} is not in the catalog", hint="install dermdata again")
