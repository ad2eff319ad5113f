"""GitHub: one file of one commit; a branch is refused, since its bytes change."""

from urllib.parse import quote

from dermdata.model import Dataset, File, Request
from dermdata.sources.around import Surroundings
from dermdata.sources.record import direct, matched

SERVER = "https://raw.githubusercontent.com"


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`owner/repository@<40 hex digits>/path`; GitHub states neither size nor checksum of a raw file."""
    del dataset, around
    form = "github:<owner>/<repository>@<commit, 40 hex digits>/<path>"
    parts = matched(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})/(.+)", identity, form)
    return direct(file, (f"{SERVER}/{parts[1]}/{parts[2]}/{quote(parts[3])}",))
