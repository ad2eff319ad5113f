"""What a check judges: manifests, or lists of images and parts that somebody published, brought together with datasets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.resources import Resources
from dermdata.api.targets import (
    SUFFIXES,
    Loaded,
    find_cached_targets,
    list_cached_targets,
    load,
    read_column_names,
    read_from_file,
)
from dermdata.errors import BadTable, UsageError
from dermdata.manifest.text import read_bytes
from dermdata.markup import count_nouns, count_share
from dermdata.object_store import is_remote
from dermdata.text_files import read_first_row

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.manifest import Manifest
    from dermdata.manifest.columns import Ints
    from dermdata.split import PublishedSplit

MARKS = {
    "key",
    "dataset",
    "image_id",
    "patient_id",
    "lesion_id",
}  # a table without one of these is a bare list
NEEDED = ("image_id", "isic_id")
USED = ("key", "dataset", *NEEDED, "patient_id", "lesion_id", "case_id", "sha256", "phash", "path")
SHOWN = 3  # ids in a message
FILES = "the files' names"
NOT_LOOKED_AT = "is not looked at: the files are the parts; give one file alone to judge it"


def read_to_judge(resources: Resources, targets: Sequence[str], known_by: Sequence[str]) -> "Manifest":
    """The rows whose split is judged: those of manifests, or those that lists name."""
    from dermdata.api.manifest import Manifest

    lists = choose_lists(resources, targets, known_by)
    if lists:
        return Manifest(resources, load_lists(resources, lists, known_by), lists)
    parts = load_parts(resources, targets)
    return Manifest(resources, parts, targets) if parts else Manifest.from_targets(resources, targets)


def choose_lists(resources: Resources, targets: Sequence[str], known_by: Sequence[str]) -> list[str]:
    """Those of the targets that are lists: all, or none; UsageError for a mixture, or for datasets without a list."""
    lists = [target for target in targets if is_list(resources, target)]
    if known_by and not lists:
        raise UsageError("--target names the dataset of a list of images", hint="leave it out for a manifest")
    if lists and len(lists) < len(targets):
        raise UsageError(
            f"a list of images ({lists[0]}) and a manifest or dataset cannot be judged together",
            hint="one after the other",
        )
    return lists


def is_list(resources: Resources, target: str) -> bool:
    """Whether it is a file that is no manifest: its rows have no key, or nothing that they could belong to."""
    if not is_file(resources, target):
        return False
    if Path(target).suffix in SUFFIXES and Path(target).suffix != ".csv":
        return not read_column_names(Path(target)) >= MARKS
    return not {name.strip() for name in read_first_row(Path(target))} >= MARKS


def is_file(resources: Resources, target: str) -> bool:
    """Whether it is a file here, not the name of a dataset."""
    path = Path(target)
    is_name = not path.suffix and target in resources.catalog
    return target != "-" and not is_remote(target) and not is_name and path.is_file()


# ------------------------------------------------------------------ manifests, each a part


def load_parts(resources: Resources, targets: Sequence[str]) -> Loaded | None:
    """Several manifests' rows, each file a part; None where they are no such files, or have parts of their own."""
    from dermdata.api.splitting import JUDGED
    from dermdata.split.published import are_part_names, name_parts

    files = list(dict.fromkeys(targets))
    if len(files) < 2 or not all(is_file(resources, target) for target in files):
        return None
    names = name_parts(files)
    named = are_part_names(names)
    loaded = load(resources, files, JUDGED)
    own = has_parts(loaded.table, "split", "fold")
    if own and not named:
        return None
    sizes = [load(resources, [file], ("dataset",)).table.num_rows for file in files]
    resources.say(f"{', '.join(files)}: parts in {FILES}")
    beside = "split" if own else None if named else "split_official"
    return replace(loaded, table=set_parts(loaded.table, names, sizes, beside))


def has_parts(table: "pa.Table", *columns: str) -> bool:
    """Whether the rows are in more than one part by any of the columns."""
    from dermdata.split.published import count_words

    return any(
        count_words(table[name].combine_chunks()) > 1 for name in columns if name in table.column_names
    )


def set_parts(
    table: "pa.Table", names: Sequence[str], sizes: Sequence[int], beside: str | None
) -> "pa.Table":
    """The rows with the parts of these names and sizes, in order; the column `beside` is judged too."""
    import pyarrow as pa

    from dermdata.manifest.schema import OFFICIAL_SPLIT, OWN_SPLIT
    from dermdata.split.published import LISTED_SPLIT

    words = chain.from_iterable(repeat(name, size) for name, size in zip(names, sizes, strict=True))
    if beside and has_parts(table, beside):
        table = table.append_column(LISTED_SPLIT, table[beside])
    replaced = [name for name in (*OWN_SPLIT, *OFFICIAL_SPLIT) if name in table.column_names]
    return table.drop_columns(replaced).append_column("split", pa.array(words, pa.string()))


# ------------------------------------------------------------------ lists


def load_lists(resources: Resources, files: Sequence[str], known_by: Sequence[str]) -> Loaded:
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
        For a list without images, or of which no image and no patient, lesion or case is known.
    UsageError
        Where nothing is in the cache, and the list itself has no ids to judge by.

    """
    from dermdata.manifest.image_roots import merge_image_roots
    from dermdata.split import recognize_datasets
    from dermdata.split.published import join_manifests

    split = read_lists(resources, files)
    choose = find_cached_targets if split.has_groups else list_cached_targets
    names = list(known_by) or choose(resources)
    known = {name: load(resources, [name], NEEDED).table for name in names}
    found = recognize_datasets(split.ids, known, split.datasets)
    tell_known(resources, split, found, names)
    if not found and not split.has_groups:
        raise BadTable(
            f"none of {count_nouns(len(split.ids), 'image')} is known: nothing can be judged",
            hint="fetch the dataset first (`--only metadata` will do), or name it by --target",
        )
    sources = {name: load(resources, [name], USED) for name in found}
    roots = merge_image_roots([source.roots for source in sources.values()])
    table, conflicts = join_manifests(found, {name: one.table for name, one in sources.items()}, split)
    for conflict in conflicts:
        resources.say(conflict.summary)
    return Loaded(table, roots, tuple(sorted(roots)))


def read_lists(resources: Resources, files: Sequence[str]) -> "PublishedSplit":
    """The files as one list; which columns were taken for what is told."""
    from dermdata.split import parse_published_split
    from dermdata.split.published import join_lists, name_parts

    parts = name_parts(files) if len(files) > 1 else [None]
    read = [
        parse_published_split(read_table(resources, file), file, part)
        for file, part in zip(files, parts, strict=True)
    ]
    split = join_lists(read)
    tell_columns(resources, files, split)
    if split.ids.null_count == len(split.ids):
        raise BadTable(f"{', '.join(files)}: there are no images in it")
    if split.ids.null_count:
        resources.say(f"{count_nouns(split.ids.null_count, 'row', 'have')} no image id")
    return split


def tell_columns(resources: Resources, files: Sequence[str], split: "PublishedSplit") -> None:
    """Which columns were taken for what, and which one was not."""
    parts = f"'{split.part_column}'" if split.part_column else FILES
    own = "".join(f", {name} in '{column}'" for name, column in split.own_columns.items())
    resources.say(f"{', '.join(files)}: image ids in '{split.id_column}', parts in {parts}{own}")
    for word, one in split.other_spellings.items():
        resources.say(f"'{word}' is taken for the part '{one}'")
    if split.passed_over:
        judged = split.listed_parts is not None
        what = "names parts too: they are judged as well" if judged else NOT_LOOKED_AT
        resources.say(f"'{split.passed_over}' {what}")


def read_table(resources: Resources, file: str) -> "pa.Table":
    """One file's rows, those without any word left out; BadTable for a line that is no row."""
    path = Path(file)
    if path.suffix in SUFFIXES and path.suffix != ".csv":
        return read_from_file(resources, path, None)
    from dermdata.readers.delimited import parse_own_table
    from dermdata.split.published import drop_blank_rows

    own = parse_own_table(read_bytes(path), file)
    for note in own.notes:
        resources.say(note)
    if own.rejected:
        more = f", and {count_nouns(len(own.rejected) - 1, 'more line')}" if len(own.rejected) > 1 else ""
        first = own.rejected[0]
        raise BadTable(
            f"{file}, line {first['line']}: {first['reason']}{more}", hint="mend them: each must be judged"
        )
    return drop_blank_rows(own.rows)


def tell_known(
    resources: Resources, split: "PublishedSplit", found: "Mapping[str, Ints]", names: Sequence[str]
) -> None:
    """Which images are of which dataset, and which of none."""
    from dermdata.split.published import unknown_ids

    for name, rows in found.items():
        resources.say(f"{count_share(int((rows >= 0).sum()), len(split.ids), 'image', 'are')} of {name}")
    if unknown := unknown_ids(found, split.ids):
        some = ", ".join(unknown[:SHOWN])
        none = f"none of {', '.join(names)}" if names else "no dataset in the cache"
        resources.say(f"{count_nouns(len(unknown), 'image', 'are')} of {none} (such as {some})")
