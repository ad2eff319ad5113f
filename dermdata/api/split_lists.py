"""A split that somebody published as lists of images and parts: read, and brought together with the datasets' rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.resources import Resources
from dermdata.errors import BadTable, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.manifest import Manifest
    from dermdata.api.targets import Loaded
    from dermdata.manifest.columns import Ints
    from dermdata.split import PublishedSplit

ENDINGS = (".csv", ".tsv", ".txt")
NEEDED = ("image_id", "isic_id")
USED = ("key", "dataset", *NEEDED, "patient_id", "lesion_id", "case_id", "sha256", "phash", "path")
SHOWN = 3  # ids in a message


def read_to_judge(resources: Resources, targets: Sequence[str], known_by: Sequence[str]) -> "Manifest":
    """The rows whose split is judged: those of manifests, or those that lists name."""
    from dermdata.api.manifest import Manifest

    lists = choose_lists(targets, known_by)
    if lists:
        return Manifest(resources, load_lists(resources, lists, known_by), lists)
    return Manifest.from_targets(resources, targets)


def choose_lists(targets: Sequence[str], known_by: Sequence[str]) -> list[str]:
    """Those of the targets that are lists: all, or none; UsageError for a mixture, or for datasets without a list."""
    lists = [target for target in targets if is_list(target)]
    if known_by and not lists:
        raise UsageError("--target names the dataset of a list of images", hint="leave it out for a manifest")
    if lists and len(lists) < len(targets):
        raise UsageError(
            "a list of images and a manifest cannot be judged together", hint="one after the other"
        )
    return lists


def is_list(target: str) -> bool:
    """Whether it is a text file that is no manifest of ours: its rows have no key."""
    path = Path(target)
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        names = {name.strip().strip('"') for name in file.readline().split(find_delimiter(path))}
    return "key" not in names and not {"dataset", "image_id"} <= names


def find_delimiter(path: Path) -> str:
    """The comma, semicolon or tab that the first line has most of."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return max(",;\t", key=first.count)


def load_lists(resources: Resources, files: Sequence[str], known_by: Sequence[str]) -> "Loaded":
    """The lists as rows of the datasets that know their images; what was taken for what is told.

    Parameters
    ----------
    resources : Resources
        The catalog and the cache, and who is told.
    files : sequence of str
        Tables with a column of image ids and, if it is one file, one of parts; else a file is a part.
    known_by : sequence of str
        The datasets that the images are of; all that are cached without any.

    Raises
    ------
    BadTable
        For a list without images, or none of which is known.
    UsageError
        Where nothing is in the cache.

    """
    from dermdata.api.targets import Loaded, list_cached_targets, load
    from dermdata.manifest.image_files import merge_image_roots
    from dermdata.split import recognize_datasets
    from dermdata.split.check import join_manifests

    split = read_lists(resources, files)
    names = list(known_by) or list_cached_targets(resources)
    found = recognize_datasets(split.ids, {name: load(resources, [name], NEEDED).table for name in names})
    tell_known(resources, split, found, names)
    if not found and not split.group_ids:
        raise BadTable(
            f"none of {len(split.ids):,} images is known: nothing can be judged",
            hint="fetch the dataset first (`--only metadata` will do), or name it by --target",
        )
    sources = {name: load(resources, [name], USED) for name in found}
    roots = merge_image_roots([source.roots for source in sources.values()])
    table = join_manifests(found, {name: source.table for name, source in sources.items()}, split)
    return Loaded(table, roots, tuple(sorted(roots)))


def read_lists(resources: Resources, files: Sequence[str]) -> "PublishedSplit":
    """The files as one list; which columns were taken for what is told."""
    split = join_lists([read_list(resources, file, alone=len(files) == 1) for file in files])
    column = f"'{split.part_column}'" if split.part_column else "the files' names"
    resources.say(f"{', '.join(files)}: image ids in '{split.id_column}', parts in {column}")
    if split.ids.null_count == len(split.ids):
        raise BadTable(f"{', '.join(files)}: there are no images in it")
    if split.ids.null_count:
        resources.say(f"{split.ids.null_count:,} rows without an image id are left out")
    return split


def tell_known(
    resources: Resources, split: "PublishedSplit", found: "Mapping[str, Ints]", names: Sequence[str]
) -> None:
    """Which images are of which dataset, and which of none."""
    from dermdata.split.check import unknown_ids

    for name, rows in found.items():
        resources.say(f"{int((rows >= 0).sum()):,} of {len(split.ids):,} images are of {name}")
    if unknown := unknown_ids(found, split.ids):
        some = ", ".join(unknown[:SHOWN])
        resources.say(f"{len(unknown):,} images are of none of {', '.join(names)} (such as {some})")


def read_list(resources: Resources, file: str, *, alone: bool) -> "PublishedSplit":
    """One file; a file that is not alone is a part of its name where it has no column of parts."""
    from dermdata.readers.delimited import parse_delimited
    from dermdata.split import parse_published_split

    path = Path(file)
    table, rejected = parse_delimited(
        path.read_bytes(), file, delimiter=find_delimiter(path), encoding="utf-8"
    )
    if rejected:
        resources.say(
            f"{file}: {len(rejected):,} lines are left out, the first is line {rejected[0]['line']}"
        )
    return parse_published_split(table, file, None if alone else path.stem)


def join_lists(lists: Sequence["PublishedSplit"]) -> "PublishedSplit":
    """Several files as one list."""
    import pyarrow as pa

    from dermdata.split import PublishedSplit

    def column(arrays: Sequence["pa.Array"]) -> "pa.Array":
        return pa.concat_arrays(arrays)

    shared = [name for name in lists[0].group_ids if all(name in one.group_ids for one in lists)]
    return PublishedSplit(
        ids=column([one.ids for one in lists]),
        parts=column([one.parts for one in lists]),
        group_ids={name: column([one.group_ids[name] for one in lists]) for name in shared},
        id_column=lists[0].id_column,
        part_column=lists[0].part_column,
    )
