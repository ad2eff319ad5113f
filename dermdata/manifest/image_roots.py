"""Where the files of each dataset's rows may be: the caches' folders, and those of the manifests that name them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, eq=False)
class ImageRoots(Mapping[str, Path]):
    """Where the files of each dataset's rows may be; as a mapping, where their relative paths start.

    Parameters
    ----------
    cached : mapping
        Of datasets that a catalog knows: their own folder in the cache.
    beside : mapping
        Of each dataset: the folders of the manifests that name it, in the order in which they were given; "" stands
        for rows without a dataset.
    datasets : Path, optional
        The folder of all datasets in the cache.
    further : mapping
        Of any dataset: its folders in further caches, and those of what no catalog knows.
    further_datasets : sequence of Path
        The folders of all datasets in further caches.

    """

    cached: Mapping[str, Path]
    beside: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    datasets: Path | None = None
    further: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    further_datasets: Sequence[Path] = ()

    @cached_property
    def first_folders(self) -> Mapping[str, Path]:
        several = (self.beside, self.further)  # the later ones win
        first = {name: folders[0] for one in several for name, folders in one.items() if folders}
        return first | dict(self.cached)

    def __getitem__(self, name: str) -> Path:
        return self.first_folders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.first_folders)

    def __len__(self) -> int:
        return len(self.first_folders)

    def manifest_folder(self, name: str) -> str | None:
        """The real folder of the manifest that names the dataset; None where there are several, or it is the whole disk.

        Of rows whose manifests lie in several folders nothing tells which one a row is from.
        """
        real = {os.path.realpath(folder) for folder in self.beside.get(name, ())}
        return real.pop() if len(real) == 1 and real != {"/"} else None

    def allowed_folders(self, name: str) -> tuple[str, ...]:
        """The real folders in which files of the dataset's rows may be opened, each with a slash at its end."""
        all_ = [self.datasets] if self.datasets else []
        real = [
            os.path.realpath(folder)
            for folder in (*all_, *self.further_datasets, *self.dataset_folders(name))
        ]
        return tuple(f"{one.rstrip('/')}/" for one in (*real, self.manifest_folder(name)) if one)

    def dataset_folders(self, name: str) -> list[Path]:
        """The folders of the dataset in the caches, in the order in which its files are looked for."""
        return [*([self.cached[name]] if name in self.cached else []), *self.further.get(name, ())]

    def start_folders(self, name: str) -> list[str]:
        """Where relative paths of the dataset's rows start, in the caches and then beside the manifest."""
        beside = [self.beside[name][0]] if self.manifest_folder(name) else []
        return [tidy_path(folder) for folder in (*self.dataset_folders(name), *beside)]

    @property
    def cache_folders(self) -> list[str]:
        """The caches' own folders, to be shown."""
        datasets = [self.datasets] if self.datasets else []
        return [tidy_path(folder.parent) for folder in (*datasets, *self.further_datasets)]


def tidy_path(path: "str | os.PathLike[str]") -> str:
    """The path as an absolute one that names the same place without `..`."""
    whole = os.fspath(path)
    whole = whole if whole.startswith("/") else f"{os.getcwd()}/{whole}"  # noqa: PTH109  # a text is wanted
    plain = os.path.normpath(whole)
    if ".." in whole.split("/") and os.path.realpath(plain) != os.path.realpath(whole):
        return os.path.realpath(whole)  # a link on its way leads elsewhere
    return plain


def to_image_roots(given: Mapping[str, Path]) -> ImageRoots:
    """The roots as they are, or made of plain folders, in which then all of a dataset's files must be."""
    return given if isinstance(given, ImageRoots) else ImageRoots(cached=given)


def merge_image_roots(several: Sequence[Mapping[str, Path]]) -> ImageRoots:
    """The roots of the targets of several loads."""
    cached: dict[str, Path] = {}
    beside: dict[str, list[Path]] = {}
    further: dict[str, Sequence[Path]] = {}
    all_ = [to_image_roots(one) for one in several]
    for one in all_:
        cached |= one.cached
        further |= one.further
        for name, folders in one.beside.items():
            beside.setdefault(name, []).extend(folders)
    datasets = next(filter(None, (one.datasets for one in all_)), None)
    further_datasets = dict.fromkeys(folder for one in all_ for folder in one.further_datasets)
    return ImageRoots(cached, beside, datasets, further, tuple(further_datasets))
