"""Mendeley Data: a dataset's id, its version and a file name with the folders it lies in."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from dermdata.model import Dataset, File, Request
from dermdata.sources.around import Surroundings
from dermdata.sources.record import answered_by_catalog, joined, matched, pick, role_of
from dermdata.sources.shape import Part, each, strange

SERVER = "https://data.mendeley.com/public-api/datasets"
TOP = (None, "root")


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`zr7vgbcyr2/1/imgs_part_1.zip`."""
    del dataset
    if request := answered_by_catalog(file):
        return request
    form = "mendeley:<dataset>/<version>/<file name>"
    parts = matched(r"([a-z0-9]+)/(\d+)/(.+)", identity, form)
    return joined(file, pick(parts[3], entries(parts[1], parts[2], around), what(parts[1], parts[2])))


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """The files of `zr7vgbcyr2/1`."""
    parts = matched(r"([a-z0-9]+)/(\d+)", identity, "mendeley:<dataset>/<version>")
    return entries(parts[1], parts[2], around)


def entries(dataset: str, version: str, around: Surroundings) -> tuple[File, ...]:
    """All files of one version, folder by folder."""
    about = what(dataset, version)

    def inside(folder: str, path: str) -> Iterable[File]:
        url = f"{SERVER}/{dataset}/files?folder_id={quote(folder)}&version={version}"
        return (entry(row, path) for row in each(around.ask_about(about, url), about))

    def ask() -> tuple[File, ...]:
        files = [*inside("root", "")]
        folders = around.ask_about(about, f"{SERVER}/{dataset}/folders/{version}")
        for folder, path in paths(each(folders, about)).items():
            files += inside(folder, f"{path}/")
        return tuple(files)

    return around.answers.of(("mendeley", dataset, version), ask)


def entry(row: Part, path: str) -> File:
    name, details = f"{path}{row.text('filename')}", row.part("content_details")
    return File(
        name=name,
        role=role_of(name),
        urls=(details.address("download_url"),),
        size=details.count("size"),
        checksum=details.digest("sha256_hash", "sha256"),
    )


def paths(folders: Iterable[Part]) -> Mapping[str, str]:
    """Folder id -> its path from the top, of folders that name their parent."""
    known = {row.text("id"): (row.text("name"), row.maybe("parent_id")) for row in folders}
    return {folder: path_of(folder, known) for folder in sorted(known)}


def path_of(folder: str, known: Mapping[str, tuple[str, str | None]]) -> str:
    names: list[str] = []
    at: str | None = folder
    while at not in TOP:
        if at not in known or len(names) > len(known):
            raise strange(f"folder {folder} does not lead to the top")
        name, at = known[at]
        names.append(name)
    return "/".join(reversed(names))


def what(dataset: str, version: str) -> str:
    return f"dataset {dataset} version {version}"
