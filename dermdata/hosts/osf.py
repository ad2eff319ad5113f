"""OSF: the files of a project's storage, folder by folder; many of them come as one zip.

Without an account OSF answers 100 requests an hour, but a zip of everything is not counted.
"""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

from dermdata.errors import UnknownName
from dermdata.hosts.base import (
    JsonObject,
    RecordFacts,
    ResolveContext,
    guess_role,
    is_complete,
    iterate_pages,
    make_request,
    match_identity,
    merge_listed,
    pick_file,
)
from dermdata.model import Dataset, File, Request

SERVER = "https://api.osf.io/v2/nodes"
LICENSES = "https://api.osf.io/v2/licenses"
STORAGE = "https://files.osf.io/v1/resources"
NODE = r"([a-z0-9]{5})"
PAGE = 100


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`72rp3/images/a.png`: the folders of its path are asked for, and no others."""
    del dataset
    node, path = match_identity(f"{NODE}/(.+)", identity, "osf:<project>/<path>").groups()
    if is_complete(file) and file.urls:
        return make_request(file, ())
    folder, _, name = path.rpartition("/")
    files = [
        parse_file(node, row, name)
        for row, name in list_folder(node, find_folder(node, folder, context), context)
    ]
    return merge_listed(file, pick_file(name, files, describe_folder(node, folder)))


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `72rp3`, or of a folder of it, `72rp3/images`: named from there on, as in the folder's zip."""
    node, folder = match_identity(f"{NODE}(?:/(.+?))?/?", identity, "osf:<project>[/<folder>]").groups()

    def walk(number: str, path: str) -> Iterator[File]:
        for row, name in list_folder(node, number, context):
            if is_folder(row):
                yield from walk(row.text("id"), f"{path}{name}/")
            else:
                yield parse_file(node, row, f"{path}{name}")

    def ask() -> tuple[File, ...]:
        return tuple(walk(find_folder(node, folder or "", context), ""))

    return context.answers.get_or_ask(("osf", node, folder or ""), ask)


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What project `72rp3` says of itself, also where a folder of it is meant: its files have no version in common."""
    node = match_identity(f"{NODE}(?:/.+?)?/?", identity, "osf:<project>[/<folder>]")[1]
    url = f"{SERVER}/{node}/"
    answer = context.request_description(describe_folder(node, ""), url)
    facts = RecordFacts(
        place=f"osf:{identity.rstrip('/')}", page=f"https://osf.io/{node}/", source=url, is_fixed=False
    )
    if answer is None:
        return facts
    data = answer.child("data")
    about = data.optional_child("attributes")
    number = (
        data.optional_child("relationships")
        .optional_child("license")
        .optional_child("data")
        .written_text("id")
    )
    terms = number and context.request_description("such license", f"{LICENSES}/{quote(number)}/")
    return replace(
        facts,
        title=about.written_text("title"),
        citation=about.written_text("custom_citation"),
        license=terms.child("data").optional_child("attributes").written_text("name") if terms else None,
    )


def whole_archive(identity: str, context: ResolveContext) -> File:
    """All that `list_files` lists as one zip, which is made on the way: it has no size, no checksum, no ranges."""
    node, folder = match_identity(f"{NODE}(?:/(.+?))?/?", identity, "osf:<project>[/<folder>]").groups()
    number = find_folder(node, folder or "", context)
    url = f"{STORAGE}/{node}/providers/osfstorage/{f'{number}/' if number else ''}?zip="
    return File(name=f"{'-'.join(identity.strip('/').split('/'))}.zip", role="other", urls=(url,))


def find_folder(node: str, path: str, context: ResolveContext) -> str:
    """The id of a folder, "" for the outermost; UnknownName with the nearest names where there is none."""
    number, above = "", ""
    for step in filter(None, path.split("/")):
        inside = {name: row.text("id") for row, name in list_folder(node, number, context) if is_folder(row)}
        if step not in inside:
            raise UnknownName(f"folder of {describe_folder(node, above)}:", step, inside)
        number, above = inside[step], f"{above}/{step}".strip("/")
    return number


def list_folder(node: str, number: str, context: ResolveContext) -> list[tuple[JsonObject, str]]:
    """What lies in one folder: each file or folder, and its name."""
    what = describe_folder(node, "")

    def page(token: str) -> tuple[list[JsonObject], str | None]:
        place = f"{SERVER}/{node}/files/osfstorage/{f'{quote(number)}/' if number else ''}"
        url = f"{place}?page%5Bsize%5D={PAGE}&page={token or 1}"
        answer = JsonObject(context.request_json(what, url), what)
        following = answer.child("links").optional_text("next")
        return list(answer.rows("data")), str(int(token or 1) + 1) if following else None

    def ask() -> list[tuple[JsonObject, str]]:
        return [(row, row.child("attributes").text("name")) for row in iterate_pages(page, what)]

    return context.answers.get_or_ask(("osf-folder", node, number), ask)


def is_folder(row: JsonObject) -> bool:
    return row.child("attributes").text("kind") == "folder"


def parse_file(node: str, row: JsonObject, name: str) -> File:
    """One file; OSF computes both digests when a file is uploaded."""
    facts = row.child("attributes")
    extra = facts.child("extra") if facts.flag("extra") else facts
    hashes = extra.child("hashes") if extra.flag("hashes") else extra
    return File(
        name=name,
        role=guess_role(name),
        urls=(f"{STORAGE}/{node}/providers/osfstorage/{row.text('id')}",),
        size=facts.optional_number("size"),
        checksum=hashes.digest("sha256", "sha256") or hashes.digest("md5", "md5"),
    )


def describe_folder(node: str, folder: str) -> str:
    return f"project {node}{f' folder {folder}' if folder else ''}"
