"""GitHub: one file of one commit; a branch is refused, since its bytes change."""

from urllib.parse import quote

from dermdata.hosts.base import ResolveContext, make_request, match_identity
from dermdata.model import Dataset, File, Request

SERVER = "https://raw.githubusercontent.com"


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`owner/repository@<40 hex digits>/path`; GitHub states neither size nor checksum of a raw file."""
    del dataset, context
    form = "github:<owner>/<repository>@<commit, 40 hex digits>/<path>"
    parts = match_identity(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})/(.+)", identity, form)
    return make_request(file, (f"{SERVER}/{parts[1]}/{parts[2]}/{quote(parts[3])}",))
