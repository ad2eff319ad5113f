"""Hugging Face: one file of a model or dataset repository; gated ones want a token.

One question per repository (`?blobs=true`) tells the commit, the sizes and, of files in large file
storage, the SHA-256: the headers that tell the same of one file stand on a redirect, which is followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from dermdata.errors import PersonMustAct
from dermdata.hosts.accounts import (
    GUARDED_ACCESS,
    Account,
    explain_account_error,
    huggingface_account,
    make_guarded_request,
)
from dermdata.hosts.base import (
    JsonObject,
    ResolveContext,
    fill_request,
    guess_role,
    is_complete,
    make_request,
    match_identity,
    pick_file,
)
from dermdata.model import NOTHING, Dataset, File, Request

SERVER = "https://huggingface.co"
PLACE = r"((?:datasets/)?[\w.-]+/[\w.-]+)@([^/@]+)"


@dataclass(frozen=True)
class Repository:
    """What the hub says of a repository at one revision."""

    commit: str
    gated: bool
    files: tuple[File, ...]


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`[datasets/]owner/name@revision/path`; where the hub is asked, its commit replaces a branch."""
    form = "huggingface:[datasets/]<owner>/<name>@<revision>/<path>"
    name, revision, path = match_identity(rf"{PLACE}/(.+)", identity, form).groups()
    own, account = (file_url(name, revision, path),), huggingface_account(name)
    listed_as_gated = (name, revision) in context.gated_repositories
    if listed_as_gated or is_guarded(dataset, account):
        request = make_guarded_request(account, dataset, file, own, context)
    else:
        request = make_request(file, own)
    if is_complete(file) or request.urls[0] != own[0]:
        return request
    known = request_repository(name, revision, request.secrets, context)
    if known.gated and not request.secrets:
        request = make_guarded_request(account, dataset, file, own, context)
    found = pick_file(path, known.files, f"{name}@{revision}")
    pinned = file_url(name, known.commit, path)  # sizes, checksums and bytes are of one commit
    urls = tuple(pinned if url == own[0] else url for url in request.urls)
    return fill_request(replace(request, urls=urls), found.size, found.checksum)


def is_guarded(dataset: Dataset, account: Account) -> bool:
    """Whether the entry says that its files need the account."""
    return dataset.access.service == account.service and dataset.access.kind in GUARDED_ACCESS


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `[datasets/]owner/name@revision`, or of a folder of it."""
    form = "huggingface:[datasets/]<owner>/<name>@<revision>[/<folder>]"
    name, revision, folder = match_identity(rf"{PLACE}/?(.*)", identity, form).groups()
    secrets = context.credentials.get_headers("huggingface") or NOTHING
    known = request_repository(name, revision, secrets, context)
    inside = f"{folder.rstrip('/')}/" if folder else ""
    return tuple(file for file in known.files if file.name.startswith(inside))


def request_repository(
    name: str, revision: str, secrets: Mapping[str, str], context: ResolveContext
) -> Repository:
    """All files of one revision, by one question."""
    what = f"{name}@{revision}"
    kind = name if name.startswith("datasets/") else f"models/{name}"

    def ask() -> Repository:
        try:
            url = f"{SERVER}/api/{kind}/revision/{quote(revision, safe='%')}?blobs=true"
            answer = JsonObject(context.request_json(what, url, secrets), what)
        except PersonMustAct as error:
            # the hub answers the same for a repository that is not there
            raise explain_account_error(
                error, huggingface_account(name), f"{what} (private, gated or not there)", context
            ) from error
        commit = answer.text("sha")
        files = tuple(parse_file(f"{name}@{commit}", row) for row in answer.rows("siblings"))
        if answer.flag("gated"):  # its listing is open to all, and leaves nothing to ask of most of its files
            context.gated_repositories.add((name, commit))
        return Repository(commit, answer.flag("gated"), files)

    return context.answers.get_or_ask(("huggingface", name, revision), ask)


def parse_file(place: str, row: JsonObject) -> File:
    """One file; only those in large file storage have a checksum of their bytes."""
    name = row.text("rfilename")
    stored = row.child("lfs") if row.flag("lfs") else None
    return File(
        name=name,
        role=guess_role(name),
        source=f"huggingface:{place}/{name}",
        size=stored.optional_number("size") if stored else row.optional_number("size"),
        checksum=stored.digest("sha256", "sha256") if stored else None,
    )


def file_url(name: str, revision: str, path: str) -> str:
    return f"{SERVER}/{name}/resolve/{quote(revision, safe='%')}/{quote(path)}"
