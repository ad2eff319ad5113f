"""GitHub: the files of one commit; a branch is refused in an entry, since its bytes change, and pinned in a new one.

The tree of a commit states of each file the SHA-1 by which git knows it. A file in large file storage (LFS) stands
there as a pointer of some 130 bytes, which states size and SHA-256 of the file itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote

from dermdata.errors import ServerRefused
from dermdata.hosts.base import (
    FileHead,
    JsonObject,
    RecordFacts,
    ResolveContext,
    absence_error,
    fill_request,
    guess_role,
    is_complete,
    make_request,
    match_identity,
)
from dermdata.model import Dataset, File, Request

RAW = "https://raw.githubusercontent.com"
STORED = "https://media.githubusercontent.com/media"  # gives what is in large file storage
API = "https://api.github.com/repos"
PLACE = r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})"
POINTER_BYTES = range(120, 201)
POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n"
)
LINK, SUBMODULE = "120000", "commit"
COMMIT = re.compile(r"[0-9a-f]{40}")
NO_SUCH_COMMIT = (404, 409, 422)  # 409: an empty repository, 422: a word that is no commit
MOST_PARTS = 4  # of a branch's name, between slashes
NO_LICENSE = "NOASSERTION"  # what stands for a license that GitHub does not know


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`owner/repository@<40 hex digits>/path`; a pointer of LFS is followed to the file itself."""
    del dataset
    form = "github:<owner>/<repository>@<commit, 40 hex digits>/<path>"
    repository, commit, path = match_identity(rf"{PLACE}/(.+)", identity, form).groups()
    raw = f"{RAW}/{repository}/{commit}/{quote(path)}"
    request, head = make_request(file, (raw,)), context.head
    if is_complete(file) or head is None:
        return request
    listed = context.answers.get_or_ask(blobs_key(repository, commit), dict[str, File]).get(path)
    if listed is None:
        seen: FileHead = context.answers.get_or_ask(("github", raw), lambda: head(Request(urls=(raw,))))
        size, checksum = seen.size, None
    else:
        size, checksum = listed.size, listed.checksum
    pointer = POINTER.fullmatch(context.read(raw)) if size in POINTER_BYTES else None
    if pointer is None:
        return fill_request(request, size, checksum)
    stored = make_request(file, (f"{STORED}/{repository}/{commit}/{quote(path)}",))
    return fill_request(stored, int(pointer[2]), f"sha256:{pointer[1].decode()}")


def blobs_key(repository: str, commit: str) -> tuple[str, ...]:
    """Where the answers of this run hold the files of a commit that was listed, by path."""
    return ("github-blobs", repository, commit)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `owner/repository@<commit>`, or of a folder of it; links and submodules are not fetched."""
    form = "github:<owner>/<repository>@<commit, 40 hex digits>[/<folder>]"
    repository, commit, folder = match_identity(rf"{PLACE}(?:/(.+?))?/?", identity, form).groups()
    inside = f"{folder}/" if folder else ""

    def ask() -> Mapping[str, File]:
        rows = iterate_tree(repository, commit, "", inside, context)
        return {file.name: file for file in (parse_file(f"{repository}@{commit}", *one) for one in rows)}

    known = context.answers.get_or_ask(("github-tree", repository, commit, inside), ask)
    context.answers.get_or_ask(blobs_key(repository, commit), dict[str, File]).update(known)
    # which of the small ones is a pointer is known when it is asked for
    return tuple(
        replace(file, size=None, checksum=None) if file.size in POINTER_BYTES else file
        for file in known.values()
    )


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What `owner/repository[@<branch, tag or commit>][/<folder>]` says of itself, by the commit that it is now."""
    form = "github:<owner>/<repository>[@<branch or commit>][/<folder>]"
    repository, rest = match_identity(r"([\w.-]+/[\w.-]+)(?:@(.+?))?/?", identity, form).groups()
    url = f"{API}/{repository}"
    answer = context.request_description(f"repository {repository}", url) or JsonObject({}, repository)
    commit, folder = find_commit(repository, rest or answer.written_text("default_branch") or "HEAD", context)
    terms = answer.optional_child("license")
    license_id = terms.written_text("spdx_id")
    return RecordFacts(
        place=f"github:{repository}@{commit}{f'/{folder}' if folder else ''}",
        page=f"https://github.com/{repository}",
        source=url,
        title=answer.written_text("description") or repository.partition("/")[2],
        version=commit[:8],
        license=terms.written_text("name") if license_id in (None, NO_LICENSE) else license_id,
    )


def find_commit(repository: str, rest: str, context: ResolveContext) -> tuple[str, str]:
    """The commit of a branch or tag, whose name may hold slashes, and the folder behind it; ServerRefused for none."""
    parts = rest.split("/")
    if COMMIT.fullmatch(parts[0]):
        return parts[0], "/".join(parts[1:])
    refusal: ServerRefused | None = None
    for count in range(1, min(len(parts), MOST_PARTS) + 1):
        name, url = "/".join(parts[:count]), f"{API}/{repository}/commits/{quote('/'.join(parts[:count]))}"
        try:
            answer = JsonObject(context.ask(url), f"commit {repository}@{name}")
        except ServerRefused as error:
            if error.status not in NO_SUCH_COMMIT:
                raise
            refusal = refusal or absence_error(f"branch, tag or commit {name} of {repository}", url, error)
            continue
        commit = answer.text("sha")
        if not COMMIT.fullmatch(commit):
            raise answer.field_error("sha", "a commit")
        return commit, "/".join(parts[count:])
    assert refusal  # noqa: S101  # at least one name was asked for
    raise refusal


def iterate_tree(
    repository: str, tree: str, path: str, inside: str, context: ResolveContext
) -> Iterator[tuple[str, JsonObject]]:
    """Path and row of all that lies in a folder; one that is too large for one answer is asked for by its folders."""
    what = f"commit {repository}@{tree}"
    url = f"{API}/{repository}/git/trees/{tree}"
    answer = JsonObject(context.request_json(what, f"{url}?recursive=1"), what)
    whole = not answer.flag("truncated")
    for row in (answer if whole else JsonObject(context.request_json(what, url), what)).rows("tree"):
        name = f"{path}{row.text('path')}"
        if row.text("type") == "tree":
            if not whole and f"{name}/".startswith(inside[: len(name) + 1]):
                yield from iterate_tree(repository, row.text("sha"), f"{name}/", inside, context)
        elif name.startswith(inside):
            yield name, row


def parse_file(place: str, name: str, row: JsonObject) -> File:
    """One file, with the digest by which git knows it."""
    size, digest = row.optional_number("size"), row.digest("sha", "sha1")
    absent = {LINK: "a link", SUBMODULE: "another repository"}
    note = absent.get(row.text("type")) or absent.get(row.text("mode"))
    return File(
        name=name,
        role=guess_role(name),
        source=f"github:{place}/{name}",
        size=size,
        checksum=f"git-blob-{size}:{digest.removeprefix('sha1:')}" if digest and size is not None else None,
        fetch=note is None,
        note=note,
    )
