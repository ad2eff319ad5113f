"""`dermdata split --check`: judge a manifest's split, or one that somebody published as a list of images and parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.cli.output import emit
from dermdata.cli.state import State
from dermdata.errors import BadTable, ProblemsFound, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.targets import Loaded
    from dermdata.duplicates import Alike
    from dermdata.split import Published

KEYS = ("level", "code", "dataset", "keys", "message", "evidence")
ENDINGS = (".csv", ".tsv", ".txt")
NEEDED = ("image_id", "isic_id")
USED = ("key", "dataset", *NEEDED, "patient_id", "lesion_id", "case_id", "sha256", "phash", "path")
SHOWN = 3  # ids in a message


def judge(state: State, targets: Sequence[str], known_by: Sequence[str], form: Any, *, near: bool) -> None:
    """Print the leaks; ProblemsFound where there is an error among them."""
    from dermdata.api.targets import load
    from dermdata.split import check, counted

    lists = [target for target in targets if is_list(target)]
    if known_by and not lists:
        raise UsageError("--target names the dataset of a list of images", hint="leave it out for a manifest")
    if lists and len(lists) < len(targets):
        raise UsageError(
            "a list of images and a manifest cannot be judged together", hint="one after the other"
        )
    loaded = published(state, lists, known_by) if lists else load(state, targets)
    alike = near_duplicates(state, loaded) if near else None
    findings = check(loaded.table, alike)
    if findings or form:
        emit([vars(one) for one in findings], KEYS, form, "split", color=state.color)
    if unknown := not_known(loaded):
        state.say(f"not judged, because no row has one: {', '.join(unknown)}")
    if not near:
        state.more("near duplicates were not looked for; add --near")
    if unsure := sum(one.level == "warning" for one in findings):
        state.say(f"{unsure:,} pictures may be in several parts, by hash alone: their images are not here")
    leaks = counted(tuple(one for one in findings if one.level == "error"))
    if leaks:
        said = ", ".join(f"{count:,} {name if count > 1 else one_of(name)}" for name, count in leaks.items())
        how = "split --near" if near else "split"
        raise ProblemsFound(
            f"in more than one part: {said}", hint=f"`dermdata {how}` makes one without leaks"
        )
    state.say(
        f"no patient, lesion, case or image is in two parts{', nor any near duplicate' if near else ''}"
    )


def one_of(name: str) -> str:
    return "file of equal bytes" if name.startswith("files") else name.removesuffix("s")


def near_duplicates(state: State, loaded: "Loaded") -> "Alike":
    """The near duplicates among the rows, and in words how they are known; UsageError where there are no hashes."""
    from dermdata.api.targets import near_of

    if not has_hashes(loaded):
        raise UsageError(
            "--near compares images, and no row has a perceptual hash", hint="fetch the images first"
        )
    found = near_of(loaded)(loaded.table)
    state.say(found.said)
    return found


def has_hashes(loaded: "Loaded") -> bool:
    table = loaded.table
    return "phash" in table.column_names and table["phash"].null_count < table.num_rows


def not_known(loaded: "Loaded") -> list[str]:
    """The ids that no row has: what they would tell was not judged."""
    table = loaded.table
    names = ("patient_id", "lesion_id", "sha256")
    return [
        name for name in names if name not in table.column_names or table[name].null_count == table.num_rows
    ]


# ------------------------------------------------------------------ somebody's list


def is_list(target: str) -> bool:
    """Whether it is a text file that is no manifest of ours: its rows have no key."""
    path = Path(target)
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        names = {name.strip().strip('"') for name in file.readline().split(delimiter_of(path))}
    return "key" not in names and not {"dataset", "image_id"} <= names


def delimiter_of(path: Path) -> str:
    """The comma, semicolon or tab that the first line has most of."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return max(",;\t", key=first.count)


def published(state: State, files: Sequence[str], known_by: Sequence[str]) -> "Loaded":
    """The lists as rows of the datasets that know their images; what was taken for what is said."""
    from dermdata.api.targets import Loaded, cached, load
    from dermdata.manifest.image_files import roots_of_all
    from dermdata.split import recognized
    from dermdata.split.published import joined, strangers

    split = together([read(state, file, alone=len(files) == 1) for file in files])
    column = f"'{split.part_column}'" if split.part_column else "the files' names"
    state.say(f"{', '.join(files)}: image ids in '{split.id_column}', parts in {column}")
    if split.ids.null_count == len(split.ids):
        raise BadTable(f"{', '.join(files)}: there are no images in it")
    if split.ids.null_count:
        state.say(f"{split.ids.null_count:,} rows without an image id are left out")
    names = list(known_by) or cached(state)
    found = recognized(split.ids, {name: load(state, [name], NEEDED).table for name in names})
    for name, rows in found.items():
        state.say(f"{int((rows >= 0).sum()):,} of {len(split.ids):,} images are of {name}")
    unknown = strangers(found, split.ids)
    if unknown:
        some = ", ".join(unknown[:SHOWN])
        state.say(f"{len(unknown):,} images are of none of {', '.join(names)} (such as {some})")
    if not found and not split.own:
        raise BadTable(
            f"none of {len(split.ids):,} images is known: nothing can be judged",
            hint="fetch the dataset first (`--only metadata` will do), or name it by --target",
        )
    sources = {name: load(state, [name], USED) for name in found}
    roots = roots_of_all([source.roots for source in sources.values()])
    table = joined(found, {name: source.table for name, source in sources.items()}, split)
    return Loaded(table, roots, tuple(sorted(roots)))


def read(state: State, file: str, *, alone: bool) -> "Published":
    from dermdata.readers.delimited import parse
    from dermdata.split import published as columns_of

    path = Path(file)
    table, rejected = parse(path.read_bytes(), file, delimiter=delimiter_of(path), encoding="utf-8")
    if rejected:
        state.say(f"{file}: {len(rejected):,} lines are left out, the first is line {rejected[0]['line']}")
    return columns_of(table, file, None if alone else path.stem)


def together(lists: Sequence["Published"]) -> "Published":
    """Several files as one list."""
    import pyarrow as pa

    from dermdata.split import Published

    def column(arrays: Sequence["pa.Array"]) -> "pa.Array":
        return pa.concat_arrays(arrays)

    shared = [name for name in lists[0].own if all(name in one.own for one in lists)]
    return Published(
        ids=column([one.ids for one in lists]),
        parts=column([one.parts for one in lists]),
        own={name: column([one.own[name] for one in lists]) for name in shared},
        id_column=lists[0].id_column,
        part_column=lists[0].part_column,
    )
