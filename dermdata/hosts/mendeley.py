"""Mendeley Data: a dataset's id, its version and a file name with the folders it lies in."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import quote

from dermdata.hosts.base import (
    JsonObject,
    RecordFacts,
    ResolveContext,
    guess_role,
    iterate_objects,
    match_identity,
    merge_listed,
    pick_file,
    request_from_catalog,
    unexpected_answer,
)
from dermdata.model import Dataset, File, Request

SERVER = "https://data.mendeley.com/public-api/datasets"
TOP_FOLDERS = (None, "root")


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`zr7vgbcyr2/1/imgs_part_1.zip`."""
    del dataset
    if request := request_from_catalog(file):
        return request
    form = "mendeley:<dataset>/<version>/<file name>"
    parts = match_identity(r"([a-z0-9]+)/(\d+)/(.+)", identity, form)
    return merge_listed(
        file,
        pick_file(parts[3], request_files(parts[1], parts[2], context), describe_version(parts[1], parts[2])),
    )


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `zr7vgbcyr2/1`."""
    parts = match_identity(r"([a-z0-9]+)/(\d+)", identity, "mendeley:<dataset>/<version>")
    return request_files(parts[1], parts[2], context)


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What dataset `zr7vgbcyr2` says of itself, or a version of it; what it says is of its newest version only."""
    dataset, named = match_identity(
        r"([a-z0-9]+)(?:/(\d+))?", identity, "mendeley:<dataset>[/<version>]"
    ).groups()
    what, url = f"dataset {dataset}", f"{SERVER}/{dataset}"
    answer = JsonObject(context.request_json(what, url), what)
    newest = answer.optional_number("version")
    version = named or str(answer.number("version"))
    facts = RecordFacts(
        place=f"mendeley:{dataset}/{version}",
        page=f"https://data.mendeley.com/datasets/{dataset}/{version}",
        source=url,
        version=version,
        doi=f"10.17632/{dataset}.{version}",
    )
    if version != str(newest):
        return facts
    terms = answer.optional_child("data_licence")
    return replace(
        facts,
        title=answer.written_text("name"),
        license=terms.written_text("short_name"),
        license_url=terms.written_text("url"),
    )


def request_files(dataset: str, version: str, context: ResolveContext) -> tuple[File, ...]:
    """All files of one version, folder by folder."""
    about = describe_version(dataset, version)

    def request_folder(folder: str, path: str) -> Iterable[File]:
        url = f"{SERVER}/{dataset}/files?folder_id={quote(folder)}&version={version}"
        return (parse_file(row, path) for row in iterate_objects(context.request_json(about, url), about))

    def ask() -> tuple[File, ...]:
        files = [*request_folder("root", "")]
        folders = context.request_json(about, f"{SERVER}/{dataset}/folders/{version}")
        for folder, path in folder_paths(iterate_objects(folders, about)).items():
            files += request_folder(folder, f"{path}/")
        return tuple(files)

    return context.answers.get_or_ask(("mendeley", dataset, version), ask)


def parse_file(row: JsonObject, path: str) -> File:
    name, details = f"{path}{row.text('filename')}", row.child("content_details")
    return File(
        name=name,
        role=guess_role(name),
        urls=(details.address("download_url"),),
        size=details.optional_number("size"),
        checksum=details.digest("sha256_hash", "sha256"),
    )


def folder_paths(folders: Iterable[JsonObject]) -> Mapping[str, str]:
    """Folder id -> its path from the top, of folders that name their parent."""
    known = {row.text("id"): (row.text("name"), row.optional_text("parent_id")) for row in folders}
    return {folder: folder_path(folder, known) for folder in sorted(known)}


def folder_path(folder: str, known: Mapping[str, tuple[str, str | None]]) -> str:
    names: list[str] = []
    at: str | None = folder
    while at not in TOP_FOLDERS:
        if at not in known or len(names) > len(known):
            raise unexpected_answer(f"folder {folder} does not lead to the top")
        name, at = known[at]
        names.append(name)
    return "/".join(reversed(names))


def describe_version(dataset: str, version: str) -> str:
    return f"dataset {dataset} version {version}"
