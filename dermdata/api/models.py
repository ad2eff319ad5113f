"""Models of the catalog: files, and no table of images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.errors import UsageError
from dermdata.markup import count_nouns
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.api.resources import Resources
    from dermdata.cache import Receipt
    from dermdata.fetching import FetchResult
    from dermdata.model import Dataset

FILES = "files"  # the folder, in the cache's, of all files that are neither images nor masks


def is_model(resources: "Resources", name: str) -> bool:
    """Whether the catalog calls this a model; what it does not know is none."""
    return resources.catalog.find_name(name) in list_models(resources)


def list_models(resources: "Resources") -> set[str]:
    """The names of the catalog's models."""
    return {item["name"] for item in resources.catalog.items if item["kind"] == "model"}


def split_models(resources: "Resources", targets: Sequence[str]) -> tuple[list[str], list[str]]:
    """The models among targets, by the catalog's names, and all other targets."""
    models = [resources.catalog.find_name(one) for one in targets if is_model(resources, one)]
    return models, [one for one in targets if not is_model(resources, one)]


def require_no_model(resources: "Resources", name: str) -> None:
    """UsageError for a model where rows of images are wanted."""
    if is_model(resources, name):
        raise UsageError(
            f"{name} is a model: it has no table of images",
            hint=f"`dermdata fetch {name}` prints the folder of its files",
        )


def find_result(dataset: "Dataset", manifest: Path) -> Path:
    """What a fetch gives: a dataset's manifest, or the folder of a model's files, laid out as at their host."""
    return manifest.parent / FILES if dataset.kind == "model" else manifest


def find_model_folder(resources: "Resources", name: str) -> Path:
    """The folder of a model's files; UsageError where they are not in the cache."""
    folder = resources.find_folder(name)
    if not folder.manifest.exists():
        raise UsageError(f"{name} is not in the cache", hint=f"dermdata fetch {name}")
    return find_result(resources.catalog[name], folder.manifest)


def describe_model(dataset: "Dataset", outcome: "FetchResult", receipt: "Receipt | None") -> list[str]:
    """What a fetch of a model brought, and by what its files were checked, a line each."""
    files = receipt.files if receipt else ()
    what = f"{count_nouns(len(files), 'file')}, no table of images: a model"
    if outcome.nothing_to_do:
        return [f"{dataset.name}: already complete, nothing to do ({what})"]
    line = f"{dataset.name}: {what}, {format_size(outcome.downloaded)} fetched"
    unstated = sum(file.verified is None for file in files)
    if not unstated:
        return [f"{line}; each file has its published checksum"]
    return [
        line,
        f"{dataset.name}: no checksum is published of {unstated:,} of {count_nouns(len(files), 'file')}: "
        "size and SHA-256 as seen now are kept, and any later difference is refused",
    ]


def require_same_files(name: str, locked: str, now: str) -> None:
    """CohortDiffers for a model whose files are not those that were locked."""
    from dermdata.errors import CohortDiffers

    if locked != now:
        raise CohortDiffers(
            f"{name}: the model's files are not those that were locked",
            hint=f"`dermdata verify {name}` tells whether they are damaged, else their publisher has changed them",
        )


def list_model_files(folders: Mapping[str, Path]) -> list[Path]:
    """Every file in these folders, by name."""
    return sorted(path for folder in folders.values() for path in folder.rglob("*") if path.is_file())
