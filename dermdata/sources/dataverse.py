"""Dataverse: a datafile's id, or a dataset's DOI and a file name.

Tabular files only have their published size and checksum with `?format=original`: without it the server
sends its own re-export.
"""

from dermdata.errors import ManualDownload
from dermdata.model import Dataset, File, Request
from dermdata.sources.around import Surroundings
from dermdata.sources.record import answered_by_catalog, direct, joined, matched, pick, role_of
from dermdata.sources.shape import Part

SERVER = "https://dataverse.harvard.edu"
DOI = r"doi:10\.[0-9.]+/(?:[A-Za-z]+/)?[A-Za-z0-9]+"  # a shoulder such as DVN may stand before the id
RESTRICTED = "restricted"


def resolve(dataset: Dataset, file: File, identity: str, around: Surroundings) -> Request:
    """`3172585`, `4338392?format=original` or `doi:10.7910/DVN/DBW86T/HAM10000_metadata`."""
    if not identity.startswith("doi:"):
        matched(r"\d+(\?format=original)?", identity, "dataverse:<file id>[?format=original]")
        return direct(file, (f"{SERVER}/api/access/datafile/{identity}",))
    if request := answered_by_catalog(file):
        return request
    parts = matched(f"({DOI})/(.+)", identity, "dataverse:doi:<doi>/<file name>")
    found = pick(parts[2], entries(parts[1], around), what(parts[1]))
    if found.note == RESTRICTED:
        said = f"{dataset.name}: {file.name} is restricted"
        raise ManualDownload(said, hint=f"ask for access at https://doi.org/{parts[1].removeprefix('doi:')}")
    return joined(file, found)


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """The files of `doi:10.7910/DVN/DBW86T`; restricted ones are not fetched."""
    return entries(matched(DOI, identity, "dataverse:doi:<doi>")[0], around)


def entries(doi: str, around: Surroundings) -> tuple[File, ...]:
    """The dataset's files under the names they were uploaded with."""

    def ask() -> tuple[File, ...]:
        url = f"{SERVER}/api/datasets/:persistentId/?persistentId={doi}"
        answer = Part(around.ask_about(what(doi), url), what(doi))
        return tuple(map(entry, answer.part("data").part("latestVersion").rows("files")))

    return around.answers.of(("dataverse", doi), ask)


def entry(row: Part) -> File:
    data = row.part("dataFile")
    original = data.maybe("originalFileFormat") or data.true("tabularData")
    name = (data.maybe("originalFileName") if original else None) or row.text("label")
    folder = row.maybe("directoryLabel")
    url = f"{SERVER}/api/access/datafile/{data.number('id')}{'?format=original' if original else ''}"
    restricted = row.true("restricted")
    return File(
        name=f"{folder}/{name}" if folder else name,
        role=role_of(name),
        urls=(url,),
        size=data.count("originalFileSize" if original else "filesize"),
        checksum=data.digest("md5", "md5"),
        fetch=not restricted,
        note=RESTRICTED if restricted else None,
    )


def what(doi: str) -> str:
    return f"dataset {doi}"
