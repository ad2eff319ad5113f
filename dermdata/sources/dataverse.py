"""Dataverse: a datafile id; tabular files only have their published checksum with `?format=original`."""

from dermdata.model import Dataset, File, Request
from dermdata.sources import Surroundings

SERVER = "https://dataverse.harvard.edu"


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`3172585` or `4338392?format=original`; the server redirects to a signed storage address."""
    del dataset, around
    urls = (f"{SERVER}/api/access/datafile/{identity}", *file.urls)
    return Request(urls=urls, size=file.size, checksum=file.checksum, archive=file.unpack)
