"""Dropbox: one file behind a share link; Dropbox states neither size nor checksum."""

from dermdata.hosts.base import ResolveContext, make_request, match_identity
from dermdata.model import Dataset, File, Request


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`s/k88qukc20ljnbuo/PH2Dataset.rar`: what follows the host in the link, which is asked with `dl=1`."""
    del dataset, context
    form = "dropbox:<what follows www.dropbox.com/ in the link>"
    match_identity(r"(s|sh|scl/fi|scl/fo|transfer)/[^?]+(\?.*)?", identity, form)
    return make_request(file, (f"https://www.dropbox.com/{identity}",))
