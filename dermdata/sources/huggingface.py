"""Hugging Face: one file of a model or dataset repository; gated ones want a token.

One question per repository (`?blobs=true`) tells the commit, the sizes and, of files in large file
storage, the SHA-256: the headers that tell the same of one file stand on a redirect, which is followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from dermdata.errors import PersonMustAct
from dermdata.model import NOTHING, Dataset, File, Request
from dermdata.sources.accounts import GUARDED, guarded, hub, in_words
from dermdata.sources.around import Surroundings
from dermdata.sources.record import complete, direct, filled, matched, pick, role_of
from dermdata.sources.shape import Part

SERVER = "https://huggingface.co"
PLACE = r"((?:datasets/)?[\w.-]+/[\w.-]+)@([^/@]+)"


@dataclass(frozen=True)
class Repository:
    """What the hub says of a repository at one revision."""

    commit: str
    gated: bool
    files: tuple[File, ...]


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`[datasets/]owner/name@revision/path`; where the hub is asked, its commit replaces a branch."""
    form = "huggingface:[datasets/]<owner>/<name>@<revision>/<path>"
    name, revision, path = matched(rf"{PLACE}/(.+)", identity, form).groups()
    own, account = (address(name, revision, path),), hub(name)
    guards = dataset.access.service == account.service and dataset.access.kind in GUARDED
    request = guarded(account, dataset, file, own, around) if guards else direct(file, own)
    if complete(file) or request.urls[0] != own[0]:
        return request
    known = repository(name, revision, request.secrets, around)
    if known.gated and not request.secrets:
        request = guarded(account, dataset, file, own, around)
    found = pick(path, known.files, f"{name}@{revision}")
    pinned = address(name, known.commit, path)  # sizes, checksums and bytes are of one commit
    urls = tuple(pinned if url == own[0] else url for url in request.urls)
    return filled(replace(request, urls=urls), found.size, found.checksum)


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """The files of `[datasets/]owner/name@revision`, or of a folder of it."""
    form = "huggingface:[datasets/]<owner>/<name>@<revision>[/<folder>]"
    name, revision, folder = matched(rf"{PLACE}/?(.*)", identity, form).groups()
    secrets = around.credentials.for_service("huggingface") or NOTHING
    known = repository(name, revision, secrets, around)
    inside = f"{folder.rstrip('/')}/" if folder else ""
    return tuple(file for file in known.files if file.name.startswith(inside))


def repository(name: str, revision: str, secrets: Mapping[str, str], around: Surroundings) -> Repository:
    """All files of one revision, by one question."""
    what = f"{name}@{revision}"
    kind = name if name.startswith("datasets/") else f"models/{name}"

    def ask() -> Repository:
        try:
            url = f"{SERVER}/api/{kind}/revision/{quote(revision, safe='%')}?blobs=true"
            answer = Part(around.ask_about(what, url, secrets), what)
        except PersonMustAct as error:
            # the hub answers the same for a repository that is not there
            raise in_words(error, hub(name), f"{what} (private, gated or not there)", around) from error
        commit = answer.text("sha")
        files = tuple(entry(f"{name}@{commit}", row) for row in answer.rows("siblings"))
        return Repository(commit, answer.true("gated"), files)

    return around.answers.of(("huggingface", name, revision), ask)


def entry(place: str, row: Part) -> File:
    """One file; only those in large file storage have a checksum of their bytes."""
    name = row.text("rfilename")
    stored = row.part("lfs") if row.true("lfs") else None
    return File(
        name=name,
        role=role_of(name),
        source=f"huggingface:{place}/{name}",
        size=stored.count("size") if stored else row.count("size"),
        checksum=stored.digest("sha256", "sha256") if stored else None,
    )


def address(name: str, revision: str, path: str) -> str:
    return f"{SERVER}/{name}/resolve/{quote(revision, safe='%')}/{quote(path)}"
