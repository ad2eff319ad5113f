"""Hugging Face: one file of a model or dataset repository; gated ones want a token.

One question tells the commit of a branch, and the tree of that commit the sizes and digests of its files: the headers
that tell the same of one file stand on a redirect, which is followed.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import quote

from dermdata.errors import PersonMustAct, ServerRefused
from dermdata.hosts.accounts import (
    GUARDED_ACCESS,
    Account,
    explain_account_error,
    huggingface_account,
    make_guarded_request,
)
from dermdata.hosts.base import (
    JsonObject,
    RecordFacts,
    ResolveContext,
    absence_error,
    fill_request,
    guess_role,
    is_complete,
    iterate_objects,
    iterate_pages,
    make_request,
    match_identity,
    pick_file,
    unexpected_answer,
)
from dermdata.model import NOTHING, Dataset, File, Request

SERVER = "https://huggingface.co"
COMMIT = re.compile(r"[0-9a-f]{40}")
BRANCH = "main"  # unless another revision is named
PLACE = r"((?:datasets/)?[\w.-]+/[\w.-]+)@([^/@]+)"


@dataclass(frozen=True)
class Repository:
    """What the hub says of a repository at one revision."""

    commit: str
    gated: bool
    title: str | None = None  # as its card says
    license: str | None = None


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
    folder = path.rpartition("/")[0]
    found = pick_file(
        path, request_tree(name, known, folder, request.secrets, context, deep=False), f"{name}@{revision}"
    )
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
    return request_tree(name, known, folder.rstrip("/"), secrets, context, deep=True)


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What `datasets/owner/name[@revision][/folder]` says of itself; a branch or tag by the commit that it is now."""
    form = "huggingface:datasets/<owner>/<name>[@<revision>][/<folder>]"
    pattern = r"((?:datasets/)?[\w.-]+/[\w.-]+)(?:@([^/@]+))?(/.+)?"
    name, revision, folder = match_identity(pattern, identity, form).groups()
    secrets = context.credentials.get_headers("huggingface") or NOTHING
    known = request_repository(name, revision or BRANCH, secrets, context)
    if not COMMIT.fullmatch(known.commit):
        raise unexpected_answer(f"{name}@{revision or BRANCH}: 'sha' is not a commit")
    return RecordFacts(
        place=f"huggingface:{name}@{known.commit}{(folder or '').rstrip('/')}",
        page=f"{SERVER}/{name}",
        source=revision_url(name, revision or BRANCH),
        title=known.title or name.partition("/")[2],
        version=known.commit[:8],
        license=known.license,
        account="huggingface" if known.gated else None,
    )


def request_repository(
    name: str, revision: str, secrets: Mapping[str, str], context: ResolveContext
) -> Repository:
    """What a branch or tag is at this moment, and whether its files are gated."""
    what = f"{name}@{revision}"

    def ask() -> Repository:
        url = revision_url(name, revision)
        with explain_hidden(name, what, context):
            answer = JsonObject(context.request_json(what, url, secrets), what)
        commit, gated = answer.text("sha"), answer.flag("gated")
        if gated:  # its listing is open to all, and leaves nothing to ask of its files
            context.gated_repositories.add((name, commit))
        card = answer.optional_child("cardData")
        return Repository(commit, gated, card.written_text("pretty_name"), card.written_text("license"))

    return context.answers.get_or_ask(("huggingface", name, revision), ask)


def request_tree(
    name: str,
    repository: Repository,
    folder: str,
    secrets: Mapping[str, str],
    context: ResolveContext,
    *,
    deep: bool,
) -> tuple[File, ...]:
    """The files of a folder at one commit, page by page; all the way down where that is wanted."""
    place = f"{name}@{repository.commit}"
    what = f"{place}{f' folder {folder}' if folder else ''}"

    def page(token: str) -> tuple[list[File], str | None]:
        first = f"{api_url(name)}/tree/{repository.commit}{f'/{quote(folder)}' if folder else ''}"
        url = token or f"{first}{'?recursive=true' if deep else ''}"
        try:
            with explain_hidden(name, what, context):
                rows, following = context.ask_page(url, secrets=secrets)
        except ServerRefused as error:
            raise absence_error(what, url, error) from error
        files = [row for row in iterate_objects(rows, what) if row.text("type") == "file"]
        return [parse_file(place, row) for row in files], following

    key = ("huggingface-tree", place, folder, str(deep))
    return context.answers.get_or_ask(key, lambda: tuple(iterate_pages(page, what)))


@contextmanager
def explain_hidden(name: str, what: str, context: ResolveContext) -> Iterator[None]:
    """The hub answers the same for a repository that is private and for one that is not there."""
    try:
        yield
    except PersonMustAct as error:
        account = huggingface_account(name)
        raise explain_account_error(
            error, account, f"{what} (private, gated or not there)", context
        ) from error


def parse_file(place: str, row: JsonObject) -> File:
    """One file: those in large file storage have their SHA-256, all others the SHA-1 by which git knows them."""
    name, size = row.text("path"), row.optional_number("size")
    if row.flag("lfs"):
        stored = row.child("lfs")
        size, checksum = stored.optional_number("size"), stored.digest("oid", "sha256")
    else:
        digest = row.digest("oid", "sha1")
        checksum = f"git-blob-{size}:{digest.removeprefix('sha1:')}" if digest and size is not None else None
    return File(
        name=name, role=guess_role(name), source=f"huggingface:{place}/{name}", size=size, checksum=checksum
    )


def api_url(name: str) -> str:
    return f"{SERVER}/api/{name if name.startswith('datasets/') else f'models/{name}'}"


def revision_url(name: str, revision: str) -> str:
    return f"{api_url(name)}/revision/{quote(revision, safe='%')}"


def file_url(name: str, revision: str, path: str) -> str:
    return f"{SERVER}/{name}/resolve/{quote(revision, safe='%')}/{quote(path)}"
