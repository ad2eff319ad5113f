"""Entries whose files are too many for the catalog: a host's listing, or the entry's own table, names them."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import cast

from dermdata import readers
from dermdata.archive import archive_kind
from dermdata.cache import DatasetFolder, Receipt
from dermdata.errors import BadCatalog, ManualDownload
from dermdata.fetching.assemble import table_opener
from dermdata.fetching.ingest import SUMS_NAME, read_sha256sums
from dermdata.hosts.base import guess_role
from dermdata.markup import agree_verb, count_nouns
from dermdata.model import Content, Dataset, File, ListingSpec, Role

LISTED_BY_ROWS = "rows"  # each row of the table has its image's address
ListFiles = Callable[[str], tuple[File, ...]]  # hosts.list_files
BundleFiles = Callable[[str, tuple[File, ...]], tuple[File, ...]]  # hosts.bundle_files


def add_known_files(dataset: Dataset, receipt: Receipt) -> Dataset:
    """The entry with the files that an earlier fetch brought: no listing needs to be asked again."""
    known = {file.name for file in dataset.files if file.fetch}
    files = [
        File(
            name=one.name,
            role=cast("Role", one.role),
            size=one.size,
            checksum=f"sha256:{one.sha256}",
            **({"urls": (one.url,)} if "://" in one.url else {"source": one.url}),
        )
        for one in receipt.files
        if one.name not in known
    ]
    return merge_files(dataset, files)


def add_listed_files(
    dataset: Dataset, ask: ListFiles, bundle: BundleFiles = lambda _, files: files
) -> Dataset:
    """The entry with the files that its host lists, as far as it wants them.

    Parameters
    ----------
    dataset
        An entry with a listing.
    ask
        Asks the host for the list.
    bundle
        Puts one archive in place of files that are too many to be asked for one by one.

    Raises
    ------
    ManualDownload
        If the host gives out none of them.
    BadCatalog
        If the entry's globs leave none of them.

    """
    place = dataset.listing or ""
    found = ask(place)
    if dataset.kind == "model":
        found = tuple(replace(one, role=guess_model_role(one.name)) for one in found)
    files = choose_listed(dataset, found)
    require_given(dataset, files)
    own = {file.name for file in dataset.files if file.fetch or file.note}
    return merge_files(dataset, bundle(place, tuple(file for file in files if file.name not in own)))


def require_given(dataset: Dataset, files: Sequence[File]) -> None:
    """ManualDownload where the host shows the files and gives out none of them."""
    if not any(file.fetch for file in files):
        raise ManualDownload(
            f"{dataset.name}: all {count_nouns(len(files), 'file')} of "
            f"{dataset.listing} {agree_verb(len(files), 'are')} restricted",
            hint=f"ask for access at {dataset.access.url or dataset.homepage or 'their page'}, then use --from",
        )


def choose_listed(dataset: Dataset, files: tuple[File, ...]) -> tuple[File, ...]:
    """The listed files that the entry wants, with the roles and the kinds of archive that it gives them."""
    spec = dataset.listed
    if spec is None:
        return files
    chosen = tuple(describe_listed(file, spec) for file in files if is_wanted(file.name, spec))
    if files and not chosen:
        raise BadCatalog(
            f"{dataset.name}: [listed] leaves none of {count_nouns(len(files), 'file')} of {dataset.listing}",
            hint=f"include and exclude are globs over whole names, such as {files[0].name}",
        )
    return join_pieces(chosen, spec)


def join_pieces(files: tuple[File, ...], spec: ListingSpec) -> tuple[File, ...]:
    """The files with one archive in place of the pieces that it is given out in.

    BadCatalog for pieces whose name without its end is no archive's, and where a number lacks between others.
    """
    pieces: dict[str, list[File]] = {}
    for file in files:
        if find_fitting(file.name, spec.pieces):
            pieces.setdefault(file.name.rpartition(".")[0], []).append(file)
    joined = [join_archive(name, several) for name, several in pieces.items()]
    taken = {part.name for one in joined for part in one.parts}
    return (*(file for file in files if file.name not in taken), *joined)


def join_archive(name: str, pieces: Sequence[File]) -> File:
    """One archive of its pieces, in the order of their numbers or letters."""
    kind = archive_kind(name)
    ordered = sorted(pieces, key=lambda one: piece_order(one.name))
    numbers = [piece_order(one.name)[0] for one in ordered]
    if kind is None:
        raise BadCatalog(
            f"{pieces[0].name} is no piece of an archive", hint="pieces are called like data.tar.gz.00"
        )
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise BadCatalog(f"{name} is given out in pieces, of which one lacks: {quote_list(ordered)}")
    sizes = [one.size for one in ordered]
    size = None if None in sizes else sum(filter(None, sizes))
    return File(name=name, role="images", unpack=kind, size=size, parts=tuple(ordered))


def piece_order(name: str) -> tuple[int, str]:
    """The number of a piece: of `.00` and `.part1` as it stands, of `.aa`, `.ab` that of its letters."""
    end = name.rpartition(".")[2].lower()
    if digits := re.search(r"\d+$", end):
        return int(digits[0]), end
    number = 0
    for sign in end:
        number = number * 26 + ord(sign) - ord("a")
    return number, end


def quote_list(files: Sequence[File]) -> str:
    return ", ".join(one.name.rpartition(".")[2] for one in files[:30])


def is_wanted(name: str, spec: ListingSpec) -> bool:
    return bool(find_fitting(name, spec.include or ("*",))) and not find_fitting(name, spec.exclude)


def describe_listed(file: File, spec: ListingSpec) -> File:
    """A listed file as the entry means it; an archive is one of images where no role is given."""
    kind, role = find_fitting(file.name, spec.unpack), find_fitting(file.name, spec.roles)
    if kind:
        file = replace(file, unpack=spec.unpack[kind], role="images")
    return replace(file, role=spec.roles[role]) if role else file


def find_fitting(name: str, globs: Iterable[str]) -> str | None:
    """The first glob that a whole name fits, in any Unicode form; None where none does."""
    plain = unicodedata.normalize("NFC", name)
    return next((glob for glob in globs if compile_glob(glob).match(plain)), None)


@cache
def compile_glob(glob: str) -> re.Pattern[str]:
    return re.compile(translate(unicodedata.normalize("NFC", glob)))


def add_mirrored_files(dataset: Dataset, mirrors: Iterable[str]) -> Dataset | None:
    """A model with the files that a mirror folder's SHA256SUMS names; None where no such folder has any.

    Only of models: what a dataset's host lists may be more than a mirror holds, and its rows would miss it.
    """
    if dataset.kind != "model":
        return None
    for mirror in mirrors:
        sums = {} if "://" in mirror else read_sha256sums(Path(mirror) / dataset.name)
        if sums:
            files = [
                File(name=name, role=guess_model_role(name), checksum=f"sha256:{digest}")
                for name, digest in sorted(sums.items())
            ]
            return merge_files(dataset, files)
    return None


def add_own_model_files(dataset: Dataset, folders: Iterable[Path]) -> Dataset:
    """A model whose host would list its files, with all files that lie in the person's own folders of it."""
    if dataset.kind != "model" or not dataset.listing:
        return dataset
    names = {
        path.relative_to(folder).as_posix(): None
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SUMS_NAME
    }
    return merge_files(dataset, [File(name=name, role=guess_model_role(name)) for name in names])


def guess_model_role(name: str) -> Role:
    """What a model's file is: a picture in its description is no image of a dataset."""
    role = guess_role(name)
    return "other" if role == "images" else role


def add_row_files(dataset: Dataset, folder: DatasetFolder) -> Dataset:
    """The entry with one file for each row of its (fetched) table that has an address."""
    contents = folder.contents()
    return merge_files(dataset, list_row_files(dataset, contents, folder))


def list_row_files(dataset: Dataset, contents: tuple[Content, ...], folder: DatasetFolder) -> list[File]:
    files = []
    for spec in dataset.table:
        if spec.image_url is None:
            continue
        rows = readers.read_table(spec, table_opener(folder, contents), contents).rows
        names = rows[(spec.columns.get("image") or spec.columns["image_id"])[0]].to_pylist()
        urls = rows[spec.image_url].to_pylist()
        files += [
            File(name=cached_image_name(name), role="images", urls=(url,))
            for name, url in zip(names, urls, strict=True)
            if url
        ]
    return files


def cached_image_name(name: str) -> str:
    """The cached name of an image that the source names without an ending."""
    return f"images/{name}" if "." in name else f"images/{name}.jpg"


def merge_files(dataset: Dataset, files: Iterable[File]) -> Dataset:
    """The entry's files and the listed ones; where both name a file, the catalog's size and checksum rule."""
    merged = {file.name: file for file in dataset.files}
    for file in files:
        known = merged.get(file.name)
        if known is None:
            merged[file.name] = file
        elif not known.fetch and not known.note:  # only facts about it: an overlay's files.tsv
            merged[file.name] = replace(
                file, size=known.size or file.size, checksum=known.checksum or file.checksum
            )
    return replace(dataset, files=tuple(merged.values()))
