"""Files that ship with the catalog itself: `datasets/<name>/files/<file>`."""

from pathlib import Path, PurePosixPath

from dermdata import catalogs
from dermdata.errors import BadCatalog, CacheDamaged
from dermdata.hosts.base import ResolveContext, find_file_inside
from dermdata.model import Dataset, File


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Path:
    """The bundled file; the last catalog folder that has it wins.

    BadCatalog for a path out of that folder, also by a link, and for what is no regular file.
    """
    if PurePosixPath(identity).is_absolute() or {"..", "~"} & set(PurePosixPath(identity).parts):
        raise BadCatalog(f"{dataset.name}: {file.name}: 'package:{identity}' is not inside the catalog")
    what = f"{dataset.name}: {file.name}"
    for root in reversed(context.catalogs):
        path = root / "datasets" / dataset.name / "files" / identity
        # dermdata's own files may lie elsewhere: some installers link them
        ours = root == catalogs.bundled_folder().absolute() and path.is_file()
        if ours or find_file_inside(root, path, BadCatalog, what):
            return path
    raise CacheDamaged(f"{dataset.name}: {identity} is not in the catalog", hint="install dermdata again")
